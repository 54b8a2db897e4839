"""The exceptions of vidcam; each inherits the builtin exception that callers already catch."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "DownloadError",
    "IncompatibleError",
    "InputError",
    "OutputError",
    "Terminated",
    "UnknownNameError",
    "UsageError",
    "VidcamError",
    "WeightsError",
]


class VidcamError(Exception):
    """The base of all errors that vidcam raises on purpose; the message tells the user what to do.

    Its classes are ``UsageError`` (with ``UnknownNameError`` and ``IncompatibleError``), ``InputError``, ``OutputError``,
    ``WeightsError`` and ``DownloadError``, all in ``vidcam.errors``.

    Example:
        >>> import vidcam
        >>> try:
        ...     vidcam.open_source("missing.mp4")
        ... except vidcam.VidcamError as error:
        ...     print(type(error).__name__)
        InputError
    """


class UsageError(VidcamError, ValueError):
    """A value is not allowed; the message says what was given and what is allowed."""


class UnknownNameError(UsageError, KeyError):
    """A name is unknown; the message suggests similar ones.

    Attributes:
        kind: What was named, such as "model".
        given: The unknown name.
        known: All known names.
    """

    def __init__(self, kind: str, given: str, known: Iterable[str]) -> None:
        self.kind = kind
        self.given = given
        self.known = tuple(known)
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        close = difflib.get_close_matches(self.given.lower(), [n.lower() for n in self.known], n=3, cutoff=0.5)
        original = {name.lower(): name for name in self.known}
        names = [original[name] for name in close]
        if names:
            hint = f"did you mean {' or '.join(repr(name) for name in names)}?"
        elif len(self.known) <= 40:
            hint = f"known: {', '.join(self.known)}"
        else:
            hint = f"{len(self.known)} are known, for example {', '.join(self.known[:5])}"
        return f"unknown {self.kind} {self.given!r}: {hint}"

    def __str__(self) -> str:  # KeyError prints the repr
        return self._sentence()


class IncompatibleError(UsageError, TypeError):
    """Two valid choices do not work together, such as a method and a model."""


class InputError(VidcamError, OSError):
    """The input cannot be read as video."""

    def __str__(self) -> str:
        return " ".join(str(a) for a in self.args)


class OutputError(VidcamError, OSError):
    """The output cannot be written."""

    def __str__(self) -> str:
        return " ".join(str(a) for a in self.args)


class WeightsError(VidcamError, ValueError):
    """Weights do not fit the model, or do not match their checksum."""


class DownloadError(VidcamError, ConnectionError):
    """A download failed; the message says what to do instead."""

    def __str__(self) -> str:
        return " ".join(str(a) for a in self.args)


class Terminated(SystemExit):
    """A signal asked the process to end; this is no failure and needs no message."""
