"""The chart's roles are exactly what the code does at the API server: nothing is refused, and nothing is left over.

What the code does is read off its source: every call on a `KubeClient` of watcher, workers and what both share must be
in `CALLS` with the rights that it needs, so a new call can't be forgotten here.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from cli.checks import _needs
from shared.kinds import KINDS, kinds_for
from shared.kube import KubeClient
from shared.settings import Settings, load_values
from shared.settings.flat import CONFIGMAP
from shared.settings.model import ServiceType
from tests.chart.rendering import NAMESPACE, ROOT, changed, of, one, render, workloads
from watcher.lease import NAME

Right = tuple[str, str, str, str]
"""(verb, group, resource, name): cluster-wide without a name; in our namespace alone with one, or `new` for any."""

NET = "networking.k8s.io"
LEASES = "coordination.k8s.io"


def _lists(settings: Settings | None) -> Iterator[Right]:
    for kind in KINDS if settings is None else kinds_for(settings):
        group = kind.path.split("/")[2] if kind.path.startswith("/apis/") else ""
        yield from ((verb, group, kind.resource, "") for verb in ("list", "watch"))


def _events(_: Settings | None) -> Iterator[Right]:
    yield from ((verb, "", "events", "") for verb in ("create", "get", "patch"))


def _status(settings: Settings | None) -> Iterator[Right]:
    yield from ((verb, NET, "ingresses", "") for verb in ("get", "patch"))
    yield "patch", NET, "ingresses/status", ""
    if settings is None or not settings.layer7_only:
        yield from (("get", "", "services", ""), ("patch", "", "services", ""), ("patch", "", "services/status", ""))


def _annotates(settings: Settings | None) -> Iterator[Right]:
    if settings is None or (settings.service_type is ServiceType.NODE_PORT_LOCAL and settings.annotate_services):
        yield "patch", "", "services", ""


Needs = Callable[[Settings | None], Iterator[Right]]
"""By the settings; None: by whatever settings there may be, since they come from AKO's ConfigMap."""

CALLS: Mapping[tuple[str, str], tuple[str, Needs]] = {
    ("watcher/reflector.py", "pages"): ("watcher", _lists),
    ("watcher/reflector.py", "watch"): ("watcher", _lists),
    ("watcher/reflector.py", "emit_event"): ("watcher", _events),
    ("watcher/lease.py", "get"): ("watcher", lambda _: iter([("get", LEASES, "leases", NAME)])),
    ("watcher/lease.py", "create"): ("watcher", lambda _: iter([("create", LEASES, "leases", "new")])),
    ("watcher/lease.py", "replace"): ("watcher", lambda _: iter([("update", LEASES, "leases", NAME)])),
    ("workers/secrets.py", "get"): ("worker", lambda _: iter([("get", "", "secrets", "")])),
    ("workers/contact.py", "get"): ("worker", lambda _: iter([])),  # the list of API groups, which everybody may read
    ("workers/annotations.py", "patch"): ("worker", _annotates),
    ("workers/status.py", "get"): ("worker", _status),
    ("workers/status.py", "patch"): ("worker", _status),
    ("workers/status.py", "emit_event"): ("worker", _events),
    ("cli/live.py", "emit_event"): ("both", _events),
    ("cli/live.py", "get"): (
        "both",
        lambda settings: iter([] if settings is not None else [("get", "", "configmaps", CONFIGMAP)]),
    ),
}


def needed(component: str, settings: Settings | None) -> set[Right]:
    return {right for who, needs in CALLS.values() if who in {component, "both"} for right in needs(settings)}


def granted(manifests: list[dict[str, Any]], component: str) -> set[Right]:
    """What the bindings of a component's account give it."""
    (account,) = of(manifests, "ServiceAccount", f"-{component}")
    subject = {"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": NAMESPACE}
    assert workloads(manifests)[component]["spec"]["serviceAccountName"] == subject["name"]
    found: set[Right] = set()
    for binding in [*of(manifests, "ClusterRoleBinding"), *of(manifests, "RoleBinding")]:
        if subject not in binding["subjects"]:
            continue
        role = one(manifests, binding["roleRef"]["kind"], binding["roleRef"]["name"])
        for rule in role["rules"]:
            names = rule.get("resourceNames", [""] if role["kind"] == "ClusterRole" else ["new"])
            found |= {
                (verb, group, resource, name)
                for verb in rule["verbs"]
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for name in names
            }
    return found


VARIANTS: Mapping[str, dict[str, Any]] = {
    "minimum": {},
    "calico": {"AKOSettings": {"cniPlugin": "Calico "}},
    "cilium": {"AKOSettings": {"cniPlugin": "cilium"}},
    "openshift": {"AKOSettings": {"cniPlugin": "openshift"}},
    "layer 7 only": {"AKOSettings": {"layer7Only": "true"}},
    "NodePort": {"L7Settings": {"serviceType": "NodePort"}},
    "NodePortLocal": {"AKOSettings": {"cniPlugin": "antrea"}, "L7Settings": {"serviceType": "NodePortLocal"}},
    "NodePortLocal, layer 7 only": {
        "AKOSettings": {"cniPlugin": "antrea", "layer7Only": True},
        "L7Settings": {"serviceType": "NodePortLocal"},
    },
    "NodePortLocal, layer 7 only, annotated by others": {
        "AKOSettings": {"cniPlugin": "antrea", "layer7Only": True},
        "L7Settings": {"serviceType": "NodePortLocal", "autoAnnotateService": "false"},
    },
    "AKO's ConfigMap": {"deployment": {"akoConfigMap": True}},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_account_has_the_rights_it_needs_and_no_other(variant: str) -> None:
    """For these settings, watcher and worker may do what their code does, and nothing beyond that."""
    values = changed(VARIANTS[variant])
    manifests = render(values)
    settings = None
    if variant != "AKO's ConfigMap":
        settings = load_values({key: value for key, value in values.items() if key != "deployment"}, {}).settings
    for component in ("watcher", "worker"):
        assert granted(manifests, component) == needed(component, settings), component
    if settings is not None:
        both = granted(manifests, "watcher") | granted(manifests, "worker")
        asked = {(verb, group, resource) for verb, group, resource, _ in _needs(settings)}
        assert asked <= {right[:3] for right in both}  # or `ako preflight` would complain


def test_every_call_of_the_code_is_known() -> None:
    """The table above has each call to the API server that watcher and workers make, and no other."""
    files = [*(ROOT / "watcher").rglob("*.py"), *(ROOT / "workers").rglob("*.py"), ROOT / "cli/live.py"]
    files += [path for path in (ROOT / "shared").rglob("*.py") if path.parent.name != "kube"]
    verbs = {name for name in vars(KubeClient) if name[0] != "_"} - {"url", "allow_ipv6", "from_config"}
    found = {
        (str(path.relative_to(ROOT)), node.func.attr)
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in verbs
        if ast.unparse(node.func.value).rpartition(".")[2] in {"kube", "_kube"}
    }
    assert found == set(CALLS)


def test_the_test_of_the_release_has_both_rights() -> None:
    """`helm test` looks with the rights of watcher and worker together, through bindings that end with it."""
    manifests = render(changed({}))
    account = one(manifests, "ServiceAccount", "-preflight")["metadata"]
    bound = [
        each
        for each in [*of(manifests, "ClusterRoleBinding"), *of(manifests, "RoleBinding")]
        if each["subjects"][0]["name"] == account["name"]
    ]
    assert sorted(each["roleRef"]["name"] for each in bound) == sorted(
        [
            *(each["metadata"]["name"] for each in of(manifests, "ClusterRole")),
            one(manifests, "Role")["metadata"]["name"],
        ]
    )
    for each in [account, *(binding["metadata"] for binding in bound)]:
        assert each["annotations"]["helm.sh/hook"] == "test"
        assert "hook-succeeded" in each["annotations"]["helm.sh/hook-delete-policy"]
