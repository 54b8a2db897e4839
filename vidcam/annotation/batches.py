"""Explain clips that are prepared already, such as the batches of a DataLoader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidcam.annotation.first_pass import checked_engine
from vidcam.engine import Engine
from vidcam.errors import UsageError
from vidcam.evidence.labels import index_of
from vidcam.io.arrays import to_array
from vidcam.methods import core
from vidcam.methods.cell_geometry import join
from vidcam.methods.lookup import choose_method
from vidcam.methods.receptive_field import method_geometry
from vidcam.values import CropGeometry, FloatArray

__all__ = ["ClipEvidence", "explain_clips"]


@dataclass(frozen=True)
class ClipEvidence:
    """The evidence in a batch of B clips for N labels, on the network's own grid.

    Attributes:
        logits: ``(B, K) float32``, one for each of the model's K classes.
        probs: ``(B, K) float32`` in [0, 1].
        labels: The N explained labels, the same ones for all clips.
        maps: ``(B, N, T', h, w) float32``, signed, in the method's unit.
        times: ``(T',) float64`` seconds of the cells' centres, from the first frame of the clip.
        ys: ``(h,) float64`` rows of the cells' centres, in pixels of the clip; the first pixel's centre is at 0.
        xs: ``(w,) float64`` columns of the cells' centres, in the same way.
        totals: ``(B, N) float32``, the sums that the maps should have; None if the method is not complete.

    Example:
        >>> import numpy as np, vidcam
        >>> clips = np.zeros((2, 16, 112, 112, 3), np.uint8)
        >>> found = vidcam.explain_clips(clips, engine=vidcam.open_engine("mini"), classes=("walking", "running"))
        >>> found.labels, found.maps.shape
        (('walking', 'running'), (2, 2, 16, 14, 14))
    """

    logits: FloatArray
    probs: FloatArray
    labels: tuple[str, ...]
    maps: FloatArray
    times: FloatArray
    ys: FloatArray
    xs: FloatArray
    totals: FloatArray | None


def explain_clips(
    clips: Any,
    *,
    engine: Engine | None = None,
    method: str | None = None,
    classes: Sequence[str | int] = (),
    versus: str | int | None = None,
    seed: int = 0,
) -> ClipEvidence:
    """Explain a batch of clips that are already prepared for the network, such as one of a DataLoader.

    Args:
        clips: Array or tensor, ``(B, 3, T, H, W)`` float, normalised as the model wants it, or ``(B, T, H, W, 3) uint8``.
        engine: The model, as :func:`vidcam.open_engine` returns it; None opens the model ``auto``.
        method: Name of a method; None stands for the model's default.
        classes: Labels or indices to explain; empty for the most probable class of each clip, other than ``versus``.
        versus: Label or index of a class; the difference of the logits of each class and this one is explained.
        seed: Seed of the methods that use random numbers.

    Returns:
        The logits and the evidence of every clip.

    Raises:
        UsageError: The clips do not fit the model.
        UnknownNameError: There is no such class or method.
        IncompatibleError: The method does not work on the model.

    Example:
        >>> import numpy as np, vidcam
        >>> engine = vidcam.open_engine("mini")
        >>> batch = np.zeros((2, 3, 16, 112, 112), np.float32)
        >>> vidcam.explain_clips(batch, engine=engine, classes=("walking",)).maps.shape[:3]
        (2, 1, 16)
    """
    array = to_array(clips)
    engine = checked_engine(array, engine)
    if array.ndim != 5:
        raise UsageError(f"a batch of clips has 5 axes, (B, 3, T, H, W) or (B, T, H, W, 3), got {array.ndim}: {array.shape}")
    if array.dtype != np.uint8:
        array = array.astype(np.float32)
    chosen = choose_method(method, engine.spec, seed=seed)
    against = None if versus is None else index_of(engine.labels, versus)
    wanted = [index_of(engine.labels, c) for c in classes]

    if against in wanted:
        raise UsageError(f"a class cannot be explained against itself: {versus!r}")

    def targets(logits: FloatArray) -> list[core.Target]:
        answers = (next(i for i in np.argsort(-row, kind="stable").tolist() if i != against) for row in logits)
        return [core.Target(i, against) for i in dict.fromkeys(wanted or answers)]

    attribution = core.explain(engine, array, targets, chosen)
    maps, cells = join(attribution.maps, method_geometry(chosen, engine.model))
    spec = engine.spec
    ys, xs = cells.cell_centres(CropGeometry(spec.crop, spec.crop, (0, 0, *spec.crop)))
    return ClipEvidence(
        logits=attribution.logits,
        probs=engine.probabilities(attribution.logits),
        labels=tuple(engine.labels[target.index] for target in attribution.targets),
        maps=maps.astype(np.float32),
        times=cells.cell_times(np.arange(spec.num_frames) * spec.seconds_between_frames, spec.seconds_between_frames),
        ys=ys,
        xs=xs,
        totals=attribution.totals,
    )
