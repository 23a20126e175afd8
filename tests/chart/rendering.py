"""The Helm chart, rendered by Helm's own library with several sets of values; each is rendered once."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

from tests.shared.settings.table import file_of_ako, over

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/ako-celery"
NAMESPACE = "avi-system"

MINIMUM: dict[str, Any] = {
    "AKOSettings": {"clusterName": "c1"},
    "NetworkSettings": {"vipNetworkList": [{"networkName": "net1", "cidr": "10.10.0.0/16"}]},
    "ControllerSettings": {"controllerHost": "avi.example.com"},
    "deployment": {"redis": {"secret": "my-redis"}},
}
"""What every site has to say."""

CANARIES = ("canary-password", "canary-token", "canary-redis", "canary-authority")
"""Secrets that some of the values hold."""

_AKO = over(
    file_of_ako(),
    {
        "ControllerSettings": {"controllerHost": "10.1.1.5:8443"},
        "NetworkSettings": {"vipNetworkList": [{"networkName": "net1", "cidr": "10.10.0.0/16"}]},
        "image": {"repository": "registry.example.com/ako/ako"},
        "deployment": {"redis": {"secret": "my-redis"}},
    },
)
_PEER = {"ipBlock": {"cidr": "2001:db8:1::/48"}}
_EVERYTHING = over(
    MINIMUM,
    {
        "AKOSettings": {"cniPlugin": "antrea", "apiServerPort": "9090"},
        "L7Settings": {"serviceType": "NodePortLocal", "pathMatching": "Kubernetes", "defaultIngController": "false"},
        "NetworkSettings": {"nodeNetworkList": [{"networkName": "nodes", "cidrs": ["10.50.0.0/24", "10.51.0.0/24"]}]},
        "pipeline": {"concurrency": 16, "readTimeout": 30.5, "resyncInterval": 600},
        "avicredentials": {
            "username": "ako",
            "password": "canary-password",
            "authtoken": "canary-token",
            "certificateAuthorityData": "-----BEGIN CERTIFICATE-----\ncanary-authority\n-----END CERTIFICATE-----\n",
        },
        "image": {"pullPolicy": "Always", "pullSecrets": [{"name": "pull"}]},
        "podSecurityContext": {"runAsUser": 20000},
        "securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}},
        "deployment": {
            "redis": {"secret": "", "trial": {"enabled": True, "storageClassName": "fast"}},
            "akoConfigMap": True,
            "image": {"repository": "registry.example.com/ako-celery", "digest": f"sha256:{'0' * 64}"},
            "watcher": {"replicas": 3, "resources": {"limits": {"memory": "1Gi"}}},
            "worker": {
                "keda": {
                    "enabled": True,
                    "prometheusURL": "http://prometheus.monitoring.svc:9090",
                    "authenticationRef": {"name": "prometheus", "kind": "ClusterTriggerAuthentication"},
                }
            },
            "flower": {"enabled": True},
            "networkPolicy": {
                "enabled": True,
                "controller": {"to": [_PEER]},
                "metrics": {"from": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]},
            },
            "monitoring": {
                "labels": {"release": "prometheus"},
                "serviceMonitor": {"enabled": True},
                "prometheusRule": {"enabled": True},
            },
            "priorityClassName": "system-cluster-critical",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "infra", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "podLabels": {"team": "network"},
            "podAnnotations": {"sidecar.istio.io/inject": "false"},
        },
    },
)
_IPV6 = over(
    MINIMUM,
    {
        "AKOSettings": {"ipFamily": "V6", "cniPlugin": "calico"},
        "NetworkSettings": {"vipNetworkList": [{"networkName": "net1", "v6cidr": "2001:db8:10::/64"}]},
        "ControllerSettings": {"controllerHost": "[2001:db8::5]:8443"},
        "featureGates": {"IPv6Controller": True, "IPv6KubernetesAPI": True},
        "pipeline": {
            "redisURL": "rediss://ako:canary-redis@[2001:db8::6]:6380/0?ssl_ca_certs=/etc/ako/redis-tls/ca.crt"
        },
        "deployment": {
            "redis": {"secret": "", "tlsSecret": "redis-tls"},
            "flower": {"enabled": True, "secret": "flower-users"},
            "worker": {"autoscaling": {"enabled": False}, "replicas": 4},
            "networkPolicy": {"enabled": True, "apiServer": {"to": [_PEER], "ports": [6443]}},
        },
    },
)

SETS: Mapping[str, dict[str, Any]] = {
    "minimum": MINIMUM,
    "ako": _AKO,
    "everything": _EVERYTHING,
    "ipv6": _IPV6,
}

Manifest = dict[str, Any]


def changed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The minimum with changes laid over it."""
    return over(MINIMUM, changes)


@functools.cache
def _texts(values: str, **options: Any) -> dict[str, str]:
    with helm.Chart.load(CHART) as chart:
        return dict(chart.render(json.loads(values), name="ako", namespace=NAMESPACE, **options))


def render(values: Mapping[str, Any], **options: Any) -> list[Manifest]:
    """All objects, hooks included. Raises helm_python.HelmError."""
    texts = _texts(json.dumps(values), **options)
    return list(documents(text for name, text in texts.items() if name.endswith(".yaml")))


def notes(values: Mapping[str, Any]) -> str:
    """What Helm prints after an installation."""
    return _texts(json.dumps(values))["ako-celery/templates/NOTES.txt"]


def documents(texts: Iterator[str]) -> Iterator[Manifest]:
    """The objects of YAML texts."""
    for text in texts:
        yield from (document for document in yaml.load_all(text, yaml.CSafeLoader) if document)


def of(manifests: list[Manifest], kind: str, name: str = "") -> list[Manifest]:
    """The objects of a kind; with `name` those whose name ends so."""
    return [each for each in manifests if each["kind"] == kind and each["metadata"]["name"].endswith(name)]


def one(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """The only one of them."""
    (found,) = of(manifests, kind, name)
    return found


def workloads(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pod templates by component; the pod of `helm test` is one, too."""
    found = {
        each["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]["template"]
        for each in manifests
        if each["kind"] in {"Deployment", "StatefulSet"}
    }
    return found | {"preflight": one(manifests, "Pod")}


def container(template: Manifest) -> Manifest:
    """The only container of a pod."""
    (found,) = template["spec"]["containers"]
    return dict(found)


def environment(template: Manifest) -> dict[str, Any]:
    """The variables of a pod by name: a value, or where it comes from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(template).get("env", ())}
