"""What the Annotate tab shows of a session: its video or its result on the stage, the answer, and the cards of its runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from vidcam.errors import UsageError
from vidcam.web import words

from . import view_models
from .results import Result
from .runs import RunShelf, StoredRun
from .session import Session
from .tab_jobs import TabJobs

__all__ = ["KEY", "View", "result_of"]

KEY = "annotate"
"""What a session calls the tab."""


@dataclass(frozen=True)
class View:
    """The components that show what a session has."""

    shelf: RunShelf
    jobs: TabJobs
    stage: gr.HTML
    answer: gr.HTML
    runs: gr.HTML
    explain: gr.Button
    stale: Callable[[Session], str]
    """Returns what to say if a session's result answers another question than its controls ask."""

    @property
    def components(self) -> list[Any]:
        """All of them."""
        return [self.stage, self.answer, self.jobs.line, self.explain, self.runs]

    def of(self, session: Session, **more: Any) -> dict[Any, Any]:
        """Return the updates that show the session's video, or its result; ``more`` are other values of the stage."""
        video = None if session.video is None else view_models.of_video(session, session.video)
        result: Result | None = session.results.get(KEY)
        shown = None if result is None else view_models.shown(session, result)
        return {
            self.runs: self.cards(session),
            self.stage: gr.HTML(input=video, result=shown, **more),
            self.answer: gr.HTML({} if result is None else view_models.answered(result, session), stale=self.stale(session)),
            self.explain: gr.Button(words.Annotate.EXPLAIN if result is None else words.Annotate.EXPLAIN_AGAIN),
        }

    def mark(self, session: Session) -> Any:
        """Return the update of the answer that says whether the controls ask something else by now."""
        return gr.HTML(stale=self.stale(session))

    def in_step(self, session: Session, runs: Sequence[StoredRun]) -> dict[Any, Any]:
        """Return the updates that show several runs in step."""
        return {self.stage: gr.HTML(result=view_models.in_step(session, runs)), self.answer: {}}

    def cards(self, session: Session) -> dict[str, Any]:
        """Return the value of the component with a card for each run."""
        return {"cards": view_models.cards(session, [] if session.runs is None else self.shelf.list(session.runs))}


def result_of(session: Session) -> Result:
    """Return the session's result. UsageError if nothing is explained."""
    result: Result | None = session.results.get(KEY)
    if result is None:
        raise UsageError(words.Common.NOT_EXPLAINED)
    return result
