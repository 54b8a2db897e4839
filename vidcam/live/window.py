"""The annotated stream in a window of the desktop (OpenCV)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2

from vidcam.errors import VidcamError
from vidcam.live.pipeline import LivePipeline
from vidcam.live.recorder import FrameAnnotator
from vidcam.settings import Look

__all__ = ["show_window"]

TITLE = "vidcam"
ESCAPE, SPACE = 27, 32
WAIT_MS = 10


def show_window(pipeline: LivePipeline, look: Look, is_over: Callable[[], bool]) -> None:
    """Show frames until ``is_over()``, or until q, Esc or the window's close button.

    The space bar pauses the picture; s saves it to the current folder.

    Raises:
        VidcamError: There is no desktop, or OpenCV was built without windows.
    """
    stream = pipeline.stream
    annotator = FrameAnnotator(stream, look)
    last, is_paused, picture = None, False, None
    try:
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        try:
            while not is_over():
                frame = stream.latest
                if frame is not None and frame is not last and not is_paused:
                    last = frame
                    picture = cv2.cvtColor(annotator.draw(frame, stream.update).image, cv2.COLOR_RGB2BGR)
                    cv2.imshow(TITLE, picture)
                key = cv2.waitKey(WAIT_MS) & 0xFF
                if key in (ord("q"), ESCAPE) or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
                    return
                if key == SPACE:
                    is_paused = not is_paused
                if key == ord("s") and picture is not None:
                    cv2.imwrite(str(Path(f"vidcam-{pipeline.clock.wall().astimezone():%Y%m%dT%H%M%S}.png")), picture)
        finally:
            cv2.destroyAllWindows()
    except cv2.error as error:
        raise VidcamError(
            "no window can be opened here: there is no desktop, or another opencv package hides opencv-python; "
            "leave out --window to use the page in a web browser"
        ) from error
