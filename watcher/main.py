"""The watcher: one process that leads, one thread per watched kind, one door into the mirror.

The loop here does little, once a second and whenever there is news: it waits for the lease, begins an epoch, starts the
reflectors, declares the mirror complete when every kind was listed, and looks whether Redis is still the Redis that the
epoch began on. If it is not, it begins a new epoch with new reflectors, which list everything and compare. If another
watcher has taken over, it stops writing and waits for the lease again. It never handles an event itself.

`status` and `ready` may be called from any thread.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from shared.celeryapp import make_app, publish
from shared.errors import StaleEpoch, StateUnavailable
from shared.kinds import Kind, kinds_for
from shared.kube import KubeClient
from shared.settings.model import Settings
from shared.state.connection import State
from shared.state.mirror import Mirror
from watcher.lease import Lease, identity
from watcher.reflector import Reflector, Timing
from watcher.session import MirrorLike, Publish, Session

log = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds between two looks at Redis
FAILING_AFTER = 10.0  # seconds of failing after which a kind makes the watcher not ready
JOIN_SECONDS = 1.0  # reflectors are daemons: one that hangs in a call is left behind, its epoch is over


class Watcher:
    """Watches for one cluster. Without `lease` it leads at once, and `run` returns when another takes over."""

    def __init__(
        self,
        settings: Settings,
        kube: KubeClient,
        mirror: MirrorLike,
        publish: Publish,  # noqa: A002, F811
        *,
        kinds: Sequence[Kind] | None = None,
        lease: Lease | None = None,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._kube = kube
        self._mirror = mirror
        self._publish = publish
        self._kinds = tuple(kinds_for(settings) if kinds is None else kinds)
        self._lease = lease
        self._timing = timing or Timing()
        self._clock = clock
        self._wake = threading.Event()
        self._session: Session | None = None
        self._reflectors: list[Reflector] = []
        self._threads: list[threading.Thread] = []
        self._error = ""
