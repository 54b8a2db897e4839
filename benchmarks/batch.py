"""Kills a run over many videos at random moments, and checks that it ends like an undisturbed one; measures what --jobs gains.

Also what Ray costs beside --jobs, what is left of a run if one of its machines is lost, and the memory of the workers.

Run ``python -m benchmarks.batch`` from the project's folder.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np

SIZE = 96, 128
"""Height and width of the clips. x264 codes pictures whose width is no multiple of 128 now one way and now another."""

FPS = 25


def write_clip(path: Path, seconds: float, seed: int) -> None:
    """Write a clip of a square that moves over noise."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 120, (*SIZE, 3), np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(round(seconds * FPS)):
            picture = noise.copy()
            left = (number * 3 + seed) % (SIZE[1] - 24)
            picture[30:54, left : left + 24] = 230
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


def write_clips(folder: Path, count: int, seconds: float, long_s: float) -> None:
    """Write ``count`` inputs: every 25th is no video, one is empty, and one is ``long_s`` seconds long."""
    folder.mkdir(parents=True)
    for number in range(count):
        path = folder / f"{number:04d}.mp4"
        if number == 1:
            path.write_bytes(b"")
        elif number % 25 == 2:
            path.write_bytes(b"this is no video" * 50)
        else:
            write_clip(path, long_s if number == 3 else seconds, number)


def command(inputs: Path, folder: Path, jobs: int, *more: object) -> list[str]:
    """Return the command of the run, with ``more`` options."""
    words = [
        "annotate",
        inputs,
        "--model",
        "mini",
        "--out-dir",
        folder,
        "--maps",
        folder / "{name}.npz",
        "--jobs",
        jobs,
        "--quiet",
        *more,
    ]
    return [sys.executable, "-m", "vidcam", *map(str, words)]


def finish(words: list[str]) -> float:
    """Run to the end; return the seconds."""
    began = time.perf_counter()
    code = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    assert code in (0, 1), code
    return time.perf_counter() - began


def kill(words: list[str], folder: Path, until_done: int, delay_s: float) -> tuple[set[str], int, bool]:
    """Kill a run and all its processes some time after ``until_done`` videos are done.

    Returns:
        The marked videos, how many files were half-written, and whether the run was still going on.
    """
    process = subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(marks(folder)) < until_done:
        time.sleep(0.01)
    time.sleep(delay_s)
    is_hit = process.poll() is None
    if is_hit:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return marks(folder), len(list(folder.rglob(".*.part*"))), is_hit


def marks(folder: Path) -> set[str]:
    """Return the names of the videos that are marked as done."""
    return {path.name.removesuffix(".done.json") for path in folder.glob("vidcam-marks/[!.]*.done.json")}


def digests(folder: Path) -> dict[str, str]:
    """Return a checksum of every output by its name; of NPZ files, whose archive holds a time, one of the arrays."""
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.mp4")}
    for path in folder.glob("*.npz"):
        with np.load(path) as arrays:
            content = b"".join(arrays[key].tobytes() for key in sorted(arrays.files) if arrays[key].dtype.kind == "f")
        sums[path.name] = hashlib.sha256(content).hexdigest()
    return sums


def rows(path: Path) -> list[list[str]]:
    """Return a table without the seconds that the work took."""
    with path.open(encoding="utf-8", newline="") as file:
        return [[value for key, value in row.items() if key != "seconds"] for row in csv.DictReader(file)]


def run_undisturbed(folder: Path, args: argparse.Namespace) -> tuple[Path, Path]:
    """Return the folder of the mixed clips, and that of an undisturbed run over them."""
    inputs, calm = folder / "in", folder / "calm"
    if not inputs.exists():
        write_clips(inputs, args.clips, args.seconds, args.long)
        finish(command(inputs, calm, args.jobs))
    return inputs, calm


def compare_runs(calm: Path, other: Path) -> dict[str, object]:
    """Say in what the outputs and the tables of a disturbed run differ from those of the undisturbed one."""
    one, two = digests(calm), digests(other)
    return {
        "half-written files at the end": len(list(other.rglob(".*.part*"))),
        "outputs missing": len(set(one) - set(two)),
        "outputs too many": len(set(two) - set(one)),
        "outputs that differ": sum(one[name] != two.get(name) for name in one),
        "outputs": len(one),
        "results equal": rows(calm / "results.csv") == rows(other / "results.csv"),
        "failures equal": rows(calm / "failed.csv") == rows(other / "failed.csv"),
        "failures": len(rows(calm / "failed.csv")),
    }


def measure_kills(folder: Path, args: argparse.Namespace) -> dict[str, object]:
    """Compare a run that is killed many times with an undisturbed one."""
    inputs, calm = run_undisturbed(folder, args)
    killed = folder / "killed"
    rng = random.Random(args.seed)
    marked: set[str] = set()
    times: dict[str, int] = {}
    progress, half_written, repeated, hits = [], 0, 0, 0
    whole = len(marks(calm))
    for number in range(args.kills):
        share = (whole - len(marked)) / (args.kills - number + 1)
        until_done = len(marked) + round(rng.uniform(0, 1.5) * share)
        now, halves, is_hit = kill(command(inputs, killed, args.jobs), killed, until_done, rng.uniform(0, args.delay))
        assert marked <= now, "a mark is gone"
        written = {name: (killed / f"{name}.vidcam.mp4").stat().st_mtime_ns for name in now}
        repeated += sum(written[name] != moment for name, moment in times.items())
        marked, times = now, written
        half_written, hits = half_written + (halves > 0), hits + is_hit
        progress.append(len(now))
    finish(command(inputs, killed, args.jobs))
    return {
        "inputs": args.clips,
        "kills": hits,
        "done after each kill": progress,
        "kills that left half-written files": half_written,
        "videos done twice": repeated,
        **compare_runs(calm, killed),
    }


def memory_of_workers(pid: int) -> float:
    """Return the memory in MB of the largest child of a process."""
    sizes = [0.0]
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(words[1]) == pid:
            sizes.append(int(words[21]) * os.sysconf("SC_PAGE_SIZE") / 1e6)
    return max(sizes)


def measure_memory(folder: Path, args: argparse.Namespace) -> dict[str, object]:
    """Watch the memory of the workers over a run of short clips; also measure what the outputs take on the disk."""
    inputs, out = folder / "many", folder / "memory"
    inputs.mkdir()
    for number in range(args.memory_clips):
        write_clip(inputs / f"{number:04d}.mp4", 2.0, number)
    sizes: dict[int, float] = {}
    process = subprocess.Popen(command(inputs, out, args.jobs), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        done = len(marks(out))
        sizes[done] = max(sizes.get(done, 0.0), memory_of_workers(process.pid))
        time.sleep(0.2)
    asked = [round(args.memory_clips * share) for share in (0.1, 0.25, 0.5, 0.75, 0.95)]
    return {
        f"MB of the largest worker after so many of {args.memory_clips} clips": {
            done: round(max((size for at, size in sizes.items() if abs(at - done) <= 2), default=0.0)) for done in asked
        },
        "bytes of a mark": round(np.mean([path.stat().st_size for path in out.glob("vidcam-marks/*.done.json")])),
        "bytes of the outputs of a clip of 2 s": round(
            sum(p.stat().st_size for p in out.glob("*.[mn]p[4z]")) / args.memory_clips
        ),
    }


def measure_ray(folder: Path, args: argparse.Namespace) -> dict[str, object]:
    """Compare a Ray cluster of three node processes on the loopback with --jobs 2; then lose a node, with the mixed clips."""
    os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    from ray.cluster_utils import Cluster

    size = {"object_store_memory": 80_000_000}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **size})
    doomed, _ = (nodes.add_node(num_cpus=2, **size) for _ in range(2))
    even, pace = folder / "ray", {"--jobs 2": [], "--ray": []}
    even.mkdir()
    for number in range(args.ray_clips):
        write_clip(even / f"{number:04d}.mp4", 10.0, number)
    try:
        for repeat in range(args.rounds):
            for name, more in (("--jobs 2", ()), ("--ray", ("--ray", nodes.address))):
                out = folder / f"ray-{repeat}-{len(more)}"
                pace[name].append(60.0 * args.ray_clips / finish(command(even, out, 2, *more)))
        inputs, calm = run_undisturbed(folder, args)
        lost = folder / "ray-lost"
        process = subprocess.Popen(
            command(inputs, lost, 2, "--ray", nodes.address), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and len(marks(lost)) < args.clips // 3:
            time.sleep(0.05)
        nodes.remove_node(doomed, allow_graceful=False)
        code = process.wait()
    finally:
        nodes.shutdown()
    return {
        **{f"videos/min with {name}, beside a cluster": [round(value, 1) for value in values] for name, values in pace.items()},
        "exit code after a node was lost": code,
        "after a node was lost": compare_runs(calm, lost),
    }


def measure_jobs(folder: Path, args: argparse.Namespace) -> dict[str, object]:
    """Measure the videos a minute of one process and of several, in turn."""
    inputs = folder / "speed"
    inputs.mkdir()
    for number in range(args.speed_clips):
        write_clip(inputs / f"{number:04d}.mp4", 10.0, number)
    pace: dict[int, list[float]] = {1: [], args.jobs: []}
    work: dict[int, list[float]] = {1: [], args.jobs: []}
    for repeat in range(args.rounds):
        for jobs in pace:
            out = folder / f"speed-{repeat}-{jobs}"
            before = seconds_of_children()
            pace[jobs].append(60.0 * args.speed_clips / finish(command(inputs, out, jobs)))
            work[jobs].append((seconds_of_children() - before) / args.speed_clips)
            shutil.rmtree(out)
    return {
        **{f"videos/min with --jobs {jobs}": [round(value, 1) for value in values] for jobs, values in pace.items()},
        **{f"seconds of a core a video, --jobs {jobs}": [round(value, 2) for value in values] for jobs, values in work.items()},
    }


def seconds_of_children() -> float:
    """Return the processor time of all processes that this one has started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/batch"))
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a clip")
    parser.add_argument("--long", type=float, default=600.0, help="length of the longest clip, in seconds")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--delay", type=float, default=0.5, help="seconds that a kill comes later at most")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--speed-clips", type=int, default=200, help="clips of ten seconds; 0 measures no speed")
    parser.add_argument("--memory-clips", type=int, default=200, help="clips of two seconds; 0 watches no memory")
    parser.add_argument("--ray-clips", type=int, default=0, help="clips of ten seconds for a Ray cluster; needs ray")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    shutil.rmtree(args.folder, ignore_errors=True)
    args.folder.mkdir(parents=True)
    figures = measure_kills(args.folder, args) if args.kills else {}
    if args.speed_clips:
        figures |= measure_jobs(args.folder, args)
    if args.memory_clips:
        figures |= measure_memory(args.folder, args)
    if args.ray_clips:
        figures |= measure_ray(args.folder, args)
    figures["load of the machine at the end"] = round(os.getloadavg()[0], 1)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
