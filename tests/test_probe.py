"""Where a network looks, measured through its gradients, and checked through what its features do."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from support.real_nets import EVERYTHING
from torch import nn

from vidcam.engine.hooks import capture
from vidcam.errors import UsageError
from vidcam.methods import receptive_field
from vidcam.methods.cell_geometry import AxisGeometry, CellGeometry, to_json
from vidcam.methods.core import TorchModel
from vidcam.methods.receptive_field import fit_geometry, layer_geometry, shipped_geometry
from vidcam.models.spec import ModelSpec
from vidcam.models.table import get_spec

# PyTorchVideo's Swish asks for what torch now calls by another name.
pytestmark = pytest.mark.filterwarnings("ignore:'saved_variables' is deprecated:DeprecationWarning")

CHEAP = ("mini", "movinet_a0", "x3d_xs", "x3d_s") if EVERYTHING else ("mini", "movinet_a0", "x3d_xs")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def spec(**changes) -> ModelSpec:
    return dataclasses.replace(get_spec("r3d_18"), name="tiny", target_layer="trunk", head=None, **changes)


class Net(nn.Module):
    """A trunk that is a plain stack, and a head that takes any size, or one only."""

    def __init__(self, *layers: nn.Module, fixed: int | None = None) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*layers)
        self.fixed = fixed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.trunk(x)
        if self.fixed is not None and y[0, 0].numel() != self.fixed:
            raise RuntimeError("a linear layer would say that shapes cannot be multiplied")
        return y.mean(dim=(2, 3, 4))


def net(*layers: nn.Module, clip=(16, 32, 32), fixed=None) -> TorchModel:
    return TorchModel(Net(*layers, fixed=fixed).eval(), spec(num_frames=clip[0], crop=clip[1:]))


def conv(channels: int, kernel, stride, padding, *, first: bool = False) -> nn.Conv3d:
    return nn.Conv3d(3 if first else channels, channels, kernel, stride=stride, padding=padding)


@pytest.fixture(autouse=True, scope="module")
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        yield


# --- influence ------------------------------------------------------------------------------------------------------------------


def test_influence_is_where_the_receptive_field_is():
    """Against the definition: nudge every input pixel and see whether the cell's features move."""
    one = net(conv(4, (3, 5, 3), (2, 2, 2), (1, 2, 0), first=True), nn.ReLU(inplace=True), clip=(4, 8, 8))
    found = receptive_field.effective_receptive_field(one)((1, 2, 1))
    assert found.shape == (4, 8, 8)
    assert found.sum() == pytest.approx(1)
    noise = torch.randn(1, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = one.module.trunk(noise)[0, :, 1, 2, 1]
        for t, y, x in np.ndindex(4, 8, 8):
            nudged = noise.clone()
            nudged[0, :, t, y, x] += 0.1
            moves = bool((one.module.trunk(nudged)[0, :, 1, 2, 1] - before).abs().max() > 1e-6)
            assert moves == bool(found[t, y, x] > 0), (t, y, x)


def test_a_plane_is_all_cells_with_one_index():
    one = net(conv(4, 2, 2, 0, first=True), clip=(8, 8, 8))
    ask = receptive_field.effective_receptive_field(one)
    np.testing.assert_array_equal(ask((None, 3, None)).sum(axis=(0, 2)) > 0, [False] * 6 + [True] * 2)
    assert (ask((1, None, None)) > 0).sum() == 2 * 8 * 8
    assert (ask((None, None, None)) > 0).all()


@pytest.mark.parametrize("name", ["x3d_xs", "slowfast"])
def test_the_model_is_left_as_it_was(name):
    layers = [conv(6, 3, 2, 1, first=True), nn.BatchNorm3d(6), nn.ReLU(inplace=True), nn.Dropout()]
    explained = receptive_field.random_model(get_spec("x3d_xs")) if name == "x3d_xs" else net(*layers)
    module = explained.module.train()
    next(module.parameters()).requires_grad_(False)
    flags = [(p.requires_grad, p.grad) for p in module.parameters()], [m.training for m in module.modules()]
    state = {k: v.clone() for k, v in module.state_dict().items()}
    receptive_field.effective_receptive_field(explained)((0, None, None))
    assert flags == ([(p.requires_grad, p.grad) for p in module.parameters()], [m.training for m in module.modules()])
    assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())
    assert not any(m._forward_hooks for m in module.modules())


def test_a_layer_that_sees_nothing_is_refused():
    class Blind(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 0

    with pytest.raises(UsageError, match=r"cells \(0, None, None\) of layer 'trunk' do not depend on the input"):
        receptive_field.effective_receptive_field(net(Blind()))((0, None, None))


# --- locate ---------------------------------------------------------------------------------------------------------------------


def error(found: AxisGeometry, offset: float, stride: float) -> float:
    """The largest distance of a cell from where it should be, in cells."""
    return float(np.abs(found.centres() - AxisGeometry(offset, stride, found.count).centres()).max()) / stride


def stack(*, fixed=None) -> TorchModel:
    """Strides 8, 4 and 4 by three kinds of layers; on 16 frames only two time cells."""
    return net(
        conv(12, (3, 7, 4), (2, 2, 2), (1, 3, 1), first=True),  # y: 0, x: 0.5
        nn.ReLU(inplace=True),
        conv(12, 3, (2, 1, 1), 1),
        nn.ReLU(inplace=True),
        nn.AvgPool3d(2, 2),  # t: 4 * 0.5, y: 2 * 0.5, x: 2 * 0.5
        fixed=fixed,
    )


@pytest.mark.parametrize("fixed", [None, 2 * 8 * 8])
def test_a_stack_of_layers_is_located(fixed):
    (found,) = receptive_field.measure_geometry(stack(fixed=fixed))
    assert found.grid == (2, 8, 7 if found.x.count == 7 else 8)
    assert error(found.y, 1.0, 4) <= 0.1
    assert error(found.x, 1.5, 4) <= 0.1
    # The net that takes one size only has two clipped time cells to tell from; else a longer clip tells exactly.
    assert error(found.time, 2.0, 8) <= (0.1 if fixed is None else 0.5)


def test_clip_grows_by_whole_strides_if_the_network_takes_it():
    grid = (2, 8, 8)
    assert receptive_field._with_enough_cells(stack(), (16, 32, 32), grid) == ((40, 32, 32), ((5, 8, 8),))
    assert receptive_field._with_enough_cells(stack(fixed=128), (16, 32, 32), grid) == ((16, 32, 32), (grid,))
    assert receptive_field._with_enough_cells(stack(), (128, 32, 32), (16, 8, 8)) == ((40, 32, 32), ((5, 8, 8),))


@pytest.mark.parametrize("name", CHEAP if EVERYTHING else CHEAP[:2])
def test_the_shipped_data_can_be_measured_again(name, tmp_path):
    path = tmp_path / "placements.json"
    receptive_field.remeasure_shipped([name], path)
    row = json.loads(path.read_text())[name]
    explained = get_spec(name)
    shipped = shipped_geometry(name, explained.target_layer, clip=(explained.num_frames, *explained.crop))
    assert (row["layer"], row["clip"]) == (explained.target_layer, [explained.num_frames, *explained.crop])
    for a, b in zip(row["pathways"], to_json(shipped), strict=True):
        for axis in ("time", "y", "x"):
            np.testing.assert_allclose(a[axis], b[axis], atol=0.02 * b[axis][1], err_msg=axis)


@pytest.mark.parametrize(
    ("name", "clip", "time", "space"),
    [
        ("mini", (8, 48, 48), (0, 1), (3.5, 8)),
        *([("r3d_18", (40, 64, 64), (0, 8), (0, 16))] if EVERYTHING else []),
    ],
)
def test_law_does_not_depend_on_the_weights(name, clip, time, space):
    """Ordinary random weights, in which nothing was made symmetric: less exact, the same places."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = get_spec(name).build().eval()
    explained = TorchModel(module, get_spec(name))
    cells = (clip[0] // time[1], *(side // space[1] for side in clip[1:]))
    found = fit_geometry(receptive_field.effective_receptive_field(explained, clip=clip), clip=clip, grid=cells)
    assert error(found.time, *time) <= 0.35
    assert error(dataclasses.replace(found.time, count=2), *time) <= 0.35
    assert error(found.y, *space) <= 0.35
    assert error(found.x, *space) <= 0.35


# --- through evidence instead of gradients --------------------------------------------------------------------------------------


def moved(run, before, changed) -> np.ndarray:
    """How much each cell's features change from those ``before``: (T', h, w), mean over channels."""
    return (run(changed).activations[0] - before).abs().mean(dim=1)[0].detach().numpy()


def small(name: str, *, side: int | None = None, frames: int | None = None) -> tuple[TorchModel, CellGeometry]:
    """Return a network for a smaller clip, in which the shipped measurement places the cells alike but has fewer of them."""
    row = get_spec(name)
    (where,) = shipped_geometry(name, row.target_layer, clip=(row.num_frames, *row.crop))
    frames, crop = frames or row.num_frames, tuple(min(side or whole, whole) for whole in row.crop)
    time, y, x = (
        dataclasses.replace(axis, count=max(1, round(axis.count * size / whole)))
        for axis, size, whole in zip((where.time, where.y, where.x), (frames, *crop), (row.num_frames, *row.crop), strict=True)
    )
    return receptive_field.random_model(dataclasses.replace(row, num_frames=frames, crop=crop)), CellGeometry(time, y, x)


@pytest.mark.parametrize(
    ("name", "frames", "side"),
    [("movinet_a0", 4, None), ("x3d_xs", 4, None), ("r3d_18", 8, 64), *([("x3d_s", 4, None)] if EVERYTHING else [])],
)
def test_a_bright_patch_moves_the_predicted_cell(name, frames, side):
    explained, where = small(name, frames=frames, side=side)
    row = explained.spec
    clip = 0.1 * torch.randn(1, 3, row.num_frames, *row.crop, generator=torch.Generator().manual_seed(1))
    rng = np.random.default_rng(5)
    size = 9
    with capture(explained) as run:
        before = run(clip).activations[0]
        for _ in range(4):
            # At a cell's centre and a random bit beside it, as far as that cell is still the nearest for sure.
            i, j = rng.integers(1, where.y.count - 1), rng.integers(1, where.x.count - 1)
            aside = rng.uniform(-0.3, 0.3, 2)
            y = round(where.y.offset + where.y.stride * (i + aside[0]))
            x = round(where.x.offset + where.x.stride * (j + aside[1]))
            changed = clip.clone()
            changed[..., y - size // 2 : y + size // 2 + 1, x - size // 2 : x + size // 2 + 1] += 3
            profile = moved(run, before, changed).sum(axis=0)
            assert profile.shape == (where.y.count, where.x.count)
            assert np.unravel_index(profile.argmax(), profile.shape) == (i, j), (y, x)


@pytest.mark.parametrize(("name", "side"), [*((name, None) for name in CHEAP), ("r3d_18", 64)])
def test_a_deviating_frame_moves_the_predicted_cell(name, side):
    explained, where = small(name, side=side)
    row = explained.spec
    generator = torch.Generator().manual_seed(1)
    clip = torch.randn(1, 3, row.num_frames, *row.crop, generator=generator)
    with capture(explained) as run:
        before = run(clip).activations[0]
        for j, centre in enumerate(where.time.centres()):
            if j % max(1, where.time.count // 4):
                continue
            changed = clip.clone()
            # A small change: a large one would turn gates that hold for the whole clip.
            changed[:, :, round(centre)] += 0.1 * torch.randn(1, 3, *row.crop, generator=generator)
            profile = moved(run, before, changed).sum(axis=(1, 2))
            assert profile.shape == (where.time.count,)
            assert profile.argmax() == j, (centre, profile)


def test_the_real_causal_network_moves_at_the_frame_itself(assets):
    """Trained weights: cell j of MoViNet hears frame j most, and nothing that comes after it."""
    from vidcam.models.movinet_import import import_tflite

    row = dataclasses.replace(get_spec("movinet_a0"), num_frames=12)
    module = row.build().eval()
    module.load_state_dict(import_tflite(assets / "weights" / "movinet_a0_stream_k600_int8.tflite"))
    ask = receptive_field.effective_receptive_field(TorchModel(module, row))
    for j in (5, 8, 11):
        profile = ask((j, None, None)).sum(axis=(1, 2))
        assert profile.argmax() == j
        assert not profile[j + 1 :].any()
    (found,) = receptive_field.measure_geometry(TorchModel(module, row))
    assert error(found.time, 0, 1) <= 0.5
    assert error(found.y, 11, 32) <= 0.25
    assert error(found.x, 11, 32) <= 0.25


# --- the cache ------------------------------------------------------------------------------------------------------------------


def test_shipped_placements_are_not_measured(monkeypatch):
    monkeypatch.setattr(receptive_field, "measure_geometry", lambda explained: pytest.fail("measured"))
    row = get_spec("r3d_18")
    assert layer_geometry(TorchModel(nn.Identity(), row))[0].time.count == 2


def test_a_measurement_is_kept_and_a_broken_one_replaced(tmp_path, monkeypatch):
    one, calls = stack(), []
    real = receptive_field.measure_geometry
    monkeypatch.setattr(receptive_field, "measure_geometry", lambda explained: calls.append(1) or real(explained))
    first = layer_geometry(one, cache=tmp_path)
    assert to_json(layer_geometry(one, cache=tmp_path)) == to_json(first)
    assert len(calls) == 1
    (file,) = tmp_path.iterdir()
    for broken in ("", "{}", '[{"time": [0, 1]}]', "[3]"):
        file.write_text(broken)
        assert to_json(layer_geometry(one, cache=tmp_path)) == to_json(first)
    assert len(calls) == 5
    with torch.no_grad():
        one.module.trunk[0].weight.mul_(1.5)  # other weights are another network
    layer_geometry(one, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("")
    assert layer_geometry(stack(), cache=tmp_path / "file" / "below")[0].grid[0] == 2


def test_the_cache_is_beside_the_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("VIDCAM_CACHE", str(tmp_path))
    layer_geometry(stack())
    assert len(list((tmp_path / "placements").iterdir())) == 1
