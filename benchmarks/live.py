"""How live the live viewer is: frames and evidence a second and the age of the heat, in a real browser on the same machine.

    python -m benchmarks.live [--clip VIDEO] [--model mini] [--seconds 20] [--viewers 1] [--mode browser|file|echo ...]

Chromium (on the PATH) opens the page; in ``browser`` mode its camera plays the clip and travels to the server, in ``file`` mode
the server plays the clip. ``echo`` is the yardstick: a Gradio page that streams the same camera to a server that sends every
picture back as it came, and does nothing else. Prints a line of JSON for each; all three run where none is named. Server and
browser share the machine, as they do for most users. Of several viewers, the figures are those of the one that sees fewest
pictures.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.camera import with_camera
from vidcam.engine import open_engine
from vidcam.live import sources
from vidcam.live.pipeline import LivePipeline
from vidcam.web.live import run
from vidcam.web.live.hub import Hub, make_camera_hub
from vidcam.web.serving import listen

if TYPE_CHECKING:
    from playwright.sync_api import Page, ViewportSize

CLIP = Path(__file__).parent.parent / "clips" / "jumping_jack.mp4"
MODES = ["browser", "file", "echo"]
WARM_MS = 6000
SCREEN: ViewportSize = {"width": 1280, "height": 800}


@contextlib.contextmanager
def hub_for(mode: str, clip: Path, model: str) -> Iterator[Hub]:
    engine = open_engine(model)
    if mode == "browser":
        yield make_camera_hub(engine)
        return
    pipeline = LivePipeline(sources.FileSource(str(clip), loop=True)).start()
    try:
        pipeline.explain(engine, run.DEFAULTS, cpu=0.75)
        pipeline.release_frames()
        yield Hub(pipeline)
    finally:
        pipeline.close()


def measure(mode: str, clip: Path, model: str, seconds: float, viewers: int) -> dict[str, object]:
    said: list[str] = []
    with contextlib.ExitStack() as stack:
        hub = stack.enter_context(hub_for(mode, clip, model))
        plan = run.Plan(sources=(), port=0, say=said.append)
        stack.enter_context(run.serve(plan, hub, stack.enter_context(listen(plan.host, 0))))
        browser = stack.enter_context(with_camera(clip))
        pages = [browser.new_page(viewport=SCREEN) for _ in range(viewers)]
        for page in pages:
            page.goto(said[0].removeprefix("open "))
        page.wait_for_timeout(WARM_MS)
        for page in pages:
            page.evaluate("for (const list of ['pictures', 'updates', 'ages']) vidcamStats[list].length = 0")
        share = measure_cpu_share(page, seconds)
        answer = "({...vidcamStats, answer: document.getElementById('answer').textContent})"
        stats = min((page.evaluate(answer) for page in pages), key=lambda stats: rate(stats["pictures"]))
    ages = np.array(stats["ages"])
    return {
        "mode": mode,
        "model": model,
        "viewers": viewers,
        "answer": stats["answer"],
        "displayed_fps": round(rate(stats["pictures"]), 1),
        "evidence_per_s": round(rate(stats["updates"]), 2),
        "age_p50_ms": round(1000 * float(np.quantile(ages, 0.5))),
        "age_p95_ms": round(1000 * float(np.quantile(ages, 0.95))),
        "message_bytes": stats["bytes"],
        "server_share_of_cpu": share,
        "load": [round(x, 2) for x in os.getloadavg()],
    }


ECHO_STATS = """() => {
  const stats = window.echoStats = {shown: []};
  new MutationObserver(() => {
    const picture = document.querySelector("#back img");
    if (!picture || picture.src === stats.last) return;
    stats.last = picture.src;
    stats.shown.push(performance.now());
  }).observe(document.getElementById("back"), {subtree: true, childList: true, attributes: true, attributeFilter: ["src"]});
}"""


def echo(clip: Path, seconds: float) -> dict[str, object]:
    """Measure Gradio's own streaming of pictures, without any computation."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio as gr

    with gr.Blocks(analytics_enabled=False) as demo:
        seen = gr.Image(sources=["webcam"], streaming=True, type="numpy", elem_id="seen")
        back = gr.Image(elem_id="back")
        seen.stream(lambda picture: picture, [seen], [back], stream_every=1 / 30, time_limit=None, concurrency_limit=None)
    try:
        _, address, _ = demo.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, show_error=False)
        with with_camera(clip) as browser:
            page = browser.new_page(viewport=SCREEN)
            page.goto(address)
            page.locator("#seen button", has_text="Access Webcam").click()
            page.locator("#seen button", has_text="Record").click()
            page.locator("#back img").wait_for()
            page.evaluate(ECHO_STATS)
            page.wait_for_timeout(WARM_MS)
            page.evaluate("echoStats.shown.length = 0")
            share = measure_cpu_share(page, seconds)
            stats = page.evaluate("echoStats")
    finally:
        demo.close()
    return {
        "mode": "echo",
        "displayed_fps": round(rate(stats["shown"]), 1),
        "server_share_of_cpu": share,
        "load": [round(x, 2) for x in os.getloadavg()],
    }


def measure_cpu_share(page: Page, seconds: float) -> float:
    """Let the page run for some seconds; return the share of the machine's processors that the server used."""
    spent, began = time.process_time(), time.monotonic()
    page.wait_for_timeout(1000 * seconds)
    return round((time.process_time() - spent) / (time.monotonic() - began) / (os.cpu_count() or 1), 3)


def rate(times_ms: list[float]) -> float:
    return 1000 * (len(times_ms) - 1) / (times_ms[-1] - times_ms[0]) if len(times_ms) > 1 else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--viewers", type=int, default=1)
    parser.add_argument("--mode", choices=MODES, nargs="+", default=MODES)
    given = parser.parse_args()
    for mode in given.mode:
        clip, seconds = given.clip, given.seconds
        stats = echo(clip, seconds) if mode == "echo" else measure(mode, clip, given.model, seconds, given.viewers)
        sys.stdout.write(json.dumps(stats) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
