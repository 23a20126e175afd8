"""Simulated sites, and whether the simulation would notice if something were missing. See `run` and `mutants`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SEEDS = 30
MUTANTS = 10


def simulation(*args: str) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own since it replaces clock and chance."""
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "tests.simulation", *args]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=110, check=False)


def test_sites_come_out_right_whatever_fails() -> None:
    """At the end of each seed stands what the cluster asks for, and nothing that must hold was broken on the way."""
    done = simulation(f"1-{SEEDS}", "--jobs", "2")
    assert f"seeds {SEEDS} failed 0 " in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.returncode == 0


def test_a_seed_replays_to_the_last_call() -> None:
    """Two runs of a seed make the same calls at the same virtual times."""
    first, second = (re.sub(r"steps/s .*", "", simulation("5", "--trace").stdout) for _ in range(2))
    assert first.count("\n") > 200
    assert first == second


def test_missing_parts_of_the_program_are_noticed() -> None:
    """The program without one of the things that it rests on comes out wrong at some seed.

    Any change of the program changes what each seed does, so that a few are noticed by later seeds only; `make chaos`
    looks at many, and demands them all.
    """
    done = simulation("--mutants", "1-7", "--jobs", "2")
    counts = re.search(r"mutants \d+ noticed (\d+)", done.stdout)
    assert counts is not None, done.stdout + done.stderr[-3000:]
    assert int(counts[1]) >= MUTANTS, done.stdout
