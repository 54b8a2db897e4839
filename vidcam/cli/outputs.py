"""What a user typed, as work to do: each input with the files that will be written for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from vidcam.annotation import Outputs
from vidcam.errors import InputError, UsageError
from vidcam.io.source import IMAGE_SUFFIXES, find_videos, open_source

if TYPE_CHECKING:
    pass

__all__ = ["outputs_for", "plan"]


LONGEST = 200
"""Bytes of a file name that is made from an input's: file systems take 255, and a suffix comes behind it."""


def plan(
    inputs: Sequence[str],
    *,
    output: Path | None,
    out_dir: Path | None,
    reports: Mapping[str, Path | None],
    overwrite: bool,
) -> list[tuple[str, Outputs]]:
    """Each input with its outputs, in order; a folder of videos stands for the videos in it.

    Without ``output`` and ``out_dir`` a video is written to the current folder as ``NAME.vidcam.mp4``. With several inputs a
    report's path must contain ``{name}``. Inputs of the same name get a number. Raises UsageError and InputError.
    """
    sources = [source for given in inputs for source in _expand(given)]
    wanted = {kind: path for kind, path in reports.items() if path is not None}
    if output is not None and out_dir is not None:
        raise UsageError("give -o for one video or --out-dir for a folder, not both")
    if output is not None and output.is_dir():
        raise UsageError(f"{output} is a folder: use --out-dir {output}")
    if len(sources) > 1:
        if output is not None:
            raise UsageError(f"-o names one file, but there are {len(sources)} inputs: use --out-dir")
        for path in wanted.values():
            if "{name}" not in str(path):
                better = f"{path.stem}-{{name}}{path.suffix}"
                raise UsageError(f"{path} is one file, but there are {len(sources)} inputs: put {{name}} into it, as in {better}")
    if out_dir is not None:
        if out_dir.exists() and not out_dir.is_dir():
            raise UsageError(f"--out-dir {out_dir} is a file: name a folder")
        out_dir.mkdir(parents=True, exist_ok=True)
    if len(sources) == 1:
        open_source(sources[0]).close()  # a bad input is told before any weights are fetched
    jobs, taken = [], set[str]()
    for source in sources:
        name = _unique(_name(source), taken)
        video = output or (out_dir or Path()) / f"{name}.vidcam.mp4"
        jobs.append(
            (source, Outputs(video, overwrite=overwrite, **{k: Path(str(p).replace("{name}", name)) for k, p in wanted.items()}))
        )
    return jobs


def _expand(given: str) -> list[str]:
    path = Path(given)
    try:
        folder = path.is_dir()
    except (OSError, ValueError):  # a name that no file can have: told where it is read
        folder = False
    if not folder:
        return [given]
    try:
        return [str(p) for p in find_videos(path)]
    except InputError:
        if any(p.suffix.lower() in IMAGE_SUFFIXES for p in path.iterdir()):
            return [given]  # a folder of numbered images is one video
        raise


def _name(source: str) -> str:
    """A file name for what is made from ``source``, harmless whatever a URL contains."""
    path = unquote(urlsplit(source).path) if re.match(r"https?://", source, re.IGNORECASE) else source
    stem = Path(path.rstrip("/")).resolve().stem if path == source else Path(path.rstrip("/")).stem
    name = re.sub(r"[^\w\-. ()\[\]]", "_", stem).strip(". ") or "video"
    return name.encode()[:LONGEST].decode(errors="ignore")


def _unique(name: str, taken: set[str]) -> str:
    found, number = name, 2
    while found.casefold() in taken:
        found, number = f"{name}-{number}", number + 1
    taken.add(found.casefold())
    return found


def outputs_for(source: str, *, video: Path | None, html: Path | None, json: Path | None, overwrite: bool) -> tuple[str, Outputs]:
    """The one video that ``source`` names and the files to write for it, all of them checked; by default ``NAME.compare.mp4``.

    Raises UsageError where there are several videos, InputError and OutputError.
    """
    jobs = plan([source], output=video, out_dir=None, reports={}, overwrite=overwrite)
    if len(jobs) > 1:
        raise UsageError(f"{source} has {len(jobs)} videos, but one is compared at a time: name one of them")
    [(found, planned)] = jobs
    assert planned.video is not None
    named = planned.video if video else planned.video.with_name(f"{planned.video.name.removesuffix('.vidcam.mp4')}.compare.mp4")
    outputs = replace(planned, video=named, html=html, json=json)
    outputs.check(found)
    return found, outputs
