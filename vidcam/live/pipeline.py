"""Everything that runs for one source: capture, stream, pictures, monitor and actions, started and stopped together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vidcam.errors import UsageError, VidcamError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.live.actions.table import Action, PictureAction
from vidcam.live.capture import Capture
from vidcam.live.events import DEFAULT_RULE, Event, Monitor
from vidcam.live.explainer import Explainer
from vidcam.live.journal import Journal
from vidcam.live.models import ModelSwitch, fit_settings
from vidcam.live.pictures import SMALL_EVERY_S, SMALL_WIDTH, PictureEncoder
from vidcam.live.regions import Region
from vidcam.live.rules import Rule
from vidcam.live.sources import LiveSource
from vidcam.live.stream import Stream
from vidcam.live.worker import Worker
from vidcam.settings import Settings
from vidcam.values import Frame

if TYPE_CHECKING:
    from vidcam.engine import Engine

__all__ = ["LivePipeline", "MonitorConfig"]


@dataclass(frozen=True)
class MonitorConfig:
    """Which rules are followed on a stream, and what is done about their events.

    Attributes:
        rules: The rules; without any there are no events.
        actions: What is done about each event.
        say: Receives a sentence for the user if something of that fails.
        sources: The names of all sources, if there are several; rules may name one, and file names do.
        regions: The regions that rules may ask for.
        has_page: Whether viewers may look on. Then there is a journal of events, with a rule of its own if there are no others.
    """

    rules: tuple[Rule, ...] = ()
    actions: tuple[Action | PictureAction, ...] = ()
    say: Callable[[str], None] = lambda sentence: None
    sources: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()
    has_page: bool = False

    def rules_for(self, source: str) -> tuple[Rule, ...]:
        """Return the rules that a source is watched by. UsageError if a rule names a source that there is not."""
        names = self.sources or (source,)
        for rule in self.rules:
            if rule.source not in ("", *names):
                raise UsageError(f"the rule {str(rule)!r} is for a source that there is not; sources here: {', '.join(names)}")
        return tuple(rule for rule in self.rules if rule.source in ("", source))

    @property
    def snapshots(self) -> Path | None:
        """The folder in which the first action that wants snapshots wants them; None if no action does."""
        folders = (getattr(action, "snapshots", None) for action in self.actions)
        return next((folder for folder in folders if folder is not None), None)


class LivePipeline:
    """Reads a source from :meth:`start` on and explains it from :meth:`release_frames` on; :meth:`close` ends all threads.

    Args:
        source: Where the frames come from.
        real_time: If false, every clip is explained, and the source waits for that.
        clock: The clock of all its parts.
    """

    def __init__(self, source: LiveSource, *, real_time: bool = True, clock: Clock = SYSTEM) -> None:
        self.source, self.real_time, self.clock = source, real_time, clock
        self._changed = threading.Condition()
        self.capture = Capture(source, self._take, clock=clock, changed=self._notify)
        self.viewers = 0
        self.monitor: Monitor | None = None
        """Follows the rules of the configuration."""
        self.page_monitor: Monitor | None = None
        """Follows the rules that viewers make; no action gets their events."""
        self.journal: Journal | None = None
        self.models: ModelSwitch | None = None
        """What viewers may change the model with."""
        self.regions: dict[str, Region] = {}
        """The regions that rules may ask for, by name."""
        self.fixed_regions: frozenset[str] = frozenset()
        """The names of those that viewers cannot change."""
        self._stream: Stream | None = None
        self._gate = threading.Event()
        self._is_released = False
        self._stack = ExitStack()

    def start(self) -> LivePipeline:
        """Begin to read the source. Frames of a camera are dropped, and a file waits, until :meth:`release_frames`."""
        self._stack.callback(self.capture.close)
        self._stack.callback(self._gate.set)  # called before capture.close, as the capture may be waiting there
        self.capture.start()
        return self

    def explain(
        self,
        engine: Engine,
        settings: Settings,
        *,
        cpu: float = 1.0,
        config: MonitorConfig | None = None,
        explainer: Explainer | None = None,
        models: ModelSwitch | None = None,
    ) -> Stream:
        """Make the stream that will explain the source, and everything that acts on it.

        Args:
            engine: The model.
            settings: How it is explained.
            cpu: The share of the machine's processor, 0 to 1, that the whole program may use.
            config: The rules and actions.
            explainer: Explains the source along with others; None for one of its own.
            models: Changes the model, if viewers may ask for that.

        Returns:
            The stream, started.

        Raises:
            UsageError: The settings or the rules do not fit the model.
        """
        # An ExitStack closes in reverse order: the source, then what it feeds, then what acts on that.
        stack = ExitStack()
        stream = Stream(
            engine,
            settings,
            cpu=cpu,
            name=self.source.name,
            explainer=explainer,
            real_time=self.real_time,
            clock=self.clock,
            changed=self._notify,
        ).start()
        try:
            self.pictures = PictureEncoder(real_time=self.real_time, changed=self._notify)
            self.small_pictures = PictureEncoder(max_width=SMALL_WIDTH, every_s=SMALL_EVERY_S, changed=self._notify)
            if config is not None:
                self._add_monitors(stream, config, stack)
        except BaseException:
            stream.close()
            self.pictures.close()
            self.small_pictures.close()
            stack.close()
            raise
        stack.callback(self.pictures.close)
        stack.callback(self.small_pictures.close)
        stack.callback(stream.close)
        stack.push(self._stack.pop_all())
        self._stack = stack
        stream.on_frame += [self.pictures.push, self.small_pictures.push]
        self._stream = stream
        if models is not None:
            self.models = models
            models.add(self)
            stack.callback(models.remove, self)
        return stream

    def check_model(self, engine: Engine) -> None:
        """Check that another model fits the rules. UsageError if it does not."""
        for monitor in self._monitors:
            monitor.check_model(engine)

    def use_model(self, engine: Engine) -> None:
        """Go on with another model, which :meth:`check_model` has accepted.

        Events end, and settings that do not fit the model are dropped.
        """
        settings = fit_settings(self.stream.settings, engine)
        with self.stream.explaining:
            for monitor in self._monitors:
                monitor.close()
            self.stream.use(engine, settings)
            for monitor in self._monitors:
                monitor.use_model()
            if self.journal is not None:
                self.journal.skip = engine.spec.rejects

    @property
    def _monitors(self) -> list[Monitor]:
        return [monitor for monitor in (self.monitor, self.page_monitor) if monitor is not None]

    def release_frames(self) -> LivePipeline:
        """Let the frames through to the stream that :meth:`explain` made, and to whatever else listens by now."""
        self._is_released = True
        self._gate.set()
        return self

    @property
    def stream(self) -> Stream:
        """The stream; call :meth:`explain` first."""
        assert self._stream is not None, "explain() comes first"
        return self._stream

    @property
    def error(self) -> VidcamError | None:
        """The error that ended the pipeline for good, if there was one."""
        return self.stream.error or self.capture.error or self.pictures.error

    @property
    def state(self) -> Literal["opening", "running", "silent", "frozen", "waiting", "ended", "failed"]:
        """The present state."""
        if self.error is not None:
            return "failed"
        return "frozen" if self.capture.state == "running" and self.stream.frozen_s else self.capture.state

    @property
    def reason(self) -> str:
        """A sentence that says what is wrong; empty if all is well."""
        if self.error is not None:
            return str(self.error)
        return {
            "silent": f"{self.source.name} has stopped sending pictures",
            "frozen": f"the picture of {self.source.name} has not changed for {self.stream.frozen_s:.0f} seconds",
            "ended": f"{self.source.name} has ended",
            "running": "",
        }.get(self.state, self.capture.reason)

    def wait(self, is_over: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait until ``is_over()``, for at most ``seconds``; return whether it is.

        It is asked whenever the source begins, ends or fails.
        """
        with self._changed:
            return self.clock.wait(self._changed, is_over, seconds)

    def close(self) -> None:
        """End everything; return when all threads have ended."""
        self._stack.close()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _add_monitors(self, stream: Stream, config: MonitorConfig, stack: ExitStack) -> None:
        """Make the monitors and the journal that the configuration asks for."""
        rules = config.rules_for(self.source.name)
        self.regions.update((region.name, region) for region in config.regions)
        self.fixed_regions = frozenset(self.regions)
        if rules:
            self.monitor = self._add_monitor(stream, rules, config, stack)
        if config.has_page:
            worker = Worker(config.say, "a picture of an event", clock=self.clock).start()
            stack.callback(worker.close)
            self.journal = Journal(stream, worker, skip=stream.engine.spec.rejects)
            own_rules = () if rules else (DEFAULT_RULE,)
            self.page_monitor = self._follow(Monitor(stream, own_rules, (), worker, regions=self.regions), stack)
            for monitor in self._monitors:
                monitor.immediate.append(self.journal)

    def _follow(self, monitor: Monitor, stack: ExitStack) -> Monitor:
        """Give the stream's news to a monitor."""
        stack.callback(monitor.close)
        monitor.stream.on_update.append(monitor.update)
        monitor.stream.on_gap.append(lambda begin: monitor.close())
        return monitor

    def _add_monitor(self, stream: Stream, rules: tuple[Rule, ...], config: MonitorConfig, stack: ExitStack) -> Monitor:
        """Make the monitor of the stream's events and one worker for each action, so that none waits for another."""
        queued: list[Callable[[Event], None]] = []
        immediate: list[Callable[[Event], None]] = []
        for action in config.actions:
            if isinstance(action, PictureAction):
                worker = Worker(
                    config.say,
                    action.name,
                    max_waiting=action.max_waiting,
                    close_timeout_s=action.close_timeout_s,
                    clock=self.clock,
                ).start()
                stack.callback(worker.close)
                follower = action.follow(worker, hold_s=max(rule.hold_s for rule in rules))
                stack.callback(follower.close)
                self.pictures.add(follower.picture)
                stream.on_gap.append(follower.gap)
                immediate.append(follower)
            else:
                worker = Worker(config.say, action.name, clock=self.clock).start()
                stack.callback(worker.close)
                queued.append(worker.queue(action))
        writer = Worker(config.say, "a snapshot", clock=self.clock).start()  # closed before the workers that it hands on to
        stack.callback(writer.close)
        monitor = Monitor(stream, rules, queued, writer, config.snapshots, immediate, regions=self.regions)
        monitor.is_one_of_several = len(config.sources) > 1
        return self._follow(monitor, stack)

    def _take(self, frame: Frame) -> None:
        if not self._is_released:
            if not self.source.ends:
                return  # a camera's frames are dropped while the model is being loaded
            self._gate.wait()  # a file is explained from its first frame
            if not self._is_released:
                return
        self.stream.push(frame)
