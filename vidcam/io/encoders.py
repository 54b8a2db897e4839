"""Encodes pictures as H.264 in 4:2:0, tagged with their colour matrix: by x264, or by an encoder of the graphics hardware.

An encoder is a row of :data:`ENCODERS`. Whether one of the hardware works is found by encoding two pictures with it: that FFmpeg
knows its name says nothing. Times and durations are the same whatever encodes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, cast

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from vidcam.errors import UsageError
from vidcam.settings import Encoding
from vidcam.values import UInt8Array
from vidcam.yuv import Matrix, Planes, from_rgb, to_rgb

if TYPE_CHECKING:
    from av.video.stream import VideoStream

__all__ = ["ENCODERS", "TICKS", "Encoder", "H264Encoder", "choose_encoder", "encodable_planes"]

TICKS = 90_000  # per second: 29.97 Hz is exact, any other rate off by at most 6 µs
_TAGS = {"bt709": int(Colorspace.ITU709), "bt601": int(Colorspace.ITU601)}
_X264_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


@dataclass(frozen=True)
class Encoder:
    """What encodes H.264.

    Attributes:
        name: As it is typed.
        codec: FFmpeg's name of it.
        pixels: How it takes pictures: three planes, or ``nv12`` with both chroma planes in one.
        preset: Its usual preset; empty if it has none.
        preset_option: What it calls the option.
        quality: Gives its options for a crf.
        options: Further options. Hardware encodes without B-frames: not all of it keeps the times of pictures that are reordered.
    """

    name: str
    codec: str
    pixels: Literal["yuv420p", "nv12"]
    preset: str
    quality: Callable[[int], dict[str, str]]
    preset_option: str = "preset"
    options: Mapping[str, str] = field(default_factory=dict)

    def options_for(self, encoding: Encoding) -> dict[str, str]:
        """Return the options of FFmpeg."""
        preset = encoding.preset or self.preset
        return {**self.options, **self.quality(encoding.crf), **({self.preset_option: preset} if preset else {})}


X264 = Encoder("x264", "libx264", "yuv420p", "veryfast", lambda crf: {"crf": str(crf)})

ENCODERS = (
    Encoder(
        "nvenc", "h264_nvenc", "yuv420p", "p4", lambda crf: {"rc": "vbr", "cq": str(crf), "b": "0"},
        options={"bf": "0", "forced-idr": "1"},
    ),
    Encoder(
        "qsv", "h264_qsv", "nv12", "veryfast", lambda crf: {"global_quality": str(crf)},
        options={"bf": "0", "forced_idr": "1"},
    ),
    Encoder(
        "amf", "h264_amf", "nv12", "balanced", lambda crf: {"rc": "cqp", "qp_i": str(crf), "qp_p": str(crf)},
        preset_option="quality", options={"bf": "0"},
    ),
    Encoder(
        "videotoolbox", "h264_videotoolbox", "nv12", "", lambda crf: {"global_quality": str(118 * round(100 - crf * 100 / 52))},
        options={"bf": "0", "flags": "+qscale"},
    ),
    X264,
)  # fmt: skip
"""In the order in which ``auto`` tries them. FFmpeg's unit of ``global_quality`` with ``qscale`` is 1/118."""


def choose_encoder(encoding: Encoding, size: tuple[int, int]) -> tuple[Encoder, Encoding, str]:
    """Return the encoder for pictures of ``size`` (H, W), the encoding that it can do, and a warning, empty if there is none.

    Raises:
        UsageError: x264 has no such preset.
    """
    if encoding.encoder == "x264" or (encoding.encoder == "auto" and encoding.preset):
        if encoding.preset and encoding.preset not in _X264_PRESETS:
            raise UsageError(f"x264 has no preset {encoding.preset!r}: take one of {', '.join(_X264_PRESETS)}")
        return X264, encoding, ""
    if encoding.encoder == "auto":
        return next(row for row in ENCODERS if row is X264 or not _problem(row.name, encoding, size)), encoding, ""
    [encoder] = (row for row in ENCODERS if row.name == encoding.encoder)
    if problem := _problem(encoder.name, encoding, size):
        known = encoding.preset if encoding.preset in _X264_PRESETS else None
        return X264, replace(encoding, preset=known), f"{encoder.name} cannot encode here ({problem}): x264 encoded the video"
    return encoder, encoding, ""


@lru_cache(maxsize=64)
def _problem(name: str, encoding: Encoding, size: tuple[int, int]) -> str:
    """Return why an encoder cannot encode pictures of this size; empty if it encodes two, at the times that it was given."""
    [encoder] = (row for row in ENCODERS if row.name == name)
    file, ticks = io.BytesIO(), (0, 5000)
    try:
        with av.open(file, "w", format="mp4") as output:
            writing = H264Encoder(output, size=size, matrix="bt709", fps=25.0, encoder=encoder, encoding=encoding)
            for tick in ticks:
                writing.add(np.full((*size, 3), tick // 50, np.uint8), tick=tick, duration=4000)
            writing.finish()
        file.seek(0)
        with av.open(file, "r") as written:
            times = [frame.time for frame in written.decode(video=0)]
    except Exception as error:  # an encoder that is built in and finds no hardware may raise anything
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    if len(times) != 2 or any(t is None or abs(t - tick / TICKS) > 1 / TICKS for t, tick in zip(times, ticks, strict=True)):
        return "it does not keep the times of pictures"
    return ""


@dataclass(frozen=True, eq=False)
class _FramePlanes(Planes):
    """The planes of a frame of FFmpeg: what is drawn into them need not be copied to be encoded."""

    frame: av.VideoFrame | None = None


def encodable_planes(size: tuple[int, int], matrix: Matrix = "bt709") -> Planes:
    """Return uninitialised planes for a picture of ``size`` (H, W), both even, that are encoded where they are.

    They must not change after they were given to the writer.
    """
    frame = av.VideoFrame(size[1], size[0], "yuv420p")
    y, u, v = _planes(frame)
    return _FramePlanes(y, u, v, matrix, frame)


class H264Encoder:
    """The video stream of an MP4 file.

    Args:
        output: The file, to which a stream is added.
        size: (H, W), both even.
        matrix: The colour matrix of the stream. Pictures with another matrix are converted.
        fps: The usual frame rate, for the rate control and the distance of key frames.
        encoder: What encodes.
        encoding: Its quality and speed.
    """

    def __init__(
        self,
        output: OutputContainer,
        *,
        size: tuple[int, int],
        matrix: Matrix,
        fps: float,
        encoder: Encoder = X264,
        encoding: Encoding = Encoding(),
    ) -> None:
        self._output, self._size, self._matrix, self._encoder = output, size, matrix, encoder
        # A key frame every two seconds keeps seeking quick in a player.
        options = {**encoder.options_for(encoding), "g": str(round(2 * fps))}
        stream = output.add_stream(encoder.codec, rate=Fraction(fps).limit_denominator(1001), options=options)
        self._stream = cast("VideoStream", stream)
        context = self._stream.codec_context
        context.height, context.width = size
        # PyAV's default cuts each picture into slices: x264 then waits for the slowest one, and compresses less.
        context.thread_type = "FRAME"
        context.pix_fmt = encoder.pixels
        context.time_base = self._stream.time_base = Fraction(1, TICKS)
        context.color_range, context.colorspace = ColorRange.MPEG, _TAGS[matrix]
        if matrix == "bt709":
            context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        self._durations: dict[int, int] = {}  # of the pictures inside the encoder, by tick
        self._held: av.VideoFrame | None = None  # the latest picture; the encoder gets it when the next one has come

    def add(self, picture: UInt8Array | Planes, *, tick: int, duration: int) -> None:
        """Add a picture, planes or ``(H, W, 3) uint8`` RGB, shown from ``tick`` for ``duration`` ticks."""
        self._durations[tick] = duration
        if self._held is not None:
            self._encode(self._held)
        self._held = self._frame(picture, tick)

    def finish(self) -> None:
        """Encode what is held; at least one picture must have been added."""
        assert self._held is not None
        # The last picture becomes a key frame, so that it is the last one in the file too. A P-frame would be followed by the
        # B-frames that are shown before it, and MP4 keeps the duration of no other frame than the last one in the file.
        self._held.pict_type = PictureType.I
        self._encode(self._held)
        self._encode(None)

    def _frame(self, picture: UInt8Array | Planes, tick: int) -> av.VideoFrame:
        if not isinstance(picture, Planes):
            picture = from_rgb(picture, self._matrix)
        elif picture.matrix != self._matrix:  # the source's matrix changed in the middle
            picture = from_rgb(to_rgb(picture), self._matrix)
        if isinstance(picture, _FramePlanes) and picture.frame is not None and self._encoder.pixels == "yuv420p":
            frame = picture.frame
        else:
            frame = av.VideoFrame(self._size[1], self._size[0], self._encoder.pixels)
            for rows, values in zip(_planes(frame), (picture.y, picture.u, picture.v), strict=True):
                rows[:] = values
        frame.color_range, frame.colorspace = ColorRange.MPEG, _TAGS[self._matrix]
        if self._matrix == "bt709":
            frame.color_primaries, frame.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        frame.pts, frame.time_base = tick, Fraction(1, TICKS)
        return frame

    def _encode(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            assert packet.pts is not None
            # The encoder drops durations, and without the last one the end of the video is unknown.
            packet.duration = self._durations.pop(packet.pts)
            self._output.mux(packet)


def _planes(frame: av.VideoFrame) -> list[UInt8Array]:
    """Return views of a frame's Y, U and V, whichever way it keeps them."""
    views = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
        views.append(rows[: plane.height, : plane.width])
    if frame.format.name == "nv12":
        luma, both = views[0], frame.planes[1]
        rows = np.frombuffer(both, np.uint8).reshape(-1, both.line_size)[: both.height]  # type: ignore[call-overload]
        return [luma, rows[:, 0 : 2 * both.width : 2], rows[:, 1 : 2 * both.width : 2]]
    return views
