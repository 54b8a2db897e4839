"""What one run found out about one video, and what can be asked of it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidcam.errors import UsageError
from vidcam.evidence.labels import label_of
from vidcam.io.extras import require_extra
from vidcam.settings import Look
from vidcam.values import FloatArray, Keyframe, Prediction, Segment, SourceInfo, Track, _Value

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

    from vidcam.engine import Engine
    from vidcam.io.playable import Playback
    from vidcam.metrics.method_choice import BetterMethod, MethodChoice
    from vidcam.metrics.verdict import Verdict
    from vidcam.settings import Settings

__all__ = ["Analysis", "Answers", "ModelInfo", "RunInfo"]


@dataclass(frozen=True)
class ModelInfo:
    """The model that was explained; None stands for what is not known of it.

    ``rejects`` are its labels that mean "none of the others": they have no evidence.
    """

    name: str
    title: str | None = None
    weights_sha256: str | None = None
    target_layer: str | None = None
    num_frames: int | None = None
    seconds_between_frames: float | None = None
    time_cells: tuple[int, ...] | None = None
    paper: str | None = None
    rejects: tuple[str, ...] = ()

    @classmethod
    def of(cls, engine: Engine) -> ModelInfo:
        """Collect the facts about the model that ``engine`` runs."""
        spec = engine.spec
        return cls(
            name=spec.name,
            title=spec.title,
            weights_sha256=engine.weights_sha256,
            target_layer=spec.target_layer,
            num_frames=spec.num_frames,
            seconds_between_frames=spec.seconds_between_frames,
            time_cells=tuple(spec.time_cells),
            paper=spec.paper,
            rejects=tuple(spec.rejects),
        )


@dataclass(frozen=True)
class RunInfo:
    """What a result was computed with: the model, the engine and its device, the random seed, the versions of the libraries.

    ``command`` are the words of the command line that computed it, if there was one.
    """

    model: ModelInfo
    engine: str
    device: str
    seed: int
    versions: Mapping[str, str]
    command: tuple[str, ...] | None = None

    @classmethod
    def of(cls, engine: Engine, *, seed: int) -> RunInfo:
        """Collect the facts about a run of ``engine``."""
        return cls(ModelInfo.of(engine), engine.name, engine.device, seed, versions(), _typed_command())


@dataclass(frozen=True, repr=False)
class Analysis(_Value):
    """The result of one run on one video, from which all reports are written.

    Attributes:
        source: The facts of the video.
        frames: How many frames it has.
        duration_s: Its length in seconds.
        run: The model, the engine, the seed and the versions.
        method: The name of the method; ``method_title`` and ``method_paper`` say more.
        settings: How it was explained, with the seconds between clip starts that were used.
        windows: The model's answer to each clip.
        probs: ``(K,) float32`` in [0, 1], the probabilities for the whole video, from the mean logits of the clips.
        times_s: ``(N,) float64`` seconds, the steps of the timeline.
        curves: For each explained label ``(N,) float64``, the smoothed signed evidence per second; nan where unseen.
        tracks: For each explained label, one raw track for each crop: maps ``(N, h, w) float32`` with their times and places.
        segments: The spans in which the evidence for a label persists.
        scale: The evidence of one cell that is drawn as 1.0, in the method's unit.
        completeness_error: The largest relative difference between a logit, less its bias, and the sum of its evidence; None if
            the method is not complete.
        unseen_fraction: The share of the video, in space and time, that the model did not see.
        drawn: Like ``tracks``, but smoothed, as the evidence is drawn.
        frame_times_s: ``(frames,) float64`` seconds of all frames.
        sampled_s: Seconds of the frames that the model saw.
        versus: The label with which each class is compared; None if there is none.
        verdict: Whether the model needs what the map shows, for the first of ``labels``; None if it was not asked for.
        method_choice: How the method was chosen, if it is the best of several that were tested on this video; else None.
        better_method: A method that is known to explain the model clearly better; None if there is none, or no ``verdict``.
        warnings: Sentences about what was lost and what the user should know.
        moments: Pictures of the strongest moments, if the video was drawn.
        outputs: The files that were written, by kind.
        video_offset_s: The second of the stream at which the written video's clock begins: 0 unless the writer moved it.
        timings_s: Seconds that the stages took.
        look: How the evidence was drawn.
        playback: The video that the HTML page plays; None if no page was written.

    Example:
        >>> import vidcam
        >>> analysis = vidcam.explain("clips/jumping_jack.mp4", engine=vidcam.open_engine("mini"))
        >>> analysis.labels[0]
        'jumping jack'
        >>> analysis.heatmap(1.5).shape == (analysis.source.height, analysis.source.width)
        True
    """

    source: SourceInfo
    frames: int
    duration_s: float
    run: RunInfo
    method: str
    settings: Settings
    windows: tuple[Prediction, ...]
    probs: FloatArray
    times_s: FloatArray
    curves: Mapping[str, FloatArray]
    tracks: Mapping[str, tuple[Track, ...]]
    segments: tuple[Segment, ...]
    scale: float
    completeness_error: float | None
    unseen_fraction: float
    drawn: Mapping[str, tuple[Track, ...]] = field(default_factory=dict)
    frame_times_s: FloatArray = field(default_factory=lambda: np.zeros(0))
    sampled_s: FloatArray = field(default_factory=lambda: np.zeros(0))
    versus: str | None = None
    method_title: str = ""
    method_paper: str = ""
    verdict: Verdict | None = None
    method_choice: MethodChoice | None = None
    better_method: BetterMethod | None = None
    warnings: tuple[str, ...] = ()
    moments: tuple[Keyframe, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    video_offset_s: float = 0.0
    timings_s: Mapping[str, float] = field(default_factory=dict)
    look: Look = Look()
    playback: Playback | None = None

    @property
    def model(self) -> ModelInfo:
        """The model that was explained."""
        return self.run.model

    @property
    def labels(self) -> tuple[str, ...]:
        """The explained labels, in order of importance."""
        return tuple(self.curves)

    def top(self, k: int) -> tuple[tuple[str, float], ...]:
        """Return the ``k`` labels that are most probable over the whole video, with their probabilities."""
        order = np.argsort(-self.probs, kind="stable")[:k]
        return tuple((self.windows[0].labels[i], float(self.probs[i])) for i in order)

    def heatmap(self, time: float, label: str | None = None, *, signed: bool = False) -> FloatArray:
        """Return the heat over the picture at a time.

        Args:
            time: Seconds on the stream's clock, as in ``frame_times_s``.
            label: One of ``labels``; None stands for the first.
            signed: Return evidence against the label as negative values.

        Returns:
            ``(height, width) float32`` in source pixels, in [0, 1], or [-1, 1] if ``signed``; 1 is the strongest evidence of the
            video, and 0 no evidence, or none that is known: the model did not look there.

        Raises:
            UnknownNameError: The label was not explained.
            UsageError: The analysis has no tracks.
        """
        from vidcam.evidence.heat import render_heat

        chosen = label_of(self.labels, 0 if label is None else label)
        size = self.source.height, self.source.width
        heat = render_heat(self._tracks(chosen), time=time, scale=self.scale, size=size, against=signed)
        if heat is None:
            return np.zeros(size, np.float32)
        return heat.values if heat.against is None else heat.values - heat.against

    def to_dataframe(self) -> pandas.DataFrame:
        """Return the timeline as a table: one row a step, the second as index, the evidence per second of each label as columns.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise UsageError("a data frame needs pandas: pip install pandas") from error
        return pandas.DataFrame(dict(self.curves), index=pandas.Index(self.times_s, name="time_s"))

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the evidence of each label over time with matplotlib.

        Args:
            axes: Where to draw; None makes a new figure.

        Returns:
            The axes.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        if axes is None:
            require_extra("charts", "Analysis.plot")
            from matplotlib.figure import Figure

            axes = Figure(figsize=(9, 2.6), layout="constrained").subplots()
        for label, curve in self.curves.items():
            [line] = axes.plot(self.times_s, curve, label=label)
            for segment in self.segments:
                if segment.label == label:
                    axes.axvspan(segment.start_s, segment.end_s, color=line.get_color(), alpha=0.12, linewidth=0)
        axes.axhline(0, color="0.7", linewidth=0.8)
        axes.set(xlabel="time in the video (s)", ylabel="evidence per second", xlim=(self.times_s[0], self.times_s[-1]))
        axes.legend(loc="upper left", frameon=False)
        return axes

    def _tracks(self, label: str) -> tuple[Track, ...]:
        if label not in self.drawn:
            raise UsageError("this analysis has no maps any more: explain the video again")
        return self.drawn[label]

    def _repr_html_(self) -> str:
        """Show the answer and the player in a notebook."""
        from vidcam.reports.notebook import notebook_html  # the one step up: a notebook asks the value itself

        return notebook_html(self)


class Answers:
    """Finds what to write beside a frame: the prediction of the clip that decides there, and the shown label that it favours.

    Of the clips that cover a moment, the one with the nearest middle decides; where none does, the one with the nearest middle.
    """

    def __init__(self, analysis: Analysis) -> None:
        self._windows = sorted(analysis.windows, key=lambda p: p.span[0] + p.span[1])
        self._spans = np.array([p.span for p in self._windows]).reshape(-1, 2)
        self._middles = self._spans.mean(axis=1)
        self._labels = analysis.labels

    def at(self, second: float) -> tuple[Prediction, str]:
        """Return the prediction of the clip that decides at a second, and its most probable shown label."""
        i = int(np.searchsorted(self._middles, second))
        if i and (i == len(self._middles) or second - self._middles[i - 1] <= self._middles[i] - second):
            i -= 1
        starts, ends = self._spans.T
        if not starts[i] <= second <= ends[i]:  # rare, so that most frames need not look at all windows
            is_outside = (second < starts) | (second > ends)
            i = int(np.lexsort((np.abs(self._middles - second), is_outside))[0])
        prediction = self._windows[i]
        return prediction, max(self._labels, key=prediction.prob)


def _typed_command() -> tuple[str, ...] | None:
    """Return the words of the vidcam command that runs; None in other programs and for servers, whose words may be a password."""
    program, *words = sys.argv or [""]
    names = (Path(program).stem, Path(program).parent.name)
    if names[0] != "vidcam" and names != ("__main__", "vidcam"):
        return None
    return None if not words or words[0] in ("app", "live") else ("vidcam", *words)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that results depend on."""
    found = {"python": platform.python_version()}
    for package in ("vidcam", "openvino", "torch", "torchvision", "av", "numpy", "opencv-python"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # opencv under one of its other names
            continue
    return found
