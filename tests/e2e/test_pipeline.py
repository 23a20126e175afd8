"""A change in Kubernetes becomes Avi objects: over the same processes as the demo."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from bench import world as cluster
from tests.e2e.scene import Scene
from tests.support import wait_for

TLS, PLAIN = cluster.host(0), cluster.host(1)
INGRESS = f"/apis/networking.k8s.io/v1/namespaces/{cluster.NAMESPACE}/ingresses"


def servers(scene: Scene, pool: str) -> set[str]:
    return {server["ip"]["addr"] for server in scene.ours("pool")[pool].get("servers", [])}


def tls_pool() -> str:
    return f"bench--bench-{TLS}_-i00000"


def plain_pool() -> str:
    return f"bench--{PLAIN}_-bench-i00001"


def test_every_part_is_a_process_of_its_own(two_hosts: Scene) -> None:
    """Redis, both simulators, the watcher and two workers are six different live processes."""
    pids = two_hosts.pids()
    assert sorted(pids) == ["avi", "kube", "redis", "watcher", "worker-1", "worker-2"]
    assert len(set(pids.values())) == 6
    assert all(psutil.pid_exists(pid) for pid in pids.values())


def test_the_life_of_two_hosts(two_hosts: Scene) -> None:
    """Created, endpoints changed, host changed, deleted: the controller follows; only the vsvips stay."""
    scene = two_hosts
    assert servers(scene, tls_pool()) == set(cluster.addresses(0))
    assert servers(scene, plain_pool()) == set(cluster.addresses(1))
    assert set(scene.ours("sslkeyandcertificate")) == {f"bench--{TLS}"}
    assert {row["ip"] for row in scene.status(0)} <= {
        vip["ip_address"]["addr"] for vsvip in scene.ours("vsvip").values() for vip in vsvip["vip"]
    }

    scene.load([cluster.endpoint_slice(0, change=3)])
    wait_for(lambda: servers(scene, tls_pool()) == set(cluster.addresses(0, 3)), what="the new servers")

    moved = cluster.objects_of(1)[2]
    moved["spec"]["rules"][0]["host"] = "moved.example.com"
    scene.load([moved])
    wait_for(lambda: "bench--moved.example.com_-bench-i00001" in scene.ours("pool"), what="the pool of the new host")
    wait_for(lambda: plain_pool() not in scene.ours("pool"), what="the end of the old host's pool")
    wait_for(
        lambda: [row["hostname"] for row in scene.status(1)] == ["moved.example.com"], what="the status of the new host"
    )

    scene.kube.delete(f"{INGRESS}/i00000")
    scene.kube.delete(f"{INGRESS}/i00001")
    for type_ in ("virtualservice", "pool", "poolgroup", "httppolicyset", "vsdatascriptset", "sslkeyandcertificate"):
        wait_for(lambda type_=type_: not scene.ours(type_), seconds=20, what=f"the end of every {type_}")  # type: ignore[misc]
    for name, vsvip in scene.ours("vsvip").items():
        assert [row["fqdn"] for row in vsvip["dns_info"]] == [f"{name}.admin.avi.internal"]


def test_a_second_run_writes_nothing(two_hosts: Scene) -> None:
    """When every key runs again over the same world, the controller sees GETs at most."""
    scene = two_hosts
    wait_for(scene.quiet, what="quiet")
    scene.forget_audit()
    marked = scene.all_keys()
    assert any(key.startswith("host:") for key in marked)
    assert any(key.startswith("shard:") for key in marked)
    runs_before = scene.state.hash("ended")
    scene.work().mark(marked, "change", "run again")
    wait_for(scene.quiet, what="quiet")
    assert scene.state.hash("ended") != runs_before
    assert any(call["method"] == "GET" and "vrfcontext" in call["path"] for call in scene.audit())
    assert scene.writes() == []


def test_a_restart_of_everything_writes_nothing(two_hosts: Scene) -> None:
    """Watcher and workers stopped and started again, on a flushed Redis: lists, a census, and no write."""
    scene = two_hosts
    wait_for(scene.quiet, what="quiet")
    scene.stop_pipeline()
    scene.state.client.flushall()
    scene.forget_audit()
    scene.restart()
    wait_for(lambda: scene.state.fields("meta", ["ledger_complete"]) == ["1"], what="the census")
    wait_for(lambda: len(scene.state.hash("rows")) == 2 and scene.quiet(), what="every host having run")
    assert [write for write in scene.writes() if write[1] != "/login"] == []


def test_dual_stack_comes_with_the_setting(two_hosts: Scene) -> None:
    """After `v6cidr` was added and the processes restarted, each VIP has both addresses and keeps its first one."""
    scene = two_hosts
    before = {row["ip"] for row in scene.status(0)}
    values = cluster.values(leaseTTL=3)
    values["NetworkSettings"]["vipNetworkList"][0]["v6cidr"] = "2001:db8:10::/64"
    scene.restart(values)
    wait_for(lambda: len(scene.status(0)) == 2 and len(scene.status(1)) == 2, seconds=30, what="both families")
    addresses = [row["ip"] for row in scene.status(0)]
    assert addresses[0] in before
    assert addresses[1].startswith("2001:db8:10:")


@pytest.mark.parametrize(
    ("point", "count"), [("after-claim", 0), ("after-write", 1), ("after-write", 3), ("before-finish", 0)]
)
def test_a_killed_worker_loses_nothing(scene: Scene, tmp_path: Path, point: str, count: int) -> None:
    """A worker killed at a named point of a host's run: another completes the host, and no object is created twice."""
    for name in scene.workers():
        scene.stack.kill(name)
    mark = tmp_path / "mark"
    doomed = scene.doomed_worker(point, f"host:{TLS}", count, mark)
    scene.load([obj for number in (0, 1) for obj in cluster.objects_of(number)])
    wait_for(lambda: not doomed.alive, seconds=30, what=f"the worker's death at {point}")
    assert mark.read_text().split() == [point, f"host:{TLS}", str(count)]
    assert doomed.process.returncode == -9
    scene.stack.start_worker()
    scene.converged(0, 1, seconds=30)
    assert set(scene.ours("sslkeyandcertificate")) == {f"bench--{TLS}"}
    assert servers(scene, tls_pool()) == set(cluster.addresses(0))
    created = [(call["path"].rstrip("/"), call["body"]["name"]) for call in scene.audit() if call["status"] == 201]
    assert len(created) == len(set(created))
