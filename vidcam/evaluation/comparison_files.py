"""Writes what a comparison is shown as: the grid video, the page that plays the video, and the JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from vidcam.annotation import Outputs
from vidcam.annotation.browser_video import check_embedding, provide_video
from vidcam.evidence.heat import render_heat
from vidcam.io.clock import SYSTEM
from vidcam.io.formatting import duration, percent
from vidcam.io.playable import Playability
from vidcam.io.source import Source, open_source
from vidcam.metrics import agreement
from vidcam.pipeline import Progress
from vidcam.render import thumb
from vidcam.render.draw_pass import DrawPass
from vidcam.render.grid import Grid, Row
from vidcam.reports.comparison import Comparison, Entry
from vidcam.settings import Settings
from vidcam.values import Box, FloatArray, Frame, Track, UInt8Array

__all__ = ["check_page", "peak_of", "write_comparison"]

THUMB = 320  # pixels


def check_page(path: str | Path, outputs: Outputs) -> Playability | None:
    """Return what has to be done for the page to play the video, None without a page; raises what would stop it at the end."""
    if (page := outputs.page()) is None:
        return None
    with open_source(path) as source:
        return check_embedding(source, page, embed=outputs.embed, overwrite=outputs.overwrite)


def write_comparison(
    source: Source,
    made: Comparison,
    outputs: Outputs,
    settings: Settings,
    playable: Playability | None,
    progress: Progress | None,
    *,
    began: float,
) -> Comparison:
    """Draw the grid video if there is one, and write the page and the JSON; ``began`` is when the comparison did."""
    page = outputs.page()
    if outputs.video is not None:
        made = _draw(source, made, outputs, settings, progress)
    made = replace(made, seconds=SYSTEM.now() - began)
    with ExitStack() as stack:
        if page is not None and playable is not None:
            made = stack.enter_context(_played(source, made, outputs, page, playable, progress))
        made.write_files({name: outputs.reports.get(name) for name in ("html", "json")}, overwrite=outputs.overwrite)
    return made


@contextmanager
def _played(
    source: Source, made: Comparison, outputs: Outputs, page: Path, playable: Playability, progress: Progress | None
) -> Iterator[Comparison]:
    """Yield the comparison with the video that its page plays, as long as it is needed."""
    first = made.entries[0].analysis
    with provide_video(
        source,
        replace(first, outputs=made.outputs, warnings=made.warnings),
        page,
        playable,
        embed=outputs.embed,
        encoding=outputs.encoding,
        overwrite=outputs.overwrite,
        progress=progress,
    ) as provided:
        yield replace(made, playback=provided.playback, outputs=provided.outputs, warnings=provided.warnings)


def _curve_at(entry: Entry, label: str, times: FloatArray) -> FloatArray:
    """Return the positive evidence of an entry at ``times``, which are its own unless it is of another model."""
    tracks = entry.analysis.drawn[label]
    curve = _curve(tracks)
    return curve if len(curve) == len(times) else np.interp(times, tracks[0].times, curve)


def _curve(tracks: Sequence[Track]) -> FloatArray:
    """Return the positive evidence ``(N,)`` at each step of the timeline, NaN where no clip looked."""
    total: FloatArray = np.sum([t.maps.clip(0).sum(axis=(1, 2), dtype=np.float64) for t in tracks], axis=0)
    return total


def peak_of(entries: Sequence[Entry], label: str) -> float:
    """Return the second at which the methods together have most evidence for the label, each scaled by its own peak.

    Against another label evidence of both signs counts: where the difference is largest.
    """
    times = entries[0].analysis.times_s
    curves = [np.nan_to_num(_curve_at(e, label, times)) for e in entries]
    if entries[0].analysis.versus is not None:
        against = [replace(e, analysis=replace(e.analysis, drawn={label: _negated(e.analysis.drawn[label])})) for e in entries]
        curves = [c + np.nan_to_num(_curve_at(e, label, times)) for c, e in zip(curves, against, strict=True)]
    together = np.sum([c / c.max() for c in curves if c.max() > 0] or [curves[0]], axis=0)
    return float(entries[0].analysis.times_s[int(np.argmax(together))])


def _negated(tracks: Sequence[Track]) -> tuple[Track, ...]:
    return tuple(replace(t, maps=-t.maps) for t in tracks)


def _draw(source: Source, made: Comparison, outputs: Outputs, settings: Settings, progress: Progress | None) -> Comparison:
    """Run the second pass: draw every frame at its own time, and take pictures of the peak second."""
    first = made.entries[0].analysis
    size = first.source.height, first.source.width
    grid = _grid(made, size)
    whole = Box(0.0, 0.0, float(size[0]), float(size[1]))
    signed = made.versus is not None
    tracks = [
        [[agreement.crop_track(t, whole, grid.cell) for t in e.analysis.drawn[k]] for k in made.labels] for e in made.entries
    ]
    pictured = made

    def picture_of(frame: Frame) -> UInt8Array:
        nonlocal pictured
        if pictured.plain is None and frame.end > made.peak_s:
            pictured = _pictured(made, frame)
        heats = [
            [render_heat(parts, time=frame.time, scale=e.analysis.scale, size=grid.cell, against=signed) for parts in row]
            for e, row in zip(made.entries, tracks, strict=True)
        ]
        return grid.draw(frame.image, heats, time=frame.time)

    drawing = DrawPass(source, settings, frames=first.frames, progress=progress, encoding=outputs.encoding)
    drawing.run(picture_of, outputs.video, size=grid.size, overwrite=outputs.overwrite)
    warnings = tuple(dict.fromkeys([*made.warnings, *drawing.warnings]))
    return replace(pictured, offset_s=drawing.offset_s, warnings=warnings)


def _pictured(made: Comparison, frame: Frame) -> Comparison:
    """Return the comparison with small pictures of this frame: as it is, and with the heat of every method and class."""
    height, width = frame.image.shape[:2]
    small = max(1, round(height * THUMB / width))
    signed = made.versus is not None

    def picture(e: Entry, label: str) -> UInt8Array:
        tracks, scale = e.analysis.drawn[label], e.analysis.scale
        heat = render_heat(tracks, time=frame.time, scale=scale, size=(height, width), against=signed)
        return thumb(frame.image, heat, width=THUMB, signed=signed)

    return replace(
        made,
        plain=cast("UInt8Array", cv2.resize(frame.image, (THUMB, small), interpolation=cv2.INTER_AREA)),
        pictures={(e.name, k): picture(e, k) for e in made.entries for k in made.labels},
    )


def _grid(made: Comparison, size: tuple[int, int]) -> Grid:
    first = made.entries[0].analysis
    versus = "" if made.versus is None else f" · each class rather than {made.versus}"
    return Grid(
        source_size=size,
        rows=[_row(e, made) for e in made.entries],
        columns=[(label, _percents(made, label)) for label in made.labels],
        title=f"{Path(made.source_path).name} · {made.subject}{versus}",
        times=first.times_s,
        span=(float(first.times_s[0]), float(first.times_s[0]) + first.duration_s),
        seen=[t.seen for t in first.drawn[made.labels[0]]],
        versus=made.versus,
    )


def _percents(made: Comparison, label: str) -> str:
    """Return the probability of a label; for several models, that of each."""
    return " / ".join(map(percent, made.probs_of(label).values())) if made.of_models else percent(made.probs[label])


def _row(entry: Entry, made: Comparison) -> Row:
    times = made.entries[0].analysis.times_s
    curves = [_curve_at(entry, k, times) if made.versus is None else entry.analysis.curves[k] for k in made.labels]
    peak = max(float(np.nanmax(np.abs(c))) for c in curves) or 1.0
    unit = " logits" if entry.analysis.completeness_error is not None else ""
    facts = [entry.method.title, f"1.0 = {entry.analysis.scale:.3g}{unit}", f"{duration(entry.window_s)} per window"]
    if made.versus is not None and not entry.method.signed:
        facts.insert(1, "one side only")
    if math.isfinite(entry.class_correlation):
        facts.append(f"classes alike: {entry.class_correlation:.2f}".replace("-", "−"))
    return Row(entry.name, tuple(facts), tuple(c / peak for c in curves))
