"""A wide change (a Node, a Namespace, an IngressClass) becomes the keys that it concerns."""

from __future__ import annotations

from shared.loadbalancer import ALL
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
    """The keys of the Ingresses and Services that depend on these, and their statuses, which say whose they are."""
    found: set[str] = set()
    for ref in refs:
        for member in mirror.dependents(ref):
            key, _, obj = member.partition(" ")
            kind, _, id_ = obj.partition("/")
            found |= {key, keys.status_key(kind, id_)}
    return found
