"""Looks at a certificate and its key before anything is made of them, and says what was found, without either.

A TLS Secret is written by people and by programs, and nothing between them and us checks what is in it: an API server
takes any bytes. Here the two PEM texts of a pair are parsed and held against each other, where they are first seen and
once more where they are sent, so that the controller never gets what it would refuse. What comes out is small, holds
nothing of the key, and can stand in Redis.

What makes a pair unusable is a *fault*, a word of `FAULTS`; `explain` puts it into a sentence. A certificate that has
expired or that is for another host is no fault: it can be served, and whoever decides knows the day and the host.

It never raises, whatever the bytes: a parser that gives up has judged its input. The parsers' own words are dropped,
since they may quote the key. Not looked at: who signed whom in the chain, whether a certificate is revoked, and which
algorithms the controller supports.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPrivateNumbers
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

PAIRS: Final = {"tls.crt": "tls.key", "alt.crt": "alt.key"}
"""The fields of a TLS Secret with a certificate, and those with its key."""

MAX_BYTES: Final = 131_072
"""The longest certificate chain or key that is looked at; a chain of five certificates has about 10,000 bytes."""

MAX_NAMES: Final = 200
"""The most host names that are kept of a certificate."""

FAULTS: Final = {
    "no-certificate": "{crt} has no content. Store the certificate there, in PEM form",
    "no-key": "{key} has no content. Store the private key of the certificate there, in PEM form",
    "large": f"{{crt}} or {{key}} has more than {MAX_BYTES} bytes. Store only the certificate, its chain and its key",
    "certificate": "{crt} can't be read as certificates in PEM form. Store that of the host there, then its chain",
    "key": "{key} can't be read as a private key in PEM form. Store the private key of the certificate there",
    "encrypted": "{key} is encrypted. Store the private key without a passphrase (`openssl pkey` takes it away)",
    "other-key": "{key} does not belong to the first certificate of {crt}. Store the two that belong together",
}
"""What can be wrong with a pair, in words; `{crt}` and `{key}` are the fields of the Secret."""


class _Faulty(Exception):
    """`args[0]` is a word of FAULTS."""


def look(chain: bytes, key: bytes) -> dict[str, Any]:
    """What a certificate chain and its key are, as JSON-able values.

    `{"fault": <a word of FAULTS>}` for a pair that can't be used. Else `fault` is "", `digest` the one by which chains
    are compared, `names` the host names of the first certificate in lower case (None: more than can be kept, or not
    readable), `from` and `until` the seconds since the epoch between which it is valid.
    """
    if len(chain) > MAX_BYTES or len(key) > MAX_BYTES:
        return {"fault": "large"}
    try:
        leaf, public = _certificate(chain)
        begin, end = _span(leaf)
        own = _public_key(key)
    except _Faulty as fault:
        return {"fault": fault.args[0]}
    if own != public:
        return {"fault": "other-key"}
    return {"fault": "", "digest": pem_digest(chain.decode()), "names": _names(leaf), "from": begin, "until": end}


def pem_digest(text: str) -> str:
    """The digest by which certificates are compared: `sha256:<hex>` of the PEM text without surrounding blanks."""
    return "sha256:" + hashlib.sha256(text.strip().encode()).hexdigest()


def explain(fault: str, crt: str, key: str) -> str:
    """A fault as a sentence without its full stop: what is wrong with the fields `crt` and `key`, and what to do."""
    return FAULTS[fault].format(crt=crt, key=key)


def _certificate(chain: bytes) -> tuple[x509.Certificate, CertificatePublicKeyTypes]:
    """The first certificate of a chain, all of which must be readable, and its public key."""
    if not chain.strip():
        raise _Faulty("no-certificate")
    try:
        chain.decode()  # it travels as JSON text
        leaf = x509.load_pem_x509_certificates(chain)[0]
        return leaf, leaf.public_key()
    except Exception:  # noqa: BLE001 - see the module's docstring
        raise _Faulty("certificate") from None


def _public_key(key: bytes) -> object:
    """The public half of a private key that is whole."""
    if not key.strip():
        raise _Faulty("no-key")
    try:
        key.decode()
        private = load_pem_private_key(key, password=None, unsafe_skip_rsa_key_validation=True)
        public, whole = private.public_key(), _whole(private)
    except TypeError:  # "Password was not given but private key is encrypted"
        raise _Faulty("encrypted") from None
    except Exception:  # noqa: BLE001 - see the module's docstring
        raise _Faulty("key") from None
    if not whole:
        raise _Faulty("key")
    return public


def _whole(private: PrivateKeyTypes) -> bool:
    """Whether the parts of a key fit each other. Only those of RSA can differ by now.

    The parser's own check of an RSA key looks for primes, which takes 30 ms (2,048 bits) to 200 ms (4,096 bits). It
    adds nothing to the sums below: whoever can split the modulus of a certificate into factors has its key.
    """
    if not isinstance(private, RSAPrivateKey):
        return True
    numbers: RSAPrivateNumbers = private.private_numbers()
    p, q, d = numbers.p, numbers.q, numbers.d
    if min(p, q) < 3 or p * q != numbers.public_numbers.n:
        return False
    exponents = all(numbers.public_numbers.e * d % (prime - 1) == 1 for prime in (p, q))
    return exponents and (numbers.dmp1, numbers.dmq1, numbers.iqmp * q % p) == (d % (p - 1), d % (q - 1), 1)


def _span(leaf: x509.Certificate) -> tuple[int, int]:
    """The first and the last second in which a certificate is valid, since the epoch."""
    try:
        return int(leaf.not_valid_before_utc.timestamp()), int(leaf.not_valid_after_utc.timestamp())
    except Exception:  # noqa: BLE001 - see the module's docstring
        raise _Faulty("certificate") from None


def _names(leaf: x509.Certificate) -> list[str] | None:
    """The host names that a certificate is for, sorted; see `look`."""
    try:
        names = {text.lower() for text in _said(leaf) if len(text) <= 253 and text.isprintable()}
    except Exception:  # noqa: BLE001 - the extensions are read only now; the certificate itself is good
        return None
    return sorted(names) if len(names) <= MAX_NAMES else None


def _said(leaf: x509.Certificate) -> list[str]:
    """The names as they stand there; the common name counts only without subject alternative names."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [str(each.value) for each in leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    return names.get_values_for_type(x509.DNSName)
