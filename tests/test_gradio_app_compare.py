"""The Compare tab without a browser: what can be chosen, what is refused, and that the job does what the command does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import gradio as gr
import numpy as np
import pytest
from support.clock import ManualClock
from support.media import write_clip
from support.taught import keep_mini, swapped_labels
from support.waiting import run_async

from vidcam import Settings
from vidcam.annotation import Outputs
from vidcam.errors import UsageError
from vidcam.evaluation.compare_models import compare_models
from vidcam.io.json_text import parse_json
from vidcam.io.source import open_source
from vidcam.web.studio import compare, compare_jobs, jobs, sessions, teach_models, uploads
from vidcam.web.studio.compare import METHODS, MODELS, Choice

CLIPS = Path(__file__).parent.parent / "clips"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """What the app keeps: a ``taught`` model of anna, which is mini with two labels swapped, and the ``engines`` of all tests."""
    state = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDCAM_STATE", str(state))
        model = keep_mini("anna", tmp_path_factory.mktemp("job"), swapped_labels())
        yield SimpleNamespace(state=state, taught=model, engines=jobs.Engines("cpu"))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> uploads.Video:
    """A small video of a jumping jack, of 1.8 seconds."""
    with open_source(CLIPS / "jumping_jack.mp4") as source:
        frames = [frame.image for frame, _ in zip(source.frames(), range(45), strict=False)]
    small = [cv2.resize(image, (160, 90), interpolation=cv2.INTER_AREA) for image in frames]
    path = write_clip(tmp_path_factory.mktemp("clips") / "short.mp4", frames=45, fps=25, picture=lambda i: small[i])
    return uploads.look_at(path, "short.mp4", uploads.Limits())


@pytest.fixture
def page(kept: SimpleNamespace, video: uploads.Video, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """The tab and a session of anna that has a video; the desk's jobs run when a test calls ``step``."""
    desk = sessions.SessionManager(tmp_path / "root", clock=ManualClock())
    session = desk.open("tab")
    session.runs, session.video = kept.state / "runs" / "anna", video

    async def make() -> compare.CompareTab:
        with gr.Blocks(analytics_enabled=False):
            return compare.CompareTab(desk, kept.engines, model="mini")

    yield SimpleNamespace(desk=desk, session=session, tab=run_async(make()), taught=kept.taught, engines=kept.engines)
    desk.shut()


def done(page: SimpleNamespace, work: Any) -> Any:
    """Run the work as a job, and return the job with the stages that it has shown."""
    job = page.desk.submit(page.session, work, key="compare", keep=True)
    progress, job.stages = job.progress, []

    def noted(stage: str, done: int, total: int | None) -> None:
        progress(stage, done, total)
        job.stages.append((stage, job.to_dict(before=0)["share"]))

    job.progress = noted
    page.desk.step()
    return job


def test_two_models_are_compared_as_the_command_compares_them(page, tmp_path) -> None:
    settings = Settings(classes=("walking", "jumping jack"))
    models = ("mini", page.taught.name)
    job = done(page, compare_jobs.compare(page.session, page.engines, models, ("gradcam++",), settings))
    assert job.message == ""
    made = parse_json(job.result.outputs["json"].read_bytes())
    own = Outputs(reports={"json": tmp_path / "own.json"})
    engines = [page.engines.get(name) for name in models]
    compare_models(page.session.video.path, own, engines=engines, settings=settings, method="gradcam++")
    wanted = parse_json((tmp_path / "own.json").read_text().replace(page.taught.name, page.taught.short_name).encode())
    same = ("classes", "agreement", "timeline", "lattice", "peak_s", "models", "notes")
    assert {key: made[key] for key in same} == {key: wanted[key] for key in same}
    assert made["input"]["path"] == "short.mp4"
    for path in job.result.outputs.values():  # nobody learns the name by which the model could be used, or where it lies
        text = path.read_text()
        assert page.taught.short_name in text
        assert page.taught.name not in text
        assert str(page.desk.root) not in text
    # the second model has the evidence of the first, under the other name
    first, second = (e.analysis for e in job.result.comparison.entries)
    assert [a.top(1)[0][0] for a in (first, second)] == ["jumping jack", "walking"]
    np.testing.assert_allclose(second.curves["walking"], first.curves["jumping jack"], rtol=0.02)
    assert not np.allclose(second.curves["jumping jack"], first.curves["jumping jack"], rtol=0.02)
    # the bar goes on from model to model
    stages = list(dict.fromkeys(stage for stage, _ in job.stages if stage))
    assert stages == ["load", "1 of 2: explain", "2 of 2: explain"]
    shares = [max(share for stage, share in job.stages if stage == name) for name in stages]
    assert shares == sorted(set(shares))


def test_methods_of_a_taught_model_are_compared_under_its_short_name(page) -> None:
    settings = Settings(classes=("walking",))
    job = done(page, compare_jobs.compare(page.session, page.engines, (page.taught.name,), ("cam", "eigencam"), settings))
    assert job.message == ""
    assert [e.name for e in job.result.comparison.entries] == ["cam", "eigencam"]
    assert job.result.comparison.model == page.taught.short_name
    assert page.taught.name not in job.result.outputs["html"].read_text()


def test_what_the_command_refuses_is_said_in_its_words(page, monkeypatch) -> None:
    strange = SimpleNamespace(
        spec=SimpleNamespace(name="strange", provides=frozenset({"features", "gradient"})), labels=("a", "b"), notes=()
    )
    engines = page.engines
    get = engines.get
    monkeypatch.setattr(engines, "stages", lambda model: {})
    monkeypatch.setattr(engines, "get", lambda model, job: strange if model == "s3d" else get(model, job))
    monkeypatch.setattr(compare_jobs, "shown_name", lambda name: name)
    job = done(page, compare_jobs.compare(page.session, engines, ("mini", "s3d"), ("gradcam++",), Settings()))
    assert job.message == "these models have no label in common, so their evidence cannot be compared: choose models that do"
    absent = compare_jobs.compare(page.session, engines, ("mini", "r3d_18"), ("gradcam++",), Settings())
    assert "r3d_18" in (words := done(page, absent).message)
    assert "the app was started without downloads" in words  # a user of the page knows no environment variable


TWO = Choice(MODELS, "mini", "movinet_a0", ("cam",), "gradcam++", ())


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (replace(TWO, other=None), "Choose a second model."),
        (replace(TWO, other="mini"), "mini is chosen twice: choose another model to compare it with."),
        (replace(TWO, method=None), "No method is chosen, or none works on both models"),
        (replace(TWO, kind=METHODS, methods=()), "Choose one to 8 methods: 0 are chosen."),
        (replace(TWO, kind=METHODS, methods=("cam",) * 9), "Choose one to 8 methods: 9 are chosen."),
    ],
)
def test_a_choice_that_cannot_be_compared_is_refused(choice: Choice, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        choice.asked()


def test_a_choice_gives_models_or_methods() -> None:
    assert TWO.asked() == (("mini", "movinet_a0"), ("gradcam++",))
    assert replace(TWO, kind=METHODS, other="mini", methods=("cam", "lrp")).asked() == (("mini",), ("cam", "lrp"))
    with pytest.raises(UsageError, match="not one of the models in the table"):
        Choice.of(MODELS, "mini", "evil.py:make", ["cam"], "gradcam++", [])
    with pytest.raises(UsageError, match="This model was deleted"):
        Choice.of(MODELS, "mini", "a-b-0123456789ab", ["cam"], "gradcam++", [])
    assert Choice.of(METHODS, "mini", "a-b-0123456789ab", ["cam"], None, []) == Choice(METHODS, "mini", None, ("cam",), None, ())


def changed(page: SimpleNamespace, *asked: Any) -> dict[str, Any]:
    """Return what the controls become if this is chosen, by the name of the control."""
    update = page.tab.change(page.session, *asked)
    names = ("kind", "model", "other", "methods", "method", "labels")
    return {name: update[part] for name, part in zip(names, page.tab.asked, strict=True)}


def test_menus_of_two_models_offer_what_both_know(page, kept, tmp_path) -> None:
    shown = changed(page, MODELS, "mini", None, ["cam"], None, ["walking"])
    assert shown["other"].value == page.taught.name  # the newest of this browser's own
    assert [name for _, name in shown["other"].choices] == [page.taught.name, "mini"]
    assert shown["other"].info.endswith("19 classes in common with mini.")
    assert shown["method"].value == "gradcam++"
    assert shown["labels"].value == ["walking"]
    assert [shown[name].visible for name in ("other", "methods", "method")] == [True, False, True]
    few = keep_mini("anna", tmp_path / "job", ("walking", *(f"action {n}" for n in range(18))))
    none = keep_mini("anna", tmp_path / "job", tuple(f"action {n}" for n in range(19)))
    try:
        shown = changed(page, MODELS, "mini", few.name, ["cam"], "lrp", ["walking", "jumping"])
        assert [label for label, _ in shown["labels"].choices] == ["walking"]
        assert shown["labels"].value == ["walking"]
        assert shown["method"].value == "lrp"
        assert shown["other"].info.endswith("1 class in common with mini.")
        assert changed(page, MODELS, "mini", none.name, [], None, [])["other"].info.endswith(
            "It has no class in common with mini, so their evidence cannot be compared."
        )
        assert changed(page, MODELS, "mini", "mini", [], None, [])["other"].info == "This is the first model: choose another one."
        shown = changed(page, METHODS, "mini", few.name, ["cam"], "lrp", ["walking", "jumping"])
        assert shown["labels"].value == ["walking", "jumping"]
        assert shown["methods"].value == ["cam"]
        assert [shown[name].visible for name in ("other", "methods", "method")] == [False, True, False]
    finally:
        for model in (few, none):
            teach_models.model_shelf().delete("anna", model.name)
    page.session.runs = kept.state / "runs" / "bert"  # he has no model of his own, and mini is the only one here
    assert changed(page, MODELS, "mini", None, [], None, [])["other"].info.startswith("There is no other model on this machine")
    page.session.chosen["compare"] = [MODELS, "mini", few.name, ["cam"], "lrp", []]
    kind, _, other, *_ = page.tab.asked
    assert page.tab.begin(page.session)[kind].value == METHODS  # the second model is gone
    shown = page.tab.for_models(page.session)  # it is deleted while the page is open
    assert (shown[kind].value, shown[other].value) == (MODELS, None)


def test_methods_that_are_compared_at_first_are_quick() -> None:
    assert compare._usual("mini") == ["cam", "cam-spread", "gradcam++", "gradientxinput"]
