"""`fqdnReusePolicy: Strict` over a real Redis and a controller: who has a host, whose status shows it, who is next."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from bench import world as cluster
from tests.workers.site import Site, site


@pytest.fixture
def here(redis_url: str) -> Iterator[Site]:
    """One host, named by an older Ingress of namespace `bench` and a younger one of `blue`."""
    with site(redis_url, ENABLE_EVH="true", FQDN_REUSE_POLICY="strict") as made:
        made.apply({"kind": "Namespace", "metadata": {"name": "blue"}})
        made.apply(*cluster.objects_of(1), *in_blue())
        made.settle()
        yield made


def in_blue() -> list[dict[str, Any]]:
    found = copy.deepcopy(cluster.objects_of(1))
    for each in found:
        each["metadata"] |= {"namespace": "blue", "creationTimestamp": "2026-02-01T00:00:00Z"}
    return found


def shown(here: Site, namespace: str) -> list[Any]:
    """The statuses written to the namespace's Ingress, in their order."""
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/i00001/status"
    return [body["status"]["loadBalancer"]["ingress"] for at, body in here.kube.patches if at == path]


def test_only_the_oldest_namespace_is_served_until_it_lets_go(here: Site) -> None:
    """The younger one has an Event and no address; when the older goes, it takes the host over at once."""
    host = cluster.host(1)
    assert [[row["hostname"] for row in rows] for rows in shown(here, cluster.NAMESPACE)] == [[host]]
    assert shown(here, "blue") == []
    assert [text for text in here.kube.events if text.startswith("Ingress/blue/i00001 Warning HostClaimed")]
    pools = [obj for page in here.avi.pages("pool") for obj in page.objects]
    assert [row["values"] for row in pools[0]["markers"] if row["key"] == "Namespace"] == [[cluster.NAMESPACE]]
    here.delete("Ingress", f"{cluster.NAMESPACE}/i00001")
    here.settle()
    assert [[row["hostname"] for row in rows] for rows in shown(here, "blue")] == [[host]]
    (pool,) = [obj for page in here.avi.pages("pool") for obj in page.objects]
    assert [row["values"] for row in pool["markers"] if row["key"] == "Namespace"] == [["blue"]]


def test_a_status_from_before_is_taken_back(here: Site) -> None:
    """An address that an earlier setting gave to the younger Ingress is not left standing."""
    (ingress,) = in_blue()[-1:]
    ingress["metadata"]["annotations"] = {"ako.vmware.com/tenant-name": "admin"}
    ingress["status"] = {"loadBalancer": {"ingress": [{"ip": "10.10.0.9", "hostname": cluster.host(1)}]}}
    here.apply(ingress)
    here.settle()
    assert shown(here, "blue") == [None]
