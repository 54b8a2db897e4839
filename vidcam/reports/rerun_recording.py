"""Rerun: the original video, the heat over it, the tubes and the curves over time, as a recording for the Rerun viewer."""

from __future__ import annotations

import io
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from vidcam.analysis import Analysis
from vidcam.errors import InputError
from vidcam.evidence.heat import render_heat
from vidcam.evidence.tubes import find_tubes
from vidcam.io.files import atomic_write, check_output
from vidcam.io.json_text import to_utf8_text
from vidcam.io.stored_video import look_at_stored
from vidcam.io.video_pieces import VideoPiece, video_pieces
from vidcam.render.colormap import apply_colormap
from vidcam.render.overlay import ramp
from vidcam.reports.frame_numbers import category, tubes_at
from vidcam.reports.small_heat import shrink, small_size
from vidcam.values import FloatArray

if TYPE_CHECKING:
    from rerun import RecordingStream

__all__ = ["write_rerun"]

T = TypeVar("T")

TIMELINE = "video_time"
HEAT_PIXELS = 64
"""The longer side of a picture of the heat; the viewer interpolates it."""

PIECE_BYTES = 16_000_000
"""About how much of the video is one part of the recording, and in memory."""

ROWS = 256
"""How many times are sent at once."""

TURNS = {
    0: ((1, 0), (0, 1)), 90: ((0, -1), (1, 0)), 180: ((-1, 0), (0, -1)), 270: ((0, 1), (-1, 0)),
}  # fmt: skip
"""The clockwise turns by their degrees: the upright (x, y) of the stored (x, y), about the middle of the picture."""


def write_rerun(analysis: Analysis, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a recording with everything at its second on the stream's clock, on the timeline ``video_time``.

    ``video`` is the original video, not encoded again; ``heat`` has a small picture a label, stretched over it; ``tubes`` are
    boxes; ``evidence`` and ``probability`` are curves. A video whose codec MP4 does not hold is left out, and ``about`` says so.
    Needs the package rerun-sdk (the extra ``vidcam[rerun]``). Raises OutputError if the file cannot be written.
    """
    check_output(path, overwrite=overwrite, source=analysis.source.path)
    import rerun as rr

    with atomic_write(path, overwrite=overwrite) as part:
        recording = rr.RecordingStream("vidcam")
        recording.save(part, default_blueprint=_views())
        try:
            reason = _send_video(recording, analysis)
            about = to_utf8_text(_about(analysis, reason))
            recording.log("about", rr.TextDocument(about, media_type="text/markdown"), static=True)
            _send_curves(recording, analysis)
            _send_heat(recording, analysis)
            _send_tubes(recording, analysis)
        finally:
            recording.flush()
            recording.disconnect()


def _views() -> Any:
    """Return what the viewer shows at first: the picture, and the curves below it."""
    import rerun.blueprint as rrb

    picture = rrb.Spatial2DView(origin="/", contents=["/video/**", "/heat/**", "/tubes/**"], name="video")
    curves = [rrb.TimeSeriesView(origin=f"/{name}", name=name) for name in ("evidence", "probability")]
    about = rrb.TextDocumentView(origin="/about", name="about")
    columns = rrb.Horizontal(picture, about, column_shares=[4, 1])
    return rrb.Blueprint(
        rrb.Vertical(columns, *curves, row_shares=[4, 1, 1]), rrb.TimePanel(timeline=TIMELINE, state="collapsed")
    )


def _about(analysis: Analysis, reason: str) -> str:
    top = "\n".join(f"- {label}: {probability:.1%}" for label, probability in analysis.top(3))
    unit = "logit" if analysis.completeness_error is not None else "arbitrary unit"
    lost = f"\n\nWithout the video: {reason}." if reason else ""
    return f"{analysis.source.path}\n\n{top}\n\n{analysis.model.name}, {analysis.method} (evidence in {unit} per second){lost}"


def _seconds(times: npt.ArrayLike) -> list[Any]:
    import rerun as rr

    return [rr.TimeColumn(TIMELINE, duration=np.asarray(times, np.float64))]


def _send_video(recording: RecordingStream, analysis: Analysis) -> str:
    """Send the video piece by piece; return why it is left out, "" if it is not."""
    times = analysis.frame_times_s
    start, end = (float(times[0]), float(times[-1])) if len(times) else (-math.inf, math.inf)
    stored = look_at_stored(analysis.source.path, rotation=0)
    if stored is None:
        return "it is no video file"
    _place_video(recording, analysis, stored.size)
    try:
        pieces = video_pieces(analysis.source.path, start_s=start, end_s=end, max_bytes=PIECE_BYTES)
        for number, piece in enumerate(pieces):
            _send_piece(recording, number, piece)
    except (InputError, ValueError, RuntimeError) as error:
        return str(error)
    return ""


def _send_piece(recording: RecordingStream, number: int, piece: VideoPiece) -> None:
    import rerun as rr

    asset = rr.AssetVideo(contents=piece.content, media_type="video/mp4")
    own_ns = np.sort(asset.read_frame_timestamps_nanos())  # an edit list may have moved them
    count = min(len(own_ns), len(piece.times))
    recording.log(f"pieces/{number}", asset, static=True)
    recording.send_columns(
        "video",
        indexes=_seconds(piece.times[:count]),
        columns=[
            *rr.VideoFrameReference.columns(timestamp=own_ns[:count], video_reference=[f"pieces/{number}"] * count),
        ],
    )


def _place_video(recording: RecordingStream, analysis: Analysis, stored: tuple[int, int]) -> None:
    """Log how the stored pictures are turned and stretched to be upright with square pixels."""
    import rerun as rr

    height, width = analysis.source.height, analysis.source.width
    turn = np.array(TURNS[analysis.source.rotation], np.float64)
    turned = np.abs(turn @ np.array([stored[1], stored[0]]))
    matrix = np.eye(3)
    matrix[:2, :2] = np.diag([width / turned[0], height / turned[1]]) @ turn
    middle = matrix[:2, :2] @ np.array([stored[1], stored[0]]) / 2
    shift = [width / 2 - middle[0], height / 2 - middle[1], 0]
    if not (np.allclose(matrix, np.eye(3)) and np.allclose(shift, 0)):
        recording.log("video", rr.Transform3D(translation=shift, mat3x3=matrix), static=True)


def _send_curves(recording: RecordingStream, analysis: Analysis) -> None:
    """Send the evidence per second at the steps of the timeline, and the probability at the middle of each clip."""
    import rerun as rr

    middles = np.array([sum(w.span) / 2 for w in analysis.windows])
    order = np.argsort(middles, kind="stable")
    for label, curve in analysis.curves.items():
        known = ~np.isnan(curve)
        probabilities = [analysis.windows[i].prob(label) if label in analysis.windows[i].labels else math.nan for i in order]
        for name, times, values in (
            ("evidence", analysis.times_s[known], curve[known]),
            ("probability", middles[order], np.array(probabilities)),
        ):
            entity = _entity(name, label)
            recording.log(entity, rr.SeriesLines(names=to_utf8_text(label)), static=True)
            recording.send_columns(entity, indexes=_seconds(times), columns=rr.Scalars.columns(scalars=values))


def _send_heat(recording: RecordingStream, analysis: Analysis) -> None:
    """Send the heat of each label at the steps of the timeline as small pictures; where no clip looked, as an empty one."""
    import rerun as rr

    source = analysis.source.height, analysis.source.width
    size = small_size(source, HEAT_PIXELS)
    # The viewer takes the pictures' own opacity into account only if they are not fully opaque as a whole.
    look = rr.EncodedImage.from_fields(media_type="image/png", magnification_filter="Linear", opacity=0.999, draw_order=1.0)
    for label, tracks in analysis.drawn.items():
        small, entity = shrink(tracks, source, size), _entity("heat", label)
        scale = rr.Transform3D(scale=[source[1] / size[1], source[0] / size[0], 1])
        recording.log(entity, scale, static=True)
        recording.log(entity, look, static=True)
        for times in _batches(np.unique(np.concatenate([t.times for t in tracks])).tolist()):
            pictures = []
            for time in times:
                heat = render_heat(small, time=time, scale=analysis.scale, size=size)
                pictures.append(_png(np.zeros(size, np.float32) if heat is None else heat.values, analysis.look.opacity))
            recording.send_columns(entity, indexes=_seconds(times), columns=rr.EncodedImage.columns(blob=pictures))


def _png(heat: FloatArray, opacity: float) -> bytes:
    """Return heat ``(h, w)`` in [0, 1] as a PNG whose opacity grows with it."""
    from PIL import Image

    rgba = np.dstack([apply_colormap(heat), np.rint(255 * opacity * ramp(heat)).astype(np.uint8)])
    file = io.BytesIO()
    Image.fromarray(rgba, "RGBA").save(file, "PNG")
    return file.getvalue()


def _send_tubes(recording: RecordingStream, analysis: Analysis) -> None:
    """Send the boxes of all tubes at the steps of the timeline, none where there is none."""
    import rerun as rr

    steps = np.unique([time for tracks in analysis.drawn.values() for track in tracks for time in track.times.tolist()])
    moments = tubes_at(find_tubes(analysis, masks=False), steps.tolist())
    for times in _batches(steps.tolist()):
        items = list(itertools.islice(moments, len(times)))
        found = [pair for pairs in items for pair in pairs]
        boxes = np.array([o.box for _, o in found]).reshape(-1, 4)  # y0, x0, y1, x1
        columns = rr.Boxes2D.columns(
            centers=np.stack([boxes[:, 1] + boxes[:, 3], boxes[:, 0] + boxes[:, 2]], 1) / 2,
            half_sizes=np.stack([boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]], 1) / 2,
            labels=[to_utf8_text(category(tube)) for tube, _ in found],
        )
        lengths = [len(pairs) for pairs in items]
        recording.send_columns("tubes", indexes=_seconds(times), columns=columns.partition(lengths))


def _entity(name: str, label: str) -> str:
    import rerun as rr

    return str(rr.new_entity_path([name, to_utf8_text(label)]))


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), ROWS):
        yield items[start : start + ROWS]
