"""The engine that runs a model with OpenVINO on the CPU.

The network is compiled once and kept on disk; then it runs without torch.

One inference gives the logits and the activations of one clip; methods that need no more than that do not need torch. Methods
that differentiate the network get the torch network, which is loaded on first use.
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
    find_disagreement,
    head_logits,
    make_check_frames,
    normalise_array,
    to_numpy,
)
from vidcam.engine.cache import Entry
from vidcam.engine.convert import convert, get_core, ov
from vidcam.engine.network import TorchModel

if TYPE_CHECKING:
    from torch import nn

    from vidcam.models.loading import ResolvedModel
    from vidcam.models.spec import ModelSpec

__all__ = ["Compiled", "OpenVINOEngine", "Unsupported", "cpu_config", "has_bf16", "open_compiled"]

FORMAT = 1
"""The version of the cache entries; changing it invalidates all existing ones."""

SLOT = ("weights", "architecture", "layer", "precision", "processor")
"""The facts that are part of an entry's path. If only another fact differs, the new entry replaces the old one."""


class Unsupported(Exception):
    """OpenVINO cannot run this model correctly; the text says why."""


class OpenVINOEngine(Engine):
    """A compiled model on the CPU, in float32 or, with ``bf16``, in bfloat16."""

    model: Compiled

    def __init__(
        self, model: ResolvedModel, compiled: Compiled, *, bf16: bool = False, chunk: int = 4, notes: Sequence[str] = ()
    ) -> None:
        super().__init__(model.spec, model.labels, model.weights_sha256, chunk=chunk, notes=notes)
        self.model = compiled
        self._bf16 = bf16

    @classmethod
    def of_file(cls, compiled: Compiled, labels: tuple[str, ...], checksum: str, *, notes: Sequence[str] = ()) -> OpenVINOEngine:
        """Return the engine of a network that is no model of vidcam's, but a file (:mod:`vidcam.engine.graph`)."""
        engine = cls.__new__(cls)
        Engine.__init__(engine, compiled.spec, labels, checksum, notes=notes)
        engine.model, engine._bf16 = compiled, False
        return engine

    @property
    def name(self) -> str:
        return f"openvino{'-bf16' if self._bf16 else ''}{' + torch' if self.model.differentiated else ''}"

    @property
    def device(self) -> str:
        return "cpu"


class Compiled(TorchModel):
    """The compiled network; ``load`` loads the torch network if ``module`` is asked for."""

    def __init__(
        self,
        network: ov.CompiledModel,
        spec: ModelSpec,
        classifiers: tuple[Linear, ...],
        load: Callable[[], nn.Module],
        *,
        bf16: bool,
    ) -> None:
        self.spec = spec
        self._request = network.create_infer_request()
        self._linears = classifiers
        self._load = load
        self._bf16 = bf16
        self.differentiated = False
        """Whether a method has asked for the torch network."""

    @cached_property
    def module(self) -> nn.Module:
        self.differentiated = True
        return self._load().eval()

    @property
    def rounding(self) -> float:
        return 1e-3

    def forward(self, clips: Clips) -> ForwardOutput:
        clips = clips if isinstance(clips, np.ndarray) else to_numpy(clips)
        # One clip at a time, because one clip keeps the processor busy, and static shapes compile to faster code.
        parts = [self._request.infer([clip[None]], share_inputs=True).to_tuple() for clip in clips]
        logits, *activations = parts[0] if len(parts) == 1 else (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        if self._bf16 and self._linears and self.spec.head is not None:
            logits = head_logits(self._linears, activations, self.spec.head)
        return ForwardOutput(logits, tuple(activations))

    def logits(self, clips: Clips) -> Float32Array:
        return self.forward(clips).logits

    def classifiers(self) -> tuple[Linear, ...]:
        return self._linears


def open_compiled(
    model: ResolvedModel, *, bf16: bool = False, threads: int | None = None, notes: Sequence[str] = ()
) -> OpenVINOEngine:
    """Open the engine for ``model``, with the compiled network from the cache if it is there.

    Args:
        model: The model; it is loaded only if it must be compiled.
        bf16: Compute in bfloat16.
        threads: The number of threads; None for all cores.
        notes: Sentences for :attr:`Engine.notes`.

    Raises:
        Unsupported: The model cannot be compiled, or gives other results than torch.
    """
    spec = model.spec
    if model.is_custom:
        raise Unsupported("networks of your own are not compiled, because nothing tells when their code has changed")
    if not spec.compiles:
        raise Unsupported("compiled, it would hardly be faster, and very large")
    if bf16 and not has_bf16():
        raise Unsupported(f"{_processor()} does not compute in bfloat16")
    config = cpu_config(threads, bf16=bf16)
    facts = _facts(model, bf16=bf16)
    path = cache.path_of(spec.name, {key: facts[key] for key in SLOT})
    frames = make_check_frames(spec)
    clip = normalise_array(frames, mean=spec.mean, std=spec.std)

    def load() -> nn.Module:
        return model.load().module

    entry = cache.read(path, facts)
    if entry is not None:
        with suppress(RuntimeError):  # OpenVINO cannot read the file: compile again
            compiled = Compiled(
                get_core().import_model(entry.blob.tobytes(), "CPU", config), spec, entry.classifiers, load, bf16=bf16
            )
            if find_disagreement(compiled.forward(clip), entry.expected, bf16=bf16) is None:
                return OpenVINOEngine(model, compiled, bf16=bf16, notes=notes)
    compiled, entry = _compile(model, clip, config, load, bf16=bf16)
    cache.write(path, facts, entry)
    return OpenVINOEngine(model, compiled, bf16=bf16, notes=notes)


def cpu_config(threads: int | None, *, bf16: bool = False) -> dict[str, Any]:
    """Return how a network is compiled for the CPU; ``threads`` None stands for all cores."""
    config: dict[str, Any] = {
        # By default OpenVINO uses bfloat16 if the processor has it.
        "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        # Otherwise it ties its threads, and the one that calls it, to the first cores: the same ones in every process.
        "ENABLE_CPU_PINNING": False,
    }
    if threads is not None:
        config["INFERENCE_NUM_THREADS"] = threads
    return config


def _compile(
    model: ResolvedModel, clip: Float32Array, config: dict[str, Any], load: Callable[[], nn.Module], *, bf16: bool
) -> tuple[Compiled, Entry]:
    """Compile the model and make its entry for the cache. Raises Unsupported."""
    loaded = model.load()
    classifiers = TorchModel(loaded.module, model.spec).classifiers()
    try:
        converted, expected = convert(loaded.module, model.spec, clip)
        network = get_core().compile_model(converted, "CPU", config)
        # The torch network is dropped: it is seldom needed, and takes as much memory again.
        compiled = Compiled(network, model.spec, classifiers, load, bf16=bf16)
        output = compiled.forward(clip)
    except Exception as err:  # two other libraries may raise anything, and torch can still run the network
        raise Unsupported(f"it cannot be converted: {_reason(err)}") from err
    if problem := find_disagreement(output, expected, bf16=bf16):
        raise Unsupported(f"compiled, {problem}")
    blob = np.frombuffer(network.export_model().getbuffer(), np.uint8)
    return compiled, Entry(blob, classifiers, expected)


def _facts(model: ResolvedModel, *, bf16: bool) -> dict[str, object]:
    """Return the facts that a compiled model depends on, in JSON's own types."""
    spec = model.spec
    return {
        "weights": model.weights_sha256,
        "architecture": spec.architecture or spec.name,
        "layer": spec.target_layer,
        "precision": "bf16" if bf16 else "f32",
        "processor": [_processor(), *sorted(_property("OPTIMIZATION_CAPABILITIES"))],
        "format": FORMAT,
        "openvino": ov.__version__,
        "sources": _sources(),
        "outputs": len(model.labels),
        "clip": [spec.num_frames, *spec.crop],
        "pixels": [*spec.mean, *spec.std],
        "cells": [spec.layout, list(spec.grid or ()), spec.order, spec.class_tokens],
        "head": None if spec.head is None else [*spec.head.classifiers, str(spec.head.ceiling), str(spec.head.norm)],
    }


@lru_cache(maxsize=1)
def _sources() -> str:
    """Return a checksum of the code that makes and converts networks; changed code gets a new network."""
    folders = Path(__file__).parent, Path(__file__).parents[1] / "models"
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _property(name: str) -> Any:
    """Return a property of the processor; raise Unsupported if OpenVINO cannot use it."""
    try:
        return get_core().get_property("CPU", name)
    except RuntimeError as err:
        raise Unsupported(f"it does not work on this processor: {_reason(err)}") from err


def _processor() -> str:
    return str(_property("FULL_DEVICE_NAME")).strip()


def has_bf16() -> bool:
    """Return whether the processor computes in bfloat16.

    Without that, it would be many times slower than float32.
    """
    try:
        return "BF16" in _property("OPTIMIZATION_CAPABILITIES")
    except Unsupported:
        return False


def _reason(err: Exception) -> str:
    """Return the last line of an error; the first lines are places in OpenVINO's sources."""
    return (str(err).strip().splitlines() or [type(err).__name__])[-1]
