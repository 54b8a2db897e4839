"""Draw the picture of the first page: one frame of the explained video that the first command of the docs writes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2

import vidcam

__all__ = ["make"]

CLIP = Path(__file__).resolve().parents[2] / "clips" / "jumping_jack.mp4"


def make(folder: Path) -> None:
    """Explain the sample clip, and write the frame at the strongest moment into ``folder/images/explained.jpg``."""
    with tempfile.TemporaryDirectory() as work:
        video = Path(work, "explained.mp4")
        analysis = vidcam.annotate(CLIP, vidcam.Outputs(video), engine=vidcam.open_engine("mini"))
        peak = analysis.moments[0].time - analysis.source.start_s
        with vidcam.open_source(video) as source:
            shown = min(source.frames(), key=lambda frame: abs(frame.time - source.info.start_s - peak))
    target = folder / "images" / "explained.jpg"
    target.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(target), shown.image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
