"""The client against the simulated controller: whole objects, real refusals, faults in the middle of the work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from shared.avi.client import AviClient
from shared.avi.references import parse
from shared.errors import (
    AviAuthError,
    AviBusy,
    AviConflict,
    AviError,
    AviMissingReference,
    AviNoFreeAddress,
    AviNotFound,
    AviReferenced,
    AviRefused,
    AviStale,
    AviUnavailable,
    AviUnreachable,
)
from shared.settings.model import Credentials
from simulator.avi.app import AviSimulator
from simulator.avi.foreign import foreign_objects
from simulator.avi.tls import self_signed, server_context
from simulator.server import running

USER = Credentials("admin", password="pass-secret-0001")


@dataclass
class World:
    """A simulated controller, a client of it, and its log."""

    simulator: AviSimulator
    client: AviClient
    url: str

    def fault(self, **spec: Any) -> None:
        self.simulator.faults.add(spec)

    def log(self, method: str = "", path: str = "") -> list[tuple[str, int]]:
        """(path, status) of the calls so far of that method whose path contains `path`."""
        calls = self.simulator.audit.shown(0)
        return [(c["path"], c["status"]) for c in calls if c["method"].startswith(method) and path in c["path"]]


@pytest.fixture
def world() -> Iterator[World]:
    simulator = AviSimulator(password=USER.password)
    with running(simulator.handle) as server:
        client = AviClient(server.url, USER, read_timeout=5.0)
        yield World(simulator, client, server.url)
        client.close()


def test_the_life_of_an_object(world: World) -> None:
    """An object is created, found, read, changed and deleted; references in answers carry the name."""
    client = world.client
    pool = client.create(
        "pool", {"name": "peer--web", "tenant_ref": "/api/tenant/?name=admin", "created_by": "ako-peer"}
    )
    group = client.create("poolgroup", {"name": "peer--g", "members": [{"pool_ref": "/api/pool?name=peer--web"}]})
    reference = parse(group["members"][0]["pool_ref"])
    assert reference is not None
    assert (reference.uuid, reference.name) == (pool["uuid"], "peer--web")
    assert client.find("pool", "peer--web", cloud="Default-Cloud") == pool
    assert client.get("pool", pool["uuid"]) == pool
    changed = client.update("pool", pool["uuid"], pool | {"default_server_port": 8080})
    assert (changed["default_server_port"], changed["tenant_ref"].rpartition("#")[2]) == (8080, "admin")
    with pytest.raises(AviStale):
        client.update("pool", pool["uuid"], pool | {"default_server_port": 9090})
    with pytest.raises(AviReferenced, match="peer--g"):
        client.delete("pool", pool["uuid"])
    client.delete("poolgroup", group["uuid"])
    client.delete("pool", pool["uuid"])
    assert client.find("pool", "peer--web") is None
    for call in (client.get, client.delete):
        with pytest.raises(AviNotFound):
            call("pool", pool["uuid"])
    with pytest.raises(AviNotFound):
        client.update("pool", pool["uuid"], {"name": "peer--web"})
    assert len(world.log("POST", "/login")) == 1


@pytest.mark.parametrize(
    ("kind", "body", "error"),
    [
        ("pool", {"name": "taken"}, AviConflict),
        ("pool", {"name": "p", "bogus_field": 1}, AviRefused),
        ("pool", {"name": "p", "lb_algorithm": "NOPE"}, AviRefused),
        ("poolgroup", {"name": "g", "members": [{"pool_ref": "/api/pool/?name=absent"}]}, AviMissingReference),
        ("virtualservice", {"name": "v", "vh_parent_vs_ref": "/api/virtualservice?name=absent"}, AviMissingReference),
    ],
)
def test_refused_bodies(world: World, kind: str, body: dict[str, Any], error: type[AviError]) -> None:
    """What is wrong with a body comes back as its own error, which names the object and leaves nothing behind."""
    world.client.create("pool", {"name": "taken"})
    with pytest.raises(error, match=f"POST {kind} '{body['name']}'") as caught:
        world.client.create(kind, body)
    assert type(caught.value) is error
    if error is not AviConflict:
        assert world.client.find(kind, body["name"]) is None


def test_an_exhausted_network(world: World) -> None:
    """When the VIP network has no free address left, that is an error of its own."""
    with pytest.raises(AviNoFreeAddress, match="small-net"):  # noqa: PT012 - one of a few calls must fail
        for number in range(8):
            network = {"network_ref": "/api/network/?name=small-net"}
            vip = {"vip_id": "0", "auto_allocate_ip": True, "ipam_network_subnet": network}
            world.client.create("vsvip", {"name": f"v{number}", "vip": [vip]})


def test_tenants(world: World) -> None:
    """An object is found in its own tenant and in `*` only; a tenant that is missing is a missing reference."""
    world.client.create("tenant", {"name": "red"})
    made = world.client.create("pool", {"name": "p", "tenant_ref": "/api/tenant/?name=red"}, tenant="red")
    assert world.client.find("pool", "p", tenant="red") == made
    assert world.client.find("pool", "p", tenant="*") == made
    assert world.client.find("pool", "p") is None
    assert world.client.find("applicationprofile", "System-HTTP", tenant="red") is None
    assert world.client.find("applicationprofile", "System-HTTP") is not None
    with pytest.raises(AviMissingReference):
        world.client.find("pool", "p", tenant="absent")


def test_paging_over_many_objects(world: World) -> None:
    """Every object of the collection comes exactly once, over several pages, and the filter is honoured."""
    world.simulator.loader.load(foreign_objects(400))
    for number in range(120):
        world.client.create("pool", {"name": f"peer--{number:03}", "created_by": "ako-peer"})
    pages = list(world.client.pages("pool", created_by="ako-peer", page_size=50))
    assert [len(page.objects) for page in pages] == [50, 50, 20]
    names = [item["name"] for page in pages for item in page.objects]
    assert sorted(names) == [f"peer--{number:03}" for number in range(120)]
    everything = [item["uuid"] for page in world.client.pages("pool", page_size=30) for item in page.objects]
    assert len(everything) == len(set(everything)) == len(list(world.simulator.store.of_type("pool")))


def test_boot_reads(world: World) -> None:
    """The reads that a start needs are answered."""
    client = world.client
    assert client.read("initial-data")["version"]["Version"] == "30.2.1"
    assert client.read("cluster/runtime")["cluster_state"]["state"].startswith("CLUSTER_UP")
    cloud = client.find("cloud", "Default-Cloud")
    assert cloud is not None
    assert client.read("ipamdnsproviderprofiledomainlist", cloud_uuid=cloud["uuid"])["domains"]


def test_wrong_password(world: World) -> None:
    """A refused login is an error at once, and is not tried again with the next call."""
    client = AviClient(world.url, Credentials("admin", password="wrong-secret"))
    for _ in range(3):
        with pytest.raises(AviAuthError) as caught:
            client.get("pool", "p")
        assert "wrong-secret" not in str(caught.value)
    assert world.log() == [("/login", 401)]


def test_over_tls_by_token() -> None:
    """The same over TLS with the controller's own certificate as authority, logged in by token."""
    certificate, key = self_signed("127.0.0.1")
    simulator = AviSimulator(password="token-secret-0001")
    with running(simulator.handle, tls=server_context(certificate, key)) as server:
        user = Credentials("admin", token="token-secret-0001", ca=certificate.decode())
        client = AviClient(server.url, user)
        made = client.create("pool", {"name": "p"})
        assert client.find("pool", "p") == made
        client.close()


# Faults


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429, "headers": {"Retry-After": "3"}}, AviBusy),
        ({"status": 503}, AviBusy),
        ({"status": 500}, AviUnreachable),
        ({"status": 502, "body": "<html>bad gateway</html>"}, AviUnreachable),
        ({"status": 404, "body": "<html>not found</html>"}, AviUnreachable),
        ({"status": 403, "body": {"error": "Configuration is disallowed during upgrade"}}, AviUnavailable),
        ({"reset": "before"}, AviUnreachable),
        ({"reset": "after"}, AviUnreachable),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_write_that_fails_is_sent_once(
    world: World, fault: dict[str, Any], error: type[AviError], method: str
) -> None:
    """Whatever happens to a write, it is on the wire once, and a later look shows whether it took effect."""
    pool = world.client.create("pool", {"name": "old"})
    world.fault(method=method, path="/api/pool", **fault)
    before = len(world.log(method, "/api/pool"))
    writes: dict[str, Callable[[], object]] = {
        "POST": lambda: world.client.create("pool", {"name": "new"}),
        "DELETE": lambda: world.client.delete("pool", pool["uuid"]),
    }
    with pytest.raises(error) as caught:
        writes[method]()
    assert len(world.log(method, "/api/pool")) == before + 1
    assert getattr(caught.value, "sent", True)
    assert getattr(caught.value, "retry_after", None) == (3.0 if "headers" in fault else None)
    names = {item["name"] for page in world.client.pages("pool") for item in page.objects}
    happened = fault.get("reset") == "after"
    assert ("new" in names, "old" in names) == ((happened, True) if method == "POST" else (False, not happened))


def test_a_get_survives_a_reset(world: World) -> None:
    """A GET that meets a reset on a used connection is repeated and answered."""
    pool = world.client.create("pool", {"name": "p"})
    world.fault(method="GET", reset="before")
    assert world.client.get("pool", pool["uuid"]) == pool
    assert [status for _, status in world.log("GET", pool["uuid"])] == [0, 200]


def test_an_answer_held_back(world: World) -> None:
    """A controller that does the work but holds its answer costs the read timeout, and the object stands."""
    client = AviClient(world.url, USER, read_timeout=0.3)
    world.fault(method="POST", path="/api/pool", timeout=1.0)
    with pytest.raises(AviUnreachable, match=r"no complete answer within 0\.3 s") as caught:
        client.create("pool", {"name": "p"})
    assert caught.value.sent
    assert world.client.find("pool", "p") is not None


def test_sessions_that_expire_under_load(world: World) -> None:
    """Eight threads create 200 objects while all sessions expire five times: all stand, each POST took effect once."""
    for skip in (20, 60, 100, 140, 180):
        world.fault(method="POST", path="/api/pool", skip=skip, expire=True)
    failures: list[Exception] = []

    def work(thread: int) -> None:
        try:
            for number in range(25):
                world.client.create("pool", {"name": f"{thread}-{number}"})
        except AviError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert sum(status == 201 for _, status in world.log("POST", "/api/pool")) == 200
    assert len(world.log("POST", "/login")) == 6
