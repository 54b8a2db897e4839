"""CSV: an analysis as a table over time, with text that no spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
import math
import os

from vidcam.analysis import Analysis
from vidcam.io.files import save
from vidcam.reports.predictions import nearest_windows, round_time

__all__ = ["escape_formula", "write_csv"]

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", *"\uff1d\uff0b\uff0d\uff20")


def write_csv(analysis: Analysis, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write one row for each time of the timeline.

    A row has the time in seconds, the evidence per second for each label (empty if no window covers the time), and the most
    probable label there with its probability. Raises OutputError if the file cannot be written.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    writer.writerow(["time_s", *(f"evidence:{label}" for label in analysis.labels), "top_label", "top_prob"])
    windows = nearest_windows(analysis.windows, analysis.times_s)
    tops = [w.top(1)[0] for w in analysis.windows]
    for i, time in enumerate(analysis.times_s):
        label, prob = tops[windows[i]] if windows[i] >= 0 else ("", "")
        evidence = ["" if math.isnan(curve[i]) else float(curve[i]) for curve in analysis.curves.values()]
        writer.writerow([round_time(time), *evidence, escape_formula(label), prob])
    save(path, out.getvalue(), overwrite=overwrite, source=analysis.source.path)


def escape_formula(text: str) -> str:
    """Return ``text`` with an apostrophe before it if a spreadsheet could take it for a formula."""
    return "'" + text if text.startswith(FORMULA_STARTS) else text
