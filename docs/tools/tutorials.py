"""Run a tutorial, and turn it into a page and a notebook that hold what the run printed and drew."""

from __future__ import annotations

import base64
import html
import os
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from nbformat import NotebookNode, write

__all__ = ["Tutorial", "list_sources", "to_markdown"]

TIMEOUT_S = 600
"""A kernel that takes longer to start, or a cell to run, hangs."""

PICTURES = {"image/svg+xml": "svg", "image/jpeg": "jpg", "image/png": "png"}
"""The kinds of pictures, the preferred one first, with the suffixes of their files."""

PANDAS = re.compile(r'<style scoped>.*?</style>|(?<=<table) border="1" class="dataframe"', re.DOTALL)
"""How pandas dresses a table; without it, the site does."""

BUTTONS = "[Notebook]({name}.ipynb){{ .md-button download }} [Source]({name}.py){{ .md-button download }}"


def list_sources(docs: Path) -> list[Path]:
    """Return the sources of the tutorials: scripts in jupytext's percent format."""
    return sorted((docs / "tutorials").glob("*.py"))


@dataclass(frozen=True)
class Tutorial:
    """The ``source`` of one tutorial, and the sample ``clips`` that it finds in its working folder."""

    source: Path
    clips: Path

    def make(self, folder: Path) -> None:
        """Run the tutorial in a folder of its own; write its page, its notebook and its pictures into ``folder/tutorials``.

        Raises:
            CellExecutionError: A cell raised an error, or a command in it ended with another exit code than 0.
        """
        out = folder / "tutorials"
        out.mkdir(parents=True, exist_ok=True)
        notebook = jupytext.read(self.source)
        with tempfile.TemporaryDirectory() as work:
            shutil.copytree(self.clips, Path(work, "clips"), ignore=shutil.ignore_patterns("*.py", "*.json", "__pycache__"))
            client = NotebookClient(
                notebook,
                kernel_name="python3",
                coalesce_streams=True,
                extra_arguments=["--log-level=ERROR"],  # it warns of what goes on inside this machine
                startup_timeout=TIMEOUT_S,
                timeout=TIMEOUT_S,
                resources={"metadata": {"path": work}},
            )
            client.execute(env=_environment(Path(work, ".ipython")))
            _hide_path(notebook, work)
        name = self.source.stem
        write(notebook, out / f"{name}.ipynb")
        (out / f"{name}.md").write_text(to_markdown(notebook, name=name, folder=out), "utf-8")


def _hide_path(notebook: NotebookNode, work: str) -> None:
    """Leave the path of the working folder out of what was printed."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        if output.output_type == "stream":
            output.text = output.text.replace(f"{work}{os.sep}", "")


def _environment(ipython: Path) -> dict[str, str]:
    """Return the environment of the kernel: nothing is downloaded, and commands find the programs beside this Python."""
    return {
        **os.environ,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
        "COLUMNS": "100",
        "IPYTHONDIR": str(ipython),
        "TTY_COMPATIBLE": "0",  # no colours and no cursor movements in what commands print
        "VIDCAM_OFFLINE": "1",
    }


def to_markdown(notebook: NotebookNode, *, name: str, folder: Path) -> str:
    """Return an executed notebook as Markdown; its pictures and players become files in ``folder/NAME_files``."""
    files = _Files(folder, f"{name}_files")
    parts: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        language, code = _split_magic(cell.source)
        parts.append(f"```{language}\n{code}\n```")
        parts.extend(_show(output, cell.metadata.get("alt", ""), files) for output in cell.outputs)
    title, _, rest = "\n\n".join(part for part in parts if part).partition("\n")
    return f"{title}\n\n{BUTTONS.format(name=name)}\n{rest}\n"


def _split_magic(source: str) -> tuple[str, str]:
    """Return the language of a cell and its code; ``%%bash`` says only where the code runs, so the page leaves it out."""
    first, _, rest = source.partition("\n")
    return ("sh", rest) if first == "%%bash" else ("python", source)


def _show(output: NotebookNode, alt: str, files: _Files) -> str:
    """Return one output of a cell as Markdown."""
    if output.output_type == "stream":
        return _text(output.text)
    data = output.data
    if "text/html" in data:
        markup = PANDAS.sub("", data["text/html"])
        return f'<div class="output">\n{files.take_players(markup, alt)}\n</div>'
    for kind, suffix in PICTURES.items():
        if kind in data:
            content = data[kind]
            content = content.encode() if suffix == "svg" else base64.b64decode(content)
            return f"![{alt}]({files.add(content, suffix)}){{ .output }}"
    return _text(data["text/plain"])


def _text(text: str) -> str:
    """Return printed text as a block; what a carriage return overwrote in a terminal is left out."""
    lines = [line.rsplit("\r", 1)[-1].rstrip() for line in text.strip("\n").replace("\r\n", "\n").split("\n")]
    return "``` { .text .no-copy .output }\n" + "\n".join(lines) + "\n```"


class _Files:
    """The numbered files of one page."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name, self._count = folder, name, 0
        shutil.rmtree(folder / name, ignore_errors=True)

    def add(self, content: bytes, suffix: str) -> str:
        """Write a file; return its path relative to the page."""
        self._count += 1
        path = self._folder / self._name / f"{self._count}.{suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return f"{self._name}/{path.name}"

    def take_players(self, markup: str, alt: str) -> str:
        """Return the markup with the document of each frame in a file of its own, so that the page itself stays small."""

        def replace(match: re.Match[str]) -> str:
            return f'src="{self.add(html.unescape(match[1]).encode(), "html")}"'

        named = markup.replace('title="', f'title="{html.escape(alt)}. ', 1) if alt else markup
        return re.sub(r'srcdoc="([^"]*)"', replace, named)
