"""Which files are whole networks; importing this loads neither OpenVINO nor numpy."""

from __future__ import annotations

from pathlib import Path

__all__ = ["GRAPHS", "is_graph"]

GRAPHS = (".onnx", ".xml")
"""The suffixes of files that are a whole network: ONNX, and OpenVINO, whose weights lie beside it in a ``.bin`` file."""


def is_graph(name: str) -> bool:
    """Return whether this is a file of a whole network, and not the name of a model."""
    return Path(name).suffix.lower() in GRAPHS and Path(name).expanduser().is_file()
