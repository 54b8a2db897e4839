"""Converts values to strict JSON, for every JSON file that vidcam writes, and parses JSON from outside."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["parse_json", "to_json_text", "to_json_value", "to_utf8_text"]

MAX_DEPTH = 100


def to_json_value(value: object) -> object:
    """Return a value in JSON's own types.

    Arrays and tuples become lists, NaN and infinity None, and anything that JSON does not know its ``str()``.
    """
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {to_utf8_text(key): to_json_value(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json_value(v) for v in value]
    return to_utf8_text(value)


def to_utf8_text(value: object) -> str:
    """Return ``str(value)`` as text that UTF-8 can encode: undecodable bytes of a file name become U+FFFD."""
    return str(value).encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def to_json_text(values: Mapping[str, object]) -> str:
    """Return strict JSON text, one top-level key per line; the values go through :func:`to_json_value`."""
    lines = (
        f"{json.dumps(to_utf8_text(k))}: {json.dumps(to_json_value(v), allow_nan=False, ensure_ascii=False)}"
        for k, v in values.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def parse_json(words: str | bytes, *, strict: bool = False) -> Any:
    """Return the value of a JSON text from outside.

    Args:
        words: The text.
        strict: Whether to refuse also what other programs could not read: NaN, infinity, numbers too large for a float, text that
            UTF-8 cannot encode, and values nested more than :data:`MAX_DEPTH` deep.

    Raises:
        ValueError: The text is refused, however deep or long it is.
    """
    try:
        value = json.loads(words)
        if strict:
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if strict and _is_deeper(value, MAX_DEPTH):
        raise ValueError("it is nested too deeply")
    return value


def _is_deeper(value: object, levels: int) -> bool:
    """Return whether a JSON value is nested more than ``levels`` deep."""
    inside = [value]
    for _ in range(levels):
        outer = [item.values() if isinstance(item, dict) else item for item in inside if isinstance(item, dict | list)]
        inside = [item for items in outer for item in items]
    return bool(inside)
