"""`ako preflight` against both simulators: each row fails for a reason made on purpose, and nothing is ever written."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.main import main
from cli.stack import Stack
from shared.state import State

HOME = "avi-system"
NAMES = {
    "controller.login",
    "controller.version",
    "controller.tenant",
    "controller.cloud",
    "controller.ipam",
    "controller.dns",
    "controller.vrf",
    "controller.segroup",
    "NetworkSettings.vipNetworkList[0]",
    "NetworkSettings.nodeNetworkList[0]",
    "controller.matrix",
    "kubernetes",
    "kubernetes.kinds",
    "kubernetes.rights",
    "ako.running",
    "redis",
    "redis.eviction",
    "settings",
}


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Redis, controller and API server, without any watcher or worker."""
    with Stack(tmp_path_factory.mktemp("outside"), workers=0, watcher=False) as stack:
        yield stack


class Site:
    """Runs the command with changes to the values of the example or to the environment."""

    def __init__(self, stack: Stack, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self.stack, self._folder, self._monkeypatch, self._capsys = stack, folder, monkeypatch, capsys
        for name, value in stack.environ.items():
            monkeypatch.setenv(name, value)
        self.values = yaml.safe_load(Path(stack.environ["AKO_VALUES"]).read_text())

    def run(self, *, code: int, **environ: str) -> dict[str, dict[str, str]]:
        """The checks by id."""
        path = self._folder / "values.yaml"
        path.write_text(yaml.safe_dump(self.values))
        for name, value in environ.items():
            self._monkeypatch.setenv(name, value)
        assert main(["preflight", "--values", str(path), "--output", "json"]) == code
        return {check["id"]: check for check in json.loads(self._capsys.readouterr().out)}

    def failed(self, **environ: str) -> dict[str, dict[str, str]]:
        """The checks that failed, of a run that must fail."""
        return {id_: check for id_, check in self.run(code=1, **environ).items() if check["result"] == "fail"}


@pytest.fixture
def site(outside: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Site:
    return Site(outside, tmp_path, monkeypatch, capsys)


def test_a_good_site_passes_and_is_only_read(site: Site) -> None:
    """Where all is right every check passes, and controller and cluster have seen no write."""
    site.stack.avi_control("audit", method="DELETE")
    before = site.stack.kube_client().get("/api/v1/namespaces")["metadata"]["resourceVersion"]
    found = site.run(code=0)
    assert set(found) == NAMES
    assert {check["result"] for check in found.values()} == {"pass"}
    calls = site.stack.avi_control("audit")["calls"]
    assert {(call["method"], call["path"]) for call in calls if call["method"] != "GET"} <= {
        ("POST", "/login"),
        ("POST", "/logout"),
    }
    assert site.stack.kube_client().get("/api/v1/namespaces")["metadata"]["resourceVersion"] == before


def test_the_table_is_readable(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """As text there is a line per check, advice below for what failed, and a count at the end."""
    site.values["ControllerSettings"] = {"cloudName": "nowhere"}
    site.run(code=1)
    assert main(["preflight", "--values", str(site._folder / "values.yaml")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["result", "check", "found"]
    assert any(line.startswith("fail") and "there is no cloud 'nowhere'" in line for line in lines)
    assert "controller.cloud: Correct ControllerSettings.cloudName." in lines
    assert lines[-1].endswith("skip")


def test_names_that_are_not_there(site: Site) -> None:
    """Tenant, VRF, SE group and networks that do not exist each fail by themselves, with the setting to correct."""
    site.values["ControllerSettings"] = {"tenantName": "t9", "vrfName": "v9", "serviceEngineGroupName": "g9"}
    site.values["NetworkSettings"]["vipNetworkList"][0]["networkName"] = "n8"
    site.values["NetworkSettings"]["nodeNetworkList"][0]["networkName"] = "n9"
    failed = site.failed()
    assert {id_: check["action"].rpartition(" ")[2] for id_, check in failed.items() if id_ != "controller.matrix"} == {
        "controller.tenant": "ControllerSettings.tenantName",
        "controller.vrf": "ControllerSettings.vrfName",
        "controller.segroup": "ControllerSettings.serviceEngineGroupName",
        "NetworkSettings.vipNetworkList[0]": "NetworkSettings.vipNetworkList[0].networkName",
        "NetworkSettings.nodeNetworkList[0]": "NetworkSettings.nodeNetworkList[0].networkName",
    }


def test_subnets_that_do_not_hold_the_vips(site: Site) -> None:
    """A cidr outside the network's subnets fails and names those that there are."""
    site.values["NetworkSettings"]["vipNetworkList"][0]["cidr"] = "192.0.2.0/24"
    check = site.failed()["NetworkSettings.vipNetworkList[0]"]
    assert "192.0.2.0/24" in check["found"]
    assert "10.10.0.0/16" in check["found"]


def test_a_licence_without_ipv6(site: Site) -> None:
    """What the support matrix refuses after the first contact is a failed check at the place of the setting."""
    site.stack.avi_control("license", {"tier": "ESSENTIALS"})
    try:
        assert "V6-LICENSE" in site.failed()["NetworkSettings.vipNetworkList[0].v6cidr"]["found"]
    finally:
        site.stack.avi_control("license", {"tier": "ENTERPRISE"})


def test_a_wrong_password_skips_the_controller(site: Site) -> None:
    """Without a login one check fails and the rest of the controller is skipped, not passed; the others still run."""
    found = site.run(code=1, CTRL_PASSWORD="wrong-horse")
    assert found["controller.login"]["result"] == "fail"
    assert found["controller"]["result"] == "skip"
    assert found["kubernetes.rights"]["result"] == found["redis"]["result"] == "pass"
    assert "wrong-horse" not in str(found)


def test_nobody_at_home(site: Site, tmp_path: Path) -> None:
    """A controller, an API server and a Redis that do not answer are a failed check each."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: ''}}]\ncurrent-context: c\n"
    )
    redis_url = "redis://:hunter2@127.0.0.1:1/0"
    failed = site.failed(CTRL_IPADDRESS="127.0.0.1:1", KUBECONFIG=str(kubeconfig), AKO_REDIS_URL=redis_url)
    assert set(failed) == {"controller.login", "kubernetes", "redis"}
    assert "hunter2" not in str(failed)


def test_wrong_settings_skip_everything(site: Site) -> None:
    """Each mistake of the file is a failed check with its path; nothing outside is asked meanwhile."""
    site.values["AKOSettings"]["ipFamly"] = "V6"
    found = site.run(code=1, CTRL_USERNAME="")
    assert {id_ for id_, check in found.items() if check["result"] == "fail"} == {
        "AKOSettings.ipFamly",
        "avicredentials.username",
    }
    assert {id_ for id_, check in found.items() if check["result"] == "skip"} == {"controller", "kubernetes", "redis"}


def test_an_ako_that_still_runs(site: Site) -> None:
    """A StatefulSet with replicas, or a fresh lease, refuses; scaled to zero and gone quiet it passes."""
    kube = site.stack.kube_client()
    sets = f"/apis/apps/v1/namespaces/{HOME}/statefulsets"
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{HOME}/leases"
    body = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "ako"}, "spec": {"replicas": 1}}
    kube.create(sets, body)
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lease = {"metadata": {"name": "ako-lease-lock"}, "spec": {"holderIdentity": "ako-0", "renewTime": now}}
    kube.create(leases, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **lease})
    try:
        check = site.failed()["ako.running"]
        assert "has 1 replicas" in check["found"]
        assert "by ako-0" in check["found"]
        kube.patch(f"{sets}/ako", {"spec": {"replicas": 0}})
        assert "replicas" not in site.failed()["ako.running"]["found"]
        kube.patch(f"{leases}/ako-lease-lock", {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}})
        assert site.run(code=0)["ako.running"]["result"] == "pass"
    finally:
        kube.delete(f"{sets}/ako")
        kube.delete(f"{leases}/ako-lease-lock")


def test_the_family_that_ako_used(site: Site) -> None:
    """AKO's ConfigMap without ipFamily means V4_V6 on vCenter, which is a warning unless our settings say the same."""
    kube = site.stack.kube_client()
    folder = f"/api/v1/namespaces/{HOME}/configmaps"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "avi-k8s-config"}, "data": {"ipFamily": ""}}
    kube.create(folder, body)
    try:
        check = site.run(code=0)["ako.ipFamily"]
        assert check["result"] == "warn"
        assert check["found"].startswith("AKO used V4_V6 (its default on this cloud)")
        own = site.values["AKOSettings"]["ipFamily"]
        kube.patch(f"{folder}/avi-k8s-config", {"data": {"ipFamily": own}})
        assert site.run(code=0)["ako.ipFamily"]["result"] == "pass"
    finally:
        kube.delete(f"{folder}/avi-k8s-config")


def test_a_redis_that_forgets(site: Site) -> None:
    """An evicting Redis is a warning without a limit and a failure with one."""
    state = State(site.stack.redis_url, "preflight")
    state.client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert site.run(code=0)["redis.eviction"]["result"] == "warn"
        state.client.config_set("maxmemory", "100mb")
        assert site.failed()["redis.eviction"]["action"] == "Set maxmemory-policy noeviction"
    finally:
        state.client.config_set("maxmemory", "0")
        state.client.config_set("maxmemory-policy", "noeviction")
        state.close()


def test_two_networks_of_one_name(site: Site) -> None:
    """A name that two networks have is a warning with both UUIDs."""
    subnet = {"prefix": {"ip_addr": {"addr": "10.99.0.0", "type": "V4"}, "mask": 24}}
    avi = site.stack.avi_client()
    cloud = avi.find("cloud", "Default-Cloud", tenant="*")
    tenant = avi.create("tenant", {"name": "other"})
    twin = avi.create(
        "network", {"name": "net1", "configured_subnets": [subnet], "cloud_ref": cloud["url"]}, tenant="other"
    )
    try:
        check = site.run(code=0)["NetworkSettings.vipNetworkList[0]"]
        assert check["result"] == "warn"
        assert twin["uuid"] in check["found"]
    finally:
        avi.delete("network", twin["uuid"], tenant="other")
        avi.delete("tenant", tenant["uuid"])


@pytest.mark.parametrize(
    ("verb", "resource", "shown"),
    [
        ("patch", "ingresses/status", "ingresses/status.networking.k8s.io"),
        ("patch", "services/status", "services/status"),
        ("get", "ingresses", "ingresses.networking.k8s.io"),
        ("get", "services", "services"),
    ],
)
def test_missing_rights(site: Site, verb: str, resource: str, shown: str) -> None:
    """A verb that the service account lacks is a failed check that names verb and resource."""
    site.stack.kube_control("deny", {"verbs": [verb], "resource": resource})
    try:
        assert f"{verb} {shown}" in site.failed()["kubernetes.rights"]["found"]
    finally:
        site.stack.kube_control("deny", method="DELETE")


def test_rights_that_only_node_port_local_needs(site: Site) -> None:
    """Without Services of type LoadBalancer they are annotated in that mode alone, and not where that is off."""
    site.stack.kube_control("deny", {"verbs": ["patch"], "resource": "services"})
    try:
        site.values["AKOSettings"] |= {"layer7Only": True}
        assert site.run(code=0)["kubernetes.rights"]["result"] == "pass"
        local = {"SERVICE_TYPE": "NodePortLocal", "CNI_PLUGIN": "antrea", "IP_FAMILY": "V4"}
        assert "patch services" in site.failed(**local)["kubernetes.rights"]["found"]
        assert site.run(code=0, AUTO_ANNOTATE_SERVICE="false")["kubernetes.rights"]["result"] == "pass"
    finally:
        site.stack.kube_control("deny", method="DELETE")
