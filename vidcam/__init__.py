"""vidcam: why did the action model say that, where, and when?

    import vidcam

    analysis = vidcam.explain("clip.mp4")
    analysis.top(3)
    analysis.heatmap(2.0)

A public name is loaded when it is first used, so that ``import vidcam`` is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidcam.analysis import Analysis
    from vidcam.annotation import ClipEvidence, Outputs, annotate, draw, explain, explain_clips
    from vidcam.engine import open_engine
    from vidcam.errors import VidcamError
    from vidcam.evaluation.compare import compare
    from vidcam.evaluation.video import evaluate
    from vidcam.exporting import export
    from vidcam.io.source import open_source
    from vidcam.methods.lookup import list_methods, register_method
    from vidcam.models.table import list_models, register_model
    from vidcam.pipeline import Session
    from vidcam.settings import Encoding, Look, Settings
    from vidcam.training import train
    from vidcam.values import Clip, CropGeometry, Evidence, Frame, Heat, Prediction

_MODULES = {
    "explain": "annotation",
    "explain_clips": "annotation",
    "annotate": "annotation",
    "draw": "annotation",
    "compare": "evaluation.compare",
    "evaluate": "evaluation.video",
    "train": "training",
    "export": "exporting",
    "open_engine": "engine",
    "open_source": "io.source",
    "list_models": "models.table",
    "list_methods": "methods.lookup",
    "register_model": "models.table",
    "register_method": "methods.lookup",
    "Settings": "settings",
    "Look": "settings",
    "Encoding": "settings",
    "Outputs": "annotation",
    "Session": "pipeline",
    "Analysis": "analysis",
    "ClipEvidence": "annotation",
    "Frame": "values",
    "Clip": "values",
    "CropGeometry": "values",
    "Prediction": "values",
    "Evidence": "values",
    "Heat": "values",
    "VidcamError": "errors",
}

__all__ = [  # noqa: RUF022  (in the order of use, the same names as above)
    "explain", "explain_clips", "annotate", "draw", "compare", "evaluate", "train", "export", "open_engine", "open_source",
    "list_models", "list_methods", "register_model", "register_method", "Settings", "Look", "Encoding", "Outputs", "Session",
    "Analysis", "ClipEvidence", "Frame", "Clip", "CropGeometry", "Prediction", "Evidence", "Heat", "VidcamError",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'vidcam' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"vidcam.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
