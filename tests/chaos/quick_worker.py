"""A worker whose pauses after failures are shorter: `python -m tests.chaos.quick_worker FACTOR`.

Every delay that an error asks for and the longest pause between two probes of a controller that is away are divided by
FACTOR, so that an outage of minutes can be looked at in seconds. The rest is a worker like any other.
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any

from cli.main import main
from shared.state import connection
from workers import outcome, reconcile

LONGEST_PAUSE = "30e6"  # as finish.lua has it


def hurry(factor: float) -> None:
    """Shortens the pauses of this process."""
    of_error, source = outcome.of_error, connection._source

    def quick(error: Any, failures: int) -> Any:
        what, delay = of_error(error, failures)
        return what, delay / factor

    def script(name: str) -> tuple[str, str]:
        text, digest = source(name)
        if name != "finish":
            return text, digest
        if LONGEST_PAUSE not in text:
            raise ValueError(f"finish.lua no longer has {LONGEST_PAUSE}")
        text = text.replace(LONGEST_PAUSE, f"({LONGEST_PAUSE} / {factor})")
        return text, hashlib.sha1(text.encode()).hexdigest()

    reconcile.of_error = quick  # type: ignore[attr-defined]
    connection._source = script  # type: ignore[assignment]


if __name__ == "__main__":
    hurry(float(sys.argv[1]))
    sys.exit(main(["worker", "--health-port", "0"]))
