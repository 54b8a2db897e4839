"""The short work of the Annotate tab: the answer without a part of the picture, and the explained example of the empty page."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gradio as gr

from vidcam.engine import BUILT_IN
from vidcam.web import words

from . import jobs
from .annotate_view import View, result_of
from .asking import Hidden
from .sessions import SessionManager
from .uploads import Video
from .work import Cancelled, sentence

__all__ = ["Errands"]

log = logging.getLogger("vidcam.app")


class Errands:
    """The events of the stage that await short work.

    ``showcase`` is the folder in which the explained first example is kept; None shows none.
    """

    def __init__(
        self, desk: SessionManager, engines: jobs.Engines, view: View, examples: Sequence[Video], showcase: Path | None
    ) -> None:
        self._desk, self._engines, self._stage, self._showcase = desk, engines, view.stage, showcase
        self._example = next(iter(examples), None)

    async def hide(self, event: gr.EventData, request: gr.Request) -> Any:
        """Ask the model again without a part of the video."""
        try:
            result = result_of(self._desk.of(request.session_hash))
            hidden = Hidden.of(event._data)
            said = await self._desk.errand(lambda: jobs.what_if(self._engines, result, hidden))
        except Exception as error:
            said = sentence(error)
        return gr.HTML(hidden={"words": said, "asked": event._data.get("asked") if isinstance(event._data, dict) else None})

    async def show_example(self, request: gr.Request) -> AsyncIterator[Any]:
        """Let the empty page play an explained example; it is explained once and kept."""
        video, model, is_urgent = self._example, BUILT_IN, self._desk.is_awaited
        is_open = self._desk.knows(str(request.session_hash))  # the tab may have been closed at once
        if not is_open or video is None or self._showcase is None:
            yield {self._stage: gr.skip()}
            return
        try:
            session = self._desk.of(request.session_hash)
            folder = self._showcase / f"example-{version('vidcam')}"
            if not folder.is_dir():
                await self._desk.errand(lambda: jobs.explain_example(self._engines, model, video, folder, is_urgent))
            title = words.Annotate.example(video=video.name, model=model)
            yield {self._stage: gr.HTML(showcase={"base": session.serve(folder), "title": title})}
        except Cancelled:  # somebody's own video comes first; the next page explains the example
            yield {self._stage: gr.skip()}
        except Exception:  # the page does without
            log.warning("the explained example cannot be shown", exc_info=True)
            yield {self._stage: gr.skip()}
