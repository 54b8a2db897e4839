"""What every report can do: be read as words, and be written as JSON and as an HTML page."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping

from vidcam.io.files import save
from vidcam.io.json_text import to_json_text, to_json_value

__all__ = ["Report"]

PathLike = str | os.PathLike[str]


class Report(ABC):
    """A result that can be told in words, as JSON and as one HTML page.

    A subclass gives the values, the words and the page; this class writes them. Every file appears complete or not at all.
    """

    @property
    def source_path(self) -> str | None:
        """Return the path of the input, which no report may replace; None if there is no such file."""
        return None

    @abstractmethod
    def json_values(self) -> Mapping[str, object]:
        """Return the values of the JSON file by key, not necessarily in JSON's own types."""

    @abstractmethod
    def in_words(self) -> str:
        """Return a few lines for the terminal."""

    @abstractmethod
    def to_html(self, *, beside: PathLike) -> str:
        """Return the page as text; its links are relative to ``beside``, the path of the page."""

    def to_json(self) -> dict[str, object]:
        """Return the values in JSON's own types, under the keys of docs/json.md; a number that is not finite becomes None."""
        return {key: to_json_value(value) for key, value in self.json_values().items()}

    def write_json(self, path: PathLike, *, overwrite: bool = False) -> None:
        """Write strict UTF-8 JSON, one top-level key a line. Raises OutputError if it cannot be written."""
        save(path, to_json_text(self.json_values()), overwrite=overwrite, source=self.source_path)

    def write_html(self, path: PathLike, *, overwrite: bool = False) -> None:
        """Write one HTML file that needs nothing else, except a video beside it. Raises OutputError if it cannot be written."""
        save(path, self.to_html(beside=path), overwrite=overwrite, source=self.source_path)

    def write_files(self, paths: Mapping[str, PathLike | None], *, overwrite: bool = False) -> None:
        """Write the report to each path that is not None; the keys are formats, such as ``html`` and ``json``."""
        for name, path in paths.items():
            if path is not None:
                getattr(self, f"write_{name}")(path, overwrite=overwrite)
