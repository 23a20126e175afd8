"""The table of settings, good and bad, and what is said about each: see `test_settings_table.py`.

`python -m tests.shared.settings.table` writes `messages.txt` anew, with the full text for every row; read the
difference before you keep it.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import yaml

from shared.addresses import Family
from shared.errors import SettingsError
from shared.settings import load
from shared.settings.fields import Anything, Choice, Flag, Host, Number, Rows, Text, Url, VipCidr
from shared.settings.matrix import Known, Phase, refusals
from shared.settings.schema import SCHEMA, NodeNetworkRow, VipNetworkRow, keys

MESSAGES = Path(__file__).with_name("messages.txt")

BASE: dict[str, Any] = {
    "AKOSettings": {"clusterName": "peer"},
    "NetworkSettings": {"vipNetworkList": [{"networkName": "net1", "cidr": "10.10.0.0/16"}]},
    "ControllerSettings": {"controllerHost": "10.1.1.5"},
}
GONE = object()


@dataclass(frozen=True)
class Line:
    """One row: `values` are laid over BASE (text and bytes are the whole file); `phase` and `known` ask the matrix.

    `rule` names the row of the matrix whose boundary it shows (with `phase`: an id may have a row in each).
    """

    name: str
    good: bool
    values: Any = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    configmap: Mapping[Any, Any] | None = None
    phase: Phase = "load"
    known: Known | None = None
    rule: str = ""


def said(line: Line, directory: Path) -> list[str]:
    """What loading (and asking the matrix) says: `path: text` per mistake, or "valid" and the warnings."""
    path = directory / "values.yaml"
    content = line.values if isinstance(line.values, str | bytes) else yaml.safe_dump(over(BASE, line.values))
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    try:
        loaded = load(str(path), line.environ, line.configmap)
    except SettingsError as error:
        return [f"{place}: {text}".replace(str(path), "values.yaml") for place, text in error.problems]
    if refused := refusals(line.phase, loaded.settings, line.known):
        return [f"{place}: {text}" for place, text in refused]
    return ["valid", *(f"warning: {text}" for text in loaded.warnings), *(f"note: {text}" for text in loaded.notes)]


def over(base: Any, values: Any) -> Any:
    """`values` laid over `base`; GONE takes a key away."""
    if not isinstance(base, dict) or not isinstance(values, dict):
        return values if values is GONE else copy.deepcopy(values)
    merged = {**copy.deepcopy(base), **{key: over(base.get(key), value) for key, value in values.items()}}
    return {key: value for key, value in merged.items() if value is not GONE}


def at(path: tuple[str, ...], value: Any) -> Any:
    for name in reversed(path):
        value = {name: value}
    return value


def ako(**changes: Any) -> Any:
    return {"AKOSettings": changes}


def vips(**row: Any) -> Any:
    return {"NetworkSettings": {"vipNetworkList": [{"networkName": "net1", **row}]}}


def nodes(*cidrs: Any) -> Any:
    return {"NetworkSettings": {"nodeNetworkList": [{"networkName": "n", "cidrs": list(cidrs)}]}}


def gated(values: Any, *gates: str) -> Any:
    return over(values, {"featureGates": dict.fromkeys(gates, True)})


WRONG: list[tuple[type, list[Any]]] = [
    (Host, [{"a": 1}, 7]),
    (Url, [{"a": 1}, "http://h"]),
    (Text, [{"a": 1}, 7]),
    (Flag, [{"a": 1}, "yes"]),
    (Number, [{"a": 1}, "soon"]),
    (Choice, [{"a": 1}, "nonsense"]),
    (VipCidr, [{"a": 1}, 7]),
    (Rows, [{"a": 1}, "text"]),
]


def wrong_types() -> Iterator[Line]:
    """Each key with values of two wrong types: a mapping, and one that is nearer but wrong."""
    for path, key in keys(SCHEMA):
        for value in _wrong(key):
            yield Line(f"{'.'.join(path)}: {value!r}", False, at(path, value))
    for row, name in ((VipNetworkRow(), "vipNetworkList"), (NodeNetworkRow(), "nodeNetworkList")):
        for inner in row.fields.values():
            for value in _wrong(inner):
                given = {"NetworkSettings": {name: [{"networkName": "n", str(inner.data_key): value}]}}
                yield Line(f"{name}[0].{inner.data_key}: {value!r}", False, given)
    for field_ in SCHEMA.fields.values():
        if not isinstance(field_, Anything):
            yield Line(f"{field_.data_key}: a list", False, {str(field_.data_key): [1]})


def _wrong(key: Any) -> list[Any]:
    return next((values for kind, values in WRONG if isinstance(key, kind)), [])


def addresses() -> Iterator[Line]:
    """Every form of address, as `cidr`, as `v6cidr`, and a few as a node network."""
    for cidr in ["10.10.0.0/16", "10.10.3.4/16", "10.10.0.0/31", "0.0.0.0/0", " 10.10.0.0/16 ", ""]:
        yield Line(f"cidr {cidr!r}", cidr != "0.0.0.0/0", vips(cidr=cidr))
    for cidr in [
        "10.10.0.0", "10.10.0.0/", "10.10.0.0/33", "10.10.0.0/-1", "10.10.0.0/016", "10.10.0.0/255.255.0.0",
        "10.10.0.5/32", "010.10.0.0/16", "10.10.0/16", "10.10.0.0.0/16", "256.1.1.0/24", "2001:db8::/64",
        "127.0.0.0/8", "169.254.1.0/24", "224.0.0.0/4", "0.0.0.0/8", "a/16", "1" * 70,
    ]:  # fmt: skip
        yield Line(f"cidr {cidr[:40]!r}", False, vips(cidr=cidr))
    for cidr in [
        "2001:db8:10::/64", "2002::1234:abcd:ffff:c0a8:101/64", "2001:DB8:10::/64",
        "2001:0db8:0010:0000:0000:0000:0000:0000/64", "2001:db8::192.0.2.1/64", "2001:db8::/127", "fd00::/8", "",
    ]:  # fmt: skip
        yield Line(f"v6cidr {cidr!r}", True, vips(v6cidr=cidr))
    for cidr in [
        "2001:db8::", "2001:db8::/", "2001:db8::/129", "2001:db8::/064", "2001:db8::/x", "2001:db8::1/128",
        "fe80::1%eth0/64", "10.10.0.0/16", "::ffff:10.10.0.0/112", "::ffff:0:0/96", "::1/128", "::/0", "::/128",
        "fe80::/64", "ff00::/8", "1:2:3:4:5:6:7:8:9::/64", "1::2::3/64", ":::/64", "abcde::/64", "2001:db8::g/64",
    ]:  # fmt: skip
        yield Line(f"v6cidr {cidr!r}", False, vips(v6cidr=cidr))
    yield Line("cidrs of both families, one with host bits", True, nodes("10.0.0.1/24", "2001:db8:50::1/64", ""))
    yield Line("cidrs with a zone id", False, nodes("fe80::1%eth0/64"))
    yield Line("cidrs with a number", False, nodes("10.0.0.0/24", 7))
    yield Line("cidrs with an empty row", True, nodes(None))


def matrix() -> Iterator[Line]:
    """Both sides of every rule of the support matrix."""
    v6, both = ako(ipFamily="V6", cniPlugin="calico"), ako(ipFamily="V4_V6", cniPlugin="calico")
    dual = vips(cidr="10.10.0.0/16", v6cidr="2001:db8:10::/64")
    yield Line("V4 and V6 servers", False, both, rule="V6-MIX")
    yield Line("V4 and V6 servers, gate on", True, gated(both, "DualStackBackends"), rule="V6-MIX")
    yield Line("V4 and V6 servers, gate as text", True, {**both, "featureGates": {"DualStackBackends": "true"}})
    yield Line("V4 and V6 servers, another gate on", False, gated(both, "IPv6AnyCNI"), rule="V6-MIX")
    unclear = {**both, "featureGates": {"DualStackBackends": "on"}}
    yield Line("V4 and V6 servers, gate with a mistake: one mistake", False, unclear)
    yield Line("V6 servers", True, v6, rule="V6-MIX")
    yield Line("V6 servers by variable", False, environ={"IP_FAMILY": "V4_V6", "CNI_PLUGIN": "flannel"}, rule="V6-MIX")
    yield Line("V6 on antrea", True, ako(ipFamily="V6", cniPlugin="Antrea"), rule="V6-CNI")
    for cni in ("", "flannel", "canal", "cilium", "ncp", "ovn-kubernetes"):
        values = ako(ipFamily="V6", cniPlugin=cni)
        yield Line(f"V6 with cniPlugin {cni!r}", False, values, rule="V6-CNI")
        yield Line(f"V6 with cniPlugin {cni!r}, gate on", True, gated(values, "IPv6AnyCNI"), rule="V6-CNI")
    yield Line("V6 with another CNI, no routes", True, ako(ipFamily="V6", disableStaticRouteSync=True), rule="V6-CNI")
    yield Line("V4 with another CNI", True, ako(ipFamily="V4", cniPlugin="flannel"), rule="V6-CNI")
    yield Line("a CNI that nobody knows with V6: one mistake", False, ako(ipFamily="V6", cniPlugin="weave"))
    for family in ("V4", "V6"):
        values = {**ako(ipFamily=family, cniPlugin="antrea"), "L7Settings": {"serviceType": "NodePortLocal"}}
        yield Line(f"NodePortLocal with {family}", family == "V4", values, rule="V6-NPL" if family == "V6" else "")
    for cni in ("", "calico", "weave"):
        values = {**ako(cniPlugin=cni), "L7Settings": {"serviceType": "NodePortLocal"}}
        yield Line(f"NodePortLocal with cniPlugin {cni!r}", False, values)
    local = {"SERVICE_TYPE": "NodePortLocal", "CNI_PLUGIN": "antrea", "AUTO_ANNOTATE_SERVICE": "False"}
    yield Line("NodePortLocal by variable", True, environ=local)
    yield Line("NodePortLocal by variable, cniPlugin too", False, environ={**local, "CNI_PLUGIN": "cilium"})
    yield Line("ClusterIP with V6", True, {**v6, "L7Settings": {"serviceType": "ClusterIP"}}, rule="V6-NPL")
    shift = ako(cniPlugin="openshift")
    yield Line("OpenShift with V4", True, shift, rule="V6-OCP")
    yield Line("OpenShift with V6", False, over(shift, ako(ipFamily="V6")), rule="V6-OCP")
    yield Line("OpenShift with v6cidr", False, over(shift, dual), rule="V6-OCP")
    every = gated(over(shift, over(dual, ako(ipFamily="V4_V6"))), "IPv6AnyCNI", "IPv6OtherClouds", "DualStackBackends")
    yield Line("OpenShift with both and every gate", False, every, rule="V6-OCP")
    yield from hosts()
    yield from contact(v6, dual)


def hosts() -> Iterator[Line]:
    """The controller's host in every form."""
    for host in ("10.1.1.5", "10.1.1.5:443", "avi.example.com", "https://avi.example.com:8443", "http://10.1.1.5"):
        yield Line(f"controller {host}", True, {"ControllerSettings": {"controllerHost": host}}, rule="V6-CTRL")
    for host in ("2001:db8::5", "[2001:db8::5]", "[2001:db8::5]:443", "https://[2001:db8::5]:443", "::1"):
        values = {"ControllerSettings": {"controllerHost": host}}
        yield Line(f"controller {host}", False, values, rule="V6-CTRL")
        yield Line(f"controller {host}, gate on", True, gated(values, "IPv6Controller"), rule="V6-CTRL")
    for host in ("https://user@host", "host/api", "host name", "höst", ""):
        yield Line(f"controller {host!r}", False, {"ControllerSettings": {"controllerHost": host}})


def contact(v6: Any, dual: Any) -> Iterator[Line]:
    """What only controller, cluster or object can tell."""
    one, two = frozenset({Family.V6}), frozenset({Family.V4, Family.V6})
    for cloud in ("CLOUD_VCENTER", "CLOUD_NONE", "CLOUD_NSXT", "CLOUD_AWS", ""):
        for name, values in (("V4", {}), ("V6", v6), ("v6cidr", dual), ("V6, gate on", gated(v6, "IPv6OtherClouds"))):
            good = name == "V4" or cloud in ("CLOUD_VCENTER", "") or (cloud != "CLOUD_AWS" and "gate" in name)
            asked = Known(cloud_type=cloud)
            yield Line(f"cloud {cloud!r} with {name}", good, values, phase="contact", known=asked, rule="V6-CLOUD")
    yield from vip_networks(dual, v6)
    group = Known(api_groups=frozenset({"route.openshift.io"}))
    ovn = gated(ako(ipFamily="V6", cniPlugin="ovn-kubernetes"), "IPv6AnyCNI")
    yield Line("routes of OpenShift with V4", True, phase="contact", known=group, rule="V6-OCP")
    yield Line("routes of OpenShift with V6", False, ovn, phase="contact", known=group, rule="V6-OCP")
    yield Line("routes of OpenShift with v6cidr", False, dual, phase="contact", known=group, rule="V6-OCP")
    yield Line("no routes of OpenShift with V6", True, ovn, phase="contact", known=Known(), rule="V6-OCP")
    for families, good in ((one, False), (two, True)):
        named = Known(controller_families=families, api_host="k8s.example.com", api_families=families)
        values = {"ControllerSettings": {"controllerHost": "avi.example.com"}}
        alone = gated(values, "IPv6KubernetesAPI")
        yield Line(f"controller of {len(families)} families", good, alone, phase="contact", known=named, rule="V6-CTRL")
        alone = gated(values, "IPv6Controller")
        yield Line(f"API server of {len(families)} families", good, alone, phase="contact", known=named, rule="V6-API")
    open_ = gated({}, "IPv6Controller", "IPv6KubernetesAPI")
    known = Known(controller_families=one, api_host="k8s", api_families=one)
    for rule in ("V6-CTRL", "V6-API"):
        yield Line(f"both of IPv6 alone, gates on ({rule})", True, open_, phase="contact", known=known, rule=rule)
    literal = Known(api_host="2001:db8::6", api_families=one)
    yield Line("API server at an IPv6 address", False, phase="contact", known=literal, rule="V6-API")
    literal = Known(controller_families=frozenset({Family.V4}), api_families=frozenset({Family.V4}))
    yield Line("both of IPv4 alone", True, phase="contact", known=literal, rule="V6-API")
    yield from load_balancers(dual)


def vip_networks(dual: Any, v6: Any) -> Iterator[Line]:
    """What licence and network allow: `v6cidr` is asked about, the servers' family is not."""
    for tier in ("ENTERPRISE", "ENTERPRISE_WITH_CLOUD_SERVICES", "ESSENTIALS", "BASIC", ""):
        for name, values in (("v6cidr", dual), ("V6 servers", v6)):
            good = tier not in ("ESSENTIALS", "BASIC") or values is v6
            known = Known(license_tier=tier)
            yield Line(f"licence {tier!r} with {name}", good, values, phase="contact", known=known, rule="V6-LICENSE")
    for good, *subnets in [
        (True, "2001:db8:10::/64"), (True, "10.10.0.0/16", "2001:db8:20::/64", "2001:db8::/32"),
        (False, "10.10.0.0/16"), (False, "10.10.0.0/16", "2001:db8:20::/64"), (False, "2001:db8:10::/80"),
    ]:  # fmt: skip
        known = Known(subnets={"net1": tuple(ip_network(text) for text in subnets)})
        name = f"v6cidr on {' and '.join(subnets)}"
        yield Line(name, good, dual, phase="contact", known=known, rule="V6-SUBNET")
    elsewhere = Known(subnets={"net2": (ip_network("10.10.0.0/16"),)})
    yield Line("v6cidr on a network with other IPAM", True, dual, phase="contact", known=elsewhere, rule="V6-SUBNET")
    row = {"networkUUID": "network-7", "v6cidr": "2001:db8:10::/64"}
    by_uuid = {"NetworkSettings": {"vipNetworkList": [{"networkName": "net1", **row}]}}
    known = Known(subnets={"network-7": (ip_network("2001:db8:20::/64"),)})
    yield Line("v6cidr on a network by its UUID", False, by_uuid, phase="contact", known=known, rule="V6-SUBNET")
    known = Known(subnets={"net1": (ip_network("10.20.0.0/16"),)})
    yield Line("no v6cidr on a network without IPv6", True, v6, phase="contact", known=known, rule="V6-SUBNET")


def load_balancers(dual: Any) -> Iterator[Line]:
    """What a Service of type LoadBalancer asks for."""
    lb = Known(service="red/web")
    alone = vips(v6cidr="2001:db8:10::/64")
    yield Line("load balancer with cidr", True, phase="object", known=lb, rule="V6-LB")
    yield Line("load balancer with both", False, dual, phase="object", known=lb, rule="V6-LB")
    yield Line("load balancer with v6cidr", False, alone, phase="object", known=lb, rule="V6-LB")
    for name, values in (("v6cidr", alone), ("both", dual)):
        gate = gated(values, "IPv6LoadBalancer")
        yield Line(f"load balancer with {name}, gate on", True, gate, phase="object", known=lb, rule="V6-LB")


def others() -> Iterator[Line]:
    """Words, bounds, rows, unknown keys, deprecated and unserved ones."""
    for path, value in [
        (("AKOSettings", "clusterName"), GONE), (("AKOSettings", "clusterName"), "a b"),
        (("AKOSettings", "ipFamily"), "v6"), (("AKOSettings", "fullSyncFrequency"), "-1"),
        (("AKOSettings", "fullSyncFrequency"), 604_801), (("AKOSettings", "apiServerPort"), 0),
        (("AKOSettings", "apiServerPort"), 65_536), (("AKOSettings", "logLevel"), "warn"),
        (("AKOSettings", "ipFamly"), "V6"), (("AKOSettings", "vpcMode"), True),
        (("AKOSettings", "blockedNamespaceList"), [7]),
        (("NetworkSettings", "vipNetworkList"), GONE), (("NetworkSettings", "vipNetworkList"), []),
        (("NetworkSettings", "vipNetworkList"), [{"networkName": "a"}, {"networkName": "b"}]),
        (("NetworkSettings", "vipNetworkList"), [{"cidr": "10.0.0.0/8"}]), (("NetworkSettings", "vipNetworkList"), [7]),
        (("NetworkSettings", "vipNetworkList"), [{"networkName": "a", "v6Cidr": ""}]),
        (("NetworkSettings", "nodeNetworkList"), [{"networkName": "n"}] * 6),
        (("NetworkSettings", "nodeNetworkList"), [None]), (("NetworkSettings", "enableRHI"), True),
        (("NetworkSettings", "nsxtT1LR"), "t1"), (("NetworkSettings", "bgpPeerLabels"), ["a"]),
        (("NetworkSettings", "defaultDomain"), "a b"), (("L7Settings", "serviceType"), "NodePortLocal"),
        (("L7Settings", "shardVSSize"), "large"), (("L7Settings", "noPGForSNI"), "maybe"),
        (("ControllerSettings", "controllerHost"), GONE), (("ControllerSettings", "controllerVersion"), "new"),
        (("ControllerSettings", "controllerVersion"), 22.1), (("pipeline", "concurrency"), 1.5),
        (("pipeline", "leaseTTL"), 0.1), (("pipeline", "leaseTTL"), float("nan")), (("pipeline", "maxInFlight"), 1025),
        (("pipeline", "redisURL"), "redis://h:99999"), (("featureGates", "IPv6Anycni"), True), (("foo",), 1),
        (("clusterName",), "a"), (("avicredentials", "certificateAuthorityData"), "text"),
    ]:  # fmt: skip
        shown = "missing" if value is GONE else repr(value)
        yield Line(f"{'.'.join(path)} {shown}", False, at(path, value))
    for path, value in [
        (("AKOSettings", "clusterName"), "a-b_C9"), (("AKOSettings", "fullSyncFrequency"), 0),
        (("AKOSettings", "fullSyncFrequency"), 604_800), (("AKOSettings", "apiServerPort"), "65535"),
        (("AKOSettings", "logLevel"), "ERROR"), (("AKOSettings", "istioEnabled"), "true"),
        (("AKOSettings", "enableEvents"), "false"), (("AKOSettings", "deleteConfig"), "true"),
        (("AKOSettings", "blockedNamespaceList"), ["red"]), (("AKOSettings", "primaryInstance"), "false"),
        (("AKOSettings", "namespaceSelector"), {"labelKey": "a", "labelValue": "b"}),
        (("AKOSettings", "layer7Only"), True), (("AKOSettings", "enableEVH"), "true"),
        (("NetworkSettings", "vipNetworkList"), [{"networkUUID": "network-1"}]),
        (("NetworkSettings", "nodeNetworkList"), [{"networkName": "n"}] * 5),
        (("NetworkSettings", "defaultDomain"), ".example.com"), (("NetworkSettings", "subnetIP"), "10.0.0.0"),
        (("L7Settings", "shardVSSize"), "DEDICATED"), (("L7Settings", "passthroughShardSize"), "LARGE"),
        (("L7Settings", "noPGForSNI"), True), (("L7Settings", "fqdnReusePolicy"), "STRICT"),
        (("L7Settings", "pathMatching"), "Kubernetes"),
        (("L7Settings", "syncNamespace"), "red"),
        (("L4Settings", "advancedL4"), True), (("L4Settings", "defaultDomain"), "example.com"),
        (("L4Settings", "autoFQDN"), "flat"), (("ControllerSettings", "controllerVersion"), "22.1.4"),
        (("ControllerSettings", "tenantName"), ""), (("nodePortSelector", "key"), "a"),
        (("featureGates", "GatewayAPI"), True), (("featureGates", "EnableEndpointSlice"), True),
        (("featureGates", "IPv6LoadBalancer"), True), (("pipeline", "leaseTTL"), 0.2),
        (("pipeline", "concurrency"), 256), (("pipeline", "redisURL"), "rediss://:pw@h:1/0"), (("L7Settings",), None),
        (("image",), {"repository": "a"}),
    ]:  # fmt: skip
        yield Line(f"{'.'.join(path)} {value!r}", True, at(path, value))


def sources() -> Iterator[Line]:
    """Files that are none, the environment, and the ConfigMap."""
    for name, content in [
        ("unfinished", "a: ["), ("no YAML", "a: \x00"), ("alias", "a: *other"), ("tag", "a: !!python/name:os {}"),
        ("key twice", "a: 1\na: 2"), ("two documents", "a: 1\n---\nb: 1"), ("bad date", "a: 2026-99-99"),
        ("list", "[1]"), ("binary", b"\xff\xfe"), ("deep", "[" * 1000), ("huge", "#" * 300_000),
        ("date for text", "ControllerSettings: {tenantName: 2026-01-01}"), ("empty", ""),
        ("odd keys", "AKOSettings: {true: 1}\n'a\\nb c': 1"),
    ]:  # fmt: skip
        yield Line(f"file: {name}", False, content)
    for variable, text in [
        ("VIP_NETWORK_LIST", "[{"), ("VIP_NETWORK_LIST", '[{"networkName":"n","v6cidr":"10.0.0.0/8"}]'),
        ("IP_FAMILY", "v4"), ("AKO_LEASE_TTL", "-1"), ("POD_NAMESPACE", "a b"), ("VPC_MODE", "true"),
        ("AKO_GATE_IPV6_ANY_CNI", "on"),
    ]:  # fmt: skip
        yield Line(f"variable {variable}={text}", False, environ={variable: text})
    yield Line("variable wins over ConfigMap", True, environ={"CNI_PLUGIN": "calico"}, configmap={"cniPlugin": "x"})
    for name, good, data in [
        ("of the chart", True, {"controllerIP": "10.1.1.6", "ipFamily": "", "vipNetworkList": "null", "nodeKey": ""}),
        ("lists", True, {"vipNetworkList": '[{"networkName":"n","v6cidr":"2001:db8::/64"}]', "bgpPeerLabels": "[]"}),
        ("gate", True, {"ipFamily": "V6", "IPv6AnyCNI": "true"}),
        ("unserved", True, {"enablePrometheus": "true", "enableEndpointSlice": "true"}),
        ("wrong word", False, {"ipFamily": "v6"}), ("wrong row", False, {"nodeNetworkList": '[{"cidrs":["x"]}]'}),
        ("no list", False, {"vipNetworkList": "[{"}), ("misspelt", False, {"ipFamly": "V6"}),
        ("not flat", False, {"AKOSettings": "x"}), ("odd key", False, {7: "x"}), ("of us", False, {"redisURL": "x"}),
        ("matrix", False, {"ipFamily": "V6", "cniPlugin": "flannel"}), ("selector", True, {"nsSyncLabelKey": "a"}),
    ]:  # fmt: skip
        yield Line(f"ConfigMap: {name}", good, configmap=data)


def inner_types() -> Iterator[Line]:
    """Wrong types below a key: items of lists and nested sections."""
    for path, value in [
        (("AKOSettings", "namespaceSelector"), [1]), (("AKOSettings", "namespaceSelector"), "a: b"),
        (("NetworkSettings", "bgpPeerLabels"), [7]), (("NetworkSettings", "bgpPeerLabels"), [None]),
        (("AKOSettings", "blockedNamespaceList"), [{"a": 1}]), (("NetworkSettings", "nodeNetworkList"), [[1]]),
        (("NetworkSettings", "vipNetworkList"), ["net1"]),
    ]:  # fmt: skip
        yield Line(f"{'.'.join(path)}, wrong type {value!r}", False, at(path, value))
    yield Line("cidrs, wrong type {'a': 1}", False, nodes({"a": 1}))


TABLE: tuple[Line, ...] = (*wrong_types(), *addresses(), *matrix(), *others(), *sources(), *inner_types())


def file_of_ako() -> dict[str, Any]:
    """AKO's published values file: every key with its default, and no value for the keys that a site must write."""
    values: dict[str, Any] = {}
    for row in Path(__file__).with_name("values-keys.md").read_text().splitlines():
        key, default, kind = [part.strip() for part in row.split("|")[1:4]] if row.startswith("|") else ("", "", "")
        if kind in {"setting", "chart"}:
            value = "name" if default.startswith("`(") else json.loads(default.strip("`"))
            values = over(values, at(tuple(key.split(".")), value))
    return values


def golden() -> dict[str, list[str]]:
    """`messages.txt` by row."""
    blocks = MESSAGES.read_text(encoding="utf-8").split("\n== ")[1:]
    return {block.split("\n")[0]: block.strip("\n").split("\n")[1:] for block in blocks}


def write() -> None:
    """Writes `messages.txt` anew."""
    with tempfile.TemporaryDirectory() as directory:
        blocks = ["\n".join([f"== {line.name}", *said(line, Path(directory))]) for line in TABLE]
    title = "What is said about each row of table.py; `python -m tests.shared.settings.table` writes this file."
    MESSAGES.write_text("\n\n".join([title, *blocks]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
