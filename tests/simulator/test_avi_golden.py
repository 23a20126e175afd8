"""The recorded calls of the real AKO get the recorded answers, and leave the recorded objects behind."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.avi_world import PASSWORD, Api, controller

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())
UUID = re.compile(r"\b([a-z0-9]+)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b(?:#([\w.-]+))?")
HOST = re.compile(r"https://127\.0\.0\.1:\d+")
# A uuid of the recording's controller stands for the object that its `#name` tells, else for the one of its type here.
SEEDED = {
    "cloud": "Default-Cloud",
    "vrfcontext": "global",
    "serviceenginegroup": "Default-Group",
    "network": "node-net",
}


def calls(case: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (GOLDEN / case / "requests.jsonl").read_text().splitlines()]


class Replay:
    """Sends recorded calls to a controller whose uuids and timestamps are others."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def text(self, text: str) -> str:
        """A recorded path or body with our uuids in place of the recording's."""
        return UUID.sub(self._ours, HOST.sub(self.api.url, text))

    def _ours(self, match: re.Match[str]) -> str:
        rest_type = match[1]
        if rest_type == "peer":  # of a route id
            return match[0]
        name = match[2] or SEEDED[rest_type]
        return str(self.api.get(f"/api/{rest_type}?name={name}")["results"][0]["uuid"])

    def send(self, call: dict[str, Any]) -> int:
        path = self.text(call["path"])
        if path == "/login":
            return self.api.login().status_code
        body = json.loads(self.text(json.dumps(call["body"]))) if "body" in call else None
        if body and "_last_modified" in body:
            body["_last_modified"] = self.api.get(path)["_last_modified"]
        answer = self.api.call(call["method"], path, body, X_Avi_Tenant=call["tenant"], X_Avi_Version=call["version"])
        return answer.status_code


def settled(value: Any) -> Any:
    """Without what the README of the cases leaves out: masked or made-up texts, and the order of what has none."""
    if isinstance(value, dict):
        return {key: settled(item) for key, item in value.items() if key not in {"route_id", "key_passphrase"}}
    if isinstance(value, list):
        return sorted((settled(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


@pytest.mark.parametrize("case", CASES)
def test_replay(case: str) -> None:
    """Each recorded call gets its recorded status, and the objects that stand in the end are the recorded ones."""
    with controller() as api:
        replay = Replay(api)
        answers = [(call["n"], call["method"], call["path"], replay.send(call)) for call in calls(case)]
        assert answers == [(call["n"], call["method"], call["path"], call["status"]) for call in calls(case)]
        expected = json.loads((GOLDEN / case / "avi.json").read_text())
        dump = api.control("GET", f"dump?type={','.join(expected)}")
        dump["vrfcontext"].pop("management")
        for rest_type, objects in expected.items():
            assert settled(dump[rest_type]) == settled(objects)


@pytest.mark.parametrize("case", CASES)
def test_load(case: str) -> None:
    """A recorded world that is loaded stands on the controller as it was recorded."""
    expected = json.loads((GOLDEN / case / "avi.json").read_text())
    with controller() as api:
        uuids = api.control("POST", "load", expected)["uuids"]
        assert set(uuids) == {f"{rest_type}/{name}" for rest_type, objects in expected.items() for name in objects}
        dump = api.control("GET", f"dump?type={','.join(expected)}")
        dump["vrfcontext"].pop("management")
        assert settled(dump) == settled(expected)
        pool = api.get(f"/api/pool/{uuids[next(key for key in uuids if key.startswith('pool/'))]}?include_name")
        assert pool["cloud_ref"].endswith("#Default-Cloud")


def test_the_replay_would_notice() -> None:
    """A recorded call in front of the one that it refers to is refused, so the replay does compare something."""
    last = calls("01-insecure-v4-sni")[-1]
    with controller() as api:
        assert Replay(api).send(last) == 404
    assert PASSWORD not in json.dumps(last)
