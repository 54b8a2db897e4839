"""Synthetic people: determinism, ground truth, and the properties of each motion, checked on the joints in space."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.drawn import digest

from vidcam.errors import UnknownNameError, UsageError
from vidcam.synthetic import CLASSES, NONE, negatives, sample, sampling, scene, scene_sampling, stage, visibility
from vidcam.synthetic.actions import MOTIONS
from vidcam.synthetic.body import ARM_L, LEG_L, Body, Pose, Skeleton, random_body, skeleton
from vidcam.synthetic.motion import Stance, ease

ACTING = [c for c in CLASSES if c not in ("standing idle", "no person")]


def test_classes_keep_their_order() -> None:
    assert CLASSES == (
        "standing idle", "waving one hand", "raising both arms sideways", "raising both arms in front", "clapping", "boxing",
        "arm circles", "jumping jack", "squatting", "bending over", "kicking", "walking", "running", "jumping", "sitting down",
        "standing up", "falling down", "no person",
    )  # fmt: skip
    assert NONE not in CLASSES


def test_same_seed_gives_the_same_bytes_in_any_process() -> None:
    seeds = (3, 4, 5, 6)
    here = [digest(sample(s)) for s in seeds]
    code = (
        "from support.drawn import digest\nfrom vidcam.synthetic import sample\nfor s in (6, 5, 4, 3): print(digest(sample(s)))"
    )
    folder = Path(__file__).parent
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, env={"PYTHONPATH": f"{folder}:{folder.parent}", "PATH": ""},
                         capture_output=True, text=True, check=True)  # fmt: skip
    assert run.stdout.split() == here[::-1]
    assert len(set(here)) == len(here)


@pytest.mark.parametrize("label", [*CLASSES, NONE])
def test_clips_have_the_stated_shapes_and_masks(label: str) -> None:
    for seed in range(6):
        c = sample(seed, label=label, frames=8, size=(60, 80), seconds_between_frames=0.1)
        assert c.label == label
        assert c.fps == pytest.approx(10.0)
        assert c.frames.shape == (8, 60, 80, 3)
        assert c.frames.dtype == np.uint8
        assert c.person.shape == c.parts.shape == (8, 60, 80)
        assert c.person.dtype == c.parts.dtype == c.active.dtype == np.bool_
        assert not (c.parts & ~c.person).any()
        if label in ("no person", "standing idle", NONE):
            assert not c.parts.any()
            assert not c.active.any()
        if label == "no person":
            assert not c.person.any()


@pytest.mark.parametrize("label", ACTING)
def test_clip_shows_enough_of_its_action(label: str) -> None:
    shown = [sample(s, label=label) for s in range(8)]
    assert all(c.active.sum() >= 4 for c in shown)
    assert np.mean([c.active.mean() for c in shown]) >= 0.35
    # the acting parts are visible: in nearly all clips they cover some pixels of most active frames
    visible = [(c.parts[c.active].sum((1, 2)) >= 12).mean() > 0.6 for c in shown]
    assert np.mean(visible) >= 0.7


@pytest.mark.parametrize("label", ["waving one hand", "raising both arms sideways", "clapping", "boxing", "jumping jack"])
def test_acting_parts_are_those_that_move(label: str) -> None:
    inside, outside = [], []
    for seed in range(10):
        c = sample(seed, label=label)
        change = np.abs(np.diff(c.frames.astype(float), axis=0)).mean(-1)
        for i in np.flatnonzero(c.active[1:] & c.active[:-1]):
            grown = cv2.dilate((c.parts[i] | c.parts[i + 1]).astype(np.uint8), np.ones((3, 3))) > 0
            far = cv2.dilate((c.person[i] | c.person[i + 1]).astype(np.uint8), np.ones((7, 7))) == 0
            if grown.any() and far.any():
                inside.append(change[i][grown].mean())
                outside.append(change[i][far].mean())
    # the cameras of some of them shake: compare the medians over all
    assert np.median(inside) > 2.0 * np.median(outside)


def test_waving_arm_is_part_of_the_person() -> None:
    c = next(sample(s, label="waving one hand") for s in range(5))
    assert 0.0 < c.parts[c.active].mean() < c.person[c.active].mean() < 0.9


def acted(label: str, seed: int) -> tuple[Skeleton, Pose, np.ndarray, frozenset[int], Body]:
    """Return the joints over one standing action, the pose, when it is active, its parts and the body."""
    rng = np.random.default_rng(seed)
    body, stance = random_body(rng), Stance(rng, arms="hang")
    action = MOTIONS[label](rng, stance, None)
    assert action.label == label
    t = np.linspace(-0.5, action.length + 0.5, 160)
    pose = action.pose(t)
    return skeleton(body, pose), pose, action.active(t), action.groups, body


SEEDS = range(12)


@pytest.mark.parametrize("label", list(MOTIONS))
def test_bones_keep_their_lengths_and_joints_do_not_jump(label: str) -> None:
    for seed in SEEDS:
        s, _, _, _, body = acted(label, seed)
        for a, b, length in ((s.shoulder, s.elbow, body.upper_arm), (s.elbow, s.wrist, body.forearm)):
            np.testing.assert_allclose(np.linalg.norm(b - a, axis=-1), length * body.height, rtol=0.03)
        shin = np.linalg.norm(s.ankle - s.knee, axis=-1)
        np.testing.assert_allclose(shin, np.linalg.norm(s.knee - s.hip, axis=-1), rtol=1e-6)
        for joint in (s.wrist, s.ankle, s.knee, s.skull[:, None]):
            assert np.isfinite(joint).all()
            assert np.linalg.norm(np.diff(joint, axis=0), axis=-1).max() < 0.45 * body.height


def test_wave_lifts_and_swings_one_hand() -> None:
    for seed in SEEDS:
        s, _, active, groups, body = acted("waving one hand", seed)
        (group,) = groups
        i = group - ARM_L
        top = np.percentile(s.wrist[active, i, 1], 70)
        assert top > s.shoulder[active, i, 1].mean() - 0.05 * body.height
        assert s.wrist[:, 1 - i, 1].max() < s.shoulder[:, 1 - i, 1].min()
        assert s.finger[active, i, 0].std() + s.finger[active, i, 2].std() > 0.01 * body.height


def test_raising_arms_sideways_and_in_front_differ() -> None:
    for label, far, near in (("raising both arms sideways", 0, 2), ("raising both arms in front", 2, 0)):
        for seed in SEEDS:
            s, pose, _, _, body = acted(label, seed)
            arm = (s.wrist - s.shoulder) / body.height
            highest = s.wrist[..., 1].max(0)
            assert (highest > s.shoulder[..., 1].min(0) - 0.03 * body.height).all()
            assert (s.wrist[[0, -1], :, 1] < s.shoulder[[0, -1], :, 1]).all()
            half = np.abs(pose.elev - 1.3).argmin(0)  # on the way, with the arms nearly level
            for i in (0, 1):
                level = np.abs(arm[half[i], i])
                assert level[far] > level[near], label


def test_hips_and_head_go_down_and_up_as_named() -> None:
    for seed in SEEDS:
        for label, sign in (("sitting down", -1), ("standing up", 1)):
            s, _, active, _, body = acted(label, seed)
            change = (s.pelvis[-1, 1] - s.pelvis[0, 1]) / body.height
            assert sign * change > 0.15
            y = s.pelvis[active, 1]
            assert (sign * np.diff(y) > -0.004 * body.height).all()
        s, _, _, _, body = acted("squatting", seed)
        assert s.pelvis[:, 1].min() < s.pelvis[0, 1] - 0.09 * body.height  # half squats too
        assert abs(s.pelvis[-1, 1] - s.pelvis[0, 1]) < 0.03 * body.height
        s, _, _, _, body = acted("falling down", seed)
        assert s.skull[-1, 1] < 0.35 * body.height < s.skull[0, 1]
        s, _, _, _, body = acted("bending over", seed)
        assert s.skull[:, 1].min() < 0.72 * body.height
        s, _, _, _, body = acted("jumping", seed)
        assert s.ankle[..., 1].min(-1).max() > 0.06 * body.height


def test_clapping_hands_meet_and_boxing_hands_reach_out() -> None:
    for seed in SEEDS:
        s, _, active, _, body = acted("clapping", seed)
        gap = np.linalg.norm(s.wrist[active, 0] - s.wrist[active, 1], axis=-1) / body.height
        assert gap.min() < 0.1
        assert gap.max() > gap.min() + 0.03
        s, _, active, _, body = acted("boxing", seed)
        reach = np.linalg.norm(s.wrist - s.shoulder, axis=-1)[active] / (body.height * (body.upper_arm + body.forearm))
        assert reach.max() > 0.8
        assert (s.wrist[active][..., 1] > s.shoulder[active][..., 1] - 0.25 * body.height).mean() > 0.7


def test_arm_circles_go_round_and_jacks_open_the_legs() -> None:
    for seed in SEEDS:
        s, _, active, _, body = acted("arm circles", seed)
        v = (s.wrist - s.shoulder)[active, 0]
        angle = np.unwrap(np.arctan2(v[:, 1] - v[:, 1].mean(), v[:, 2] - v[:, 2].mean()))
        assert abs(angle[-1] - angle[0]) > 1.5 * np.pi
        s, _, active, _, body = acted("jumping jack", seed)
        apart = np.abs(s.ankle[:, 0, 0] - s.ankle[:, 1, 0]) / body.height
        assert apart.max() - apart.min() > 0.15
        shoulders = s.shoulder[..., 1].max(0) - 0.06 * body.height  # half jacks go no higher
        assert (s.wrist[..., 1].max(0) > shoulders).all()


def test_kicks_lift_the_named_leg_and_steps_alternate() -> None:
    for seed in SEEDS:
        s, _, _, groups, body = acted("kicking", seed)
        for g in groups:
            assert s.ankle[:, g - LEG_L, 1].max() > 0.15 * body.height
        for label in ("walking", "running"):
            s, _, _, _, body = acted(label, seed)
            lift = s.ankle[..., 1] - s.ankle[..., 1].min(0)
            assert np.corrcoef(lift.T)[0, 1] < 0.35  # one foot is up while the other is down
            assert (lift.max(0) > 0.012 * body.height).all()


def test_ease_is_the_minimum_jerk_curve() -> None:
    t = np.linspace(1, 3, 2001)
    x = ease(t, 1, 3)
    assert x[0] == 0
    assert x[-1] == 1
    speed = np.gradient(x, t)
    assert speed.max() == pytest.approx(1.875 / 2, rel=1e-3)  # peak speed of a minimum-jerk reach: 15/8 of the mean
    assert abs(speed[0]) + abs(speed[-1]) < 1e-4


def test_labels_and_sizes_are_checked() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'waving one hand'"):
        sample(0, label="waving one hnd")
    with pytest.raises(UsageError, match="at least 16x16"):
        sample(0, size=8)
    with pytest.raises(UsageError, match="seconds_between_frames must be positive"):
        sample(0, seconds_between_frames=0.0)
    with pytest.raises(UnknownNameError, match="unknown label"):
        next(iter(scene([("no person", 1.0)], seed=0)))
    with pytest.raises(UsageError, match="positive seconds"):
        next(iter(scene([("clapping", 0.0)], seed=0)))


def test_scene_does_its_script_in_order() -> None:
    script = [("standing idle", 0.8), ("waving one hand", 2.0), ("squatting", 1.6)]
    frames = list(scene(script, seed=1, fps=12.5, size=(90, 120)))
    assert len(frames) == 55
    np.testing.assert_allclose(np.diff([f.time for f in frames]), 0.08)
    assert [f.label for f in frames] == ["standing idle"] * 10 + ["waving one hand"] * 25 + ["squatting"] * 20
    assert not any(f.active or f.parts.any() for f in frames[:10])
    assert sum(f.active for f in frames[10:35]) > 15
    assert all(f.person.any() for f in frames)
    # no cut between the actions: the pictures change no more there than within them
    change = [np.abs(a.image.astype(float) - b.image).mean() for a, b in pairwise(frames)]
    assert max(change[9], change[34]) < np.percentile(change, 90) + 0.5


def test_clip_with_a_too_small_action_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def least_share() -> float:
        """Return the waving arm's smallest share of the picture in some clips, over four frames of its waving."""
        shares = []
        for seed in range(12):
            clip = sample(seed, label="waving one hand")
            when = np.flatnonzero(clip.active)
            some = when[np.linspace(0, len(when) - 1, min(4, len(when))).round().astype(int)]
            shares.append(float(clip.parts[some].mean()))
        return min(shares)

    assert least_share() >= visibility.LEAST_SHARE
    monkeypatch.setattr(sampling, "MAX_ATTEMPTS", 1)
    assert least_share() < visibility.LEAST_SHARE


def ways(label: str, seeds: range, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return how far a hand, a foot or the head moves in clips of one person, in heights of the picture."""
    people: list[list[tuple[bool, float]]] = []
    draw = scene_sampling.person_stage

    def watched(*args, **options):  # type: ignore[no-untyped-def]
        out = draw(*args, **options)
        people.append(out[0].people)
        return out

    with monkeypatch.context() as patch:
        patch.setattr(scene_sampling, "person_stage", watched)
        patch.setattr(sampling, "person_stage", watched)
        distances = []
        for seed in seeds:
            sample(seed, label=label)
            distances.append(people[-1][-1][1])  # the acting person of the last attempt
    return distances


def test_people_of_none_of_these_move_more_than_idle_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_sampling, "UNRELATED_KINDS", {"person": 0.6, "close": 0.4})
    rest = np.array(ways("standing idle", range(60), monkeypatch))
    other = np.array(ways(NONE, range(25), monkeypatch))
    assert (rest < scene_sampling.LEAST_MOTION).mean() > 0.98
    assert (other >= scene_sampling.LEAST_MOTION).all()
    monkeypatch.setattr(sampling, "MAX_ATTEMPTS", 1)
    assert (np.array(ways(NONE, range(40, 50), monkeypatch)) < scene_sampling.LEAST_MOTION).any()


def test_an_empty_place_is_not_none_of_these(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    wall = np.full((16, 64, 64, 3), 130, np.uint8)
    texture = cv2.resize(rng.integers(0, 255, (30, 30, 3), dtype=np.uint8), (160, 64))
    panned = np.stack([texture[:, 4 * i : 4 * i + 64] for i in range(16)])
    assert not visibility.shows_something(wall)
    assert not visibility.shows_something(np.repeat(panned[:1], 16, 0))  # textured, but still
    flicker = wall + np.arange(16, dtype=np.uint8)[:, None, None, None] * 4
    assert not visibility.shows_something(flicker)  # it changes, but there is nothing to see
    assert visibility.shows_something(panned)

    shown = iter([wall, wall, panned])
    monkeypatch.setattr(scene_sampling, "UNRELATED_KINDS", {"pan": 1.0})
    monkeypatch.setattr(negatives, "KINDS", {"pan": lambda *_: next(shown)})
    monkeypatch.setattr(sampling, "degrade", lambda rng, pictures, t: pictures)
    np.testing.assert_array_equal(sample(5, label=NONE, size=64).frames, panned)


def test_crowd_has_people_who_move(monkeypatch: pytest.MonkeyPatch) -> None:
    stages: list[stage.Stage] = []
    make = scene_sampling.make_stage
    monkeypatch.setattr(scene_sampling, "make_stage", lambda *a, **k: stages.append(make(*a, **k)) or stages[-1])
    for kind in ("crowd", "pair"):
        monkeypatch.setattr(scene_sampling, "UNRELATED_KINDS", {kind: 1.0})
        for seed in range(10):
            sample(seed, label=NONE)
            heads, ways = zip(*stages[-1].people, strict=True)
            assert sum(heads) >= 2
            assert max(ways) >= scene_sampling.LEAST_MOTION
