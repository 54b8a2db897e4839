"""The state of one tab of a browser, with files of its own."""

from __future__ import annotations

import re
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcam.errors import UsageError
from vidcam.web import words

if TYPE_CHECKING:
    from .teach_clips import Lesson
    from .uploads import Video
    from .work import Job

__all__ = ["Session"]


@dataclass(eq=False)
class Session:
    """The state of one tab of a browser, which gets it back by the ``secret`` when it is loaded again; a gr.State is lost then.

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
    runs: Path = field(init=False)
    """Where the runs of its browser are kept: in its own folder, until the page has told whose browser it is."""
    queue: list[Video] = field(default_factory=list)
    """Videos that came together and are to be explained one after the other."""
    lesson: Lesson | None = None
    """What is to be taught: see :func:`vidcam.web.studio.teach_clips.lesson_of`."""
    tabs: set[str] = field(default_factory=set)
    """The tabs that show it now: none if it was closed, several if a tab was duplicated."""
    last_used: float = 0.0
    """The second at which a tab of it last asked for something."""
    closed: bool = False

    def __post_init__(self) -> None:
        self.runs = self.folder / "runs"

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

    def take(self, video: Video) -> None:
        """Ask about this video from now on, and delete the results of the one before. UsageError while that is worked on."""
        if self.busy:
            raise UsageError(words.Common.BUSY)
        before, self.video = self.video, video
        if before is not None and self.folder in before.path.parents and before.path.parent != video.path.parent:
            self.forget(before.path.parent)
        for result in self.results.values():
            self.forget(result.folder)
        self.results.clear()
        self.job = None

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
