"""Text for pictures: OpenCV's built-in outline fonts, which cover Latin, Cyrillic, Greek, Arabic, Chinese, Japanese and Korean.

Sizes are in pixels; a line of text of size s has about s pixels from the top of its capitals to the bottom of its tails.
"""

from __future__ import annotations

import threading

import cv2

from vidcam.values import UInt8Array

__all__ = ["BOLD", "REGULAR", "clean", "fit", "put", "width"]

REGULAR, BOLD = 400, 600
_local = threading.local()  # a face holds the state of its last use, so each thread has its own


def _face() -> cv2.FontFace:
    if not hasattr(_local, "face"):
        _local.face = cv2.FontFace("sans")
    face: cv2.FontFace = _local.face
    return face


def clean(text: str) -> str:
    """The text on one line: any white space becomes one blank, what cannot be printed is dropped."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def width(text: str, size: int, *, weight: int = REGULAR) -> int:
    """How many pixels wide the text will be."""
    if not text:
        return 0
    _, _, w, _ = cv2.getTextSize((1, 1), text, (0, 0), _face(), size, weight=weight)
    return int(w)


def fit(text: str, size: int, room: int, *, weight: int = REGULAR) -> str:
    """The text, or as much of its beginning as fits with an ellipsis into ``room`` pixels (empty where not even that fits)."""
    if width(text, size, weight=weight) <= room:
        return text
    low, high = 0, len(text)  # how many characters are kept
    while low < high:
        middle = (low + high + 1) // 2
        if width(text[:middle].rstrip() + "…", size, weight=weight) <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…" if low else ""


def put(
    image: UInt8Array, text: str, x: int, baseline: int, size: int, colour: tuple[int, int, int], *, weight: int = REGULAR
) -> int:
    """Draw the text into ``image`` with its baseline at row ``baseline``; returns the x where it ends."""
    if not text:
        return x
    cv2.putText(image, text, (x, baseline), colour, _face(), size, weight=weight)
    return x + width(text, size, weight=weight)
