"""Which form a host takes: names, parents and where their hosts are found, for every choice of settings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from shared.projection import BUCKETS
from shared.settings.model import ShardSize
from tests.workers.model.world import settings
from workers.model import names
from workers.model.layout import Layout, layout_of

HOST = "foo.avi.com"
SNI = Layout("c1--")
EVH = Layout("c1--", evh=True)
CHOICES: list[dict[str, object]] = [
    {},
    {"shard_size": ShardSize.SMALL},
    {"evh": True},
    {"evh": True, "shard_size": ShardSize.SMALL},
    {"evh": True, "vip_per_namespace": True},
    {"shard_size": ShardSize.DEDICATED},
    {"evh": True, "shard_size": ShardSize.DEDICATED},
    {"no_pool_group": True},
    {"no_pool_group": True, "shard_size": ShardSize.DEDICATED},
    {"passthrough_size": ShardSize.LARGE},
    {"passthrough_size": ShardSize.DEDICATED},
]
"""Settings of every form, for properties that hold in all of them."""

SHARED = [
    Layout("c1--", evh, size, per_namespace)
    for evh, per_namespace in ((False, False), (True, False), (True, True))
    for size in (ShardSize.LARGE, ShardSize.MEDIUM, ShardSize.SMALL)
]


def hashed(name: str) -> str:
    return names.encoded("c1--", name)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (
            SNI,
            {
                "service": f"c1--{HOST}",
                "certificate": f"c1--{HOST}",
                "alternate": f"c1--{HOST}-alt",
                "policies": f"c1--red-{HOST}",
                "group": f"c1--red-{HOST}_a_b-ing",
                "pool": f"c1--red-{HOST}_a_b-ing",
            },
        ),
        (
            EVH,
            {
                "service": "c1--b479118ed2310163084d142c72e7f4ee8302cb3a",
                "certificate": "c1--b479118ed2310163084d142c72e7f4ee8302cb3a",
                "alternate": hashed(f"{HOST}-alt"),
                "policies": hashed(f"red-{HOST}"),
                "group": hashed(f"red-{HOST}_a_b-ing"),
                "pool": hashed(f"red-{HOST}_a_b-ing-web"),
            },
        ),
    ],
)
def test_a_hosts_objects_are_named_as_ako_names_them(layout: Layout, expected: dict[str, str]) -> None:
    """Plainly with SNI, by the hash of the plain name with EVH."""
    assert expected == {
        "service": layout.virtual_service(HOST),
        "certificate": layout.certificates(HOST)["tls.crt"],
        "alternate": layout.certificates(HOST)["alt.crt"],
        "policies": layout.policy_set("red", HOST),
        "group": layout.pool_group("red", HOST, "/a/b", "ing"),
        "pool": layout.pool("red", HOST, "/a/b", "ing", "web"),
    }


@pytest.mark.parametrize(
    ("changes", "parent", "whole"),
    [
        ({}, "c1--Shared-L7-4", False),
        ({"shard_size": ShardSize.SMALL}, "c1--Shared-L7-0", False),
        ({"evh": True}, "c1--Shared-L7-EVH-4", True),
        ({"evh": True, "shard_size": ShardSize.SMALL}, "c1--Shared-L7-EVH-0", True),
        ({"evh": True, "vip_per_namespace": True}, "c1--Shared-L7-EVH-NS-red", True),
        ({"evh": True, "vip_per_namespace": True, "shard_size": ShardSize.DEDICATED}, "c1--Shared-L7-EVH-NS-red", True),
        ({"vip_per_namespace": True}, "c1--Shared-L7-4", False),
        ({"shard_size": ShardSize.DEDICATED}, "", True),
        ({"evh": True, "shard_size": ShardSize.DEDICATED}, "", True),
    ],
)
def test_the_settings_choose_the_form(changes: dict[str, object], parent: str, whole: bool) -> None:
    """vipPerNamespace counts with EVH only, and there before the shard size; DEDICATED has no parents."""
    layout = layout_of(settings(**changes))
    assert layout.parent(HOST, "red") == parent
    assert layout.whole is whole
    assert layout.dedicated is (parent == "")


@pytest.mark.parametrize("layout", SHARED)
@examples(deadline=None)
@given(host=st.from_regex(r"[a-z]{1,9}\.example\.com", fullmatch=True))
def test_a_parent_finds_its_hosts_in_the_mirror(layout: Layout, host: str) -> None:
    """The indexes behind a host's parent hold that host, and no other layout claims the parent."""
    parent = layout.parent(host, "red")
    bucket = names.shard_number(host, ShardSize.LARGE)
    assert layout.gives(parent)
    assert {f"Bucket/{bucket}", "Namespace/red"} & set(layout.refs(parent))
    for other in SHARED:
        if (other.evh, other.per_namespace) != (layout.evh, layout.per_namespace):
            assert not other.gives(parent)
            assert other.refs(parent) == []


@pytest.mark.parametrize("size", ShardSize)
@given(host=st.from_regex(r"[a-z]{1,9}\.example\.com", fullmatch=True))
def test_a_passthrough_parent_finds_its_hosts_in_the_mirror(size: ShardSize, host: str) -> None:
    """In every form the same: by the number, with DEDICATED by the whole hash, for which no vsvip is kept."""
    for chosen in ({}, {"evh": True}, {"shard_size": ShardSize.DEDICATED}, {"evh": True, "vip_per_namespace": True}):
        layout = layout_of(settings(passthrough_size=size, **chosen))
        number = names.fnv1a32(host) & ((size.value or 2**32) - 1)
        parent = layout.passthrough_parent(host)
        assert parent == f"c1--Shared-Passthrough-{number}"
        assert layout.passes(parent)
        assert layout.gives(parent)
        assert layout.may_hold(parent, host)
        assert layout.keeps(parent) is (size is not ShardSize.DEDICATED)
        assert f"Bucket/{names.shard_number(host, ShardSize.LARGE)}" in layout.refs(parent)
        assert not layout.passes(f"{parent}-insecure")


@pytest.mark.parametrize("layout", [each for each in SHARED if not each.per_namespace])
def test_the_shards_share_out_every_bucket(layout: Layout) -> None:
    """Every bucket belongs to exactly one shard (rules without host to each), and there is no shard beyond the size."""
    parents = [names.Parent.of_shard(layout.evh, number).name("c1--") for number in range(BUCKETS)]
    refs = [ref for parent in parents for ref in layout.refs(parent) if ref != "Hostless"]
    assert sorted(refs) == [f"Bucket/{number}" for number in range(BUCKETS)]
    assert [layout.gives(parent) for parent in parents] == [n < layout.size.value for n in range(BUCKETS)]


def test_a_further_instance_bears_its_namespace_where_ako_puts_it() -> None:
    """In created_by and in the names of shared parents, and in no other name; the primary one leaves them alone."""
    first, further = settings(), settings(primary=False, pod_namespace="second")
    assert (first.created_by, further.created_by) == ("ako-c1", "ako-c1-second")
    one, two = layout_of(first), layout_of(further)
    assert one.parent("foo.example.com", "red").startswith("c1--Shared-L7-")
    assert two.parent("foo.example.com", "red").startswith("c1--second-Shared-L7-")
    assert two.passthrough_parent("foo.example.com").startswith("c1--second-Shared-Passthrough-")
    assert two.virtual_service("foo.example.com") == one.virtual_service("foo.example.com") == "c1--foo.example.com"
    assert not one.gives(two.parent("foo.example.com", "red"))
    assert not two.gives(one.parent("foo.example.com", "red"))
