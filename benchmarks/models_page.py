"""Writes the tables of docs/models.md from the tables of the code: ``python -m benchmarks.models_page``."""

from __future__ import annotations

import json
from pathlib import Path

from vidcam.io.files import atomic_write
from vidcam.models import mini, movinet, pytorchvideo, torchvision
from vidcam.models.huggingface.families import FAMILIES
from vidcam.models.mmaction import COUNTERPARTS
from vidcam.models.spec import ModelSpec

__all__ = ["PAGE", "filled"]

PAGE = Path(__file__).parent.parent / "docs" / "models.md"
LOADED = {
    "mini": "part of vidcam",
    "movinet": "Google's TFLite file, imported once",
    "pytorchvideo": "downloaded once",
    "torchvision": "downloaded once",
}
LARGE = Path(__file__).parent / "large_models.json"
"""What benchmarks/large_models.py has measured."""
NOT_KNOWN = "see the model card"


def filled(page: str) -> str:
    """Return the page with its tables written anew between their marks."""
    tables = {"table": _of_the_table(), "families": _of_transformers(), "large": _of_large_models()}
    for mark, table in tables.items():
        start, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
        before, _, rest = page.partition(start)
        _, _, after = rest.partition(end)
        page = f"{before}{start}\n{table}\n{end}{after}"
    return page


def _of_the_table() -> str:
    rows = ["| model | weights | other weights | clip | explained layer | `cam` | licence |", "|---|---|---|---|---|---|---|"]
    modules = {"mini": mini, "movinet": movinet, "pytorchvideo": pytorchvideo, "torchvision": torchvision}
    rows += [_row(spec, LOADED[family]) for family, module in modules.items() for spec in module.MODELS]
    return "\n".join(rows) + "\n"


def _row(spec: ModelSpec, loaded: str) -> str:
    licence = "–" if spec.weights is None else spec.weights.licence
    other = f"mmaction2's {COUNTERPARTS[spec.name].title}" if spec.name in COUNTERPARTS else "–"
    clip = f"{spec.num_frames} × {spec.seconds_between_frames:.3g} s"
    exact = "exact" if spec.head else "–"
    return f"| `{spec.name}` | {loaded} | {other} | {clip} | `{spec.target_layer}` | {exact} | {licence} |"


def _of_transformers() -> str:
    rows = [
        "| family | `model_type` | official checkpoints | licence of their weights | where it was read |",
        "|---|---|---|---|---|",
    ]
    for family in FAMILIES.values():
        names = ", ".join(f"`{name}`" for name in family.seconds) or "–"
        licence = f"{family.licence or NOT_KNOWN} | {family.licence_source or '–'}"
        rows.append(f"| [{family.title}]({family.paper}) | `{family.model_type}` | {names} | {licence} |")
    return "\n".join(rows) + "\n"


def _of_large_models() -> str:
    rows = [
        "| model | frames a window | windows | peak memory | seconds a window | load before and after |",
        "|---|---|---|---|---|---|",
    ]
    for row in json.loads(LARGE.read_text("utf-8")).values():
        memory, seconds = f"{row['peak_mb'] / 1000:.1f} GB", f"{row['s_per_window']:.1f}"
        load = " and ".join(f"{value:.0f}" for value in row["load"])
        rows.append(
            f"| {row['model']} | {row['frames']} | {row['windows']} in {row['clip_s']:g} s | {memory} | {seconds} | {load} |"
        )
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    with atomic_write(PAGE, overwrite=True) as part:
        part.write_text(filled(PAGE.read_text("utf-8")), encoding="utf-8")
