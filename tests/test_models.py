"""Every row of the table against the official network whose checkpoint it loads; new rows are tested without an edit here.

All rows are compared without values: names, shapes, cells, and the head on random features. The first row of each kind is
compared number by number as well, every row with VIDCAM_TEST_EVERY_MODEL=1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
import torch
from support import real_nets
from support.real_nets import EVERYTHING, WITH_VALUES, average, each, head_on
from torch import Tensor, nn

from vidcam.models import labels
from vidcam.models.adapters import PoolShare, SlowFast
from vidcam.models.spec import ModelSpec
from vidcam.models.table import get_spec, list_specs

ROWS = list_specs()


# Every row, without values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", each(row for row in ROWS if row.family in real_nets.PACKAGED))
def test_state_dict_of_a_row_is_that_of_the_official_network(spec: ModelSpec) -> None:
    official = real_nets.without_values(lambda: real_nets.official(spec)).state_dict()
    ours = real_nets.shapes(spec.name).module.state_dict()
    state = official if spec.adapt is None else spec.adapt(official)
    assert {name: (t.shape, t.dtype) for name, t in ours.items()} == {name: (t.shape, t.dtype) for name, t in state.items()}


@pytest.mark.parametrize("spec", each(ROWS))
def test_explained_layer_has_the_stated_cells(spec: ModelSpec) -> None:
    seen = real_nets.shapes(spec.name)
    names = spec.labels()
    assert seen.logits.shape == (1, len(names))
    assert len(set(names)) == len(names)
    grids = [real_nets.grid(m, spec) for m in seen.layer]
    assert tuple(t for t, _, _ in grids) == spec.time_cells
    height, width = spec.crop
    for _, h, w in grids:
        assert h > 1
        assert w > 1
        assert abs(h * width - w * height) < max(height, width)


@pytest.mark.parametrize("spec", each(row for row in ROWS if row.head))
def test_head_on_random_features_gives_the_logits(spec: ModelSpec) -> None:
    """Only what runs after the explained layer has values here; the layer gives random features instead of its own."""
    seen = real_nets.shapes(spec.name)
    for leaf in seen.after:
        if any(True for _ in leaf.parameters()):
            leaf.to_empty(device="cpu")
            for value in leaf.state_dict().values():
                value.normal_(0.05, 0.2)
    features = [torch.rand(m.shape) for m in seen.layer]

    def replace(_module: nn.Module, _inputs: object, output: Tensor | list[Tensor]) -> Tensor | list[Tensor]:
        return [m.clone() for m in features] if isinstance(output, list) else features[0].clone()

    handle = seen.module.get_submodule(spec.target_layer).register_forward_hook(replace)
    with torch.inference_mode():
        logits = seen.module(torch.empty(1, 3, spec.num_frames, *spec.crop, device="meta"))
    handle.remove()
    real_nets.shapes.cache_clear()  # a part of it has values now
    check_head(features, seen.module, spec, logits)


def check_head(features: list[Tensor], module: nn.Module, spec: ModelSpec, logits: Tensor) -> None:
    value, bias = head_on(average(features, spec), module, spec)
    evidence = (logits - bias).abs().max()
    assert float(evidence) > 0
    assert float((value - logits).abs().max() / evidence) < 1e-4


def test_rows_with_values_are_one_of_each_kind() -> None:
    names = [spec.name for spec in real_nets.first_of_each_kind()]
    assert {"mini", "movinet_a0", "x3d_xs", "slow_r50", "slowfast_r50", "r3d_18", "s3d", "mvit_v2_s", "swin3d_t"} <= set(names)
    assert {real_nets.kind(spec) for spec in ROWS} == {real_nets.kind(get_spec(name)) for name in names}
    assert len(names) < len(ROWS) / 2


# One of each kind, with values -------------------------------------------------------------------------------------------------


def official_answer(net: nn.Module, spec: ModelSpec, clip: Tensor) -> tuple[Tensor, Tensor]:
    """Return (logits, output) of an official network: they differ if its head ends in a softmax."""
    before: list[Tensor] = []
    handles = [
        module.register_forward_hook(lambda _module, inputs, _output: before.append(inputs[0]))
        for module in net.modules()
        if isinstance(module, nn.Softmax)
    ]
    inputs: Tensor | list[Tensor] = clip
    if len(spec.time_cells) == 2:
        # The released weights were trained on linspace(0, frames - 1, frames // 4) without the fractions.
        index = {32: [0, 4, 8, 13, 17, 22, 26, 31], 12: [0, 5, 11]}[clip.shape[2]]
        inputs = [clip[:, :, index], clip.clone()]
    output = net(inputs)
    for handle in handles:
        handle.remove()
    return (before[-1].flatten(1) if before else output), output


@dataclass(frozen=True)
class Run:
    """One forward pass of a row's network and of the official one, with the same weights, on the same clip."""

    spec: ModelSpec
    module: nn.Module
    logits: Tensor
    maps: list[Tensor]
    official_logits: Tensor | None
    official_output: Tensor | None


@pytest.fixture(scope="module", params=each(WITH_VALUES))
def run(request: pytest.FixtureRequest) -> Run:
    one = real_nets.network(request.param.name, own_size=EVERYTHING)
    maps: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor | list[Tensor]) -> None:
        maps.extend([m.clone() for m in output] if isinstance(output, list) else [output.clone()])

    with torch.inference_mode():
        theirs = (None, None) if one.official is None else official_answer(one.official, one.spec, one.clip)
        handle = one.module.get_submodule(one.spec.target_layer).register_forward_hook(keep)
        logits = one.module(one.clip)
        handle.remove()
    return Run(one.spec, one.module, logits, maps, *theirs)


def test_official_weights_give_the_official_logits(run: Run) -> None:
    if run.official_logits is None:
        assert run.spec.family not in real_nets.PACKAGED
        return  # the tests of MoViNet and of mini compare these
    # Not bit for bit: S3D's two averages are one here, and the order of a sum moves the last digits.
    scale = run.official_logits.abs().max()
    assert (run.logits - run.official_logits).abs().max() <= 2e-6 * scale
    if run.official_output is not run.official_logits:
        torch.testing.assert_close(run.logits.softmax(1), run.official_output, rtol=1e-4, atol=1e-8)


def test_outputs_are_logits_one_for_each_label(run: Run) -> None:
    assert run.logits.shape == (1, len(run.spec.labels()))
    assert float(run.logits.min()) < 0  # as no probability is
    assert float(run.logits.std()) > 0


def test_head_on_the_layers_average_gives_the_logits(run: Run) -> None:
    if run.spec.head is None:
        assert "linear-head" not in run.spec.provides
        return
    check_head(run.maps, run.module, run.spec, run.logits)


# Facts -------------------------------------------------------------------------------------------------------------------------


def test_facts_of_torchvision_are_those_of_its_enums() -> None:
    from torchvision.models import get_model_weights

    rows = [spec for spec in ROWS if spec.family == "torchvision"]
    assert len(rows) >= 9
    for spec in rows:
        enum = get_model_weights(spec.name).KINETICS400_V1
        look = enum.transforms()
        assert spec.weights.url == enum.url
        assert spec.weights.sha256 == enum.url[-12:-4]
        assert spec.weights.accuracy == enum.meta["_metrics"]["Kinetics-400"]["acc@1"]
        assert spec.weights.size == round(enum.meta["_file_size"] * 2**20)
        assert look.resize_size == ([spec.resize] if isinstance(spec.resize, int) else list(spec.resize))
        assert (tuple(look.crop_size), tuple(look.mean), tuple(look.std)) == (spec.crop, spec.mean, spec.std)
        documented = enum.meta["_docs"]
        assert f"clip_len={spec.num_frames}`" in documented
        assert f"frame_rate={round(1 / spec.seconds_between_frames, 3):g}`" in documented
        assert f"clips_per_video={spec.weights.protocol.split(', ')[1].split()[0]}`" in documented
        assert spec.labels() == tuple(enum.meta["categories"])


def test_addresses_of_pytorchvideo_are_those_of_its_hub() -> None:
    get_spec("x3d_xs").build()  # imports the package without its warnings
    from pytorchvideo.models.hub import csn, r2plus1d, resnet, slowfast, vision_transformers, x3d

    addresses: dict[str, str] = {}
    for module in (csn, r2plus1d, resnet, slowfast, vision_transformers, x3d):
        addresses |= module.checkpoint_paths
    rows = [spec for spec in ROWS if spec.family == "pytorchvideo"]
    assert len(rows) >= 13
    for spec in rows:
        assert spec.weights.url == addresses[spec.name]
        assert spec.weights.sha256 is None
        assert (spec.mean, spec.std) == ((0.45,) * 3, (0.225,) * 3)
        length = re.search(r"_(\d+)x(\d+)", spec.weights.filename)  # sampled frames x frames between them, at 30 per second
        if length:
            assert spec.clip_s * 30 == pytest.approx(int(length[1]) * int(length[2]))


def test_kinetics_labels_are_in_the_released_order(assets) -> None:
    assert labels.read_labels(assets / "labels" / "kinetics400.json") == labels.kinetics400()


class Overwriting(nn.Module):
    """Writes into the list that it is given, as PyTorchVideo's pathways do."""

    def forward(self, x: list[Tensor]) -> list[Tensor]:
        for i in range(len(x)):
            x[i] = x[i] + 1
        return x


class Concatenating(nn.Module):
    def forward(self, x: list[Tensor]) -> Tensor:
        for i in range(len(x)):
            x[i] = x[i].mean((2, 3, 4))
        return torch.cat(x, 1)


def test_slowfast_gives_pathways_their_frames_and_keeps_the_clip() -> None:
    net = nn.Module()
    net.blocks = nn.ModuleList([Overwriting(), Overwriting(), Concatenating()])
    caught: dict[int, list[Tensor]] = {}
    for i in range(2):
        net.blocks[i].register_forward_hook(lambda _module, _inputs, output, i=i: caught.update({i: output}))
    clip = torch.arange(32.0).view(1, 1, 32, 1, 1).repeat(1, 3, 1, 2, 2)
    before = clip.clone()
    SlowFast(net)(clip)
    assert torch.equal(clip, before)
    assert caught[0][0][0, 0, :, 0, 0].tolist() == [1, 5, 9, 14, 18, 23, 27, 32]
    assert [tuple(m.shape) for m in caught[1]] == [(1, 3, 8, 2, 2), (1, 3, 32, 2, 2)]
    assert torch.equal(caught[1][1], before + 2)


@pytest.mark.parametrize("shape", [(16, 7, 7), (2, 7, 7), (5, 9, 8)])
def test_a_cells_share_is_what_a_sliding_average_gives_it(shape: tuple[int, int, int]) -> None:
    cells = torch.randn(2, 3, *shape, dtype=torch.float64)
    slow = torch.zeros(2, 3, dtype=torch.float64)
    starts = [(t, y, x) for t in range(shape[0] - 1) for y in range(shape[1] - 6) for x in range(shape[2] - 6)]
    for t, y, x in starts:
        slow += cells[:, :, t : t + 2, y : y + 7, x : x + 7].mean((2, 3, 4)) / len(starts)
    torch.testing.assert_close(PoolShare((2, 7, 7))(cells).mean((2, 3, 4)), slow)
