"""How old the evidence gets, and how evenly it comes, if several sources are watched by one model.

    python -m benchmarks.live_sources [--clip VIDEO ...] [--sources 8] [--model mini] [--seconds 60] [--cpu 0.75] [--alone]

Plays the clips over and over, each as a source of its own, in real time and without a page. Ten times a second it looks how old
the newest evidence of each source is. Prints a line of JSON: the age over all sources, that of the worst source, the explanations
a second of the source that got fewest and most, the memory at a third of the time and at the end, and how many cores this program
and all others used meanwhile. ``--alone`` also measures one source, to compare with.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from vidcam.engine import open_engine
from vidcam.live import sources
from vidcam.live.explainer import Explainer
from vidcam.live.pipeline import LivePipeline
from vidcam.live.stream import DEFAULTS, HOP_S

CLIPS = sorted((Path(__file__).parent.parent / "clips").glob("*.mp4"))
WARM_S = 5.0
LOOK_S = 0.1


def measure(clips: list[Path], model: str, seconds: float, cpu: float) -> dict[str, object]:
    engine = open_engine(model)
    explainer = Explainer(cpu=cpu, least_s=HOP_S)
    with ExitStack() as stack:
        pipelines = []
        for source in sources.choose_sources([f"source {n}={clip}" for n, clip in enumerate(clips, 1)], loop=True):
            pipelines.append(pipeline := LivePipeline(source))
            stack.callback(pipeline.close)
            pipeline.start().explain(engine, DEFAULTS, explainer=explainer)
            pipeline.release_frames()
        time.sleep(WARM_S)
        before = [p.stream.explained for p in pipelines]
        spent, others, began = time.process_time(), busy_s(), time.monotonic()
        memory, ages = [], []
        while time.monotonic() < began + seconds:
            time.sleep(LOOK_S)
            ages.append([np.inf if p.stream.age_s is None else p.stream.age_s for p in pipelines])
            memory.append(resident_mb())
        took = time.monotonic() - began
        rates = [(p.stream.explained - n) / took for p, n in zip(pipelines, before, strict=True)]
        own = (time.process_time() - spent) / took
        all_cores = (busy_s() - others) / took
    table = np.array(ages)
    return {
        "sources": len(clips),
        "model": model,
        "age_p50_s": round(float(np.median(table)), 2),
        "age_p95_s": round(float(np.quantile(table, 0.95)), 2),
        "age_max_s": round(float(table.max()), 2),
        "age_p95_of_worst_source_s": round(float(np.quantile(table, 0.95, axis=0).max()), 2),
        "share_of_looks_up_to_1_s": round(float((table <= 1).mean()), 4),
        "evidence_per_s_fewest": round(min(rates), 2),
        "evidence_per_s_most": round(max(rates), 2),
        "memory_mb": [round(memory[len(memory) // 3]), round(memory[-1])],
        "cores_used": round(own, 2),
        "cores_used_by_others": round(all_cores - own, 2),
        "cores": os.cpu_count(),
    }


def busy_s() -> float:
    """Return the processor seconds that all programs have used since the machine was started."""
    fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, nargs="+", default=CLIPS)
    parser.add_argument("--sources", type=int, default=8)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--cpu", type=float, default=0.75)
    parser.add_argument("--alone", action="store_true")
    given = parser.parse_args()
    for count in [1, given.sources] if given.alone else [given.sources]:
        clips = list(islice(cycle(given.clip), count))
        sys.stdout.write(json.dumps(measure(clips, given.model, given.seconds, given.cpu)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
