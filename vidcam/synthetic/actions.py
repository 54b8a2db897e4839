"""The actions by name, and the labels of clips."""

from __future__ import annotations

from collections.abc import Callable

from vidcam.synthetic.arms import box, circles, clap, idle, jack, raise_front, raise_sideways, wave
from vidcam.synthetic.arrays import Rng
from vidcam.synthetic.gait import run, walk
from vidcam.synthetic.legs import bend, fall, jump, kick, rise, sit, squat
from vidcam.synthetic.motion import Action, Stance

MOTIONS: dict[str, Callable[[Rng, Stance, float | None], Action]] = {
    "standing idle": idle, "waving one hand": wave, "raising both arms sideways": raise_sideways,
    "raising both arms in front": raise_front, "clapping": clap, "boxing": box, "arm circles": circles, "jumping jack": jack,
    "squatting": squat, "bending over": bend, "kicking": kick, "walking": walk, "running": run, "jumping": jump,
    "sitting down": sit, "standing up": rise, "falling down": fall,
}  # fmt: skip
"""What draws each action: a function of the random generator, the stance, and the length in seconds (None: at random)."""

CLASSES: tuple[str, ...] = (*MOTIONS, "no person")
"""The labels of clips, without "none of these"."""
