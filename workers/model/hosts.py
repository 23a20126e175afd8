"""All Avi objects of one host.

Per tenant, in whatever form `layout` gives the host: a virtual service of its own with the paths that it switches (a
pool and a pool group for each, the policy sets that lead there, for TLS a certificate), and with shared SNI a pool for
each plain path, whose place is in the shard's pool group.

A host that moves from plain to TLS wants its plain pools, with their servers kept up to date, as long as its child
virtual service doesn't stand (`rules.members`), and says under `waits` that it has to run again when it does. Then the
shard leaves the pools out, and their delete, which waits for the pool group's reference to go, can happen. So requests
are served at every moment. A host whose Secret is missing stays what it was: with its plain pools if it has them,
without anything if it never had.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from shared.projection import tls_by_default
from shared.settings.model import Settings
from workers.model import names
from workers.model.certificates import certificates_listed, certificates_of
from workers.model.context import Context, context_for
from workers.model.pairs import certificate_warnings
from workers.model.policies import host_redirect, path_policies
from workers.model.pools import own_pool, own_pool_group, passed_pool, passed_pool_group, plain_pool
from workers.model.rules import members, parent_of, read_rules, service_id
from workers.model.served import Path, Served
from workers.model.servers import Server, servers_of
from workers.model.tls import secret_asked_for
from workers.model.types import AviObject, Desired, Face, Facts, HostSnapshot, Problem, object_id
from workers.model.vips import VSVIP, vsvip_of
from workers.model.virtualservices import VIRTUAL_SERVICE, child, dedicated


def desired_host(snapshot: HostSnapshot, settings: Settings, facts: Facts) -> Desired:
    """What `host:<fqdn>` owns on the controller; nothing when no Ingress of ours names the host any more."""
    context = context_for(settings, facts)
    found, problems, refused = read_rules(
        snapshot.host,
        snapshot.ingresses,
        snapshot.namespaces,
        snapshot.classes,
        snapshot.secrets,
        snapshot.standing,
        context,
    )
    if any(served.frozen for served in found):
        return replace(_frozen(found, snapshot, problems, context), refused=tuple(refused))
    objects: list[AviObject] = []
    waits: list[str] = []
    row: dict[str, Any] = {}
    pods = _Servers(snapshot, context, problems)
    for served in found:
        problems += _warnings(served, snapshot, context)
        moving = [member for member in members(served, snapshot.host, snapshot.standing, context) if member.kept]
        if moving and served.has_service:
            waits.append(service_id(served, snapshot.host, context))
        objects += _own(served, snapshot, pods, context)
        objects += _plain(served, snapshot, pods, context)
        objects += _passed(served, snapshot, pods, context)
        if shard := _shard(served, snapshot, context):
            row[shard] = _row(served, snapshot, context)
    return Desired(
        tuple(objects),
        tuple(dict.fromkeys(problems)),
        row or None,
        tuple(row),
        waits=tuple(waits),
        faces={served.tenant: _face(served, snapshot, context) for served in found},
        refused=tuple(refused),
    )


def _frozen(found: list[Served], snapshot: HostSnapshot, problems: list[Problem], context: Context) -> Desired:
    """Nothing is built; the shard is told that it has to keep what it lists."""
    shards = [_shard(served, snapshot, context) for served in found]
    row = {shard: {"fqdn": snapshot.host, "frozen": True} for shard in shards if shard}
    faces = {served.tenant: _face(served, snapshot, context) for served in found}
    return Desired(problems=tuple(problems), row=row or None, shards=tuple(row), faces=faces, frozen=True)


def _warnings(served: Served, snapshot: HostSnapshot, context: Context) -> Iterable[Problem]:
    """What the Ingresses whose Secret makes the certificate should know of it."""
    if not served.certified or served.kept:
        return ()
    own = {(path.namespace, path.ingress) for path in served.own}
    asking = [
        ingress
        for ingress in snapshot.ingresses
        if (ingress["ns"], ingress["name"]) in own
        and secret_asked_for(ingress, snapshot.host, context) == served.secret
        and tls_by_default(ingress) is served.by_default
    ]
    name = served.secret if served.by_default else served.secret.partition("/")[2]
    return certificate_warnings(snapshot.host, asking, name, snapshot.secrets[served.secret], snapshot.day)


class _Servers:
    """Servers by Service and port: several paths of a host mostly have the same backend."""

    def __init__(self, snapshot: HostSnapshot, context: Context, problems: list[Problem]) -> None:
        self._snapshot = snapshot
        self._context = context
        self._problems = problems
        self._known: dict[tuple[str, str, int | str], list[Server]] = {}

    def of(self, path: Path) -> list[Server]:
        key = (path.namespace, path.service, path.port)
        known = self._known.get(key)
        if known is None:
            known, problems = servers_of(path, self._snapshot, self._context)
            self._known[key] = known
            self._problems += problems
        return known


def _own(served: Served, snapshot: HostSnapshot, pods: _Servers, context: Context) -> list[AviObject]:
    """The host's own virtual service with everything below it, in the order of the references."""
    if not served.has_service:
        return []
    host, tenant, paths = snapshot.host, served.tenant, served.paths
    certificates = certificates_listed(served)
    policies = path_policies(paths, host, tenant, context)
    if certificates and context.layout.whole:
        policies.insert(0, host_redirect(host, paths[0].namespace, tenant, context))
    below = [
        *certificates_of(host, served, snapshot.secrets, context),
        *(own_pool(path, host, tenant, pods.of(path), context) for path in paths),
        *(own_pool_group(path, host, tenant, context) for path in paths if not context.layout.direct),
        *policies,
    ]
    if context.layout.dedicated:
        service = dedicated(host, served, certificates, policies, context)
        return [*below, vsvip_of(service.name, {host}, tenant, context), service]
    return [*below, child(host, served, parent_of(served, host, context), certificates, policies, context)]


def _plain(served: Served, snapshot: HostSnapshot, pods: _Servers, context: Context) -> list[AviObject]:
    return [
        plain_pool(member, snapshot.host, served.tenant, pods.of(member.path), context)
        for member in members(served, snapshot.host, snapshot.standing, context)
    ]


def _passed(served: Served, snapshot: HostSnapshot, pods: _Servers, context: Context) -> list[AviObject]:
    """What a host has whose TLS is passed through: a pool for each Service, and the group that the parent selects."""
    if not served.passed:
        return []
    host, tenant = snapshot.host, served.tenant
    pools = [passed_pool(path, host, tenant, pods.of(path), context) for path in served.passed]
    return [*pools, passed_pool_group(host, tenant, pools, context)]


def _shard(served: Served, snapshot: HostSnapshot, context: Context) -> str:
    """The key of the shared parent, "" without one."""
    parent = parent_of(served, snapshot.host, context)
    return names.shard_key(served.tenant, parent) if parent else ""


def _row(served: Served, snapshot: HostSnapshot, context: Context) -> dict[str, Any]:
    """What the shard's lists depend on, but for what stands: plain members with labels, and the child if any."""
    plain = [[member.pool, member.label] for member in members(served, snapshot.host, (), context)]
    row: dict[str, Any] = {"fqdn": snapshot.host, "members": plain}
    if served.own:
        row["child"] = context.layout.virtual_service(snapshot.host) if served.has_service else ""
    if served.passthrough:
        return {"fqdn": snapshot.host, "group": names.passthrough_group(context.prefix, snapshot.host)}
    if context.layout.whole:
        row["certificates"] = certificates_listed(served)
    elif served.own:
        row["tls"] = [[path.namespace, path.ingress, path.path] for path in served.own]
    return row


def _face(served: Served, snapshot: HostSnapshot, context: Context) -> Face:
    """Who serves the host: its own virtual service; with shared SNI the parent, as long as that doesn't stand.

    The address is the parent's, or that of the dedicated virtual service.
    """
    own = (names.host_key(snapshot.host), service_id(served, snapshot.host, context))
    if context.layout.dedicated and not served.passthrough:
        return Face((own,), (own[0], object_id(VSVIP, served.tenant, context.layout.virtual_service(snapshot.host))))
    parent = parent_of(served, snapshot.host, context)
    shard = names.shard_key(served.tenant, parent)
    services = [own] if served.own else []
    if served.passthrough or not context.layout.whole:
        services.append((shard, object_id(VIRTUAL_SERVICE, served.tenant, parent)))
    return Face(tuple(services), (shard, object_id(VSVIP, served.tenant, parent)))
