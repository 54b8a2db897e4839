"""The page's own components, which ``page/*.js`` draws, and the values that they get."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from vidcam.errors import UsageError

from .session import Session
from .sessions import SessionManager

__all__ = ["EVENT", "IDLE", "PAGE", "part", "remembered"]

PAGE = Path(__file__).with_name("page")
COMMON = Path(__file__).parents[1] / "static" / "common.js"
EVENT: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    "concurrency_limit": None,  # heavy work waits in the queue of the SessionManager
    "trigger_mode": "multiple",
}
IDLE = {"state": "idle"}


@cache
def _script(*names: str) -> str:
    """Return the text of scripts, after the functions and the words that all parts share."""
    common = re.sub(r"^export ", "", COMMON.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return common + "".join((PAGE / f"{name}.js").read_text(encoding="utf-8") for name in ("words", *names))


def part(name: str, value: Any = None, *, uses: tuple[str, ...] = (), **props: Any) -> gr.HTML:
    """Make a component that ``page/NAME.js`` draws; the script sees ``props``, which can be updated like the value.

    ``uses`` are scripts with functions that several parts share.
    """
    return gr.HTML(
        value,
        html_template=f"<div class='vc-{name}'></div>",
        js_on_load=_script(*uses, name),
        apply_default_css=False,
        padding=False,
        **props,
    )


def remembered(
    desk: SessionManager,
    key: str,
    components: list[Any],
    *,
    after: list[Any],
    marks: tuple[gr.HTML, Callable[[Session], Any]] | None = None,
) -> Callable[[Any], None]:
    """Keep in the session what is chosen in these components, for a tab that is loaded again.

    A ``gr.BrowserState`` would be the same in all tabs.

    ``after`` are the events that change some of them; what is returned takes others. Each request carries the moment at which the
    page sent it, because one that was sent earlier may arrive later. ``marks`` are a component, and what returns its update then.
    """
    moment = gr.Number(visible=False)
    stamped = "(moment, ...values) => [performance.timeOrigin + performance.now(), ...values]"

    async def remember(request: gr.Request, sent: float, *values: Any) -> Any:  # a coroutine, so that one follows the other
        with suppress(UsageError):  # of a session that is gone
            session = desk.of(request.session_hash)
            session.choose(key, list(values), sent=sent)
            if marks is not None:
                return marks[1](session)
        return None if marks is None else gr.skip()

    unheard = [c.blur for c in components if isinstance(c, gr.Dropdown | gr.Textbox)]
    unheard += [c.select for c in components if isinstance(c, gr.Dropdown)]
    told = {"inputs": [moment, *components], "outputs": marks and [marks[0]], "js": stamped, **EVENT}
    gr.on(
        [*(c.input for c in components), *unheard], remember, **told
    )  # what is taken away, or typed first, is no input to Gradio

    def remember_after(event: Any) -> None:
        event.then(remember, **told)

    for event in after:
        remember_after(event)
    return remember_after
