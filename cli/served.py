"""What is served: every Ingress and every Service of type LoadBalancer of ours, with what stands for it, as data.

States, the worst of an object's hosts counts:

    served      its virtual service stands and has an address
    working     something is being done for it right now, or will be in a moment
    waiting     something that it needs is not there yet
    no servers  it stands, but no server behind it is enabled
    held        a change that would take something away waits to be confirmed
    failing     the last run ended in an error
    not served  it asks for something that this release does not serve, or is refused; an Event says why
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from cli.site import DUE, IDLE, LATER, RUNNING, KeyState, Site
from cli.unlisted import why_unlisted
from shared.errors import AkoError
from shared.loadbalancer import service_key
from shared.state import LedgerEntry, keys
from workers.model.accept import acceptance, hosts_of, tenant_of
from workers.model.context import Context, context_for
from workers.model.service_accept import service_acceptance
from workers.model.types import HostVips, Problem, split_object_id
from workers.model.vips import VIP_CHANGE_HELD
from workers.status import vips_of
from workers.unserved import NO_SERVERS

SERVED, WORKING, WAITING, NONE, HELD, FAILING, REFUSED = STATES = (
    "served", "working", "waiting", "no servers", "held", "failing", "not served"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Servers:
    """How many servers of one family a host has."""

    enabled: int = 0
    all: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """One host of an Ingress, or a Service: what stands for it. `changed`: last write, in microseconds; 0 for none.

    `error` and `next_try` are those of `key`, which makes it, or of the parents it needs; `waits_for`: Avi objects.
    """

    host: str
    key: str
    state: str
    virtual_service: str = ""
    parent: str = ""
    v4: tuple[str, ...] = ()
    v6: tuple[str, ...] = ()
    servers: dict[str, Servers] = field(default_factory=dict)
    changed: int = 0
    error: str = ""
    next_try: int = 0
    waits_for: tuple[str, ...] = ()
    parent_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Served:
    """One Ingress or Service of ours."""

    kind: str
    namespace: str
    name: str
    lines: tuple[Line, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def state(self) -> str:
        """The worst of its lines."""
        return max((line.state for line in self.lines), key=STATES.index, default=REFUSED)


def read(site: Site) -> list[Served]:
    """All objects of ours, sorted; none before the first census."""
    facts = site.known_facts()
    if facts is None:
        return []
    context = context_for(site.settings, facts)
    found = [*_ingresses(site, context), *_services(site, context)]
    return sorted(found, key=lambda each: (each.kind, each.namespace, each.name))


def chosen(site: Site, found: Sequence[Served], names: Sequence[str] = (), namespace: str = "") -> list[Served]:
    """Those of a namespace, or those named by `namespace/name` or a host.

    Raises AkoError for a name that is none of them, with the reason.
    """
    facts = site.known_facts()
    if facts is None:
        return []
    found = [each for each in found if not namespace or each.namespace == namespace]
    for name in names:
        if not any(_is_named(each, name) for each in found):
            raise AkoError(why_unlisted(site, context_for(site.settings, facts), name))
    return [each for each in found if not names or any(_is_named(each, name) for name in names)]


def _is_named(served: Served, name: str) -> bool:
    return name == served.id or any(name.lower() == line.host for line in served.lines)


def _ingresses(site: Site, context: Context) -> Iterator[Served]:
    namespaces, classes = site.snapshots.namespaces(), site.mirror.all("IngressClass")
    rows = {host: orjson.loads(text) for host, text in site.state.hash("rows").items()}
    told, ledgers = _told(site), site.ledgers(map(keys.host_key, rows))
    standing = functools.cache(lambda tenant: vips_of(rows, tenant, site.ledger))
    for id_, ingress in site.mirror.all("Ingress").items():
        accepted = acceptance(ingress, namespaces, classes, context)
        if not accepted.ours:
            continue
        tenant = tenant_of(ingress["ns"], namespaces, context)
        hosts = list(dict.fromkeys(hosts_of(ingress, context)))
        served = {host: rows[host] for host in hosts if host in rows and id_ not in rows[host].get("refused", ())}
        lines = []
        for host in hosts:
            vip = standing(tenant).get(host) if host in served else None
            refused = bool(accepted.unserved) or (host in rows and host not in served)
            entries = ledgers.get(keys.host_key(host), [])
            lines.append(_host_line(site, host, served.get(host, {}), tenant, vip, entries, refused=refused))
        yield Served("Ingress", ingress["ns"], ingress["name"], tuple(lines), told.get(("Ingress", id_), ()))


def _host_line(
    site: Site,
    host: str,
    row: Mapping[str, Any],
    tenant: str,
    vip: HostVips | None,
    entries: Sequence[LedgerEntry],
    *,
    refused: bool,
) -> Line:
    key = site.key(keys.host_key(host))
    concerned = [key, *(site.key(shard) for shard in row.get("shards", ()))]
    face = row.get("faces", {}).get(tenant)
    return Line(
        host,
        key.key,
        REFUSED if refused else _state(concerned, stands=vip is not None and bool(vip.v4 or vip.v6)),
        vip.vs_name if vip else "",
        split_object_id(face["vsvip"][1])[2] if face else "",
        vip.v4 if vip else (),
        vip.v6 if vip else (),
        _servers(entries),
        _changed(entries),
        *_trouble(site, concerned),
        tuple(state.key for state in concerned[1:]),
    )


def _services(site: Site, context: Context) -> Iterator[Served]:
    namespaces = site.snapshots.namespaces()
    rows = {key: orjson.loads(text) for key, text in site.state.hash("served").items()}
    told, ledgers = _told(site), site.ledgers(rows)
    for id_, service in site.mirror.all("Service").items():
        if "lb" not in service or site.settings.layer7_only:
            continue
        accepted = service_acceptance(service, namespaces, context)
        if not accepted.ours:
            continue
        key = site.key(service_key(service))
        row = rows.get(key.key, {}).get(id_)
        entries = [] if row is None else ledgers[key.key]
        addresses = (row or {}).get("addresses", ())
        state = _state([key], stands=bool(addresses))
        if accepted.unserved or (key.key in rows and row is None):
            state = REFUSED
        line = Line(
            ((row or {}).get("names") or [""])[0],
            key.key,
            state,
            (row or {}).get("vs", ""),
            "",
            tuple(text for text in addresses if ":" not in text),
            tuple(text for text in addresses if ":" in text),
            _servers(entries),
            _changed(entries),
            *_trouble(site, [key]),
        )
        yield Served("Service", service["ns"], service["name"], (line,), told.get(("Service", id_), ()))


def _told(site: Site) -> dict[tuple[str, str], tuple[Problem, ...]]:
    """What Events say of each object now, by kind and `namespace/name`."""
    found: dict[tuple[str, str], dict[Problem, None]] = {}
    for key in site.keys.values():
        for problem in key.problems:
            if problem.warning:
                found.setdefault((problem.kind, f"{problem.namespace}/{problem.name}"), {})[problem] = None
    return {on: tuple(problems) for on, problems in found.items()}


def _state(states: Sequence[KeyState], *, stands: bool) -> str:
    """The state of what these keys make."""
    reasons = {problem.reason for state in states for problem in state.problems}
    active = any(state.state in (RUNNING, DUE) for state in states)
    rules = (
        (FAILING, any(state.failing for state in states)),
        (HELD, VIP_CHANGE_HELD in reasons or any(state.held for state in states)),
        (NONE, stands and NO_SERVERS in reasons),
        (WAITING, not stands and any(state.waited for state in states)),
        (WORKING, active),
        (SERVED, stands),
        (WAITING, all(state.state == IDLE for state in states)),
    )
    return next((name for name, holds in rules if holds), WORKING)


def _trouble(site: Site, states: Sequence[KeyState]) -> tuple[str, int, tuple[str, ...]]:
    """The error of the first of these keys that fails, when it is tried again (0: now), what they all wait for."""
    failing = next((state for state in states if state.failing), KeyState(""))
    waits = [on for state in states if state.waited and state.state == LATER for on in site.waits(state.key)]
    return failing.trouble, failing.at if failing.state == LATER else 0, tuple(dict.fromkeys(waits))


def _servers(entries: Iterable[LedgerEntry]) -> dict[str, Servers]:
    """Servers by family, as they stand on the controller; one in several pools counts once for each."""
    found: dict[str, Servers] = {}
    for entry in entries:
        if entry.id.startswith("pool/") and entry.stands:
            for server in entry.owned.get("servers") or ():
                family = "v6" if ":" in server["ip"] else "v4"
                known = found.get(family, Servers())
                found[family] = Servers(known.enabled + bool(server.get("enabled", True)), known.all + 1)
    return dict(sorted(found.items()))


def _changed(entries: Iterable[LedgerEntry]) -> int:
    return max((int(entry.last_modified) for entry in entries if entry.last_modified.isdigit()), default=0)
