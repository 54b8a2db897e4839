"""Compiled models on disk, so that the next start needs neither torch nor a compilation.

One file for each model, layer, precision and processor, in ``compiled`` beside the downloaded weights: an uncompressed ``.npz``,
whose every member has a checksum. It holds the facts that it was made for, the compiled model, the head's linear layers, and what
torch gave for a clip that anyone can draw again. Whatever is wrong with a file, it is as if it were not there.
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
"""What an entry was made for, in JSON's own types."""


@dataclass(frozen=True)
class Entry:
    """A compiled model: its bytes ``blob``, the ``linears`` of its head, and what torch gave for the check clip, ``wanted``."""

    blob: UInt8Array
    linears: tuple[Linear, ...]
    wanted: ForwardOutput


def path_of(name: str, slot: Facts) -> Path:
    """Where the entry of the model called ``name`` is, if there is one; entries of other ``slot`` facts are elsewhere."""
    stem = "".join(c if c.isalnum() else "_" for c in Path(name).name)[:40]
    return cache_dir() / "compiled" / f"{stem}-{hashlib.sha256(_text(slot).encode()).hexdigest()[:20]}.npz"


def read(path: Path, facts: Facts) -> Entry | None:
    """The entry at ``path``, None where there is none that was made for just these ``facts`` and is whole."""
    # A damaged archive ends in a dozen unrelated exceptions, and all mean the same.
    with suppress(Exception), path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
        if str(kept["facts"]) == _text(facts):
            features = [kept[f"feature{i}"] for i in range(int(kept["pathways"]))]
            linears = [(kept[f"weight{i}"], kept[f"bias{i}"]) for i in range(int(kept["layers"]))]
            return Entry(kept["blob"], tuple(linears), ForwardOutput(kept["logits"], tuple(features)))
    return None


def write(path: Path, facts: Facts, entry: Entry) -> None:
    """Keep an entry, complete or not at all; where the folder cannot be written, the next start compiles again."""
    arrays: dict[str, npt.ArrayLike] = {"facts": _text(facts), "blob": entry.blob, "logits": entry.wanted.logits}
    arrays |= {"pathways": len(entry.wanted.features), "layers": len(entry.linears)}
    arrays |= {f"feature{i}": f for i, f in enumerate(entry.wanted.features)}
    for i, (weight, bias) in enumerate(entry.linears):
        arrays |= {f"weight{i}": weight, f"bias{i}": bias}
    with suppress(OSError, OutputError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, overwrite=True) as part:
            np.savez(part, **arrays)  # type: ignore[arg-type]


def _text(facts: Facts) -> str:
    return json.dumps(facts, sort_keys=True)
