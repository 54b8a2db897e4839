"""Reads and writes outlines: one ``NAME.outlines.json`` for each clip (docs/outlines.md describes it).

What a file says is not trusted: every value is checked, and the paths in it stay inside the folder of clips.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vidcam.errors import InputError
from vidcam.io.files import save
from vidcam.io.json_fields import Place, build, read_list, read_number, read_positive, read_text, read_whole
from vidcam.io.json_text import parse_json, to_json_text
from vidcam.io.outline_masks import read_box_lines, read_mask_folder
from vidcam.io.outline_shapes import ABSENT, Absent, BoxShape, Polygons, Runs, Shape
from vidcam.io.outlines import Actor, ClipOutlines, Keyframe

__all__ = ["SUFFIX", "OutlinedClip", "find_outlined", "path_inside", "read_outlines", "write_outlines"]

SUFFIX = ".outlines.json"

MAX_BYTES = 200_000_000
"""The largest file of outlines that is read."""

SHAPES = ("absent", "box", "polygons", "rle")


@dataclass(frozen=True)
class OutlinedClip:
    """A clip's path and its outlines."""

    path: Path
    outlines: ClipOutlines


def find_outlined(
    folder: str | os.PathLike[str], outlines: str | os.PathLike[str] | None = None
) -> tuple[list[OutlinedClip], list[str]]:
    """Return the outlined clips of a folder, and a sentence about each whose clip is not there.

    Args:
        folder: Where the clips are.
        outlines: Where the files ``*.outlines.json`` are; None: in ``folder``.

    Raises:
        InputError: There are no outlines or none of their clips, or a file is malformed; the message says which and where.
    """
    clips, where = Path(folder), Path(folder if outlines is None else outlines)
    for path in (clips, where):
        if not path.is_dir():
            raise InputError(f"there is no folder {path}")
    files = sorted(where.glob(f"*{SUFFIX}"))
    if not files:
        raise InputError(f"the folder {where} holds no outlines: looked for files named *{SUFFIX}")
    found, missing = [], []
    for file in files:
        values = _load(file)
        path = path_inside(clips, _clip_name(values, file), Place(file, "clip"))
        if path.exists():
            found.append(OutlinedClip(path, read_outlines(file, clips)))
        else:
            missing.append(f"{file.name} is left out: its clip {values['clip']} is not in {clips}")
    if not found:
        raise InputError(f"the folder {clips} holds none of the {len(files)} clips whose outlines are in {where}")
    return found, missing


def read_outlines(file: str | os.PathLike[str], clips: str | os.PathLike[str]) -> ClipOutlines:
    """Return the outlines of one file; ``clips`` is the folder inside which its paths lie.

    Raises InputError for a file that is malformed, and for a clip whose checksum is another than the file says.
    """
    path = Path(file)
    values = _load(path)
    place = Place(path)
    known = {"schema_version", "clip", "size", "labels", "actors", "spans", "fps", "sha256", "note"}
    place.refuse_others(values, known)
    if values.get("schema_version") != 1:
        raise place.at("schema_version").error("1", values.get("schema_version"))
    size = read_list(values, "size", place, read_whole, count=2)
    clip = _clip_name(values, path)
    fps = values.get("fps")
    outlines = build(
        place,
        lambda: ClipOutlines(
            clip=clip,
            size=(size[0], size[1]),
            labels=tuple(read_list(values, "labels", place, read_text)),
            actors=tuple(read_list(values, "actors", place, lambda v, p: _actor(v, p, (size[0], size[1]), Path(clips)))),
            spans=tuple(read_list(values, "spans", place, _span)) if "spans" in values else (),
            fps=None if fps is None else read_positive(fps, place.at("fps")),
            sha256=read_text(values["sha256"], place.at("sha256")) if "sha256" in values else "",
            note=read_text(values["note"], place.at("note")) if "note" in values else "",
        ),
    )
    _check_sum(path_inside(Path(clips), clip, place.at("clip")), outlines.sha256, path)
    return outlines


def write_outlines(outlines: ClipOutlines, file: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write outlines as one JSON file. Raises OutputError if it cannot be written."""
    values: dict[str, object] = {
        "schema_version": 1,
        "clip": outlines.clip,
        "size": outlines.size,
        "labels": outlines.labels,
    }
    optional = {"fps": outlines.fps, "sha256": outlines.sha256, "spans": outlines.spans, "note": outlines.note}
    values |= {key: value for key, value in optional.items() if value}
    values["actors"] = [
        {
            "name": actor.name,
            "between": actor.between,
            "keyframes": [{actor.unit: _plain(k.at), **_shape_json(k.shape)} for k in actor.keyframes],
        }
        for actor in outlines.actors
    ]
    save(file, to_json_text(values), overwrite=overwrite)


def _load(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"{file} is larger than {MAX_BYTES // 1_000_000} MB, more than outlines of one clip can need")
        values = parse_json(file.read_bytes(), strict=True)
    except ValueError as error:
        raise InputError(f"{file} is no valid JSON: {error}") from error
    except OSError as error:
        raise error if isinstance(error, InputError) else InputError(f"{file} cannot be read: {error.strerror}") from error
    if not isinstance(values, dict):
        raise InputError(f"{file} must hold a JSON object with the outlines of one clip, got a {type(values).__name__}")
    return values


def path_inside(folder: Path, name: str, place: Place) -> Path:
    """Return ``folder / name``. Raises InputError if that leaves the folder, by ``..``, a root, a drive or a link."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or Path(name).is_absolute():
        raise place.error(f"a path inside the folder {folder}", name)
    return path


def _clip_name(values: Mapping[str, Any], file: Path) -> str:
    return read_text(values.get("clip"), Place(file, "clip"))


def _check_sum(clip: Path, expected: str, file: Path) -> None:
    if expected and clip.is_file():
        with clip.open("rb") as content:
            actual = hashlib.file_digest(content, "sha256").hexdigest()
        if actual != expected:
            raise InputError(f"{clip} is another file than the one that was outlined: {file} names the checksum {expected[:12]}…")


def _actor(value: object, place: Place, size: tuple[int, int], clips: Path) -> Actor:
    if not isinstance(value, dict):
        raise place.error("an object", value)
    place.refuse_others(value, {"name", "between", "keyframes", "masks", "value", "boxes"})
    sources = [key for key in ("keyframes", "masks", "boxes") if key in value]
    if len(sources) != 1:
        raise place.error('an object with one of "keyframes", "masks" and "boxes"', sources or sorted(value))
    name = read_text(value.get("name", "actor"), place.at("name"))
    where = place.at(sources[0])
    if sources == ["keyframes"]:
        between = value.get("between", "linear")
        if between not in ("linear", "hold", "none"):
            raise place.at("between").error('"linear", "hold" or "none"', between)
        keyframes = read_list(value, "keyframes", place, lambda v, p: _keyframe(v, p, size))
        units: list[Literal["frame", "time"]] = [unit for unit, _ in keyframes]
        if len(set(units)) > 1:
            raise where.error('counted either all in "frame" or all in "time"', units)
        return build(where, lambda: Actor(name, units[0], between, tuple(k for _, k in keyframes)))
    path = path_inside(clips, read_text(value[sources[0]], where), where)
    if sources == ["boxes"]:
        shapes: Sequence[Shape] = read_box_lines(path)
    else:
        number = value.get("value")
        shapes = read_mask_folder(path, size, None if number is None else read_whole(number, place.at("value")))
    return Actor(name, "frame", "none", tuple(Keyframe(n, shape) for n, shape in enumerate(shapes)))


def _keyframe(value: object, place: Place, size: tuple[int, int]) -> tuple[Literal["frame", "time"], Keyframe]:
    if not isinstance(value, dict):
        raise place.error("an object", value)
    place.refuse_others(value, {"frame", "time", *SHAPES})
    shapes = [key for key in SHAPES if key in value]
    if len(shapes) != 1:
        raise place.error(f"an object with one of {', '.join(SHAPES)}", sorted(value))
    if ("frame" in value) == ("time" in value):
        raise place.error('an object with either "frame" or "time"', sorted(value))
    shape = _SHAPE_READERS[shapes[0]](value[shapes[0]], place.at(shapes[0]), size)
    if "frame" in value:
        return "frame", Keyframe(read_whole(value["frame"], place.at("frame"), least=0), shape)
    time = read_number(value["time"], place.at("time"))
    if time < 0:
        raise place.at("time").error("seconds since the clip's first frame, at least 0", time)
    return "time", Keyframe(time, shape)


def _absent(value: object, place: Place, size: tuple[int, int]) -> Shape:
    if value is not True:
        raise place.error("true", value)
    return ABSENT


def _box(value: object, place: Place, size: tuple[int, int]) -> Shape:
    numbers = [read_number(v, place) for v in value] if isinstance(value, list) else []
    if len(numbers) != 4 or min(numbers[2:]) <= 0:
        raise place.error("[x, y, width, height] in pixels, with a positive width and height", value)
    return BoxShape(*numbers)


def _polygons(value: object, place: Place, size: tuple[int, int]) -> Shape:
    rings = value if isinstance(value, list) else []
    is_list = rings and all(isinstance(ring, list) and len(ring) >= 3 for ring in rings)
    if not is_list or not all(isinstance(corner, list) and len(corner) == 2 for ring in rings for corner in ring):
        raise place.error("a list of polygons, each a list of at least three corners [x, y]", value)
    return Polygons(tuple(tuple((read_number(x, place), read_number(y, place)) for x, y in ring) for ring in rings))


def _rle(value: object, place: Place, size: tuple[int, int]) -> Shape:
    if not isinstance(value, dict) or set(value) != {"counts"} or not isinstance(value["counts"], list):
        raise place.error('an object with "counts", the lengths of the runs down the columns, first outside', value)
    counts = tuple(read_whole(v, place.at("counts"), least=0) for v in value["counts"])
    return build(place, lambda: Runs(size, counts))


_SHAPE_READERS: dict[str, Callable[[object, Place, tuple[int, int]], Shape]] = {
    "absent": _absent, "box": _box, "polygons": _polygons, "rle": _rle,
}  # fmt: skip


def _shape_json(shape: Shape) -> dict[str, object]:
    if isinstance(shape, Absent):
        return {"absent": True}
    if isinstance(shape, BoxShape):
        return {"box": [_plain(v) for v in (shape.x, shape.y, shape.width, shape.height)]}
    if isinstance(shape, Polygons):
        return {"polygons": [[[_plain(x), _plain(y)] for x, y in ring] for ring in shape.rings]}
    return {"rle": {"counts": shape.counts}}


def _plain(value: float) -> float | int:
    """Return whole numbers without the decimal point."""
    return int(value) if float(value).is_integer() else value


def _span(value: object, place: Place) -> tuple[float, float]:
    numbers = [read_number(v, place) for v in value] if isinstance(value, list) else []
    if len(numbers) != 2 or not 0 <= numbers[0] < numbers[1]:
        raise place.error("[start, end] in seconds with 0 <= start < end", value)
    return numbers[0], numbers[1]
