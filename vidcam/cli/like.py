"""``--like why.json``: the settings of an earlier run, from its JSON report, for another video."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidcam.cli.options import explanation_option
from vidcam.errors import InputError, UsageError

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["Like", "Recorded", "read_recorded"]

KEYS = ("schema_version", "model", "method", "settings", "seed", "engine", "device", "versions", "windows")
KINDS = {"model": dict, "settings": dict, "versions": dict, "method": str, "engine": str, "device": str}
MODEL_KEYS = ("name", "weights_sha256", "layer", "interval_s")

OF_ITS_OWN = (".py", ".onnx", ".xml")

PLAIN = {"smoothing": "smoothing", "smooth": "smooth_s", "hop": "hop_s", "tail": "tail", "versus": "versus", "verdict": "verdict"}
"""Options that are settings of the report, by their names there."""

LOOK = ("style", "opacity", "signed", "panel", "threshold")


@dataclass(frozen=True)
class Recorded:
    """A JSON report of ``vidcam annotate``: ``path``, and its ``report``."""

    path: Path
    report: Mapping[str, Any]

    def options(self) -> dict[str, Any]:
        """Return the options of the run by the names of the parameters; a function refuses what is not repeated."""
        model, settings = self.report["model"]["name"], self.report["settings"]
        values: dict[str, Any] = {option: settings.get(key) for option, key in PLAIN.items()}
        values |= {key: self.report.get("look", {}).get(key) for key in LOOK}
        values |= {
            "model": self._refuse_own_model if _is_own(model) else model,
            "layer": self._layer(model),
            "method": self.report["method"],
            "classes": [str(name) for name in settings.get("classes") or ()],
            "crops": "cover" if settings.get("cover") else "center",
            "start": settings.get("start_s"),
            "end": settings.get("end_s"),
            "seed": self.report["seed"],
            "engine": self.report["engine"].partition(" ")[0],  # "openvino + torch": a method differentiates
            "device": self.report["device"],
            "frame_interval": self.report["model"]["interval_s"] if model.startswith("hf:") else None,
        }
        return {key: value for key, value in values.items() if value is not None and value != []}

    def check(self, engine: Engine, *, weights_named: bool, say: Callable[[str], object]) -> None:
        """Compare the model that was opened, and the versions, with those of the run.

        Args:
            engine: The engine that was opened.
            weights_named: Whether --weights names a file, so that other weights are meant.
            say: Called with a warning about each difference that is no error.

        Raises:
            UsageError: The weights or the layer differ.
        """
        model = self.report["model"]
        then, now = model["weights_sha256"], engine.weights_sha256
        if then != now and then is not None:
            difference = f"other weights of {model['name']} (SHA-256 {then[:12]}…, and here {(now or 'not known')[:12]}…)"
            if not weights_named:
                raise UsageError(f"{self.path} was made with {difference}: name the file to explain with, --weights FILE")
            say(f"warning: {self.path} was made with {difference}")
        if model["layer"] != engine.spec.target_layer:
            raise UsageError(
                f"{self.path} explains the layer {model['layer']}, and this run {engine.spec.target_layer}: name one with --layer"
            )
        if changes := self._other_versions():
            say(f"warning: {self.path} was made with {', '.join(changes)}: figures may differ")

    def _other_versions(self) -> list[str]:
        from vidcam.analysis import versions

        now = versions()
        then = self.report["versions"].items()
        return [f"{name} {number} (here {now.get(name, 'none')})" for name, number in then if now.get(name) != number]

    def _layer(self, model: str) -> str | None:
        """Return the layer to name: that of the run, if it is not the one that the table names."""
        from vidcam.models.table import get_spec, list_models

        layer: str | None = self.report["model"]["layer"]
        return layer if model in list_models() and layer != get_spec(model).target_layer else None

    def _refuse_own_model(self) -> str:
        name = self.report["model"]["name"]
        raise UsageError(
            f"{self.path} was made with a model of your own, {name}, which is opened only if you name it again: --model {name}, "
            "and what belongs to it (--weights, --labels, --fact)"
        )


def read_recorded(path: Path) -> Recorded:
    """Read a JSON report of ``vidcam annotate``.

    Raises:
        InputError: The file cannot be read.
        UsageError: It is no such report.
    """
    from vidcam.io.json_text import parse_json

    try:
        report = parse_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"--like cannot read {path}: {error.strerror}") from error
    except ValueError:
        report = None
    if not _is_report(report):
        raise UsageError(f"{path} is no JSON report of vidcam annotate: name a file that its option --json wrote")
    if report["schema_version"] != 1:
        raise UsageError(f"{path} was written by a later vidcam, whose settings this one does not know: update vidcam")
    return Recorded(path, report)


def _is_report(report: object) -> bool:
    """Return whether this holds what a report of ``vidcam annotate`` must hold."""
    if not isinstance(report, dict) or not {*KEYS} <= set(report) or not isinstance(report.get("look", {}), dict):
        return False
    if not all(isinstance(report[key], kind) for key, kind in KINDS.items()):
        return False
    return {*MODEL_KEYS} <= set(report["model"]) and isinstance(report["model"]["name"], str)


def _is_own(model: str) -> bool:
    """Return whether a report's model is code or a file of its author, and not a name, a trained folder or of Hugging Face."""
    path, _, factory = model.rpartition(":")
    return not model.startswith("hf:") and (bool(path and factory) or os.path.splitext(model)[1] in OF_ITS_OWN)


def _take_over(context: typer.Context, path: Path | None) -> Path | None:
    """Make the options of the report the defaults of this command."""
    if path is not None:
        context.default_map = {**(context.default_map or {}), **read_recorded(path).options()}
    return path


_callback: Callable[..., Any] = _take_over

Like = Annotated[
    Path | None,
    explanation_option(
        "--like",
        metavar="WHY.json",
        callback=_callback,
        is_eager=True,
        help="JSON report of an earlier run whose settings are repeated; options that are typed win.",
    ),
]
