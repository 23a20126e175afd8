"""The Secret of a TLS host comes, is broken in every way, is mended and goes; the controller sees good pairs alone."""

from __future__ import annotations

import base64
import copy
import datetime
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from bench import world as cluster
from shared.errors import AkoError
from tests import pems
from tests.workers.model.world import secret
from tests.workers.site import Kube, Site, site
from workers.model.types import DAY, SecretRef
from workers.secrets import SecretReader

HOST = cluster.host(0)
NAME = f"bench--{HOST}"
PATH = "/api/v1/namespaces/bench/secrets/own"
ONE, TWO = pems.pair(), pems.pair(1)
KEY = f"host:{HOST}"


def own(*pair: str, **more: str) -> dict[str, Any]:
    """The Secret `own` with this pair."""
    return {**secret("own", namespace="bench", **pems.data(*pair), **more)}


@pytest.fixture
def here(redis_url: str) -> Iterator[Site]:
    """A TLS host whose Secret is not there yet."""
    with site(redis_url) as made:
        objects = copy.deepcopy(cluster.objects_of(0))
        objects[2]["spec"]["tls"][0]["secretName"] = "own"
        made.apply(*objects)
        made.run()
        made.kube.events.clear()
        made.simulator.audit.clear()
        yield made


def change(here: Site, made: dict[str, Any]) -> list[str]:
    """Applies a Secret under a new resourceVersion and works; the reasons of the Events that came of it."""
    made["metadata"]["resourceVersion"] = str(len(here.simulator.audit.shown(0)))
    here.kube.events.clear()
    here.apply(made)
    here.run()
    return [event.split()[2].rstrip(":") for event in here.kube.events if event.split()[1] == "Warning"]


def served(here: Site) -> str | None:
    """The certificate that the host is served with, None when it is not."""
    found, child = here.find("sslkeyandcertificate", NAME), here.find("virtualservice", NAME)
    assert (found is None) is (child is None)
    return None if found is None else str(found["certificate"]["certificate"])


def test_the_controller_gets_good_pairs_alone(here: Site) -> None:
    """Garbage, a good pair, another one, the wrong key, nothing: built, rotated, kept, taken away, never refused."""
    assert change(here, own("garbage", "garbage")) == ["SecretInvalid"]
    assert served(here) is None
    assert here.writes() == []
    assert change(here, own(*ONE)) == []
    assert served(here) == ONE[0]
    assert change(here, own(*TWO)) == []
    assert served(here) == TWO[0]
    assert change(here, own(ONE[0], TWO[1])) == ["SecretInvalid"]
    assert "keeps the certificate that it has" in here.kube.events[-1]
    assert served(here) == TWO[0]
    assert change(here, own(*TWO)) == []
    assert served(here) == TWO[0]
    here.delete("Secret", "bench/own")
    here.run()
    assert served(here) is None
    assert any("SecretMissing" in event for event in here.kube.events)
    sent = [call for method in ("POST", "PUT") for call in here.calls(method, "sslkeyandcertificate")]
    assert [call["status"] for call in sent] == [201, 200]


def test_a_bad_second_pair_costs_the_host_nothing(here: Site) -> None:
    """The alternate certificate comes, is broken and goes, while the first one stays as it is."""
    alt = f"{NAME}-alt"
    assert change(here, own(*ONE, **pems.data(*TWO, field="alt"))) == []
    assert here.find("sslkeyandcertificate", alt) is not None
    assert change(here, own(*ONE, **pems.data(TWO[0], ONE[1], field="alt"))) == ["AlternateInvalid"]
    assert (served(here), here.find("sslkeyandcertificate", alt)) == (ONE[0], None)


def test_an_expired_certificate_is_served_and_warned_of(here: Site) -> None:
    """What is over, and what is for another host, stays served; a run more says nothing new."""
    key = ec.generate_private_key(ec.SECP256R1())
    ended = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=2)
    old = pems.certificate(key, "other.example.org", end=ended)
    assert change(here, own(old, pems.private(key))) == ["CertificateExpired", "HostNotCovered"]
    assert served(here) == old
    here.kube.events.clear()
    here.mark([KEY])
    here.run()
    assert here.kube.events == []


def test_a_certificate_expires_without_any_change(here: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run of a host that a census asks for warns of a certificate that was good when it was stored."""
    key = ec.generate_private_key(ec.SECP256R1())
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=30)
    assert change(here, own(pems.certificate(key, HOST, end=end), pems.private(key))) == []
    for days, reason in ((20, "CertificateExpires"), (25, ""), (31, "CertificateExpired")):
        clock = SimpleNamespace(time=lambda days=days: time.time() + days * DAY)
        monkeypatch.setattr("workers.snapshot.time", clock)
        here.kube.events.clear()
        here.mark(["resync"])
        here.run()
        assert [event.split()[2] for event in here.kube.events] == ([f"{reason}:"] if reason else [])
    assert served(here) is not None


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (None, "gone"),
        (own("garbage", ONE[1]), "tls.crt can't be read"),
        (own(ONE[0], TWO[1]), "tls.key does not belong"),
        (own(*TWO), "changed while"),
        ({**own(*ONE), "data": {}}, "missing or is not base64"),
    ],
)
def test_what_changed_since_the_watch_said_so_is_not_sent(here: Site, now: dict[str, Any] | None, text: str) -> None:
    """The Secret is another one when it is fetched: nothing of it is sent or left open, the rest of the host stands,
    and the key is run again.
    """
    here.apply(own(*ONE))
    here.kube.objects.pop(PATH)
    if now is not None:
        here.kube.objects[PATH] = now
    here.run()
    assert here.calls("POST", "sslkeyandcertificate") == []
    assert here.failures(KEY) == 1
    assert served(here) is None
    assert here.find("pool", f"bench--bench-{HOST}_-i00000") is not None
    assert '"intent":"create"' not in "".join(here.state.hash(f"ledger:{KEY}").values())
    here.kube.objects[PATH] = own(*ONE)
    here.bring_forward()
    here.run()
    assert served(here) == ONE[0]


def test_a_fetched_secret_is_in_no_message() -> None:
    """Whatever is wrong with it, the error says where and what to look at, and quotes nothing."""
    kube = Kube()
    ref = SecretRef("bench", "own")
    pairs = [own("garbage", ONE[1]), own(ONE[0], TWO[1]), own(ONE[0], ONE[1][:80]), own(*TWO)]
    for made in (*pairs, {**own(*ONE), "data": {"tls.crt": "!", "tls.key": "geheim"}}):
        kube.objects[PATH] = made
        with pytest.raises(AkoError, match="Secret bench/own: ") as raised:
            SecretReader(kube).read(ref, "sha256:0")  # type: ignore[arg-type]
        shown = f"{raised.value!s} {raised.value!r} {raised.value.__cause__!r}"
        texts = [base64.b64decode(text).decode() for text in made["data"].values() if len(text) > 20]
        for line in "\n".join(["geheim", *texts]).splitlines():
            assert len(line) < 6 or "-----" in line or line == "garbage" or line not in shown
