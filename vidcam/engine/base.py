"""What every engine is: clips as the sampler gives them in, logits and the explained layer's features out. No torch in here.

Explanations build on it (:func:`vidcam.methods.core.explain`); the engines know nothing of them.
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
    from torch import Tensor, nn

    from vidcam.models.registry import Layout, ModelSpec
    from vidcam.values import UInt8Array

__all__ = [
    "Clips",
    "Engine",
    "Float32Array",
    "ForwardOutput",
    "Linear",
    "TorchModel",
    "check_frames",
    "disagreement",
    "finite",
    "head_logits",
    "normalised",
    "sigmoid",
    "softmax",
    "to_numpy",
]  # fmt: skip

Float32Array = npt.NDArray[np.float32]

Clips: TypeAlias = "Float32Array | Tensor"
"""Normalised clips ``(B, 3, T, H, W)``: an array, or a tensor on the device of the network."""

Linear = tuple[Float32Array, Float32Array]
"""A linear layer: weight ``(out, in)`` and bias ``(out,)``."""

EXACT, ROUGH = 1e-4, 2e-2
"""How far two networks that should agree may differ, as a share of the largest value: in float32, and in bfloat16."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class ForwardOutput:
    """One forward pass: ``logits (B, K)`` and, for each pathway of the explained layer, ``features (B, C, T', h, w)``.

    All float32; a class token is dropped.
    """

    logits: Float32Array
    features: tuple[Float32Array, ...]


class TorchModel:
    """The network as methods see it: ``spec`` says where to look.

    This one runs a torch network as it is, in whatever mode it is in, and leaves it so. An engine has one of its own that is
    faster and gives the same.
    """

    def __init__(self, module: nn.Module, spec: ModelSpec) -> None:
        self._module = module
        self.spec = spec

    @property
    def module(self) -> nn.Module:
        """The torch network: normalised clips ``(B, 3, T, H, W)`` to logits. For methods that differentiate it."""
        return self._module

    @property
    def layer(self) -> str:
        return self.spec.layer

    @property
    def layout(self) -> Layout:
        return self.spec.layout

    @property
    def rounding(self) -> float:
        """How far, relative to what they are made of, sums may be off that would be equal without rounding."""
        import torch

        half = next(self.module.parameters()).dtype in (torch.float16, torch.bfloat16)
        return 5e-2 if half else 1e-3

    def see(self, clips: Clips) -> ForwardOutput:
        """What the network says of the clips, and what the layer gives, from one forward pass without gradients."""
        from vidcam.engine.hooks import capture, logits_of

        if not self.spec.layer:
            return ForwardOutput(to_numpy(logits_of(self.module, self.tensor(clips))), ())
        with capture(self) as run:
            seen = run(self.tensor(clips))
        return ForwardOutput(to_numpy(seen.logits), tuple(to_numpy(f) for f in seen.features))

    def logits(self, clips: Clips) -> Float32Array:
        """``(B, K)``: what the network says of the clips."""
        from vidcam.engine.hooks import logits_of

        return to_numpy(logits_of(self.module, self.tensor(clips)))

    def linears(self) -> tuple[Linear, ...]:
        """The layers that ``spec.head`` names, first to last. Raises IncompatibleError where one is no linear layer."""
        from vidcam.engine.hooks import linear

        return tuple(linear(self.module, name) for name in self.spec.head.linears) if self.spec.head else ()

    def tensor(self, clips: Clips) -> Tensor:
        """The clips for torch, on the device of the network."""
        import torch

        return torch.as_tensor(clips)


class Engine(ABC):
    """A loaded model that runs. Threads may share it: they take turns.

    At most ``chunk`` clips are computed at once, which bounds the memory. ``at_once`` is how many of them the pipeline gathers:
    one, where several cost as much as one after the other. ``notes`` are what the user should know about how this engine was
    chosen, in sentences. ``explained`` is the network as explanation methods see it.
    """

    at_once = 1

    explained: TorchModel

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
        self._turn = RLock()

    @property
    @abstractmethod
    def name(self) -> str:
        """What has computed so far, for reports: ``torch``, ``openvino``, ``openvino-bf16`` or ``openvino + torch``."""

    @property
    @abstractmethod
    def device(self) -> str:
        """The device that is really used, such as ``cpu`` or ``cuda:0``."""

    @property
    @abstractmethod
    def description(self) -> str:
        """One line for reports: library, version, device and its name, precision."""

    def predict(self, frames: UInt8Array) -> Float32Array:
        """Logits ``(B, K) float32`` of clips ``(B, T, H, W, 3) uint8``. Raises UsageError, VidcamError."""
        logits = np.concatenate(list(self.map(frames, self.explained.logits)))
        return finite(logits, f"model {self.spec.name!r} gives logits")

    def probabilities(self, logits: npt.NDArray[np.floating]) -> Float32Array:
        """What the logits ``(..., K)`` of this model mean as probabilities."""
        scaled = np.asarray(logits, dtype=np.float64) / self.spec.temperature
        return sigmoid(scaled) if self.spec.multi_label else softmax(scaled)

    def map(self, frames: UInt8Array, function: Callable[[Clips], _T]) -> Iterator[_T]:
        """``function`` of the normalised clips ``(b, 3, T, H, W)``, ``chunk`` of them after the other.

        ``frames`` are clips ``(B, T, H, W, 3) uint8``. Raises UsageError where they do not fit the model, VidcamError for what
        goes wrong inside the network.
        """
        spec = self.spec
        want = (spec.frames, *spec.crop, 3)
        if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8 or frames.shape[1:] != want or len(frames) == 0:
            got = f"{frames.dtype} {frames.shape}" if isinstance(frames, np.ndarray) else type(frames).__name__
            raise UsageError(f"model {spec.name!r} needs clips of uint8 RGB (clips, {', '.join(map(str, want))}), got {got}")
        for start in range(0, len(frames), self.chunk):
            part = frames[start : start + self.chunk]
            with self._turn, self._running():
                try:
                    result = function(self._prepared(part))
                except RuntimeError as err:
                    raise self._told(err, part.shape) from err
            yield result

    def _prepared(self, frames: UInt8Array) -> Clips:
        """The clips as the network wants them."""
        return normalised(frames, mean=self.spec.mean, std=self.spec.std)

    def _running(self) -> AbstractContextManager[Any]:
        """What must hold while the network runs."""
        return nullcontext()

    def _told(self, err: RuntimeError, shape: tuple[int, ...]) -> VidcamError:
        """What went wrong inside the network, as a sentence."""
        reason = str(err).strip().splitlines() or [type(err).__name__]
        return VidcamError(f"model {self.spec.name!r} failed on clips of shape {shape} on {self.device}: {reason[0]}")


def normalised(frames: UInt8Array, *, mean: Sequence[float], std: Sequence[float]) -> Float32Array:
    """Clips ``(B, T, H, W, 3) uint8`` as networks want them: ``(B, 3, T, H, W) float32``, ``(x / 255 - mean) / std``."""
    clips = np.empty((len(frames), 3, *frames.shape[1:4]), np.float32)
    for c in range(3):  # a third of the time that all colours at once take
        np.multiply(frames[..., c], np.float32(1 / (255 * std[c])), out=clips[:, c])
        clips[:, c] -= np.float32(mean[c] / std[c])
    return clips


def head_logits(linears: Sequence[Linear], features: Sequence[Float32Array], ceiling: float) -> Float32Array:
    """``(B, K)``: what a head of pooling and linear layers with gates ``clip(0, ceiling)`` between them makes of the features."""
    value = np.concatenate([f.mean((2, 3, 4)) for f in features], axis=1)
    for i, (weight, bias) in enumerate(linears):
        value = np.einsum("bi,oi->bo", np.clip(value, 0, ceiling) if i else value, weight) + bias
    return value


def softmax(logits: npt.NDArray[np.floating]) -> Float32Array:
    """Probabilities float32 of ``logits`` along the last axis; large logits do not overflow."""
    z = np.asarray(logits, dtype=np.float64)
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    probs: Float32Array = (e / e.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probs


def sigmoid(logits: npt.NDArray[np.floating]) -> Float32Array:
    """The probability float32 of each class for itself; large logits do not overflow."""
    z = np.asarray(logits, dtype=np.float64)
    probs: Float32Array = (0.5 * (1 + np.tanh(z / 2))).astype(np.float32)
    return probs


def finite(values: Float32Array, what: str) -> Float32Array:
    """``values`` as they are; VidcamError that begins with ``what`` where one of them is not finite."""
    bad = values.size - int(np.isfinite(values).sum())
    if bad:
        raise VidcamError(
            f"{what} that are not finite ({bad} of {values.size}): the weights are damaged, or do not belong to this network"
        )
    return values


def to_numpy(values: Tensor) -> Float32Array:
    """The numbers of a tensor as a float32 array."""
    out: Float32Array = values.detach().float().cpu().numpy()
    return out


def check_frames(spec: ModelSpec) -> UInt8Array:
    """A clip ``(1, T, H, W, 3)`` of coarse random shapes, always the same for a model: to compare networks that should agree."""
    height, width = spec.crop
    coarse = np.random.default_rng(0).integers(0, 256, (spec.frames, -(-height // 8), -(-width // 8), 3), np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)[None, :, :height, :width]


def disagreement(found: ForwardOutput, wanted: ForwardOutput, *, bf16: bool = False) -> str | None:
    """What tells two networks apart that should be one, as the rest of a sentence; None where only rounding does.

    In float32 the logits and the features may differ by :data:`EXACT` of the largest of them. In bfloat16 only the logits are
    compared: by :data:`ROUGH`, and the answer must be the same.
    """
    pairs = [(found.logits, wanted.logits)]
    pairs += [] if bf16 else list(zip(found.features, wanted.features, strict=False))
    if len(found.features) != len(wanted.features) or any(a.shape != b.shape for a, b in pairs):
        return "it gives other shapes than torch"
    with np.errstate(invalid="ignore"):  # infinite less infinite: an error below
        error = max(float(np.abs(a - b).max()) / max(float(np.abs(b).max()), 1e-12) for a, b in pairs)
    if not error <= (ROUGH if bf16 else EXACT):  # not a number is a disagreement too
        return f"its results are off by {error:.1e} of their scale"
    if bf16 and (found.logits.argmax(axis=1) != wanted.logits.argmax(axis=1)).any():
        return "it answers differently"
    return None
