"""What the chart renders: valid for Kubernetes, understood by the program, without rights and without secrets."""

from __future__ import annotations

import argparse
import base64
import functools
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import kubernetes_validate.utils
import promql_parser
import pytest
import yaml

from cli.main import build_parser
from shared.telemetry import CATALOGUE
from tests.chart.rendering import (
    CANARIES,
    CHART,
    MINIMUM,
    ROOT,
    SETS,
    changed,
    container,
    documents,
    environment,
    notes,
    of,
    one,
    render,
    workloads,
)
from workers.app import LEAVE_SECONDS

OPERATORS = {"ScaledObject", "ServiceMonitor", "PrometheusRule"}
"""Kinds of others, for which no schema is at hand."""


@pytest.fixture(scope="module", autouse=True)
def _schemas_read_once() -> Any:
    """The schemas are files of megabytes, read for each object anew."""
    plain = kubernetes_validate.utils.schema_contents
    kubernetes_validate.utils.schema_contents = functools.cache(plain)
    yield
    kubernetes_validate.utils.schema_contents = plain


@pytest.mark.parametrize("version", ["1.27", "1.35"])
@pytest.mark.parametrize("name", SETS)
def test_manifests_are_valid(name: str, version: str) -> None:
    """Each object fits the schema of its kind, without a field that the API server does not know."""
    manifests = render(SETS[name])
    for each in manifests:
        if each["kind"] not in OPERATORS:
            kubernetes_validate.validate(each, version, strict=True)
    theirs = {each["kind"] for each in manifests} & OPERATORS
    assert theirs == (OPERATORS if name == "everything" else set())


def test_an_invalid_manifest_is_found() -> None:
    """The check above can fail: on a field that does not exist, and on a value of another type."""
    wrong = json.loads(json.dumps(one(render(MINIMUM), "Deployment", "-watcher")))
    wrong["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, "1.35", strict=True)
    del wrong["spec"]["replica"]
    wrong["spec"]["replicas"] = "two"
    with pytest.raises(kubernetes_validate.ValidationError, match="two"):
        kubernetes_validate.validate(wrong, "1.35", strict=True)


def test_helm_lint_is_content() -> None:
    """`helm lint --strict` has neither an error nor a warning."""
    report = helm.lint(CHART, MINIMUM, strict=True, namespace="avi-system")
    assert report["errors"] == []
    assert [each for each in report["messages"] if each["severity"] > 1] == []


@pytest.mark.parametrize("name", SETS)
def test_command_lines_parse(name: str) -> None:
    """Each command line of ours is one that the program's own parser accepts, and says what the values say."""
    templates = workloads(render(SETS[name]))
    parsed = {
        component: build_parser().parse_args(container(template)["args"])
        for component, template in templates.items()
        if component != "redis"
    }
    assert {component: options.run.__name__ for component, options in parsed.items()} == {
        component: "run" if component == "preflight" else component for component in parsed
    }
    values = SETS[name]
    port = int(values["AKOSettings"].get("apiServerPort", 8080))
    assert {parsed[each].health_port for each in ("watcher", "worker")} == {port}
    assert {parsed[each].configmap for each in ("watcher", "worker")} == {name == "everything"}
    assert parsed["worker"].concurrency == values.get("pipeline", {}).get("concurrency", 8)


@pytest.mark.parametrize("name", SETS)
def test_variables_and_paths_hang_together(name: str) -> None:
    """Each variable is read somewhere in the code; each path that a variable names is mounted, from what is there."""
    code = "".join(path.read_text() for part in ("shared", "cli", "watcher") for path in (ROOT / part).rglob("*.py"))
    manifests = render(SETS[name])
    settings = one(manifests, "ConfigMap")
    for component, template in workloads(manifests).items():
        if component == "redis":
            continue
        variables = environment(template)
        assert [each for each in variables if f'"{each}"' not in code and each != "FLOWER_BASIC_AUTH"] == []
        volumes = {each["name"]: each for each in template["spec"]["volumes"]}
        mounts = {each["mountPath"]: volumes[each["name"]] for each in container(template)["volumeMounts"]}
        assert len(mounts) == len(volumes)
        folder, _, file = variables["AKO_VALUES"].rpartition("/")
        assert mounts[folder]["configMap"]["name"] == settings["metadata"]["name"]
        assert list(settings["data"]) == [file]
        assert not any("subPath" in each for each in container(template)["volumeMounts"])  # would not follow a change
        wants_controller = component in {"worker", "preflight"}
        assert ("CTRL_SECRET_DIR" in variables) is wants_controller
        if wants_controller:
            assert mounts[variables["CTRL_SECRET_DIR"]]["secret"]["secretName"] == "avi-secret"
        for variable, field in (("POD_NAME", "name"), ("POD_NAMESPACE", "namespace"), ("POD_UID", "uid")):
            assert variables[variable] == {"fieldRef": {"fieldPath": f"metadata.{field}"}}
        made = {each["metadata"]["name"]: set(each["data"]) for each in of(manifests, "Secret")}
        for source in (each["secretKeyRef"] for each in variables.values() if "secretKeyRef" in each):
            assert source["key"] in made.get(source["name"], {source["key"]})


def test_redis_tls_files_are_mounted() -> None:
    """The folder that the documentation names in a URL is that of the Secret with the certificates."""
    for component in ("watcher", "worker", "flower"):
        template = workloads(render(SETS["ipv6"]))[component]
        (volume,) = [each for each in template["spec"]["volumes"] if each["name"] == "redis-tls"]
        assert volume["secret"] == {"secretName": "redis-tls"}
        assert "/etc/ako/redis-tls" in {each["mountPath"] for each in container(template)["volumeMounts"]}


@pytest.mark.parametrize("name", SETS)
def test_secrets_are_in_secrets_only(name: str) -> None:
    """No secret of the values, plain or encoded, stands in a ConfigMap, a command line, a label or anything else."""
    manifests = render(SETS[name])
    open_text = json.dumps([each for each in manifests if each["kind"] != "Secret"]) + notes(SETS[name])
    given = [each for each in CANARIES if each in json.dumps(SETS[name])]
    kept = " ".join(
        base64.b64decode(text).decode() for each in of(manifests, "Secret") for text in each["data"].values()
    )
    assert len(given) == {"everything": 3, "ipv6": 1}.get(name, 0)
    for canary in given:
        assert canary in kept
        assert canary not in open_text
        assert base64.b64encode(canary.encode()).decode()[:-4] not in open_text
    for made in of(manifests, "Secret"):
        for key in ("password", "url", "basic-auth"):
            if key in made["data"]:
                assert base64.b64decode(made["data"][key]).decode() not in open_text


@pytest.mark.parametrize("name", SETS)
def test_pods_have_no_rights_that_they_do_not_need(name: str) -> None:
    """Not root, read-only root with a /tmp, no capability, seccomp; a token only for who asks the API server."""
    for component, template in workloads(render(SETS[name])).items():
        spec, security = template["spec"], container(template)["securityContext"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
        assert security["capabilities"]["drop"] == ["ALL"]
        assert {"name": "tmp", "emptyDir": {}} in spec["volumes"]
        assert spec["automountServiceAccountToken"] is (component in {"watcher", "worker", "preflight"})
        assert spec["enableServiceLinks"] is False
        assert spec.get("hostNetwork") is None
    everything = workloads(render(SETS["everything"]))["worker"]
    assert everything["spec"]["securityContext"]["runAsUser"] == 20000
    assert container(everything)["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}


@pytest.mark.parametrize("name", SETS)
def test_a_process_has_the_time_that_it_needs(name: str) -> None:
    """Probes ask the port that the process listens on; what is unready is not restarted; an end may take its time."""
    manifests = render(SETS[name])
    templates = workloads(manifests)
    for component in ("watcher", "worker"):
        spec = container(templates[component])
        (port,) = spec["ports"]
        assert f"--health-port={port['containerPort']}" in spec["args"]
        asked = {kind: spec[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
        assert {each["port"] for each in asked.values()} == {port["name"]}
        assert {kind: each["path"] for kind, each in asked.items()} == {
            "startup": "/healthz",
            "liveness": "/healthz",
            "readiness": "/readyz",
        }
        strategy = one(manifests, "Deployment", component)["spec"]["strategy"]["rollingUpdate"]
        assert strategy == {"maxSurge": 1, "maxUnavailable": 0}
    slowest = SETS[name].get("pipeline", {}).get("readTimeout", 60)
    grace = templates["worker"]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= max(LEAVE_SECONDS, slowest) + 10
    assert grace == math.ceil(slowest) + 15


@pytest.mark.parametrize("name", SETS)
def test_names_lead_somewhere(name: str) -> None:
    """Selectors meet the pods that they mean, scalers their Deployment, and pods the accounts of the release."""
    manifests = render(SETS[name])
    labels = {component: template["metadata"]["labels"] for component, template in workloads(manifests).items()}

    def met(selector: dict[str, str]) -> set[str]:
        return {component for component, has in labels.items() if selector.items() <= has.items()}

    for each in manifests:
        component = each["metadata"].get("labels", {}).get("app.kubernetes.io/component")
        spec = each.get("spec", {})
        if each["kind"] in {"Deployment", "StatefulSet", "PodDisruptionBudget"}:
            assert met(spec["selector"]["matchLabels"]) == {component}
        elif each["kind"] == "Service":
            assert met(spec["selector"]) == {component}
        elif each["kind"] == "NetworkPolicy":
            assert met(spec["podSelector"]["matchLabels"]) == {component}
        elif each["kind"] in {"HorizontalPodAutoscaler", "ScaledObject"}:
            target = one(manifests, "Deployment", spec["scaleTargetRef"]["name"])
            assert "replicas" not in target["spec"]  # an upgrade must not undo what was scaled
    accounts = {each["metadata"]["name"] for each in of(manifests, "ServiceAccount")}
    named = {
        template["spec"]["serviceAccountName"]
        for template in workloads(manifests).values()
        if "serviceAccountName" in template["spec"]
    }
    assert named == accounts


def test_who_scales_the_workers() -> None:
    """By default a HorizontalPodAutoscaler, with KEDA its ScaledObject alone, else nobody and the number counts."""
    assert of(render(MINIMUM), "ScaledObject") == []
    assert one(render(MINIMUM), "HorizontalPodAutoscaler")["spec"]["minReplicas"] == 2
    assert of(render(SETS["everything"]), "HorizontalPodAutoscaler") == []
    plain = render(SETS["ipv6"])
    assert of(plain, "HorizontalPodAutoscaler") == []
    assert one(plain, "Deployment", "-worker")["spec"]["replicas"] == 4


def test_keda_asks_for_what_is_measured() -> None:
    """The query is PromQL over metrics that the code exposes, of this namespace."""
    trigger = one(render(SETS["everything"]), "ScaledObject")["spec"]["triggers"][0]
    selectors: list[Any] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            selectors.append(node)
        return True

    promql_parser.walk(promql_parser.parse(trigger["metadata"]["query"]), visit)
    known = {metric.name: {*metric.labels, "namespace"} for metric in CATALOGUE}
    assert {each.name for each in selectors} == {"ako_work_keys", "ako_controller_breaker_open"}
    for each in selectors:
        matchers = {matcher.name: matcher.value for matcher in each.matchers.matchers}
        assert set(matchers) <= known[each.name]
        assert matchers["namespace"] == "avi-system"
    assert trigger["authenticationRef"]["name"] == "prometheus"


def test_prometheus_finds_both_processes() -> None:
    """The ServiceMonitor selects the Services of watcher and worker, by a port that both have, ready or not."""
    manifests = render(SETS["everything"])
    monitor = one(manifests, "ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    wanted, (expression,) = monitor["spec"]["selector"]["matchLabels"], monitor["spec"]["selector"]["matchExpressions"]
    found = [
        each
        for each in of(manifests, "Service")
        if wanted.items() <= each["metadata"]["labels"].items()
        and each["metadata"]["labels"][expression["key"]] in expression["values"]
    ]
    assert sorted(each["metadata"]["name"].rpartition("-")[2] for each in found) == ["watcher", "worker"]
    (endpoint,) = monitor["spec"]["endpoints"]
    for service in found:
        assert [port["name"] for port in service["spec"]["ports"]] == [endpoint["port"]]
        assert service["spec"]["publishNotReadyAddresses"] is True
    assert {each["spec"].get("ipFamilyPolicy") for each in of(manifests, "Service")} == {"PreferDualStack"}


def test_the_alert_rules_are_those_of_the_project() -> None:
    """The chart's copy is the file under deploy/monitoring, and the PrometheusRule holds its groups unchanged."""
    text = (ROOT / "deploy/monitoring/alerts.yaml").read_text()
    assert (CHART / "files/alerts.yaml").read_text() == text
    assert one(render(SETS["everything"]), "PrometheusRule")["spec"] == yaml.safe_load(text)


def test_an_upgrade_keeps_names_and_selectors(tmp_path: Path) -> None:
    """A later version of the chart renders the same objects under the same names, and selects by the same labels."""
    later = tmp_path / "ako-celery"
    shutil.copytree(CHART, later)
    text = (later / "Chart.yaml").read_text()
    (later / "Chart.yaml").write_text(re.sub(r"(?m)^((?:appV|v)ersion:).*", r"\1 7.8.9", text))
    with helm.Chart.load(later) as chart:
        texts = chart.render(SETS["everything"], name="ako", namespace="avi-system", is_upgrade=True, revision=2)
    after = list(documents(text for name, text in texts.items() if name.endswith(".yaml")))
    before = render(SETS["everything"])

    def kept(manifests: list[dict[str, Any]]) -> dict[tuple[str, str], Any]:
        return {
            (each["kind"], each["metadata"]["name"]): each.get("spec", {}).get("selector")
            for each in manifests
            if each["kind"] != "ScaledObject"
        }

    assert kept(after) == kept(before)
    assert container(workloads(after)["flower"])["image"] == container(workloads(before)["flower"])["image"]
    assert one(after, "StatefulSet")["spec"] == one(before, "StatefulSet")["spec"]  # Redis is not restarted for it


def test_names_are_short_enough() -> None:
    """A release with a long name still gives names that Kubernetes takes, and a name that fits is not doubled."""
    with helm.Chart.load(CHART) as chart:
        texts = chart.render(SETS["everything"], name="a" * 53, namespace="n" * 63)
        short = chart.render(MINIMUM, name="ako-celery", namespace="x")
    long_names = [
        each["metadata"]["name"] for each in documents(text for name, text in texts.items() if name.endswith(".yaml"))
    ]
    assert max(len(name) for name in long_names if not name.startswith("n" * 63)) <= 52
    assert "name: ako-celery-worker\n" in short["ako-celery/templates/worker.yaml"]


def test_the_ingress_class_is_ako_s() -> None:
    """avi-lb of AKO's controller, default by defaultIngController, of a primary instance; an uninstall keeps it."""
    found = one(render(MINIMUM), "IngressClass")
    assert found["metadata"]["name"] == "avi-lb"
    assert found["spec"] == {"controller": "ako.vmware.com/avi-lb"}
    keep = {"helm.sh/resource-policy": "keep"}
    assert found["metadata"]["annotations"] == keep | {"ingressclass.kubernetes.io/is-default-class": "true"}
    assert one(render(SETS["everything"]), "IngressClass")["metadata"]["annotations"] == keep
    for no in ({"AKOSettings": {"primaryInstance": "false"}}, {"deployment": {"ingressClass": {"create": False}}}):
        assert of(render(changed(no)), "IngressClass") == []


def test_commands_of_the_notes_exist() -> None:
    """What the notes tell a newcomer to do names pods, Services and Secrets of this release and commands of ours."""
    text, manifests = notes(SETS["everything"]), render(SETS["everything"])
    (commands,) = [each for each in build_parser()._actions if isinstance(each, argparse._SubParsersAction)]
    assert set(re.findall(r"-- ako (\w+)", text)) <= set(commands.choices)
    for kind, found in (("Deployment", r"deploy/(\S+)"), ("Service", r"svc/(\S+)"), ("Secret", r"get secret (\S+)")):
        named = re.findall(found, text)
        assert named
        assert set(named) <= {each["metadata"]["name"] for each in of(manifests, kind)}
    assert "image.repository is the image of AKO's own container" in notes(SETS["ako"])
    assert "create secret generic avi-secret" in notes(SETS["ako"])
    assert "create secret generic" not in text
