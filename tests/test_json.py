"""Every key of the JSON files is explained in docs/json.md, or on the page that the schema names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.schemas import DOCS

pytestmark = pytest.mark.portable


def keys(schema: object) -> Iterator[str]:
    """Yield the names of all properties, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for part in schema.values():
            yield from keys(part)
    if isinstance(schema, list):
        for part in schema:
            yield from keys(part)


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.schema.json")), ids=lambda p: p.name)
def test_every_key_is_explained(path: Path) -> None:
    named = re.search(r"explained in (\w+\.md)", json.loads(path.read_text(encoding="utf-8"))["description"])
    page = (DOCS / (named[1] if named else "json.md")).read_text(encoding="utf-8")
    explained = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", page))))
    assert not set(keys(json.loads(path.read_text(encoding="utf-8")))) - explained
    assert path.name in page
