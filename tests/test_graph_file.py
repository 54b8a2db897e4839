"""A network in a file: ONNX written by hand and OpenVINO's own format, beside the torch network with the same weights."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from support.command import exit_code
from support.media import write_clip
from torch import nn

import vidcam
from vidcam.engine import open_engine
from vidcam.engine.convert import ov
from vidcam.errors import IncompatibleError, UsageError
from vidcam.methods import core
from vidcam.methods.lookup import get_method
from vidcam.methods.receptive_field import layer_geometry

FRAMES, SIDE, CLASSES = 8, 32, 5
FACTS = {"interval_s": 0.1, "resize": SIDE, "mean": (0.5,) * 3, "std": (0.5,) * 3}


def network(classes: int = CLASSES) -> nn.Sequential:
    """Cells of 2 frames and 4x4 pixels; the stem is not symmetric, so a wrong place shows."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(3, 6, (3, 5, 5), (2, 4, 4), (1, 2, 2)), nn.ReLU(), nn.Linear(6, classes)).eval()


def answers(net: nn.Sequential, clips: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return net[2](net[1](net[0](clips)).mean((2, 3, 4)))


# --- protocol buffers, as far as ONNX needs them -------------------------------------------------------------------------------


def varint(n: int) -> bytes:
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def ints(name: str, values: tuple[int, ...]) -> bytes:
    return field(5, field(1, name) + b"".join(field(8, v) for v in values) + field(20, 7))


def one(name: str, value: int) -> bytes:
    return field(5, field(1, name) + field(3, value) + field(20, 2))


def node(kind: str, inputs: list[str], output: str, *attributes: bytes) -> bytes:
    named = b"".join(field(1, name) for name in inputs)
    return field(1, named + field(2, output) + field(3, output) + field(4, kind) + b"".join(attributes))


def tensor(name: str, values: torch.Tensor) -> bytes:
    data = values.detach().numpy().astype("<f4").tobytes()
    return field(5, b"".join(field(1, n) for n in values.shape) + field(2, 1) + field(8, name) + field(9, data))


def value(number: int, name: str, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(field(1, field(1, n)) for n in shape)
    return field(number, field(1, name) + field(2, field(1, field(1, 1) + field(2, dims))))


def write_onnx(path: Path, net: nn.Sequential, *, pool: tuple[bytes, ...] = (), end: bytes = b"", output: str = "z") -> Path:
    conv = node(
        "Conv", ["x", "w", "b"], "c", ints("kernel_shape", (3, 5, 5)), ints("strides", (2, 4, 4)), ints("pads", (1, 2, 2) * 2)
    )
    pooled = b"".join(pool) or node("GlobalAveragePool", ["cells"], "p")
    last = node("Flatten", ["p"], "f") + node("Gemm", ["f", "v", "d"], "z", one("transB", 1))
    weights = [("w", net[0].weight), ("b", net[0].bias), ("v", net[2].weight), ("d", net[2].bias)]
    graph = conv + node("Relu", ["c"], "cells") + pooled + last + end + field(2, "net")
    graph += b"".join(tensor(name, t) for name, t in weights)
    graph += value(11, "x", (1, 3, FRAMES, SIDE, SIDE)) + value(12, output, (1, len(net[2].bias)))
    path.write_bytes(field(1, 8) + field(8, field(1, "") + field(2, 13)) + field(7, graph))
    return path


def frames(count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, FRAMES, SIDE, SIDE, 3), np.uint8)


def normalised(clips: np.ndarray) -> torch.Tensor:
    return (torch.from_numpy(clips).float() / 255 - 0.5).div(0.5).permute(0, 4, 1, 2, 3)


def test_onnx_file_answers_as_torch_and_cam_is_exact(tmp_path: Path, empty_cache: Path) -> None:
    net = network()
    engine = open_engine(str(write_onnx(tmp_path / "net.onnx", net)), facts=FACTS)
    assert (engine.spec.num_frames, engine.spec.crop, engine.labels[0]) == (FRAMES, (SIDE, SIDE), "class 0")
    clips = normalised(frames())
    np.testing.assert_allclose(engine.predict(frames()), answers(net, clips), rtol=1e-4, atol=1e-5)
    found = core.explain(engine, frames(), [core.Target(2)], get_method("cam"))
    with torch.no_grad():
        cells = net[1](net[0](clips))
        expected = torch.einsum("bcthw,c->bthw", cells, net[2].weight[2]) / cells[0, 0].numel()
    np.testing.assert_allclose(found.maps[0][:, 0], expected, rtol=1e-3, atol=1e-5)


def test_cells_of_a_file_are_placed_by_what_changes_them(tmp_path: Path, empty_cache: Path) -> None:
    """The oracle is the convolution itself: cell j looks at frames 2j-1..2j+1 and at pixels 4i-2..4i+2."""
    engine = open_engine(str(write_onnx(tmp_path / "net.onnx", network())), facts=FACTS)
    (place,) = layer_geometry(engine.model)
    for axis, offset, stride in ((place.time, 0, 2), (place.y, 0, 4), (place.x, 0, 4)):
        assert axis.stride == stride
        assert abs(axis.offset - offset) <= 0.5  # bands are one pixel, and the weights of a cell are random


def test_pooling_that_is_no_average_leaves_perturbation_only(tmp_path: Path, empty_cache: Path) -> None:
    net = network()
    path = write_onnx(tmp_path / "net.onnx", net, pool=(node("GlobalMaxPool", ["cells"], "p"),))
    engine = open_engine(str(path), facts=FACTS)
    assert engine.spec.provides == frozenset()
    assert "no average and linear layer at its end" in engine.notes[-1]
    found = core.explain(engine, frames(1), [core.Target(1)], get_method("occlusion"))
    with torch.no_grad():
        whole = net[2](net[1](net[0](normalised(frames(1)))).amax((2, 3, 4)))
    np.testing.assert_allclose(found.logits, whole, rtol=1e-4, atol=1e-5)
    assert np.abs(found.maps[0]).max() > 0
    with pytest.raises(IncompatibleError, match="gradient"):
        core.explain(engine, frames(1), [core.Target(1)], get_method("gradcam"))


def test_softmax_at_the_end_is_taken_off_and_told(tmp_path: Path, empty_cache: Path) -> None:
    net = network()
    path = write_onnx(tmp_path / "net.onnx", net, end=node("Softmax", ["z"], "s", one("axis", 1)), output="s")
    engine = open_engine(str(path), facts=FACTS)
    assert any("ends in a softmax, which is taken off" in note for note in engine.notes)
    np.testing.assert_allclose(engine.predict(frames()), answers(net, normalised(frames())), rtol=1e-4, atol=1e-5)


def save_openvino(net: nn.Module, example: torch.Tensor, path: Path, **options: bool) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated
        ov.save_model(ov.convert_model(net, example_input=example), path, **options)
    return path


class FramesFirst(nn.Module):
    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = self.net[1](self.net[0](x.transpose(1, 2)))
        return self.net[2](cells.mean(4).mean(3).mean(2))


@pytest.mark.parametrize("classes", [CLASSES, 1])
def test_openvino_file_with_frames_first_and_half_precision(tmp_path: Path, empty_cache: Path, classes: int) -> None:
    net = network(classes)
    example = torch.zeros(1, FRAMES, 3, SIDE, SIDE)
    save_openvino(FramesFirst(net), example, tmp_path / "net.xml", compress_to_fp16=True)
    (tmp_path / "labels.txt").write_text("\n".join("abcde"[:classes]))
    stated = FACTS | {"frames": FRAMES, "crop": (SIDE, SIDE)}
    engine = open_engine(str(tmp_path / "net.xml"), labels=tmp_path / "labels.txt", facts=stated)
    expected = answers(net, normalised(frames())).numpy()
    if classes == 1:
        expected = np.concatenate([expected, -expected], axis=1)
        assert engine.labels == ("a", "not a")
    np.testing.assert_allclose(engine.predict(frames()), expected, atol=2e-3)  # the weights are rounded to half precision
    found = core.explain(engine, frames(), [core.Target(1)], get_method("cam"))
    np.testing.assert_allclose(found.maps[0].sum((2, 3, 4)), found.totals, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("facts", "labels", "message"),
    [
        ({"frames": 4}, None, "takes clips with frames 8, got 4: leave the fact out"),
        ({}, "two", "has 5 outputs, but there are 2 labels"),
    ],
)
def test_facts_and_labels_that_do_not_fit_a_file_are_refused(
    tmp_path: Path, facts: dict, labels: str | None, message: str
) -> None:
    path = write_onnx(tmp_path / "net.onnx", network())
    (tmp_path / "two").write_text("a\nb")
    with pytest.raises(UsageError, match=message):
        open_engine(str(path), labels=None if labels is None else tmp_path / labels, facts=FACTS | facts)


def test_file_that_is_no_network_of_clips_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(struct.pack("<f", 1.0))
    with pytest.raises(UsageError, match="cannot be read as a network"):
        open_engine(str(tmp_path / "bad.onnx"))
    save_openvino(nn.Linear(4, 5), torch.zeros(1, 4), tmp_path / "flat.xml")
    with pytest.raises(UsageError, match=r"a network of clips takes \(B,3,T,H,W\) or \(B,T,3,H,W\)"):
        open_engine(str(tmp_path / "flat.xml"))
    with pytest.raises(UsageError, match="leave out --weights and --layer"):
        open_engine(str(tmp_path / "bad.onnx"), layer="fc")


def test_file_is_annotated_from_the_command_line(tmp_path: Path, empty_cache: Path, capsys: pytest.CaptureFixture) -> None:
    path = write_onnx(tmp_path / "net.onnx", network())
    clip = write_clip(tmp_path / "clip.mp4", frames=20, size=(48, 64))
    found = vidcam.explain(clip, engine=open_engine(str(path), facts=FACTS), settings=vidcam.Settings(verdict=False))
    assert found.completeness_error is not None
    assert found.completeness_error < 1e-4
    assert exit_code("methods", "--model", path, "--json") == 0
    assert '"works": "yes, the default"' in capsys.readouterr().out


DROPPED_ELSEWHERE = """
import os, signal, sys, threading
from vidcam.engine import open_engine
held = [open_engine(sys.argv[1], facts=dict(interval_s=0.1, resize=32, mean=(0.5,) * 3, std=(0.5,) * 3))]
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
thread = threading.Thread(target=held.clear)
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGUSR1)
print("alive")
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_signal_after_a_network_is_dropped_in_another_thread_ends_nothing(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "net.onnx", network())
    words = [sys.executable, "-c", DROPPED_ELSEWHERE, str(path)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "handled\nalive\n"), done.stderr
