"""kubectl and the command line: the emulator as a process with the kubeconfig that it writes."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.simulator.kube_world import crd, ingress, service
from tests.support import wait_for

# kubectl is no Python package: a machine without it can't run these, and says so.
pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl on PATH")

MANIFEST = """
apiVersion: v1
kind: Namespace
metadata: {name: red}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: red}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: ing, namespace: red}
spec:
  ingressClassName: avi-lb
  rules:
    - host: a.example.com
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
"""


class Emulator:
    """The process, and kubectl for it."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        self.kubeconfig = directory / "kubeconfig"
        ready = directory / "ready.json"
        files = ["--kubeconfig-out", str(self.kubeconfig), "--ready-file", str(ready)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "simulator.kube", *files, *arguments], stdout=subprocess.PIPE, text=True
        )
        wait_for(lambda: ready.exists() or self.process.poll() is not None, what="the emulator's start")
        self.ready: dict[str, Any] = json.loads(ready.read_text())

    def kubectl(self, *words: str, stdin: str = "", fails: bool = False) -> str:
        command = ["kubectl", "--kubeconfig", str(self.kubeconfig), "--cache-dir", str(self.directory / "cache")]
        done = subprocess.run([*command, *words], input=stdin, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    if shutil.which("kubectl") is None:
        pytest.fail("kubectl is needed for this test: https://kubernetes.io/docs/tasks/tools/")
    directory = tmp_path_factory.mktemp("emulator")
    definition = directory / "crd.json"
    columns = [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]
    definition.write_text(json.dumps(crd(additionalPrinterColumns=columns)))
    seed = directory / "seed.yaml"
    seed.write_text(MANIFEST)
    emulator = Emulator(directory, "--tls", "--token", "t0ken", "--crd", str(definition), "--load", str(seed))
    yield emulator
    assert emulator.stop() == 0


def test_the_files_of_the_process(emulator: Emulator) -> None:
    """The ready file names URL and process; the kubeconfig carries the token and is for its owner only."""
    assert emulator.ready["pid"] == emulator.process.pid
    assert emulator.ready["url"].startswith("https://127.0.0.1:")
    config = yaml.safe_load(emulator.kubeconfig.read_text())
    where = config["clusters"][0]["cluster"]
    assert where["server"] == emulator.ready["url"]
    assert config["users"][0]["user"] == {"token": "t0ken"}
    assert emulator.kubeconfig.stat().st_mode & 0o077 == 0
    authority = emulator.directory / "ca.pem"
    authority.write_bytes(base64.b64decode(where["certificate-authority-data"]))
    assert requests.get(f"{where['server']}/api", timeout=5, verify=str(authority)).status_code == 401


def test_get_prints_tables(emulator: Emulator) -> None:
    """`kubectl get` shows the usual columns, for a custom kind those of its definition."""
    patch = json.dumps({"status": {"loadBalancer": {"ingress": [{"ip": "10.10.0.1"}, {"ip": "2001:db8:10::1"}]}}})
    emulator.kubectl("-n", "red", "patch", "ing", "ing", "--subresource=status", "--type=merge", "-p", patch)
    lines = [line.split() for line in emulator.kubectl("get", "ing", "-A").splitlines()]
    assert lines[0] == ["NAMESPACE", "NAME", "CLASS", "HOSTS", "ADDRESS", "PORTS", "AGE"]
    assert lines[1][:6] == ["red", "ing", "avi-lb", "a.example.com", "10.10.0.1,2001:db8:10::1", "80"]
    service_line = emulator.kubectl("-n", "red", "get", "svc", "web", "--no-headers", "-o", "wide").split()
    assert [service_line[n] for n in (0, 1, 3, 4, 6)] == ["web", "ClusterIP", "<none>", "80/TCP", "app=web"]
    emulator.kubectl(
        "apply", "-f", "-", stdin="apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 7}"
    )
    assert emulator.kubectl("get", "wd").split() == ["NAME", "SIZE", "w", "7"]
    assert emulator.kubectl("-n", "red", "get", "svc,ing", "-o", "name").split() == [
        "service/web",
        "ingress.networking.k8s.io/ing",
    ]


def test_apply_and_delete(emulator: Emulator) -> None:
    """`apply` creates, changes only what differs and takes back what was removed; `delete` waits for the end."""
    manifest = MANIFEST.replace("red", "blue")
    assert emulator.kubectl("apply", "-f", "-", stdin=manifest).count(" created") == 3
    assert emulator.kubectl("apply", "-f", "-", stdin=manifest).count(" unchanged") == 3
    changed = manifest.replace("targetPort: 8080", "targetPort: 9090").replace("selector: {app: web}, ", "")
    assert emulator.kubectl("apply", "-f", "-", stdin=changed).count(" configured") == 1
    spec = json.loads(emulator.kubectl("-n", "blue", "get", "svc", "web", "-o", "json"))["spec"]
    assert ([port["targetPort"] for port in spec["ports"]], "selector" in spec) == ([9090], False)
    assert "deleted" in emulator.kubectl("delete", "-f", "-", stdin=manifest)
    assert "NotFound" in emulator.kubectl("get", "ns", "blue", fails=True)


def test_server_side_apply_and_edits(emulator: Emulator) -> None:
    """Server-side apply, create, patch, label, annotate and replace do what they say."""
    manifest = json.dumps(service("ssa"))
    assert "serverside-applied" in emulator.kubectl("-n", "red", "apply", "--server-side", "-f", "-", stdin=manifest)
    emulator.kubectl("-n", "red", "create", "-f", "-", stdin=json.dumps(ingress("made")))
    emulator.kubectl("-n", "red", "label", "svc", "ssa", "tier=web")
    emulator.kubectl("-n", "red", "annotate", "svc", "ssa", "note=1", "other=2")
    emulator.kubectl("-n", "red", "annotate", "svc", "ssa", "note-", "other=3", "--overwrite")
    emulator.kubectl("-n", "red", "patch", "svc", "ssa", "-p", '{"spec": {"ports": [{"port": 80, "name": "http"}]}}')
    found = json.loads(emulator.kubectl("-n", "red", "get", "svc", "-l", "tier=web", "-o", "json"))["items"]
    assert [item["metadata"]["annotations"] for item in found] == [{"other": "3"}]
    assert [port["name"] for port in found[0]["spec"]["ports"]] == ["http"]
    found[0]["spec"]["ports"][0]["port"] = 81
    emulator.kubectl("replace", "-f", "-", stdin=json.dumps(found[0]))
    stale = emulator.kubectl("replace", "-f", "-", stdin=json.dumps(found[0] | {"spec": {}}), fails=True)
    assert "the object has been modified" in stale


def test_refusals_are_readable(emulator: Emulator) -> None:
    """What the server refuses reaches the user as a sentence."""
    bad = json.dumps(ingress("bad", pathType=None))
    assert "pathType must be specified" in emulator.kubectl("-n", "red", "apply", "-f", "-", stdin=bad, fails=True)
    assert "AlreadyExists" in emulator.kubectl("create", "ns", "red", fails=True)


def test_describe_events_and_permissions(emulator: Emulator) -> None:
    """`describe` shows an object with its Events, `events` lists them, `auth can-i` asks for a permission."""
    about = {"kind": "Ingress", "name": "ing", "namespace": "red", "uid": ""}
    uid = emulator.kubectl("-n", "red", "get", "ing", "ing", "-o", "jsonpath={.metadata.uid}")
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "ing.1", "namespace": "red"},
        "involvedObject": {**about, "uid": uid},
        "reason": "Synced",
        "message": "Added virtualservice",
        "type": "Normal",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "source": {"component": "ako-celery"},
    }
    emulator.kubectl("create", "-f", "-", stdin=json.dumps(event))
    described = emulator.kubectl("-n", "red", "describe", "ing", "ing")
    assert "a.example.com" in described
    assert "Added virtualservice" in described
    assert "ingress/ing" in emulator.kubectl("-n", "red", "get", "events")
    assert emulator.kubectl("auth", "can-i", "list", "secrets").strip() == "yes"


def test_objects_made_from_the_command_line(emulator: Emulator) -> None:
    """`kubectl create <kind>` sends Protocol Buffers, which arrive as they were meant."""
    create = ("-n", "made", "create")
    emulator.kubectl("create", "namespace", "made")
    emulator.kubectl(*create, "secret", "generic", "s", "--from-literal=a=b", "--type=x/y")
    emulator.kubectl(*create, "configmap", "c", "--from-literal=a=ö")
    emulator.kubectl(*create, "service", "nodeport", "web", "--tcp=80:http", "--tcp=81:8081", "--node-port=30123")
    emulator.kubectl(*create, "ingress", "ing", "--class=avi-lb", "--rule=a.example.com/x*=web:80,tls=s",
                     "--annotation=k=v")  # fmt: skip
    found = json.loads(emulator.kubectl("-n", "made", "get", "secret,cm,svc,ing", "-o", "json"))["items"]
    secret, configs, web, ing = found
    assert (secret["data"], secret["type"]) == ({"a": "Yg=="}, "x/y")
    assert configs["data"] == {"a": "ö"}
    assert [(port["port"], port["targetPort"]) for port in web["spec"]["ports"]] == [(80, "http"), (81, 8081)]
    assert (web["spec"]["selector"], web["spec"]["type"]) == ({"app": "web"}, "NodePort")
    assert web["spec"]["ports"][1]["nodePort"] >= 30000
    assert ing["metadata"]["annotations"] == {"k": "v"}
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    path = {"path": "/x", "pathType": "Prefix", "backend": backend}
    assert ing["spec"] == {
        "ingressClassName": "avi-lb",
        "rules": [{"host": "a.example.com", "http": {"paths": [path]}}],
        "tls": [{"hosts": ["a.example.com"], "secretName": "s"}],
    }


def test_discovery_through_kubectl(emulator: Emulator) -> None:
    """`api-resources` and `version` understand the server."""
    names = set(emulator.kubectl("api-resources", "-o", "name").split())
    assert {"ingresses.networking.k8s.io", "services", "widgets.example.com", "hostrules.ako.vmware.com"} <= names
    assert "v1.32" in emulator.kubectl("version")


def test_a_watching_kubectl(emulator: Emulator) -> None:
    """`kubectl wait` sees a condition come true."""
    emulator.kubectl("create", "ns", "waited")
    done = emulator.kubectl("wait", "ns/waited", "--for=jsonpath={.status.phase}=Active", "--timeout=5s")
    assert "condition met" in done


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--load", "none.yaml"], "No such file"),
        (["--service-families", "IPv5"], "IPv4, IPv6 or both"),
        (["--bookmark-interval", "0"], "must be more than 0"),
        (["--load", "bad.yaml"], "bad.yaml: a Kubernetes object is expected"),
    ],
)
def test_arguments_that_cannot_be(tmp_path: Path, arguments: list[str], text: str) -> None:
    """A wrong argument ends the command with 2 and a sentence."""
    (tmp_path / "bad.yaml").write_text("just text")
    command = [sys.executable, "-m", "simulator.kube", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=20, check=False)
    assert done.returncode == 2
    assert text in done.stderr
