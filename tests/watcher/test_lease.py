"""Who leads: one at a time, the next within the lease, and without comparing clocks."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from shared.kube import Access, KubeClient
from tests.scripted import Scripted, serving
from tests.support import wait_for
from tests.watcher.world import Cluster
from watcher.lease import Lease, identity


class Server:
    def __init__(self, cluster: Cluster, scripted: Scripted) -> None:
        self.cluster = cluster
        self.scripted = scripted
        self.now = 1000.0

    def lease(self, holder: str) -> Lease:
        kube = KubeClient(lambda: Access(self.scripted.url))
        return Lease(kube, "avi-system", holder, clock=lambda: self.now)

    @property
    def spec(self) -> dict[str, object]:
        assert self.cluster.lease is not None
        return self.cluster.lease["spec"]


@pytest.fixture
def server() -> Iterator[Server]:
    cluster = Cluster()
    with serving(cluster.answer) as scripted:
        yield Server(cluster, scripted)


def test_the_first_takes_it_at_once(server: Server) -> None:
    """A lease that nobody holds is taken at the first attempt, and nobody else gets it while it is renewed."""
    one, two = server.lease("one"), server.lease("two")
    for _ in range(10):
        one.attempt()
        two.attempt()
        server.now += 5
    assert (one.held, two.held) == (True, False)
    assert server.spec["holderIdentity"] == "one"
    assert server.spec["leaseDurationSeconds"] == 12
    assert server.spec["leaseTransitions"] == 0


def test_it_is_taken_over_when_not_renewed(server: Server) -> None:
    """A lease that stays unchanged for 12 s of our own clock is free, not sooner; its old holder then stands back."""
    one, two = server.lease("one"), server.lease("two")
    one.attempt()
    two.attempt()
    server.now += 11.9
    two.attempt()
    assert not two.held
    server.now += 0.2
    two.attempt()
    assert two.held
    assert server.spec["leaseTransitions"] == 1
    one.attempt()
    assert not one.held


def test_a_released_lease_is_free_at_once(server: Server) -> None:
    """Who ends in order gives the lease back, and only its own."""
    one, two = server.lease("one"), server.lease("two")
    one.attempt()
    two.attempt()
    two.release()
    assert server.spec["holderIdentity"] == "one"
    one.release()
    two.attempt()
    assert two.held
    one.held = True  # it does not know yet
    one.release()
    assert server.spec["holderIdentity"] == "two"


def test_the_same_holder_goes_on_at_once(server: Server) -> None:
    """A watcher that comes back under its own name does not wait for its own lease."""
    server.lease("pod-1").attempt()
    again = server.lease("pod-1")
    again.attempt()
    assert again.held
    assert server.spec["leaseTransitions"] == 0


def test_a_lost_race(server: Server) -> None:
    """Of many that try at once on a free lease exactly one holds it."""
    leases = [server.lease(f"w{number}") for number in range(8)]
    threads = [threading.Thread(target=lease.attempt) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [lease.held for lease in leases].count(True) == 1


@pytest.mark.parametrize("status", [401, 403, 500])
def test_an_unreachable_server_changes_nothing(server: Server, status: int) -> None:
    """Who cannot renew keeps leading and says why; who does not lead does not begin to."""
    one, two = server.lease("one"), server.lease("two")
    one.attempt()
    server.cluster.refuse_leases = status
    for _ in range(5):
        server.now += 10
        one.attempt()
        two.attempt()
    assert (one.held, two.held) == (True, False)
    assert "commanded" in one.error
    server.cluster.refuse_leases = 0
    one.attempt()
    assert (one.held, one.error) == (True, "")


def test_keeping(server: Server) -> None:
    """The keeper takes the lease, tells of each change, and ends when asked to."""
    one, two = server.lease("one"), server.lease("two")
    one.attempt()
    stop, changed = threading.Event(), threading.Event()
    thread = threading.Thread(target=two.keep, args=(stop, changed.set))
    thread.start()
    one.release()
    assert changed.wait(5)
    assert two.held
    stop.set()
    thread.join(2)
    assert not thread.is_alive()


def test_the_name_survives_a_restart_in_a_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pod the holder is the pod; elsewhere each process has a name of its own."""
    monkeypatch.setenv("POD_NAME", "watcher-0")
    assert identity() == "watcher-0"
    monkeypatch.delenv("POD_NAME")
    assert identity() != identity()


def test_a_lease_of_a_stranger_s_making(server: Server) -> None:
    """A Lease without a spec, as someone may have created it by hand, is free."""
    server.cluster.lease = {"metadata": {"name": "x", "resourceVersion": "1"}}
    one = server.lease("one")
    one.attempt()
    wait_for(lambda: one.held)
