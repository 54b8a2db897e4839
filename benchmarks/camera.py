"""A real browser whose camera plays a clip, for the benchmark and the tests of what runs in a browser."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vidcam.io.source import open_source

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["CHROMIUM", "started", "with_camera", "write_camera"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def with_camera(clip: Path, *, fps: int = 30) -> Iterator[Browser]:
    """Chromium, as it is on the PATH, with ``clip`` for a camera of ``fps`` pictures a second, played over and over."""
    with tempfile.TemporaryDirectory() as folder:
        camera = Path(folder) / "camera.y4m"
        write_camera(clip, camera, fps=fps)
        with started(camera) as chromium:
            yield chromium


@contextmanager
def started(camera: Path) -> Iterator[Browser]:
    """Chromium with a camera that plays what :func:`write_camera` has written."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )  # fmt: skip
        try:
            yield chromium
        finally:
            chromium.close()


def write_camera(clip: Path, path: Path, *, fps: int = 30) -> None:
    """Write the clip as the uncompressed file that Chromium takes for a camera."""
    with open_source(clip) as source, path.open("wb") as file:
        width, height = source.info.width // 2 * 2, source.info.height // 2 * 2
        file.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        due = source.info.start_s
        for frame in source.frames():
            picture = np.ascontiguousarray(frame.image[:height, :width])
            while due < frame.end:
                file.write(b"FRAME\n" + cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).tobytes())
                due += 1 / fps
