"""Kinds of failures: which are final, and which may pass if they are tried again."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from vidcam.errors import DownloadError, OutputError, VidcamError

__all__ = ["KINDS", "MAX_ATTEMPTS", "Kind", "kind_of", "pause_before", "sentence_of"]

MAX_ATTEMPTS = 3
"""How often a video is tried if it fails for a reason that may pass."""

FIRST_PAUSE_S, PAUSE_FACTOR = 5.0, 6.0
"""The pause before the second attempt in seconds, and by how much each further one is longer."""


@dataclass(frozen=True)
class Kind:
    """A kind of failure, by its name in ``failed.csv``; ``is_passing`` says whether trying again may help."""

    name: str
    title: str
    is_passing: bool


KINDS = {
    kind.name: kind
    for kind in (
        Kind("input", "The video cannot be read, or does not suit the options.", False),
        Kind("output", "An output cannot be written, for another reason than a full disk.", False),
        Kind("unexpected", "vidcam itself failed: please report it.", False),
        Kind("disk", "The disk, or your share of it, is full.", True),
        Kind("network", "A server cannot be reached, or the connection broke.", True),
        Kind("memory", "The memory was not enough.", True),
        Kind("worker", "The process or the machine that worked on the video was lost.", True),
    )
}

DISK = {errno.ENOSPC, errno.EDQUOT}
NETWORK = {
    errno.ECONNABORTED, errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ESTALE,
    errno.ETIMEDOUT,
}  # fmt: skip

PASSING_HTTP = {"HTTPServerError", "HTTPTooManyRequestsError"}
"""The errors of PyAV, which only the room of files may import, for the answers of a server that may be others a minute later."""


def kind_of(error: BaseException) -> Kind:
    """Return the kind of an error, which the errors that caused it may tell."""
    chain = list(_causes(error))
    numbers = {cause.errno for cause in chain if isinstance(cause, OSError)}
    if numbers & DISK:
        return KINDS["disk"]
    if numbers & NETWORK or any(map(_is_network, chain)):
        return KINDS["network"]
    if any(isinstance(cause, MemoryError) for cause in chain):
        return KINDS["memory"]
    if isinstance(error, OutputError):
        return KINDS["output"]
    return KINDS["input" if isinstance(error, VidcamError | OSError) else "unexpected"]


def _is_network(error: BaseException) -> bool:
    return isinstance(error, DownloadError | ConnectionError | TimeoutError) or type(error).__name__ in PASSING_HTTP


def sentence_of(error: BaseException) -> str:
    """Return what to tell the user about an error, in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, VidcamError | OSError) and text else f"{type(error).__name__}: {text}"


def pause_before(attempt: int) -> float:
    """Return the seconds to wait before attempt number ``attempt``, which is 2 or more: 5, then 30."""
    return FIRST_PAUSE_S * PAUSE_FACTOR ** (attempt - 2)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and the errors that caused it."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__
