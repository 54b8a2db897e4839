"""How to train, as a value that checks itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vidcam.errors import UsageError

__all__ = ["EPOCHS", "PEOPLE_EPOCHS", "TrainConfig"]

EPOCHS, PEOPLE_EPOCHS = 30, 48
"""Passes over a folder and stretches of drawn people, where no number is given; the command's help says them too."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train. What is left None follows from the data.

    ``model`` is a name of the table, ``file.py:factory`` or a folder that training left, whose network then learns on;
    ``scratch`` starts from random weights (None: for people, unless from such a folder).
    ``trunk`` is ``"all"`` (every layer learns) or ``"frozen"`` (only the new head). ``epochs`` passes over the videos, or
    stretches of 250 batches of new people (None: ``EPOCHS`` or ``PEOPLE_EPOCHS``). ``lr`` is AdamW's highest learning rate in
    the one cycle. ``evidence`` weighs the loss on where the evidence lies, known for drawn people only. ``holdout`` is a
    pattern of names that are kept back, ``keep`` the share of videos where there is none. ``patience`` stops after so many
    epochs without a better held-out loss (folders). ``flip`` mirrors clips at random: only where left and right mean the
    same. ``precision`` is ``auto`` (half on hardware that has it, where it proves right) or ``float32``. ``workers``
    processes draw or cut the clips.
    """

    model: str = "mini"
    scratch: bool | None = None
    trunk: Literal["all", "frozen"] = "all"
    epochs: int | None = None
    batch: int = 16
    lr: float | None = None
    weight_decay: float = 0.02
    smoothing: float = 0.05
    evidence: float = 2.0
    averaging: float = 0.998
    clip_norm: float = 5.0
    holdout: str | None = None
    keep: float = 0.2
    patience: int = 8
    flip: bool = False
    seed: int = 0
    precision: Literal["auto", "float32"] = "auto"
    device: str = "auto"
    workers: int | None = None

    def __post_init__(self) -> None:
        for name, low, high in (
            ("epochs", 1, 10**6), ("batch", 1, 4096), ("lr", 1e-8, 10), ("weight_decay", 0, 10), ("smoothing", 0, 0.5),
            ("evidence", 0, 100), ("averaging", 0, 0.99999), ("clip_norm", 1e-6, 1e6), ("keep", 0, 0.5), ("patience", 1, 10**6),
            ("seed", 0, 10**6), ("workers", 0, 256),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name} must lie between {low} and {high}, got {value}")
        if self.trunk not in ("all", "frozen"):
            raise UsageError(f"trunk must be 'all' or 'frozen', got {self.trunk!r}")
        if self.precision not in ("auto", "float32"):
            raise UsageError(f"precision must be 'auto' or 'float32', got {self.precision!r}")
