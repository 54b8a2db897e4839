"""Costly work: jobs of the sessions, with their progress, and short errands that somebody awaits."""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vidcam.errors import VidcamError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.web import words

from .course import JobProgress

if TYPE_CHECKING:
    from .session import Session

__all__ = ["Cancelled", "Errand", "File", "Job", "sentence"]

log = logging.getLogger("vidcam.app")


class Cancelled(Exception):
    """Raised inside a job at its next progress after the user has cancelled it."""


def sentence(error: BaseException) -> str:
    """Return what the page says about an error: the message of a VidcamError, otherwise a pointer to the log."""
    if isinstance(error, VidcamError):
        return str(error)
    number = secrets.token_hex(2)
    log.error("[%s] %s", number, error, exc_info=error)
    return words.Common.internal_error(number=number)


class File(NamedTuple):
    """A file that a job has made, the name under which the browser saves it, and what it was made of, by the page's name."""

    path: Path
    name: str
    origin: str = ""


class Job:
    """Heavy work of one session, asked for by the part ``key`` of the page.

    Its ``folder`` exists from the moment it runs, and is deleted if the job does not succeed and has shown nothing. If ``keep``,
    the result becomes one of the session's ``results`` before the job is reported as ended.
    """

    def __init__(
        self, session: Session, work: Callable[[Job], Any], *, key: str = "", keep: bool = False, clock: Clock = SYSTEM
    ) -> None:
        self.session, self.folder, self.key = session, session.folder / f"job-{secrets.token_hex(4)}", key
        self.state = "waiting"
        self.result: Any = None
        self.message = ""
        self.finding = ""
        """What is known so far, in a few words."""
        self.shown = 0
        """How many results it has shown before it ended."""
        self.clock = clock
        self.ended: Future[None] = Future()
        """Is done when the job has ended; what is to be called then is called in the thread that ran it."""
        self._work, self._keep = work, keep
        self._stop = threading.Event()
        self._progress = JobProgress(clock)

    @property
    def active(self) -> bool:
        """Whether the job waits or runs."""
        return self.state in ("waiting", "running")

    def cancel(self) -> None:
        """Cancel the job: it ends at its next progress."""
        self._stop.set()

    def plan(self, stages: Mapping[str, float]) -> None:
        """Name the coming stages, each with the share of the time that it usually takes."""
        self._progress.plan(stages)

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Note the progress of the work. :class:`Cancelled` if the job was cancelled."""
        if self._stop.is_set():
            raise Cancelled
        self._progress.step(stage, done, total)

    def show(self, result: Any) -> None:
        """Show a result that is not complete yet: it stays if the work is cancelled or fails from now on."""
        self.session.keep(self.key, result)
        self.shown += 1

    def to_dict(self, *, before: int) -> dict[str, Any]:
        """Return what the page shows of the job; ``before`` is how many come first."""
        values = {
            "state": self.state,
            "message": self.message,
            "finding": self.finding,
            "shown": self.shown,
            "before": before,
            "stopping": self._stop.is_set(),
            "keeps": self._keep,
        }
        return values | self._progress.to_dict()

    def run(self) -> None:
        """Do the work; called in the one thread of the :class:`SessionManager`."""
        try:
            self._progress = JobProgress(self.clock)
            self.progress("", 0, None)
            self.folder.mkdir(parents=True)
            self.state = "running"
            self.result = self._work(self)
            self.progress("", 0, None)  # obey a late cancel
            if self._keep:
                self.session.keep(self.key, self.result)
            state = "done"
        except Cancelled:
            state = "cancelled"
        except BaseException as error:
            self.message = self.session.own_words(sentence(error))
            state = "failed"
        if state != "done" and not self.shown:
            shutil.rmtree(self.folder, ignore_errors=True)
        elif not self._keep:
            with suppress(OSError):  # it is in use
                self.folder.rmdir()
        self.state = state  # last, so that nothing is left of a job that is reported as cancelled
        self.ended.set_result(None)


class Errand:
    """Short but costly work, whose ``future`` somebody awaits."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.future: Future[Any] = Future()
        self._work = work

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self._work())
        except BaseException as error:
            self.future.set_exception(error)
