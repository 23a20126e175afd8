"""JSON patch, merge patch, strategic merge patch and server-side apply, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulator.kube_world import (
    APPLY_PATCH,
    INGRESSES,
    JSON_PATCH,
    RED,
    STRATEGIC_PATCH,
    Api,
    cluster,
    config,
    ingress,
    service,
)

CONFIGS = f"{RED}/configmaps"
WEB = f"{RED}/services/web"


@pytest.fixture
def api() -> Iterator[Api]:
    with cluster() as api:
        yield api


def test_merge_patch(api: Api) -> None:
    """Objects are merged, null removes, lists are replaced, also below an object that was not there."""
    api.post(CONFIGS, config("a", x="1", y="2"))
    new = api.patch(f"{CONFIGS}/a", {"data": {"x": None, "z": "3"}, "metadata": {"labels": {"l": "1", "m": None}}})
    assert new["data"] == {"y": "2", "z": "3"}
    assert new["metadata"]["labels"] == {"l": "1"}
    api.post(INGRESSES, ingress())
    both = [{"ip": "10.0.0.1", "hostname": "a"}, {"ip": "fd00::1", "hostname": "a"}]
    api.patch(f"{INGRESSES}/ing/status", {"status": {"loadBalancer": {"ingress": both}}})
    new = api.patch(f"{INGRESSES}/ing/status", {"status": {"loadBalancer": {"ingress": both[1:]}}})
    assert new["status"]["loadBalancer"]["ingress"] == both[1:]
    new = api.patch(f"{INGRESSES}/ing/status", {"status": {"loadBalancer": {"ingress": None}}})
    assert new["status"] == {"loadBalancer": {}}


def test_json_patch(api: Api) -> None:
    """Operations apply in order, with escapes in the pointer and `-` as the end of a list."""
    api.post(INGRESSES, ingress())
    operations = [
        {"op": "test", "path": "/spec/rules/0/host", "value": "a.example.com"},
        {"op": "add", "path": "/metadata/annotations", "value": {}},
        {"op": "add", "path": "/metadata/annotations/a~1b~0c", "value": "x"},
        {"op": "copy", "from": "/spec/rules/0", "path": "/spec/rules/-"},
        {"op": "replace", "path": "/spec/rules/1/host", "value": "b.example.com"},
        {"op": "add", "path": "/spec/rules/0", "value": {"host": "c.example.com"}},
        {"op": "move", "from": "/metadata/annotations/a~1b~0c", "path": "/metadata/annotations/d"},
        {"op": "remove", "path": "/spec/rules/1"},
    ]
    new = api.patch(f"{INGRESSES}/ing", operations, JSON_PATCH)
    assert [rule["host"] for rule in new["spec"]["rules"]] == ["c.example.com", "b.example.com"]
    assert new["metadata"]["annotations"] == {"d": "x"}


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        ({"op": "test", "path": "/data/x", "value": "2"}, 422),
        ({"op": "remove", "path": "/data/none"}, 422),
        ({"op": "replace", "path": "/data/none", "value": "1"}, 422),
        ({"op": "add", "path": "data"}, 422),
        ({"op": "shout", "path": "/data"}, 422),
        ({"op": "replace", "path": "", "value": "all of it"}, 400),
        ("add", 400),
    ],
)
def test_a_json_patch_that_does_not_apply(api: Api, operation: Any, status: int) -> None:
    """An operation that cannot be carried out refuses the whole patch, and nothing changes."""
    made = api.post(CONFIGS, config("a", x="1"))
    patch = [{"op": "add", "path": "/data/y", "value": "1"}, operation]
    assert api.call("PATCH", f"{CONFIGS}/a", patch, JSON_PATCH).status == status
    assert api.get(f"{CONFIGS}/a") == made


def test_a_strategic_patch_merges_ports_by_port(api: Api) -> None:
    """Ports are found by their number; directives delete, order and replace."""
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    api.post(f"{RED}/services", service(ports=ports))

    def patched(spec: dict[str, Any]) -> list[tuple[str, int, Any]]:
        found = api.patch(WEB, {"spec": spec}, STRATEGIC_PATCH)["spec"]["ports"]
        return [(port["name"], port["port"], port["targetPort"]) for port in found]

    assert patched({"ports": [{"port": 81, "targetPort": 8081}]}) == [("a", 80, 80), ("b", 81, 8081)]
    assert patched({"ports": [{"port": 82, "name": "c"}, {"port": 80, "$patch": "delete"}]}) == [
        ("b", 81, 8081),
        ("c", 82, 82),
    ]
    assert patched({"$setElementOrder/ports": [{"port": 82}, {"port": 81}]}) == [("c", 82, 82), ("b", 81, 8081)]
    assert patched({"ports": [{"$patch": "replace"}, {"port": 90, "name": "z"}]}) == [("z", 90, 90)]


def test_a_strategic_patch_of_other_lists(api: Api) -> None:
    """Addresses and conditions are merged by type, finalizers as a set, an Ingress's rules are replaced."""
    addresses = [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "n"}]
    api.post("/api/v1/nodes", {"metadata": {"name": "n"}, "status": {"addresses": addresses}})
    patch = {"status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.2"}]}}
    new = api.patch("/api/v1/nodes/n/status", patch, STRATEGIC_PATCH)
    assert [item["address"] for item in new["status"]["addresses"]] == ["10.0.0.2", "n"]
    finalizers = [{"finalizers": ["a/b"]}, {"finalizers": ["c/d"]}, {"$deleteFromPrimitiveList/finalizers": ["a/b"]}]
    api.post(CONFIGS, config("a"))
    for part in finalizers:
        new = api.patch(f"{CONFIGS}/a", {"metadata": part}, STRATEGIC_PATCH)
    assert new["metadata"]["finalizers"] == ["c/d"]
    api.post(INGRESSES, ingress())
    rules = ingress(host="b.example.com")["spec"]["rules"]
    assert len(api.patch(f"{INGRESSES}/ing", {"spec": {"rules": rules}}, STRATEGIC_PATCH)["spec"]["rules"]) == 1
    api.patch(f"{CONFIGS}/a", {"data": {"x": "1"}}, STRATEGIC_PATCH)
    assert api.patch(f"{CONFIGS}/a", {"data": {"$patch": "replace", "y": "2"}}, STRATEGIC_PATCH)["data"] == {"y": "2"}


def test_a_patch_of_an_unknown_kind_is_refused(api: Api) -> None:
    """415 for a content type that is no patch, and for a strategic patch of a custom object; 404 for no object."""
    api.post(CONFIGS, config("a"))
    assert api.call("PATCH", f"{CONFIGS}/a", {}, "application/json").status == 415
    hosts = "/apis/ako.vmware.com/v1beta1/namespaces/red/hostrules"
    api.post(hosts, {"metadata": {"name": "h"}})
    refused = api.call("PATCH", f"{hosts}/h", {"spec": {}}, STRATEGIC_PATCH)
    assert (refused.status, refused["reason"]) == (415, "UnsupportedMediaType")
    assert api.call("PATCH", f"{CONFIGS}/none", {}, "application/merge-patch+json").status == 404


def applied(api: Api, body: dict[str, Any], manager: str = "me", *, force: bool = False, status: int = 200) -> Any:
    force_ = "&force=true" if force else ""
    answer = api.call("PATCH", f"{WEB}?fieldManager={manager}{force_}", body, APPLY_PATCH)
    assert answer.status == status, answer.text
    return answer


def test_apply_creates_merges_and_takes_back(api: Api) -> None:
    """Apply creates; what a manager leaves out of its next configuration goes, what others wrote stays."""
    first = service(ports=[{"name": "a", "port": 80}, {"name": "b", "port": 81}])
    first["metadata"]["annotations"] = {"mine": "1", "also": "2"}
    assert applied(api, first, status=201)["spec"]["ports"][1]["port"] == 81
    api.patch(WEB, {"metadata": {"annotations": {"theirs": "3"}}})
    second = service(ports=[{"name": "a", "port": 80, "targetPort": 8080}])
    second["metadata"]["annotations"] = {"mine": "1"}
    new = applied(api, second)
    assert new["metadata"]["annotations"] == {"mine": "1", "theirs": "3"}
    assert [(port["name"], port["targetPort"]) for port in new["spec"]["ports"]] == [("a", 8080)]
    version = new["metadata"]["resourceVersion"]
    assert applied(api, second)["metadata"]["resourceVersion"] == version


def test_two_appliers_conflict(api: Api) -> None:
    """Two managers that want different values: 409 naming the field, unless forced; YAML is a fine body, too."""
    mine = service(sessionAffinity="ClientIP")
    applied(api, mine, status=201)
    other = {**mine, "spec": {**mine["spec"], "sessionAffinity": "None"}}
    conflict = applied(api, other, "other", status=409)
    assert 'conflicts with "me": .spec.sessionAffinity' in conflict["message"]
    assert applied(api, other, "other", force=True)["spec"]["sessionAffinity"] == "None"
    text = b"apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}, {port: 81, name: x}]}\n"
    answer = api.call("PATCH", f"{WEB}?fieldManager=yaml", text, APPLY_PATCH)
    assert answer.status == 422  # of two ports each needs a name
    assert api.call("PATCH", WEB, mine, APPLY_PATCH).status == 400  # without a manager
