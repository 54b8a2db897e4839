"""Models of Hugging Face transformers: ``hf:REPOSITORY`` or ``hf:FOLDER``.

Each family of networks is one adapter object (:class:`~vidcam.models.huggingface.family.Family`) in a file of its own, listed in
:mod:`~vidcam.models.huggingface.families`. transformers is imported only inside the functions that need it.
"""

from __future__ import annotations

__all__ = ["PREFIX", "is_huggingface"]

PREFIX = "hf:"
"""The beginning of a model's name that stands for a repository of the Hugging Face hub, or a folder of that layout."""


def is_huggingface(name: str) -> bool:
    """Return whether this names a model of Hugging Face transformers."""
    return name.startswith(PREFIX)
