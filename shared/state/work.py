"""The work: `later`, `ready`, `claims`. Every step is one script; what must be done is known here, not in Celery.

A key is marked (it must be looked at), claimed by one worker under a lease, and finished: done, back in `later`, or
ready again because it was marked meanwhile. Leases that end and times that come are noticed by `tick`, which any
process runs; one in 0.4 s wins. See docs/design.md, section 5.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from shared.state.connection import State, bounded

Strength = Literal["change", "wake", "need"]
Outcome = Literal["done", "again", "waiting", "failed", "unreachable"]

LIVE, BULK = "0", "1"
ALONE_AFTER = 3  # lost leases after which a key runs in a process that does nothing else meanwhile; also in lib.lua
MILLION = 1_000_000


@dataclass(slots=True)
class Claim:
    """A key that is ours for a while. `valid_until` is on this process's monotonic clock.

    `problems` is what was last reported for the key as JSON, "" for nothing; `lost` counts the leases lost
    since it last finished; `held`: a census keeps it from writing (see `workers.guard`).
    """

    key: str
    token: str
    incarnation: str
    failures: int
    waited: int
    cause: str
    bulk: bool
    problems: str
    valid_until: float
    lost: int = 0
    held: bool = False
    progress: float = field(default_factory=time.monotonic)
    finishing: bool = False
    given_up: bool = False

    @property
    def alone(self) -> bool:
        """Whether this process claims nothing else while the key runs."""
        return self.lost >= ALONE_AFTER

    def may_write(self, lease_ttl: float) -> bool:
        """True while at least half the lease is left: no write starts later than that, nor once it was given up."""
        return not self.given_up and self.valid_until - time.monotonic() >= lease_ttl / 2


@dataclass(frozen=True, slots=True)
class Tick:
    """What a tick asks for: `wakeups` messages, and some keys at the head of `ready` to name in them.

    `ended`: claims whose lease had ended before their runs did, so that their keys are looked at anew.
    """

    wakeups: int
    keys: list[str]
    ended: int = 0


class Work:
    """The three sets. `worker` names this process in claims; `digest` is that of the settings it works by."""

    def __init__(self, state: State, *, worker: str, digest: str, lease_ttl: float) -> None:
        self.state = state
        self.worker = worker
        self.digest = digest
        self.lease_ttl = lease_ttl

    def mark(self, keys: Iterable[str], strength: Strength, cause: str, *, bulk: bool = False) -> list[str]:
        """Marks keys; returns those that are ready now."""
        keys = list(keys)
        if not keys:
            return []
        ready: list[str] = []
        for start in range(0, len(keys), 500):
            part = keys[start : start + 500]
            ready += self.state.script("mark", strength, BULK if bulk else LIVE, cause, *part)
        return ready

    def claim(self, keys: Sequence[str] = ()) -> Claim | None:
        """Claims the first of `keys` whose time has come, else the next ready key; None when there is none."""
        token = uuid.uuid4().hex[:16]
        asked = time.monotonic()
        answer = self.state.script("claim", token, self.worker, self.lease_ttl * MILLION, self.digest, *keys)
        if not answer:
            return None
        key, incarnation, failures, waited, cause, klass, problems, lost, held = answer
        return Claim(
            key,
            token,
            incarnation,
            int(failures),
            int(waited),
            cause,
            klass == BULK,
            problems,
            valid_until=asked + self.lease_ttl,
            lost=int(lost),
            held=held == 1,
        )

    def renew(self, claims: Sequence[Claim]) -> list[Claim]:
        """Renews the leases; returns the claims that are lost."""
        if not claims:
            return []
        asked = time.monotonic()
        pairs = [text for claim in claims for text in (claim.key, claim.token)]
        lost = set(self.state.script("renew", self.lease_ttl * MILLION, *pairs))
        for claim in claims:
            if claim.key not in lost:
                claim.valid_until = asked + self.lease_ttl
        return [claim for claim in claims if claim.key in lost]

    def finish(
        self,
        claim: Claim,
        outcome: Outcome,
        *,
        delay: float = 0.0,
        row: str | None = None,
        contact: bool = False,
        waits: Sequence[tuple[Literal["stands", "gone"], str]] = (),
    ) -> str:
        """Ends a run. `delay` in seconds; `row`: the host's row as JSON, "" removes it, None leaves it.

        `waits` are the objects that a `waiting` run waits for. Returns done, ready, later or lost.
        """
        claim.finishing = True
        flat = [text for wait in waits for text in wait]
        answer: str = self.state.script(
            "finish",
            claim.key,
            claim.token,
            outcome,
            delay * MILLION,
            "-" if row is None else row,
            "1" if contact else "0",
            *flat,
        )
        return answer

    def release(self, claims: Sequence[Claim]) -> list[str]:
        """Hands claims back: their keys are ready at once for others. Returns the keys that were still ours.

        A run that goes on all the same can write nothing more: no write starts once a claim was given up, and every
        script refuses its token.
        """
        for claim in claims:
            claim.given_up = True
        pairs = [text for claim in claims for text in (claim.key, claim.token)]
        return list(self.state.script("release", *pairs)) if pairs else []

    def tick(self) -> Tick | None:
        """Moves what is due; None when another process has just done so."""
        answer = self.state.script("tick")
        if not answer:
            return None
        return Tick(int(answer[0]), list(answer[2:]), ended=int(answer[1]))

    def announce(self, slots: int) -> None:
        """Tells that this worker process is alive and how many keys it can work on at a time."""
        now = self._seconds()
        with bounded(), self.state.client.pipeline(transaction=False) as pipe:
            pipe.zadd(self.state.key("workers"), {self.worker: now * MILLION})
            pipe.hset(self.state.key("slots"), self.worker, str(slots))
            pipe.execute()

    def withdraw(self) -> None:
        """Takes this worker process off the list."""
        with bounded(), self.state.client.pipeline(transaction=False) as pipe:
            pipe.zrem(self.state.key("workers"), self.worker)
            pipe.hdel(self.state.key("slots"), self.worker)
            pipe.execute()

    def waking(self, wake: str) -> None:
        """A wake-up message is under way; it counts for five seconds at most."""
        with bounded():
            self.state.client.zadd(self.state.key("wakes"), {wake: (self._seconds() + 5) * MILLION})

    def woken(self, wake: str) -> None:
        """A wake-up message has arrived."""
        with bounded():
            self.state.client.zrem(self.state.key("wakes"), wake)

    def published(self) -> tuple[str, str]:
        """The digest of the settings that the watcher works by ("" before it has begun), and what the last census
        refused about them ("" for nothing).
        """
        digest, refused = self.state.fields("meta", ["digest", "refused"])
        return digest or "", refused or ""

    def _seconds(self) -> float:
        with bounded():
            seconds, micros = self.state.client.time()
        return float(seconds) + float(micros) / MILLION
