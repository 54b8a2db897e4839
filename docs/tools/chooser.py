"""Draw the same moment of one clip under every method that works on mini: the pictures of the method chooser."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np

import vidcam
from vidcam.analysis import Analysis
from vidcam.annotation import explain_by_methods
from vidcam.evidence.heat import render_heat
from vidcam.methods.lookup import get_method
from vidcam.methods.method import Method
from vidcam.render import thumb
from vidcam.values import UInt8Array

__all__ = ["make"]

CLIP = Path(__file__).resolve().parents[2] / "clips" / "three_actions.mp4"
LABEL, START_S, END_S = "waving one hand", 0.9, 2.6
"""What is explained: one clip of the model, in which only a hand and its arm act."""

WIDTH = 320
"""Pixels of a picture."""

FAMILIES = {
    "cam": "From the activations of one layer",
    "gradient": "From activations and the gradients of the score",
    "input": "From the gradient of the pixels",
    "propagation": "The score sent back layer by layer (LRP)",
    "perturbation": "From the answers to changed clips",
    "attention": "From attention",
}
"""The headings, in the order of the page."""


def make(folder: Path) -> None:
    """Write a picture for each method into ``folder/chooser``, and what the page shows of them into ``folder/chooser.html``."""
    engine = vidcam.open_engine("mini")
    settings = vidcam.Settings(classes=(LABEL,), start_s=START_S, end_s=END_S, seconds_between_clip_starts=2.0, tail="drop")
    analyses, refused = explain_by_methods(CLIP, engine=engine, settings=settings, methods=vidcam.list_methods())
    cam = analyses["cam"]
    time = float(cam.times_s[int(np.nanargmax(cam.curves[LABEL]))])
    with vidcam.open_source(CLIP) as source:
        *_, frame = itertools.takewhile(lambda frame: frame.time <= time, source.frames())
    pictures = folder / "chooser"
    pictures.mkdir(parents=True, exist_ok=True)
    for name, analysis in analyses.items():
        _save(_draw(frame.image, analysis, time), pictures / f"{_slug(name)}.jpg")
    _save(thumb(frame.image, None, width=WIDTH), pictures / "nothing.jpg")
    (folder / "chooser.html").write_text("\n".join(_write(analyses, refused)), "utf-8")


def _draw(image: UInt8Array, analysis: Analysis, time: float) -> UInt8Array:
    """Return the picture with the evidence for the class, and against it if the method says that."""
    signed = get_method(analysis.method).signed
    heat = render_heat(analysis.drawn[LABEL], time=time, scale=analysis.scale, size=image.shape[:2], against=signed)
    return thumb(image, heat, width=WIDTH, signed=signed)


def _save(picture: UInt8Array, path: Path) -> None:
    cv2.imwrite(str(path), picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])


def _slug(name: str) -> str:
    return name.replace("+", "p")


def _write(analyses: Mapping[str, Analysis], refused: Mapping[str, str]) -> Iterator[str]:
    """Yield the pictures by family, and then the methods that need what mini lacks."""
    methods = [get_method(name) for name in analyses]
    for family, heading in FAMILIES.items():
        rows = [method for method in methods if method.family == family]
        if rows:
            yield f"### {heading}\n\n<div class='methods'>"
            yield from (_figure(method, analyses[method.name]) for method in rows)
            yield "</div>\n"
    yield "### Not on this model\n"
    yield from (f"- `{name}`: {_cite(get_method(name).paper)}" for name in refused)
    yield "\nThese need attention, which a convolutional network such as `mini` does not have.\n"


def _figure(method: Method, analysis: Analysis) -> str:
    grid = " × ".join(str(n) for n in analysis.tracks[LABEL][0].maps.shape[1:])
    promises = {"Sums to the logit": method.is_complete, "Shows evidence against": method.signed}
    facts = ". ".join([*(promise for promise, holds in promises.items() if holds), f"{grid} cells at a moment"])
    name, title = html.escape(method.name), html.escape(method.title)
    return (
        f"<figure><img src='chooser/{_slug(method.name)}.jpg' alt='The same moment under {name}' width='{WIDTH}' height='240' "
        f"loading='lazy'><figcaption><code>{name}</code> {title}<small>{facts}. "
        f"Costs {html.escape(method.cost)}. {_cite(method.paper)}</small></figcaption></figure>"
    )


def _cite(paper: str) -> str:
    """Return a paper with its address as a link."""
    return re.sub(r",? (https?://\S+)", r" (<a href='\1'>paper</a>)", html.escape(paper))
