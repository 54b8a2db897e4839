"""Running a model with OpenVINO on the CPU: the network once compiled and kept on disk, then no torch at all.

One inference gives the logits and the explained layer's features of one clip; methods that need no more than that need no torch
either. Those that differentiate the network get the torch one, loaded when they ask for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vidcam.engine import cache
from vidcam.engine.base import (
    Clips,
    Engine,
    Float32Array,
    ForwardOutput,
    Linear,
    TorchModel,
    check_frames,
    disagreement,
    head_logits,
    normalised,
    to_numpy,
)
from vidcam.engine.cache import Entry
from vidcam.engine.quiet import ov

if TYPE_CHECKING:
    from torch import nn

    from vidcam.models.loading import ResolvedModel
    from vidcam.models.registry import ModelSpec

__all__ = ["OpenVINOEngine", "Unsupported", "has_bf16", "open_compiled"]

FORMAT = 1
"""Of the entries in the cache; a change makes all that are there foreign."""

SLOT = ("weights", "architecture", "layer", "precision", "processor")
"""The facts that tell which entries live beside each other; where only another one differs, the new entry replaces the old."""


class Unsupported(Exception):
    """OpenVINO cannot run this model, or not rightly; the text says why."""


class OpenVINOEngine(Engine):
    """A compiled model on the CPU, in float32 or, with ``bf16``, in bfloat16."""

    explained: _Compiled

    def __init__(
        self, model: ResolvedModel, explained: _Compiled, *, bf16: bool = False, chunk: int = 4, notes: Sequence[str] = ()
    ) -> None:
        super().__init__(model.spec, model.labels, model.weights_sha256, chunk=chunk, notes=notes)
        self.explained = explained
        self._bf16 = bf16

    @property
    def name(self) -> str:
        return f"openvino{'-bf16' if self._bf16 else ''}{' + torch' if self.explained.differentiated else ''}"

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def description(self) -> str:
        return f"OpenVINO {ov.__version__.split('-')[0]} on {_processor()}, {'bfloat16' if self._bf16 else 'float32'}"


class _Compiled(TorchModel):
    """The compiled network; the one of torch is loaded by ``load`` when ``module`` is asked for."""

    def __init__(
        self,
        network: ov.CompiledModel,
        spec: ModelSpec,
        linears: tuple[Linear, ...],
        load: Callable[[], nn.Module],
        *,
        bf16: bool,
    ) -> None:
        self.spec = spec
        self._request = network.create_infer_request()
        self._linears = linears
        self._load = load
        self._bf16 = bf16
        self.differentiated = False
        """Has any method asked for the torch network?"""

    @cached_property
    def module(self) -> nn.Module:
        self.differentiated = True
        return self._load().eval()

    @property
    def rounding(self) -> float:
        return 1e-3

    def see(self, clips: Clips) -> ForwardOutput:
        clips = clips if isinstance(clips, np.ndarray) else to_numpy(clips)
        # One clip at a time: a network of this size fills the processor with one, and static shapes compile to faster code.
        parts = [self._request.infer([clip[None]], share_inputs=True).to_tuple() for clip in clips]
        logits, *features = parts[0] if len(parts) == 1 else (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        if self._bf16 and self._linears and self.spec.head is not None:
            logits = head_logits(self._linears, features, self.spec.head.ceiling)
        return ForwardOutput(logits, tuple(features))

    def logits(self, clips: Clips) -> Float32Array:
        return self.see(clips).logits

    def linears(self) -> tuple[Linear, ...]:
        return self._linears


def open_compiled(
    model: ResolvedModel, *, bf16: bool = False, threads: int | None = None, notes: Sequence[str] = ()
) -> OpenVINOEngine:
    """The engine for ``model``: compiled as the cache has it, else compiled now and kept there.

    ``threads`` of the processor, None for all cores. Raises Unsupported where the model has no compiled form, or where it does
    not give what torch gives.
    """
    spec = model.spec
    if model.own:
        raise Unsupported("networks of your own are not compiled, because nothing tells when their code has changed")
    if not spec.compiles:
        raise Unsupported("compiled, it would hardly be faster, and very large")
    if bf16 and not has_bf16():
        raise Unsupported(f"{_processor()} does not compute in bfloat16")
    config: dict[str, Any] = {
        # Unless told, OpenVINO takes bfloat16 where the processor has it.
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
    }
    if threads is not None:
        config["INFERENCE_NUM_THREADS"] = threads
    facts = _facts(model, bf16=bf16)
    path = cache.path_of(spec.name, {key: facts[key] for key in SLOT})
    frames = check_frames(spec)
    clip = normalised(frames, mean=spec.mean, std=spec.std)

    def load() -> nn.Module:
        return model.load().module

    entry = cache.read(path, facts)
    if entry is not None:
        with suppress(RuntimeError):  # a file that OpenVINO cannot read after all: compile anew
            kept = _Compiled(_core().import_model(entry.blob.tobytes(), "CPU", config), spec, entry.linears, load, bf16=bf16)
            if disagreement(kept.see(clip), entry.wanted, bf16=bf16) is None:
                return OpenVINOEngine(model, kept, bf16=bf16, notes=notes)
    explained, entry = _compile(model, clip, config, load, bf16=bf16)
    cache.write(path, facts, entry)
    return OpenVINOEngine(model, explained, bf16=bf16, notes=notes)


def _compile(
    model: ResolvedModel, clip: Float32Array, config: dict[str, Any], load: Callable[[], nn.Module], *, bf16: bool
) -> tuple[_Compiled, Entry]:
    """The model compiled now, and its entry for the cache. Raises Unsupported."""
    from vidcam.engine.convert import convert

    loaded = model.load()
    linears = TorchModel(loaded.module, model.spec).linears()
    try:
        converted, wanted = convert(loaded.module, model.spec, clip)
        network = _core().compile_model(converted, "CPU", config)
        # The torch network is let go: it is seldom needed, and takes as much memory again.
        explained = _Compiled(network, model.spec, linears, load, bf16=bf16)
        found = explained.see(clip)
    except Exception as err:  # whatever two foreign libraries raise, torch can run the network all the same
        raise Unsupported(f"it cannot be converted: {_reason(err)}") from err
    if problem := disagreement(found, wanted, bf16=bf16):
        raise Unsupported(f"compiled, {problem}")
    blob = np.frombuffer(network.export_model().getbuffer(), np.uint8)
    return explained, Entry(blob, linears, wanted)


def _facts(model: ResolvedModel, *, bf16: bool) -> dict[str, object]:
    """All that a compiled model depends on, in JSON's own types."""
    spec = model.spec
    return {
        "weights": model.weights_sha256,
        "architecture": spec.architecture or spec.name,
        "layer": spec.layer,
        "precision": "bf16" if bf16 else "f32",
        "processor": [_processor(), *sorted(_property("OPTIMIZATION_CAPABILITIES"))],
        "format": FORMAT,
        "openvino": ov.__version__,
        "sources": _sources(),
        "outputs": len(model.labels),
        "clip": [spec.frames, *spec.crop],
        "pixels": [*spec.mean, *spec.std],
        "cells": [spec.layout, list(spec.grid or ())],
        "head": None if spec.head is None else [*spec.head.linears, str(spec.head.ceiling)],
    }


@lru_cache(maxsize=1)
def _sources() -> str:
    """A sum over the code that makes networks and converts them: who changes that gets no old network."""
    folders = Path(__file__).parent, Path(__file__).parents[1] / "models"
    files = sorted(file for folder in folders for file in folder.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@lru_cache(maxsize=1)
def _core() -> ov.Core:
    return ov.Core()


def _property(name: str) -> Any:
    """What OpenVINO says of the processor. Raises Unsupported where it cannot use it."""
    try:
        return _core().get_property("CPU", name)
    except RuntimeError as err:
        raise Unsupported(f"it does not work on this processor: {_reason(err)}") from err


def _processor() -> str:
    return str(_property("FULL_DEVICE_NAME")).strip()


def has_bf16() -> bool:
    """Does the processor compute in bfloat16? (Where it does not, that would be many times slower.)"""
    try:
        return "BF16" in _property("OPTIMIZATION_CAPABILITIES")
    except Unsupported:
        return False


def _reason(err: Exception) -> str:
    """The last line of what went wrong: the first ones are places in OpenVINO's sources."""
    return (str(err).strip().splitlines() or [type(err).__name__])[-1]
