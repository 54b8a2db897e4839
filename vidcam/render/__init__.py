"""Draw frames with their heat: the overlay on the pixels, and around it the labels, the evidence strip and the legend.

:class:`Renderer` draws a video frame by frame, :func:`overlay` a single picture, :class:`vidcam.render.grid.Grid` several methods
and classes in one picture. OpenCV does the work on pixels.
"""

from __future__ import annotations

from vidcam.render.legend import Legend
from vidcam.render.overlay import STYLES, overlay, thumb
from vidcam.render.renderer import Renderer
from vidcam.settings import Style

__all__ = ["STYLES", "Legend", "Renderer", "Style", "overlay", "thumb"]
