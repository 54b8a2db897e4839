"""Converters of public data sets, each on a small folder that is laid out as that data set is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from scipy.io import savemat
from support.command import exit_code

from vidcam.errors import InputError, OutputError, UnknownNameError
from vidcam.io.outline_datasets import convert_outlines
from vidcam.io.outline_files import read_outlines
from vidcam.io.outline_shapes import ABSENT, BoxShape
from vidcam.io.outlines import ClipOutlines

SIZE = 8, 10


def write_images(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for name in names:
        Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(folder / name)


def write_masks(folder: Path, masks: dict[str, dict[int, tuple[int, int]]]) -> None:
    """Write palette images with single pixels of each object's number."""
    folder.mkdir(parents=True)
    for name, objects in masks.items():
        pixels = np.zeros(SIZE, np.uint8)
        for number, place in objects.items():
            pixels[place] = number
        image = Image.fromarray(pixels, "P")
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        image.save(folder / name)


def converted(dataset: str, root: Path, target: Path) -> dict[str, ClipOutlines]:
    return {file.name: read_outlines(file, root) for file in convert_outlines(dataset, root, target)}


def pixels(clip: ClipOutlines, frame: int) -> list[list[int]]:
    return np.argwhere(clip.mask_at(frame, frame / (clip.fps or 1))).tolist()


def test_davis_masks_become_one_actor_for_each_object(tmp_path: Path) -> None:
    write_images(tmp_path / "JPEGImages" / "480p" / "bmx-trees", "00000.jpg", "00001.jpg")
    masks = {"00000.png": {1: (2, 3), 2: (4, 5)}, "00001.png": {1: (2, 4)}}
    write_masks(tmp_path / "Annotations" / "480p" / "bmx-trees", masks)
    found = converted("davis", tmp_path, tmp_path / "out")
    clip = found["JPEGImages-480p-bmx-trees.outlines.json"]
    assert (clip.clip, clip.size, clip.labels, clip.fps) == ("JPEGImages/480p/bmx-trees", SIZE, ("bmx trees",), 24.0)
    assert pixels(clip, 0) == [[2, 3], [4, 5]]
    assert pixels(clip, 1) == [[2, 4]]
    assert clip.actors[1].shape_at(1, 0.0) is ABSENT


def test_youtube_vos_outlines_hold_until_the_next(tmp_path: Path) -> None:
    meta = {"videos": {"v1": {"objects": {"1": {"category": "person", "frames": ["00000", "00005"]}}}}}
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    write_images(tmp_path / "JPEGImages" / "v1", *(f"{n:05}.jpg" for n in range(6)))
    write_masks(tmp_path / "Annotations" / "v1", {"00000.png": {1: (1, 1)}, "00005.png": {1: (2, 2)}})
    (clip,) = converted("youtube-vos", tmp_path, tmp_path / "out").values()
    assert (clip.labels, clip.fps) == (("person",), 30.0)
    assert [pixels(clip, n) for n in (0, 4, 5)] == [[[1, 1]], [[1, 1]], [[2, 2]]]


def test_youtube_vos_of_every_fifth_frame_is_slower(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text(json.dumps({"videos": {"v1": {"objects": {"1": {"category": "person"}}}}}))
    write_images(tmp_path / "JPEGImages" / "v1", "00000.jpg", "00005.jpg")
    write_masks(tmp_path / "Annotations" / "v1", {"00000.png": {1: (1, 1)}, "00005.png": {1: (2, 2)}})
    (clip,) = converted("youtube-vos", tmp_path, tmp_path / "out").values()
    assert clip.fps == 6.0
    assert pixels(clip, 1) == [[2, 2]]


def test_jhmdb_puppet_masks_are_read_from_mat(tmp_path: Path) -> None:
    masks = np.zeros((*SIZE, 3), np.uint8)
    masks[2, 3, 0] = masks[5, 6, 1] = 1
    folder = tmp_path / "puppet_mask" / "shoot_ball" / "some_clip"
    folder.mkdir(parents=True)
    savemat(folder / "puppet_mask.mat", {"part_mask": masks})
    write_images(tmp_path / "Rename_Images" / "shoot_ball" / "some_clip", "00001.png", "00002.png", "00003.png")
    (clip,) = converted("jhmdb", tmp_path, tmp_path / "out").values()
    assert (clip.clip, clip.labels, clip.fps) == ("Rename_Images/shoot_ball/some_clip", ("shoot ball",), 30.0)
    assert [pixels(clip, n) for n in range(3)] == [[[2, 3]], [[5, 6]], []]


def test_ucf101_24_tubes_count_from_frame_one(tmp_path: Path) -> None:
    (tmp_path / "Basketball").mkdir()
    (tmp_path / "Basketball" / "v_Basketball_g01_c01.avi").symlink_to(ROOT / "clips" / "walking.mp4")
    tube = {"sf": 3, "ef": 4, "class": 1, "boxes": np.array([[1.0, 2, 3, 4], [2, 2, 3, 4]])}
    videos = np.empty(2, object)
    videos[0] = {"name": "Basketball/v_Basketball_g01_c01", "num_imgs": 6, "tubes": tube}
    videos[1] = {"name": "Basketball/not_here", "num_imgs": 6, "tubes": tube}
    savemat(tmp_path / "finalAnnots.mat", {"annot": videos})
    (file,) = convert_outlines("ucf101-24", tmp_path, tmp_path / "out")
    values = json.loads(file.read_text())
    assert values["labels"] == ["basketball", "Basketball"]
    (actor,) = values["actors"]
    boxes = {k["frame"]: k.get("box") for k in actor["keyframes"]}
    assert boxes == {0: None, 1: None, 2: [1, 2, 3, 4], 3: [2, 2, 3, 4], 4: None, 5: None}


def test_mot_takes_counted_pedestrians_alone(tmp_path: Path) -> None:
    sequence = tmp_path / "train" / "MOT17-02"
    write_images(sequence / "img1", *(f"{n:06}.jpg" for n in range(1, 5)))
    (sequence / "seqinfo.ini").write_text(
        "[Sequence]\nname=MOT17-02\nimDir=img1\nframeRate=30\nseqLength=4\nimWidth=10\nimHeight=8\nimExt=.jpg\n"
    )
    (sequence / "gt").mkdir()
    lines = ["1,7,2,3,4,5,1,1,0.9", "3,7,3,3,4,5,1,1,0.5", "1,8,1,1,2,2,0,1,1", "1,9,1,1,2,2,1,3,1"]
    (sequence / "gt" / "gt.txt").write_text("\n".join(lines))
    (clip,) = converted("mot", tmp_path, tmp_path / "out").values()
    assert (clip.clip, clip.size, clip.fps) == ("train/MOT17-02/img1", SIZE, 30.0)
    (actor,) = clip.actors  # track 8 is not counted, 9 is no pedestrian
    assert [actor.shape_at(n, 0.0) for n in range(4)] == [BoxShape(1, 2, 4, 5), ABSENT, BoxShape(2, 2, 4, 5), ABSENT]


@pytest.mark.parametrize(
    ("dataset", "file", "text", "message"),
    [
        ("youtube-vos", "meta.json", "{}", 'meta.json must be the meta.json of YouTube-VOS, with "videos"'),
        ("youtube-vos", "meta.json", '{"videos": {"../v": {"objects": {}}}}', "must be a plain name of a file or folder"),
        ("youtube-vos", "meta.json", '{"videos": {"v": {"objects": {}}}}', "there is no folder of images"),
        ("ucf101-24", "finalAnnots.mat", "no mat", "finalAnnots.mat cannot be read as a MATLAB file"),
        ("jhmdb", "puppet_mask/a/b/puppet_mask.mat", "no mat", "puppet_mask.mat cannot be read as a MATLAB file"),
        ("mot", "gt/gt.txt", "", r"seqinfo.ini must hold \[Sequence\] with imDir"),
        ("davis", "other.txt", "", "holds no annotated clip of davis: docs/outlines.md shows"),
    ],
)
def test_malformed_data_set_is_refused(dataset: str, file: str, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        convert_outlines(dataset, tmp_path, tmp_path / "out")


def test_pickles_and_unknown_data_sets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pyannot.pkl").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(InputError, match=r"finalAnnots.mat cannot be read"):
        convert_outlines("ucf101-24", tmp_path, tmp_path / "out")
    with pytest.raises(UnknownNameError, match="unknown data set 'davies': did you mean 'davis'"):
        convert_outlines("davies", tmp_path, tmp_path / "out")


def test_command_converts_and_keeps_existing_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path / "JPEGImages" / "bear", "0.jpg")
    write_masks(tmp_path / "Annotations" / "bear", {"0.png": {1: (1, 1)}})
    words = ("benchmark", "--convert", "davis", tmp_path, tmp_path / "out")
    assert exit_code(*words) == 0
    assert capsys.readouterr().out.strip().endswith("JPEGImages-bear.outlines.json")
    assert exit_code(*words) == 1
    assert "exists already" in capsys.readouterr().err
    assert exit_code(*words, "--overwrite") == 0
    with pytest.raises(OutputError, match="exists already"):
        convert_outlines("davis", tmp_path, tmp_path / "out")
