"""An analysis as a report: JSON, and one HTML page with pictures and an interactive timeline."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vidcam.analysis import Analysis
from vidcam.reports.answer import summarize
from vidcam.reports.base import Report
from vidcam.reports.json_report import report_values
from vidcam.reports.predictions import predicted_spans
from vidcam.reports.templating import fill_template, jpeg_url, video_link
from vidcam.reports.timeline_chart import timeline_chart

__all__ = ["AnalysisReport", "write_html", "write_json"]

ROWS = 200
"""Rows of a table; the JSON has all of them."""

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class AnalysisReport(Report):
    """The report on one analysis.

    If ``analysis.outputs`` has an MP4 file, the page plays it beside the timeline.
    """

    analysis: Analysis

    @property
    def source_path(self) -> str:
        return self.analysis.source.path

    def json_values(self) -> Mapping[str, object]:
        return report_values(self.analysis)

    def in_words(self) -> str:
        return summarize(self.analysis)

    def to_html(self, *, beside: PathLike) -> str:
        a = self.analysis
        return fill_template(
            "report.html.j2",
            doc=self.to_json(),
            verdict=self.in_words(),
            name=Path(a.source.path).name or a.source.path,
            chart=timeline_chart(a, predicted_spans(a.windows)),
            moments=[{"time": m.time, "label": m.label, "score": m.score, "src": jpeg_url(m.image)} for m in a.moments],
            cell_s=min((t.cell_s for group in a.tracks.values() for t in group), default=None),
            video=video_link(a.outputs.values(), beside=beside),
            rows=ROWS,
        )


def write_html(analysis: Analysis, path: PathLike, *, overwrite: bool = False) -> None:
    """Write :class:`AnalysisReport` as a page."""
    AnalysisReport(analysis).write_html(path, overwrite=overwrite)


def write_json(analysis: Analysis, path: PathLike, *, overwrite: bool = False) -> None:
    """Write :class:`AnalysisReport` as JSON."""
    AnalysisReport(analysis).write_json(path, overwrite=overwrite)
