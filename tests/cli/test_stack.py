"""The stack under demo, end-to-end tests and benchmark: real processes that can be handled one by one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
import redis

from cli import redis_server
from cli.stack import Stack
from shared.errors import AkoError
from tests.support import wait_for


@pytest.fixture(autouse=True)
def _foreign_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own environment, which must not reach a stack."""
    monkeypatch.setenv("CLUSTER_NAME", "mine")
    monkeypatch.setenv("CTRL_IPADDRESS", "avi.example.com")
    monkeypatch.setenv("IP_FAMILY", "nonsense")


def test_a_stack_is_made_of_separate_processes(tmp_path: Path) -> None:
    """Every part has a process of its own, each can be reached with what the stack gives, and all end with it."""
    changes = {"AKOSettings": {"clusterName": "other", "ipFamily": "V4"}}
    with Stack(tmp_path, changes, workers=1, avi_args=["--seed-foreign", "10"]) as stack:
        assert set(stack.processes()) == {"redis", "avi", "kube", "watcher", "worker-1"}
        second = stack.start_worker("--concurrency", "2")
        assert second.name == "worker-2"
        children = stack.processes().values()
        assert len({child.pid for child in children} | {os.getpid()}) == len(children) + 1
        assert (stack.settings.cluster_name, stack.settings.ip_family.value) == ("other", "V4")
        assert stack.settings.controller.host == stack.avi_url
        assert redis_server.answers(stack.redis_url)
        assert stack.kube_client().get("/version")["gitVersion"]
        found = stack.avi_client().find("cloud", "Default-Cloud")
        assert found is not None
        assert stack.avi_control("latency", {"ms": 1}) == {"ms": 1}
        assert any(call["path"].startswith("/api/cloud") for call in stack.avi_control("audit")["calls"])
        with pytest.raises(AkoError, match="no such switch"):
            stack.avi_control("nonsense")
        stack.kill("worker-1")
        assert not stack.processes()["worker-1"].alive
        stack.kill(second, signal.SIGSTOP)
        wait_for(lambda: psutil.Process(second.pid).status() == psutil.STATUS_STOPPED, what="the standstill")
    assert not any(child.alive for child in children)
    assert not redis_server.answers(stack.redis_url)


def test_redis_comes_back_with_its_data(tmp_path: Path) -> None:
    """A Redis that was stopped and started again answers at the same place and still knows what it knew."""
    with Stack(tmp_path, workers=0, watcher=False) as stack:
        client = redis.Redis.from_url(stack.redis_url, decode_responses=True)
        client.set("kept", "yes")
        stack.kill("redis", signal.SIGTERM)
        assert not redis_server.answers(stack.redis_url)
        stack.again("redis")
        assert client.get("kept") == "yes"
        client.close()


def test_a_given_redis_is_left_as_it_was_found(tmp_path: Path, redis_url: str) -> None:
    """With a Redis of somebody else none is started, and of all its keys only those of our cluster name go."""
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    client.mset({"ako:demo:old": "1", "ako:demo-2:other": "1", "theirs": "1"})
    with Stack(tmp_path, workers=0, redis_url=redis_url) as stack:
        assert "redis" not in stack.processes()
        wait_for(
            lambda: any(key != "ako:demo:old" for key in client.keys("ako:demo:*")), what="the watcher's first key"
        )
        assert client.exists("ako:demo:old") == 0
    assert sorted(client.keys("*")) == ["ako:demo-2:other", "theirs"]
    client.close()


def test_a_part_that_cannot_start_stops_the_rest(tmp_path: Path) -> None:
    """When a simulator refuses its arguments, entering raises with its own words and nothing is left running."""
    stack = Stack(tmp_path, workers=0, watcher=False, avi_args=["--no-such-switch"])
    with pytest.raises(AkoError, match="--no-such-switch"), stack:
        raise AssertionError("the stack was entered")
    assert not any(child.alive for child in stack.processes().values())


def test_no_password_reaches_a_log_or_a_command_line(tmp_path: Path) -> None:
    """The random passwords of controller and Redis are on no command line and in no log."""
    with Stack(tmp_path, workers=1, log_level="DEBUG") as stack:
        secrets = [stack.environ["CTRL_PASSWORD"], stack.redis_url.split(":")[2].partition("@")[0]]
        wait_for(lambda: "ready" in stack.processes()["worker-1"].tail(100), seconds=30, what="the worker")
        lines = [" ".join(psutil.Process(child.pid).cmdline()) for child in stack.processes().values()]
    texts = lines + [child.log.read_text() for child in stack.processes().values()]
    assert all(len(secret) > 20 for secret in secrets)
    assert not [text for text in texts for secret in secrets if secret in text]
