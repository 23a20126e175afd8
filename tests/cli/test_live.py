"""Watcher and worker with settings that are wrong, mended, or changed into what a running process cannot take."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.processes import Child, Processes, module
from cli.stack import Stack
from tests.cli.test_command_line import MINIMAL, environment
from tests.support import wait_for

GOOD: dict[str, Any] = {
    "AKOSettings": {"clusterName": "c1"},
    "NetworkSettings": {"vipNetworkList": [{"networkName": "net1", "cidr": "10.10.0.0/16"}]},
    "ControllerSettings": {"controllerHost": "127.0.0.1:1"},
    "avicredentials": {"username": "admin", "password": "correct-horse"},
}
TYPO = {**GOOD, "AKOSettings": {"clusterName": "c1", "ipFamly": "V6"}}


class Runs:
    """One process of ours, its values file, and what it says of itself."""

    def __init__(self, command: str, folder: Path, kubeconfig: Path, redis_url: str, values: Any) -> None:
        self.values, self._ready = folder / "values.yaml", folder / "ready.json"
        self.write(values)
        self.processes = Processes(folder / "logs")
        arguments = ["--health-port", "0", "--ready-file", str(self._ready), "--values", str(self.values)]
        environ = environment(KUBECONFIG=str(kubeconfig), AKO_REDIS_URL=redis_url, POD_NAME="ako-0")
        self.child: Child = self.processes.spawn(command, module("cli", command, *arguments), environ)
        self.url = self.processes.wait_for_file(self.child, self._ready)["url"]

    def write(self, values: Any) -> None:
        self.values.write_text(yaml.safe_dump(values))

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def reasons(self) -> list[str]:
        return list(self.get("/readyz")[1]["reasons"])

    def log(self) -> str:
        return self.child.log.read_text()


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Redis and an API server, without any watcher or worker."""
    with Stack(tmp_path_factory.mktemp("outside"), workers=0, watcher=False) as stack:
        yield stack


@pytest.mark.parametrize("command", ["watcher", "worker"])
def test_a_typo_is_no_crash_and_mending_it_is_enough(command: str, tmp_path: Path, outside: Stack) -> None:
    """With a typo the process stays, unready, says it once in log, /readyz and Event; mended, it goes on by itself."""
    runs = Runs(command, tmp_path, outside.kubeconfig, outside.redis_url, TYPO)
    try:
        said = "AKOSettings.ipFamly: unknown key; write ipFamily"
        assert runs.get("/healthz")[0] == 200
        status, report = runs.get("/readyz")
        assert (status, report["ready"], report["reasons"]) == (503, False, [said])
        metrics = runs.metrics()
        assert f'ako_ready{{role="{command}"}} 0.0' in metrics
        assert "ako_redis_up 0.0" not in metrics  # where it is, the settings have to say first
        events = outside.kube_client().get("/api/v1/events")["items"]
        assert [each["message"] for each in events if each["reason"] == "InvalidSettings"] == [said]
        runs.write({**GOOD, "AKOSettings": {"clusterName": "c1", "logLevel": "INFO"}})
        wait_for(lambda: "the settings are usable" in runs.log(), seconds=15, what="the new settings")
        wait_for(lambda: runs.get("/readyz")[0] == 200, seconds=20, what="readiness")
        assert runs.log().count(said) == 1
        assert runs.child.alive
    finally:
        stubborn = runs.processes.stop()
    assert stubborn == []
    assert "Traceback" not in runs.log()
    assert "correct-horse" not in runs.log()


def test_missing_credentials_concern_the_worker_alone(tmp_path: Path, outside: Stack) -> None:
    """A worker that could not log in stays unready and names the settings to give; the watcher needs none."""
    values = {name: section for name, section in GOOD.items() if name != "avicredentials"}
    worker = Runs("worker", tmp_path, outside.kubeconfig, outside.redis_url, values)
    try:
        assert [reason.partition(":")[0] for reason in worker.reasons()] == [
            "avicredentials.username",
            "avicredentials.password",
        ]
    finally:
        worker.processes.stop()


def test_another_cluster_name_needs_a_restart(tmp_path: Path, outside: Stack) -> None:
    """A running process refuses a new clusterName, which would rename every object, and says what to do."""
    runs = Runs("watcher", tmp_path, outside.kubeconfig, outside.redis_url, GOOD)
    try:
        wait_for(lambda: runs.get("/readyz")[0] == 200, seconds=20, what="readiness")
        runs.write({**GOOD, "AKOSettings": {"clusterName": "c2"}})
        wait_for(lambda: runs.reasons() and "restart every process" in runs.reasons()[0], what="the refusal")
        assert runs.reasons()[0].startswith("AKOSettings.clusterName: changed from 'c1' to 'c2'")
        runs.write(GOOD)
        wait_for(lambda: runs.get("/readyz")[0] == 200, seconds=20, what="readiness")
    finally:
        runs.processes.stop()


def test_sigterm_ends_the_waiting_for_settings(tmp_path: Path, outside: Stack) -> None:
    """A process that waits for usable settings ends on SIGTERM, with exit code 0."""
    for command in ("watcher", "worker"):
        folder = tmp_path / command
        folder.mkdir()
        runs = Runs(command, folder, outside.kubeconfig, outside.redis_url, TYPO)
        assert runs.processes.stop() == []
        assert runs.child.process.returncode == 0


def test_the_configmap_wins_over_the_file(tmp_path: Path, outside: Stack) -> None:
    """With --configmap AKO's ConfigMap is read from the cluster, and a change of it counts within seconds."""
    kube = outside.kube_client()
    folder = "/api/v1/namespaces/avi-system/configmaps"
    configmap = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "avi-k8s-config", "namespace": "avi-system"},
        "data": {"clusterName": "c1", "ipFamily": "V7"},
    }
    runs = None
    kube.create(folder, configmap)
    try:
        (tmp_path / "values.yaml").write_text(yaml.safe_dump(GOOD))
        processes = Processes(tmp_path / "logs")
        ready = tmp_path / "ready.json"
        arguments = ["--health-port", "0", "--ready-file", str(ready), "--configmap"]
        environ = environment(
            **{**MINIMAL, "CLUSTER_NAME": ""}, KUBECONFIG=str(outside.kubeconfig), AKO_REDIS_URL=outside.redis_url
        )
        child = processes.spawn("watcher", module("cli", "watcher", *arguments), environ)
        runs = processes
        url = processes.wait_for_file(child, ready)["url"]

        def report() -> dict[str, Any]:
            try:
                with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:
                    return dict(json.load(answer))
            except urllib.error.HTTPError as error:
                return dict(json.load(error))

        assert report()["reasons"][0].startswith("avi-k8s-config.ipFamily: ")
        kube.patch(f"{folder}/avi-k8s-config", {"data": {"ipFamily": "V4"}})
        wait_for(lambda: report()["ready"], seconds=20, what="readiness")
    finally:
        if runs is not None:
            runs.stop()
        kube.delete(f"{folder}/avi-k8s-config")
