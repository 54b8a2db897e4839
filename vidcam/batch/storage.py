"""Where a run keeps its plan, marks, tables and outputs: a folder, or an address that fsspec writes to, such as s3://bucket/run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, Protocol

from vidcam.io.files import atomic_write, remove_leftovers, remove_unfinished, scratch
from vidcam.io.json_text import to_utf8_text
from vidcam.io.remote import open_remote, translated

__all__ = ["Place", "Storage", "open_storage", "path_in", "write_text"]

Place = Path | str
"""The folder of a run: a path, or an address as text."""

WHOLE_AT_ONCE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory"})
"""Storage in which a file appears only when it is complete. In others it is written under another name, and renamed."""


class Storage(Protocol):
    """Reads and writes the files of a run, by their names relative to its folder. A file appears whole or not at all."""

    def writing(self, name: str) -> Any:
        """Yield an empty local file as a context; it becomes ``name`` when the block ends."""

    def read(self, name: str) -> bytes | None:
        """Return what is in a file; None if there is none."""

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder; none if there is no such folder."""

    def existing(self, names: Iterable[str]) -> list[str]:
        """Return those of some files that exist."""

    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""

    def prepare(self, folders: Iterable[str]) -> None:
        """Make a run possible: make its folders, and remove what a killed run left half-written."""

    def discard(self, names: Iterable[str]) -> None:
        """Remove what lost workers, on whatever machines, left half-written of those files that lie inside the run's folder."""

    def working(self, names: Iterable[str]) -> Any:
        """Yield the local folder in which outputs are written, as a context; they are in the storage when the block ends."""


def open_storage(place: Place) -> Storage:
    """Return the storage of a run."""
    return _Folder(place) if isinstance(place, Path) else _Remote(place)


def path_in(place: Place, name: str) -> str:
    """Return how a file in a place is named to people."""
    return str(place / name) if isinstance(place, Path) else f"{place.rstrip('/')}/{name}"


def write_text(storage: Storage, name: str, text: str) -> None:
    """Write a whole file as UTF-8."""
    with storage.writing(name) as part:
        part.write_bytes(to_utf8_text(text).encode("utf-8"))


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def writing(self, name: str) -> Any:
        return atomic_write(self._folder / name, overwrite=True)

    def read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        try:
            with os.scandir(self._folder / folder) as entries:
                return [entry.name for entry in entries]
        except FileNotFoundError:
            return []

    def existing(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if os.path.lexists(self._folder / name)]

    def remove(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def prepare(self, folders: Iterable[str]) -> None:
        for name in folders:
            folder = self._folder / name
            if folder.parent == self._folder:
                folder.mkdir(exist_ok=True)
            remove_leftovers(folder)

    def discard(self, names: Iterable[str]) -> None:
        inside = (name for name in map(PurePath, names) if not name.is_absolute() and ".." not in name.parts)
        remove_unfinished(self._folder / name for name in inside)

    @contextmanager
    def working(self, names: Iterable[str]) -> Iterator[Path]:
        yield self._folder.absolute()


class _Remote:
    """Outputs are written into a temporary folder of this machine and uploaded when all of them are there."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        with scratch(PurePath(name).suffix) as part:
            yield part
            self._upload(part, name)

    def read(self, name: str) -> bytes | None:
        files, path = self._open(name)
        with translated(f"{self._address}/{name}", "read"):
            try:
                content: bytes = files.cat_file(path)
            except FileNotFoundError:
                return None
        return content

    def names(self, folder: str) -> list[str]:
        files, path = self._open(folder)
        with translated(f"{self._address}/{folder}", "read"):
            files.invalidate_cache()  # others write too
            try:
                return [PurePath(name).name for name in files.ls(path, detail=False)]
            except FileNotFoundError:
                return []

    def existing(self, names: Iterable[str]) -> list[str]:
        files, root = self._open("")
        with translated(self._address, "read"):
            files.invalidate_cache()
            present = {name.removeprefix(root).lstrip("/") for name in files.find(root)}
        return [name for name in names if PurePath(name).as_posix() in present]

    def remove(self, name: str) -> None:
        files, path = self._open(name)
        with translated(f"{self._address}/{name}", "written"), suppress(FileNotFoundError):
            files.rm_file(path)

    def prepare(self, folders: Iterable[str]) -> None:
        files, _ = self._open("")
        for name in folders:
            _, path = self._open(name)
            with translated(f"{self._address}/{name}", "written"):
                files.makedirs(path, exist_ok=True)

    def discard(self, names: Iterable[str]) -> None:
        if not self._is_whole_at_once(self._open("")[0]):
            for name in names:
                self.remove(_part(name))

    @contextmanager
    def working(self, names: Iterable[str]) -> Iterator[Path]:
        with scratch(is_folder=True) as folder:
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
            yield folder
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    name = path.relative_to(folder).as_posix()
                    if path.suffix == ".json":
                        self._name_places(path, folder)
                    self._upload(path, name)

    def _name_places(self, path: Path, folder: Path) -> None:
        """Replace the temporary folder in a report, which names the files that were written, by where they come to lie."""
        path.write_bytes(path.read_bytes().replace(f"{folder}/".encode(), f"{self._address}/".encode()))

    def _upload(self, local: Path, name: str) -> None:
        files, path = self._open(name)
        with translated(f"{self._address}/{name}", "written"):
            if self._is_whole_at_once(files):
                files.put_file(str(local), path)
                return
            part = _part(path)
            files.put_file(str(local), part)
            files.mv(part, path)

    @staticmethod
    def _is_whole_at_once(files: Any) -> bool:
        protocols = {files.protocol} if isinstance(files.protocol, str) else set(files.protocol)
        return bool(protocols & WHOLE_AT_ONCE)

    def _open(self, name: str) -> tuple[Any, str]:
        return open_remote(f"{self._address}/{PurePath(name).as_posix()}" if name else self._address)


def _part(name: str) -> str:
    """Return the name of a file that is being uploaded."""
    return str(PurePath(name).with_name(f".{PurePath(name).name}.part"))
