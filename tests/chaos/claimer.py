"""One of many processes that add keys and run them, over the real work protocol and nothing else.

Every add counts its key's number up and marks the key. A run notes the number that it finds when it starts, and puts
its name where only one run of the key may stand. So afterwards Redis tells two things: whether two runs of a key ever
overlapped (`overlaps`), and whether the last add of every key was seen by a run that started after it (`number` and
`seen` agree).
"""

# ruff: noqa: PLC0415 - what is imported must see the altered clock

from __future__ import annotations

import random
import sys
import threading
import time
from typing import Any

KEYS = [f"host:k{number:02d}" for number in range(50)]
DIGEST = "d"
CLUSTER = "claims"


def main(url: str, number: int, adds: int, clock: str) -> None:
    """Adds `adds` keys and runs whatever is ready until the parent sets `stop`; `clock` is "right" or "jumping"."""
    if clock == "jumping":
        from tests.chaos.altered_worker import jumping_clock

        jumping_clock()
    from shared.state import State, Work
    from workers.keeper import Keeper
    from workers.reconcile import Reconciler

    state = State(url, CLUSTER)
    work = Work(state, worker=f"claimer-{number}", digest=DIGEST, lease_ttl=10.0)
    keeper = Keeper(work, lambda *_: None, slots=1)
    keeper.start()
    draw = random.Random(number)
    reconciler = Reconciler(work, keeper, {"host": running(state, draw)}, lambda *_: None, controller="")
    threading.Thread(target=add, args=(url, number, adds), daemon=True).start()
    while not state.client.exists(state.key("stop")):
        reconciler.run([])
        time.sleep(draw.uniform(0.005, 0.02))
    keeper.stop()


def running(state: Any, draw: random.Random) -> Any:
    """The run of a key."""
    from workers.outcome import Result

    def run(claim: Any) -> Result:
        client, holder = state.client, state.key(f"holder:{claim.key}")
        alone = client.set(holder, claim.token, nx=True)
        seen = client.hget(state.key("number"), claim.key)
        time.sleep(draw.uniform(0, 0.01))
        if not alone or client.get(holder) != claim.token:
            client.incr(state.key("overlaps"))
        client.delete(holder)
        client.hset(state.key("seen"), claim.key, seen)
        client.incr(state.key("runs"))
        return Result()

    return run


def add(url: str, number: int, adds: int) -> None:
    """Adds random keys."""
    from shared.state import State, Work

    draw, state = random.Random(1000 + number), State(url, CLUSTER)
    work = Work(state, worker="", digest=DIGEST, lease_ttl=10.0)
    for _ in range(adds):
        key = draw.choice(KEYS)
        state.client.hincrby(state.key("number"), key, 1)
        work.mark([key], "change", "added")
        state.client.incr(state.key("adds"))
        time.sleep(draw.uniform(0, 0.01))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
