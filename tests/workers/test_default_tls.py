"""The certificate of the default Secret over a real Redis and a controller: made, renewed and taken away in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench import world as cluster
from tests.workers.site import Site, site

FORMS: list[dict[str, str]] = [{}, {"ENABLE_EVH": "true"}, {"SHARD_VS_SIZE": "DEDICATED"}]


@pytest.fixture(params=FORMS)
def here(redis_url: str, request: pytest.FixtureRequest) -> Iterator[Site]:
    """Two plain hosts that ask for TLS by annotation."""
    with site(redis_url, **request.param) as made:
        made.apply(*asking(1), *asking(3))
        made.settle()
        yield made


def asking(number: int, namespace: str = cluster.NAMESPACE) -> list[dict[str, Any]]:
    found = cluster.objects_of(number)
    for each in found:
        each["metadata"]["namespace"] = namespace
    found[-1]["metadata"]["annotations"] = {"ako.vmware.com/enable-tls": "true"}
    return found


def default_secret() -> dict[str, Any]:
    (found,) = [each for each in cluster.base() if each["kind"] == "Secret"]
    found["metadata"] = {"name": "router-certs-default", "namespace": "avi-system"}
    return found


def names(here: Site, type_: str, tenant: str = "*") -> list[str]:
    return [obj["name"] for page in here.avi.pages(type_, tenant=tenant) for obj in page.objects if ours(obj)]


def ours(obj: dict[str, Any]) -> bool:
    return obj["name"].startswith("bench--")


def secured(here: Site) -> int:
    """How many virtual services name a certificate of ours."""
    found = [obj for page in here.avi.pages("virtualservice", tenant="*") for obj in page.objects]
    return len(
        [each for each in found if any("bench--" in ref for ref in each.get("ssl_key_and_certificate_refs", []))]
    )


def test_it_comes_with_the_secret_and_goes_with_the_last_who_asks(here: Site) -> None:
    """No TLS before the Secret is there; one certificate then, for both hosts; none when nobody asks any more."""
    assert names(here, "sslkeyandcertificate") == []
    here.apply(default_secret())
    here.settle()
    assert len(names(here, "sslkeyandcertificate")) == 1
    assert secured(here) > 0
    here.mark(["resync"])
    here.simulator.audit.clear()
    here.settle()
    assert here.writes() == []
    here.delete("Ingress", f"{cluster.NAMESPACE}/i00001")
    here.settle()
    assert len(names(here, "sslkeyandcertificate")) == 1
    here.delete("Ingress", f"{cluster.NAMESPACE}/i00003")
    here.settle()
    assert names(here, "sslkeyandcertificate") == []


def test_it_goes_with_the_secret(here: Site) -> None:
    """The hosts let go of it first, since the controller refuses to delete what is in use."""
    here.apply(default_secret())
    here.settle()
    here.delete("Secret", "avi-system/router-certs-default")
    here.settle()
    assert names(here, "sslkeyandcertificate") == []
    assert secured(here) == 0


def test_a_namespace_that_changes_its_tenant_has_it_there(here: Site) -> None:
    """The new tenant's certificate is made before its virtual services, and the old one goes when nobody uses it."""
    here.avi.create("tenant", {"name": "blue", "local": True}, tenant="admin")
    here.apply(default_secret())
    here.settle()
    annotations = {"ako.vmware.com/tenant-name": "blue"}
    here.apply({"kind": "Namespace", "metadata": {"name": cluster.NAMESPACE, "annotations": annotations}})
    here.settle()
    assert len(names(here, "sslkeyandcertificate", "blue")) == 1
    assert names(here, "sslkeyandcertificate", "admin") == []


def test_another_class_takes_it_away(here: Site) -> None:
    """Ingresses that move to another controller's class ask for nothing any more."""
    here.apply(default_secret())
    here.settle()
    here.apply({"kind": "IngressClass", "metadata": {"name": "avi-lb"}, "spec": {"controller": "example.com/other"}})
    here.settle()
    assert names(here, "sslkeyandcertificate") == []
