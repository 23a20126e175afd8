"""HTTP policy sets and the datascript: how a request finds its pool.

A host with a virtual service of its own has one policy set per namespace on it; its rules switch by path, longest
first, so that the first match is the best one. What redirects TLS hosts from port 80 is one set for a whole SNI shard,
and one for each host in every other form. An SNI shard has a datascript that selects, for its plain hosts, the members
of the shared pool group whose label matches host and path.

`Prefix` and `ImplementationSpecific` mean "begins with", as with AKO: `/foo` also matches `/foobar`. With
`pathMatching: Kubernetes` a `Prefix` matches whole elements, by two rules: `/foo` itself and what begins with `/foo/`.
"""

from __future__ import annotations

from typing import Any

from workers.model import names
from workers.model.context import Context
from workers.model.markers import marker, path_markers, with_checksum
from workers.model.served import Path
from workers.model.types import AviObject

POLICY_SET = "httppolicyset"
DATASCRIPT = "vsdatascriptset"

FIRST_INDEX = 11
"""The index of the first policy set of ours on a virtual service; the ones before are left to others."""

_SCRIPT = """\
-- The Host header without its port and the path after its first slash, in lower case, are the label of a pool.
local host = string.match(avi.http.get_host_tokens(1) or "", "^[^:]*")
local path = avi.http.get_path_tokens(1) or ""
avi.poolgroup.select("%s", string.lower(host .. "/" .. path))
"""

_PASSTHROUGH_SCRIPT = """\
-- The name in the client's TLS hello, after the cluster's prefix, is the name of the pool group to connect to.
local tls = require "Default-TLS"
local have = avi.l4.collect(20)
local need = tls.get_req_buffer_size(avi.l4.read())
if have < need then
  avi.l4.collect(need)
end
local hello = avi.l4.read()
local name = tls.sanity_check(hello) and tls.get_sni(tls.parse_record(hello))
if name then
  avi.poolgroup.select("%s" .. string.lower(name))
else
  avi.vs.close_conn()
end
avi.l4.ds_done()
"""


def path_policies(paths: list[Path], host: str, tenant: str, context: Context) -> list[AviObject]:
    """One policy set per namespace that has paths for the host, in the order in which its service refers to them.

    AKO's order, which we keep for its objects' sake: ascending by the first path of each set.
    """
    by_namespace: dict[str, list[Path]] = {}
    for path in paths:
        by_namespace.setdefault(path.namespace, []).append(path)
    sets = [(namespace, sorted(group, key=_longest_first)) for namespace, group in by_namespace.items()]
    sets.sort(key=lambda entry: (entry[1][0].path, entry[0]))
    return [_path_policy(namespace, group, host, tenant, context) for namespace, group in sets]


def shard_redirect(parent: str, hosts: list[str], tenant: str, context: Context) -> AviObject:
    """The redirect from port 80 to HTTPS for the given hosts (at least one), on the shared service `parent`."""
    return _redirect(parent, sorted(hosts), tenant, [context.cluster], context)


def host_redirect(host: str, namespace: str, tenant: str, context: Context) -> AviObject:
    """The redirect from port 80 to HTTPS on a host's own virtual service, whose name it bears."""
    markers = [context.cluster, marker("Namespace", namespace), marker("Host", host)]
    return _redirect(context.layout.virtual_service(host), [host], tenant, markers, context)


def datascript(parent: str, tenant: str, context: Context) -> AviObject:
    """The shard's datascript, which selects in the pool group of the same name."""
    body = {
        "name": parent,
        "created_by": context.created_by,
        "tenant_ref": names.tenant_ref(tenant),
        "datascript": [{"evt": "VS_DATASCRIPT_EVT_HTTP_REQ", "script": _SCRIPT % parent}],
        "pool_group_refs": [names.ref("poolgroup", parent)],
        "markers": [context.cluster],
    }
    return AviObject(DATASCRIPT, tenant, parent, body)


def passthrough_datascript(parent: str, tenant: str, groups: list[str], context: Context) -> AviObject:
    """The datascript of a parent that passes TLS through, with the pool groups (their names) that it may select."""
    body: dict[str, Any] = {
        "name": parent,
        "created_by": context.created_by,
        "tenant_ref": names.tenant_ref(tenant),
        "datascript": [{"evt": "VS_DATASCRIPT_EVT_L4_REQUEST", "script": _PASSTHROUGH_SCRIPT % context.prefix}],
        "protocol_parser_refs": [names.ref("protocolparser", "Default-TLS")],
        "markers": [context.cluster],
    }
    if groups:
        body["pool_group_refs"] = [names.ref("poolgroup", group) for group in groups]
    return AviObject(DATASCRIPT, tenant, parent, body)


def policy_refs(policies: list[AviObject]) -> list[dict[str, Any]]:
    """The `http_policies` of a virtual service."""
    return [
        {"index": index, "http_policy_set_ref": names.ref(POLICY_SET, policy.name)}
        for index, policy in enumerate(policies, FIRST_INDEX)
    ]


def _redirect(name: str, hosts: list[str], tenant: str, markers: list[dict[str, Any]], context: Context) -> AviObject:
    rule = {
        "name": names.rule(name, 0),
        "index": 0,
        "enable": True,
        "match": {
            "host_hdr": {"match_criteria": "HDR_EQUALS", "value": hosts},
            "vs_port": {"match_criteria": "IS_IN", "ports": [80]},
        },
        "redirect_action": {"status_code": "HTTP_REDIRECT_STATUS_CODE_302", "protocol": "HTTPS", "port": 443},
    }
    return _policy_set(name, [rule], tenant, markers, context)


def _path_policy(namespace: str, paths: list[Path], host: str, tenant: str, context: Context) -> AviObject:
    name = context.layout.policy_set(namespace, host)
    matches = [(path, match) for path in paths for match in _matches(path)]
    rules = [
        {
            "name": names.rule(name, index),
            "index": index,
            "enable": True,
            "match": match,
            "switching_action": _switch(path, host, context),
        }
        for index, (path, match) in enumerate(matches)
    ]
    markers = path_markers(
        context.cluster,
        namespace,
        host,
        list(dict.fromkeys(path.path for path in paths)),
        list(dict.fromkeys(path.ingress for path in paths)),
    )
    return _policy_set(name, rules, tenant, markers, context)


def _matches(path: Path) -> list[dict[str, Any]]:
    """What a request must match, in one of these ways; {} is matched by every one."""
    if not path.path:
        return [{}]
    if path.elements and path.stem != "/":
        return [_path_match("EQUALS", path.stem), _path_match("BEGINS_WITH", f"{path.stem}/")]
    return [_path_match("EQUALS" if path.exact else "BEGINS_WITH", path.stem)]


def _path_match(criteria: str, text: str) -> dict[str, Any]:
    return {"path": {"match_criteria": criteria, "match_case": "SENSITIVE", "match_str": [text]}}


def _switch(path: Path, host: str, context: Context) -> dict[str, Any]:
    layout = context.layout
    if layout.direct:
        pool = layout.pool(path.namespace, host, path.path, path.ingress, path.service)
        return {"action": "HTTP_SWITCHING_SELECT_POOL", "pool_ref": names.ref("pool", pool)}
    group = layout.pool_group(path.namespace, host, path.path, path.ingress)
    return {"action": "HTTP_SWITCHING_SELECT_POOLGROUP", "pool_group_ref": names.ref("poolgroup", group)}


def _policy_set(
    name: str, rules: list[dict[str, Any]], tenant: str, markers: list[dict[str, Any]], context: Context
) -> AviObject:
    body = {
        "name": name,
        "created_by": context.created_by,
        "tenant_ref": names.tenant_ref(tenant),
        "http_request_policy": {"rules": rules},
        "http_security_policy": {},
        "markers": markers,
    }
    return AviObject(POLICY_SET, tenant, name, with_checksum(body))


def _longest_first(path: Path) -> tuple[int, str, bool, bool]:
    """Longest path first; of two equal ones the narrower one, which the other would swallow."""
    return -len(path.stem), path.stem, not path.exact, not path.elements
