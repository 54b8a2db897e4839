"""X-CLIP: the classes are phrases."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from support import tiny_transformers as tiny

import vidcam
from vidcam.cli import main
from vidcam.engine.pytorch import normalise
from vidcam.errors import UsageError
from vidcam.methods.core import Target, explain
from vidcam.methods.lookup import get_method
from vidcam.models import loading

pytestmark = pytest.mark.xdist_group("transformers")

ROOT = Path(__file__).parent.parent
PHRASES = ("a person waves", "a person sits down", "jumps")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_xclip(tmp_path_factory.mktemp("xclip"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> vidcam.Engine:
    return vidcam.open_engine(f"hf:{folder}", phrases=PHRASES, device="cpu", engine="torch")


def clips(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, tiny.FRAMES, tiny.SIZE, tiny.SIZE, 3), np.uint8)


def test_logits_are_those_of_transformers_for_the_same_texts(folder, engine):
    net = transformers.XCLIPModel.from_pretrained(folder)
    text = transformers.AutoTokenizer.from_pretrained(folder)(list(PHRASES), padding=True, return_tensors="pt")
    assert text["input_ids"].shape == (3, 6), "a word is a token"
    pixels = normalise(clips(2), mean=engine.spec.mean, std=engine.spec.std).transpose(1, 2)
    with torch.no_grad():
        wanted = net(**text, pixel_values=pixels).logits_per_video
    np.testing.assert_allclose(engine.predict(clips(2)), wanted, rtol=1e-4)
    assert engine.labels == PHRASES


def test_one_video_alone_does_not_make_a_phrase_certain(engine):
    alone, together = engine.predict(clips(1)), engine.predict(clips(2))
    np.testing.assert_allclose(alone[0], together[0], rtol=1e-4)
    assert 0 < engine.probabilities(alone)[0].max() < 1


def test_maps_differ_by_phrase_and_follow_the_versus(engine):
    got = explain(engine, clips(1), [Target(0), Target(1), Target(0, versus=1)], get_method("hirescam")).maps[0][0]
    first, second, versus = (m.ravel() for m in got)
    assert np.corrcoef(first, second)[0, 1] < 0.9
    np.testing.assert_allclose(versus, first - second, atol=1e-4 * np.abs(first).max())


def test_ablation_gives_each_copy_a_clip_of_its_own(engine):
    """Without a channel of the explained layer the logits are those of a network whose layer gives zeros there."""
    from vidcam.engine.hooks import logits_after

    clip = engine.model.tensor(normalise(clips(1), mean=engine.spec.mean, std=engine.spec.std))

    def edit(cells: tuple[torch.Tensor, ...]) -> None:
        cells[0][0, 3] = 0
        cells[0][1, :, 2] = 0

    got = logits_after(engine.model, clip, 2, edit)
    layer, wanted = engine.model.module.get_submodule(engine.spec.target_layer), []
    for channel, frame in ((3, slice(None)), (slice(None), 2)):

        def hook(_module, _inputs, output, channel=channel, frame=frame):
            output = output.clone()
            view = output[:, 1:].view(tiny.FRAMES, -1, output.shape[2])
            view[frame, :, channel] = 0
            return output

        handle = layer.register_forward_hook(hook)
        with torch.no_grad():
            wanted.append(engine.model.module(clip)[0])
        handle.remove()
    np.testing.assert_allclose(got, torch.stack(wanted), rtol=1e-4)


def test_phrases_come_from_a_file_too(folder, tmp_path):
    file = tmp_path / "phrases.txt"
    file.write_text("jumps\na person waves\n", encoding="utf-8")
    assert loading.load(f"hf:{folder}", labels=file).labels == ("jumps", "a person waves")


@pytest.mark.parametrize("phrases", [(), ("waves",), ("waves", " waves ")])
def test_fewer_than_two_phrases_are_refused(folder, phrases):
    with pytest.raises(
        UsageError, match=r'an answer needs at least two of them, got \d: give each with --class "a person waves"'
    ):
        loading.load(f"hf:{folder}", phrases=phrases)


def test_rules_of_live_name_the_phrases(folder, tmp_path, monkeypatch, capsys):
    """Rules alone are enough: what they name are the classes, and events carry the phrases."""
    words = ["live", str(ROOT / "clips" / "walking.mp4"), "--fast", "--headless", "--model", f"hf:{folder}", "--engine", "torch"]
    words += [
        "--frame-interval",
        "0.1",
        "--on",
        "a person waves > 0.01",
        "--on",
        "a person jumps >= 0 for 200ms",
        "--on",
        "any > 0.9",
    ]
    monkeypatch.setattr(sys, "argv", ["vidcam", *words])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as end:
        main.main()
    assert not end.value.code
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"a person waves", "a person jumps"} <= {event["action"] for event in events}
