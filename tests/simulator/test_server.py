"""The HTTP part that both simulators share."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncGenerator, Iterator
from types import ModuleType

import pytest
import requests

from simulator.avi import __main__ as avi
from simulator.kube import __main__ as kube
from simulator.server import (
    RESET,
    Answer,
    Request,
    Response,
    Server,
    StreamResponse,
    json_response,
    parse_listening,
    running,
)
from tests.support import wait_for

OWN = ["127.0.0.1", "127.8.8.8", "::1", "localhost"]

closed: list[str] = []


async def lines(count: int) -> AsyncGenerator[bytes, None]:
    try:
        for n in range(count):
            yield b"%d\n" % n
            await asyncio.sleep(0.01)
    finally:
        closed.append("stream")


async def handler(request: Request) -> Answer:
    match request.path:
        case "/reset":
            return RESET
        case "/stream":
            return StreamResponse(lines(int(request.first("count"))), headers={"x-kind": "watch"})
        case "/fail":
            raise ValueError("secret")
        case "/none":
            return Response(204, headers={"set-cookie": "a=1\nb=2"})
        case "/slow":
            await asyncio.sleep(60)
    return json_response({"path": request.path, "query": request.query, "length": len(request.body)})


@pytest.fixture
def server() -> Iterator[Server]:
    closed.clear()
    with running(handler) as server:
        yield server


def test_requests_come_whole(server: Server) -> None:
    """Path, query with blank values and a long body reach the handler."""
    answer = requests.post(f"{server.url}//a%20b?x=&y=1&y=2", data=b"z" * 1_000_000)
    assert answer.json() == {"path": "//a b", "query": {"x": [""], "y": ["1", "2"]}, "length": 1_000_000}
    chunked = requests.post(server.url, data=iter([b"ab", b"cd"]))
    assert chunked.json()["length"] == 4


def test_several_cookies(server: Server) -> None:
    """A header with line feeds is sent once per line, and a 204 has no body."""
    answer = requests.get(f"{server.url}/none")
    assert answer.cookies.get_dict() == {"a": "1", "b": "2"}
    assert answer.content == b""


def test_streams(server: Server) -> None:
    """A stream comes line by line and ends with its generator."""
    answer = requests.get(f"{server.url}/stream?count=3", stream=True)
    assert answer.headers["x-kind"] == "watch"
    assert list(answer.iter_lines()) == [b"0", b"1", b"2"]
    assert closed == ["stream"]


def test_a_client_that_leaves(server: Server) -> None:
    """A stream whose client goes away is closed, though its generator would go on for ever."""
    answer = requests.get(f"{server.url}/stream?count=1000000", stream=True)
    assert next(answer.iter_lines()) == b"0"
    answer.close()
    wait_for(lambda: closed == ["stream"], what="the end of the stream")


def test_reset(server: Server) -> None:
    """A reset cuts the connection; the next call gets a new one."""
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        requests.get(f"{server.url}/reset")
    assert requests.get(server.url).status_code == 200


def test_a_handler_that_fails(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """An error of the handler is a 500 that names its type only; the server goes on."""
    with caplog.at_level(logging.CRITICAL):
        answer = requests.get(f"{server.url}/fail")
    assert (answer.status_code, answer.json()) == (500, {"error": "the simulator failed: ValueError"})
    assert requests.get(server.url).status_code == 200


def test_connections_are_kept_and_quick(server: Server) -> None:
    """A session keeps its connection, and small answers are not held back by the network stack."""
    session = requests.Session()
    session.get(server.url)
    start = time.monotonic()
    for _ in range(50):
        session.post(server.url, data=b"x")
    assert time.monotonic() - start < 1.5


def test_stops_at_once() -> None:
    """A server stops within a moment though a stream and a slow call are open, and its port is free again."""
    with running(handler) as server:
        host, port = server.url.removeprefix("http://").split(":")
        stream = requests.get(f"{server.url}/stream?count=1000000", stream=True)
        slow = socket.create_connection((host, int(port)))
        slow.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        next(stream.iter_lines())
        start = time.monotonic()
    assert time.monotonic() - start < 1
    slow.close()
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url)


@pytest.mark.parametrize("program", [avi, kube])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "avi.example.com"])
def test_other_machines_are_let_in_with_a_flag_only(
    program: ModuleType, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A simulator protects nothing, so it does not listen where others can reach it unless it is told to."""
    with pytest.raises(SystemExit) as ended:
        program.main(["--host", host])
    assert ended.value.code == 2
    assert "--allow-remote" in capsys.readouterr().err
    parser = program.build_parser()
    assert parse_listening(parser, ["--host", host, "--allow-remote"]).host == host
    assert [parse_listening(parser, ["--host", own]).host for own in OWN] == OWN
