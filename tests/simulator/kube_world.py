"""An API server emulator for tests: in a thread, over real HTTP, with a plain client."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from simulator.kube.app import KubeSimulator
from simulator.server import running

JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
RED = "/api/v1/namespaces/red"
INGRESSES = "/apis/networking.k8s.io/v1/namespaces/red/ingresses"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/red/endpointslices"


class Answer(dict[str, Any]):
    """A JSON answer with its HTTP status."""

    status: int
    text: str


class Api:
    """JSON in and out."""

    def __init__(self, url: str, simulator: KubeSimulator) -> None:
        self.url = url
        self.simulator = simulator
        self.http = requests.Session()
        self.http.trust_env = False

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json", **headers: str) -> Answer:
        data = body if isinstance(body, bytes | None) else json.dumps(body)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = self.http.request(
            method, self.url + path, data=data, headers={"Content-Type": kind, **names}, timeout=20
        )
        is_json = reply.headers.get("content-type", "").startswith("application/json")
        answer = Answer(reply.json() if is_json and reply.content else {})
        answer.status, answer.text = reply.status_code, reply.text
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return good(self.call("GET", path, **headers))

    def post(self, path: str, body: Any) -> Answer:
        return good(self.call("POST", path, body), 201)

    def put(self, path: str, body: Any) -> Answer:
        return good(self.call("PUT", path, body))

    def patch(self, path: str, body: Any, kind: str = MERGE_PATCH) -> Answer:
        return good(self.call("PATCH", path, body, kind))

    def delete(self, path: str, body: Any = None) -> Answer:
        return good(self.call("DELETE", path, body))

    def names(self, path: str) -> list[str]:
        return [item["metadata"]["name"] for item in self.get(path)["items"]]

    def control(self, path: str, body: Any = None, method: str = "") -> Any:
        answer = self.call(method or ("GET" if body is None else "POST"), f"/simulator/{path}", body)
        assert answer.status in {200, 204}, answer.text
        return dict(answer)

    @contextmanager
    def watch(self, path: str, version: str = "", **query: Any) -> Iterator[Events]:
        """An open watch, read event by event."""
        params = {"watch": "1", "resourceVersion": version, **query}
        reply = self.http.get(self.url + path, params=params, stream=True, timeout=20)
        assert reply.status_code == 200, reply.text
        try:
            yield Events(reply)
        finally:
            reply.close()


class Events:
    """The events of a watch as (type, name or version or code), or whole."""

    def __init__(self, reply: requests.Response) -> None:
        self._lines = reply.iter_lines(chunk_size=None)

    def next(self) -> dict[str, Any]:
        return dict(json.loads(next(self._lines)))

    def take(self, count: int) -> list[tuple[str, str]]:
        return [shown(self.next()) for _ in range(count)]

    def rest(self) -> list[tuple[str, str]]:
        return [shown(json.loads(line)) for line in self._lines]


def shown(event: dict[str, Any]) -> tuple[str, str]:
    obj = event["object"]
    return event["type"], obj["metadata"].get("name") or str(obj.get("code", ""))


def good(answer: Answer, status: int = 200) -> Answer:
    assert answer.status == status, f"{answer.status} {answer.text}"
    return answer


@contextmanager
def cluster(**options: Any) -> Iterator[Api]:
    """A fresh world with a namespace `red`."""
    simulator = KubeSimulator(**options)
    simulator.loader.load(b'{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "red"}}')
    with running(simulator.handle) as server:
        api = Api(server.url, simulator)
        yield api
        api.http.close()


def config(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    spec = {"ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def ingress(name: str = "ing", host: str = "a.example.com", **path: Any) -> dict[str, Any]:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend, **path}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name},
        "spec": {"rules": [{"host": host, "http": {"paths": paths}}]},
    }


def lease(holder: str) -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "leader"},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15},
    }


def crd(plural: str = "widgets", kind: str = "Widget", group: str = "example.com", **version: Any) -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "shortNames": ["wd"]},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema, **version}],
        },
    }


def elapsed(began: float) -> float:
    return time.monotonic() - began
