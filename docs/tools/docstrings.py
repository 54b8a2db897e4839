"""An extension of Griffe that reads the package's docstrings as its authors meant them."""

from __future__ import annotations

import re
from typing import Any

import griffe

import vidcam

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([\w.]+)`")
"""A role, such as ``:class:`vidcam.Settings```."""

PUBLIC = {f"vidcam.{name}" for name in vidcam.__all__}


class Docstrings(griffe.Extension):
    """Takes ``Example:`` for a section of examples, and roles for links, or for code if the reference lacks the name."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object that was found."""
        if obj.docstring:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = ROLE.sub(_link, text)


def _link(role: re.Match[str]) -> str:
    path = role[1]
    public = path if path in PUBLIC else f"vidcam.{path}"
    return f"[`{path}`][{public}]" if public in PUBLIC else f"`{path}`"
