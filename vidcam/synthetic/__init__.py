"""Procedural people: endless labelled clips with exact ground truth, drawn from nothing but numbers."""

from vidcam.synthetic.clips import CLASSES, NONE, SceneFrame, SyntheticVideo, sample, scene

__all__ = ["CLASSES", "NONE", "SceneFrame", "SyntheticVideo", "sample", "scene"]
