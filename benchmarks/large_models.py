"""How much memory and time do full-size transformers take? Explains a clip of 10 s with each, in a process of its own.

    python -m benchmarks.large_models                 # all four, one after the other; the results are kept beside this file
    python -m benchmarks.large_models videomae vivit  # some of them; the others stay as they are
    python -m benchmarks.large_models vjepa2 --seconds 3  # a shorter clip, where time is short: the memory is the same

The weights are random: memory and time do not depend on them. A process is held to two cores. Then
``python -m benchmarks.models_page`` writes the results into docs/models.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np

RESULTS = Path(__file__).with_suffix(".json")
FPS, SIZE = 30, (360, 640)

# Family -> title, seconds between frames, what the configuration says besides its defaults, arguments of the processor.
MODELS: dict[str, tuple[str, float, dict[str, Any], dict[str, Any]]] = {
    "videomae": ("VideoMAE-B", 0.133, {"num_labels": 400}, {}),
    "timesformer": ("TimeSformer-B", 0.267, {"num_labels": 400}, {}),
    "vivit": ("ViViT-B 16×2", 0.0667, {"num_labels": 400, "num_frames": 32}, {}),
    "vjepa2": ("V-JEPA 2 ViT-L", 0.133, {"num_labels": 174, "frames_per_clip": 16, "crop_size": 256}, {"crop_size": 256}),
}


def save_random(family: str, folder: Path) -> None:
    """Save a network of the configuration's full size with random weights, and its processor."""
    import transformers

    _, _, facts, how = MODELS[family]
    facts = {key: value for key, value in facts.items() if key != "num_labels"}
    facts["id2label"] = {number: f"class {number}" for number in range(MODELS[family][2]["num_labels"])}
    net = transformers.AutoModelForVideoClassification.from_config(transformers.AutoConfig.for_model(family, **facts))
    net.save_pretrained(folder)
    makers = {"vivit": "VivitImageProcessor", "vjepa2": "VJEPA2VideoProcessor"}
    getattr(transformers, makers.get(family, "VideoMAEImageProcessor"))(**how).save_pretrained(folder)


def write_clip(path: Path, seconds: float) -> None:
    """Write a bright square that moves over a coloured ground."""
    ground = np.random.default_rng(0).integers(40, 120, (*SIZE, 3), np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        for i in range(round(seconds * FPS)):
            picture = ground.copy()
            picture[150:220, i : i + 70] = (230, 200, 40)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


def measure(family: str, folder: Path, clip: Path) -> dict[str, Any]:
    """Return what ``vidcam annotate`` with that model took: memory, and seconds a clip of the network (a window)."""
    report = folder / "why.json"
    words = ["annotate", str(clip), "-o", str(folder / "why.html"), "--json", str(report), "--overwrite", "--quiet"]
    words += ["--model", f"hf:{folder}", "--frame-interval", str(MODELS[family][1])]
    began, load = time.monotonic(), os.getloadavg()[0]
    process = subprocess.Popen([sys.executable, "-m", "vidcam", *words], env=os.environ | {"VIDCAM_CACHE": str(folder / "cache")})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{family}: vidcam annotate ended with status {status}")
    wall = time.monotonic() - began
    found = json.loads(report.read_text("utf-8"))
    windows = len(found["windows"])
    return {
        "model": MODELS[family][0],
        "method": found["method"],
        "engine": found["engine"],
        "frames": found["model"]["frames"],
        "windows": windows,
        "peak_mb": round(usage.ru_maxrss * 1024 / 1e6),
        "s_per_window": round(found["timings_s"]["explain"] / windows, 2),
        "wall_s": round(wall),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
    }


def main() -> None:
    """Measure one family in this process, or each of several in one of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", nargs="*", choices=[[], *MODELS])
    parser.add_argument("--seconds", type=float, default=10)
    given = parser.parse_args()
    names = given.family or list(MODELS)
    if len(names) > 1:
        for name in names:
            subprocess.run([sys.executable, "-m", "benchmarks.large_models", name, "--seconds", str(given.seconds)], check=True)
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    with tempfile.TemporaryDirectory() as folder:
        write_clip(Path(folder) / "clip.mp4", given.seconds)
        save_random(names[0], Path(folder))
        row = {**measure(names[0], Path(folder), Path(folder) / "clip.mp4"), "clip_s": given.seconds}
    rows = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    rows[names[0]] = row
    kept = {name: rows[name] for name in MODELS if name in rows}
    RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(row)  # noqa: T201


if __name__ == "__main__":
    main()
