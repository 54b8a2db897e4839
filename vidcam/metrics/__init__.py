"""Measures of whether an explanation is true: against exact masks, by changing the input, by changing the network.

Every score of a map must be read beside the scores of maps that know nothing of the model (:mod:`vidcam.metrics.baselines`).
"""
