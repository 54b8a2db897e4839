"""Print the part of CHANGELOG.md that belongs to a release: ``python3 .github/release_notes.py v0.2.0``."""

from __future__ import annotations

import sys
from pathlib import Path

CHANGELOG = Path(__file__).parent.parent / "CHANGELOG.md"


def notes(text: str, tag: str) -> str:
    """Return the part of a version, without its heading; SystemExit if there is none or it is empty."""
    parts: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("## "):
            name = line.removeprefix("## ").split()[0].strip("[]")
            parts[name] = []
        elif name:
            parts[name].append(line)
    wanted = tag.removeprefix("v")
    found = "\n".join(parts.get(wanted, ())).strip()
    if not found:
        sys.exit(f"CHANGELOG.md says nothing under `## {wanted}`: rename `## Unreleased` before the tag is set")
    return found


if __name__ == "__main__":
    sys.stdout.write(f"{notes(CHANGELOG.read_text('utf-8'), sys.argv[1])}\n")
