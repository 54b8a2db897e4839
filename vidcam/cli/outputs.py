"""Which files a command writes for each input that was typed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vidcam.annotation import Outputs
from vidcam.errors import InputError, UsageError
from vidcam.io.source import IMAGE_SUFFIXES, find_videos, open_source
from vidcam.reports.formats import get_format, list_formats
from vidcam.settings import Encoding

__all__ = ["parse_formats", "plan_comparison", "plan_outputs"]

MAX_NAME_BYTES = 200
"""Length of a file name that is made from an input's: file systems take 255 bytes, and a suffix follows."""


def plan_outputs(
    inputs: Sequence[str],
    *,
    output: Path | None,
    out_dir: Path | None,
    reports: Mapping[str, Path | None],
    overwrite: bool,
    embed: bool = False,
    encoding: Encoding = Encoding(),
) -> list[tuple[str, Outputs]]:
    """Return each source with its outputs, in order; makes ``out_dir``.

    Args:
        inputs: What was typed: files, URLs, folders of numbered images, or folders, which stand for the videos in them.
        output: The video to write for a single source, or in its place the HTML page, if the name ends in ``.html``.
        out_dir: The folder for the videos. Without ``output`` and ``out_dir``, a video is written to the current folder. Its name
            is ``NAME.vidcam.mp4``; equal names get a number.
        reports: The path of each report by the name of its format (:mod:`vidcam.reports.formats`). It must contain ``{name}`` if
            there are several sources.
        overwrite: Whether existing files are replaced.
        embed: Whether the HTML page contains its video.
        encoding: How videos are encoded.

    Raises:
        UsageError: The options do not go together.
        InputError: A folder holds no video.
    """
    sources = [source for given in inputs for source in _expand(given)]
    requested = {kind: path for kind, path in reports.items() if path is not None}
    _check_video(output, out_dir)
    is_page = output is not None and _is_page(output)
    if output is not None and is_page:
        requested, output = _with_page(output, requested), None
    if embed and "html" not in requested:
        raise UsageError("--embed puts the video into the HTML page: name a page with -o OUT.html or --report OUT.html")
    if len(sources) > 1:
        _check_names(output, list(requested.values()), count=len(sources))
    if out_dir is not None:
        if out_dir.exists() and not out_dir.is_dir():
            raise UsageError(f"--out-dir {out_dir} is a file: name a folder")
        out_dir.mkdir(parents=True, exist_ok=True)
    jobs = []
    taken: set[str] = set()
    for source in sources:
        name = _unique(_stem(source), taken)
        video = None if is_page else output or (out_dir or Path()) / f"{name}.vidcam.mp4"
        paths = {kind: Path(str(path).replace("{name}", name)) for kind, path in requested.items()}
        jobs.append((source, Outputs(video, paths, overwrite=overwrite, embed=embed, encoding=encoding)))
    return jobs


def parse_formats(words: Sequence[str]) -> dict[str, Path | None]:
    """Return the paths by format that ``--format NAME=PATH`` gives.

    Raises:
        UsageError: A word has another form, or there is no such format.
    """
    paths: dict[str, Path | None] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or not path:
            raise UsageError(f"--format takes NAME=PATH, got {word!r}")
        paths[get_format(name).name] = Path(path)
    return paths


def plan_comparison(
    source: str,
    *,
    output: Path | None,
    html: Path | None,
    json: Path | None,
    overwrite: bool,
    embed: bool = False,
    encoding: Encoding = Encoding(),
) -> tuple[str, Outputs]:
    """Return the one video that ``source`` names with the files to write for it, all checked.

    ``output`` is the page or the grid video. Without it and ``html``, the page ``NAME.compare.html`` is written.

    Raises:
        UsageError: ``source`` is a folder of several videos, or the options do not go together.
        InputError: It cannot be read.
        OutputError: A file cannot be written.
    """
    if output is None and html is None:
        output = Path("{name}.compare.html")
    jobs = plan_outputs(
        [source],
        output=output,
        out_dir=None,
        reports={"html": html, "json": json},
        overwrite=overwrite,
        embed=embed,
        encoding=encoding,
    )
    if len(jobs) > 1:
        raise UsageError(f"{source} has {len(jobs)} videos, but one is compared at a time: name one of them")
    [(source, outputs)] = jobs
    open_source(source).close()  # a bad input is reported before any weights are fetched
    if output is None:
        outputs = replace(outputs, video=None)
    outputs.check(source)
    return source, outputs


def _check_video(output: Path | None, out_dir: Path | None) -> None:
    """Raise UsageError if -o and --out-dir do not go together, or -o names a folder."""
    if output is not None and out_dir is not None:
        raise UsageError("give -o for one video or --out-dir for a folder, not both")
    if output is not None and output.is_dir():
        raise UsageError(f"{output} is a folder: use --out-dir {output}")


def _is_page(output: Path) -> bool:
    """Return whether the name that -o gives is that of a report that plays the video."""
    return any(output.suffix.lower() == row.suffix for row in list_formats() if row.plays_video)


def _with_page(output: Path, reports: Mapping[str, Path]) -> dict[str, Path]:
    """Return the reports with the page that -o names; UsageError if another one is named."""
    if "html" in reports:
        raise UsageError(f"-o {output} and --report {reports['html']} are both HTML pages: name one of them")
    return {"html": output, **reports}


def _check_names(output: Path | None, reports: Sequence[Path], *, count: int) -> None:
    """Raise UsageError if a path names one file for ``count`` sources."""
    if output is not None:
        raise UsageError(f"-o names one file, but there are {count} inputs: use --out-dir")
    for path in reports:
        if "{name}" not in str(path):
            example = f"{path.stem}-{{name}}{path.suffix}"
            raise UsageError(f"{path} is one file, but there are {count} inputs: put {{name}} into it, as in {example}")


def _expand(given: str) -> list[str]:
    """Return the sources that ``given`` stands for."""
    path = Path(given)
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError):  # no file can have this name: reported where it is read
        is_folder = False
    if not is_folder:
        return [given]
    try:
        return [str(video) for video in find_videos(path)]
    except InputError:
        if any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.iterdir()):
            return [given]  # a folder of numbered images is one video
        raise


def _stem(source: str) -> str:
    """Return a file name without suffix for the outputs of ``source``, with harmless characters whatever a URL contains."""
    path = unquote(urlsplit(source).path) if re.match(r"https?://", source, re.IGNORECASE) else source
    stem = Path(path.rstrip("/")).resolve().stem if path == source else Path(path.rstrip("/")).stem
    name = re.sub(r"[^\w\-. ()\[\]]", "_", stem).strip(". ") or "video"
    return name.encode()[:MAX_NAME_BYTES].decode(errors="ignore")


def _unique(name: str, taken: set[str]) -> str:
    """Return ``name``, with a number if a file system may take it for one of ``taken``; adds it to them."""
    unique, number = name, 2
    while unique.casefold() in taken:
        unique, number = f"{name}-{number}", number + 1
    taken.add(unique.casefold())
    return unique
