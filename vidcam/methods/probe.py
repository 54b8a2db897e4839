"""Where the cells of an explanation are: as shipped for the registered models, without torch, else measured once and kept."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from vidcam.engine.base import TorchModel
from vidcam.io.files import atomic_write
from vidcam.methods.cell_geometry import CellGeometry, from_json, placements_for, to_json
from vidcam.methods.core import Method
from vidcam.models.weights import cache_dir

__all__ = ["placements", "where"]


def placements(explained: TorchModel, *, cache: Path | None = None) -> tuple[CellGeometry, ...]:
    """Where the cells of each pathway are: as shipped, else as kept in the ``cache`` folder, else measured now and kept there.

    A measurement is kept for a network, its weights, a layer and a size of clip; the folder is by default beside the downloaded
    weights.
    """
    spec = explained.spec
    clip = spec.frames, *spec.crop
    known = placements_for(spec.architecture or spec.name, explained.layer, clip=clip)
    if known is not None:
        return known
    from vidcam.methods import receptive_field

    sums = [float(p.detach().double().abs().sum()) for p in explained.module.parameters()]
    facts = (explained.layer, explained.layout, spec.grid, spec.order, clip, str(explained.module), sums)
    folder = cache or cache_dir() / "placements"
    path = folder / f"{hashlib.sha256(repr(facts).encode()).hexdigest()[:32]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):  # no such file, or not one of ours: measure
        return from_json(json.loads(path.read_text(encoding="utf-8")))
    # As every later start will read it: the timeline joins maps whose centres agree exactly.
    found = from_json(to_json(receptive_field.locate(explained)))
    with suppress(OSError):  # where nothing can be kept, the next start measures again
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, overwrite=True) as file:
            file.write_text(json.dumps(to_json(found)), encoding="utf-8")
    return found


def where(method: Method, explained: TorchModel) -> tuple[CellGeometry, ...]:
    """Where the cells of this method's maps are, for each pathway: the method's own, or the explained layer's."""
    return placements(explained) if method.cells is None else (method.cells(explained.spec),)
