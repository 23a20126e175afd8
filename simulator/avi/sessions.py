"""Login sessions: cookie, CSRF token, and what happens without them."""

from __future__ import annotations

import hmac
import secrets
import urllib.parse
from typing import Any

import orjson

from simulator.avi.errors import ApiError
from simulator.server import Request, Response, json_response

COOKIE = "avi-sessionid"
READS = {"GET", "HEAD", "OPTIONS"}


class Sessions:
    """The sessions of one controller with one user. The password is also taken as an API token."""

    def __init__(self, username: str, password: str, version: dict[str, Any]) -> None:
        self._username, self._password, self._version = username, password, version
        self._tokens: dict[str, str] = {}  # session id -> CSRF token

    def login(self, request: Request) -> Response:
        """POST /login, as JSON or as a form. Raises ApiError 401."""
        given = _credentials(request)
        secret = given.get("password") or given.get("token") or ""
        if given.get("username") != self._username or not hmac.compare_digest(
            str(secret).encode(), self._password.encode()
        ):
            raise ApiError(401, "Invalid credentials")
        session, token = secrets.token_hex(16), secrets.token_hex(16)
        self._tokens[session] = token
        lines = [f"csrftoken={token}; Path=/"] + [
            f"{name}={session}; Path=/; HttpOnly" for name in (COOKIE, "sessionid")
        ]
        body = {
            "user_initialized": True,
            "session_cookie_name": COOKIE,
            "user": {"username": self._username, "is_superuser": True},
            "tenants": [{"name": "admin", "uuid": "admin"}],
            "version": self._version,
        }
        return json_response(body, headers={"set-cookie": "\n".join(lines)})

    def logout(self, request: Request) -> None:
        """Ends the call's session."""
        self._tokens.pop(_session(request), None)

    def expire(self) -> None:
        """Ends all sessions."""
        self._tokens.clear()

    def change_password(self, password: str) -> None:
        """From now on this is the password; all sessions end."""
        self._password = password
        self.expire()

    def check(self, request: Request) -> None:
        """Raises ApiError: 401 without a living session, 403 for a write without the session's CSRF token or, over TLS,
        without a Referer.
        """
        token = self._tokens.get(_session(request))
        if token is None:
            raise ApiError(401, "Authentication credentials were not provided or the session has expired")
        if request.method in READS:
            return
        if request.headers.get("x-csrftoken") != token:
            raise ApiError(403, "CSRF Failed: CSRF token missing or incorrect.")
        if request.scheme == "https" and not request.headers.get("referer"):
            raise ApiError(403, "CSRF Failed: Referer checking failed - no Referer.")


def _credentials(request: Request) -> dict[str, Any]:
    try:
        given = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        form = urllib.parse.parse_qs(request.body.decode("utf-8", "replace"))
        return {name: values[0] for name, values in form.items()}
    return given if isinstance(given, dict) else {}


def _session(request: Request) -> str:
    """The session id of the call's cookies; the cookie of either name will do."""
    found = ""
    for part in request.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE or (name == "sessionid" and not found):
            found = value.strip('"')
    return found
