"""From a video to an explained video: the first pass explains it, the second draws it and writes the reports."""

from vidcam.annotation.batches import ClipEvidence, explain_clips
from vidcam.annotation.first_pass import explain, explain_by_methods, predict
from vidcam.annotation.writing import Outputs, annotate, draw

__all__ = ["ClipEvidence", "Outputs", "annotate", "draw", "explain", "explain_by_methods", "explain_clips", "predict"]
