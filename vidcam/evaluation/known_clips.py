"""Clips of which it is known who acts where and when: windows of the model, and the acting pixels of each.

:func:`draw_clips` draws people whose body parts are known exactly; :func:`load_clips` reads real clips with outlines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from vidcam import synthetic
from vidcam.errors import InputError
from vidcam.io.outline_files import OutlinedClip
from vidcam.io.outlines import ClipOutlines
from vidcam.io.source import IMAGE_SUFFIXES, Source, open_source
from vidcam.methods.cell_geometry import CellGeometry, covered
from vidcam.pipeline import Session
from vidcam.settings import Settings
from vidcam.values import Clip, CropGeometry, Frame, UInt8Array

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = [
    "ACTING", "WINDOWS", "KnownClip", "dilate", "draw_clip", "draw_clips", "drawn_clip_count", "load_clip", "load_clips",
    "mask_in_crop",
]  # fmt: skip

Bools = npt.NDArray[np.bool_]

FIRST_SEED = 5_000_000_001
"""Odd, and far from the seeds that training holds out; training draws even ones."""

ACTING = synthetic.CLASSES[1:-1]
"""The classes in which body parts act: all except standing idle and nobody."""

THRESHOLD_CLIPS = 3
"""At most so many further clips of each class choose the threshold above which a cell is hot."""

WINDOWS = 3
"""Windows of the model in a clip, at most.

Within one window drawn people act three quarters of the time, so a map that is always hot would find most of it. Over three
windows they act for about half of the time, and rest before and after.
"""


@dataclass(frozen=True)
class KnownClip:
    """Windows of the model, and which of their pixels act.

    Attributes:
        name: The clip's name; empty for a drawn clip.
        labels: What is done, under the names that data sets have for it, the preferred one first.
        windows: ``(W,T,H,W,3) uint8``.
        truth: ``(W,T,H,W)``, the acting pixels.
        near: ``(W,T,H,W)``, the acting pixels with the tolerance of the pointing game around them; None: half a cell of the map.
        is_early: Whether the clip only chooses thresholds, and is not scored.
        rests: Whether there are times known in which nobody acts, so that it can be scored whether a map knows when.
    """

    name: str
    labels: tuple[str, ...]
    windows: UInt8Array
    truth: Bools
    near: Bools | None = None
    is_early: bool = False
    rests: bool = True

    def covered_cells(self, where: CellGeometry) -> tuple[Bools, Bools]:
        """Return the covered cells of all windows end to end, ``(windows * T',h,w)``, and those that count as hit."""
        cells = np.concatenate([covered(mask, where) for mask in self.truth])
        if self.near is None:
            return cells, cells
        return cells, np.concatenate([_centres_inside(mask, where) for mask in self.near])


def _centres_inside(mask: Bools, where: CellGeometry) -> Bools:
    """Return the cells whose centre lies in the mask ``(T,H,W)`` in some frame that is at most half a cell away in time."""
    frames = np.abs(where.time.centres()[:, None] - np.arange(len(mask))) <= where.time.stride / 2
    rows, columns = (
        np.clip(np.rint(axis.centres()), 0, n - 1).astype(int) for axis, n in zip((where.y, where.x), mask.shape[1:], strict=True)
    )
    at_centres = mask[:, rows[:, None], columns[None, :]]
    return np.asarray(np.tensordot(frames.astype(np.float32), at_centres.astype(np.float32), 1) > 0, np.bool_)


# --- drawn -------------------------------------------------------------------------------------------------------------------


def draw_clip(
    label: str, index: int, *, frames: int = 16, size: tuple[int, int] = (112, 112), seconds_between_frames: float = 0.1
) -> synthetic.SyntheticVideo:
    """Draw clip ``index`` of a class, which no training has used; speeds and difficulties are those of training."""
    seed = FIRST_SEED + 2 * index
    speed = float(np.random.default_rng([seed, 9]).uniform(10 / 12, 10 / 7))
    return synthetic.sample(seed, label=label, frames=frames, size=size, seconds_between_frames=seconds_between_frames * speed)


def drawn_clip_count(clips: int) -> int:
    """Return how many clips :func:`draw_clips` draws for ``clips`` scored ones of each class."""
    return len(ACTING) * (min(THRESHOLD_CLIPS, clips) + clips)


def draw_clips(engine: Engine, clips: int, seed: int) -> Iterator[KnownClip]:
    """Draw the clips of every class; the first ones of each class choose the thresholds."""
    spec = engine.spec
    shape = (WINDOWS, spec.num_frames, *spec.crop)
    for label in ACTING:
        for number in range(-min(THRESHOLD_CLIPS, clips), clips):
            index, frames = 1000 * (seed + 1) + number, WINDOWS * spec.num_frames
            clip = draw_clip(label, index, frames=frames, size=spec.crop, seconds_between_frames=spec.seconds_between_frames)
            acting = clip.parts & clip.active[:, None, None]
            yield KnownClip("", (label,), clip.frames.reshape(*shape, 3), acting.reshape(shape), is_early=number < 0)


# --- real --------------------------------------------------------------------------------------------------------------------


def load_clips(
    engine: Engine, outlined: Sequence[OutlinedClip], *, windows: int = WINDOWS, tolerance: float = 0.05
) -> Iterator[KnownClip]:
    """Read outlined clips one after the other; see :func:`load_clip`."""
    for clip in outlined:
        yield load_clip(engine, clip, windows=windows, tolerance=tolerance)


def load_clip(engine: Engine, outlined: OutlinedClip, *, windows: int = WINDOWS, tolerance: float = 0.05) -> KnownClip:
    """Return a clip as the windows that the model sees in its centre crop, with the pixels that its outlines cover.

    The windows cover the frames from the first one with a known outline to the last one before an unknown outline. They are those
    of ``vidcam annotate`` if clips start one window apart; if there are more than ``windows``, evenly spread ones.

    Args:
        engine: The model.
        outlined: The clip and its outlines.
        windows: How many windows are taken at most.
        tolerance: How far outside the outline a cell's centre still counts as a hit in the pointing game, as a share of the
            crop's short side.

    Raises:
        InputError: The clip cannot be read, has another size than its outlines say, or has no frame with a known outline.
    """
    truth = outlined.outlines
    images = outlined.path.is_dir() or outlined.path.suffix.lower() in IMAGE_SUFFIXES
    with open_source(outlined.path, fps=truth.fps if images else None) as source:
        size = source.info.height, source.info.width
        if size != truth.size:
            raise InputError(
                f"{outlined.path} is {size[1]}x{size[0]} pixels, but its outlines are for {truth.size[1]}x{truth.size[0]}"
            )
        session = Session(engine, Settings(seconds_between_clip_starts=engine.spec.clip_s))
        known, clips = _sample(source, truth, session)
    if not clips:
        raise InputError(f"no frame of {outlined.path} has a known outline: check the frames or times of its keyframes")
    chosen = [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, min(windows, len(clips))).round().astype(int))]
    view = session.views[0]
    masks = np.stack([_masks(clip, truth, known, view) for clip in chosen])
    near = np.stack([np.stack([dilate(m, tolerance * min(view.crop[2:])) for m in window]) for window in masks])
    rests = any(_nobody_acts(truth, *known[time]) for clip in chosen for time in clip.times.tolist())
    return KnownClip(truth.clip, truth.labels, np.stack([view.cut(c.frames) for c in chosen]), masks, near, rests=rests)


def _sample(source: Source, truth: ClipOutlines, session: Session) -> tuple[dict[float, tuple[int, float]], list[Clip]]:
    """Return the number and relative time of each known frame by its time, and the clips that these frames give."""
    known: dict[float, tuple[int, float]] = {}
    clips: list[Clip] = []
    start: float | None = None
    for number, frame in enumerate(source.frames()):
        start = frame.time if start is None else start
        if truth.is_known(number, frame.time - start):
            known[frame.time] = number, frame.time - start
            clips += session.sample(Frame(frame.picture, frame.time, frame.duration))
        elif known:
            break
    return known, [*clips, *session.rest()] if known else []


def _masks(clip: Clip, truth: ClipOutlines, known: dict[float, tuple[int, float]], view: CropGeometry) -> Bools:
    """Return the acting pixels ``(T,H,W)`` of the crop; the outlines of a repeated frame are drawn once."""
    drawn: dict[float, Bools] = {}
    for time in clip.times.tolist():
        if time not in drawn:
            mask = truth.mask_at(*known[time])
            drawn[time] = mask_in_crop(np.zeros(truth.size, np.bool_) if mask is None else mask, view)
    return np.stack([drawn[time] for time in clip.times.tolist()])


def _nobody_acts(truth: ClipOutlines, number: int, time: float) -> bool:
    mask = truth.mask_at(number, time)
    return mask is not None and not mask.any()


def mask_in_crop(mask: Bools, view: CropGeometry) -> Bools:
    """Return which pixels of the crop show a source pixel of ``mask (H,W)``: the one under their centre.

    Pixels beside the picture, which only fill up the crop, show none.
    """
    _, _, height, width = view.crop
    ys, xs = view.to_source(np.arange(height, dtype=np.float64), np.arange(width, dtype=np.float64))
    rows, columns = (np.floor(at + 0.5).astype(int) for at in (ys, xs))
    inside = [(at >= 0) & (at < n) for at, n in zip((rows, columns), mask.shape, strict=True)]
    shown = mask[np.clip(rows, 0, mask.shape[0] - 1)][:, np.clip(columns, 0, mask.shape[1] - 1)]
    return np.asarray(shown & inside[0][:, None] & inside[1][None, :], np.bool_)


def dilate(mask: Bools, radius: float) -> Bools:
    """Return the pixels of ``mask (H,W)`` and those at most ``radius`` pixels from one of them."""
    if not mask.any():
        return mask
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.asarray(distance) <= radius, np.bool_)
