"""The table of models: built-in rows, rows of installed packages, and registered rows.

A package adds rows with an entry point of the group ``vidcam.models`` that names a ModelSpec or a sequence of them. Entry points
are loaded only if a name is not built in, or if all models are listed.
"""

from __future__ import annotations

import logging
from threading import RLock
from typing import TYPE_CHECKING

from vidcam.errors import UnknownNameError, UsageError
from vidcam.models import mini, movinet, pytorchvideo, torchvision
from vidcam.models.spec import ModelSpec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["ENTRY_POINTS", "get_spec", "list_models", "list_specs", "register_model"]

ENTRY_POINTS = "vidcam.models"
"""The group of entry points through which packages add models."""

log = logging.getLogger("vidcam.models")

_SPECS: dict[str, ModelSpec] = {}
_LOCK = RLock()
_scanned = False  # have the entry points been loaded?


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
    _scan_entry_points()
    return tuple(_SPECS.values())


def get_spec(name: str) -> ModelSpec:
    """Return the facts of one model.

    Args:
        name: A name out of :func:`list_models`.

    Raises:
        UnknownNameError: There is no such model; the message gives the nearest names.
    """
    if name not in _SPECS:
        _scan_entry_points()
    try:
        return _SPECS[name]
    except KeyError:
        raise UnknownNameError("model", name, _SPECS) from None


def _scan_entry_points() -> None:
    """Register the models of installed packages, once per process.

    A sentence is logged for each broken entry point.
    """
    from importlib.metadata import entry_points

    global _scanned
    with _LOCK:
        if _scanned:
            return
        _scanned = True
        for entry in entry_points(group=ENTRY_POINTS):
            try:
                _register_entry(entry)
            except Exception as err:  # a foreign package may raise anything, and must not stop vidcam
                origin = entry.dist.name if entry.dist else entry.value
                reason = str(err) or type(err).__name__
                log.warning("the models of the package %s (%s) are left out: %s", origin, entry.value, reason)


def _register_entry(entry: EntryPoint) -> None:
    loaded = entry.load()
    specs = (loaded,) if isinstance(loaded, ModelSpec) else loaded
    if not isinstance(specs, tuple | list) or not all(isinstance(spec, ModelSpec) for spec in specs):
        raise UsageError(f"it must be a ModelSpec or a tuple of them, got a {type(loaded).__name__}")
    for spec in specs:
        register_model(spec)


for _spec in (*mini.MODELS, *movinet.MODELS, *pytorchvideo.MODELS, *torchvision.MODELS):
    register_model(_spec)
