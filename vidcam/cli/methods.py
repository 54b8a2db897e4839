"""``vidcam methods``: the explanation methods as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from vidcam.cli import options
from vidcam.cli.table import AsJson, print_table

if TYPE_CHECKING:
    from vidcam.methods.method import Method
    from vidcam.models.spec import ModelSpec

__all__ = ["methods"]

ANY_PHRASES = ("one phrase", "another phrase")
"""The classes of a model that compares videos with text: which methods work does not depend on them."""


def methods(
    model: Annotated[
        str | None, options.model_option(metavar="NAME", help="Model, as for annotate: say which methods work on it.")
    ] = None,
    fact: options.Fact = None,
    trust_code: options.TrustCode = False,
    plugin: options.Plugin = None,
    as_json: AsJson = False,
) -> None:
    """List the explanation methods; with --model, say which work on a model, and what the others need that it lacks."""
    from vidcam.methods.lookup import all_methods, default_name
    from vidcam.models.table import list_specs

    spec = None if model is None else _resolve(model, fact, trust_code=trust_code)
    models: dict[str, list[str]] = {}
    for row in list_specs():
        models.setdefault(default_name(row), []).append(row.name)
    rows = [
        {
            "name": method.name,
            **({} if spec is None else {"works": _works(method, spec)}),
            "title": method.title,
            "family": method.family,
            "signed": method.signed,
            "complete": method.is_complete,
            "default_of": models.get(method.name, []),
            "requires": sorted(method.requires),
            "cost": method.cost,
            "paper": method.paper,
        }
        for method in all_methods()
    ]
    print_table(rows, as_json=as_json, json_only=("family", "default_of", "requires", "paper"))


def _resolve(model: str, facts: list[str] | None, *, trust_code: bool) -> ModelSpec:
    """Return the facts of a model."""
    from vidcam.engine.graph_file import is_graph
    from vidcam.models.custom_facts import parse_facts
    from vidcam.models.loading import resolve_model

    if is_graph(model):
        from vidcam.engine import open_engine

        return open_engine(model, facts=parse_facts(facts or ())).spec
    return resolve_model(model, facts=parse_facts(facts or ()), phrases=ANY_PHRASES, trust_code=trust_code).spec


def _works(method: Method, spec: ModelSpec) -> str:
    """Return whether a method works on a model, and what is missing if it does not."""
    from vidcam.methods.lookup import default_name

    if missing := sorted(method.requires - spec.provides):
        return f"no: needs {', '.join(missing)}"
    return "yes, the default" if method.name == default_name(spec) else "yes"
