"""Small test clips made on the spot: pictures that say which way is up and which frame they are, written with PyAV.

A picture has a red, green, blue and yellow quarter (clockwise from the top left: red, green, yellow, blue) and, across its
middle, the frame's number as twelve black or white blocks, so that a frame can be recognised after lossy coding.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import wraps
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from PIL import Image

RED, GREEN, BLUE, YELLOW = (200, 30, 30), (30, 180, 30), (30, 30, 200), (200, 200, 30)
UPRIGHT = ("red", "green", "yellow", "blue")
BITS = 12
CODECS = {".webm": "libvpx-vp9", ".gif": "gif", ".avi": "mpeg4"}
# The display matrices (a, b, c, d of x' = ax + cy, y' = bx + dy, y pointing down) by (clockwise degrees, mirrored first).
TURNS = {
    (0, False): (1, 0, 0, 1), (90, False): (0, 1, -1, 0), (180, False): (-1, 0, 0, -1), (270, False): (0, -1, 1, 0),
    (0, True): (-1, 0, 0, 1), (90, True): (0, -1, -1, 0), (180, True): (1, 0, 0, -1), (270, True): (0, 1, 1, 0),
}  # fmt: skip


def numbered(index: int, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """The upright picture number ``index`` of ``size`` (height, width)."""
    h, w = size
    image = np.empty((h, w, 3), np.uint8)
    image[: h // 2, : w // 2], image[: h // 2, w // 2 :] = RED, GREEN
    image[h // 2 :, w // 2 :], image[h // 2 :, : w // 2] = YELLOW, BLUE
    edges = np.linspace(w * 0.1, w * 0.9, BITS + 1).round().astype(int)
    for bit in range(BITS):
        image[int(h * 0.4) : int(h * 0.6), edges[bit] : edges[bit + 1]] = 255 if index >> bit & 1 else 0
    return image


def number(image: np.ndarray) -> int:
    """Which :func:`numbered` picture ``image`` shows."""
    h, w = image.shape[:2]
    row = image[int(h * 0.47) : int(h * 0.53) + 1].mean(axis=(0, 2))
    centres = np.linspace(w * 0.1, w * 0.9, 2 * BITS + 1)[1::2]
    return sum(1 << bit for bit, x in enumerate(centres) if row[int(x)] > 127)


def corners(image: np.ndarray) -> tuple[str, ...]:
    """The colours of the corners, clockwise from the top left; :data:`UPRIGHT` where the picture is the right way up."""
    h, w = image.shape[:2]
    names = {"red": RED, "green": GREEN, "blue": BLUE, "yellow": YELLOW}

    def name(y: float, x: float) -> str:
        pixel = image[int(y * h), int(x * w)].astype(int)
        return min(names, key=lambda n: int(np.abs(pixel - names[n]).sum()))

    return name(0.2, 0.2), name(0.2, 0.8), name(0.8, 0.8), name(0.8, 0.2)


def _made_once(make: Callable[..., Path]) -> Callable[..., Path]:
    """Keep clips of the usual pictures, and copy one that is asked for again: encoding takes longer."""
    made: dict[str, bytes] = {}

    @wraps(make)
    def write(path: Path, **facts: Any) -> Path:
        if facts.get("picture") is not None:
            return make(path, **facts)
        key = f"{path.suffix} {[(name, list(v) if isinstance(v, np.ndarray) else v) for name, v in sorted(facts.items())]}"
        if key in made:
            path.write_bytes(made[key])
            return path
        made[key] = make(path, **facts).read_bytes()
        return path

    return write


@_made_once
def write_clip(
    path: Path,
    *,
    frames: int = 30,
    size: tuple[int, int] = (96, 128),
    fps: Fraction | int = 30,
    times: Sequence[float] | None = None,
    start: float = 0.0,
    codec: str | None = None,
    pix_fmt: str | None = None,
    rotation: int = 0,
    mirrored: bool = False,
    sar: Fraction | None = None,
    full_range: bool = False,
    transfer: int | None = None,
    colorspace: str | None = None,
    b_frames: int = 0,
    interlaced: bool = False,
    gop: int = 12,
    audio: str | None = None,
    audio_s: float | None = None,
    faststart: bool = True,
    fragmented: bool = False,
    picture: Callable[[int], np.ndarray] | None = None,
    title: str = "",
) -> Path:
    """A clip of ``frames`` pictures at ``path`` (the suffix chooses the container), and the path again.

    ``picture(i)`` gives the picture as it should be *seen* (default: :func:`numbered`); with ``rotation`` (clockwise degrees that
    the player has to turn) and ``mirrored`` it is stored turned, with the display matrix that undoes it. ``size`` (height, width)
    is that of the seen picture before ``sar`` stretches it. ``times`` are seconds for a variable rate, ``start`` shifts all.
    ``audio`` names an audio codec (a 440 Hz tone, ``audio_s`` long). ``transfer`` numbers the transfer characteristic as
    H.273 does.
    """
    suffix = path.suffix
    picture = picture or (lambda i: numbered(i, size))
    times = [i / float(fps) for i in range(frames)] if times is None else list(times)
    base = {".mkv": Fraction(1, 1000), ".webm": Fraction(1, 1000), ".gif": Fraction(1, 100)}.get(suffix, Fraction(1, 90000))
    if suffix == ".avi" or codec in ("mpeg4", "mpeg2video", "wmv2"):  # know nothing but frame numbers
        base = 1 / Fraction(fps)
    codec = codec or CODECS.get(suffix, "libx264")
    pix_fmt = pix_fmt or {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
    options = {"movflags": "+faststart"} if faststart and suffix in (".mp4", ".mov") else {}
    if fragmented:
        options = {"movflags": "+frag_keyframe+empty_moov+default_base_moof"}
    with av.open(str(path), "w", options=options) as out:
        if title:
            out.metadata["title"] = title
        stream = out.add_stream(codec, rate=Fraction(fps))
        context = stream.codec_context
        stored = _turn_back(picture(0), rotation, mirrored)
        context.height, context.width = stored.shape[:2]
        context.pix_fmt, context.time_base, context.gop_size = pix_fmt, base, gop
        if codec == "libx264":
            context.options = {"preset": "ultrafast", "crf": "10", "bf": str(b_frames)}
            if interlaced:
                context.options |= {"x264-params": "tff=1"}
        elif codec in ("libx265", "libvpx-vp9"):
            context.options = {"preset": "ultrafast", "x265-params": "log-level=none"} if codec == "libx265" else {"speed": "8"}
        else:
            context.max_b_frames = b_frames
            context.options = {"qscale": "2"} if codec == "mpeg4" else {}
            context.bit_rate = 4_000_000
        if sar is not None:
            context.sample_aspect_ratio = sar
        if colorspace is not None:
            context.colorspace = {"bt709": 1, "bt601": 6}[colorspace]
        if full_range:
            context.color_range = 2
        if transfer is not None:
            context.color_trc = transfer
        if rotation or mirrored:
            a, b, c, d = (v << 16 for v in TURNS[rotation, mirrored])
            stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
        sound = out.add_stream(audio, rate=48000, layout="mono") if audio else None
        for i, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(_turn_back(picture(i), rotation, mirrored), format="rgb24")
            frame = frame.reformat(
                format=pix_fmt,
                dst_colorspace={"bt709": 1, "bt601": 5, None: None}[colorspace],
                dst_color_range=2 if full_range else 1 if pix_fmt.startswith("yuv4") else None,
                interpolation="BICUBIC",
            )
            frame.pts, frame.time_base = round((start + time) / base), base
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if sound is not None:
            _write_tone(out, sound, seconds=times[-1] + 1 / float(fps) if audio_s is None else audio_s)
    return path


def write_images(folder: Path, *, names: Sequence[str], size: tuple[int, int] = (96, 128)) -> Path:
    """A folder of :func:`numbered` pictures: file number i of ``names`` shows picture i."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        cv2.imwrite(str(folder / name), cv2.cvtColor(numbered(i, size), cv2.COLOR_RGB2BGR))
    return folder


def write_sound(path: Path, *, seconds: float = 1.0, codec: str = "aac", cover: bool = False) -> Path:
    """A file with sound and no video; with ``cover``, a still cover picture as music files have it."""
    with av.open(str(path), "w", format="mp4" if path.suffix == ".m4a" else None) as out:
        sound = out.add_stream(codec, rate=48000, layout="mono")
        if cover:
            still = out.add_stream("mjpeg", rate=1)
            still.width, still.height, still.pix_fmt = 128, 96, "yuvj420p"
            still.disposition = av.stream.Disposition.attached_pic.value
            frame = av.VideoFrame.from_ndarray(numbered(0), format="rgb24").reformat(format="yuvj420p")
            out.mux([*still.encode(frame), *still.encode()])
        _write_tone(out, sound, seconds=seconds)
    return path


def at_decoding_times(source: Path, path: Path) -> Path:
    """The same packets, each with the time at which it is decoded as the one at which it is shown, as bad tools write them."""
    with av.open(str(source)) as given, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                packet.pts, packet.stream = packet.dts, stream
                out.mux(packet)
    return path


def joined(path: Path, *parts: Path) -> Path:
    """The files one behind the other, as recordings are joined with ``cat``."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def write_animation(path: Path, *, delays_ms: Sequence[int], size: tuple[int, int] = (96, 128)) -> Path:
    """An animated WebP, PNG or GIF of :func:`numbered` pictures, each shown so long."""
    first, *others = (Image.fromarray(numbered(i, size)) for i in range(len(delays_ms)))
    settings = {"lossless": True} if path.suffix == ".webp" else {}
    kind = {".apng": "PNG"}.get(path.suffix)
    first.save(path, kind, save_all=True, append_images=others, duration=list(delays_ms), loop=0, **settings)
    return path


def empty_png(path: Path, *, size: tuple[int, int]) -> Path:
    """A valid PNG of one colour, of ``size`` (H, W): thousands of times smaller than its pixels."""
    height, width = size
    data = zlib.compressobj(1)
    rows = b"".join(data.compress(bytes(1 + width // 8 + bool(width % 8))) for _ in range(height)) + data.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def truncate(path: Path, *, keep: float) -> Path:
    """The file cut off after the share ``keep`` of its bytes, in place."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def _turn_back(image: np.ndarray, rotation: int, mirrored: bool) -> np.ndarray:
    """What has to be stored so that mirroring, then turning clockwise by ``rotation``, shows ``image``."""
    stored = np.rot90(image, rotation // 90)  # numpy turns counter-clockwise
    return np.ascontiguousarray(stored[:, ::-1] if mirrored else stored)


def _write_tone(out: av.container.OutputContainer, stream: av.AudioStream, *, seconds: float) -> None:
    rate, block = 48000, 960
    for start in range(0, int(seconds * rate), block):
        tone = (0.2 * np.sin(2 * np.pi * 440 * np.arange(start, start + block) / rate)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        out.mux(stream.encode(frame))
    out.mux(stream.encode())
