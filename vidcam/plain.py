"""Values as JSON's own types and as strict JSON text: what every JSON file that vidcam writes about a video goes through."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import numpy as np

__all__ = ["document", "plain", "text"]


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
