"""Arrays in temporary files: what was written comes back, memory does not grow, and a full disk loses nothing."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from vidcam.evidence import storage
from vidcam.evidence.scale import scale_of
from vidcam.evidence.smoothing import smooth
from vidcam.evidence.storage import Spool, empty, release
from vidcam.evidence.timeline import Timeline
from vidcam.values import Box, Evidence


def resident() -> int:
    """Return the bytes of this process that lie in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def no_room(*_args: object, **_options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.xdist_group("memory")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_large_array_takes_memory_only_while_it_is_looked_at() -> None:
    before = resident()
    array = empty((256, 256, 256))  # 67 MB
    assert resident() - before < 30e6
    for i in range(256):
        array[i] = i
    assert resident() - before > 40e6
    release(array[10:20])  # a part of it will do
    assert resident() - before < 30e6
    np.testing.assert_array_equal(array[:, 3, 5], np.arange(256))


def test_arrays_elsewhere_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    small = empty((3, 4))
    small[:] = 7
    release(small)
    release(np.frombuffer(b"abcd", np.uint8))
    assert (small == 7).all()
    monkeypatch.setattr(tempfile, "TemporaryFile", no_room)
    large = empty((1 << 19,))
    large[:] = 3
    release(large)
    assert (large == 3).all()


def test_a_spool_gives_back_what_it_got_and_reuses_places() -> None:
    rng = np.random.default_rng(0)
    made = [rng.normal(size=(5, 7, 7)).astype(np.float32) for _ in range(20)]
    kept = Spool()
    places = [kept.put(a) for a in made]
    assert len(set(places)) == 20
    for place, array in zip(places[::-1], made[::-1], strict=True):
        assert place is not None
        np.testing.assert_array_equal(kept.get(place, array.shape), array)
    kept.free(places[4], made[4].shape)
    assert kept.put(made[0]) == places[4]
    assert kept.put(made[0][:2]) not in places  # another size has places of its own


def windows(count: int) -> list[Evidence]:
    """Return windows of two labels and two crops, in an order of their own; the second label is missing for a while."""
    rng = np.random.default_rng(1)
    centres = np.linspace(3, 97, 14)
    return [
        Evidence(
            values=rng.normal(size=(16, 14, 14)).astype(np.float32), times=0.8 * i + 0.05 + np.arange(16) * 0.1, ys=centres,
            xs=centres + x0, seen=Box(0, x0, 100, 100 + x0), span=(0.8 * i, 0.8 * i + 1.6), cell_s=0.1, label=label, versus=None,
            method="cam", complete=True, total=1.0,
        )
        for i in (range(count) if count < 100 else [*range(60, count), *range(60)])
        for label in ("wave", "clap")
        for x0 in (0, 40)
        if label == "wave" or not 80 < i < 140
    ]  # fmt: skip


@pytest.mark.parametrize("room", ["room", "no room", "room for a while"])
def test_a_long_timeline_is_the_same_wherever_its_blocks_are(room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = windows(200)
    away: list[int] = []
    put = Spool.put

    def watched(self: Spool, array: np.ndarray) -> int | None:
        place = None if room == "no room" or (room == "room for a while" and len(away) > 10) else put(self, array)
        away.extend([] if place is None else [place])
        return place

    monkeypatch.setattr(storage, "LARGE", 1 << 40)  # the plain one: everything in memory
    monkeypatch.setattr(Spool, "put", lambda self, array: None)
    plain, timeline = Timeline(step_s=0.1), Timeline(step_s=0.1)
    for w in given:
        plain.add(w)
    wanted = {label: plain.tracks(label) for label in plain.labels}
    wanted_smooth = {k: [smooth(t, kind="gaussian", seconds=0.25) for t in parts] for k, parts in wanted.items()}

    monkeypatch.setattr(storage, "LARGE", 1 << 10)
    monkeypatch.setattr(Spool, "put", watched)
    for w in given:
        timeline.add(w)
    assert (len(away) > 20) == (room == "room")
    for label, parts in wanted.items():
        for a, b, c in zip(parts, timeline.tracks(label), wanted_smooth[label], strict=True):
            np.testing.assert_array_equal(a.times, b.times)
            np.testing.assert_array_equal(a.maps, b.maps)
            np.testing.assert_array_equal(c.maps, smooth(b, kind="gaussian", seconds=0.25).maps)

    # What went away can come back to be forgotten in part; what comes there then is alone.
    late = next(w for w in given if w.label == "wave" and w.span[0] > 67)
    alone = Timeline(step_s=0.1)
    for t in (plain, timeline):
        t.forget(70.05)
        t.add(late)
    alone.add(late)
    for label in plain.labels:
        for a, b in zip(plain.tracks(label), timeline.tracks(label), strict=True):
            np.testing.assert_array_equal(a.times, b.times)
            np.testing.assert_array_equal(a.maps, b.maps)
    there = timeline.tracks("wave")[0]
    np.testing.assert_allclose(there.maps[:16], alone.tracks("wave")[0].maps, atol=1e-6)
    assert there.times[0] == pytest.approx(late.span[0])
    assert late.span[1] < 70


@pytest.mark.xdist_group("memory")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_a_long_video_leaves_in_memory_is_small() -> None:
    timeline, before = Timeline(step_s=0.1), resident()
    one = windows(1)[0]
    for i in range(15_000):  # 20 minutes of three labels: 38 MB of maps
        shift = {"times": one.times + 0.08 * i, "span": (0.08 * i, 0.08 * i + 1.6)}
        timeline.add(Evidence(**{**vars(one), **shift, "label": "abc"[i % 3]}))
    tracks = [t for label in "abc" for t in timeline.tracks(label)]
    drawn = [smooth(t, kind="gaussian", seconds=0.25) for t in tracks]
    assert scale_of(drawn) > 0
    assert sum(t.maps.nbytes for t in tracks + drawn) > 55e6
    assert resident() - before < 25e6
