"""Hosts: acceptance, conflicts, TLS, bad input; and the move from plain to TLS together with the shard."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests import pems
from tests.workers.model.world import (
    AVI_CLASS,
    INFRA_CLASS,
    World,
    endpoint_slice,
    ingress,
    secret,
    service,
    settings,
)
from workers.model.accept import ingress_problems
from workers.model.context import context_for
from workers.model.types import AviObject, Desired

GOOD = pems.data(*pems.pair())
HOST = "foo.example.com"
PARENT = "virtualservice/admin/c1--Shared-L7-4"
SHARD = "shard:admin/c1--Shared-L7-4"
CHILD = f"virtualservice/admin/c1--{HOST}"
PLAIN_POOL = f"pool/admin/c1--{HOST}_-red-ing1"


def world(*manifests: dict[str, Any], **changes: Any) -> World:
    return World(settings(**changes)).apply(AVI_CLASS, service(), endpoint_slice(["10.244.1.1"]), *manifests)


def ids(desired: Desired) -> list[str]:
    return [each.id for each in desired.objects]


def reasons(desired: Desired) -> list[str]:
    return [problem.reason for problem in desired.problems]


def marker_values(wanted: AviObject, *keys: str) -> list[str]:
    found = {each["key"]: each["values"] for each in wanted.body["markers"]}
    return [value for key in keys for value in found[key]]


def test_a_plain_host_is_its_pools() -> None:
    """Without TLS a host owns a pool per path, and its shard's row has their labels."""
    desired = world(ingress(paths=["/", "/API"])).host(HOST)
    assert ids(desired) == [PLAIN_POOL, f"pool/admin/c1--{HOST}_API-red-ing1"]
    assert desired.shards == (SHARD,)
    labels = [[f"c1--{HOST}_-red-ing1", f"{HOST}/"], [f"c1--{HOST}_API-red-ing1", f"{HOST}/api"]]
    assert desired.row == {SHARD: {"fqdn": HOST, "members": labels}}


def test_a_tls_host_comes_in_the_order_of_its_references() -> None:
    """Certificate, pools, pool groups, policies, child; the child waits for its parent, another key's object."""
    desired = world(secret(), ingress(tls="foo-tls", paths=["/", "/a"])).host(HOST)
    assert ids(desired) == [
        f"sslkeyandcertificate/admin/c1--{HOST}",
        f"pool/admin/c1--red-{HOST}_-ing1",
        f"pool/admin/c1--red-{HOST}_a-ing1",
        f"poolgroup/admin/c1--red-{HOST}_-ing1",
        f"poolgroup/admin/c1--red-{HOST}_a-ing1",
        f"httppolicyset/admin/c1--red-{HOST}",
        CHILD,
    ]
    assert desired.objects[-1].requires == {PARENT: SHARD}
    assert "key" not in desired.objects[0].body
    assert desired.objects[0].secret is not None


def test_rules_are_longest_first_and_exact_before_prefix() -> None:
    """The first rule that matches is the best one; pathType Exact means equality, all else a beginning."""
    paths = [
        {"path": "", "pathType": "ImplementationSpecific"},
        {"path": "/a", "pathType": "Prefix"},
        {"path": "/abc", "pathType": "Exact"},
    ]
    made = world(
        secret(),
        ingress(tls="foo-tls", paths=paths),
        ingress("ing2", tls="foo-tls", paths=[{"path": "/a", "pathType": "Exact"}], created="2026-02-01T00:00:00Z"),
    )
    (policy,) = [each for each in made.host(HOST).objects if each.type == "httppolicyset"]
    rules = policy.body["http_request_policy"]["rules"]
    found = [
        (match["path"]["match_criteria"], *match["path"]["match_str"]) if match else ()
        for match in (rule["match"] for rule in rules)
    ]
    assert found == [("EQUALS", "/abc"), ("EQUALS", "/a"), ("BEGINS_WITH", "/a"), ()]
    assert [rule["index"] for rule in rules] == [0, 1, 2, 3]
    assert rules[2]["name"] == f"c1--red-{HOST}-2"


@pytest.mark.parametrize("tls", [None, "foo-tls"])
def test_of_two_rules_for_one_path_the_older_is_served(tls: str | None) -> None:
    """Age decides, not the name; the younger Ingress is told and its other paths are served."""
    young = ingress("a-young", tls=tls, paths=["/", "/only"], created="2026-02-01T00:00:00Z")
    old = ingress("z-old", tls=tls)
    for manifests in ((young, old), (old, young)):
        desired = world(secret(), *manifests).host(HOST)
        pools = [each for each in desired.objects if each.type == "pool"]
        assert [marker_values(each, "IngressName", "Path") for each in pools] == [["z-old", "/"], ["a-young", "/only"]]
        assert [(problem.name, problem.reason) for problem in desired.problems] == [("a-young", "DuplicateHostPath")]


def test_equal_ages_are_decided_by_name() -> None:
    """Two Ingresses of one moment are ordered by namespace and name, so every worker answers alike."""
    desired = world(ingress("b"), ingress("a")).host(HOST)
    assert ids(desired) == [f"pool/admin/c1--{HOST}_-red-a"]


def test_plain_paths_conflict_as_the_datascript_compares_them() -> None:
    """Labels are in lower case, so /API and /api of plain hosts are one path."""
    desired = world(ingress(paths=["/API", "/api"])).host(HOST)
    assert ids(desired) == [f"pool/admin/c1--{HOST}_API-red-ing1"]
    assert reasons(desired) == ["DuplicateHostPath"]


def test_two_paths_with_one_pool_name_are_not_both_built() -> None:
    """Formulas are not injective: the second path that needs a taken name is left out and named."""
    desired = world(ingress(paths=["/a/b", "/a_b"])).host(HOST)
    assert ids(desired) == [f"pool/admin/c1--{HOST}_a_b-red-ing1"]
    assert reasons(desired) == ["NameTaken"]


@pytest.mark.parametrize("tls", [None, "foo-tls"])
def test_a_name_too_long_leaves_only_its_path_out(tls: str | None) -> None:
    """The path is named in a problem and the others are served."""
    desired = world(secret(), ingress(tls=tls, paths=["/" + "x" * 250, "/ok"])).host(HOST)
    assert len([each for each in desired.objects if each.type == "pool"]) == 1
    assert reasons(desired) == ["NameTooLong"]


def test_an_ingress_of_another_class_is_nothing_to_us() -> None:
    """Ours is who names a class of our controller, or names none while one of ours is the default."""
    nginx = {"kind": "IngressClass", "metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/nginx"}}
    made = world(ingress(ingressClassName="nginx"), nginx)
    assert made.host(HOST) == Desired()
    assert ids(world(ingress(ingressClassName=None)).host(HOST)) == [PLAIN_POOL]
    assert world(ingress(ingressClassName="gone")).host(HOST) == Desired()
    no_default = {**AVI_CLASS, "metadata": {"name": "avi-lb"}}
    assert world(ingress(ingressClassName=None), no_default).host(HOST) == Desired()


def test_our_class_may_have_any_name() -> None:
    """The controller decides, not the class's name."""
    mine = {**AVI_CLASS, "metadata": {"name": "mine"}}
    assert ids(world(ingress(ingressClassName="mine"), mine).host(HOST)) == [PLAIN_POOL]


def test_an_ingress_that_is_being_deleted_counts_as_gone() -> None:
    """Nothing is wanted for it any more, although a finalizer may hold it."""
    obj = ingress()
    obj["metadata"]["deletionTimestamp"] = "2026-03-01T00:00:00Z"
    assert world(obj).host(HOST) == Desired()


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("example.com", True),
        ("a.b.example.com", True),
        ("*.example.com", True),
        ("xexample.com", False),
        ("a.org", False),
    ],
)
def test_a_host_must_be_in_the_clouds_domains(host: str, served: bool) -> None:
    """A domain ends at a dot (AKO compares the text's end only); outside, the Ingress is told."""
    desired = world(ingress(host=host)).host(host)
    assert bool(desired.objects) is served
    assert reasons(desired) == ([] if served else ["HostOutsideDomains"])


@pytest.mark.parametrize(
    ("manifests", "reason"),
    [
        ([], "SecretMissing"),
        ([secret(**{**GOOD, "tls.crt": ""})], "SecretIncomplete"),
        ([secret(**{**GOOD, "tls.key": ""})], "SecretIncomplete"),
        ([secret(**{**GOOD, "tls.crt": "IAo="})], "SecretIncomplete"),
        ([{**secret(password="eA=="), "type": "Opaque"}], "SecretIncomplete"),
    ],
)
def test_without_a_usable_secret_nothing_is_built_for_tls(manifests: list[dict[str, Any]], reason: str) -> None:
    """Neither a child nor, instead of it, an unencrypted pool; the Ingress is told."""
    desired = world(ingress(tls="foo-tls"), *manifests).host(HOST)
    assert desired.objects == ()
    assert reasons(desired) == [reason]


def test_a_tls_entry_without_secret_name_is_named() -> None:
    """An empty secretName counts as a missing Secret."""
    assert reasons(world(ingress(tls="")).host(HOST)) == ["SecretMissing"]


def test_a_second_pair_makes_a_second_certificate() -> None:
    """`alt.crt` with `alt.key` becomes `<name>-alt`, referred to after the first."""
    desired = world(secret(**pems.two()), ingress(tls="foo-tls")).host(HOST)
    refs = desired.objects[-1].body["ssl_key_and_certificate_refs"]
    assert refs == [f"/api/sslkeyandcertificate/?name=c1--{HOST}{end}" for end in ("", "-alt")]
    second = desired.objects[1]
    assert second.secret is not None
    assert (second.secret.crt, second.secret.key) == ("alt.crt", "alt.key")


def test_of_two_secrets_the_oldest_usable_one_is_used() -> None:
    """The younger Ingress's paths are served with the older one's certificate, and it is told."""
    made = world(
        secret("one"),
        secret("two", **pems.data(*pems.pair(2))),
        ingress("a", tls="missing", paths=["/a"]),
        ingress("b", tls="two", paths=["/b"], created="2026-01-02T00:00:00Z"),
        ingress("c", tls="one", paths=["/c"], created="2026-01-03T00:00:00Z"),
    )
    desired = made.host(HOST)
    assert desired.objects[0].secret is not None
    assert desired.objects[0].secret.name == "two"
    assert len([each for each in desired.objects if each.type == "pool"]) == 3
    assert [(problem.name, problem.reason) for problem in desired.problems] == [
        ("a", "SecretMissing"),
        ("c", "SecretNotUsed"),
    ]


def test_a_host_of_two_namespaces_has_one_child_and_two_policies() -> None:
    """Pools and policy sets are per namespace; the metadata of the child names every Ingress, oldest first."""
    made = world(
        secret(),
        secret(namespace="blue"),
        ingress(tls="foo-tls", paths=["/red"]),
        ingress("ing2", tls="foo-tls", namespace="blue", paths=["/blue"], created="2026-01-02T00:00:00Z"),
    )
    child = made.host(HOST).objects[-1]
    assert [each["http_policy_set_ref"] for each in child.body["http_policies"]] == [
        f"/api/httppolicyset/?name=c1--{namespace}-{HOST}" for namespace in ("blue", "red")
    ]
    assert [each["index"] for each in child.body["http_policies"]] == [11, 12]
    assert '"namespace_ingress_name":["red/ing1","blue/ing2"]' in child.body["service_metadata"]


def test_plain_and_tls_ingress_of_one_host_both_stand() -> None:
    """A host that one Ingress serves with TLS and another without has a child and a pool in the shared group."""
    made = world(secret(), ingress(tls="foo-tls"), ingress("plain", created="2026-01-02T00:00:00Z"))
    found = ids(made.host(HOST))
    assert CHILD in found
    assert f"pool/admin/c1--{HOST}_-red-plain" in found


def test_a_namespace_may_have_a_tenant_of_its_own() -> None:
    """Objects and shard are made in the namespace's tenant."""
    annotated = {
        "kind": "Namespace",
        "metadata": {"name": "red", "annotations": {"ako.vmware.com/tenant-name": "blue"}},
    }
    desired = world(ingress(), annotated).host(HOST)
    assert ids(desired) == [PLAIN_POOL.replace("/admin/", "/blue/")]
    assert desired.shards == (SHARD.replace("admin", "blue"),)
    assert desired.objects[0].body["tenant_ref"] == "/api/tenant/?name=blue"


def test_a_feature_not_served_freezes_the_host() -> None:
    """Nothing of the host is written or removed, and the Ingress is told which feature it is."""
    made = world(INFRA_CLASS, ingress(ingressClassName="gold"))
    desired = made.host(HOST)
    assert desired.frozen
    assert desired.objects == ()
    body = made.of("Ingress")["red/ing1"]
    problems = ingress_problems(body, {}, made.of("IngressClass"), context_for(made.settings, made.facts))
    assert [problem.reason for problem in problems] == ["FeatureNotServed"]


def test_a_malformed_rule_leaves_the_rest_served() -> None:
    """A path that can't be read becomes a problem; the other paths have their pools."""
    desired = world(ingress(paths=[{"path": "nope"}, "/ok"])).host(HOST)
    assert ids(desired) == [f"pool/admin/c1--{HOST}_ok-red-ing1"]
    assert reasons(desired) == ["MalformedRule"]


def test_a_rule_without_http_leaves_the_other_rules_served() -> None:
    """AKO drops such an Ingress as a whole; here only that rule is left out."""
    obj = ingress()
    obj["spec"]["rules"].append({"host": "bar.example.com"})
    made = world(obj)
    assert ids(made.host(HOST)) == [PLAIN_POOL]
    assert made.host("bar.example.com").objects == ()
    assert reasons(made.host("bar.example.com")) == ["MalformedRule"]


def test_what_is_wrong_with_the_whole_ingress_is_told_once() -> None:
    """Malformed hosts and default backends, and rules without host where the cloud has no domain, are no host's."""
    obj = ingress(defaultBackend={"service": {"name": "web"}})
    obj["spec"]["rules"] += [{"http": {"paths": []}}, {"host": "not a host"}]
    made = world(obj)
    made.facts = replace(made.facts, dns_domains=())
    body = made.of("Ingress")["red/ing1"]
    problems = ingress_problems(body, {}, made.of("IngressClass"), context_for(made.settings, made.facts))
    assert [problem.reason for problem in problems] == ["MalformedIngress", "MalformedIngress", "RuleWithoutHost"]
    assert reasons(made.host(HOST)) == []


def test_moving_to_tls_keeps_the_plain_pool_until_the_child_stands() -> None:
    """At every step of the move requests are served, and each key says what it waits for."""
    made = world(secret(), ingress())
    made.standing = {PLAIN_POOL, PARENT, "vsvip/admin/c1--Shared-L7-4"}
    made.apply(ingress(tls="foo-tls"))

    desired = made.host(HOST)
    assert PLAIN_POOL in ids(desired)
    assert CHILD in ids(desired)
    assert desired.waits == (CHILD,)
    shard = made.shard(SHARD)
    assert [m["priority_label"] for m in shard.objects[1].body["members"]] == [f"{HOST}/"]
    assert shard.waits == (CHILD,)
    assert "httppolicyset" not in [each.type for each in shard.objects]

    made.standing.add(CHILD)
    assert PLAIN_POOL not in ids(made.host(HOST))
    assert made.host(HOST).waits == ()
    shard = made.shard(SHARD)
    assert "members" not in shard.objects[1].body
    assert shard.waits == ()
    assert shard.objects[2].type == "httppolicyset"


def test_a_host_that_never_was_plain_gets_no_plain_pool_on_its_way_to_tls() -> None:
    """Only a pool that stands is kept; none is made."""
    desired = world(secret(), ingress(tls="foo-tls")).host(HOST)
    assert PLAIN_POOL not in ids(desired)
    assert desired.waits == ()


@pytest.mark.parametrize(
    ("labels", "changes", "served"),
    [
        ({}, {}, True),
        ({}, {"blocked_namespaces": frozenset({"red"})}, False),
        ({}, {"blocked_namespaces": frozenset({"re"})}, True),
        ({}, {"namespace_label": ("ako", "yes")}, False),
        ({"ako": "no"}, {"namespace_label": ("ako", "yes")}, False),
        ({"ako": "yes"}, {"namespace_label": ("ako", "yes")}, True),
        ({"ako": "yes"}, {"namespace_label": ("ako", "yes"), "blocked_namespaces": frozenset({"red"})}, False),
    ],
)
def test_namespaces_are_selected(labels: dict[str, str], changes: dict[str, Any], served: bool) -> None:
    """A namespace is served unless it is blocked or lacks the label that namespaceSelector asks for."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "red", "labels": labels}}
    assert bool(world(namespace, ingress(), **changes).host(HOST).objects) is served
