"""Do the commands still write what they wrote? Runs twenty commands, keeps their outputs, and compares two such folders.

    python -m benchmarks.outputs write build/before                  # with the vidcam that this Python imports
    python -m benchmarks.outputs write build/after --only annotate   # those whose name contains the word
    python -m benchmarks.outputs compare build/before build/after

Compared are the numbers of JSON, NPZ and CSV files (to a millionth), the text of VTT and event files, and every pixel
(to 3 of 255 levels) and timestamp of the videos. What no two runs share is left out: seconds taken (which the
video of ``compare`` shows, so its pixels are not compared), the clock on the wall, versions, folders.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT.parent / "shared" / "assets"

# Name -> command. {clips} are the project's clips, {real} the shared ones, {out} where the video and the numbers go.
COMMANDS = {
    "annotate-all": "annotate {clips}/jumping_jack.mp4 {out} --verdict --report o.html --csv o.csv --vtt o.vtt --maps o.npz"
    " --tubes o.coco.json",
    "annotate-rotated": "annotate {clips}/waving_rotated.mp4 {out} --maps o.npz --crops cover",
    "annotate-torch": "annotate {clips}/falling.mp4 {out} --maps o.npz --engine torch --method gradcam++ --signed",
    "annotate-lrp": "annotate {clips}/walking.mp4 {out} --maps o.npz --method lrp --style contour",
    "annotate-flow": "annotate {clips}/three_actions.mp4 {out} --csv o.csv --vtt o.vtt --smoothing flow --style spotlight",
    "annotate-versus": "annotate {clips}/falling.mp4 {out} --class 'falling down' --versus 'standing up' --hop 0.3"
    " --style side-by-side --tubes o.csv",
    "annotate-rise": "annotate {clips}/walking.mp4 {out} --maps o.npz --method rise --end 2 --hop 1",
    "annotate-part": "annotate {clips}/three_actions.mp4 {out} --start 2 --end 5 --tail hold --smoothing exponential",
    "annotate-several": "annotate {clips} --out-dir out --json 'out/{{name}}.json' --class 'jumping jack'",
    "annotate-x3d": "annotate {clips}/walking.mp4 {out} --maps o.npz --model x3d_xs --method gradcam --end 1.5",
    "real-yoga": "annotate {real}/kinetics/yoga.mp4 {out} --maps o.npz --model movinet_a0 --verdict",
    "real-frames": "annotate {real}/outlined/bmx {out} --maps o.npz --model movinet_a0 --method layercam",
    "real-portrait": "annotate {real}/other/portrait_skateboarding_dog.mp4 {out} --end 4",
    "compare": "compare {clips}/jumping_jack.mp4 {out} --report o.html",
    "compare-cams": "compare {clips}/walking.mp4 {out} --method cam --method gradcam --method hirescam --method layercam",
    "evaluate": "evaluate {clips}/jumping_jack.mp4 --json o.json --report o.html",
    "evaluate-method": "evaluate {clips}/falling.mp4 --json o.json --method gradcam++",
    "evaluate-folder": "evaluate folder --json o.json --report o.html",
    "live-events": "live {clips}/three_actions.mp4 --headless --fast --events o.jsonl",
    "live-rule": "live {clips}/falling.mp4 --headless --fast --events o.jsonl --on 'falling down > 0.5 for 0.2s' --clips clips",
}
FOLDER = {"jumping jack": "jumping_jack.mp4", "walking": "walking.mp4", "falling down": "falling.mp4"}
# Keys and columns whose values differ from run to run.
VOLATILE = {"timings_s", "versions", "seconds", "time", "seconds_per_window", "relative_cost", "path", "about"}
TOLERANCE = 1e-6
LEVELS = 3
"""How far pixels may differ: an encoder that waits for its processor decides differently."""


def run_all(folder: Path, only: str) -> None:
    """Run the commands, each in a folder of its own."""
    for name, line in COMMANDS.items():
        if only not in name or ("{real}" in line and not ASSETS.is_dir()):
            continue
        place = folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        if "folder" in line.split():
            _class_folders(place / "folder")
        words = shlex.split(line.format(clips=ROOT / "clips", real=ASSETS / "clips", out="-o o.mp4 --json o.json"))
        if "x3d_xs" in words:
            words += ["--weights", str(_random_x3d(folder))]
        env = os.environ | {"VIDCAM_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        env["VIDCAM_WEIGHTS"] = str(ASSETS / "weights") if name.startswith("real") else ""
        done = subprocess.run([sys.executable, "-m", "vidcam", *words], cwd=place, env=env, capture_output=True, text=True)
        (place / "exit_code.json").write_text(json.dumps({"exit_code": done.returncode}))
        (place / "stderr.log").write_text(done.stderr)
        (place / "stdout.log").write_text(done.stdout)
        for html in place.rglob("*.html"):
            html.rename(html.with_suffix(".html.log"))  # kept to be looked at; its text may change
        sys.stdout.write(f"{name}: exit code {done.returncode}\n")
        sys.stdout.flush()


def _class_folders(folder: Path) -> None:
    for label, clip in FOLDER.items():
        (folder / label).mkdir(parents=True)
        shutil.copy(ROOT / "clips" / clip, folder / label / clip)


def _random_x3d(folder: Path) -> Path:
    """Write the state dict of an untrained X3D, always the same one."""
    path = (folder / "x3d_xs.pth").resolve()
    if not path.exists():
        words = (
            "import sys, torch; torch.manual_seed(0); from pytorchvideo.models import hub;"
            "torch.save({'model_state': hub.x3d_xs(pretrained=False).state_dict()}, sys.argv[1])"
        )
        subprocess.run([sys.executable, "-W", "ignore", "-c", words, str(path)], check=True)
    return path


def compare(before: Path, after: Path) -> int:
    """Print every difference; return their number."""
    differences = 0
    files = [
        {_timeless(str(p.relative_to(d))): p for p in d.rglob("*") if p.is_file() and p.suffix not in (".log", ".pth")}
        for d in (before, after)
    ]
    names = {Path(name) for folder in files for name in folder}
    for name in sorted(names):
        if name.parts[1] == "folder":
            continue
        if not (after / name.parts[0]).is_dir():
            continue  # another selection was run
        one, two = (folder.get(str(name)) for folder in files)
        if one is None or two is None:
            found = [f"only in {before if one else after}"]
        else:
            found = list(_differences(_content(one), _content(two), ""))
        differences += len(found)
        for words in found[:8]:
            sys.stdout.write(f"{name}: {words}\n")
        if len(found) > 8:
            sys.stdout.write(f"{name}: and {len(found) - 8} more\n")
    sys.stdout.write(f"{differences} differences in {len(names)} files\n")
    return differences


def _timeless(text: str) -> str:
    """Replace the time on the clock by a word."""
    return re.sub(r"\d{8}T\d{6}|\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)


def _content(path: Path) -> Any:
    """Read a file as a tree of plain values."""
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in _timeless(path.read_text(encoding="utf-8")).splitlines()]
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: arrays[name] for name in arrays.files}
    if path.suffix == ".mp4":
        with av.open(str(path)) as video:
            return [
                [round(frame.time, 6), None if "compare" in str(path) else frame.to_ndarray(format="rgb24")]
                for frame in video.decode(video=0)
            ]
    if path.suffix in (".jpg", ".png"):
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return path.read_text(encoding="utf-8").splitlines()


def _differences(one: Any, two: Any, where: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(two, dict):
        for key in one.keys() | two.keys():
            if key in VOLATILE:
                continue
            if key not in one or key not in two:
                yield f"{where}.{key} is only in the {'first' if key in one else 'second'}"
            else:
                yield from _differences(one[key], two[key], f"{where}.{key}")
    elif isinstance(one, list) and isinstance(two, list):
        if len(one) != len(two):
            yield f"{where} has {len(one)} and {len(two)} items"
        for n, (a, b) in enumerate(zip(one, two, strict=False)):
            yield from _differences(a, b, f"{where}[{n}]")
    elif isinstance(one, np.ndarray) and isinstance(two, np.ndarray):
        if one.shape != two.shape or one.dtype != two.dtype:
            yield f"{where} is {one.dtype}{one.shape} and {two.dtype}{two.shape}"
        elif one.dtype.kind == "f":
            scale = float(np.nanmax(np.abs(one), initial=1e-12))
            if not np.allclose(one, two, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True):
                yield f"{where} differs by up to {float(np.nanmax(np.abs(one - two))):.3g} of {scale:.3g}"
        elif one.dtype == np.uint8:
            error = int(np.abs(one.astype(np.int16) - two).max(initial=0))
            if error > LEVELS:
                yield f"{where} differs by up to {error} of 255"
        elif not np.array_equal(one, two):
            yield f"{where} differs"
    elif isinstance(one, float) and isinstance(two, float):
        if not math.isclose(one, two, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{where}: {one!r} and {two!r}"
    elif one != two:
        yield f"{where}: {str(one)[:100]!r} and {str(two)[:100]!r}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    actions = parser.add_subparsers(dest="action", required=True)
    write = actions.add_parser("write")
    write.add_argument("folder", type=Path)
    write.add_argument("--only", default="")
    both = actions.add_parser("compare")
    both.add_argument("before", type=Path)
    both.add_argument("after", type=Path)
    args = parser.parse_args()
    if args.action == "write":
        run_all(args.folder.resolve(), args.only)
    else:
        sys.exit(min(compare(args.before, args.after), 1))


if __name__ == "__main__":
    main()
