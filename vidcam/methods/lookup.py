"""Find methods by name, add to them, and choose one that works on a model. Importing this imports neither numpy nor torch.

Besides the rows of :mod:`vidcam.methods.table` there are those that :func:`register_method` added, and those of installed
packages: the object of an entry point of the group ``vidcam.methods`` is a :class:`~vidcam.methods.method.Method`, or a tuple of
them. Entry points are loaded only if a name is not known, or if all methods are listed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vidcam.errors import IncompatibleError, UnknownNameError, UsageError, VidcamError
from vidcam.io.plugins import InstalledRows
from vidcam.methods.method import Method
from vidcam.methods.table import METHODS

if TYPE_CHECKING:
    from vidcam.models.spec import ModelSpec

__all__ = [
    "BEST",
    "GROUP",
    "all_methods",
    "check_method",
    "choose_method",
    "choose_of_each",
    "default_name",
    "get_method",
    "list_methods",
    "register_method",
]

GROUP = "vidcam.methods"
"""The group of entry points by which installed packages add methods."""

DEFAULTS = ("cam", "gradcam", "smoothgrad", "occlusion")
"""If neither the user nor the model's row names a method, the first of these that works on the model is taken."""

BEST = "best"
"""What people type to let vidcam test a method of each family on their video (:mod:`vidcam.annotation.choosing`)."""

_rows: dict[str, Method] = {method.name: method for method in METHODS}

log = logging.getLogger("vidcam")


def register_method(method: Method) -> Method:
    """Add a method to the table, so that it is found by its name in this process.

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
    _installed.load()
    return tuple(_rows.values())


def get_method(name: str) -> Method:
    """Return the method called ``name``; ``smoothgrad:layercam`` is ``smoothgrad`` wrapped around ``layercam``.

    Raises UnknownNameError with the nearest names if there is none, UsageError for :data:`BEST`, which is no single method, and
    VidcamError if the package that brings it cannot be loaded.
    """
    if name == BEST:
        raise UsageError(
            f"the method {BEST!r} is found by testing several methods on a whole video, so only `vidcam annotate`, `vidcam "
            "evaluate` and vidcam.explain take it: name one method here, or leave it out for the model's default"
        )
    if name in _rows:
        return _rows[name]
    outer, _, inner = name.partition(":")
    if inner and outer in _rows and _rows[outer].wraps:
        return _rows[outer].wrap(get_method(inner))
    _installed.load()
    if name in _rows:
        return _rows[name]
    if name in _installed.failures:
        raise VidcamError(f"{_installed.failures[name]}; update or uninstall the package")
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


def default_name(spec: ModelSpec) -> str:
    """Return the name of the method that explains the model unless one is named.

    It is the ``default_method`` of the model's row, or the first of :data:`DEFAULTS` that works on the model.
    """
    names = DEFAULTS if spec.default_method is None else (spec.default_method, *DEFAULTS)
    return next(name for name in names if get_method(name).requires <= spec.provides)


def choose_method(name: str | None, spec: ModelSpec, *, seed: int = 0) -> Method:
    """Return the method called ``name``, or for None the model's default (:func:`default_name`).

    Random numbers come from ``seed``. Raises UnknownNameError, IncompatibleError, and UsageError for :data:`BEST`.
    """
    method = get_method(name or default_name(spec))
    check_method(method, spec)
    return method.with_seed(seed)


def choose_of_each(groups: Iterable[Sequence[str]], spec: ModelSpec) -> tuple[list[Method], dict[str, str]]:
    """Return of each group of names the first method that works on the model.

    Also return the reasons of the groups in which none does, by the names of their methods.
    """
    chosen: dict[str, Method] = {}
    refused: dict[str, str] = {}
    for names in groups:
        reasons = {}
        for method in map(get_method, names):
            try:
                check_method(method, spec)
            except IncompatibleError as error:
                reasons[method.name] = str(error)
            else:
                chosen[method.name] = method
                break
        else:
            refused |= reasons
    return list(chosen.values()), refused


def _register_installed(loaded: object) -> None:
    methods = (loaded,) if isinstance(loaded, Method) else loaded
    if not isinstance(methods, tuple | list) or not all(isinstance(method, Method) for method in methods):
        raise UsageError(f"it must be a Method or a tuple of them, got a {type(loaded).__name__}")
    for method in methods:
        register_method(method)


_installed = InstalledRows(GROUP, _register_installed, sentence="the methods of the package %s (%s) are left out: %s", log=log)
