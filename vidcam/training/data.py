"""Training batches: clips of labelled videos, or synthetic people.

A batch is a pure function of the seed and its number, so that training continues after a kill exactly where it was, with any
number of worker processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vidcam import synthetic
from vidcam.io.class_folders import LabelledVideo
from vidcam.io.files import atomic_write
from vidcam.io.source import open_source
from vidcam.methods import cell_geometry
from vidcam.methods.cell_geometry import CellGeometry
from vidcam.models.spec import ModelSpec
from vidcam.sampling import Sampler, frames_shown, resize, spatial_crops
from vidcam.training import losses
from vidcam.values import PADDING, CropGeometry, UInt8Array

__all__ = ["Batch", "SyntheticDataset", "VideoDataset"]

EASY_UNTIL, HARD_FROM = 0.06, 0.4
"""Shares of the training: before the first, all synthetic clips are easy; after the second, all of them may be hard."""

NONE_ODDS = 2.5
"""How much more often "none of these" is drawn than each action: it stands for everything else."""

SLOWEST, FASTEST = 0.62, 1.4
"""The frames of a synthetic clip lie this many times the model's interval apart: people differ in speed."""

SHAPES = {(1.0, 1.0): 0.34, (0.75, 1.0): 0.28, (0.84, 1.0): 0.08, (0.66, 1.0): 0.06, (1.0, 0.75): 0.18, (1.0, 0.84): 0.06}
"""The shares (height, width) of the model's input that a whole picture fills, and how often: squares and 4:3, 16:9, 3:2, wider,
phones held upright."""

CLIPS_PER_VIDEO = 4
"""Clips cut from each video in one epoch."""


class Batch(NamedTuple):
    """Clips with their labels.

    ``clips (B,T,H,W,3) uint8``; ``targets (B,) int64``, or ``(B,K) float32`` of 0 and 1 if a clip may have several labels;
    ``cells (B,T',h,w) uint8``, what each cell shows (``losses.ELSEWHERE``, ``UNKNOWN`` or ``ACTING``); ``source (B,)``, the
    number of the video that each clip is of.
    """

    clips: Tensor
    targets: Tensor
    cells: Tensor
    source: Tensor


class SyntheticDataset(Dataset[Batch]):
    """Synthetic people without end.

    No clip comes twice, easy clips come first, and the held-out clips have seeds of their own.
    """

    multi_label = False

    def __init__(
        self, spec: ModelSpec, cells: CellGeometry, *, batch: int, seed: int, epochs: int, epoch_steps: int = 250,
        held: int = 190, photos: Sequence[UInt8Array] = (), easy_first: bool = True,
    ) -> None:  # fmt: skip
        self.labels = self.names()
        self.epoch_steps, self.epochs = epoch_steps, epochs
        self._frames, self._crop, self._interval = spec.num_frames, spec.crop, spec.seconds_between_frames
        self._cells, self._batch, self._seed, self._held = cells, batch, seed, held
        self._fits, self._photos, self._easy_first = spec.resize == "fit", photos, easy_first

    @staticmethod
    def names() -> tuple[str, ...]:
        """Return the labels: the actions, "no person" and "none of these"."""
        return (*synthetic.CLASSES, synthetic.NONE)

    def hard(self, step: int) -> float:
        """Return the share of clips that may be hard at a step: it rises from ``EASY_UNTIL`` to ``HARD_FROM``, or is 1."""
        if not self._easy_first:
            return 1.0
        return min(max((step / (self.epochs * self.epoch_steps) - EASY_UNTIL) / (HARD_FROM - EASY_UNTIL), 0.0), 1.0)

    def __getitem__(self, step: int) -> Batch:
        first = self._seed * 10**10 + step * self._batch
        seeds = [2 * (first + i) for i in range(self._batch)]  # even; those of the held-out clips are odd
        odds = np.array([NONE_ODDS if label == synthetic.NONE else 1.0 for label in self.labels])
        labels = [np.random.default_rng([seed, 8]).choice(self.labels, p=odds / odds.sum()) for seed in seeds]
        return self._draw([(seed, str(label)) for seed, label in zip(seeds, labels, strict=True)], hard=self.hard(step))

    def held_out(self, *, final: bool) -> Iterator[Batch]:
        """Yield the held-out clips, equally many of each class, all hard.

        With ``final``, they are five times as many, and different ones.
        """
        first, count = (10**9, 5 * self._held) if final else (0, self._held)
        clips = [(2 * (first + i) + 1, self.labels[i % len(self.labels)]) for i in range(count)]
        for at in range(0, count, 10):
            batch = self._draw(clips[at : at + 10], hard=1.0)
            yield batch._replace(source=batch.source + at)

    def _draw(self, clips: Sequence[tuple[int, str]], *, hard: float) -> Batch:
        """Draw the clips with these seeds and labels."""
        cv2.setNumThreads(1)  # there is a process for each core
        drawn = []
        for seed, label in clips:
            rng = np.random.default_rng([seed, 9])
            interval, size = self._interval * float(rng.uniform(SLOWEST, FASTEST)), self._crop
            if self._fits:
                height, width = list(SHAPES)[int(rng.choice(len(SHAPES), p=list(SHAPES.values())))]
                size = round(height * size[0]), round(width * size[1])
            clip = synthetic.sample(
                seed, label=label, frames=self._frames, size=size, seconds_between_frames=interval, hard=hard, photos=self._photos
            )
            drawn.append(fill(clip, self._crop))
        return Batch(
            torch.from_numpy(np.stack([c.frames for c in drawn])),
            torch.tensor([self.labels.index(c.label) for c in drawn]),
            torch.from_numpy(np.stack([self._cell_truth(c) for c in drawn])),
            torch.arange(len(drawn)),
        )

    def _cell_truth(self, clip: synthetic.SyntheticVideo) -> UInt8Array:
        """Return what each cell of a clip shows; a person who stands idle does so with the whole body."""
        person = cell_geometry.covered(clip.person, self._cells)
        if clip.label in (synthetic.NONE, synthetic.CLASSES[-1]):
            return np.full(person.shape, losses.UNKNOWN, np.uint8)
        acting = cell_geometry.covered(clip.parts & clip.active[:, None, None], self._cells) if clip.active.any() else person
        return np.where(acting, losses.ACTING, losses.ELSEWHERE).astype(np.uint8)


def fill(clip: synthetic.SyntheticVideo, size: tuple[int, int]) -> synthetic.SyntheticVideo:
    """Return the clip in the middle of pictures of ``size`` (H, W), with grey beside it, as a model gets it that fits it in."""
    h, w = clip.frames.shape[1:3]
    top, left = (size[0] - h) // 2, (size[1] - w) // 2
    around = ((0, 0), (top, size[0] - h - top), (left, size[1] - w - left))
    frames = np.pad(clip.frames, (*around, (0, 0)), constant_values=PADDING)
    return replace(clip, frames=frames, person=np.pad(clip.person, around), parts=np.pad(clip.parts, around))


@dataclass(frozen=True)
class _Decoded:
    """One decoded video: frames at the model's size before the crop, times and durations in seconds."""

    frames: UInt8Array
    times: npt.NDArray[np.float64]
    durations: npt.NDArray[np.float64]
    geometry: CropGeometry


class VideoDataset(Dataset[Batch]):
    """Randomly cut and slightly altered clips of labelled videos.

    The held-out videos give the same clips as when they are explained. Each video is decoded once; its frames, at the model's
    size, lie in the folder ``cache`` while training runs.
    """

    def __init__(
        self,
        spec: ModelSpec,
        labels: tuple[str, ...],
        train: Sequence[LabelledVideo],
        held: Sequence[LabelledVideo],
        *,
        multi_label: bool,
        batch: int,
        seed: int,
        cache: Path,
        epochs: int = 30,
        flip: bool = False,
    ) -> None:
        self.labels, self.multi_label, self.train, self.held = labels, multi_label, tuple(train), tuple(held)
        self.epoch_steps, self.epochs = -(-len(train) * CLIPS_PER_VIDEO // batch), epochs
        self._frames, self._interval = spec.num_frames, spec.seconds_between_frames
        self._resize, self._crop = spec.resize, spec.crop
        self._batch, self._seed, self._cache, self._flip = batch, seed, cache, flip

    def __getitem__(self, step: int) -> Batch:
        epoch, at = divmod(step, self.epoch_steps)
        order = np.random.default_rng([self._seed, 1, epoch]).permutation(len(self.train) * CLIPS_PER_VIDEO) % len(self.train)
        places = range(at * self._batch, (at + 1) * self._batch)
        source = [int(order[i % len(order)]) for i in places]
        videos = [self.train[n] for n in source]
        clips = [
            self._random_clip(video, np.random.default_rng([self._seed, 2, epoch, i]))
            for i, video in zip(places, videos, strict=True)
        ]
        return self._batch_of(clips, videos, source)

    def held_out(self, *, final: bool) -> Iterator[Batch]:
        """Yield the clips that explaining each held-out video would cut; the same for ``final``."""
        for n, video in enumerate(self.held):
            clips: list[UInt8Array] = []
            for clip in self._regular_clips(self._decoded(video)):
                clips.append(clip)
                if len(clips) == self._batch:
                    yield self._batch_of(clips, [video] * len(clips), [n] * len(clips))
                    clips = []
            if clips:
                yield self._batch_of(clips, [video] * len(clips), [n] * len(clips))

    def held_out_picture(self, number: int) -> UInt8Array:
        """Return the middle frame ``(H,W,3)`` of a held-out video, as far as the model sees it."""
        video = self._decoded(self.held[number])
        middle = len(video.frames) // 2
        return np.asarray(video.geometry.cut(video.frames[middle : middle + 1])[0], np.uint8)

    def prepare(self) -> Iterator[LabelledVideo]:
        """Decode the videos that are not decoded yet, and yield each video once it is."""
        for video in (*self.train, *self.held):
            self._decoded(video)
            yield video

    def _batch_of(self, clips: Sequence[UInt8Array], videos: Sequence[LabelledVideo], source: Sequence[int]) -> Batch:
        targets = torch.tensor([video.labels[0] if not self.multi_label else 0 for video in videos])
        if self.multi_label:
            targets = torch.zeros(len(videos), len(self.labels))
            for row, video in zip(targets, videos, strict=True):
                row[list(video.labels)] = 1.0
        unknown = torch.full((len(videos), 1, 1, 1), losses.UNKNOWN, dtype=torch.uint8)
        return Batch(torch.from_numpy(np.stack(clips)), targets, unknown, torch.tensor(source))

    def _regular_clips(self, video: _Decoded) -> Iterator[UInt8Array]:
        """Yield the cropped clips ``(T,H,W,3)`` of a video as :class:`vidcam.pipeline.Session` cuts them."""
        sampler = Sampler(
            frames=self._frames, seconds_between_frames=self._interval,
            seconds_between_clip_starts=self._frames * self._interval / 2,
        )  # fmt: skip
        for frame, time, duration in zip(video.frames, video.times.tolist(), video.durations.tolist(), strict=True):
            yield from (video.geometry.cut(clip.frames) for clip in sampler.push(frame, time=time, duration=duration))
        yield from (video.geometry.cut(clip.frames) for clip in sampler.close())

    def _random_clip(self, item: LabelledVideo, rng: np.random.Generator) -> UInt8Array:
        """Return a clip at a random time, with a random change of speed, size, place and brightness."""
        video = self._decoded(item)
        interval = self._interval * float(np.exp(rng.uniform(-0.2, 0.2)))
        last = max(float(video.times[-1] - video.times[0]) - self._frames * interval, 0.0)
        start = video.times[0] + (float(rng.uniform(0.0, last)) if last else 0.0)
        frames = video.frames[frames_shown(video.times, start + np.arange(self._frames) * interval)]
        top, left, height, width = video.geometry.crop
        scale = float(np.exp(rng.uniform(-0.12, 0.12)))
        dy, dx = rng.uniform(-0.06, 0.06, 2) * self._crop
        mirror = self._flip and rng.random() < 0.5
        centre = np.array([left + (width - 1) / 2 + dx, top + (height - 1) / 2 + dy])
        matrix = np.array([[-scale if mirror else scale, 0.0], [0.0, scale]])
        affine = np.hstack([matrix, (np.array([(width - 1) / 2, (height - 1) / 2]) - matrix @ centre)[:, None]])
        gain = rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3)
        table = np.clip(np.arange(256)[:, None] * gain + rng.uniform(-12, 12), 0, 255).astype(np.uint8)[None]
        beside = cv2.BORDER_CONSTANT if self._resize == "fit" else cv2.BORDER_REFLECT_101
        moved = [cv2.warpAffine(f, affine, (width, height), borderMode=beside, borderValue=(PADDING,) * 3) for f in frames]
        return np.stack([cv2.LUT(f, table) for f in moved]).astype(np.uint8)

    def _decoded(self, video: LabelledVideo) -> _Decoded:
        """Return the decoded video from the cache; it is decoded when it is first asked for."""
        facts = f"{video.path.resolve()} {video.path.stat().st_mtime_ns} {self._resize} {self._crop}"
        frames_path = self._cache / f"{hashlib.sha256(facts.encode()).hexdigest()[:24]}.rgb"
        times_path = frames_path.with_suffix(".npz")
        if not times_path.is_file():
            self._decode(video.path, frames_path, times_path)
        with np.load(times_path) as known:
            times, durations, size = known["times"], known["durations"], (int(known["size"][0]), int(known["size"][1]))
        geometry = self._geometry(size)
        frames: UInt8Array = np.memmap(frames_path, np.uint8, "r", shape=(len(times), *geometry.resized, 3))
        return _Decoded(frames, times, durations, geometry)

    def _decode(self, video: Path, frames_path: Path, times_path: Path) -> None:
        """Write the frames one by one, and then their times: with them the video counts as decoded."""
        times, durations, size = [], [], (0, 0)
        self._cache.mkdir(parents=True, exist_ok=True)
        with open_source(video) as source, atomic_write(frames_path, overwrite=True) as part, part.open("wb") as file:
            for frame in source.frames():
                size = frame.size
                file.write(np.ascontiguousarray(resize(frame.picture, self._geometry(size))).data)
                times.append(frame.time)
                durations.append(frame.duration)
        with atomic_write(times_path, overwrite=True) as part:
            np.savez(part, times=np.array(times), durations=np.array(durations), size=np.array(size))

    def _geometry(self, size: tuple[int, int]) -> CropGeometry:
        return spatial_crops(size, resize=self._resize, crop=self._crop, cover=False)[0]
