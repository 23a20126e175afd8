"""A VIP without an enabled server is told on whom it is for, by family, and no more once it has one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.workers.model.world import endpoint_slice, ingress, load_balancer, service
from tests.workers.site import Site, site
from tests.workers.test_vip_changes import PORTS, vips
from workers.status import problems_in
from workers.unserved import NO_SERVERS


@pytest.fixture
def here(redis_url: str) -> Iterator[Site]:
    with site(redis_url, **vips("dual")) as made:
        made.apply(service(), ingress())
        made.apply(load_balancer())
        yield made


def told(here: Site) -> list[str]:
    """What is kept of it, by key."""
    kept = here.state.hash("problems").items()
    return sorted(f"{key} {each.kind} {each.message[:12]}" for key, text in kept for each in problems_in(text)
                  if each.reason == NO_SERVERS)  # fmt: skip


def test_it_is_told_until_there_is_a_server(here: Site) -> None:
    """Each family of each VIP; endpoints that are not ready change nothing, the first ready one ends it."""
    here.settle()
    expected = ["host:foo.example.com Ingress The IPv4 VIP", "host:foo.example.com Ingress The IPv6 VIP"]
    assert told(here) == [*expected, "lb:red/db Service The IPv4 VIP"]
    assert sum("NoServers" in text for text in here.kube.events) == 3
    for name in ("web", "db"):
        away = endpoint_slice(["10.244.1.5"], owner=name, ports=PORTS)
        away["endpoints"][0]["conditions"] = {"ready": False, "serving": False}
        here.apply(away)
    here.settle()
    assert len(told(here)) == 3
    for name in ("web", "db"):
        here.apply(endpoint_slice(["10.244.1.5"], owner=name, ports=PORTS))
    here.settle()
    assert told(here) == []
    assert sum("NoServers" in text for text in here.kube.events) == 3


def test_a_service_without_a_vip_is_not_told_of_it(here: Site) -> None:
    """While the network is full there is no VIP to be without servers; once there is one, it is told."""
    full = {"error": "No available free IPs in network net1"}
    fault = here.simulator.faults.add(
        {"method": "POST", "path": "/api/vsvip", "name": "db", "count": -1, "status": 400, "body": full}
    )
    here.settle()
    assert fault.hits > 0
    assert [text for text in told(here) if text.startswith("lb:")] == []
    here.simulator.faults.clear()
    here.settle()
    assert [text for text in told(here) if text.startswith("lb:")] == ["lb:red/db Service The IPv4 VIP"]
