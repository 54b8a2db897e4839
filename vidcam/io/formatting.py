"""Numbers and times as people read them, the same on pictures, pages and in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["CLOCK_STEPS", "DECIMAL_STEPS", "clock", "duration", "number", "percent", "seconds", "share", "ticks", "whole_percent"]

DECIMAL_STEPS = tuple(m * 10.0**e for e in range(-9, 9) for m in (1, 2, 5))
"""Distances between the marks of an axis of numbers."""

CLOCK_STEPS = (*(s for s in DECIMAL_STEPS if s <= 10), 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400)
"""Distances between the marks of an axis of time, in seconds."""


def percent(value: float) -> str:
    """Write a probability of 0.998 as ``99.8 %`` (with a no-break space); no model is certain, even if a softmax rounds to 1."""
    if 0 < value < 0.001:
        return "<\xa00.1\xa0%"
    return ">\xa099.9\xa0%" if value >= 0.9995 else f"{100 * value:.1f}\xa0%"


def whole_percent(value: float) -> str:
    """Write 0.42 as ``42%``, for places too small for :func:`percent`."""
    return "<1%" if 0 < value < 0.005 else f"{value:.0%}"


def share(value: float, whole: float) -> str:
    """Write a signed value as whole percent of ``whole`` (with a no-break space): ``42 %``, ``−7 %``; a dash if there is none."""
    part = 100 * value / whole if whole else math.nan
    return f"{part:.0f}\xa0%".replace("-0\xa0", "0\xa0").replace("-", "−") if math.isfinite(part) else "–"


def clock(time: float, *, decimals: int = 0) -> str:
    """Write seconds as ``3.4 s`` below a minute, then as ``1:05.0`` and ``1:02:05``."""
    time = round(time, decimals) + 0.0  # no minus zero
    if abs(time) < 60:
        return f"{time:.{decimals}f} s".replace("-", "−")
    minutes, rest = divmod(abs(time), 60)
    hours, minutes = divmod(int(minutes), 60)
    tail = f"{rest:0{3 + decimals if decimals else 2}.{decimals}f}"
    return ("−" if time < 0 else "") + (f"{hours}:{minutes:02d}:{tail}" if hours else f"{minutes}:{tail}")


def seconds(time: float) -> str:
    """Write seconds as :func:`clock` does: with tenths below an hour, without a line break."""
    tenths = round(time * 10) / 10
    text = clock(tenths, decimals=1) if abs(tenths) < 3600 else clock(math.trunc(tenths))
    return text.replace(" ", "\xa0")


def duration(value: float) -> str:
    """Write how long something took: 0.0123 s as ``12.3 ms``, 2.5 s as ``2.5 s``."""
    return f"{1000 * value:.3g} ms" if value < 1 else f"{value:.3g} s"


def number(value: object) -> str:
    """Write a float with four significant digits, anything else as its text."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def ticks(low: float, high: float, steps: Sequence[float], *, most: int) -> list[float]:
    """Return the marks of an axis in ``[low, high]``: multiples of the first of ``steps`` that fits in at most ``most`` times."""
    step = next((s for s in steps if (high - low) / s <= most), steps[-1] * (int((high - low) / steps[-1] / max(1, most)) + 1))
    return [step * k for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
