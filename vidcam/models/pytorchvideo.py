"""PyTorchVideo's classifiers, trained on Kinetics-400.

Facts from its model zoo: a clip of ``frames`` pictures taken every ``rate`` frames of a video at 30 per second. The crop is the
one that the network was trained with: its head pools exactly that grid. PyTorchVideo is imported only when a network is built.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from vidcam.models.labels import kinetics400
from vidcam.models.registry import Attention, Head, ModelSpec, Weights, register

if TYPE_CHECKING:
    from torch import nn

LICENCE = "code Apache-2.0; for the weights PyTorchVideo names no licence of their own"
THIRTY_VIEWS = "10 clips x 3 crops"
FIVE_VIEWS = "5 clips x 1 crop"


def _builder(name: str, *, head: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from vidcam.models.adapters import plain_swish, without_activation

        with warnings.catch_warnings():
            # It decorates a function with torch.jit.script when imported, which new releases of torch call deprecated.
            warnings.simplefilter("ignore")
            from pytorchvideo.models import hub

        return plain_swish(without_activation(getattr(hub, name)(), head))

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
) -> None:
    register(
        ModelSpec(
            name=name,
            title=title,
            family="pytorchvideo",
            build=build,
            labels=kinetics400,
            frames=frames,
            seconds_between_frames=rate / 30,
            resize=resize,
            crop=(crop, crop),
            mean=(0.45, 0.45, 0.45),
            std=(0.225, 0.225, 0.225),
            layer=layer,
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
    )


for _name, _title, _frames, _rate, _resize, _crop, _accuracy in (
    ("x3d_xs", "X3D-XS", 4, 12, 182, 160, 69.12),
    ("x3d_s", "X3D-S", 13, 6, 182, 160, 73.33),
    ("x3d_m", "X3D-M", 16, 5, 256, 224, 75.94),
    ("x3d_l", "X3D-L", 16, 5, 356, 312, 77.44),
):
    _row(
        _name,
        _title,
        frames=_frames,
        rate=_rate,
        resize=_resize,
        crop=_crop,
        cells=(_frames,),
        # What the average pooling sees. After it come a convolution without bias, a ReLU and the classifier: linear once the
        # ReLU's gates are known.
        layer="blocks.5.pool.pre_act",
        head=Head(("blocks.5.pool.post_conv", "blocks.5.proj")),
        file=f"{_name.upper()}.pyth",
        accuracy=_accuracy,
        paper="2004.04730",
        build=_builder(_name, head="blocks.5"),
    )

for _name, _title, _frames, _rate, _cells, _stage, _file, _accuracy, _paper in (
    ("slow_r50", "Slow R50 8x8", 8, 8, 8, 4, "SLOW_8x8_R50.pyth", 74.58, "1812.03982"),
    ("c2d_r50", "C2D R50 8x8", 8, 8, 4, 5, "C2D_8x8_R50.pyth", 71.46, "1711.07971"),
    ("i3d_r50", "I3D R50 8x8", 8, 8, 4, 5, "I3D_8x8_R50.pyth", 73.27, "1705.07750"),
    ("r2plus1d_r50", "R(2+1)D R50 16x4", 16, 4, 4, 4, "R2PLUS1D_16x4_R50.pyth", 76.01, "1711.11248"),
    ("csn_r101", "CSN R101 32x2", 32, 2, 4, 4, "CSN_32x2_R101.pyth", 77.00, "1904.02811"),
):
    _row(
        _name,
        _title,
        frames=_frames,
        rate=_rate,
        cells=(_cells,),
        layer=f"blocks.{_stage}",
        head=Head((f"blocks.{_stage + 1}.proj",)),
        file=_file,
        accuracy=_accuracy,
        paper=_paper,
        build=_builder(_name, head=f"blocks.{_stage + 1}"),
    )

for _name, _title, _file, _accuracy in (
    ("slowfast_r50", "SlowFast R50 8x8", "SLOWFAST_8x8_R50.pyth", 76.94),
    ("slowfast_r101", "SlowFast R101 8x8", "SLOWFAST_8x8_R101.pyth", 77.90),
):
    _row(
        _name,
        _title,
        frames=32,
        rate=2,
        cells=(8, 32),
        layer="blocks.4",
        head=Head(("blocks.6.proj",)),
        file=_file,
        accuracy=_accuracy,
        paper="1812.03982",
        build=_slowfast_builder(_name),
    )

for _name, _title, _frames, _rate, _file, _accuracy in (
    ("mvit_base_16x4", "MViT B 16x4", 16, 4, "MVIT_B_16x4.pyth", 78.85),
    ("mvit_base_32x3", "MViT B 32x3", 32, 3, "MVIT_B_32x3_f294077834.pyth", 80.30),
):
    _row(
        _name,
        _title,
        frames=_frames,
        rate=_rate,
        cells=(_frames // 2,),
        # After the last block only the class token is read: its patches have no gradient. norm1 is where they still count.
        layer="blocks.15.norm1",
        grid=(_frames // 2, 7, 7),
        attention=Attention("pooled", (2, 4, 4), (0.0, 0.0, 0.0)),
        head=None,
        file=_file,
        accuracy=_accuracy,
        views=FIVE_VIEWS,
        paper="2104.11227",
        build=_builder(_name, head="head"),
    )
