"""Figures of the whole site, kept in Redis or counted there: how much is to be done, and what the last census found.

They are read by one script, which is bounded: of each set it looks at `MOST` keys at most (the others are counted, as
of the kind "unread"), and its answer is good for `FRESH` seconds, so that many processes asked for their metrics at
the same time cost one count. docs/metrics.md says what that takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from shared.state.connection import State, bounded

MOST = 20_000  # keys of a set
MOST_TOLD = 2_000  # keys with problems, about; each of them has to be parsed
FRESH = 3.0  # seconds


@dataclass(frozen=True, slots=True)
class Figures:
    """The site at one moment. `due`, `later`, `claimed` and `failing` count keys by their kind; a due key's time has
    come. `oldest`: seconds for which a key of that kind is due. `slots`: how many keys the workers can run at a time.
    `breaker`: calls in a row that the controller has not answered. `held`: keys that a census keeps from writing.
    `standing`: Avi objects. `mirror`: Kubernetes objects by kind. `problems`: by the reason of their Events.
    `unserved`: families of VIPs without an enabled server. `census`: see `Ledger.note_census`, empty before the first.
    `left_out`: see `note_left_out`.
    """

    due: Mapping[str, int]
    later: Mapping[str, int]
    claimed: Mapping[str, int]
    oldest: Mapping[str, float]
    failing: Mapping[str, int]
    held: int
    standing: int
    mirror: Mapping[str, int]
    workers: int
    slots: int
    epoch: int
    digest: str
    mirror_complete: bool
    ledger_complete: bool
    breaker: int
    problems: Mapping[str, int]
    unserved: int
    census: Mapping[str, Any]
    left_out: Mapping[str, str]


def read_figures(state: State) -> Figures:
    """The figures, at most `FRESH` seconds old. Raises StateUnavailable."""
    read = orjson.loads(state.script("figures", MOST, MOST_TOLD, int(FRESH * 1000)))
    # Lua's numbers have too few digits for the times in it.
    return Figures(**{**read, "census": orjson.loads(read["census"])})


def note_left_out(state: State, reasons: Mapping[str, int]) -> None:
    """Keeps how many pod networks have no static route, by reason."""
    with bounded(), state.client.pipeline() as pipe:
        pipe.delete(state.key("left_out"))
        for reason, count in reasons.items():
            pipe.hset(state.key("left_out"), reason, str(count))
        pipe.execute()
