"""Exported files beside torch and vidcam's own ``cam``: ONNX Runtime, OpenVINO, what they say, and how they come back."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import tiny_nets
from support.command import Run, exit_code
from support.media import write_clip
from support.schemas import validate

import vidcam
from vidcam.engine import TorchEngine, open_engine
from vidcam.engine.base import Engine, make_check_frames, normalise_array
from vidcam.engine.convert import get_core
from vidcam.errors import IncompatibleError, OutputError, UsageError
from vidcam.exporting import export_network
from vidcam.methods import core
from vidcam.methods.cell_geometry import join
from vidcam.methods.lookup import get_method
from vidcam.methods.receptive_field import layer_geometry
from vidcam.models.loading import LoadedModel, load
from vidcam.models.table import get_spec

onnx = pytest.importorskip("onnx", reason="needs vidcam[export]")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs vidcam[export]")

SUFFIXES = (".onnx", ".xml")
CLOSE = 1e-4
"""Of the largest value: three libraries sum float32 in their own order."""

EXACT = [name for name, (_, facts) in tiny_nets.NETS.items() if facts.get("head")]


def tiny(name: str) -> LoadedModel:
    net = tiny_nets.explained(name)
    return LoadedModel(net.spec, net.module, net.spec.labels(), None, None)


def run_file(path: Path, *inputs: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs of a file by their names, in ONNX Runtime or OpenVINO, without vidcam."""
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(path)
        names = [output.name for output in session.get_outputs()]
        return dict(
            zip(
                names,
                session.run(None, {i.name: value for i, value in zip(session.get_inputs(), inputs, strict=True)}),
                strict=True,
            )
        )
    network = get_core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    values = network(list(inputs)).to_tuple()
    return {output.get_any_name(): np.array(value) for output, value in zip(network.outputs, values, strict=True)}


def facts_in(path: Path) -> dict:
    if path.suffix == ".onnx":
        return json.loads(onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map["vidcam"])
    return json.loads(get_core().read_model(path).get_rt_info(["vidcam"]).astype(str))


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE * np.abs(expected).max())


def clip_of(engine: Engine) -> tuple[np.ndarray, np.ndarray]:
    """Frames that the exporter has not seen, and the same as the input of a network."""
    frames = make_check_frames(engine.spec)[:, ::-1, :, ::-1].copy()
    return frames, normalise_array(frames, mean=engine.spec.mean, std=engine.spec.std)


def own_evidence(engine: Engine, frames: np.ndarray) -> tuple[core.Attribution, np.ndarray]:
    """The closed form by numpy for every class, and its maps summed over the pathways."""
    found = core.explain(engine, frames, [core.Target(i) for i in range(len(engine.labels))], get_method("cam"))
    return found, join(found.maps, layer_geometry(engine.model))[0]


def check(model: LoadedModel, path: Path) -> None:
    """The file gives what torch and cam give, adds up, and explains the same when it is opened as a model."""
    engine = TorchEngine(model, "cpu")
    export_network(model, path)
    frames, clip = clip_of(engine)
    found, expected = own_evidence(engine, frames)
    outputs = run_file(path, clip)
    assert list(outputs) == ["logits", "saliency_map", "feature_vector", "bias"]
    assert_same(outputs["logits"], found.logits)
    assert_same(outputs["saliency_map"], expected)
    assert_same(outputs["saliency_map"].sum((2, 3, 4)) + outputs["bias"], outputs["logits"])
    assert_same(outputs["feature_vector"], np.concatenate([a.mean((2, 3, 4)) for a in engine.model.forward(clip).activations], 1))
    back = open_engine(str(path))
    again = core.explain(back, frames, list(found.targets), get_method("cam"))
    for own, read in zip(found.maps, again.maps, strict=True):
        assert_same(read, own)
    assert back.labels == model.labels
    assert back.notes == ()
    assert back.spec.head is not None
    assert "its linear layer" not in back.spec.head.classifiers[0]  # read from the file, not searched for
    assert layer_geometry(back.model) == layer_geometry(engine.model)


@pytest.mark.parametrize(("name", "suffix"), [*((name, ".onnx") for name in EXACT), ("movinet", ".xml"), ("pathways", ".xml")])
def test_file_of_every_kind_of_head_has_the_evidence_of_cam(name: str, suffix: str, tmp_path: Path, empty_cache: Path) -> None:
    check(tiny(name), tmp_path / f"net{suffix}")


def test_file_of_mini_has_the_evidence_of_cam(tmp_path: Path) -> None:
    check(load("mini"), tmp_path / "net.xml")


def test_random_resnet_has_the_evidence_of_cam_in_onnx(tmp_path: Path) -> None:
    """It is r3d_18 with half of its blocks."""
    from torchvision.models.video import resnet

    net = resnet.VideoResNet(resnet.BasicBlock, [resnet.Conv3DSimple] * 4, [1] * 4, resnet.BasicStem).eval()
    cells = (0.0, 8.0), (0.0, 16.0), (0.0, 16.0)  # stated, because measuring takes long
    row = replace(get_spec("r3d_18"), num_frames=8, crop=(32, 32), cells=cells, grid=(1, 2, 2))
    check(LoadedModel(row, net, row.labels(), None, None), tmp_path / "net.onnx")


def test_random_videomae_with_its_norm_has_the_evidence_of_cam(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="needs vidcam[hf]")
    from support.tiny_transformers import save

    check(load(f"hf:{save(tmp_path / 'net', 'videomae')}", facts={"interval_s": 0.1}), tmp_path / "net.onnx")


def test_real_movinet_has_the_evidence_of_cam(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDCAM_WEIGHTS", str(assets / "weights"))
    model = load("movinet_a0")
    check(model, tmp_path / "net.onnx")
    one = np.array([417], np.int64)
    export_network(model, tmp_path / "one.xml", class_index=True)
    _, clip = clip_of(TorchEngine(model, "cpu"))
    outputs = run_file(tmp_path / "one.xml", clip, one)
    assert_same(outputs["saliency_map"].sum((2, 3, 4)) + outputs["bias"], outputs["logits"][:, one])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_class_index_chooses_the_class_of_the_map(suffix: str, tmp_path: Path) -> None:
    model = tiny("movinet")
    export_network(model, tmp_path / f"all{suffix}")
    export_network(model, tmp_path / f"one{suffix}", class_index=True)
    frames, clip = clip_of(TorchEngine(model, "cpu"))
    every = run_file(tmp_path / f"all{suffix}", clip)
    for index in (1, 4):
        one = run_file(tmp_path / f"one{suffix}", clip, np.array([index], np.int64))
        assert_same(one["saliency_map"], every["saliency_map"][:, [index]])
        assert_same(one["bias"], every["bias"][:, [index]])
    back = open_engine(str(tmp_path / f"one{suffix}"))
    found = core.explain(back, frames, [core.Target(3)], get_method("cam"))
    assert_same(found.maps[0], every["saliency_map"][:, [3]])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_facts_in_a_file_are_those_of_the_model(suffix: str, tmp_path: Path) -> None:
    model = load("mini")
    export_network(model, tmp_path / f"net{suffix}")
    facts, spec = facts_in(tmp_path / f"net{suffix}"), model.spec
    validate(facts, "export")
    assert facts["labels"] == list(model.labels)
    assert facts["weights_sha256"] == model.weights_sha256
    assert (facts["frames"], facts["interval_s"]) == (spec.num_frames, spec.seconds_between_frames)
    byte = np.array([0, 100, 255])
    np.testing.assert_allclose((byte - facts["mean"]) / facts["scale"], (byte / 255 - spec.mean) / spec.std, rtol=1e-6)
    back = open_engine(str(tmp_path / f"net{suffix}")).spec
    for name in ("resize", "crop", "temperature", "rejects", "multi_label", "seconds_between_frames", "time_cells"):
        assert getattr(back, name) == getattr(spec, name), name
    np.testing.assert_allclose((back.mean, back.std), (spec.mean, spec.std), rtol=1e-6)


def test_whole_picture_in_the_crop_comes_back_from_a_file(tmp_path: Path) -> None:
    model = tiny("plain")
    model = LoadedModel(
        tiny_nets.spec(build=model.spec.build, head=model.spec.head, resize="fit"), model.module, model.labels, None, None
    )
    export_network(model, tmp_path / "net.xml")
    assert open_engine(str(tmp_path / "net.xml")).spec.resize == "fit"


def test_file_is_annotated_with_the_maps_of_its_model(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=40, size=(96, 128))
    assert exit_code("export", "mini", "-o", tmp_path / "net.onnx", "--quiet") == 0
    for name in ("mini", tmp_path / "net.onnx"):
        words = ("--json", tmp_path / f"{Path(name).stem}.json", "--maps", tmp_path / f"{Path(name).stem}.npz", "--quiet")
        assert (
            exit_code("annotate", clip, "--model", name, "-o", tmp_path / f"{Path(name).stem}.mp4", "--method", "cam", *words)
            == 0
        )
    own, read = np.load(tmp_path / "mini.npz"), np.load(tmp_path / "net.npz")
    assert own.files == read.files
    for key in own.files:
        if own[key].dtype.kind == "f":
            assert_same(read[key], own[key])
    answers = [json.loads((tmp_path / f"{name}.json").read_text())["windows"][0] for name in ("mini", "net")]
    assert answers[0]["top"][0]["label"] == answers[1]["top"][0]["label"]


def test_model_api_reads_what_it_needs_from_the_file(tmp_path: Path) -> None:
    model = load("mini")
    for suffix in SUFFIXES:
        export_network(model, tmp_path / f"net{suffix}", model_api=True)
    graph = get_core().read_model(tmp_path / "net.xml")
    info = {key: value.astype(str) for key, value in graph.get_rt_info()["model_info"].items()}
    assert info["model_type"] == "Action Classification"
    assert info["labels"].split(" ")[:2] == ["standing_idle", "waving_one_hand"]
    assert list(graph.input(0).shape) == [1, 1, 3, model.spec.num_frames, *model.spec.crop]
    assert str(graph.get_parameters()[0].get_layout()) == "[N,S,C,T,H,W]"
    properties = {p.key: p.value for p in onnx.load(tmp_path / "net.onnx").metadata_props}
    assert {key.removeprefix("model_info "): value for key, value in properties.items() if key != "vidcam"} == info


def test_model_api_answers_as_the_model(tmp_path: Path) -> None:
    api = pytest.importorskip("model_api.models", reason="openvino-model-api wants an older OpenCV: see tests/support/sinks.sh")
    model = load("mini")
    frames, clip = clip_of(TorchEngine(model, "cpu"))
    for suffix in SUFFIXES:
        export_network(model, tmp_path / f"net{suffix}", model_api=True)
        found = api.Model.create_model(str(tmp_path / f"net{suffix}"))
        assert isinstance(found, api.ActionClassificationModel)
        (answer,) = found(frames[0]).top_labels
        logits = run_file(tmp_path / f"net{suffix}", clip[:, None])["logits"][0]
        assert answer.name == model.labels[int(logits.argmax())].replace(" ", "_")
        assert answer.confidence == pytest.approx(
            logits.max(), rel=1e-2
        )  # Model API leaves the precision to OpenVINO, which may take bfloat16
        back = open_engine(str(tmp_path / f"net{suffix}"))
        assert_same(back.predict(frames)[0], logits)


def test_models_without_exact_evidence_are_refused_with_those_that_have_it(tmp_path: Path) -> None:
    here = r"weights on this machine: mini; with weights to download: movinet_a0, .*r3d_18"
    with pytest.raises(IncompatibleError, match=rf"mvit_v2_s cannot be exported: .*{here}"):
        vidcam.export("mvit_v2_s", tmp_path / "net.onnx")
    with pytest.raises(IncompatibleError, match="tiny cannot be exported"):
        export_network(tiny("deep"), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_auto_is_exported_as_the_model_that_explains_by_itself(
    vidcam: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = vidcam("export", "auto", "-o", "net.xml")
    engine = open_engine("auto")
    assert (code, out) == (0, "net.xml\n")
    assert facts_in(tmp_path / "net.xml")["model"] == engine.spec.name == "mini"
    for note in engine.notes[:1]:
        assert " ".join(note.split()) in " ".join(err.split())
    monkeypatch.setattr("vidcam.engine.choose_default_model", lambda: ("mvit_v2_s", "it is here"))
    code, _, err = vidcam("export", "auto", "-o", "other.xml")
    assert code == 2
    assert "mvit_v2_s, which auto stands for here, cannot be exported" in err


def test_outputs_that_cannot_be_written_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"NAME\.onnx \(ONNX\) or NAME\.xml"):
        vidcam.export("mini", tmp_path / "net.pt")
    with pytest.raises(UsageError, match="leave out --class-index or --model-api"):
        vidcam.export("mini", tmp_path / "net.xml", class_index=True, model_api=True)
    (tmp_path / "net.bin").write_text("the old weights")
    with pytest.raises(OutputError, match=r"net\.bin exists already; use --overwrite"):
        vidcam.export("mini", tmp_path / "net.xml")
    assert [p.name for p in tmp_path.iterdir()] == ["net.bin"]
    vidcam.export("mini", tmp_path / "net.xml", overwrite=True)
    with pytest.raises(UsageError, match="is exported already"):
        vidcam.export(str(tmp_path / "net.xml"), tmp_path / "other.onnx")


def test_missing_onnx_is_named_with_the_command_that_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match=r"an ONNX file needs the package onnx: pip install 'vidcam\[export\]'"):
        vidcam.export("mini", tmp_path / "net.onnx")


def test_head_that_is_not_what_its_row_says_writes_no_file(tmp_path: Path) -> None:
    model = tiny("plain")
    model.module.fc.register_forward_hook(lambda _module, _inputs, output: output + 1)
    with pytest.raises(vidcam.VidcamError, match="its evidence and bias miss the logit"):
        export_network(model, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_file_of_a_later_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = importlib.import_module("vidcam.exporting.metadata")
    monkeypatch.setattr(metadata, "VERSION", 99)
    export_network(tiny("plain"), tmp_path / "net.xml")
    with pytest.raises(UsageError, match="newer than this one: update vidcam"):
        open_engine(str(tmp_path / "net.xml"))


def test_onnx_runtime_is_imported_without_its_telemetry(tmp_path: Path) -> None:
    """It would keep a folder in the user's cache, and send from it to its makers."""
    words = f"import vidcam; vidcam.export('mini', {str(tmp_path / 'net.onnx')!r})"
    surroundings = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", words], env=surroundings | {"HOME": str(tmp_path), "XDG_CACHE_HOME": ""}, check=True)
    assert not (tmp_path / ".cache" / "Microsoft").exists()
