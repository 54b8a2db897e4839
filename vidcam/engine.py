"""Running a model with torch: clips as the sampler gives them in, logits out, and whatever else is asked of the network.

Explanations build on it (:func:`vidcam.explainers.core.explain`); the engine knows nothing of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vidcam.errors import DownloadError, UnknownNameError, UsageError, VidcamError

if TYPE_CHECKING:
    from vidcam.models.loading import LoadedModel
    from vidcam.models.registry import Layout, ModelSpec
    from vidcam.models.weights import Progress
    from vidcam.types import UInt8Array

__all__ = ["Explained", "TorchEngine", "finite", "normalise", "open_engine", "pick_device", "sigmoid", "softmax", "to_numpy"]

Float32Array = npt.NDArray[np.float32]
_T = TypeVar("_T")

AUTO, BUILT_IN = "x3d_s", "mini"


@dataclass(frozen=True)
class Explained:
    """The network as methods see it: ``module`` maps normalised clips ``(B,3,T,H,W)`` to logits; ``spec`` says where to look."""

    module: nn.Module
    spec: ModelSpec

    @property
    def layer(self) -> str:
        return self.spec.layer

    @property
    def layout(self) -> Layout:
        return self.spec.layout


class TorchEngine:
    """A loaded model on a device. It takes the model over: moves it there, and runs it in eval mode and float32.

    ``device`` is ``auto`` (the first CUDA GPU, else the CPU), ``cpu``, ``cuda``, ``cuda:1`` or ``mps``. ``chunk`` clips are
    computed at once, which bounds the memory.
    """

    name = "torch"

    def __init__(self, model: LoadedModel, device: str = "auto", *, chunk: int = 4, notes: Sequence[str] = ()) -> None:
        if chunk < 1:
            raise UsageError(f"the engine computes at least 1 clip at once, got {chunk}")
        self._device = pick_device(device)
        self.spec = model.spec
        self.labels = model.labels
        self.weights_sha256 = model.weights_sha256
        self.chunk = chunk
        self.notes = tuple(notes)
        """What the user should know about how this engine was chosen, in sentences."""
        self.explained = Explained(model.module.eval().to(self._device), model.spec)
        """The network on its device, as explanation methods see it."""

    @property
    def device(self) -> str:
        """The device that is really used, such as ``cpu`` or ``cuda:0``."""
        return str(self._device)

    @property
    def description(self) -> str:
        """One line for reports: library, version, device and its name."""
        where = f"{self.device} ({torch.cuda.get_device_name(self._device)})" if self._device.type == "cuda" else self.device
        return f"torch {torch.__version__} on {where}, float32"

    def predict(self, frames: UInt8Array) -> Float32Array:
        """Logits ``(B, K) float32`` of clips ``(B, T, H, W, 3) uint8``. Raises UsageError, VidcamError."""

        def run(clips: Tensor) -> Tensor:
            with torch.no_grad():
                logits: Tensor = self.explained.module(clips)
                return logits

        logits = np.concatenate([to_numpy(part) for part in self.map(frames, run)])
        return finite(logits, f"model {self.spec.name!r} gives logits")

    def probabilities(self, logits: npt.NDArray[np.floating]) -> Float32Array:
        """What the logits ``(..., K)`` of this model mean as probabilities."""
        scaled = np.asarray(logits, dtype=np.float64) / self.spec.temperature
        return sigmoid(scaled) if self.spec.multi_label else softmax(scaled)

    def map(self, frames: UInt8Array, function: Callable[[Tensor], _T]) -> Iterator[_T]:
        """``function`` of the normalised clips ``(b, 3, T, H, W)`` on the device, ``chunk`` of them after the other.

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
            with _exact_arithmetic(), self._told(part.shape):
                result = function(normalise(part, mean=spec.mean, std=spec.std, device=self._device))
            yield result

    @contextmanager
    def _told(self, shape: tuple[int, ...]) -> Iterator[None]:
        """What goes wrong inside the network, as a sentence."""
        try:
            yield
        except torch.OutOfMemoryError as err:
            raise VidcamError(f"{self.device} has too little free memory for model {self.spec.name!r}: use --device cpu") from err
        except RuntimeError as err:
            reason = str(err).strip().splitlines() or [type(err).__name__]
            raise VidcamError(f"model {self.spec.name!r} failed on clips of shape {shape} on {self.device}: {reason[0]}") from err


def open_engine(
    model: str = "auto",
    *,
    weights: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    layer: str | None = None,
    device: str = "auto",
    engine: str = "auto",
    progress: Progress | None = None,
) -> TorchEngine:
    """The model called ``model``, loaded and ready to run.

    ``auto`` is ``x3d_s``, trained on Kinetics-400, or, where its weights are neither here nor to be had, the built-in ``mini``;
    then ``notes`` says so. ``weights``, ``labels``, ``layer`` and ``progress`` as in :func:`vidcam.models.loading.load`, whose
    errors it raises; ``device`` as in :class:`TorchEngine`; ``engine`` is ``auto`` or ``torch``. Engine and device are checked
    before anything is downloaded.
    """
    from vidcam.models.loading import load

    if engine not in ("auto", "torch"):
        raise UnknownNameError("engine", engine, ("auto", "torch"))
    pick_device(device)
    notes: list[str] = []
    try:
        loaded = load(AUTO if model == "auto" else model, weights=weights, labels=labels, layer=layer, progress=progress)
    except DownloadError as err:
        if model != "auto":
            raise
        loaded = load(BUILT_IN, labels=labels, layer=layer)
        notes.append(
            f"this is the small built-in model {BUILT_IN}, which knows {len(loaded.labels)} everyday movements of one person, "
            f"because the weights of {AUTO} are not here: {err}"
        )
    return TorchEngine(loaded, device, notes=notes)


def pick_device(name: str) -> torch.device:
    """The torch device called ``name``; UsageError where it is unknown or not there.

    ``auto`` never takes ``mps``: some 3-D operations do not exist there.
    """
    kind, _, index = name.partition(":")
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if kind not in ("cpu", "cuda", "mps") or (":" in name and not (kind == "cuda" and index.isdecimal())):
        raise UsageError(f"unknown device {name!r}: use auto, cpu, cuda, cuda:N (the N-th GPU, from 0) or mps")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise UsageError(f"device {name!r} is not there: torch {torch.__version__} finds no CUDA GPU; use --device cpu")
        if int(index or 0) >= count:
            raise UsageError(f"device {name!r} is not there: torch finds {count} CUDA GPU(s), cuda:0 to cuda:{count - 1}")
        return torch.device("cuda", int(index or 0))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError(f"device 'mps' is not there: torch {torch.__version__} finds no Apple GPU; use --device cpu")
    return torch.device(kind)


def normalise(frames: UInt8Array, *, mean: Sequence[float], std: Sequence[float], device: torch.device | str = "cpu") -> Tensor:
    """Clips ``(B, T, H, W, 3) uint8`` as the network wants them: ``(B, 3, T, H, W) float32``, ``(x / 255 - mean) / std``."""
    # Bytes travel to the device, not floats. torch.tensor copies: numpy's array may be read-only.
    clips = torch.tensor(frames).to(device).permute(0, 4, 1, 2, 3).float().contiguous()
    channel = (1, 3, 1, 1, 1)
    return clips.div_(255).sub_(clips.new_tensor(mean).view(channel)).div_(clips.new_tensor(std).view(channel))


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


@contextmanager
def _exact_arithmetic() -> Iterator[None]:
    """Convolutions in true float32 on the GPU, so that CPU and GPU agree and evidence sums to the logit; put back at the end."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
