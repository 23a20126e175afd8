"""A running pipeline over a small cluster that can be changed, and what must be true of it.

What is wanted of the controller is computed here from the Ingresses as they were last loaded, and not by asking the
code that is under test: which pools there must be and with which servers, which certificates, which FQDNs, which
Ingress has which host in its status.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from bench import world as cluster
from cli.processes import Child, module
from shared.state.keys import RESYNC
from tests.chaos import sorts
from tests.chaos.balanced import Balanced
from tests.chaos.figures import Figure
from tests.chaos.ground import FOREIGN, Strangers
from tests.chaos.redis_log import cut_log
from tests.e2e.scene import Scene
from tests.support import wait_for

INGRESSES = f"/apis/networking.k8s.io/v1/namespaces/{cluster.NAMESPACE}/ingresses"
KEPT_CALLS = 50_000  # the simulator forgets older ones
READ_TIMEOUT = 3.0
# The name that a container keeps when it is restarted; Kubernetes passes it to the pod in the same way.
WATCHER = {"POD_NAME": "watcher-0"}
_TYPES = ("pool", "poolgroup", "httppolicyset", "l4policyset", "sslkeyandcertificate", "virtualservice", "vsvip")


@dataclass(slots=True)
class Shape:
    """An Ingress as it was last loaded; `change` numbers the endpoints of its Service."""

    host: str
    tls: bool
    change: int = 0


class Site:
    """A pipeline of real processes over `hosts` Ingresses, converged when it is entered, beside objects of others.

    `ttl` is the lease in seconds, `latency` what each call to the controller takes in milliseconds, `watcher` more of
    the watcher's command line, `services` how many Services of type LoadBalancer there are, `nodes` how many more nodes
    than two.
    """

    def __init__(
        self,
        folder: Path,
        hosts: int,
        *,
        ttl: float = 3.0,
        workers: int = 2,
        latency: int = 0,
        redis_url: str = "",
        seed: int = 1,
        watcher: Sequence[str] = (),
        services: int = 0,
        nodes: int = 0,
    ) -> None:
        # A call that was cut off may take effect until its answer would have been given up; then all comes to rest.
        values = cluster.values(leaseTTL=ttl, readTimeout=READ_TIMEOUT)
        if services:
            values["NetworkSettings"]["vipNetworkList"][0]["v6cidr"] = "2001:db8:10::/64"
            values["featureGates"] = {"IPv6LoadBalancer": True}
        self.scene = Scene(folder, values, foreign=FOREIGN, workers=workers, watcher=False)
        self.scene.stack.redis_url = redis_url
        self.draw = random.Random(seed)
        self.ttl, self._watcher = ttl, watcher
        self.ingresses: dict[int, Shape] = {}
        self.balanced = Balanced(self.scene, services)
        self._hosts, self._nodes, self._latency, self._moves, self._altered = hosts, nodes, latency, 0, 0

    def __enter__(self) -> Site:
        self.scene.__enter__()
        try:
            self.scene.load([*cluster.base(), *map(sorts.node, range(self._nodes))])
            self.strangers = Strangers(self.scene)
            self.start_watcher()
            self.add(*range(self._hosts))
            self.balanced.add(*range(self.balanced.count))
            self.settled(seconds=180)
            self.scene.avi_switch("latency", {"ms": self._latency})
            self.scene.forget_audit()
        except BaseException:
            self.scene.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.scene.__exit__(kind, error, trace)

    # -- processes -----------------------------------------------------------------------------------------------

    def start_watcher(self) -> Child:
        """Starts the watcher, under the name that it had before."""
        return self.scene.stack.start_watcher(*self._watcher, **WATCHER)

    def start_altered(self, *what: str) -> Child:
        """Starts a worker with something wrong with it; see altered_worker.py."""
        self._altered += 1
        stack, name = self.scene.stack, f"worker-{what[0]}-{self._altered}"
        environ = {**stack.environ, "READY_FILE": str(stack._ready_file(name))}
        return stack.family.spawn(name, module("tests.chaos.altered_worker", *what), environ)

    def stop_redis(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends Redis at once."""
        self.scene.stack.kill("redis", number)

    def restart_redis(self, *, empty: bool = False, without: int = 0) -> None:
        """Starts Redis again: with its data, with none (`empty`), or `without` its last so many commands."""
        if self.scene.stack.processes()["redis"].alive:
            self.stop_redis()
        folder = self.scene.directory / "redis" / "appendonlydir"
        if empty:
            shutil.rmtree(folder)
        elif without:
            cut_log(folder, without)
        self.scene.stack.again("redis")

    def claimed(self, *names: str) -> set[str]:
        """The keys that some processes, alive or not, have claimed."""
        children = self.scene.stack.processes()
        pids = [f"-{children[name].pid}-" for name in names]
        return {key for key, claim in self.scene.state.hash("claim").items() if any(pid in claim for pid in pids)}

    def busy(self) -> list[str]:
        """The names of the live workers that hold a claim now."""
        return [name for name in self.scene.workers() if self.claimed(name)]

    def kill_workers(self) -> int:
        """SIGKILLs every worker; returns how many there were."""
        names = self.scene.workers()
        for name in names:
            self.scene.stack.kill(name)
        return len(names)

    # -- changes of the cluster ----------------------------------------------------------------------------------

    def add(self, *numbers: int) -> None:
        """Creates Services, endpoints and Ingresses; those with an even number have TLS."""
        for number in numbers:
            self.ingresses[number] = Shape(cluster.host(number), number % 2 == 0)
        self.scene.load([obj for number in numbers for obj in cluster.objects_of(number)])

    def rescale(self, *numbers: int) -> None:
        """Gives the Services of some Ingresses other endpoints."""
        for number in numbers:
            self.ingresses[number].change += 1
        self.scene.load([cluster.endpoint_slice(number, self.ingresses[number].change) for number in numbers])

    def remove(self, number: int) -> None:
        """Deletes an Ingress."""
        del self.ingresses[number]
        self.scene.kube.delete(f"{INGRESSES}/i{number:05d}")

    def move(self, number: int) -> None:
        """Gives an Ingress a host that nobody had before."""
        self._moves += 1
        self.ingresses[number].host = f"m{self._moves:05d}.{cluster.DOMAIN}"
        self.scene.load([self._ingress(number)])

    def toggle_tls(self, number: int) -> None:
        """Takes the certificate away from an Ingress, or gives it one."""
        self.ingresses[number].tls = not self.ingresses[number].tls
        self.scene.load([self._ingress(number)])

    def anything(self) -> None:
        """One random change: mostly of endpoints, as in a living cluster."""
        if self.balanced.count and self.draw.randrange(self._hosts + self.balanced.count) >= self._hosts:
            self.balanced.anything(self.draw)
            return
        number = self.draw.randrange(self._hosts)
        if number not in self.ingresses:
            self.add(number)
        elif self.draw.random() < 0.8:
            self.rescale(number)
        else:
            choices: list[Callable[[int], None]] = [self.remove, self.move, self.toggle_tls]
            self.draw.choice(choices)(number)

    def _ingress(self, number: int) -> dict[str, Any]:
        obj, shape = cluster.objects_of(number)[2], self.ingresses[number]
        obj["spec"]["rules"][0]["host"] = shape.host
        obj["spec"].pop("tls", None)
        if shape.tls:
            obj["spec"]["tls"] = [{"hosts": [shape.host], "secretName": "tls"}]
        return obj

    # -- what must be true ---------------------------------------------------------------------------------------

    def wrong(self) -> list[str]:
        """What is not as the Ingresses want it: names of missing or different objects and statuses."""
        stands, wanted = self._standing(), self._wanted()
        return [name for name, content in wanted.items() if stands.get(name) != content]

    def orphans(self) -> list[str]:
        """Our objects that nothing wants any more."""
        return sorted(self._standing().keys() - self._wanted().keys())

    def unsettled(self) -> list[str]:
        """What is left to do, or wrong, or left behind."""
        return self.scene.unfinished() or self.wrong() or self.orphans()

    def settled(self, *, seconds: float) -> float:
        """Waits until everything is right and nothing is left to do; returns how long that took, in seconds."""
        began = time.monotonic()

        def done() -> bool:
            time.sleep(0.05)  # a look costs the simulators something
            return not self.unsettled()

        wait_for(done, seconds=seconds, what="calm")
        return time.monotonic() - began

    def served(self, number: int, *, seconds: float) -> float:
        """Waits until the pool of an Ingress has its servers; returns how long that took, in seconds."""
        began, wanted = time.monotonic(), set(cluster.addresses(number, self.ingresses[number].change))

        def done() -> bool:
            found = self._objects("pool")["pool"].get(self.pool(number), {})
            return {server["ip"]["addr"] for server in found.get("servers", [])} == wanted

        wait_for(done, seconds=seconds, what=f"the servers of Ingress {number}")
        return time.monotonic() - began

    def incarnation(self) -> str | None:
        """What names the content of Redis now."""
        return self.scene.state.fields("meta", ["incarnation"])[0]

    def rebuilt(self, before: str | None, *, seconds: float) -> None:
        """Waits until a watcher has begun anew, after the incarnation `before`, and mirror and ledger are complete."""

        def done() -> bool:
            now, *complete = self.scene.state.fields("meta", ["incarnation", "mirror_complete", "ledger_complete"])
            # The census marks every key before it lets go of its own.
            return now != before and complete == ["1", "1"] and RESYNC not in self.scene.state.hash("claim")

        wait_for(done, seconds=seconds, what="mirror and ledger being complete")

    def rows(self) -> int:
        """How many hosts and Services of type LoadBalancer have run and left their row."""
        return len(self.scene.state.hash("rows")) + len(self.scene.state.hash("served"))

    def aftermath(self) -> Iterator[Figure]:
        """What every scenario must leave behind, measured after `settled`."""
        yield Figure("keys left unfinished", len(self.scene.unfinished()), "==", 0)
        yield Figure("wrong or missing objects and statuses", len(self.wrong()), "==", 0)
        yield Figure("orphans on the controller", len(self.orphans()), "==", 0)
        yield self.strangers.touched()

    def look_again(self) -> int:
        """Lets a census and every key run once more; returns how many writes that caused."""
        self.scene.forget_audit()
        self.scene.work().mark([*self.scene.all_keys(), "resync"], "change", "look again")
        wait_for(lambda: any("/api/pool?" in call["path"] for call in self.calls()), what="a census")
        wait_for(self.scene.quiet, seconds=60, what="quiet")
        return len(self.writes())

    def calls(self) -> list[dict[str, Any]]:
        """The calls to the controller's API since the audit was begun, each with the time `t` of its arrival."""
        calls = self.scene.audit()
        assert len(calls) < KEPT_CALLS, "more calls than the simulator remembers"
        return calls

    def writes(self) -> list[dict[str, Any]]:
        """Those that write."""
        return [call for call in self.calls() if call["method"] != "GET"]

    def deletes(self) -> int:
        """How many objects were asked to be deleted since the audit was begun."""
        return sum(1 for call in self.writes() if call["method"] == "DELETE")

    def statuses(self) -> dict[str, list[dict[str, Any]]]:
        """What stands in the status of each Ingress, by name."""
        items = [item for page in self.scene.kube.pages(INGRESSES, limit=0) for item in page.items]
        return {
            item["metadata"]["name"]: item.get("status", {}).get("loadBalancer", {}).get("ingress", [])
            for item in items
        }

    def pool(self, number: int) -> str:
        """The name of the pool of an Ingress."""
        shape = self.ingresses[number]
        if shape.tls:
            return f"bench--{cluster.NAMESPACE}-{shape.host}_-i{number:05d}"
        return f"bench--{shape.host}_-{cluster.NAMESPACE}-i{number:05d}"

    def _wanted(self) -> dict[str, Any]:
        wanted = self.balanced.wanted()
        for number, shape in self.ingresses.items():
            wanted[f"pool {self.pool(number)}"] = set(cluster.addresses(number, shape.change))
            wanted[f"fqdn {shape.host}"] = True
            wanted[f"status i{number:05d}"] = {shape.host}
            if shape.tls:
                wanted[f"sslkeyandcertificate bench--{shape.host}"] = True
                wanted[f"virtualservice bench--{shape.host}"] = True
                wanted[f"httppolicyset bench--{cluster.NAMESPACE}-{shape.host}"] = True
                wanted[f"poolgroup {self.pool(number)}"] = True
        return wanted

    def _standing(self) -> dict[str, Any]:
        """What stands of all that an Ingress brings about; the objects that hosts share are seen by `look_again`."""
        found = self._objects(*_TYPES)
        fqdns = {row["fqdn"] for obj in found.pop("vsvip").values() for row in obj.get("dns_info", [])}
        standing: dict[str, Any] = {f"fqdn {fqdn}": True for fqdn in fqdns if "Shared-L7" not in fqdn}
        for type_, objects in found.items():
            standing |= {f"{type_} {name}": True for name in objects if "Shared-L7" not in name}
        for name, obj in found["pool"].items():
            standing[f"pool {name}"] = {server["ip"]["addr"] for server in obj.get("servers", [])}
        return (
            standing
            | self.balanced.statuses()
            | {f"status {name}": {row["hostname"] for row in rows} for name, rows in self.statuses().items()}
        )

    def _objects(self, *types: str) -> dict[str, dict[str, dict[str, Any]]]:
        """Our objects of some types, by type and name."""
        found: dict[str, dict[str, dict[str, Any]]] = self.scene.stack.avi_control(f"dump?type={','.join(types)}")
        return {
            type_: {name: obj for name, obj in found.get(type_, {}).items() if name.startswith("bench--")}
            for type_ in types
        }
