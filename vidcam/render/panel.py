"""Draw the words around the picture: the most probable labels, the heading with the colour key, and the footnotes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vidcam.io.formatting import whole_percent
from vidcam.render.colormap import FOR
from vidcam.render.legend import Legend
from vidcam.render.overlay import CONTOURS, Style, contour_colour, overlay
from vidcam.render.paint import DIM, GROUND, MARK, RULE, TEXT, WHITE, Sizes, disc, hatch, pill
from vidcam.render.text import BOLD, REGULAR, clean_text, draw_text, fit_text, text_width
from vidcam.values import Box, Heat, UInt8Array

__all__ = ["draw_footer", "draw_heading", "draw_labels", "footer_rows", "heading_rows", "translucent"]

_Key = tuple[Callable[[UInt8Array, int, int], None], int]
"""Draws a key into a canvas at (x, baseline); and the width of the key."""


def translucent(height: int, width: int, draw: Callable[[UInt8Array], None]) -> tuple[UInt8Array, UInt8Array]:
    """Return the transparency and the premultiplied colour of a drawing, both ``(H, W, 3) uint8``.

    ``out = ground * transparency / 255 + premultiplied``: drawing is linear in the ground, so a drawing on black and one on white
    say everything.
    """
    black, white = np.zeros((height, width, 3), np.uint8), np.full((height, width, 3), 255, np.uint8)
    draw(black)
    draw(white)
    return np.maximum(white, black) - black, black


def draw_labels(canvas: UInt8Array, top: Sequence[tuple[str, float]], label: str, sizes: Sizes, *, columns: int = 1) -> None:
    """Fill ``canvas`` with rows of label, probability and bar; the explained ``label`` stands out."""
    s = sizes
    rows = -(-len(top) // columns)
    cell = (canvas.shape[1] - s.pad * (columns + 1)) // columns
    tall = (canvas.shape[0] - s.pad) / max(rows, 1)
    for i, (name, p) in enumerate(top):
        x = s.pad + (i % columns) * (cell + s.pad)
        y = s.pad / 2 + (i // columns) * tall
        strong = name == label
        weight, tint = (BOLD, WHITE) if strong else (REGULAR, TEXT)
        baseline = round(y + tall * 0.5 + s.small * 0.2)
        words = whole_percent(p)
        words_x = x + cell - text_width(words, s.small, weight=weight)
        shown = fit_text(clean_text(name), s.small, words_x - x - s.small // 2, weight=weight)
        draw_text(canvas, shown, x, baseline, s.small, tint, weight=weight)
        draw_text(canvas, words, words_x, baseline, s.small, tint, weight=weight)
        thick = max(2.0, s.small * 0.2)
        bar = y + tall * 0.5 + s.small * 0.5
        pill(canvas, (bar, x, bar + thick, x + cell), WHITE, alpha=0.2)
        if p > 0:
            pill(canvas, (bar, x, bar + thick, x + max(thick, cell * min(p, 1.0))), FOR if strong else (176, 184, 198))


# --- heading


def heading_rows(width: int, sizes: Sizes) -> int:
    """Return the number of rows: 1, or 2 if the colour key does not fit beside the title."""
    return 1 if width >= 36 * sizes.text else 2


def draw_heading(
    width: int, sizes: Sizes, *, label: str, scale: float | None, legend: Legend, style: Style, signed: bool
) -> UInt8Array:
    """Return the heading, which says what is explained and what the colours mean: ``(rows, width, 3) uint8``."""
    s, rows = sizes, heading_rows(width, sizes)
    out = np.empty((rows * round(s.text * 1.75), width, 3), np.uint8)
    out[:] = GROUND
    baseline = round(s.text * 1.2)
    if label in legend.rejects:
        words = f"{clean_text(label)}: no evidence to show"
        draw_text(out, fit_text(words, s.text, width - 2 * s.pad), s.pad, baseline, s.text, TEXT)
        return out
    key, key_width = _make_key(s, width - 2 * s.pad, scale, legend.unit, style, signed=signed)
    if rows == 1:
        room = width - 2 * s.pad - key_width - 2 * s.text
        key(out, width - s.pad - key_width, baseline)
    else:
        room = width - 2 * s.pad
        key(out, s.pad, baseline + round(s.text * 1.6))
    _draw_title(out, s, room, baseline, clean_text(label), None if legend.versus is None else clean_text(legend.versus))
    return out


def _draw_title(out: UInt8Array, s: Sizes, room: int, baseline: int, label: str, versus: str | None) -> None:
    before, between = ("Evidence for ", " rather than ") if room > 20 * s.text else ("For ", " vs ")
    x = draw_text(out, before, s.pad, baseline, s.text, DIM)
    left = s.pad + room - x
    if versus is None:
        draw_text(out, fit_text(label, s.text, left, weight=BOLD), x, baseline, s.text, WHITE, weight=BOLD)
        return
    left -= text_width(between, s.text)
    needed = text_width(versus, s.text)
    first = fit_text(label, s.text, max(left - needed, left // 2), weight=BOLD)
    x = draw_text(out, first, x, baseline, s.text, WHITE, weight=BOLD)
    x = draw_text(out, between, x, baseline, s.text, DIM)
    draw_text(out, fit_text(versus, s.text, s.pad + room - x), x, baseline, s.text, TEXT)


def _make_key(s: Sizes, room: int, scale: float | None, unit: str, style: Style, *, signed: bool) -> _Key:
    """Return a function that draws the colour key at (x, baseline), and its width, at most ``room``."""
    amount = f"{float(f'{scale:.3g}'):g} {unit}" if scale is not None and unit else ""  # a number without a unit says nothing
    if style == "contour":
        return _make_contour_key(s, room, amount, signed=signed)
    return _make_colour_bar(s, room, amount, style, signed=signed)


def _make_contour_key(s: Sizes, room: int, amount: str, *, signed: bool) -> _Key:
    """Return the key of the contour lines: a line in the colour of each level, and its share of the scale."""
    gap = round(s.small * 0.45)
    words = ["25", "50", f"75% of {amount or 'the strongest'}"]
    stroke = round(s.small * 1.2)
    if sum(text_width(w, s.small) for w in words) + 3 * stroke + 7 * gap > room:
        words[2], gap = "75%", gap // 2
        stroke = min(stroke, (room - sum(text_width(w, s.small) for w in words) - 7 * gap) // 3)
    total = sum(text_width(w, s.small) for w in words) + 3 * stroke + 7 * gap

    def draw(out: UInt8Array, x: int, baseline: int) -> None:
        for level, word in zip(CONTOURS, words, strict=True):
            y = baseline - s.small * 0.36
            thick = max(1.0, s.small * 0.11)
            pill(out, (y - thick, x, y + thick, x + stroke), contour_colour(level, 1.0, signed))
            x = draw_text(out, word, x + stroke + gap, baseline, s.small, TEXT if word is words[2] else DIM) + 2 * gap

    return draw, total


def _make_colour_bar(s: Sizes, room: int, amount: str, style: Style, *, signed: bool) -> _Key:
    """Return the bar of all colours, with its ends."""
    gap = round(s.small * 0.45)
    both = signed and style != "spotlight"
    low, high = ("against", "for") if both else ("none", "strongest")
    high += f" ({amount})" if amount else ""
    length = round(s.text * 7)
    fixed = text_width(low, s.small) + 2 * gap
    high = fit_text(high, s.small, room - fixed - 2 * s.text)
    length = min(length, room - fixed - text_width(high, s.small))

    def draw_bar(out: UInt8Array, x: int, baseline: int) -> None:
        x = draw_text(out, low, x, baseline, s.small, DIM) + gap
        tall = max(5, round(s.small * 0.6))
        y = baseline - round(s.small * 0.36) - tall // 2
        out[y : y + tall, x : x + length] = _draw_ramp(tall, length, style, signed=signed)
        draw_text(out, high, x + length + gap, baseline, s.small, TEXT)

    return draw_bar, fixed + length + text_width(high, s.small)


def _draw_ramp(tall: int, length: int, style: Style, *, signed: bool) -> UInt8Array:
    """Return the whole scale as it is drawn, over an even ground and at full opacity, so that the colours can be told apart."""
    v = np.tile(np.linspace(-1.0 if signed and style != "spotlight" else 0.0, 1.0, length, dtype=np.float32), (tall, 1))
    heat = Heat(values=v.clip(0), against=(-v).clip(0), scale=1.0, seen=(Box(0, 0, tall, length),), label="")
    ground = np.full((tall, length, 3), 225 if style == "spotlight" else 44, np.uint8)
    drawn = overlay(ground, heat, style=style, opacity=1.0, signed=signed)
    return drawn[:, -length:]  # side-by-side: the right half


# --- footnotes


def _list_notes(legend: Legend, *, strip: bool, short: bool) -> list[tuple[str, str]]:
    """Return (sign, words) for each footnote."""
    seconds = f"{legend.clip_s:.3g} s"  # of a clip, not of the video
    one = legend.time_cells == "1"
    cells = f"{legend.time_cells} time {'cell' if one else 'cells'} / {seconds}"
    if not short:
        cells = f"{legend.time_cells} independent time {'cell' if one else 'cells'} in {seconds}"
    who = [f"{legend.model}, {legend.method}"] if short else [f"model {legend.model}", f"method {legend.method}"]
    verdict = [f"evidence {legend.verdict}"] if legend.verdict else []
    notes = [*(("", words) for words in [*who, cells, *verdict]), ("hatch", "unseen" if short else "not seen by the model")]
    return [*notes, ("dot", "sampled" if short else "frame shown to the model")] if strip else notes


def _wrap_notes(notes: list[tuple[str, str]], width: int, s: Sizes) -> list[list[tuple[str, str]]]:
    """Return the notes in rows that fit; a note that is too long for a row of its own is cut."""
    rows: list[list[tuple[str, str]]] = []
    x = width
    for sign, words in notes:
        words = fit_text(clean_text(words), s.small, width - 2 * s.pad - _sign_width(sign, s))
        wide = _sign_width(sign, s) + text_width(words, s.small)
        if not rows or x + wide > width - s.pad:
            rows.append([])
            x = s.pad
        rows[-1].append((sign, words))
        x += wide + round(s.small * 1.6)
    return rows


def _sign_width(sign: str, s: Sizes) -> int:
    return {"": 0, "hatch": round(s.small * 1.9), "dot": round(s.small * 1.0)}[sign]


def footer_rows(width: int, sizes: Sizes, legend: Legend, *, strip: bool) -> list[list[tuple[str, str]]]:
    """Return the footnotes as rows of (sign, words): in full if two rows hold them, else shortened."""
    full = _wrap_notes(_list_notes(legend, strip=strip, short=False), width, sizes)
    return full if len(full) <= 2 else _wrap_notes(_list_notes(legend, strip=strip, short=True), width, sizes)


def draw_footer(width: int, sizes: Sizes, rows: list[list[tuple[str, str]]]) -> UInt8Array:
    """Return the drawn footnotes ``(rows, width, 3) uint8``."""
    s = sizes
    out = np.empty((len(rows) * s.row + s.pad // 2, width, 3), np.uint8)
    out[:] = GROUND
    for i, row in enumerate(rows):
        x, baseline = s.pad, i * s.row + round(s.small * 1.1)
        middle = baseline - s.small * 0.36
        for sign, words in row:
            if sign == "hatch":
                y, tall, wide = round(middle - s.small * 0.4), round(s.small * 0.8), round(s.small * 1.4)
                out[y : y + tall, x : x + wide] = RULE
                hatch(out, (y, x, y + tall, x + wide), s)
            elif sign == "dot":
                disc(out, middle, x + s.small * 0.3, s.small * 0.24, MARK)
            x = draw_text(out, words, x + _sign_width(sign, s), baseline, s.small, DIM) + round(s.small * 1.6)
    return out
