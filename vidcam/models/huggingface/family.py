"""A family of transformers' video models as one adapter object: its inputs, its logits, its cells and its attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vidcam.models.huggingface.processor import Pixels
from vidcam.models.spec import Attention, Head, Layout

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Cells", "Family", "attention_of", "pair"]

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Cells:
    """The layer that is explained, and where its cells are.

    Attributes:
        layer: Its dotted name inside the network of transformers.
        grid: The numbers of cells along time, rows and columns.
        tubelet: The frames, rows and columns of pixels of one cell; cells lie side by side.
        class_tokens: The number of tokens before the cells.
        order: The order of the cells, one of :data:`~vidcam.models.spec.ORDERS`.
        layout: How the output of the layer is laid out.
        head: The head that is exact at this layer; None if there is none.
    """

    layer: str
    grid: Triple
    tubelet: Triple
    class_tokens: int
    order: str = "thw"
    layout: Layout = "tokens"
    head: Head | None = None

    @property
    def centres(self) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
        """``(offset, stride)`` of the centres along time, rows and columns."""
        t, h, w = (((n - 1) / 2, float(n)) for n in self.tubelet)
        return t, h, w


class Family:
    """What one family of networks needs; a subclass states its facts and overrides what differs.

    Attributes:
        model_type: The ``model_type`` of its ``config.json``.
        title: The name for readers.
        paper: The address of the paper.
        input: The name of the pixels among the inputs of the network.
        pixels: How its own processor makes pixels, for what no processor file says.
        is_text: Whether its classes are phrases that are given, and not labels that it was trained on.
        seconds: The seconds between frames that official checkpoints were trained with, by the name of the repository. No file of
            a checkpoint says this.
        assumed_seconds: The seconds between frames for all other checkpoints.
        licence: The licence of the weights of official checkpoints, as their model cards name it; empty if it is not known here.
        licence_source: Where that was read, and what could not be verified.
        any_frames: Whether the network takes any number of frames, and not only that of its config.
    """

    model_type: str
    title: str
    paper: str
    input = "pixel_values"
    pixels: Pixels
    is_text = False
    seconds: ClassVar[Mapping[str, float]] = {}
    assumed_seconds: float
    licence = ""
    licence_source = ""
    any_frames = False

    def frames(self, config: Any) -> int:
        """Return the number of frames in a clip."""
        return int(config.num_frames)

    def size(self, config: Any) -> tuple[int, int]:
        """Return the height and width in pixels for which the network has positions."""
        return pair(config.image_size)

    def grid(self, config: Any, frames: int, tubelet: Triple) -> Triple:
        """Return how many tubelets of (frames, rows, columns) a clip of ``frames`` frames has along each axis."""
        height, width = self.size(config)
        return frames // tubelet[0], height // tubelet[1], width // tubelet[2]

    def cells(self, config: Any, frames: int) -> Cells | None:
        """Return the layer that is explained, for clips of ``frames`` frames; None if no layer has cells with a place."""
        raise NotImplementedError

    def attention(self, config: Any, cells: Cells) -> Attention | None:
        """Return how the blocks attend; None if it cannot be followed to the logits."""
        raise NotImplementedError

    def load(self, folder: str, **options: Any) -> tuple[nn.Module, Mapping[str, Any]]:
        """Return the network with the weights in ``folder``, and what transformers says about them.

        ``options`` are those of its ``from_pretrained``.
        """
        from transformers import AutoModelForVideoClassification

        network, info = AutoModelForVideoClassification.from_pretrained(folder, output_loading_info=True, **options)
        return network, info

    def prepare(self, clips: Tensor) -> dict[str, Tensor]:
        """Return the inputs of the network for clips ``(B, 3, T, H, W)``; transformers puts the frames before the colours."""
        return {self.input: clips.transpose(1, 2)}

    def logits(self, network: nn.Module, clips: Tensor) -> Tensor:
        """Return the logits ``(B, K)`` of clips ``(B, 3, T, H, W)``."""
        logits: Tensor = network(**self.prepare(clips)).logits
        return logits

    def encode(self, network: nn.Module, folder: str, phrases: Sequence[str]) -> None:
        """Make phrases the classes of the network; for families whose ``is_text`` is true."""
        raise NotImplementedError


def pair(size: Any) -> tuple[int, int]:
    """Return a size in a config, one number or (height, width), as height and width."""
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def attention_of(cells: Cells, kind: Any, pooler: str = "") -> Attention:
    """Return the attention of blocks whose first tokens are where the cells are."""
    (t, _), (h, _), (w, _) = cells.centres
    return Attention(kind, cells.tubelet, (t, h, w), pooler=f"net.{pooler}" if pooler else "")
