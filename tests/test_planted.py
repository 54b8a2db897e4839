"""End to end on a network whose evidence is known: the heat is on the square, at the square's second."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from support import planted
from support.media import write_clip

from vidcam import annotation
from vidcam.analysis import Analysis
from vidcam.engine import open_engine
from vidcam.evidence.heat import render_heat
from vidcam.settings import Settings

SIDE = 40
ON = (1.2, 1.8)  # seconds in which the square is there
SECONDS = 3.2


def scene(times: list[float], *, size: tuple[int, int], centre: tuple[float, float]):
    """Draw a noisy grey room in which a red square appears at ``centre`` (y, x) while ``ON``."""
    noise = np.random.default_rng(0).integers(90, 150, (*size, 1)).astype(np.uint8).repeat(3, axis=2)

    def picture(i: int) -> np.ndarray:
        image = noise.copy()
        if ON[0] <= times[i] < ON[1]:
            y, x = (round(c - SIDE / 2) for c in centre)
            image[max(0, y) : y + SIDE, max(0, x) : x + SIDE] = (230, 20, 20)
        return image

    return picture


@pytest.fixture(scope="module")
def engines() -> dict[str, object]:
    return {name: open_engine(f"{planted.__file__}:{name}") for name in ("patches", "strided")}


def run(path: Path, engine: object, **settings: object) -> Analysis:
    return annotation.explain(path, engine=engine, settings=Settings(classes=("red square",), smooth_s=0.0, **settings))


def found(analysis: Analysis, label: str = "red square") -> tuple[float, float, float]:
    """Return second, row and column of the middle of the heat."""
    curve = np.nan_to_num(analysis.curves[label])
    strong = curve > curve.max() / 2
    second = float((analysis.times_s * curve)[strong].sum() / curve[strong].sum())
    size = analysis.source.height, analysis.source.width
    heat = render_heat(analysis.drawn[label], time=second, scale=analysis.scale, size=size, against=False)
    assert heat is not None
    core = np.where(heat.values > heat.values.max() / 2, heat.values, 0)
    ys, xs = np.mgrid[: size[0], : size[1]]
    return second, float((ys * core).sum() / core.sum()), float((xs * core).sum() / core.sum())


EVEN = [i / 30 for i in range(int(SECONDS * 30))]
UNEVEN = sorted({*np.arange(0, SECONDS, 1 / 12).round(4), *np.arange(0.5, 2.5, 1 / 40).round(4)})

CASES = {
    "plain": {},
    "left edge of the crop": {"centre": (120, 70)},
    "landscape crop": {"size": (180, 320), "centre": (60, 200)},
    "portrait": {"size": (320, 180), "centre": (200, 60)},
    "rotated 90": {"rotation": 90, "centre": (80, 190)},
    "rotated 180": {"rotation": 180, "centre": (80, 190)},
    "rotated 270": {"rotation": 270, "centre": (80, 190)},
    "variable rate": {"times": UNEVEN},
    "late start": {"start": 1.4},
    "wide pixels": {"sar": Fraction(3, 2), "size": (240, 240), "centre": (100, 150)},
    "tall pixels": {"sar": Fraction(2, 3), "size": (240, 320), "centre": (100, 150)},
}


@pytest.mark.parametrize("case", CASES)
def test_the_heat_is_where_and_when_the_square_is(case: str, engines: dict[str, object], tmp_path: Path) -> None:
    facts = {"size": (240, 320), "centre": (150, 180), "times": EVEN, "start": 0.0, **CASES[case]}
    size, centre, times = facts["size"], facts["centre"], facts["times"]
    sar = facts.get("sar")
    clip = write_clip(
        tmp_path / "scene.mp4",
        frames=len(times),
        size=size,
        times=times,
        start=facts["start"],
        rotation=facts.get("rotation", 0),
        sar=sar,
        picture=scene(times, size=size, centre=centre),
    )
    # The smaller axis is enlarged to make pixels square.
    wide = float(sar) if sar and sar > 1 else 1.0
    tall = 1 / float(sar) if sar and sar < 1 else 1.0
    height, width = size[0] * tall, size[1] * wide
    cell = 8 * min(height, width) / 128  # source pixels: stride 8 in a picture whose short side became 128
    middle = facts["start"] + sum(ON) / 2
    for net, half_a_cell_s in (("patches", 0.05), ("strided", 0.1)):
        analysis = run(clip, engines[net], seconds_between_clip_starts=0.4)
        second, y, x = found(analysis)
        assert (analysis.source.height, analysis.source.width) == pytest.approx((height, width), abs=1), net
        # The square's middle in pixel centres, within half a cell of the map.
        assert y == pytest.approx(round(centre[0] - SIDE / 2) * tall + (SIDE * tall - 1) / 2, abs=cell / 2), net
        assert x == pytest.approx(round(centre[1] - SIDE / 2) * wide + (SIDE * wide - 1) / 2, abs=cell / 2), net
        # In time: half a cell; samples fall on any frame of the interval.
        assert second == pytest.approx(middle, abs=0.05 + half_a_cell_s), net
        assert analysis.completeness_error == pytest.approx(0, abs=1e-4), net


def test_outside_the_crop_nothing_is_invented_and_cover_sees_it(engines: dict[str, object], tmp_path: Path) -> None:
    size, centre = (180, 480), (90, 30)
    clip = write_clip(
        tmp_path / "wide.mp4", frames=len(EVEN), size=size, times=EVEN, picture=scene(EVEN, size=size, centre=centre)
    )
    blind = run(clip, engines["patches"], seconds_between_clip_starts=0.4)
    assert np.nanmax(blind.curves["red square"]) == pytest.approx(0, abs=1e-3)
    seen = blind.drawn["red square"][0].seen
    heat = render_heat(blind.drawn["red square"], time=1.5, scale=blind.scale, size=size, against=False)
    assert heat.values[:, : int(seen.x0)].max() == 0
    assert heat.values[:, int(np.ceil(seen.x1)) :].max() == 0
    # The crop of 112 of 128 rows, square, in 180 x 480.
    assert blind.unseen_fraction == pytest.approx(1 - (180 * 112 / 128) ** 2 / (180 * 480), abs=1e-3)

    covering = run(clip, engines["patches"], seconds_between_clip_starts=0.4, cover=True)
    second, y, x = found(covering)
    assert (y, x) == pytest.approx((centre[0] - 0.5, centre[1] - 0.5), abs=180 / 112 * 8 / 2)
    assert second == pytest.approx(sum(ON) / 2, abs=0.1)
    assert covering.unseen_fraction == pytest.approx(0, abs=1e-6)
    assert covering.completeness_error == pytest.approx(0, abs=1e-4)


def test_seconds_between_windows_are_unseen(engines: dict[str, object], tmp_path: Path) -> None:
    size, times = (120, 160), [i / 15 for i in range(75)]
    clip = write_clip(
        tmp_path / "long.mp4", frames=len(times), size=size, times=times, picture=scene(times, size=size, centre=(60, 80))
    )
    analysis = run(clip, engines["patches"], seconds_between_clip_starts=2.0, tail="drop")  # windows of 0.8 s at 0, 2 and 4 s
    tracks = analysis.drawn["red square"]
    moments = (0.3, 1.4, 2.3, 3.5, 4.3, 4.9)
    looked = [render_heat(tracks, time=t, scale=1.0, size=size, against=False) is not None for t in moments]
    assert looked == [True, False, True, False, True, False]
    assert analysis.times_s[-1] > 4.8
    assert np.isnan(analysis.curves["red square"][-1])
    seconds_seen = 3 * 0.8 / 5
    area_seen = (120 * 112 / 128) ** 2 / (120 * 160)
    assert analysis.unseen_fraction == pytest.approx(1 - seconds_seen * area_seen, abs=0.03)
