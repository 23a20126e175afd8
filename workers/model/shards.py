"""All Avi objects of one shard: the shared SNI parent, its vsvip, pool group, datascript and redirect policy.

A shard never waits for a host. It lists what its hosts *want and have*: pools that stand, redirects and FQDNs of hosts
whose pool or child virtual service stands. What is wanted and doesn't stand yet is left out and named under `waits`.
What a host wants comes from `rules`, the very functions that build the host's own objects, so both always agree.

When the last host goes, everything goes but the vsvip, which keeps its own FQDN and with it the address, as with AKO. A
shard that never had a host has no vsvip either. `deleteConfig` takes the vsvip away too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.settings.model import Settings
from workers.model import names
from workers.model.context import Context, context_for
from workers.model.policies import datascript, redirect_policy
from workers.model.pools import shared_pool_group
from workers.model.rules import Member, Served, child_id, members, pool_id, read_rules
from workers.model.types import Desired, Facts, ShardSnapshot, object_id
from workers.model.vips import VSVIP, shared_vsvip
from workers.model.virtualservices import parent


def desired_shard(snapshot: ShardSnapshot, settings: Settings, facts: Facts) -> Desired:
    """What `shard:<tenant>/<parent>` owns on the controller. Problems of hosts are reported by the hosts' own keys."""
    context = context_for(settings, facts)
    if settings.delete_config:
        return Desired()
    if context.unserved:
        return Desired(frozen=True)
    tenant, name = snapshot.tenant, snapshot.parent
    lists = _Lists(snapshot, context)
    for host, ingresses in _hosts(snapshot, context):
        found, _ = read_rules(host, ingresses, snapshot.namespaces, snapshot.classes, snapshot.secrets, context)
        for served in found:
            if served.tenant == tenant:
                lists.add(host, served)
    own = names.shared_fqdn(name, tenant, settings, context.domains)
    vsvip = shared_vsvip(name, lists.fqdns | {own} if own else lists.fqdns, tenant, context)
    if not lists.used:
        return Desired((vsvip,) if object_id(VSVIP, tenant, name) in snapshot.standing else ())
    group = shared_pool_group(name, tenant, sorted(lists.members.values(), key=_by_label), context)
    policies = [redirect_policy(name, lists.redirects, tenant, context)] if lists.redirects else []
    script = datascript(name, tenant, context)
    objects = (vsvip, group, *policies, script, parent(name, tenant, policies, context))
    return Desired(objects, waits=tuple(lists.waits))


class _Lists:
    """What the shard's objects list, gathered host by host. `used`: some host wants or still has a place here."""

    def __init__(self, snapshot: ShardSnapshot, context: Context) -> None:
        self._standing = snapshot.standing
        self._context = context
        self.fqdns: set[str] = set()
        self.redirects: list[str] = []
        self.members: dict[str, Member] = {}
        self.waits: list[str] = []
        self.used = False

    def add(self, host: str, served: Served) -> None:
        child = child_id(served, host, self._context)
        stands = child in self._standing
        if served.has_child and not stands:
            self.waits.append(child)
        elif stands and (served.has_child or served.frozen):
            self.redirects.append(host)
            self.fqdns.add(host)
        pools = members(served, host, self._standing, self._context)
        for member in pools:
            pool = pool_id(served, member)
            if pool in self._standing:
                self.members.setdefault(member.pool, member)
                self.fqdns.add(host)
            else:
                self.waits.append(pool)
        self.used = self.used or served.has_child or bool(pools) or bool(served.frozen and stands)


def _hosts(snapshot: ShardSnapshot, context: Context) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The hosts of this parent, each with the Ingresses that name it."""
    by_host: dict[str, dict[str, dict[str, Any]]] = {}
    for ingress in snapshot.ingresses:
        for rule in ingress["rules"]:
            if rule["host"]:
                by_host.setdefault(rule["host"], {})[f"{ingress['ns']}/{ingress['name']}"] = ingress
    for host in sorted(by_host):
        if context.parent(host) == snapshot.parent:
            yield host, list(by_host[host].values())


def _by_label(member: Member) -> tuple[str, str]:
    return member.label, member.pool
