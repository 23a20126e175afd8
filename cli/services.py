"""The three long-running processes of the pipeline as commands: watcher, worker, Flower.

Watcher and worker wait for usable settings and follow their changes (see `cli.live`). What may only be late (Redis, the
controller, the API server) is waited for too, with growing pauses and a line in the log. A kubeconfig that cannot be
used ends the command.
"""

from __future__ import annotations

import argparse
import atexit
import logging
import os
import socket
import sys
from functools import partial
from pathlib import Path

from cli import logs
from cli.live import Live
from cli.processes import write_ready
from shared.celeryapp import make_app, publish
from shared.errors import AkoError
from shared.settings import load

log = logging.getLogger(__name__)


def watcher(options: argparse.Namespace) -> int:
    """`ako watcher`: follows Kubernetes until SIGTERM or SIGINT."""
    from watcher.main import run  # noqa: PLC0415 - each command imports what it needs only

    _environment(options)
    live = Live(options, "watcher", credentials=False)
    run(
        live.follower,
        live.kube,
        stop=live.stop,
        report=live.report,
        allow_mass_delete=options.allow_mass_delete,
        single=options.single,
    )
    return 0


def worker(options: argparse.Namespace) -> int:
    """`ako worker`: a Celery worker in this process. SIGTERM lets running work end (warm stop)."""
    if options.concurrency is not None:
        os.environ["AKO_CONCURRENCY"] = str(options.concurrency)
    _environment(options)
    live = Live(options, "worker", credentials=True)
    reading = live.follower.usable()
    if reading is None or reading.settings is None:
        return 0
    from celery import signals  # noqa: PLC0415

    from workers.app import Process, hang_in  # noqa: PLC0415

    app = make_app(reading.settings)
    process = Process(live.kube, partial(publish, app))
    live.report(process.status)
    hang_in(app, process, live.follower)
    signals.setup_logging.connect(logs.leave_alone)
    live.leaves_signals()  # until Celery answers them itself there is nothing to end in order
    celery = app.Worker(
        hostname=f"worker-{os.getpid()}@{socket.gethostname()}",
        without_gossip=True,
        without_mingle=True,
        task_events=True,
        quiet=True,
        redirect_stdouts=False,
    )
    celery.start()
    return 1 if celery.exitcode else 0


def flower(options: argparse.Namespace) -> int:
    """`ako flower`: Celery's web page. Listens on a free port of the loopback address unless told otherwise."""
    _environment(options)
    loaded = load(os.environ.get("AKO_VALUES"), os.environ)
    logs.set_up(options.log_level or loaded.settings.pipeline.log_level)
    try:
        from flower import command  # type: ignore[import-untyped]  # noqa: PLC0415
        from flower.app import Flower  # type: ignore[import-untyped]  # noqa: PLC0415
        from flower.urls import settings as pages  # type: ignore[import-untyped]  # noqa: PLC0415
        from tornado.options import options as flags  # noqa: PLC0415
    except ImportError as error:
        raise AkoError("Flower is not installed", action="pip install 'ako-celery[dev-server]'") from error
    command.apply_env_options()
    flags.address, flags.port = options.address, options.port
    command.extract_settings()
    command.setup_logging()
    page = Flower(capp=make_app(loaded.settings), options=flags, **pages)
    atexit.register(page.stop)
    command.signal.signal(command.signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        port = page.start_http_server()
    except OSError as error:
        raise AkoError(
            f"cannot listen on {options.address} port {options.port} ({error.strerror})", action="Choose another --port"
        ) from None
    _say_ready(options, f"http://{options.address}:{port}")
    try:
        page.start()
    except (KeyboardInterrupt, SystemExit):
        log.info("Flower ends")
    return 0


def _say_ready(options: argparse.Namespace, url: str) -> None:
    log.warning("Flower listens on %s", url)
    if options.ready_file is not None:
        write_ready(Path(options.ready_file), url)


def _environment(options: argparse.Namespace) -> None:
    """Puts what the command line names into the environment, where everything else looks."""
    if options.values is not None:
        os.environ["AKO_VALUES"] = options.values
    if options.kubeconfig is not None:
        os.environ["KUBECONFIG"] = options.kubeconfig
