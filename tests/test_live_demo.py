"""The page that needs no server: its arithmetic beside vidcam's, and all of it in a browser whose network is cut."""

from __future__ import annotations

import base64
import importlib.util
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.serving import served
from support.waiting import HANG_MS, until

import vidcam
from vidcam.engine.base import normalise_array
from vidcam.engine.network import TorchModel
from vidcam.exporting.metadata import describe
from vidcam.methods.cell_geometry import from_json
from vidcam.methods.receptive_field import layer_geometry
from vidcam.models.loading import LoadedModel, load
from vidcam.models.spec import ModelSpec
from vidcam.sampling import frames_shown, resize, spatial_crops

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "docs" / "live-demo"


def facts_with(how: Any) -> tuple[dict[str, Any], ModelSpec]:
    """What an exported `mini` would say if its pictures were resized in this way, and its facts for vidcam."""
    model = load("mini")
    spec = model.spec if how is None else replace(model.spec, resize=how)
    model = LoadedModel(spec, model.module, model.labels, model.weights_sha256, model.weights_path)
    return describe(model, layer_geometry(TorchModel(model.module, spec)), layout="BCTHW", one_class=False), spec


CUT = """async ({ facts, size, pictures }) => {
    const { Cutter, normalise, placeOf, shownAt } = await import("/preprocess.js");
    const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
    const text = async array => (await new Promise(resolve => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result);
        reader.readAsDataURL(new Blob([array]));
    })).split(",")[1];
    const cutter = new Cutter(facts, size), crops = pictures.map(text => cutter.cut(bytes(text)));
    const place = placeOf(facts, cutter.geometry), input = await text(normalise(facts, crops));
    return { crops: await Promise.all(crops.map(text)), input, place };
}"""


def numbers(text: str, kind: type) -> np.ndarray:
    """The numbers that the page has sent as base64."""
    return np.frombuffer(base64.b64decode(text), kind)


DRAWN = """() => {
    const canvas = document.getElementById("overlay"), { width, height } = canvas;
    const bytes = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    let count = 0;
    for (let i = 3; i < bytes.length; i += 4) count += bytes[i] > 100;
    return count / (width * height);
}"""
"""The share of the picture over which something is drawn clearly."""


def test_page_makes_the_same_input_as_vidcam(browser: Browser) -> None:
    with vidcam.open_source(ROOT / "clips" / "jumping_jack.mp4") as source:
        lying = [frame.image for _, frame in zip(range(2), source.frames(), strict=False)]
    standing = [np.ascontiguousarray(picture.transpose(1, 0, 2)[:, ::2]) for picture in lying]
    with served(DEMO) as address:
        page = browser.new_page()
        page.goto(f"{address}/preprocess.js")
        for how in (None, 120, "fit"):
            facts, spec = facts_with(how)
            for pictures in (lying, standing):
                size = pictures[0].shape[:2]
                sent = [base64.b64encode(np.dstack([p, np.full(size, 255, np.uint8)]).tobytes()).decode() for p in pictures]
                found = page.evaluate(CUT, {"facts": facts, "size": list(size), "pictures": sent})
                (geometry,) = spatial_crops(size, resize=spec.resize, crop=spec.crop, cover=False)
                expected = np.stack([geometry.cut(resize(p, geometry)) for p in pictures])
                crops = np.stack([numbers(text, np.uint8) for text in found["crops"]]).astype(int).reshape(expected.shape)
                # OpenCV rounds its weights, and cuts off between its two passes.
                assert np.abs(crops - expected).max() <= 1, how
                assert (crops == expected).mean() > 0.8, how
                own = normalise_array(crops[None].astype(np.uint8), mean=spec.mean, std=spec.std)
                np.testing.assert_allclose(numbers(found["input"], np.float32), own.ravel(), atol=1e-5)
                (cells,) = from_json([facts["cells"]])
                for centres, read in zip(cells.cell_centres(geometry), (found["place"]["ys"], found["place"]["xs"]), strict=True):
                    np.testing.assert_allclose(read, centres, atol=1e-6)
                assert found["place"]["seen"] == pytest.approx(list(geometry.seen))
        page.close()


def test_page_takes_the_frames_that_vidcam_takes(browser: Browser) -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.09, 60))
    wanted = times[0] - 0.05 + 0.1 * np.arange(20)
    with served(DEMO) as address:
        page = browser.new_page()
        page.goto(f"{address}/preprocess.js")
        script = 'async ({ times, wanted }) => (await import("/preprocess.js")).shownAt(times, wanted)'
        found = page.evaluate(script, {"times": times.tolist(), "wanted": wanted.tolist()})
        page.close()
    assert found == frames_shown(times, wanted).tolist()


SETTLED = """async registration => {
    await registration.update().catch(() => {});
    for (let worker; (worker = registration.installing) && worker.state !== "redundant";)
        await new Promise(resolve => worker.addEventListener("statechange", resolve, { once: true }));
}"""
"""Waits until the browser has looked for a version of the page, and has taken it or given it up."""


@pytest.fixture(scope="module")
def builder() -> Any:
    """``docs/build_demo.py``, if what it needs is here."""
    if not (DEMO / "node_modules" / "onnxruntime-web").is_dir():
        pytest.skip("needs onnxruntime-web: npm ci --ignore-scripts --prefix docs/live-demo")
    pytest.importorskip("onnxruntime", reason="needs vidcam[export]")
    rule = importlib.util.spec_from_file_location("build_demo", ROOT / "docs" / "build_demo.py")
    assert rule is not None
    assert rule.loader is not None
    module = importlib.util.module_from_spec(rule)
    rule.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(builder: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built page, for tests that copy it before they change it."""
    folder: Path = tmp_path_factory.mktemp("site")
    builder.build(folder)
    return folder


def updates(page: Page) -> int:
    """How many clips the page has explained."""
    return int(page.evaluate("Number(document.body.dataset.updates ?? 0)"))


def kept_files(page: Page) -> list[str]:
    """The addresses under which the service worker keeps files, without their checksums."""
    script = """async () => (await Promise.all((await caches.keys()).map(async name =>
        (await (await caches.open(name)).keys()).map(request => request.url)))).flat()"""
    return sorted(address.partition("?")[0] for address in page.evaluate(script))


def test_page_explains_the_camera_without_a_server(browser: Browser, site: Path) -> None:
    asked, errors = [], []
    context = browser.new_context(permissions=["camera"])
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    with served(site) as address:
        page.goto(f"{address}/")
        page.wait_for_selector("body[data-kept]", timeout=HANG_MS)
        assert kept_files(page) == sorted(
            f"{address}/{p.relative_to(site)}" for p in site.rglob("*") if p.is_file() and p.name != "sw.js"
        )
    context.set_offline(True)  # and the server is gone too
    page.reload()
    page.wait_for_selector("body[data-ready]", timeout=HANG_MS)
    page.click("#camera")
    until(lambda: updates(page) >= 25)
    best, drawn, state = page.inner_text("#top li:first-child"), page.evaluate(DRAWN), page.inner_text("#state")
    context.close()
    assert errors == []
    assert best.startswith("jumping jack"), best
    assert 0.005 < drawn < 0.7  # the person, and not the whole picture
    assert re.fullmatch(r"jumping jack · \d+ ms for a clip · [\d.]+ a second", state), state
    assert all(url.startswith((address, "blob:")) for url in asked)


def test_kept_page_changes_to_a_new_version_when_asked(browser: Browser, builder: Any, site: Path, tmp_path: Path) -> None:
    shutil.copytree(site, tmp_path, dirs_exist_ok=True)
    context = browser.new_context()
    page = context.new_page()
    fetched: list[str] = []
    with served(tmp_path, seen=fetched) as address:
        page.goto(f"{address}/index.html")
        page.wait_for_selector("body[data-kept]", timeout=HANG_MS)
        old = kept_files(page)
        index = tmp_path / "index.html"
        index.write_text(index.read_text("utf-8").replace("Why does it say that?", "The second version"), "utf-8")
        (tmp_path / "other.html").write_text("not of the page")
        builder.write_service_worker(tmp_path)
        (tmp_path / "other.html").write_text("changed on its way")  # so that this version is incomplete
        page.reload()
        page.evaluate(f"navigator.serviceWorker.getRegistration().then({SETTLED})")
        assert "/other.html" in fetched
        assert page.inner_text("h1") == "Why does it say that?"
        assert page.is_hidden("#newer")
        (tmp_path / "other.html").unlink()
        builder.write_service_worker(tmp_path)
        fetched.clear()
        page.reload()
        page.wait_for_selector("#newer:not([hidden])", timeout=HANG_MS)
        assert page.inner_text("h1") == "Why does it say that?"
        page.click("#change")
        page.get_by_role("heading", name="The second version").wait_for(timeout=HANG_MS)
        assert kept_files(page) == old
        assert set(fetched) <= {"/sw.js", "/index.html"}  # what is the same in both is not fetched again
        page.evaluate("fetch('other.html')")
        assert "/other.html" in fetched  # nothing else is answered for
    context.close()
