"""Weight files: reading what is in them without running code, and putting it into a network."""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vidcam.errors import WeightsError
from vidcam.models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["fill_network", "read_state", "strip_prefix", "tensors_of"]

WRAPS = ("model_state", "state_dict", "model_state_dict", "model", "net", "network", "weights", "params", "ema", "module")
"""The keys under which training code keeps the tensors of a network, in the order in which they are tried."""


def read_state(path: str | os.PathLike[str]) -> dict[str, object]:
    """Read a weight file on the CPU, without running code from it.

    Args:
        path: A ``.safetensors`` file, MoViNet-A0's ``.tflite`` file, or a file of ``torch.save``.

    Returns:
        The tensors of the file, or the dictionary that ``torch.save`` wrote.

    Raises:
        WeightsError: The file is missing or damaged, or would have to run code.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no weight file at {path}: check the path")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix == ".tflite":
        from vidcam.models.movinet_import import import_tflite

        return dict(import_tflite(path))
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unexpected pickles are an error below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as err:  # damaged archives raise one of half a dozen unrelated exceptions
        if " GLOBAL " in str(err) or "TorchScript" in str(err):
            raise WeightsError(
                f"{path} would have to run Python code to be loaded, which vidcam refuses: save the tensors alone with "
                "torch.save(model.state_dict(), path) or as .safetensors and give that file"
            ) from err
        raise WeightsError(
            f"{path} cannot be read as weights ({type(err).__name__}): it is damaged, incomplete or not a file of torch.save "
            "or safetensors; fetch or save it again"
        ) from err
    if not isinstance(state, Mapping):
        raise WeightsError(f"{path} holds a {type(state).__name__}, not a state dict: save model.state_dict() and give that file")
    return dict(state)


def tensors_of(checkpoint: Mapping[str, object]) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name, also from under a key such as ``model_state``.

    Raises:
        WeightsError: There are none.
    """
    import torch

    for _ in range(3):  # keys may be nested
        inner = next((value for key in WRAPS if isinstance(value := checkpoint.get(key), Mapping) and value), None)
        if inner is None:
            break
        checkpoint = inner
    tensors = {str(name): value for name, value in checkpoint.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise WeightsError(f"no tensors in the checkpoint, only {', '.join(map(str, list(checkpoint)[:5])) or 'nothing'}")
    return tensors


def _read_safetensors(path: Path) -> dict[str, object]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as err:
        raise WeightsError(
            f"{path} cannot be read as safetensors ({err}): it is damaged or incomplete; fetch or save it again"
        ) from err


def fill_network(
    name: str, module: nn.Module, path: Path, row: ModelSpec | None, checkpoint: Mapping[str, object] | None = None
) -> list[str]:
    """Put the weights of a file into a network.

    Args:
        name: The name of the model, for messages.
        module: The network.
        path: The weight file.
        row: The facts of the model, if they are known; their ``adapt`` is applied.
        checkpoint: What :func:`read_state` returned for the file, if it has been read already.

    Returns:
        What was done to make the weights fit, in sentences.

    Raises:
        WeightsError: The weights do not fit; the message names the tensors and the likely cause.
    """
    checkpoint = read_state(path) if checkpoint is None else checkpoint
    if row is not None and row.adapt is not None:
        state: Mapping[str, Tensor] = row.adapt(checkpoint)
        notes: list[str] = []
    else:
        state, notes = strip_prefix(checkpoint, module.state_dict(), path=path)
    problems = _misfits(module.state_dict(), state)
    if problems:
        raise WeightsError(f"the weights in {path} do not fit {name}: {'; '.join(problems)}{_cause(module.state_dict(), state)}")
    module.load_state_dict(state, strict=False)
    return notes


PREFIXES = ("module.", "model.", "backbone.", "net.", "network.", "encoder.", "student.", "teacher.", "ema.", "_orig_mod.")
"""The prefixes, one or several, that training code puts before the names of the tensors."""


def strip_prefix(
    checkpoint: Mapping[str, object], own: Mapping[str, Tensor], *, path: Path
) -> tuple[Mapping[str, Tensor], list[str]]:
    """Return the tensors of a checkpoint without the prefix that all of them share.

    The prefix is removed only if more names fit the network's ``own`` names without it.

    Returns:
        The tensors, and what was done, in sentences.
    """
    state = tensors_of(checkpoint)
    prefix = _shared_prefix(state)
    bare = {name.removeprefix(prefix): value for name, value in state.items()}
    if prefix and len(bare.keys() & own.keys()) > len(state.keys() & own.keys()):
        return bare, [f"the names of the tensors in {path} begin with {prefix!r}, which was taken off"]
    prefix = _prefix_of_whole_network(state, own)
    if not prefix:
        return state, []
    bare = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    others = [name for name in state if not name.startswith(prefix)]
    return bare, [f"the network in {path} is what begins with {prefix!r}; other tensors are left out: {_few(others)}"]


def _shared_prefix(state: Mapping[str, Tensor]) -> str:
    """Return the prefix, made of :data:`PREFIXES`, that all names share; it may be empty."""
    prefix = ""
    while True:
        first = next(iter(state)).removeprefix(prefix)
        more = next((p for p in PREFIXES if first.startswith(p)), None)
        if more is None or not all(name.startswith(prefix + more) for name in state):
            return prefix
        prefix += more


def _prefix_of_whole_network(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """Return the one prefix under which every tensor of the network is found, beside others such as those of a loss.

    PyTorch Lightning's checkpoints hold all modules of the training. It is empty if there is none, or more than one.
    """
    needed = [name for name in own if not name.endswith("num_batches_tracked")]
    if not needed or needed[0] in state:
        return ""
    candidates = {name.removesuffix(needed[0]) for name in state if name.endswith(f".{needed[0]}")}
    whole = [prefix for prefix in candidates if all(prefix + name in state for name in needed)]
    return whole[0] if len(whole) == 1 else ""


def _cause(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Return the likely cause of a misfit, as the rest of a sentence."""
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
    """Return what is missing, unexpected or of another shape, with a few names of each."""
    # Old checkpoints lack the batch counters, which matter in training only.
    missing = [key for key in own if key not in given and not key.endswith("num_batches_tracked")]
    extra = [key for key in given if key not in own]
    shapes = [
        f"{key} {list(given[key].shape)} instead of {list(own[key].shape)}"
        for key in own
        if key in given and given[key].shape != own[key].shape
    ]
    misfits = {"missing": missing, "not expected": extra, "of another shape": shapes}
    problems = [f"{what}: {_few(keys)}" for what, keys in misfits.items() if keys]
    near = {key: difflib.get_close_matches(key, extra, n=1, cutoff=0.6) for key in missing[:3]}
    pairs = [f"{key} where the file has {match[0]}" for key, match in near.items() if match]
    return problems + ([f"nearest names: {_few(pairs)}"] if pairs else [])


def _few(keys: Iterable[str], *, shown: int = 3) -> str:
    keys = list(keys)
    more = f" and {len(keys) - shown} more" if len(keys) > shown else ""
    return ", ".join(keys[:shown]) + more
