"""Fixtures shared by the tests."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from support.command import Run, exit_code

if TYPE_CHECKING:
    from playwright.sync_api import Browser

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # ONNX Runtime would look for a server of its makers
os.environ.setdefault("OMP_NUM_THREADS", "1")  # a process for each core: threads on top of that get in each other's way
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that runs the tests in the background makes them, and the programs that they start, deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
# A busy machine is no reason to fail, and a run tries what the run before it tried: --hypothesis-profile=search tries anew.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000)
settings.load_profile("steady")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Start one process more than there are processors: those that wait for a browser leave theirs to the others."""
    allowed = getattr(os, "sched_getaffinity", None)
    return (len(allowed(0)) if allowed else os.cpu_count() or 1) + 1


gc.disable()  # until all tests are imported


def pytest_collection_finish() -> None:
    """Leave the million objects that importing has made out of all garbage collections."""
    gc.freeze()
    gc.enable()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let one process run the tests of a file that share a fixture, which would otherwise be made in every process."""
    if item.get_closest_marker("xdist_group"):
        return
    fixtures = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009 — pytest has no public way to ask
    if any(definitions[-1].scope == "module" for definitions in fixtures.values()):
        item.add_marker(pytest.mark.xdist_group(item.path.stem))


ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT.parent / "shared" / "assets"


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real clips, labels and weights; the test is skipped where it is absent."""
    if not ASSETS.is_dir():
        pytest.skip(f"needs the real clips and weights in {ASSETS.name}, which are not part of the project")
    return ASSETS


@pytest.fixture
def repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn off x264's macroblock tree, which reads past rows (docs/batches.md): then the same pictures give the same bytes."""
    from vidcam.io import encoders

    monkeypatch.setitem(encoders.X264.options, "x264-params", "mbtree=0")  # type: ignore[arg-type]


@pytest.fixture(scope="session", autouse=True)
def own_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests away from the network and the user's cache; they share a cache, so that a model is compiled once."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # that of the whole run
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDCAM_OFFLINE", "1")
        patch.setenv("VIDCAM_CACHE", str(folder / "cache"))
        patch.delenv("VIDCAM_WEIGHTS", raising=False)
        yield


@pytest.fixture
def vidcam(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command in this process, in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[int, str, str]:
        code = exit_code(*words)
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def empty_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a cache of its own, with nothing in it."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VIDCAM_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """A network with random weights has the same ones in every run."""
    if torch := sys.modules.get("torch"):  # a test that needs none does not wait for it
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of the project's clips, as what a browser's camera sees."""
    from benchmarks.camera import write_camera

    path = tmp_path_factory.mktemp("camera") / "camera.y4m"
    write_camera(ROOT / "clips" / "jumping_jack.mp4", path, fps=25)
    return path


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """Chromium with a camera that plays one of the project's clips; the test is skipped where there is none."""
    from benchmarks.camera import CHROMIUM, started

    if CHROMIUM is None:
        pytest.skip("needs a Chromium on the PATH (Debian: apt-get install chromium)")
    with started(request.getfixturevalue("camera")) as chromium:
        yield chromium
