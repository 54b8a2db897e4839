"""The hooks of the site's build: they add what was made before it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

MADE = Path(__file__).parents[2] / "build" / "docs"
"""What was made at build time."""

DEMO = "demo/index.html"
"""The page that needs no server, which is there only if it was built."""


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


def on_page_markdown(markdown: str, *, files: Files, **_: Any) -> str:
    """Keep what a page says about the demo, in a comment, only if the demo is there."""
    built = files.get_file_from_path(DEMO) is not None
    return re.sub(r"<!-- demo\n(.*?)-->\n", r"\1" if built else "", markdown, flags=re.DOTALL)
