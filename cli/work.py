"""`ako work` and `ako locks`: what every unfinished work key is doing, and which worker holds it.

`ako work` lists the keys that fail first, then what runs, is due or comes later. `--retry` marks keys as if they had
just changed: they are due at once and what they failed with is forgotten; nothing is written to the controller by the
command itself, and a key that is marked too often only computes once more.

Exit code 0: no key fails; 3: some do; 1: it can't be told. `--output json` of `ako work` is `{"counts", "keys"}`, with
`--retry` `{"marked"}`; of `ako locks` `{"leader", "claims"}`. docs/commands.md lists the fields.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from typing import Any

from cli.screen import Screen
from cli.site import DUE, LATER, RUNNING, KeyState, Site, age, leader_in_words, plain
from cli.table import fitted
from shared.errors import AkoError
from shared.state import Work, keys
from shared.state.work import MILLION

FAILS = 3  # exit code
_ORDER = (RUNNING, DUE, LATER)
_SHOWN = 50


def run(options: argparse.Namespace) -> int:
    """`ako work`. Raises AkoError for a KEY that is none."""
    site = Site.of(options)
    known_keys(options.keys)
    if options.retry:
        return _retry(site, options.keys, as_text=options.output == "text")
    shown = [site.key(key) for key in options.keys] or sorted(
        (state for state in site.keys.values() if state.state in _ORDER or state.failing),
        key=lambda state: (not state.failing, _ORDER.index(state.state) if state.state in _ORDER else 9, state.at),
    )
    counted = counts(site)
    if options.output == "json":
        print(json.dumps({"counts": counted, "keys": [as_json(state, site.now) for state in shown]}, indent=2))
    else:
        _say(site, shown, [] if options.keys else counted)
    return FAILS if any(state.failing for state in shown) else 0


def known_keys(named: Iterable[str]) -> None:
    """Raises AkoError for the first of these texts that is no work key."""
    for key in named:
        kind, rest = keys.split(key)
        if kind not in keys.KINDS or not (rest or key == keys.RESYNC):
            kinds = ", ".join(f"{kind}:..." for kind in keys.KINDS if kind != keys.RESYNC)
            raise AkoError(
                f"{key!r} is no work key", action=f"Keys are {kinds}, and {keys.RESYNC}; `ako work` lists some"
            )


def counts(site: Site) -> list[dict[str, Any]]:
    """For each type of key that has unfinished ones: how many run, are due, come later, fail; the age of the oldest."""
    found: dict[str, list[KeyState]] = {}
    for state in site.keys.values():
        if state.state in _ORDER or state.failing:
            found.setdefault(keys.split(state.key)[0], []).append(state)
    rows = []
    for type_, states in sorted(found.items()):
        row: dict[str, Any] = {"type": type_, **{name: sum(s.state == name for s in states) for name in _ORDER}}
        row["failing"] = sum(state.failing for state in states)
        for name, field in ((RUNNING, "longestRunSeconds"), (DUE, "oldestDueSeconds")):
            ages = [(site.now - state.at) / MILLION for state in states if state.state == name]
            row[field] = round(max(ages), 1) if ages else None
        rows.append(row)
    return rows


def locks(options: argparse.Namespace) -> int:
    """`ako locks`."""
    site, screen = Site.of(options), Screen(sys.stdout)
    held = sorted((state for state in site.keys.values() if state.state == RUNNING), key=lambda state: state.at)
    if options.output == "json":
        watcher = {
            "name": site.meta.get("leader", ""),
            "epoch": int(site.meta.get("epoch", 0)),
            "seconds": round((site.now - site.leads_since) / MILLION, 1) if site.leads_since else None,
            "silentSeconds": round((site.now - site.silent_since) / MILLION, 1) if site.silent_since else None,
        }
        print(json.dumps({"leader": watcher, "claims": [as_json(state, site.now) for state in held]}, indent=2))
        return 0
    print(f"watcher {leader_in_words(site)}, epoch {site.meta.get('epoch', '?')}")
    if not held:
        print("no worker holds a key")
        return 0
    head = ("key", "worker", "held for", "lease left", "cause")
    rows = [
        (state.key, state.worker, age(site.now, state.at), _left(site.now, state.lease_until), state.cause)
        for state in held
    ]
    print(fitted([head, *rows], screen.width))
    return 0


def as_json(state: KeyState, now: int) -> dict[str, Any]:
    """A key as programs read it. `seconds`: how long it runs or has been due; negative: until it is due."""
    return {
        "key": state.key,
        "state": state.state,
        "seconds": round((now - state.at) / MILLION, 1) if state.at else None,
        "cause": state.cause,
        "worker": state.worker,
        "leaseLeftSeconds": round((state.lease_until - now) / MILLION, 1) if state.lease_until else None,
        "failures": state.failures,
        "waited": state.waited,
        "lostLeases": state.lost,
        "held": state.held,
        "error": state.error,
        "problems": plain(state.problems),
    }


def in_words(state: KeyState, now: int) -> str:
    """What a key is doing: `running for 3 s`, `lost 12 s ago`, `due for 1 s`, `due in 5 min`, `idle`."""
    if state.state == RUNNING and state.lease_until <= now:
        return f"lost {age(now, state.lease_until)} ago"
    if state.state == RUNNING:
        return f"running for {age(now, state.at)}"
    if state.state == DUE:
        return f"due for {age(now, state.at)}"
    if state.state == LATER:
        return f"due in {age(now, state.at)}" if state.at > now else "due now"
    return "idle"


def _left(now: int, until: int) -> str:
    return age(now, until) if until > now else "over"


def _say(site: Site, shown: list[KeyState], counted: list[dict[str, Any]]) -> None:
    width = Screen(sys.stdout).width
    if not shown:
        print("nothing is left to do")
        return
    if counted:
        titles = ("type", *_ORDER, "failing", "longest run", "oldest due")
        print(fitted([titles, *(tuple(_cell(part) for part in row.values()) for row in counted)], width) + "\n")
    head = ("key", "state", "failures", "cause or error")
    found = [(s.key, in_words(s, site.now), str(s.failures or "-"), s.trouble or s.cause) for s in shown[:_SHOWN]]
    print(fitted([head, *found], width))
    if len(shown) > _SHOWN:
        print(f"and {len(shown) - _SHOWN} more; --output json has all")


def _cell(part: Any) -> str:
    """A field of `counts` in words; those with seconds are fractions."""
    return "-" if part is None else age(0, int(part * MILLION)) if isinstance(part, float) else str(part)


def _retry(site: Site, named: list[str], *, as_text: bool) -> int:
    wanted = named or sorted(state.key for state in site.keys.values() if state.failing)
    work = Work(site.state, worker="ako work", digest="", lease_ttl=site.settings.pipeline.lease_ttl)
    work.mark(wanted, "change", "ako work --retry")
    if as_text:
        print(f"{len(wanted)} keys are due now" if wanted else "no key fails")
    else:
        print(json.dumps({"marked": wanted}, indent=2))
    return 0
