"""Whole evaluations: of the explanation of one video, of a labelled folder, of methods on drawn people, side by side."""
