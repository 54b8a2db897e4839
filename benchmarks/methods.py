"""Which method explains each model best? Measures them on real clips with outlines, and rewrites the table of docs/methods.md.

    python -m benchmarks.methods mini movinet_a0 --clips ../shared/assets/clips
    python -m benchmarks.methods mini --clips ../shared/assets/clips --rows build/rows.jsonl     # goes on after an interruption

A clip counts if the model knows one of its labels and gives it a probability of at least 0.2 in some window; there the most
probable window is explained for that label. The figures are means over the clips:

- LeRF − MoRF for each imputer, as ``--method best`` measures it;
- pointing: the share of the frames whose hottest cell lies on the people who act, or at most 5 % of the picture away, of those
  frames in which some cell does;
- IoU of the cells above half of the map's maximum with those people, and the share of the evidence on them;
- the rank correlation with the map of the next most probable class: near 1, the map does not depend on the class;
- the processor time of one window, relative to that of the quickest method.

The figures go to ``vidcam/models/measured_methods.json``, from which verdicts and ``docs/methods.md`` take them. The default
method itself is a fact in the model's row.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidcam.annotation.choosing import FAMILIES, STEPS
from vidcam.engine import open_engine
from vidcam.errors import IncompatibleError
from vidcam.evaluation.known_clips import KnownClip, load_clip
from vidcam.io.files import atomic_write
from vidcam.io.outline_files import find_outlined
from vidcam.methods import core
from vidcam.methods.cell_geometry import join
from vidcam.methods.lookup import choose_of_each, default_name
from vidcam.methods.receptive_field import layer_geometry, method_geometry
from vidcam.metrics.baselines import BASELINES
from vidcam.metrics.faithfulness import bootstrap, faithfulness_of
from vidcam.metrics.imputers import IMPUTERS
from vidcam.metrics.localisation import score_map
from vidcam.metrics.method_choice import MapFigures, choose_best
from vidcam.metrics.ranks import rank_correlation
from vidcam.metrics.removals import Removals
from vidcam.models.table import get_spec

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "vidcam/models/measured_methods.json"
PAGE = ROOT / "docs/methods.md"
METHODS = (
    "cam", "cam-spread", "gradcam", "gradcam++", "layercam", "eigencam", "guided-backprop", "guided-gradcam", "lrp",
    "attention-rollout", "ablationcam", "smoothgrad", "occlusion",
)  # fmt: skip
COLUMNS = ("mean", *IMPUTERS, "pointing", "iou", "energy", "class_correlation")
LEAST = 0.2
"""A clip does not count if the model gives its label less."""


def measure(model: str, clips: Path, names: tuple[str, ...], rows: Path | None, steps: int) -> list[dict]:
    """Return a row for each clip and map, and append new ones to the file ``rows``, whose rows are not measured again."""
    engine = open_engine(model)
    out = [json.loads(line) for line in rows.read_text().splitlines()] if rows and rows.exists() else []
    done = {(row["model"], row["clip"], row["map"]) for row in out}
    for outlined in find_outlined(clips, ROOT / "benchmarks/outlines")[0]:
        labels = [label for label in outlined.outlines.labels if label in engine.labels]
        if not labels or all((model, outlined.outlines.clip, name) in done for name in (*names, *BASELINES)):
            continue
        clip = load_clip(engine, outlined)
        index = engine.labels.index(labels[0])
        probs = engine.probabilities(engine.predict(clip.windows))[:, index]
        best = int(probs.argmax())
        sys.stderr.write(f"{model}: {clip.name}, {labels[0]} {probs[best]:.2f}\n")
        if probs[best] < LEAST:
            continue
        window = slice(best, best + 1)
        clip = replace(clip, windows=clip.windows[window], truth=clip.truth[window], near=clip.near[window])
        for row in rows_of(engine, clip, index, names, done, steps):
            row = {"model": model, "layer": engine.spec.target_layer, "prob": float(probs[best]), **row}
            out.append(row)
            if rows is not None:
                with rows.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    return [row for row in out if row["model"] == model]


def rows_of(engine, clip: KnownClip, index: int, names: tuple[str, ...], done: set, steps: int) -> Iterator[dict]:
    """Yield the figures of each method and control in the one window of ``clip``."""
    frames = clip.windows[0]
    order = np.argsort(-engine.predict(clip.windows)[0], kind="stable")
    other = int(order[0] if order[0] != index else order[1])
    removals: dict = {}

    def figures(values, where) -> dict:
        out = {}
        for imputer in IMPUTERS:
            if (where, imputer) not in removals:
                score = lambda pixels: engine.probabilities(engine.predict(pixels))[:, index]  # noqa: E731
                removals[where, imputer] = Removals(frames, where, score, imputer)
            out[imputer] = faithfulness_of(values, removals[where, imputer], steps=steps).lerf_minus_morf
        cells, near = clip.covered_cells(where)
        if cells.any():
            acting = near.reshape(len(near), -1).any(1)
            flat = values.reshape(len(values), -1)
            hits = near.reshape(len(near), -1)[np.arange(len(near)), flat.argmax(1)] & (flat.max(1) > 0)
            scores = score_map(values, cells, threshold=0.5)
            out |= {"pointing": float(hits[acting].mean()), "iou": scores.spatial, "energy": scores.relevance_mass}
        return out

    geometry = layer_geometry(engine.model)
    layer = join([np.zeros(place.grid, np.float32) for place in geometry], geometry)[1]
    for method in choose_of_each([(name,) for name in names], engine.spec)[0]:
        if (engine.spec.name, clip.name, method.name) in done:
            continue
        began = time.process_time()
        try:
            found = core.explain(engine, frames[None], [core.Target(index)], method.with_seed(0))
            seconds = time.process_time() - began
            theirs = core.explain(engine, frames[None], [core.Target(other)], method.with_seed(0))
        except IncompatibleError as error:
            sys.stderr.write(f"  {method.name}: {error}\n")
            continue
        (values, where), (against, _) = (
            join([m[0, 0] for m in maps.maps], method_geometry(method, engine.model)) for maps in (found, theirs)
        )
        alike = rank_correlation(values, against)
        yield {"clip": clip.name, "map": method.name, "ms": 1e3 * seconds, "class_correlation": alike, **figures(values, where)}
    for name, control in BASELINES.items():
        if (engine.spec.name, clip.name, name) not in done:
            values = control(frames, layer, np.random.default_rng(0))
            yield {"clip": clip.name, "map": name, "control": True, **figures(values, layer)}


def summary(rows: list[dict]) -> dict:
    """Return the entry of a model in the table: the means over the clips that every map has."""
    maps: dict[str, dict[str, dict]] = {}
    for row in rows:
        maps.setdefault(row["map"], {})[row["clip"]] = row
    clips = sorted(set.intersection(*(set(of) for of in maps.values())))
    keys = (*IMPUTERS, "pointing", "iou", "energy", "class_correlation", "ms")

    def means(of: dict[str, dict]) -> dict[str, float]:
        out = {}
        for key in keys:
            known = [of[clip][key] for clip in clips if of[clip].get(key) is not None]
            if known:
                out[key] = round(float(np.median(known) if key == "ms" else np.mean(known)), 3)
        return out | {"mean": round(float(np.mean([out[imputer] for imputer in IMPUTERS])), 3)}

    def ranked(controls: bool) -> dict[str, dict[str, float]]:
        named = {name: means(of) for name, of in maps.items() if any("control" in row for row in of.values()) == controls}
        return dict(sorted(named.items(), key=lambda item: -item[1]["mean"]))

    return {
        "layer": rows[0]["layer"],
        "imputers": list(IMPUTERS),
        "clips": len(clips),
        "names": clips,
        "methods": ranked(False),
        "controls": ranked(True),
        "best": {clip: chosen_in(clip, maps, default_name(get_spec(rows[0]["model"]))) for clip in clips},
    }


def chosen_in(clip: str, maps: dict[str, dict[str, dict]], default: str) -> dict[str, object]:
    """Return which of the measured methods ``--method best`` takes in a clip, and its figures there."""
    tried = {default, *(name for family in FAMILIES for name in family)}
    figures = {name: MapFigures(name, {key: (of[clip][key],) for key in IMPUTERS}) for name, of in maps.items()}
    controls = [one for name, one in figures.items() if "control" in maps[name][clip]]
    choice = choose_best([one for name, one in figures.items() if name in tried], controls, default=default)
    chosen, usual = choice.of(choice.method), choice.of(default)
    return {
        "method": choice.method,
        "beats_controls": choice.beats_controls,
        "mean": round(chosen.mean, 3),
        "default_mean": round(usual.mean, 3),
        "pointing": maps[choice.method][clip].get("pointing"),
        "default_pointing": maps[default][clip].get("pointing"),
    }


def words_of_best(entry: dict) -> str:
    """Return what ``--method best`` takes in these clips, and what it gains, as a paragraph."""
    rows = list(entry["best"].values())
    counts = Counter(row["method"] for row in rows)
    takes = ", ".join(f"`{name}` in {n}" for name, n in counts.most_common())
    silent = sum(not row["beats_controls"] for row in rows)
    gains = [row["mean"] - row["default_mean"] for row in rows]
    gained = bootstrap(gains)
    mean = {
        key: np.mean([row[key] for row in rows if row[key] is not None]) for key in rows[0] if key.endswith(("mean", "pointing"))
    }
    return (
        f"Of these methods `--method best` takes {takes} of the {len(rows)} clips; in {silent} of them no method beats all "
        f"controls. Its LeRF − MoRF is {mean['mean']:.2f} instead of {mean['default_mean']:.2f} of the default (gain "
        f"{gained.mean:.2f}, 95 % interval {gained.low:.2f} to {gained.high:.2f}; smallest gain in a clip {min(gains):.2f}), its "
        f"pointing {mean['pointing']:.2f} instead of {mean['default_pointing']:.2f}."
    ).replace(" -", " −")


def markdown(model: str, entry: dict) -> str:
    """Return the table of a model for the page."""
    lines = [
        *textwrap.wrap(
            f"`{model}` on {entry['clips']} real clips ({', '.join(Path(name).stem for name in entry['names'])}):", 140
        ),
        "",
        "| map | LeRF − MoRF | blur | frozen | in-paint | pointing | IoU | energy | other class | time |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    usual = default_name(get_spec(model))
    quickest = min(of["ms"] for of in entry["methods"].values())
    for name, of in {**entry["methods"], **entry["controls"]}.items():
        title = f"**{name}** (default)" if name == usual else f"*{name}*" if name in entry["controls"] else name
        figures = [f"{of[key]:.2f}".replace("-", "−") if key in of else "–" for key in COLUMNS]
        cost = f"{of['ms'] / quickest:.0f}" if "ms" in of else "–"
        lines.append(f"| {' | '.join((title, *figures, cost))} |")
    return "\n".join((*lines, "", *textwrap.wrap(words_of_best(entry), 140)))


def write_page(table: dict) -> None:
    """Replace what stands between the marks in the page."""
    head, mark, rest = PAGE.read_text("utf-8").partition("<!-- figures -->\n")
    tail = rest.partition("<!-- end of figures -->")[2]
    body = "\n\n".join(markdown(model, entry) for model, entry in table.items())
    with atomic_write(PAGE, overwrite=True) as file:
        file.write_text(f"{head}{mark}\n{body}\n\n<!-- end of figures -->{tail}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--clips", type=Path, required=True, help="the folder of the outlined clips")
    parser.add_argument("--methods", nargs="*", default=METHODS, metavar="NAME")
    parser.add_argument("--rows", type=Path, help="a file of finished rows, which are kept and added to")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of the curves")
    given = parser.parse_args()
    table = json.loads(TABLE.read_text("utf-8"))
    for model in given.models:
        table[model] = summary(measure(model, given.clips, tuple(given.methods), given.rows, given.steps))
        with atomic_write(TABLE, overwrite=True) as file:
            file.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    if PAGE.exists():
        write_page(table)


if __name__ == "__main__":
    main()
