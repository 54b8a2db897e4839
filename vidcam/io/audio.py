"""Copies or re-encodes the audio of a source for an MP4 file, in step with the pictures."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from typing import TypeAlias

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.filter import Graph
from av.packet import Packet
from av.stream import Discard

from vidcam.io.container import JUMP_S, all_packets, longest_pause, open_container, read_packets, restarts, sound_of

__all__ = ["PLAYED_EVERYWHERE", "SourceAudio", "open_audio"]

_Packet: TypeAlias = "Packet[AudioStream]"

# MP4 can hold these, and some browser plays each. It can also hold Vorbis, MP2 and PCM, but no browser plays those from MP4.
_COPIED = frozenset({"aac", "mp3", "opus", "flac", "alac", "ac3", "eac3"})

PLAYED_EVERYWHERE = frozenset({"aac", "mp3", "opus", "flac"})
"""The audio codecs that every browser plays from MP4."""


class SourceAudio:
    """The audio of a source as packets of the output.

    Damaged audio is skipped and counted; it never stops the video.

    Args:
        source: The opened source, closed by :meth:`close`.
        stream: Its audio stream.
        output: The MP4 file, to which an audio stream is added.
        offset: Seconds that are subtracted from all times.
        start: The second of the source's clock at which the audio begins.
        end: The second before which it ends.
        copied: The codecs whose packets are copied; audio in others is encoded as AAC.
    """

    def __init__(
        self,
        source: InputContainer,
        stream: AudioStream,
        output: OutputContainer,
        *,
        offset: float,
        start: float,
        end: float,
        copied: frozenset[str] = _COPIED,
    ) -> None:
        self._input = source
        self._stream = stream
        self._offset, self._start, self._end = Fraction(offset), start, end
        self._lost: dict[str, int] = {}  # how often each thing was left out
        for other in source.streams:
            if other is not self._stream:
                other.discard = Discard.all
        context = self._stream.codec_context
        self._rate = context.sample_rate
        if context.codec.canonical_name in copied and _mp4_holds(self._stream):
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
        """Yield the next packets that begin before ``until``, in seconds on the source's clock."""
        while True:
            if self._next is None:
                self._next = next(self._iterator, None)
            packet = self._next
            if packet is None or _seconds(packet) + float(self._offset) >= until:
                return
            self._next = None
            yield packet

    def lose(self, what: str) -> None:
        """Count one more ``what`` that was left out."""
        self._lost[what] = self._lost.get(what, 0) + 1

    @property
    def losses(self) -> list[str]:
        """Sentences about what was left out so far."""
        return [f"of the audio, {count} x {what} left out" for what, count in self._lost.items()]

    def close(self) -> None:
        """Close the source."""
        self._input.close()

    def _copied(self) -> Iterator[_Packet]:
        """Yield the packets inside the cut as they are, on the output's clock."""
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
            # Matroska stores no durations, and without one MP4 would drop the last packet: the spacing takes its place.
            duration = round((packet.duration or 0) * base * self._rate) or (0 if last is None else dts - last)
            last = dts
            packet.dts, packet.pts = dts, max(dts, round((begin * base - self._offset) * self._rate))
            packet.duration, packet.time_base = duration, Fraction(1, self._rate)
            packet.stream = self._out
            yield packet

    def _encoded(self) -> Iterator[_Packet]:
        """Yield the audio inside the cut, encoded as AAC."""
        graph: Graph | None = None
        for frame in self._decoded():
            if graph is None:
                graph = _resampler(frame)
            try:
                graph.push(frame)
                for resampled in _pull(graph):
                    yield from self._out.encode(resampled)
            except (av.FFmpegError, ValueError):
                self.lose("stretch whose sample format changed")
        if graph is not None:
            graph.push(None)
            for resampled in _pull(graph):
                yield from self._out.encode(resampled)
            yield from self._out.encode(None)

    def _decoded(self) -> Iterator[AudioFrame]:
        """Yield the decoded frames inside the cut, on the output's clock."""
        expected = self._start if math.isfinite(self._start) else 0.0
        for packet in chain(self._demuxed(), (None,)):
            try:
                frames = self._stream.codec_context.decode(packet)
            except (av.FFmpegError, ValueError):  # PyAV raises ValueError if the decoder cannot be opened
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
        """Yield the packets on one clock.

        If the clock restarts, times go on from where they were, as those of the pictures do.
        """
        packets = read_packets(self._input, self._stream)
        shift, end, longest = 0, None, longest_pause(self._input)
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
                if end is not None and not -JUMP_S <= float((order + shift - end) * packet.time_base) <= longest:
                    shift = end - order
                end = order + shift + (packet.duration or 0)
            packet.dts = None if packet.dts is None else packet.dts + shift
            packet.pts = None if packet.pts is None else packet.pts + shift
            yield packet


def open_audio(
    path: str | os.PathLike[str],
    output: OutputContainer,
    *,
    offset: float,
    start: float,
    end: float,
    copied: frozenset[str] = _COPIED,
) -> SourceAudio | None:
    """Return the audio of a file in ``[start, end)`` seconds on its own clock; None if it has none.

    Packets of the codecs ``copied`` are copied.

    FFmpegError, OSError or ValueError if it cannot be read.
    """
    source = open_container(os.fspath(path))
    try:
        stream = sound_of(source)
        if stream is None:
            if source.streams.audio:
                raise ValueError("it is in a codec that this installation cannot read")
            source.close()
            return None
        if math.isfinite(start) and not restarts(source):
            # One second of margin: audio and video of the same time need not be stored next to each other.
            with suppress(av.FFmpegError):
                source.seek(int((start - 1) * av.time_base))
        return SourceAudio(source, stream, output, offset=offset, start=start, end=end, copied=copied)
    except BaseException:
        source.close()
        raise


def _seconds(timed: _Packet | AudioFrame) -> float:
    assert timed.pts is not None
    assert timed.time_base is not None
    return float(timed.pts * timed.time_base)


def _mp4_holds(stream: AudioStream) -> bool:
    """Return whether MP4 can hold this stream's packets as they are.

    FFmpeg knows: MP3 at 8 kHz is refused, for example.
    """
    with suppress(av.FFmpegError, ValueError), av.open(io.BytesIO(), "w", format="mp4") as trial:
        trial.add_stream_from_template(stream)
        trial.start_encoding()
        return True
    return False


def _resampler(first: AudioFrame) -> Graph:
    """Return a filter that keeps audio in step with its timestamps: gaps become silence, overlaps are cut."""
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
