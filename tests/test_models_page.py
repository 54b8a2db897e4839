"""docs/models.md says what the tables of the code say."""

from __future__ import annotations

from benchmarks.models_page import PAGE, filled
from vidcam.models.huggingface.families import FAMILIES


def test_page_of_models_is_that_of_the_tables() -> None:
    page = PAGE.read_text("utf-8")
    assert filled(page) == page, "write it anew: python -m benchmarks.models_page"
    assert all(f"`{name}`" in page for name in ("mini", "movinet_a0", "x3d_s", "swin3d_t", *FAMILIES))


def test_page_of_models_that_is_old_is_written_anew() -> None:
    page = PAGE.read_text("utf-8")
    assert filled(page.replace("| `x3d_s` |", "| `x3d_q` |")) == page
