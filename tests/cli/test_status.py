"""`ako status`, `explain`, `work` and `locks` over a real Redis, with a worker in this process and real HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from cli.served import STATES
from shared.state import Work
from tests.workers.model.world import endpoint_slice, ingress, load_balancer, service
from tests.workers.site import PASSWORD, Site, site
from tests.workers.test_vip_changes import PORTS, vips

DUAL = vips("dual")


class Shown:
    """The commands as their user calls them, and what they print."""

    def __init__(self, here: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.here, self._capsys, self.alive = here, capsys, True
        for name, value in here.environment.items():
            monkeypatch.setenv(name, value)

    def text(self, *arguments: str) -> tuple[int, str]:
        """Exit code and what was printed, errors too. With `alive`, a worker and the leader were heard just now."""
        if self.alive:
            self.here.worker.reconciler.work.announce(8)
            assert self.here.mirror.check(self.here.epoch)
        code = main(arguments)
        out = self._capsys.readouterr()
        assert PASSWORD not in out.out + out.err
        return code, out.out + out.err

    def json(self, *arguments: str) -> tuple[int, Any]:
        """Exit code and the JSON."""
        code, text = self.text(*arguments, "--output", "json")
        return code, json.loads(text)


@pytest.fixture
def shown(redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shown]:
    """A host and a Service of type LoadBalancer, both served."""
    with site(redis_url, **DUAL) as here:
        here.apply(service(), ingress(), load_balancer())
        here.apply(*(endpoint_slice(["10.244.1.5"], owner=name, ports=PORTS) for name in ("web", "db")))
        here.settle()
        yield Shown(here, monkeypatch, capsys)


def test_what_is_served_is_shown(shown: Shown) -> None:
    """Both objects with addresses and servers by family, as a table and as JSON; the exit code says that all is."""
    code, found = shown.json("status")
    assert code == 0
    assert [(each["kind"], each["namespace"], each["name"], each["state"]) for each in found["objects"]] == [
        ("Ingress", "red", "ing1", "served"),
        ("Service", "red", "db", "served"),
    ]
    (line,) = found["objects"][0]["hosts"]
    assert (line["host"], line["virtualService"]) == ("foo.example.com", "bench--Shared-L7-4")
    vsvip = shown.here.find("vsvip", line["parent"])
    assert vsvip is not None
    vip = vsvip["vip"][0]
    assert (line["v4"], line["v6"]) == ([vip["ip_address"]["addr"]], [vip["ip6_address"]["addr"]])
    assert line["servers"] == {"v4": {"enabled": 1, "all": 1}}
    assert line["changed"].endswith("Z")
    assert found["site"]["complete"]
    assert (found["site"]["due"], found["site"]["failing"], found["site"]["census"]["orphans"]) == (0, 0, 0)
    code, text = shown.text("status")
    assert code == 0
    row = next(row for row in text.splitlines() if "foo.example.com" in row)
    assert row.split()[:2] == ["red/ing1", "foo.example.com"]
    assert row.endswith("served")
    assert "What needs attention" not in text


def test_a_host_or_an_object_can_be_asked_for(shown: Shown) -> None:
    """By name, by host, by namespace; what is not there is a sentence and exit code 1."""
    for names in (["red/ing1"], ["foo.example.com"]):
        assert [each["name"] for each in shown.json("status", *names)[1]["objects"]] == ["ing1"]
    assert shown.json("status", "--namespace", "blue")[1]["objects"] == []
    code, text = shown.text("status", "red/nothing")
    assert code == 1
    assert "red/nothing is no Ingress or Service that the watcher has seen" in text


def test_a_vip_without_servers_needs_attention(shown: Shown) -> None:
    """The state says so, the Event's text is shown, and the exit code is 3."""
    shown.here.apply(endpoint_slice([], owner="web", ports=PORTS))
    shown.here.settle()
    code, text = shown.text("status", "red/ing1")
    assert code == 3
    assert "no servers" in text
    assert "red/ing1: NoServers: The IPv6 VIP of foo.example.com has no enabled server behind it" in text


def test_an_error_is_shown_with_the_next_try(shown: Shown) -> None:
    """What the controller refused, in its words, until a run ends well; `ako work --retry` brings that forward."""
    here = shown.here
    here.simulator.faults.add({"method": "PUT", "path": "/api/pool", "status": 400, "body": {"error": "no such thing"}})
    here.apply(endpoint_slice(["10.244.1.6"], owner="web", ports=PORTS))
    here.run()
    code, found = shown.json("status", "foo.example.com")
    (line,) = found["objects"][0]["hosts"]
    assert (code, line["state"]) == (3, "failing")
    assert "no such thing" in line["error"]
    assert line["nextTry"].endswith("Z")
    code, text = shown.text("status", "foo.example.com")
    assert "no such thing" in text
    assert "; next try in 5 min" in text
    code, work = shown.json("work")
    failing = [each for each in work["keys"] if each["error"]]
    assert (code, [each["key"] for each in failing]) == (3, ["host:foo.example.com"])
    assert shown.text("work", "--retry") == (0, "1 keys are due now\n")
    here.run()
    assert shown.json("status", "foo.example.com")[0] == 0
    assert not [each for each in shown.json("work")[1]["keys"] if each["error"]]
    assert shown.text("work", "--retry") == (0, "no key fails\n")
    assert shown.json("work", "--retry", "resync") == (0, {"marked": ["resync"]})
    for words in (["work", "nonsense"], ["work", "host:"], ["work", "--retry", "nonsense"], ["explain", "pool:x"]):
        code, text = shown.text(*words)
        assert code == 1
        assert "is no work key" in text


def test_a_host_that_waits_says_for_what(shown: Shown) -> None:
    """Its Secret is missing: it is not served, and the Event's text is there."""
    shown.here.apply(ingress("ing2", host="bar.example.com", tls="missing"))
    shown.here.settle()
    code, found = shown.json("status", "bar.example.com")
    assert code == 3
    assert found["objects"][0]["state"] in ("waiting", "working")
    assert "missing" in found["objects"][0]["problems"][0]["message"]


def test_explain_says_what_would_be_done(shown: Shown) -> None:
    """A change that no worker has run yet: the inputs, and the one object that differs, by its fields."""
    here = shown.here
    assert shown.json("explain", "foo.example.com")[0] == 0
    here.apply(endpoint_slice(["10.244.1.6"], owner="web", ports=PORTS))
    code, found = shown.json("explain", "red/ing1")
    assert code == 3
    host = found[0]
    assert [each["key"] for each in found] == [
        "host:foo.example.com",
        "shard:admin/bench--Shared-L7-4",
        "status:Ingress/red/ing1",
    ]
    assert host["state"] == "due"
    assert host["inputs"]["EndpointSlice"] == ["red/web-ipv4"]
    (update,) = [each for each in host["objects"] if each["action"] != "none"]
    assert (update["action"], update["id"].partition("/")[0], update["fields"]) == ("update", "pool", ["servers"])
    code, text = shown.text("explain", "host:foo.example.com")
    assert code == 3
    assert "to do: update (servers)" in text
    before = here.writes()
    here.run()
    assert len(here.writes()) == len(before) + 1
    assert shown.json("explain", "foo.example.com")[0] == 0


def test_a_claim_is_shown_as_a_lock(shown: Shown) -> None:
    """Key, worker, how long, what is left of the lease."""
    assert "no worker holds a key" in shown.text("locks")[1]
    here = shown.here
    here.apply(endpoint_slice(["10.244.1.6"], owner="web", ports=PORTS))
    work = Work(here.state, worker="worker-7", digest=here.settings.digest(), lease_ttl=30)
    claim = work.claim()
    assert claim is not None
    code, found = shown.json("locks")
    (lock,) = found["claims"]
    assert (code, lock["key"], lock["worker"]) == (0, "host:foo.example.com", "worker-7")
    assert 25 < lock["leaseLeftSeconds"] <= 30
    assert found["leader"]["epoch"] == 1
    assert "worker-7" in shown.text("locks")[1]
    assert shown.json("status", "foo.example.com")[1]["objects"][0]["state"] == "working"
    assert "running for" in shown.text("explain", "foo.example.com")[1]


def fields(found: Any) -> set[str]:
    """Every field name of some JSON, but the keys of maps by family, kind or wanted field."""
    if isinstance(found, list):
        return set().union(*map(fields, found))
    if not isinstance(found, dict):
        return set()
    maps = {"servers", "inputs", "plan"}
    inner = [value for name, value in found.items() if name not in maps]
    return set(found) | set().union(*map(fields, inner))


def test_every_field_is_documented(shown: Shown) -> None:
    """docs/commands.md names each field of each JSON, and each state."""
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    named = set(re.findall(r"`([a-zA-Z0-9]+)`", page)) | set(re.findall(r'"(\w+)"', page))
    work = Work(shown.here.state, worker="worker-7", digest=shown.here.settings.digest(), lease_ttl=30)
    shown.here.apply(endpoint_slice([], owner="web", ports=PORTS))
    assert work.claim() is not None
    for command in (["status"], ["explain", "foo.example.com"], ["work"], ["locks"]):
        assert fields(shown.json(*command)[1]) - named == set()
    assert [state for state in STATES if f"| {state} |" not in page] == []


def test_completion_knows_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The scripts of all three shells name the commands."""
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0
        text = capsys.readouterr().out
        assert all(name in text for name in ("status", "explain", "locks", "resync"))


def test_a_vip_change_that_is_held_is_shown(redis_url: str, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The state is held, with what to do; `ako explain` shows it on the vsvip."""
    with site(redis_url, **DUAL) as here:
        here.apply(service(), ingress(), endpoint_slice(["10.244.1.5"], owner="web", ports=PORTS))
        here.settle()
        after = here.changed(**vips("v4"))
        after.settle()
        shown = Shown(after, monkeypatch, capsys)
        code, text = shown.text("status")
        assert code == 3
        assert "held" in text
        found = shown.json("explain", "foo.example.com")[1]
        assert [each["id"] for part in found for each in part["objects"] if each["vipHeld"]] == [
            "vsvip/admin/bench--Shared-L7-4"
        ]
        after.close()


@pytest.mark.parametrize("command", ["status", "explain", "work", "locks"])
def test_without_redis_one_sentence_is_said(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 and what to look at, no traceback."""
    for name, value in {**DUAL, "CLUSTER_NAME": "c1", "CTRL_IPADDRESS": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AKO_REDIS_URL", "redis://127.0.0.1:1/0")
    assert main([command, *(["x"] if command == "explain" else [])]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "Redis" in line
