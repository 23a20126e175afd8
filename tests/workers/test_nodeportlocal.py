"""NodePortLocal over a real Redis and a controller: what changes of pods cost, whom they wake, and the annotation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bench import world as cluster
from tests.workers.site import Site, site

HOSTS = 4
ENVIRON = {"SERVICE_TYPE": "NodePortLocal", "CNI_PLUGIN": "antrea"}
ASKED = {"nodeportlocal.antrea.io/enabled": "true"}


def service(number: int, annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    made = cluster.objects_of(number)[0]
    made["metadata"]["annotations"] = annotations or {}
    made["spec"] |= {"selector": {"app": f"web{number}", "part": "front"}, **spec}
    return made


def pod(name: str, number: int, *ports: int, ready: bool = True, **fields: Any) -> dict[str, Any]:
    """A pod of a host's Service on the node 10.50.0.11; without `ports` it has no annotation."""
    entries = [{"podPort": 8080, "nodeIP": "10.50.0.11", "nodePort": port, "protocol": "tcp"} for port in ports]
    annotations = {"nodeportlocal.antrea.io": json.dumps(entries)} if ports else {}
    labels = {"app": f"web{number}", "part": "front", "rest": name}
    meta = {"name": name, "namespace": cluster.NAMESPACE, "labels": labels, "annotations": annotations}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]}
    return {"kind": "Pod", "metadata": meta | fields, "spec": {}, "status": status}


@pytest.fixture
def here(redis_url: str) -> Iterator[Site]:
    """Four hosts, each with a Service of one pod at the node port 61000 plus its number."""
    with site(redis_url, **ENVIRON) as made:
        for number in range(HOSTS):
            made.apply(service(number, ASKED), cluster.objects_of(number)[2], pod(f"p{number}", number, 61000 + number))
        made.settle()
        made.simulator.audit.clear()
        yield made


def servers(here: Site, number: int) -> list[str]:
    pools = [obj for page in here.avi.pages("pool") for obj in page.objects if cluster.host(number) in obj["name"]]
    rows = pools[0].get("servers") or []
    return [row["external_uuid"] + ("" if row["enabled"] else " off") for row in rows]


def changes(here: Site) -> list[str]:
    """What was written since the last look, by method and type."""
    found = [f"{method} {path.strip('/').split('/')[1]}" for method, path in here.writes()]
    here.simulator.audit.clear()
    return found


def ready(here: Site) -> set[str]:
    """The keys that are to run, now or a little later."""
    state = here.state
    found = (state.client.zrange(state.key(name), 0, -1) for name in ("ready:0", "ready:1", "later"))
    return {key for keys in found for key in keys} - {"resync"}


def test_pools_have_the_ports_of_their_pods_and_the_vrf_no_routes(here: Site) -> None:
    """Each Service has its own pods, where Antrea has opened their ports."""
    for number in range(HOSTS):
        assert servers(here, number) == [f"10.50.0.11:6100{number}"]
    vrf = here.avi.find("vrfcontext", "global")
    assert vrf is not None
    assert not vrf.get("static_routes")
    assert annotated(here) == []


def test_a_pod_that_comes_changes_and_goes_is_one_write_each(here: Site) -> None:
    """The pool of its Service and nothing else; while it has no port yet, nothing at all."""
    steps: list[tuple[dict[str, Any], list[str]]] = [
        (pod("new", 1), []),
        (pod("new", 1, 61500, ready=False), ["10.50.0.11:61001", "10.50.0.11:61500 off"]),
        (pod("new", 1, 61500), ["10.50.0.11:61001", "10.50.0.11:61500"]),
        (pod("new", 1, 61501), ["10.50.0.11:61001", "10.50.0.11:61501"]),
        (pod("new", 1, 61501, deletionTimestamp="2026-01-01T00:00:00Z"), ["10.50.0.11:61001", "10.50.0.11:61501 off"]),
    ]
    for obj, expected in steps:
        here.apply(obj)
        here.settle()
        assert changes(here) == (["PUT pool"] if expected else [])
        assert servers(here, 1) == (expected or ["10.50.0.11:61001"])
    here.delete("Pod", "bench/new")
    here.settle()
    assert changes(here) == ["PUT pool"]
    assert servers(here, 1) == ["10.50.0.11:61001"]


def test_a_pod_wakes_the_hosts_of_its_services_alone(here: Site) -> None:
    """A heartbeat of its status wakes nobody, nor does a pod that Antrea has given nothing."""
    beating = pod("p1", 1, 61001)
    beating["status"]["conditions"][0]["lastProbeTime"] = "2026-01-01T00:00:10Z"
    beating["metadata"]["resourceVersion"] = "77"
    here.apply(beating, pod("stranger", 9, 61900), pod("early", 1))
    assert ready(here) == set()
    here.apply(pod("p1", 1, 61001, ready=False))
    assert ready(here) == {f"host:{cluster.host(1)}"}


def test_a_pod_whose_labels_move_it_leaves_one_pool_for_another(here: Site) -> None:
    """Both pools are written, once each."""
    here.apply(pod("p1", 2, 61001))
    here.settle()
    assert changes(here) == ["PUT pool"] * 2
    assert (servers(here, 1), servers(here, 2)) == ([], ["10.50.0.11:61001", "10.50.0.11:61002"])


def test_a_service_that_selects_others_is_one_write(here: Site) -> None:
    """Its new pods are found whatever came first."""
    here.apply(service(1, ASKED, selector={"app": "web3"}))
    here.settle()
    assert changes(here) == ["PUT pool"]
    assert servers(here, 1) == ["10.50.0.11:61003"]
    here.apply(pod("more", 3, 61503))
    assert ready(here) == {f"host:{cluster.host(number)}" for number in (1, 3)}


def annotated(here: Site) -> list[tuple[str, dict[str, Any]]]:
    """The patches since the last look by which Antrea was asked."""
    found = [
        each
        for each in here.kube.patches
        if ASKED.items() <= each[1].get("metadata", {}).get("annotations", {}).items()
    ]
    here.kube.patches.clear()
    return found


def test_antrea_is_asked_once_for_a_service_that_an_ingress_names(here: Site) -> None:
    """Whether the Service or the Ingress comes first, and again when the annotation is gone; a chosen value stays."""
    wanted = [("/api/v1/namespaces/bench/services/s00007", {"metadata": {"annotations": ASKED}})]
    here.apply(service(7), pod("p7", 7, 61007))
    here.settle()
    assert annotated(here) == []  # nobody names it
    here.apply(cluster.objects_of(7)[2])
    here.settle()
    assert annotated(here) == wanted
    here.apply(service(7, ASKED))
    here.settle()
    assert annotated(here) == []
    here.apply(service(7))
    here.settle()
    assert annotated(here) == wanted
    here.apply(service(7, {"nodeportlocal.antrea.io/enabled": "false"}))
    here.settle()
    assert annotated(here) == []


def test_a_service_of_type_load_balancer_is_served_at_the_ports_of_its_pods(here: Site) -> None:
    """Antrea is asked for them without any Ingress; its pods wake its key alone and are one write each."""
    here.apply(service(7, type="LoadBalancer"), pod("p7", 7, 61007))
    here.settle()
    assert annotated(here) == [("/api/v1/namespaces/bench/services/s00007", {"metadata": {"annotations": ASKED}})]
    (pool,) = [obj for page in here.avi.pages("pool") for obj in page.objects if "s00007" in obj["name"]]
    assert [row["external_uuid"] for row in pool["servers"]] == ["10.50.0.11:61007"]
    changes(here)
    here.apply(service(7, ASKED, type="LoadBalancer"), pod("q7", 7, 61107))
    assert ready(here) >= {"lb:bench/s00007"}
    assert not [key for key in ready(here) if key.startswith("host:")]
    here.settle()
    assert changes(here) == ["PUT pool"]
    assert not [
        path
        for path, body in annotated(here)
        if ASKED.items() <= body.get("metadata", {}).get("annotations", {}).items()
    ]


@pytest.mark.parametrize("spec", [{"type": "NodePort"}, {"type": "ExternalName"}, {"selector": None}])
def test_a_service_that_antrea_opens_nothing_for_is_not_annotated(here: Site, spec: dict[str, Any]) -> None:
    """It would have no effect; the Ingress is told why its pool is empty."""
    here.apply(service(7, **spec), cluster.objects_of(7)[2])
    here.settle()
    assert annotated(here) == []
    assert [text for text in here.kube.events if text.startswith("Ingress/bench/i00007 Warning ServiceNotServed")]


def test_services_of_ingresses_that_are_not_ours_are_left_alone(here: Site) -> None:
    """Neither another class nor a blocked namespace is annotated, until it is ours."""
    ingress = cluster.objects_of(7)[2]
    ingress["spec"]["ingressClassName"] = "nginx"
    here.apply(service(7), ingress)
    here.settle()
    assert annotated(here) == []
    here.apply({"kind": "IngressClass", "metadata": {"name": "nginx"}, "spec": {"controller": "ako.vmware.com/avi-lb"}})
    here.settle()
    assert [path for path, _ in annotated(here)] == ["/api/v1/namespaces/bench/services/s00007"]


def test_no_service_is_annotated_where_that_is_off(redis_url: str) -> None:
    """AUTO_ANNOTATE_SERVICE false leaves it to others, and in other modes nobody asks."""
    for environ in ({**ENVIRON, "AUTO_ANNOTATE_SERVICE": "false"}, {"SERVICE_TYPE": "ClusterIP"}):
        with site(redis_url, **environ) as made:
            made.apply(service(1), cluster.objects_of(1)[2])
            made.settle()
            assert annotated(made) == []


def test_a_broken_annotation_is_told_on_the_pod(here: Site) -> None:
    """Its pool loses the server, and the pod gets the Event."""
    broken = pod("p1", 1)
    broken["metadata"]["annotations"] = {"nodeportlocal.antrea.io": "[{"}
    here.apply(broken)
    here.settle()
    assert servers(here, 1) == []
    assert [text for text in here.kube.events if text.startswith("Pod/bench/p1 Warning MalformedAnnotation")]
