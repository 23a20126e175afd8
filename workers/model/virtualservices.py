"""Virtual services: shared parents and the children of hosts, found by SNI or, enhanced (EVH), by the Host header;
dedicated ones, which have an address of their own and no parent; and the pair that passes TLS through.

Parents and what serves one host each have one body; what the forms add to it is one function each.
"""

from __future__ import annotations

from typing import Any

from shared.projection import DEFAULT_CERTIFICATE
from workers.model import names
from workers.model.certificates import CERTIFICATE
from workers.model.context import Context
from workers.model.markers import PARENT_METADATA, host_metadata, marker, passthrough_metadata, with_checksum
from workers.model.policies import DATASCRIPT, policy_refs
from workers.model.served import Path, Served
from workers.model.types import AviObject, object_id
from workers.model.vips import VSVIP

VIRTUAL_SERVICE = "virtualservice"

_ENHANCED = "VS_TYPE_VH_ENHANCED"
_NETWORK_PROFILE = names.ref("networkprofile", "System-TCP-Proxy")
_HTTP_PROFILE = names.ref("applicationprofile", "System-HTTP")
_HTTPS_PROFILE = names.ref("applicationprofile", "System-Secure-HTTP")
_LISTENERS = [
    {"port": 80, "port_range_end": 80, "enable_ssl": False, "enable_http2": False},
    {"port": 443, "port_range_end": 443, "enable_ssl": True, "enable_http2": False},
]
_BARE_LISTENERS = [{name: each[name] for name in each if name != "port_range_end"} for each in _LISTENERS]
_PASSTHROUGH = {
    "services": [{**_LISTENERS[1], "enable_ssl": False}],
    "application_profile_ref": names.ref("applicationprofile", "System-L4-Application"),
    "error_page_profile_ref": "",
    "remove_listening_port_on_vs_down": True,
}


def sni_parent(name: str, tenant: str, policies: list[AviObject], context: Context) -> AviObject:
    """A shared SNI parent, with its vsvip, its datascript and, when it has TLS hosts, its redirect policy."""
    body = _parent(name, tenant, context)
    body["error_page_profile_ref"] = ""
    body["services"] = _LISTENERS
    body["vs_datascripts"] = [{"index": 0, "vs_datascript_set_ref": names.ref(DATASCRIPT, name)}]
    if policies:
        body["http_policies"] = policy_refs(policies)
    return AviObject(VIRTUAL_SERVICE, tenant, name, with_checksum(body))


def evh_parent(name: str, tenant: str, certificates: list[str], context: Context) -> AviObject:
    """A shared EVH parent, with its vsvip and the certificates of its TLS hosts; all else is its children's."""
    body = _parent(name, tenant, context)
    body["vh_type"] = _ENHANCED
    body["services"] = _BARE_LISTENERS
    if certificates:
        body["ssl_key_and_certificate_refs"] = [names.ref(CERTIFICATE, each) for each in certificates]
    return AviObject(VIRTUAL_SERVICE, tenant, name, with_checksum(body))


def passthrough_parent(name: str, tenant: str, context: Context) -> AviObject:
    """The shared virtual service that passes TLS through, with its vsvip and the datascript that finds the host."""
    body = _shared(name, tenant, context)
    body.update(_PASSTHROUGH)
    body["vsvip_ref"] = names.ref(VSVIP, name)
    body["vs_datascripts"] = [{"index": 0, "vs_datascript_set_ref": names.ref(DATASCRIPT, name)}]
    body["service_metadata"] = passthrough_metadata(child=names.insecure(name))
    return AviObject(VIRTUAL_SERVICE, tenant, name, with_checksum(body))


def passthrough_insecure(parent: str, tenant: str, policies: list[AviObject], context: Context) -> AviObject:
    """What answers port 80 beside `parent`, at the same address, and redirects its hosts to HTTPS."""
    name = names.insecure(parent)
    body = _shared(name, tenant, context)
    body["services"] = _LISTENERS[:1]
    body["application_profile_ref"] = _HTTP_PROFILE
    body["error_page_profile_ref"] = ""
    body["vsvip_ref"] = names.ref(VSVIP, parent)
    body["service_metadata"] = passthrough_metadata(parent=parent)
    if policies:
        body["http_policies"] = policy_refs(policies)
    return AviObject(VIRTUAL_SERVICE, tenant, name, with_checksum(body))


def child(
    host: str, served: Served, parent: str, certificates: list[str], policies: list[AviObject], context: Context
) -> AviObject:
    """The child of a shared parent that serves one host; the parent must stand first."""
    tenant = served.tenant
    body = _of_host(host, served.paths, policies, context)
    body["type"] = "VS_TYPE_VH_CHILD"
    body["ign_pool_net_reach"] = False
    body["vh_parent_vs_ref"] = names.ref(VIRTUAL_SERVICE, parent)
    body.update(_evh_part(host) if context.layout.evh else _sni_part(host, certificates))
    requires = {object_id(VIRTUAL_SERVICE, tenant, parent): names.shard_key(tenant, parent)}
    if not context.layout.evh:
        requires |= _of_others(served, certificates)
    return AviObject(VIRTUAL_SERVICE, tenant, body["name"], with_checksum(body), requires=requires)


def dedicated(
    host: str, served: Served, certificates: list[str], policies: list[AviObject], context: Context
) -> AviObject:
    """The virtual service that serves one host at an address of its own; port 443 only where there is a certificate."""
    tenant = served.tenant
    body = _of_host(host, served.paths, policies, context)
    evh = context.layout.evh
    body["type"] = "VS_TYPE_NORMAL"
    body["tenant_ref"] = names.tenant_ref(tenant)
    body["vsvip_ref"] = names.ref(VSVIP, body["name"])
    body["services"] = (_BARE_LISTENERS if evh else _LISTENERS)[: 2 if certificates else 1]
    body["application_profile_ref"] = _HTTPS_PROFILE if certificates and not evh else _HTTP_PROFILE
    if certificates:
        body["ssl_key_and_certificate_refs"] = [names.ref(CERTIFICATE, each) for each in certificates]
    if evh:
        body["min_pools_up"] = 1
    requires = _of_others(served, certificates)
    return AviObject(VIRTUAL_SERVICE, tenant, body["name"], with_checksum(body), requires=requires)


def _of_others(served: Served, certificates: list[str]) -> dict[str, str]:
    """The certificates that are not the host's own, each with the key that makes it."""
    if not served.by_default:
        return {}
    return {object_id(CERTIFICATE, served.tenant, each): DEFAULT_CERTIFICATE for each in certificates}


def _sni_part(host: str, certificates: list[str]) -> dict[str, Any]:
    """What makes a child one that is found by the name that TLS clients ask for."""
    return {
        "application_profile_ref": _HTTPS_PROFILE,
        "vh_domain_name": [host],
        "ssl_key_and_certificate_refs": [names.ref(CERTIFICATE, each) for each in certificates],
    }


def _evh_part(host: str) -> dict[str, Any]:
    """What makes a child one that is found by the Host header, with TLS or without; its paths are in its policies."""
    whole = {"match_criteria": "BEGINS_WITH", "match_case": "SENSITIVE", "match_str": ["/"]}
    return {
        "application_profile_ref": _HTTP_PROFILE,
        "vh_type": _ENHANCED,
        "min_pools_up": 1,
        "vh_matches": [{"host": host, "rules": [{"name": "VHMATCHRULENAME", "matches": {"path": whole}}]}],
    }


def _parent(name: str, tenant: str, context: Context) -> dict[str, Any]:
    body = _shared(name, tenant, context)
    body["type"] = "VS_TYPE_VH_PARENT"
    body["application_profile_ref"] = _HTTP_PROFILE
    body["vsvip_ref"] = names.ref(VSVIP, name)
    body["service_metadata"] = PARENT_METADATA
    return body


def _shared(name: str, tenant: str, context: Context) -> dict[str, Any]:
    """What every virtual service has that belongs to no single host."""
    return {
        "name": name,
        "created_by": context.created_by,
        "tenant_ref": names.tenant_ref(tenant),
        "cloud_ref": context.cloud_ref,
        "vrf_context_ref": context.vrf_ref,
        "se_group_ref": context.se_group_ref,
        "network_profile_ref": _NETWORK_PROFILE,
        "markers": [context.cluster],
    }


def _of_host(host: str, paths: list[Path], policies: list[AviObject], context: Context) -> dict[str, Any]:
    """What every virtual service of one host has. The oldest Ingress lends its namespace."""
    namespace = paths[0].namespace
    ingresses = list(dict.fromkeys(f"{path.namespace}/{path.ingress}" for path in paths))
    return {
        "name": context.layout.virtual_service(host),
        "created_by": context.created_by,
        "cloud_ref": context.cloud_ref,
        "vrf_context_ref": context.vrf_ref,
        "se_group_ref": context.se_group_ref,
        "network_profile_ref": _NETWORK_PROFILE,
        "error_page_profile_ref": "",
        "east_west_placement": False,
        "http_policies": policy_refs(policies),
        "service_metadata": host_metadata(namespace, ingresses, host, by_host=context.layout.evh),
        "markers": [context.cluster, marker("Namespace", namespace), marker("Host", host)],
    }
