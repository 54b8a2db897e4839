"""Results as plain values, which the page's scripts draw."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from vidcam.analysis import Analysis
from vidcam.engine import NOBODY, choose_default_model, rejection_sentence
from vidcam.models.spec import ModelSpec
from vidcam.models.table import get_spec
from vidcam.reports.answer import summarize
from vidcam.reports.predictions import predicted_spans
from vidcam.reports.trust import describe_verdict
from vidcam.settings import Settings
from vidcam.web import words

from . import menus
from .results import Result, file_kinds
from .runs import FACTS, PICTURE, StoredRun
from .session import Session
from .sessions import Limits
from .teach_models import find_spec, shown_name
from .uploads import Video, megabytes, minutes

__all__ = [
    "answered",
    "cards",
    "find_actions",
    "headline",
    "in_step",
    "of_video",
    "question_facts",
    "sentence_of",
    "shown",
    "upload",
]

SURE, LONG_S = 0.5, 0.5
"""An action is part of a sequence if the model gives it this probability for this many seconds."""


def upload(session: Session, limits: Limits) -> dict[str, Any]:
    """Return the values that the page needs to upload videos to a session."""
    most = megabytes(limits.size)
    return {
        "token": session.token,
        "size": limits.size,
        "words": words.Uploads.limits(size=most, length=minutes(limits.seconds)),
        "tooLarge": words.Uploads.too_large(name="{name}", most=most),
    }


def of_video(session: Session, video: Video) -> dict[str, Any]:
    """Return the values of a chosen video, before it is explained."""
    return {"name": video.name, "facts": video.facts, "poster": video.poster, "url": session.serve(video.path)}


def shown(session: Session, result: Result) -> dict[str, Any]:
    """Return the headline, and the address of the folder from which the player gets the evidence."""
    players = [{"base": session.serve(result.folder), "title": ""}]
    actions = result.answer.get("actions", []) if result.analysis is None else find_actions(result.analysis)
    return {"number": result.number, "sentence": sentence_of(result), "actions": actions, "players": players}


def in_step(session: Session, runs: Sequence[StoredRun]) -> dict[str, Any]:
    """Return the values of a stage that plays several runs in step."""
    players = [{"base": session.serve(run.folder), "title": f"{run.sentence} · {run_facts(run)}"} for run in runs]
    names = list(dict.fromkeys(run.video.name for run in runs))
    return {
        "number": "+".join(run.number for run in runs),
        "sentence": words.Answer.side_by_side(videos=names),
        "players": players,
    }


def cards(session: Session, runs: Sequence[StoredRun]) -> list[dict[str, Any]]:
    """Return a card for each run: picture, answer, verdict."""
    return [
        {
            "number": run.number,
            "picture": f"{session.serve(run.folder)}{PICTURE}",
            "sentence": run.sentence,
            "actions": run.answer.get("actions", []),
            "facts": run_facts(run),
            "made": (run.folder / FACTS).stat().st_mtime,
            "name": run.video.name,
            "verdict": (run.answer.get("verdict") or {}).get("word", ""),
        }
        for run in runs
    ]


def run_facts(run: StoredRun) -> str:
    """Return in a few words what a run was asked."""
    return " · ".join(question_facts(run.model, run.settings))


def question_facts(model: str, settings: Settings) -> list[str]:
    """Return the model, the method, the classes and the part of the video that were asked for, as far as they are known."""
    return [fact for fact in (shown_name(model), settings.method, *map(str, settings.classes), *_limits(settings)) if fact]


def _limits(s: Settings) -> list[str]:
    """Return the part of the video, the class for contrast, and whether the whole picture was asked for."""
    part = words.Answer.part(start=s.start_s, end=s.end_s) if s.start_s is not None or s.end_s is not None else ""
    contrast = "" if s.versus is None else words.Answer.contrasted(versus=s.versus)
    return [limit for limit in (part, contrast, words.Answer.COVERED if s.cover else "") if limit]


def sentence_of(result: Result) -> str:
    """Return the headline of a result."""
    if result.analysis is None:
        return result.sentence
    rejection = rejected(result.analysis)
    return headline(result.analysis) if rejection is None else str(rejection["sentence"])


def headline(analysis: Analysis) -> str:
    """Return the answer in one sentence; if the video shows several actions one after the other, their sequence with times."""
    moments = [words.Answer.moment(label=a["label"], start=a["start"], end=a["end"]) for a in find_actions(analysis)]
    return " → ".join(moments) or summarize(analysis)


def find_actions(analysis: Analysis) -> list[dict[str, Any]]:
    """Return the actions that the video shows one after the other, with their seconds; none unless there are several."""
    rejects = menus.rejects(analysis.model.name)
    spans = [s for s in predicted_spans(analysis.windows) if s.label not in rejects and s.prob >= SURE]
    groups = [list(group) for _, group in groupby((s for s in spans if s.end - s.start >= LONG_S), lambda s: s.label)]
    if len(groups) < 2 or analysis.versus or analysis.settings.classes or analysis.labels[0] in rejects:
        return []
    return [
        {
            "label": g[0].label,
            "prob": sum(s.prob * (s.end - s.start) for s in g) / sum(s.end - s.start for s in g),
            "start": g[0].start,
            "end": g[-1].end,
        }
        for g in groups
    ]


def rejected(analysis: Analysis) -> dict[str, Any] | None:
    """Return what to say if the model recognises no action that it knows, and a model of this machine to try instead.

    None if it recognises one.
    """
    if analysis.labels[0] not in menus.rejects(analysis.model.name):
        return None
    spec, (other, _) = find_spec(analysis.model.name), choose_default_model()
    offered = get_spec(other)
    useful = other != spec.name and menus.availability(offered)[1] is None
    return {
        "sentence": _rejection(analysis, spec),
        "model": other if useful else None,
        "try": (
            words.Answer.explain_with(model=other, actions=menus.count_actions(offered), download=menus.download(offered))
            if useful
            else None
        ),
    }


def _rejection(analysis: Analysis, spec: ModelSpec) -> str:
    """Return what the model says of the whole video, and what it recognises in parts of it."""
    name = shown_name(spec.name)
    moments = [
        words.Answer.moment(label=span.label, start=span.start, end=span.end)
        for span in predicted_spans(analysis.windows)
        if span.label not in spec.rejects and span.prob >= SURE
    ]
    if moments:
        return words.Answer.only_moments(model=name, moments=moments)
    if analysis.labels[0].casefold() == NOBODY:
        return words.Answer.nobody(model=name)
    return words.Answer.none_of(model=name, actions=len(spec.labels()) - len(spec.rejects))


def answered(result: Result, session: Session) -> dict[str, Any]:
    """Return the answer in figures, the verdict on its evidence, and the warnings."""
    analysis = result.analysis
    if analysis is None:
        return result.answer
    verdict = None
    if (told := describe_verdict(analysis)) is not None:
        verdict = {
            "word": told.word,
            "label": told.label,
            "why": told.why,
            "figures": told.rest,
            "only": words.Answer.only_first(label=told.label) if len(analysis.labels) > 1 else "",
        }
    rejection, warnings = rejected(analysis), list(analysis.warnings)
    if rejection is not None:  # the headline says it
        known = rejection_sentence(find_spec(analysis.model.name), analysis.labels[0])
        warnings = [w for w in warnings if w.partition(";")[0].casefold() != known.partition(";")[0]]
    facts = [analysis.model.title or analysis.model.name, analysis.method_title or analysis.method, *_limits(analysis.settings)]
    if analysis.method_choice is not None and analysis.method_choice.beats_controls:  # if not, a warning says so
        facts.append(analysis.method_choice.sentence)
    unseen = None
    if analysis.unseen_fraction > 0.005:
        cover = "" if analysis.settings.cover else words.Answer.COVER
        unseen = {"words": words.Answer.unseen(fraction=analysis.unseen_fraction), "cover": cover}
    return {
        "top": [[label, prob, label in menus.rejects(analysis.model.name)] for label, prob in analysis.top(5)],
        "actions": find_actions(analysis),
        "shown": [] if rejection else list(analysis.labels),
        "rejected": rejection,
        "verdict": verdict,
        "unseen": unseen,
        "facts": facts,
        "warnings": [session.own_words(w) for w in warnings],
        "files": [{"kind": kind, "title": title} for kind, title in file_kinds().items()],
    }
