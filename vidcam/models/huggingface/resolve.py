"""From ``hf:REPOSITORY_OR_FOLDER`` to the facts of a model and the function that builds its network."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidcam.errors import UnknownNameError, UsageError, WeightsError
from vidcam.io.extras import require_extra
from vidcam.models.huggingface.families import FAMILIES
from vidcam.models.huggingface.family import Family
from vidcam.models.huggingface.files import find_folder, weight_checksum, weight_files
from vidcam.models.huggingface.other import OTHER
from vidcam.models.huggingface.processor import Pixels, read_pixels
from vidcam.models.labels import read_labels
from vidcam.models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Checkpoint", "read_checkpoint"]

FACTS = ("interval_s", "frames", "resize", "mean", "std")
"""The facts that can be stated about a checkpoint; all others are in its files."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose facts are known, before its network is built.

    Attributes:
        spec: The facts of the model.
        labels: The names of its outputs.
        sha256: The checksum of its weights.
        path: Its weight file, the first if there are several.
        is_custom: Whether code of the repository makes the network.
        build: Builds the network with its weights.
        notes: What the user should know, in sentences.
    """

    spec: ModelSpec
    labels: tuple[str, ...]
    sha256: str
    path: Path
    is_custom: bool
    build: Callable[[], nn.Module]
    notes: tuple[str, ...]


def read_checkpoint(
    name: str,
    *,
    labels: str | os.PathLike[str] | None = None,
    facts: Mapping[str, object] | None = None,
    phrases: Sequence[str] = (),
    trust_code: bool = False,
) -> Checkpoint:
    """Read what the files of a checkpoint say about it.

    Args:
        name: ``hf:REPOSITORY`` or ``hf:FOLDER``, see :func:`~vidcam.models.huggingface.files.find_folder`.
        labels: A file of phrases, for a model whose classes are phrases.
        facts: Facts that no file says, or that replace what a file says; the keys are :data:`FACTS`.
        phrases: The classes of a model whose classes are phrases, if no ``labels`` are given.
        trust_code: Allow code of the repository to run.

    Raises:
        UsageError: The checkpoint is no video classifier that vidcam can run, or a fact is not allowed.
        DownloadError: The repository cannot be fetched.
        WeightsError: The folder has no weights, or weights that do not fit.
    """
    require_extra("hf", name)
    folder, repository = find_folder(name)
    config = _config(name, folder, trust_code=trust_code)
    family = _family(name, config, trust_code=trust_code)
    classes = _phrases(name, labels, phrases) if family.is_text else _labels(name, config)
    stated = _check_facts(name, facts or {})
    pixels, notes = _pixels(name, folder, family, stated)
    _check_size(name, family, config, pixels, is_assumed=bool(notes))
    frames, seconds = _time(name, repository, family, config, stated, notes)
    cells = family.cells(config, frames)
    text = f"{config.to_json_string()} {classes if family.is_text else ''} {frames}"

    def build() -> nn.Module:
        return _build(name, folder, family, classes, trust_code=trust_code)

    spec = ModelSpec(
        name=name,
        title=f"{family.title} ({repository})",
        family="transformers",
        build=build,
        labels=lambda: classes,
        num_frames=frames,
        seconds_between_frames=seconds,
        resize=pixels.resize,
        crop=pixels.crop,
        mean=pixels.mean,
        std=pixels.std,
        target_layer=f"net.{cells.layer}" if cells else "",
        head=cells.head if cells else None,
        time_cells=(cells.grid[0],) if cells else (),
        paper=family.paper,
        layout=cells.layout if cells else "channels-first",
        grid=cells.grid if cells else None,
        order=cells.order if cells else "thw",
        class_tokens=cells.class_tokens if cells else 1,
        cells=cells.centres if cells else None,
        attention=family.attention(config, cells) if cells else None,
        multi_label=getattr(config, "problem_type", None) == "multi_label_classification",
        architecture=f"{config.model_type} {_version()} {hashlib.sha256(text.encode()).hexdigest()[:16]}",
    )
    weights = weight_files(folder)[0]
    return Checkpoint(spec, classes, weight_checksum(folder), weights, family is OTHER, build, tuple(notes))


def _version() -> str:
    import transformers

    return f"transformers {transformers.__version__}"


def _config(name: str, folder: Path, *, trust_code: bool) -> Any:
    """Return the config of a checkpoint, as transformers reads it."""
    from transformers import AutoConfig

    try:
        with _quiet():
            return AutoConfig.from_pretrained(str(folder), trust_remote_code=trust_code, local_files_only=True)
    except Exception as err:  # transformers raises many kinds, also for code that it may not run
        hint = "" if trust_code else "; if its network is made by code of the repository that you trust, add --trust-remote-code"
        raise UsageError(f"{name} has a config that transformers cannot read: {_first_line(err)}{hint}") from err


def _family(name: str, config: Any, *, trust_code: bool) -> Family:
    """Return the family of a config; refuse a network that classifies no videos."""
    architectures = tuple(config.architectures or ())
    family = FAMILIES.get(config.model_type)
    if family is None and trust_code and "AutoModelForVideoClassification" in (getattr(config, "auto_map", None) or {}):
        return OTHER
    if family is None:
        raise UsageError(
            f"{name} is a {config.model_type!r}; vidcam explains the video classifiers of transformers of the types "
            f"{', '.join(FAMILIES)}"
        )
    if not family.is_text and architectures and not any(a.endswith("ForVideoClassification") for a in architectures):
        raise UsageError(
            f"{name} is a {architectures[0]}, which was not trained to classify: take a fine-tuned checkpoint, or fine-tune this "
            "one"
        )
    return family


def _labels(name: str, config: Any) -> tuple[str, ...]:
    by_index = {int(index): str(label) for index, label in config.id2label.items()}
    if not by_index or sorted(by_index) != list(range(len(by_index))):
        raise UsageError(f"{name} has an id2label in its config.json that does not name every output from 0 once")
    return tuple(by_index[i] for i in range(len(by_index)))


def _phrases(name: str, file: str | os.PathLike[str] | None, phrases: Sequence[str]) -> tuple[str, ...]:
    """Return the phrases that are the classes."""
    given = read_labels(file) if file else tuple(dict.fromkeys(phrase.strip() for phrase in phrases if phrase.strip()))
    if len(given) < 2:
        raise UsageError(
            f"{name} compares a video with phrases, and an answer needs at least two of them, got {len(given)}: "
            'give each with --class "a person waves", or a file of them with --labels'
        )
    return given


def _check_facts(name: str, facts: Mapping[str, object]) -> dict[str, Any]:
    for key in facts:
        if key not in FACTS:
            raise UnknownNameError(f"fact about {name}", key, FACTS)
    return dict(facts)


def _pixels(name: str, folder: Path, family: Family, facts: Mapping[str, Any]) -> tuple[Pixels, list[str]]:
    """Return how pixels are made, and a note if no file says it."""
    usual = family.pixels
    pixels, file = read_pixels(folder, usual, has_offset=family.model_type == "vivit")
    notes = []
    if file is None:
        notes.append(
            f"{name} has no processor file, so the pixels of {family.title} are assumed (resize {usual.resize}, mean "
            f"{usual.mean[0]:.4g}, deviation {usual.std[0]:.4g}): save the processor beside the model, or state them with --fact"
        )
    stated = {key: facts[key] for key in ("resize", "mean", "std") if key in facts}
    return Pixels(**(vars(pixels) | stated)), notes


def _time(
    name: str, repository: str, family: Family, config: Any, facts: Mapping[str, Any], notes: list[str]
) -> tuple[int, float]:
    """Return the number of frames and the seconds between them; add a note if these are assumed."""
    known = facts.get("frames") if "frames" in facts and family is OTHER else family.frames(config)
    frames = facts.get("frames", known)
    if type(frames) is not int or frames < 1 or (frames != known and not family.any_frames):
        raise UsageError(f"{name} has positions for {known} frames, so it cannot take {frames}: leave the fact frames out")
    seconds = facts.get("interval_s", family.seconds.get(repository))
    if seconds is None:
        seconds = family.assumed_seconds
        notes.append(
            f"{name} does not say how far its frames lie apart, so {seconds:.3g} s is assumed, as {family.title} is usually "
            "trained: state it with --frame-interval S"
        )
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise UsageError(f"the interval between frames is a positive number of seconds, got {seconds!r}")
    return frames, float(seconds)


def _check_size(name: str, family: Family, config: Any, pixels: Pixels, *, is_assumed: bool) -> None:
    """Raise UsageError if pictures have another size than the network takes; ``is_assumed``: no file states their size."""
    size = family.size(config)
    if size == pixels.crop:
        return
    made = f"{pixels.crop[0]}x{pixels.crop[1]}"
    if is_assumed:
        problem = f"it has no processor file, and {family.title} usually takes {made}: save the processor beside the model"
    else:
        problem = f"its processor file makes {made}: correct crop_size (or size) there"
    raise UsageError(f"{name} has positions for pictures of {size[0]}x{size[1]} pixels, but {problem}")


def _build(name: str, folder: Path, family: Family, phrases: Sequence[str], *, trust_code: bool) -> nn.Module:
    """Build the network with its weights; refuse weights that leave a part of it random."""
    import torch

    from vidcam.models.huggingface.network import VideoTransformer

    try:
        with _quiet():
            network, info = family.load(str(folder), local_files_only=True, dtype=torch.float32, trust_remote_code=trust_code)
    except Exception as err:  # transformers, safetensors and torch raise many kinds
        raise WeightsError(f"the weights of {name} cannot be loaded: {_first_line(err)}") from err
    wrong = sorted(map(str, [*info["missing_keys"], *info.get("mismatched_keys", ())]))
    if wrong:
        raise WeightsError(
            f"the weights of {name} lack {len(wrong)} tensors, such as {wrong[0]}, which would be random: it is not a checkpoint "
            "of this whole network"
        )
    with _quiet():
        if family.is_text:
            family.encode(network, str(folder), phrases)
    # Only training has a loss; tracing, which reads every attribute of every part, would print a remark on the missing one.
    for part in network.modules():
        if hasattr(type(part), "loss_function"):
            part.loss_function = None  # type: ignore[assignment]
    return VideoTransformer(network.eval(), family)


def _first_line(err: Exception) -> str:
    return (str(err).strip().splitlines() or [type(err).__name__])[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from writing progress bars and remarks to the terminal."""
    from transformers.utils import logging as library

    level, shown = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity(logging.ERROR)
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.set_verbosity(level)
        if shown:
            library.enable_progress_bar()
