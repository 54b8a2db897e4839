"""Random scenes: one acting person, an empty place, several people, or unrelated video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vidcam.synthetic import negatives
from vidcam.synthetic.actions import MOTIONS
from vidcam.synthetic.arrays import Floats, Picture, Rng, to_picture
from vidcam.synthetic.body import Body, Pose, Skeleton, colour, dimmed, random_body, skeleton
from vidcam.synthetic.camera import Camera, look_at, measure_motion, place_camera, sees_action, shake
from vidcam.synthetic.motion import NONE, Action, Stance
from vidcam.synthetic.other_motions import other
from vidcam.synthetic.props import chair, held, moving_things, occluders
from vidcam.synthetic.stage import Stage, add_bystanders, add_person, make_stage
from vidcam.synthetic.visibility import shows_something

LEAST_MOTION = 0.07
"""How far (in heights of the picture) a hand, a foot or the head must move if someone does none of the actions: further than
anyone who rests."""

ARMS_HANG = ("sitting down", "standing up", "falling down", "walking", "running")
MAY_SIT = {
    "standing idle": 0.3, "waving one hand": 0.3, "clapping": 0.3, "raising both arms sideways": 0.12,
    "raising both arms in front": 0.12, "boxing": 0.06, "arm circles": 0.05, NONE: 0.35,
}  # fmt: skip
"""How often a person sits while doing this."""

UNRELATED_KINDS = {"person": 0.31, "close": 0.12, "crowd": 0.08, "pair": 0.09, "cut": 0.1} | dict.fromkeys(
    negatives.KINDS, 0.3 / len(negatives.KINDS)
)
"""How often each kind of "none of these" is drawn."""


@dataclass(frozen=True)
class Shot:
    """What a scene is drawn for: ``frames`` pictures of ``size`` (H, W), ``dt`` seconds apart.

    ``photos`` are pictures ``(H,W,3)`` that may become places; ``plain`` leaves out everything that makes an action hard to see.
    """

    rng: Rng
    frames: int
    dt: float
    size: tuple[int, int]
    photos: Sequence[Picture] = ()
    plain: bool = False


@dataclass
class Take:
    """A drawn scene: pictures ``(T,H,W,3)`` and whose pixels they are ``(T,H,W)``.

    ``is_valid`` is whether it shows what it should; ``stage`` is set if there is one acting person.
    """

    pictures: Picture
    whose: npt.NDArray[np.uint8]
    is_valid: bool = True
    stage: Stage | None = None


@dataclass(frozen=True)
class _Performance:
    """One person and what they do in the clip."""

    label: str
    body: Body
    stance: Stance
    action: Action
    pose: Pose
    skeleton: Skeleton
    t: Floats  # the seconds of all sub-frames, from the start of the action

    @property
    def seat(self) -> tuple[float, float] | None:
        """The height above the floor and the distance behind of what they sit on, in units of the height."""
        if self.action.seat or not self.stance.seated:
            return self.action.seat
        return self.body.hip + self.stance.seat[1], self.stance.seat[2]


def person_stage(shot: Shot, label: str, *, close: bool = False) -> tuple[Stage, Action, float]:
    """Return a stage with one acting person, the action, and the second of it at which the clip starts.

    ``close`` shows a detail such as the hands.
    """
    rng, size, plain = shot.rng, shot.size, shot.plain
    body = random_body(rng)
    against_the_light = bool(rng.random() < 0.08) and not plain
    if against_the_light:
        body = dimmed(body, float(rng.uniform(0.05, 0.3)))
    seated = bool(rng.random() < MAY_SIT.get(label, 0.0))
    arms = "hang" if label in ARMS_HANG or (not seated and rng.random() < 0.5) else None
    stance = Stance(rng, seated=seated, arms=arms)
    action = MOTIONS[label](rng, stance, None) if label in MOTIONS else other(rng, stance, None)
    start = choose_start(rng, action, (shot.frames - 1) * shot.dt)
    subframes = int(rng.choice([1, 2, 3], p=[0.55, 0.2, 0.25]))
    t = sample_times(shot, subframes)
    maps = shake(rng, t, *size, strength=_shake_strength(rng, label) * (not plain))
    pose = action.pose(t + start)
    person = _Performance(label, body, stance, action, pose, skeleton(body, pose), t + start)
    camera, view = _find_camera(shot, person, maps, close=close)
    stage = make_stage(rng, t, subframes, size, camera, maps, photos=shot.photos)

    def maybe(odds: float) -> bool:
        return bool(rng.random() < odds) and not plain

    _add_behind(stage, person, view, maybe)
    _light_place(stage, maybe, against_the_light=against_the_light)
    add_person(stage, body, pose, groups=action.groups, drawn=maybe(0.05))
    _add_in_front(stage, person, maybe, maps)
    return stage, action, start


def _light_place(stage: Stage, maybe: Callable[[float], bool], *, against_the_light: bool) -> None:
    """Make the place bright behind someone who stands against the light, dark around someone in the light, or sunny."""
    if against_the_light:
        stage.place = to_picture(stage.place * np.float32(0.7) + np.float32(stage.rng.uniform(40, 110)))
    elif maybe(0.1):
        stage.place = to_picture(stage.place * np.float32(stage.rng.uniform(0.08, 0.5)))
    elif maybe(0.25):
        stage.sun = float(stage.rng.uniform(0.3, 0.8))


def _find_camera(shot: Shot, person: _Performance, maps: Floats, *, close: bool) -> tuple[Camera, float]:
    """Return a camera that sees what makes the action, and how many body heights it shows.

    After 12 attempts it returns any camera.
    """
    size = shot.size
    for _ in range(12):
        camera, view = place_camera(
            shot.rng, person.label, person.body, seated=person.stance.seated, size=size, maps=maps, close=close, plain=shot.plain
        )
        if person.label == NONE and measure_motion(camera, person.skeleton, size)[1] < LEAST_MOTION:
            continue
        if close or sees_action(camera, person.skeleton, person.action, person.t, size):
            break
    return camera, view


def _add_behind(stage: Stage, person: _Performance, view: float, maybe: Callable[[float], bool]) -> None:
    """Add what lies behind the acting person: a place that moves past, a shadow, things, other people."""
    rng, t, (h, w) = stage.rng, stage.t, stage.size
    if person.label in ("walking", "running") and not person.action.travels and maybe(0.5):  # the camera follows the person
        stage.place_maps = stage.place_maps.copy()
        stage.place_maps[:, 0, 2] += rng.choice([-1, 1]) * rng.uniform(0.1, 0.5) * w * (t - t.mean())
    if maybe(0.1):
        stage.wall_shadow = (float(rng.normal(0, 0.06) * w), float(rng.uniform(-0.02, 0.06) * h), float(rng.uniform(0.2, 0.55)))
    if maybe(0.22):
        stage.shapes += moving_things(rng, t, h, w, stage.place_maps, count=int(rng.integers(1, 4)))
    if maybe(0.16):
        add_bystanders(stage, view, int(rng.integers(1, 4)), nearest=1.0)


def _add_in_front(stage: Stage, person: _Performance, maybe: Callable[[float], bool], maps: Floats) -> None:
    """Add what lies at or before the acting person: something in the hands, a chair, things in front."""
    rng, t, (h, w), body = stage.rng, stage.t, stage.size, person.body
    if maybe(0.35 if person.label == NONE else 0.03):
        stage.shapes += held(rng, body, person.skeleton, stage.camera, stage.light)
    if person.seat is not None and rng.random() < 0.8:
        wide = body.height * float(rng.uniform(0.9, 1.3))
        stage.shapes += chair(
            stage.camera, stage.light, seat=(person.seat[0] - 0.065) * body.height, z=person.seat[1] * body.height, size=wide,
            colour=colour(rng), n=len(t),
        )  # fmt: skip
    if maybe(0.3 if person.stance.seated else 0.12):
        stage.shapes += occluders(rng, len(t), h, w)
    if maybe(0.05):
        stage.shapes += moving_things(rng, t, h, w, maps, count=1, near=True)


def choose_start(rng: Rng, action: Action, length: float) -> float:
    """Return the second of the action at which a clip of ``length`` seconds starts that identifies it."""
    if action.travels:
        first = action.decisive[0][0]
        return float(rng.uniform(first - 0.45 * length, first + 0.5) if first > -1 else 2.0 - length / 2 + rng.normal(0, 0.2))
    for _ in range(60):
        start = float(rng.uniform(-0.6 * length, max(action.length - 0.35 * length, 0.0)))
        for a, b, need in action.decisive:
            if min(b, start + length) - max(a, start) >= min(need, 0.85 * length):
                return start
    a, b, _ = action.decisive[int(rng.integers(len(action.decisive)))]
    return (a + b) / 2 - length / 2


def sample_times(shot: Shot, subframes: int) -> Floats:
    """Return the seconds of all sub-frames; those of one frame are adjacent and span its exposure."""
    rng, dt = shot.rng, shot.dt
    t = np.arange(shot.frames, dtype=np.float64) * dt
    if subframes == 1:
        return t
    exposure = rng.uniform(0.15, 0.45) * dt if dt > 0.05 else 0.5 * dt
    out: Floats = (t[:, None] + np.linspace(0, exposure, subframes)).ravel()
    return out


def _shake_strength(rng: Rng, label: str) -> float:
    """Return how much the camera shakes: most actions have a still one, other video is mostly hand-held."""
    odds = [0.25, 0.25, 0.5] if label == NONE else [0.58, 0.24, 0.18]
    return float(rng.choice([0.0, rng.uniform(0.2, 1.2), rng.uniform(1.6, 5)], p=odds))


def empty_stage(shot: Shot) -> Stage:
    """Return a place without people: still, trembling, or with some small thing that moves."""
    rng, (h, w) = shot.rng, shot.size
    t = sample_times(shot, 1)
    maps = shake(rng, t, h, w, strength=float(rng.uniform(0.2, 1.3)) if rng.random() < 0.35 else 0.0)
    camera, _ = place_camera(rng, "standing idle", random_body(rng), seated=False, size=shot.size, maps=maps)
    stage = make_stage(rng, t, 1, shot.size, camera, maps, photos=shot.photos)
    if rng.random() < 0.45:
        stage.shapes += moving_things(rng, t, h, w, maps, count=int(rng.integers(1, 3)), fast=0.5)
    if rng.random() < 0.3:
        stage.shapes += chair(camera, stage.light, seat=0.45, z=0.0, size=1.7, colour=colour(rng), n=len(t))
    if rng.random() < 0.25:
        stage.shapes += occluders(rng, len(t), h, w)
    return stage


def _crowd_stage(shot: Shot, t: Floats, maps: Floats) -> Stage:
    """Return a stage with many people who do different things."""
    rng, size = shot.rng, shot.size
    camera, view = place_camera(rng, "walking", random_body(rng), seated=False, size=size, maps=maps)
    stage = make_stage(rng, t, 1, size, camera, maps, photos=shot.photos)
    add_bystanders(stage, view, int(rng.integers(3, 9)), wild=True, nearest=-0.6)
    return stage


def _pair_stage(shot: Shot, t: Floats, maps: Floats) -> Stage:
    """Return a stage with people who face each other, or who all do the same side by side."""
    rng, size = shot.rng, shot.size
    body = random_body(rng)
    camera, _ = place_camera(rng, NONE, body, seated=False, size=size, maps=maps)
    stage = make_stage(rng, t, 1, size, camera, maps, photos=shot.photos)
    count, alike = int(rng.integers(2, 5)), rng.random() < 0.4
    gap, stance = rng.uniform(0.25, 0.9), Stance(rng)
    action = other(rng, stance, None)
    for i in range(count):
        if i and not alike:
            action = other(rng, Stance(rng), None)
        yaw = float(rng.normal(0, 0.2)) if alike else float((0.5 - i % 2) * np.pi * rng.uniform(0.4, 1.2))
        place = ((i - (count - 1) / 2) * gap, float(rng.normal(0, 0.3)))
        add_person(stage, body, action.pose(t + rng.normal(0.6, 0.05)), groups=None, place=place, yaw=yaw)
        body = random_body(rng)
    return stage


def choose_unrelated_kind(rng: Rng) -> str:
    """Return one of ``UNRELATED_KINDS`` at random."""
    return str(rng.choice([*UNRELATED_KINDS], p=[*UNRELATED_KINDS.values()]))


def draw_unrelated(shot: Shot, kind: str) -> Take:
    """Draw video of a kind that shows none of the actions.

    It is valid if it shows more than rest or an empty place.
    """
    rng, (h, w) = shot.rng, shot.size
    if kind == "cut" and shot.frames >= 4:
        n = int(rng.integers(2, shot.frames - 1))
        shots = (replace(shot, frames=count) for count in (n, shot.frames - n))
        a, b = (draw_unrelated(part, choose_unrelated_kind(rng)) for part in shots)
        pictures, whose = np.concatenate([a.pictures, b.pictures]), np.concatenate([a.whose, b.whose])
        return Take(pictures, whose, a.is_valid or b.is_valid)
    if kind in ("person", "close", "cut"):
        stage = person_stage(shot, NONE, close=kind == "close")[0]
        return Take(*stage.render(), stage.people[-1][1] >= LEAST_MOTION, stage)
    t = sample_times(shot, 1)
    maps = shake(rng, t, h, w, strength=float(rng.choice([0.0, rng.uniform(0.5, 8)], p=[0.35, 0.65])))
    if kind in ("crowd", "pair"):
        stage = (_crowd_stage if kind == "crowd" else _pair_stage)(shot, t, maps)
        heads, motions = zip(*stage.people, strict=True)
        return Take(*stage.render(), sum(heads) > 1 and max(motions) >= LEAST_MOTION)
    camera = look_at(
        np.zeros(3), azimuth=0.0, elevation=0.0, distance=3.0, roll=0.0, focal=(h, h), centre=(w / 2, h / 2), shake=maps
    )
    stage = make_stage(rng, t, 1, shot.size, camera, maps, floor_seen=False, photos=shot.photos)
    out = negatives.KINDS[kind](rng, stage.place, t, maps, shot.size)
    if isinstance(out, list):
        stage.shapes += out
        return Take(*stage.render())
    return Take(out, np.zeros(out.shape[:3], np.uint8), kind == "screen" or shows_something(out))
