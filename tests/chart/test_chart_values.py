"""The chart's values: AKO's file as it is, the program's own schema and defaults, and mistakes that are refused."""

from __future__ import annotations

import base64
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from shared.settings import load, load_credentials, load_values
from shared.settings.fields import Rows, Use
from shared.settings.jsonschema import default_of, json_schema
from shared.settings.schema import SCHEMA, Part, Section, keys
from tests.chart.rendering import CHART, MINIMUM, ROOT, SETS, changed, container, documents, of, one, render, workloads
from tests.shared.settings.table import file_of_ako, over
from tests.simulator.kube_world import RED, cluster

VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


def environ_of(manifests: list[dict[str, Any]]) -> dict[str, str]:
    """The variables of the worker that say something about settings, with what its Secrets hold."""
    secrets = {each["metadata"]["name"]: each["data"] for each in of(manifests, "Secret")}
    found = {}
    for each in container(workloads(manifests)["worker"])["env"]:
        source = each.get("valueFrom", {}).get("secretKeyRef")
        if source and source["name"] in secrets:
            found[each["name"]] = base64.b64decode(secrets[source["name"]][source["key"]]).decode()
    return found


@pytest.mark.parametrize("name", SETS)
def test_the_mounted_file_means_the_same_settings(name: str, tmp_path: Path) -> None:
    """What the processes read from the ConfigMap is what the values themselves mean, without a warning of its own."""
    manifests = render(SETS[name])
    path = tmp_path / "values.yaml"
    path.write_text(one(manifests, "ConfigMap")["data"]["values.yaml"])
    environ = environ_of(manifests)
    loaded, wanted = load(str(path), environ), load_values(dict(SETS[name]), environ)
    assert loaded.settings == wanted.settings
    assert loaded.warnings == wanted.warnings
    assert loaded.notes == ()  # nothing that only a chart needs
    if name == "everything":
        assert environ["AKO_REDIS_URL"].endswith("@ako-ako-celery-redis.avi-system.svc:6379/0")
    assert ("AKO_REDIS_URL" in environ) is (name in {"everything", "ipv6"})


def test_credentials_of_the_values_reach_the_workers(tmp_path: Path) -> None:
    """The Secret made of avicredentials, mounted as the worker has it, gives the same credentials."""
    secret = one(render(SETS["everything"]), "Secret", "avi-secret")
    for key, value in secret["data"].items():
        (tmp_path / key).write_bytes(base64.b64decode(value))
    given = SETS["everything"]["avicredentials"]
    found = load_credentials({"CTRL_SECRET_DIR": str(tmp_path)})
    assert (found.username, found.password, found.token) == (given["username"], given["password"], given["authtoken"])
    assert found.ca == given["certificateAuthorityData"].strip()
    assert of(render(SETS["ako"]), "Secret") == []  # an existing one is used


def test_ako_s_file_is_taken_as_it_is() -> None:
    """Every key of AKO's chart at its default is accepted; its image and number of replicas do nothing."""
    plain = over(file_of_ako(), {key: value for key, value in MINIMUM.items() if key != "AKOSettings"})
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(plain)
        chart.validate_schema(file_of_ako())
    templates = workloads(render(SETS["ako"]))
    for component in ("watcher", "worker"):
        spec = container(templates[component])
        assert spec["image"] == "ako-celery:0.1.0"
        assert spec["resources"]["limits"] == {"cpu": "350m", "memory": "400Mi"}
    assert one(render(SETS["ako"]), "Deployment", "-watcher")["spec"]["replicas"] == 2


def test_the_defaults_are_the_program_s() -> None:
    """values.yaml has every setting with its default, but for what a site must say, and no other key."""

    def check(section: Section, values: Mapping[str, Any], path: tuple[str, ...]) -> None:
        known = {str(field.data_key): field for field in section.fields.values()}
        shown = {
            key
            for key, field in known.items()
            if isinstance(field, Part) or field.metadata["use"] not in {Use.DEPRECATED, Use.CHART}
        }
        optional = {key for key in shown if not isinstance(known[key], Part) and default_of(known[key]) is None}
        assert shown - optional - {"clusterName", "controllerHost"} <= set(values), path
        for key, value in values.items():
            field = known[key]
            if isinstance(field, Part):
                check(field.section, value, (*path, key))
            elif key in {"clusterName", "controllerHost", "redisURL", "vipNetworkList"}:
                assert value in ("", []), key
            elif field.metadata["use"] is not Use.CHART and (*path, key) != ("L4Settings", "defaultDomain"):
                assert value == (default_of(field) if not isinstance(field, Rows) else []), (*path, key)

    settings = {key: value for key, value in VALUES.items() if key != "deployment"}
    check(SCHEMA, settings, ())
    assert {path[0] for path, _ in keys(SCHEMA)} >= set(VALUES)


def test_the_schema_knows_every_value_of_deployment() -> None:
    """The part that is ours describes just the keys that values.yaml shows."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    program = json_schema()["properties"]
    ours = {"deployment", "image", "resources", "securityContext", "podSecurityContext", "global"}
    same = {key for key, value in schema["properties"].items() if program.get(key) == value}
    assert set(schema["properties"]) - same == ours | {"NetworkSettings"}
    assert set(program) | {"global"} == set(schema["properties"])

    def check(described: Mapping[str, Any], values: Mapping[str, Any], path: str) -> None:
        assert set(described["properties"]) == set(values), path
        for key, value in values.items():
            below = described["properties"][key]
            if "properties" in below and below.get("additionalProperties") is False and value and key != "resources":
                check(below, value, f"{path}.{key}")

    check(schema["properties"]["deployment"], VALUES["deployment"], "deployment")


WRONG: Mapping[str, dict[str, Any]] = {
    "'ipFamly' not allowed": {"AKOSettings": {"ipFamly": "V4"}},
    "/AKOSettings/ipFamily": {"AKOSettings": {"ipFamily": "V5"}},
    "/pipeline/concurrency": {"pipeline": {"concurrency": 0}},
    "/L7Settings/pathMatching": {"L7Settings": {"pathMatching": "Exact"}},
    "'workers' not allowed": {"deployment": {"workers": {}}},
    "/deployment/watcher/replicas": {"deployment": {"watcher": {"replicas": "two"}}},
    "/deployment/image/digest": {"deployment": {"image": {"digest": "latest"}}},
    "/deployment/networkPolicy/apiServer/ports/0": {"deployment": {"networkPolicy": {"apiServer": {"ports": ["a"]}}}},
    "'replica' not allowed": {"replica": 1},
}


@pytest.mark.parametrize("where", WRONG)
def test_a_wrong_value_is_refused(where: str) -> None:
    """`helm template` ends with the path of what does not fit."""
    with helm.Chart.load(CHART) as chart, pytest.raises(helm.HelmError) as caught:
        chart.render(changed(WRONG[where]))
    assert where in str(caught.value)


def test_everything_that_is_missing_is_said_at_once() -> None:
    """Without values: what a site must say, in one error, each with what to write."""
    with pytest.raises(helm.HelmRenderError) as caught:
        render({})
    said = [line.partition(": ")[0] for line in str(caught.value).splitlines() if line.partition(": ")[2]]
    assert said[-4:] == [
        "AKOSettings.clusterName",
        "ControllerSettings.controllerHost",
        "NetworkSettings.vipNetworkList",
        "deployment.redis.secret",
    ]
    render({"deployment": {"akoConfigMap": True, "redis": {"secret": "x"}}})  # AKO's ConfigMap has the others


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"avicredentials": {"username": "ako"}}, "avicredentials.password: missing"),
        ({"avicredentials": {"authtoken": "canary-token"}}, "avicredentials.username: missing"),
        (
            {"avicredentials": {"certificateAuthorityData": "PEM"}},
            "avicredentials.certificateAuthorityData: given alone",
        ),
        ({"pipeline": {"redisURL": "redis://r:6379/0"}}, "deployment.redis.secret, pipeline.redisURL: only one"),
        ({"deployment": {"worker": {"keda": {"enabled": True}}}}, "deployment.worker.keda.prometheusURL: missing"),
    ],
)
def test_values_that_disagree_are_refused(changes: dict[str, Any], where: str) -> None:
    """What a schema cannot say is said before anything is rendered, and without repeating a secret."""
    with pytest.raises(helm.HelmRenderError) as caught:
        render(changed(changes))
    assert where in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_section_may_be_empty() -> None:
    """A section of which only the head is left counts as not given, as it does for the program."""
    manifests = render(changed(dict.fromkeys(("L7Settings", "L4Settings", "pipeline", "image", "featureGates"))))
    text = one(manifests, "ConfigMap")["data"]["values.yaml"]
    assert (
        load_values(yaml.safe_load(text), {}).settings
        == load_values({key: value for key, value in MINIMUM.items() if key != "deployment"}, {}).settings
    )


def test_passwords_that_were_made_are_kept() -> None:
    """An upgrade finds the passwords of Redis and Flower in the cluster; without them each is made anew."""
    values = SETS["everything"]
    with (
        cluster() as api,
        helm.Config(kube_apiserver=api.url, namespace="red") as config,
        helm.Chart.load(CHART) as chart,
    ):
        first, second = _passwords(config, chart, values), _passwords(config, chart, values)
        assert first.keys() == second.keys()
        assert not set(first.values()) & set(second.values())
        for name, password in first.items():
            data = {"password": base64.b64encode(password.encode()).decode()}
            api.post(f"{RED}/secrets", {"metadata": {"name": name}, "data": data})
        assert _passwords(config, chart, values) == first
    assert sorted(map(len, first.values())) == [32, 32]


def _passwords(config: helm.Config, chart: helm.Chart, values: dict[str, Any]) -> dict[str, str]:
    texts = config.render(chart, values, name="ako", namespace="red")
    secrets = of(list(documents(text for name, text in texts.items() if name.endswith("secrets.yaml"))), "Secret")
    return {
        each["metadata"]["name"]: base64.b64decode(each["data"]["password"]).decode()
        for each in secrets
        if each["metadata"]["name"] != "avi-secret"
    }


def _egress(values: Mapping[str, Any], component: str) -> dict[int, Any]:
    """Port → peers (None: any) of a component's NetworkPolicy."""
    policy = one(render(values), "NetworkPolicy", f"-{component}")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    return {port["port"]: rule.get("to") for rule in policy["egress"] for port in rule["ports"]}


def test_network_policies_of_ipv6_addresses() -> None:
    """Addresses of controller and Redis become networks of one, ports are theirs; only workers reach the controller."""
    values = SETS["ipv6"]
    api = [{"ipBlock": {"cidr": "2001:db8:1::/48"}}]
    common = {53: None, 6380: [{"ipBlock": {"cidr": "2001:db8::6/128"}}], 6443: api}
    assert _egress(values, "watcher") == common
    assert _egress(values, "worker") == common | {8443: [{"ipBlock": {"cidr": "2001:db8::5/128"}}]}
    assert _egress(values, "flower") == {port: common[port] for port in (53, 6380)}


@pytest.mark.parametrize(
    ("host", "port", "cidr"),
    [
        ("10.1.1.5", 443, "10.1.1.5/32"),
        ("https://10.1.1.5:8443", 8443, "10.1.1.5/32"),
        ("http://10.1.1.5", 80, "10.1.1.5/32"),
        ("2001:db8::5", 443, "2001:db8::5/128"),
        ("avi.example.com:9443", 9443, None),
        ("avi.example.com", 443, None),
    ],
)
def test_network_policies_follow_the_controller(host: str, port: int, cidr: str | None) -> None:
    """The worker's policy opens the controller's port, to its address where the settings have one, else to any."""
    values = changed(
        {
            "ControllerSettings": {"controllerHost": host},
            "deployment": {"networkPolicy": {"enabled": True, "apiServer": {"ports": [6443]}}},
        }
    )
    assert _egress(values, "worker")[port] == ([{"ipBlock": {"cidr": cidr}}] if cidr else None)


def test_network_policies_of_the_trial_redis() -> None:
    """It is reached by this release alone and reaches nobody; metrics are asked for by whom the values name."""
    manifests = render(SETS["everything"])
    redis = one(manifests, "NetworkPolicy", "-redis")["spec"]
    assert redis["egress"] == []
    (peer,) = redis["ingress"][0]["from"]
    labels = {component: each["metadata"]["labels"] for component, each in workloads(manifests).items()}
    assert all(peer["podSelector"]["matchLabels"].items() <= has.items() for has in labels.values())
    watcher = one(manifests, "NetworkPolicy", "-watcher")["spec"]["ingress"][0]
    assert watcher["ports"] == [{"port": 9090, "protocol": "TCP"}]
    assert watcher["from"] == [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]


def test_the_chart_is_of_this_version() -> None:
    """appVersion, which names the image's tag, is the version of the program."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == project["version"]


PAGES = [ROOT / "docs/install-helm.md", CHART / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_values_that_exist(page: Path) -> None:
    """Each path of a value in a page about the chart leads to a key of values.yaml."""
    named = re.findall(r"\b((?:deployment|AKOSettings|pipeline|image)\.(?!schema)[a-zA-Z.]+[a-zA-Z])", page.read_text())
    assert named
    for path in named:
        value: Any = VALUES
        for key in path.split("."):
            if value == {}:  # free, as resources are
                break
            assert key in value, path
            value = value[key]


def test_the_values_of_the_page_can_be_installed() -> None:
    """The example of the install page renders, and `ako validate` would accept it."""
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGES[0].read_text(), re.DOTALL)
    values = yaml.safe_load(text)
    assert container(workloads(render(values))["worker"])["image"] == "registry.example.com/ako-celery:0.1.0"
    assert load_values(values, {}).warnings == ()
