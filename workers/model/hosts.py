"""All Avi objects of one host.

Per tenant: a pool for each plain path (its place is in the shard's pool group), and for TLS a certificate, a pool and a
pool group for each path, the policy sets that switch between them and the SNI child virtual service.

A host that moves from plain to TLS wants its plain pools, with their servers kept up to date, as long as its child
virtual service doesn't stand (`rules.members`), and says under `waits` that it has to run again when it does. Then the
shard leaves the pools out, and their delete, which waits for the pool group's reference to go, can happen. So requests
are served at every moment. A host whose Secret is missing stays what it was: with its plain pools if it has them,
without anything if it never had.
"""

from __future__ import annotations

from typing import Any

from shared.settings.model import Settings
from workers.model import names
from workers.model.certificates import certificates_of
from workers.model.context import Context, context_for
from workers.model.policies import path_policies
from workers.model.pools import plain_pool, secure_pool, secure_pool_group
from workers.model.rules import Path, Served, child_id, members, read_rules
from workers.model.servers import Server, servers_of
from workers.model.types import AviObject, Desired, Facts, HostSnapshot, Problem
from workers.model.virtualservices import child


def desired_host(snapshot: HostSnapshot, settings: Settings, facts: Facts) -> Desired:
    """What `host:<fqdn>` owns on the controller; nothing when no Ingress of ours names the host any more."""
    context = context_for(settings, facts)
    found, problems = read_rules(
        snapshot.host, snapshot.ingresses, snapshot.namespaces, snapshot.classes, snapshot.secrets, context
    )
    if any(served.frozen for served in found):
        return _frozen(found, snapshot, problems, context)
    objects: list[AviObject] = []
    waits: list[str] = []
    row: dict[str, Any] = {}
    pods = _Servers(snapshot, context, problems)
    for served in found:
        moving = [member for member in members(served, snapshot.host, snapshot.standing, context) if member.kept]
        if moving and served.has_child:
            waits.append(child_id(served, snapshot.host, context))
        objects += _secure(served, snapshot, pods, context)
        objects += _plain(served, snapshot, pods, context)
        row[_shard(served, snapshot, context)] = _row(served, snapshot, context)
    return Desired(tuple(objects), tuple(dict.fromkeys(problems)), row or None, tuple(row), waits=tuple(waits))


def _frozen(found: list[Served], snapshot: HostSnapshot, problems: list[Problem], context: Context) -> Desired:
    """Nothing is built; the shard is told that it has to keep what it lists. No shard can be named for DEDICATED."""
    row: dict[str, Any] = {}
    if not context.unserved:
        row = {_shard(served, snapshot, context): {"fqdn": snapshot.host, "frozen": True} for served in found}
    return Desired(problems=tuple(problems), row=row or None, shards=tuple(row), frozen=True)


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


def _secure(served: Served, snapshot: HostSnapshot, pods: _Servers, context: Context) -> list[AviObject]:
    if not served.has_child:
        return []
    host, tenant, paths = snapshot.host, served.tenant, served.secure
    certificates = certificates_of(host, tenant, served.secret, snapshot.secrets[served.secret], context)
    policies = path_policies(paths, host, tenant, context)
    return [
        *certificates,
        *(secure_pool(path, host, tenant, pods.of(path), context) for path in paths),
        *(secure_pool_group(path, host, tenant, context) for path in paths),
        *policies,
        child(host, tenant, paths, certificates, policies, context),
    ]


def _plain(served: Served, snapshot: HostSnapshot, pods: _Servers, context: Context) -> list[AviObject]:
    return [
        plain_pool(member, snapshot.host, served.tenant, pods.of(member.path), context)
        for member in members(served, snapshot.host, snapshot.standing, context)
    ]


def _shard(served: Served, snapshot: HostSnapshot, context: Context) -> str:
    return names.shard_key(served.tenant, context.parent(snapshot.host))


def _row(served: Served, snapshot: HostSnapshot, context: Context) -> dict[str, Any]:
    """What the shard's lists depend on, but for what stands: plain members with labels, and the child if any."""
    plain = [[member.pool, member.label] for member in members(served, snapshot.host, (), context)]
    row: dict[str, Any] = {"fqdn": snapshot.host, "members": plain}
    if served.secure:
        row["tls"] = [[path.namespace, path.ingress, path.path] for path in served.secure]
        row["child"] = names.child(context.prefix, snapshot.host) if served.has_child else ""
    return row
