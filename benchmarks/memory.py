"""Peak memory of `vidcam annotate` against the length of the video: it must not grow.

    python benchmarks/memory.py [--minutes 1 10] [--fps 10] [--model FILE.py:factory]

Each length is annotated in a process of its own, on a 1280x720 film made on the spot; the table gives the operating system's
peak resident size (POSIX only). The default model is the tests' small one: the memory is the pipeline's, not the network's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np

HERE = Path(__file__).resolve().parent


def film(path: Path, *, minutes: float, fps: int) -> None:
    rng = np.random.default_rng(0)
    room = np.repeat(np.repeat(rng.integers(60, 190, (45, 80, 3)).astype(np.uint8), 16, axis=0), 16, axis=1)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for i in range(round(minutes * 60 * fps)):
            image = room.copy()
            x = (i * 9) % 1200
            image[300:380, x : x + 80] = (230, 20, 20)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode())


def measure(clip: Path, model: str, folder: Path) -> dict[str, float]:
    words = ["annotate", str(clip), "--model", model, "--out-dir", str(folder), "--overwrite", "--quiet"]
    words += ["--json", str(folder / "out.json"), "--report", str(folder / "out.html"), "--maps", str(folder / "out.npz")]
    code = (
        "import resource, sys\nfrom vidcam.cli import main\n"
        "try: main()\nexcept SystemExit as stop: assert not stop.code, stop.code\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True, text=True)
    timings = json.loads((folder / "out.json").read_text())["timings_s"]
    return {"peak_mb": int(done.stdout.split()[-1]) / 1024, **timings}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10])
    parser.add_argument("--fps", type=int, default=10)
    parser.add_argument("--model", default=f"{HERE.parent / 'tests' / 'planted.py'}:patches")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for minutes in args.minutes:
            clip = Path(name) / f"{minutes:g}min.mp4"
            film(clip, minutes=minutes, fps=args.fps)
            rows.append({"minutes": minutes, **measure(clip, args.model, Path(name))})
            clip.unlink()
    first = rows[0]["peak_mb"]
    sys.stdout.write("| minutes | peak MB | ratio | explain s | draw s |\n|---|---|---|---|---|\n")
    for r in rows:
        sys.stdout.write(
            f"| {r['minutes']:g} | {r['peak_mb']:.0f} | {r['peak_mb'] / first:.3f} | {r['explain']:.0f} | {r['draw']:.0f} |\n"
        )


if __name__ == "__main__":
    main()
