"""Real processes: Redis, both simulators, a watcher and workers, and 200 objects of others on the controller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import world as cluster
from tests.e2e.scene import Scene

FOREIGN = 200


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A running pipeline over an empty cluster; ends with the objects of others untouched."""
    with Scene(tmp_path, cluster.values(leaseTTL=3), foreign=FOREIGN) as running:
        running.load(cluster.base())
        before = running.foreign()
        assert len(before) >= FOREIGN
        yield running
        assert running.foreign() == before


@pytest.fixture
def two_hosts(scene: Scene) -> Scene:
    """Host 0 (TLS) and host 1 (plain), converged."""
    scene.load([obj for number in (0, 1) for obj in cluster.objects_of(number)])
    scene.converged(0, 1)
    return scene


def names(objects: list[dict[str, Any]]) -> set[str]:
    return {str(obj["name"]) for obj in objects}
