"""How what stands is shown: aligned columns of plain text. Pure; no terminal is asked for anything here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cli.readback import Host, Route, Standing

Row = tuple[str, ...]

_HOST_HEAD: Row = ("host", "IPv4", "IPv6", "virtual service", "path", "pool", "servers up")
_ROUTE_HEAD: Row = ("static route", "next hop")
_NONE = "-"


def full(standing: Standing) -> str:
    """All hosts, then all routes."""
    parts = [hosts_table(standing.hosts.values())]
    if standing.routes:
        parts.append(columns([_ROUTE_HEAD, *((route.prefix, route.next_hop) for route in standing.routes)]))
    return "\n\n".join(parts)


def hosts_table(hosts: Iterable[Host]) -> str:
    """One row per pool; what repeats from the row above is left out."""
    rows: list[Row] = [_HOST_HEAD]
    for host in hosts:
        rows += _host_rows(host)
    return columns(rows)


def changes(before: Standing, after: Standing) -> str:
    """The rows that differ between two readings, "" for none: gone ones by name, new and changed ones in full."""
    lines = [f"gone: {name}" for name in before.hosts if name not in after.hosts]
    changed = [host for name, host in after.hosts.items() if before.hosts.get(name) != host]
    if changed:
        lines.append(hosts_table(changed))
    lines += [f"gone: route {_route(route)}" for route in before.routes if route not in after.routes]
    lines += [f"new: route {_route(route)}" for route in after.routes if route not in before.routes]
    return "\n".join(lines)


def columns(rows: Sequence[Row]) -> str:
    """Rows as text, each column as wide as its widest cell; the first row is the heading, with a line below it."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _host_rows(host: Host) -> list[Row]:
    v4, v6 = (", ".join(map(str, host.of_family(version))) or _NONE for version in (4, 6))
    first: Row = (host.name + (" (TLS)" if host.tls else ""), v4, v6, host.virtual_service)
    rest: Row = ("", "", "", "")
    pools = [
        (pool.path, pool.name, f"{sum(server.enabled for server in pool.servers)}/{len(pool.servers)}")
        for pool in host.pools
    ] or [(_NONE, _NONE, _NONE)]
    return [(first if number == 0 else rest) + pool for number, pool in enumerate(pools)]


def _route(route: Route) -> str:
    return f"{route.prefix} via {route.next_hop}"
