"""What `vidcam train` leaves, to be named as model: a folder with ``model.json`` (facts) and ``model.safetensors`` (weights).

The architecture is a registered row, or a factory of your own, whose last linear layer has as many outputs as there are labels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcam.errors import UsageError, WeightsError
from vidcam.io import json_text
from vidcam.io.files import atomic_write
from vidcam.models import custom, registry
from vidcam.models.registry import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["architecture_of", "base_of", "head_name", "is_trained", "read", "rehead", "write"]

FACTS, WEIGHTS = "model.json", "model.safetensors"


def is_trained(name: str) -> bool:
    """Is this the path of a folder that training left, and not the name of a row of the table?"""
    return ":" not in name and (Path(name).expanduser() / FACTS).is_file() and name not in registry.names()


def read(name: str, *, trust_code: bool = False) -> tuple[ModelSpec, Path, bool]:
    """The row of the trained model in the folder ``name``, its weight file, and whether its network is code of the user's.

    Raises what :func:`architecture_of` raises.
    """
    folder = Path(name).expanduser()
    spec = base_of(architecture_of(name, trust_code=trust_code))
    _, labels, temperature, multi_label = _facts(folder)
    head = head_name(spec)

    def build() -> nn.Module:
        return rehead(spec.build(), head, len(labels))

    row = replace(
        spec, name=name, title=f"{spec.title}, trained by you", family="trained", build=build, labels=lambda: labels,
        weights=None, adapt=None, convert=None, temperature=temperature, multi_label=multi_label,
        architecture=spec.architecture or spec.name, rejects=tuple(label for label in spec.rejects if label in labels),
    )  # fmt: skip
    return row, folder / WEIGHTS, spec.own


def architecture_of(name: str, *, trust_code: bool = False) -> str:
    """What the network of the trained model in the folder ``name`` is built by: a name of the table or a factory.

    A folder is data, and data must not run code: UsageError if it names a factory, which is code, unless ``trust_code``.
    WeightsError where the folder is damaged.
    """
    base = _facts(Path(name).expanduser())[0]
    if custom.is_custom(base) and not trust_code:
        raise UsageError(
            f"the network of {name} is made by the code {base!r}, which would be run: if you trust it, add --trust-code "
            "(trust_code=True)"
        )
    return base


def _facts(folder: Path) -> tuple[str, tuple[str, ...], float, bool]:
    """The architecture, the labels, the temperature, and whether several labels may hold at once."""
    try:
        facts = json_text.parse((folder / FACTS).read_text(encoding="utf-8"))
        base, labels = str(facts["architecture"]), tuple(map(str, facts["labels"]))
        return base, labels, float(facts["temperature"]), bool(facts["multi_label"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as err:
        raise WeightsError(f"{folder / FACTS} cannot be read as the facts of a trained model ({err!r}): train it again") from err


def write(
    folder: Path, module: nn.Module, *, architecture: str, labels: tuple[str, ...], temperature: float, multi_label: bool,
    more: Mapping[str, object],
) -> None:  # fmt: skip
    """Put the network's weights (as float16) and its facts into ``folder``; ``more`` is kept beside them and read by no one."""
    from safetensors.torch import save_file

    facts: dict[str, Any] = {
        "architecture": architecture, "labels": list(labels), "temperature": temperature, "multi_label": multi_label,
    }  # fmt: skip
    tensors = {name: t for name, t in halved(module.state_dict()).items() if not name.endswith("num_batches_tracked")}
    with atomic_write(folder / WEIGHTS, overwrite=True) as part:
        save_file(tensors, part, metadata={"facts": json.dumps(facts | dict(more))})
    with atomic_write(folder / FACTS, overwrite=True) as part:
        part.write_text(json.dumps(facts | dict(more), indent=1) + "\n", encoding="utf-8")


def halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` on the CPU as float16, but for what is no float or does not fit."""
    found = {}
    for name, value in state.items():
        value = value.detach().cpu().contiguous()
        half = value.half() if value.is_floating_point() else value
        found[name] = half if not value.is_floating_point() or bool(half.isfinite().all()) else value
    return found


def base_of(name: str) -> ModelSpec:
    """The row called ``name`` in the table, or that of a network of your own."""
    if not custom.is_custom(name):
        return registry.get(name)
    made = custom.make(name)
    if isinstance(made, ModelSpec):
        return made
    spec = custom.describe(name, made.eval()).spec

    def build() -> nn.Module:
        again = custom.make(name)
        assert not isinstance(again, ModelSpec)
        return again

    return replace(spec, build=build)


def head_name(spec: ModelSpec) -> str:
    """The dotted name of the linear layer that gives the logits. UsageError where it cannot be told."""
    import torch
    from torch import nn

    if spec.head is not None:
        return spec.head.linears[-1]
    with torch.device("meta"):
        module = spec.build()
    outputs = len(spec.labels())
    found: list[str] = [name for name, m in module.named_modules() if isinstance(m, nn.Linear) and m.out_features == outputs]
    if not found:
        raise UsageError(f"{spec.name} has no linear layer with {outputs} outputs whose place new classes could take")
    return found[-1]


def rehead(module: nn.Module, head: str, classes: int) -> nn.Module:
    """``module`` with a new layer of ``classes`` outputs in the place of its linear layer ``head``; it is changed itself."""
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
    where, _, attribute = head.rpartition(".")
    setattr(module.get_submodule(where), attribute, new.to(next(old.parameters()).device))
    return module
