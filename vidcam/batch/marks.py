"""Marks of finished videos: one small file for each, written last, which says that all its outputs are in place, or why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from vidcam.batch.storage import Place, open_storage, write_text
from vidcam.io.json_text import parse_json, to_json_text

__all__ = ["MARKS", "Marks", "State"]

MARKS = "vidcam-marks"
"""The folder of the marks, in that of the run."""

State = Literal["done", "failed"]


class Marks:
    """The marks of a run, by the names of its inputs.

    A mark appears whole or not at all, so a process that is killed leaves the marks of exactly those videos that were finished.
    """

    def __init__(self, folder: Place) -> None:
        self._storage = open_storage(folder)

    def write(self, name: str, state: State, row: Mapping[str, Any]) -> None:
        """Mark an input as done or failed; ``row`` is what the tables say of it."""
        write_text(self._storage, _file(name, state), to_json_text(row))

    def read(self, name: str, state: State) -> dict[str, Any] | None:
        """Return the row of a mark; None if there is no such mark."""
        content = self._storage.read(_file(name, state))
        try:
            row = None if content is None else parse_json(content)
        except ValueError:
            return None
        return row if isinstance(row, dict) else None

    def names(self, state: State) -> set[str]:
        """Return the names of all inputs that are marked so."""
        suffix = f".{state}.json"
        files = self._storage.names(MARKS)
        return {file.removesuffix(suffix) for file in files if file.endswith(suffix) and file[0] != "."}

    def files(self, name: str) -> list[str]:
        """Return the files of an input's marks, relative to the folder of the run."""
        return [_file(name, state) for state in get_args(State)]

    def clear(self, state: State) -> None:
        """Remove all marks of one kind."""
        for name in self.names(state):
            self._storage.remove(_file(name, state))


def _file(name: str, state: State) -> str:
    return f"{MARKS}/{name}.{state}.json"
