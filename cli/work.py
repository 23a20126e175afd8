"""`ako work` and `ako locks`: what every unfinished work key is doing, and which worker holds it.

`ako work` lists the keys that fail first, then what runs, is due or comes later. `--retry` marks keys as if they had
just changed: they are due at once and what they failed with is forgotten; nothing is written to the controller by the
command itself, and a key that is marked too often only computes once more.

Exit code 0: no key fails; 3: some do; 1: it can't be told. `--output json` of `ako work` is `{"counts", "keys"}`, of
`ako locks` `{"leader", "claims"}`; docs/commands.md lists the fields.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import Any

from cli.site import DUE, LATER, RUNNING, KeyState, Site, age, plain
from cli.table import columns
from shared.errors import AkoError
from shared.state import Work, keys

FAILS = 3  # exit code
_ORDER = (RUNNING, DUE, LATER)
_SHOWN = 50


def run(options: argparse.Namespace) -> int:
    """`ako work`."""
    site = Site.of(options)
    if options.retry:
        return _retry(site, options.keys)
    shown = [site.key(key) for key in options.keys] or sorted(
        (state for state in site.keys.values() if state.state in _ORDER or state.failing),
        key=lambda state: (not state.failing, _ORDER.index(state.state) if state.state in _ORDER else 9, state.at),
    )
    counts = Counter((keys.split(state.key)[0], state.state) for state in site.keys.values() if state.state in _ORDER)
    if options.output == "json":
        found = [{"type": type_, "state": state, "keys": number} for (type_, state), number in sorted(counts.items())]
        print(json.dumps({"counts": found, "keys": [as_json(state, site.now) for state in shown]}, indent=2))
    else:
        _say(site, shown, counts)
    return FAILS if any(state.failing for state in shown) else 0


def locks(options: argparse.Namespace) -> int:
    """`ako locks`."""
    site = Site.of(options)
    held = sorted((state for state in site.keys.values() if state.state == RUNNING), key=lambda state: state.at)
    leader = site.meta.get("leader", "")
    since = int(float(site.meta.get("leads_since", 0)))
    if options.output == "json":
        watcher = {"name": leader, "epoch": int(site.meta.get("epoch", 0)), "seconds": (site.now - since) / 1e6}
        print(json.dumps({"leader": watcher, "claims": [as_json(state, site.now) for state in held]}, indent=2))
        return 0
    print(f"watcher {leader or '?'} leads since {age(site.now, since)}, epoch {site.meta.get('epoch', '?')}")
    if not held:
        print("no worker holds a key")
        return 0
    head = ("key", "worker", "held for", "lease left", "cause")
    rows = [
        (state.key, state.worker, age(site.now, state.at), _left(site.now, state.lease_until), state.cause)
        for state in held
    ]
    print(columns([head, *rows]))
    return 0


def as_json(state: KeyState, now: int) -> dict[str, Any]:
    """A key as programs read it. `seconds`: how long it runs or has been due; negative: until it is due."""
    return {
        "key": state.key,
        "state": state.state,
        "seconds": round((now - state.at) / 1e6, 1) if state.at else None,
        "cause": state.cause,
        "worker": state.worker,
        "leaseLeftSeconds": round((state.lease_until - now) / 1e6, 1) if state.lease_until else None,
        "failures": state.failures,
        "waited": state.waited,
        "lostLeases": state.lost,
        "held": state.held,
        "error": state.error,
        "problems": plain(state.problems),
    }


def in_words(state: KeyState, now: int) -> str:
    """What a key is doing: `running for 3 s`, `due for 1 s`, `due in 5 min`, `idle`."""
    if state.state == RUNNING:
        return f"running for {age(now, state.at)}"
    if state.state == DUE:
        return f"due for {age(now, state.at)}"
    if state.state == LATER:
        return f"due in {age(now, state.at)}" if state.at > now else "due now"
    return "idle"


def _left(now: int, until: int) -> str:
    return age(now, until) if until > now else "over"


def _say(site: Site, shown: list[KeyState], counts: Counter[tuple[str, str]]) -> None:
    if not shown:
        print("nothing is left to do")
        return
    types = sorted({type_ for type_, _ in counts})
    if types:
        rows = [(type_, *(str(counts[type_, state]) for state in _ORDER)) for type_ in types]
        print(columns([("type", *_ORDER), *rows]) + "\n")
    head = ("key", "state", "failures", "cause or error")
    found = [(s.key, in_words(s, site.now), str(s.failures or "-"), s.error or s.cause) for s in shown[:_SHOWN]]
    print(columns([head, *found]))
    if len(shown) > _SHOWN:
        print(f"and {len(shown) - _SHOWN} more; --output json has all")


def _retry(site: Site, named: list[str]) -> int:
    wanted = named or sorted(state.key for state in site.keys.values() if state.failing)
    unknown = [key for key in wanted if keys.split(key)[0] not in keys.KINDS]
    if unknown:
        kinds = ", ".join(f"{kind}:..." for kind in keys.KINDS if kind != keys.RESYNC)
        raise AkoError(f"{unknown[0]!r} is no work key", action=f"Keys are {kinds}, and {keys.RESYNC}")
    work = Work(site.state, worker="ako work", digest="", lease_ttl=site.settings.pipeline.lease_ttl)
    work.mark(wanted, "change", "ako work --retry")
    print(f"{len(wanted)} keys are due now" if wanted else "no key fails")
    return 0
