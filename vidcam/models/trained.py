"""Trained models: the folder that `vidcam train` writes.

It holds ``model.json`` (facts) and ``model.safetensors`` (weights).

The architecture is a model of the table, or a custom factory; its last linear layer has one output per label.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcam.errors import UsageError, WeightsError
from vidcam.io.files import atomic_write
from vidcam.io.json_text import parse_json
from vidcam.models import custom, custom_facts
from vidcam.models.huggingface import is_huggingface
from vidcam.models.spec import ModelSpec
from vidcam.models.table import get_spec, list_models

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["base_spec", "classifier_name", "is_trained", "read", "read_architecture", "replace_head", "write"]

FACTS, WEIGHTS = "model.json", "model.safetensors"


def is_trained(name: str) -> bool:
    """Return whether this is the path of a trained folder, and not the name of a model of the table."""
    return ":" not in name and (Path(name).expanduser() / FACTS).is_file() and name not in list_models()


def read(name: str, *, trust_code: bool = False) -> tuple[ModelSpec, Path, bool]:
    """Read the trained model in the folder ``name``; raise what :func:`read_architecture` raises.

    Returns:
        Its facts, its weight file, and whether its network is the user's code.
    """
    folder = Path(name).expanduser()
    spec = base_spec(read_architecture(name, trust_code=trust_code))
    _, labels, temperature, multi_label = _facts(folder)
    head = classifier_name(spec)

    def build() -> nn.Module:
        return replace_head(spec.build(), head, len(labels))

    row = replace(
        spec, name=name, title=f"{spec.title}, trained by you", family="trained", build=build, labels=lambda: labels,
        weights=None, adapt=None, convert=None, temperature=temperature, multi_label=multi_label,
        architecture=spec.architecture or spec.name, rejects=tuple(label for label in spec.rejects if label in labels),
    )  # fmt: skip
    return row, folder / WEIGHTS, spec.is_custom


def read_architecture(name: str, *, trust_code: bool = False) -> str:
    """Return what builds the network of a trained model: the name of a model of the table or a factory.

    Raises:
        UsageError: It is a factory and ``trust_code`` is False; a folder is data, and data must not run code.
        WeightsError: The folder is damaged.
    """
    base = _facts(Path(name).expanduser())[0]
    if custom.is_custom(base) and not trust_code:
        raise UsageError(
            f"the network of {name} is made by the code {base!r}, which would be run: if you trust it, add --trust-code "
            "(trust_code=True)"
        )
    return base


def _facts(folder: Path) -> tuple[str, tuple[str, ...], float, bool]:
    """Return the architecture, the labels, the temperature, and whether several labels may hold at once."""
    try:
        facts = parse_json((folder / FACTS).read_text(encoding="utf-8"))
        base, labels = str(facts["architecture"]), tuple(map(str, facts["labels"]))
        return base, labels, float(facts["temperature"]), bool(facts["multi_label"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as err:
        raise WeightsError(f"{folder / FACTS} cannot be read as the facts of a trained model ({err!r}): train it again") from err


def write(
    folder: Path, module: nn.Module, *, architecture: str, labels: tuple[str, ...], temperature: float, multi_label: bool,
    more: Mapping[str, object],
) -> None:  # fmt: skip
    """Write a network's weights (as float16) and its facts into ``folder``.

    ``more`` is stored with them and not read.
    """
    from safetensors.torch import save_file

    facts: dict[str, Any] = {
        "architecture": architecture, "labels": list(labels), "temperature": temperature, "multi_label": multi_label,
    }  # fmt: skip
    tensors = {name: t for name, t in to_half_precision(module.state_dict()).items() if not name.endswith("num_batches_tracked")}
    (folder / FACTS).unlink(missing_ok=True)  # those of a former model do not belong to the new weights
    with atomic_write(folder / WEIGHTS, overwrite=True) as part:
        save_file(tensors, part, metadata={"facts": json.dumps(facts | dict(more))})
    with atomic_write(folder / FACTS, overwrite=True) as part:
        part.write_text(json.dumps(facts | dict(more), indent=1) + "\n", encoding="utf-8")


def to_half_precision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return ``state`` on the CPU as float16, except what is not a float or does not fit."""
    halved = {}
    for name, value in state.items():
        value = value.detach().cpu().contiguous()
        half = value.half() if value.is_floating_point() else value
        halved[name] = half if not value.is_floating_point() or bool(half.isfinite().all()) else value
    return halved


def base_spec(name: str) -> ModelSpec:
    """Return the facts of a model of the table or of a custom network.

    Raise UsageError for a checkpoint of transformers, which has a trainer of its own.
    """
    if is_huggingface(name):
        raise UsageError(
            f"vidcam trains the networks of its table and your own, not {name}: fine-tune it with transformers' Trainer, and "
            "explain the folder that this saves as hf:FOLDER"
        )
    if not custom.is_custom(name):
        return get_spec(name)
    network = custom.make_network(name)
    if isinstance(network, ModelSpec):
        return network
    spec = custom_facts.describe(name, network.eval()).spec

    def build() -> nn.Module:
        again = custom.make_network(name)
        assert not isinstance(again, ModelSpec)
        return again

    return replace(spec, build=build)


def classifier_name(spec: ModelSpec) -> str:
    """Return the dotted name of the linear layer that gives the logits.

    Raise UsageError if it cannot be found.
    """
    import torch
    from torch import nn

    if spec.head is not None:
        return spec.head.classifiers[-1]
    with torch.device("meta"):
        module = spec.build()
    outputs = len(spec.labels())
    names: list[str] = [name for name, m in module.named_modules() if isinstance(m, nn.Linear) and m.out_features == outputs]
    if not names:
        raise UsageError(f"{spec.name} has no linear layer with {outputs} outputs whose place new classes could take")
    return names[-1]


def replace_head(module: nn.Module, head: str, classes: int) -> nn.Module:
    """Replace the linear layer ``head`` of ``module`` by one with ``classes`` outputs.

    ``module`` itself is changed.
    """
    from torch import Tensor, nn

    old = module.get_submodule(head)
    new: nn.Module
    if isinstance(old, nn.Linear):
        new = nn.Linear(old.in_features, classes, bias=True)
    elif isinstance(old, nn.Conv3d) and set(old.kernel_size) == {1}:
        new = nn.Conv3d(old.in_channels, classes, 1, bias=True)
    else:
        raise UsageError(f"the layer {head!r} is a {type(old).__name__}, no linear layer whose place new classes could take")
    assert isinstance(new.weight, Tensor)
    assert isinstance(new.bias, Tensor)
    nn.init.normal_(new.weight, std=0.01)
    nn.init.zeros_(new.bias)
    parent, _, attribute = head.rpartition(".")
    setattr(module.get_submodule(parent), attribute, new.to(next(old.parameters()).device))
    return module
