"""Running a model with torch, on the CPU or a GPU."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vidcam.engine.base import (
    Clips,
    Engine,
    Float32Array,
    ForwardOutput,
    TorchModel,
    check_frames,
    disagreement,
    head_logits,
    to_numpy,
)
from vidcam.engine.hooks import look
from vidcam.errors import UsageError, VidcamError

if TYPE_CHECKING:
    from vidcam.models.loading import LoadedModel
    from vidcam.models.registry import ModelSpec
    from vidcam.values import UInt8Array

__all__ = ["TorchEngine", "fold", "normalise", "pick_device"]


class TorchEngine(Engine):
    """A loaded model on a device. It takes the model over: moves it there, and runs it in eval mode and float32.

    ``device`` is ``auto`` (the first CUDA GPU, else the CPU), ``cpu``, ``cuda``, ``cuda:1`` or ``mps``. Passes without gradients
    run on a copy with merged batch norms, unless ``fold`` is False: for networks that someone changes meanwhile. With ``bf16``
    that copy computes in bfloat16; the head, where it is a linear one, in float32 all the same.
    """

    def __init__(
        self,
        model: LoadedModel,
        device: str = "auto",
        *,
        chunk: int = 4,
        fold: bool = True,
        bf16: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        super().__init__(model.spec, model.labels, model.weights_sha256, chunk=chunk, notes=notes)
        self._device = pick_device(device)
        self.at_once = chunk if self._device.type == "cuda" else 1  # a single clip keeps few of a GPU's units busy
        self._bf16 = bf16
        module = model.module.eval().to(self._device)
        self.explained = _Folded(module, model.spec, bf16=bf16) if fold or bf16 else TorchModel(module, model.spec)
        if bf16 and (problem := self._against_bf16(module)):
            self._bf16 = False
            self.explained = _Folded(module, model.spec, bf16=False)
            self.notes += (f"{model.spec.name} computes in float32, not in bfloat16: {problem}",)

    @property
    def name(self) -> str:
        return "torch-bf16" if self._bf16 else "torch"

    @property
    def device(self) -> str:
        return str(self._device)

    @property
    def description(self) -> str:
        where = f"{self.device} ({torch.cuda.get_device_name(self._device)})" if self._device.type == "cuda" else self.device
        return f"torch {torch.__version__} on {where}, {'bfloat16' if self._bf16 else 'float32'}"

    def _against_bf16(self, module: nn.Module) -> str | None:
        """What speaks against bfloat16: the device, or that the answer is another one; the rest of a sentence."""
        if not _computes_bf16(self._device):
            return f"{self.device} does not compute in it"
        clips = self._prepared(check_frames(self.spec))
        return disagreement(self.explained.see(clips), TorchModel(module, self.spec).see(clips), bf16=True)

    def _prepared(self, frames: UInt8Array) -> Clips:
        if self._device.type == "cpu":
            return super()._prepared(frames)
        return normalise(frames, mean=self.spec.mean, std=self.spec.std, device=self._device)

    def _running(self) -> AbstractContextManager[Any]:
        return _exact_arithmetic()

    def _told(self, err: RuntimeError, shape: tuple[int, ...]) -> VidcamError:
        if isinstance(err, torch.OutOfMemoryError):
            return VidcamError(f"{self.device} has too little free memory for model {self.spec.name!r}: use --device cpu")
        return super()._told(err, shape)


class _Folded(TorchModel):
    """Passes without gradients on a copy that is made at the first of them and gives the same, faster."""

    def __init__(self, module: nn.Module, spec: ModelSpec, *, bf16: bool) -> None:
        super().__init__(module, spec)
        self._bf16 = bf16
        self._fast: nn.Module | None = None

    def see(self, clips: Clips) -> ForwardOutput:
        logits, *features = map(to_numpy, self._look(clips))
        if self._bf16 and self.spec.head is not None:
            logits = head_logits(self.linears(), features, self.spec.head.ceiling)
        return ForwardOutput(logits, tuple(features))

    def logits(self, clips: Clips) -> Float32Array:
        if self._bf16 and self.spec.head is not None:
            return self.see(clips).logits
        return to_numpy(self._look(clips)[0])  # the features stay on the device

    def _look(self, clips: Clips) -> tuple[Tensor, ...]:
        batch = self.tensor(clips)
        if self._fast is None:
            self._fast = fold(self.module, self.spec, batch)
        # Autocast also knows what has no kernel in bfloat16, such as average pooling over three axes on the CPU.
        precision = torch.autocast(batch.device.type, torch.bfloat16) if self._bf16 else nullcontext()
        with torch.inference_mode(), precision:
            return look(self._fast, self.spec, batch)


def fold(module: nn.Module, spec: ModelSpec, clips: Tensor) -> nn.Module:
    """A copy of the network whose batch norms are merged into the convolutions that they follow; ``module`` itself where there
    are none, or where the copy does not give the same for ``clips``.

    Which norm follows which convolution is seen in a pass of the clips: its input is that convolution's output, the same object.
    """
    plain = TorchModel(module, spec)
    with _followed(module) as pairs:
        wanted = plain.see(clips)
    if not pairs:
        return module
    try:
        merged = copy.deepcopy(module)
    except (RuntimeError, TypeError):  # a network of your own may hold what cannot be copied
        return module
    for conv, norm in pairs:
        layer = merged.get_submodule(conv)
        both = fuse_conv_bn_eval(layer, merged.get_submodule(norm))  # type: ignore[type-var, arg-type]
        layer.weight, layer.bias = both.weight, both.bias
        where, _, attribute = norm.rpartition(".")
        setattr(merged.get_submodule(where), attribute, nn.Identity())
    merged.requires_grad_(False)
    if clips.device.type == "cpu":
        merged = merged.to(memory_format=torch.channels_last_3d)
    try:
        with torch.inference_mode():
            logits, *features = (to_numpy(t) for t in look(merged, spec, clips))
    except RuntimeError:
        return module
    return module if disagreement(ForwardOutput(logits, tuple(features)), wanted) else merged


@contextmanager
def _followed(module: nn.Module) -> Iterator[list[tuple[str, str]]]:
    """The names of convolutions and of the batch norms that take their output, once the network has run inside the ``with``."""
    pairs: list[tuple[str, str]] = []
    made: dict[int, tuple[str, ref[Tensor]]] = {}  # weak, so that no activation is kept; an id may be used again

    def note(name: str) -> Any:
        return lambda _module, _inputs, output: made.update({id(output): (name, ref(output))})

    def match(name: str) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], _output: object) -> None:
            conv, output = made.get(id(inputs[0]), ("", lambda: None))
            if output() is inputs[0]:
                pairs.append((conv, name))

        return hook

    handles = []
    for name, m in module.named_modules():
        if isinstance(m, nn.Conv3d):
            handles.append(m.register_forward_hook(note(name)))
        elif isinstance(m, nn.BatchNorm3d) and m.running_mean is not None:  # else it follows each batch and cannot be merged
            handles.append(m.register_forward_hook(match(name)))
    try:
        yield pairs
    finally:
        for handle in handles:
            handle.remove()


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


def _computes_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    try:  # torch computes it on any processor, on many of them 90 times slower than float32, and does not tell
        from vidcam.engine.openvino import has_bf16
    except ImportError:
        return False
    return device.type == "cpu" and has_bf16()


def normalise(frames: UInt8Array, *, mean: Sequence[float], std: Sequence[float], device: torch.device | str = "cpu") -> Tensor:
    """Clips ``(B, T, H, W, 3) uint8`` as the network wants them: ``(B, 3, T, H, W) float32``, ``(x / 255 - mean) / std``."""
    # Bytes travel to the device, not floats. torch.tensor copies: numpy's array may be read-only. From memory that cannot be
    # swapped out a GPU fetches them by itself, while this thread goes on.
    to_gpu = torch.device(device).type == "cuda"
    clips = torch.tensor(frames, pin_memory=to_gpu).to(device, non_blocking=to_gpu).permute(0, 4, 1, 2, 3).float().contiguous()
    channel = (1, 3, 1, 1, 1)
    return clips.div_(255).sub_(clips.new_tensor(mean).view(channel)).div_(clips.new_tensor(std).view(channel))


@contextmanager
def _exact_arithmetic() -> Iterator[None]:
    """Convolutions in true float32 on the GPU, so that CPU and GPU agree and evidence sums to the logit; put back at the end."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
