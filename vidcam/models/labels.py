"""The names of a model's outputs: built in for Kinetics-400 and -600, or read from a file."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from vidcam.errors import UsageError

__all__ = ["kinetics400", "kinetics600", "make_distinct", "read_labels"]


def kinetics400() -> tuple[str, ...]:
    """Return the 400 classes of Kinetics-400 in the order of the outputs of torchvision and PyTorchVideo.

    The list is that of torchvision's weights enums, which cannot be read without importing torch.
    """
    return _shipped("kinetics400.txt")


def kinetics600() -> tuple[str, ...]:
    """Return the 600 classes of Kinetics-600 in the order of MoViNet's logits.

    The list is ``official/projects/movinet/files/kinetics_600_labels.txt`` of github.com/tensorflow/models.
    """
    return _shipped("kinetics600.txt")


def _shipped(name: str) -> tuple[str, ...]:
    return tuple(resources.files("vidcam.models").joinpath(name).read_text(encoding="utf-8").splitlines())


def read_labels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read labels from a file, in the order of the outputs.

    Args:
        path: Text with one label per line, or JSON: a list of labels, Kinetics' own ``{"label": index}``, or the
            ``{"index": "label"}`` of Hugging Face's ``id2label``.

    Raises:
        UsageError: The file cannot be read, or is none of these.
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


FORMS = 'a list of non-empty strings, or an object {"label": index} or {"index": "label"} with every index from 0 once'


def _from_json(path: Path, text: str) -> tuple[str, ...]:
    from vidcam.io.json_text import parse_json  # it imports numpy, which the table of models does not need

    try:
        value = parse_json(text)
    except ValueError as err:
        raise UsageError(f"{path} is not JSON that can be read: {err}") from err
    if isinstance(value, dict):
        by_index: dict[object, object] = {}
        for key, other in value.items():
            # Kinetics' published file puts names of several words into a second pair of quotes.
            index, name = (_parse_index(key), other) if isinstance(other, str) else (other, key.strip('"'))
            by_index[index if type(index) is int else None] = name
        value = [by_index.get(i) for i in range(len(value))]
    if not isinstance(value, list) or not all(isinstance(name, str) and name.strip() for name in value):
        raise UsageError(f"{path}: labels in JSON are {FORMS}")
    return tuple(value)


def _parse_index(text: str) -> int | None:
    """Return the number that a short text of digits stands for, else None."""
    return int(text) if re.fullmatch(r"\d{1,9}", text) else None


def make_distinct(labels: Sequence[str]) -> tuple[str, ...]:
    """Make equal labels distinct by the index of the output, such as ``walk #0`` and ``walk #2``."""
    repeated = {name for name, times in Counter(labels).items() if times > 1}
    distinct = tuple(f"{name} #{i}" if name in repeated else name for i, name in enumerate(labels))
    return distinct if len(set(distinct)) == len(distinct) else make_distinct(distinct)  # a label was named so already
