"""How what stands is shown: aligned columns of plain text, or a block per host where those are too wide. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Sequence

from cli.readback import Host, Pool, Route, Standing

Row = tuple[str, ...]

_HOST_HEAD: Row = ("host", "IPv4", "IPv6", "virtual service", "path", "pool", "servers up")
_ROUTE_HEAD: Row = ("static route", "next hop")
_NONE = "-"


def full(standing: Standing, width: int) -> str:
    """All hosts, then all routes, in lines of at most `width` characters if that can be done."""
    parts = [hosts_table(standing.hosts.values(), width)]
    if standing.routes:
        parts.append(columns([_ROUTE_HEAD, *((route.prefix, route.next_hop) for route in standing.routes)]))
    return "\n\n".join(parts)


def hosts_table(hosts: Collection[Host], width: int) -> str:
    """One row per pool; what repeats from the row above is left out."""
    rows: list[Row] = [_HOST_HEAD]
    for host in hosts:
        rows += _host_rows(host)
    text = columns(rows)
    fits = max(map(len, text.splitlines())) <= width
    return text if fits else "\n".join(_block(host) for host in hosts)


def changes(before: Standing, after: Standing, width: int) -> str:
    """The rows that differ between two readings, "" for none: gone ones by name, new and changed ones in full."""
    lines = [f"gone: {name}" for name in before.hosts if name not in after.hosts]
    changed = [host for name, host in after.hosts.items() if before.hosts.get(name) != host]
    if changed:
        lines.append(hosts_table(changed, width))
    lines += [f"gone: route {_route(route)}" for route in before.routes if route not in after.routes]
    lines += [f"new: route {_route(route)}" for route in after.routes if route not in before.routes]
    return "\n".join(lines)


def columns(rows: Sequence[Row]) -> str:
    """Rows as text, each column as wide as its widest cell; the first row is the heading, with a line below it."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def fitted(rows: Sequence[Row], width: int) -> str:
    """The same, but where a line would be longer than `width`: a block for each row, its first cell alone on a line."""
    text = columns(rows)
    if max(map(len, text.splitlines())) <= width:
        return text
    head, *rest = rows
    return "\n".join(line for row in rest for line in _short_lines(head, row, width))


def wrapped(line: str, width: int, indent: int) -> str:
    """A line as several of at most `width` characters; those after the first are indented. No word is broken."""
    if len(line) <= width:
        return line
    return textwrap.fill(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def _short_lines(head: Row, row: Row, width: int) -> Iterable[str]:
    if row[0]:
        yield row[0]
    line = ""
    for name, cell in zip(head[1:], row[1:], strict=True):
        if cell in ("", _NONE):
            continue
        part = f"{name} {cell}"
        if line and len(line) + 2 + len(part) > width:
            yield wrapped(line, width, 6)
            line = ""
        line = f"{line}  {part}" if line else f"    {part}"
    if line:
        yield wrapped(line, width, 6)


def _host_rows(host: Host) -> list[Row]:
    v4, v6 = (_addresses(host, version) for version in (4, 6))
    first: Row = (_title(host), v4, v6, host.virtual_service)
    rest: Row = ("", "", "", "")
    pools = [(pool.path, pool.name, _up(pool)) for pool in host.pools] or [(_NONE, _NONE, _NONE)]
    return [(first if number == 0 else rest) + pool for number, pool in enumerate(pools)]


def _block(host: Host) -> str:
    lines = [
        _title(host),
        f"    VIP {_addresses(host, 4)}  {_addresses(host, 6)}",
        f"    virtual service {host.virtual_service}",
    ]
    lines += [f"    {pool.path}  {_up(pool)} servers up in pool {pool.name}" for pool in host.pools]
    return "\n".join(lines)


def _title(host: Host) -> str:
    return host.name + (" (TLS)" if host.tls else "")


def _addresses(host: Host, version: int) -> str:
    return ", ".join(map(str, host.of_family(version))) or _NONE


def _up(pool: Pool) -> str:
    return f"{sum(server.enabled for server in pool.servers)}/{len(pool.servers)}"


def _route(route: Route) -> str:
    return f"{route.prefix} via {route.next_hop}"
