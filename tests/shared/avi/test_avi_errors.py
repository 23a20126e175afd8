"""Which error each refusal and each failure is; no message, repr, traceback or log line gives a secret away."""

from __future__ import annotations

import email.utils
import inspect
import logging
import time
import traceback
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import requests
import urllib3

from shared.avi.calls import Answer, Call, object_of, refusal, retry_after, unreachable
from shared.avi.client import AviClient
from shared.avi.transport import Endpoint, Wire
from shared.errors import (
    AviAuthError,
    AviBusy,
    AviConflict,
    AviError,
    AviMissingReference,
    AviNoFreeAddress,
    AviNotFound,
    AviReferenced,
    AviRefused,
    AviStale,
    AviUnavailable,
    AviUnreachable,
)
from shared.settings.model import Credentials
from tests.shared.avi.scripted_controller import CSRF, SESSION, Controller, running


def call(method: str, kind: str = "pool") -> Call:
    one = method in {"GET", "PUT", "DELETE"}
    return Call(method, kind, "web", f"/api/{kind}/x" if one else f"/api/{kind}", "admin", b"{}", one=one)


LIST = Call("GET", "pool", "", "/api/pool?page=1", "admin")
REFERRED = "Cannot delete, object is referred by: ['PoolGroup x--g', 'VirtualService y']"
UPGRADE = "Configuration is disallowed during upgrade"


@pytest.mark.parametrize(
    ("request_", "status", "sentence", "expected"),
    [
        (call("POST"), 400, 'Message type "Pool" has no field named "bogus_field"', AviRefused),
        (call("POST"), 400, "lb_algorithm: 'NOPE' is not one of the enum options [...]", AviRefused),
        (call("POST", "vsvip"), 400, "No available free IPs in network ['small-net'] for V4", AviNoFreeAddress),
        (call("PUT", "vsvip"), 400, "Changing an existing VIP's vip_id is not allowed", AviRefused),
        (call("PUT", "vsvip"), 400, "If a new preferred IP is needed, please recreate the VIP", AviRefused),
        (call("POST", "virtualservice"), 404, "Pool object not found!", AviMissingReference),
        (call("POST", "virtualservice"), 400, "VsVip object not found!", AviMissingReference),
        (call("POST", "virtualservice"), 404, "VirtualService object not found!", AviMissingReference),
        (call("POST"), 400, "VrfContext not found", AviMissingReference),
        (call("POST"), 400, "Network does not exist", AviMissingReference),
        (call("PUT", "virtualservice"), 404, "Pool object not found!", AviMissingReference),
        (call("PUT", "virtualservice"), 404, "VirtualService object not found!", AviNotFound),
        (call("PUT", "virtualservice"), 404, "Virtual Service object not found!", AviNotFound),
        (call("PUT", "poolgroup"), 404, "Pool object not found!", AviMissingReference),
        (call("PUT", "pool"), 404, "PoolGroup object not found!", AviMissingReference),
        (call("PUT"), 404, "Pool object not found!", AviNotFound),
        (call("PUT"), 404, "gone", AviNotFound),
        (call("GET"), 404, "Pool object not found!", AviNotFound),
        (call("GET"), 404, "Something object not found!", AviNotFound),
        (call("DELETE"), 404, "Pool object not found!", AviNotFound),
        (call("DELETE"), 404, "Tenant object not found!", AviMissingReference),
        (call("DELETE", "tenant"), 404, "Tenant object not found!", AviNotFound),
        (call("GET"), 403, "Tenant red does not exist", AviMissingReference),
        (LIST, 404, "That page contains no results", AviRefused),
        (call("POST"), 403, UPGRADE, AviUnavailable),
        (call("POST"), 403, "You do not have permission", AviRefused),
        (call("DELETE"), 400, REFERRED, AviReferenced),
        (call("DELETE"), 403, REFERRED, AviReferenced),
        (call("DELETE"), 409, REFERRED, AviReferenced),
        (call("POST"), 409, "Pool with this Name, Tenant ref and Cloud ref already exists.", AviConflict),
        (call("PUT"), 412, "Need to reload object data Pool", AviStale),
        (call("PUT"), 412, "", AviStale),
        (call("POST"), 429, "slow down", AviBusy),
        (call("POST"), 503, "", AviBusy),
        (call("POST"), 418, "", AviRefused),
        (call("POST"), 401, "", AviAuthError),
        (call("POST"), 500, "Bad pb", AviUnreachable),
        (call("POST"), 502, "", AviUnreachable),
        (call("GET"), 408, "", AviUnreachable),
        (call("POST"), 301, "", AviUnreachable),
    ],
)
def test_refusals(request_: Call, status: int, sentence: str, expected: type[AviError]) -> None:
    """Each status and sentence of the controller is exactly one error, with status, place and sentence."""
    error = refusal(request_, Answer(status, orjson.dumps({"error": sentence})))
    assert type(error) is expected
    assert error.status == status
    assert error.where == str(request_)
    assert sentence in str(error) or status == 301
    if isinstance(error, AviUnreachable):
        assert error.sent is (status != 301)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("body", [b"", b"<html>404 not found</html>", b'"not found"', b"[]"])
def test_a_404_of_a_proxy_says_nothing_of_the_object(method: str, body: bytes) -> None:
    """A 404 that is no JSON object is not the controller's: unreachable, never "gone"."""
    assert type(refusal(call(method), Answer(404, body))) is AviUnreachable


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error": "a\\n b"}', "a b"),
        (b'{"error": {"vh_matches": ["x"]}}', '{"vh_matches":["x"]}'),
        (b'{"detail": "d"}', "d"),
        (b'{"error": 7}', "status 400"),
        (b'{"error": ""}', "status 400"),
        (b"<html>", "status 400"),
        (b'{"error": "' + b"x" * 5000 + b'"}', "x" * 400 + "…"),
    ],
)
def test_sentences(body: bytes, expected: str) -> None:
    """The controller's sentence is repeated on one line and cut; without one the status stands for it."""
    assert refusal(call("POST"), Answer(400, body)).message == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("5", 5.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after(text: str | None, expected: float | None) -> None:
    """Retry-After is read as seconds or as a date; nonsense is as if it were not there."""
    assert retry_after(text) == expected


def test_retry_after_a_date_to_come() -> None:
    """A date in the future means the seconds until then."""
    seconds = retry_after(email.utils.formatdate(time.time() + 30, usegmt=True))
    assert seconds is not None
    assert 28 < seconds <= 30


def test_busy_carries_the_seconds() -> None:
    """The pause that the controller asks for reaches the caller."""
    error = refusal(call("POST"), Answer(429, b"", "7"))
    assert isinstance(error, AviBusy)
    assert error.retry_after == 7.0


def test_an_answer_that_is_an_object() -> None:
    """A JSON object is returned as it is."""
    assert object_of(call("GET"), Answer(200, b'{"a": 1}')) == {"a": 1}


# Secrets

PASSWORD, TOKEN = "pass-secret-0001", "token-secret-0001"
KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49/secret\nkeyline+secret=\n-----END PRIVATE KEY-----\n"
CERTIFICATE = {"name": "cert", "key": KEY, "key_passphrase": "phrase-secret", "certificate": {"certificate": "PUBLIC"}}
SECRETS = [PASSWORD, TOKEN, CSRF, SESSION, "MIGHAgEAMBMGByqGSM49", "keyline+secret", "phrase-secret", "PRIVATE KEY"]

ECHOES = [
    f"bad key {KEY}",
    "bad line keyline+secret= in it",
    "bad line MIGHAgEAMBMGByqGSM49\\/secret in it",
    "bad passphrase phrase-secret",
    f"bad token {CSRF}",
    f"bad cookie {SESSION}",
    f"bad password {PASSWORD}",
    f"bad token {TOKEN}",
]
Answering = Callable[[Any], Any]


def everything_said(error: BaseException, caplog: pytest.LogCaptureFixture) -> str:
    texts = [str(error), repr(error), repr(error.args), *traceback.format_exception(error), caplog.text]
    return "\n".join(texts)


@pytest.mark.parametrize("user", [Credentials("admin", PASSWORD), Credentials("admin", PASSWORD, TOKEN)])
@pytest.mark.parametrize(
    "answer",
    [
        *[lambda request, text=text: (400, {"error": text}) for text in ECHOES],
        lambda request: (500, {"error": {"dump": request.body, "headers": request.headers}}),
        lambda request: (404, {"error": {"dump": request.body, "headers": request.headers}}),
        lambda request: (201, orjson.dumps([request.body, request.headers])),
        lambda request: (401, {"error": request.headers}),
        lambda request: None,
        lambda request: lambda connection: connection.sendall(orjson.dumps([request.body, request.headers])),
    ],
)
@pytest.mark.parametrize("at_login", [False, True])
def test_no_secret_leaves(
    user: Credentials, answer: Answering, at_login: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """However the controller echoes what it got, no text, repr, traceback or debug log line holds any of it."""
    caplog.set_level(logging.DEBUG)
    with running() as controller:
        set_up(controller, answer, at_login)
        client = AviClient(controller.url, user)
        with pytest.raises(AviError) as caught:
            client.create("sslkeyandcertificate", CERTIFICATE)
    said = everything_said(caught.value, caplog) + repr(client._session.__dict__) + repr(client.__dict__)
    known = [secret for secret in SECRETS if secret != TOKEN or user.token]
    assert [secret for secret in known if secret in said] == []
    if not at_login:
        assert "POST sslkeyandcertificate 'cert'" in str(caught.value)


def set_up(controller: Controller, answer: Answering, at_login: bool) -> None:
    if at_login:
        controller.login = answer
    else:
        controller.answer = answer


def test_reprs_are_quiet() -> None:
    """Calls and answers show neither body nor cookies."""
    shown = repr(Call("POST", "pool", "p", "/api/pool", "admin", KEY.encode())) + repr(
        Answer(200, KEY.encode(), None, (CSRF,))
    )
    assert [secret for secret in SECRETS if secret in shown] == []


# Every error of the libraries below


def library_errors() -> list[type[Exception]]:
    """Every exception class (not the warnings) that requests and urllib3 define."""
    found = {
        item
        for module in (requests.exceptions, urllib3.exceptions)
        for _, item in inspect.getmembers(module, inspect.isclass)
        if issubclass(item, Exception) and not issubclass(item, Warning)
        if item.__module__.startswith(("requests", "urllib3"))
    }
    return sorted(found, key=lambda item: (item.__module__, item.__name__))


def made(kind: type[Exception]) -> Exception:
    """An instance without its constructor, whose arguments differ; with a text that must not be repeated."""
    error = kind.__new__(kind, "cookie-secret-0001")
    error.args = ("cookie-secret-0001",)
    return error


@pytest.mark.parametrize("kind", library_errors(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
@pytest.mark.parametrize("sent", [False, True])
def test_every_library_error_is_ours(kind: type[Exception], sent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What requests or urllib3 raise comes out as AviUnreachable, without its text, `sent` only if bytes went out."""
    wire = Wire(Endpoint("http", "127.0.0.1", 1), None, 1.0, 1.0)

    def send(*_: Any, **__: Any) -> requests.Response:
        wire._progress.sent = wire._progress.connected = sent
        raise made(kind)

    monkeypatch.setattr(wire._adapter, "send", send)
    with pytest.raises(AviUnreachable) as caught:
        wire.exchange(Call("GET", "pool", "p", "/api/pool/p", "admin"), {})
    assert caught.value.sent is sent
    assert str(caught.value).startswith("GET pool 'p' (tenant admin): ")
    assert "secret" not in str(caught.value)


def test_there_are_library_errors() -> None:
    """The list above is not empty by accident."""
    assert len(library_errors()) > 40


def test_a_timeout_is_told_from_a_refusal() -> None:
    """The message names the limit that was met, or the system's own word for what happened."""
    call = Call("GET", "pool", "", "/api/pool", "admin")

    def text(error: Exception, sent: bool) -> str:
        return str(unreachable(call, error, sent=sent, connect=3, read=60))

    assert text(requests.ReadTimeout(), True) == "GET pool (tenant admin): no complete answer within 60 s"
    assert text(requests.ConnectTimeout(), False) == "GET pool (tenant admin): no connection within 3 s"
    assert text(requests.ConnectionError(OSError(113, "No route to host")), False).endswith(": no route to host")
