"""Rules that AKO knows half or not: without host, default backends, backends that are no Service."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.settings.model import ShardSize
from tests.workers.model.test_model_hosts import ids, reasons, world
from tests.workers.model.test_model_layout import CHOICES
from tests.workers.model.world import World, ingress, secret
from workers.model.accept import ingress_problems
from workers.model.context import context_for
from workers.model.status import ingress_status
from workers.model.types import Desired, HostVips

HOST = "foo.example.com"
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
    assert made.hosts() == [HOST]
    assert problems(made) == ["RuleWithoutHost"]


@pytest.mark.parametrize("changes", CHOICES)
def test_a_default_backend_gets_what_no_path_of_its_hosts_matches(changes: dict[str, Any]) -> None:
    """It is the rule without a match behind all others, on every host of its Ingress; the owner is told the limit."""
    obj = ingress(paths=["/a"], tls="foo-tls", defaultBackend=REST)
    obj["spec"]["rules"].append({"host": "bar.example.com"})
    made = world(secret(), obj, **changes)
    policies = [each for each in made.host(HOST).objects if each.type == "httppolicyset"]
    rules = policies[-1].body["http_request_policy"]["rules"]
    assert [rule["match"].get("path", {}).get("match_str") for rule in rules] == [["/a"], None]
    pools = [each for each in made.host("bar.example.com").objects if each.type == "pool"]
    assert len(pools) == 1
    assert problems(made) == ["DefaultBackendOfHosts"]


@pytest.mark.parametrize("path", ["/", ""])
def test_a_default_backend_behind_a_path_for_all_is_not_built(path: str) -> None:
    """No request would ever reach it."""
    made = world(ingress(paths=[path], defaultBackend=REST))
    assert len(ids(made.host(HOST))) == 1


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
    desired = world(old, new).host(HOST)
    assert [each.name for each in desired.objects if each.name.endswith("foo.example.com-red-old")]
    assert reasons(desired) == ["DuplicateHostPath", "ServiceMissing"]
    assert desired.problems[0].message.startswith("The default backend of foo.example.com is served")


def test_passthrough_sends_nothing_to_a_default_backend() -> None:
    """Nobody sees the path; the Services of the rules share all requests, and the owner is told."""
    made = world(ingress(defaultBackend=REST, paths=["/a"], annotations={"passthrough.ako.vmware.com/enabled": "true"}))
    pools = [each.name for each in made.host(HOST).objects if each.type == "pool"]
    assert pools == ["c1--foo.example.com-web"]
    assert problems(made) == ["DefaultBackendOfHosts"]


@pytest.mark.parametrize("changes", [{"evh": True}, {"evh": True, "shard_size": ShardSize.DEDICATED}])
def test_strict_gives_a_host_to_the_namespace_of_its_oldest_ingress(changes: dict[str, Any]) -> None:
    """Another namespace gets nothing of the host, whatever its tenant, and is told; the same namespace shares it."""
    blue = {"kind": "Namespace", "metadata": {"name": "blue", "annotations": {"ako.vmware.com/tenant-name": "b"}}}
    mine = ingress("mine", paths=["/a"])
    also = ingress("also", paths=["/b"], created="2026-02-01T00:00:00Z")
    other = ingress("other", namespace="blue", paths=["/c"], created="2026-01-15T00:00:00Z")
    made = world(blue, mine, also, other, strict_hosts=True, **changes)
    desired = made.host(HOST)
    assert {each.tenant for each in desired.objects} == {"admin"}
    assert len([each for each in desired.objects if each.type == "pool"]) == 2
    assert desired.refused == ("blue/other",)
    assert reasons(desired) == ["HostClaimed"]
    assert "namespace red" in desired.problems[0].message
    made = world(blue, also, other, strict_hosts=True, **changes)
    assert made.host(HOST).refused == ("red/also",)


def test_an_ingress_of_another_passthrough_is_refused() -> None:
    """What is not served for a host must not show its address."""
    old = ingress("old")
    new = ingress("new", created="2026-02-01T00:00:00Z", annotations={"passthrough.ako.vmware.com/enabled": "true"})
    assert world(old, new).host(HOST).refused == ("red/new",)


Match = tuple[str, str] | None


def matches(desired: Desired) -> list[Match]:
    (policy,) = [each for each in desired.objects if each.type == "httppolicyset" and each.name.endswith("red-" + HOST)]
    found = [rule["match"].get("path") for rule in policy.body["http_request_policy"]["rules"]]
    return [(each["match_criteria"], *each["match_str"]) if each else None for each in found]


@pytest.mark.parametrize(
    ("paths", "ako", "kubernetes"),
    [
        (
            [("/api", "Prefix")],
            [("BEGINS_WITH", "/api")],
            [("EQUALS", "/api"), ("BEGINS_WITH", "/api/")],
        ),
        (
            [("/api/", "Prefix")],
            [("BEGINS_WITH", "/api/")],
            [("EQUALS", "/api"), ("BEGINS_WITH", "/api/")],
        ),
        ([("/", "Prefix")], [("BEGINS_WITH", "/")], [("BEGINS_WITH", "/")]),
        ([("", "Prefix")], [None], [None]),
        ([("/api", "ImplementationSpecific")], [("BEGINS_WITH", "/api")], [("BEGINS_WITH", "/api")]),
        ([("/api", "Exact")], [("EQUALS", "/api")], [("EQUALS", "/api")]),
        (
            [("/", "Prefix"), ("/api/x", "Prefix"), ("/api", "Prefix"), ("/api/", "Exact")],
            [("BEGINS_WITH", "/api/x"), ("EQUALS", "/api/"), ("BEGINS_WITH", "/api"), ("BEGINS_WITH", "/")],
            [
                ("EQUALS", "/api/x"),
                ("BEGINS_WITH", "/api/x/"),
                ("EQUALS", "/api/"),
                ("EQUALS", "/api"),
                ("BEGINS_WITH", "/api/"),
                ("BEGINS_WITH", "/"),
            ],
        ),
    ],
)
def test_prefix_means_what_the_settings_say(
    paths: list[tuple[str, str]], ako: list[Match], kubernetes: list[Match]
) -> None:
    """AKO compares the beginning of the text; Kubernetes whole elements, where a slash at the end means nothing."""
    obj = ingress(tls="foo-tls", paths=[{"path": path, "pathType": kind} for path, kind in paths])
    assert matches(world(secret(), obj).host(HOST)) == ako
    assert matches(world(secret(), obj, kubernetes_paths=True).host(HOST)) == kubernetes


def kubernetes_says(paths: list[str], request: str) -> str | None:
    """The longest Prefix that matches the request element by element."""
    split = request.strip("/").split("/")
    fitting = [path for path in paths if path == "/" or split[: path.count("/")] == path.strip("/").split("/")]
    return max(fitting, key=len, default=None)


@given(
    paths=st.lists(st.from_regex(r"(/[ab]{1,2}){1,3}", fullmatch=True), min_size=1, max_size=4, unique=True),
    request=st.from_regex(r"(/[ab]{1,3}){1,4}/?", fullmatch=True),
)
def test_the_first_matching_rule_is_the_longest_prefix_by_elements(paths: list[str], request: str) -> None:
    """For any paths and any request the rules, read from the top as the controller does, find Kubernetes' answer."""
    objects = [ingress(f"i{number}", tls="foo-tls", paths=[path]) for number, path in enumerate(paths)]
    desired = world(secret(), *objects, kubernetes_paths=True).host(HOST)
    (policy,) = [each for each in desired.objects if each.type == "httppolicyset"]
    found = None
    for rule in policy.body["http_request_policy"]["rules"]:
        match = rule["match"]["path"]
        text = match["match_str"][0]
        if request == text if match["match_criteria"] == "EQUALS" else request.startswith(text):
            found = rule["switching_action"]["pool_group_ref"]
            break
    wanted = kubernetes_says(paths, request)
    name = wanted and f"c1--red-{HOST}{wanted.replace('/', '_')}-i{paths.index(wanted)}"
    assert found == (name and f"/api/poolgroup/?name={name}")


def test_a_plain_shared_host_is_told_that_it_is_matched_by_text() -> None:
    """Only who asked for Kubernetes' meaning and does not get it is told: not for /, nor for ImplementationSpecific."""
    specific = {"path": "/c", "pathType": "ImplementationSpecific"}
    obj = ingress(paths=["/", "/a", {"path": "/b", "pathType": "Exact"}, specific])
    assert reasons(world(obj).host(HOST)) == []
    told = world(obj, kubernetes_paths=True).host(HOST)
    assert reasons(told) == ["PathMatchedByText"] * 2
    assert len(told.objects) == 4
    assert reasons(world(obj, kubernetes_paths=True, evh=True).host(HOST)) == []
