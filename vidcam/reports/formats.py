"""What one run found out, as files: JSON, CSV, WebVTT, NPZ and a one-file HTML report. The formats are in docs/json.md.

Every file appears complete or not at all. Names that come from outside (labels, paths) are text and stay text in every format.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import os
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO

import numpy as np
import numpy.typing as npt

from vidcam.analysis import Analysis, ModelInfo, RunInfo
from vidcam.errors import InputError
from vidcam.evidence.storage import LARGE, release
from vidcam.io import json_text
from vidcam.io.files import atomic_write, check_output, save
from vidcam.reports.html import Stretch, percent, render
from vidcam.values import Box, FloatArray, Prediction, Track

__all__ = [
    "SCHEMA_VERSION",
    "cell",
    "load_maps",
    "stretches",
    "to_json",
    "write_csv",
    "write_html",
    "write_json",
    "write_npz",
    "write_vtt",
]

SCHEMA_VERSION = 1
_TOP = 5  # labels listed for the video and for each window

PathLike = str | os.PathLike[str]


# ---------------------------------------------------------------------------------------------------------------- JSON


def to_json(analysis: Analysis) -> dict[str, object]:
    """The run as plain JSON values, the keys of docs/json.md; a number that is not finite becomes None."""
    return {key: json_text.plain(value) for key, value in _values(analysis).items()}


def _values(a: Analysis) -> dict[str, object]:
    return {
        **_about(a),
        "scale": a.scale,
        **run_json(a.run),
        "settings": settings_json(a),
        "warnings": a.warnings,
        "summary": {"top": [{"label": label, "prob": prob} for label, prob in a.top(_TOP)]},
        "windows": [{"start_s": w.span[0], "end_s": w.span[1], "top": _top(w)} for w in a.windows],
        "timeline": {"times_s": a.times_s, "evidence": a.curves},
        "segments": [{"label": g.label, "start_s": g.start_s, "end_s": g.end_s, "score": g.score} for g in a.segments],
        "completeness_error": a.completeness_error,
        "verdict": None if a.verdict is None else {"label": a.labels[0], **asdict(a.verdict)},
        "unseen_fraction": a.unseen_fraction,
        "outputs": a.outputs,
        "video_offset_s": a.video_offset_s,
        "timings_s": a.timings_s,
    }


def _about(a: Analysis) -> dict[str, object]:
    """What was explained, and how: the first keys of the JSON, and what maps are stored with."""
    s = a.source
    return {
        "schema_version": SCHEMA_VERSION,
        "input": {
            "path": s.path,
            "duration_s": a.duration_s,
            "frames": a.frames,
            "fps": s.fps,
            "width": s.width,
            "height": s.height,
            "rotation": s.rotation,
            "audio": s.audio,
            "codec": s.codec,
            "start_s": s.start_s,
        },
        "model": model_json(a.model),
        "method": a.method,
        "versus": a.versus,
        "unit": _unit(a),
    }


def model_json(model: ModelInfo) -> dict[str, object]:
    """The keys of a model in every JSON file."""
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
    """What ran the model, in every JSON file; the model itself is :func:`model_json`."""
    return {"engine": run.engine, "device": run.device, "seed": run.seed, "versions": run.versions}


def settings_json(analysis: Analysis) -> dict[str, object]:
    """The settings under the names of 0.1, with what the method is called and where it is published."""
    values = {_SETTINGS_KEYS.get(key, key): value for key, value in vars(analysis.settings).items()}
    return values | {"method_title": analysis.method_title, "method_paper": analysis.method_paper}


_SETTINGS_KEYS = {"seconds_between_clip_starts": "hop_s"}


def write_json(analysis: Analysis, path: PathLike, *, overwrite: bool = False) -> None:
    """Write :func:`to_json` as strict UTF-8 JSON, one top-level key a line. OutputError where it cannot be written."""
    _save(analysis, path, json_text.document(_values(analysis)), overwrite=overwrite)


def _unit(analysis: Analysis) -> str:
    """``logit`` where the method's evidence sums to the logit, else ``arbitrary``: only its sign and proportions count."""
    return "arbitrary" if analysis.completeness_error is None else "logit"


def _top(window: Prediction) -> list[dict[str, object]]:
    order = np.argsort(-window.probs, kind="stable")[:_TOP]
    return [{"label": window.labels[i], "prob": window.probs[i], "logit": window.logits[i]} for i in order]


# ----------------------------------------------------------------------------------------------------------------- CSV


def write_csv(analysis: Analysis, path: PathLike, *, overwrite: bool = False) -> None:
    """Write one row for each time of the timeline: the time, each label's evidence per second, the model's top label there."""
    a = analysis
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    writer.writerow(["time_s", *(f"evidence:{label}" for label in a.labels), "top_label", "top_prob"])
    answers = _owners(a.windows, a.times_s)
    tops = [w.top(1)[0] for w in a.windows]
    for i, time in enumerate(a.times_s):
        label, prob = tops[answers[i]] if answers[i] >= 0 else ("", "")
        evidence = ["" if math.isnan(c[i]) else float(c[i]) for c in a.curves.values()]
        writer.writerow([float(time), *evidence, cell(label), prob])
    _save(analysis, path, out.getvalue(), overwrite=overwrite)


def cell(text: str) -> str:
    """``text`` that no spreadsheet takes for a formula: one that could be gets an apostrophe before it."""
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20")) else text


def _owners(windows: Sequence[Prediction], times: FloatArray) -> npt.NDArray[np.intp]:
    """For each of the increasing ``times`` the index of the window that holds it and has the nearest middle; -1 for none."""
    best, nearest = np.full(len(times), -1), np.full(len(times), np.inf)
    for i, (start, end) in enumerate(w.span for w in windows):
        held = slice(np.searchsorted(times, start, side="left"), np.searchsorted(times, end, side="right"))
        distance = np.abs(times[held] - (start + end) / 2)
        best[held] = np.where(distance < nearest[held], i, best[held])
        nearest[held] = np.minimum(distance, nearest[held])
    return best


def stretches(windows: Sequence[Prediction]) -> list[Stretch]:
    """What the model says in the course of time: at each moment the most probable label of the window whose middle is nearest."""
    spans = np.array([w.span for w in windows])
    middles = np.sort(spans.mean(axis=1))
    edges = np.unique(np.concatenate([spans.ravel(), (middles[1:] + middles[:-1]) / 2]))
    tops = [w.top(1)[0] for w in windows]
    out: list[Stretch] = []
    for start, end, owner in zip(edges[:-1], edges[1:], _owners(windows, (edges[1:] + edges[:-1]) / 2), strict=True):
        if owner < 0:
            continue
        label, prob = tops[owner]
        if out and out[-1].label == label and out[-1].end == start:
            begin, _, _, before = out.pop()
            prob = (before * (start - begin) + prob * (end - start)) / (end - begin)
            start = begin
        out.append(Stretch(float(start), float(end), label, float(prob)))
    return out


# ---------------------------------------------------------------------------------------------------------------- WebVTT


def write_vtt(analysis: Analysis, path: PathLike, *, overwrite: bool = False) -> None:
    """Write subtitles: the labels whose evidence holds; where none does, what the model predicts. Cues never overlap."""
    blocks = [
        "WEBVTT - when the evidence for each label holds",
        "NOTE\nTimes are those of the written video's own clock.",
    ]
    for start, end, text in _cues(analysis):
        blocks.append(f"{_vtt_time(start)} --> {_vtt_time(end)}\n{text}")
    _save(analysis, path, "\n\n".join(blocks) + "\n", overwrite=overwrite)


def _cues(analysis: Analysis) -> list[tuple[int, int, str]]:
    """(start, end, text) in whole milliseconds, in order, without overlap: cut wherever a segment or a prediction changes."""

    def ms(seconds: float) -> int:
        return max(0, round((seconds - analysis.video_offset_s) * 1000))

    spans = [(ms(g.start_s), ms(g.end_s), f"{_vtt_text(g.label)}: evidence {g.score:+.3g}/s") for g in analysis.segments]
    first_prediction = len(spans)
    for start_s, end_s, label, prob in stretches(analysis.windows):
        spans.append((ms(start_s), ms(end_s), f"prediction: {_vtt_text(label)}, {percent(prob)}"))
    starting: dict[int, list[int]] = defaultdict(list)
    for i, (start, _, _) in enumerate(spans):
        starting[start].append(i)

    cues: list[tuple[int, int, str]] = []
    active: list[int] = []
    for start, end in itertools.pairwise(sorted({edge for span in spans for edge in span[:2]})):
        active = sorted(i for i in active + starting[start] if spans[i][1] > start)
        lines = [spans[i][2] for i in active if i < first_prediction] or [spans[i][2] for i in active]
        text = "\n".join(lines)
        if text and cues and cues[-1][1:] == (start, text):
            start = cues.pop()[0]
        if text:
            cues.append((start, end, text))
    return cues


def _vtt_time(ms: int) -> str:
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


def _vtt_text(label: str) -> str:
    """``label`` on one line (an empty line would end the cue), with the three characters that WebVTT reserves escaped."""
    line = " ".join(label.split())
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# ------------------------------------------------------------------------------------------------------------------ NPZ


def write_npz(analysis: Analysis, path: PathLike, *, overwrite: bool = False) -> None:
    """Write the raw signed maps on the model's own grid, with when and where each cell is; :func:`load_maps` reads them back."""
    tracks = [track for group in analysis.tracks.values() for track in group]
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "labels": np.array([json_text.text(t.label) for t in tracks], dtype=np.str_),
        "cell_s": np.array([t.cell_s for t in tracks], dtype=np.float64),
        "source_hw": np.array([analysis.source.height, analysis.source.width]),
        "about": np.array(json.dumps(json_text.plain(_about(analysis)))),
    }
    for i, track in enumerate(tracks):
        arrays[f"maps_{i}"] = np.asarray(track.maps, dtype=np.float32)
        for name in ("times", "ys", "xs", "seen"):
            arrays[f"{name}_{i}"] = np.asarray(getattr(track, name), dtype=np.float64)
    check_output(path, overwrite=overwrite, source=analysis.source.path)
    with atomic_write(path, overwrite=overwrite) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write_array(member, array)


def _write_array(file: IO[bytes], array: npt.NDArray[np.generic]) -> None:
    """Write ``array`` as NPY a piece at a time; numpy's own writers would have much of it in memory, twice."""
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    flat = array.ravel(order="F" if array.flags.fnc else "C")
    step = LARGE // max(1, array.itemsize)
    for start in range(0, flat.size, step):
        file.write(flat[start : start + step].tobytes())
        release(array)


def load_maps(path: PathLike) -> dict[str, tuple[Track, ...]]:
    """The tracks that :func:`write_npz` wrote, by label, one for each crop. InputError where the file is not such a file."""
    tracks: dict[str, tuple[Track, ...]] = {}
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            for i, label in enumerate(file["labels"].tolist()):
                times, maps, ys, xs = (file[f"{name}_{i}"] for name in ("times", "maps", "ys", "xs"))
                seen = Box(*file[f"seen_{i}"].tolist())
                tracks[label] = (*tracks.get(label, ()), Track(label, times, maps, ys, xs, seen, float(file["cell_s"][i])))
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as err:
        raise InputError(f"cannot read {os.fspath(path)!r} as maps: {err}. Expected an .npz that vidcam wrote (--maps).") from err
    return tracks


# ----------------------------------------------------------------------------------------------------------------- HTML


def write_html(analysis: Analysis, path: PathLike, *, overwrite: bool = False) -> None:
    """Write the report as one HTML file that needs nothing else: pictures inside, no request to anywhere.

    The annotated video, where ``outputs`` has an .mp4, is linked relative to ``path`` and played beside the timeline.
    """
    _save(analysis, path, render(analysis, to_json(analysis), stretches(analysis.windows), beside=path), overwrite=overwrite)


def _save(analysis: Analysis, path: PathLike, content: str | bytes, *, overwrite: bool) -> None:
    save(path, content, overwrite=overwrite, source=analysis.source.path)
