"""The names of shared objects, and every reference by name; what a host's own objects are called is in `layout`.

The formulas are AKO's, so that its objects are met again under their names. They are not injective (`/a/b` and `/a_b`
give one pool name, `team` + `a-x.com` and `team-a` + `x.com` one policy name): whoever builds objects has to expect
that two of them want the same name. A name longer than 255 characters is refused by the controller; `fits` tells.

References are written exactly as AKO writes them, with and without a slash before the question mark, since a
reference is compared by the object it means but a golden body as text.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple
from urllib.parse import quote

from shared.kinds import fnv1a32
from shared.loadbalancer import OWN_KEY, SHARED_KEY
from shared.settings.model import AutoFqdn, Settings, ShardSize

MAX_NAME = 255
"""Characters that the controller accepts in a name."""

_SHARED = "Shared-L7-"
_EVH = "EVH-"
_NAMESPACE = "NS-"
_PASSTHROUGH = "Shared-Passthrough-"
_INSECURE = "-insecure"
_SHARD = "0|[1-9][0-9]?"
_HASH = "0|[1-9][0-9]{0,9}"
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_RFC1035 = re.compile("[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_LONGEST_LABEL = 63
_SHORT_NAMESPACE = 48  # what AKO leaves of a namespace beside a Service whose name fills the label
_NOT_DNS = re.compile(r"[^A-Za-z0-9-]+")


def fits(*names: str) -> bool:
    """Whether the controller accepts all these names."""
    return all(len(name) <= MAX_NAME for name in names)


def passthrough_number(host: str, size: ShardSize) -> int:
    """The number of the passthrough parent that serves `host`; with DEDICATED the whole hash, as with AKO."""
    return shard_number(host, size) if size.value else fnv1a32(host)


def shard_number(host: str, size: ShardSize) -> int:
    """The number of the shared parent that serves `host`. Raises ValueError for DEDICATED, which has no parents."""
    if not size.value:
        raise ValueError("dedicated virtual services have no shard number")
    return fnv1a32(host) & (size.value - 1)


def encoded(prefix: str, name: str) -> str:
    """What EVH makes of the name `prefix` + `name`: short however long the name is."""
    return prefix + hashlib.sha1((prefix + name).encode(), usedforsecurity=False).hexdigest()


class Parent(NamedTuple):
    """A shared parent virtual service: of all hosts with a shard number, or (EVH only) of a namespace's hosts.

    Its vsvip, and with SNI its pool group, datascript and redirect policy, bear the same name. One that passes TLS
    through has a second virtual service beside it (`insecure`).
    """

    evh: bool
    shard: str
    passthrough: bool = False

    def name(self, prefix: str) -> str:
        """The name on the controller."""
        if self.passthrough:
            return f"{prefix}{_PASSTHROUGH}{self.shard}"
        return f"{prefix}{_SHARED}{_EVH if self.evh else ''}{self.shard}"

    @property
    def namespace(self) -> str:
        """The namespace whose hosts it serves, "" when a shard number decides."""
        return self.shard.removeprefix(_NAMESPACE) if self.shard.startswith(_NAMESPACE) else ""

    @classmethod
    def of_shard(cls, evh: bool, number: int) -> Parent:
        """The parent of the hosts with this shard number."""
        return cls(evh, str(number))

    @classmethod
    def of_namespace(cls, namespace: str) -> Parent:
        """The parent of a namespace's hosts."""
        return cls(True, _NAMESPACE + namespace)

    @classmethod
    def of_passthrough(cls, number: int) -> Parent:
        """The parent that passes the TLS of the hosts with this number through."""
        return cls(False, str(number), passthrough=True)

    @classmethod
    def parse(cls, name: str, prefix: str) -> Parent | None:
        """The parent with this name, whatever the present settings; None for any other name."""
        start = prefix + _PASSTHROUGH
        if name.startswith(start):
            number = name.removeprefix(start)
            return cls(False, number, passthrough=True) if re.fullmatch(_HASH, number) else None
        start = prefix + _SHARED
        rest = name.removeprefix(start)
        parent = cls(rest.startswith(_EVH), rest.removeprefix(_EVH))
        pattern = _SHARD if not parent.evh else f"{_SHARD}|{_NAMESPACE}{_LABEL}"
        return parent if name.startswith(start) and re.fullmatch(pattern, parent.shard) else None


def insecure(parent: str) -> str:
    """The virtual service, and its policy set, that redirects port 80 beside a parent that passes TLS through."""
    return parent + _INSECURE


def secure(name: str) -> str:
    """The other way round; any other name stays as it is."""
    return name.removesuffix(_INSECURE)


def passthrough_group(prefix: str, host: str) -> str:
    """The pool group of a host whose TLS is passed through; the datascript finds it by this name."""
    return prefix + host


def passthrough_pool(prefix: str, host: str, service: str) -> str:
    """The pool of one Service of such a host."""
    return f"{prefix}{host}-{service}"


def plain_pool(prefix: str, host: str, path: str, namespace: str, ingress: str) -> str:
    """The pool of one path of a host without TLS, a member of the shared pool group."""
    return f"{prefix}{(host + path).replace('/', '_')}-{namespace}-{ingress}"


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
    return f"{parent}{_separator(settings)}{_NOT_DNS.sub('-', tenant).strip('-')}.{_domain(settings, domains)}"


def service_fqdn(namespace: str, service: str, settings: Settings, domains: tuple[str, ...]) -> str:
    """The automatic FQDN of a Service, "" when there is no domain for it or automatic FQDNs are off.

    Both names are made labels of RFC 1035 where a letter in front does it; the flat form is cut to 63 characters.
    """
    if not domains or settings.auto_fqdn is AutoFqdn.DISABLED:
        return ""
    service, namespace = _label(service, "s"), _label(namespace, "n")
    if settings.auto_fqdn is AutoFqdn.FLAT and len(service) + len(namespace) + 1 > _LONGEST_LABEL:
        if len(namespace) + 1 >= _LONGEST_LABEL:
            left = _LONGEST_LABEL - len(service) - 1
            namespace = namespace[: left if left > 0 else _SHORT_NAMESPACE].rstrip("-")
        service = service[: _LONGEST_LABEL - len(namespace) - 1]
    return f"{service}{_separator(settings)}{namespace}.{_domain(settings, domains)}"


def _label(name: str, letter: str) -> str:
    return letter + name if not _RFC1035.fullmatch(name) and _RFC1035.fullmatch(letter + name) else name


def _separator(settings: Settings) -> str:
    return "-" if settings.auto_fqdn is AutoFqdn.FLAT else "."


def _domain(settings: Settings, domains: tuple[str, ...]) -> str:
    """The configured domain if the cloud has it, else the cloud's first."""
    wished = settings.default_domain.strip(".")
    return wished if wished in domains else domains[0]


def shard_key(tenant: str, parent: str) -> str:
    """The work key of a shared parent."""
    return f"shard:{tenant}/{parent}"


def host_key(host: str) -> str:
    """The work key of a host."""
    return f"host:{host}"


def service_key(namespace: str, name: str) -> str:
    """The work key of a Service of type LoadBalancer with a VIP of its own."""
    return f"{OWN_KEY}:{namespace}/{name}"


def shared_service_key(namespace: str, shared: str) -> str:
    """The work key of all Services of a namespace that share the VIP of that key."""
    return f"{SHARED_KEY}:{namespace}/{shared}"


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
