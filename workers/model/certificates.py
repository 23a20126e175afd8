"""Certificates made from TLS Secrets: a host's own, and those of the default Secret, which many hosts share.

The body names the certificate by the digest of its PEM text and has no key: neither stands in Redis. Whoever writes
the object fetches both from the Secret at that moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.certificates import PAIRS
from shared.projection import tls_by_default
from shared.settings.model import Settings
from workers.model import names
from workers.model.accept import acceptance, tenant_of
from workers.model.context import Context, context_for
from workers.model.markers import marker
from workers.model.pairs import usable_certificates
from workers.model.rules import Served
from workers.model.types import AviObject, CertificateSnapshot, Desired, Facts, SecretRef

CERTIFICATE = "sslkeyandcertificate"


def certificates_of(
    host: str, served: Served, secrets: Mapping[str, dict[str, Any]], context: Context
) -> list[AviObject]:
    """The certificates that the host's own Secret gives: of `tls.crt` and, with a second pair, of `alt.crt`."""
    if not served.certified or served.by_default:
        return []
    named = _named(context.layout.certificates(host), secrets[served.secret])
    markers = [context.cluster, marker("Host", host)]
    return [
        _certificate(name, served.tenant, served.secret, secrets[served.secret], crt, markers, context)
        for crt, name in named.items()
    ]


def certificates_listed(
    served: Served, host: str, secrets: Mapping[str, dict[str, Any]], context: Context
) -> list[str]:
    """The names of the certificates that a host wants to be served with: its own ones, or those that many share."""
    if not served.certified:
        return []
    layout = context.layout
    made = layout.default_certificates() if served.by_default else layout.certificates(host)
    return list(_named(made, secrets[served.secret]).values())


def desired_default_certificates(snapshot: CertificateSnapshot, settings: Settings, facts: Facts) -> Desired:
    """The certificates of the default Secret, in each tenant with an Ingress that asks for them.

    For an Ingress that this release can't serve those that stand are kept.
    """
    context = context_for(settings, facts)
    named = _named(context.layout.default_certificates(), snapshot.secret) if snapshot.secret else {}
    served: dict[str, bool] = {}  # by tenant: whether one of its Ingresses is served
    for ingress in snapshot.ingresses:
        accepted = acceptance(ingress, snapshot.namespaces, snapshot.classes, context)
        if accepted.ours and tls_by_default(ingress):
            tenant = tenant_of(ingress["ns"], snapshot.namespaces, context)
            served[tenant] = served.get(tenant, False) or not accepted.unserved
    secret = snapshot.secret or {}
    made = [
        _certificate(name, tenant, context.default_secret, secret, crt, [context.cluster], context)
        for tenant in sorted(served)
        for crt, name in named.items()
    ]
    return Desired(tuple(each for each in made if served[each.tenant] or each.id in snapshot.standing))


def _certificate(
    name: str,
    tenant: str,
    secret_id: str,
    secret: dict[str, Any],
    crt: str,
    markers: list[dict[str, Any]],
    context: Context,
) -> AviObject:
    namespace, _, secret_name = secret_id.partition("/")
    body = {
        "name": name,
        "created_by": context.created_by,
        "tenant_ref": names.tenant_ref(tenant),
        "certificate": {"certificate": secret["certs"][crt]["digest"]},
        "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE",
        "markers": markers,
    }
    return AviObject(CERTIFICATE, tenant, name, body, secret=SecretRef(namespace, secret_name, crt, PAIRS[crt]))


def _named(names_: Mapping[str, str], secret: dict[str, Any]) -> dict[str, str]:
    """Of the names, by the field of the Secret, those of the fields that can be used."""
    return {crt: names_[crt] for crt in usable_certificates(secret)}
