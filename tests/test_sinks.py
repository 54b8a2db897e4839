"""Files for other tools: two red squares at known places and frames are found again by readers written from the tools' rules."""

from __future__ import annotations

import base64
import io
import itertools
import json
import sys
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import av
import cv2
import numpy as np
import pytest
from support import planted, squares
from support.media import number, write_clip
from typer.testing import CliRunner

from vidcam import annotation
from vidcam.analysis import Analysis
from vidcam.annotation import Outputs
from vidcam.cli.main import app
from vidcam.engine import TorchEngine, open_engine
from vidcam.errors import OutputError
from vidcam.evidence.heat import render_heat
from vidcam.evidence.tubes import find_tubes
from vidcam.io.extras import MissingExtraError
from vidcam.io.video_pieces import video_pieces
from vidcam.reports import coco
from vidcam.reports.cvat import write_cvat
from vidcam.reports.fiftyone import write_fiftyone
from vidcam.reports.label_studio import labeling_config, write_label_studio
from vidcam.reports.small_heat import shrink, small_size
from vidcam.settings import Settings

Boxes = dict[int, list[float]]
"""Boxes (y0, x0, y1, x1) in pixels by the number of the frame, counted from 0."""

CLOSE = 9
"""Pixels by which a box may be off: the network's cells are 8 pixels wide."""


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    return open_engine(f"{planted.__file__}:patches")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return squares.write_squares(tmp_path_factory.mktemp("sinks") / "two & a half.mp4")


def explain(clip: Path, engine: TorchEngine, **settings: Any) -> Analysis:
    chosen = Settings(classes=("red square",), smooth_s=0, seconds_between_clip_starts=0.4, **settings)
    return annotation.explain(clip, engine=engine, settings=chosen)


@pytest.fixture(scope="module")
def analysis(engine: TorchEngine, clip: Path) -> Analysis:
    return explain(clip, engine)


def check_boxes(tracks: list[Boxes], *, first: int = 0, stretch: tuple[float, float] = (1, 1)) -> None:
    """Check that the two tracks are the two squares, seen from frame ``first`` on, in a picture that is stretched (y, x)."""
    assert len(tracks) == 2
    for boxes, span, box_of in zip(tracks, (squares.STILL, squares.MOVING), (squares.still_box, squares.moving_box), strict=True):
        assert abs(min(boxes) - max(span[0], first)) <= 1
        assert abs(max(boxes) - (span[1] - 1)) <= 1
        for frame in range(max(span[0] + 1, first + 1), span[1] - 1):
            truth = np.array(box_of(frame)) * np.array([*stretch, *stretch])
            assert boxes[frame] == pytest.approx(truth, abs=CLOSE * max(stretch))


def between(keys: Mapping[int, tuple[list[float], bool]]) -> Boxes:
    """Return the boxes of all frames from key frames (box, whether it goes on), changed linearly up to the next key frame."""
    boxes: Boxes = {}
    for a, b in itertools.pairwise(sorted(keys)):
        if not keys[a][1]:
            continue
        for frame in range(a, b):
            share = (frame - a) / (b - a)
            boxes[frame] = [(1 - share) * p + share * q for p, q in zip(keys[a][0], keys[b][0], strict=True)]
    return boxes


# ---------------------------------------------------------------------------------------------------------------- CVAT


def read_cvat(path: Path) -> tuple[list[Boxes], ElementTree.Element]:
    """Read the tracks by CVAT's rules: linear between key frames, until one that is outside or else the end of the video."""
    root = ElementTree.parse(path).getroot()
    size = int(root.findtext("meta/task/size", ""))
    tracks = []
    for track in root.iter("track"):
        keys = {}
        for box in track.iter("box"):
            assert box.get("keyframe") == "1"
            place = [float(box.get(name, "")) for name in ("ytl", "xtl", "ybr", "xbr")]
            keys[int(box.get("frame", ""))] = place, box.get("outside") == "0"
        last = max(keys)
        tracks.append(between(keys) | (dict.fromkeys(range(last, size), keys[last][0]) if keys[last][1] else {}))
    return tracks, root


def test_cvat_tracks_are_the_squares_frame_by_frame(analysis: Analysis, clip: Path, tmp_path: Path) -> None:
    write_cvat(analysis, tmp_path / "t.xml")
    tracks, root = read_cvat(tmp_path / "t.xml")
    check_boxes(tracks)
    assert root.findtext("version") == "1.1"
    task = root.find("meta/task")
    assert task is not None
    assert task.findtext("name") == clip.name
    assert task.findtext("size") == "50"
    assert task.findtext("labels/label/name") == "red square"
    assert {t.get("label") for t in root.iter("track")} == {"red square"}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_cvat_frames_count_from_the_file_not_from_the_part(suffix: str, engine: TorchEngine, tmp_path: Path) -> None:
    clip = squares.write_squares(tmp_path / f"part{suffix}", b_frames=2, start=0.7)
    write_cvat(explain(clip, engine, start_s=2.0), tmp_path / "t.xml")
    tracks, root = read_cvat(tmp_path / "t.xml")
    check_boxes(tracks, first=20)
    assert root.findtext("meta/task/size") == "50"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_cvat_tracks_end_with_the_part_not_with_the_video(suffix: str, engine: TorchEngine, tmp_path: Path) -> None:
    clip = squares.write_squares(tmp_path / f"part{suffix}", b_frames=2, start=0.7)
    write_cvat(explain(clip, engine, end_s=3.0), tmp_path / "t.xml")
    tracks, root = read_cvat(tmp_path / "t.xml")
    assert root.findtext("meta/task/size") == "50"
    assert [max(boxes) for boxes in tracks] == [29, 29]


def test_cvat_boxes_are_in_the_pixels_that_the_file_stores(engine: TorchEngine, tmp_path: Path) -> None:
    clip = squares.write_squares(
        tmp_path / "wide.mp4", sar=Fraction(2), size=(128, 64), picture=lambda i: squares.picture(i)[:, ::2]
    )
    analysis = explain(clip, engine)
    assert (analysis.source.height, analysis.source.width) == (128, 128)
    write_cvat(analysis, tmp_path / "t.xml")
    tracks, root = read_cvat(tmp_path / "t.xml")
    check_boxes(tracks, stretch=(1, 0.5))
    assert root.findtext("meta/task/original_size/width") == "64"


def test_cvat_labels_may_hold_any_character(analysis: Analysis, tmp_path: Path) -> None:
    nasty = 'a <b> & "c" \x00\udcff'
    drawn = {nasty: tuple(replace(t, label=nasty) for t in analysis.drawn["red square"])}
    write_cvat(replace(analysis, drawn=drawn), tmp_path / "t.xml")
    _, root = read_cvat(tmp_path / "t.xml")
    assert {t.get("label") for t in root.iter("track")} == {'a <b> & "c" \ufffd\ufffd\ufffd\ufffd'}


# ------------------------------------------------------------------------------------------------------- Label Studio


def read_label_studio(path: Path) -> tuple[list[Boxes], dict[str, Any]]:
    """Read the rectangles by Label Studio's rules: from 1, in percent, linear between keys; a disabled key is the last frame."""
    (task,) = json.loads(path.read_text())
    tracks = []
    for item in task["predictions"][0]["result"]:
        if item["type"] != "videorectangle":
            continue
        keys = {}
        for key in item["value"]["sequence"]:
            x, y, w, h = (key[name] * 1.28 for name in ("x", "y", "width", "height"))
            keys[key["frame"] - 1] = [y, x, y + h, x + w], key["enabled"]
            assert key["time"] == pytest.approx((key["frame"] - 1) / squares.FPS, abs=0.051)
        last = max(keys)
        assert [n for n, (_, enabled) in keys.items() if not enabled] == [last]
        tracks.append(between(keys) | {last: keys[last][0]})
    return tracks, task


def test_label_studio_rectangles_are_the_squares(analysis: Analysis, clip: Path, tmp_path: Path) -> None:
    write_label_studio(analysis, tmp_path / "t.json")
    tracks, task = read_label_studio(tmp_path / "t.json")
    check_boxes(tracks)
    assert task["data"]["fps"] == squares.FPS
    assert task["data"]["video"] == "/data/local-files/?d=" + str(clip.resolve())[1:]
    assert {item["value"]["framesCount"] for item in task["predictions"][0]["result"] if "framesCount" in item["value"]} == {50}


@pytest.mark.parametrize("part", [{"end_s": 3.0}, {"start_s": 1.0, "end_s": 3.0}, {"end_s": 60.0}])
def test_label_studio_counts_the_frames_of_the_whole_video(
    part: dict[str, float], engine: TorchEngine, clip: Path, tmp_path: Path
) -> None:
    write_label_studio(explain(clip, engine, **part), tmp_path / "t.json")
    tracks, task = read_label_studio(tmp_path / "t.json")
    values = [item["value"] for item in task["predictions"][0]["result"] if "framesCount" in item["value"]]
    assert {(value["framesCount"], value["duration"]) for value in values} == {(50, 5.0)}
    assert max(max(boxes) for boxes in tracks) == (29 if part["end_s"] == 3 else squares.STILL[1] - 1)


def test_label_studio_spans_are_the_segments(analysis: Analysis, tmp_path: Path) -> None:
    write_label_studio(analysis, tmp_path / "t.json")
    (task,) = json.loads((tmp_path / "t.json").read_text())
    spans = [item["value"] for item in task["predictions"][0]["result"] if item["type"] == "timelinelabels"]
    assert [s["timelinelabels"] for s in spans] == [[s.label] for s in analysis.segments]
    ((first, last),) = [(r["start"], r["end"]) for s in spans for r in s["ranges"]]
    assert (first, last) == pytest.approx((squares.STILL[0] + 1, squares.STILL[1]), abs=1)


def test_label_studio_config_has_every_label_that_results_use(analysis: Analysis, tmp_path: Path) -> None:
    nasty = 'a <b> & "c"'
    drawn = {nasty: tuple(replace(t, label=nasty, maps=-np.asarray(t.maps)) for t in analysis.drawn["red square"])}
    write_label_studio(replace(analysis, drawn=drawn), tmp_path / "t.json")
    root = ElementTree.fromstring(labeling_config(json.loads((tmp_path / "t.json").read_text())))
    assert [e.get("value") for e in root.findall("Labels/Label")] == [f"against {nasty}"]
    assert [e.get("value") for e in root.findall("TimelineLabels/Label")] == ["red square"]


# ----------------------------------------------------------------------------------------------------------- FiftyOne


def read_fiftyone(path: Path) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """Read the sample and its frames, counted from 1, from the folder that FiftyOne looks for: it is called like the zip."""
    with zipfile.ZipFile(path) as archive:
        folder = zipfile.Path(archive, f"{path.stem}/")
        assert json.loads((folder / "metadata.json").read_text("utf-8"))["media_type"] == "video"
        (sample,) = json.loads((folder / "samples.json").read_text("utf-8"))["samples"]
        frames = json.loads((folder / sample["frames"]).read_text("utf-8"))["frames"]
    return sample, {int(number): labels for number, labels in frames.items()}


def test_fiftyone_detections_are_the_squares_in_every_frame(analysis: Analysis, clip: Path, tmp_path: Path) -> None:
    write_fiftyone(analysis, tmp_path / "t.zip")
    sample, frames = read_fiftyone(tmp_path / "t.zip")
    assert sample["filepath"] == str(clip.resolve())
    tracks: dict[int, Boxes] = {1: {}, 2: {}}
    for n, labels in frames.items():
        assert labels["frame_number"] == n
        for found in labels.get("evidence", {"detections": ()})["detections"]:
            x, y, w, h = (value * 128 for value in found["bounding_box"])
            tracks[found["index"]][n - 1] = [y, x, y + h, x + w]
    check_boxes(list(tracks.values()))


@pytest.mark.parametrize("name", ["why.zip", "a.b & ü.zip", "bad\udcff.zip"])
def test_fiftyone_zip_leaves_nothing_beside_the_folder_of_its_name(name: str, analysis: Analysis, tmp_path: Path) -> None:
    write_fiftyone(analysis, tmp_path / name)
    with zipfile.ZipFile(tmp_path / name) as archive:
        folder = Path(name).stem.replace("\udcff", "\ufffd" * 3)
        assert archive.namelist() == [f"{folder}/{file}" for file in ("metadata.json", "samples.json", "frames/1.json")]


def test_fiftyone_heat_is_where_and_when_the_squares_are(analysis: Analysis, tmp_path: Path) -> None:
    write_fiftyone(analysis, tmp_path / "t.zip")
    _, frames = read_fiftyone(tmp_path / "t.zip")
    for i in range(squares.FRAMES):
        boxes = [box for box in (squares.still_box(i), squares.moving_box(i)) if box is not None]
        if not boxes:
            continue
        heat = np.load(io.BytesIO(zlib.decompress(base64.b64decode(frames[i + 1]["heat"]["map"]))))
        assert (heat.shape, heat.dtype) == ((32, 32), np.uint8)
        for y0, x0, y1, x1 in boxes:
            assert heat[y0 // 4 : y1 // 4, x0 // 4 : x1 // 4].max() > 200 or i in (*squares.STILL, *squares.MOVING, 39, 34)
        far = np.ones((32, 32), bool)
        for y0, x0, y1, x1 in boxes:
            far[max(0, y0 // 4 - 4) : y1 // 4 + 4, max(0, x0 // 4 - 4) : x1 // 4 + 4] = False
        assert heat[far].max() < 60
    assert not {n for n, labels in frames.items() if "heat" in labels} & {1, 2, 3, 47, 48, 49}


def test_fiftyone_supports_count_from_one_and_include_the_end(analysis: Analysis, tmp_path: Path) -> None:
    write_fiftyone(analysis, tmp_path / "t.zip")
    sample, _ = read_fiftyone(tmp_path / "t.zip")
    (segment,) = sample["segments"]["detections"]
    assert segment["support"] == pytest.approx([squares.STILL[0] + 1, squares.STILL[1]], abs=1)
    answers = sample["answers"]["detections"]
    assert answers[0]["support"][0] == 1
    assert answers[-1]["support"][1] == squares.FRAMES
    assert all(a["support"][1] + 1 == b["support"][0] for a, b in itertools.pairwise(answers))


def test_small_heat_is_the_full_heat_made_smaller(analysis: Analysis) -> None:
    tracks, source = analysis.drawn["red square"], (analysis.source.height, analysis.source.width)
    size = small_size(source, 32)
    full = render_heat(tracks, time=2.0, scale=analysis.scale, size=source)
    small = render_heat(shrink(tracks, source, size), time=2.0, scale=analysis.scale, size=size)
    assert full is not None
    assert small is not None
    expected = cv2.resize(full.values, size[::-1], interpolation=cv2.INTER_AREA)
    assert expected.max() > 0.9
    np.testing.assert_allclose(small.values, expected, atol=0.15)  # a block's middle for its mean


# --------------------------------------------------------------------------------------------------- COCO, video pieces


def test_coco_is_written_piece_by_piece_as_it_is_returned(analysis: Analysis, tmp_path: Path) -> None:
    coco.write_coco(analysis, tmp_path / "t.json")
    written = json.loads((tmp_path / "t.json").read_text())
    assert written == json.loads(json.dumps(coco.to_coco(analysis, find_tubes(analysis))))
    assert len(written["images"]) == 50
    assert len(written["annotations"]) > 30


def decoded(content: bytes) -> list[int]:
    with av.open(io.BytesIO(content)) as file:
        return [number(frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]


@pytest.mark.parametrize(("suffix", "b_frames"), [(".mp4", 0), (".mp4", 2), (".mkv", 2), (".webm", 0)])
def test_video_pieces_hold_every_picture_once(suffix: str, b_frames: int, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / f"c{suffix}", frames=50, fps=10, gop=10, b_frames=b_frames, start=0.5)
    pieces = list(video_pieces(str(clip), start_s=0, end_s=99, max_bytes=1))
    assert len(pieces) == 5
    assert [n for piece in pieces for n in decoded(piece.content)] == list(range(50))
    assert np.concatenate([piece.times for piece in pieces]) == pytest.approx(0.5 + np.arange(50) / 10, abs=0.002)
    (whole,) = video_pieces(str(clip), start_s=0, end_s=99, max_bytes=10**9)
    assert decoded(whole.content) == list(range(50))


def test_video_pieces_outside_of_the_part_are_left_out(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mp4", frames=50, fps=10, gop=10)
    pieces = list(video_pieces(str(clip), start_s=2.25, end_s=2.95, max_bytes=1))
    assert [decoded(piece.content) for piece in pieces] == [list(range(20, 30))]


# ------------------------------------------------------------------------------------------------------- the table of formats


def test_the_command_line_writes_them_for_one_video_and_for_many(tmp_path: Path) -> None:
    clips = [squares.write_squares(tmp_path / f"{name}.mp4", frames=12) for name in "ab"]
    names = {"coco": ".json", "cvat": ".xml", "fiftyone": ".zip", "label-studio": ".task.json"}
    words = [w for name, suffix in names.items() for w in ("--format", f"{name}={tmp_path}/o/{{name}}{suffix}")]
    given = [*map(str, clips), "--out-dir", f"{tmp_path}/o", "--model", f"{planted.__file__}:patches", *words]
    result = CliRunner().invoke(app, ["annotate", *given])
    assert result.exit_code == 0, result.output
    written = {p.name for p in (tmp_path / "o").iterdir()}
    assert {f"{name}{suffix}" for name in "ab" for suffix in names.values()} <= written


def test_a_missing_package_is_named_before_any_work(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(MissingExtraError, match=r"a\.rrd needs the package rerun: pip install 'vidcam\[rerun\]'"):
        Outputs(reports={"rerun": tmp_path / "a.rrd"}).check(str(clip))
    Outputs(reports={"cvat": tmp_path / "a.xml"}).check(str(clip))


@pytest.mark.parametrize("write", [write_cvat, write_fiftyone, write_label_studio, coco.write_coco])
def test_an_existing_file_is_kept(write: Any, analysis: Analysis, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write(analysis, tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "mine"


def test_tubes_without_masks_have_the_same_boxes(analysis: Analysis) -> None:
    with_masks, without = (find_tubes(analysis, masks=masks) for masks in (True, False))
    assert [[replace(o, runs=()) for o in t.outlines] for t in with_masks] == [list(t.outlines) for t in without]
    assert with_masks[0].outlines[0].runs
