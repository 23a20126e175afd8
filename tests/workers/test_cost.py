"""What a change costs: the calls to the controller for each kind of change, counted beside 500 hosts that stand.

The numbers are those of the table in docs/architecture.md, which is compared with what is counted here.
"""

from __future__ import annotations

import base64
import copy
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from bench import world as cluster
from tests.workers.model.world import endpoint_slice, load_balancer
from tests.workers.site import Site, site

HOSTS = 500
PLAIN, TLS = HOSTS + 1, HOSTS  # the hosts that come and go; TLS ones have even numbers
TWO_PORTS = [("TCP", 5432), ("UDP", 53)]
NAMED = {"external-dns.alpha.kubernetes.io/hostname": "db.example.com"}
SHARED = {"ako.vmware.com/enable-shared-vip": "k"}
DUAL = '[{"networkName":"net1","cidr":"10.10.0.0/16","v6cidr":"2001:db8:10::/64"}]'
PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
ROW = re.compile(
    r"^\| (?P<what>[^|]+) \| (?P<get>\d+) \| (?P<post>\d+) \| (?P<put>\d+) \| (?P<delete>\d+) \|", re.MULTILINE
)


@pytest.fixture(scope="module")
def here(redis_server: str) -> Iterator[Site]:
    """500 hosts, half of them with TLS; one of these has a Secret of its own."""
    redis.Redis.from_url(redis_server).flushall()
    with site(redis_server, VIP_NETWORK_LIST=DUAL, AKO_GATE_IPV6_LOAD_BALANCER="true") as made:
        made.apply(load_balancer("two", annotations=SHARED))
        made.apply(own_secret(cluster.certificate()), *(obj for n in range(HOSTS) for obj in cluster.objects_of(n)))
        made.apply(ingress(0))
        made.settle()
        yield made


def own_secret(pair: tuple[str, str]) -> dict[str, Any]:
    secret = copy.deepcopy(cluster.base()[-1])
    secret["metadata"]["name"] = "own"
    crt, key = (base64.b64encode(text.encode()).decode() for text in pair)
    secret["data"] = {"tls.crt": crt, "tls.key": key}
    return secret


def ingress(number: int, *, host: str = "", path: str = "", tls: bool = False) -> dict[str, Any]:
    """The Ingress of a host, changed: another host name, one path more, TLS where there was none."""
    made = copy.deepcopy(cluster.objects_of(number)[2])
    rule = made["spec"]["rules"][0]
    rule["host"] = host or rule["host"]
    if path:
        rule["http"]["paths"].append({**rule["http"]["paths"][0], "path": path})
    if tls or number % 2 == 0:
        made["spec"]["tls"] = [{"hosts": [rule["host"]], "secretName": "tls" if number else "own"}]
    return made


def node() -> dict[str, Any]:
    made = copy.deepcopy(cluster.base()[2])
    made["metadata"]["name"] = "node9"
    made["spec"] = {"podCIDRs": ["10.244.9.0/24"]}
    made["status"]["addresses"][0]["address"] = "10.50.0.19"
    return made


def gone(here: Site, number: int) -> None:
    here.delete("Ingress", f"bench/i{number:05d}")
    here.delete("Service", f"bench/s{number:05d}")
    here.delete("EndpointSlice", f"bench/s{number:05d}-x")


def labelled(here: Site) -> None:
    for obj in cluster.objects_of(1):
        obj["metadata"].setdefault("labels", {})["team"] = "blue"
        here.apply(obj)


CHANGES: dict[str, Callable[[Site], None]] = {
    "something that we do not read (a label, a heartbeat)": labelled,
    "endpoints of a Service": lambda here: here.apply(cluster.endpoint_slice(1, change=3)),
    "a plain host comes": lambda here: here.apply(*cluster.objects_of(PLAIN)),
    "a plain host goes": lambda here: gone(here, PLAIN),
    "a TLS host comes": lambda here: here.apply(*cluster.objects_of(TLS)),
    "a TLS host goes": lambda here: gone(here, TLS),
    "a path more, plain": lambda here: here.apply(ingress(1, path="/more")),
    "a path more, TLS": lambda here: here.apply(ingress(2, path="/more")),
    "the Secret of one host is rotated": lambda here: here.apply(own_secret(cluster.certificate.__wrapped__())),
    "a plain host becomes a TLS host": lambda here: here.apply(ingress(5, tls=True)),
    "a plain host is renamed, to another parent": lambda here: here.apply(ingress(3, host=f"b.{cluster.DOMAIN}")),
    "a node comes": lambda here: here.apply(node()),
    "a Service of type LoadBalancer comes": lambda here: here.apply(load_balancer("one")),
    "endpoints of such a Service": lambda here: here.apply(
        endpoint_slice(["10.244.1.5"], owner="one", ports=[{"name": "tcp-5432", "port": 6432, "protocol": "TCP"}])
    ),
    "a port more": lambda here: here.apply(load_balancer("one", ports=TWO_PORTS)),
    "another DNS name": lambda here: here.apply(load_balancer("one", ports=TWO_PORTS, annotations=NAMED)),
    "a second family (gate on)": lambda here: here.apply(
        load_balancer("one", ports=TWO_PORTS, annotations=NAMED, families=["IPv4", "IPv6"])
    ),
    "another preferred address": lambda here: here.apply(
        load_balancer("one", ports=TWO_PORTS, annotations=NAMED, families=["IPv4", "IPv6"], loadBalancerIP="10.10.9.9")
    ),
    "such a Service goes": lambda here: here.delete("Service", "red/one"),
    "a Service that shares the VIP of another one comes": lambda here: here.apply(
        load_balancer("three", ports=[("UDP", 53)], created="2026-01-02T00:00:00Z", annotations=SHARED)
    ),
    "a Service that shares a VIP goes": lambda here: here.delete("Service", "red/three"),
}


def documented() -> dict[str, dict[str, int]]:
    """The table of the page."""
    return {
        found["what"]: {name.upper(): int(found[name]) for name in ("get", "post", "put", "delete")}
        for found in ROW.finditer(PAGE.read_text())
    }


def test_the_page_has_every_kind_of_change() -> None:
    """The table and the changes that are counted are the same."""
    assert list(documented()) == list(CHANGES)


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_costs_what_the_page_says(here: Site, what: str) -> None:
    """No call more, and none to an object of another host; whoever changes nothing writes nothing."""
    here.simulator.audit.clear()
    CHANGES[what](here)
    here.settle()
    calls = here.simulator.audit.shown(0)
    assert {
        **dict.fromkeys(("GET", "POST", "PUT", "DELETE"), 0),
        **Counter(c["method"] for c in calls),
    } == documented()[what]
    assert [c for c in calls if c["status"] >= 400] == []
