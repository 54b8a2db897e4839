"""The live viewer: a page with the heat over the picture, and the server behind it."""

from pathlib import Path

PAGE = Path(__file__).parent.parent / "static" / "live"
"""The folder of the page's files."""

SHARED = {name: PAGE.with_name(name) for name in ("common.js", "player.js")}
"""The scripts that this page shares with others: functions for making elements, and the player, whose ``Heat`` draws here too."""
