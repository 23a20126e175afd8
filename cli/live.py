"""What watcher and worker share: settings that follow their sources, the log level, /readyz, /metrics, Events.

With settings that are not usable a process starts all the same, and stays: unready, with the mistakes in its log once,
in /readyz and as an Event on its own pod, until the file is mended. A supervisor that restarted it again and again
would help nobody.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from cli import logs
from cli.processes import write_ready
from shared.errors import KubeError, StateUnavailable
from shared.exposition import render
from shared.health import HealthServer
from shared.kube import KubeClient
from shared.settings import early_gates
from shared.settings.flat import CONFIGMAP
from shared.settings.follow import Follower, Reading, Sources
from shared.settings.reach import API_SERVER_GATE, refuse_api_server
from shared.state import State
from shared.state.figures import Figures, read_figures

log = logging.getLogger(__name__)

DEFAULT_PORT = 8080  # AKO's apiServerPort

Status = Callable[[], dict[str, Any]]


class Live:
    """The common part of a long-running process. SIGTERM and SIGINT set `stop` and end the waiting for settings."""

    def __init__(self, options: argparse.Namespace, role: Literal["watcher", "worker"], *, credentials: bool) -> None:
        logs.set_up(options.log_level or "INFO")
        self.stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            # From a thread, since the main thread may be inside the very lock that ending needs.
            signal.signal(number, lambda *_: threading.Thread(target=self._end).start())
        ipv6 = API_SERVER_GATE in early_gates(os.environ)
        self.kube = KubeClient.from_config(os.environ.get("KUBECONFIG"), options.context, ipv6=ipv6)
        configmap = _configmap_reader(self.kube) if options.configmap else None
        refuse = partial(refuse_api_server, self.kube.url)
        self.follower = Follower(Sources(os.environ, credentials=credentials, configmap=configmap, refuse=refuse))
        self._level = options.log_level
        self._mended = False  # whether the next usable reading ends a time without one
        self._status: Status | None = None
        self._role = role
        self._redis: State | None = None
        self._health = self._serve(options)
        self.follower.subscribe(self._say)
        self.follower.start()

    def report(self, status: Status) -> None:
        """From now on `status` says how the process does: a dict with `alive`, `ready` and `reasons`."""
        self._status = status

    def leaves_signals(self) -> None:
        """SIGTERM and SIGINT do again what they do by default."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _end(self) -> None:
        self.stop.set()
        self.follower.stop()

    def _serve(self, options: argparse.Namespace) -> HealthServer:
        port = options.health_port
        if port is None:
            settings = self.follower.reading.settings
            port = DEFAULT_PORT if settings is None else settings.pipeline.health_port
        server = HealthServer(port, self.health, self.metrics)
        if options.ready_file is not None:
            write_ready(Path(options.ready_file), f"http://127.0.0.1:{server.port}")
        return server

    def health(self) -> dict[str, Any]:
        """The report of /healthz and /readyz."""
        problems = [f"{place}: {text}" for place, text in self.follower.reading.problems]
        waiting: dict[str, Any] = {"alive": True, "ready": False, "reasons": []}
        status = waiting if self._status is None else self._status()
        reasons = [*problems, *status["reasons"]]
        settings = self.follower.reading.settings
        digest = "" if settings is None else settings.digest()
        return {"digest": digest, **status, "ready": bool(status["ready"] and not problems), "reasons": reasons}

    def metrics(self) -> bytes:
        """The text of /metrics."""
        figures = self._figures()
        return render(self._role, self.health(), figures, redis=self._redis is not None)

    def _figures(self) -> Figures | None:
        """The figures of the site; None while there is nothing to read them from."""
        settings = self.follower.reading.settings
        if self._redis is None:
            if settings is None:
                return None
            self._redis = State(settings.pipeline.redis_url, settings.cluster_name)  # neither changes while we run
        try:
            return read_figures(self._redis)
        except StateUnavailable as error:
            log.debug("no figures of the site: %s", error)
            return None
        finally:
            self._redis.close()  # each connection to /metrics has a thread of its own, and so has this one

    def _say(self, reading: Reading) -> None:
        """Says once what a reading means: what is wrong with it, or what is asked for and not done."""
        if reading.loaded is None:
            self._mended = True
            log.error(
                "the settings have %d mistakes, so nothing is watched and nothing is written until they are mended:",
                len(reading.problems),
            )
            for place, text in reading.problems:
                log.error("%s: %s", place, text)
            self._event("InvalidSettings", "; ".join(f"{place}: {text}" for place, text in reading.problems))
            return
        self.kube.allow_ipv6(API_SERVER_GATE in reading.loaded.settings.gates)
        logs.set_level(self._level or reading.loaded.settings.pipeline.log_level)
        log.log(
            logging.WARNING if self._mended else logging.INFO,
            "the settings are usable (digest %s)",
            reading.loaded.settings.digest(),
        )
        self._mended = False
        for warning in reading.loaded.warnings:
            log.warning("%s", warning)
        for note in reading.loaded.notes:
            log.info("%s", note)

    def _event(self, reason: str, message: str) -> None:
        """An Event on our own pod, where there is one: AKO's chart tells its name in POD_NAME."""
        name = os.environ.get("POD_NAME", "")
        if not name:
            return
        namespace, uid = _namespace(), os.environ.get("POD_UID", "")
        try:
            self.kube.emit_event("Pod", namespace, name, uid, type="Warning", reason=reason, message=message)
        except KubeError as error:
            log.warning("no Event on pod %s/%s: %s", namespace, name, error)


def _configmap_reader(kube: KubeClient) -> Callable[[], Mapping[str, Any]]:
    path = f"/api/v1/namespaces/{_namespace()}/configmaps/{CONFIGMAP}"
    return lambda: kube.get(path, timeout=5.0).get("data") or {}


def _namespace() -> str:
    return os.environ.get("POD_NAMESPACE") or "avi-system"
