"""Our entries in shared objects: routes of a VRF and the label of an SE group."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.model.types import Problem, SharedPart
from workers.parts import is_ours, merge_shared


def route(prefix: str, hop: str, id_: str, cluster: str | None = "c1") -> dict[str, Any]:
    addr, _, mask = prefix.partition("/")
    family = "V6" if ":" in addr else "V4"
    made = {
        "route_id": id_,
        "prefix": {"ip_addr": {"addr": addr, "type": family}, "mask": int(mask)},
        "next_hop": {"addr": hop, "type": family},
    }
    return made if cluster is None else {**made, "labels": [{"key": "clustername", "value": cluster}]}


def routes(*wanted: dict[str, Any]) -> SharedPart:
    return SharedPart("vrfcontext", "admin", "global", "static_routes", wanted)


def vrf(*present: dict[str, Any]) -> dict[str, Any]:
    return {"name": "global", "uuid": "u", "_last_modified": "5", "system_default": True, "static_routes": [*present]}


def labels(cluster: str = "c1") -> SharedPart:
    entry = {"key": "clustername", "value": cluster}
    return SharedPart("serviceenginegroup", "admin", "Default-Group", "labels", (entry,))


def test_routes_that_are_there_cost_no_write() -> None:
    """Expects None for routes of AKO's with the wanted prefix and next hop, in any order and spelling."""
    present = vrf(
        route("2001:DB8:244:2:0:0:0:40/122", "2001:DB8:50:0:0:0:0:12", "c1-uuid-1"),
        route("10.244.1.0/24", "10.50.0.11", "c1-uuid-0"),
    )
    part = routes(
        route("10.244.1.0/24", "10.50.0.11", "c1-x"), route("2001:db8:244:2::40/122", "2001:db8:50::12", "c1-y")
    )
    assert merge_shared(present, part, "c1") is None
    assert merge_shared({"name": "global"}, routes(), "c1") is None


def test_foreign_routes_stay_whatever_they_bear() -> None:
    """Expects unlabelled routes, routes of clusters with like names and like ids, in place and in order."""
    foreign = [
        route("10.1.0.0/16", "10.0.0.1", "c1-looks-like-ours", None),
        route("10.2.0.0/16", "10.0.0.1", "c1-2", "c1-x"),
        route("10.3.0.0/16", "10.0.0.1", "c1-3", "xc1"),
        {**route("10.4.0.0/16", "10.0.0.1", "4", None), "labels": [{"key": "team", "value": "c1"}]},
    ]
    stale = route("10.9.0.0/16", "10.0.0.9", "c1-9")
    merged = merge_shared(vrf(foreign[0], stale, *foreign[1:]), routes(), "c1")
    assert isinstance(merged, dict)
    assert merged["static_routes"] == foreign
    assert (merged["uuid"], merged["_last_modified"], merged["system_default"]) == ("u", "5", True)


def test_new_routes_come_last_and_sorted_and_stale_ones_go() -> None:
    """Expects kept routes first, new ones after them by prefix, a moved next hop as one gone and one new."""
    kept, moved = route("10.244.1.0/24", "10.50.0.11", "ako-0"), route("10.244.2.0/24", "10.50.0.12", "ako-1")
    wanted = [
        route("2001:db8::/64", "2001:db8:50::1", "n3"),
        route("10.244.2.0/24", "10.50.0.13", "n2"),
        route("10.244.1.0/24", "10.50.0.11", "n1"),
    ]
    merged = merge_shared(vrf(moved, kept), routes(*wanted), "c1")
    assert isinstance(merged, dict)
    assert merged["static_routes"] == [kept, wanted[1], wanted[0]]


def test_a_second_route_of_ours_to_the_same_place_goes() -> None:
    """Expects the first of two equal routes of ours to stay, and a foreign equal one too."""
    first, second = route("10.1.0.0/24", "10.0.0.1", "a"), route("10.1.0.0/24", "10.0.0.1", "b")
    foreign = route("10.1.0.0/24", "10.0.0.1", "c", "other")
    merged = merge_shared(vrf(first, foreign, second), routes(second, first), "c1")
    assert isinstance(merged, dict)
    assert merged["static_routes"] == [first, foreign]


def test_a_route_id_that_is_taken_is_not_used_twice() -> None:
    """Expects a new route to get another id when somebody else's route has its own, and to keep it afterwards."""
    foreign = route("10.7.0.0/16", "10.0.0.1", "n1", None)
    part = routes(route("10.8.0.0/16", "10.0.0.1", "n1"), route("10.9.0.0/16", "10.0.0.1", "n1"))
    merged = merge_shared(vrf(foreign), part, "c1")
    assert isinstance(merged, dict)
    assert [each["route_id"] for each in merged["static_routes"]] == ["n1", "n1-2", "n1-3"]
    assert merge_shared(merged, part, "c1") is None


def test_a_label_tells_ours_whatever_stands_beside_it() -> None:
    """Expects our label to count at any place among the labels."""
    both = [{"key": "team", "value": "net"}, {"key": "clustername", "value": "c1"}]
    assert is_ours({"labels": both}, "c1")
    assert not is_ours({"labels": both}, "c2")
    assert not is_ours({"labels": None}, "c1")


@pytest.mark.parametrize("present", [{}, {"labels": []}])
def test_an_unlabelled_group_gets_our_label(present: dict[str, Any]) -> None:
    """Expects the label in the body, beside everything that was read."""
    merged = merge_shared({"name": "Default-Group", "max_se": 10, **present}, labels(), "c1")
    assert merged == {"name": "Default-Group", "max_se": 10, "labels": [{"key": "clustername", "value": "c1"}]}


def test_our_label_is_not_written_twice() -> None:
    """Expects None for a group that bears our label, alone or beside others."""
    ours = {"key": "clustername", "value": "c1"}
    assert merge_shared({"labels": [ours]}, labels(), "c1") is None
    assert merge_shared({"labels": [{"key": "team", "value": "net"}, ours]}, labels(), "c1") is None


@pytest.mark.parametrize("present", [{"key": "clustername", "value": "c1-x"}, {"key": "team", "value": "net"}])
def test_a_group_labelled_otherwise_is_refused(present: dict[str, Any]) -> None:
    """Expects a problem that names group and labels, and no body to write."""
    refused = merge_shared({"labels": [present]}, labels(), "c1")
    assert isinstance(refused, Problem)
    assert refused.reason == "LabelledOtherwise"
    assert f"{present['key']}={present['value']}" in refused.message
    assert "Default-Group" in refused.message


def test_a_field_without_entries_of_ours_is_a_defect() -> None:
    """Expects ValueError for any other field of a shared object."""
    with pytest.raises(ValueError, match="max_se"):
        merge_shared({}, SharedPart("serviceenginegroup", "admin", "g", "max_se", ()), "c1")


PREFIXES = ["10.1.0.0/24", "10.2.0.0/24", "2001:db8:1::/64", "2001:db8:2::/64"]
HOPS = {"10": ["10.0.0.1", "10.0.0.2"], "20": ["2001:db8::1", "2001:db8::2"]}


@st.composite
def some_routes(draw: st.DrawFn, clusters: tuple[str | None, ...], ids: str) -> list[dict[str, Any]]:
    found = []
    for number in range(draw(st.integers(0, 6))):
        prefix = draw(st.sampled_from(PREFIXES))
        hop = draw(st.sampled_from(HOPS[prefix[:2]]))
        found.append(route(prefix, hop, f"{ids}{number}", draw(st.sampled_from(clusters))))
    return found


@given(some_routes(("c1", "c1-x", None), "a"), some_routes(("c1",), "a"))
@settings(max_examples=200, deadline=None)
def test_merging_holds_its_promises(present: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    """Expects foreign routes kept in order, ours exactly the wanted ones, unique ids, and nothing to do afterwards."""

    def way(each: dict[str, Any]) -> str:
        return json.dumps([each["prefix"], each["next_hop"]])

    before = json.dumps(present)
    merged = merge_shared(vrf(*present), routes(*wanted), "c1")
    assert json.dumps(present) == before
    after = present if merged is None else merged["static_routes"]
    assert [each for each in after if not is_ours(each, "c1")] == [each for each in present if not is_ours(each, "c1")]
    ours = [way(each) for each in after if is_ours(each, "c1")]
    assert sorted(ours) == sorted({way(each) for each in wanted})
    ids = [each["route_id"] for each in after]
    assert len(ids) == len(set(ids))
    assert merge_shared(vrf(*after), routes(*reversed(wanted)), "c1") is None


def test_our_label_goes_where_none_is_wanted() -> None:
    """Expects an empty part to take our label away and to leave those of others."""
    other, ours = {"key": "team", "value": "c1"}, {"key": "clustername", "value": "c1"}
    part = SharedPart("serviceenginegroup", "admin", "Default-Group", "labels", ())
    merged = merge_shared({"labels": [other, ours]}, part, "c1")
    assert isinstance(merged, dict)
    assert merged["labels"] == [other]
    assert merge_shared({"labels": [other]}, part, "c1") is None
