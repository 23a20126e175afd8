"""The `ako` command as somebody at a terminal meets it: exit codes, sentences, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.main import build_parser
from cli.processes import Processes, module
from tests.support import free_port, wait_for

MINIMAL = {
    "CLUSTER_NAME": "c1",
    "CTRL_IPADDRESS": "127.0.0.1:1",
    "CTRL_USERNAME": "admin",
    "CTRL_PASSWORD": "correct-horse",
    "VIP_NETWORK_LIST": '[{"networkName":"net1","cidr":"10.10.0.0/16"}]',
}


def environment(**settings: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONUNBUFFERED": "1", **settings}


def ako(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """A kubeconfig that leads to a port where nobody listens."""
    path = tmp_path / "kubeconfig"
    path.write_text(
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: ''}}]\ncurrent-context: c\n"
    )
    return path


def test_version_is_printed() -> None:
    """`ako version` prints name and version and succeeds."""
    result = ako("version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("ako-celery ")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("worker", "--concurrency", "0"),
        ("worker", "--concurrency", "two"),
        ("dev", "--workers", "-1"),
        ("dev", "--timeout", "soon"),
        ("flower", "--port", "65536"),
        ("dev", "--onc"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    """A command line that makes no sense ends with 2 and the usage, before anything is done."""
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(arguments)
    assert ended.value.code == 2


def test_each_settings_mistake_is_one_line(tmp_path: Path) -> None:
    """All mistakes of a values file are shown at once, each as `path: text`, with exit code 1."""
    values = tmp_path / "values.yaml"
    values.write_text("AKOSettings:\n  clusterName: c1\n  ipFamly: V6\nNetworkSettings:\n  vipNetworkList: []\n")
    result = ako("flower", "--values", str(values))
    assert result.returncode == 1
    assert result.stdout == ""
    paths = [line.partition(": ")[0] for line in result.stderr.splitlines()]
    assert sorted(paths) == [
        "AKOSettings.ipFamly",
        "ControllerSettings.controllerHost",
        "NetworkSettings.vipNetworkList",
    ]


@pytest.mark.parametrize("command", ["watcher", "worker"])
def test_no_way_to_kubernetes_is_one_sentence(command: str) -> None:
    """Without any kubeconfig, and not inside a pod, the command says what to give and fails."""
    result = ako(command, **MINIMAL)
    assert result.returncode == 1
    assert result.stderr == "ako: no kubeconfig and not inside a pod. Give --kubeconfig or set KUBECONFIG\n"


@pytest.mark.parametrize("command", ["watcher", "worker"])
def test_redis_may_come_later(command: str, tmp_path: Path, kubeconfig: Path) -> None:
    """With nobody at Redis' address the process says so, goes on trying without a traceback, and ends on SIGTERM."""
    processes = Processes(tmp_path / "logs")
    redis_url = f"redis://:top-secret@127.0.0.1:{free_port()}/0"
    environ = environment(**MINIMAL, AKO_REDIS_URL=redis_url, KUBECONFIG=str(kubeconfig))
    arguments = ["--health-port", "0", *(["--single"] if command == "watcher" else [])]
    child = processes.spawn(command, module("cli", command, *arguments), environ)
    try:
        wait_for(lambda: "refused" in child.tail(100), seconds=30, what="the complaint")
        end = time.monotonic() + 3
        while time.monotonic() < end:
            assert child.alive, child.tail()
            time.sleep(0.1)
        text = child.tail(1000)
    finally:
        stubborn = processes.stop()
    assert "Traceback" not in text
    assert "top-secret" not in text
    assert len(text.splitlines()) < 15
    assert stubborn == []


def test_dev_names_a_broken_manifest_before_it_starts_anything(tmp_path: Path) -> None:
    """A manifest that is no YAML ends `ako dev` at once, with file and line, and without quoting the file."""
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "a.yaml").write_text("kind: Secret\ndata: {password: hunter2\n")
    result = ako("dev", "--examples", str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.startswith(f"ako: {tmp_path}/manifests/a.yaml, line ")
    assert "hunter2" not in result.stderr
    assert result.stdout == ""


def test_dev_with_a_real_controller_asks_for_credentials() -> None:
    """`--controller` without credentials in the environment fails before anything starts."""
    result = ako("dev", "--controller", "avi.example.com")
    assert result.returncode == 1
    assert "CTRL_USERNAME" in result.stderr
    assert "Traceback" not in result.stderr
