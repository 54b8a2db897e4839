"""Splitting labelled videos into those to train on and those to hold out.

Videos of one recording or person stay together, because they resemble each other more than new videos will.
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidcam.errors import UsageError
from vidcam.io.class_folders import LabelledFolder, LabelledVideo, read_labelled

__all__ = ["Split", "name_prefix", "read_training_folder", "split"]


class Split(NamedTuple):
    """The videos to train on, those held out, and remarks on what the held-out ones leave unknown."""

    train: list[LabelledVideo]
    held_out: list[LabelledVideo]
    remarks: list[str]


def read_training_folder(folder: Path) -> LabelledFolder:
    """Read a labelled folder; UsageError if it has fewer than two classes."""
    data = read_labelled(folder)
    if len(data.labels) < 2:
        raise UsageError(
            f"{folder} holds one class only, {', '.join(data.labels)}: there is nothing to tell apart; add a second one"
        )
    return data


def split(
    videos: Sequence[LabelledVideo], labels: Sequence[str], *, holdout: str | None, val_fraction: float, seed: int
) -> Split:
    """Hold out the videos whose names match ``holdout``, or about ``val_fraction`` of them by group.

    ``holdout`` is a pattern of names (``*/person3_*``); it raises UsageError if it matches no video or leaves a class without a
    video to train on. Otherwise whole groups of videos are held out until ``val_fraction`` is reached and every class that has
    enough videos is tested, but never more than half of a class. If no group can be held out, single videos are.
    """
    remarks: list[str] = []
    if holdout is not None:
        held = _matching(videos, labels, holdout)
    elif val_fraction == 0:
        held = set()
        remarks.append("no video was held out, as requested, so the quality of the model is unknown")
    else:
        held, remark = _held_groups(videos, val_fraction, seed)
        remarks.append(remark)
    tested = {label for i in held for label in videos[i].labels}
    untested = [name for label, name in enumerate(labels) if label not in tested]
    if held and untested:
        more = f" and {len(untested) - 5} more" if len(untested) > 5 else ""
        remarks.append(f"no video was held out of {', '.join(untested[:5])}{more}: the figures say nothing about these classes")
    return Split([v for i, v in enumerate(videos) if i not in held], [videos[i] for i in sorted(held)], remarks)


def name_prefix(video: LabelledVideo, parts: int) -> str:
    """Return the first ``parts`` of the file name, split at ``_``.

    If the name has no more parts than that, it is the whole path. One part of ``person1_trial2`` is ``person1``.
    """
    words = video.path.stem.split("_")
    return "_".join(words[:parts]) if parts < len(words) else str(video.path)


def _matching(videos: Sequence[LabelledVideo], labels: Sequence[str], pattern: str) -> set[int]:
    """Return the indices of the videos whose name or file name matches the pattern."""
    held = {i for i, v in enumerate(videos) if any(fnmatch.fnmatch(name, pattern) for name in (v.name, v.path.name))}
    if not held:
        examples = ", ".join(video.name for video in videos[:3])
        raise UsageError(f"the pattern {pattern!r} fits none of the {len(videos)} videos, such as {examples}")
    if len({label for i, video in enumerate(videos) if i not in held for label in video.labels}) < len(labels):
        raise UsageError(f"the pattern {pattern!r} leaves a class without a video to train on: make it narrower")
    return held


def _held_groups(videos: Sequence[LabelledVideo], val_fraction: float, seed: int) -> tuple[set[int], str]:
    """Return the indices of the videos to hold out by group, and a remark on how they were grouped."""
    groups = _group_by_name(videos)
    held = _choose_groups(videos, groups, val_fraction, seed)
    if not held:
        groups = {str(video.path): [i] for i, video in enumerate(videos)}
        held = _choose_groups(videos, groups, val_fraction, seed)
    if not held:
        return held, "each video is the only one of a class, so none was held out and the quality of the model is unknown"
    together = [name for name, members in groups.items() if len(members) > 1]
    if together:
        return held, f"videos were grouped by how their names begin, such as {together[0]}: {len(groups)} groups"
    return held, (
        "the names show no groups that could be held out, so each video was treated on its own: if several show the same person "
        "or place, the held-out figures are too good"
    )


def _group_by_name(videos: Sequence[LabelledVideo]) -> dict[str, list[int]]:
    """Return the groups of videos (indices) that must stay together, by the beginnings of their names.

    Videos belong together if their names share the shortest prefix that tells groups apart: ``person01`` of
    ``person01_boxing_d1``, ``v_Yoyo_g01`` of ``v_Yoyo_g01_c03``. A prefix that only whole classes share (``v``, ``v_Yoyo``)
    says no more than the class does, so such a group is divided by the next part of the names.
    """
    total = Counter(label for video in videos for label in video.labels)
    groups: dict[str, list[int]] = {}
    undivided, parts = {"": list(range(len(videos)))}, 0
    while undivided:
        parts += 1
        finer: dict[str, list[int]] = {}
        for i in (i for members in undivided.values() for i in members):
            finer.setdefault(name_prefix(videos[i], parts), []).append(i)
        undivided = {}
        for name, members in finer.items():
            inside = Counter(label for i in members for label in videos[i].labels)
            divide = inside.items() <= total.items() and name != str(videos[members[0]].path)
            (undivided if divide else groups)[name] = members
    return groups


def _choose_groups(
    videos: Sequence[LabelledVideo], groups: Mapping[str, Sequence[int]], val_fraction: float, seed: int
) -> set[int]:
    """Choose the videos (indices) to hold out, group by group in random order.

    Each group is chosen for the class of which the smallest share is held out.
    """
    total = Counter(label for video in videos for label in video.labels)
    names = sorted(groups)
    waiting: dict[int, list[str]] = {label: [] for label in sorted(total)}
    for n in np.random.default_rng([seed, 3]).permutation(len(names)):
        for label in {label for i in groups[names[n]] for label in videos[i].labels}:
            waiting[label].append(names[n])
    held: set[int] = set()
    count: Counter[int] = Counter()
    while waiting and (len(held) < val_fraction * len(videos) or any(not count[label] for label in waiting)):
        label = min(waiting, key=lambda label: count[label] / total[label])
        if not waiting[label]:
            del waiting[label]
            continue
        group = groups[waiting[label].pop()]
        more = Counter(label for i in group for label in videos[i].labels)
        if held.isdisjoint(group) and all(2 * (count[label] + n) <= total[label] for label, n in more.items()):
            held.update(group)
            count += more
    return held
