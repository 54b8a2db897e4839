"""The engine that runs a model with torch, on the CPU or a GPU."""

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
    find_disagreement,
    head_logits,
    make_check_frames,
    to_numpy,
)
from vidcam.engine.hooks import run_with_cells
from vidcam.engine.network import TorchModel
from vidcam.errors import UsageError, VidcamError

if TYPE_CHECKING:
    from vidcam.models.loading import LoadedModel
    from vidcam.models.spec import ModelSpec
    from vidcam.values import UInt8Array

__all__ = ["TorchEngine", "fold_batch_norms", "normalise", "pick_device"]


class TorchEngine(Engine):
    """Runs a model on a device, in eval mode and float32. It owns the model and moves the network there.

    Args:
        model: The loaded model.
        device: ``auto`` (the first CUDA GPU, else the CPU), ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        chunk: The largest number of clips that are computed at once.
        fold: Run passes without gradients on a copy with merged batch norms. Use False if the network changes meanwhile.
        bf16: Compute on that copy in bfloat16; a linear head is still computed in float32.
        notes: Sentences for :attr:`Engine.notes`.

    Raises:
        UsageError: The device is unknown or does not exist.
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
        self.preferred_batch = chunk if self._device.type == "cuda" else 1  # a single clip keeps few of a GPU's units busy
        self._bf16 = bf16
        module = model.module.eval().to(self._device)
        self.model = _Folded(module, model.spec, bf16=bf16) if fold or bf16 else TorchModel(module, model.spec)
        if bf16 and (problem := self._find_bf16_problem(module)):
            self._bf16 = False
            self.model = _Folded(module, model.spec, bf16=False)
            self.notes += (f"{model.spec.name} computes in float32, not in bfloat16: {problem}",)

    @property
    def name(self) -> str:
        return "torch-bf16" if self._bf16 else "torch"

    @property
    def device(self) -> str:
        return str(self._device)

    def _find_bf16_problem(self, module: nn.Module) -> str | None:
        """Return why bfloat16 cannot be used, as the rest of a sentence; else None."""
        if not _computes_bf16(self._device):
            return f"{self.device} does not compute in it"
        clips = self._prepare(make_check_frames(self.spec))
        return find_disagreement(self.model.forward(clips), TorchModel(module, self.spec).forward(clips), bf16=True)

    def _prepare(self, frames: UInt8Array) -> Clips:
        if self._device.type == "cpu":
            return super()._prepare(frames)
        return normalise(frames, mean=self.spec.mean, std=self.spec.std, device=self._device)

    def _place(self, clips: Any) -> Clips:
        return torch.as_tensor(super()._place(clips)).to(self._device)

    def _while_running(self) -> AbstractContextManager[Any]:
        return _exact_arithmetic()

    def _to_error(self, err: RuntimeError, shape: tuple[int, ...]) -> VidcamError:
        if isinstance(err, torch.OutOfMemoryError):
            return VidcamError(f"{self.device} has too little free memory for model {self.spec.name!r}: use --device cpu")
        return super()._to_error(err, shape)


class _Folded(TorchModel):
    """Runs passes without gradients on a faster copy of the network, which is made at the first of them."""

    def __init__(self, module: nn.Module, spec: ModelSpec, *, bf16: bool) -> None:
        super().__init__(module, spec)
        self._bf16 = bf16
        self._fast: nn.Module | None = None

    def forward(self, clips: Clips) -> ForwardOutput:
        logits, *activations = map(to_numpy, self._run_with_cells(clips))
        if self._bf16 and self.spec.head is not None:
            logits = head_logits(self.classifiers(), activations, self.spec.head)
        return ForwardOutput(logits, tuple(activations))

    def logits(self, clips: Clips) -> Float32Array:
        if self._bf16 and self.spec.head is not None:
            return self.forward(clips).logits
        return to_numpy(self._run_with_cells(clips)[0])  # the activations stay on the device

    def _run_with_cells(self, clips: Clips) -> tuple[Tensor, ...]:
        batch = self.tensor(clips)
        if self._fast is None:
            self._fast = fold_batch_norms(self.module, self.spec, batch)
        # Autocast also handles what has no kernel in bfloat16, such as average pooling over three axes on the CPU.
        precision = torch.autocast(batch.device.type, torch.bfloat16) if self._bf16 else nullcontext()
        with torch.inference_mode(), precision:
            return run_with_cells(self._fast, self.spec, batch)


def fold_batch_norms(module: nn.Module, spec: ModelSpec, clips: Tensor) -> nn.Module:
    """Copy a network and merge its batch norms into the convolutions that they follow.

    A pass of ``clips`` shows which norm follows which convolution: its input is that convolution's output, the same object.

    Returns:
        The copy, or ``module`` itself if there is nothing to merge or if the copy gives other results for ``clips``.
    """
    original = TorchModel(module, spec)
    with _pair_norms(module) as pairs:
        expected = original.forward(clips)
    if not pairs:
        return module
    try:
        merged = copy.deepcopy(module)
    except (RuntimeError, TypeError):  # a custom network may hold what cannot be copied
        return module
    for conv, norm in pairs:
        layer = merged.get_submodule(conv)
        fused = fuse_conv_bn_eval(layer, merged.get_submodule(norm))  # type: ignore[type-var, arg-type]
        layer.weight, layer.bias = fused.weight, fused.bias
        parent, _, attribute = norm.rpartition(".")
        setattr(merged.get_submodule(parent), attribute, nn.Identity())
    merged.requires_grad_(False)
    if clips.device.type == "cpu":
        merged = merged.to(memory_format=torch.channels_last_3d)
    try:
        with torch.inference_mode():
            logits, *activations = (to_numpy(t) for t in run_with_cells(merged, spec, clips))
    except RuntimeError:
        return module
    return module if find_disagreement(ForwardOutput(logits, tuple(activations)), expected) else merged


@contextmanager
def _pair_norms(module: nn.Module) -> Iterator[list[tuple[str, str]]]:
    """Give a list that a run inside the ``with`` fills with pairs of names.

    Each pair is a convolution and the batch norm that takes its output.
    """
    pairs: list[tuple[str, str]] = []
    outputs: dict[int, tuple[str, ref[Tensor]]] = {}  # weak references keep no activation alive; an id may be reused

    def note(name: str) -> Any:
        return lambda _module, _inputs, output: outputs.update({id(output): (name, ref(output))})

    def match(name: str) -> Any:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...], _output: object) -> None:
            conv, output = outputs.get(id(inputs[0]), ("", lambda: None))
            if output() is inputs[0]:
                pairs.append((conv, name))

        return hook

    handles = []
    for name, m in module.named_modules():
        if isinstance(m, nn.Conv3d):
            handles.append(m.register_forward_hook(note(name)))
        elif (
            isinstance(m, nn.BatchNorm3d) and m.running_mean is not None
        ):  # without it, the norm depends on each batch and cannot be merged
            handles.append(m.register_forward_hook(match(name)))
    try:
        yield pairs
    finally:
        for handle in handles:
            handle.remove()


def pick_device(name: str) -> torch.device:
    """Return the torch device called ``name``.

    ``auto`` never takes ``mps``, which lacks some 3-D operations.

    Raises:
        UsageError: The device is unknown or does not exist on this machine.
    """
    kind, _, index = name.partition(":")
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if kind not in ("cpu", "cuda", "mps") or (":" in name and not (kind == "cuda" and index.isdecimal())):
        raise UsageError(f"unknown device {name!r}: use auto, cpu, cuda, cuda:N (the N-th GPU, from 0) or mps")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise UsageError(f"device {name!r} does not exist: torch {torch.__version__} finds no CUDA GPU; use --device cpu")
        if int(index or 0) >= count:
            raise UsageError(f"device {name!r} does not exist: torch finds {count} CUDA GPU(s), cuda:0 to cuda:{count - 1}")
        return torch.device("cuda", int(index or 0))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise UsageError(f"device 'mps' does not exist: torch {torch.__version__} finds no Apple GPU; use --device cpu")
    return torch.device(kind)


def _computes_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    try:  # torch computes bfloat16 on any processor, on many of them 90 times slower than float32, without saying so
        from vidcam.engine.openvino import has_bf16
    except ImportError:
        return False
    return device.type == "cpu" and has_bf16()


def normalise(frames: UInt8Array, *, mean: Sequence[float], std: Sequence[float], device: torch.device | str = "cpu") -> Tensor:
    """Normalise clips ``(B, T, H, W, 3) uint8`` to a tensor ``(B, 3, T, H, W) float32``.

    Each value becomes ``(x / 255 - mean) / std``.
    """
    # Bytes are sent to the device, not floats. torch.tensor copies, because numpy's array may be read-only. A GPU fetches pinned
    # memory by itself while this thread goes on.
    to_gpu = torch.device(device).type == "cuda"
    clips = torch.tensor(frames, pin_memory=to_gpu).to(device, non_blocking=to_gpu).permute(0, 4, 1, 2, 3).float().contiguous()
    channel = (1, 3, 1, 1, 1)
    return clips.div_(255).sub_(clips.new_tensor(mean).view(channel)).div_(clips.new_tensor(std).view(channel))


@contextmanager
def _exact_arithmetic() -> Iterator[None]:
    """Switch TF32 convolutions off on the GPU for a while.

    CPU and GPU agree then, and evidence sums to the logit.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
