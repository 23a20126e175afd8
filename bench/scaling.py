"""What more workers bring: the same burst of changes for one to four worker processes of two threads each.

With 100 ms controller latency a worker mostly waits, so more of them should help in proportion; without latency the
machine's cores are what there is. A figure with latency counts only while a fifth of the CPU is idle, since else it is
the machine that is measured.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import psutil

from bench import world
from bench.pipeline import Measured, converged, until
from cli.stack import Stack

HOSTS, LATENCY_MS, THREADS = 200, 100, 2
IDLE_DEMANDED = 20.0  # percent


def scaling(workers: int, latency_ms: int, hosts: int = HOSTS) -> dict[str, float]:
    """Seconds until the last of `hosts` endpoint changes, all made at once, is on the controller; the CPU's idle share.

    Each change is a GET and a PUT.
    """
    with (
        tempfile.TemporaryDirectory() as directory,
        Stack(Path(directory), values=world.values(concurrency=THREADS), workers=workers, watcher=False) as stack,
    ):
        measured = Measured(stack)
        measured.load(world.world(hosts))
        stack.start_watcher()
        converged(measured, hosts)
        stack.avi_control("latency", {"ms": latency_ms})
        changed = [world.endpoint_slice(number, change=7) for number in range(hosts)]
        measured.clear_audit()
        before = psutil.cpu_times()
        began = time.time()
        measured.load(changed)
        until(lambda: len(_puts(measured)) >= hosts, 120, 0.25)
        after = psutil.cpu_times()
        puts = _puts(measured)
        assert len(puts) == hosts
        total = sum(after) - sum(before)
        return {"seconds": max(puts) - began, "idle": 100 * (after.idle - before.idle) / total}


def _puts(measured: Measured) -> list[float]:
    """When each PUT of a pool was answered."""
    calls = [call for call in measured.writes() if call["method"] == "PUT" and call["status"]]
    return [call["t"] + call["ms"] / 1000 for call in calls]


def report() -> None:
    """Prints both curves; a figure that the machine spoilt is marked as void."""
    for latency_ms in (LATENCY_MS, 0):
        single = 0.0
        for workers in (1, 2, 3, 4):
            row = scaling(workers, latency_ms)
            single = single or row["seconds"]
            ratio = single / row["seconds"]
            void = latency_ms and row["idle"] < IDLE_DEMANDED
            figures = f"{row['seconds']:6.2f} s, {ratio:.2f} times, CPU {row['idle']:.0f} % idle"
            print(f"  {latency_ms:>3} ms, {workers} workers: {figures}{' (void)' if void else ''}", flush=True)
