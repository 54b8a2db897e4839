"""The live viewer: a page with the heat over the picture, and the server behind it."""

from pathlib import Path

PAGE = Path(__file__).parent.parent / "static" / "live"
"""The folder of the page's files."""

COMMON = PAGE.with_name("common.js")
"""The functions that this page and the app's pages share."""
