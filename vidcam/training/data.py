"""Batches to learn from: clips of a folder, or drawn people.

A batch is a function of the seed and its number and of nothing else, so that training continues after a kill exactly where it
was, with any number of worker processes.
"""

from __future__ import annotations

import csv
import fnmatch
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vidcam import sampling, synthetic
from vidcam.errors import InputError, UsageError
from vidcam.io.files import atomic_write
from vidcam.io.source import VIDEO_SUFFIXES, find_videos, open_source
from vidcam.methods import cell_geometry
from vidcam.methods.cell_geometry import CellGeometry
from vidcam.models.registry import ModelSpec
from vidcam.training import losses
from vidcam.values import CropGeometry, UInt8Array

__all__ = ["Batch", "Clips", "Item", "People", "read_folder", "split"]

ALL_PLAIN, ALL_HARD = 0.06, 0.4
"""Shares of the training until which drawn clips are plain, and after which all of them may be hard."""

NONE_ODDS = 3.0
"""How much more often than each action "none of these" is drawn: it stands for all the rest of the world."""

WINDOWS = 4  # cut from every clip in one epoch


class Batch(NamedTuple):
    """``clips (B,T,H,W,3) uint8``; ``targets (B,) int64``, or ``(B,K) float32`` 0/1 where a clip may have several labels;
    ``where (B,T',h,w) uint8``, what each cell shows (``losses.ELSEWHERE``, ``UNKNOWN``, ``ACTING``); ``source (B,)``, which clip
    it is of."""

    clips: Tensor
    targets: Tensor
    where: Tensor
    source: Tensor


# Drawn people ------------------------------------------------------------------------------------------------------------------


class People(Dataset[Batch]):
    """Drawn people without end: every clip is drawn once, plain ones first. Held-out clips have seeds of their own."""

    multi_label = False

    def __init__(
        self, spec: ModelSpec, where: CellGeometry, *, batch: int, seed: int, epochs: int, epoch_steps: int = 250, held: int = 190
    ) -> None:
        self.labels = self.names()
        self.epoch_steps, self.epochs = epoch_steps, epochs
        self._frames, self._crop, self._interval = spec.frames, spec.crop, spec.seconds_between_frames
        self._where, self._batch, self._seed, self._held = where, batch, seed, held

    @staticmethod
    def names() -> tuple[str, ...]:
        """What is drawn: the actions, nobody, and anything else."""
        return (*synthetic.CLASSES, synthetic.NONE)

    def hard(self, step: int) -> float:
        """The share of clips that may be hard at a step: plain people first, all of the difficulties from ``ALL_HARD`` on."""
        return min(max((step / (self.epochs * self.epoch_steps) - ALL_PLAIN) / (ALL_HARD - ALL_PLAIN), 0.0), 1.0)

    def __getitem__(self, step: int) -> Batch:
        first = self._seed * 10**10 + step * self._batch
        seeds = [2 * (first + i) for i in range(self._batch)]  # even; the held-out ones are odd
        odds = np.array([NONE_ODDS if label == synthetic.NONE else 1.0 for label in self.labels])
        labels = [np.random.default_rng([seed, 8]).choice(self.labels, p=odds / odds.sum()) for seed in seeds]
        return self._draw([(seed, str(label)) for seed, label in zip(seeds, labels, strict=True)], hard=self.hard(step))

    def held_out(self, *, final: bool) -> Iterator[Batch]:
        """As many of each class, all hard; ``final`` gives five times as many others."""
        first, count = (10**9, 5 * self._held) if final else (0, self._held)
        wanted = [(2 * (first + i) + 1, self.labels[i % len(self.labels)]) for i in range(count)]
        for at in range(0, count, 10):
            batch = self._draw(wanted[at : at + 10], hard=1.0)
            yield batch._replace(source=batch.source + at)

    def _draw(self, wanted: Sequence[tuple[int, str]], *, hard: float) -> Batch:
        cv2.setNumThreads(1)  # there is a process for each core
        drawn = []
        for seed, label in wanted:
            # 1/12 to 1/7 s for the tenth of a second that `mini` takes, and in proportion for others: people differ in speed
            interval = self._interval * float(np.random.default_rng([seed, 9]).uniform(10 / 12, 10 / 7))
            drawn.append(
                synthetic.sample(
                    seed, label=label, frames=self._frames, size=self._crop, seconds_between_frames=interval, hard=hard
                )
            )
        return Batch(
            torch.from_numpy(np.stack([c.frames for c in drawn])),
            torch.tensor([self.labels.index(c.label) for c in drawn]),
            torch.from_numpy(np.stack([self._cells(c) for c in drawn])),
            torch.arange(len(drawn)),
        )

    def _cells(self, clip: synthetic.SyntheticVideo) -> UInt8Array:
        """What each cell of a drawn clip shows. Someone who stands idle does so with the whole body."""
        person = cell_geometry.covered(clip.person, self._where)
        if clip.label in (synthetic.NONE, synthetic.CLASSES[-1]):
            return np.full(person.shape, losses.UNKNOWN, np.uint8)
        acting = cell_geometry.covered(clip.parts & clip.active[:, None, None], self._where) if clip.active.any() else person
        return np.where(acting, losses.ACTING, losses.ELSEWHERE).astype(np.uint8)


# A folder of clips -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """One video: ``name`` relative to the folder, and what it shows."""

    path: Path
    name: str
    labels: tuple[int, ...]

    def beginning(self, parts: int) -> str:
        """The first ``parts`` of the name, which ``_`` divides: ``person1`` of ``person1_trial2``; the path where that is all."""
        every = self.path.stem.split("_")
        return "_".join(every[:parts]) if parts < len(every) else str(self.path)


def read_folder(folder: Path) -> tuple[tuple[str, ...], tuple[Item, ...], bool]:
    """The labels, the videos, and whether a video may have several labels.

    One folder of videos for each class; or videos beside a ``labels.csv`` of lines ``path,label;label;...``. InputError where it
    is neither, UsageError where there are fewer than two classes.
    """
    if not folder.is_dir():
        raise InputError(f"no folder {folder}: name a folder with one folder of videos for each class, or `people`")
    table = folder / "labels.csv"
    if table.is_file():
        return _from_table(folder, table)
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        loose = any(p.suffix.lower() in VIDEO_SUFFIXES for p in folder.iterdir())
        what = "only loose videos" if loose else "nothing to learn from"
        raise InputError(
            f"{folder} holds {what}: make one folder for each class in it, or a labels.csv of lines path,label;label"
        )
    items = [Item(path, f"{c.name}/{path.name}", (i,)) for i, c in enumerate(classes) for path in find_videos(c)]
    _at_least_two([c.name for c in classes], folder)
    return tuple(c.name for c in classes), tuple(items), False


def _from_table(folder: Path, table: Path) -> tuple[tuple[str, ...], tuple[Item, ...], bool]:
    rows: list[tuple[str, list[str]]] = []
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except UnicodeDecodeError as err:
        raise InputError(f"{table} is not UTF-8 text: save it as 'CSV UTF-8'") from err
    except csv.Error as err:
        raise InputError(f"{table} cannot be read as CSV ({err}): it must hold lines of path,label;label;...") from err
    for number, row in enumerate(lines, 1):
        if not row:
            continue
        if len(row) != 2:
            raise InputError(f"line {number} of {table} must be path,label;label;..., got {','.join(row)}")
        if not (folder / row[0].strip()).is_file():
            raise InputError(f"line {number} of {table}: no file {folder / row[0].strip()}")
        rows.append((row[0].strip(), [label.strip() for label in row[1].split(";") if label.strip()]))
    labels = sorted({label for _, found in rows for label in found})
    _at_least_two(labels, folder)
    items = tuple(Item(folder / name, name, tuple(sorted(map(labels.index, set(found))))) for name, found in rows)
    return tuple(labels), items, any(len(item.labels) != 1 for item in items)


def _at_least_two(labels: Sequence[str], folder: Path) -> None:
    if len(labels) < 2:
        raise UsageError(f"{folder} holds one class only, {', '.join(labels)}: there is nothing to tell apart; add a second one")


def split(
    items: Sequence[Item], labels: Sequence[str], *, holdout: str | None, share: float, seed: int
) -> tuple[list[Item], list[Item], list[str]]:
    """The videos to train on, those to keep back, and remarks on what that leaves unknown.

    ``holdout`` is a pattern of names (``*/person3_*``); without one, whole groups are kept back until ``share`` of the videos is
    reached and every class has some that can spare them, never more than half of a class. Where no group can be kept back,
    single videos are. UsageError where the pattern leaves nothing to train on or keeps nothing.
    """
    remarks = []
    if holdout is not None:
        kept = {i for i, item in enumerate(items) if any(fnmatch.fnmatch(n, holdout) for n in (item.name, item.path.name))}
        if not kept:
            names = ", ".join(item.name for item in items[:3])
            raise UsageError(f"the pattern {holdout!r} fits none of the {len(items)} videos, such as {names}")
        if len({label for i, item in enumerate(items) if i not in kept for label in item.labels}) < len(labels):
            raise UsageError(f"the pattern {holdout!r} leaves a class without a video to train on: make it narrower")
    elif share == 0:
        kept = set()
        remarks.append("none was kept back, as asked, so nothing is known of the quality")
    else:
        groups = _groups(items)
        alone = {str(item.path): [i] for i, item in enumerate(items)}
        kept = _keep(items, groups, share, seed)
        if not kept:
            groups, kept = alone, _keep(items, alone, share, seed)
        together = [name for name, members in groups.items() if len(members) > 1]
        if not kept:
            remarks.append("each video is the only one of a class, so none was kept back and nothing is known of the quality")
        elif together:
            remarks.append(f"videos were grouped by how their names begin, such as {together[0]}: {len(groups)} groups")
        else:
            remarks.append(
                "the names tell no groups that could be kept back, so each video was taken by itself: where several show the "
                "same person or place, the held-out figures are too good"
            )
    tested = {label for i in kept for label in items[i].labels}
    unknown = [name for label, name in enumerate(labels) if label not in tested]
    if kept and unknown:
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        remarks.append(f"no video was held out of {', '.join(unknown[:5])}{more}: the figures say nothing of these classes")
    return [item for i, item in enumerate(items) if i not in kept], [items[i] for i in sorted(kept)], remarks


def _groups(items: Sequence[Item]) -> dict[str, list[int]]:
    """Videos, as indices, that must not be torn apart: those whose names begin alike, up to as few ``_`` as will do.

    ``person01`` of ``person01_boxing_d1``, ``v_Yoyo_g01`` of ``v_Yoyo_g01_c03``: what is common to whole classes and nothing else
    (``v``, ``v_Yoyo``) says no more than the class does, so it is divided by the next part of the names.
    """
    total = Counter(label for item in items for label in item.labels)
    found: dict[str, list[int]] = {}
    whole, parts = {"": list(range(len(items)))}, 0
    while whole:
        parts += 1
        finer: dict[str, list[int]] = {}
        for i in (i for members in whole.values() for i in members):
            finer.setdefault(items[i].beginning(parts), []).append(i)
        whole = {}
        for name, members in finer.items():
            inside = Counter(label for i in members for label in items[i].labels)
            divide = inside.items() <= total.items() and name != str(items[members[0]].path)
            (whole if divide else found)[name] = members
    return found


def _keep(items: Sequence[Item], groups: Mapping[str, Sequence[int]], share: float, seed: int) -> set[int]:
    """The videos to keep back, as indices: always a group, in a random order, for the class that is furthest below its share."""
    total = Counter(label for item in items for label in item.labels)
    names = sorted(groups)
    waiting: dict[int, list[str]] = {label: [] for label in sorted(total)}
    for n in np.random.default_rng([seed, 3]).permutation(len(names)):
        for label in {label for i in groups[names[n]] for label in items[i].labels}:
            waiting[label].append(names[n])
    kept: set[int] = set()
    held: Counter[int] = Counter()
    while waiting and (len(kept) < share * len(items) or any(not held[label] for label in waiting)):
        label = min(waiting, key=lambda label: held[label] / total[label])
        if not waiting[label]:
            del waiting[label]
            continue
        group = groups[waiting[label].pop()]
        more = Counter(label for i in group for label in items[i].labels)
        if kept.isdisjoint(group) and all(2 * (held[label] + n) <= total[label] for label, n in more.items()):
            kept.update(group)
            held += more
    return kept


class Clips(Dataset[Batch]):
    """Windows cut at random from the videos of a folder, slightly altered; the held-out ones are cut regularly and not altered.

    Each video is decoded once, to frames of the model's size that lie in the folder ``cache`` while training runs.
    """

    def __init__(
        self,
        spec: ModelSpec,
        labels: tuple[str, ...],
        train: Sequence[Item],
        held: Sequence[Item],
        *,
        multi_label: bool,
        batch: int,
        seed: int,
        cache: Path,
        epochs: int = 30,
        flip: bool = False,
    ) -> None:
        self.labels, self.multi_label, self.train, self.held = labels, multi_label, tuple(train), tuple(held)
        self.epoch_steps, self.epochs = -(-len(train) * WINDOWS // batch), epochs
        self._frames, self._interval, self._resize, self._crop = spec.frames, spec.seconds_between_frames, spec.resize, spec.crop
        self._batch, self._seed, self._cache, self._flip = batch, seed, cache, flip

    def __getitem__(self, step: int) -> Batch:
        epoch, at = divmod(step, self.epoch_steps)
        order = np.random.default_rng([self._seed, 1, epoch]).permutation(len(self.train) * WINDOWS) % len(self.train)
        places = range(at * self._batch, (at + 1) * self._batch)
        source = [int(order[i % len(order)]) for i in places]
        chosen = [self.train[n] for n in source]
        clips = [
            self._altered(item, np.random.default_rng([self._seed, 2, epoch, i])) for i, item in zip(places, chosen, strict=True)
        ]
        return self._batch_of(clips, chosen, source)

    def held_out(self, *, final: bool) -> Iterator[Batch]:
        """Every window of every held-out video, half a window apart, at most ``batch`` at once; the same for ``final``."""
        clip_s = self._frames * self._interval
        for n, item in enumerate(self.held):
            frames, times, geometry = self._decoded(item)
            last = max(float(times[-1]) - clip_s, 0.0)
            starts = [*np.arange(0.0, last, clip_s / 2), last]
            for at in range(0, len(starts), self._batch):
                some = starts[at : at + self._batch]
                clips = [geometry.cut(self._window(frames, times, start, self._interval)) for start in some]
                yield self._batch_of(clips, [item] * len(clips), [n] * len(clips))

    def prepare(self) -> Iterator[Item]:
        """Decode what is not decoded yet, one video after the other."""
        for item in (*self.train, *self.held):
            self._decoded(item)
            yield item

    def _batch_of(self, clips: Sequence[UInt8Array], items: Sequence[Item], source: Sequence[int]) -> Batch:
        targets = torch.tensor([item.labels[0] if not self.multi_label else 0 for item in items])
        if self.multi_label:
            targets = torch.zeros(len(items), len(self.labels))
            for row, item in zip(targets, items, strict=True):
                row[list(item.labels)] = 1.0
        unknown = torch.full((len(items), 1, 1, 1), losses.UNKNOWN, dtype=torch.uint8)
        return Batch(torch.from_numpy(np.stack(clips)), targets, unknown, torch.tensor(source))

    def _altered(self, item: Item, rng: np.random.Generator) -> UInt8Array:
        """A window at a random time, a little slower or faster, nearer or farther, aside, brighter or darker."""
        frames, times, geometry = self._decoded(item)
        interval = self._interval * float(np.exp(rng.uniform(-0.2, 0.2)))
        last = max(float(times[-1]) - self._frames * interval, 0.0)
        window = self._window(frames, times, float(rng.uniform(0.0, last)) if last else 0.0, interval)
        top, left, height, width = geometry.crop
        scale = float(np.exp(rng.uniform(-0.12, 0.12)))
        dy, dx = rng.uniform(-0.06, 0.06, 2) * self._crop
        mirror = self._flip and rng.random() < 0.5
        centre = np.array([left + (width - 1) / 2 + dx, top + (height - 1) / 2 + dy])
        matrix = np.array([[-scale if mirror else scale, 0.0], [0.0, scale]])
        affine = np.hstack([matrix, (np.array([(width - 1) / 2, (height - 1) / 2]) - matrix @ centre)[:, None]])
        gain = rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3)
        table = np.clip(np.arange(256)[:, None] * gain + rng.uniform(-12, 12), 0, 255).astype(np.uint8)[None]
        moved = [cv2.warpAffine(f, affine, (width, height), borderMode=cv2.BORDER_REFLECT_101) for f in window]
        return np.stack([cv2.LUT(f, table) for f in moved]).astype(np.uint8)

    def _window(self, frames: UInt8Array, times: npt.NDArray[np.float64], start: float, interval: float) -> UInt8Array:
        """``frames`` shown at ``start + i * interval`` seconds; after the end, the last one."""
        wanted = start + np.arange(self._frames) * interval
        return frames[np.clip(np.searchsorted(times, wanted + sampling.TOLERANCE_S, "right") - 1, 0, len(frames) - 1)]

    def _decoded(self, item: Item) -> tuple[UInt8Array, npt.NDArray[np.float64], CropGeometry]:
        """The video's frames at the model's size before the crop, their seconds from the first, and the geometry."""
        facts = f"{item.path.resolve()} {item.path.stat().st_mtime_ns} {self._resize} {self._crop} {self._interval}"
        path = self._cache / f"{hashlib.sha256(facts.encode()).hexdigest()[:24]}.npz"
        frames_path = path.with_suffix(".npy")
        if not path.is_file():
            self._decode(item, frames_path, path)
        with np.load(path) as known:
            times, size = known["times"], (int(known["size"][0]), int(known["size"][1]))
        geometry = sampling.views(size, resize=self._resize, crop=self._crop, cover=False)[0]
        return np.load(frames_path, mmap_mode="r"), times, geometry

    def _decode(self, item: Item, frames_path: Path, path: Path) -> None:
        frames: list[UInt8Array] = []
        times: list[float] = []
        size = 0, 0
        with open_source(item.path) as source:
            for frame in source.frames():
                if times and frame.time < times[-1] + self._interval / 5:  # finer than that no window can tell
                    continue
                size = frame.size
                geometry = sampling.views(size, resize=self._resize, crop=self._crop, cover=False)[0]
                frames.append(sampling.resize(frame.picture, geometry))
                times.append(frame.time)
        self._cache.mkdir(parents=True, exist_ok=True)
        with atomic_write(frames_path, overwrite=True) as part:
            np.save(part, np.stack(frames))
        with atomic_write(path, overwrite=True) as part:
            np.savez(part, times=np.array(times) - times[0], size=np.array(size))
