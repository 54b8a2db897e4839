"""Rules in words and in time, what is told about events, and what is done about them."""

from __future__ import annotations

import json
import re
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidcam.engine import open_engine
from vidcam.errors import OutputError, UnknownNameError, UsageError, VidcamError
from vidcam.live import actions, run
from vidcam.live.actions import Command, Films, Post
from vidcam.live.events import Event, Lines, Worker
from vidcam.live.rules import RELEASE_S, Follower, Rule, parse
from vidcam.pipeline import Settings
from vidcam.reader import open_source

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
    ],
)
def test_words_are_understood(words: str, rule: Rule) -> None:
    assert parse(words) == rule


@given(
    label=st.text(st.characters(codec="utf-8", exclude_characters='"', exclude_categories=["C", "Z"]), min_size=1, max_size=20),
    sign=st.sampled_from([">", ">=", "<", "<="]),
    threshold=st.integers(0, 1000).map(lambda n: n / 1000),
    hold=st.integers(0, 10_000).map(lambda n: n / 100),
)
def test_a_rule_written_out_is_the_rule(label, sign, threshold, hold) -> None:
    rule = Rule(label, sign, threshold, hold)
    assert parse(str(rule)) == rule


@pytest.mark.parametrize(
    "words",
    ["", "falling", "falling > ", "> 0.5", "falling = 0.5", "falling > 0.5 for", "falling > 0.5 for 1 fortnight", "a > b"],
)
def test_words_that_say_no_rule_are_refused_with_an_example(words: str) -> None:
    with pytest.raises(UsageError, match=r"falling down > 0\.8 for 1s"):
        parse(words)


def test_a_threshold_beyond_certainty_is_refused() -> None:
    with pytest.raises(UsageError, match="a probability is 0 to 1"):
        parse("falling > 80")


def test_a_label_that_the_model_does_not_know_is_told() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'falling down'"):
        Follower(parse("faling down > 0.8"), ["walking", "falling down"])


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
def test_a_rule_is_followed_as_somebody_would_who_remembers_everything(gaps, bits, hold) -> None:
    times = np.cumsum(gaps) / 10
    holds = bits[: len(times)]
    follower, found = Follower(Rule("b", ">", 0.5, hold), ["a", "b"]), []
    for now, on in zip(times.tolist(), holds, strict=True):
        probs = np.array([0.0, 0.9 if on else 0.1])
        found += [(c.kind, now, c.since) for c in follower.update(probs, time=now)]
    assert found == slowly(times.tolist(), holds, hold)
    open_still = len(found) % 2
    assert [c.kind for c in follower.close(time=99.0)] == ["end"] * open_still


def test_any_follows_each_class_for_itself() -> None:
    follower, found = Follower(Rule("any", ">", 0.4, 0.2), ["a", "b", "c"]), []
    for i in range(20):
        probs = np.array([0.45 if i < 10 else 0.0, 0.45, 0.0])
        found += [(c.kind, c.label, round(c.since, 1)) for c in follower.update(probs, time=0.1 * i)]
    assert sorted(found) == [("end", "a", 1.0), ("start", "a", 0.0), ("start", "b", 0.0)]
    assert not follower._states.keys() - {1}  # what is over is forgotten


# ------------------------------------------------------------------------------------------------------------ the events


@pytest.fixture(scope="module")
def mini():
    return open_engine("mini", device="cpu")


def watch(mini, tmp_path: Path, source: Path = CLIPS / "falling.mp4", **more) -> tuple[list[dict], list[str]]:
    """Run the command on a clip without a page: the lines of its events, and what it said."""
    said: list[str] = []
    plan = run.Plan(
        source=str(source), settings=Settings(hop_s=0.2, smooth_s=0.15), headless=True, say=said.append,
        **{"events": tmp_path / "seen.jsonl", "cpu": 1.0} | more,
    )  # fmt: skip
    before = {t.ident for t in threading.enumerate()}
    run.run(plan, lambda: mini)
    assert not [t.name for t in threading.enumerate() if t.ident not in before]
    path = tmp_path / "seen.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else [], said


def test_a_fall_is_told_with_its_time_its_place_and_a_picture(mini, tmp_path) -> None:
    truth = json.loads((CLIPS / "falling.json").read_text())
    (fall,) = truth["segments"]
    began = datetime.now(UTC)
    lines, said = watch(mini, tmp_path, rules=("falling down > 0.8 for 0.3s",), films=tmp_path / "films")
    assert said == []
    start, end = lines
    assert (start["event"], end["event"]) == ("start", "end")
    for line in lines:
        assert (line["id"], line["action"], line["source"]) == (1, "falling down", "falling.mp4")
        assert line["rule"] == "falling down > 0.8 for 0.3s"
        # A window that ends with the fall knows it at the earliest; one that has seen it whole, surely.
        assert fall["start_s"] < line["start_s"] < fall["end_s"] + 1.0
        played = timedelta(seconds=line["start_s"])
        assert abs(datetime.fromisoformat(line["start"]) - began - played) < timedelta(seconds=1.5)
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


def test_without_rules_every_sure_answer_is_an_event_and_without_a_file_they_go_to_stdout(mini, tmp_path, capsys) -> None:
    lines, _ = watch(mini, tmp_path, events=None)
    assert lines == []
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    # Standing is seen for less than half a second before the fall begins: the first window ends 1.6 s into the clip.
    assert [(t["event"], t["action"], t["rule"]) for t in told] == [
        (kind, "falling down", "any > 0.6 for 0.5s") for kind in ("start", "end")
    ]
    assert all(t["snapshot"] is None for t in told)


def test_a_rule_runs_a_program_and_posts_to_an_address(mini, tmp_path) -> None:
    script = tmp_path / "alarm.py"
    script.write_text(
        "import json, os, sys\n"
        "facts = {k: v for k, v in os.environ.items() if k.startswith('VIDCAM_')}\n"
        "open(sys.argv[1], 'w').write(json.dumps([sys.argv[2:], facts]))\n"
    )
    got: list[tuple[str, dict]] = []

    class Desk(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.headers["Content-Type"], json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Desk) as desk:
        thread = threading.Thread(target=desk.serve_forever)
        thread.start()
        try:
            out = tmp_path / "facts.json"
            words = f"{sys.executable} {script} {out} 'a b' $HOME ; `id` $(id)"
            _, said = watch(
                mini,
                tmp_path,
                rules=("falling down > 0.8",),
                command=words,
                post=f"http://127.0.0.1:{desk.server_port}/seen?key=1",
            )
        finally:
            desk.shutdown()
            thread.join()
    assert said == []
    argv, facts = json.loads(out.read_text())
    assert argv == ["a b", "$HOME", ";", "`id`", "$(id)"]  # as they were written: there is no shell
    event = json.loads(facts["VIDCAM_EVENT"])
    assert facts["VIDCAM_ACTION"] == event["action"] == "falling down"
    assert float(facts["VIDCAM_SCORE"]) == event["score"] > 0.8
    assert Path(facts["VIDCAM_SNAPSHOT"]).exists()
    assert [(kind, body["event"]) for kind, body in got] == [("application/json", "start"), ("application/json", "end")]


# ----------------------------------------------------------------------------------------------------------- the actions


def happened(**changes) -> Event:
    now = datetime(2025, 3, 1, 12, 0, 0, tzinfo=UTC)
    facts = {"id": 1, "source": "camera 0", "rule": "a > 0.5", "action": "a/../b c", "start_s": 10.0, "start": now, "score": 0.9}
    return Event(**facts | changes)


OVER = {"end_s": 12.0, "end": datetime(2025, 3, 1, 12, 0, 2, tzinfo=UTC)}


def test_a_label_with_signs_in_it_is_an_argument_of_nothing(tmp_path) -> None:
    out = tmp_path / "out"
    command = Command(f'{sys.executable} -c \'import os, sys; open(sys.argv[1], "w").write(os.environ["VIDCAM_ACTION"])\' {out}')
    command(happened(action="$(touch /tmp/x); rm -rf \"'`"))
    assert out.read_text() == "$(touch /tmp/x); rm -rf \"'`"
    out.unlink()
    command(happened(**OVER))  # only the start sets it off
    assert not out.exists()


def test_programs_that_are_not_there_fail_or_take_too_long_are_told(monkeypatch) -> None:
    with pytest.raises(UsageError, match="there is no program 'no-such-program'"):
        Command("no-such-program now")
    with pytest.raises(UsageError, match="cannot be taken apart: No closing quotation"):
        Command("echo 'a")
    with pytest.raises(VidcamError, match=r"failed with code 3: oh no"):
        Command(f"{sys.executable} -c 'import sys; sys.stderr.write(\"x\\noh no\\n\"); sys.exit(3)'")(happened())
    monkeypatch.setattr(actions, "RUN_S", 0.3)
    with pytest.raises(VidcamError, match=r"was ended: it took longer than 0\.3 seconds"):
        Command(f"{sys.executable} -c 'import time; time.sleep(60)'")(happened())


def test_an_address_must_be_one_and_answer() -> None:
    for address in ("ftp://host/x", "host/x", "file:///etc/passwd", "http://"):
        with pytest.raises(UsageError, match="posted to an http:// or https:// address"):
            Post(address)
    with pytest.raises(VidcamError, match=r"http://127\.0\.0\.1/a cannot be reached") as caught:
        Post("http://user:secret@127.0.0.1:9/a?key=secret")(happened())
    assert "secret" not in str(caught.value)


def test_a_worker_does_everything_in_order_survives_failures_and_does_not_pile_up() -> None:
    done, said, gate = [], [], threading.Event()
    worker = Worker(said.append)

    def fail() -> None:
        raise VidcamError("the siren is broken")

    worker.do(gate.wait)
    worker.do(fail)
    worker.do(lambda: 1 // 0)
    for i in range(100):
        worker.do(lambda i=i: done.append(i))
    gate.set()
    worker.close()
    assert done == list(range(len(done)))
    assert 55 < len(done) < 70
    assert said.count("the siren is broken") == 1
    assert said.count("an action failed: ZeroDivisionError: integer division or modulo by zero") == 1
    assert worker.failures == len(said) == 100 - len(done) + 2


def test_lines_are_added_to_a_file_and_a_folder_that_is_missing_is_told(tmp_path) -> None:
    lines = Lines(tmp_path / "seen.jsonl")
    lines(happened())
    Lines(tmp_path / "seen.jsonl")(happened(**OVER))
    first, second = (json.loads(line) for line in (tmp_path / "seen.jsonl").read_text().splitlines())
    assert (first["event"], first["start"], first["end"]) == ("start", "2025-03-01T12:00:00.000Z", None)
    assert (second["event"], second["end"], second["end_s"]) == ("end", "2025-03-01T12:00:02.000Z", 12.0)
    with pytest.raises(OutputError, match="does not exist"):
        Lines(tmp_path / "nowhere" / "seen.jsonl")


def test_a_film_begins_before_the_event_and_ends_after_it_and_holds_no_more(tmp_path) -> None:
    def jpeg(value: int) -> bytes:
        return cv2.imencode(".jpg", np.full((36, 49, 3), value, np.uint8))[1].tobytes()

    said: list[str] = []
    worker = Worker(said.append)
    films = Films(tmp_path / "films", worker)
    for i in range(300):
        now = 0.1 * i
        films.picture(jpeg(i % 250), time=now)
        if i == 110:
            films(happened(start_s=10.0))
        if i == 125:
            films(happened(start_s=10.0, **OVER))
    films.close()
    worker.close()
    assert said == []
    (film,) = (tmp_path / "films").iterdir()
    assert film.name == "20250301T120000-0001-a-b-c.mp4"  # nothing in a label leaves the folder
    with open_source(film) as source:
        frames = list(source.frames())
    assert (source.info.width, source.info.height) == (48, 36)  # H.264 wants even sizes
    # From 6 s, the oldest that was still kept when the event was told, to five seconds after its end.
    values = [round(float(f.image.mean())) for f in frames]
    assert values[0] == pytest.approx(60, abs=3)
    assert values[-1] == pytest.approx(170, abs=3)
    assert frames[-1].time == pytest.approx(11.0, abs=0.01)
    assert len(films._past) <= 52
