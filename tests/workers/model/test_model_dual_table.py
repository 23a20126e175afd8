"""docs/dual-stack.md, row by row: the page is the expectation, and the program has to agree with it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shared.errors import SettingsError
from shared.settings import Settings, load
from tests.workers.model.world import AVI_CLASS, World, endpoint_slice, ingress, node, service
from workers.model.status import ingress_status
from workers.model.types import AviObject, HostVips, Problem

PAGE = Path(__file__).parents[3] / "docs" / "dual-stack.md"
HOST = "foo.example.com"
GATES = {"AKO_GATE_DUAL_STACK_BACKENDS": "true", "AKO_GATE_IPV6_LOAD_BALANCER": "true"}
NODE = {"v4": "10.50.0.1", "v6": "2001:db8:50::1"}
PODS = {"v4": "10.244.1.0/24", "v6": "2001:db8:244:1::/64"}
POD = {"v4": "10.244.1.7", "v6": "2001:db8:244:1::7"}
VIPS = {"v4": "10.10.0.9", "v6": "2001:db8:10::9"}
CIDRS = {"v4": '"cidr":"10.10.0.0/16"', "v6": '"v6cidr":"2001:db8:10::/64"'}
NAMES = {"v4": "IPv4", "v6": "IPv6"}
MEMBERS = {"v4": ["v4"], "v6": ["v6"], "dual": ["v4", "v6"]}


class Row(NamedTuple):
    """One row of the page."""

    cluster: str
    ip_family: str
    vip_network: str
    service: str
    service_type: str
    vip: str
    servers: str
    routes: str
    status: str
    owner: str
    node: str


def rows(table: int) -> list[Row]:
    """The rows of the page's first or second table."""
    lines = PAGE.read_text().split("\n|---")[1 + table].splitlines()[1:]
    tabled = itertools.takewhile(lambda line: line.startswith("|"), lines)
    return [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in tabled]


def settings_of(row: Row, **more: str) -> Settings:
    network = ",".join(CIDRS[family] for family in MEMBERS[row.vip_network])
    environ = {
        "CLUSTER_NAME": "c1",
        "CTRL_IPADDRESS": "avi.example.com",
        "CNI_PLUGIN": "antrea",
        "IP_FAMILY": row.ip_family,
        "SERVICE_TYPE": row.service_type,
        "VIP_NETWORK_LIST": f'[{{"networkName":"net1",{network}}}]',
    }
    return load(None, {**environ, **more}).settings


def world_of(row: Row, **service_spec: Any) -> World:
    """The cluster of a row, with one Service; `service_spec` says what else it is."""
    families, wanted = MEMBERS[row.cluster], MEMBERS[row.service.partition(",")[0]]
    ports = [{"name": "p80", "port": 80, "targetPort": 8080, "nodePort": 30080, "protocol": "TCP"}]
    made = World(settings_of(row, **GATES)).apply(
        AVI_CLASS,
        service(families=[NAMES[each] for each in wanted], ports=ports, **service_spec),
        node("n1", *(NODE[each] for each in families), cidrs=[PODS[each] for each in families]),
    )
    slices = [each for each in families if each in wanted]
    return made.apply(*(endpoint_slice([POD[each]], family=NAMES[each]) for each in slices))


def families(texts: list[str]) -> str:
    """As the page writes them."""
    return " ".join(sorted({"v6" if ":" in text else "v4" for text in texts})) or "none"


def addresses(vips: list[dict[str, Any]]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """What a controller makes of the VIP: its type, and the addresses of each family."""
    if not vips:
        return "none", (), ()
    kind = vips[0].get("auto_allocate_ip_type", "V4_ONLY")
    return kind, (VIPS["v4"],) if kind != "V6_ONLY" else (), (VIPS["v6"],) if kind != "V4_ONLY" else ()


def routes_of(made: World) -> str:
    parts = [part for part in made.routes().shared if part.type == "vrfcontext"]
    routes = [entry for part in parts for entry in part.entries]
    assert all(families([e["prefix"]["ip_addr"]["addr"]]) == families([e["next_hop"]["addr"]]) for e in routes)
    return families([entry["next_hop"]["addr"] for entry in routes])


def completed(
    row: Row, made: World, objects: list[AviObject], problems: list[Problem], shown: list[str], owner: str
) -> Row:
    """The row as the program has it. `shown` are the addresses in the status, `owner` the kind whose Events count."""
    vips = [each.body["vip"][0] for each in objects if each.type == "vsvip"]
    servers = [server for each in objects if each.type == "pool" for server in each.body.get("servers", ())]
    told = [*problems, *made.routes().problems]
    events = {kind: ", ".join(each.reason for each in told if each.kind == kind) or "-" for kind in (owner, "Node")}
    return row._replace(
        vip=addresses(vips)[0],
        servers=families([each["ip"]["addr"] for each in servers]),
        routes=routes_of(made),
        status=families(shown),
        owner=events[owner],
        node=events["Node"],
    )


def test_the_page_has_every_combination_once() -> None:
    """162 rows for Ingresses; 216 for Services of type LoadBalancer, which have a policy where families are two."""
    cluster = (MEMBERS, ("V4", "V6", "V4_V6"), MEMBERS)
    modes = ("ClusterIP", "NodePort")
    every = [*itertools.product(*cluster, MEMBERS, modes)]
    assert sorted(row[:5] for row in rows(0)) == sorted(every)
    every = [*itertools.product(*cluster, ("v4", "v6", "dual, preferred", "dual, required"), modes)]
    assert sorted(row[:5] for row in rows(1)) == sorted(every)
    assert (len(rows(0)), len(rows(1))) == (162, 216)


@pytest.mark.parametrize("row", rows(0), ids=lambda row: " ".join(row[:5]))
def test_an_ingress_is_served_as_the_page_says(row: Row) -> None:
    """VIP, servers, routes, status and Events are those of the page; without its gate V4_V6 is refused."""
    made = world_of(row, type="NodePort").apply(ingress())
    objects, problems, _ = made.everything()
    _, v4, v6 = addresses([each.body["vip"][0] for each in objects if each.type == "vsvip"])
    body = made.of("Ingress")["red/ing1"]
    status = ingress_status(body, {HOST: HostVips("u", "vs", v4, v6)}, made.settings, made.facts)["ingress"]
    own = [each for each in problems if each.kind == "Ingress"]
    assert completed(row, made, objects, own, [entry["ip"] for entry in status], "Ingress") == row
    if row.ip_family == "V4_V6":
        with pytest.raises(SettingsError, match="DualStackBackends"):
            settings_of(row)


POLICIES = {"dual, preferred": "PreferDualStack", "dual, required": "RequireDualStack"}


@pytest.mark.parametrize("row", rows(1), ids=lambda row: " ".join(row[:5]))
def test_a_load_balancer_is_served_as_the_page_says(row: Row) -> None:
    """The same for a Service of type LoadBalancer, whose own families decide on its VIP."""
    made = world_of(row, type="LoadBalancer", ipFamilyPolicy=POLICIES.get(row.service, "SingleStack"))
    desired = made.services("lb:red/web")
    objects = list(desired.objects)
    _, v4, v6 = addresses([each.body["vip"][0] for each in objects if each.type == "vsvip"])
    assert [served is None for served in (desired.services or {}).values()] == [row.vip == "none"]
    assert completed(row, made, objects, list(desired.problems), [*v4, *v6], "Service") == row
