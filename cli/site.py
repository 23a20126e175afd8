"""What Redis and the model say of a site, as data: the common ground of `ako status`, `explain`, `work` and `locks`.

Nothing is written, the controller and the API server are not asked, and neither a watcher nor a worker need run. Times
are Redis time in microseconds; what is shown as an age is reckoned against it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from shared.errors import SettingsError, StateError
from shared.settings import load
from shared.settings.model import Settings
from shared.state import Ledger, LedgerEntry, Mirror, State, keys
from shared.state.connection import bounded
from shared.state.work import MILLION
from workers.model.types import Facts, Problem
from workers.snapshot import Snapshots
from workers.status import problems_in

RUNNING, DUE, LATER, IDLE = "running", "due", "later", "idle"
SILENT_AFTER = 15 * MILLION  # a worker announces itself every 5 s, the leading watcher every second


@dataclass(frozen=True, slots=True)
class KeyState:
    """One work key. `at` is when it was claimed (running), marked (due) or will be due (later); 0 when idle.

    `error` is that of its last run, with the time of it; `lease_until` is when its claim ends unless it is renewed.
    """

    key: str
    state: str = IDLE
    at: int = 0
    cause: str = ""
    worker: str = ""
    lease_until: int = 0
    failures: int = 0
    waited: int = 0
    lost: int = 0
    held: bool = False
    error: str = ""
    error_at: int = 0
    problems: tuple[Problem, ...] = ()

    @property
    def failing(self) -> bool:
        """Whether its last run ended in an error."""
        return bool(self.error or self.failures or self.lost > 1)

    @property
    def trouble(self) -> str:
        """What went wrong with it, in words; "" for nothing."""
        if self.lost > 1 and not self.error:
            return f"{self.key}: {self.lost} workers in a row died or hung while they ran it; see what they logged last"
        return self.error or (f"{self.key} failed {self.failures} times" if self.failures else "")


class Site:
    """One look at a site; `look` reads anew what changes from moment to moment."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.state = State(settings.pipeline.redis_url, settings.cluster_name)
        self.mirror = Mirror(self.state)
        self.ledger = Ledger(self.state)
        self.snapshots = Snapshots(self.state, self.mirror, settings)
        self.now = 0
        self.meta: dict[str, str] = {}
        self.keys: dict[str, KeyState] = {}
        self.workers: dict[str, int] = {}
        self._waiting: dict[str, list[str]] | None = None
        self.look()

    @classmethod
    def of(cls, options: argparse.Namespace) -> Site:
        """The site of the settings that a command line names. Raises SettingsError, StateUnavailable."""
        path = options.values or os.environ.get("AKO_VALUES")
        try:
            settings = load(path, os.environ).settings
        except SettingsError as error:
            if path:
                raise
            hint = "not set, and no --values is given; beside `ako dev` its last lines say what to call first"
            raise SettingsError([*error.problems, ("AKO_VALUES", hint)]) from None
        return cls(settings)

    def look(self) -> None:
        """Reads what every unfinished key is doing. Raises StateUnavailable."""
        self.now = self.ledger.now()
        hashes = ("meta", "claim", "cause", "failures", "waited", "lost", "held", "errors", "problems", "slots")
        names = ("claims", "ready:0", "ready:1", "later", "workers")
        with bounded(), self.state.client.pipeline(transaction=True) as pipe:
            for name in hashes:
                pipe.hgetall(self.state.key(name))
            for name in names:
                pipe.zrange(self.state.key(name), 0, -1, withscores=True)
            answer = pipe.execute()
        found = dict(zip(hashes, answer, strict=False))
        scores: dict[str, dict[str, float]] = dict(zip(names, map(dict, answer[len(hashes) :]), strict=True))
        self.meta = found["meta"]
        alive = {name for name, at in scores["workers"].items() if self.now - at < SILENT_AFTER}
        self.workers = {name: int(slots) for name, slots in found["slots"].items() if name in alive}
        self._waiting = None
        ready = {**scores["ready:1"], **scores["ready:0"]}
        every = {*scores["claims"], *ready, *scores["later"], *found["errors"], *found["problems"], *found["held"]}
        self.keys = {key: _key_state(key, found, scores["claims"], ready, scores["later"], self.now) for key in every}

    def key(self, key: str) -> KeyState:
        """What a key is doing; one that nothing is known of is idle."""
        return self.keys.get(key) or KeyState(key)

    @property
    def facts(self) -> Facts:
        """What the last census read of the controller. Raises StateError before the first one."""
        return self.snapshots.facts()

    @property
    def begun(self) -> bool:
        """Whether a watcher has ever begun here."""
        return "digest" in self.meta

    @property
    def leads_since(self) -> int:
        """When the present leader began; 0 before there was one."""
        return int(float(self.meta.get("leads_since", 0)))

    @property
    def silent_since(self) -> int:
        """When the leading watcher was last heard, if that is too long ago for one that lives; else 0."""
        if "leader_seen" not in self.meta:
            return 0  # it has just begun, or is of a release that doesn't say
        heard = max(int(float(self.meta["leader_seen"])), self.leads_since)
        return heard if self.now - heard > SILENT_AFTER else 0

    @property
    def complete(self) -> bool:
        """Whether the cluster and the controller have been read completely, so that work is handed out."""
        return self.meta.get("mirror_complete") == "1" and self.meta.get("ledger_complete") == "1"

    def known_facts(self) -> Facts | None:
        """The facts, None before the first census."""
        try:
            return self.facts
        except StateError:
            return None

    def ledgers(self, owners: Iterable[str]) -> dict[str, list[LedgerEntry]]:
        """What the ledger has of some keys."""
        names = list(owners)
        found: dict[str, list[LedgerEntry]] = {}
        for start in range(0, len(names), 500):
            part = names[start : start + 500]
            with bounded(), self.state.client.pipeline(transaction=False) as pipe:
                for name in part:
                    pipe.hvals(self.state.key(f"ledger:{name}"))
                answers = pipe.execute()
            found |= {name: list(map(LedgerEntry.from_json, texts)) for name, texts in zip(part, answers, strict=True)}
        return found

    def waits(self, key: str) -> list[str]:
        """The objects that a waiting key waits for. The first call after a look reads what anybody waits for."""
        if self._waiting is None:
            self._waiting = self._read_waiting()
        return self._waiting.get(key, [])

    def _read_waiting(self) -> dict[str, list[str]]:
        prefix = self.state.key("waiting:")
        with bounded():
            names = sorted(self.state.client.scan_iter(match=f"{prefix}*", count=1000))
        found: dict[str, list[str]] = {}
        with bounded(), self.state.client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.smembers(name)
            for name, waiting in zip(names, pipe.execute(), strict=True):
                for key in waiting:
                    found.setdefault(key, []).append(name.removeprefix(prefix))
        return found


def _key_state(
    key: str,
    found: Mapping[str, Mapping[str, str]],
    claims: Mapping[str, float],
    ready: Mapping[str, float],
    later: Mapping[str, float],
    now: int,
) -> KeyState:
    state, at, worker = IDLE, 0, ""
    if key in claims:
        _, _, worker, started = found["claim"].get(key, "- - ? 0").split(" ")
        state, at = RUNNING, int(started)
    elif key in ready:
        state, at = DUE, min(now, _marked(key, ready[key]))
    elif key in later:
        at = int(later[key])
        state = LATER if at > now else DUE
    error_at, error = orjson.loads(found["errors"].get(key, '[0,""]'))
    return KeyState(
        key,
        state,
        at,
        found["cause"].get(key, ""),
        worker,
        int(claims.get(key, 0)),
        int(found["failures"].get(key, 0)),
        int(found["waited"].get(key, 0)),
        int(found["lost"].get(key, 0)),
        key in found["held"],
        error,
        error_at,
        tuple(problems_in(found["problems"].get(key, ""))),
    )


def _marked(key: str, score: float) -> int:
    """When a ready key was marked: control keys are put in order before all others, statuses 2 s later (lib.lua)."""
    shift = {"change": 10**15, "resync": 10**15, "status": -2 * MILLION}.get(keys.split(key)[0], 0)
    return int(score) + shift


def leader_in_words(site: Site) -> str:
    """Which watcher leads, or that none does any more."""
    who = site.meta.get("leader") or "?"
    if site.silent_since:
        return f"none: {who} was last heard {age(site.now, site.silent_since)} ago"
    return f"{who} leads since {age(site.now, site.leads_since)}"


def age(now: int, at: int) -> str:
    """How long ago a time is, or how long until then, in words: `3 s`, `5 min`, `2 h`, `4 d`."""
    seconds = abs(now - at) / MILLION
    for limit, unit, size in ((100, "s", 1), (6000, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def plain(value: Any) -> Any:
    """A value as JSON has it: tuples as lists, problems as objects."""
    if isinstance(value, Problem):
        return {"kind": value.kind, "namespace": value.namespace, "name": value.name, "reason": value.reason,
                "message": value.message}  # fmt: skip
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(part) for part in value]
    return value
