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
COMPOSE_FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("ako-celery:")}
PARSERS = {
    "ako": "cli.main",
    "ako-kube-simulator": "simulator.kube.__main__",
    "ako-avi-simulator": "simulator.avi.__main__",
}
# What the processes read besides the settings' own variables.
OTHER_VARIABLES = {"AKO_VALUES", "KUBECONFIG", "POD_NAMESPACE", "CTRL_CA_DATA_FILE"}


def interpolated(text: str) -> str:
    """The text as Compose would fill it in: the default, or a stand-in where one must be set."""
    return re.sub(
        r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)\}", lambda match: "stand-in" if match[2] is None else match[2], str(text)
    )


def variables(service: str) -> dict[str, str]:
    """The environment of a service."""
    return {name: interpolated(value) for name, value in SERVICES[service]["environment"].items()}


def test_compose_file_fits_its_schema() -> None:
    """The file has only keys and types that the Compose specification knows."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_process_is_there() -> None:
    """Redis, both outer worlds, watcher, worker and Flower are services, each restarted when it dies."""
    assert set(SERVICES) == {"redis", "kube-api", "avi", "watcher", "worker", "flower"}
    assert {service["restart"] for service in SERVICES.values()} == {"unless-stopped"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_command_lines_parse(name: str) -> None:
    """Each service's command line is one that the program's own argument parser accepts."""
    service = OURS[name]
    program = service.get("entrypoint", ["ako"])[0]
    parser: argparse.ArgumentParser = importlib.import_module(PARSERS[program]).build_parser()
    parser.parse_args([interpolated(word) for word in service["command"]])


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
    assert loaded.settings.pipeline.redis_url == "redis://redis:6379/0"
    authority = tmp_path / "ca.pem"
    authority.write_text("-----BEGIN CERTIFICATE-----\n")
    assert load_credentials(environ | {"CTRL_CA_DATA_FILE": str(authority)}).password == "stand-in"
    assert (ROOT / mounts[environ["KUBECONFIG"]]).is_file()


def test_no_password_is_written_down() -> None:
    """Each variable that holds a secret must be set by the operator: there is no default to forget."""
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name or "TOKEN" in name:
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), name


def test_ports_are_published_on_this_machine_only() -> None:
    """No service listens beyond the loopback address of the host."""
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_kubeconfig_names_the_emulator() -> None:
    """The mounted kubeconfig leads to the kube-api service at the port that it listens on."""
    config = yaml.safe_load((ROOT / "deploy/compose/kubeconfig.yaml").read_text())
    command = SERVICES["kube-api"]["command"]
    port = command[command.index("--port") + 1]
    assert config["clusters"][0]["cluster"]["server"] == f"http://kube-api:{port}"


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
