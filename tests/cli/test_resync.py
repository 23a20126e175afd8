"""`ako resync` where nobody works: what it says, and that it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.main import main
from shared.state import Ledger, Mirror, State, Work


@pytest.fixture
def values(redis_url: str, tmp_path: Path) -> str:
    """The settings of a cluster whose Redis this is."""
    path = tmp_path / "values.yaml"
    path.write_text(
        "AKOSettings: {clusterName: c1}\nControllerSettings: {controllerHost: 127.0.0.1}\n"
        "NetworkSettings: {vipNetworkList: [{networkName: net1, cidr: 10.10.0.0/16}]}\n"
        f"pipeline: {{redisURL: '{redis_url}'}}\n"
    )
    return str(path)


def test_without_a_watcher_there_is_nothing_to_compare(values: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is marked, and the sentence says what to start."""
    assert main(["resync", "--values", values]) == 1
    assert "no watcher has begun its work yet" in capsys.readouterr().err


def test_without_a_worker_it_ends_in_time(values: str, redis_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The census stays asked for, and the sentence says where to look."""
    state = State(redis_url, "c1")
    mirror = Mirror(state)
    mirror.complete(mirror.begin("a-digest"))
    assert main(["resync", "--values", values, "--timeout", "0.1", "--allow-vip-change"]) == 1
    assert "waiting for the census: not in time" in capsys.readouterr().err
    assert Ledger(state).allows_vip_change("a-digest")
    assert not Ledger(state).allows_vip_change("another")
    claim = Work(state, worker="w", digest="a-digest", lease_ttl=5).claim()
    assert claim is not None
    assert (claim.key, claim.cause) == ("resync", "ako resync")
    state.close()
