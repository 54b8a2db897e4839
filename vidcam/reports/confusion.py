"""A confusion table that stays readable with hundreds of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ConfusionRow", "ConfusionTable", "confusion_table"]

ALL, MOST = 20, 40
"""Up to how many classes the table has all of them, and how many it has at most if there are more."""


@dataclass(frozen=True)
class ConfusionRow:
    """The videos of one true class.

    Args:
        label: The class.
        counts: How often each of the table's columns was the answer.
        right: How many were answered correctly.
        total: How many there are, also those whose answer has no column.
    """

    label: str
    counts: tuple[int, ...]
    right: int
    total: int


@dataclass(frozen=True)
class ConfusionTable:
    """Counts of true classes (rows) by answers (columns).

    Args:
        rows: The true classes.
        columns: The answers.
        note: What the table leaves out; empty if it has everything.
    """

    rows: tuple[ConfusionRow, ...]
    columns: tuple[str, ...]
    note: str


def confusion_table(counts: Mapping[tuple[str, str], int]) -> ConfusionTable:
    """Return the table of ``counts`` by (true class, answer).

    With more than 20 classes, it has only those that occur in a mistake, and at most 40 of these: those of the
    most frequent mistakes.

    Example:
        >>> confusion_table({("run", "run"): 3, ("run", "walk"): 1}).rows[0].counts
        (3, 1)
    """
    true = list(dict.fromkeys(label for label, _ in counts))
    classes = list(dict.fromkeys([*true, *(answer for _, answer in counts)]))
    shown, note = classes, ""
    if len(classes) > ALL:
        shown, note = _with_mistakes(classes, counts)
    rows = tuple(_row(label, shown, counts) for label in shown if label in set(true))
    return ConfusionTable(rows, tuple(shown), note)


def _row(label: str, columns: list[str], counts: Mapping[tuple[str, str], int]) -> ConfusionRow:
    total = sum(count for (true, _), count in counts.items() if true == label)
    return ConfusionRow(label, tuple(counts.get((label, c), 0) for c in columns), counts.get((label, label), 0), total)


def _with_mistakes(classes: list[str], counts: Mapping[tuple[str, str], int]) -> tuple[list[str], str]:
    """Return the classes that are confused, at most 40 of them, and a sentence about the others."""
    wrong = {pair: count for pair, count in counts.items() if pair[0] != pair[1]}
    kept: set[str] = set()
    for pair in sorted(wrong, key=lambda pair: -wrong[pair]):  # the most frequent mistakes come first
        if len(kept.union(pair)) <= MOST:
            kept.update(pair)
    shown = [label for label in classes if label in kept]
    outside = sum(count for pair, count in wrong.items() if not kept.issuperset(pair))
    if not shown:
        return shown, f"None of the {len(classes)} classes has a mistake."
    if not outside:
        return shown, f"Of {len(classes)} classes, the table has only the {len(shown)} that occur in a mistake."
    note = f"Of {len(classes)} classes, the table has only {len(shown)}, those of the most frequent mistakes"
    return shown, f"{note}; {outside} rarer mistake{'s are' if outside != 1 else ' is'} not in it."
