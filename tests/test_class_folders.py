"""Labelled folders: class folders and labels.csv are read alike for training and evaluation, with the same refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidcam.engine import open_engine
from vidcam.errors import InputError, UsageError
from vidcam.evaluation.folder import inspect
from vidcam.io.class_folders import is_labelled, read_labelled

pytestmark = pytest.mark.portable


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_class_folders_and_a_table_give_the_same_videos(tmp_path):
    folders = make(tmp_path / "a", "red/2.mp4", "red/10.mp4", "blue/1.avi", ".hidden/3.mp4", "blue/notes.txt")
    table = make(tmp_path / "b", "red/2.mp4", "red/10.mp4", "blue/1.avi")
    (table / "labels.csv").write_text("blue/1.avi, blue\n\nred/2.mp4,red\nred/10.mp4,red;red\n")
    for root in (folders, table):
        data = read_labelled(root)
        assert data.labels == ("blue", "red")
        assert [(v.name, v.labels) for v in data.videos] == [("blue/1.avi", (0,)), ("red/2.mp4", (1,)), ("red/10.mp4", (1,))]
        assert [v.path for v in data.videos] == [root / v.name for v in data.videos]
        assert not data.multi_label


def test_a_table_may_give_several_labels_or_none(tmp_path):
    make(tmp_path, "1.mp4", "2.mp4")
    (tmp_path / "labels.csv").write_text("1.mp4,b;a\n2.mp4,\n")
    data = read_labelled(tmp_path)
    assert [v.labels for v in data.videos] == [(0, 1), ()]
    assert data.multi_label


def test_a_table_that_names_a_video_twice_is_refused(tmp_path):
    make(tmp_path, "1.mp4", "2.mp4")
    (tmp_path / "labels.csv").write_text("1.mp4,a\n2.mp4,b\n./1.mp4,b\n")
    with pytest.raises(InputError, match=r"lines 1 and 3 of .* name the same video, \./1\.mp4: put all its labels on one line"):
        read_labelled(tmp_path)


def test_labelled_folders_are_told_from_other_inputs(tmp_path):
    assert is_labelled(make(tmp_path / "a", "red/1.mp4", "empty/x.txt"))
    assert is_labelled(make(tmp_path / "b", "labels.csv"))
    assert not is_labelled(make(tmp_path / "c", "1.png", "masks/1.png"))
    assert not is_labelled(make(tmp_path / "d", "1.mp4") / "1.mp4")
    assert not is_labelled("rtsp://camera/1")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "has no class folders with videos: make one folder"),
        (("1.mp4",), "has no class folders with videos but loose videos: make one folder"),
        (("red/1.mp4", "blue/x.txt"), "blue holds no video"),
    ],
)
def test_folders_without_labelled_videos_are_refused(tmp_path, files, message):
    tmp_path.joinpath("data").mkdir()
    with pytest.raises(InputError, match=message):
        read_labelled(make(tmp_path / "data", *files))


def test_evaluation_needs_one_label_for_each_video(tmp_path):
    make(tmp_path, "1.mp4")
    (tmp_path / "labels.csv").write_text("1.mp4,clapping;boxing\n")
    with pytest.raises(UsageError, match="needs exactly one label"):
        inspect(tmp_path, engine=open_engine("mini", device="cpu"))
    (tmp_path / "labels.csv").write_text("1.mp4,clapping\n")
    (case,) = inspect(tmp_path, engine=open_engine("mini", device="cpu")).cases
    assert (case.name, case.label) == ("1.mp4", "clapping")
    assert case.error  # an empty file is no video
