"""The training options, as a value that checks itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from vidcam.errors import UsageError

__all__ = ["EPOCHS", "SYNTHETIC_EPOCHS", "TrainConfig"]

EPOCHS, SYNTHETIC_EPOCHS = 30, 48
"""Default number of epochs for a folder and for synthetic people; the command's help repeats them."""

RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, 10**6), "batch": (1, 4096), "lr": (1e-8, 10), "weight_decay": (0, 10), "smoothing": (0, 0.5),
    "evidence": (0, 100), "ema_decay": (0, 0.99999), "clip_norm": (1e-6, 1e6), "val_fraction": (0, 0.5), "patience": (1, 10**6),
    "seed": (0, 10**6), "workers": (0, 256),
}  # fmt: skip
"""The least and the greatest value of each number."""


@dataclass(frozen=True)
class TrainConfig:
    """The options of one training; those that are None follow from the data.

    Raises UsageError if a value is out of its range.

    Args:
        model: A name of the table, ``file.py:factory``, or a folder that an earlier training left, which then learns on.
        scratch: Start from random weights. None: only for synthetic people, unless ``model`` is a trained folder.
        freeze_backbone: Train only the new classification head.
        epochs: Passes over the videos, or stretches of 250 batches of new people. None: ``EPOCHS`` or ``SYNTHETIC_EPOCHS``.
        batch: Clips in a step.
        lr: AdamW's highest learning rate in the one cycle. None: by what is trained.
        weight_decay: Decoupled weight decay of matrices and kernels.
        smoothing: Label smoothing, 0 to 0.5.
        evidence: Weight of the loss on where the evidence lies, which is known for synthetic people only.
        ema_decay: Decay of the moving average of the weights, which becomes the result.
        clip_norm: Largest norm of the gradient.
        holdout: Hold out the videos whose names match this pattern, instead of ``val_fraction`` of them.
        val_fraction: Share of the videos that is held out, 0 to 0.5.
        patience: Stop after this many epochs without a better held-out loss (folders).
        flip: Mirror clips at random; only right if left and right mean the same.
        photos: A folder of pictures without people, panoramas best, parts of which become places of synthetic people.
        seed: Random seed.
        precision: ``"auto"`` computes in half precision on hardware that has it if the results prove right; or ``"float32"``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:N"`` or ``"mps"``.
        workers: Processes that draw or cut the clips. None: by the machine.
    """

    model: str = "mini"
    scratch: bool | None = None
    freeze_backbone: bool = False
    epochs: int | None = None
    batch: int = 16
    lr: float | None = None
    weight_decay: float = 0.02
    smoothing: float = 0.05
    evidence: float = 2.0
    ema_decay: float = 0.998
    clip_norm: float = 5.0
    holdout: str | None = None
    val_fraction: float = 0.2
    patience: int = 8
    flip: bool = False
    photos: str | None = None
    seed: int = 0
    precision: Literal["auto", "float32"] = "auto"
    device: str = "auto"
    workers: int | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name} must lie between {low} and {high}, got {value}")
        if self.precision not in ("auto", "float32"):
            raise UsageError(f"precision must be 'auto' or 'float32', got {self.precision!r}")

    def to_json(self) -> dict[str, object]:
        """Return the options under the keys that reports and models store."""
        stored = {"freeze_backbone": "trunk", "ema_decay": "averaging", "val_fraction": "keep"}
        values = {stored.get(name, name): value for name, value in asdict(self).items()}
        return values | {"trunk": "frozen" if self.freeze_backbone else "all"}
