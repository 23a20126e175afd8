"""What would take much away at once is held until a second census says the same: after a flush, and by settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv6Network
from typing import Any

import pytest

from bench import world as cluster
from shared.guard import CONFIRM_AFTER, mass
from shared.settings.model import Credentials
from shared.state.work import MILLION
from tests.workers.model.world import load_balancer
from tests.workers.site import PASSWORD, Site, site
from workers import guard
from workers.assembly import build
from workers.guard import Hold, Losses, decide

HOSTS = 8
TYPES = (
    "virtualservice",
    "pool",
    "poolgroup",
    "httppolicyset",
    "l4policyset",
    "sslkeyandcertificate",
    "vsdatascriptset",
    "vsvip",
)
NODES = [
    {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"extra{n}"},
        "spec": {"podCIDR": f"10.244.{n}.0/24", "podCIDRs": [f"10.244.{n}.0/24"]},
        "status": {"addresses": [{"type": "InternalIP", "address": f"10.50.0.{n}"}]},
    }
    for n in range(20, 26)
]


@pytest.fixture
def here(redis_url: str) -> Iterator[Site]:
    with site(redis_url) as made:
        made.apply(*NODES)
        for number in range(HOSTS):
            made.apply(*cluster.objects_of(number))
        made.settle()
        made.simulator.audit.clear()
        yield made


def standing(here: Site) -> set[str]:
    """Our objects on the controller, and our routes."""
    found = {
        f"{type_}/{obj['name']}"
        for type_ in TYPES
        for page in here.avi.pages(type_)
        for obj in page.objects
        if obj["name"].startswith("bench--")
    }
    vrf = here.avi.find("vrfcontext", "global") or {}
    return found | {f"route {row['prefix']['ip_addr']['addr']}" for row in vrf.get("static_routes", ())}


def deletes(here: Site) -> int:
    return sum(call["method"] == "DELETE" and "/api/" in call["path"] for call in here.simulator.audit.shown(0))


def census(here: Site) -> None:
    here.mark(["resync"])
    here.settle()


def a_minute_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is held now has been held long enough."""
    monkeypatch.setattr(guard, "CONFIRM_AFTER", 0.0)


def flush(here: Site, *objects: dict[str, Any]) -> None:
    """Redis forgets everything, and the API server then says that these objects are all there is."""
    here.state.client.flushall()
    here.epoch = here.mirror.begin(here.settings.digest())
    here.apply(*cluster.base(), *objects)
    here.mirror.complete(here.epoch)


def change(here: Site, *, allow: bool = False, **fields: Any) -> None:
    """Other settings for watcher and worker, over the same cluster."""
    here.worker.avi.close()
    here.settings = replace(here.settings, **fields)
    here.worker = build(here.settings, Credentials("admin", PASSWORD), here.kube, lambda *_: None)  # type: ignore[arg-type]
    here.epoch = here.mirror.begin(here.settings.digest(), allow_mass_delete=allow)
    here.mirror.complete(here.epoch)


def said(here: Site) -> list[str]:
    return [event for event in here.kube.events if "MassDeleteHeld" in event]


def test_a_short_list_after_a_flush_takes_nothing_away(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty Redis and one of eight Ingresses: nothing goes, an Event says so; a minute later the rest goes."""
    before = standing(here)
    flush(here, *NODES, *cluster.objects_of(0))
    here.settle()
    assert (standing(here), deletes(here)) == (before, 0)
    (event,) = said(here)
    assert event.startswith("Namespace/avi-system/avi-system Warning")
    assert "objects of type pool" in event
    due = float(here.state.client.zscore(here.state.key("later"), "resync") or 0)
    seconds, _ = here.state.client.time()
    assert due / MILLION - int(seconds) <= CONFIRM_AFTER + 1
    census(here)
    assert (standing(here), deletes(here)) == (before, 0)
    a_minute_later(monkeypatch)
    census(here)
    left = Counter(each.partition("/")[0] for each in standing(here))
    assert (left["pool"], left["sslkeyandcertificate"]) == (1, 1)
    assert here.state.hash("held") == {}
    assert len(said(here)) == 1


def test_what_comes_back_within_the_minute_stays(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a flush the list was short; the Ingresses appear before the second census: nothing was ever written."""
    before = standing(here)
    flush(here, *NODES, *cluster.objects_of(0))
    here.settle()
    for number in range(1, HOSTS):
        here.apply(*cluster.objects_of(number))
    a_minute_later(monkeypatch)
    census(here)
    assert standing(here) == before
    assert {call["method"] for call in here.simulator.audit.shown(0)} <= {"GET", "POST"}
    assert deletes(here) == 0
    assert here.state.hash("held") == {}


def test_a_new_host_is_served_while_others_are_held(here: Site) -> None:
    """The hold concerns those that would lose something: a host that comes meanwhile gets its objects."""
    flush(here, *NODES, *cluster.objects_of(0))
    here.settle()
    here.apply(*cluster.objects_of(100))
    here.settle()
    assert f"virtualservice/bench--{cluster.host(100)}" in standing(here)
    assert deletes(here) == 0


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"namespace_label": ("avi", "onn")}, "objects of type virtualservice"),
        ({"blocked_namespaces": frozenset({cluster.NAMESPACE})}, "objects of type poolgroup"),
    ],
    ids=["namespaceSelector", "blockedNamespaceList"],
)
def test_a_typo_in_the_settings_takes_nothing_away(here: Site, fields: dict[str, Any], what: str) -> None:
    """Settings that would empty the controller or give back every address are held, and so are the statuses."""
    before, patches = standing(here), len(here.kube.patches)
    old = {name: getattr(here.settings, name) for name in fields}
    change(here, **fields)
    here.settle()
    assert (standing(here), deletes(here), len(here.kube.patches)) == (before, 0, patches)
    assert here.calls("PUT", "vsvip") == []
    assert what in said(here)[0]
    change(here, **old)
    here.settle()
    assert (standing(here), deletes(here)) == (before, 0)
    assert here.state.hash("held") == {}


def test_routes_are_held(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster without its nodes, after a flush: the routes stay until the second census."""
    before = standing(here)
    here.state.client.flushall()
    here.epoch = here.mirror.begin(here.settings.digest())
    here.apply(*(obj for obj in cluster.world(HOSTS) if obj["kind"] != "Node"))
    here.mirror.complete(here.epoch)
    here.settle()
    assert standing(here) == before
    assert "8 of 8 static routes in vrfcontext global" in said(here)[0]
    a_minute_later(monkeypatch)
    census(here)
    assert {each for each in before if each.startswith("route ")} & standing(here) == set()


def test_deletions_that_the_watch_delivers_are_not_held(here: Site) -> None:
    """All Ingresses are deleted one by one, and a census comes in between: nothing is held."""
    for number in range(HOSTS):
        here.delete("Ingress", f"bench/i{number:05d}")
    here.worker.reconciler.work.mark(["resync"], "change", "test")
    here.settle()
    assert {each.partition("/")[0] for each in standing(here) if "/" in each} == {"vsvip"}
    assert said(here) == []


def test_allow_mass_delete_holds_nothing(here: Site) -> None:
    """`--allow-mass-delete` is believed at once."""
    change(here, allow=True, namespace_label=("avi", "on"))
    here.settle()
    assert {each.partition("/")[0] for each in standing(here) if "/" in each} == {"vsvip"}
    assert said(here) == []


def test_delete_config_is_not_held(here: Site) -> None:
    """`deleteConfig: true` is asked for in words, so everything of ours goes at once."""
    change(here, delete_config=True)
    here.settle()
    assert standing(here) == set()
    assert said(here) == []


def test_a_second_address_family_takes_nothing_away(here: Site) -> None:
    """Adding a v6cidr keeps every address, so it is not held."""
    network = replace(here.settings.vip_networks[0], v6cidr=IPv6Network("2001:db8:10::/64"))
    change(here, vip_networks=(network,))
    here.settle()
    assert said(here) == []
    assert all(vip.get("ip6_address") for page in here.avi.pages("vsvip") for obj in page.objects for vip in obj["vip"])


def test_a_census_that_fails_takes_nothing_away_and_says_so(here: Site) -> None:
    """One page of one type fails after a flush: nothing is concluded or written, and every worker says why."""
    before = standing(here)
    flush(here, *NODES)
    here.simulator.audit.clear()
    here.simulator.faults.add({"method": "GET", "path": "/api/poolgroup", "status": 500, "body": {"error": "no"}})
    here.run()
    assert here.state.fields("meta", ["ledger_complete"]) == ["0"]
    assert {call["method"] for call in here.simulator.audit.shown(0)} <= {"GET", "POST"}
    refused = here.worker.reconciler.work.published()[1]
    assert refused.startswith("the census failed, so nothing of it is believed: ")
    here.simulator.faults.clear()
    assert standing(here) == before


def losses(known: int, *lost: str, key: str = "host:a") -> Losses:
    found = Losses()
    found.known["pools"] = known
    for text in lost:
        found.add(key, "pools", text)
    return found


@pytest.mark.parametrize(
    ("missing", "known", "expected"),
    [(5, 6, False), (6, 30, False), (7, 30, True), (3, 3, True), (2, 2, False), (6, 6, True), (0, 0, False)],
)
def test_what_is_much(missing: int, known: int, expected: bool) -> None:
    """More than five and a fifth, or all of three or more."""
    assert mass(missing, known) is expected
    held, words = decide(losses(known, *(f"p{n}" for n in range(missing))), {}, 1)
    assert bool(held) is bool(words) is expected


def test_a_minute_of_the_same_is_needed() -> None:
    """The same losses are held for a minute; others in between begin anew; what is confirmed counts no more."""
    minute = int(CONFIRM_AFTER * MILLION)
    first, _ = decide(losses(3, "a", "b", "c"), {}, 1000)
    assert first == {"host:a": Hold(1000, frozenset("abc"))}
    assert Hold.from_json(first["host:a"].to_json()) == first["host:a"]
    early, _ = decide(losses(3, "a", "b", "c"), first, 1000 + minute - 1)
    assert early == first
    assert decide(losses(3, "a", "b", "c"), early, 1000 + minute) == ({}, [])
    fewer, _ = decide(losses(30, *"abcdefg"), {"host:a": Hold(1000, frozenset("abcdefgh"))}, 2000)
    assert fewer["host:a"].since == 1000
    more, _ = decide(losses(30, *"abcdefgh"), {"host:a": Hold(1000, frozenset("abcdefg"))}, 2000)
    assert more["host:a"].since == 2000
    assert decide(losses(30, *"abcdefgh"), {"host:a": Hold(1000, frozenset("abcdefg"))}, 1000 + minute) == ({}, [])


def test_services_are_held_like_hosts(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag that lets go of every Service takes nothing away for a minute, and their statuses stay."""
    here.apply(*(load_balancer(f"s{number}") for number in range(8)))
    here.settle()
    before = standing(here)
    here.kube.patches.clear()
    change(here, default_lb_controller=False)
    here.settle()
    assert (standing(here), deletes(here), here.kube.patches) == (before, 0, [])
    assert "8 of 8 objects of type l4policyset" in said(here)[0]
    a_minute_later(monkeypatch)
    census(here)
    assert not [each for each in standing(here) if each.startswith("l4policyset/")]


def test_services_that_the_watch_says_are_gone_are_not_held(here: Site) -> None:
    """As many deletions as there are, one by one: nothing waits for a census."""
    here.apply(*(load_balancer(f"s{number}") for number in range(8)))
    here.settle()
    here.delete("Service", *(f"red/s{number}" for number in range(8)))
    census(here)
    assert not [each for each in standing(here) if each.startswith("l4policyset/")]
    assert said(here) == []
