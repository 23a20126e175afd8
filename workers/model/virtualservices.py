"""Virtual services: the shared SNI parent and the SNI child of a TLS host."""

from __future__ import annotations

from typing import Any

from workers.model import names
from workers.model.context import Context
from workers.model.markers import PARENT_METADATA, child_metadata, marker, with_checksum
from workers.model.policies import DATASCRIPT, policy_refs
from workers.model.rules import Path
from workers.model.types import AviObject, object_id
from workers.model.vips import VSVIP

VIRTUAL_SERVICE = "virtualservice"

_NETWORK_PROFILE = names.ref("networkprofile", "System-TCP-Proxy")
_HTTP_PROFILE = names.ref("applicationprofile", "System-HTTP")
_HTTPS_PROFILE = names.ref("applicationprofile", "System-Secure-HTTP")
_LISTENERS = [
    {"port": 80, "port_range_end": 80, "enable_ssl": False, "enable_http2": False},
    {"port": 443, "port_range_end": 443, "enable_ssl": True, "enable_http2": False},
]


def parent(name: str, tenant: str, policies: list[AviObject], context: Context) -> AviObject:
    """The shared parent, with its vsvip, its datascript and, when it has TLS hosts, its redirect policy."""
    body: dict[str, Any] = {
        "name": name,
        "type": "VS_TYPE_VH_PARENT",
        "created_by": context.created_by,
        "tenant_ref": names.tenant_ref(tenant),
        "cloud_ref": context.cloud_ref,
        "vrf_context_ref": context.vrf_ref,
        "se_group_ref": context.se_group_ref,
        "application_profile_ref": _HTTP_PROFILE,
        "network_profile_ref": _NETWORK_PROFILE,
        "error_page_profile_ref": "",
        "services": _LISTENERS,
        "vsvip_ref": names.ref(VSVIP, name),
        "vs_datascripts": [{"index": 0, "vs_datascript_set_ref": names.ref(DATASCRIPT, name)}],
        "service_metadata": PARENT_METADATA,
        "markers": [context.cluster],
    }
    if policies:
        body["http_policies"] = policy_refs(policies)
    return AviObject(VIRTUAL_SERVICE, tenant, name, with_checksum(body))


def child(
    host: str,
    tenant: str,
    paths: list[Path],
    certificates: list[AviObject],
    policies: list[AviObject],
    context: Context,
) -> AviObject:
    """The SNI child of a TLS host; its parent must stand first. The oldest Ingress lends its namespace."""
    name, parent_name = names.child(context.prefix, host), context.parent(host)
    namespace = paths[0].namespace
    ingresses = list(dict.fromkeys(f"{path.namespace}/{path.ingress}" for path in paths))
    body = {
        "name": name,
        "type": "VS_TYPE_VH_CHILD",
        "created_by": context.created_by,
        "cloud_ref": context.cloud_ref,
        "vrf_context_ref": context.vrf_ref,
        "se_group_ref": context.se_group_ref,
        "application_profile_ref": _HTTPS_PROFILE,
        "network_profile_ref": _NETWORK_PROFILE,
        "error_page_profile_ref": "",
        "east_west_placement": False,
        "ign_pool_net_reach": False,
        "vh_parent_vs_ref": names.ref(VIRTUAL_SERVICE, parent_name),
        "vh_domain_name": [host],
        "ssl_key_and_certificate_refs": [names.ref(each.type, each.name) for each in certificates],
        "http_policies": policy_refs(policies),
        "service_metadata": child_metadata(namespace, ingresses, host),
        "markers": [context.cluster, marker("Namespace", namespace), marker("Host", host)],
    }
    requires = {object_id(VIRTUAL_SERVICE, tenant, parent_name): names.shard_key(tenant, parent_name)}
    return AviObject(VIRTUAL_SERVICE, tenant, name, with_checksum(body), requires=requires)
