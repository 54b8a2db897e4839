"""What can be chosen: how to explain and how to draw. It loads no numpy, so that ``vidcam --help`` is instant."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from vidcam.errors import UsageError

__all__ = ["EncoderName", "Encoding", "Look", "Panel", "Settings", "Smoothing", "Style", "Tail"]

Style = Literal["heat", "contour", "spotlight", "side-by-side"]
"""How evidence is drawn over a picture: see :mod:`vidcam.render.overlay`."""

Smoothing = Literal["gaussian", "exponential", "flow", "none"]
"""How evidence is smoothed over time: see :func:`vidcam.evidence.smoothing.smooth`."""

Panel = Literal["below", "over", "none"]
"""Where the words and the evidence over time stand in an explained video: see :class:`Look`."""

EncoderName = Literal["auto", "x264", "nvenc", "qsv", "amf", "videotoolbox"]
"""What encodes an explained video: see :mod:`vidcam.io.encoders`."""

Tail = Literal["shift", "hold", "drop"]
"""What happens to the end of a video if no full clip fits: see :class:`vidcam.sampling.Sampler`."""


@dataclass(frozen=True)
class Settings:
    """How to explain a video.

    Attributes:
        method: Name of a method; None stands for the model's default (docs/methods.md); ``best`` for the one of several that
            explains this video best, found by tests that cost about 500 forward passes for each of at most three clips.
        classes: Labels, or indices of outputs, to explain; empty for the model's own answers.
        versus: Label of another class: the difference of the logits of each class and this one is explained.
        seconds_between_clip_starts: 0.01 to 3600; None stands for half the length of a clip.
        tail: What happens at the end of the video if no full clip fits there: ``shift`` moves the last clip back, ``hold``
            repeats the last frame, ``drop`` leaves the rest out.
        cover: Use several crops that cover the whole frame, instead of the model's centre crop.
        smoothing: Kind of smoothing over time: ``gaussian``, ``exponential``, ``flow`` (along the motion) or ``none``.
        smooth_s: Standard deviation of the smoothing in seconds, 0 to 60; 0 switches it off.
        start_s: Start of the part to explain, in seconds from the first frame; None for the start of the video.
        end_s: End of the part to explain, in seconds from the first frame; None for the end of the video.
        verdict: Test whether the model needs what the map shows (:mod:`vidcam.metrics.verdict`); costs about 100 forward passes.
        seed: Seed of everything random, such as the masks of ``rise``.

    Raises:
        UsageError: A value lies outside of its range.

    Example:
        >>> from vidcam import Settings
        >>> Settings(method="gradcam++", classes=("clapping",)).smooth_s
        0.25
    """

    method: str | None = None
    classes: tuple[str | int, ...] = ()
    versus: str | None = None
    seconds_between_clip_starts: float | None = None
    tail: Tail = "shift"
    cover: bool = False
    smoothing: Smoothing = "gaussian"
    smooth_s: float = 0.25
    start_s: float | None = None
    end_s: float | None = None
    verdict: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        hop = self.seconds_between_clip_starts
        if hop is not None and not 0.01 <= hop <= 3600:
            raise UsageError(f"the seconds between clip starts (hop) must be 0.01 to 3600, got {hop}")
        if not 0 <= self.smooth_s <= 60:
            raise UsageError(f"smoothing must be 0 to 60 seconds, got {self.smooth_s}")
        if isinstance(self.classes, str) or not all(isinstance(c, str | int) for c in self.classes):
            raise UsageError(
                f"classes are a tuple of labels or of indices of outputs, such as ('clapping',) or (3,), got {self.classes!r}"
            )
        if not all(math.isfinite(s) for s in (self.start_s, self.end_s) if s is not None):
            raise UsageError(f"the start and the end must be numbers of seconds, got {self.start_s} and {self.end_s}")
        if self.start_s is not None and self.start_s < 0:
            raise UsageError(f"the start must not be negative, got {self.start_s}")
        if self.end_s is not None and self.end_s <= (self.start_s or 0.0):
            raise UsageError(f"the end must lie after the start, got start {self.start_s or 0.0} and end {self.end_s}")


@dataclass(frozen=True)
class Look:
    """How the evidence is drawn.

    Attributes:
        style: ``heat``, ``contour``, ``spotlight`` or ``side-by-side``.
        opacity: Opacity of the strongest evidence, in (0, 1]. Contours and the spotlight have full strength from the default on.
        signed: Show evidence against the class too, in a second colour.
        panel: ``below`` adds rows with words and the evidence over time to the picture, ``over`` lays them over its lower part,
            ``none`` draws the evidence only, so that the explained video has the size of the source. The page ignores this.
        threshold: Evidence below this share of full colour is not drawn.

    Example:
        >>> from vidcam import Look
        >>> Look("contour").opacity
        0.62
    """

    style: Style = "heat"
    opacity: float = 0.62
    signed: bool = False
    panel: Panel = "below"
    threshold: float = 0.0


@dataclass(frozen=True)
class Encoding:
    """How an explained video is encoded as H.264.

    Attributes:
        encoder: ``x264``, or one that the graphics hardware brings: ``nvenc``, ``qsv``, ``amf``, ``videotoolbox``. One that does
            not work here is replaced by ``x264``, with a warning. ``auto`` takes the first that works.
        crf: Quality, 1 (best) to 51; an encoder of the hardware gets the value of its own scale that comes closest.
        preset: A name that the encoder gives to its speed, such as ``medium`` of x264; None stands for a quick one. ``auto``
            with a preset is ``x264``.

    Raises:
        UsageError: ``crf`` lies outside of its range.

    Example:
        >>> from vidcam import Encoding
        >>> Encoding("x264", crf=16, preset="medium").crf
        16
    """

    encoder: EncoderName = "auto"
    crf: int = 20
    preset: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.crf <= 51:
            raise UsageError(f"crf is the quality from 1 (best) to 51, got {self.crf}")
