"""Pages that contain the player: its script and style, the video, and what is too large for JSON."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import TYPE_CHECKING

from vidcam.io.files import atomic_write, check_output
from vidcam.io.json_text import to_utf8_text
from vidcam.reports.player_data import encode
from vidcam.reports.templating import fill_template, link_to

if TYPE_CHECKING:
    from vidcam.io.playable import Playback

__all__ = ["Part", "embedded_video", "page_pieces", "video_facts", "write_pieces"]

Part = tuple[str, Iterator[bytes]]
"""The name of a part of a page that is too large for JSON, and its bytes."""

MARKER = "<!-- parts -->"
"""Stands in the filled template where the parts go. No value can contain it, because values are escaped."""

READ_BYTES = 3 << 18

PathLike = str | os.PathLike[str]


def page_pieces(
    template: str, *, start: str, player: object, parts: Iterable[Part], script: str = "", **values: object
) -> Iterator[str]:
    """Yield a page piece by piece, so that the memory for it does not grow with the video.

    Args:
        template: The name of a template that extends ``player.html.j2``.
        start: The function that starts the page.
        player: What that function finds as JSON.
        parts: What it finds as bytes.
        script: The file of that function, if it is not ``player.js``.
        values: Further values of the template.
    """
    code = f"{_static('player.js')}\n{_static(script) if script else ''}\n{start}();\n"
    page = fill_template(
        template,
        player=player,
        player_css=_static("player.css"),
        marker=MARKER,
        script=code,
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode(),
        **values,
    )
    head, _, tail = to_utf8_text(page).partition(MARKER)
    yield head
    for name, chunks in parts:
        yield f'<script type="application/octet-stream" id="part-{name}">'  # browsers run no script of this type
        yield from encode(chunks)
        yield "</script>\n"
    yield tail


def write_pieces(pieces: Iterable[str], path: PathLike, *, overwrite: bool, source: str | None) -> None:
    """Write a page; it appears complete or not at all. Raises OutputError if it cannot be written."""
    check_output(path, overwrite=overwrite, source=source)
    with atomic_write(path, overwrite=overwrite) as part, open(part, "w", encoding="utf-8", newline="\n") as file:
        for piece in pieces:
            file.write(piece)


def video_facts(playback: Playback, *, beside: PathLike, sound: bool) -> dict[str, object]:
    """Return where the player finds the video of a page that lies at ``beside``."""
    kind = "video/webm" if playback.path.lower().endswith(".webm") else "video/mp4"
    src = None if playback.embed else link_to(playback.path, beside=beside)
    name = os.path.basename(playback.path)
    return {"own": True, "src": src, "embedded": playback.embed, "type": kind, "name": name, "sound": sound}


def embedded_video(playback: Playback | None, name: str = "video") -> Iterator[Part]:
    """Yield the video as a part, if the page contains it."""
    if playback is not None and playback.embed:
        yield name, _read(playback.path)


def _static(name: str) -> str:
    """Return a file of the web pages, which the report contains; nothing of :mod:`vidcam.web` is imported."""
    return files("vidcam").joinpath("web", "static", name).read_text(encoding="utf-8")


def _read(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(READ_BYTES):
            yield chunk
