"""Pages in a real browser: they may neither complain nor ask strangers, and what they show is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from support.waiting import HANG_MS, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

# Placed before anything of the page runs. Where time is the test's, what is asked of a timer is noted.
PAUSES = """
  const later = window.setTimeout;
  window.pauses = [];
  window.setTimeout = (action, ms, ...more) => { window.pauses.push(ms ?? 0); return later(action, ms, ...more); };
"""


@contextmanager
def opened(
    browser: Browser,
    address: str,
    *,
    still: bool = False,
    before: str = "",
    excused: tuple[str, ...] = (),
    used: list[BrowserContext] | None = None,
    **options: Any,
) -> Iterator[Page]:
    """A page at the address. If ``still``, its clock goes only where :func:`pass_time` moves it.

    ``before`` is a script that runs before the page's own, ``excused`` are words of complaints that are meant to be there. With a
    list of ``used`` contexts, the page is opened in one of them, which has its scripts already but no memory of other users.
    """
    context = used.pop() if used else None
    if context is None:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"} | options)
        context.set_default_timeout(HANG_MS)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda r: complaints.append(r.url) if not r.url.startswith((address, "blob:", "data:")) else None)
    try:
        if still:
            page.clock.install(time=0)
            page.clock.pause_at(1000)
            page.add_init_script(PAUSES)
        if before:
            page.add_init_script(before)
        page.goto(address)
        yield page
        if used is not None:
            _forget(context, page, address)
            used.append(context)
    finally:
        if used is None or context not in used:
            context.close()
    excused = (*excused, "getImageData")  # reading pixels is what the tests do
    unexcused = [c for c in complaints if not any(words in c for words in excused)]
    assert not unexcused, unexcused


def _forget(context: BrowserContext, page: Page, address: str) -> None:
    """Close all pages of a context, and delete what they have stored."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(address))
    context.new_cdp_session(page).send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
    context.clear_cookies()
    for one in context.pages:
        one.close()


def wait(page: Page, expression: str) -> None:
    """Wait until the expression is true. (Playwright's own way evaluates text inside the page, which its policy may forbid.)"""
    until(lambda: page.evaluate(expression))


def pass_time(page: Page, seconds: float) -> None:
    """Let this time pass on a page that is ``still``, with all that is due in it."""
    page.clock.run_for(round(1000 * seconds))
