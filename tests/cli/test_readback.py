"""The independent check: what AKO itself recorded as right is found complete, and every damage to it is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli import readback, table
from cli.readback import Standing
from cli.wanted import Wanted, wanted
from shared.avi.client import AviClient
from shared.settings import load
from shared.settings.model import Credentials, Settings
from simulator.avi.app import AviSimulator
from simulator.server import running

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = ("01-insecure-v4-sni", "02-secure-sni", "03-dual-vip", "05-v6-calico", "08-evh")

WIDE = 1000

World = dict[str, dict[str, dict[str, Any]]]


def by_kind(bodies: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Manifests as `cli.wanted` takes them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for body in bodies:
        found.setdefault(str(body["kind"]), []).append(body)
    return found


def settings_of(case: str) -> Settings:
    environ = dict(line.split("=", 1) for line in (GOLDEN / case / "values.env").read_text().splitlines() if line)
    defaults = {"CLUSTER_NAME": "peer", "CTRL_IPADDRESS": "127.0.0.1"}
    return load(None, {**defaults, **environ}).settings


def manifests_of(case: str) -> list[dict[str, Any]]:
    """The case's objects with the statuses that AKO gave them, and the class that its chart installs."""
    recorded = [each for each in yaml.safe_load_all((GOLDEN / case / "manifests.yaml").read_text()) if each]
    statuses = json.loads((GOLDEN / case / "k8s-status.json").read_text())
    for each in recorded:
        if each["kind"] == "Ingress":
            each["status"] = statuses[f"ingress/{each['metadata']['namespace']}/{each['metadata']['name']}"]["status"]
    spec = {"controller": "ako.vmware.com/avi-lb"}
    return [*recorded, {"kind": "IngressClass", "metadata": {"name": "avi-lb"}, "spec": spec}]


@contextmanager
def controller(world: World) -> Iterator[AviClient]:
    """A client of a simulated controller that holds `world`."""
    simulator = AviSimulator(password="correct-horse")
    simulator.loader.load(world)
    with running(simulator.handle) as server:
        client = AviClient(server.url, Credentials("admin", "correct-horse"))
        yield client
        client.close()


@pytest.mark.parametrize("case", CASES)
def test_what_ako_built_is_complete(case: str) -> None:
    """AKO's own objects for a cluster lack nothing of what the cluster's manifests and settings promise."""
    settings = settings_of(case)
    want = wanted(by_kind(manifests_of(case)), settings)
    assert want.hosts
    with controller(json.loads((GOLDEN / case / "avi.json").read_text())) as avi:
        standing = readback.read(avi, settings)
    assert standing.hosts.keys() == want.hosts.keys()
    assert [str(each) for each in readback.missing(standing, want, settings)] == []


def drop_child(world: World) -> None:
    del world["virtualservice"]["peer--sec.example.com"]


def empty_pool(world: World) -> None:
    del world["pool"]["peer--red-sec.example.com_-sec"]["servers"]


def disable_server(world: World) -> None:
    world["pool"]["peer--red-sec.example.com_-sec"]["servers"][0]["enabled"] = False


def lose_member(world: World) -> None:
    del world["poolgroup"]["peer--Shared-L7-4"]["members"]


def lose_name(world: World) -> None:
    world["vsvip"]["peer--Shared-L7-4"]["dns_info"] = [{"fqdn": "other.example.com"}]


def lose_script(world: World) -> None:
    del world["virtualservice"]["peer--Shared-L7-4"]["vs_datascripts"]


def v4_only(world: World) -> None:
    for vsvip in world["vsvip"].values():
        for vip in vsvip["vip"]:
            vip["auto_allocate_ip_type"] = "V4_ONLY"
            del vip["ipam_network_subnet"]["subnet6"], vip["ip6_address"]


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (drop_child, "sec.example.com: is not served yet"),
        (empty_pool, "sec.example.com: path / has the servers [] instead of [10.244."),
        (disable_server, "sec.example.com: path / has the servers ["),
        (lose_member, "plain.example.com: is not served yet"),
        (lose_name, "plain.example.com: is not served yet"),
        (lose_script, "plain.example.com: is not served yet"),
        (v4_only, "plain.example.com: has no IPv6 address"),
    ],
)
def test_every_damage_is_found(damage: Callable[[World], None], complaint: str) -> None:
    """A missing link anywhere between the name and the servers, and a missing family, is named with its host."""
    settings = settings_of("03-dual-vip")
    world = json.loads((GOLDEN / "03-dual-vip" / "avi.json").read_text())
    damage(world)
    want = wanted(by_kind(manifests_of("03-dual-vip")), settings)
    with controller(world) as avi:
        standing = readback.read(avi, settings)
    assert any(str(each).startswith(complaint) for each in readback.missing(standing, want, settings))


def test_servers_in_node_port_local_mode_are_where_antrea_says() -> None:
    """Nodes of the ready pods that the Service selects, in its own namespace."""
    objects = manifests_of("01-insecure-v4-sni")
    backend = next(each for each in objects if each["kind"] == "Service")
    backend["spec"]["selector"] = {"app": "a"}

    def pod(name: str, address: str, *, namespace: str = "", app: str = "a", ready: str = "True") -> dict[str, Any]:
        entries = json.dumps([{"podPort": 8080, "nodeIP": address, "nodePort": 61000}])
        meta = {"name": name, "namespace": namespace or backend["metadata"]["namespace"], "labels": {"app": app}}
        meta["annotations"] = {"nodeportlocal.antrea.io": entries}
        return {"kind": "Pod", "metadata": meta, "status": {"conditions": [{"type": "Ready", "status": ready}]}}

    objects += [pod("p1", "10.50.0.1"), pod("p2", "10.50.0.2", namespace="other"), pod("p3", "10.50.0.3", app="b")]
    objects += [pod("p4", "10.50.0.4", ready="False"), pod("p5", "10.50.0.5")]
    environ = {"CLUSTER_NAME": "c", "CTRL_IPADDRESS": "c", "VIP_NETWORK_LIST": '[{"networkName":"n"}]'}
    chosen = load(None, {**environ, "SERVICE_TYPE": "NodePortLocal", "CNI_PLUGIN": "antrea"}).settings
    want = wanted(by_kind(objects), chosen)
    servers = {str(address) for host in want.hosts.values() for each in host.paths.values() for address in each}
    assert servers == {"10.50.0.1", "10.50.0.5"}
    assert want.routes is None


def test_statuses_and_leftovers_are_checked_too() -> None:
    """A status that lacks an address, a host that nobody wants and a missing or foreign route are all named."""
    settings = settings_of("05-v6-calico")
    want = wanted(by_kind(manifests_of("05-v6-calico")), settings)
    assert want.routes
    with controller(json.loads((GOLDEN / "05-v6-calico" / "avi.json").read_text())) as avi:
        standing = readback.read(avi, settings)
    unsaid = Wanted(want.hosts, {}, want.routes)
    texts = [str(each) for each in readback.missing(standing, unsaid, settings)]
    assert sum("the status of Ingress" in text and text.endswith("says nothing") for text in texts) == len(texts) > 0
    nothing = Wanted({}, {}, {})
    texts = [str(each) for each in readback.missing(standing, nothing, settings)]
    assert sum(text.endswith("is still served") for text in texts) == len(standing.hosts) > 0
    assert sum(text.endswith("is still there") for text in texts) == len(standing.routes) > 0
    texts = [str(each) for each in readback.missing(Standing({}, ()), want, settings)]
    assert sum(text.endswith("is missing") for text in texts) == len(want.routes) > 0


def test_the_table_shows_addresses_pools_and_routes() -> None:
    """Each host has a row with both addresses, each further pool a row of its own; routes follow; columns line up."""
    settings = settings_of("03-dual-vip")
    with controller(json.loads((GOLDEN / "03-dual-vip" / "avi.json").read_text())) as avi:
        standing = readback.read(avi, settings)
    lines = table.full(standing, WIDE).splitlines()
    assert lines[0].split() == ["host", "IPv4", "IPv6", "virtual", "service", "path", "pool", "servers", "up"]
    row = next(line for line in lines if line.startswith("sec.example.com (TLS)"))
    host = standing.hosts["sec.example.com"]
    assert row.split()[2:6] == [*map(str, host.addresses), "peer--sec.example.com", "/"]
    start = lines[0].index("virtual service")
    assert all(line[start - 2 : start] in {"  ", "--"} for line in lines[:3] if len(line) > start)


def test_a_narrow_terminal_gets_a_block_per_host() -> None:
    """Where the table does not fit, the same facts come below each other in lines that fit."""
    settings = settings_of("03-dual-vip")
    with controller(json.loads((GOLDEN / "03-dual-vip" / "avi.json").read_text())) as avi:
        lines = table.full(readback.read(avi, settings), 80).splitlines()
    start = lines.index("sec.example.com (TLS)")
    assert lines[start + 1 : start + 4] == [
        "    VIP 10.10.1.11  2001:db8:10::11",
        "    virtual service peer--sec.example.com",
        "    /  2/2 servers up in pool peer--red-sec.example.com_-sec",
    ]


def test_changes_show_only_what_differs() -> None:
    """Between two readings, hosts and routes that are equal are not shown, gone ones are named."""
    settings = settings_of("05-v6-calico")
    with controller(json.loads((GOLDEN / "05-v6-calico" / "avi.json").read_text())) as avi:
        standing = readback.read(avi, settings)
    assert table.changes(standing, standing, WIDE) == ""
    name = next(iter(standing.hosts))
    text = table.changes(standing, Standing({}, standing.routes[1:]), WIDE)
    assert f"gone: {name}" in text
    assert f"gone: route {standing.routes[0].prefix} via {standing.routes[0].next_hop}" in text
    assert name in table.changes(Standing({}, standing.routes), standing, WIDE)
