"""The report formats: one row each. The command line and the app offer what this table has.

To add a format, write a function ``(analysis, path, *, overwrite)`` and add its row to :data:`FORMATS`. Other packages call
:func:`register_format`, or name a Format in an entry point of the group ``vidcam.formats``.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from vidcam.analysis import Analysis
from vidcam.errors import OutputError, UnknownNameError, UsageError
from vidcam.io.extras import require_extra
from vidcam.io.plugins import InstalledRows
from vidcam.reports.csv_report import write_csv
from vidcam.reports.html import write_html, write_json
from vidcam.reports.npz import write_npz
from vidcam.reports.webvtt import write_vtt

__all__ = ["ENTRY_POINTS", "FORMATS", "Format", "get_format", "list_formats", "register_format"]

ENTRY_POINTS = "vidcam.formats"
"""The group of entry points through which packages add formats."""

log = logging.getLogger("vidcam.reports")


class Writer(Protocol):
    """Writes an analysis to a file, complete or not at all. Raises OutputError, also if the file exists, unless ``overwrite``."""

    def __call__(self, analysis: Analysis, path: str | os.PathLike[str], *, overwrite: bool = False) -> None: ...


@dataclass(frozen=True)
class Format:
    """A kind of report.

    Args:
        name: What is typed in ``--format NAME=PATH``.
        suffix: The usual end of the file's name, such as ``.json``.
        title: A word or two for the app's download button.
        write: The function that writes the report.
        other_suffixes: If given, the file's name must end in one of these or in ``suffix``, and ``write`` goes by it.
        is_download: Whether the app offers the report for download.
        has_pictures: Whether the report shows pictures of the video, for which the video is decoded once more.
        plays_video: Whether the report plays the video, which ``analysis.playback`` then names.
        extra: The extra that brings the packages that ``write`` needs.
    """

    name: str
    suffix: str
    title: str
    write: Writer
    other_suffixes: tuple[str, ...] = ()
    is_download: bool = True
    has_pictures: bool = False
    plays_video: bool = False
    extra: str | None = None

    def check_path(self, path: Path) -> None:
        """Raise OutputError if the suffix of the name is not one of this format, and MissingExtraError without its extra."""
        if self.extra is not None:
            require_extra(self.extra, f"--format {self.name}={path}")
        suffixes = (self.suffix, *self.other_suffixes)
        if self.other_suffixes and not path.name.lower().endswith(suffixes):
            allowed = f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"
            raise OutputError(f"cannot write {path}: {self.title.lower()} are written as {allowed}")


def _later(module: str, function: str) -> Writer:
    """Return the function of a module of this room that is imported only when it writes: it imports OpenCV."""

    def write(analysis: Analysis, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        getattr(import_module(f"vidcam.reports.{module}"), function)(analysis, path, overwrite=overwrite)

    return write


FORMATS = (
    Format("html", ".html", "Report", write_html, plays_video=True),
    Format("json", ".json", "JSON", write_json),
    Format("csv", ".csv", "CSV", write_csv),
    Format("vtt", ".vtt", "Subtitles", write_vtt),
    Format("npz", ".npz", "Maps", write_npz),
    Format("tubes", ".csv", "Tubes", _later("coco", "write_tubes"), other_suffixes=(".json", ".coco.json"), is_download=False),
    Format("coco", ".json", "COCO", _later("coco", "write_coco"), is_download=False),
    Format("cvat", ".xml", "CVAT", _later("cvat", "write_cvat"), is_download=False),
    Format("fiftyone", ".zip", "FiftyOne", _later("fiftyone", "write_fiftyone"), is_download=False),
    Format("label-studio", ".json", "Label Studio", _later("label_studio", "write_label_studio"), is_download=False),
    Format("rerun", ".rrd", "Rerun", _later("rerun_recording", "write_rerun"), is_download=False, extra="rerun"),
)
"""The formats that come with vidcam, in the order in which they are written."""

_formats = {row.name: row for row in FORMATS}


def register_format(row: Format) -> Format:
    """Add a format, so that it can be written by its name in this process.

    Args:
        row: The format; its name must be new.

    Returns:
        The same ``row``.

    Raises:
        UsageError: A format of that name exists already, or the name is ``video``.
    """
    if row.name in _formats or row.name == "video":
        raise UsageError(f"a format named {row.name!r} is registered already")
    _formats[row.name] = row
    return row


def list_formats() -> tuple[Format, ...]:
    """Return all formats: the built-in ones first, then those of installed packages and registered ones."""
    _installed.load()
    return tuple(_formats.values())


def get_format(name: str) -> Format:
    """Return the format of that name. Raises UnknownNameError, which gives the nearest names, if there is none."""
    if name not in _formats:
        _installed.load()
    if name not in _formats:
        raise UnknownNameError("format", name, _formats)
    return _formats[name]


def _register_installed(row: object) -> None:
    if not isinstance(row, Format):
        raise UsageError(f"it must be a Format, got a {type(row).__name__}")
    register_format(row)


_installed = InstalledRows(
    ENTRY_POINTS, _register_installed, sentence="the format of the package %s (%s) is left out: %s", log=log
)
