"""Reads folders of labelled videos: one folder for each class, or videos beside a ``labels.csv``."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidcam.errors import InputError
from vidcam.io.source import VIDEO_SUFFIXES, find_videos

__all__ = ["LabelledFolder", "LabelledVideo", "is_labelled", "read_labelled"]

TABLE = "labels.csv"


@dataclass(frozen=True)
class LabelledVideo:
    """One video, its ``name`` relative to the folder, and its labels.

    ``labels`` are indices into :attr:`LabelledFolder.labels`.
    """

    path: Path
    name: str
    labels: tuple[int, ...]


@dataclass(frozen=True)
class LabelledFolder:
    """The sorted labels of a folder, and its videos."""

    labels: tuple[str, ...]
    videos: tuple[LabelledVideo, ...]

    @property
    def multi_label(self) -> bool:
        """Whether a video has several labels, or none."""
        return any(len(video.labels) != 1 for video in self.videos)


def is_labelled(folder: str | os.PathLike[str]) -> bool:
    """Return whether ``folder`` holds a ``labels.csv``, or a folder with videos."""
    path = Path(folder)
    return path.is_dir() and ((path / TABLE).is_file() or any(_has_videos(sub) for sub in _class_folders(path)))


def read_labelled(folder: str | os.PathLike[str]) -> LabelledFolder:
    """Read the labels and the videos of a folder.

    The folder holds one folder of videos for each class; or a UTF-8 ``labels.csv`` with a line ``path,label;label;...`` for each
    video. Raises InputError if it holds neither, if a class folder holds no video, and for a table that is damaged or names a
    file that does not exist.
    """
    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"no folder {path}: name a folder with one folder of videos for each class")
    if (path / TABLE).is_file():
        rows = list(_rows(path, path / TABLE))
        labels = tuple(sorted({label for _, names in rows for label in names}))
        videos = [LabelledVideo(path / name, name, tuple(sorted(map(labels.index, set(names))))) for name, names in rows]
        return LabelledFolder(labels, tuple(videos))
    classes = _class_folders(path)
    if not any(map(_has_videos, classes)):
        loose = " but loose videos" if any(p.suffix.lower() in VIDEO_SUFFIXES for p in path.iterdir()) else ""
        raise InputError(
            f"{path} has no class folders with videos{loose}: make one folder of videos for each class in it, or a {TABLE} of "
            "lines path,label;label"
        )
    videos = [LabelledVideo(p, f"{c.name}/{p.name}", (i,)) for i, c in enumerate(classes) for p in find_videos(c)]
    return LabelledFolder(tuple(c.name for c in classes), tuple(videos))


def _class_folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _has_videos(folder: Path) -> bool:
    try:
        return bool(find_videos(folder))
    except InputError:
        return False


def _rows(folder: Path, table: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each video and its labels."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except UnicodeDecodeError as err:
        raise InputError(f"{table} is not UTF-8 text: save it as 'CSV UTF-8'") from err
    except csv.Error as err:
        raise InputError(f"{table} cannot be read as CSV ({err}): it must hold lines of path,label;label;...") from err
    lines_of: dict[Path, int] = {}
    for number, row in enumerate(lines, 1):
        if not row:
            continue
        if len(row) != 2:
            raise InputError(f"line {number} of {table} must be path,label;label;..., got {','.join(row)}")
        name = row[0].strip()
        if not (folder / name).is_file():
            raise InputError(f"line {number} of {table}: no file {folder / name}")
        if (earlier := lines_of.setdefault((folder / name).resolve(), number)) != number:
            raise InputError(
                f"lines {earlier} and {number} of {table} name the same video, {name}: put all its labels on one line, with"
                " semicolons between them"
            )
        yield name, [label.strip() for label in row[1].split(";") if label.strip()]
