"""A flood of nodes: how often the VRF is written, how long the last route takes, and what that costs in memory."""

from __future__ import annotations

import ipaddress
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import world
from bench.pipeline import Measured, memory, settle, until
from cli.stack import Stack

V4, V6 = int(ipaddress.ip_address("10.128.0.0")), int(ipaddress.ip_address("fd00:128::"))


def node(number: int) -> dict[str, Any]:
    """A dual-stack node with a pod network of each family."""
    networks = [
        str(ipaddress.ip_network((V4 + (number << 8), 24))),
        str(ipaddress.ip_network((V6 + (number << 64), 64))),
    ]
    address = str(ipaddress.ip_address("10.60.0.1") + number)
    address6 = str(ipaddress.ip_address("2001:db8:60::1") + number)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"flood{number:05d}"},
        "spec": {"podCIDR": networks[0], "podCIDRs": networks},
        "status": {"addresses": [{"type": "InternalIP", "address": text} for text in (address, address6)]},
    }


def backend() -> list[dict[str, Any]]:
    """One host with its Service and endpoints."""
    return world.objects_of(1)


def _values() -> dict[str, Any]:
    values = world.values()
    values["AKOSettings"]["ipFamily"] = "V4_V6"
    return {**values, "featureGates": {"DualStackBackends": True, "IPv6AnyCNI": True}}


def flood(count: int = 1000, seconds: float = 10.0, batch: int = 10) -> dict[str, float]:
    """`count` nodes in `seconds`, a batch at a time; ends when each of them has its two routes."""
    with (
        tempfile.TemporaryDirectory() as directory,
        Stack(Path(directory), values=_values(), workers=2) as stack,
    ):
        measured = Measured(stack)
        measured.load(world.base())
        until(lambda: _routes(measured) == 2, 60)
        settle(measured, 16.0)  # a row of writes ends after 15 s without one
        before = memory(stack)
        began = time.time()
        for number, first in enumerate(range(0, count, batch), 1):
            measured.load([node(n) for n in range(first, min(first + batch, count))])
            time.sleep(max(0.0, began + seconds * number * batch / count - time.time()))
        loaded = time.time()
        done = until(lambda: _routes(measured) == 2 + 2 * count, 120, 0.2)
        writes = [call for call in measured.writes() if call["method"] == "PUT" and "vrfcontext" in call["path"]]
        after = memory(stack)
        return {
            "nodes loaded within, s": loaded - began,
            "all routes there after, s": done - began,
            "writes of the VRF": len(writes),
            "the longest write, ms": max(call.get("ms", 0.0) for call in writes),
            "watcher, MB more": after["watcher_rss"] - before["watcher_rss"],
            "largest worker, MB": after["worker_rss"],
            "largest worker, MB more": after["worker_rss"] - before["worker_rss"],
        }


def _routes(measured: Measured) -> int:
    (vrf,) = [each for each in measured.dump("vrfcontext")["vrfcontext"] if each["name"] == "global"]
    return len(vrf.get("static_routes", []))
