"""Weights in mmaction2's naming, beside a plain forward pass over its names, strides and padding, written from its sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidcam.errors import UsageError, WeightsError
from vidcam.models import mmaction
from vidcam.models.loading import resolve_model
from vidcam.models.table import get_spec

BLOCKS = (3, 4, 6, 3)
State = dict[str, Tensor]


class Written:
    """State dicts as mmaction2 names them, with random values; ``conv`` and ``norm`` make what is asked for, then use it."""

    def __init__(self, eps: float = 1e-5) -> None:
        self.state: State = {}
        self.random = torch.Generator().manual_seed(0)
        self.eps = eps

    def make(self, name: str, *shape: int, low: float = -1.0, high: float = 1.0) -> Tensor:
        if name not in self.state:
            self.state[name] = low + (high - low) * torch.rand(shape, generator=self.random)
        return self.state[name]

    def conv(self, x: Tensor, name: str, out: int, kernel: tuple[int, ...], stride: tuple[int, ...], groups: int = 1) -> Tensor:
        fan = x.shape[1] // groups * kernel[0] * kernel[1] * kernel[2]
        bound = (3.0 / fan) ** 0.5
        weight = self.make(f"{name}.weight", out, x.shape[1] // groups, *kernel, low=-bound, high=bound)
        return F.conv3d(x, weight, None, stride, tuple(k // 2 for k in kernel), 1, groups)

    def norm(self, x: Tensor, name: str) -> Tensor:
        count = x.shape[1]
        mean = self.make(f"{name}.running_mean", count, low=-0.1, high=0.1)
        var = self.make(f"{name}.running_var", count, low=0.01, high=0.5)  # where what is added to it shows
        weight, bias = self.make(f"{name}.weight", count, low=0.2, high=0.7), self.make(f"{name}.bias", count)
        return F.batch_norm(x, mean, var, weight, bias, eps=self.eps)

    def linear(self, x: Tensor, name: str, out: int, *, bias: bool = True) -> Tensor:
        bound = x.shape[1] ** -0.5
        weight = self.make(f"{name}.weight", out, x.shape[1], low=-bound, high=bound)
        return F.linear(x, weight, self.make(f"{name}.bias", out) if bias else None)

    def module(self, x: Tensor, name: str, out: int, kernel: tuple[int, ...], stride=(1, 1, 1), groups: int = 1) -> Tensor:
        return self.norm(self.conv(x, f"{name}.conv", out, kernel, stride, groups), f"{name}.bn")


def resnet3d(
    w: Written,
    x: Tensor,
    *,
    stem: tuple,
    stem_t: int,
    pool_t: int,
    inflate: tuple,
    pool2: bool,
    strides_t=(1, 1, 1, 1),
    csn=False,
) -> Tensor:
    x = w.module(x, "backbone.conv1", 64, stem, (stem_t, 2, 2)).relu()
    x = F.max_pool3d(x, (1, 3, 3), (pool_t, 2, 2), (0, 1, 1))
    for i, count in enumerate(BLOCKS):
        for j in range(count):
            name = f"backbone.layer{i + 1}.{j}"
            stride = (strides_t[i], 2 if i else 1, 2 if i else 1) if j == 0 else (1, 1, 1)
            planes, shortcut = 64 * 2**i, x
            flags = inflate[i] if isinstance(inflate[i], tuple) else (inflate[i],) * count
            y = w.module(x, f"{name}.conv1", planes, (3, 1, 1) if flags[j] and not csn else (1, 1, 1)).relu()
            if csn:
                y = w.module(y, f"{name}.conv2.0", planes, (3, 3, 3), stride, groups=planes).relu()
            else:
                y = w.module(y, f"{name}.conv2", planes, (1, 3, 3), stride).relu()
            y = w.module(y, f"{name}.conv3", planes * 4, (1, 1, 1))
            if j == 0:
                shortcut = w.module(x, f"{name}.downsample", planes * 4, (1, 1, 1), stride)
            x = (y + shortcut).relu()
        if i == 0 and pool2:
            x = F.max_pool3d(x, (2, 1, 1), (2, 1, 1))
    return w.linear(x.mean((2, 3, 4)), "cls_head.fc_cls", 7)


def slow_r50(w: Written, x: Tensor) -> Tensor:
    return resnet3d(w, x, stem=(1, 7, 7), stem_t=1, pool_t=1, inflate=(0, 0, 1, 1), pool2=False)


def i3d_r50(w: Written, x: Tensor) -> Tensor:
    inflate = ((1, 1, 1), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 1, 0))
    return resnet3d(w, x, stem=(5, 7, 7), stem_t=2, pool_t=2, inflate=inflate, pool2=True)


def csn_r101(w: Written, x: Tensor) -> Tensor:  # of depth 50, as mmaction2 has it
    return resnet3d(w, x, stem=(3, 7, 7), stem_t=1, pool_t=1, inflate=(1, 1, 1, 1), pool2=False, strides_t=(1, 2, 2, 2), csn=True)


def x3d_s(w: Written, x: Tensor) -> Tensor:
    x = w.conv(x, "backbone.conv1_s.conv", 24, (1, 3, 3), (1, 2, 2))
    x = w.module(x, "backbone.conv1_t", 24, (5, 1, 1), groups=24).relu()
    for i, count in enumerate((3, 5, 11, 7)):
        for j in range(count):
            name, out = f"backbone.layer{i + 1}.{j}", 24 * 2**i
            planes, stride, shortcut = int(out * 2.25), (1, 2, 2) if j == 0 else (1, 1, 1), x
            y = w.module(x, f"{name}.conv1", planes, (1, 1, 1)).relu()
            y = w.module(y, f"{name}.conv2", planes, (3, 3, 3), stride, groups=planes)
            if j % 2 == 0:
                inner = max(8, int(planes / 16 + 4) // 8 * 8)
                inner += 8 if inner < 0.9 * planes / 16 else 0
                gate = y.mean((2, 3, 4), keepdim=True)
                for k, width in enumerate((inner, planes), start=1):
                    bias = w.make(f"{name}.se_module.fc{k}.bias", width)
                    gate = w.conv(gate, f"{name}.se_module.fc{k}", width, (1, 1, 1), (1, 1, 1)) + bias.view(1, -1, 1, 1, 1)
                    gate = gate.relu() if k == 1 else gate.sigmoid()
                y = y * gate
            y = w.module(y * y.sigmoid(), f"{name}.conv3", out, (1, 1, 1))
            if j == 0:
                shortcut = w.module(x, f"{name}.downsample", out, (1, 1, 1), stride)
            x = (y + shortcut).relu()
    x = w.module(x, "backbone.conv5", 432, (1, 1, 1)).relu().mean((2, 3, 4))
    return w.linear(w.linear(x, "cls_head.fc1", 2048, bias=False).relu(), "cls_head.fc2", 7)


@pytest.mark.parametrize(
    ("network", "eps", "frames"), [(slow_r50, 1e-5, 8), (i3d_r50, 1e-5, 32), (csn_r101, 1e-3, 8), (x3d_s, 1e-5, 4)]
)
def test_mmaction_weights_give_the_logits_of_mmaction(network: Callable, eps: float, frames: int) -> None:
    written = Written(eps)
    clip = torch.randn(1, 3, frames, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network(written, clip)
    row, classes, note = mmaction.adopt(get_spec(network.__name__), {"state_dict": written.state}, "net.pth")
    net = row.build().eval()
    assert row.adapt is not None
    missing, unexpected = net.load_state_dict(row.adapt({"state_dict": written.state}), strict=False)
    assert [key for key in missing if not key.endswith("num_batches_tracked")] == unexpected == []
    for parent in list(net.modules()):  # the pooling is made for pictures of 224 pixels
        for name, part in parent.named_children():
            if isinstance(part, nn.AvgPool3d):
                setattr(parent, name, nn.AdaptiveAvgPool3d(1))
    with torch.no_grad():
        found = net(clip)
    assert classes == 7
    assert "of mmaction2's" in note
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_mmaction_file_brings_its_classes_pixels_and_a_note(tmp_path: Path) -> None:
    written = Written()
    with torch.no_grad():
        x3d_s(written, torch.zeros(1, 3, 4, 32, 32))
    torch.save({"meta": {"epoch": 3}, "state_dict": written.state}, tmp_path / "x3d.pth")
    with pytest.raises(UsageError, match="has 7 outputs, but there are 400 labels"):
        resolve_model("x3d_s", weights=tmp_path / "x3d.pth")
    (tmp_path / "labels.txt").write_text("\n".join("abcdefg"))
    found = resolve_model("x3d_s", weights=tmp_path / "x3d.pth", labels=tmp_path / "labels.txt")
    assert [("of mmaction2's X3D" in note) for note in found.notes] == [True]
    assert (found.spec.mean[0], found.spec.std[0]) == pytest.approx((114.75 / 255, 57.38 / 255))
    state = found.load().module.state_dict()
    assert torch.equal(state["blocks.5.proj.weight"], written.state["cls_head.fc2.weight"])
    with pytest.raises(WeightsError, match="none of those is the same network as r2plus1d_r50: they fit slow_r50, i3d_r50"):
        resolve_model("r2plus1d_r50", weights=tmp_path / "x3d.pth")
    with pytest.raises(WeightsError, match="its classifier is not that of SlowOnly"):
        resolve_model("slow_r50", weights=tmp_path / "x3d.pth")
