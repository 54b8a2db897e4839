"""What is taught in the app, without a browser: the clips, the sentences, the folders, and what is kept of a model."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient
from support.clock import ManualClock
from support.media import write_clip

from vidcam.errors import InputError, UsageError
from vidcam.io.class_folders import read_labelled
from vidcam.training import splitting
from vidcam.web import words
from vidcam.web.studio import jobs, live, menus, serve, sessions, teach_clips, teach_jobs, teach_models, uploads
from vidcam.web.studio.teach_clips import Action, Lesson


@pytest.fixture
def desk(tmp_path: Path, monkeypatch):
    """A desk whose jobs run when the test says so; what the app keeps lies in a folder of the test."""
    monkeypatch.setenv("VIDCAM_STATE", str(tmp_path / "state"))
    made = sessions.SessionManager(tmp_path / "root", sessions.Limits(), clock=ManualClock())
    yield made
    made.shut()


def clip(folder: Path, *, duration: float = 2.0, name: str = "clip.mp4") -> uploads.Video:
    """A clip of which only the duration and the size count."""
    folder.mkdir(parents=True)
    (folder / "video.mp4").write_bytes(b"clip")
    return uploads.Video(folder / "video.mp4", name, f"{duration} s · 8 × 8", "data:,", duration, False)


def lesson_of(tmp_path: Path, **counts: int) -> Lesson:
    """A lesson with so many clips of each action."""
    actions = [
        Action(f"{n}", label.replace("_", " "), [clip(tmp_path / f"{label}-{k}") for k in range(count)])
        for n, (label, count) in enumerate(counts.items())
    ]
    return Lesson(actions)


# --- what suffices


@pytest.mark.parametrize(
    ("labels", "counts", "sentence"),
    [
        (("", ""), (0, 0), "name at least two, and add clips of each"),
        (("waving", ""), (3, 0), "name at least two, and add clips of each"),
        (("waving", ""), (3, 2), "Action 2 has no name: type what its clips show"),
        (("waving", "Waving"), (3, 2), "Two actions are named “waving”: give one of them another name"),
        (("waving", "jumping"), (3, 1), "“jumping” has one clip: each action needs at least 2"),
        (("waving", "jumping"), (3, 0), "“jumping” has no clip: each action needs at least 2"),
    ],
)
def test_a_lesson_that_does_not_suffice_is_refused_with_a_sentence(labels, counts, sentence, tmp_path) -> None:
    actions = [
        Action(f"{n}", label, [clip(tmp_path / f"{n}-{k}") for k in range(count)])
        for n, (label, count) in enumerate(zip(labels, counts, strict=True))
    ]
    lesson = Lesson(actions)
    with pytest.raises(UsageError, match=sentence):
        lesson.check()


def test_an_empty_action_is_left_out_of_the_lesson(tmp_path) -> None:
    lesson = lesson_of(tmp_path, waving=2, jumping=3)
    lesson.add_action()
    assert [a.label for a in lesson.check()] == ["waving", "jumping"]


def test_a_lesson_is_bounded_in_actions_clips_and_bytes(tmp_path, monkeypatch) -> None:
    lesson = lesson_of(tmp_path, waving=teach_clips.MAX_CLIPS - 1, jumping=1)
    for _ in range(teach_clips.MAX_ACTIONS - 2):
        lesson.add_action()
    with pytest.raises(UsageError, match="at most 10 actions"):
        lesson.add_action()
    lesson.add("0", clip(tmp_path / "last"))
    with pytest.raises(UsageError, match="at most 30 clips"):
        lesson.add("0", clip(tmp_path / "more"))
    with pytest.raises(UsageError, match=r"blink.mp4 has only 0.2\ss: use clips of at least 0.5 seconds"):
        lesson.add("1", clip(tmp_path / "short", duration=0.2, name="blink.mp4"))
    with pytest.raises(UsageError, match="This action was removed"):
        lesson.add("nothing", clip(tmp_path / "nowhere"))
    monkeypatch.setattr(teach_clips, "MAX_BYTES", 4 * 31)  # the size of the clips that are there
    with pytest.raises(UsageError, match="All clips together have at most"):
        lesson.check_room("1")


def test_removing_gives_the_folders_to_delete_and_leaves_two_actions(tmp_path) -> None:
    lesson = lesson_of(tmp_path, waving=2, jumping=1)
    assert lesson.remove("0", "waving-1") == [tmp_path / "waving-1"]
    assert [c.path.parent.name for c in lesson.find("0").clips] == ["waving-0"]
    assert lesson.remove("0", "jumping-0") == []  # a clip of another action
    assert lesson.remove("0") == [tmp_path / "waving-0"]
    assert [a.label for a in lesson.actions] == ["jumping", ""]


@settings(max_examples=50)
@given(st.text())
def test_any_name_is_read_back_from_the_table_as_it_is_shown(given_name: str) -> None:
    label = teach_clips.clean_label(given_name)
    assert len(label) <= teach_clips.MAX_LABEL
    assert label == teach_clips.clean_label(label)
    assert label.isprintable()
    assert [word.strip() for word in label.split(";")] == [label]


def test_the_folders_hold_all_clips_and_keep_the_last_fifth_aside(tmp_path) -> None:
    lesson = lesson_of(tmp_path, waving=3, jumping=10)
    lesson.actions[0].label = '../../"waving", hand'
    names = teach_clips.write_folders(lesson.check(), tmp_path / "train", tmp_path / "test")
    data = read_labelled(tmp_path / "train")
    assert data.labels == ('../../"waving", hand', "jumping")
    assert not data.multi_label
    parts = splitting.split(data.videos, data.labels, holdout=teach_clips.HELD_OUT, val_fraction=0.2, seed=0)
    held = {names[video.name] for video in parts.held_out}
    assert held == {'clip 3 of “../../"waving", hand”', "clip 9 of “jumping”", "clip 10 of “jumping”"}
    assert {video.name for video in read_labelled(tmp_path / "test").videos} == {video.name for video in parts.held_out}
    assert len(data.videos) == 13
    assert {path.parent for path in tmp_path.rglob("*") if path.name.startswith(("train_", "test_"))} == {
        tmp_path / "train", tmp_path / "test",
    }  # fmt: skip


def test_a_list_in_a_sentence() -> None:
    assert words.Common.list_words(["a"]) == "a"
    assert words.Common.list_words(["a", "b", "c"]) == "a, b and c"


# --- what comes in


def test_an_upload_becomes_a_clip_of_its_action_and_of_no_other(desk, tmp_path) -> None:
    desk.start()
    session = desk.open("a")
    lesson = teach_clips.lesson_of(session)
    number = lesson.actions[1].number
    path = write_clip(tmp_path / "clip.mp4", frames=30, fps=25)
    client = TestClient(Starlette(routes=serve.media(desk)))
    address = f"/media/{session.token}?name=../../wave.mp4&action="
    assert client.post(address + number, content=path.read_bytes()).json() == {}
    assert [[c.name for c in a.clips] for a in lesson.actions] == [[], ["wave.mp4"]]
    assert session.video is None
    assert session.queue == []
    assert session.folder in lesson.actions[1].clips[0].path.parents
    answer = client.post(address + "nothing", content=path.read_bytes())
    assert (answer.status_code, answer.json()["error"]) == (400, "This action was removed: reload the page.")
    answer = client.post(address + number, content=b"no video")
    assert "not a supported video format" in answer.json()["error"]
    assert len(list(session.folder.iterdir())) == 1  # what was refused is deleted


# --- what is kept


def stored(shelf: teach_models.ModelShelf, owner: str, folder: Path, *labels: str, size: int = 10) -> teach_models.TaughtModel:
    """A model on the shelf, of which only the labels and the size count."""
    made = folder / teach_models.make_name(labels)
    made.mkdir(parents=True)
    (made / "model.safetensors").write_bytes(bytes(size))
    model = shelf.keep(owner, teach_models.TaughtModel(made, labels, 1, 2, ("Clip 1 of “a” was taken for “b”.",), ("Note.",)))
    later = len(list((shelf.root / owner).iterdir()))
    os.utime(model.folder, (later, later))
    return model


def test_a_model_is_found_by_its_name_alone_and_deleted_by_its_owner(tmp_path) -> None:
    shelf = teach_models.ModelShelf(tmp_path / "models")
    model = stored(shelf, "anna", tmp_path / "job", "waving", "Überraschung")
    assert model.short_name == "waving-berraschung"
    again = teach_models.ModelShelf(shelf.root)  # another server
    assert again.list("anna") == [model]
    assert again.list("bert") == []
    assert again.find(model.name) == model
    for wrong in ("mini", "..", "../anna", "*", None, 3, model.name[:-1], f"anna/{model.name}", "part-" + model.name[-12:]):
        with pytest.raises(UsageError, match="This model was deleted"):
            again.find(wrong)
    with pytest.raises(UsageError, match="taught in another browser"):
        again.delete("bert", model.name)
    again.delete("anna", model.name)
    assert again.list("anna") == []


def test_models_are_bounded_in_number_and_bytes_the_oldest_go_first(tmp_path) -> None:
    shelf = teach_models.ModelShelf(tmp_path / "models", most=3)
    for n in range(5):
        stored(shelf, "anna", tmp_path / "job", f"action {n}", "other", size=1000)
    shelf.tidy()
    assert [m.labels[0] for m in shelf.list("anna")] == ["action 4", "action 3", "action 2"]
    teach_models.ModelShelf(shelf.root, size=2500).tidy()
    assert [m.labels[0] for m in shelf.list("anna")] == ["action 4", "action 3"]


def test_names_of_models_are_safe_and_never_twice_the_same() -> None:
    for labels in (("waving", "a/b"), ("手を振る", "跳ぶ"), ("x" * 60, "y"), ("../..", "..")):
        name = teach_models.make_name(labels)
        assert teach_models.is_taught(name)
        assert name != teach_models.make_name(labels)
    assert not teach_models.is_taught("mini")


# --- teaching


@pytest.fixture
def actions(tmp_path: Path) -> list[Action]:
    """Two actions of two clips each: squares of one colour in front of nobody."""
    made = []
    for n, label in enumerate(("red", "green")):
        clips = []
        for k in range(2):
            folder = tmp_path / f"input-{n}{k}"
            folder.mkdir()
            colour = (200 - 10 * k, 20, 20) if label == "red" else (20, 200 - 10 * k, 20)
            path = write_clip(folder / "video.mp4", frames=30, fps=25, size=(64, 64), picture=lambda i, c=colour: _plain(c))
            clips.append(uploads.look_at(path, f"{label}.mp4", uploads.Limits()))
        made.append(Action(f"{n}", label, clips))
    return made


def _plain(colour: tuple[int, int, int]) -> Any:
    import numpy as np

    return np.full((64, 64, 3), colour, np.uint8)


def test_a_model_is_taught_kept_and_known_to_the_menus(desk, actions, tmp_path, monkeypatch) -> None:
    session = desk.open("a")
    session.runs = tmp_path / "state" / "runs" / "anna"
    monkeypatch.setattr(teach_jobs, "_answer", lambda path, engine: "no person" if path.stem == "test_00_01" else "walking")
    shelf, engines = teach_models.model_shelf(), jobs.Engines("cpu")
    seen: list[str] = []
    job = desk.submit(session, teach_jobs.teach(session, engines, shelf, actions, teach_jobs.Teaching(epochs=1)), key="teach")
    progress = job.progress
    job.progress = lambda stage, done, total: (seen.append(f"{stage}: {job.finding}"), progress(stage, done, total))
    desk.step()
    assert job.message == ""
    assert "train: 1 of 1 epochs" in seen
    model = job.result
    assert list(session.folder.iterdir()) == []  # what it was taught from is no longer there twice
    assert shelf.list("anna") == [model]
    assert (model.labels, model.tested) == (("red", "green"), 2)
    assert model.right == 2 - len(model.mistakes)
    assert model.remarks[0].startswith("Nobody seems to be in clip 2 of “red”: look at it again.")
    assert menus.model_choices(session.runs)[0] == (f"red-green · taught here, {model.right} of 2 test clips right", model.name)
    assert model.name not in [name for _, name in menus.model_choices(tmp_path / "bert")]
    assert model.remarks[1:] == (words.Teach.SAME_PLACE, words.Teach.NOTHING_ELSE)
    assert menus.check_model(model.name) == model.name
    assert menus.method_note(model.name) == menus.method_note("mini").replace("mini", "red-green")
    assert menus.labels(model.name) == ("green", "red")
    assert menus.reach(model.name).startswith("Knows 2 actions")
    assert menus.own_method(model.name) == menus.own_method("mini")
    assert engines.get(model.name).spec.name == model.name  # not the folder in which it lies
    shelf.delete("anna", model.name)
    assert not menus.is_known(model.name)
    assert menus.rejects(model.name) == ()


def test_teaching_that_is_stopped_leaves_the_clips_and_nothing_else(desk, actions, tmp_path) -> None:
    session = desk.open("a")
    session.runs = tmp_path / "state" / "runs" / "anna"
    shelf = teach_models.model_shelf()
    work = teach_jobs.teach(session, jobs.Engines("cpu"), shelf, actions, teach_jobs.Teaching(epochs=1))
    job = desk.submit(session, work, key="teach")
    progress = job.progress

    def stop_in_training(stage: str, done: int, total: int | None) -> None:
        if stage == "train":
            job.cancel()
        progress(stage, done, total)

    job.progress = stop_in_training
    desk.step()
    assert job.state == "cancelled"
    assert shelf.list("anna") == []
    assert list(session.folder.iterdir()) == []
    assert all(c.path.is_file() for a in actions for c in a.clips)


def test_a_clip_that_cannot_be_read_is_named_without_its_folder(desk, actions, tmp_path) -> None:
    session = desk.open("a")
    session.runs = tmp_path / "state" / "runs" / "anna"
    broken = tmp_path / "input-9" / "video.mp4"
    broken.parent.mkdir()
    broken.write_bytes(b"no video")
    actions[0].clips.append(replace(actions[0].clips[0], path=broken))
    work = teach_jobs.teach(session, jobs.Engines("cpu"), teach_models.model_shelf(), actions, teach_jobs.Teaching(epochs=1))
    job = desk.submit(session, work, key="teach")
    desk.step()
    assert job.state == "failed"
    assert job.message.startswith("Clip 3 of “red” cannot be read as video")
    assert str(tmp_path) not in job.message


def test_the_live_viewer_lists_the_models_of_the_own_browser_only(desk, tmp_path) -> None:
    sessions_of = {name: desk.open(name) for name in ("anna", "bert")}
    shelf = teach_models.model_shelf()
    for name, session in sessions_of.items():
        session.runs = tmp_path / "state" / "runs" / name
    kept = []
    for n, labels in enumerate((("red", "green"), ("mini",), ("red", "green"))):
        folder = tmp_path / f"new-{n}" / teach_models.make_name(labels)
        folder.mkdir(parents=True)
        kept.append(shelf.keep("anna", teach_models.TaughtModel(folder, labels, 1, 2, (), ())))
        os.utime(kept[-1].folder, (n, n))
    list_own = live.own_models(desk, "cpu")
    offered = list_own(sessions_of["anna"].token)
    assert [choice.name for choice in offered] == ["red-green 2", "mini 2", "red-green"]  # the newest first; mini is another one
    assert offered[0].title == "taught here: red, green"
    assert list_own(sessions_of["bert"].token) == list_own("") == []
    assert live.address_of(sessions_of["anna"], kept[0]).endswith("&model=red-green")
    assert live.address_of(sessions_of["anna"], kept[2]).endswith("&model=red-green+2")
    with pytest.raises(UsageError, match="taught in another browser"):
        live.address_of(sessions_of["bert"], kept[0])


def test_an_unreadable_name_of_a_model_is_refused_by_the_menus(desk) -> None:
    with pytest.raises(UsageError, match="This model was deleted: choose another one"):
        menus.check_model("red-green-0123456789ab")
    with pytest.raises((UsageError, InputError)):
        menus.check_model("../mini")
