"""Rules in words and in time, what is told about events, and what is done about them."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import planted, waiting
from support.clock import NOON, ManualClock
from support.hand import Hand
from support.values import red_square, track
from support.waiting import vidcam_threads

from vidcam.engine import open_engine
from vidcam.errors import OutputError, UnknownNameError, UsageError, VidcamError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.io.source import open_source
from vidcam.live import actions
from vidcam.live.actions.clips import ClipRecorder
from vidcam.live.actions.command import RunCommand
from vidcam.live.actions.jsonl import JsonlSink
from vidcam.live.actions.table import ActionSpec, list_actions, parse_action, register_action
from vidcam.live.actions.webhook import Webhook
from vidcam.live.events import Event
from vidcam.live.onsets import Onsets
from vidcam.live.pipeline import LivePipeline, MonitorConfig
from vidcam.live.regions import Places, Region, find_peak, parse_region
from vidcam.live.rules import RELEASE_S, Rule, RuleTracker, parse_rule
from vidcam.live.worker import Worker
from vidcam.settings import Settings
from vidcam.values import Frame
from vidcam.web.live import run

CLIPS = Path(__file__).parent.parent / "clips"

# ------------------------------------------------------------------------------------------------------------- the words


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("falling down > 0.8 for 1s", Rule("falling down", ">", 0.8, 1.0)),
        ("falling  down>80%", Rule("falling down", ">", 0.8)),
        ("walking <= .25 FOR 500 ms", Rule("walking", "<=", 0.25, 0.5)),
        ("any >= 0.5 for 2min", Rule("any", ">=", 0.5, 120.0)),
        ('"tap > dance" < 1 for 3', Rule("tap > dance", "<", 1.0, 3.0)),
        ("for 3 > 0.1", Rule("for 3", ">", 0.1)),
        ("falling > 0.8 at front  door for 2s", Rule("falling", ">", 0.8, 2.0, "front door")),
        ('falling > 80% at "look for 2" for 1s', Rule("falling", ">", 0.8, 1.0, "look for 2")),
        ("looking at > 0.5", Rule("looking at", ">", 0.5)),
        ("waving > 0.8 in door at hall for 1s", Rule("waving", ">", 0.8, 1.0, "hall", "door")),
        ('waving >= 1 in "the left half"', Rule("waving", ">=", 1.0, region="the left half")),
    ],
)
def test_rule_is_parsed_from_words(words: str, rule: Rule) -> None:
    assert parse_rule(words) == rule


@given(
    label=st.text(st.characters(codec="utf-8", exclude_characters='"', exclude_categories=["C", "Z"]), min_size=1, max_size=20),
    sign=st.sampled_from([">", ">=", "<", "<="]),
    threshold=st.integers(0, 1000).map(lambda n: n / 1000),
    hold=st.integers(0, 10_000).map(lambda n: n / 100),
    source=st.text("ab1 /:-_.<é", max_size=8).map(lambda name: " ".join(name.split())),
    region=st.text("ab1 -_.é", max_size=8).map(lambda name: " ".join(name.split())),
)
def test_rule_written_out_parses_to_itself(label, sign, threshold, hold, source, region) -> None:
    rule = Rule(label, sign, threshold, hold, source, region if ">" in sign else "")
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize(
    "words",
    ["", "falling", "falling > ", "> 0.5", "falling = 0.5", "falling > 0.5 for", "falling > 0.5 for 1 fortnight", "a > b"],
)
def test_parse_refuses_no_rule_with_an_example(words: str) -> None:
    with pytest.raises(UsageError, match=r"falling down > 0\.8 for 1s"):
        parse_rule(words)


def test_threshold_above_one_is_refused() -> None:
    with pytest.raises(UsageError, match="a probability is 0 to 1"):
        parse_rule("falling > 80")


def test_rule_with_an_unknown_label_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'falling down'"):
        RuleTracker(parse_rule("faling down > 0.8"), ["walking", "falling down"])


def test_rule_for_little_evidence_in_a_region_is_refused() -> None:
    with pytest.raises(UsageError, match="a rule with a region needs > or >="):
        parse_rule("waving < 0.2 in door")


# ----------------------------------------------------------------------------------------------------------- the regions


def test_region_is_parsed_from_words_and_written_back() -> None:
    assert parse_region(" front  door=0.1,0.2,.5,1") == Region("front door", 0.1, 0.2, 0.5, 1.0)
    assert parse_region(str(Region("a-1", 0.125, 0.0, 0.5, 1.0))) == Region("a-1", 0.125, 0.0, 0.5, 1.0)
    assert Region("door", 0.1, 0.2, 0.5, 1.0).contains(0.3, 0.2)
    assert not Region("door", 0.1, 0.2, 0.5, 1.0).contains(0.3, 0.19)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("door", "NAME=LEFT,TOP,RIGHT,BOTTOM"),
        ("door=1,2,3", "NAME=LEFT,TOP,RIGHT,BOTTOM"),
        ("door=a,b,c,d", "NAME=LEFT,TOP,RIGHT,BOTTOM"),
        ("door=0.5,0,0.5,1", "left < right"),
        ("door=0,0,1.1,1", "between 0 and 1"),
        ("door=0,nan,1,1", "between 0 and 1"),
        ("=0,0,1,1", "a region's name is"),
        ("a>b=0,0,1,1", "a region's name is"),
    ],
)
def test_region_that_is_none_is_refused(words: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_region(words)


def test_peak_is_the_centre_of_the_hottest_cell() -> None:
    ys, xs = np.array([9.5, 29.5, 49.5]), np.array([4.5, 14.5])
    weak, strong = np.zeros((2, 3, 2), np.float32), np.zeros((1, 3, 2), np.float32)
    weak[0, 0, 0], weak[1, 2, 1], strong[0, 1, 0] = 9.0, 1.0, 2.0  # only the last time counts
    first, second = track(ys, xs, (0, 0, 60, 20), weak), track(ys, xs + 20, (0, 20, 60, 40), strong, times=(1.0,))
    assert find_peak([first], (60, 40)) == (15 / 40, 50 / 60, 1.0)
    assert find_peak([first, second], (60, 40)) == (25 / 40, 30 / 60, 2.0)
    assert find_peak([track(ys, xs, (0, 0, 60, 20), -strong, times=(1.0,))], (60, 40)) is None
    assert find_peak([], (60, 40)) is None


def test_place_is_the_newest_with_strong_evidence_in_the_clip() -> None:
    ys, xs = np.array([9.5, 29.5]), np.array([4.5, 14.5])
    places = Places(clip_s=1.0)

    def see(time: float, row: int, strength: float) -> tuple[float, ...]:
        maps = np.zeros((1, 2, 2), np.float32)
        maps[0, row, 0] = strength
        places.update(
            SimpleNamespace(time=time, tracks={"falling": (track(ys, xs, (0, 0, 40, 20), maps, times=(time,)),)}), (40, 20)
        )
        return places.find("falling")[1:]

    assert see(0.0, 0, 4.0) == (10 / 40, 4.0)
    assert see(0.4, 1, 2.0) == (30 / 40, 2.0)  # somebody moves
    assert see(0.6, 0, 0.75) == (30 / 40, 2.0)  # and lies still: what little is left says nothing
    assert see(1.1, 0, 0.75) == (10 / 40, 0.75)  # the strongest one has left the clip: this is much of what remains
    assert places.find("walking") is None
    places.clear()
    assert places.find("falling") is None


def red_at(*lefts: int) -> list[Frame]:
    """A red square with its left edge at these pixels of 112, for a second each."""
    frames = []
    for n, left in enumerate(np.repeat(lefts, 20)):
        image = np.full((112, 112, 3), 120, np.uint8)
        image[40:64, left : left + 24] = 220, 20, 20
        frames.append(Frame(image, n * 0.05, 0.05))
    return frames


@pytest.mark.parametrize(
    "look", [Settings(), Settings(classes=("nothing",)), Settings(classes=("nothing",), method="gradientxinput")]
)
def test_rule_with_a_region_holds_while_the_evidence_lies_there(look: Settings) -> None:
    """Whatever class a viewer looks at, and also if each class costs a pass of its own."""
    events: list[Event] = []
    rules = tuple(map(parse_rule, ("red square > 0.5 in left", "red square > 0.5 in right", "any > 0.5 in below")))
    regions = tuple(map(parse_region, ("left=0,0,0.5,1", "right=0.5,0,1,1", "below=0,0.7,1,1")))
    config = MonitorConfig(rules, (Collect(events),), regions=regions)
    settings = replace(look, seconds_between_clip_starts=0.1, smooth_s=0.0)
    hand = Hand(open_engine(f"{planted.__file__}:patches"), red_at(8, 8, 80, 80, 80), settings, config=config)
    hand.push(100)
    update = hand.stream.update
    assert update is not None
    assert "red square" in update.tracks
    assert update.shown[:1] == (look.classes or ("red square",))
    hand.pipeline.close()
    told = [(e.rule.rpartition(" ")[2], e.end is None, e.rule_end_s or e.rule_start_s) for e in events]
    assert [(region, begins) for region, begins, _ in told] == [
        ("left", True), ("right", True), ("left", False), ("right", False),
    ]  # fmt: skip
    begin, change, gone, end = (second for *_, second in told)
    assert begin < 1.0  # the first clip
    assert 2.0 <= change <= 2.9  # the strongest cell of the newest map moves with the square
    assert gone == pytest.approx(change, abs=0.11)
    assert end > 4.5


def test_rule_for_a_region_that_there_is_not_is_refused(told) -> None:
    with pytest.raises(UsageError, match="asks for a region that there is not; there are none; name one with --region"):
        told("red square > 0.5 in door")


# -------------------------------------------------------------------------------------------------------------- the time


def slowly(times: list[float], holds: list[bool], hold_s: float) -> list[tuple[str, float, float]]:
    """(kind, told at, since), by looking back from every moment over all that was."""
    out, active = [], False
    for i, now in enumerate(times):
        j = i
        while j >= 0 and holds[j] != active:
            j -= 1
        if j < i and now - times[j + 1] >= (RELEASE_S if active else hold_s) - 1e-6:
            active = not active
            out.append(("start" if active else "end", now, times[j + 1]))
    return out


@given(
    gaps=st.lists(st.integers(1, 6), min_size=1, max_size=60),
    bits=st.lists(st.booleans(), min_size=60, max_size=60),
    hold=st.sampled_from([0.0, 0.1, 0.3, 1.0]),
)
def test_follower_agrees_with_looking_back_over_everything(gaps, bits, hold) -> None:
    times = np.cumsum(gaps) / 10
    holds = bits[: len(times)]
    follower, found = RuleTracker(Rule("b", ">", 0.5, hold), ["a", "b"]), []
    for now, on in zip(times.tolist(), holds, strict=True):
        probs = np.array([0.0, 0.9 if on else 0.1])
        found += [(c.kind, now, c.since) for c in follower.update(probs, time=now)]
    assert found == slowly(times.tolist(), holds, hold)
    open_still = len(found) % 2
    assert [c.kind for c in follower.close(time=99.0)] == ["end"] * open_still


def test_follower_closes_at_second_zero_what_ended_then() -> None:
    follower = RuleTracker(Rule("b", ">", 0.5), ["a", "b"])
    for prob, second in ((0.9, -1.0), (0.1, 0.0)):
        found = follower.update(np.array([0.0, prob]), time=second)
    assert found == []  # not yet for half a second
    assert [(c.kind, c.since) for c in follower.close(time=0.2)] == [("end", 0.0)]


def test_any_follows_each_class_for_itself() -> None:
    follower, found = RuleTracker(Rule("any", ">", 0.4, 0.2), ["a", "b", "c"]), []
    for i in range(20):
        probs = np.array([0.45 if i < 10 else 0.0, 0.45, 0.0])
        found += [(c.kind, c.label, round(c.since, 1)) for c in follower.update(probs, time=0.1 * i)]
    assert sorted(found) == [("end", "a", 1.0), ("start", "a", 0.0), ("start", "b", 0.0)]
    assert not follower._states.keys() - {1}  # what is over is forgotten


# ------------------------------------------------------------------------------------------------------------ the events


@pytest.fixture(scope="module")
def mini():
    return open_engine("mini", device="cpu")


def run_live(mini, tmp_path: Path, source: Path = CLIPS / "falling.mp4", **more) -> tuple[list[dict], list[str]]:
    """Run the command on a clip without a page, all windows of it: the lines of its events, and what it said."""
    said: list[str] = []
    plan = run.Plan(
        headless=True, real_time=False, say=said.append,
        **{
            "sources": (str(source),),
            "actions": (f"jsonl={tmp_path / 'seen.jsonl'}",),
            "cpu": 1.0,
            "settings": Settings(seconds_between_clip_starts=0.2, smooth_s=0.15),
        }
        | more,
    )  # fmt: skip
    run.run(plan, lambda: mini)
    assert not vidcam_threads()
    assert "frames read" in said.pop()  # the last line
    path = tmp_path / "seen.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else [], said


def test_fall_is_told_with_time_place_snapshot_and_film(mini, tmp_path) -> None:
    truth = json.loads((CLIPS / "falling.json").read_text())
    (fall,) = truth["segments"]
    lines, said = run_live(
        mini,
        tmp_path,
        rules=("falling down > 0.8 for 0.3s",),
        actions=(f"jsonl={tmp_path / 'seen.jsonl'}", f"clips={tmp_path / 'films'}"),
        clock=ManualClock(now=60.0),
    )
    assert said == []
    start, end = lines
    assert (start["event"], end["event"]) == ("start", "end")
    for line in lines:
        assert (line["id"], line["action"], line["source"]) == (1, "falling down", "falling.mp4")
        assert line["rule"] == "falling down > 0.8 for 0.3s"
        assert line["start_s"] == pytest.approx(fall["start_s"], abs=0.35)
        # A window that ends with the fall knows it at the earliest; one that has seen it whole, surely.
        assert fall["start_s"] < line["rule_start_s"] < fall["end_s"] + 1.0
        # All frames came a minute past noon; the rule had held for 0.3 s when the newest of them came.
        newest = line["start_s"] - (datetime.fromisoformat(line["start"]) - NOON).total_seconds() + 60
        assert line["rule_start_s"] + 0.3 - 0.002 <= newest <= truth["frames"][-1]["time_s"] + 0.002
    assert start["end"] is None
    assert end["end_s"] >= end["start_s"]
    assert 0.8 < start["score"] <= end["score"] <= 1
    x, y, w, h = end["box"]
    parts = np.array([f["parts"] for f in truth["frames"] if f["active"]])
    x0, y0, x1, y1 = (*parts[:, :2].min(axis=0), *parts[:, 2:].max(axis=0))
    inside = max(0, min(x + w, x1) - max(x, x0)) * max(0, min(y + h, y1) - max(y, y0))
    assert inside > 0.6 * w * h
    picture = cv2.imread(end["snapshot"])
    assert picture.shape == (360, 480, 3)
    assert re.fullmatch(r"\d{8}T\d{6}-0001-falling-down\.jpg", Path(end["snapshot"]).name)
    assert Path(end["snapshot"]).parent == tmp_path / "seen.snapshots"
    (film,) = (tmp_path / "films").iterdir()
    with open_source(film) as source:
        frames = list(source.frames())
    assert (source.info.width, source.info.height) == (480, 360)
    assert frames[0].time == 0
    assert 2.5 < frames[-1].time <= 3.6  # the clip is no longer


def test_several_sources_keep_their_events_and_files_apart(mini, tmp_path) -> None:
    clip = CLIPS / "falling.mp4"
    lines, said = run_live(
        mini,
        tmp_path,
        sources=(f"hall={clip}", f"yard={clip}", str(CLIPS / "walking.mp4")),
        rules=("falling down > 0.8 for 0.3s", "falling down > 0.5 at yard"),
        actions=(f"jsonl={tmp_path / 'seen.jsonl'}", f"clips={tmp_path / 'films'}"),
        clock=ManualClock(now=60.0),
    )
    assert said == []
    everywhere, yard = "falling down > 0.8 for 0.3s", "falling down > 0.5 at yard"
    ended = [line for line in lines if line["event"] == "end"]
    assert len(lines) == 2 * len(ended)
    assert sorted((e["source"], e["rule"]) for e in ended) == [("hall", everywhere), ("yard", yard), ("yard", everywhere)]
    hall, *_ = sorted(ended, key=lambda e: e["source"])
    both = next(e for e in ended if e["source"] == "yard" and e["rule"] == everywhere)
    assert {k: v for k, v in hall.items() if k not in ("id", "source", "snapshot")} == {
        k: v for k, v in both.items() if k not in ("id", "source", "snapshot")
    }  # the same video gives the same event, whatever else is watched
    names = sorted(path.name.partition("-")[2] for path in (tmp_path / "films").iterdir())
    assert names == ["0001-hall-falling-down.mp4", "0001-yard-falling-down.mp4", "0002-yard-falling-down.mp4"]
    assert len({e["snapshot"] for e in ended}) == 3
    assert all(Path(e["snapshot"]).exists() for e in ended)


def test_rule_for_a_source_that_there_is_not_is_refused(mini, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"for a source that there is not; sources here: hall, walking\.mp4"):
        run_live(
            mini, tmp_path, rules=("falling down > 0.8 at yard",),
            sources=(f"hall={CLIPS / 'falling.mp4'}", str(CLIPS / "walking.mp4")),
        )  # fmt: skip
    assert not vidcam_threads()


def test_events_without_rules_or_file_go_to_stdout(mini, tmp_path, capsys) -> None:
    lines, _ = run_live(mini, tmp_path, actions=())
    assert lines == []
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    # Standing is seen for less than half a second before the fall begins: the first window ends 1.6 s into the clip.
    assert [(t["event"], t["action"], t["rule"]) for t in told] == [
        (kind, "falling down", "any > 0.6 for 0.5s") for kind in ("start", "end")
    ]
    assert all(t["snapshot"] is None for t in told)


def test_rule_runs_a_program_and_posts_to_an_address(mini, tmp_path) -> None:
    script = tmp_path / "alarm.py"
    script.write_text(
        "import json, os, sys\n"
        "facts = {k: v for k, v in os.environ.items() if k.startswith('VIDCAM_')}\n"
        "there = os.path.exists(facts['VIDCAM_SNAPSHOT'])\n"
        "open(sys.argv[1], 'w').write(json.dumps([sys.argv[2:], facts, there]))\n"
    )
    got: list[tuple[str, dict]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.headers["Content-Type"], json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            out = tmp_path / "facts.json"
            words = f"{sys.executable} {script} {out} 'a b' $HOME ; `id` $(id)"
            _, said = run_live(
                mini,
                tmp_path,
                rules=("falling down > 0.8",),
                actions=(
                    f"jsonl={tmp_path / 'seen.jsonl'}",
                    f"run={words}",
                    f"post=http://127.0.0.1:{server.server_port}/seen?key=1",
                ),
            )
        finally:
            server.shutdown()
            thread.join()
    assert said == []
    argv, facts, there = json.loads(out.read_text())
    assert argv == ["a b", "$HOME", ";", "`id`", "$(id)"]  # as they were written: there is no shell
    event = json.loads(facts["VIDCAM_EVENT"])
    assert facts["VIDCAM_ACTION"] == event["action"] == "falling down"
    assert float(facts["VIDCAM_SCORE"]) == event["score"] > 0.8
    assert there  # the snapshot, when the program runs
    assert [(kind, body["event"]) for kind, body in got] == [("application/json", "start"), ("application/json", "end")]


class Collect:
    """An action that keeps the events."""

    name = "the list"

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def __call__(self, event: Event) -> None:
        self._events.append(event)


@pytest.fixture
def told(tmp_path):
    """Makes pipelines that the test drives: (the pipeline, its events, the messages to the user)."""
    made = []

    def make(*rules: str, clock: Clock = SYSTEM, further=()) -> tuple[LivePipeline, list[Event], list[str]]:
        events: list[Event] = []
        said: list[str] = []
        pipeline = LivePipeline(SimpleNamespace(name="camera 0", ends=False), clock=clock)
        made.append(pipeline)
        config = MonitorConfig(tuple(map(parse_rule, rules)), (Collect(events), *further), said.append)
        pipeline.explain(open_engine(f"{planted.__file__}:patches"), Settings(seconds_between_clip_starts=0.1), config=config)
        return pipeline, events, said

    yield make
    for pipeline in made:
        pipeline.close()
    assert not vidcam_threads()


def seen(prob: float, second: float) -> SimpleNamespace:
    """An update in which a red square has this probability."""
    prediction = SimpleNamespace(prob=lambda label: prob, probs=np.array([prob, 1 - prob]))
    return SimpleNamespace(time=second, tracks={}, recent={}, prediction=prediction)


def test_event_ends_with_the_camera_and_none_begins_over_a_gap(told) -> None:
    clock = ManualClock()
    pipeline, events, _ = told("red square > 0.5 for 1s", "red square > 0.5 for 10s", clock=clock)
    parts = [red_square(80), red_square(80, start=604.0)]  # ten minutes without the camera
    last = []
    for part in parts:
        for frame in part:
            clock.advance(frame.time - clock.now())
            pipeline.stream.push(frame)
            pipeline.stream.settle()
        last.append(pipeline.stream.update.time)
    clock.advance(3600)  # it is gone for good; an hour later somebody ends it
    pipeline.close()
    assert [(e.rule, e.end_s) for e in events] == [("red square > 0.5 for 1s", s) for s in (None, last[0], None, last[1])]
    assert (events[0].start_s, events[2].start_s) == (0.0, 604.0)
    assert last[0] < 4.0 < 604.0 < last[1] < 608.0
    for event in events:
        assert event.start == NOON + timedelta(seconds=event.start_s)
        assert event.end is None or event.end == NOON + timedelta(seconds=event.end_s)


def test_events_begin_and_end_where_the_actions_do(mini, tmp_path) -> None:
    truth = json.loads((CLIPS / "three_actions.json").read_text())["segments"]
    lines, _ = run_live(
        mini, tmp_path, CLIPS / "three_actions.mp4", settings=Settings(seconds_between_clip_starts=0.2, smooth_s=0.15)
    )
    found = {line["action"]: line for line in lines if line["event"] == "end"}
    for action in truth:
        line = found[action["label"]]
        assert line["start_s"] == pytest.approx(action["start_s"], abs=0.7)
        assert line["end_s"] == pytest.approx(action["end_s"], abs=0.7)
        assert line["rule_start_s"] > line["start_s"] + 0.3  # known later than it began
    late = [abs(found[a["label"]]["rule_start_s"] - a["start_s"]) for a in truth]
    near = [abs(found[a["label"]]["start_s"] - a["start_s"]) for a in truth]
    assert sum(near) < sum(late) / 2


def test_onset_is_where_the_evidence_rises_to_a_quarter() -> None:
    times = np.round(np.arange(0, 3, 0.1), 6)
    values = np.where((times >= 1.0) & (times < 2.0), 4.0, 0.0)
    values[9], values[20] = 1.0, 0.9  # a quarter is enough, less is not
    onsets = Onsets(clip_s=1.6, keep_s=10.0)
    onsets.update(SimpleNamespace(time=2.9, recent={"wave": (times, values)}))
    assert onsets.start("wave", 1.9) == pytest.approx(0.9)
    assert onsets.end("wave", 2.9) == pytest.approx(2.0)
    assert onsets.start("sit", 1.9) == pytest.approx(1.9 - 0.8)  # nothing is known of it: the middle of the window
    onsets.clear()
    assert onsets.start("wave", 1.9) == pytest.approx(1.9 - 0.8)


def test_rules_that_read_the_same_are_one(told) -> None:
    pipeline, events, _ = told("red square > 0.5", "red square > 50%", '"red square" > .5')
    for i in range(20):
        pipeline.monitor.update(seen(0.9 if i < 10 else 0.1, 0.1 * i))
    pipeline.close()
    assert [(e.id, e.rule_end_s) for e in events] == [(1, None), (1, pytest.approx(1.0))]
    half = pipeline.stream.engine.spec.clip_s / 2  # without evidence, the middle of the window
    assert (events[1].start_s, events[1].end_s) == (pytest.approx(-half), pytest.approx(1.0 - half))
    assert pipeline.monitor.counts == {("red square > 0.5", "red square"): 1}


class Siren:
    """An action that takes its time."""

    name = "the siren"

    def __init__(self) -> None:
        self.gate, self.begun = threading.Event(), threading.Event()

    def __call__(self, event: Event) -> None:
        self.begun.set()
        waiting.happened(self.gate)


def test_slow_action_holds_up_no_line_film_or_other_action(told) -> None:
    siren, bell, films = Siren(), [], []
    pipeline, events, said = told("red square > 0.5", further=[siren, Collect(bell)])
    pipeline.monitor.immediate.append(films.append)
    for i in range(40):
        for prob, second in ((0.9, 0.0), (0.1, 0.1), (0.1, 0.7)):
            pipeline.monitor.update(seen(prob, i + second))
        assert len(films) == 2 * (i + 1)  # at once
        waiting.until(lambda i=i: len(events) == len(bell) == 2 * (i + 1))
        waiting.happened(siren.begun)
    assert films == events == bell
    assert said == ["too many events at once: the siren was left out"] * 15  # of 80: one is done, 64 wait
    siren.gate.set()


# ----------------------------------------------------------------------------------------------------------- the actions


def happened(**changes) -> Event:
    now = datetime(2025, 3, 1, 12, 0, 0, tzinfo=UTC)
    facts = {"id": 1, "source": "camera 0", "rule": "a > 0.5", "action": "a/../b c", "start_s": 10.0, "start": now, "score": 0.9}
    return Event(**facts | changes)


OVER = {"end_s": 12.0, "end": datetime(2025, 3, 1, 12, 0, 2, tzinfo=UTC)}


class Toy:
    """An action that notes all that it is given."""

    name = "a toy"
    max_waiting, close_timeout_s = 4, 8.0

    def __init__(self, value: str) -> None:
        self.value, self.pictures, self.gaps, self.events, self.hold_s = value, [], [], [], 0.0
        self.is_closed = False

    def follow(self, worker: Worker, *, hold_s: float) -> Toy:
        self.hold_s = hold_s
        return self

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def picture(self, jpeg: bytes, time: float) -> None:
        self.pictures.append(time)

    def gap(self, begin: float) -> None:
        self.gaps.append(begin)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def toys(monkeypatch):
    """The toys that the action ``toy`` makes, which is registered while the test lasts."""
    made: list[Toy] = []

    def make(value: str) -> Toy:
        made.append(Toy(value))
        return made[-1]

    monkeypatch.setattr(actions.table, "_rows", dict(actions.table._rows))
    register_action(ActionSpec("toy", "WORD", "Plays.", make))
    return made


def test_registered_action_gets_events_and_pictures(mini, tmp_path, toys) -> None:
    run_live(mini, tmp_path, rules=("falling down > 0.8 for 0.3s",), actions=("toy=ball",))
    (toy,) = toys
    assert (toy.value, toy.hold_s, toy.is_closed) == ("ball", 0.3, True)
    assert [(e.action, e.end is None) for e in toy.events] == [("falling down", True), ("falling down", False)]
    frames = json.loads((CLIPS / "falling.json").read_text())["frames"]
    assert toy.pictures == pytest.approx([frame["time_s"] for frame in frames], abs=0.001)
    assert toy.gaps == []


def test_registered_action_is_known_by_its_name(toys) -> None:
    spec, value = parse_action("toy=a=b")
    assert (spec.name, value) == ("toy", "a=b")
    with pytest.raises(UsageError, match="there is already an action toy"):
        register_action(spec)
    with pytest.raises(UsageError, match=r"run=COMMAND, .*toy=WORD; got 'siren=1'"):
        parse_action("siren=1")
    with pytest.raises(UsageError, match="got 'toy'"):
        parse_action("toy")


def test_installed_packages_add_actions_by_entry_points(monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    spec = ActionSpec("bell", "TONE", "Rings.", Toy)
    rows = {"run": replace(spec, name="run"), "wrong": Toy, "bell": spec}
    entries = [SimpleNamespace(name=n, value=f"pkg:{n}", dist=None, load=lambda row=row: row) for n, row in rows.items()]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: entries if group == "vidcam.actions" else [])
    monkeypatch.setattr(actions.table, "_rows", dict(actions.table._rows))
    monkeypatch.setattr(actions.table._installed, "_loaded", False)
    assert list_actions()["bell"] is spec
    assert list_actions()["run"] is actions.ACTIONS[0]  # a package cannot replace an action of vidcam
    assert spec.build("high").value == "high"
    taken, wrong = caplog.messages
    assert "(pkg:run) is left out: there is already an action run" in taken
    assert wrong.endswith("(pkg:wrong) is left out: it must be an ActionSpec, got a type")


@pytest.mark.parametrize("spec", actions.ACTIONS, ids=lambda spec: spec.name)
def test_each_action_of_the_table_is_made_from_a_word(spec, tmp_path) -> None:
    values = {"COMMAND": "echo hi", "URL": "http://127.0.0.1/x", "DIR": str(tmp_path / "d"), "FILE": str(tmp_path / "f.jsonl")}
    action = spec.build(values[spec.value])
    assert action.name
    assert callable(action) or callable(action.follow)


def test_label_with_shell_signs_runs_nothing(tmp_path) -> None:
    out = tmp_path / "out"
    command = RunCommand(
        f'{sys.executable} -c \'import os, sys; open(sys.argv[1], "w").write(os.environ["VIDCAM_ACTION"])\' {out}'
    )
    command(happened(action="$(touch /tmp/x); rm -rf \"'`"))
    assert out.read_text() == "$(touch /tmp/x); rm -rf \"'`"
    out.unlink()
    command(happened(**OVER))  # only the start sets it off
    assert not out.exists()


def test_command_that_is_missing_or_fails_is_told() -> None:
    with pytest.raises(UsageError, match="there is no program 'no-such-program'"):
        RunCommand("no-such-program now")
    with pytest.raises(UsageError, match="cannot be taken apart: No closing quotation"):
        RunCommand("echo 'a")
    with pytest.raises(VidcamError, match=r"failed with code 3: oh no"):
        RunCommand(f"{sys.executable} -c 'import sys; sys.stderr.write(\"x\\noh no\\n\"); sys.exit(3)'")(happened())


def test_command_that_takes_too_long_is_ended_and_told(tmp_path) -> None:
    pid = tmp_path / "pid"
    script = f"import os, pathlib, signal; pathlib.Path({str(pid)!r}).write_text(str(os.getpid())); signal.pause()"
    assert RunCommand("echo now").timeout_s == 30
    with pytest.raises(VidcamError, match=r"was ended: it took longer than 2 seconds"):
        RunCommand(shlex.join([sys.executable, "-c", script]), timeout_s=2)(happened())
    if pid.exists():  # a slow machine may not have come that far
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)


def test_command_does_not_wait_for_a_program_left_in_the_background(tmp_path) -> None:
    """The one in the background ends when the test says so, which is after the command has returned."""
    fifo = tmp_path / "go"
    os.mkfifo(fifo)
    background = f"open({str(fifo)!r}).read()"
    script = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {background!r}])"
    RunCommand(shlex.join([sys.executable, "-c", script]), timeout_s=waiting.HANG_S)(happened())
    with fifo.open("w") as go:  # opens once it is read: the program is there and waits
        go.write("go")


def test_post_needs_an_address_that_answers() -> None:
    for address in ("ftp://host/x", "host/x", "file:///etc/passwd", "http://"):
        with pytest.raises(UsageError, match="posted to an http:// or https:// address"):
            Webhook(address)
    with pytest.raises(VidcamError, match=r"http://127\.0\.0\.1/a cannot be reached") as caught:
        Webhook("http://user:secret@127.0.0.1:9/a?key=secret")(happened())
    assert "secret" not in str(caught.value)


def test_worker_keeps_the_order_survives_errors_and_drops_what_is_too_much() -> None:
    done, said = [], []
    worker = Worker(said.append)

    def fail() -> None:
        raise VidcamError("the siren is broken")

    worker.do(fail)
    worker.do(lambda: 1 // 0)
    for i in range(100):
        worker.do(lambda i=i: done.append(i))
    assert said == ["too many events at once: an action was left out"] * 38  # 64 wait
    worker.start().close()
    assert done == list(range(62))
    assert said[38:] == ["the siren is broken", "an action failed: ZeroDivisionError: integer division or modulo by zero"]
    assert worker.failures == len(said)


def test_worker_steps_do_one_job_each() -> None:
    done: list[int] = []
    worker = Worker(pytest.fail)
    for i in range(2):
        worker.do(lambda i=i: done.append(i))
    assert worker.step()
    assert done == [0]
    assert worker.step()
    assert not worker.step()
    assert done == [0, 1]


def test_worker_says_what_it_gives_up_at_the_end() -> None:
    clock, said, done = ManualClock(), [], []
    begun, gate = threading.Event(), threading.Event()
    worker = Worker(said.append, "the siren", close_timeout_s=8.0, clock=clock).start()
    worker.do(lambda: (begun.set(), waiting.happened(gate)))
    worker.do(lambda: done.append("too late"))
    waiting.happened(begun)
    closing = threading.Thread(target=worker.close)
    closing.start()
    waiting.until(lambda: clock.waits == [8.0])
    clock.advance(7.9)
    assert said == []
    clock.advance(0.2)
    waiting.ended(closing)
    assert said == ["the siren was given up: not done 8 seconds after the end"]
    gate.set()
    waiting.ended(worker._thread)
    assert done == []  # what was given up is not done later


def test_lines_are_appended_and_a_missing_folder_is_told(tmp_path) -> None:
    lines = JsonlSink(tmp_path / "seen.jsonl")
    lines(happened())
    JsonlSink(tmp_path / "seen.jsonl")(happened(**OVER))
    first, second = (json.loads(line) for line in (tmp_path / "seen.jsonl").read_text().splitlines())
    assert (first["event"], first["start"], first["end"]) == ("start", "2025-03-01T12:00:00.000Z", None)
    assert (second["event"], second["end"], second["end_s"]) == ("end", "2025-03-01T12:00:02.000Z", 12.0)
    with pytest.raises(OutputError, match="does not exist"):
        JsonlSink(tmp_path / "nowhere" / "seen.jsonl")


def jpeg(value: int) -> bytes:
    return cv2.imencode(".jpg", np.full((36, 49, 3), value, np.uint8))[1].tobytes()


def values(film: Path) -> list[int]:
    with open_source(film) as source:
        assert (source.info.width, source.info.height) == (48, 36)  # H.264 wants even sizes
        return [round(float(f.image.mean())) for f in source.frames()]


@pytest.mark.parametrize(
    ("hold_s", "late_s", "first_s", "last_s"),
    [
        (0, 1, 15, 27),  # five seconds before the event, which goes on for two, and five seconds after
        (10, 0.2, 15, 37),
        (10, 4, 15, 37),
        (45, 1, 15, 72),
        (120, 0, 80, 140),  # no more than a minute is kept: that before the rule began to hold
    ],
)
def test_film_begins_before_the_event_and_ends_after_it(tmp_path, hold_s, late_s, first_s, last_s) -> None:
    said: list[str] = []
    worker = Worker(said.append).start()
    folder = tmp_path / "films"
    folder.mkdir()
    films = ClipRecorder(folder, worker, hold_s=hold_s)
    told = round(10 * (20 + hold_s + late_s))
    for i in range(2000):
        films.picture(jpeg(i // 10), time=0.1 * i)  # the picture says its second
        if i == told:
            films(happened(start_s=20.0))
        if i == told + 30:
            films(happened(start_s=20.0, end_s=20.0 + hold_s + 2, end=OVER["end"]))
    films.close()
    worker.close()
    assert said == []
    (film,) = (tmp_path / "films").iterdir()
    assert film.name == "20250301T120000-0001-a-b-c.mp4"  # nothing in a label leaves the folder
    shown = values(film)
    assert shown[0] == pytest.approx(first_s, abs=3)
    assert shown[-1] == pytest.approx(last_s, abs=3)
    assert len(shown) == pytest.approx(10 * (last_s - first_s), abs=11)
    assert films._past[-1][0] - films._past[0][0] <= min(hold_s + 10, 60) + 0.1


def test_film_does_not_span_a_gap(tmp_path) -> None:
    worker = Worker(pytest.fail).start()
    films = ClipRecorder(tmp_path, worker)
    for i in range(100):
        films.picture(jpeg(50), time=0.1 * i)
    films(happened(start_s=9.0))
    films.gap(12.0)
    films.picture(jpeg(100), time=10.0)  # encoded too late
    for i in range(100):
        films.picture(jpeg(200), time=12.0 + 0.1 * i)
        if i == 20:
            films(happened(id=2, start_s=14.0))
    films(happened(**OVER))  # the first one, of which nothing is left to film
    films.close()
    worker.close()
    first, second = sorted(tmp_path.iterdir())
    assert (len(values(first)), len(values(second))) == (60, 100)
    assert values(first) == pytest.approx([50] * 60, abs=3)
    assert values(second) == pytest.approx([200] * 100, abs=3)
