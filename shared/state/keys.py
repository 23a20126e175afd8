"""Work keys: what a unit of work is called (see docs/design.md, section 4).

A key names what it owns, never what to do: `host:shop.example.com`, `shard:admin/c1--Shared-L7-3`,
`certificate:default`, `routes:admin/global`, `segroup:Default-Group`, `status:Ingress/red/web`, `change:Node/node-1`,
`resync`.
"""

from __future__ import annotations

RESYNC = "resync"
KINDS = ("host", "shard", "lb", "lbshared", "certificate", "routes", "segroup", "status", "change", RESYNC)
"""What a key begins with."""


def host_key(fqdn: str) -> str:
    """Everything that is built for one FQDN."""
    return f"host:{fqdn}"


def shard_key(tenant: str, parent: str) -> str:
    """One shared parent virtual service and what hangs on it."""
    return f"shard:{tenant}/{parent}"


def routes_key(tenant: str, vrf: str) -> str:
    """Our static routes inside one VRF."""
    return f"routes:{tenant}/{vrf}"


def segroup_key(name: str) -> str:
    """Our label on one service engine group."""
    return f"segroup:{name}"


def status_key(kind: str, object_id: str) -> str:
    """Status and annotations of one Kubernetes object; `object_id` is `namespace/name`."""
    return f"status:{kind}/{object_id}"


def split(key: str) -> tuple[str, str]:
    """The kind of a key and the rest: `("host", "shop.example.com")`; `("resync", "")`."""
    kind, _, rest = key.partition(":")
    return kind, rest
