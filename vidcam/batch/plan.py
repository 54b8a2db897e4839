"""The plan of a run: what decides how its outputs look, and every input with the files to write for it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcam.analysis import versions
from vidcam.annotation import Outputs
from vidcam.batch.inputs import identify
from vidcam.batch.naming import Names, written_files
from vidcam.batch.storage import Place, open_storage, path_in, write_text
from vidcam.errors import InputError, OutputError, UsageError
from vidcam.io.json_text import parse_json, to_json_value

if TYPE_CHECKING:
    from vidcam.batch.tasks import Task
    from vidcam.engine import Engine

__all__ = [
    "FAILED_CSV",
    "PLAN_FILE",
    "RESULTS",
    "RUN_FILES",
    "Item",
    "Plan",
    "fingerprint_of",
    "make_plan",
    "read_plan",
    "relative_path",
]

PLAN_FILE, FAILED_CSV, RESULTS = "vidcam-run.json", "failed.csv", "results"

RUN_FILES = (PLAN_FILE, FAILED_CSV, f"{RESULTS}.csv", f"{RESULTS}.parquet")
"""The files of a run beside the outputs of its videos."""


@dataclass(frozen=True)
class Item:
    """One input of a run.

    Attributes:
        input: An absolute path, or an address.
        name: The name that stands in the names of its outputs; no other input of the run has it.
        outputs: The file of each output by its kind, relative to the folder of the run.
    """

    input: str
    name: str
    outputs: Mapping[str, str]

    def paths(self, folder: Path) -> dict[str, Path]:
        """Return the outputs of a run in ``folder`` by their kind."""
        return {kind: Path(os.path.normpath(folder / path)) for kind, path in self.outputs.items()}

    def to_outputs(self, folder: Path, form: Outputs) -> Outputs:
        """Return the files to write as ``form`` says; they may be replaced: the plan made sure that they belong to the run."""
        paths = self.paths(folder)
        return replace(form, video=paths.pop("video", None), reports=paths, overwrite=True)


@dataclass(frozen=True)
class Plan:
    """All inputs of a run in ``folder``, and the facts that decide how its outputs look, by name."""

    folder: Place
    fingerprint: Mapping[str, Any]
    items: tuple[Item, ...] = field(repr=False)

    def save(self) -> None:
        """Write the plan into its folder."""
        # ASCII, whose escapes keep the bytes of a file name that is not UTF-8.
        rows = ",\n".join(json.dumps(asdict(item)) for item in self.items)
        facts = json.dumps(self.fingerprint, indent=1)
        text = f'{{\n"schema_version": 1,\n"fingerprint": {facts},\n"inputs": [\n{rows}\n]\n}}\n'
        write_text(open_storage(self.folder), PLAN_FILE, text)

    def folders(self) -> set[str]:
        """Return all folders into which the run writes outputs, relative to its own."""
        return {"", *(os.path.dirname(path) for item in self.items for path in item.outputs.values())}


def fingerprint_of(
    engines: Sequence[Engine], task: Task, patterns: Mapping[str, Path], *, form: Outputs, folder: Place
) -> dict[str, Any]:
    """Return the facts that decide how outputs look, by the names that a message gives them."""
    facts = {
        "vidcam": versions().get("vidcam"),
        "command": task.command,
        **_engine_facts(engines[0]),
        **{f"{name} {n}": value for n, other in enumerate(engines[1:], 2) for name, value in _engine_facts(other).items()},
        "embed": form.embed,
        **{f"encoding.{name}": value for name, value in asdict(form.encoding).items()},
        **task.facts(engines),
        **{f"output.{kind}": relative_path(path, Path(folder)) for kind, path in patterns.items()},
    }
    return {name: to_json_value(value) for name, value in facts.items()}


def _engine_facts(engine: Engine) -> dict[str, Any]:
    spec = engine.spec
    return {
        "model": spec.name,
        "weights": engine.weights_sha256,
        "labels": hashlib.sha256("\n".join(engine.labels).encode()).hexdigest(),
        "layer": spec.target_layer,
        "frames of a clip": spec.num_frames,
        "seconds between frames": spec.seconds_between_frames,
    }


def read_plan(folder: Place) -> Plan | None:
    """Return the plan in a folder; None if there is none.

    Raises:
        InputError: The file is no plan.
    """
    try:
        if (text := open_storage(folder).read(PLAN_FILE)) is None:
            return None
        content = parse_json(text)
        items = tuple(Item(str(row["input"]), str(row["name"]), dict(row["outputs"])) for row in content["inputs"])
        return Plan(folder, dict(content["fingerprint"]), items)
    except (ValueError, LookupError, TypeError) as error:
        path = path_in(folder, PLAN_FILE)
        raise InputError(f"{path} is no plan of a run ({error}): use --overwrite to start anew, or another folder") from error


def make_plan(
    sources: Sequence[str],
    folder: Place,
    fingerprint: Mapping[str, Any],
    patterns: Mapping[str, Path],
    *,
    former: Plan | None = None,
    overwrite: bool = False,
) -> Plan:
    """Return the plan for ``sources``: that of the former run, with new inputs added at its end.

    Args:
        sources: The inputs; an output of the run among them is left out.
        folder: Where the plan belongs.
        fingerprint: What :func:`fingerprint_of` gives.
        patterns: The path of each output by its kind, with ``{name}`` for the name of the input.
        former: The plan that is in the folder.
        overwrite: Start anew: forget the former inputs, and replace existing files.

    Raises:
        UsageError: The former run has another fingerprint, or no input is left.
        OutputError: An output exists already, and belongs to no run.
    """
    known: tuple[Item, ...] = ()
    written: set[str] = set()
    root = Path(folder)  # of an address too: names are planned like paths
    if former is not None:
        written = _addresses(former)
        if not overwrite:
            _refuse_other(former, fingerprint)
            known = former.items
    names = Names(patterns, taken=[root / name for name in RUN_FILES])
    for item in known:
        names.add(item.name, item.paths(root))
    planned = {item.input for item in known}
    added = []
    for source in sources:
        identity = identify(source)
        if identity not in planned and identity not in written:
            name, paths = names.give(source)
            added.append(Item(identity, name, {kind: relative_path(path, root) for kind, path in paths.items()}))
    if not overwrite:
        new = [relative_path(path, root) for item in added for path in written_files(item.paths(root))]
        _refuse_existing(folder, new if former is not None else [*new, *RUN_FILES])
    if not known and not added:
        raise UsageError(f"all inputs are outputs of the run in {folder}: name the folder of the videos themselves")
    plan = Plan(folder, fingerprint, (*known, *added))
    if isinstance(folder, str) and (outside := [name for name in plan.folders() if name.startswith((os.pardir, os.sep))]):
        raise UsageError(
            f"with --out-dir {folder}, all outputs lie in it: {outside[0]} does not; name them {folder}/{{name}}.json"
        )
    return plan


def _addresses(plan: Plan) -> set[str]:
    """Return the files of a run's outputs, as inputs are named."""
    if isinstance(plan.folder, str):
        names = (relative_path(path, Path()) for item in plan.items for path in written_files(item.paths(Path())))
        return {path_in(plan.folder, name) for name in names}
    return {str(path) for item in plan.items for path in written_files(item.paths(plan.folder.absolute()))}


def _refuse_other(former: Plan, fingerprint: Mapping[str, Any]) -> None:
    """Raise UsageError if the former run was another one; the message names what differs."""
    differing = [name for name in {**former.fingerprint, **fingerprint} if former.fingerprint.get(name) != fingerprint.get(name)]
    if differing:
        changes = "; ".join(
            f"{name} was {_short(former.fingerprint.get(name))} and is now {_short(fingerprint.get(name))}" for name in differing
        )
        raise UsageError(
            f"{former.folder} holds another run: {changes}. Give the options of that run to continue it, another --out-dir,"
            f" or --overwrite to start anew"
        )


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:12]}…"


def _refuse_existing(folder: Place, names: Sequence[str]) -> None:
    existing = [path_in(folder, name) for name in open_storage(folder).existing(names)] if names else []
    if existing:
        others = f" and {len(existing) - 1} more files exist" if len(existing) > 1 else " exists"
        raise OutputError(
            f"{existing[0]}{others} already and belong to no run here: use --overwrite to replace them, or name another --out-dir"
        )


def relative_path(path: Path, folder: Path) -> str:
    """Return a path as seen from a folder; as it is, if it lies on another drive."""
    try:
        return os.path.relpath(path, folder)
    except ValueError:
        return str(path.absolute())
