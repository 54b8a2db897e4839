"""From data to a folder that can be named as model: what is learned from, what with, and what is left."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vidcam.engine import TorchModel
from vidcam.engine.pytorch import pick_device
from vidcam.errors import OutputError, UsageError
from vidcam.methods import probe
from vidcam.models import trained
from vidcam.models.registry import ModelSpec
from vidcam.models.weights import Progress as BytesProgress
from vidcam.training import losses
from vidcam.training.config import EPOCHS, PEOPLE_EPOCHS, TrainConfig
from vidcam.training.data import Clips, People, read_folder, split
from vidcam.training.report import write_report
from vidcam.training.trainer import Progress, Trainer, workers

__all__ = ["Result", "train"]

PEOPLE = "people"
DEFAULT = TrainConfig()
CHECKPOINT, FRAMES = "checkpoint.pt", "frames"
CHOSEN = (
    "the epoch and the temperature were chosen on these held-out clips, so the figures are somewhat too good; the calibration "
    "error is of each clip with a temperature fitted without it. `vidcam evaluate FOLDER` gives honest ones on videos kept aside"
)


@dataclass(frozen=True)
class Result:
    """The folder that can be named as model, and how good it is: ``accuracy`` on ``held_out`` clips (None where none were kept),
    ``ece`` with a ``temperature`` that was fitted on others, and remarks in sentences."""

    folder: Path
    labels: tuple[str, ...]
    held_out: int
    accuracy: float | None
    ece: float | None
    temperature: float
    epochs: int
    remarks: tuple[str, ...]


def train(
    data: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    recipe: TrainConfig = DEFAULT,
    weights: str | os.PathLike[str] | None = None,
    trust_code: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    downloaded: BytesProgress | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> Result:
    """Train on ``data``, a folder (see :func:`vidcam.training.data.read_folder`) or ``"people"``, and leave a model in ``out``.

    ``out`` can then be named wherever a model is asked for; a report lies beside it. Started again after it was stopped or
    killed, with the same arguments, it continues with the last complete epoch and ends exactly as if nothing had happened.
    ``weights`` is a file to start from; ``trust_code`` allows it from a folder that names code.
    ``progress`` is told the steps, ``say`` a sentence after each epoch. Raises InputError
    for data that cannot be read, OutputError where ``out`` holds a model and ``overwrite`` is not set, UsageError for what does
    not fit together, VidcamError where the training diverges.
    """
    folder = Path(out).expanduser()
    _check(folder, overwrite=overwrite)
    further = trained.is_trained(recipe.model)
    if further and folder.resolve() == Path(recipe.model).expanduser().resolve():
        raise UsageError(f"{folder} is what the training starts from: name another folder for its result")
    device = pick_device(recipe.device)
    drawn = os.fspath(data) == PEOPLE
    with _quiet_machine(recipe, drawing=drawn, device=device), torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        labels, items, multi_label = (People.names(), (), False) if drawn else read_folder(Path(data))
        learnt, kept, remarks = (
            ((), (), []) if drawn else split(items, labels, holdout=recipe.holdout, share=recipe.keep, seed=recipe.seed)
        )
        scratch = drawn and not further if recipe.scratch is None else recipe.scratch
        architecture = trained.architecture_of(recipe.model, trust_code=trust_code) if further else recipe.model
        spec, module = _network(
            recipe, architecture, labels, weights, scratch=scratch, trust_code=trust_code, downloaded=downloaded
        )
        _make(folder)
        source: People | Clips
        if drawn:
            where = probe.placements(TorchModel(module.eval(), spec))[0]
            source = People(spec, where, batch=recipe.batch, seed=recipe.seed, epochs=recipe.epochs or PEOPLE_EPOCHS)
        else:
            source = Clips(
                spec, labels, learnt, kept, multi_label=multi_label, batch=recipe.batch, seed=recipe.seed, cache=folder / FRAMES,
                epochs=recipe.epochs or EPOCHS, flip=recipe.flip,
            )  # fmt: skip
            for done, _ in enumerate(source.prepare(), 1):
                if progress:
                    progress("decode", done, len(items))
        trainer = Trainer(spec, module, source, recipe, device, from_weights=not scratch)
        names = [item.name for item in (*learnt, *kept)]
        trainer.run(folder / CHECKPOINT, _fingerprint(recipe, labels, names, weights), progress, say)
        result = _finish(trainer, folder, recipe, architecture, labels, [*remarks, *trainer.remarks], progress)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    shutil.rmtree(folder / FRAMES, ignore_errors=True)
    return result


def _check(folder: Path, *, overwrite: bool) -> None:
    """OutputError where the folder is in use."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: name a folder for the trained model")
    if (folder / trained.FACTS).exists() and not overwrite:
        raise OutputError(f"{folder} holds a trained model already: use --overwrite to replace it, or name another folder")
    known = {CHECKPOINT, trained.FACTS, trained.WEIGHTS, FRAMES, "report.json", "report.html"}
    if folder.exists() and (strange := [p.name for p in folder.iterdir() if p.name not in known and not p.name.startswith(".")]):
        raise OutputError(f"{folder} holds other things, such as {strange[0]}: name a new folder for the trained model")


def _make(folder: Path) -> None:
    """Make the folder where it is not there; a finished model in it goes, an unfinished training stays."""
    try:
        if (folder / trained.FACTS).exists():
            (folder / CHECKPOINT).unlink(missing_ok=True)
            (folder / trained.FACTS).unlink()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise OutputError(f"cannot make the folder {folder}: {err.strerror or err}") from err


@contextmanager
def _quiet_machine(recipe: TrainConfig, *, drawing: bool, device: torch.device) -> Iterator[None]:
    """Threads for the network that the drawing processes leave over; put back at the end."""
    before = torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if drawing and device.type == "cpu":
        torch.set_num_threads(max(1, min(before, cores - workers(recipe, drawing=True, device=device))))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _network(
    recipe: TrainConfig,
    architecture: str,
    labels: tuple[str, ...],
    weights: str | os.PathLike[str] | None,
    *,
    scratch: bool,
    trust_code: bool,
    downloaded: BytesProgress | None,
) -> tuple[ModelSpec, nn.Module]:
    """The row of the architecture and the network with an output for each label; its head is new where the labels are others."""
    from vidcam.models.loading import load

    if scratch and (weights is not None or architecture != recipe.model):
        raise UsageError("weights to start from and a start from scratch exclude each other: leave one of them out")
    spec = trained.base_of(architecture)
    head = trained.head_name(spec)
    if scratch:
        module, known = spec.build().float(), spec.labels()
    else:
        loaded = load(recipe.model, weights=weights, trust_code=trust_code, progress=downloaded)
        module, known = loaded.module, loaded.labels
    if labels != known:
        trained.rehead(module, head, len(labels))
    if recipe.trunk == "frozen":
        for name, p in module.named_parameters():
            p.requires_grad_(name.startswith(f"{head}."))
    return spec, module


def _fingerprint(recipe: TrainConfig, labels: Sequence[str], names: Sequence[str], weights: str | os.PathLike[str] | None) -> str:
    facts = asdict(recipe) | {"workers": None, "device": None, "patience": None}
    return hashlib.sha256(repr((sorted(facts.items(), key=str), tuple(labels), tuple(names), str(weights))).encode()).hexdigest()


def _finish(
    trainer: Trainer, folder: Path, recipe: TrainConfig, architecture: str, labels: tuple[str, ...], remarks: Sequence[str],
    progress: Progress | None,
) -> Result:  # fmt: skip
    """Settle what zero evidence is, round the weights as they are stored, calibrate, test, write the model and its report."""
    trainer.settle_zero()
    trainer.averaged.load_state_dict(trained.halved(trainer.averaged.state_dict()))
    found = trainer.test(final=False, progress=progress)
    temperature = losses.fit_temperature(found.window_logits, found.window_targets) if found else 1.0
    fair: float | npt.NDArray[np.floating] = temperature
    if found and isinstance(trainer.data, People):  # as many new ones as one likes: calibrated on some, tested on others
        found = trainer.test(final=True, progress=progress)
    elif found:
        fair = found.temperatures()
        remarks = [*remarks, CHOSEN]
    ece = found.ece(fair) if found else None
    kept = {name: value for name, value in asdict(recipe).items() if name not in ("workers", "device")}  # these change nothing
    more: dict[str, object] = {"epochs": len(trainer.history), "recipe": kept}
    if found:
        more |= {"held_out": len(found.logits), "accuracy": found.accuracy, "ece": ece, **found.inside}
    write_report(
        folder, labels, found, temperature=temperature, ece=ece, history=trainer.history, remarks=remarks, facts=more
    )  # fmt: skip
    trained.write(
        folder, trainer.averaged, architecture=architecture, labels=labels, temperature=temperature,
        multi_label=trainer.data.multi_label, more=more,
    )  # fmt: skip
    return Result(
        folder, labels, len(found.logits) if found else 0, found.accuracy if found else None, ece, temperature,
        len(trainer.history), tuple(remarks),
    )  # fmt: skip
