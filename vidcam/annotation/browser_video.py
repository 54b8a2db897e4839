"""Provides the video that an HTML page plays: the source itself, or a copy that browsers can play."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vidcam.analysis import Analysis
from vidcam.errors import OutputError, UsageError
from vidcam.io.files import check_output
from vidcam.io.playable import Playability, Playback, check_playable, remux
from vidcam.io.source import Source
from vidcam.pipeline import Progress
from vidcam.render.draw_pass import DrawPass
from vidcam.settings import Encoding

__all__ = ["EMBED_LIMIT", "check_embedding", "copy_beside", "provide_video"]

EMBED_LIMIT = 64_000_000
"""The largest video, in bytes, that a page contains: a browser holds such a page in memory several times over."""

SMALLER = "make it smaller first, as with: ffmpeg -i IN -vf scale=-2:480 OUT.mp4"


def copy_beside(page: Path) -> Path:
    """Return where the copy lies that a page plays if browsers cannot play the source: ``why.video.mp4`` for ``why.html``."""
    return page.with_name(f"{page.stem}.video.mp4")


def check_embedding(source: Source, page: Path, *, embed: bool, overwrite: bool) -> Playability:
    """Return how the page gets its video.

    Raises:
        UsageError: The video is too large to be embedded.
        OutputError: A copy is needed beside the page and cannot be written there.
    """
    playable = check_playable(source)
    if embed:
        size = os.path.getsize(source.info.path) if os.path.isfile(source.info.path) else 0
        if playable.way != "transcode" and size > EMBED_LIMIT:
            raise UsageError(
                f"{source.info.path} has {size / 1e6:.0f} MB, and a page contains at most {EMBED_LIMIT / 1e6:.0f}: leave --embed"
                f" out, so that the page plays the video where it lies, or {SMALLER}"
            )
    elif playable.way != "as it is" or not _can_link(source.info.path, page):
        check_output(copy_beside(page), overwrite=overwrite, source=source.info.path)
    return playable


@contextmanager
def provide_video(
    source: Source,
    analysis: Analysis,
    page: Path,
    playable: Playability,
    *,
    embed: bool,
    encoding: Encoding = Encoding(),
    overwrite: bool,
    progress: Progress | None,
) -> Iterator[Analysis]:
    """Yield the analysis with the video that its page plays, made first if need be.

    A copy that the page contains vanishes when the block ends; another one lies beside the page (:func:`copy_beside`).
    """
    info = source.info
    size = info.height, info.width
    name = os.path.basename(info.path.rstrip("/")) or info.path
    if playable.way == "as it is" and (embed or _can_link(info.path, page)):
        how = f"The page plays {name} itself{', which it contains' if embed else ''}."
        yield replace(analysis, playback=Playback(info.path, info.start_s, size, how, embed))
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "video.mp4" if embed else copy_beside(page)
        how, first, size, lost = _copy(source, analysis, target, playable, encoding, overwrite=overwrite, progress=progress)
        if embed and (size_mb := target.stat().st_size / 1e6) > EMBED_LIMIT / 1e6:
            beside, embed = copy_beside(page), False
            check_output(beside, overwrite=overwrite, source=info.path)
            target = Path(shutil.move(target, beside))
            lost.append(f"the video has {size_mb:.0f} MB, too much for a page to contain: it lies beside it as {beside.name}")
        outputs = analysis.outputs if embed else {**analysis.outputs, "html_video": str(target)}
        warnings = tuple(dict.fromkeys([*analysis.warnings, *lost]))
        playback = Playback(str(target), first, size, how, embed)
        yield replace(analysis, outputs=outputs, warnings=warnings, playback=playback)


def _can_link(path: str, page: Path) -> bool:
    """Return whether a relative link leads from the page to the video: not to another drive."""
    try:
        os.path.relpath(path, page.resolve().parent)
    except ValueError:
        return False
    return True


def _copy(
    source: Source,
    analysis: Analysis,
    target: Path,
    playable: Playability,
    encoding: Encoding,
    *,
    overwrite: bool,
    progress: Progress | None,
) -> tuple[str, float, tuple[int, int], list[str]]:
    """Write the copy; return a sentence on it, its first frame's second, its size (H, W) in source pixels, and warnings."""
    info, settings = source.info, analysis.settings
    reason = playable.reason or "no link leads from the page to another drive"
    name = os.path.basename(info.path.rstrip("/")) or info.path
    if playable.way != "transcode":
        try:
            lost = remux(source, target, overwrite=overwrite)
        except OutputError:
            reason = f"{reason}, and MP4 does not take its packets"
        else:
            how = f"The video is a copy of {name} as MP4, with its pictures as they were coded ({reason})."
            return how, info.start_s, (info.height, info.width), lost
    size = height, width = _even(info.height, info.width)
    drawing = DrawPass(source, settings, frames=analysis.frames, progress=progress, encoding=encoding)
    drawing.run(lambda frame: frame.planes.part(0, 0, height, width), target, size=size, overwrite=overwrite)
    how = f"The video is {name}, encoded again as H.264 ({reason})."
    return how, float(analysis.frame_times_s[0]), size, list(drawing.warnings)


def _even(height: int, width: int) -> tuple[int, int]:
    """Return the size without an odd last row or column, which H.264 in 4:2:0 cannot hold."""
    return max(2, height - height % 2), max(2, width - width % 2)
