"""Faithfulness, verdicts, counterfactuals and sanity checks, on networks whose reasons are known."""

from __future__ import annotations

import itertools
import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from torch import nn

from vidcam.engine import TorchEngine
from vidcam.errors import UsageError
from vidcam.evidence.smoothing import smooth
from vidcam.methods import core
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry
from vidcam.methods.lookup import get_method
from vidcam.methods.receptive_field import method_geometry
from vidcam.metrics import counterfactual, faithfulness, imputers, sanity, smoothness, spurious, verdict
from vidcam.metrics.baselines import smooth_random_map
from vidcam.metrics.ranks import rank_correlation
from vidcam.metrics.removals import Removals
from vidcam.metrics.splice import share_inside, splice
from vidcam.models.loading import LoadedModel
from vidcam.models.mini_net import Mini
from vidcam.models.spec import Head, ModelSpec
from vidcam.values import Box, Track

CLIP = (6, 32, 32)
WHERE = CellGeometry(AxisGeometry(0.5, 2.0, 3), AxisGeometry(3.5, 8.0, 4), AxisGeometry(3.5, 8.0, 4))
RED = (slice(2, 4), slice(8, 16), slice(16, 24))  # the pixels of cell (1, 1, 2)


@pytest.fixture
def frames() -> np.ndarray:
    out = np.random.default_rng(0).integers(90, 110, (*CLIP, 3)).astype(np.uint8)
    out[RED] = (250, 20, 20)
    return out


def redness(clips: np.ndarray) -> np.ndarray:
    """A model that looks for red pixels, and nothing else: the share of the 128 red ones that is left."""
    red = (clips[..., 0].astype(int) - clips[..., 1]) > 200
    return np.minimum(red.sum((1, 2, 3)) / 128, 1.0)


@pytest.fixture
def truth() -> np.ndarray:
    out = np.zeros(WHERE.grid)
    out[1, 1, 2] = 1.0
    return out


def wrong() -> np.ndarray:
    out = np.zeros(WHERE.grid)
    out[0, 3, 0] = 1.0
    return out


# What is removed ---------------------------------------------------------------------------------------------------------------


def test_every_pixel_belongs_to_the_nearest_cell():
    chosen = np.random.default_rng(1).random(WHERE.grid) < 0.4
    found = imputers.pixels_of(chosen, WHERE, CLIP)
    for t in range(6):
        for y in range(32):
            for x in range(32):
                near = [
                    int(np.abs(axis.centres() - at).argmin())
                    for axis, at in zip((WHERE.time, WHERE.y, WHERE.x), (t, y, x), strict=True)
                ]
                assert found[t, y, x] == chosen[tuple(near)]


@pytest.mark.parametrize("baseline", imputers.IMPUTERS)
def test_only_what_is_removed_changes_and_it_is_gone(baseline, frames, truth):
    removed = imputers.pixels_of(truth > 0, WHERE, CLIP)
    out = imputers.make_remover(frames, imputers.IMPUTERS[baseline](frames))(removed)
    np.testing.assert_array_equal(out[~removed], frames[~removed])
    assert redness(out[None])[0] == 0.0
    assert out.dtype == np.uint8


def test_inpainting_continues_what_is_around_also_if_all_is_gone():
    ramp = np.broadcast_to(np.linspace(20, 220, 32)[None, None, :, None], (2, 32, 32, 3)).astype(np.uint8)
    removed = np.zeros((2, 32, 32), bool)
    removed[0, 12:20, 12:20] = True
    removed[1] = True
    out = imputers.inpaint(ramp)(removed)
    assert np.abs(out[0].astype(int) - ramp[0]).max() <= 40  # within a few columns of the ramp
    assert np.ptp(out[1]) == 0
    assert abs(int(out[1, 0, 0, 0]) - 120) <= 2


# Faithfulness ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("baseline", imputers.IMPUTERS)
def test_curves_are_what_one_clip_after_the_other_gives(baseline, frames):
    values = np.random.default_rng(2).normal(size=WHERE.grid)
    found = faithfulness.curves_of(values, Removals(frames, WHERE, redness, baseline), steps=4)
    order = sorted(np.ndindex(*WHERE.grid), key=lambda i: -values[i])
    for k in range(5):
        n = round(48 * k / 4)
        for curve, gone in (
            (found.deletion, order[:n]),
            (found.kept, order[48 - n :]),
            (found.insertion, order[n:]),
        ):
            cells = np.zeros(WHERE.grid, bool)
            for i in gone:
                cells[i] = True
            removed = imputers.pixels_of(cells, WHERE, CLIP)
            clip = np.where(removed[..., None], imputers.IMPUTERS[baseline](frames)(removed), frames)
            assert curve[k] == pytest.approx(redness(clip[None])[0])
    whole = faithfulness.faithfulness_of(values, Removals(frames, WHERE, redness, baseline)).insertion
    assert faithfulness.insertion_of(values, Removals(frames, WHERE, redness, baseline)) == pytest.approx(whole)


@pytest.mark.parametrize("baseline", imputers.IMPUTERS)
def test_a_true_map_is_faithful_and_a_wrong_one_is_not(baseline, frames, truth):
    good = faithfulness.faithfulness_of(truth, Removals(frames, WHERE, redness, baseline))
    bad = faithfulness.faithfulness_of(wrong(), Removals(frames, WHERE, redness, baseline))
    assert good.insertion > 0.9
    assert good.deletion < 0.1
    assert good.lerf_minus_morf > 0.8
    assert (bad.drop, bad.increase) == (1.0, 0.0)
    wide = np.zeros(WHERE.grid)
    wide[:, :3, 1:] = 1.0  # at half height the fading of a single cell's border would already cost some of the red
    assert faithfulness.faithfulness_of(wide, Removals(frames, WHERE, redness, baseline)).drop == 0.0
    assert bad.insertion < 0.8
    assert bad.lerf_minus_morf < 0.5


def test_flat_maps_do_not_profit_from_the_order_of_the_cells(frames):
    removals = Removals(frames, WHERE, redness, "blur")
    flat = faithfulness.curves_of(np.zeros(WHERE.grid), removals)
    again = faithfulness.curves_of(np.ones(WHERE.grid), removals)
    np.testing.assert_array_equal(flat.deletion, again.deletion)
    first = faithfulness.curves_of(np.arange(48.0)[::-1].reshape(WHERE.grid), removals)
    assert not np.array_equal(flat.deletion, first.deletion)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-30, 1.0, 1e30]), st.sampled_from(list(imputers.IMPUTERS)))
def test_figures_are_finite_whatever_the_map(seed, size, baseline):
    rng = np.random.default_rng(seed)
    clip = rng.integers(0, 256, (3, 8, 8, 3)).astype(np.uint8) * np.uint8(seed % 2)
    where = CellGeometry(AxisGeometry(0.0, 1.0, 3), AxisGeometry(1.5, 4.0, 2), AxisGeometry(1.5, 4.0, 2))
    values = size * rng.normal(size=where.grid)
    found = faithfulness.faithfulness_of(values, Removals(clip, where, lambda c: np.zeros(len(c)), baseline))
    assert np.isfinite(list(vars(found).values())).all()


def test_bootstrap_interval_covers_the_mean_as_often_as_it_says():
    everything = (-math.inf, math.inf)
    for n in (2, 3, 4, 6, 12, 40):
        rng = np.random.default_rng(n)
        hits = 0
        for i in range(600):
            found = faithfulness.bootstrap(rng.normal(3.0, 1.0, n), within=everything, draws=400, seed=i)
            hits += found.low <= 3.0 <= found.high
        assert 0.91 <= hits / 600 <= 0.98, n
    one = faithfulness.bootstrap([0.42])
    assert one.mean == 0.42
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    few = faithfulness.bootstrap([0.1, 0.9], within=(0.0, 1.0))
    assert (few.low, few.high) == (0.0, 1.0)
    with pytest.raises(UsageError, match="at least one value, all finite"):
        faithfulness.bootstrap([1.0, float("nan")])


# The verdict -------------------------------------------------------------------------------------------------------------------


def test_the_verdict_tells_a_true_map_from_a_wrong_one(frames, truth):
    noise = 1e-3 * np.random.default_rng(5).random(WHERE.grid)
    good = verdict.judge([verdict.run_trial(frames, truth + noise, WHERE, redness, seed=i) for i in range(4)])
    assert good.word == "supported"
    assert good.removed == 1.0
    assert good.kept == 1.0
    assert good.removed_elsewhere < 0.3
    assert good.kept_elsewhere < 0.3
    bad = verdict.judge([verdict.run_trial(frames, wrong() - truth, WHERE, redness, seed=i) for i in range(4)])
    assert bad.word == "not supported"
    assert bad.removed == 0.0
    one, two = verdict.Trial(1.0, 0.9, 0.5, (1.0,), (0.5,)), verdict.Trial(1.0, 1.0, 0.5, (0.98,), (0.5,))
    assert one.margins == pytest.approx([0.05, -0.05])
    assert two.margins == pytest.approx([-0.01, 0.01])
    assert verdict.judge([one, two]).word == "not supported"  # of four exchanges one gives as much: that may be chance
    # Another part would do as well, but nothing else does.
    sufficient = verdict.Trial(1.0, 1.0, 0.8, (1.0,) * 3, (0.1, 0.0, 0.05))
    assert verdict.judge([sufficient] * 3).word == "supported"
    assert verdict.judge([sufficient]).word == "not supported"  # the best of four happens by chance one time in four
    for margin, word in ((0.06, "supported"), (0.03, "weak"), (0.01, "not supported")):  # certain, but not always noticeable
        certain = verdict.Trial(1.0, 1.0 - 2 * margin, 0.0, (1.0,) * verdict.TUBES, (0.0,) * verdict.TUBES)
        assert verdict.judge([certain]).margin.low > 0
        assert verdict.judge([certain]).word == word


@pytest.mark.parametrize("windows", [1, 2, 3, 4, 6])
def test_random_map_is_supported_as_seldom_as_the_interval_says(windows):
    rng = np.random.default_rng(windows)
    tubes = verdict.tubes_for(windows)
    supported, surest, times = 0, 0, 120 if windows < 6 else 40  # the more windows, the more exchanges
    for _ in range(times):
        trials = []
        for _ in range(windows):
            without, only = rng.random(1 + tubes), rng.random(1 + tubes)
            trials.append(verdict.Trial(1.0, without[0], only[0], tuple(without[1:]), tuple(only[1:])))
        supported += verdict.judge(trials).word == "supported"
        best = [verdict.Trial(1.0, 0.0, 1.0, t.without_others, t.only_others) for t in trials]
        surest += verdict.judge(best).word == "supported"
    assert supported <= binom.ppf(0.99, times, 1 / 40)
    assert surest == times


def smooth_noise(seed: int) -> np.ndarray:
    """A map of nothing that looks like one of something."""
    return smooth_random_map(np.zeros((*CLIP, 3), np.uint8), WHERE, np.random.default_rng([seed, 5]))


@pytest.mark.parametrize("map_of", [lambda seed: np.random.default_rng([seed, 5]).random(WHERE.grid), smooth_noise])
def test_map_of_nothing_is_not_supported_by_a_true_model(map_of):
    words = []
    for seed in range(100):
        rng = np.random.default_rng([seed, 6])
        frames = rng.integers(90, 110, (*CLIP, 3)).astype(np.uint8)
        t, y, x = (2 * rng.integers(3), 8 * rng.integers(4), 8 * rng.integers(4))
        frames[t : t + 2, y : y + 8, x : x + 8] = (250, 20, 20)  # the cell that the model looks for
        words.append(verdict.judge([verdict.run_trial(frames, map_of(seed), WHERE, redness, seed=seed)]).word)
    assert words.count("not supported") >= 97


@pytest.mark.parametrize("values", [np.zeros(WHERE.grid), -np.ones(WHERE.grid), np.ones(WHERE.grid)])
def test_empty_or_even_map_is_not_supported(values, frames):
    words = [verdict.judge([verdict.run_trial(frames, values, WHERE, redness, seed=seed)]).word for seed in range(40)]
    assert words.count("not supported") >= 39


def test_untrained_network_is_not_supported():
    frames = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    words, where = [], None
    for seed in range(100):
        torch.manual_seed(seed)
        net = small_spec().build().eval()
        engine = TorchEngine(LoadedModel(small_spec(), net, ("a", "b", "c"), None, None), "cpu", chunk=64)
        answer = int(engine.predict(frames[None])[0].argmax())
        [values] = core.explain(engine, frames[None], [core.Target(answer)], get_method("cam")).maps
        where = where or method_geometry(get_method("cam"), engine.model)[0]  # the same for any weights
        trial = verdict.run_trial(
            frames, values[0, 0], where, lambda clips, e=engine, k=answer: e.probabilities(e.predict(clips))[:, k], seed=seed
        )
        words.append(verdict.judge([trial]).word)
    assert words.count("not supported") >= 97


def test_interval_is_that_of_every_exchange_of_tubes():
    rng = np.random.default_rng(7)
    worths = [np.append(0.4, rng.normal(0, 0.2, 8)), np.append(0.3, rng.normal(0, 0.2, 6))]
    trials = [verdict.Trial(1.0, -w[0], w[0], tuple(-w[1:]), tuple(w[1:])) for w in worths]
    made = verdict.judge(trials).margin

    def outer(difference: float) -> tuple[float, float]:
        """How often an exchange gives at least, and at most, what the true order gives, once a difference is taken off."""
        left = [w - np.append(difference, np.zeros(len(w) - 1)) for w in worths]
        found = []
        for picked in itertools.product(*(range(len(w)) for w in left)):
            found.append(np.mean([w[k] - np.delete(w, k).mean() for w, k in zip(left, picked, strict=True)]))
        return float(np.mean(np.array(found) >= found[0] - 1e-12)), float(np.mean(np.array(found) <= found[0] + 1e-12))

    assert made.mean == pytest.approx(np.mean([w[0] - w[1:].mean() for w in worths]))
    assert made.low < made.mean < made.high
    assert outer(made.low - 1e-6)[0] <= 0.025 < outer(made.low + 1e-6)[0]
    assert outer(made.high + 1e-6)[1] <= 0.025 < outer(made.high - 1e-6)[1]


@pytest.mark.parametrize(("times", "nearest"), [(4, {0}), (8, {0, 1, 7})])
def test_other_tubes_are_the_hot_one_at_every_place_but_the_nearest(times, nearest):
    tube = np.zeros((times, 3, 3), bool)
    tube[0, 1, 1] = True
    rng = np.random.default_rng(0)
    places = [tuple(int(i) for i in np.argwhere(verdict.move_tube(tube, rng))[0]) for _ in range(3000)]
    counts = {place: places.count(place) for place in np.ndindex(tube.shape) if place not in {(t, 1, 1) for t in nearest}}
    assert sum(counts.values()) == 3000
    expected = 3000 / len(counts)
    assert max(abs(count - expected) for count in counts.values()) < 5 * math.sqrt(expected)  # five standard deviations


def test_only_cell_has_no_place_elsewhere():
    assert verdict.move_tube(np.ones((1, 1, 1), bool), np.random.default_rng(0)).all()


# Counterfactuals ---------------------------------------------------------------------------------------------------------------


def per_frame(frames: int) -> CellGeometry:
    return CellGeometry(AxisGeometry(0.0, 1.0, frames), AxisGeometry(1.5, 4.0, 1), AxisGeometry(1.5, 4.0, 1))


def test_dropped_peak_is_at_the_placed_cell():
    frames = np.broadcast_to(np.arange(16, dtype=np.uint8)[:, None, None, None], (16, 4, 4, 3)).copy()
    where = CellGeometry(
        AxisGeometry(0.0, 4.0, 4), AxisGeometry(1.5, 4.0, 1), AxisGeometry(1.5, 4.0, 1)
    )  # cells at frames 0, 4, 8 and 12
    seen = []

    def score(clips: np.ndarray) -> np.ndarray:
        seen.append(clips)
        return np.zeros(len(clips))

    counterfactual.run_counterfactuals(frames, np.eye(4)[2][:, None, None], where, score)
    at = list(counterfactual.CHANGES).index("drop the peak") + 1
    assert np.flatnonzero(seen[0][at, :, 0, 0, 0] != np.arange(16)).tolist() == [6, 7, 8, 9, 10]


def ramp(n: int = 8) -> np.ndarray:
    return np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None] * 10, (n, 4, 4, 3)).copy()


def test_each_change_is_what_its_name_says():
    frames, curve = ramp(), np.zeros(8)
    curve[5:7] = 1.0

    def order(name: str) -> list[int]:
        return (counterfactual.CHANGES[name](frames, curve)[:, 0, 0, 0] // 10).tolist()

    assert order("freeze") == [5] * 8
    assert (counterfactual.CHANGES["freeze"](frames, np.zeros(8))[:, 0, 0, 0] // 10).tolist() == [4] * 8
    assert order("reverse") == [7, 6, 5, 4, 3, 2, 1, 0]
    assert sorted(order("shuffle")) == list(range(8))
    assert order("shuffle") != list(range(8))
    assert order("half speed") == [2, 2, 3, 3, 4, 4, 5, 5]
    double = order("double speed")
    assert double[2:6] == [0, 2, 5, 7] or double[2:6] == [0, 2, 4, 6] or double[2:6] == [1, 2, 4, 6]
    assert order("drop the peak") == [0, 1, 2, 3, 4, 4, 4, 7]
    np.testing.assert_array_equal(frames, ramp())


@pytest.mark.parametrize(
    ("model", "word"),
    [
        (lambda c: np.ones(len(c)), "a still"),
        (lambda c: np.abs(np.diff(c[..., 0].astype(int), axis=1)).mean((1, 2, 3)) / 10, "motion"),
        (lambda c: np.maximum(np.diff(c[..., 0].astype(int), axis=1).mean((1, 2, 3)), 0) / 10, "order"),
    ],
)
def test_what_a_model_uses_is_named(model, word):
    found = [counterfactual.run_counterfactuals(ramp(), np.ones((8, 1, 1)), per_frame(8), model)]
    assert set(found[0]) == {"as it is", *counterfactual.CHANGES}
    assert counterfactual.summarise_counterfactuals(found).word == word


# Sanity ------------------------------------------------------------------------------------------------------------------------


def small_spec() -> ModelSpec:
    labels = ("a", "b", "c")
    return ModelSpec(
        name="small", title="", family="tests", build=lambda: Mini(3, stem=8, widths=((8, 2), (16, 1))), labels=lambda: labels,
        num_frames=4, seconds_between_frames=0.1, resize=32, crop=(32, 32), mean=(0.4,) * 3, std=(0.2,) * 3,
        target_layer="blocks", head=Head(("fc",)), time_cells=(4,), paper="",
    )  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    torch.manual_seed(0)
    spec = small_spec()
    net = spec.build()
    nn.init.normal_(net.fc.weight)
    return TorchEngine(LoadedModel(spec, net.eval(), ("a", "b", "c"), None, None), "cpu")


def test_rank_correlation_by_hand():
    a = np.array([1.0, 2.0, 2.0, 5.0])
    assert rank_correlation(a, a**3) == pytest.approx(1.0)
    assert rank_correlation(a, -a) == pytest.approx(-1.0)
    assert math.isnan(rank_correlation(a, np.ones(4)))  # 0 would say that a map of nothing has passed the test
    # ranks 1, 2.5, 2.5, 4 against 4, 1, 2, 3: sum of products of centred ranks -1.5, sizes 4.5 and 5
    assert rank_correlation(a, np.array([9.0, 1.0, 3.0, 4.0])) == pytest.approx(-1.5 / np.sqrt(4.5 * 5.0))


def test_random_weights_destroy_the_map_but_not_the_engine(engine):
    frames = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    before = {name: p.clone() for name, p in engine.model.module.state_dict().items()}
    found = list(sanity.mprt(engine, frames, core.Target(1), get_method("cam")))
    assert found[0][0] == "fc"
    assert found[-1][0].startswith("stem")
    assert len(found) == sum(1 for m in engine.model.module.modules() if list(m.parameters(recurse=False)))
    assert abs(found[-1][1]) < 0.35
    for name, p in engine.model.module.state_dict().items():
        assert torch.equal(p, before[name])


def test_class_sensitivity_and_repeatability(engine):
    frames = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    targets = [core.Target(0), core.Target(1)]
    own = core.explain(engine, frames[None], targets, get_method("cam")).maps[0][0]
    assert sanity.random_logit(engine, frames, targets, get_method("cam")) == pytest.approx(rank_correlation(own[0], own[1]))
    assert sanity.random_logit(engine, frames, targets, get_method("eigencam")) == pytest.approx(1.0)  # knows no classes
    first, second = (sanity.explain_once(engine, frames, core.Target(0), get_method("cam")) for _ in range(2))
    assert sanity.repeat_error(first, second) == 0.0
    assert sanity.repeat_error(np.array([0.0, -2.0]), np.array([0.5, -2.0])) == 0.25


# Spliced clips, smoothing, suspicions ------------------------------------------------------------------------------------------


def test_evidence_is_counted_before_and_after_the_cut():
    where = CellGeometry(
        AxisGeometry(0.5, 2.0, 3), AxisGeometry(3.5, 8.0, 1), AxisGeometry(3.5, 8.0, 1)
    )  # cells over frames 0-1, 2-3, 4-5; cut at 3
    values = np.array([3.0, 2.0, 1.0]).reshape(3, 1, 1)
    assert share_inside(values, where, 6, after=False) == pytest.approx((3 + 1) / 6)
    assert share_inside(values, where, 6, after=True) == pytest.approx((1 + 1) / 6)
    assert math.isnan(share_inside(-values, where, 6, after=True))
    a, b = np.zeros((6, 4, 4, 3), np.uint8), np.full((6, 4, 4, 3), 9, np.uint8)
    assert splice(a, b)[:, 0, 0, 0].tolist() == [0, 0, 0, 9, 9, 9]
    with pytest.raises(UsageError, match="of one shape"):
        splice(a, b[:4])


def test_a_map_that_is_the_same_everywhere_tells_what_chance_is():
    where = CellGeometry(
        AxisGeometry(0.0, 8.0, 2), AxisGeometry(3.5, 8.0, 2), AxisGeometry(3.5, 8.0, 2)
    )  # as r3d_18 has it: two cells for 16 frames
    even = np.ones(where.grid)
    assert share_inside(even, where, 16, after=False) == pytest.approx((1 + 3.5 / 8) / 2)
    assert share_inside(even, where, 16, after=True) == pytest.approx(4.5 / 8 / 2)


def track(maps: np.ndarray) -> Track:
    n, h, w = maps.shape
    return Track(
        "a", np.arange(n) * 0.1, maps.astype(np.float32), np.arange(h) * 8.0 + 3.5, np.arange(w) * 8.0 + 3.5,
        Box(0.0, 0.0, 8.0 * h, 8.0 * w), 0.1,
    )  # fmt: skip


def test_flicker_is_the_change_between_neighbours_without_motion():
    still = np.ones((6, 3, 4))
    assert smoothness.flicker(track(still), None) == 0.0
    blinking = still * np.array([1.0, 0.0] * 3)[:, None, None]
    assert smoothness.flicker(track(blinking), None) == pytest.approx(1.0 / 0.5)
    moving = np.zeros((6, 3, 8))
    for i in range(6):
        moving[i, :, i : i + 2] = 1.0

    class Right:
        def between(self, start, end, *, ys, xs):
            return np.broadcast_to([0.0, round((end - start) / 0.1)], (3, 8, 2))

    assert smoothness.flicker(track(moving), None) > 0.9
    assert smoothness.flicker(track(moving), Right()) == pytest.approx(0.0, abs=1e-6)


def test_smoothing_calms():
    rng = np.random.default_rng(0)
    raw = track((np.arange(80) >= 40)[:, None, None] + 0.3 * rng.normal(size=(80, 3, 4)))
    assert smoothness.compare_smoothness(raw, smooth(raw, kind="gaussian", seconds=0.25), None).ratio < 0.5


@pytest.mark.parametrize("kind", ["gaussian", "exponential"])
def test_smoothing_of_files_does_not_move_a_moment(kind):
    """The reports say that smoothed evidence does not lag: a moment stays the centre of what it becomes."""
    raw = track((np.arange(81) == 40)[:, None, None] * np.ones((81, 1, 1)))
    smoothed = smooth(raw, kind=kind, seconds=0.4)
    assert (smoothed.curve * smoothed.times).sum() / smoothed.curve.sum() == pytest.approx(4.0, abs=1e-5)
    late = smooth(raw, kind="exponential", seconds=0.4, causal=True)  # only a camera is smoothed so
    assert (late.curve * late.times).sum() / late.curve.sum() > 4.3


def test_suspicions_are_raised_by_place_and_not_by_chance():
    rim = spurious.border_mask((40, 60))
    assert rim.mean() == pytest.approx(1 - (40 - 6) * (60 - 6) / (40 * 60))
    even = np.ones((5, 40, 60))
    assert not spurious.check_place("border", even, rim).raised
    assert spurious.check_place("border", even, rim).share == pytest.approx(rim.mean())
    corner = np.zeros((5, 40, 60))
    corner[:, :3, :3] = 1.0
    assert spurious.check_place("border", corner, rim).raised
    assert not spurious.check_place("border", np.zeros((5, 40, 60)), rim).raised


def test_static_places_and_overlays_are_found():
    rng = np.random.default_rng(0)
    videos = [rng.integers(0, 256, (6, 40, 60, 3)).astype(np.uint8) for _ in range(5)]
    rooms = [cv2.resize(rng.integers(0, 256, (5, 8, 3)).astype(np.uint8), (60, 40)) for _ in range(5)]
    for room, video in zip(rooms, videos, strict=True):
        room[2:10, 44:56] = (250, 240, 20)
        video[:, 20:] = 100
    mark = spurious.overlay_mask(rooms, reach=1)
    truth = np.zeros((40, 60), bool)
    truth[2:10, 44:56] = True
    assert (mark & truth).sum() / truth.sum() > 0.7
    assert (mark & ~truth).mean() < 0.04
    assert not spurious.overlay_mask(rooms[:2]).any()  # two videos may be alike by chance
    assert not spurious.overlay_mask([rooms[0]] * 5).any()  # one camera
    still = spurious.static_mask(videos[0])
    assert still[24:].all()
    assert not still[:18].any()
