"""Reads the fields of a JSON file from outside: each value is checked, and an error says where it is and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from vidcam.errors import InputError, UsageError

__all__ = ["Place", "build", "read_list", "read_number", "read_positive", "read_text", "read_whole"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class Place:
    """A place in a file, for messages: the file and the field, such as ``actors[0].keyframes[3].box``."""

    file: Path
    field: str = ""

    def at(self, key: str | int) -> Place:
        """Return the place of a field or an item inside this one."""
        inner = f"[{key}]" if isinstance(key, int) else f".{key}" if self.field else key
        return Place(self.file, self.field + inner)

    def error(self, allowed: str, given: object) -> InputError:
        """Return the error that says which file and field, what is allowed, and what was given."""
        shown = repr(given)
        return InputError(f"{self.file}: {self.field} must be {allowed}, got {shown[:80]}{'…' * (len(shown) > 80)}")

    def refuse_others(self, values: Mapping[str, object], known: set[str]) -> None:
        """Raise InputError for a field that is not known, which may be a misspelt one."""
        if others := sorted(set(values) - known):
            where = f" in {self.field}" if self.field else ""
            raise InputError(f"{self.file}: unknown field {others[0]!r}{where}; known are {', '.join(sorted(known))}")


def read_list(values: Mapping[str, Any], key: str, place: Place, read: Callable[[Any, Place], _T], *, count: int = 0) -> list[_T]:
    """Return a field's items; it must hold ``count`` of them, or for 0 at least one."""
    items, where = values.get(key), place.at(key)
    if not isinstance(items, list) or not items or (count and len(items) != count):
        raise where.error(f"a list of {count or 'at least one'}", items)
    return [read(item, where.at(n)) for n, item in enumerate(items)]


def read_number(value: object, place: Place) -> float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise place.error("a finite number", value)
    return float(value)


def read_positive(value: object, place: Place) -> float:
    """Return a finite number above 0."""
    number = read_number(value, place)
    if number <= 0:
        raise place.error("a positive number", value)
    return number


def read_whole(value: object, place: Place, *, least: int = 1) -> int:
    """Return a whole number of at least ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise place.error(f"a whole number of at least {least}", value)
    return value


def read_text(value: object, place: Place) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise place.error("a text", value)
    return value


def build(place: Place, make: Callable[[], _T]) -> _T:
    """Return what ``make`` gives; a value that refuses itself becomes an InputError that says where."""
    try:
        return make()
    except UsageError as error:
        where = f" {place.field}:" if place.field else ""
        raise InputError(f"{place.file}:{where} {error}") from error
