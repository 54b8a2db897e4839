"""What the player of a page needs: facts as JSON, and maps and frame times as compressed bytes.

``vidcam/web/static/player.js`` reads both. Maps stay on the model's own grid (:mod:`vidcam.evidence.packing`); the page
interpolates and colours them with the tables and constants that are sent along, so that it draws what the MP4 file shows.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict

import numpy as np

from vidcam.analysis import Analysis, Answers
from vidcam.evidence.packing import find_levels, pack_maps, pack_times
from vidcam.io.json_text import to_json_value
from vidcam.reports.moments import find_moments
from vidcam.reports.predictions import window_edges
from vidcam.reports.timeline_chart import timeline_chart
from vidcam.values import Track

__all__ = ["deflate", "drawing_facts", "encode", "player_data", "player_parts"]

FAR = 1e9
"""Seconds before every video."""


def player_data(analysis: Analysis, *, video: dict[str, object]) -> dict[str, object]:
    """Return the facts for the player in JSON's own types; ``video`` says where the video is."""
    a = analysis
    size = (a.source.height, a.source.width)
    value = {
        "size": size,
        "frame_size": size if a.playback is None else a.playback.size,
        "first_s": _first_second(a),
        "offset_s": a.video_offset_s if a.playback is None else 0.0,
        "video": video,
        "labels": a.labels,
        "scale": a.scale,
        "look": {key: value for key, value in asdict(a.look).items() if key != "panel"},
        "drawing": drawing_facts(),
        "chart": timeline_chart(a),
        "moments": [{"time": m.time, "label": a.labels.index(m.label), "score": m.score} for m in find_moments(a)],
        "answers": _answers(a),
        "frames_first_s": float(a.frame_times_s[0]) if len(a.frame_times_s) else None,
        "tracks": _tracks(a) if video["own"] else [],
    }
    return {key: to_json_value(item) for key, item in value.items()}


def player_parts(analysis: Analysis) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield the name and the bytes, compressed by :func:`deflate`, of each thing that is too large for JSON."""
    if len(analysis.frame_times_s):
        yield "frames", deflate([pack_times(analysis.frame_times_s)])
    for number, (_, track) in enumerate(_drawn_tracks(analysis)):
        yield f"times-{number}", deflate([pack_times(track.times)])
        yield f"maps-{number}", deflate(pack_maps(track, find_levels(track)))


def deflate(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces compressed as one zlib stream, which browsers read as ``deflate``."""
    compressor = zlib.compressobj()
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


def encode(pieces: Iterable[bytes]) -> Iterator[str]:
    """Yield bytes as one base64 text, piece by piece."""
    left = b""
    for piece in pieces:
        whole = left + piece
        cut = len(whole) - len(whole) % 3
        left = whole[cut:]
        yield base64.b64encode(whole[:cut]).decode("ascii")
    yield base64.b64encode(left).decode("ascii")


def drawing_facts() -> dict[str, object]:
    """Return the colour tables and constants of :mod:`vidcam.render`, which the player's ``Heat`` draws with."""
    from vidcam.render.colormap import table  # here, because it imports OpenCV
    from vidcam.render.overlay import CONTOURS, DIMMED, EDGE, FULL, STYLES, contour_colour
    from vidcam.render.unseen import DIMMED as UNSEEN_DIMMED

    return {
        "styles": STYLES,
        "colours": {name: _text(table(signed).tobytes()) for name, signed in (("plain", False), ("signed", True))},
        "contours": CONTOURS,
        "contour_colours": {
            name: [contour_colour(level, sign, signed) for level in CONTOURS]
            for name, sign, signed in (("plain", 1, False), ("for", 1, True), ("against", -1, True))
        },
        "dimmed": DIMMED,
        "edge": EDGE,
        "full": FULL,
        "unseen_dimmed": UNSEEN_DIMMED,
    }


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _first_second(analysis: Analysis) -> float:
    """Return the second of the first frame of the video that the page plays."""
    if analysis.playback is not None:
        return analysis.playback.first_s
    return float(analysis.frame_times_s[0]) if len(analysis.frame_times_s) else analysis.source.start_s


def _answers(analysis: Analysis) -> list[tuple[float, int]]:
    """Return from which second on which label is drawn, as the MP4 file does: that which the deciding window favours."""
    if not set(analysis.labels) <= set(analysis.windows[0].labels):
        return [(-FAR, 0)]
    answers = Answers(analysis)
    edges = window_edges(analysis.windows)
    middles = [edges[0] - 1, *((edges[1:] + edges[:-1]) / 2), edges[-1] + 1]
    labels = [analysis.labels.index(answers.at(middle)[1]) for middle in middles] if analysis.labels else []
    chosen: list[tuple[float, int]] = []
    for edge, label in zip([-FAR, *edges.tolist()], labels, strict=False):
        if not chosen or chosen[-1][1] != label:
            chosen.append((round(edge, 6), label))
    return chosen


def _tracks(analysis: Analysis) -> list[dict[str, object]]:
    """Return the geometry of each track: places in source pixels, times in seconds."""
    out: list[dict[str, object]] = []
    for label, track in _drawn_tracks(analysis):
        levels = find_levels(track)
        out.append(
            {
                "label": label,
                "shape": track.maps.shape,
                "first": float(track.times[0]),
                "zero": levels.zero,
                "step": levels.step / analysis.scale,
                "ys": np.round(track.ys, 4),
                "xs": np.round(track.xs, 4),
                "seen": [round(float(edge), 4) for edge in track.seen],
            }
        )
    return out


def _drawn_tracks(analysis: Analysis) -> Iterator[tuple[int, Track]]:
    """Yield the tracks in the order of the labels, each with its label's number: its place is its number in the page."""
    for number, label in enumerate(analysis.labels):
        for track in analysis.drawn.get(label, ()):
            yield number, track
