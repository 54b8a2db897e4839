"""Checks the written MP4 by decoding it again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from support.counting import timeouts_given
from support.endless import endless
from support.media import write_clip
from support.waiting import HANG_S

from vidcam.errors import OutputError, UsageError
from vidcam.io import container, encoders
from vidcam.io import writer as writer_module
from vidcam.io.source import open_source
from vidcam.io.writer import VideoWriter
from vidcam.settings import Encoding
from vidcam.yuv import Planes, from_rgb

pytestmark = pytest.mark.portable

SIZE = (48, 96)
RATE = 44100


def picture(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Draw eight upright bars that spell ``index`` in black and white."""
    bits = [(index >> b) & 1 for b in range(8)]
    row = np.repeat(np.array(bits, np.uint8) * 255, size[1] // 8)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (*size, 3)))


def spelled(image: np.ndarray) -> int:
    step = image.shape[1] // 8
    return sum(1 << b for b in range(8) if image[:, b * step : (b + 1) * step].mean() > 127)


def save(path: Path, times: Sequence[float], *, last: float = 0.04, size: tuple[int, int] = SIZE, **settings) -> VideoWriter:
    ends = [*times[1:], times[-1] + last]
    with VideoWriter(path, size=size, **settings) as writer:
        for i, (time, end) in enumerate(zip(times, ends, strict=True)):
            writer.write(picture(i % 256, size), time=time, duration=end - time)
    return writer


def frames_of(path: Path) -> tuple[list[float], list[int]]:
    with av.open(str(path)) as container:
        read = [(f.pts * f.time_base, spelled(f.to_ndarray(format="rgb24"))) for f in container.decode(video=0)]
    return [float(t) for t, _ in read], [i for _, i in read]


def packets_of(path: Path) -> list[tuple[float, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [(float(p.pts * stream.time_base), bytes(p)) for p in container.demux(stream) if p.size]


def sound_of(path: Path) -> tuple[np.ndarray, float]:
    """Return the samples of the first channel, gaps filled with zeros, and the second at which they start."""
    with av.open(str(path)) as container:
        blocks, end = [], 0.0
        for f in container.decode(audio=0):
            time = end if f.pts is None else float(f.pts * f.time_base)  # WMA's later frames of a packet have no time
            blocks.append((time, f.to_ndarray(), f))
            end = time + f.samples / f.sample_rate
    start = blocks[0][0]
    rate = blocks[0][2].sample_rate
    out = np.zeros(round((blocks[-1][0] - start) * rate) + blocks[-1][2].samples + 64)
    for time, values, frame in blocks:
        channel = values.reshape(-1, frame.layout.nb_channels)[:, 0] if not frame.format.is_planar else values[0]
        peak = 1.0 if values.dtype.kind == "f" else float(np.iinfo(values.dtype).max)
        at = round((time - start) * rate)
        out[at : at + len(channel)] = channel / peak
    return out, start


def clicks_of(path: Path) -> list[float]:
    """Return the seconds at which the bursts of :func:`clicking` begin."""
    sound, start = sound_of(path)
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].codec_context.sample_rate
    loud = np.flatnonzero(np.abs(sound) > 0.1)
    firsts = loud[np.flatnonzero(np.diff(loud, prepend=-rate) > rate // 10)]
    return [start + i / rate for i in firsts]


def clicking(
    path: Path,
    codec: str,
    *,
    seconds: float = 3.0,
    start: float = 0.0,
    rate: int = RATE,
    clicks: Sequence[float] = (0.5, 1.25, 2.6),
    skip: tuple[float, float] = (0.0, 0.0),
    streams: int = 1,
    **options: str,
) -> Path:
    """Write sound alone: bursts of 50 ms at ``start`` + ``clicks``; nothing is stored for the seconds in ``skip``."""
    block = 1024
    t = np.arange(round(seconds * rate)) / rate
    wave = np.zeros(len(t), np.float32)
    for click in clicks:
        wave += 0.5 * np.sin(2 * np.pi * 1000 * t) * ((t >= click) & (t < click + 0.05))
    with av.open(str(path), "w") as container:
        outs = [container.add_stream(codec, rate=rate, options=options) for _ in range(streams)]
        for out in outs:
            out.codec_context.layout, out.codec_context.bit_rate = "stereo", 128_000
        for number, out in enumerate(outs):
            for i in range(0, len(wave) - block, block):
                if skip[0] <= i / rate < skip[1]:
                    continue
                values = np.stack([wave[i : i + block] * (number == 0)] * 2)
                frame = av.AudioFrame.from_ndarray(values.astype(np.float32), format="fltp", layout="stereo")
                frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), i + round(start * rate)
                container.mux(out.encode(frame))
            container.mux(out.encode(None))
    return path


def boxes(path: Path) -> list[str]:
    data, at, names = path.read_bytes(), 0, []
    while at < len(data):
        names.append(data[at + 4 : at + 8].decode())
        at += int.from_bytes(data[at : at + 4], "big")
    assert at == len(data)
    return names


CONSTANT = [i / 30 for i in range(60)]
NTSC = [i * 1001 / 30000 for i in range(60)]
VARIABLE = list(np.cumsum(np.random.default_rng(0).uniform(0.004, 0.3, 60)))
LATE = [1.4 + i / 25 for i in range(40)]
ODD = [0.0333667 + i / 28 for i in range(40)]  # a start that milliseconds cannot express


@pytest.mark.parametrize("times", [CONSTANT, NTSC, VARIABLE, LATE, ODD, [0.0], [2.5]], ids=lambda t: f"{len(t)}@{t[0]:.2f}")
def test_every_picture_comes_back_once_at_its_own_time(tmp_path: Path, times: list[float]) -> None:
    writer = save(tmp_path / "out.mp4", times, last=0.7)
    found, pictures = frames_of(tmp_path / "out.mp4")
    assert pictures == [i % 256 for i in range(len(times))]
    np.testing.assert_allclose(found, times, atol=2e-5, rtol=0)  # half a tick of 1/90000 s is 6 µs
    assert writer.offset_s == 0.0
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert float(frames[-1].duration * stream.time_base) == pytest.approx(0.7, abs=1e-4)
        kinds = {f.pict_type for f in frames}
    assert len(times) == 1 or PictureType.B in kinds  # B-frames are there, and moved nothing


def test_pictures_are_encoded_whole_and_not_in_slices(tmp_path: Path) -> None:
    save(tmp_path / "out.mp4", [0.0, 0.04], size=(480, 640))
    written = (tmp_path / "out.mp4").read_bytes()  # x264 notes its options in its first picture
    assert b"rc_lookahead=10" in written
    assert b"sliced_threads=0" in written


def test_the_file_is_what_browsers_play(tmp_path: Path) -> None:
    save(tmp_path / "out.mp4", CONSTANT, fps_hint=30)
    names = boxes(tmp_path / "out.mp4")
    assert names[0] == "ftyp"
    assert names.index("moov") < names.index("mdat")
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.profile) == ("h264", "yuv420p", "High")
        assert (context.height, context.width) == SIZE
        assert context.extradata[3] <= 40  # level 4.0: an absurd rate from the fine time base would ask for 6.2
        assert (context.color_range, context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1, 1)


COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 30, 60), (128, 128, 128), (255, 200, 0)]


@pytest.mark.parametrize("size", [(240, 320), (720, 1280), (90, 134)])
def test_colours_come_back(tmp_path: Path, size: tuple[int, int]) -> None:
    image = np.empty((*size, 3), np.uint8)
    height, width = size[0] // 2, size[1] // 4
    patches = [(slice(r * height, (r + 1) * height), slice(c * width, (c + 1) * width)) for r in range(2) for c in range(4)]
    for where, colour in zip(patches, COLOURS, strict=True):
        image[where] = colour
    with VideoWriter(tmp_path / "out.mp4", size=size) as writer:
        for i in range(3):
            writer.write(image, time=i / 10, duration=0.1)
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
    luma, u, v = np.split(frame.to_ndarray().reshape(-1), [size[0] * size[1], size[0] * size[1] * 5 // 4])
    luma, u, v = luma.reshape(size), u.reshape(size[0] // 2, -1), v.reshape(size[0] // 2, -1)
    for (rows, columns), colour in zip(patches, COLOURS, strict=True):
        y, x = rows.start + height // 2, columns.start + width // 2
        got = [float(luma[y, x]), float(u[y // 2, x // 2]), float(v[y // 2, x // 2])]
        # BT.709 in limited range backwards, from the standard's numbers and not by the library that converted.
        r, g, b = colour
        bright = 0.2126 * r + 0.7152 * g + 0.0722 * b
        expected = [16 + bright * 219 / 255, 128 + (b - bright) / 1.8556 * 224 / 255, 128 + (r - bright) / 1.5748 * 224 / 255]
        np.testing.assert_allclose(got, expected, atol=2.5)  # 8 bits and a lossy codec


def test_thin_coloured_lines_keep_their_colour(tmp_path: Path) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[1::2] = (0, 0, 255)  # every second row: point sampling would see all or nothing
    with VideoWriter(tmp_path / "out.mp4", size=(64, 64), encoding=Encoding("x264", crf=10)) as writer:
        writer.write(image, time=0, duration=0.1)
    with av.open(str(tmp_path / "out.mp4")) as container:
        chroma = next(container.decode(video=0)).to_ndarray()[64:80]
    assert abs(float(chroma[4:12].mean()) - (128 + 112 / 2)) < 6


COPIED = [("aac", "mkv"), ("aac", "mp4"), ("libmp3lame", "mkv"), ("libmp3lame", "avi"), ("libopus", "mkv"), ("flac", "mkv"),
          ("alac", "mkv"), ("ac3", "mkv"), ("eac3", "mkv"), ("libopus", "ts")]  # fmt: skip


@pytest.mark.parametrize(("codec", "suffix"), COPIED)
def test_audio_that_mp4_holds_is_copied_to_the_byte(tmp_path: Path, codec: str, suffix: str) -> None:
    source = clicking(tmp_path / f"in.{suffix}", codec, rate=48000 if codec == "libopus" else RATE)
    writer = save(tmp_path / "out.mp4", CONSTANT, source=source)
    before, after = packets_of(source), packets_of(tmp_path / "out.mp4")
    assert [data for _, data in after] == [data for _, data in before]
    start = before[0][0] if suffix == "ts" else 0.0  # a transport stream has its own start, which is kept
    np.testing.assert_allclose([t for t, _ in after], [t for t, _ in before], atol=1e-3)
    np.testing.assert_allclose(clicks_of(tmp_path / "out.mp4"), np.array([0.5, 1.25, 2.6]) + max(start, 0), atol=0.03)
    assert writer.warnings == []
    assert len(frames_of(tmp_path / "out.mp4")[0]) == len(CONSTANT)


def test_aac_of_a_transport_stream_is_copied_without_headers(tmp_path: Path) -> None:
    source = clicking(tmp_path / "in.ts", "aac")
    save(tmp_path / "out.mp4", LATE, source=source)
    before, after = packets_of(source), packets_of(tmp_path / "out.mp4")
    assert [data for _, data in after] == [data[7:] for _, data in before]  # ADTS headers are 7 bytes, MP4 stores them once
    np.testing.assert_allclose(clicks_of(tmp_path / "out.mp4"), clicks_of(source), atol=0.025)


ENCODED = [("pcm_s16le", "avi", RATE), ("pcm_s24le", "mkv", RATE), ("wmav2", "wmv", RATE), ("mp2", "mkv", RATE),
           ("libmp3lame", "mkv", 8000), ("adpcm_ms", "avi", 22050)]  # fmt: skip


@pytest.mark.parametrize(("codec", "suffix", "rate"), ENCODED)
def test_other_audio_becomes_aac_in_step(tmp_path: Path, codec: str, suffix: str, rate: int) -> None:
    source = clicking(tmp_path / f"in.{suffix}", codec, rate=rate)
    writer = save(tmp_path / "out.mp4", LATE, source=source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.audio[0].codec_context
        assert (context.name, context.sample_rate, context.layout.nb_channels) == ("aac", rate, 2)
    assert writer.warnings == []
    np.testing.assert_allclose(clicks_of(tmp_path / "out.mp4"), clicks_of(source), atol=1024 / rate)
    ends = [start + len(sound) / rate for sound, start in (sound_of(tmp_path / "out.mp4"), sound_of(source))]
    assert ends[0] == pytest.approx(ends[1], abs=1100 / rate)  # nothing is missing at the end; AAC fills its last 1024 samples


def test_vorbis_which_no_browser_plays_from_mp4_becomes_aac(tmp_path: Path) -> None:
    source = clicking(tmp_path / "in.mkv", "vorbis", strict="-2")
    save(tmp_path / "out.mp4", CONSTANT, source=source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    np.testing.assert_allclose(clicks_of(tmp_path / "out.mp4"), [0.5, 1.25, 2.6], atol=0.03)


def test_a_gap_in_audio_that_is_encoded_stays_a_gap(tmp_path: Path) -> None:
    source = clicking(tmp_path / "in.mkv", "pcm_s16le", skip=(1.5, 2.3))
    save(tmp_path / "out.mp4", CONSTANT, source=source)
    np.testing.assert_allclose(clicks_of(tmp_path / "out.mp4"), [0.5, 1.25, 2.6], atol=0.025)
    np.testing.assert_allclose(np.diff([t for t, _ in packets_of(tmp_path / "out.mp4")]), 1024 / RATE, atol=1e-3)  # as silence


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_a_cut_takes_only_its_own_audio_and_starts_at_zero(tmp_path: Path, codec: str) -> None:
    source = clicking(tmp_path / "in.mkv", codec, seconds=8, clicks=(0.5, 2.5, 3.7, 4.5, 6.0))
    times = [2 + i / 25 for i in range(50)]
    writer = save(tmp_path / "out.mp4", times, source=source, start_s=2.0, end_s=4.0)
    assert writer.offset_s == 2.0
    np.testing.assert_allclose(frames_of(tmp_path / "out.mp4")[0], np.array(times) - 2, atol=2e-5)
    np.testing.assert_allclose(clicks_of(tmp_path / "out.mp4"), [0.5, 1.7], atol=0.025)
    inside = packets_of(tmp_path / "out.mp4")
    assert -0.03 < inside[0][0] < 0.03
    assert 1.95 < inside[-1][0] < 2.0
    if codec == "aac":
        assert [d for _, d in inside] == [d for t, d in packets_of(source) if 2.0 <= t < 4.0]


@pytest.mark.parametrize("first", [3600.5, -0.5])
def test_a_start_before_zero_or_after_ten_seconds_is_moved_to_zero(tmp_path: Path, first: float) -> None:
    source = clicking(tmp_path / "in.mkv", "aac", start=max(first, 0.0))
    writer = save(tmp_path / "out.mp4", [first + i / 25 for i in range(25)], source=source)
    assert writer.offset_s == first
    np.testing.assert_allclose(frames_of(tmp_path / "out.mp4")[0], np.arange(25) / 25, atol=2e-5)
    np.testing.assert_allclose(clicks_of(tmp_path / "out.mp4"), np.array([0.5, 1.25, 2.6]) + max(-first, 0), atol=0.03)


def test_sound_and_pictures_of_a_late_start_stay_in_step(tmp_path: Path) -> None:
    source = clicking(tmp_path / "in.mkv", "aac", start=1.0)
    save(tmp_path / "out.mp4", LATE, source=source)
    np.testing.assert_allclose(clicks_of(tmp_path / "out.mp4"), [1.5, 2.25, 3.6], atol=0.03)


def test_of_several_audio_streams_the_default_one_is_taken(tmp_path: Path) -> None:
    source = clicking(tmp_path / "in.mkv", "aac", streams=2)  # the second is silent
    with av.open(str(source)) as container, av.open(str(tmp_path / "second.mkv"), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in container.streams}
        streams[0].disposition, streams[1].disposition = 0, av.stream.Disposition.default
        for packet in container.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    save(tmp_path / "a.mp4", CONSTANT, source=source)
    save(tmp_path / "b.mp4", CONSTANT, source=tmp_path / "second.mkv")
    assert len(clicks_of(tmp_path / "a.mp4")) == 3
    assert len(clicks_of(tmp_path / "b.mp4")) == 0


@pytest.mark.parametrize(("suffix", "word"), [(".mp4", b"SoundHandler"), (".mkv", b"Lavf"), (".mov", b"SoundHandler")])
@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_metadata_that_is_not_utf_8_does_not_lose_the_sound(tmp_path: Path, suffix: str, word: bytes, codec: str) -> None:
    source = clicking(tmp_path / f"in{suffix}", "aac" if suffix == ".mp4" else codec)
    data = source.read_bytes()
    assert word in data
    source.write_bytes(data.replace(word, word[:-1] + b"\xe9"))
    writer = save(tmp_path / "out.mp4", CONSTANT, source=source)
    assert writer.warnings == []
    np.testing.assert_allclose(clicks_of(tmp_path / "out.mp4"), [0.5, 1.25, 2.6], atol=0.03)


def test_sound_of_an_mp4_that_is_sent_repeatedly_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_clip(tmp_path / "in.mp4", frames=60, audio="aac")
    monkeypatch.setattr(container, "READ_S", HANG_S)
    with endless() as server:
        server.data = source.read_bytes()
        writer = save(tmp_path / "out.mp4", CONSTANT, source=server.address)
        server.check_left()
    assert writer.warnings == []
    assert [p for _, p in packets_of(tmp_path / "out.mp4")] == [p for _, p in packets_of(source)]


def test_after_an_audio_stream_in_an_unknown_codec_the_next_is_taken(tmp_path: Path) -> None:
    source = clicking(tmp_path / "in.mkv", "aac", streams=2)  # the second is silent
    source.write_bytes(source.read_bytes().replace(b"A_AAC", b"A_ZZZ", 1))
    writer = save(tmp_path / "out.mp4", CONSTANT, source=source)
    assert writer.warnings == []
    assert len(packets_of(tmp_path / "out.mp4")) > 100
    assert clicks_of(tmp_path / "out.mp4") == []


def test_audio_in_an_unknown_codec_only_gives_a_warning(tmp_path: Path) -> None:
    source = clicking(tmp_path / "in.mkv", "aac")
    source.write_bytes(source.read_bytes().replace(b"A_AAC", b"A_ZZZ"))
    writer = save(tmp_path / "out.mp4", CONSTANT, source=source)
    assert len(writer.warnings) == 1
    assert "left out (it is in a codec that this installation cannot read)" in writer.warnings[0]
    assert len(frames_of(tmp_path / "out.mp4")[0]) == len(CONSTANT)


def test_a_colon_in_the_name_of_the_source_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.move(clicking(tmp_path / "in.mkv", "aac"), tmp_path / "12:30.mkv")
    writer = save(tmp_path / "out.mp4", CONSTANT, source="12:30.mkv")
    assert writer.warnings == []
    assert len(clicks_of(tmp_path / "out.mp4")) == 3


def test_a_silent_server_does_not_stop_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "OPEN_S", 0.3)
    given = timeouts_given(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        writer = save(tmp_path / "out.mp4", CONSTANT, source=f"http://127.0.0.1:{silent.getsockname()[1]}/in.mp4")
    assert given == [(0.3, container.READ_S)]
    assert len(writer.warnings) == 1
    assert "could not be read and is left out" in writer.warnings[0]


@pytest.mark.parametrize("start", [0.0, 7200.0])  # of the second recording
@pytest.mark.parametrize("codec", ["aac", "mp2"])  # copied, encoded anew
def test_sound_continues_after_a_join_of_recordings(tmp_path: Path, codec: str, start: float) -> None:
    first = clicking(tmp_path / "a.ts", codec, seconds=5, clicks=(0.5, 4.5))
    second = clicking(tmp_path / "b.ts", codec, seconds=8, clicks=(1.0, 6.0), start=start)
    joined = tmp_path / "in.ts"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    times = [i / 25 for i in range(325)]
    clicks = np.array([0.5, 4.5, 6.0, 11.0])
    # The second one goes on at the end of the last whole block of the first; a frame of AAC or MP2 is 26 ms.
    writer = save(tmp_path / "whole.mp4", times, source=joined)
    np.testing.assert_allclose(clicks_of(tmp_path / "whole.mp4"), clicks, atol=0.06)
    assert writer.warnings == []
    writer = save(tmp_path / "cut.mp4", [t for t in times if 5.5 <= t < 12], source=joined, start_s=5.5, end_s=12.0)
    np.testing.assert_allclose(clicks_of(tmp_path / "cut.mp4"), clicks[2:] - 5.5, atol=0.06)
    assert writer.warnings == []


def test_audio_is_interleaved_with_the_pictures(tmp_path: Path) -> None:
    source = clicking(tmp_path / "in.mkv", "aac", seconds=12)
    save(tmp_path / "out.mp4", [i / 25 for i in range(300)], source=source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        places = sorted((p.pos, p.stream.type, float(p.pts * p.time_base)) for p in container.demux() if p.size)
    sound = 0.0
    for _, kind, time in places:
        if kind == "audio":
            sound = time
        else:
            assert abs(time - sound) < 1.5


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le", "wmav2", "libmp3lame"])
def test_damaged_audio_gives_a_warning(tmp_path: Path, codec: str) -> None:
    source = clicking(tmp_path / ("in.wmv" if codec == "wmav2" else "in.avi"), codec)
    data = bytearray(source.read_bytes())
    data[len(data) // 3 : len(data) // 2] = np.random.default_rng(0).bytes(len(data) // 2 - len(data) // 3)
    source.write_bytes(data[: len(data) * 3 // 4])
    save(tmp_path / "out.mp4", CONSTANT, source=source)
    assert len(frames_of(tmp_path / "out.mp4")[0]) == len(CONSTANT)


def test_audio_that_cannot_be_read_gives_a_warning(tmp_path: Path) -> None:
    (tmp_path / "in.mp4").write_bytes(b"no video at all")
    writer = save(tmp_path / "out.mp4", CONSTANT, source=tmp_path / "in.mp4")
    assert len(writer.warnings) == 1
    assert "in.mp4 could not be read and is left out" in writer.warnings[0]
    assert len(frames_of(tmp_path / "out.mp4")[0]) == len(CONSTANT)


def test_packets_that_cannot_be_decoded_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = clicking(tmp_path / "in.mkv", "vorbis", strict="-2")
    data = bytearray(source.read_bytes())
    for _, packet in packets_of(source)[40:50]:
        at = data.find(packet)
        data[at : at + len(packet)] = b"\xff" * len(packet)
    source.write_bytes(data)
    writer = save(tmp_path / "out.mp4", CONSTANT, source=source)
    assert writer.warnings == ["of the audio, 10 x packet that cannot be decoded left out"]
    assert clicks_of(tmp_path / "out.mp4")[-1] == pytest.approx(2.6, abs=0.03)  # what follows is still in step


def test_a_source_without_audio_gives_no_warning(tmp_path: Path) -> None:
    save(tmp_path / "silent.mp4", CONSTANT)
    writer = save(tmp_path / "out.mp4", CONSTANT, source=tmp_path / "silent.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [s.type for s in container.streams] == ["video"]
    assert writer.warnings == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("after", [0, 1, 70])
def test_an_error_leaves_nothing_and_keeps_the_old_file(
    tmp_path: Path, error: type[BaseException], old: bytes | None, after: int
) -> None:
    path = tmp_path / "out.mp4"
    if old:
        path.write_bytes(old)

    def break_off() -> None:
        with VideoWriter(path, size=SIZE, overwrite=True) as writer:
            for i in range(after):
                writer.write(picture(i), time=i / 25, duration=0.04)
            raise error

    with pytest.raises(error):
        break_off()
    assert [p.name for p in tmp_path.iterdir()] == (["out.mp4"] if old else [])
    assert not old or path.read_bytes() == old


def test_an_interrupt_inside_a_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = VideoWriter(tmp_path / "out.mp4", size=SIZE)  # without a with statement
    writer.write(picture(0), time=0, duration=0.1)
    monkeypatch.setattr(writer._pictures, "_frame", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        writer.write(picture(1), time=0.1, duration=0.1)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="is closed"):
        writer.write(picture(1), time=0.1, duration=0.1)


def test_nothing_appears_before_the_end(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", size=SIZE) as writer:
        for i in range(60):
            writer.write(picture(i), time=i / 25, duration=0.04)
            assert not (tmp_path / "out.mp4").exists()
    assert (tmp_path / "out.mp4").exists()
    writer.close()  # closing twice does nothing
    assert len(list(tmp_path.iterdir())) == 1


def save_noise(path: Path, count: int) -> None:
    """Write a file of about 18 kB a picture."""
    rng = np.random.default_rng(0)
    with VideoWriter(path, size=(128, 128), overwrite=True) as writer:
        for i in range(count):
            writer.write(rng.integers(0, 255, (128, 128, 3), dtype=np.uint8), time=i / 25, duration=0.04)


@contextmanager
def disk_of(size: int, folder: Path) -> Iterator[Path]:
    """Mount a file system of ``size`` bytes, rounded down to pages of 4096."""
    folder.mkdir()
    options = f"size={size // 4096 * 4096}"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted by root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


NOISE = """
import resource, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
from test_writer import save_noise
if limit := int(sys.argv[5]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
save_noise(Path(sys.argv[3]), int(sys.argv[4]))
"""


def error_of_noise(path: Path, count: int, *, limit: int = 0) -> str:
    """Return the last line of what a new process prints that writes noise and cannot.

    A worker that had run a thousand tests before was seen to end without a word in FFmpeg's way out of such errors.
    """
    here = Path(__file__).parent
    words = [sys.executable, "-c", NOISE, here, here.parent, path, str(count), str(limit)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()[-1]


def test_a_full_disk_raises_and_keeps_the_old_file(tmp_path: Path) -> None:
    with disk_of(400_000, tmp_path / "disk") as disk:
        (disk / "out.mp4").write_bytes(bytes(200_000))
        assert "OutputError: " in (error := error_of_noise(disk / "out.mp4", 100))
        assert "the disk is full; free some space" in error
        assert [(p.name, p.stat().st_size) for p in disk.iterdir()] == [("out.mp4", 200_000)]


def test_a_disk_that_is_full_at_the_index_raises(tmp_path: Path) -> None:
    save_noise(tmp_path / "ample.mp4", 20)
    with disk_of((tmp_path / "ample.mp4").stat().st_size - 1, tmp_path / "disk") as disk:
        assert "the disk is full; free some space" in error_of_noise(disk / "out.mp4", 20)
        assert list(disk.iterdir()) == []


def test_a_file_above_the_size_limit_raises_and_is_removed(tmp_path: Path) -> None:
    assert "larger than this disk" in error_of_noise(tmp_path / "out.mp4", 60, limit=100_000)
    assert list(tmp_path.iterdir()) == []


def test_unsuitable_outputs_and_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_bytes(b"old")
    with pytest.raises(OutputError, match="exists already; use --overwrite"):
        VideoWriter(tmp_path / "old.mp4", size=SIZE)
    with pytest.raises(OutputError, match="it is the input itself"):
        VideoWriter(tmp_path / "old.mp4", size=SIZE, source=tmp_path / "old.mp4", overwrite=True)
    with pytest.raises(OutputError, match=r"the folder .*nowhere does not exist"):
        VideoWriter(tmp_path / "nowhere" / "out.mp4", size=SIZE)
    with pytest.raises(OutputError, match=r"must end in \.mp4"):
        VideoWriter(tmp_path / "out.avi", size=SIZE)
    for size in [(47, 96), (48, 95), (0, 0)]:
        with pytest.raises(UsageError, match=f"even height and width, got {size[0]}x{size[1]}"):
            VideoWriter(tmp_path / "out.mp4", size=size)
    with pytest.raises(UsageError, match="no picture was written"), VideoWriter(tmp_path / "out.mp4", size=SIZE):
        pass
    with pytest.raises(UsageError, match=r"uint8 of shape \(48, 96, 3\), got uint8 \(48, 94, 3\)"):
        VideoWriter(tmp_path / "out.mp4", size=SIZE).write(np.zeros((48, 94, 3), np.uint8), time=0, duration=0.1)
    with pytest.raises(UsageError, match="a finite time"):
        VideoWriter(tmp_path / "out.mp4", size=SIZE).write(picture(0), time=float("nan"), duration=0.1)
    with pytest.raises(UsageError, match=r"times of pictures must increase, got 0\.5 s"):
        save(tmp_path / "out.mp4", [0.0, 0.5, 0.5])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.mp4"]


MEMORY = """
import sys, numpy as np
from vidcam.io.writer import VideoWriter
from vidcam.settings import Encoding
def rss():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1]) / 1024
image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
quick = Encoding("x264", crf=40, preset="ultrafast")
with VideoWriter(sys.argv[1], size=(240, 320), source=sys.argv[2], encoding=quick) as writer:
    for i in range(300):
        writer.write(np.roll(image, i, 1), time=i / 5, duration=0.2)
        if i == 100:
            early = rss()
    print(rss() - early)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/status")
@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_memory_stays_flat(tmp_path: Path, codec: str) -> None:
    source = clicking(tmp_path / "in.mkv", codec, seconds=60)
    arguments = [sys.executable, "-c", MEMORY, str(tmp_path / "out.mp4"), str(source)]
    grown = float(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)
    assert grown < 5  # MB, usually below 1; 200 raw pictures are 46 MB, their audio alone 7 MB where it is raw


def test_real_clips_keep_their_timestamps_and_audio(assets: Path, tmp_path: Path) -> None:
    for name in ["kinetics/playing_drums.mp4", "kinetics/flipping_pancake.mkv", "other/portrait_skateboarding_dog.mp4"]:
        source = assets / "clips" / name
        with av.open(str(source)) as container:
            times = sorted(float(p.pts * p.time_base) for p in container.demux(video=0) if p.size)
        out = tmp_path / f"{source.stem}.mp4"
        save(out, times, source=source)
        np.testing.assert_allclose(frames_of(out)[0], times, atol=2e-5)
        before, after = packets_of(source), packets_of(out)
        assert [d for _, d in after] == [d for _, d in before]
        np.testing.assert_allclose([t for t, _ in after], [t for t, _ in before], atol=1e-3)


# --- encoders


@pytest.mark.parametrize("name", [row.name for row in encoders.ENCODERS])
def test_every_encoder_keeps_times_or_is_replaced_with_a_reason(tmp_path: Path, name: Any) -> None:
    times = [0.0, 0.04, 0.2, 0.21, 0.5]
    writer = save(tmp_path / "a.mp4", times, last=0.3, size=(160, 192), encoding=Encoding(name, crf=24))
    found, numbers = frames_of(tmp_path / "a.mp4")
    assert found == pytest.approx(times, abs=1e-4)
    assert numbers == list(range(5))
    with open_source(tmp_path / "a.mp4") as source:
        assert list(source.frames())[-1].end == pytest.approx(0.8, abs=1e-3)
    if writer.warnings:
        assert writer.warnings[0].startswith(f"{name} cannot encode here (")
        assert writer.warnings[0].endswith("): x264 encoded the video")


def test_auto_takes_the_first_encoder_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "_problem", lambda name, encoding, size: "" if name in ("qsv", "amf") else "no such device")
    chosen = lambda *words, **more: encoders.choose_encoder(Encoding(*words, **more), (96, 96))  # noqa: E731
    assert chosen()[0].name == "qsv"
    assert chosen(preset="medium")[0].name == "x264"  # a preset is a name of one encoder
    assert chosen("amf")[0].name == "amf"
    encoder, encoding, note = chosen("nvenc", preset="p7")
    assert (encoder.name, encoding.preset) == ("x264", None)
    assert note == "nvenc cannot encode here (no such device): x264 encoded the video"
    monkeypatch.setattr(encoders, "_problem", lambda name, encoding, size: "no such device")
    assert chosen()[0].name == "x264"
    assert chosen()[2] == ""
    with pytest.raises(UsageError, match="x264 has no preset 'p7': take one of ultrafast, "):
        chosen("x264", preset="p7")
    with pytest.raises(UsageError, match="from 1 \\(best\\) to 51, got 0"):
        Encoding(crf=0)


def test_an_encoder_that_moves_times_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(encoders.H264Encoder):
        def add(self, picture: Any, *, tick: int, duration: int) -> None:
            super().add(picture, tick=tick + (900 if tick else 0), duration=duration)

    moved = replace(encoders.ENCODERS[-1], name="moved")
    monkeypatch.setattr(encoders, "ENCODERS", (moved, *encoders.ENCODERS))
    monkeypatch.setattr(encoders, "H264Encoder", Late)
    assert encoders._problem("moved", Encoding(), (98, 130)) == "it does not keep the times of pictures"


def test_pictures_in_nv12_are_those_in_three_planes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardware takes both chroma planes in one: x264 can read that too."""
    twin = replace(encoders.X264, pixels="nv12")
    for name, encoder in (("a", encoders.X264), ("b", twin)):
        monkeypatch.setattr(writer_module, "choose_encoder", lambda encoding, size, chosen=encoder: (chosen, encoding, ""))
        save(tmp_path / f"{name}.mp4", [0.0, 0.1, 0.2])
    pictures = []
    for name in "ab":
        with open_source(tmp_path / f"{name}.mp4") as source:
            pictures.append(np.stack([frame.image for frame in source.frames()]))
    np.testing.assert_array_equal(*pictures)


def test_crf_and_preset_reach_the_encoder(tmp_path: Path) -> None:
    for crf, preset, words in ((12, None, (b"crf=12.0", b"subme=2")), (40, "ultrafast", (b"crf=40.0", b"subme=0"))):
        path = tmp_path / f"{crf}.mp4"
        save(path, np.arange(12) / 10, encoding=Encoding("x264", crf=crf, preset=preset))
        settings = path.read_bytes()  # x264 writes them into the stream
        assert all(word in settings for word in words)


@pytest.mark.usefixtures("repeatable")
def test_planes_that_are_encoded_where_they_are_give_the_same_file(tmp_path: Path) -> None:
    for name, allocate in (("a", Planes.empty), ("b", encoders.encodable_planes)):
        with VideoWriter(tmp_path / f"{name}.mp4", size=SIZE) as writer:
            for i in range(8):
                planes = allocate(SIZE, "bt709")
                planes.paste(from_rgb(picture(i)))
                writer.write(planes, time=i / 10, duration=0.1)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_planes_of_another_matrix_are_converted_before_they_are_encoded(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", size=SIZE) as writer:
        for i, matrix in enumerate(("bt709", "bt601")):
            planes = encoders.encodable_planes(SIZE, matrix)
            planes.paste(from_rgb(picture(5), matrix))
            writer.write(planes, time=i / 10, duration=0.1)
    with open_source(tmp_path / "a.mp4") as source:
        first, second = (frame.image.astype(int) for frame in source.frames())
    assert np.abs(first - second).mean() < 2


@pytest.mark.usefixtures("repeatable")
def test_padding_of_planes_never_reaches_the_file(tmp_path: Path) -> None:
    """The rows of planes 650 wide are longer than the pictures; what is in the rest must not decide on the bytes of the file."""
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (32, 650, 3), np.uint8) for _ in range(6)]

    def written(padding: int) -> bytes:
        with VideoWriter(tmp_path / f"{padding}.mp4", size=(32, 650)) as writer:
            for number, picture in enumerate(pictures):
                planes = encoders.encodable_planes((32, 650))
                for plane in planes.frame.planes:  # type: ignore[attr-defined]
                    assert plane.line_size > plane.width
                    np.frombuffer(plane, np.uint8)[:] = padding
                drawn = from_rgb(picture, "bt709")
                planes.y[:], planes.u[:], planes.v[:] = drawn.y, drawn.u, drawn.v
                writer.write(planes, time=number / 25, duration=0.04)
        return (tmp_path / f"{padding}.mp4").read_bytes()

    assert written(0) == written(255)
