"""Names and references, formula by formula."""

from __future__ import annotations

import pytest

from shared.settings.model import AutoFqdn, ShardSize
from tests.workers.model.world import settings
from workers.model import names


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (names.Parent.of_shard(False, 4).name("c1--"), "c1--Shared-L7-4"),
        (names.Parent.of_shard(True, 4).name("c1--"), "c1--Shared-L7-EVH-4"),
        (names.Parent.of_namespace("red").name("c1--"), "c1--Shared-L7-EVH-NS-red"),
        (names.encoded("c1--", "foo.avi.com"), "c1--b479118ed2310163084d142c72e7f4ee8302cb3a"),
        (names.plain_pool("c1--", "foo.com", "/", "red", "ing"), "c1--foo.com_-red-ing"),
        (names.plain_pool("c1--", "foo.com", "/a/b", "red", "ing"), "c1--foo.com_a_b-red-ing"),
        (names.plain_pool("c1--", "foo.com", "", "red", "ing"), "c1--foo.com-red-ing"),
        (names.rule("c1--red-foo.com", 2), "c1--red-foo.com-2"),
        (names.priority_label("foo.com", "/API/v1"), "foo.com/api/v1"),
        (names.shard_key("admin", "c1--Shared-L7-4"), "shard:admin/c1--Shared-L7-4"),
        (names.host_key("foo.com"), "host:foo.com"),
        (names.tenant_ref("blue team"), "/api/tenant/?name=blue%20team"),
        (names.network_ref("net1", ""), "/api/network/?name=net1"),
        (names.network_ref("net1", "network-1"), "/api/network/network-1"),
    ],
)
def test_name(made: str, expected: str) -> None:
    """Each formula gives the name that AKO gives."""
    assert made == expected


@pytest.mark.parametrize(
    ("host", "large"), [("foo.com", 0), ("bar.com", 1), ("foo.avi.com", 4), ("foo.com.avi.internal", 3)]
)
def test_shard_number(host: str, large: int) -> None:
    """The shard is the hash's low bits; fewer shards are unions of the eight."""
    assert names.shard_number(host, ShardSize.LARGE) == large
    assert names.shard_number(host, ShardSize.MEDIUM) == large % 4
    assert names.shard_number(host, ShardSize.SMALL) == 0


def test_a_dedicated_host_has_no_shard() -> None:
    """DEDICATED has no shard number, and says so instead of giving the whole hash."""
    with pytest.raises(ValueError, match="dedicated"):
        names.shard_number("foo.com", ShardSize.DEDICATED)


@pytest.mark.parametrize(
    ("changes", "domains", "expected"),
    [
        ({}, ("avi.internal", "example.com"), "c1--Shared-L7-4.admin.avi.internal"),
        ({"default_domain": "example.com"}, ("avi.internal", "example.com"), "c1--Shared-L7-4.admin.example.com"),
        ({"default_domain": "other.com"}, ("avi.internal",), "c1--Shared-L7-4.admin.avi.internal"),
        ({"auto_fqdn": AutoFqdn.FLAT}, ("avi.internal",), "c1--Shared-L7-4-admin.avi.internal"),
        ({"auto_fqdn": AutoFqdn.DISABLED}, ("avi.internal",), ""),
        ({}, (), ""),
    ],
)
def test_own_fqdn_of_a_parent(changes: dict[str, object], domains: tuple[str, ...], expected: str) -> None:
    """The FQDN follows autoFQDN, the default domain and the cloud's domains."""
    assert names.shared_fqdn("c1--Shared-L7-4", "admin", settings(**changes), domains) == expected


def test_own_fqdn_has_a_tenant_that_is_a_dns_label() -> None:
    """Characters of a tenant's name that DNS does not allow are replaced."""
    assert names.shared_fqdn("p", "blue_team x", settings(), ("a.b",)) == "p.blue-team-x.a.b"


@pytest.mark.parametrize(
    ("name", "parent"),
    [
        ("c1--Shared-L7-0", names.Parent(False, "0")),
        ("c1--Shared-L7-7", names.Parent(False, "7")),
        ("c1--Shared-L7-EVH-7", names.Parent(True, "7")),
        ("c1--Shared-L7-EVH-NS-red", names.Parent(True, "NS-red")),
        ("c1--Shared-L7-EVH-NS-7", names.Parent(True, "NS-7")),
        ("c1--Shared-L7-07", None),
        ("c1--Shared-L7-gold-7", None),
        ("c1--Shared-L7-EVH-gold-7", None),
        ("c1--Shared-L7-NS-red", None),
        ("c1--Shared-L7-EVH-NS-", None),
        ("c1--Shared-L7-EVH-NS-Red", None),
        ("c1--Shared-L7-", None),
        ("c1--Shared-L7-EVH-", None),
        ("c1-x--Shared-L7-0", None),
        ("Shared-L7-0", None),
    ],
)
def test_names_of_shared_parents_are_told_from_others(name: str, parent: names.Parent | None) -> None:
    """Only our own formulas count: not another cluster's, not an infra setting's; and they lead back to the name."""
    assert names.Parent.parse(name, "c1--") == parent
    assert parent is None or parent.name("c1--") == name


def test_names_end_at_255_characters() -> None:
    """The controller takes 255 characters and not one more."""
    assert names.fits("x" * 255)
    assert not names.fits("ok", "x" * 256)


def test_no_parent_s_name_is_too_long() -> None:
    """The longest cluster name and namespace that are accepted make names that the controller accepts."""
    prefix = "c" * 100 + "--" + "n" * 63 + "-"
    parents = [
        names.Parent.of_namespace("s" * 63).name(prefix),
        names.Parent.of_shard(True, 7).name(prefix),
        names.insecure(names.Parent.of_passthrough(2**32 - 1).name(prefix)),
    ]
    assert names.fits(*(names.rule(parent, 0) for parent in parents))
