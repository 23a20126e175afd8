"""VIPs behind which no server is enabled: what users of a host or a Service see as a dead address. Pure.

A family of a VIP is served by any enabled server of its virtual service, of whatever family: the controller connects to
servers by itself, so a client that comes by IPv6 reaches servers with IPv4 addresses. So the families of a VIP are
without a server together: when no pool has an enabled one. Each is a problem, so that they can be counted.
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.addresses import Family
from workers.model.families import in_words
from workers.model.types import Desired, Problem

NO_SERVERS = "NoServers"


def unserved(desired: Desired, what: str, families: Iterable[Family]) -> tuple[Problem, ...]:
    """A problem for each of the VIP's `families` when none of the wanted pools has an enabled server.

    `what` is whom the VIP is for: a host, or the name of a virtual service.
    """
    pools = [each.body for each in desired.objects if each.type == "pool"]
    if not pools or any(server.get("enabled", True) for pool in pools for server in pool.get("servers", ())):
        return ()
    return tuple(
        Problem("", "", "", NO_SERVERS, _in_words(what, family)) for family in sorted(families, key=lambda f: f.value)
    )


def _in_words(what: str, family: Family) -> str:
    says = f"The {in_words(frozenset({family}))} VIP of {what} has no enabled server behind it"
    return f"{says}, so its clients get no answer. Look at the pods and EndpointSlices of the Services behind it."
