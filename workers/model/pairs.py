"""What the pairs of certificate and key in a TLS Secret are good for: which can be used, and what their owner is told.

A pair that can't be read, or whose halves don't belong together, is as good as none: nothing is made of it. `alt.crt`
is judged by itself, so that a bad one leaves `tls.crt` served. A certificate that has expired, is not valid yet or is
for other hosts is served all the same, as AKO does, since some answer is better than none, and the Ingresses that name
the Secret are warned. Texts hold dates and never a number of days: the same state gives the same Event.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from shared.certificates import PAIRS, explain
from workers.model.types import DAY, Problem

SOON = 14 * DAY
"""How long before its end a certificate is spoken of; no more than a quarter of its whole time."""

_SHOWN = 5  # host names of a certificate in a message


class Fault(NamedTuple):
    """Why a Secret gives no certificate: the reason of the Event, and its text without the full stop."""

    reason: str
    text: str


def usable_certificates(secret: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields of a Secret whose certificate can be used with its key: `tls.crt` and, only beside it, `alt.crt`."""
    usable = [crt for crt in PAIRS if crt in secret["certs"] and not secret["certs"][crt]["fault"]]
    return tuple(usable) if "tls.crt" in usable else ()


def secret_fault(name: str, secret: Mapping[str, Any] | None) -> Fault | None:
    """What keeps a Secret from being used, by the name that an Ingress gives it (""); None when nothing does."""
    if not name:
        return Fault("SecretMissing", "The entry of spec.tls names no Secret. Name one with tls.crt and tls.key")
    if secret is None:
        return Fault("SecretMissing", f"The Secret {name} does not exist. Create it with tls.crt and tls.key")
    if usable_certificates(secret):
        return None
    fault = secret["certs"]["tls.crt"]["fault"] if secret["certs"] else "no-certificate"
    reason = "SecretIncomplete" if fault.startswith("no-") else "SecretInvalid"
    return Fault(reason, f"The Secret {name} can't be used: {explain(fault, 'tls.crt', 'tls.key')}")


def certificate_warnings(
    host: str, ingresses: Iterable[Mapping[str, Any]], name: str, secret: Mapping[str, Any], day: int
) -> Iterator[Problem]:
    """What the Ingresses that ask for the Secret should know of it although it is used; `name` is what to call it."""
    texts = list(_warnings(host, name, secret, day))
    for ingress in ingresses:
        yield from (Problem("Ingress", ingress["ns"], ingress["name"], *each) for each in texts)


def _warnings(host: str, name: str, secret: Mapping[str, Any], day: int) -> Iterator[Fault]:
    for crt, key in PAIRS.items():
        pair = secret["certs"].get(crt)
        if pair is None:
            continue
        if pair["fault"]:
            text = f"The second certificate of Secret {name} is left out: {explain(pair['fault'], crt, key)}."
            yield Fault("AlternateInvalid", text)
            continue
        what = f"The certificate in {crt} of Secret {name}"
        yield from _time(what, pair, day)
        if not covers(pair["names"], host):
            text = f"{what} is for {_listed(pair['names'])} and not for {host}, so that clients refuse it."
            yield Fault("HostNotCovered", f"{text} It is served all the same; store one that names the host.")


def _time(what: str, pair: Mapping[str, Any], day: int) -> Iterator[Fault]:
    """A warning of the days on which a certificate is valid; the present day is known, the time of day is not."""
    begin, end = pair["from"], pair["until"]
    if end <= day * DAY:
        text = f"{what} expired at {_date(end)}, so that clients refuse it. It is served all the same; renew it."
        yield Fault("CertificateExpired", text)
    elif end - min(SOON, (end - begin) // 4) <= day * DAY:
        yield Fault("CertificateExpires", f"{what} expires at {_date(end)}. Renew it before.")
    elif begin >= (day + 1) * DAY:
        text = f"{what} is not valid before {_date(begin)}, so that clients refuse it. It is served all the same."
        yield Fault("CertificateNotYetValid", text)


def covers(names: list[str] | None, host: str) -> bool:
    """Whether a certificate for these names is good for the host; yes when they are not known.

    A name `*.example.com` stands for one label in the place of the star (RFC 6125). A host `*.example.com` has many
    names, all of which only that very name covers.
    """
    _, dot, rest = host.partition(".")
    return names is None or host in names or (bool(dot) and f"*.{rest}" in names)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "no host name at all"


def _date(seconds: int) -> str:
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d %H:%M} UTC"
