"""Rules that AKO knows half or not: without host, default backends, backends that are no Service."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.workers.model.test_model_hosts import ids, reasons, world
from tests.workers.model.test_model_layout import CHOICES
from tests.workers.model.world import World, ingress, secret
from workers.model.accept import ingress_problems
from workers.model.context import context_for
from workers.model.status import ingress_status
from workers.model.types import HostVips

GENERATED = "ing1.red.avi.internal"
REST = {"service": {"name": "rest", "port": {"number": 80}}}


def hostless(**spec: Any) -> dict[str, Any]:
    obj = ingress(**spec)
    for rule in obj["spec"]["rules"]:
        del rule["host"]
    return obj


def problems(made: World, name: str = "red/ing1") -> list[str]:
    body = made.of("Ingress")[name]
    context = context_for(made.settings, made.facts)
    return [each.reason for each in ingress_problems(body, {}, made.of("IngressClass"), context)]


def test_a_rule_without_host_is_served_under_the_name_of_its_ingress() -> None:
    """Ingress, namespace and the cloud's first domain make the host, as with AKO; its status shows it, too."""
    made = world(hostless())
    assert made.hosts() == [GENERATED]
    desired = made.host(GENERATED)
    assert ids(desired) == [f"pool/admin/c1--{GENERATED}_-red-ing1"]
    assert problems(made) == []
    vips = {GENERATED: HostVips("vs-1", "x", ("10.10.0.1",))}
    status = ingress_status(made.of("Ingress")["red/ing1"], vips, made.settings, made.facts)
    assert status["ingress"] == [{"ip": "10.10.0.1", "hostname": GENERATED}]


def test_a_rule_without_host_and_one_that_names_the_same_host_are_one_host() -> None:
    """The paths of both are served, and TLS by the very name counts for the rule without host."""
    other = ingress("other", host=GENERATED, paths=["/other"])
    obj = hostless()
    obj["spec"]["tls"] = [{"hosts": [GENERATED], "secretName": "foo-tls"}]
    made = world(secret(), obj, other)
    names = ids(made.host(GENERATED))
    assert f"virtualservice/admin/c1--{GENERATED}" in names
    assert f"pool/admin/c1--{GENERATED}_other-red-other" in names


def test_without_a_domain_a_rule_without_host_is_told() -> None:
    """There is no name to serve it under; the other rules are served."""
    obj = ingress()
    obj["spec"]["rules"].append({"http": obj["spec"]["rules"][0]["http"]})
    made = world(obj)
    made.facts = replace(made.facts, dns_domains=())
    assert made.hosts() == ["foo.example.com"]
    assert problems(made) == ["RuleWithoutHost"]


@pytest.mark.parametrize("changes", CHOICES)
def test_a_default_backend_gets_what_no_path_of_its_hosts_matches(changes: dict[str, Any]) -> None:
    """It is the rule without a match behind all others, on every host of its Ingress, and the owner is told the limit."""
    obj = ingress(paths=["/a"], tls="foo-tls", defaultBackend=REST)
    obj["spec"]["rules"].append({"host": "bar.example.com"})
    made = world(secret(), obj, **changes)
    policies = [each for each in made.host("foo.example.com").objects if each.type == "httppolicyset"]
    rules = policies[-1].body["http_request_policy"]["rules"]
    assert [rule["match"].get("path", {}).get("match_str") for rule in rules] == [["/a"], None]
    pools = [each for each in made.host("bar.example.com").objects if each.type == "pool"]
    assert len(pools) == 1
    assert problems(made) == ["DefaultBackendOfHosts"]


@pytest.mark.parametrize("path", ["/", ""])
def test_a_default_backend_behind_a_path_for_all_is_not_built(path: str) -> None:
    """No request would ever reach it."""
    made = world(ingress(paths=[path], defaultBackend=REST))
    assert len(ids(made.host("foo.example.com"))) == 1


def test_an_ingress_with_nothing_but_a_default_backend_is_served_under_its_own_name() -> None:
    """There is a host for it: the one that a rule without host has."""
    obj = ingress(defaultBackend=REST)
    del obj["spec"]["rules"]
    made = world(obj)
    assert made.hosts() == [GENERATED]
    assert [each.name for each in made.host(GENERATED).objects] == [f"c1--{GENERATED}-red-ing1"]


def test_two_default_backends_of_one_host_are_told_apart() -> None:
    """The older one is served, the other is told."""
    old = ingress("old", paths=["/a"], defaultBackend=REST)
    new = ingress("new", paths=["/b"], defaultBackend=REST, created="2026-02-01T00:00:00Z")
    desired = world(old, new).host("foo.example.com")
    assert [each.name for each in desired.objects if each.name.endswith("foo.example.com-red-old")]
    assert reasons(desired) == ["DuplicateHostPath", "ServiceMissing"]
    assert desired.problems[0].message.startswith("The default backend of foo.example.com is served")


def test_passthrough_sends_nothing_to_a_default_backend() -> None:
    """Nobody sees the path; the Services of the rules share all requests, and the owner is told."""
    made = world(ingress(defaultBackend=REST, paths=["/a"], annotations={"passthrough.ako.vmware.com/enabled": "true"}))
    pools = [each.name for each in made.host("foo.example.com").objects if each.type == "pool"]
    assert pools == ["c1--foo.example.com-web"]
    assert problems(made) == ["DefaultBackendOfHosts"]
