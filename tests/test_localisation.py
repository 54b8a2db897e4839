"""Scores of maps against exact masks, and the controls beside them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from vidcam.errors import UsageError
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry
from vidcam.metrics.baselines import BASELINES
from vidcam.metrics.localisation import best_threshold, mean_scores, score_map

GRID = (4, 5, 6)
WHERE = CellGeometry(AxisGeometry(0.0, 1.0, 4), AxisGeometry(3.5, 8.0, 5), AxisGeometry(3.5, 8.0, 6))


@pytest.fixture
def covered() -> np.ndarray:
    out = np.zeros(GRID, bool)
    out[1:3, 1:3, 2:5] = True
    return out


def test_scores_are_what_a_loop_over_the_cells_gives(covered):
    rng = np.random.default_rng(3)
    values = rng.normal(size=GRID) + 1.5 * covered
    found = score_map(values, covered, threshold=0.3)

    heat = np.maximum(values, 0)
    hot = {i for i in itertools.product(*map(range, GRID)) if heat[i] > 0.3 * heat.max()}
    true = set(zip(*np.nonzero(covered), strict=True))
    assert found.space_time == pytest.approx(len(hot & true) / len(hot | true))
    assert found.relevance_mass == pytest.approx(sum(heat[i] for i in true) / heat.sum())
    frames = []
    pointed = []
    for t in (1, 2):
        a, b = {i for i in hot if i[0] == t}, {i for i in true if i[0] == t}
        frames.append(len(a & b) / len(a | b))
        best = max(((t, y, x) for y in range(5) for x in range(6)), key=lambda i: heat[i])
        pointed.append(best in true)
    assert found.spatial == pytest.approx(np.mean(frames))
    assert found.pointing == pytest.approx(np.mean(pointed))
    when = {i[0] for i in hot}
    assert found.temporal == pytest.approx(len(when & {1, 2}) / len(when | {1, 2}))


def test_the_truth_itself_scores_one_and_its_opposite_nothing(covered):
    assert set(vars(score_map(covered.astype(float), covered, threshold=0.5)).values()) == {1.0}
    wrong = score_map(1.0 - covered, covered, threshold=0.5)
    assert (wrong.pointing, wrong.relevance_mass, wrong.spatial, wrong.space_time) == (0.0, 0.0, 0.0, 0.0)
    assert set(vars(score_map(-covered.astype(float), covered, threshold=0.5)).values()) == {0.0}  # evidence against is none


def test_a_frame_without_heat_points_nowhere(covered):
    values = covered.astype(float)
    values[2] = 0.0
    covered[2, 0, 0] = True  # where argmax of nothing would point
    assert score_map(values, covered, threshold=0.5).pointing == 0.5


def test_the_threshold_that_fits_is_found(covered):
    values = np.where(covered, 1.0, 0.33)
    at = best_threshold([(values, covered)])
    assert score_map(values, covered, threshold=at).space_time == 1.0
    assert score_map(values, covered, threshold=0.3).space_time < 0.2


@pytest.mark.parametrize("wrong", ["shape", "nan", "empty"])
def test_what_cannot_be_scored_is_refused(covered, wrong):
    values = np.ones(GRID)
    if wrong == "nan":
        values[0, 0, 0] = np.nan
    truth = {"shape": covered[:2], "nan": covered, "empty": np.zeros(GRID, bool)}[wrong]
    with pytest.raises(UsageError):
        score_map(values, truth, threshold=0.5)


def test_the_mean_is_taken_score_by_score(covered):
    a, b = score_map(covered.astype(float), covered, threshold=0.5), score_map(1.0 - covered, covered, threshold=0.5)
    assert mean_scores([a, b]).relevance_mass == pytest.approx(0.5)


@pytest.mark.parametrize("name", BASELINES)
def test_controls_know_only_what_they_say(name):
    frames = np.full((4, 40, 48, 3), 90, np.uint8)
    frames[2:, 8:16, 32:40] = 200  # appears in cell (row 1, column 4) at frame 2
    first = BASELINES[name](frames, WHERE, np.random.default_rng(0))
    assert first.shape == GRID
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, BASELINES[name](frames, WHERE, np.random.default_rng(0)))
    if name == "motion energy":
        assert np.unravel_index(first.argmax(), GRID)[1:] == (1, 4)
        assert first[0].max() == pytest.approx(0.0, abs=1e-9)
        assert first[1:3, 1, 4].min() > 100 * first[:, 4, 0].max()
    else:
        np.testing.assert_array_equal(first, BASELINES[name](255 - frames, WHERE, np.random.default_rng(0)))
    if name == "centre of the picture":
        assert {np.unravel_index(f.argmax(), f.shape) for f in first} <= {(2, 2), (2, 3)}
    if name == "random, smoothed":
        near = np.corrcoef(first[:, :, 1:].ravel(), first[:, :, :-1].ravel())[0, 1]
        assert near > 0.6
        assert first.mean() == pytest.approx(0.0, abs=1e-9)
