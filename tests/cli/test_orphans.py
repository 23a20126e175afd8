"""`ako orphans`: what nobody looks after is listed with the reason, and nothing else; nothing is written."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import world as cluster
from cli import orphans
from cli.orphans import FOUND
from cli.stack import Stack
from shared.avi.client import AviClient
from shared.errors import AkoError
from shared.settings import load_credentials
from workers.model.layout import Layout

HOST, GONE = cluster.host(0), "gone.example.com"
ROUTE = {
    "route_id": "bench-x",
    "prefix": {"ip_addr": {"addr": "10.99.0.0", "type": "V4"}, "mask": 24},
    "next_hop": {"addr": "10.50.0.99", "type": "V4"},
    "labels": [{"key": "clustername", "value": "bench"}],
}


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Redis, a controller with 50 objects of others and an API server with one Ingress; no watcher, no worker."""
    folder = tmp_path_factory.mktemp("outside")
    seed = ["--seed-foreign", "50"]
    with Stack(folder, values=cluster.values(), workers=0, watcher=False, avi_args=seed) as stack:
        stack.kube_control("load", [*cluster.base(), *cluster.objects_of(0)])
        yield stack


class Site:
    """The command, and a client of the controller that makes things behind its back and takes them away again."""

    def __init__(self, stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        for name, value in stack.environ.items():
            monkeypatch.setenv(name, value)
        self.stack, self._capsys = stack, capsys
        credentials = load_credentials(stack.environ, stack.environ["AKO_VALUES"])
        self.avi = AviClient(stack.settings.controller.host, credentials)
        self._made: list[tuple[str, str]] = []

    def make(self, type_: str, name: str, cluster_name: str = "bench", **markers: str) -> None:
        """An object with the marks of a cluster."""
        shown = [{"key": "clustername", "values": [cluster_name]}]
        shown += [{"key": key, "values": [value]} for key, value in markers.items()]
        body: dict[str, Any] = {"name": name, "markers": shown}
        if type_ != "vsvip":
            body["created_by"] = f"ako-{cluster_name}"
        self._made.append((type_, self.avi.create(type_, body)["uuid"]))

    def run(self, output: str = "json") -> tuple[int, str]:
        """Exit code and output."""
        options = argparse.Namespace(
            values=None, kubeconfig=self.stack.environ.get("KUBECONFIG"), context=None, output=output
        )
        self.stack.avi_control("audit", method="DELETE")
        code = orphans.run(options)
        calls = [call for call in self.stack.avi_control("audit")["calls"] if "/api/" in call["path"]]
        assert {call["method"] for call in calls} == {"GET"}
        return code, self._capsys.readouterr().out

    def found(self) -> dict[str, dict[str, str]]:
        """The orphans by `type/name`."""
        code, out = self.run()
        rows = json.loads(out)
        assert code == (FOUND if rows else 0)
        return {f"{row['type']}/{row['name']}": row for row in rows}

    def clean(self) -> None:
        """Takes away what was made."""
        for type_, uuid in reversed(self._made):
            self.avi.delete(type_, uuid)
        self.avi.close()


@pytest.fixture
def site(outside: Stack, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Iterator[Site]:
    made = Site(outside, monkeypatch, capsys)
    yield made
    made.clean()


def test_without_orphans_it_says_so(site: Site) -> None:
    """Objects of others, of another cluster and of hosts that the cluster names are no orphans: exit code 0."""
    site.make("pool", f"bench-x--{GONE}", cluster_name="bench-x", Host=GONE)
    site.make("httppolicyset", Layout("bench--").policy_set("bench", HOST), Host=HOST, Namespace="bench")
    assert site.found() == {}
    assert site.run("table") == (0, "no orphans of cluster bench\n")


def test_each_reason_is_named(site: Site) -> None:
    """A host that nobody names, objects without a key, and a parent without hosts; its vsvip stays on purpose."""
    policies = Layout("bench--").policy_set("bench", GONE)
    site.make("httppolicyset", policies, Host=GONE, Namespace="bench")
    site.make("pool", "bench--gold-one", InfrasettingName="gold")
    site.make("l4policyset", "bench--red-db", Namespace="red", ServiceName="db", InfrasettingName="gold")
    site.make("l4policyset", "bench--red-old", Namespace="red", ServiceName="old", Protocol="TCP")
    parents = {f"bench--Shared-L7-{number}" for number in range(8)}
    for parent in parents:
        site.make("vsvip", parent)
        site.make("poolgroup", parent)
    found = site.found()
    served = parents - {id_.partition("/")[2] for id_ in found}
    assert len(served) == 1
    expected = {f"httppolicyset/{policies}", "pool/bench--gold-one"}
    expected |= {f"l4policyset/bench--red-{name}" for name in ("db", "old")}
    assert found.keys() == expected | {f"poolgroup/{parent}" for parent in parents - served}
    gone = found[f"httppolicyset/{policies}"]
    assert (gone["key"], gone["reason"]) == (f"host:{GONE}", "nothing in the cluster names its host")
    assert (gone["tenant"], bool(gone["uuid"])) == ("admin", True)
    assert found["pool/bench--gold-one"]["key"] == ""
    assert "another feature" in found["l4policyset/bench--red-db"]["reason"]
    old = found["l4policyset/bench--red-old"]
    assert (old["key"], old["reason"]) == ("lb:red/old", "there is no Service of type LoadBalancer for it")
    code, table = site.run("table")
    assert code == FOUND
    assert f"{len(found)} orphans; nothing was changed" in table
    assert "bench--gold-one" in table


def test_entries_in_objects_that_the_settings_do_not_name(site: Site) -> None:
    """Routes of ours in another VRF than the one in use are listed; those in the VRF in use are the pipeline's."""
    for name in ("global", "management"):
        vrf = site.avi.find("vrfcontext", name)
        assert vrf is not None
        site.avi.update("vrfcontext", vrf["uuid"], {**vrf, "static_routes": [ROUTE]})
    found = site.found()
    assert found.keys() == {"vrfcontext/management"}
    assert found["vrfcontext/management"]["reason"] == "1 of its static_routes are ours, and these settings use global"
    vrf = site.avi.find("vrfcontext", "management") or {}
    site.avi.update("vrfcontext", vrf["uuid"], {**vrf, "static_routes": []})


def test_half_a_list_is_no_list(site: Site) -> None:
    """One page that can't be read ends the command with an error, also when orphans were seen before."""
    site.make("pool", "bench--gold-one", InfrasettingName="gold")
    site.stack.avi_control("faults", {"method": "GET", "path": "/api/virtualservice", "status": 500, "body": {}})
    with pytest.raises(AkoError):
        site.run()
    site.stack.avi_control("faults", method="DELETE")


def test_the_path_of_the_values_may_be_given(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """--values goes before the environment."""
    monkeypatch.setenv("AKO_VALUES", str(tmp_path / "none.yaml"))
    options = argparse.Namespace(
        values=site.stack.environ["AKO_VALUES"],
        kubeconfig=site.stack.environ.get("KUBECONFIG"),
        context=None,
        output="json",
    )
    assert orphans.run(options) == 0
