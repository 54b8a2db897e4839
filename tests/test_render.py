"""The picture, pixel by pixel: what is drawn where, what is left alone, and that every word can be read."""

from __future__ import annotations

import re
import threading
from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.waiting import ended

from vidcam.errors import UnknownNameError, UsageError
from vidcam.evidence.heat import render_heat
from vidcam.io.formatting import CLOCK_STEPS, clock, ticks
from vidcam.render import (
    STYLES,
    Legend,
    Renderer,
    overlay,
    thumb,
    timeline_strip,
)
from vidcam.render import text as txt
from vidcam.render.colormap import apply_colormap
from vidcam.render.overlay import draw_over
from vidcam.render.panel import translucent
from vidcam.render.timeline_strip import Strip
from vidcam.render.unseen import mark_unseen
from vidcam.values import Box, Heat, Segment, Track
from vidcam.yuv import Planes, from_rgb, to_rgb

pytestmark = pytest.mark.portable

SIZES = [(144, 256), (256, 144), (360, 204), (204, 360), (720, 1280), (1280, 720), (128, 96), (96, 128)]  # (H, W)
LONG = "assembling and disassembling an unusually complicated bicycle with both hands"
LEGEND = Legend("x3d_s", "gradcam++", "13", 2.6, scale=0.42)


def picture(h: int, w: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), dtype=np.uint8)


def assert_same(a: Planes, b: Planes) -> None:
    for name in ("y", "u", "v"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def heat_of(values: np.ndarray, *, against: np.ndarray | None = None, seen: tuple[Box, ...] | None = None, scale=0.42) -> Heat:
    h, w = values.shape
    minus = None if against is None else against.astype(np.float32)
    return Heat(values.astype(np.float32), minus, scale, (Box(0, 0, h, w),) if seen is None else seen, "yoga")


def blob(h: int, w: int) -> np.ndarray:
    y, x = np.mgrid[0:h, 0:w]
    return np.exp(-(((y - h / 2) / (h / 5)) ** 2) - ((x - w / 2) / (w / 5)) ** 2)


def curve(duration: float = 10.0, start: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    t = np.arange(0, duration, 0.1)
    return t + start, np.sin(t)


def lightness(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor((rgb[None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0]


# --- colour


def test_the_sequential_colours_only_get_lighter_in_even_steps():
    lab = lightness(apply_colormap(np.linspace(0, 1, 256)))
    assert np.diff(lab[::8, 0]).min() > 0.5
    assert np.diff(lab[:, 0]).min() > -0.2  # a table of 8 bits rounds by that much
    steps = np.linalg.norm(np.diff(lab[::5], axis=0), axis=1)  # over five entries the rounding does not matter
    assert steps.max() / steps.min() < 1.35


def test_the_diverging_colours_are_as_light_on_both_sides():
    v = np.arange(1, 128) / 127
    plus, minus, zero = (lightness(apply_colormap(x, signed=True)) for x in (v, -v, np.zeros(1)))
    assert np.abs(plus[:, 0] - minus[:, 0]).max() < 1.0
    assert np.diff(plus[::8, 0]).min() > 0.5
    assert np.abs(zero[0, 1:]).max() < 1.0  # neutral is grey
    assert plus[-1, 2] > 40
    assert minus[-1, 2] < -30


def test_colours_are_rgb_and_clip():
    r, g, b = apply_colormap(0.55).astype(int)
    assert r > g > 0
    assert r > b + 50
    r, g, b = apply_colormap(-1.0, signed=True).astype(int)
    assert b > g > r
    np.testing.assert_array_equal(apply_colormap(np.array([-3.0, 7.0])), apply_colormap(np.array([0.0, 1.0])))


# --- overlay


@pytest.mark.parametrize("style", ["heat", "contour"])
@pytest.mark.parametrize("signed", [False, True])
def test_no_evidence_draws_as_nothing(style, signed):
    image = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)  # every value a pixel can have
    zero = np.zeros((16, 16))
    np.testing.assert_array_equal(overlay(image, heat_of(zero, against=zero), style=style, signed=signed), image)


def test_zero_stays_zero_beside_evidence():
    image, values = picture(90, 120), blob(90, 120)
    values[:, :40] = 0
    out = overlay(image, heat_of(values))
    np.testing.assert_array_equal(out[:, :40], image[:, :40])
    assert (out[40:50, 55:65] != image[40:50, 55:65]).mean() > 0.9


@pytest.mark.parametrize("signed", [False, True])
def test_opacity_grows_with_the_evidence(signed):
    v = np.linspace(0, 1, 301)[None]
    black, white = (overlay(np.full((1, 301, 3), g, np.uint8), heat_of(v), opacity=0.6, signed=signed) for g in (0, 255))
    alpha = 1 - (white.astype(int) - black).mean(-1)[0] / 255  # what is left of the difference between two grounds
    assert alpha[0] == 0
    assert np.diff(alpha).min() > -0.008  # two roundings to 8 bits
    assert np.diff(alpha[::30]).min() > 0
    assert alpha[-1] == pytest.approx(0.6, abs=0.01)


def test_the_overlay_is_the_colour_over_the_picture():
    image, values = picture(20, 30), np.random.default_rng(1).uniform(0, 1, (20, 30))
    out = overlay(image, heat_of(values), opacity=0.5)
    for y in range(20):
        for x in range(30):
            v = round(255 * values[y, x]) / 255
            alpha = 0.5 * np.sin(np.pi / 2 * v)
            expected = (1 - alpha) * image[y, x] + alpha * apply_colormap(v)
            assert np.abs(out[y, x] - expected).max() < 2.5


def test_the_same_evidence_has_the_same_colour_in_every_frame():
    image = np.full((8, 8, 3), 90, np.uint8)
    weak, strong = np.zeros((8, 8)), np.zeros((8, 8))
    weak[2, 2], strong[2, 2], strong[6, 6] = 0.3, 0.3, 1.0
    a, b = overlay(image, heat_of(weak)), overlay(image, heat_of(strong))
    np.testing.assert_array_equal(a[2, 2], b[2, 2])
    assert (a[2, 2] != image[2, 2]).any()


def test_signed_evidence_is_warm_for_and_blue_against():
    image, half = np.full((4, 8, 3), 100, np.uint8), np.zeros((4, 8))
    plus, minus = half.copy(), half.copy()
    plus[:, :3], minus[:, 5:] = 0.8, 0.8
    out = overlay(image, heat_of(plus, against=minus), signed=True).astype(int)
    assert (out[:, :3, 0] > out[:, :3, 2] + 40).all()
    assert (out[:, 5:, 2] > out[:, 5:, 0] + 40).all()
    np.testing.assert_array_equal(out[:, 3:5], 100)
    plain = overlay(image, heat_of(plus, against=minus))
    np.testing.assert_array_equal(plain[:, 3:], 100)


def test_spotlight_leaves_the_evidence_and_dims_the_rest():
    image = np.full((4, 101, 3), (200, 120, 40), np.uint8)
    out = overlay(image, heat_of(np.tile(np.linspace(0, 1, 101), (4, 1))), style="spotlight")
    assert (np.diff(out[0, :, 0].astype(int)) >= 0).all()
    assert out[0, 0, 0] == pytest.approx(50, abs=1)
    np.testing.assert_array_equal(out[:, -1], image[:, -1])


def test_evidence_below_the_threshold_fades_out():
    image, ground = np.full((40, 101, 3), 128, np.uint8), heat_of(np.tile(np.linspace(0, 1, 101), (40, 1)))
    whole, part = overlay(image, ground), overlay(image, ground, threshold=0.6)
    np.testing.assert_array_equal(part[:, 61:], whole[:, 61:])
    np.testing.assert_array_equal(part[:, :40], image[:, :40])
    contours, upper = (overlay(image, ground, style="contour", threshold=t) for t in (0, 0.6))
    changed = (upper != image).any(axis=(0, 2))
    assert changed[70:80].any()  # the line at 75 %
    assert not changed[:65].any()
    faint = overlay(image, ground, style="contour", opacity=0.31)
    np.testing.assert_allclose(faint.astype(int) - image, (contours.astype(int) - image) / 2, atol=20)


def test_contours_run_where_the_heat_crosses_the_levels():
    h, w = 120, 200
    ramp = np.tile(np.linspace(0, 1, w), (h, 1))
    image = np.full((h, w, 3), 255, np.uint8)
    changed = (overlay(image, heat_of(ramp), style="contour") != image).any(-1)
    for level in (0.25, 0.5, 0.75):
        at = level * (w - 1)
        assert changed[:, int(at) : int(at) + 2].all(), level
    far = np.ones(w, bool)
    for level in (0.25, 0.5, 0.75):
        far &= np.abs(np.arange(w) - level * (w - 1)) > 5
    assert not changed[:, far].any()  # and nowhere else, in particular not along the picture's edge


def test_contours_against_only_where_signed():
    image, minus = np.full((80, 80, 3), 128, np.uint8), blob(80, 80)
    heat = heat_of(np.zeros((80, 80)), against=minus)
    np.testing.assert_array_equal(overlay(image, heat, style="contour"), image)
    assert (overlay(image, heat, style="contour", signed=True) != image).any()


@pytest.mark.parametrize(
    "boxes",
    [
        (Box(0, 20.4, 60, 70.6),),
        (Box(10, 0, 51.5, 90),),
        (Box(5, 5, 40, 40), Box(20, 30, 55, 85)),
        (Box(0, 0, 60, 50), Box(0, 40, 60, 90)),
        (),
    ],
)
def test_the_unseen_is_marked_and_the_seen_is_not(boxes):
    image = np.full((60, 90, 3), 200, np.uint8)
    seen = np.zeros((60, 90), bool)
    for y in range(60):
        for x in range(90):  # a pixel is seen if its centre is
            seen[y, x] = any(b.y0 <= y + 0.5 < b.y1 and b.x0 <= x + 0.5 < b.x1 for b in boxes)
    out = image.copy()
    mark_unseen(out, boxes)
    np.testing.assert_array_equal(out[seen], 200)
    assert (out[~seen] < 195).all()  # darker
    if not seen.all():
        assert len(np.unique(out[~seen])) > 3  # and hatched


def test_the_border_line_is_outside():
    image = np.full((40, 60, 3), 128, np.uint8)
    out = image.copy()
    mark_unseen(out, (Box(10, 10, 30, 50),))
    assert (out[9, 10:50] > out[4:8, 10:50].max()).all()
    np.testing.assert_array_equal(out[10:30, 10:50], 128)


@pytest.mark.parametrize("style", STYLES)
def test_without_any_heat_everything_is_unseen(style):
    image = picture(48, 64)
    marked = image.copy()
    mark_unseen(marked, ())
    np.testing.assert_array_equal(overlay(image, None, style=style)[:, -64:], marked)


@pytest.mark.parametrize("style", STYLES)
def test_overlay_changes_no_argument(style):
    image, values = picture(48, 64), blob(48, 64)
    heat = heat_of(values, against=values[::-1] * 0.2, seen=(Box(0, 8, 48, 56),))
    before = image.copy(), heat.values.copy(), heat.against.copy()
    image.flags.writeable = False
    overlay(image, heat, style=style, signed=True)
    for a, b in zip(before, (image, heat.values, heat.against), strict=True):
        np.testing.assert_array_equal(a, b)


def test_side_by_side_has_the_untouched_picture_on_the_left():
    image, heat = picture(48, 64), heat_of(blob(48, 64), seen=(Box(0, 8, 48, 56),))
    out = overlay(image, heat, style="side-by-side")
    np.testing.assert_array_equal(out[:, :64], image)
    np.testing.assert_array_equal(out[:, 64:], overlay(image, heat, style="heat"))


def test_thumb_has_the_width_asked_for():
    assert thumb(picture(90, 160), heat_of(blob(90, 160)), width=40).shape == (22, 40, 3)
    assert thumb(picture(90, 160), None, width=320).shape == (180, 320, 3)


def test_a_heat_of_another_size_is_refused():
    with pytest.raises(UsageError, match=r"heat is \(4, 5\).*picture is \(5, 4\)"):
        overlay(picture(5, 4), heat_of(np.zeros((4, 5))))
    with pytest.raises(UsageError, match="opacity must be above 0"):
        overlay(picture(4, 5), heat_of(np.zeros((4, 5))), opacity=0)
    with pytest.raises(UnknownNameError, match="did you mean 'contour'"):
        overlay(picture(4, 5), None, style="contours")


# --- words


@given(st.text(alphabet="abc ÄßжΩ日本한é…", max_size=60), st.integers(0, 300), st.sampled_from([11, 18, 40]))
@settings(max_examples=60)
def test_fitted_words_fit(words, room, size):
    shown = txt.fit_text(words, size, room)
    assert txt.text_width(shown, size) <= room
    if txt.text_width(words, size) <= room:
        assert shown == words
    elif shown:
        assert shown.endswith("…")
        assert words.startswith(shown[:-1])
        longer = words[: len(shown)]  # one character more would not have fitted, or is the blank that is cut off
        assert txt.text_width(longer.rstrip() + "…", size) > room or longer.rstrip() == shown[:-1]


def test_clean_is_one_printable_line():
    assert txt.clean_text(" a\n\tb\x00 c\u200b") == "a b c"


def ink(words: str, size: int, weight: int = 400) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of the drawn words, relative to where they start."""
    canvas = np.zeros((4 * size, txt.text_width(words, size, weight=weight) + 4 * size, 3), np.uint8)
    txt.draw_text(canvas, words, size, 2 * size, size, (255, 255, 255), weight=weight)
    ys, xs = np.nonzero(canvas[..., 0] > 96)
    return xs.min() - size, ys.min() - 2 * size, xs.max() + 1 - size, ys.max() + 1 - 2 * size


def test_letters_of_many_scripts_are_really_there():
    def drawn(words):
        canvas = np.zeros((40, 60, 3), np.uint8)
        txt.draw_text(canvas, words, 5, 30, 24, (255, 255, 255))
        return canvas.tobytes()

    assert len({drawn(c) for c in "?aüßñжΩ日本語한"}) == 11  # no two alike, so none is a stand-in


def test_text_from_several_threads_looks_the_same():
    def draw(into):
        for i in range(200):
            canvas = np.zeros((40, 200, 3), np.uint8)
            txt.draw_text(canvas, "arm wrestling", 5, 30, 20, (255, 255, 255), weight=(txt.REGULAR, txt.BOLD)[i % 2])
            into.append(canvas.tobytes())

    results = [[], [], []]
    threads = [threading.Thread(target=draw, args=(r,)) for r in results]
    for t in threads:
        t.start()
    for t in threads:
        ended(t)
    assert len({b for r in results for b in r}) == 2


LABELS = ["yoga", LONG, "スケートボード・とても長い名前のラベル・日本語", "fußballspielen über größere Höhen"]


@pytest.mark.parametrize(
    ("size", "style", "label"),
    [(size, style, label) for size in SIZES for style in STYLES for label in LABELS] + [((2160, 3840), "heat", LONG)],
)
def test_every_word_is_readable_and_in_its_place(size, style, label, monkeypatch):
    drawn = []
    real = cv2.putText

    def spy(image, words, org, rgb, face, height, weight):
        drawn.append((image, words, org, height, weight))
        return real(image, words, org, rgb, face, height, weight=weight)

    h, w = size
    legend = Legend("mvit_base_32x3", "gradcam-slice", "8 + 32", 2.13, versus=label + " 2", scale=0.42, unit="logits")
    signed = style == "heat"
    curves = {label: curve(), "second": curve(), "third one": curve()}
    top = [(label, 1.0), ("another " + label, 0.2), ("x", 0.001)]
    with monkeypatch.context() as patch:
        patch.setattr(txt.cv2, "putText", spy)
        r = Renderer(source_size=size, legend=legend, style=style, signed=signed, curves=curves, top=3)
        for time in (0.0, 9.9):
            heat = heat_of(blob(h, w), against=np.zeros((h, w)))
            out = r.draw(from_rgb(picture(h, w)), heat=heat, time=time, top=top, label=label)
    assert out.size == r.size
    assert len(drawn) > 15
    boxes = []
    for image, words, (x, y), height, weight in drawn:
        _, highest, _, lowest = ink("Hg", height)
        assert lowest - highest >= 9, words
        left, upper, right, lower = ink(words, height, weight)
        assert 0 <= x + left < x + right <= image.shape[1], words
        assert 0 <= y + upper < y + lower <= image.shape[0], words
        boxes.append((image.__array_interface__["data"][0], x + left, y + upper, x + right, y + lower, words))
    for a, b in combinations(boxes, 2):
        if a[0] == b[0]:
            assert a[3] <= b[1] or b[3] <= a[1] or a[4] <= b[2] or b[4] <= a[2], f"{a[5]!r} runs into {b[5]!r}"


@pytest.mark.parametrize("size", [(144, 256), (256, 144), (180, 320), (64, 64)])
def test_a_small_picture_is_not_covered_by_words(size):
    h, w = size
    r = Renderer(source_size=size, legend=LEGEND, curves={"yoga": curve()})
    image = from_rgb(picture(h, w))
    out = r.draw(image, heat=heat_of(np.zeros(size)), time=1.0, top=[("yoga", 0.5), ("tai chi", 0.2)], label="yoga")
    assert_same(out.part(0, 0, h, w), image)


@pytest.mark.parametrize("size", [(256, 340), (480, 640), (720, 1280), (1920, 1080)])
def test_the_labels_cover_at_most_a_seventh_at_the_top_left(size):
    h, w = size
    r = Renderer(source_size=size, legend=LEGEND, curves={"yoga": curve()})
    image = from_rgb(picture(h, w))
    out = r.draw(image, heat=heat_of(np.zeros(size)), time=1.0, top=[("yoga", 0.5), ("tai chi", 0.2), ("x", 0.1)], label="yoga")
    changed = out.y[:h, :w] != image.y
    assert 0.01 < changed.mean() <= 1 / 7
    assert not changed[h // 2 :].any()
    assert not changed[:, 2 * w // 3 :].any()


def test_bars_show_the_probability_of_each_window():
    r = Renderer(source_size=(720, 1280), legend=LEGEND)
    black, zero = np.zeros((720, 1280, 3), np.uint8), heat_of(np.zeros((720, 1280)))

    def bar(p, label="a"):
        patch = to_rgb(r.draw(from_rgb(black), heat=zero, time=0, top=[("a", p)], label=label))[:720].astype(int)
        return ((patch[..., 0] > 200) & (patch[..., 2] < 120)).any(0).sum()

    assert bar(1.0) > 200
    assert bar(0.5) == pytest.approx(bar(1.0) / 2, abs=3)
    assert bar(0.0) == 0
    assert bar(1.0, label="another") == 0  # only what is explained is warm


# --- the renderer


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [(2, 2), (17, 33), (33, 17), (121, 161), (720, 1281)])
def test_any_size_gives_even_pictures_known_beforehand(size, style):
    h, w = size
    r = Renderer(source_size=size, legend=LEGEND, style=style, curves={LONG: curve(), "b": curve()}, top=5)
    assert r.size[0] % 2 == r.size[1] % 2 == 0
    assert r.size[0] >= h
    image = from_rgb(picture(h, w))
    for plane in (image.y, image.u, image.v):
        plane.flags.writeable = False
    a = r.draw(image, heat=heat_of(blob(h, w)), time=3.0, top=[(LONG, 0.9)], label=LONG, sampled=True)
    b = r.draw(image, heat=None, time=99.0, top=[], label="b")
    assert a.size == b.size == r.size
    assert not np.shares_memory(a.y, b.y)
    if style == "side-by-side":  # its left half is the picture as it was
        assert_same(b.part(0, 0, h, w), image)
    np.testing.assert_array_equal(a.y[:h, w : w + w % 2], a.y[:h, w - 1 : w][:, : w % 2])  # nothing foreign in the added column


def drawn(panel, size, *, time=3.0, sampled=False, image=None):
    r = Renderer(source_size=size, legend=LEGEND, curves={"yoga": curve()}, panel=panel)
    image = from_rgb(picture(*size)) if image is None else image
    out = r.draw(image, heat=heat_of(blob(*size)), time=time, top=[("yoga", 0.9)], label="yoga", sampled=sampled)
    return r, image, out


def test_without_a_panel_only_the_heat_is_drawn():
    size = (480, 640)
    r, image, out = drawn("none", size)
    assert r.size == size
    wanted = Planes(image.y.copy(), image.u.copy(), image.v.copy())
    draw_over(wanted, heat_of(blob(*size)), style="heat", opacity=0.62, signed=False)
    assert_same(out, wanted)


def test_a_panel_over_the_picture_is_the_panel_below_seen_through():
    size = (720, 1280)
    grey = from_rgb(np.full((*size, 3), 120, np.uint8))
    below, _, under = drawn("below", size, image=grey, sampled=True)
    over, _, out = drawn("over", size, image=grey, sampled=True)
    assert over.size == size
    rows = below.size[0] - size[0]
    assert_same(out.part(0, 0, size[0] - rows, size[1]), under.part(0, 0, size[0] - rows, size[1]))
    ground, panel, found = (planes.y[-rows:].astype(float) for planes in (drawn("none", size, image=grey)[2], under, out))
    left, right = over._strip.cursor_columns(3.0)
    beside = np.r_[0 : left - 2, right + 2 : size[1]]
    assert np.abs(found - 0.8 * panel - 0.2 * ground)[:, beside].max() <= 2  # rounding
    assert found[:, left:right].max() == 235  # the cursor is white, and nothing shines through it


@pytest.mark.parametrize(("size", "words"), [((64, 64), False), ((100, 256), False), ((360, 480), True), ((480, 640), True)])
def test_a_panel_over_a_small_picture_covers_at_most_its_lower_half(size, words):
    r, image, out = drawn("over", size)
    assert r.size == out.size == size
    changed = np.flatnonzero((out.y != drawn("none", size, image=image)[2].y).any(axis=1))
    assert words == (len(changed) > 0)
    top = r._label_box[0] + r._margin if r._over else 0
    assert all(row >= size[0] // 2 or row < top for row in changed)


def test_red_stays_red_in_the_drawn_picture():
    image = np.zeros((240, 320, 3), np.uint8)
    image[100:140, 200:240] = (255, 0, 0)
    r = Renderer(source_size=(240, 320), legend=LEGEND)
    out = to_rgb(r.draw(from_rgb(image), heat=heat_of(np.zeros((240, 320))), time=0, top=[("a", 0.5)], label="a"))
    np.testing.assert_allclose(out[104:136, 204:236], image[104:136, 204:236], atol=2)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("style", STYLES)
def test_what_is_drawn_in_planes_is_what_is_drawn_in_rgb(style, signed, matrix):
    planes = from_rgb(cv2.GaussianBlur(picture(120, 160), (0, 0), 3), matrix)
    heat = heat_of(blob(120, 160), against=blob(120, 160)[::-1].copy(), seen=(Box(0, 20, 120, 141),))
    r = Renderer(source_size=(120, 160), legend=LEGEND, style=style, signed=signed, curves={"yoga": curve()}, opacity=0.4)
    out = r.draw(planes, heat=heat, time=0, top=[], label="yoga")
    difference = np.abs(to_rgb(out)[:120].astype(int) - overlay(to_rgb(planes), heat, style=style, opacity=0.4, signed=signed))
    edges = (
        8 if style == "contour" else 0.02
    )  # percent of the pixels: there, colours that two pixels share differ from those of one
    assert difference.mean() < (3 if style == "contour" else 1)
    assert (difference.max(-1) > 12).mean() * 100 <= edges


@pytest.mark.parametrize("size", [(720, 1280), (716, 1284), (357, 641), (48, 64)])
@pytest.mark.parametrize("style", ["heat", "spotlight", "contour"])
@pytest.mark.parametrize("middle", [(0.5, 0.5), (0.0, 1.0), (0.31, 0.93)])
def test_a_coarse_heat_looks_like_a_fine_one(size, style, middle):
    rows, columns = (np.arange(n) + 0.5 for n in (14, 14))
    ys, xs = rows * size[0] / 14 - 0.5, columns * size[0] / 14 - 0.5 + (size[1] - size[0]) / 2
    seen = Box(0, xs[0] - size[0] / 28 + 0.5, size[0], xs[-1] + size[0] / 28 + 0.5)
    far = (rows[:, None] / 14 - middle[0]) ** 2 + (columns[None] / 14 - middle[1]) ** 2
    maps = np.maximum(np.exp(-far * 40) - 0.1, 0).astype(np.float32)[None]
    track = Track("yoga", np.zeros(1), maps, ys, xs, seen, 0.1)
    ground = from_rgb(cv2.GaussianBlur(picture(*size), (0, 0), 3))
    coarse, fine = (render_heat([track], time=0.0, scale=0.9, size=size, coarse=c) for c in (True, False))
    assert coarse is not None
    assert coarse.size == size
    assert size == (48, 64) or coarse.values.shape != size  # cells too small to be drawn coarsely
    a, b = (Planes(ground.y.copy(), ground.u.copy(), ground.v.copy()) for _ in range(2))
    for out, heat in ((a, coarse), (b, fine)):
        draw_over(out, heat, style=style, opacity=0.8, signed=False)
    difference = np.abs(to_rgb(a).astype(int) - to_rgb(b))
    assert difference.mean() < 0.25
    assert (difference.max(-1) > 8).mean() < (0.02 if style == "contour" else 0.002)


def test_no_heat_changes_nothing():
    ground = from_rgb(picture(720, 1280))
    nothing = Heat(np.zeros((180, 320), np.float32), None, 1.0, (Box(0, 0, 720, 1280),), "yoga", (720, 1280))
    for style in ("heat", "contour"):
        out = Planes(ground.y.copy(), ground.u.copy(), ground.v.copy())
        draw_over(out, nothing, style=style, opacity=0.8, signed=False)
        assert_same(out, ground)


def test_words_in_planes_are_words_in_rgb():
    size, top = (480, 640), [("yoga", 0.5), ("tai chi", 0.2)]
    r = Renderer(source_size=size, legend=LEGEND, curves={"yoga": curve()})
    planes = from_rgb(cv2.GaussianBlur(picture(*size), (0, 0), 3))
    out = to_rgb(r.draw(planes, heat=heat_of(np.zeros(size)), time=1.0, top=top, label="yoga"))
    transparency, premultiplied = translucent(r._label_box[0], r._label_box[1], lambda c: r._draw_labels(c, tuple(top), "yoga"))
    y = x = r._margin
    h, w = transparency.shape[:2]
    expected = to_rgb(planes)[y : y + h, x : x + w] * (transparency / 255.0) + premultiplied
    difference = np.abs(out[y : y + h, x : x + w] - expected)
    assert difference.mean() < 3
    assert (difference.max(-1) > 40).mean() < 0.01  # at the edges of coloured bars


def test_only_the_cursor_moves():
    r = Renderer(source_size=(240, 320), legend=LEGEND, curves={"yoga": curve()})
    image, heat = from_rgb(picture(240, 320)), heat_of(blob(240, 320))
    a, b, again = (r.draw(image, heat=heat, time=t, top=[("yoga", 0.5)], label="yoga") for t in (2.0, 7.0, 2.0))
    assert_same(a, again)
    assert (a.y[240:] != b.y[240:]).any()
    assert_same(a.part(0, 0, 240, 320), b.part(0, 0, 240, 320))


@pytest.mark.parametrize("size", [(240, 320), (121, 163), (720, 1280)])
@pytest.mark.parametrize("time", [0.0, 0.07, 3.3, 5.0, 9.93, 42.0])
def test_the_cursor_changes_only_the_columns_that_it_reaches(size, time):
    r = Renderer(source_size=size, legend=LEGEND, curves={"yoga": curve(), "b": curve()})
    strip = r._strip
    assert strip is not None
    whole = strip.draw("yoga")
    drawn = whole.copy()
    strip.draw_cursor(drawn, time, sampled=True)
    left, right = strip.cursor_columns(time)
    touched = np.flatnonzero((drawn != whole).any((0, 2)))
    assert left <= touched[0] <= touched[-1] < right
    part = whole[:, left:right].copy()
    strip.draw_cursor(part, time, sampled=True, left=left)
    np.testing.assert_array_equal(part, drawn[:, left:right])


def test_the_dot_says_that_the_model_was_shown_this_frame():
    r = Renderer(source_size=(240, 320), legend=LEGEND, curves={"yoga": curve()})
    image, heat = from_rgb(picture(240, 320)), heat_of(blob(240, 320))
    a, b = (r.draw(image, heat=heat, time=2.0, top=[], label="yoga", sampled=s) for s in (False, True))
    assert 3 <= (a.y != b.y).sum() <= 60


@pytest.mark.parametrize(
    ("style", "signed", "unit", "said"),
    [
        ("heat", False, "logits", {"none", "strongest (1650 logits)", "peak 1800 logits/s"}),
        ("heat", False, "", {"none", "strongest", "evidence per second"}),
        ("heat", True, "", {"against", "for", "evidence per second"}),
        ("contour", False, "", {"25", "50", "75% of the strongest", "evidence per second"}),
    ],
)
def test_figures_around_the_picture_have_a_unit_or_are_left_out(style, signed, unit, said, monkeypatch):
    words, real = [], cv2.putText
    monkeypatch.setattr(
        txt.cv2, "putText", lambda image, text, *more, **named: (words.append(text), real(image, text, *more, **named))[1]
    )
    times, values = curve()
    curves = {"yoga": (times, values / np.nanmax(values) * 1800)}
    legend = Legend("x3d_s", "gradcam++", "13", 2.6, scale=1650.4, unit=unit)
    r = Renderer(source_size=(720, 1280), legend=legend, style=style, signed=signed, curves=curves)
    r.draw(from_rgb(picture(720, 1280)), heat=heat_of(blob(720, 1280)), time=1.0, top=[], label="yoga")
    assert said <= set(words)
    assert not [w for w in words if re.search(r"e\+|1\.0\b|= |^peak \S+$", w)]


def test_answer_that_rejects_has_no_colour_key(monkeypatch):
    words, real = [], cv2.putText
    monkeypatch.setattr(
        txt.cv2, "putText", lambda image, text, *more, **named: (words.append(text), real(image, text, *more, **named))[1]
    )
    legend = Legend("mini", "cam", "16", 2.4, scale=0.42, rejects=("none of these",))
    r = Renderer(source_size=(720, 1280), legend=legend, curves={"clapping": curve()})
    r.draw(from_rgb(picture(720, 1280)), heat=None, time=1.0, top=[], label="none of these")
    assert "none of these: no evidence to show" in words
    assert not {"none", "Evidence for "} & set(words)
    words.clear()
    r.draw(from_rgb(picture(720, 1280)), heat=None, time=1.0, top=[], label="clapping")
    assert {"none", "Evidence for "} <= set(words)


def test_the_scale_is_the_legends_or_else_the_heats():
    image, zero = from_rgb(picture(240, 320)), np.zeros((240, 320))
    running, fixed = (Renderer(source_size=(240, 320), legend=Legend("m", "cam", "2", 1.0, scale=s)) for s in (None, 0.42))
    draw = {
        (name, s): r.draw(image, heat=heat_of(zero, scale=s), time=0, top=[], label="a").y.tobytes()
        for name, r in (("running", running), ("fixed", fixed))
        for s in (0.42, 0.84)
    }
    assert draw["running", 0.42] == draw["fixed", 0.42] == draw["fixed", 0.84] != draw["running", 0.84]


def test_what_does_not_fit_is_refused():
    with pytest.raises(UnknownNameError, match="unknown style 'heatmap'"):
        Renderer(source_size=(10, 10), legend=LEGEND, style="heatmap")
    with pytest.raises(UsageError, match="opacity must be above 0 and at most 1, got 2"):
        Renderer(source_size=(10, 10), legend=LEGEND, opacity=2)
    with pytest.raises(UsageError, match="threshold is a share of the scale, 0 to 1, got 2"):
        Renderer(source_size=(10, 10), legend=LEGEND, threshold=2)
    with pytest.raises(UsageError, match="0 to 5, got 9"):
        Renderer(source_size=(10, 10), legend=LEGEND, top=9)
    with pytest.raises(UsageError, match="end > start"):
        Renderer(source_size=(100, 100), legend=LEGEND, curves={"a": curve()}, span=(3, 3))
    with pytest.raises(UsageError, match="one value for each time, got 2 for 3"):
        Renderer(source_size=(100, 100), legend=LEGEND, curves={"a": (np.arange(3.0), np.zeros(2))})
    with pytest.raises(UsageError, match="one value for each time, got 0 for 0"):
        Renderer(source_size=(100, 100), legend=LEGEND, curves={"a": (np.zeros(0), np.zeros(0))})
    with pytest.raises(UsageError, match=r"draws pictures of \(10, 10\) \(H, W\), got \(9, 10\)"):
        Renderer(source_size=(10, 10), legend=LEGEND).draw(from_rgb(picture(9, 10)), heat=None, time=0, top=[], label="a")


# --- the strip


def strip_of(values: np.ndarray, *, segments=(), width=640, span=None, origin=5.0) -> Strip:
    r = Renderer(
        source_size=(480, width),
        legend=LEGEND,
        curves={"a": (np.linspace(5, 15, len(values)), values)},
        span=span or (5.0, 15.0),
        origin=origin,
        segments=segments,
    )
    assert r._strip is not None
    return r._strip


def warm(rgb: np.ndarray) -> np.ndarray:
    return rgb[..., 0].astype(int) > rgb[..., 2].astype(int) + 25


def cool(rgb: np.ndarray) -> np.ndarray:
    return rgb[..., 2].astype(int) > rgb[..., 0].astype(int) + 25


def test_the_curve_is_warm_above_zero_and_blue_below():
    t = np.linspace(0, 1, 101)
    strip = strip_of(np.where(t < 0.5, 1.0, -1.0))
    heading, plot = strip.lane_heights
    out = strip.draw("a")[heading : heading + plot]
    first, second = out[:, int(strip.x_of(6)) : int(strip.x_of(9))], out[:, int(strip.x_of(11)) : int(strip.x_of(14))]
    assert warm(first).any(0).all()
    assert not cool(first).any()
    assert cool(second).any(0).all()
    assert not warm(second).any()
    assert warm(first[: plot // 2 - 2]).mean() > 0.8
    assert cool(second[plot // 2 + 2 :]).mean() > 0.8


def test_the_filled_height_is_the_value():
    strip = strip_of(np.linspace(0, 1, 101))
    heading, plot = strip.lane_heights
    out = strip.draw("a")[heading : heading + plot]
    tall = [warm(out[:, int(strip.x_of(t))]).sum() for t in (7.5, 10, 12.5, 14.9)]
    np.testing.assert_allclose(tall, np.array([0.25, 0.5, 0.75, 0.99]) * tall[-1], atol=2.1)


def test_the_explained_label_has_a_lane_even_if_many_have_none(monkeypatch):
    values = {name: np.ones(11) if name == "f" else -np.ones(11) for name in "abcdef"}
    times = np.linspace(5, 15, 11)
    r = Renderer(source_size=(480, 640), legend=LEGEND, curves={name: (times, v) for name, v in values.items()})
    strip = r._strip
    assert strip is not None
    assert strip.lanes == ("a", "b", "c", "d")
    heading, plot = strip.lane_heights
    last = 3 * (heading + plot + strip.sizes.pad // 2) + heading
    for label, named in (("b", "abcd"), ("f", "abcf")):
        said: list[str] = []
        monkeypatch.setattr(
            timeline_strip,
            "draw_text",
            lambda image, words, *rest, said=said, **how: (said.append(words), txt.draw_text(image, words, *rest, **how)),
        )
        out = strip.draw(label)
        monkeypatch.undo()
        assert [words for words in said if words in values] == list(named)
        assert warm(out[last : last + plot, strip.plot_left + 2 : -20]).any() == (label == "f")
        assert cool(out[heading : heading + plot, strip.plot_left + 2 : -20]).any()


def test_a_single_moment_in_a_long_video_is_not_lost():
    values = np.zeros(9001)
    values[4500] = 1.0
    strip = strip_of(values, width=320)
    heading, plot = strip.lane_heights
    assert warm(strip.draw("a")[heading : heading + plot]).any()


def test_what_no_window_saw_is_hatched_and_has_no_curve():
    values = np.ones(101)
    values[40:61] = np.nan
    strip = strip_of(values)
    heading, plot = strip.lane_heights
    out = strip.draw("a")[heading : heading + plot]
    gap = out[:, int(strip.x_of(9.1)) : int(strip.x_of(10.9))]
    assert not warm(gap).any()
    assert len(np.unique(gap[..., 0])) > 5
    assert warm(out[:, int(strip.x_of(8.5))]).any()
    assert warm(out[:, int(strip.x_of(11.5))]).any()
    nothing = strip_of(np.full(11, np.nan)).draw("a")
    assert not warm(nothing).any()


def test_segments_are_shaded_from_start_to_end():
    strip = strip_of(np.zeros(101), segments=[Segment("a", 8.0, 10.0, 1.0), Segment("b", 12.0, 13.0, 1.0)])
    heading, _ = strip.lane_heights
    columns = np.flatnonzero(warm(strip.draw("a")[heading, strip.plot_left :])) + strip.plot_left
    assert columns.min() == pytest.approx(strip.x_of(8), abs=1)
    assert columns.max() + 1 == pytest.approx(strip.x_of(10), abs=1)


def test_the_cursor_is_where_the_time_is():
    strip = strip_of(np.zeros(101))
    heading, plot = strip.lane_heights
    for time in (5.0, 7.5, 15.0, 99.0):
        band = strip.draw("a")
        strip.draw_cursor(band, time, sampled=False)
        columns = np.flatnonzero((band[heading + 2 : heading + plot // 3] == 255).all((0, 2)))
        assert columns.mean() + 0.5 == pytest.approx(strip.x_of(time), abs=1)
    assert strip.x_of(5) == strip.plot_left >= strip.sizes.pad
    assert strip.x_of(15) == strip.width - strip.sizes.pad == strip.x_of(99)


def test_axis_and_cursor_count_from_the_origin(monkeypatch):
    strip = strip_of(np.zeros(101), origin=3.0)
    said = []
    band = strip.draw("a")
    monkeypatch.setattr(timeline_strip, "draw_text", lambda image, words, *rest, **how: said.append(words))
    strip.draw_cursor(band, 7.25, sampled=False)
    assert said == ["4.25 s"]
    seconds = [mark for _, _, mark, _ in strip._marks]
    assert seconds[0] >= 2.0
    assert seconds[-1] <= 12.0
    assert len(seconds) >= 4
    for left, right, mark, words in strip._marks:
        assert left - 2 <= strip.x_of(mark + 3.0) <= right + 2
        assert words == f"{mark:.0f} s"


@given(st.floats(0, 1e5), st.floats(0.05, 2e5), st.integers(1, 30))
def test_ticks_are_round_few_and_inside(start, length, most):
    marks = ticks(start, start + length, CLOCK_STEPS, most=most)
    assert len(marks) <= most + 2
    assert all(start - 1e-6 <= m <= start + length + 1e-6 for m in marks)
    assert len({f"{step:.6g}" for step in np.diff(marks)}) <= 1


@pytest.mark.parametrize(
    ("seconds", "decimals", "words"),
    [
        (0, 0, "0 s"),
        (-0.001, 1, "0.0 s"),
        (3.417, 2, "3.42 s"),
        (59.96, 1, "1:00.0"),
        (65, 0, "1:05"),
        (3725, 0, "1:02:05"),
        (-2, 0, "−2 s"),
    ],
)
def test_seconds_are_written_as_a_clock(seconds, decimals, words):
    assert clock(seconds, decimals=decimals) == words
