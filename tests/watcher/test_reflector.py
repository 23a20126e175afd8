"""What a reflector believes and what it never does, on a real Redis, against an API server that fails on command."""

from __future__ import annotations

from typing import Any

import pytest

from shared.kinds import Kind
from tests.support import wait_for
from tests.watcher.world import BLOCK, INGRESS, NODE, SLICE, Cluster, following
from watcher.reflector import Timing, mass


def ingress(host: str) -> dict[str, Any]:
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}
    return {"spec": {"rules": [{"host": host, "http": {"paths": [path]}}]}}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_list_change_delete(cluster: Cluster, redis_url: str) -> None:
    """What is listed, added, changed and deleted is in the mirror, with its keys marked."""
    cluster.put(INGRESS, "red/a", **ingress("a.com"))
    with following(cluster, redis_url, INGRESS) as (follower, reflectors):
        wait_for(lambda: reflectors["Ingress"].state.phase == "watching")
        assert follower.ids(INGRESS) == {"red/a"}
        assert not follower.session.unlisted
        follower.session.finish()
        cluster.put(INGRESS, "red/b", **ingress("b.com"))
        wait_for(lambda: follower.ids(INGRESS) == {"red/a", "red/b"})
        cluster.put(INGRESS, "red/b", **ingress("c.com"))
        wait_for(lambda: follower.mirror.get("Ingress", ["red/b"])["red/b"]["rules"][0]["host"] == "c.com")
        cluster.remove(INGRESS, "red/a")
        wait_for(lambda: follower.ids(INGRESS) == {"red/b"})
        wait_for(lambda: len(follower.published) == 4)
    assert follower.published[1] == (["host:b.com", "status:Ingress/red/b"], "Ingress red/b changed")
    assert follower.published[2][0] == ["host:b.com", "status:Ingress/red/b", "host:c.com"]
    assert follower.published[3] == (["host:a.com", "status:Ingress/red/a"], "Ingress red/a deleted")


def test_pages(cluster: Cluster, redis_url: str) -> None:
    """A list that comes in pages is complete in the mirror before the kind counts as listed."""
    for number in range(25):
        cluster.put(NODE, f"n{number}")
    with following(cluster, redis_url, NODE, timing=Timing(page=10)) as (follower, _):
        wait_for(lambda: not follower.session.unlisted)
        assert len(follower.ids(NODE)) == 25
        assert cluster.count("LIST", NODE) == 3


@pytest.mark.parametrize("status", [410, 503])
def test_half_a_list_deletes_nothing(cluster: Cluster, redis_url: str, status: int) -> None:
    """A list that fails after its first page takes nothing away; when its pages expire it is read in one."""
    for number in range(30):
        cluster.put(NODE, f"n{number}")
    with following(cluster, redis_url, NODE, timing=Timing(page=10)) as (follower, reflectors):
        wait_for(lambda: reflectors["Node"].state.phase == "watching")
        cluster.refuse_continue = status
        with cluster.lock:
            cluster.remove(NODE, "n0")
            cluster.put(NODE, "a-new-one")
            cluster.forget()
        wait_for(lambda: "a-new-one" in follower.ids(NODE))
        if status == 503:
            wait_for(lambda: reflectors["Node"].state.failing_since is not None)
            assert follower.deletions() == []
            cluster.refuse_continue = 0
        wait_for(lambda: follower.deletions() == ["n0"])


def test_an_unchanged_projection_marks_nothing(cluster: Cluster, redis_url: str) -> None:
    """A change of something that nothing reads is written nowhere and wakes nobody."""
    cluster.put(NODE, "n1", status={"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}]})
    with following(cluster, redis_url, NODE) as (follower, _):
        wait_for(lambda: not follower.session.unlisted)
        follower.session.finish()
        before = len(follower.published)
        cluster.put(NODE, "n1", status={"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}], "images": [1]})
        cluster.put(NODE, "n2")
        wait_for(lambda: "n2" in follower.ids(NODE))
        wait_for(lambda: len(follower.published) > before)
    assert [keys for keys, _ in follower.published[before:]] == [["change:Node/n2"]]


def test_a_burst_is_few_batches(cluster: Cluster, redis_url: str) -> None:
    """300 events at once become a few batches and one cause that says so; each message names at most 20 keys."""
    with following(cluster, redis_url, NODE) as (follower, reflectors):
        wait_for(lambda: reflectors["Node"].state.phase == "watching")
        follower.session.finish()
        before, applied = len(follower.published), len(follower.applied)
        with cluster.lock:
            for number in range(300):
                cluster.put(NODE, f"n{number}")
        wait_for(lambda: len(follower.ids(NODE)) == 300)
        wait_for(lambda: sum(len(keys) for keys, _ in follower.published[before:]) == 300)
    assert len(follower.applied) - applied <= 40
    assert max(len(keys) for keys, _ in follower.published) == 20
    assert any("more changed" in cause for _, cause in follower.published)


def test_410_with_a_hundred_changes_in_the_gap(cluster: Cluster, redis_url: str) -> None:
    """After a 410, 50 objects created and 50 deleted meanwhile are all noticed, each once, and nothing is replayed."""
    for number in range(300):
        cluster.put(NODE, f"n{number}")
    with following(cluster, redis_url, NODE) as (follower, reflectors):
        wait_for(lambda: reflectors["Node"].state.phase == "watching")
        follower.session.finish()
        follower.published.clear()
        with cluster.lock:
            for number in range(50):
                cluster.remove(NODE, f"n{number}")
                cluster.put(NODE, f"new{number}")
            cluster.forget()
        wait_for(lambda: len(follower.deletions()) >= 50)
        wait_for(lambda: cluster.count("WATCH", NODE) >= 3)
        assert len(follower.ids(NODE)) == 300
        assert sorted(follower.deletions()) == sorted(f"n{number}" for number in range(50))
        marked = [key for keys, _ in follower.published for key in keys]
        expected = [f"change:Node/{prefix}{number}" for prefix in ("n", "new") for number in range(50)]
        assert sorted(marked) == sorted(expected)
        assert cluster.count("LIST", NODE) == 2


def test_a_cut_watch_replays_nothing(cluster: Cluster, redis_url: str) -> None:
    """A watch that was cut resumes from the last list or bookmark, and what was applied since is not applied again."""
    with following(cluster, redis_url, NODE) as (follower, reflectors):
        wait_for(lambda: reflectors["Node"].state.phase == "watching")
        cluster.put(NODE, "old")
        cluster.bookmark(NODE)
        for number in range(5):
            cluster.put(NODE, f"n{number}")
            wait_for(lambda number=number: f"n{number}" in follower.ids(NODE))
        cluster.remove(NODE, "n0")
        cluster.put(NODE, "n0")
        cluster.put(NODE, "last")
        wait_for(lambda: "last" in follower.changes())
        seen = len(follower.changes())
        cluster.drop()
        wait_for(lambda: cluster.count("WATCH", NODE) == 2)
        cluster.put(NODE, "after")
        wait_for(lambda: "after" in follower.changes())
        assert follower.changes()[seen:] == ["after"]
        assert cluster.count("LIST", NODE) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_no_failure_is_an_empty_cluster(cluster: Cluster, redis_url: str, status: int) -> None:
    """Whatever the API server answers instead of a list, nothing is deleted, and the kind is reported as failing."""
    for number in range(5):
        cluster.put(NODE, f"n{number}")
    with following(cluster, redis_url, NODE) as (follower, reflectors):
        wait_for(lambda: reflectors["Node"].state.phase == "watching")
        path = f"{NODE.path}/{NODE.resource}"
        cluster.refuse[path] = cluster.refuse_watch[path] = status
        cluster.forget()
        wait_for(lambda: len([line for line in cluster.log if NODE.resource in line]) >= 5)
        assert follower.ids(NODE) == {f"n{number}" for number in range(5)}
        assert follower.deletions() == []
        state = reflectors["Node"].state
        assert state.failing_since is not None
        assert f"commanded {status}" in state.error
        cluster.refuse.clear()
        cluster.refuse_watch.clear()
        cluster.put(NODE, "n5")
        wait_for(lambda: "n5" in follower.ids(NODE))


def test_a_mass_deletion_by_list_is_held(cluster: Cluster, redis_url: str) -> None:
    """A complete list that suddenly lacks half the objects is believed only when a second one agrees, and said so."""
    for number in range(20):
        cluster.put(NODE, f"n{number}")
    with following(cluster, redis_url, NODE, timing=Timing(confirm_after=1.5), home="avi-system") as (
        follower,
        reflectors,
    ):
        wait_for(lambda: reflectors["Node"].state.phase == "watching")
        with cluster.lock:
            for number in range(10):
                cluster.remove(NODE, f"n{number}")
            cluster.forget()
        wait_for(lambda: reflectors["Node"].state.held == 10)
        assert follower.deletions() == []
        cluster.put(NODE, "alive")
        wait_for(lambda: "alive" in follower.ids(NODE))
        cluster.put(NODE, "n0")  # back before the second list
        wait_for(lambda: len(follower.deletions()) == 9)
        assert reflectors["Node"].state.held == 0
        assert cluster.count("LIST", NODE) == 3
    assert [event["reason"] for event in cluster.events] == ["MassDeleteHeld"]


def test_deletions_one_by_one_are_not_held(cluster: Cluster, redis_url: str) -> None:
    """What the watch itself reports as deleted is deleted, however much it is."""
    for number in range(20):
        cluster.put(NODE, f"n{number}")
    with following(cluster, redis_url, NODE) as (follower, reflectors):
        wait_for(lambda: reflectors["Node"].state.phase == "watching")
        for number in range(20):
            cluster.remove(NODE, f"n{number}")
        wait_for(lambda: not follower.ids(NODE))


@pytest.mark.parametrize(
    ("missing", "known", "held"),
    [(0, 0, False), (1, 1, False), (2, 2, False), (3, 3, True), (5, 6, False), (6, 30, False), (7, 30, True)],
)
def test_what_counts_as_mass(missing: int, known: int, held: bool) -> None:
    """More than a fifth and more than five, or all of three or more."""
    assert mass(missing, known) is held


def test_an_optional_kind_appears_later(cluster: Cluster, redis_url: str) -> None:
    """A kind whose definition is not installed holds nobody up, and is watched once it is there."""
    with following(cluster, redis_url, BLOCK, timing=Timing(absent_retry=0.2)) as (follower, reflectors):
        wait_for(lambda: not follower.session.unlisted)
        assert reflectors["BlockAffinity"].state.phase == "absent"
        assert reflectors["BlockAffinity"].state.failing_since is None
        cluster.put(BLOCK, "b1", spec={"node": "n1", "cidr": "10.0.0.0/26"})
        cluster.served.add(f"{BLOCK.path}/{BLOCK.resource}")
        wait_for(lambda: follower.ids(BLOCK) == {"b1"})


def test_a_served_kind_that_vanishes_is_lost_knowledge(cluster: Cluster, redis_url: str) -> None:
    """A kind that was served and now is 404 keeps its objects, also for the next watcher."""
    path = f"{BLOCK.path}/{BLOCK.resource}"
    cluster.served.add(path)
    cluster.put(BLOCK, "b1")
    for watcher in ("first", "next"):
        with following(cluster, redis_url, BLOCK, timing=Timing(absent_retry=0.2)) as (follower, reflectors):
            if watcher == "first":
                wait_for(lambda: reflectors["BlockAffinity"].state.phase == "watching")
                cluster.served.discard(path)
                cluster.drop()
            wait_for(lambda: reflectors["BlockAffinity"].state.phase == "lost")
            wait_for(lambda: not follower.session.unlisted)
            assert follower.ids(BLOCK) == {"b1"}


def test_an_object_that_cannot_be_read(cluster: Cluster, redis_url: str) -> None:
    """A projection that fails leaves that object as it was, says so on it once, and delays nobody."""

    def project(obj: dict[str, Any]) -> Any:
        if obj.get("poison"):
            raise RuntimeError("s3cret")
        return NODE.project(obj)

    kind = Kind(NODE.name, NODE.path, NODE.resource, False, False, project)
    cluster.put(kind, "n1")
    with following(cluster, redis_url, kind) as (follower, reflectors):
        wait_for(lambda: reflectors["Node"].state.phase == "watching")
        cluster.put(kind, "n1", poison=True)
        cluster.put(kind, "n2")
        wait_for(lambda: "n2" in follower.ids(kind))
        cluster.forget()
        wait_for(lambda: cluster.count("LIST", kind) == 2)
        cluster.put(kind, "n3")
        wait_for(lambda: "n3" in follower.ids(kind))
        assert "n1" in follower.ids(kind)
    assert [(event["involvedObject"]["name"], event["reason"]) for event in cluster.events] == [("n1", "Unreadable")]
    assert "s3cret" not in str(cluster.events)


def test_an_object_without_a_name(cluster: Cluster, redis_url: str) -> None:
    """What has no name or namespace is no object, in a list or a watch, and stops nothing."""
    cluster.put(SLICE, "nospace")
    cluster.put(SLICE, "red/good")
    with following(cluster, redis_url, SLICE) as (follower, _):
        wait_for(lambda: not follower.session.unlisted)
        cluster.put(SLICE, "nospace")
        cluster.put(SLICE, "red/more")
        wait_for(lambda: follower.ids(SLICE) == {"red/good", "red/more"})


def test_silence_costs_a_watch_and_no_list(cluster: Cluster, redis_url: str) -> None:
    """A silent watch is given up and resumed where it was, without listing again."""
    cluster.put(NODE, "n1")
    with following(cluster, redis_url, NODE, timing=Timing(silence=0.6)) as (follower, _):
        wait_for(lambda: cluster.count("WATCH", NODE) >= 3)
        assert cluster.count("LIST", NODE) == 1
        cluster.put(NODE, "n2")
        wait_for(lambda: "n2" in follower.ids(NODE))
