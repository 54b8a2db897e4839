"""Who is served, and in which order: sessions with files of their own, and one costly thing at a time."""

from __future__ import annotations

import asyncio
import logging
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

from .course import Course

if TYPE_CHECKING:
    from vidcam import Look

    from .uploads import Video

__all__ = ["Cancelled", "Job", "Limits", "Served", "Session", "SessionManager", "sentence"]

IDLE_S = 12 * 3600.0  # after which a session whose tab never said goodbye is forgotten
LINE = 8  # jobs and uploads that may wait
log = logging.getLogger("vidcam.app")
T = TypeVar("T")


class Cancelled(Exception):
    """Raised inside a job by its own progress: the user wants it to end."""


@dataclass(frozen=True)
class Limits:
    """What one may bring: ``size`` in bytes, ``seconds`` of video.

    Of the sessions whose tabs are gone, the last ``kept`` are kept for those who come back, with at most ``kept_size`` bytes of
    files in all.
    """

    size: int = 200_000_000
    seconds: float = 300.0
    kept: int = 20
    kept_size: int = 2_000_000_000


@dataclass(frozen=True)
class Served:
    """A file that its session may fetch, under this ``name``."""

    path: Path
    name: str
    inline: bool = True


def sentence(error: BaseException) -> str:
    """What the page says of an error: its own words, or, where nobody meant it to happen, where the details are."""
    if isinstance(error, VidcamError):
        return str(error)
    number = secrets.token_hex(2)
    log.error("[%s] %s", number, error, exc_info=error)
    return f"Something went wrong inside vidcam ({number}): the details are in the terminal in which it runs."


class Job:
    """Heavy work of one session, asked for by the part ``key`` of the page.

    Its ``folder`` is there once it runs, and is gone again if it did not succeed. What came of it is one of the session's
    ``results``, if ``keep``, before anybody is told that it has ended: nobody needs to wait for it.
    """

    def __init__(
        self, session: Session, work: Callable[[Job], Any], *, key: str = "", keep: bool = False, clock: Clock = SYSTEM
    ) -> None:
        self.session, self.folder, self.key = session, session.folder / f"job-{secrets.token_hex(4)}", key
        self.state = "waiting"
        self.result: Any = None
        self.message = ""
        self.clock = clock
        self.ended = threading.Event()
        self._work, self._keep = work, keep
        self._stop = threading.Event()
        self._listeners: list[Callable[[], None]] = []
        self._course = Course(clock)

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "running")

    def on_end(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when the job has ended, in the thread that ran it; at once if it has ended already."""
        self._listeners.append(listener)
        if self.ended.is_set():
            listener()

    def cancel(self) -> None:
        """Ask it to end: it does so at its next progress."""
        self._stop.set()

    def plan(self, stages: Mapping[str, float]) -> None:
        """Name the stages to come, each with the part of the time that it usually takes."""
        self._course.plan(stages)

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Take note of where the work is; raises :class:`Cancelled` if it was asked to end."""
        if self._stop.is_set():
            raise Cancelled
        self._course.step(stage, done, total)

    def told(self, *, before: int) -> dict[str, Any]:
        """What the page shows of it, ``before`` others that come first."""
        values = {"state": self.state, "message": self.message, "before": before, "stopping": self._stop.is_set()}
        return values | self._course.told()

    def run(self) -> None:
        """Do the work; called in the desk's one thread."""
        try:
            self._course.begin()
            self.progress("", 0, None)
            self.folder.mkdir(parents=True)
            self.state = "running"
            self.result = self._work(self)
            self.progress("", 0, None)  # a wish to stop that came late is still kept
            if self._keep:
                self.session.keep(self.key, self.result)
            state = "done"
        except Cancelled:
            state = "cancelled"
        except BaseException as error:
            self.message = self.session.own_words(sentence(error))
            state = "failed"
        if state != "done":
            shutil.rmtree(self.folder, ignore_errors=True)
        self.state = state  # only now: who is told that it was stopped finds nothing of it
        self.ended.set()
        for listener in self._listeners:
            listener()


class _Errand:
    """Short work that is costly all the same; somebody awaits its ``future``."""

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
    """What one tab of a browser is about: its ``folder``, the ``video`` it asks about, the ``files`` it may fetch, what is
    ``chosen`` in each part of the page, and what was found out. By the ``secret`` a tab that is loaded again gets it back."""

    token: str
    secret: str
    folder: Path
    video: Video | None = None
    job: Job | None = None
    look: Look | None = None
    chosen: dict[str, list[Any]] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Served] = field(default_factory=dict)
    tabs: set[str] = field(default_factory=set)
    """Those that show it now: none if it was left, seldom several, if a tab was duplicated."""
    seen: float = 0.0
    """When a tab of it last asked for something, on the desk's clock."""
    closed: bool = False

    @property
    def busy(self) -> bool:
        """Whether something is worked on."""
        return self.job is not None and self.job.active

    @property
    def size(self) -> int:
        """The bytes of its files."""
        total = 0
        for path in self.folder.rglob("*"):
            with suppress(OSError):  # deleted meanwhile
                total += path.stat().st_size
        return total

    def keep(self, key: str, result: Any) -> None:
        """Make this what was found out for a part of the page; the files of what it replaces are deleted."""
        before = self.results.get(key)
        if before is not None and before.folder != result.folder:
            self.forget(before.folder)
        self.results[key] = result

    def serve(self, path: Path, *, name: str = "", inline: bool = True) -> str:
        """The address under which this file can be fetched; nobody else knows it."""
        key = secrets.token_urlsafe(9)
        self.files[key] = Served(path, name or path.name, inline)
        return f"media/{self.token}/{key}"

    def own_words(self, text: str) -> str:
        """The text with the video under its owner's name, not under that of our copy of it."""
        known = text if self.video is None else text.replace(str(self.video.path), self.video.name)
        return known.replace(f"{self.folder}/", "")

    def forget(self, folder: Path) -> None:
        """Remove a folder and everything in it that could be fetched."""
        for key, file in list(self.files.items()):
            if folder in file.path.parents:
                self.files.pop(key, None)
        shutil.rmtree(folder, ignore_errors=True)


class SessionManager:
    """The sessions of one server, with their files under ``root``, and the line in which everything costly waits.

    From :meth:`start` on, a thread does one thing after the other, until :meth:`shut`.
    """

    def __init__(self, root: Path, limits: Limits = Limits(), *, clock: Clock = SYSTEM) -> None:
        self.root, self.limits, self.clock = root, limits, clock
        self._by_tab: dict[str, Session] = {}
        self._by_token: dict[str, Session] = {}
        self._by_secret: dict[str, Session] = {}
        self._line: list[Job | _Errand] = []
        self._running = False
        self._closed = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="vidcam-job", daemon=True)

    def start(self) -> SessionManager:
        """Begin to work."""
        self._thread.start()
        return self

    @property
    def sessions(self) -> list[Session]:
        return list(self._by_token.values())

    def open(self, tab: str, secret: object = None) -> Session:
        """Return the session of this ``secret``, a new one if there is none; from now on it is what the tab shows."""
        with self._news:
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
            session.seen = self.clock.now()
        self.tidy()
        return session

    def of(self, tab: str | None) -> Session:
        """The tab's session. UsageError if it has none, or no longer."""
        session = self._by_tab.get(tab or "")
        if session is None:
            raise UsageError("This page was away for too long and its files are deleted: load it again.")
        session.seen = self.clock.now()
        return session

    def knows(self, tab: str) -> bool:
        """Whether the tab has a session."""
        return tab in self._by_tab

    def by_token(self, token: str) -> Session | None:
        return self._by_token.get(token)

    def leave(self, tab: str) -> None:
        """Take note that the tab is gone. Its session goes on, and is kept for a while for those who come back."""
        with self._news:
            self._leave(tab)
        self.tidy()

    def _leave(self, tab: str) -> None:
        session = self._by_tab.pop(tab, None)
        if session is not None:
            session.tabs.discard(tab)
            session.seen = self.clock.now()

    def tidy(self) -> None:
        """Drop what is beyond the limits of sessions without a tab, oldest first, and tabs that never said goodbye.

        A session that is worked on is not dropped.
        """
        now, size, excess = self.clock.now(), 0, []
        with self._news:
            left = [s for s in self.sessions if not s.tabs]
            for n, session in enumerate(sorted(left, key=lambda s: (not s.busy, -s.seen))):
                size += session.size
                if (n >= self.limits.kept or size > self.limits.kept_size) and not session.busy:
                    excess.append(session)
            excess += [s for s in self.sessions if s.tabs and now - s.seen > IDLE_S and not s.busy]
            for session in excess:
                self._remove(session)
        for session in excess:
            session.forget(session.folder)

    def drop(self, session: Session) -> None:
        """Forget a session: its job ends, its files are deleted."""
        with self._news:
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
        """Put work into the line. UsageError if this session has some there already, or the line is long."""
        with self._news:
            if session.busy:
                raise UsageError("Your last request is still being worked on: wait for it, or stop it.")
            job = Job(session, work, key=key, keep=keep, clock=self.clock)
            self._enqueue(job, len(self._line))
            session.job = job
        return job

    def errand(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Put short but costly work into the line, after what runs now and before the jobs that wait; await what it gives.

        UsageError if the line is long.
        """
        errand = _Errand(work)
        with self._news:
            running = self._line[: int(self._running)]
            self._enqueue(errand, len(running) + sum(isinstance(e, _Errand) for e in self._line[len(running) :]))
        return asyncio.wrap_future(errand.future)

    def _enqueue(self, work: Job | _Errand, place: int) -> None:
        if self._closed or len(self._line) > LINE:
            raise UsageError(f"{LINE} others are waiting already: try again in a few minutes.")
        self._line.insert(place, work)
        self._news.notify_all()

    def step(self) -> bool:
        """Do what is first in the line; return whether there was anything. The thread calls this again and again."""
        with self._news:
            if not self._line:
                return False
            first, self._running = self._line[0], True
        try:
            first.run()
        finally:
            with self._news:
                self._line.remove(first)
                self._running = False
            if isinstance(first, Job):
                if first.session.closed:
                    shutil.rmtree(first.session.folder, ignore_errors=True)
                self.tidy()
        return True

    def before(self, job: Job) -> int:
        """How many come first."""
        with self._news:
            return self._line.index(job) if job in self._line else 0

    def shut(self) -> None:
        """End everything; returns when the last job has."""
        for session in self.sessions:
            self.drop(session)
        with self._news:
            self._closed = True
            for waiting in self._line:
                if isinstance(waiting, _Errand):
                    waiting.future.cancel()
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while self._wait():
            self.step()

    def _wait(self) -> bool:
        """Until there is something to do; False when shut."""
        with self._news:
            self._news.wait_for(lambda: self._line or self._closed)
            return bool(self._line)
