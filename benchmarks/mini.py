"""Benchmark of `mini` by source: new synthetic clips and real people; accuracy, calibration, evidence and speed.

    python -m benchmarks.mini [--clips 40] [--people FOLDER] [--webcam FOLDER] [--json OUT.json] [--card docs/mini.md]

``--people`` is a folder of videos with a ``people.csv`` (file, label, orientation), ``--webcam`` one of class folders. ``--card``
writes the tables between the markers of the model card and the confusion matrix as a picture beside it. Needs the ``dev`` extra.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import re
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

import vidcam
from vidcam.engine import Engine, open_engine
from vidcam.evaluation import benchmark
from vidcam.evaluation.benchmark import draw_clip
from vidcam.methods import core
from vidcam.methods.lookup import get_method
from vidcam.reports.benchmark import table
from vidcam.training.calibration import expected_calibration_error

WEBCAM = {
    "wave_one_hand": "waving one hand", "raise_arms_front": "raising both arms in front",
    "raise_arms_sideways": "raising both arms sideways",
}  # fmt: skip


@dataclass(frozen=True)
class RealAnswer:
    """What the model said of one real video: its own label among all of them, and how sure it was."""

    source: str
    file: str
    label: str
    answer: str
    probability: float


def real_videos(people: Path | None, webcam: Path | None) -> Iterable[tuple[str, Path, str]]:
    """Yield the source, path and label of each real video."""
    if people:
        with (people / "people.csv").open(newline="") as file:
            for row in csv.DictReader(file):
                yield f"other people, {row['orientation']}", people / row["file"], row["label"]
    for folder, label in WEBCAM.items() if webcam else ():
        for path in sorted((webcam / folder).iterdir()):
            yield "one person before a webcam", path, label


def measure_real(engine: Engine, people: Path | None, webcam: Path | None) -> list[RealAnswer]:
    """Return the answers to the real videos, as `vidcam annotate` would give them."""
    answers = []
    for source, path, label in track(list(real_videos(people, webcam)), "real videos", transient=True):
        answer, probability = vidcam.explain(path, engine=engine).top(1)[0]
        answers.append(RealAnswer(source, path.name, label, answer, probability))
    return answers


def wilson(right: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927, equation 4)."""
    z, p = 1.96, right / count
    middle, half = p + z * z / (2 * count), z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return (middle - half) / (1 + z * z / count), (middle + half) / (1 + z * z / count)


def by_source(drawn: dict[str, Any], real: list[RealAnswer]) -> list[str]:
    """Return the table of accuracy and calibration by source, and the real videos that were taken for something else."""
    sources: dict[str, tuple[int, int, float]] = {
        "drawn by vidcam": (round(drawn["accuracy"] * drawn["clips"]), drawn["clips"], drawn["ece"])
    }
    groups = {a.source: [b for b in real if b.source == a.source] for a in real}
    if everyone := [a for a in real if a.source.startswith("other people")]:
        groups["other people, all"] = everyone
    for source, answers in groups.items():
        right = np.array([a.answer == a.label for a in answers])
        ece = expected_calibration_error(np.array([a.probability for a in answers]), right)
        sources[source] = int(right.sum()), len(right), ece
    lines = ["| clips | right | of | 95 % interval | expected calibration error |", "|---|---|---|---|---|"]
    for source, (right, count, ece) in sources.items():
        low, high = wilson(right, count)
        lines.append(f"| {source} | {right} ({right / count:.0%}) | {count} | {low:.0%} to {high:.0%} | {ece:.2f} |")
    if wrong := [a for a in real if a.answer != a.label]:
        lines += ["", "| real video | shows | taken for | with |", "|---|---|---|---|"]
        lines += [f"| {a.file} | {a.label} | {a.answer} | {a.probability:.0%} |" for a in wrong]
    return lines


def measure_answers(engine: Engine, clips: int) -> dict[str, Any]:
    """Return accuracy, calibration and confusions over ``clips`` of each label, in the model's order."""
    confusion = np.zeros((len(engine.labels), len(engine.labels)), int)
    confidence, right = [], []
    for row, label in enumerate(track(engine.labels, "answers", transient=True)):
        interval = engine.spec.seconds_between_frames
        frames = np.stack([draw_clip(label, i, seconds_between_frames=interval).frames for i in range(clips)])
        probs = engine.probabilities(engine.predict(frames))
        for p in probs:
            confusion[row, int(p.argmax())] += 1
            confidence.append(float(p.max()))
            right.append(int(p.argmax()) == row)
    return {
        "clips": clips * len(engine.labels), "accuracy": float(np.mean(right)),
        "ece": expected_calibration_error(np.array(confidence), np.array(right)),
        "labels": list(engine.labels), "confusion": confusion.tolist(),
    }  # fmt: skip


def measure_speed(model: str) -> dict[str, dict[str, float]]:
    """Return the median and the least of 40 times (ms) for one clip in each engine on two threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(min(2, threads))
    clip = draw_clip("waving one hand", 0, frames=16).frames[None]
    rows = {}
    for kind in ("torch", "torch-bf16", "openvino", "openvino-bf16"):
        engine = open_engine(model, device="cpu", engine=kind, threads=2)
        if engine.name != kind:
            continue  # not on this processor
        explained = partial(core.explain, engine, clip, [core.Target(1)], get_method("cam"))
        rows |= {kind: _timed(partial(engine.predict, clip)), f"{kind}, with evidence": _timed(explained)}
    torch.set_num_threads(threads)
    return rows


def _timed(run: Any) -> dict[str, float]:
    for _ in range(3):
        run()
    took = []
    for _ in range(40):
        start = time.perf_counter()
        run()
        took.append(1e3 * (time.perf_counter() - start))
    return {"median_ms": statistics.median(took), "least_ms": min(took)}


def tables(results: dict[str, Any]) -> str:
    """Return the figures in Markdown."""
    a, evidence = results["answers"], results["evidence"]
    lines = [
        *by_source(a, results["real"]), "",
        f"{a['accuracy']:.1%} of {a['clips']} new clips right ({a['clips'] // len(a['labels'])} of each class), expected "
        f"calibration error {a['ece']:.3f}.", "", "| class | right | taken for |", "|---|---|---|",
    ]  # fmt: skip
    for i, (label, row) in enumerate(zip(a["labels"], a["confusion"], strict=True)):
        wrong = sorted(((n, j) for j, n in enumerate(row) if n and j != i), reverse=True)[:3]
        others = ", ".join(f"{a['labels'][j]} {n / sum(row):.0%}" for n, j in wrong)
        lines.append(f"| {label} | {row[i] / sum(row):.0%} | {others} |")
    lines += ["", table(evidence)]
    lines += ["", "| one window of 16 frames, 2 CPU threads | median ms | least ms |", "|---|---|---|"]
    lines += [f"| {name} | {row['median_ms']:.1f} | {row['least_ms']:.1f} |" for name, row in results["speed"].items()]
    return "\n".join(lines)


def draw_confusion(results: dict[str, Any], path: Path) -> None:
    """Draw the confusion matrix."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    labels, counts = results["answers"]["labels"], np.array(results["answers"]["confusion"], float)
    shares = counts / counts.sum(1, keepdims=True)
    fig, ax = plt.subplots(figsize=(9.5, 8.2), layout="constrained")
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (i, j), v in np.ndenumerate(shares):
        if v >= 0.02:
            ax.text(j, i, f"{100 * v:.0f}", ha="center", va="center", fontsize=8, color="white" if v > 0.5 else "black")
    ax.set_xticks(range(len(labels)), labels, rotation=50, ha="right", fontsize=9)
    ax.set_yticks(range(len(labels)), labels, fontsize=9)
    ax.set_xlabel("answer of mini (% of the row)")
    ax.set_ylabel("drawn class")
    fig.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--people", type=Path, help="videos of real people with a people.csv")
    parser.add_argument("--webcam", type=Path, help="class folders of webcam videos")
    parser.add_argument("--clips", type=int, default=40, help="of each class")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--card", type=Path)
    args = parser.parse_args()
    engine = open_engine(args.model, device="cpu")
    results: dict[str, Any] = {
        "answers": measure_answers(engine, args.clips),
        "real": measure_real(engine, args.people, args.webcam),
        "evidence": list(benchmark.run(engine, ["cam"], clips=args.clips, insertion=False, name="mini").rows),
        "speed": measure_speed(args.model),
    }
    text = tables(results)
    sys.stdout.write(f"{text}\n")
    if args.json:
        plain = {name: [asdict(row) for row in results[name]] for name in ("evidence", "real")}
        args.json.write_text(json.dumps(results | plain, indent=1) + "\n")
    if args.card:
        page = args.card.read_text()
        args.card.write_text(re.sub(r"(?s)(<!-- figures -->\n).*(<!-- end -->)", lambda m: m[1] + text + "\n" + m[2], page))
        draw_confusion(results, args.card.parent / "images" / "mini_confusion.png")


if __name__ == "__main__":
    main()
