"""JPEG: encode RGB images and decode what cameras, browsers and files hold."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from vidcam.values import UInt8Array

__all__ = ["decode", "encode"]


def encode(image: UInt8Array, *, quality: int, max_width: int | None = None) -> bytes:
    """Encode an RGB image ``(H, W, 3)`` as JPEG of ``quality`` 0 to 100, at most ``max_width`` pixels wide."""
    bgr: Any = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    height, width = image.shape[:2]
    if max_width is not None and width > max_width:
        bgr = cv2.resize(bgr, (max_width, max(1, round(height * max_width / width))), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


def decode(data: bytes) -> UInt8Array | None:
    """Decode a JPEG (or another format that OpenCV reads) to RGB ``(H, W, 3)``; None if it is damaged.

    The image is turned as its EXIF data says and loses its alpha channel.
    """
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]
