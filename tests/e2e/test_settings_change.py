"""Settings that change while the pipeline runs: planned changes, no restart, no write while they are wrong."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import world as cluster
from shared.state.keys import RESYNC
from tests.e2e.scene import Scene
from tests.support import wait_for


def write(scene: Scene, **sections: dict[str, Any]) -> None:
    """Writes the values file anew: that of the bench with these changes below each section."""
    path = Path(scene.stack.environ["AKO_VALUES"])
    values = yaml.safe_load(path.read_text())
    for name, changes in sections.items():
        values[name] = {**values.get(name, {}), **changes}
    path.write_text(yaml.safe_dump(values))


def settled(scene: Scene) -> None:
    """Waits until every process has taken the settings that the file has, and nothing is left to do."""
    digest = scene.stack.settings.digest()

    def done() -> bool:
        meta = scene.state.fields("meta", ["digest", "ledger_complete"])
        return meta == [digest, "1"] and scene.quiet() and scene.stack.readyz("worker-1")["ready"]

    wait_for(done, seconds=40, what="the new settings")


def vips(scene: Scene) -> list[set[str]]:
    return [
        {family for vip in vsvip["vip"] for family in ("ip_address", "ip6_address") if vip.get(family)}
        for vsvip in scene.ours("vsvip").values()
    ]


def addresses(scene: Scene) -> dict[str, str]:
    return {name: vsvip["vip"][0]["ip_address"]["addr"] for name, vsvip in scene.ours("vsvip").items()}


def test_ipv6_is_added_to_running_vips(two_hosts: Scene) -> None:
    """A v6cidr written into the file gives every VIP an IPv6 address and keeps its IPv4 one; no process restarts."""
    scene = two_hosts
    before, kept = scene.pids(), addresses(scene)
    assert vips(scene) == [{"ip_address"}] * len(kept)
    network = {"networkName": "net1", "cidr": "10.10.0.0/16", "v6cidr": "2001:db8:10::/64"}
    write(scene, NetworkSettings={"vipNetworkList": [network]})
    both = {"ip_address", "ip6_address"}
    wait_for(lambda: vips(scene) == [both] * len(kept), seconds=40, what="the IPv6 addresses")
    settled(scene)
    assert addresses(scene) == kept
    wait_for(lambda: any(":" in row["ip"] for row in scene.status(0)), what="the IPv6 address in the status")
    assert scene.pids() == before
    both_addresses = every_address(scene)

    # Taking the IPv6 address away again is held until somebody asks for it.
    del network["v6cidr"]
    write(scene, NetworkSettings={"vipNetworkList": [network]})
    settled(scene)
    assert every_address(scene) == both_addresses
    asked = resync(scene)
    assert asked.returncode == 3, asked.stderr
    assert {each["outcome"] for each in json.loads(asked.stdout)["vips"]} == {"held"}
    allowed = resync(scene, "--allow-vip-change")
    assert allowed.returncode == 0, allowed.stderr
    found = json.loads(allowed.stdout)
    assert [each["outcome"] for each in found["vips"]] == ["changed"] * len(kept)
    assert (found["objects"] > 0, found["orphans"]) == (True, 0)
    assert vips(scene) == [{"ip_address"}] * len(kept)
    assert addresses(scene) == kept


def every_address(scene: Scene) -> dict[str, Any]:
    return {name: vsvip["vip"][0] for name, vsvip in scene.ours("vsvip").items()}


def resync(scene: Scene, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`ako resync`, with the environment of the pipeline."""
    command = [sys.executable, "-m", "cli.main", "resync", "--output", "json", "--timeout", "30", *arguments]
    return subprocess.run(
        command, env={**os.environ, **scene.stack.environ}, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_typo_stops_writing_until_it_is_mended(two_hosts: Scene) -> None:
    """While the file is wrong nothing is written and each process says why; mended, what changed meanwhile arrives."""
    scene = two_hosts
    good = copy.deepcopy(yaml.safe_load(Path(scene.stack.environ["AKO_VALUES"]).read_text()))
    write(scene, AKOSettings={"ipFamily": "V5"})
    names = ("watcher", "worker-1", "worker-2")
    wait_for(
        lambda: all("AKOSettings.ipFamily" in str(scene.stack.readyz(name)["reasons"]) for name in names),
        seconds=20,
        what="every process to say so",
    )
    scene.forget_audit()
    scene.load([cluster.endpoint_slice(0, change=3)])
    with pytest.raises(AssertionError):
        wait_for(scene.writes, seconds=3, what="a write")
    Path(scene.stack.environ["AKO_VALUES"]).write_text(yaml.safe_dump(good))
    wanted = set(cluster.addresses(0, 3))
    pool = f"bench--bench-{cluster.host(0)}_-i00000"
    wait_for(
        lambda: {server["ip"]["addr"] for server in scene.ours("pool")[pool].get("servers", [])} == wanted,
        seconds=40,
        what="the change made meanwhile",
    )


def test_log_level_and_interval_change_in_place(two_hosts: Scene) -> None:
    """Another log level and resync interval take effect without a new epoch; the census comes at the new interval."""
    scene = two_hosts
    epoch = scene.state.fields("meta", ["epoch"])
    scene.forget_audit()
    write(scene, pipeline={"resyncInterval": 2})
    clouds = "/api/cloud"

    def censuses() -> int:
        return sum(call["path"].startswith(clouds) for call in scene.audit())

    wait_for(lambda: censuses() >= 3, seconds=30, what="three censuses")
    assert scene.state.fields("meta", ["epoch"]) == epoch
    assert scene.writes() == []


def test_delete_config_takes_everything_away_and_back(two_hosts: Scene) -> None:
    """deleteConfig removes every object, route, label and status of ours, then idles; false builds all anew."""
    scene = two_hosts
    write(scene, AKOSettings={"deleteConfig": True})
    types = {name for name in scene.dump() if name not in {"vrfcontext", "serviceenginegroup"}}
    wait_for(lambda: not any(scene.ours(name) for name in types), seconds=40, what="the end of all objects")
    settled(scene)
    assert scene.status(0) == scene.status(1) == []
    dump = scene.dump()
    assert not any(
        label.get("value") == "bench" for group in dump["serviceenginegroup"] for label in group.get("labels") or []
    )
    assert not any(
        "bench" in route["route_id"] for vrf in dump["vrfcontext"] for route in vrf.get("static_routes") or []
    )
    logs = [child.log for name, child in scene.stack.processes().items() if name.startswith("worker")]
    said = "deleteConfig: nothing of this cluster is left"
    scene.work().mark([RESYNC], "change", "look again")  # which it would by itself, ten seconds after the one before
    wait_for(lambda: any(said in log.read_text() for log in logs), seconds=30, what="the end of the deletion")
    scene.forget_audit()
    scene.load([cluster.endpoint_slice(0, change=3)])
    wait_for(scene.quiet, what="quiet")
    assert scene.writes() == []
    write(scene, AKOSettings={"deleteConfig": False})
    scene.converged(0, 1, seconds=40)


@pytest.fixture
def with_password_file(tmp_path: Path) -> Iterator[tuple[Scene, Path]]:
    """A pipeline whose workers read the controller's password from a file."""
    secret = tmp_path / "password"
    scene = Scene(tmp_path, cluster.values(leaseTTL=3), workers=1, watcher=False)
    scene.stack._workers = 0
    with scene:
        secret.write_text(scene.stack.environ.pop("CTRL_PASSWORD"))
        scene.stack.environ["CTRL_PASSWORD_FILE"] = str(secret)
        scene.stack.start_watcher()
        scene.stack.start_worker()
        scene.load([*cluster.base(), *cluster.objects_of(0)])
        scene.converged(0)
        yield scene, secret


def test_a_rotated_password_needs_no_restart(with_password_file: tuple[Scene, Path]) -> None:
    """The controller gets a new password, the mounted file follows, and the next change arrives; nobody restarts."""
    scene, secret = with_password_file
    before = scene.pids()
    scene.avi_switch("password", {"password": "another-one"})
    scene.load([cluster.endpoint_slice(0, change=3)])
    secret.write_text("another-one")
    wanted = set(cluster.addresses(0, 3))
    pool = f"bench--bench-{cluster.host(0)}_-i00000"
    wait_for(
        lambda: {server["ip"]["addr"] for server in scene.ours("pool")[pool].get("servers", [])} == wanted,
        seconds=60,
        what="the change under the new password",
    )
    assert scene.pids() == before
    assert "another-one" not in scene.stack.processes()["worker-1"].log.read_text()
