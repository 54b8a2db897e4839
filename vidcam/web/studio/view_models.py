"""Results as plain values, which the page's scripts draw."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vidcam.analysis import Analysis
from vidcam.engine import choose_default_model, rejection_sentence
from vidcam.evidence.curves import thin_curves
from vidcam.io.formatting import percent
from vidcam.models.table import get_spec
from vidcam.reports.answer import explained_label, summarize
from vidcam.reports.formats import get_format
from vidcam.reports.predictions import predicted_spans
from vidcam.reports.templating import jpeg_url
from vidcam.values import FloatArray

from . import menus
from .sessions import Session
from .uploads import Video, megabytes

__all__ = ["answered", "downloads", "of_video", "shown"]

POINTS = 600  # of a curve; a screen shows no more
VERDICTS = {
    "supported": "Taking this evidence away hurts the answer more than taking away as much elsewhere.",
    "weak": "Taking this evidence away hurts the answer more than taking away as much elsewhere, but only a little.",
    "not supported": "Taking away as much elsewhere may hurt the answer as much as taking this evidence away: mistrust the map.",
}


def of_video(session: Session, video: Video) -> dict[str, Any]:
    """Return the values of a chosen video, before it is explained."""
    address = session.serve(video.path, name=video.name)
    return {"name": video.name, "facts": video.facts, "poster": video.poster, "url": address, "sound": video.sound}


def shown(analysis: Analysis, number: str, video: str) -> dict[str, Any]:
    """Return the answer, its moments and its curves; ``number`` names the analysis, ``video`` is its address."""
    t0 = float(analysis.times_s[0])
    label, rejection = explained_label(analysis), rejected(analysis)
    times, curves = _thin(analysis.times_s, analysis.curves if rejection is None else {})
    unit = "logit" if analysis.completeness_error is not None else "evidence"
    moments = analysis.moments if rejection is None else ()
    best = max((m for m in moments if m.label == label), key=lambda m: m.score, default=None)
    return {
        "number": number,
        "sentence": summarize(analysis) if rejection is None else rejection["sentence"],
        "rejected": rejection is not None,
        "video": video,
        "offset": analysis.video_offset_s,
        "t0": t0,
        "t1": t0 + analysis.duration_s,
        "peak": None if best is None else best.time,
        "moments": [{"time": m.time, "label": m.label, "score": m.score, "src": jpeg_url(m.image)} for m in moments],
        "times": times,
        "curves": curves,
        "unit": unit,
        "segments": [{"label": s.label, "start": s.start_s, "end": s.end_s} for s in analysis.segments if s.label in curves],
        "windows": [
            {"start": s.start, "end": s.end, "label": s.label, "prob": s.prob} for s in predicted_spans(analysis.windows)
        ],
    }


def rejected(analysis: Analysis) -> dict[str, Any] | None:
    """Return what to say if the model recognises no action that it knows, and a model of this machine to try instead.

    None if it recognises one.
    """
    spec = get_spec(analysis.model.name)
    if analysis.labels[0] not in spec.rejects:
        return None
    words, (other, _) = rejection_sentence(spec, analysis.labels[0]), choose_default_model()
    known = {item["name"]: item["reason"] for item in menus.model_items()}
    useful = other != spec.name and known.get(other) is None
    return {
        "sentence": f"{words[0].upper()}{words[1:]}.",
        "model": other if useful else None,
        "try": f"Try {other} ({len(menus.labels(other))} actions)" if useful else None,
    }


def answered(analysis: Analysis, session: Session) -> dict[str, Any]:
    """Return the answer in figures, the verdict on its evidence, and the warnings."""
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
    if analysis.method_choice is not None and analysis.method_choice.beats_controls:  # if not, a warning says so
        facts.append(analysis.method_choice.sentence)
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
    """Return the files, each with its address, title and size."""
    return [
        {
            "title": "MP4" if kind == "video" else get_format(kind).title,
            "name": path.name,
            "size": megabytes(path.stat().st_size),
            "url": session.serve(path, inline=False),
        }
        for kind, path in outputs.items()
    ]


def _thin(times: FloatArray, curves: Mapping[str, FloatArray]) -> tuple[list[float], dict[str, list[float | None]]]:
    """Return times and curves with no more points than a screen shows, as rounded JSON values; NaN becomes None."""
    times, thinned = thin_curves(times, list(curves.values()), columns=POINTS)
    values = [[None if math.isnan(v) else float(f"{v:.4g}") for v in curve.tolist()] for curve in thinned]
    return [float(f"{time:.4f}") for time in times.tolist()], dict(zip(curves, values, strict=True))
