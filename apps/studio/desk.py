"""Who is served, and in which order: sessions with files of their own, and one heavy job at a time."""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcam.clock import SYSTEM, Clock
from vidcam.errors import UsageError, VidcamError

if TYPE_CHECKING:
    from vidcam import Look

    from .intake import Video

__all__ = ["Cancelled", "Desk", "Job", "Limits", "Served", "Session", "sentence"]

IDLE_S = 12 * 3600.0  # after which a session whose tab never said goodbye is forgotten
LINE = 8  # jobs that may wait
log = logging.getLogger("vidcam.app")


class Cancelled(Exception):
    """Raised inside a job by its own progress: the user wants it to end."""


@dataclass(frozen=True)
class Limits:
    """What one may bring: ``size`` in bytes, ``seconds`` of video."""

    size: int = 200_000_000
    seconds: float = 300.0


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
    """Heavy work of one session. Its ``folder`` is there once it runs, and is gone again where it did not succeed.

    ``followed`` is set by somebody who waits for its end, until what came of it is taken in.
    """

    def __init__(self, session: Session, work: Callable[[Job], Any], *, clock: Clock = SYSTEM) -> None:
        self.session, self.folder = session, session.folder / f"job-{secrets.token_hex(4)}"
        self.state = "waiting"
        self.result: Any = None
        self.message = ""
        self.followed = False
        self.clock = clock
        self.ended = threading.Event()
        self._work = work
        self._stop = threading.Event()
        self._listeners: list[Callable[[], None]] = []
        self._stage, self._done, self._total, self._began = "", 0, None, clock.now()  # type: tuple[str, int, int | None, float]

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

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Where the work is; raises :class:`Cancelled` where it was asked to end."""
        if self._stop.is_set():
            raise Cancelled
        if stage != self._stage:
            self._began = self.clock.now()
        self._stage, self._done, self._total = stage, done, total

    def told(self, *, before: int) -> dict[str, Any]:
        """What the page shows of it, ``before`` others that come first."""
        values: dict[str, Any] = {"state": self.state, "message": self.message, "before": before, "stage": self._stage}
        spent, done, total = self.clock.now() - self._began, self._done, self._total
        left = spent / done * (total - done) if done and total and spent > 0.5 else None
        return values | {"done": done, "total": total, "left_s": left, "stopping": self._stop.is_set()}

    def run(self) -> None:
        """Do the work; called in the desk's one thread."""
        try:
            self.progress("", 0, None)
            self.folder.mkdir(parents=True)
            self.state = "running"
            self.result = self._work(self)
            self.progress("", 0, None)  # a wish to stop that came late is still kept
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


@dataclass
class Session:
    """One open tab: its ``folder``, the ``video`` it asks about, the ``files`` it may fetch, and what was found out."""

    token: str
    folder: Path
    video: Video | None = None
    job: Job | None = None
    look: Look | None = None
    results: dict[str, Any] = field(default_factory=dict)
    files: dict[str, Served] = field(default_factory=dict)
    seen: float = 0.0
    """When its tab last asked for something, on the desk's clock."""
    closed: bool = False

    @property
    def busy(self) -> bool:
        """Whether something is worked on, or has just ended and is not taken in yet."""
        return self.job is not None and (self.job.active or self.job.followed)

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
        self.files = {k: f for k, f in self.files.items() if folder not in f.path.parents}
        shutil.rmtree(folder, ignore_errors=True)


class Desk:
    """The sessions of one server, with their files under ``root``, and the line in which their jobs wait.

    From :meth:`start` on, a thread does the jobs one after the other, until :meth:`shut`.
    """

    def __init__(self, root: Path, limits: Limits = Limits(), *, clock: Clock = SYSTEM) -> None:
        self.root, self.limits, self.clock = root, limits, clock
        self._by_tab: dict[str, Session] = {}
        self._by_token: dict[str, Session] = {}
        self._line: list[Job] = []
        self._closed = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="vidcam-job", daemon=True)

    def start(self) -> Desk:
        """Begin to do the jobs."""
        self._thread.start()
        return self

    @property
    def sessions(self) -> list[Session]:
        return list(self._by_tab.values())

    def open(self, tab: str) -> Session:
        """A new session for the tab with this secret name; an earlier one of that name is closed."""
        now = self.clock.now()
        for name, old in list(self._by_tab.items()):
            if name == tab or (now - old.seen > IDLE_S and not (old.job and old.job.active)):
                self.close(name)
        token = secrets.token_urlsafe(18)
        session = Session(token, self.root / token, seen=now)
        session.folder.mkdir(parents=True)
        with self._news:
            self._by_tab[tab] = self._by_token[token] = session
        return session

    def of(self, tab: str | None) -> Session:
        """The tab's session. UsageError where it has none, or no longer."""
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

    def close(self, tab: str) -> None:
        """Forget a session: its job ends, its files are deleted."""
        with self._news:
            session = self._by_tab.pop(tab, None)
            if session is None:
                return
            del self._by_token[session.token]
            session.closed = True
        if session.job is not None:
            session.job.cancel()
        session.forget(session.folder)

    def submit(self, session: Session, work: Callable[[Job], Any]) -> Job:
        """Put work into the line. UsageError where this session has some there already, or the line is long."""
        with self._news:
            if session.busy:
                raise UsageError("Your last request is still being worked on: wait for it, or stop it.")
            if len(self._line) > LINE:
                raise UsageError(f"{LINE} others are waiting already: try again in a few minutes.")
            job = session.job = Job(session, work, clock=self.clock)
            self._line.append(job)
            self._news.notify_all()
        return job

    def step(self) -> bool:
        """Do the first job in the line; return whether there was one. The thread calls this again and again."""
        with self._news:
            if not self._line:
                return False
            job = self._line[0]
        try:
            job.run()
        finally:
            with self._news:
                self._line.remove(job)
            if job.session.closed:
                shutil.rmtree(job.session.folder, ignore_errors=True)
        return True

    def before(self, job: Job) -> int:
        """How many jobs come first."""
        with self._news:
            return self._line.index(job) if job in self._line else 0

    def shut(self) -> None:
        """End everything; returns when the last job has."""
        for tab in list(self._by_tab):
            self.close(tab)
        with self._news:
            self._closed = True
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while self._wait():
            self.step()

    def _wait(self) -> bool:
        """Until there is a job; False when shut."""
        with self._news:
            self._news.wait_for(lambda: self._line or self._closed)
            return bool(self._line)
