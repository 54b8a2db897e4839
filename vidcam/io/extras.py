"""The extras of the package: what brings the packages that only some commands need, and the sentence if one is missing.

Every use of such a package asks :func:`require_extra` first, before any work is done.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec

from vidcam.errors import UsageError

__all__ = ["EXTRAS", "MissingExtraError", "has_extra", "missing_extra", "require_extra"]

CHARTS = ("matplotlib",)
LIVE = ("starlette", "uvicorn", "websockets", "httpx", "prometheus_client")

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "app": ("gradio", *CHARTS, *LIVE),
    "charts": CHARTS,
    "cloud": ("fsspec",),
    "export": ("onnx", "onnxruntime"),
    "hf": ("transformers",),
    "live": LIVE,
    "parquet": ("pyarrow",),
    "ray": ("ray",),
    "rerun": ("rerun",),
    "train": CHARTS,
}
"""The modules that each extra of pyproject.toml brings, by its name; ``vidcam[all]`` is all of them."""


class MissingExtraError(UsageError, ImportError):
    """A package that an extra of vidcam brings is not installed; the message names the command that installs it."""


def has_extra(extra: str) -> bool:
    """Return whether all packages of an extra are installed. It imports none of them."""
    return not _missing(extra)


def require_extra(extra: str, purpose: str) -> None:
    """Check that the packages of an extra are installed.

    Args:
        extra: A key of :data:`EXTRAS`.
        purpose: What needs them, such as ``vidcam app``: the subject of the sentence.

    Raises:
        MissingExtraError: One is not installed.
    """
    if not has_extra(extra):
        raise MissingExtraError(missing_extra(extra, purpose))


def missing_extra(extra: str, purpose: str) -> str:
    """Return the sentence that names the missing packages of an extra, and the command that installs them."""
    missing = _missing(extra)
    return f"{purpose} needs the package{'s'[: len(missing) > 1]} {', '.join(missing)}: pip install 'vidcam[{extra}]'"


def _missing(extra: str) -> list[str]:
    return [name.replace("_", "-") for name in EXTRAS[extra] if not _is_installed(name)]


def _is_installed(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None
    return find_spec(name) is not None
