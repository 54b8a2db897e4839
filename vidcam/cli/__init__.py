"""The command line: what ``vidcam`` understands, and what it prints."""
