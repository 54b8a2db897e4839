"""How live the live viewer is: frames and evidence a second and the age of the heat, in a real browser on the same machine.

    python benchmarks/live.py [--clip VIDEO] [--model mini] [--seconds 20] [--mode browser|file]

Chromium (on the PATH) opens the page; in ``browser`` mode its camera plays the clip and travels to the server, in ``file`` mode
the server plays the clip. Prints a line of JSON. Server and browser share the machine, as they do for most users.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from vidcam.engine import open_engine
from vidcam.live import run, sources
from vidcam.live.server import Room, cameras
from vidcam.live.watch import Watch
from vidcam.reader import open_source

CLIP = Path(__file__).parent.parent / "clips" / "jumping_jack.mp4"


def as_camera(clip: Path, path: Path, *, fps: int = 30) -> None:
    """The clip as the uncompressed file that Chromium takes for a camera."""
    with open_source(clip) as source, path.open("wb") as file:
        width, height = source.info.width // 2 * 2, source.info.height // 2 * 2
        file.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        due = source.info.start_s
        for frame in source.frames():
            picture = np.ascontiguousarray(frame.image[:height, :width])
            while due < frame.end:
                file.write(b"FRAME\n" + cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).tobytes())
                due += 1 / fps


@contextlib.contextmanager
def room_for(mode: str, clip: Path, model: str) -> Iterator[Room]:
    engine = open_engine(model)
    if mode == "browser":
        yield cameras(engine)
        return
    watch = Watch(sources.Recording(str(clip), loop=True)).start()
    try:
        watch.explain(engine, run.DEFAULTS, cpu=0.75)
        watch.go()
        yield Room(watch)
    finally:
        watch.close()


def measure(mode: str, clip: Path, model: str, seconds: float) -> dict[str, object]:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    said: list[str] = []
    with contextlib.ExitStack() as stack:
        camera = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "camera.y4m"
        as_camera(clip, camera)
        room = stack.enter_context(room_for(mode, clip, model))
        plan = run.Plan(source="", port=0, say=said.append)
        stack.enter_context(run._serving(plan, room, stack.enter_context(run._listen(plan))))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
                  f"--use-file-for-fake-video-capture={camera}"],
        )  # fmt: skip
        stack.callback(browser.close)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(said[0].removeprefix("open "))
        page.wait_for_timeout(6000)  # until everything is warm
        page.evaluate("for (const list of ['pictures', 'updates', 'ages']) vidcamStats[list].length = 0")
        spent, began = time.process_time(), time.monotonic()
        page.wait_for_timeout(1000 * seconds)
        server_share = (time.process_time() - spent) / (time.monotonic() - began) / (os.cpu_count() or 1)
        found = page.evaluate("({...vidcamStats, answer: document.getElementById('answer').textContent})")
    ages = np.array(found["ages"])
    return {
        "mode": mode,
        "model": model,
        "answer": found["answer"],
        "displayed_fps": round(rate(found["pictures"]), 1),
        "evidence_per_s": round(rate(found["updates"]), 2),
        "age_p50_ms": round(1000 * float(np.quantile(ages, 0.5))),
        "age_p95_ms": round(1000 * float(np.quantile(ages, 0.95))),
        "message_bytes": found["bytes"],
        "server_share_of_cpu": round(server_share, 3),
        "load": [round(x, 2) for x in os.getloadavg()],
    }


def rate(times_ms: list[float]) -> float:
    return 1000 * (len(times_ms) - 1) / (times_ms[-1] - times_ms[0]) if len(times_ms) > 1 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--mode", choices=["browser", "file"], default="browser")
    given = parser.parse_args()
    sys.stdout.write(json.dumps(measure(given.mode, given.clip, given.model, given.seconds)) + "\n")


if __name__ == "__main__":
    main()
