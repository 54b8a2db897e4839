"""Frame + Heat -> picture: the overlay on the pixels, and around it the labels, the evidence strip and the legend (OpenCV).

:class:`Renderer` draws a video frame by frame; the ``overlay`` functions are pure and work on a single picture.
"""

from __future__ import annotations

from vidcam.render.colormap import apply_colormap
from vidcam.render.legend import Legend
from vidcam.render.overlay import STYLES, Style, mark_unseen, overlay, overlay_contour, overlay_heat, overlay_spotlight, thumb
from vidcam.render.renderer import Renderer

__all__ = [
    "STYLES",
    "Legend",
    "Renderer",
    "Style",
    "apply_colormap",
    "mark_unseen",
    "overlay",
    "overlay_contour",
    "overlay_heat",
    "overlay_spotlight",
    "thumb",
]
