"""MoViNet-A0, causal, trained on Kinetics-600: its facts, and how its file is imported.

The network (``movinet_net.py``) and the reader of Google's file (``movinet_import.py``) are imported on use.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vidcam.models.labels import kinetics600
from vidcam.models.spec import Head, ModelSpec, Weights

if TYPE_CHECKING:
    from torch import nn

__all__ = ["MODELS", "build", "convert"]


def build() -> nn.Module:
    """Make the network with random weights."""
    from vidcam.models.movinet_net import MoViNetA0

    return MoViNetA0()


def convert(path: Path, folder: Path) -> Path:
    """Convert the TFLite file ``path`` into ``folder`` and return the new file.

    Errors are those of ``save_imported``.
    """
    from vidcam.models.movinet_import import save_imported

    return save_imported(path, folder)


MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="movinet_a0",
        title="MoViNet-A0 stream",
        family="movinet",
        build=build,
        labels=kinetics600,
        # The stream takes any number of frames. On real clips 5 s give as good answers as the 10 s of the published protocol, and
        # short clips need not be padded with a still picture, which makes the answer wrong.
        num_frames=25,
        seconds_between_frames=0.2,
        resize=172,
        crop=(172, 172),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        target_layer="project",
        head=Head(("hidden", "classifier"), ceiling=6.0),
        time_cells=(25,),
        paper="https://arxiv.org/abs/2103.11511",
        weights=Weights(
            "https://storage.googleapis.com/tfhub-lite-models/tensorflow/lite-model/movinet/a0/stream/kinetics-600/classification/"
            "tflite/int8/1.tflite",
            sha256="6125b36e2485eeb5cc1fd6206cf5e5d70235593fbc84610d1dce97fe3aa9c2ac",
            licence="Apache-2.0",
            accuracy=65.0,
            protocol="Kinetics-600 top-1, int8, 1 clip of 50 frames",
            file="movinet_a0_stream_k600_int8.tflite",
            imported="movinet_a0_stream_k600.safetensors",
            size=3_276_048,
        ),
        convert=convert,
        default_method="gradcam++",  # the exact cam points beside people: docs/methods.md has the figures
    ),
)
