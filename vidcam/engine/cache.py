"""A cache of compiled models on disk, so that the next start needs neither torch nor a compilation.

There is one file for each model, layer, precision and processor, in the folder ``compiled`` beside the downloaded weights. It is
an uncompressed ``.npz``, in which every member has a checksum. It holds the facts that it was made for, the compiled model, the
head's linear layers, and torch's output for a clip that can be drawn again. A damaged file counts as a miss.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vidcam.engine.base import ForwardOutput, Linear
from vidcam.errors import OutputError
from vidcam.io.files import atomic_write
from vidcam.models.weights import cache_dir
from vidcam.values import UInt8Array

__all__ = ["Entry", "path_of", "read", "write"]

Facts = Mapping[str, object]
"""The facts that an entry was made for, in JSON's own types."""


@dataclass(frozen=True)
class Entry:
    """A compiled model.

    Attributes:
        blob: Its bytes.
        classifiers: The linear layers of its head.
        expected: The output of torch for the check clip.
    """

    blob: UInt8Array
    classifiers: tuple[Linear, ...]
    expected: ForwardOutput


def path_of(name: str, slot: Facts) -> Path:
    """Return the path of the entry of a model, whether it exists or not.

    Other ``slot`` facts give another path.
    """
    stem = "".join(c if c.isalnum() else "_" for c in Path(name).name)[:40]
    return cache_dir() / "compiled" / f"{stem}-{hashlib.sha256(_text(slot).encode()).hexdigest()[:20]}.npz"


def read(path: Path, facts: Facts) -> Entry | None:
    """Return the entry at ``path``; None if it is missing, damaged, or made for other ``facts``."""
    # A damaged archive raises one of a dozen unrelated exceptions, which all mean the same.
    with suppress(Exception), path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        if str(stored["facts"]) == _text(facts):
            activations = [stored[f"feature{i}"] for i in range(int(stored["pathways"]))]
            classifiers = [(stored[f"weight{i}"], stored[f"bias{i}"]) for i in range(int(stored["layers"]))]
            return Entry(stored["blob"], tuple(classifiers), ForwardOutput(stored["logits"], tuple(activations)))
    return None


def write(path: Path, facts: Facts, entry: Entry) -> None:
    """Store an entry, complete or not at all.

    If the folder cannot be written, the next start compiles again.
    """
    arrays: dict[str, npt.ArrayLike] = {"facts": _text(facts), "blob": entry.blob, "logits": entry.expected.logits}
    arrays |= {"pathways": len(entry.expected.activations), "layers": len(entry.classifiers)}
    arrays |= {f"feature{i}": f for i, f in enumerate(entry.expected.activations)}
    for i, (weight, bias) in enumerate(entry.classifiers):
        arrays |= {f"weight{i}": weight, f"bias{i}": bias}
    with suppress(OSError, OutputError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, overwrite=True) as part:
            np.savez(part, **arrays)  # type: ignore[arg-type]


def _text(facts: Facts) -> str:
    return json.dumps(facts, sort_keys=True)
