"""Explanation methods × classes on one video: a grid video, a page, and how far the methods agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from vidcam.analysis import Analysis, index_of
from vidcam.annotation import Outputs, explain
from vidcam.errors import IncompatibleError, UsageError
from vidcam.evidence.heat import render_heat
from vidcam.io.clock import SYSTEM
from vidcam.io.source import Source, open_source
from vidcam.io.writer import VideoWriter
from vidcam.methods import core
from vidcam.metrics import agreement
from vidcam.metrics.agreement import Agreement
from vidcam.pipeline import Progress, Session, Settings, explanations
from vidcam.render import thumb
from vidcam.render.grid import Grid, Row
from vidcam.reports import html
from vidcam.reports.comparison import Comparison, Entry, write_html, write_json
from vidcam.values import Box, FloatArray, Frame, Track, UInt8Array

if TYPE_CHECKING:
    from vidcam.engine import Engine
    from vidcam.models.registry import ModelSpec

__all__ = ["compare"]

DEFAULT = (("cam", "gradcam"), ("gradcam++",), ("layercam",), ("eigencam",), ("gradientxinput",), ("lrp", "attention-rollout"))
"""What is compared where nobody has named a method: of each family the first that the model can bear."""

ANSWERS = 2  # classes, where nobody has named one
THUMB = 320  # pixels
POOLED = frozenset({"cam", "gradcam", "gradcam-slice", "xgradcam", "hirescam"})
"""Methods that are one where the head is global average pooling and linear: the gradient there is the same in every cell."""

DEFAULT_SETTINGS, NOTHING = Settings(), Outputs()


def compare(
    path: str | Path,
    outputs: Outputs = NOTHING,
    *,
    engine: Engine,
    settings: Settings = DEFAULT_SETTINGS,
    methods: Sequence[str] = (),
    progress: Progress | None = None,
) -> Comparison:
    """Explain a video with each of the ``methods`` and compare them; writes the video, page and JSON that ``outputs`` names.

    Without ``methods``, one of each family (:data:`DEFAULT`); without ``settings.classes``, the two most probable answers of the
    whole video. ``settings.method`` and ``settings.verdict`` are left alone. A method that does not work on the model is left
    out and told in ``refused``; UsageError where none is left. Raises UnknownNameError for methods and classes that do not
    exist, what :func:`vidcam.explain` raises, and OutputError.
    """
    began = SYSTEM.now()
    outputs.check(str(path))
    chosen, refused = _chosen(methods, engine.spec)
    settings = replace(settings, method=None, verdict=False)
    if settings.versus is not None:
        settings = replace(settings, versus=engine.labels[index_of(engine.labels, settings.versus)])
    labels = _labels(path, engine, settings, progress)
    settings = replace(settings, classes=labels)
    analyses: dict[str, Analysis] = {}
    for method in chosen:
        try:
            one = replace(settings, method=method.name)
            found = explain(path, engine=engine, settings=one, progress=_named(method.name, progress))
        except IncompatibleError as error:
            refused[method.name] = str(error)
            continue
        analyses[method.name] = replace(found, tracks={})
    if not analyses:
        *others, last = refused.values()
        reasons = "; ".join(dict.fromkeys([*map(_short, others), last]))
        raise UsageError(f"none of these methods works here: {reasons}")
    with open_source(path) as source:
        costs = _costs(source, engine, settings, [m for m in chosen if m.name in analyses])
        entries, agreements, times = _compared(analyses, labels, costs)
        identical = _identical(entries)
        made = Comparison(
            entries=entries,
            labels=labels,
            refused=refused,
            identical=identical,
            agreement=agreements,
            moments_s=times,
            peak_s=_peak(entries, labels[0]),
            plain=None,
            pictures={},
            notes=tuple(_notes(entries, labels, refused, identical, agreements, engine.spec)),
            warnings=tuple(dict.fromkeys(w for e in entries for w in e.analysis.warnings)),
            outputs={kind: str(target) for kind, target in outputs.paths().items()},
            offset_s=0.0,
            seconds=0.0,
        )
        if outputs.video or outputs.html:
            made = _draw(source, made, outputs, settings, progress)
    made = replace(made, seconds=SYSTEM.now() - began)
    if outputs.html:
        write_html(made, outputs.html, overwrite=outputs.overwrite)
    if outputs.json:
        write_json(made, outputs.json, overwrite=outputs.overwrite)
    return made


def _chosen(names: Sequence[str], spec: ModelSpec) -> tuple[list[core.Method], dict[str, str]]:
    """The methods to try, and those that the model's facts rule out, with the reason."""
    chosen: dict[str, core.Method] = {}
    refused: dict[str, str] = {}
    for family in [(name,) for name in names] or DEFAULT:
        reasons = {}
        for method in map(core.get, family):
            try:
                core.check(method, spec)
            except IncompatibleError as error:
                reasons[method.name] = str(error)
            else:
                chosen[method.name] = method
                break
        else:
            refused |= reasons
    return list(chosen.values()), refused


def _labels(path: str | Path, engine: Engine, settings: Settings, progress: Progress | None) -> tuple[str, ...]:
    """The classes to explain: those that were named, else the most probable answers of the whole video."""
    if settings.classes:
        return tuple(dict.fromkeys(engine.labels[index_of(engine.labels, c)] for c in settings.classes))
    looked = explain(path, engine=engine, settings=replace(settings, method="gradcam"), progress=_named("look", progress))
    return tuple(label for label, _ in looked.top(ANSWERS + 1) if label != settings.versus)[:ANSWERS]


def _named(stage: str, progress: Progress | None) -> Progress | None:
    return (lambda _, done, total: progress(stage, done, total)) if progress else None


def _costs(source: Source, engine: Engine, settings: Settings, methods: Sequence[core.Method]) -> dict[str, float]:
    """Seconds that each method takes for the video's first window, all classes; reading and drawing are no part of it."""
    session = Session(engine, replace(settings, method=methods[0].name))
    first = next(explanations(source, session))
    versus = None if settings.versus is None else index_of(engine.labels, settings.versus)
    targets = [core.Target(engine.labels.index(c), versus) for c in settings.classes]
    return {m.name: _seconds(engine, first.clips, targets, m) for m in methods}


def _seconds(engine: Engine, clips: UInt8Array, targets: Sequence[core.Target], method: core.Method) -> float:
    taken: list[float] = []
    while not taken or (len(taken) < 5 and sum(taken) < 0.5):  # the least of several, where they are quick
        began = SYSTEM.now()
        core.explain(engine, clips, targets, method)
        taken.append(SYSTEM.now() - began)
    return min(taken)


def _compared(
    analyses: Mapping[str, Analysis], labels: Sequence[str], costs: Mapping[str, float]
) -> tuple[tuple[Entry, ...], dict[str, Agreement], FloatArray]:
    """Every method on the lattice: the entries, how they agree on each class, and the seconds of the lattice."""
    times = agreement.moments(next(iter(analyses.values())).drawn[labels[0]])
    laid = {name: {label: agreement.laid(a.drawn[label], times) for label in labels} for name, a in analyses.items()}
    entries = []
    for name, analysis in analyses.items():
        drawn = [analysis.drawn[label] for label in labels]
        entries.append(
            Entry(
                method=core.get(name),
                analysis=analysis,
                window_s=costs[name],
                sensitivity=agreement.sensitivity([laid[name][label].signed for label in labels]),
                class_independent=len(drawn) > 1
                and all(agreement.difference(drawn[0], other) < agreement.SAME for other in drawn[1:]),
            )
        )
    return tuple(entries), {k: agreement.agreement({n: laid[n][k].for_ for n in laid}) for k in labels}, times


def _identical(entries: Sequence[Entry]) -> tuple[tuple[str, str, float], ...]:
    def tracks(entry: Entry) -> list[Track]:
        return [t for parts in entry.analysis.drawn.values() for t in parts]

    pairs = [(a.method.name, b.method.name, agreement.difference(tracks(a), tracks(b))) for a, b in combinations(entries, 2)]
    return tuple(pair for pair in pairs if pair[2] < agreement.SAME)


def _notes(
    entries: Sequence[Entry],
    labels: Sequence[str],
    refused: Mapping[str, str],
    identical: Sequence[tuple[str, str, float]],
    agreements: Mapping[str, Agreement],
    spec: ModelSpec,
) -> Iterator[str]:
    """What a reader of the figures should know, in sentences."""
    for name, reason in refused.items():
        yield f"{name} is left out: {_short(reason)}"
    for group in _groups(identical):
        words = f"{', '.join(group[:-1])} and {group[-1]} are one map here"
        if spec.head is not None and POOLED.issuperset(group):
            layers = "one linear layer" if len(spec.head.linears) == 1 else "linear layers with gates"
            words += f": the head is global average pooling and {layers}"
        yield words
    for entry in entries:
        if entry.class_independent:
            yield f"{entry.method.name} is class independent: it has the same map for every class"
    versus = entries[0].analysis.versus
    if versus is not None and (blind := [entry.method.name for entry in entries if not entry.method.signed]):
        yield f"{', '.join(blind)} cannot speak against a class, so what speaks for {versus!r} is missing there"
    for label in labels:
        found = agreements[label]
        if silent := [name for name, r in zip(found.names, np.diag(found.correlation), strict=True) if math.isnan(r)]:
            rather = "" if versus is None else f" rather than {versus!r}"
            yield f"nothing speaks for {label!r}{rather} according to {', '.join(silent)}"


def _short(reason: str) -> str:
    """What is wrong, without what to do about it."""
    return reason.partition(";")[0]


def _groups(identical: Sequence[tuple[str, str, float]]) -> list[list[str]]:
    """The pairs joined: methods that are all one map."""
    groups: list[list[str]] = []
    for a, b, _ in identical:
        group = next((g for g in groups if a in g or b in g), None)
        if group is None:
            groups.append([a, b])
        else:
            group.extend(name for name in (a, b) if name not in group)
    return groups


# --- pictures ------------------------------------------------------------------------------------------------------------------


def _curve(tracks: Sequence[Track]) -> FloatArray:
    """``(N,)``: the positive evidence at each step of the timeline, NaN where no window looked."""
    total: FloatArray = np.sum([t.maps.clip(0).sum(axis=(1, 2), dtype=np.float64) for t in tracks], axis=0)
    return total


def _peak(entries: Sequence[Entry], label: str) -> float:
    """The second at which the methods together have most evidence for the label, each counted by its own peak.

    Against another label evidence of both signs counts: where the difference is largest.
    """
    curves = [np.nan_to_num(_curve(e.analysis.drawn[label])) for e in entries]
    if entries[0].analysis.versus is not None:
        opposed = [[replace(t, maps=-t.maps) for t in e.analysis.drawn[label]] for e in entries]
        curves = [c + np.nan_to_num(_curve(tracks)) for c, tracks in zip(curves, opposed, strict=True)]
    together = np.sum([c / c.max() for c in curves if c.max() > 0] or [curves[0]], axis=0)
    return float(entries[0].analysis.times_s[int(np.argmax(together))])


def _draw(source: Source, made: Comparison, outputs: Outputs, settings: Settings, progress: Progress | None) -> Comparison:
    """The second pass: every frame of the source drawn once, at its own time, and pictures of the peak second."""
    first = made.entries[0].analysis
    info = first.source
    size = info.height, info.width
    grid = _grid(made, size)
    whole = Box(0.0, 0.0, float(size[0]), float(size[1]))
    signed = made.versus is not None
    tracks = [[[agreement.onto(t, whole, grid.cell) for t in e.analysis.drawn[k]] for k in made.labels] for e in made.entries]
    cut = [None if s is None else info.start_s + s for s in (settings.start_s, settings.end_s)]
    with ExitStack() as stack:
        writer: VideoWriter | None = None
        if outputs.video:
            writer = VideoWriter(
                outputs.video,
                size=grid.size,
                source=info.path if info.audio else None,
                start_s=cut[0],
                end_s=cut[1],
                fps_hint=info.fps,
                overwrite=outputs.overwrite,
            )
            stack.enter_context(writer)
        for number, frame in enumerate(source.frames(start=settings.start_s, end=settings.end_s), 1):
            if writer:
                heats = [
                    [render_heat(parts, time=frame.time, scale=e.analysis.scale, size=grid.cell, against=signed) for parts in row]
                    for e, row in zip(made.entries, tracks, strict=True)
                ]
                writer.write(grid.draw(frame.image, heats, time=frame.time), time=frame.time, duration=frame.duration)
            if made.plain is None and frame.end > made.peak_s:
                made = _pictured(made, frame)
            if not writer and made.plain is not None:
                break
            if progress:
                progress("draw", number, first.frames)
    if writer is None:
        return made
    return replace(made, offset_s=writer.offset_s, warnings=tuple(dict.fromkeys([*made.warnings, *writer.warnings])))


def _pictured(made: Comparison, frame: Frame) -> Comparison:
    """The comparison with small pictures of this frame: as it is, and with the heat of every method and class."""
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
        pictures={(e.method.name, k): picture(e, k) for e in made.entries for k in made.labels},
    )


def _grid(made: Comparison, size: tuple[int, int]) -> Grid:
    first = made.entries[0].analysis
    versus = "" if made.versus is None else f" · each class rather than {made.versus}"
    return Grid(
        source_size=size,
        rows=[_row(e, made) for e in made.entries],
        columns=[(label, html.percent(made.probs[label])) for label in made.labels],
        title=f"{Path(made.path).name} · what {made.model} sees{versus}",
        times=first.times_s,
        span=(float(first.times_s[0]), float(first.times_s[0]) + first.duration_s),
        seen=[t.seen for t in first.drawn[made.labels[0]]],
        versus=made.versus,
    )


def _row(entry: Entry, made: Comparison) -> Row:
    drawn = entry.analysis.drawn
    curves = [_curve(drawn[k]) if made.versus is None else entry.analysis.curves[k] for k in made.labels]
    peak = max(float(np.nanmax(np.abs(c))) for c in curves) or 1.0
    unit = " logits" if entry.analysis.completeness_error is not None else ""
    facts = [entry.method.title, f"1.0 = {entry.analysis.scale:.3g}{unit}", f"{html.duration(entry.window_s)} a window"]
    if made.versus is not None and not entry.method.signed:
        facts.insert(1, "one side only")
    if math.isfinite(entry.sensitivity):
        facts.append(f"classes alike: {entry.sensitivity:.2f}".replace("-", "−"))
    return Row(entry.method.name, tuple(facts), tuple(c / peak for c in curves))
