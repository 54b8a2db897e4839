"""Every row of the table, against the official network whose checkpoint it loads; new rows are tested without an edit here."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from support.real_nets import EVERYTHING, fitted_pools
from torch import Tensor, nn

from vidcam.errors import UnknownNameError, UsageError
from vidcam.models import labels, registry
from vidcam.models.adapters import PoolShare, SlowFast
from vidcam.models.loading import load
from vidcam.models.registry import ModelSpec

ROWS = registry.specs()


def official(spec: ModelSpec) -> nn.Module | None:
    """The network as its authors' package makes it, with random weights; None for families that are no package of others."""
    if spec.family == "torchvision":
        from torchvision.models import video

        return getattr(video, spec.name)(weights=None).eval()
    if spec.family == "pytorchvideo":
        spec.build()  # imports the package without its warnings
        from pytorchvideo.models import hub

        return getattr(hub, spec.name)().eval()
    return None


def randomise(net: nn.Module) -> None:
    """Make every parameter and statistic different from what any constructor sets, so that one left out is seen."""
    generator = torch.Generator().manual_seed(1)
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator)
            value += 0.05 * noise.abs() if name.endswith("running_var") else 0.02 * noise


def official_answer(net: nn.Module, spec: ModelSpec, clip: Tensor) -> tuple[Tensor, Tensor]:
    """(logits, output) of an official network: they differ where its head ends in a softmax."""
    before: list[Tensor] = []
    for module in net.modules():
        if isinstance(module, nn.Softmax):
            module.register_forward_hook(lambda _module, inputs, _output: before.append(inputs[0]))
    if spec.name.startswith("slowfast"):
        index = [
            0,
            4,
            8,
            13,
            17,
            22,
            26,
            31,
        ]  # what the released weights were trained on: linspace(0, 31, 8) without the fractions
        inputs = [clip[:, :, index], clip.clone()]
    else:
        inputs = clip
    with fitted_pools(net):
        output = net(inputs)
    return (before[-1].flatten(1) if before else output), output


def part(clip: Tensor, module: nn.Module, spec: ModelSpec) -> Tensor:
    """As much of the clip as compares as well as all of it, in a fraction of the time."""
    if spec.layout == "tokens":  # a table of positions has its size
        return clip
    if spec.layout == "channels-last":
        return clip[:, :, :8, :112, :112]
    if any(isinstance(m, PoolShare) for m in module.modules()):  # slides over 2 x 7 x 7 cells
        return clip[:, :, :32]
    return clip[..., : spec.crop[0] // 2, : spec.crop[1] // 2]


@dataclass
class Run:
    """One forward pass of a row's network and of the official one, with the same weights, on the same small clip."""

    spec: ModelSpec
    module: nn.Module
    logits: Tensor
    maps: list[Tensor]
    official_logits: Tensor | None
    official_output: Tensor | None


@pytest.fixture(scope="module", params=ROWS, ids=lambda spec: spec.name)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    spec: ModelSpec = request.param
    torch.manual_seed(0)
    net = official(spec)
    module = spec.build().eval() if net is None else net
    randomise(module)
    if net is not None:
        file = tmp_path_factory.mktemp("weights") / spec.weights.filename
        state = net.state_dict()
        torch.save({"model_state": state, "epoch": 7} if spec.family == "pytorchvideo" else state, file)
        loaded = load(spec.name, weights=file)
        file.unlink()
        assert loaded.spec == spec
        module = loaded.module
    clip = torch.randn(1, 3, spec.frames, *spec.crop, generator=torch.Generator().manual_seed(0))
    clip = clip if EVERYTHING else part(clip, module, spec)
    maps: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor | list[Tensor]) -> None:
        maps.extend([m.clone() for m in output] if isinstance(output, list) else [output.clone()])

    with torch.inference_mode():
        theirs = (None, None) if net is None else official_answer(net, spec, clip)
        handle = module.get_submodule(spec.layer).register_forward_hook(keep)
        with fitted_pools(module):
            logits = module(clip)
        handle.remove()
    return Run(spec, module, logits, maps, *theirs)


def grid(m: Tensor, spec: ModelSpec) -> tuple[int, ...]:
    if spec.layout == "tokens":
        assert m.shape[1] == 1 + math.prod(spec.grid)
        return spec.grid
    return tuple(m.shape[2:] if spec.layout == "channels-first" else m.shape[1:4])


def test_official_weights_give_the_official_logits(run: Run) -> None:
    if run.official_logits is None:
        pytest.skip(f"{run.spec.family} has no official network in PyTorch")
    # Not bit for bit: S3D's two averages are one here, and the order of a sum moves the last digits.
    scale = run.official_logits.abs().max()
    assert (run.logits - run.official_logits).abs().max() <= 2e-6 * scale
    if run.official_output is not run.official_logits:
        torch.testing.assert_close(run.logits.softmax(1), run.official_output, rtol=1e-4, atol=1e-8)


def test_the_outputs_are_logits_one_for_each_label(run: Run) -> None:
    names = run.spec.labels()
    assert run.logits.shape == (1, len(names))
    assert len(set(names)) == len(names)
    assert float(run.logits.min()) < 0  # as no probability is
    assert float(run.logits.std()) > 0


@pytest.mark.parametrize("spec", ROWS, ids=lambda spec: spec.name)
def test_the_explained_layer_has_the_stated_cells(spec: ModelSpec) -> None:
    module, grids = spec.build().eval(), []

    def keep(_module: nn.Module, _inputs: object, output: Tensor | list[Tensor]) -> None:
        grids.extend(grid(m, spec) for m in (output if isinstance(output, list) else [output]))

    module.get_submodule(spec.layer).register_forward_hook(keep)
    shapes = {name: t.to("meta") for name, t in module.state_dict(keep_vars=True).items()}  # tensors without values
    with torch.inference_mode(), torch.device("meta"):
        logits = torch.func.functional_call(module, shapes, (torch.empty(1, 3, spec.frames, *spec.crop),))
    assert logits.shape == (1, len(spec.labels()))
    assert tuple(t for t, _, _ in grids) == spec.time_cells
    height, width = spec.crop
    for _, h, w in grids:
        assert h > 1
        assert w > 1
        assert abs(h * width - w * height) < max(height, width)


def test_the_head_on_the_layers_average_gives_the_logits(run: Run) -> None:
    spec = run.spec
    if spec.head is None:
        assert "linear-head" not in spec.provides
        pytest.skip("no closed form claimed")
    axes = (2, 3, 4) if spec.layout == "channels-first" else (1, 2, 3)
    value = torch.cat([m.double().mean(axes) for m in run.maps], dim=1)
    bias: Tensor | float = 0.0
    for i, name in enumerate(spec.head.linears):
        linear = run.module.get_submodule(name)
        weight = linear.weight.detach().double().reshape(linear.weight.shape[0], -1)
        bias = 0.0 if linear.bias is None else linear.bias.detach().double()
        if i:
            value = value.clip(0, spec.head.ceiling)
        value = torch.einsum("bc,kc->bk", value, weight) + bias
    evidence = (run.logits - bias).abs().max()
    assert float(evidence) > 0
    assert float((value - run.logits).abs().max() / evidence) < 1e-4


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
        assert look.resize_size == ([spec.resize] if isinstance(spec.resize, int) else list(spec.resize))
        assert (tuple(look.crop_size), tuple(look.mean), tuple(look.std)) == (spec.crop, spec.mean, spec.std)
        documented = enum.meta["_docs"]
        assert f"clip_len={spec.frames}`" in documented
        assert f"frame_rate={round(1 / spec.interval_s, 3):g}`" in documented
        assert f"clips_per_video={spec.weights.protocol.split(', ')[1].split()[0]}`" in documented
        assert spec.labels() == tuple(enum.meta["categories"])


def test_addresses_of_pytorchvideo_are_those_of_its_hub() -> None:
    registry.get("x3d_xs").build()  # imports the package without its warnings
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
    assert labels.read(assets / "labels" / "kinetics400.json") == labels.kinetics400()


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


def test_slowfast_shows_the_slow_pathway_its_frames_and_overwrites_nothing() -> None:
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


def test_the_table_is_read_without_importing_torch() -> None:
    code = "import sys, vidcam.models.torchvision, vidcam.models.pytorchvideo; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_names_get_the_nearest_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown model 'r3d18': did you mean 'r3d_18'"):
        registry.get("r3d18")


def test_a_name_is_registered_once() -> None:
    with pytest.raises(UsageError, match="'r3d_18' is registered already"):
        registry.register(registry.get("r3d_18"))
