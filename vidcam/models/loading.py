"""From a name to a network that runs: its facts, its weights, and the names of its outputs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from vidcam.errors import OutputError, UsageError, WeightsError
from vidcam.io.files import atomic_write
from vidcam.models import weights as weight_files
from vidcam.models.checkpoints import fill_network, read_state
from vidcam.models.huggingface import is_huggingface
from vidcam.models.labels import make_distinct, read_labels
from vidcam.models.spec import ModelSpec, Weights
from vidcam.models.table import get_spec, list_models

if TYPE_CHECKING:
    from torch import nn

_T = TypeVar("_T")

__all__ = ["LoadedModel", "ResolvedModel", "download", "import_weights", "is_available", "load", "resolve_model"]


@dataclass(frozen=True, repr=False)
class LoadedModel:
    """A network ready to run.

    Attributes:
        spec: The facts of the model.
        module: The network, on the CPU, in eval mode and float32; it gives the logits of ``labels``.
        labels: The names of the outputs.
        weights_sha256: The checksum of the weight file; None if the network's own code made the weights.
        weights_path: The weight file; None likewise.
    """

    spec: ModelSpec
    module: nn.Module
    labels: tuple[str, ...]
    weights_sha256: str | None
    weights_path: Path | None

    def __repr__(self) -> str:
        return (
            f"LoadedModel({self.spec.name!r}, layer={self.spec.target_layer!r}, {len(self.labels)} labels, {self.weights_path})"
        )


def is_available(spec: ModelSpec) -> bool:
    """Return whether the model's weights are on this machine already."""
    return spec.weights is not None and weight_files.find(spec.weights) is not None


@dataclass(frozen=True, repr=False)
class ResolvedModel:
    """A model whose facts are known and whose weight file is on this machine, before its network is built.

    Attributes:
        spec: The facts of the model.
        labels: The names of the outputs.
        weights_sha256: The checksum of the weight file; None if the network's own code made the weights.
        is_custom: Whether the network is the user's code, or has weights of unknown origin.
        load: Builds the network; raises WeightsError if the file does not fit.
        notes: What the user should know about the model, in sentences.
    """

    spec: ModelSpec
    labels: tuple[str, ...]
    weights_sha256: str | None
    is_custom: bool
    load: Callable[[], LoadedModel]
    notes: tuple[str, ...] = ()


def load(
    name: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    layer: str | None = None,
    facts: Mapping[str, object] | None = None,
    phrases: Sequence[str] = (),
    trust_code: bool = False,
    progress: weight_files.Progress | None = None,
) -> LoadedModel:
    """Load a model.

    Args:
        name: A model of the table, a custom network as ``package.module:factory`` or ``file.py:factory``, a folder that
            :func:`vidcam.training.train` wrote, or ``hf:REPOSITORY_OR_FOLDER`` of Hugging Face transformers.
        weights: A weight file that replaces the official one, see :func:`~vidcam.models.checkpoints.read_state`.
        labels: A file of labels that replaces the model's own, see :func:`~vidcam.models.labels.read_labels`.
        layer: The dotted name of another layer to explain.
        facts: Facts about a custom network, see :func:`~vidcam.models.custom_facts.describe`, or about a model of transformers,
            see :func:`~vidcam.models.huggingface.resolve.read_checkpoint`.
        phrases: The classes, in words, of a model that compares videos with text; no other model looks at them.
        trust_code: Allow a trained folder or a repository to run the code that it brings.
        progress: Is called during a download with the bytes received and the bytes in all.

    Returns:
        The network with its weights; official weights are downloaded if they are not on this machine.

    Raises:
        UnknownNameError: There is no such model or layer.
        UsageError: An argument is not allowed, or the arguments do not fit together.
        WeightsError: The weights are missing or damaged, or do not fit.
        DownloadError: The weights cannot be fetched.
        VidcamError: The code of a custom network fails.
    """
    resolved = resolve_model(
        name,
        weights=weights,
        labels=labels,
        layer=layer,
        facts=facts,
        phrases=phrases,
        trust_code=trust_code,
        progress=progress,
    )
    return resolved.load()


def resolve_model(
    name: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    layer: str | None = None,
    facts: Mapping[str, object] | None = None,
    phrases: Sequence[str] = (),
    trust_code: bool = False,
    progress: weight_files.Progress | None = None,
) -> ResolvedModel:
    """Do what :func:`load` does for these arguments, except building the network.

    torch is not imported if the facts are written down: in the table, or in a trained folder.
    """
    from vidcam.models import custom, trained

    if is_huggingface(name):
        return _resolve_checkpoint(name, weights, labels, layer, facts, phrases, trust_code=trust_code)
    is_custom = custom.is_custom(name)
    if facts and not is_custom:
        raise UsageError(f"facts are for a network of your own, file.py:factory; those of {name} are known")
    if is_custom:
        file = None if weights is None else _existing_file(weights)
        state = None if file is None else read_state(file)  # refuse a bad file before any code is run
        network = _keep_random_state(lambda: custom.make_network(name))
        row = network if isinstance(network, ModelSpec) else None
        module = None if row else cast("nn.Module", network)
        return _resolve_by_running(name, row, module, file, labels, layer, progress, is_custom=True, facts=facts, state=state)
    if trained.is_trained(name):
        row, file, is_custom = trained.read(name, trust_code=trust_code)
        weights = weights or file
    elif name not in list_models() and Path(name).expanduser().is_dir():
        raise UsageError(f"the folder {name} holds no trained model: `vidcam train … -o {name}` makes one, or goes on with it")
    else:
        row = get_spec(name)
        is_custom = row.is_custom
    if layer not in (None, row.target_layer):
        return _resolve_by_running(name, row, None, weights, labels, layer, progress, is_custom=is_custom)
    # What can be wrong without the weights is found before they are downloaded.
    row, outputs, notes = _adopt_weights(row, weights)
    names = _check_labels(name, labels, row.labels(), outputs)
    row = _adapt_to_outputs(row, outputs)
    path, sha256 = _weight_file(name, row, weights, required=True, progress=progress)

    def build() -> LoadedModel:
        module = _keep_random_state(row.build).float().eval()
        if path:
            fill_network(name, module, path, row)
        return LoadedModel(row, _add_counterpart(module, row, outputs), names, sha256, path)

    return ResolvedModel(row, names, sha256, is_custom or sha256 is None, build, notes)


def _adopt_weights(row: ModelSpec, weights: str | os.PathLike[str] | None) -> tuple[ModelSpec, int, tuple[str, ...]]:
    """Return the facts of a row for weights of the user, the number of outputs, and notes.

    Weights of mmaction2 have other names, and belong to other clips.
    """
    from vidcam.models import mmaction

    if weights is None or row.family != "pytorchvideo":
        return row, len(row.labels()), ()
    path = _existing_file(weights)
    checkpoint = read_state(path)
    if not mmaction.is_of_mmaction(checkpoint):
        return row, len(row.labels()), ()
    row, outputs, note = mmaction.adopt(row, checkpoint, path)
    return row, outputs, (note,)


def _resolve_by_running(
    name: str,
    row: ModelSpec | None,
    module: nn.Module | None,
    weights: str | os.PathLike[str] | None,
    labels: str | os.PathLike[str] | None,
    layer: str | None,
    progress: weight_files.Progress | None,
    *,
    is_custom: bool,
    facts: Mapping[str, object] | None = None,
    state: Mapping[str, object] | None = None,
) -> ResolvedModel:
    """Resolve a model whose facts are found by running it: a custom network, or another layer."""
    import torch

    from vidcam.models import custom, custom_facts, head_detection

    if row is not None and facts:
        raise UsageError(f"{name} gives a ModelSpec, which has all its facts: change them there")
    module = (_keep_random_state(row.build) if row is not None else cast("nn.Module", module)).to("cpu", torch.float32).eval()
    if layer:
        head_detection.check_layer(module, layer)
    path, sha256 = _weight_file(name, row, weights, required=not custom.is_custom(name), progress=progress)
    notes: list[str] = []
    if path:
        notes += fill_network(name, module, path, row, state)
    if row is None:
        described = custom_facts.describe(name, module, layer=layer, facts=facts)
        spec, outputs = described.spec, described.outputs
        if not path and not described.own_weights:
            notes.append(
                f"{name} has the weights that its own code gave it, because no --weights were given; random ones answer at random"
            )
        notes += described.notes
    else:
        spec, outputs = head_detection.inspect_layer(
            module, row, layer or row.target_layer, keep_head=layer in (None, row.target_layer)
        )
    names = _check_labels(name, labels, spec.labels(), outputs)
    spec = _adapt_to_outputs(spec, outputs)
    loaded = LoadedModel(spec, _add_counterpart(module, spec, outputs), names, sha256, path)
    return ResolvedModel(spec, names, sha256, is_custom or sha256 is None, lambda: loaded, tuple(notes))


def _resolve_checkpoint(
    name: str,
    weights: str | os.PathLike[str] | None,
    labels: str | os.PathLike[str] | None,
    layer: str | None,
    facts: Mapping[str, object] | None,
    phrases: Sequence[str],
    *,
    trust_code: bool,
) -> ResolvedModel:
    """Resolve a checkpoint of Hugging Face transformers."""
    from vidcam.models.huggingface.resolve import read_checkpoint

    if weights is not None:
        raise UsageError(
            f"{name} brings its weights: put others into a folder of their own and name that, or leave --weights out"
        )
    found = read_checkpoint(name, labels=labels, facts=facts, phrases=phrases, trust_code=trust_code)
    outputs = len(found.labels)
    names = _check_labels(name, labels, found.labels, outputs)
    row = _adapt_to_outputs(found.spec, outputs)

    def build(spec: ModelSpec = row) -> LoadedModel:
        module = _keep_random_state(found.build).eval()
        return LoadedModel(spec, _add_counterpart(module, spec, outputs), names, found.sha256, found.path)

    if layer not in (None, row.target_layer):
        from vidcam.models.head_detection import inspect_layer

        row, _ = inspect_layer(_keep_random_state(found.build).eval(), row, str(layer), keep_head=False)
    return ResolvedModel(row, names, found.sha256, found.is_custom, lambda: build(row), found.notes)


def _check_labels(name: str, given: str | os.PathLike[str] | None, own_labels: tuple[str, ...], outputs: int) -> tuple[str, ...]:
    """Return distinct labels, one per output; for a single output, its label and ``not`` that label."""
    labels = read_labels(given) if given else own_labels
    if len(labels) != outputs:
        raise UsageError(f"{name} has {outputs} outputs, but there are {len(labels)} labels{f' in {given}' if given else ''}")
    return (labels[0], f"not {labels[0]}") if outputs == 1 else make_distinct(labels)


def _adapt_to_outputs(spec: ModelSpec, outputs: int) -> ModelSpec:
    """Return the facts; with a single output, both labels get probabilities of their own, which sum to 1."""
    return replace(spec, multi_label=True) if outputs == 1 else spec


def _add_counterpart(module: nn.Module, spec: ModelSpec, outputs: int) -> nn.Module:
    """Return the network; one with a single output z is changed to give (z, -z).

    The reason is sigmoid(-z) = 1 - sigmoid(z).
    """
    import torch
    from torch import nn

    if outputs > 1:
        return module
    if spec.head is None:
        module.register_forward_hook(lambda _module, _inputs, output: torch.cat([output, -output], dim=1))
        return module
    last = module.get_submodule(spec.head.classifiers[-1])
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


def _keep_random_state(make: Callable[[], _T]) -> _T:
    """Return ``make()`` without changing the caller's random state; random weights are replaced anyway."""
    import torch

    with torch.random.fork_rng(devices=[]):
        return make()


def download(name: str, *, progress: weight_files.Progress | None = None) -> Path:
    """Return the official weight file of a model, downloaded into the cache if it is not on this machine.

    Raises:
        UsageError: The model has no official weights.
        DownloadError: The file cannot be fetched.
        WeightsError: The file has a wrong checksum.
    """
    return weight_files.fetch(_official(name), progress=progress)


def import_weights(name: str, file: str | os.PathLike[str]) -> Path:
    """Check an official file of a model and put it into the cache, converted if needed.

    Returns:
        The path in the cache.

    Raises:
        WeightsError: It is not the file of that model.
        OutputError: The cache cannot be written.
    """
    weights, row, source = _official(name), get_spec(name), Path(file).expanduser()
    if row.convert is not None:
        return row.convert(source, weight_files.cache_dir())
    if not source.is_file():
        raise WeightsError(f"no weight file at {source}: check the path")
    weight_files.verify(source, weights)
    fill_network(name, row.build(), source, row)
    target = weight_files.cache_dir() / weights.filename
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise OutputError(f"{target} cannot be written: {err.strerror or err}; free some space or set VIDCAM_CACHE") from err
    with atomic_write(target, overwrite=True) as part:
        shutil.copyfile(source, part)
    return target


def _official(name: str) -> Weights:
    """Return the official weights of a model; raise UsageError if it has none."""
    weights = get_spec(name).weights
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
    """Return the weight file and its SHA-256; both are None if there is none and none is ``required``."""
    if given is not None:
        path = _existing_file(given)
        return path, weight_files.sha256_of(path)
    if row is not None and row.weights is not None:
        path = weight_files.fetch(row.weights, progress=progress)
        return path, weight_files.verify(path, row.weights)
    if required:
        raise WeightsError(f"{name} has no weights that could be downloaded: give a file of your own with weights=")
    return None, None


def _existing_file(weights: str | os.PathLike[str]) -> Path:
    """Return the path; raise WeightsError if there is no such file."""
    path = Path(weights).expanduser()
    if not path.is_file():
        raise WeightsError(f"no weight file at {path}: check the path")
    return path
