"""How much is measured."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

__all__ = ["MODELS", "NO_GRAD_CAM", "Plan", "have_grad_cam"]

MODELS = ("mini", "x3d_s")
NO_GRAD_CAM = "grad-cam is not installed, so nothing is compared with it: `pip install --no-deps grad-cam ttach` and scikit-learn"
CLIP = Path(__file__).resolve().parents[2] / "clips" / "three_actions.mp4"


def have_grad_cam() -> bool:
    return all(find_spec(name) for name in ("pytorch_grad_cam", "ttach", "sklearn"))


@dataclass(frozen=True)
class Plan:
    """``folder`` is where clips, weights and videos are kept meanwhile; ``clips`` what the clips are made of. End to end
    each of several is run once; everything else works on the first.

    ``models`` are those that are run end to end, the last one by hand too.
    ``rounds`` and ``patience_s`` as in :func:`benchmarks.speed.race.rounds`, for whole programs; ``steps`` rounds of what takes
    milliseconds, at most ``step_patience_s`` each. ``lengths`` are (height, seconds of each video) for scaling with length.
    """

    folder: Path
    clips: tuple[Path, ...] = (CLIP,)
    models: tuple[str, ...] = MODELS
    seconds: float = 60.0
    short_s: float = 10.0
    rounds: int = 3
    patience_s: float = 75.0
    steps: int = 7
    step_patience_s: float = 4.0
    main_heights: tuple[int, ...] = (720, 256)
    heights: tuple[int, ...] = (256, 480, 720, 1080)
    lengths: tuple[tuple[int, tuple[int, ...]], ...] = ((256, (10, 60, 300, 1800)), (720, (10, 60, 180)))
    classes: tuple[int, ...] = (1, 5, 20)
    engine_models: tuple[str, ...] = (
        "mini", "movinet_a0", "x3d_xs", "x3d_s", "x3d_m", "r3d_18", "r2plus1d_18", "mvit_v2_s",
    )  # fmt: skip
    method_models: tuple[str, ...] = MODELS
    methods: tuple[str, ...] = ()
    """None named: all."""
    say: Callable[[str], None] = field(default=lambda line: (sys.stderr.write(f"{line}\n"), None)[1])

    @classmethod
    def quick(cls, folder: Path, clips: tuple[Path, ...]) -> Plan:
        """Less of everything."""
        return cls(
            folder, clips, seconds=10, short_s=5, rounds=2, patience_s=15, steps=3, step_patience_s=1, heights=(256, 720),
            lengths=((256, (5, 20, 60)),), classes=(1, 20), engine_models=MODELS, method_models=("mini",),
        )  # fmt: skip
