"""Outlines of the people who act: their shapes against slow loops, the times between keyframes, and files that are malformed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from vidcam.errors import InputError, UsageError
from vidcam.io.outline_files import find_outlined, read_outlines, write_outlines
from vidcam.io.outline_shapes import ABSENT, BoxShape, Polygons, Runs, between, encode_runs
from vidcam.io.outlines import Actor, ClipOutlines, Keyframe

SIZE = 12, 16

STAR = ((1.2, 2.3), (14.7, 3.1), (3.4, 10.9), (8.0, 0.4), (12.6, 11.2))


def is_inside(y: float, x: float, ring: tuple[tuple[float, float], ...]) -> bool:
    """Count by hand how often a ray to the right crosses the ring."""
    crossings = 0
    for i in range(len(ring)):
        (x0, y0), (x1, y1) = ring[i - 1], ring[i]
        if min(y0, y1) <= y < max(y0, y1) and x0 + (y - y0) / (y1 - y0) * (x1 - x0) > x:
            crossings += 1
    return crossings % 2 == 1


def test_polygon_holds_pixels_whose_centre_is_inside() -> None:
    expected = [[is_inside(y + 0.5, x + 0.5, STAR) for x in range(SIZE[1])] for y in range(SIZE[0])]
    mask = Polygons((STAR,)).mask(SIZE)
    assert mask.tolist() == expected
    assert 10 < mask.sum() < 100
    square = ((1.0, 1.0), (4.0, 1.0), (4.0, 3.0), (1.0, 3.0))
    assert (Polygons((STAR, square)).mask(SIZE) == (mask | BoxShape(1, 1, 3, 2).mask(SIZE))).all()


@pytest.mark.parametrize("box", [(2, 3, 4, 5), (2.4, 3.6, 4, 5), (-3, -2, 5, 4), (10, 8, 20, 20)])
def test_box_holds_pixels_whose_centre_is_inside(box: tuple[float, float, float, float]) -> None:
    x0, y0, width, height = box
    expected = [[x0 <= x + 0.5 < x0 + width and y0 <= y + 0.5 < y0 + height for x in range(SIZE[1])] for y in range(SIZE[0])]
    assert BoxShape(*box).mask(SIZE).tolist() == expected


def test_runs_go_down_the_columns_and_begin_outside() -> None:
    mask = np.zeros((3, 4), bool)
    mask[1:, 1] = mask[0, 2] = True  # column after column: 000 011 100 000
    assert encode_runs(mask).counts == (4, 3, 5)
    random = np.random.default_rng(0).random(SIZE) < 0.5
    random[0, 0] = True
    assert (encode_runs(random).mask(SIZE) == random).all()
    with pytest.raises(UsageError, match=r"sum to the 12 pixels of the picture, got 2 that sum to 11"):
        Runs((3, 4), (5, 6))


def test_shapes_between_keyframes_move_on_straight_lines() -> None:
    assert between(BoxShape(0, 0, 4, 4), BoxShape(8, 4, 8, 2), 0.25) == BoxShape(2, 1, 5, 3.5)
    a, b = (((0.0, 0.0), (4.0, 0.0), (0.0, 4.0)),), (((2.0, 2.0), (6.0, 2.0), (2.0, 8.0)),)
    assert between(Polygons(a), Polygons(b), 0.5).rings == (((1.0, 1.0), (5.0, 1.0), (1.0, 6.0)),)
    with pytest.raises(UsageError, match="equal numbers of corners"):
        between(Polygons(a), BoxShape(0, 0, 1, 1), 0.5)


def actor(unit: str, between: str, *keyframes: tuple[float, object]) -> Actor:
    return Actor("a", unit, between, tuple(Keyframe(at, shape) for at, shape in keyframes))


def test_actor_is_known_from_first_to_last_keyframe() -> None:
    left, right = BoxShape(0, 0, 2, 2), BoxShape(10, 0, 2, 2)
    linear = actor("time", "linear", (1.0, left), (2.0, right), (3.0, ABSENT), (4.0, left))
    assert linear.shape_at(0, 0.9) is None
    assert linear.shape_at(0, 1.0004) == left  # times are rounded in containers
    assert linear.shape_at(0, 1.5) == BoxShape(5, 0, 2, 2)
    assert linear.shape_at(0, 2.5) == right  # nobody moves towards being absent
    assert linear.shape_at(0, 3.5) is ABSENT
    assert linear.shape_at(0, 4.1) is None
    hold = actor("frame", "hold", (0, left), (4, right))
    assert [hold.shape_at(n, 99.0) for n in (0, 3, 4, 5)] == [left, left, right, None]
    exact = actor("frame", "none", (0, left), (2, right))
    assert [exact.shape_at(n, 0.0) for n in range(4)] == [left, None, right, None]


def test_actors_add_up_and_spans_limit_them() -> None:
    a = actor("frame", "hold", (0, BoxShape(0, 0, 1, 1)), (9, ABSENT))
    b = actor("frame", "hold", (5, BoxShape(2, 0, 1, 1)), (9, ABSENT))
    clip = ClipOutlines("x", (1, 3), ("running",), (a, b), spans=((0.1, 0.8),))
    assert clip.mask_at(2, 0.2).tolist() == [[True, False, False]]
    assert clip.mask_at(5, 0.5).tolist() == [[True, False, True]]
    assert clip.mask_at(8, 0.8).tolist() == [[False, False, False]]
    assert clip.is_known(8, 0.8)
    assert clip.mask_at(10, 1.0) is None


@pytest.mark.parametrize(
    ("keyframes", "message"),
    [
        ((), "at least one"),
        (((1, ABSENT), (1, ABSENT)), "in the order of time"),
        (((0, BoxShape(0, 0, 1, 1)), (1, Runs((1, 1), (1,)))), "keyframes 0 and 1 are masks"),
        (((0, BoxShape(0, 0, 1, 1)), (1, Polygons((STAR,)))), 'keyframes 0 and 1: .* or use "between": "hold"'),
    ],
)
def test_actor_with_impossible_keyframes_is_refused(keyframes: tuple[tuple[float, object], ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        actor("frame", "linear", *keyframes)


# --- files -------------------------------------------------------------------------------------------------------------------


def document(**changes: object) -> dict[str, object]:
    keyframes = [{"time": 0, "box": [1, 2, 3, 4]}, {"time": 1.5, "absent": True}]
    values: dict[str, object] = {
        "schema_version": 1, "clip": "a.mp4", "size": [12, 16], "labels": ["walking"],
        "actors": [{"name": "man", "between": "linear", "keyframes": keyframes}],
    }  # fmt: skip
    return values | changes


def read(folder: Path, values: object) -> ClipOutlines:
    file = folder / "a.outlines.json"
    file.write_text(values if isinstance(values, str) else json.dumps(values))
    return read_outlines(file, folder)


def test_written_outlines_are_read_back(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random(SIZE) < 0.5
    actors = (
        actor("time", "linear", (0.25, BoxShape(0.5, 1, 2, 3)), (1, ABSENT)),
        actor("frame", "hold", (0, Polygons((STAR,))), (3, encode_runs(mask))),
    )
    clip = ClipOutlines("sub/a", SIZE, ("running", "jogging"), actors, ((0.5, 2.0),), 25.0, "", "by hand")
    write_outlines(clip, tmp_path / "b.outlines.json")
    assert read_outlines(tmp_path / "b.outlines.json", tmp_path) == clip


def one(keyframe: object, **actor: object) -> list[object]:
    return [{"keyframes": [keyframe], **actor}]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("{", "a.outlines.json is no valid JSON"),
        ("[1]", "must hold a JSON object .* got a list"),
        ('{"clip": NaN}', "is no valid JSON"),
        (document(schema_version=2), "schema_version must be 1, got 2"),
        (document(colour="red"), "unknown field 'colour'; known are actors, clip"),
        (document(clip=3), "clip must be a text, got 3"),
        (document(clip="../a.mp4"), "clip must be a path inside the folder .*, got '../a.mp4'"),
        (document(clip="/etc/passwd"), "clip must be a path inside the folder"),
        (document(size=[0, 5]), r"size\[0\] must be a whole number of at least 1, got 0"),
        (document(size=[5]), "size must be a list of 2"),
        (document(labels=[]), "labels must be a list of at least one"),
        (document(spans=[[2, 1]]), r"spans\[0\] must be \[start, end\] in seconds"),
        (document(fps=0), "fps must be a positive number"),
        (document(actors=one({"time": 0})), r"actors\[0\]\.keyframes\[0\] must be an object with one of absent, box"),
        (document(actors=one({"box": [0, 0, 1, 1]})), 'must be an object with either "frame" or "time"'),
        (document(actors=one({"time": -1, "absent": True})), r"time must be seconds since the clip's first frame"),
        (document(actors=one({"frame": 1.5, "absent": True})), "frame must be a whole number of at least 0"),
        (document(actors=one({"frame": 0, "absent": False})), r"keyframes\[0\]\.absent must be true"),
        (document(actors=one({"frame": 0, "box": [1, 2, 3]})), r"box must be \[x, y, width, height\] in pixels"),
        (document(actors=one({"frame": 0, "box": [1, 2, 0, 3]})), "with a positive width and height"),
        (document(actors=one({"frame": 0, "box": [1, 2, "3", 3]})), r"box must be a finite number, got '3'"),
        (document(actors=one({"frame": 0, "polygons": [[[1, 2], [3, 4]]]})), "at least three corners"),
        (document(actors=one({"frame": 0, "rle": {"counts": [3]}})), r"rle: the counts must be lengths that sum to the 192"),
        (document(actors=one({"frame": 0, "absent": True}, between="cubic")), 'between must be "linear", "hold" or "none"'),
        (document(actors=one({"frame": 0, "absent": True}, masks="m")), 'one of "keyframes", "masks" and "boxes"'),
        (document(actors=[{"masks": "../m"}]), r"actors\[0\]\.masks must be a path inside the folder"),
        (document(actors=[{"masks": "m"}]), "there is no folder of masks"),
        (document(actors=[{"keyframes": [{"frame": 0, "absent": True}, {"time": 1, "absent": True}]}]), 'either all in "frame"'),
        (document(actors=[{"keyframes": [{"frame": 1, "absent": True}, {"frame": 0, "absent": True}]}]), "in the order of time"),
    ],
)  # fmt: skip
def test_malformed_file_is_refused_with_its_field(values: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path, values)
    assert "a.outlines.json" in str(error.value) or "masks" in str(error.value)


def test_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "clips" / "m").symlink_to(tmp_path / "secret", target_is_directory=True)
    with pytest.raises(InputError, match="masks must be a path inside the folder"):
        read(tmp_path / "clips", document(actors=[{"masks": "m"}]))


def test_outlines_of_another_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"one")
    assert read(tmp_path, document(sha256=hashlib.sha256(b"one").hexdigest())).labels == ("walking",)
    with pytest.raises(InputError, match="another file than the one that was outlined"):
        read(tmp_path, document(sha256=hashlib.sha256(b"two").hexdigest()))


def test_masks_and_boxes_are_read_from_their_files(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    for n in (2, 10):  # in natural order: 2 is the first frame
        pixels = np.zeros(SIZE, np.uint8)
        pixels[n % 7, 1] = 1
        pixels[0, 0] = 2
        image = Image.fromarray(pixels, "P")
        image.putpalette([0, 0, 0, 0, 0, 0, 255, 0, 0])  # object 1 is black: indices count, not colours
        image.save(tmp_path / "m" / f"{n}.png")
    clip = read(tmp_path, document(actors=[{"masks": "m", "value": 1}]))
    assert np.argwhere(clip.mask_at(0, 0.0)).tolist() == [[2, 1]]
    assert np.argwhere(clip.mask_at(1, 0.0)).tolist() == [[3, 1]]
    assert read(tmp_path, document(actors=[{"masks": "m"}])).mask_at(0, 0.0).sum() == 2
    with pytest.raises(InputError, match="has 16x12 pixels, but the clip's size is 16x13"):
        read(tmp_path, document(size=[13, 16], actors=[{"masks": "m"}]))
    (tmp_path / "boxes.txt").write_text("1,2,3,4\n0 0 0 0\n")
    boxes = read(tmp_path, document(actors=[{"boxes": "boxes.txt"}]))
    assert boxes.actors[0].shape_at(0, 0.0) == BoxShape(1, 2, 3, 4)
    assert boxes.actors[0].shape_at(1, 0.0) is ABSENT
    (tmp_path / "boxes.txt").write_text("1,2,3,4\n1,2,three,4\n")
    with pytest.raises(InputError, match=r"boxes.txt, line 2 must be x,y,width,height in pixels, got '1,2,three,4'"):
        read(tmp_path, document(actors=[{"boxes": "boxes.txt"}]))


def test_clips_are_found_and_missing_ones_named(tmp_path: Path) -> None:
    clips, outlines = tmp_path / "clips", tmp_path / "outlines"
    clips.mkdir()
    with pytest.raises(InputError, match=r"there is no folder .*outlines"):
        find_outlined(clips, outlines)
    outlines.mkdir()
    with pytest.raises(InputError, match=r"holds no outlines: looked for files named \*\.outlines\.json"):
        find_outlined(clips, outlines)
    for name in ("a", "b"):
        (outlines / f"{name}.outlines.json").write_text(json.dumps(document(clip=f"{name}.mp4")))
    with pytest.raises(InputError, match="holds none of the 2 clips"):
        find_outlined(clips, outlines)
    (clips / "b.mp4").write_bytes(b"")
    found, notes = find_outlined(clips, outlines)
    assert [clip.path.name for clip in found] == ["b.mp4"]
    assert notes == [f"a.outlines.json is left out: its clip a.mp4 is not in {clips}"]


def test_outlines_of_the_project_fit_the_shared_clips(assets: Path) -> None:
    found, missing = find_outlined(assets / "clips", ROOT / "benchmarks" / "outlines")
    assert not missing
    assert len(found) >= 8  # bmx, diving and at least six others
    for clip in found:
        share = clip.outlines.mask_at(0, 0.0) if clip.outlines.is_known(0, 0.0) else clip.outlines.mask_at(60, 2.0)
        assert 0.005 < share.mean() < 0.7, clip.path
