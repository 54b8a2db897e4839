# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own model
#
# vidcam explains any PyTorch network that takes clips `(B, 3, T, H, W)` and returns
# logits `(B, K)`. You write a function that returns the network, and state a few
# facts about its input. The network and the methods stay as they are.
#
# This tutorial uses a network that you can understand, so that you can see that the
# explanation is right: it answers *moving* if pixels change from frame to frame. It
# is not trained.

# %%
# %%writefile motion.py
import torch
from torch import nn


class Motion(nn.Module):
    """Average change between frames in blocks of pixels, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.change = nn.Conv3d(
            3, 2, kernel_size=(2, 1, 1), bias=False
        )  # brighter, darker
        self.cells = nn.AvgPool3d((1, 8, 8))
        self.head = nn.Linear(2, 2)
        with torch.no_grad():
            step = (
                torch.tensor([-1.0, 1.0]).view(1, 1, 2, 1, 1).expand(1, 3, 2, 1, 1)
                / 3
            )
            self.change.weight.copy_(torch.cat((step, -step)))
            self.head.weight.copy_(torch.tensor([[200.0, 200.0], [-200.0, -200.0]]))
            self.head.bias.copy_(torch.tensor([-1.0, 1.0]))

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        change = torch.relu(self.change(clips) - 0.06)  # less than this is noise
        return self.head(self.cells(change).mean(dim=(2, 3, 4)))


def build() -> nn.Module:
    net = Motion()
    net.vidcam = {
        "labels": ("moving", "still"),
        "frames": 9,  # of a clip
        "interval_s": 0.1,  # seconds between them
        "resize": 128,  # the short side, and the centre crop of that
        "crop": (112, 112),
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "layer": "cells",  # what is explained
        "own_weights": True,  # there is no file to load
    }
    return net


# %% [markdown]
# Name it as `FILE:FUNCTION`, here and after `--model` on the command line:

# %%
import vidcam

engine = vidcam.open_engine("motion.py:build")
analysis = vidcam.explain(
    "clips/falling.mp4",
    engine=engine,
    settings=vidcam.Settings(classes=("moving",)),
)
for label, probability in analysis.top(2):
    print(f"{probability:4.0%}  {label}")

# %% [markdown]
# A person stands still, falls after a second and a half, and lies still. So the
# answer for the whole video is *still*, and the evidence for *moving* should be
# there only while the person falls:

# %% alt="A falling person, with evidence for moving on the edges of the body"
analysis

# %% alt="The evidence for moving rises at 1.5 seconds, while the person falls"
# %matplotlib inline
analysis.plot().figure

# %% [markdown]
# ## What vidcam detects and measures
#
# - The network ends in an average and a linear layer. vidcam checks that with
#   numbers, and then uses `cam`, which is exact: the cells sum to the logit less
#   its bias.
# - vidcam measures where each cell lies in the picture and in time. So the heat is
#   where the change is, not half a cell beside it.

# %%
print(f"{analysis.method}: completeness error {analysis.completeness_error:.0e}")

# %% [markdown]
# ## Other methods
#
# Which methods work depends on the network. Here all methods work, except those
# that need attention. Methods that need only the answers, such as `occlusion`, work
# on every network.

# %% alt="The same fall explained by occlusion: coarse blocks over the falling body"
short = vidcam.Settings(
    classes=("moving",), method="occlusion", start_s=1.3, end_s=2.2
)
vidcam.explain("clips/falling.mp4", engine=engine, settings=short)

# %% [markdown]
# ## Weights in a file
#
# The weights of a trained network are in a file. Save its `state_dict`, and give
# vidcam the file. vidcam refuses files that would run code, and names tensors that
# are missing or have another shape.

# %%
import motion
import torch

torch.save(motion.build().state_dict(), "motion.pt")

# %% language="bash"
# vidcam annotate clips/falling.mp4 --class moving -o why.html \
#   --model motion.py:build --weights motion.pt

# %% [markdown]
# **Go on:** [all facts that a network can state](../extending.md) · [networks in
# ONNX and OpenVINO files](../extending.md#a-network-in-a-file) · [models of Hugging
# Face](../huggingface.md) · [which method for which model](../methods.md)
