"""Clips: a labelled window of video with its exact ground truth, and longer scenes of several actions."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.errors import UnknownNameError, UsageError
from vidcam.synthetic import negatives
from vidcam.synthetic.actions import MOTIONS, other
from vidcam.synthetic.body import (
    ARM_L,
    ARM_R,
    LEG_L,
    LEG_R,
    TORSO,
    Body,
    Floats,
    Pose,
    Skeleton,
    colour,
    mix,
    random_body,
    skeleton,
    unit,
)
from vidcam.synthetic.degrade import degrade
from vidcam.synthetic.draw import PART, PERSON, Camera, Light, Shape, chair, figure, held, look_at, orders, paint, patch
from vidcam.synthetic.motion import Action, Stance, ease
from vidcam.synthetic.scene import background, moving_things, occluders, shake, to_picture

Rng = np.random.Generator
Bools = npt.NDArray[np.bool_]
Picture = npt.NDArray[np.uint8]

TRIES, SMALLEST, LEAST_VISIBLE, LEAST_CONTRAST = 6, 0.016, 0.8, 45.0
"""How often a clip is drawn again that nobody could tell; the acting parts' least share of the picture, the least share of them
that is not hidden, and the least contrast (of 255) across the person's outline."""

LEAST_STIR = 0.07
"""How far (in heights of the picture) a hand, a foot or the head must come of who does something that is none of the actions:
further than anyone's who rests."""

LEAST_TEXTURE, LEAST_CHANGE = 15.0, 8.0
"""The least spread and the least change over time (of 255) of a blurred picture without people, where it is to be more than an
empty place ("no person")."""

CLASSES: tuple[str, ...] = (*MOTIONS, "no person")
NONE = "none of these"

# How much of the body a clip shows: upper body as before a webcam, three quarters, all of it, far away.
_ARMS = (0.56, 0.2, 0.17, 0.07)
_FRAMING = {
    "standing idle": _ARMS, "waving one hand": _ARMS, "raising both arms sideways": _ARMS, "raising both arms in front": _ARMS,
    "clapping": _ARMS, "boxing": (0.45, 0.22, 0.25, 0.08), "arm circles": (0.45, 0.22, 0.25, 0.08),
    "jumping jack": (0.12, 0.28, 0.48, 0.12), "squatting": (0.1, 0.28, 0.5, 0.12), "bending over": (0.2, 0.28, 0.42, 0.1),
    "kicking": (0.0, 0.15, 0.7, 0.15), "walking": (0.03, 0.2, 0.55, 0.22), "running": (0.03, 0.2, 0.55, 0.22),
    "jumping": (0.12, 0.28, 0.48, 0.12), "sitting down": (0.1, 0.35, 0.45, 0.1), "standing up": (0.1, 0.35, 0.45, 0.1),
    "falling down": (0.0, 0.06, 0.72, 0.22), NONE: (0.42, 0.26, 0.22, 0.1),
}  # fmt: skip
_TALL = {"raising both arms sideways", "raising both arms in front", "jumping jack", "arm circles", "waving one hand", "jumping"}
_MAY_SIT = {"standing idle": 0.3, "waving one hand": 0.3, "clapping": 0.3, "raising both arms sideways": 0.12,
            "raising both arms in front": 0.12, "boxing": 0.06, "arm circles": 0.05, NONE: 0.35}  # fmt: skip


@dataclass(frozen=True)
class SyntheticVideo:
    """A drawn window of video: pictures, label and where and when the action is.

    ``frames (T,H,W,3) uint8`` RGB at ``fps`` frames a second; ``person (T,H,W)`` the visible pixels of the acting person,
    ``parts (T,H,W)`` of the body parts that make the action (a subset; none where nothing acts), ``active (T,)`` the frames in
    which it happens.
    """

    frames: Picture
    fps: float
    label: str
    person: Bools
    parts: Bools
    active: Bools


@dataclass
class _Stage:
    """What one clip is drawn from: the place, the camera, the light and everything that is painted."""

    rng: Rng
    size: tuple[int, int]
    t: Floats  # the seconds of all sub-frames, those of one frame side by side
    subframes: int
    camera: Camera
    light: Light
    place: Picture
    place_maps: Floats
    shapes: list[Shape] = field(default_factory=list)
    wall_shadow: tuple[float, float, float] | None = None
    people: list[tuple[bool, float]] = field(default_factory=list)  # see _seen

    def render(self) -> tuple[Picture, npt.NDArray[np.uint8]]:
        """Pictures ``(T,H,W,3)`` and whose pixels they are ``(T,H,W)``."""
        h, w = self.size
        n = len(self.t) // self.subframes
        frames, whose = np.empty((n, h, w, 3), np.uint8), np.empty((n, h, w), np.uint8)
        order = orders(self.shapes) if self.shapes else np.zeros((len(self.t), 0), np.intp)
        still = bool((self.place_maps == self.place_maps[0]).all())
        pad = (self.place.shape[0] - h) / 2, (self.place.shape[1] - w) / 2
        base = np.zeros((h, w, 4), np.uint8)
        for i in range(n):
            shots = []
            for j in range(i * self.subframes, (i + 1) * self.subframes):
                if j == 0 or not still:
                    m = self.place_maps[j].copy()
                    m[:, 2] -= m[:, :2] @ np.array([pad[1], pad[0]])
                    rgb = cv2.warpAffine(self.place, m, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
                    base = np.zeros((h, w, 4), np.uint8)
                    base[..., :3] = rgb
                canvas = base.copy()
                paint(canvas, self.shapes, j, order[j])
                shots.append(canvas)
            whose[i] = np.max([s[..., 3] for s in shots], axis=0)
            picture: Picture = shots[0]
            if len(shots) > 1:
                picture = to_picture(np.sum(shots, axis=0, dtype=np.uint16) // len(shots))
                # few sub-frames leave ghosts: smear what moved between the first and the last of them
                change = cv2.cvtColor(cv2.absdiff(shots[0], shots[-1]), cv2.COLOR_RGBA2GRAY)
                moved = cv2.dilate((change > 12).astype(np.uint8), np.ones((3, 3), np.uint8))
                cv2.copyTo(cv2.blur(picture, (5, 5)), moved, picture)
            frames[i] = picture[..., :3]
            if self.wall_shadow is not None:
                frames[i] = self._shadow(frames[i], whose[i])
        return frames, whose

    def _shadow(self, picture: Picture, who: npt.NDArray[np.uint8]) -> Picture:
        dx, dy, dark = self.wall_shadow or (0.0, 0.0, 0.0)
        m = np.array([[1, 0, dx], [0, 1, dy]])
        cast = cv2.GaussianBlur(cv2.warpAffine(np.minimum(who, PERSON), m, self.size[::-1]), (0, 0), 1.2)
        cast[who > 0] = 0
        return np.clip(picture * (1 - cast[..., None] * np.float32(dark / PERSON)), 0, 255).astype(np.uint8)


def _window(rng: Rng, action: Action, length: float) -> float:
    """The second at which a window starts that shows enough of the action to be told."""
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


def _camera(
    rng: Rng, label: str, body: Body, *, seated: bool, size: tuple[int, int], maps: Floats, close: bool = False,
    calm: bool = False, plain: bool = False,
) -> tuple[Camera, float]:  # fmt: skip
    """A camera before the person, and how many body heights the picture shows."""
    h, w = size
    framing = int(rng.choice(4, p=_FRAMING[label])) if not calm else 2
    view = float([rng.uniform(0.48, 0.85), rng.uniform(0.82, 1.12), rng.uniform(1.15, 1.9), rng.uniform(1.9, 2.9)][framing])
    head_at = float([rng.uniform(0.06, 0.4), rng.uniform(0.08, 0.32), rng.uniform(0.07, 0.25), rng.uniform(0.15, 0.45)][framing])
    if label in _TALL and rng.random() < 0.75:
        head_at = max(head_at, float(rng.uniform(0.2, 0.42)))
    crown = 1.0 - (0.24 if seated else 0.0)
    centre_y = crown + (head_at - 0.5) * view
    if framing >= 2:
        centre_y = max(centre_y, view / 2 - 0.15)
    if close:  # a detail: hands, a face, feet
        view = float(rng.uniform(0.12, 0.4))
        centre_y = float(rng.uniform(0.1, 1.0)) * crown
    azimuth = float(rng.choice([rng.normal(0, 0.25), rng.uniform(-1.2, 1.2), rng.uniform(-np.pi, np.pi)], p=[0.55, 0.33, 0.12]))
    if label.startswith("raising"):  # seen from the side the two raises look alike
        azimuth = float(np.clip(azimuth, -0.85, 0.85))
    elif label == "waving one hand":  # people wave at the camera
        azimuth = float(np.clip(azimuth, -1.1, 1.1)) * 0.8
    elif label in ("clapping", "boxing", "arm circles"):
        azimuth = float(np.clip(azimuth, -1.6, 1.6))
    elevation = float(rng.choice([rng.normal(0.0, 0.1), rng.uniform(-0.25, 0.5), rng.uniform(0.4, 0.9)], p=[0.7, 0.24, 0.06]))
    distance = float(np.exp(rng.uniform(np.log(0.9), np.log(3.2)))) * max(view, 0.5) * body.height * 1.25
    if calm or plain:
        azimuth, elevation = float(rng.normal(0, 0.15)), float(rng.uniform(0, 0.12))
    focal = h * distance / (view * body.height)
    squeeze = float(
        rng.choice([1.0, rng.uniform(0.72, 0.8), rng.uniform(0.55, 0.62), rng.uniform(0.85, 1.1)], p=[0.5, 0.2, 0.12, 0.18])
    )
    if calm or plain:
        squeeze = 1.0
    off = float(np.clip(rng.normal(0, 0.11 if framing < 2 else 0.16), -0.3, 0.3))
    target = np.array([0.0, centre_y * body.height, (-0.19 if seated else 0.0) * body.height])
    camera = look_at(
        target, azimuth=azimuth, elevation=elevation, distance=distance, roll=float(rng.normal(0, 0.03)),
        focal=(focal * squeeze, focal), centre=(w * (0.5 + off), h * 0.5), shake=maps,
    )  # fmt: skip
    return camera, view


def _sees(camera: Camera, s: Skeleton, action: Action, t: Floats, size: tuple[int, int]) -> bool:
    """Whether the acting hands, feet and the head are in the picture for most of the action."""
    points = [s.wrist[:, g - ARM_L] for g in (ARM_L, ARM_R) if g in action.groups]
    points += [s.knee[:, g - LEG_L] for g in (LEG_L, LEG_R) if g in action.groups and ARM_L not in action.groups]
    points += [s.ankle[:, g - LEG_L] for g in (LEG_L, LEG_R) if g in action.groups and TORSO not in action.groups]
    when = action.active(t)
    if not action.groups or not when.any():
        points, when = [], np.ones(len(t), bool)
    points += [s.skull, s.pelvis + 0.5 * (s.neck - s.pelvis)]
    xy = camera.project(np.stack(points, 1))[0][when]
    inside = (xy >= -2).all(-1) & (xy < np.array(size[::-1]) + 2).all(-1)
    return bool((inside.mean(0) >= 0.62).all())


def _seen(camera: Camera, s: Skeleton, size: tuple[int, int]) -> tuple[bool, float]:
    """Whether the head is mostly in the picture, and how far a hand, a foot, the head or the hips come in it, in its heights.

    What the camera itself does is left out, and so are parts that are mostly outside.
    """
    h, w = size
    still = replace(camera, shake=np.broadcast_to(np.eye(2, 3), camera.shake.shape))
    points = np.stack([s.skull, s.wrist[:, 0], s.wrist[:, 1], s.ankle[:, 0], s.ankle[:, 1], s.pelvis], 1)
    xy = still.project(points)[0]
    inside = ((xy > 0) & (xy < (w, h))).all(-1).mean(0) > 0.5
    way = np.linalg.norm(xy.max(0) - xy.min(0), axis=-1)
    return bool(inside[0]), float((way * inside).max()) / h


def _floor_row(camera: Camera, h: int) -> float | None:
    """The row where a floor ends some metres behind the person."""
    ahead = camera.frame[2] * np.array([1.0, 0.0, 1.0])
    far = camera.eye + unit(ahead) * (abs(float(camera.eye @ unit(ahead))) + 2.2)
    far[1] = 0.0
    y = float(
        Camera(camera.eye, camera.frame, camera.focal, camera.centre, camera.shake[:1]).project(far[None, None])[0][0, 0, 1]
    )
    return y if y < 1.25 * h else None


def _light(rng: Rng) -> Light:
    return Light(
        unit(np.array([rng.normal(0, 1), rng.uniform(0.2, 1.5), rng.normal(0.3, 0.8)])),
        float(rng.choice([0.1, rng.uniform(0.2, 1)])),
    )


def _floor_shadow(stage: _Stage, body: Body, feet: Floats, hips: Floats) -> None:
    """A soft dark patch on the floor under the feet, in the colour of the floor there."""
    k = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    spread = np.abs(feet[:, 0] - feet[:, 1]).max(-1) / 2 + 0.1 * body.height
    away = -stage.light.direction * np.array([1.0, 0, 1.0]) * stage.light.contrast * 0.12 * body.height
    c = (feet.mean(1) + hips) / 2 + away
    points = np.stack(
        [c[:, :1] + np.cos(k) * spread[:, None], np.zeros((len(c), 12)), c[:, 2:] + 0.7 * np.sin(k) * spread[:, None]], -1
    )
    xy = stage.camera.project(points)[0]
    ph, pw = stage.place.shape[:2]
    h, w = stage.size
    x, y = (xy[0].mean(0) + np.array([(pw - w) / 2, (ph - h) / 2])).astype(int)
    if 0 <= x < pw and 0 <= y < ph:
        base = stage.place[y, x].astype(float)
        for j, f in enumerate((0.8, 0.62)):
            middle = xy.mean(1, keepdims=True)
            stage.shapes.append(patch(middle + (xy - middle) * (1.0 - 0.35 * j), np.full(len(c), 80.0 - j), tuple(base * f)))


def _act(
    stage: _Stage, body: Body, pose: Pose, *, groups: frozenset[int] | None, place: tuple[float, float] = (0.0, 0.0),
    yaw: float = 0.0,
) -> None:  # fmt: skip
    """Put a person on the stage; ``groups`` are the acting parts, None for people who are not the acting one."""
    s = skeleton(body, pose, place=place, yaw=yaw)
    whose = [0] * 6 if groups is None else [PART if g in groups else PERSON for g in range(6)]
    stage.people.append(_seen(stage.camera, s, stage.size))
    _floor_shadow(stage, body, s.ankle, s.pelvis)
    stage.shapes += figure(body, s, stage.camera, stage.light, whose=whose, grip=pose.grip)


def _bystanders(stage: _Stage, view: float, count: int, *, wild: bool = False, nearest: float = 0.7) -> None:
    """Other people behind the acting one: standing, walking past, or (wild) doing anything else."""
    rng = stage.rng
    ahead = unit(stage.camera.frame[2] * np.array([1.0, 0.0, 1.0]))
    right = np.array([-ahead[2], 0.0, ahead[0]])
    for _ in range(count):
        body, st = random_body(rng), Stance(rng)
        act = MOTIONS["walking"] if rng.random() < 0.4 and not wild else MOTIONS["standing idle"]
        if wild and rng.random() < 0.7:
            act = other
        action = act(rng, st, None)
        back = rng.uniform(nearest, 5.0)
        d = float(np.linalg.norm(stage.camera.eye)) + back
        across = rng.uniform(-0.55, 0.55) * view * 1.7 * d / max(float(np.linalg.norm(stage.camera.eye)), 0.5)
        if not wild and abs(across) < 0.25:
            across += 0.5 * np.sign(across + 1e-6)
        p = ahead * back + right * across
        yaw = float(np.arctan2(-ahead[0], -ahead[2]) + rng.normal(0, 1.2))
        start = float(rng.uniform(0, 1.5)) if not action.travels else 1.0
        _act(stage, body, action.pose(stage.t + start), groups=None, place=(float(p[0]), float(p[2])), yaw=yaw)


def _times(rng: Rng, frames: int, dt: float, subframes: int) -> Floats:
    t = np.arange(frames, dtype=np.float64) * dt
    if subframes == 1:
        return t
    exposure = rng.uniform(0.15, 0.45) * dt if dt > 0.05 else 0.5 * dt
    out: Floats = (t[:, None] + np.linspace(0, exposure, subframes)).ravel()
    return out


def _stage(
    rng: Rng, t: Floats, subframes: int, size: tuple[int, int], camera: Camera, maps: Floats, *, floor_seen: bool = True
) -> _Stage:
    h, w = size
    floor = _floor_row(camera, h) if floor_seen else None
    margin = 0.06 if (maps == maps[0]).all() else 0.2
    ph, pw = round(h * (1 + 2 * margin)), round(w * (1 + 2 * margin))
    place = background(rng, ph, pw, floor=None if floor is None else floor + h * margin)
    return _Stage(rng, size, t, subframes, camera, _light(rng), place, maps)


def _shake_strength(rng: Rng, label: str) -> float:
    """Most actions are seen by a camera that stands still; what people film elsewhere is mostly hand-held."""
    odds = [0.25, 0.25, 0.5] if label == NONE else [0.58, 0.24, 0.18]
    return float(rng.choice([0.0, rng.uniform(0.2, 1.2), rng.uniform(1.6, 5)], p=odds))


def _people_clip(
    rng: Rng, label: str, frames: int, dt: float, size: tuple[int, int], *, close: bool = False, plain: bool = False
) -> tuple[_Stage, Action, float]:
    """A stage with one acting person; the action and the second of it at which the clip starts."""

    def maybe(odds: float) -> bool:
        return bool(rng.random() < odds) and not plain

    h, w = size
    body = random_body(rng)
    seated = rng.random() < _MAY_SIT.get(label, 0.0)
    calm_arms = label in ("sitting down", "standing up", "falling down", "walking", "running")
    st = Stance(rng, seated=bool(seated), arms="hang" if calm_arms or (not seated and rng.random() < 0.5) else None)
    action = MOTIONS[label](rng, st, None) if label in MOTIONS else other(rng, st, None)
    start = _window(rng, action, (frames - 1) * dt)
    sub = int(rng.choice([1, 2, 3], p=[0.55, 0.2, 0.25]))
    t = _times(rng, frames, dt, sub)
    maps = shake(rng, t, h, w, strength=_shake_strength(rng, label) * (not plain))
    pose = action.pose(t + start)
    s = skeleton(body, pose)
    for _ in range(12):  # a camera that sees what makes the action
        camera, view = _camera(rng, label, body, seated=bool(seated), size=size, maps=maps, close=close, plain=plain)
        if label == NONE and _seen(camera, s, size)[1] < LEAST_STIR:
            continue
        if close or _sees(camera, s, action, t + start, size):
            break
    stage = _stage(rng, t, sub, size, camera, maps)
    if label in ("walking", "running") and not action.travels and maybe(0.5):  # the camera goes along
        stage.place_maps = maps.copy()
        stage.place_maps[:, 0, 2] += rng.choice([-1, 1]) * rng.uniform(0.1, 0.5) * w * (t - t.mean())
    if maybe(0.1):
        stage.wall_shadow = (float(rng.normal(0, 0.06) * w), float(rng.uniform(-0.02, 0.06) * h), float(rng.uniform(0.2, 0.55)))
    if maybe(0.22):
        stage.shapes += moving_things(rng, t, h, w, stage.place_maps, count=int(rng.integers(1, 4)))
    if maybe(0.16):
        _bystanders(stage, view, int(rng.integers(1, 4)), nearest=1.0)
    _act(stage, body, pose, groups=action.groups)
    if maybe(0.35 if label == NONE else 0.03):
        stage.shapes += held(rng, body, s, camera, stage.light)
    seat = action.seat or ((body.hip + st.seat[1], st.seat[2]) if seated else None)
    if seat is not None and rng.random() < 0.8:
        wide = body.height * float(rng.uniform(0.9, 1.3))
        stage.shapes += chair(
            camera, stage.light, seat=(seat[0] - 0.065) * body.height, z=seat[1] * body.height, size=wide,
            colour=colour(rng), n=len(t),
        )  # fmt: skip
    if maybe(0.3 if seated else 0.12):
        stage.shapes += occluders(rng, len(t), h, w)
    if maybe(0.05):
        stage.shapes += moving_things(rng, t, h, w, maps, count=1, near=True)
    return stage, action, start


def _empty(rng: Rng, frames: int, dt: float, size: tuple[int, int]) -> _Stage:
    """A place without people: still, trembling or with some small thing that moves."""
    h, w = size
    t = _times(rng, frames, dt, 1)
    maps = shake(rng, t, h, w, strength=float(rng.uniform(0.2, 1.3)) if rng.random() < 0.35 else 0.0)
    camera, _ = _camera(rng, "standing idle", random_body(rng), seated=False, size=size, maps=maps)
    stage = _stage(rng, t, 1, size, camera, maps)
    if rng.random() < 0.45:
        stage.shapes += moving_things(rng, t, h, w, maps, count=int(rng.integers(1, 3)), fast=0.5)
    if rng.random() < 0.3:
        stage.shapes += chair(camera, stage.light, seat=0.45, z=0.0, size=1.7, colour=colour(rng), n=len(t))
    if rng.random() < 0.25:
        stage.shapes += occluders(rng, len(t), h, w)
    return stage


def _together(rng: Rng, t: Floats, size: tuple[int, int], maps: Floats) -> _Stage:
    """A stage with people who face each other, or who all do the same side by side."""
    body = random_body(rng)
    camera, _ = _camera(rng, NONE, body, seated=False, size=size, maps=maps)
    stage = _stage(rng, t, 1, size, camera, maps)
    count, alike = int(rng.integers(2, 5)), rng.random() < 0.4
    gap, st = rng.uniform(0.25, 0.9), Stance(rng)
    action = other(rng, st, None)
    for i in range(count):
        if i and not alike:
            action = other(rng, Stance(rng), None)
        yaw = float(rng.normal(0, 0.2)) if alike else float((0.5 - i % 2) * np.pi * rng.uniform(0.4, 1.2))
        place = ((i - (count - 1) / 2) * gap, float(rng.normal(0, 0.3)))
        _act(stage, body, action.pose(t + rng.normal(0.6, 0.05)), groups=None, place=place, yaw=yaw)
        body = random_body(rng)
    return stage


@dataclass
class _Take:
    """What was drawn: pictures, whose pixels, whether it shows what it is to show, and the stage of one acting person."""

    pictures: Picture
    whose: npt.NDArray[np.uint8]
    shows: bool = True
    stage: _Stage | None = None


_NONE_KINDS = {"person": 0.31, "close": 0.12, "crowd": 0.08, "pair": 0.09, "cut": 0.1} | dict.fromkeys(
    negatives.KINDS, 0.3 / len(negatives.KINDS)
)


def _none_kind(rng: Rng) -> str:
    return str(rng.choice([*_NONE_KINDS], p=[*_NONE_KINDS.values()]))


def _none_take(rng: Rng, kind: str, frames: int, dt: float, size: tuple[int, int]) -> _Take:
    """Video of a kind that shows none of the actions."""
    h, w = size
    if kind == "cut" and frames >= 4:
        n = int(rng.integers(2, frames - 1))
        a, b = (_none_take(rng, _none_kind(rng), count, dt, size) for count in (n, frames - n))
        return _Take(np.concatenate([a.pictures, b.pictures]), np.concatenate([a.whose, b.whose]), a.shows or b.shows)
    if kind in ("person", "close", "cut"):
        stage = _people_clip(rng, NONE, frames, dt, size, close=kind == "close")[0]
        return _Take(*stage.render(), stage.people[-1][1] >= LEAST_STIR, stage)
    t = _times(rng, frames, dt, 1)
    maps = shake(rng, t, h, w, strength=float(rng.choice([0.0, rng.uniform(0.5, 8)], p=[0.35, 0.65])))
    if kind in ("crowd", "pair"):
        if kind == "crowd":
            camera, view = _camera(rng, "walking", random_body(rng), seated=False, size=size, maps=maps)
            stage = _stage(rng, t, 1, size, camera, maps)
            _bystanders(stage, view, int(rng.integers(3, 9)), wild=True, nearest=-0.6)
        else:  # two or more people close together, or a class that moves as one
            stage = _together(rng, t, size, maps)
        heads, ways = zip(*stage.people, strict=True)
        return _Take(*stage.render(), sum(heads) > 1 and max(ways) >= LEAST_STIR)
    camera = look_at(
        np.zeros(3), azimuth=0.0, elevation=0.0, distance=3.0, roll=0.0, focal=(h, h), centre=(w / 2, h / 2), shake=maps
    )
    stage = _stage(rng, t, 1, size, camera, maps, floor_seen=False)
    out = negatives.KINDS[kind](rng, stage.place, t, maps, size)
    if isinstance(out, list):
        stage.shapes += out
        return _Take(*stage.render())
    return _Take(out, np.zeros(out.shape[:3], np.uint8), kind == "screen" or _more_than_a_place(out))


def _more_than_a_place(pictures: Picture) -> bool:
    """Whether pictures without people and things are textured and change enough to be more than an empty place."""
    some = [cv2.GaussianBlur(pictures[i], (0, 0), 2.5).astype(np.float32) for i in (0, len(pictures) // 2, -1)]
    texture = float(np.mean([f.std((0, 1)).max() for f in some]))
    change = max(float(np.abs(f - some[0]).max(-1).mean()) for f in some[1:])
    return texture >= LEAST_TEXTURE and change >= LEAST_CHANGE


def sample(
    seed: int,
    *,
    label: str | None = None,
    frames: int = 16,
    size: int | tuple[int, int] = 112,
    seconds_between_frames: float | None = None,
    hard: float = 1.0,
) -> SyntheticVideo:
    """One labelled clip; the same arguments always give the same bytes.

    ``label`` is one of ``CLASSES`` or ``NONE`` (None: a random one of them); ``size`` pixels square or (height, width);
    ``seconds_between_frames`` is random, 1/12 to 1/7, if it is None. ``hard`` is the share, 0 to 1, of clips that may have
    everything that makes an action hard to see; the others show one person from the front, before a still and clean camera.
    """
    if label is not None and label not in CLASSES and label != NONE:
        raise UnknownNameError("label", label, (*CLASSES, NONE))
    h, w = (size, size) if isinstance(size, int) else size
    if frames < 1 or h < 16 or w < 16:
        raise UsageError(f"a clip needs at least 1 frame of at least 16x16 pixels, got {frames} frames of {h}x{w}")
    if seconds_between_frames is not None and not (math.isfinite(seconds_between_frames) and seconds_between_frames > 0):
        raise UsageError(f"interval_s must be positive seconds, got {seconds_between_frames}")
    if seed < 0:
        raise UsageError(f"a seed is a non-negative integer, got {seed}")
    rng = np.random.default_rng([seed, zlib.crc32((label or "").encode()), frames, h, w])
    if label is None:
        label = str(rng.choice([*CLASSES, NONE]))
    plain = bool(rng.random() >= hard)
    dt = float(rng.uniform(1 / 12, 1 / 7)) if seconds_between_frames is None else seconds_between_frames
    t = np.arange(frames, dtype=np.float64) * dt
    active = np.zeros(frames, bool)
    kind = _none_kind(rng) if label == NONE else ""
    for _ in range(TRIES):  # what nobody could tell has no label: it is drawn again
        if label == NONE:
            take = _none_take(rng, kind, frames, dt, (h, w))
        elif label == "no person":
            take = _Take(*_empty(rng, frames, dt, (h, w)).render())
        else:
            stage, action, start = _people_clip(rng, label, frames, dt, (h, w), plain=plain)
            take = _Take(*stage.render(), stage=stage)
            active = action.active(t + start) if action.groups else active
        pictures = take.pictures if plain else degrade(rng, take.pictures, t)
        person, parts = take.whose >= PERSON // 2, take.whose >= (PERSON + PART) // 2
        acting = parts if active.any() else person
        if take.shows and (take.stage is None or _can_be_told(pictures, person, acting, active, take.stage)):
            break
    return SyntheticVideo(pictures, 1 / dt, label, person, parts, active)


def _can_be_told(pictures: Picture, person: Bools, acting: Bools, active: Bools, stage: _Stage) -> bool:
    """Whether what makes the action is large enough, mostly not hidden, and stands out from what is around it."""
    when = np.flatnonzero(active if active.any() else np.ones(len(pictures), bool))
    some = when[np.linspace(0, len(when) - 1, min(4, len(when))).round().astype(int)]
    h, w = pictures.shape[1:3]
    if float(acting[some].mean()) < SMALLEST:
        return False
    own = [s for s in stage.shapes if s.colours[0][3] > 0]
    order, least = orders(own), (PERSON + PART) // 2 if active.any() else PERSON // 2
    visible = []
    for i in some:
        moment = int(i) * stage.subframes
        canvas = np.zeros((h, w, 4), np.uint8)
        paint(canvas, own, moment, order[moment])
        alone = canvas[..., 3] >= least
        visible.append(float((acting[i] & alone).sum()) / max(float(alone.sum()), 1.0))
    if float(np.mean(visible)) < LEAST_VISIBLE:
        return False
    seen = []
    for i in some:
        inside = cv2.erode(person[i].astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        ring = cv2.dilate(person[i].astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        ring &= cv2.dilate(person[i].astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
        if not inside.any() or not ring.any():
            continue
        # The contrast across the outline, place by place: the person's colour there against that of what is beside it.
        f, near = pictures[i].astype(np.float32), cv2.blur(inside.astype(np.float32), (9, 9))
        colour_there = cv2.blur(f * inside[..., None], (9, 9)) / np.maximum(near, 1e-3)[..., None]
        edge = ring & (near > 0.02)
        if not edge.any():
            return False
        seen.append(float(np.abs(f - colour_there).max(-1)[edge].mean()))
    return bool(seen) and float(np.mean(seen)) >= LEAST_CONTRAST


@dataclass(frozen=True)
class SceneFrame:
    """One frame of a longer scene: picture ``(H,W,3)``, second, what is done, and the masks ``(H,W)`` of a :class:`Clip`."""

    image: Picture
    time: float
    label: str
    person: Bools
    parts: Bools
    active: bool


def _moved(pose: Pose, offset: Floats) -> Pose:
    pose.root += offset
    pose.ankle += offset
    return pose


def _stays(
    rng: Rng, label: str, st: Stance, seconds: float, camera: Camera, body: Body, offset: Floats, size: tuple[int, int]
) -> Action:
    """The action, drawn again until it ends inside the picture."""
    for _ in range(30):
        action = MOTIONS[label](rng, st, seconds)
        end = _moved(action.pose(np.array([seconds])), offset)
        s = skeleton(body, end)
        xy = camera.project(np.stack([s.skull, s.ankle[:, 0], s.pelvis], 1))[0][0]
        if ((xy > 0) & (xy < np.array(size[::-1]))).all():
            break
    return action


def scene(
    script: Sequence[tuple[str, float]], *, seed: int, fps: float = 25.0, size: int | tuple[int, int] = (360, 480)
) -> Iterator[SceneFrame]:
    """The frames of one person who does the actions of ``script``, (label, seconds) one after the other, before a still camera.

    Actions begin and end at rest; who sat down stays seated until "standing up", and who fell down stays on the floor.
    """
    known = tuple(MOTIONS)
    for label, seconds in script:
        if label not in known:
            raise UnknownNameError("label", label, known)
        if not seconds > 0:
            raise UsageError(f"every action of a scene needs positive seconds, got {seconds} for {label!r}")
    h, w = (size, size) if isinstance(size, int) else size
    rng = np.random.default_rng([seed, 77, h, w])
    body, st = random_body(rng), Stance(rng, arms="hang")
    still = shake(rng, np.zeros(1), h, w, strength=0.0)
    camera, _ = _camera(rng, "standing idle", body, seated=False, size=(h, w), maps=still, calm=True)
    stage = _stage(rng, np.zeros(1), 1, (h, w), camera, still)
    drawn_chair = any(label in ("sitting down", "standing up") for label, _ in script)
    chair_colour = colour(rng)
    clock, last, previous_end = 0.0, None, 0.0
    offset = last_offset = np.zeros(3)
    n_done = 0
    for label, seconds in script:
        action = _stays(rng, label, st, seconds, camera, body, offset, (h, w))
        count = round((clock + seconds) * fps) - n_done
        times = (n_done + np.arange(count)) / fps
        for first in range(0, count, 32):  # a few frames at a time, so that a long scene needs little memory
            now = times[first : first + 32]
            pose = _moved(action.pose(now - clock), offset)
            if last is not None:
                pose = mix(
                    _moved(last.pose(now - clock + previous_end), last_offset),
                    pose,
                    ease(now - clock, 0.0, min(0.5, seconds / 2)),
                )
            n = len(now)
            part = _Stage(
                rng, (h, w), now, 1, Camera(camera.eye, camera.frame, camera.focal, camera.centre, np.repeat(still, n, 0)),
                stage.light, stage.place, np.repeat(still, n, 0),
            )  # fmt: skip
            if drawn_chair:
                part.shapes += chair(
                    part.camera,
                    part.light,
                    seat=0.24 * body.height,
                    z=-0.2 * body.height,
                    size=body.height,
                    colour=chair_colour,
                    n=n,
                )
            _act(part, body, pose, groups=action.groups)
            pictures, whose = part.render()
            acting = action.active(now - clock)
            for i in range(n):
                p, q = whose[i] >= PERSON // 2, whose[i] >= (PERSON + PART) // 2
                yield SceneFrame(pictures[i], float(now[i]), label, p, q, bool(acting[i]) and bool(action.groups))
        n_done += count
        clock += seconds
        last, previous_end, last_offset = action, seconds, offset
        if action.travels:
            offset = offset + action.pose(np.array([seconds])).root[0] * np.array([1.0, 0.0, 1.0])
