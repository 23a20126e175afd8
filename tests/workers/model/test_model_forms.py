"""What the forms without a golden case put on the wire: dedicated virtual services, and rules that lead to pools."""

from __future__ import annotations

from typing import Any

import pytest

from shared.settings.model import ShardSize
from tests.workers.model.world import AVI_CLASS, World, endpoint_slice, ingress, secret, service, settings
from workers.model import names
from workers.model.types import AviObject

HOST = "foo.example.com"
DEDICATED = f"c1--{HOST}-L7-dedicated"


def built(*manifests: dict[str, Any], **changes: Any) -> dict[str, AviObject]:
    """Everything that stands in the end, by `type/name`."""
    world = World(settings(**changes)).apply(AVI_CLASS, service(), endpoint_slice(["10.244.1.1"]), secret(), *manifests)
    objects, problems, _ = world.everything()
    assert problems == []
    return {f"{each.type}/{each.name}": each for each in objects}


def services(wanted: AviObject) -> list[tuple[int, bool]]:
    return [(row["port"], row["enable_ssl"]) for row in wanted.body["services"]]


def test_a_dedicated_tls_host_has_everything_on_its_own_virtual_service() -> None:
    """Certificate, redirect and paths hang on one virtual service with a vsvip of its own, and there is no parent."""
    found = built(ingress(tls="foo-tls", paths=["/a"]), shard_size=ShardSize.DEDICATED)
    assert sorted(found) == [
        f"httppolicyset/{DEDICATED}",
        f"httppolicyset/c1--red-{HOST}",
        f"pool/c1--red-{HOST}_a-ing1-L7-dedicated",
        f"poolgroup/c1--red-{HOST}_a-ing1-L7-dedicated",
        f"sslkeyandcertificate/c1--{HOST}",
        f"virtualservice/{DEDICATED}",
        f"vsvip/{DEDICATED}",
    ]
    body = found[f"virtualservice/{DEDICATED}"].body
    assert body["type"] == "VS_TYPE_NORMAL"
    assert body["east_west_placement"] is False
    assert services(found[f"virtualservice/{DEDICATED}"]) == [(80, False), (443, True)]
    assert body["application_profile_ref"].endswith("=System-Secure-HTTP")
    assert body["vsvip_ref"] == f"/api/vsvip/?name={DEDICATED}"
    assert body["ssl_key_and_certificate_refs"] == [f"/api/sslkeyandcertificate/?name=c1--{HOST}"]
    assert [(row["index"], row["http_policy_set_ref"].partition("=")[2]) for row in body["http_policies"]] == [
        (11, DEDICATED),
        (12, f"c1--red-{HOST}"),
    ]
    assert {row["key"]: row["values"] for row in body["markers"]} == {
        "clustername": ["c1"],
        "Namespace": ["red"],
        "Host": [HOST],
    }
    vsvip = found[f"vsvip/{DEDICATED}"].body
    assert vsvip["dns_info"] == [{"fqdn": HOST}]
    assert [row["key"] for row in vsvip["markers"]] == ["clustername"]


def test_a_dedicated_plain_host_listens_on_port_80_alone() -> None:
    """Its paths are switched by rules as those of TLS hosts are; there is neither certificate nor redirect."""
    found = built(ingress(paths=["/a"]), shard_size=ShardSize.DEDICATED)
    service_ = found[f"virtualservice/{DEDICATED}"]
    assert services(service_) == [(80, False)]
    assert service_.body["application_profile_ref"].endswith("=System-HTTP")
    assert "ssl_key_and_certificate_refs" not in service_.body
    assert [row["http_policy_set_ref"].partition("=")[2] for row in service_.body["http_policies"]] == [
        f"c1--red-{HOST}"
    ]


def test_with_evh_a_dedicated_virtual_service_has_a_hashed_name() -> None:
    """The hash of the plain name and -EVH; its pools hash their Service and the ending too."""
    found = built(ingress(tls="foo-tls"), shard_size=ShardSize.DEDICATED, evh=True)
    name = names.encoded("c1--", f"{HOST}-L7-dedicated") + "-EVH"
    body = found[f"virtualservice/{name}"].body
    assert (body["type"], body["min_pools_up"]) == ("VS_TYPE_NORMAL", 1)
    assert "vh_type" not in body
    assert f"pool/{names.encoded('c1--', f'red-{HOST}_-ing1-web-L7-dedicated')}" in found
    assert f"poolgroup/{names.encoded('c1--', f'red-{HOST}_-ing1-L7-dedicated')}" in found


@pytest.mark.parametrize(("size", "ending"), [(ShardSize.LARGE, ""), (ShardSize.DEDICATED, "-L7-dedicated")])
def test_without_pool_groups_rules_lead_to_pools(size: ShardSize, ending: str) -> None:
    """noPGForSNI: no pool group for the host, pools with AKO's ending, and the rule selects the pool."""
    found = built(ingress(tls="foo-tls", paths=["/a"]), shard_size=size, no_pool_group=True)
    pool = f"c1--red-{HOST}_a-ing1{ending}--policy-to-pool"
    (rule,) = found[f"httppolicyset/c1--red-{HOST}"].body["http_request_policy"]["rules"]
    assert rule["switching_action"] == {
        "action": "HTTP_SWITCHING_SELECT_POOL",
        "pool_ref": f"/api/pool/?name={pool}",
    }
    assert f"pool/{pool}" in found
    assert not [name for name in found if name.startswith("poolgroup/c1--red")]


def test_no_pool_group_counts_without_evh_only() -> None:
    """As with AKO the setting says nothing to EVH."""
    assert built(ingress(), evh=True, no_pool_group=True).keys() == built(ingress(), evh=True).keys()


LONG = "/" + "x" * 240
FORMS: list[dict[str, Any]] = [
    {},
    {"no_pool_group": True},
    {"shard_size": ShardSize.DEDICATED},
    {"evh": True},
    {"evh": True, "shard_size": ShardSize.DEDICATED},
]


@pytest.mark.parametrize("tls", [None, "foo-tls"])
@pytest.mark.parametrize("changes", FORMS)
def test_a_name_that_is_too_long_takes_only_its_path_away(changes: dict[str, Any], tls: str | None) -> None:
    """Every name that is made is at most 255 long; with EVH the hash keeps it short, else the path gets an Event."""
    world = World(settings(**changes)).apply(AVI_CLASS, service(), endpoint_slice(["10.244.1.1"]), secret())
    objects, problems, _ = world.apply(ingress(tls=tls, paths=["/ok", LONG])).everything()
    assert max(len(each.name) for each in objects) <= names.MAX_NAME
    pools = [each for each in objects if each.type == "pool"]
    if "evh" in changes:
        assert (len(pools), problems) == (2, [])
    else:
        assert len(pools) == 1
        assert [(each.reason, each.name) for each in problems] == [("NameTooLong", "ing1")]
        assert LONG[:50] in problems[0].message


@pytest.mark.parametrize("length", range(226, 246))
def test_a_long_host_is_refused_before_the_controller_would(length: int) -> None:
    """Rule names count too: whatever the length, no name of any object or rule is over 255."""
    host = "a" * 60 + "." + "b" * 60 + "." + "c" * 60 + "." + "d" * (length - 195) + ".example.com"
    assert len(host) == length
    for changes in FORMS:
        world = World(settings(**changes)).apply(AVI_CLASS, service(), secret(), ingress(host=host, tls="foo-tls"))
        for each in world.everything()[0]:
            rules = each.body.get("http_request_policy", {}).get("rules", [])
            assert max(len(name) for name in (each.name, *(rule["name"] for rule in rules))) <= names.MAX_NAME
