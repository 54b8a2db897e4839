"""Loads what installed packages add to vidcam's tables by entry points."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import RLock
from typing import Any

__all__ = ["InstalledRows"]


class InstalledRows:
    """The rows of a table that installed packages name by the entry points of a group.

    A broken entry point is left out, with a sentence in the log.
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
        self._lock = RLock()
        self._loaded = False

    def load(self) -> None:
        """Add the rows, once per process."""
        from importlib.metadata import entry_points

        with self._lock:
            if self._loaded:
                return
            self._loaded = True
            for entry in entry_points(group=self._group):
                try:
                    self._add(entry.load())
                except Exception as error:  # a foreign package may raise anything, and must not stop vidcam
                    origin = entry.dist.name if entry.dist else entry.value
                    self._log.warning(self._sentence, origin, entry.value, str(error) or type(error).__name__)
