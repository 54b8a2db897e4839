"""The OpenVINO engine: the same numbers as torch, a cache that never lies, and a reason wherever torch has to do it."""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from support.media import write_clip
from support.tiny_nets import CLIP, explained
from support.waiting import ended

from vidcam import annotation
from vidcam.engine import Engine, cache, open_engine, openvino
from vidcam.engine.base import ForwardOutput, find_disagreement
from vidcam.engine.network import TorchModel
from vidcam.engine.openvino import Unsupported, open_compiled
from vidcam.engine.pytorch import TorchEngine
from vidcam.methods import core
from vidcam.methods.core import Target
from vidcam.methods.lookup import all_methods, get_method
from vidcam.models.loading import LoadedModel, ResolvedModel

WITHOUT_HEAD = ("deep", "tokens")
NETS = ("plain", "signed", "x3d", "movinet", "pathways", "channels-last", *WITHOUT_HEAD)


def located(name: str = "plain", **changes: object) -> ResolvedModel:
    """Return one of the tiny networks as if it were of the table: with weights that have a name."""
    net = explained(name)
    spec = dataclasses.replace(net.spec, name=name, **changes)
    loaded = LoadedModel(spec, net.module, spec.labels(), "0123", None)
    return ResolvedModel(spec, loaded.labels, "0123", is_custom=False, load=lambda: loaded)


def in_torch(name: str) -> TorchEngine:
    return TorchEngine(located(name).load(), "cpu")


def film(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *CLIP, 3), dtype=np.uint8)


def close(found: core.Attribution, wanted: core.Attribution, digits: float = 1e-4) -> None:
    """Compare all numbers to ``digits`` of their scale."""
    pairs = [(found.logits, wanted.logits), *zip(found.maps, wanted.maps, strict=True)]
    pairs += [] if wanted.totals is None else [(found.totals, wanted.totals)]
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=0, atol=digits * float(np.abs(b).max()))


@pytest.fixture
def mini(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Open mini out of the cache: nothing is compiled any more."""
    assert open_engine("mini").name == "openvino"
    monkeypatch.setattr(openvino, "convert", lambda *_: pytest.fail("compiled again"))
    return open_engine("mini")


# --- the same numbers -------------------------------------------------------------------------------------------------------


@pytest.mark.portable
@pytest.mark.parametrize("name", NETS)
def test_every_kind_of_network_gives_what_it_gives_in_torch(name: str) -> None:
    run, torch = open_compiled(located(name)), in_torch(name)
    targets = [Target(2), Target(1, versus=4)]
    for method in (m for m in all_methods() if m.family in ("cam", "gradient") and m.requires <= run.spec.provides):
        close(core.explain(run, film(3), targets, method), core.explain(torch, film(3), targets, method))
    assert run.name == ("openvino + torch" if name in WITHOUT_HEAD else "openvino")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_clips_do_not_see_each_other(count: int) -> None:
    run = open_compiled(located())
    together = core.explain(run, film(count), [Target(1)], get_method("cam"))
    for i in range(count):
        alone = core.explain(run, film(count)[i : i + 1], [Target(1)], get_method("cam"))
        np.testing.assert_array_equal(alone.maps[0][0], together.maps[0][i])
        np.testing.assert_array_equal(alone.logits[0], together.logits[i])


def test_a_result_is_not_overwritten_by_the_next() -> None:
    run = open_compiled(located())
    first = run.model.forward(np.ones((1, 3, *CLIP), np.float32))
    kept = first.logits.copy(), first.activations[0].copy()
    run.model.forward(np.zeros((1, 3, *CLIP), np.float32))
    np.testing.assert_array_equal(first.logits, kept[0])
    np.testing.assert_array_equal(first.activations[0], kept[1])


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not tell on which cores a thread may run")
def test_computing_ties_no_thread_to_a_core() -> None:
    """The threads of several processes would be tied to the same cores, and others would be idle."""
    run = open_compiled(located(), threads=1)
    clip, allowed = film(2), os.sched_getaffinity(0)
    seen: set[frozenset[int]] = set()
    caller, done = threading.get_native_id(), threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.add(frozenset(os.sched_getaffinity(caller)))

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(300):
        run.predict(clip)
    done.set()
    ended(looking)
    assert seen == {frozenset(allowed)}


def test_threads_that_predict_at_once_get_their_own_answers() -> None:
    run = open_compiled(located(), threads=2)
    clips = [film(2, seed) for seed in range(8)]
    wanted = [run.predict(clip) for clip in clips]
    found: dict[int, np.ndarray] = {}
    workers = [threading.Thread(target=lambda i=i: found.update({i: run.predict(clips[i])})) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        ended(worker)
    for i in range(8):
        np.testing.assert_array_equal(found[i], wanted[i])


@pytest.mark.parametrize("method", ["gradient", "lrp", "occlusion", "scorecam", "ablationcam", "smoothgrad:cam"])
def test_other_methods_work_too_and_the_name_says_what_ran(method: str) -> None:
    run, torch = open_compiled(located()), in_torch("plain")
    assert run.name == "openvino"
    close(
        *(core.explain(e, film(2), [Target(2)], get_method(method)) for e in (run, torch)), digits=2e-3
    )  # differences of scores
    # scorecam needs no gradient, but nobody has measured yet where the cells of this network are
    assert run.name == ("openvino + torch" if method in ("gradient", "lrp", "ablationcam", "scorecam") else "openvino")


def test_mini_shows_the_same_on_a_real_clip_in_either_engine(mini: Engine, assets: Path) -> None:
    path = assets / "clips" / "webcam" / "raise_arms_front" / "person1_trial1.avi"
    fast, slow = (annotation.explain(path, engine=e) for e in (mini, open_engine("mini", device="cpu", engine="torch")))
    assert (fast.run.engine, slow.run.engine) == ("openvino", "torch")
    assert list(fast.tracks) == list(slow.tracks)
    assert [p.top(1)[0][0] for p in fast.windows] == [p.top(1)[0][0] for p in slow.windows]
    assert fast.scale == pytest.approx(slow.scale, rel=1e-4)
    for label, parts in slow.tracks.items():
        for a, b in zip(fast.tracks[label], parts, strict=True):
            np.testing.assert_allclose(a.maps, b.maps, rtol=0, atol=1e-4 * slow.scale)
    assert fast.completeness_error == pytest.approx(0, abs=1e-4)


# --- precision --------------------------------------------------------------------------------------------------------------


def precision_of(run: Engine) -> str:
    (model,) = {run.model._request.get_compiled_model()}
    return str(model.get_property("INFERENCE_PRECISION_HINT"))


def test_float32_is_asked_for_whatever_the_processor_has(mini: Engine) -> None:
    assert "float32" in precision_of(mini) or "f32" in precision_of(mini)


@pytest.mark.skipif(not openvino.has_bf16(), reason="the processor does not compute in bfloat16")
@pytest.mark.parametrize("kind", ["openvino-bf16", "torch-bf16"])
def test_bfloat16_is_near_and_its_evidence_still_adds_up(kind: str) -> None:
    exact, rough = open_engine("mini", device="cpu", engine="torch"), open_engine("mini", device="cpu", engine=kind)
    assert rough.name == kind
    assert rough.notes == ()
    frames = np.random.default_rng(0).integers(0, 256, (2, 16, 14, 14, 3), np.uint8).repeat(8, 2).repeat(8, 3)
    targets = [Target(1), Target(3, versus=2)]
    a, b = (core.explain(e, frames, targets, get_method("cam")) for e in (rough, exact))
    np.testing.assert_allclose(a.maps[0].sum((2, 3, 4)), a.totals, rtol=1e-4, atol=1e-4)  # its own logits, not torch's
    np.testing.assert_array_equal(a.logits, rough.predict(frames))
    assert not np.allclose(a.logits, b.logits, rtol=0, atol=1e-5 * np.abs(b.logits).max())  # it is not float32 after all
    np.testing.assert_allclose(a.logits, b.logits, rtol=0, atol=0.02 * np.abs(b.logits).max())
    np.testing.assert_allclose(a.maps[0], b.maps[0], rtol=0, atol=0.05 * np.abs(b.maps[0]).max())


def test_without_bfloat16_it_is_float32_and_that_is_said(mini: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "has_bf16", lambda: False)
    run = open_engine("mini", engine="openvino-bf16")
    assert run.name == "openvino"
    (note,) = run.notes
    assert note.startswith("mini computes in float32, not in bfloat16: ")
    assert note.endswith("does not compute in bfloat16")


def seen(logits: list[float], features: float = 1.0) -> ForwardOutput:
    return ForwardOutput(np.float32([logits]), (np.full((1, 1, 1, 1, 1), features, np.float32),))


@pytest.mark.parametrize(
    ("found", "bf16", "told"),
    [
        (seen([1.00005, 0.5]), False, None),
        (seen([1.0002, 0.5]), False, "off by 2.0e-04 of their scale"),
        (seen([1.0, 0.5], 1.001), False, "off by 1.0e-03 of their scale"),
        (seen([1.0, np.nan]), False, "off by nan"),
        (seen([1.0]), False, "gives other shapes than torch"),
        (ForwardOutput(np.float32([[1.0, 0.5]]), ()), False, "gives other shapes than torch"),
        (seen([1.01, 0.49], 1.1), True, None),
        (seen([1.03, 0.5]), True, "off by 3.0e-02"),
    ],
)
def test_an_answer_too_far_off_is_told(found: ForwardOutput, bf16: bool, told: str | None) -> None:
    problem = find_disagreement(found, seen([1.0, 0.5]), bf16=bf16)
    assert problem is None if told is None else told in str(problem)


def test_a_close_second_that_wins_in_bfloat16_is_told() -> None:
    assert find_disagreement(seen([1.0, 1.005]), seen([1.0, 0.999]), bf16=True) == "it answers differently"
    assert find_disagreement(seen([1.0, 1.00001]), seen([1.0, 0.99999])) is None


def test_what_is_compared_with_is_what_torch_gives() -> None:
    model = located("pathways")
    clip = np.random.default_rng(0).normal(size=(1, 3, *CLIP)).astype(np.float32)
    _, seen = openvino.convert(model.load().module, model.spec, clip)
    wanted = TorchModel(model.load().module, model.spec).forward(clip)
    np.testing.assert_array_equal(seen.logits, wanted.logits)
    for a, b in zip(seen.activations, wanted.activations, strict=True):
        np.testing.assert_array_equal(a, b)


# --- the cache --------------------------------------------------------------------------------------------------------------


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "compiled").iterdir())


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the names of the models that are converted from now on."""
    found: list[str] = []
    real = openvino.convert
    monkeypatch.setattr(openvino, "convert", lambda module, spec, clip: found.append(spec.name) or real(module, spec, clip))
    return found


@pytest.mark.portable
def test_a_model_is_compiled_once(empty_cache: Path, converted: list[str]) -> None:
    first, second = (open_compiled(located("x3d")).predict(film(2)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert converted == ["x3d"]
    assert len(entries(empty_cache)) == 1


CHANGES = {
    "another version of OpenVINO": lambda patch: patch.setattr("openvino.__version__", "2031.1"),
    "another format": lambda patch: patch.setattr(openvino, "FORMAT", 999),
    "other code": lambda patch: patch.setattr(openvino, "_sources", lambda: "other"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_version_compiles_anew_and_leaves_nothing_behind(
    change: str, empty_cache: Path, converted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_compiled(located())
    before = entries(empty_cache)
    CHANGES[change](monkeypatch)
    for _ in range(2):
        open_compiled(located())
    assert converted == ["plain"] * 2
    assert entries(empty_cache) == before


@pytest.mark.parametrize(
    "other",
    [
        lambda m: dataclasses.replace(m, weights_sha256="4567"),
        lambda m: dataclasses.replace(m, spec=dataclasses.replace(m.spec, target_layer="trunk.conv", head=None)),
        lambda m: dataclasses.replace(m, spec=dataclasses.replace(m.spec, mean=(0.1, 0.1, 0.1))),
        lambda m: dataclasses.replace(m, spec=dataclasses.replace(m.spec, architecture="else")),
    ],
    ids=["weights", "layer", "pixels", "architecture"],
)
def test_another_model_is_another_entry(other, empty_cache: Path, converted: list[str]) -> None:
    open_compiled(located())
    open_compiled(other(located()))
    assert len(converted) == 2


def damaged(data: bytes, how: str) -> bytes:
    middle = len(data) // 2
    flipped = {"flipped early": 200, "flipped": middle, "flipped late": len(data) - 60}
    if how in flipped:
        at = flipped[how]
        return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
    return {"empty": b"", "cut": data[:middle], "other": b"hello" * 100, "zeros": bytes(len(data))}[how]


@pytest.mark.parametrize("how", ["flipped early", "flipped", "flipped late", "empty", "cut", "other", "zeros"])
def test_a_damaged_entry_is_made_anew(how: str, empty_cache: Path, converted: list[str]) -> None:
    wanted = open_compiled(located()).predict(film(2))
    (path,) = entries(empty_cache)
    path.write_bytes(damaged(path.read_bytes(), how))
    for _ in range(2):
        np.testing.assert_array_equal(open_compiled(located()).predict(film(2)), wanted)
    assert converted == ["plain"] * 2


def test_no_byte_of_an_entry_can_be_wrong_unnoticed(empty_cache: Path) -> None:
    open_compiled(located())
    (path,) = entries(empty_cache)
    data = path.read_bytes()
    facts = openvino._facts(located(), bf16=False)
    kept = cache.read(path, facts)
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(data), 150):
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :])
        found = cache.read(path, facts)
        if found is not None:  # some bytes mean nothing, such as the time of a member
            np.testing.assert_array_equal(found.blob, kept.blob)
            np.testing.assert_array_equal(found.expected.logits, kept.expected.logits)
            np.testing.assert_array_equal(found.classifiers[0][0], kept.classifiers[0][0])


def test_an_entry_that_holds_another_network_is_not_believed(empty_cache: Path, converted: list[str]) -> None:
    """The facts are right and nothing is damaged, but the compiled network is not what torch saw."""
    open_compiled(located())
    (path,) = entries(empty_cache)
    facts = openvino._facts(located(), bf16=False)
    kept = cache.read(path, facts)
    false = dataclasses.replace(kept, expected=ForwardOutput(kept.expected.logits + 0.01, kept.expected.activations))
    cache.write(path, facts, false)
    wanted = in_torch("plain").predict(film(2))
    np.testing.assert_allclose(open_compiled(located()).predict(film(2)), wanted, atol=1e-5)
    assert converted == ["plain"] * 2
    garbage = dataclasses.replace(kept, blob=np.frombuffer(b"no model at all", np.uint8))
    cache.write(path, facts, garbage)
    np.testing.assert_allclose(open_compiled(located()).predict(film(2)), wanted, atol=1e-5)
    assert converted == ["plain"] * 3


def test_no_code_is_run_from_an_entry(empty_cache: Path, converted: list[str]) -> None:
    open_compiled(located())
    (path,) = entries(empty_cache)
    with np.load(path) as kept:
        arrays = dict(kept)
    np.savez(path, **(arrays | {"logits": np.array([print], dtype=object)}), allow_pickle=True)
    open_compiled(located())
    assert converted == ["plain"] * 2


def test_a_cache_that_cannot_be_written_is_done_without(empty_cache: Path) -> None:
    (empty_cache / "compiled").write_text("in the way")
    np.testing.assert_allclose(open_compiled(located()).predict(film(1)), in_torch("plain").predict(film(1)), atol=1e-5)


def test_two_may_be_the_first_to_compile(empty_cache: Path, converted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """While one of them writes its entry, the other one compiles, writes and reads."""
    write, others = cache.write, []

    def late(path: Path, facts: cache.Facts, entry: cache.Entry) -> None:
        if not others:
            others.append(None)
            others[0] = open_compiled(located()).predict(film(2))
        write(path, facts, entry)

    monkeypatch.setattr(cache, "write", late)
    first = open_compiled(located()).predict(film(2))
    np.testing.assert_array_equal(first, others[0])
    assert converted == ["plain"] * 2
    np.testing.assert_array_equal(open_compiled(located()).predict(film(2)), first)
    assert converted == ["plain"] * 2
    assert len(entries(empty_cache)) == 1  # and no half-written file


# --- where torch has to do it -----------------------------------------------------------------------------------------------


def only_note(run: Engine) -> str:
    assert run.name == "torch"
    (note,) = run.notes
    return note


def opened(model: ResolvedModel, monkeypatch: pytest.MonkeyPatch, **options: object) -> Engine:
    monkeypatch.setattr("vidcam.models.loading.resolve_model", lambda *_, **__: model)
    return open_engine("plain", **options)


OWN = """
from support.tiny_nets import Plain

def net():
    module = Plain()
    module.vidcam = {
        "frames": 4, "interval_s": 0.1, "resize": 12, "crop": (12, 12), "mean": (0.5,) * 3, "std": (0.5,) * 3, "own_weights": True
    }
    return module
"""


def test_a_network_of_your_own_runs_in_torch_with_a_note(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    note = only_note(open_engine(f"{file}:net", device="cpu"))
    assert "runs in torch, not in OpenVINO: networks of your own are not compiled, because nothing tells when" in note
    assert open_engine(f"{file}:net", device="cpu", engine="torch").notes == ()


def test_a_model_that_is_slow_there_runs_in_torch_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    run = opened(located(compiles=False), monkeypatch)
    assert only_note(run) == "plain runs in torch, not in OpenVINO: compiled, it would hardly be faster, and very large"


@pytest.mark.parametrize("kind", [RuntimeError, AttributeError, ImportError])
@pytest.mark.usefixtures("empty_cache")
def test_what_cannot_be_converted_runs_in_torch_with_a_note(kind: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise kind("Check failed\nNo conversion rule for aten::strange")

    monkeypatch.setattr(openvino, "convert", refuse)
    run = opened(located(), monkeypatch)
    assert only_note(run).endswith("not in OpenVINO: it cannot be converted: No conversion rule for aten::strange")
    np.testing.assert_array_equal(run.predict(film(1)), in_torch("plain").predict(film(1)))


@pytest.mark.parametrize("engine", ["auto", "openvino", "openvino-bf16"])
def test_a_wrong_conversion_is_noticed(engine: str, monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> None:
    real, other = openvino.convert, explained("plain", seed=1).module
    monkeypatch.setattr(openvino, "convert", lambda module, spec, clip: (real(other, spec, clip)[0], real(module, spec, clip)[1]))
    run = opened(located(), monkeypatch, engine=engine)
    assert run.name == "torch"
    assert "not in OpenVINO: compiled, its results are off by" in run.notes[-1]
    assert len(run.notes) == (2 if engine == "openvino-bf16" else 1)
    assert not (empty_cache / "compiled").exists()
    with pytest.raises(Unsupported, match="off by"):
        open_compiled(located())


def test_without_openvino_it_is_torch_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vidcam.engine.openvino", None)
    assert "runs in torch, because OpenVINO cannot be imported: " in only_note(opened(located(), monkeypatch))


def test_a_processor_without_openvino_is_torch_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def get_property(self, *_: object) -> None:
            raise RuntimeError('Exception from src/core.cpp:1\nDevice with "CPU" name is not registered')

    monkeypatch.setattr(openvino, "get_core", Broken)
    note = only_note(opened(located(), monkeypatch))
    assert note.endswith('not in OpenVINO: it does not work on this processor: Device with "CPU" name is not registered')
    assert not openvino.has_bf16()


def test_the_notes_reach_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    run = opened(located(compiles=False), monkeypatch)
    analysis = annotation.explain(clip, engine=run)
    assert analysis.warnings[0] == run.notes[0]
    assert (analysis.run.engine, analysis.run.device) == ("torch", "cpu")


def test_the_torch_network_is_loaded_only_when_it_is_asked_for() -> None:
    model, loads = located(), []
    counted = dataclasses.replace(model, load=lambda: loads.append(1) or model.load())
    open_compiled(counted)
    loads.clear()
    run = open_compiled(counted)
    core.explain(run, film(2), [Target(0)], get_method("hirescam"))
    assert isinstance(run.model, TorchModel)
    assert loads == []
    for _ in range(2):
        core.explain(run, film(1), [Target(0)], get_method("gradient"))
    assert loads == [1]


def test_a_row_that_is_registered_by_someone_else_is_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch
    from support.tiny_nets import Plain, spec

    from vidcam.models import table
    from vidcam.models.loading import resolve_model
    from vidcam.models.table import list_specs

    torch.save(Plain().state_dict(), tmp_path / "w.pt")
    monkeypatch.setitem(table._SPECS, "theirs", spec(name="theirs"))
    assert resolve_model("theirs", weights=tmp_path / "w.pt").is_custom
    assert not resolve_model("mini").is_custom
    assert [s.name for s in list_specs() if s.is_custom] == ["theirs"]
    with pytest.raises(Unsupported, match="networks of your own are not compiled"):
        open_compiled(resolve_model("theirs", weights=tmp_path / "w.pt"))
