"""Networks of one's own: made from a name, described by what they say and by one run, and never guessed."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn

from vidcam.errors import Terminated, UnknownNameError, UsageError, VidcamError, WeightsError
from vidcam.models import custom, custom_facts, trial_run
from vidcam.models.loading import load, resolve_model
from vidcam.models.spec import Head

SOURCE = """
    import torch
    from torch import nn
    from vidcam.models.spec import Head, ModelSpec

    class Net(nn.Module):
        def __init__(self, ends=(), classes=5):
            super().__init__()
            self.stem = nn.Sequential(nn.Conv3d(3, 6, 3, stride=(1, 4, 4), padding=1), nn.ReLU(inplace=True))
            self.body = nn.Sequential(nn.Conv3d(6, 8, 3, stride=2, padding=1), nn.ReLU(inplace=True))
            self.pool = nn.AdaptiveAvgPool3d(1)
            self.ends = nn.Sequential(*ends)
            self.fc = nn.Linear(8, classes)

        def forward(self, x):
            return self.fc(self.ends(self.pool(self.body(self.stem(x))).flatten(1)))

    def said(net, **facts):
        net.vidcam = facts
        return net

    def plain():
        torch.manual_seed(0)
        return Net()

    def small():
        return said(plain(), frames=8, crop=(48, 64), resize=(50, 70), interval_s=0.1, labels=list("abcde"))

    def gated():  # max(mean, 0.2) is not linear in the cells
        return said(Net(ends=[nn.Threshold(0.2, 0.0)]), frames=8, crop=(32, 32))

    def probabilities():
        return nn.Sequential(plain(), nn.Softmax(1))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(SOURCE))
    return path


def extend(file: Path, code: str) -> None:
    file.write_text(file.read_text() + textwrap.dedent(code))


def test_a_plain_module_gets_the_defaults_and_a_proven_layer(file: Path) -> None:
    loaded = load(f"{file}:plain")
    spec = loaded.spec
    assert (spec.num_frames, spec.seconds_between_frames, spec.resize, spec.crop) == (16, 1 / 15, 128, (112, 112))
    assert (spec.target_layer, spec.head, spec.layout, spec.time_cells) == ("body", Head(("fc",)), "channels-first", (8,))
    assert loaded.labels == ("class 0", "class 1", "class 2", "class 3", "class 4")
    assert loaded.weights_path is loaded.weights_sha256 is None
    assert not loaded.module.training


def test_what_the_module_says_is_used(file: Path) -> None:
    loaded = load(f"{file}:small")
    spec = loaded.spec
    assert (spec.num_frames, spec.seconds_between_frames, spec.resize, spec.crop) == (8, 0.1, (50, 70), (48, 64))
    assert loaded.labels == tuple("abcde")
    assert spec.time_cells == (4,)


def test_the_proven_head_is_the_networks_own(file: Path) -> None:
    loaded = load(f"{file}:small")
    maps: list[torch.Tensor] = []
    loaded.module.get_submodule(loaded.spec.target_layer).register_forward_hook(
        lambda _m, _i, output: maps.append(output.clone())
    )
    clip = torch.rand(1, 3, 8, 48, 64)
    with torch.no_grad():
        logits = loaded.module(clip)[0]
        cells = [maps[0][0, :, t, y, x] for t in range(4) for y in range(6) for x in range(8)]
        evidence = sum(loaded.module.fc.weight @ cell for cell in cells) / len(cells)
    torch.testing.assert_close(evidence + loaded.module.fc.bias, logits)


def test_where_nothing_can_be_proven_the_layer_must_be_named(file: Path) -> None:
    found = resolve_model(f"{file}:gated")
    assert re.search(r"name the layer to explain.*stem \[6, 8, 8, 8\].*body \[8, 4, 4, 4\]", found.notes[-1])
    assert found.spec.provides == {"gradient"}
    loaded = load(f"{file}:gated", layer="body")
    assert loaded.spec.target_layer == "body"
    assert loaded.spec.head is None


def test_a_clipping_after_the_pooling_is_not_taken_for_linear(file: Path) -> None:
    # Of the two clips only the one with three times the contrast reaches the ceiling.
    extend(
        file,
        """
        def clipped():
            torch.manual_seed(0)
            net = Net(ends=[nn.Hardtanh(0, 1)])
            with torch.no_grad():
                clips = __import__("vidcam.models.head_detection", fromlist=["x"]).random_clips(8, (32, 32))
                tops = net.pool(net.body(net.stem(clips))).flatten(1).amax(1)
                net.ends[0].max_val = 1.5 * float(tops[0])
                assert tops[1] > 2 * tops[0]
            return said(net, frames=8, crop=(32, 32))
        """,
    )
    found = resolve_model(f"{file}:clipped")
    assert "name the layer to explain" in found.notes[-1]
    assert found.spec.target_layer == ""


@pytest.mark.parametrize(
    ("facts", "error", "message"),
    [
        ("frame=8", UnknownNameError, "unknown fact in the attribute `vidcam` of .*: did you mean 'frames'"),
        ("frames=0", UsageError, r"the fact frames must be 1 positive whole number, got 0"),
        ("frames=8.5", UsageError, r"the fact frames must be 1 positive whole number, got 8.5"),
        ("crop=64", UsageError, r"the fact crop must be 2 positive whole numbers, got 64"),
        ("mean=(0.5, 0.5)", UsageError, r"the fact mean must be 3 numbers, got"),
        ("std=(0.5, 0.5, 0)", UsageError, r"the fact std must be 3 positive numbers"),
        ("layout='last'", UsageError, "must be one of channels-first, channels-last, tokens, folded, folded-tokens, got 'last'"),
        ("head='stem'", UsageError, "the head names 'stem', which is no linear layer"),
        ("layer='stem', head='fc'", UsageError, r"the head fc applied to the average of layer 'stem' does not give"),
        ("layer='bodi'", UnknownNameError, "unknown layer 'bodi': did you mean 'body'"),
        ("layer='pool'", UsageError, r"layer 'pool' of .* gives \[2, 8, 1, 1, 1\], which is no map of several cells"),
        ("layer='fc'", UsageError, r"layer 'fc' of .* gives \[2, 5\], which is no map"),
        ("labels=['a', 'b']", UsageError, "has 5 outputs, but there are 2 labels"),
        ("labels=[1, 2, 3, 4, 5]", UsageError, "must be a list of names"),
    ],
)
def test_facts_that_cannot_be_are_refused(file: Path, facts: str, error: type[Exception], message: str) -> None:
    extend(file, f"\ndef wrong():\n    return said(plain(), **dict(dict(frames=8, crop=(32, 32)), {facts}))\n")
    with pytest.raises(error, match=message):
        load(f"{file}:wrong")


def test_a_stated_head_is_kept_where_it_is_exact(file: Path) -> None:
    extend(file, "\ndef stated():\n    return said(plain(), frames=8, crop=(32, 32), layer='body.1', head='fc')\n")
    assert load(f"{file}:stated").spec.head == Head(("fc",))
    assert load(f"{file}:stated", layer="stem").spec.head is None


def test_a_factory_may_return_a_whole_row(file: Path) -> None:
    extend(
        file,
        """
        def row(head=("fc",), layer="body"):
            return ModelSpec(name="mine", title="Mine", family="mine", build=plain, labels=lambda: tuple("abcde"),
                             num_frames=8, seconds_between_frames=0.1, resize=40, crop=(32, 32), mean=(0.5,) * 3,
                             std=(0.5,) * 3, target_layer=layer, head=Head(head), time_cells=(4,), paper="")

        def wrong_row():
            return row(layer="stem")
        """,
    )
    loaded = load(f"{file}:row")
    assert (loaded.spec.name, loaded.spec.head, loaded.labels) == ("mine", Head(("fc",)), tuple("abcde"))
    with pytest.raises(UsageError, match="does not give the network's logits"):
        load(f"{file}:wrong_row")


def test_weights_are_loaded_into_a_network_of_ones_own(file: Path, tmp_path: Path) -> None:
    net = custom.make_network(f"{file}:plain")
    assert isinstance(net, nn.Module)
    with torch.no_grad():
        net.fc.bias.copy_(torch.arange(5.0))
    torch.save({"state_dict": net.state_dict()}, tmp_path / "w.pth")
    loaded = load(f"{file}:small", weights=tmp_path / "w.pth")
    assert loaded.module.fc.bias.tolist() == [0, 1, 2, 3, 4]
    assert loaded.weights_path == tmp_path / "w.pth"
    assert len(loaded.weights_sha256) == 64
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"do not fit .*: missing: stem.0.weight, .* and 3 more; not expected: weight, bias"):
        load(f"{file}:small", weights=tmp_path / "w.pth")


def test_outputs_that_are_no_logits_are_refused(file: Path) -> None:
    with pytest.raises(UsageError, match="gives probabilities; vidcam explains logits"):
        load(f"{file}:probabilities")
    extend(file, "\ndef cut():\n    return nn.Conv3d(3, 4, 3)\n\ndef fails():\n    return nn.Linear(7, 2)\n")
    with pytest.raises(UsageError, match=r"must turn clips \(B,3,T,H,W\) into logits \(B,K\); .* it gave \(2, 4, 14, 110, 110\)"):
        load(f"{file}:cut")
    with pytest.raises(VidcamError, match=r"fails on a clip of shape \(2, 3, 16, 112, 112\).*mat1 and mat2"):
        load(f"{file}:fails")


def test_nothing_of_the_network_changes_when_it_is_looked_at(file: Path) -> None:
    net = custom.make_network(f"{file}:small")
    state = {key: value.clone() for key, value in net.eval().state_dict().items()}
    custom_facts.describe("mine", net)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
    with pytest.raises(VidcamError, match="fails on a clip"):
        trial_run.run_once(net, torch.zeros(2, 7), {"stem": lambda _output: None})
    assert not any(module._forward_hooks for module in net.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("absent.py:f", UsageError, "no file absent.py: check the path before the colon"),
        ("mine.py:", UsageError, r"is package\.module:factory or path/to/file\.py:factory, got 'mine.py:'"),
        ("mine.py:plane", UnknownNameError, "unknown factory in mine.py 'plane': did you mean 'plain'"),
        ("mine.py:SEED", UsageError, "SEED is no function but a int"),
        ("mine.py:number", UsageError, r"mine\.py:number\(\) must return a torch\.nn\.Module or a ModelSpec, it returned a int"),
        ("no_such_package:f", VidcamError, "own code raised ModuleNotFoundError: No module named 'no_such_package'"),
        ("mine.py:raises", VidcamError, "mine.py:raises cannot be made, its own code raised ZeroDivisionError: division by zero"),
        ("mine.py:leaves", VidcamError, "its own code raised SystemExit: 3"),
        ("broken.py:f", VidcamError, "broken.py:f cannot be made, its own code raised SyntaxError"),
    ],
)
def test_code_that_does_not_give_a_network_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: type[Exception], message: str
) -> None:
    extend(file, "\nSEED = 3\ndef number(): return 3\ndef raises(): return 1 / 0\ndef leaves(): raise SystemExit(3)\n")
    (file.parent / "broken.py").write_text("def f(:")
    monkeypatch.chdir(file.parent)
    path, modules = list(sys.path), set(sys.modules)
    with pytest.raises(error, match=message) as caught:
        custom.make_network(name)
    if type(caught.value) is VidcamError:
        assert caught.value.__cause__ is not None
    assert sys.path == path
    added = set(sys.modules) - modules
    assert all(module.startswith("_vidcam_custom_mine") for module in added)


def test_a_signal_while_a_network_is_made_is_not_blamed_on_it(file: Path) -> None:
    extend(file, "\nfrom vidcam.errors import Terminated\ndef stopped(): raise Terminated(143)\n")
    with pytest.raises(Terminated):
        custom.make_network(f"{file}:stopped")


def test_a_file_imports_what_lies_beside_it_and_shadows_nothing(file: Path) -> None:
    (file.parent / "beside_it.py").write_text("CLASSES = 4\n")
    named = file.with_name("json.py")
    file.rename(named)
    extend(
        named,
        """
        from dataclasses import dataclass
        from beside_it import CLASSES

        @dataclass
        class Config:
            classes: int = CLASSES

        def beside():
            return said(Net(classes=Config().classes), frames=8, crop=(32, 32))
        """,
    )
    path = list(sys.path)
    assert len(load(f"{named}:beside").labels) == 4
    assert sys.path == path
    import json

    assert json.dumps([1]) == "[1]"
    del sys.modules["beside_it"]


def test_a_dotted_module_is_found_in_the_working_folder(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = file.parent / "package_of_mine"
    package.mkdir()
    (package / "__init__.py").touch()
    file.rename(package / "nets.py")
    monkeypatch.chdir(file.parent)
    assert load("package_of_mine.nets:small").spec.target_layer == "body"
    for name in ("package_of_mine", "package_of_mine.nets"):
        del sys.modules[name]


def test_layouts_and_pathways_are_found_out(file: Path) -> None:
    extend(
        file,
        """
        class Last(nn.Module):
            def forward(self, x):
                return x.permute(0, 2, 3, 4, 1)

        class Split(nn.Module):
            def forward(self, x):
                return [x[:, :3], x[:, 3:, ::2]]

        class Tokens(nn.Module):
            def forward(self, x):
                x = x.flatten(2).transpose(1, 2)
                return torch.cat([x.amax(1, keepdim=True), x], 1)

        class Odd(Net):
            def __init__(self, way):
                super().__init__()
                self.way = way

            def forward(self, x):
                x = self.way(self.body(self.stem(x)))
                if isinstance(x, list):
                    return self.fc(torch.cat([m.mean((2, 3, 4)) for m in x], 1))
                return self.fc(x[:, 1:].mean(1) if x.ndim == 3 else x.mean((1, 2, 3)))

        facts = dict(frames=8, crop=(32, 48), layer="way")
        def last(): return said(Odd(Last()), layout="channels-last", **facts)
        def found_last(): return said(Odd(Last()), frames=8, crop=(32, 32), layer="way")
        def split(): return said(Odd(Split()), head="fc", **facts)
        def tokens(): return said(Odd(Tokens()), layout="tokens", grid=(4, 4, 6), **facts)
        def no_grid(): return said(Odd(Tokens()), **facts)
        """,
    )
    for name in ("last", "found_last"):
        spec = load(f"{file}:{name}").spec
        assert (spec.layout, spec.time_cells, spec.head) == ("channels-last", (4,), Head(("fc",)))
    assert load(f"{file}:split").spec.time_cells == (4, 2)
    assert load(f"{file}:split").spec.head == Head(("fc",))
    tokens = load(f"{file}:tokens").spec
    assert (tokens.layout, tokens.grid, tokens.time_cells) == ("tokens", (4, 4, 6), (4,))
    assert tokens.head == Head(("fc",))  # the class token is no part of the average
    with pytest.raises(UsageError, match="no map of several cells"):
        load(f"{file}:no_grid")
