"""Output files that appear complete or not at all, and the checksums of files."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from vidcam.errors import OutputError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.io.json_text import to_utf8_text

__all__ = ["atomic_write", "check_output", "remove_leftovers", "remove_unfinished", "save", "scratch", "sha256_of"]

# The name of an unfinished output identifies the process that writes it: its machine and boot, its number and its start.
PART = re.compile(
    r"\.(?P<stem>.*)\.vidcam-(?P<machine>[0-9a-f]{8})-(?P<pid>\d{1,9})-(?P<started>\d{1,19})-[0-9a-f]{8}"
    r"\.part(?P<suffix>(\.[^.]*)?)",
    re.DOTALL,
)
STEM = 40  # letters of the output's name in it
OLD_S = 86_400.0  # the age at which an unfinished output counts as left over if its process cannot be looked up
UNKNOWN = "0" * 8
SCRATCH = "scratch"  # the name of temporary files and folders


def check_output(path: str | os.PathLike[str], *, overwrite: bool = False, source: str | os.PathLike[str] | None = None) -> Path:
    """Return the file that ``path`` names, with links followed, if it may be written.

    Args:
        path: The output.
        overwrite: Whether an existing file may be replaced.
        source: The input, which must never be replaced.

    Raises:
        OutputError: It may not be written; the message says why and what to do.
    """
    target = Path(path).resolve()
    if not target.parent.is_dir():
        raise OutputError(f"cannot write {path}: the folder {target.parent} does not exist; make it or name another")
    if target.exists():
        if not target.is_file():
            what = "a folder" if target.is_dir() else "not a regular file"
            raise OutputError(f"cannot write {path}: it is {what}; name a file")
        if source is not None and os.path.exists(source) and os.path.samefile(source, target):
            raise OutputError(f"cannot write {path}: it is the input itself; name another output")
        if not overwrite:
            raise OutputError(f"{path} exists already; use --overwrite (overwrite=True) to replace it, or name another output")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: no permission to write in the folder {target.parent}")
    return target


@contextmanager
def atomic_write(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty hidden file next to ``path``; it becomes ``path`` when the block ends.

    If the block raises anything, KeyboardInterrupt included, nothing appears and an existing file is kept. If the process is
    killed, the hidden file stays until the next process that writes into the folder removes it. OutputError as in
    :func:`check_output`, and if the disk is full.
    """
    target = check_output(path, overwrite=overwrite)
    _tidy(target.parent)
    temp = _part(target)
    try:
        # Not tempfile, which would ignore the permissions that the user's umask asks for.
        os.close(os.open(temp, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temp
        with open(temp, "rb+") as file:
            os.fsync(file.fileno())  # the new content must be on the disk before the old file is replaced
        check_output(path, overwrite=overwrite)  # the output may have appeared meanwhile
        os.replace(temp, target)
    except OSError as error:
        if error.errno in _SENTENCES or error.filename in (temp, str(temp), target, str(target)):
            raise _output_error(path, error) from error
        raise  # an error of the block itself, such as in a file that it reads
    finally:
        with suppress(FileNotFoundError):
            temp.unlink()


@contextmanager
def scratch(suffix: str = "", *, is_folder: bool = False) -> Iterator[Path]:
    """Yield an empty file, or a folder, among the temporary ones, which is gone when the block ends.

    If the process is killed, it stays until the next process that uses one removes it.
    """
    place = Path(tempfile.gettempdir()).resolve()
    _tidy(place)
    path = _part(place / f"{SCRATCH}{suffix}")
    try:
        path.mkdir(0o700) if is_folder else os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield path
    finally:
        with suppress(FileNotFoundError):
            shutil.rmtree(path) if is_folder else path.unlink()


def _part(target: Path) -> Path:
    """Return a hidden name next to ``target`` for what this process is writing."""
    process = f"{_machine()}-{os.getpid()}-{_start_of(os.getpid()) or 0}"
    return target.with_name(f".{target.stem[:STEM]}.vidcam-{process}-{secrets.token_hex(4)}.part{target.suffix}")


def save(
    path: str | os.PathLike[str], content: str | bytes, *, overwrite: bool = False, source: str | os.PathLike[str] | None = None
) -> None:
    """Write a whole file, text as UTF-8.

    Characters that UTF-8 cannot encode become U+FFFD. OutputError as in :func:`check_output`, and if the disk is full.
    """
    check_output(path, overwrite=overwrite, source=source)
    with atomic_write(path, overwrite=overwrite) as part:
        part.write_bytes(to_utf8_text(content).encode("utf-8") if isinstance(content, str) else content)


@cache
def _tidy(folder: Path) -> None:
    """Remove leftovers in a folder, once per process, because a folder may have very many files."""
    remove_leftovers(folder)


def remove_leftovers(folder: Path, *, clock: Clock = SYSTEM) -> None:
    """Remove the unfinished outputs of processes that are dead.

    If the process cannot be looked up, an output is removed once nothing was written to it for a day. That is so for outputs of
    another machine (on a network drive) or container, of an earlier boot, and on systems other than Linux.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = PART.fullmatch(entry.name)
            if name is None:
                continue
            with suppress(OSError):  # another process has removed it, or we lack the permission
                is_written = _has_living_writer(name)
                if is_written is None:
                    is_written = clock.wall().timestamp() - entry.stat(follow_symlinks=False).st_mtime <= OLD_S
                if not is_written:
                    if entry.name.startswith(f".{SCRATCH}.") and entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path)
                    else:
                        os.unlink(entry.path)


def remove_unfinished(outputs: Iterable[Path]) -> None:
    """Remove the unfinished versions of some outputs, unless a process of this machine that is alive writes them.

    Call it if no process of another machine goes on with them.
    """
    wanted = defaultdict(set)
    for path in outputs:
        wanted[path.parent].add((path.stem[:STEM], path.suffix))
    for folder, names in wanted.items():
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                name = PART.fullmatch(entry.name)
                if name is None or (name["stem"], name["suffix"]) not in names or _has_living_writer(name):
                    continue
                with suppress(OSError):
                    os.unlink(entry.path)


@cache
def _machine() -> str:
    """Return an identifier of this boot and container, within which process numbers are unique."""
    try:
        facts = Path("/proc/sys/kernel/random/boot_id").read_text() + os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        return UNKNOWN
    return hashlib.sha256(facts.encode()).hexdigest()[:8]


def _has_living_writer(part: re.Match[str]) -> bool | None:
    """Return whether the process that writes an unfinished output is alive; None if it cannot be looked up from here."""
    if not part["machine"] == _machine() != UNKNOWN:
        return None
    return _is_alive(int(part["pid"]), int(part["started"]))


def _is_alive(pid: int, started: int) -> bool:
    """Return whether the process ``pid`` that was started at ``started`` is alive."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    return _start_of(pid) in (started, None)


def _start_of(pid: int) -> int | None:
    """Return the start of a process in ticks since boot; -1 if it is dead, None if that is not known."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return -1 if words[0] in "ZX" else int(words[19])


_SENTENCES = {
    errno.ENOSPC: "the disk is full; free some space or name an output on another disk",
    errno.EDQUOT: "your share of the disk is full; free some space or name an output on another disk",
    errno.EFBIG: "the file grew larger than this disk or system allows; name an output on another disk",
    errno.EROFS: "the disk is read-only; name an output on another disk",
}


def _output_error(path: str | os.PathLike[str], error: OSError) -> OutputError:
    """Return the one-sentence error for what the system reports about an output."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return OutputError(f"cannot write {path}: no permission to write in the folder {Path(path).resolve().parent}")
    return OutputError(f"cannot write {path}: {_SENTENCES.get(error.errno or 0) or error.strerror or error}")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file as 64 lower-case hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
