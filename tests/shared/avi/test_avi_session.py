"""Login, expiry, relogin by one thread, refused credentials, cookies."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.avi.calls import Call
from shared.avi.client import AviClient
from shared.avi.session import AviSession
from shared.avi.transport import parse_endpoint
from shared.errors import AviAuthError, AviBusy, AviError, AviUnreachable
from shared.settings.model import Credentials
from tests.shared.avi.scripted_controller import Controller, Request, is_in, logged_in, running
from tests.support import wait_for

USER = Credentials("admin", password="pass-secret-0001")
GET = Call("GET", "pool", "p", "/api/pool/p", "admin")
POST = Call("POST", "pool", "p", "/api/pool", "admin", b"{}")


class Clock:
    """A clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def controller() -> Iterator[Controller]:
    with running() as controller:
        yield controller


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def session(controller: Controller, clock: Clock) -> Iterator[AviSession]:
    session = AviSession(
        parse_endpoint(controller.url),
        USER,
        version="30.2.1",
        connect_timeout=2.0,
        read_timeout=5.0,
        max_in_flight=32,
        clock=clock,
    )
    yield session
    session.close()


def numbered_logins(controller: Controller) -> None:
    """Each login gives a session of its own."""
    numbers = itertools.count(1)
    controller.login = lambda request: logged_in(session=f"session-{next(numbers)}")


def only_session(wanted: Callable[[], str], status: int = 401) -> Any:
    """Answers 200 to the session `wanted()` and `status` to all others."""

    def answer(request: Request) -> Any:
        if request.cookies.get("avi-sessionid") == wanted():
            return 200, {"name": "n"}
        return status, {"error": "CSRF Failed"}

    return answer


@pytest.mark.parametrize("status", [401, 419, 403])
@pytest.mark.parametrize("call", [GET, POST])
def test_an_expired_session_is_renewed_once(
    controller: Controller, session: AviSession, status: int, call: Call
) -> None:
    """A call refused with 401, 419 or for its CSRF token is repeated once after a new login, a POST too."""
    numbered_logins(controller)
    controller.answer = only_session(lambda: "session-2", status)
    assert session.send(call).status == 200
    assert len(controller.logins) == 2
    assert [r.method for r in controller.requests] == [call.method] * 2


def test_many_threads_log_in_once(controller: Controller, session: AviSession) -> None:
    """Twelve threads that meet the expiry at the same time cause one login together, and all get their answer."""
    numbered_logins(controller)
    valid, count = ["session-1"], 12
    refused = threading.Barrier(count)
    plain = only_session(lambda: valid[0])

    def answer(request: Request) -> Any:
        if request.cookies["avi-sessionid"] == "session-1" and valid[0] == "session-2":
            refused.wait(10)  # all twelve hold the old session when the first refusal goes out
        return plain(request)

    controller.answer = answer
    session.send(GET)
    valid[0] = "session-2"
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(session.send(GET).status)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert statuses == [200] * count
    assert len(controller.logins) == 2


def test_a_failed_login_is_shared_by_those_who_waited(controller: Controller, session: AviSession) -> None:
    """Threads that waited for a login get its failure, each its own error, instead of trying one after the other."""
    begun, go_on = threading.Event(), threading.Event()

    def login(request: Request) -> Any:
        begun.set()
        go_on.wait(10)
        return 500, {"error": "oops"}

    controller.login = login
    errors: list[AviError] = []

    def work() -> None:
        try:
            session.send(POST)
        except AviError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    wait_for(lambda: all(is_in("_login", thread) for thread in threads), what="all threads to want a login")
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert [type(error) for error in errors] == [AviUnreachable] * 6
    assert len(set(map(id, errors))) == 6
    assert all(isinstance(error, AviUnreachable) and not error.sent and error.status == 500 for error in errors)
    assert len(controller.logins) == 1
    assert controller.requests == []


def test_a_second_refusal_is_an_error(controller: Controller, session: AviSession) -> None:
    """401 again right after a login is AviAuthError, and no further login follows for a while."""
    controller.answer = lambda request: (401, {"error": "no"})
    for _ in range(3):
        with pytest.raises(AviAuthError):
            session.send(GET)
    assert len(controller.logins) == 2


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused_credentials_are_not_hammered(
    controller: Controller, session: AviSession, clock: Clock, status: int
) -> None:
    """After a refused login nobody asks again for 2 s, then 4 s, up to 60 s; a success starts anew."""
    controller.login = lambda request: (status, {"error": "Invalid credentials"})
    pauses = []
    for _ in range(7):
        attempts, since = len(controller.logins), clock.now
        while len(controller.logins) == attempts:
            with pytest.raises(AviAuthError):
                session.send(GET)
            clock.now += 1
        pauses.append(clock.now - 1 - since)
        clock.now -= 1
    assert pauses == [0, 2, 4, 8, 16, 32, 60]
    assert controller.requests == []
    controller.login = lambda request: logged_in()
    clock.now += 60
    assert session.send(GET).status == 200
    controller.login = lambda request: (401, {})
    controller.answer = lambda request: (401, {})
    attempts = len(controller.logins)
    for seconds in (0, 1, 1):
        clock.now += seconds
        with pytest.raises(AviAuthError):
            session.send(GET)
    assert len(controller.logins) == attempts + 2


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ((503, {}, [("Retry-After", "7")]), AviBusy),
        ((429, {}), AviBusy),
        ((500, b"<html>"), AviUnreachable),
        ((404, {"error": "no"}), AviUnreachable),
        ((302, b"", [("Location", "https://other/")]), AviUnreachable),
        ((200, {}), AviUnreachable),
        ((200, {}, [("Set-Cookie", "csrftoken=x")]), AviUnreachable),
        (None, AviUnreachable),
    ],
)
def test_a_login_that_fails_otherwise(
    controller: Controller, session: AviSession, reply: Any, error: type[AviError]
) -> None:
    """A login that is not refused but fails is busy or unreachable, never sent, and may be tried again at once."""
    controller.login = lambda request: reply
    for _ in range(2):
        with pytest.raises(error) as caught:
            session.send(POST)
    assert len(controller.logins) == 2
    assert not getattr(caught.value, "sent", False)
    assert getattr(caught.value, "retry_after", None) == (7.0 if reply and len(reply) > 2 and reply[0] == 503 else None)


def test_new_cookies_are_taken_over(controller: Controller, session: AviSession) -> None:
    """What an answer sets is used from the next call on; other cookies and cleared ones are not."""
    cookies = [
        ("Set-Cookie", "csrftoken=csrf-2; Path=/; Secure"),
        ("Set-Cookie", 'avi-sessionid=""; Max-Age=0'),
        ("Set-Cookie", "tracking=1"),
    ]
    controller.answer = lambda request: (200, {}, cookies)
    session.send(GET)
    session.send(POST)
    second = controller.requests[1]
    assert second.headers["x-csrftoken"] == "csrf-2"
    assert second.cookies == {"csrftoken": "csrf-2", "avi-sessionid": "session-secret-0001"}


def test_cookies_of_an_old_session_are_dropped(controller: Controller, session: AviSession) -> None:
    """A token set by an answer to an older session does not replace that of the login made meanwhile."""
    numbered_logins(controller)
    old_asked, renewed = threading.Event(), threading.Event()
    valid = ["session-1"]
    plain = only_session(lambda: valid[0])

    def answer(request: Request) -> Any:
        if request.method == "POST":
            old_asked.set()
            renewed.wait(10)
            return 200, {}, [("Set-Cookie", "csrftoken=of-the-old-session")]
        return plain(request)

    controller.answer = answer
    slow = threading.Thread(target=session.send, args=(POST,))
    slow.start()
    assert old_asked.wait(10)
    valid[0] = "session-2"
    session.send(GET)
    renewed.set()
    slow.join(10)
    session.send(GET)
    assert controller.requests[-1].cookies == {"csrftoken": "csrf-secret-0001", "avi-sessionid": "session-2"}


def test_a_login_during_a_full_house(controller: Controller) -> None:
    """With a single permit a call that has to log in anew does not wait for itself."""
    numbered_logins(controller)
    controller.answer = only_session(lambda: "session-2")
    client = AviClient(controller.url, USER, max_in_flight=1)
    assert client.get("pool", "p") == {"name": "n"}
