"""A link to Redis on which no byte passes: no call of the watcher blocks for more than five seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from shared.celeryapp import make_app, publish
from shared.errors import StateUnavailable
from shared.projection import Projection
from shared.settings.model import ControllerSettings, PipelineSettings, Settings
from shared.state import Mirror, State
from tests.proxy import Proxy
from tests.support import wait_for
from watcher.session import Session

LIMIT = 5.0  # seconds


def seen(number: int) -> Projection:
    return Projection("red/i", {"v": number}, None, (), ("host:a",), ())


def took(call: Callable[[], object], times: dict[str, float], name: str) -> threading.Thread:
    """Times a call that can't succeed, in a thread of its own."""

    def run() -> None:
        began = time.monotonic()
        try:
            call()
        except StateUnavailable:
            times[name] = time.monotonic() - began

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_no_call_of_the_watcher_blocks(redis_url: str) -> None:
    """Writes, looks and messages, on open and on new connections, fail within 5 s; afterwards all go on."""
    place = urlsplit(redis_url)
    with Proxy((str(place.hostname), int(place.port or 0))) as proxy:
        url = redis_url.replace(f":{place.port}/", f":{proxy.port}/")
        state, fresh = State(url, "test"), State(url, "test")
        mirror = Mirror(state)
        epoch = mirror.begin("d")
        app, unused = (
            make_app(Settings("test", ControllerSettings("avi"), (), pipeline=PipelineSettings(url))) for _ in range(2)
        )
        publish(app, ["host:a"], "opens a connection")

        def apply_and_publish() -> None:
            session = Session(mirror, epoch, lambda keys, cause: publish(app, keys, cause), ["Ingress"])
            session.apply("Ingress", [seen(2)], ())

        proxy.silence()
        times: dict[str, float] = {}
        calls: dict[str, Callable[[], object]] = {
            "apply": apply_and_publish,
            "apply on a new connection": lambda: Mirror(fresh).apply(epoch, "Ingress", [seen(1)], [], "test"),
            "begin": lambda: mirror.begin("d"),
            "check": lambda: mirror.check(epoch),
            "ids": lambda: mirror.ids("Ingress"),
            "publish": lambda: publish(app, ["host:a"], "test"),
            "publish on a new connection": lambda: publish(unused, ["host:a"], "test"),
        }
        threads = [took(call, times, name) for name, call in calls.items()]
        for thread in threads:
            thread.join(3 * LIMIT)
        proxy.speak()
        assert times.keys() == calls.keys()
        assert max(times.values()) < LIMIT, times
        wait_for(
            lambda: mirror.apply(mirror.begin("d"), "Ingress", [seen(3)], [], "test") == ["host:a"], what="a write"
        )
        publish(app, ["host:a"], "test")
        state.close()
        fresh.close()


def test_an_answer_cut_short_is_a_failure(redis_url: str) -> None:
    """A connection that ends in the middle of an answer is an outage, never a short answer."""
    place = urlsplit(redis_url)
    direct = State(redis_url, "test")
    mirror = Mirror(direct)
    epoch = mirror.begin("d")
    many = [Projection(f"red/i{number}", {"v": number}, None, (), (), ()) for number in range(500)]
    mirror.apply(epoch, "Ingress", many, [], "test")
    with Proxy((str(place.hostname), int(place.port or 0))) as proxy:
        state = State(redis_url.replace(f":{place.port}/", f":{proxy.port}/"), "test")
        for proxy.limit in (600, 3000):
            with pytest.raises(StateUnavailable):
                Mirror(state).ids("Ingress")
        proxy.limit = None
        assert Mirror(state).ids("Ingress") == mirror.ids("Ingress")
        state.close()
    direct.close()


def test_a_reset_link_is_taken_up_again(redis_url: str) -> None:
    """A connection that was reset is opened anew within the same call: nothing fails, nothing is written twice."""
    place = urlsplit(redis_url)
    with Proxy((str(place.hostname), int(place.port or 0))) as proxy:
        state = State(redis_url.replace(f":{place.port}/", f":{proxy.port}/"), "test")
        mirror = Mirror(state)
        epoch = mirror.begin("d")
        for number in range(3):
            proxy.cut()
            assert mirror.apply(epoch, "Ingress", [seen(number)], [], "test") == ["host:a"]
        state.close()
