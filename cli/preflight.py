"""`ako preflight`: looks, before anything is started, at everything that the settings name. It writes nothing anywhere.

Exit code 0: nothing failed; 1: something did; 2: wrong usage. `--output json` is a list of
`{"id", "result", "found", "action"}`, stable for programs.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import asdict

from cli import checks
from cli.checks import Check
from cli.table import columns
from shared.avi.client import AviClient
from shared.errors import AkoError, SettingsError
from shared.kube import KubeClient
from shared.settings import Credentials, Loaded, Settings, load, load_credentials
from shared.settings.reach import API_SERVER_GATE, CONTROLLER_GATE
from workers.contact import find_cloud

CONNECT_SECONDS, READ_SECONDS = 3.0, 10.0


def run(options: argparse.Namespace) -> int:
    """The command; prints a line per check as a table, or all of them as JSON."""
    if options.values is not None:
        os.environ["AKO_VALUES"] = options.values
    done = list(_checks(options))
    if options.output == "json":
        print(json.dumps([asdict(check) for check in done], indent=2))
    else:
        rows = [("result", "check", "found"), *((check.result, check.id, check.found) for check in done)]
        print(columns(rows))
        for check in done:
            if check.action and check.result in {"warn", "fail"}:
                print(f"\n{check.id}: {check.action}.")
        counts = {result: sum(check.result == result for check in done) for result in ("pass", "warn", "fail", "skip")}
        print("\n" + ", ".join(f"{number} {result}" for result, number in counts.items()))
    return 1 if any(check.result == "fail" for check in done) else 0


def _checks(options: argparse.Namespace) -> Iterator[Check]:
    loaded, credentials, problems = _settings()
    yield from problems
    if loaded is None:
        for id_ in ("controller", "kubernetes", "redis"):
            yield Check(id_, "skip", "the settings have to be right first")
        return
    settings = loaded.settings
    yield Check("settings", "pass", f"usable, digest {settings.digest()}")
    for warning in loaded.warnings:
        yield Check("settings", "warn", warning)
    kube = _kube(options, settings)
    cloud_type = ""
    if isinstance(kube, Check):
        yield kube
    if credentials is not None and isinstance(kube, KubeClient):
        avi = _avi(settings, credentials)
        yield from checks.controller(avi, kube, settings)
        cloud_type = _cloud_type(avi, settings)
        avi.close()
    else:
        yield Check("controller", "skip", "credentials and a kubeconfig have to be there first")
    if isinstance(kube, KubeClient):
        yield from _safely("kubernetes", checks.cluster(kube, settings, cloud_type=cloud_type))
    yield from checks.redis_server(settings)


def _settings() -> tuple[Loaded | None, Credentials | None, list[Check]]:
    """What values file and environment give, and a failed check for each mistake."""
    path, problems = os.environ.get("AKO_VALUES"), []
    loaded = credentials = None
    try:
        loaded = load(path, os.environ)
    except SettingsError as error:
        problems += error.problems
    try:
        credentials = load_credentials(os.environ, path)
    except SettingsError as error:
        problems += [problem for problem in error.problems if problem not in problems]
    return loaded, credentials, [Check(place, "fail", text) for place, text in problems]


def _avi(settings: Settings, credentials: Credentials) -> AviClient:
    return AviClient(
        settings.controller.host,
        credentials,
        version=settings.controller.version,
        tenant=settings.controller.tenant,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        ipv6=CONTROLLER_GATE in settings.gates,
    )


def _kube(options: argparse.Namespace, settings: Settings) -> KubeClient | Check:
    try:
        return KubeClient.from_config(
            options.kubeconfig,
            options.context,
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            ipv6=API_SERVER_GATE in settings.gates,
        )
    except AkoError as error:
        return checks.failed("kubernetes", error)


def _cloud_type(avi: AviClient, settings: Settings) -> str:
    """The type of the cloud, "" when nobody can tell; that it cannot be told is the business of another check."""
    try:
        return str(find_cloud(avi, settings)["vtype"])
    except AkoError:
        return ""


def _safely(id_: str, group: Iterator[Check]) -> Iterator[Check]:
    """The checks of a group; an error in the middle of it is the group's last line."""
    try:
        yield from group
    except AkoError as error:
        yield checks.failed(id_, error)
