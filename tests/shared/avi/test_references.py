"""References in every spelling, and equality by object."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.avi.references import Reference, by_name, find_references, parse, same

POOL = "pool-2f0d9c5a-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/api/pool/?name=web", Reference("pool", None, "web")),
        ("/api/pool?name=web", Reference("pool", None, "web")),
        ("//api/pool/?name=web", Reference("pool", None, "web")),
        ("/api/tenant/?name=admin", Reference("tenant", None, "admin")),
        ("/api/network/?name=VM Network", Reference("network", None, "VM Network")),
        ("/api/network/?name=VM%20Network", Reference("network", None, "VM Network")),
        ("/api/pool?cloud_ref.name=C&name=a%2Fb", Reference("pool", None, "a/b")),
        ("/api/pool?name=a/b", Reference("pool", None, "a/b")),
        ("/api/pool?name=a+b", Reference("pool", None, "a+b")),
        ("https://ctrl:9443/api/pool?name=web&include_name", Reference("pool", None, "web")),
        (f"/api/pool/{POOL}", Reference("pool", POOL, None)),
        (f"/api/pool/{POOL}/", Reference("pool", POOL, None)),
        (f"https://ctrl/api/pool/{POOL}", Reference("pool", POOL, None)),
        (f"https://[2001:db8::1]:443//api/pool/{POOL}#a/b c#d", Reference("pool", POOL, "a/b c#d")),
        (f"https://ctrl/api/pool/{POOL}#", Reference("pool", POOL, None)),
        ("https://ctrl/api/tenant/admin#admin", Reference("tenant", "admin", "admin")),
        ("", None),
        ("web", None),
        (POOL, None),
        ("/api/pool", None),
        ("/api/pool/", None),
        ("/api/pool/?name=", None),
        ("/api/pool?created_by=ako-x", None),
        (f"/api/pool/{POOL}/runtime", None),
        ("/apiary/pool/x", None),
    ],
)
def test_spellings(text: str, expected: Reference | None) -> None:
    """Each spelling yields type, uuid and name, and what is no reference yields None."""
    assert parse(text) == expected


names = st.text(min_size=1, max_size=60)
types = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True)
uuids = st.from_regex(r"[a-z]{1,10}-[0-9a-f-]{1,36}", fullmatch=True)
references = st.builds(
    Reference,
    st.sampled_from(["pool", "vsvip"]),
    st.sampled_from([None, "u-1", "u-2"]),
    st.sampled_from([None, "a", "b"]),
)


@given(types, names, st.booleans())
def test_a_name_survives_the_round_trip(kind: str, name: str, slash: bool) -> None:
    """Any name at all, written by `by_name`, is read back unchanged."""
    assert parse(by_name(kind, name, slash=slash)) == Reference(kind, None, name)


@given(types, uuids, names)
def test_a_uuid_with_name_survives_the_round_trip(kind: str, uuid: str, name: str) -> None:
    """What the controller answers with include_name is read back unchanged."""
    assert parse(f"https://ctrl/api/{kind}/{uuid}#{name}") == Reference(kind, uuid, name)


@given(st.text())
def test_any_text_can_be_parsed(text: str) -> None:
    """No text makes the parser raise."""
    assert parse(text) is None or isinstance(parse(text), Reference)


@given(references, references)
def test_same_is_symmetric_and_follows_the_types(a: Reference, b: Reference) -> None:
    """`same` does not depend on the order of its arguments and never holds between two types."""
    assert same(a, b) == same(b, a)
    assert not (same(a, b) and a.type != b.type)


@given(references)
def test_same_is_reflexive_where_there_is_anything_to_compare(a: Reference) -> None:
    """A reference that says anything is the same as itself."""
    assert same(a, a) is (a.uuid is not None or a.name is not None)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("/api/pool/?name=web", "/api/pool?name=web", True),
        ("/api/pool/?name=web", f"https://ctrl/api/pool/{POOL}#web", True),
        (f"/api/pool/{POOL}", f"https://ctrl/api/pool/{POOL}#renamed", True),
        (f"/api/pool/{POOL}#web", "/api/pool/pool-2#web", False),
        (f"/api/pool/{POOL}", "/api/pool/?name=web", False),
        ("/api/pool/?name=web", "/api/poolgroup/?name=web", False),
    ],
)
def test_same_compares_objects(a: str, b: str, expected: bool) -> None:
    """Uuids decide if both have one, else names; without anything in common it is not the same."""
    left, right = parse(a), parse(b)
    assert left is not None
    assert right is not None
    assert same(left, right) is expected


def test_references_are_found_at_any_depth_and_once() -> None:
    """All `_ref` and `_refs` fields count, in order and once; self links and look-alike texts do not."""
    body: dict[str, Any] = {
        "url": f"https://ctrl/api/pool/{POOL}#web",
        "uuid": POOL,
        "tenant_ref": "/api/tenant/?name=admin",
        "cloud_ref": None,
        "health_monitor_refs": ["/api/healthmonitor/?name=System-TCP", 7],
        "rules": [
            {"switching_action": {"pool_group_ref": "/api/poolgroup/?name=g"}},
            [{"tenant_ref": "/api/tenant?name=admin"}],
        ],
        "match": {"path": {"match_str": ["/api/pool/?name=not-me"]}},
        "odd_ref": {"inner_ref": "/api/pool/?name=inner"},
    }
    assert find_references(body) == [
        Reference("tenant", None, "admin"),
        Reference("healthmonitor", None, "System-TCP"),
        Reference("poolgroup", None, "g"),
        Reference("pool", None, "inner"),
    ]
    assert find_references("text") == []
