"""Evidence as tubes: two red squares at known places and seconds come out as two tubes, in every format."""

from __future__ import annotations

import csv
import gc
import io
import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import planted
from support.media import write_clip
from support.squares import write_squares

from vidcam import annotation
from vidcam.analysis import Analysis
from vidcam.annotation import Outputs
from vidcam.engine import TorchEngine, open_engine
from vidcam.errors import OutputError, UsageError
from vidcam.evidence import tubes
from vidcam.io.source import open_source
from vidcam.reports import coco
from vidcam.reports.frame_numbers import tubes_at
from vidcam.settings import Settings


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    return open_engine(f"{planted.__file__}:patches")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_squares(tmp_path_factory.mktemp("tubes") / "two.mp4")


@pytest.fixture(scope="module")
def analysis(engine: TorchEngine, clip: Path) -> Analysis:
    settings = Settings(classes=("red square",), smooth_s=0, seconds_between_clip_starts=0.4)
    return annotation.explain(clip, engine=engine, settings=settings)


def test_two_squares_are_two_tubes_at_their_places_and_seconds(analysis: Analysis) -> None:
    still, moving = tubes.find_tubes(analysis)
    assert (still.id, moving.id) == (1, 2)
    assert {still.label, moving.label} == {"red square"}
    assert (still.start_s, still.end_s) == pytest.approx((1.0, 4.0), abs=0.11)
    assert (moving.start_s, moving.end_s) == pytest.approx((2.5, 3.5), abs=0.11)
    assert still.share / moving.share == pytest.approx(3.0, rel=0.2)  # three times as long, of the same size
    for outline in still.outlines:
        assert (outline.box.y0, outline.box.x0, outline.box.y1, outline.box.x1) == pytest.approx((24, 20, 48, 44), abs=8)
    for outline in moving.outlines:
        x = 60 + 20 * (outline.time - 2.5)
        assert (outline.box.x0, outline.box.x1) == pytest.approx((x, x + 24), abs=9)
    assert [o.time for o in still.outlines] == sorted(o.time for o in still.outlines)


def test_no_tube_ends_after_the_video(analysis: Analysis) -> None:
    last = max(tube.outlines.times[-1] for tube in tubes.find_tubes(analysis))
    cut = replace(analysis, duration_s=last + 0.04)  # less than the step of 0.1 s is left
    assert max(tube.end_s for tube in tubes.find_tubes(cut)) == pytest.approx(last + 0.04)


def test_squares_that_touch_at_one_moment_are_one_tube() -> None:
    frames = np.zeros((3, 8, 12), np.float32)
    frames[0, 2:4, 1:4] = frames[0, 2:4, 8:11] = 1.0
    frames[1, 2:4, 1:11] = 0.5
    frames[2, 2:4, 1:4] = frames[2, 2:4, 8:11] = 1.0
    ((share, outlines),) = tubes._connect(enumerate(frames), 0.3)
    assert share == pytest.approx(1.0)
    assert [o.time for o in outlines] == [0.0, 1.0, 2.0]
    assert (outlines[0].box.x0, outlines[0].box.x1) == (1, 11)
    assert sum(outlines[0].runs[1::2]) == 12


def test_a_gap_in_time_ends_a_tube() -> None:
    weak = [np.full((4, 4), value, np.float32) for value in (1.0, 0.1, 1.0)]
    assert len(tubes._connect(enumerate(weak), 0.3)) == 2
    unseen = [np.ones((4, 4), np.float32), None, np.ones((4, 4), np.float32)]
    assert len(tubes._connect(enumerate(unseen), 0.3)) == 2
    assert tubes._connect(enumerate([None, weak[1]]), 0.3) == []


def blinking(moments: int) -> Iterator[tuple[float, np.ndarray]]:
    """A bar that never ends, whose length changes at each moment, and a spot at every third."""
    for i in range(moments):
        heat = np.zeros((12, 12), np.float32)
        heat[2:5, 1 : 5 + i % 5] = 1.0
        heat[9:11, 9:11] = i % 3 == 0
        yield i / 10, heat


def kept_bytes(moments: int) -> int:
    tubes._connect(blinking(3), 0.3, masks=False)  # what is imported on the way
    tracemalloc.start()
    found = tubes._connect(blinking(moments), 0.3, masks=False, least=tubes.MIN_SHARE)
    gc.collect()  # sparse arrays refer to themselves
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [len(outlines) for _, outlines in found] == [moments]  # without the spots
    return kept


def test_boxes_of_a_long_tube_take_few_bytes_each() -> None:
    longer = kept_bytes(600) - kept_bytes(300)
    assert longer < 300 * 40  # a time of 8 bytes and a box of 16; as objects they would take ten times as much


def test_tubes_at_rising_times_are_those_of_a_dictionary() -> None:
    found = [
        tubes.Tube(i, "a", 1, 0.0, 1.0, share, outlines)
        for i, (share, outlines) in enumerate(tubes._connect(blinking(30), 0.3), 1)
    ]
    steps = [-1.0, 0.0, 0.0, 0.1, 0.3, 0.35, 0.6, 2.9, 2.9, 7.0, 7.0]
    expected = [[(tube, o) for tube in found for o in tube.outlines if o.time == step] for step in steps]
    assert [len(pairs) for pairs in expected] == [0, 2, 2, 1, 2, 0, 2, 1, 1, 0, 0]
    assert list(tubes_at(found, steps)) == expected


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_give_the_mask_back(seed: int) -> None:
    mask = np.random.default_rng(seed).random((5, 7)) < (0.0, 0.2, 0.5, 0.8, 1.0)[seed]
    runs = tubes.run_lengths(mask)
    flat = [value for i, n in enumerate(runs) for value in [i % 2 == 1] * n]
    np.testing.assert_array_equal(np.array(flat).reshape(7, 5).T, mask)


def test_every_format_holds_the_same_tubes(analysis: Analysis, tmp_path: Path) -> None:
    all_tubes = tubes.find_tubes(analysis)
    for name in ("t.json", "t.csv"):
        coco.write_tubes(analysis, tmp_path / name)
    plain = json.loads((tmp_path / "t.json").read_text())
    rows = list(csv.DictReader(io.StringIO((tmp_path / "t.csv").read_text())))
    assert [t["share"] for t in plain["tubes"]] == [t.share for t in all_tubes]
    assert len(rows) == sum(len(t.outlines) for t in all_tubes)
    boxes = [(o.time, *coco._xywh(o.box)) for t in all_tubes for o in t.outlines]
    assert boxes == [(b["time_s"], *b["box"]) for t in plain["tubes"] for b in t["boxes"]]
    written = [[float(row[key]) for key in ("time_s", "x", "y", "width", "height")] for row in rows]
    assert np.array(boxes) == pytest.approx(np.array(written))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_coco_file_loads_in_pycocotools_with_the_frames(analysis: Analysis, clip: Path, tmp_path: Path, capsys) -> None:
    from pycocotools.coco import COCO

    coco.write_tubes(analysis, tmp_path / "t.coco.json")
    loaded = COCO(tmp_path / "t.coco.json")
    capsys.readouterr()  # it talks
    all_tubes = tubes.find_tubes(analysis)
    with open_source(clip) as source:
        times = [frame.time for frame in source.frames()]
    images = loaded.loadImgs(sorted(loaded.getImgIds()))
    assert [image["time_s"] for image in images] == times
    assert [image["frame_id"] for image in images] == list(range(len(times)))
    assert [c["name"] for c in loaded.loadCats(loaded.getCatIds())] == ["red square"]
    steps = np.unique(np.concatenate([t.times for tracks in analysis.drawn.values() for t in tracks]))
    number = 0
    for image in images:
        step = min(steps, key=lambda s: (round(abs(s - image["time_s"]), 9), s))
        expected = {t.id: o for t in all_tubes for o in t.outlines if o.time == step}
        here = loaded.loadAnns(loaded.getAnnIds(imgIds=image["id"]))
        assert {a["track_id"] for a in here} == set(expected)
        number += len(here)
        for item in here:
            outline = expected[item["track_id"]]
            assert item["bbox"] == coco._xywh(outline.box)
            mask = loaded.annToMask(item)
            assert mask.shape == (image["height"], image["width"]) == (128, 128)
            assert mask.sum() == item["area"]
            ys, xs = np.nonzero(mask)
            assert [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1] == item["bbox"]
    assert number > len(images) / 2


def test_what_cannot_be_written_is_refused(analysis: Analysis, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.csv, \.json or \.coco\.json, got tubes\.xml"):
        coco.write_tubes(analysis, tmp_path / "tubes.xml")
    with pytest.raises(UsageError, match=r"between 0 and 1, got 1\.5"):
        tubes.find_tubes(analysis, threshold=1.5)
    (tmp_path / "t.csv").write_text("mine")
    with pytest.raises(OutputError):
        coco.write_tubes(analysis, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "mine"


def test_wrong_suffixes_are_refused_before_any_work(clip: Path, tmp_path: Path) -> None:
    for outputs, message in (
        (Outputs(video=tmp_path / "a.avi"), r"must end in \.mp4"),
        (Outputs(reports={"tubes": tmp_path / "a.xml"}), "tubes are"),
    ):
        with pytest.raises(OutputError, match=message):
            outputs.check(str(clip))


@pytest.mark.parametrize("left", [10, 290])
def test_the_verdict_is_about_the_crop_in_which_the_answer_is(left: int, engine: TorchEngine, tmp_path: Path) -> None:
    def picture(i: int) -> np.ndarray:
        image = np.full((128, 340, 3), 90, np.uint8)
        image[40:64, left : left + 24] = (230, 10, 10)
        return image

    clip = write_clip(tmp_path / "wide.mp4", frames=20, size=(128, 340), fps=10, picture=picture)
    settings = Settings(classes=("red square",), cover=True, verdict=True)
    verdict = annotation.explain(clip, engine=engine, settings=settings).verdict
    assert verdict is not None
    assert verdict.word == "supported"


def test_the_verdict_is_carried_to_the_reports(engine: TorchEngine, clip: Path, tmp_path: Path) -> None:
    settings = Settings(classes=("red square",), verdict=True)
    outputs = Outputs(reports={"json": tmp_path / "out.json", "html": tmp_path / "out.html", "tubes": tmp_path / "out.csv"})
    stages: list[str] = []
    annotation.annotate(clip, outputs, engine=engine, settings=settings, progress=lambda stage, done, total: stages.append(stage))
    verdict = json.loads((tmp_path / "out.json").read_text())["verdict"]
    assert (verdict["label"], verdict["word"]) == ("red square", "supported")
    assert verdict["margin"]["low"] > 0
    assert verdict["windows"] == 5  # of 0.8 s, at least half as sure as the surest, and none that overlaps a surer one
    assert "Can this map be trusted?" in (tmp_path / "out.html").read_text()
    assert "judge" in stages
    assert (tmp_path / "out.csv").read_text().startswith("id,label,sign,share,time_s,x,y,width,height\n1,red square,1,")
