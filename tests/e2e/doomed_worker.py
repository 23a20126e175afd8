"""A worker that kills itself (SIGKILL) at a named point; run as a process of its own by the end-to-end tests.

Environment: `DOOM_POINT` is `after-claim`, `after-write` or `before-finish`; `DOOM_KEY` the key whose run it concerns;
`DOOM_COUNT` the number of the write after which it dies; `DOOM_MARK` a file that is written right before, so that the
test can tell that the point was reached.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from shared.avi.client import AviClient
from shared.state import Claim, Work

POINT, KEY = os.environ["DOOM_POINT"], os.environ["DOOM_KEY"]
running = {"key": "", "writes": 0}


def die() -> NoReturn:
    Path(os.environ["DOOM_MARK"]).write_text(f"{POINT} {running['key']} {running['writes']}")
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit


def doomed_claim(self: Work, keys: Any = ()) -> Claim | None:
    claim = claim_of_work(self, keys)
    if claim is not None and claim.key == KEY:
        running["key"] = claim.key
        if POINT == "after-claim":
            die()
    return claim


def doomed_finish(self: Work, claim: Claim, *args: Any, **kwargs: Any) -> str:
    if claim.key == KEY and POINT == "before-finish":
        die()
    return finish_of_work(self, claim, *args, **kwargs)


def counted(call: Any) -> Any:
    def write(self: AviClient, *args: Any, **kwargs: Any) -> Any:
        answer = call(self, *args, **kwargs)
        if running["key"] == KEY and POINT == "after-write":
            running["writes"] += 1
            if running["writes"] == int(os.environ["DOOM_COUNT"]):
                die()
        return answer

    return write


claim_of_work, finish_of_work = Work.claim, Work.finish
Work.claim, Work.finish = doomed_claim, doomed_finish  # type: ignore[method-assign]
AviClient.create = counted(AviClient.create)  # type: ignore[method-assign]
AviClient.update = counted(AviClient.update)  # type: ignore[method-assign]
AviClient.delete = counted(AviClient.delete)  # type: ignore[method-assign]

if __name__ == "__main__":
    from cli.main import main

    sys.exit(main(["worker", "--concurrency", "1", "--health-port", "0"]))
