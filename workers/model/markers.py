"""The marks that every object of ours carries: markers, `service_metadata` and the checksum.

Markers tell whose an object is and which Kubernetes objects it was made for; AKO, the census and the operator read
them. `service_metadata` is the same knowledge as a JSON text in AKO's own shape: every key present, in AKO's order,
null where AKO has a nil list, so that a controller taken over from AKO compares equal. The checksum is there for AKO's
sake only; we compare fields (`workers.owned`).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import orjson

_METADATA_TAIL = (
    '"namespace_svc_name":%s,"crd_status":{"type":"","value":"","status":""},"pool_ratio":%d,'
    '"passthrough_parent_ref":%s,"passthrough_child_ref":%s,"gateway":"","httproute":"","httproute_rule_name":"",'
    '"insecureedgetermallow":false,"is_mci_ingress":false,"fqdn_reuse_policy":"","host_namespace_ingress_name":%s}'
)
_NONE = '""'
_POOL_TAIL = _METADATA_TAIL % ("null", 100, _NONE, _NONE, "null")
_VS_TAIL = _METADATA_TAIL % ("null", 0, _NONE, _NONE, "null")
_NOBODY = '{"namespace_ingress_name":null,"ingress_name":"","namespace":"","hostnames":null,'

PARENT_METADATA = _NOBODY + _VS_TAIL
"""`service_metadata` of what tells its Kubernetes object in no other way than its markers: shared parents, L4 pools."""


def marker(key: str, *values: str) -> dict[str, Any]:
    """One marker; values compare as a set."""
    return {"key": key, "values": list(values)}


def path_markers(
    cluster: dict[str, Any], namespace: str, host: str, paths: list[str], ingresses: list[str], service: str = ""
) -> list[dict[str, Any]]:
    """The markers of what is made for paths of a host, in AKO's order; empty ones are left out."""
    markers = [cluster, marker("Namespace", namespace), marker("Host", host)]
    if service:
        markers.append(marker("ServiceName", service))
    named = [path for path in paths if path]
    if named:
        markers.append(marker("Path", *named))
    markers.append(marker("IngressName", *ingresses))
    return markers


def pool_metadata(namespace: str, ingress: str, host: str) -> str:
    """`service_metadata` of a pool."""
    return (
        f'{{"namespace_ingress_name":null,"ingress_name":{_quoted(ingress)},"namespace":{_quoted(namespace)},'
        f'"hostnames":[{_quoted(host)}],{_POOL_TAIL}'
    )


def host_metadata(namespace: str, ingresses: list[str], host: str, *, by_host: bool) -> str:
    """`service_metadata` of a host's own virtual service; `ingresses` are `ns/name` texts, with EVH also `by_host`."""
    listed = orjson.dumps(ingresses).decode()
    tail = _METADATA_TAIL % ("null", 0, _NONE, _NONE, f"{{{_quoted(host)}:{listed}}}") if by_host else _VS_TAIL
    return (
        f'{{"namespace_ingress_name":{listed},"ingress_name":"",'
        f'"namespace":{_quoted(namespace)},"hostnames":[{_quoted(host)}],{tail}'
    )


def passthrough_metadata(*, parent: str = "", child: str = "") -> str:
    """`service_metadata` of the two virtual services that pass TLS through; each names the other one."""
    return _NOBODY + _METADATA_TAIL % ("null", 0, _quoted(parent), _quoted(child), "null")


def service_metadata(hosts: Sequence[str], services: Sequence[str] = ()) -> str:
    """`service_metadata` of what serves Services of type LoadBalancer (`ns/name`) under these names."""
    tail = _METADATA_TAIL % (_listed(services), 0, _NONE, _NONE, "null")
    return f'{{"namespace_ingress_name":null,"ingress_name":"","namespace":"","hostnames":{_listed(hosts)},{tail}'


def with_checksum(body: dict[str, Any], field: str = "cloud_config_cksum") -> dict[str, Any]:
    """The same body, with a digest of all its fields under `field`: a decimal text of 32 bits, as AKO's."""
    body[field] = str(zlib.crc32(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)))
    return body


def _listed(texts: Sequence[str]) -> str:
    return orjson.dumps(list(texts)).decode() if texts else "null"


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()
