"""Which form a host takes on the controller: the one place that decides.

| settings | who serves a host | its objects are named |
|---|---|---|
| (SNI) | TLS: a child of a shared parent, found by SNI; plain: pools that the parent's datascript selects | plainly |
| enableEVH | a child of a shared parent, found by host and path, with TLS or without | by a hash of the plain name |
| enableEVH, vipPerNamespace | the same, with a parent for each namespace instead of each shard number | likewise |
| shardVSSize DEDICATED | a virtual service of its own, with an address of its own | as above, and `-L7-dedicated` |
| noPGForSNI (not with EVH) | as without; its rules lead to pools, not to pool groups | pools: `--policy-to-pool` |

vipPerNamespace counts with EVH only, and there before DEDICATED, as with AKO. A host whose TLS is passed through has
pools and a pool group in every form, and a shared parent of another kind, one for each number that passthroughShardSize
gives. Everything else in the model asks the layout and tests no setting. The builders of bodies (`virtualservices`,
`shards`) differ by one function per form.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.projection import BUCKETS, DEFAULT_SECRET
from shared.settings.model import Settings, ShardSize
from workers.model import names
from workers.model.names import Parent

DEDICATED = "-L7-dedicated"
_SIZES = (ShardSize.LARGE, ShardSize.DEDICATED)  # one with parents, one without


@dataclass(frozen=True, slots=True)
class Layout:
    """One form. `size` is DEDICATED when every host has a virtual service of its own.

    `direct`: the rules of a host's own virtual service lead straight to pools; never with EVH. `instance` comes after
    `prefix` in the names of shared parents (see `Settings.instance`).
    """

    prefix: str
    evh: bool = False
    size: ShardSize = ShardSize.LARGE
    per_namespace: bool = False
    direct: bool = False
    passthrough: ShardSize = ShardSize.SMALL
    instance: str = ""

    @property
    def dedicated(self) -> bool:
        """Whether every host has a virtual service and an address of its own, and there are no parents."""
        return self.size is ShardSize.DEDICATED and not self.per_namespace

    @property
    def whole(self) -> bool:
        """Whether a virtual service of its own serves all of a host: plain paths too, and the redirect to HTTPS."""
        return self.evh or self.dedicated

    def switches(self, tls: bool) -> bool:
        """Whether the host's own virtual service switches such a path; if not, the parent finds its pool by label."""
        return tls or self.whole

    def parent(self, host: str, namespace: str) -> str:
        """The shared parent of a host whose oldest Ingress is in `namespace`, "" when hosts are dedicated."""
        if self.dedicated:
            return ""
        if self.per_namespace:
            return Parent.of_namespace(namespace).name(self._parents)
        return Parent.of_shard(self.evh, names.shard_number(host, self.size)).name(self._parents)

    def passthrough_parent(self, host: str) -> str:
        """The shared parent of a host whose TLS is passed through."""
        return Parent.of_passthrough(names.passthrough_number(host, self.passthrough)).name(self._parents)

    def passes(self, parent: str) -> bool:
        """Whether a parent of this name passes TLS through."""
        found = Parent.parse(parent, self._parents)
        return found is not None and found.passthrough

    def gives(self, parent: str) -> bool:
        """Whether this layout gives any host a parent of this name."""
        found = Parent.parse(parent, self._parents)
        if found is not None and found.passthrough:
            return not self.passthrough.value or int(found.shard) < self.passthrough.value
        if found is None or self.dedicated or found.evh is not self.evh:
            return False
        if self.per_namespace or found.namespace:
            return self.per_namespace and bool(found.namespace)
        return int(found.shard) < self.size.value

    def keeps(self, parent: str) -> bool:
        """Whether the vsvip of such a parent stays without hosts; not when there may be one for every host."""
        return self.gives(parent) and not (self.passes(parent) and not self.passthrough.value)

    def may_hold(self, parent: str, host: str) -> bool:
        """Whether a host can be on this parent, whatever its Ingresses say; `refs` may lead to others."""
        if self.passes(parent):
            return self.passthrough_parent(host) == parent
        return self.per_namespace or self.parent(host, "") == parent

    def refs(self, parent: str) -> list[str]:
        """The indexes of the mirror that lead to the Ingresses of a parent's hosts; [] for one that nobody has."""
        found = Parent.parse(parent, self._parents)
        if found is None or not self.gives(parent):
            return []
        if found.namespace:
            return [f"Namespace/{found.namespace}"]
        size = (self.passthrough if found.passthrough else self.size).value or BUCKETS
        buckets = [f"Bucket/{bucket}" for bucket in range(BUCKETS) if bucket % size == int(found.shard) % size]
        return [*buckets, "Hostless"]

    def virtual_service(self, host: str) -> str:
        """The host's own virtual service: a child of the parent, or a dedicated one. Its redirect bears the name."""
        if not self.dedicated:
            return self._name(host)
        return self._name(host + DEDICATED) + ("-EVH" if self.evh else "")

    def default_certificates(self) -> dict[str, str]:
        """The certificates that all hosts without a Secret of their own share, by the field of the default Secret."""
        return {"tls.crt": self._name(DEFAULT_SECRET), "alt.crt": self._name(f"{DEFAULT_SECRET}-alt")}

    def certificates(self, host: str) -> dict[str, str]:
        """The certificates of a host's own Secret, by the field of it that each is made from."""
        return {"tls.crt": self._name(host), "alt.crt": self._name(f"{host}-alt")}

    def policy_set(self, namespace: str, host: str) -> str:
        """The HTTP policy set that switches the paths that a namespace has for the host."""
        return self._name(f"{namespace}-{host}")

    def pool_group(self, namespace: str, host: str, path: str, ingress: str) -> str:
        """The pool group of a path that the host's own virtual service switches."""
        return self._name(_path(namespace, host, path, ingress) + self._suffix)

    def pool(self, namespace: str, host: str, path: str, ingress: str, service: str) -> str:
        """The pool of such a path. With EVH its Service takes part in the name."""
        base = _path(namespace, host, path, ingress)
        ending = self._suffix + ("--policy-to-pool" if self.direct else "")
        return self._name(base + (f"-{service}" if self.evh else "") + ending)

    def load_balancer(self, namespace: str, name: str) -> str:
        """The L4 virtual service, its vsvip and its policy set, of a Service or of the key of a shared VIP."""
        return self._name(f"{namespace}-{name}")

    def load_balancer_pool(self, namespace: str, service: str, shared: str, protocol: str, port: int) -> str:
        """The pool of one port of such a Service; `shared` is the key of its shared VIP, "" for one of its own."""
        return self._name("-".join(part for part in (namespace, service, shared, protocol, str(port)) if part))

    @property
    def _parents(self) -> str:
        return self.prefix + self.instance

    @property
    def _suffix(self) -> str:
        return DEDICATED if self.dedicated else ""

    def _name(self, name: str) -> str:
        return names.encoded(self.prefix, name) if self.evh else self.prefix + name


def layout_of(settings: Settings) -> Layout:
    """The layout that the settings ask for."""
    per_namespace = settings.evh and settings.vip_per_namespace
    direct = settings.no_pool_group and not settings.evh
    return Layout(
        settings.prefix,
        settings.evh,
        settings.shard_size,
        per_namespace,
        direct,
        settings.passthrough_size,
        settings.instance,
    )


def every_naming(prefix: str) -> tuple[Layout, ...]:
    """A layout for every way in which any settings name a host's objects; whose an object is doesn't hang on them."""
    forms = ((evh, size, direct) for evh in (False, True) for size in _SIZES for direct in (False, not evh))
    return tuple(Layout(prefix, evh, size, direct=direct) for evh, size, direct in dict.fromkeys(forms))


def _path(namespace: str, host: str, path: str, ingress: str) -> str:
    return f"{namespace}-{host}{path.replace('/', '_')}-{ingress}"
