"""torchvision's video classifiers, trained on Kinetics-400.

The facts are those of torchvision's weights enums, written down so that the table can be read without importing torch; the tests
compare them with the enums.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from vidcam.models.labels import kinetics400
from vidcam.models.registry import Attention, Head, ModelSpec, Weights, register

if TYPE_CHECKING:
    from torch import nn

LICENCE = "code BSD-3-Clause; for the weights torchvision names no licence of their own"


class _Look(NamedTuple):
    """What a network is shown: resize, crop, mean and standard deviation of the pixels."""

    resize: int | tuple[int, int]
    crop: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_KINETICS_MEAN, _KINETICS_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
_RESNET = _Look((128, 171), (112, 112), _KINETICS_MEAN, _KINETICS_STD)
_S3D = _Look((256, 256), (224, 224), _KINETICS_MEAN, _KINETICS_STD)
_MVIT = _Look(256, (224, 224), (0.45, 0.45, 0.45), (0.225, 0.225, 0.225))
_SWIN = _Look(256, (224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _plain(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from torchvision.models import video

        net: nn.Module = getattr(video, name)(weights=None)
        return net

    return build


def _build_s3d() -> nn.Module:
    from vidcam.models.adapters import S3D

    return S3D(_plain("s3d")())


def _weights(file: str, accuracy: float, protocol: str) -> Weights:
    return Weights(
        f"https://download.pytorch.org/models/{file}",
        sha256=file.removesuffix(".pth").rsplit("-", 1)[1],
        licence=LICENCE,
        accuracy=accuracy,
        protocol=f"Kinetics-400 top-1, {protocol}",
    )


for _name, _title, _file, _accuracy, _cells, _paper in (
    ("r3d_18", "ResNet3D-18", "r3d_18-b3b3357e.pth", 63.200, 2, "https://arxiv.org/abs/1711.11248"),
    ("mc3_18", "ResNet mixed convolution-18", "mc3_18-a90a0ba3.pth", 63.960, 16, "https://arxiv.org/abs/1711.11248"),
    ("r2plus1d_18", "ResNet (2+1)D-18", "r2plus1d_18-91a641e6.pth", 67.463, 2, "https://arxiv.org/abs/1711.11248"),
):
    register(
        ModelSpec(
            name=_name,
            title=_title,
            family="torchvision",
            build=_plain(_name),
            labels=kinetics400,
            frames=16,
            seconds_between_frames=1 / 15,
            **_RESNET._asdict(),
            layer="layer4",
            head=Head(("fc",)),
            time_cells=(_cells,),
            paper=_paper,
            weights=_weights(_file, _accuracy, "5 clips of 16 frames at 15 per second"),
        )
    )

register(
    ModelSpec(
        name="s3d",
        title="S3D",
        family="torchvision",
        build=_build_s3d,
        labels=kinetics400,
        frames=128,
        seconds_between_frames=1 / 15,
        **_S3D._asdict(),
        layer="weighed",
        head=Head(("classifier.1",)),
        time_cells=(16,),
        paper="https://arxiv.org/abs/1712.04851",
        weights=_weights("s3d-d76dad2f.pth", 68.368, "1 clip of 128 frames at 15 per second"),
    )
)

for _name, _title, _file, _accuracy, _paper in (
    ("mvit_v1_b", "MViT v1 B", "mvit_v1_b-dbeb1030.pth", 78.477, "https://arxiv.org/abs/2104.11227"),
    ("mvit_v2_s", "MViT v2 S", "mvit_v2_s-ae3be167.pth", 80.757, "https://arxiv.org/abs/2112.01526"),
):
    register(
        ModelSpec(
            name=_name,
            title=_title,
            family="torchvision",
            build=_plain(_name),
            labels=kinetics400,
            frames=16,
            seconds_between_frames=1 / 7.5,
            **_MVIT._asdict(),
            # After the last block only the class token is read: its patches have no gradient. norm1 is where they still count.
            layer="blocks.15.norm1",
            layout="tokens",
            grid=(8, 7, 7),
            attention=Attention("pooled", (2, 4, 4), (0.0, 0.0, 0.0)),  # of a padded convolution
            head=None,
            time_cells=(8,),
            paper=_paper,
            weights=_weights(_file, _accuracy, "5 clips of 16 frames at 7.5 per second"),
            compiles=_name != "mvit_v2_s",  # its relative positions become 800 MB of constants
        )
    )

for _name, _title, _file, _accuracy in (
    ("swin3d_t", "Video Swin T", "swin3d_t-7615ae03.pth", 77.715),
    ("swin3d_s", "Video Swin S", "swin3d_s-da41c237.pth", 79.521),
    ("swin3d_b", "Video Swin B", "swin3d_b_1k-24f7c7c6.pth", 79.427),
):
    register(
        ModelSpec(
            name=_name,
            title=_title,
            family="torchvision",
            build=_plain(_name),
            labels=kinetics400,
            frames=32,
            seconds_between_frames=1 / 15,
            **_SWIN._asdict(),
            layer="norm",
            layout="channels-last",
            attention=Attention("windows", (2, 4, 4), (0.5, 1.5, 1.5)),  # of patches side by side
            head=Head(("head",)),
            time_cells=(16,),
            paper="https://arxiv.org/abs/2106.13230",
            weights=_weights(_file, _accuracy, "12 clips of 32 frames at 15 per second"),
        )
    )
