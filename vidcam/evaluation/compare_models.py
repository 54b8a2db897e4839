"""Compares models on one video, such as one before and after fine-tuning: answers, maps, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidcam.analysis import Analysis
from vidcam.annotation import Outputs, explain_by_methods, predict
from vidcam.errors import UsageError
from vidcam.evaluation.compare import ANSWERS, class_independent, measure_costs
from vidcam.evaluation.comparison_files import check_page, peak_of, write_comparison
from vidcam.evidence.labels import index_of, label_of
from vidcam.io.clock import SYSTEM
from vidcam.io.source import open_source
from vidcam.methods.lookup import all_methods, get_method
from vidcam.metrics import agreement
from vidcam.pipeline import Progress
from vidcam.reports.comparison import Comparison, Difference, Entry
from vidcam.settings import Settings
from vidcam.values import Box, FloatArray

if TYPE_CHECKING:
    from vidcam.engine import Engine
    from vidcam.methods import core

__all__ = ["compare_models"]

DEFAULT = ("gradcam++", "gradcam", "occlusion")
"""The method, the same for all models, if none is named: the first that works on each."""

DEFAULT_SETTINGS, NOTHING = Settings(), Outputs()


def compare_models(
    path: str | Path,
    outputs: Outputs = NOTHING,
    *,
    engines: Sequence[Engine],
    settings: Settings = DEFAULT_SETTINGS,
    method: str | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Explain a video by two models or more with one method, compare them, and write what ``outputs`` names.

    Args:
        path: The video, as for :func:`vidcam.open_source`.
        outputs: The grid video, the page and the JSON to write; nothing by default.
        engines: The models.
        settings: How to explain; ``method`` and ``verdict`` are left alone. Without classes, the most probable answers of each
            model among the labels that all of them have.
        method: The name of the method; by default the first of :data:`DEFAULT` that works on each model.
        progress: Called with the stage, such as "1 of 2: explain", the frames done, and all frames if their number is known.

    Returns:
        One entry for each model. ``differences`` says, for each class, when and where the maps of the first two differ most, each
        as a share of its own largest value.

    Raises:
        UsageError: There are fewer than two models, they have no label in common, or no method works on all of them.
        UnknownNameError: There is no such method, or a model does not know a class.
        OutputError: A file cannot be written.
        VidcamError: As for :func:`vidcam.explain`.
    """
    began = SYSTEM.now()
    outputs.check(str(path))
    playable = check_page(path, outputs)
    if len(engines) < 2:
        raise UsageError(f"models are compared if there are at least two, got {len(engines)}")
    chosen = _method_of_all(engines, method)
    names = _distinct_names(engines)
    settings = replace(settings, method=None, verdict=False)
    labels = _labels(path, engines, settings, progress)
    settings = replace(settings, classes=labels)
    analyses = {}
    for n, (name, engine) in enumerate(zip(names, engines, strict=True)):
        found, refused = explain_by_methods(
            path, engine=engine, settings=settings, methods=[chosen.name], progress=_of_model(n, engines, progress)
        )
        if not found:
            raise UsageError(f"{chosen.name} does not work on {name}: {refused[chosen.name]}")
        analyses[name] = replace(found[chosen.name], tracks={})
    times = next(iter(analyses.values())).times_s
    analyses = {name: _on_times(analysis, times) for name, analysis in analyses.items()}
    with open_source(path) as source:
        costs = {n: measure_costs(source, e, settings, [chosen])[chosen.name] for n, e in zip(names, engines, strict=True)}
        laid, moments, box = _laid(analyses, labels)
        entries = tuple(
            Entry(
                method=chosen,
                analysis=analysis,
                window_s=costs[name],
                class_correlation=agreement.class_correlation([laid[name][label].signed for label in labels]),
                class_independent=class_independent(analysis, labels),
                model=name,
            )
            for name, analysis in analyses.items()
        )
        agreements = {label: agreement.measure_agreement({n: laid[n][label].for_ for n in laid}) for label in labels}
        size = source.info.height, source.info.width
        made = Comparison(
            entries=entries,
            labels=labels,
            refused={},
            identical=(),
            agreement=agreements,
            moments_s=moments,
            peak_s=peak_of(entries, labels[0]),
            plain=None,
            pictures={},
            notes=tuple(_notes(analyses)),
            warnings=tuple(dict.fromkeys(w for a in analyses.values() for w in a.warnings)),
            outputs={kind: str(target) for kind, target in outputs.paths().items()},
            offset_s=0.0,
            seconds=0.0,
            differences={label: _difference({n: laid[n][label].signed for n in laid}, moments, box, size) for label in labels},
        )
        made = write_comparison(source, made, outputs, settings, playable, progress, began=began)
    return made


def _method_of_all(engines: Sequence[Engine], name: str | None) -> core.Method:
    """Return the method; raise UsageError, with those that work on every model, if it does not."""
    provides = frozenset.intersection(*(engine.spec.provides for engine in engines))
    for candidate in (name,) if name else DEFAULT:
        if (method := get_method(candidate)).requires <= provides:
            return method
    works = ", ".join(m.name for m in all_methods() if m.requires <= provides)
    raise UsageError(f"{name} does not work on all of these models: choose one of {works}")


def _of_model(n: int, engines: Sequence[Engine], progress: Progress | None) -> Progress | None:
    """Return a progress that names each stage with the number of the model that is at work, counted from 0."""
    if progress is None:
        return None
    return lambda stage, done, total: progress(f"{n + 1} of {len(engines)}: {stage}", done, total)


def _distinct_names(engines: Sequence[Engine]) -> tuple[str, ...]:
    """Return the names of the models, of folders and files their last part, told apart by a number if they are the same."""
    short = [Path(engine.spec.name).name for engine in engines]
    full = [engine.spec.name for engine in engines]
    names = short if len(set(short)) == len(short) else full
    return tuple(name if names.count(name) == 1 else f"{name} #{i + 1}" for i, name in enumerate(names))


def _labels(path: str | Path, engines: Sequence[Engine], settings: Settings, progress: Progress | None) -> tuple[str, ...]:
    """Return the classes to explain: those that were named, else the best answer of each model among their common labels."""
    if settings.versus is not None:
        for engine in engines:
            index_of(engine.labels, settings.versus)
    if settings.classes:
        return tuple(dict.fromkeys(_shared_label(engines, name) for name in settings.classes))
    common = [
        label
        for label in engines[0].labels
        if label != settings.versus and all(label in e.labels and label not in e.spec.rejects for e in engines)
    ]
    if not common:
        raise UsageError("these models have no label in common, so their evidence cannot be compared: choose models that do")
    best: list[str] = []
    for n, engine in enumerate(engines):
        probs = predict(path, engine=engine, settings=settings, progress=_of_model(n, engines, progress))
        best += [label for label in probs if label in common][:ANSWERS]
    ranked = sorted(dict.fromkeys(best), key=lambda label: best[::ANSWERS].count(label), reverse=True)
    return tuple(ranked[: max(ANSWERS, len(engines))])


def _shared_label(engines: Sequence[Engine], name: str | int) -> str:
    """Return the label that ``name`` stands for in every model; UsageError if it is not the same one in all of them."""
    labels = dict.fromkeys(label_of(engine.labels, name) for engine in engines)
    if len(labels) > 1:
        raise UsageError(
            f"the label of {name!r} is not the same in all of these models, but {' and '.join(map(repr, labels))}: "
            "spell it in the same way in their labels"
        )
    return next(iter(labels))


def _on_times(analysis: Analysis, times: FloatArray) -> Analysis:
    """Return an analysis whose curves are at ``times``, as those of the first model are."""
    if np.array_equal(analysis.times_s, times):
        return analysis
    curves = {label: np.interp(times, analysis.times_s, curve) for label, curve in analysis.curves.items()}
    return replace(analysis, times_s=times, curves=curves)


def _laid(
    analyses: Mapping[str, Analysis], labels: Sequence[str]
) -> tuple[dict[str, dict[str, agreement.LatticeMaps]], FloatArray, Box]:
    """Lay the maps of every model on one lattice over what all of them see, at times at which all have evidence."""
    of_first_label = [analysis.drawn[labels[0]] for analysis in analyses.values()]
    every = [track for tracks in of_first_label for track in tracks]
    times = agreement.shared_times(of_first_label[0])
    times = times[[all(track.times[0] <= t <= track.times[-1] and track.at(t) is not None for track in every) for t in times]]
    if not len(times):
        raise UsageError("the clips of these models have no moment in common: let them begin closer to each other, with --hop")
    boxes = [agreement.box_around(tracks) for tracks in of_first_label]
    box = Box(max(b.y0 for b in boxes), max(b.x0 for b in boxes), min(b.y1 for b in boxes), min(b.x1 for b in boxes))
    laid = {
        name: {label: agreement.lay_on_lattice(a.drawn[label], times, box=box) for label in labels}
        for name, a in analyses.items()
    }
    return laid, times, box


def _difference(maps: Mapping[str, FloatArray], times: FloatArray, box: Box, size: tuple[int, int]) -> Difference | None:
    """Return when and where the signed maps of the first two models differ most; None if one is empty, or both are the same."""
    (first, a), (second, b) = list(maps.items())[:2]
    if not a.any() or not b.any():
        return None
    gap = b / np.abs(b).max() - a / np.abs(a).max()
    if np.abs(gap).max() < agreement.SAME_MAP:
        return None
    n = int(np.abs(gap).sum(axis=(1, 2)).argmax())
    y, x = np.unravel_index(int(np.abs(gap[n]).argmax()), gap[n].shape)
    rows, columns = gap[n].shape
    return Difference(
        time_s=float(times[n]),
        x=(box.x0 + (int(x) + 0.5) * (box.x1 - box.x0) / columns) / size[1],
        y=(box.y0 + (int(y) + 0.5) * (box.y1 - box.y0) / rows) / size[0],
        more=second if gap[n, y, x] > 0 else first,
    )


def _notes(analyses: Mapping[str, Analysis]) -> Iterator[str]:
    """Yield what a reader of the figures should know, in sentences."""
    answers = {name: analysis.top(1)[0][0] for name, analysis in analyses.items()}
    if len(set(answers.values())) > 1:
        yield "the models answer differently: " + ", ".join(f"{name} {label!r}" for name, label in answers.items())
    for name, label in answers.items():
        if others := [other for other, analysis in analyses.items() if label not in analysis.windows[0].labels]:
            know = "does not know it" if len(others) == 1 else "do not know it"
            yield f"the evidence for {label!r}, the answer of {name}, is not compared, because {' and '.join(others)} {know}"
