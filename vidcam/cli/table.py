"""A table on stdout, for people or as JSON."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

__all__ = ["AsJson", "print_table"]

AsJson = Annotated[bool, typer.Option("--json", help="Print all facts as JSON.")]

WIDTH = 140
"""Columns of a table if stdout is no terminal."""


def print_table(rows: list[dict[str, Any]], *, as_json: bool, json_only: tuple[str, ...]) -> None:
    """Print ``rows``, which share their keys; the keys in ``json_only`` appear in the JSON alone."""
    if as_json:
        import json

        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    from vidcam.cli.progress import to_encodable

    table = Table(box=None, header_style="bold", pad_edge=False)
    columns = [key for key in rows[0] if key not in json_only]
    for key in columns:
        table.add_column(key, overflow="fold", no_wrap=key == "name")
    for row in rows:
        table.add_row(*(_cell(row[key]) for key in columns))
    console = Console()
    with console.capture() as captured:
        console.print(table, width=None if console.is_terminal else WIDTH)
    sys.stdout.write(to_encodable(captured.get()))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
