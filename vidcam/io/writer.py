"""Pictures to an H.264 MP4 that plays in a browser, with the source's own timestamps and sound.

Clock. The output keeps the source's clock: a source that starts at 1.4 s gives a file that starts at 1.4 s, and video and audio
keep their relation. Three kinds of source are moved to a clock that starts at zero, because no player would show their first
picture at once: a cut (``start_s`` becomes zero), a first picture before zero, and one later than ten seconds (as in a broadcast
recording). :attr:`VideoWriter.offset_s` says what was subtracted.

Colour. Planes are written as they are and tagged with their matrix. RGB is converted with the BT.709 matrix to limited range and
tagged so, whatever the size. A decoder that reads the tags, as browsers do, gives the same RGB back.
"""

from __future__ import annotations

import io
import math
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.filter import Graph
from av.packet import Packet
from av.stream import Discard
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from vidcam.errors import OutputError, UsageError
from vidcam.io.container import JUMP_S, all_packets, open_container, restarts, sound_of
from vidcam.io.files import atomic_write, check_output
from vidcam.values import UInt8Array
from vidcam.yuv import Matrix, Planes, from_rgb, to_rgb

__all__ = ["VideoWriter"]

_Packet: TypeAlias = "Packet[AudioStream]"

_TICKS = 90_000  # per second: 29.97 Hz is exact, anything else is off by 6 µs at most
_LATEST_START = 10.0  # s
_TAGS = {"bt709": int(Colorspace.ITU709), "bt601": int(Colorspace.ITU601)}

# MP4 holds these as they are, and some browser plays each. It also holds Vorbis, MP2 and PCM, which no browser plays from MP4.
_COPIED = frozenset({"aac", "mp3", "opus", "flac", "alac", "ac3", "eac3"})


class VideoWriter:
    """An MP4 file in the making: H.264 in yuv420p, index first; it appears at ``path`` when it is closed without an error.

    ``size`` is (H, W), both even. ``source`` is the video whose audio is taken along: the stream marked as default, else the
    first; packet by packet where MP4 can hold it, as AAC otherwise. ``start_s`` and ``end_s``, on the clock of the pictures'
    times, cut the audio to [start, end). ``fps_hint`` is the usual frame rate, for the rate control only. ``crf`` and ``preset``
    are x264's.

    What was lost of the audio is told in ``warnings``; it never stops the video. Raises UsageError for a wrong size or suffix,
    OutputError where the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        size: tuple[int, int],
        source: str | os.PathLike[str] | None = None,
        start_s: float | None = None,
        end_s: float | None = None,
        fps_hint: float | None = None,
        crf: int = 20,
        preset: str = "veryfast",
        overwrite: bool = False,
    ) -> None:
        height, width = size
        if height < 2 or width < 2 or height % 2 or width % 2:
            raise UsageError(f"H.264 in yuv420p needs an even height and width, got {height}x{width}; pad or crop by one pixel")
        if Path(path).suffix.lower() != ".mp4":
            raise OutputError(f"cannot write {path}: the video is an MP4 file, so its name must end in .mp4")
        check_output(path, overwrite=overwrite, source=source)
        self.path = path
        self.offset_s = 0.0
        self._size = (int(height), int(width))
        self._source = source
        self._start = start_s
        self._end = math.inf if end_s is None else end_s
        self._fps_hint = fps_hint
        self._x264 = {"crf": str(crf), "preset": preset}
        self._overwrite = overwrite
        self._stack = ExitStack()
        self._output: OutputContainer | None = None
        self._sound: _Sound | None = None
        self._unread: list[str] = []
        self._closed = False
        self._last_tick: int | None = None
        self._durations: dict[int, int] = {}  # of the pictures inside the encoder, by tick
        self._held: av.VideoFrame | None = None  # the latest picture: one goes into the encoder when the next has come

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._abort(kind, error, trace)

    @property
    def warnings(self) -> list[str]:
        """What was lost of the audio, in sentences."""
        return [*self._unread, *(self._sound.losses if self._sound else ())]

    def write(self, picture: UInt8Array | Planes, *, time: float, duration: float) -> None:
        """Add one picture, planes or ``(H, W, 3) uint8`` RGB, shown from ``time`` for ``duration`` seconds (0 where unknown).

        Times must increase. OutputError where the disk is full, UsageError for a picture of another size or out of order.
        """
        if self._closed:
            raise UsageError(f"{self.path} is closed; nothing can be written to it any more")
        if isinstance(picture, Planes):
            if picture.size != self._size:
                raise UsageError(f"a picture must be of the size {self._size} (H, W), got {picture.size}")
        elif picture.dtype != np.uint8 or picture.shape != (*self._size, 3):
            raise UsageError(f"a picture must be uint8 of shape {(*self._size, 3)}, got {picture.dtype} {picture.shape}")
        if not math.isfinite(time) or not (math.isfinite(duration) and duration >= 0):
            raise UsageError(f"a picture needs a finite time and a duration of at least 0 s, got {time} and {duration}")
        with self._guard():
            if self._output is None:
                self._begin(time, duration, picture.matrix if isinstance(picture, Planes) else "bt709")
            tick = round((time - self.offset_s) * _TICKS)
            if self._last_tick is not None and tick <= self._last_tick:
                raise UsageError(f"pictures must be written in the order of their times, got {time} s after one as late or later")
            self._last_tick = tick
            self._durations[tick] = round(duration * _TICKS) or round(_TICKS / self._fps)
            if self._held is not None:
                self._encode(self._held)
            self._held = self._coded(picture, tick)
            if self._sound:
                self._mux_sound(time + duration)

    def close(self) -> None:
        """Finish the file and put it into its place. Closing twice does nothing; UsageError where no picture was written."""
        if self._closed:
            return
        with self._guard():
            if self._output is None:
                raise UsageError(f"no picture was written to {self.path}, so there is no video to save")
            assert self._held is not None
            # The last picture becomes a key frame, so that it is the last one in the file too. A P-frame would be followed by the
            # B-frames that are shown before it, and MP4 keeps the duration of no other frame than the last one in the file.
            self._held.pict_type = PictureType.I
            self._encode(self._held)
            self._encode(None)
            if self._sound:
                self._mux_sound(math.inf)
                self._sound.close()
            self._output.close()
            self._closed = True
            self._stack.close()

    def _begin(self, time: float, duration: float, matrix: Matrix) -> None:
        start = -math.inf if self._start is None else self._start
        if self._start is not None:
            self.offset_s = min(self._start, time)
        elif not 0 <= time <= _LATEST_START:
            start = self.offset_s = time
        temp = self._stack.enter_context(atomic_write(self.path, overwrite=self._overwrite))
        # The clock of the edit list, milliseconds by default, would round a start that is not zero.
        options = {"movflags": "+faststart", "movie_timescale": str(_TICKS)}
        self._output = av.open(str(temp), "w", format="mp4", options=options)
        self._fps = min(max(self._fps_hint or (1 / duration if duration else 25.0), 1.0), 240.0)
        # A key frame every two seconds keeps seeking quick for people who drag the cursor.
        options = {**self._x264, "g": str(round(2 * self._fps))}
        self._stream = self._output.add_stream("libx264", rate=Fraction(self._fps).limit_denominator(1001), options=options)
        context = self._stream.codec_context
        context.height, context.width = self._size
        context.pix_fmt = "yuv420p"
        context.time_base = self._stream.time_base = Fraction(1, _TICKS)
        self._matrix = matrix
        context.color_range, context.colorspace = ColorRange.MPEG, _TAGS[matrix]
        if matrix == "bt709":
            context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        if self._source is not None:
            try:
                self._sound = _open_sound(self._source, self._output, offset=self.offset_s, start=start, end=self._end)
            except (av.FFmpegError, OSError, ValueError) as error:
                self._unread.append(f"the audio of {self._source} could not be read and is left out ({error})")

    def _coded(self, picture: UInt8Array | Planes, tick: int) -> av.VideoFrame:
        if not isinstance(picture, Planes):
            picture = from_rgb(picture, self._matrix)
        elif picture.matrix != self._matrix:  # a stream that changed in the middle
            picture = from_rgb(to_rgb(picture), self._matrix)
        frame = av.VideoFrame(self._size[1], self._size[0], "yuv420p")
        for plane, values in zip(frame.planes, (picture.y, picture.u, picture.v), strict=True):
            rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
            rows[: plane.height, : plane.width] = values
        frame.color_range, frame.colorspace = ColorRange.MPEG, _TAGS[self._matrix]
        if self._matrix == "bt709":
            frame.color_primaries, frame.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        frame.pts, frame.time_base = tick, Fraction(1, _TICKS)
        return frame

    def _encode(self, frame: av.VideoFrame | None) -> None:
        assert self._output is not None
        for packet in self._stream.encode(frame):
            assert packet.pts is not None
            # The encoder forgets durations, and without the last one nobody knows where the video ends.
            packet.duration = self._durations.pop(packet.pts)
            self._output.mux(packet)

    def _mux_sound(self, until: float) -> None:
        assert self._output is not None
        assert self._sound is not None
        for packet in self._sound.packets(until):
            try:
                self._output.mux(packet)
            except (av.error.InvalidDataError, av.error.ArgumentError) as error:
                self._sound.lose(f"packet that MP4 does not take ({error.strerror})")

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._abort(*sys.exc_info())
            if isinstance(error, av.FFmpegError):
                raise OutputError(f"cannot write {self.path}: the encoder or the MP4 format refused it ({error})") from error
            raise

    def _abort(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Leave nothing behind; raises OutputError in place of an error of the disk."""
        self._closed = True
        if self._sound:
            self._sound.close()
        if self._output is not None:
            with suppress(av.FFmpegError, OSError, ValueError):
                self._output.close()
        self._stack.__exit__(kind, error, trace)


class _Sound:
    """The audio of a source as packets of the output, handed over as far as the pictures have come; bad audio is no error."""

    def __init__(
        self, source: InputContainer, stream: AudioStream, output: OutputContainer, *, offset: float, start: float, end: float
    ) -> None:
        self._input = source
        self._stream = stream
        self._offset, self._start, self._end = Fraction(offset), start, end
        self._lost: dict[str, int] = {}
        for other in source.streams:
            if other is not self._stream:
                other.discard = Discard.all
        context = self._stream.codec_context
        self._rate = context.sample_rate
        if context.codec.canonical_name in _COPIED and _mp4_holds(self._stream):
            self._out = output.add_stream_from_template(self._stream)
            self._iterator = self._copied()
        else:
            self._rate = self._rate if self._rate in (av.Codec("aac", "w").audio_rates or ()) else 48_000
            self._out = output.add_stream("aac", rate=self._rate)
            self._out.codec_context.layout = "mono" if context.layout.nb_channels == 1 else "stereo"
            self._out.codec_context.bit_rate = 80_000 * self._out.codec_context.layout.nb_channels
            self._iterator = self._encoded()
        self._next: _Packet | None = None

    def packets(self, until: float) -> Iterator[_Packet]:
        """The packets that begin before ``until``, seconds on the source's clock, and have not been handed over yet."""
        while True:
            if self._next is None:
                self._next = next(self._iterator, None)
            packet = self._next
            if packet is None or _seconds(packet) + float(self._offset) >= until:
                return
            self._next = None
            yield packet

    def lose(self, what: str) -> None:
        self._lost[what] = self._lost.get(what, 0) + 1

    @property
    def losses(self) -> list[str]:
        """What was left out so far, in sentences."""
        return [f"of the audio, {count} x {what} left out" for what, count in self._lost.items()]

    def close(self) -> None:
        self._input.close()

    def _copied(self) -> Iterator[_Packet]:
        last: int | None = None
        for packet in self._demuxed():
            begin = packet.pts if packet.pts is not None else packet.dts
            order = packet.dts if packet.dts is not None else packet.pts
            if begin is None or order is None:
                self.lose("packet without a time")
                continue
            time = float(begin * packet.time_base)
            if time >= self._end:
                return
            if time < self._start:
                continue
            base = packet.time_base
            dts = round((order * base - self._offset) * self._rate)
            if last is not None and dts <= last:
                self.lose("packet out of order")
                continue
            # Matroska leaves durations out; without one, MP4 would cut the last packet off: then the spacing stands in.
            duration = round((packet.duration or 0) * base * self._rate) or (0 if last is None else dts - last)
            last = dts
            packet.dts, packet.pts = dts, max(dts, round((begin * base - self._offset) * self._rate))
            packet.duration, packet.time_base = duration, Fraction(1, self._rate)
            packet.stream = self._out
            yield packet

    def _encoded(self) -> Iterator[_Packet]:
        graph: Graph | None = None
        for frame in self._decoded():
            if graph is None:
                graph = _even_clock(frame)
            try:
                graph.push(frame)
                for even in _pull(graph):
                    yield from self._out.encode(even)
            except (av.FFmpegError, ValueError):
                self.lose("stretch whose sample format changed")
        if graph is not None:
            graph.push(None)
            for even in _pull(graph):
                yield from self._out.encode(even)
            yield from self._out.encode(None)

    def _decoded(self) -> Iterator[AudioFrame]:
        """The frames inside the cut, on the output's clock."""
        expected = self._start if math.isfinite(self._start) else 0.0
        for packet in chain(self._demuxed(), (None,)):
            try:
                frames = self._stream.codec_context.decode(packet)
            except (av.FFmpegError, ValueError):  # ValueError by PyAV itself, where the decoder could not even be opened
                self.lose("packet that cannot be decoded")
                continue
            for frame in frames:
                time = expected if frame.pts is None else _seconds(frame)
                expected = time + frame.samples / frame.sample_rate
                if time >= self._end:
                    return
                if time >= self._start:
                    frame.pts = round((time - float(self._offset)) * frame.sample_rate)
                    frame.time_base = Fraction(1, frame.sample_rate)
                    yield frame

    def _demuxed(self) -> Iterator[_Packet]:
        """The packets on one clock: one that was started anew goes on from where it was, as that of the pictures does."""
        packets = self._input.demux(self._stream)
        shift, end = 0, None
        taken, last = 0, all_packets(self._input, self._stream)
        while taken != last:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                self.lose(f"the rest, where the file is damaged ({error.strerror}),")
                return
            if packet is None:
                return
            taken += 1
            if not packet.size:
                continue
            order = packet.dts if packet.dts is not None else packet.pts
            if order is not None:
                if end is not None and (end - order - shift) * packet.time_base > JUMP_S:
                    shift = end - order
                end = order + shift + (packet.duration or 0)
            packet.dts = None if packet.dts is None else packet.dts + shift
            packet.pts = None if packet.pts is None else packet.pts + shift
            yield packet


def _open_sound(
    path: str | os.PathLike[str], output: OutputContainer, *, offset: float, start: float, end: float
) -> _Sound | None:
    """The audio of the file at ``path`` in [start, end) on its own clock, None where it has none."""
    source = open_container(os.fspath(path))
    try:
        stream = sound_of(source)
        if stream is None:
            if source.streams.audio:
                raise ValueError("it is in a codec that this installation cannot read")
            source.close()
            return None
        if math.isfinite(start) and not restarts(source):
            # A second of margin: the nearest key frame of the video need not be stored beside the audio of the same time.
            with suppress(av.FFmpegError):
                source.seek(int((start - 1) * av.time_base))
        return _Sound(source, stream, output, offset=offset, start=start, end=end)
    except BaseException:
        source.close()
        raise


def _seconds(timed: _Packet | AudioFrame) -> float:
    assert timed.pts is not None
    assert timed.time_base is not None
    return float(timed.pts * timed.time_base)


def _mp4_holds(stream: AudioStream) -> bool:
    """Does MP4 take this stream's packets as they are? Asks FFmpeg, which knows: it refuses MP3 at 8 kHz, for one."""
    with suppress(av.FFmpegError, ValueError), av.open(io.BytesIO(), "w", format="mp4") as trial:
        trial.add_stream_from_template(stream)
        trial.start_encoding()
        return True
    return False


def _even_clock(first: AudioFrame) -> Graph:
    """A filter that keeps decoded audio in step with its timestamps: gaps become silence, overlaps are cut."""
    graph = Graph()
    rate = first.sample_rate
    source = graph.add_abuffer(sample_rate=rate, format=first.format.name, layout=first.layout.name, time_base=Fraction(1, rate))
    graph.link_nodes(source, graph.add("aresample", "async=1"), graph.add("abuffersink")).configure()
    return graph


def _pull(graph: Graph) -> Iterator[AudioFrame]:
    with suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            frame = graph.pull()
            assert isinstance(frame, AudioFrame)
            yield frame
