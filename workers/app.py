"""The worker process: builds its parts from the environment and hangs them into Celery.

`ako worker` (or `celery -A workers.app worker`) imports this module in the process that works. The parts are built
when the worker starts, not at import, so that the module can be imported to look at the Celery application.
"""

from __future__ import annotations

import logging
import os
import socket
import uuid
from dataclasses import dataclass
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_shutdown

from shared.avi.client import AviClient
from shared.celeryapp import TASK, make_app, publish
from shared.errors import StateUnavailable
from shared.kube import KubeClient
from shared.settings import load, load_credentials
from shared.settings.model import Credentials, Settings
from shared.state import Ledger, Mirror, State, Work
from workers.execute import Executor
from workers.handlers import Handlers
from workers.keeper import Keeper
from workers.reconcile import Reconciler
from workers.resync import Census
from workers.secrets import SecretReader
from workers.snapshot import Snapshots
from workers.status import Reporter, StatusRuns

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Worker:
    """The running parts of one worker process."""

    reconciler: Reconciler
    keeper: Keeper
    avi: AviClient

    def stop(self) -> None:
        """Stops renewing leases and closes the connections."""
        self.keeper.stop()
        self.avi.close()


def build(settings: Settings, credentials: Credentials, kube: KubeClient, app: Celery) -> Worker:
    """Builds the parts; nothing is started and nothing is written."""
    pipeline = settings.pipeline
    state = State(pipeline.redis_url, settings.cluster_name)
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    work = Work(state, worker=name, digest=settings.digest(), lease_ttl=pipeline.lease_ttl)
    ledger, mirror = Ledger(state), Mirror(state)
    snapshots = Snapshots(state, mirror)
    avi = AviClient(
        settings.controller.host,
        credentials,
        version=settings.controller.version or "30.2.1",
        tenant=settings.controller.tenant,
        connect_timeout=pipeline.connect_timeout,
        read_timeout=pipeline.read_timeout,
        max_in_flight=pipeline.max_in_flight,
    )
    executor = Executor(settings, ledger, avi, SecretReader(kube).read)
    reporter = Reporter(state, kube)
    handlers = {
        **Handlers(settings, state, work, snapshots, executor, avi).table(),
        "status": StatusRuns(settings, ledger, snapshots, kube, reporter).run,
        "resync": Census(settings, state, ledger, work, snapshots, avi).run,
    }
    keeper = Keeper(work, lambda keys, cause, wake: publish(app, keys, cause, wake), slots=pipeline.concurrency)
    return Worker(Reconciler(work, keeper, handlers, reporter.report), keeper, avi)


_loaded = load(os.environ.get("AKO_VALUES"), os.environ)
settings = _loaded.settings
app = make_app(settings)
_running: list[Worker] = []


@worker_init.connect
def _start(**_: Any) -> None:
    for warning in _loaded.warnings:
        log.warning("%s", warning)
    credentials = load_credentials(os.environ, os.environ.get("AKO_VALUES"))
    kube = KubeClient.from_config(os.environ.get("KUBECONFIG"))
    worker = build(settings, credentials, kube, app)
    worker.keeper.start()
    _running.append(worker)


@worker_shutdown.connect
def _stop(**_: Any) -> None:
    while _running:
        _running.pop().stop()


@app.task(name=TASK)
def reconcile(keys: list[str], cause: str = "", wake: str = "") -> None:
    """A wake-up: looks at `keys`, then at whatever is ready. `cause` is for the reader of Flower."""
    worker = _running[0]
    try:
        worker.reconciler.work.woken(wake)
        if worker.reconciler.run(keys):
            publish(app, [], f"more is ready (after: {cause})"[:200], wake)
    except StateUnavailable as error:
        log.warning("woken for %s, but %s", ", ".join(keys), error.message)
