"""The change to another model while streams run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from vidcam.engine import open_engine
from vidcam.errors import IncompatibleError, UsageError, VidcamError
from vidcam.live.explainer import Explainer
from vidcam.live.stream import live_settings
from vidcam.models.loading import is_available
from vidcam.models.table import list_specs
from vidcam.pipeline import Session
from vidcam.settings import Settings

if TYPE_CHECKING:
    from vidcam.engine import Engine
    from vidcam.live.pipeline import LivePipeline

__all__ = ["ModelSwitch", "fit_settings"]


class ModelSwitch:
    """Lists the models on this machine, and has all streams of an explainer go on with another of them.

    The new model is loaded in a thread of its own while the present one goes on. It must know every label that a rule names.

    Args:
        explainer: Explains the streams.
        open_model: Opens a model of the list by its name; :func:`vidcam.open_engine` on the present device if None.
    """

    def __init__(self, explainer: Explainer, *, open_model: Callable[[str], Engine] | None = None) -> None:
        self.loading: str | None = None
        """The name of the model that is being loaded."""
        self.failed = ""
        """Why the last change did not come about."""
        self.choices: tuple[tuple[str, str], ...] = ()
        """The names and titles of the models that one can change to."""
        self._explainer, self._first = explainer, explainer.engine
        self._open = open_model or (lambda name: open_engine(name, device=self._first.device))
        self._pipelines: list[LivePipeline] = []
        self._lock = threading.Lock()
        self.refresh()

    @property
    def engine(self) -> Engine:
        """The present model."""
        return self._explainer.engine

    def refresh(self) -> None:
        """Look again which models are on this machine."""
        first = self._first.spec
        here = {spec.name: spec.title for spec in list_specs() if is_available(spec)}
        self.choices = tuple(({first.name: first.title} | here).items())

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
        names = [known for known, _ in self.choices]
        if name not in names:
            raise UsageError(f"{name!r} is not one of the models on this machine: {', '.join(names)}")
        with self._lock:
            if self.loading is not None:
                raise UsageError(f"{self.loading} is being loaded; choose again when it is ready")
            if name == self.engine.spec.name:
                return
            self.loading, self.failed = name, ""
        threading.Thread(target=self._load, args=(name,), name="vidcam-model", daemon=True).start()

    def _load(self, name: str) -> None:
        failed = ""
        try:
            self._change(self._first if name == self._first.spec.name else self._open(name))
        except VidcamError as error:
            failed = f"{name} cannot be used here: {error}"
        except Exception as error:  # a thread must not end in silence
            failed = f"{name} cannot be used here: {type(error).__name__}: {error}"
        self.loading, self.failed = None, failed

    def _change(self, engine: Engine) -> None:
        """Have all streams go on with this model, or none of them. UsageError if a rule does not fit it."""
        with self._lock:
            for pipeline in self._pipelines:
                pipeline.check_model(engine)
            for pipeline in self._pipelines:
                pipeline.use_model(engine)
            if self._pipelines:  # else nobody looks on any more
                self._explainer.engine = engine


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
