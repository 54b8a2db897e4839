"""Models of Hugging Face transformers: their facts, where their tokens are, and the exact evidence of VideoMAE."""

from __future__ import annotations

import json
import re
import sys
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import transformers
from support import tiny_transformers as tiny
from support.command import exit_code
from support.media import write_clip
from test_planted import found, scene
from torch import nn

import vidcam
from vidcam import annotation
from vidcam.engine import hooks
from vidcam.engine.pytorch import normalise
from vidcam.errors import DownloadError, UnknownNameError, UsageError, WeightsError
from vidcam.methods.core import Target, explain
from vidcam.methods.lookup import get_method
from vidcam.methods.receptive_field import layer_geometry
from vidcam.models import loading, trained
from vidcam.models.huggingface import files
from vidcam.models.huggingface.families import FAMILIES
from vidcam.pipeline import Session, explanations
from vidcam.settings import Settings

pytestmark = pytest.mark.xdist_group("transformers")  # importing it takes seconds

ROOT = Path(__file__).parent.parent
ALL = (*tiny.FAMILIES, "xclip")
PHRASES = ("a person waves", "a person sits down")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("checkpoints")
    made = {family: tiny.save(base / family, family) for family in tiny.FAMILIES}
    return made | {"xclip": tiny.save_xclip(base / "xclip")}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, loading.LoadedModel]:
    return {family: loading.load(f"hf:{folder}", phrases=PHRASES) for family, folder in folders.items()}


def clips(count: int = 2, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, tiny.FRAMES, tiny.SIZE, tiny.SIZE, 3), np.uint8)


# --- facts ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_labels_frames_and_pixels_are_those_of_the_files(family, folders, models):
    model = models[family]
    assert model.labels == tiny.LABELS
    assert model.spec.num_frames == tiny.FRAMES
    assert model.spec.crop == (tiny.SIZE, tiny.SIZE)
    frames = clips(1)
    processor = tiny.processor(family)
    inputs = processor(list(frames[0]), do_resize=False, return_tensors="pt")
    (wanted,) = (values for name, values in inputs.items() if name.startswith("pixel_values"))
    got = normalise(frames, mean=model.spec.mean, std=model.spec.std)
    np.testing.assert_allclose(got.transpose(1, 2), wanted.view(got.transpose(1, 2).shape), atol=1e-5)
    net = transformers.AutoModelForVideoClassification.from_pretrained(folders[family])
    with torch.no_grad():
        logits = net(**{FAMILIES[family].input: wanted.view(1, tiny.FRAMES, 3, tiny.SIZE, tiny.SIZE)}).logits.view(1, -1)
        np.testing.assert_allclose(model.module(got), logits, atol=1e-5)


@pytest.mark.parametrize("family", ALL)
def test_no_part_of_a_network_remarks_on_a_loss_when_it_is_traced(family, models):
    parts = [part for part in models[family].module.modules() if hasattr(type(part), "loss_function")]
    assert parts
    assert [part.loss_function for part in parts] == [None] * len(parts)


def test_interval_is_that_of_the_repository_or_stated_or_assumed_with_a_note(folders, monkeypatch):
    name = f"hf:{folders['videomae']}"
    assumed = loading.resolve_model(name)
    assert assumed.spec.seconds_between_frames == pytest.approx(4 / 30)
    (note,) = assumed.notes
    assert "0.133 s is assumed" in note
    assert "--frame-interval S" in note
    stated = loading.resolve_model(name, facts={"interval_s": 0.25})
    assert (stated.spec.seconds_between_frames, stated.notes) == (0.25, ())
    monkeypatch.setattr(files, "_fetch", lambda *_: folders["videomae"])
    official = loading.resolve_model("hf:MCG-NJU/videomae-base-finetuned-ssv2")
    assert (official.spec.seconds_between_frames, official.notes) == (0.25, ())
    assert official.spec.title == "VideoMAE (MCG-NJU/videomae-base-finetuned-ssv2)"


def test_several_labels_at_once_have_probabilities_of_their_own(tmp_path):
    tiny.save(tmp_path, "videomae", problem_type="multi_label_classification")
    assert loading.resolve_model(f"hf:{tmp_path}").spec.multi_label


def test_a_folder_without_processor_file_has_its_pixels_assumed_with_a_note(tmp_path):
    tiny.network("vivit", image_size=224).save_pretrained(tmp_path)
    resolved = loading.resolve_model(f"hf:{tmp_path}", facts={"interval_s": 0.1})
    (note,) = resolved.notes
    assert "no processor file" in note
    usual = normalise(clips(1), mean=resolved.spec.mean, std=resolved.spec.std).transpose(1, 2)
    wanted = transformers.VivitImageProcessor()(list(clips(1)[0]), do_resize=False, do_center_crop=False, return_tensors="pt")
    np.testing.assert_allclose(usual, wanted["pixel_values"], atol=1e-5)


def test_another_size_than_is_assumed_asks_for_the_processor(tmp_path):
    tiny.network("videomae").save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="it has no processor file, and VideoMAE usually takes 224x224: save the processor"):
        loading.resolve_model(f"hf:{tmp_path}")


def test_what_a_trainer_saves_after_fine_tuning_needs_no_flag(tmp_path):
    """A folder of ``save_model`` is explained; what it learned on two clips is what vidcam says."""
    net = tiny.network("videomae").train()
    pixels, labels = torch.from_numpy(clips(2)).permute(0, 1, 4, 2, 3) / 127.5 - 1, torch.tensor([2, 0])
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for _ in range(15):
        optimizer.zero_grad()
        net(pixel_values=pixels, labels=labels).loss.backward()
        optimizer.step()
    net.save_pretrained(tmp_path)  # what Trainer.save_model does, with the processor as its processing_class
    tiny.processor("videomae").save_pretrained(tmp_path)
    engine = vidcam.open_engine(f"hf:{tmp_path}", device="cpu", engine="torch")
    assert [engine.labels[i] for i in engine.predict(clips(2)).argmax(1)] == ["jump", "wave"]


def test_folder_of_a_real_trainer_works_with_no_flag(tmp_path):
    """A tiny VideoMAE learns two of the sample clips with transformers' own Trainer; the folder that it saves knows them."""
    pytest.importorskip("accelerate", reason="transformers' Trainer needs the package accelerate, which is not installed")
    start, saved, videos = tmp_path / "start", tmp_path / "saved", ("walking", "jumping_jack")
    tiny.network("videomae").save_pretrained(start)
    tiny.processor("videomae").save_pretrained(start)
    engine = vidcam.open_engine(f"hf:{start}", device="cpu", engine="torch", facts={"interval_s": 0.1})
    shown = []
    for name in videos:
        with vidcam.open_source(ROOT / "clips" / f"{name}.mp4") as source:
            session = Session(engine, vidcam.Settings(method="gradcam"))
            shown.append(next(explanations(source, session)).clips[0])
    pixels = normalise(np.stack(shown), mean=engine.spec.mean, std=engine.spec.std).transpose(1, 2)
    data = [{"pixel_values": p, "labels": torch.tensor(label)} for p, label in zip(pixels, (2, 0), strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the Trainer, which is not ours
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path / "run"), max_steps=30, learning_rate=3e-3, per_device_train_batch_size=2, report_to=[],
            save_strategy="no", disable_tqdm=True, use_cpu=True, remove_unused_columns=False, logging_strategy="no",
        )  # fmt: skip
        trainer = transformers.Trainer(
            model=transformers.AutoModelForVideoClassification.from_pretrained(start),
            args=arguments,
            train_dataset=data,
            processing_class=tiny.processor("videomae"),
        )
        trainer.train()
        trainer.save_model(str(saved))
    engine = vidcam.open_engine(f"hf:{saved}", device="cpu", engine="torch")
    assert [engine.labels[i] for i in engine.predict(np.stack(shown)).argmax(1)] == ["jump", "wave"]


# --- where the tokens are -----------------------------------------------------------------------------------------------------

MIXING = r"encoder\.layer.*attention.*(dense|proj)|vivit\.layers.*o_proj|(spatial|temporal)_layers.*o_proj|vision_model.*out_proj"


@pytest.mark.parametrize("family", ALL)
def test_a_change_inside_one_cell_changes_that_cell_and_no_other(family, models):
    """Without attention before the explained layer, a token sees the pixels of its own place alone."""
    model = models[family]
    spec, module = model.spec, model.module
    kept = {name: values.clone() for name, values in module.named_parameters() if re.search(MIXING, name)}
    (place,) = layer_geometry(hooks_model(module, spec))
    t, h, w = place.grid
    cells = [(0, 0, 1), (t - 1, 2, 0), (1, 1, 2), (t // 2, h - 1, w - 1)]
    clip = torch.randn(1, 3, tiny.FRAMES, tiny.SIZE, tiny.SIZE)
    batch = clip.repeat(1 + len(cells), 1, 1, 1, 1)
    for i, cell in enumerate(cells, start=1):
        box = [
            slice(round(a.offset + a.stride * (j - 0.5) + 0.5), round(a.offset + a.stride * (j + 0.5) + 0.5))
            for a, j in zip((place.time, place.y, place.x), cell, strict=True)
        ]
        batch[i, :, box[0], box[1], box[2]] += 3
    try:
        with torch.no_grad():
            for name in kept:
                module.get_parameter(name).zero_()
            _, activations = hooks.run_with_cells(module, spec, batch)
    finally:
        with torch.no_grad():
            for name, values in kept.items():
                module.get_parameter(name).copy_(values)
    for i, cell in enumerate(cells, start=1):
        change = (activations[i] - activations[0]).norm(dim=0)
        assert change.shape == place.grid
        assert [tuple(at) for at in (change > 1e-4).nonzero().tolist()] == [cell], family


def hooks_model(module: nn.Module, spec):
    from vidcam.engine.network import TorchModel

    return TorchModel(module, spec)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_heat_is_where_and_when_the_planted_cue_is(family, tmp_path):
    folder = tmp_path / family
    tiny.planted(family).save_pretrained(folder)
    tiny.processor(family).save_pretrained(folder)
    interval = 0.2
    engine = vidcam.open_engine(f"hf:{folder}", facts={"interval_s": interval}, device="cpu", engine="torch")
    size, centre = (240, 320), (150, 190)
    times = [i / 20 for i in range(64)]
    clip = write_clip(
        tmp_path / "scene.mp4", frames=len(times), size=size, times=times, picture=scene(times, size=size, centre=centre)
    )
    settings = Settings(classes=("wave",), smooth_s=0.0, seconds_between_clip_starts=0.4)
    analysis = annotation.explain(clip, engine=engine, settings=settings)
    second, y, x = found(analysis, "wave")
    cell = tiny.PATCH * size[0] / (27 if family == "vjepa2" else tiny.SIZE)
    assert y == pytest.approx(149.5, abs=cell / 2)
    assert x == pytest.approx(189.5, abs=cell / 2)
    assert second == pytest.approx(1.5, abs=interval)


# --- exact evidence -----------------------------------------------------------------------------------------------------------


def test_evidence_of_videomae_is_what_each_token_adds_to_the_logit(models, folders):
    """The oracle leaves one token after the other out of the mean, with the norm's scale held, in double precision."""
    engine = vidcam.open_engine(f"hf:{folders['videomae']}", device="cpu", engine="torch")
    targets = [Target(0), Target(2, versus=1)]
    got = explain(engine, clips(2), targets, get_method("cam"))
    net = models["videomae"].module.net
    with torch.no_grad():
        pixels = normalise(clips(2), mean=engine.spec.mean, std=engine.spec.std).transpose(1, 2)
        tokens = net.videomae(pixels).last_hidden_state.double().numpy()
    scale, shift = (p.detach().double().numpy() for p in (net.fc_norm.weight, net.fc_norm.bias))
    weight, bias = (p.detach().double().numpy() for p in (net.classifier.weight, net.classifier.bias))
    for b in range(2):
        n = len(tokens[b])
        deviation = np.sqrt(tokens[b].mean(0).var() + net.fc_norm.eps)

        def logits(kept: np.ndarray, n=n, deviation=deviation) -> np.ndarray:
            mean = kept.sum(0) / n
            return weight @ ((mean - mean.mean()) / deviation * scale + shift) + bias

        whole = logits(tokens[b])
        np.testing.assert_allclose(got.logits[b], whole, atol=1e-5)
        for i in range(n):
            change = whole - logits(np.delete(tokens[b], i, axis=0))
            at = np.unravel_index(i, got.maps[0].shape[2:])
            np.testing.assert_allclose(got.maps[0][b, 0][at], change[0], atol=2e-6)
            np.testing.assert_allclose(got.maps[0][b, 1][at], change[2] - change[1], atol=2e-6)
        constant = weight @ shift + bias
        np.testing.assert_allclose(
            got.totals[b], [whole[0] - constant[0], (whole - constant)[2] - (whole - constant)[1]], atol=1e-5
        )
    size = np.abs(got.maps[0]).sum((2, 3, 4))
    assert (np.abs(got.maps[0].sum((2, 3, 4)) - got.totals) <= 1e-5 * size).all()


@pytest.mark.parametrize("family", ["videomae", "vjepa2"])
def test_openvino_gives_the_evidence_of_torch(family, folders, empty_cache):
    name = f"hf:{folders[family]}"
    method = get_method("cam" if family == "videomae" else "eigencam")
    torch_engine, compiled = (vidcam.open_engine(name, device="cpu", engine=kind) for kind in ("torch", "openvino"))
    assert compiled.name == "openvino"
    wanted, got = (explain(engine, clips(2), [Target(0)], method) for engine in (torch_engine, compiled))
    for a, b in ((got.logits, wanted.logits), (got.maps[0], wanted.maps[0])):
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max())


def test_other_phrases_of_one_checkpoint_are_another_compiled_network(folders, empty_cache):
    name = f"hf:{folders['xclip']}"
    first, second = (
        vidcam.open_engine(name, phrases=phrases, device="cpu", engine="openvino").predict(clips(1))
        for phrases in (PHRASES, ("a person jumps", "a person waves"))
    )
    assert first[0, 0] == pytest.approx(second[0, 1], rel=1e-3)
    assert first[0, 1] != pytest.approx(second[0, 0], rel=1e-3)


def test_gradients_go_through_the_norm_and_so_sum_to_nothing(folders):
    engine = vidcam.open_engine(f"hf:{folders['videomae']}", device="cpu", engine="torch")
    got = explain(engine, clips(1), [Target(1)], get_method("hirescam")).maps[0][0, 0]
    net = engine.model.module.net
    tokens = net.videomae(normalise(clips(1), mean=engine.spec.mean, std=engine.spec.std).transpose(1, 2)).last_hidden_state
    leaf = tokens.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(net.classifier(net.fc_norm(leaf.mean(1)))[0, 1], leaf)
    np.testing.assert_allclose(got.ravel(), (gradient * leaf).sum(2)[0].detach(), atol=1e-5)
    assert abs(got.sum()) < 1e-4 * np.abs(got).sum()


class OwnTransformer(nn.Module):
    """A network of one's own: tokens without a class token, their mean, a layer norm and a linear layer."""

    vidcam = {  # noqa: RUF012
        **{"frames": 4, "interval_s": 0.1, "resize": 16, "crop": (16, 16), "mean": (0.5,) * 3, "std": (0.5,) * 3},
        **{"layer": "tokens", "layout": "tokens", "grid": (2, 2, 2), "order": "thw", "class_tokens": 0},
    }

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.tokens = nn.Conv3d(3, 6, (2, 8, 8), (2, 8, 8)), nn.Identity()
        self.norm, self.out = nn.LayerNorm(6), nn.Linear(6, 3)
        nn.init.normal_(self.norm.weight)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        tokens = self.tokens(self.patches(clips).flatten(2).transpose(1, 2))
        return self.out(self.norm(tokens.mean(1)))


def test_a_network_of_ones_own_with_a_norm_has_exact_evidence_too():
    from vidcam.models.custom_facts import describe

    spec = describe("own", OwnTransformer().eval()).spec
    assert spec.head is not None
    assert (spec.head.classifiers, spec.head.norm, spec.grid) == (("out",), "norm", (2, 2, 2))


# --- refusals -----------------------------------------------------------------------------------------------------------------


def test_a_missing_package_is_named_with_its_command(monkeypatch, folders):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"needs the package transformers.*pip install 'vidcam\[hf\]'"):
        loading.load(f"hf:{folders['videomae']}")


def change(folder: Path, file: str, **facts: object) -> Path:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))
    return folder


@pytest.mark.parametrize(
    ("file", "facts", "message"),
    [
        (
            "preprocessor_config.json",
            {"crop_size": {"height": 32, "width": 32}},
            "positions for pictures of 24x24 pixels, but .* 32x32",
        ),
        ("preprocessor_config.json", {"size": "large"}, "cannot be read as a processor file"),
        (
            "config.json",
            {"architectures": ["VideoMAEForPreTraining"]},
            "a VideoMAEForPreTraining, which was not trained to classify",
        ),
        ("config.json", {"model_type": "vit"}, "is a 'vit'; vidcam explains .* videomae, vivit, timesformer"),
        ("config.json", {"model_type": "unheard-of"}, "cannot read: .*; if its network is made by code .* --trust-remote-code"),
    ],
)
def test_a_checkpoint_that_cannot_be_explained_is_refused_in_a_sentence(file, facts, message, tmp_path):
    with pytest.raises((UsageError, WeightsError), match=message):
        loading.load(f"hf:{change(tiny.save(tmp_path, 'videomae'), file, **facts)}")


def test_weights_that_leave_a_part_random_are_refused(tmp_path, folders):
    from safetensors.torch import load_file, save_file

    tiny.save(tmp_path, "videomae")
    weights = load_file(tmp_path / "model.safetensors")
    save_file({k: v for k, v in weights.items() if "classifier" not in k}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"lack 2 tensors, such as classifier\.bias, which would be random"):
        loading.load(f"hf:{tmp_path}")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"has no weights: .* should hold model\.safetensors"):
        loading.load(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    ("facts", "error", "message"),
    [
        ({"frames": 16}, UsageError, "positions for 8 frames, so it cannot take 16"),
        ({"interval_s": -1}, UsageError, "a positive number of seconds, got -1"),
        ({"grid": (1, 2, 3)}, UnknownNameError, "fact about .* 'grid'"),
    ],
)
def test_facts_that_contradict_the_files_are_refused(facts, error, message, folders):
    with pytest.raises(error, match=message):
        loading.load(f"hf:{folders['videomae']}", facts=facts)


def test_rotated_positions_take_any_number_of_frames(folders):
    model = loading.load(f"hf:{folders['vjepa2']}", facts={"frames": 4, "interval_s": 0.1})
    assert (model.spec.num_frames, model.spec.grid) == (4, (2, 3, 3))
    assert model.module(torch.zeros(1, 3, 4, tiny.SIZE, tiny.SIZE)).shape == (1, 3)


def test_offline_and_misspelt_names_are_refused_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DownloadError, match="nobody/nothing is not on this machine, and VIDCAM_OFFLINE forbids"):
        loading.load("hf:nobody/nothing")
    with pytest.raises(UsageError, match="no folder on this machine and no name of a repository"):
        loading.load("hf:/no/such/folder")
    with pytest.raises(UsageError, match=r"has no config\.json"):
        loading.load(f"hf:{tmp_path}")


def test_weights_and_training_of_a_checkpoint_are_refused(folders, tmp_path):
    name = f"hf:{folders['videomae']}"
    with pytest.raises(UsageError, match="brings its weights"):
        loading.load(name, weights=tmp_path)
    with pytest.raises(UsageError, match="fine-tune it with transformers' Trainer"):
        trained.base_spec(name)


REMOTE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput
from pathlib import Path

Path(r"{marker}").touch()


class OwnConfig(PretrainedConfig):
    model_type = "own-video"
    num_frames = 4
    image_size = 24


class Own(PreTrainedModel):
    config_class = OwnConfig
    main_input_name = "frames"

    def __init__(self, config):
        super().__init__(config)
        self.out = torch.nn.Linear(3, 3)
        self.post_init()

    def forward(self, frames):
        return ImageClassifierOutput(logits=self.out(frames.mean((1, 3, 4))))
"""


def test_code_of_a_repository_runs_only_if_it_is_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder, marker = tmp_path / "remote", tmp_path / "ran"
    tiny.save(folder, "videomae")
    (folder / "own.py").write_text(REMOTE.format(marker=marker))
    change(
        folder, "config.json", model_type="own-video", num_frames=4, architectures=["Own"],
        auto_map={"AutoConfig": "own.OwnConfig", "AutoModelForVideoClassification": "own.Own"},
    )  # fmt: skip
    from safetensors.torch import save_file

    save_file({"out.weight": torch.randn(3, 3), "out.bias": torch.randn(3)}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match="--trust-remote-code"):
        loading.load(f"hf:{folder}")
    assert not marker.exists()
    model = loading.load(f"hf:{folder}", trust_code=True, facts={"interval_s": 0.1})
    assert marker.exists()
    assert model.module(torch.zeros(2, 3, 4, tiny.SIZE, tiny.SIZE)).shape == (2, 3)
    assert model.spec.provides == {"gradient"}


# --- the hub ------------------------------------------------------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """As much of the Hugging Face hub as a download asks for: the list of a repository's files, and the files."""

    folder: ClassVar[Path] = Path()
    COMMIT = "0123456789abcdef0123456789abcdef01234567"
    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.asked.append(path)
        names = sorted(p.name for p in self.folder.iterdir())
        if path.startswith("/api/models/someone/waves"):
            listed = [{"type": "file", "path": n, "oid": n, "size": (self.folder / n).stat().st_size} for n in names]
            facts = {"id": "someone/waves", "sha": self.COMMIT, "siblings": [{"rfilename": name} for name in names]}
            content = json.dumps(listed if "/tree/" in path else facts).encode()
        elif (file := self.folder / path.rpartition("/")[2]).is_file() and path.startswith("/someone/waves/resolve/"):
            content = file.read_bytes()
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        for key, value in {"Content-Length": len(content), "X-Repo-Commit": self.COMMIT, "ETag": f'"{hash(content)}"'}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_repository_is_fetched_once_and_then_found_offline(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(Hub, "folder", folders["videomae"])
    (folders["videomae"] / "pytorch_model.bin").write_bytes(b"not wanted")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            f"http://127.0.0.1:{server.server_port}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
        )
        monkeypatch.delenv("VIDCAM_OFFLINE")
        fetched = loading.load("hf:someone/waves")
        assert any(path.endswith("model.safetensors") for path in Hub.asked)
        assert not any(path.endswith("pytorch_model.bin") for path in Hub.asked), "safetensors are enough"
        with pytest.raises(DownloadError, match="has no repository someone/else that you may read"):
            loading.load("hf:someone/else")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        (folders["videomae"] / "pytorch_model.bin").unlink()
    monkeypatch.setenv("VIDCAM_OFFLINE", "1")
    again = loading.load("hf:someone/waves")
    assert fetched.weights_sha256 == again.weights_sha256 == loading.load(f"hf:{folders['videomae']}").weights_sha256
    assert again.spec.title == "VideoMAE (someone/waves)"


# --- the command line ---------------------------------------------------------------------------------------------------------


def test_methods_say_which_work_on_a_model_and_what_the_others_need(folders, capsys):
    assert exit_code("methods", "--model", f"hf:{folders['xclip']}", "--json") == 0
    works = {row["name"]: row["works"] for row in json.loads(capsys.readouterr().out)}
    assert works["gradcam"] == "yes, the default"
    assert works["occlusion"] == "yes"
    assert works["cam"] == "no: needs linear-head"
    assert works["attention-gradient"] == "no: needs attention"


def test_a_phrase_is_explained_from_the_command_line(folders, tmp_path, capsys):
    clip = write_clip(tmp_path / "clip.mp4", frames=30, size=(48, 64))
    out, phrases = tmp_path / "out.json", [word for phrase in PHRASES for word in ("--class", phrase)]
    options = ["--frame-interval", "0.1", "--engine", "torch", "--device", "cpu", "--quiet"]
    video, name = tmp_path / "out.mp4", f"hf:{folders['xclip']}"
    code = exit_code("annotate", clip, "-o", video, "--model", name, *phrases, *options, "--json", out)
    assert (code, capsys.readouterr().err) == (0, "")
    assert set(json.loads(out.read_text())["timeline"]["evidence"]) == set(PHRASES)
