"""Pools and pool groups.

A path that its shard's datascript finds has a pool in the pool group that the whole shard shares, by its priority
label. A path that the host's own virtual service switches has a pool in a pool group of its own, to which a rule of the
host's HTTP policy set points. A pool is made even when
its Service has no endpoints: its place in the rules must not come and go with them. Empty lists are not sent.
"""

from __future__ import annotations

from typing import Any

from workers.model import names
from workers.model.context import Context
from workers.model.markers import marker, path_markers, pool_metadata, with_checksum
from workers.model.rules import Member
from workers.model.served import Path
from workers.model.servers import Server
from workers.model.types import AviObject

POOL = "pool"
POOL_GROUP = "poolgroup"

_RATIO = 100
_HEALTH_MONITORS = [names.ref("healthmonitor", "System-TCP")]


def plain_pool(member: Member, host: str, tenant: str, servers: list[Server], context: Context) -> AviObject:
    """The pool of a plain path. It names no Service in its markers, as with AKO."""
    path = member.path
    markers = path_markers(context.cluster, path.namespace, host, [path.path], [path.ingress])
    return _pool(member.pool, path, host, tenant, markers, servers, context)


def own_pool(path: Path, host: str, tenant: str, servers: list[Server], context: Context) -> AviObject:
    """The pool of a path that the host's own virtual service switches."""
    name = context.layout.pool(path.namespace, host, path.path, path.ingress, path.service)
    markers = path_markers(context.cluster, path.namespace, host, [path.path], [path.ingress], path.service)
    return _pool(name, path, host, tenant, markers, servers, context)


def own_pool_group(path: Path, host: str, tenant: str, context: Context) -> AviObject:
    """The pool group of such a path, with its one pool."""
    layout = context.layout
    name = layout.pool_group(path.namespace, host, path.path, path.ingress)
    pool = layout.pool(path.namespace, host, path.path, path.ingress, path.service)
    members = [{"pool_ref": names.bare_ref(POOL, pool), "ratio": _RATIO}]
    markers = path_markers(context.cluster, path.namespace, host, [path.path], [path.ingress])
    return _path_group(name, tenant, members, markers, context)


def passed_pool(path: Path, host: str, tenant: str, servers: list[Server], context: Context) -> AviObject:
    """The pool of one Service of a host whose TLS is passed through."""
    name = names.passthrough_pool(context.prefix, host, path.service)
    markers = [context.cluster, marker("Host", host), marker("ServiceName", path.service)]
    return _pool(name, path, host, tenant, markers, servers, context)


def passed_pool_group(host: str, tenant: str, pools: list[AviObject], context: Context) -> AviObject:
    """The pool group of such a host, over all its pools."""
    name = names.passthrough_group(context.prefix, host)
    members = [{"pool_ref": names.bare_ref(POOL, pool.name), "ratio": _RATIO} for pool in pools]
    return _path_group(name, tenant, members, [context.cluster, marker("Host", host)], context)


def shared_pool_group(parent: str, tenant: str, members: list[Member], context: Context) -> AviObject:
    """The pool group of a shard; `members` are those that stand, in the order in which they are to be listed."""
    body: dict[str, Any] = {
        "name": parent,
        "created_by": context.created_by,
        "tenant_ref": names.tenant_ref(tenant),
        "cloud_ref": context.cloud_ref,
        "implicit_priority_labels": True,
        "markers": [context.cluster],
    }
    if members:
        body["members"] = [
            {"pool_ref": names.bare_ref(POOL, member.pool), "priority_label": member.label, "ratio": _RATIO}
            for member in members
        ]
    return AviObject(POOL_GROUP, tenant, parent, with_checksum(body))


def _path_group(
    name: str, tenant: str, members: list[dict[str, Any]], markers: list[dict[str, Any]], context: Context
) -> AviObject:
    body = {
        "name": name,
        "created_by": context.created_by,
        "tenant_ref": names.tenant_ref(tenant),
        "cloud_ref": context.cloud_ref,
        "implicit_priority_labels": False,
        "members": members,
        "markers": markers,
    }
    return AviObject(POOL_GROUP, tenant, name, with_checksum(body))


def _pool(
    name: str,
    path: Path,
    host: str,
    tenant: str,
    markers: list[dict[str, Any]],
    servers: list[Server],
    context: Context,
) -> AviObject:
    body: dict[str, Any] = {
        "name": name,
        "created_by": context.created_by,
        "tenant_ref": names.tenant_ref(tenant),
        "cloud_ref": context.cloud_ref,
        "vrf_ref": context.vrf_ref,
        "service_metadata": pool_metadata(path.namespace, path.ingress, host),
        "sni_enabled": False,
        "graceful_disable_timeout": 1,
        "health_monitor_refs": _HEALTH_MONITORS,
        "markers": markers,
    }
    if context.placement:
        body["placement_networks"] = context.placement
    if servers:
        body["servers"] = servers
    return AviObject(POOL, tenant, name, with_checksum(body))
