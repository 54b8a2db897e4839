"""The models that were taught in the app, kept on disk: they survive a restart, are bounded, and can be deleted.

``ROOT/OWNER/NAME/`` is the folder that :func:`vidcam.training.train` wrote, with ``taught.json`` (what is said of the model) and
``test/`` (the clips that were kept aside, and the page of mistakes). OWNER is as in :mod:`vidcam.web.studio.runs`.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import vidcam
from vidcam.errors import UsageError, WeightsError
from vidcam.io.json_text import parse_json, to_json_text
from vidcam.models import trained
from vidcam.models.table import get_spec, list_models
from vidcam.web import words

from .runs import delete_oldest, newest, state_folder

if TYPE_CHECKING:
    from vidcam.engine import Engine
    from vidcam.models.spec import ModelSpec
    from vidcam.models.weights import Progress

__all__ = [
    "MISTAKES",
    "TEST",
    "ModelShelf",
    "TaughtModel",
    "find_spec",
    "is_taught",
    "make_name",
    "model_shelf",
    "open_engine",
    "shown_name",
]

FACTS, TEST, MISTAKES = "taught.json", "test", "mistakes.html"
NAME = re.compile(r"[a-z0-9-]{1,40}-[0-9a-f]{12}")


@dataclass(frozen=True)
class TaughtModel:
    """A model as it lies on disk.

    Attributes:
        folder: Its folder; the name is that of the model.
        labels: The actions that it knows.
        right: How many of the clips that were kept aside it answers correctly.
        tested: How many clips were kept aside.
        mistakes: What it took for something else, in sentences.
        remarks: What else its owner should know, in sentences.
    """

    folder: Path
    labels: tuple[str, ...]
    right: int
    tested: int
    mistakes: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name that the menus know; nobody can guess it, so who has it may use the model."""
        return self.folder.name

    @property
    def short_name(self) -> str:
        """The name of its folder at the command line."""
        return shown_name(self.name)

    @property
    def title(self) -> str:
        """What the menus call it."""
        return words.Teach.title(labels=self.labels)


def make_name(labels: Sequence[str]) -> str:
    """Return a new name: the beginning of the labels for people, and a number that nobody can guess."""
    plain = re.sub(r"[^a-z0-9]+", "-", "-".join(labels).lower()).strip("-")
    return f"{plain[:40].strip('-') or 'actions'}-{secrets.token_hex(6)}"


class ModelShelf:
    """Keeps the models under ``root``: the last ``most`` of each browser, and at most ``size`` bytes of all browsers."""

    def __init__(self, root: Path, *, most: int = 20, size: int = 2_000_000_000) -> None:
        self.root, self._most, self._size = root, most, size

    def keep(self, owner: str, model: TaughtModel) -> TaughtModel:
        """Move a model's folder to those of the browser whose runs lie in a folder named ``owner``."""
        home = self.root / owner
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        part, folder = home / f"part-{model.name}", home / model.name
        values = {key: value for key, value in asdict(model).items() if key != "folder"}
        shutil.move(model.folder, part)
        (part / FACTS).write_text(to_json_text({"schema_version": 1} | values), encoding="utf-8")
        part.rename(folder)  # it appears complete or not at all
        self.tidy()
        return replace(model, folder=folder)

    def list(self, owner: str) -> list[TaughtModel]:
        """Return the models of a browser, the newest first."""
        return [model for path in newest((self.root / owner).glob("*-*")) if (model := _read(path)) is not None]

    def find(self, name: object) -> TaughtModel:
        """Return the model of this name. UsageError if there is none."""
        if isinstance(name, str) and NAME.fullmatch(name):
            for path in self.root.glob(f"*/{name}"):
                if (model := _read(path)) is not None:
                    return model
        raise UsageError(words.Teach.MODEL_DELETED)

    def delete(self, owner: str, name: object) -> None:
        """Delete a model. UsageError if the browser has none of this name."""
        model = self.find(name)
        if model.folder.parent.name != owner:
            raise UsageError(words.Teach.DELETE_ELSEWHERE)
        shutil.rmtree(model.folder, ignore_errors=True)

    def tidy(self) -> None:
        """Delete the oldest models beyond the limits; what a server left unfinished counts like a model."""
        delete_oldest(self.root, most=self._most, size=self._size)


def _read(folder: Path) -> TaughtModel | None:
    """Return the model in a folder; None if there is none, or it was written by another version."""
    try:
        said = parse_json((folder / FACTS).read_bytes())
        mistakes, remarks = (tuple(map(str, said[key])) for key in ("mistakes", "remarks"))
        return TaughtModel(folder, tuple(map(str, said["labels"])), int(said["right"]), int(said["tested"]), mistakes, remarks)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def model_shelf() -> ModelShelf:
    """Return the shelf in the folder of what the app keeps."""
    return ModelShelf(state_folder() / "models")


def is_taught(name: object) -> bool:
    """Return whether the name has the form of that of a taught model; a name of the table is none."""
    return isinstance(name, str) and name not in list_models() and NAME.fullmatch(name) is not None


def shown_name(name: str) -> str:
    """Return what people read for the name of a model: that of a taught one without its number."""
    return name.rpartition("-")[0] if is_taught(name) else name


def find_spec(name: str) -> ModelSpec:
    """Return the facts of a model of the table, or of one that was taught here. UsageError if that was deleted."""
    if not is_taught(name):
        return get_spec(name)
    model = model_shelf().find(name)
    try:
        spec, _, _ = trained.read(str(model.folder))
    except WeightsError as error:
        raise UsageError(words.Teach.damaged(model=model.short_name)) from error
    return replace(spec, name=name, title=model.title)


def open_engine(name: str, *, device: str, progress: Progress | None = None) -> Engine:
    """Open a model of the table, or one that was taught here. It is called by its name, not by the folder it lies in."""
    if not is_taught(name):
        return vidcam.open_engine(name, device=device, progress=progress)
    spec = find_spec(name)
    engine = vidcam.open_engine(str(model_shelf().find(name).folder), device=device)
    engine.spec = replace(engine.spec, name=spec.name, title=spec.title)
    return engine
