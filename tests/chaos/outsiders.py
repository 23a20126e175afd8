"""Others write to the same controller: into lists that we share with them, and over objects that are ours."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from shared.avi.client import AviClient
from shared.errors import AviNotFound, AviReferenced, AviStale
from shared.settings.model import Credentials
from simulator.avi.app import AviSimulator
from simulator.avi.foreign import PEM
from simulator.server import running
from tests.chaos import site as pipelines
from tests.chaos.figures import Figure, Scale, scenario
from tests.chaos.ground import own_redis, percentile, quiet
from tests.support import wait_for
from tests.workers.site import PASSWORD, Site

WRITERS, ROUTES, FOREIGN_ROUTES = 8, 200, 20
LATENCY = 0.005
BETWEEN = 0.1  # seconds between two nodes of a cluster, on average, and between two edits of the outsider

Body = dict[str, Any]


@scenario("routes-storm", "eight clusters and an outsider change the static routes of one VRF at the same time")
def routes_storm(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Each cluster gets its nodes one after the other, ten in a second if it can; every call takes 5 ms."""
    each = scale.of(1, 5)  # storms: the nodes go again between two of them
    simulator = AviSimulator(password=PASSWORD)
    with quiet("workers"), own_redis(folder) as redis_url, running(simulator.handle) as server:
        outsider = Outsider(server.url)
        writers = [Writer(redis_url, server.url, simulator, number) for number in range(WRITERS)]
        simulator.faults.latency = LATENCY
        wrong = 0
        retries: list[int] = []
        for _ in range(each):
            with outsider.editing(), ThreadPoolExecutor(WRITERS) as pool:
                list(pool.map(Writer.add_nodes, writers))
            routes = outsider.routes()
            wrong += sum(_is_wrong(routes, writer) for writer in writers)
            retries += [count for writer in writers for count in writer.retries]
            for writer in writers:
                writer.remove_nodes()
        yield Figure("routes wanted", sum(len(writer.prefixes()) for writer in writers), "==", ROUTES)
        yield Figure("routes missing, doubled or not wanted", wrong, "==", 0)
        yield Figure("foreign routes", len(outsider.wanted), "==", FOREIGN_ROUTES)
        yield Figure("edits by the outsider", outsider.edits, ">=", 10 * each)
        yield Figure("foreign routes that are not as the outsider left them", outsider.wrong(), "==", 0)
        yield Figure("writes", len(retries), ">=", WRITERS * each)
        yield Figure("writes that met somebody else's", sum(count > 0 for count in retries), ">=", 1)
        yield Figure("repetitions of a write, p99", percentile(retries, 0.99), "<=", 5)
        yield Figure("runs that gave up", sum(writer.gave_up for writer in writers), "==", 0)
        for writer in writers:
            writer.close()


def _is_wrong(routes: list[Body], writer: Writer) -> int:
    """How many of the routes labelled for a cluster are missing, doubled or not wanted."""
    label = {"key": "clustername", "value": writer.cluster}
    found = sorted(_prefix(route) for route in routes if label in route.get("labels", []))
    wanted = sorted(writer.prefixes())
    return len(set(found) ^ set(wanted)) + len(found) - len(set(found))


def _prefix(route: Body) -> str:
    return f"{route['prefix']['ip_addr']['addr']}/{route['prefix']['mask']}"


class Writer:
    """A worker of one cluster that counts how often each of its writes of the routes had to be repeated."""

    def __init__(self, redis_url: str, url: str, simulator: AviSimulator, number: int) -> None:
        self.cluster, self._number = f"cluster{number}", number
        self.retries: list[int] = []
        self.gave_up = 0
        self._draw = random.Random(number)
        self._site = Site(redis_url, url, simulator, CLUSTER_NAME=self.cluster)
        self._site.delete("Node", "node1", "node2")
        self._site.run()
        self._site.worker.keeper.start()  # renews the claims of runs that have to repeat their writes
        self._count()

    def prefixes(self) -> list[str]:
        """The pod networks of the nodes."""
        return [f"10.{100 + self._number}.{node}.0/24" for node in range(ROUTES // WRITERS)]

    def add_nodes(self) -> None:
        """Lets one node after the other join, and works on what that means."""
        self.retries.clear()
        for number, prefix in enumerate(self.prefixes()):
            metadata, address = {"name": f"n{number}"}, f"10.50.{self._number}.{number + 1}"
            status = {"addresses": [{"type": "InternalIP", "address": address}]}
            self._site.apply({"kind": "Node", "metadata": metadata, "spec": {"podCIDRs": [prefix]}, "status": status})
            self._site.run()
            time.sleep(self._draw.uniform(0, 2 * BETWEEN))
        self.gave_up += self._site.failures("routes:admin/global")
        self._finish()

    def remove_nodes(self) -> None:
        """Lets all nodes leave."""
        self._site.delete("Node", *(f"n{number}" for number in range(ROUTES // WRITERS)))
        self._site.run()
        self._finish()

    def close(self) -> None:
        """Closes the connections."""
        self._site.avi.close()
        self._site.worker.stop()

    def _finish(self) -> None:
        while self._site.failures("routes:admin/global"):
            self._site.bring_forward()
            self._site.run()

    def _count(self) -> None:
        update, stale = self._site.worker.avi.update, [0]

        def counted(*args: Any, **kwargs: Any) -> Body:
            try:
                answer = update(*args, **kwargs)
            except AviStale:
                stale[0] += 1
                raise
            self.retries.append(stale[0])
            stale[0] = 0
            return answer

        self._site.worker.avi.update = counted  # type: ignore[method-assign]


class Outsider:
    """Somebody who keeps routes of his own in the VRF and changes them all the time, as carefully as we do."""

    def __init__(self, url: str) -> None:
        self._avi = AviClient(url, Credentials("admin", PASSWORD))
        self._over = threading.Event()
        self.edits = 0
        self.wanted: dict[str, Body] = {f"by-hand-{n}": _foreign(n, 250) for n in range(FOREIGN_ROUTES)}
        self._write()

    def routes(self) -> list[Body]:
        """Every route in the VRF."""
        found = self._avi.find("vrfcontext", "global")
        return list(found["static_routes"]) if found else []

    def wrong(self) -> int:
        """How many of his routes are not as he wrote them last."""
        there = {route["route_id"]: route for route in self.routes()}
        return sum(there.get(id_) != route for id_, route in self.wanted.items())

    @contextmanager
    def editing(self) -> Iterator[None]:
        """Edits one of his routes after the other while the block runs."""
        self._over.clear()
        thread = threading.Thread(target=self._edit)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _edit(self) -> None:
        while not self._over.wait(BETWEEN):
            number = self.edits % FOREIGN_ROUTES
            self.wanted[f"by-hand-{number}"] = _foreign(number, self.edits % 200)
            self._write()
            self.edits += 1

    def _write(self) -> None:
        while True:
            vrf = self._avi.find("vrfcontext", "global")
            assert vrf is not None
            others = [route for route in vrf.get("static_routes", []) if route["route_id"] not in self.wanted]
            try:
                self._avi.update("vrfcontext", vrf["uuid"], {**vrf, "static_routes": [*others, *self.wanted.values()]})
            except AviStale:
                continue
            return


def _foreign(number: int, hop: int) -> Body:
    prefix = {"ip_addr": {"addr": f"192.168.{number}.0", "type": "V4"}, "mask": 24}
    return {"route_id": f"by-hand-{number}", "prefix": prefix, "next_hop": {"addr": f"10.50.9.{hop}", "type": "V4"}}


# -- drift -----------------------------------------------------------------------------------------------------------

# What somebody does by hand to an object of each type. Not among it: fields that are not ours (a virtual service that
# is switched off by `enabled` stays off), taking our marks away, which takes the object away from us, and deleting a
# vsvip, whose address nobody can give back for certain.
EDITS: dict[str, Callable[[Body], Body]] = {
    "pool": lambda obj: {**obj, "servers": obj.get("servers", [])[1:]},
    "poolgroup": lambda obj: {**obj, "members": []},
    "httppolicyset": lambda obj: {**obj, "http_request_policy": {"rules": []}},
    "virtualservice": lambda obj: {**obj, "traffic_enabled": not obj.get("traffic_enabled", True)},
    "vsvip": lambda obj: {**obj, "dns_info": obj["dns_info"][:1]},
    "vsdatascriptset": lambda obj: {**obj, "datascript": [{"evt": "VS_DATASCRIPT_EVT_HTTP_REQ", "script": "-- gone"}]},
    "sslkeyandcertificate": lambda obj: {**obj, "certificate": {"certificate": PEM}},
}


@scenario("drift", "somebody edits and deletes objects of ours at random, all over the controller")
def drift(folder: Path, scale: Scale) -> Iterator[Figure]:
    """A census comes `interval` seconds after the one before, so nothing should be wrong for much longer than that."""
    hosts, edits, interval = scale.of(12, 60), scale.of(30, 200), scale.of(3, 10)
    with pipelines.Site(folder, hosts) as site:
        before = _objects(site)
        _census_every(site, interval)
        hand = Hand(site)
        while hand.edited + hand.deleted < edits:
            hand.meddle()
        meddled = time.monotonic()
        yield Figure("edits", hand.edited, ">=", edits // 2)
        yield Figure("deletes", hand.deleted, ">=", edits // 10)
        yield Figure("objects that were wrong at the end", _differing(before, _objects(site)), ">=", 1)
        wait_for(lambda: not _differing(before, _objects(site)), seconds=interval + 60, what="the repair")
        repaired = time.monotonic() - meddled
        yield Figure(f"everything repaired after (a census every {interval} s)", repaired, "<=", interval + 3, "s")
        site.settled(seconds=30)
        yield from site.aftermath()


def _census_every(site: pipelines.Site, seconds: int) -> None:
    """Sets the interval; the running processes follow."""
    path = Path(site.scene.stack.environ["AKO_VALUES"])
    values = yaml.safe_load(path.read_text())
    values["pipeline"]["resyncInterval"] = seconds
    path.write_text(yaml.safe_dump(values))
    site.scene.forget_audit()

    def censuses() -> int:
        return sum(call["path"].startswith("/api/cloud") for call in site.calls())

    wait_for(lambda: censuses() >= 2, seconds=30, what="two censuses at the new interval")


def _objects(site: pipelines.Site) -> dict[str, Body]:
    """Everything of ours as the controller has it, without uuids and times."""
    time.sleep(0.1)  # a look costs the simulator something
    found: dict[str, dict[str, Body]] = site.scene.stack.avi_control(f"dump?type={','.join(EDITS)}")
    return {
        f"{type_}/{name}": obj
        for type_, objects in found.items()
        for name, obj in objects.items()
        if name.startswith("bench--")
    }


def _differing(before: dict[str, Body], now: dict[str, Body]) -> int:
    return sum(before.get(id_) != now.get(id_) for id_ in before.keys() | now.keys())


class Hand:
    """Edits an object of ours, or deletes one; what the controller refuses (it is referred to) does not count."""

    def __init__(self, site: pipelines.Site) -> None:
        self._draw = random.Random(7)
        self._avi = site.scene.stack.avi_client()
        self._ids = sorted(_objects(site))
        self.edited = self.deleted = 0

    def meddle(self) -> None:
        """One edit or delete."""
        type_, _, name = self._draw.choice(self._ids).partition("/")
        obj = self._avi.find(type_, name)
        if obj is None:
            return  # deleted before, and not yet there again
        try:
            if self._draw.random() < 0.5 and type_ != "vsvip":
                self._avi.delete(type_, obj["uuid"])
                self.deleted += 1
            else:
                self._avi.update(type_, obj["uuid"], EDITS[type_](obj))
                self.edited += 1
        except (AviReferenced, AviStale, AviNotFound):
            return
