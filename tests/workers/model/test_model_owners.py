"""Whose an object is, told from the object alone; and what an Ingress says of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests import pems
from tests.workers.model.world import (
    AVI_CLASS,
    FACTS,
    PASSTHROUGH,
    PROJECT,
    World,
    endpoint_slice,
    golden_bodies,
    golden_settings,
    ingress,
    secret,
    service,
    settings,
)
from workers.model.owners import MADE_TYPES, Owners, is_ours, owner_of
from workers.model.status import ANNOTATIONS, ingress_status
from workers.model.types import HostVips, object_id, split_object_id


def built() -> World:
    made = World(settings()).apply(AVI_CLASS, service(), endpoint_slice(["10.0.0.1"]), secret(**pems.two()))
    return made.apply(
        ingress("plain", host="foo.example.com", paths=["/", "/a/b", ""]),
        ingress("sec", host="sec.example.com", tls="foo-tls", paths=["/x/y", ""]),
        ingress("through", host="through.example.com", annotations=PASSTHROUGH),
    )


def test_every_object_that_we_make_is_owned_by_the_key_that_made_it() -> None:
    """The census finds the very owner of each object, with references by name or as a controller shows them."""
    made = built()
    owners = {wanted.id: f"host:{host}" for host in made.hosts() for wanted in made.host(host).objects}
    objects, _, _ = made.everything()
    for wanted in objects:
        shown = {**wanted.body, "tenant_ref": "https://10.0.0.1/api/tenant/admin#admin"}
        expected = owners.get(wanted.id, f"shard:admin/{wanted.name.removesuffix('-insecure')}")
        assert owner_of(wanted.type, wanted.body, made.settings) == expected
        assert owner_of(wanted.type, shown, made.settings) == expected


@pytest.mark.parametrize("case", ["01-insecure-v4-sni", "02-secure-sni", "03-dual-vip", "05-v6-calico", "08-evh"])
def test_what_ako_made_has_an_owner(case: str) -> None:
    """A controller taken over from AKO is ours to the last object."""
    for (type_, name), body in golden_bodies(case).items():
        if type_ in MADE_TYPES:
            owner = owner_of(type_, body, golden_settings(case))
            assert owner is not None
            assert owner.endswith(name) if "Shared" in name else owner.startswith("host:")


@pytest.mark.parametrize("other", ["c1-x", "c", "xc1", "C1", "c1--Shared-L7-1"])
def test_another_clusters_objects_are_not_ours(other: str) -> None:
    """Equality decides, never a prefix."""
    made = World(settings(cluster_name=other), objects=built().objects)
    for wanted in made.everything()[0]:
        assert not is_ours(wanted.type, wanted.body, settings())
        assert owner_of(wanted.type, wanted.body, settings()) is None


def test_what_ako_made_for_services_has_an_owner() -> None:
    """Also the vsvips: by the virtual services that refer to them, without any Service in the cluster."""
    bodies = golden_bodies("09-lb-v4")
    owners = Owners(golden_settings("09-lb-v4"), [], [])
    found = {key: owners.of(key[0], body) for key, body in bodies.items() if key[0] in MADE_TYPES}
    found |= {key: owners.late(bodies[key]) for key in found if key[0] == "vsvip"}
    assert len(found) == 13
    for (_, name), owner in found.items():
        assert owner == f"lb:red/{name.removeprefix('peer--red-').partition('-')[0]}"


@pytest.mark.parametrize(
    ("name", "fqdn", "owner"),
    [
        ("c1--red-db", "db.red.avi.internal", "lb:red/db"),
        ("c1--a-b-c", "a-b-c.avi.internal", None),
        ("c1--b-c-a", "a-b-c.avi.internal", "lb:b-c/a"),
        ("c1--937d78d858df82e499ad37462488e1b2c03814f5", "6db-red.avi.internal", "lb:red/6db"),
        ("c1--blue-db", "db.example.com", "lb:blue/db"),
        ("c1--blue-foo.example.com-L7-dedicated", "x.example.com", None),
        ("c1--green-db", "db.example.com", None),
        ("c1--held-x", "db.example.com", None),
    ],
)
def test_a_vsvip_that_nobody_uses_is_told_by_its_names(name: str, fqdn: str, owner: str | None) -> None:
    """By the automatic name that it has, or the namespace in its own; in use by others of ours it is nobody's."""
    owners = Owners(settings(), [], ["blue", "held"])
    gateway = [{"key": "clustername", "values": ["c1"]}, {"key": "GatewayName", "values": ["g"]}]
    owners.of("virtualservice", {"name": "x", "markers": gateway, "vsvip_ref": "/api/vsvip/?name=c1--held-x"})
    vsvip = {"name": name, "markers": gateway[:1], "dns_info": [{"fqdn": fqdn}]}
    assert owners.of("vsvip", vsvip) is None
    assert owners.late(vsvip) == owner


def changed(body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**body, **fields}


def test_either_mark_missing_makes_it_foreign() -> None:
    """created_by and the marker must both be ours; the marker's value must be ours alone."""
    (pool,) = [each for each in built().host("foo.example.com").objects if each.name.endswith("a_b-red-plain")]
    assert is_ours("pool", pool.body, settings())
    assert not is_ours("pool", changed(pool.body, created_by="ako-c1-x"), settings())
    assert not is_ours("pool", changed(pool.body, created_by=None), settings())
    assert not is_ours("pool", changed(pool.body, markers=[]), settings())
    assert not is_ours("pool", changed(pool.body, markers=None), settings())
    two = [{"key": "clustername", "values": ["c1", "c2"]}]
    assert not is_ours("pool", changed(pool.body, markers=two), settings())
    assert not is_ours("healthmonitor", pool.body, settings())


@pytest.mark.parametrize(
    ("type_", "name", "markers"),
    [
        ("virtualservice", "c1--foo.example.com-L7-other", {"Namespace": "red", "Host": "foo.example.com"}),
        ("vsvip", "c1--foo.example.com-L7-dedicated", {}),
        ("virtualservice", "c1--gold-foo.example.com", {"Host": "foo.example.com", "InfrasettingName": "gold"}),
        ("virtualservice", "c1--foo.example.com", {"Host": "foo.example.com", "InfrasettingName": "gold"}),
        ("virtualservice", "c1--red-db", {"Namespace": "red", "ServiceName": "other"}),
        ("virtualservice", "c1--red-db", {"Namespace": "red", "ServiceName": "db", "InfrasettingName": "gold"}),
        ("pool", "c1--red-db-TCP-80", {"Namespace": "red", "ServiceName": "db", "Port": "81"}),
        ("vsvip", "c1--red-db", {}),
        ("virtualservice", "c1--Shared-Passthrough-gold-0", {}),
        ("virtualservice", "c1--Shared-L7-0-insecure", {}),
        ("pool", "c1--gold-foo.example.com-web", {"Host": "foo.example.com", "ServiceName": "web"}),
        ("poolgroup", "c1--gold-foo.example.com", {"Host": "foo.example.com"}),
    ],
)
def test_objects_of_other_features_have_no_owner(type_: str, name: str, markers: dict[str, str]) -> None:
    """What this release doesn't make is nobody's, so it is never deleted by itself."""
    shown = [{"key": "clustername", "values": ["c1"]}, *({"key": k, "values": [v]} for k, v in markers.items())]
    body = {"name": name, "created_by": "ako-c1", "markers": shown, "tenant_ref": "/api/tenant/?name=admin"}
    assert is_ours(type_, body, settings())
    assert owner_of(type_, body, settings()) is None


def test_types_are_made_after_what_they_refer_to() -> None:
    """The order of MADE_TYPES, which the census reads, is the order of creation; the model makes nothing else."""
    objects, _, _ = built().everything()
    assert {each.type for each in objects} <= set(MADE_TYPES)
    for wanted in objects:
        for other in MADE_TYPES[MADE_TYPES.index(wanted.type) + 1 :]:
            assert f"/api/{other}/?name=" not in json.dumps(wanted.body)


def test_an_object_id_keeps_the_slashes_of_a_name() -> None:
    """Only the first two slashes separate."""
    assert split_object_id(object_id("pool", "admin", "a/b/c")) == ("pool", "admin", "a/b/c")


def projected(*hosts: str) -> dict[str, Any]:
    obj = ingress(host=hosts[0])
    obj["spec"]["rules"] += [{**obj["spec"]["rules"][0], "host": host} for host in hosts[1:]]
    return PROJECT["Ingress"](obj).body


def test_status_lists_every_ipv4_then_every_ipv6_address_of_each_host() -> None:
    """Hosts in the order of the rules, each with all its addresses; annotations name each host's virtual service."""
    vips = {
        "b.example.com": HostVips("virtualservice-2", "vs2", ("10.0.0.2",), ("2001:db8::2",)),
        "a.example.com": HostVips("virtualservice-1", "vs1", ("10.0.0.1",), ("2001:db8::1",)),
        "other.example.com": HostVips("virtualservice-3", "vs3", ("10.0.0.3",)),
    }
    status = ingress_status(projected("b.example.com", "a.example.com"), vips, settings(), FACTS, tenant="blue")
    assert [(row["hostname"], row["ip"]) for row in status["ingress"]] == [
        ("b.example.com", "10.0.0.2"),
        ("b.example.com", "2001:db8::2"),
        ("a.example.com", "10.0.0.1"),
        ("a.example.com", "2001:db8::1"),
    ]
    uuids = '{"a.example.com":"virtualservice-1","b.example.com":"virtualservice-2"}'
    assert status["annotations"] == {
        "ako.vmware.com/host-fqdn-vs-uuid-map": uuids,
        "ako.vmware.com/controller-cluster-uuid": "cluster-7",
        "ako.vmware.com/tenant-name": "blue",
    }
    assert set(status["annotations"]) == set(ANNOTATIONS)


def test_a_host_without_address_yet_keeps_what_its_status_says() -> None:
    """A VIP still being allocated takes no entry away; a host that isn't served any more loses its entry."""
    rows = [{"ip": "10.0.0.9", "hostname": host} for host in ("a.example.com", "b.example.com")]
    current = {"ingress": rows, "annotations": {}}
    vips = {"a.example.com": HostVips("virtualservice-1", "vs1")}
    status = ingress_status(projected("a.example.com", "b.example.com"), vips, settings(), FACTS, current=current)
    assert status["ingress"] == rows[:1]


def test_nothing_served_clears_everything() -> None:
    """Without any host both parts are empty."""
    assert ingress_status(projected("a.example.com"), {}, settings(), FACTS) == {"ingress": [], "annotations": {}}
