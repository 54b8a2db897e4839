"""Check that the links and pictures of all pages exist: ``python3 .github/check_links.py``. The web is not asked."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MADE = ("index.md", "chooser.md", "tutorials/index.md", "reference/index.md")
"""Pages of the site that link to pages and pictures which docs/build.sh makes; it checks their links itself."""

PAGES = (*ROOT.glob("*.md"), *({*(ROOT / "docs").rglob("*.md")} - {ROOT / "docs" / name for name in MADE}))
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")


def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page make."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", unicodedata.normalize("NFC", title).lower()).replace(" ", "-") for title in titles}


def broken() -> Iterator[str]:
    """Yield a line for each link that leads nowhere."""
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
        for match in LINK.finditer(text):
            target = match[1] or match[2]
            if re.match(r"\w+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path) if path else page
            if not file.exists():
                yield f"{page.relative_to(ROOT)}: {target} does not exist"
            elif anchor and file.suffix == ".md" and anchor not in anchors(file):
                yield f"{page.relative_to(ROOT)}: {target} has no such heading"


if __name__ == "__main__":
    lines = list(broken())
    sys.exit("\n".join(lines) or None)
