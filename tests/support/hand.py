"""A camera that a test drives: each frame comes when the test says so, and is explained before the test goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from support.clock import ManualClock
from vidcam.live.pipeline import LivePipeline, MonitorConfig
from vidcam.settings import Settings
from vidcam.values import Frame

if TYPE_CHECKING:
    from vidcam.engine import Engine
    from vidcam.io.clock import Stop
    from vidcam.live.explainer import Explainer
    from vidcam.live.models import ModelSwitch


class Given:
    """A source of these frames."""

    ends = True

    def __init__(self, frames: Sequence[Frame], name: str) -> None:
        self.given, self.name = frames, name

    def frames(self, stop: Stop) -> Iterator[Frame]:
        yield from self.given


class Hand:
    """A pipeline in which nothing happens before :meth:`push`. Its clock is at least at the newest frame."""

    def __init__(
        self,
        engine: Engine,
        frames: Sequence[Frame],
        settings: Settings,
        *,
        config: MonitorConfig | None = None,
        explainer: Explainer | None = None,
        models: ModelSwitch | None = None,
        name: str = "the camera",
    ) -> None:
        self.clock = ManualClock()
        self.pipeline = LivePipeline(Given(frames, name), clock=self.clock)
        self.stream = self.pipeline.explain(engine, settings, config=config, explainer=explainer, models=models)
        self.pipeline.release_frames()
        self._times = [frame.time for frame in frames]

    def push(self, frames: int = 1, *, explained: bool = True) -> None:
        """Let the next frames come; return once they are ``explained``."""
        for _ in range(frames):
            self.clock.advance(max(0.0, self._times[self.pipeline.capture.frames] - self.clock.now()))
            assert self.pipeline.capture.step() == 0.0
            if explained:
                self.stream.settle()
