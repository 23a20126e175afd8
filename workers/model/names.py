"""Every name that we give, and every reference by name, in one place.

The formulas are AKO's, so that its objects are met again under their names. They are not injective (`/a/b` and `/a_b`
give one pool name, `team` + `a-x.com` and `team-a` + `x.com` one policy name): whoever builds objects has to expect
that two of them want the same name. A name longer than 255 characters is refused by the controller; `fits` tells.

References are written exactly as AKO writes them, with and without a slash before the question mark, since a
reference is compared by the object it means but a golden body as text.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from shared.kinds import fnv1a32
from shared.settings.model import AutoFqdn, Settings, ShardSize

MAX_NAME = 255
"""Characters that the controller accepts in a name."""

_SHARED = "Shared-L7-"
_NOT_DNS = re.compile(r"[^A-Za-z0-9-]+")


def fits(*names: str) -> bool:
    """Whether the controller accepts all these names."""
    return all(len(name) <= MAX_NAME for name in names)


def shard_number(host: str, size: ShardSize) -> int:
    """The number of the shared parent that serves `host`. Raises ValueError for DEDICATED, which has no parents."""
    if not size.value:
        raise ValueError("dedicated virtual services have no shard number")
    return fnv1a32(host) & (size.value - 1)


def shared_parent(prefix: str, number: int) -> str:
    """The shared parent virtual service; its vsvip, pool group, datascript and redirect policy bear the same name."""
    return f"{prefix}{_SHARED}{number}"


def is_shared_parent(name: str, prefix: str) -> bool:
    """Whether `name` is one that `shared_parent` makes, whatever the present number of shards."""
    start = prefix + _SHARED
    return name.startswith(start) and re.fullmatch(r"0|[1-9][0-9]?", name[len(start) :]) is not None


def child(prefix: str, host: str) -> str:
    """The SNI child virtual service of a TLS host."""
    return prefix + host


def certificate(prefix: str, host: str) -> str:
    """The certificate made from `tls.crt` of a host's Secret."""
    return prefix + host


def alternate_certificate(prefix: str, host: str) -> str:
    """The certificate made from `alt.crt`."""
    return f"{prefix}{host}-alt"


def plain_pool(prefix: str, host: str, path: str, namespace: str, ingress: str) -> str:
    """The pool of one path of a host without TLS, a member of the shared pool group."""
    return f"{prefix}{(host + path).replace('/', '_')}-{namespace}-{ingress}"


def secure_pool(prefix: str, namespace: str, host: str, path: str, ingress: str) -> str:
    """The pool of one path of a TLS host; its pool group bears the same name."""
    return f"{prefix}{namespace}-{host}{path.replace('/', '_')}-{ingress}"


def policy_set(prefix: str, namespace: str, host: str) -> str:
    """The HTTP policy set that switches the paths of a TLS host, one per namespace."""
    return f"{prefix}{namespace}-{host}"


def rule(policy: str, number: int) -> str:
    """A rule of a policy set."""
    return f"{policy}-{number}"


def priority_label(host: str, path: str) -> str:
    """The label by which the datascript finds the members of the shared pool group."""
    return (host + path).lower()


def shared_fqdn(parent: str, tenant: str, settings: Settings, domains: tuple[str, ...]) -> str:
    """The parent's own FQDN, "" when there is no domain for it or automatic FQDNs are off.

    `domains` are the cloud's DNS domains, sorted and without dots around; `defaultDomain` is honoured only when it is
    one of them.
    """
    if not domains or settings.auto_fqdn is AutoFqdn.DISABLED:
        return ""
    wished = settings.default_domain.strip(".")
    domain = wished if wished in domains else domains[0]
    separator = "-" if settings.auto_fqdn is AutoFqdn.FLAT else "."
    return f"{parent}{separator}{_NOT_DNS.sub('-', tenant).strip('-')}.{domain}"


def shard_key(tenant: str, parent: str) -> str:
    """The work key of a shared parent."""
    return f"shard:{tenant}/{parent}"


def host_key(host: str) -> str:
    """The work key of a host."""
    return f"host:{host}"


def tenant_ref(tenant: str) -> str:
    """The only reference whose name is escaped."""
    return f"/api/tenant/?name={quote(tenant, safe='')}"


def ref(type_: str, name: str) -> str:
    """The usual reference by name."""
    return f"/api/{type_}/?name={name}"


def bare_ref(type_: str, name: str) -> str:
    """The reference without a slash: cloud, vrfcontext, serviceenginegroup and the pools of a pool group."""
    return f"/api/{type_}?name={name}"


def network_ref(name: str, uuid: str) -> str:
    """A network by uuid when it is known (names of vCenter networks are not unique), else by name."""
    return f"/api/network/{uuid}" if uuid else f"/api/network/?name={name}"
