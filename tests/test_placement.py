"""Where and when the heat really is: laws measured from influence, and maps laid over the picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.values import track

from vidcam.errors import IncompatibleError, UsageError
from vidcam.evidence.heat import render_heat, unseen_fraction
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry, from_json, join, to_json
from vidcam.methods.receptive_field import fit_geometry, shipped_geometry
from vidcam.models.table import get_spec, list_models
from vidcam.values import Box, CropGeometry

RNG = np.random.default_rng


def placement(time, y=(0, 16, 3), x=(0, 16, 4)) -> CellGeometry:
    return CellGeometry(AxisGeometry(*time), AxisGeometry(*y), AxisGeometry(*x))


# --- Axis and Placement ---------------------------------------------------------------------------------------------------------


def test_an_axis_is_a_straight_line():
    np.testing.assert_array_equal(AxisGeometry(1.5, 4, 3).centres(), [1.5, 5.5, 9.5])


@pytest.mark.parametrize("wrong", [(math.nan, 1, 2), (0, 0, 2), (0, -1, 2), (0, 1, 0)])
def test_an_axis_refuses_nonsense(wrong):
    with pytest.raises(UsageError, match="a finite offset, a positive stride and at least one cell"):
        AxisGeometry(*wrong)


def literal_time(index: float, times, seconds_between_frames: float) -> float:
    if index < 0:
        return times[0] + index * seconds_between_frames
    if index > len(times) - 1:
        return times[-1] + (index - len(times) + 1) * seconds_between_frames
    i = min(int(index), len(times) - 2) if len(times) > 1 else 0
    return times[i] if len(times) == 1 else times[i] + (index - i) * (times[i + 1] - times[i])


@settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(st.sampled_from([0.0, 0.03, 0.2, 1.5]), min_size=0, max_size=15),
    start=st.floats(-5, 5),
    offset=st.floats(-4, 12),
    stride=st.floats(0.2, 9),
    count=st.integers(1, 9),
)
def test_cells_have_the_times_of_the_frames_they_lie_on(steps, start, offset, stride, count):
    times = start + np.cumsum([0.0, *steps])  # a step of 0 is a repeated frame
    found = placement((offset, stride, count)).cell_times(times, 0.2)
    np.testing.assert_allclose(found, [literal_time(offset + stride * j, times, 0.2) for j in range(count)], atol=1e-9)
    assert (np.diff(found) >= 0).all()


def test_the_cells_of_r3d_18_lie_on_the_frames_0_and_8():
    times = np.array([10.0 + k * k / 100 for k in range(16)])  # a variable frame rate
    shipped = shipped_geometry("r3d_18", "layer4", clip=(16, 112, 112))
    np.testing.assert_allclose(shipped[0].cell_times(times, 1 / 15), [10.0, 10.64], atol=0.01)


def test_cell_centres_go_back_through_resize_and_crop():
    geometry = CropGeometry(source=(240, 640), resized=(128, 320), crop=(8, 100, 112, 112))
    ys, xs = placement((0, 1, 1), (0, 16, 7), (8, 32, 3)).cell_centres(geometry)
    for i, y in enumerate(ys):  # pixel centres: + 0.5 makes a pixel's place a length on the picture
        assert (y + 0.5) / 240 == pytest.approx((16 * i + 8 + 0.5) / 128)
    for i, x in enumerate(xs):
        assert (x + 0.5) / 640 == pytest.approx((8 + 32 * i + 100 + 0.5) / 320)


# --- measure --------------------------------------------------------------------------------------------------------------------


def network(laws, clip, *, spread=0.6, far=0.0, comb=(1, 1, 1), causal=False, noise=0.0):
    """An influence that is known: bells around the cells' centres, cut by the border; a far field, a comb, one-sided time."""
    rng = RNG(0)

    def bell(axis: int, cell: int):
        law, at = laws[axis], np.arange(clip[axis])
        d = (at - law.centres()[cell]) / law.stride
        out = np.exp(-0.5 * (d / spread) ** 2) * np.where((at - round(law.offset)) % comb[axis] == 0, 1.0, 0.2)
        if causal and axis == 0:
            out = np.where(d > 1e-9, 0.0, 0.3 ** (-d))
        return out + far + noise * rng.random(len(at))

    def influence(cells):
        profiles = [bell(a, c) if c is not None else sum(bell(a, k) for k in range(laws[a].count)) for a, c in enumerate(cells)]
        return np.einsum("t,y,x->tyx", *profiles)

    return influence


@pytest.mark.parametrize(
    ("clip", "laws", "how"),
    [
        ((40, 112, 112), [(0, 8, 5), (0, 16, 7), (0, 16, 7)], {}),
        ((40, 112, 112), [(0, 8, 5), (0, 16, 7), (0, 16, 7)], {"spread": 1.0, "noise": 0.05}),
        ((40, 112, 112), [(0, 8, 5), (0, 16, 7), (0, 16, 7)], {"comb": (8, 16, 16)}),
        ((40, 112, 112), [(2, 8, 5), (8, 16, 7), (15.5, 16, 7)], {"far": 0.3}),
        ((32, 160, 160), [(0, 4.43, 8), (0, 32, 5), (11, 32, 5)], {"spread": 0.3}),
        ((40, 170, 112), [(0, 8, 5), (50, 16, 5), (0, 16, 7)], {}),  # rows without padding: 34 pixels a cell, but 16 apart
        ((13, 96, 96), [(0, 1, 13), (3, 12, 8), (3, 12, 8)], {"spread": 0.3}),
        ((16, 64, 64), [(0.5, 2, 8), (1.5, 4, 16), (1.5, 4, 16)], {"spread": 0.2}),
    ],
)
def test_known_laws_are_measured(clip, laws, how):
    laws = [AxisGeometry(*law) for law in laws]
    found = fit_geometry(network(laws, clip, **how), clip=clip, grid=tuple(law.count for law in laws))
    for law, axis in zip(laws, (found.time, found.y, found.x), strict=True):
        assert axis.count == law.count
        assert np.abs(axis.centres() - law.centres()).max() <= 0.1 * law.stride, (law, axis)


def test_cells_that_the_border_cuts_do_not_move_the_law():
    laws = [AxisGeometry(0, 8, 5), AxisGeometry(0, 16, 7), AxisGeometry(0, 16, 7)]
    found = fit_geometry(network(laws, (40, 112, 112), spread=1.6), clip=(40, 112, 112), grid=(5, 7, 7))
    assert found.time.stride == 8
    assert abs(found.time.offset) <= 0.01 * 8


def test_a_causal_cell_is_where_its_influence_peaks():
    laws = [AxisGeometry(0, 1, 12), AxisGeometry(0, 16, 6), AxisGeometry(0, 16, 6)]
    found = fit_geometry(network(laws, (12, 96, 96), causal=True), clip=(12, 96, 96), grid=(12, 6, 6))
    assert np.abs(found.time.centres() - np.arange(12)).max() <= 0.1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_cells_that_all_see_the_whole_clip_are_spread_evenly(count):
    found = fit_geometry(lambda cells: np.ones((24, 8, 8)), clip=(24, 8, 8), grid=(count, 2, 2))
    assert found.time.count == count
    assert 0 <= found.time.centres()[0] <= found.time.centres()[-1] <= 23.5


@pytest.mark.parametrize("bad", [np.zeros((4, 8, 8)), np.full((4, 8, 8), np.nan), np.ones((4, 8, 9))])
def test_an_influence_that_says_nothing_is_refused(bad):
    with pytest.raises(UsageError, match=r"a receptive field must be finite, somewhere not zero and of shape \(4, 8, 8\)"):
        fit_geometry(lambda cells: bad, clip=(4, 8, 8), grid=(4, 2, 2))


# --- the shipped measurements ---------------------------------------------------------------------------------------------------


def centres(*layers: tuple[int, int, int]) -> tuple[float, float]:
    """Offset and stride of the cells after layers of (kernel, stride, padding before): plain receptive-field arithmetic."""
    offset, jump = 0.0, 1
    for kernel, stride, padding in layers:
        offset += jump * ((kernel - 1) / 2 - padding)
        jump *= stride
    return offset, float(jump)


def tf_same(size: int, *layers: tuple[int, int]) -> tuple[float, float]:
    """The same for layers of (kernel, stride) padded by TensorFlow's rule: what is odd comes after."""
    offset, jump = 0.0, 1
    for kernel, stride in layers:
        out = -(-size // stride)
        padding = max((out - 1) * stride + kernel - size, 0) // 2
        offset += jump * ((kernel - 1) / 2 - padding)
        jump, size = jump * stride, out
    return offset, float(jump)


DOWN3, DOWN7, KEEP3 = (3, 2, 1), (7, 2, 3), (3, 1, 1)
RESNET = centres(DOWN7, DOWN3, KEEP3, DOWN3, DOWN3, DOWN3)
SWIN = centres((2, 2, 0)), centres((4, 4, 0), (2, 2, 0), (2, 2, 0), (2, 2, 0))
MVIT = centres(DOWN3), centres((7, 4, 3), DOWN3, DOWN3, DOWN3)
X3D = centres((5, 1, 2), KEEP3), centres(DOWN3, DOWN3, DOWN3, DOWN3, DOWN3)

THEORY = {  # by hand from the architectures: (time, space)
    "r3d_18": (centres(KEEP3, DOWN3, DOWN3, DOWN3), centres(DOWN7, DOWN3, DOWN3, DOWN3)),
    "mc3_18": (centres(KEEP3, KEEP3), centres(DOWN7, DOWN3, DOWN3, DOWN3)),
    "r2plus1d_18": (centres(KEEP3, DOWN3, DOWN3, DOWN3), centres(DOWN7, DOWN3, DOWN3, DOWN3)),
    "s3d": (centres(DOWN7, KEEP3, DOWN3, (2, 2, 0)), centres(DOWN7, DOWN3, DOWN3, DOWN3, (2, 2, 0))),
    **dict.fromkeys(("mvit_v1_b", "mvit_v2_s", "mvit_base_16x4", "mvit_base_32x3"), MVIT),
    **dict.fromkeys(("swin3d_t", "swin3d_s", "swin3d_b"), SWIN),
    **dict.fromkeys(("x3d_xs", "x3d_s", "x3d_m", "x3d_l"), X3D),
    "mini": (centres(KEEP3), centres((8, 4, 2), (4, 2, 1), KEEP3)),
    "slow_r50": (centres(KEEP3), RESNET),
    "c2d_r50": (centres((2, 2, 0)), RESNET),
    "i3d_r50": (centres((5, 1, 2), KEEP3, (2, 2, 0), KEEP3), RESNET),
    "r2plus1d_r50": (centres(KEEP3, DOWN3, DOWN3), centres(DOWN7, DOWN3, DOWN3, DOWN3, DOWN3)),
    "csn_r101": (centres(KEEP3, DOWN3, DOWN3, DOWN3), RESNET),
    "movinet_a0": (centres((1, 1, 0)), tf_same(172, (3, 2), (5, 2), (3, 2), (3, 2), (3, 2))),
}


@pytest.mark.parametrize("name", [name for name in list_models() if not name.startswith("slowfast")])
def test_shipped_centres_agree_with_receptive_field_arithmetic(name):
    spec = get_spec(name)
    shipped = shipped_geometry(name, spec.target_layer, clip=(spec.num_frames, *spec.crop))
    assert shipped is not None, f"measure it: python -m vidcam.methods.receptive_field {name}"
    assert len(shipped) == 1
    assert spec.grid in (None, shipped[0].grid)
    if name not in THEORY:  # a new row: the cells divide the clip evenly, until its arithmetic is written down
        for axis, size in zip((shipped[0].time, shipped[0].y, shipped[0].x), (spec.num_frames, *spec.crop), strict=True):
            assert axis.stride * axis.count == pytest.approx(size, rel=0.2), axis
            assert axis.centres().mean() == pytest.approx((size - 1) / 2, abs=axis.stride), axis
        return
    time, space = THEORY[name]
    for axis, (offset, stride) in ((shipped[0].time, time), (shipped[0].y, space), (shipped[0].x, space)):
        assert np.abs(axis.centres() - AxisGeometry(offset, stride, axis.count).centres()).max() <= 0.1 * stride, axis


@pytest.mark.parametrize("name", [name for name in list_models() if name.startswith("slowfast")])
def test_shipped_centres_of_the_two_pathways(name):
    spec = get_spec(name)
    slow, fast = shipped_geometry(name, spec.target_layer, clip=(spec.num_frames, *spec.crop))
    np.testing.assert_allclose(fast.time.centres(), np.arange(32), atol=0.1)
    # The slow pathway takes frames 0, 4, 8, 13, 17, 22, 26, 31, and is fed by the fast one at 0, 4, 8, 12 ...: it lies between.
    taken = np.linspace(0, 31, 8).astype(int)
    assert np.abs(slow.time.centres() - taken).max() <= 0.5 * 31 / 7
    assert np.abs(slow.time.centres() - 4 * np.arange(8)).max() <= 0.5 * 4
    for axis in (slow.y, slow.x, fast.y, fast.x):
        assert np.abs(axis.centres() - AxisGeometry(*RESNET, 7).centres()).max() <= 0.1 * 32, axis


def test_other_layers_and_clips_were_not_measured():
    assert shipped_geometry("r3d_18", "layer3", clip=(16, 112, 112)) is None
    assert shipped_geometry("r3d_18", "layer4", clip=(32, 112, 112)) is None
    assert shipped_geometry("nobody", "layer4", clip=(16, 112, 112)) is None


def test_json_there_and_back():
    here = (placement((0.25, 4.263, 8)), placement((0, 1, 32)))
    assert from_json(to_json(here)) == here
    with pytest.raises(UsageError, match="must be a list of pathways"):
        from_json({})


# --- join -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slow", [(0, 4, 8), (-0.26, 4.263, 8), (1.5, 4, 8), (3, 31, 1)])
def test_joined_pathways_keep_their_sums(slow):
    a, b = RNG(1).normal(size=(slow[2], 3, 4)), RNG(2).normal(size=(32, 3, 4))
    where = [placement(slow), placement((0, 1, 32))]
    total, at = join([a, b], where)
    assert at == where[1]
    np.testing.assert_allclose(total.sum(axis=0), a.sum(axis=0) + b.sum(axis=0), rtol=1e-12)

    literal = b.copy()  # every slow cell is shared out on its own
    for j in range(slow[2]):
        weights = []
        for f in range(32):
            d = (f - slow[0]) / slow[1] - j
            outside = (j == 0 and d < 0) or (j == slow[2] - 1 and d > 0)
            weights.append(1.0 if outside else max(0.0, 1 - abs(d)))
        for f in range(32):
            literal[f] += a[j] * weights[f] / sum(weights)
    np.testing.assert_allclose(total, literal, atol=1e-12)


def test_a_slow_cell_beyond_the_fast_ones_is_not_lost():
    one = np.ones((2, 3, 4), np.float32)
    total, _ = join([one[:2], np.zeros((3, 3, 4), np.float32)], [placement((5, 0.25, 2)), placement((0, 1, 3))])
    assert total.dtype == np.float32
    np.testing.assert_allclose(total.sum(axis=0), 2)


def test_a_single_pathway_is_left_alone_and_leading_axes_pass():
    maps = RNG(0).normal(size=(2, 5, 8, 3, 4)).astype(np.float32)
    total, at = join([maps], [placement((0, 4, 8))])
    assert at.time.count == 8
    np.testing.assert_array_equal(total, maps)


def test_join_refuses_what_does_not_fit():
    a = np.zeros((8, 3, 4))
    with pytest.raises(IncompatibleError, match="different spatial grids"):
        join([a, np.zeros((8, 3, 5))], [placement((0, 4, 8)), placement((0, 4, 8), x=(0, 16, 5))])
    with pytest.raises(UsageError, match=r"a map of shape \(8, 3, 4\) does not fit a placement of \(9, 3, 4\) cells"):
        join([a], [placement((0, 4, 9))])
    with pytest.raises(UsageError, match="one placement for each map"):
        join([a], [])


# --- heat -----------------------------------------------------------------------------------------------------------------------


def literal_interpolation(m, ys, xs, y, x):
    def place(at, centres):
        at = min(max(at, centres[0]), centres[-1])  # held beyond the outermost
        i = max(0, min(len(centres) - 2, sum(c <= at for c in centres) - 1))
        if len(centres) == 1:
            return 0, 0, 0.0
        return i, i + 1, (at - centres[i]) / (centres[i + 1] - centres[i])

    i0, i1, a = place(y, ys)
    j0, j1, b = place(x, xs)
    return (1 - a) * ((1 - b) * m[i0][j0] + b * m[i0][j1]) + a * ((1 - b) * m[i1][j0] + b * m[i1][j1])


def literal_heat(tracks, time, scale, size):
    """Pixel by pixel: the signed field."""
    field = np.zeros(size)
    low_y, low_x = min(t.seen.y0 for t in tracks), min(t.seen.x0 for t in tracks)
    high_y, high_x = max(t.seen.y1 for t in tracks), max(t.seen.x1 for t in tracks)
    for y in range(size[0]):
        for x in range(size[1]):
            values, weights = [], []
            for t in tracks:
                b = t.seen
                if not (b.y0 <= y + 0.5 < b.y1 and b.x0 <= x + 0.5 < b.x1):
                    continue
                w = 1.0
                for at, first, last, low, high in ((y + 0.5, b.y0, b.y1, low_y, high_y), (x + 0.5, b.x0, b.x1, low_x, high_x)):
                    ramp = 1.0
                    if first > low:
                        ramp = min(ramp, (at - first) / (last - first))
                    if last < high:
                        ramp = min(ramp, (last - at) / (last - first))
                    w *= max(ramp, 1e-6)
                values.append(literal_interpolation(t.at(time), t.ys, t.xs, y, x))
                weights.append(w)
            if values:
                field[y, x] = np.dot(values, weights) / sum(weights) / scale
    return field


LAYOUTS = {
    "one crop": [((2, 14, 26), (8, 20), (3.6, 5.5, 28.4, 31.7))],
    "cells outside the crop": [((-3, 10, 23, 36), (-6, 60), (4, 8, 28, 40))],
    "one cell": [((9,), (9,), (0, 0, 20, 20))],
    "side by side": [((2, 14, 26), (k, 14 + k, 28 + k), (0, k, 30, k + 30)) for k in (0, 10, 18)],
    "hardly overlapping": [((2, 14, 26), (k, 14 + k), (0, k, 30, k + 24.5)) for k in (0, 23.5)],
    "two by two": [((i, 10 + i), (j, 10 + j), (i, j, i + 20, j + 30)) for i in (0, 10) for j in (0, 18)],
    "beyond the picture": [((2, 14), (2, 14), (-4, -4, 40, 60))],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_heat_is_what_a_literal_loop_says(layout):
    tracks, size = [track(*row) for row in LAYOUTS[layout]], (30, 48)
    found = render_heat(tracks, time=0.3, scale=1.7, size=size, against=True)
    field = literal_heat(tracks, 0.3, 1.7, size)
    np.testing.assert_allclose(found.values, np.clip(field, 0, 1), atol=2e-5)
    np.testing.assert_allclose(found.against, np.clip(-field, 0, 1), atol=2e-5)
    assert (found.scale, found.label, found.seen) == (1.7, "a", tuple(t.seen for t in tracks))
    assert found.values.max() > 0.1 or found.against.max() > 0.1


@settings(max_examples=60, deadline=None)
@given(
    source=st.tuples(st.integers(30, 300), st.integers(30, 300)),
    resized=st.tuples(st.integers(64, 150), st.integers(64, 150)),
    corner=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    cell=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    law=st.sampled_from([(0, 16, 4), (7.5, 16, 4), (8, 16, 4), (11, 12.5, 4)]),
)
def test_a_planted_cell_is_hottest_where_it_looks(source, resized, corner, cell, law):
    crop = (round(corner[0] * (resized[0] - 64)), round(corner[1] * (resized[1] - 64)), 64, 64)
    geometry = CropGeometry(source, resized, crop)
    where = placement((0, 1, 1), law, law)
    ys, xs = where.cell_centres(geometry)
    maps = np.zeros((1, 4, 4), np.float32)
    maps[0, cell[0], cell[1]] = 2.0
    found = render_heat([track(ys, xs, geometry.seen, maps, times=[0.0])], time=0.0, scale=2.5, size=source)
    y, x = np.unravel_index(found.values.argmax(), source)
    model_y, model_x = law[0] + law[1] * cell[0], law[0] + law[1] * cell[1]
    expected = (model_y + crop[0] + 0.5) * source[0] / resized[0] - 0.5, (model_x + crop[1] + 0.5) * source[1] / resized[1] - 0.5
    assert abs(y - expected[0]) <= 0.51 + 1e-6  # to the pixel
    assert abs(x - expected[1]) <= 0.51 + 1e-6
    assert found.values.max() <= 0.8 + 1e-5


def test_crops_fade_into_one_another():
    crops = [track((5, 15, 25), (k + 5, k + 15, k + 25), (0, k, 30, k + 30), np.full((1, 3, 3), v), times=[0.0])
             for k, v in ((0, 0.2), (20, 0.9), (40, 0.4))]  # fmt: skip
    values = render_heat(crops, time=0.0, scale=1.0, size=(30, 70)).values
    steps = np.abs(np.diff(values, axis=1))
    assert steps.max() <= 0.7 / 10 + 1e-5  # overlaps of 10 pixels: no jump at any border
    np.testing.assert_allclose(values[:, 24:26].mean(), 0.55, atol=1e-5)  # half and half in the middle of the overlap
    same = [track((5, 25), (k + 5, k + 25), (0, k, 30, k + 30), np.full((1, 2, 2), 0.7), times=[0.0]) for k in (0, 20, 40)]
    np.testing.assert_allclose(render_heat(same, time=0.0, scale=1.0, size=(30, 70)).values, 0.7, atol=1e-5)


def test_nothing_is_drawn_where_nobody_looked():
    ones = np.ones((3, 2, 2), np.float32)
    ones[1] = np.nan  # no window looked at second 1
    left = track((2, 8), (2, 8), (0, 0, 10, 10), ones, times=[0.0, 1.0, 2.0])
    right = track((2, 8), (12, 18), (0, 10, 10, 20), np.ones((3, 2, 2)), times=[0.0, 1.0, 2.0])
    assert render_heat([left], time=1.0, scale=1.0, size=(10, 20)) is None
    half = render_heat([left, right], time=1.0, scale=1.0, size=(10, 20))
    assert half.seen == (right.seen,)
    np.testing.assert_array_equal(half.values, np.repeat([[0.0] * 10 + [1.0] * 10], 10, axis=0))
    both = render_heat([left, right], time=0.0, scale=2.0, size=(12, 20))
    np.testing.assert_allclose(both.values[:10], 0.5, atol=1e-6)
    assert not both.values[10:].any()
    assert both.against is None


def test_heat_refuses_nonsense():
    one = track((2, 8), (2, 8), (0, 0, 10, 10))
    with pytest.raises(UsageError, match="scale must be positive and finite, got 0"):
        render_heat([one], time=0.0, scale=0, size=(10, 10))
    with pytest.raises(UsageError, match="crops of one label"):
        render_heat([one, track((2, 8), (2, 8), (0, 0, 10, 10), label="b")], time=0.0, scale=1.0, size=(10, 10))
    with pytest.raises(UsageError, match="at least one track"):
        render_heat([], time=0.0, scale=1.0, size=(10, 10))


# --- unseen ---------------------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    boxes=st.lists(st.tuples(*[st.integers(-3, 16)] * 4), max_size=4),
    part=st.floats(0, 1),
)
def test_the_unseen_fraction_counts_pixels(boxes, part):
    boxes = [Box(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in boxes]
    seen = sum(any(b.y0 <= y < b.y1 and b.x0 <= x < b.x1 for b in boxes) for y in range(12) for x in range(14))
    assert unseen_fraction(boxes, (12, 14), part) == pytest.approx(1 - seen / (12 * 14) * part)


def test_a_centre_crop_of_a_wide_picture_leaves_the_sides_unseen():
    geometry = CropGeometry((720, 1280), (256, 455), (16, 115, 224, 224))
    assert unseen_fraction([geometry.seen], (720, 1280)) == pytest.approx(1 - 224 * 224 / (256 * 455))
    with pytest.raises(UsageError, match="seen_time_fraction must lie in"):
        unseen_fraction([], (4, 4), 1.5)
