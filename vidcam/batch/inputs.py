"""Which videos the words of a command stand for: files, addresses, folders, patterns and lists."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vidcam.batch.storage import Place
from vidcam.errors import InputError
from vidcam.io.class_folders import is_labelled
from vidcam.io.remote import is_address, is_remote, list_remote
from vidcam.io.source import IMAGE_SUFFIXES, VIDEO_SUFFIXES, find_videos

__all__ = ["LIST_SUFFIX", "expand_inputs", "identify"]

LIST_SUFFIX = ".txt"
"""The end of the name of a list of inputs."""


def expand_inputs(given: Sequence[str], *, recursive: bool = False, without: Place | None = None) -> list[str]:
    """Return the videos that ``given`` stands for, each once, in order.

    Args:
        given: Files and addresses, which stand for themselves; folders of numbered images, which are one video each; other
            folders, which stand for the videos in them; patterns with ``*``, ``?`` or ``[…]``, where ``**`` is any number of
            folders; lists, which are text files (``.txt``) with one input a line, relative to the folder of the list; a line that
            begins with ``#`` is a comment. Addresses that fsspec knows, such as ``s3://…``, may be folders and patterns too.
        recursive: Whether a folder also stands for the videos in the folders within it.
        without: A folder whose videos are left out if it lies within a given folder: that of the outputs.

    Raises:
        InputError: A folder holds no video, a pattern fits no file, or a list cannot be read.
    """
    sources: dict[str, str] = {}
    for word in given:
        for source in _expand(word, recursive, without):
            sources.setdefault(identify(source), source)
    return list(sources.values())


def identify(source: str) -> str:
    """Return the name by which a run knows an input again, from whatever folder the command is given."""
    return source if is_address(source) else os.path.abspath(source)


def _expand(word: str, recursive: bool, without: Place | None) -> Iterator[str]:
    path = Path(word)
    if is_remote(word):
        yield from _expand_remote(word, recursive, without)
    elif is_address(word):
        yield word
    elif _is(path.is_dir):
        yield from _expand_folder(path, recursive, without)
    elif _is(path.is_file):
        yield from _read_list(path, recursive, without) if path.suffix.lower() == LIST_SUFFIX else [word]
    elif glob.has_magic(word) and not _is(path.exists):
        files = sorted(file for file in glob.iglob(word, recursive=True) if os.path.isfile(file))
        if not files:
            raise InputError(f"no file fits {word}: check the folder, and put ** for any number of folders")
        yield from files
    else:
        yield word  # what cannot be read is reported where it is read


def _expand_remote(address: str, recursive: bool, without: Place | None) -> Iterator[str]:
    excluded = without if isinstance(without, str) else None
    found = list_remote(address, VIDEO_SUFFIXES, recursive=recursive, without=excluded)
    if not found:
        raise InputError(f"{address} stands for no video: check the address, or use --recursive for the folders within it")
    yield from found


def _is(question: Callable[[], bool]) -> bool:
    """Return what a method of a path answers; False if no file can have this name."""
    try:
        return question()
    except (OSError, ValueError):
        return False


def _expand_folder(folder: Path, recursive: bool, without: Place | None) -> Iterator[str]:
    if recursive:
        videos = list(_walk(folder, without))
        if not videos:
            raise InputError(f"{folder} and the folders in it hold no video: looked for {', '.join(sorted(VIDEO_SUFFIXES))}")
        yield from map(str, videos)
        return
    try:
        yield from map(str, find_videos(folder))
    except InputError as error:
        if any(file.suffix.lower() in IMAGE_SUFFIXES for file in folder.iterdir()):
            yield str(folder)  # a folder of numbered images is one video
        elif is_labelled(folder):
            raise InputError(f"{error}; there are some in the folders within it, which --recursive takes too") from error
        else:
            raise


def _walk(folder: Path, without: Place | None) -> Iterator[Path]:
    """Yield the videos in a folder and in the folders within it; hidden ones and those in ``without`` are left out.

    Links to folders are followed; a folder that is reached twice counts once.
    """
    excluded = without.resolve() if isinstance(without, Path) else None
    visited: set[Path] = set()
    for name, folders, _ in os.walk(folder, followlinks=True):
        here, place = Path(name), Path(name).resolve()
        if place in visited or (here != folder and place == excluded):
            folders.clear()
            continue
        visited.add(place)
        folders[:] = sorted(inner for inner in folders if not inner.startswith("."))
        try:
            yield from find_videos(here)
        except InputError:
            continue


def _beside(path: Path, word: str) -> str:
    """Return an input of the list ``path`` as seen from the working folder; only the word itself may be a pattern."""
    is_pattern = glob.has_magic(word) and not _is((path.parent / word).exists)
    return os.path.join(glob.escape(str(path.parent)) if is_pattern else path.parent, word)


def _read_list(path: Path, recursive: bool, without: Place | None) -> Iterator[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the list {path} cannot be read as UTF-8 text ({error}): it must hold one input a line") from error
    words = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not words:
        raise InputError(f"the list {path} is empty: write one file, folder or address on each line")
    for word in words:
        if word.lower().endswith(LIST_SUFFIX):
            raise InputError(f"the list {path} names the list {word}: name its videos in one list")
    inputs = [word if is_address(word) else _beside(path, word) for word in words]
    if not any(is_address(word) or glob.has_magic(word) or _is(Path(word).exists) for word in inputs):
        raise InputError(f"{path} is read as a list of inputs, one a line, but none of them exists; the first is {words[0]!r}")
    for word in inputs:
        yield from _expand(word, recursive, without)
