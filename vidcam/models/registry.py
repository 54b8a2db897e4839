"""The table of models: a model is a row of facts, and `load` turns a row and a weight file into a model that runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vidcam.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["ORDERS", "Attention", "Head", "Layout", "ModelSpec", "Weights", "get", "names", "register", "specs"]

Layout = Literal["channels-first", "channels-last", "tokens", "folded"]
"""How the explained layer lays out its output: (B,C,T,h,w), (B,T,h,w,C), (B,1+T*h*w,C) with a class token first, or (B*T,C,h,w),
the frames of each clip one after the other."""

ORDERS = ("thw", "twh", "htw", "hwt", "wth", "wht")
"""The orders in which tokens can run over time, rows (h) and columns (w); the last letter runs fastest."""


@dataclass(frozen=True)
class Weights:
    """Where a model's weights officially are (an address, or a path for what the package ships), and what they are worth.

    ``sha256`` is the published checksum or its published leading part (torchvision and torch hub put eight digits into the file's
    name), None where nobody published one: then the first download pins it. ``file`` is the name under which it is kept, where
    that is not the last part of ``url``; ``imported`` the name of what ``ModelSpec.convert`` makes of a file, used first where it
    exists.
    """

    url: str
    sha256: str | None
    licence: str
    accuracy: float
    protocol: str
    file: str | None = None
    imported: str | None = None

    @property
    def filename(self) -> str:
        return self.file or self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Head:
    """A head that is global average pooling followed by linear layers, each but the last followed by ``clip(0, ceiling)``.

    One linear layer is the plain case (Zhou et al. 2016); X3D has two with a ReLU between (``ceiling`` infinite), MoViNet two
    with a ReLU6 (``ceiling`` 6). ``linears`` are the dotted names of the layers (``nn.Linear`` or pointwise convolutions).
    """

    linears: tuple[str, ...]
    ceiling: float = math.inf


@dataclass(frozen=True)
class Attention:
    """How the blocks of a transformer attend, and where the tokens of its first block are.

    ``pooled``: a class token that is classified at the end, and queries and keys that are pooled (MViT). ``windows``: shifted
    windows and merged tokens, all pooled at the end (Swin). Token j of an axis (frames, rows, columns) is centred at
    ``offset + stride * j``.
    """

    kind: Literal["pooled", "windows"]
    stride: tuple[int, int, int]
    offset: tuple[float, float, float]


@dataclass(frozen=True)
class ModelSpec:
    """One model, as data. Whatever is odd about a network is adapted inside ``build``.

    ``build()`` makes the network with random weights: ``(B,3,T,H,W) float`` normalised RGB in, ``(B,K)`` **logits** out.
    ``adapt`` turns the official checkpoint (as loaded) into the network's own state dict. ``convert(path, folder)`` makes a file
    of that state dict out of an official file that is no checkpoint; the file is called ``weights.imported``.
    A clip is ``frames`` pictures, ``seconds_between_frames`` apart. ``resize`` is the length of the short side, or ``(height,
    width)``; ``crop`` is ``(height, width)``; pixels are divided by 255, then normalised by ``mean`` and ``std``.
    ``layer`` is the dotted name of the explained module; its output is one tensor laid out as ``layout``, or a list of them (one
    for each pathway); ``grid`` is (T', h, w) where the layout does not tell, ``order`` that of tokens. ``head`` is None where no
    closed form is exact. ``attention`` is None where there is none that can be rolled out.
    ``time_cells`` is the number of independent time cells of each pathway. Logits are divided by ``temperature`` before they
    become probabilities; with ``multi_label`` each class has its own (a sigmoid), else they share one (a softmax).
    ``architecture`` is the name of the row whose network this is with other weights, None for the row itself.
    ``compiles`` is False where OpenVINO was seen to be hardly faster than torch. ``rejects`` are the labels which say that none
    of the others holds: there is no evidence for them to show. ``differentiable`` is False where the network
    switches gradients off.
    """

    name: str
    title: str
    family: str
    build: Callable[[], nn.Module]
    labels: Callable[[], tuple[str, ...]]
    frames: int
    seconds_between_frames: float
    resize: int | tuple[int, int]
    crop: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    layer: str
    head: Head | None
    time_cells: tuple[int, ...]
    paper: str
    weights: Weights | None = None
    layout: Layout = "channels-first"
    grid: tuple[int, int, int] | None = None
    order: str = ORDERS[0]
    attention: Attention | None = None
    adapt: Callable[[Mapping[str, object]], Mapping[str, Tensor]] | None = None
    convert: Callable[[Path, Path], Path] | None = None
    temperature: float = 1.0
    multi_label: bool = False
    architecture: str | None = None
    compiles: bool = True
    rejects: tuple[str, ...] = ()
    differentiable: bool = True

    def __post_init__(self) -> None:
        if self.frames < 1 or not self.seconds_between_frames > 0:
            raise UsageError(
                f"{self.name}: needs at least 1 frame and a positive interval, got {self.frames}, {self.seconds_between_frames}"
            )
        if not 0 < self.temperature < math.inf:
            raise UsageError(f"{self.name}: a temperature is a positive number, got {self.temperature}")
        if self.layout == "tokens" and self.grid is None:
            raise UsageError(f"{self.name}: a token layout needs grid=(T', h, w)")

    @property
    def provides(self) -> frozenset[str]:
        """What methods may require of this model: ``features``, ``gradient``, ``linear-head`` where CAM is exact, ``attention``,
        ``convolutional`` where the explained layer is laid out as convolutions do it, which transformers do not."""
        more = {
            "features": self.layer,
            "gradient": self.differentiable,
            "linear-head": self.head,
            "attention": self.attention,
            "convolutional": self.layer and self.layout == "channels-first",
        }
        return frozenset(name for name, fact in more.items() if fact)

    @property
    def own(self) -> bool:
        """Is the code of the network the user's, and not vidcam's?"""
        return not getattr(self.build, "__module__", "").startswith("vidcam.models.")

    @property
    def clip_s(self) -> float:
        """Seconds of video that one clip answers for."""
        return self.frames * self.seconds_between_frames

    @property
    def time_cells_text(self) -> str:
        return " + ".join(str(n) for n in self.time_cells)


_SPECS: dict[str, ModelSpec] = {}


def register(spec: ModelSpec) -> ModelSpec:
    """Add a row to the table; a name that is taken is refused."""
    if spec.name in _SPECS:
        raise UsageError(f"a model named {spec.name!r} is registered already")
    _SPECS[spec.name] = spec
    return spec


def names() -> tuple[str, ...]:
    """The registered names, in the table's order."""
    _load_families()
    return tuple(_SPECS)


def specs() -> tuple[ModelSpec, ...]:
    """The table's rows, in its order."""
    _load_families()
    return tuple(_SPECS.values())


def get(name: str) -> ModelSpec:
    """The row called ``name``; UnknownNameError (with the nearest names) where there is none."""
    _load_families()
    try:
        return _SPECS[name]
    except KeyError:
        raise UnknownNameError("model", name, _SPECS) from None


def _load_families() -> None:
    from vidcam.models import mini, movinet, pytorchvideo, torchvision  # noqa: F401  (each registers its rows when imported)
