"""An explained video as the app keeps it: a folder with what the player shows, and files for download, made when asked for."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import vidcam
from vidcam import Analysis, Outputs, Settings
from vidcam.analysis import Answers
from vidcam.annotation.browser_video import EMBED_LIMIT, provide_video
from vidcam.errors import UsageError
from vidcam.evidence.heat import render_heat
from vidcam.io import jpeg
from vidcam.io.json_text import to_json_text
from vidcam.io.playable import Playback, check_playable
from vidcam.io.source import Source, open_source
from vidcam.pipeline import Progress
from vidcam.render import STYLES, thumb
from vidcam.reports.answer import explained_label
from vidcam.reports.formats import Format, get_format, list_formats
from vidcam.reports.moments import find_moments
from vidcam.reports.player_data import player_data, player_parts
from vidcam.reports.player_page import video_facts
from vidcam.settings import Look
from vidcam.web import words

from .uploads import MAX_NAME, Video, clean_name, video_suffix

__all__ = [
    "ALL",
    "VIDEO",
    "Result",
    "as_shown",
    "download_name",
    "file_kinds",
    "file_name",
    "link_or_copy",
    "named",
    "path_of",
    "picture_of",
    "placed",
    "prepare",
    "write_file",
    "write_small_files",
]

VIDEO, ALL = "video", "all"
"""The names of two files for download besides the report formats: the explained MP4, and a zip of everything."""

PLAYER = "player.json"
PICTURE_WIDTH = 320


@dataclass(frozen=True)
class Result:
    """An explained video, which the page knows by ``number``: its analysis, the video that its page plays, and its folder.

    One that was kept by an earlier visit has no analysis any more, but what was said of it then: ``sentence`` and ``answer``.
    Files are drawn with the ``look`` and for the class that the player shows: ``only`` is its place among the explained classes,
    None the answer of each moment.
    """

    number: str
    video: Video
    analysis: Analysis | None
    playback: Playback | None
    folder: Path
    sentence: str = ""
    answer: dict[str, Any] = field(default_factory=dict)
    look: Look = Look()
    only: int | None = None


def placed(video: Video, folder: Path) -> Path:
    """Return the video's file in ``folder``, under the name that its owner gave it."""
    target = folder / file_name(video)
    link_or_copy(video.path, target)
    return target


def link_or_copy(path: Path, target: Path) -> None:
    """Give a file a second name; on another disk, copy it."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def prepare(source: Source, video: Video, analysis: Analysis, folder: Path, progress: Progress) -> Result:
    """Write what the player needs into the folder, in which the source lies. Only what no browser can play is encoded again."""
    page = folder / f"{Path(video.name).stem}.html"
    playable = check_playable(source)

    def converted(_: str, done: int, total: int | None) -> None:
        progress("convert", done, total)

    with provide_video(source, analysis, page, playable, embed=False, overwrite=True, progress=converted) as provided:
        playback = provided.playback
    assert playback is not None
    facts = video_facts(playback, beside=page, sound=analysis.source.audio is not None)
    data = player_data(replace(analysis, playback=playback), video=facts) | {"opens_s": _peak(analysis)}
    for name, pieces in player_parts(analysis):
        with (folder / f"part-{name}").open("wb") as file:
            file.writelines(pieces)
    (folder / PLAYER).write_text(to_json_text(data), encoding="utf-8")
    return Result(folder.name, video, named(analysis, video, folder), playback, folder)


def _peak(analysis: Analysis) -> float | None:
    """Return the strongest moment of the class that the headline is about; None if nothing speaks for it.

    A moment at which the class is the answer goes first: the player opens with the evidence for the answer of the moment.
    """
    label, answers = explained_label(analysis), Answers(analysis)
    moments = [m for m in find_moments(analysis) if m.label == label]
    best = max(moments, key=lambda m: (answers.at(m.time)[1] == label, m.score), default=None)
    return None if best is None else best.time


def named(analysis: Analysis, video: Video, folder: Path) -> Analysis:
    """Return the analysis with the video's own name instead of the path of the copy here."""
    warnings = tuple(w.replace(f"{folder}{os.sep}", "") for w in analysis.warnings)
    return replace(analysis, source=replace(analysis.source, path=video.name), warnings=warnings)


def file_kinds() -> dict[str, str]:
    """Return the files for download: the title of each by its name."""
    rows = {row.name: row.title for row in list_formats() if row.is_download}
    return {VIDEO: words.Runs.MP4, **rows, ALL: words.Runs.EVERYTHING}


def as_shown(result: Result, said: Mapping[str, Any]) -> Result:
    """Return a result with the look and the class that its player sent with a click; UsageError if no player sends such."""
    if "look" not in said:  # there is no player
        return result
    try:
        look, only = said["look"], int(said["only"])
        style, opacity, threshold = str(look["style"]), float(look["opacity"]), float(look.get("threshold", 0))
        if style not in STYLES or not (0 < opacity <= 1 and 0 <= threshold <= 1) or only < -1:
            raise ValueError
        drawn = Look(style, opacity, look["signed"] is True, threshold=threshold)
    except (TypeError, ValueError, LookupError):
        raise UsageError(words.Common.NO_FILE) from None
    return replace(result, look=drawn, only=None if only < 0 else only)


def path_of(result: Result, kind: str) -> Path:
    """Return where a file for download lies as soon as it is written; what is drawn in several ways has several files."""
    drawn = (result.look, result.only) if kind in (VIDEO, ALL) or get_format(kind).plays_video else (Look(), None)
    tag = "" if drawn == (Look(), None) else f".{zlib.crc32(repr(drawn).encode()):08x}"
    return result.folder / f"{Path(result.video.name).stem}{tag}.vidcam{_suffix(kind)}"


def _suffix(kind: str) -> str:
    return ({row.name: row.suffix for row in list_formats()} | {VIDEO: ".mp4", ALL: ".zip"})[kind]


def download_name(result: Result, model: str, settings: Settings, kind: str) -> str:
    """Return what a file is saved as: those of two runs of one video have different names."""
    run = re.sub(r"[\\/]", "_", "-".join([model, settings.method or "", *map(str, settings.classes)]))
    video = Path(result.video.name).stem[: max(20, MAX_NAME - len(f".{run}"))]  # else the end is cut, which is the run
    name = Path(clean_name(f"{video}.{run}{_suffix(kind)}"))
    return f"{name.stem}.vidcam{name.suffix}"


def write_small_files(result: Result, progress: Progress) -> None:
    """Write the files that are soon written, so that they can be downloaded later without explaining the video again."""
    for row in list_formats():
        if row.is_download and not row.plays_video:
            write_file(result, row.name, progress)


def picture_of(result: Result) -> bytes:
    """Return a small picture of the strongest moment with its evidence, as JPEG."""
    analysis = result.analysis
    assert analysis is not None
    time, label = _peak(analysis), explained_label(analysis)
    with open_source(result.folder / file_name(result.video)) as source:
        frame = None
        for frame in source.frames():
            if time is None or frame.end > time:
                break
    assert frame is not None
    heat = None
    if time is not None:
        size = frame.image.shape[:2]
        heat = render_heat(analysis.drawn[label], time=frame.time, scale=analysis.scale, size=(size[0], size[1]), against=False)
    return jpeg.encode(thumb(frame.image, heat, width=PICTURE_WIDTH), quality=80)


def write_file(result: Result, kind: str, progress: Progress) -> Path:
    """Write one of :func:`file_kinds` into the result's folder, unless it is there, and return its path."""
    target = path_of(result, kind)
    if kind == ALL:
        pieces = [write_file(result, name, progress) for name in file_kinds() if name != ALL]
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for path in dict.fromkeys([*pieces, *_beside(result)]):
                archive.write(path, path.name)
        return target
    if target.exists():
        return target
    if kind == VIDEO:
        source, outputs = result.folder / file_name(result.video), Outputs(video=target)
        vidcam.draw(source, _of_class(result), outputs, look=result.look, progress=progress)
    else:
        progress("write", 0, None)
        _write(get_format(kind), result, target)
    return target


def _of_class(result: Result) -> Analysis:
    """Return the analysis of a result; if its player shows one class alone, what it says of that."""
    a = result.analysis
    assert a is not None
    if result.only is None or len(a.labels) == 1:
        return a
    if result.only >= len(a.labels):
        raise UsageError(words.Common.NO_FILE)
    label = a.labels[result.only]
    segments = tuple(s for s in a.segments if s.label == label)
    return replace(a, curves={label: a.curves[label]}, segments=segments, verdict=None if result.only else a.verdict)


def file_name(video: Video) -> str:
    """Return the name of the video's file: the one that its owner gave it, with a suffix that a video has."""
    return video.name if Path(video.name).suffix.lower() == video_suffix(video.name) else f"{video.name}.mp4"


def _write(row: Format, result: Result, target: Path) -> None:
    """Write a report. A page contains its video, or plays the one beside it if that is too large to be contained."""
    analysis, playback = result.analysis, result.playback
    assert analysis is not None
    if row.plays_video and playback is not None:
        embed = os.path.getsize(playback.path) <= EMBED_LIMIT
        how = playback.how if embed else words.Runs.keep_beside(how=playback.how, video=Path(playback.path).name)
        analysis = replace(analysis, look=result.look, playback=replace(playback, embed=embed, how=how))
    row.write(analysis, target)


def _beside(result: Result) -> Iterator[Path]:
    """Yield the video that the page plays from beside it, if it does not contain it."""
    playback = result.playback
    if playback is not None and os.path.getsize(playback.path) > EMBED_LIMIT:
        yield Path(playback.path)
