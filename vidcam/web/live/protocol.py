"""The protocol between the live page and the server: JSON texts, and pictures as eight bytes of time followed by a JPEG."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vidcam.live.journal import Entry
from vidcam.live.models import ModelSwitch
from vidcam.live.pipeline import LivePipeline
from vidcam.live.state import Update
from vidcam.methods.lookup import all_methods
from vidcam.reports.player_data import drawing_facts
from vidcam.values import Track
from vidcam.web import words

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = [
    "LEVELS",
    "encode_event",
    "encode_hello",
    "encode_history",
    "encode_models",
    "encode_status",
    "encode_update",
    "encode_watch",
    "pack_picture",
    "unpack_picture",
]

LEVELS = 1000
"""A cell is sent as a whole number of thousandths of the scale, clipped to one."""

MIN_SIDE = 240
"""The shorter side in pixels of the pictures that a browser should send: this, or what the model resizes to if that is more."""

_TIME = struct.Struct("<d")


def pack_picture(jpeg: bytes, time: float) -> bytes:
    """Return the message that carries a picture of the second ``time``."""
    return _TIME.pack(time) + jpeg


def unpack_picture(message: bytes) -> tuple[float, bytes]:
    """Return the time and the JPEG of a picture's message. ValueError if it is too short."""
    if len(message) <= _TIME.size:
        raise ValueError("a picture is eight bytes of time and a JPEG")
    return _TIME.unpack_from(message)[0], message[_TIME.size :]


def encode_update(update: Update, *, took_s: float) -> str:
    """Encode the newest evidence in a few kilobytes: the heat on its own grid, the labels, a point of each curve."""
    patches = [_patch(track, update.scale) for track in update.tracks[update.label]]
    return _to_text(type="evidence", **_facts(update), patches=patches, took_ms=round(1000 * took_s, 1))


def encode_history(past: Iterable[Update]) -> str:
    """Encode the updates from before a page was opened, without heat, because the page has no pictures for it."""
    return _to_text(type="history", items=[{**_facts(update), "patches": []} for update in past])


def _facts(update: Update) -> dict[str, object]:
    return {
        "number": update.number,
        "time": round(update.time, 4),
        "label": update.label,
        "top": [[label, round(prob, 4)] for label, prob in update.top],
        "curves": {label: round(_positive_evidence(update.tracks[label]), 4) for label in update.shown},
        "scale": float(f"{update.scale:.4g}"),
    }


def _positive_evidence(tracks: Sequence[Track]) -> float:
    """Return the positive evidence for a label per second, summed over the cells that the heat shows."""
    return float(sum(np.maximum(np.nan_to_num(t.maps[-1]), 0).sum() / t.cell_s for t in tracks))


def _patch(track: Track, scale: float) -> dict[str, object]:
    values = np.rint(np.clip(np.nan_to_num(track.maps[-1]) / scale, -1, 1) * LEVELS).astype(int)
    return {
        "ys": [round(y, 2) for y in track.ys.tolist()],
        "xs": [round(x, 2) for x in track.xs.tolist()],
        "seen": [round(v, 2) for v in track.seen],
        "values": values.ravel().tolist(),
    }


def encode_event(entry: Entry) -> str:
    """Encode an entry of the journal; its picture comes as base64."""
    event = entry.event
    return _to_text(
        type="event",
        number=entry.number,
        action=event.action,
        rule=event.rule,
        model=event.model,
        score=round(event.score, 4),
        start=event.start.isoformat(timespec="milliseconds"),
        start_s=round(event.start_s, 3),
        end_s=None if event.end_s is None else round(event.end_s, 3),
        picture=None if entry.picture is None else base64.b64encode(entry.picture).decode(),
    )


def encode_watch(pipeline: LivePipeline) -> str:
    """Encode the regions and rules of a pipeline, and which of the rules viewers have made."""
    monitor, page = pipeline.monitor, pipeline.page_monitor
    return _to_text(
        type="watch",
        regions=[
            {"name": r.name, "box": [r.x0, r.y0, r.x1, r.y1], "words": str(r), "fixed": r.name in pipeline.fixed_regions}
            for r in tuple(pipeline.regions.values())
        ],
        rules=[
            *({"words": words, "fixed": True} for words in (monitor.followed if monitor else ())),
            *({"words": words, "fixed": False} for words in (page.followed if page else ())),
        ],
    )


def encode_hello(pipeline: LivePipeline, *, browser: bool, keep_s: float) -> str:
    """Encode what a page must know first: the model, its labels and methods, how to draw.

    ``browser`` says that the page sends its own camera; ``keep_s`` is how many seconds the page should keep.
    """
    engine = pipeline.stream.engine
    resize = engine.spec.crop if engine.spec.resize == "fit" else engine.spec.resize
    return _to_text(
        type="hello",
        side=max(MIN_SIDE, resize if isinstance(resize, int) else max(resize)),
        source=pipeline.source.name,
        browser=browser,
        keep_s=keep_s,
        model={"name": engine.spec.name, "title": engine.spec.title, "clip_s": engine.spec.clip_s},
        every_s=engine.spec.seconds_between_frames,
        notes=list(engine.notes),
        labels=list(engine.labels),
        methods=_methods(engine),
        levels=LEVELS,
        drawing=drawing_facts(),
    )


def encode_models(models: ModelSwitch) -> str:
    """Encode which model explains, which others one can change to, and how the last change goes or went."""
    current = models.engine.spec.name
    choices = [(choice.name, choice.title) for choice in models.choices]
    return _to_text(type="models", current=current, choices=choices, loading=models.loading, failed=models.failed)


def _methods(engine: Engine) -> list[dict[str, object]]:
    """Return the methods, each with the reason why it does not work with this model, if there is one."""
    rows = []
    for method in all_methods():
        missing = method.requires - engine.spec.provides
        reason = words.Hub.missing(needs=sorted(missing), model=engine.spec.name) if missing else None
        if method.wraps is None:
            rows.append({"name": method.name, "title": method.title, "cost": method.cost, "signed": method.signed, "why": reason})
    return rows


def encode_status(pipeline: LivePipeline) -> str:
    """Encode the state of the pipeline, which a page gets once a second."""
    stream = pipeline.stream
    settings, size, budget = stream.settings, stream.size, stream.budget
    return _to_text(
        type="status",
        state=pipeline.state,
        reason=pipeline.reason,
        fps=round(stream.fps, 1),
        size=None if size is None else [size[1], size[0]],
        hop_s=round(budget.seconds_between_clip_starts, 3),
        used=None if budget.used is None else round(budget.used, 3),
        skipped=stream.skipped,
        viewers=pipeline.viewers,
        reconnects=pipeline.capture.reconnects,
        settings={
            "method": stream.method.name,
            "class": settings.classes[0] if settings.classes else None,
            "versus": settings.versus,
            "smooth_s": settings.smooth_s,
        },
    )


def _to_text(**fields: Any) -> str:
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)
