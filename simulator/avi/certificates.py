"""What the controller does with the two texts of a certificate: it reads them, and never shows the key again."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from simulator.avi.errors import ApiError

MASKED = "<sensitive>"
SECRETS = ("key", "key_passphrase")


def settle_certificate(new: dict[str, Any], old: dict[str, Any]) -> None:
    """Refuses what can't be read and a key of another certificate.

    A key goes in and never comes out again: it is not even kept. A PUT that leaves it out does not take it away.
    """
    try:
        certificate = x509.load_pem_x509_certificates(new["certificate"].get("certificate", "").encode())[0]
    except ValueError:
        raise ApiError(400, "certificate.certificate: this is not a certificate in PEM form") from None
    key = new.get("key", MASKED)
    if key != MASKED:
        try:
            phrase = new.get("key_passphrase")
            private = load_pem_private_key(key.encode(), phrase.encode() if phrase else None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ApiError(400, "key: this is not a private key in PEM form") from None
        if private.public_key() != certificate.public_key():
            raise ApiError(400, "key: the private key does not belong to the certificate")
    for name in SECRETS:
        if name in new or name in old:
            new[name] = MASKED
