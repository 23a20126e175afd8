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
from workers.model.served import Served
from workers.model.types import AviObject, CertificateSnapshot, Desired, Facts, SecretRef

CERTIFICATE = "sslkeyandcertificate"


def certificates_of(
    host: str, served: Served, secrets: Mapping[str, dict[str, Any]], context: Context
) -> list[AviObject]:
    """The certificates that the host's own Secret gives: of `tls.crt` and, with a second pair, of `alt.crt`."""
    if not served.certified or served.by_default:
        return []
    if served.kept:
        return [kept(served.tenant, name) for name in served.certificates.values()]
    markers = [context.cluster, marker("Host", host)]
    return [
        _certificate(name, served.tenant, served.secret, secrets[served.secret], crt, markers, context)
        for crt, name in served.certificates.items()
    ]


def certificates_listed(served: Served) -> list[str]:
    """The names of the certificates that a host wants to be served with: its own ones, or those that many share."""
    return list(served.certificates.values()) if served.certified else []


def kept(tenant: str, name: str) -> AviObject:
    """A certificate that stays as it is, since the Secret behind it can't be used at present."""
    return AviObject(CERTIFICATE, tenant, name, {"name": name}, kept=True)


def desired_default_certificates(snapshot: CertificateSnapshot, settings: Settings, facts: Facts) -> Desired:
    """The certificates of the default Secret, in each tenant with an Ingress that asks for them.

    For an Ingress that this release can't serve those that stand are kept.
    """
    context = context_for(settings, facts)
    made: list[AviObject] = []
    for tenant, serving in sorted(_tenants(snapshot, context).items()):
        objects = _default_certificates(tenant, snapshot, context)
        made += [each for each in objects if serving or each.id in snapshot.standing]
    return Desired(tuple(made))


def _tenants(snapshot: CertificateSnapshot, context: Context) -> dict[str, bool]:
    """The tenants of the Ingresses that ask for the default certificate, and whether any of theirs is served."""
    found: dict[str, bool] = {}
    for ingress in snapshot.ingresses:
        accepted = acceptance(ingress, snapshot.namespaces, snapshot.classes, context)
        if accepted.ours and tls_by_default(ingress):
            tenant = tenant_of(ingress["ns"], snapshot.namespaces, context)
            found[tenant] = found.get(tenant, False) or not accepted.unserved
    return found


def _default_certificates(tenant: str, snapshot: CertificateSnapshot, context: Context) -> list[AviObject]:
    """Those that the default Secret gives; where it is there and can't be used, those that stand."""
    names_, secret = context.layout.default_certificates(), snapshot.secret
    if secret is None:
        return []
    if not (usable := usable_certificates(secret)):
        return [each for name in names_.values() if (each := kept(tenant, name)).id in snapshot.standing]
    return [
        _certificate(names_[crt], tenant, context.default_secret, secret, crt, [context.cluster], context)
        for crt in usable
    ]


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
