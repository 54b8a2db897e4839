"""Code that other people add to vidcam's tables: entry points of installed packages, and files of the user's own.

A file is Python that calls ``register_method``, ``register_model``, ``register_format`` or ``register_action``. The variable
``VIDCAM_PLUGINS`` names such files; ``--plugin FILE.py`` adds to it, so that processes that this one starts have them too. A
plugin that fails is left out, with a sentence in the log, and stops nothing else.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

from vidcam.errors import Terminated, UsageError

__all__ = ["VARIABLE", "InstalledRows", "add_file", "import_file", "importable", "load_files", "named_files"]

VARIABLE = "VIDCAM_PLUGINS"
"""The environment variable that names the plugin files, separated like the folders of PATH."""

log = logging.getLogger("vidcam.plugins")

_lock = RLock()
_files: dict[Path, ModuleType | None] = {}
"""The plugin files that ran in this process; None stands for one that failed, or still runs."""


class InstalledRows:
    """The rows of a table that installed packages name by the entry points of a group, and that plugin files register.

    A broken entry point is left out, with a sentence in the log.

    Attributes:
        failures: Why an entry point is left out, as the sentence of the log, by the entry point's name.
    """

    def __init__(self, group: str, add: Callable[[Any], object], *, sentence: str, log: logging.Logger) -> None:
        """Name the group.

        Args:
            group: The group of entry points, such as ``vidcam.models``.
            add: Takes what an entry point names, and raises an error with the reason if it is no row.
            sentence: Says what is left out: a format string for the package, the entry point and the reason.
            log: Takes the sentence.
        """
        self._group, self._add, self._sentence, self._log = group, add, sentence, log
        self._loaded = False
        self.failures: dict[str, str] = {}

    def load(self) -> None:
        """Run the plugin files and add the rows of installed packages, once per process."""
        from importlib.metadata import entry_points

        load_files()
        with _lock:
            if self._loaded:
                return
            self._loaded = True
            for entry in entry_points(group=self._group):
                try:
                    self._add(entry.load())
                except Exception as error:  # a foreign package may raise anything, and must not stop vidcam
                    origin = entry.dist.name if entry.dist else entry.value
                    reason = str(error) or type(error).__name__
                    self.failures[entry.name] = self._sentence % (origin, entry.value, reason)
                    self._log.warning(self._sentence, origin, entry.value, reason)


def add_file(path: str | os.PathLike[str]) -> None:
    """Run a plugin file, in this process now and in the processes that it starts when they need it.

    Raises:
        UsageError: There is no such Python file.
    """
    file = Path(path).expanduser().resolve()
    if file.suffix == ".py" and not file.exists():
        raise UsageError(f"there is no file {path}")
    if file.suffix != ".py" or not file.is_file():
        raise UsageError(f"{path} is no Python file: a plugin is a file such as my_method.py, or an installed package")
    if file not in named_files():
        os.environ[VARIABLE] = os.pathsep.join(filter(None, (os.environ.get(VARIABLE), str(file))))
    load_files()


def load_files() -> None:
    """Run the plugin files that :data:`VARIABLE` names and that have not run in this process."""
    for file in named_files():
        with _lock:
            if file in _files:
                continue
            _files[file] = None  # the file itself may ask for the tables
            try:
                with importable(file.parent):
                    _files[file] = import_file(file)
            except Terminated:
                raise
            except (Exception, SystemExit) as error:
                log.warning("the plugin %s is left out: %s: %s", file, type(error).__name__, error)


def import_file(path: Path) -> ModuleType:
    """Run a Python file and return its module; a file that runs as a plugin is not run again.

    Raises:
        Exception: Whatever its code raises.
    """
    if (module := _files.get(path)) is not None:
        return module
    # A unique name shadows nothing. It must be in sys.modules while the file runs, because dataclasses look there.
    name = f"_vidcam_custom_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let imports find what is in a folder."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def named_files() -> list[Path]:
    """Return the plugin files of this process and of those that it starts."""
    return [Path(name).expanduser().resolve() for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]
