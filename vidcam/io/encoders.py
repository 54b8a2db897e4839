"""Encodes pictures as H.264 in yuv420p, tagged with their colour matrix."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from vidcam.values import UInt8Array
from vidcam.yuv import Matrix, Planes, from_rgb, to_rgb

__all__ = ["TICKS", "H264Encoder"]

TICKS = 90_000  # per second: 29.97 Hz is exact, any other rate off by at most 6 µs
_TAGS = {"bt709": int(Colorspace.ITU709), "bt601": int(Colorspace.ITU601)}


class H264Encoder:
    """The video stream of an MP4 file.

    Args:
        output: The file, to which a stream is added.
        size: (H, W), both even.
        matrix: The colour matrix of the stream. Pictures with another matrix are converted.
        fps: The usual frame rate, for the rate control and the distance of key frames.
        options: Options of x264, such as ``{"crf": "20"}``.
    """

    def __init__(
        self, output: OutputContainer, *, size: tuple[int, int], matrix: Matrix, fps: float, options: Mapping[str, str]
    ) -> None:
        self._output, self._size, self._matrix = output, size, matrix
        # A key frame every two seconds keeps seeking quick in a player.
        options = {**options, "g": str(round(2 * fps))}
        self._stream = output.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
        context = self._stream.codec_context
        context.height, context.width = size
        context.pix_fmt = "yuv420p"
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
        frame = av.VideoFrame(self._size[1], self._size[0], "yuv420p")
        for plane, values in zip(frame.planes, (picture.y, picture.u, picture.v), strict=True):
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
            rows[: plane.height, : plane.width] = values
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
