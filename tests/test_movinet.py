"""MoViNet-A0: the whole-clip network against the stream, frame by frame; the importer against files written here and Google's."""

from __future__ import annotations

import hashlib
import json
import os

import av
import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from support.tflite_files import MoViNetFile
from torch.nn import functional as F

from vidcam.errors import OutputError, WeightsError
from vidcam.models import loading
from vidcam.models.movinet import kinetics600
from vidcam.models.movinet_import import IMPORTED_NAME, import_tflite, save_imported
from vidcam.models.movinet_net import BLOCKS, CausalConv, MoViNetA0, SamePool, same_padding
from vidcam.models.table import get_spec

pytestmark = pytest.mark.usefixtures("empty_cache")

PARAMETERS = 2_723_407


@pytest.fixture(scope="module")
def network() -> MoViNetA0:
    """Random weights that keep every stage alive: neither all zero nor all at ReLU6's ceiling."""
    torch.manual_seed(3)
    net = MoViNetA0().eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.endswith("weight"):
                p.normal_(0, 1.4 / p[0].numel() ** 0.5)
            elif name.endswith("bias"):
                p.normal_(0.1, 0.2)
            else:
                p.copy_(torch.randn(()))
    return net.requires_grad_(False)


@pytest.fixture(scope="module")
def clip() -> torch.Tensor:
    return torch.rand(1, 3, 6, 172, 172, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def files(network, tmp_path_factory):
    """The same weights in the three forms that TFLite stores."""
    folder = tmp_path_factory.mktemp("tflite")
    for kind in ("float32", "float16", "int8"):
        (folder / f"{kind}.tflite").write_bytes(MoViNetFile(network.state_dict(), kind).bytes())
    return folder


def pad_same(x, kernel, stride):
    """TensorFlow's rule, written for (N, C, H, W): ceil(n / stride) outputs, the odd zero at the bottom and on the right."""
    for axis in (3, 2):
        n = x.shape[axis]
        total = max((int(np.ceil(n / stride)) - 1) * stride + kernel - n, 0)
        sides = (total // 2, total - total // 2)
        x = F.pad(x, sides if axis == 3 else (0, 0, *sides))
    return x


class Stream:
    """The published way: one picture at a time through 2-D convolutions, with buffers of past activations and a running mean."""

    def __init__(self, network: MoViNetA0) -> None:
        self.state = network.state_dict()
        self.past: dict[str, list[torch.Tensor]] = {}
        self.total, self.frames = torch.zeros(1, 480), 0

    def conv(self, x, name, kernel=1, stride=1, groups=1):
        weight = self.state[f"{name}.weight"][:, :, 0]
        return F.conv2d(pad_same(x, kernel, stride), weight, self.state[f"{name}.bias"], stride, groups=groups)

    def step(self, picture: torch.Tensor) -> torch.Tensor:
        """Logits (1, 600) after one more picture (1, 3, 172, 172)."""
        x = self.conv(picture, "stem.conv", 3, 2).clamp(0, 6)
        for i, block in enumerate(BLOCKS):
            name = f"blocks.{i}"
            y = self.conv(x, f"{name}.expand.conv").clamp(0, 6)
            y = self.conv(y, f"{name}.spatial.conv", block.side, block.stride, block.inner).clamp(0, 6)
            if block.past > 1:
                frames = self.past.setdefault(name, [torch.zeros_like(y)] * (block.past - 1))
                frames.append(y)
                kernel = self.state[f"{name}.temporal.conv.weight"]
                y = sum(frame * kernel[None, :, 0, t] for t, frame in enumerate(frames))
                y = (y + self.state[f"{name}.temporal.conv.bias"][:, None, None]).clamp(0, 6)
                del frames[0]
            y = self.conv(y, f"{name}.shrink") * self.state[f"{name}.scale"]
            if f"{name}.skip.conv.weight" in self.state:
                cells = pad_same(torch.ones_like(x), 3, 2).unfold(2, 3, 2).unfold(3, 3, 2).sum((4, 5))
                x = pad_same(x, 3, 2).unfold(2, 3, 2).unfold(3, 3, 2).sum((4, 5)) / cells
                x = self.conv(x, f"{name}.skip.conv")
            x = x + y
        self.total = self.total + self.conv(x, "project.conv").clamp(0, 6).mean((2, 3))
        self.frames += 1
        hidden = F.linear(self.total / self.frames, self.state["hidden.weight"], self.state["hidden.bias"]).clamp(0, 6)
        return F.linear(hidden, self.state["classifier.weight"], self.state["classifier.bias"])


# --- the row ----------------------------------------------------------------------------------------------------------------


def test_labels_are_600_different_names() -> None:
    labels = kinetics600()
    assert (len(labels), len(set(labels))) == (600, 600)
    assert all(label and label == label.strip() for label in labels)
    assert (labels[0], labels[11], labels[-1]) == ("abseiling", "arm wrestling", "zumba")


def test_labels_stand_in_the_order_of_the_logits(assets) -> None:
    assert list(kinetics600()) == json.loads((assets / "labels" / "kinetics600.json").read_text(encoding="utf-8"))


def test_row_describes_the_network(network, clip) -> None:
    spec = get_spec("movinet_a0")
    built = spec.build()
    assert sum(p.numel() for p in built.parameters()) == PARAMETERS
    assert (spec.num_frames, spec.time_cells, spec.crop) == (25, (25,), (172, 172))
    assert spec.weights is not None
    assert spec.weights.imported == IMPORTED_NAME
    assert spec.head is not None
    sizes = [tuple(built.get_submodule(name).weight.shape) for name in spec.head.classifiers]
    assert sizes == [(2048, 480), (600, 2048)]

    seen = []
    handle = network.get_submodule(spec.target_layer).register_forward_hook(lambda module, args, output: seen.append(output))
    logits = network(clip)
    handle.remove()
    assert logits.shape == (1, 600)
    assert seen[0].shape == (1, 480, 6, 6, 6)
    assert seen[0].min() >= 0
    assert seen[0].max() <= spec.head.ceiling
    assert logits.softmax(1).sum() == pytest.approx(1, abs=1e-5)
    assert logits.sum() != pytest.approx(1, abs=0.1), "logits, not probabilities"


def test_logit_is_its_bias_plus_the_evidence_of_the_cells(network, clip) -> None:
    """With the gates of ReLU6 known the head is linear: open units pass, saturated ones add 6, closed ones nothing."""
    seen = []
    handle = network.project.register_forward_hook(lambda module, args, output: seen.append(output))
    logits = network(clip)
    handle.remove()
    features = seen[0]
    before = network.hidden(features.mean((2, 3, 4)))[0]
    is_open, full = (before > 0) & (before < 6), before >= 6
    assert is_open.any()
    rows = network.classifier.weight * is_open @ network.hidden.weight
    bias = network.classifier.bias + network.classifier.weight @ (is_open * network.hidden.bias + full * 6.0)
    evidence = torch.einsum("kc,cthw->kthw", rows, features[0]) / features[0, 0].numel()
    torch.testing.assert_close(evidence.sum((1, 2, 3)), logits[0] - bias, rtol=1e-4, atol=1e-4)


# --- the network ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "sides"),
    [
        (172, 3, 2, (0, 1)),
        (86, 5, 2, (1, 2)),
        (43, 3, 2, (1, 1)),
        (22, 3, 2, (0, 1)),
        (11, 3, 1, (1, 1)),
        (6, 1, 1, (0, 0)),
        (5, 1, 2, (0, 0)),
    ],
)
def test_same_padding_puts_the_odd_zero_last(size, kernel, stride, sides) -> None:
    assert same_padding(size, kernel, stride) == sides


def test_convolution_and_pooling_against_loops() -> None:
    torch.manual_seed(0)
    conv, x = CausalConv(2, 2, (3, 3, 3), stride=2), torch.rand(1, 2, 4, 6, 5)
    pool = SamePool()(x)
    got = conv(x)
    assert got.shape == (1, 2, 4, 3, 3)
    # for 6 rows the one zero is below the picture; for 5 columns there is one on each side
    for t in range(4):
        for i in range(3):
            for j in range(3):
                rows = [r for r in range(2 * i, 2 * i + 3) if r < 6]
                columns = [c for c in range(2 * j - 1, 2 * j + 2) if 0 <= c < 5]
                want = conv.bias.clone()
                for past in range(3):
                    for r in rows:
                        for c in columns:
                            if t - 2 + past >= 0:
                                want += conv.weight[:, :, past, r - 2 * i, c - 2 * j + 1] @ x[0, :, t - 2 + past, r, c]
                torch.testing.assert_close(got[0, :, t, i, j], want)
                torch.testing.assert_close(pool[0, :, t, i, j], x[0, :, t, rows][:, :, columns].mean((1, 2)))


def test_whole_clip_equals_the_stream_after_every_frame(network, clip) -> None:
    stream = Stream(network)
    for t in range(clip.shape[2]):
        torch.testing.assert_close(stream.step(clip[:, :, t]), network(clip[:, :, : t + 1]), rtol=1e-4, atol=1e-4)


def test_no_cell_knows_a_later_frame(network, clip) -> None:
    changed = clip.clone()
    changed[:, :, 3] = 1 - changed[:, :, 3]
    before, after = (network.project(network.blocks(network.stem(x))) for x in (clip, changed))
    assert torch.equal(before[:, :, :3], after[:, :, :3])
    assert not torch.allclose(before[:, :, 3], after[:, :, 3])
    assert not torch.allclose(before[:, :, 5], after[:, :, 5])


def test_gradients_reach_every_frame_and_every_weight(clip) -> None:
    net, x = MoViNetA0(), clip.clone().requires_grad_()
    grads = torch.autograd.grad(net(x)[0, 11], [x, *net.parameters()])
    assert (grads[0].abs().amax((0, 1, 3, 4)) > 0).all()
    assert all(grad.isfinite().all() and grad.any() for grad in grads)


# --- the importer -----------------------------------------------------------------------------------------------------------


def test_float_file_gives_the_weights_themselves(files, network) -> None:
    got = import_tflite(files / "float32.tflite")
    assert got.keys() == network.state_dict().keys()
    for name, value in network.state_dict().items():
        assert got[name].dtype == torch.float32
        assert torch.equal(got[name], value), name


def test_float16_file_gives_the_rounded_weights(files, network) -> None:
    got = import_tflite(files / "float16.tflite")
    for name, value in network.state_dict().items():
        assert torch.equal(got[name], value.half().float()), name


def test_int8_file_gives_the_weights_within_half_a_step(files, network) -> None:
    got = import_tflite(files / "int8.tflite")
    for name, value in network.state_dict().items():
        if name.endswith("weight"):
            step = value.flatten(1).abs().amax(1) / 127
            assert ((got[name] - value).flatten(1).abs().amax(1) <= 0.501 * step).all(), name
            assert not torch.equal(got[name], value)
        elif name.endswith("scale"):
            assert float(got[name]) == pytest.approx(float(value), rel=1e-6), "the end of the integers' range is exact"
        else:  # integers in steps of input scale times weight scale, at most 0.1 * the largest step
            assert (got[name] - value).abs().max() < 0.005, name


def test_importing_writes_a_complete_file_that_names_its_source(files, tmp_path) -> None:
    folder = tmp_path / "not yet there"
    path = save_imported(files / "int8.tflite", folder)
    assert path == folder / IMPORTED_NAME
    assert os.listdir(folder) == [IMPORTED_NAME]
    state = load_file(path)
    assert all(torch.equal(state[name], value) for name, value in import_tflite(files / "int8.tflite").items())
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["source"] == "int8.tflite"
    assert len(metadata["source_sha256"]) == 64
    MoViNetA0().load_state_dict(state)


def test_failed_import_leaves_the_old_file(files, tmp_path) -> None:
    (tmp_path / IMPORTED_NAME).write_bytes(b"old")
    (tmp_path / "bad.tflite").write_bytes((files / "int8.tflite").read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="damaged or cut short"):
        save_imported(tmp_path / "bad.tflite", tmp_path)
    assert (tmp_path / IMPORTED_NAME).read_bytes() == b"old"


def test_unwritable_folder_is_one_sentence(files, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        save_imported(files / "int8.tflite", tmp_path / "file")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a TFLite file"),
        (b"PK\x03\x04 zipped nonsense", "not a TFLite file"),
        (b"\xff\xff\xff\xffTFL3" + bytes(64), "damaged or cut short"),
    ],
)
def test_what_is_no_tflite_is_refused(tmp_path, content, message) -> None:
    (tmp_path / "x.tflite").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        import_tflite(tmp_path / "x.tflite")


def test_missing_file_is_refused(tmp_path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        import_tflite(tmp_path / "absent.tflite")


def _resize_picture(file: MoViNetFile) -> None:
    file.tensors[file.image][0] = np.array((1, 1, 224, 224, 3), "<i4")


def _operator(file: MoViNetFile, name: str, nth: int = 0) -> dict:
    return [o for o in file.operators if file.codes[o[0]] == name][nth]


def _replace(name: str, nth: int, **fields: int):
    def change(file: MoViNetFile) -> None:
        _operator(file, name, nth)[4] |= {int(key[1:]): value for key, value in fields.items()}

    return change


def _reshape_weights(file: MoViNetFile) -> None:
    tensor = file.tensors[_operator(file, "CONV_2D", 2)[1][1]]
    tensor[0] = tensor[0][[3, 1, 2, 0]]


def _share_a_weight(file: MoViNetFile) -> None:
    """blocks.2 and blocks.3 have the same shapes."""
    convs = [o for o in file.operators if file.codes[o[0]] == "CONV_2D" and tuple(file.tensors[o[1][1]][0]) == (80, 1, 1, 32)]
    convs[1][1][1:] = convs[0][1][1:]


def _swish(file: MoViNetFile) -> None:
    """x * sigmoid(x) behind the first expansion, as in the float release."""
    conv = _operator(file, "CONV_2D", 1)
    gate, product = file.tensor((1, 86, 86, 24), scale=0.1), file.tensor((1, 86, 86, 24), scale=0.1)
    file.op("LOGISTIC", [conv[2][0]], gate)
    file.op("MUL", [conv[2][0], gate], product)
    _operator(file, "DEPTHWISE_CONV_2D", 0)[1][0] = product


def _spare_convolution(file: MoViNetFile) -> None:
    conv = _operator(file, "CONV_2D", -1)
    file.op("CONV_2D", [conv[2][0], *conv[1][1:]], file.tensor((1, 1, 1, 600), scale=0.1))


def _uneven_scale(file: MoViNetFile) -> None:
    tensor = file.tensors[_operator(file, "MUL", 0)[1][1]]
    content = file.contents[tensor[2]]
    content[0] = content[0].copy()
    content[0][:4] = 0


def _other_share(file: MoViNetFile) -> None:
    tensor = file.tensors[_operator(file, "MUL", -1)[1][1]]
    content = file.contents[tensor[2]]
    content[0] = np.frombuffer(np.full(480, 1 / 35, "<f4").tobytes(), np.uint8)


def _lost_skip(file: MoViNetFile) -> None:
    total = _operator(file, "ADD", 2)
    total[1][1] = total[1][0]


def _uint8_weights(file: MoViNetFile) -> None:
    file.tensors[_operator(file, "CONV_2D", 5)[1][1]][1] = 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_resize_picture, "it takes pictures of 224x224, not 172x172"),
        (_replace("CONV_2D", 0, f0=1), "stem.conv has another padding, stride, activation or dilation"),
        (_replace("CONV_2D", 1, f3=1), "blocks.0.expand.conv has another padding, stride, activation"),
        (_replace("DEPTHWISE_CONV_2D", 0, f1=1), "blocks.0.spatial.conv has another padding, stride"),
        (_replace("DEPTHWISE_CONV_2D", 2, f5=2), "blocks.1.temporal.conv has another padding, stride, activation or dilation"),
        (_replace("AVERAGE_POOL_2D", 0, f3=2), "blocks.0.skip.pool has another kernel"),
        (_replace("ADD", 0, f0=3), "blocks.0 does not end in the sum"),
        (_replace("MUL", 0, f0=3), "blocks.0.scale is not one number"),
        (_reshape_weights, r"blocks.0.shrink has weights \(24, 1, 1, 8\) and a bias \(8,\), not \(8, 1, 1, 24\)"),
        (_share_a_weight, "one weight serves twice"),
        (_swish, "blocks.0.spatial.conv needs one depthwise convolution at its place, found 0"),
        (_spare_convolution, "1 of its operators have no place|one weight serves twice"),
        (_uneven_scale, "blocks.0.scale is not one number"),
        (_other_share, "multiplies by numbers for which the network has no place"),
        (_lost_skip, "blocks.2.*(sum|found 2)"),
        (_uint8_weights, "stored as TFLite type 3"),
    ],
)
def test_another_network_is_refused(network, tmp_path, change, message) -> None:
    file = MoViNetFile(network.state_dict())
    change(file)
    (tmp_path / "x.tflite").write_bytes(file.bytes())
    with pytest.raises(WeightsError, match=message):
        import_tflite(tmp_path / "x.tflite")


def test_bias_in_another_unit_is_refused(network, tmp_path) -> None:
    file = MoViNetFile(network.state_dict(), "int8")
    bias = file.tensors[_operator(file, "CONV_2D", 2)[1][2]]
    bias[4][2] = bias[4][2] * np.float32(2)
    (tmp_path / "x.tflite").write_bytes(file.bytes())
    with pytest.raises(WeightsError, match=r"blocks.0.shrink has a bias whose scale"):
        import_tflite(tmp_path / "x.tflite")


def test_damaged_files_give_a_weights_error_or_sound_weights(network, tmp_path) -> None:
    """Cuts anywhere, and bytes overwritten in the tables before the weights (inside the weights nobody could notice)."""
    file = MoViNetFile(network.state_dict(), "int8")
    data = bytes(file.bytes())
    file.contents = [{}]
    tables = len(file.bytes())
    random = np.random.default_rng(5)
    path = tmp_path / "x.tflite"
    cut = 0
    for trial in range(80):
        damaged = bytearray(data)
        if trial % 4 == 0:
            left = int(random.integers(0, len(data)))
            del damaged[left if trial % 8 else -1 - left % 16 :]
        elif trial % 4 == 1:
            damaged[int(random.integers(8, tables))] ^= 1 << int(random.integers(8))
        else:
            at = int(random.integers(8, tables if trial % 8 < 6 else len(data)))
            damaged[at : at + 4] = random.bytes(4)
        path.write_bytes(damaged)
        try:
            state = import_tflite(path)
        except WeightsError:
            cut += trial % 4 == 0
        else:
            assert sum(value.numel() for value in state.values()) == PARAMETERS
            assert all(value.isfinite().all() for value in state.values())
    assert cut == 20, "every cut is noticed"


# --- Google's file ----------------------------------------------------------------------------------------------------------

OFFICIAL = "movinet_a0_stream_k600_int8.tflite"
WHOLE_CLIP = {
    "arm_wrestling.mp4": 1.00,
    "cleaning_pool.mp4": 0.98,
    "deadlifting.mp4": 0.97,
    "flipping_pancake.mkv": 0.97,
    "shooting_basketball.mp4": 0.75,
    "yoga.mp4": 0.55,
}


@pytest.fixture(scope="module")
def official(assets) -> MoViNetA0:
    net = MoViNetA0().eval()
    net.load_state_dict(import_tflite(assets / "weights" / OFFICIAL))
    return net.requires_grad_(False)


def five_a_second(path) -> torch.Tensor:
    """The frames on display every 0.2 s, short side 172, centre crop: (1, 3, T, 172, 172) in [0, 1]."""
    pictures, due = [], None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            due = frame.time if due is None else due
            if frame.time >= due - 1e-6:
                image = frame.to_ndarray(format="rgb24")
                h, w = image.shape[:2]
                size = (max(172, round(w * 172 / min(h, w))), max(172, round(h * 172 / min(h, w))))
                image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
                top, left = (image.shape[0] - 172) // 2, (image.shape[1] - 172) // 2
                pictures.append(image[top : top + 172, left : left + 172])
                due += 0.2
    return torch.from_numpy(np.stack(pictures)).permute(3, 0, 1, 2)[None].float() / 255


def test_official_file_has_all_parameters(official, assets) -> None:
    assert sum(p.numel() for p in official.parameters()) == PARAMETERS
    weights = get_spec("movinet_a0").weights
    assert weights is not None
    assert weights.filename == OFFICIAL
    assert hashlib.sha256((assets / "weights" / OFFICIAL).read_bytes()).hexdigest() == weights.sha256


@pytest.mark.parametrize(("clip_name", "expected"), WHOLE_CLIP.items(), ids=[name.split(".")[0] for name in WHOLE_CLIP])
def test_kinetics_clips_are_recognised(official, assets, clip_name, expected) -> None:
    """The expected figures are of the same network with another program's resizing: they agree to a few hundredths."""
    probs = official(five_a_second(assets / "clips" / "kinetics" / clip_name))[0].softmax(0)
    label = clip_name.split(".")[0].replace("_", " ")
    assert kinetics600()[int(probs.argmax())] == label
    assert float(probs.max()) == pytest.approx(expected, abs=0.08)


@pytest.mark.parametrize("where", ["VIDCAM_WEIGHTS", "import"])
def test_model_loads_from_googles_file_or_an_imported_one(official, assets, tmp_path, monkeypatch, where) -> None:
    if where == "import":
        monkeypatch.setenv("VIDCAM_CACHE", str(tmp_path))
        assert loading.import_weights("movinet_a0", assets / "weights" / OFFICIAL) == tmp_path / IMPORTED_NAME
        assert loading.is_available(get_spec("movinet_a0"))
    else:
        monkeypatch.setenv("VIDCAM_WEIGHTS", str(assets / "weights"))
    loaded = loading.load("movinet_a0")
    assert loaded.labels == kinetics600()
    assert loaded.weights_path is not None
    assert loaded.weights_path.name == (IMPORTED_NAME if where == "import" else OFFICIAL)
    for name, value in official.state_dict().items():
        assert torch.equal(loaded.module.state_dict()[name], value), name


def test_other_models_files_are_imported_as_they_are(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("VIDCAM_CACHE", str(tmp_path / "cache"))
    weights = get_spec("x3d_xs").weights
    assert weights is not None
    given = tmp_path / "given.pyth"
    torch.save({"model_state": get_spec("x3d_xs").build().state_dict()}, given)
    path = loading.import_weights("x3d_xs", given)
    assert path == tmp_path / "cache" / weights.filename
    assert path.read_bytes() == given.read_bytes()
    torch.save({"model_state": get_spec("slow_r50").build().state_dict()}, given)
    with pytest.raises(WeightsError, match="do not fit x3d_xs"):
        loading.import_weights("x3d_xs", given)
    with pytest.raises(WeightsError, match="check the path"):
        loading.import_weights("x3d_xs", tmp_path / "absent.pyth")


# --- TFLite's own interpreter, where it is installed ------------------------------------------------------------------------


class Interpreter:
    """Google's runtime, one frame after the other; the buffers go round by the names of its signature or by ``buffers``."""

    def __init__(self, path, buffers=None) -> None:
        litert = pytest.importorskip(
            "ai_edge_litert.interpreter", reason="TFLite's interpreter (ai-edge-litert) is not installed"
        )
        self.interpreter = litert.Interpreter(str(path), num_threads=1)
        self.buffers = buffers
        if buffers is None:
            self.runner = self.interpreter.get_signature_runner()
            inputs = self.runner.get_input_details()
            self.state = {name: np.zeros(d["shape"], d["dtype"]) for name, d in inputs.items() if name != "image"}
        else:
            self.interpreter.allocate_tensors()
            for details in self.interpreter.get_input_details():
                self.interpreter.set_tensor(details["index"], np.zeros(details["shape"], details["dtype"]))

    def step(self, picture: torch.Tensor) -> np.ndarray:
        image = picture.permute(0, 2, 3, 1)[:, None].numpy()
        if self.buffers is None:
            self.state = self.runner(image=image, **self.state)
            return self.state.pop("logits")[0]
        picture_input, *_ = [d["index"] for d in self.interpreter.get_input_details() if tuple(d["shape"]) == (1, 1, 172, 172, 3)]
        self.interpreter.set_tensor(picture_input, image)
        self.interpreter.invoke()
        later = {old: self.interpreter.get_tensor(new) for old, new in self.buffers.items()}
        for old, value in later.items():
            self.interpreter.set_tensor(old, value)
        return next(
            self.interpreter.get_tensor(d["index"])[0]
            for d in self.interpreter.get_output_details()
            if tuple(d["shape"]) == (1, 600)
        )


def test_float_graph_in_tflite_gives_the_same_logits(network, clip, tmp_path) -> None:
    file = MoViNetFile(network.state_dict())
    (tmp_path / "x.tflite").write_bytes(file.bytes())
    interpreter = Interpreter(tmp_path / "x.tflite", file.buffers)
    for t in range(clip.shape[2]):
        logits = network(clip[:, :, : t + 1])[0].numpy()
        np.testing.assert_allclose(interpreter.step(clip[:, :, t]), logits, rtol=1e-3, atol=1e-3)


def test_googles_graph_agrees_within_its_quantised_activations(official, assets) -> None:
    """Int8 activations move single logits (correlation 0.94 to 0.98 on real clips), and leave the answer as it is."""
    clip = five_a_second(assets / "clips" / "kinetics" / "deadlifting.mp4")[:, :, :20]
    interpreter = Interpreter(assets / "weights" / OFFICIAL)
    for t in range(clip.shape[2]):
        theirs = interpreter.step(clip[:, :, t])
        if t >= 4:
            ours = official(clip[:, :, : t + 1])[0].numpy()
            assert ours.argmax() == theirs.argmax()
            assert np.corrcoef(ours, theirs)[0, 1] > 0.93
