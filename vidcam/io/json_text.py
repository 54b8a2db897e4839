"""Values as JSON's own types and as strict JSON text, which every JSON file about a video goes through; and JSON from outside."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["document", "parse", "plain", "text"]

DEEPEST = 100


def plain(value: object) -> object:
    """``value`` in JSON's own types: arrays and tuples as lists, NaN and infinity as None, anything unknown as its text."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {text(key): plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return text(value)


def text(value: object) -> str:
    """``value`` as text that UTF-8 can hold: a file name's undecodable bytes become U+FFFD."""
    return str(value).encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def document(values: Mapping[str, object]) -> str:
    """Strict JSON, one top-level key a line. ``values`` go through :func:`plain`."""
    lines = (f"{json.dumps(text(k))}: {json.dumps(plain(v), allow_nan=False, ensure_ascii=False)}" for k, v in values.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def parse(words: str | bytes, *, strict: bool = False) -> Any:
    """Return the value of a JSON text from outside; ValueError if it cannot be read, however deep or long it is.

    If ``strict``, what others could stumble over is refused too: values that are nested deeply, NaN, infinity, numbers too large
    for a float, and text that UTF-8 cannot hold.
    """
    try:
        value = json.loads(words)
        if strict:
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if strict and _is_deeper(value, DEEPEST):
        raise ValueError("it is nested too deeply")
    return value


def _is_deeper(value: object, levels: int) -> bool:
    inside = [value]
    for _ in range(levels):
        outer = [item.values() if isinstance(item, dict) else item for item in inside if isinstance(item, dict | list)]
        inside = [item for items in outer for item in items]
    return bool(inside)
