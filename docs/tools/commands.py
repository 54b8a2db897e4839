"""Write the page of all commands and options from the command line itself."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from vidcam.cli.main import app

__all__ = ["make"]

TITLE = """# Commands

Every command with its arguments and options, as `vidcam COMMAND --help` prints them. Results go to stdout, progress and
messages to stderr. Exit codes: 0 done, 1 something failed (the message says what and what to do), 2 wrong usage, 130 interrupted.
"""


def make(folder: Path) -> None:
    """Write ``folder/reference/commands.md``."""
    target = folder / "reference" / "commands.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    group = typer.main.get_command(app)
    target.write_text("\n".join([TITLE, *_describe_group(group, "vidcam")]), "utf-8")


def _describe_group(group: Any, name: str) -> Iterator[str]:
    for command in group.commands.values():
        yield from _describe(command, f"{name} {command.name}")
        if hasattr(command, "commands"):
            yield from _describe_group(command, f"{name} {command.name}")


def _describe(command: Any, name: str) -> Iterator[str]:
    """Yield the section of one command: what it does, and its arguments and options."""
    yield f"## `{name}`\n\n{inspect.cleandoc(command.help or '')}\n"
    rows = [row for parameter in command.params if (row := _row(parameter, command)) is not None]
    if rows:
        yield "\n".join(rows) + "\n"


def _row(parameter: Any, command: Any) -> str | None:
    """Return the line of an argument or option; None for one that the help does not show."""
    record = parameter.get_help_record(command.context_class(command))
    if record is None or parameter.hidden:
        return None
    name, text = (re.sub(r" ?<(str|bool|list\[str\]|int range|float range|int|float)>", "", part) for part in record)
    return f"- <code>{html.escape(name)}</code> – {text.replace('<', '&lt;')}"
