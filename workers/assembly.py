"""Puts the parts of one worker process together; starts nothing and writes nothing."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from dataclasses import dataclass

from shared import telemetry
from shared.avi.client import AviClient
from shared.kube import KubeClient
from shared.settings.model import Credentials, Settings
from shared.settings.reach import CONTROLLER_GATE
from shared.state import Ledger, Mirror, State, Work
from workers.execute import Executor
from workers.handlers import Handlers
from workers.keeper import Keeper, Publish
from workers.reconcile import Reconciler
from workers.resync import Census
from workers.secrets import SecretReader
from workers.snapshot import Snapshots
from workers.status import Reporter, StatusRuns


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

    def retire(self, *, abandon: bool) -> None:
        """Claims nothing more and stops, in the background, once the runs under way have ended (see Keeper.retire)."""
        self.keeper.retired = True
        threading.Thread(target=self._retire, args=(abandon,), name="retiring", daemon=True).start()

    def _retire(self, abandon: bool) -> None:
        self.keeper.retire(abandon=abandon)
        self.avi.close()


def build(settings: Settings, credentials: Credentials, kube: KubeClient, publish: Publish) -> Worker:
    """Builds the parts. `publish` sends a wake-up: keys, cause, wake id."""
    pipeline = settings.pipeline
    state = State(pipeline.redis_url, settings.cluster_name)
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    work = Work(state, worker=name, digest=settings.digest(), lease_ttl=pipeline.lease_ttl)
    ledger, mirror = Ledger(state), Mirror(state)
    snapshots = Snapshots(state, mirror, settings)
    avi = AviClient(
        settings.controller.host,
        credentials,
        version=settings.controller.version or "30.2.1",
        tenant=settings.controller.tenant,
        connect_timeout=pipeline.connect_timeout,
        read_timeout=pipeline.read_timeout,
        max_in_flight=pipeline.max_in_flight,
        ipv6=CONTROLLER_GATE in settings.gates,
        on_call=telemetry.controller_called,
    )
    executor = Executor(settings, ledger, avi, SecretReader(kube).read)
    reporter = Reporter(
        state, kube, events=pipeline.events, pod=(settings.pod_namespace, os.environ.get("POD_NAME", ""))
    )
    handlers = {
        **Handlers(settings, state, work, snapshots, executor, avi).table(),
        "status": StatusRuns(settings, ledger, snapshots, kube, reporter).run,
        "resync": Census(settings, state, ledger, work, snapshots, avi, kube).run,
    }
    keeper = Keeper(work, publish, slots=pipeline.concurrency)
    reconciler = Reconciler(work, keeper, handlers, reporter.report, controller=settings.controller.host)
    return Worker(reconciler, keeper, avi)
