"""The change to another model while streams run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from vidcam.engine import open_engine
from vidcam.errors import IncompatibleError, UsageError, VidcamError
from vidcam.live.stream import live_settings
from vidcam.models.loading import is_available
from vidcam.models.table import list_specs
from vidcam.pipeline import Session
from vidcam.settings import Settings

if TYPE_CHECKING:
    from vidcam.engine import Engine
    from vidcam.live.pipeline import LivePipeline

__all__ = ["ModelChoice", "ModelSwitch", "fit_settings"]


@dataclass(frozen=True)
class ModelChoice:
    """A model that viewers may choose: the name that they type, its title, and what opens it."""

    name: str
    title: str
    open: Callable[[], Engine]


class ModelSwitch:
    """Lists the models that the viewers of some streams may use, and has these streams go on with another of them.

    The new model is loaded in a thread of its own while the present one goes on. It must know every label that a rule names.

    Args:
        engine: The present model.
        open_model: Opens a model of the table by its name; :func:`vidcam.open_engine` on the present device if None.
        own: Returns the models that only these viewers may use, besides those of the table.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        open_model: Callable[[str], Engine] | None = None,
        own: Callable[[], Sequence[ModelChoice]] = tuple,
    ) -> None:
        self.engine = engine
        """The present model."""
        self.loading: str | None = None
        """The name of the model that is being loaded."""
        self.failed = ""
        """Why the last change did not come about."""
        self.choices: tuple[ModelChoice, ...] = ()
        """The models that one can change to."""
        self._open = open_model or partial(open_engine, device=engine.device)
        self._first, self._own = ModelChoice(engine.spec.name, engine.spec.title, lambda: engine), own
        self._pipelines: list[LivePipeline] = []
        self._lock = threading.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Look again which models are on this machine."""
        here = [ModelChoice(spec.name, spec.title, partial(self._open, spec.name)) for spec in list_specs() if is_available(spec)]
        by_name: dict[str, ModelChoice] = {}
        for choice in (self._first, *self._own(), *here):
            by_name.setdefault(choice.name, choice)
        self.choices = tuple(by_name.values())

    def start_with(self, name: str) -> None:
        """Load a model before there is a stream. UsageError if it is not one of the choices."""
        self.engine = self._find(name).open()

    def add(self, pipeline: LivePipeline) -> None:
        """Have this pipeline change along with the others."""
        with self._lock:
            if pipeline.stream.engine is not self.engine:  # the model has changed since the pipeline was made
                pipeline.use_model(self.engine)
            self._pipelines.append(pipeline)

    def remove(self, pipeline: LivePipeline) -> None:
        """Forget this pipeline, if it is known."""
        with self._lock, suppress(ValueError):
            self._pipelines.remove(pipeline)

    def choose(self, name: str) -> None:
        """Begin to load a model; the streams change to it as soon as it is ready.

        Raises:
            UsageError: It is not one of the choices, or another is being loaded.
        """
        choice = self._find(name)
        with self._lock:
            if self.loading is not None:
                raise UsageError(f"{self.loading} is being loaded; choose again when it is ready")
            if name == self.engine.spec.name:
                return
            self.loading, self.failed = name, ""
        threading.Thread(target=self._load, args=(choice,), name="vidcam-model", daemon=True).start()

    def _find(self, name: str) -> ModelChoice:
        choice = next((choice for choice in self.choices if choice.name == name), None)
        if choice is None:
            names = ", ".join(choice.name for choice in self.choices)
            raise UsageError(f"{name!r} is not one of the models on this machine: {names}")
        return choice

    def _load(self, choice: ModelChoice) -> None:
        failed = ""
        try:
            self._change(choice.open())
        except VidcamError as error:
            failed = f"{choice.name} cannot be used here: {error}"
        except Exception as error:  # a thread must not end in silence
            failed = f"{choice.name} cannot be used here: {type(error).__name__}: {error}"
        self.loading, self.failed = None, failed

    def _change(self, engine: Engine) -> None:
        """Have all streams go on with this model, or none of them. UsageError if a rule does not fit it."""
        with self._lock:
            for pipeline in self._pipelines:
                pipeline.check_model(engine)
            for pipeline in self._pipelines:
                pipeline.use_model(engine)
            self.engine = engine


def fit_settings(settings: Settings, engine: Engine) -> Settings:
    """Return the settings without what does not fit the model: unknown classes, and a method that does not work on it."""
    names = {name.casefold() for name in engine.labels}
    classes = tuple(label for label in settings.classes if str(label).casefold() in names)
    versus = settings.versus if str(settings.versus).casefold() in names else None
    kept = replace(settings, classes=classes, versus=versus)
    try:
        Session(engine, live_settings(kept))
    except (IncompatibleError, UsageError):
        return replace(kept, method=None, versus=None)
    return kept
