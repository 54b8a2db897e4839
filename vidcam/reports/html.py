"""An analysis as a report: JSON, and one HTML page that plays the video with its evidence."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from vidcam.analysis import Analysis
from vidcam.io.files import atomic_write, check_output
from vidcam.io.json_text import to_utf8_text
from vidcam.reports.answer import summarize
from vidcam.reports.base import Report
from vidcam.reports.json_report import report_values
from vidcam.reports.player_data import encode, player_data, player_parts
from vidcam.reports.templating import fill_template, link_to, video_link

__all__ = ["AnalysisReport", "write_html", "write_json"]

ROWS = 200
"""Rows of a table; the JSON has all of them."""

MARKER = "<!-- parts -->"
"""Stands in the filled template where the large parts go. No value can contain it, because values are escaped."""

READ_BYTES = 3 << 18

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class AnalysisReport(Report):
    """The report on one analysis.

    The page plays ``analysis.playback`` with the evidence drawn over it. Without one, it plays the MP4 file among
    ``analysis.outputs``, into which the evidence is drawn already.

    Args:
        analysis: What the report says.
        template: The page's template.
        missing: A sentence on why the page plays no video; empty if it plays one.
    """

    analysis: Analysis
    template: str = "report.html.j2"
    missing: str = ""

    @property
    def source_path(self) -> str:
        return self.analysis.source.path

    def json_values(self) -> Mapping[str, object]:
        return report_values(self.analysis)

    def in_words(self) -> str:
        return summarize(self.analysis)

    def to_html(self, *, beside: PathLike) -> str:
        return "".join(self._pieces(beside))

    def write_html(self, path: PathLike, *, overwrite: bool = False) -> None:
        """Write the page piece by piece, so that the memory for it does not grow with the video."""
        check_output(path, overwrite=overwrite, source=self.source_path)
        with atomic_write(path, overwrite=overwrite) as part, open(part, "w", encoding="utf-8", newline="\n") as file:
            for piece in self._pieces(path):
                file.write(piece)

    def _pieces(self, beside: PathLike) -> Iterator[str]:
        a = self.analysis
        script = f"{_static('player.js')}\nstartPage();\n"
        video = self._video(beside)
        page = fill_template(
            self.template,
            doc=self.to_json(),
            verdict=self.in_words(),
            name=Path(a.source.path).name or a.source.path,
            labels=[to_utf8_text(label) for label in a.labels],
            moments=bool(a.curves),
            cell_s=min((t.cell_s for group in a.tracks.values() for t in group), default=None),
            playback=a.playback,
            player=player_data(a, video=video),
            player_css=_static("player.css"),
            marker=MARKER,
            script=script,
            script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            rows=ROWS,
        )
        head, _, tail = to_utf8_text(page).partition(MARKER)
        yield head
        for name, chunks in player_parts(a) if video["own"] else ():
            yield from _part(name, chunks)
        if a.playback is not None and a.playback.embed:
            yield from _part("video", _read(a.playback.path))
        yield tail

    def _video(self, beside: PathLike) -> dict[str, object]:
        """Return where the player finds its video, and whether that is without evidence drawn into it (``own``)."""
        a = self.analysis
        if self.missing:
            return {"own": True, "src": None, "missing": self.missing, "sound": False}
        if a.playback is None:
            link = video_link(a.outputs.values(), beside=beside)
            return {"own": link is None, "src": link, "name": link, "sound": a.source.audio is not None}
        path = a.playback.path
        kind = "video/webm" if path.lower().endswith(".webm") else "video/mp4"
        src = None if a.playback.embed else link_to(path, beside=beside)
        name = os.path.basename(path)
        return {
            "own": True, "src": src, "embedded": a.playback.embed, "type": kind, "name": name, "sound": a.source.audio is not None
        }  # fmt: skip


def write_html(analysis: Analysis, path: PathLike, *, overwrite: bool = False) -> None:
    """Write :class:`AnalysisReport` as a page."""
    AnalysisReport(analysis).write_html(path, overwrite=overwrite)


def write_json(analysis: Analysis, path: PathLike, *, overwrite: bool = False) -> None:
    """Write :class:`AnalysisReport` as JSON."""
    AnalysisReport(analysis).write_json(path, overwrite=overwrite)


def _static(name: str) -> str:
    """Return a file of the web pages, which the report contains; nothing of :mod:`vidcam.web` is imported."""
    return files("vidcam").joinpath("web", "static", name).read_text(encoding="utf-8")


def _part(name: str, chunks: Iterator[bytes]) -> Iterator[str]:
    """Yield an element with bytes as base64; browsers run no script of this type."""
    yield f'<script type="application/octet-stream" id="part-{name}">'
    yield from encode(chunks)
    yield "</script>\n"


def _read(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(READ_BYTES):
            yield chunk
