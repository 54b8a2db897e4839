"""What was found out, as plain values for the page's own drawing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vidcam.analysis import Analysis
from vidcam.engine import automatic, unknown_to
from vidcam.models import registry
from vidcam.reports.formats import stretches
from vidcam.reports.html import answer, headline, jpeg, percent
from vidcam.values import FloatArray

from . import menus
from .sessions import Session
from .uploads import Video, megabytes

__all__ = ["TITLES", "answered", "downloads", "of_video", "shown"]

POINTS = 600  # of a curve; a screen shows no more
TITLES = {"video": "MP4", "html": "Report", "json": "JSON", "csv": "CSV", "vtt": "Subtitles", "npz": "Maps"}
VERDICTS = {
    "supported": "Taking this evidence away hurts the answer more than taking away as much elsewhere.",
    "weak": "Taking this evidence away hurts the answer a little more than taking away as much elsewhere, not surely more.",
    "not supported": "Taking this evidence away hurts the answer no more than taking away as much elsewhere: mistrust the map.",
}


def of_video(session: Session, video: Video) -> dict[str, Any]:
    """A chosen video, before anything is known about it."""
    address = session.serve(video.path, name=video.name)
    return {"name": video.name, "facts": video.facts, "poster": video.poster, "url": address, "sound": video.sound}


def shown(analysis: Analysis, number: str, video: str) -> dict[str, Any]:
    """The answer with its moments and its course in time; ``number`` names the analysis, ``video`` where its picture is."""
    t0 = float(analysis.times_s[0])
    told, rejection = headline(analysis), rejected(analysis)
    times, curves = _thin(analysis.times_s, analysis.curves if rejection is None else {})
    unit = "logit" if analysis.completeness_error is not None else "evidence"
    moments = analysis.moments if rejection is None else ()
    best = max((m for m in moments if m.label == told), key=lambda m: m.score, default=None)
    return {
        "number": number,
        "sentence": answer(analysis) if rejection is None else rejection["sentence"],
        "rejected": rejection is not None,
        "video": video,
        "offset": analysis.video_offset_s,
        "t0": t0,
        "t1": t0 + analysis.duration_s,
        "peak": None if best is None else best.time,
        "moments": [{"time": m.time, "label": m.label, "score": m.score, "src": jpeg(m.image)} for m in moments],
        "times": times,
        "curves": curves,
        "unit": unit,
        "segments": [{"label": s.label, "start": s.start_s, "end": s.end_s} for s in analysis.segments if s.label in curves],
        "windows": [{"start": s.start, "end": s.end, "label": s.label, "prob": s.prob} for s in stretches(analysis.windows)],
    }


def rejected(analysis: Analysis) -> dict[str, Any] | None:
    """What to say if the model sees none of the actions that it knows, and which model of this machine to ask instead.

    None if it sees one.
    """
    spec = registry.get(analysis.model.name)
    if analysis.labels[0] not in spec.rejects:
        return None
    words, (other, _) = unknown_to(spec), automatic()
    known = {item["name"]: item["reason"] for item in menus.model_items()}
    useful = other != spec.name and known.get(other) is None
    return {
        "sentence": f"{words[0].upper()}{words[1:]}.",
        "model": other if useful else None,
        "try": f"Try {other} ({len(menus.labels(other))} actions)" if useful else None,
    }


def answered(analysis: Analysis, session: Session) -> dict[str, Any]:
    """What the model says in figures, whether the evidence bears it, and what to be careful about."""
    verdict = None
    if analysis.verdict is not None:
        v = analysis.verdict
        verdict = {
            "word": v.word,
            "label": analysis.labels[0],
            "why": VERDICTS[v.word],
            "figures": f"Probability lost without it {percent(max(0.0, v.removed))}, without as much elsewhere "
            f"{percent(max(0.0, v.removed_elsewhere))}; {v.windows} windows tried.",
        }
    rejection, warnings = rejected(analysis), list(analysis.warnings)
    if rejection is not None:  # it is said above all others
        warnings = [w for w in warnings if not rejection["sentence"].casefold().startswith(w.partition(";")[0].casefold())]
    facts = [analysis.model.title or analysis.model.name, analysis.method_title or analysis.method]
    if analysis.versus is not None:
        facts.append(f"rather than {analysis.versus}")
    if analysis.unseen_fraction > 0.005:
        facts.append(f"{percent(analysis.unseen_fraction)} not seen")
    return {
        "top": [[label, prob] for label, prob in analysis.top(5)],
        "shown": [] if rejection else list(analysis.labels),
        "rejected": rejection,
        "verdict": verdict,
        "facts": facts,
        "warnings": [session.own_words(w) for w in warnings],
    }


def downloads(session: Session, outputs: Mapping[str, Any]) -> list[dict[str, str]]:
    """The files, each with its address, title and size."""
    return [
        {
            "title": TITLES[kind],
            "name": path.name,
            "size": megabytes(path.stat().st_size),
            "url": session.serve(path, inline=False),
        }
        for kind, path in outputs.items()
    ]


def _thin(times: FloatArray, curves: Mapping[str, FloatArray]) -> tuple[list[float], dict[str, list[float | None]]]:
    """About ``POINTS`` points at most, each column with its strongest one, so that no peak is lost."""
    columns: Sequence[Any] = np.array_split(np.arange(len(times)), min(len(times), POINTS))

    def strongest(curve: FloatArray) -> list[float | None]:
        found = [float(curve[c[int(np.argmax(np.nan_to_num(np.abs(curve[c]), nan=-1.0)))]]) for c in columns]
        return [None if math.isnan(v) else float(f"{v:.4g}") for v in found]

    middle = [float(f"{times[c].mean():.4f}") for c in columns]
    return middle, {label: strongest(curve) for label, curve in curves.items()}
