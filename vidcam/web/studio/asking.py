"""What if this were hidden? The model's answer to one clip without a box of the picture or a stretch of time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidcam import Settings, open_source
from vidcam.errors import UsageError
from vidcam.evidence.labels import index_of
from vidcam.metrics.imputers import IMPUTERS, make_remover
from vidcam.pipeline import Explanation, Session, explanations
from vidcam.values import CropGeometry, FloatArray
from vidcam.web import words

if TYPE_CHECKING:
    import numpy.typing as npt

    from vidcam.engine import Engine

__all__ = ["Hidden", "ask", "hidden_pixels"]


@dataclass(frozen=True)
class Hidden:
    """What is hidden: a box of the picture, as shares of its size (top, left, bottom, right), or a stretch of time in seconds.

    Raises:
        UsageError: It is neither.
    """

    time: float
    box: tuple[float, float, float, float] | None = None
    stretch: tuple[float, float] | None = None

    @classmethod
    def of(cls, said: Mapping[str, object]) -> Hidden:
        """Return what a page asks about. UsageError if it is no box and no stretch."""
        try:
            time = float(str(said["time"]))
            box, stretch = (
                tuple(float(v) for v in part) if isinstance(part := said.get(k), list) else None for k in ("box", "stretch")
            )
        except (KeyError, ValueError) as error:
            raise UsageError(words.Ask.NOTHING_DRAWN) from error
        good_box = box is None or (len(box) == 4 and 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1)
        good_stretch = stretch is None or (len(stretch) == 2 and stretch[0] < stretch[1])
        if (box is None) == (stretch is None) or not (good_box and good_stretch and np.isfinite(time)):
            raise UsageError(words.Ask.NOTHING_DRAWN)
        return cls(time, box, stretch)  # type: ignore[arg-type]


def ask(path: Path, engine: Engine, settings: Settings, hidden: Hidden) -> str:
    """Return in a sentence what the model answers to the clip around ``hidden.time`` if that part is hidden.

    It is about the first class of the settings; if they name none, about the model's answer to the clip. A box is filled in from
    what surrounds it, a stretch of time with the first frame of the clip.
    """
    clip, views = _clip_at(path, engine, settings, hidden.time)
    where = words.Ask.AREA if hidden.box else words.Ask.STRETCH
    fill = IMPUTERS["inpaint" if hidden.box else "frozen"]
    changed, touched = clip.clips.copy(), False
    for n, (frames, view) in enumerate(zip(clip.clips, views, strict=True)):
        removed = hidden_pixels(hidden, view, clip.times, frames.shape[:3])
        touched |= bool(removed.any())
        changed[n] = make_remover(frames, fill(frames))(removed)
    if not touched:
        return words.Ask.not_looked_at(where=where, time=hidden.time)
    before, after = (engine.probabilities(engine.predict(c).mean(axis=0, dtype=np.float64)) for c in (clip.clips, changed))
    top, now = int(before.argmax()), int(after.argmax())
    asked = index_of(engine.labels, settings.classes[0]) if settings.classes else top
    return words.Ask.answer(
        where=where,
        label=engine.labels[asked],
        change=words.Ask.change(before=float(before[asked]), after=float(after[asked])),
        new="" if now == top else words.Ask.new_answer(label=engine.labels[now], prob=float(after[now])),
        time=hidden.time,
        filled=words.Ask.AREA_FILLED if hidden.box else words.Ask.STRETCH_FILLED,
    )


def hidden_pixels(hidden: Hidden, view: CropGeometry, times: FloatArray, size: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return the pixels ``(T, H, W)`` of a crop that are hidden: those whose middle lies in the box or the stretch."""
    count, height, width = size
    frames, rows, columns = (np.ones(n, bool) for n in (count, height, width))
    if hidden.stretch is not None:
        frames = (times >= hidden.stretch[0]) & (times < hidden.stretch[1])
    if hidden.box is not None:
        top, left, bottom, right = hidden.box
        ys, _ = view.to_source(np.arange(height, dtype=np.float64), 0.0)
        _, xs = view.to_source(0.0, np.arange(width, dtype=np.float64))
        ys, xs = (np.asarray(ys) + 0.5) / view.source[0], (np.asarray(xs) + 0.5) / view.source[1]
        rows, columns = (ys >= top) & (ys < bottom), (xs >= left) & (xs < right)
    return frames[:, None, None] & rows[None, :, None] & columns[None, None, :]


def _clip_at(path: Path, engine: Engine, settings: Settings, time: float) -> tuple[Explanation, tuple[CropGeometry, ...]]:
    """Return the clip whose middle is nearest to a second, and its crops. UsageError if none covers it."""
    settings = replace(settings, method=None, classes=(), versus=None, verdict=False)
    session = Session(engine, settings, skip=lambda span: not span[0] <= time < span[1])
    best: Explanation | None = None
    with open_source(path) as source, closing(explanations(source, session)) as clips:  # type: ignore[type-var]
        for clip in clips:
            if best is None or _distance(clip, time) < _distance(best, time):
                best = clip
            if clip.prediction.span[0] + clip.prediction.span[1] >= 2 * time:  # later ones are farther away
                break
    if best is None:
        raise UsageError(words.Ask.no_clip(time=time))
    return best, session.views


def _distance(clip: Explanation, time: float) -> float:
    return abs(sum(clip.prediction.span) / 2 - time)
