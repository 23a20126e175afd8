"""Creating, changing and deleting objects as the real API server would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.kube_world import INGRESSES, RED, SLICES, Api, cluster, config, crd, ingress, lease, service
from tests.support import wait_for

CONFIGS = f"{RED}/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/red/leases"


@pytest.fixture
def api() -> Iterator[Api]:
    with cluster() as api:
        yield api


def test_a_new_object_gets_its_metadata(api: Api) -> None:
    """Creation answers 201 with uid, creationTimestamp and a resourceVersion that rises over all kinds."""
    first, second = api.post(CONFIGS, config("a")), api.post(f"{RED}/services", service())
    assert first["metadata"]["namespace"] == "red"
    assert len({first["metadata"]["uid"], second["metadata"]["uid"]}) == 2
    assert first["metadata"]["creationTimestamp"].endswith("Z")
    assert int(first["metadata"]["resourceVersion"]) + 1 == int(second["metadata"]["resourceVersion"])
    assert api.get(f"{CONFIGS}/a") == first


def test_a_generated_name_is_new_each_time(api: Api) -> None:
    """generateName becomes a name with five characters more."""
    body = {"metadata": {"generateName": "it-"}}
    names = [api.post(CONFIGS, body)["metadata"]["name"] for _ in range(3)]
    assert len(set(names)) == 3
    assert all(name.startswith("it-") and len(name) == 8 for name in names)


def test_a_name_is_taken_once(api: Api) -> None:
    """A second creation is 409 AlreadyExists with the real server's sentence."""
    api.post(INGRESSES, ingress())
    again = api.call("POST", INGRESSES, ingress())
    assert (again.status, again["reason"]) == (409, "AlreadyExists")
    assert again["message"] == 'ingresses.networking.k8s.io "ing" already exists'
    assert again["details"] == {"name": "ing", "group": "networking.k8s.io", "kind": "ingresses"}


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        (f"{RED}/configmaps", config("Upper"), 422, 'metadata.name: Invalid value: "Upper"'),
        (f"{RED}/configmaps", {"metadata": {}}, 422, "name or generateName is required"),
        (f"{RED}/services", service("9lives"), 422, "DNS-1035"),
        (f"{RED}/configmaps", {**config("a"), "kind": "Secret"}, 400, "does not match the expected kind"),
        (f"{RED}/configmaps", {**config("a"), "apiVersion": "v2"}, 400, "does not match the expected API version"),
        (f"{RED}/configmaps", {"metadata": {"name": "a", "namespace": "blue"}}, 400, "does not match the namespace"),
        (f"{RED}/configmaps", {"metadata": {"name": "a", "annotations": {"n": 1}}}, 400, "metadata.annotations.n"),
        (f"{RED}/configmaps", {**config("a"), "data": {"n": 1}}, 400, "cannot unmarshal number"),
        (f"{RED}/configmaps", b"{", 400, "unrecognized"),
        (f"{RED}/configmaps", ["a"], 400, "unrecognized"),
        ("/api/v1/namespaces/none/configmaps", config("a"), 404, 'namespaces "none" not found'),
        (f"{RED}/nothings", config("a"), 404, "could not find"),
        ("/apis/none.io/v1/namespaces/red/nothings", config("a"), 404, "could not find"),
        ("/api/v1/configmaps", config("a"), 405, "does not allow"),
    ],
)
def test_what_cannot_be_created(api: Api, path: str, body: Any, status: int, text: str) -> None:
    """A body or path that makes no sense is refused with the real server's code and a Status that says why."""
    answer = api.call("POST", path, body)
    assert answer.status == status == answer["code"]
    assert answer["kind"] == "Status"
    assert text in answer["message"]


def test_a_stale_put_is_a_conflict(api: Api) -> None:
    """PUT with an old resourceVersion is 409, with the current or none it overwrites."""
    old = api.post(CONFIGS, config("a", x="1"))
    new = api.put(f"{CONFIGS}/a", {**old, "data": {"x": "2"}})
    stale = api.call("PUT", f"{CONFIGS}/a", {**old, "data": {"x": "3"}})
    assert (stale.status, stale["reason"]) == (409, "Conflict")
    assert "the object has been modified" in stale["message"]
    assert api.get(f"{CONFIGS}/a") == new
    assert api.put(f"{CONFIGS}/a", config("a", x="4"))["data"] == {"x": "4"}


def test_a_stale_patch_is_a_conflict(api: Api) -> None:
    """A patch that carries a resourceVersion is refused when it is not the current one."""
    old = api.post(CONFIGS, config("a", x="1"))
    api.patch(f"{CONFIGS}/a", {"data": {"x": "2"}})
    patch = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}, "data": {"x": "3"}}
    assert api.call("PATCH", f"{CONFIGS}/a", patch, "application/merge-patch+json").status == 409
    assert api.get(f"{CONFIGS}/a")["data"] == {"x": "2"}


def test_a_lease_must_name_the_version_it_replaces(api: Api) -> None:
    """Two candidates that read the same Lease: the second PUT is 409; a PUT without a version is 422."""
    seen = api.post(LEASES, lease(""))
    api.put(f"{LEASES}/leader", {**seen, "spec": {**seen["spec"], "holderIdentity": "a"}})
    second = api.call("PUT", f"{LEASES}/leader", {**seen, "spec": {**seen["spec"], "holderIdentity": "b"}})
    assert second.status == 409
    assert api.call("PUT", f"{LEASES}/leader", lease("c")).status == 422
    assert api.get(f"{LEASES}/leader")["spec"]["holderIdentity"] == "a"


def test_a_change_of_nothing_is_not_stored(api: Api) -> None:
    """PUT and PATCH of what is there already keep the resourceVersion and make no event."""
    old = api.post(INGRESSES, ingress())
    with api.watch(INGRESSES, old["metadata"]["resourceVersion"], timeoutSeconds=1) as events:
        assert api.put(f"{INGRESSES}/ing", old) == old
        assert api.patch(f"{INGRESSES}/ing", {"metadata": {"labels": None}}) == old
        assert events.rest() == []


def test_a_client_cannot_change_what_is_the_servers(api: Api) -> None:
    """uid, creationTimestamp, generation and name stay; another uid or name is refused."""
    old = api.post(INGRESSES, ingress())
    forged = {**old["metadata"], "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7, "selfLink": "x"}
    new = api.put(f"{INGRESSES}/ing", {**old, "metadata": {**forged, "labels": {"a": "b"}}})
    assert {**new["metadata"], "labels": None, "resourceVersion": ""} == {
        **old["metadata"],
        "labels": None,
        "resourceVersion": "",
    }
    assert api.call("PUT", f"{INGRESSES}/ing", {**old, "metadata": {**new["metadata"], "uid": "x"}}).status == 409
    assert api.call("PUT", f"{INGRESSES}/ing", ingress("other")).status == 400


def test_generation_counts_the_changes_of_the_spec(api: Api) -> None:
    """A changed spec raises metadata.generation, a label or a status does not; an EndpointSlice has one too."""
    assert api.post(INGRESSES, ingress())["metadata"]["generation"] == 1
    assert api.patch(f"{INGRESSES}/ing", {"metadata": {"labels": {"a": "b"}}})["metadata"]["generation"] == 1
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}}
    assert api.patch(f"{INGRESSES}/ing/status", status)["metadata"]["generation"] == 1
    spec = ingress(host="b.example.com")["spec"]
    assert api.patch(f"{INGRESSES}/ing", {"spec": spec})["metadata"]["generation"] == 2
    body = {"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.1.1.1"]}]}
    assert api.post(SLICES, body)["metadata"]["generation"] == 1
    assert api.patch(f"{SLICES}/s", {"endpoints": []})["metadata"]["generation"] == 2


def test_status_and_spec_are_written_apart(api: Api) -> None:
    """The main resource ignores a status, the status subresource a spec; both take annotations."""
    status = {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}
    made = api.post(INGRESSES, {**ingress(), "status": status})
    assert "status" not in made
    assert "status" not in api.patch(f"{INGRESSES}/ing", {"status": status})
    both = {"status": status, "spec": {"ingressClassName": "x"}, "metadata": {"annotations": {"a": "b"}}}
    new = api.patch(f"{INGRESSES}/ing/status", both)
    assert (new["status"], new["spec"]) == (status, made["spec"])
    assert new["metadata"]["annotations"] == {"a": "b"}
    assert api.put(f"{INGRESSES}/ing", {**new, "status": {}})["status"] == status
    assert api.put(f"{INGRESSES}/ing/status", {**new, "status": {}, "spec": {}})["status"] == {}
    assert api.get(f"{INGRESSES}/ing/status")["spec"] == made["spec"]


def test_a_node_registers_with_its_status(api: Api) -> None:
    """A Node keeps the status it is created with; later only the subresource changes it."""
    status = {"addresses": [{"type": "InternalIP", "address": "10.50.0.11"}]}
    node = {"metadata": {"name": "n1"}, "spec": {"podCIDR": "10.244.1.0/24"}, "status": status}
    assert api.post("/api/v1/nodes", node)["status"] == status
    assert api.patch("/api/v1/nodes/n1", {"status": {"addresses": []}})["status"] == status
    assert api.patch("/api/v1/nodes/n1/status", {"status": {"addresses": []}})["status"] == {"addresses": []}


def test_deletion(api: Api) -> None:
    """DELETE answers a Status with the uid (a Service: the object), then the object is 404."""
    made = api.post(CONFIGS, config("a"))
    answer = api.delete(f"{CONFIGS}/a")
    assert (answer["kind"], answer["status"]) == ("Status", "Success")
    assert answer["details"] == {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    assert api.call("GET", f"{CONFIGS}/a").status == 404
    assert api.call("DELETE", f"{CONFIGS}/a")["message"] == 'configmaps "a" not found'
    api.post(f"{RED}/services", service())
    assert api.delete(f"{RED}/services/web")["kind"] == "Service"


def test_deletion_preconditions(api: Api) -> None:
    """A deletion meant for another uid or version is 409."""
    made = api.post(CONFIGS, config("a"))["metadata"]
    for field, wrong in (("uid", "x"), ("resourceVersion", "1")):
        assert api.call("DELETE", f"{CONFIGS}/a", {"preconditions": {field: wrong}}).status == 409
    api.delete(f"{CONFIGS}/a", {"preconditions": {"uid": made["uid"], "resourceVersion": made["resourceVersion"]}})


def test_a_finalizer_holds_an_object(api: Api) -> None:
    """DELETE only marks an object with finalizers; taking the last one away removes it."""
    body = config("a")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    version = api.post(CONFIGS, body)["metadata"]["resourceVersion"]
    with api.watch(CONFIGS, version) as events:
        marked = api.delete(f"{CONFIGS}/a")
        assert marked["metadata"]["deletionTimestamp"]
        again = api.delete(f"{CONFIGS}/a")
        assert again["metadata"]["resourceVersion"] == marked["metadata"]["resourceVersion"]
        api.patch(f"{CONFIGS}/a", {"metadata": {"finalizers": None}})
        assert events.take(2) == [("MODIFIED", "a"), ("DELETED", "a")]
    assert api.call("GET", f"{CONFIGS}/a").status == 404


def test_deleting_a_collection(api: Api) -> None:
    """DELETE on a collection deletes what the selector matches and answers the list."""
    for name, label in (("a", "x"), ("b", "y"), ("c", "x")):
        body = config(name)
        body["metadata"]["labels"] = {"is": label}
        api.post(CONFIGS, body)
    assert [item["metadata"]["name"] for item in api.delete(f"{CONFIGS}?labelSelector=is%3Dx")["items"]] == ["a", "c"]
    assert api.names(CONFIGS) == ["b"]


def test_a_namespace_takes_its_objects_along(api: Api) -> None:
    """Deleting a namespace soon deletes what is in it and then itself; nothing can be created meanwhile."""
    held = config("held")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    version = api.post(CONFIGS, config("a"))["metadata"]["resourceVersion"]
    api.post(CONFIGS, held)
    api.post(f"{RED}/services", service())
    assert api.delete("/api/v1/namespaces/red")["status"] == {"phase": "Terminating"}
    api.delete(f"{RED}/services/web")  # it is still there for a moment
    wait_for(lambda: api.names(CONFIGS) == ["held"], what="the namespace being emptied")
    late = api.call("POST", CONFIGS, config("late"))
    assert (late.status, "being terminated" in late["message"]) == (403, True)
    api.patch(f"{CONFIGS}/held", {"metadata": {"finalizers": []}})
    assert api.call("GET", "/api/v1/namespaces/red").status == 404
    with api.watch("/api/v1/namespaces", version) as events:
        assert events.take(2) == [("MODIFIED", "red"), ("DELETED", "red")]


def test_some_namespaces_stay(api: Api) -> None:
    """`default` and `kube-system` are there from the start and cannot be deleted."""
    assert {"default", "kube-system"} <= set(api.names("/api/v1/namespaces"))
    assert api.call("DELETE", "/api/v1/namespaces/default").status == 403


def test_a_dry_run_stores_nothing(api: Api) -> None:
    """dryRun=All answers as if, for creation, change and deletion; another value is refused."""
    assert api.call("POST", f"{CONFIGS}?dryRun=All", config("a")).status == 201
    assert api.names(CONFIGS) == []
    made = api.post(CONFIGS, config("a", x="1"))
    assert api.patch(f"{CONFIGS}/a?dryRun=All", {"data": {"x": "2"}})["data"] == {"x": "2"}
    api.delete(f"{CONFIGS}/a?dryRun=All")
    assert api.get(f"{CONFIGS}/a") == made
    assert api.call("POST", f"{CONFIGS}?dryRun=yes", config("b")).status == 400


def test_a_kind_registered_while_running(api: Api) -> None:
    """A CustomResourceDefinition serves its kind at once, with discovery; it goes with all its objects."""
    things = "/apis/example.com/v1/namespaces/red/widgets"
    assert api.call("GET", things).status == 404
    made = api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd())
    assert made["status"]["acceptedNames"]["listKind"] == "WidgetList"
    body = {"metadata": {"name": "w"}, "spec": {"size": 1}, "status": {"is": "free"}}
    new = api.post(things, body)
    assert (new["kind"], new["apiVersion"], new["status"]) == ("Widget", "example.com/v1", {"is": "free"})
    assert api.call("PUT", f"{things}/w", body).status == 422  # a custom object names the version it replaces
    rows = {row["name"]: row for row in api.get("/apis/example.com/v1")["resources"]}
    assert rows["widgets"]["shortNames"] == ["wd"]
    assert "example.com" in [group["name"] for group in api.get("/apis")["groups"]]
    with api.watch(things, new["metadata"]["resourceVersion"]) as events:
        api.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com")
        assert events.rest() == [("DELETED", "w")]
    assert api.call("GET", things).status == 404


def test_a_custom_kind_with_a_status_subresource(api: Api) -> None:
    """Where the definition says so, status and spec are written apart, and the status takes no metadata along."""
    api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd(subresources={"status": {}}))
    path = "/apis/example.com/v1/namespaces/red/widgets"
    assert "status" not in api.post(path, {"metadata": {"name": "w"}, "status": {"is": "free"}})
    patch = {"status": {"is": "free"}, "metadata": {"annotations": {"a": "b"}}, "spec": {"x": 1}}
    new = api.patch(f"{path}/w/status", patch)
    assert new["status"] == {"is": "free"}
    assert "annotations" not in new["metadata"]
    assert "spec" not in new


def test_the_versions_of_a_custom_kind_show_the_same_objects(api: Api) -> None:
    """AKO's HostRule is there from the start; what is written in one version is read in the other."""
    old, new = (f"/apis/ako.vmware.com/{version}/namespaces/red/hostrules" for version in ("v1alpha1", "v1beta1"))
    api.post(old, {"metadata": {"name": "hr"}, "spec": {"virtualhost": {"fqdn": "a.example.com"}}})
    seen = api.get(f"{new}/hr")
    assert (seen["apiVersion"], seen["spec"]) == ("ako.vmware.com/v1beta1", {"virtualhost": {"fqdn": "a.example.com"}})
    assert api.get(old)["items"][0]["apiVersion"] == "ako.vmware.com/v1alpha1"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"metadata": {"name": "wrong"}}, "metadata.name"),
        ({"spec": {**crd()["spec"], "scope": "Universe"}}, "spec.scope: Unsupported value"),
        ({"spec": {**crd()["spec"], "versions": []}}, "exactly one version"),
        ({"spec": {}}, "spec.group: Required value"),
    ],
)
def test_what_is_no_definition(api: Api, change: dict[str, Any], text: str) -> None:
    """A CustomResourceDefinition that cannot be served is 422."""
    answer = api.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {**crd(), **change})
    assert answer.status == 422
    assert text in answer["message"]


def test_events_have_two_faces(api: Api) -> None:
    """An Event written through core/v1 is read through events.k8s.io/v1 under its names there, and the other way."""
    core, new = f"{RED}/events", "/apis/events.k8s.io/v1/namespaces/red/events"
    about = {"kind": "Ingress", "name": "ing", "namespace": "red"}
    api.post(core, {"metadata": {"name": "e1"}, "involvedObject": about, "message": "hello", "count": 2})
    api.post(new, {"metadata": {"name": "e2"}, "regarding": about, "note": "there", "reportingController": "me"})
    seen = {item["metadata"]["name"]: item for item in api.get(new)["items"]}
    assert seen["e1"]["note"] == "hello"
    assert (seen["e1"]["regarding"], seen["e1"]["deprecatedCount"]) == (about, 2)
    back = api.get(f"{core}/e2")
    assert (back["apiVersion"], back["message"], back["reportingComponent"]) == ("v1", "there", "me")
    assert api.names(f"{core}?fieldSelector=involvedObject.name%3Ding,involvedObject.kind%3DIngress") == ["e1", "e2"]
