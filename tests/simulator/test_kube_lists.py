"""Lists: selectors, pages that are one snapshot, versions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulator.kube_world import RED, Api, cluster, config, service

CONFIGS = f"{RED}/configmaps"


@pytest.fixture(scope="module")
def labelled() -> Iterator[Api]:
    """Three objects: a (tier=web, team=x), b (tier=db), c (no labels); one of the same name elsewhere."""
    with cluster() as api:
        for name, labels in (("a", {"tier": "web", "team": "x"}), ("b", {"tier": "db"}), ("c", {})):
            body = config(name)
            body["metadata"]["labels"] = labels
            api.post(CONFIGS, body)
        api.post("/api/v1/namespaces/default/configmaps", config("a"))
        yield api


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("tier=web", "a"),
        ("tier==web", "a"),
        ("tier = web", "a"),
        ("tier!=web", "bc"),
        ("tier in (web, db)", "ab"),
        ("tier notin (web),tier", "b"),
        ("tier", "ab"),
        ("!tier", "c"),
        ("tier,team=x", "a"),
        ("team=", ""),
        ("example.com/x!=y", "abc"),
    ],
)
def test_label_selectors(labelled: Api, selector: str, names: str) -> None:
    """Each form of a label selector chooses what it does on a real server."""
    assert "".join(labelled.names(f"{CONFIGS}?labelSelector={selector}")) == names


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("metadata.name=a", "a"),
        ("metadata.name!=a", "bc"),
        ("metadata.namespace=red,metadata.name==b", "b"),
        ("metadata.namespace=blue", ""),
    ],
)
def test_field_selectors(labelled: Api, selector: str, names: str) -> None:
    """Name and namespace can be selected by for every kind."""
    assert "".join(labelled.names(f"{CONFIGS}?fieldSelector={selector}")) == names


@pytest.mark.parametrize("query", ["labelSelector=a(b", "fieldSelector=data.x=1", "fieldSelector=x", "limit=many"])
def test_what_cannot_be_selected(labelled: Api, query: str) -> None:
    """A selector that cannot be parsed or is not supported for the kind is 400, never an empty list."""
    assert labelled.call("GET", f"{CONFIGS}?{query}").status == 400


def test_secrets_are_selected_by_type(labelled: Api) -> None:
    """`type!=` leaves out the Secrets of that type."""
    for name, kind in (("s", "Opaque"), ("h", "helm.sh/release.v1")):
        labelled.post(f"{RED}/secrets", {"metadata": {"name": name}, "type": kind})
    assert labelled.names("/api/v1/secrets?fieldSelector=type!=helm.sh/release.v1,type!=x") == ["s"]


def test_a_list_names_its_kind_and_version(labelled: Api) -> None:
    """A list over all namespaces is ordered by namespace and name and carries the server's version."""
    found = labelled.get("/api/v1/configmaps")
    assert (found["kind"], found["apiVersion"]) == ("ConfigMapList", "v1")
    assert [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in found["items"]] == [
        ("default", "a"),
        ("red", "a"),
        ("red", "b"),
        ("red", "c"),
    ]
    newest = max(int(item["metadata"]["resourceVersion"]) for item in found["items"])
    assert int(found["metadata"]["resourceVersion"]) >= newest
    assert labelled.get(f"{RED}/pods")["items"] == []


def test_pages_are_one_snapshot() -> None:
    """Later pages show what was there at the first, whatever was created, changed and deleted meanwhile."""
    with cluster() as api:
        for number in range(5):
            api.post(CONFIGS, config(f"c{number}", x="old"))
        first = api.get(f"{CONFIGS}?limit=2")
        assert first["metadata"]["remainingItemCount"] == 3
        api.delete(f"{CONFIGS}/c3")
        api.patch(f"{CONFIGS}/c4", {"data": {"x": "new"}})
        api.post(CONFIGS, config("c5"))
        second = api.get(f"{CONFIGS}?limit=2&continue={first['metadata']['continue']}")
        third = api.get(f"{CONFIGS}?limit=2&continue={second['metadata']['continue']}")
        items = [item for page in (first, second, third) for item in page["items"]]
        assert [(item["metadata"]["name"], item["data"]["x"]) for item in items] == [(f"c{n}", "old") for n in range(5)]
        assert len({page["metadata"]["resourceVersion"] for page in (first, second, third)}) == 1
        assert "continue" not in third["metadata"]
        assert api.names(CONFIGS) == ["c0", "c1", "c2", "c4", "c5"]


def test_an_expired_token() -> None:
    """After a compaction a continue token is 410 Expired; one that never was is 400."""
    with cluster() as api:
        for number in range(3):
            api.post(CONFIGS, config(f"c{number}"))
        token = api.get(f"{CONFIGS}?limit=1")["metadata"]["continue"]
        api.control("compact", {})
        expired = api.call("GET", f"{CONFIGS}?limit=1&continue={token}")
        assert (expired.status, expired["reason"]) == (410, "Expired")
        assert api.call("GET", f"{CONFIGS}?limit=1&continue=bm9uc2Vuc2U").status == 400


def test_versions_of_a_list() -> None:
    """Version 0 and older ones are served, a version of the future is 504, an exact old one 410."""
    with cluster() as api:
        old = api.post(CONFIGS, config("a"))["metadata"]["resourceVersion"]
        api.post(f"{RED}/services", service())
        assert api.names(f"{CONFIGS}?resourceVersion=0") == ["a"]
        assert api.names(f"{CONFIGS}?resourceVersion={old}") == ["a"]
        assert api.call("GET", f"{CONFIGS}?resourceVersion={old}&resourceVersionMatch=Exact").status == 410
        assert api.call("GET", f"{CONFIGS}?resourceVersion={int(old) + 100}").status == 504
