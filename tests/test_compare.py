"""Methods side by side: figures against literal loops, the notes, the grid video, the page and the command."""

from __future__ import annotations

import math
import re
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import page as pages
from support import planted
from support.media import write_clip
from support.schemas import strict, validate

from vidcam.annotation import Outputs, explain
from vidcam.cli import main
from vidcam.cli.outputs import plan_comparison
from vidcam.engine import TorchEngine, open_engine
from vidcam.engine.base import ForwardOutput
from vidcam.engine.network import TorchModel
from vidcam.errors import IncompatibleError, OutputError, UnknownNameError, UsageError
from vidcam.evaluation import compare, comparison_files
from vidcam.evidence.heat import render_heat
from vidcam.io.source import Source, open_source
from vidcam.methods import core, lookup
from vidcam.methods.lookup import choose_of_each, get_method, list_methods
from vidcam.metrics import agreement
from vidcam.render import overlay
from vidcam.render.grid import HEIGHT, WIDTH, Grid, Row
from vidcam.render.paint import GROUND
from vidcam.reports import charts, comparison
from vidcam.settings import Settings
from vidcam.values import Box, Heat, Track

pytestmark = pytest.mark.xdist_group("compare")  # one comparison takes seconds, once for all tests

MODEL = f"{planted.__file__}:patches"
BOTH = Settings(classes=("red square", "nothing"))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def picture(i: int) -> np.ndarray:
        image = np.full((120, 160, 3), 90, np.uint8)
        if 4 <= i < 20:
            image[32:56, 40 + i : 64 + i] = (230, 10, 10)
            image[70:90, 90:110] = (150, 10, 10)
        return image

    path = tmp_path_factory.mktemp("compare") / "red.mp4"
    return write_clip(path, frames=24, size=(120, 160), fps=10, audio="aac", picture=picture)


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    return open_engine(MODEL)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    folder = tmp_path_factory.mktemp("written")
    return Outputs(video=folder / "grid.mp4", reports={"html": folder / "page.html", "json": folder / "all.json"})


@pytest.fixture(scope="module")
def found(engine: TorchEngine, clip: Path, outputs: Outputs) -> comparison.Comparison:
    methods = ("cam", "hirescam", "eigencam", "gradientxinput", "attention-rollout")
    return compare.compare(clip, outputs, engine=engine, settings=BOTH, methods=methods)


def entry(found: comparison.Comparison, name: str) -> comparison.Entry:
    return next(e for e in found.entries if e.method.name == name)


# --- figures -------------------------------------------------------------------------------------------------------------------


def literal_ranks(values: list[float]) -> list[float]:
    """1 for the smallest; ties share the mean of their places."""
    return [sum(v < x for v in values) + (sum(v == x for v in values) + 1) / 2 for x in values]


def literal_spearman(a: list[float], b: list[float]) -> float:
    x, y = literal_ranks(a), literal_ranks(b)
    mx, my = sum(x) / len(x), sum(y) / len(y)
    cov = sum((p - mx) * (q - my) for p, q in zip(x, y, strict=True))
    return cov / math.sqrt(sum((p - mx) ** 2 for p in x) * sum((q - my) ** 2 for q in y))


def literal_overlap(a: list[float], b: list[float], count: int) -> float:
    hottest = [{i for i, v in enumerate(m) if v > 0 and sum(w > v for w in m) < count} for m in (a, b)]
    return len(hottest[0] & hottest[1]) / len(hottest[0] | hottest[1])


@pytest.mark.parametrize("seed", range(4))
def test_agreement_is_what_literal_loops_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, c = rng.integers(0, 6, (3, 2, 5, 4)) / 5.0  # many ties, and zeros
    made = agreement.measure_agreement({"a": a, "b": b, "c": c})
    flat = {"a": a.ravel().tolist(), "b": b.ravel().tolist(), "c": c.ravel().tolist()}
    for i, p in enumerate("abc"):
        for j, q in enumerate("abc"):
            assert made.correlation[i, j] == pytest.approx(literal_spearman(flat[p], flat[q]), abs=1e-12)
            assert made.overlap[i, j] == pytest.approx(literal_overlap(flat[p], flat[q], 4))  # a tenth of 40 points


def test_rounding_errors_are_no_order() -> None:
    plateau = np.zeros((3, 8, 8))
    plateau[1, 2:6, 2:6] = 1.0
    noisy = plateau * (1 + 1e-7 * np.random.default_rng(0).standard_normal(plateau.shape))
    assert agreement.correlation(plateau, noisy) == pytest.approx(1.0)
    assert agreement.overlap(plateau, noisy) == 1.0


def test_points_without_evidence_are_never_among_the_hottest() -> None:
    a, b = np.zeros((2, 40))
    a[3], b[7] = 1.0, 1.0
    assert agreement.overlap(a, a) == 1.0
    assert agreement.overlap(a, b) == 0.0
    assert agreement.overlap(a, a + b) == 0.5


def test_a_map_without_evidence_agrees_with_nothing() -> None:
    made = agreement.measure_agreement({"some": np.eye(4), "none": np.zeros((4, 4))})
    assert made.correlation[0, 0] == made.overlap[0, 0] == 1.0
    assert np.isnan(made.correlation[1]).all()
    assert np.isnan(made.overlap[1]).all()


def track(maps: np.ndarray, ys: list[float], xs: list[float], seen: Box, times: tuple[float, ...] = (0.0,)) -> Track:
    return Track("a", np.array(times), maps.astype(np.float32), np.array(ys), np.array(xs), seen, 0.1)


def literal_lattice(one: Track) -> np.ndarray:
    """The positive part of the track's first map, bilinear between its cells' centres, averaged over each point's area."""
    out = np.zeros((24, 24))
    for i in range(24):
        for j in range(24):
            for a in range(4):
                for b in range(4):
                    y = one.seen.y0 + (i + (a + 0.5) / 4) * (one.seen.y1 - one.seen.y0) / 24 - 0.5
                    x = one.seen.x0 + (j + (b + 0.5) / 4) * (one.seen.x1 - one.seen.x0) / 24 - 0.5
                    rows = [np.interp(x, one.xs, row) for row in one.maps[0]]
                    out[i, j] += max(0.0, np.interp(y, one.ys, rows)) / 16
    return out


def test_maps_are_laid_where_their_cells_are() -> None:
    rng = np.random.default_rng(1)
    one = track(rng.standard_normal((1, 3, 4)), [7.0, 31.0, 55.0], [3.0, 30.0, 57.0, 84.0], Box(8.0, 16.0, 56.0, 64.0))
    laid = agreement.lay_on_lattice([one], np.array([0.0]))
    np.testing.assert_allclose(laid.for_[0], literal_lattice(one), atol=1e-5)
    np.testing.assert_allclose(laid.against[0], literal_lattice(replace(one, maps=-one.maps)), atol=1e-5)
    assert laid.against.any()


def test_different_grids_are_compared_where_they_really_are() -> None:
    """A bump at one place, on a coarse grid and on a fine one; and the coarse one with its cells believed half a cell away."""

    def bump(ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
        return np.exp(-((ys[:, None] - 50) ** 2 + (xs[None] - 70) ** 2) / (2 * 18**2))[None]

    seen = Box(0.0, 0.0, 112.0, 112.0)
    fine, coarse = np.arange(28) * 4 + 1.5, np.arange(7) * 16.0  # strided cells: the first is centred on the first pixel
    where = agreement.lay_on_lattice([track(bump(coarse, coarse), coarse.tolist(), coarse.tolist(), seen)], np.array([0.0])).for_
    wrong = (coarse + 7.5).tolist()
    away = agreement.lay_on_lattice([track(bump(coarse, coarse), wrong, wrong, seen)], np.array([0.0])).for_
    true = agreement.lay_on_lattice([track(bump(fine, fine), fine.tolist(), fine.tolist(), seen)], np.array([0.0])).for_
    assert agreement.correlation(where, true) > 0.97 > 0.93 > agreement.correlation(away, true)
    assert agreement.overlap(where, true) > 0.8 > 0.5 > agreement.overlap(away, true)


def test_the_moments_are_few_and_those_that_were_looked_at() -> None:
    maps = np.ones((300, 2, 2))
    maps[100:150] = np.nan
    one = track(maps, [0.0, 1.0], [0.0, 1.0], Box(0, 0, 2, 2), tuple(np.arange(300) / 10.0))
    times = agreement.shared_times([one])
    assert len(times) == agreement.MAX_TIMES
    assert (times[0], times[-1]) == (0.0, 29.9)
    assert not ((times >= 10) & (times < 15)).any()


# --- what a comparison finds ---------------------------------------------------------------------------------------------------


def test_two_methods_that_are_one_are_told(found: comparison.Comparison) -> None:
    assert [(a, b) for a, b, _ in found.identical] == [("cam", "hirescam")]
    assert "cam and hirescam are one map here: the head is global average pooling and one linear layer" in found.notes
    red = found.agreement["red square"]
    assert red.names == ("cam", "hirescam", "eigencam", "gradientxinput")
    assert red.correlation[0, 1] == pytest.approx(1.0, abs=1e-9)
    assert red.overlap[0, 1] == 1.0
    assert 0.1 < red.correlation[0, 3] < 0.999  # blocks of pixels are another grid, and only the red ones count


def test_other_methods_that_agree_are_told_without_a_reason(engine: TorchEngine, clip: Path) -> None:
    one = compare.compare(clip, engine=engine, settings=Settings(classes=("RED_square",)), methods=("cam", "eigencam", "gradcam"))
    assert "cam, eigencam and gradcam are one map here" in one.notes  # there is a single channel, and one class was asked for
    assert one.labels == ("red square",)
    assert all(math.isnan(e.class_correlation) and not e.class_independent for e in one.entries)


def test_whether_the_maps_are_about_the_class(found: comparison.Comparison) -> None:
    assert entry(found, "eigencam").class_correlation == pytest.approx(1.0)
    assert entry(found, "eigencam").class_independent
    assert entry(found, "cam").class_correlation == pytest.approx(-1.0)  # what speaks for one of the two speaks against the other
    assert not entry(found, "cam").class_independent
    assert "eigencam is class independent: it has the same map for every class" in found.notes


def test_a_class_that_nothing_speaks_for(found: comparison.Comparison) -> None:
    assert "nothing speaks for 'nothing' according to cam, hirescam, gradientxinput" in found.notes
    assert np.isfinite(found.agreement["nothing"].correlation).sum() == 1  # eigencam with itself


def test_each_method_has_one_scale_and_a_price(found: comparison.Comparison) -> None:
    for e in found.entries:
        strength = np.sort(np.concatenate([np.abs(t.maps).ravel() for parts in e.analysis.drawn.values() for t in parts]))
        held = np.cumsum(strength, dtype=np.float64)
        assert e.analysis.scale == pytest.approx(float(strength[np.searchsorted(held, 0.995 * held[-1])]))
        assert 0 < e.window_s < 5
    assert found.cheapest.window_s == min(e.window_s for e in found.entries)


def test_what_does_not_work_here_is_told_and_left_out(
    engine: TorchEngine, clip: Path, found: comparison.Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "does not have" in found.refused["attention-rollout"]
    note = next(n for n in found.notes if n.startswith("attention-rollout is left out: "))
    assert "needs attention" in note
    assert "these methods work" not in note

    def fails(*_: object) -> core.Attribution:
        raise IncompatibleError("there is no rule for this; use another")

    list_methods()
    monkeypatch.setitem(lookup._rows, "late", replace(get_method("gradcam"), name="late", function=fails, adapter=None))
    one = compare.compare(clip, engine=engine, settings=BOTH, methods=("late", "cam"))
    assert one.refused == {"late": "there is no rule for this; use another"}
    assert "late is left out: there is no rule for this" in one.notes
    assert [e.method.name for e in one.entries] == ["cam"]
    with pytest.raises(UsageError, match=r"none of these methods works here: .*needs attention.*; there is no rule for this"):
        compare.compare(clip, engine=engine, settings=BOTH, methods=("attention-rollout", "late"))


def test_default_is_one_of_each_family_and_the_two_top_classes(engine: TorchEngine, clip: Path) -> None:
    chosen, refused = choose_of_each(compare.DEFAULT, engine.spec)
    assert [m.name for m in chosen] == ["cam", "cam-spread", "gradcam++", "layercam", "eigencam", "gradientxinput", "lrp"]
    assert refused == {}
    headless = replace(engine.spec, head=None, layout="channels-last")
    chosen, refused = choose_of_each(compare.DEFAULT, headless)
    assert [m.name for m in chosen] == ["gradcam", "gradcam++", "layercam", "eigencam", "gradientxinput"]
    assert set(refused) == {"cam-spread", "lrp", "attention-rollout"}
    one = compare.compare(clip, engine=engine, methods=("cam",))
    assert one.labels == tuple(label for label, _ in one.entries[0].analysis.top(2))
    against = compare.compare(clip, engine=engine, settings=Settings(versus="nothing"), methods=("cam",))
    assert against.labels == ("red square",)


# --- the grid ------------------------------------------------------------------------------------------------------------------


def grid(rows: int, columns: int, size: tuple[int, int], seen: Box | None = None) -> Grid:
    times = np.linspace(0, 2, 11)
    curve = np.linspace(0, 1, 11)
    return Grid(
        source_size=size,
        rows=[Row(f"method {i}", ("a fact", "a longer fact that has to be wrapped"), (curve,) * columns) for i in range(rows)],
        columns=[(f"class {j}", "12 %") for j in range(columns)],
        title="a title",
        times=times,
        span=(0.0, 2.0),
        seen=[seen or Box(0, 0, *size)],
    )


@pytest.mark.parametrize(
    ("rows", "columns", "size"),
    [(1, 1, (48, 64)), (6, 2, (480, 640)), (6, 2, (1080, 1920)), (5, 3, (1024, 576)), (12, 5, (719, 1281)), (2, 1, (40, 900))],
)
def test_the_grid_fits_and_uses_the_room(rows: int, columns: int, size: tuple[int, int]) -> None:
    made = grid(rows, columns, size)
    height, width = made.size
    assert height % 2 == width % 2 == 0
    assert height <= HEIGHT
    assert width <= WIDTH
    assert made.cell[1] / made.cell[0] == pytest.approx(size[1] / size[0], rel=0.06)
    corners = [c for row in made._corners for c in row]
    assert len(set(corners)) == rows * columns
    boxes = np.zeros(made.size, int)
    for y, x in corners:
        boxes[y : y + made.cell[0], x : x + made.cell[1]] += 1
    assert boxes.max() == 1  # no two overlap
    assert boxes.sum() == rows * columns * made.cell[0] * made.cell[1]  # and none is cut off
    for (y, x), *_ in made._corners:  # the words beside a row end with it
        assert (made._canvas[y + made.cell[0] + 30 : y + made.cell[0] + 38, x - 170 : x - 12] == GROUND).all()


def test_every_cell_is_the_frame_with_its_own_heat() -> None:
    rng = np.random.default_rng(2)
    image = rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)
    made = grid(2, 2, (96, 128), seen=Box(0, 16, 96, 112))
    h, w = made.cell

    def heat(value: float) -> Heat:
        return Heat(np.full((h, w), value, np.float32), None, 1.0, (Box(0, 0, h, w),), "")

    heats = [[heat(0.0), heat(0.3)], [heat(1.0), None]]
    out = made.draw(image, heats, time=1.0)
    later = made.draw(image, heats, time=1.6)
    assert out.shape == (*made.size, 3)
    y, x = made._corners[0][0]
    plain = out[y : y + h, x : x + w]
    for row, corners in zip(heats, made._corners, strict=True):
        for one, (top, left) in zip(row, corners, strict=True):
            np.testing.assert_array_equal(out[top : top + h, left : left + w], overlay(plain, one))
    changed = np.flatnonzero((out != later).any(axis=(1, 2)))
    assert set(changed) <= {*range(44), *(r for c in made._corners for r in range(c[0][0] + h, c[0][0] + h + 30))}
    lane = (out[y + h + 10, x : x + w] == 255).all(axis=1)
    assert abs(np.flatnonzero(lane).mean() - w / 2) < 1.5  # the cursor is in the middle at half time


def test_evidence_for_the_other_class_is_in_the_second_colour() -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)
    times = np.linspace(0, 2, 201)
    curve = np.sin(np.pi * times)  # the class is ahead in the first half, the other in the second
    made = Grid(
        source_size=(96, 128), rows=[Row("method", (), (curve,))], columns=[("class", "12 %")], title="a title", times=times,
        span=(0.0, 2.0), seen=[Box(0, 0, 96, 128)], versus="other",
    )  # fmt: skip
    (y, x), (h, w) = made._corners[0][0], made.cell
    field = np.broadcast_to(np.linspace(-1, 1, w, dtype=np.float32), (h, w))
    heat = Heat(field.clip(0), (-field).clip(0), 1.0, (Box(0, 0, h, w),), "")
    nothing = Heat(np.zeros((h, w), np.float32), np.zeros((h, w), np.float32), 1.0, (Box(0, 0, h, w),), "")
    plain = made.draw(image, [[nothing]], time=1.0)[y : y + h, x : x + w]
    out = made.draw(image, [[heat]], time=2.0)
    np.testing.assert_array_equal(out[y : y + h, x : x + w], overlay(plain, heat, signed=True))
    lane = made._canvas[y + h + 2 : y + h + 30, x : x + w].astype(int)
    warm = lane[..., 0] - lane[..., 2]  # orange has more red than blue, blue less, the ground hardly any difference
    quarter, middle = w // 4, 14
    assert (warm[middle - 8 : middle, quarter] > 30).all()
    assert (warm[middle + 1 :, quarter] < 0).all()
    assert (warm[middle + 1 : middle + 9, 3 * quarter] < -30).all()
    assert (np.abs(warm[:middle, 3 * quarter]) < 20).all()
    strip = made._canvas[-30:].astype(int)
    assert ((strip[..., 2] - strip[..., 0]) > 60).any()  # the key has both colours
    assert ((strip[..., 0] - strip[..., 2]) > 60).any()


def test_the_heats_are_those_of_annotate_in_small(
    engine: TorchEngine, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[float, list[list[Heat]]] = {}

    def keep(self: Grid, image: np.ndarray, heats: list[list[Heat]], *, time: float) -> np.ndarray:
        drawn[time] = heats
        return draw(self, image, heats, time=time)

    draw = Grid.draw
    monkeypatch.setattr(Grid, "draw", keep)
    made = compare.compare(clip, Outputs(video=tmp_path / "a.mp4"), engine=engine, settings=BOTH, methods=("lrp", "eigencam"))
    assert len(drawn) == 24
    for second in (0.5, 1.0, 1.9):
        time = min(drawn, key=lambda t: abs(t - second))
        for one, row in zip(made.entries, drawn[time], strict=True):
            for label, small in zip(made.labels, row, strict=True):
                full = render_heat(one.analysis.drawn[label], time=time, scale=one.analysis.scale, size=(120, 160))
                assert full is not None
                assert (small.scale, small.label) == (full.scale, label)
                h, w = small.values.shape
                rows, columns = ((np.arange(n) + 0.5) * m / n - 0.5 for n, m in ((h, 120), (w, 160)))
                near = full.values[rows.round().astype(int).clip(0, 119)][:, columns.round().astype(int).clip(0, 159)]
                assert np.abs(near - small.values).mean() < 0.02
                assert abs(near.max() - small.values.max()) < 0.1


def test_a_grid_refuses_what_it_cannot_draw() -> None:
    with pytest.raises(UsageError, match="at least one row"):
        grid(0, 1, (48, 64))
    with pytest.raises(UsageError, match="draws uint8 pictures"):
        grid(1, 1, (48, 64)).draw(np.zeros((10, 10, 3), np.uint8), [[None]], time=0.0)


# --- files ---------------------------------------------------------------------------------------------------------------------


def test_every_frame_comes_out_once_at_its_time_with_the_sound(
    found: comparison.Comparison, clip: Path, outputs: Outputs
) -> None:
    assert outputs.video is not None
    with open_source(clip) as source, open_source(outputs.video) as written:
        times = [f.time for f in source.frames()]
        frames = list(written.frames())
        assert [f.time for f in frames] == pytest.approx(times, abs=1e-3)
        assert written.info.audio == "aac"
        assert written.info.height % 2 == written.info.width % 2 == 0
    assert np.abs(frames[2].image.astype(int) - frames[10].image).max() > 100


def test_the_json_and_the_page_hold_what_was_found(found: comparison.Comparison, outputs: Outputs) -> None:
    doc = strict(outputs.reports["json"].read_text())
    validate(doc, "compare")
    assert [m["name"] for m in doc["methods"]] == ["cam", "hirescam", "eigencam", "gradientxinput"]
    assert min(m["relative_cost"] for m in doc["methods"]) == 1.0
    assert doc["methods"][0]["completeness_error"] < 1e-4
    assert doc["methods"][2]["class_independent"]
    assert doc["agreement"]["red square"]["rank_correlation"] == found.agreement["red square"].correlation.tolist()
    assert doc["agreement"]["nothing"]["overlap"][0] == [None] * 4
    assert doc["refused"][0]["method"] == "attention-rollout"
    assert doc["notes"] == list(found.notes)
    assert "method" not in doc["settings"]
    text = outputs.reports["html"].read_text()
    # A plot over time for each class, cost, and two matrices for the one class that more than one method finds.
    assert text.count("<svg") == 2 + 1 + 2
    assert text.count('class="vp-tile"') == 2 * 4
    assert found.playback is not None
    assert found.playback.how == "The page plays red.mp4 itself."
    assert "grid.mp4" not in text
    assert "cam and hirescam are one map here" in text
    assert "http://" not in re.sub(r"http://www\.w3\.org|http://purl\.org|http://creativecommons\.org", "", text)
    assert set(found.pictures) == {(e.method.name, label) for e in found.entries for label in found.labels}
    assert abs(found.peak_s - 1.0) < 0.8  # red is shown from 0.4 s to 2.0 s


def test_nothing_is_left_behind_and_nothing_replaced(
    engine: TorchEngine, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept.mp4"
    kept.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        compare.compare(clip, Outputs(video=kept), engine=engine, methods=("cam",))
    calls = []

    def breaks(*args: object, **_: object) -> np.ndarray:
        calls.append(1)
        if len(calls) > 5:
            raise RuntimeError("halfway")
        return draw(*args, **_)

    draw = Grid.draw
    monkeypatch.setattr(Grid, "draw", breaks)
    with pytest.raises(RuntimeError, match="halfway"):
        compare.compare(
            clip,
            Outputs(video=kept, reports={"json": tmp_path / "a.json"}, overwrite=True),
            engine=engine,
            settings=BOTH,
            methods=("cam",),
        )
    assert [p.name for p in tmp_path.iterdir()] == ["kept.mp4"]
    assert kept.read_bytes() == b"mine"


def test_page_needs_no_picture_drawn(engine: TorchEngine, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison_files, "DrawPass", lambda *_, **__: pytest.fail("frames were drawn"))
    outputs = Outputs(reports={"html": tmp_path / "a.html"}, embed=True)
    made = compare.compare(clip, outputs, engine=engine, settings=BOTH, methods=("cam",))
    assert made.playback is not None
    assert made.playback.embed
    assert [p.name for p in tmp_path.iterdir()] == ["a.html"]


def test_all_methods_show_the_same_frame_and_their_own_evidence(
    browser: Any, found: comparison.Comparison, tmp_path: Path
) -> None:
    player = "document.getElementById('player').player"
    pixels = """() => [...document.querySelectorAll(".vp-tile canvas")].map(canvas => canvas.toDataURL())"""
    assert found.playback is not None
    page = tmp_path / "page.html"  # with the video inside: scripts may not read the pixels of another file
    replace(found, playback=replace(found.playback, embed=True)).write_html(page)
    excused = ("willReadFrequently",)
    with pages.opened(browser, page.as_uri(), excused=excused) as view:
        view.evaluate(f"async () => {{ await {player}.ready; }}")
        pages.wait(view, f"!{player}.video.seeking")
        assert view.evaluate(f"{player}.state.frame") == pytest.approx(found.peak_s, abs=0.11)  # where there is most to see
        first = view.evaluate(pixels)
        view.keyboard.down("h")
        assert first[0] not in view.evaluate(pixels)
        view.keyboard.up("h")
        view.evaluate(f"{player}.seek(1.25)")
        pages.wait(view, f"Math.abs({player}.state.frame - 1.2) < 1e-4")
        pairs = [(e, label) for label in found.labels for e in found.entries]
        for i, (e, label) in enumerate(pairs):
            [own] = e.analysis.drawn[label]
            wanted = own.at(1.2)
            assert wanted is not None
            values = np.array(list(view.evaluate(f"Array.from({player}.patchesAt(1.2, {i})[0].values)"))).reshape(wanted.shape)
            np.testing.assert_allclose(values, wanted / e.analysis.scale, atol=0.02 * max(1, np.abs(values).max()))
        view.keyboard.down("h")
        plain = view.evaluate(pixels)
        view.keyboard.up("h")
        shown = view.evaluate(pixels)
        assert all(one == plain[0] for one in plain)  # hidden, there is only the frame, the same one everywhere
        assert shown[0] == shown[1]  # cam and hirescam are one map here
        assert shown[0] != shown[3]
        assert shown[0] != shown[4]  # the other class
        view.locator(".vp-tile").nth(5).click()
        assert view.evaluate(f"{player}.state.chosen") == 5
        assert view.locator(".vp-tile[aria-pressed=true]").get_attribute("data-label") == "5"


# --- why this and not that -----------------------------------------------------------------------------------------------------


def test_the_difference_of_two_classes_is_told_with_both_sides(
    engine: TorchEngine, clip: Path, found: comparison.Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[list[Heat]]] = []
    draw = Grid.draw

    def keep(self: Grid, image: np.ndarray, heats: list[list[Heat]], *, time: float) -> np.ndarray:
        drawn.append(heats)
        return draw(self, image, heats, time=time)

    monkeypatch.setattr(Grid, "draw", keep)
    outputs = Outputs(video=tmp_path / "a.mp4", reports={"html": tmp_path / "a.html", "json": tmp_path / "a.json"})
    settings = Settings(classes=("nothing",), versus="RED_square")  # all that the network knows speaks for red
    made = compare.compare(clip, outputs, engine=engine, settings=settings, methods=("cam", "layercam"))
    assert made.versus == "red square"

    cam, before = entry(made, "cam").analysis, entry(found, "cam").analysis
    for one, of, less in zip(cam.drawn["nothing"], before.drawn["nothing"], before.drawn["red square"], strict=True):
        np.testing.assert_allclose(one.maps, of.maps - less.maps, atol=1e-6 * np.nanmax(np.abs(less.maps)))
    assert np.nanmin(cam.drawn["nothing"][0].maps) < 0

    doc = strict((tmp_path / "a.json").read_text())
    validate(doc, "compare")
    curve = [float(m.sum()) / cam.drawn["nothing"][0].cell_s for m in cam.drawn["nothing"][0].maps]
    assert doc["timeline"]["evidence"]["nothing"]["cam"] == pytest.approx(curve, rel=1e-4)
    assert doc["timeline"]["times_s"] == pytest.approx(cam.times_s.tolist())
    assert doc["versus"] == "red square"

    for heats in drawn:
        assert not heats[0][0].values.any()
        assert heats[0][0].against is not None
    assert max(float(heats[0][0].against.max()) for heats in drawn) > 0.5
    assert made.plain is not None
    change = made.pictures[("cam", "nothing")].astype(int) - made.plain
    assert (change[..., 2] - change[..., 0]).max() > 40  # blue
    assert (change[..., 2] - change[..., 0]).min() > -30  # and no orange, only another way to enlarge

    told = "layercam cannot speak against a class, so what speaks for 'red square' is missing there"
    assert told in made.notes
    assert "nothing speaks for 'nothing' rather than 'red square' according to cam, layercam" in made.notes
    assert "nothing 0" in made.in_words()
    assert "% rather than red square" in made.in_words()
    text = (tmp_path / "a.html").read_text()
    assert "1 explanation" not in text
    assert "of “nothing” rather than “red square”</h1>" in text
    assert "The difference over time" in text
    plot = text[text.index("The difference over time") : text.index("<h2>The methods")]
    assert plot.count("<svg") == 1
    assert "nothing − red square" in plot
    assert ">cam</text>" in plot
    assert ">layercam</text>" not in plot  # it has no difference to show
    assert charts.AGAINST in plot
    assert charts.FOR not in plot


def test_methods_without_a_sign_have_no_difference_to_plot(engine: TorchEngine, clip: Path, tmp_path: Path) -> None:
    settings = Settings(classes=("red square",), versus="nothing")
    page = tmp_path / "a.html"
    compare.compare(clip, Outputs(reports={"html": page}), engine=engine, settings=settings, methods=("layercam",))
    assert "None of these methods shows evidence for “nothing”." in page.read_text()


def test_curves_are_filled_from_zero_in_two_colours() -> None:
    times = np.arange(5.0)
    text = charts.areas(
        {"both": np.array([0.0, 1, 0, -2, 0]), "one": np.array([0.0, np.nan, 4, 4, 0])}, times, title="", x="", signed=True
    )

    def heights(colour: str) -> list[float]:
        """Of each filled area, from its lowest to its highest point."""
        shapes = dict(re.findall(r'<path id="(\w+)" d="([^"]*)"', text))
        used = [shapes[name] for name in re.findall(rf'<use xlink:href="#(\w+)"[^>]*style="fill: {colour}', text)]
        used += re.findall(rf'<path d="([^"]*)"[^>]*style="fill: {colour}', text)
        ys = [[float(y) for y in re.findall(r"[ML] \S+ (\S+)", d)] for d in used]
        return [max(y) - min(y) for y in ys]

    above, below = heights(charts.FOR), heights(charts.AGAINST)
    assert len(below) == 1
    # Each by its own largest value; where nothing was looked at, the area is interrupted.
    assert above == pytest.approx([below[0] / 2, 0.0, below[0]], rel=1e-3)


@pytest.mark.parametrize("name", ["$\\frac$ a", "from $5 to $6", "走路"])
def test_names_in_plots_are_plain_text(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of characters that matplotlib's own font lacks
        text = charts.bars({name: (0.5, 0.4, 0.6), "x": (0.2, 0.1, 0.3)}, title=f"bars of {name}", best="x")
    assert f">{name}</text>" in text
    assert f">bars of {name}</text>" in text


# --- the command ---------------------------------------------------------------------------------------------------------------


def test_the_command_says_and_writes_it(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vidcam", "compare", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    words = (clip, "--model", MODEL, "--method", "cam", "--method", "layercam", "--class", "red square", "--end", "1.2")
    code, out, err = run(*words, "--report", "page.html")
    assert code == 0
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    assert re.search(r"red square \d+\.\d% -> page\.html", out)
    assert "agreement on 'red square': cam and layercam 1.00 (overlap 1.00)" in out
    assert re.search(r"\d ms per window \(1\.0 × the fastest\);", out)
    assert re.search(r"\d ms per window</small>", Path("page.html").read_text(encoding="utf-8"))
    assert "note: cam and layercam are one map here" in err
    code, out, err = run(*words, "--crf", "40", "-o", "grid.mp4")
    assert code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["grid.mp4", "page.html"]
    with open_source("grid.mp4") as written:
        assert len(list(written.frames())) == 12
    assert run(*words)[0] == 0
    assert Path("red.compare.html").is_file()

    for more, code, told in (
        ((), 1, "exists already"),
        (("--overwrite", "-o", "a.mp4", "--class", "green square"), 2, "unknown class 'green square'"),
        (("-o", "a.mp4", "--versus", "red square"), 2, "cannot be explained against itself"),
        (("-o", "a.mp4", "--method", "camm"), 2, "unknown method 'camm'"),
        (("-o", "a.mp4", "--json", "a.mp4"), 2, "named for two outputs"),
        (("-o", "a.avi"), 1, "must end in .mp4"),
        (("-o", "a.mp4", "--start", "5"), 2, "the end must lie after the start"),
    ):
        found, out, err = run(*words, *more)
        assert (found, out) == (code, ""), more
        assert told in " ".join(err.split()), more
    assert run(tmp_path / "none.mp4", "--model", MODEL)[0] == 1
    assert run(clip, "--model", MODEL, "--method", "attention-rollout", "-o", "a.mp4")[0] == 2
    assert not Path("a.mp4").exists()
    code, out, err = run(*words, "-o", "q.mp4", "--quiet")
    assert (code, out, err) == (0, "", "")


def test_a_folder_of_several_videos_is_not_one(clip: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(clip.read_bytes())
    with pytest.raises(UsageError, match="there are 2 videos: name the folder for their comparisons with --out-dir"):
        plan_comparison([str(tmp_path)], output=None, html=None, json=None, form=Outputs())


def test_unknown_names_are_told_before_any_work(engine: TorchEngine, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("explain_by_methods", "predict"):
        monkeypatch.setattr(compare, name, lambda *_, **__: pytest.fail("explained something"))
    with pytest.raises(UnknownNameError, match="green"):
        compare.compare(clip, engine=engine, settings=Settings(classes=("green square",)))
    with pytest.raises(UnknownNameError, match="blue"):
        compare.compare(clip, engine=engine, settings=Settings(versus="blue square"))
    with pytest.raises(UnknownNameError, match="gradcammm"):
        compare.compare(clip, engine=engine, methods=("gradcammm",))


def test_the_numbers_of_a_matrix_can_be_read() -> None:
    """White only on dark ground: in the sequential colours that is the upper end alone, in the diverging ones both ends."""

    def whites(low: float) -> list[str]:
        text = charts.matrix(np.array([[1.0, 0.1], [0.1, -0.95 if low < 0 else 0.9]]), ["a", "b"], title="", low=low)
        return re.findall(r'<text style="[^"]*fill: #ffffff[^>]*>([^<]*)<', text)

    assert whites(0.0) == ["1.00", "0.90"]
    assert whites(-1.0) == ["1.00", "-0.95"]


def test_five_methods_share_decoding_and_forward_passes(engine: TorchEngine, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of five methods that read the same layer would decode the video and run the network on its own otherwise."""
    decodes: list[str] = []
    clips_run: list[int] = []
    frames, forward = Source.frames, type(engine.model).forward

    def count_decode(self: Source, **part: float | None) -> object:
        decodes.append(self.info.path)
        return frames(self, **part)

    def count_forward(self: TorchModel, clips: Any) -> ForwardOutput:
        clips_run.append(len(clips))
        return forward(self, clips)

    monkeypatch.setattr(Source, "frames", count_decode)
    monkeypatch.setattr(type(engine.model), "forward", count_forward)
    monkeypatch.setattr(compare, "measure_costs", lambda source, engine, settings, methods: {m.name: 1.0 for m in methods})
    settings = Settings(classes=("red square", "nothing"))
    names = ("cam", "gradcam", "xgradcam", "hirescam", "layercam")
    result = compare.compare(clip, engine=engine, settings=settings, methods=names)
    assert [entry.method.name for entry in result.entries] == list(names)
    assert len(decodes) == 1
    assert sum(clips_run) == len(result.entries[0].analysis.windows)
    alone = explain(clip, engine=engine, settings=replace(settings, method="layercam"))
    shared = result.entries[-1].analysis
    for label in settings.classes:
        one, other = shared.drawn[label][0].maps, alone.drawn[label][0].maps
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6 * np.nanmax(np.abs(other)))
