"""From a name to a network that runs: the row of facts, the module with its weights, and the names of its outputs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from vidcam.errors import OutputError, UsageError, WeightsError
from vidcam.files import atomic_write
from vidcam.models import registry
from vidcam.models import weights as weight_files
from vidcam.models.labels import read
from vidcam.models.registry import ModelSpec, Weights

if TYPE_CHECKING:
    from torch import Tensor, nn

_T = TypeVar("_T")

__all__ = ["LoadedModel", "Located", "available", "download", "import_weights", "load", "locate"]


@dataclass(frozen=True, repr=False)
class LoadedModel:
    """A network ready to run: ``module`` (on the CPU, in eval mode, float32) gives the logits of ``labels``.

    ``weights_path`` and ``weights_sha256`` say which file its weights came from, None where its own code made them.
    """

    spec: ModelSpec
    module: nn.Module
    labels: tuple[str, ...]
    weights_sha256: str | None
    weights_path: Path | None

    def __repr__(self) -> str:
        return f"LoadedModel({self.spec.name!r}, layer={self.spec.layer!r}, {len(self.labels)} labels, {self.weights_path})"


def available(spec: ModelSpec) -> bool:
    """Are the model's weights on this machine already?"""
    return spec.weights is not None and weight_files.find(spec.weights) is not None


@dataclass(frozen=True, repr=False)
class Located:
    """A model whose facts are known and whose weight file is on this machine, before its network is built.

    ``load`` builds it; it raises WeightsError where the file does not fit. ``own`` says that the network is code of the user's,
    or that nothing tells which weights it has.
    """

    spec: ModelSpec
    labels: tuple[str, ...]
    weights_sha256: str | None
    own: bool
    load: Callable[[], LoadedModel]


def load(
    name: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    layer: str | None = None,
    progress: weight_files.Progress | None = None,
) -> LoadedModel:
    """The model called ``name``: one of the table, one of your own as ``package.module:factory`` or ``file.py:factory``,
    or the folder that :func:`vidcam.train.train` left.

    ``weights`` and ``labels`` are files that replace the official ones (see :func:`~vidcam.models.weights.read_state` and
    :func:`~vidcam.models.labels.read`); ``layer`` is the dotted name of another layer to explain. A row's official weights are
    downloaded where they are not on this machine, telling ``progress``. Raises UnknownNameError for a name or a layer,
    WeightsError, DownloadError and UsageError, each saying what to do.
    """
    return locate(name, weights=weights, labels=labels, layer=layer, progress=progress).load()


def locate(
    name: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    layer: str | None = None,
    progress: weight_files.Progress | None = None,
) -> Located:
    """All that :func:`load` does for these arguments, short of building the network; without torch, where the facts are written
    down: in the table, or in what training left."""
    from vidcam.models import custom, trained

    own = custom.is_custom(name)
    if own:
        made = _quietly(lambda: custom.make(name))
        row = made if isinstance(made, ModelSpec) else None
        return _seen(name, row, None if row else cast("nn.Module", made), weights, labels, layer, progress, own=True)
    if trained.is_trained(name):
        row, kept, own = trained.read(name)
        weights = weights or kept
    else:
        row = registry.get(name)
        own = row.own
    if layer not in (None, row.layer):
        return _seen(name, row, None, weights, labels, layer, progress, own=own)
    # Whatever can be wrong without the weights is found before they are downloaded.
    names = read(labels) if labels else row.labels()
    _check_labels(name, names, len(row.labels()), labels)
    path, sha256 = _weight_file(name, row, weights, required=True, progress=progress)

    def build() -> LoadedModel:
        module = _quietly(row.build).float().eval()
        if path:
            _fill(name, module, path, row)
        return LoadedModel(row, module, names, sha256, path)

    return Located(row, names, sha256, own or sha256 is None, build)


def _seen(
    name: str,
    row: ModelSpec | None,
    module: nn.Module | None,
    weights: str | os.PathLike[str] | None,
    labels: str | os.PathLike[str] | None,
    layer: str | None,
    progress: weight_files.Progress | None,
    *,
    own: bool,
) -> Located:
    """A model whose facts have to be looked up in the network itself: one of your own, or another layer."""
    import torch

    from vidcam.models import custom, layers

    module = (_quietly(row.build) if row is not None else cast("nn.Module", module)).to("cpu", torch.float32).eval()
    if layer:
        layers.check_layer(module, layer)
    names = read(labels) if labels else None
    path, sha256 = _weight_file(name, row, weights, required=not custom.is_custom(name), progress=progress)
    if path:
        _fill(name, module, path, row)
    if row is None:
        spec, outputs = custom.describe(name, module, layer=layer)
    else:
        spec, outputs = layers.point_at(module, row, layer or row.layer, keep_head=layer in (None, row.layer))
    names = names or spec.labels()
    _check_labels(name, names, outputs, labels)
    loaded = LoadedModel(spec, module, names, sha256, path)
    return Located(spec, names, sha256, own or sha256 is None, lambda: loaded)


def _quietly(make: Callable[[], _T]) -> _T:
    """What ``make()`` returns. Random weights that it draws are about to be replaced: the caller's randomness is left alone."""
    import torch

    with torch.random.fork_rng(devices=[]):
        return make()


def _check_labels(name: str, names: tuple[str, ...], outputs: int, given: str | os.PathLike[str] | None) -> None:
    if len(names) != outputs:
        raise UsageError(f"{name} has {outputs} outputs, but there are {len(names)} labels{f' in {given}' if given else ''}")


def download(name: str, *, progress: weight_files.Progress | None = None) -> Path:
    """The official weight file of the model called ``name``, fetched into the cache where it is not on this machine."""
    return weight_files.fetch(_official(name), progress=progress)


def import_weights(name: str, file: str | os.PathLike[str]) -> Path:
    """Check an official file of the model called ``name`` and put it into the cache, converted where needed; its new path.

    WeightsError where it is not that model's file; OutputError where the cache cannot be written.
    """
    weights, row, source = _official(name), registry.get(name), Path(file).expanduser()
    if row.convert is not None:
        return row.convert(source, weight_files.cache_dir())
    if not source.is_file():
        raise WeightsError(f"no weight file at {source}: check the path")
    weight_files.verify(source, weights)
    _fill(name, row.build(), source, row)
    target = weight_files.cache_dir() / weights.filename
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise OutputError(f"{target} cannot be written: {err.strerror or err}; free some space or set VIDCAM_CACHE") from err
    with atomic_write(target, overwrite=True) as part:
        shutil.copyfile(source, part)
    return target


def _official(name: str) -> Weights:
    weights = registry.get(name).weights
    if weights is None:
        raise UsageError(f"{name} has no official weights: give a file of your own with --weights")
    return weights


def _weight_file(
    name: str,
    row: ModelSpec | None,
    given: str | os.PathLike[str] | None,
    *,
    required: bool,
    progress: weight_files.Progress | None,
) -> tuple[Path | None, str | None]:
    """The file to take the weights from and its SHA-256."""
    if given is not None:
        path = Path(given).expanduser()
        if not path.is_file():
            raise WeightsError(f"no weight file at {path}: check the path")
        return path, weight_files.sha256_of(path)
    if row is not None and row.weights is not None:
        path = weight_files.fetch(row.weights, progress=progress)
        return path, weight_files.verify(path, row.weights)
    if required:
        raise WeightsError(f"{name} has no weights that could be downloaded: give a file of your own with weights=")
    return None, None


def _fill(name: str, module: nn.Module, path: Path, row: ModelSpec | None) -> None:
    """Put the weights of a file into the network; WeightsError that names what does not fit."""
    checkpoint = weight_files.read_state(path)
    state = row.adapt(checkpoint) if row is not None and row.adapt is not None else weight_files.tensors_of(checkpoint)
    problems = _misfits(module.state_dict(), state)
    if problems:
        raise WeightsError(f"the weights in {path} do not fit {name}: {'; '.join(problems)}")
    module.load_state_dict(state, strict=False)


def _misfits(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """What is missing, unexpected or of another shape, a few names of each; nothing where the weights fit."""
    # Old checkpoints lack the batch counters, which matter only in training.
    missing = [key for key in own if key not in given and not key.endswith("num_batches_tracked")]
    extra = [key for key in given if key not in own]
    shapes = [
        f"{key} {list(given[key].shape)} instead of {list(own[key].shape)}"
        for key in own
        if key in given and given[key].shape != own[key].shape
    ]
    found = {"missing": missing, "not expected": extra, "of another shape": shapes}
    return [f"{what}: {_few(keys)}" for what, keys in found.items() if keys]


def _few(keys: Iterable[str], *, shown: int = 3) -> str:
    keys = list(keys)
    more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
    return ", ".join(keys[:shown]) + more
