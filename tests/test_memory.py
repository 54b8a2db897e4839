"""Explaining window after window keeps nothing: no graph, no hook, no map."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from support import planted
from support.media import write_clip
from support.tiny_nets import Plain, spec

from vidcam.annotation import explain
from vidcam.engine import TorchEngine, open_engine
from vidcam.methods import core
from vidcam.methods.lookup import get_method
from vidcam.models.loading import LoadedModel
from vidcam.models.spec import Head
from vidcam.settings import Settings

pytestmark = pytest.mark.xdist_group("memory")

FRAMES, SIDE = 8, 48
WINDOWS, WARM = 40, 6
HALF = WINDOWS // 2
CLIP_MB = FRAMES * SIDE * SIDE * 3 * 4 / 2**20
"""What the network's input takes, the least that a kept graph holds on to."""

REPRESENTATIVES = (
    "cam", "gradcam", "gradientxinput", "guided-backprop", "lrp", "temporal-mask", "ablationcam", "smoothgrad:gradcam",
)  # fmt: skip
"""A cheap method of each mechanism: features, gradient of the head, of everything, other rules, surrogates, changed clips,
changed features, and around another."""


@pytest.fixture(autouse=True)
def _older_objects_do_not_count() -> None:
    """Leave out of all counts what torch and others made when they were imported: a million objects to look through."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def engine() -> TorchEngine:
    torch.manual_seed(0)
    facts = spec(num_frames=FRAMES, resize=SIDE, crop=(SIDE, SIDE), head=Head(("fc",)), time_cells=(FRAMES,))
    return TorchEngine(LoadedModel(facts, Plain(), tuple("abcde"), None, None), "cpu")


class _MallInfo(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    )  # fmt: skip


_ask = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform == "linux" else None
if _ask is not None:
    _ask.restype = _MallInfo


def megabytes() -> float:
    """Return what this process has allocated and not freed; 0 if the C library cannot say.

    The size of the process would be noisy: memory that was freed is kept for a while, and a leak fills that first.
    """
    if _ask is None:
        return 0.0
    info = _ask()
    return (info.uordblks + info.hblkhd) / 2**20  # on the heaps, and in mappings of their own


def growth(once: Callable[[int], None], times: int = WINDOWS) -> tuple[int, int, float]:
    """Return how many tensors, objects of any kind and megabytes half of so many calls leave behind.

    Each is the smaller figure of the two halves: what is kept for every call grows in both, what is made once in one of them.
    """

    def state() -> tuple[int, int, float]:
        gc.collect()
        return _tensors(), len(gc.get_objects()), megabytes()

    for n in range(WARM):
        once(n)
    states = [state()]
    for n in range(times):
        once(WARM + n)
        if n + 1 in (times // 2, times):
            states.append(state())
    first, second = ([b - a for a, b in zip(*pair, strict=True)] for pair in pairwise(states))
    tensors, objects, grown = map(min, first, second)
    return int(tensors), int(objects), grown


def _tensors() -> int:
    return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())  # isinstance() would wake what is deprecated


def clip(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 255, (1, FRAMES, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_explained_windows_leave_nothing_behind(engine: TorchEngine, name: str) -> None:
    method = get_method(name)

    def once(n: int) -> None:
        core.explain(engine, clip(n), [core.Target(n % 5), core.Target(0, versus=1)], method)

    tensors, objects, grown = growth(once)
    assert tensors == 0
    assert objects < HALF / 2  # less than one for every other window
    assert grown < CLIP_MB  # less than one of twenty windows' inputs


def test_a_video_explained_again_and_again_leaves_nothing_behind(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "a.mp4", frames=16, size=(128, 160), fps=10)
    engine = open_engine(f"{planted.__file__}:patches")

    def once(_: int) -> None:
        explain(video, engine=engine, settings=Settings(smooth_s=0.2))

    tensors, objects, grown = growth(once, 30)
    assert tensors == 0
    assert objects < 8  # less than one for every other video
    assert grown < 16 * 128 * 160 * 3 / 2**20  # less than one of fifteen videos' pixels


KEPT: list[object] = []


def keeps_a_tensor(engine: TorchEngine, seen: torch.Tensor) -> None:
    KEPT.append(seen)


def keeps_a_hook(engine: TorchEngine, seen: torch.Tensor) -> None:
    engine.model.module.register_forward_hook(lambda *_: None)


def keeps_an_array(engine: TorchEngine, seen: torch.Tensor) -> None:
    KEPT.append(seen.numpy().copy())


def keeps_a_graph(engine: TorchEngine, seen: torch.Tensor) -> None:
    """Keep one object for ever, which holds on to every window's graph in places that Python does not see."""
    if not KEPT:
        KEPT.append(torch.zeros((), requires_grad=True))
    total = KEPT[0]
    assert isinstance(total, torch.Tensor)
    leaf = seen.clone().requires_grad_()
    KEPT[0] = total + (leaf.exp() * leaf).sum()


@pytest.mark.parametrize("keep", [keeps_a_tensor, keeps_a_hook, keeps_an_array, keeps_a_graph])
def test_the_measure_sees_whatever_is_kept(engine: TorchEngine, keep: Callable[[TorchEngine, torch.Tensor], None]) -> None:
    if keep is keeps_an_array and _ask is None:
        pytest.skip("only the C library's own count tells, and this one has none")
    KEPT.clear()
    true = get_method("cam")

    def explains(explained: core.TorchModel, clips: core.Clips, targets: core.Targets) -> core.Attribution:
        keep(engine, explained.tensor(clips))
        return true.explain(explained, clips, targets)

    leaky = replace(true, name="leaky", function=explains)

    def once(n: int) -> None:
        core.explain(engine, clip(n), [core.Target(0)], leaky)

    tensors, objects, grown = growth(once)
    KEPT.clear()
    assert tensors > 0 or objects >= HALF / 2 or grown >= CLIP_MB
    if keep is not keeps_a_hook and _ask is not None:
        assert grown >= 0.9 * HALF * CLIP_MB
    if keep is keeps_an_array:
        assert tensors == objects == 0  # only the memory tells
