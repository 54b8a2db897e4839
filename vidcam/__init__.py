"""vidcam: why did the action model say that, where, and when?

The public names are loaded when they are first used, so that ``import vidcam`` is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidcam.analysis import Analysis
    from vidcam.annotation import Outputs, annotate, draw, explain
    from vidcam.engine import open_engine
    from vidcam.errors import VidcamError
    from vidcam.io.source import open_source
    from vidcam.pipeline import Session, Settings
    from vidcam.render.renderer import Look
    from vidcam.values import Clip, CropGeometry, Evidence, Frame, Heat, Prediction

_HOME = {
    "Analysis": "analysis",
    "Evidence": "values",
    "Frame": "values",
    "CropGeometry": "values",
    "Heat": "values",
    "Look": "render.renderer",
    "Outputs": "annotation",
    "Prediction": "values",
    "Session": "pipeline",
    "Settings": "pipeline",
    "VidcamError": "errors",
    "Clip": "values",
    "annotate": "annotation",
    "draw": "annotation",
    "explain": "annotation",
    "open_engine": "engine",
    "open_source": "io.source",
}

__all__ = [  # noqa: RUF022  (the order of use, the same names as above)
    "open_source", "open_engine", "explain", "draw", "annotate", "Settings", "Look", "Outputs", "Session",
    "Frame", "Clip", "CropGeometry", "Prediction", "Evidence", "Heat", "Analysis", "VidcamError",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vidcam' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"vidcam.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
