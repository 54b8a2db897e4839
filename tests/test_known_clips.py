"""Real clips with outlines: masks in the model's pixels and cells against loops over the source's pixels, and the windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_benchmark import Brightness

from vidcam.engine import TorchEngine
from vidcam.errors import InputError
from vidcam.evaluation.known_clips import KnownClip, dilate, load_clip, mask_in_crop
from vidcam.io.outline_files import OutlinedClip
from vidcam.io.outline_shapes import ABSENT, BoxShape, Shape
from vidcam.io.outlines import Actor, ClipOutlines, Keyframe
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry
from vidcam.models.loading import LoadedModel
from vidcam.models.spec import Head, ModelSpec
from vidcam.sampling import frames_shown, spatial_crops
from vidcam.values import CropGeometry

HEIGHT, WIDTH, FPS = 60, 90, 10.0


def square_at(frame: int) -> tuple[int, int]:
    """Return the top and left of a square of 20 pixels that moves to the lower right."""
    return 2 + frame, 10 + 2 * frame


@pytest.fixture
def engine() -> TorchEngine:
    spec = ModelSpec(
        name="brightness", title="", family="tests", build=Brightness, labels=lambda: ("clapping", "other"), num_frames=6,
        seconds_between_frames=0.2, resize=48, crop=(48, 48), mean=(0.0,) * 3, std=(1.0,) * 3, target_layer="cells",
        head=Head(("fc",)), time_cells=(6,), paper="",
    )  # fmt: skip
    return TorchEngine(LoadedModel(spec, Brightness().eval(), ("clapping", "other"), None, None), "cpu")


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., OutlinedClip]:
    """Write 26 frames of a white square on black, and return the clip with the outlines of the ``known`` frames."""
    for n in range(26):
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        top, left = square_at(n)
        picture[top : top + 20, left : left + 20] = 255
        Image.fromarray(picture).save(tmp_path / f"{n:02}.png")

    def make(known: range = range(26), *, absent: range = range(0), size: tuple[int, int] = (HEIGHT, WIDTH)) -> OutlinedClip:
        shapes: dict[int, Shape] = {n: BoxShape(square_at(n)[1], square_at(n)[0], 20, 20) for n in known}
        shapes |= dict.fromkeys(absent, ABSENT)
        actor = Actor("square", "frame", "none", tuple(Keyframe(n, shapes[n]) for n in sorted(shapes)))
        return OutlinedClip(tmp_path, ClipOutlines("square", size, ("clapping",), (actor,), fps=FPS))

    return make


def test_masks_show_the_source_pixels_under_the_models(engine, clip) -> None:
    known = load_clip(engine, clip(), windows=9)
    # 2.6 s give the windows at 0, 1.2 and, shifted to the end, 1.4 s; a short side of 60 becomes 48, so a pixel stands for 1.25.
    assert known.truth.shape == (3, 6, 48, 48)
    for window, start in enumerate((0.0, 1.2, 1.4)):
        for t in range(6):
            frame = int(frames_shown(np.arange(26) / FPS, np.array([start + 0.2 * t]))[0])
            top, left = square_at(frame)
            for y in range(48):
                for x in range(48):
                    row, column = (y + 0.5) * 1.25, (x + 12 + 0.5) * 1.25  # the crop takes the middle 48 of 72 columns
                    inside = top <= int(row) < top + 20 and left <= int(column) < left + 20
                    assert known.truth[window, t, y, x] == inside, (window, t, y, x)
    bright = known.windows[..., 0] > 250
    assert (known.truth | ~bright).all()  # what is white in the picture that the model sees is inside
    assert (bright & known.truth).sum() > 0.8 * known.truth.sum()


def test_mask_beside_a_picture_that_is_filled_up_is_empty() -> None:
    (view,) = spatial_crops((30, 10), resize="fit", crop=(48, 48), cover=False)
    assert view.crop[1] < 0  # there is grey to the left and right
    mask = mask_in_crop(np.ones((30, 10), bool), view)
    expected = [[0 <= view.crop[1] + x < view.resized[1] for x in range(48)] for _ in range(48)]
    assert mask.tolist() == expected
    corner = np.zeros((30, 10), bool)
    corner[:15, :5] = True
    ys, xs = np.nonzero(mask_in_crop(corner, view))
    assert (ys.min(), ys.max()) == (0, 23)
    assert xs.min() == -view.crop[1]
    assert xs.max() == 23


def test_covered_and_near_cells_follow_a_loop_over_pixels() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((1, 4, 20, 24), bool)
    for t in range(4):
        truth[0, t, rng.integers(0, 20, 3), rng.integers(0, 24, 3)] = True
    radius = 2.5
    near = np.stack([[dilate(mask, radius) for mask in truth[0]]])
    where = CellGeometry(AxisGeometry(0.5, 2.0, 2), AxisGeometry(1.0, 5.0, 4), AxisGeometry(-1.0, 6.0, 5))
    cells, hits = KnownClip("", ("x",), np.zeros((1, 4, 20, 24, 3), np.uint8), truth, near).covered_cells(where)
    centres = [axis.centres() for axis in (where.time, where.y, where.x)]
    for (i, j, k), is_covered in np.ndenumerate(cells):
        t, y, x = centres[0][i], centres[1][j], centres[2][k]
        acting = [(b, c) for a, b, c in np.argwhere(truth[0]) if abs(a - t) <= 1.0]
        assert is_covered == any(abs(b - y) <= 2.5 and abs(c - x) <= 3.0 for b, c in acting)
        row, column = min(max(round(y), 0), 19), min(max(round(x), 0), 23)
        assert hits[i, j, k] == any((b - row) ** 2 + (c - column) ** 2 <= radius**2 for b, c in acting)
    assert 0 < hits.sum() < hits.size
    assert (hits != cells).any()


def test_windows_lie_where_outlines_are_known(engine, clip) -> None:
    few = load_clip(engine, clip(range(5, 20)))  # 0.5 to 2.0 s: a window of 1.2 s and one shifted to the end
    assert len(few.windows) == 2
    assert few.truth.any(axis=(2, 3)).all()
    assert few.windows[0, 0, :, :, 0].max() > 250
    short = load_clip(engine, clip(range(5, 8)))  # shorter than a window: the last frame is held
    assert len(short.windows) == 1
    assert (short.truth[0, 2:] == short.truth[0, 2]).all()
    one = load_clip(engine, clip(), windows=1)
    assert (one.windows[0] == load_clip(engine, clip(), windows=9).windows[0]).all()
    with pytest.raises(InputError, match=r"no frame of .* has a known outline: check the frames or times"):
        load_clip(engine, clip(range(40, 44)))


def test_only_times_in_which_nobody_acts_tell_when(engine, clip) -> None:
    assert not load_clip(engine, clip()).rests
    resting = load_clip(engine, clip(range(13), absent=range(13, 26)))
    assert resting.rests
    assert not resting.truth[-1].all(axis=(1, 2)).any()


def test_outlines_for_another_size_are_refused(engine, clip) -> None:
    with pytest.raises(InputError, match="is 90x60 pixels, but its outlines are for 90x61"):
        load_clip(engine, clip(size=(HEIGHT + 1, WIDTH)))


def test_tolerance_is_a_share_of_the_crop(engine, clip) -> None:
    known = load_clip(engine, clip(), tolerance=0.1)
    frame, near = known.truth[0, 0], known.near[0, 0]
    distance = np.array([[np.hypot(*(np.argwhere(frame) - (y, x)).T).min() for x in range(48)] for y in range(48)])
    assert (near == (distance <= 4.8)).all()
    assert (load_clip(engine, clip(), tolerance=0.0).near == known.truth).all()


def test_geometry_of_a_cover_crop_is_followed_too() -> None:
    view = CropGeometry((40, 40), (20, 20), (5, 7, 10, 12))
    mask = np.zeros((40, 40), bool)
    mask[12:20, 30:33] = True
    shown = mask_in_crop(mask, view)
    expected = [[mask[int((y + 5.5) * 2), int((x + 7.5) * 2)] for x in range(12)] for y in range(10)]
    assert shown.tolist() == expected
    assert shown.any()
    assert not mask_in_crop(mask, replace(view, crop=(10, 0, 10, 12))).any()
