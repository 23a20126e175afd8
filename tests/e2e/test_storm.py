"""Changes at random while workers and the watcher are killed and Redis is flushed: in the end everything is right."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from bench import world as cluster
from tests.e2e.scene import Scene
from tests.support import wait_for

OPERATIONS = 240
INGRESSES = f"/apis/networking.k8s.io/v1/namespaces/{cluster.NAMESPACE}/ingresses"


class Storm:
    """Random operations on forty Ingresses; `hosts` is what each live one names."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene = scene
        self.draw = random.Random(seed)
        self.hosts: dict[int, str] = {}

    def operate(self) -> None:
        number = self.draw.randrange(40)
        if number not in self.hosts:
            self.scene.load(cluster.objects_of(number))
            self.hosts[number] = cluster.host(number)
            return
        choices: list[Callable[[int], None]] = [self.delete, self.rescale, self.move, self.toggle_tls]
        self.draw.choice(choices)(number)

    def delete(self, number: int) -> None:
        self.scene.kube.delete(f"{INGRESSES}/i{number:05d}")
        del self.hosts[number]

    def rescale(self, number: int) -> None:
        self.scene.load([cluster.endpoint_slice(number, self.draw.randrange(9))])

    def move(self, number: int) -> None:
        self.hosts[number] = f"m{self.draw.randrange(1000)}.example.com"
        self.scene.load([self.ingress(number, tls=number % 2 == 0)])

    def toggle_tls(self, number: int) -> None:
        self.scene.load([self.ingress(number, tls=self.draw.random() < 0.5)])

    def ingress(self, number: int, *, tls: bool) -> dict[str, Any]:
        obj = cluster.objects_of(number)[2]
        obj["spec"]["rules"][0]["host"] = self.hosts[number]
        obj["spec"].pop("tls", None)
        if tls:
            obj["spec"]["tls"] = [{"hosts": [self.hosts[number]], "secretName": "tls"}]
        return obj

    def break_something(self, turn: int) -> None:
        """Every 15th operation kills a worker, every 80th the watcher, every 100th empties Redis."""
        if turn % 15 == 14:
            self.scene.stack.kill(self.draw.choice(self.scene.workers()))
            self.scene.stack.start_worker()
        if turn % 80 == 60:
            self.scene.stack.kill("watcher")
            self.scene.stack.start_watcher()
        if turn % 100 == 50:
            self.scene.state.client.flushall()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm_leaves_nothing_wrong_behind(scene: Scene, seed: int) -> None:
    """After 240 changes, 16 killed workers, 3 killed watchers and 2 flushes: right objects and statuses, no orphan."""
    storm = Storm(scene, seed)
    for turn in range(OPERATIONS):
        storm.operate()
        storm.break_something(turn)
    hosts = set(storm.hosts.values())

    def statuses() -> dict[int, set[str]]:
        return {number: {row["hostname"] for row in scene.status(number)} for number in storm.hosts}

    wanted = {number: {host} for number, host in storm.hosts.items()}
    wait_for(lambda: statuses() == wanted and scene.quiet(), seconds=90, what=f"calm after storm {seed}")
    pools = scene.ours("pool").values()
    assert {
        value for pool in pools for row in pool["markers"] if row["key"] == "Host" for value in row["values"]
    } == hosts
    fqdns = {row["fqdn"] for vsvip in scene.ours("vsvip").values() for row in vsvip["dns_info"]}
    assert {fqdn for fqdn in fqdns if "Shared-L7" not in fqdn} == hosts
    scene.forget_audit()
    scene.work().mark([*scene.all_keys(), "resync"], "change", "look again")
    wait_for(lambda: any("/api/pool?" in call["path"] for call in scene.audit()), what="a census")
    wait_for(scene.quiet, seconds=30, what="quiet")
    assert scene.writes() == []
