"""The session with the controller: one login for the whole process, one connection for each thread.

The login lives in a `_Ticket`, an immutable value with a generation number. A call takes the current ticket along; if
the controller refuses it (401, 419, or 403 for its CSRF token), the thread asks for a newer one than that it used.
Only the first to ask logs in; the others wait for it and share its ticket, or its failure, so that a controller that is
down is not asked by every thread in turn. The refused call, which changed nothing, is then repeated once.

A controller that refuses the credentials is not hammered: for a while, growing from 2 s to 60 s, nobody logs in and
calls that would need a login fail at once.

Cookies and the CSRF token are passed with each request and taken over from answers that set new ones. They are in no
repr, message or log line.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import orjson

from shared.avi.calls import Answer, Call, refusal
from shared.avi.transport import Endpoint, Wire, trust
from shared.errors import AviAuthError, AviError, AviRefused, AviUnreachable
from shared.settings.model import Credentials
from shared.telemetry import CALLS_IN_FLIGHT
from shared.tracing import span

log = logging.getLogger(__name__)

OnCall = Callable[[str, str, int, float], None]

_FIRST_PAUSE = 2.0  # seconds without login attempts after a refusal; doubled by each further one
_LONGEST_PAUSE = 60.0
_CSRF = "csrftoken"


@dataclass(frozen=True, slots=True)
class _Ticket:
    """A login: what every request has to carry."""

    generation: int
    cookies: dict[str, str] = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"Cookie": cookie, "X-CSRFToken": self.cookies[_CSRF]}


class AviSession:
    """Sends calls as a logged-in user. Safe for any number of threads; not to be carried over a fork.

    `connect_timeout` and `read_timeout` are seconds, the latter for a whole answer. At most `max_in_flight` calls are
    on the wire at once; further ones wait. `on_call(method, type, status, seconds)` is told of every exchange, with
    status 0 when no answer came; it must not raise.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        version: str,
        connect_timeout: float,
        read_timeout: float,
        max_in_flight: int,
        ipv6: bool = False,
        on_call: OnCall | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint = endpoint
        self._credentials = credentials
        self._tls = trust(credentials.ca) if endpoint.scheme == "https" else None
        self._timeouts = (connect_timeout, read_timeout)
        self._ipv6 = ipv6
        self._permits = threading.BoundedSemaphore(max_in_flight)
        self._on_call = on_call
        self._clock = clock
        self._common = {
            "Content-Type": "application/json",
            "Referer": f"{endpoint.url}/",
            "User-Agent": "ako-celery",
            "X-Avi-Version": version,
        }
        self._local = threading.local()
        self._wires: weakref.WeakSet[Wire] = weakref.WeakSet()  # a thread's wire goes when the thread does
        self._closed = False
        self._lock = threading.Lock()  # guards what follows, never held during I/O
        self._ticket: _Ticket | None = None
        self._attempts = 0  # logins that have ended, either way
        self._failure: AviError | None = None  # of the last of them
        self._refusals = 0
        self._no_login_before = 0.0
        self._login_lock = threading.Lock()  # held by the one thread that logs in

    def send(self, call: Call) -> Answer:
        """The answer to the call, whatever it says but that the session has expired.

        Raises AviUnreachable, and AviAuthError when the credentials, or the ticket of a new login, are refused; also
        AviBusy and AviUnavailable when the controller says so to the login.
        """
        ticket = self._ticket or self._login(0)
        answer = self._exchange(call, ticket)
        if _expired(answer):
            ticket = self._login(ticket.generation)
            answer = self._exchange(call, ticket)
            if _expired(answer):
                if self._ticket is not None and self._ticket.generation == ticket.generation:
                    self._hold()
                text = f"refused ({answer.status}) although the login had just succeeded"
                raise AviAuthError(text, status=answer.status, where=str(call), action="Check the user's role.")
        if self._refusals:
            with self._lock:
                self._refusals = 0
        return answer

    def secrets(self) -> list[str]:
        """Texts that must not appear in any message."""
        ticket = self._ticket
        return [self._credentials.password, self._credentials.token, *(ticket.cookies.values() if ticket else ())]

    def close(self) -> None:
        """Close every connection; later calls fail as unreachable."""
        self._closed = True
        with self._lock:
            wires = list(self._wires)
        for wire in wires:
            wire.close()

    # One exchange

    def _exchange(self, call: Call, ticket: _Ticket) -> Answer:
        headers = {**self._common, "X-Avi-Tenant": _header_text(call.tenant), **ticket.headers}
        with self._permits:
            answer = self._on_wire(call, headers)
        if answer.cookies:
            self._take_over(ticket, answer)
        return answer

    def _on_wire(self, call: Call, headers: dict[str, str]) -> Answer:
        if call.body is not None:
            headers["Content-Length"] = str(len(call.body))
        started, status = time.monotonic(), 0
        CALLS_IN_FLIGHT.inc()
        try:
            with span(f"avi {call.method} {call.type}", {"ako.object": call.name}) as traced:
                answer = self._wire().exchange(call, headers)
                traced["http.response.status_code"] = status = answer.status
        finally:
            CALLS_IN_FLIGHT.dec()
            seconds = time.monotonic() - started
            log.debug("%s: %d in %.1f ms", call, status, seconds * 1000)
            if self._on_call is not None:
                self._on_call(call.method, call.type, status, seconds)
        return answer

    def _wire(self) -> Wire:
        wire: Wire | None = getattr(self._local, "wire", None)
        if self._closed:
            raise AviUnreachable("the client is closed", sent=False)
        if wire is None:
            wire = self._local.wire = Wire(self._endpoint, self._tls, *self._timeouts, ipv6=self._ipv6)
            with self._lock:
                self._wires.add(wire)
        return wire

    def _take_over(self, ticket: _Ticket, answer: Answer) -> None:
        """Use what this answer sets from now on, unless somebody has logged in anew meanwhile."""
        fresh = {name: value for name, value in _cookies(answer).items() if name in ticket.cookies}
        with self._lock:
            current = self._ticket
            if current is not None and current.generation == ticket.generation:
                self._ticket = replace(current, cookies={**current.cookies, **fresh})

    # Login

    def _login(self, seen: int) -> _Ticket:
        """A ticket newer than generation `seen`; logs in unless another thread has just done it, or failed to."""
        attempts = self._attempts
        with self._login_lock:
            if self._ticket is not None and self._ticket.generation > seen:
                return self._ticket
            if self._attempts != attempts and self._failure is not None:
                raise _twin(self._failure)
            wait = self._no_login_before - self._clock()
            if wait > 0:
                raise _credentials_refused(f"The next attempt is due in {wait:.1f} s.")
            self._failure = None
            try:
                cookies = self._log_in()
            except AviError as error:
                self._failure = _twin(error)
                raise
            finally:
                self._attempts += 1
            with self._lock:
                ticket = self._ticket = _Ticket(seen + 1, cookies)
        return ticket

    def _log_in(self) -> dict[str, str]:
        """The cookies of a new session. No failure here has `sent`: the call that needs the login has no effect yet."""
        user = self._credentials
        secret = {"token": user.token} if user.token else {"password": user.password}
        call = Call("POST", "login", "", "/login", "admin", orjson.dumps({"username": user.username, **secret}))
        try:
            answer = self._on_wire(call, dict(self._common))
        except AviUnreachable as error:
            error.sent = False
            raise
        if not 200 <= answer.status < 300:
            raise self._login_error(call, answer)
        cookies = _cookies(answer)
        if _CSRF not in cookies or len(cookies) < 2:
            raise AviUnreachable("no session in the answer; is this an Avi Controller?", sent=False, where=str(call))
        return cookies

    def _login_error(self, call: Call, answer: Answer) -> AviError:
        # Without the controller's sentence: it is the one answer that could repeat a password of any length.
        error = refusal(call, answer._replace(body=b"{}"))
        if isinstance(error, AviUnreachable):
            error.sent = False
        if answer.status == 404:
            return AviUnreachable("no login here (404); is this an Avi Controller?", sent=False, where=str(call))
        if not isinstance(error, (AviAuthError, AviRefused)):
            return error
        self._hold()
        return _credentials_refused("Check user and password or token.", answer.status)

    def _hold(self) -> None:
        """No further login for a while."""
        with self._lock:
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._refusals, 10))
            self._refusals += 1
            self._no_login_before = self._clock() + pause


def _expired(answer: Answer) -> bool:
    """Whether the session is no longer good: unknown, ended, or its CSRF token is not the one of the cookie."""
    return answer.status in {401, 419} or (answer.status == 403 and b"CSRF" in answer.body)


def _credentials_refused(action: str, status: int = 401) -> AviAuthError:
    return AviAuthError("the controller refuses the credentials", status=status, where="login", action=action)


def _twin(error: AviError) -> AviError:
    """The same error without a traceback, for another thread to raise."""
    twin = type(error).__new__(type(error), *error.args)
    twin.__dict__.update(error.__dict__)
    return twin


def _cookies(answer: Answer) -> dict[str, str]:
    """Names and values that the answer sets; what it clears (an empty value) is left out."""
    pairs = (cookie.split(";", 1)[0].partition("=") for cookie in answer.cookies)
    return {name.strip(): value.strip() for name, _, value in pairs if value.strip(' "')}


def _header_text(tenant: str) -> str:
    if not tenant.isprintable():
        raise AviRefused("a tenant's name with control characters cannot be sent", where=f"tenant {tenant!r}")
    return tenant.encode().decode("latin-1")  # goes out as UTF-8
