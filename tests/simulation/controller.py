"""The simulated controller without its HTTP: each call is a pause, may fail, and is watched.

Failures: no connection; an answer that is lost before or after the effect; an effect that comes after the client has
given up, as late as `READ_TIMEOUT` after the call; 500; 503; and somebody who changes our objects between two of our
calls, so that PUTs meet 412.

`Watch` is what must hold after every single call, whatever the faults: foreign objects stay as they were, no reference
dangles, and the hosts that nobody touches lose nothing. No certificate or key is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from shared.avi.calls import Answer, Call
from shared.errors import AviUnreachable
from simulator.avi.app import AviSimulator
from simulator.avi.foreign import foreign_objects
from simulator.avi.references import STORED
from simulator.avi.store import Record
from simulator.server import Request
from tests.simulation.scheduler import Process, Scheduler

READ_TIMEOUT = 30.0
FOREIGN = 30
SHARED = {"vrfcontext": "static_routes", "serviceenginegroup": "labels"}


class Controller:
    """One controller. `rate`: the share of calls that fail; `hang_next`: seconds that the next one takes longer."""

    def __init__(self, scheduler: Scheduler, cluster: str) -> None:
        self.scheduler = scheduler
        self.rate = 0.0
        self.hang_next = 0.0
        self.cluster = cluster
        self.simulator = AviSimulator(password="not-used-here")
        self.simulator.sessions.check = lambda request: None  # type: ignore[method-assign]
        self.simulator.loader.load(foreign_objects(FOREIGN))
        self.writes: list[str] = []
        self.deleted: list[str] = []  # names
        # A POST came so late that its object had been made by another one and been deleted: only a census sees it.
        self.resurrected = False
        self.watch = Watch(self)

    def send(self, process: Process, call: Call) -> Answer:
        """The answer to a call of a process."""
        scheduler = self.scheduler
        kinds = ("refused", "lost before", "lost after", "late", "late", "500", "503")
        fault = scheduler.draw.choice(kinds) if scheduler.draw.random() < self.rate else ""
        scheduler.say(f"{process.name}: {call} {fault}")
        if fault == "refused":
            scheduler.pause(0.0, 3.0)
            raise AviUnreachable("no connection", sent=False, where=str(call))
        if fault == "late":
            late = scheduler.draw.uniform(0.0, 0.9 * READ_TIMEOUT)
            scheduler.spawn(None, partial(self._late, call, len(self.deleted)), after=late)
        if fault in {"late", "lost before"}:
            scheduler.pause(0.0, 3.0)
            raise AviUnreachable("no answer", sent=True, where=str(call))
        hang, self.hang_next = self.hang_next, 0.0
        scheduler.pause(0.001 + hang, 0.05 + hang)
        if fault in {"500", "503"}:
            return Answer(int(fault), b'{"error": "out of order"}')
        answer = self.effect(process.name, call)
        scheduler.pause(0.001, 0.05)
        if fault == "lost after":
            scheduler.pause(0.0, 3.0)
            raise AviUnreachable("no answer", sent=True, where=str(call))
        return answer

    def _late(self, call: Call, sent: int) -> None:
        """The effect of a call whose client has given up."""
        answer = self.effect("late", call)
        if call.method == "POST" and answer.status == 201 and call.name in self.deleted[sent:]:
            self.resurrected = True

    def effect(self, who: str, call: Call) -> Answer:
        """What the call does, in one step."""
        parts = urlsplit(call.path)
        request = Request(
            call.method, parts.path, parse_qs(parts.query), {"x-avi-tenant": call.tenant}, call.body or b""
        )
        body = orjson.loads(call.body) if call.body else None
        record = self.simulator.store.records.get(parts.path.split("/")[-1])
        answer = self.simulator._act(request, [part for part in parts.path.split("/") if part], body)
        if call.method != "GET":
            self.scheduler.say(f"{who}: {call} -> {answer.status}")
            if call.type == "sslkeyandcertificate":
                assert answer.status != 400, f"{call} is refused: {answer.body!r}"
            if answer.status < 300:
                self.writes.append(f"{call.method} {call.type} {call.name}")
                if call.method == "DELETE" and record is not None:
                    self.deleted.append(record.name)
                self.watch.look(call)
        return Answer(answer.status, answer.body)

    def ours(self) -> Iterator[Record]:
        """Every object that this cluster has made."""
        for record in self.simulator.store.records.values():
            if record.name.startswith(f"{self.cluster}--"):
                yield record

    def dump(self) -> dict[str, Any]:
        """What is ours, comparable between two runs: by `type/name`, addresses by family, references by name."""
        found: dict[str, Any] = {}
        for type_, objects in self.simulator.loader.dump(set(), volatile=False).items():
            for name, body in objects.items():
                if type_ in SHARED:
                    entries = body.get(SHARED[type_]) or []
                    found[f"{type_}/{name}"] = sorted((e for e in entries if self._is_ours(e)), key=str)
                elif name.startswith(f"{self.cluster}--") and not self._is_kept(type_, name):
                    found[f"{type_}/{name}"] = _without_addresses(body)
        return found

    def _is_kept(self, type_: str, name: str) -> bool:
        """A shared vsvip stays when its shard empties, so that its address does.

        One with a hashed name, of a Service that is gone and had names of its own, tells nobody whose it is once Redis
        is lost: it is reported and left alone.
        """
        if type_ != "vsvip" or not ("--Shared-" in name or re.fullmatch(f"{self.cluster}--[0-9a-f]{{40}}", name)):
            return False
        store = self.simulator.store
        return all(not store.referrers(record.uuid) for record in store.named("vsvip", name))

    def _is_ours(self, entry: dict[str, Any]) -> bool:
        return self.cluster in orjson.dumps(entry).decode()


class Session:
    """Stands where the client has its HTTP session."""

    def __init__(self, controller: Controller, process: Process) -> None:
        self.controller, self.process = controller, process

    def send(self, call: Call) -> Answer:
        return self.controller.send(self.process, call)

    def secrets(self) -> list[str]:
        return []

    def close(self) -> None:
        pass


class Watch:
    """Looks at every effect. Raises AssertionError."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        store = controller.simulator.store
        self._foreign = {uuid: self._strange(record) for uuid, record in store.records.items()}
        self._stable: dict[str, tuple[str, Any]] = {}

    def keep(self, hosts: list[str]) -> None:
        """From now on nothing of these hosts may be taken away."""
        for record in self._controller.ours():
            if any(host in record.name for host in hosts):
                self._stable[record.uuid] = (record.name, record.body.get("servers"))
            elif any(host in text for host in hosts for text in _listed(self._controller, record)):
                self._stable[record.uuid] = (
                    record.name,
                    [t for t in _listed(self._controller, record) if _any(hosts, t)],
                )

    def look(self, call: Call) -> None:
        """After the call that was just served."""
        store = self._controller.simulator.store
        uuid = urlsplit(call.path).path.split("/")[-1]
        if uuid in self._foreign:
            record = store.records.get(uuid)
            assert record is not None, f"{call} took a foreign object away"
            assert self._strange(record) == self._foreign[uuid], f"{call} changed what is foreign"
        if uuid in self._stable:
            name, before = self._stable[uuid]
            record = store.records.get(uuid)
            assert record is not None, f"{call} took {name} away, which is wanted all the time"
            if record.type == "pool" and before:
                assert record.body.get("servers") == before, f"{call} changed the servers of {name}"
            elif before and record.type != "pool":
                lost = set(before) - set(_listed(self._controller, record))
                assert not lost, f"{call} took {lost} out of {name}"
        for record in [one for one in store.records.values() if one.name == call.name]:
            missing = [ref for ref in STORED.findall(orjson.dumps(record.body)) if ref.decode() not in store.records]
            assert not missing, f"{call} left references to nothing: {missing}"

    def everything(self) -> None:
        """All foreign objects, at the end."""
        store = self._controller.simulator.store
        for uuid, before in self._foreign.items():
            assert uuid in store.records, "a foreign object is gone"
            assert self._strange(store.records[uuid]) == before, (
                f"{store.records[uuid].name} is foreign and has changed"
            )

    def _strange(self, record: Record) -> bytes:
        """What of an object is not ours; of shared ones the entries of others."""
        body = {name: value for name, value in record.body.items() if name != "_last_modified"}
        if field := SHARED.get(record.type):
            body = {field: [e for e in body.get(field) or () if not self._controller._is_ours(e)]}
        return orjson.dumps(body)


def _any(hosts: list[str], text: str) -> bool:
    return any(host in text for host in hosts)


def _listed(controller: Controller, record: Record) -> list[str]:
    """What a shared object lists of its hosts: pools of a group, names of an address."""
    if record.type == "vsvip":
        return [str(row["fqdn"]) for row in record.body.get("dns_info", ())]
    if record.type == "poolgroup":
        uuids = [STORED.findall(row["pool_ref"].encode()) for row in record.body.get("members", ())]
        return [controller.simulator.store.records[found[0].decode()].name for found in uuids if found]
    return []


def _without_addresses(body: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from run to run: addresses, the checksum over what holds some, and what is not ours."""
    kept = {name: value for name, value in body.items() if name not in {"cloud_config_cksum", "description"}}
    if "vip" in kept:
        kept["vip"] = [
            {name: (sorted(value) if name in {"ip_address", "ip6_address"} else value) for name, value in vip.items()}
            for vip in kept["vip"]
        ]
    return kept
