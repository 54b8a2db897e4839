"""The hub: which source each viewer of the live page looks at."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from vidcam.engine import open_engine
from vidcam.errors import UsageError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.live.explainer import Explainer
from vidcam.live.models import ModelChoice, ModelSwitch, fit_settings
from vidcam.live.pipeline import LivePipeline, MonitorConfig
from vidcam.live.sources import PushedSource
from vidcam.live.stream import DEFAULTS, HOP_S
from vidcam.settings import Settings
from vidcam.web import words

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["Hub", "Visit", "make_camera_hub"]

MAX_CAMERAS = 4  # browsers whose cameras are explained at the same time


@dataclass(frozen=True)
class Visit:
    """What a new viewer asks for.

    Attributes:
        source: The name of a shared source; None for the first one.
        key: What the viewer may be known by; it decides which models of their own are offered.
        model: The name of the model to begin with for the viewer's camera; None for the hub's.
        is_tile: Whether the page shows the source small, beside others.
    """

    source: str | None = None
    key: str = ""
    model: str | None = None
    is_tile: bool = False


class Hub:
    """Gives all viewers the shared sources or, with ``make``, each viewer the camera of its own browser.

    Args:
        shared: The pipelines of the shared sources, whose names differ.
        make: Makes and starts the pipeline for the source that a browser's pictures come from.
        max_cameras: How many browsers' cameras are explained at the same time.

    Raises:
        UsageError: Neither or both of ``shared`` and ``make`` are given.
    """

    def __init__(
        self,
        *shared: LivePipeline,
        make: Callable[[PushedSource, Visit], LivePipeline] | None = None,
        max_cameras: int = MAX_CAMERAS,
    ) -> None:
        if bool(shared) == (make is not None):
            raise UsageError("a viewer shows either shared sources or the cameras of its browsers")
        self._shared = {pipeline.source.name: pipeline for pipeline in shared}
        self._make, self._max_cameras = make, max_cameras
        self._lock = threading.Lock()
        self._cameras: dict[int, LivePipeline] = {}
        self._count = 0

    @property
    def pipelines(self) -> list[LivePipeline]:
        """The pipelines that run."""
        return list((self._shared or self._cameras).values())

    @property
    def names(self) -> list[str]:
        """The names of the shared sources."""
        return list(self._shared)

    @contextmanager
    def enter(self, visit: Visit) -> Iterator[tuple[LivePipeline, PushedSource | None]]:
        """Give a new viewer its pipeline, and where to put the pictures of its camera. Blocks while a model is set up.

        Raises:
            UsageError: There is no such source or model, or too many cameras are being explained already.
        """
        if self._shared:
            name = self.names[0] if visit.source is None else visit.source
            if name not in self._shared:
                raise UsageError(words.Hub.no_source(name=name, sources=self.names))
            yield self._shared[name], None
            return
        assert self._make is not None
        with self._lock:
            if len(self._cameras) >= self._max_cameras:
                raise UsageError(words.Hub.too_many_cameras(most=self._max_cameras))
            self._count += 1
            source = PushedSource(f"browser {self._count}")
            pipeline = self._cameras[number := self._count] = self._make(source, visit)
        try:
            yield pipeline, source
        finally:
            with self._lock:
                del self._cameras[number]
            source.close()
            pipeline.close()


def make_camera_hub(
    engine: Engine,
    settings: Settings = DEFAULTS,
    *,
    cpu: float = 0.75,
    config: MonitorConfig | None = None,
    max_cameras: int = MAX_CAMERAS,
    clock: Clock = SYSTEM,
    open_model: Callable[[str], Engine] | None = None,
    own_models: Callable[[str], Sequence[ModelChoice]] = lambda key: (),
) -> Hub:
    """Make a hub in which every viewer has the camera of its own browser explained, with a model of the viewer's choice.

    Args:
        engine: The model that all cameras begin with.
        settings: How it is explained.
        cpu: The share of the machine's processor, 0 to 1, that the whole program may use.
        config: The rules and actions; no rule but that of the page's own journal if None.
        max_cameras: How many browsers' cameras are explained at the same time.
        clock: The clock of all pipelines.
        open_model: Opens another model that a viewer asks for, see :class:`vidcam.live.models.ModelSwitch`.
        own_models: Returns the models that only the viewers with this :attr:`Visit.key` may use.

    Returns:
        The hub.

    Raises:
        UsageError: The settings or the rules do not fit the model.
    """
    config = replace(config or MonitorConfig(), has_page=True)
    explainer = Explainer(cpu=cpu, least_s=settings.seconds_between_clip_starts or HOP_S, clock=clock)
    open_model = _open_once(open_model or partial(open_engine, device=engine.device))

    def make(source: PushedSource, visit: Visit) -> LivePipeline:
        models = ModelSwitch(engine, open_model=open_model, own=lambda: own_models(visit.key))
        if visit.model is not None:
            models.start_with(visit.model)
        pipeline = LivePipeline(source, clock=clock)
        fitting = fit_settings(settings, models.engine) if models.engine is not engine else settings
        pipeline.explain(models.engine, fitting, config=config, explainer=explainer, models=models)
        return pipeline.release_frames().start()

    make(source := PushedSource(), Visit()).close()  # raise errors here, not when the first viewer comes
    source.close()
    return Hub(make=make, max_cameras=max_cameras)


def _open_once(open_model: Callable[[str], Engine]) -> Callable[[str], Engine]:
    """Return a function that opens models, but not one that another camera uses already."""
    used: WeakValueDictionary[str, Engine] = WeakValueDictionary()

    def open_or_share(name: str) -> Engine:
        engine = used.get(name)
        if engine is None:
            engine = used[name] = open_model(name)
        return engine

    return open_or_share
