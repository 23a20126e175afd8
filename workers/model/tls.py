"""Which Secret a host has its certificate from, and which certificates that gives.

An Ingress asks for a Secret by `spec.tls`, or for the default one by its annotation. Of the Secrets that the Ingresses
of a host ask for the oldest usable one counts. Where none can be used but one is there, edited badly perhaps, the host
keeps the certificates that it has: they are as good as they were. A Secret that is gone is another matter, since that
is how a certificate is taken away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from shared.projection import tls_by_default
from workers.model.accept import Projections
from workers.model.context import Context
from workers.model.pairs import secret_fault, usable_certificates
from workers.model.served import Served
from workers.model.types import ObjectId, Problem, object_id


def secret_asked_for(ingress: dict[str, Any], host: str, context: Context) -> str:
    """The Secret (`ns/name`, without a name where `spec.tls` has none) of an Ingress for a host; "" without TLS."""
    if tls_by_default(ingress):
        return context.default_secret
    named = [f"{ingress['ns']}/{entry['secret']}" for entry in ingress["tls"] if host in entry["hosts"]]
    return named[0] if named else ""


def choose_secret(
    served: Served,
    ingress: dict[str, Any],
    host: str,
    id_: str,
    secrets: Projections,
    standing: Collection[ObjectId],
    context: Context,
) -> Iterator[Problem]:
    """Keeps the first usable Secret; says what is wrong with the one asked for here, or that another one is used."""
    by_default = tls_by_default(ingress)
    name = id_ if by_default else id_.partition("/")[2]
    fault = secret_fault(name, secrets.get(id_))
    if fault is not None:
        stands = _standing_certificates(served.tenant, host, by_default, standing, context)
        keeps = bool(stands) and id_ in secrets
        served.stale = served.stale or ((id_, by_default) if keeps else None)
        meanwhile = (
            f"{host} keeps the certificate that it has" if keeps else f"this Ingress has no certificate for {host}"
        )
        text = f"{fault.text}. Until then {meanwhile}."
        yield Problem("Ingress", ingress["ns"], ingress["name"], fault.reason, text)
    elif not served.secret:
        served.secret, served.by_default = id_, by_default
    elif (served.secret, served.by_default) != (id_, by_default):
        text = f"{host} has the certificate of Secret {served.secret}, as an older Ingress asks; {id_} is not used."
        yield Problem("Ingress", ingress["ns"], ingress["name"], "SecretNotUsed", text)


def settle_certificates(
    served: Served, host: str, secrets: Projections, standing: Collection[ObjectId], context: Context
) -> None:
    """Settles which certificates the host has: of the Secret that can be used, else those that stand."""
    if not served.secret and served.stale:
        served.secret, served.by_default = served.stale
        served.kept = True
    if served.kept:
        served.certificates = _standing_certificates(served.tenant, host, served.by_default, standing, context)
    elif served.secret:
        made = _certificate_names(host, served.by_default, context)
        served.certificates = {crt: made[crt] for crt in usable_certificates(secrets[served.secret])}


def _certificate_names(host: str, by_default: bool, context: Context) -> dict[str, str]:
    return context.layout.default_certificates() if by_default else context.layout.certificates(host)


def _standing_certificates(
    tenant: str, host: str, by_default: bool, standing: Collection[ObjectId], context: Context
) -> dict[str, str]:
    made = _certificate_names(host, by_default, context)
    return {crt: name for crt, name in made.items() if object_id("sslkeyandcertificate", tenant, name) in standing}
