"""Certificates made from TLS Secrets.

The body names the certificate by the digest of its PEM text and has no key: neither stands in Redis. Whoever writes
the object fetches both from the Secret at that moment.
"""

from __future__ import annotations

from typing import Any

from workers.model import names
from workers.model.context import Context
from workers.model.markers import marker
from workers.model.rules import usable_certificates
from workers.model.types import AviObject, SecretRef

CERTIFICATE = "sslkeyandcertificate"

_KEYS = {"tls.crt": "tls.key", "alt.crt": "alt.key"}


def certificates_of(
    host: str, tenant: str, secret_id: str, secret: dict[str, Any], context: Context
) -> list[AviObject]:
    """The certificate of `tls.crt` and, when the Secret has a second pair, that of `alt.crt`."""
    namespace, _, secret_name = secret_id.partition("/")
    objects = []
    for crt in usable_certificates(secret):
        formula = names.certificate if crt == "tls.crt" else names.alternate_certificate
        name = formula(context.prefix, host)
        body = {
            "name": name,
            "created_by": context.created_by,
            "tenant_ref": names.tenant_ref(tenant),
            "certificate": {"certificate": secret["certs"][crt]},
            "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE",
            "markers": [context.cluster, marker("Host", host)],
        }
        objects.append(
            AviObject(CERTIFICATE, tenant, name, body, secret=SecretRef(namespace, secret_name, crt, _KEYS[crt]))
        )
    return objects
