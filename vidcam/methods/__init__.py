"""Methods that turn a prediction into evidence in space and time."""
