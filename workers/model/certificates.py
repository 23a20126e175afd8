"""Certificates made from TLS Secrets.

The body names the certificate by the digest of its PEM text and has no key: neither stands in Redis. Whoever writes
the object fetches both from the Secret at that moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.certificates import PAIRS
from workers.model import names
from workers.model.context import Context
from workers.model.markers import marker
from workers.model.pairs import usable_certificates
from workers.model.rules import Served
from workers.model.types import AviObject, SecretRef

CERTIFICATE = "sslkeyandcertificate"


def certificates_of(
    host: str, tenant: str, secret_id: str, secret: dict[str, Any], context: Context
) -> list[AviObject]:
    """The certificate of `tls.crt` and, when the Secret has a second pair, that of `alt.crt`."""
    namespace, _, secret_name = secret_id.partition("/")
    objects = []
    for crt, name in _names(host, secret, context).items():
        body = {
            "name": name,
            "created_by": context.created_by,
            "tenant_ref": names.tenant_ref(tenant),
            "certificate": {"certificate": secret["certs"][crt]["digest"]},
            "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE",
            "markers": [context.cluster, marker("Host", host)],
        }
        objects.append(
            AviObject(CERTIFICATE, tenant, name, body, secret=SecretRef(namespace, secret_name, crt, PAIRS[crt]))
        )
    return objects


def certificates_listed(
    served: Served, host: str, secrets: Mapping[str, dict[str, Any]], context: Context
) -> list[str]:
    """The names of the certificates that a host wants to be served with."""
    return list(_names(host, secrets[served.secret], context).values()) if served.certified else []


def _names(host: str, secret: dict[str, Any], context: Context) -> dict[str, str]:
    """The names of the certificates that a Secret gives a host, by the field of the Secret that holds each."""
    layout = context.layout
    made = {"tls.crt": layout.certificate(host), "alt.crt": layout.alternate_certificate(host)}
    return {crt: made[crt] for crt in usable_certificates(secret)}
