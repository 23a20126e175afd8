"""Loads from the mirror just what one key needs, in one or two round trips.

Namespaces and IngressClasses are few and change rarely: they are kept per process until the version of their kind
changes, as are the facts read from the controller.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from shared.errors import StateError
from shared.kinds import CNI_KINDS
from shared.projection import DEFAULT_CERTIFICATE, DEFAULT_SECRET, generated_host, tls_by_default
from shared.settings.model import ServiceType, Settings
from shared.state import Mirror, State, keys
from shared.state.connection import bounded
from workers.model.layout import Layout
from workers.model.types import DAY, CertificateSnapshot, Facts, HostSnapshot, RoutesSnapshot, ShardSnapshot

Objects = Mapping[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """One object, the status part that it has, the rows of its hosts, and what tells whose it is."""

    object: dict[str, Any]
    current: dict[str, Any]
    rows: dict[str, dict[str, Any]]
    namespaces: Objects
    classes: Objects
    facts: Facts


def store_facts(state: State, facts: Facts) -> bool:
    """Stores the facts of a census; True when they differ from the stored ones."""
    text = orjson.dumps(asdict(facts), option=orjson.OPT_SORT_KEYS).decode()
    (old,) = state.fields("meta", ["facts"])
    if old == text:
        return False
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    with bounded():
        domain = facts.domains[0] if facts.domains else ""
        state.client.hset(state.key("meta"), mapping={"facts": text, "facts_digest": digest, "domain": domain})
    return True


def read_facts(state: State) -> Facts:
    """The facts of the last census. Raises StateError before the first one."""
    (text,) = state.fields("meta", ["facts"])
    if text is None:
        raise StateError("the controller has not been read yet", action="A census is under way or will be soon")
    fields = orjson.loads(text)
    fields["dns_domains"] = tuple(fields["dns_domains"])
    return Facts(**fields)


class Snapshots:
    """Reads snapshots; one per process, used by all its threads."""

    def __init__(self, state: State, mirror: Mirror, settings: Settings) -> None:
        self.state = state
        self.mirror = mirror
        self.digest = settings.digest()
        self.default_secret = f"{settings.pod_namespace}/{DEFAULT_SECRET}"
        self.on_nodes = settings.service_type is ServiceType.NODE_PORT
        self.in_node_ports = settings.service_type is ServiceType.NODE_PORT_LOCAL
        self._cache: dict[str, tuple[Any, Any]] = {}
        self._lock = threading.Lock()

    def host(self, fqdn: str, facts: Facts | None = None) -> tuple[HostSnapshot, Facts]:
        """Everything that one host depends on. `facts` take the place of those of the last census."""
        namespaces_at, classes_at, facts_at, standing, *bodies = self.state.script("host", fqdn)
        ingresses = tuple(orjson.loads(body) for body in bodies)
        services, slices, secrets = self._backends(ingresses, fqdn)
        snapshot = HostSnapshot(
            fqdn,
            ingresses,
            self.cached("Namespace", namespaces_at),
            self.cached("IngressClass", classes_at),
            services,
            slices,
            secrets,
            int(time.time() // DAY),
            frozenset(standing),
            self.nodes(),
            self.pods(services),
        )
        return snapshot, facts or self.facts_at(facts_at)

    def shard(
        self,
        tenant: str,
        parent: str,
        layout: Layout,
        standing: Callable[[Sequence[str]], Collection[str]],
        facts: Facts | None = None,
    ) -> tuple[ShardSnapshot, Facts]:
        """All Ingresses that name a host which can be on the parent.

        `standing` tells what stands of some owner keys; `facts` take the place of those of the last census.
        """
        members = self.on_parent(layout, parent)
        hosts = {member.partition(" ")[0] for member in members}
        if layout.per_namespace:  # a bucket has every Ingress of its hosts already
            members |= self.mirror.naming(*(keys.split(host)[1] for host in sorted(hosts)))
        ids = {member.partition(" ")[2].partition("/")[2] for member in members}
        ingresses = tuple(self.mirror.get("Ingress", sorted(ids)).values())
        versions = self.mirror.version(["Namespace", "IngressClass"])
        (facts_at,) = self.state.fields("meta", ["facts_digest"])
        _, _, secrets = self._backends(ingresses, None)
        snapshot = ShardSnapshot(
            tenant,
            parent,
            ingresses,
            self.cached("Namespace", versions[0] or "0"),
            self.cached("IngressClass", versions[1] or "0"),
            secrets,
            standing([keys.shard_key(tenant, parent), DEFAULT_CERTIFICATE, *sorted(hosts)]),
        )
        return snapshot, facts or self.facts_at(facts_at or "")

    def on_parent(self, layout: Layout, parent: str) -> set[str]:
        """The index members (see Mirror.dependents) of the Ingresses of all hosts that may be on a parent."""
        members = self.mirror.dependents(*layout.refs(parent))
        hosts = [(*keys.split(member.partition(" ")[0]), member) for member in members]
        return {member for kind, host, member in hosts if kind == "host" and layout.may_hold(parent, host)}

    def default_certificate(self, facts: Facts | None = None) -> tuple[CertificateSnapshot, Facts]:
        """What the certificates of the default Secret depend on; `facts` as above."""
        ids = {member.partition(" ")[2].partition("/")[2] for member in self.mirror.dependents("DefaultSecret")}
        versions = self.mirror.version(["Namespace", "IngressClass"])
        snapshot = CertificateSnapshot(
            tuple(self.mirror.get("Ingress", sorted(ids)).values()),
            self.cached("Namespace", versions[0] or "0"),
            self.cached("IngressClass", versions[1] or "0"),
            self.mirror.get("Secret", [self.default_secret]).get(self.default_secret),
            frozenset(self.state.script("standing", DEFAULT_CERTIFICATE)),
        )
        return snapshot, facts or self.facts()

    def routes(self, facts: Facts | None = None) -> tuple[RoutesSnapshot, Facts]:
        """The nodes and their CNI's objects. `facts` take the place of those of the last census."""
        nodes = tuple(self.mirror.all("Node").values())
        kinds = [kind.name for kind in CNI_KINDS.values()]
        seen = [kind for kind, version in zip(kinds, self.mirror.version(kinds), strict=True) if version is not None]
        networks = {kind: tuple(self.mirror.all(kind).values()) for kind in seen}
        return RoutesSnapshot(nodes, networks), facts or read_facts(self.state)

    def status(self, kind: str, id_: str) -> StatusSnapshot | None:
        """What the status of one object needs; None when the object is not there."""
        namespaces_at, classes_at, facts_at, body, current, rows = self.state.script("status", kind, id_)
        if not body:
            return None
        return StatusSnapshot(
            orjson.loads(body),
            orjson.loads(current) if current else {"ingress": [], "annotations": {}},
            {host: orjson.loads(text) for host, text in _pairs(rows)},
            self.cached("Namespace", namespaces_at),
            self.cached("IngressClass", classes_at),
            self.facts_at(facts_at),
        )

    def nodes(self) -> tuple[dict[str, Any], ...]:
        """All nodes in NodePort mode, the same tuple until one of them changes; in other modes none is needed."""
        if not self.on_nodes:
            return ()
        found = self.cached("Node", self.mirror.version(["Node"])[0] or "0")
        with self._lock:
            kept = self._cache.get("nodes")
            if kept is None or kept[0] is not found:
                kept = self._cache["nodes"] = (found, tuple(found.values()))
        return kept[1]

    def pods(self, services: Objects) -> Mapping[str, tuple[dict[str, Any], ...]]:
        """In NodePortLocal mode the Pods of each Service that Antrea has given ports, in other modes none."""
        if not self.in_node_ports:
            return {}
        selectors = {id_: [f"Pods/{each['ns']}/{pair}" for pair in each["selector"]] for id_, each in services.items()}
        asked = {id_: refs for id_, refs in selectors.items() if refs}
        flat = self.state.script("selected", orjson.dumps(asked)) if asked else []
        return {id_: tuple(orjson.loads(text) for text in texts) for id_, texts in _pairs(flat)}

    def facts(self) -> Facts:
        """The facts, kept until a census changes them."""
        (facts_at,) = self.state.fields("meta", ["facts_digest"])
        return self.facts_at(facts_at or "")

    def namespaces(self) -> Objects:
        """All namespaces."""
        return self.cached("Namespace", self.mirror.version(["Namespace"])[0] or "0")

    def asked_for(self) -> set[str]:
        """The key of every host that any Ingress names (marking completes those of rules without host), and more.

        Namely that of the default certificate, if any Ingress asks for it.
        """
        found: set[str] = set()
        for ingress in self.mirror.all("Ingress").values():
            generated = generated_host(ingress["ns"], ingress["name"])
            found.update(keys.host_key(rule["host"] or generated) for rule in ingress["rules"])
            if tls_by_default(ingress):
                found.add(DEFAULT_CERTIFICATE)
        return found

    def _backends(
        self, ingresses: Iterable[dict[str, Any]], host: str | None
    ) -> tuple[Objects, Mapping[str, tuple[dict[str, Any], ...]], Objects]:
        services: set[str] = set()
        secrets: set[str] = set()
        for ingress in ingresses:
            namespace = ingress["ns"]
            for rule in ingress["rules"]:
                if host and host.startswith(rule["host"] or generated_host(namespace, ingress["name"])):
                    services.update(f"{namespace}/{path['service']}" for path in rule["paths"])
            secrets.update(f"{namespace}/{tls['secret']}" for tls in ingress["tls"])
            if tls_by_default(ingress):
                secrets.add(self.default_secret)
        if not services and not secrets:
            return {}, {}, {}
        asked = orjson.dumps({"services": sorted(services), "secrets": sorted(secrets)})
        flat_services, flat_slices, flat_secrets = self.state.script("backends", asked)
        slices = {id_: tuple(orjson.loads(text) for text in texts) for id_, texts in _pairs(flat_slices)}
        return _objects(flat_services), slices, _objects(flat_secrets)

    def cached(self, kind: str, version: str) -> Objects:
        """All objects of a kind, kept until their version changes."""
        with self._lock:
            kept = self._cache.get(kind)
        if kept is not None and kept[0] == version:
            return kept[1]  # type: ignore[no-any-return]
        objects = self.mirror.all(kind)
        if version != "0":  # nothing of the kind was ever there, or no longer: this says nothing of later
            with self._lock:
                self._cache[kind] = (version, objects)
        return objects

    def facts_at(self, version: str) -> Facts:
        """The facts with this digest, kept until it changes."""
        with self._lock:
            kept = self._cache.get("facts")
        if kept is not None and kept[0] == version:
            return kept[1]  # type: ignore[no-any-return]
        facts = read_facts(self.state)
        with self._lock:
            self._cache["facts"] = (version, facts)
        return facts


def _pairs(flat: list[Any]) -> Iterable[tuple[str, Any]]:
    return ((flat[i], flat[i + 1]) for i in range(0, len(flat), 2))


def _objects(flat: list[Any]) -> dict[str, dict[str, Any]]:
    return {id_: orjson.loads(text) for id_, text in _pairs(flat)}
