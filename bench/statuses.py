"""How fast the statuses of many Ingresses are written: all of them are wiped at once behind the pipeline's back.

One worker process as it is by default, real HTTP to the API server emulator, whose every call takes `latency_ms`. What
is counted is what arrived there: each Ingress needs two patches, one of its annotations and one of its status;
each of its hosts gets an Event beside them.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from bench import world
from bench.pipeline import Measured, converged, until
from cli.stack import Stack

PATCHES = 2  # of an Ingress whose status and annotations are both gone


def statuses(hosts: int, latency_ms: int, workers: int = 1) -> dict[str, float]:
    """Seconds from the wiping until the last patch was answered, patches in a second, and how many there were."""
    with (
        tempfile.TemporaryDirectory() as directory,
        Stack(Path(directory), values=world.values(), workers=workers, watcher=False) as stack,
    ):
        measured = Measured(stack)
        measured.load(world.world(hosts))
        stack.start_watcher()
        converged(measured, hosts)
        stack.kube_control("latency", {"ms": latency_ms})
        stack.kube_control("audit", method="DELETE")
        began = time.time()
        measured.load([_wiped(number) for number in range(hosts)])
        until(lambda: measured.statuses() == hosts, 120, 0.2)
        calls = _calls(stack)
    written = [call for call in calls if call["method"] == "PATCH" and "/ingresses/" in call["path"]]
    seconds = max(call["t"] + call["ms"] / 1000 for call in written) - began
    return {
        "seconds": seconds,
        "patches": len(written),
        "patches a second": len(written) / seconds,
        "needed": PATCHES * hosts,
        "repeated": len(written) - len({call["path"] for call in written}),
        "Events": sum(call["method"] == "POST" for call in calls),
    }


def _wiped(number: int) -> dict[str, Any]:
    ingress = world.objects_of(number)[-1]
    ingress["metadata"]["annotations"] = {}
    return {**ingress, "status": {}}


def _calls(stack: Stack) -> list[dict[str, Any]]:
    """The writes of the pipeline but for its lease, once a second has brought no more."""
    count = -1
    while True:
        calls = [
            call
            for call in stack.kube_control("audit")["calls"]
            if call["method"] in {"PATCH", "POST", "PUT"} and "/leases" not in call["path"]
        ]
        if len(calls) == count:
            return calls
        count = len(calls)
        time.sleep(1)
