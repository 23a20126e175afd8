"""Rules without host over a real Redis and a controller: the domain that completes them is known to workers only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench import world as cluster
from tests.workers.site import Site, site

FORMS: list[dict[str, str]] = [{}, {"ENABLE_EVH": "true", "VIP_PER_NAMESPACE": "true"}, {"SHARD_VS_SIZE": "DEDICATED"}]


@pytest.fixture(params=FORMS)
def here(redis_url: str, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A host by name, and an Ingress whose rule names none."""
    with site(redis_url, **request.param) as made:
        made.apply(*cluster.objects_of(0), *hostless())
        made.settle()
        yield made


def hostless() -> list[dict[str, Any]]:
    found = cluster.objects_of(1)
    del found[-1]["spec"]["rules"][0]["host"]
    return found


HOST = f"i00001.{cluster.NAMESPACE}.avi.internal"


def fqdns(here: Site) -> set[str]:
    pages = here.avi.pages("vsvip", tenant="*")
    return {row["fqdn"] for page in pages for obj in page.objects for row in obj.get("dns_info", ())}


def pools(here: Site, host: str) -> list[dict[str, Any]]:
    pages = here.avi.pages("pool", tenant="*")
    mark = {"key": "Host", "values": [host]}
    return [obj for page in pages for obj in page.objects if mark in obj["markers"]]


def census(here: Site) -> None:
    here.mark(["resync"])
    here.settle()


def test_it_is_served_changed_and_taken_away_like_any_host(here: Site) -> None:
    """Its status names the host, a change of its endpoints is one PUT, and a census owns what it has."""
    assert HOST in fqdns(here)
    status = [body for path, body in here.kube.patches if path.endswith("/i00001/status")]
    assert [row["hostname"] for row in status[-1]["status"]["loadBalancer"]["ingress"]] == [HOST]
    here.simulator.audit.clear()
    here.apply(cluster.endpoint_slice(1, change=1))
    here.settle()
    assert [method for method, _ in here.writes()] == ["PUT"]
    here.simulator.audit.clear()
    census(here)
    assert here.writes() == []
    here.delete("Ingress", f"{cluster.NAMESPACE}/i00001")
    here.settle()
    assert HOST not in fqdns(here)
    assert pools(here, HOST) == []


def test_an_ingress_may_name_the_same_host(here: Site) -> None:
    """The rules of both are one host's, whoever comes first and whichever goes."""
    other = cluster.objects_of(3)
    rule = other[-1]["spec"]["rules"][0]
    rule["host"], rule["http"]["paths"][0]["path"] = HOST, "/other"
    here.apply(*other)
    here.settle()
    assert len(pools(here, HOST)) == 2
    here.delete("Ingress", f"{cluster.NAMESPACE}/i00001")
    here.settle()
    (left,) = pools(here, HOST)
    assert {"key": "Path", "values": ["/other"]} in left["markers"]


def test_another_first_domain_moves_it(here: Site) -> None:
    """The census finds the new domain: the host goes over to it with its servers, and the old name is given back."""
    (profile,) = [obj for page in here.avi.pages("ipamdnsproviderprofile") for obj in page.objects if dns(obj)]
    dns(profile).insert(0, {"domain_name": "aaa.example.com"})
    here.avi.update("ipamdnsproviderprofile", profile["uuid"], profile, tenant="admin")
    census(here)
    moved = f"i00001.{cluster.NAMESPACE}.aaa.example.com"
    assert len(pools(here, moved)) == 1
    assert moved in fqdns(here)
    assert pools(here, HOST) == []
    assert HOST not in fqdns(here)


def dns(profile: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = profile.get("internal_profile", {}).get("dns_service_domain", [])
    return found
