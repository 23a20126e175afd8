"""What is kept of a Service of type LoadBalancer beyond what every Service has, and which work key serves it.

A Service has a virtual service of its own (`lb:<namespace>/<name>`), or shares one with the Services of its namespace
that bear the same key in the annotation `ako.vmware.com/enable-shared-vip` (`lbshared:<namespace>/<key>`). A Service
that was of this type keeps its status part for as long as it bears an annotation of ours, so that both are taken off.

Names in the annotation `external-dns.alpha.kubernetes.io/hostname` are woven into the indexes: whoever names one of
them, another Service or an Ingress, makes the claimants run again. So is the Service whose automatic name
(`<service>.<namespace>.<domain>`) such a name may be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared import projection
from shared.projection.reading import Projection, is_host, kept_annotations, listing, mapping, text_of

LOAD_BALANCER = "LoadBalancer"
APPLICATION_PROFILE = "ako.vmware.com/application-profile"
DISABLE_TRAFFIC = "ako.vmware.com/disable-traffic"
SHARED_VIP = "ako.vmware.com/enable-shared-vip"
L4_RULE = "ako.vmware.com/l4rule"
ADDRESS = "ako.vmware.com/load-balancer-ip"
INFRA_SETTING = "aviinfrasetting.ako.vmware.com/name"
SKIP_NODE_PORT = "skipnodeport.ako.vmware.com/enabled"
EXTERNAL_DNS = "external-dns.alpha.kubernetes.io/hostname"
SERVICE_ANNOTATIONS = (
    APPLICATION_PROFILE,
    DISABLE_TRAFFIC,
    SHARED_VIP,
    L4_RULE,
    ADDRESS,
    INFRA_SETTING,
    SKIP_NODE_PORT,
    EXTERNAL_DNS,
)
"""The annotations of a Service of type LoadBalancer that the model reads."""

OWN_KEY, SHARED_KEY = "lb", "lbshared"
"""The kinds of the two work keys."""

ALL = "LoadBalancer"
"""The index of every Service of this type."""

_SHARED_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


def project_service(obj: dict[str, Any]) -> Projection:
    """A Service; what concerns load balancing stands under `lb`, and only for the type LoadBalancer."""
    plain = projection.project_service(obj)
    meta, spec = mapping(obj.get("metadata")), mapping(obj.get("spec"))
    status = projection.load_balancer_status(obj)
    body = {**plain.body, "uid": text_of(meta.get("uid"))}
    status_key = f"status:Service/{plain.id}"
    if body["type"] != LOAD_BALANCER:
        if not status["annotations"]:
            return plain
        return replace(plain, body=body, status=status, marks=(status_key,))
    body["lb"] = {
        "created": text_of(meta.get("creationTimestamp")),
        "deleting": bool(meta.get("deletionTimestamp")),
        "class": text_of(spec.get("loadBalancerClass")),
        "annotations": kept_annotations(meta, SERVICE_ANNOTATIONS),
        "address": text_of(spec.get("loadBalancerIP")),
        "policy": text_of(spec.get("ipFamilyPolicy")),
        "ranges": [text_of(each) for each in listing(spec.get("loadBalancerSourceRanges"))],
        "affinity": text_of(spec.get("sessionAffinity")),
    }
    return replace(
        plain,
        body=body,
        status=status,
        index=_index(body),
        marks=(service_key(body), status_key),
        touches=(*plain.touches, *(f"Fqdn/{name}" for name in dns_names(body)[0])),
    )


def service_key(body: Mapping[str, Any]) -> str:
    """The work key that serves a projected Service of type LoadBalancer."""
    shared = shared_key(body)
    if shared and is_shared_key(shared):
        return f"{SHARED_KEY}:{body['ns']}/{shared}"
    return f"{OWN_KEY}:{body['ns']}/{body['name']}"


def shared_key(body: Mapping[str, Any]) -> str:
    """The key of the VIP that the Service wants to share, as it is written; "" for a VIP of its own."""
    return str(body["lb"]["annotations"].get(SHARED_VIP, ""))


def is_shared_key(text: str) -> bool:
    """Whether a text can be part of a name: letters, digits, dots, hyphens and underscores."""
    return _SHARED_KEY.fullmatch(text) is not None


def dns_names(body: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The names in the annotation for external DNS, in lower case and their order, and the texts that are no names."""
    texts = [text.strip() for text in str(body["lb"]["annotations"].get(EXTERNAL_DNS, "")).split(",")]
    lowered = dict.fromkeys(text.rstrip(".").lower() for text in texts if text)
    return [name for name in lowered if is_host(name)], [n for n in lowered if not is_host(n)]


def _index(body: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    ns, name = body["ns"], body["name"]
    key = service_key(body)
    member = f"{key} Service/{ns}/{name}"
    refs = [ALL, f"Service/{ns}/{name}", f"Namespace/{ns}"]
    if key.startswith(f"{SHARED_KEY}:"):
        refs.append(f"SharedVip/{key.partition(':')[2]}")
    for fqdn in dns_names(body)[0]:
        refs.append(f"Fqdn/{fqdn}")
        if automatic := automatic_owner(fqdn):
            refs.append(f"Service/{automatic}")
    return tuple((ref, member) for ref in dict.fromkeys(refs))


def automatic_owner(fqdn: str) -> str:
    """The Service (`namespace/name`) whose automatic name `<name>.<namespace>.<domain>` this may be, "" for none."""
    name, _, rest = fqdn.partition(".")
    namespace, _, domain = rest.partition(".")
    return f"{namespace}/{name}" if domain and name != "*" else ""
