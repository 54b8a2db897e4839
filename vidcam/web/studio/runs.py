"""The explained videos of each browser, kept on disk: they survive a reload and a restart, are bounded, and can be deleted.

``ROOT/OWNER/run-NUMBER/`` holds one run: what the player needs, a picture, the reports, and ``run.json``. OWNER is derived from a
secret that only the browser has.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vidcam import Settings
from vidcam.errors import UsageError
from vidcam.io.json_text import parse_json, to_json_text
from vidcam.web import words

from .results import Result, file_name, link_or_copy, picture_of
from .uploads import Video

__all__ = ["FACTS", "PICTURE", "RunShelf", "StoredRun", "delete_oldest", "find_run", "newest", "state_folder", "write_facts"]

FACTS, PICTURE = "run.json", "picture.jpg"
OWNER_BYTES = 24


def state_folder() -> Path:
    """Return the folder of what the app keeps: ``VIDCAM_STATE``, or vidcam's folder in the user's state."""
    if named := os.environ.get("VIDCAM_STATE"):
        return Path(named).expanduser()
    from platformdirs import user_state_dir

    return Path(user_state_dir("vidcam", appauthor=False))


@dataclass(frozen=True)
class StoredRun:
    """A run as it lies on disk.

    Attributes:
        folder: Its folder; the name is its number.
        video: The video, as a file in the folder.
        model: The model's name.
        settings: How it was explained.
        sentence: The headline.
        answer: The values of the answer: see :func:`vidcam.web.studio.view_models.answered`.
    """

    folder: Path
    video: Video
    model: str
    settings: Settings
    sentence: str
    answer: dict[str, Any]

    @property
    def number(self) -> str:
        """What the page calls it."""
        return self.folder.name

    def files(self) -> list[Path]:
        """Return the files that are worth having: the reports, the video and the picture."""
        own = {FACTS, "player.json"}
        return sorted(p for p in self.folder.iterdir() if p.is_file() and p.name not in own and not p.name.startswith("part-"))


def find_run(result: Result) -> StoredRun:
    """Return what is kept of a result that was opened from the shelf. UsageError if it was deleted."""
    run = _read(result.folder)
    if run is None:
        raise UsageError(words.Runs.DELETED)
    return run


def write_facts(run: StoredRun, folder: Path) -> None:
    """Write ``run.json`` into a folder that becomes that of the run."""
    video = {key: value for key, value in asdict(run.video).items() if key != "path"}
    values = {
        "schema_version": 1,
        "file": run.video.path.name,
        "video": video,
        "model": run.model,
        "settings": asdict(run.settings),
        "sentence": run.sentence,
        "answer": run.answer,
    }
    (folder / FACTS).write_text(to_json_text(values), encoding="utf-8")


def _read(folder: Path) -> StoredRun | None:
    """Return the run in a folder; None if there is none, or it was written by another version."""
    try:
        said = parse_json((folder / FACTS).read_bytes())
        settings = Settings(**(said["settings"] | {"classes": tuple(said["settings"]["classes"])}))
        video = Video(path=folder / Path(said["file"]).name, **said["video"])
        return StoredRun(folder, video, said["model"], settings, said["sentence"], said["answer"])
    except (OSError, ValueError, KeyError, TypeError, UsageError):
        return None


class RunShelf:
    """Keeps the runs under ``root``: of each browser the last ``most``, and at most ``size`` bytes of all browsers."""

    def __init__(self, root: Path, *, most: int = 40, size: int = 4_000_000_000) -> None:
        self.root, self._most, self._size = root, most, size

    def owner(self, secret: object) -> tuple[str, Path]:
        """Return the secret of a browser and its folder: a new secret, unless ``secret`` can be one."""
        known = isinstance(secret, str) and len(secret) >= OWNER_BYTES
        kept = str(secret) if known else secrets.token_urlsafe(OWNER_BYTES)
        return kept, self.root / hashlib.sha256(kept.encode()).hexdigest()[:32]

    def keep(self, owner: Path, result: Result, sentence: str, answer: dict[str, Any]) -> StoredRun:
        """Keep a result: its files are linked, or copied to another disk."""
        analysis = result.analysis
        assert analysis is not None
        owner.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = secrets.token_hex(6)
        part, folder = owner / f"part-{number}", owner / f"run-{number}"
        part.mkdir(mode=0o700)
        for path in result.folder.iterdir():
            if path.is_file():
                link_or_copy(path, part / path.name)
        (part / PICTURE).write_bytes(picture_of(result))
        video = replace(result.video, path=folder / file_name(result.video))
        run = StoredRun(folder, video, analysis.model.name, analysis.settings, sentence, answer)
        write_facts(run, part)
        part.rename(folder)  # it appears complete or not at all
        self.tidy()
        return run

    def delete(self, owner: Path, number: object) -> None:
        """Delete a run. UsageError if the browser has none of this number."""
        shutil.rmtree(self.find(owner, number).folder, ignore_errors=True)

    def list(self, folder: Path) -> list[StoredRun]:
        """Return the runs of a browser, the newest first."""
        return [run for path in newest(folder.glob("run-*")) if (run := _read(path)) is not None]

    def find(self, folder: Path, number: object) -> StoredRun:
        """Return the run of this number. UsageError if the browser has none."""
        run = next((run for run in self.list(folder) if run.number == number), None)
        if run is None:
            raise UsageError(words.Runs.DELETED)
        return run

    def tidy(self) -> None:
        """Delete the oldest runs beyond the limits; what a server left unfinished counts like a run."""
        delete_oldest(self.root, most=self._most, size=self._size)


def delete_oldest(root: Path, *, most: int, size: int) -> None:
    """Delete the oldest folders ``root/OWNER/KIND-NAME`` beyond ``most`` of each owner and ``size`` bytes of all."""
    total = 0
    counts: dict[Path, int] = {}
    for path in newest(root.glob("*/*-*")):
        counts[path.parent] = counts.get(path.parent, 0) + 1
        total += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        if counts[path.parent] > most or total > size:
            shutil.rmtree(path, ignore_errors=True)


def newest(paths: Iterator[Path]) -> list[Path]:
    """Return the folders, the last made first."""
    dated = []
    for path in paths:
        with suppress(OSError):  # deleted meanwhile
            dated.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(dated, reverse=True)]
