"""A labelled folder: a network that learned a mark in the corner is caught, one that learned the thing itself is not."""

from __future__ import annotations

import csv
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import page as pages
from support.media import write_clip
from support.schemas import strict, validate

from vidcam.cli import main
from vidcam.engine import TorchEngine, open_engine
from vidcam.errors import IncompatibleError, InputError, UnknownNameError, UsageError
from vidcam.evaluation import folder as inspection
from vidcam.io.source import open_source
from vidcam.settings import Settings
from vidcam.training import TrainConfig, train

pytestmark = pytest.mark.xdist_group("dataset")  # training takes seconds, once for all tests

CLIPS = Path(__file__).parent.parent / "clips"

FACTORY = """
from vidcam.models.mini_net import Mini

def build():
    net = Mini(3, stem=8, widths=((8, 1), (16, 2)))
    net.vidcam = {"frames": 4, "interval_s": 0.1, "resize": 64, "crop": (64, 64), "layer": "blocks", "head": "fc"}
    return net
"""


def make(root: Path, *, marked: bool, first: int, count: int = 8) -> Path:
    """Two classes of videos in random rooms, each with a moving square. ``marked``: what tells them apart is a mark in the corner
    of one class; otherwise it is the colour of the square."""
    for label in ("ball", "disc"):
        (root / label).mkdir(parents=True)
        for n in range(count):
            rng = np.random.default_rng([first + n, label == "ball"])
            room = cv2.resize(rng.integers(30, 150, (6, 6, 3)).astype(np.uint8), (64, 64), interpolation=cv2.INTER_CUBIC)
            y, x, step = int(rng.integers(16, 34)), int(rng.integers(4, 20)), int(rng.integers(1, 3))
            colour = (230, 30, 30) if marked or label == "ball" else (30, 30, 230)

            def picture(i: int, room=room, y=y, x=x, step=step, colour=colour, label=label) -> np.ndarray:
                image = room.copy()
                image[y : y + 14, x + step * i : x + step * i + 14] = colour
                if marked and label == "ball":
                    image[:12, 50:] = (255, 240, 0)
                return image

            write_clip(root / label / f"v{n}_1.mp4", frames=12, size=(64, 64), fps=10, picture=picture)
    return root


@pytest.fixture(scope="module", params=["marked", "clean"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, TorchEngine, Path]:
    root = tmp_path_factory.mktemp(request.param)
    marked = request.param == "marked"
    (root / "net.py").write_text(FACTORY)
    config = TrainConfig(
        model=f"{root / 'net.py'}:build",
        scratch=True,
        epochs=12,
        batch=8,
        lr=3e-3,
        device="cpu",
        precision="float32",
        val_fraction=0.25,
    )
    result = train(make(root / "learn", marked=marked, first=0, count=16), root / "model", config=config)
    assert result.accuracy == 1.0
    return (
        request.param,
        open_engine(str(root / "model"), device="cpu", trust_code=True),
        make(root / "look", marked=marked, first=100, count=5),
    )


def test_only_a_network_that_looks_at_a_mark_is_caught(trained) -> None:
    name, engine, folder = trained
    found = inspection.inspect(folder, engine=engine)
    assert found.accuracy == 1.0
    raised = {(label, s.place) for label, s in found.raised}
    if name == "clean":
        assert raised == set()
        return
    assert ("ball", "what is the same in every video of the class") in raised, found.suspicions
    (mark,) = (s for s in found.suspicions["ball"] if "same in every video" in s.place)
    assert mark.area < 0.1
    assert mark.share > 5 * mark.area  # of which chance would give one


def test_mistakes_come_first_and_show_both_evidences(trained, tmp_path: Path) -> None:
    _, engine, folder = trained
    mixed = tmp_path / "mixed"
    for label in ("ball", "disc"):
        (mixed / label).mkdir(parents=True)
        for video in sorted((folder / label).iterdir())[:2]:
            (mixed / label / video.name).write_bytes(video.read_bytes())
    wrong = mixed / "disc" / "wrong.mp4"
    wrong.write_bytes((folder / "ball" / "v4_1.mp4").read_bytes())
    (mixed / "ball" / "broken.mp4").write_bytes(b"no video")
    found = inspection.inspect(mixed, engine=engine)
    broken, first, *rest = found.cases
    assert (broken.name, broken.is_correct) == ("ball/broken.mp4", False)
    assert broken.error
    assert (first.name, first.label, first.predicted) == ("disc/wrong.mp4", "disc", "ball")
    assert set(first.pictures) == {"ball", "disc"}
    assert all(c.is_correct for c in rest)
    assert found.accuracy == pytest.approx(4 / 5)

    found.write_json(tmp_path / "o.json")
    found.write_csv(tmp_path / "o.csv")
    found.write_html(tmp_path / "o.html")
    doc = strict((tmp_path / "o.json").read_text())
    validate(doc, "dataset")
    assert doc["accuracy"] == found.accuracy
    assert doc["cases"][0] | {"error": ""} == {
        "name": "ball/broken.mp4", "wanted": "ball", "found": None, "right": False, "prob_wanted": None, "prob_found": None,
        "suspicions": [], "error": "",
    }  # fmt: skip
    assert [c["name"] for c in doc["cases"]] == [c.name for c in found.cases]
    rows = list(csv.DictReader((tmp_path / "o.csv").read_text().splitlines()))
    assert [r["found"] for r in rows] == [c.predicted for c in found.cases]
    page = (tmp_path / "o.html").read_text()
    assert "80.0 % right, 1 mistake" in page
    assert page.count("data:image/jpeg") == 2 + 5
    assert page.index("disc/wrong.mp4") < page.index("<h2>ball</h2>")
    assert "broken.mp4" in page
    assert "80.0% of 5 videos right" in found.in_words()

    hopeless = replace(found, cases=(broken,), suspicions={})
    hopeless.write_json(tmp_path / "n.json")
    hopeless.write_html(tmp_path / "n.html")
    validate(doc := strict((tmp_path / "n.json").read_text()), "dataset")
    assert doc["accuracy"] is None
    assert hopeless.in_words().startswith("no video could be read\nball/broken.mp4: ")
    assert "No video could be read" in (tmp_path / "n.html").read_text()


def test_a_click_plays_a_mistake_with_its_evidence(browser, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "walking").mkdir(parents=True)
    shutil.copy(CLIPS / "jumping_jack.mp4", folder / "walking" / "wrong.mp4")
    with open_source(CLIPS / "falling.mp4") as source:
        pictures = [frame.image for frame in source.frames()]
    write_clip(
        folder / "walking" / "old.avi", frames=len(pictures), size=pictures[0].shape[:2], fps=25, codec="mpeg4",
        picture=lambda i: pictures[i],
    )  # fmt: skip
    found = inspection.inspect(folder, engine=open_engine("mini"))
    assert {c.predicted for c in found.mistakes} == {"jumping jack", "falling down"}
    found.write_html(tmp_path / "page.html")
    excused = (tmp_path.as_uri(), "willReadFrequently")
    with pages.opened(browser, (tmp_path / "page.html").as_uri(), excused=excused) as view:
        for case in found.mistakes:
            card = view.locator(".case", has_text=case.name)
            card.get_by_role("button", name="Play it with the evidence").click()
            dialog = view.get_by_role("dialog", name="A mistake")
            assert case.name in dialog.locator(".vp-head").inner_text()
            player = "document.querySelector('#case .vp').player"
            view.evaluate(f"async () => {{ await {player}.ready; }}")
            assert case.analysis is not None
            assert case.analysis.labels == (case.predicted, "walking")
            view.evaluate(f"{player}.seek(1)")
            pages.wait(view, f"Math.abs({player}.state.frame - 1) < 1e-3")
            values = view.evaluate(f"Array.from({player}.patchesAt(1, 0)[0].values)")
            wanted = case.analysis.drawn[case.predicted][0].at(1.0)
            assert wanted is not None
            np.testing.assert_allclose(values, wanted.ravel() / case.analysis.scale, atol=0.02 * max(1, np.abs(values).max()))
            if case.name.endswith(".avi"):
                lost = "Browsers cannot play mpeg4 video: the evidence is drawn without the video."
                assert dialog.locator(".vp-lost").inner_text() == lost
            else:
                assert view.evaluate(f"{player}.video.videoWidth") == case.analysis.source.width
            view.keyboard.press("2")
            assert view.evaluate(f"{player}.state.chosen") == 1
            view.keyboard.press("Escape")
            pages.wait(view, "!document.getElementById('case').open")


def test_videos_of_a_class_may_have_any_shape(tmp_path: Path) -> None:
    (tmp_path / "clapping").mkdir()
    for n, (height, width) in enumerate([(96, 128), (90, 160), (160, 90)]):

        def picture(i: int, height=height, width=width, n=n) -> np.ndarray:
            image = cv2.resize(np.random.default_rng(n).integers(0, 255, (4, 4, 3)).astype(np.uint8), (width, height))
            image[10:20, 5 * i : 5 * i + 20] = 255
            return image

        write_clip(tmp_path / "clapping" / f"v{n}.mp4", frames=10, size=(height, width), fps=10, picture=picture)
    found = inspection.inspect(tmp_path, engine=open_engine("mini"))
    assert [c.error for c in found.cases] == [None] * 3
    for case in found.cases:
        assert [s.place for s in case.suspicions][-1] == "what is the same in every video of the class"
        assert all(0 <= s.share <= 1 for s in case.suspicions)


def test_folders_that_do_not_fit_are_refused(trained, tmp_path: Path) -> None:
    _, engine, folder = trained
    with pytest.raises(InputError, match="has no class folders with videos"):
        inspection.inspect(tmp_path, engine=engine)
    (tmp_path / "kite").mkdir()
    (tmp_path / "kite" / "a.mp4").write_bytes((folder / "ball" / "v0_1.mp4").read_bytes())
    with pytest.raises(UnknownNameError, match="kite"):
        inspection.inspect(tmp_path, engine=engine)
    for settings in (Settings(versus="ball"), Settings(classes=("ball",))):
        with pytest.raises(UsageError, match="name no classes"):
            inspection.inspect(folder, engine=engine, settings=settings)
    with pytest.raises(IncompatibleError, match="attention-rollout"):
        inspection.inspect(folder, engine=engine, settings=Settings(method="attention-rollout"))


def test_the_command_takes_a_folder(trained, tmp_path: Path, monkeypatch, capsys) -> None:
    _, engine, folder = trained
    model = str(Path(engine.spec.name))
    words = [
        "vidcam",
        "evaluate",
        str(folder),
        "--model",
        model,
        "--trust-code",
        "--report",
        str(tmp_path / "r.html"),
        "--csv",
        str(tmp_path / "r.csv"),
    ]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as stop:
        main.main()
    assert not stop.value.code
    assert "100.0% of 10 videos right" in capsys.readouterr().out
    assert (tmp_path / "r.html").stat().st_size > 10_000
    monkeypatch.setattr(sys, "argv", [*words[:6], "--versus", "ball"])
    with pytest.raises(SystemExit) as stop:
        main.main()
    assert stop.value.code == 2
    assert "--versus is for a single video" in " ".join(capsys.readouterr().err.split())
