"""Runs seeds, or replays one.

    python -m tests.simulation                 seeds 1 to 60
    python -m tests.simulation 1-2000          these
    python -m tests.simulation 17 --trace      one, with every call
    python -m tests.simulation --mutants       which seed notices that a part of the program is missing

Prints a line for each seed that fails, with the command that replays it, and at the end seeds, steps and steps per
second. The exit code is 1 when a seed failed.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from multiprocessing import get_context

from tests.simulation.mutants import MUTANTS
from tests.simulation.redis_wire import serving
from tests.simulation.run import Outcome, simulate

SEEDS = 60

_own: list[str] = []  # the URL of the Redis of this process of a pool


def main() -> int:
    """The command."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of a set is a matter of chance otherwise, and a seed would not replay.
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Simulated sites under faults.")
    parser.add_argument("seeds", nargs="?", default="", help="a seed, or a range (default: 1-60)")
    parser.add_argument("--trace", action="store_true", help="print every call with its virtual time")
    parser.add_argument(
        "--mutants",
        action="store_true",
        help="take parts of the program out, one at a time, until a seed notices",
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--fail-fast", action="store_true", help="stop at the first seed that fails")
    options = parser.parse_args()
    first, _, last = (options.seeds or f"1-{SEEDS}").partition("-")
    seeds = range(int(first), int(last or first) + 1)
    logging.disable(logging.CRITICAL)
    if options.mutants:
        return _all_mutants(seeds if options.seeds else (), options.jobs)
    failed = steps = writes = 0
    strikes: Counter[str] = Counter()
    began = time.perf_counter()
    for outcome in _outcomes(seeds, options.jobs, print if options.trace else None):
        steps += outcome.steps
        writes += outcome.writes
        strikes.update(outcome.strikes)
        if outcome.wrong:
            failed += 1
            print(f"seed {outcome.seed} failed {outcome.wrong}")
            print(f"  replay: python -m tests.simulation {outcome.seed} --trace", flush=True)
            if options.fail_fast:
                break
    seconds = time.perf_counter() - began
    print(f"strikes: {', '.join(f'{name} {count}' for name, count in sorted(strikes.items()))}")
    speed = f"steps/s {steps / seconds:.0f} seconds {seconds:.1f}"
    print(f"seeds {len(seeds)} failed {failed} steps {steps} writes {writes} {speed}")
    return 1 if failed else 0


def _outcomes(seeds: Iterable[int], jobs: int, trace: Callable[[str], None] | None) -> Iterator[Outcome]:
    """The outcomes of the seeds, from one Redis and one process for each job."""
    with ExitStack() as servers:
        urls = [servers.enter_context(serving()) for _ in range(jobs)]
        if jobs == 1:
            yield from (simulate(urls[0], seed, trace) for seed in seeds)
            return
        left = get_context("fork").SimpleQueue()
        for url in urls:
            left.put(url)
        with get_context("fork").Pool(jobs, initializer=lambda: _own.append(left.get())) as pool:
            yield from pool.imap_unordered(_in_pool, seeds)


def _hunt(job: tuple[str, Sequence[int]]) -> tuple[str, int, str]:
    """The first seed that notices what is missing: (name, seed, how); seed 0 when none does."""
    name, seeds = job
    take_out, known = MUTANTS[name]
    take_out()
    with serving() as url:
        for seed in seeds or (known, *range(1, SEEDS + 1)):
            if wrong := simulate(url, seed).wrong:
                return name, seed, wrong
    return name, 0, ""


def _all_mutants(seeds: Sequence[int], jobs: int) -> int:
    survivors = 0
    with get_context("fork").Pool(jobs, maxtasksperchild=1) as pool:
        for name, seed, how in pool.imap_unordered(_hunt, [(name, seeds) for name in MUTANTS]):
            survivors += not seed
            print(f"without {name}: {f'noticed by seed {seed} {how[:100]!r}' if seed else 'NOT NOTICED'}", flush=True)
    print(f"mutants {len(MUTANTS)} noticed {len(MUTANTS) - survivors}")
    return 1 if survivors else 0


def _in_pool(seed: int) -> Outcome:
    return simulate(_own[0], seed)


if __name__ == "__main__":
    sys.exit(main())
