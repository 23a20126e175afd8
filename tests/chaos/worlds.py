"""Random worlds, planned and applied against the controller simulator's own store, without HTTP and without Redis.

The store does what it does for every call: it checks, fills defaults in, resolves references and gives addresses out.
What is read from it has its IPv6 addresses spelt in a random way, since a controller spells them in its own.
"""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import orjson

from bench.world import certificate
from shared.settings.model import IpFamily, NodeNetwork, Settings, ShardSize, VipNetwork
from simulator.avi.app import AviSimulator
from simulator.avi.errors import ApiError
from simulator.avi.references import MARK_BYTES
from simulator.avi.store import ADMIN
from tests import pems
from tests.workers.model.world import AVI_CLASS, FACTS, World, endpoint_slice, ingress, node, secret, service
from tests.workers.model.world import settings as base_settings
from workers import owned
from workers.execute import entry_of
from workers.model.types import Desired, Facts, SharedPart, split_object_id
from workers.parts import merge_shared
from workers.plan import ChangeVip, Create, Delete, Entry, Operation, View, plan

ROUNDS = 8
HOSTS = ("foo.example.com", "bar.example.com", "a-b.avi.internal", "shop.example.com", "x.y.example.com")
PATHS = ("/", "/a", "/a/b", "/A", "/a_b", "/long" * 20)
_ADDRESS = re.compile(r'"addr":"([0-9a-fA-F:]*:[0-9a-fA-F:.]*)"')


def random_world(seed: int, facts: Facts) -> World:
    """A cluster of a few hosts in one of the settings that decide what is built; the same for the same seed."""
    draw = random.Random(seed)
    world = World(_settings(draw), facts).apply(AVI_CLASS, *_backends(draw), *_nodes(draw))
    for number in range(draw.randint(1, 6)):
        paths = draw.sample(PATHS, draw.randint(1, 3))
        tls = "foo-tls" if draw.random() < 0.5 else None
        backend = {"service": {"name": draw.choice(("web", "api")), "port": {"number": 80}}}
        rules = [{"path": path, "pathType": draw.choice(("Prefix", "Exact")), "backend": backend} for path in paths]
        created = f"2026-01-01T00:00:{draw.randrange(60):02d}Z"
        world.apply(ingress(f"ing{number}", host=draw.choice(HOSTS), paths=rules, tls=tls, created=created))
    return world


def _settings(draw: random.Random) -> Settings:
    v4, v6 = IPv4Network("10.10.0.0/16"), IPv6Network("2001:db8:10::/64")
    cidr, v6cidr = draw.choice(((v4, None), (None, v6), (v4, v6), (v4, v6)))
    return base_settings(
        vip_networks=(VipNetwork("net1", cidr=cidr, v6cidr=v6cidr),),
        node_networks=(NodeNetwork("node-net", cidrs=(IPv4Network("10.50.0.0/24"),)),),
        ip_family=draw.choice(tuple(IpFamily)),
        shard_size=draw.choice((ShardSize.LARGE, ShardSize.MEDIUM, ShardSize.SMALL)),
    )


def _backends(draw: random.Random) -> Iterator[dict[str, Any]]:
    yield secret(**pems.data(*certificate()))
    for name in ("web", "api"):
        yield service(name, families=["IPv4", "IPv6"])
        yield endpoint_slice([f"10.244.1.{draw.randrange(250)}" for _ in range(draw.randrange(4))], owner=name)
        texts = [f"2001:db8:244::{draw.randrange(1, 65536):x}" for _ in range(draw.randrange(4))]
        yield endpoint_slice(texts, family="IPv6", owner=name)


def _nodes(draw: random.Random) -> Iterator[dict[str, Any]]:
    for number in range(draw.randrange(1, 4)):
        cidrs = [f"10.244.{number}.0/24", f"2001:db8:244:{number}::/64"]
        yield node(f"n{number}", f"10.50.0.{number + 1}", f"2001:db8:50::{number + 1:x}", cidrs=cidrs)


class Planner:
    """One controller's store and the ledger that we would have of it: entries by object id, and who owns them."""

    def __init__(self) -> None:
        self.simulator = AviSimulator(password="not-used-here")
        self.ledger: dict[str, Entry] = {}
        self.refused = 0
        self.respelled = 0
        self._draw = random.Random(1)
        self._cluster = ""
        network = next(iter(self.simulator.store.named("network", "node-net")))
        group = next(iter(self.simulator.store.named("serviceenginegroup", "Default-Group")))
        self.facts = replace(FACTS, node_network_uuids={"node-net": network.uuid}, se_group_uuid=group.uuid)

    def build(self, world: World) -> bool:
        """Plans and applies every key until no plan has an operation left; False when that takes too many rounds."""
        self._cluster = world.settings.cluster_name
        return any(self._round(world) == 0 for _ in range(ROUNDS))

    def plan_again(self, world: World) -> int:
        """Reads everything from the controller anew, as a census does; returns how many operations that brings."""
        for id_, entry in list(self.ledger.items()):
            self._note(id_, entry.owner, self._read(id_.partition("/")[0], entry.uuid))
        operations = sum(len(plan(desired, self._view(key)).operations) for key, desired in self._keys(world))
        return operations + sum(self._merged(part) is not None for part in self._parts(world))

    def take_down(self) -> bool:
        """Plans every key with nothing wanted, and shared parts, until nothing is left; False after too many rounds."""
        self._write_part(SharedPart("vrfcontext", "admin", "global", "static_routes", ()))
        self._write_part(SharedPart("serviceenginegroup", "admin", "Default-Group", "labels", ()))
        for _ in range(ROUNDS):
            for key in {entry.owner for entry in self.ledger.values()}:
                for operation in plan(Desired(()), self._view(key)).operations:
                    self._apply(key, operation)
            if not self.ledger:
                return True
        return False

    # -- keys ----------------------------------------------------------------------------------------------------

    def _round(self, world: World) -> int:
        """One run of every key; how many operations there were."""
        count = 0
        for key, desired in self._keys(world):
            operations = plan(desired, self._view(key)).operations
            for operation in operations:
                self._apply(key, operation)
            count += len(operations)
        return count + sum(self._write_part(part) for part in self._parts(world))

    def _keys(self, world: World) -> Iterator[tuple[str, Desired]]:
        shards: set[str] = set()
        for host in world.hosts():
            world.standing = set(self.ledger)
            desired = world.host(host)
            shards.update(desired.shards)
            yield f"host:{host}", desired
        for key in sorted(shards):
            world.standing = set(self.ledger)
            yield key, world.shard(key)

    def _parts(self, world: World) -> Iterator[SharedPart]:
        yield from world.everything()[2][0].shared
        yield from world.everything()[2][1].shared

    def _view(self, key: str) -> View:
        own = {id_: entry for id_, entry in self.ledger.items() if entry.owner == key}
        others = {id_: (entry.owner, True) for id_, entry in self.ledger.items() if entry.owner != key}
        referrers: dict[str, set[str]] = {}
        for entry in self.ledger.values():
            for target in entry.references:
                referrers.setdefault(target, set()).add(entry.id)
        return View(own, others, {id_: frozenset(who) for id_, who in referrers.items() if id_ in own})

    # -- calls ---------------------------------------------------------------------------------------------------

    def _apply(self, key: str, operation: Operation) -> None:
        type_, _, _ = split_object_id(operation.id)
        try:
            if isinstance(operation, Delete):
                self.simulator.writer.delete(type_, operation.entry.uuid, ADMIN)
                del self.ledger[operation.id]
                return
            body = dict(operation.object.body)
            if operation.object.secret is not None:
                body |= {"certificate": {"certificate": certificate()[0]}, "key": certificate()[1]}
            if isinstance(operation, Create):
                uuid = self.simulator.writer.create(type_, body, ADMIN).uuid
            else:
                uuid = operation.entry.uuid
                body = owned.overlay(type_, self._read(type_, uuid), body, vip=isinstance(operation, ChangeVip))
                self.simulator.writer.update(type_, uuid, body, ADMIN)
            self._note(operation.id, key, self._read(type_, uuid), sent=body)
        except ApiError:
            self.refused += 1

    def _write_part(self, part: SharedPart) -> int:
        merged = self._merged(part)
        if merged is None:
            return 0
        try:
            self.simulator.writer.update(part.type, merged["uuid"], merged, ADMIN)
        except ApiError:
            self.refused += 1
        return 1

    def _merged(self, part: SharedPart) -> dict[str, Any] | None:
        """The object that holds our part as it would be written, None when it is as it should be."""
        record = next(iter(self.simulator.store.named(part.type, part.name)))
        merged = merge_shared(self._read(part.type, record.uuid), part, self._cluster)
        return merged if isinstance(merged, dict) else None

    def _read(self, type_: str, uuid: str) -> dict[str, Any]:
        """The object as a controller shows it."""
        shown = self.simulator.reader.get(type_, uuid, ADMIN, {"include_name": ["true"]})
        text = shown.replace(MARK_BYTES, b"https://10.0.0.1").decode()
        read: dict[str, Any] = orjson.loads(_ADDRESS.sub(self._respell, text))
        return read

    def _respell(self, match: re.Match[str]) -> str:
        self.respelled += 1
        address = ipaddress.IPv6Address(match[1])
        text = self._draw.choice((str(address), address.exploded))
        return f'"addr":"{text.upper() if self._draw.random() < 0.5 else text}"'

    def _note(self, id_: str, owner: str, read: dict[str, Any], sent: dict[str, Any] | None = None) -> None:
        type_, tenant, _ = split_object_id(id_)
        made = entry_of(type_, tenant, read, sent=sent)
        extract = orjson.loads(orjson.dumps(made.owned))
        self.ledger[id_] = Entry(id_, owner, made.uuid, made.last_modified, extract, made.references)
