"""Every source yields every frame once: upright, square, in its true colours, at its own time; damage gives a warning."""

from __future__ import annotations

import gc
import http.server
import itertools
import os
import re
import socket
import struct
import threading
import weakref
import zlib
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from support.counting import timeouts_given
from support.endless import Endless, endless
from support.media import (
    TURNS,
    UPRIGHT,
    at_decoding_times,
    corners,
    empty_png,
    joined,
    number,
    numbered,
    truncate,
    write_animation,
    write_clip,
    write_images,
    write_sound,
)
from support.waiting import HANG_S, ended

from vidcam.errors import InputError, UsageError
from vidcam.io import container, cores, images, timestamps, video
from vidcam.io.damage import Damage, decode_pictures
from vidcam.io.source import find_videos, open_source
from vidcam.io.stored_video import look_at_stored
from vidcam.values import Frame

pytestmark = pytest.mark.portable


def read(path: Path | str, **range_s: float) -> list[Frame]:
    with open_source(path) as source:
        frames = list(source.frames(**range_s))
        assert source.warnings == []
        return frames


def check_frames(frames: list[Frame], *, times: list[float], within: float = 1e-9) -> None:
    """Check that each picture comes once, in order, upright, at its time, and is shown until the next one."""
    assert [number(f.image) for f in frames] == list(range(len(times)))
    assert {corners(f.image) for f in frames} == {UPRIGHT}
    assert [f.time for f in frames] == pytest.approx(times, abs=within)
    for frame, after in itertools.pairwise(frames):
        assert frame.end == pytest.approx(after.time, abs=1e-9)


# Containers, times --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "within"),
    [
        ("a.mp4", {}, 1e-9),
        ("b_frames.mp4", {"b_frames": 2}, 1e-9),
        ("a.mov", {"codec": "mjpeg"}, 1e-9),
        ("a.mkv", {"b_frames": 2, "audio": "libopus"}, 0.0005),
        ("a.webm", {}, 0.0005),
        ("a.avi", {}, 1e-9),
        ("a.gif", {"fps": 10}, 1e-9),
    ],
)
def test_every_container_gives_every_frame_at_its_time(tmp_path, name, settings, within):
    path = write_clip(tmp_path / name, frames=40, **settings)
    rate = float(settings.get("fps", 30))
    frames = read(path)
    check_frames(frames, times=[i / rate for i in range(40)], within=within)
    assert frames[-1].duration == pytest.approx(1 / rate, abs=0.001)
    info = open_source(path).info
    assert (info.path, info.width, info.height, info.rotation) == (str(path), 128, 96, 0)
    assert (info.fps, info.duration_s) == (pytest.approx(rate), pytest.approx(40 / rate, abs=0.002))
    assert info.frames in (40, None)
    assert info.audio == ("opus" if "audio" in settings else None)


@pytest.mark.parametrize("name", ["12:30.mp4", "50%d.mp4", "-o.mp4"])
def test_names_with_a_meaning_to_ffmpeg_are_plain_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / name, frames=5)
    check_frames(read(name), times=[i / 30 for i in range(5)])


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_b_frames_in_avi_come_evenly_without_stored_times(tmp_path, codec):
    frames = read(write_clip(tmp_path / "a.avi", codec=codec, b_frames=2))
    check_frames(frames, times=[frames[0].time + i / 30 for i in range(30)])


def restored(path: Path | str, **range_s: float) -> list[Frame]:
    """Read a file that stores the times of decoding, which must give a warning."""
    with open_source(path) as source:
        frames = list(source.frames(**range_s))
        (warning,) = source.warnings
        assert "the times at which they are decoded" in warning
        return frames


@pytest.mark.parametrize(("codec", "suffix"), [
    ("libx264", ".mp4"), ("libx264", ".mkv"), ("libx264", ".ts"), ("libx264", ".flv"), ("mpeg4", ".mp4"), ("mpeg4", ".mkv"),
])  # fmt: skip
def test_b_frames_stored_with_decoding_times_get_display_times(tmp_path, codec, suffix):
    right = write_clip(tmp_path / "a.mp4", frames=60, b_frames=3 if codec == "libx264" else 2, codec=codec)
    frames = restored(at_decoding_times(right, tmp_path / f"b{suffix}"))
    numbers = [number(f.image) for f in frames]
    assert numbers == sorted(set(numbers))
    assert len(numbers) >= 58  # MP4 leaves out what is shown before zero
    within = 0.0011 if suffix in (".mkv", ".flv") else 1e-4
    offset = frames[0].time - numbers[0] / 30
    assert [f.time - offset for f in frames] == pytest.approx([n / 30 for n in numbers], abs=within)
    if suffix == ".mp4":
        assert offset == pytest.approx(0.0, abs=1e-4)


def test_a_range_at_decoding_times_is_a_slice_of_the_whole(tmp_path):
    right = write_clip(tmp_path / "a.mp4", frames=60, b_frames=3, gop=10)
    path = at_decoding_times(right, tmp_path / "b.mp4")
    whole = restored(path)
    for start in (0.5, 1.0, 1.5):
        part = restored(path, start=start)
        assert [(f.time, number(f.image)) for f in part] == [
            (f.time, number(f.image)) for f in whole if f.time >= whole[0].time + start - 0.0005
        ]


def test_decoding_times_that_begin_later_give_a_warning(tmp_path, monkeypatch):
    right = write_clip(tmp_path / "a.mp4", frames=60, b_frames=3)
    monkeypatch.setattr(timestamps, "PROBED_PICTURES", 0)  # the probe at the beginning sees nothing
    times = [f.time for f in restored(at_decoding_times(right, tmp_path / "b.mp4"))]
    assert np.diff(times[4:]) == pytest.approx(1 / 30, abs=1e-4)


def test_a_variable_rate_and_a_late_start_keep_their_times(tmp_path):
    times = [0.0, 0.04, 0.1, 0.5, 0.533, 1.9]
    path = write_clip(tmp_path / "a.mp4", times=times, start=3.5)
    check_frames(read(path), times=[3.5 + t for t in times], within=1e-5)
    assert open_source(path).info.start_s == 3.5


def test_ntsc_rates_do_not_drift(tmp_path):
    frames = read(write_clip(tmp_path / "a.mp4", frames=150, fps=Fraction(30000, 1001), size=(48, 64)))
    assert [f.time for f in frames] == pytest.approx([i * 1001 / 30000 for i in range(150)], abs=1e-5)


def test_real_clips_come_complete_and_in_order(assets):
    for path in sorted(p for folder in ("kinetics", "ucf101", "other") for p in (assets / "clips" / folder).iterdir()):
        with open_source(path) as source:
            times, shapes = [], set()
            for frame in source.frames(end=2.0):
                times.append(frame.time)
                shapes.add(frame.image.shape)
        assert shapes == {(source.info.height, source.info.width, 3)}
        assert (np.diff(times) > 0).all()
        assert times[0] == source.info.start_s
        assert source.warnings == []


@pytest.mark.parametrize("name", ["a.mp4", "h264.avi", "mpeg4.avi", "a.mkv", "a.ts", "cut.mp4"])
def test_frames_before_a_second_are_counted_as_they_are_shown(name, tmp_path):
    codec = name.removesuffix(".avi") if name == "mpeg4.avi" else "libx264"
    # Of the last file, the first six frames are stored but not shown: its clock begins before zero.
    start = -0.55 if name == "cut.mp4" else 0.0
    path = write_clip(tmp_path / name, frames=30, fps=10, b_frames=2, gop=30, codec=codec, start=start)
    frames = read(path)
    for n in (0, 5, 17):
        stored = look_at_stored(str(path), rotation=0, counted=(frames[0].time, frames[n].time))
        assert stored.frames_before == n
    assert len(frames) == (24 if name == "cut.mp4" else 30)


def test_packed_b_frames_of_a_webcam_avi_are_evenly_spaced(assets):
    frames = read(assets / "clips" / "webcam" / "wave_one_hand" / "person1_trial1.avi")
    assert len(frames) == 72
    assert np.diff([f.time for f in frames]) == pytest.approx(100 / 2997, abs=1e-9)


class Ticks:
    """The parts of a container and a stream that the repair of times reads."""

    container = SimpleNamespace(format=SimpleNamespace(name="mp4", flags=0))
    stream = SimpleNamespace(time_base=Fraction(1, 10), average_rate=Fraction(10), guessed_rate=None)

    @classmethod
    def stamps(cls, ticks: list[int | None], duration: int = 1) -> list[float]:
        clock = timestamps.TimestampRepair(cls.container, cls.stream)
        return [clock.stamp(SimpleNamespace(pts=t, dts=t, duration=duration)).time for t in ticks]


def test_missing_times_follow_from_the_frame_before():
    assert Ticks.stamps([0, None, None, 5, None]) == pytest.approx([0, 0.1, 0.2, 0.5, 0.6])
    assert Ticks.stamps([None, None, None]) == pytest.approx([0, 0.1, 0.2])
    assert Ticks.stamps([0, 2, None], duration=0) == pytest.approx([0, 0.2, 0.4])


def test_times_that_stand_still_or_restart_are_continued():
    assert Ticks.stamps([0, 1, 1, 2, 1, 3]) == pytest.approx([0, 0.1, 0.101, 0.2, 0.201, 0.3])
    assert Ticks.stamps([100, 101, 0, 1, 5]) == pytest.approx([10.0, 10.1, 10.2, 10.3, 10.7])
    assert Ticks.stamps([0, 1, 2, 3, 4, 5, 0, 1, 2]) == pytest.approx([i / 10 for i in range(9)])
    huge = Ticks.stamps([2**62, 2**62, 2**62])
    assert huge == sorted(set(huge))


@pytest.mark.parametrize("starts", [(0.0, 7200.0), (7200.0, 0.0)])  # FFmpeg takes the second for a clock that has gone round
def test_joined_recordings_of_other_hours_have_no_pause(tmp_path, starts):
    parts = [write_clip(tmp_path / f"{i}.ts", frames=20, fps=10, start=start) for i, start in enumerate(starts)]
    frames = read(joined(tmp_path / "a.ts", *parts))
    np.testing.assert_allclose([f.time - starts[0] for f in frames], [i / 10 for i in range(40)], atol=1e-6)
    assert [number(f.image) for f in frames] == [*range(20), *range(20)]


def test_long_pause_in_a_file_with_an_index_stays(tmp_path):
    path = write_clip(tmp_path / "a.mp4", frames=4, times=[0.0, 0.1, 7200.0, 7200.1])
    assert [f.time for f in read(path)] == pytest.approx([0.0, 0.1, 7200.0, 7200.1])


# Ranges -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi", "b.avi", "a.gif", "images"])
def test_a_range_is_a_slice_of_the_whole(tmp_path, name):
    if name == "images":
        path, tick = write_images(tmp_path / name, names=[f"{i}.png" for i in range(60)]), 1 / 25
    else:
        kind = {"fps": 10} if name == "a.gif" else {"b_frames": 2} if name in ("b.avi", "a.mp4", "a.mkv") else {}
        path = write_clip(tmp_path / name, frames=60, gop=7, start=0.0 if name.endswith((".gif", ".avi")) else 2.0, **kind)
        tick = 1 / kind.get("fps", 30)
    whole = read(path)
    for low, high in ((0, 60), (7, 8), (14, 31), (33, 60), (59, 60), (1, 59)):
        part = read(path, start=low * tick, end=high * tick)
        assert [f.time for f in part] == [f.time for f in whole[low:high]]
        assert [f.duration for f in part] == pytest.approx([f.duration for f in whole[low:high]])
        assert all((f.image == g.image).all() for f, g in zip(part, whole[low:high], strict=True))


def test_a_late_start_decodes_from_a_near_keyframe(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", frames=150, gop=10)
    decoded = []
    stamp = timestamps.TimestampRepair.stamp
    monkeypatch.setattr(timestamps.TimestampRepair, "stamp", lambda self, picture: decoded.append(1) or stamp(self, picture))
    opened = open_source(path)
    decoded.clear()
    assert [number(f.image) for f in opened.frames(start=4.0)] == list(range(120, 150))
    assert len(decoded) <= 40


@pytest.mark.parametrize("landing", [None, 1.5])
def test_a_seek_that_fails_or_lands_late_decodes_from_the_start(tmp_path, monkeypatch, landing):
    path = write_clip(tmp_path / "a.mp4", frames=60, gop=10)
    seek = video.seek_before
    monkeypatch.setattr(video, "seek_before", lambda c, s, t: landing is not None and seek(c, s, landing))
    assert [number(f.image) for f in read(path, start=0.5)] == list(range(15, 60))


@pytest.mark.parametrize("parts", [(60, 120), (120, 60)])
@pytest.mark.parametrize("name", ["a.ts", "a.mp4"])
def test_a_range_of_joined_recordings_is_a_slice_of_the_whole(tmp_path, name, parts):
    clips = [write_clip(tmp_path / f"{n}{name}", frames=n, fragmented=name == "a.mp4") for n in parts]
    path = tmp_path / name
    path.write_bytes(b"".join(c.read_bytes() for c in clips))
    whole = [(f.time, number(f.image)) for f in read(path)]
    assert [n for _, n in whole][-parts[1] + 20 :] == list(range(20, parts[1]))  # where MP4s are joined, some are lost
    for start in (0.8, 1.6, 2.4, 3.2, 4.8):
        part = [(f.time, number(f.image)) for f in read(path, start=start)]
        assert part == [(t, n) for t, n in whole if t >= whole[0][0] + start - 0.0005]


def test_ranges_that_hold_nothing_are_refused(tmp_path):
    source = open_source(write_clip(tmp_path / "a.mp4"))
    with pytest.raises(UsageError, match=r"0 <= start < end, got start=2 and end=1"):
        source.frames(start=2, end=1)
    with pytest.raises(UsageError, match="got start=-1"):
        source.frames(start=-1)
    with pytest.raises(InputError, match=r"no picture from 5 s on; the last one .* 0\.967 s"):
        list(source.frames(start=5))


# The picture --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rotation", "mirrored"), sorted(TURNS))
def test_every_orientation_comes_upright(tmp_path, rotation, mirrored):
    path = write_clip(tmp_path / "a.mp4", frames=4, rotation=rotation, mirrored=mirrored, size=(96, 160))
    frames = read(path)
    check_frames(frames, times=[i / 30 for i in range(4)])
    info = open_source(path).info
    assert frames[0].image.shape == (info.height, info.width, 3) == (96, 160, 3)
    assert info.rotation == rotation
    assert all(f.image.flags.c_contiguous for f in frames)


def test_the_matrix_of_phones_for_portrait_turns_clockwise(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.set_display_matrix((0, 0x10000, 0, -0x10000, 0, 0, 96 << 16, 0, 0x40000000))
        out.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(0), format="rgb24")))
        out.mux(stream.encode())
    assert corners(read(path)[0].image) == ("blue", "red", "green", "yellow")
    assert open_source(path).info.rotation == 90


@pytest.mark.parametrize(
    ("sar", "rotation", "size"),
    [
        (Fraction(4, 3), 0, (96, 171)),
        (Fraction(1, 2), 0, (192, 128)),
        (Fraction(2, 1), 90, (192, 128)),  # the pixels are wide before the rotation
        (Fraction(129, 128), 0, (96, 128)),  # a difference of one pixel is ignored
        (Fraction(0, 1), 0, (96, 128)),
    ],
)
def test_pixels_become_square(tmp_path, sar, rotation, size):
    path = write_clip(tmp_path / "a.mp4", frames=3, sar=sar, rotation=rotation)
    frames = read(path)
    check_frames(frames, times=[0, 1 / 30, 2 / 30])
    assert {f.image.shape for f in frames} == {(*size, 3)}
    assert (open_source(path).info.height, open_source(path).info.width) == size


@pytest.mark.parametrize(
    ("name", "settings"),
    [("a.mkv", {"codec": "ffv1"}), ("a.mp4", {"pix_fmt": "yuv444p"}), ("a.webm", {}), ("a.gif", {"fps": 10})],
)
def test_odd_sizes_are_kept(tmp_path, name, settings):
    frames = read(write_clip(tmp_path / name, size=(97, 129), frames=5, **settings))
    assert {f.image.shape for f in frames} == {(97, 129, 3)}
    assert [number(f.image) for f in frames] == list(range(5))


def yuv(rgb: tuple[int, int, int], matrix: int, full: bool, bits: int) -> list[int]:
    """Return one colour in YUV by the definitions of ITU-R BT.601 and BT.709."""
    kr, kb = {601: (0.299, 0.114), 709: (0.2126, 0.0722)}[matrix]
    r, g, b = (v / 255 for v in rgb)
    y = kr * r + (1 - kr - kb) * g + kb * b
    u, v = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
    unit = 1 << (bits - 8)
    if full:
        return [round(y * 255 * unit), round((128 + u * 255) * unit), round((128 + v * 255) * unit)]
    return [round((16 + 219 * y) * unit), round((128 + 224 * u) * unit), round((128 + 224 * v) * unit)]


@pytest.mark.parametrize(
    ("matrix", "tag", "full", "bits", "size"),
    [
        (601, 6, False, 8, (96, 128)),
        (601, 5, False, 8, (96, 128)),
        (709, 1, False, 8, (96, 128)),
        (601, 6, True, 8, (96, 128)),
        (709, 1, True, 8, (96, 128)),
        (709, 1, False, 10, (96, 128)),
        (601, 6, True, 10, (96, 128)),
        (601, 2, False, 8, (96, 128)),  # untagged: by the size, as players do
        (709, 2, False, 8, (720, 1280)),
        (709, 1, False, 8, (98, 130)),
    ],
)
@pytest.mark.parametrize("rgb", [(200, 40, 60), (30, 160, 90), (128, 128, 128), (250, 250, 250)])
def test_colours_are_true(tmp_path, matrix, tag, full, bits, size, rgb):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"qp": "1", "preset": "ultrafast"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p10le" if bits == 10 else "yuvj420p" if full else "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = tag, 2 if full else 1
        frame = av.VideoFrame(size[1], size[0], stream.pix_fmt)
        for plane, level in zip(frame.planes, yuv(rgb, matrix, full, bits), strict=True):
            kind = np.uint16 if bits == 10 else np.uint8
            plane.update(np.full(plane.buffer_size // kind().itemsize, level, kind).tobytes())
        frame.colorspace, frame.color_range = tag, 2 if full else 1
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    image = read(path)[0].image
    # swscale's fast path rounds its tables: up to 3 levels on saturated colours; a wrong matrix or range is 10 and more.
    assert np.abs(image.reshape(-1, 3).astype(int) - rgb).max() <= 4


def test_pictures_of_another_size_are_scaled_to_the_first(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuvj420p"
        for i, size in enumerate([(96, 128)] * 3 + [(192, 256)] * 3):
            coder = av.CodecContext.create("mjpeg", "w")
            coder.height, coder.width = size
            coder.pix_fmt, coder.time_base = "yuvj420p", Fraction(1, 10)
            picture = av.VideoFrame.from_ndarray(numbered(i, size), format="rgb24").reformat(format="yuvj420p")
            for packet in coder.encode(picture) + coder.encode(None):
                packet.stream, packet.pts, packet.dts, packet.time_base = stream, i, i, Fraction(1, 10)
                out.mux(packet)
    frames = read(path)
    check_frames(frames, times=[i / 10 for i in range(6)])
    assert {f.image.shape for f in frames} == {(96, 128, 3)}


def in_its_own_shape(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Check that all but the middle ``size`` of the image is black, and return the middle."""
    y, x = (image.shape[0] - size[0]) // 2, (image.shape[1] - size[1]) // 2
    middle = image[y : y + size[0], x : x + size[1]].copy()
    rest = image.copy()
    rest[y : y + size[0], x : x + size[1]] = 0
    assert not rest.any()
    return middle


def test_pictures_of_another_shape_are_letterboxed(tmp_path):
    wide, high = (96, 128), (128, 96)
    parts = [write_clip(tmp_path / f"{i}.ts", frames=20, size=s) for i, s in enumerate((wide, high))]
    path = joined(tmp_path / "a.ts", *parts)
    with open_source(path) as source:
        for _ in range(2):
            frames = list(source.frames())
    assert source.warnings == ["the video changes its size from 128x96 to 96x128: those pictures are scaled to fit, on black"]
    assert {f.size for f in frames} == {wide}
    assert [number(f.image) for f in frames[:20]] == list(range(20))
    middles = [in_its_own_shape(f.image, (96, 72)) for f in frames[20:]]
    assert len(middles) >= 19
    assert {corners(m) for m in middles} == {UPRIGHT}
    assert [number(m) for m in middles] == list(range(20 - len(middles), 20))


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG"), (1, None), (14, None), (None, None)])
def test_hdr_gives_a_warning(tmp_path, transfer, name):
    with open_source(write_clip(tmp_path / "a.mp4", frames=2, pix_fmt="yuv420p10le", transfer=transfer)) as source:
        list(source.frames())
    told = f"this is HDR video ({name}): the model sees its raw levels, flatter than players show them"
    assert source.warnings == ([] if name is None else [told])


# Images -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".JPEG"])
def test_numbered_images_come_in_natural_order(tmp_path, suffix):
    folder = write_images(tmp_path / "shots", names=[f"shot{i}{suffix}" for i in range(8, 13)])
    (folder / "notes.txt").write_text("not a picture")
    check_frames(read(folder), times=[i / 25 for i in range(5)])
    with open_source(folder, fps=5) as source:
        assert [f.time for f in source.frames()] == pytest.approx([i / 5 for i in range(5)])
        assert (source.info.fps, source.info.frames, source.info.duration_s) == (5, 5, 1.0)


@pytest.mark.parametrize("pattern", ["left_%02d.png", "left_*.png", "left_??.png"])
def test_a_pattern_chooses_among_the_images(tmp_path, pattern):
    folder = write_images(tmp_path / "shots", names=[f"left_{i:02}.png" for i in range(3)])
    write_images(folder, names=["right_00.png"])
    check_frames(read(folder / pattern), times=[0, 0.04, 0.08])
    with pytest.raises(InputError, match="no image matches the pattern"):
        open_source(folder / ("up" + pattern))


def test_one_image_is_a_video_of_one_frame(tmp_path):
    folder = write_images(tmp_path, names=["a.png"])
    assert [number(f.image) for f in read(folder / "a.png")] == [0]


def test_images_get_the_size_of_the_first_and_damage_warns(tmp_path):
    folder = write_images(tmp_path / "shots", names=["0.png", "1.png", "2.png", "3.png"])
    cv2.imwrite(str(folder / "1.png"), cv2.cvtColor(numbered(1, (192, 256)), cv2.COLOR_RGB2BGR))
    truncate(folder / "2.png", keep=0.1)
    with open_source(folder) as source:
        frames = list(source.frames())
    assert [(number(f.image), f.image.shape[:2]) for f in frames] == [(n, (96, 128)) for n in (0, 1, 3)]
    assert frames[1].duration == pytest.approx(0.08)
    assert len(source.warnings) == 1
    assert "2.png cannot be read" in source.warnings[0]


def test_an_image_of_another_shape_is_letterboxed(tmp_path):
    folder = write_images(tmp_path / "shots", names=["0.png"])
    cv2.imwrite(str(folder / "1.png"), cv2.cvtColor(numbered(1, (128, 96)), cv2.COLOR_RGB2BGR))
    with open_source(folder) as source:
        _, image = (f.image for f in source.frames())
    assert source.warnings == [f"{folder} changes its size from 128x96 to 96x128: those pictures are scaled to fit, on black"]
    middle = in_its_own_shape(image, (96, 72))
    assert (number(middle), corners(middle)) == (1, UPRIGHT)


DELAYS = [100, 200, 50, 400, 40]


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.apng", "a.gif"])
def test_an_animation_has_all_its_frames_at_their_times(tmp_path, name):
    path = write_animation(tmp_path / name, delays_ms=DELAYS)
    frames = read(path)
    check_frames(frames, times=[0, 0.1, 0.3, 0.35, 0.75])
    assert frames[-1].duration == pytest.approx(0.04)
    assert (open_source(path).info.width, open_source(path).info.height) == (128, 96)
    for start, first in ((0.1, 1), (0.34, 3), (0.75, 4)):
        assert [number(f.image) for f in read(path, start=start)] == list(range(first, 5))
    assert [number(f.image) for f in read(path, start=0.1, end=0.35)] == [1, 2]
    with pytest.raises(UsageError, match="fps is only for images"):
        open_source(path, fps=5)


def test_an_animated_webp_states_its_length_and_delays(tmp_path):
    path = write_animation(tmp_path / "a.webp", delays_ms=[100, 0, 10, 200])
    check_frames(read(path), times=[0, 0.1, 0.2, 0.3])  # delays too short for a screen are extended, as in browsers
    info = open_source(path).info
    assert (info.frames, info.duration_s, info.fps) == (4, pytest.approx(0.5), pytest.approx(8.0))


def test_a_damaged_animated_webp_warns_or_is_refused(tmp_path):
    path = write_animation(tmp_path / "a.webp", delays_ms=[100] * 8)
    data = bytearray(path.read_bytes())
    at = [m.start() for m in re.finditer(b"ANMF", data)][5] + 40
    data[at : at + 20] = bytes(20)
    path.write_bytes(data)
    with open_source(path) as source:
        assert 1 <= len(list(source.frames())) < 8
    assert "a.webp breaks off after" in source.warnings[0]
    path.write_bytes(data[:64])
    with pytest.raises(InputError):
        open_source(path)


@pytest.mark.parametrize("holds", ["gif", "tiff", "mp4"])
def test_an_image_that_holds_another_kind_is_read(tmp_path, holds):
    path = tmp_path / "a.png"
    made = tmp_path / f"b.{holds}"
    if holds == "gif":
        write_animation(made, delays_ms=[100, 100])
    elif holds == "tiff":
        write_images(tmp_path, names=[made.name])
    else:
        write_clip(made, frames=2)
    made.rename(path)
    assert [number(f.image) for f in read(path)] == ([0, 1] if holds == "gif" else [0])


def test_a_rate_is_only_for_images(tmp_path):
    with pytest.raises(UsageError, match="fps is only for images"):
        open_source(write_clip(tmp_path / "a.mp4", frames=2), fps=10)
    with pytest.raises(UsageError, match="positive number of images per second, got 0"):
        open_source(tmp_path, fps=0)


# Reading again, closing, memory -------------------------------------------------------------------------------------------------


def test_a_source_can_be_read_again_until_it_is_closed(tmp_path):
    source = open_source(write_clip(tmp_path / "a.mp4"))
    first, second = source.frames(), source.frames()
    assert [number(next(first).image), number(next(first).image), number(next(second).image)] == [0, 1, 0]
    assert len(list(source.frames())) == 30
    source.close()
    assert list(first) == []
    with pytest.raises(UsageError, match=r"a\.mp4 is closed"):
        source.frames()
    os.remove(source.info.path)


def test_only_one_frame_is_held_back(tmp_path):
    alive: dict[int, weakref.finalize] = {}
    most = 0
    for i, frame in enumerate(open_source(write_clip(tmp_path / "a.mp4", frames=120)).frames()):
        alive[i] = weakref.finalize(frame, alive.pop, i)
        most = max(most, len(alive))
        del frame
    assert most == 1


def pictures_alive() -> int:
    """Return how many of PyAV's decoded pictures are in memory."""
    return sum(issubclass(type(o), av.VideoFrame) for o in gc.get_objects())  # isinstance would ask lazy objects for their class


def test_no_picture_outlives_its_reading_without_gc(tmp_path):
    path = write_clip(tmp_path / "a.mov", codec="mjpeg", frames=6, rotation=90)
    gc.collect()
    before = pictures_alive()
    gc.disable()
    try:
        open_source(path).close()
        assert pictures_alive() == before
        with open_source(path) as source:
            assert len(list(source.frames())) == 6
            next(source.frames(start=0.1))
        assert pictures_alive() == before
        with open_source(path) as source, pytest.raises(InputError):
            list(source.frames(start=5.0))
        assert pictures_alive() == before
    finally:
        gc.enable()


def test_stream_that_begins_in_the_middle_of_a_file_ends_nothing_early():
    """PyAV raises IndexError for it when it flushes at the end, after all packets of the streams that it knows."""

    class Opened:
        def demux(self, *streams: object) -> Iterator[object]:
            yield from ("picture", "picture", "flush", *streams)
            raise IndexError("list index out of range")

    assert list(container.read_packets(Opened())) == ["picture", "picture", "flush"]
    assert list(container.read_packets(Opened(), "stream")) == ["picture", "picture", "flush", "stream"]


# Excessive sizes ---------------------------------------------------------------------------------------------------------------


def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which every picture decoded from now on is added."""
    found: list[str] = []
    decode, imdecode = decode_pictures, cv2.imdecode

    def counted(*words: object) -> Iterator[av.VideoFrame]:
        for picture in decode(*words):
            found.append("picture")
            yield picture

    for module in (video, images):
        monkeypatch.setattr(module, "decode_pictures", counted)
    monkeypatch.setattr(cv2, "imdecode", lambda *a: found.append("image") or imdecode(*a))
    return found


WILD_GIF = (
    b"GIF89a"
    + struct.pack("<HHBBB", 16000, 16000, 0x80, 0, 0)
    + bytes(6)
    + b"\x2c"
    + struct.pack("<HHHHB", 0, 0, 16000, 16000, 0)
)
WILD_BMP = (
    b"BM" + bytes(8) + struct.pack("<I", 54) + struct.pack("<IiiHHIIiiII", 40, 2**31 - 1, -(2**31), 1, 24, 0, 0, 0, 0, 0, 0)
)
WILD_WEBP = b"RIFF" + struct.pack("<I", 100) + b"WEBPVP8X" + struct.pack("<IB3xHBHB", 10, 2, 16382, 0, 16382, 0) + bytes(100)
WILD_JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0" + struct.pack(">HBHHB", 11, 8, 65500, 65500, 1) + bytes(100)
WILD = {
    "a.gif": (
        WILD_GIF + b"\x02\x01\x00\x00\x3b",
        "no picture that can be decoded, or only some that are over the limit of 120000000 pixels",
    ),
    "a.bmp": (WILD_BMP + bytes(100), "2147483647x2147483648 pixels, and the limit is 120000000 in all"),
    "a.webp": (WILD_WEBP, "16383x16383 pixels, and the limit is 120000000 in all"),
    "a.jpg": (WILD_JPEG, "65500x65500 pixels, and the limit is 120000000 in all"),
}


@pytest.mark.parametrize("name", WILD)
def test_a_picture_over_the_limit_is_refused_undecoded(tmp_path, monkeypatch, name):
    data, told = WILD[name]
    (tmp_path / name).write_bytes(data)
    found = decoded(monkeypatch)
    with pytest.raises(InputError, match=f"{told}.*VIDCAM_MAX_PIXELS"):
        open_source(tmp_path / name)
    assert found == []


def test_a_small_png_of_900_million_pixels_is_refused(tmp_path, monkeypatch):
    path = empty_png(tmp_path / "a.png", size=(1, 30000))
    data = path.read_bytes()
    head = b"IHDR" + struct.pack(">II", 30000, 30000) + data[24:29]
    path.write_bytes(data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:])
    found = decoded(monkeypatch)
    with pytest.raises(InputError, match="30000x30000 pixels"):
        open_source(path)
    assert found == []


HEADED, HEADLESS = "128x96 pixels, and the limit is 12287", "some that are over the limit of 12287"


@pytest.mark.parametrize(("name", "told"), [
    ("a.mp4", HEADED), ("a.mkv", HEADED), ("a.ts", HEADED), ("a.webp", HEADED), ("a.webm", HEADLESS), ("a.avi", HEADLESS),
    ("a.gif", HEADLESS), ("a.png", HEADLESS),
])  # fmt: skip
def test_the_limit_of_pixels_can_be_set(tmp_path, monkeypatch, name, told):
    if name.endswith((".png", ".webp")):
        write_animation(tmp_path / name, delays_ms=[100, 100])
    else:
        write_clip(tmp_path / name, fps=10, frames=4, codec="mjpeg" if name == "a.avi" else None)
    found = decoded(monkeypatch)
    monkeypatch.setenv("VIDCAM_MAX_PIXELS", str(96 * 128 - 1))
    with pytest.raises(InputError, match=f"{told} .*VIDCAM_MAX_PIXELS"):
        open_source(tmp_path / name)
    assert found == []
    monkeypatch.setenv("VIDCAM_MAX_PIXELS", str(96 * 128))
    assert number(read(tmp_path / name)[0].image) == 0
    monkeypatch.setenv("VIDCAM_MAX_PIXELS", "many")
    with pytest.raises(UsageError, match="VIDCAM_MAX_PIXELS must be a whole number of pixels, such as 120000000, got 'many'"):
        open_source(tmp_path / name)


@pytest.mark.parametrize("kind", ["joined", "lying header", "stretched"])
def test_a_picture_that_grows_over_the_limit_is_not_decoded(tmp_path, monkeypatch, kind):
    small = write_clip(tmp_path / "small.ts", frames=20, sar=Fraction(4, 1) if kind == "stretched" else None)
    large = write_clip(tmp_path / "large.ts", frames=20, size=(192, 256))
    path = tmp_path / "a.ts"
    if kind == "joined":
        joined(path, small, large)
    elif kind == "stretched":
        path = small
    else:
        path = write_clip(tmp_path / "a.avi", codec="mjpeg", frames=20, size=(192, 256))
        path.write_bytes(path.read_bytes().replace(struct.pack("<II", 256, 192), struct.pack("<II", 128, 96)))
    monkeypatch.setenv("VIDCAM_MAX_PIXELS", "20000")
    if kind == "joined":
        with open_source(path) as source:
            assert [number(f.image) for f in source.frames()] == list(range(20))
        assert any("or are of more than 20000 pixels (VIDCAM_MAX_PIXELS)" in w for w in source.warnings)
    else:
        told = "only some that are over the limit of 20000 pixels" if kind == "lying header" else "512x96 pixels"
        with pytest.raises(InputError, match=told):
            open_source(path)


def test_an_image_over_the_limit_is_skipped_with_a_warning(tmp_path, monkeypatch):
    folder = write_images(tmp_path / "shots", names=["0.png", "1.png", "2.png"])
    cv2.imwrite(str(folder / "1.png"), numbered(1, (192, 256)))
    monkeypatch.setenv("VIDCAM_MAX_PIXELS", "20000")
    with open_source(folder) as source:
        assert [number(f.image) for f in source.frames()] == [0, 2]
    (warning,) = source.warnings
    assert "1.png has pictures of 256x192 pixels" in warning
    assert warning.endswith("; the image before it is shown longer instead")


# Damage -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.avi"])
def test_a_truncated_file_gives_what_it_holds_and_a_warning(tmp_path, name):
    path = truncate(write_clip(tmp_path / name, frames=90, gop=10), keep=0.5)
    with open_source(path) as source:
        for _ in range(2):  # one warning, however often the source is read
            frames = list(source.frames())
    numbers = [number(f.image) for f in frames[:-1]]  # half of the last one may be missing
    assert numbers == list(range(len(numbers)))
    assert 30 <= len(frames) <= 60
    assert any("breaks off" in w and f"{len(frames) / 30:.2f} s of 3.00 s" in w for w in source.warnings)
    assert len(source.warnings) == len(set(source.warnings)) <= 2


LONGER = {"duration named for each stream": "a.mkv", "duration of the whole file": "b.mkv", "flash": "a.flv"}


def with_sound(path: Path, *, seconds: float) -> Path:
    """Write two seconds of pictures with so many of sound; ``b.mkv`` says how long it is, but not how long each stream is."""
    write_clip(path, frames=60, audio="aac", audio_s=seconds)
    if path.name == "b.mkv":
        path.write_bytes(path.read_bytes().replace(b"DURATION", b"OTHERTAG"))
    return path


@pytest.mark.parametrize("kind", LONGER)
def test_sound_longer_than_the_pictures_gives_no_warning(tmp_path, kind):
    path = with_sound(tmp_path / LONGER[kind], seconds=4.0)
    assert len(read(path)) == 60
    assert open_source(path).info.duration_s == pytest.approx(2.0 if path.name == "a.mkv" else 4.0, abs=0.03)


@pytest.mark.parametrize("kind", LONGER)
def test_a_truncated_file_with_sound_gives_a_warning(tmp_path, kind):
    with open_source(truncate(with_sound(tmp_path / LONGER[kind], seconds=2.0), keep=0.5)) as source:
        assert len(list(source.frames())) < 40
    assert any("breaks off" in w and "s of 2.0" in w for w in source.warnings)


@pytest.mark.parametrize(("name", "codec", "entry", "unknown"), [
    ("a.mkv", "aac", b"A_AAC", b"A_ZZZ"), ("a.mp4", "libopus", b"Opus", b"apac"),
])  # fmt: skip
def test_sound_in_an_unknown_codec_is_left_out_with_a_warning(tmp_path, name, codec, entry, unknown):
    path = write_clip(tmp_path / name, audio=codec)
    path.write_bytes(path.read_bytes().replace(entry, unknown))
    with open_source(path) as source:
        assert [number(f.image) for f in source.frames()] == list(range(30))
    assert source.info.audio is None
    assert source.warnings == ["the audio is in a codec that this installation cannot read: it is left out"]


def test_damage_in_the_middle_warns_and_reading_continues(tmp_path):
    path = write_clip(tmp_path / "a.mp4", frames=60, gop=10)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    path.write_bytes(data)
    with open_source(path) as source:
        frames = list(source.frames())
    assert number(frames[-1].image) == 59
    assert len(source.warnings) == 1
    assert "is damaged" in source.warnings[0]


def test_a_decoder_uses_the_threads_of_its_worker(tmp_path):
    path = write_clip(tmp_path / "a.mp4")
    before = cv2.getNumThreads()
    try:
        for count in (1, 2):
            cores.limit_threads(count)
            with container.open_video_stream(str(path)) as (opened, stream):
                assert len(list(opened.decode(stream))) == 30
                assert stream.codec_context.thread_count == count
            assert cv2.getNumThreads() == count
    finally:
        cores.limit_threads(0)  # FFmpeg decides
        cv2.setNumThreads(before)


def test_a_decoder_that_fails_on_a_packet_continues_with_the_next(tmp_path):
    path = write_clip(tmp_path / "a.mov", codec="mjpeg", frames=10)
    with av.open(str(path)) as container:
        position, size = [(p.pos, p.size) for p in container.demux(video=0)][4]
    data = bytearray(path.read_bytes())
    data[position : position + size] = bytes(size)
    path.write_bytes(data)
    with open_source(path) as source:
        assert [number(f.image) for f in source.frames()] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert source.warnings == [f"{path} is damaged: 1 of its pictures could not be decoded properly"]


@pytest.mark.parametrize("error", [av.error.InvalidDataError(1, "bad"), ValueError("cannot decode unknown codec")])
def test_any_error_of_a_decoder_counts_as_damage(tmp_path, error):
    damage, packet = Damage(), SimpleNamespace(pts=None, stream=SimpleNamespace(index=0))

    def decode() -> None:
        raise error

    packet.decode = decode
    with av.open(str(write_clip(tmp_path / "a.mp4", frames=2))) as container:
        assert list(decode_pictures(container.streams.video[0], iter([packet, packet]), damage)) == []
    assert damage.pieces == 2


def test_pictures_inside_the_decoder_at_a_break_are_delivered(tmp_path):
    path = write_clip(tmp_path / "a.mp4", frames=40, b_frames=2)
    damage = Damage()

    def packets(container: av.container.InputContainer) -> Iterator[av.Packet]:
        yield from itertools.islice(container.demux(video=0), 20)
        raise av.error.InvalidDataError(1, "input/output error")

    with av.open(str(path)) as container:
        pictures = list(decode_pictures(container.streams.video[0], packets(container), damage))
    assert len(pictures) == 20
    assert damage.ended_by == "input/output error"


# Refusals -----------------------------------------------------------------------------------------------------------------------


def bound(path: Path) -> None:
    """Make a socket at the path."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # the path of a socket must be short


SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 50000 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
BAD = {
    "missing.mp4": (lambda p: p, "there is no file .*missing.mp4"),
    "missing.png": (lambda p: p, "there is no file .*missing.png"),
    "text.mp4": (lambda p: p.write_text("not a video\n" * 50), "cannot be read as video: .*; it is no video file"),
    "text.txt": (lambda p: p.write_text("not a video\n" * 50), "is a text, not a video"),
    "empty.mp4": (lambda p: p.touch(), "empty.mp4 is empty"),
    "folder": (lambda p: p.mkdir(), "holds no images"),
    "bad.png": (lambda p: p.write_text("not a picture"), "cannot be read as an image"),
    "sound.m4a": (write_sound, "holds no video, only audio"),
    "sound_with_cover.m4a": (lambda p: write_sound(p, cover=True), "holds no video, only audio"),
    "stream.sdp": (lambda p: p.write_text(SDP), "is a list of other files or addresses, not a video"),
    "list.txt": (lambda p: p.write_text("ffconcat version 1.0\nfile a.mp4\n"), "is a list of other files or addresses"),
    "fifo": (os.mkfifo, "fifo is a pipe, not a file"),
    "fifo.png": (os.mkfifo, r"fifo\.png is a pipe, not a file"),
    "socket.mp4": (bound, "is a socket, not a file"),
    "zero.mp4": (lambda p: p.symlink_to("/dev/zero"), "is a device, not a file"),
    "n" * 300 + ".mp4": (lambda p: p, "cannot be opened: File name too long"),
    "zero\0byte.mp4": (lambda p: p, "cannot be the name of a file"),
    "half\ud800pair.png": (lambda p: p, "cannot be the name of a file"),
    "no_index.mp4": (lambda p: truncate(write_clip(p, faststart=False), keep=0.6), "cut off before its index"),
    "no_frame.mp4": (lambda p: truncate(write_clip(p, frames=90), keep=0.05), "holds no picture that can be decoded"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_video_is_refused_in_one_sentence(tmp_path, name):
    make, message = BAD[name]
    make(tmp_path / name)
    with pytest.raises(InputError, match=message) as caught:
        open_source(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / name) in str(caught.value) or ascii(name)[1:-1] in str(caught.value)


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", frames=2)

    def refuse(*_: object, **__: object) -> None:
        raise av.error.PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(av, "open", refuse)  # tests often run as root, who may read everything
    with pytest.raises(InputError, match="may not be read: you lack the permission"):
        open_source(path)


@pytest.mark.parametrize(("name", "entry"), [("a.mp4", b"VideoHandler"), ("a.mp4", b"Caffee"), ("a.mkv", b"Caffee"),
                                              ("a.avi", b"Caffee"), ("a.flv", b"Caffee"), ("a.mov", b"Caffee")])  # fmt: skip
def test_names_that_are_not_utf_8_do_not_matter(tmp_path, name, entry):
    path = write_clip(tmp_path / name, frames=5, title="Caffee")
    data = path.read_bytes()
    assert entry in data
    path.write_bytes(data.replace(entry, entry[:3] + b"\xe9" + entry[4:]))
    frames = read(path)
    check_frames(frames, times=[frames[0].time + i / 30 for i in range(5)], within=0.0011)


def test_videos_of_a_folder_come_in_natural_order(tmp_path):
    for name in ("clip10.mp4", "clip2.MP4", "clip1.webm", "notes.txt", ".hidden.mp4"):
        (tmp_path / name).touch()
    assert [p.name for p in find_videos(tmp_path)] == ["clip1.webm", "clip2.MP4", "clip10.mp4"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no video: looked for .*mp4"):
        find_videos(tmp_path / "empty")
    with pytest.raises(InputError, match="there is no file"):
        find_videos(tmp_path / "missing")


def test_digits_that_are_no_numbers_count_as_letters(tmp_path):
    for name in ("\u00b21.mp4", "1\u00b22.mp4", "\u0663.mp4"):  # a superscript two; three in Arabic digits
        (tmp_path / name).touch()
    assert [p.name for p in find_videos(tmp_path)] == ["1\u00b22.mp4", "\u0663.mp4", "\u00b21.mp4"]


# Addresses ----------------------------------------------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(tmp_path, monkeypatch) -> Iterator[str]:
    monkeypatch.setattr(container, "OPEN_S", HANG_S)
    monkeypatch.setattr(container, "READ_S", HANG_S)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        ended(thread)


def test_an_address_is_read_like_a_file(tmp_path, address):
    write_clip(tmp_path / "a.mp4", frames=60)
    check_frames(read(f"{address}/a.mp4"), times=[i / 30 for i in range(60)])
    assert [number(f.image) for f in read(f"{address}/a.mp4", start=1.0)] == list(range(30, 60))
    with pytest.raises(InputError, match=r"none\.mp4 cannot be opened: .*404.*; check the address"):
        open_source(f"{address}/none.mp4")


@pytest.fixture
def server(monkeypatch) -> Iterator[Endless]:
    monkeypatch.setattr(container, "OPEN_S", HANG_S)
    monkeypatch.setattr(container, "READ_S", HANG_S)
    with endless() as served:
        yield served


@pytest.mark.parametrize(("name", "frames"), [("a.ts", 60), ("a.ts", 12), ("a.mkv", 60), ("a.flv", 60), ("a.mp4", 60)])
def test_an_endless_address_is_read_up_to_the_end_asked(tmp_path, server, name, frames):
    server.data = write_clip(tmp_path / name, frames=frames, audio="aac").read_bytes()
    with open_source(server.address) as source:
        times = [f.time for f in source.frames(end=3.0)]
    server.check_left()
    if name == "a.mp4":  # its index counts the pictures, so that its end is known
        assert len(times) == frames
        assert source.warnings == []
    else:
        assert 85 <= len(times) <= 92
        assert np.diff(times).max() < 0.1


@pytest.mark.parametrize("name", ["a.ts", "a.flv"])
def test_an_address_without_a_known_end_gives_a_warning(tmp_path, server, name):
    server.data = write_clip(tmp_path / name, frames=100, size=(32, 32), fps=5).read_bytes()
    told = threading.Event()
    with open_source(server.address) as source:
        source.say = lambda sentence: told.set()
        for frame in source.frames():  # noqa: B007
            if told.is_set():
                break
    assert 60 < frame.time - source.info.start_s < 85
    assert source.warnings == [f"{server.address} has no known end: --end S reads S seconds of it, Ctrl-C stops"]
    server.check_left()


LEADS_ON = {
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT10S">'
    '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL>'
    "</Representation></AdaptationSet></Period></MPD>",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{}'\n",
    "sdp": SDP,
}


@pytest.mark.parametrize("start", [b"", b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2"])
@pytest.mark.parametrize("kind", LEADS_ON)
def test_a_file_cannot_make_ffmpeg_open_an_address(tmp_path, server, kind, start):
    path = tmp_path / "a.mp4"
    path.write_bytes(start + LEADS_ON[kind].format(server.address).encode())
    with pytest.raises(InputError):
        open_source(path)
    assert server.asked == []


def test_ffmpeg_gets_the_list_of_allowed_protocols(tmp_path, monkeypatch, server):
    given = []
    opened = av.open
    path = write_clip(tmp_path / "a.ts", frames=2)
    server.data, server.once = path.read_bytes(), True
    monkeypatch.setattr(av, "open", lambda name, **words: given.append(words["options"]) or opened(name, **words))
    read(path)
    read(server.address)
    allowed = [options["protocol_whitelist"].split(",") for options in given]
    assert allowed == [["file"]] + [["http", "https", "httpproxy", "tcp", "tls", "crypto"]] * 2


@pytest.mark.parametrize("kind", LEADS_ON)
def test_an_address_cannot_make_ffmpeg_open_a_local_file(tmp_path, server, kind):
    other = write_clip(tmp_path / "other.ts", frames=5)
    server.data, server.once = LEADS_ON[kind].format(f"file://{other}").encode(), True
    with pytest.raises(InputError):
        open_source(server.address)


def test_an_address_that_does_not_answer_times_out(monkeypatch):
    monkeypatch.setattr(container, "OPEN_S", 0.3)
    given = timeouts_given(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(InputError, match=r"cannot be opened: .*; check the address and the connection"):
            open_source(f"http://127.0.0.1:{silent.getsockname()[1]}/a.mp4")
        port = silent.getsockname()[1]
    assert given == [(0.3, container.READ_S)]
    with pytest.raises(InputError, match="cannot be opened"):
        open_source(f"http://127.0.0.1:{port}/a.mp4")
