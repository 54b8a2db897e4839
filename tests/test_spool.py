"""Arrays in temporary files: what was written comes back, memory does not grow, and a full disk loses nothing."""

from __future__ import annotations

import errno
import os
import pickle
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from vidcam.evidence import storage
from vidcam.evidence.scale import scale_of
from vidcam.evidence.smoothing import smooth
from vidcam.evidence.storage import Spool, StoredArray, empty
from vidcam.evidence.timeline import Timeline
from vidcam.values import Box, Evidence


def resident() -> int:
    """Return the bytes of this process that lie in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def no_room(*_args: object, **_options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.xdist_group("memory")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_large_array_takes_memory_only_while_it_is_read() -> None:
    before = resident()
    array = empty((256, 256, 256))  # 67 MB
    for i in range(256):
        array[i] = i
        assert resident() - before < 30e6
    assert [array[i][7, 9] for i in range(256)] == list(range(256))
    assert resident() - before < 30e6
    assert array.sum() == 2**16 * 255 * 128
    assert resident() - before > 40e6  # all of it at once needs all of it
    np.testing.assert_array_equal(array[:3, 3, 5], [0, 1, 2])
    np.testing.assert_array_equal(array[:, 3, 5], np.arange(256))
    part = array[10:20]
    assert array[0, 0, 0] == 0
    assert resident() - before < 30e6
    assert (part == np.arange(10, 20)[:, None, None]).all()  # what was read before stays what it is


def test_results_computed_from_a_stored_array_are_plain_arrays() -> None:
    array = empty((4, 512, 512))
    array[:] = 2
    assert isinstance(array, StoredArray)
    assert type(array + 1) is type(np.isnan(array)) is type(array[1:3]) is type(array.sum(axis=0)) is np.ndarray
    assert isinstance(array.max(), np.float32)
    array += 1
    array[array > 2] = 5
    assert (array == 5).all()
    again = pickle.loads(pickle.dumps(array))
    again[0] = 1
    assert again[:2].sum() == 6 * 512 * 512


def test_arrays_stay_in_memory_if_small_or_if_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(empty((3, 4))) is np.ndarray
    monkeypatch.setattr(tempfile, "TemporaryFile", no_room)
    large = empty((1 << 19,))
    large[:] = 3
    assert type(large) is np.ndarray
    assert (large == 3).all()


def test_a_spool_returns_its_arrays_and_reuses_places() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(5, 7, 7)).astype(np.float32) for _ in range(20)]
    spool = Spool()
    places = [spool.put(a) for a in arrays]
    assert len(set(places)) == 20
    for place, array in zip(places[::-1], arrays[::-1], strict=True):
        assert place is not None
        np.testing.assert_array_equal(spool.get(place, array.shape), array)
    spool.free(places[4], arrays[4].shape)
    assert spool.put(arrays[0]) == places[4]
    assert spool.put(arrays[0][:2]) not in places  # another size has places of its own


def clips(count: int) -> list[Evidence]:
    """Return clips of two labels and two crops, in an order of their own; the second label is missing for a while."""
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
def test_a_long_timeline_is_the_same_in_memory_and_in_a_file(room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = clips(200)
    away: list[int] = []
    put = Spool.put

    def watched(self: Spool, array: np.ndarray) -> int | None:
        place = None if room == "no room" or (room == "room for a while" and len(away) > 10) else put(self, array)
        away.extend([] if place is None else [place])
        return place

    monkeypatch.setattr(storage, "LARGE", 1 << 40)  # the plain one: everything in memory
    monkeypatch.setattr(Spool, "put", lambda self, array: None)
    plain, timeline = Timeline(step_s=0.1), Timeline(step_s=0.1)
    for w in evidence:
        plain.add(w)
    expected = {label: plain.tracks(label) for label in plain.labels}
    expected_smooth = {k: [smooth(t, kind="gaussian", seconds=0.25) for t in parts] for k, parts in expected.items()}

    monkeypatch.setattr(storage, "LARGE", 1 << 10)
    monkeypatch.setattr(Spool, "put", watched)
    for w in evidence:
        timeline.add(w)
    assert (len(away) > 20) == (room == "room")
    for label, parts in expected.items():
        for a, b, c in zip(parts, timeline.tracks(label), expected_smooth[label], strict=True):
            np.testing.assert_array_equal(a.times, b.times)
            np.testing.assert_array_equal(a.maps, b.maps)
            np.testing.assert_array_equal(c.maps, smooth(b, kind="gaussian", seconds=0.25).maps)

    # What went away can come back to be forgotten in part; what comes there then is alone.
    late = next(w for w in evidence if w.label == "wave" and w.span[0] > 67)
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
def test_a_long_video_needs_little_memory() -> None:
    timeline, before = Timeline(step_s=0.1), resident()
    one = clips(1)[0]
    for i in range(15_000):  # 20 minutes of three labels: 38 MB of maps
        shift = {"times": one.times + 0.08 * i, "span": (0.08 * i, 0.08 * i + 1.6)}
        timeline.add(Evidence(**{**vars(one), **shift, "label": "abc"[i % 3]}))
    tracks = [t for label in "abc" for t in timeline.tracks(label)]
    drawn = [smooth(t, kind="gaussian", seconds=0.25) for t in tracks]
    assert scale_of(drawn) > 0
    assert sum(t.maps.nbytes for t in tracks + drawn) > 55e6
    assert resident() - before < 25e6
