"""The confusion table of reports, against counts by hand."""

from __future__ import annotations

import numpy as np

from vidcam.reports.confusion import ALL, MOST, confusion_table


def test_a_small_table_has_every_class_and_answer() -> None:
    table = confusion_table({("run", "run"): 3, ("run", "fly"): 1, ("walk", "run"): 2})
    assert table.columns == ("run", "walk", "fly")  # true classes first
    assert [(r.label, r.counts, r.right, r.total) for r in table.rows] == [("run", (3, 0, 1), 3, 4), ("walk", (2, 0, 0), 0, 2)]
    assert table.note == ""


def test_of_many_classes_only_the_confused_ones_are_shown() -> None:
    counts = {(f"c{i}", f"c{i}"): 5 for i in range(400)} | {("c7", "c9"): 2, ("c300", "c9"): 1}
    table = confusion_table(counts)
    assert table.columns == ("c7", "c9", "c300")
    assert [r.counts for r in table.rows] == [(5, 2, 0), (0, 5, 0), (0, 1, 5)]
    assert table.note == "Of 400 classes, the table has only the 3 that occur in a mistake."


def test_many_classes_without_a_mistake_make_a_sentence() -> None:
    table = confusion_table({(f"c{i}", f"c{i}"): 1 for i in range(ALL + 1)})
    assert (table.rows, table.columns) == ((), ())
    assert table.note == "None of the 21 classes has a mistake."


def test_too_many_confused_classes_leave_the_rarest_mistakes_out() -> None:
    rng = np.random.default_rng(3)
    pairs = [(f"c{i}", f"c{j}") for i, j in rng.integers(0, 300, (250, 2)) if i != j]
    counts = {pair: int(rng.integers(1, 4)) for pair in pairs} | {("x", "y"): 50}
    table = confusion_table(counts)
    assert len(table.columns) <= MOST
    assert {"x", "y"} <= set(table.columns)
    inside = sum(n for (true, answer), n in counts.items() if {true, answer} <= set(table.columns))
    assert sum(map(sum, (r.counts for r in table.rows))) == inside
    assert f"; {sum(counts.values()) - inside} rarer mistakes are not in it." in table.note
