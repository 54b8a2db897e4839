"""The joined evidence, against loops that say the same more slowly."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidcam.errors import UsageError
from vidcam.evidence import smoothing
from vidcam.evidence.optical_flow import FlowField
from vidcam.evidence.scale import NO_EVIDENCE, RunningScale, scale_of
from vidcam.evidence.segments import find_peaks, label_segments
from vidcam.evidence.smoothing import smooth
from vidcam.evidence.timeline import Timeline
from vidcam.values import Box, Evidence, Segment, Track

pytestmark = pytest.mark.portable

SEEN = Box(0, 0, 60, 80)


def evidence(
    values: np.ndarray, span: tuple[float, float], *, times: np.ndarray | None = None, label: str = "wave", **given
) -> Evidence:
    values = np.asarray(values, np.float32)
    t, h, w = values.shape
    if times is None:
        times = span[0] + (np.arange(t) + 0.5) * (span[1] - span[0]) / t
    facts = {"cell_s": 0.1, "versus": None, "method": "cam", "complete": False, "seen": SEEN} | given
    ys, xs = (np.arange(h) + 0.5) * 60 / h - 0.5, (np.arange(w) + 0.5) * 80 / w - 0.5
    return Evidence(values=values, times=times, ys=ys, xs=xs, span=span, label=label, **facts)


def track(maps: np.ndarray, *, step: float = 0.1, start: float = 0.0, label: str = "wave", cell_s: float = 0.1) -> Track:
    maps = np.asarray(maps, np.float32)
    n, h, w = maps.shape
    ys, xs = (np.arange(h) + 0.5) * 60 / h - 0.5, (np.arange(w) + 0.5) * 80 / w - 0.5
    return Track(label, start + np.arange(n) * step, maps, ys, xs, SEEN, cell_s)


def pulse(n: int, at: int, *, size: tuple[int, int] = (1, 1), value: float = 1.0) -> np.ndarray:
    maps = np.zeros((n, *size), np.float32)
    maps[at] = value
    return maps


# ------------------------------------------------------------------------------------------------------------- blending


def value_at(times: list[float], cells: list[np.ndarray], t: float) -> np.ndarray:
    """Interpolate between the cells, hold them past the ends, average those of one time: said with loops."""
    merged: dict[float, list[np.ndarray]] = {}
    for time, cell in zip(times, cells, strict=True):
        merged.setdefault(float(time), []).append(cell.astype(float))
    knots = [(time, sum(group) / len(group)) for time, group in sorted(merged.items())]
    if t <= knots[0][0]:
        return knots[0][1]
    for (t0, v0), (t1, v1) in pairwise(knots):
        if t <= t1:
            return v0 + (v1 - v0) * (t - t0) / (t1 - t0)
    return knots[-1][1]


def oracle(windows: list[Evidence], step: float) -> tuple[list[float], list[np.ndarray | None]]:
    anchor = windows[0].span[0]
    indices = [k for k in range(-200, 400) if any(w.span[0] <= anchor + k * step < w.span[1] for w in windows)]
    times, maps = [], []
    for k in range(min(indices), max(indices) + 1):
        t = anchor + k * step
        total, weight = 0.0, 0.0
        for w in windows:
            start, end = w.span
            if start <= t < end:
                middle, half = (start + end) / 2, (end - start) / 2
                triangle = 0.01 + 0.99 * (1 - abs(t - middle) / half)
                total = total + triangle * value_at(list(w.times), list(w.values), t)
                weight += triangle
        times.append(t)
        maps.append(total / weight if weight else None)
    return times, maps


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_overlapping_clips_blend_as_in_the_slow_loop(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    step = data.draw(st.sampled_from([0.125, 0.25, 0.5]))  # exact in binary, so that the loop needs no tolerance
    windows = []
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(-16, 64)) / 8
        end = start + data.draw(st.integers(4, 24)) / 8
        times = np.sort(rng.choice(np.linspace(start - 0.2, end + 0.2, 9), size=4))  # some repeated, some outside the span
        windows.append(evidence(rng.normal(size=(4, 2, 3)), (start, end), times=times))
    timeline = Timeline(step_s=step)
    for window in windows:
        timeline.add(window)
    (joined,) = timeline.tracks("wave")
    times, maps = oracle(windows, step)
    np.testing.assert_allclose(joined.times, times)
    for got, expected in zip(joined.maps, maps, strict=True):
        if expected is None:
            assert np.isnan(got).all()
        else:
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hop", [0.1, 0.37, 0.7, 1.0, 1.3])
def test_constant_evidence_stays_constant_for_any_hop(hop: float) -> None:
    timeline = Timeline(step_s=0.1)
    for i in range(30):
        timeline.add(evidence(np.full((4, 2, 2), 0.3), (1.4 + i * hop, 2.7 + i * hop)))
    (joined,) = timeline.tracks("wave")
    assert not np.isnan(joined.maps).any()  # also where one window ends exactly as the next begins
    np.testing.assert_allclose(joined.maps, 0.3, rtol=1e-6)
    np.testing.assert_allclose(np.diff(joined.times), 0.1)
    assert joined.times[0] == 1.4


def test_clips_that_touch_leave_no_gap() -> None:
    timeline = Timeline(step_s=0.1)
    timeline.add(evidence(np.ones((2, 1, 1)), (0.0, 0.3)))
    timeline.add(evidence(np.ones((2, 1, 1)), (0.1 + 0.2, 0.6)))  # 0.30000000000000004, as sums of hops are
    np.testing.assert_array_equal(timeline.tracks("wave")[0].maps[:, 0, 0], np.ones(6))


@pytest.mark.parametrize(
    "times", [[0.1, np.nan, 0.3], [np.nan, 0.2, 0.3], [0.1, 0.2, np.inf], [-np.inf, 0.2, 0.3], [0.1, 0.3, 0.2], [0.1, 0.2]]
)
def test_evidence_without_places_in_time_is_refused(times: list[float]) -> None:
    with pytest.raises(UsageError, match="evidence: times must be 3 finite, never decreasing numbers, got "):
        evidence(np.ones((3, 2, 2)), (0.0, 1.0), times=np.array(times))
    evidence(np.ones((3, 2, 2)), (0.0, 1.0), times=np.array([0.1, 0.2, 0.2]))  # a frame that was repeated


def test_evidence_without_maps_of_numbers_is_refused() -> None:
    good = evidence(np.ones((3, 2, 2)), (0.0, 1.0))
    for bad, said in (
        (np.ones((2, 2), np.float32), r"float32 of shape \(T', h, w\), got float32\[2, 2\]"),
        (np.ones((3, 2, 2)), r"got float64\[3, 2, 2\]"),
        (np.zeros((0, 2, 2), np.float32), r"got float32\[0, 2, 2\]"),
        (good.values.tolist(), "got "),
    ):
        with pytest.raises(UsageError, match=said):
            replace(good, values=bad)
    with pytest.raises(UsageError, match="evidence for 'wave' has non-finite values"):
        replace(good, values=np.full((3, 2, 2), np.nan, np.float32))


def test_the_grid_counts_from_its_begin() -> None:
    timeline = Timeline(step_s=0.5)
    timeline.begin(0.25)
    timeline.add(evidence(np.ones((2, 1, 1)), (1.0, 2.0)))
    timeline.begin(0.0)  # too late
    timeline.add(evidence(np.ones((2, 1, 1)), (0.0, 1.0)))
    np.testing.assert_array_equal(timeline.tracks("wave")[0].times, [0.25, 0.75, 1.25, 1.75])


def test_a_clip_fades_in_without_a_step() -> None:
    timeline = Timeline(step_s=0.01)
    timeline.add(evidence(np.zeros((2, 1, 1)), (0.0, 2.0)))
    timeline.add(evidence(np.ones((2, 1, 1)), (1.0, 3.0)))
    curve = timeline.tracks("wave")[0].maps[:, 0, 0]
    assert np.abs(np.diff(curve)).max() < 0.02
    assert curve[150] == pytest.approx(0.5)


def test_times_between_clips_are_nan() -> None:
    timeline = Timeline(step_s=0.5)
    timeline.add(evidence(np.ones((2, 1, 1)), (0.0, 1.0)))
    timeline.add(evidence(np.ones((2, 1, 1)), (2.0, 3.0)))
    (joined,) = timeline.tracks("wave")
    np.testing.assert_array_equal(np.isnan(joined.maps[:, 0, 0]), [False, False, True, True, False, False])
    np.testing.assert_array_equal(np.isnan(joined.curve), np.isnan(joined.maps[:, 0, 0]))


def test_labels_and_crops_share_only_the_grid() -> None:
    timeline = Timeline(step_s=0.5)
    left, right = Box(0, 0, 60, 40), Box(0, 40, 60, 80)
    timeline.add(evidence(np.full((2, 1, 1), 1), (0, 2), seen=left))
    timeline.add(evidence(np.full((2, 1, 1), 2), (0, 2), seen=right))
    timeline.add(evidence(np.full((2, 1, 1), 3), (1, 3), label="clap", seen=left))
    timeline.add(evidence(np.full((2, 1, 1), 1), (-1, 0), seen=left))  # an earlier window may come later
    assert timeline.labels == ("wave", "clap")
    assert timeline.spans("wave") == [(0, 2), (-1, 0)]
    assert timeline.spans("clap") == [(1, 3)]
    assert timeline.spans("jump") == []
    assert timeline.tracks("jump") == ()
    one, two = timeline.tracks("wave")
    (clap,) = timeline.tracks("clap")
    assert (one.seen, two.seen) == (left, right)
    for t in (one, two, clap):
        np.testing.assert_allclose(t.times, np.arange(-1, 3, 0.5))
    nan = math.nan
    np.testing.assert_array_equal(one.maps[:, 0, 0], [1, 1, 1, 1, 1, 1, nan, nan])
    np.testing.assert_array_equal(two.maps[:, 0, 0], [nan, nan, 2, 2, 2, 2, nan, nan])
    np.testing.assert_array_equal(clap.maps[:, 0, 0], [nan, nan, nan, nan, 3, 3, 3, 3])


def test_evidence_in_another_unit_is_refused() -> None:
    timeline = Timeline(step_s=0.5)
    timeline.add(evidence(np.ones((2, 1, 1)), (0, 2)))
    with pytest.raises(UsageError, match="by 'gradcam' versus None cannot be blended with what is there by 'cam' versus None"):
        timeline.add(evidence(np.ones((2, 1, 1)), (1, 3), method="gradcam"))
    with pytest.raises(UsageError, match="versus 'clap' cannot be blended"):
        timeline.add(evidence(np.ones((2, 1, 1)), (1, 3), versus="clap"))
    with pytest.raises(UsageError, match="step must be positive seconds, got 0"):
        Timeline(step_s=0)


def test_clips_are_not_kept_in_memory() -> None:
    tracemalloc.start()
    timeline = Timeline(step_s=0.1)
    for i in range(200):  # 200 windows of 16 x 7 x 7 over the same two seconds
        timeline.add(evidence(np.ones((16, 7, 7)), (i * 1e-4, 2 + i * 1e-4)))
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < 200_000  # bytes; the windows are 627 kB, 20 maps 8 kB


# ------------------------------------------------------------------------------------------------------------ smoothing


def smooth_by_loops(maps: np.ndarray, times: np.ndarray, kernel) -> np.ndarray:
    out = np.full_like(maps, np.nan)
    for i in range(len(times)):
        for cell in np.ndindex(maps.shape[1:]):
            if np.isnan(maps[(i, *cell)]):
                continue
            total = weight = 0.0
            for j in range(len(times)):
                if not np.isnan(maps[(j, *cell)]):
                    total += kernel(times[j] - times[i]) * float(maps[(j, *cell)])
                    weight += kernel(times[j] - times[i])
            out[(i, *cell)] = total / weight
    return out


KERNELS = {
    ("gaussian", False): lambda s: lambda t: math.exp(-0.5 * (t / s) ** 2),
    ("exponential", False): lambda s: lambda t: math.exp(-abs(t) * math.sqrt(2) / s),
    ("exponential", True): lambda s: lambda t: math.exp(t / s) if t <= 0 else 0.0,
}


@pytest.mark.parametrize(("kind", "causal"), KERNELS)
@pytest.mark.parametrize("seconds", [0.05, 0.3, 2.0])
def test_smoothing_is_the_weighted_mean_of_the_docstring(kind: str, causal: bool, seconds: float) -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(40, 2, 2)).astype(np.float32)
    maps[10:14] = np.nan
    times = np.cumsum(rng.uniform(0.05, 0.15, 40))  # an uneven grid is fine
    t = track(maps)
    t = Track(t.label, times, maps, t.ys, t.xs, t.seen, t.cell_s)
    smoothed = smooth(t, kind=kind, seconds=seconds, causal=causal)
    expected = smooth_by_loops(maps, times, KERNELS[kind, causal](seconds))
    np.testing.assert_allclose(smoothed.maps, expected, atol=4e-3)  # the kernel's tail below 1/1000 is cut off
    np.testing.assert_array_equal(np.isnan(smoothed.maps), np.isnan(maps))
    assert smoothed.times is t.times


ALL = [("gaussian", False), ("exponential", False), ("exponential", True), ("flow", False), ("flow", True)]


@pytest.mark.parametrize(("kind", "causal"), ALL)
def test_smoothing_leaves_a_constant_exactly_alone(kind: str, causal: bool) -> None:
    maps = np.full((50, 3, 4), 0.3, np.float32)
    maps[20:25] = np.nan
    smoothed = smooth(track(maps), kind=kind, seconds=0.4, causal=causal, flow=moving_texture(50, 9.0, step=0.1)[0])
    np.testing.assert_array_equal(smoothed.maps, maps)


@pytest.mark.parametrize("kind", ["gaussian", "exponential", "flow"])
def test_symmetric_smoothing_keeps_the_second_and_the_sum(kind: str) -> None:
    smoothed = smooth(track(pulse(101, 50, size=(3, 4))), kind=kind, seconds=0.3, flow=resting())
    curve = smoothed.maps[:, 1, 1]
    assert int(curve.argmax()) == 50
    np.testing.assert_allclose(curve, curve[::-1], atol=1e-7)
    assert curve.sum() == pytest.approx(1.0, rel=1e-5)
    spread = math.sqrt((curve * (smoothed.times - 5.0) ** 2).sum())
    assert spread == pytest.approx(0.3, rel=0.03)  # seconds is the standard deviation


@pytest.mark.parametrize("kind", ["exponential", "flow"])
def test_causal_smoothing_lags_as_stated_and_sees_no_future(kind: str) -> None:
    smoothed = smooth(track(pulse(201, 50)), kind=kind, seconds=0.5, causal=True, flow=resting())
    curve = smoothed.maps[:, 0, 0]
    assert (curve[:50] == 0).all()
    lag = (curve * smoothed.times).sum() / curve.sum() - 5.0
    assert 0.4 < lag <= 0.5
    cut = smooth(track(pulse(201, 50)[:120]), kind=kind, seconds=0.5, causal=True, flow=resting())
    np.testing.assert_array_equal(cut.maps, smoothed.maps[:120])


@pytest.mark.parametrize(("kind", "causal"), ALL[:3])
def test_smoothing_is_in_seconds_for_any_step(kind: str, causal: bool) -> None:
    def half_second(step: float) -> Track:
        n = round(8 / step)
        times = np.arange(n) * step
        maps = np.exp(-0.5 * ((times - 4) / 0.5) ** 2).astype(np.float32)[:, None, None]
        return smooth(track(maps, step=step), kind=kind, seconds=0.4, causal=causal)

    coarse, fine = half_second(0.1), half_second(0.025)
    # 0.05: a causal sum over points sits half a step later than the integral that both approximate
    np.testing.assert_allclose(coarse.maps, fine.maps[::4], atol=0.05 if causal else 0.005)


@pytest.mark.parametrize(("kind", "causal"), [("gaussian", False), ("exponential", True), ("flow", False), ("flow", True)])
@pytest.mark.parametrize("stretch", [1, 7])
def test_smoothing_in_stretches_is_the_same_to_the_last_bit(
    kind: str, causal: bool, stretch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(50, 6, 8)).astype(np.float32)
    maps[20:23] = np.nan
    t = track(maps)
    t = replace(t, times=np.delete(np.arange(54), [10, 11, 30, 31]) * 0.1)  # an uneven grid
    flow, _ = moving_texture(60, 9.0, step=0.1)
    whole = smooth(t, kind=kind, seconds=0.15, causal=causal, flow=flow).maps
    monkeypatch.setattr(smoothing, "_STRETCH", stretch)
    np.testing.assert_array_equal(smooth(t, kind=kind, seconds=0.15, causal=causal, flow=flow).maps, whole)


def test_smoothing_needs_little_memory_beside_its_result() -> None:
    t = track(np.ones((40_000, 7, 7), np.float32))
    tracemalloc.start()
    smooth(t, kind="gaussian", seconds=0.25)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1.5 * t.maps.nbytes


def test_smoothing_can_be_switched_off() -> None:
    t = track(np.random.default_rng(0).normal(size=(20, 2, 2)))
    assert smooth(t, kind="none", seconds=1.0) is t
    assert smooth(t, kind="gaussian", seconds=0.0) is t
    single = track(np.ones((1, 2, 2)))
    assert smooth(single, kind="gaussian", seconds=1.0) is single


def test_impossible_smoothing_settings_are_refused() -> None:
    t = track(np.ones((5, 1, 1)))
    with pytest.raises(UsageError, match="a Gaussian looks into the future"):
        smooth(t, kind="gaussian", seconds=1, causal=True)
    with pytest.raises(UsageError, match="needs the motion"):
        smooth(t, kind="flow", seconds=1)
    with pytest.raises(UsageError, match="0 seconds or more, got -1"):
        smooth(t, kind="gaussian", seconds=-1)
    with pytest.raises(UsageError, match="none, gaussian, exponential or flow, got 'median'"):
        smooth(t, kind="median", seconds=1)


def test_an_unseen_stretch_adds_nothing_to_its_neighbours() -> None:
    maps = np.ones((40, 1, 1), np.float32)
    maps[10:20] = np.nan
    maps[20:] = 3
    smoothed = smooth(track(maps), kind="gaussian", seconds=0.1).maps[:, 0, 0]
    assert np.isnan(smoothed[10:20]).all()
    np.testing.assert_allclose(smoothed[:10], 1)  # the other side is 10 standard deviations away
    np.testing.assert_allclose(smoothed[20:], 3)


# ----------------------------------------------------------------------------------------------------------------- flow


def texture(size: tuple[int, int]) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 255, (size[0] // 4, size[1] // 4), dtype=np.uint8)
    return cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)


def moving_texture(n: int, speed: float, *, step: float, size: tuple[int, int] = (60, 80)) -> tuple[FlowField, float]:
    """Return a picture that pans to the right by ``speed`` source pixels a step."""
    wide = texture((size[0], size[1] + math.ceil(n * speed) + 8))
    flow = FlowField(size=size, step_s=step)
    for i in range(n):
        offset = round((n - 1 - i) * speed)
        flow.push(np.repeat(wide[:, offset : offset + size[1], None], 3, axis=2), time=i * step)
    return flow, speed


def resting() -> FlowField:
    return moving_texture(60, 0.0, step=0.1)[0]


def test_the_flow_is_the_motion_in_cells() -> None:
    flow, speed = moving_texture(12, 4.0, step=0.1)
    ys, xs = np.arange(6) * 10 + 4.5, np.arange(8) * 10 + 4.5
    forward = flow.between(0.3, 0.4, ys=ys, xs=xs)
    backward = flow.between(0.4, 0.3, ys=ys, xs=xs)
    np.testing.assert_allclose(forward[1:-1, 2:-2, 1], 0.4, atol=0.06)  # 4 px are 0.4 cells
    np.testing.assert_allclose(backward[1:-1, 2:-2, 1], -0.4, atol=0.06)
    np.testing.assert_allclose(forward[1:-1, 2:-2, 0], 0.0, atol=0.06)
    np.testing.assert_allclose(flow.between(0.32, 0.57, ys=ys, xs=xs)[1:-1, 1:4, 1], 1.0, atol=0.15)  # 2.5 steps, composed
    assert (flow.between(5.0, 6.0, ys=ys, xs=xs) == 0).all()
    assert (flow.between(-2.0, -1.0, ys=ys, xs=xs) == 0).all()
    assert speed == 4.0


def test_the_flow_has_rows_and_columns_in_order() -> None:
    wide = texture((100, 80))
    flow = FlowField(size=(600, 800), step_s=0.1)  # the pictures pushed are ten times smaller than the source
    for i in range(4):
        flow.push(wide[20 - 4 * i : 80 - 4 * i], time=i * 0.1)
    motion = flow.between(0.0, 0.1, ys=np.arange(6) * 100 + 49.5, xs=np.arange(8) * 100 + 49.5)
    np.testing.assert_allclose(motion[2:-2, 1:-1, 0], 0.4, atol=0.06)  # downwards
    np.testing.assert_allclose(motion[2:-2, 1:-1, 1], 0.0, atol=0.06)


def test_pictures_between_the_steps_are_skipped() -> None:
    flow = FlowField(size=(60, 80), step_s=0.2)
    for i in range(21):
        flow.push(texture((60, 80)), time=i * 0.05)
    assert len(flow._times) == 6
    assert len(flow._motion) == 5


@pytest.mark.parametrize("size", [(20, 300), (300, 20), (8, 8), (60, 80), (1080, 1920)])
def test_the_flow_takes_pictures_of_any_shape(size: tuple[int, int]) -> None:
    flow = FlowField(size=size, step_s=0.1)
    for i in range(3):
        flow.push(np.roll(np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8), i, 1), time=i * 0.1)
    motion = flow.between(0.0, 0.2, ys=np.array([size[0] / 2 - 0.5]), xs=np.linspace(0, size[1] - 1, 4))
    assert motion.shape == (1, 4, 2)
    assert np.isfinite(motion).all()


def test_heat_follows_a_moving_object() -> None:
    cells = 16
    size = (60, 160)
    flow, _ = moving_texture(14, 10.0, step=0.1, size=size)  # a cell is 10 px wide, and so is a step
    maps = np.zeros((14, 6, cells), np.float32)
    for i in range(14):
        maps[i, 3, 1 + i] = 1.0
    xs, ys = np.arange(cells) * 10 + 4.5, np.arange(6) * 10 + 4.5
    t = Track("wave", np.arange(14) * 0.1, maps, ys, xs, Box(0, 0, *size), 0.1)
    carried = smooth(t, kind="flow", seconds=0.2, flow=flow)
    smeared = smooth(t, kind="gaussian", seconds=0.2)
    along = np.arange(3, 11)
    kept, lost = (s.maps[along, 3, along + 1].mean() for s in (carried, smeared))
    assert lost == pytest.approx(0.2, abs=0.02)  # 0.1 / (0.2 * sqrt(2 pi)): the pulse is spread over its path
    assert kept > 3.5 * lost
    assert kept > 0.75
    assert [int(carried.maps[i, 3].argmax()) for i in along] == (along + 1).tolist()
    causal = smooth(t, kind="flow", seconds=0.2, causal=True, flow=flow)
    assert causal.maps[along, 3, along + 1].mean() > 0.75


def test_heat_follows_an_object_before_a_background_at_rest() -> None:
    size, side, speed, cell = (80, 160), 30, 8, 10
    background, thing = texture(size), 255 - texture((side, side))[:side, :side]
    thing = cv2.resize(thing, (side, side))
    flow = FlowField(size=size, step_s=0.1)
    ys, xs = np.arange(8) * cell + 4.5, np.arange(16) * cell + 4.5
    maps = np.zeros((15, 8, 16), np.float32)
    for i in range(15):
        left = 5 + i * speed
        image = background.copy()
        image[30 : 30 + side, left : left + side] = thing
        flow.push(image, time=i * 0.1)
        maps[i] = np.exp(-((ys[:, None] - 45) ** 2 + (xs - left - side / 2) ** 2) / 2 / 7**2)
    t = Track("wave", np.arange(15) * 0.1, maps, ys, xs, Box(0, 0, *size), 0.1)
    highest = maps[3:-3].max(axis=(1, 2))
    carried, smeared = (smooth(t, kind=kind, seconds=0.25, flow=flow).maps[3:-3] for kind in ("flow", "gaussian"))
    assert (carried.max(axis=(1, 2)) / highest).mean() > 0.75
    assert (smeared.max(axis=(1, 2)) / highest).mean() < 0.45


def test_carrying_interpolates_as_in_the_slow_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Motion by whole cells, another for each cell, step and direction of time: every term can be written down."""
    n, h, w = 9, 3, 5
    rng = np.random.default_rng(1)
    moves = rng.integers(-1, 2, size=(2, n, h, w, 2))
    flow = FlowField(size=(60, 80), step_s=0.1)

    def between(start: float, end: float, *, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
        return moves[int(end > start), round(start / 0.1)].astype(float)

    monkeypatch.setattr(flow, "between", between)
    maps = rng.normal(size=(n, h, w)).astype(np.float32)
    maps[4] = np.nan
    smoothed = smooth(track(maps), kind="flow", seconds=0.15, flow=flow).maps
    for i, y, x in np.ndindex(n, h, w):
        total, weight = float(maps[i, y, x]), 1.0
        for direction in (-1, 1):
            row, column = y, x
            for offset in range(1, 7):
                j = i + direction * offset
                if not 0 <= j < n:
                    break
                move = moves[int(direction > 0), j - direction, min(max(row, 0), h - 1), min(max(column, 0), w - 1)]
                row, column = row + move[0], column + move[1]
                if 0 <= row < h and 0 <= column < w and not np.isnan(maps[j, row, column]):
                    k = math.exp(-0.5 * (offset * 0.1 / 0.15) ** 2)
                    total, weight = total + k * float(maps[j, row, column]), weight + k
        if i == 4:
            assert np.isnan(smoothed[i, y, x])
        else:
            assert smoothed[i, y, x] == pytest.approx(total / weight, abs=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_carrying_without_motion_changes_nothing(causal: bool) -> None:
    t = track(np.random.default_rng(0).normal(size=(50, 3, 4)))
    plain = smooth(t, kind="exponential" if causal else "gaussian", seconds=0.3, causal=causal)
    np.testing.assert_allclose(smooth(t, kind="flow", seconds=0.3, causal=causal, flow=resting()).maps, plain.maps, atol=1e-4)


# -------------------------------------------------------------------------------------------------- scale and segments


def test_the_scale_holds_nearly_all_evidence() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(300, 4, 4)).astype(np.float32)
    maps[100:110] = np.nan
    scale = scale_of([track(maps[:150]), track(maps[150:])], quantile=0.9)
    strength = np.abs(maps[~np.isnan(maps)])
    assert strength[strength <= scale].sum() / strength.sum() == pytest.approx(0.9, abs=0.001)
    assert scale_of([track(maps * 7)], quantile=0.9) == pytest.approx(7 * scale, rel=1e-5)


@pytest.mark.parametrize("quantile", [0.001, 0.3, 0.9, 0.995, 1.0])
@pytest.mark.parametrize("spread", [0.1, 3.0])
def test_the_scale_is_that_of_all_maps_sorted(quantile: float, spread: float) -> None:
    rng = np.random.default_rng(4)
    maps = (np.exp(rng.normal(0, spread, size=(1500, 5, 4))) * rng.choice([-1, 1], size=(1500, 5, 4))).astype(np.float32)
    maps[700:720] = np.nan
    strength = np.sort(np.abs(maps[~np.isnan(maps)]))
    held = np.cumsum(strength, dtype=np.float64)
    expected = strength[min(np.searchsorted(held, quantile * held[-1] * (1 - 1e-12)), len(strength) - 1)]
    assert scale_of([track(maps[:900]), track(maps[900:])], quantile=quantile) == expected


def test_a_short_action_sets_the_scale_and_an_outlier_does_not() -> None:
    rng = np.random.default_rng(0)
    quiet = rng.normal(0, 0.01, size=(6000, 5, 5)).astype(np.float32)
    action = quiet.copy()
    action[3000:3010, 2, 1:4] = 0.5 + rng.uniform(0, 0.1, size=(10, 3))  # one second of ten minutes
    scale = scale_of([track(action)])
    assert 0.4 < scale < 0.65
    outlier = np.abs(rng.normal(0.4, 0.1, size=(600, 5, 5))).astype(np.float32)
    before = scale_of([track(outlier)])
    outlier[300, 2, 2] = 20.0
    assert scale_of([track(outlier)]) == pytest.approx(before, rel=0.15)


def test_a_label_without_evidence_is_not_scaled_up() -> None:
    rng = np.random.default_rng(0)
    strong = track(np.abs(rng.normal(1, 0.2, size=(100, 4, 4))))
    noise = track(rng.normal(0, 0.01, size=(100, 4, 4)), label="clap")
    assert np.abs(noise.maps).max() / scale_of([strong, noise]) < 0.05


@pytest.mark.parametrize("maps", [np.zeros((5, 2, 2)), np.full((5, 2, 2), np.nan)])
def test_no_evidence_draws_as_nothing(maps: np.ndarray) -> None:
    assert scale_of([track(maps)]) == NO_EVIDENCE
    assert scale_of([]) == NO_EVIDENCE
    assert np.nansum(maps / NO_EVIDENCE) == 0
    with pytest.raises(UsageError, match=r"must lie in \(0, 1\], got 1.5"):
        scale_of([track(maps)], quantile=1.5)


def test_the_running_scale_rises_at_once_and_falls_steadily() -> None:
    running = RunningScale(half_life_s=2.0, floor=0.1)
    assert running.update(np.zeros((2, 2)), time=0.0) == 0.1
    assert running.update(np.array([[-8.0, math.nan]]), time=1.0) == 8.0
    assert running.update(np.array([[1.0]]), time=3.0) == pytest.approx(4.0)
    assert running.update(np.array([[math.nan]]), time=5.0) == pytest.approx(2.0)
    assert running.update(np.array([[1.0]]), time=60.0) == 1.0
    assert running.update(np.array([[0.0]]), time=600.0) == 0.1
    with pytest.raises(UsageError, match="positive half-life and floor, got 0 s"):
        RunningScale(half_life_s=0)


NAN = math.nan
TIMES = np.arange(12) * 0.5 + 10


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0], [(11.0, 12.0, 3.0)]),
        ([0, 1, 3, 1, 1, 0, 0, 0, 0, 0, 0, 0], [(10.5, 12.5, 1.5)]),  # from low to low, because high is reached between
        ([0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], []),  # never high
        ([3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 3, 3], [(10.0, 11.0, 3.0), (15.0, 16.0, 3.0)]),  # both ends, the last point has a length
        ([3, 3, NAN, 3, 3, 0, 0, 0, 0, 0, 0, 0], [(10.0, 11.0, 3.0), (11.5, 12.5, 3.0)]),
        ([0, 3, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0], [(12.0, 13.0, 3.0)]),  # half a second is too short
        ([2, 2, 1, 2, 2, 0.9, 0, 0, 0, 0, 0, 0], [(10.0, 12.5, 1.8)]),  # the thresholds themselves count
        ([NAN] * 12, []),
        ([2.0] * 12, [(10.0, 16.0, 2.0)]),
    ],
)
def test_segments_of_hand_made_curves(curve: list[float], expected: list[tuple[float, float, float]]) -> None:
    segments = label_segments("wave", TIMES, np.array(curve, float), high=2.0, low=1.0, min_s=1.0)
    assert [(s.label, s.start_s, s.end_s, pytest.approx(s.score)) for s in segments] == [("wave", *e) for e in expected]
    assert all(isinstance(s, Segment) for s in segments)


def test_segments_need_two_moments_and_ordered_levels() -> None:
    assert label_segments("wave", np.array([1.0]), np.array([5.0]), high=2, low=1) == ()
    with pytest.raises(UsageError, match="got low=2 and high=1"):
        label_segments("wave", TIMES, np.zeros(12), high=1, low=2)


@pytest.mark.parametrize(
    ("curve", "n", "gap", "expected"),
    [
        ([0, 1, 0, 3, 0, 2, 0, 0, 0, 0, 5, 0], 3, 0.0, (3, 5, 10)),
        ([0, 1, 0, 3, 0, 2, 0, 0, 0, 0, 5, 0], 9, 0.0, (1, 3, 5, 10)),
        ([0, 1, 0, 3, 0, 2, 0, 0, 0, 0, 5, 0], 9, 1.5, (3, 10)),  # 1 s from index 3 to its neighbours
        ([0, 0, 2, 2, 2, 0, 0, 0, 0, 0, 0, 0], 2, 0.0, (3,)),
        ([4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3], 2, 1.0, (0, 11)),
        ([NAN, 2, NAN, 1, NAN, NAN, 0, 0, 0, -1, 0, 0], 2, 0.0, (1, 3)),
        ([NAN] * 12, 3, 0.0, ()),
        ([1.0] * 12, 3, 0.0, (5,)),
    ],
)
def test_peaks_are_the_highest_maxima_apart(curve: list[float], n: int, gap: float, expected: tuple[int, ...]) -> None:
    assert find_peaks(TIMES, np.array(curve, float), n=n, min_gap_s=gap) == expected
