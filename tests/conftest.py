"""Fixtures shared by the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process for each core: threads on top of that get in each other's way

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT.parent / "shared" / "assets"


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real clips, labels and weights; the test is skipped where it is absent."""
    if not ASSETS.is_dir():
        pytest.skip(f"needs the real clips and weights in {ASSETS.name}, which are not part of the project")
    return ASSETS


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the network or the user's cache."""
    monkeypatch.setenv("VIDCAM_OFFLINE", "1")
    monkeypatch.setenv("VIDCAM_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("VIDCAM_WEIGHTS", raising=False)
