"""The names of a model's outputs: built in for Kinetics-400 and -600, or read from a file."""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path

from vidcam.errors import UsageError

__all__ = ["kinetics400", "kinetics600", "read"]


def kinetics400() -> tuple[str, ...]:
    """The 400 classes of Kinetics-400 in the order of torchvision's and PyTorchVideo's outputs.

    The list is that of torchvision's weights enums, which cannot be read without importing torch.
    """
    return _shipped("kinetics400.txt")


def kinetics600() -> tuple[str, ...]:
    """The 600 classes of Kinetics-600 in the order of MoViNet's logits.

    The list is ``official/projects/movinet/files/kinetics_600_labels.txt`` of github.com/tensorflow/models.
    """
    return _shipped("kinetics600.txt")


def _shipped(name: str) -> tuple[str, ...]:
    return tuple(resources.files("vidcam.models").joinpath(name).read_text(encoding="utf-8").splitlines())


def read(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The labels in a file, in the order of the outputs.

    The file is text with one label a line, or JSON: a list of labels, or Kinetics' own ``{"label": index}``. UsageError where it
    is none of these.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise UsageError(f"cannot read labels from {path}: {err}") from err
    labels = _from_json(path, text) if path.suffix.lower() == ".json" else _from_lines(path, text)
    if not labels:
        raise UsageError(f"no labels in {path}: it should hold one label a line, or a JSON list of labels")
    return labels


def _from_lines(path: Path, text: str) -> tuple[str, ...]:
    lines = [line.strip() for line in text.strip().splitlines()]
    if "" in lines:
        raise UsageError(f"line {lines.index('') + 1} of {path} is empty: every line between the first and the last is a label")
    return tuple(lines)


def _from_json(path: Path, text: str) -> tuple[str, ...]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as err:
        raise UsageError(f"{path} is not JSON: {err}") from err
    if isinstance(value, dict):
        if not all(isinstance(index, int) for index in value.values()) or sorted(value.values()) != list(range(len(value))):
            raise UsageError(f'{path}: a JSON object of labels must be {{"label": index}} with every index from 0 once')
        # Kinetics' published file wraps the names of several words in a second pair of quotes.
        value = [name.strip('"') for name in sorted(value, key=value.__getitem__)]
    if not isinstance(value, list) or not all(isinstance(name, str) and name.strip() for name in value):
        raise UsageError(f'{path}: labels in JSON are a list of non-empty strings, or an object {{"label": index}}')
    return tuple(value)
