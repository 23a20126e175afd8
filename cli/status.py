"""`ako status`: how the site is, and every Ingress and Service of type LoadBalancer of ours with what is served for it.

What the states mean is in `cli.served`, what counts as a trouble of the site in `cli.troubles`. Exit code 0: all is
served and the site has no trouble; 3: something is not, or it has; 1: it can't be told; 2: wrong usage. `--output json`
is `{"site": {...}, "objects": [...]}`, with `--watch` one such object on a line; docs/commands.md lists the fields.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from cli.screen import Screen
from cli.served import FAILING, NONE, REFUSED, SERVED, STATES, Line, Served, chosen, read
from cli.site import DUE, RUNNING, Site, age, leader_in_words, plain
from cli.table import fitted, wrapped
from cli.troubles import troubles
from shared.errors import AkoError
from workers.model.types import Problem
from workers.status import NOT_APPLIED

NOT_ALL = 3  # exit code
REPAINT_SECONDS = 1.0
MOST_ELSEWHERE = 10

# What passes by itself, and the widths that follow from it.
_PASSING = re.compile(r'\d+ (s|min|h|d)\b|"oldestDueSeconds": [\d.]+|[ -]+')
_RED, _YELLOW, _GREEN, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"


def run(options: argparse.Namespace) -> int:
    """The command. Raises AkoError when Redis does not answer, or when nothing was ever begun in it."""
    site = Site.of(options)
    if not site.begun:
        where = f"cluster {site.settings.cluster_name} in Redis"
        raise AkoError("no watcher has begun its work yet", where=where, action="Start `ako watcher`; see its log")
    if options.watch:
        return _watch(site, options)
    screen = Screen(sys.stdout)
    look = _Look.at(site, options)
    screen.say(_as_text(look, screen) if options.output == "text" else _as_json(look, indent=2))
    return look.code


def _watch(site: Site, options: argparse.Namespace) -> int:
    """Shows it again whenever it has changed, until Ctrl-C; on a terminal each second, so that its ages are true."""
    screen, before, code = Screen(sys.stdout), "", 0
    try:
        while True:
            began = time.monotonic()
            shown, code = _shown(site, options, screen)
            now = _PASSING.sub(" ", shown)
            if options.output == "text" and (screen.rewrites or now != before):
                screen.replace(shown)
            elif now != before:
                screen.say(shown)
            before = now
            # A site of many hosts takes a while to read, and Redis has other things to do.
            time.sleep(max(REPAINT_SECONDS, 3 * (time.monotonic() - began)))
    except KeyboardInterrupt:
        return code


def _shown(site: Site, options: argparse.Namespace, screen: Screen) -> tuple[str, int]:
    """What is to be shown now, and the exit code. What can't be told now (Redis is away, say) may be told later."""
    try:
        site.look()
        look = _Look.at(site, options)
    except AkoError as error:
        return (str(error) if options.output == "text" else json.dumps({"error": str(error)})), 1
    return (_as_text(look, screen) if options.output == "text" else _as_json(look)), look.code


@dataclass(frozen=True, slots=True)
class _Look:
    """What is to be shown: the objects asked for, the troubles of the site, and whether it is `all` objects."""

    site: Site
    objects: list[Served]
    troubles: list[str]
    all: bool

    @classmethod
    def at(cls, site: Site, options: argparse.Namespace) -> _Look:
        every = read(site)
        objects = chosen(site, every, options.names, options.namespace)
        return cls(site, objects, troubles(site, every), not options.names and not options.namespace)

    @property
    def code(self) -> int:
        return 0 if all(each.state == SERVED for each in self.objects) and not self.troubles else NOT_ALL


# -- the site itself -------------------------------------------------------------------------------------------------


def summary(site: Site) -> dict[str, Any]:
    """The site in a few fields, as `--output json` has them."""
    meta, settings, facts = site.meta, site.settings, site.known_facts()
    silent = site.silent_since
    pending = [state for state in site.keys.values() if state.state == DUE]
    census = orjson.loads(meta["census"]) if "census" in meta else None
    return {
        "cluster": settings.cluster_name,
        "controller": settings.controller.host,
        "cloud": settings.controller.cloud,
        "cloudType": facts.cloud_type if facts else "",
        "settings": meta.get("digest", ""),
        "settingsHere": settings.digest(),
        "leader": meta.get("leader", ""),
        "leads": _time(site.leads_since),
        "leaderSilentSince": _time(silent),
        "epoch": int(meta.get("epoch", 0)),
        "complete": site.complete,
        "workers": len(site.workers),
        "slots": sum(site.workers.values()),
        "due": len(pending),
        "oldestDueSeconds": round((site.now - min((state.at for state in pending), default=site.now)) / 1e6, 1),
        "running": sum(state.state == RUNNING for state in site.keys.values()),
        "failing": sum(state.failing for state in site.keys.values()),
        "held": sum(state.held for state in site.keys.values()),
        "controllerAnswers": int(meta.get("breaker", 0)) == 0,
        "census": census and {**census, "began": _time(census["began"]), "ended": _time(census["ended"])},
        "refused": meta.get("refused", ""),
    }


def _time(at: int) -> str | None:
    return datetime.fromtimestamp(at / 1e6, UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if at else None


# -- showing ---------------------------------------------------------------------------------------------------------


def _as_json(look: _Look, indent: int | None = None) -> str:
    site = {**summary(look.site), "troubles": look.troubles}
    return json.dumps({"site": site, "objects": [_object(each) for each in look.objects]}, indent=indent)


def _object(served: Served) -> dict[str, Any]:
    lines = []
    for line in served.lines:
        shown = asdict(line)
        shown["changed"], shown["next_try"] = _time(line.changed), _time(line.next_try)
        lines.append({_camel(name): part for name, part in shown.items()})
    head = {"kind": served.kind, "namespace": served.namespace, "name": served.name, "state": served.state}
    return {**head, "hosts": lines, "problems": plain(served.problems)}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def _as_text(look: _Look, screen: Screen) -> str:
    site, objects = look.site, look.objects
    parts = [_wrapped(_head(site), screen, indent=12)]
    if objects:
        table = fitted(_rows(site, objects), screen.width)
        parts.append(_painted(table) if screen.coloured else table)
    elif site.known_facts() is not None:
        parts.append("No Ingress or Service of ours is here.")
    attention = [*look.troubles, *_attention(site, objects), *(_elsewhere(site) if look.all else ())]
    if attention:
        lines = _wrapped((f"  {text}" for text in dict.fromkeys(attention)), screen, indent=4)
        parts.append(f"What needs attention:\n{lines}")
    return "\n\n".join(parts)


def _wrapped(lines: Iterable[str], screen: Screen, indent: int) -> str:
    return "\n".join(wrapped(line, screen.width, indent) for line in lines)


def _painted(table: str) -> str:
    """The table with its states in colour; a state is the last word of a line."""
    colours = {SERVED: _GREEN, **dict.fromkeys((FAILING, NONE, REFUSED), _RED)}
    states = re.compile(rf"\b({'|'.join(sorted(STATES, key=len, reverse=True))})$", re.MULTILINE)
    return states.sub(lambda found: f"{colours.get(found[1], _YELLOW)}{found[1]}{_PLAIN}", table)


def _head(site: Site) -> Iterator[str]:
    said = summary(site)
    yield f"cluster     {said['cluster']} on {said['controller']}, cloud {said['cloud']} {said['cloudType']}".rstrip()
    yield f"watcher     {leader_in_words(site)}, epoch {said['epoch']}, settings {said['settings']}"
    yield f"workers     {said['workers']} with {said['slots']} slots"
    oldest = f", the oldest for {said['oldestDueSeconds']:.0f} s" if said["due"] else ""
    now = f"{said['running']} running, {said['failing']} failing, {said['held']} held"
    yield f"work        {said['due']} due{oldest}, {now}"
    yield f"breaker     {'closed' if said['controllerAnswers'] else 'open: the controller can not be used'}"
    if census := site.meta.get("census"):
        found = orjson.loads(census)
        counts = f"{found['objects']} objects, {found['drifted']} keys differed, {found['orphans']} of nobody"
        yield f"census      {age(site.now, found['ended'])} ago: {counts}"
    if said["settings"] != said["settingsHere"]:
        here = f"this command has {said['settingsHere']}"
        yield f"settings    the pipeline works by {said['settings']}, {here}: look at --values and the environment"


def _rows(site: Site, objects: Sequence[Served]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("object", "host", "IPv4", "IPv6", "servers up", "changed", "state")]
    for served in objects:
        title = served.id if served.kind == "Ingress" else f"{served.id} (Service)"
        for number, line in enumerate(served.lines or (Line("-", "", REFUSED),)):
            rows.append(
                (
                    title if number == 0 else "",
                    line.host or "-",
                    ", ".join(line.v4) or "-",
                    ", ".join(line.v6) or "-",
                    " ".join(f"{family} {each.enabled}/{each.all}" for family, each in line.servers.items()) or "-",
                    f"{age(site.now, line.changed)} ago" if line.changed else "-",
                    line.state,
                )
            )
    return rows


def _attention(site: Site, objects: Sequence[Served]) -> Iterator[str]:
    """Errors and warnings of these objects with what to do, and what they wait for."""
    for served in objects:
        for line in served.lines:
            if line.error:
                again = f"; next try in {age(site.now, line.next_try)}" if line.next_try > site.now else ""
                yield f"{served.id}: {line.error}{again}"
            if line.waits_for:
                yield f"{served.id}: {line.host or 'it'} waits for {', '.join(line.waits_for)}"
        errors = [line.error for line in served.lines if line.error]
        for problem in served.problems:
            if problem.reason != NOT_APPLIED or not any(error in problem.message for error in errors):
                yield f"{served.id}: {problem.reason}: {problem.message}"


def _elsewhere(site: Site) -> Iterator[str]:
    """What is told of other objects: nodes without routes, parents that could not be made."""
    found: dict[Problem, None] = {
        each: None
        for key in site.keys.values()
        for each in key.problems
        if each.warning and each.kind not in ("Ingress", "Service") and not (each.reason == NOT_APPLIED and key.error)
    }
    for problem in list(found)[:MOST_ELSEWHERE]:
        yield f"{problem.kind} {problem.name}: {problem.reason}: {problem.message}"
    if len(found) > MOST_ELSEWHERE:
        yield f"and {len(found) - MOST_ELSEWHERE} more of this kind: `ako work --output json`"
