"""PyTorchVideo's classifiers, trained on Kinetics-400.

The facts are from its model zoo: a clip has ``frames`` frames, every ``rate``-th of a video at 30 frames per second. The crop is
the one of the training, because the head pools exactly that grid. PyTorchVideo is imported only if a network is built.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from vidcam.models.labels import kinetics400
from vidcam.models.spec import Attention, Head, ModelSpec, Weights

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MODELS"]

LICENCE = "code Apache-2.0; for the weights PyTorchVideo names no licence of their own"
THIRTY_VIEWS = "10 clips x 3 crops"
FIVE_VIEWS = "5 clips x 1 crop"


def _builder(name: str, *, head: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from vidcam.models.adapters import remove_activation, replace_swish

        with warnings.catch_warnings():
            # On import it decorates a function with torch.jit.script, which new releases of torch call deprecated.
            warnings.simplefilter("ignore")
            from pytorchvideo.models import hub

        return replace_swish(remove_activation(getattr(hub, name)(), head))

    return build


def _slowfast_builder(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from vidcam.models.adapters import SlowFast

        return SlowFast(_builder(name, head="blocks.6")())

    return build


def _row(
    name: str,
    title: str,
    *,
    frames: int,
    rate: int,
    cells: tuple[int, ...],
    layer: str,
    head: Head | None,
    file: str,
    accuracy: float,
    paper: str,
    build: Callable[[], nn.Module],
    resize: int = 256,
    crop: int = 224,
    views: str = THIRTY_VIEWS,
    grid: tuple[int, int, int] | None = None,
    attention: Attention | None = None,
) -> ModelSpec:
    """Return a row with the facts that all networks share; ``grid`` is given for networks of tokens."""
    return ModelSpec(
        name=name,
        title=title,
        family="pytorchvideo",
        build=build,
        labels=kinetics400,
        num_frames=frames,
        seconds_between_frames=rate / 30,
        resize=resize,
        crop=(crop, crop),
        mean=(0.45, 0.45, 0.45),
        std=(0.225, 0.225, 0.225),
        target_layer=layer,
        layout="tokens" if grid else "channels-first",
        grid=grid,
        attention=attention,
        head=head,
        time_cells=cells,
        paper=f"https://arxiv.org/abs/{paper}",
        weights=Weights(
            f"https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics/{file}",
            sha256=None,
            licence=LICENCE,
            accuracy=accuracy,
            protocol=f"Kinetics-400 top-1, {views}",
        ),
    )


def _x3d(name: str, title: str, accuracy: float, *, frames: int, rate: int, resize: int, crop: int) -> ModelSpec:
    return _row(
        name,
        title,
        frames=frames,
        rate=rate,
        resize=resize,
        crop=crop,
        cells=(frames,),
        # The input of the average pooling. A convolution without bias, a ReLU and the classifier follow: linear once the gates of
        # the ReLU are known.
        layer="blocks.5.pool.pre_act",
        head=Head(("blocks.5.pool.post_conv", "blocks.5.proj")),
        file=f"{name.upper()}.pyth",
        accuracy=accuracy,
        paper="2004.04730",
        build=_builder(name, head="blocks.5"),
    )


def _resnet(
    name: str, title: str, file: str, accuracy: float, paper: str, *, frames: int, rate: int, cells: int, stage: int = 4
) -> ModelSpec:
    """Return the row of a network with one pathway; its last stage is ``blocks.<stage>``.

    Its head is the next block.
    """
    head = f"blocks.{stage + 1}"
    return _row(
        name,
        title,
        frames=frames,
        rate=rate,
        cells=(cells,),
        layer=f"blocks.{stage}",
        head=Head((f"{head}.proj",)),
        file=file,
        accuracy=accuracy,
        paper=paper,
        build=_builder(name, head=head),
    )


def _slowfast(name: str, title: str, file: str, accuracy: float) -> ModelSpec:
    return _row(
        name,
        title,
        frames=32,
        rate=2,
        cells=(8, 32),
        layer="blocks.4",
        head=Head(("blocks.6.proj",)),
        file=file,
        accuracy=accuracy,
        paper="1812.03982",
        build=_slowfast_builder(name),
    )


def _mvit(name: str, title: str, file: str, accuracy: float, *, frames: int, rate: int) -> ModelSpec:
    return _row(
        name,
        title,
        frames=frames,
        rate=rate,
        cells=(frames // 2,),
        # Behind the last block only the class token is read, so patch tokens have no gradient there. At norm1 they still do.
        layer="blocks.15.norm1",
        grid=(frames // 2, 7, 7),
        attention=Attention("pooled", (2, 4, 4), (0.0, 0.0, 0.0)),
        head=None,
        file=file,
        accuracy=accuracy,
        views=FIVE_VIEWS,
        paper="2104.11227",
        build=_builder(name, head="head"),
    )


MODELS: tuple[ModelSpec, ...] = (
    _x3d("x3d_xs", "X3D-XS", 69.12, frames=4, rate=12, resize=182, crop=160),
    _x3d("x3d_s", "X3D-S", 73.33, frames=13, rate=6, resize=182, crop=160),
    _x3d("x3d_m", "X3D-M", 75.94, frames=16, rate=5, resize=256, crop=224),
    _x3d("x3d_l", "X3D-L", 77.44, frames=16, rate=5, resize=356, crop=312),
    _resnet("slow_r50", "Slow R50 8x8", "SLOW_8x8_R50.pyth", 74.58, "1812.03982", frames=8, rate=8, cells=8),
    _resnet("c2d_r50", "C2D R50 8x8", "C2D_8x8_R50.pyth", 71.46, "1711.07971", frames=8, rate=8, cells=4, stage=5),
    _resnet("i3d_r50", "I3D R50 8x8", "I3D_8x8_R50.pyth", 73.27, "1705.07750", frames=8, rate=8, cells=4, stage=5),
    _resnet("r2plus1d_r50", "R(2+1)D R50 16x4", "R2PLUS1D_16x4_R50.pyth", 76.01, "1711.11248", frames=16, rate=4, cells=4),
    _resnet("csn_r101", "CSN R101 32x2", "CSN_32x2_R101.pyth", 77.00, "1904.02811", frames=32, rate=2, cells=4),
    _slowfast("slowfast_r50", "SlowFast R50 8x8", "SLOWFAST_8x8_R50.pyth", 76.94),
    _slowfast("slowfast_r101", "SlowFast R101 8x8", "SLOWFAST_8x8_R101.pyth", 77.90),
    _mvit("mvit_base_16x4", "MViT B 16x4", "MVIT_B_16x4.pyth", 78.85, frames=16, rate=4),
    _mvit("mvit_base_32x3", "MViT B 32x3", "MVIT_B_32x3_f294077834.pyth", 80.30, frames=32, rate=3),
)
