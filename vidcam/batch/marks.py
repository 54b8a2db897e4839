"""Marks of finished videos: one small file for each, written last, which says that all its outputs are in place, or why not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from vidcam.io.files import save
from vidcam.io.json_text import parse_json, to_json_text

__all__ = ["MARKS", "Marks", "State"]

MARKS = "vidcam-marks"
"""The folder of the marks, in that of the run."""

State = Literal["done", "failed"]


class Marks:
    """The marks of a run, by the names of its inputs.

    A mark appears whole or not at all, so a process that is killed leaves the marks of exactly those videos that were finished.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / MARKS

    def make_folder(self) -> None:
        """Make the folder of the marks."""
        self._folder.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, state: State, row: Mapping[str, Any]) -> None:
        """Mark an input as done or failed; ``row`` is what the tables say of it."""
        save(self._path(name, state), to_json_text(row), overwrite=True)

    def read(self, name: str, state: State) -> dict[str, Any] | None:
        """Return the row of a mark; None if there is no such mark."""
        try:
            row = parse_json(self._path(name, state).read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return row if isinstance(row, dict) else None

    def names(self, state: State) -> set[str]:
        """Return the names of all inputs that are marked so."""
        suffix = f".{state}.json"
        with os.scandir(self._folder) as entries:
            return {entry.name.removesuffix(suffix) for entry in entries if entry.name.endswith(suffix) and entry.name[0] != "."}

    def clear(self, state: State) -> None:
        """Remove all marks of one kind."""
        for name in self.names(state):
            with suppress(FileNotFoundError):
                self._path(name, state).unlink()

    def _path(self, name: str, state: State) -> Path:
        return self._folder / f"{name}.{state}.json"
