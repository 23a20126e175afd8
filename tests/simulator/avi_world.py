"""A simulated controller for tests: in a thread, over real HTTP, with a logged-in `requests` session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from simulator.avi.app import AviSimulator
from simulator.server import running

PASSWORD = "correct horse"
VERSION = "30.2.1"


class Api:
    """A plain client: JSON in and out, session cookies and CSRF token as a browser would send them."""

    def __init__(self, url: str, verify: str | bool = True) -> None:
        self.url = url
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.verify = verify
        self.http.headers.update({"X-Avi-Version": VERSION, "X-Avi-Tenant": "admin", "Referer": url})

    def login(self) -> requests.Response:
        answer = self.http.post(f"{self.url}/login", json={"username": "admin", "password": PASSWORD})
        self.http.headers["X-CSRFToken"] = answer.cookies.get("csrftoken") or ""
        return answer

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, self.url + path, json=body, headers=names, timeout=20)

    def get(self, path: str, **headers: str) -> Any:
        answer = self.call("GET", path, **headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any, **headers: str) -> Any:
        answer = self.call("POST", path, body, **headers)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def refused(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        answer = self.call(method, path, body, **headers)
        return answer.status_code, answer.json()["error"]

    def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(method, f"{self.url}/simulator/{path}", json=body, timeout=20)
        assert answer.status_code in {200, 204}, answer.text
        return answer.json() if answer.content else None


@contextmanager
def controller() -> Iterator[Api]:
    """A fresh world and a logged-in client."""
    simulator = AviSimulator(password=PASSWORD)
    with running(simulator.handle) as server:
        api = Api(server.url)
        assert api.login().status_code == 200
        yield api
