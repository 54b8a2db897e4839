"""Files at addresses such as s3:// or gs://, which fsspec lists, reads and writes; FFmpeg reads those of http(s) instead."""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from vidcam.errors import DownloadError, InputError, UsageError, VidcamError
from vidcam.io.extras import require_extra
from vidcam.io.files import scratch

__all__ = ["is_address", "is_remote", "list_remote", "local_copy", "local_path", "open_remote", "translated"]

_lock = threading.Lock()
_copies: dict[str, tuple[Path, int]] = {}  # by address: the local copy, and how many hold it


def is_address(name: str) -> bool:
    """Return whether a name is an address of any kind, and not a file."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.\-]+://", name) is not None


def is_remote(name: str) -> bool:
    """Return whether a name is an address that fsspec reads."""
    return is_address(name) and re.match(r"(?i)https?:", name) is None


def open_remote(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it.

    Raises:
        UsageError: fsspec is missing, or a package that it needs for the address.
        InputError: fsspec knows no such addresses.
    """
    require_extra("cloud", address)
    from fsspec.core import url_to_fs

    try:
        file_system, path = url_to_fs(address)
    except ImportError as error:
        package = getattr(error.__cause__, "name", None) or "PACKAGE"
        raise UsageError(f"{address} needs a further package ({error}): pip install {package}") from error
    except ValueError as error:
        raise InputError(
            f"{address} cannot be read: {error}; name a file, or an address that fsspec knows, such as s3://"
        ) from error
    return file_system, str(path)


@contextmanager
def translated(address: str, doing: str) -> Iterator[None]:
    """Raise errors of a file system as those of vidcam, by which a run knows what may pass.

    Args:
        address: What is read or written.
        doing: ``read`` or ``written``.
    """
    try:
        yield
    except VidcamError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"there is no {address}") from error
    except PermissionError as error:
        raise InputError(f"{address} may not be {doing}: check your credentials for it") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"the disk has no room for {address}: free some space, or set TMPDIR to a folder elsewhere"
            ) from error
        raise DownloadError(f"{address} cannot be {doing}: {error}; check the address and the connection") from error
    except Exception as error:  # each file system has errors of its own
        raise DownloadError(
            f"{address} cannot be {doing} ({type(error).__name__}: {error}); check the address and the connection"
        ) from error


def list_remote(address: str, suffixes: frozenset[str], *, recursive: bool = False, without: str | None = None) -> list[str]:
    """Return the files that an address stands for: itself, those in a folder that end in ``suffixes``, or those of a pattern.

    Args:
        address: A file, a folder, or a pattern with ``*``, ``?``, ``[…]`` and ``**``. What ends in one of the suffixes is taken
            for a file without asking.
        suffixes: The ends of the names that count in a folder.
        recursive: Whether the folders within a folder count too. Hidden ones never do.
        without: The address of a folder whose files are left out.

    Raises:
        InputError: There is no such file.
        DownloadError: The server does not answer.
    """
    has_magic = glob.has_magic(address)
    if not has_magic and PurePosixPath(address).suffix.lower() in suffixes:
        return [address]
    file_system, path = open_remote(address)
    with translated(address, "read"):
        if has_magic:
            found = [name for name, facts in file_system.glob(path, detail=True).items() if facts["type"] == "file"]
        elif not file_system.isdir(path):
            return [address]
        else:
            within = file_system.find(path, maxdepth=None if recursive else 1)
            shown = (name for name in within if not any(part[0] == "." for part in _parts(name, path)))
            found = [name for name in shown if PurePosixPath(name).suffix.lower() in suffixes]
    left_out = None if without is None else f"{open_remote(without)[1].rstrip('/')}/"
    return [file_system.unstrip_protocol(name) for name in sorted(found) if left_out is None or not name.startswith(left_out)]


def _parts(name: str, folder: str) -> tuple[str, ...]:
    return PurePosixPath(name.removeprefix(folder).lstrip("/")).parts


def local_path(name: str) -> str:
    """Return the path of the local copy that is held of an address; the name itself if there is none, as of a file."""
    with _lock:
        return str(_copies[name][0]) if name in _copies else name


@contextmanager
def local_copy(address: str) -> Iterator[None]:
    """Hold a local copy of an address while the block lasts, for :func:`local_path`; blocks within it share the copy.

    The copy is downloaded piece by piece into the folder for temporary files (``TMPDIR``), and is gone afterwards; after a kill,
    the next process that downloads removes it.

    Raises:
        InputError: There is no such file, it may not be read, or the disk has no room for it.
        DownloadError: The server does not answer, or the connection broke.
    """
    with ExitStack() as stack:
        with _lock:
            path, holders = _copies.get(address, (None, 0))
            if path is not None:
                _copies[address] = path, holders + 1
        if path is None:
            path = stack.enter_context(scratch(PurePosixPath(address).suffix))
            _download(address, path)
            with _lock:
                _copies[address] = path, 1
        try:
            yield
        finally:
            with _lock:
                path, holders = _copies[address]
                if holders > 1:
                    _copies[address] = path, holders - 1
                else:
                    del _copies[address]


def _download(address: str, path: Path) -> None:
    file_system, name = open_remote(address)
    with translated(address, "read"):
        size = file_system.size(name)
        if size is not None and size > shutil.disk_usage(tempfile.gettempdir()).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file_system.get_file(name, str(path))
        if size is not None and path.stat().st_size != size:
            raise DownloadError(f"{address} broke off after {path.stat().st_size} of {size} bytes: check the connection")
