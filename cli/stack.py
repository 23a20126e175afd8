"""The whole pipeline on one machine: Redis, both simulators, watcher, workers, Flower, each a process of its own.

`ako dev`, the end-to-end tests and the benchmark all stand on this class, so that what is tested and measured is what
is shown. Every port is a free one. A stack is entered, used, and left; leaving stops everything, also when starting it
failed half-way.

    with Stack(folder, workers=2) as stack:
        stack.kube_client().create(...)
        stack.avi_client().find("virtualservice", "demo--Shared-L7-0")
        stack.kill("worker-1")

Either outer world can be a real one (`kubeconfig`, `controller`); then there is no simulator for it. A Redis that is
given (`redis_url`) loses the keys of this cluster name when the stack starts and when it ends: they describe a world
that is new each time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import redis
import requests
import yaml

from cli import redis_server
from cli.processes import Child, Processes, module
from shared.avi.client import AviClient
from shared.errors import AkoError, KubeNotFound
from shared.kube import KubeClient
from shared.settings import Settings, load, load_credentials
from shared.settings.schema import SCHEMA, keys

log = logging.getLogger(__name__)

EXAMPLE = Path(__file__).parents[1] / "examples" / "dual-stack"
_OURS = ("AKO_VALUES", "KUBECONFIG", "POD_NAMESPACE", "REDIS_URL")


class Stack:
    """A running pipeline. `directory` receives logs, data and generated files; it is not removed.

    `values` is a values.yaml or what to change in that of the example; `env` is added to the environment of watcher,
    workers and Flower, `avi_args` and `kube_args` to the simulators' command lines.
    """

    def __init__(
        self,
        directory: Path | str,
        values: Path | str | Mapping[str, Any] | None = None,
        *,
        workers: int = 2,
        watcher: bool = True,
        flower: bool = False,
        tls: bool = False,
        avi_args: Sequence[str] = (),
        kube_args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        log_level: str = "INFO",
        kubeconfig: Path | str | None = None,
        controller: str | None = None,
        redis_url: str | None = None,
    ) -> None:
        self.directory = Path(directory).resolve()
        self.family = Processes(self.directory / "logs")
        self.kubeconfig = Path(kubeconfig) if kubeconfig is not None else self.directory / "kubeconfig.yaml"
        self.kube_url = self.avi_url = self.flower_url = ""
        self.redis_url = redis_url or ""
        self.environ: dict[str, str] = {}
        self._values, self._env = values, dict(env or {})
        self._workers, self._watcher, self._flower, self._tls = workers, watcher, flower, tls
        self._avi_args, self._kube_args = list(avi_args), list(kube_args)
        self._log_level = log_level
        self._real_kube, self._controller, self._given_redis = kubeconfig is not None, controller, redis_url is not None
        self._started = 0

    def __enter__(self) -> Stack:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts everything; returns when Redis, the simulators and Flower answer. Raises AkoError."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.start_outside()
        self.start_pipeline()

    def start_outside(self) -> None:
        """Starts what the pipeline talks to: Redis and the simulators."""
        outer = _outer_environment()
        password = secrets.token_urlsafe(18)
        avi = kube = None
        if self._controller is None:
            avi = self._spawn_avi(outer, password)
        if not self._real_kube:
            kube = self._spawn_simulator("kube", self._kube_args, outer)
        if not self.redis_url:
            _, self.redis_url = redis_server.start_server(self.family, self.directory / "redis", outer)
        if kube is not None:
            self.kube_url = self._url_of(kube)
            self.kubeconfig.write_text(_kubeconfig(self.kube_url))
        if avi is not None:
            self.avi_url = self._url_of(avi)
        self.environ = self._pipeline_environment(password)
        self._give_home()
        if self._given_redis:
            self._forget()

    def start_pipeline(self) -> None:
        """Starts watcher, workers and Flower."""
        flower = None
        if self._watcher:
            self.start_watcher()
        for _ in range(self._workers):
            self.start_worker()
        if self._flower:
            ready = self._ready_file("flower")
            flower = self.family.spawn(
                "flower", self._command("flower", "--port", "0", "--ready-file", str(ready)), self.environ
            )
            self.flower_url = self.family.wait_for_file(flower, ready)["url"]

    def stop(self) -> None:
        """Stops everything: first who works, then what they talk to."""
        outside = {"redis", "avi", "kube"}
        names = set(self.family.children)
        stubborn = self.family.stop(names - outside)
        if self._given_redis and self.environ:
            with contextlib.suppress(redis.RedisError):
                self._forget()
        stubborn += self.family.stop(names & outside)
        for child in stubborn:
            log.warning("%s did not end by itself and was killed; see %s", child.name, child.log)

    # -- the parts, to be used while it runs

    @property
    def settings(self) -> Settings:
        """The settings that watcher and workers have."""
        return load(self.environ["AKO_VALUES"], self.environ).settings

    def processes(self) -> dict[str, Child]:
        """The processes that were started, by name: redis, avi, kube, watcher, worker-1, ..., flower."""
        return dict(self.family.children)

    def start_watcher(self, *arguments: str, name: str = "watcher", **env: str) -> Child:
        """Starts a watcher; two of one stack share the lease."""
        return self._spawn_live(name, "watcher", arguments, env)

    def start_worker(self, *arguments: str, **env: str) -> Child:
        """Starts one more worker process, `worker-<n>`."""
        self._started += 1
        return self._spawn_live(f"worker-{self._started}", "worker", arguments, env)

    def readyz(self, name: str) -> dict[str, Any]:
        """What the watcher or a worker says of itself; raises AkoError when it does not listen."""
        report: dict[str, Any] = self._health(name, "readyz").json()
        return report

    def metrics(self, name: str) -> str:
        """The metrics of the watcher or a worker, as Prometheus gets them; raises AkoError when it does not listen."""
        return self._health(name, "metrics").text

    def _health(self, name: str, page: str) -> requests.Response:
        child = self.family.children[name]
        url = self.family.wait_for_file(child, self._ready_file_path(name))["url"]
        with requests.Session() as session:
            session.trust_env = False
            return session.get(f"{url}/{page}", timeout=10)

    def kill(self, process: Child | str, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal to a process (or one by name) and waits for its end if the signal ends it."""
        self.family.kill(self.family.children[process] if isinstance(process, str) else process, number)

    def again(self, name: str) -> Child:
        """Starts a process that has ended once more; Redis comes back with its data, on its port."""
        child = self.family.again(name)
        if name == "redis":
            self.family.wait_for(child, lambda: redis_server.answers(self.redis_url))
        return child

    def avi_client(self, *, tenant: str = "") -> AviClient:
        """A client of the controller with a session of its own."""
        settings = self.settings
        return AviClient(
            settings.controller.host,
            load_credentials(self.environ, self.environ["AKO_VALUES"]),
            version=settings.controller.version,
            tenant=tenant or settings.controller.tenant,
            ipv6=True,
        )

    def kube_client(self) -> KubeClient:
        """A client of the API server; it looks from outside, so the gates of the pipeline do not bind it."""
        return KubeClient.from_config(str(self.kubeconfig), ipv6=True)

    def avi_control(self, path: str, body: Any = None, *, method: str = "") -> Any:
        """Calls a switch of the Avi simulator: `avi_control("audit?since=7")`, `avi_control("latency", {"ms": 20})`,
        `avi_control("faults", method="DELETE")`. Without `method` a body makes it a POST. Raises AkoError.
        """
        ca = self.directory / "avi-ca.pem" if self._tls else None
        return _control(f"{self.avi_url}/simulator", path, body, method, ca)

    def kube_control(self, path: str, body: Any = None, *, method: str = "") -> Any:
        """The same for the API server emulator."""
        return _control(f"{self.kube_url}/simulator", path, body, method, None)

    # -- how they are started

    def _spawn_avi(self, outer: dict[str, str], password: str) -> Child:
        arguments = [*self._avi_args]
        if self._tls:
            arguments += ["--tls", "--cert-out", str(self.directory / "avi-ca.pem")]
        return self._spawn_simulator("avi", arguments, {**outer, "AKO_SIM_PASSWORD": password})

    def _spawn_simulator(self, name: str, arguments: Sequence[str], environ: Mapping[str, str]) -> Child:
        ready = self._ready_file(name)
        command = module(f"simulator.{name}", "--port", "0", "--ready-file", str(ready), *arguments)
        return self.family.spawn(name, command, environ)

    def _url_of(self, child: Child) -> str:
        return str(self.family.wait_for_file(child, self._ready_file_path(child.name))["url"])

    def _ready_file_path(self, name: str) -> Path:
        return self.directory / f"{name}.ready.json"

    def _ready_file(self, name: str) -> Path:
        path = self._ready_file_path(name)
        path.unlink(missing_ok=True)
        return path

    def _give_home(self) -> None:
        """The namespace in which the watchers keep their Lease; only the emulator gets one that is missing."""
        home, kube = self.settings.pod_namespace, self.kube_client()
        try:
            kube.get(f"/api/v1/namespaces/{home}")
        except KubeNotFound:
            if self._real_kube:
                action = f"Create it (kubectl create namespace {home}) or set POD_NAMESPACE to one that exists"
                raise AkoError(f"the namespace {home} does not exist", where=kube.url, action=action) from None
            body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}}
            kube.create("/api/v1/namespaces", body)

    def _spawn_live(self, name: str, command: str, arguments: Sequence[str], env: Mapping[str, str]) -> Child:
        ready = str(self._ready_file(name))
        line = self._command(command, "--health-port", "0", "--ready-file", ready, *arguments)
        return self.family.spawn(name, line, {**self.environ, **env})

    def _command(self, command: str, *arguments: str) -> list[str]:
        return module("cli", command, "--log-level", self._log_level, *arguments)

    def _pipeline_environment(self, password: str) -> dict[str, str]:
        """The environment of watcher, workers and Flower."""
        environ = _outer_environment()
        environ |= {
            "AKO_VALUES": str(self._values_file()),
            "AKO_REDIS_URL": self.redis_url,
            "KUBECONFIG": str(self.kubeconfig),
        }
        if self._controller is None:
            environ |= {
                # AKO's variable holds host and port; a scheme is for development only.
                "CTRL_IPADDRESS": self.avi_url.removeprefix("https://"),
                "CTRL_USERNAME": "admin",
                "CTRL_PASSWORD": password,
            }
            if self._tls:
                environ["CTRL_CA_DATA_FILE"] = str(self.directory / "avi-ca.pem")
        else:
            environ["CTRL_IPADDRESS"] = self._controller
        return environ | self._env

    def _values_file(self) -> Path:
        if isinstance(self._values, Path | str):
            return Path(self._values).resolve()
        example = EXAMPLE / "values.yaml"
        if not self._values:
            return example
        path = self.directory / "values.yaml"
        path.write_text(yaml.safe_dump(_merged(yaml.safe_load(example.read_text()), self._values)))
        return path

    def _forget(self) -> None:
        client = redis.Redis.from_url(self.redis_url)
        for key in client.scan_iter(f"ako:{self.settings.cluster_name}:*", count=1000):
            client.unlink(key)
        client.close()


def _outer_environment() -> dict[str, str]:
    """Our environment without anything that would change the settings of what we start."""
    names = {str(key.metadata["env"]) for _, key in keys(SCHEMA)}
    unwanted = {*_OURS, *names, *(f"{name}_FILE" for name in names)}
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`; mappings are merged, everything else is replaced, None removes."""
    merged = dict(base)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged


def _control(url: str, path: str, body: Any, method: str, ca: Path | None) -> Any:
    chosen = method or ("GET" if body is None else "POST")
    with requests.Session() as session:
        session.trust_env = False
        answer = session.request(
            chosen, f"{url}/{path.lstrip('/')}", json=body, verify=str(ca) if ca is not None else True, timeout=30
        )
    if not answer.ok:
        raise AkoError(f"{answer.status_code} {answer.text[:400]}", where=f"{chosen} {path}")
    return answer.json() if answer.content else None


def _kubeconfig(url: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "ako-dev",
            "clusters": [{"name": "ako-dev", "cluster": {"server": url}}],
            "contexts": [{"name": "ako-dev", "context": {"cluster": "ako-dev", "user": "ako-dev"}}],
            "users": [{"name": "ako-dev", "user": {}}],
        },
        sort_keys=False,
    )
