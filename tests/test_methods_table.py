"""The table of methods: facts that need no torch, names, methods of authors and of installed packages."""

from __future__ import annotations

import logging
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest
from support.tiny_nets import explained

from vidcam.errors import UnknownNameError, UsageError, VidcamError
from vidcam.methods import input_gradients, lookup, noise_tunnel, perturbation, score_cam
from vidcam.methods.core import Target
from vidcam.methods.gradient_cam import gradcam, gradient_cam
from vidcam.methods.lookup import all_methods, check_method, choose_method, get_method, list_methods, register_method
from vidcam.methods.method import Method, gradient_cam_row
from vidcam.methods.table import METHODS

OF_A_PACKAGE = gradient_cam_row("theirs", gradcam, title="Theirs", paper="them, 2026")
"""What a fake entry point of this module loads."""

METHODS_OF_NOBODY = "none"


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch) -> dict[str, Method]:
    """Give each test a copy of the registered methods."""
    monkeypatch.setattr(lookup, "_rows", {m.name: m for m in METHODS})
    monkeypatch.setattr(lookup._installed, "_loaded", False)
    monkeypatch.setattr(lookup._installed, "failures", {})
    return lookup._rows


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    """Return a function that pretends that packages with these entry points (name, object) are installed."""

    def pretend(*entries: tuple[str, str]) -> None:
        known = EntryPoints(EntryPoint(name, value, lookup.GROUP) for name, value in entries)
        monkeypatch.setattr("importlib.metadata.entry_points", lambda **facts: known.select(**facts))

    return pretend


def test_table_lookup_and_choice_import_neither_numpy_nor_torch() -> None:
    code = """
import sys
from types import SimpleNamespace
from vidcam.methods.lookup import *
assert len(list_methods()) > 25
spec = SimpleNamespace(provides=frozenset({"features", "gradient"}), name="net", default_method=None)
assert choose_method(None, spec).name == "gradcam"
for fails in (lambda: get_method("gradcamm"), lambda: check_method(get_method("cam"), spec)):
    try:
        fails()
    except ValueError as error:
        assert "gradcam" in str(error)
assert not {"numpy", "torch"} & set(sys.modules), "heavy"
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_row_names_functions_that_exist(method: Method) -> None:
    assert callable(method.explain)
    assert method.title
    assert "http" in method.paper
    assert method.geometry(explained("plain").spec) is None or method.cells


def test_costs_in_the_table_are_those_of_the_code() -> None:
    counts = {
        "integrated-gradients": input_gradients.STEPS,
        "smoothgrad": noise_tunnel.SAMPLES,
        "vargrad": noise_tunnel.SAMPLES,
        "occlusion": int(np.prod(perturbation.BLOCKS)) + 1,
        "temporal-mask": perturbation.MOMENTS + 1,
        "rise": perturbation.MASKS + 1,
        "scorecam": score_cam.CHANNELS + 2,
    }
    for name, count in counts.items():
        assert get_method(name).cost.startswith(f"{count} "), name


def test_names_are_found_and_refused() -> None:
    assert {"cam", "gradcam", "gradcam-slice", "gradcam++", "xgradcam", "hirescam", "layercam", "eigencam"} <= set(list_methods())
    with pytest.raises(UnknownNameError, match="unknown method 'gradcamm': did you mean 'gradcam'"):
        get_method("gradcamm")
    with pytest.raises(UsageError, match="'cam' is registered already"):
        register_method(get_method("cam"))
    with pytest.raises(UsageError, match=r"'cam' needs linear-head, which model 'tiny' does not have; these .* gradcam, "):
        check_method(get_method("cam"), explained("deep").spec)


def test_an_author_registers_a_gradient_cam_by_a_decorator() -> None:
    @gradient_cam("mine", title="Mine", paper="me, 2026", signed=False)
    def mine(activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
        return 2 * gradcam(activations, gradients)

    net = explained("plain")
    clips = np.random.default_rng(0).standard_normal((1, 3, 4, 12, 12)).astype(np.float32)
    ours, usual = (get_method(name).explain(net, clips, [Target(1)]).maps[0] for name in ("mine", "gradcam"))
    np.testing.assert_allclose(ours, 2 * usual, rtol=1e-6)
    assert list_methods()[-1] == "mine"
    assert not get_method("mine").signed


def test_an_installed_method_is_loaded_by_name_or_when_all_are_listed(install, rows) -> None:
    install(("theirs", "test_methods_table:OF_A_PACKAGE"), ("absent", "no_such_package:METHOD"))
    assert get_method("cam") is rows["cam"]
    assert "theirs" not in rows  # not loaded for the sake of another
    assert get_method("smoothgrad:theirs").name == "smoothgrad:theirs"
    assert get_method("theirs") is OF_A_PACKAGE
    assert choose_method("theirs", explained("plain").spec) is OF_A_PACKAGE
    assert all_methods()[-1] is OF_A_PACKAGE


def test_an_installed_method_that_cannot_be_loaded_gives_a_sentence(install, caplog: pytest.LogCaptureFixture) -> None:
    install(("absent", "no_such_package:METHOD"), ("other", "test_methods_table:METHODS_OF_NOBODY"))
    with caplog.at_level(logging.WARNING):
        assert list_methods() == tuple(m.name for m in METHODS)
        list_methods()
    first, second = caplog.messages  # each once
    start = "the methods of the package no_such_package:METHOD (no_such_package:METHOD) are left out: No module named"
    assert first.startswith(start)
    assert second.endswith("it must be a Method or a tuple of them, got a str")
    with pytest.raises(VidcamError, match=r"no_such_package.*No module named .*; update or uninstall the package"):
        get_method("absent")
