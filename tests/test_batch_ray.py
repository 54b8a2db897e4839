"""A run on a real Ray cluster of several node processes on the loopback, one of which is killed in the middle."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import planted
from support.media import write_clip

from vidcam.batch import ray_cluster
from vidcam.batch.executors import open_executor
from vidcam.batch.plan import Item, make_plan
from vidcam.batch.run import Status, begin_run, run_items
from vidcam.batch.tables import write_tables
from vidcam.batch.tasks import Annotate
from vidcam.batch.worker import Outcome, Recipe
from vidcam.errors import UsageError
from vidcam.io.clock import Stop
from vidcam.settings import Settings

ROOT = Path(__file__).parent.parent
CLIPS = 6


def test_missing_ray_is_told_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"--ray needs the package ray: pip install 'vidcam\[ray\]'"):
        open_executor("ray", Recipe(tmp_path, [], Annotate(Settings())), address="auto")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes that can hold one worker each, and the one that the driver belongs to, which can hold none."""
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # nodes on the loopback, as on a Mac
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    paths = [str(ROOT), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    pytest.importorskip("ray", reason="needs ray, an extra")
    from ray.cluster_utils import Cluster

    size = {"object_store_memory": 80_000_000}
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **size})
    try:
        nodes.doomed = nodes.add_node(num_cpus=1, **size)
        nodes.add_node(num_cpus=1, **size)
        yield nodes
    finally:
        nodes.shutdown()


@pytest.mark.filterwarnings("ignore")  # of ray
def test_lost_node_loses_no_video(cluster: Any, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    sources = [str(write_clip(tmp_path / f"{n}.mp4", frames=9, size=(96, 128))) for n in range(CLIPS)]
    (tmp_path / "bad.mp4").write_text("this is no video")
    plan = make_plan([*sources, str(tmp_path / "bad.mp4")], folder, {}, {"video": folder / "{name}.vidcam.mp4"})
    recipe = Recipe(folder, [{"model": f"{planted.__file__}:patches", "engine": "torch"}], Annotate(Settings()))
    outcomes: list[Outcome] = []

    def report(status: Status, outcome: Outcome | None) -> None:
        if outcome is not None:
            outcomes.append(outcome)
            if len(outcomes) == 1:
                cluster.remove_node(cluster.doomed, allow_graceful=False)

    executor = open_executor("ray", recipe, address=cluster.address, threads=1)
    assert executor.slots == 2
    status = run_items(plan, begin_run(plan), executor, report=report, stop=Stop())
    write_tables(plan, Annotate.columns)
    assert (status.done, status.failed) == (CLIPS, 1)
    assert sorted(outcome.item.name for outcome in outcomes) == ["0", "1", "2", "3", "4", "5", "bad"]
    assert len(list(folder.glob("*.mp4"))) == CLIPS  # hidden ones too, which a lost worker has left half-written
    assert len((folder / "results.csv").read_text().splitlines()) == 1 + CLIPS
    assert "bad.mp4" in (folder / "failed.csv").read_text()


def test_actor_that_is_not_yet_counted_makes_no_place_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = SimpleNamespace(
        available_resources=lambda: {"CPU": 5.0}, cluster_resources=lambda: {"CPU": 5.0}, remote=lambda _: actor
    )
    actor = SimpleNamespace(
        options=lambda **_: actor, remote=lambda *_: actor, work=SimpleNamespace(remote=lambda item: item.name)
    )
    monkeypatch.setattr(ray_cluster, "_connect", lambda address: ray)
    executor = ray_cluster.RayActors(Recipe(tmp_path, [], Annotate(Settings())), address="auto")
    assert executor.slots == 2
    for name in ("a", "b"):  # what is free stays as it was
        executor.submit(Item(name, name, {}))
    assert executor.slots == 2
    ray.cluster_resources = ray.available_resources = lambda: {"CPU": 9.0}  # a machine comes
    assert executor.slots == 4
    limited = ray_cluster.RayActors(Recipe(tmp_path, [], Annotate(Settings())), address="auto", jobs=3)
    assert limited.slots == 3
