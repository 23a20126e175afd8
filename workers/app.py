"""The worker process: builds its parts from the environment and hangs them into Celery.

`ako worker` (or `celery -A workers.app worker`) imports this module in the process that works. The parts are built
when the worker starts, not at import, so that the module can be imported to look at the Celery application.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import Any

from celery.signals import worker_init, worker_shutdown

from shared.celeryapp import TASK, make_app, publish
from shared.errors import StateUnavailable
from shared.kube import KubeClient
from shared.settings import load, load_credentials
from workers.assembly import Worker, build

log = logging.getLogger(__name__)


_loaded = load(os.environ.get("AKO_VALUES"), os.environ)
settings = _loaded.settings
app = make_app(settings)
_running: list[Worker] = []


@worker_init.connect
def _start(**_: Any) -> None:
    try:
        _build_and_start()
    except Exception as error:
        # Celery would log an exception of a signal handler and go on with a worker that can do nothing.
        log.exception("this worker cannot start")
        raise SystemExit(1) from error


def _build_and_start() -> None:
    for warning in _loaded.warnings:
        log.warning("%s", warning)
    credentials = load_credentials(os.environ, os.environ.get("AKO_VALUES"))
    kube = KubeClient.from_config(os.environ.get("KUBECONFIG"))
    worker = build(settings, credentials, kube, partial(publish, app))
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
