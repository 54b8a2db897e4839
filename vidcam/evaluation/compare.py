"""Compares explanation methods and classes on one video: a page, a grid video, and how far the methods agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidcam.analysis import Analysis
from vidcam.annotation import Outputs, explain_by_methods, predict
from vidcam.errors import IncompatibleError, UsageError
from vidcam.evaluation.comparison_files import check_page, peak_of, write_comparison
from vidcam.evidence.labels import index_of, label_of
from vidcam.io.clock import SYSTEM
from vidcam.io.source import Source, open_source
from vidcam.methods import core
from vidcam.methods.lookup import choose_of_each, get_method
from vidcam.metrics import agreement
from vidcam.metrics.agreement import Agreement
from vidcam.pipeline import Progress, Session, explanations
from vidcam.reports.comparison import Comparison, Entry
from vidcam.settings import Settings
from vidcam.values import FloatArray, Track, UInt8Array

if TYPE_CHECKING:
    from vidcam.engine import Engine
    from vidcam.models.spec import ModelSpec

__all__ = ["ANSWERS", "class_independent", "compare", "measure_costs"]

DEFAULT = (
    ("cam", "gradcam"), ("cam-spread",), ("gradcam++",), ("layercam",), ("eigencam",), ("gradientxinput",),
    ("lrp", "attention-rollout"),
)  # fmt: skip
"""What is compared if no method is named: of each family the first that works on the model."""

ANSWERS = 2  # classes, where nobody has named one
POOLED = frozenset({"cam", "gradcam", "gradcam-slice", "xgradcam", "hirescam"})
"""Methods that give one and the same map if the head is global average pooling and linear: each cell has the same gradient."""

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
    """Explain a video by several methods, compare them, and write what ``outputs`` names.

    Args:
        path: The video, as for :func:`vidcam.open_source`.
        outputs: The grid video, the page and the JSON to write; nothing by default.
        engine: The model that is explained.
        settings: How to explain; ``method`` and ``verdict`` are ignored. Without classes, the two most probable ones in the
            whole video are explained.
        methods: Names of methods; without them, one of each family (:data:`DEFAULT`).
        progress: Is called with the stage, the frames done, and the number of all frames (None if unknown).

    Returns:
        The maps of each method, what each costs, and how far they agree. ``refused`` says which methods do not work on the model.

    Raises:
        UsageError: No method is left.
        UnknownNameError: There is no such method or class.
        OutputError: A file cannot be written.
        VidcamError: As for :func:`vidcam.explain`.

    Example:
        >>> import vidcam
        >>> engine = vidcam.open_engine("mini")
        >>> found = vidcam.compare("clips/walking.mp4", engine=engine, methods=("cam", "gradcam++"))
        >>> [entry.method.name for entry in found.entries]
        ['cam', 'gradcam++']
    """
    began = SYSTEM.now()
    outputs.check(str(path))
    playable = check_page(path, outputs)
    chosen, refused = choose_of_each([(name,) for name in methods] or DEFAULT, engine.spec)
    settings = replace(settings, method=None, verdict=False)
    if settings.versus is not None:
        settings = replace(settings, versus=label_of(engine.labels, settings.versus))
    labels = _labels(path, engine, settings, progress)
    settings = replace(settings, classes=labels)
    names = [method.name for method in chosen]
    analyses: dict[str, Analysis] = {}
    if names:
        try:
            analyses, left_out = explain_by_methods(path, engine=engine, settings=settings, methods=names, progress=progress)
            refused |= left_out
        except IncompatibleError as error:
            refused |= {names[-1]: str(error)}
    if not analyses:
        *others, last = refused.values()
        reasons = "; ".join(dict.fromkeys([*map(_short, others), last]))
        raise UsageError(f"none of these methods works here: {reasons}")
    analyses = {name: replace(analysis, tracks={}) for name, analysis in analyses.items()}
    with open_source(path) as source:
        costs = measure_costs(source, engine, settings, [m for m in chosen if m.name in analyses])
        entries, agreements, times = _compared(analyses, labels, costs)
        identical = _identical(entries)
        made = Comparison(
            entries=entries,
            labels=labels,
            refused=refused,
            identical=identical,
            agreement=agreements,
            moments_s=times,
            peak_s=peak_of(entries, labels[0]),
            plain=None,
            pictures={},
            notes=tuple(_notes(entries, labels, refused, identical, agreements, engine.spec)),
            warnings=tuple(dict.fromkeys(w for e in entries for w in e.analysis.warnings)),
            outputs={kind: str(target) for kind, target in outputs.paths().items()},
            offset_s=0.0,
            seconds=0.0,
        )
        made = write_comparison(source, made, outputs, settings, playable, progress, began=began)
    return made


def _labels(path: str | Path, engine: Engine, settings: Settings, progress: Progress | None) -> tuple[str, ...]:
    """Return the classes to explain: those that were named, else the most probable answers of the whole video.

    A label that means "none of the others" has no evidence, so it is left out.
    """
    if settings.classes:
        return tuple(dict.fromkeys(label_of(engine.labels, c) for c in settings.classes))
    probs = predict(path, engine=engine, settings=settings, progress=progress)
    return tuple(label for label in probs if label != settings.versus and label not in engine.spec.rejects)[:ANSWERS]


def measure_costs(source: Source, engine: Engine, settings: Settings, methods: Sequence[core.Method]) -> dict[str, float]:
    """Return the seconds that each method takes for all classes of the first clip, without reading and drawing."""
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
    """Lay every method on the lattice; return the entries, their agreement on each class, and the seconds of the lattice."""
    times = agreement.shared_times(next(iter(analyses.values())).drawn[labels[0]])
    laid = {name: {label: agreement.lay_on_lattice(a.drawn[label], times) for label in labels} for name, a in analyses.items()}
    entries = []
    for name, analysis in analyses.items():
        entries.append(
            Entry(
                method=get_method(name),
                analysis=analysis,
                window_s=costs[name],
                class_correlation=agreement.class_correlation([laid[name][label].signed for label in labels]),
                class_independent=class_independent(analysis, labels),
            )
        )
    return tuple(entries), {k: agreement.measure_agreement({n: laid[n][k].for_ for n in laid}) for k in labels}, times


def class_independent(analysis: Analysis, labels: Sequence[str]) -> bool:
    """Return whether the maps of all labels are the same."""
    first, *others = (analysis.drawn[label] for label in labels)
    return bool(others) and all(agreement.largest_difference(first, other) < agreement.SAME_MAP for other in others)


def _identical(entries: Sequence[Entry]) -> tuple[tuple[str, str, float], ...]:
    def tracks(entry: Entry) -> list[Track]:
        return [t for parts in entry.analysis.drawn.values() for t in parts]

    pairs = [(a.name, b.name, agreement.largest_difference(tracks(a), tracks(b))) for a, b in combinations(entries, 2)]
    return tuple(pair for pair in pairs if pair[2] < agreement.SAME_MAP)


def _notes(
    entries: Sequence[Entry],
    labels: Sequence[str],
    refused: Mapping[str, str],
    identical: Sequence[tuple[str, str, float]],
    agreements: Mapping[str, Agreement],
    spec: ModelSpec,
) -> Iterator[str]:
    """Yield what a reader of the figures should know, in sentences."""
    for name, reason in refused.items():
        yield f"{name} is left out: {_short(reason)}"
    for group in _groups(identical):
        words = f"{', '.join(group[:-1])} and {group[-1]} are one map here"
        if spec.head is not None and POOLED.issuperset(group):
            layers = "one linear layer" if len(spec.head.classifiers) == 1 else "linear layers with gates"
            words += f": the head is global average pooling and {layers}"
        yield words
    for entry in entries:
        if entry.class_independent:
            yield f"{entry.name} is class independent: it has the same map for every class"
    versus = entries[0].analysis.versus
    if versus is not None and (blind := [entry.name for entry in entries if not entry.method.signed]):
        yield f"{', '.join(blind)} cannot speak against a class, so what speaks for {versus!r} is missing there"
    for label in labels:
        found = agreements[label]
        if silent := [name for name, r in zip(found.names, np.diag(found.correlation), strict=True) if math.isnan(r)]:
            rather = "" if versus is None else f" rather than {versus!r}"
            yield f"nothing speaks for {label!r}{rather} according to {', '.join(silent)}"


def _short(reason: str) -> str:
    """Return the reason without the advice that follows it."""
    return reason.partition(";")[0]


def _groups(identical: Sequence[tuple[str, str, float]]) -> list[list[str]]:
    """Join pairs of identical methods to groups that share one map."""
    groups: list[list[str]] = []
    for a, b, _ in identical:
        group = next((g for g in groups if a in g or b in g), None)
        if group is None:
            groups.append([a, b])
        else:
            group.extend(name for name in (a, b) if name not in group)
    return groups
