"""The examples are read by the demo and by newcomers: they must load, and fit each other."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cli.wanted import wanted
from shared.addresses import Family, family_of, parse_address, parse_network
from shared.settings import load

EXAMPLES = Path(__file__).parents[2] / "examples"
MANIFESTS: list[dict[str, Any]] = [
    document
    for path in sorted((EXAMPLES / "dual-stack" / "manifests").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
]


def of(kind: str) -> list[dict[str, Any]]:
    """The manifests of one kind."""
    return [manifest for manifest in MANIFESTS if manifest["kind"] == kind]


@pytest.mark.parametrize(
    ("folder", "vips", "servers"),
    [
        ("dual-stack", (True, True), "V6"),
        ("v6-only", (False, True), "V6"),
        ("v4-only", (True, False), "V4"),
        ("node-port", (True, True), "V4_V6"),
    ],
)
def test_values_load_without_a_remark(folder: str, vips: tuple[bool, bool], servers: str) -> None:
    """Each example's values.yaml loads without a warning and promises the families that its name says."""
    loaded = load(str(EXAMPLES / folder / "values.yaml"), {})
    (network,) = loaded.settings.vip_networks
    assert loaded.warnings == ()
    assert (network.cidr is not None, network.v6cidr is not None) == vips
    assert loaded.settings.ip_family.value == servers


def test_the_environment_says_where_the_controller_is() -> None:
    """The placeholder controllerHost of the example gives way to CTRL_IPADDRESS, as the demo needs."""
    loaded = load(str(EXAMPLES / "dual-stack" / "values.yaml"), {"CTRL_IPADDRESS": "127.0.0.1:8443"})
    assert loaded.settings.controller.host == "127.0.0.1:8443"


def test_every_backend_and_secret_exists() -> None:
    """Each Ingress names only Services, ports and Secrets that the manifests hold."""
    services = {(s["metadata"]["namespace"], s["metadata"]["name"]): s["spec"] for s in of("Service")}
    secrets = {(s["metadata"]["namespace"], s["metadata"]["name"]) for s in of("Secret")}
    assert len(of("Ingress")) >= 5
    for ingress in of("Ingress"):
        namespace = ingress["metadata"]["namespace"]
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                ports = services[namespace, backend["name"]]["ports"]
                assert backend["port"]["number"] in [port["port"] for port in ports]
        for tls in ingress["spec"].get("tls", []):
            assert (namespace, tls["secretName"]) in secrets


def test_each_service_has_endpoints_of_each_of_its_families() -> None:
    """A Service has a slice per family, and each endpoint lies in a pod block of the node it names."""
    blocks: dict[str, list[Any]] = {}
    for affinity in of("BlockAffinity"):
        blocks.setdefault(affinity["spec"]["node"], []).append(parse_network(affinity["spec"]["cidr"]))
    slices = of("EndpointSlice")
    for service in of("Service"):
        name = service["metadata"]["name"]
        mine = [s for s in slices if s["metadata"]["labels"]["kubernetes.io/service-name"] == name]
        assert sorted(s["addressType"] for s in mine) == sorted(service["spec"]["ipFamilies"])
    for slice_ in slices:
        for endpoint in slice_["endpoints"]:
            address = parse_address(endpoint["addresses"][0])
            assert f"IP{family_of(address).value.lower()}" == slice_["addressType"]
            assert any(address in block for block in blocks[endpoint["nodeName"]])


def test_nodes_have_an_address_of_each_family_in_both_places() -> None:
    """Each node's Calico annotations name its InternalIPs, one of each family."""
    for node in of("Node"):
        annotations = node["metadata"]["annotations"]
        noted = [annotations[f"projectcalico.org/IPv{n}Address"].partition("/")[0] for n in (4, 6)]
        internal = [a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"]
        assert noted == internal
        assert [family_of(parse_address(text)) for text in internal] == [Family.V4, Family.V6]


def test_one_host_has_ipv6_servers_only() -> None:
    """sensors.example.com leads to one Service, which is single-stack IPv6."""
    (ingress,) = [i for i in of("Ingress") if i["spec"]["rules"][0]["host"] == "sensors.example.com"]
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    (service,) = [s for s in of("Service") if s["metadata"]["name"] == path["backend"]["service"]["name"]]
    assert (service["spec"]["ipFamilyPolicy"], service["spec"]["ipFamilies"]) == ("SingleStack", ["IPv6"])


def test_the_node_port_example_has_what_its_comments_say() -> None:
    """Two nodes serve one Service, one of them without IPv6; the other Service is served where its pod is."""
    loaded = load(str(EXAMPLES / "node-port" / "values.yaml"), {})
    objects: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((EXAMPLES / "node-port" / "manifests").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            objects.setdefault(document["kind"], []).append(document)
    host = wanted(objects, loaded.settings).hosts["shop.example.com"]
    assert {path: sorted(map(str, found)) for path, found in host.paths.items()} == {
        "/": ["10.50.0.11", "10.50.0.12", "2001:db8:50::11"],
        "/api": ["10.50.0.12"],
    }


def test_the_certificate_fits_its_key_and_host() -> None:
    """The TLS Secret holds a certificate for shop.example.com, valid for decades, and the key that belongs to it."""
    (secret,) = of("Secret")
    certificate = x509.load_pem_x509_certificate(base64.b64decode(secret["data"]["tls.crt"]))
    key = load_pem_private_key(base64.b64decode(secret["data"]["tls.key"]), password=None)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["shop.example.com"]
    assert certificate.not_valid_after_utc.year > 2100
    assert certificate.public_key() == key.public_key()
