"""The reports, read back with parsers that know nothing of how they were written."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import io
import itertools
import json
import math
import re
import subprocess
import sys
import urllib.parse
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.counting import lines_run
from support.media import write_clip
from support.schemas import strict, validate

from vidcam.analysis import Analysis, Answers, ModelInfo, RunInfo
from vidcam.annotation import Outputs
from vidcam.cli import main
from vidcam.cli.outputs import parse_formats
from vidcam.errors import InputError, OutputError, UnknownNameError, UsageError
from vidcam.evidence.curves import thin_curves
from vidcam.evidence.segments import find_segments
from vidcam.io import files
from vidcam.io.extras import has_extra
from vidcam.io.formatting import percent, seconds
from vidcam.metrics.faithfulness import Interval
from vidcam.metrics.verdict import Verdict
from vidcam.reports import formats, npz
from vidcam.reports.answer import summarize
from vidcam.reports.csv_report import write_csv
from vidcam.reports.formats import FORMATS, Format, register_format
from vidcam.reports.html import write_html, write_json
from vidcam.reports.json_report import to_json
from vidcam.reports.npz import load_maps, write_npz
from vidcam.reports.predictions import nearest_windows
from vidcam.reports.trust import describe_verdict
from vidcam.reports.webvtt import write_vtt
from vidcam.settings import Settings
from vidcam.values import Box, Keyframe, Prediction, Segment, SourceInfo, Track

pytestmark = pytest.mark.portable

WRITERS = {row.name: row.write for row in FORMATS if row.name != "tubes" and (row.extra is None or has_extra(row.extra))}
NASTY = "<script>alert(1)</script> \"double\" 'single' & é 犬\n\n--> two"
FORMULA = "=cmd|' /C calc'!A0"


def window(start: float, end: float, probs: dict[str, float]) -> Prediction:
    p = np.array(list(probs.values()), dtype=np.float32)
    return Prediction(np.log(p + 1e-6), p, tuple(probs), (start, end))


def track(label: str, offset: float) -> Track:
    maps = np.random.default_rng(int(offset)).normal(size=(4, 2, 3)).astype(np.float32)
    maps[2] = np.nan
    box = Box(0.0, offset, 48.0, 32.0 + offset)
    return Track(label, np.array([0.5, 1.0, 1.5, 2.5]), maps, np.array([11.5, 35.5]), offset + np.array([5.0, 15, 25]), box, 0.5)


MODEL = ModelInfo(
    name="tiny",
    weights_sha256="ab" * 32,
    target_layer="body[1]",
    num_frames=8,
    seconds_between_frames=0.125,
    time_cells=(2, 8),
    paper="A. Nonymous 2020, https://example.org/paper?a=1&b=2",
)
RUN = RunInfo(MODEL, engine="torch", device="cpu", seed=7, versions={"vidcam": "0.0", "python": "3.11"})


def analysis(**changes: Any) -> Analysis:
    """Return three seconds with a hole in the middle; labels, path and warnings that mean harm."""
    times = np.arange(0, 3, 0.25)
    first, second = np.sin(times) + 0.5, -np.cos(times)
    first[5:7] = second[5:7] = np.nan
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 200
    values: dict[str, Any] = {
        "source": SourceInfo("clips/a <b>\udcff & c.mp4", 64, 48, 90, 29.97, 3.0, 90, "aac", "h264", 0.25),
        "frames": 90,
        "duration_s": 3.0,
        "run": RUN,
        "method": "cam",
        "method_title": "Class <b>activation</b>",
        "method_paper": "javascript:alert(1)",
        "settings": Settings(seconds_between_clip_starts=0.5),
        "windows": (
            window(0.0, 1.0, {NASTY: 0.7, FORMULA: 0.2, "rest": 0.1}),
            window(0.5, 1.25, {NASTY: 0.9, FORMULA: 0.05, "rest": 0.05}),
            window(1.75, 2.875, {NASTY: 0.2, FORMULA: 0.8, "rest": 0.0}),
        ),
        "times_s": times,
        "curves": {NASTY: first, FORMULA: second},
        "tracks": {NASTY: (track(NASTY, 0), track(NASTY, 32)), FORMULA: (track(FORMULA, 5),)},
        "segments": (Segment(NASTY, 0.2, 1.1, 1.25), Segment(FORMULA, 0.9004, 1.2, -0.5), Segment(NASTY, 2.5, 2.75, math.inf)),
        "scale": 0.125,
        "completeness_error": 2e-7,
        "unseen_fraction": 0.25,
        "warnings": ("lost <i>half</i> of it",),
        "moments": (Keyframe(0.75, NASTY, 1.5, red), Keyframe(2.0, FORMULA, -0.25, red)),
        "outputs": {"json": "a.json", "video": "out/a #1?.mp4"},
        "timings_s": {"read": 0.5},
    }
    values |= changes
    size = np.exp(np.mean([w.logits for w in values["windows"]], axis=0, dtype=np.float64))
    return Analysis(**({"probs": size / size.sum()} | values))


# ---------------------------------------------------------------------------------------------------------------- JSON


def test_the_json_is_strict_and_fits_its_schema(tmp_path: Path) -> None:
    write_json(analysis(), tmp_path / "a.json")
    doc = strict((tmp_path / "a.json").read_text(encoding="utf-8"))
    validate(doc, "report")
    assert doc == to_json(analysis())


def test_the_json_says_what_the_analysis_says() -> None:
    a = analysis()
    doc: Any = to_json(a)
    assert doc["schema_version"] == 1
    assert doc["input"] == {
        "path": "clips/a <b>\ufffd\ufffd\ufffd & c.mp4",
        "duration_s": 3.0,
        "frames": 90,
        "fps": 29.97,
        "width": 64,
        "height": 48,
        "rotation": 90,
        "audio": "aac",
        "codec": "h264",
        "start_s": 0.25,
        "sha256": None,
    }
    assert doc["model"]["time_cells"] == [2, 8]
    assert doc["model"]["interval_s"] == 0.125
    assert doc["timeline"]["times_s"] == a.times_s.tolist()
    assert list(doc["timeline"]["evidence"]) == [NASTY, FORMULA]
    for label, curve in a.curves.items():
        for said, true in zip(doc["timeline"]["evidence"][label], curve, strict=True):
            assert said is None if math.isnan(true) else said == true
    size = {label: math.exp(sum(w.logits[w.labels.index(label)] for w in a.windows) / 3) for label in (NASTY, FORMULA, "rest")}
    mean = {label: e / sum(size.values()) for label, e in size.items()}
    assert [t["label"] for t in doc["summary"]["top"]] == sorted(mean, key=mean.__getitem__, reverse=True)
    assert [t["prob"] for t in doc["summary"]["top"]] == pytest.approx(sorted(mean.values(), reverse=True))
    last = doc["windows"][2]
    assert (last["start_s"], last["end_s"]) == (1.75, 2.875)
    assert [t["label"] for t in last["top"]] == [FORMULA, NASTY, "rest"]
    for t in last["top"]:
        answer = a.windows[2]
        assert (t["prob"], t["logit"]) == (answer.prob(t["label"]), answer.logits[answer.labels.index(t["label"])])
    assert doc["segments"][1] == {"label": FORMULA, "start_s": 0.9004, "end_s": 1.2, "score": -0.5}
    assert doc["segments"][2]["score"] is None  # infinity is not JSON
    assert doc["outputs"] == {"json": "a.json", "video": "out/a #1?.mp4"}


def test_the_unit_is_the_logit_only_where_evidence_sums_to_it() -> None:
    assert to_json(analysis())["unit"] == "logit"
    assert to_json(analysis(completeness_error=None))["unit"] == "arbitrary"


def test_a_model_that_says_little_still_has_every_key() -> None:
    doc = to_json(analysis(run=replace(RUN, model=ModelInfo("mine"))))
    validate(doc, "report")
    assert doc["model"] == {
        "name": "mine", "weights_sha256": None, "layer": None, "frames": None, "interval_s": None, "time_cells": None
    }  # fmt: skip


@given(st.text(st.characters(), max_size=12), st.lists(st.floats(width=32), min_size=1, max_size=5))
def test_any_label_and_any_number_gives_strict_utf8_json(label: str, numbers: list[float]) -> None:
    times = np.arange(len(numbers), dtype=float)
    doc = to_json(analysis(curves={label: np.array(numbers)}, times_s=times))
    back = strict(json.dumps(doc, ensure_ascii=False).encode("utf-8").decode("utf-8"))
    (values,) = back["timeline"]["evidence"].values()
    assert values == [x if math.isfinite(x) else None for x in numbers]


# ----------------------------------------------------------------------------------------------------------------- CSV


def rows(a: Analysis, folder: Path) -> list[list[str]]:
    write_csv(a, folder / "a.csv")
    data = (folder / "a.csv").read_bytes().decode("utf-8")
    assert data.endswith("\r\n")
    return list(csv.reader(io.StringIO(data, newline=""), strict=True))


def test_exports_load_in_the_usual_libraries(tmp_path: Path) -> None:
    import pandas
    import webvtt

    a = analysis()
    for kind in ("csv", "vtt", "npz"):
        WRITERS[kind](a, tmp_path / f"a.{kind}")
    table = pandas.read_csv(tmp_path / "a.csv")
    np.testing.assert_allclose(table["time_s"], a.times_s, atol=1e-6)
    cues = webvtt.read(tmp_path / "a.vtt").captions
    assert {f"00:00:{s.start_s:06.3f}" for s in a.segments} <= {c.start for c in cues}
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert arrays.files


def test_the_csv_has_a_row_for_each_time(tmp_path: Path) -> None:
    a = analysis()
    header, *body = rows(a, tmp_path)
    assert header == ["time_s", f"evidence:{NASTY}", f"evidence:{FORMULA}", "top_label", "top_prob"]
    assert len(body) == len(a.times_s)
    for i, row in enumerate(body):
        assert float(row[0]) == a.times_s[i]
        for text, curve in zip(row[1:3], a.curves.values(), strict=True):
            assert text == "" if math.isnan(curve[i]) else float(text) == curve[i]
    # 0.75 lies in both of the first windows, nearer to the second's middle; nobody looked at 1.5; a formula is disarmed
    by_time = {float(row[0]): row[3:] for row in body}
    assert by_time[0.0] == [NASTY, str(float(np.float32(0.7)))]
    assert by_time[0.75] == [NASTY, str(float(np.float32(0.9)))]
    assert by_time[1.5] == ["", ""]
    assert by_time[2.0] == ["'" + FORMULA, str(float(np.float32(0.8)))]


@pytest.mark.parametrize("label", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_cell_of_the_csv_is_a_formula(label: str, tmp_path: Path) -> None:
    a = analysis(windows=(window(0, 3, {label: 1.0}),), curves={label: np.zeros(12)})
    header, first, *_ = rows(a, tmp_path)
    assert (header[1], first[2]) == (f"evidence:{label}", f"'{label}")


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(4, 6)), min_size=1, max_size=12),
    st.lists(st.integers(-5, 120), min_size=1, max_size=20),
)
def test_the_window_with_the_nearest_middle_answers(spans: list[tuple[int, int]], ticks: list[int]) -> None:
    windows = [window(s / 2, s / 2 + n, {"a": 1.0}) for s, n in spans]
    times = np.array(sorted(ticks)) / 4 + 0.03  # never exactly between two middles
    for time, owner in zip(times, nearest_windows(windows, times), strict=True):
        distances = [abs(sum(w.span) / 2 - time) if w.span[0] <= time <= w.span[1] else math.inf for w in windows]
        if min(distances) == math.inf:
            assert owner == -1
        else:
            assert distances[owner] == min(distances)


def test_times_in_files_have_at_most_six_decimals(tmp_path: Path) -> None:
    times = np.arange(12) * 0.2 + 1e-9
    assert any(len(str(t)) > 8 for t in times.tolist())
    a = analysis(times_s=times, segments=(Segment(NASTY, 0.1 + 0.2, 0.7 + 0.1, 1.0),), video_offset_s=0.1 + 0.2)
    doc: Any = to_json(a)
    assert doc["timeline"]["times_s"] == [k / 5 for k in range(12)]
    assert [float(row[0]) for row in rows(a, tmp_path)[1:]] == [k / 5 for k in range(12)]
    assert (doc["segments"][0]["start_s"], doc["segments"][0]["end_s"], doc["video_offset_s"]) == (0.3, 0.8, 0.3)


def test_nothing_lies_beyond_the_end_of_the_video(tmp_path: Path) -> None:
    """Frames end at 2.03 s; a sample at 2.0 s stands for more, so that the last window and the last segment would go on."""
    frames = np.arange(61) / 30
    times = np.arange(11) / 5
    curve = np.ones(11)
    segments = find_segments(times, {"walk": curve}, min_s=0.4, end_s=61 / 30)
    assert [(s.start_s, s.end_s) for s in segments] == [(0.0, pytest.approx(61 / 30))]
    windows = (window(0.0, 2.0, {"walk": 0.8, "run": 0.2}), window(0.2, 2.2, {"walk": 0.6, "run": 0.4}))
    a = analysis(
        frame_times_s=frames,
        duration_s=61 / 30,
        times_s=times,
        curves={"walk": curve},
        windows=windows,
        tracks={},
        segments=segments,
    )
    doc: Any = to_json(a)
    chart = facts_of(a, tmp_path)["chart"]
    ends = [w["end_s"] for w in doc["windows"]] + [s["end_s"] for s in doc["segments"]]
    ends += [chart["t1"], *(s["end"] for s in chart["band"] + chart["segments"]), *(end for _, end, _ in cues(a, tmp_path))]
    assert max(ends) == pytest.approx(61 / 30, abs=5e-4)  # subtitles count in milliseconds
    assert min(ends[2:]) == pytest.approx(61 / 30, abs=5e-4)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(2, 9), st.integers(1, 98)), min_size=1, max_size=6), st.integers(-2, 80)
)
@example([(0, 9, 80), (10, 2, 60)], 17)  # 4.28 s: only the first window covers it, the middle of the second is nearer
def test_page_csv_and_mp4_give_a_moment_one_probability(spans: list[tuple[int, int, int]], tick: int) -> None:
    windows = [window(s / 2, (s + n) / 2, {"a": p / 100, "b": 1 - p / 100}) for s, n, p in spans]
    time = tick / 4 + 0.0301  # never at an edge
    a = analysis(windows=tuple(windows), curves={"a": np.zeros(1), "b": np.zeros(1)}, times_s=np.array([time]), segments=())
    drawn, _ = Answers(a).at(time)
    [owner] = nearest_windows(windows, np.array([time]))
    inside = [w for w in windows if w.span[0] <= time <= w.span[1]]
    if not inside:
        assert owner == -1
        return
    nearest = min(abs(sum(w.span) / 2 - time) for w in inside)
    assert abs(sum(drawn.span) / 2 - time) == abs(sum(windows[owner].span) / 2 - time) == nearest
    if sum(abs(sum(w.span) / 2 - time) == nearest for w in inside) == 1:
        assert drawn is windows[owner]


def test_page_shows_the_probability_of_the_deciding_window(tmp_path: Path) -> None:
    windows = (window(0, 2, {"walk": 0.8, "run": 0.2}), window(1, 3, {"walk": 0.6, "run": 0.4}))
    a = analysis(windows=windows, curves={"walk": np.zeros(12)}, tracks={}, segments=())
    chart = facts_of(a, tmp_path)["chart"]
    assert [s["prob"] for s in chart["band"]] == [pytest.approx((0.8 * 1.5 + 0.6 * 1.5) / 3)]  # the mean of the stretch
    said = {float(row[0]): float(row[-1]) for row in rows(a, tmp_path)[1:]}
    for time, prob in said.items():
        if time != 1.5:  # as near to one middle as to the other
            assert [p for start, p in chart["probs"] if start <= time][-1] == prob == Answers(a).at(time)[0].top(1)[0][1]


# -------------------------------------------------------------------------------------------------------------- WebVTT


def cues(a: Analysis, folder: Path) -> list[tuple[float, float, str]]:
    """Return what a player would show: the blocks of the file that have a timing line, entities resolved."""
    write_vtt(a, folder / "a.vtt", overwrite=True)
    head, *blocks = (folder / "a.vtt").read_bytes().decode("utf-8").rstrip("\n").split("\n\n")
    assert re.fullmatch(r"WEBVTT( .*)?", head)
    out = []
    for block in blocks:
        if block.startswith("NOTE\n"):
            continue
        timing, *payload = block.split("\n")
        match = re.fullmatch(r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3}) --> (\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})", timing)
        assert match, timing
        n = [int(g) for g in match.groups()]
        start, end = (n[k] * 3600 + n[k + 1] * 60 + n[k + 2] + n[k + 3] / 1000 for k in (0, 4))
        text = "\n".join(payload)
        assert payload
        assert not set("<>") & set(text)
        assert not re.search(r"&(?!(amp|lt|gt);)", text)
        out.append((start, end, text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("\xa0", " ")))
    return out


def test_the_cues_say_what_holds_and_never_overlap(tmp_path: Path) -> None:
    a = analysis()
    said = cues(a, tmp_path)
    assert all(start < end for start, end, _ in said)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(said))
    assert all(b[1] < c[0] or b[2] != c[2] for b, c in itertools.pairwise(said)), "equal neighbours should be one cue"
    for now in np.arange(0, 3, 0.01) + 0.0053:
        (text,) = [t for start, end, t in said if start <= now < end] or [""]
        holding = [" ".join(s.label.split()) for s in a.segments if s.start_s <= now < s.end_s]
        if holding:
            assert [line.rpartition(": evidence ")[0] for line in text.split("\n")] == holding
        elif now < 1.25:
            assert text.startswith("prediction: <script>alert(1)</script> \"double\" 'single' & é 犬 --> two, ")
        elif 1.75 <= now < 2.875:
            assert text == f"prediction: {FORMULA}, 80.0 %"
        else:
            assert text == ""


def test_cue_times_are_stream_time_and_count_hours(tmp_path: Path) -> None:
    a = analysis(segments=(), windows=(window(7261.5, 360_000.25, {"walk": 1.0}),))
    assert cues(a, tmp_path) == [(7261.5, 360_000.25, "prediction: walk, > 99.9 %")]
    assert "02:01:01.500 --> 100:00:00.250" in (tmp_path / "a.vtt").read_text(encoding="utf-8")


def test_cues_and_player_follow_a_video_whose_clock_was_moved(tmp_path: Path) -> None:
    a = analysis(segments=(), windows=(window(19.5, 25, {"walk": 1.0}),), video_offset_s=20.0)
    assert cues(a, tmp_path) == [(0, 5, "prediction: walk, > 99.9 %")]
    assert facts_of(a, tmp_path)["offset_s"] == 20.0


def test_twice_as_many_predictions_take_twice_the_work(tmp_path: Path) -> None:
    def work(count: int) -> int:
        windows = tuple(window(i, i + 1, {f"label {i % 2}": 1.0}) for i in range(count))
        changing = analysis(segments=(), windows=windows)
        assert len(cues(changing, tmp_path)) == count
        return lines_run(lambda: write_vtt(changing, tmp_path / "a.vtt", overwrite=True))

    assert work(2000) < 2.1 * work(1000)  # a loop within a loop would take four times the work


def test_a_long_prediction_has_its_mean_probability(tmp_path: Path) -> None:
    windows = (window(0, 1, {"walk": 1.0, "run": 0.0}), window(1, 5, {"walk": 0.6, "run": 0.4}))
    assert cues(analysis(segments=(), windows=windows), tmp_path) == [(0, 5, "prediction: walk, 68.0 %")]


# ----------------------------------------------------------------------------------------------------------------- NPZ


def test_the_maps_come_back_as_they_were(tmp_path: Path) -> None:
    a = analysis()
    write_npz(a, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["labels"].tolist() == [NASTY, NASTY, FORMULA]
        assert file["maps_1"].dtype == np.float32
        np.testing.assert_array_equal(file["maps_1"], a.tracks[NASTY][1].maps)
        assert file["source_hw"].tolist() == [48, 64]
        assert strict(str(file["about"]))["model"]["name"] == "tiny"
    back = load_maps(tmp_path / "a.npz")
    assert list(back) == [NASTY, FORMULA]
    for label, tracks in a.tracks.items():
        assert len(back[label]) == len(tracks)
        for ours, theirs in zip(back[label], tracks, strict=True):
            assert (ours.label, ours.seen, ours.cell_s) == (theirs.label, theirs.seen, theirs.cell_s)
            for name in ("maps", "times", "ys", "xs", "curve"):
                np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


@pytest.mark.parametrize(
    "array",
    [
        np.random.default_rng(0).normal(size=(700, 41, 37)).astype(np.float32),
        np.asfortranarray(np.arange(900_000.0).reshape(3, 300_000)),
        np.arange(12.0).reshape(3, 4)[:, ::2],
        np.array("what is said of it"),
        np.array([], dtype=np.str_),
        np.empty((0, 3)),
    ],
)
def test_an_array_written_in_pieces_is_what_numpy_writes(array):
    ours, theirs = io.BytesIO(), io.BytesIO()
    npz._write_array(ours, array)
    np.save(theirs, array)
    assert ours.getvalue() == theirs.getvalue()


def test_what_is_no_file_of_maps_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").touch()
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.savez(tmp_path / "pickle.npz", labels=np.array([{"a": 1}], dtype=object))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:60])
    write_npz(analysis(), tmp_path / "broken.npz")
    data = bytearray((tmp_path / "broken.npz").read_bytes())
    data[40:300] = bytes(260)
    (tmp_path / "broken.npz").write_bytes(data)
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, np.zeros(3))
    for name in ("text.npz", "empty.npz", "broken.npz", "other.npz", "pickle.npz", "cut.npz", "array.npz", "missing.npz"):
        with pytest.raises(InputError, match=rf"cannot read .*{name}' as maps: .* Expected an \.npz that vidcam wrote"):
            load_maps(tmp_path / name)


# ---------------------------------------------------------------------------------------------------------------- HTML


class Page(HTMLParser):
    """Every tag with its attributes, and the text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text, self.raw = "", {"script": [], "style": []}
        self.inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        self.inside = tag

    def handle_data(self, data: str) -> None:
        if self.inside in self.raw:
            self.raw[self.inside].append(data)
        else:
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]

    def classed(self, name: str) -> list[dict[str, str]]:
        return [attrs for _, attrs in self.tags if name in attrs.get("class", "").split()]


def html_of(a: Analysis, folder: Path) -> Page:
    write_html(a, folder / "a.html", overwrite=True)
    return Page((folder / "a.html").read_bytes().decode("utf-8").replace("\xa0", " "))


def facts_of(a: Analysis, folder: Path) -> Any:
    """Return what the page tells its player."""
    return strict(html_of(a, folder).raw["script"][0])


def test_names_stay_text_in_the_html(tmp_path: Path) -> None:
    p = html_of(analysis(), tmp_path)
    assert [script["type"] for script in p.all("script")] == ["application/json", "module"]
    assert not p.all("b")
    assert not [a for _, a in p.tags if any(k.startswith("on") for k in a)]
    for text in (NASTY, FORMULA, "a <b>\ufffd", "lost <i>half</i> of it", "Class <b>activation</b>", "javascript:alert(1)"):
        assert text in p.text
    assert {"title": NASTY, "class": "name"} in p.all("span")
    facts = strict(p.raw["script"][0])
    assert facts["labels"] == [NASTY, FORMULA]
    assert "<" not in p.raw["script"][0]


def test_the_html_asks_nothing_of_the_network(tmp_path: Path) -> None:
    p = html_of(analysis(), tmp_path)
    assert not [a for _, a in p.tags if "src" in a]
    assert [a["href"] for _, a in p.tags if "href" in a] == ["https://example.org/paper?a=1&b=2"]
    assert not p.all("link") + p.all("iframe")
    assert "url(" not in "".join(p.raw["style"])
    assert not re.search(r"https?:(?!//www.w3.org/2000/svg)|fetch|XMLHttp|^import|import\(", p.raw["script"][-1])
    (policy,) = [m["content"] for m in p.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith(
        "default-src 'none'; img-src data:; media-src 'self' file: blob:; style-src 'unsafe-inline'; script-src"
    )
    digest = base64.b64encode(hashlib.sha256(p.raw["script"][-1].encode()).digest()).decode()
    assert policy.endswith(f"script-src 'sha256-{digest}'")  # no other script may run, whatever a name contains


def test_the_drawn_video_is_linked_relative_to_the_page(tmp_path: Path) -> None:
    video = tmp_path / "out" / "a #1? 100% 犬.mp4"
    facts = facts_of(analysis(outputs={"json": "a.json", "video": str(video)}), tmp_path)
    assert facts["video"]["src"] == "out/" + urllib.parse.quote("a #1? 100% 犬.mp4")
    assert facts["video"]["own"] is False  # the evidence is in its pictures already
    assert facts["tracks"] == []
    facts = facts_of(analysis(outputs={"json": "a.json"}), tmp_path)
    assert (facts["video"]["src"], facts["video"]["own"]) == (None, True)


def test_the_timeline_has_the_curves_where_they_are(tmp_path: Path) -> None:
    a = analysis()
    chart = facts_of(a, tmp_path)["chart"]
    assert chart["times"] == a.times_s.tolist()
    for said, curve in zip(chart["curves"], a.curves.values(), strict=True):
        assert said == [None if math.isnan(v) else pytest.approx(v, rel=1e-3) for v in curve]
    assert (chart["t0"], chart["t1"]) == (0.0, 2.875)
    lowest, highest = (f(f(c[np.isfinite(c)]) for c in a.curves.values()) for f in (min, max))
    assert (chart["low"], chart["high"]) == pytest.approx((1.06 * lowest - 0.06 * highest, 1.06 * highest - 0.06 * lowest))
    assert chart["unseen"] == [[1.125, 1.625]]  # the samples 1.25 and 1.5
    assert chart["segments"][0] == {"label": 0, "start": 0.2, "end": 1.1}
    assert [s["label"] for s in chart["band"]] == [NASTY, FORMULA]


def test_the_page_names_the_label_that_the_video_shows(tmp_path: Path) -> None:
    a = analysis()
    answers, shown = facts_of(a, tmp_path)["answers"], Answers(a)
    for time in np.arange(-1, 4, 0.07):
        label = next(label for start, label in reversed(answers) if start <= time)
        assert a.labels[label] == shown.at(float(time))[1]


def test_long_tables_are_cut_and_say_so(tmp_path: Path) -> None:
    windows = tuple(window(i, i + 1.5, {"walk": 0.75, "run": 0.25}) for i in range(450))
    p = html_of(analysis(windows=windows, moments=()), tmp_path)
    assert p.text.count("walk") < 250
    assert "The first 200 of 450; the JSON report (--json) has all of them." in p.text
    assert "All windows of the model (450)" in p.text
    assert [s["label"] for s in strict(p.raw["script"][0])["chart"]["band"]] == ["walk"]


def test_a_page_says_that_there_is_next_to_nothing_to_say(tmp_path: Path) -> None:
    a = analysis(
        run=RunInfo(ModelInfo("mine"), "torch", "cpu", 0, {}),
        curves={}, tracks={}, segments=(), moments=(), warnings=(), outputs={},
        timings_s={}, completeness_error=None, scale=math.nan, times_s=np.array([0.0]),
    )  # fmt: skip
    p = html_of(a, tmp_path)
    assert "no part stands out" in p.text
    assert "need not sum" in p.text


VERDICT = Verdict("weak", 0.327, 0.267, 0.12, 0.08, Interval(0.043, 0.011, 0.121), 1, 0.75, (1.5,))


def test_page_gives_the_figures_of_the_verdict(tmp_path: Path) -> None:
    text = " ".join(html_of(analysis(verdict=VERDICT, curves={"squat": np.zeros(12)}, segments=()), tmp_path).text.split())
    assert "Can this map be trusted?" in text
    assert (
        "In the clip around 1.5 s, the only one of 3 that was tested, blurring the hottest 15 % lowers the score of squat "
        in text
    )
    assert "from 75.0 % to 42.3 %; blurring equal areas elsewhere lowers it to 48.3 %." in text
    assert "matters 4.3 points more than other parts (95 % interval: 1.1 to 12.1)" in text
    assert "only a little more" in text
    assert "This map was not tested" in html_of(analysis(), tmp_path).text


def test_verdict_that_raises_the_score_says_so() -> None:
    odd = replace(
        VERDICT, word="not supported", removed=-0.02, removed_elsewhere=0.031, margin=Interval(-0.0004, math.nan, math.nan)
    )
    words = describe_verdict(analysis(verdict=odd, curves={"squat": np.zeros(12)}))
    assert words is not None
    figures = f"{words.hiding} {words.keeping} {words.certainty}"
    assert words.sentence == f"evidence for squat: not supported. {words.meaning} {figures}"
    assert words.rest == ""
    assert (
        "raises the score of squat from 75.0\xa0% to 77.0\xa0%; blurring equal areas elsewhere lowers it to 71.9\xa0%"
        in words.hiding
    )
    assert words.certainty.endswith("matters 0.0\xa0points more than other parts.")
    odd = replace(odd, margin=Interval(-0.062, -0.221, 0.155))
    less = describe_verdict(analysis(verdict=odd, curves={"squat": np.zeros(12)}))
    assert less is not None
    assert "On average of both tests, the hottest part matters 6.2\xa0points less than other parts (95\xa0%" in less.why


def test_verdict_on_another_class_speaks_of_its_score() -> None:
    for windows, subject in (
        ((window(0, 3, {"squat": 0.6, "walk": 0.4}),), "The answer"),
        ((window(0, 3, {"squat": 0.4, "walk": 0.6}),), "The score of squat"),
    ):
        words = describe_verdict(analysis(verdict=VERDICT, curves={"squat": np.zeros(12)}, windows=windows))
        assert words is not None
        assert words.meaning == f"{subject} depends on the hottest part only a little more than on other parts of the same size."


def test_segments_are_in_percent_of_the_strongest_evidence(tmp_path: Path) -> None:
    a = analysis(curves={"walk": np.array([0.0, 40.0, -10.0] * 4)}, segments=(Segment("walk", 0.5, 1.5, 30.0),), tracks={})
    assert "75 %" in html_of(a, tmp_path).text
    assert cues(a, tmp_path)[1][2] == "walk: evidence 75 %"


def test_headline_of_a_rejection_says_what_the_model_knows() -> None:
    run = replace(RUN, model=replace(MODEL, rejects=("run",)))
    windows = (window(0, 3, {"run": 0.6, "walk": 0.3, "sit": 0.1}),)
    got = summarize(analysis(run=run, curves={"run": np.zeros(12)}, windows=windows, segments=()))
    sentence = f"run, 60.0 % over the whole video: this is none of the 2 actions that {MODEL.name} knows"
    assert got.replace("\xa0", " ") == sentence


@pytest.mark.parametrize(
    ("segments", "changes", "sentence"),
    [
        ((), {}, "walk, 75.0 % over the whole video: no part stands out in the evidence"),
        ([(0.5, 1.5, 1)], {}, "walk, 75.0 % over the whole video: evidence mainly between 0.5 s and 1.5 s"),
        (
            [(2, 3, 1), (0, 1, 9)],
            {},
            "walk, 75.0 % over the whole video: evidence mainly between 0.0 s and 1.0 s and between 2.0 s and 3.0 s",
        ),
        ([(0, 2.9, 1)], {}, "walk, 75.0 % over the whole video: evidence from beginning to end"),
        (
            [(0, 2.9, 1)],
            {"curves": {"walk": np.array([1.0] * 8 + [9.0] + [1.0] * 3)}},
            "walk, 75.0 % over the whole video: evidence from beginning to end, strongest at 2.0 s",
        ),
        (
            [(0, 0.1, 1), (0.5, 0.6, 3), (1, 1.1, 2), (2, 2.1, 1)],
            {},
            "walk, 75.0 % over the whole video: evidence in 4 segments, the strongest between 0.5 s and 0.6 s",
        ),
        (
            [(0.5, 1.5, 1)],
            {"versus": "run"},
            "walk, 75.0 % over the whole video: evidence for walk over run mainly between 0.5 s and 1.5 s",
        ),
        (
            [(0.5, 1.5, 1)],
            {"windows": (window(0, 3, {"run": 0.6, "walk": 0.4}),)},
            "run, 60.0 % over the whole video: evidence for walk mainly between 0.5 s and 1.5 s",
        ),
    ],
)
def test_the_verdict_is_one_plain_sentence(segments: list[tuple[float, float, float]], changes: Any, sentence: str) -> None:
    values = {
        "curves": {"walk": np.zeros(12)},
        "windows": (window(0, 3, {"walk": 0.75, "run": 0.25}),),
        "segments": tuple(Segment("walk", *s) for s in segments),
    }
    assert summarize(analysis(**(values | changes))).replace("\xa0", " ") == sentence


def test_figures_are_short_and_never_claim_too_much() -> None:
    assert [percent(p).replace("\xa0", " ") for p in (0, 1e-5, 0.0012, 0.5, 0.9994, 0.99996, 1.0)] == [
        "0.0 %", "< 0.1 %", "0.1 %", "50.0 %", "99.9 %", "> 99.9 %", "> 99.9 %",
    ]  # fmt: skip
    assert [seconds(s) for s in (0, 7.44, 59.96, 62.4, 3725.2)] == ["0.0\xa0s", "7.4\xa0s", "1:00.0", "1:02.4", "1:02:05"]


def test_the_drawn_curve_is_thinned_without_losing_a_peak() -> None:
    times = np.arange(100_000) / 10
    curve = np.random.default_rng(0).normal(size=100_000)
    curve[43_210], curve[77_777] = 99, -99
    curve[50_000:60_000] = curve[43_209] = curve[77_776] = np.nan
    thin_times, (thin,) = thin_curves(times, [curve], columns=1500)
    assert len(thin) <= 3002
    assert (np.nanmax(thin), np.nanmin(thin)) == (99, -99)
    assert thin_times[np.nanargmax(thin)] == 4321.0
    assert (thin_times[0], thin_times[-1]) == (times[0], times[-1])
    assert np.isnan(thin[(thin_times > 5010) & (thin_times < 5990)]).all()
    for t, v in zip(thin_times, thin, strict=True):
        np.testing.assert_equal(v, curve[round(t * 10)])


# ---------------------------------------------------------------------------------------------------------- every file


@pytest.mark.parametrize("name", WRITERS)
def test_an_existing_file_is_kept_unless_asked(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OutputError, match="exists already"):
        WRITERS[name](analysis(), path)
    assert path.read_text() == "old"
    WRITERS[name](analysis(), path, overwrite=True)
    assert path.stat().st_size > 100
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", WRITERS)
def test_a_report_never_replaces_the_video(name: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_text("video")
    a = analysis(source=dataclasses.replace(analysis().source, path=str(path)))
    with pytest.raises(OutputError, match="it is the input itself"):
        WRITERS[name](a, path, overwrite=True)
    assert path.read_text() == "video"


def test_importing_the_reports_is_light() -> None:
    code = "import sys, vidcam.reports.formats; print({'torch', 'av', 'cv2', 'jinja2', 'gradio'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


# ------------------------------------------------------------------------------------------------------- the table of formats


def write_answer(a: Analysis, path: Any, *, overwrite: bool = False) -> None:
    files.save(path, summarize(a), overwrite=overwrite)


@pytest.fixture
def answer_format(monkeypatch: pytest.MonkeyPatch) -> Format:
    monkeypatch.setattr(formats, "_formats", dict(formats._formats))
    return register_format(Format("answer", ".txt", "Answer", write_answer))


def test_a_registered_format_is_written_by_the_command_line(
    answer_format: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=20, size=(64, 64))
    words = ["annotate", str(clip), "-o", str(tmp_path / "o.mp4"), "--model", "mini", "--format", f"answer={tmp_path / 'o.txt'}"]
    monkeypatch.setattr(sys, "argv", ["vidcam", *words])
    with pytest.raises(SystemExit) as end:
        main.main()
    assert not end.value.code
    assert "% over the whole video: " in (tmp_path / "o.txt").read_text().replace("\xa0", " ")
    assert capsys.readouterr().out.rstrip().endswith("o.txt")


def test_a_format_name_is_unique_and_known(answer_format: Format) -> None:
    with pytest.raises(UsageError, match="'answer' is registered already"):
        register_format(answer_format)
    with pytest.raises(UsageError, match="'video' is registered already"):
        register_format(Format("video", ".mp4", "Video", write_answer))
    with pytest.raises(UnknownNameError, match="did you mean 'answer'"):
        Outputs(reports={"answr": Path("a.txt")})
    assert formats.list_formats()[-1] is answer_format


def test_formats_of_packages_are_listed_and_broken_ones_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    entries = [
        SimpleNamespace(name="m", load=lambda: Format("mine", ".my", "Mine", write_answer), dist=None, value="pkg:mine"),
        SimpleNamespace(name="b", load=lambda: "no format", dist=None, value="pkg:broken"),
    ]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: entries if group == "vidcam.formats" else [])
    monkeypatch.setattr(formats, "_formats", dict(formats._formats))
    monkeypatch.setattr(formats._installed, "_loaded", False)
    assert formats.get_format("mine").suffix == ".my"
    assert "pkg:broken) is left out: it must be a Format, got a str" in caplog.text


@pytest.mark.parametrize("word", ["json", "json=", "=a.json"])
def test_a_format_option_of_another_form_is_refused(word: str) -> None:
    with pytest.raises(UsageError):
        parse_formats([word], others={})


@pytest.mark.parametrize("words", [["tubes=a.csv", "tubes=b.json"], ["json=b.json"]])
def test_no_second_file_of_a_format_is_left_out_silently(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"(tubes|json) is written to one file, got a\.(csv|json) and b\.json"):
        parse_formats(words, others={"json": Path("a.json"), "csv": None})
