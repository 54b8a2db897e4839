"""What a page and the server say to each other: JSON texts, and pictures as eight bytes of time followed by a JPEG."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vidcam.live.pipeline import Watch
from vidcam.live.state import Update
from vidcam.methods import core
from vidcam.render.colormap import table
from vidcam.values import Track

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["LEVELS", "hello", "history", "picture", "status", "taken", "update"]

LEVELS = 1000
"""A cell is sent as a whole number of thousandths of the scale, cut at one."""

SIDE = 240
"""The shorter side, in pixels, of the pictures that a browser should send: at least this, and what the model resizes to."""

_TIME = struct.Struct("<d")


def picture(jpeg: bytes, time: float) -> bytes:
    """A picture for the other side."""
    return _TIME.pack(time) + jpeg


def taken(message: bytes) -> tuple[float, bytes]:
    """The time and the JPEG of a picture from the other side; ValueError where it is none."""
    if len(message) <= _TIME.size:
        raise ValueError("a picture is eight bytes of time and a JPEG")
    return _TIME.unpack_from(message)[0], message[_TIME.size :]


def update(news: Update, *, took_s: float) -> str:
    """The newest evidence, a few kilobytes: the heat's map on its own grid, the labels, a point for each curve."""
    patches = [_patch(track, news.scale) for track in news.heads[news.label]]
    return _text(type="evidence", **_words(news), patches=patches, took_ms=round(1000 * took_s, 1))


def history(past: Iterable[Update]) -> str:
    """What was before a page came, without the maps: it has no pictures for them."""
    return _text(type="history", items=[{**_words(news), "patches": []} for news in past])


def _words(news: Update) -> dict[str, object]:
    return {
        "number": news.number,
        "time": round(news.time, 4),
        "label": news.label,
        "top": [[label, round(prob, 4)] for label, prob in news.top],
        "curves": {label: round(_for(tracks), 4) for label, tracks in news.heads.items()},
        "scale": float(f"{news.scale:.4g}"),
    }


def _for(tracks: Sequence[Track]) -> float:
    """How much speaks for a label, per second: the cells that the heat shows, summed."""
    return float(sum(np.maximum(np.nan_to_num(t.maps[-1]), 0).sum() / t.cell_s for t in tracks))


def _patch(track: Track, scale: float) -> dict[str, object]:
    values = np.rint(np.clip(np.nan_to_num(track.maps[-1]) / scale, -1, 1) * LEVELS).astype(int)
    return {
        "ys": [round(y, 2) for y in track.ys.tolist()],
        "xs": [round(x, 2) for x in track.xs.tolist()],
        "seen": [round(v, 2) for v in track.seen],
        "values": values.ravel().tolist(),
    }


def hello(watch: Watch, *, browser: bool, keep_s: float) -> str:
    """What a page must know before anything else."""
    engine = watch.stream.engine
    resize = engine.spec.resize
    return _text(
        type="hello",
        side=max(SIDE, resize if isinstance(resize, int) else max(resize)),
        source=watch.source.name,
        browser=browser,
        keep_s=keep_s,
        model={"name": engine.spec.name, "title": engine.spec.title, "clip_s": engine.spec.clip_s},
        every_s=engine.spec.seconds_between_frames,
        notes=list(engine.notes),
        labels=list(engine.labels),
        methods=_methods(engine),
        levels=LEVELS,
        colours={
            "plain": base64.b64encode(table(False).tobytes()).decode(),
            "signed": base64.b64encode(table(True).tobytes()).decode(),
        },
    )


def _methods(engine: Engine) -> list[dict[str, object]]:
    """The registered methods, each with the reason why it does not work here, if there is one."""
    rows = []
    for method in core.methods():
        missing = method.requires - engine.spec.provides
        reason = f"needs {', '.join(sorted(missing))}, which {engine.spec.name} does not have" if missing else None
        if method.around is None:
            rows.append({"name": method.name, "title": method.title, "cost": method.cost, "signed": method.signed, "why": reason})
    return rows


def status(watch: Watch) -> str:
    """How things are going, once a second."""
    stream = watch.stream
    settings, size = stream.settings, stream.size
    return _text(
        type="status",
        state=watch.state,
        reason=watch.reason,
        fps=round(stream.fps, 1),
        size=None if size is None else [size[1], size[0]],
        seconds_between_clip_starts=round(stream.budget.seconds_between_clip_starts, 3),
        used=None if stream.budget.used is None else round(stream.budget.used, 3),
        skipped=stream.skipped,
        viewers=watch.viewers,
        reconnects=watch.capture.reconnects,
        settings={
            "method": stream.method.name,
            "class": settings.classes[0] if settings.classes else None,
            "versus": settings.versus,
            "smooth_s": settings.smooth_s,
        },
    )


def _text(**fields: Any) -> str:
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)
