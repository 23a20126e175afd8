"""Access, discovery and the switches under /simulator."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.simulator.kube_world import INGRESSES, RED, Api, cluster, config, elapsed, ingress, service

CONFIGS = f"{RED}/configmaps"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@pytest.fixture
def api() -> Iterator[Api]:
    with cluster() as api:
        yield api


def test_a_token() -> None:
    """With a token every call but health and version needs it: 401 with a Status; a new one replaces it."""
    with cluster(token="first") as api:
        refused = api.call("GET", CONFIGS)
        assert (refused.status, refused["reason"], refused["message"]) == (401, "Unauthorized", "Unauthorized")
        assert api.call("GET", CONFIGS, Authorization="Bearer wrong").status == 401
        assert api.call("GET", "/readyz").text == "ok"
        assert api.get("/version")["major"] == "1"
        assert api.get(CONFIGS, Authorization="Bearer first")["items"] == []
        api.control("token", {"token": "second"})
        assert api.call("GET", CONFIGS, Authorization="Bearer first").status == 401
        assert api.get(CONFIGS, Authorization="Bearer second")["items"] == []


def review(api: Api, verb: str, resource: str, group: str = "", namespace: str = "") -> bool:
    attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
    answer = api.post(REVIEWS, {"spec": {"resourceAttributes": attributes}})
    return bool(answer["status"]["allowed"])


def test_denied_permissions(api: Api) -> None:
    """A deny rule answers 403 in the real server's words, for its verbs, resource and namespace only."""
    api.post(INGRESSES, ingress())
    assert review(api, "patch", "ingresses/status", "networking.k8s.io")
    api.control("deny", {"verbs": ["patch"], "group": "networking.k8s.io", "resource": "ingresses/status"})
    api.control("deny", {"verbs": ["list", "watch"], "resource": "secrets", "namespace": ""})
    denied = api.call("PATCH", f"{INGRESSES}/ing/status", {}, "application/merge-patch+json")
    assert (denied.status, denied["reason"]) == (403, "Forbidden")
    assert denied["message"] == (
        'ingresses.networking.k8s.io "ing" is forbidden: User "kubernetes-admin" cannot patch resource '
        '"ingresses/status" in API group "networking.k8s.io" in the namespace "red"'
    )
    api.patch(f"{INGRESSES}/ing", {"metadata": {"labels": {"a": "b"}}})
    assert "at the cluster scope" in api.call("GET", "/api/v1/secrets?watch=1")["message"]
    assert api.get(f"{RED}/secrets")["items"] == []
    assert not review(api, "patch", "ingresses/status", "networking.k8s.io", "red")
    assert review(api, "list", "secrets", namespace="red")
    assert not review(api, "list", "secrets")
    api.control("deny", method="DELETE")
    assert api.get("/api/v1/secrets")["items"] == []


def test_the_audit_log(api: Api) -> None:
    """Every call is there with its query, status and client, numbered on after a clearing; switches are not."""
    api.get(f"{CONFIGS}?limit=5")
    api.call("GET", f"{CONFIGS}/none")
    first, second = api.control("audit")["calls"]
    assert (first["method"], first["path"], first["status"]) == ("GET", f"{CONFIGS}?limit=5", 200)
    assert first["agent"].startswith("python-requests")
    assert (second["status"], second["error"]) == (404, 'configmaps "none" not found')
    assert api.control(f"audit?since={first['n']}")["calls"] == [second]
    api.control("audit", method="DELETE")
    assert api.control("audit")["calls"] == []
    api.post(CONFIGS, config("a"))
    assert [call["n"] for call in api.control("audit")["calls"]] == [second["n"] + 1]


def test_a_fault_with_a_status(api: Api) -> None:
    """The next matching calls, after those that are skipped, get the status and its headers, then all is well."""
    fault = {
        "method": "POST",
        "path": "/configmaps",
        "status": 429,
        "count": 2,
        "skip": 1,
        "headers": {"Retry-After": "7"},
    }
    api.control("faults", fault)
    statuses = [api.call("POST", CONFIGS, config(f"c{n}")).status for n in range(5)]
    assert statuses == [201, 429, 429, 201, 201]
    assert api.names(CONFIGS) == ["c0", "c3", "c4"]
    assert api.control("faults") == {"faults": []}
    api.control("faults", {"path": "secrets", "status": 503, "count": -1, "reason": "Custom"})
    assert [api.call("GET", f"{RED}/secrets")["reason"] for _ in range(3)] == ["Custom"] * 3
    api.control("faults", method="DELETE")
    api.get(f"{RED}/secrets")


@pytest.mark.parametrize(("when", "names"), [("before", []), ("after", ["a"])])
def test_a_fault_that_cuts_the_connection(api: Api, when: str, names: list[str]) -> None:
    """`reset` ends the call without an answer, before or after it has taken effect."""
    api.control("faults", {"method": "POST", "reset": when})
    with pytest.raises(requests.exceptions.ConnectionError):
        api.call("POST", CONFIGS, config("a"))
    assert api.names(CONFIGS) == names
    assert [call["status"] for call in api.control("audit")["calls"]][:1] == [0]


def test_held_answers_and_latency(api: Api) -> None:
    """`timeout` holds one answer, `latency` every one."""
    api.control("faults", {"path": "configmaps", "timeout": 0.3})
    began = time.monotonic()
    api.get(CONFIGS)
    assert elapsed(began) >= 0.3
    api.control("latency", {"ms": 100})
    began = time.monotonic()
    api.get(CONFIGS)
    assert 0.1 <= elapsed(began) < 0.3


def test_loading(api: Api) -> None:
    """Objects in any order are created or replaced with their status and unvalidated, as JSON or YAML."""
    strange = ingress("strange")
    strange["metadata"]["namespace"] = "blue"
    del strange["spec"]["rules"][0]["http"]["paths"][0]["pathType"]
    status = {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "blue"}}
    assert api.control("load", [{**strange, "status": status}, space]) == {"created": 2, "changed": 0, "unchanged": 0}
    path = "/apis/networking.k8s.io/v1/namespaces/blue/ingresses/strange"
    assert api.get(path)["status"] == status
    assert api.control("load", {"kind": "List", "items": [strange]})["unchanged"] == 1
    strange["spec"]["ingressClassName"] = "x"
    assert api.control("load", strange)["changed"] == 1
    assert api.get(path)["status"] == status
    text = b"---\napiVersion: v1\nkind: Service\nmetadata: {name: y, namespace: blue}\nspec: {}\n---\n---\n"
    assert api.control("load", text)["created"] == 1
    assert api.get("/api/v1/namespaces/blue/services/y")["spec"]["ipFamilies"] == ["IPv4"]


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        ("load", b"a: [", "neither JSON nor YAML"),
        ("load", ["text"], "a Kubernetes object is expected"),
        ("load", {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "x"}}, "Thing x: no Thing of v1 is served"),
        ("load", {**service(), "spec": "no"}, "Service web: Service in version"),
        ("load", {**config("x"), "metadata": {"name": "x", "namespace": "none"}}, 'namespaces "none" not found'),
        ("faults", {"path": "x"}, "a fault has exactly one of"),
        ("faults", {"path": "(", "reset": True}, "error"),
        ("faults", {"status": 500, "when": "later"}, "before or after"),
        ("watches", {"action": "shout"}, "close, reset, silence or resume"),
        ("deny", {"verb": "get"}, "a deny rule has"),
        ("latency", [], "Error"),
        ("nothing", {}, "no such switch"),
    ],
)
def test_a_switch_that_makes_no_sense(api: Api, path: str, body: Any, text: str) -> None:
    """A wrong use of a switch is 4xx with a sentence."""
    answer = api.call("POST", f"/simulator/{path}", body)
    assert 400 <= answer.status < 500
    assert text in answer["error"]


def test_cpu(api: Api) -> None:
    """The process tells its CPU seconds."""
    assert api.control("cpu")["seconds"] > 0


def test_discovery(api: Api) -> None:
    """Groups, versions and resources are listed as clients expect them, the core group included."""
    assert api.get("/api")["versions"] == ["v1"]
    rows = {row["name"]: row for row in api.get("/api/v1")["resources"]}
    assert rows["services"]["shortNames"] == ["svc"]
    assert rows["services/status"]["verbs"] == ["get", "patch", "update"]
    assert (rows["namespaces"]["namespaced"], rows["services"]["namespaced"]) == (False, True)
    groups = {group["name"]: group for group in api.get("/apis")["groups"]}
    assert {"networking.k8s.io", "discovery.k8s.io", "coordination.k8s.io", "events.k8s.io"} <= set(groups)
    assert groups["ako.vmware.com"]["preferredVersion"]["version"] == "v1beta1"
    assert api.get("/apis/networking.k8s.io")["preferredVersion"]["groupVersion"] == "networking.k8s.io/v1"
    assert api.get("/apis/crd.projectcalico.org/v1")["resources"][0]["name"] == "blockaffinities"
    for path in ("/apis/none", "/apis/none/v1", "/api/v2", "/nothing", "/openapi/v3/apis/none/v1", "/openapi/v2"):
        assert api.call("GET", path).status == 404, path


def test_usual_kinds_can_be_left_out() -> None:
    """Without them Calico's and AKO's kinds are not served."""
    with cluster(usual_crds=False) as api:
        assert api.call("GET", "/apis/crd.projectcalico.org/v1/blockaffinities").status == 404
        assert api.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"] == []
