"""The tables of a run, made from its plan and its marks: the results as CSV and Parquet, and the failures as CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from vidcam.batch.marks import Marks
from vidcam.batch.plan import FAILED_CSV, RESULTS, Item, Plan
from vidcam.batch.storage import Storage, open_storage
from vidcam.io.extras import has_extra, missing_extra
from vidcam.io.json_text import to_utf8_text
from vidcam.reports.csv_report import escape_formula

__all__ = ["FAILED_COLUMNS", "write_tables"]

FAILED_COLUMNS = ("input", "sentence", "kind", "attempts", "seconds")

ROWS_AT_ONCE = 10_000
"""How many rows of a Parquet file are in memory at once."""


def write_tables(plan: Plan, columns: Mapping[str, str]) -> list[str]:
    """Write the tables of a run, in the order of its plan.

    Args:
        plan: The plan.
        columns: The columns of the results with their types, ``string`` or ``double``; lists and objects become JSON.

    Returns:
        Sentences about tables that could not be written.

    Raises:
        OutputError: The disk is full, or the folder cannot be written.
    """
    marks, storage = Marks(plan.folder), open_storage(plan.folder)
    failed = (row for _, row in _rows(plan.items, marks, "failed"))
    _write_csv(storage, FAILED_CSV, FAILED_COLUMNS, ({key: row.get(key) for key in FAILED_COLUMNS} for row in failed))
    _write_csv(storage, f"{RESULTS}.csv", tuple(columns), _results(plan.items, marks, columns))
    return _write_parquet(storage, f"{RESULTS}.parquet", columns, _results(plan.items, marks, columns))


def _rows(items: Iterable[Item], marks: Marks, state: Any) -> Iterator[tuple[Item, dict[str, Any]]]:
    names = marks.names(state)
    if state == "failed":
        names -= marks.names("done")
    for item in items:
        if item.name in names and (row := marks.read(item.name, state)) is not None:
            yield item, row


def _results(items: Iterable[Item], marks: Marks, columns: Iterable[str]) -> Iterator[dict[str, Any]]:
    for item, mark in _rows(items, marks, "done"):
        row = {**mark, "input": item.input}
        for rank, (label, prob) in enumerate(mark["top"], 1):
            row |= {f"label_{rank}": label, f"prob_{rank}": prob}
        yield {key: _cell(row.get(key)) for key in columns}


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return to_utf8_text(value) if isinstance(value, str) else value


def _write_csv(storage: Storage, name: str, columns: tuple[str, ...], rows: Iterable[Mapping[str, Any]]) -> None:
    with storage.writing(name) as part, part.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for row in rows:
            writer.writerow({key: escape_formula(value) if isinstance(value, str) else value for key, value in row.items()})


def _write_parquet(storage: Storage, name: str, columns: Mapping[str, str], rows: Iterator[Mapping[str, Any]]) -> list[str]:
    if not has_extra("parquet"):
        storage.remove(name)  # one of an earlier run would be out of date
        return [missing_extra("parquet", f"only {RESULTS}.csv was written; {name}")]
    import pyarrow
    import pyarrow.parquet

    types = {"string": pyarrow.string(), "double": pyarrow.float64()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])
    with storage.writing(name) as part, pyarrow.parquet.ParquetWriter(part, schema) as writer:
        while group := list(islice(rows, ROWS_AT_ONCE)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))
    return []
