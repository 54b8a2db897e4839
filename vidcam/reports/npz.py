"""NPZ: the raw signed maps of an analysis, written piece by piece and read back."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from typing import IO

import numpy as np
import numpy.typing as npt

from vidcam.analysis import Analysis
from vidcam.errors import InputError
from vidcam.evidence.storage import LARGE
from vidcam.io.files import atomic_write, check_output
from vidcam.io.json_text import to_json_value, to_utf8_text
from vidcam.reports.json_report import describe
from vidcam.values import Box, Track

__all__ = ["load_maps", "write_npz"]

PathLike = str | os.PathLike[str]


def write_npz(analysis: Analysis, path: PathLike, *, overwrite: bool = False) -> None:
    """Write the raw signed maps on the model's own grid, with the time and the place of each cell.

    :func:`load_maps` reads them back. Raises OutputError if the file cannot be written.
    """
    tracks = [track for group in analysis.tracks.values() for track in group]
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "labels": np.array([to_utf8_text(t.label) for t in tracks], dtype=np.str_),
        "cell_s": np.array([t.cell_s for t in tracks], dtype=np.float64),
        "source_hw": np.array([analysis.source.height, analysis.source.width]),
        "about": np.array(json.dumps(to_json_value(describe(analysis)))),
    }
    for i, track in enumerate(tracks):
        arrays[f"maps_{i}"] = np.asanyarray(track.maps, dtype=np.float32)  # a StoredArray stays one
        for name in ("times", "ys", "xs", "seen"):
            arrays[f"{name}_{i}"] = np.asarray(getattr(track, name), dtype=np.float64)
    check_output(path, overwrite=overwrite, source=analysis.source.path)
    with atomic_write(path, overwrite=overwrite) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write_array(member, array)


def _write_array(file: IO[bytes], array: npt.NDArray[np.generic]) -> None:
    """Write ``array`` as NPY in pieces; numpy's own writers would hold much of it in memory, twice."""
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    flat = array.ravel(order="F" if array.flags.fnc else "C")
    step = LARGE // max(1, array.itemsize)
    for start in range(0, flat.size, step):
        file.write(flat[start : start + step].tobytes())


def load_maps(path: PathLike) -> dict[str, tuple[Track, ...]]:
    """Read the tracks that :func:`write_npz` wrote.

    Args:
        path: An .npz file that vidcam wrote (``--maps``).

    Returns:
        For each label its tracks, one for each crop.

    Raises:
        InputError: The file cannot be read, or is not such a file.
    """
    tracks: dict[str, tuple[Track, ...]] = {}
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            for i, label in enumerate(file["labels"].tolist()):
                times, maps, ys, xs = (file[f"{name}_{i}"] for name in ("times", "maps", "ys", "xs"))
                seen = Box(*file[f"seen_{i}"].tolist())
                tracks[label] = (*tracks.get(label, ()), Track(label, times, maps, ys, xs, seen, float(file["cell_s"][i])))
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as err:
        raise InputError(f"cannot read {os.fspath(path)!r} as maps: {err}. Expected an .npz that vidcam wrote (--maps).") from err
    return tracks
