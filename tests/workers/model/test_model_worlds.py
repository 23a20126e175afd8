"""Properties of the model over many worlds: order means nothing, lists agree with objects, no bad object stops it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.workers.model.service_worlds import GATES, SERVICES
from tests.workers.model.test_model_layout import CHOICES
from tests.workers.model.world import (
    AVI_CLASS,
    PASSTHROUGH,
    World,
    block,
    endpoint_slice,
    ingress,
    load_balancer,
    node,
    secret,
    service,
    settings,
)
from workers.model.types import object_id
from workers.owned import references

HOST = "foo.example.com"


def world(*manifests: dict[str, Any], **changes: Any) -> World:
    return World(settings(**changes)).apply(AVI_CLASS, service(), endpoint_slice(["10.244.1.1"]), *manifests)


TEXTS = st.sampled_from(["/", "/a", "/a/b", "/a_b", "/A", "", "nope", "/x" * 130])
INGRESSES = st.lists(
    st.builds(
        ingress,
        st.sampled_from(["one", "two", "three"]),
        host=st.sampled_from([HOST, "bar.example.com", "out.side"]),
        paths=st.lists(TEXTS, max_size=3),
        tls=st.sampled_from([None, "foo-tls", "missing", ""]),
        namespace=st.sampled_from(["red", "blue"]),
        created=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
        ingressClassName=st.sampled_from([None, "avi-lb", "nginx"]),
        annotations=st.sampled_from([None, PASSTHROUGH]),
    ),
    max_size=4,
)


@pytest.mark.parametrize("changes", CHOICES)
@examples(deadline=None)
@given(ingresses=INGRESSES, services=SERVICES, gates=GATES, shuffled=st.randoms(use_true_random=False))
def test_answers_do_not_depend_on_order_and_lists_agree_with_objects(
    changes: dict[str, Any], ingresses: list[Any], services: list[Any], gates: frozenset[str], shuffled: Any
) -> None:
    """Any order of the same objects gives the same answers; names are unique; a shard lists only what is built."""
    changes, manifests = {**changes, "gates": gates}, [*ingresses, *services]
    made = world(secret(), *manifests, **changes)
    objects, _, _ = made.everything()
    names = [each.id for each in objects]
    assert len(set(names)) == len(names)
    built = {each.name for each in objects if each.type == "pool"}
    for group in (each for each in objects if each.type == "poolgroup"):
        for member in group.body.get("members", []):
            assert member["pool_ref"].partition("name=")[2] in built
    for each in objects:
        assert {object_id(type_, each.tenant, name) for type_, name in references(each.type, each.body)} <= set(names)
    by_id = {f"{each['kind']}/{each['metadata']['namespace']}/{each['metadata']['name']}": each for each in manifests}
    again = list(by_id.values())
    shuffled.shuffle(again)
    other = world(secret(), *again, **changes).everything()
    assert sorted(names) == sorted(each.id for each in other[0])
    assert {each.id: each.body for each in objects} == {each.id: each.body for each in other[0]}


SLICE = endpoint_slice(["10.244.1.1"])
SLICE["endpoints"][0]["nodeName"] = "n1"
WORLD = [
    AVI_CLASS,
    {"kind": "Namespace", "metadata": {"name": "red", "annotations": {"ako.vmware.com/tenant-name": "a"}}},
    service(families=["IPv4", "IPv6"]),
    SLICE,
    endpoint_slice(["2001:db8::1"], family="IPv6"),
    secret(),
    ingress(tls="foo-tls", paths=["/", "/a"]),
    ingress("plain"),
    load_balancer(
        families=["IPv4", "IPv6"],
        ipFamilyPolicy="PreferDualStack",
        loadBalancerIP="10.10.0.5",
        loadBalancerSourceRanges=["10.0.0.0/8"],
        sessionAffinity="ClientIP",
        annotations={
            "ako.vmware.com/enable-shared-vip": "k",
            "external-dns.alpha.kubernetes.io/hostname": "a.example.com",
            "ako.vmware.com/load-balancer-ip": "2001:db8:10::5",
        },
    ),
    ingress("through", host="through.example.com", annotations=PASSTHROUGH),
    node("n1", "10.50.0.1", "2001:db8:50::1", cidrs=["10.244.1.0/24"], **{"ako.vmware.com/pod-cidrs": "10.7.0.0/24"}),
    block("b1", "n1", "10.244.1.0/26"),
]
ODD = st.sampled_from(
    [None, True, 0, -1, 3.5, "", " ", "a b", "/", "\ud800", "é", [], [None], {}, {"name": {}}, "x" * 300]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a manifest, but for the identity of the object, which an API server ensures."""
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = [(key, each) for key, each in value.items() if key not in ("kind", "apiVersion")]
    elif isinstance(value, list):
        inner = list(enumerate(value))
    found = [] if not path or path[-1] in ("metadata", "namespace") or path == ("metadata", "name") else [path]
    for key, each in inner:
        found += places(each, (*path, key))
    return found


PLACES = [(number, path) for number, manifest in enumerate(WORLD) for path in places(manifest)]


@pytest.mark.parametrize("form", [{"cni_plugin": "calico"}, *CHOICES])
@examples(deadline=None)
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), ODD), min_size=1, max_size=3))
def test_no_bad_object_stops_the_model(
    form: dict[str, Any], changes: list[tuple[tuple[int, tuple[Any, ...]], Any]]
) -> None:
    """Whatever stands in some field of some object, every key has an answer."""
    manifests = copy.deepcopy(WORLD)
    for (number, path), odd in changes:
        at: Any = manifests[number]
        try:
            for step in path[:-1]:
                at = at[step]
            at[path[-1]] = odd
        except (KeyError, IndexError, TypeError):  # an earlier change took this place away
            continue
    made = World(settings(**form)).apply(*manifests)
    made.everything()
