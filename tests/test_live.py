"""A stream is explained as a file is, whatever the machine keeps up with; and it goes on, whatever the source does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import planted
from support.clock import NOON, ManualClock
from support.media import write_clip
from support.values import red_square
from support.waiting import HANG_S, ended, until, vidcam_threads

from vidcam import pipeline
from vidcam.engine import open_engine
from vidcam.errors import InputError, UsageError, VidcamError
from vidcam.evidence import timeline
from vidcam.evidence.scale import RunningScale
from vidcam.io.clock import Stop
from vidcam.io.cores import count_cores
from vidcam.io.source import open_source
from vidcam.io.stream import Dejitter, NetworkStream
from vidcam.live import sources
from vidcam.live import stream as streaming
from vidcam.live.budget import Budget, parse_share
from vidcam.live.capture import Capture
from vidcam.live.explainer import Explainer
from vidcam.live.ranking import Ranking, is_clearly_above
from vidcam.live.state import FULL_STRENGTH, Update, find_full_strength, find_hot_box
from vidcam.live.stream import Stream, live_settings
from vidcam.pipeline import Explanation, Session
from vidcam.settings import Settings
from vidcam.values import Box, Frame, Track

CLIPS = Path(__file__).parent.parent / "clips"


@pytest.fixture(scope="module")
def engine():
    return open_engine(f"{planted.__file__}:patches")


@pytest.fixture
def open_stream(engine) -> Iterator:
    """Makes streams, which explain in the test's own thread unless it starts them, and closes them; no thread may be left."""
    made = []

    def make(settings: Settings | None = None, *, engine=engine, **more) -> Stream:
        settings = settings or Settings()
        made.append(Stream(engine, settings, **more))
        return made[-1]

    yield make
    for stream in made:
        stream.close()
    assert not vidcam_threads()


class Meanwhile:
    """An engine during whose computations something else happens."""

    def __init__(self, engine, happens) -> None:
        self._engine, self._happens = engine, happens

    def __getattr__(self, name: str):
        return getattr(self._engine, name)

    def map(self, *words, **more):
        self._happens()
        return self._engine.map(*words, **more)


def offline(engine, path: Path, settings: Settings) -> dict[tuple[float, float], Explanation]:
    with open_source(path) as source:
        session = Session(engine, live_settings(settings))
        return {e.prediction.span: e for e in pipeline.explanations(source, session)}


# ------------------------------------------------------------------------------------------------ the same as for a file


def test_stream_of_a_file_explains_what_the_offline_run_explains(open_stream) -> None:
    mini = open_engine("mini", device="cpu")
    settings = Settings(seconds_between_clip_starts=0.2)
    expected = offline(mini, CLIPS / "falling.mp4", settings)
    stream = open_stream(settings, engine=mini, real_time=False)
    found: dict[tuple[float, float], Explanation] = {}
    explain = stream._evidence.add

    def add(explanation: Explanation) -> Update:
        found[explanation.prediction.span] = explanation
        return explain(explanation)

    stream._evidence.add = add
    with open_source(CLIPS / "falling.mp4") as source:
        for frame in source.frames():
            stream.push(frame)
    stream.finish()
    assert list(found) == list(expected)
    assert len(found) >= 5
    for span, there in expected.items():
        here = found[span]
        np.testing.assert_array_equal(here.times, there.times)
        np.testing.assert_array_equal(here.prediction.logits, there.prediction.logits)
        assert [e.label for e in here.evidence] == [e.label for e in there.evidence]
        for mine, theirs in zip(here.evidence, there.evidence, strict=True):
            np.testing.assert_array_equal(mine.values, theirs.values)
    assert stream.skipped == 0
    assert max((p.prediction for p in found.values()), key=lambda p: p.prob("falling down")).prob("falling down") > 0.8


def test_slow_model_explains_the_newest_window_as_offline(engine, open_stream, tmp_path) -> None:
    took_s, seconds_between_clip_starts = 0.25, 0.1
    clip = write_clip(tmp_path / "clip.mp4", frames=60, size=(120, 160))
    settings = Settings(seconds_between_clip_starts=seconds_between_clip_starts)
    expected = offline(engine, clip, settings)
    clock = ManualClock(jumps=True)  # each frame comes when it is due, however long it takes here
    begun: list[tuple[float, int]] = []

    def frames_come() -> None:
        begun.append((clock.now(), len(offered)))
        while clock.now() < begun[-1][0] + took_s and not capture.over:
            capture.step()

    stream = open_stream(settings, engine=Meanwhile(engine, frames_come), clock=clock)
    offered: list[tuple[float, float]] = []
    sample = stream._session.sample
    stream._session.sample = lambda frame: [offered.append(w.span) or w for w in sample(frame)]
    updates: list[Update] = []
    stream.on_update.append(updates.append)
    capture = Capture(sources.FileSource(str(clip), clock=clock), stream.push, clock=clock)
    ages = []
    while not capture.over:
        if not stream.step():
            capture.step()
        if stream.age_s is not None:
            ages.append(stream.age_s)
    stream.finish()
    assert capture.state == "ended"
    assert clock.now() == pytest.approx(59 / 30, abs=1e-6)
    assert [u.prediction.span for u in updates] == [offered[n - 1] for _, n in begun]  # the newest when it began
    assert len(updates) == 6
    assert stream.skipped + len(updates) == len(expected)
    for update in updates:
        np.testing.assert_array_equal(update.prediction.logits, expected[update.prediction.span].prediction.logits)
    # One explanation that has just begun, the one before it, a hop, and the frames that were awaited: nothing queues.
    assert max(ages) < 2 * took_s + seconds_between_clip_starts + 3 / 30


def test_late_frame_has_the_newest_of_many_windows_explained(open_stream) -> None:
    stream = open_stream(Settings(seconds_between_clip_starts=0.1))
    completed: list[list[tuple[float, float]]] = []
    sample = stream._session.sample

    def noted(frame: Frame) -> list:
        windows = sample(frame)
        completed.append([w.span for w in windows])
        return windows

    stream._session.sample = noted
    for frame in red_square(8, step=0.8):
        stream.push(frame)
        if stream.step():
            assert stream.update.prediction.span == completed[-1][-1]
    assert max(map(len, completed)) >= 5
    assert stream.skipped == sum(len(spans) - 1 for spans in completed if spans) > 10


def test_update_equals_the_joined_windows_smoothed_towards_the_past(open_stream) -> None:
    stream = open_stream(Settings(seconds_between_clip_starts=0.2, smooth_s=0.3, classes=("red square",)))
    updates: list[Update] = []
    stream.on_update.append(updates.append)
    frames = red_square(60)
    for frame in frames:
        stream.push(frame)
        stream.step()
    whole = timeline.Timeline(step_s=stream.engine.spec.seconds_between_frames)  # forgets nothing
    session = Session(stream.engine, stream.settings)
    done = [e for frame in frames for e in session.push(frame)]
    assert len(done) == len(updates) > 8
    scale = RunningScale(half_life_s=20, floor=3 / (0.05 * done[0].evidence[0].values.size))
    for explanation, update in zip(done, updates, strict=True):
        whole.add(explanation.evidence[0])
        (track,) = whole.tracks("red square")
        apart = track.times[-1] - track.times
        weight = np.exp(-apart / 0.3) * (apart <= 7 * 0.3 + 1e-9)
        wanted = (weight[:, None, None] * track.maps).sum(0) / weight.sum()
        (head,) = update.tracks["red square"]
        assert head.times == pytest.approx(track.times[-1:])
        np.testing.assert_allclose(head.maps[0], wanted, rtol=2e-3, atol=1e-6 * np.abs(wanted).max())
        assert update.scale == pytest.approx(scale.update(np.maximum(wanted, 0), time=update.time), rel=2e-3)
        assert update.curves["red square"] == pytest.approx(head.maps[0].sum() / track.cell_s, rel=1e-4)


def test_forgetting_the_past_changes_no_later_map(open_stream) -> None:
    stream = open_stream(Settings(seconds_between_clip_starts=0.2))
    session = Session(stream.engine, stream.settings)
    full, lean = (timeline.Timeline(step_s=0.1) for _ in range(2))
    for frame in red_square(200):
        for explanation in session.push(frame):
            for evidence in explanation.evidence:
                full.add(evidence)
                lean.add(evidence)
            lean.forget(explanation.prediction.span[1] - 2.0)
    (whole,), (part,) = full.tracks("red square"), lean.tracks("red square")
    assert len(part.times) <= 21 < len(whole.times)
    np.testing.assert_allclose(part.times, whole.times[-len(part.times) :])
    np.testing.assert_array_equal(part.maps, whole.maps[-len(part.times) :])
    assert len(lean.spans("red square")) < 15
    lean.forget(1e6)
    assert lean.labels == ()


# ---------------------------------------------------------------------------------------------------- while it goes on


def test_change_of_settings_acts_without_a_new_frame(open_stream) -> None:
    stream = open_stream(Settings(seconds_between_clip_starts=0.2))
    for frame in red_square(40):
        stream.push(frame)
    stream.settle()
    before = stream.update
    assert before is not None
    assert (before.label, before.method, before.versus) == ("red square", "cam", None)
    stream.choose(replace(stream.settings, method="gradcam", classes=("nothing",), versus="red square"))
    stream.settle()
    after = stream.update
    assert (after.label, after.method, after.versus) == ("nothing", "gradcam", "red square")
    assert [label for label, _ in after.top][:2] == ["red square", "nothing"]  # the likely one stays first
    assert after.prediction.span == before.prediction.span
    with pytest.raises(UsageError, match="unknown class 'nobody'"):
        stream.choose(replace(stream.settings, classes=("nobody",)))
    with pytest.raises(UsageError, match="attention"):
        stream.choose(replace(stream.settings, method="attention-rollout"))
    assert stream.settings.classes == ("nothing",)


def test_window_never_spans_a_gap_or_two_picture_sizes(open_stream) -> None:
    clock = ManualClock()
    stream = open_stream(Settings(seconds_between_clip_starts=0.1), clock=clock)
    spans, gaps = [], []
    stream.on_update.append(lambda update: spans.append((update.time, *update.prediction.span)))
    stream.on_gap.append(gaps.append)
    parts = [
        red_square(30),
        red_square(10, start=600.0),  # a long outage, and soon another one
        red_square(30, start=625.0),
        red_square(30, start=626.5, size=(96, 160)),
    ]
    for part in parts:
        for frame in part:
            clock.advance(frame.time - clock.now())  # frames arrive when they were taken
            stream.push(frame)
            stream.step()
        assert stream.fps == pytest.approx(20)
    assert gaps == [part[0].time for part in parts[1:]]
    for part in parts:
        mine = [s for s in spans if part[0].time <= s[1] and s[0] <= part[-1].time]
        assert len(mine) >= 5 or len(part) < 30, part[0]
    assert all(any(p[0].time <= start and time <= p[-1].time for p in parts) for time, start, _ in spans)
    assert stream.size == (96, 160)


def test_age_counts_from_the_newest_frame_explained(open_stream) -> None:
    clock = ManualClock()
    stream = open_stream(Settings(seconds_between_clip_starts=0.1), clock=clock)
    assert stream.age_s is None
    for frame in red_square(20):
        clock.advance(frame.time - clock.now())
        stream.push(frame)
        stream.step()
    explained = stream.update.time
    assert stream.age_s == pytest.approx(clock.now() - explained)
    clock.advance(3.0)
    assert stream.age_s == pytest.approx(0.95 + 3.0 - explained)
    assert stream.time_of_day(0.95) == NOON + timedelta(seconds=0.95)  # when that frame came


def test_source_with_a_frame_a_second_is_explained(open_stream) -> None:
    stream = open_stream(Settings(seconds_between_clip_starts=0.5))
    for frame in red_square(12, step=1.2):
        stream.push(frame)
    stream.settle()
    assert stream.explained > 0


def test_frozen_picture_is_noticed_after_five_seconds(open_stream) -> None:
    stream = open_stream()
    alive = red_square(130)
    for frame in alive:
        stream.push(frame)
    assert stream.frozen_s == 0
    for i in range(140):
        stream.push(replace(alive[-1], time=alive[-1].time + 0.05 * (i + 1)))
    assert 5 < stream.frozen_s <= 7.1
    stream.push(replace(alive[3], time=stream.latest.time + 1.01))
    assert stream.frozen_s == 0


def test_error_while_explaining_is_kept_and_ends_the_stream(engine, open_stream) -> None:
    def fall_over() -> None:
        raise RuntimeError("the network fell over")

    changed = threading.Event()
    stream = open_stream(
        Settings(seconds_between_clip_starts=0.1), engine=Meanwhile(engine, fall_over), changed=changed.set
    ).start()
    for frame in red_square(30):
        stream.push(frame)
    stream.settle()
    assert changed.wait(HANG_S)
    assert str(stream.error) == "explaining failed: RuntimeError: the network fell over"


def test_thread_pauses_as_the_processor_budget_says(engine, open_stream) -> None:
    clock, began = ManualClock(jumps=True), []

    def work() -> None:
        began.append(clock.now())
        clock.spent += 0.4 * count_cores()  # processor seconds
        clock.advance(0.4)

    stream = open_stream(Settings(seconds_between_clip_starts=0.1), engine=Meanwhile(engine, work), cpu=0.25, clock=clock).start()
    for frame in red_square(240):
        stream.push(frame)
        stream.settle()
    # An explanation takes all of the machine for 0.4 s, a quarter of which is allowed: one begins every 1.6 s.
    assert np.diff(began)[-5:] == pytest.approx(np.full(5, 1.6), rel=0.1)


class Counted:
    """An engine that notes how many clips each call computes; each call takes ``took_s`` on the clock."""

    def __init__(self, engine, clock: ManualClock, took_s: float = 0.0) -> None:
        self._engine, self._clock, self._took_s = engine, clock, took_s
        self.calls: list[int] = []

    def __getattr__(self, name: str):
        return getattr(self._engine, name)

    def map(self, frames, run):
        self.calls.append(len(frames))
        self._clock.advance(self._took_s)
        return self._engine.map(frames, run)


def test_several_streams_are_explained_together_as_each_alone(engine, open_stream) -> None:
    clock = ManualClock()
    counted = Counted(engine, clock)
    explainer = Explainer(clock=clock)
    settings = Settings(seconds_between_clip_starts=0.1)
    videos = [red_square(30), red_square(30, size=(96, 160), start=50.0), red_square(30)]
    choices = [settings, settings, replace(settings, classes=("nothing",), versus="red square")]
    together = [open_stream(s, engine=counted, clock=clock, explainer=explainer) for s in choices]
    alone = [open_stream(s, clock=clock) for s in choices]
    for frames in zip(*videos, strict=True):
        for stream, frame in zip((*together, *alone), (*frames, *frames), strict=True):
            stream.push(frame)
        for stream in (together[0], *alone):
            while stream.step():
                pass
    assert counted.calls[0] == 1  # nobody knew how long it takes
    assert counted.calls[-5:] == [3] * 5
    for one, other in zip(together, alone, strict=True):
        assert one.explained == other.explained > 5
        assert (one.update.label, one.update.versus) == (other.update.label, other.update.versus)
        np.testing.assert_allclose(one.update.prediction.logits, other.update.prediction.logits, rtol=1e-5)
        np.testing.assert_allclose(
            one.update.tracks[one.update.label][0].maps, other.update.tracks[one.update.label][0].maps, rtol=1e-4
        )


def test_methods_that_compute_each_class_anew_are_not_mixed(engine, open_stream) -> None:
    clock = ManualClock()
    counted = Counted(engine, clock)
    explainer = Explainer(clock=clock)
    settings = Settings(seconds_between_clip_starts=0.1, method="gradientxinput")
    streams = [open_stream(settings, engine=counted, clock=clock, explainer=explainer) for _ in range(3)]
    for frame in red_square(24):
        for stream in streams:
            stream.push(frame)
        while streams[0].step():
            pass
    assert set(counted.calls) == {1}
    assert all(stream.explained == streams[0].explained > 2 for stream in streams)


def test_streams_of_a_slow_model_take_turns_with_their_newest_clips(engine, open_stream) -> None:
    clock = ManualClock()
    counted = Counted(engine, clock, took_s=0.4)  # longer than a round may take: one clip in each
    explainer = Explainer(clock=clock)
    settings = Settings(seconds_between_clip_starts=0.1)
    streams = [open_stream(settings, engine=counted, clock=clock, explainer=explainer, name=str(n)) for n in range(4)]
    order: list[str] = []
    for stream in streams:
        stream.on_update.append(lambda update, stream=stream: order.append(stream.name))
    rounds: list[tuple[float, float]] = []
    for frame in red_square(80):
        for stream in streams:
            stream.push(frame)
        if frame.time > 1.0 and clock.now() <= frame.time:
            newest = streams[0].latest.time
            streams[0].step()
            rounds += [(newest, s.update.time) for s in streams if order and s.name == order[-1]]
    assert len(order) >= 8
    assert order == [str(n % 4) for n in range(len(order))]  # each in turn, though all wait all the time
    assert all(newest - explained < 0.15 for newest, explained in rounds)  # a turn takes the newest clip


def test_error_of_one_stream_leaves_the_others_alone(engine, open_stream) -> None:
    explainer = Explainer(clock=ManualClock())
    good, bad = (open_stream(Settings(seconds_between_clip_starts=0.1), explainer=explainer) for _ in range(2))

    def fail(update: Update) -> None:
        raise RuntimeError("no room")

    bad.on_update.append(fail)
    for frame in red_square(30):
        for stream in (good, bad):
            stream.push(frame)
        good.settle()
    assert str(bad.error) == "explaining failed: RuntimeError: no room"
    assert good.error is None
    assert good.explained > 5


def test_started_stream_explains_the_same_and_leaves_no_thread(open_stream) -> None:
    updates: list[Update] = []
    stream = open_stream(Settings(seconds_between_clip_starts=0.1)).start()
    stream.on_update.append(updates.append)
    for frame in red_square(30):
        stream.push(frame)
        stream.settle()
    stream.close()
    alone: list[Update] = []
    other = open_stream(Settings(seconds_between_clip_starts=0.1))
    other.on_update.append(alone.append)
    for frame in red_square(30):
        other.push(frame)
        other.settle()
    assert [u.prediction.span for u in updates] == [u.prediction.span for u in alone]
    assert len(updates) > 5
    for one, two in zip(updates, alone, strict=True):
        mine, theirs = one.tracks["red square"][0].maps, two.tracks["red square"][0].maps
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6 * np.nanmax(np.abs(theirs)))
    assert not vidcam_threads()


# ----------------------------------------------------------------------------------------------------------- the source


class Flaky:
    """Fails as it is told: each item is a number of frames and how that try ends."""

    ends = False
    name = "camera 7"

    def __init__(self, *tries: tuple[int, Exception | None]) -> None:
        self.tries = list(tries)
        self.clock = 0.0

    def frames(self, stop: Stop) -> Iterator[Frame]:
        count, end = self.tries.pop(0) if self.tries else (0, InputError("gone for good"))
        for frame in red_square(count):
            self.clock += 0.01
            yield replace(frame, time=self.clock)
        if end is not None:
            raise end


def steps(capture: Capture, n: int) -> list[float]:
    """Take ``n`` steps of the capture, or as many as there are: the pauses between them, in seconds."""
    pauses = []
    for _ in range(n):
        if (pause := capture.step()) is None:
            break
        pauses.append(pause)
    return pauses


def test_source_that_never_worked_fails_in_its_own_words() -> None:
    capture = Capture(Flaky((0, InputError("camera 7 cannot be opened"))), lambda frame: None)
    assert steps(capture, 9) == []
    with pytest.raises(InputError, match="camera 7 cannot be opened"):
        capture.wait()
    assert capture.state == "failed"
    assert capture.over


GONE = InputError("camera 7 gives no pictures any more")


def test_source_that_worked_once_is_reopened_after_growing_pauses() -> None:
    source = Flaky((3, GONE), (0, GONE), (0, GONE), (0, GONE), (4, None), (2, GONE))
    taken: list[Frame] = []
    capture = Capture(source, taken.append)
    pauses = steps(capture, 4)
    assert capture.state == "waiting"
    assert capture.reason == "camera 7 gives no pictures any more"
    pauses += steps(capture, 8)
    assert capture.reason == "camera 7 has stopped sending"
    assert len(taken) == 7
    pauses += steps(capture, 9)
    assert [p for p in pauses if p] == [0.5, 1.0, 2.0, 4.0, 0.5, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert len(taken) == 9
    assert capture.reconnects == 11
    assert capture.reason == "gone for good"
    assert capture.state == "waiting"


def test_capture_thread_waits_its_pauses_and_ends_when_closed() -> None:
    clock, taken = ManualClock(), []
    capture = Capture(Flaky((3, GONE), (4, None)), taken.append, clock=clock).start()
    capture.wait()
    until(lambda: capture.state == "waiting" and clock.waits == [0.5])
    assert len(taken) == 3
    clock.advance(0.4)
    assert capture.state == "waiting"
    clock.advance(0.2)
    until(lambda: len(taken) == 7 and clock.waits == [0.5, 0.5])
    assert capture.reconnects == 1
    capture.close()
    ended(capture._thread)
    assert capture.state == "ended"


def test_source_without_frames_for_two_seconds_is_silent() -> None:
    clock, source = ManualClock(), sources.PushedSource()
    capture = Capture(source, lambda frame: None, clock=clock)
    _, jpeg = _jpeg()
    source.put(jpeg, at=1.0)
    capture.step()
    capture.wait()
    clock.advance(1.99)
    assert capture.state == "running"
    clock.advance(0.02)
    assert capture.state == "silent"
    source.put(jpeg, at=2.0)
    capture.step()
    assert capture.state == "running"
    source.close()
    assert capture.step() is None
    assert capture.state == "ended"


def test_pushed_source_that_waits_is_stopped_at_once() -> None:
    source = sources.PushedSource()
    capture = Capture(source, lambda frame: None).start()
    source.put(_jpeg()[1], at=1.0)
    capture.wait()
    capture.close()
    ended(capture._thread)
    assert capture.state == "ended"


def test_error_of_the_frame_taker_fails_the_capture() -> None:
    def take(frame: Frame) -> None:
        raise VidcamError("no room for frames")

    capture = Capture(Flaky((2, None)), take)
    assert capture.step() is None
    assert capture.over
    assert str(capture.error) == "no room for frames"


def test_file_is_played_in_real_time_and_again_from_its_end(tmp_path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=12, fps=30)
    clock = ManualClock(now=7.0, jumps=True)
    stop, frames = Stop(clock), []
    for frame in sources.FileSource(str(clip), loop=True, clock=clock).frames(stop):
        assert clock.now() - 7.0 == pytest.approx(len(frames) / 30, abs=1e-3)  # when it is due
        frames.append(frame)
        if len(frames) == 30:
            stop.set()
    assert len(frames) == 30
    assert clock.waits == pytest.approx(np.full(29, 1 / 30), abs=1e-3)
    assert np.diff([f.time for f in frames]) == pytest.approx(np.full(29, 1 / 30), abs=1e-3)
    np.testing.assert_array_equal(frames[3].image, frames[15].image)


def test_file_that_lags_behind_real_time_is_played_slower(tmp_path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=30, fps=30)
    clock = ManualClock(jumps=True)
    due = []
    for n, _ in enumerate(sources.FileSource(str(clip), clock=clock).frames(Stop(clock))):
        due.append(clock.now())
        if n in (5, 10):
            clock.advance({5: 0.2, 10: 1.0}[n])  # a machine that is busy for a while
    steps = np.diff(due)
    assert steps[5] == pytest.approx(0.2, abs=1e-3)
    assert steps[6:9] == pytest.approx(np.zeros(3), abs=1e-3)  # a small lag is caught up with
    assert steps[10] == pytest.approx(1.0, abs=1e-3)
    assert steps[11:] == pytest.approx(np.full(18, 1 / 30), abs=1e-3)  # a large one is not: no frame is left out


def test_lost_source_is_opened_again_at_once_if_asked() -> None:
    opened: list[int] = []

    class Flaky:
        name, ends = "the door", False

        def frames(self, stop: Stop) -> Iterator[Frame]:
            opened.append(len(opened))
            yield red_square(1)[0]
            if len(opened) > 1:
                stop.wait(1e6)

    clock = ManualClock()  # stands still, so that no pause ever ends by itself
    capture = Capture(Flaky(), lambda frame: None, clock=clock).start()
    until(lambda: capture.state == "waiting" and clock.waits)
    assert opened == [0]
    capture.retry()
    until(lambda: capture.state == "running" and capture.reconnects == 1)
    assert opened == [0, 1]
    capture.retry()  # nothing to do
    capture.close()
    assert not vidcam_threads()


def test_file_out_of_real_time_comes_without_waiting(tmp_path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=12, fps=30)
    clock = ManualClock()
    frames = list(sources.FileSource(str(clip), real_time=False, clock=clock).frames(Stop(clock)))
    assert len(frames) == 12
    assert clock.waits == []


@given(
    delays=st.lists(st.floats(0, 0.3), min_size=2, max_size=60),
    rate=st.floats(5, 60),
    start=st.floats(-1e3, 1e5),
)
def test_dejitter_never_runs_back_or_ahead_and_loses_the_jitter(delays, rate, start) -> None:
    clock = Dejitter()
    stated = [start + i / rate for i in range(len(delays))]
    arrived = [100 + i / rate + d for i, d in enumerate(delays)]
    arrived = list(np.maximum.accumulate(arrived))
    found = [clock.at(s, now=a) for s, a in zip(stated, arrived, strict=True)]
    assert (np.diff(found) > 0).all()
    for i, (f, a) in enumerate(zip(found, arrived, strict=True)):
        assert f <= a + 0.002 * (i + 1)  # a thousandth for each picture of a burst
    best = int(np.argmin(np.array(arrived) - stated))  # from the quickest picture on, there is no jitter left
    burst = 0.001 * len(found)  # what the pictures of a burst were moved on by, until time has caught up with it
    assert np.diff(found[best:]) == pytest.approx(np.full(len(found) - best - 1, 1 / rate), abs=burst)


def _jpeg(size: tuple[int, int] = (48, 64)) -> tuple[np.ndarray, bytes]:
    from vidcam.live.pictures import encode_picture

    image = np.full((*size, 3), (200, 40, 40), np.uint8)
    return image, encode_picture(Frame(image, 0.0, 0.0))


def test_pushed_jpegs_keep_their_colours_and_others_are_dropped(monkeypatch) -> None:
    image, jpeg = _jpeg()
    large = cv2.imencode(".jpg", np.zeros((16, sources.MAX_SIDE + 1, 3), np.uint8))[1].tobytes()
    assert np.abs(sources._decode(jpeg).astype(int) - image).max() < 8  # JPEG's loss; BGR would be off by 160
    assert sources._decode(large) is None
    assert sources._decode(b"GIF89a" + bytes(30)) is None
    assert sources._decode(jpeg[:20]) is None
    source, stop, times = sources.PushedSource(), Stop(), []
    reading = source.frames(stop)
    for at in (1.0, 0.5, float("nan"), 1.5):  # a clock that goes back, or is none, is not believed
        source.put(jpeg, at=at)
        if at in (1.0, 1.5):
            times.append(next(reading).time)
    assert times == [1.0, 1.5]
    source.close()
    assert list(reading) == []


@pytest.mark.parametrize(
    ("words", "kind"),
    [("0", sources.Camera), ("/dev/video2", sources.Camera), ("rtsp://h/a", NetworkStream), ("http://h/a", NetworkStream)],
)
def test_choose_finds_the_kind_of_source(words: str, kind: type) -> None:
    assert isinstance(sources.choose_source(words), kind)
    with pytest.raises(UsageError, match="--loop is for files"):
        sources.choose_source(words, loop=True)


def test_sources_have_names_of_their_own(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b/a.mp4", "x=y.mp4"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    words = ["a.mp4", "b/a.mp4", "front  door=rtsp://me:pw@h/s?key=1", "x=y.mp4", "0", "rtsp://h/user=me&x", "yard=a.mp4"]
    found = sources.choose_sources(words)
    assert [source.name for source in found] == [
        "a.mp4", "a.mp4 2", "front door", "x=y.mp4", "camera 0", "rtsp://h/user=***&x", "yard",
    ]  # fmt: skip
    assert found[2].address == "rtsp://me:pw@h/s?key=1"
    assert found[6].path == "a.mp4"
    with pytest.raises(UsageError, match="two sources are called door: give each a name of its own, as in front=1"):
        sources.choose_sources(["door=0", "door=1"])
    with pytest.raises(InputError, match="no file nowhere"):
        sources.choose_sources(["a.mp4", "door=nowhere.mp4"])


def test_choose_refuses_what_is_no_source() -> None:
    with pytest.raises(InputError, match=r"no file nowhere\.mp4; a source is a camera's number"):
        sources.choose_source("nowhere.mp4")
    with pytest.raises(UsageError, match=r"--loop is for files: rtsp://10\.0\.0\.1/a has no end"):
        sources.choose_source("rtsp://me:secret@10.0.0.1/a", loop=True)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("rtsp://me:secret@10.0.0.1/a", "rtsp://10.0.0.1/a"),
        ("rtsp://me@10.0.0.1/a", "rtsp://10.0.0.1/a"),
        ("rtsp://me:s@cr@et@10.0.0.1:554/a", "rtsp://10.0.0.1:554/a"),
        ("rtsp://me:sec/ret@10.0.0.1/a", "rtsp://10.0.0.1/a"),  # not as it should be written, but as people do
        ("rtsp://me:sec#ret@10.0.0.1/a", "rtsp://10.0.0.1/a"),
        ("rtsp://10.0.0.1:554/a@b", "rtsp://10.0.0.1:554/a@b"),
        ("rtsp://[fe80::1]:554/a@b", "rtsp://[fe80::1]:554/a@b"),
        ("rtsp://10.0.0.1:554/user=me&password=secret&channel=1.sdp", "rtsp://10.0.0.1:554/user=***&password=***&channel=1.sdp"),
        ("rtsp://10.0.0.1/user=me_password=secret_channel=1.sdp?real_stream", "rtsp://10.0.0.1/user=***"),
        ("http://10.0.0.1/v.cgi?user=me&pwd=secret", "http://10.0.0.1/v.cgi"),
        ("http://10.0.0.1/API_Key=secret/v.mjpg#secret", "http://10.0.0.1/API_Key=***"),
        ("http://10.0.0.1:8080/video", "http://10.0.0.1:8080/video"),
    ],
)
def test_address_is_shown_without_its_secrets(address: str, name: str) -> None:
    assert NetworkStream(address).name == name


def test_library_error_is_told_without_the_secrets(monkeypatch) -> None:
    address = "rtsp://me:secret@10.0.0.1/a?key=secret"

    def fail(*_: object, **__: object) -> None:
        raise OSError(f"no answer from {address}")

    monkeypatch.setattr(av, "open", fail)
    with pytest.raises(InputError, match=r"rtsp://10\.0\.0\.1/a cannot be read: no answer from rtsp://10\.0\.0\.1/a; check"):
        next(NetworkStream(address).frames(Stop()))


# ------------------------------------------------------------------------------------------------------------ the budget


@pytest.mark.parametrize(
    ("other", "cost", "share", "hop"),
    [(0.1, 0.08, 0.5, 0.1), (0.1, 0.08, 0.3, 0.2), (0.2, 0.5, 0.25, 5.0), (0.6, 0.1, 0.5, 5.0), (0.0, 1.0, 0.5, 1.0)],
)
def test_budget_settles_at_the_share_that_was_given(other: float, cost: float, share: float, hop: float) -> None:
    """``other`` of two cores is used anyway, an explanation costs ``cost`` processor seconds."""
    budget, spent, now = Budget(share, least_s=0.1, machine=2), 0.0, 0.0
    pauses = []
    for _ in range(400):
        pause = budget.update(spent_s=spent, now=now)
        spent += cost + 2 * other * pause
        now += pause
        pauses.append(pause)
    # other + cost / (2 hop) = share, within what is possible
    wanted = 5.0 if other >= share else min(5.0, max(0.1, cost / (2 * (share - other))))
    assert hop == pytest.approx(wanted)
    assert pauses[-1] == pytest.approx(wanted, rel=0.05)
    assert np.ptp(pauses[-50:]) <= 0.02 * wanted  # no swinging


def test_share_of_the_processor_is_read_from_words() -> None:
    assert [parse_share(w) for w in ("50%", "0.5", " 100 % ", "1")] == [0.5, 0.5, 1.0, 1.0]
    for words in ("0%", "150%", "half", "-5%", "2"):
        with pytest.raises(UsageError, match="such as 50%"):
            parse_share(words)


# ----------------------------------------------------------------------------------------------------------- the ranking


@given(st.lists(st.lists(st.floats(0, 1), min_size=6, max_size=6), min_size=1, max_size=40), st.floats(0.02, 1))
def test_ranking_changes_its_order_only_for_a_clear_lead(rows, step) -> None:
    labels = tuple("abcdef")
    ranking, before, mean = Ranking(labels), None, None
    for i, row in enumerate(rows):
        probs = np.array(row)
        keep = np.exp(-step / 0.3)
        mean = probs if mean is None else keep * mean + (1 - keep) * probs
        ranking.update(probs, time=i * step)
        top = ranking.top(6)
        assert sorted(label for label, _ in top) == list(labels)
        order = [label for label, _ in top]
        known = {label: mean[labels.index(label)] for label in order}
        for above, below in pairwise(order):
            assert not is_clearly_above(known[below], known[above])
        shown = [prob for _, prob in top]
        assert all(above >= below - 1e-12 for above, below in pairwise(shown))  # no contradiction of the order
        # The nearest such numbers: means of neighbours, each as large as any run that ends there and as small as any that begins.
        wanted = [
            min(max(np.mean([known[o] for o in order[a : b + 1]]) for b in range(i, 6)) for a in range(i + 1)) for i in range(6)
        ]
        assert shown == pytest.approx(wanted)
        if before is not None and order != before:  # then somebody has passed a neighbour with a clear lead
            assert any(is_clearly_above(known[b], known[a]) for i, a in enumerate(before) for b in before[i + 1 :])
        before = order


def test_ranking_ignores_wavering_and_follows_a_real_change() -> None:
    ranking, firsts = Ranking(("sit", "fall")), []
    for i in range(100):
        probs = np.array([0.52, 0.48] if i // 8 % 2 else [0.47, 0.53])
        ranking.update(probs, time=0.1 * i)
        firsts.append(ranking.top(1)[0][0])
    assert set(firsts) == {firsts[0]}
    for i in range(100, 110):
        ranking.update(np.array([0.1, 0.9] if firsts[0] == "sit" else [0.9, 0.1]), time=0.1 * i)
    assert ranking.top(1)[0][0] != firsts[0]


@pytest.mark.parametrize(("classes", "temperature"), [(2, 0.48), (3, 0.5), (19, 0.2)])
def test_full_strength_is_the_logit_that_makes_an_answer_sure(classes: int, temperature: float) -> None:
    strength = find_full_strength(classes, temperature)
    logits = np.zeros(classes)
    logits[0] = strength * classes / (classes - 1)  # so much above the mean of all
    assert logits[0] - logits.mean() == pytest.approx(strength)
    exps = np.exp(logits / temperature)
    assert exps[0] / exps.sum() == pytest.approx(0.95)


def test_full_strength_of_a_model_with_many_classes_is_bounded() -> None:
    assert find_full_strength(400, 1.0) == find_full_strength(1, 1.0) == FULL_STRENGTH


def test_hot_box_surrounds_the_hottest_cell_within_the_crop() -> None:
    values = np.zeros((1, 6, 8), np.float32)
    values[0, 1:3, 2:5] = 1.0
    values[0, 2, 3] = 2.0
    values[0, 5, 7] = 1.5  # as hot, but elsewhere
    values[0, 4, 0] = 0.9
    ys, xs = 10.0 * np.arange(6) + 4.5, 10.0 * np.arange(8) + 4.5
    track = Track("wave", np.zeros(1), values, ys, xs, Box(0, 0, 60, 80), 0.1)
    assert find_hot_box((track,)) == Box(10, 20, 30, 50)
    edge = replace(track, maps=np.roll(values, -1, axis=1), seen=Box(2, 0, 60, 45))
    assert find_hot_box((edge,)) == Box(2, 20, 20, 45)
    assert find_hot_box((replace(track, maps=-values),)) is None
    assert find_hot_box(()) is None


def test_live_settings_look_only_into_the_past() -> None:
    settings = live_settings(Settings(smoothing="gaussian", tail="shift"))
    assert (settings.tail, settings.smoothing, settings.seconds_between_clip_starts) == ("drop", "exponential", streaming.HOP_S)
