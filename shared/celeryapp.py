"""The one place that configures Celery, and the one that publishes.

A message is a wake-up (docs/design.md, section 2): it names keys that are ready and why, so that Flower can be read,
and it may be lost, doubled or late without harm. Hence: acknowledged early, no results, no Celery retries, no
countdown, JSON only, prefetch 1. What is set for redelivery (visibility, restore interval) only bounds how long a
message of a killed worker lingers.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit, urlunsplit

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from shared.errors import StateUnavailable
from shared.settings.model import Settings

TASK = "workers.tasks.reconcile"
VISIBILITY_SECONDS = 120
# A message carries at most this many keys, so that several workers share a burst.
KEYS_PER_MESSAGE = 20


def make_app(settings: Settings) -> Celery:
    """A Celery application for one cluster; `settings.pipeline` says where Redis is and how wide a worker is."""
    url = _verified(settings.pipeline.redis_url)
    in_files = url.startswith("unix:")  # Celery has another word for these, and they know no keepalive
    app = Celery("ako", broker=url.replace("unix:", "redis+socket:", 1) if in_files else url, set_as_current=True)
    transport: dict[str, object] = {
        "visibility_timeout": VISIBILITY_SECONDS,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "socket_timeout": 4.0,
        "socket_connect_timeout": 3.0,
        # Opening a connection to publish is tried twice, not for ever.
        "max_retries": 1,
        "interval_start": 0.0,
        "interval_step": 0.2,
        "interval_max": 0.2,
        "global_keyprefix": f"ako:{settings.cluster_name}:celery:",
    }
    if not in_files:
        transport["socket_keepalive"] = True
    app.conf.update(
        task_default_queue="work",
        task_acks_late=False,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        event_serializer="json",
        worker_prefetch_multiplier=1,
        worker_pool="threads",
        worker_concurrency=settings.pipeline.concurrency,
        worker_send_task_events=True,
        worker_hijack_root_logger=False,
        broker_transport_options=transport,
        result_backend_transport_options={"visibility_timeout": VISIBILITY_SECONDS},
        visibility_timeout=VISIBILITY_SECONDS,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=3.0,
        task_publish_retry=False,
    )
    return app


def _verified(url: str) -> str:
    """The URL with which Celery verifies the server's certificate, as everything else does: left alone, it does not."""
    parts = urlsplit(url)
    if parts.scheme.lower() != "rediss" or "ssl_cert_reqs" in parse_qs(parts.query):
        return url
    return urlunsplit(parts._replace(query="&".join(filter(None, [parts.query, "ssl_cert_reqs=required"]))))


def publish(app: Celery, keys: Sequence[str], cause: str, wake: str = "") -> None:
    """Wakes a worker for `keys`; bounded by the socket timeouts above. Raises StateUnavailable.

    A failure loses nothing: the keys are marked in Redis, and the next tick publishes again.
    """
    try:
        app.send_task(
            TASK, kwargs={"keys": list(keys), "cause": cause, "wake": wake or uuid.uuid4().hex[:8]}, retry=False
        )
    except (OperationalError, redis.RedisError, OSError) as error:
        raise StateUnavailable(f"no wake-up could be sent: {error}", where="Redis") from error
