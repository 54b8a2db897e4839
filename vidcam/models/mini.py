"""The row of facts of vidcam's own small network, made to be trained on nothing but drawn people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidcam.models.registry import Head, ModelSpec

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LABELS", "SPEC"]

# What `vidcam.synth` draws, in its order; written out, so that reading the table of models loads no drawing code.
LABELS: tuple[str, ...] = (
    "standing idle", "waving one hand", "raising both arms sideways", "raising both arms in front", "clapping", "boxing",
    "arm circles", "jumping jack", "squatting", "bending over", "kicking", "walking", "running", "jumping", "sitting down",
    "standing up", "falling down", "no person", "none of these",
)  # fmt: skip


def _build() -> nn.Module:
    from vidcam.models.mini_net import Mini

    return Mini(len(LABELS))


SPEC = ModelSpec(
    name="mini",
    title="Mini",
    family="mini",
    build=_build,
    labels=lambda: LABELS,
    frames=16,
    interval_s=0.1,
    # The full height and, of a 4:3 picture, three quarters of the width without distortion.
    resize=(112, 149),
    crop=(112, 112),
    mean=(0.45, 0.45, 0.45),
    std=(0.225, 0.225, 0.225),
    layer="blocks",
    head=Head(("fc",)),
    time_cells=(16,),
    paper="https://arxiv.org/abs/1711.11248",
)
"""Not in the table of models yet: a row there has weights, and these are still to be trained. `vidcam train` knows it by name."""
