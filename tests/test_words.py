"""What the app says to users stands in one place: its other modules hold no sentence or label."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from vidcam import annotation, training
from vidcam.web import studio, words
from vidcam.web.studio import compare_jobs, jobs, teach_jobs

TABS = sorted(
    p for p in Path(studio.__file__).parent.glob("*.py") if p.stem not in ("__init__", "app", "serve")
)  # those have options
SHOWN = {"label", "info", "placeholder", "title", "value"}
ERRORS = {"UsageError", "InputError"}


def find_literals(source: str) -> list[str]:
    """Return the texts with letters that are given to a component of Gradio as what it shows, or to an error as its message."""
    return [text for call in ast.walk(ast.parse(source)) if isinstance(call, ast.Call) for text in shown_by(call)]


def shown_by(call: ast.Call) -> Iterator[str]:
    """Yield what a call shows to users, if it is written there."""
    name = ast.unparse(call.func)
    if name.startswith("gr."):
        yield from (text for one in call.keywords if one.arg in SHOWN for text in texts(one.value))
    if name.startswith("gr.") or name in ERRORS:
        yield from (text for one in call.args for text in texts(one))


def texts(node: ast.expr) -> Iterator[str]:
    """Yield the parts of a text that are written in the code."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    for part in parts:
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and any(c.isalpha() for c in part.value):
            yield part.value


@pytest.mark.parametrize("path", TABS, ids=lambda path: path.stem)
def test_module_of_the_app_holds_no_sentence_of_its_own(path: Path) -> None:
    assert find_literals(path.read_text(encoding="utf-8")) == []


def test_literals_are_found_where_users_would_see_them() -> None:
    source = """
gr.Button("Go", elem_id="go")
gr.Slider(0, 1, label="Size", info=f"{words.INFO} of {count}", value=words.VALUE)
gr.Markdown(f"{words.TEXT}: {count}")
raise UsageError(f"no {name}")
log.warning("nobody sees this")
"""
    assert find_literals(source) == ["Go", "Size", " of ", "no "]


SCRIPTS = sorted(p for p in (Path(studio.__file__).parent / "page").glob("*.js") if p.stem != "words")
NO_WORDS = {"Files", "Escape", "NotFoundError", "POST"}  # names of the browser


def find_script_literals(source: str) -> list[str]:
    """Return the texts of a script that begin with a capital letter: class names and keys of data do not."""
    code = re.sub(r"^\s*(//|/\*\*| \*).*$|\s// .*$", "", source, flags=re.MULTILINE)
    return [text for text in re.findall(r"""["`']\s*([A-Z][^"`'$]*)""", code) if text not in NO_WORDS]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script_of_the_app_holds_no_sentence_of_its_own(path: Path) -> None:
    assert find_script_literals(path.read_text(encoding="utf-8")) == []


def test_literals_of_scripts_are_found() -> None:
    source = 'make("p", "soft", "Drop it"); // "Nobody" sees this\nsay(`Sending ${name}`); key === "Escape"; say(W.none);'
    assert find_script_literals(source) == ["Drop it", "Sending "]


def test_sentences_are_whole_and_name_their_fields() -> None:
    groups = [getattr(words, name) for name in words.__all__]
    known = [text for group in groups for key, text in vars(group).items() if key.isupper() and isinstance(text, str)]
    assert len(known) > 60
    for text in known:
        assert text == text.strip() or text == words.Annotate.AGAIN  # which comes before what is being done
        assert "{" not in text  # fields belong to functions
    for group in groups:
        for name, function in inspect.getmembers(group, inspect.isfunction):
            kinds = {p.kind for p in inspect.signature(function).parameters.values()}
            assert kinds == {inspect.Parameter.KEYWORD_ONLY} or name == "list_words", f"{group.__name__}.{name}"


def test_change_that_cannot_be_seen_is_none() -> None:
    assert words.Ask.change(before=0.99951, after=0.99959) == "stays at >\u00a099.9\u00a0%"
    assert words.Ask.change(before=0.9, after=0.2) == "falls from 90.0\u00a0% to 20.0\u00a0%"
    assert words.Ask.change(before=0.2, after=0.9) == "rises from 20.0\u00a0% to 90.0\u00a0%"


def find_stages() -> set[str]:
    """The stages that the jobs of the app plan, and those that are told while a job runs; each has words of its own."""
    planned = [compare_jobs, jobs, teach_jobs]
    told = {
        key.value
        for module in planned
        for one in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(one, ast.Dict)
        for key, value in zip(one.keys, one.values, strict=True)
        if isinstance(key, ast.Constant) and (isinstance(value, ast.Constant) and isinstance(value.value, float))
    }
    reported = {
        call.args[0].value
        for root in (studio, annotation, training)
        for path in Path(root.__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("progress") and call.args
        if isinstance(call.args[0], ast.Constant)
    }
    return told | reported


def test_every_stage_of_a_job_is_said_in_words() -> None:
    script = (Path(studio.__file__).parent / "page" / "words.js").read_text(encoding="utf-8")
    [block] = re.findall(r"stages: \{(.*?)\}", script, flags=re.DOTALL)
    said = {quoted or plain: text for quoted, plain, text in re.findall(r'(?:"([^"]*)"|(\w+)): "([^"]+)"', block)}
    stages = find_stages()
    assert stages >= {"", "load", "weights", "look", "explain", "convert", "judge", "draw", "write", "try methods", "train"}
    assert stages <= said.keys()
    assert (said[""], said["look"], said["weights"]) == ("Starting", "Reading the video", "Downloading the weights")
