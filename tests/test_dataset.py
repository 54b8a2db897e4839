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
from vidcam.metrics.spurious import SpuriousCheck
from vidcam.reports import inspection as reports
from vidcam.reports.inspection import Case, Inspection
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
    assert (rows[0]["prob_wanted"], rows[0]["prob_found"], rows[0]["error"]) == ("", "", broken.error)  # no 0 for an average
    page = (tmp_path / "o.html").read_text()
    assert "80.0 % right, 1 mistake" in page
    assert page.count("data:image/jpeg") == 2 + 4  # two of the mistake, one of each right answer
    assert page.index("disc/wrong.mp4") < page.index("disc/v0_1.mp4")
    assert "broken.mp4" in page
    assert "80.0% of 5 videos right" in found.in_words()

    hopeless = replace(found, cases=(broken,), suspicions={})
    hopeless.write_json(tmp_path / "n.json")
    hopeless.write_html(tmp_path / "n.html")
    validate(doc := strict((tmp_path / "n.json").read_text()), "dataset")
    assert doc["accuracy"] is None
    assert hopeless.in_words().startswith("no video could be read\nball/broken.mp4: ")
    assert "No video could be read" in (tmp_path / "n.html").read_text()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    """Two mistakes, one of which browsers cannot play, and a right answer."""
    folder = tmp_path_factory.mktemp("small") / "folder"
    for label in ("walking", "jumping jack"):
        (folder / label).mkdir(parents=True)
    shutil.copy(CLIPS / "jumping_jack.mp4", folder / "walking" / "wrong.mp4")
    shutil.copy(CLIPS / "jumping_jack.mp4", folder / "jumping jack" / "good.mp4")
    with open_source(CLIPS / "falling.mp4") as source:
        pictures = [frame.image for frame in source.frames()]
    write_clip(
        folder / "walking" / "old.avi", frames=len(pictures), size=pictures[0].shape[:2], fps=25, codec="mpeg4",
        picture=lambda i: pictures[i],
    )  # fmt: skip
    return inspection.inspect(folder, engine=open_engine("mini"))


EXCUSED = "willReadFrequently"


def test_a_click_plays_a_video_with_its_evidence(browser, small, tmp_path: Path) -> None:
    assert {c.predicted for c in small.mistakes} == {"jumping jack", "falling down"}
    small.write_html(tmp_path / "page.html")
    with pages.opened(browser, (tmp_path / "page.html").as_uri(), excused=(tmp_path.as_uri(), EXCUSED, "file:")) as view:
        for case in small.cases:
            card = view.locator(".case", has_text=case.name)
            card.get_by_role("button", name="Play it with the evidence").click()
            dialog = view.get_by_role("dialog", name="One video")
            assert case.name in dialog.locator(".vp-head").inner_text()
            player = "document.querySelector('#case .vp').player"
            view.evaluate(f"async () => {{ await {player}.ready; }}")
            assert case.analysis is not None
            assert case.analysis.labels == tuple(dict.fromkeys((case.predicted, case.label)))
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
            if not case.is_correct:
                view.keyboard.press("2")
                assert view.evaluate(f"{player}.state.chosen") == 1
            view.keyboard.press("Escape")
            pages.wait(view, "!document.getElementById('case').open")


def many_cases(small: Inspection) -> Inspection:
    """A page of five videos: three mistakes of different surprise, and two right answers, one of them suspicious."""
    mistake, right = small.mistakes[0], next(c for c in small.cases if c.is_correct)
    check = SpuriousCheck("the border of the picture", 0.9, 0.1, True)
    pictures = dict.fromkeys(("hop", "run", "walk"), mistake.pictures[mistake.label])

    def case(name: str, label: str, predicted: str, prob: float, *checks: SpuriousCheck) -> Case:
        return replace(
            mistake, name=name, label=label, predicted=predicted, prob_predicted=prob, prob_label=min(prob, 0.1),
            suspicions=checks, pictures=pictures, analysis=None,
        )  # fmt: skip

    cases = (
        replace(case("b.mp4", "walk", "run", 0.9), analysis=mistake.analysis), case("c.mp4", "walk", "run", 0.6),
        case("a.mp4", "hop", "walk", 0.7), case("e.mp4", "run", "run", 0.8, check),
        replace(case("d.mp4", "run", "run", 0.5), analysis=right.analysis),
    )  # fmt: skip
    return replace(small, cases=cases, suspicions={})


def test_the_page_filters_sorts_and_goes_through_videos(browser, small, tmp_path: Path) -> None:
    many_cases(small).write_html(tmp_path / "page.html")
    with pages.opened(browser, (tmp_path / "page.html").as_uri(), excused=(tmp_path.as_uri(), EXCUSED, "file:")) as view:

        def shown() -> str:
            return "".join(name[0] for name in view.locator(".case:visible h3").all_inner_texts())

        assert shown() == "bacde"  # the surest mistake first, then the most doubtful right answer
        view.get_by_role("combobox", name="Order").select_option("name")
        assert shown() == "abcde"
        view.get_by_role("combobox", name="Order").select_option("class")
        assert shown() == "adebc"
        view.get_by_role("combobox", name="Order").select_option("surprise")
        for kind, wanted in {"mistakes (3)": "bac", "suspicions (1)": "e", "right answers (2)": "de", "all (5)": "bacde"}.items():
            view.get_by_role("combobox", name="Show").select_option(kind)
            assert shown() == wanted
        view.get_by_role("combobox", name="Class").select_option("walk")  # as the true class or as the answer
        assert shown() == "bac"

        cell = view.get_by_role("button", name="2 of walk answered as run")
        cell.focus()
        view.keyboard.press("Enter")
        assert shown() == "bc"
        assert cell.get_attribute("aria-pressed") == "true"
        assert view.get_by_role("status").inner_text() == "2 of the 5 listed videos: walk, answered as run."

        view.locator(".case:visible").first.get_by_role("button").click()
        head = view.locator(".vp-head")
        assert "b.mp4 walk, answered as run · 1 of 2" in head.inner_text()
        for key, name in (("ArrowRight", "c.mp4"), ("k", "c.mp4"), ("j", "b.mp4"), ("ArrowLeft", "b.mp4"), ("k", "c.mp4")):
            view.keyboard.press(key)
            assert head.locator("strong").inner_text() == name
        assert "Only pictures of this video are shown here" in view.get_by_role("dialog").inner_text()
        assert head.get_by_role("button", name="Next video").is_disabled()
        head.get_by_role("button", name="Previous video").click()
        player = "document.querySelector('#case .vp').player"
        view.evaluate(f"async () => {{ await {player}.ready; {player}.seek(2); }}")
        view.keyboard.press("Shift+ArrowLeft")  # is the player's
        pages.wait(view, f"Math.abs({player}.state.frame - 1.9) < 0.03")
        view.keyboard.press("Escape")
        view.get_by_role("button", name="Show everything").click()
        assert shown() == "bacde"


def test_the_page_plays_what_is_most_surprising(small, monkeypatch) -> None:
    monkeypatch.setattr(reports, "PLAYED_MISTAKES", 1)
    monkeypatch.setattr(reports, "PLAYED_RIGHT", 0)
    found = inspection.inspect(small.folder, engine=open_engine("mini"))
    assert [c.analysis is not None for c in found.cases] == [True, False, False]
    assert found.cases[0].prob_predicted > found.cases[1].prob_predicted


def test_the_page_says_what_it_does_not_list(browser, small, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(reports, "MISTAKES", 1)
    many_cases(small).write_html(tmp_path / "page.html")
    with pages.opened(browser, (tmp_path / "page.html").as_uri(), excused=(tmp_path.as_uri(), EXCUSED, "file:")) as view:
        assert "2 more videos are not listed here but in the JSON and the CSV" in view.locator("main").inner_text()
        view.get_by_role("button", name="2 of walk answered as run").click()
        words = "1 of the 3 listed videos: walk, answered as run. 1 more of them is only in the JSON and the CSV."
        assert view.get_by_role("status").inner_text() == words


def test_a_page_without_mistakes_shows_the_counts_and_doubtful_videos(small, tmp_path: Path) -> None:
    right = tuple(replace(c, name=f"{n}.mp4") for n, c in enumerate(c for c in small.cases if c.is_correct))
    replace(small, cases=right).write_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "100.0 % right, 0 mistakes" in page
    assert "Every answer is right" in page
    assert 'aria-label="1 of jumping jack answered as jumping jack"' in page
    assert "Videos, most doubtful first" in page


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
    (tmp_path / "kite").rename(tmp_path / "1")  # no index of an output: the data set may count otherwise
    with pytest.raises(UnknownNameError, match="unknown class '1'"):
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
    mixed = tmp_path / "mixed"
    for label in ("ball", "disc"):
        (mixed / label).mkdir(parents=True)
        shutil.copy(next((folder / label).iterdir()), mixed / label)
    (mixed / "ball" / "broken.mp4").write_bytes(b"no video")
    monkeypatch.setattr(sys, "argv", [*words[:2], str(mixed), *words[3:6]])
    with pytest.raises(SystemExit) as stop:
        main.main()
    assert stop.value.code == 1
    assert "error: 1 of 3 videos could not be read" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*words[:6], "--versus", "ball"])
    with pytest.raises(SystemExit) as stop:
        main.main()
    assert stop.value.code == 2
    assert "--versus is for a single video" in " ".join(capsys.readouterr().err.split())
