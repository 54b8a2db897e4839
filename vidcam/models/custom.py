"""Custom networks: ``package.module:factory`` or ``path/to/file.py:factory``.

``factory()`` takes no arguments. It returns a ModelSpec, or a ``torch.nn.Module`` that turns normalised RGB clips ``(B,3,T,H,W)``
into logits ``(B,K)``. A module can state facts in its attribute ``vidcam``, a dictionary with the keys of
:data:`vidcam.models.custom_facts.DEFAULTS` and :data:`vidcam.models.calling.CALL_FACTS`.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MethodType, ModuleType
from typing import TYPE_CHECKING

from vidcam.errors import Terminated, UnknownNameError, UsageError, VidcamError
from vidcam.io.plugins import import_file, importable
from vidcam.models.calling import adapt_calls
from vidcam.models.huggingface import is_huggingface
from vidcam.models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

__all__ = ["is_custom", "is_file", "make_network"]


def is_custom(name: str) -> bool:
    """Return whether this names a factory or a file, and not a model of the table."""
    return (":" in name or is_file(name)) and not is_huggingface(name)


def is_file(name: str) -> bool:
    """Return whether this is a file that may be taken for a model: Python without a factory, or weights."""
    return Path(name).suffix in (".py", *FOREIGN) and Path(name).expanduser().is_file()


FOREIGN = {
    ".pkl": "a pickle, which runs code when it is read: save model.state_dict() and give it as --weights",
    ".pickle": "a pickle, which runs code when it is read: save model.state_dict() and give it as --weights",
    ".pt": "a weight file: give it as --weights, and the network that it belongs to as --model",
    ".pth": "a weight file: give it as --weights, and the network that it belongs to as --model",
    ".ckpt": "a weight file: give it as --weights, and the network that it belongs to as --model",
    ".safetensors": "a weight file: give it as --weights, and the network that it belongs to as --model",
    ".torchscript": "a TorchScript archive, whose layers cannot be looked into: give the PyTorch network that it was made of",
}
"""What a file is that is not Python, by its suffix, and what to do instead."""


def make_network(name: str) -> ModelSpec | nn.Module:
    """Call the factory ``package.module:factory`` or ``file.py:factory`` and return what it makes.

    Raises:
        UsageError: There is no such file, module or factory, or it returns something else.
        VidcamError: The code fails; the error is its cause.
    """
    from torch import nn

    origin, _, attribute = name.rpartition(":")
    if is_file(name):
        if description := FOREIGN.get(Path(name).suffix):
            raise UsageError(f"{name} is {description}")
        raise UsageError(f"{name} is a file: name the factory in it too, {_list_factories(name)}")
    if not origin or not attribute.isidentifier():
        raise UsageError(f"a model of your own is package.module:factory or path/to/file.py:factory, got {name!r}")
    with importable(_folder(origin)), _wrap_errors(name):
        source = _import(origin)
        factory = getattr(source, attribute, None)
        if factory is None:
            functions = [key for key, value in vars(source).items() if callable(value) and not key.startswith("_")]
            raise UnknownNameError(f"factory in {origin}", attribute, functions)
        if not callable(factory):
            raise UsageError(f"{name}: {attribute} is no function but a {type(factory).__name__}")
        network = factory()
    if not isinstance(network, ModelSpec | nn.Module):
        raise UsageError(f"{name}() must return a torch.nn.Module or a ModelSpec, it returned a {type(network).__name__}")
    return network if isinstance(network, ModelSpec) else adapt_calls(name, _unwrap(name, network))


def _unwrap(name: str, module: nn.Module) -> nn.Module:
    """Undo ``torch.compile`` and decorators that switch gradients off; raise UsageError for TorchScript."""
    import torch

    compiled = getattr(module, "_orig_mod", None)  # it has the same parameters
    if isinstance(compiled, torch.nn.Module):
        module = compiled
    if isinstance(module, torch.jit.ScriptModule):
        raise UsageError(
            f"{name}() returns a TorchScript module, whose layers cannot be looked into: return the network that it was made of"
        )
    for part in module.modules():
        forward = getattr(type(part), "forward", None)
        # torch.no_grad() and torch.inference_mode() are decorators from this file.
        code, undecorated = getattr(forward, "__code__", None), getattr(forward, "__wrapped__", None)
        if undecorated is not None and code is not None and code.co_filename.endswith("_contextlib.py"):
            part.forward = MethodType(undecorated, part)
    return module


def _list_factories(name: str) -> str:
    """List what a file defines, as ``file.py:one or file.py:two``, without running it."""
    try:
        tree = ast.parse(Path(name).expanduser().read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return f"{name}:factory"
    kinds = ast.FunctionDef | ast.ClassDef
    factories = [node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
    return " or ".join(f"{name}:{one}" for one in factories[:8]) or f"{name}:factory; it defines none"


def _import(origin: str) -> ModuleType:
    """Import a dotted name or a ``.py`` file."""
    if not origin.endswith(".py"):
        return importlib.import_module(origin)
    path = Path(origin).resolve()
    if not path.is_file():
        raise UsageError(f"no file {origin}: check the path before the colon")
    return import_file(path)


def _folder(origin: str) -> Path:
    """Return where imports look too: beside the file, or for a dotted name in the working folder."""
    return Path(origin).resolve().parent if origin.endswith(".py") else Path.cwd()


@contextmanager
def _wrap_errors(name: str) -> Iterator[None]:
    """Turn any error of the user's code into a VidcamError that names the code and chains the cause."""
    try:
        yield
    except (VidcamError, Terminated):
        raise
    except (Exception, SystemExit) as err:
        raise VidcamError(f"{name} cannot be made, its own code raised {type(err).__name__}: {err}") from err
