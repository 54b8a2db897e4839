"""The camera: its projection, where it stands for an action, what it sees, and how it shakes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vidcam.synthetic.arrays import Floats, Rng, unit
from vidcam.synthetic.body import ARM_L, ARM_R, LEG_L, LEG_R, TORSO, Body, Skeleton
from vidcam.synthetic.motion import NONE, Action, wander

_ARMS = (0.4, 0.18, 0.24, 0.18)
_FRAMING = {
    "standing idle": _ARMS, "waving one hand": _ARMS, "raising both arms sideways": _ARMS, "raising both arms in front": _ARMS,
    "clapping": _ARMS, "boxing": (0.28, 0.2, 0.3, 0.22), "arm circles": (0.33, 0.22, 0.27, 0.18),
    "jumping jack": (0.06, 0.22, 0.46, 0.26), "squatting": (0.06, 0.24, 0.46, 0.24), "bending over": (0.15, 0.25, 0.4, 0.2),
    "kicking": (0.0, 0.15, 0.6, 0.25), "walking": (0.03, 0.17, 0.48, 0.32), "running": (0.03, 0.15, 0.48, 0.34),
    "jumping": (0.08, 0.22, 0.44, 0.26), "sitting down": (0.08, 0.32, 0.45, 0.15), "standing up": (0.08, 0.32, 0.45, 0.15),
    "falling down": (0.0, 0.06, 0.62, 0.32), NONE: (0.34, 0.24, 0.26, 0.16),
}  # fmt: skip
"""How often a clip shows the upper body as before a webcam, three quarters of the body, all of it, or all of it from far away."""

_TALL = {"raising both arms sideways", "raising both arms in front", "jumping jack", "arm circles", "waving one hand", "jumping"}
"""The actions that need room above the head."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at ``eye`` with the axes ``frame`` (rows: right, down, forward)."""

    eye: Floats  # (3,)
    frame: Floats  # (3,3)
    focal: tuple[float, float]  # px in x and y; they differ if the picture is squeezed
    centre: tuple[float, float]
    shake: Floats  # (n,2,3) affine maps of the picture: hand-held motion, pan and zoom

    def project(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """Return pixels ``(n,...,2)``, depth (m) and pixels per metre ``(n,...)`` of points ``(n,...,3)``."""
        p = (points - self.eye) @ self.frame.T
        z = np.maximum(p[..., 2], 0.15)
        xy = np.stack([p[..., 0] / z * self.focal[0] + self.centre[0], p[..., 1] / z * self.focal[1] + self.centre[1]], -1)
        lead = (len(self.shake),) + (1,) * (xy.ndim - 2)
        a = self.shake
        m = [a[:, i, j].reshape(lead) for i in range(2) for j in range(3)]
        out = np.stack([m[0] * xy[..., 0] + m[1] * xy[..., 1] + m[2], m[3] * xy[..., 0] + m[4] * xy[..., 1] + m[5]], -1)
        zoom = np.sqrt(np.abs(a[:, 0, 0] * a[:, 1, 1])).reshape(lead)
        return out, z, np.sqrt(self.focal[0] * self.focal[1]) / z * zoom


def look_at(
    target: Floats, *, azimuth: float, elevation: float, distance: float, roll: float, focal: tuple[float, float],
    centre: tuple[float, float], shake: Floats,
) -> Camera:  # fmt: skip
    """Return a camera ``distance`` metres from ``target``.

    Angles are radians; azimuth 0 looks a person at yaw 0 in the face.
    """
    back = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    forward = -back
    right = unit(np.cross(forward, [0.0, 1.0, 0.0]))
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    frame = np.stack([c * right + s * down, -s * right + c * down, forward])
    return Camera(target + back * distance, frame, focal, centre, shake)


def place_camera(
    rng: Rng, label: str, body: Body, *, seated: bool, size: tuple[int, int], maps: Floats, close: bool = False,
    calm: bool = False, plain: bool = False,
) -> tuple[Camera, float]:  # fmt: skip
    """Return a camera in front of the person, and how many body heights the picture shows."""
    h, w = size
    framing = int(rng.choice(4, p=_FRAMING[label])) if not calm else 2
    view = float([rng.uniform(0.48, 0.85), rng.uniform(0.82, 1.12), rng.uniform(1.12, 1.9), rng.uniform(1.8, 3.2)][framing])
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
    if label.startswith("raising"):  # from the side the two raises look alike
        azimuth = float(np.clip(azimuth, -0.85, 0.85))
    elif label == "waving one hand":  # people wave at the camera
        azimuth = float(np.clip(azimuth, -1.1, 1.1)) * 0.8
    elif label == "boxing":
        from_the_side = float(rng.choice([-1.0, 1.0]) * rng.normal(1.45, 0.25))
        azimuth = from_the_side if rng.random() < 0.35 else float(np.clip(azimuth, -1.6, 1.6))
    elif label in ("clapping", "arm circles"):
        azimuth = float(np.clip(azimuth, -1.6, 1.6))
    elevation = float(rng.choice([rng.normal(0.0, 0.1), rng.uniform(-0.25, 0.5), rng.uniform(0.4, 0.9)], p=[0.7, 0.24, 0.06]))
    distance = float(np.exp(rng.uniform(np.log(0.9), np.log(3.2)))) * max(view, 0.5) * body.height * 1.25
    if calm or plain:
        azimuth, elevation = float(rng.normal(0, 0.15)), float(rng.uniform(0, 0.12))
    focal = h * distance / (view * body.height)
    base = 0.75 if w > h else 4 / 3 if h > w else float(rng.choice([1.0, 0.75], p=[0.4, 0.6]))
    squeeze = 1.0 if calm else base * float(rng.choice([1.0, rng.uniform(0.85, 1.15), rng.uniform(0.7, 1.3)], p=[0.5, 0.4, 0.1]))
    off = float(np.clip(rng.normal(0, 0.11 if framing < 2 else 0.16), -0.3, 0.3))
    target = np.array([0.0, centre_y * body.height, (-0.19 if seated else 0.0) * body.height])
    camera = look_at(
        target, azimuth=azimuth, elevation=elevation, distance=distance, roll=float(rng.normal(0, 0.03)),
        focal=(focal * squeeze, focal), centre=(w * (0.5 + off), h * 0.5), shake=maps,
    )  # fmt: skip
    return camera, view


def sees_action(camera: Camera, s: Skeleton, action: Action, t: Floats, size: tuple[int, int]) -> bool:
    """Return whether the acting hands and feet and the head are in the picture for most of the action."""
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


def measure_motion(camera: Camera, s: Skeleton, size: tuple[int, int]) -> tuple[bool, float]:
    """Return whether the head is mostly in the picture, and how far the person moves in it.

    That is the longest way of a hand, a foot, the head or the hips, in heights of the picture.
    The motion of the camera does not count, nor do parts that are mostly outside the picture.
    """
    h, w = size
    still = replace(camera, shake=np.broadcast_to(np.eye(2, 3), camera.shake.shape))
    points = np.stack([s.skull, s.wrist[:, 0], s.wrist[:, 1], s.ankle[:, 0], s.ankle[:, 1], s.pelvis], 1)
    xy = still.project(points)[0]
    inside = ((xy > 0) & (xy < (w, h))).all(-1).mean(0) > 0.5
    way = np.linalg.norm(xy.max(0) - xy.min(0), axis=-1)
    return bool(inside[0]), float((way * inside).max()) / h


def floor_row(camera: Camera, h: int) -> float | None:
    """Return the row where a floor ends some metres behind the person; None if it is not in the picture."""
    ahead = camera.frame[2] * np.array([1.0, 0.0, 1.0])
    far = camera.eye + unit(ahead) * (abs(float(camera.eye @ unit(ahead))) + 2.2)
    far[1] = 0.0
    y = float(
        Camera(camera.eye, camera.frame, camera.focal, camera.centre, camera.shake[:1]).project(far[None, None])[0][0, 0, 1]
    )
    return y if y < 1.25 * h else None


def shake(rng: Rng, t: Floats, h: int, w: int, *, strength: float) -> Floats:
    """Return affine maps ``(n,2,3)`` of the picture at the seconds ``t`` for a hand-held camera.

    Strength 0 is still, 1 trembles, and from 2 on the camera pans and zooms.
    """
    n = len(t)
    out = np.zeros((n, 2, 3))
    out[:, 0, 0] = out[:, 1, 1] = 1
    if strength <= 0:
        return out
    size = 0.004 * strength * max(h, w)
    dx, dy = wander(rng, t, size, 1.2), wander(rng, t, size, 1.2)
    angle, zoom = wander(rng, t, 0.004 * strength, 0.7), 1 + wander(rng, t, 0.004 * strength, 0.6)
    if strength > 1.5:
        v = rng.normal(0, 0.012 * strength, 2) * (h, w)
        u = t - t.mean()
        dy, dx = dy + v[0] * u, dx + v[1] * u
        zoom = zoom * np.exp(rng.normal(0, 0.02 * strength) * u)
    c, s = zoom * np.cos(angle), zoom * np.sin(angle)
    out[:, 0, 0], out[:, 0, 1], out[:, 1, 0], out[:, 1, 1] = c, -s, s, c
    cx, cy = w / 2, h / 2
    out[:, 0, 2] = cx - c * cx + s * cy + dx
    out[:, 1, 2] = cy - s * cx - c * cy + dy
    return out
