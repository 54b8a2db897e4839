"""Synthetic people: endless labelled clips with exact ground truth, drawn procedurally."""

from vidcam.synthetic.actions import CLASSES
from vidcam.synthetic.motion import NONE
from vidcam.synthetic.sampling import SyntheticVideo, sample
from vidcam.synthetic.script import SceneFrame, scene

__all__ = ["CLASSES", "NONE", "SceneFrame", "SyntheticVideo", "sample", "scene"]
