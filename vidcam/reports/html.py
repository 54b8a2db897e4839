"""An analysis as a report: JSON, and one HTML page that plays the video with its evidence."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from vidcam.analysis import Analysis
from vidcam.io.formatting import share
from vidcam.io.json_text import to_utf8_text
from vidcam.reports.answer import summarize
from vidcam.reports.base import Report
from vidcam.reports.json_report import report_values
from vidcam.reports.player_data import player_data, player_parts
from vidcam.reports.player_page import embedded_video, page_pieces, video_facts, write_pieces
from vidcam.reports.templating import video_link
from vidcam.reports.timeline_chart import strongest
from vidcam.reports.trust import describe_verdict

__all__ = ["AnalysisReport", "write_html", "write_json"]

ROWS = 200
"""Rows of a table; the JSON has all of them."""

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
        write_pieces(self._pieces(path), path, overwrite=overwrite, source=self.source_path)

    def _pieces(self, beside: PathLike) -> Iterator[str]:
        a = self.analysis
        video, full = self._video(beside), strongest(a.curves.values())
        return page_pieces(
            self.template,
            start="startPage",
            player=player_data(a, video=video),
            parts=chain(player_parts(a) if video["own"] else (), embedded_video(a.playback)),
            doc=self.to_json(),
            verdict=self.in_words(),
            name=Path(a.source.path).name or a.source.path,
            labels=[to_utf8_text(label) for label in a.labels],
            moments=bool(a.curves),
            trust=describe_verdict(a),
            shares=[share(s.score, full) for s in a.segments[:ROWS]],
            cell_s=min((t.cell_s for group in a.tracks.values() for t in group), default=None),
            playback=a.playback,
            rows=ROWS,
        )

    def _video(self, beside: PathLike) -> dict[str, object]:
        """Return where the player finds its video, and whether that is without evidence drawn into it (``own``)."""
        a = self.analysis
        if self.missing:
            return {"own": True, "src": None, "missing": self.missing, "sound": False}
        if a.playback is not None:
            return video_facts(a.playback, beside=beside, sound=a.source.audio is not None)
        link = video_link(a.outputs.values(), beside=beside)
        return {"own": link is None, "src": link, "name": link, "sound": a.source.audio is not None}


def write_html(analysis: Analysis, path: PathLike, *, overwrite: bool = False) -> None:
    """Write :class:`AnalysisReport` as a page."""
    AnalysisReport(analysis).write_html(path, overwrite=overwrite)


def write_json(analysis: Analysis, path: PathLike, *, overwrite: bool = False) -> None:
    """Write :class:`AnalysisReport` as JSON."""
    AnalysisReport(analysis).write_json(path, overwrite=overwrite)
