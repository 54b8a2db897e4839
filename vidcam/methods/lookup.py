"""Find methods by name, add to them, and choose one that works on a model. Importing this imports neither numpy nor torch.

Besides the rows of :mod:`vidcam.methods.table` there are those that :func:`register_method` added, and those of installed
packages: an entry point of the group ``vidcam.methods`` has the method's name, and its object is a
:class:`~vidcam.methods.method.Method`.
"""

from __future__ import annotations

import logging
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from vidcam.errors import IncompatibleError, UnknownNameError, UsageError, VidcamError
from vidcam.methods.method import Method
from vidcam.methods.table import METHODS

if TYPE_CHECKING:
    from vidcam.models.spec import ModelSpec

__all__ = ["GROUP", "all_methods", "check_method", "choose_method", "get_method", "list_methods", "register_method"]

GROUP = "vidcam.methods"
"""The group of entry points by which installed packages add methods."""

DEFAULTS = ("cam", "gradcam", "smoothgrad", "occlusion")
"""Unless a method is named, the first of these that works on the model is taken."""

_rows: dict[str, Method] = {method.name: method for method in METHODS}

log = logging.getLogger("vidcam")


def register_method(method: Method) -> Method:
    """Add a method to those of this process.

    Args:
        method: The method, with the function that explains.

    Returns:
        The same ``method``.

    Raises:
        UsageError: A method of that name exists already.

    Example:
        >>> from dataclasses import replace
        >>> from vidcam import list_methods, register_method
        >>> from vidcam.methods.lookup import get_method
        >>> mine = register_method(replace(get_method("gradcam"), name="mycam", title="My own CAM"))
        >>> "mycam" in list_methods()
        True
    """
    if method.name in _rows:
        raise UsageError(f"a method named {method.name!r} is registered already")
    _rows[method.name] = method
    return method


def list_methods() -> tuple[str, ...]:
    """Return the names of all methods: the built-in ones first, then added ones.

    Returns:
        The names, as ``--method`` and ``Settings(method=)`` take them.

    Example:
        >>> from vidcam import list_methods
        >>> list_methods()[0]
        'cam'
    """
    return tuple(method.name for method in all_methods())


def all_methods() -> tuple[Method, ...]:
    """Return all methods, in the order of :func:`list_methods`; methods of packages that cannot be loaded are logged instead."""
    for entry in entry_points(group=GROUP):
        if entry.name not in _rows:
            method = _installed(entry)
            if isinstance(method, Method):
                register_method(method)
    return tuple(_rows.values())


def get_method(name: str) -> Method:
    """Return the method called ``name``; ``smoothgrad:layercam`` is ``smoothgrad`` wrapped around ``layercam``.

    Raises UnknownNameError with the nearest names if there is none, VidcamError if the package that brings it cannot be loaded.
    """
    if name in _rows:
        return _rows[name]
    outer, _, inner = name.partition(":")
    if inner and outer in _rows and _rows[outer].wraps:
        return _rows[outer].wrap(get_method(inner))
    for entry in entry_points(group=GROUP, name=name):
        method = _installed(entry)
        if isinstance(method, str):
            raise VidcamError(method)
        return register_method(method)
    raise UnknownNameError("method", name, list_methods())


def check_method(method: Method, spec: ModelSpec) -> None:
    """Raise IncompatibleError, saying what is missing and which methods work, if the method does not work on the model."""
    missing = method.requires - spec.provides
    if missing:
        works = [m.name for m in all_methods() if m.requires <= spec.provides]
        raise IncompatibleError(
            f"method {method.name!r} needs {', '.join(sorted(missing))}, which model {spec.name!r} does not have; "
            f"these methods work on it: {', '.join(works)}"
        )


def choose_method(name: str | None, spec: ModelSpec, *, seed: int = 0) -> Method:
    """Return the method called ``name``, or for None the first of :data:`DEFAULTS` that works on the model.

    Random numbers come from ``seed``. Raises UnknownNameError and IncompatibleError.
    """
    method = get_method(name or next(m for m in DEFAULTS if get_method(m).requires <= spec.provides))
    check_method(method, spec)
    return method.with_seed(seed)


@cache
def _installed(entry: EntryPoint) -> Method | str:
    """Return the method of an installed package, or a sentence (logged once) that says why it cannot be loaded."""
    try:
        method = entry.load()
        if not isinstance(method, Method) or method.name != entry.name:
            got = getattr(method, "name", type(method).__name__)
            raise TypeError(f"expected a vidcam Method named {entry.name!r}, got {got!r}")
    except Exception as error:  # a foreign package may fail in any way
        package = entry.dist.name if entry.dist else entry.value
        sentence = f"method {entry.name!r} of the package {package} cannot be loaded: {error}; update or uninstall the package"
        log.warning(sentence)
        return sentence
    return method
