"""The sessions of one server, and the queue in which all their costly work waits."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from vidcam.errors import UsageError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.web import words

from .session import Session
from .work import Errand, Job

__all__ = ["Limits", "SessionManager"]

IDLE_S = 12 * 3600.0  # after this long a session is forgotten whose tab was never reported as closed
MAX_WAITING = 8  # jobs and uploads in the queue
T = TypeVar("T")


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


class SessionManager:
    """Keeps the sessions of one server, with their files under ``root``, and does their costly work.

    From :meth:`start` on, a thread takes one piece of work after another from the queue, until :meth:`shut`.
    """

    def __init__(self, root: Path, limits: Limits = Limits(), *, clock: Clock = SYSTEM) -> None:
        self.root, self.limits, self.clock = root, limits, clock
        self._sessions: list[Session] = []
        self._queue: list[Job | Errand] = []
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
        return list(self._sessions)

    def open(self, tab: str, secret: object = None) -> Session:
        """Return the session of this ``secret``, or a new one, and show it in the tab from now on."""
        with self._changed:
            session = next((s for s in self._sessions if s.secret == secret), None)
            if session is None:
                token = secrets.token_urlsafe(18)
                session = Session(token, secrets.token_urlsafe(24), self.root / token)
                session.folder.mkdir(parents=True)
                self._sessions.append(session)
            self._leave(tab)
            session.tabs.add(tab)
            session.last_used = self.clock.now()
        self.tidy()
        return session

    def of(self, tab: str | None) -> Session:
        """Return the tab's session. UsageError if it has none, or no longer."""
        session = self._shown_in(tab)
        if session is None:
            raise UsageError(words.Common.EXPIRED)
        session.last_used = self.clock.now()
        return session

    def knows(self, tab: str) -> bool:
        """Return whether the tab has a session."""
        return self._shown_in(tab) is not None

    def _shown_in(self, tab: str | None) -> Session | None:
        return next((s for s in self.sessions if tab in s.tabs), None)

    def by_token(self, token: str) -> Session | None:
        """Return the session of this token, None if there is none."""
        return next((s for s in self.sessions if s.token == token), None)

    def leave(self, tab: str) -> None:
        """Note that the tab was closed. Its session goes on, and is kept for a while in case the user comes back."""
        with self._changed:
            self._leave(tab)
        self.tidy()

    def _leave(self, tab: str) -> None:
        session = self._shown_in(tab)
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
        self._sessions = [s for s in self._sessions if s is not session]
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
        errand = Errand(work)
        with self._changed:
            running = self._queue[: int(self._running)]
            self._enqueue(errand, len(running) + sum(isinstance(e, Errand) for e in self._queue[len(running) :]))
        return asyncio.wrap_future(errand.future)

    def _enqueue(self, work: Job | Errand, place: int) -> None:
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
                if isinstance(waiting, Errand):
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
