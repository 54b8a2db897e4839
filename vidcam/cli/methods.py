"""``vidcam methods``: the explanation methods as a table."""

from __future__ import annotations

from vidcam.cli.table import AsJson, print_table

__all__ = ["methods"]


def methods(as_json: AsJson = False) -> None:
    """List the explanation methods."""
    from vidcam.methods.lookup import all_methods

    rows = [
        {
            "name": method.name,
            "title": method.title,
            "family": method.family,
            "signed": method.signed,
            "complete": method.is_complete,
            "requires": sorted(method.requires),
            "cost": method.cost,
            "paper": method.paper,
        }
        for method in all_methods()
    ]
    print_table(rows, as_json=as_json, json_only=("family", "requires", "paper"))
