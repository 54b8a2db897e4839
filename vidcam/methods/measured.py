"""How well each method explains each model, as measured on real clips: the figures of docs/methods.md.

``python -m benchmarks.methods`` measures them again and rewrites ``vidcam/models/measured_methods.json``. Importing this imports
neither numpy nor torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidcam.models.spec import ModelSpec

__all__ = ["Measured", "measured"]

FILE = "measured_methods.json"


CLASS_BLIND = 0.99
"""A method whose maps of two classes correlate at least so much shows what is salient, whatever the class."""


@dataclass(frozen=True)
class Measured:
    """What was measured of the methods on one model; methods with one map for all classes are left out.

    Attributes:
        clips: The number of real clips.
        lerf_minus_morf: For each method and imputer the mean over the clips, from -1 to 1.
        pointing: For each method the share of the frames whose hottest cell lies on those who act.
    """

    clips: int
    lerf_minus_morf: Mapping[str, Mapping[str, float]]
    pointing: Mapping[str, float]


def measured(spec: ModelSpec) -> Measured | None:
    """Return what was measured on this model and layer; None if nothing was."""
    row = _table().get(spec.name)
    if row is None or row["layer"] != spec.target_layer:
        return None
    methods = {name: of for name, of in row["methods"].items() if of.get("class_correlation", 0.0) < CLASS_BLIND}
    return Measured(
        clips=row["clips"],
        lerf_minus_morf={name: {key: of[key] for key in row["imputers"]} for name, of in methods.items()},
        pointing={name: of["pointing"] for name, of in methods.items()},
    )


@cache
def _table() -> dict[str, Any]:
    text = resources.files("vidcam.models").joinpath(FILE).read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table
