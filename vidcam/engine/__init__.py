"""Engines, which run models: :func:`open_engine` opens one.

On the CPU it prefers OpenVINO if that gives the same results as torch; otherwise it uses torch.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from vidcam.engine.base import Engine, ForwardOutput
from vidcam.engine.graph_file import is_graph
from vidcam.engine.network import TorchModel
from vidcam.errors import DownloadError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from vidcam.engine.pytorch import TorchEngine, normalise, pick_device
    from vidcam.models.loading import ResolvedModel
    from vidcam.models.spec import ModelSpec
    from vidcam.models.weights import Progress

__all__ = [
    "ENGINES",
    "Engine",
    "ForwardOutput",
    "TorchEngine",
    "TorchModel",
    "choose_default_model",
    "normalise",
    "open_engine",
    "pick_device",
    "rejection_sentence",
]  # fmt: skip

ENGINES = ("auto", "openvino", "openvino-bf16", "torch", "torch-bf16")

AUTO, BUILT_IN = "x3d_s", "mini"
"""The model that ``auto`` stands for, and the one that needs no download."""

NOBODY = "no person"
"""The rejecting label of a video without people."""


def open_engine(
    model: str = "auto",
    *,
    weights: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    layer: str | None = None,
    facts: Mapping[str, object] | None = None,
    phrases: Sequence[str] = (),
    trust_code: bool = False,
    device: str = "auto",
    engine: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Engine:
    """Load a model and return it ready to run.

    Engine and device are checked before anything is downloaded.

    Args:
        model: The name of a model, a file or folder, as in :func:`vidcam.models.loading.load`. ``auto`` is the model that
            :func:`choose_default_model` names, or the built-in ``mini`` if its weights cannot be fetched; ``notes`` says why.
        weights: A weight file that replaces the official one.
        labels: A file of labels that replaces the model's own.
        layer: The dotted name of another layer to explain.
        facts: Facts about a custom network or a model of transformers, as in :func:`vidcam.models.loading.load`.
        phrases: The classes, in words, of a model that compares videos with text; no other model looks at them.
        trust_code: Allow a trained folder or a repository to run the code that it brings.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``, as in :class:`~vidcam.engine.pytorch.TorchEngine`.
        engine: One of :data:`ENGINES`. ``auto`` is OpenVINO on the CPU and torch elsewhere. If OpenVINO cannot run the model
            correctly, torch runs it and ``notes`` says why. ``-bf16`` computes in bfloat16, which is faster and less exact
            (logits within 2 %); if the processor or the model does not allow it, float32 is used, with a note.
        threads: The number of threads that OpenVINO uses; None for all cores.
        progress: Is called during a download with the bytes received and the bytes in all (None if unknown).

    Returns:
        The engine; its ``notes`` are sentences that the user should know, such as why torch runs the model.

    Raises:
        UsageError: An argument is not allowed, or the arguments do not fit together.
        UnknownNameError: There is no such model, layer or engine; the message gives the nearest names.
        WeightsError: The weights do not fit, or are damaged.
        DownloadError: The weights cannot be fetched.
        VidcamError: The code of a custom network fails.

    Example:
        >>> import vidcam
        >>> engine = vidcam.open_engine("mini", device="cpu")
        >>> len(engine.labels)
        19
    """
    graph = _open_graph(model, weights, labels, layer, facts, device, engine, threads)
    if graph is not None:
        return graph
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    if threads is not None and threads < 1:
        raise UsageError(f"an engine needs at least 1 thread, got {threads}")
    kind, _, precision = engine.partition("-")
    if kind == "openvino" and device not in ("auto", "cpu"):
        raise UsageError(f"engine {engine!r} runs on the CPU, not on {device!r}: use --device cpu, or --engine torch")
    compiled = kind == "openvino" or (kind == "auto" and (device == "cpu" or (device == "auto" and not _has_gpu())))
    if not compiled:
        from vidcam.engine.pytorch import pick_device

        pick_device(device)
    resolved, notes = resolve(model, weights, labels, layer, facts, phrases, trust_code, progress)
    if compiled:
        device = "cpu"
        opened = _open_compiled(resolved, threads, notes, bf16=precision == "bf16")
        if opened is not None:
            return opened
    from vidcam.engine.pytorch import TorchEngine

    return TorchEngine(resolved.load(), device, bf16=engine == "torch-bf16", notes=notes)


def _open_graph(
    model: str,
    weights: str | os.PathLike[str] | None,
    labels: str | os.PathLike[str] | None,
    layer: str | None,
    facts: Mapping[str, object] | None,
    device: str,
    engine: str,
    threads: int | None,
) -> Engine | None:
    """Open an ONNX or OpenVINO file; return None for every other model."""
    if not is_graph(model):
        return None
    if weights is not None or layer is not None:
        raise UsageError(f"{model} is a whole network in a file: leave out --weights and --layer")
    if engine not in ("auto", "openvino") or device not in ("auto", "cpu"):
        raise UsageError(f"{model} runs in OpenVINO on the CPU: leave out --engine and --device")
    from vidcam.engine.graph import open_graph

    return open_graph(model, labels=labels, facts=facts, threads=threads)


def resolve(
    model: str,
    weights: str | os.PathLike[str] | None,
    labels: str | os.PathLike[str] | None,
    layer: str | None,
    facts: Mapping[str, object] | None,
    phrases: Sequence[str],
    trust_code: bool,
    progress: Progress | None,
) -> tuple[ResolvedModel, list[str]]:
    """Return the resolved model, and what the user should know about it."""
    from vidcam.models.loading import resolve_model

    name, why = choose_default_model() if model == "auto" else (model, "")
    try:
        resolved = resolve_model(
            name,
            weights=weights,
            labels=labels,
            layer=layer,
            facts=facts,
            phrases=phrases,
            trust_code=trust_code,
            progress=progress,
        )
        return resolved, [*([why] if why else []), *resolved.notes]
    except DownloadError as err:
        if model != "auto":
            raise
        resolved = resolve_model(BUILT_IN, labels=labels, layer=layer)
        return resolved, [
            f"this is the small built-in model {BUILT_IN}, which knows {len(resolved.labels)} everyday movements of one person, "
            f"because the weights of {AUTO} are not here: {err}"
        ]


def choose_default_model() -> tuple[str, str]:
    """Return the name of the model that ``auto`` stands for, and why.

    That is ``x3d_s``, trained on Kinetics-400. If its weights are not on this machine, but those of other networks with hundreds
    of classes are, it is the most accurate of these, with a preference for those that OpenVINO speeds up.

    Returns:
        The name, and the reason as a sentence.
    """
    from vidcam.models.loading import is_available
    from vidcam.models.table import get_spec, list_specs

    usual = f"the model is {AUTO} ({len(get_spec(AUTO).labels())} classes), the usual one"
    if is_available(get_spec(AUTO)):
        return AUTO, f"{usual}, because its weights are here"
    here = [spec for spec in list_specs() if spec.name != BUILT_IN and not spec.is_custom and is_available(spec)]
    if not here:
        return AUTO, f"{usual}, because no weights of a network with hundreds of classes are here; its weights are fetched"
    best = max(here, key=lambda spec: (spec.compiles, spec.weights.accuracy if spec.weights else 0.0))
    return (
        best.name,
        f"the model is {best.name} ({len(best.labels())} classes), because its weights are here and those of {AUTO} are not",
    )


def rejection_sentence(spec: ModelSpec, label: str = "") -> str:
    """Return the sentence for a video that shows none of the model's actions, whose answer is the rejecting ``label``.

    It may suggest another model.
    """
    from vidcam.models.loading import is_available
    from vidcam.models.table import get_spec

    classes = len(spec.labels()) - len(spec.rejects)
    words = f"this is none of the {classes} actions that {spec.name} knows"
    if label.casefold() == NOBODY:
        words = f"{spec.name} sees nobody here, so this is none of the {classes} actions that it knows"
    other, _ = choose_default_model()
    if other == spec.name:
        return words
    row = get_spec(other)
    fetched = "" if is_available(row) else ", once its weights are fetched"
    return f"{words}; {other} ({len(row.labels())} classes) may know it{fetched}"


def _open_compiled(resolved: ResolvedModel, threads: int | None, notes: list[str], *, bf16: bool) -> Engine | None:
    """Open the model in OpenVINO, in float32 if bfloat16 fails.

    Return None and add a note if neither works.
    """
    try:
        from vidcam.engine.openvino import Unsupported, open_compiled
    except ImportError as err:
        notes.append(f"{resolved.spec.name} runs in torch, because OpenVINO cannot be imported: {err}")
        return None
    if bf16:
        try:
            return open_compiled(resolved, bf16=True, threads=threads, notes=notes)
        except Unsupported as reason:
            notes.append(f"{resolved.spec.name} computes in float32, not in bfloat16: {reason}")
    try:
        return open_compiled(resolved, threads=threads, notes=notes)
    except Unsupported as reason:
        notes.append(f"{resolved.spec.name} runs in torch, not in OpenVINO: {reason}")
    return None


def _has_gpu() -> bool:
    """Return whether torch may find a GPU.

    The drivers' libraries are asked first, because importing torch takes a second.
    """
    for library in ("libcuda.so.1", "nvcuda.dll", "libamdhip64.so"):
        with suppress(OSError):
            ctypes.CDLL(library)
            from vidcam.engine.pytorch import pick_device

            return pick_device("auto").type != "cpu"
    return False


def __getattr__(name: str) -> Any:
    if name not in ("TorchEngine", "normalise", "pick_device"):  # names that need torch are imported on first use
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vidcam.engine import pytorch

    return getattr(pytorch, name)
