"""Who leads, when several watchers run: a Kubernetes Lease, renewed every 4 s and free after 12 s without renewal.

A lease alone cannot keep two processes from writing at once (one may be stopped for a minute and not know it); what
does is the epoch in Redis. The lease only decides who *begins* an epoch. So a leader that cannot reach the API server
to renew keeps leading: it hears nothing new anyway, and as soon as another takes over, Redis refuses its writes.

Whether a lease ran out is judged by how long it stayed unchanged on our own clock, never by comparing clocks. A holder
that comes back under its own name (a container restarted in the same pod) goes on at once.
"""

from __future__ import annotations

import datetime
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from shared.errors import KubeConflict, KubeError, KubeNotFound
from shared.kube import KubeClient

log = logging.getLogger(__name__)

COMPLAIN_EVERY = 60.0  # seconds

NAME = "ako-celery-watcher"


def identity() -> str:
    """A name for this watcher: the pod's, which survives a restart of the container, else one of its own."""
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"


class Lease:
    """One holder's view of the Lease. `keep` runs in a thread of its own; the rest may be used from any.

    `held` is what we know; `error` tells that the last attempt could not confirm it ("" when it could). A lease that
    is not `wanted` is given back and left to others.
    """

    def __init__(
        self,
        kube: KubeClient,
        namespace: str,
        holder: str,
        *,
        name: str = NAME,
        duration: float = 12.0,
        every: float = 4.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.holder = holder
        self.held = False
        self.wanted = True
        self.error = ""
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._duration = duration
        self._every = every
        self._clock = clock
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._attempting = threading.Lock()
        self._seen: tuple[object, ...] = ()
        self._seen_at = 0.0
        self._complained_at = 0.0

    def keep(self, stop: threading.Event, changed: Callable[[], None]) -> None:
        """Takes the lease when it is free and renews it until `stop`; calls `changed` when `held` has changed."""
        while not stop.is_set():
            before = self.held
            if self.wanted:
                self.attempt()
            else:
                self.release()
            if self.held != before:
                log.info(
                    "%s %s the lease %s/%s", self.holder, "holds" if self.held else "lost", self._namespace, self._name
                )
                changed()
            # A standby looks more often, so that a released lease is taken soon.
            stop.wait(self._every if self.held else min(self._every, 1.0))

    def attempt(self) -> None:
        """Takes or renews the lease if that is possible now. A failure to reach the API server changes nothing."""
        with self._attempting:
            self._attempt()

    def _attempt(self) -> None:
        try:
            try:
                self.held = self._write(self._read())
            except KubeConflict:  # somebody wrote meanwhile: look again who it was
                self.held = self._write(self._read())
        except KubeConflict:
            self.held = False
        except KubeError as error:
            self._complain(error)
            return
        self.error = ""

    def _complain(self, error: KubeError) -> None:
        """Says what keeps this watcher from leading: when it is new, and once a minute while it lasts."""
        now = self._clock()
        if str(error) != self.error or now - self._complained_at >= COMPLAIN_EVERY:
            hint = f"; does the namespace {self._namespace} exist?" if isinstance(error, KubeNotFound) else ""
            log.warning("no lease %s/%s, so nothing is watched: %s%s", self._namespace, self._name, error, hint)
            self._complained_at = now
        self.error = str(error)

    def release(self) -> None:
        """Gives the lease back, so that another watcher begins at once. Bounded to a second; failing is harmless."""
        if not self.held:
            return
        self.held = False
        try:
            lease = self._kube.get(f"{self._path}/{self._name}", timeout=0.5)
            if (lease.get("spec") or {}).get("holderIdentity") == self.holder:
                lease["spec"] = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                self._kube.replace(f"{self._path}/{self._name}", lease, timeout=0.5)
        except KubeError as error:
            log.warning("lease %s/%s not released, it ends by itself: %s", self._namespace, self._name, error)

    def _read(self) -> dict[str, Any] | None:
        try:
            return self._kube.get(f"{self._path}/{self._name}", timeout=self._every)
        except KubeNotFound:
            return None

    def _write(self, lease: dict[str, Any] | None) -> bool:
        """Takes or renews the lease as it was read; False when somebody else holds it. KubeConflict: lost a race."""
        if lease is None:
            metadata = {"name": self._name, "namespace": self._namespace}
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
            self._kube.create(self._path, {**body, "spec": self._spec({})}, timeout=self._every)
            return True
        spec = lease.get("spec") or {}
        if not self._free(spec):
            return False
        self._kube.replace(f"{self._path}/{self._name}", {**lease, "spec": self._spec(spec)}, timeout=self._every)
        return True

    def _free(self, spec: dict[str, Any]) -> bool:
        holder = spec.get("holderIdentity")
        if not holder or holder == self.holder:
            return True
        seen = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        return self._clock() - self._seen_at >= float(spec.get("leaseDurationSeconds") or self._duration)

    def _spec(self, before: dict[str, Any]) -> dict[str, Any]:
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same = before.get("holderIdentity") == self.holder
        transitions = int(before.get("leaseTransitions") or 0)
        return {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": max(1, round(self._duration)),
            "acquireTime": before.get("acquireTime", now) if same else now,
            "renewTime": now,
            "leaseTransitions": transitions + (0 if same or not before else 1),
        }
