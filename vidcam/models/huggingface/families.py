"""The families of transformers' video models that vidcam knows: to add one, write its file and add its row."""

from __future__ import annotations

from vidcam.models.huggingface import timesformer, videomae, videoprism, vivit, vjepa2, xclip
from vidcam.models.huggingface.family import Family

__all__ = ["FAMILIES"]

FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        videomae.FAMILY,
        vivit.FAMILY,
        timesformer.FAMILY,
        vjepa2.FAMILY,
        videoprism.FAMILY,
        xclip.FAMILY,
    )
}
"""The families by the ``model_type`` of their ``config.json``."""
