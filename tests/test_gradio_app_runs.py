"""What the app keeps of explained videos, and what it answers if a part of one is hidden."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.clock import ManualClock

from vidcam import Look, Settings, explain
from vidcam.errors import UsageError
from vidcam.values import CropGeometry
from vidcam.web.studio import asking, jobs, results, runs, sessions, uploads, view_models
from vidcam.web.studio.work import Cancelled

CLIPS = Path(__file__).parent.parent / "clips"


@pytest.fixture
def shelf(tmp_path: Path) -> runs.RunShelf:
    return runs.RunShelf(tmp_path / "runs", most=3)


def stored(shelf: runs.RunShelf, owner: Path, words: str, *, size: int = 10) -> runs.StoredRun:
    """A run on the shelf, of which only the words and the size count."""
    folder = owner / f"run-{len(words)}{words[:1]}"
    folder.mkdir(parents=True)
    (folder / "clip.mp4").write_bytes(bytes(size))
    video = uploads.Video(folder / "clip.mp4", "clip.mp4", "1 s", "data:,", 1.0, False)
    run = runs.StoredRun(folder, video, "mini", Settings(classes=("walking",), smooth_s=0.5), words, {"rejected": None})
    runs.write_facts(run, folder)
    later = len(list(owner.iterdir()))
    os.utime(folder, (later, later))
    return run


def test_runs_are_read_back_as_they_were_and_belong_to_one_browser(shelf) -> None:
    secret, owner = shelf.owner("")
    assert len(secret) >= runs.OWNER_BYTES
    run = stored(shelf, owner, "walking, 98 %")
    again = runs.RunShelf(shelf.root)  # another server
    assert again.owner(secret) == (secret, owner)
    assert again.list(owner) == [run]
    assert again.find(owner, run.number).settings == run.settings
    assert secret not in str(owner)  # who sees the folders learns no secret
    for wrong in ("", "short", None, 3, ["x" * 40], "../" * 20):
        _, other = shelf.owner(wrong)
        assert other.parent == shelf.root
        assert again.list(other) == []
    for number in ("run-nothing", "../x", None, ".."):
        with pytest.raises(UsageError, match="This run was deleted"):
            again.find(owner, number)


def test_runs_are_bounded_in_number_and_bytes_the_oldest_go_first(shelf, tmp_path) -> None:
    _, owner = shelf.owner("")
    made = [stored(shelf, owner, f"{n}") for n in range(5)]
    unfinished = owner / "part-1"  # of a server that was killed, long ago
    unfinished.mkdir()
    os.utime(unfinished, (0, 0))
    shelf.tidy()
    assert [run.sentence for run in shelf.list(owner)] == ["4", "3", "2"]
    assert not unfinished.exists()
    small = runs.RunShelf(shelf.root, size=2500)
    for run in shelf.list(owner):
        (run.folder / "clip.mp4").write_bytes(bytes(1000))  # a file that is changed does not make its folder younger
    small.tidy()
    assert [run.sentence for run in shelf.list(owner)] == ["4"]
    shelf.delete(owner, made[4].number)
    assert shelf.list(owner) == []


def test_a_damaged_run_is_left_out(shelf) -> None:
    _, owner = shelf.owner("")
    run = stored(shelf, owner, "walking")
    for text in ("{", "[]", '{"file": "../../etc/passwd"}', ""):
        (run.folder / runs.FACTS).write_text(text)
        assert shelf.list(owner) == []


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A video that was explained, and the shelf on which it is kept after its session is gone."""
    desk = sessions.SessionManager(tmp_path_factory.mktemp("sessions"), clock=ManualClock())
    shelf = runs.RunShelf(tmp_path_factory.mktemp("runs"))
    session, engines = desk.open("a"), jobs.Engines("cpu")
    _, session.runs = shelf.owner("")
    session.video = uploads.look_at(CLIPS / "falling.mp4", "falling.mp4", sessions.Limits())
    job = desk.submit(session, jobs.explain(session, engines, shelf, "mini", Settings()), key="annotate", keep=True)
    desk.step()
    assert job.state == "done", job.message
    return desk, session, shelf, engines, job.result


def test_a_run_is_opened_later_with_its_answer_and_explained_again_for_an_mp4(kept) -> None:
    desk, session, shelf, engines, result = kept
    [run] = shelf.list(session.runs)
    assert run.sentence == view_models.sentence_of(result)
    assert run.answer["top"][0][0] == result.analysis.top(1)[0][0]
    assert stat.S_IMODE(run.folder.stat().st_mode) & 0o077 == 0  # nobody else's
    assert {"player.json", "picture.jpg", "part-maps-0", "falling.mp4"} <= {path.name for path in run.folder.iterdir()}
    opened = results.Result(run.number, run.video, None, None, run.folder, run.sentence, run.answer)
    assert view_models.shown(session, opened)["sentence"] == run.sentence
    assert results.path_of(opened, "csv").is_file()  # it was written at once
    assert not results.path_of(opened, "video").is_file()
    session.results["annotate"] = opened
    job = desk.submit(session, jobs.save(session, engines, opened, "video"), key="annotate")
    desk.step()
    assert job.state == "done", job.message
    assert job.result.path.read_bytes()[4:8] == b"ftyp"
    assert session.results["annotate"] == opened
    assert not job.folder.exists()
    assert results.path_of(opened, "video").is_file()  # so that it is there the next time
    job = desk.submit(session, jobs.save(session, engines, opened, "html"), key="annotate")
    desk.step()
    assert job.state == "done", job.message
    again = session.results["annotate"]
    np.testing.assert_allclose(again.analysis.probs, result.analysis.probs, atol=1e-5)
    assert run.folder.exists()


def test_a_card_says_all_that_was_asked(shelf) -> None:
    _, owner = shelf.owner("")
    run = stored(shelf, owner, "walking, 98 %")
    os.utime(run.folder / runs.FACTS, (5, 5))
    settings = Settings(method="cam", classes=("walking",), versus="running", start_s=1.5, cover=True)
    [card] = view_models.cards(SimpleNamespace(serve=str), [replace(run, settings=settings)])
    assert card["facts"] == "mini · cam · walking · only from 1.5\xa0s to the end · contrasted with running · several crops"
    assert card["made"] == 5.0


def test_what_the_model_answers_is_known_before_a_result_is_shown(kept) -> None:
    desk, session, shelf, engines, _ = kept
    seen: list[tuple[str, int]] = []
    job = desk.submit(session, jobs.explain(session, engines, shelf, "mini", Settings()), key="annotate", keep=True)
    progress = job.progress
    job.progress = lambda stage, done, total: (seen.append((job.finding, job.shown)), progress(stage, done, total))
    desk.step()
    assert job.state == "done", job.message
    assert any(finding.startswith("falling down, ") and shown == 0 for finding, shown in seen)
    shelf.delete(session.runs, shelf.list(session.runs)[0].number)


def test_an_example_is_left_when_somebodys_own_video_comes(kept, tmp_path) -> None:
    _, _, _, engines, result = kept
    with pytest.raises(Cancelled):
        jobs.explain_example(engines, "mini", result.video, tmp_path / "examples" / "one", lambda: True)
    assert list((tmp_path / "examples").iterdir()) == []


def test_hiding_the_person_changes_the_answer_and_a_corner_does_not(kept) -> None:
    *_, engines, result = kept
    time = float(result.analysis.times_s[np.nanargmax(result.analysis.curves["falling down"])])
    whole = jobs.what_if(engines, result, asking.Hidden(time, box=(0.0, 0.2, 1.0, 0.75)))
    assert whole.startswith("With the framed area hidden, “")
    assert "; the answer becomes “" in whole
    corner = jobs.what_if(engines, result, asking.Hidden(time, box=(0.0, 0.0, 0.05, 0.02)))
    assert re.match(r"With the framed area hidden, “falling down” (stays at|falls from|rises from)", corner)
    assert "the answer becomes" not in corner
    stretch = jobs.what_if(engines, result, asking.Hidden(time, stretch=(time - 0.6, time + 0.6)))
    assert stretch.startswith("With that stretch of time hidden, “")


def test_hiding_is_told_of_the_class_asked_for_else_the_answer(kept) -> None:
    *_, engines, result = kept
    time = float(result.analysis.times_s[np.nanargmax(result.analysis.curves["falling down"])])
    corner, told = asking.Hidden(time, box=(0.0, 0.0, 0.05, 0.02)), {}
    for classes in ((), ("walking", "falling down"), ("falling down", "walking")):
        asked = replace(result, analysis=replace(result.analysis, settings=Settings(classes=classes)))
        told[classes] = re.findall(r"“(.+?)”|([\d.]+)\s%", jobs.what_if(engines, asked, corner))
    assert [words[0][0] for words in told.values()] == ["falling down", "walking", "falling down"]
    assert told[()] == told["falling down", "walking"] != told["walking", "falling down"]
    assert float(told[()][1][1]) > 50 > float(told["walking", "falling down"][1][1])  # each with its own probability


def test_an_mp4_is_drawn_as_the_player_shows_it(kept, tmp_path, monkeypatch) -> None:
    *_, engines, result = kept
    analysis = explain(CLIPS / "falling.mp4", engine=engines.get("mini"), settings=Settings(classes=("falling down", "walking")))
    result, drawn = replace(result, analysis=analysis, folder=tmp_path), []

    def draw(path: Path, analysis: Any, outputs: Any, *, look: Look, progress: Any) -> None:
        drawn.append((analysis.labels, {s.label for s in analysis.segments} <= set(analysis.labels), look))
        outputs.video.touch()

    monkeypatch.setattr(results.vidcam, "draw", draw)
    contour = Look("contour", 0.3, signed=True)
    shown = [{}, {"look": contour}, {"look": contour, "only": 1}, {"only": 0}]
    files = [results.write_file(replace(result, **one), "video", lambda *_: None) for one in [*shown, *shown]]
    assert files[:4] == files[4:]  # what is there is not drawn again
    assert len({*files}) == len(drawn) == 4
    both = ("falling down", "walking")
    assert drawn == [
        (both, True, Look()),
        (both, True, contour),
        (("walking",), True, contour),
        (("falling down",), True, Look()),
    ]


def test_what_no_player_says_of_its_look_is_refused(kept) -> None:
    *_, result = kept
    look = {"style": "contour", "opacity": 0.3, "signed": True}
    shown = results.as_shown(result, {"kind": "video", "look": look, "only": 0})
    assert (shown.look, shown.only) == (Look("contour", 0.3, signed=True), 0)
    assert results.as_shown(result, {"kind": "video"}) == result
    refused = [{"style": "../x"}, {"opacity": 0}, {"opacity": "much"}, {"opacity": float("nan")}, {"opacity": [1]}]
    for said in [
        *({"look": look | wrong, "only": 0} for wrong in refused),
        {"look": look},
        {"look": 3, "only": 0},
        {"look": look, "only": -2},
    ]:
        with pytest.raises(UsageError):
            results.as_shown(result, said)


@pytest.mark.parametrize(
    ("video", "model", "classes", "saved"),
    [
        ("take 2.5.mp4", "mini", (), "take 2.5.mini-cam.vidcam.json"),
        ("falling.mp4", "movinet_a0", ("sit", "lie"), "falling.movinet_a0-cam-sit-lie.vidcam.json"),
        ("falling.mp4", "a.b", ("no. 2 of them",), "falling.a.b-cam-no. 2 of them.vidcam.json"),
        ("falling.mp4", "mini", ("push/pull", "x\\y"), "falling.mini-cam-push_pull-x_y.vidcam.json"),
        ("f" * 90 + ".mp4", "mini", ("walking",), "f" * 63 + ".mini-cam-walking.vidcam.json"),
    ],
    ids=["no class", "classes", "dots", "slashes", "long"],
)
def test_downloads_are_named_after_model_method_and_classes(kept, video: str, model: str, classes: Any, saved: str) -> None:
    *_, result = kept
    named = replace(result, video=replace(result.video, name=video))
    assert results.download_name(named, model, Settings(method="cam", classes=classes), "json") == saved


def test_the_hidden_pixels_are_those_whose_middle_lies_in_the_box() -> None:
    view = CropGeometry((360, 480), (120, 160), (4, 24, 112, 112))
    height = width = 112
    times = np.array([0.0, 0.1, 0.2])
    found = asking.hidden_pixels(asking.Hidden(0.1, box=(0.25, 0.5, 0.5, 0.75)), view, times, (3, height, width))
    for y in range(0, height, 7):
        for x in range(0, width, 7):
            source_y, source_x = view.to_source(float(y), float(x))
            inside = 90 <= source_y + 0.5 < 180 and 240 <= source_x + 0.5 < 360
            assert found[:, y, x].tolist() == [inside] * 3
    stretch = asking.hidden_pixels(asking.Hidden(0.1, stretch=(0.05, 0.2)), view, times, (3, height, width))
    assert [bool(frame.all()) for frame in stretch] == [False, True, False]
    assert stretch.any(axis=(1, 2)).tolist() == [False, True, False]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"time": 1.0},
        {"time": "x", "box": [0, 0, 1, 1]},
        {"time": 1.0, "box": [0.5, 0, 0.2, 1]},
        {"time": 1.0, "box": [0, 0, 1]},
        {"time": 1.0, "box": [-1, 0, 1, 1]},
        {"time": 1.0, "stretch": [2, 1]},
        {"time": 1.0, "box": [0, 0, 1, 1], "stretch": [0, 1]},
        {"time": float("nan"), "box": [0, 0, 1, 1]},
        {"time": 1.0, "box": ["a", 0, 1, 1]},
    ],
)
def test_what_is_no_box_and_no_stretch_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="Drag a box on the picture, or a stretch on the timeline"):
        asking.Hidden.of(said)
    assert asking.Hidden.of({"time": 1, "box": [0, 0, 0.5, 1]}).box == (0.0, 0.0, 0.5, 1.0)


def test_several_videos_are_explained_in_turn_and_one_that_fails_stops_none(tmp_path: Path, kept) -> None:
    desk, session, shelf, engines, _ = kept
    good = uploads.look_at(CLIPS / "falling.mp4", "falling.mp4", sessions.Limits())
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    bad = replace(good, path=tmp_path / "broken.mp4", name="broken.mp4")
    before = len(shelf.list(session.runs))
    work = jobs.explain(session, engines, shelf, "mini", Settings(), [bad, replace(good, name="second.mp4")])
    job = desk.submit(session, work, key="annotate", keep=True)
    desk.step()
    assert job.state == "failed"
    assert job.message.startswith("1 of 2 videos could not be explained. broken.mp4: ")
    assert str(desk.root) not in job.message
    assert session.results["annotate"].video.name == "second.mp4"
    assert len(shelf.list(session.runs)) == before + 1
    zipped = desk.submit(session, jobs.save_runs(shelf, session.runs), key="annotate")
    desk.step()
    assert zipped.state == "done", zipped.message
    assert zipped.result.name == "vidcam-runs.zip"
