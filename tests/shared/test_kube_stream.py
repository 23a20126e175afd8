"""Watches: read as they arrive, dead when silent, typed when they fail."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import KubeAuthError, KubeBusy, KubeError, KubeGone, KubeUnreachable
from shared.kube import Access, KubeClient, WatchStream
from shared.kube.stream import _Chunks
from tests.scripted import Exchange, Scripted, chunk, serving

PATH = "/api/v1/nodes"


def client(server: Scripted, **options: Any) -> KubeClient:
    return KubeClient(lambda: Access(server.url), **options)


def watch(server: Scripted, **options: Any) -> WatchStream:
    return client(server).watch(PATH, "7", timeout=60, **options)


def node(number: int) -> dict[str, Any]:
    return {"metadata": {"name": f"n{number}", "resourceVersion": str(number)}}


def test_asks_for_bookmarks_after_the_version() -> None:
    """A watch names where to start, asks for bookmarks and says when the server shall end it."""
    with serving(lambda exchange: (exchange.open_stream(), exchange.end_stream())) as server:
        with watch(server) as stream:
            assert list(stream) == []
        assert server.requests == [f"GET {PATH}?watch=1&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=60"]


def test_a_single_event_is_not_held_back() -> None:
    """One event is handed over at once, not when more have come."""

    def answer(exchange: Exchange) -> None:
        exchange.open_stream()
        exchange.event("ADDED", node(1))
        exchange.server.released.wait(10)

    with serving(answer) as server, watch(server) as stream:
        began = time.monotonic()
        batch = next(batch for batch in stream.batches() if batch)
        assert [event["object"]["metadata"]["name"] for event in batch] == ["n1"]
        assert time.monotonic() - began < 0.4


def test_a_burst_becomes_few_batches() -> None:
    """300 events that are there already come in at most ten batches, in order."""

    def answer(exchange: Exchange) -> None:
        exchange.open_stream()
        for number in range(300):
            exchange.event("ADDED", node(number))
        exchange.end_stream()

    with serving(answer) as server, watch(server) as stream:
        time.sleep(0.2)
        batches = [batch for batch in stream.batches() if batch]
    names = [event["object"]["metadata"]["name"] for batch in batches for event in batch]
    assert names == [f"n{number}" for number in range(300)]
    assert len(batches) <= 10


def test_silence_is_death() -> None:
    """A server that accepts the watch and then says nothing is given up after the silence allowed, and no sooner."""

    def answer(exchange: Exchange) -> None:
        exchange.open_stream()
        exchange.server.released.wait(10)

    with serving(answer) as server, watch(server, silence=1.0) as stream:
        began = time.monotonic()
        with pytest.raises(KubeUnreachable, match="silent"):
            list(stream)
        assert 1.0 <= time.monotonic() - began < 2.5


def test_a_whole_answer_is_no_watch() -> None:
    """A proxy that answers 200 with a page to everything is not taken for a quiet cluster."""
    with (
        serving(lambda exchange: exchange.reply(200, b"<html>welcome</html>")) as server,
        pytest.raises(KubeUnreachable, match="not a watch"),
    ):
        watch(server)


def test_a_server_that_never_answers() -> None:
    """A connection that is accepted and never answered ends with the read timeout."""
    with serving(lambda exchange: exchange.server.released.wait(10) and None) as server, pytest.raises(KubeUnreachable):
        client(server, read_timeout=0.5).watch(PATH, "7", timeout=60)


def test_quiet_yields_nothing_to_do() -> None:
    """While nothing happens the reader gets an empty batch every half second, so that it can stop."""

    def answer(exchange: Exchange) -> None:
        exchange.open_stream()
        exchange.server.released.wait(10)

    with serving(answer) as server, watch(server) as stream:
        assert next(stream.batches()) == []


def test_an_error_event_comes_after_the_events_before_it() -> None:
    """410 inside a stream is KubeGone, raised only when what came before has been handed over."""

    def answer(exchange: Exchange) -> None:
        exchange.open_stream()
        exchange.event("ADDED", node(1))
        exchange.event("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})
        exchange.event("ADDED", node(2))
        exchange.end_stream()

    with serving(answer) as server, watch(server) as stream:
        batches = stream.batches()
        assert [event["object"]["metadata"]["name"] for event in next(batches)] == ["n1"]
        with pytest.raises(KubeGone, match="too old"):
            next(batches)


@pytest.mark.parametrize(
    ("status", "error"), [(401, KubeAuthError), (410, KubeGone), (429, KubeBusy), (500, KubeUnreachable)]
)
def test_a_refused_watch_is_typed(status: int, error: type[KubeError]) -> None:
    """The head of a watch is judged like any other answer."""
    with (
        serving(lambda exchange: exchange.reply(status, {"message": "no"})) as server,
        pytest.raises(error, match="no"),
    ):
        watch(server)


@pytest.mark.parametrize("rubbish", [b"zz\r\n", chunk(b"{not json}\n"), chunk(b"[1]\n"), b"1" * 2000])
def test_damage_is_not_interpreted(rubbish: bytes) -> None:
    """A stream that is no chunked JSON any more is given up."""

    def answer(exchange: Exchange) -> None:
        exchange.open_stream()
        exchange.wfile.write(rubbish)
        exchange.server.released.wait(10)

    with serving(answer) as server, watch(server) as stream, pytest.raises(KubeUnreachable, match="damaged"):
        list(stream)


def test_a_cut_connection_ends_the_stream() -> None:
    """A connection cut in the middle of an event ends the watch without that event."""

    def answer(exchange: Exchange) -> None:
        exchange.open_stream()
        exchange.event("ADDED", node(1))
        exchange.wfile.write(chunk(b'{"type": "ADDED", "obj'))
        exchange.close_connection = True

    with serving(answer) as server, watch(server) as stream:
        assert len(list(stream)) == 1


@given(pieces=st.lists(st.binary(min_size=1, max_size=40), max_size=8), step=st.integers(1, 50))
def test_chunks_however_they_are_cut(pieces: list[bytes], step: int) -> None:
    """The payload of chunks is the same however the bytes are cut on their way."""
    wire = b"".join(chunk(piece) for piece in pieces) + b"0\r\n\r\n"
    chunks, payload, going_on = _Chunks(), b"", True
    for at in range(0, len(wire), step):
        if going_on:
            part, going_on = chunks.feed(wire[at : at + step])
            payload += part
    assert payload == b"".join(pieces)
    assert not going_on
