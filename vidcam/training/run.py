"""Training from data to a folder that can be named as a model: ``train`` and what it leaves."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vidcam.engine import TorchModel
from vidcam.engine.base import probabilities
from vidcam.engine.pytorch import pick_device
from vidcam.errors import InputError, OutputError, UsageError
from vidcam.io.class_folders import LabelledFolder
from vidcam.io.cores import count_cores
from vidcam.io.extras import require_extra
from vidcam.io.lock import locked
from vidcam.methods.receptive_field import layer_geometry
from vidcam.models import trained
from vidcam.models.spec import ModelSpec
from vidcam.models.table import list_models
from vidcam.models.weights import Progress as BytesProgress
from vidcam.training.calibration import fit_temperature
from vidcam.training.config import EPOCHS, SYNTHETIC_EPOCHS, TrainConfig
from vidcam.training.data import SyntheticDataset, VideoDataset
from vidcam.training.report import MISTAKES, Answers, HeldOutMistake, write_report
from vidcam.training.splitting import Split, read_training_folder, split
from vidcam.training.trainer import Progress, Trainer, count_workers

__all__ = ["Result", "train"]

PEOPLE = "people"
DEFAULT = TrainConfig()
CHECKPOINT, FRAMES = "checkpoint.pt", "frames"
PHOTOS = (".jpg", ".jpeg", ".png", ".webp")
OPTIMISTIC = (
    "the epoch and the temperature were chosen on these held-out clips, so the figures are somewhat too good; the calibration "
    "error of each clip uses a temperature fitted without it. `vidcam evaluate FOLDER` gives honest figures on videos kept aside"
)


@dataclass(frozen=True)
class Result:
    """The trained folder, which can be named as a model, and how good the model is.

    ``accuracy`` on the ``held_out`` clips and the calibration error ``ece`` are None if no clip was held out; ``temperature``
    divides the logits; ``epochs`` were trained; ``remarks`` are sentences for the user.
    """

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
    config: TrainConfig = DEFAULT,
    weights: str | os.PathLike[str] | None = None,
    trust_code: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    downloaded: BytesProgress | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> Result:
    """Train a model on a folder of labelled videos, or on synthetic people, and leave it in ``out``.

    If the training was stopped or killed, the same call continues with the last complete epoch and ends exactly as if it had not
    been interrupted.

    Args:
        data: A folder (see :func:`vidcam.io.class_folders.read_labelled`), or ``"people"`` for synthetic people.
        out: The folder for the model and its report; it can be named wherever a model is asked for.
        config: The options of the training.
        weights: A file with the weights to start from, instead of the model's own.
        trust_code: Run the Python code that a model to start from names.
        overwrite: Replace a trained model in ``out``.
        progress: Called with the stage, how many of its units are done, and how many there are.
        downloaded: Called with the bytes of weights that are downloaded.
        say: Called with a sentence after each epoch.

    Returns:
        The folder, its labels, and how good the model is on the held-out clips.

    Raises:
        InputError: The data cannot be read.
        OutputError: ``out`` holds a trained model and ``overwrite`` is not set, or it holds other things.
        UsageError: The options do not fit together or not to the data.
        VidcamError: The training diverged.

    Example:
        >>> import shutil, vidcam
        >>> from pathlib import Path
        >>> from vidcam.training import TrainConfig
        >>> for label, clip in (("jumping", "jumping_jack"), ("walking", "walking")):
        ...     Path("actions", label).mkdir(parents=True)
        ...     for n in range(3):
        ...         _ = shutil.copy(f"clips/{clip}.mp4", f"actions/{label}/{n}.mp4")
        >>> config = TrainConfig(model="mini", freeze_backbone=True, epochs=1, workers=0, device="cpu")
        >>> vidcam.train("actions", "mine", config=config).labels
        ('jumping', 'walking')
    """
    require_extra("train", "vidcam train")
    folder = Path(out).expanduser()
    _check_folder(folder, overwrite=overwrite)
    from_trained = trained.is_trained(config.model)
    if from_trained and folder.resolve() == Path(config.model).expanduser().resolve():
        raise UsageError(f"{folder} is what the training starts from: name another folder for its result")
    device = pick_device(config.device)
    synthetic = os.fspath(data) == PEOPLE
    with _threads_left_over(config, synthetic=synthetic, device=device), torch.random.fork_rng(), ExitStack() as stack:
        torch.manual_seed(config.seed)
        labelled = LabelledFolder(SyntheticDataset.names(), ()) if synthetic else read_training_folder(Path(data))
        parts = Split([], [], [])
        if not synthetic:
            parts = split(
                labelled.videos, labelled.labels, holdout=config.holdout, val_fraction=config.val_fraction, seed=config.seed
            )
        scratch = synthetic and not from_trained if config.scratch is None else config.scratch
        architecture = trained.read_architecture(config.model, trust_code=trust_code) if from_trained else config.model
        spec, module = _build_network(
            config, architecture, labelled.labels, weights, scratch=scratch, trust_code=trust_code, downloaded=downloaded
        )
        stack.enter_context(_hold_folder(folder))
        dataset: SyntheticDataset | VideoDataset
        if synthetic:
            cells = layer_geometry(TorchModel(module.eval(), spec))[0]
            dataset = SyntheticDataset(
                spec, cells, batch=config.batch, seed=config.seed, epochs=config.epochs or SYNTHETIC_EPOCHS,
                photos=_read_photos(config.photos), easy_first=scratch,
            )  # fmt: skip
        else:
            dataset = VideoDataset(
                spec, labelled.labels, parts.train, parts.held_out, multi_label=labelled.multi_label, batch=config.batch,
                seed=config.seed, cache=folder / FRAMES, epochs=config.epochs or EPOCHS, flip=config.flip,
            )  # fmt: skip
            for done, _ in enumerate(dataset.prepare(), 1):
                if progress:
                    progress("decode", done, len(labelled.videos))
        trainer = Trainer(spec, module, dataset, config, device, from_weights=not scratch)
        names = [video.name for video in (*parts.train, *parts.held_out)]
        trainer.run(folder / CHECKPOINT, _fingerprint(config, labelled.labels, names, weights), progress, say)
        result = _finish(trainer, folder, config, architecture, labelled.labels, [*parts.remarks, *trainer.remarks], progress)
        (folder / CHECKPOINT).unlink(missing_ok=True)
        shutil.rmtree(folder / FRAMES, ignore_errors=True)
    return result


def _read_photos(folder: str | None) -> list[npt.NDArray[np.uint8]]:
    """Return the pictures of a folder as RGB, in the order of their names. Raises InputError if there is none."""
    if folder is None:
        return []
    paths = sorted(p for p in Path(folder).expanduser().glob("*") if p.suffix.lower() in PHOTOS)
    photos = [cv2.imread(str(p), cv2.IMREAD_COLOR_RGB) for p in paths]
    if not photos or any(p is None for p in photos):
        bad = next((str(path) for path, p in zip(paths, photos, strict=True) if p is None), None)
        raise InputError(f"cannot read the picture {bad}" if bad else f"{folder} holds no pictures ({', '.join(PHOTOS)})")
    return [p.astype(np.uint8) for p in photos if p is not None]


def _check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise OutputError if the folder holds a trained model that must not be replaced, or other things.

    UsageError if ``--model`` with this name would mean another model.
    """
    if str(folder) in list_models():
        raise UsageError(f"{folder} is the name of a model, and --model {folder} would mean that one: name another folder")
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file: name a folder for the trained model")
    if (folder / trained.FACTS).exists() and not overwrite:
        raise OutputError(f"{folder} holds a trained model already: use --overwrite to replace it, or name another folder")
    known = {CHECKPOINT, trained.FACTS, trained.WEIGHTS, FRAMES, "report.json", "report.html"}
    if folder.exists() and (other := [p.name for p in folder.iterdir() if p.name not in known and not p.name.startswith(".")]):
        raise OutputError(f"{folder} holds other things, such as {other[0]}: name a new folder for the trained model")


@contextmanager
def _hold_folder(folder: Path) -> Iterator[None]:
    """Make the folder and hold it for one training; a finished model in it stays until the new one replaces it."""
    checkpoint, facts = folder / CHECKPOINT, folder / trained.FACTS
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise OutputError(f"cannot make the folder {folder}: {err.strerror or err}") from err
    with locked(folder):
        if checkpoint.exists() and facts.exists() and checkpoint.stat().st_mtime <= facts.stat().st_mtime:
            checkpoint.unlink()  # it belongs to the finished model: the process was killed before it could be removed
        yield


@contextmanager
def _threads_left_over(config: TrainConfig, *, synthetic: bool, device: torch.device) -> Iterator[None]:
    """Let torch use the cores that the drawing processes leave over; restore its thread count at the end."""
    before = torch.get_num_threads()
    if synthetic and device.type == "cpu":
        torch.set_num_threads(max(1, min(before, count_cores() - count_workers(config, synthetic=True, device=device))))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _build_network(
    config: TrainConfig,
    architecture: str,
    labels: tuple[str, ...],
    weights: str | os.PathLike[str] | None,
    *,
    scratch: bool,
    trust_code: bool,
    downloaded: BytesProgress | None,
) -> tuple[ModelSpec, nn.Module]:
    """Return the architecture's row and a network with an output for each label.

    The head is new if the labels differ from those of the model.
    """
    from vidcam.models.loading import load

    if scratch and (weights is not None or architecture != config.model):
        raise UsageError("weights to start from and a start from scratch exclude each other: leave one of them out")
    spec = trained.base_spec(architecture)
    head = trained.classifier_name(spec)
    if scratch:
        module, known = spec.build().float(), spec.labels()
    else:
        loaded = load(config.model, weights=weights, trust_code=trust_code, progress=downloaded)
        module, known = loaded.module, loaded.labels
    if labels != known:
        trained.replace_head(module, head, len(labels))
    elif (layer := module.get_submodule(head)).bias is None:
        layer.bias = nn.Parameter(torch.zeros(len(labels)))  # as the head of every trained model has one
    if config.freeze_backbone:
        for name, p in module.named_parameters():
            p.requires_grad_(name.startswith(f"{head}."))
    return spec, module


def _fingerprint(config: TrainConfig, labels: Sequence[str], names: Sequence[str], weights: str | os.PathLike[str] | None) -> str:
    """Return a checksum of everything that the trained weights depend on."""
    facts = config.to_json() | {"workers": None, "device": None, "patience": None}
    return hashlib.sha256(repr((sorted(facts.items(), key=str), tuple(labels), tuple(names), str(weights))).encode()).hexdigest()


def _finish(
    trainer: Trainer, folder: Path, config: TrainConfig, architecture: str, labels: tuple[str, ...], remarks: Sequence[str],
    progress: Progress | None,
) -> Result:  # fmt: skip
    """Calibrate and test the trained network, and write the model and its report.

    Before that, the zero of the evidence is settled and the weights are rounded as they are stored.
    """
    trainer.settle_zero()
    trainer.averaged.load_state_dict(trained.to_half_precision(trainer.averaged.state_dict()))
    answers = trainer.test(final=False, progress=progress)
    temperature = fit_temperature(answers.window_logits, answers.window_targets) if answers else 1.0
    fair: float | npt.NDArray[np.floating] = temperature
    if answers and isinstance(trainer.data, SyntheticDataset):  # new clips cost nothing: calibrate on some, test on others
        answers = trainer.test(final=True, progress=progress)
    elif answers:
        fair = answers.temperatures()
        remarks = [*remarks, OPTIMISTIC]
    ece = answers.ece(fair) if answers else None
    options = {name: value for name, value in config.to_json().items() if name not in ("workers", "device")}  # without effect
    more: dict[str, object] = {"epochs": len(trainer.history), "recipe": options}
    if answers:
        more |= {"held_out": len(answers.logits), "accuracy": answers.accuracy, "ece": ece, **answers.inside}
    write_report(
        folder, labels, answers, temperature=temperature, ece=ece, history=trainer.history, remarks=remarks, facts=more,
        mistakes=_find_mistakes(answers, trainer.data, temperature),
    )  # fmt: skip
    trained.write(
        folder, trainer.averaged, architecture=architecture, labels=labels, temperature=temperature,
        multi_label=trainer.data.multi_label, more=more,
    )  # fmt: skip
    return Result(
        folder, labels, len(answers.logits) if answers else 0, answers.accuracy if answers else None, ece, temperature,
        len(trainer.history), tuple(remarks),
    )  # fmt: skip


def _find_mistakes(answers: Answers | None, data: SyntheticDataset | VideoDataset, temperature: float) -> list[HeldOutMistake]:
    """Return held-out videos that are answered wrongly, the surest first; none of drawn people or with several labels."""
    if answers is None or answers.multi_label or not isinstance(data, VideoDataset):
        return []
    probs = probabilities(answers.logits, temperature=temperature, multi_label=False)
    wrong = sorted(np.flatnonzero(~answers.right).tolist(), key=lambda n: -probs[n].max())
    return [
        HeldOutMistake(
            data.held[n].name, data.labels[data.held[n].labels[0]], data.labels[int(probs[n].argmax())], float(probs[n].max()),
            data.held_out_picture(n),
        )
        for n in wrong[:MISTAKES]
    ]  # fmt: skip
