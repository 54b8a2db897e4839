"""Files for other tools are loaded by the tools' own code, where their packages are installed.

They fit into no environment together with vidcam's OpenCV: tests/support/sinks.sh gives each one of its own, and runs these
tests there.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support import planted, squares

from vidcam import annotation
from vidcam.analysis import Analysis
from vidcam.engine import open_engine
from vidcam.evidence.heat import render_heat
from vidcam.evidence.tubes import find_tubes
from vidcam.reports.cvat import write_cvat
from vidcam.reports.fiftyone import write_fiftyone
from vidcam.reports.label_studio import labeling_config, write_label_studio
from vidcam.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore")  # of the tools


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    clip = squares.write_squares(tmp_path_factory.mktemp("loaders") / "squares.mp4", gop=10)
    settings = Settings(classes=("red square",), smooth_s=0, seconds_between_clip_starts=0.4)
    return annotation.explain(clip, engine=open_engine(f"{planted.__file__}:patches"), settings=settings)


def test_rerun_reads_the_recording(analysis: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rerun", reason="needs rerun-sdk, an extra")
    from rerun.chunk import RrdReader

    from vidcam.reports import rerun_recording

    monkeypatch.setattr(rerun_recording, "PIECE_BYTES", 1)
    monkeypatch.setattr(rerun_recording, "ROWS", 16)
    rerun_recording.write_rerun(analysis, tmp_path / "t.rrd")
    rows: dict[str, list[dict[str, object]]] = {}
    for chunk in RrdReader(tmp_path / "t.rrd").stream().to_chunks():
        for row in chunk.to_record_batch().to_pylist():
            row["s"] = row["video_time"].total_seconds() if row.get("video_time") is not None else None
            rows.setdefault(chunk.entity_path.replace("\\", ""), []).append(row)
    video = sorted(rows["/video"], key=lambda r: r["s"])
    assert [r["s"] for r in video] == pytest.approx(analysis.frame_times_s, abs=1e-6)
    assert [r["VideoFrameReference:video_reference"] for r in video] == [[f"pieces/{i // 10}"] for i in range(50)]
    assert [r["VideoFrameReference:timestamp"][0] for r in video] == [i % 10 * 10**8 for i in range(50)]
    assert {f"/pieces/{i}" for i in range(5)} <= set(rows)
    curve = {r["s"]: r["Scalars:scalars"][0] for r in rows["/evidence/red square"] if r["s"] is not None}
    known = ~np.isnan(analysis.curves["red square"])
    assert list(curve.values()) == pytest.approx(analysis.curves["red square"][known])
    assert list(curve) == pytest.approx(analysis.times_s[known], abs=1e-6)
    check_heat(analysis, rows["/heat/red square"])
    check_tubes(analysis, rows["/tubes"])


def check_heat(analysis: Analysis, rows: list[dict[str, object]]) -> None:
    """Check that the opacity of the small pictures rises with the heat at their places."""
    import io

    from PIL import Image

    pictures = {r["s"]: bytes(r["EncodedImage:blob"][0]) for r in rows if r["s"] is not None}
    (scale,) = [r["Transform3D:scale"][0] for r in rows if r.get("Transform3D:scale")]
    assert scale == [2, 2, 1]
    for time, blob in pictures.items():
        alpha = np.array(Image.open(io.BytesIO(blob)))[..., 3]
        heat = render_heat(analysis.drawn["red square"], time=time, scale=analysis.scale, size=(128, 128))
        blocks = heat.values.reshape(64, 2, 64, 2).mean((1, 3))
        assert np.corrcoef(blocks.ravel(), alpha.ravel())[0, 1] > 0.9 if blocks.max() > 0.3 else alpha.max() < 255


def check_tubes(analysis: Analysis, rows: list[dict[str, object]]) -> None:
    """Check that the boxes at each time are those of the tubes."""
    expected = sorted(
        (round(o.time, 6), (o.box.x0 + o.box.x1) / 2, (o.box.y0 + o.box.y1) / 2, (o.box.x1 - o.box.x0) / 2)
        for tube in find_tubes(analysis)
        for o in tube.outlines
    )
    read = sorted(
        (round(r["s"], 6), *centre, half[0])
        for r in rows
        for centre, half in zip(r["Boxes2D:centers"], r["Boxes2D:half_sizes"], strict=True)
    )
    np.testing.assert_allclose(read, expected, atol=1e-4)


def test_rerun_recording_without_a_video_says_why(analysis: Analysis, tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="needs rerun-sdk, an extra")
    from dataclasses import replace

    from rerun.chunk import RrdReader

    from vidcam.reports.rerun_recording import write_rerun

    gone = replace(analysis, source=replace(analysis.source, path=str(tmp_path / "gone.mp4")))
    write_rerun(gone, tmp_path / "t.rrd")
    (about,) = [c for c in RrdReader(tmp_path / "t.rrd").stream().to_chunks() if c.entity_path == "/about"]
    assert "Without the video: it is no video file" in about.to_record_batch().to_pylist()[0]["TextDocument:text"][0]


def test_label_studio_accepts_the_prediction(analysis: Analysis, tmp_path: Path) -> None:
    interface = pytest.importorskip("label_studio_sdk.label_interface", reason="needs label-studio-sdk")
    write_label_studio(analysis, tmp_path / "t.json")
    tasks = json.loads((tmp_path / "t.json").read_text())
    config = interface.LabelInterface(labeling_config(tasks))
    config.validate()
    (prediction,) = tasks[0]["predictions"]
    assert config.validate_prediction(prediction, return_errors=True) == []
    prediction["result"][-1]["value"]["ranges"] = []
    assert not config.validate_prediction(prediction)


def test_datumaro_reads_the_cvat_tracks(analysis: Analysis, tmp_path: Path) -> None:
    dataset = pytest.importorskip("datumaro.components.dataset", reason="needs datumaro")
    write_cvat(analysis, tmp_path / "t.xml")
    read = {
        (item.attributes["frame"], a.attributes["track_id"] + 1): a.points
        for item in dataset.Dataset.import_from(str(tmp_path / "t.xml"), "cvat")
        for a in item.annotations
        if not a.attributes["outside"]
    }
    for tube in find_tubes(analysis):
        keys = {round(o.time * squares.FPS): o.box for o in tube.outlines}
        shared = [frame for frame in keys if (frame, tube.id) in read]
        assert min(keys) in shared
        for frame in shared:
            box = keys[frame]
            assert read[frame, tube.id] == pytest.approx([box.x0, box.y0, box.x1, box.y1], abs=CELL)


CELL = 8
"""A frame may have the box of the step of the timeline before or after: it may be a cell off."""


def test_fiftyone_imports_the_sample(analysis: Analysis, tmp_path: Path) -> None:
    data = pytest.importorskip("fiftyone.utils.data", reason="needs fiftyone")
    dataset = pytest.importorskip("fiftyone.core.dataset", reason="needs fiftyone")
    write_fiftyone(analysis, tmp_path / "t.zip")
    # What a dataset's add_archive does, without the database that it needs.
    importer = data.FiftyOneDatasetImporter(dataset._extract_archive_if_necessary(str(tmp_path / "t.zip"), False))
    assert importer._is_legacy_format_data()
    with importer._to_legacy_importer() as samples:
        (sample,) = samples
    assert sample.filepath == analysis.source.path
    assert sample.prediction.label == analysis.top(1)[0][0]
    assert [d.label for d in sample.segments.detections] == [s.label for s in analysis.segments]
    heat = sample.frames[21].heat
    assert heat.map.shape == (32, 32)
    assert heat.map[24 // 4 : 48 // 4, 20 // 4 : 44 // 4].max() == heat.map.max() > 200
    (found,) = sample.frames[21].evidence.detections
    assert np.array(found.bounding_box) * 128 == pytest.approx([20, 24, 24, 24], abs=9)
