"""`ako-avi-simulator` as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.simulator.avi_world import PASSWORD, Api
from tests.support import wait_for

COMMAND = [sys.executable, "-m", "simulator.avi"]
GOLDEN = Path(__file__).parent.parent / "golden"


@contextmanager
def started(folder: Path, *arguments: str, password: str = PASSWORD) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The URL from the ready file, and the process; it is asked to stop and must do so."""
    ready = folder / "ready.json"
    environment = os.environ | {"AKO_SIM_PASSWORD": password}
    command = [*COMMAND, "--ready-file", str(ready), *arguments]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: ready.exists() or process.poll() is not None, what="the ready file")
        state = json.loads(ready.read_bytes())
        assert state["pid"] == process.pid
        yield state["url"], process
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()


def test_serves_until_told_to_stop(tmp_path: Path) -> None:
    """It serves on a free port with the password of the environment, with loaded objects, and stops at SIGTERM."""
    avi = GOLDEN / "01-insecure-v4-sni" / "avi.json"
    with started(tmp_path, "--load", str(avi), "--seed-foreign", "50", "--latency", "5") as (url, _):
        api = Api(url)
        assert api.login().status_code == 200
        assert api.get("/api/pool?created_by=ako-peer")["count"] == 1
        assert api.get("/api/pool?created_by=ako-peer2")["count"] > 0
        assert api.control("GET", "audit")["calls"][-1]["ms"] >= 5


def test_tls(tmp_path: Path) -> None:
    """With --tls a client that trusts the written certificate is served; one that does not is not, and a write needs a
    Referer."""
    pem = tmp_path / "controller.pem"
    with started(tmp_path, "--tls", "--cert-out", str(pem)) as (url, _):
        assert url.startswith("https://")
        api = Api(url, verify=str(pem))
        assert api.login().status_code == 200
        assert api.post("/api/pool", {"name": "p"})["url"].startswith(url)
        assert api.refused("POST", "/api/pool", {"name": "q"}, Referer="")[0] == 403
        try:
            requests.get(f"{url}/api/initial-data", timeout=10)
        except requests.exceptions.SSLError:
            return
        raise AssertionError("an unknown certificate was trusted")


def test_a_made_password(tmp_path: Path) -> None:
    """Without a password one is made and printed, and it is the one that works."""
    with started(tmp_path, password="") as (url, process):
        assert process.stdout is not None
        text = process.stdout.readline().strip().removeprefix("password of admin: ")
        answer = requests.post(f"{url}/login", json={"username": "admin", "password": text}, timeout=10)
        assert answer.status_code == 200


def test_a_world_that_does_not_load(tmp_path: Path) -> None:
    """A file with objects that no controller would hold ends the process with 2 and a sentence."""
    path = tmp_path / "avi.json"
    path.write_text('{"pool": {"p": {"name": "p", "bogus": 1}}}')
    ended = subprocess.run(
        [*COMMAND, "--password", "x", "--load", str(path)], check=False, capture_output=True, text=True, timeout=30
    )
    assert ended.returncode == 2
    assert 'Message type "Pool" has no field named "bogus"' in ended.stderr
