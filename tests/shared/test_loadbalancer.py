"""What is kept of a Service of type LoadBalancer, and whom a change of it concerns."""

from __future__ import annotations

from typing import Any

import pytest

from shared.kinds import KINDS
from shared.loadbalancer import SERVICE_ANNOTATIONS, dns_names
from tests.workers.model.world import ingress, load_balancer, service

PROJECT = {kind.name: kind.project for kind in KINDS}
SHARED = "ako.vmware.com/enable-shared-vip"
EXTERNAL_DNS = "external-dns.alpha.kubernetes.io/hostname"
OWN = {"ako.vmware.com/tenant-name": "admin"}


def test_a_service_of_another_type_is_as_before() -> None:
    """No work key, no status and nothing about load balancing, so that a ClusterIP Service makes no more work."""
    projection = PROJECT["Service"](service())
    assert "lb" not in projection.body
    assert (projection.marks, projection.status, projection.index) == ((), None, ())


def test_a_service_with_a_vip_of_its_own() -> None:
    """It marks its key and its status, and is found by namespace, by its EndpointSlices and among all of its kind."""
    projection = PROJECT["Service"](load_balancer())
    member = "lb:red/db Service/red/db"
    assert projection.marks == ("lb:red/db", "status:Service/red/db")
    assert set(projection.index) == {(ref, member) for ref in ("LoadBalancer", "Service/red/db", "Namespace/red")}
    assert projection.touches == ("Service/red/db",)
    assert projection.status == {"ingress": [], "annotations": {}}


def test_a_service_that_shares_a_vip() -> None:
    """Its key is that of the VIP, by which all that share it are found."""
    projection = PROJECT["Service"](load_balancer(annotations={SHARED: "k"}))
    assert projection.marks[0] == "lbshared:red/k"
    assert ("SharedVip/red/k", "lbshared:red/k Service/red/db") in projection.index


@pytest.mark.parametrize("key", ["a b", "a/b", "-", "", "é", "x" * 300])
def test_a_key_that_no_name_can_have_makes_no_work_key(key: str) -> None:
    """A work key has neither blanks nor slashes; the Service keeps its own, which says what is wrong."""
    assert PROJECT["Service"](load_balancer(annotations={SHARED: key})).marks[0] == "lb:red/db"


def test_claimed_names_are_woven_in_from_both_sides() -> None:
    """A claimant is found by the name and by the Service whose automatic name it may be; who names a host wakes it."""
    projection = PROJECT["Service"](load_balancer(annotations={EXTERNAL_DNS: "db.blue.example.com,bad name"}))
    refs = {ref for ref, _ in projection.index}
    assert {"Fqdn/db.blue.example.com", "Service/blue/db"} <= refs
    assert "Fqdn/db.blue.example.com" in projection.touches
    assert "Fqdn/foo.example.com" in PROJECT["Ingress"](ingress()).touches


def test_what_we_write_is_no_part_of_the_body() -> None:
    """Status and annotations of ours change the status part alone."""
    before, written = load_balancer(), load_balancer(annotations=OWN)
    written["status"] = {"loadBalancer": {"ingress": [{"ip": "10.0.0.1", "ipMode": "VIP"}]}}
    after = PROJECT["Service"](written)
    assert after.body == PROJECT["Service"](before).body
    assert after.status == {"ingress": [{"ip": "10.0.0.1"}], "annotations": OWN}


def test_a_service_that_was_of_this_type_keeps_its_status_while_it_bears_our_annotations() -> None:
    """So that both are taken off; nothing else of it concerns anybody."""
    projection = PROJECT["Service"]({**service(), "metadata": {"name": "web", "namespace": "red", "annotations": OWN}})
    assert projection.marks == ("status:Service/red/web",)
    assert projection.status == {"ingress": [], "annotations": OWN}
    assert "lb" not in projection.body


@pytest.mark.parametrize("name", SERVICE_ANNOTATIONS)
def test_every_annotation_that_the_model_reads_is_kept(name: str) -> None:
    """And none else, since it would make work whenever it changes."""
    body = PROJECT["Service"](load_balancer(annotations={name: "x", "example.com/other": "y"})).body
    assert body["lb"]["annotations"] == {name: "x"}


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("", [], []),
        ("A.example.com", ["a.example.com"], []),
        ("a.example.com., a.example.com ,b.example.com", ["a.example.com", "b.example.com"], []),
        ("a_b.example.com,*.example.com", ["*.example.com"], ["a_b.example.com"]),
    ],
)
def test_names_for_external_dns(text: str, good: list[str], bad: list[str]) -> None:
    """Several with commas, in lower case, each once; what is no name is told apart."""
    body: dict[str, Any] = PROJECT["Service"](load_balancer(annotations={EXTERNAL_DNS: text})).body
    assert dns_names(body) == (good, bad)
