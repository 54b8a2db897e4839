"""Procedural people: endless labelled clips with exact ground truth, drawn from nothing but numbers."""

from vidcam.synth.clips import CLASSES, NONE, Clip, SceneFrame, sample, scene

__all__ = ["CLASSES", "NONE", "Clip", "SceneFrame", "sample", "scene"]
