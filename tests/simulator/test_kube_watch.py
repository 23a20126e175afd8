"""Watches: resuming, selectors, bookmarks, 410, and the troubles that a test can order."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.simulator.kube_world import RED, Api, cluster, config, elapsed
from tests.support import wait_for

CONFIGS = f"{RED}/configmaps"
ALL_CONFIGS = "/api/v1/configmaps"


@pytest.fixture
def api() -> Iterator[Api]:
    with cluster(bookmark_interval=0.1) as api:
        yield api


def version(api: Api) -> str:
    return str(api.get(CONFIGS)["metadata"]["resourceVersion"])


def test_a_watch_resumes_after_a_version(api: Api) -> None:
    """From a list's version on every change comes once, in order, with the object as it was then."""
    api.post(CONFIGS, config("before"))
    start = version(api)
    api.post(CONFIGS, config("a", x="1"))
    with api.watch(CONFIGS, start) as events:
        first = events.next()
        assert (first["type"], first["object"]["kind"], first["object"]["data"]) == ("ADDED", "ConfigMap", {"x": "1"})
        api.patch(f"{CONFIGS}/a", {"data": {"x": "2"}})
        api.delete(f"{CONFIGS}/a")
        api.post("/api/v1/namespaces/default/configmaps", config("elsewhere"))
        api.post(CONFIGS, config("b"))
        modified, deleted = events.next(), events.next()
        assert (modified["type"], modified["object"]["data"]) == ("MODIFIED", {"x": "2"})
        assert (deleted["type"], deleted["object"]["data"]) == ("DELETED", {"x": "2"})
        versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in (first, modified, deleted)]
        assert versions == sorted(set(versions))
        assert events.take(1) == [("ADDED", "b")]
    with api.watch(ALL_CONFIGS, str(versions[1])) as events:
        assert events.take(3) == [("DELETED", "a"), ("ADDED", "elsewhere"), ("ADDED", "b")]


@pytest.mark.parametrize("start", ["", "0"])
def test_a_watch_without_a_version_begins_with_what_is_there(api: Api, start: str) -> None:
    """Without a version, or with 0, the objects come first as ADDED."""
    api.post(CONFIGS, config("a"))
    with api.watch(CONFIGS, start) as events:
        api.post(CONFIGS, config("b"))
        assert events.take(2) == [("ADDED", "a"), ("ADDED", "b")]


def test_objects_enter_and_leave_a_selector(api: Api) -> None:
    """An object that begins to match comes as ADDED, one that ceases to as DELETED, others not at all."""
    with api.watch(CONFIGS, version(api), labelSelector="on=yes") as events:
        api.post(CONFIGS, config("a"))
        for labels in ({"on": "yes"}, {"on": "yes", "more": "1"}, {"on": "no"}, {"on": "never"}):
            api.patch(f"{CONFIGS}/a", {"metadata": {"labels": labels}})
        api.delete(f"{CONFIGS}/a")
        body = config("b")
        body["metadata"]["labels"] = {"on": "yes"}
        api.post(CONFIGS, body)
        assert events.take(4) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "b")]


def test_a_watch_of_one_object(api: Api) -> None:
    """A field selector on the name watches one object."""
    with api.watch(CONFIGS, version(api), fieldSelector="metadata.name=b") as events:
        api.post(CONFIGS, config("a"))
        api.post(CONFIGS, config("b"))
        assert events.take(1) == [("ADDED", "b")]


def test_bookmarks(api: Api) -> None:
    """They come at the interval with the server's version, which other kinds advance, to resume from."""
    with api.watch(CONFIGS, version(api), allowWatchBookmarks="true") as events:
        other = api.post(f"{RED}/secrets", {"metadata": {"name": "s"}})["metadata"]["resourceVersion"]
        mark = wait_for(lambda: event if int(rv(event := events.next())) >= int(other) else None)
        assert (mark["type"], mark["object"]["kind"], mark["object"]["apiVersion"]) == ("BOOKMARK", "ConfigMap", "v1")
    api.post(CONFIGS, config("a"))
    with api.watch(CONFIGS, rv(mark)) as events:
        assert events.take(1) == [("ADDED", "a")]


def rv(event: dict[str, Any]) -> str:
    return str(event["object"]["metadata"]["resourceVersion"])


def test_a_watch_ends_after_its_time() -> None:
    """timeoutSeconds ends the watch in good order, with a last bookmark if they are wanted."""
    with cluster(bookmark_interval=60) as api:
        began = time.monotonic()
        with api.watch(CONFIGS, version(api), timeoutSeconds=1, allowWatchBookmarks="true") as events:
            assert [kind for kind, _ in events.rest()] == ["BOOKMARK"]
        with api.watch(CONFIGS, version(api), timeoutSeconds=1) as events:
            assert events.rest() == []
        assert 1.9 < elapsed(began) < 4


def test_a_version_that_is_too_old_is_gone() -> None:
    """What fell out of the ring cannot be resumed from: an ERROR event with the Status 410, then the end."""
    with cluster(ring=3) as api:
        versions = [api.post(CONFIGS, config(f"c{n}"))["metadata"]["resourceVersion"] for n in range(5)]
        with api.watch(CONFIGS, versions[1]) as events:
            assert events.take(3) == [("ADDED", "c2"), ("ADDED", "c3"), ("ADDED", "c4")]
        with api.watch(CONFIGS, versions[0]) as events:
            event = events.next()
            assert event["type"] == "ERROR"
            assert {key: event["object"][key] for key in ("kind", "status", "reason", "code")} == {
                "kind": "Status",
                "status": "Failure",
                "reason": "Expired",
                "code": 410,
            }
            assert "too old resource version" in event["object"]["message"]
            assert events.rest() == []
        ahead = api.call("GET", f"{CONFIGS}?watch=1&resourceVersion={int(versions[4]) + 9}")
        assert (ahead.status, ahead["reason"]) == (504, "Timeout")


def test_compaction_ends_open_watches(api: Api) -> None:
    """`compact` tells open watches 410 and refuses older versions; `watches: false` leaves the open ones alone."""
    start = version(api)
    with api.watch(CONFIGS, start) as events:
        api.post(CONFIGS, config("a"))
        api.control("compact", {})
        assert events.rest() == [("ADDED", "a"), ("ERROR", "410")]
    with api.watch(CONFIGS, version(api)) as events:
        api.post(CONFIGS, config("b"))
        api.control("compact", {"watches": False})
        api.post(CONFIGS, config("c"))
        assert events.take(2) == [("ADDED", "b"), ("ADDED", "c")]
    with api.watch(CONFIGS, start) as events:
        assert events.rest() == [("ERROR", "410")]


def test_410_as_an_http_status(api: Api) -> None:
    """A fault on the watch's path answers 410 before the stream begins, as older servers do."""
    api.control("faults", {"path": "configmaps.*watch=", "status": 410, "message": "too old resource version"})
    answer = api.call("GET", f"{CONFIGS}?watch=1&resourceVersion=1")
    assert (answer.status, answer["reason"]) == (410, "Expired")
    assert api.get(CONFIGS)


def test_a_watch_that_nobody_reads_is_not_kept(api: Api) -> None:
    """A watch whose answer a fault replaced, and one whose client has gone, leave nothing behind."""
    api.control("faults", {"path": "watch=", "status": 503, "when": "after"})
    assert api.call("GET", f"{CONFIGS}?watch=1").status == 503
    with api.watch(CONFIGS, version(api)):
        assert len(api.control("watches")["watches"]) == 1
    wait_for(lambda: api.control("watches") == {"watches": []}, what="the end of the watch")


def test_silence(api: Api) -> None:
    """A silenced watch says nothing, not even bookmarks or its end, until it may speak: then what it missed."""
    with api.watch(CONFIGS, version(api), allowWatchBookmarks="true", timeoutSeconds=1) as events:
        assert api.control("watches", {"action": "silence", "path": "configmaps"}) == {"watches": 1}
        api.post(CONFIGS, config("a"))
        assert wait_for(lambda: api.control("watches")["watches"][0]["waiting"]) == 1
        began = time.monotonic()
        heard: list[Any] = []
        reader = threading.Thread(target=lambda: heard.extend(events.rest()))
        reader.start()
        reader.join(1.3)
        # A bookmark may have been under way; nothing came after it, and the watch is open beyond its time.
        assert reader.is_alive()
        api.control("watches", {"action": "resume"})
        reader.join(5)
        assert ("ADDED", "a") in heard
        assert elapsed(began) < 5


@pytest.mark.parametrize(("action", "clean"), [("close", True), ("reset", False)])
def test_ending_watches(api: Api, action: str, clean: bool) -> None:
    """`close` ends the chosen watches in good order, `reset` cuts their connections; others go on."""
    with api.watch(f"{RED}/secrets", version(api)) as others, api.watch(CONFIGS, version(api)) as events:
        assert api.control("watches", {"action": action, "path": "/configmaps$"}) == {"watches": 1}
        if clean:
            assert events.rest() == []
        else:
            with pytest.raises(requests.exceptions.RequestException):
                events.rest()
        api.post(f"{RED}/secrets", {"metadata": {"name": "s"}})
        assert others.take(1) == [("ADDED", "s")]
    wait_for(lambda: api.control("watches") == {"watches": []}, what="the end of all watches")


def test_a_burst_arrives_quickly(api: Api) -> None:
    """1,000 changes reach three watches in order within seconds."""
    objects = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{n:04}", "namespace": "red"}}
               for n in range(1000)]  # fmt: skip
    start = version(api)
    with api.watch(CONFIGS, start) as one, api.watch(ALL_CONFIGS, start) as two, api.watch(CONFIGS, start) as three:
        began = time.monotonic()
        api.control("load", objects)
        wanted = [("ADDED", f"c{n:04}") for n in range(1000)]
        assert [events.take(1000) for events in (one, two, three)] == [wanted] * 3
        assert elapsed(began) < 5


def test_a_table_watch(api: Api) -> None:
    """A watch asked for as Table sends rows, the columns with the first one only."""
    accept = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    url = f"{api.url}{CONFIGS}"
    reply = api.http.get(url, params={"watch": "true", "resourceVersion": version(api)}, headers=accept, stream=True)
    lines = reply.iter_lines(chunk_size=None)
    for name in "ab":
        api.post(CONFIGS, config(name, x="1"))
    first, second = json.loads(next(lines))["object"], json.loads(next(lines))["object"]
    assert [column["name"] for column in first["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert (second["columnDefinitions"], second["rows"][0]["cells"][:2]) == ([], ["b", "1"])
    reply.close()


def test_initial_events_are_refused_as_by_a_server_without_them(api: Api) -> None:
    """sendInitialEvents is 422, upon which clients list instead."""
    assert api.call("GET", f"{CONFIGS}?watch=1&sendInitialEvents=true").status == 422
