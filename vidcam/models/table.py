"""The table of models: built-in rows, rows of installed packages, and registered rows.

A package adds rows with an entry point of the group ``vidcam.models`` that names a ModelSpec or a sequence of them. Entry points
are loaded only if a name is not built in, or if all models are listed.
"""

from __future__ import annotations

import logging

from vidcam.errors import UnknownNameError, UsageError
from vidcam.io.plugins import InstalledRows
from vidcam.models import mini, movinet, pytorchvideo, torchvision
from vidcam.models.spec import ModelSpec

__all__ = ["ENTRY_POINTS", "get_spec", "list_models", "list_specs", "register_model"]

ENTRY_POINTS = "vidcam.models"
"""The group of entry points through which packages add models."""

log = logging.getLogger("vidcam.models")

_SPECS: dict[str, ModelSpec] = {}


def register_model(spec: ModelSpec) -> ModelSpec:
    """Add a model to the table, so that it is found by its name in this process.

    Args:
        spec: The facts of the model.

    Returns:
        The same ``spec``.

    Raises:
        UsageError: A model of that name exists already.

    Example:
        >>> from dataclasses import replace
        >>> from vidcam import list_models, register_model
        >>> from vidcam.models.table import get_spec
        >>> mine = register_model(replace(get_spec("r3d_18"), name="my_r3d", weights=None))
        >>> "my_r3d" in list_models()
        True
    """
    if spec.name in _SPECS:
        raise UsageError(f"a model named {spec.name!r} is registered already")
    _SPECS[spec.name] = spec
    return spec


def list_models() -> tuple[str, ...]:
    """Return the names of all models: built-in ones first, then those of installed packages and registered ones.

    Returns:
        The names, as ``--model`` and :func:`vidcam.open_engine` take them.

    Example:
        >>> from vidcam import list_models
        >>> "movinet_a0" in list_models()
        True
    """
    return tuple(spec.name for spec in list_specs())


def list_specs() -> tuple[ModelSpec, ...]:
    """Return the facts of all models, in the order of :func:`list_models`."""
    _installed.load()
    return tuple(_SPECS.values())


def get_spec(name: str) -> ModelSpec:
    """Return the facts of one model.

    Args:
        name: A name out of :func:`list_models`.

    Raises:
        UnknownNameError: There is no such model; the message gives the nearest names.
    """
    if name not in _SPECS:
        _installed.load()
    try:
        return _SPECS[name]
    except KeyError:
        raise UnknownNameError("model", name, _SPECS) from None


def _register_installed(loaded: object) -> None:
    specs = (loaded,) if isinstance(loaded, ModelSpec) else loaded
    if not isinstance(specs, tuple | list) or not all(isinstance(spec, ModelSpec) for spec in specs):
        raise UsageError(f"it must be a ModelSpec or a tuple of them, got a {type(loaded).__name__}")
    for spec in specs:
        register_model(spec)


_installed = InstalledRows(
    ENTRY_POINTS, _register_installed, sentence="the models of the package %s (%s) are left out: %s", log=log
)

for _spec in (*mini.MODELS, *movinet.MODELS, *pytorchvideo.MODELS, *torchvision.MODELS):
    register_model(_spec)
