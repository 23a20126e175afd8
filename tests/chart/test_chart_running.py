"""The processes as the chart runs them: its command lines, variables and files, and no right beyond its roles."""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
import requests
import yaml

from cli.stack import EXAMPLE, Stack
from tests.chart.rendering import NAMESPACE, ROOT, container, environment, of, one, render, workloads
from tests.chart.test_chart_rights import LEASES, Right, granted
from tests.support import free_port, wait_for

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def redis_user(url: str) -> str:
    """Makes the user that the install page describes; the URL with which it comes."""
    (command,) = re.findall(r"`(ACL SETUSER [^`]+)`", (ROOT / "docs/install-helm.md").read_text())
    client = redis.Redis.from_url(url)
    client.execute_command(*command.replace("PASSWORD", "secret").replace("CLUSTERNAME", "demo").split())
    client.close()
    return re.sub("//.*@|//", "//ako:secret@", url)


def values_of(stack: Stack) -> dict[str, Any]:
    """The example's values with controller, credentials and Redis of this stack."""
    values: dict[str, Any] = yaml.safe_load((EXAMPLE / "values.yaml").read_text())
    authority = (stack.directory / "avi-ca.pem").read_text()
    return values | {
        "ControllerSettings": {**values["ControllerSettings"], "controllerHost": stack.environ["CTRL_IPADDRESS"]},
        "pipeline": {"redisURL": redis_user(stack.redis_url), "concurrency": 4},
        "avicredentials": {
            "username": "admin",
            "password": stack.environ["CTRL_PASSWORD"],
            "certificateAuthorityData": authority,
        },
    }


class Pods:
    """Watcher and worker with what their pods have; `/etc/ako` lies in `folder`."""

    def __init__(self, stack: Stack, manifests: list[dict[str, Any]], folder: Path) -> None:
        self.stack = stack
        self.manifests = manifests
        self.folder = folder
        self.http = requests.Session()
        self.http.trust_env = False
        self.urls: dict[str, str] = {}
        self.secrets = {
            each["metadata"]["name"]: {key: base64.b64decode(text).decode() for key, text in each["data"].items()}
            for each in of(manifests, "Secret")
        }

    def start(self, component: str) -> None:
        template = workloads(self.manifests)[component]
        volumes = {each["name"]: each for each in template["spec"]["volumes"]}
        for mount in container(template)["volumeMounts"]:
            self._mount(mount["mountPath"], volumes[mount["name"]])
        port = free_port()  # a pod has an address of its own, and here both are on one
        line = [f"--health-port={port}" if "--health-port" in word else word for word in container(template)["args"]]
        given = {name: self._value(component, value) for name, value in environment(template).items()}
        outside = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        environ = outside | given | {"KUBECONFIG": str(self.stack.kubeconfig), "HOME": str(self.folder)}
        self.stack.family.spawn(component, [sys.executable, "-m", "cli", *line], environ)
        self.urls[component] = f"http://127.0.0.1:{port}"

    def answers(self, component: str, path: str) -> bool:
        try:
            return self.http.get(self.urls[component] + path, timeout=5).ok
        except requests.ConnectionError:
            return False

    def _mount(self, path: str, volume: dict[str, Any]) -> None:
        here = self.folder / path.lstrip("/")
        here.mkdir(parents=True, exist_ok=True)
        if "configMap" in volume:
            content = one(self.manifests, "ConfigMap", volume["configMap"]["name"])["data"]
        else:
            content = self.secrets[volume["secret"]["secretName"]] if "secret" in volume else {}
        for name, text in content.items():
            (here / name).write_text(text)

    def _value(self, component: str, value: Any) -> str:
        if isinstance(value, str):
            return str(self.folder / value.lstrip("/"))
        if "secretKeyRef" in value:
            return self.secrets[value["secretKeyRef"]["name"]][value["secretKeyRef"]["key"]]
        fields = {"metadata.name": component, "metadata.namespace": NAMESPACE, "metadata.uid": f"uid-{component}"}
        return fields[value["fieldRef"]["fieldPath"]]


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    directory = tmp_path / "stack"
    directory.mkdir()
    stack = Stack(directory, workers=0, watcher=False, tls=True, kube_args=["--load", str(EXAMPLE / "manifests")])
    try:
        stack.start_outside()
        yield Pods(stack, render(values_of(stack)), tmp_path / "root")
    finally:
        stack.stop()


def right_of(method: str, target: str) -> Right | None:
    """The right that a call needs; None for what every account may read."""
    parts = urlsplit(target)
    words = parts.path.strip("/").split("/")
    words = words[1:] if words[0] == "api" else words[1:] and [words[1], *words[2:]]
    group = "" if parts.path.startswith("/api/") else words.pop(0) if words else ""
    rest = words[1:]
    if not rest:
        return None
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    name = rest[1] if len(rest) > 1 else ""
    resource = "/".join([rest[0], *rest[2:]])
    verb = VERBS.get(method) or ("watch" if "watch" in parse_qs(parts.query) else "get" if name else "list")
    if group == LEASES:
        return verb, group, resource, name or "new"
    return verb, group, resource, ""


def test_rights_are_read_off_calls() -> None:
    """The reading of paths below is right, so that a right that is missing would be seen."""
    assert right_of("GET", "/api/v1/secrets?limit=500") == ("list", "", "secrets", "")
    assert right_of("GET", "/api/v1/secrets?watch=1") == ("watch", "", "secrets", "")
    assert right_of("GET", "/api/v1/namespaces/red/secrets/tls") == ("get", "", "secrets", "")
    assert right_of("GET", "/api/v1/namespaces?limit=500") == ("list", "", "namespaces", "")
    ingress = "/apis/networking.k8s.io/v1/namespaces/red/ingresses/web"
    assert right_of("PATCH", f"{ingress}/status") == ("patch", "networking.k8s.io", "ingresses/status", "")
    lease = "/apis/coordination.k8s.io/v1/namespaces/avi-system/leases"
    assert right_of("POST", lease) == ("create", LEASES, "leases", "new")
    assert right_of("PUT", f"{lease}/x") == ("update", LEASES, "leases", "x")
    assert right_of("GET", "/apis") is None


def test_the_pods_serve_the_example_within_their_rights(pods: Pods) -> None:
    """With the chart's variables and files alone every Ingress is served, and each call is one that a role allows."""
    api = pods.stack.kube_client()
    pods.stack.kube_control("audit", method="DELETE")
    for component in ("watcher", "worker"):
        pods.start(component)

    def served() -> Any:
        ingresses = api.get("/apis/networking.k8s.io/v1/ingresses")["items"]
        return ingresses and all(
            (each.get("status") or {}).get("loadBalancer", {}).get("ingress") for each in ingresses
        )

    for component in pods.urls:
        wait_for(lambda which=component: pods.answers(which, "/readyz"), seconds=40, what=f"{component} to be ready")
    wait_for(served, seconds=30, what="a status of every Ingress")
    allowed = granted(pods.manifests, "watcher") | granted(pods.manifests, "worker")
    calls = [
        right_of(each["method"], each["path"])
        for each in pods.stack.kube_control("audit")["calls"]
        if each["path"] != "/apis/networking.k8s.io/v1/ingresses"  # our own look above
    ]
    done = {right for right in calls if right is not None}
    assert done <= allowed
    assert {("get", "", "secrets", ""), ("patch", "networking.k8s.io", "ingresses/status", "")} <= done
