"""Reads the size of an image and the timing of an animation without decoding any pixels."""

from __future__ import annotations

import struct
from dataclasses import dataclass

__all__ = ["ImageHeader", "read_header"]


@dataclass(frozen=True)
class ImageHeader:
    """What the first bytes of a PNG, JPEG, WebP or BMP say.

    Attributes:
        kind: "png", "jpeg", "webp" or "bmp".
        width: Pixels.
        height: Pixels.
        is_animated: Whether there is more than one picture.
        delays_s: The seconds of each picture of an animated WebP.
    """

    kind: str
    width: int
    height: int
    is_animated: bool = False
    delays_s: tuple[float, ...] = ()


def read_header(data: bytes) -> ImageHeader | None:
    """Return the header of an image; None if the image is of another kind or its header is damaged."""
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return _png(data)
        if data[:2] == b"\xff\xd8":
            return _jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data[:2] == b"BM":
            (size,) = struct.unpack_from("<I", data, 14)
            width, height = struct.unpack_from("<HH" if size == 12 else "<ii", data, 18)
            return ImageHeader("bmp", abs(width), abs(height))
    except struct.error:
        pass
    return None


def _png(data: bytes) -> ImageHeader | None:
    length, kind, width, height = struct.unpack_from(">I4sII", data, 8)
    if kind != b"IHDR":
        return None
    at = 8
    while kind not in (b"IDAT", b"acTL", b"IEND"):
        at += 12 + length
        if at + 8 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
    is_animated = kind == b"acTL" and struct.unpack_from(">I", data, at + 8)[0] > 1
    return ImageHeader("png", width, height, is_animated)


def _jpeg(data: bytes) -> ImageHeader | None:
    at = 2
    while (at := data.find(b"\xff", at)) >= 0:
        while data[at : at + 1] == b"\xff":
            at += 1
        (marker,) = struct.unpack_from("B", data, at)
        at += 1
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 3)
            return ImageHeader("jpeg", width, height)
        if marker == 0xDA:  # the compressed image begins, and no marker has given its size
            return None
        if marker > 1 and not 0xD0 <= marker <= 0xD8:
            at += struct.unpack_from(">H", data, at)[0]
    return None


def _webp(data: bytes) -> ImageHeader | None:
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = (v & 0x3FFF for v in struct.unpack_from("<HH", data, 26))
        return ImageHeader("webp", width, height)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return ImageHeader("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind != b"VP8X":
        return None
    flags, *size = struct.unpack_from("<B3xHBHB", data, 20)
    width, height = (size[0] | size[1] << 16) + 1, (size[2] | size[3] << 16) + 1
    if not flags & 2:
        return ImageHeader("webp", width, height)
    delays, at = [], 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"ANMF" and at + 24 <= len(data):
            milliseconds = int.from_bytes(data[at + 20 : at + 23], "little")
            delays.append(milliseconds / 1000 if milliseconds > 10 else 0.1)  # browsers do the same
        at += 8 + length + length % 2
    return ImageHeader("webp", width, height, len(delays) > 1, tuple(delays))
