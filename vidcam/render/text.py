"""Text for pictures, in OpenCV's built-in outline fonts: Latin, Cyrillic, Greek, Arabic, Chinese, Japanese and Korean.

Sizes are in pixels; a line of text of size s has about s pixels from the top of its capitals to the bottom of its descenders.
"""

from __future__ import annotations

import threading

import cv2

from vidcam.values import UInt8Array

__all__ = ["BOLD", "REGULAR", "clean_text", "draw_text", "fit_text", "text_width"]

REGULAR, BOLD = 400, 600
_local = threading.local()  # a face holds the state of its last use, so each thread has its own


def clean_text(text: str) -> str:
    """Return the text on one line: white space becomes single blanks, what cannot be printed is dropped."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def text_width(text: str, size: int, *, weight: int = REGULAR) -> int:
    """Return the width of the text in pixels."""
    if not text:
        return 0
    _, _, width, _ = cv2.getTextSize((1, 1), text, (0, 0), _face(), size, weight=weight)
    return int(width)


def fit_text(text: str, size: int, room: int, *, weight: int = REGULAR) -> str:
    """Return the text, or as much of its beginning as fits with an ellipsis into ``room`` pixels, or nothing."""
    if text_width(text, size, weight=weight) <= room:
        return text
    low, high = 0, len(text)  # bounds of how many characters fit
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(text[:middle].rstrip() + "…", size, weight=weight) <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…" if low else ""


def draw_text(
    image: UInt8Array, text: str, x: int, baseline: int, size: int, colour: tuple[int, int, int], *, weight: int = REGULAR
) -> int:
    """Draw the text into ``image`` with its baseline at row ``baseline``, and return the x at which it ends."""
    if not text:
        return x
    cv2.putText(image, text, (x, baseline), colour, _face(), size, weight=weight)
    return x + text_width(text, size, weight=weight)


def _face() -> cv2.FontFace:
    if not hasattr(_local, "face"):
        _local.face = cv2.FontFace("sans")
    face: cv2.FontFace = _local.face
    return face
