"""docker-compose.yml and Dockerfile say what the code understands: schema, command lines, variables, files."""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.settings import load, load_credentials
from shared.settings.schema import SCHEMA, keys

ROOT = Path(__file__).parents[1]
FILES = {
    name: ROOT / name for name in ("docker-compose.yml", "deploy/compose/emulator.yaml", "deploy/compose/podman.yaml")
}
READ: dict[str, dict[str, Any]] = {name: yaml.safe_load(path.read_text()) for name, path in FILES.items()}
SERVICES: dict[str, dict[str, Any]] = READ["docker-compose.yml"]["services"]
OURS = {
    f"{name} of {path}": (name, service)
    for path, read in READ.items()
    for name, service in read["services"].items()
    if service["image"].startswith("ako-celery:")
}
PARSERS = {
    "ako": "cli.main",
    "ako-kube-simulator": "simulator.kube.__main__",
    "ako-avi-simulator": "simulator.avi.__main__",
}
# What the processes read besides the settings' own variables.
OTHER_VARIABLES = {"AKO_VALUES", "KUBECONFIG", "POD_NAMESPACE", "CTRL_CA_DATA_FILE", "FLOWER_BASIC_AUTH"}


def interpolated(text: str) -> str:
    """The text as Compose would fill it in: the default, or a stand-in where one must be set."""
    return re.sub(
        r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)\}", lambda match: "stand-in" if match[2] is None else match[2], str(text)
    )


def variables(service: str) -> dict[str, str]:
    """The environment of a service."""
    return {name: interpolated(value) for name, value in SERVICES[service]["environment"].items()}


def test_compose_files_fit_their_schema() -> None:
    """The files have only keys and types that the Compose specification knows."""
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        *map(str, FILES.values()),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_process_is_there() -> None:
    """Redis, both outer worlds, watcher, worker and Flower are services, each restarted when it dies."""
    lasting = {"redis", "kube-api", "avi", "watcher", "worker", "flower", "prometheus", "grafana"}
    assert set(SERVICES) == lasting | {"cluster-setup"}
    assert {SERVICES[name]["restart"] for name in lasting} == {"unless-stopped"}
    assert SERVICES["cluster-setup"]["restart"] == "on-failure"
    assert {name for name in lasting if SERVICES[name].get("profiles")} == {"prometheus", "grafana"}
    assert all("healthcheck" in SERVICES[name] for name in lasting - {"prometheus", "grafana"})


@pytest.mark.parametrize("name", sorted(OURS))
def test_command_lines_parse(name: str) -> None:
    """Each service's command line is one that the program's own argument parser accepts; few start something else."""
    service = OURS[name][1]
    program = service.get("entrypoint", ["ako"])[0]
    if program not in PARSERS:
        assert program in {"cp", "/bin/sh"}
        assert name in {"cluster-setup of deploy/compose/emulator.yaml", "redis of deploy/compose/podman.yaml"}
        return
    parser: argparse.ArgumentParser = importlib.import_module(PARSERS[program]).build_parser()
    parser.parse_args([interpolated(word) for word in service["command"]])


def test_ours_run_without_rights() -> None:
    """Each lasting process of ours has a read-only root, no capability, and ends within its grace period."""
    for name, service in SERVICES.items():
        if service["image"].startswith("ako-celery:"):
            assert (service["read_only"], service["cap_drop"], service["init"]) == (True, ["ALL"], True), name
            assert service["stop_grace_period"] == "30s"
        assert "privileged" not in service


def test_what_is_mounted_exists() -> None:
    """Every file and folder of this tree that a service mounts is there; named volumes are declared."""
    volumes = READ["docker-compose.yml"]["volumes"]
    for read in READ.values():
        for name, service in read["services"].items():
            for mount in service.get("volumes", []):
                source = interpolated(mount).split(":")[0]
                assert source in volumes if not source.startswith("./") else (ROOT / source).exists(), (name, mount)


def test_every_variable_is_in_the_example() -> None:
    """.env.example sets what the files read, and nothing else; a default is the same in both."""
    used = {
        (match[1], match[2])
        for path in FILES.values()
        for match in re.finditer(r"(?<!\$)\$\{(\w+)(?::-([^}]*)|:\?[^}]*)\}", path.read_text())
    }
    example = {line.split("=")[0]: line.split("=")[1] for line in lines_of(ROOT / ".env.example")}
    assert {name for name, _ in used} == set(example)
    assert [name for name, default in used if example[name] != (default or "")] == []


def test_the_monitoring_profile_hangs_together() -> None:
    """Prometheus scrapes services and ports that are there and reads the rules; Grafana finds both of them."""
    config = yaml.safe_load((ROOT / "deploy/monitoring/prometheus.yaml").read_text())
    assert config["rule_files"] == ["alerts.yaml"]
    lookups = [each for job in config["scrape_configs"] for each in job["dns_sd_configs"]]
    found = {(name, each["port"]) for each in lookups for name in each["names"]}
    health = {("watcher", 8080), ("worker", 8080)}
    assert found == health
    assert all("8080" in SERVICES[name]["command"] for name, _ in health)
    source = yaml.safe_load((ROOT / "deploy/compose/grafana/datasources/prometheus.yaml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    dashboards = yaml.safe_load((ROOT / "deploy/compose/grafana/dashboards/ako.yaml").read_text())
    folder = dashboards["providers"][0]["options"]["path"]
    assert any(mount.split(":")[1].startswith(folder) for mount in SERVICES["grafana"]["volumes"])


def test_each_password_is_made_anew() -> None:
    """The script fills every password with one of its own and leaves the rest of .env.example as it is."""
    made = [
        subprocess.run(
            ["sh", "deploy/compose/make-env.sh"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    first, second = (dict(line.split("=") for line in text.splitlines() if line and line[0] != "#") for text in made)
    passwords = {name for name in first if name.endswith("PASSWORD")}
    assert len(passwords) == 4
    assert len({first[name] for name in passwords} | {second[name] for name in passwords}) == 8
    assert all(re.fullmatch("[0-9a-f]{32}", first[name]) for name in passwords)
    assert re.sub("(PASSWORD=).*", r"\1", made[0]) == (ROOT / ".env.example").read_text()


def lines_of(path: Path) -> list[str]:
    """The lines that say something."""
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("name", ["watcher", "worker", "flower"])
def test_the_environment_gives_usable_settings(name: str, tmp_path: Path) -> None:
    """The mounted values file and the variables of a service load without a warning, credentials included."""
    environ = variables(name)
    known = {key.metadata["env"] for _, key in keys(SCHEMA)} | OTHER_VARIABLES
    assert set(environ) <= known
    mounts = dict(reversed(interpolated(mount).split(":")[:2]) for mount in SERVICES[name]["volumes"])
    loaded = load(str(ROOT / mounts[environ["AKO_VALUES"]]), environ)
    assert loaded.warnings == ()
    assert loaded.settings.controller.host == "avi:8443"
    assert loaded.settings.pipeline.redis_url == "redis://:stand-in@redis:6379/0"
    authority = tmp_path / "ca.pem"
    authority.write_text("-----BEGIN CERTIFICATE-----\n")
    assert load_credentials(environ | {"CTRL_CA_DATA_FILE": str(authority)}).password == "stand-in"
    assert mounts[str(Path(environ["KUBECONFIG"]).parent)] == "kubeconfig"


def test_no_password_is_written_down() -> None:
    """Each variable that holds a secret must be set by the operator: there is no default to forget."""
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|AUTH|URL", name):
                assert re.search(r"\$\{\w+PASSWORD:\?[^}]+\}", value), name


def test_ports_are_published_on_this_machine_only() -> None:
    """No service listens beyond the loopback address of the host."""
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_kubeconfigs_lead_to_the_api_server() -> None:
    """That of the emulator and that made of k3s's own name the host and port that serves them."""
    config = yaml.safe_load((ROOT / "deploy/compose/emulator-kubeconfig.yaml").read_text())
    assert config["clusters"][0]["cluster"]["server"] == "http://kube-api:6443"
    command = READ["deploy/compose/emulator.yaml"]["services"]["kube-api"]["command"]
    assert command[command.index("--port") + 1] == "6443"
    assert "https://kube-api:6443" in SERVICES["cluster-setup"]["command"][0]
    assert "--tls-san=kube-api" in SERVICES["kube-api"]["command"]


def test_the_image_runs_as_nobody_and_starts_ako() -> None:
    """The Dockerfile is multi-stage, takes its base as an argument, runs as a numbered user and starts `ako`."""
    lines = [line.split(maxsplit=1) for line in (ROOT / "Dockerfile").read_text().splitlines() if line.strip()]
    steps = [(words[0], words[1]) for words in lines if words[0] != "#"]
    assert steps[0] == ("ARG", "BASE=python:3.11-slim")
    assert [value for name, value in steps if name == "FROM"] == ["${BASE} AS build", "${BASE}"]
    assert [value for name, value in steps if name == "USER"] == ["10001:10001"]
    assert [value for name, value in steps if name == "ENTRYPOINT"] == ['["ako"]']


def test_the_image_holds_every_package() -> None:
    """All that the Dockerfile copies exists, passes .dockerignore, and no package of ours is forgotten."""
    copied = [
        source
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert all((ROOT / source).exists() for source in copied)
    assert sorted(copied) == sorted(allowed)
    assert {"shared", "watcher", "workers", "simulator", "cli", "pyproject.toml"} <= set(copied)
