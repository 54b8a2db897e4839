"""The hub: which source each viewer of the live page looks at."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from vidcam.errors import UsageError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.live.explainer import Explainer
from vidcam.live.models import ModelSwitch, fit_settings
from vidcam.live.pipeline import LivePipeline, MonitorConfig
from vidcam.live.sources import PushedSource
from vidcam.live.stream import DEFAULTS, HOP_S
from vidcam.settings import Settings

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["Hub", "make_camera_hub"]

MAX_CAMERAS = 4  # browsers whose cameras are explained at the same time


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
        make: Callable[[PushedSource], LivePipeline] | None = None,
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
    def enter(self, name: str | None = None) -> Iterator[tuple[LivePipeline, PushedSource | None]]:
        """Give a new viewer its pipeline, and where to put the pictures of its camera. Blocks while a model is set up.

        Args:
            name: The name of a shared source; None for the first one.

        Raises:
            UsageError: There is no such source, or too many cameras are being explained already.
        """
        if self._shared:
            name = self.names[0] if name is None else name
            if name not in self._shared:
                raise UsageError(f"there is no source called {name} here; sources: {', '.join(self._shared)}")
            yield self._shared[name], None
            return
        assert self._make is not None
        with self._lock:
            if len(self._cameras) >= self._max_cameras:
                raise UsageError(f"{self._max_cameras} cameras are being explained already; try again when one of them has gone")
            self._count += 1
            source = PushedSource(f"browser {self._count}")
            pipeline = self._cameras[number := self._count] = self._make(source)
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
) -> Hub:
    """Make a hub in which every viewer has the camera of its own browser explained, by one engine for all.

    Args:
        engine: The model.
        settings: How it is explained.
        cpu: The share of the machine's processor, 0 to 1, that the whole program may use.
        config: The rules and actions; no rule but that of the page's own journal if None.
        max_cameras: How many browsers' cameras are explained at the same time.
        clock: The clock of all pipelines.
        open_model: Opens another model that a viewer asks for, see :class:`vidcam.live.models.ModelSwitch`.

    Returns:
        The hub.

    Raises:
        UsageError: The settings or the rules do not fit the model.
    """
    config = replace(config or MonitorConfig(), has_page=True)
    explainer = Explainer(engine, cpu=cpu, least_s=settings.seconds_between_clip_starts or HOP_S, clock=clock)
    models = ModelSwitch(explainer, open_model=open_model)

    def make(source: PushedSource) -> LivePipeline:
        pipeline = LivePipeline(source, clock=clock)
        fitting = fit_settings(settings, models.engine) if models.engine is not engine else settings
        pipeline.explain(models.engine, fitting, config=config, explainer=explainer, models=models)
        return pipeline.release_frames().start()

    make(source := PushedSource()).close()  # raise errors here, not when the first viewer comes
    source.close()
    return Hub(make=make, max_cameras=max_cameras)
