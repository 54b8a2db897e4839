"""A budget for tests: what is spent on which test, in which order, and what the page says of those that were left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import planted
from support.clock import ManualClock
from support.media import write_clip
from support.schemas import strict, validate

from vidcam.engine import TorchEngine, open_engine
from vidcam.errors import UsageError
from vidcam.evaluation import video
from vidcam.evaluation.budget import Budget, Work, parse_budget, run_works
from vidcam.evaluation.plan import assume_costs, plan_tests
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry
from vidcam.metrics import faithfulness, verdict
from vidcam.metrics.baselines import BASELINES
from vidcam.metrics.imputers import IMPUTERS
from vidcam.metrics.removals import Removals
from vidcam.reports.evaluation import OURS, Evaluation
from vidcam.settings import Settings

FORWARD_S = 0.1


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30.0), ("2m", 120.0), ("1m30s", 90.0), ("45", 45.0), (" 1.5 S ", 1.5), ("none", None)]
)
def test_budget_in_words_is_seconds(text: str, seconds: float | None) -> None:
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "-3s", "soon", "1h", "s", "nan"])
def test_budget_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="a budget is a time such as 30s, 2m or 45"):
        parse_budget(text)


# The order of works ------------------------------------------------------------------------------------------------------------


class Workshop:
    """Makes works that take manual time, and notes which were done."""

    def __init__(self) -> None:
        self.clock, self.done = ManualClock(), ""

    def work(self, name: str, seconds: float, *, unit: str = "piece", count: int = 1, is_essential: bool = False) -> Work:
        def run() -> None:
            self.clock.advance(seconds)
            self.done += name

        return Work(name, unit, count, run, is_essential)


def test_works_are_run_in_order_while_the_budget_lasts() -> None:
    shop = Workshop()
    left_out = run_works([shop.work(name, 2.0) for name in "abcdefgh"], Budget(12.0, clock=shop.clock))
    # From c on, one is more than a third of what is left, so the others wait; then they are run as long as they fit.
    assert shop.done == "abcdef"
    assert [work.test for work in left_out] == ["g", "h"]
    assert shop.clock.now() == 12.0


def test_first_work_is_run_whatever_it_costs() -> None:
    shop = Workshop()
    left_out = run_works([shop.work("a", 50.0), shop.work("b", 1.0)], Budget(1.0, clock=shop.clock))
    assert shop.done == "a"
    assert [work.test for work in left_out] == ["b"]


def test_costly_work_waits_for_cheap_ones_unless_it_is_essential() -> None:
    for is_essential, order in ((False, "abcX"), (True, "aXbc")):
        shop = Workshop()
        budget = Budget(10.0, clock=shop.clock)
        budget.assume("giant", 6.0)
        works = [shop.work("a", 1.0), shop.work("X", 6.0, unit="giant", is_essential=is_essential)]
        assert run_works([*works, shop.work("b", 1.0), shop.work("c", 1.0)], budget) == []
        assert shop.done == order


def test_cost_is_learned_from_what_was_measured() -> None:
    shop = Workshop()
    budget = Budget(None, clock=shop.clock)
    budget.assume("piece", 7.0)
    work = shop.work("a", 3.0, count=3)
    assert budget.expect(work) == 21.0
    budget.run(work)
    assert budget.expect(work) == 3.0
    budget.run(shop.work("b", 9.0, count=3))  # what was measured last counts half
    assert budget.expect(work) == pytest.approx(3 * (1 + 3) / 2)
    assert budget.counts == {"piece": 6}
    assert budget.left() == math.inf


@pytest.mark.parametrize("seconds", [None, 10.0])
def test_remaining_time_never_grows_even_if_works_get_slower(seconds: float | None) -> None:
    shop, said = Workshop(), []
    works = [shop.work("a", 0.2 + 0.1 * i) for i in range(20)]
    run_works(works, Budget(seconds, clock=shop.clock), lambda stage, done, total: said.append((stage, done, total)))
    remaining = [total - done for _, done, total in said]
    assert {stage for stage, _, _ in said} == {"test"}
    assert remaining == sorted(remaining, reverse=True)
    assert remaining[0] == math.ceil(19 * 0.2)  # what is known after the first work
    assert remaining[-1] == 0


# Coarse figures ----------------------------------------------------------------------------------------------------------------

WHERE = CellGeometry(AxisGeometry(0.5, 2.0, 3), AxisGeometry(3.5, 8.0, 4), AxisGeometry(3.5, 8.0, 4))


def counted(score: Callable[[np.ndarray], np.ndarray]) -> tuple[Callable[[np.ndarray], np.ndarray], list[int]]:
    batches: list[int] = []
    return lambda clips: (batches.append(len(clips)), score(clips))[1], batches


def brightness(clips: np.ndarray) -> np.ndarray:
    return clips.mean((1, 2, 3, 4)) / 255


def test_refining_a_curve_predicts_only_its_new_points() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)
    values = np.random.default_rng(1).normal(size=WHERE.grid)
    score, batches = counted(brightness)
    removals = Removals(frames, WHERE, score, "blur")
    sizes = []
    for steps in (3, 6, 12):
        figures = faithfulness.faithfulness_of(values, removals, steps=steps)
        sizes.append(sum(batches))
    # The clip as it is, nothing of it, two curves of 2, 5 and 11 points, and the clip that fades out.
    assert sizes == [2 + 2 * 2 + 1, 2 + 2 * 5 + 1, 2 + 2 * 11 + 1]
    assert figures == faithfulness.faithfulness_of(values, Removals(frames, WHERE, brightness, "blur"))
    faithfulness.insertion_of(values, removals)
    faithfulness.faithfulness_of(-values, removals)  # its curves are those of the map itself, from the other end
    assert sum(batches) == sizes[-1] + 1


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 6, 12])
def test_area_of_few_steps_is_as_near_as_its_error_says(steps: int) -> None:
    rng, every = np.random.default_rng(steps), faithfulness.STEPS // steps
    largest = 0.0
    for _ in range(300):
        fine = np.sort(rng.beta(0.1, 0.1, faithfulness.STEPS + 1))[:: rng.choice([-1, 1])]
        coarse = fine[::every]
        error = abs(faithfulness._area(fine) - faithfulness._area(coarse))
        assert error <= faithfulness.step_error(coarse) + 1e-12
        largest = max(largest, error / max(faithfulness.step_error(coarse), 1e-12))
    assert faithfulness.step_error(fine) == 0.0
    assert largest > 0.6 or steps == faithfulness.STEPS  # the bound is nearly reached: it is no larger than need be


# A whole evaluation ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def picture(i: int) -> np.ndarray:
        image = np.full((128, 128, 3), 90, np.uint8)
        image[32:56, 40 + i : 64 + i] = 230, 10, 10
        return image

    path = tmp_path_factory.mktemp("budget") / "red.mp4"
    return write_clip(path, frames=16, size=(128, 128), fps=10, picture=picture)


def evaluate(clip: Path, budget_s: float | None, **options: object) -> tuple[Evaluation, int]:
    """Evaluate with a model whose every pass takes a tenth of a second; return what was found, and the clips predicted."""
    engine, clock = open_engine(f"{planted.__file__}:patches"), ManualClock()
    assert isinstance(engine, TorchEngine)
    forwards: list[int] = []
    predict = engine.predict

    def slow(frames: np.ndarray) -> np.ndarray:
        forwards.append(len(frames))
        clock.advance(FORWARD_S * len(frames))
        return predict(frames)

    engine.predict = slow  # type: ignore[method-assign, assignment]
    settings = Settings(classes=("red square",))
    found = video.evaluate(clip, engine=engine, settings=settings, budget_s=budget_s, clock=clock, **options)  # type: ignore[arg-type]
    return found, sum(forwards)


@pytest.fixture(scope="module")
def short(clip: Path) -> Evaluation:
    return evaluate(clip, 3.0)[0]


@pytest.fixture(scope="module")
def full_run(clip: Path) -> tuple[Evaluation, int]:
    return evaluate(clip, None)


@pytest.fixture
def full(full_run: tuple[Evaluation, int]) -> Evaluation:
    return full_run[0]


def test_small_budget_is_spent_on_the_most_telling_tests(short: Evaluation) -> None:
    assert short.budget.spent_s <= 3.0 + 2 * FORWARD_S
    assert next(iter(short.scores["blur"])) == OURS
    assert set(short.curves) <= {"blur", "frozen", "inpaint"}
    assert short.rests_on["faithfulness"]["blur"][OURS]["steps"] < faithfulness.STEPS
    assert "removed parts become inpaint" in short.not_run
    assert short.verdict is None
    assert "verdict" in short.not_run


def test_tests_that_were_not_run_are_listed_everywhere(short: Evaluation, tmp_path: Path) -> None:
    short.write_json(tmp_path / "out.json")
    short.write_html(tmp_path / "out.html")
    doc = strict((tmp_path / "out.json").read_text())
    validate(doc, "evaluate")
    assert [entry["test"] for entry in doc["not_run"]] == list(short.not_run)
    assert {entry["reason"] for entry in doc["not_run"]} == {"budget"}
    assert doc["verdict"] is None
    page, words = (tmp_path / "out.html").read_text(), short.in_words()
    assert "Not run: budget" in page
    assert "was not judged" in page
    assert "not run: budget: " in words
    left_out = words.partition("not run: budget: ")[2]
    for test in ("verdict", "removed parts become inpaint"):
        assert f"<li>{test}</li>" in page
        assert test in left_out
    assert (
        "removed parts become inpaint: controls 'random', 'random, smoothed', 'centre of the picture', 'motion energy';"
        in left_out
    )
    assert words.splitlines()[-2].endswith("; --budget 2m allows more")


@pytest.mark.parametrize("seconds", [4.5, 7.0])
def test_controls_stand_only_beside_this_explanation(clip: Path, seconds: float) -> None:
    found = evaluate(clip, seconds)[0]
    assert all(next(iter(rows)) == OURS for rows in found.scores.values())
    assert found.rests_on["faithfulness"].keys() == found.scores.keys()


def test_coarse_figures_say_what_they_rest_on_and_are_less_certain(clip: Path, full: Evaluation) -> None:
    coarse = evaluate(clip, 8.0, windows=2, imputers=("blur",))[0]
    fine = evaluate(clip, None, windows=2, imputers=("blur",))[0]
    basis, gaps = [e.rests_on["faithfulness"]["blur"][OURS] for e in (coarse, fine)], []
    for e in (coarse, fine):
        gaps.append(e.scores["blur"][OURS]["lerf_minus_morf"])
    assert basis[0]["steps"] < basis[1]["steps"] == faithfulness.STEPS
    assert abs(gaps[0].mean - gaps[1].mean) <= faithfulness.step_error(coarse.curves["blur"].deletion) * 2 + 1e-9
    assert full.not_run == ()
    assert full.rests_on["cascade"]["layers"] == full.rests_on["cascade"]["of"]


def test_large_budget_finds_what_no_budget_finds(clip: Path, full: Evaluation) -> None:
    found, forwards = evaluate(clip, 1000.0)
    assert found.scores == full.scores
    assert found.verdict == full.verdict
    assert found.not_run == ()
    assert found.insertion == full.insertion
    assert sum(n for unit, n in found.budget.counts.items() if unit == "forwards") >= forwards


def test_full_evaluation_predicts_each_removal_once(full_run: tuple[Evaluation, int]) -> None:
    full, forwards = full_run
    windows, maps, imputers = full.windows, 5, 3
    faithful = windows * imputers * (2 + maps * (2 * 11 + 1))
    tubes = windows * (1 + 2 * (1 + verdict.tubes_for(windows)))
    changes, smoothing = windows * 7, windows * 2 * 11
    assert forwards <= faithful + tubes + changes + smoothing + 2


def test_budget_that_is_no_time_is_refused_by_the_function(clip: Path) -> None:
    with pytest.raises(UsageError, match="a positive number of seconds, or None"):
        evaluate(clip, 0.0)


# The default budget on a real network ------------------------------------------------------------------------------------------


class CostlyTests:
    """Stands for the tests of one window of MoViNet-A0 on two cores: each takes its time and notes how finely it was done."""

    def __init__(self, explanation_s: float, *, windows: int) -> None:
        self.clock, self.explanation_s = ManualClock(), explanation_s
        self.windows, self.layers, self.targets = (None,) * windows, ("layer",) * 80, (None,) * 5
        self.steps: dict[tuple[str, str, int], int] = {}
        self.is_judged = False

    def forwards(self, count: int) -> None:
        self.clock.advance(0.035 * count)

    def measure_map(self, row: str, imputer: str, window: int, steps: int) -> None:
        before = self.steps.get((row, imputer, window))
        self.forwards(2 * (steps - before) if before else 2 * (steps - 1) + 1 + 2 * (row == OURS))
        self.steps[row, imputer, window] = steps

    def judge(self) -> None:
        self.forwards(2 * len(self.windows) * (1 + verdict.tubes_for(len(self.windows))))
        self.is_judged = True

    def change_time(self, window: int) -> None:
        self.forwards(7)

    def compare_smoothing(self, window: int, steps: int) -> None:
        self.forwards(steps)

    def randomise(self, index: int) -> None:
        self.clock.advance(5 * self.explanation_s)

    def compare_classes(self) -> None:
        self.clock.advance(self.explanation_s)

    repeat = compare_classes


@pytest.mark.parametrize("explanation_s", [0.03, 0.5, 4.0, 15.0])
def test_thirty_seconds_measure_the_first_curves_in_full(explanation_s: float) -> None:
    """So methods have the order of the long run, whatever an explanation costs."""
    tests = CostlyTests(explanation_s, windows=1)
    budget = Budget(30.0, clock=tests.clock)
    works = plan_tests(tests, tuple(IMPUTERS))  # type: ignore[arg-type]
    assume_costs(budget, explanation_s)
    run_works(works, budget)
    assert tests.steps[OURS, "blur", 0] == faithfulness.STEPS
    assert {tests.steps[row, "blur", 0] for row in BASELINES} == {faithfulness.STEPS}
    assert tests.is_judged
    assert tests.clock.now() <= 32.0


def test_several_windows_are_all_tested_before_curves_are_refined() -> None:
    tests = CostlyTests(0.2, windows=4)
    run_works(plan_tests(tests, ("blur",)), Budget(14.0, clock=tests.clock))  # type: ignore[arg-type]
    assert sorted(window for row, _, window in tests.steps if row == OURS) == [0, 1, 2, 3]
    assert min(tests.steps.values()) < faithfulness.STEPS
