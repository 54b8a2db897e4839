"""Weights of mmaction2's 3-D recognisers for networks of the table: which fit, under which names, and what else differs.

The names and the settings are those of mmaction2 1.x (https://github.com/open-mmlab/mmaction2, ``configs/_base_/models``). Its
R(2+1)D networks have no counterpart in the table: theirs have a max pooling after the first layer and other widths.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, cast

from vidcam.errors import WeightsError
from vidcam.models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["COUNTERPARTS", "adopt", "is_of_mmaction", "rename"]

Names = tuple[tuple[str, str], ...]
"""Parts of mmaction2's names and what stands for them in PyTorchVideo's; they are replaced one after the other."""

_IMAGENET = (123.675 / 255, 116.28 / 255, 103.53 / 255), (58.395 / 255, 57.12 / 255, 57.375 / 255)
_X3D = (114.75 / 255,) * 3, (57.38 / 255,) * 3

_BOTTLENECK: Names = (
    (".conv1.conv.", ".branch2.conv_a."),
    (".conv1.bn.", ".branch2.norm_a."),
    (".conv2.conv.", ".branch2.conv_b."),
    (".conv2.bn.", ".branch2.norm_b."),
    (".conv3.conv.", ".branch2.conv_c."),
    (".conv3.bn.", ".branch2.norm_c."),
    (".downsample.conv.", ".branch1_conv."),
    (".downsample.bn.", ".branch1_norm."),
)


def _resnet_names(stages: tuple[int, ...] = (1, 2, 3, 4), *, conv2: str = ".conv2.") -> Names:
    """Return the names of a ResNet whose stages are these blocks; the last block but one is followed by the classifier."""
    return (
        ("backbone.conv1.conv.", "blocks.0.conv."),
        ("backbone.conv1.bn.", "blocks.0.norm."),
        (conv2, ".conv2."),
        *_BOTTLENECK,
        *((f"backbone.layer{i}.", f"blocks.{block}.res_blocks.") for i, block in enumerate(stages, start=1)),
        ("cls_head.fc_cls.", f"blocks.{stages[-1] + 1}.proj."),
    )


_X3D_NAMES: Names = (
    ("backbone.conv1_s.conv.", "blocks.0.conv.conv_t."),  # PyTorchVideo's own names for place and time are swapped here
    ("backbone.conv1_t.conv.", "blocks.0.conv.conv_xy."),
    ("backbone.conv1_t.bn.", "blocks.0.norm."),
    (".conv2.bn.", ".branch2.norm_b.0."),
    (".se_module.fc1.", ".branch2.norm_b.1.block.0."),
    (".se_module.fc2.", ".branch2.norm_b.1.block.2."),
    *_BOTTLENECK,
    *((f"backbone.layer{i}.", f"blocks.{i}.res_blocks.") for i in (1, 2, 3, 4)),
    ("backbone.conv5.conv.", "blocks.5.pool.pre_conv."),
    ("backbone.conv5.bn.", "blocks.5.pool.pre_norm."),
    ("cls_head.fc1.", "blocks.5.pool.post_conv."),
    ("cls_head.fc2.", "blocks.5.proj."),
)

DEPTHS = {6: 50, 23: 101, 36: 152}
"""The depth of a ResNet of bottlenecks by the number of blocks in its third stage."""


def _made_by_pytorchvideo(module: str, function: str, **settings: object) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on import it uses what new releases of torch call deprecated
        make = getattr(importlib.import_module(f"pytorchvideo.models.{module}"), function)
    return cast("nn.Module", make(**settings))


def _slow(_row: ModelSpec, depth: int) -> nn.Module:
    """Return SlowOnly, which mmaction2 has in two depths."""
    return _made_by_pytorchvideo(
        "resnet", "create_resnet", model_depth=depth, stem_conv_kernel_size=(1, 7, 7), head_pool_kernel_size=(8, 7, 7)
    )


def _csn(_row: ModelSpec, depth: int) -> nn.Module:
    """Return the interaction-reduced CSN, whose norms add 1e-3 to the variance."""
    from torch import nn

    network = _made_by_pytorchvideo(
        "csn", "create_csn", model_depth=depth, stem_pool=nn.MaxPool3d, head_pool_kernel_size=(4, 7, 7)
    )
    for part in network.modules():
        if isinstance(part, nn.BatchNorm3d):
            part.eps = 1e-3
    return network


def _i3d(row: ModelSpec, _depth: int) -> nn.Module:
    """Return I3D with a stem that halves the time twice, for 32 frames instead of 8."""
    network = row.build()
    network.get_submodule("blocks.0.conv").stride = (2, 2, 2)  # type: ignore[assignment]
    network.get_submodule("blocks.0.pool").stride = (2, 2, 2)  # type: ignore[assignment]
    return network


def _x3d(row: ModelSpec, _depth: int) -> nn.Module:
    """Return X3D with a norm in the shortcut of its first block too."""
    from torch import nn

    network = row.build()
    first = network.get_submodule("blocks.1.res_blocks.0")
    first.branch1_norm = nn.BatchNorm3d(cast("nn.Conv3d", first.branch1_conv).out_channels)
    return network


@dataclass(frozen=True)
class Counterpart:
    """A recogniser of mmaction2 and what it needs of the network of the table.

    Attributes:
        title: Its name there.
        names: How its tensors are named.
        build: Makes the network of a row for it; the second argument is the depth that its weights show.
        pixels: Mean and standard deviation of pixels in 0..1.
        frames: The number of frames in a clip; None for that of the row.
        seconds: The seconds between them; None likewise.
    """

    title: str
    names: Names
    build: Callable[[ModelSpec, int], nn.Module]
    pixels: tuple[tuple[float, float, float], tuple[float, float, float]] = _IMAGENET
    frames: int | None = None
    seconds: float | None = None


COUNTERPARTS: Mapping[str, Counterpart] = {
    "slow_r50": Counterpart("SlowOnly", _resnet_names(), _slow),
    "i3d_r50": Counterpart("I3D", _resnet_names((1, 3, 4, 5)), _i3d, frames=32, seconds=2 / 30),
    "csn_r101": Counterpart("ir-CSN", _resnet_names(conv2=".conv2.0."), _csn),
    **{name: Counterpart("X3D", _X3D_NAMES, _x3d, pixels=_X3D) for name in ("x3d_xs", "x3d_s", "x3d_m", "x3d_l")},
}
"""By the name of the row; a recogniser that is not here differs from every network of the table."""


def is_of_mmaction(checkpoint: Mapping[str, object]) -> bool:
    """Return whether these are weights of a recogniser of mmaction2, by the names of their tensors."""
    state = checkpoint.get("state_dict", checkpoint)
    names = list(state) if isinstance(state, Mapping) else []
    return any(n.startswith("cls_head.") for n in names) and any(n.startswith("backbone.") for n in names)


def rename(checkpoint: Mapping[str, object], names: Names) -> dict[str, Tensor]:
    """Return the tensors of a recogniser of mmaction2 under the names of the network of the table."""
    from vidcam.models.checkpoints import tensors_of

    renamed = {}
    for key, value in tensors_of(checkpoint).items():
        if key.startswith("data_preprocessor."):
            continue  # the mean and deviation of the pixels, which are facts here
        for theirs, ours in names:
            key = key.replace(theirs, ours)
        # The classifier behind the pooling is a pointwise convolution in PyTorchVideo's X3D, and a linear layer there.
        renamed[key] = value[:, :, None, None, None] if key.endswith("post_conv.weight") and value.ndim == 2 else value
    return renamed


def adopt(row: ModelSpec, checkpoint: Mapping[str, object], path: object) -> tuple[ModelSpec, int, str]:
    """Return the facts of a row for weights of mmaction2's recogniser of the same network.

    Args:
        row: The row of the table.
        checkpoint: What is in the weight file.
        path: The file, for messages.

    Returns:
        The facts, the number of classes, and what is different, in a sentence.

    Raises:
        WeightsError: mmaction2 has no recogniser that is this network, or the file has no classifier.
    """
    from vidcam.models.trained import replace_head

    counterpart = COUNTERPARTS.get(row.name)
    if counterpart is None:
        raise WeightsError(
            f"{path} is of a recogniser of mmaction2, and none of those is the same network as {row.name}: they fit "
            f"{', '.join(COUNTERPARTS)}"
        )
    state = rename(checkpoint, counterpart.names)
    head = row.head.classifiers[-1] if row.head else ""
    if f"{head}.weight" not in state:
        raise WeightsError(f"{path} is of a recogniser of mmaction2, but its classifier is not that of {counterpart.title}")
    classes = len(state[f"{head}.weight"])
    blocks = {key.split(".")[3] for key in state if key.startswith(f"{_third_stage(counterpart.names)}")}
    depth = DEPTHS.get(len(blocks), 50)

    def build() -> nn.Module:
        return replace_head(counterpart.build(row, depth), head, classes)

    (mean, std), frames, seconds = counterpart.pixels, counterpart.frames, counterpart.seconds
    adopted = replace(
        row,
        build=build,
        adapt=partial(rename, names=counterpart.names),
        mean=mean,
        std=std,
        num_frames=frames or row.num_frames,
        seconds_between_frames=seconds or row.seconds_between_frames,
        weights=None,
        architecture=f"mmaction2 {counterpart.title} {depth}",
    )
    how = f"{adopted.num_frames} frames, {adopted.seconds_between_frames:.3g} s apart, normalised as mmaction2 does"
    return adopted, classes, f"{path} is of mmaction2's {counterpart.title}: clips of {how}"


def _third_stage(names: Names) -> str:
    return next(ours for theirs, ours in names if theirs == "backbone.layer3.")
