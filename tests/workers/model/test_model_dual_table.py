"""docs/dual-stack.md, row by row: the page is the expectation, and the program has to agree with it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shared.errors import SettingsError
from shared.settings import Settings, load
from tests.workers.model.world import AVI_CLASS, World, endpoint_slice, ingress, node, service
from workers.model.context import context_for
from workers.model.nodes import node_problems
from workers.model.status import ingress_status
from workers.model.types import HostVips

PAGE = Path(__file__).parents[3] / "docs" / "dual-stack.md"
HOST = "foo.example.com"
GATE = {"AKO_GATE_DUAL_STACK_BACKENDS": "true"}
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
    ingress: str
    node: str


def rows() -> list[Row]:
    lines = PAGE.read_text().split("\n|---")[1].splitlines()[1:]
    return [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines]


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


def world_of(row: Row) -> World:
    families = MEMBERS[row.cluster]
    ports = [{"name": "p80", "port": 80, "targetPort": 8080, "nodePort": 30080}]
    made = World(settings_of(row, **GATE)).apply(
        AVI_CLASS,
        ingress(),
        service(families=[NAMES[each] for each in MEMBERS[row.service]], type="NodePort", ports=ports),
        node("n1", *(NODE[each] for each in families), cidrs=[PODS[each] for each in families]),
    )
    slices = [each for each in families if each in MEMBERS[row.service]]
    return made.apply(*(endpoint_slice([POD[each]], family=NAMES[each]) for each in slices))


def families(texts: list[str]) -> str:
    """As the page writes them."""
    return " ".join(sorted({"v6" if ":" in text else "v4" for text in texts})) or "none"


def answer(row: Row) -> Row:
    """The row as the program has it."""
    made = world_of(row)
    objects, problems, shared = made.everything()
    (vip,) = [each.body["vip"][0] for each in objects if each.type == "vsvip"]
    (pool,) = [each.body for each in objects if each.type == "pool"]
    routes = [entry for each in shared for part in each.shared if part.type == "vrfcontext" for entry in part.entries]
    assert all(families([e["prefix"]["ip_addr"]["addr"]]) == families([e["next_hop"]["addr"]]) for e in routes)
    kind = vip.get("auto_allocate_ip_type", "V4_ONLY")
    v4, v6 = (VIPS["v4"],) if kind != "V6_ONLY" else (), (VIPS["v6"],) if kind != "V4_ONLY" else ()
    body = made.of("Ingress")["red/ing1"]
    status = ingress_status(body, {HOST: HostVips("u", "vs", v4, v6)}, made.settings, made.facts)["ingress"]
    context = context_for(made.settings, made.facts)
    told = [*problems, *(each for n in made.of("Node").values() for each in node_problems(n, context))]
    events: dict[str, Any] = {
        kind: ", ".join(e.reason for e in told if e.kind == kind) or "-" for kind in ("Ingress", "Node")
    }
    return row._replace(
        vip=kind,
        servers=families([each["ip"]["addr"] for each in pool.get("servers", ())]),
        routes=families([entry["next_hop"]["addr"] for entry in routes]),
        status=families([entry["ip"] for entry in status]),
        ingress=events["Ingress"],
        node=events["Node"],
    )


def test_the_page_has_every_combination_once() -> None:
    """3 kinds of clusters, 3 of settings, 3 VIP networks, 3 kinds of Services and 2 modes: 162 rows."""
    named = [row[:5] for row in rows()]
    every = itertools.product(MEMBERS, ("V4", "V6", "V4_V6"), MEMBERS, MEMBERS, ("ClusterIP", "NodePort"))
    assert sorted(named) == sorted(every)
    assert len(named) == 162


@pytest.mark.parametrize("row", rows(), ids=lambda row: " ".join(row[:5]))
def test_the_program_does_what_the_page_says(row: Row) -> None:
    """VIP, servers, routes, status and Events are those of the page; without its gate V4_V6 is refused."""
    assert answer(row) == row
    if row.ip_family == "V4_V6":
        with pytest.raises(SettingsError, match="DualStackBackends"):
            settings_of(row)
