"""What /healthz, /readyz and /metrics answer, over a real socket."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from shared.errors import AkoError
from shared.health import HealthServer

REPORT: dict[str, Any] = {"alive": True, "ready": False, "reasons": ["Redis cannot be used"]}


@pytest.fixture
def server() -> Iterator[HealthServer]:
    made = HealthServer(0, lambda: REPORT, lambda: b"up 1\n")
    yield made
    made.close()


def get(server: HealthServer, path: str, host: str = "127.0.0.1") -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"http://{host}:{server.port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_alive_and_ready_are_two_answers(server: HealthServer) -> None:
    """A process that lives but is not ready answers 200 to one and 503 with its reasons to the other."""
    assert get(server, "/healthz") == (200, REPORT)
    assert get(server, "/readyz?verbose") == (503, REPORT)
    assert get(server, "/")[0] == 404


def test_metrics_come_as_text(server: HealthServer) -> None:
    """Prometheus gets the metrics with the content type of its text format, whatever it asks for beside them."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics?name[]=up", timeout=5) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert answer.read() == b"up 1\n"


def test_both_families_are_served(server: HealthServer) -> None:
    """The kubelet of an IPv6 pod reaches the same port as that of an IPv4 pod, where the machine has IPv6."""
    hosts = ["127.0.0.1", *(["[::1]"] if socket.has_dualstack_ipv6() else [])]
    assert [get(server, "/healthz", host)[0] for host in hosts] == [200] * len(hosts)


def test_a_taken_port_is_one_sentence(server: HealthServer) -> None:
    """A second server on the port says which port it is and what to give instead."""
    with pytest.raises(AkoError, match=f"cannot listen on port {server.port} .*--health-port"):
        HealthServer(server.port, lambda: REPORT, lambda: b"")
