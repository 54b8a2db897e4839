"""Models as data: the registry, the weights, and one file for each family."""
