"""No secret comes out: what goes in by every way is looked for in everything that comes out, at level DEBUG.

In go a TLS Secret, a Secret that is none, the controller's password, the API server's token, Redis's password and
Flower's. Out come Redis itself, all logs, the Events, command lines, Flower's API and pages, /metrics, /readyz, and
what `ako` prints. The controller refuses the password in between, so that errors and what they quote are there too.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import requests
import yaml

from cli.processes import Processes, module
from cli.stack import EXAMPLE, Stack
from shared.kube import KubeClient
from tests.support import wait_for

CLUSTER = Path(__file__).parents[2] / "deploy" / "compose" / "cluster.yaml"
TOKEN, FLOWER, GARBAGE = "canary-token-5f1d09", "canary-flower-77ab21", "canary-garbage-9c33e0"
COMMANDS = (["status"], ["explain", "shop.example.com"], ["work"], ["locks"], ["orphans"], ["preflight"])


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """An API server that wants a token, with the example's objects."""
    family, path, ready = Processes(tmp_path / "kube"), tmp_path / "kubeconfig.yaml", tmp_path / "kube.json"
    arguments = ["--tls", "--token", TOKEN, "--kubeconfig-out", str(path), "--ready-file", str(ready)]
    loads = [word for name in (CLUSTER, EXAMPLE / "manifests") for word in ("--load", str(name))]
    family.wait_for_file(family.spawn("kube", module("simulator.kube", *arguments, *loads), dict(os.environ)), ready)
    yield path
    family.stop()


class Places:
    """Everything that comes out of a site, as texts by where they were found."""

    def __init__(self, stack: Stack, kube: KubeClient) -> None:
        self.stack, self.kube = stack, kube

    def texts(self) -> dict[str, str]:
        """All of it, now."""
        asked = {**self._flower(), **self._health(), **self._commands()}
        return {**self._redis(), **self._logs(), **self._events(), **asked}

    def _redis(self) -> dict[str, str]:
        found = {}
        with redis.Redis.from_url(self.stack.redis_url, decode_responses=True) as client:
            read = {
                "string": client.get,
                "hash": client.hgetall,
                "set": client.smembers,
                "list": lambda key: client.lrange(key, 0, -1),
                "zset": lambda key: client.zrange(key, 0, -1),
            }
            for key in client.scan_iter(count=1000):
                found[f"Redis {key}"] = f"{key} {read[client.type(key)](key)}"
        return found

    def _logs(self) -> dict[str, str]:
        children = self.stack.processes().values()
        lines = {f"command line of {each.name}": " ".join(psutil.Process(each.pid).cmdline()) for each in children}
        return lines | {f"log of {each.name}": each.log.read_text() for each in children}

    def _events(self) -> dict[str, str]:
        events = self.kube.get("/api/v1/events")["items"]
        return {f"Event {number}": json.dumps(event) for number, event in enumerate(events)}

    def _flower(self) -> dict[str, str]:
        paths = ("/api/tasks", "/api/workers", "/", "/tasks", "/broker")
        found = {}
        for path in paths:
            answer = requests.get(self.stack.flower_url + path, auth=("ako", FLOWER), timeout=10)
            assert answer.status_code == 200, path
            found[f"Flower {path}"] = answer.text
        return found

    def _health(self) -> dict[str, str]:
        found = {}
        for name in self.stack.processes():
            if name.startswith(("watcher", "worker")):
                found[f"metrics of {name}"] = self.stack.metrics(name)
                found[f"readyz of {name}"] = json.dumps(self.stack.readyz(name))
        return found

    def _commands(self) -> dict[str, str]:
        return {f"ako {' '.join(words)}": ako(self.stack, *words) for words in COMMANDS}


def ako(stack: Stack, *words: str) -> str:
    """What a command prints, errors too."""
    command = [sys.executable, "-m", "cli.main", *words]
    environ = {**os.environ, **stack.environ}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode in (0, 1, 3), done.stderr
    return done.stdout + done.stderr


def leaks(texts: dict[str, str], canaries: dict[str, str]) -> list[tuple[str, str]]:
    """Which canary sits where."""
    return sorted((place, name) for place, text in texts.items() for name, canary in canaries.items() if canary in text)


def shop_key() -> str:
    """The private key of the example, as the manifest has it."""
    documents = [
        each for path in sorted((EXAMPLE / "manifests").glob("*.yaml")) for each in yaml.safe_load_all(path.read_text())
    ]
    (secret,) = [each for each in documents if each["kind"] == "Secret"]
    return str(secret["data"]["tls.key"])


def canaries_of(stack: Stack) -> dict[str, str]:
    encoded = shop_key()
    pem = base64.b64decode(encoded).decode().splitlines()[2]
    return {
        "controller password": stack.environ["CTRL_PASSWORD"],
        "Redis password": stack.redis_url.split(":")[2].partition("@")[0],
        "token of the API server": TOKEN,
        "Flower's password": FLOWER,
        "private key": pem,
        "private key as the Secret has it": encoded[60:100],
        "a Secret that is no key": GARBAGE,
        "the same as the Secret has it": base64.b64encode(GARBAGE.encode()).decode().rstrip("="),
    }


def test_no_secret_comes_out(kubeconfig: Path, tmp_path: Path) -> None:
    """None of the eight is anywhere, and each is found where it was planted."""
    env = {"FLOWER_BASIC_AUTH": f"ako:{FLOWER}"}
    stack = Stack(tmp_path / "s", workers=1, flower=True, tls=True, log_level="DEBUG", kubeconfig=kubeconfig, env=env)
    with stack:
        kube = KubeClient.from_config(str(kubeconfig))
        canaries, places = canaries_of(stack), Places(stack, kube)
        assert all(len(canary) > 15 for canary in canaries.values())
        wait_for(lambda: served(stack) >= {"shop/shop"}, seconds=30, what="the TLS host")
        assert ako(stack, "work", "--retry", "host:shop.example.com") == "1 keys are due now\n"
        wait_for(lambda: shown(stack), seconds=20, what="the run in Flower")
        garbage = {"tls.crt": data(GARBAGE), "tls.key": data(GARBAGE)}
        kube.patch("/api/v1/namespaces/shop/secrets/shop-tls", {"data": garbage})
        wait_for(lambda: "shop-tls" in str(told(stack)), seconds=30, what="the Event of the Secret")
        stack.avi_control("password", {"password": "another-one"})
        assert "not in time" in ako(stack, "resync", "--timeout", "3")
        log = stack.processes()["worker-1"].log
        wait_for(lambda: "can't be used" in log.read_text(), seconds=40, what="the refusal of the password")
        texts = places.texts()
        assert leaks(texts, canaries) == []
        assert "/api/login" in texts["log of worker-1"] or "login" in texts["log of worker-1"]
        assert "workers.tasks.reconcile" in texts["Flower /api/tasks"]

        # The other way round: what is planted is found, in each kind of place.
        with redis.Redis.from_url(stack.redis_url) as client:
            client.hset("planted", "x", "\n".join(canaries.values()))
        with log.open("a") as planted:
            planted.write("\n".join(canaries.values()))
        found = {place for place, _ in leaks(places.texts(), canaries)}
        assert found == {"Redis planted", "log of worker-1"}
        assert len(leaks({"": "\n".join(canaries.values())}, canaries)) == len(canaries)


def data(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def shown(stack: Stack) -> bool:
    """Whether Flower has a task of ours by its name, with the key that it ran and how that ended."""
    answer = requests.get(f"{stack.flower_url}/api/tasks", auth=("ako", FLOWER), timeout=10)
    tasks = [each for each in answer.json().values() if each["name"] == "workers.tasks.reconcile"]
    return any("host:shop.example.com done" in str(each["result"]) for each in tasks)


def objects(stack: Stack) -> list[dict[str, Any]]:
    """What `ako status` lists; nothing before a watcher has begun."""
    text = ako(stack, "status", "--output", "json")
    found: list[dict[str, Any]] = json.loads(text)["objects"] if text.startswith("{") else []
    return found


def served(stack: Stack) -> set[str]:
    return {f"{each['namespace']}/{each['name']}" for each in objects(stack) if each["state"] == "served"}


def told(stack: Stack) -> Any:
    return [each["problems"] for each in objects(stack)]
