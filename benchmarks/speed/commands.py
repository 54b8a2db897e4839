"""Whole programs as contestants: how long the command took, how long it worked inside, and the most memory it held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Took", "by_hand", "command", "transcode", "vidcam"]

HERE = Path(__file__).resolve().parent
VIDCAM = (sys.executable, "-c", "from vidcam.cli.main import main; main()")


@dataclass(frozen=True)
class Took:
    """``wall_s`` from the prompt to the prompt; ``inside_s`` without the start of the program and the loading of the model;
    ``peak_mb`` resident (0 where the system does not tell)."""

    wall_s: float
    inside_s: float
    peak_mb: float


def command(*words: str | Path, cache: Path | None = None) -> tuple[str, float, float]:
    """What a program wrote to stdout, its seconds and its peak memory in MB. RuntimeError with its last words where it fails.

    ``cache`` is a folder to be vidcam's cache, where it is not the usual one.
    """
    env = os.environ | ({"VIDCAM_CACHE": str(cache)} if cache else {})
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    began = time.perf_counter()
    running = subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    peaks = [0.0]
    watch = threading.Thread(target=_watch, args=(running, peaks), daemon=True)
    watch.start()
    out, err = running.communicate()
    took = time.perf_counter() - began
    watch.join()
    if running.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))} ended with {running.returncode}: {err.strip()[-400:]}")
    return out, took, peaks[-1]


def _watch(running: subprocess.Popen[str], peaks: list[float]) -> None:
    # The kernel's own high-water mark; the one that wait4 tells would count what this process held when it forked.
    status = Path(f"/proc/{running.pid}/status")
    while running.returncode is None:
        try:
            peaks += [int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        except OSError:
            return
        time.sleep(0.05)


def vidcam(
    clip: Path,
    folder: Path,
    *more: str | Path,
    model: str,
    output: str = "vidcam.mp4",
    weights: Path | None = None,
    cache: Path | None = None,
) -> Took:
    """``vidcam annotate`` with default settings, but for ``more``; ``output`` is an MP4 file or an HTML page."""
    facts = folder / "vidcam.json"
    given = ("--weights", weights) if weights else ()
    words = (clip, "-o", folder / output, "--json", facts, "--overwrite", "--quiet", "--model", model, *given, *more)
    _, wall, peak = command(*VIDCAM, "annotate", *words, cache=cache)
    return Took(wall, json.loads(facts.read_text(encoding="utf-8"))["timings_s"]["total"], peak)


def transcode(clip: Path, folder: Path) -> Took:
    out, wall, peak = command(sys.executable, HERE / "transcode.py", clip, folder / "transcode.mp4")
    return Took(wall, float(out.split()[-1]), peak)


def by_hand(clip: Path, folder: Path, *, model: str, weights: Path | None = None) -> Took:
    given = ("--weights", weights) if weights else ()
    out, wall, peak = command(sys.executable, HERE / "by_hand.py", clip, folder / "by_hand.mp4", "--model", model, *given)
    return Took(wall, float(out.split()[-1]), peak)
