"""The official Kubernetes client against the emulator, as a stranger would use it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, watch
from kubernetes.client.exceptions import ApiException

from tests.simulator.kube_world import Api, cluster, config, ingress
from tests.support import wait_for


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with cluster(bookmark_interval=0.2) as api:
        yield api


@pytest.fixture(scope="module")
def official(api: Api) -> Iterator[client.ApiClient]:
    settings = client.Configuration(host=api.url)
    with client.ApiClient(settings) as official:
        yield official


def test_create_list_patch_delete(official: client.ApiClient) -> None:
    """Typed objects go there and back."""
    core = client.CoreV1Api(official)
    made = core.create_namespaced_service(
        "red",
        client.V1Service(
            metadata=client.V1ObjectMeta(name="web", labels={"app": "web"}),
            spec=client.V1ServiceSpec(ports=[client.V1ServicePort(port=80, target_port="http")]),
        ),
    )
    assert made.spec.ip_families == ["IPv4"]
    assert core.list_namespaced_service("red", label_selector="app=web").items[0].metadata.uid == made.metadata.uid
    patched = core.patch_namespaced_service("web", "red", {"spec": {"ports": [{"port": 80, "targetPort": 8080}]}})
    assert patched.spec.ports[0].target_port == 8080
    assert core.delete_namespaced_service("web", "red").metadata.name == "web"
    core.create_namespaced_secret("red", client.V1Secret(metadata={"name": "s"}, string_data={"a": "b"}))
    core.delete_namespaced_secret("s", "red")
    core.delete_collection_namespaced_secret("red")
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name="brief")))
    core.delete_namespace("brief")

    def gone() -> bool:
        try:
            return core.read_namespace("brief") is None
        except ApiException as error:
            return error.status == 404

    wait_for(gone, what="the end of the namespace")


def test_an_ingress_and_its_status(official: client.ApiClient) -> None:
    """An Ingress is created from a manifest and its status patched with both families."""
    networking = client.NetworkingV1Api(official)
    networking.create_namespaced_ingress("red", ingress("official"))
    both = [{"ip": "10.10.0.1", "hostname": "a.example.com"}, {"ip": "2001:db8:10::1", "hostname": "a.example.com"}]
    body = {"status": {"loadBalancer": {"ingress": both}}}
    networking.patch_namespaced_ingress_status("official", "red", body)
    found = networking.read_namespaced_ingress("official", "red")
    assert [entry.ip for entry in found.status.load_balancer.ingress] == ["10.10.0.1", "2001:db8:10::1"]
    assert found.metadata.generation == 1


def test_pages(official: client.ApiClient) -> None:
    """limit and continue read all of a list."""
    core = client.CoreV1Api(official)
    for number in range(5):
        core.create_namespaced_config_map("red", config(f"page-{number}"))
    names, token = [], None
    while token != "":
        page = core.list_namespaced_config_map("red", limit=2, _continue=token)
        names += [item.metadata.name for item in page.items]
        token = page.metadata._continue or ""
    assert names == [f"page-{number}" for number in range(5)]


def test_watch(official: client.ApiClient) -> None:
    """A watch from a list's version delivers what came after it, typed, and ends after its time."""
    core = client.CoreV1Api(official)
    start = core.list_namespaced_pod("red").metadata.resource_version
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    core.create_namespaced_pod("red", pod)
    core.patch_namespaced_pod_status("p", "red", {"status": {"phase": "Running", "podIP": "10.1.1.1"}})
    core.delete_namespaced_pod("p", "red")
    events = watch.Watch().stream(
        core.list_namespaced_pod, "red", resource_version=start, timeout_seconds=1, allow_watch_bookmarks=True
    )
    seen = [(event["type"], event["object"].status.phase) for event in events if event["type"] != "BOOKMARK"]
    assert seen == [("ADDED", "Pending"), ("MODIFIED", "Running"), ("DELETED", "Running")]


def test_a_watch_from_too_long_ago(official: client.ApiClient, api: Api) -> None:
    """The client raises 410 for a version that was compacted."""
    core = client.CoreV1Api(official)
    start = core.list_namespaced_pod("red").metadata.resource_version
    core.create_namespaced_config_map("red", config("later"))
    api.control("compact", {})
    with pytest.raises(ApiException) as failure:
        list(watch.Watch().stream(core.list_namespaced_pod, "red", resource_version=start, timeout_seconds=1))
    assert failure.value.status == 410


def test_a_lease_is_won_by_one(official: client.ApiClient) -> None:
    """Of two candidates with the same reading one replaces the Lease, the other gets a conflict."""
    leases = client.CoordinationV1Api(official)
    now = datetime.datetime.now(datetime.UTC)
    spec = client.V1LeaseSpec(holder_identity="", lease_duration_seconds=15, renew_time=now)
    leases.create_namespaced_lease("red", client.V1Lease(metadata={"name": "leader"}, spec=spec))
    readings = [leases.read_namespaced_lease("leader", "red") for _ in range(2)]
    results: list[Any] = []
    for holder, reading in zip("ab", readings, strict=True):
        reading.spec.holder_identity = holder
        try:
            results.append(leases.replace_namespaced_lease("leader", "red", reading).spec.holder_identity)
        except ApiException as error:
            results.append(error.status)
    assert results == ["a", 409]


def test_events(official: client.ApiClient) -> None:
    """An Event is created through core/v1 and found by its object."""
    core = client.CoreV1Api(official)
    about = client.V1ObjectReference(kind="Ingress", namespace="red", name="x", uid="u")
    event = client.CoreV1Event(
        metadata=client.V1ObjectMeta(name="x.1"), involved_object=about, reason="Synced", message="done", type="Normal"
    )
    core.create_namespaced_event("red", event)
    found = core.list_event_for_all_namespaces(field_selector="involvedObject.name=x,involvedObject.kind=Ingress")
    assert [item.message for item in found.items] == ["done"]


def test_custom_objects_and_discovery(official: client.ApiClient) -> None:
    """Calico's BlockAffinities are served as custom objects; the version and permissions can be asked for."""
    custom = client.CustomObjectsApi(official)
    where = ("crd.projectcalico.org", "v1", "blockaffinities")
    body = {"metadata": {"name": "n1"}, "spec": {"node": "n1", "cidr": "10.244.1.0/26", "deleted": "false"}}
    made = custom.create_cluster_custom_object(*where, body)
    assert (made["kind"], made["apiVersion"]) == ("BlockAffinity", "crd.projectcalico.org/v1")
    assert [item["spec"]["cidr"] for item in custom.list_cluster_custom_object(*where)["items"]] == ["10.244.1.0/26"]
    custom.delete_cluster_custom_object(*where, "n1")
    definition = client.ApiextensionsV1Api(official).read_custom_resource_definition(
        "blockaffinities.crd.projectcalico.org"
    )
    assert definition.status.conditions[-1].type == "Established"
    assert client.VersionApi(official).get_code().minor == "32"
    attributes = client.V1ResourceAttributes(verb="list", resource="secrets")
    spec = client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
    review = client.V1SelfSubjectAccessReview(spec=spec)
    assert client.AuthorizationV1Api(official).create_self_subject_access_review(review).status.allowed
