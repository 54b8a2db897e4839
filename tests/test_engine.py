"""The torch engine, and explaining with it: bytes in, numbers out; devices, chunks and what goes wrong."""

from __future__ import annotations

import dataclasses
import itertools
import warnings

import numpy as np
import pytest
import torch
from support.tiny_nets import CLASSES, CLIP, Plain, explained, spec
from torch import nn

from vidcam.engine import TorchEngine, open_engine
from vidcam.engine.base import find_disagreement, normalise_array, probabilities
from vidcam.engine.network import TorchModel
from vidcam.engine.pytorch import fold_batch_norms, normalise, pick_device
from vidcam.errors import IncompatibleError, UsageError, VidcamError
from vidcam.methods import core
from vidcam.methods.core import Target
from vidcam.methods.lookup import all_methods, choose_method, get_method
from vidcam.methods.receptive_field import random_model
from vidcam.models.loading import LoadedModel, ResolvedModel
from vidcam.models.table import get_spec


def engine(name: str = "plain", *, chunk: int = 4, device: str = "cpu", fold: bool = True) -> TorchEngine:
    net = explained(name)
    loaded = LoadedModel(net.spec, net.module, net.spec.labels(), weights_sha256=None, weights_path=None)
    return TorchEngine(loaded, device, chunk=chunk, fold=fold)


def film(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *CLIP, 3), dtype=np.uint8)


def test_pixels_are_divided_by_255_and_normalised_per_channel():
    frames = film(2)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    got = normalise_array(frames, mean=mean, std=std)
    np.testing.assert_allclose(got, normalise(frames, mean=mean, std=std), atol=2e-6)  # the same, for GPUs
    assert got.shape == (2, 3, *CLIP)
    assert got.dtype == np.float32
    for b, c, t, y, x in ((0, 0, 0, 0, 0), (1, 2, 3, 11, 5), (0, 1, 2, 7, 11)):
        assert got[b, c, t, y, x] == pytest.approx((frames[b, t, y, x, c] / 255 - mean[c]) / std[c], abs=1e-6)


def test_a_red_clip_is_red_for_the_network():
    red = np.zeros((1, *CLIP, 3), np.uint8)
    red[..., 0] = 255
    for got in (normalise(red, mean=(0, 0, 0), std=(1, 1, 1)), normalise_array(red, mean=(0, 0, 0), std=(1, 1, 1))):
        assert (got[:, 0] == 1).all()
        assert (got[:, 1:] == 0).all()


def test_a_read_only_clip_is_taken_without_a_warning():
    frames = film(1)
    frames.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engine().predict(frames)


@pytest.mark.parametrize("method", ["cam", "gradcam", "eigencam"])
def test_the_engine_gives_what_the_method_gives(method):
    run = engine("pathways")
    targets = [Target(2), Target(1, versus=4)]
    clips = normalise(film(3), mean=run.spec.mean, std=run.spec.std)
    want = get_method(method).explain(explained("pathways"), clips, targets)
    got = core.explain(run, film(3), targets, get_method(method))
    np.testing.assert_allclose(got.logits, want.logits, rtol=1e-4, atol=1e-6)  # merged batch norms round differently
    assert len(got.maps) == 2
    assert all(m.dtype == np.float32 for m in got.maps)
    for a, b in zip(got.maps, want.maps, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)
    assert (got.totals is None) == (method != "cam")
    if got.totals is not None:
        np.testing.assert_allclose(got.totals, sum(m.sum((2, 3, 4)) for m in got.maps), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run.predict(film(3)), got.logits, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
def test_the_chunk_bounds_what_is_computed_at_once_only(chunk):
    run = engine("deep", chunk=chunk)
    sizes = []
    handle = run.model.module.register_forward_pre_hook(lambda _m, args: sizes.append(len(args[0])))
    got = core.explain(run, film(7), [Target(0), Target(4)], get_method("gradcam"))
    handle.remove()
    want = core.explain(engine("deep", chunk=7), film(7), [Target(0), Target(4)], get_method("gradcam"))
    assert max(sizes) <= chunk
    assert sum(sizes) == 7
    np.testing.assert_allclose(got.logits, want.logits, rtol=1e-5)
    np.testing.assert_allclose(got.maps[0], want.maps[0], atol=1e-5 * np.abs(want.maps[0]).max())


def test_the_engine_takes_the_model_over_in_eval_mode():
    net = explained("plain")  # has dropout and batch norm
    net.module.train()
    run = TorchEngine(LoadedModel(net.spec, net.module, net.spec.labels(), None, None), "cpu")
    assert not any(m.training for m in net.module.modules())
    before = {k: v.clone() for k, v in net.module.state_dict().items()}
    modes: list[bool] = []
    net.module.fc.register_forward_hook(lambda *_: modes.append(torch.is_grad_enabled()))
    np.testing.assert_array_equal(run.predict(film(2)), engine().predict(film(2)))
    assert modes
    assert not any(modes)  # a graph of the whole network would cost its memory
    assert all(torch.equal(v, before[k]) for k, v in net.module.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in net.module.parameters())


@pytest.mark.parametrize("chunk", [1, 4])
@pytest.mark.parametrize("method", ["cam", "gradcam", "eigencam"])
def test_targets_can_be_chosen_from_the_logits(method, chunk):
    run, seen = engine(chunk=chunk), []

    def best_and_worst(logits):
        seen.append(logits)
        mean = logits.mean(axis=0)
        return [Target(int(mean.argmax())), Target(int(mean.argmin()), versus=int(mean.argmax()))]

    found = core.explain(run, film(3), best_and_worst, get_method(method))
    assert len(seen) == 1
    np.testing.assert_allclose(seen[0], found.logits, rtol=1e-4, atol=1e-6)  # of all the clips, whatever the chunk
    mean = found.logits.mean(axis=0)
    assert found.targets == (Target(int(mean.argmax())), Target(int(mean.argmin()), versus=int(mean.argmax())))
    want = core.explain(run, film(3), found.targets, get_method(method))
    np.testing.assert_allclose(found.maps[0], want.maps[0], rtol=1e-6, atol=1e-6 * np.abs(want.maps[0]).max())


def test_one_forward_pass_is_enough():
    for name in ("plain", "deep"):
        run, passes = engine(name), []
        run.model.module.trunk.conv.register_forward_hook(lambda *_, passes=passes: passes.append(1))
        run.predict(film(2))  # the first time, the copy with merged batch norms is made and compared
        for targets in ([Target(0), Target(1), Target(2)], lambda _: [Target(0), Target(1)]):
            for method in (m for m in all_methods() if m.family in ("cam", "gradient") and m.requires <= run.spec.provides):
                passes.clear()
                core.explain(run, film(2), targets, method)
                assert len(passes) == 1


def test_a_method_is_chosen_by_what_the_model_provides():
    plain, deep = explained("plain").spec, explained("deep").spec
    assert choose_method(None, plain).name == "cam"
    assert choose_method(None, deep).name == "gradcam"
    assert choose_method("eigencam", plain).name == "eigencam"
    with pytest.raises(IncompatibleError, match="'cam' needs linear-head"):
        choose_method("cam", deep)


@pytest.mark.parametrize(
    ("frames", "got"),
    [
        (np.zeros((1, *CLIP, 3), np.float32), r"got float32 \(1, 4, 12, 12, 3\)"),
        (
            np.zeros((1, 5, 12, 12, 3), np.uint8),
            r"needs clips of uint8 RGB \(clips, 4, 12, 12, 3\), or .* float32 \(clips, 3, 4, 12, 12\), got uint8 \(1, 5,",
        ),
        (np.zeros((*CLIP, 3), np.uint8), r"got uint8 \(4, 12, 12, 3\)"),
        (np.zeros((0, *CLIP, 3), np.uint8), r"got uint8 \(0, 4"),
        ([1], "got list"),
    ],
)
def test_clips_that_do_not_fit_are_refused(frames, got):
    with pytest.raises(UsageError, match=got):
        engine().predict(frames)


def test_targets_that_do_not_exist_are_refused():
    for target, k in ((Target(CLASSES), 5), (Target(0, versus=9), 9)):
        with pytest.raises(UsageError, match=rf"class {k} does not exist: the model has 5, counted from 0"):
            core.explain(engine(), film(1), [target], get_method("cam"))
    with pytest.raises(UsageError, match="at least one target"):
        core.explain(engine(), film(1), [], get_method("cam"))


def test_a_method_that_does_not_work_on_the_model_is_refused():
    with pytest.raises(IncompatibleError, match="'cam' needs linear-head, which model 'tiny' does not have"):
        core.explain(engine("deep"), film(1), [Target(0)], get_method("cam"))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_an_error(bad):
    run = engine()
    with torch.no_grad():
        run.model.module.fc.bias[3] = bad
    for call in (lambda: run.predict(film(2)), lambda: core.explain(run, film(2), [Target(0)], get_method("cam"))):
        with pytest.raises(VidcamError, match=r"'tiny' gives logits that are not finite \(2 of 10\): the weights are damaged"):
            call()


def test_maps_that_are_not_finite_are_an_error():
    broken = dataclasses.replace(get_method("eigencam"), name="broken", function=lambda e, x, t: _nan(e, x, t))
    with pytest.raises(VidcamError, match="method 'broken' gives maps on model 'tiny' that are not finite"):
        core.explain(engine(), film(1), [Target(0)], broken)


def _nan(net, clips, targets):
    found = get_method("gradcam").explain(net, clips, targets)
    return dataclasses.replace(found, maps=tuple(np.full_like(m, np.nan) for m in found.maps))


def test_what_torch_raises_becomes_a_sentence():
    run = engine()
    run.model.module.fc = torch.nn.Linear(7, CLASSES)
    with pytest.raises(VidcamError, match=r"'tiny' failed on clips of shape \(1, 4, 12, 12, 3\) on cpu: .*mat1") as found:
        run.predict(film(1))
    assert isinstance(found.value.__cause__, RuntimeError)
    assert "\n" not in str(found.value)

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    run = engine()
    run.model.module.register_forward_hook(full)
    with pytest.raises(VidcamError, match="too little free memory for model 'tiny': use --device cpu"):
        run.predict(film(1))


def test_tf32_is_put_back():
    before = torch.backends.cudnn.allow_tf32
    run, seen = engine(), []
    run.model.module.register_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    run.predict(film(1))
    assert seen
    assert not any(seen)
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize("name", ["gpu", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "mps:1", ""])
def test_an_unknown_device_is_refused(name):
    with pytest.raises(UsageError, match=f"unknown device '{name}': use auto, cpu, cuda, cuda:N"):
        pick_device(name)


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")
    for name in ("cuda", "cuda:0", "cuda:3"):
        with pytest.raises(UsageError, match=rf"device '{name}' does not exist: torch .* finds no CUDA GPU; use --device cpu"):
            pick_device(name)
    with pytest.raises(UsageError, match=r"device 'mps' does not exist: torch .* finds no Apple GPU; use --device cpu"):
        pick_device("mps")


def test_devices_that_are_there_are_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("auto") == pick_device("cuda") == torch.device("cuda:0")
    assert pick_device("cuda:1") == torch.device("cuda:1")
    assert pick_device("mps") == torch.device("mps")
    with pytest.raises(UsageError, match=r"device 'cuda:2' does not exist: torch finds 2 CUDA GPU\(s\), cuda:0 to cuda:1"):
        pick_device("cuda:2")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_cpu_and_gpu_agree():
    targets = [Target(1), Target(0, versus=2)]
    for name, method in itertools.product(("pathways", "movinet"), all_methods()):
        a, b = (core.explain(engine(name, device=device), film(3), targets, method) for device in ("cpu", "cuda"))
        np.testing.assert_allclose(a.logits, b.logits, rtol=1e-4, atol=1e-5)
        for m, n in zip(a.maps, b.maps, strict=True):
            np.testing.assert_allclose(m, n, atol=1e-4 * np.abs(m).max())


def test_the_engine_describes_itself():
    run = engine()
    assert run.name == "torch"
    assert run.device == "cpu"
    with pytest.raises(UsageError, match="at least 1 clip at once, got 0"):
        engine(chunk=0)


def test_a_wrong_engine_is_told_before_anything_is_loaded(monkeypatch):
    monkeypatch.setattr("vidcam.models.loading.resolve_model", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(UsageError, match="unknown engine 'tensorrt': known: auto, openvino, openvino-bf16, torch"):
        open_engine("x3d_s", engine="tensorrt")
    with pytest.raises(UsageError, match="unknown device 'gpu'"):
        open_engine("x3d_s", device="gpu")
    with pytest.raises(UsageError, match="engine 'openvino-bf16' runs on the CPU, not on 'cuda': use --device cpu"):
        open_engine("x3d_s", device="cuda", engine="openvino-bf16")
    with pytest.raises(UsageError, match="at least 1 thread, got 0"):
        open_engine("x3d_s", threads=0)


def test_open_engine_passes_on_what_it_was_given(monkeypatch):
    net, given = explained("plain"), []

    def resolve_model(name, **options):
        given.append((name, options))
        loaded = LoadedModel(net.spec, net.module, net.spec.labels(), "abc", None)
        return ResolvedModel(net.spec, loaded.labels, "abc", is_custom=False, load=lambda: loaded)

    monkeypatch.setattr("vidcam.models.loading.resolve_model", resolve_model)
    options = {"weights": "w", "labels": "l", "layer": "trunk", "facts": {"frames": 4}, "phrases": ("a", "b")}
    options |= {"trust_code": True, "progress": print}
    run = open_engine("r3d_18", device="cpu", engine="torch", **options)
    assert given.pop() == ("r3d_18", options)
    assert (run.weights_sha256, run.labels, run.notes) == ("abc", tuple("abcde"), ())
    [why] = open_engine(device="cpu", engine="torch").notes
    assert why.startswith("the model is x3d_s (400 classes), the usual one, because")
    assert given.pop()[0] == "x3d_s"


def test_softmax_is_exact_for_large_logits():
    logits = np.array([[1000.0, 999.0, -1000.0], [0.0, 0.0, 0.0]])
    got = probabilities(logits)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, [[1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)), 0], [1 / 3] * 3], atol=1e-7)
    np.testing.assert_allclose(engine().probabilities(np.float32([0, np.log(3)])), [0.25, 0.75], rtol=1e-6)


# --- merged batch norms -----------------------------------------------------------------------------------------------------


def norms(module: nn.Module) -> int:
    return sum(isinstance(m, nn.BatchNorm3d) for m in module.modules())


@pytest.mark.parametrize("name", ["mini", "r3d_18", "x3d_xs"])
def test_batch_norms_are_merged_and_nothing_changes(name):
    net = random_model(get_spec(name))
    row = dataclasses.replace(net.spec, num_frames=4, crop=(64, 64)) if name != "x3d_xs" else net.spec
    clips = torch.randn(1, 3, row.num_frames, *row.crop, generator=torch.Generator().manual_seed(0))
    before = {k: v.clone() for k, v in net.module.state_dict().items()}
    merged = fold_batch_norms(net.module, row, clips)
    assert norms(net.module) > 10
    assert norms(merged) == 0
    other = torch.randn(1, 3, row.num_frames, *row.crop, generator=torch.Generator().manual_seed(1))
    a, b = TorchModel(merged, row).forward(other), TorchModel(net.module, row).forward(other)
    assert find_disagreement(a, b) is None
    assert all(torch.equal(v, before[k]) for k, v in net.module.state_dict().items())
    assert not any(m._forward_hooks for m in (*net.module.modules(), *merged.modules()))


class Twice(nn.Module):
    """What the convolution gives is used before its batch norm too, or the same convolution has two of them."""

    def __init__(self, branch: bool) -> None:
        super().__init__()
        self.branch = branch
        self.conv, self.norm, self.other = nn.Conv3d(3, 6, 3, padding=1), nn.BatchNorm3d(6), nn.BatchNorm3d(6)
        self.trunk, self.fc = nn.Identity(), nn.Linear(6, CLASSES)
        for m in (self.norm, self.other):
            nn.init.normal_(m.running_mean)
            nn.init.uniform_(m.running_var, 0.5, 2.0)

    def forward(self, x):
        y = self.conv(x)
        y = self.norm(y) + (y if self.branch else self.other(self.conv(x)))
        return self.fc(self.trunk(y).mean((2, 3, 4)))


class Uncopied(Plain):
    def __deepcopy__(self, memo):
        raise TypeError("cannot be copied")


@pytest.mark.parametrize(
    ("module", "layer"), [(Twice(True), "trunk"), (Twice(False), "trunk"), (Uncopied(), "trunk"), (Plain(), "trunk.stem")]
)
def test_where_merging_would_change_something_it_is_left(module, layer):
    row = spec(target_layer=layer)
    nn.init.normal_(next(m for m in module.modules() if isinstance(m, nn.BatchNorm3d)).running_mean)
    assert fold_batch_norms(module.eval(), row, torch.randn(1, 3, *CLIP)) is module
    assert norms(module) > 0


def test_norms_that_follow_each_batch_are_left():
    net = Plain()
    net.trunk.norm = nn.BatchNorm3d(net.trunk.norm.num_features, track_running_stats=False)
    assert fold_batch_norms(net.eval(), spec(), torch.randn(2, 3, *CLIP)) is net


def test_methods_that_rebuild_the_network_get_the_loaded_one():
    run, net = engine(), explained("plain")
    run.predict(film(1))
    assert norms(run.model.module) == norms(net.module) == 1
    for method in ("lrp", "gradient"):
        clips = normalise(film(1), mean=run.spec.mean, std=run.spec.std)
        want = get_method(method).explain(net, clips, [Target(1)])
        got = core.explain(run, film(1), [Target(1)], get_method(method))
        np.testing.assert_allclose(got.maps[0], want.maps[0], atol=1e-5 * np.abs(want.maps[0]).max())


def test_a_network_that_changes_meanwhile_is_run_as_it_is():
    run = engine(fold=False)
    before = run.predict(film(1))
    with torch.no_grad():
        run.model.module.trunk.stem.weight.mul_(2)
    assert not np.allclose(run.predict(film(1)), before)


def test_bfloat16_that_answers_otherwise_is_not_used(monkeypatch):
    net = explained("plain")
    loaded = LoadedModel(net.spec, net.module, net.spec.labels(), None, None)
    monkeypatch.setattr("vidcam.engine.openvino.has_bf16", lambda: True)
    monkeypatch.setattr("vidcam.engine.pytorch.find_disagreement", lambda *_, **__: "it answers differently")
    run = TorchEngine(loaded, "cpu", bf16=True)
    assert run.name == "torch"
    assert run.notes == ("tiny computes in float32, not in bfloat16: it answers differently",)
    monkeypatch.undo()
    monkeypatch.setattr("vidcam.engine.openvino.has_bf16", lambda: False)
    assert TorchEngine(loaded, "cpu", bf16=True).notes == (
        "tiny computes in float32, not in bfloat16: cpu does not compute in it",
    )
    np.testing.assert_array_equal(run.predict(film(1)), engine().predict(film(1)))
