"""The hook of the site's build: it adds what docs/tools/make_pages.py has made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

MADE = Path(__file__).parents[2] / "build" / "docs"
"""What was made at build time."""


def on_files(files: Files, *, config: Any) -> Files:
    """Add everything in ``build/docs`` to the files of the site.

    Raises:
        PluginError: Nothing was made yet.
    """
    made = [path for path in sorted(MADE.rglob("*")) if path.is_file()]
    if not made:
        raise PluginError("build/docs is empty: run docs/build.sh, or docs/tools/make_pages.py before mkdocs")
    for path in made:
        files.append(File.generated(config, path.relative_to(MADE).as_posix(), abs_src_path=str(path)))
    return files
