"""Certificates and keys for tests, made when they are first asked for; none of them is worth anything."""

from __future__ import annotations

import base64
import datetime
import functools

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

FROM, UNTIL = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC), datetime.datetime(2125, 1, 1, tzinfo=datetime.UTC)
DAY = datetime.date(2027, 6, 1).toordinal() - datetime.date(1970, 1, 1).toordinal()
"""A day on which they are valid, counted from the epoch."""

EVERY_HOST = ("*.example.com", "example.com", "*.a.example.com", "*.avi.internal")


def certificate(
    key: CertificateIssuerPrivateKeyTypes,
    *names: str,
    common: str = "test",
    begin: datetime.datetime = FROM,
    end: datetime.datetime = UNTIL,
) -> str:
    """A self-signed certificate with these alternative names (none at all without any), in PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])
    number = x509.random_serial_number()
    made = x509.CertificateBuilder(subject, subject, key.public_key(), number, begin, end)
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        made = made.add_extension(alternative, critical=False)
    signed_with = None if "ed25519" in type(key).__name__.lower() else hashes.SHA256()
    return made.sign(key, signed_with).public_bytes(Encoding.PEM).decode()


def private(key: CertificateIssuerPrivateKeyTypes) -> str:
    """A key in PEM (PKCS#8)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@functools.cache
def pair(number: int = 0) -> tuple[str, str]:
    """(certificate, key) good for every host that tests use; another number, another pair."""
    key = ec.generate_private_key(ec.SECP256R1())
    return certificate(key, *EVERY_HOST, common=f"test {number}"), private(key)


def data(crt: str, key: str, field: str = "tls") -> dict[str, str]:
    """The two fields of a Secret: `tls.crt` and `tls.key`, or those of another `field`."""
    return {f"{field}.{end}": base64.b64encode(text.encode()).decode() for end, text in (("crt", crt), ("key", key))}


def two() -> dict[str, str]:
    """The fields of a Secret with an alternate pair."""
    return {**data(*pair()), **data(*pair(1), field="alt")}
