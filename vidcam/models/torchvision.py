"""torchvision's video classifiers, trained on Kinetics-400.

The facts are copied from torchvision's weights enums, so that the table can be read without importing torch; the tests compare
them with the enums.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from vidcam.models.labels import kinetics400
from vidcam.models.spec import Attention, Head, ModelSpec, Weights

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MODELS"]

LICENCE = "code BSD-3-Clause; for the weights torchvision names no licence of their own"


class _Preprocessing(NamedTuple):
    """How frames become the network's input: resize, crop, mean and standard deviation of the pixels."""

    resize: int | tuple[int, int]
    crop: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_KINETICS_MEAN, _KINETICS_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
_RESNET = _Preprocessing((128, 171), (112, 112), _KINETICS_MEAN, _KINETICS_STD)
_S3D = _Preprocessing((256, 256), (224, 224), _KINETICS_MEAN, _KINETICS_STD)
_MVIT = _Preprocessing(256, (224, 224), (0.45, 0.45, 0.45), (0.225, 0.225, 0.225))
_SWIN = _Preprocessing(256, (224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _builder(name: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        from torchvision.models import video

        net: nn.Module = getattr(video, name)(weights=None)
        return net

    return build


def _build_s3d() -> nn.Module:
    from vidcam.models.adapters import S3D

    return S3D(_builder("s3d")())


def _weights(file: str, accuracy: float, protocol: str, mebibytes: float) -> Weights:
    return Weights(
        f"https://download.pytorch.org/models/{file}",
        sha256=file.removesuffix(".pth").rsplit("-", 1)[1],
        licence=LICENCE,
        accuracy=accuracy,
        protocol=f"Kinetics-400 top-1, {protocol}",
        size=round(mebibytes * 2**20),
    )


def _resnet(name: str, title: str, file: str, mebibytes: float, accuracy: float, *, cells: int) -> ModelSpec:
    return ModelSpec(
        name=name,
        title=title,
        family="torchvision",
        build=_builder(name),
        labels=kinetics400,
        num_frames=16,
        seconds_between_frames=1 / 15,
        **_RESNET._asdict(),
        target_layer="layer4",
        head=Head(("fc",)),
        time_cells=(cells,),
        paper="https://arxiv.org/abs/1711.11248",
        weights=_weights(file, accuracy, "5 clips of 16 frames at 15 per second", mebibytes),
    )


def _s3d() -> ModelSpec:
    return ModelSpec(
        name="s3d",
        title="S3D",
        family="torchvision",
        build=_build_s3d,
        labels=kinetics400,
        num_frames=128,
        seconds_between_frames=1 / 15,
        **_S3D._asdict(),
        target_layer="weighed",
        head=Head(("classifier.1",)),
        time_cells=(16,),
        paper="https://arxiv.org/abs/1712.04851",
        weights=_weights("s3d-d76dad2f.pth", 68.368, "1 clip of 128 frames at 15 per second", 31.972),
    )


def _mvit(name: str, title: str, file: str, mebibytes: float, accuracy: float, paper: str, *, compiles: bool) -> ModelSpec:
    return ModelSpec(
        name=name,
        title=title,
        family="torchvision",
        build=_builder(name),
        labels=kinetics400,
        num_frames=16,
        seconds_between_frames=1 / 7.5,
        **_MVIT._asdict(),
        # Behind the last block only the class token is read, so patch tokens have no gradient there. At norm1 they still do.
        target_layer="blocks.15.norm1",
        layout="tokens",
        grid=(8, 7, 7),
        attention=Attention("pooled", (2, 4, 4), (0.0, 0.0, 0.0)),  # the centres of a padded convolution
        head=None,
        time_cells=(8,),
        paper=f"https://arxiv.org/abs/{paper}",
        weights=_weights(file, accuracy, "5 clips of 16 frames at 7.5 per second", mebibytes),
        compiles=compiles,
    )


def _swin(name: str, title: str, file: str, mebibytes: float, accuracy: float) -> ModelSpec:
    return ModelSpec(
        name=name,
        title=title,
        family="torchvision",
        build=_builder(name),
        labels=kinetics400,
        num_frames=32,
        seconds_between_frames=1 / 15,
        **_SWIN._asdict(),
        target_layer="norm",
        layout="channels-last",
        attention=Attention("windows", (2, 4, 4), (0.5, 1.5, 1.5)),  # the centres of adjacent patches
        head=Head(("head",)),
        time_cells=(16,),
        paper="https://arxiv.org/abs/2106.13230",
        weights=_weights(file, accuracy, "12 clips of 32 frames at 15 per second", mebibytes),
    )


MODELS: tuple[ModelSpec, ...] = (
    _resnet("r3d_18", "ResNet3D-18", "r3d_18-b3b3357e.pth", 127.359, 63.200, cells=2),
    _resnet("mc3_18", "ResNet mixed convolution-18", "mc3_18-a90a0ba3.pth", 44.672, 63.960, cells=16),
    _resnet("r2plus1d_18", "ResNet (2+1)D-18", "r2plus1d_18-91a641e6.pth", 120.318, 67.463, cells=2),
    _s3d(),
    _mvit("mvit_v1_b", "MViT v1 B", "mvit_v1_b-dbeb1030.pth", 139.764, 78.477, "2104.11227", compiles=True),
    # The relative positions of v2 would become 800 MB of constants.
    _mvit("mvit_v2_s", "MViT v2 S", "mvit_v2_s-ae3be167.pth", 131.884, 80.757, "2112.01526", compiles=False),
    _swin("swin3d_t", "Video Swin T", "swin3d_t-7615ae03.pth", 121.543, 77.715),
    _swin("swin3d_s", "Video Swin S", "swin3d_s-da41c237.pth", 218.288, 79.521),
    _swin("swin3d_b", "Video Swin B", "swin3d_b_1k-24f7c7c6.pth", 364.134, 79.427),
)
