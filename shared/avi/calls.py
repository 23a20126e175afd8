"""One call to the controller: what is asked, what came back, and which error of ours a failure is.

Pure. The controller's releases do not agree on statuses (a delete of a referenced object is 400, 403 or 409; a
reference that does not resolve is 400 or 404), so its sentence is looked at before the status::

    status            sentence                            error
    400, 403, 409     referred by                         AviReferenced
    400, 403, 409     disallowed during upgrade           AviUnavailable
    4xx               no available free IPs               AviNoFreeAddress
    412, any 4xx      need to reload object data          AviStale
    429, 503                                              AviBusy, with Retry-After
    404               of the object itself                AviNotFound
    400, 404          … not found, … does not exist       AviMissingReference
    403               tenant … does not exist             AviMissingReference
    409                                                   AviConflict
    401, 419                                              AviAuthError (the session has logged in anew before)
    other 4xx                                             AviRefused
    5xx, 408, a 404 or 2xx that is not JSON               AviUnreachable, sent
    3xx                                                   AviUnreachable, not sent

A 404 that is not JSON is some proxy's, not the controller's, and must never be read as "the object is gone".
Messages carry the controller's sentence, cut, and only if it repeats nothing that is secret.
"""

from __future__ import annotations

import email.utils
import http.client
import math
import re
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import requests
from urllib3 import exceptions as u3

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

_LONGEST = 400  # characters of the controller's sentence that a message repeats; a 500 can dump the whole object
_NOT_THERE = re.compile(r"not found|does not exist|doesn't exist")
_SECRET_FIELDS = ("key", "key_passphrase")  # of a certificate's body
_SHORTEST_SECRET = 4  # characters; a shorter piece (the last line of a PEM text) gives nothing away


@dataclass(frozen=True, slots=True)
class Call:
    """One request; `str()` is how messages and logs name it. `path` starts with a slash and includes the query."""

    method: str
    type: str
    name: str  # name or uuid of the object, empty for a collection
    path: str
    tenant: str
    body: bytes | None = field(default=None, repr=False)
    one: bool = False  # the path is that of one object

    def __str__(self) -> str:
        return f"{self.method} {self.type}{f' {self.name!r}' if self.name else ''} (tenant {self.tenant})"


class Answer(NamedTuple):
    """What came back: the status, the bytes of the body, and the few headers that matter."""

    status: int
    body: bytes
    retry_after: str | None = None
    cookies: tuple[str, ...] = ()  # the values of Set-Cookie

    def __repr__(self) -> str:
        return f"Answer({self.status}, {len(self.body)} bytes)"


def object_of(call: Call, answer: Answer) -> dict[str, Any]:
    """The JSON object in a successful answer. Raises AviUnreachable when there is none: the write may still stand."""
    body = _json(answer.body)
    if not isinstance(body, dict):
        raise _unusable(call, answer, f"the answer ({answer.status}) is not a JSON object")
    return body


def refusal(call: Call, answer: Answer, secrets: Iterable[str] = ()) -> AviError:
    """The error that an answer other than 2xx is. `secrets` are texts that must not appear in its message."""
    status, where = answer.status, str(call)
    sentence = _sentence(answer.body)
    text = _safe(sentence, [*secrets, *_secrets_of(call)]) or f"status {status}"
    if 300 <= status < 400:
        action = "Check the controller's host and scheme."
        return _with_status(AviUnreachable("a redirect", sent=False, where=where, action=action), status)
    if status in {429, 503}:
        return AviBusy(text, status=status, retry_after=retry_after(answer.retry_after), where=where)
    if status >= 500 or status == 408 or (status == 404 and not isinstance(_json(answer.body), dict)):
        return _unusable(call, answer, f"{text} ({status})")
    return _refused_as(call, status, sentence.lower())(text, status=status, where=where)


def _refused_as(call: Call, status: int, said: str) -> type[AviError]:  # noqa: PLR0911 - one line per row of the table
    if status in {401, 419}:
        return AviAuthError
    if status in {400, 403, 409} and "referred by" in said:
        return AviReferenced
    if status in {400, 403, 409} and "disallowed during upgrade" in said:
        return AviUnavailable
    if "no available free ips" in said:
        return AviNoFreeAddress
    if status == 412 or "need to reload object data" in said:
        return AviStale
    if status == 409:
        return AviConflict
    if status == 404 and call.one and not _names_another(call, said):
        return AviNotFound
    if status in {400, 404} and _NOT_THERE.search(said):
        return AviMissingReference
    if status == 403 and "tenant" in said and _NOT_THERE.search(said):
        return AviMissingReference
    return AviRefused


def _names_another(call: Call, said: str) -> bool:
    """Whether a 404 speaks of something else than the object of the path.

    What is read or deleted refers to nothing, so only its tenant can be missing; a PUT can miss any reference.
    """
    subject, found, _ = said.partition(" not found")
    subject = "".join(filter(str.isalnum, subject)).removesuffix("object")  # so "Virtual Service" names virtualservice
    if not found or not subject:
        return False
    if call.method != "PUT":
        return subject.endswith("tenant") and call.type != "tenant"
    return not subject.endswith(call.type)


def retry_after(text: str | None) -> float | None:
    """The seconds that a Retry-After header (a number or an HTTP date) asks for; None when it says nothing usable."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def unreachable(call: Call, error: BaseException, *, sent: bool, connect: float, read: float) -> AviUnreachable:
    """What a failure of the transport is; `connect` and `read` are the time limits in seconds, for the message."""
    causes = list(_causes(error))
    untrusted = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if untrusted is not None:
        reason = f"the certificate is not trusted: {untrusted.verify_message}"
        action = "Give the controller's certificate authority in certificateAuthorityData."
        return AviUnreachable(reason, sent=False, where=str(call), action=action)
    return AviUnreachable(_reason(causes, sent, connect, read), sent=sent, where=str(call))


def _reason(causes: list[BaseException], sent: bool, connect: float, read: float) -> str:
    """In words of ours: the texts of the libraries name URLs and objects in memory."""
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {cause.reason or 'broken off'}"
        if isinstance(cause, http.client.RemoteDisconnected):
            return "the connection was closed without an answer"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    if any(isinstance(cause, (requests.Timeout, u3.TimeoutError, TimeoutError)) for cause in causes):
        return f"no complete answer within {read:g} s" if sent else f"no connection within {connect:g} s"
    return f"no usable answer ({type(causes[-1]).__name__})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all it was made from, the outermost first."""
    waiting, seen = [error], set[int]()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = [getattr(current, "reason", None), *current.args, current.__cause__, current.__context__]
        waiting += [item for item in inner if isinstance(item, BaseException)]


def _unusable(call: Call, answer: Answer, text: str) -> AviUnreachable:
    return _with_status(AviUnreachable(text, sent=True, where=str(call)), answer.status)


def _with_status(error: AviUnreachable, status: int) -> AviUnreachable:
    error.status = status
    return error


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _sentence(body: bytes) -> str:
    """What the controller says is wrong; nothing when the answer is not its own (a proxy's HTML)."""
    said = _json(body)
    if isinstance(said, dict):
        said = said.get("error") or said.get("detail") or said.get("message") or ""
    if isinstance(said, (dict, list)):
        said = orjson.dumps(said).decode()
    return " ".join(said.split()) if isinstance(said, str) else ""


def _safe(sentence: str, secrets: Iterable[str]) -> str:
    """The sentence, cut; withheld as a whole if it repeats any piece of a secret."""
    plain = sentence.replace("\\", "")  # JSON inside JSON escapes the slashes of base64
    pieces = (piece for secret in secrets for piece in secret.split() if len(piece) >= _SHORTEST_SECRET)
    if "-----BEGIN" in plain or any(piece in plain for piece in pieces):
        return "the controller's text is withheld, it repeats a secret"
    return sentence if len(sentence) <= _LONGEST else f"{sentence[:_LONGEST]}…"


def _secrets_of(call: Call) -> list[str]:
    if call.body is None or call.type != "sslkeyandcertificate":
        return []
    body = _json(call.body)
    values = [body.get(name) for name in _SECRET_FIELDS] if isinstance(body, dict) else []
    return [value for value in values if isinstance(value, str)]
