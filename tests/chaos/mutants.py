"""Whether the tests would notice: each thing that the guarantees rest on is taken out, and a named test must fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.figures import Figure, Scale, scenario

ROOT = Path(__file__).parents[2]
GREEN, RED = 0, 1  # exit codes of pytest


@dataclass(frozen=True)
class Watchman:
    """The test that must fail when `mutant` (see tests/chaos/mutant.py) has taken `what` out."""

    mutant: str
    what: str
    test: str


WATCHMEN = (
    Watchman("tick", "the tick", "tests/test_state.py::test_an_ended_lease_makes_the_key_ready_again"),
    Watchman("generation", "the run after a mark", "tests/test_state.py::test_a_key_marked_during_its_run_runs_again"),
    Watchman(
        "second-try",
        "the second try after 412",
        "tests/workers/test_runs.py::test_concurrent_writers_of_the_routes_keep_each_others",
    ),
    Watchman("guard", "the mass-delete guard", "tests/watcher/test_reflector.py::test_a_mass_deletion_by_list_is_held"),
    Watchman(
        "deadline",
        "the time limit of an answer",
        "tests/shared/avi/test_avi_transport.py::test_the_whole_answer_has_one_deadline",
    ),
    Watchman("silence", "the death of a silent watch", "tests/shared/test_kube_stream.py::test_silence_is_death"),
    Watchman("backoff", "the backoff", "tests/chaos/test_chaos.py::test_the_figures_hold[api-server-503]"),
    Watchman(
        "deletes-last",
        "the order of deletes",
        "tests/workers/test_plan.py::test_an_update_that_drops_a_reference_comes_before_the_delete",
    ),
)


@scenario("mutants", "what the guarantees rest on is taken out of the program, one thing at a time")
def mutants(folder: Path, scale: Scale) -> Iterator[Figure]:
    """Beside them all those tests as they are: a test that is red anyway says nothing."""
    jobs = [f"{mutant},{each.test}" for each in WATCHMEN for mutant in ("-", each.mutant)]
    command = [sys.executable, "-m", "tests.chaos.mutant", *jobs]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=100, check=False)
    last = (done.stdout.splitlines() or [""])[-1].split()
    if last[:1] != ["codes"]:
        raise RuntimeError(f"the tests could not be run:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    codes = [int(code) for code in last[1:]]
    red_anyway = sum(code != GREEN for code in codes[::2])
    yield Figure(f"of these {len(WATCHMEN)} tests, red with nothing taken out", red_anyway, "==", 0)
    for each, code in zip(WATCHMEN, codes[1::2], strict=True):
        yield Figure(f"without {each.what}: {each.test.partition('::')[2]} fails", int(code == RED), "==", 1)
    yield Figure("parts taken out", len(codes[1::2]), ">=", 7)
