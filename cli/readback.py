"""What stands on the controller, read back by a client that has nothing to do with the pipeline, and what is missing.

Nothing is taken from names or markers: the way is the one that a request takes, along the references of the objects.
A host with a virtual service of its own: virtual service → policy set → rule → pool group → pool → servers, and child
→ parent → vsvip → addresses (a dedicated one has a vsvip itself). Any other host: vsvip with its name → virtual service
→ datascript → pool group → members with its label → pool → servers. A host whose TLS is passed through: the same way,
but the datascript has a pool group for every host, which it finds by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cli.wanted import Wanted, WantedHost
from shared.addresses import Address, Network, parse_address, parse_network
from shared.avi.client import AviClient
from shared.avi.references import parse
from shared.settings.model import Settings

_TYPES = ("virtualservice", "vsvip", "pool", "poolgroup", "httppolicyset", "vsdatascriptset", "vrfcontext")


@dataclass(frozen=True, slots=True)
class Server:
    """One server of a pool."""

    address: Address
    port: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool as the way to it shows it: the path that leads there, and its servers."""

    name: str
    path: str
    servers: tuple[Server, ...]

    @property
    def up(self) -> frozenset[Address]:
        """The servers that get requests."""
        return frozenset(server.address for server in self.servers if server.enabled)


@dataclass(frozen=True, slots=True)
class Host:
    """A host that is served."""

    name: str
    tls: bool
    virtual_service: str
    addresses: tuple[Address, ...]
    pools: tuple[Pool, ...]

    def of_family(self, version: int) -> tuple[Address, ...]:
        """The VIP addresses of IP version 4 or 6."""
        return tuple(address for address in self.addresses if address.version == version)


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """A static route of ours: `prefix` is reached through `next_hop`; texts are canonical."""

    prefix: str
    next_hop: str


@dataclass(frozen=True, slots=True)
class Standing:
    """All of it."""

    hosts: dict[str, Host]
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """One thing that is not as it should be. `host` is empty when it concerns no single host."""

    host: str
    text: str

    def __str__(self) -> str:
        return f"{self.host}: {self.text}" if self.host else self.text


class _Objects:
    """The controller's objects by type and uuid."""

    def __init__(self, avi: AviClient) -> None:
        self._by_type = {
            kind: {str(body["uuid"]): body for page in avi.pages(kind) for body in page.objects} for kind in _TYPES
        }

    def all(self, kind: str) -> list[dict[str, Any]]:
        return list(self._by_type[kind].values())

    def at(self, reference: Any) -> dict[str, Any]:
        """The object that a reference means, {} for none: what hangs loose serves nobody."""
        found = parse(reference) if isinstance(reference, str) else None
        if found is None or found.uuid is None:
            return {}
        return self._by_type.get(found.type, {}).get(found.uuid, {})


def read(avi: AviClient, settings: Settings) -> Standing:
    """What stands for this cluster name now. Raises AviError."""
    objects = _Objects(avi)
    hosts: dict[str, Host] = {}
    services = [vs for vs in objects.all("virtualservice") if vs.get("created_by") == settings.created_by]
    for service in services:
        if service.get("type") != "VS_TYPE_VH_PARENT":
            for host in _own(service, objects):
                hosts[host.name] = host
    for service in services:
        if service.get("type") == "VS_TYPE_VH_PARENT":
            for host in _plain(service, objects):
                hosts.setdefault(host.name, host)
        else:
            for host in _passed(service, objects, settings.prefix):
                hosts[host.name] = host  # what redirects beside it has been taken for a host of its own
    return Standing(dict(sorted(hosts.items())), tuple(sorted(_routes(objects, settings))))


def missing(standing: Standing, want: Wanted, settings: Settings) -> list[Missing]:
    """Everything that should be and is not, and every host and route that should not be any more."""
    found: list[Missing] = []
    for host in want.hosts.values():
        found += [Missing(host.name, text) for text in _host(host, standing.hosts.get(host.name), want, settings)]
    found += [Missing(name, "is still served") for name in standing.hosts if name not in want.hosts]
    if want.routes is not None:
        found += [Missing("", text) for text in _wrong_routes(standing.routes, want.routes)]
    return found


def _own(service: dict[str, Any], objects: _Objects) -> Iterator[Host]:
    """The hosts of a child or of a dedicated virtual service."""
    holder = objects.at(service["vh_parent_vs_ref"]) if "vh_parent_vs_ref" in service else service
    vsvip = objects.at(holder.get("vsvip_ref"))
    tls = bool(service.get("ssl_key_and_certificate_refs"))
    pools = []
    for row in service.get("http_policies") or ():
        policy = objects.at(row.get("http_policy_set_ref")).get("http_request_policy") or {}
        for rule in policy.get("rules") or ():
            tls = tls or "redirect_action" in rule  # an EVH child's certificate is on its parent
            paths = ((rule.get("match") or {}).get("path") or {}).get("match_str") or ["/"]
            for pool in _switched(rule.get("switching_action") or {}, objects):
                pools += [_pool(pool, path) for path in paths]
    for name in _names(service, vsvip):
        yield Host(name, tls, str(service["name"]), _addresses(vsvip), _ordered(pools))


def _switched(action: dict[str, Any], objects: _Objects) -> list[dict[str, Any]]:
    """The pools to which a rule leads: one, or those of a pool group."""
    if "pool_ref" in action:
        return [objects.at(action["pool_ref"])]
    return [
        objects.at(member.get("pool_ref")) for member in objects.at(action.get("pool_group_ref")).get("members") or ()
    ]


def _names(service: dict[str, Any], vsvip: dict[str, Any]) -> list[str]:
    """The hosts that a virtual service answers for: found by SNI, by the Host header (EVH), or all of its address."""
    if service.get("type") != "VS_TYPE_VH_CHILD":
        return [str(row.get("fqdn")) for row in vsvip.get("dns_info") or ()]
    return list(service.get("vh_domain_name") or [row["host"] for row in service.get("vh_matches") or ()])


def _plain(service: dict[str, Any], objects: _Objects) -> Iterator[Host]:
    vsvip = objects.at(service.get("vsvip_ref"))
    names = {str(row.get("fqdn")) for row in vsvip.get("dns_info") or ()}
    pools: dict[str, list[Pool]] = {}
    for row in service.get("vs_datascripts") or ():
        script = objects.at(row.get("vs_datascript_set_ref"))
        for reference in script.get("pool_group_refs") or ():
            for member in objects.at(reference).get("members") or ():
                name, slash, rest = str(member.get("priority_label", "")).partition("/")
                if name in names:
                    pools.setdefault(name, []).append(_pool(objects.at(member.get("pool_ref")), slash + rest or "/"))
    for name, found in pools.items():
        yield Host(name, False, str(service["name"]), _addresses(vsvip), _ordered(found))


def _passed(service: dict[str, Any], objects: _Objects, prefix: str) -> Iterator[Host]:
    """The hosts whose TLS a virtual service passes through."""
    vsvip = objects.at(service.get("vsvip_ref"))
    scripts = [objects.at(row.get("vs_datascript_set_ref")) for row in service.get("vs_datascripts") or ()]
    groups = [objects.at(reference) for script in scripts for reference in script.get("pool_group_refs") or ()]
    named = {str(group.get("name")): group for group in groups}
    for row in vsvip.get("dns_info") or ():
        if group := named.get(f"{prefix}{row.get('fqdn')}"):
            pools = [_pool(objects.at(member.get("pool_ref")), "/") for member in group.get("members") or ()]
            yield Host(str(row["fqdn"]), True, str(service["name"]), _addresses(vsvip), _ordered(pools))


def _pool(body: dict[str, Any], path: str) -> Pool:
    servers = [
        Server(parse_address(row["ip"]["addr"]), int(row["port"]), bool(row.get("enabled", True)))
        for row in body.get("servers") or ()
    ]
    return Pool(str(body.get("name", "?")), path, tuple(sorted(servers, key=_by_address)))


def _by_address(server: Server) -> tuple[int, int, int]:
    return server.address.version, int(server.address), server.port


def _ordered(pools: list[Pool]) -> tuple[Pool, ...]:
    return tuple(sorted(pools, key=lambda pool: (pool.path, pool.name)))


def _addresses(vsvip: dict[str, Any]) -> tuple[Address, ...]:
    rows = [row.get(field) for row in vsvip.get("vip") or () for field in ("ip_address", "ip6_address")]
    return tuple(parse_address(row["addr"]) for row in rows if row)


def _routes(objects: _Objects, settings: Settings) -> Iterator[Route]:
    label = {"key": "clustername", "value": settings.cluster_name}
    for vrf in objects.all("vrfcontext"):
        for row in vrf.get("static_routes") or ():
            if label in (row.get("labels") or ()):
                prefix = f"{row['prefix']['ip_addr']['addr']}/{row['prefix']['mask']}"
                yield Route(str(parse_network(prefix)), str(parse_address(row["next_hop"]["addr"])))


def _host(want: WantedHost, host: Host | None, world: Wanted, settings: Settings) -> Iterator[str]:
    if host is None:
        yield "is not served yet"
        return
    if want.tls and not host.tls:
        yield "has no virtual service with its certificate"
    yield from _vip(host, settings)
    pools: dict[str, set[Address]] = {}
    for pool in host.pools:
        pools.setdefault(pool.path, set()).update(pool.up)
    for path, servers in want.paths.items():
        if path not in pools and path.lower() not in pools:
            yield f"path {path} leads nowhere"
        elif (up := pools.get(path, pools.get(path.lower(), set()))) != servers:
            yield f"path {path} has the servers {_list(up)} instead of {_list(servers)}"
    # A path that is gone from the rules must be gone from the controller.
    known = {path.lower() for path in want.paths}
    yield from (f"path {path} is still served" for path in pools if path.lower() not in known)
    for ingress in want.ingresses:
        said = {str(row.get("ip")) for row in world.statuses.get(ingress, ()) if row.get("hostname") == want.name}
        if said != {str(address) for address in host.addresses}:
            yield f"the status of Ingress {ingress} says {', '.join(sorted(said)) or 'nothing'}"


def _vip(host: Host, settings: Settings) -> Iterator[str]:
    network = settings.vip_networks[0]
    promised: list[tuple[int, Network | None]] = [(6, network.v6cidr)] if network.v6cidr is not None else []
    if network.cidr is not None or not promised:
        promised.append((4, network.cidr))
    for version, cidr in promised:
        found = host.of_family(version)
        if not found:
            yield f"has no IPv{version} address"
        yield from (f"{address} is not in {cidr}" for address in found if cidr is not None and address not in cidr)
    for version in {4, 6} - {version for version, _ in promised}:
        if host.of_family(version):
            yield f"has an IPv{version} address that the settings do not promise"


def _wrong_routes(routes: Iterable[Route], want: Mapping[Network, frozenset[Address]]) -> Iterator[str]:
    hops = {parse_network(route.prefix): parse_address(route.next_hop) for route in routes}
    for prefix, nodes in want.items():
        if prefix not in hops:
            yield f"route to {prefix} is missing"
        elif hops[prefix] not in nodes:
            yield f"route to {prefix} leads to {hops[prefix]}, which is not its node"
    yield from (f"route to {prefix} is still there" for prefix in hops if prefix not in want)


def _list(addresses: set[Address] | frozenset[Address]) -> str:
    ordered = sorted(addresses, key=lambda address: (address.version, int(address)))
    return f"[{', '.join(str(address) for address in ordered)}]"
