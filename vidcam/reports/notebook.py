"""What a notebook shows of an analysis: the answer in words, and below it the player in a frame of its own."""

from __future__ import annotations

import html
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vidcam.analysis import Analysis
from vidcam.errors import VidcamError
from vidcam.io.formatting import percent
from vidcam.io.playable import Playback, check_playable, remux
from vidcam.io.source import open_source
from vidcam.reports.html import AnalysisReport

__all__ = ["EMBED_LIMIT", "notebook_html"]

EMBED_LIMIT = 8_000_000
"""The largest video, in bytes, that a cell of a notebook contains: the notebook's file keeps a third more than that."""

INSTEAD = 'vidcam.annotate(VIDEO, vidcam.Outputs(reports={"html": Path("why.html")})) writes a page that plays it'
TEMPLATE = "notebook.html.j2"


def notebook_html(analysis: Analysis) -> str:
    """Return the answer and the player as HTML that works inside Jupyter, VS Code and their exports.

    The player is in a frame without rights on the notebook (``sandbox``), so that neither can disturb the other. It contains the
    video, if browsers can play it and it has at most :data:`EMBED_LIMIT` bytes; otherwise the evidence is drawn without a video,
    and a sentence says why. Where no script runs, as on GitHub, the answer in words remains.
    """
    answers = ", ".join(f"{html.escape(label)} {percent(prob)}" for label, prob in analysis.top(3))
    facts = html.escape(f"{analysis.model.name}, {analysis.method}, {analysis.duration_s:.1f} s")
    with _playable(analysis) as (playback, missing):
        page = AnalysisReport(replace(analysis, playback=playback), template=TEMPLATE, missing=missing).to_html(beside="notebook")
    return (
        f"<p><strong>{answers}</strong> <small>{facts}</small></p>"
        f'<iframe sandbox="allow-scripts" allow="fullscreen" title="The video with its evidence" loading="lazy" '
        f'style="width:100%;height:54rem;max-width:72rem;border:0;resize:vertical" srcdoc="{html.escape(page)}"></iframe>'
    )


@contextmanager
def _playable(analysis: Analysis) -> Iterator[tuple[Playback | None, str]]:
    """Yield the video to embed, or None with a sentence on why there is none."""
    info = analysis.source
    name = os.path.basename(info.path)
    if not os.path.isfile(info.path):
        yield None, "There is no video file to play: the evidence is drawn without it."
        return
    with tempfile.TemporaryDirectory() as folder:
        path, reason = info.path, ""
        try:
            with open_source(info.path) as source:
                playable = check_playable(source)
                if playable.way == "remux":
                    path = os.path.join(folder, "video.mp4")
                    remux(source, Path(path))
                elif playable.way == "transcode":
                    reason = playable.reason
        except VidcamError as error:
            reason = str(error)
        if not reason and (size := os.path.getsize(path)) > EMBED_LIMIT:
            reason = f"it has {size / 1e6:.0f} MB, and a notebook contains at most {EMBED_LIMIT / 1e6:.0f}"
        if reason:
            yield None, f"{name} is not in this notebook ({reason}). {INSTEAD}."
            return
        yield Playback(path, info.start_s, (info.height, info.width), "", embed=True), ""
