"""Bad input and a bad controller: clear words, nothing else delayed, nothing deleted, nothing lost."""

from __future__ import annotations

import re
from typing import Any

from bench import world as cluster
from tests.e2e.scene import Scene
from tests.e2e.test_pipeline import TLS, plain_pool, servers, tls_pool
from tests.support import wait_for


def ingress(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": cluster.NAMESPACE},
        "spec": {"ingressClassName": "avi-lb", **spec},
    }


def paths(service: str) -> dict[str, Any]:
    backend = {"service": {"name": service, "port": {"number": 80}}}
    return {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}


def test_bad_objects_hold_up_nobody(two_hosts: Scene) -> None:
    """Broken Ingresses, Secrets, EndpointSlices and Nodes get an Event each; good hosts go on; nothing is deleted."""
    scene = two_hosts
    before = {type_: set(scene.ours(type_)) for type_ in ("pool", "virtualservice", "sslkeyandcertificate")}
    resource = {"resource": {"apiGroup": "example.com", "kind": "Bucket", "name": "b"}}
    scene.load(
        [
            ingress("no-http", {"rules": [{"host": "nohttp.example.com"}]}),
            ingress(
                "resource",
                {
                    "rules": [
                        {
                            "host": "resource.example.com",
                            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": resource}]},
                        }
                    ]
                },
            ),
            ingress(
                "no-secret",
                {
                    "rules": [{"host": "nosecret.example.com", "http": paths("s00000")}],
                    "tls": [{"hosts": ["nosecret.example.com"], "secretName": "missing"}],
                },
            ),
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "kubernetes.io/tls",
                "metadata": {"name": "empty", "namespace": cluster.NAMESPACE},
                "data": {"tls.crt": "", "tls.key": ""},
            },
            ingress(
                "empty-secret",
                {
                    "rules": [{"host": "empty.example.com", "http": paths("s00000")}],
                    "tls": [{"hosts": ["empty.example.com"], "secretName": "empty"}],
                },
            ),
            {**cluster.endpoint_slice(1), "endpoints": [{"addresses": [], "conditions": {"ready": True}}]},
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": "lost"},
                "spec": {"podCIDR": "10.244.9.0/24", "podCIDRs": ["10.244.9.0/24"]},
                "status": {"addresses": [{"type": "Hostname", "address": "lost"}]},
            },
        ]
    )
    scene.load(cluster.objects_of(2))
    scene.converged(2)
    wait_for(lambda: not servers(scene, plain_pool()), what="the pool without servers")
    for type_, names in before.items():
        assert names <= set(scene.ours(type_))
    for about in ("i/no-http", "i/resource", "i/no-secret", "i/empty-secret"):
        name = about.partition("/")[2]
        wait_for(lambda name=name: scene.warnings("Ingress", name), what=f"a warning on {name}")  # type: ignore[misc]
    wait_for(lambda: scene.warnings("Node", "lost"), what="a warning on the node without address")
    assert all(child.alive for child in scene.stack.processes().values())

    scene.load([cluster.endpoint_slice(1, change=5)])
    wait_for(lambda: servers(scene, plain_pool()) == set(cluster.addresses(1, 5)), what="the servers that came back")


def test_a_busy_controller_loses_no_change(two_hosts: Scene) -> None:
    """429 and 503 on the write of a change: it is tried again and arrives."""
    scene = two_hosts
    scene.avi_switch("faults", {"method": "PUT", "path": "/api/pool", "status": 429, "count": 2})
    scene.avi_switch("faults", {"method": "PUT", "path": "/api/pool", "status": 503, "count": 2})
    scene.load([cluster.endpoint_slice(0, change=4)])
    wait_for(lambda: servers(scene, tls_pool()) == set(cluster.addresses(0, 4)), seconds=30, what="the new servers")
    assert [call["status"] for call in scene.audit() if call["method"] == "PUT"].count(429) == 2


def test_a_lost_answer_doubles_nothing(scene: Scene) -> None:
    """The answer to a POST is lost after its effect: the object is looked up by name and taken, not made again."""
    scene.avi_switch("faults", {"method": "POST", "path": "/api/pool/?(\\?|$)", "reset": "after", "count": 1})
    scene.load(cluster.objects_of(0))
    scene.converged(0, seconds=30)
    posts = [
        call for call in scene.audit() if call["method"] == "POST" and re.match(r"/api/pool/?(\?|$)", call["path"])
    ]
    assert [call["status"] for call in posts] == [0]
    assert servers(scene, tls_pool()) == set(cluster.addresses(0))


def test_an_expired_session_is_renewed(two_hosts: Scene) -> None:
    """All sessions expire: the next change logs in again and arrives."""
    scene = two_hosts
    scene.avi_switch("faults", {"method": "GET", "path": "/api/pool", "expire": True, "count": 1})
    scene.load([cluster.endpoint_slice(0, change=6)])
    wait_for(lambda: servers(scene, tls_pool()) == set(cluster.addresses(0, 6)), what="the new servers")


def test_a_controller_that_comes_later(scene: Scene) -> None:
    """While the controller answers nothing, work waits without growing counts; when it is back, everything is built."""
    scene.stop_pipeline()
    scene.state.client.flushall()
    scene.avi_switch("faults", {"path": ".*", "reset": "before", "count": -1})
    scene.load(cluster.objects_of(0))
    scene.restart()
    wait_for(lambda: scene.state.fields("meta", ["breaker"])[0], what="the breaker")
    scene.stack.avi_control("faults", method="DELETE")
    scene.converged(0, seconds=60)
    assert set(scene.ours("sslkeyandcertificate")) == {f"bench--{TLS}"}


def test_no_secret_rests_anywhere(two_hosts: Scene) -> None:
    """Neither Redis nor a log holds the private key or the controller's password."""
    scene = two_hosts
    key = cluster.certificate()[1].splitlines()[1]
    password = scene.stack.environ["CTRL_PASSWORD"]
    texts = [child.log.read_text(errors="replace") for child in scene.stack.processes().values()]
    client = scene.state.client
    for name in client.scan_iter("*"):
        kind = client.type(name)
        if kind == "hash":
            texts += list(client.hgetall(name).values())
        elif kind == "string":
            texts.append(str(client.get(name)))
        elif kind == "list":
            texts += list(client.lrange(name, 0, -1))
    assert len(texts) > 50
    assert not any(key in text or password in text for text in texts)
