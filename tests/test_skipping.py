"""Pictures that nobody looks at need not be decoded; whatever comes is the same as without skipping."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from support.media import number, truncate, write_clip

from vidcam import Settings, explain, open_engine, open_source
from vidcam.engine import Engine
from vidcam.errors import UsageError
from vidcam.io import skipping
from vidcam.pipeline import Session
from vidcam.values import BareFrame, Frame

pytestmark = pytest.mark.portable

CLIPS = Path(__file__).parents[1] / "clips"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return open_engine("mini")


def every(step: int):
    """Return what says that every ``step``-th picture is needed."""
    return lambda times: [i % step == 0 for i in range(len(times))]


def read(path: Path, **how) -> tuple[list[Frame], list[str]]:
    with open_source(path) as source:
        return list(source.frames(**how)), source.warnings


def assert_same(all_frames: Sequence[Frame], some: Sequence[Frame], step: int) -> int:
    """Assert that the frames are the same but for pictures that are not needed; return how many of these were left out."""
    assert [(f.time, f.duration, f.size) for f in some] == [(f.time, f.duration, f.size) for f in all_frames]
    for i, (frame, other) in enumerate(zip(all_frames, some, strict=True)):
        if isinstance(other, BareFrame):
            assert i % step
            assert i + 1 < len(some)
        else:
            np.testing.assert_array_equal(other.image, frame.image)
    return sum(isinstance(f, BareFrame) for f in some)


@pytest.mark.parametrize("clip", ["walking.mp4", "three_actions.mp4", "waving_rotated.mp4"])
@pytest.mark.parametrize("range_s", [{}, {"start": 1.0}, {"start": 0.4, "end": 3.0}, {"end": 2.0}], ids=str)
def test_needed_pictures_come_unchanged_at_the_same_times(clip, range_s) -> None:
    frames, _ = read(CLIPS / clip, **range_s)
    left_out = assert_same(frames, read(CLIPS / clip, **range_s, needed=every(5))[0], 5)
    assert left_out > len(frames) / 5


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_every_container_with_an_index_skips_the_right_pictures(tmp_path, suffix) -> None:
    path = write_clip(tmp_path / f"a{suffix}", frames=40, b_frames=2, start=0.5, fps=Fraction(30000, 1001), audio="aac")
    frames, _ = read(path)
    some, warnings = read(path, needed=every(4))
    assert assert_same(frames, some, 4) > 0
    assert [number(f.image) for f in some[::4]] == list(range(0, 40, 4))
    assert warnings == []


def test_a_variable_rate_keeps_its_times(tmp_path) -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.4, 50)) - 0.01
    path = write_clip(tmp_path / "a.mp4", frames=50, times=list(times), b_frames=2)
    assert assert_same(read(path)[0], read(path, needed=every(3))[0], 3) > 0


def test_a_picture_that_was_left_out_cannot_be_looked_at() -> None:
    frames, _ = read(CLIPS / "walking.mp4", needed=every(1000))
    left_out = next(f for f in frames if isinstance(f, BareFrame))
    for name in ("picture", "image", "planes"):
        with pytest.raises(UsageError, match="comes without its picture"):
            getattr(left_out, name)
    assert repr(left_out).startswith("BareFrame(size=(360, 480), time=")


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("a.mp4", {}),  # no B-frames
        ("a.ts", {"b_frames": 2}),  # its clock can restart
        ("a.avi", {"b_frames": 2}),
        ("a.mp4", {"b_frames": 2, "fragmented": True}),
        ("a.mp4", {"codec": "mpeg4", "b_frames": 2}),
        ("a.mp4", {"b_frames": 2, "interlaced": True}),  # a packet could hold half a picture
        ("a.webm", {}),
    ],
)
def test_nothing_is_left_out_if_that_is_not_safe(tmp_path, name, facts) -> None:
    path = write_clip(tmp_path / name, frames=24, **facts)
    frames, _ = read(path, needed=every(1000))
    assert not any(isinstance(f, BareFrame) for f in frames)
    assert [number(f.image) for f in frames] == list(range(24))


def test_a_file_that_breaks_off_gives_the_same_frames_and_warning(tmp_path) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=60, b_frames=2)
    truncate(path, keep=0.6)
    (frames, warnings), (some, same) = read(path), read(path, needed=every(4))
    assert 20 < len(frames) < 50
    assert_same(frames, some, 4)
    assert same == warnings != []


@pytest.mark.parametrize("seed", range(4))
def test_damaged_file_is_explained_as_far_as_it_can_be_decoded(engine, tmp_path, seed) -> None:
    """A picture that was said to be needed can be lost."""
    path = write_clip(tmp_path / "a.mp4", frames=90, b_frames=2, gop=30)
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for position, size in (packets[i] for i in rng.choice(range(1, len(packets)), 25, replace=False)):
        data[position : position + size] = rng.bytes(size)
    path.write_bytes(data)
    frames, warnings = read(path)
    some, _ = read(path, needed=every(5))
    analysis = explain(path, engine=engine, settings=Settings(method="cam"))
    assert "is damaged" in warnings[0]
    assert any("is damaged" in warning for warning in analysis.warnings)
    assert {f.time for f in frames if f.time <= some[-1].time} <= {f.time for f in some}
    assert frames[-1].time - some[-1].time < 0.1
    assert len(analysis.windows) == 2
    assert analysis.frame_times_s[-1] == some[-1].time


def test_range_that_begins_with_a_lost_picture_begins_after_it(engine, tmp_path) -> None:
    path = write_clip(tmp_path / "a.mp4", frames=90, b_frames=2, gop=30)
    with av.open(str(path)) as container:
        packets = [(p.pts * p.time_base, p.pos, p.size) for p in container.demux(video=0) if p.size]
    whole, seen = path.read_bytes(), 0
    for time, position, size in packets[1:20]:
        data = bytearray(whole)
        data[position : position + size] = bytes(size)
        path.write_bytes(data)
        session = Session(engine, Settings())
        frames, _ = read(path, start=float(time), needed=session.needed)
        seen += isinstance(frames[0], BareFrame)
        shown = [time for clip in [*(c for f in frames for c in session.sample(f)), *session.rest()] for time in clip.times]
        assert min(shown) == next(f.time for f in frames if not isinstance(f, BareFrame))
        if isinstance(frames[0], BareFrame):  # whatever the model is shown now, its picture is there
            assert not any(isinstance(f, BareFrame) for f in frames[20:])
    assert seen  # somewhere the picture was lost that the range needs first


def test_only_the_packets_of_the_range_are_read(tmp_path, monkeypatch) -> None:
    path, count = write_clip(tmp_path / "a.mp4", frames=300, b_frames=2, gop=30), []
    real = skipping.read_packets

    def counted(*words):
        for packet in real(*words):
            count.append(packet.pts)
            yield packet

    monkeypatch.setattr(skipping, "read_packets", counted)
    frames, _ = read(path, start=5.0, end=6.0, needed=every(5))
    assert any(isinstance(f, BareFrame) for f in frames)
    per_second = len(frames)
    assert per_second <= len(count) <= 3 * per_second + 30


@pytest.mark.parametrize("tail", ["shift", "hold", "drop"])
@pytest.mark.parametrize("hop_s", [None, 0.7, 5.0])
def test_session_needs_exactly_the_pictures_that_its_clips_show(engine, tail, hop_s) -> None:
    settings = Settings(tail=tail, seconds_between_clip_starts=hop_s)
    session = Session(engine, settings)
    frames, _ = read(CLIPS / "three_actions.mp4")
    clips = [clip for frame in frames for clip in session.sample(frame)] + session.rest()
    shown = {time for clip in clips for time in clip.times}
    needed = {frame.time for frame, is_needed in zip(frames, session.needed([f.time for f in frames]), strict=True) if is_needed}
    assert shown <= needed | {frames[-1].time}
    assert len(needed) < len(frames) / 2 or hop_s == 0.7


def test_explaining_gives_the_same_with_every_picture_decoded(engine) -> None:
    clip = CLIPS / "three_actions.mp4"
    lean = explain(clip, engine=engine, settings=Settings(method="cam", smooth_s=0.0))
    full = explain(clip, engine=engine, settings=Settings(method="cam", smooth_s=1.0, smoothing="flow"))  # looks at all pictures
    np.testing.assert_array_equal(lean.frame_times_s, full.frame_times_s)
    for one, other in zip(lean.windows, full.windows, strict=True):
        np.testing.assert_array_equal(one.logits, other.logits)
        assert one.span == other.span
    for label, tracks in lean.tracks.items():
        np.testing.assert_array_equal(tracks[0].maps, full.tracks[label][0].maps)
