"""Scripted scenes: one person does several actions one after the other, before a still camera."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vidcam.errors import UnknownNameError, UsageError
from vidcam.synthetic.actions import MOTIONS
from vidcam.synthetic.arrays import Bools, Floats, Picture, Rng
from vidcam.synthetic.body import Body, Pose, colour, mix, random_body, skeleton
from vidcam.synthetic.camera import Camera, place_camera, shake
from vidcam.synthetic.draw import PART, PERSON
from vidcam.synthetic.motion import Action, Stance, ease
from vidcam.synthetic.props import chair
from vidcam.synthetic.stage import Stage, add_person, make_stage

__all__ = ["SceneFrame", "scene"]

FRAMES_AT_ONCE = 32
"""Frames that are drawn at once, so that a long scene needs little memory."""


@dataclass(frozen=True)
class SceneFrame:
    """One frame of a scripted scene: picture ``(H,W,3)``, second, label, and masks ``(H,W)``.

    ``person``, ``parts`` and ``active`` are those of a :class:`~vidcam.synthetic.sampling.SyntheticVideo`.
    """

    image: Picture
    time: float
    label: str
    person: Bools
    parts: Bools
    active: bool


def scene(
    script: Sequence[tuple[str, float]], *, seed: int, fps: float = 25.0, size: int | tuple[int, int] = (360, 480)
) -> Iterator[SceneFrame]:
    """Yield the frames of one person who does the actions of ``script`` one after the other.

    The camera is still. Actions begin and end at rest. A person who sat down stays seated until "standing up"; one who fell down
    stays on the floor.

    Args:
        script: (label, seconds) of each action.
        seed: A non-negative integer.
        fps: Frames per second.
        size: Pixels of a square, or (height, width).

    Raises:
        UnknownNameError: A label is unknown.
        UsageError: An action has no positive length.
    """
    known = tuple(MOTIONS)
    for label, seconds in script:
        if label not in known:
            raise UnknownNameError("label", label, known)
        if not seconds > 0:
            raise UsageError(f"every action of a scene needs positive seconds, got {seconds} for {label!r}")
    h, w = (size, size) if isinstance(size, int) else size
    rng = np.random.default_rng([seed, 77, h, w])
    body, stance = random_body(rng), Stance(rng, arms="hang")
    still = shake(rng, np.zeros(1), h, w, strength=0.0)
    camera, _ = place_camera(rng, "standing idle", body, seated=False, size=(h, w), maps=still, calm=True)
    stage = make_stage(rng, np.zeros(1), 1, (h, w), camera, still)
    needs_chair = any(label in ("sitting down", "standing up") for label, _ in script)
    chair_colour = colour(rng)
    clock, count_before = 0.0, 0
    previous: _Previous | None = None
    offset = np.zeros(3)
    for label, seconds in script:
        action = _draw_inside(rng, label, stance, seconds, camera, body, offset, (h, w))
        count = round((clock + seconds) * fps) - count_before
        times = (count_before + np.arange(count)) / fps
        for first in range(0, count, FRAMES_AT_ONCE):
            now = times[first : first + FRAMES_AT_ONCE]
            pose = _move(action.pose(now - clock), offset)
            if previous is not None:
                pose = mix(previous.pose(now - clock), pose, ease(now - clock, 0.0, min(0.5, seconds / 2)))
            part = _part_of(stage, now)
            if needs_chair:
                part.shapes += chair(
                    part.camera, part.light, seat=0.24 * body.height, z=-0.2 * body.height, size=body.height, colour=chair_colour,
                    n=len(now),
                )  # fmt: skip
            add_person(part, body, pose, groups=action.groups)
            yield from _frames(part, action, label, clock)
        count_before += count
        clock += seconds
        previous = _Previous(action, seconds, offset)
        if action.travels:
            offset = offset + action.pose(np.array([seconds])).root[0] * np.array([1.0, 0.0, 1.0])


@dataclass(frozen=True)
class _Previous:
    """The action before, out of which the next one begins."""

    action: Action
    seconds: float
    offset: Floats

    def pose(self, t: Floats) -> Pose:
        """Return its poses ``t`` seconds after its end."""
        return _move(self.action.pose(t + self.seconds), self.offset)


def _part_of(stage: Stage, now: Floats) -> Stage:
    """Return the empty stage at the seconds ``now``."""
    maps = np.repeat(stage.place_maps, len(now), 0)
    camera = replace(stage.camera, shake=np.repeat(stage.camera.shake, len(now), 0))
    return Stage(stage.rng, stage.size, now, 1, camera, stage.light, stage.place, maps)


def _frames(part: Stage, action: Action, label: str, start: float) -> Iterator[SceneFrame]:
    pictures, whose = part.render()
    active = action.active(part.t - start)
    for i, time in enumerate(part.t.tolist()):
        person, parts = whose[i] >= PERSON // 2, whose[i] >= (PERSON + PART) // 2
        yield SceneFrame(pictures[i], time, label, person, parts, bool(active[i]) and bool(action.groups))


def _move(pose: Pose, offset: Floats) -> Pose:
    pose.root += offset
    pose.ankle += offset
    return pose


def _draw_inside(
    rng: Rng, label: str, stance: Stance, seconds: float, camera: Camera, body: Body, offset: Floats, size: tuple[int, int]
) -> Action:
    """Return the action, drawn again up to 30 times until it ends inside the picture."""
    for _ in range(30):
        action = MOTIONS[label](rng, stance, seconds)
        end = _move(action.pose(np.array([seconds])), offset)
        s = skeleton(body, end)
        xy = camera.project(np.stack([s.skull, s.ankle[:, 0], s.pelvis], 1))[0][0]
        if ((xy > 0) & (xy < np.array(size[::-1]))).all():
            break
    return action
