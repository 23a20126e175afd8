"""What is made of the certificates of a Secret, and which Events their Ingresses get."""

from __future__ import annotations

import base64
import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from shared.projection import DEFAULT_SECRET, DEFAULT_TLS_ANNOTATION
from tests import pems
from tests.workers.model.test_model_layout import CHOICES
from tests.workers.model.world import AVI_CLASS, World, endpoint_slice, ingress, secret, service, settings
from workers.model.pairs import covers
from workers.model.types import Desired

HOST = "foo.example.com"
CERTIFICATE = "sslkeyandcertificate"
KEY = ec.generate_private_key(ec.SECP256R1())
DAY = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(days=pems.DAY)
GOOD, OTHER = pems.pair(), pems.pair(1)
GARBAGE = ("garbage", GOOD[1])


def world(*manifests: dict[str, Any], **changes: Any) -> World:
    return World(settings(**changes)).apply(AVI_CLASS, service(), endpoint_slice(["10.244.1.1"]), *manifests)


def served(tls: dict[str, str], *, host: str = HOST, **changes: Any) -> Desired:
    """What a host wants whose only Ingress names a Secret with this content."""
    return world(secret(**tls), ingress(tls="foo-tls", host=host), **changes).host(host)


def told(desired: Desired) -> list[tuple[str, str]]:
    return [(problem.reason, problem.message) for problem in desired.problems]


def certificates(desired: Desired) -> list[str]:
    return [wanted.secret.crt for wanted in desired.objects if wanted.secret is not None]


def dated(begin: datetime.timedelta, end: datetime.timedelta) -> dict[str, str]:
    """A Secret whose certificate is valid between these two times, counted from the beginning of the present day."""
    crt = pems.certificate(KEY, HOST, begin=DAY + begin, end=DAY + end)
    return pems.data(crt, pems.private(KEY))


@pytest.mark.parametrize(
    ("pair", "reason", "text"),
    [
        (GARBAGE, "SecretInvalid", "tls.crt can't be read as certificates in PEM form. Store"),
        ((GOOD[0], "garbage"), "SecretInvalid", "tls.key can't be read as a private key in PEM form. Store"),
        ((GOOD[0], OTHER[1]), "SecretInvalid", "tls.key does not belong to the first certificate of tls.crt. Store"),
        ((GOOD[0], ""), "SecretIncomplete", "tls.key has no content. Store"),
        (("", GOOD[1]), "SecretIncomplete", "tls.crt has no content. Store"),
    ],
)
@pytest.mark.parametrize("evh", [False, True])
def test_nothing_is_made_of_a_pair_that_cannot_be_used(
    pair: tuple[str, str], reason: str, text: str, evh: bool
) -> None:
    """Neither a certificate nor what would need it; the Event says which Secret, field and host, and what to do."""
    desired = served({**pems.data(*pair), **pems.data(*OTHER, field="alt")}, evh=evh)
    assert desired.objects == ()
    ((given_reason, message),) = told(desired)
    assert given_reason == reason
    assert message.startswith(f"The Secret foo-tls can't be used: {text}")
    assert message.endswith(f"this Ingress has no certificate for {HOST}.")


@pytest.mark.parametrize(
    ("pair", "text"),
    [
        (GARBAGE, "alt.crt can't be read"),
        ((OTHER[0], GOOD[1]), "alt.key does not belong"),
        ((OTHER[0], ""), "alt.key has no content"),
        (("", OTHER[1]), "alt.crt has no content"),
    ],
)
def test_a_bad_second_pair_leaves_the_first_one_served(pair: tuple[str, str], text: str) -> None:
    """The host has the certificate of tls.crt alone, and its Ingress is told what is wrong with the other."""
    desired = served({**pems.data(*GOOD), **pems.data(*pair, field="alt")})
    assert certificates(desired) == ["tls.crt"]
    ((reason, message),) = told(desired)
    assert reason == "AlternateInvalid"
    assert message.startswith(f"The second certificate of Secret foo-tls is left out: {text}")


HOUR, DAYS = datetime.timedelta(hours=1), datetime.timedelta(days=1)


@pytest.mark.parametrize(
    ("begin", "end", "reason", "text"),
    [
        (-90 * DAYS, 15 * DAYS, "", ""),
        (-90 * DAYS, 14 * DAYS, "CertificateExpires", "expires at 2027-06-15 00:00 UTC. Renew it before."),
        (-90 * DAYS, HOUR, "CertificateExpires", "expires at 2027-06-01 01:00 UTC. Renew it before."),
        (-90 * DAYS, 0 * DAYS, "CertificateExpired", "expired at 2027-06-01 00:00 UTC"),
        (-90 * DAYS, -HOUR, "CertificateExpired", "expired at 2027-05-31 23:00 UTC"),
        (-3 * DAYS, 3 * DAYS, "", ""),
        (-5 * DAYS, 1 * DAYS, "CertificateExpires", "expires at 2027-06-02 00:00 UTC"),
        (23 * HOUR, 90 * DAYS, "", ""),
        (24 * HOUR, 90 * DAYS, "CertificateNotYetValid", "is not valid before 2027-06-02 00:00 UTC"),
    ],
)
def test_the_days_of_a_certificate_are_spoken_of(
    begin: datetime.timedelta, end: datetime.timedelta, reason: str, text: str
) -> None:
    """Two weeks before its end (a quarter of its time, if that is shorter), after it, and before its beginning."""
    desired = served(dated(begin, end))
    assert certificates(desired) == ["tls.crt"]
    assert [each for each, _ in told(desired)] == ([reason] if reason else [])
    assert all(
        message.startswith(f"The certificate in tls.crt of Secret foo-tls {text}") for _, message in told(desired)
    )


def test_a_day_more_changes_no_words() -> None:
    """A warning counts no days down, so that it is one Event however long it holds."""
    made = world(secret(**dated(-90 * DAYS, 9 * DAYS)), ingress(tls="foo-tls"))
    first = made.host(HOST)
    made.day += 3
    assert told(made.host(HOST)) == told(first) != []
    made.day += 10
    assert [reason for reason, _ in told(made.host(HOST))] == ["CertificateExpired"]


@pytest.mark.parametrize(
    ("names", "host", "covered"),
    [
        (["foo.example.com"], "foo.example.com", True),
        (["a.example.com", "foo.example.com"], "foo.example.com", True),
        (["*.example.com"], "foo.example.com", True),
        (["*.example.com"], "example.com", False),
        (["*.example.com"], "a.foo.example.com", False),
        (["foo.*.com"], "foo.example.com", False),
        (["f*.example.com"], "foo.example.com", False),
        (["*"], "localhost", False),
        (["xfoo.example.com", "foo.example.com.evil.org", "example.com"], "foo.example.com", False),
        (["*.example.com"], "*.example.com", True),
        (["*.com"], "*.example.com", False),
        (["foo.example.com"], "*.example.com", False),
        ([], "foo.example.com", False),
        (None, "foo.example.com", True),
    ],
)
def test_a_star_stands_for_one_label(names: list[str] | None, host: str, covered: bool) -> None:
    """The names of a certificate cover a host as RFC 6125 says; names that are not known are not doubted."""
    assert covers(names, host) is covered


def test_a_certificate_for_other_hosts_is_served_with_a_warning() -> None:
    """The Event names the host and the first names of the certificate; several such hosts get one each."""
    names = [f"h{number}.example.com" for number in range(7)]
    tls = pems.data(pems.certificate(KEY, *names), pems.private(KEY))
    desired = served(tls)
    assert certificates(desired) == ["tls.crt"]
    ((reason, message),) = told(desired)
    assert reason == "HostNotCovered"
    assert f"is for {', '.join(names[:5])} and 2 more and not for {HOST}, so that" in message
    assert told(served(tls, host="h3.example.com")) == []
    nameless = pems.data(pems.certificate(KEY, common=""), pems.private(KEY))
    assert "is for no host name at all and not for" in told(served(nameless))[0][1]


def test_only_those_who_name_the_secret_are_told() -> None:
    """Of several Ingresses of a host those that name the Secret in use hear of it, not those with another or none."""
    made = world(
        secret(**dated(-9 * DAYS, -DAYS)),
        secret("two"),
        secret(namespace="blue"),
        ingress("a", tls="foo-tls", paths=["/a"]),
        ingress("b", tls="foo-tls", paths=["/b"]),
        ingress("c", tls="two", paths=["/c"]),
        ingress("d", paths=["/d"]),
        ingress("e", tls="foo-tls", paths=["/e"], namespace="blue", created="2026-01-02T00:00:00Z"),
        ingress("f", tls="foo-tls", paths=["/f"], ingressClassName="nginx"),
    )
    told_of = [problem for problem in made.host(HOST).problems if problem.reason == "CertificateExpired"]
    assert [(problem.namespace, problem.name) for problem in told_of] == [("red", "a"), ("red", "b")]


def test_hosts_on_one_secret_each_have_their_certificate() -> None:
    """Several hosts may name one Secret; each makes a certificate of its own of it, and all are refused together."""
    hosts = ["a.example.com", "b.example.com"]
    made = world(secret(), *(ingress(host.replace(".", "-"), host=host, tls="foo-tls") for host in hosts))
    assert [made.host(host).objects[0].name for host in hosts] == [f"c1--{host}" for host in hosts]
    made.apply(secret(**pems.data(*GARBAGE)))
    assert [made.host(host).objects for host in hosts] == [(), ()]


CONTENTS = st.sampled_from([None, GOOD, OTHER, GARBAGE, (GOOD[0], OTHER[1]), (GOOD[0], ""), ("", ""), (GOOD[0], "x")])


@st.composite
def secrets(draw: st.DrawFn) -> dict[str, str]:
    first, second = draw(CONTENTS), draw(CONTENTS)
    tls = pems.data(*first) if first else {}
    return {**tls, **(pems.data(*second, field="alt") if second else {})}


@given(
    one=secrets(),
    two=secrets(),
    named=st.lists(st.sampled_from(["one", "two", "none", None]), min_size=1, max_size=4),
    evh=st.booleans(),
)
@examples(max_examples=100, deadline=None)
def test_no_certificate_is_ever_made_of_an_unusable_pair(
    one: dict[str, str], two: dict[str, str], named: list[str | None], evh: bool
) -> None:
    """Whatever the Secrets hold and whoever names them: each certificate's pair is good, each list names only these."""
    tls = {"one": one, "two": two}
    manifests = [{**secret(name), "data": data} for name, data in tls.items()]
    manifests += [ingress(f"i{at}", tls=name, paths=[f"/{at}"]) for at, name in enumerate(named)]
    objects, _, _ = world(*manifests, evh=evh).everything()
    good = {pems.data(*pair)["tls.crt"]: pems.data(*pair)["tls.key"] for pair in (GOOD, OTHER)}
    made = [wanted for wanted in objects if wanted.type == CERTIFICATE]
    for wanted in made:
        assert wanted.secret is not None
        data = tls[wanted.secret.name]
        assert good[data[wanted.secret.crt]] == data[wanted.secret.key]
        assert good[data["tls.crt"]] == data["tls.key"]
    listed = {ref for wanted in objects for ref in wanted.body.get("ssl_key_and_certificate_refs", ())}
    ours = {f"/api/{CERTIFICATE}/?name={wanted.name}" for wanted in made}
    assert {ref for ref in listed if "System-" not in ref} <= ours


def test_no_word_of_a_key_is_in_an_event() -> None:
    """Whatever is wrong with a pair, its texts are in no message."""
    for pair in (GARBAGE, (GOOD[0], OTHER[1]), (GOOD[0], GOOD[1][:90])):
        shown = repr(served({**pems.data(*pair), **pems.data(*pair, field="alt")}))
        for line in (GOOD[1] + OTHER[1]).splitlines()[1:-1]:
            assert line not in shown
            assert base64.b64encode(line.encode()).decode() not in shown


BROKEN = {**pems.data(pems.pair()[0], pems.pair(1)[1])}


@pytest.mark.parametrize("changes", CHOICES)
@pytest.mark.parametrize("default", [False, True])
def test_a_secret_that_breaks_leaves_the_standing_certificate_in_use(changes: dict[str, Any], default: bool) -> None:
    """Same objects as before, certificates only kept and not written; the owner is told; without the Secret they go."""
    annotations = {DEFAULT_TLS_ANNOTATION: "true"} if default else {}
    place = {"name": DEFAULT_SECRET, "namespace": "avi-system"} if default else {"name": "foo-tls", "namespace": "red"}
    made = world(secret(**place), ingress(tls="foo-tls", annotations=annotations), **changes)
    before = {each.id for each in made.everything()[0]}
    made.apply(secret(**place, **BROKEN))
    objects, problems, _ = made.everything_from(before)
    assert {each.id for each in objects} == before
    assert {each.type for each in objects if each.kept} == {"sslkeyandcertificate"}
    assert [each.reason for each in problems] == ["SecretInvalid"]
    assert "foo.example.com keeps the certificate that it has" in problems[0].message
    del made.objects["Secret"]
    assert not [each for each in made.everything_from(before)[0] if each.type == "sslkeyandcertificate"]


def test_a_younger_usable_secret_comes_before_a_kept_certificate() -> None:
    """What can be renewed is better than what can only be kept."""
    younger = ingress("two", tls="good", paths=["/two"], created="2026-02-01T00:00:00Z")
    made = world(secret(**BROKEN), secret("good"), ingress(tls="foo-tls"), younger)
    made.standing = {"sslkeyandcertificate/admin/c1--foo.example.com"}
    (certificate,) = [each for each in made.host("foo.example.com").objects if each.type == "sslkeyandcertificate"]
    assert certificate.secret is not None
    assert certificate.secret.name == "good"
