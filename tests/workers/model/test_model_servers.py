"""Servers of a pool: families, ports, readiness, and that no order matters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from shared.settings.model import IpFamily
from tests.workers.model.world import AVI_CLASS, World, endpoint_slice, ingress, service, settings

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("clusterip.yaml").read_text())
V4 = ("10.244.1.1", "10.244.2.1")
V6 = ("2001:db8::1", "2001:db8::2")


def world(family: IpFamily, *, families: Iterable[str], slices: Iterable[dict[str, Any]] | None = None) -> World:
    made = World(settings(ip_family=family)).apply(AVI_CLASS, service(families=families), ingress())
    made.apply(*([endpoint_slice(V4), endpoint_slice(V6, family="IPv6")] if slices is None else slices))
    return made


def servers(made: World) -> list[dict[str, Any]]:
    (pool,) = made.host("foo.example.com").objects
    return list(pool.body.get("servers", []))


def addresses(made: World) -> list[str]:
    return [server["ip"]["addr"] for server in servers(made)]


@pytest.mark.parametrize(
    ("family", "families", "expected"),
    [
        (IpFamily.V4, ["IPv4"], V4),
        (IpFamily.V4, ["IPv4", "IPv6"], V4),
        (IpFamily.V4, ["IPv6", "IPv4"], V4),
        (IpFamily.V4, ["IPv6"], ()),
        (IpFamily.V4, [], V4),
        (IpFamily.V6, ["IPv6"], V6),
        (IpFamily.V6, ["IPv4", "IPv6"], V6),
        (IpFamily.V6, ["IPv6", "IPv4"], V6),
        (IpFamily.V6, ["IPv4"], ()),
        (IpFamily.V6, [], ()),
        (IpFamily.V4_V6, ["IPv4", "IPv6"], V4 + V6),
        (IpFamily.V4_V6, ["IPv6"], V6),
    ],
)
def test_servers_have_the_families_of_settings_and_service(
    family: IpFamily, families: list[str], expected: tuple[str, ...]
) -> None:
    """A server's family must be both enabled and one of the Service's; the order of its families is nothing."""
    assert addresses(world(family, families=families)) == list(expected)


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_servers_are_as_worked_out_by_hand(case: dict[str, Any]) -> None:
    """Each case of clusterip.yaml has its servers and Events, in whatever order its objects come."""
    backend = {"service": {"name": "web", "port": {"number": case.get("port", 80)}}}
    slices = [
        {**endpoint_slice([], owner=each.get("of", "web"), name=f"web-{number}"), "addressType": each["type"], **each}
        for number, each in enumerate(case.get("slices", ()))
    ]
    objects = [AVI_CLASS, {**service(), "spec": case["service"]}, ingress(paths=[{"path": "/", "backend": backend}])]
    for order in (1, -1):
        made = World(settings(ip_family=IpFamily(case.get("family", "V4")))).apply(*[*objects, *slices][::order])
        rows = [row["external_uuid"] + ("" if row["enabled"] else " off") for row in servers(made)]
        assert sorted(rows) == sorted(case["servers"])
        problems = made.host("foo.example.com").problems
        assert [f"{problem.kind} {problem.reason}" for problem in problems] == case.get("events", [])


def test_a_pool_that_can_have_no_server_says_why() -> None:
    """A Service of the other family keeps its pool, empty, and the Ingress is told."""
    desired = world(IpFamily.V6, families=["IPv4"]).host("foo.example.com")
    assert [each.type for each in desired.objects] == ["pool"]
    assert "servers" not in desired.objects[0].body
    (problem,) = desired.problems
    assert (problem.kind, problem.name, problem.reason) == ("Ingress", "ing1", "NoServersOfFamily")


def test_server_fields() -> None:
    """A server carries its own port, an id of address and port without brackets, and its node when known."""
    made = endpoint_slice(["2001:DB8:0::1"], family="IPv6")
    made["endpoints"][0] |= {"nodeName": "n1", "conditions": {"ready": False}}
    (server,) = servers(world(IpFamily.V6, families=["IPv6"], slices=[made]))
    assert server == {
        "ip": {"addr": "2001:db8::1", "type": "V6"},
        "port": 8080,
        "external_uuid": "2001:db8::1:8080",
        "enabled": False,
        "server_node": "n1",
    }


@examples(deadline=None)
@given(data=st.data())
def test_order_of_families_slices_and_endpoints_is_irrelevant(data: st.DataObject) -> None:
    """Any permutation of the same endpoints, over any slices, gives the very same servers."""
    v4 = data.draw(st.permutations([f"10.244.{n}.1" for n in range(1, 5)]))
    v6 = data.draw(st.permutations([f"2001:db8::{n}" for n in range(1, 5)]))
    cut = data.draw(st.integers(0, 4))
    slices = data.draw(
        st.permutations(
            [
                endpoint_slice(v4[:cut], name="a"),
                endpoint_slice(v4[cut:], name="b"),
                endpoint_slice(v6[:cut], family="IPv6", name="c"),
                endpoint_slice(v6[cut:], family="IPv6", name="d"),
            ]
        )
    )
    families = data.draw(st.permutations(["IPv4", "IPv6"]))
    made = world(IpFamily.V4_V6, families=families, slices=slices)
    expected = [f"10.244.{n}.1" for n in range(1, 5)] + [f"2001:db8::{n}" for n in range(1, 5)]
    assert addresses(made) == expected
    for family, texts in ((IpFamily.V4, expected[:4]), (IpFamily.V6, expected[4:])):
        assert addresses(world(family, families=families, slices=slices)) == texts


def port(name: str, number: Any, protocol: str = "TCP") -> dict[str, Any]:
    return {"name": name, "port": number, "protocol": protocol}


PORTS = [
    {"name": "http", "port": 80, "targetPort": "web"},
    {"name": "admin", "port": 81, "targetPort": 9090},
    {"name": "", "port": 82, "targetPort": 7070},
]


@pytest.mark.parametrize(
    ("backend", "slice_ports", "expected"),
    [
        ({"number": 80}, [port("http", 8080), port("admin", 9090)], [8080]),
        ({"name": "http"}, [port("admin", 9090), port("http", 8080)], [8080]),
        ({"name": "admin"}, [port("http", 8080), port("x", 9090)], [9090]),
        ({"number": 81}, [port("x", 9090, "UDP"), port("y", 1)], []),
        ({"number": 82}, [port("", 7070), port("http", 8080)], [7070]),
        ({"number": 99}, [port("whatever", 5555)], [5555]),
        ({"number": 99}, [port("http", 8080), port("admin", 9090)], []),
        ({"number": 80}, [port("http", None), port("admin", None)], []),
    ],
)
def test_the_slice_port_is_found_by_name_then_by_number(
    backend: dict[str, Any], slice_ports: list[dict[str, Any]], expected: list[int]
) -> None:
    """The port's place in the list is nothing; the only port of the only slice always fits, as with AKO."""
    path = {"path": "/", "backend": {"service": {"name": "web", "port": backend}}}
    made = World(settings()).apply(AVI_CLASS, service(ports=PORTS), ingress(paths=[path]))
    made.apply(endpoint_slice(["10.0.0.1"], ports=slice_ports))
    assert [server["port"] for server in servers(made)] == expected


def test_slices_may_have_different_numbers_for_one_named_port() -> None:
    """Each server has the port of its own slice (AKO gives all the last slice's port)."""
    slices = [
        endpoint_slice(["10.0.0.1"], name="a", ports=[port("p80", 8080), port("x", 1)]),
        endpoint_slice(["10.0.0.2"], name="b", ports=[port("p80", 9090), port("x", 1)]),
    ]
    made = world(IpFamily.V4, families=["IPv4"], slices=slices)
    assert [server["external_uuid"] for server in servers(made)] == ["10.0.0.1:8080", "10.0.0.2:9090"]


def test_an_endpoint_in_two_slices_is_one_server() -> None:
    """An endpoint that moves between slices is listed once, enabled when either slice says so."""
    moving = endpoint_slice(["10.0.0.1"], name="a")
    moving["endpoints"][0]["conditions"] = {"ready": False}
    for slices in ([moving, endpoint_slice(["10.0.0.1"], name="b")], [endpoint_slice(["10.0.0.1"], name="b"), moving]):
        (server,) = servers(world(IpFamily.V4, families=["IPv4"], slices=slices))
        assert server["enabled"] is True


@pytest.mark.parametrize(
    ("family", "bad"),
    [("IPv4", "300.1.1.1"), ("IPv4", "2001:db8::1"), ("IPv6", "::ffff:10.0.0.1"), ("IPv6", "fe80::1%eth0")],
)
def test_a_bad_endpoint_is_left_out_and_named(family: str, bad: str) -> None:
    """An address that is none, or of another family than its slice says, leaves the others served."""
    good = "10.0.0.1" if family == "IPv4" else "2001:db8::1"
    slices = [endpoint_slice([bad, good], family=family)]
    made = world(IpFamily.V4_V6, families=["IPv4", "IPv6"], slices=slices)
    assert addresses(made) == [good]
    (problem,) = made.host("foo.example.com").problems
    assert (problem.kind, problem.namespace, problem.reason) == ("EndpointSlice", "red", "MalformedEndpoint")


@pytest.mark.parametrize(
    ("manifests", "reason"),
    [
        ([], "ServiceMissing"),
        ([service(type="ExternalName")], "ServiceNotServed"),
        ([service(ports=[])], "ServicePortMissing"),
    ],
)
def test_a_missing_backend_keeps_the_pool_without_servers(manifests: list[dict[str, Any]], reason: str) -> None:
    """The pool stays, so that the rules don't come and go with the Service; the Ingress is told why it is empty."""
    made = World(settings()).apply(AVI_CLASS, ingress(), *manifests)
    desired = made.host("foo.example.com")
    assert servers(made) == []
    assert [problem.reason for problem in desired.problems] == [reason]


def test_a_service_without_endpoints_is_no_problem() -> None:
    """A Service scaled to zero has an empty pool and nobody is warned."""
    desired = world(IpFamily.V4, families=["IPv4"], slices=[]).host("foo.example.com")
    assert desired.problems == ()
    assert "servers" not in desired.objects[0].body


def test_a_slice_of_names_gives_no_server_and_is_told() -> None:
    """The other slices of the Service are served."""
    names = endpoint_slice(["db.example.com"], family="FQDN")
    made = world(IpFamily.V4, families=["IPv4"], slices=[endpoint_slice(V4), names])
    assert addresses(made) == list(V4)
    (problem,) = made.host("foo.example.com").problems
    assert (problem.kind, problem.name, problem.reason) == ("EndpointSlice", "web-fqdn", "AddressTypeNotServed")
