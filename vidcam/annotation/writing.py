"""Write the explained video and its reports.

The video is drawn in a second pass, because the scale belongs to the whole video and memory must not grow with its length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vidcam.analysis import Analysis, Answers
from vidcam.annotation.browser_video import check_embedding, copy_beside, provide_video
from vidcam.annotation.first_pass import checked_engine, explain_source
from vidcam.errors import OutputError, UsageError
from vidcam.evidence.heat import render_heat
from vidcam.io.clock import SYSTEM
from vidcam.io.encoders import encodable_planes
from vidcam.io.files import check_output
from vidcam.io.playable import Playability
from vidcam.io.source import Source, open_source
from vidcam.pipeline import Progress
from vidcam.render import Renderer
from vidcam.render.draw_pass import DrawPass
from vidcam.render.legend import make_legend
from vidcam.reports.formats import get_format, list_formats
from vidcam.reports.keyframes import Filmstrip
from vidcam.settings import Encoding, Look, Settings
from vidcam.values import FloatArray, Frame, Heat
from vidcam.yuv import Planes

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["Outputs", "annotate", "draw"]


@dataclass(frozen=True)
class Outputs:
    """The files to write for one input.

    Args:
        video: The explained video, an MP4 file; None writes none.
        reports: The path of each report by the name of its format: ``html``, ``json``, ``csv``, ``vtt``, ``npz``, ``tubes``, or
            another one of docs/json.md.
        overwrite: Whether existing files are replaced.
        embed: Whether the HTML page contains the video that it plays, instead of a link to it.
        encoding: How a video is encoded.

    Raises:
        UnknownNameError: There is no such format.

    Example:
        >>> from pathlib import Path
        >>> from vidcam import Outputs
        >>> Outputs(Path("why.mp4"), reports={"csv": Path("why.csv")}).paths()["csv"].name
        'why.csv'
    """

    video: Path | None = None
    reports: Mapping[str, Path] = field(default_factory=dict)
    overwrite: bool = False
    embed: bool = False
    encoding: Encoding = Encoding()

    def __post_init__(self) -> None:
        for name in self.reports:
            get_format(name)

    def paths(self) -> dict[str, Path]:
        """Return the files by format, in the order in which they are written; the video's is called ``video``."""
        reports = {row.name: self.reports[row.name] for row in list_formats() if row.name in self.reports}
        return reports if self.video is None else {"video": self.video, **reports}

    def needs_pictures(self) -> bool:
        """Return whether the frames of the video are drawn for any of the files."""
        return self.video is not None or any(get_format(name).has_pictures for name in self.reports)

    def page(self) -> Path | None:
        """Return the report that plays the video; None without one."""
        return next((path for name, path in self.reports.items() if get_format(name).plays_video), None)

    def check(self, source: str) -> None:
        """Raise OutputError if a file cannot be written, and UsageError if two outputs are one file."""
        taken: dict[Path, str] = {}
        if self.video is not None and self.video.suffix.lower() != ".mp4":
            raise OutputError(f"cannot write {self.video}: the video is an MP4 file, so its name must end in .mp4")
        if (page := self.page()) is not None:
            taken[copy_beside(page).resolve()] = f"the copy of the source that {page.name} may play"
        for name, path in self.reports.items():
            get_format(name).check_path(path)
        for name, path in self.paths().items():
            target = check_output(path, source=source, overwrite=self.overwrite)
            if target in taken:
                raise UsageError(f"{path} is named for two outputs, {taken[target]} and {name}: give each its own file")
            taken[target] = name


def annotate(
    source: object,
    outputs: Outputs,
    *,
    engine: Engine | None = None,
    settings: Settings = Settings(),
    look: Look = Look(),
    times: Sequence[float] | FloatArray | None = None,
    fps: float | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
) -> Analysis:
    """Write an explained video and its reports; every file appears complete or not at all.

    Args:
        source: A video file, an address, a folder of images, or an array or tensor ``(T, H, W, 3) uint8`` RGB.
        outputs: The files to write.
        engine: The model, as :func:`vidcam.open_engine` returns it; None opens the model ``auto``.
        settings: How to explain.
        look: How to draw.
        times: ``(T,)`` increasing seconds of the pictures of an array.
        fps: Pictures per second of an array or a folder of images, instead of ``times``; must be positive.
        progress: Is called with the stage, the frames done, and the number of all frames (None if unknown).
        say: Is called with each warning as soon as it is known, in the thread that reads; otherwise warnings are only in
            ``Analysis.warnings``.

    Returns:
        The analysis, with the names of the files.

    Raises:
        OutputError: A file exists and ``outputs.overwrite`` is False, or it cannot be written.
        VidcamError: As for :func:`vidcam.explain`.

    Example:
        >>> import vidcam
        >>> from pathlib import Path
        >>> outputs = vidcam.Outputs(Path("why.mp4"), reports={"json": Path("why.json")}, overwrite=True)
        >>> analysis = vidcam.annotate("clips/walking.mp4", outputs, engine=vidcam.open_engine("mini"))
        >>> analysis.top(1)[0][0]
        'walking'
    """
    began = SYSTEM.now()
    engine = checked_engine(source, engine)
    with open_source(source, times=times, fps=fps) as opened:
        playable = _check(opened, outputs)
        opened.say = say
        analysis = explain_source(opened, engine, settings, progress)
        return _write(opened, analysis, outputs, playable, look, progress, {"explain": SYSTEM.now() - began})


def draw(
    path: str | Path, analysis: Analysis, outputs: Outputs, *, look: Look = Look(), progress: Progress | None = None
) -> Analysis:
    """Write the files of an analysis that ``outputs`` names, without explaining the video again.

    Args:
        path: The video that :func:`vidcam.explain` explained.
        analysis: The analysis, with its maps.
        outputs: The files to write.
        look: How to draw.
        progress: Is called with the stage, the frames done, and the number of all frames (None if unknown).

    Returns:
        The analysis, with pictures of its strongest moments and the names of the files.

    Raises:
        OutputError: A file exists and ``outputs.overwrite`` is False, or it cannot be written.
        InputError: The video cannot be read.

    Example:
        >>> import vidcam
        >>> from pathlib import Path
        >>> analysis = vidcam.explain("clips/walking.mp4", engine=vidcam.open_engine("mini"))
        >>> look = vidcam.Look("contour")
        >>> drawn = vidcam.draw("clips/walking.mp4", analysis, vidcam.Outputs(Path("contours.mp4"), overwrite=True), look=look)
        >>> drawn.outputs
        {'video': 'contours.mp4'}
    """
    with open_source(path) as source:
        return _write(source, analysis, outputs, _check(source, outputs), look, progress, {})


def _check(source: Source, outputs: Outputs) -> Playability | None:
    """Raise an error if an output cannot be written; return how the HTML page gets its video, None without a page."""
    outputs.check(source.info.path)
    page = outputs.page()
    if page is None:
        return None
    return check_embedding(source, page, embed=outputs.embed, overwrite=outputs.overwrite)


def _write(
    source: Source,
    analysis: Analysis,
    outputs: Outputs,
    playable: Playability | None,
    look: Look,
    progress: Progress | None,
    timings_s: dict[str, float],
) -> Analysis:
    began = SYSTEM.now()
    if outputs.needs_pictures():
        analysis = _draw(source, analysis, outputs, look, progress)
    timings_s = timings_s | {"draw": SYSTEM.now() - began}
    analysis = replace(
        analysis,
        outputs={kind: str(target) for kind, target in outputs.paths().items()},
        look=look,
        timings_s=timings_s | {"total": sum(timings_s.values())},
    )
    page, overwrite = outputs.page(), outputs.overwrite
    with ExitStack() as stack:
        if page is not None and playable is not None:
            provided = provide_video(
                source,
                analysis,
                page,
                playable,
                embed=outputs.embed,
                encoding=outputs.encoding,
                overwrite=overwrite,
                progress=progress,
            )
            analysis = stack.enter_context(provided)
        for name, path in outputs.paths().items():
            if name != "video":
                get_format(name).write(analysis, path, overwrite=overwrite)
    return analysis


def _draw(source: Source, analysis: Analysis, outputs: Outputs, look: Look, progress: Progress | None) -> Analysis:
    """Run the second pass: draw every frame at its own time, and take the pictures of the film strip."""
    size = analysis.source.height, analysis.source.width
    renderer = Renderer(
        source_size=size,
        style=look.style,
        opacity=look.opacity,
        signed=look.signed,
        threshold=look.threshold,
        panel=look.panel,
        allocate=encodable_planes,
        legend=make_legend(analysis),
        curves={name: (analysis.times_s, curve) for name, curve in analysis.curves.items() if name not in analysis.model.rejects},
        segments=analysis.segments,
        span=(float(analysis.times_s[0]), float(analysis.times_s[0]) + analysis.duration_s),
    )
    sampled = set(analysis.sampled_s.tolist())
    answers = Answers(analysis)

    def heat_of(label: str, second: float) -> Heat | None:
        tracks = analysis.drawn[label]
        return render_heat(tracks, time=second, scale=analysis.scale, size=size, against=look.signed, coarse=True)

    film = Filmstrip(analysis, heat=heat_of, style=look.style, signed=look.signed)

    def picture_of(frame: Frame) -> Planes | None:
        film.offer(frame)
        if outputs.video is None:
            return None
        prediction, label = answers.at(frame.time)
        heat, top = heat_of(label, frame.time), prediction.top(5)
        return renderer.draw(frame.planes, heat=heat, time=frame.time, top=top, label=label, sampled=frame.time in sampled)

    settings = analysis.settings
    drawing = DrawPass(source, settings, frames=analysis.frames, progress=progress, encoding=outputs.encoding)
    drawing.run(picture_of, outputs.video, size=renderer.size, overwrite=outputs.overwrite)
    return replace(
        analysis,
        moments=tuple(film.moments),
        video_offset_s=drawing.offset_s,
        warnings=tuple(dict.fromkeys([*analysis.warnings, *source.warnings, *drawing.warnings])),
    )
