"""Converts the outlines of public data sets into vidcam's own files: one row of :data:`DATASETS` and one function for each.

The clips stay where they are: ``vidcam benchmark --real FROM --outlines TO`` reads them from the folder of the data set. Pickle
files, such as ``pyannot.pkl`` of UCF101-24, are not read, because they could run any code; the same data set has a ``.mat`` file.
"""

from __future__ import annotations

import configparser
import csv
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidcam.errors import InputError, UnknownNameError, UsageError
from vidcam.io.images import IMAGE_SUFFIXES, list_files
from vidcam.io.json_text import parse_json
from vidcam.io.outline_files import SUFFIX, write_outlines
from vidcam.io.outline_masks import mask_shape, read_index_image
from vidcam.io.outline_shapes import ABSENT, Absent, BoxShape, Shape, encode_runs
from vidcam.io.outlines import Actor, Between, ClipOutlines, Keyframe
from vidcam.io.source import open_source

__all__ = ["DATASETS", "convert_outlines"]

DAVIS_FPS = 24.0
YOUTUBE_VOS_FPS = 30.0
HMDB_FPS = 30.0


def convert_outlines(
    dataset: str, source: str | os.PathLike[str], target: str | os.PathLike[str], *, overwrite: bool = False
) -> list[Path]:
    """Write the outlines of every clip of a data set, and return the files.

    Args:
        dataset: A key of :data:`DATASETS`.
        source: The folder of the data set.
        target: The folder of the outlines; it is made if it does not exist.
        overwrite: Whether existing files are replaced.

    Raises:
        UnknownNameError: There is no such data set.
        InputError: The folder does not hold the data set, or a file of it is malformed.
        OutputError: The files cannot be written.
    """
    if dataset not in DATASETS:
        raise UnknownNameError("data set", dataset, DATASETS)
    root, folder = Path(source), Path(target)
    if not root.is_dir():
        raise InputError(f"there is no folder {root}")
    written = []
    for outlines in DATASETS[dataset](root):
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{outlines.clip.replace('/', '-')}{SUFFIX}"
        write_outlines(outlines, file, overwrite=overwrite)
        written.append(file)
    if not written:
        raise InputError(f"the folder {root} holds no annotated clip of {dataset}: docs/outlines.md shows how it is laid out")
    return written


def read_davis(root: Path) -> Iterator[ClipOutlines]:
    """Yield the clips of DAVIS: ``Annotations/480p/NAME/00000.png`` and ``JPEGImages/480p/NAME``; values number the objects."""
    for masks in sorted(p for p in (root / "Annotations").rglob("*") if p.is_dir() and any(p.glob("*.png"))):
        clip = Path("JPEGImages") / masks.relative_to(root / "Annotations")
        frames = _frame_numbers(root / clip)
        by_frame = {frames[file.stem]: read_index_image(file) for file in sorted(masks.glob("*.png")) if file.stem in frames}
        yield _of_indices(clip, by_frame, [masks.name.replace("-", " ")], "none", DAVIS_FPS, masks)


def read_youtube_vos(root: Path) -> Iterator[ClipOutlines]:
    """Yield the clips of YouTube-VOS: ``meta.json``, ``Annotations/NAME/00005.png`` and ``JPEGImages/NAME``.

    Every fifth frame of 30 a second is annotated; if the folder holds the others too, an outline holds until the next.
    """
    file = root / "meta.json"
    try:
        videos = parse_json(file.read_bytes())["videos"]
        labels = {name: sorted({str(o["category"]) for o in video["objects"].values()}) for name, video in videos.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f'{file} must be the meta.json of YouTube-VOS, with "videos" and their "objects": {error!r}') from error
    for name in sorted(labels):
        _check_name(name, file)
        clip, masks = Path("JPEGImages") / name, root / "Annotations" / name
        frames = _frame_numbers(root / clip)
        by_frame = {frames[p.stem]: read_index_image(p) for p in sorted(masks.glob("*.png")) if p.stem in frames}
        numbers = sorted(int(stem) for stem in frames if stem.isdecimal())
        step = min((b - a for a, b in itertools.pairwise(numbers)), default=1)
        yield _of_indices(clip, by_frame, labels[name] or [name], "hold", YOUTUBE_VOS_FPS / max(step, 1), masks)


def read_jhmdb(root: Path) -> Iterator[ClipOutlines]:
    """Yield the clips of J-HMDB: ``puppet_mask/CLASS/NAME/puppet_mask.mat`` with ``part_mask (H,W,T)``.

    The frames are ``ReCompress_Videos/CLASS/NAME.avi``, or else the images of ``Rename_Images/CLASS/NAME``.
    """
    for file in sorted((root / "puppet_mask").glob("*/*/puppet_mask.mat")):
        label, name = file.parts[-3:-1]
        masks = np.asarray(_load_mat(file, "part_mask"))
        if masks.ndim != 3:
            raise InputError(f"{file}: part_mask must be (height, width, frames), got the shape {masks.shape}")
        video = Path("ReCompress_Videos") / label / f"{name}.avi"
        images = Path("Rename_Images") / label / name
        clip = video if (root / video).is_file() else images
        shapes = [encode_runs(masks[..., t] != 0) if masks[..., t].any() else ABSENT for t in range(masks.shape[2])]
        yield ClipOutlines(
            clip.as_posix(), (masks.shape[0], masks.shape[1]), (label.replace("_", " "),), (_each_frame("actor", shapes),),
            fps=None if clip == video else HMDB_FPS,
        )  # fmt: skip


def read_ucf101_24(root: Path) -> Iterator[ClipOutlines]:
    """Yield the clips of UCF101-24: ``finalAnnots.mat`` (corrected-UCF101-Annots) beside ``CLASS/NAME.avi``.

    ``annot`` holds for each video its ``name``, ``num_imgs`` and ``tubes``, and a tube ``sf`` and ``ef``, its first and last
    frame counted from 1, and ``boxes`` of x, y, width and height for each of them. Outside its tubes nobody acts.
    """
    file = root / "finalAnnots.mat"
    for video in np.atleast_1d(_load_mat(file, "annot")):
        try:
            name, tubes = str(video.name), np.atleast_1d(video.tubes)
            boxes = [np.asarray(tube.boxes, np.float64).reshape(-1, 4) for tube in tubes]
            starts = [int(tube.sf) - 1 for tube in tubes]
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(f"{file} must hold annot with name and tubes of sf, ef and boxes: {error}") from error
        label = name.split("/")[0]
        for part in name.split("/"):
            _check_name(part, file)
        clip = Path(f"{name}.avi")
        if not boxes or not (root / clip).is_file():
            continue
        count = max(int(getattr(video, "num_imgs", 0)), max(s + len(b) for s, b in zip(starts, boxes, strict=True)))
        actors = [
            _each_frame(f"actor {n}", _padded([_box(b) for b in rows], start, count))
            for n, (start, rows) in enumerate(zip(starts, boxes, strict=True), 1)
        ]
        yield ClipOutlines(clip.as_posix(), _video_size(root / clip), (_words(label), label), tuple(actors))


def read_mot(root: Path) -> Iterator[ClipOutlines]:
    """Yield the sequences of MOT: ``gt/gt.txt`` beside ``seqinfo.ini``, at any depth of the folder.

    A line is frame, id, left, top, width, height, flag, class, visibility; frames and pixels count from 1. Only lines with a flag
    other than 0 and of class 1, pedestrians, or without a class (-1) are taken. A track that has no line in a frame is absent.
    """
    for file in sorted(root.rglob("gt/gt.txt")):
        sequence = file.parent.parent
        info = _sequence_info(sequence / "seqinfo.ini")
        clip = (sequence / info["imdir"]).relative_to(root)
        count = int(info["seqlength"])
        tracks: dict[int, dict[int, Shape]] = {}
        for frame, track, box in _mot_lines(file):
            tracks.setdefault(track, {})[frame] = box
        actors = [
            _each_frame(f"track {track}", [shapes.get(t, ABSENT) for t in range(count)])
            for track, shapes in sorted(tracks.items())
        ]
        if actors:
            size = int(info["imheight"]), int(info["imwidth"])
            yield ClipOutlines(clip.as_posix(), size, ("walking", "pedestrian"), tuple(actors), fps=float(info["framerate"]))


DATASETS: dict[str, Callable[[Path], Iterator[ClipOutlines]]] = {
    "davis": read_davis, "jhmdb": read_jhmdb, "mot": read_mot, "ucf101-24": read_ucf101_24, "youtube-vos": read_youtube_vos,
}  # fmt: skip
"""By the name that people type: a function that yields the outlines of a data set's folder."""


# --- shared ------------------------------------------------------------------------------------------------------------------


def _frame_numbers(folder: Path) -> dict[str, int]:
    """Return the number of each image of a folder by its name without the suffix, in the order in which they are read."""
    if not folder.is_dir():
        raise InputError(f"there is no folder of images {folder}, to which the annotations belong")
    return {file.stem: number for number, file in enumerate(list_files(folder, IMAGE_SUFFIXES))}


def _of_indices(
    clip: Path, by_frame: dict[int, Any], labels: Sequence[str], between: Between, fps: float, folder: Path
) -> ClipOutlines:
    """Return the outlines of images whose values number the objects, by the number of their frame."""
    if not by_frame:
        raise InputError(f"no mask in {folder} has the name of an image of {clip}")
    sizes = {image.shape for image in by_frame.values()}
    objects = sorted({int(v) for image in by_frame.values() for v in np.unique(image)} - {0})
    if len(sizes) > 1 or not objects:
        raise InputError(f"the masks in {folder} must have one size and show some object, got sizes {sorted(sizes)}")
    actors = [
        Actor(f"object {n}", "frame", between, tuple(Keyframe(t, mask_shape(image, n)) for t, image in sorted(by_frame.items())))
        for n in objects
    ]
    height, width = next(iter(sizes))
    return ClipOutlines(clip.as_posix(), (height, width), tuple(labels), tuple(actors), fps=fps)


def _each_frame(name: str, shapes: Sequence[Shape]) -> Actor:
    """Return an actor whose outline is known in each frame; of frames without it in a row only the first and last are kept."""
    kept = [
        Keyframe(t, shape)
        for t, shape in enumerate(shapes)
        if not isinstance(shape, Absent)
        or t in (0, len(shapes) - 1)
        or not (isinstance(shapes[t - 1], Absent) and isinstance(shapes[t + 1], Absent))
    ]
    return Actor(name, "frame", "none", tuple(kept))


def _padded(shapes: Sequence[Shape], start: int, count: int) -> list[Shape]:
    return [*[ABSENT] * start, *shapes, *[ABSENT] * (count - start - len(shapes))]


def _box(row: Any) -> Shape:
    x, y, width, height = (float(v) for v in row)
    return BoxShape(x, y, width, height) if width > 0 and height > 0 else ABSENT


def _mot_lines(file: Path) -> Iterator[tuple[int, int, Shape]]:
    """Yield frame (from 0), track and box of each line that counts."""
    try:
        rows = list(csv.reader(file.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} cannot be read: {error}") from error
    for number, row in enumerate(rows, 1):
        try:
            values = [float(v) for v in row]
            frame, track, left, top, width, height, flag = values[:7]
        except ValueError as error:
            raise InputError(
                f"{file}, line {number} must be frame,id,left,top,width,height,flag,…, got {','.join(row)}"
            ) from error
        if flag != 0 and (len(values) < 8 or values[7] in (1, -1)):
            yield int(frame) - 1, int(track), _box((left - 1, top - 1, width, height))


def _sequence_info(file: Path) -> dict[str, str]:
    """Return the section ``Sequence`` of a ``seqinfo.ini``, whose keys are in lower case."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
        info = dict(parser["Sequence"])
        if not all(float(info[key]) > 0 for key in ("framerate", "seqlength", "imwidth", "imheight")):
            raise UsageError("its numbers must be positive")
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError, ValueError) as error:
        raise InputError(
            f"{file} must hold [Sequence] with imDir, frameRate, seqLength, imWidth and imHeight: {error}"
        ) from error
    _check_name(info.get("imdir", ""), file)
    return info


def _load_mat(file: Path, name: str) -> Any:
    """Return a variable of a MATLAB file."""
    from scipy.io import loadmat

    try:
        values = loadmat(str(file), struct_as_record=False, squeeze_me=name != "part_mask", variable_names=[name])
    except Exception as error:  # the reader of MATLAB files may raise anything for a damaged one
        raise InputError(f"{file} cannot be read as a MATLAB file: {error}") from error
    if name not in values:
        raise InputError(f"{file} holds no variable {name}")
    return values[name]


def _video_size(file: Path) -> tuple[int, int]:
    with open_source(file) as source:
        return source.info.height, source.info.width


def _words(name: str) -> str:
    """Return ``BasketballDunk`` as ``basketball dunk``."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def _check_name(name: str, file: Path) -> None:
    """Raise InputError for a name that is no plain file name, and could lead out of the folder."""
    if not name or name in (".", "..") or any(c in name for c in "/\\:\0"):
        raise InputError(f"{file}: {name!r} must be a plain name of a file or folder")
