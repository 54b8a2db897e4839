"""Plots for the HTML pages: SVG text that matplotlib makes from numbers."""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vidcam.io.extras import require_extra

__all__ = ["areas", "bars", "lines", "matrix"]

Interval = tuple[float, float, float]
"""A mean and the two ends of its interval."""

OWN, ALSO, OTHERS = "#d9480f", "#f0a47f", "#868e96"
FOR, AGAINST = OWN, "#1c6fd1"


def _blank(width: float, height: float) -> Any:
    """Return a figure that needs no display and no global state."""
    require_extra("charts", "a page with charts")
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure


def _figure(width: float, height: float) -> tuple[Any, Any]:
    figure = _blank(width, height)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _short(names: Sequence[str], length: int = 30) -> list[str]:
    """Return the names without the middle of long ones, such as paths, so that the plot has room; they stay distinct."""
    cut = [n if len(n) <= length else f"{n[: length // 3]}…{n[-(length - length // 3 - 1) :]}" for n in names]
    return cut if len(set(cut)) == len(set(names)) else [f"{i} {n}" for i, n in enumerate(cut, 1)]


def _svg(figure: Any) -> str:
    """Return the figure as SVG whose text is plain: a dollar sign in a label begins no formula."""
    import matplotlib
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    with (
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "vidcam", "font.family": "sans-serif", "font.size": 9}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the browser draws the text, in fonts of its own
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    svg = out.getvalue()
    return svg[svg.index("<svg") :]


def bars(
    rows: Mapping[str, Interval], *, title: str, best: str | Sequence[str], also: Collection[str] = (), note: str = ""
) -> str:
    """Plot horizontal bars with their intervals; the rows ``best`` stand out, those of ``also`` a little."""
    own = (best,) if isinstance(best, str) else best
    figure, axes = _figure(5.2, 0.6 + 0.32 * len(rows))
    names = list(rows)
    means = np.array([rows[n][0] for n in names])
    spans = np.array([[rows[n][0] - rows[n][1], rows[n][2] - rows[n][0]] for n in names]).T
    axes.barh(
        _short(names),
        means,
        xerr=np.fmax(spans, 0),  # NaN, no interval, too
        color=[OWN if n in own else ALSO if n in also else OTHERS for n in names],
        capsize=3,
        height=0.62,
    )
    axes.invert_yaxis()
    axes.axvline(0, color="#495057", linewidth=0.8)
    axes.set_title(title, loc="left", fontsize=10)
    if note:
        axes.set_xlabel(note)
    return _svg(figure)


def areas(
    curves: Mapping[str, npt.NDArray[np.floating]], times: npt.NDArray[np.floating], *, title: str, x: str, signed: bool
) -> str:
    """Plot curves ``(N,)`` one below the other, with the areas above and below zero in two colours.

    Each curve is divided by its own largest absolute value. If ``signed``, the plots reach as far below zero as above.
    """
    figure = _blank(8.4, 0.75 + 0.55 * len(curves))
    plots = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
    for name, curve, axes in zip(_short(list(curves)), curves.values(), plots, strict=True):
        values = curve / (float(np.nanmax(np.abs(curve), initial=0.0)) or 1.0)
        for part, tint in ((np.fmax(values, 0), FOR), (np.fmin(values, 0), AGAINST)):
            if part.any():
                axes.fill_between(times, np.where(np.isnan(values), np.nan, part), color=tint, alpha=0.85, linewidth=0)
        axes.axhline(0, color="#495057", linewidth=0.8)
        axes.set_ylim(-1.05 if signed else 0, 1.05)
        axes.set_yticks([])
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.tick_params(axis="x", length=0)
    plots[-1].tick_params(axis="x", length=3)
    plots[-1].set_xlim(float(times[0]), float(times[-1]) if len(times) > 1 else float(times[0]) + 1.0)
    plots[-1].set_xlabel(x)
    plots[0].set_title(title, loc="left", fontsize=10)
    return _svg(figure)


def lines(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str, x: str, y: str, names: Sequence[str] = ()
) -> str:
    """Plot curves (xs, ys) by name; ``names``, if given, label the whole numbers of the x axis."""
    figure, axes = _figure(5.2, 2.9 if not names else 3.4)
    for name, (xs, ys) in curves.items():
        axes.plot(xs, ys, marker="o" if len(xs) < 40 else None, markersize=3, linewidth=1.6, label=name)
    if len(curves) > 1:
        axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2)
    if names:
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=7)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, loc="left", fontsize=10)
    return _svg(figure)


def matrix(values: npt.NDArray[np.floating], names: Sequence[str], *, title: str, low: float = -1.0, high: float = 1.0) -> str:
    """Plot a square matrix of values in ``low..high``, each with its number."""
    side = max(3.2, 1.4 + 0.55 * len(names))  # room for the title
    figure, axes = _figure(side, side * 0.9)
    axes.imshow(values, cmap="RdBu_r" if low < 0 else "Blues", vmin=low, vmax=high)
    for (i, j), v in np.ndenumerate(values):
        dark = abs(v - (low + high) / 2) > 0.35 * (high - low) if low < 0 else v > (low + high) / 2  # the cell's colour
        axes.text(j, i, f"{v:.2f}", ha="center", va="center", fontsize=8, color="white" if dark else "black")
    axes.set_xticks(range(len(names)), _short(names), rotation=45, ha="right")
    axes.set_yticks(range(len(names)), _short(names))
    axes.set_title(title, loc="left", fontsize=10)
    return _svg(figure)
