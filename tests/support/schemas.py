"""The JSON files that vidcam writes, against the schemas in docs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
from referencing import Registry, Resource

DOCS = Path(__file__).parents[2] / "docs"


def strict(text: str) -> Any:
    """The JSON's value; NaN and infinity, which Python would take, are refused."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def validate(doc: object, name: str) -> None:
    """Whether ``doc`` is what ``docs/NAME.schema.json`` says, and that file itself is a schema."""
    every = {p.name: json.loads(p.read_text(encoding="utf-8")) for p in DOCS.glob("*.schema.json")}
    registry = Registry().with_resources((file, Resource.from_contents(one)) for file, one in every.items())
    kind = jsonschema.Draft202012Validator
    kind.check_schema(every[f"{name}.schema.json"])
    kind(every[f"{name}.schema.json"], registry=registry).validate(doc)
