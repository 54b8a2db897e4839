"""Benchmark of `mini` on new synthetic clips: accuracy, calibration, evidence and speed.

    python -m benchmarks.mini [--clips 40] [--twin benchmarks/mini_twin] [--json OUT.json] [--card docs/mini.md]

The twin is the same network, trained in the same way but without supervised evidence. ``--card`` writes the tables between the
markers of the model card and the confusion matrix as a picture beside it. Needs the ``dev`` extra.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from vidcam.engine import Engine, open_engine
from vidcam.evaluation import benchmark
from vidcam.evaluation.benchmark import draw_clip
from vidcam.methods import core
from vidcam.methods.lookup import get_method
from vidcam.reports.benchmark import Row, table
from vidcam.training.calibration import expected_calibration_error

HERE = Path(__file__).resolve().parent
TWIN = "mini, twin without supervised evidence"


def measure_answers(engine: Engine, clips: int) -> dict[str, Any]:
    """Return accuracy, calibration and confusions over ``clips`` of each label, in the model's order."""
    confusion = np.zeros((len(engine.labels), len(engine.labels)), int)
    confidence, right = [], []
    for row, label in enumerate(track(engine.labels, "answers", transient=True)):
        frames = np.stack([draw_clip(label, i).frames for i in range(clips)])
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


def measure_evidence(engines: dict[str, Engine], clips: int) -> list[Row]:
    """Return the benchmark rows of each model's exact evidence, and those of the baselines once."""
    rows: list[Row] = []
    for name, engine in engines.items():
        result = benchmark.run(engine, ["cam"], clips=clips, insertion=False, name=name)
        rows = [*(r for r in rows if r.model), *result.rows]
    return rows


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
    parser.add_argument("--twin", default=str(HERE / "mini_twin"))
    parser.add_argument("--clips", type=int, default=40, help="of each class")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--card", type=Path)
    args = parser.parse_args()
    engines = {"mini": open_engine(args.model, device="cpu")}
    if Path(args.twin).is_dir():
        engines[TWIN] = open_engine(args.twin, device="cpu")
    results = {
        "answers": measure_answers(engines["mini"], args.clips),
        "evidence": measure_evidence(engines, args.clips),
        "speed": measure_speed(args.model),
    }
    if len(engines) > 1:
        results["twin"] = measure_answers(engines[TWIN], args.clips)
    text = tables(results)
    sys.stdout.write(f"{text}\n")
    if args.json:
        args.json.write_text(json.dumps(results | {"evidence": [asdict(r) for r in results["evidence"]]}, indent=1) + "\n")
    if args.card:
        page = args.card.read_text()
        args.card.write_text(re.sub(r"(?s)(<!-- figures -->\n).*(<!-- end -->)", lambda m: m[1] + text + "\n" + m[2], page))
        draw_confusion(results, args.card.parent / "images" / "mini_confusion.png")


if __name__ == "__main__":
    main()
