"""The annotated stream in a window of the desktop (OpenCV)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2

from vidcam.errors import VidcamError
from vidcam.live.pipeline import Watch
from vidcam.live.recorder import Painter
from vidcam.render.renderer import Look

__all__ = ["show"]

TITLE = "vidcam"
ESCAPE, SPACE = 27, 32
WAIT_MS = 10


def show(watch: Watch, look: Look, over: Callable[[], bool]) -> None:
    """Show frames until ``over``, or until q, Esc or the window's own button; space holds the picture, s saves it here.

    VidcamError where there is no desktop, or OpenCV was built without windows.
    """
    stream = watch.stream
    painter = Painter(stream, look)
    shown, held, picture = None, False, None
    try:
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        try:
            while not over():
                frame = stream.latest
                if frame is not None and frame is not shown and not held:
                    shown = frame
                    picture = cv2.cvtColor(painter.draw(frame, stream.update).image, cv2.COLOR_RGB2BGR)
                    cv2.imshow(TITLE, picture)
                key = cv2.waitKey(WAIT_MS) & 0xFF
                if key in (ord("q"), ESCAPE) or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
                    return
                if key == SPACE:
                    held = not held
                if key == ord("s") and picture is not None:
                    cv2.imwrite(str(Path(f"vidcam-{watch.clock.wall().astimezone():%Y%m%dT%H%M%S}.png")), picture)
        finally:
            cv2.destroyAllWindows()
    except cv2.error as error:
        raise VidcamError(
            "no window can be opened here: there is no desktop, or another opencv package hides opencv-python; "
            "leave out --window to use the page in a web browser"
        ) from error
