"""All Avi objects of one shard: shared parent and vsvip; with SNI also pool group, datascript and redirect policy; with
TLS passthrough a datascript, and a second virtual service for the redirect.

A shard never waits for a host. It lists what its hosts *want and have*: pools, pool groups (passthrough) and
certificates (EVH) that stand, redirects and FQDNs of hosts whose pool or child virtual service stands. What is wanted
and doesn't stand yet is left out and named under `waits`. What a host wants comes from `rules`, the very functions that
build the host's own objects, so both always agree.

When the last host goes, everything goes but the vsvip, which keeps its own FQDN and with it the address, as with AKO. A
shard that never had a host has no vsvip either. The vsvip goes too with `deleteConfig`, and when the settings give no
host such a parent any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.settings.model import Settings
from workers.model import names
from workers.model.accept import hosts_of
from workers.model.certificates import CERTIFICATE, certificates_listed
from workers.model.context import Context, context_for
from workers.model.policies import datascript, passthrough_datascript, shard_redirect
from workers.model.pools import POOL_GROUP, shared_pool_group
from workers.model.rules import Member, members, parent_of, pool_id, read_rules, service_id
from workers.model.served import Served
from workers.model.types import AviObject, Desired, Facts, ShardSnapshot, object_id
from workers.model.vips import VSVIP, vsvip_of
from workers.model.virtualservices import evh_parent, passthrough_insecure, passthrough_parent, sni_parent


def desired_shard(snapshot: ShardSnapshot, settings: Settings, facts: Facts) -> Desired:
    """What `shard:<tenant>/<parent>` owns on the controller. Problems of hosts are reported by the hosts' own keys."""
    context = context_for(settings, facts)
    if settings.delete_config:
        return Desired()
    tenant, name = snapshot.tenant, snapshot.parent
    if not context.layout.gives(name):
        return Desired()
    lists = _Lists(snapshot, context)
    for host, ingresses in _hosts(snapshot, context):
        reading = read_rules(
            host, ingresses, snapshot.namespaces, snapshot.classes, snapshot.secrets, snapshot.standing, context
        )
        for served in reading.found:
            if served.tenant == tenant and parent_of(served, host, context) == name:
                lists.add(host, served)
    vsvip = vsvip_of(name, lists.fqdns | _own_fqdn(name, tenant, context), tenant, context)
    if not lists.used:
        kept = context.layout.keeps(name) and object_id(VSVIP, tenant, name) in snapshot.standing
        return Desired((vsvip,) if kept else ())
    build = _passthrough if context.layout.passes(name) else _evh if context.layout.evh else _sni
    return Desired((vsvip, *build(name, tenant, lists, context)), waits=tuple(lists.waits))


def _own_fqdn(name: str, tenant: str, context: Context) -> set[str]:
    """The FQDN of the parent itself; those of a namespace and those that pass TLS through have none."""
    if context.layout.per_namespace or context.layout.passes(name):
        return set()
    fqdn = names.shared_fqdn(name, tenant, context.settings, context.domains)
    return {fqdn} if fqdn else set()


def _sni(name: str, tenant: str, lists: _Lists, context: Context) -> list[AviObject]:
    """The shared pool group and the datascript for plain hosts, the redirect of the TLS hosts, the parent."""
    group = shared_pool_group(name, tenant, sorted(lists.members.values(), key=_by_label), context)
    policies = [shard_redirect(name, lists.redirects, tenant, context)] if lists.redirects else []
    return [group, *policies, datascript(name, tenant, context), sni_parent(name, tenant, policies, context)]


def _evh(name: str, tenant: str, lists: _Lists, context: Context) -> list[AviObject]:
    """The parent, with the certificates of all TLS hosts."""
    return [evh_parent(name, tenant, sorted(lists.certificates), context)]


def _passthrough(name: str, tenant: str, lists: _Lists, context: Context) -> list[AviObject]:
    """The datascript that finds the pool groups of the hosts, the parent, and the redirect from port 80 beside it."""
    beside = names.insecure(name)
    policies = [shard_redirect(beside, lists.redirects, tenant, context)] if lists.redirects else []
    return [
        passthrough_datascript(name, tenant, lists.groups, context),
        passthrough_parent(name, tenant, context),
        *policies,
        passthrough_insecure(name, tenant, policies, context),
    ]


class _Lists:
    """What the shard's objects list, gathered host by host. `used`: some host wants or still has a place here."""

    def __init__(self, snapshot: ShardSnapshot, context: Context) -> None:
        self._snapshot = snapshot
        self._context = context
        self.fqdns: set[str] = set()
        self.redirects: list[str] = []
        self.certificates: set[str] = set()
        self.groups: list[str] = []
        self.members: dict[str, Member] = {}
        self.waits: list[str] = []
        self.used = False

    def add(self, host: str, served: Served) -> None:
        if served.passthrough:
            self._pass(host, served)
            return
        child = service_id(served, host, self._context)
        stands = child in self._snapshot.standing
        if served.has_service and not stands:
            self.waits.append(child)
        elif stands and (served.has_service or served.frozen):
            self.redirects.append(host)
            self.fqdns.add(host)
        pools = members(served, host, self._snapshot.standing, self._context)
        for member in pools:
            pool = pool_id(served, member)
            if pool in self._snapshot.standing:
                self.members.setdefault(member.pool, member)
                self.fqdns.add(host)
            else:
                self.waits.append(pool)
        self._certify(host, served)
        self.used = self.used or served.has_service or bool(pools) or bool(served.frozen and stands)

    def _pass(self, host: str, served: Served) -> None:
        """A host whose TLS is passed through, or was before it was frozen: its pool group."""
        group = names.passthrough_group(self._context.prefix, host)
        id_ = object_id(POOL_GROUP, served.tenant, group)
        stands = id_ in self._snapshot.standing
        if stands:
            self.groups.append(group)
            self.redirects.append(host)
            self.fqdns.add(host)
        elif served.passed:
            self.waits.append(id_)
        self.used = self.used or stands or bool(served.passed)

    def _certify(self, host: str, served: Served) -> None:
        """The certificates of an EVH host: those that it wants, or has while it is frozen."""
        context, standing = self._context, self._snapshot.standing
        if not context.layout.evh:
            return
        wanted = certificates_listed(served)
        layout = context.layout
        kept = (*layout.certificates(host).values(), *layout.default_certificates().values()) if served.frozen else ()
        for name in dict.fromkeys((*wanted, *kept)):
            id_ = object_id(CERTIFICATE, served.tenant, name)
            if id_ in standing:
                self.certificates.add(name)
            elif name in wanted:
                self.waits.append(id_)


def _hosts(snapshot: ShardSnapshot, context: Context) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The hosts that may be on this parent, each with the Ingresses that name it."""
    by_host: dict[str, dict[str, dict[str, Any]]] = {}
    for ingress in snapshot.ingresses:
        for host in hosts_of(ingress, context):
            by_host.setdefault(host, {})[f"{ingress['ns']}/{ingress['name']}"] = ingress
    for host in sorted(by_host):
        if context.layout.may_hold(snapshot.parent, host):
            yield host, list(by_host[host].values())


def _by_label(member: Member) -> tuple[str, str]:
    return member.label, member.pool
