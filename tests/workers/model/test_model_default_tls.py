"""Ingresses that ask for TLS by annotation: the default Secret's certificates are one key's, and many hosts' to use."""

from __future__ import annotations

from typing import Any

import pytest

from shared.settings.model import ShardSize
from tests import pems
from tests.workers.model.test_model_hosts import ids, reasons, world
from tests.workers.model.test_model_layout import CHOICES
from tests.workers.model.world import INFRA_CLASS, World, ingress, secret
from workers.model.owners import owner_of
from workers.model.types import Desired

HOST = "foo.example.com"
ANNOTATION = {"ako.vmware.com/enable-tls": "True"}
KEY = "certificate:default"
NAME = "c1--router-certs-default"
CERTIFICATE = f"sslkeyandcertificate/admin/{NAME}"


def default_secret(**data: str) -> dict[str, Any]:
    return secret("router-certs-default", namespace="avi-system", **data)


def asking(name: str = "ing1", **more: Any) -> dict[str, Any]:
    return ingress(name, annotations=ANNOTATION, **more)


def service_of(desired: Desired) -> dict[str, Any]:
    (found,) = [each.body for each in desired.objects if each.type == "virtualservice"]
    return found


@pytest.mark.parametrize("changes", CHOICES)
def test_many_hosts_share_one_certificate(changes: dict[str, Any]) -> None:
    """In every form there is one certificate in the tenant, with the cluster's marker alone, and no host owns it."""
    made = world(default_secret(), asking(), asking("two", host="two.example.com"), **changes)
    objects, _, _ = made.everything()
    certificates = [each for each in objects if each.type == "sslkeyandcertificate"]
    assert [each.tenant for each in certificates] == ["admin"]
    (body,) = [each.body for each in certificates]
    assert body["markers"] == [{"key": "clustername", "values": ["c1"]}]
    assert owner_of("sslkeyandcertificate", body, made.settings) == KEY
    named = {ref for each in objects for ref in each.body.get("ssl_key_and_certificate_refs", ())}
    assert named == {f"/api/sslkeyandcertificate/?name={body['name']}"}
    redirects = [each for each in objects if "redirect_action" in str(each.body.get("http_request_policy"))]
    assert redirects


def test_the_plain_name_is_ako_s() -> None:
    """SNI names the certificate plainly, and hashes it with EVH; the second pair of the Secret has its own."""
    both = default_secret(**pems.two())
    assert ids(world(both, asking()).certificates()) == [CERTIFICATE, f"{CERTIFICATE}-alt"]
    names = [each.name for each in world(both, asking(), evh=True).certificates().objects]
    assert names == ["c1--fbbc607158cd51d4498c7949a4a759414f34f822", "c1--8fe5806d01c10e80b6a58048500f30056ffb81e7"]


@pytest.mark.parametrize("changes", [{}, {"shard_size": ShardSize.DEDICATED}])
def test_the_virtual_service_waits_for_it(changes: dict[str, Any]) -> None:
    """What refers to another key's certificate names that key, so that it can be called."""
    made = world(default_secret(), asking(), **changes)
    (service,) = [each for each in made.host(HOST).objects if each.type == "virtualservice"]
    assert service.requires[CERTIFICATE] == KEY


def test_it_comes_before_spec_tls_and_after_passthrough() -> None:
    """As AKO reads them: the annotation hides spec.tls, and TLS that is passed through needs no certificate."""
    made = world(default_secret(), secret(), asking(tls="foo-tls"))
    assert service_of(made.host(HOST))["ssl_key_and_certificate_refs"] == [f"/api/sslkeyandcertificate/?name={NAME}"]
    through = ingress(annotations={**ANNOTATION, "passthrough.ako.vmware.com/enabled": "true"})
    made = world(default_secret(), through)
    assert made.certificates().objects == ()
    assert made.host(HOST).shards == ("shard:admin/c1--Shared-Passthrough-0",)


def test_a_younger_ingress_with_a_secret_of_its_own_is_told() -> None:
    """One host has one certificate: that of the older one."""
    younger = ingress("two", tls="foo-tls", paths=["/two"], created="2026-02-01T00:00:00Z")
    desired = world(default_secret(), secret(), asking(), younger).host(HOST)
    assert service_of(desired)["ssl_key_and_certificate_refs"] == [f"/api/sslkeyandcertificate/?name={NAME}"]
    assert reasons(desired) == ["SecretNotUsed"]


def test_without_the_secret_nothing_is_served_without_tls() -> None:
    """The host waits for its certificate, as with a Secret of its own, and the Event says where it is looked for."""
    made = world(asking())
    assert made.certificates().objects == ()
    desired = made.host(HOST)
    assert desired.objects == ()
    assert reasons(desired) == ["SecretMissing"]
    assert "avi-system/router-certs-default" in desired.problems[0].message


def test_each_tenant_has_its_own() -> None:
    """A certificate can't be used across tenants; a tenant without such an Ingress has none."""
    blue = {"kind": "Namespace", "metadata": {"name": "blue", "annotations": {"ako.vmware.com/tenant-name": "b"}}}
    made = world(blue, default_secret(), asking(), asking("other", namespace="blue", host="b.example.com"))
    assert {each.tenant for each in made.certificates().objects} == {"admin", "b"}
    made = world(blue, default_secret(), asking("other", namespace="blue", host="b.example.com"))
    assert {each.tenant for each in made.certificates().objects} == {"b"}


def test_what_is_not_ours_asks_for_nothing_and_what_is_frozen_keeps_it() -> None:
    """Another class makes no certificate; an Ingress that can't be served yet keeps the one that stands."""
    made = world(default_secret(), asking(ingressClassName="nginx"))
    assert made.certificates().objects == ()
    frozen: World = world(INFRA_CLASS, default_secret(), asking(ingressClassName="gold"))
    assert frozen.certificates().objects == ()
    frozen.standing = {CERTIFICATE}
    assert ids(frozen.certificates()) == [CERTIFICATE]
