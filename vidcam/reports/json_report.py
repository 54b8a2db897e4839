"""An analysis as JSON: the keys that docs/json.md describes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from vidcam.analysis import Analysis, ModelInfo, RunInfo
from vidcam.io.json_text import to_json_value, to_utf8_text
from vidcam.reports.predictions import end_of, round_time
from vidcam.values import Prediction

if TYPE_CHECKING:
    from vidcam.metrics.method_choice import MapFigures, MethodChoice

__all__ = ["SCHEMA_VERSION", "choice_json", "describe", "model_json", "report_values", "run_json", "settings_json", "to_json"]

SCHEMA_VERSION = 1
TOP = 5
"""Labels listed for the video and for each window."""

SETTINGS_KEYS = {"seconds_between_clip_starts": "hop_s"}
"""Settings that have another name in JSON: that of version 0.1."""


def to_json(analysis: Analysis) -> dict[str, object]:
    """Return the analysis in JSON's own types; a number that is not finite becomes None."""
    return {key: to_json_value(value) for key, value in report_values(analysis).items()}


def report_values(analysis: Analysis) -> dict[str, object]:
    """Return the values of the JSON report by key, not yet in JSON's own types."""
    a, end = analysis, end_of(analysis)
    return {
        **describe(a),
        "scale": a.scale,
        **run_json(a.run),
        "command": None if a.run.command is None else list(map(to_utf8_text, a.run.command)),
        "settings": settings_json(a),
        "look": asdict(a.look),
        "warnings": a.warnings,
        "summary": {"top": [{"label": label, "prob": prob} for label, prob in a.top(TOP)]},
        "windows": [
            {"start_s": round_time(w.span[0]), "end_s": round_time(min(w.span[1], end)), "top": _top(w)} for w in a.windows
        ],
        "timeline": {"times_s": [round_time(t) for t in a.times_s], "evidence": a.curves},
        "segments": [
            {"label": s.label, "start_s": round_time(s.start_s), "end_s": round_time(s.end_s), "score": s.score}
            for s in a.segments
        ],
        "completeness_error": a.completeness_error,
        "verdict": None if a.verdict is None else {"label": a.labels[0], **asdict(a.verdict), "better_method": _better_json(a)},
        "method_choice": None if a.method_choice is None else choice_json(a.method_choice),
        "unseen_fraction": a.unseen_fraction,
        "outputs": a.outputs,
        "video_offset_s": round_time(a.video_offset_s),
        "timings_s": a.timings_s,
    }


def describe(analysis: Analysis) -> dict[str, object]:
    """Return what was explained and how: the first keys of the JSON report, which are stored beside the maps too."""
    a, source = analysis, analysis.source
    return {
        "schema_version": SCHEMA_VERSION,
        "input": {
            "path": source.path,
            "duration_s": round_time(a.duration_s),
            "frames": a.frames,
            "fps": source.fps,
            "width": source.width,
            "height": source.height,
            "rotation": source.rotation,
            "audio": source.audio,
            "codec": source.codec,
            "start_s": round_time(source.start_s),
            "sha256": source.sha256,
        },
        "model": model_json(a.model),
        "method": a.method,
        "versus": a.versus,
        "unit": "arbitrary" if a.completeness_error is None else "logit",  # logit: the evidence sums to the logit
    }


def choice_json(choice: MethodChoice) -> dict[str, object]:
    """Return how the best method was chosen: the figures of all that were tested, and the reason as a sentence."""

    def figures(maps: Sequence[MapFigures]) -> list[dict[str, object]]:
        return [
            {
                "name": tested.name,
                "mean": tested.mean,
                "lerf_minus_morf": {imputer: asdict(interval) for imputer, interval in tested.lerf_minus_morf.items()},
            }
            for tested in maps
        ]

    return {
        "method": choice.method,
        "default": choice.default,
        "sentence": choice.sentence,
        "beats_controls": choice.beats_controls,
        "windows": choice.clips,
        "tested": figures(choice.tested),
        "controls": figures(choice.controls),
        "refused": choice.refused,
    }


def _better_json(analysis: Analysis) -> dict[str, object] | None:
    better = analysis.better_method
    if better is None:
        return None
    return {**asdict(better), "sentence": better.sentence(analysis.model.name)}


def model_json(model: ModelInfo) -> dict[str, object]:
    """Return the keys of a model in every JSON file."""
    values: dict[str, object] = {
        "name": model.name,
        "weights_sha256": model.weights_sha256,
        "layer": model.target_layer,
        "frames": model.num_frames,
        "interval_s": model.seconds_between_frames,
        "time_cells": model.time_cells,
    }
    return values | {k: v for k, v in (("title", model.title), ("paper", model.paper)) if v is not None}


def run_json(run: RunInfo) -> dict[str, object]:
    """Return the keys of every JSON file that say what ran the model; the model itself is :func:`model_json`."""
    return {"engine": run.engine, "device": run.device, "seed": run.seed, "versions": run.versions}


def settings_json(analysis: Analysis) -> dict[str, object]:
    """Return the settings under the names of version 0.1, and the title and the paper of the method."""
    values = {SETTINGS_KEYS.get(key, key): value for key, value in vars(analysis.settings).items()}
    return values | {"method_title": analysis.method_title, "method_paper": analysis.method_paper}


def _top(window: Prediction) -> list[dict[str, object]]:
    order = np.argsort(-window.probs, kind="stable")[:TOP]
    return [{"label": window.labels[i], "prob": window.probs[i], "logit": window.logits[i]} for i in order]
