"""Whose an object on the controller is, read from the object itself.

`is_ours` tells our cluster's objects from all others: by equality, so that `c1` is not `c1-x`. `owner_of` gives the
work key whose plan may change or delete the object. It answers only when the name is exactly what our formulas make
from the object's markers, under the present settings or under any others: so what an earlier choice of SNI or EVH
left behind is its owner's to take away. Anything else (AviInfraSetting, Gateway) is the work of keys
that this release doesn't have, so nobody owns it: it is reported and never deleted by itself.

A vsvip for Services does not say whose it is. `Owners` tells when all is known: it belongs to whoever owns the virtual
service that refers to it. One that none refers to belongs to the Service of the cluster that has its name; else to one
that is gone, told by the automatic name among its FQDNs, or by the namespace that its own name begins with.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from shared.loadbalancer import OWN_KEY, SHARED_KEY
from shared.projection import DEFAULT_CERTIFICATE
from shared.settings.model import Settings
from workers.model import names
from workers.model.certificates import CERTIFICATE
from workers.model.l4 import L4_POLICY_SET
from workers.model.layout import DEDICATED, every_naming
from workers.model.policies import POLICY_SET
from workers.model.pools import POOL, POOL_GROUP
from workers.model.services import PROTOCOLS
from workers.model.types import WorkKey
from workers.model.vips import VSVIP
from workers.model.virtualservices import VIRTUAL_SERVICE
from workers.owned import TABLES, references

MADE_TYPES = tuple(TABLES)
"""The REST types of which objects may be ours, each after the types that it refers to."""


def is_ours(type_: str, obj: dict[str, Any], settings: Settings) -> bool:
    """Whether this cluster's controller made the object. A vsvip has no `created_by`; there the name decides too."""
    if type_ not in MADE_TYPES or _markers(obj).get("clustername") != [settings.cluster_name]:
        return False
    if type_ == VSVIP:
        return str(obj.get("name", "")).startswith(settings.prefix)
    return obj.get("created_by") == settings.created_by


def owner_of(type_: str, obj: dict[str, Any], settings: Settings) -> WorkKey | None:
    """The work key that owns one of our objects, None when it can't be told."""
    name, markers = str(obj.get("name", "")), _markers(obj)
    if not is_ours(type_, obj, settings) or "InfrasettingName" in markers:
        return None
    if set(markers) == {"clustername"}:
        parent = names.secure(name) if type_ in (VIRTUAL_SERVICE, POLICY_SET) else name
        found = names.Parent.parse(parent, settings.prefix + settings.instance)
        if type_ not in (POOL, CERTIFICATE) and found is not None and (found.passthrough or parent == name):
            return names.shard_key(_tenant(obj, settings), parent)
        if type_ == CERTIFICATE and name in _default_names(settings):
            return DEFAULT_CERTIFICATE
        return _owner_of_dedicated(name, obj, settings) if type_ == VSVIP else None
    if "Host" not in markers:
        return _owner_of_services(type_, obj, markers, settings)
    host = _only(markers, "Host")
    return names.host_key(host) if host and name in _host_names(type_, host, markers, settings) else None


def _default_names(settings: Settings) -> set[str]:
    """The names of the certificates made from the default Secret, in any layout."""
    return {name for layout in every_naming(settings.prefix) for name in layout.default_certificates().values()}


class Owners:
    """Whose the objects of one look at the controller are: `of` for each, then `late` for the vsvips left over."""

    def __init__(self, settings: Settings, services: Iterable[WorkKey], namespaces: Iterable[str]) -> None:
        """`services` are the keys of the Services of type LoadBalancer that the cluster has."""
        self.settings = settings
        self._namespaces = sorted(namespaces, key=len, reverse=True)
        self._by_vsvip: dict[str, WorkKey | None] = {}
        self._by_name: dict[str, WorkKey] = {}
        for key in services:
            namespace, _, name = key.partition(":")[2].partition("/")
            for layout in every_naming(settings.prefix):
                self._by_name[layout.load_balancer(namespace, name)] = key

    def of(self, type_: str, obj: dict[str, Any]) -> WorkKey | None:
        """As `owner_of`; of a vsvip for Services only `late` can tell, once every virtual service was asked for."""
        owner = owner_of(type_, obj, self.settings)
        if type_ == VIRTUAL_SERVICE:
            theirs = owner if owner is not None and owner.startswith((f"{OWN_KEY}:", f"{SHARED_KEY}:")) else None
            self._by_vsvip.update({name: theirs for kind, name in references(type_, obj) if kind == VSVIP})
        return owner

    def late(self, obj: dict[str, Any]) -> WorkKey | None:
        """Whose a vsvip of ours is of which `of` knew nothing."""
        name = str(obj.get("name", ""))
        if name in self._by_vsvip:
            return self._by_vsvip[name]
        return self._by_name.get(name) or _owner_by_fqdn(name, obj, self.settings) or self._by_namespace(name)

    def _by_namespace(self, name: str) -> WorkKey | None:
        """A Service that is gone, by a plain name that begins with a namespace; dedicated hosts have another ending."""
        for namespace in self._namespaces:
            start = f"{self.settings.prefix}{namespace}-"
            if name.startswith(start) and name != start and not name.endswith(DEDICATED):
                return names.service_key(namespace, name.removeprefix(start))
        return None


def _owner_of_services(
    type_: str, obj: dict[str, Any], markers: dict[str, list[str]], settings: Settings
) -> WorkKey | None:
    """Whose an object for Services of type LoadBalancer is, by the names that our formulas make, in any layout."""
    name = str(obj.get("name", ""))
    if '"gateway":""' not in str(obj.get("service_metadata", '"gateway":""')):
        return None  # a Gateway's, which has the markers of a shared VIP
    namespace, service, shared = (_only(markers, key) for key in ("Namespace", "ServiceName", "GatewayName"))
    key = names.shared_service_key(namespace, shared) if shared else names.service_key(namespace, service)
    for layout in every_naming(settings.prefix):
        if type_ == POOL:
            ports = [
                layout.load_balancer_pool(namespace, service, shared, each, port) for each, port in _ports(markers)
            ]
            if name in ports:
                return key
        elif type_ in (VIRTUAL_SERVICE, L4_POLICY_SET) and name == layout.load_balancer(namespace, shared or service):
            return key
    return None


def _ports(markers: dict[str, list[str]]) -> list[tuple[str, int]]:
    """The protocols and the port that the markers of a pool allow for; not every pool names its protocol."""
    port = _only(markers, "Port")
    return [(protocol, int(port)) for protocol in PROTOCOLS] if port.isdecimal() else []


def _owner_by_fqdn(name: str, obj: dict[str, Any], settings: Settings) -> WorkKey | None:
    """The Service with this vsvip's name that has one of its FQDNs as automatic name."""
    for row in obj.get("dns_info") or []:
        service, _, rest = str(row.get("fqdn", "")).partition(".")
        pairs = [(rest.partition(".")[0], service)]
        pairs += [(service[at + 1 :], service[:at]) for at, letter in enumerate(service) if letter == "-"]
        for namespace, own in pairs:
            for layout in every_naming(settings.prefix):
                if namespace and layout.load_balancer(namespace, own) == name:
                    return names.service_key(namespace, own)
    return None


def _owner_of_dedicated(name: str, obj: dict[str, Any], settings: Settings) -> WorkKey | None:
    """Of a dedicated virtual service's vsvip only its one FQDN tells the host."""
    layouts = [layout for layout in every_naming(settings.prefix) if layout.dedicated]
    hosts = {str(row.get("fqdn", "")) for row in obj.get("dns_info") or []}
    named = {host for host in hosts for layout in layouts if layout.virtual_service(host) == name}
    return names.host_key(named.pop()) if named else None


def _host_names(type_: str, host: str, markers: dict[str, list[str]], settings: Settings) -> set[str]:
    """The names that our formulas make, in any layout, for an object of a host with these markers."""
    namespace = _only(markers, "Namespace")
    path, ingress, service = _only(markers, "Path"), _only(markers, "IngressName"), _only(markers, "ServiceName")
    found: set[str] = set()
    for layout in every_naming(settings.prefix):
        if type_ == VIRTUAL_SERVICE:
            found.add(layout.virtual_service(host))
        elif type_ == CERTIFICATE:
            found.update(layout.certificates(host).values())
        elif type_ == POLICY_SET:
            found |= {layout.policy_set(namespace, host), layout.virtual_service(host)}
        elif type_ == POOL_GROUP:
            found.add(layout.pool_group(namespace, host, path, ingress))
        elif type_ == POOL:
            found.add(layout.pool(namespace, host, path, ingress, service))
    if type_ == POOL:
        found.add(names.plain_pool(settings.prefix, host, path, namespace, ingress))
    if set(markers) == {"clustername", "Host", "ServiceName"} and type_ == POOL:
        found.add(names.passthrough_pool(settings.prefix, host, service))
    if set(markers) == {"clustername", "Host"} and type_ == POOL_GROUP:
        found.add(names.passthrough_group(settings.prefix, host))
    return found


def _markers(obj: dict[str, Any]) -> dict[str, list[str]]:
    return {
        str(each.get("key")): [str(value) for value in each.get("values") or []] for each in obj.get("markers") or []
    }


def _only(markers: dict[str, list[str]], key: str) -> str:
    """The one value of a marker, "" when there is none or more than one."""
    values = markers.get(key, [])
    return values[0] if len(values) == 1 else ""


def _tenant(obj: dict[str, Any], settings: Settings) -> str:
    """The tenant's name: after `#` in a reference read with `include_name`, or after `name=` in one by name."""
    ref = str(obj.get("tenant_ref", ""))
    for mark in ("#", "name="):
        name = unquote(ref.partition(mark)[2])
        if name:
            return name
    return settings.controller.tenant
