"""The three long-running processes of the pipeline as commands: watcher, worker, Flower.

What can be wrong from the start (settings, credentials, the kubeconfig) is looked at before anything runs and ends the
command with one line per mistake. What may only be late (Redis, the controller, the API server) is waited for by each
process itself, with growing pauses and a line in its log.
"""

from __future__ import annotations

import argparse
import atexit
import logging
import os
import socket
import sys
from pathlib import Path

from cli import logs
from cli.processes import write_ready
from shared.celeryapp import make_app
from shared.errors import AkoError
from shared.kube import KubeClient
from shared.settings import Loaded, load, load_credentials

log = logging.getLogger(__name__)


def watcher(options: argparse.Namespace) -> int:
    """`ako watcher`: follows Kubernetes until SIGTERM or SIGINT."""
    from watcher.main import run  # noqa: PLC0415 - each command imports what it needs only

    loaded = _load(options)
    _announce(loaded)
    run(
        loaded.settings,
        kubeconfig=os.environ.get("KUBECONFIG"),
        context=options.context,
        allow_mass_delete=options.allow_mass_delete,
        single=options.single,
    )
    return 0


def worker(options: argparse.Namespace) -> int:
    """`ako worker`: a Celery worker in this process. SIGTERM lets running work end (warm stop)."""
    if options.concurrency is not None:
        os.environ["AKO_CONCURRENCY"] = str(options.concurrency)
    _load(options)
    load_credentials(os.environ, os.environ.get("AKO_VALUES"))
    KubeClient.from_config(os.environ.get("KUBECONFIG"))
    from celery import signals  # noqa: PLC0415

    from workers.app import app  # noqa: PLC0415 - reads the environment when it is imported

    signals.setup_logging.connect(logs.leave_alone)
    process = app.Worker(
        hostname=f"worker-{os.getpid()}@{socket.gethostname()}",
        without_gossip=True,
        without_mingle=True,
        task_events=True,
        quiet=True,
        redirect_stdouts=False,
    )
    process.start()
    return 1 if process.exitcode else 0


def flower(options: argparse.Namespace) -> int:
    """`ako flower`: Celery's web page. Listens on a free port of the loopback address unless told otherwise."""
    loaded = _load(options)
    _announce(loaded)
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


def _load(options: argparse.Namespace) -> Loaded:
    """The settings of this process. Command line wins over environment: workers.app reads the latter by itself."""
    if options.values is not None:
        os.environ["AKO_VALUES"] = options.values
    if options.kubeconfig is not None:
        os.environ["KUBECONFIG"] = options.kubeconfig
    loaded = load(os.environ.get("AKO_VALUES"), os.environ)
    logs.set_up(loaded.settings, options.log_level)
    return loaded


def _announce(loaded: Loaded) -> None:
    for warning in loaded.warnings:
        log.warning("%s", warning)
    for note in loaded.notes:
        log.info("%s", note)
