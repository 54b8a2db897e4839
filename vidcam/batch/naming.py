"""Names of outputs that are made from the names of inputs, and never collide."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vidcam.annotation.browser_video import copy_beside
from vidcam.errors import UsageError
from vidcam.io.remote import is_address
from vidcam.reports.formats import get_format

__all__ = ["Names", "written_files"]

MAX_NAME_BYTES = 200
"""Length of a file name that is made from an input's: file systems take 255 bytes, and a suffix follows."""


class Names:
    """Gives every input its outputs: patterns whose ``{name}`` is replaced by the input's name, with a number if it is taken.

    Args:
        patterns: The path of each output by its kind, ``video`` or the name of a format.
        taken: Files that no output may be.
    """

    def __init__(self, patterns: Mapping[str, Path], *, taken: Iterable[Path] = ()) -> None:
        self._patterns = dict(patterns)
        self._taken = {_fold(path) for path in taken}
        self._names: set[str] = set()
        self._last: Counter[str] = Counter()

    def add(self, name: str, paths: Mapping[str, Path]) -> None:
        """Take a name and its outputs, which another run has given."""
        self._names.add(name.casefold())
        self._taken.update(map(_fold, written_files(paths)))

    def give(self, source: str) -> tuple[str, dict[str, Path]]:
        """Return the name for an input, and its outputs by kind.

        Raises:
            UsageError: An output has no ``{name}``, and another input has it already.
        """
        stem = _stem(source)
        while True:
            self._last[stem.casefold()] += 1
            number = self._last[stem.casefold()]
            name = stem if number == 1 else f"{stem}-{number}"
            paths = {kind: Path(str(path).replace("{name}", name)) for kind, path in self._patterns.items()}
            clash = [path for path in written_files(paths) if _fold(path) in self._taken]
            if name.casefold() not in self._names and not clash:
                self.add(name, paths)
                return name, paths
            for path in clash:
                if path in self._patterns.values():
                    example = f"{path.stem}-{{name}}{path.suffix}"
                    raise UsageError(f"{path} is one file, but there are several inputs: put {{name}} into it, as in {example}")


def written_files(paths: Mapping[str, Path]) -> list[Path]:
    """Return all files that outputs may consist of: a page that plays a video may need a copy of it beside itself."""
    pages = [path for kind, path in paths.items() if kind != "video" and get_format(kind).plays_video]
    return [*paths.values(), *map(copy_beside, pages)]


def _fold(path: Path) -> str:
    """Return a path as file systems may take it that do not tell large letters from small ones."""
    return str(path.absolute()).casefold()


def _stem(source: str) -> str:
    """Return what ``source`` is called, for the names of its outputs, with harmless characters whatever a URL contains.

    That is the name of a file without its suffix, as it was given and not what a link leads to; the whole name of a folder; and
    for numbered images the name of the folder that they lie in.
    """
    is_local = not is_address(source)
    path = Path(os.path.abspath(source) if is_local else unquote(urlsplit(source).path).rstrip("/"))
    if is_local and re.search(r"%\d*d", path.name) and not os.path.lexists(path):
        path = path.parent
    stem = path.name if is_local and os.path.isdir(path) else path.stem
    name = re.sub(r"[^\w\-. ()\[\]]", "_", stem).strip(". ") or "video"
    return name.encode()[:MAX_NAME_BYTES].decode(errors="ignore")
