"""Simulated sites by the thousand, what they reach of the code that they are about, and what they notice missing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.figures import Figure, Scale, scenario

ROOT = Path(__file__).parents[2]
REACHED = ("workers/plan.py", "workers/reconcile.py", "workers/resync.py", "shared/state/work.py")


@scenario("simulation", "watcher, workers, Redis and controller under every fault at once, in virtual time")
def simulation(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Printed beside the figures are the seeds that failed, each with the command that replays it."""
    seeds = scale.of(20, 2000)
    counts = _run(f"1-{seeds}", "--jobs", "2")
    yield Figure("seeds run", counts["seeds"], "==", seeds)
    yield Figure("seeds that did not come out right", counts["failed"], "==", 0)
    yield Figure("steps, each followed by the checks", counts["steps"], ">=", 5000 * seeds)
    yield Figure("steps per second", counts["steps/s"], ">=", 1)
    mutants = _run("--mutants", f"1-{scale.of(7, 600)}", "--jobs", "2")
    yield Figure("parts taken out of the program", mutants["mutants"], ">=", 12)
    yield Figure("of these not noticed", mutants["mutants"] - mutants["noticed"], "<=", scale.of(8, 0))
    for name, percent in _coverage(folder / "coverage", scale.of(12, 40)).items():
        yield Figure(f"lines of {name} that it runs", percent, ">=", 90, "%")


def _run(*args: str) -> dict[str, int]:
    """The numbers of the last line that the command prints."""
    done = _python("-m", "tests.simulation", *args)
    for line in done.stdout.splitlines():
        if "failed at" in line or "replay" in line or "NOT NOTICED" in line:
            print(line[:500], file=sys.stderr)
    last = (done.stdout.splitlines() or [""])[-1]
    counts = {name: int(number) for name, number in re.findall(r"(\S+) (\d+)\b", last)}
    if not counts:
        raise RuntimeError(f"the simulation did not run:\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}")
    return counts


def _coverage(data: Path, seeds: int) -> dict[str, float]:
    """Percent of the lines of each file that a run of some seeds reaches."""
    include = f"--include={','.join(REACHED)}"
    _python(
        "-m",
        "coverage",
        "run",
        "--concurrency=greenlet",
        f"--data-file={data}",
        include,
        "-m",
        "tests.simulation",
        f"1-{seeds}",
    )
    _python("-m", "coverage", "json", f"--data-file={data}", "-o", f"{data}.json")
    files = json.loads(Path(f"{data}.json").read_text())["files"]
    return {name: round(files[name]["summary"]["percent_covered"], 1) for name in REACHED}


def _python(*args: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run([sys.executable, *args], cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
