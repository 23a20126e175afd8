"""A cluster to measure with: n hosts, half of them TLS, each with a Service of two endpoints of its own."""

from __future__ import annotations

import base64
import datetime
import functools
import ipaddress
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAMESPACE = "bench"
DOMAIN = "example.com"


@functools.cache
def certificate() -> tuple[str, str]:
    """(certificate, key) in PEM, made once per process."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"*.{DOMAIN}")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"*.{DOMAIN}")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return built.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


def host(number: int) -> str:
    """The FQDN of host `number`; even ones are TLS."""
    return f"h{number:05d}.{DOMAIN}"


def base() -> list[dict[str, Any]]:
    """What every world has: namespace, class, two nodes, the TLS Secret."""
    crt, key = (base64.b64encode(text.encode()).decode() for text in certificate())
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": f"node{n}"},
            "spec": {"podCIDR": f"10.244.{n}.0/24", "podCIDRs": [f"10.244.{n}.0/24"]},
            "status": {"addresses": [{"type": "InternalIP", "address": f"10.50.0.1{n}"}]},
        }
        for n in (1, 2)
    ]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {
                "name": "avi-lb",
                "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"},
            },
            "spec": {"controller": "ako.vmware.com/avi-lb"},
        },
        *nodes,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": "tls", "namespace": NAMESPACE},
            "data": {"tls.crt": crt, "tls.key": key},
        },
    ]


def addresses(number: int, change: int = 0) -> list[str]:
    """The two endpoint addresses of a host's Service; another `change`, other addresses."""
    first = int(ipaddress.ip_address("10.244.1.0")) + (number * 2 + change * 4000) % 60000
    return [str(ipaddress.ip_address(first)), str(ipaddress.ip_address(first + 1))]


def endpoint_slice(number: int, change: int = 0) -> dict[str, Any]:
    """The EndpointSlice of a host's Service."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"s{number:05d}-x",
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": f"s{number:05d}"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [text], "conditions": {"ready": True}} for text in addresses(number, change)],
    }


def objects_of(number: int) -> list[dict[str, Any]]:
    """Service, EndpointSlice and Ingress of one host."""
    backend = {"service": {"name": f"s{number:05d}", "port": {"number": 80}}}
    spec: dict[str, Any] = {
        "ingressClassName": "avi-lb",
        "rules": [{"host": host(number), "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
    }
    if number % 2 == 0:
        spec["tls"] = [{"hosts": [host(number)], "secretName": "tls"}]
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"s{number:05d}", "namespace": NAMESPACE},
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]},
        },
        endpoint_slice(number),
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": f"i{number:05d}", "namespace": NAMESPACE},
            "spec": spec,
        },
    ]


def world(hosts: int) -> list[dict[str, Any]]:
    """All objects of a cluster with this many hosts."""
    return [*base(), *(obj for number in range(hosts) for obj in objects_of(number))]


def values(**pipeline: Any) -> dict[str, Any]:
    """The values.yaml of the measured cluster, as data."""
    return {
        "AKOSettings": {"clusterName": "bench", "cniPlugin": "flannel", "ipFamily": "V4"},
        "NetworkSettings": {
            "vipNetworkList": [{"networkName": "net1", "cidr": "10.10.0.0/16"}],
            "nodeNetworkList": [{"networkName": "node-net", "cidrs": ["10.50.0.0/24"]}],
        },
        "L7Settings": {"shardVSSize": "LARGE", "serviceType": "ClusterIP"},
        "pipeline": pipeline,
    }
