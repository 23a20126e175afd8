"""A wide change (a Node, a Namespace, an IngressClass) becomes the keys that it concerns."""

from __future__ import annotations

from shared.settings.model import ServiceType, Settings
from shared.state import Mirror, keys
from workers.model.types import Facts


def expand(mirror: Mirror, settings: Settings, facts: Facts, kind: str, name: str) -> list[str]:
    """The work keys that a change of this cluster-scoped object may concern, sorted."""
    found: set[str] = set()
    match kind:
        case "Namespace":
            found = _dependents(mirror, f"Namespace/{name}")
        case "IngressClass":
            # Any class may be or have been the default one, so Ingresses without a class are concerned too.
            found = _dependents(mirror, f"IngressClass/{name}") | _dependents(mirror, "IngressClass/")
        case "Node":
            if settings.service_type is ServiceType.NODE_PORT:
                for bucket in range(8):
                    found |= _dependents(mirror, f"Bucket/{bucket}")
            elif not settings.disable_static_routes:
                found = {keys.routes_key(settings.controller.tenant, facts.vrf)}
    return sorted(found)


def _dependents(mirror: Mirror, ref: str) -> set[str]:
    return {member.partition(" ")[0] for member in mirror.dependents(ref)} - {"-"}
