"""Every form that a host can take, against a controller: built, reported, changed live into another form, removed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import world as cluster
from shared.state import Ledger
from tests.workers.model.world import PASSTHROUGH, World
from tests.workers.site import Site, site
from workers.model.layout import layout_of
from workers.model.owners import MADE_TYPES
from workers.snapshot import Snapshots, read_facts

DIRECT = {"AKO_VALUES": str(Path(__file__).with_name("no-pool-groups.yaml"))}  # noPGForSNI has no variable
FORMS: dict[str, dict[str, str]] = {
    "SNI": {},
    "EVH": {"ENABLE_EVH": "true"},
    "dedicated": {"SHARD_VS_SIZE": "DEDICATED"},
    "EVH, dedicated": {"ENABLE_EVH": "true", "SHARD_VS_SIZE": "DEDICATED"},
    "EVH, an address per namespace": {"ENABLE_EVH": "true", "VIP_PER_NAMESPACE": "true"},
    "SNI, passthrough by hash": {"PASSTHROUGH_SHARD_SIZE": "DEDICATED"},
    "SNI without pool groups": DIRECT,
    "dedicated without pool groups": {**DIRECT, "SHARD_VS_SIZE": "DEDICATED"},
}
FURTHER = {"a further instance": {"PRIMARY_AKO_FLAG": "false", "POD_NAMESPACE": "second"}}
HOSTS = range(6)
PASSED = (4, 5)
"""The hosts whose TLS is passed through, in every form."""


def objects_of(number: int) -> list[dict[str, Any]]:
    """The objects of one host."""
    found = cluster.objects_of(number)
    for each in found:
        if each["kind"] == "Ingress" and number in PASSED:
            each["metadata"].setdefault("annotations", {}).update(PASSTHROUGH)
    return found


MANIFESTS = [obj for number in HOSTS for obj in objects_of(number)]
BY_HASH = re.compile(r"-Passthrough-[0-9]{2,}$")  # as many as hosts, so their addresses are not kept
CHANGES = [*itertools.permutations(FORMS, 2)]


@pytest.fixture(params=FORMS | FURTHER)
def here(request: pytest.FixtureRequest, redis_url: str) -> Iterator[Site]:
    """Two TLS hosts, two plain ones and two whose TLS is passed through, built in one form."""
    with site(redis_url, **(FORMS | FURTHER)[request.param]) as made:
        made.apply(*MANIFESTS)
        made.settle()
        yield made


def ours(here: Site) -> set[str]:
    """The ids of all our objects on the controller."""
    found = [
        f"{type_}/admin/{obj['name']}"
        for type_ in MADE_TYPES
        for page in here.avi.pages(type_)
        for obj in page.objects
        if obj["name"].startswith("bench--")
    ]
    assert len(set(found)) == len(found)
    return set(found)


def wanted(here: Site, manifests: list[dict[str, Any]]) -> set[str]:
    """What a computation without any history wants for these manifests."""
    world = World(here.settings, read_facts(here.state)).apply(*cluster.base(), *manifests)
    return {each.id for each in world.everything()[0]}


def statuses(here: Site) -> dict[str, set[str]]:
    """The addresses that the last written status of each Ingress gives its host."""
    found: dict[str, set[str]] = {}
    for path, body in here.kube.patches:
        if path.endswith("/status"):
            for row in body["status"]["loadBalancer"]["ingress"] or []:
                found[row["hostname"]] = set()
            for row in body["status"]["loadBalancer"]["ingress"] or []:
                found[row["hostname"]].add(row["ip"])
    return found


def vips(here: Site) -> dict[str, str]:
    """The address that stands for each FQDN in some vsvip of ours."""
    return {
        row["fqdn"]: vsvip["vip"][0]["ip_address"]["addr"]
        for page in here.avi.pages("vsvip")
        for vsvip in page.objects
        for row in vsvip.get("dns_info", [])
        if vsvip["name"].startswith("bench--")
    }


def test_what_stands_is_what_is_wanted(here: Site) -> None:
    """All objects stand and no other, each owned by a key, and every status has the address of the host's own VIP."""
    assert ours(here) == wanted(here, MANIFESTS)
    assert Ledger(here.state).owners().keys() == ours(here)
    where = vips(here)
    assert statuses(here) == {cluster.host(number): {where[cluster.host(number)]} for number in HOSTS}


def test_a_second_look_writes_nothing(here: Site) -> None:
    """A census and a run of every key find everything as it should be, from the controller's own texts alone."""
    before, patches = ours(here), len(here.kube.patches)
    here.simulator.audit.clear()
    here.mark(["resync", *set(Ledger(here.state).owners().values())])
    here.settle()
    assert here.writes() == []
    assert ours(here) == before
    assert len(here.kube.patches) == patches


def test_a_lost_ledger_is_found_again(here: Site) -> None:
    """After Redis has lost everything the census gives every object back to its owner, and nothing is written."""
    before = Ledger(here.state).owners()
    here.simulator.audit.clear()
    here.state.client.flushall()
    again = here.changed(**here.environ)
    again.apply(*MANIFESTS)
    again.settle()
    assert Ledger(again.state).owners() == before
    assert here.writes() == []
    again.close()


def test_removing_every_ingress_leaves_what_ako_leaves(here: Site) -> None:
    """The vsvips of shared parents stay, without the hosts; everything else goes, and the statuses are emptied."""
    kept = {id_ for id_ in ours(here) if id_.startswith("vsvip/") and "Shared-" in id_ and not BY_HASH.search(id_)}
    here.delete("Ingress", *(f"bench/i{number:05d}" for number in HOSTS))
    here.settle()
    assert ours(here) == kept
    assert not {cluster.host(number) for number in HOSTS} & vips(here).keys()
    assert here.state.hash("rows") == {}


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_a_form_changes_into_another_while_running(redis_url: str, before: str, after: str) -> None:
    """Other settings take the old objects away, parents and addresses too, and build and report the new ones."""
    with site(redis_url, **FORMS[before]) as old:
        old.apply(*MANIFESTS)
        old.settle()
        first = statuses(old)
        here = old.changed(**FORMS[after])
        # As with `ako watcher --allow-mass-delete`: else a second census, a minute later, would have to agree.
        here.state.client.hset(here.state.key("meta"), "allow_mass_delete", "1")
        here.settle()
        assert ours(here) == wanted(here, MANIFESTS)
        where = vips(here)
        assert {**first, **statuses(here)} == {cluster.host(number): {where[cluster.host(number)]} for number in HOSTS}
        here.simulator.audit.clear()
        here.mark(["resync"])
        here.settle()
        assert here.writes() == []
        here.close()


def test_the_parent_of_a_namespace_looks_at_its_hosts_alone(redis_url: str) -> None:
    """Services of type LoadBalancer and the default certificate stand under the namespace too, and are not its."""
    with site(redis_url, ENABLE_EVH="true", VIP_PER_NAMESPACE="true") as made:
        objects = cluster.objects_of(1)
        objects[0]["spec"]["type"] = "LoadBalancer"
        objects[-1]["metadata"]["annotations"] = {"ako.vmware.com/enable-tls": "true"}
        made.apply(*objects)
        made.settle()
        layout = layout_of(made.settings)
        snapshots = Snapshots(made.state, made.mirror, made.settings)
        members = snapshots.on_parent(layout, f"bench--Shared-L7-EVH-NS-{cluster.NAMESPACE}")
        assert members == {f"host:{cluster.host(1)} Ingress/{cluster.NAMESPACE}/i00001"}
