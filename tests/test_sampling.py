"""Checks clips against a literal search through all frames, and crops against literal loops over pixels."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidcam.errors import UsageError
from vidcam.sampling import MAX_STRETCH, TOLERANCE_S, Sampler, resize, spatial_crops
from vidcam.values import PADDING, Clip, CropGeometry
from vidcam.yuv import from_rgb

pytestmark = pytest.mark.portable


def picture(index: int) -> np.ndarray:
    return np.array([[[index & 255, index >> 8 & 255, index >> 16]]], np.uint8)


def index_of(image: np.ndarray) -> int:
    r, g, b = (int(v) for v in image[0, 0])
    return r | g << 8 | b << 16


def run(times: Sequence[float], last_s: float, **settings: object) -> list[Clip]:
    sampler = Sampler(**settings)
    clips = []
    for i, time in enumerate(times):
        until = times[i + 1] if i + 1 < len(times) else time + last_s
        clips += sampler.push(picture(i), time=time, duration=until - time)
    return clips + sampler.close()


def literal(
    times: Sequence[float],
    last_s: float,
    *,
    frames: int,
    seconds_between_frames: float,
    seconds_between_clip_starts: float,
    tail: str,
):
    """Return (frame numbers, span) of every clip, by searching all frames for each sample's time."""
    t0, end = times[0], times[-1] + (times[-1] + last_s - times[-1])

    def shown(sample: float) -> int | None:
        if not sample < end - TOLERANCE_S:
            return None
        found = 0
        for i, time in enumerate(times):
            if sample >= time - TOLERANCE_S:
                found = i
        return found

    clips = []
    k = 0
    while True:
        start = t0 + k * seconds_between_clip_starts
        picks = [shown(start + i * seconds_between_frames) for i in range(frames)]
        if None in picks:
            break
        clips.append((picks, (start, start + frames * seconds_between_frames)))
        k += 1
    held = [len(times) - 1 if p is None else p for p in picks]
    if not clips:
        return [(held, (t0, end if end > t0 else t0 + seconds_between_frames))]
    if end > clips[-1][1][1] + TOLERANCE_S:
        if tail == "hold" and start < end - TOLERANCE_S:
            clips.append((held, (start, end)))
        if tail == "shift":
            n = 0
            while shown(t0 + n * seconds_between_frames) is not None:
                n += 1
            start = t0 + (n - frames) * seconds_between_frames
            picks = [shown(t0 + (n - frames + i) * seconds_between_frames) for i in range(frames)]
            clips.append((picks, (start, max(end, start + frames * seconds_between_frames))))
    return clips


def check(times: Sequence[float], last_s: float, **settings: object) -> list[Clip]:
    got = run(times, last_s, **settings)
    want = literal(times, last_s, **settings)
    assert [([index_of(f) for f in w.frames], w.span) for w in got] == want
    for clip in got:
        assert clip.times.tolist() == [times[index_of(f)] for f in clip.frames]
    return got


rhythms = st.one_of(
    st.builds(lambda n, rate, t0: [t0 + i / rate for i in range(n)], st.integers(1, 90), st.sampled_from([7, 25, 30, 29.97]),
              st.sampled_from([0.0, 1.5, 1e4])),
    st.builds(lambda steps, t0: [t0 + float(s) for s in np.cumsum([0.0, *steps])],
              st.lists(st.floats(0.0002, 0.4), max_size=60), st.floats(-5, 100)),
)  # fmt: skip


@settings(max_examples=300)
@given(
    times=rhythms,
    last_s=st.floats(0, 0.5),
    frames=st.integers(1, 9),
    seconds_between_frames=st.sampled_from([0.2, 1 / 15, 1 / 30, 0.267, 0.011]),
    seconds_between_clip_starts=st.sampled_from([0.05, 0.2, 0.31, 1.0, 2.5]),
    tail=st.sampled_from(["shift", "hold", "drop"]),
)
def test_clips_match_a_literal_search(times, last_s, frames, seconds_between_frames, seconds_between_clip_starts, tail):
    clips = check(
        times,
        last_s,
        frames=frames,
        seconds_between_frames=seconds_between_frames,
        seconds_between_clip_starts=seconds_between_clip_starts,
        tail=tail,
    )
    if tail == "drop" or seconds_between_clip_starts > frames * seconds_between_frames:
        return
    reached = times[0]
    for start, end in (w.span for w in clips):  # every second of the video lies in some clip's span
        assert start <= reached + 1e-9
        reached = max(reached, end)
    assert reached >= times[-1] + last_s - TOLERANCE_S - 1e-9


def test_a_frame_stays_on_screen_until_the_next_one_comes():
    clips = check([0.0, 0.1, 0.9, 1.0], 0.1, frames=5, seconds_between_frames=0.2, seconds_between_clip_starts=10.0, tail="drop")
    assert [index_of(f) for f in clips[0].frames] == [0, 1, 1, 1, 1]
    assert clips[0].times.tolist() == [0.0, 0.1, 0.1, 0.1, 0.1]


def test_clips_of_a_long_pause_share_one_picture():
    sampler = Sampler(frames=16, seconds_between_frames=0.1, seconds_between_clip_starts=0.8)
    sampler.push(np.zeros((64, 64, 3), np.uint8), time=0.0, duration=0.1)
    clips = sampler.push(np.ones((64, 64, 3), np.uint8), time=240.0, duration=0.1)
    assert len(clips) > 290
    assert len({w.frames.__array_interface__["data"][0] for w in clips}) == 1
    assert all(w.frames.shape == (16, 64, 64, 3) and not w.frames.any() for w in clips)


def test_times_in_milliseconds_give_the_clips_of_exact_times():
    exact = [i / 30 for i in range(120)]
    rounded = [round(t, 3) for t in exact]
    setup = {"frames": 16, "seconds_between_frames": 1 / 15, "seconds_between_clip_starts": 0.5, "tail": "shift"}
    picks = [[[index_of(f) for f in w.frames] for w in run(times, 1 / 30, **setup)] for times in (exact, rounded)]
    assert picks[0] == picks[1]
    assert picks[0][0] == list(range(0, 32, 2))


def test_a_clip_is_returned_with_the_frame_after_its_last_sample():
    sampler = Sampler(frames=3, seconds_between_frames=0.2, seconds_between_clip_starts=0.2)
    came = [len(sampler.push(picture(i), time=i / 10, duration=0.1)) for i in range(9)]
    assert came == [0, 0, 0, 0, 0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("tail", "spans"),
    [
        ("shift", [(0.0, 1.0), (1.0, 2.0), (1.4, 2.4)]),
        ("hold", [(0.0, 1.0), (1.0, 2.0), (2.0, 2.3)]),
        ("drop", [(0.0, 1.0), (1.0, 2.0)]),
    ],
)
def test_each_tail_policy_gives_its_last_clip(tail, spans):
    clips = check(
        [i / 10 for i in range(23)], 0.1, frames=5, seconds_between_frames=0.2, seconds_between_clip_starts=1.0, tail=tail
    )
    assert [w.span for w in clips] == [pytest.approx(s) for s in spans]
    last = [index_of(f) for f in clips[-1].frames]
    assert last == {"shift": [14, 16, 18, 20, 22], "hold": [20, 22, 22, 22, 22], "drop": [10, 12, 14, 16, 18]}[tail]


def test_no_tail_clip_if_the_last_one_reaches_the_end():
    for tail in ("shift", "hold"):
        assert (
            len(
                check(
                    [i / 10 for i in range(20)],
                    0.1,
                    frames=5,
                    seconds_between_frames=0.2,
                    seconds_between_clip_starts=1.0,
                    tail=tail,
                )
            )
            == 2
        )


def test_no_tail_clip_if_the_video_ends_between_clips():
    clips = check(
        [i / 8 for i in range(8)], 0.125, frames=2, seconds_between_frames=0.2, seconds_between_clip_starts=1.0, tail="hold"
    )
    assert [w.span for w in clips] == [(0.0, 0.4)]


@pytest.mark.parametrize("tail", ["shift", "hold", "drop"])
def test_a_video_shorter_than_a_clip_repeats_its_last_frame(tail):
    clips = check([2.0, 2.1, 2.2], 0.1, frames=4, seconds_between_frames=0.2, seconds_between_clip_starts=0.5, tail=tail)
    assert [index_of(f) for f in clips[0].frames] == [0, 2, 2, 2]
    assert [w.span for w in clips] == [pytest.approx((2.0, 2.3))]


@pytest.mark.parametrize("duration", [0.04, 0.0])
def test_a_single_frame_gives_one_clip(duration):
    (clip,) = run([7.0], duration, frames=3, seconds_between_frames=0.5, seconds_between_clip_starts=1.0)
    assert clip.frames.shape == (3, 1, 1, 3)
    assert clip.span == (7.0, 7.04 if duration else 7.5)


def test_no_frame_gives_no_clip():
    assert Sampler(frames=3, seconds_between_frames=0.5, seconds_between_clip_starts=1.0).close() == []


def test_starts_do_not_drift_over_hours():
    hop, t0 = 7 / 30, 0.1
    sampler = Sampler(frames=1, seconds_between_frames=0.1, seconds_between_clip_starts=hop, tail="drop")
    starts = []
    for minute in range(60):
        starts += [w.span[0] for w in sampler.push(picture(minute), time=t0 + 60.0 * minute, duration=60.0)]
    assert starts == [t0 + k * hop for k in range(len(starts))]
    assert starts[-1] > 3500


@pytest.mark.parametrize("tail", ["shift", "hold"])
def test_the_buffer_does_not_grow_with_the_video(tail):
    def most_alive(count: int) -> int:
        sampler = Sampler(frames=8, seconds_between_frames=0.1, seconds_between_clip_starts=0.35, tail=tail)
        alive: dict[int, weakref.finalize] = {}
        most = 0
        for i in range(count):
            image = picture(i)
            alive[i] = weakref.finalize(image, alive.pop, i)
            sampler.push(image, time=i / 30, duration=1 / 30)
            del image
            most = max(most, len(alive))
        sampler.close()
        gc.collect()
        assert alive == {}
        return most

    assert most_alive(1500) == most_alive(150) <= 3 * 8 + 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frames": 0}, "at least 1 frame, got 0"),
        ({"seconds_between_frames": 0.0}, r"seconds_between_frames must be a positive number of seconds, got 0\.0"),
        (
            {"seconds_between_clip_starts": float("nan")},
            "seconds_between_clip_starts must be a positive number of seconds, got nan",
        ),
        ({"tail": "wrap"}, "must be 'shift', 'hold' or 'drop', got 'wrap'"),
    ],
)
def test_invalid_settings_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        Sampler(**{"frames": 2, "seconds_between_frames": 0.1, "seconds_between_clip_starts": 0.1, **wrong})


def test_invalid_frames_are_refused():
    sampler = Sampler(frames=2, seconds_between_frames=0.1, seconds_between_clip_starts=0.1)
    sampler.push(picture(0), time=1.0, duration=0.1)
    with pytest.raises(UsageError, match=r"in order of time: 1\.0 s came after 1\.0 s"):
        sampler.push(picture(1), time=1.0, duration=0.1)
    with pytest.raises(UsageError, match=r"one size: \(2, 2, 3\) came after \(1, 1, 3\)"):
        sampler.push(np.zeros((2, 2, 3), np.uint8), time=2.0, duration=0.1)
    with pytest.raises(UsageError, match="at least 0 s, got nan"):
        sampler.push(picture(1), time=float("nan"), duration=0.1)
    sampler.close()
    with pytest.raises(UsageError, match="is closed"):
        sampler.push(picture(1), time=3.0, duration=0.1)


def test_resize_is_bilinear_between_pixel_centres():
    image = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    geometry = CropGeometry((7, 9), (11, 5), (0, 0, 11, 5))
    got = resize(image, geometry)
    for y in range(11):
        for x in range(5):
            sy, sx = geometry.to_source(y, x)
            sy, sx = float(np.clip(sy, 0, 6)), float(np.clip(sx, 0, 8))
            y0, x0 = min(int(sy), 5), min(int(sx), 7)
            fy, fx = sy - y0, sx - x0
            square = image[y0 : y0 + 2, x0 : x0 + 2].astype(float)
            want = (1 - fy) * ((1 - fx) * square[0, 0] + fx * square[0, 1]) + fy * ((1 - fx) * square[1, 0] + fx * square[1, 1])
            assert np.abs(got[y, x] - want).max() <= 1.0  # OpenCV rounds its weights to 11 bits


def test_resize_checks_the_size_and_copies_nothing_needlessly():
    image = np.zeros((7, 9, 3), np.uint8)
    assert resize(image, CropGeometry((7, 9), (7, 9), (1, 1, 3, 3))) is image
    with pytest.raises(UsageError, match=r"the picture is \(7, 9\) .* for \(9, 7\)"):
        resize(image, CropGeometry((9, 7), (9, 7), (1, 1, 3, 3)))


@pytest.mark.parametrize(
    ("source", "size", "crop", "resized", "top_left"),
    [  # the numbers are what torchvision's resize and center_crop do
        ((240, 426), 182, (182, 182), (182, 323), (0, 70)),  # (323 - 182) / 2 = 70.5 rounds to the even 70
        ((1024, 576), 256, (224, 224), (455, 256), (116, 16)),
        ((240, 320), (128, 171), (112, 112), (128, 171), (8, 30)),
        ((256, 340), 256, (224, 224), (256, 340), (16, 58)),
        ((256, 341), 225, (224, 224), (225, 299), (0, 38)),
    ],
)
def test_the_centre_crop_is_torchvisions(source, size, crop, resized, top_left):
    assert spatial_crops(source, resize=size, crop=crop, cover=False) == (CropGeometry(source, resized, (*top_left, *crop)),)


def test_a_picture_too_narrow_for_the_crop_is_enlarged():
    (view,) = spatial_crops((100, 30), resize=100, crop=(112, 160), cover=False)
    assert view.resized == (533, 160)
    assert view.crop == (round((533 - 112) / 2), 0, 112, 160)


@settings(max_examples=300)
@given(
    source=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    size=st.one_of(st.integers(1, 200), st.tuples(st.integers(1, 200), st.integers(1, 200))),
    crop=st.tuples(st.integers(8, 150), st.integers(8, 150)),
)
def test_crops_that_cover_see_every_pixel_with_the_fewest_crops(source, size, crop):
    geometries = spatial_crops(source, resize=size, crop=crop, cover=True)
    resized = geometries[0].resized
    assert {g.resized for g in geometries} == {resized}
    assert any(resized[a] == crop[a] for a in (0, 1))
    if min(resized) > 30:  # the shape is kept, within a pixel
        assert abs(resized[0] * source[1] / source[0] - resized[1]) <= max(1, source[1] / source[0])
    for axis in (0, 1):
        length, need = resized[axis], crop[axis]
        starts = sorted({g.crop[axis] for g in geometries})
        seen = np.zeros(length, int)
        for start in starts:
            seen[start : start + need] += 1
        assert seen.min() >= 1
        steps = np.diff(starts)
        if length > need and len(starts) > 1:
            assert need - steps.max() >= 0.1 * need - 1  # the overlap, within a pixel's rounding
            fewer = len(starts) - 1
            assert fewer == 1 or need - (length - need) / (fewer - 1) < 0.1 * need + 1
    assert len(geometries) == len({g.crop for g in geometries})


def test_a_wide_video_is_covered_by_two_crops_from_left_to_right():
    got = spatial_crops((720, 1280), resize=182, crop=(160, 160), cover=True)
    assert [g.crop for g in got] == [(0, 0, 160, 160), (0, 124, 160, 160)]
    assert got[0].resized == (160, 284)


@pytest.mark.parametrize(
    ("source", "resized"),
    [
        ((480, 640), (112, 112)),  # 4:3 fills the square: one side is shrunk by exactly a third more
        ((720, 1280), (84, 112)),
        ((1280, 720), (112, 84)),
        ((300, 300), (112, 112)),
        ((20, 400), (7, 112)),
        ((28, 28), (112, 112)),
    ],
)
def test_a_picture_that_fits_is_whole_and_hardly_stretched(source, resized):
    (view,) = spatial_crops(source, resize="fit", crop=(112, 112), cover=False)
    assert view.resized == resized
    assert view.seen == (0, 0, *source)
    sy, sx = view.scale
    assert max(sy / sx, sx / sy) <= MAX_STRETCH * 1.07  # within a pixel of the short side


def test_what_a_fitted_picture_leaves_over_is_grey():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 90, (36, 128, 3), np.uint8)
    (view,) = spatial_crops((36, 128), resize="fit", crop=(32, 32), cover=False)
    cut = view.cut(np.stack([resize(image, view)] * 2))
    assert cut.shape == (2, 32, 32, 3)
    assert view.resized == (12, 32)
    assert (cut[:, :10] == PADDING).all()
    assert (cut[:, 22:] == PADDING).all()
    for y in range(12):  # every pixel is the mean of the 3 x 4 that it stands for
        for x in range(32):
            mean = image[3 * y : 3 * y + 3, 4 * x : 4 * x + 4].reshape(-1, 3).mean(0)
            assert np.abs(cut[0, 10 + y, x] - mean).max() <= 0.51
            assert view.to_source(10 + y, x) == (3 * y + 1, 4 * x + 1.5)


def test_the_planes_of_a_fitted_picture_are_averaged_too():
    grey = np.random.default_rng(1).integers(0, 256, (60, 80), np.uint8)
    (view,) = spatial_crops((60, 80), resize="fit", crop=(20, 20), cover=False)
    got = resize(from_rgb(np.stack([grey] * 3, -1)), view)
    mean = grey.reshape(20, 3, 20, 4).mean((1, 3))
    assert np.abs(got - mean[..., None]).max() <= 2.5  # the luma is rounded, and so is the mean


@pytest.mark.parametrize("wrong", [{"resize": 0}, {"crop": (0, 5)}, {"resize": (3, 0)}])
def test_sizes_below_a_pixel_are_refused(wrong):
    with pytest.raises(UsageError, match="at least 1 pixel"):
        spatial_crops((10, 10), **{"resize": 5, "crop": (5, 5), "cover": False, **wrong})


def test_a_lazy_picture_is_computed_once_and_only_if_a_clip_shows_it():
    made: list[int] = []

    def maker(i: int):
        def make() -> np.ndarray:
            made.append(i)
            return picture(i)

        return make

    sampler, clips = Sampler(frames=4, seconds_between_frames=0.2, seconds_between_clip_starts=0.4), []
    for i in range(60):
        clips += sampler.push(maker(i), time=i / 30, duration=1 / 30)
    clips += sampler.close()
    shown = {index_of(image) for clip in clips for image in clip.frames}
    assert sorted(made) == sorted(set(made))  # none twice
    assert shown <= set(made) < set(range(60))
    assert len(made) <= len(shown) + 4  # and those that a shifted last clip might have shown
