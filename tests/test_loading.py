"""From names to networks: labels, other layers, and weights that are absent or do not fit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from support.real_nets import fit_pools, small_positions

from vidcam.engine import choose_default_model
from vidcam.errors import DownloadError, UnknownNameError, UsageError, WeightsError
from vidcam.models import checkpoints, labels, table
from vidcam.models import weights as weight_files
from vidcam.models.loading import is_available, load
from vidcam.models.spec import Head
from vidcam.models.table import get_spec

pytestmark = pytest.mark.usefixtures("empty_cache")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "X3D_XS.pyth"
    torch.save({"model_state": get_spec("x3d_xs").build().state_dict()}, path)
    return path


def test_a_row_with_its_weights_in_the_named_folder(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = get_spec("x3d_xs")
    assert not is_available(spec)
    monkeypatch.setenv("VIDCAM_WEIGHTS", str(weights.parent))
    assert is_available(spec)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    loaded = load("x3d_xs")
    assert torch.equal(torch.rand(1), expected)  # loading leaves the caller's random numbers alone
    assert loaded.spec is spec
    assert loaded.weights_path == weights
    assert loaded.weights_sha256 == weight_files.sha256_of(weights)
    assert loaded.labels == labels.kinetics400()
    assert not loaded.module.training
    assert repr(loaded).startswith("LoadedModel('x3d_xs', layer='blocks.5.pool.pre_act', 400 labels")


def test_a_row_without_weights_says_what_to_do() -> None:
    with pytest.raises(DownloadError, match=r"X3D_XS\.pyth is not on this machine and VIDCAM_OFFLINE forbids"):
        load("x3d_xs")
    with pytest.raises(WeightsError, match=r"no weight file at absent\.pth"):
        load("x3d_xs", weights="absent.pth")


def test_a_row_that_names_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = dataclasses.replace(get_spec("x3d_xs"), name="bare", weights=None)
    monkeypatch.setitem(table._SPECS, "bare", bare)
    assert not is_available(bare)
    with pytest.raises(WeightsError, match="bare has no weights that could be downloaded"):
        load("bare")


def test_wrong_names_are_found_before_anything_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=f"the folder {tmp_path} holds no trained model: `vidcam train … -o {tmp_path}` makes one"
    ):
        load(str(tmp_path))
    with pytest.raises(UnknownNameError, match="unknown model 'x3d_xd': did you mean"):
        load("x3d_xd")
    with pytest.raises(UnknownNameError, match=r"unknown layer 'blocks.5.pool.preact': did you mean 'blocks.5.pool.pre_act'"):
        load("x3d_xs", layer="blocks.5.pool.preact")
    with pytest.raises(UsageError, match=r"cannot read labels from absent\.txt"):
        load("x3d_xs", labels="absent.txt")


def test_weights_of_another_network(weights: Path, tmp_path: Path) -> None:
    state = checkpoints.tensors_of(checkpoints.read_state(weights))
    state["blocks.5.proj.weight"] = state["blocks.5.proj.weight"][:10]
    del state["blocks.5.proj.bias"]
    state["extra"] = torch.zeros(1)
    torch.save(state, tmp_path / "other.pth")
    message = (
        r"other\.pth do not fit x3d_xs: missing: blocks\.5\.proj\.bias; not expected: extra; "
        r"of another shape: blocks\.5\.proj\.weight \[10, 2048\] instead of \[400, 2048\]"
    )
    with pytest.raises(WeightsError, match=message):
        load("x3d_xs", weights=tmp_path / "other.pth")


def test_batch_counters_may_be_missing(weights: Path, tmp_path: Path) -> None:
    state = checkpoints.tensors_of(checkpoints.read_state(weights))
    torch.save({key: value for key, value in state.items() if "num_batches" not in key}, tmp_path / "old.pth")
    assert load("x3d_xs", weights=tmp_path / "old.pth").spec.name == "x3d_xs"


def test_another_layer_has_its_own_cells_and_only_an_exact_head(weights: Path) -> None:
    row = get_spec("x3d_xs")
    assert load("x3d_xs", weights=weights, layer=row.target_layer).spec is row
    spec = load("x3d_xs", weights=weights, layer="blocks.3").spec
    assert (spec.target_layer, spec.head, spec.time_cells, spec.layout) == ("blocks.3", None, (4,), "channels-first")
    with pytest.raises(UsageError, match=r"layer 'blocks.5.pool' of x3d_xs gives \[2, 2048, 1, 1, 1\], which is no map"):
        load("x3d_xs", weights=weights, layer="blocks.5.pool")


@pytest.mark.parametrize(
    ("name", "layer", "expected"),
    [
        ("r3d_18", "layer3", ("channels-first", (4,), None, None)),
        ("r3d_18", "layer4.1", ("channels-first", (2,), None, Head(("fc",)))),
        ("s3d", "features", ("channels-first", (3,), None, None)),  # a sliding average: the middle cell counts twice
        ("swin3d_t", "features.0", ("channels-last", (4,), None, None)),
        ("swin3d_t", "patch_embed.proj", ("channels-first", (4,), None, None)),
        ("mvit_v2_s", "blocks.10.norm1", ("tokens", (4,), (4, 4, 4), None)),
    ],
)
def test_layouts_of_other_layers(name: str, layer: str, expected: tuple[object, ...]) -> None:
    from vidcam.models.head_detection import inspect_layer

    with small_positions(get_spec(name)) as row:
        module = row.build().eval()
    fit_pools(module)
    spec, outputs = inspect_layer(module, row, layer, keep_head=False)
    assert (spec.layout, spec.time_cells, spec.grid, spec.head) == expected
    assert outputs == 400


# Labels


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.txt", "\n a\nb c \nd\n\n"),
        ("l.json", '["a", "b c", "d"]'),
        ("l.JSON", '{"b c": 1, "a": 0, "d": 2}'),
        ("k.json", r'{"\"b c\"": 1, "a": 0, "d": 2}'),
    ],
)
def test_labels_are_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert labels.read_labels(tmp_path / name) == ("a", "b c", "d")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.txt", "", "no labels in .*one label a line"),
        ("l.txt", "a\n\nb", "line 2 of .* is empty"),
        ("l.json", "[]", "no labels in"),
        ("l.json", "[1]", "list of non-empty strings"),
        ("l.json", "{", "is not JSON"),
        ("l.json", '{"a": 1}', "every index from 0 once"),
        ("l.json", '{"a": 0, "b": 0}', "every index from 0 once"),
    ],
)
def test_labels_that_cannot_be(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        labels.read_labels(tmp_path / name)


def test_the_number_of_labels_must_be_that_of_the_outputs(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps([f"l{i}" for i in range(400)]))
    assert load("x3d_xs", weights=weights, labels=path).labels[399] == "l399"
    path.write_text('["a", "b"]')
    with pytest.raises(UsageError, match=r"x3d_xs has 400 outputs, but there are 2 labels in .*mine\.json"):
        load("x3d_xs", weights=weights, labels=path)


def test_auto_takes_the_most_accurate_network_that_is_here(empty_cache: Path) -> None:
    def bring(name: str) -> None:
        weights = get_spec(name).weights
        (empty_cache / (weights.imported or weights.filename)).touch()

    usual = "the model is x3d_s (400 classes), the usual one, because "
    assert choose_default_model() == (
        "x3d_s", f"{usual}no weights of a network with hundreds of classes are here; its weights are fetched"
    )  # fmt: skip
    for name, chosen in (("movinet_a0", "movinet_a0"), ("x3d_m", "x3d_m"), ("mvit_v2_s", "x3d_m"), ("x3d_xs", "x3d_m")):
        bring(name)
        found, why = choose_default_model()
        assert found == chosen
        assert why.startswith(f"the model is {chosen} ({len(get_spec(chosen).labels())} classes), because its weights are here")
    bring("x3d_s")
    assert choose_default_model() == ("x3d_s", f"{usual}its weights are here")
