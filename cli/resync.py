"""`ako resync`: compare everything with the controller now, and let VIP changes through that were held.

The command only marks the census; workers do it, as at every `pipeline.resyncInterval`. With `--allow-vip-change` VIPs
may lose addresses that the VIP network in the settings takes away from them (`workers.vipchange`). That holds for the
settings that are published at that moment and for an hour; under other settings it is held again.

Exit code 0: the census has ended; 3: it has, but a VIP change is still held or was refused; 1: not in time, or no
watcher leads; 2: wrong usage. `--output json` is `{"objects", "differing", "orphans", "vips"}`, with `vips` a list of
`{"key", "outcome", "message"}` and the outcomes `held`, `changed` and `refused`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from shared.errors import AkoError
from shared.settings import load
from shared.state import Ledger, State, Work, keys
from workers.model.types import Problem
from workers.model.vips import VIP_CHANGE_HELD
from workers.status import NOT_APPLIED, problems_in

LEFT = 3  # exit code
ALLOWED_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class VipChange:
    """What became of one VIP change that was held when the command began, or is now."""

    key: str
    outcome: str
    message: str


def run(options: argparse.Namespace) -> int:
    """The command. Raises AkoError when nobody leads, or when the census does not end in time."""
    settings = load(options.values or os.environ.get("AKO_VALUES"), os.environ).settings
    state = State(settings.pipeline.redis_url, settings.cluster_name)
    work = Work(state, worker="ako resync", digest="", lease_ttl=settings.pipeline.lease_ttl)
    ledger = Ledger(state)
    (digest,) = state.fields("meta", ["digest"])
    if digest is None:
        where = f"cluster {settings.cluster_name} in Redis"
        raise AkoError("no watcher has begun its work yet", where=where, action="Start `ako watcher`; see its log")
    held = _held(state)
    if options.allow_vip_change:
        ledger.allow_vip_change(digest, ALLOWED_SECONDS)
    deadline = time.monotonic() + options.timeout
    began = ledger.now()
    work.mark([keys.RESYNC], "change", "ako resync")
    census = _census(ledger, began, deadline)
    changes = list(_outcomes(state, held, deadline, allowed=options.allow_vip_change))
    if options.output == "json":
        found = {"objects": census["objects"], "differing": census["drifted"], "orphans": census["orphans"]}
        print(json.dumps({**found, "vips": [asdict(change) for change in changes]}, indent=2))
    else:
        _say(census, changes)
    return LEFT if any(change.outcome != "changed" for change in changes) else 0


def _census(ledger: Ledger, began: int, deadline: float) -> dict[str, int]:
    """What the first census found that begins from now on."""
    for _ in _until(deadline, "waiting for the census"):
        census = ledger.last_census()
        if census is not None and census["began"] >= began:
            return census
    raise AssertionError("_until does not end by itself")


def _say(census: dict[str, int], changes: list[VipChange]) -> None:
    print(f"{census['objects']} objects of ours, {census['drifted']} keys looked at because something differed")
    if census["orphans"]:
        print(f"{census['orphans']} objects belong to no key: see `ako orphans`")
    counts = Counter(change.outcome for change in changes)
    if changes:
        print(f"\nVIP changes: {', '.join(f'{number} {outcome}' for outcome, number in counts.items())}")
    for change in changes:
        print(f"  {change.key}: {change.outcome}" + (f"\n    {change.message}" if change.message else ""))


def _outcomes(state: State, asked: set[str], deadline: float, *, allowed: bool) -> Iterator[VipChange]:
    """What became of the keys that held a VIP change, and which do now; with `allowed`, once each of them has run."""
    now = _problems(state)
    if allowed:
        for _ in _until(deadline, f"waiting for {len(asked)} VIP changes"):
            now = _problems(state)
            if not any(_is_held(now.get(key, [])) for key in asked):
                break
    for key in sorted(asked | _held(state)):
        found = now.get(key, [])
        refused = [each.message for each in found if each.reason == NOT_APPLIED]
        held = [each.message for each in found if each.reason == VIP_CHANGE_HELD]
        outcome = "held" if held else "refused" if refused else "changed"
        yield VipChange(key, outcome, (held or refused or [""])[0])


def _until(deadline: float, what: str) -> Iterator[None]:
    """Yields every 0.2 s until the caller breaks off, with a line on a terminal. Raises AkoError at the deadline."""
    began, shown = time.monotonic(), sys.stderr.isatty()
    try:
        while True:
            yield
            if time.monotonic() > deadline:
                raise AkoError(f"{what}: not in time", action="See whether a worker runs and is ready (`ako status`)")
            if shown:
                sys.stderr.write(f"\r{what}, {time.monotonic() - began:.0f} s ")
                sys.stderr.flush()
            time.sleep(0.2)
    finally:
        if shown:
            sys.stderr.write("\r\033[K")


def _problems(state: State) -> dict[str, list[Problem]]:
    return {key: problems_in(text) for key, text in state.hash("problems").items()}


def _held(state: State) -> set[str]:
    return {key for key, problems in _problems(state).items() if _is_held(problems)}


def _is_held(problems: list[Problem]) -> bool:
    return any(each.reason == VIP_CHANGE_HELD for each in problems)
