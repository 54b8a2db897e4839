"""Checks planes against the colour arithmetic of the standards, pixel by pixel, and against swscale."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from hypothesis import given
from hypothesis import strategies as st

from vidcam.errors import UsageError
from vidcam.sampling import resize, spatial_crops
from vidcam.yuv import Planes, from_rgb, half, scale, to_rgb

pytestmark = pytest.mark.portable

SPACES = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709}


def smooth(h: int, w: int, seed: int = 0) -> np.ndarray:
    rough = np.random.default_rng(seed).integers(0, 256, (max(2, h // 8), max(2, w // 8), 3), dtype=np.uint8)
    return cv2.resize(rough, (w, h), interpolation=cv2.INTER_LINEAR)


def literal(rgb: tuple[int, int, int], matrix: str) -> tuple[float, float, float]:
    """Convert one colour by ITU-R BT.601 and BT.709, section on the digital representation."""
    r, g, b = (c / 255 for c in rgb)
    kr, kb = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[matrix]
    bright = kr * r + (1 - kr - kb) * g + kb * b
    return 16 + 219 * bright, 128 + 224 * (b - bright) / (2 - 2 * kb), 128 + 224 * (r - bright) / (2 - 2 * kr)


@pytest.mark.parametrize("matrix", SPACES)
@pytest.mark.parametrize("rgb", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (12, 200, 99)])
def test_a_colour_matches_the_standard_and_survives_the_round_trip(rgb, matrix):
    planes = from_rgb(np.full((4, 6, 3), rgb, np.uint8), matrix)
    for plane, wanted in zip((planes.y, planes.u, planes.v), literal(rgb, matrix), strict=True):
        assert np.abs(plane - wanted).max() <= 0.6  # rounded, after arithmetic with fixed points
    assert np.abs(to_rgb(planes).astype(int) - rgb).max() <= 4  # planes of 8 bits round colour by that much


@pytest.mark.parametrize("matrix", SPACES)
def test_swscale_makes_the_same_planes(matrix):
    image = smooth(90, 160)
    ours = from_rgb(image, matrix)
    frame = VideoReformatter().reformat(
        av.VideoFrame.from_ndarray(image, "rgb24"),
        format="yuv420p",
        interpolation=Interpolation.AREA,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        dst_colorspace=SPACES[matrix],
    )
    for plane, mine in zip(frame.planes, (ours.y, ours.u, ours.v), strict=True):
        theirs = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        assert np.abs(theirs.astype(int) - mine).max() <= 1


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_half_is_the_mean_of_each_two_by_two(h, w, seed):
    plane = np.random.default_rng(seed).integers(0, 256, (h, w), dtype=np.uint8)
    found = half(plane)
    assert found.shape == ((h + 1) // 2, (w + 1) // 2)
    for y in range(found.shape[0]):
        for x in range(found.shape[1]):
            four = [float(plane[min(2 * y + dy, h - 1), min(2 * x + dx, w - 1)]) for dy in (0, 1) for dx in (0, 1)]
            assert abs(found[y, x] - sum(four) / 4) <= 0.51


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 999), st.sampled_from([(), (3,)]))
def test_a_shrunken_pixel_is_the_mean_of_its_area(h, w, seed, channels):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (h, w, *channels), np.uint8)
    rows, columns = int(rng.integers(1, h + 1)), int(rng.integers(1, w + 1))
    fine = image.repeat(rows, axis=0).repeat(columns, axis=1).reshape(rows, h, columns, w, *channels)
    wanted = fine.mean(axis=(1, 3))
    assert np.abs(scale(image, (rows, columns), antialias=True) - wanted).max() <= 0.5 + 1e-6  # rounded


def test_the_mean_of_a_bright_picture_of_many_pixels_is_exact():
    image = np.full((3000, 3000), 255, np.uint8)  # the sum of all is more than 31 bits hold
    assert (scale(image, (7, 9), antialias=True) == 255).all()


@pytest.mark.parametrize("size", [(240, 320), (241, 319), (320, 240)])
def test_scaling_before_or_after_conversion_is_the_same(size):
    planes = from_rgb(smooth(*size))
    view = spatial_crops(size, resize=112, crop=(112, 112), cover=False)[0]
    early = resize(planes, view).astype(int)
    late = resize(to_rgb(planes), view)
    assert early.shape == late.shape == (*view.resized, 3)
    assert np.abs(early - late).mean() < 1
    assert np.abs(early - late).max() <= 16  # colour is interpolated once and not twice


def test_parts_are_views_and_pasting_fills_them():
    planes, other = from_rgb(smooth(20, 31)), from_rgb(smooth(6, 5, seed=3))
    part = planes.part(4, 26, 10, 31)
    assert part.size == (6, 5)
    assert np.shares_memory(part.u, planes.u)
    planes.paste(other, 4, 26)
    for name in ("y", "u", "v"):
        np.testing.assert_array_equal(getattr(part, name), getattr(other, name))


def test_planes_of_wrong_shape_or_matrix_are_refused():
    y, c = np.zeros((5, 7), np.uint8), np.zeros((3, 4), np.uint8)
    assert Planes(y, c, c).size == (5, 7)
    with pytest.raises(UsageError, match=r"plane v must be uint8 \(3, 4\), got uint8 \(2, 4\)"):
        Planes(y, c, c[:2])
    with pytest.raises(UsageError, match="begins at an even row and column, got 1, 0"):
        Planes(y, c, c).part(1, 0, 3, 3)
    with pytest.raises(UsageError, match="planes of bt601 cannot be pasted into planes of bt709"):
        Planes(y, c, c).paste(Planes(y, c, c, "bt601"))
