"""HTML pages from the package's templates, and pictures and links within them."""

from __future__ import annotations

import base64
import os
import urllib.parse
from collections.abc import Iterable

from vidcam.io.formatting import duration, number, percent, seconds
from vidcam.values import UInt8Array

__all__ = ["fill_template", "jpeg_url", "link_to", "video_link"]


def fill_template(template: str, **values: object) -> str:
    """Return a page of ``templates/`` as text; every value is escaped unless the template says otherwise."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("vidcam.reports"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "seconds": seconds, "duration": duration, "number": number, "jpeg": jpeg_url}
    return environment.get_template(template).render(values)


def jpeg_url(image: UInt8Array) -> str:
    """Return an RGB image as a ``data:`` URL, at most 640 pixels wide."""
    from vidcam.io.jpeg import encode

    return "data:image/jpeg;base64," + base64.b64encode(encode(image, quality=88, max_width=640)).decode("ascii")


def video_link(outputs: Iterable[str], *, beside: str | os.PathLike[str]) -> str | None:
    """Return the URL of the explained video relative to the page ``beside``.

    None if ``outputs`` has no MP4 file, or if it lies on another drive.
    """
    videos = (output for output in outputs if os.path.splitext(output)[1].lower() == ".mp4")
    return next((link_to(video, beside=beside) for video in videos), None)


def link_to(path: str, *, beside: str | os.PathLike[str]) -> str | None:
    """Return the URL of a file relative to the page ``beside``; None if it lies on another drive."""
    try:
        relative = os.path.relpath(path, os.path.dirname(os.path.abspath(beside)))
    except ValueError:
        return None
    return urllib.parse.quote(os.fsencode(relative.replace(os.sep, "/")))
