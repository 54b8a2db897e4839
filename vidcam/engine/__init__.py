"""Running a model: :func:`open_engine` takes OpenVINO on the CPU where it gives what torch gives, else torch."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from vidcam.engine.base import Engine, ForwardOutput, TorchModel
from vidcam.errors import DownloadError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from vidcam.engine.pytorch import TorchEngine, normalise, pick_device
    from vidcam.models.loading import ResolvedModel
    from vidcam.models.registry import ModelSpec
    from vidcam.models.weights import Progress

__all__ = [
    "ENGINES",
    "Engine",
    "ForwardOutput",
    "TorchEngine",
    "TorchModel",
    "automatic",
    "normalise",
    "open_engine",
    "pick_device",
    "unknown_to",
]  # fmt: skip

ENGINES = ("auto", "openvino", "openvino-bf16", "torch", "torch-bf16")

AUTO, BUILT_IN = "x3d_s", "mini"


def open_engine(
    model: str = "auto",
    *,
    weights: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    layer: str | None = None,
    facts: Mapping[str, object] | None = None,
    trust_code: bool = False,
    device: str = "auto",
    engine: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Engine:
    """The model called ``model``, loaded and ready to run.

    ``auto`` is what :func:`automatic` says, or, if its weights are not to be had, the built-in ``mini``; ``notes`` says which and
    why. ``weights``, ``labels``, ``layer``, ``facts``, ``trust_code`` and ``progress`` as in
    :func:`vidcam.models.loading.load`, whose errors it raises; ``device`` as in :class:`~vidcam.engine.pytorch.TorchEngine`.

    ``engine``: ``auto`` is OpenVINO on the CPU and torch elsewhere. Where OpenVINO cannot run the model, or not rightly, torch
    does, and ``notes`` says why. ``-bf16`` computes in bfloat16, faster and less exactly (logits within 2 %); a processor or a
    model that cannot do that computes in float32, with a note. ``threads`` is how many OpenVINO uses, None for all cores. Engine
    and device are checked before anything is downloaded.
    """
    if engine not in ENGINES:
        raise UnknownNameError("engine", engine, ENGINES)
    if threads is not None and threads < 1:
        raise UsageError(f"an engine needs at least 1 thread, got {threads}")
    kind, _, precision = engine.partition("-")
    if kind == "openvino" and device not in ("auto", "cpu"):
        raise UsageError(f"engine {engine!r} runs on the CPU, not on {device!r}: use --device cpu, or --engine torch")
    compiled = kind == "openvino" or (kind == "auto" and (device == "cpu" or (device == "auto" and not _gpu())))
    if not compiled:
        from vidcam.engine.pytorch import pick_device

        pick_device(device)
    found, notes = _located(model, weights, labels, layer, facts, trust_code, progress)
    if compiled:
        device = "cpu"
        opened = _compiled(found, threads, notes, bf16=precision == "bf16")
        if opened is not None:
            return opened
    from vidcam.engine.pytorch import TorchEngine

    return TorchEngine(found.load(), device, bf16=engine == "torch-bf16", notes=notes)


def _located(
    model: str,
    weights: str | os.PathLike[str] | None,
    labels: str | os.PathLike[str] | None,
    layer: str | None,
    facts: Mapping[str, object] | None,
    trust_code: bool,
    progress: Progress | None,
) -> tuple[ResolvedModel, list[str]]:
    """The model, and what the user should know about it."""
    from vidcam.models.loading import locate

    name, why = automatic() if model == "auto" else (model, "")
    try:
        found = locate(name, weights=weights, labels=labels, layer=layer, facts=facts, trust_code=trust_code, progress=progress)
        return found, [*([why] if why else []), *found.notes]
    except DownloadError as err:
        if model != "auto":
            raise
        found = locate(BUILT_IN, labels=labels, layer=layer)
        return found, [
            f"this is the small built-in model {BUILT_IN}, which knows {len(found.labels)} everyday movements of one person, "
            f"because the weights of {AUTO} are not here: {err}"
        ]


def automatic() -> tuple[str, str]:
    """Return the name of the model that ``auto`` stands for on this machine, and why it is not the usual one, in a sentence.

    That is ``x3d_s``, trained on Kinetics-400. If its weights are not here, but those of other networks of hundreds of classes
    are, it is the most accurate of these, first among those that OpenVINO speeds up: nothing needs to be fetched.
    """
    from vidcam.models import registry
    from vidcam.models.loading import available

    if available(registry.get(AUTO)):
        return AUTO, ""
    here = [spec for spec in registry.specs() if spec.name != BUILT_IN and not spec.own and available(spec)]
    if not here:
        return AUTO, ""
    best = max(here, key=lambda spec: (spec.compiles, spec.weights.accuracy if spec.weights else 0.0))
    return (
        best.name,
        f"the model is {best.name} ({len(best.labels())} classes), because its weights are here and those of {AUTO} are not",
    )


def unknown_to(spec: ModelSpec) -> str:
    """Return the sentence for a video in which the model sees none of what it knows, and which model here may know more."""
    classes = len(spec.labels()) - len(spec.rejects)
    other, _ = automatic()
    from vidcam.models import registry
    from vidcam.models.loading import available

    row = registry.get(other)
    hint = f"; {other} ({len(row.labels())} classes) may know it" + ("" if available(row) else ", once its weights are fetched")
    return f"this is none of the {classes} actions that {spec.name} knows" + ("" if other == spec.name else hint)


def _compiled(found: ResolvedModel, threads: int | None, notes: list[str], *, bf16: bool) -> Engine | None:
    """The model in OpenVINO, in float32 where bfloat16 does not work; None, and a note, where neither does."""
    try:
        from vidcam.engine.openvino import Unsupported, open_compiled
    except ImportError as err:
        notes.append(f"{found.spec.name} runs in torch, because OpenVINO cannot be imported: {err}")
        return None
    if bf16:
        try:
            return open_compiled(found, bf16=True, threads=threads, notes=notes)
        except Unsupported as reason:
            notes.append(f"{found.spec.name} computes in float32, not in bfloat16: {reason}")
    try:
        return open_compiled(found, threads=threads, notes=notes)
    except Unsupported as reason:
        notes.append(f"{found.spec.name} runs in torch, not in OpenVINO: {reason}")
    return None


def _gpu() -> bool:
    """May torch find a GPU? Told by the drivers' libraries, because importing torch takes a second."""
    for library in ("libcuda.so.1", "nvcuda.dll", "libamdhip64.so"):
        with suppress(OSError):
            ctypes.CDLL(library)
            from vidcam.engine.pytorch import pick_device

            return pick_device("auto").type != "cpu"
    return False


def __getattr__(name: str) -> Any:
    if name not in ("TorchEngine", "normalise", "pick_device"):  # what needs torch is imported when it is asked for
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vidcam.engine import pytorch

    return getattr(pytorch, name)
