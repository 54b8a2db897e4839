"""From a name to a network that runs: the row of facts, the module with its weights, and the names of its outputs."""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from vidcam.errors import OutputError, UsageError, WeightsError
from vidcam.io.files import atomic_write
from vidcam.models import registry
from vidcam.models import weights as weight_files
from vidcam.models.labels import distinct, read
from vidcam.models.registry import ModelSpec, Weights

if TYPE_CHECKING:
    from torch import Tensor, nn

_T = TypeVar("_T")

__all__ = ["LoadedModel", "ResolvedModel", "available", "download", "import_weights", "load", "locate"]


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
class ResolvedModel:
    """A model whose facts are known and whose weight file is on this machine, before its network is built.

    ``load`` builds it; it raises WeightsError where the file does not fit. ``own`` says that the network is code of the user's,
    or that nothing tells which weights it has. ``notes`` are what the user should know of it, in sentences.
    """

    spec: ModelSpec
    labels: tuple[str, ...]
    weights_sha256: str | None
    own: bool
    load: Callable[[], LoadedModel]
    notes: tuple[str, ...] = ()


def load(
    name: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    layer: str | None = None,
    facts: Mapping[str, object] | None = None,
    trust_code: bool = False,
    progress: weight_files.Progress | None = None,
) -> LoadedModel:
    """The model called ``name``: one of the table, one of your own as ``package.module:factory`` or ``file.py:factory``,
    or the folder that :func:`vidcam.training.train` left.

    ``weights`` and ``labels`` are files that replace the official ones (see :func:`~vidcam.models.weights.read_state` and
    :func:`~vidcam.models.labels.read`); ``layer`` is the dotted name of another layer to explain; ``facts`` complete those of a
    network of your own (see :func:`~vidcam.models.custom.describe`). A trained folder that names code outside of vidcam is
    refused unless ``trust_code``. A row's official weights are downloaded where they are not on this machine, telling
    ``progress``. Raises UnknownNameError for a name or a layer, WeightsError, DownloadError and UsageError, each saying what to
    do.
    """
    found = locate(name, weights=weights, labels=labels, layer=layer, facts=facts, trust_code=trust_code, progress=progress)
    return found.load()


def locate(
    name: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    layer: str | None = None,
    facts: Mapping[str, object] | None = None,
    trust_code: bool = False,
    progress: weight_files.Progress | None = None,
) -> ResolvedModel:
    """All that :func:`load` does for these arguments, short of building the network; without torch, where the facts are written
    down: in the table, or in what training left."""
    from vidcam.models import custom, trained

    own = custom.is_custom(name)
    if facts and not own:
        raise UsageError(f"facts are for a network of your own, file.py:factory; those of {name} are known")
    if own:
        given = None if weights is None else _given(weights)
        state = None if given is None else weight_files.read_state(given)  # what is no checkpoint is told before code is run
        made = _quietly(lambda: custom.make(name))
        row = made if isinstance(made, ModelSpec) else None
        module = None if row else cast("nn.Module", made)
        return _seen(name, row, module, given, labels, layer, progress, own=True, facts=facts, state=state)
    if trained.is_trained(name):
        row, kept, own = trained.read(name, trust_code=trust_code)
        weights = weights or kept
    else:
        row = registry.get(name)
        own = row.own
    if layer not in (None, row.layer):
        return _seen(name, row, None, weights, labels, layer, progress, own=own)
    # Whatever can be wrong without the weights is found before they are downloaded.
    outputs = len(row.labels())
    names = _names(name, labels, row.labels(), outputs)
    row = _of_outputs(row, outputs)
    path, sha256 = _weight_file(name, row, weights, required=True, progress=progress)

    def build() -> LoadedModel:
        module = _quietly(row.build).float().eval()
        if path:
            _fill(name, module, path, row)
        return LoadedModel(row, _with_counterpart(module, row, outputs), names, sha256, path)

    return ResolvedModel(row, names, sha256, own or sha256 is None, build)


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
    facts: Mapping[str, object] | None = None,
    state: Mapping[str, object] | None = None,
) -> ResolvedModel:
    """A model whose facts have to be looked up in the network itself: one of your own, or another layer."""
    import torch

    from vidcam.models import custom, head_detection

    if row is not None and facts:
        raise UsageError(f"{name} gives a ModelSpec, which has all its facts: change them there")
    module = (_quietly(row.build) if row is not None else cast("nn.Module", module)).to("cpu", torch.float32).eval()
    if layer:
        head_detection.check_layer(module, layer)
    path, sha256 = _weight_file(name, row, weights, required=not custom.is_custom(name), progress=progress)
    notes: list[str] = []
    if path:
        notes += _fill(name, module, path, row, state)
    if row is None:
        found = custom.describe(name, module, layer=layer, facts=facts)
        spec, outputs = found.spec, found.outputs
        if not path and not found.own_weights:
            notes.append(
                f"{name} has the weights that its own code gave it, because no --weights were given; random ones answer at random"
            )
        notes += found.notes
    else:
        spec, outputs = head_detection.point_at(module, row, layer or row.layer, keep_head=layer in (None, row.layer))
    names = _names(name, labels, spec.labels(), outputs)
    spec = _of_outputs(spec, outputs)
    loaded = LoadedModel(spec, _with_counterpart(module, spec, outputs), names, sha256, path)
    return ResolvedModel(spec, names, sha256, own or sha256 is None, lambda: loaded, tuple(notes))


def _names(name: str, given: str | os.PathLike[str] | None, own: tuple[str, ...], outputs: int) -> tuple[str, ...]:
    """The labels of a network with so many outputs, each another; those of a single output are its name and ``not`` its name."""
    labels = read(given) if given else own
    if len(labels) != outputs:
        raise UsageError(f"{name} has {outputs} outputs, but there are {len(labels)} labels{f' in {given}' if given else ''}")
    return (labels[0], f"not {labels[0]}") if outputs == 1 else distinct(labels)


def _of_outputs(spec: ModelSpec, outputs: int) -> ModelSpec:
    """The row as it is with a single output told from its counterpart: each has a probability of its own, which sum to 1."""
    return replace(spec, multi_label=True) if outputs == 1 else spec


def _with_counterpart(module: nn.Module, spec: ModelSpec, outputs: int) -> nn.Module:
    """The network; one with a single output z is changed to give (z, -z), because sigmoid(-z) = 1 - sigmoid(z)."""
    import torch
    from torch import nn

    if outputs > 1:
        return module
    if spec.head is None:
        module.register_forward_hook(lambda _module, _inputs, output: torch.cat([output, -output], dim=1))
        return module
    last = module.get_submodule(spec.head.linears[-1])
    assert isinstance(last, nn.Linear | nn.Conv3d)
    with torch.no_grad():
        last.weight = nn.Parameter(torch.cat([last.weight, -last.weight]), requires_grad=last.weight.requires_grad)
        if last.bias is not None:
            last.bias = nn.Parameter(torch.cat([last.bias, -last.bias]), requires_grad=last.bias.requires_grad)
    if isinstance(last, nn.Linear):
        last.out_features = 2
    else:
        last.out_channels = 2
    return module


def _quietly(make: Callable[[], _T]) -> _T:
    """What ``make()`` returns. Random weights that it draws are about to be replaced: the caller's randomness is left alone."""
    import torch

    with torch.random.fork_rng(devices=[]):
        return make()


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
        path = _given(given)
        return path, weight_files.sha256_of(path)
    if row is not None and row.weights is not None:
        path = weight_files.fetch(row.weights, progress=progress)
        return path, weight_files.verify(path, row.weights)
    if required:
        raise WeightsError(f"{name} has no weights that could be downloaded: give a file of your own with weights=")
    return None, None


def _given(weights: str | os.PathLike[str]) -> Path:
    path = Path(weights).expanduser()
    if not path.is_file():
        raise WeightsError(f"no weight file at {path}: check the path")
    return path


def _fill(
    name: str, module: nn.Module, path: Path, row: ModelSpec | None, checkpoint: Mapping[str, object] | None = None
) -> list[str]:
    """Put the weights of a file into the network.

    Returns:
        What was done to make them fit, in sentences.

    Raises:
        WeightsError: They do not fit; the message names what does not, and the likely cause.
    """
    checkpoint = weight_files.read_state(path) if checkpoint is None else checkpoint
    if row is not None and row.adapt is not None:
        state: Mapping[str, Tensor] = row.adapt(checkpoint)
        notes: list[str] = []
    else:
        state, notes = unwrapped(checkpoint, module.state_dict(), path=path)
    problems = _misfits(module.state_dict(), state)
    if problems:
        raise WeightsError(f"the weights in {path} do not fit {name}: {'; '.join(problems)}{_cause(module.state_dict(), state)}")
    module.load_state_dict(state, strict=False)
    return notes


PREFIXES = ("module.", "model.", "backbone.", "net.", "network.", "encoder.", "student.", "teacher.", "ema.", "_orig_mod.")
"""What training code puts before the names of a network's tensors, one or several of them."""


def unwrapped(
    checkpoint: Mapping[str, object], own: Mapping[str, Tensor], *, path: Path
) -> tuple[Mapping[str, Tensor], list[str]]:
    """Return the tensors of a checkpoint without the prefix that all of them share, if the network's names are without it.

    A prefix is taken off only if more names of the network are found then. The sentences say what was done.
    """
    state = weight_files.tensors_of(checkpoint)
    prefix = ""
    while True:
        first = next(iter(state)).removeprefix(prefix)
        more = next((p for p in PREFIXES if first.startswith(p)), None)
        if more is None or not all(name.startswith(prefix + more) for name in state):
            break
        prefix += more
    bare = {name.removeprefix(prefix): value for name, value in state.items()}
    if not prefix or len(bare.keys() & own.keys()) <= len(state.keys() & own.keys()):
        return state, []
    return bare, [f"the names of the tensors in {path} begin with {prefix!r}, which was taken off"]


def _cause(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Why weights may not fit, as the rest of a sentence."""
    common = own.keys() & given.keys()
    shapes = [key for key in common if own[key].shape != given[key].shape]
    if not shapes and len(common) == len(own):
        return ". All of the network's tensors are there, and more: take the others out of the file"
    if len(common) == len(own) and all(own[k].shape[1:] == given[k].shape[1:] for k in shapes):
        return f". They are of the same network with another number of outputs ({len(given[shapes[0]])}): build it with as many"
    if len(common) < len(own) / 2:
        return (
            ". Most names differ, so this is likely a checkpoint of another network, or of one that was built with other settings"
        )
    return ". This is likely another version or size of the same network: build it with the settings it was trained with"


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
    problems = [f"{what}: {_few(keys)}" for what, keys in found.items() if keys]
    near = {key: difflib.get_close_matches(key, extra, n=1, cutoff=0.6) for key in missing[:3]}
    pairs = [f"{key} where the file has {match[0]}" for key, match in near.items() if match]
    return problems + ([f"nearest names: {_few(pairs)}"] if pairs else [])


def _few(keys: Iterable[str], *, shown: int = 3) -> str:
    keys = list(keys)
    more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
    return ", ".join(keys[:shown]) + more
