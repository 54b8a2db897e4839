"""Sessions with files of their own, and the queue in which all costly work waits."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vidcam.errors import UsageError, VidcamError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.web import words

from .course import JobProgress

if TYPE_CHECKING:
    from .teach_clips import Lesson
    from .uploads import Video

__all__ = ["Cancelled", "Job", "Limits", "Session", "SessionManager", "sentence"]

IDLE_S = 12 * 3600.0  # after this long a session is forgotten whose tab was never reported as closed
MAX_WAITING = 8  # jobs and uploads in the queue
log = logging.getLogger("vidcam.app")
T = TypeVar("T")


class Cancelled(Exception):
    """Raised inside a job at its next progress after the user has cancelled it."""


@dataclass(frozen=True)
class Limits:
    """Limits of an upload (``size`` in bytes, ``seconds`` of video) and of the sessions that are kept.

    Of the sessions whose tabs are closed, the last ``kept`` are kept for users who come back, with at most ``kept_size`` bytes of
    files in all.
    """

    size: int = 200_000_000
    seconds: float = 300.0
    kept: int = 20
    kept_size: int = 2_000_000_000


def sentence(error: BaseException) -> str:
    """Return what the page says about an error: the message of a VidcamError, otherwise a pointer to the log."""
    if isinstance(error, VidcamError):
        return str(error)
    number = secrets.token_hex(2)
    log.error("[%s] %s", number, error, exc_info=error)
    return words.Common.internal_error(number=number)


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
        self.ended = threading.Event()
        self._work, self._keep = work, keep
        self._stop = threading.Event()
        self._listeners: list[Callable[[], None]] = []
        self._progress = JobProgress(clock)

    @property
    def active(self) -> bool:
        """Whether the job waits or runs."""
        return self.state in ("waiting", "running")

    def on_end(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when the job has ended, in the thread that ran it; at once if it has ended already."""
        self._listeners.append(listener)
        if self.ended.is_set():
            listener()

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
        }
        return values | self._progress.to_dict()

    def run(self) -> None:
        """Do the work; called in the one thread of the :class:`SessionManager`."""
        try:
            self._progress.begin()
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
        self.ended.set()
        for listener in self._listeners:
            listener()


class _Errand:
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


@dataclass
class Session:
    """The state of one tab of a browser, which gets it back by the ``secret`` when it is loaded again.

    It has its ``folder``, the ``video`` that is asked about, the ``files`` and folders that it may fetch by their keys, what is
    ``chosen`` in each part of the page, and the ``results``.
    """

    token: str
    secret: str
    folder: Path
    video: Video | None = None
    job: Job | None = None
    chosen: dict[str, list[Any]] = field(default_factory=dict)
    chosen_at: dict[str, float] = field(default_factory=dict)  # the page's clock
    results: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    runs: Path | None = None
    """Where the runs of its browser are kept."""
    queue: list[Video] = field(default_factory=list)
    """Videos that came together and are to be explained one after the other."""
    lesson: Lesson | None = None
    """What is to be taught: see :func:`vidcam.web.studio.teach_clips.lesson_of`."""
    tabs: set[str] = field(default_factory=set)
    """The tabs that show it now: none if it was closed, several if a tab was duplicated."""
    last_used: float = 0.0
    """The second at which a tab of it last asked for something."""
    closed: bool = False

    @property
    def busy(self) -> bool:
        """Whether a job of it waits or runs."""
        return self.job is not None and self.job.active

    @property
    def size(self) -> int:
        """The size of its files in bytes."""
        total = 0
        for path in self.folder.rglob("*"):
            with suppress(OSError):  # deleted meanwhile
                total += path.stat().st_size
        return total

    def choose(self, key: str, values: list[Any], *, sent: float) -> None:
        """Keep what is chosen in a part of the page, unless what the page sent later has come already."""
        if sent >= self.chosen_at.get(key, 0.0):
            self.chosen_at[key], self.chosen[key] = sent, values

    def keep(self, key: str, result: Any) -> None:
        """Keep the result of a part of the page, and delete the files of the one that it replaces, unless one job made both."""
        before = self.results.get(key)
        if before is not None and self._part(before.folder) != self._part(result.folder):
            self.forget(before.folder)
        self.results[key] = result

    def _part(self, folder: Path) -> Path | None:
        """Return the folder directly in that of the session which contains ``folder``; None if that lies elsewhere."""
        return self.folder / folder.relative_to(self.folder).parts[0] if self.folder in folder.parents else None

    def serve(self, path: Path) -> str:
        """Return a secret address from which the session can fetch this file; that of a folder ends in a slash."""
        key = next((key for key, served in self.files.items() if served == path), None)
        if key is None:
            key = secrets.token_urlsafe(9)
            self.files[key] = path
        return f"media/{self.token}/{key}{'/' if path.is_dir() else ''}"

    def own_words(self, text: str) -> str:
        """Return the text with the video's own name instead of the path of the copy here."""
        known = text if self.video is None else text.replace(str(self.video.path), self.video.name)
        return re.sub(rf"{re.escape(str(self.folder))}/(job-\w+/(\d+/)?)?", "", known)

    def forget(self, folder: Path) -> None:
        """Delete a folder of its own, and what was made with it, so that nothing can be fetched any more; kept runs stay."""
        own = self.folder if folder == self.folder else self._part(folder)
        if own is None:
            return
        for key, file in list(self.files.items()):
            if own == file or own in file.parents:
                self.files.pop(key, None)
        shutil.rmtree(own, ignore_errors=True)


class SessionManager:
    """Keeps the sessions of one server, with their files under ``root``, and does their costly work.

    From :meth:`start` on, a thread takes one piece of work after another from the queue, until :meth:`shut`.
    """

    def __init__(self, root: Path, limits: Limits = Limits(), *, clock: Clock = SYSTEM) -> None:
        self.root, self.limits, self.clock = root, limits, clock
        self._by_tab: dict[str, Session] = {}
        self._by_token: dict[str, Session] = {}
        self._by_secret: dict[str, Session] = {}
        self._queue: list[Job | _Errand] = []
        self._running = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="vidcam-job", daemon=True)

    def start(self) -> SessionManager:
        """Begin to work."""
        self._thread.start()
        return self

    @property
    def sessions(self) -> list[Session]:
        """All sessions."""
        return list(self._by_token.values())

    def open(self, tab: str, secret: object = None) -> Session:
        """Return the session of this ``secret``, or a new one, and show it in the tab from now on."""
        with self._changed:
            session = self._by_secret.get(secret) if isinstance(secret, str) else None
            if session is None:
                token = secrets.token_urlsafe(18)
                session = Session(token, secrets.token_urlsafe(24), self.root / token)
                session.folder.mkdir(parents=True)
                self._by_token[token] = self._by_secret[session.secret] = session
            if self._by_tab.get(tab) is not session:
                self._leave(tab)
                self._by_tab[tab] = session
            session.tabs.add(tab)
            session.last_used = self.clock.now()
        self.tidy()
        return session

    def of(self, tab: str | None) -> Session:
        """Return the tab's session. UsageError if it has none, or no longer."""
        session = self._by_tab.get(tab or "")
        if session is None:
            raise UsageError(words.Common.EXPIRED)
        session.last_used = self.clock.now()
        return session

    def knows(self, tab: str) -> bool:
        """Return whether the tab has a session."""
        return tab in self._by_tab

    def by_token(self, token: str) -> Session | None:
        """Return the session of this token, None if there is none."""
        return self._by_token.get(token)

    def leave(self, tab: str) -> None:
        """Note that the tab was closed. Its session goes on, and is kept for a while in case the user comes back."""
        with self._changed:
            self._leave(tab)
        self.tidy()

    def _leave(self, tab: str) -> None:
        session = self._by_tab.pop(tab, None)
        if session is not None:
            session.tabs.discard(tab)
            session.last_used = self.clock.now()

    def tidy(self) -> None:
        """Drop the oldest sessions without a tab that exceed the limits, and those that were idle for too long.

        A session with a job that waits or runs is not dropped.
        """
        now, size, excess = self.clock.now(), 0, []
        with self._changed:
            left = [s for s in self.sessions if not s.tabs]
            for n, session in enumerate(sorted(left, key=lambda s: (not s.busy, -s.last_used))):
                size += session.size
                if (n >= self.limits.kept or size > self.limits.kept_size) and not session.busy:
                    excess.append(session)
            excess += [s for s in self.sessions if s.tabs and now - s.last_used > IDLE_S and not s.busy]
            for session in excess:
                self._remove(session)
        for session in excess:
            session.forget(session.folder)

    def drop(self, session: Session) -> None:
        """Forget a session: cancel its job and delete its files."""
        with self._changed:
            self._remove(session)
        if session.job is not None:
            session.job.cancel()
        session.forget(session.folder)

    def _remove(self, session: Session) -> None:
        for tab in session.tabs:
            self._by_tab.pop(tab, None)
        self._by_token.pop(session.token, None)
        self._by_secret.pop(session.secret, None)
        session.tabs.clear()
        session.closed = True

    def submit(self, session: Session, work: Callable[[Job], Any], *, key: str = "", keep: bool = False) -> Job:
        """Queue work. UsageError if this session has a job already, or the queue is full."""
        with self._changed:
            if session.busy:
                raise UsageError(words.Common.BUSY)
            job = Job(session, work, key=key, keep=keep, clock=self.clock)
            self._enqueue(job, len(self._queue))
            session.job = job
        return job

    def errand(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Queue short but costly work before the jobs that wait, and return its future. UsageError if the queue is full."""
        errand = _Errand(work)
        with self._changed:
            running = self._queue[: int(self._running)]
            self._enqueue(errand, len(running) + sum(isinstance(e, _Errand) for e in self._queue[len(running) :]))
        return asyncio.wrap_future(errand.future)

    def _enqueue(self, work: Job | _Errand, place: int) -> None:
        if self._closed or len(self._queue) > MAX_WAITING:
            raise UsageError(words.Common.queue_full(waiting=MAX_WAITING))
        self._queue.insert(place, work)
        self._changed.notify_all()

    def is_awaited(self) -> bool:
        """Return whether other work waits for the one that is being done."""
        with self._changed:
            return len(self._queue) > int(self._running)

    def step(self) -> bool:
        """Do the first work in the queue; return whether there was any. The thread calls this again and again."""
        with self._changed:
            if not self._queue:
                return False
            first, self._running = self._queue[0], True
        try:
            first.run()
        finally:
            with self._changed:
                self._queue.remove(first)
                self._running = False
            if isinstance(first, Job):
                if first.session.closed:
                    shutil.rmtree(first.session.folder, ignore_errors=True)
                self.tidy()
        return True

    def before(self, job: Job) -> int:
        """Return how many pieces of work come before this job."""
        with self._changed:
            return self._queue.index(job) if job in self._queue else 0

    def shut(self) -> None:
        """End everything; return when the last job has ended."""
        for session in self.sessions:
            self.drop(session)
        with self._changed:
            self._closed = True
            for waiting in self._queue:
                if isinstance(waiting, _Errand):
                    waiting.future.cancel()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while self._wait():
            self.step()

    def _wait(self) -> bool:
        """Wait for work; return False if shut."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            return bool(self._queue)
