"""The stage of one clip: place, light, camera and people, rendered to pictures and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from vidcam.synthetic.actions import MOTIONS
from vidcam.synthetic.arrays import Floats, Picture, Rng, to_picture, unit
from vidcam.synthetic.background import background
from vidcam.synthetic.body import Body, Pose, Skeleton, random_body, skeleton
from vidcam.synthetic.camera import Camera, floor_row, measure_motion
from vidcam.synthetic.draw import PART, PERSON, Light, Shape, orders, paint, patch
from vidcam.synthetic.figure import figure
from vidcam.synthetic.motion import Stance
from vidcam.synthetic.other_motions import other
from vidcam.synthetic.overlays import wire


@dataclass
class Stage:
    """Everything that one clip is drawn from: the place, the camera, the light and the shapes."""

    rng: Rng
    size: tuple[int, int]
    t: Floats  # the seconds of all sub-frames; those of one frame are adjacent
    subframes: int
    camera: Camera
    light: Light
    place: Picture
    place_maps: Floats
    shapes: list[Shape] = field(default_factory=list)
    wall_shadow: tuple[float, float, float] | None = None
    sun: float | None = None  # how bright the floor is in the shadow that the sun casts, 0 to 1
    people: list[tuple[bool, float]] = field(default_factory=list)  # measure_motion() of each person

    def render(self) -> tuple[Picture, npt.NDArray[np.uint8]]:
        """Return the pictures ``(T,H,W,3)`` and whose pixels they are ``(T,H,W)``.

        0 is the background, ``PERSON`` the acting person and ``PART`` the acting parts, blended at edges.
        """
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
                # few sub-frames leave ghosts: blur the pixels that change from the first to the last of them
                change = cv2.cvtColor(cv2.absdiff(shots[0], shots[-1]), cv2.COLOR_RGBA2GRAY)
                moved = cv2.dilate((change > 12).astype(np.uint8), np.ones((3, 3), np.uint8))
                cv2.copyTo(cv2.blur(picture, (5, 5)), moved, picture)
            frames[i] = picture[..., :3]
            if self.wall_shadow is not None:
                frames[i] = self._shadow(frames[i], whose[i])
        return frames, whose

    def floor_colour(self, feet: Floats) -> Floats | None:
        """Return the colour of the floor ``(3,)`` at the first of ``feet (n,3)``; None if it is not in the picture."""
        ph, pw = self.place.shape[:2]
        h, w = self.size
        spot = self.camera.project(feet[:, None])[0][0, 0]
        x, y = (spot + np.array([(pw - w) / 2, (ph - h) / 2])).astype(int)
        return self.place[y, x].astype(float) if 0 <= x < pw and 0 <= y < ph else None

    def _shadow(self, picture: Picture, who: npt.NDArray[np.uint8]) -> Picture:
        """Return the picture with the shadow that the people cast on the wall."""
        dx, dy, dark = self.wall_shadow or (0.0, 0.0, 0.0)
        m = np.array([[1, 0, dx], [0, 1, dy]])
        cast = cv2.GaussianBlur(cv2.warpAffine(np.minimum(who, PERSON), m, self.size[::-1]), (0, 0), 1.2)
        cast[who > 0] = 0
        return np.clip(picture * (1 - cast[..., None] * np.float32(dark / PERSON)), 0, 255).astype(np.uint8)


def make_stage(
    rng: Rng, t: Floats, subframes: int, size: tuple[int, int], camera: Camera, maps: Floats, *, floor_seen: bool = True,
    photos: Sequence[Picture] = (),
) -> Stage:  # fmt: skip
    """Return a stage without people: a random place, perhaps out of ``photos``, and light before the camera."""
    h, w = size
    floor = floor_row(camera, h) if floor_seen else None
    margin = 0.06 if (maps == maps[0]).all() else 0.2
    ph, pw = round(h * (1 + 2 * margin)), round(w * (1 + 2 * margin))
    place = background(rng, ph, pw, floor=None if floor is None else floor + h * margin, photos=photos)
    return Stage(rng, size, t, subframes, camera, _random_light(rng), place, maps)


def _random_light(rng: Rng) -> Light:
    return Light(
        unit(np.array([rng.normal(0, 1), rng.uniform(0.2, 1.5), rng.normal(0.3, 0.8)])),
        float(rng.choice([0.1, rng.uniform(0.2, 1)])),
    )


CAST = (
    ("neck", "pelvis", 0.09), ("skull", "neck", 0.055), ("shoulder", "elbow", 0.03), ("elbow", "wrist", 0.025),
    ("hip", "knee", 0.05), ("knee", "ankle", 0.035),
)  # fmt: skip
"""Whose shadow the sun casts: two joints, and half the width between them in units of the height."""


def _add_cast_shadow(stage: Stage, s: Skeleton, body: Body) -> None:
    """Let the sun cast the person's shadow onto the floor, in a darker colour of the floor under the feet."""
    light = stage.light.direction
    light = np.array([light[0], max(float(light[1]), 0.4), light[2]])
    base = stage.floor_colour(s.ankle.mean(1))
    if base is None or stage.sun is None:
        return
    dark = tuple(base * stage.sun)
    for start, end, half in CAST:
        a, b = (np.asarray(getattr(s, name)).reshape(len(stage.t), -1, 3) for name in (start, end))
        for side in range(a.shape[1]):
            p, q = (joint[:, side] - light * (joint[:, side, 1:2] / light[1]) for joint in (a, b))
            along = q - p
            beside = np.stack([-along[:, 2], np.zeros(len(p)), along[:, 0]], -1)
            beside *= half * body.height / np.maximum(np.linalg.norm(beside, axis=-1, keepdims=True), 1e-3)
            corners = np.stack([p + beside, q + beside, q - beside, p - beside], 1)
            stage.shapes.append(patch(stage.camera.project(corners)[0], np.full(len(p), 79.5), dark))


def _add_floor_shadow(stage: Stage, body: Body, feet: Floats, hips: Floats) -> None:
    """Put a soft dark patch on the floor under the feet, in the colour of the floor there."""
    k = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    spread = np.abs(feet[:, 0] - feet[:, 1]).max(-1) / 2 + 0.1 * body.height
    away = -stage.light.direction * np.array([1.0, 0, 1.0]) * stage.light.contrast * 0.12 * body.height
    c = (feet.mean(1) + hips) / 2 + away
    points = np.stack(
        [c[:, :1] + np.cos(k) * spread[:, None], np.zeros((len(c), 12)), c[:, 2:] + 0.7 * np.sin(k) * spread[:, None]], -1
    )
    base = stage.floor_colour(c * np.array([1.0, 0.0, 1.0]))
    if base is not None:
        xy = stage.camera.project(points)[0]
        middle = xy.mean(1, keepdims=True)
        for j, f in enumerate((0.8, 0.62)):
            stage.shapes.append(patch(middle + (xy - middle) * (1.0 - 0.35 * j), np.full(len(c), 80.0 - j), tuple(base * f)))


def add_person(
    stage: Stage, body: Body, pose: Pose, *, groups: frozenset[int] | None, place: tuple[float, float] = (0.0, 0.0),
    yaw: float = 0.0, drawn: bool = False,
) -> None:  # fmt: skip
    """Put a person on the stage.

    ``groups`` are the acting parts; None for everyone but the acting person.
    """
    s = skeleton(body, pose, place=place, yaw=yaw)
    whose = [0] * 6 if groups is None else [PART if g in groups else PERSON for g in range(6)]
    stage.people.append(measure_motion(stage.camera, s, stage.size))
    _add_floor_shadow(stage, body, s.ankle, s.pelvis)
    if stage.sun is not None:
        _add_cast_shadow(stage, s, body)
    stage.shapes += figure(body, s, stage.camera, stage.light, whose=whose, grip=pose.grip)
    if drawn:
        stage.shapes += wire(stage.rng, s, body.height).shapes(stage.camera, stage.light, whose)


def add_bystanders(stage: Stage, view: float, count: int, *, wild: bool = False, nearest: float = 0.7) -> None:
    """Put people behind the acting one: standing, walking past or, if ``wild``, doing anything else."""
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
        add_person(stage, body, action.pose(stage.t + start), groups=None, place=(float(p[0]), float(p[2])), yaw=yaw)
