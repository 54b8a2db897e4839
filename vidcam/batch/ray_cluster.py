"""Workers on a Ray cluster: actors that each hold an engine, on whatever machines have a free place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vidcam.batch.failures import KINDS
from vidcam.batch.plan import Item
from vidcam.batch.worker import Outcome, Recipe, Worker
from vidcam.errors import UsageError
from vidcam.io.clock import SYSTEM, Clock
from vidcam.io.extras import require_extra

__all__ = ["THREADS", "RayActors"]

THREADS = 2
"""Cores of a worker without a GPU: decoding and the model keep about so many busy."""


class RayActors:
    """Works in actors of a Ray cluster; if a machine is lost, its inputs come out as lost, and other actors go on.

    An actor takes one input at a time, so nothing piles up on the cluster. All machines must see the inputs and the folder of the
    run under the same paths, and need vidcam in the same version.

    Args:
        recipe: What to do.
        address: Of the cluster, as for ``ray.init``; ``auto`` finds the one that this machine belongs to.
        jobs: How many actors at most; None for as many as the cluster has places.
        threads: Cores of each actor.
        gpus: GPUs of each actor, 0 or 1.
        clock: Measures the seconds that a lost worker took.

    Raises:
        UsageError: Ray is not installed, there is no such cluster, or it has no free place for a worker.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        address: str,
        jobs: int | None = None,
        threads: int = THREADS,
        gpus: int = 0,
        clock: Clock = SYSTEM,
    ) -> None:
        self._ray = _connect(address)
        self._actor = self._ray.remote(Worker).options(num_cpus=threads, num_gpus=gpus, max_restarts=0, max_task_retries=0)
        self._needs = {"CPU": threads, "GPU": gpus}
        self._recipe, self._threads, self._clock, self._jobs = recipe, threads, clock, jobs
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Item, float]] = {}
        if not self.slots:
            self.close()
            raise UsageError(
                f"the cluster at {address} has no free place for a worker, which needs {threads} cores"
                f"{' and a GPU' if gpus else ''}: wait, or add machines"
            )

    @property
    def slots(self) -> int:
        """How many inputs it takes at once: its actors and the free places of the cluster, which may grow and shrink."""
        living = len(self._idle) + len(self._busy)
        if self._jobs is not None and living >= self._jobs:
            return self._jobs
        # What is free is known late: an actor that was just made may not be counted yet, and one more would wait for its place.
        places = min(living + self._places(self._ray.available_resources()), self._places(self._ray.cluster_resources()))
        return min(places, self._jobs or places)

    def _places(self, resources: Mapping[str, float]) -> int:
        """Return how many actors these resources bear."""
        return min(int(resources.get(name, 0.0) // count) for name, count in self._needs.items() if count)

    def submit(self, item: Item) -> None:
        actor = self._idle.pop() if self._idle else self._actor.remote(self._recipe, self._threads)
        self._busy[actor.work.remote(item)] = actor, item, self._clock.now()

    def wait(self, timeout_s: float | None) -> Sequence[Outcome]:
        ready, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=timeout_s)
        return [self._take(answer) for answer in ready]

    def close(self) -> None:
        for actor in (*self._idle, *(actor for actor, _, _ in self._busy.values())):
            self._ray.kill(actor)
        self._idle.clear()
        self._busy.clear()
        self._ray.shutdown()

    def _take(self, answer: Any) -> Outcome:
        actor, item, began = self._busy.pop(answer)
        try:
            outcome = self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            self._ray.kill(actor)
            sentence = f"the worker, or the machine that it ran on, was lost ({type(error).__name__})"
            return Outcome(item, None, KINDS["worker"], sentence, self._clock.now() - began)
        self._idle.append(actor)
        assert isinstance(outcome, Outcome)
        return outcome


def _connect(address: str) -> Any:
    """Return the module ray, connected to a cluster."""
    require_extra("ray", "--ray")
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(f"there is no Ray cluster at {address} ({error}): start one with `ray start --head`") from error
    return ray
