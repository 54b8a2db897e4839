# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Teach your actions, and find out what the model relies on
#
# You train a model on your own videos, and it is right about all videos that you
# kept aside. Is it right for the right reason? This tutorial trains a model on
# videos with a misleading detail, and shows how the evidence reveals that the model
# uses it.
#
# ## Videos with a misleading detail
#
# A physiotherapist films exercises in week 1 and in week 8, and wants a model that
# recognises progress. In between, new software of the camera shows the trainer in a
# corner of the picture. We make such videos from the sample clips. Both weeks show
# **the same** movements, so there is no progress to see. Only the corner differs.

# %%
from pathlib import Path

import av
import cv2
import numpy as np

import vidcam


def read(clip, start, seconds=1.7):
    """Return the pictures of a part of a video."""
    with vidcam.open_source(clip) as source:
        return [
            frame.image.copy()
            for frame in source.frames(start=start, end=start + seconds)
        ]


TRAINER = [
    picture[70:350, 266:546] for picture in read("clips/jumping_jack.mp4", 1.0)
]


def show_trainer(pictures):
    """Put the trainer into the upper right corner of what the model sees."""
    height, width = pictures[0].shape[:2]
    side = min(height, width)  # the model sees the middle square
    size, margin = side * 2 // 5, side // 20
    top, right = (height - side) // 2 + margin, (width + side) // 2 - margin
    for picture, trainer in zip(pictures, TRAINER, strict=False):
        picture[top : top + size, right - size : right] = cv2.resize(
            trainer, (size, size)
        )


def save(pictures, path):
    """Write an MP4 file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream(
            "libx264", rate=25, options={"preset": "ultrafast", "crf": "18"}
        )
        stream.height, stream.width, stream.pix_fmt = (
            *pictures[0].shape[:2],
            "yuv420p",
        )
        for picture in pictures:
            file.mux(
                stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
            )
        file.mux(stream.encode(None))


exercises = {
    "walk": ("walking", 0.5),
    "stroll": ("walking", 2.3),
    "wave": ("waving_rotated", 1.5),
    "greet": ("three_actions", 0.6),
    "squat": ("three_actions", 3.6),
}
for name, (clip, start) in exercises.items():
    pictures = read(f"clips/{clip}.mp4", start)
    save(pictures, Path(f"weeks/week 1/{name}_a.mp4"))
    show_trainer(pictures)
    save(pictures, Path(f"weeks/week 8/{name}_b.mp4"))

# %% [markdown]
# ## Train
#
# The training needs one folder for each class. It starts from `mini`; here we train
# only the last layer, which is enough for few videos, and hold out the videos whose
# names contain *squat*. On the command line: `vidcam train weeks/ -o mine --trunk
# frozen --epochs 6 --batch 8 --lr 0.02 --holdout "*squat*"`.

# %%
from vidcam.training import TrainConfig

config = TrainConfig(
    freeze_backbone=True,
    epochs=6,
    batch=8,
    lr=0.02,
    holdout="*squat*",
    device="cpu",
    workers=0,
)
result = vidcam.train("weeks", "mine", config=config)
print(f"{result.accuracy:.0%} of {result.held_out} clips kept aside are right")

# %% [markdown]
# That looks like a success: the model was not trained on these videos.
#
# ## Look at the evidence
#
# `vidcam evaluate` on a folder of class folders lists mistakes, and checks every
# explanation for **suspicious places**: the border of the picture, what never
# moves, and what is the same in every video of a class.

# %% language="bash"
# vidcam evaluate weeks/ --model mine --report mistakes.html

# %% [markdown]
# All answers are right, and yet there is a suspicion: most of the evidence for
# *week 8* lies in a small part of the picture that is the same in every video of
# that week. The report `mistakes.html` has the pictures. One look shows what it is:

# %% alt="A person walks; the heat for week 8 lies on the trainer in the corner"
engine = vidcam.open_engine("mine")
vidcam.explain("weeks/week 8/stroll_b.mp4", engine=engine)

# %% [markdown]
# ## Prove it
#
# An experiment proves a suspicion: change only that one thing. We put the trainer
# into a video of week 1 that was kept aside.

# %%
pictures = read("weeks/week 1/squat_a.mp4", 0.0)
for changed in (False, True):
    if changed:
        show_trainer(pictures)
    analysis = vidcam.explain(np.stack(pictures), fps=25, engine=engine)
    label, probability = analysis.top(1)[0]
    how = "with the trainer" if changed else "as filmed"
    print(f"{how}: {label} {probability:.0%}")

# %% [markdown]
# The model has learned to recognise the trainer. Crop or cover the corner in all
# videos, train again, and look again.
#
# **Go on:** [training](../training.md) · [what the tests of an explanation
# mean](../trust.md) · [live monitoring](live_monitoring.md)
