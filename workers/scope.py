"""A wide change (a Node, a Namespace, an IngressClass) becomes the keys that it concerns."""

from __future__ import annotations

from shared.loadbalancer import ALL, dns_names
from shared.projection import BUCKETS
from shared.settings.model import ServiceType, Settings
from shared.state import Mirror, keys
from workers.model.routes import looks_at_nodes
from workers.model.types import Facts


def expand(mirror: Mirror, settings: Settings, facts: Facts, kind: str, name: str) -> list[str]:
    """The work keys that a change of this cluster-scoped object may concern, sorted."""
    found: set[str] = set()
    match kind:
        case "Namespace":
            found = _dependents(mirror, [f"Namespace/{name}"])
        case "IngressClass":
            # Any class may be or have been the default one, so Ingresses without a class are concerned too.
            found = _dependents(mirror, [f"IngressClass/{name}", "IngressClass/"])
        case "Node":
            if settings.service_type is ServiceType.NODE_PORT:
                members = mirror.dependents(ALL, "Hostless", *(f"Bucket/{bucket}" for bucket in range(BUCKETS)))
                found = {member.partition(" ")[0] for member in members}
            if looks_at_nodes(settings):
                found.add(keys.routes_key(settings.controller.tenant, facts.vrf))
    return sorted(found)


def _dependents(mirror: Mirror, refs: list[str]) -> set[str]:
    """The keys of the Ingresses and Services that depend on these, and their statuses, which say whose they are.

    Whether these are served decides who else may have their names, so the claimants of the names are concerned too.
    """
    members = mirror.dependents(*refs)
    found: set[str] = set()
    for member in members:
        key, _, obj = member.partition(" ")
        kind, _, id_ = obj.partition("/")
        found |= {key, keys.status_key(kind, id_)}
    claimants = mirror.dependents(*_names(mirror, members))
    return found | {key for key, _, obj in (each.partition(" ") for each in claimants) if obj.startswith("Service/")}


def _names(mirror: Mirror, members: set[str]) -> list[str]:
    """The indexes in which those stand who claim a name of these, automatic names of Services included."""
    objects = [(key, *obj.split("/", 1)) for key, _, obj in (member.partition(" ") for member in members)]
    services = {id_ for _, kind, id_ in objects if kind == "Service"}
    hosts = {
        host for key, kind, _ in objects if kind == "Ingress" for sort, host in [keys.split(key)] if sort == "host"
    }
    bodies = mirror.get("Service", sorted(services)).values()
    claimed = {name for body in bodies if "lb" in body for name in dns_names(body)[0]}
    return sorted({f"Fqdn/{name}" for name in hosts | claimed} | {f"Service/{id_}" for id_ in services})
