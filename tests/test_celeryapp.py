"""The Celery configuration: what keeps a message a mere wake-up."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shared.celeryapp import TASK, make_app, publish
from shared.errors import StateUnavailable
from shared.settings.model import ControllerSettings, PipelineSettings, Settings
from shared.state import State
from simulator.avi.tls import self_signed, server_context
from tests.support import free_port
from tests.tls import TlsFront


def settings(url: str) -> Settings:
    return Settings("c1", ControllerSettings("127.0.0.1"), (), pipeline=PipelineSettings(redis_url=url, concurrency=3))


def test_the_configuration_is_what_the_design_lists() -> None:
    """Acks early, prefetch 1, no results, JSON only, threads, and one visibility in all three places."""
    conf = make_app(settings("redis://127.0.0.1:1/0")).conf
    assert conf.task_acks_late is False
    assert conf.worker_prefetch_multiplier == 1
    assert conf.task_ignore_result is True
    assert (conf.task_serializer, conf.accept_content) == ("json", ["json"])
    assert (conf.worker_pool, conf.worker_concurrency) == ("threads", 3)
    transport = conf.broker_transport_options
    places = (transport, conf.result_backend_transport_options, {"visibility_timeout": conf.visibility_timeout})
    assert [place["visibility_timeout"] for place in places] == [120, 120, 120]
    assert (transport["unacked_restore_interval"], transport["unacked_restore_throttle"]) == (1, 1)
    assert transport["socket_timeout"] == 4.0
    assert transport["socket_connect_timeout"] == 3.0
    assert transport["socket_keepalive"] is True
    assert (transport["max_retries"], transport["interval_max"]) == (1, 0.2)
    assert conf.broker_connection_timeout == 3.0
    assert conf.event_serializer == "json"
    assert conf.result_backend is None
    assert conf.task_default_queue == "work"
    assert conf.task_publish_retry is False
    assert conf.broker_connection_max_retries is None


def test_publishing_without_redis_is_bounded_and_typed() -> None:
    """Without a Redis a publish ends with StateUnavailable well within five seconds."""
    app = make_app(settings(f"redis://127.0.0.1:{free_port()}/0"))
    began = time.monotonic()
    with pytest.raises(StateUnavailable):
        publish(app, ["host:a"], "test")
    assert time.monotonic() - began < 5


def test_a_message_can_be_read_in_flower(redis_url: str) -> None:
    """A message names its keys, its cause and nothing else."""
    app = make_app(settings(redis_url))
    publish(app, ["host:a", "host:b"], "Ingress red/web changed", "w1")
    with app.connection() as connection:
        message = connection.SimpleQueue("work").get(block=True, timeout=5)
    _, kwargs, _ = message.payload
    message.ack()
    assert message.headers["task"] == TASK
    assert kwargs == {"keys": ["host:a", "host:b"], "cause": "Ingress red/web changed", "wake": "w1"}


def test_redis_is_verified_over_tls(redis_url: str, tmp_path: Path) -> None:
    """A rediss:// server whose certificate nobody trusts is refused by Celery and State, else both work."""
    certificate, key = self_signed("localhost")
    authority = tmp_path / "ca.crt"
    authority.write_bytes(certificate)
    place, context = ("127.0.0.1", urlsplit(redis_url).port or 0), server_context(certificate, key)
    # kombu keeps one pool of connections for a host and port, whatever is to be verified: so two of them.
    with TlsFront(place, context) as strange, TlsFront(place, context) as trusted:
        for url in (
            f"rediss://localhost:{strange.port}/0",
            f"rediss://127.0.0.2:{trusted.port}/0?ssl_ca_certs={authority}",
        ):
            with pytest.raises(StateUnavailable, match="certificate verify failed"):
                publish(make_app(settings(url)), ["host:a"], "test")
            with pytest.raises(StateUnavailable, match="certificate verify failed"):
                State(url, "c1").hash("meta")
        url = f"rediss://localhost:{trusted.port}/0?ssl_ca_certs={authority}"
        publish(make_app(settings(url)), ["host:a"], "test")
        assert State(url, "c1").hash("meta") == {}
    with make_app(settings(redis_url)).connection() as connection:
        assert connection.SimpleQueue("work").get(block=True, timeout=5).payload[1]["keys"] == ["host:a"]


def test_whoever_asks_not_to_verify_is_obeyed() -> None:
    """What the URL says of verification stays; without TLS nothing is added."""
    for url in ("rediss://r/0?ssl_cert_reqs=none", "redis://r/0"):
        assert make_app(settings(url)).conf.broker_url == url
