"""Networks as people bring them: what is not stated is said, what cannot be right is refused, what is odd is told apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.media import write_clip
from torch import nn

import vidcam
from vidcam.engine.pytorch import TorchEngine
from vidcam.errors import IncompatibleError, UsageError, WeightsError
from vidcam.methods import core
from vidcam.methods.lookup import get_method
from vidcam.models import custom, custom_facts, labels, table, trial_run
from vidcam.models.loading import LoadedModel, load, resolve_model

CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, outputs=5, end=None):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv3d(3, 8, (3, 7, 7), (1, 4, 4), (1, 3, 3))
        self.body = nn.Sequential(nn.ReLU(), nn.Conv3d(8, 12, 3, 2, 1), nn.ReLU())
        self.fc = nn.Linear(12, outputs)
        self.end = end
        self.vidcam = FACTS

    def forward(self, x):
        z = self.fc(self.body(self.stem(x)).mean((2, 3, 4)))
        return z if self.end is None else self.end(z)

FACTS = {"frames": 8, "interval_s": 0.1, "resize": 40, "crop": (32, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3}

def plain(): return Net()
def silent():
    net = Net()
    net.vidcam = {"frames": 8, "crop": (32, 32)}
    return net
def one(): return Net(1)
def convolved():
    class Conv(Net):
        def forward(self, x):
            return self.last(self.body(self.stem(x))).mean((2, 3, 4))
    net = Conv(1)
    net.last = nn.Conv3d(12, 1, 1)
    return net
def gated_one():
    return Net(1, lambda z: z + z.tanh())
def sigmoid(): return Net(end=torch.sigmoid)
def averaged_softmax():
    return Net(end=lambda z: torch.stack([z.softmax(1), (2 * z).softmax(1)]).mean(0))
def small_logits():
    net = Net()
    with torch.no_grad():
        net.fc.weight.mul_(0.01)
        net.fc.bias.fill_(0.2)
    return net
def compiled(): return torch.compile(Net())
class Decorated(Net):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)
def decorated(): return Decorated()
class Inside(Net):
    def forward(self, x):
        with torch.no_grad():
            return super().forward(x)
def inside(): return Inside()
def scripted():
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2))
class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.cnn = nn.Sequential(nn.Conv2d(3, 8, 7, 8, 3), nn.ReLU())
        self.rnn = nn.LSTM(8, 8, batch_first=True)
        self.fc = nn.Linear(8, 5)
        self.vidcam = FACTS
    def forward(self, x):
        frames = torch.stack([self.cnn(x[:, :, t]).mean((2, 3)) for t in range(x.shape[2])], 1)
        return self.fc(self.rnn(frames)[0][:, -1])
def recurrent(): return Recurrent()
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "nets.py"
    path.write_text(CODE)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=30, size=(48, 64))


def clips(net: nn.Module) -> torch.Tensor:
    return trial_run.random_clips(8, (32, 32))


# ------------------------------------------------------------------------------------------------- what is not stated is said


def test_facts_that_nobody_states_are_assumed_and_told(file: Path) -> None:
    told = resolve_model(f"{file}:silent").notes[-1]
    assert "interval_s 0.06667, resize 128, mean 0.4322,0.3947,0.3765, std 0.228,0.2215,0.217. State them" in told
    assert "frames" not in told
    assert not [note for note in resolve_model(f"{file}:plain").notes if "assumed" in note]


def test_facts_given_complete_and_override_the_networks_own(file: Path) -> None:
    facts = custom_facts.parse_facts(["mean=0.1,0.2,0.3", "std=1,1,1", "interval_s=0.2", "resize=36", "frames=4"])
    found = resolve_model(f"{file}:silent", facts=facts)
    assert not [note for note in found.notes if "assumed" in note]
    spec = found.spec
    assert (spec.mean, spec.std, spec.seconds_between_frames, spec.resize, spec.num_frames) == (
        (0.1, 0.2, 0.3),
        (1, 1, 1),
        0.2,
        36,
        4,
    )
    assert spec.crop == (32, 32)  # its own


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("mean", "a fact is KEY=VALUE with a key of frames, interval_s,"),
        ("colour=1", "a fact is KEY=VALUE with a key of"),
        ("mean=red", "the fact mean is numbers with commas between them, got 'red'"),
    ],
)
def test_fact_words_that_state_nothing_are_refused(word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        custom_facts.parse_facts([word])


def test_facts_for_a_network_of_the_table_are_refused() -> None:
    with pytest.raises(UsageError, match="facts are for a network of your own"):
        resolve_model("mini", facts={"frames": 4})


def test_network_without_weights_is_told_and_recorded(file: Path, clip: Path, tmp_path: Path) -> None:
    torch.save(load(f"{file}:plain").module.state_dict(), tmp_path / "net.pt")
    assert resolve_model(f"{file}:plain", weights=tmp_path / "net.pt").notes == ()
    engine = vidcam.open_engine(f"{file}:plain", engine="torch")
    assert "no --weights were given; random ones answer at random" in engine.notes[0]
    out = tmp_path / "out.json"
    vidcam.annotate(clip, vidcam.Outputs(reports={"json": out}), engine=engine)
    assert engine.notes[0] in json.loads(out.read_text())["warnings"]


# --------------------------------------------------------------------------------------------------------- outputs and names


def test_outputs_of_one_name_are_told_apart_by_index(file: Path, clip: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("walk\nrun\nwalk\njump\nsit\n")
    loaded = load(f"{file}:plain", labels=names)
    assert loaded.labels == ("walk #0", "run", "walk #2", "jump", "sit")
    with torch.no_grad():
        loaded.module.fc.bias[2] += 5
    engine = TorchEngine(loaded, "cpu")
    found = vidcam.explain(clip, engine=engine)
    assert found.labels[0] == "walk #2"
    alone = vidcam.explain(clip, engine=engine, settings=vidcam.Settings(classes=(2,)))
    assert alone.labels == ("walk #2",)
    np.testing.assert_allclose(alone.curves["walk #2"], found.curves["walk #2"], rtol=1e-6)  # two passes round differently
    with pytest.raises(UsageError, match="2 outputs are called 'Walk': name one of them, 'walk #0' or 'walk #2'"):
        vidcam.explain(clip, engine=engine, settings=vidcam.Settings(classes=("Walk",)))
    with pytest.raises(UsageError, match="5 outputs, 0 to 4; there is no output 5"):
        vidcam.explain(clip, engine=engine, settings=vidcam.Settings(classes=(5,)))


@pytest.mark.parametrize("name", ["one", "convolved", "gated_one"])
def test_single_output_is_a_binary_logit_with_its_counterpart(file: Path, tmp_path: Path, name: str) -> None:
    single = custom.make_network(f"{file}:{name}").eval()
    (tmp_path / "names.txt").write_text("falling\n")
    loaded = load(f"{file}:{name}", labels=tmp_path / "names.txt")
    assert loaded.labels == ("falling", "not falling")
    engine = TorchEngine(loaded, "cpu")
    with torch.no_grad():
        z = single(clips(single))
        pair = loaded.module(clips(single)).numpy()
    np.testing.assert_allclose(pair, torch.cat([z, -z], 1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(engine.probabilities(pair)[:, 0], torch.sigmoid(z[:, 0]), rtol=1e-5)
    np.testing.assert_allclose(engine.probabilities(pair).sum(1), 1, rtol=1e-6)
    assert ("linear-head" in loaded.spec.provides) == (name != "gated_one")


def test_single_output_of_a_registered_row_has_its_counterpart_too(file: Path, tmp_path: Path, monkeypatch) -> None:
    single = custom.make_network(f"{file}:one").eval()
    row = replace(custom_facts.describe("alarm", single).spec, name="alarm", labels=lambda: ("falling",))
    monkeypatch.setitem(table._SPECS, "alarm", replace(row, build=lambda: custom.make_network(f"{file}:one")))
    torch.save(single.state_dict(), tmp_path / "net.pt")
    loaded = load("alarm", weights=tmp_path / "net.pt")
    assert loaded.labels == ("falling", "not falling")
    assert loaded.spec.multi_label
    with torch.no_grad():
        z = single(clips(single))
        np.testing.assert_allclose(loaded.module(clips(single)), torch.cat([z, -z], 1), rtol=1e-5, atol=1e-6)


def test_evidence_for_the_counterpart_is_the_evidence_against(file: Path, clip: Path) -> None:
    engine = vidcam.open_engine(f"{file}:one", engine="torch")
    found = vidcam.explain(clip, engine=engine, settings=vidcam.Settings(classes=("class 0", "not class 0")))
    np.testing.assert_allclose(found.curves["class 0"], -found.curves["not class 0"], rtol=1e-5, atol=1e-7)
    assert np.abs(found.curves["class 0"]).max() > 0
    assert found.completeness_error < 1e-4


def test_distinct_changes_only_names_that_occur_twice() -> None:
    assert labels.make_distinct(("a", "b", "a", "c #1")) == ("a #0", "b", "a #2", "c #1")
    assert labels.make_distinct(("a", "a", "a #0")) == ("a #0 #0", "a #1", "a #0 #2")  # no two may be equal in the end


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"0": "a", "1": "b", "2": "a"}', ("a", "b", "a")),
        ('{"10": "k", "0": "a", "1": "b", "2": "c", "3": "d", "4": "e", "5": "f", "6": "g", "7": "h", "8": "i", "9": "j"}',
         tuple("abcdefghijk")),
        ('{"b": 1, "a": 0}', ("a", "b")),
    ],
)  # fmt: skip
def test_labels_are_read_from_both_kinds_of_json_object(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    assert labels.read_labels(path) == names


@pytest.mark.parametrize(
    "text",
    ['{"0": "a", "2": "b"}', '{"a": 0, "b": 0}', '{"a": true}', "[1]", "[" * 10**5, '{"a": 1' + "0" * 5000 + "}", '{"0": ["a"]}'],
)
def test_labels_in_other_json_are_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"labels\.json"):
        labels.read_labels(path)


# -------------------------------------------------------------------------------------------------- what cannot be right


@pytest.mark.parametrize(("name", "activation"), [("sigmoid", "sigmoid"), ("averaged_softmax", "softmax")])
@pytest.mark.parametrize("layer", [None, "body"])
def test_network_that_gives_probabilities_is_refused(file: Path, name: str, activation: str, layer: str | None) -> None:
    with pytest.raises(UsageError, match=f"gives probabilities; vidcam explains logits: take the {activation} out of it"):
        load(f"{file}:{name}", layer=layer)


def test_small_logits_are_not_taken_for_probabilities(file: Path) -> None:
    loaded = load(f"{file}:small_logits")
    with torch.no_grad():
        logits = loaded.module(clips(loaded.module))
    assert 0 < logits.min() < logits.max() < 1
    assert loaded.spec.target_layer == "body"


def test_compiled_and_decorated_networks_are_explained_as_the_plain_one(file: Path, clip: Path) -> None:
    def maps(name: str) -> list[np.ndarray]:
        engine = vidcam.open_engine(f"{file}:{name}", engine="torch")
        return [t.maps for t in vidcam.explain(clip, engine=engine, settings=vidcam.Settings(classes=(1,))).tracks["class 1"]]

    plain = maps("plain")
    assert np.abs(plain[0]).max() > 0
    for name in ("compiled", "decorated"):
        np.testing.assert_allclose(maps(name)[0], plain[0], rtol=1e-6, atol=1e-6 * np.nanmax(np.abs(plain[0])))


def test_network_that_switches_gradients_off_bears_perturbation_only(file: Path) -> None:
    found = resolve_model(f"{file}:inside")
    assert found.spec.provides == frozenset()
    assert found.notes[-1].endswith("only perturbation works on it")
    engine = vidcam.open_engine(f"{file}:inside", engine="torch")
    with pytest.raises(IncompatibleError, match=r"'gradcam' needs features, gradient.*these methods work on it: .*occlusion"):
        vidcam.pipeline.Session(engine, vidcam.Settings(method="gradcam"))


def test_torchscript_is_refused_in_a_sentence(file: Path) -> None:
    with pytest.raises(UsageError, match="returns a TorchScript module, whose layers cannot be looked into"):
        load(f"{file}:scripted")


def test_recurrent_network_bears_occlusion_that_finds_its_pixels(file: Path, clip: Path) -> None:
    engine = vidcam.open_engine(f"{file}:recurrent", engine="torch")
    assert engine.spec.provides == {"gradient"}
    found = vidcam.explain(clip, engine=engine, settings=vidcam.Settings(method="occlusion", classes=(0,), smooth_s=0))
    assert np.abs(found.tracks["class 0"][0].maps).max() > 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nets.py", r"is a file: name the factory in it too, .*nets\.py:Net or .*nets\.py:plain or .*nets\.py:silent"),
        ("net.pkl", "is a pickle, which runs code when it is read"),
        ("net.pth", "is a weight file: give it as --weights"),
        ("net.torchscript", "is a TorchScript archive"),
    ],
)
def test_file_that_is_no_factory_is_told_what_it_is(file: Path, name: str, message: str) -> None:
    path = file.with_name(name)
    if not path.exists():
        path.write_bytes(b"x")
    with pytest.raises(UsageError, match=message):
        load(str(path))


# ----------------------------------------------------------------------------------------------------- tokens, folded frames


class Patches(nn.Module):
    """Patches of 4x16x16 pixels as tokens in some order, a class token before them; it answers how red each of five tokens is."""

    def __init__(self, order: str, *, mixed: bool = False) -> None:
        super().__init__()
        self.order, self.mixed = order, mixed
        self.patch = nn.Conv3d(3, 8, (4, 16, 16), (4, 16, 16))
        self.tokens = nn.Identity()
        self.fc = nn.Linear(8, 5)
        torch.manual_seed(0)
        for p in self.parameters():
            nn.init.normal_(p)
        self.vidcam = {
            "frames": 16, "interval_s": 0.1, "resize": 64, "crop": (64, 64), "mean": (0.0,) * 3, "std": (1.0,) * 3,
            "layer": "tokens", "layout": "tokens", "grid": (4, 4, 4),
        }  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = self.patch(x)
        if self.mixed:  # every token sees all of the clip
            cells = cells.mean(dim=(2, 3, 4), keepdim=True).expand_as(cells)
        tokens = cells.permute(0, *(2 + "thw".index(axis) for axis in self.order), 1).flatten(1, 3)
        tokens = self.tokens(torch.cat([torch.zeros_like(tokens[:, :1]), tokens], 1))
        return self.fc(tokens[:, 1:].mean(1))


@pytest.mark.parametrize("order", ["thw", "hwt", "wth"])
def test_order_of_tokens_is_measured_and_a_planted_cell_found(order: str) -> None:
    net = Patches(order).eval()
    found = custom_facts.describe("net", net)
    assert found.spec.order == order
    place = (2, 0, 3)  # time, row, column
    clip = torch.zeros(1, 3, 16, 64, 64)
    t, y, x = (slice(n * i, n * (i + 1)) for n, i in zip((4, 16, 16), place, strict=True))
    clip[:, :, t, y, x] = 1.0
    explained = vidcam.engine.TorchModel(net, found.spec)
    moved = np.abs(explained.forward(clip.numpy()).activations[0] - explained.forward(np.zeros_like(clip)).activations[0]).sum(
        (0, 1)
    )
    assert np.unravel_index(moved.argmax(), moved.shape) == place
    assert np.count_nonzero(moved) == 1


def test_order_of_tokens_that_cannot_be_told_must_be_stated() -> None:
    net = Patches("thw", mixed=True).eval()
    with pytest.raises(UsageError, match=r"order over time, rows and columns cannot be told .*: state it as the fact order"):
        custom_facts.describe("net", net)
    assert custom_facts.describe("net", net, facts={"order": "hwt"}).spec.order == "hwt"
    with pytest.raises(UsageError, match=r"the fact order must be one of thw, .*, got 'xyz'"):
        custom_facts.describe("net", net, facts={"order": "xyz"})


class Shifted(nn.Module):
    """A 2-D network on frames folded into the batch, clip by clip or frame by frame, that shifts channels in time (TSM)."""

    def __init__(self, *, by_clip: bool = True, shift: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.by_clip, self.shift = by_clip, shift
        self.cnn = nn.Sequential(nn.Conv2d(3, 8, 7, 8, 3), nn.ReLU())
        self.fc = nn.Linear(8, 5)
        self.vidcam = {"frames": 8, "crop": (32, 32), "resize": 40, "interval_s": 0.1, "mean": (0.5,) * 3, "std": (0.5,) * 3}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        clips, _, frames, *size = x.shape
        if self.shift:
            x = torch.cat([x[:, :1].roll(1, 2), x[:, 1:2].roll(-1, 2), x[:, 2:]], 1)
        folded = (x.transpose(1, 2) if self.by_clip else x.permute(2, 0, 1, 3, 4)).reshape(-1, 3, *size)
        found = self.fc(self.cnn(folded).mean((2, 3)))
        return found.view(clips, frames, -1).mean(1) if self.by_clip else found.view(frames, clips, -1).mean(0)


def test_folded_frames_are_unfolded_and_cam_is_exact() -> None:
    net = Shifted().eval()
    found = custom_facts.describe("net", net)
    assert (found.spec.target_layer, found.spec.layout, found.spec.time_cells, found.notes) == ("cnn", "folded", (8,), ())
    assert found.spec.provides >= {"features", "gradient", "linear-head"}
    engine = TorchEngine(LoadedModel(found.spec, net, tuple("abcde"), None, None), "cpu")
    clips = np.random.default_rng(0).integers(0, 256, (2, 8, 32, 32, 3), np.uint8)
    clips[1, 5:] = 0
    for method in ("cam", "gradcam"):
        got = core.explain(engine, clips, [core.Target(1)], get_method(method))
        assert got.maps[0].shape == (2, 1, 8, 4, 4)
        assert np.ptp(got.maps[0][1, 0, 5:], axis=0).max() < 1e-6  # of the frames that are alike
    exact = core.explain(engine, clips, [core.Target(1)], get_method("cam"))
    np.testing.assert_allclose(exact.maps[0].sum((2, 3, 4)), exact.totals, rtol=1e-4)


def test_frames_folded_otherwise_are_refused_as_a_layer() -> None:
    net = Shifted(by_clip=False).eval()
    with pytest.raises(UsageError, match="its frames are not folded clip by clip"):
        custom_facts.describe("net", net, layer="cnn")


# ---------------------------------------------------------------------------------------------------- how networks are called


CALLS = """
from dataclasses import dataclass
from nets import Net, FACTS
import torch

@dataclass
class Output:
    logits: torch.Tensor
    loss: None = None

class Other(Net):
    def __init__(self, wrap, **facts):
        super().__init__()
        self.wrap, self.first = wrap, facts.get("frames_first", False)
        self.vidcam = FACTS | facts
    def forward(self, x):
        assert x.shape[1:] == ((8, 3, 32, 32) if self.first else (3, 8, 32, 32))
        return self.wrap(super().forward(x.transpose(1, 2) if self.first else x))

def first(): return Other(lambda z: z, frames_first=True)
def mapping(): return Other(lambda z: {"aux": z * 2, "scores": z}, output="scores")
def tuples(): return Other(lambda z: (z, z * 2), output=0)
def objects(): return Other(Output, output="logits", frames_first=True)
def untold(): return Other(lambda z: {"aux": z * 2, "scores": z})
def absent(): return Other(lambda z: (z, z), output="scores")
def wrong(): return Other(lambda z: z, frames_first="yes")
"""


@pytest.mark.parametrize("name", ["first", "mapping", "tuples", "objects"])
def test_other_call_is_stated_by_one_fact_and_changes_nothing_else(file: Path, name: str) -> None:
    (file.parent / "calls.py").write_text(CALLS)
    plain, other = load(f"{file}:plain"), load(f"{file.parent / 'calls.py'}:{name}")
    assert (other.spec.target_layer, other.spec.head) == (plain.spec.target_layer, plain.spec.head)
    assert list(other.module.state_dict()) == list(plain.module.state_dict())
    frames = np.random.default_rng(0).integers(0, 256, (2, 8, 32, 32, 3), np.uint8)
    for method in ("cam", "layercam", "gradientxinput", "occlusion"):
        a, b = (core.explain(TorchEngine(m, "cpu"), frames, [core.Target(1)], get_method(method)) for m in (plain, other))
        np.testing.assert_allclose(b.maps[0], a.maps[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("untold", r"gave a dict of 'aux' \(2, 5\), 'scores' \(2, 5\); if the logits are among them, state \"output\": KEY"),
        ("absent", r"has no output 'scores': it gives a tuple of 0 \(2, 5\), 1 \(2, 5\)"),
        ("wrong", "frames_first must be True or False, got 'yes'"),
    ],
)
def test_call_that_cannot_be_is_refused_with_what_there_is(file: Path, name: str, message: str) -> None:
    (file.parent / "calls.py").write_text(CALLS)
    with pytest.raises(UsageError, match=message):
        load(f"{file.parent / 'calls.py'}:{name}")


# ------------------------------------------------------------------------------------------------------------- checkpoints


@pytest.mark.parametrize(
    ("prefix", "wraps"),
    [("module.", ()), ("_orig_mod.", ("state_dict",)), ("module.model.", ("model_state_dict",)), ("", ("checkpoint", "ema"))],
)
def test_checkpoint_of_training_code_is_unwrapped_and_told(file: Path, tmp_path: Path, prefix: str, wraps: tuple) -> None:
    state = {k: v + 1 for k, v in custom.make_network(f"{file}:plain").state_dict().items()}
    kept: dict = {prefix + k: v for k, v in state.items()}
    for key in reversed(wraps):
        kept = {"epoch": 3, key: kept}
    torch.save(kept, tmp_path / "net.pt")
    if wraps[:1] == ("checkpoint",):
        with pytest.raises(WeightsError, match="no tensors in the checkpoint, only epoch, checkpoint"):
            load(f"{file}:plain", weights=tmp_path / "net.pt")
        return
    found = resolve_model(f"{file}:plain", weights=tmp_path / "net.pt")
    for name, value in found.load().module.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert [repr(prefix) in note for note in found.notes] == [True]


def test_lightning_checkpoint_with_other_modules_gives_its_network(file: Path, tmp_path: Path) -> None:
    state = {k: v + 1 for k, v in custom.make_network(f"{file}:plain").state_dict().items()}
    kept = {f"classifier.net.{k}": v for k, v in state.items()} | {"loss.weight": torch.ones(5)}
    torch.save({"pytorch-lightning_version": "2.4.0", "epoch": 3, "loops": {}, "state_dict": kept}, tmp_path / "last.ckpt")
    found = resolve_model(f"{file}:plain", weights=tmp_path / "last.ckpt")
    assert all(torch.equal(value, state[name]) for name, value in found.load().module.state_dict().items())
    assert ["'classifier.net.'" in note and note.endswith("left out: loss.weight") for note in found.notes] == [True]
    torch.save({"state_dict": kept | {f"teacher.{k}": v for k, v in state.items()}}, tmp_path / "two.ckpt")
    with pytest.raises(WeightsError, match="do not fit"):  # which of the two is meant, nothing says
        resolve_model(f"{file}:plain", weights=tmp_path / "two.ckpt")


def test_prefix_that_the_network_has_too_is_kept(tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(
        "import torch\nfrom torch import nn\nfrom nets import Net\n\nclass Two(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.model = Net()\n"
        "        self.vidcam = self.model.vidcam | {'layer': 'model.body'}\n"
        "    def forward(self, x):\n        return self.model(x)\n\ndef two(): return Two()\n"
    )
    (tmp_path / "nets.py").write_text(CODE)
    state = custom.make_network(f"{tmp_path / 'two.py'}:two").state_dict()
    torch.save(state, tmp_path / "two.pt")
    assert resolve_model(f"{tmp_path / 'two.py'}:two", weights=tmp_path / "two.pt").notes == ()


def test_checkpoint_that_does_not_fit_names_the_cause_and_near_names(file: Path, tmp_path: Path) -> None:
    state = custom.make_network(f"{file}:plain").state_dict()
    torch.save({k.replace("body.1", "body.conv"): v for k, v in state.items()}, tmp_path / "renamed.pt")
    with pytest.raises(WeightsError, match=r"nearest names: body\.1\.weight where the file has body\.conv\.weight"):
        load(f"{file}:plain", weights=tmp_path / "renamed.pt")
    torch.save({k: v[:3] if k.startswith("fc") else v for k, v in state.items()}, tmp_path / "three.pt")
    with pytest.raises(WeightsError, match=r"with another number of outputs \(3\): build it with as many"):
        load(f"{file}:plain", weights=tmp_path / "three.pt")
    torch.save({f"layer{i}.weight": torch.zeros(2) for i in range(9)}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="likely a checkpoint of another network"):
        load(f"{file}:plain", weights=tmp_path / "other.pt")


def test_checkpoint_with_tensors_too_many_says_so(file: Path, tmp_path: Path) -> None:
    state = custom.make_network(f"{file}:plain").state_dict() | {"queue": torch.zeros(3)}
    torch.save(state, tmp_path / "more.pt")
    with pytest.raises(WeightsError, match=r"not expected: queue\. All of the network's tensors are there, and more"):
        load(f"{file}:plain", weights=tmp_path / "more.pt")


def test_checkpoint_is_read_before_any_code_is_run(tmp_path: Path) -> None:
    (tmp_path / "bomb.py").write_text("raise RuntimeError('it was run')\n")
    (tmp_path / "bad.pt").write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load(f"{tmp_path / 'bomb.py'}:build", weights=tmp_path / "bad.pt")


# ------------------------------------------------------------------------------------------------------------ trained folders


def test_trained_folder_that_names_code_runs_it_only_if_trusted(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"import pathlib\npathlib.Path({str(ran)!r}).touch()\ndef build(): raise SystemExit\n")
    folder = tmp_path / "trained"
    folder.mkdir()
    facts = {"architecture": f"{tmp_path / 'evil.py'}:build", "labels": ["a", "b"], "temperature": 1, "multi_label": False}
    (folder / "model.json").write_text(json.dumps(facts))
    with pytest.raises(
        UsageError, match=r"is made by the code .*evil\.py:build', which would be run: if you trust it, add --trust-code"
    ):
        load(str(folder))
    assert not ran.exists()
    with pytest.raises(vidcam.errors.VidcamError, match="cannot be made, its own code raised SystemExit"):
        load(str(folder), trust_code=True)
    assert ran.exists()


@pytest.mark.parametrize(
    "text", ["[" * 10**5, '{"architecture": "mini", "labels": [], "temperature": 1e999, "multi_label": 1}', "{}"]
)
def test_damaged_facts_of_a_trained_folder_end_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(vidcam.errors.VidcamError):
        load(str(tmp_path))


# ----------------------------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"classes": "clapping"}, r"classes are a tuple of labels or of indices of outputs, such as \('clapping',\) or \(3,\)"),
        ({"classes": (3.5,)}, "classes are a tuple of labels or of indices"),
        ({"start_s": float("nan")}, "the start and the end must be numbers of seconds, got nan"),
        ({"end_s": float("inf")}, "the start and the end must be numbers of seconds, got None and inf"),
    ],
)
def test_settings_that_cannot_be_are_refused(words: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        vidcam.Settings(**words)


def test_explain_refuses_what_is_no_path_and_no_engine(clip: Path) -> None:
    with pytest.raises(UsageError, match=r"the engine is what vidcam\.open_engine gives, got a str: 'mini'"):
        vidcam.explain(clip, engine="mini")
    with pytest.raises(UsageError, match=r"a video is a path, a URL, a folder of images or an array \(T, H, W, 3\), got a int"):
        vidcam.explain(3, engine="mini")
