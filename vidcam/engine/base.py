"""The interface of an engine, and the numerics that all engines share, without torch.

An engine turns clips from the sampler into logits and into activations of the target layer. Explanation methods
(:func:`vidcam.methods.core.explain`) build on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from vidcam.errors import UsageError, VidcamError

if TYPE_CHECKING:
    from torch import Tensor

    from vidcam.engine.network import TorchModel
    from vidcam.models.spec import Head, ModelSpec
    from vidcam.values import UInt8Array

__all__ = [
    "Clips",
    "Engine",
    "Float32Array",
    "ForwardOutput",
    "Linear",
    "find_disagreement",
    "head_logits",
    "make_check_frames",
    "normalise_array",
    "pool_cells",
    "probabilities",
    "require_finite",
    "to_numpy",
]

Float32Array = npt.NDArray[np.float32]

Clips: TypeAlias = "Float32Array | Tensor"
"""Normalised clips ``(B, 3, T, H, W)``: an array, or a tensor on the device of the network."""

Linear = tuple[Float32Array, Float32Array]
"""A linear layer: weight ``(out, in)`` and bias ``(out,)``."""

EXACT, ROUGH = 1e-4, 2e-2
"""The largest difference between two networks that should agree, relative to the largest value: float32 and bfloat16."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class ForwardOutput:
    """The output of one forward pass, all float32.

    Attributes:
        logits: ``(B, K)``.
        activations: The output of the target layer, ``(B, C, T', h, w)`` for each pathway; a class token is dropped.
    """

    logits: Float32Array
    activations: tuple[Float32Array, ...]


class Engine(ABC):
    """A loaded model that runs. Threads can share it: a lock lets them take turns.

    Attributes:
        spec: The facts of the model.
        labels: The names of its outputs.
        weights_sha256: The checksum of its weight file; None if its own code made the weights.
        chunk: The largest number of clips that are computed at once, which bounds the memory.
        preferred_batch: The number of clips to gather before computing them; 1 if batching does not help.
        notes: What the user should know about how this engine was chosen, in sentences.
        model: The network that explanation methods work with.
    """

    preferred_batch = 1

    model: TorchModel

    def __init__(
        self,
        spec: ModelSpec,
        labels: tuple[str, ...],
        weights_sha256: str | None,
        *,
        chunk: int = 4,
        notes: Sequence[str] = (),
    ) -> None:
        if chunk < 1:
            raise UsageError(f"the engine computes at least 1 clip at once, got {chunk}")
        self.spec = spec
        self.labels = labels
        self.weights_sha256 = weights_sha256
        self.chunk = chunk
        self.notes = tuple(notes)
        self._lock = RLock()

    @property
    @abstractmethod
    def name(self) -> str:
        """The libraries that have computed so far.

        One of ``torch``, ``torch-bf16``, ``openvino``, ``openvino-bf16``, or the latter two with ``+ torch``.
        """

    @property
    @abstractmethod
    def device(self) -> str:
        """The device that is used, such as ``cpu`` or ``cuda:0``."""

    def predict(self, frames: UInt8Array) -> Float32Array:
        """Return the logits of clips.

        Args:
            frames: Clips ``(B, T, H, W, 3) uint8`` RGB.

        Returns:
            ``(B, K) float32``.

        Raises:
            UsageError: The clips do not fit the model.
            VidcamError: The network fails, or gives logits that are not finite.
        """
        logits = np.concatenate(list(self.map(frames, self.model.logits)))
        return require_finite(logits, f"model {self.spec.name!r} gives logits")

    def probabilities(self, logits: npt.NDArray[np.floating]) -> Float32Array:
        """Return the probabilities ``(..., K) float32`` for logits ``(..., K)`` of this model."""
        spec = self.spec
        values = probabilities(logits, temperature=spec.temperature, multi_label=spec.multi_label)
        return np.asarray(values, np.float32)

    def class_probability(self, index: int, clips: UInt8Array) -> Float32Array:
        """Return the probability ``(B,) float32`` of class ``index`` in clips ``(B, T, H, W, 3) uint8``."""
        return self.probabilities(self.predict(clips))[:, index]

    def map(self, frames: UInt8Array | Float32Array, function: Callable[[Clips], _T]) -> Iterator[_T]:
        """Yield ``function`` of the normalised clips, ``chunk`` of them at a time.

        Args:
            frames: Clips ``(B, T, H, W, 3) uint8`` RGB, or normalised clips ``(B, 3, T, H, W) float32``.
            function: Is called with normalised clips ``(b, 3, T, H, W)``.

        Raises:
            UsageError: The clips do not fit the model.
            VidcamError: The network fails.
        """
        spec = self.spec
        shape = (spec.num_frames, *spec.crop, 3)
        inputs = (3, *shape[:-1])
        is_normalised = isinstance(frames, np.ndarray) and frames.dtype == np.float32 and frames.shape[1:] == inputs
        is_uint8 = isinstance(frames, np.ndarray) and frames.dtype == np.uint8 and frames.shape[1:] == shape
        if not (is_normalised or is_uint8) or len(frames) == 0:
            got = f"{frames.dtype} {frames.shape}" if isinstance(frames, np.ndarray) else type(frames).__name__
            raise UsageError(
                f"model {spec.name!r} needs clips of uint8 RGB (clips, {', '.join(map(str, shape))}), or normalised ones of "
                f"float32 (clips, {', '.join(map(str, inputs))}), got {got}"
            )
        prepare: Callable[[Any], Clips] = self._place if is_normalised else self._prepare
        for start in range(0, len(frames), self.chunk):
            part = frames[start : start + self.chunk]
            with self._lock, self._while_running():
                try:
                    result = function(prepare(part))
                except RuntimeError as err:
                    raise self._to_error(err, part.shape) from err
            yield result

    def _place(self, clips: Any) -> Clips:
        """Return normalised clips where the network runs."""
        return np.ascontiguousarray(clips)

    def _prepare(self, frames: UInt8Array) -> Clips:
        """Return the clips as the network takes them."""
        return normalise_array(frames, mean=self.spec.mean, std=self.spec.std)

    def _while_running(self) -> AbstractContextManager[Any]:
        """Return a context that is entered while the network runs."""
        return nullcontext()

    def _to_error(self, err: RuntimeError, shape: tuple[int, ...]) -> VidcamError:
        """Return the error for the user, from one raised inside the network."""
        reason = str(err).strip().splitlines() or [type(err).__name__]
        return VidcamError(f"model {self.spec.name!r} failed on clips of shape {shape} on {self.device}: {reason[0]}")


def normalise_array(frames: UInt8Array, *, mean: Sequence[float], std: Sequence[float]) -> Float32Array:
    """Normalise clips ``(B, T, H, W, 3) uint8`` to ``(B, 3, T, H, W) float32``.

    Each value becomes ``(x / 255 - mean) / std``.
    """
    clips = np.empty((len(frames), 3, *frames.shape[1:4]), np.float32)
    for c in range(3):  # takes a third of the time of all channels at once
        np.multiply(frames[..., c], np.float32(1 / (255 * std[c])), out=clips[:, c])
        clips[:, c] -= np.float32(mean[c] / std[c])
    return clips


def head_logits(classifiers: Sequence[Linear], activations: Sequence[Float32Array], head: Head) -> Float32Array:
    """Compute the logits ``(B, K)`` of a head.

    It is global average pooling, a norm if it has one, and linear layers with ``clip(0, ceiling)`` between them.
    """
    value, deviation = pool_cells(activations, head)
    value = value / deviation
    for i, (weight, bias) in enumerate(classifiers):
        value = np.einsum("bi,oi->bo", np.clip(value, 0, head.ceiling) if i else value, weight) + bias
    return value


def pool_cells(activations: Sequence[Float32Array], head: Head) -> tuple[Float32Array, Float32Array]:
    """Return the averages ``(B, C)`` of the pathways' cells, and ``(B, 1)`` by what the head's norm divides them.

    A layer norm (Ba et al. 2016, https://arxiv.org/abs/1607.06450, eq. 3) is ``(x - mean(x)) / deviation(x) * scale + shift``.
    All but the division is linear, and part of the first linear layer (:meth:`~vidcam.engine.network.TorchModel.classifiers`).
    Without a norm the deviation is 1.
    """
    pooled = np.concatenate([a.mean((2, 3, 4)) for a in activations], axis=1)
    if head.norm is None:
        return pooled, np.ones((len(pooled), 1), np.float32)
    return pooled, np.sqrt(pooled.var(axis=1, keepdims=True) + np.float32(head.epsilon))


def probabilities(
    logits: npt.NDArray[np.floating], *, temperature: float | npt.NDArray[np.floating] = 1.0, multi_label: bool = False
) -> npt.NDArray[np.float64]:
    """Return the probabilities ``(..., K) float64`` of ``logits / temperature``.

    Large logits do not overflow.

    They are a softmax along the last axis; with ``multi_label``, a sigmoid of each class. ``temperature`` is one number or one
    for each ``(..., 1)``.
    """
    z = np.asarray(logits, np.float64) / temperature
    if multi_label:
        return np.asarray(0.5 * (1 + np.tanh(z / 2)))
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def require_finite(values: Float32Array, what: str) -> Float32Array:
    """Return ``values``; raise a VidcamError that begins with ``what`` if one of them is not finite."""
    bad = values.size - int(np.isfinite(values).sum())
    if bad:
        raise VidcamError(
            f"{what} that are not finite ({bad} of {values.size}): the weights are damaged, or do not belong to this network"
        )
    return values


def to_numpy(values: Tensor) -> Float32Array:
    """Return the values of a tensor as a float32 array."""
    out: Float32Array = values.detach().float().cpu().numpy()
    return out


def make_check_frames(spec: ModelSpec) -> UInt8Array:
    """Return a clip ``(1, T, H, W, 3)`` to compare networks with that should agree.

    It shows coarse random shapes, always the same for a model.
    """
    height, width = spec.crop
    coarse = np.random.default_rng(0).integers(0, 256, (spec.num_frames, -(-height // 8), -(-width // 8), 3), np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)[None, :, :height, :width]


def find_disagreement(output: ForwardOutput, expected: ForwardOutput, *, bf16: bool = False) -> str | None:
    """Compare the outputs of two networks that should agree.

    In float32 the logits and the activations may differ by :data:`EXACT` of the largest value. In bfloat16 only the logits are
    compared: they may differ by :data:`ROUGH`, and the top class must be the same.

    Returns:
        The difference as the rest of a sentence; None if it is only rounding.
    """
    pairs = [(output.logits, expected.logits)]
    pairs += [] if bf16 else list(zip(output.activations, expected.activations, strict=False))
    if len(output.activations) != len(expected.activations) or any(a.shape != b.shape for a, b in pairs):
        return "it gives other shapes than torch"
    with np.errstate(invalid="ignore"):  # infinity minus infinity is found below
        error = max(float(np.abs(a - b).max()) / max(float(np.abs(b).max()), 1e-12) for a, b in pairs)
    if not error <= (ROUGH if bf16 else EXACT):  # not a number is a disagreement too
        return f"its results are off by {error:.1e} of their scale"
    if bf16 and (output.logits.argmax(axis=1) != expected.logits.argmax(axis=1)).any():
        return "it answers differently"
    return None
