"""The facts of a model as data: `ModelSpec` and the values that it holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vidcam.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["ORDERS", "Attention", "Head", "Layout", "ModelSpec", "Weights"]

Layout = Literal["channels-first", "channels-last", "tokens", "folded", "folded-tokens"]
"""The layout of the target layer's output: ``(B,C,T,h,w)``, ``(B,T,h,w,C)``, ``(B,1+T*h*w,C)`` with a class token first,
``(B*T,C,h,w)`` with the frames of each clip one after the other, or ``(B*T,1+h*w,C)``; for the 1 see
``ModelSpec.class_tokens``."""

ORDERS = ("thw", "twh", "htw", "hwt", "wth", "wht")
"""The orders in which tokens can run over time, rows (h) and columns (w); the last letter runs fastest."""


@dataclass(frozen=True)
class Weights:
    """The official weight file of a model: its address, checksum, licence and published accuracy.

    ``url`` is an address, or a path if the package ships the file. ``sha256`` is the published checksum or its published leading
    part (torchvision and torch hub put eight digits into the file name); if it is None, the first download pins it. ``accuracy``
    is in percent, measured by ``protocol``. ``file`` is the name in the cache, by default the last part of ``url``. ``imported``
    is the name of the file that ``ModelSpec.convert`` makes of it, which is preferred if it exists. ``size`` is the size of the
    download in bytes; None if it is not known.
    """

    url: str
    sha256: str | None
    licence: str
    accuracy: float
    protocol: str
    file: str | None = None
    imported: str | None = None
    size: int | None = None

    @property
    def filename(self) -> str:
        """The name of the file in the cache."""
        return self.file or self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Head:
    """A head of global average pooling and linear layers, with ``clip(0, ceiling)`` between the layers.

    One linear layer is the usual case (Zhou et al. 2016). X3D has two with a ReLU between them (``ceiling`` is infinite), MoViNet
    two with a ReLU6 (``ceiling`` is 6). Transformers normalise the average before it is classified (VideoMAE).

    Attributes:
        classifiers: The dotted names of the layers (``nn.Linear`` or pointwise convolutions), first to last.
        ceiling: The upper bound of the activation between them.
        norm: The dotted name of the layer norm between the average and the first of these layers; None if there is none.
        epsilon: What that norm adds to the variance.
    """

    classifiers: tuple[str, ...]
    ceiling: float = math.inf
    norm: str | None = None
    epsilon: float = 0.0


@dataclass(frozen=True)
class Attention:
    """How the blocks of a transformer attend, and where the tokens of its first block are centred.

    ``pooled``: a class token is classified, and queries and keys are pooled (MViT). ``windows``: windows are shifted, tokens are
    merged, and all of them are pooled at the end (Swin). ``plain``: every token attends to all; the class token is classified, or
    the average if there is none (ViViT, VideoMAE). ``divided``: over time, then over the picture together with the class token
    (TimeSformer). ``factorised``: first over each picture, then over time, then a query pools all tokens (VideoPrism).
    ``queried``: as plain, then a query pools all tokens (V-JEPA 2). Token j of an axis (frames, rows, columns) is centred at
    ``offset + stride * j``. ``pooler`` is the module whose attention pools; empty if there is none.
    """

    kind: Literal["pooled", "windows", "plain", "divided", "factorised", "queried"]
    stride: tuple[int, int, int]
    offset: tuple[float, float, float]
    pooler: str = ""


@dataclass(frozen=True)
class ModelSpec:
    """One model as data: its clip, its pixels, its target layer, its head and its weights.

    A network that needs adapting (another input, a softmax at its end) is adapted inside ``build``, so nothing else needs to
    know. Raises UsageError if facts contradict each other.

    Attributes:
        name: The name that users type.
        title: The name for readers.
        family: The family or package that the network comes from.
        build: Makes the network with random weights: normalised RGB ``(B,3,T,H,W) float`` to **logits** ``(B,K)``.
        labels: Returns the names of the K outputs.
        num_frames: The number of frames in a clip.
        seconds_between_frames: The seconds between two of these frames.
        resize: The length of the short side in pixels, or ``(height, width)``; or "fit": the whole picture in the crop.
        crop: ``(height, width)`` of the centre crop in pixels.
        mean, std: Mean and standard deviation of each channel, by which pixels in 0..1 are normalised.
        target_layer: The dotted name of the module whose output is explained; empty if there is none. Its output is one
            tensor laid out as ``layout``, or a list of them, one per pathway.
        head: The head behind that layer; None if no closed form is exact.
        time_cells: The number of independent time cells of each pathway.
        paper: The address of the paper.
        weights: The official weights, if there are any.
        layout: How the output of the layer is laid out.
        grid: ``(T', h, w)`` of the tokens, needed if ``layout`` is ``tokens``.
        order: The order of these tokens, one of :data:`ORDERS`.
        class_tokens: The number of tokens before them.
        cells: ``(offset, stride)`` of the centres of the layer's cells, in frames, rows and columns; None if they are measured.
        attention: How the blocks attend; None if the attention cannot be rolled out.
        adapt: Turns the official checkpoint, as loaded, into the network's own state dict.
        convert: ``convert(path, folder)`` makes the file ``weights.imported`` of an official file that is no checkpoint.
        temperature: Logits are divided by it before they become probabilities.
        multi_label: Whether each class has its own probability (a sigmoid) instead of sharing one (a softmax).
        architecture: The name of the row with the same network and other weights; None for the row itself.
        compiles: False if OpenVINO is known to be hardly faster than torch.
        rejects: The labels that mean "none of the others"; no evidence is shown for them.
        differentiable: False if the network switches gradients off.
        default_method: The name of the method that explains the model unless one is named, chosen by measurement
            (docs/methods.md); None for the first of :data:`vidcam.methods.lookup.DEFAULTS` that works.
    """

    name: str
    title: str
    family: str
    build: Callable[[], nn.Module]
    labels: Callable[[], tuple[str, ...]]
    num_frames: int
    seconds_between_frames: float
    resize: int | tuple[int, int] | Literal["fit"]
    crop: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    target_layer: str
    head: Head | None
    time_cells: tuple[int, ...]
    paper: str
    weights: Weights | None = None
    layout: Layout = "channels-first"
    grid: tuple[int, int, int] | None = None
    order: str = ORDERS[0]
    class_tokens: int = 1
    cells: tuple[tuple[float, float], tuple[float, float], tuple[float, float]] | None = None
    attention: Attention | None = None
    adapt: Callable[[Mapping[str, object]], Mapping[str, Tensor]] | None = None
    convert: Callable[[Path, Path], Path] | None = None
    temperature: float = 1.0
    multi_label: bool = False
    architecture: str | None = None
    compiles: bool = True
    rejects: tuple[str, ...] = ()
    differentiable: bool = True
    default_method: str | None = None

    def __post_init__(self) -> None:
        if self.num_frames < 1 or not self.seconds_between_frames > 0:
            raise UsageError(
                f"{self.name}: needs at least 1 frame and a positive interval, got {self.num_frames}, "
                f"{self.seconds_between_frames}"
            )
        if not 0 < self.temperature < math.inf:
            raise UsageError(f"{self.name}: a temperature is a positive number, got {self.temperature}")
        if "tokens" in self.layout and self.grid is None:
            raise UsageError(f"{self.name}: a token layout needs grid=(T', h, w)")

    @property
    def provides(self) -> frozenset[str]:
        """What methods can require of this model.

        ``features`` (a target layer), ``gradient``, ``linear-head`` (CAM is exact), ``attention``, ``attentive-pooler`` (a query
        pools the tokens), ``convolutional`` (the target layer is laid out as convolutions do it, unlike that of transformers).
        """
        more = {
            "features": self.target_layer,
            "gradient": self.differentiable,
            "linear-head": self.head,
            "attention": self.attention,
            "attentive-pooler": self.attention and self.attention.pooler,
            "convolutional": self.target_layer and self.layout == "channels-first",
        }
        return frozenset(name for name, fact in more.items() if fact)

    @property
    def is_custom(self) -> bool:
        """Whether the code of the network is the user's, and not vidcam's."""
        return not getattr(self.build, "__module__", "").startswith("vidcam.models.")

    @property
    def clip_s(self) -> float:
        """The seconds of video that one clip covers."""
        return self.num_frames * self.seconds_between_frames

    @property
    def usual_hop_s(self) -> float:
        """The seconds between the starts of two clips if nothing else is asked for: half a clip."""
        return self.clip_s / 2

    @property
    def time_cells_text(self) -> str:
        """The time cells for readers, such as ``8 + 32``."""
        return " + ".join(str(n) for n in self.time_cells)
