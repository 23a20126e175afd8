"""Hosts whose TLS is passed through: their objects and their parent's, and who is served when Ingresses disagree."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.settings.model import ShardSize
from tests.workers.model.world import (
    AVI_CLASS,
    INFRA_CLASS,
    PASSTHROUGH,
    World,
    endpoint_slice,
    ingress,
    secret,
    service,
    settings,
)
from workers.model.accept import ingress_problems
from workers.model.context import context_for
from workers.model.owners import owner_of
from workers.model.types import AviObject, Face

HOST = "foo.example.com"
PARENT = "c1--Shared-Passthrough-0"
SHARD = f"shard:admin/{PARENT}"
LATER = "2026-01-02T00:00:00Z"


def world(*manifests: dict[str, Any], **changes: Any) -> World:
    found = World(settings(**changes)).apply(AVI_CLASS, service(), service("api"), secret(), *manifests)
    return found.apply(endpoint_slice(["10.244.1.1"]), endpoint_slice(["10.244.2.1"], owner="api"))


def passed(name: str = "ing1", **fields: Any) -> dict[str, Any]:
    return ingress(name, annotations=PASSTHROUGH, **fields)


def to(path: str, name: str, number: int = 80) -> dict[str, Any]:
    return {"path": path, "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"number": number}}}}


def built(made: World) -> dict[str, AviObject]:
    return {f"{each.type}/{each.name}": each for each in made.everything()[0]}


def marks(wanted: AviObject) -> dict[str, list[str]]:
    return {row["key"]: row["values"] for row in wanted.body["markers"]}


def reasons(made: World, host: str = HOST) -> list[str]:
    return [problem.reason for problem in made.host(host).problems]


CHOICES: list[dict[str, Any]] = [
    {},
    {"evh": True},
    {"evh": True, "vip_per_namespace": True},
    {"shard_size": ShardSize.DEDICATED},
]


@pytest.mark.parametrize("changes", CHOICES)
def test_the_same_objects_in_every_form(changes: dict[str, Any]) -> None:
    """A pool for each Service, a pool group, and the pair of shared virtual services; spec.tls says nothing."""
    found = built(world(passed(paths=[to("/", "web"), to("/api", "api")], tls="foo-tls"), **changes))
    assert sorted(found) == [
        f"httppolicyset/{PARENT}-insecure",
        f"pool/c1--{HOST}-api",
        f"pool/c1--{HOST}-web",
        f"poolgroup/c1--{HOST}",
        f"virtualservice/{PARENT}",
        f"virtualservice/{PARENT}-insecure",
        f"vsdatascriptset/{PARENT}",
        f"vsvip/{PARENT}",
    ]
    for each in found.values():
        owner = f"host:{HOST}" if HOST in each.name else SHARD
        assert owner_of(each.type, each.body, settings(**changes)) == owner


def test_the_parent_passes_connections_to_the_group_of_their_name() -> None:
    """Layer 4 on port 443 with a datascript on the TLS hello; it names the groups that it may choose."""
    found = built(world(passed(), passed("two", host="bar.example.com")))
    body = found[f"virtualservice/{PARENT}"].body
    assert "type" not in body
    assert body["services"] == [{"port": 443, "port_range_end": 443, "enable_ssl": False, "enable_http2": False}]
    assert body["application_profile_ref"] == "/api/applicationprofile/?name=System-L4-Application"
    assert body["remove_listening_port_on_vs_down"] is True
    assert body["vsvip_ref"] == f"/api/vsvip/?name={PARENT}"
    assert json.loads(body["service_metadata"])["passthrough_child_ref"] == f"{PARENT}-insecure"
    script = found[f"vsdatascriptset/{PARENT}"].body
    assert script["datascript"][0]["evt"] == "VS_DATASCRIPT_EVT_L4_REQUEST"
    assert 'avi.poolgroup.select("c1--" .. string.lower(name))' in script["datascript"][0]["script"]
    assert script["protocol_parser_refs"] == ["/api/protocolparser/?name=Default-TLS"]
    groups = ["/api/poolgroup/?name=c1--bar.example.com", f"/api/poolgroup/?name=c1--{HOST}"]
    assert script["pool_group_refs"] == groups
    fqdns = [row["fqdn"] for row in found[f"vsvip/{PARENT}"].body["dns_info"]]
    assert fqdns == ["bar.example.com", HOST]


def test_port_80_is_redirected_at_the_same_address() -> None:
    """The second virtual service shares the vsvip and redirects exactly the hosts of the parent."""
    found = built(world(passed()))
    body = found[f"virtualservice/{PARENT}-insecure"].body
    assert [row["port"] for row in body["services"]] == [80]
    assert body["vsvip_ref"] == f"/api/vsvip/?name={PARENT}"
    assert "remove_listening_port_on_vs_down" not in body
    assert json.loads(body["service_metadata"])["passthrough_parent_ref"] == PARENT
    (rule,) = found[f"httppolicyset/{PARENT}-insecure"].body["http_request_policy"]["rules"]
    assert rule["match"]["host_hdr"]["value"] == [HOST]
    assert rule["redirect_action"]["port"] == 443
    for each in (f"virtualservice/{PARENT}", f"virtualservice/{PARENT}-insecure", f"vsdatascriptset/{PARENT}"):
        assert marks(found[each]) == {"clustername": ["c1"]}


def test_pools_and_group_bear_the_marks_of_the_host() -> None:
    """No namespace and no path, as with AKO; the metadata of the pool names the Ingress."""
    found = built(world(passed()))
    pool, group = found[f"pool/c1--{HOST}-web"], found[f"poolgroup/c1--{HOST}"]
    assert marks(pool) == {"clustername": ["c1"], "Host": [HOST], "ServiceName": ["web"]}
    assert marks(group) == {"clustername": ["c1"], "Host": [HOST]}
    assert json.loads(pool.body["service_metadata"])["ingress_name"] == "ing1"
    assert [server["ip"]["addr"] for server in pool.body["servers"]] == ["10.244.1.1"]
    assert group.body["members"] == [{"pool_ref": f"/api/pool?name=c1--{HOST}-web", "ratio": 100}]


def test_the_status_shows_the_parents_address() -> None:
    """The host is reached by the passthrough parent, in the dedicated form too."""
    for changes in CHOICES:
        desired = world(passed(), **changes).host(HOST)
        vs, vsvip = f"virtualservice/admin/{PARENT}", f"vsvip/admin/{PARENT}"
        assert desired.faces == {"admin": Face(((SHARD, vs),), (SHARD, vsvip))}
        assert desired.shards == (SHARD,)


def test_the_parent_lists_only_what_stands() -> None:
    """Before the pool group stands nothing leads to it; the shard says what it waits for."""
    made = world(passed())
    first = made.shard(SHARD)
    assert first.waits == (f"poolgroup/admin/c1--{HOST}",)
    assert "httppolicyset" not in {each.type for each in first.objects}
    assert all("pool_group_refs" not in each.body for each in first.objects)


def test_without_hosts_the_vsvip_stays_but_not_one_by_hash() -> None:
    """As with the other parents; where every hash has a parent, kept addresses would add up."""
    for size, kept in ((ShardSize.SMALL, 1), (ShardSize.LARGE, 1), (ShardSize.DEDICATED, 0)):
        made = world(passed(), passthrough_size=size)
        (key,) = made.host(HOST).shards
        made.everything()
        made.objects["Ingress"].clear()
        assert len(made.shard(key).objects) == kept


def test_the_oldest_ingress_decides_whether_tls_is_passed_through() -> None:
    """An address has one way to treat a host, so who wants the other one is told so."""
    made = world(ingress(tls="foo-tls"), passed("two", created=LATER))
    assert made.host(HOST).shards == ("shard:admin/c1--Shared-L7-4",)
    assert reasons(made) == ["PassthroughConflict"]
    made = world(passed(), ingress("two", tls="foo-tls", created=LATER))
    assert made.host(HOST).shards == (SHARD,)
    assert reasons(made) == ["PassthroughConflict"]


@pytest.mark.parametrize(
    ("manifests", "pools", "reason"),
    [
        ([passed(), passed("two", created=LATER, paths=[to("/", "api")])], ["web"], "DuplicateHostPath"),
        ([passed(paths=[to("/", "web"), to("/a", "web", 81)])], ["web"], "NameTaken"),
        ([passed(paths=[to("/", "web"), to("/a", "web")])], ["web"], ""),
        ([passed(paths=[to("/", "x" * 250), "/"])], ["web"], "NameTooLong"),
        ([passed(host="*.example.com")], [], "WildcardPassthrough"),
    ],
)
def test_what_cannot_be_passed_through_is_left_out(manifests: list[Any], pools: list[str], reason: str) -> None:
    """One Event for the Ingress that is not served as written; the rest of the host is served."""
    host = manifests[0]["spec"]["rules"][0]["host"]
    made = world(*manifests)
    found = [each.name for each in made.host(host).objects if each.type == "pool"]
    assert found == [f"c1--{host}-{name}" for name in pools]
    assert reasons(made, host) == ([reason] if reason else [])


def test_the_annotation_is_read_as_ako_reads_it() -> None:
    """In any case, and before enable-tls."""
    annotations = {"passthrough.ako.vmware.com/enabled": "TRUE", "ako.vmware.com/enable-tls": "true"}
    made = world(ingress(annotations=annotations))
    assert made.host(HOST).shards == (SHARD,)
    (body,) = made.of("Ingress").values()
    assert ingress_problems(body, {}, made.of("IngressClass"), context_for(made.settings, made.facts)) == ()
    assert world(ingress(annotations={"passthrough.ako.vmware.com/enabled": "yes"})).host(HOST).shards != (SHARD,)


def test_a_frozen_host_keeps_its_place() -> None:
    """With a feature that is not served nothing of the host is touched, so its parent goes on listing its group."""
    made = world(passed())
    made.everything()
    setting = {"aviinfrasetting.ako.vmware.com/name": "gold"}
    made.apply({"kind": "Namespace", "metadata": {"name": "red", "annotations": setting}})
    assert made.host(HOST).frozen
    assert made.host(HOST).shards == (SHARD,)
    (script,) = [each for each in made.shard(SHARD).objects if each.type == "vsdatascriptset"]
    assert script.body["pool_group_refs"] == [f"/api/poolgroup/?name=c1--{HOST}"]


def test_a_younger_ingress_that_is_not_served_freezes_the_host_too() -> None:
    """Whichever way it wants its TLS: what it had before may stand, so nothing is taken away."""
    made = world(INFRA_CLASS, passed(), ingress("two", created=LATER, ingressClassName="gold"))
    assert made.host(HOST).frozen
