"""Services of type LoadBalancer on their way through the pipeline: snapshot, row and status of their keys.

A run of a key of Services stores a row: by Service, what its status says, with what stands of it. A row that changed
marks the statuses of the Services in it. The status run writes what the row says and asks nothing else, so both can't
disagree; a Service that no row speaks of yet keeps its status.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from shared.addresses import Family
from shared.loadbalancer import ALL, OWN_KEY, SHARED_KEY, automatic_owner, dns_names, service_key
from shared.settings.model import Settings
from shared.state import LedgerEntry, LedgerView, Mirror, keys
from workers.model.context import context_for
from workers.model.service_accept import service_acceptance, tenant_for
from workers.model.services import standing_vip
from workers.model.status import service_status
from workers.model.types import Desired, Facts, ServedService, ServiceSnapshot, split_object_id
from workers.model.vips import VSVIP
from workers.snapshot import Snapshots

KINDS = frozenset({OWN_KEY, SHARED_KEY})
"""The kinds of keys of Services."""


def service_keys(mirror: Mirror) -> set[str]:
    """The key of every Service of type LoadBalancer."""
    return {member.partition(" ")[0] for member in mirror.dependents(ALL)}


def services_of(mirror: Mirror, key: str) -> list[str]:
    """The Services (`ns/name`) of a key, sorted; the own one also when it is there no more."""
    kind, rest = keys.split(key)
    if kind == OWN_KEY:
        return [rest]
    members = (member.partition(" ") for member in mirror.dependents(f"SharedVip/{rest}"))
    return sorted(id_.partition("/")[2] for found, _, id_ in members if found == key)


def read_snapshot(snapshots: Snapshots, key: str, facts: Facts | None = None) -> tuple[ServiceSnapshot, Facts]:
    """Everything that the Services of a key depend on. `facts` take the place of those of the last census."""
    kind, rest = keys.split(key)
    ref = f"SharedVip/{rest}" if kind == SHARED_KEY else f"Service/{rest}"
    namespaces_at, classes_at, facts_at, flat_services, flat_slices, vsvips, vip_change = snapshots.state.script(
        "services", key, ref
    )
    services = {flat_services[i]: orjson.loads(flat_services[i + 1]) for i in range(0, len(flat_services), 2)}
    slices = {flat_slices[i]: tuple(map(orjson.loads, flat_slices[i + 1])) for i in range(0, len(flat_slices), 2)}
    entries = (LedgerEntry.from_json(vsvips[i + 1]) for i in range(0, len(vsvips), 2))
    standing = {entry.id: standing_vip(entry.owned) for entry in entries if entry.stands}
    claimants, ingresses = _rivals(snapshots.mirror, services.values())
    snapshot = ServiceSnapshot(
        key,
        services,
        slices,
        snapshots.cached("Namespace", namespaces_at),
        snapshots.cached("IngressClass", classes_at),
        claimants,
        ingresses,
        {id_: vip for id_, vip in standing.items() if vip is not None},
        snapshots.nodes(),
        snapshots.pods(services),
        vip_change == snapshots.digest,
    )
    return snapshot, facts or snapshots.facts_at(facts_at)


def _rivals(
    mirror: Mirror, services: Iterable[dict[str, Any]]
) -> tuple[dict[str, dict[str, Any]], tuple[dict[str, Any], ...]]:
    """The other Services and the Ingresses that may have one of the names that these claim."""
    claimed = {name for service in services for name in dns_names(service)[0]}
    if not claimed:
        return {}, ()
    named = _ids(mirror.dependents(*(f"Fqdn/{name}" for name in claimed)))
    named |= {owner for name in claimed if (owner := automatic_owner(name))}
    found = {id_: body for id_, body in mirror.get("Service", sorted(named)).items() if "lb" in body}
    ingresses = _ids(mirror.naming(*claimed))
    return found, tuple(mirror.get("Ingress", sorted(ingresses)).values())


def _ids(members: Collection[str]) -> set[str]:
    return {member.partition(" ")[2].partition("/")[2] for member in members}


def row_of_services(desired: Desired, view: LedgerView) -> str | None:
    """The row of a key of Services: JSON by `ns/name`, null for one that is refused.

    "" without any Service of ours; None to leave it as it is.
    """
    if desired.frozen:
        return None
    if desired.services is None:
        return ""
    rows = {id_: served and _row(served, view) for id_, served in sorted(desired.services.items())}
    return orjson.dumps(rows, option=orjson.OPT_SORT_KEYS).decode()


def lacks_preferred(desired: Desired, view: LedgerView) -> bool:
    """Whether a vsvip that asks for an address of its own choice does not stand."""
    wanted = [each for each in desired.objects if each.type == VSVIP and each.id not in view.own]
    return any("ip_address" in vip or "ip6_address" in vip for each in wanted for vip in each.body["vip"])


def _row(served: ServedService, view: LedgerView) -> dict[str, Any]:
    """What a status says of a Service; without a virtual service and an address it says what it said."""
    service, vsvip = view.own.get(served.service), view.own.get(served.vsvip)
    row: dict[str, Any] = {"vs": split_object_id(served.service)[2], "names": list(served.names)}
    if service is None or vsvip is None or not service.stands or not vsvip.stands:
        return row
    found = {Family.V4: vsvip.extra.get("v4", ()), Family.V6: vsvip.extra.get("v6", ())}
    order = dict.fromkeys((*served.families, *found))
    return {**row, "uuid": service.uuid, "addresses": [address for family in order for address in found[family]]}


Part = Mapping[str, Any]
"""A status part: `{"ingress": [...], "annotations": {...}}`."""

_NOTHING: Part = {"ingress": [], "annotations": {}}


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The status part of a Service as it is and as it should be, and the virtual service that serves it ("": none)."""

    current: Part
    wanted: Part
    vs: str = ""


def is_served(snapshots: Snapshots, settings: Settings, id_: str) -> bool:
    """Whether a Service is one of type LoadBalancer, ours, and asks for nothing that is not served."""
    service = snapshots.mirror.get("Service", [id_]).get(id_)
    if service is None or settings.layer7_only:
        return False
    accepted = service_acceptance(service, snapshots.namespaces(), context_for(settings, snapshots.facts()))
    return accepted.ours and not accepted.unserved


def read_status(snapshots: Snapshots, settings: Settings, id_: str) -> ServiceStatus | None:
    """What to write into the status of one Service; None to leave it as it is."""
    service = snapshots.mirror.get("Service", [id_]).get(id_)
    if service is None or service.get("lb", {}).get("deleting"):
        return None
    (text,) = snapshots.state.fields("status:Service", [id_])
    current = orjson.loads(text) if text else _NOTHING
    # Without an annotation of ours the status is somebody else's.
    cleared = ServiceStatus(current, _NOTHING) if current["annotations"] else None
    facts = snapshots.facts()
    context = context_for(settings, facts)
    namespaces = snapshots.namespaces()
    accepted = service_acceptance(service, namespaces, context)
    if not accepted.ours:
        return cleared
    (row,) = snapshots.state.fields("served", [service_key(service)])
    if accepted.unserved or settings.layer7_only or row is None:
        return None
    rows = orjson.loads(row)
    if id_ in rows and rows[id_] is None:
        return cleared
    served = rows.get(id_)
    if served is None or not served.get("addresses"):
        return None
    tenant = tenant_for(service, namespaces, context)
    return ServiceStatus(current, service_status(served, facts, tenant), served["vs"])
