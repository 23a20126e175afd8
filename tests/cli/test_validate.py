"""`ako validate`: a summary of good settings, one line per mistake of bad ones, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import main

ROOT = Path(__file__).parents[2]

GOOD = """
AKOSettings: {clusterName: demo, cniPlugin: calico, ipFamily: V6, istioEnabled: true}
NetworkSettings: {vipNetworkList: [{networkName: net1, cidr: 10.10.0.0/16, v6cidr: "2001:db8:10::7/64"}]}
ControllerSettings: {controllerHost: avi.example.com, vrfName: blue}
image: {repository: registry.example.com/ako}
"""
BAD = """
AKOSettings: {clusterName: demo, cniPlugin: flannel, ipFamily: V4_V6, vpcMode: true}
NetworkSettings: {vipNetworkList: [{networkName: net1, v6cidr: "2001:db8:10::/129"}]}
"""


@pytest.fixture
def values(tmp_path: Path) -> Path:
    return tmp_path / "values.yaml"


def test_a_good_file_is_summarized(values: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The summary names VIPs, servers, where addresses come from, what is off, warnings and notes."""
    values.write_text(GOOD)
    assert main(["validate", str(values)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    first, *lines = out.splitlines()
    assert first == f"{values}: valid"
    assert [line[2:18].strip() for line in lines] == [
        "cluster",
        "controller",
        "VIPs",
        "pool servers",
        "node addresses",
        "pod networks",
        "off",
        "asked later",
        "warning",
        "note",
    ]
    text = "\n".join(lines)
    for part in (
        "demo--...",
        "avi.example.com: cloud Default-Cloud, tenant admin, SE group Default-Group, VRF blue",
        "IPv4 from 10.10.0.0/16 and IPv6 from 2001:db8:10::/64, on network net1",
        "IPv6 addresses of endpoints (ipFamily V6)",
        "IPv6, from the annotations projectcalico.org/IPv4Address and IPv6Address, else InternalIP",
        "Calico's BlockAffinities",
        "DualStackBackends (V6-MIX)",
        "AKOSettings.istioEnabled: the boolean true has no effect",
        "image: read past",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ("cniPlugin: antrea, ipFamily: V6", "IPv6, from the annotation node.antrea.io/transport-addresses"),
        ("cniPlugin: flannel", "the node annotation ako.vmware.com/pod-cidrs, else spec.podCIDRs"),
        ("cniPlugin: cilium", "spec.ipam.podCIDRs of the CiliumNodes"),
        ("cniPlugin: openshift", "the HostSubnets of the OpenShift SDN"),
        ("cniPlugin: ovn-kubernetes", "the node annotation k8s.ovn.org/node-subnets"),
        ("cniPlugin: ncp", "static routes: NSX routes to the pods of cniPlugin ncp"),
        ("primaryInstance: false", "static routes: primaryInstance is false"),
        ("disableStaticRouteSync: true", "static routes: disableStaticRouteSync is true"),
        ("fullSyncFrequency: 0", "periodic census: its interval is 0"),
        ("ipFamily: V4", "IPv6 VIPs: no vipNetworkList row has a v6cidr"),
    ],
)
def test_what_is_off_is_said(values: Path, changes: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each setting that switches something off, or moves a source, shows in the summary."""
    values.write_text(
        f"AKOSettings: {{clusterName: demo, {changes}}}\n"
        "NetworkSettings: {vipNetworkList: [{networkUUID: network-1}]}\nControllerSettings: {controllerHost: avi}\n"
    )
    assert main(["validate", str(values)]) == 0
    out = capsys.readouterr().out
    assert expected in out
    assert "from any subnet of network network-1" in out


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", "IPv4 addresses of nodes, at node ports"),
        ("key: role, value: edge", "nodes with the label role=edge, at"),
    ],
)
def test_in_node_port_mode_nodes_are_the_servers(
    values: Path, selector: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The summary says which nodes serve and where their addresses come from; there are no routes."""
    values.write_text(
        "AKOSettings: {clusterName: demo, cniPlugin: antrea, ipFamily: V4}\nL7Settings: {serviceType: NodePort}\n"
        f"NetworkSettings: {{vipNetworkList: [{{networkUUID: network-1}}]}}\nnodePortSelector: {{{selector}}}\n"
        "ControllerSettings: {controllerHost: avi}\n"
    )
    assert main(["validate", str(values)]) == 0
    out = capsys.readouterr().out
    assert expected in out
    assert "IPv4, from the annotation node.antrea.io/transport-addresses, else InternalIP" in out
    assert "static routes: serviceType is NodePort" in out
    assert "pod networks" not in out


def test_in_node_port_local_mode_pods_are_served_on_nodes(values: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The summary does not promise the addresses of endpoints."""
    values.write_text(
        "AKOSettings: {clusterName: demo, cniPlugin: antrea, ipFamily: V4}\nControllerSettings: {controllerHost: avi}\n"
        "NetworkSettings: {vipNetworkList: [{networkUUID: network-1}]}\nL7Settings: {serviceType: NodePortLocal}\n"
    )
    assert main(["validate", str(values)]) == 0
    assert "IPv4 addresses of nodes, at the ports that Antrea opens for pods" in capsys.readouterr().out


def test_a_gate_that_is_on_is_shown(values: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With DualStackBackends, V4_V6 is valid and the summary says so."""
    values.write_text(GOOD.replace("V6,", "V4_V6,") + "featureGates: {DualStackBackends: true}\n")
    assert main(["validate", str(values)]) == 0
    out = capsys.readouterr().out
    assert "IPv4 and IPv6 addresses of endpoints (ipFamily V4_V6)" in out
    assert "gate on         DualStackBackends" in out


def test_a_bad_file_has_one_line_per_mistake(values: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Mistakes of the schema, what is not served and what the matrix refuses come at once, with exit code 1."""
    values.write_text(BAD)
    assert main(["validate", str(values)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.partition(": ")[0] for line in err.splitlines()] == [
        "NetworkSettings.vipNetworkList[0].v6cidr",
        "ControllerSettings.controllerHost",
        "AKOSettings.vpcMode",
        "AKOSettings.ipFamily",
        "AKOSettings.cniPlugin",
    ]


def test_the_environment_does_not_count(
    values: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer depends on the file alone."""
    monkeypatch.setenv("IP_FAMILY", "nonsense")
    values.write_text(GOOD)
    assert main(["validate", str(values)]) == 0
    assert capsys.readouterr().err == ""


def test_json_has_the_same(values: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--output json` gives the verdict with summary or problems on standard output."""
    values.write_text(GOOD)
    assert main(["validate", str(values), "--output", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["valid"], len(answer["warnings"]), len(answer["notes"])) == (True, 1, 1)
    assert ["pool servers", "IPv6 addresses of endpoints (ipFamily V6)"] in answer["summary"]
    values.write_text(BAD)
    assert main(["validate", str(values), "--output", "json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["valid"] is False
    assert answer["problems"][1]["path"] == "ControllerSettings.controllerHost"


FLAT = """
  clusterName: demo
  controllerIP: 10.1.1.5
  cniPlugin: antrea
  ipFamily: V6
  enableEVH: "false"
  vipNetworkList: |-
    [{"networkName":"net1","v6cidr":"2001:db8:10::/64"}]
"""


@pytest.mark.parametrize("head", ["kind: ConfigMap\nmetadata: {name: avi-k8s-config}\ndata:", None])
def test_the_configmap_form(values: Path, head: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """`--from-configmap` reads AKO's ConfigMap as kubectl prints it, or its data alone."""
    text = head + FLAT if head else FLAT.replace("\n  ", "\n")
    values.write_text(text)
    assert main(["validate", "--from-configmap", str(values)]) == 0
    assert "IPv6 from 2001:db8:10::/64, on network net1" in capsys.readouterr().out
    values.write_text(text.replace("antrea", "canal").replace("/64", "/129"))
    assert main(["validate", "--from-configmap", str(values)]) == 1
    places = [line.partition(": ")[0] for line in capsys.readouterr().err.splitlines()]
    assert places == ["avi-k8s-config.vipNetworkList[0].v6cidr", "avi-k8s-config.cniPlugin"]


def test_another_object_is_no_configmap(values: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A Secret, or data that is no mapping, is one line."""
    for text in ("kind: Secret\ndata: {password: aHVudGVyMg==}\n", "kind: ConfigMap\ndata: [1]\n"):
        values.write_text(text)
        assert main(["validate", "--from-configmap", str(values)]) == 1
        assert capsys.readouterr().err == "kind: is not a ConfigMap with data; give avi-k8s-config as YAML\n"


@pytest.mark.parametrize("content", [b"\x00\x01", b"\xff" * 10, b"a" * 300_000, b"- 1\n", b"a: [", "é: 1".encode()])
@pytest.mark.parametrize("option", [(), ("--from-configmap",), ("--output", "json")])
def test_no_file_ends_in_a_traceback(
    values: Path, content: bytes, option: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Binary, huge and foreign files are one or a few lines and exit code 1."""
    values.write_bytes(content)
    assert main(["validate", *option, str(values)]) == 1
    out, err = capsys.readouterr()
    assert 0 < len((out + err).splitlines()) < 40


@pytest.mark.parametrize("path", ["", "none", ".", "/dev/zero", "a\x00b"])
def test_a_path_that_leads_nowhere(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing file, a directory, a device without end and an impossible name are one line each."""
    monkeypatch.chdir(tmp_path)
    assert main(["validate", path]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [(), ("a", "b"), ("a", "--output", "xml"), ("a", "--from-config")])
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    """A command line without a file, with two, or with an unknown option ends with 2."""
    with pytest.raises(SystemExit) as ended:
        main(["validate", *arguments])
    assert ended.value.code == 2


@pytest.mark.parametrize("values_file", sorted(ROOT.glob("examples/*/values.yaml")), ids=lambda path: path.parent.name)
def test_the_examples_are_valid(values_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each example's values.yaml validates without a warning."""
    assert main(["validate", str(values_file)]) == 0
    assert "  warning" not in capsys.readouterr().out
