"""What is found out about a certificate and its key, whatever the bytes, and that nothing of the key comes out."""

from __future__ import annotations

import base64
import datetime
import itertools
import json
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from shared.certificates import FAULTS, MAX_BYTES, MAX_NAMES, explain, look, pem_digest
from tests import pems

EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
ED = ed25519.Ed25519PrivateKey.generate()
FORMS = {"pkcs8": PrivateFormat.PKCS8, "traditional": PrivateFormat.TraditionalOpenSSL}
KEYS = {"rsa": RSA, "ec": EC, "ed25519": ED}
PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
CERTIFICATES = {name: pems.certificate(key, "A.example.com", "b.example.com") for name, key in KEYS.items()}
CRT, KEY = CERTIFICATES["ec"], pems.private(EC)
OTHER_CRT, OTHER_KEY = pems.pair()
FROM, UNTIL = int(pems.FROM.timestamp()), int(pems.UNTIL.timestamp())


def fault(crt: str | bytes, key: str | bytes) -> str:
    found = look(*(text.encode() if isinstance(text, str) else text for text in (crt, key)))
    return str(found["fault"])


def in_form(key: object, form: PrivateFormat, word: bytes | None = None) -> str:
    encryption = BestAvailableEncryption(word) if word else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, encryption).decode()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize(
    ("name", "form"),
    [("rsa", "pkcs8"), ("rsa", "traditional"), ("ec", "pkcs8"), ("ec", "traditional"), ("ed25519", "pkcs8")],
)
def test_a_good_pair_is_seen_for_what_it_is(name: str, form: str) -> None:
    """RSA, EC and Ed25519 keys in PKCS#8, PKCS#1 and SEC1 are read; names are in lower case, times since the epoch."""
    crt = CERTIFICATES[name]
    assert look(crt.encode(), in_form(KEYS[name], FORMS[form]).encode()) == {
        "fault": "",
        "digest": pem_digest(crt),
        "names": ["a.example.com", "b.example.com"],
        "from": FROM,
        "until": UNTIL,
    }


@pytest.mark.parametrize(
    ("crt", "key"),
    [
        (CRT + OTHER_CRT, KEY),
        (CRT.replace("\n", "\r\n"), KEY.replace("\n", "\r\n")),
        (f"\n\n {CRT}\n\n", f" \n{KEY}\n "),
        (f"subject=CN = test\n{CRT}issuer=\n{OTHER_CRT}", f"Bag Attributes\n  friendlyName: \u00fc\n{KEY}"),
        (CRT, PARAMETERS + in_form(EC, FORMS["traditional"])),
        (CRT, KEY + OTHER_KEY),
    ],
    ids=["chain", "crlf", "blanks", "text around", "ec parameters", "two keys"],
)
def test_what_programs_make_of_pem_is_read(crt: str, key: str) -> None:
    """A chain, line ends of Windows, blanks, comments of openssl and its EC PARAMETERS are no fault."""
    found = look(crt.encode(), key.encode())
    assert found["fault"] == ""
    assert found["names"] == ["a.example.com", "b.example.com"]
    assert found["digest"] == pem_digest(f"  {crt}\n")


def broken(pem: str) -> str:
    """The text with another letter in the middle of its base64."""
    middle = len(pem) // 2
    return pem[:middle] + ("A" if pem[middle] != "A" else "B") * 4 + pem[middle + 4 :]


@pytest.mark.parametrize(
    ("crt", "key", "expected"),
    [
        ("", KEY, "no-certificate"),
        (" \n ", KEY, "no-certificate"),
        (CRT, "", "no-key"),
        (CRT, "\n", "no-key"),
        ("", "", "no-certificate"),
        ("garbage", KEY, "certificate"),
        (KEY, KEY, "certificate"),
        (CRT[:200], KEY, "certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", KEY, "certificate"),
        (CRT + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", KEY, "certificate"),
        (CRT.encode() + b"\xff", KEY, "certificate"),
        (CRT, "garbage", "key"),
        (CRT, CRT, "key"),
        (CRT, KEY[:100], "key"),
        (CRT, KEY.encode() + b"\xff", "key"),
        (CERTIFICATES["rsa"], broken(in_form(RSA, FORMS["traditional"])), "key"),
        (CRT, in_form(EC, PrivateFormat.OpenSSH), "key"),
        (CRT, in_form(EC, FORMS["pkcs8"], b"word"), "encrypted"),
        (CERTIFICATES["rsa"], in_form(RSA, FORMS["traditional"], b"word"), "encrypted"),
        (CRT, OTHER_KEY, "other-key"),
        (CRT, pems.private(RSA), "other-key"),
        (OTHER_CRT + CRT, KEY, "other-key"),
        (CRT + " " * MAX_BYTES, KEY, "large"),
        (CRT, KEY + " " * MAX_BYTES, "large"),
    ],
    ids=itertools.count(),  # a key in the name of a test would make it another test each time
)
def test_what_is_wrong_is_told_apart(crt: str | bytes, key: str | bytes, expected: str) -> None:
    """Each fault of a pair has its word, and nothing else is said of such a pair."""
    assert fault(crt, key) == expected
    texts = [text.encode() if isinstance(text, str) else text for text in (crt, key)]
    assert look(*texts) == {"fault": expected}


def pkcs1(*numbers: int) -> str:
    """An RSA key of these numbers, whatever they are; the library itself would not write a wrong one."""

    def der(tag: int, body: bytes) -> bytes:
        size = len(body)
        long = size.to_bytes((size.bit_length() + 7) // 8, "big")
        return bytes([tag, size] if size < 128 else [tag, 128 + len(long), *long]) + body

    parts = b"".join(der(2, number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in (0, *numbers))
    text = base64.b64encode(der(0x30, parts)).decode()
    return f"-----BEGIN RSA PRIVATE KEY-----\n{text}\n-----END RSA PRIVATE KEY-----\n"


NUMBERS = RSA.private_numbers()
PARTS = {
    "n": NUMBERS.public_numbers.n,
    "e": NUMBERS.public_numbers.e,
    **{name: getattr(NUMBERS, name) for name in ("d", "p", "q", "dmp1", "dmq1", "iqmp")},
}


@pytest.mark.parametrize("field", ["", "d", "p", "q", "dmp1", "dmq1", "iqmp"])
@pytest.mark.parametrize("change", [2, -2, None])
def test_an_rsa_key_whose_parts_do_not_fit_is_no_key(field: str, change: int | None) -> None:
    """A key with one number changed, or 1, has the certificate's modulus and would still sign nothing."""
    parts = dict(PARTS)
    if field:
        parts[field] = 1 if change is None else parts[field] + change
    assert fault(CERTIFICATES["rsa"], pkcs1(*parts.values())) == ("key" if field else "")


@pytest.mark.parametrize("word", FAULTS)
def test_every_fault_says_where_it_is_and_what_to_do(word: str) -> None:
    """The sentence names a field of the Secret that it is about, and begins a second sentence with what to do."""
    text = explain(word, "alt.crt", "alt.key")
    assert "alt." in text
    assert ". Store" in text
    assert "tls." not in text


def test_names_come_from_the_common_name_only_without_alternative_names() -> None:
    """A certificate with alternative names is for these; one without any for its common name."""
    assert look(pems.certificate(EC, common="Old.example.com").encode(), KEY.encode())["names"] == ["old.example.com"]
    assert look(pems.certificate(EC, "n.example.com", common="c").encode(), KEY.encode())["names"] == ["n.example.com"]


def test_too_many_names_are_not_known_names() -> None:
    """What is kept of a certificate is bounded; beyond the bound nothing is said about the hosts it is for."""
    names = [f"h{number}.example.com" for number in range(MAX_NAMES + 1)]
    assert look(pems.certificate(EC, *names).encode(), KEY.encode())["names"] is None
    assert len(look(pems.certificate(EC, *names[1:]).encode(), KEY.encode())["names"]) == MAX_NAMES


def test_names_that_cannot_be_read_do_not_condemn_the_certificate() -> None:
    """Alternative names that are no ASN.1 leave a certificate usable, with names that are not known."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    unreadable = x509.UnrecognizedExtension(x509.OID_SUBJECT_ALTERNATIVE_NAME, b"\x30\x05no")
    made = x509.CertificateBuilder(subject, subject, EC.public_key(), 1, pems.FROM, pems.UNTIL)
    crt = made.add_extension(unreadable, critical=False).sign(EC, hashes.SHA256()).public_bytes(Encoding.PEM)
    assert {name: look(crt, KEY.encode())[name] for name in ("fault", "names")} == {"fault": "", "names": None}


def test_the_far_ends_of_time_can_be_told() -> None:
    """A certificate from 1950 until the last second of 9999 is read like any other."""
    begin = datetime.datetime(1950, 1, 1, tzinfo=datetime.UTC)
    end = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)
    found = look(pems.certificate(EC, "a.example.com", begin=begin, end=end).encode(), KEY.encode())
    assert (found["from"], found["until"]) == (int(begin.timestamp()), int(end.timestamp()))


PEMS = [text.encode() for text in (*CERTIFICATES.values(), *map(pems.private, KEYS.values()), PARAMETERS)]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A PEM text with some bytes taken out, doubled or changed, perhaps with another one behind it."""
    text = bytearray(draw(st.sampled_from(PEMS)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(text)))
        text[place : place + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=3) | st.sampled_from([b"A", b"\n", b"="])
        )
    return bytes(text) + draw(st.sampled_from([b"", *PEMS]))


@given(crt=st.binary(max_size=300) | mutated(), key=st.binary(max_size=300) | mutated())
@examples(max_examples=300, deadline=None)
def test_no_bytes_raise_and_nothing_of_the_key_comes_out(crt: bytes, key: bytes) -> None:
    """Any bytes give a small answer that JSON can hold, with a known fault or none, and no line of the key in it."""
    found = look(crt, key)
    assert found["fault"] in {"", *FAULTS}
    shown = json.dumps(found)
    assert len(shown) < 10_000
    for line in key.split(b"\n"):
        assert len(line) < 20 or line.decode("latin-1") not in shown


@given(
    body=st.binary(min_size=1, max_size=200), label=st.sampled_from(["CERTIFICATE", "PRIVATE KEY", "RSA PRIVATE KEY"])
)
@examples(max_examples=200, deadline=None)
def test_any_bytes_in_the_clothes_of_pem_are_refused(body: bytes, label: str) -> None:
    """Base64 between the right lines is not yet a certificate or a key."""
    pem = f"-----BEGIN {label}-----\n{base64.b64encode(body).decode()}\n-----END {label}-----\n"
    assert fault(pem, KEY) == "certificate"
    assert fault(CRT, pem) in {"key", "encrypted", "other-key"}


def test_a_list_of_a_thousand_secrets_is_looked_at_in_no_time() -> None:
    """1,000 RSA pairs take less than a second of the processor, where the library's own check takes half a minute."""
    crt, key = CERTIFICATES["rsa"].encode(), pems.private(RSA).encode()
    began = time.process_time()
    for _ in range(1000):
        look(crt, key)
    assert time.process_time() - began < 1.0
