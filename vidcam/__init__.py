"""vidcam: why did the action model say that, where, and when?

The public names are loaded when they are first used, so that ``import vidcam`` is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidcam.engine import open_engine
    from vidcam.errors import VidcamError
    from vidcam.pipeline import Look, Outputs, Session, Settings, annotate, draw, explain
    from vidcam.reader import open_source
    from vidcam.types import Analysis, Evidence, Frame, Geometry, Heat, Prediction, Window

_HOME = {
    "Analysis": "types",
    "Evidence": "types",
    "Frame": "types",
    "Geometry": "types",
    "Heat": "types",
    "Look": "pipeline",
    "Outputs": "pipeline",
    "Prediction": "types",
    "Session": "pipeline",
    "Settings": "pipeline",
    "VidcamError": "errors",
    "Window": "types",
    "annotate": "pipeline",
    "draw": "pipeline",
    "explain": "pipeline",
    "open_engine": "engine",
    "open_source": "reader",
}

__all__ = [  # noqa: RUF022  (the order of use, the same names as above)
    "open_source", "open_engine", "explain", "draw", "annotate", "Settings", "Look", "Outputs", "Session",
    "Frame", "Window", "Geometry", "Prediction", "Evidence", "Heat", "Analysis", "VidcamError",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vidcam' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"vidcam.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
