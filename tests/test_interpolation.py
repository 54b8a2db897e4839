"""The interpolation against numpy's own in one dimension, and against loops in more."""

from __future__ import annotations

import numpy as np
import pytest

from vidcam.interpolation import bilinear, interpolate, nearest, positions, taps, weight_matrix

pytestmark = pytest.mark.portable

RNG = np.random.default_rng(0)
CENTRES = np.array([-3.0, 0.5, 1.0, 7.25, 20.0])
AT = np.concatenate([CENTRES, RNG.uniform(-8, 25, 200)])


def test_taps_and_matrix_agree_with_numpy_and_hold_the_outer_cells() -> None:
    values = RNG.normal(size=5)
    position, expected = positions(CENTRES, AT), np.interp(AT, CENTRES, values)
    np.testing.assert_allclose(weight_matrix(position, 5) @ values, expected, atol=1e-14)
    np.testing.assert_allclose(interpolate(values, taps(position, 5), axis=0), expected, atol=1e-14)


def test_positions_from_a_linear_law_may_lie_outside() -> None:
    law = (AT - 2.0) / 3.0
    values = RNG.normal(size=4)
    np.testing.assert_allclose(weight_matrix(law, 4) @ values, np.interp(AT, 2.0 + 3.0 * np.arange(4), values), atol=1e-14)
    np.testing.assert_allclose(interpolate(values, taps(law, 4), axis=0), weight_matrix(law, 4) @ values, atol=1e-14)


def test_weights_add_up_and_a_cell_has_its_own_value() -> None:
    np.testing.assert_allclose(weight_matrix(positions(CENTRES, AT), 5).sum(axis=1), 1)
    np.testing.assert_array_equal(weight_matrix(positions(CENTRES, CENTRES), 5), np.eye(5))
    gain = RNG.random(len(AT))
    near = taps(positions(CENTRES, AT), 5, gain=gain, dtype=np.float32)
    np.testing.assert_allclose(near.low_weight + near.high_weight, gain, rtol=1e-6)
    assert near.low_weight.dtype == near.high_weight.dtype == np.float32


def test_one_cell_alone_is_held_everywhere() -> None:
    position = positions([4.0], AT)
    np.testing.assert_array_equal(interpolate(np.array([7.0]), taps(position, 1), axis=0), 7)
    np.testing.assert_array_equal(weight_matrix(position, 1), 1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_axis_of_many_keeps_the_others_and_the_dtype(axis: int) -> None:
    values = RNG.normal(size=(5, 5, 5)).astype(np.float32)
    out = interpolate(values, taps(positions(CENTRES, AT), 5, dtype=np.float32), axis=axis)
    expected = np.apply_along_axis(lambda line: np.interp(AT, CENTRES, line), axis, values)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected, atol=1e-6)


def test_nearest_is_the_nearest_cell() -> None:
    position = (AT - 1.0) / 2.5
    expected = [min(range(6), key=lambda cell: abs(cell - p)) for p in position]
    np.testing.assert_array_equal(nearest(position, 6), expected)


def test_bilinear_reads_every_field_at_places_of_its_own() -> None:
    fields = RNG.normal(size=(3, 4, 5, 2))
    rows, columns = RNG.uniform(-1, 4, (3, 6, 7)), RNG.uniform(-1, 5, (3, 6, 7))
    rows[0, 0, :2], columns[0, 0, :2] = (3.0, 2.0), (4.0, 1.0)
    out = bilinear(fields, rows, columns)
    for n, a, b in np.ndindex(rows.shape):
        y, x = min(max(rows[n, a, b], 0), 3), min(max(columns[n, a, b], 0), 4)
        weights = [[max(0, 1 - abs(y - i)) * max(0, 1 - abs(x - j)) for j in range(5)] for i in range(4)]
        np.testing.assert_allclose(out[n, a, b], np.tensordot(np.array(weights), fields[n], 2), atol=1e-12)
