"""What the commands say when something is wrong: with the site, with a parent, with what somebody asks for."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import redis

from cli.main import main
from cli.processes import module
from shared.errors import StateUnavailable
from shared.state.connection import bounded
from tests.cli.test_status import DUAL, Shown
from tests.workers.model.world import endpoint_slice, ingress, load_balancer, secret, service
from tests.workers.site import Site, site
from tests.workers.test_vip_changes import PORTS


@pytest.fixture
def here(redis_url: str) -> Iterator[Site]:
    """One host, served."""
    with site(redis_url, **DUAL) as made:
        made.apply(service(), ingress(), endpoint_slice(["10.244.1.5"], owner="web", ports=PORTS))
        made.settle()
        yield made


@pytest.fixture
def shown(here: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shown:
    return Shown(here, monkeypatch, capsys)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_site_without_watcher_and_worker_is_in_trouble(here: Site, shown: Shown) -> None:
    """Though every host is served: both are said with what to look at, and the exit code is 3."""
    assert shown.json("status")[1]["site"]["troubles"] == []
    then = int(here.state.hash("meta")["leader_seen"]) - 3600 * 1_000_000
    here.state.client.hset(here.state.key("meta"), mapping={"leader": "w1", "leads_since": then, "leader_seen": then})
    here.state.client.zadd(here.state.key("workers"), {here.worker.reconciler.work.worker: then})
    shown.alive = False
    code, found = shown.json("status")
    assert (code, found["objects"][0]["state"], found["site"]["workers"]) == (3, "served", 0)
    assert found["site"]["leaderSilentSince"].endswith("Z")
    watcher, worker = found["site"]["troubles"]
    assert watcher.startswith("No watcher leads: w1 was last heard 60 min ago.")
    assert worker.startswith("No worker runs")
    assert watcher in shown.text("status")[1]
    assert shown.text("locks")[1].startswith("watcher none: w1 was last heard 60 min ago, epoch 1")
    assert 3590 < shown.json("locks")[1]["leader"]["silentSeconds"] < 3700
    here.mirror.begin(here.settings.digest(), name="w2")
    assert [text.partition(" ")[0:3:2] for text in shown.json("status")[1]["site"]["troubles"]] == [("No", worker[3:])]


def test_what_a_parent_fails_with_is_shown_with_its_hosts(here: Site, shown: Shown) -> None:
    """The network is full: a host of the new parent shows the controller's words, the next try, what it waits for."""
    full = {"error": "No available free IPs in network net1"}
    here.simulator.faults.add({"method": "POST", "path": "/api/vsvip", "count": -1, "status": 400, "body": full})
    here.apply(secret(), ingress("ing2", host="bar.example.com", tls="foo-tls"))
    here.settle()
    code, found = shown.json("status", "red/ing2")
    (line,) = found["objects"][0]["hosts"]
    assert (code, line["state"]) == (3, "failing")
    assert "No available free IPs in network net1" in line["error"]
    assert line["nextTry"].endswith("Z")
    assert [each.partition("/")[0] for each in line["waitsFor"]] == ["virtualservice"]
    text = shown.text("status", "red/ing2")[1]
    assert re.search(r"red/ing2: POST vsvip .* No available free IPs in network net1; next try in \d+ s", text)
    assert re.search(
        r"red/ing2: bar.example.com waits for virtualservice/admin/bench--Shared-L7-\d$", text, re.MULTILINE
    )
    counted = {each["type"]: each for each in shown.json("work")[1]["counts"]}
    assert (counted["shard"]["failing"], counted["host"]["later"], counted["host"]["failing"]) == (1, 1, 0)
    assert re.search(r"^shard +0 +0 +1 +1 ", shown.text("work")[1], re.MULTILINE)


def test_a_controller_that_can_not_be_used_is_a_trouble(here: Site, shown: Shown) -> None:
    """The breaker is shown as open until the controller answers again."""
    here.simulator.faults.add({"method": "GET", "path": "/api/pool", "count": -1, "reset": "before"})
    here.apply(endpoint_slice(["10.244.1.6"], owner="web", ports=PORTS))
    here.run()
    code, found = shown.json("status")
    assert (code, found["site"]["controllerAnswers"]) == (3, False)
    assert "can't be used (1 runs in a row); one key at a time tries" in found["site"]["troubles"][0]
    assert "\nbreaker     open" in shown.text("status")[1]
    here.simulator.faults.clear()
    here.settle()
    code, text = shown.text("status")
    assert code == 0
    assert "\nbreaker     closed\n" in text


def test_before_the_first_census_nothing_counts_as_served(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 3 and the sentence says what is missing, also for a name that is asked for."""
    with site(redis_url, **DUAL) as here:
        shown = Shown(here, monkeypatch, capsys)
        for words in (["status"], ["status", "red/ing1"]):
            code, text = shown.text(*words)
            assert code == 3
            assert "The controller has not been read completely yet" in text
        code, text = shown.text("explain", "resync")
        assert code == 3
        assert "because of the mirror is complete" in text
        assert shown.text("explain", "red/ing1")[0] == 1


def test_what_can_not_be_taken_away_is_a_trouble(here: Site, shown: Shown) -> None:
    """The Ingress is gone and nobody shows its host any more, but the controller refuses to delete its pool."""
    no = {"error": "not now"}
    here.simulator.faults.add({"method": "DELETE", "path": "/api/pool", "count": -1, "status": 400, "body": no})
    here.delete("Ingress", "red/ing1")
    here.settle()
    code, found = shown.json("status")
    assert (code, found["objects"]) == (3, [])
    assert any("not now" in text and "; next try in" in text for text in found["site"]["troubles"])


def test_what_is_not_ours_is_said_with_the_reason(here: Site, shown: Shown) -> None:
    """By name and by host: another class, a class that is not there, a Service of another type, nothing at all."""
    other = ingress("other", host="other.example.com")
    other["spec"]["ingressClassName"] = "nginx"
    here.apply(other)
    missing = "its IngressClass nginx does not exist. Create it, or correct ingressClassName"
    cases = {
        "red/other": f"ako: Ingress red/other is in the cluster and not served: {missing}\n",
        "other.example.com": f"ako: the host other.example.com is of Ingress red/other, which is not served: {missing}",
        "red/web": "ako: Service red/web is in the cluster and not served by itself: it is not of type LoadBalancer. ",
        "red/nothing": "ako: red/nothing is no Ingress or Service that the watcher has seen",
    }
    for name, text in cases.items():
        for command in ("status", "explain"):
            code, said = shown.text(command, name)
            assert code == 1
            assert said.startswith(text)
    class_ = {"kind": "IngressClass", "metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}
    here.apply(class_)
    assert "belongs to the controller 'k8s.io/ingress-nginx'" in shown.text("status", "red/other")[1]
    elsewhere = shown.text("status", "red/ing1", "--namespace", "blue")[1]
    assert "it is in another namespace than --namespace" in elsewhere


def test_a_terminal_of_80_columns_is_enough(here: Site, shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is longer, though the table is; states are coloured, and not with NO_COLOR."""
    here.apply(load_balancer())
    here.settle()
    assert max(map(len, shown.text("status")[1].splitlines())) > 80
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for words in (["status"], ["explain", "red/ing1"], ["work"], ["locks"]):
        plain = re.sub(r"\x1b\[\d+m", "", on_terminal(monkeypatch, *words))
        assert max(map(len, plain.splitlines())) <= 80
    assert "state \x1b[32mserved\x1b[0m\n" in on_terminal(monkeypatch, "status", "red/ing1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in on_terminal(monkeypatch, "status")


def on_terminal(monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """What a command prints where its output is a terminal."""
    stream = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        main(words)
    return stream.getvalue()


def test_a_watched_status_is_printed_when_it_changes(here: Site) -> None:
    """One JSON object on a line for each change and none for ages, until SIGINT; the exit code is that of the last."""
    command = module("cli.main", "status", "--watch", "--output", "json")
    environ = {**os.environ, **here.environment}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            assert json.loads(child.stdout.readline())["objects"][0]["state"] == "served"
            here.apply(endpoint_slice([], owner="web", ports=PORTS))
            here.settle()
            states = [json.loads(child.stdout.readline())["objects"][0]["state"]]
            while states[-1] != "no servers":
                states.append(json.loads(child.stdout.readline())["objects"][0]["state"])
            assert set(states) <= {"served", "working", "no servers"}
        finally:
            child.send_signal(signal.SIGINT)
        assert child.wait(timeout=10) == 3


def test_without_settings_the_way_to_them_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever calls it without --values and AKO_VALUES is told of these, and of the file that `ako dev` writes."""
    for name in [name for name in os.environ if name in DUAL or name.startswith(("AKO_", "CTRL_", "CLUSTER_"))]:
        monkeypatch.delenv(name)
    assert main(["status"]) == 1
    assert "AKO_VALUES: not set, and no --values is given; beside `ako dev`" in capsys.readouterr().err


def test_a_refused_password_is_no_reason_to_wait() -> None:
    """Redis that refuses us sends people to the password, without repeating it; one that is away, to the server."""
    for error, place in (
        (redis.AuthenticationError("invalid password"), "user and password"),
        (redis.ConnectionError("refused."), "Redis server"),
    ):
        with pytest.raises(StateUnavailable) as caught, bounded():
            raise error
        assert f". Look at {place.replace('Redis', 'the Redis')}" in str(caught.value)
        assert ".." not in str(caught.value)
