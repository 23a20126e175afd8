"""`ako status`: how the site is, and every Ingress and Service of type LoadBalancer of ours with what is served for it.

What the states mean is in `cli.served`. Exit code 0: all of them are served; 3: something is not; 1: it can't be told;
2: wrong usage. `--output json` is `{"site": {...}, "objects": [...]}`; docs/commands.md lists the fields.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import orjson

from cli.served import REFUSED, SERVED, Line, Served, read
from cli.site import DUE, RUNNING, Site, age, plain
from cli.table import columns
from shared.errors import AkoError

NOT_ALL = 3  # exit code
REPAINT_SECONDS = 1.0


def run(options: argparse.Namespace) -> int:
    """The command. Raises AkoError when Redis does not answer, or when nothing was ever begun in it."""
    site = Site.of(options)
    if not site.begun:
        where = f"cluster {site.settings.cluster_name} in Redis"
        raise AkoError("no watcher has begun its work yet", where=where, action="Start `ako watcher`; see its log")
    if options.watch:
        return _watch(site, options)
    objects = read(site, options.names, options.namespace)
    if options.output == "json":
        print(json.dumps({"site": summary(site), "objects": [_as_json(each) for each in objects]}, indent=2))
    else:
        print(_text(site, objects))
    return _code(objects)


def _watch(site: Site, options: argparse.Namespace) -> int:
    """Shows it again whenever it has changed, until Ctrl-C."""
    before, code = "", 0
    try:
        while True:
            objects = read(site, options.names, options.namespace)
            text, code = _text(site, objects), _code(objects)
            if text != before:
                sys.stdout.write(("\x1b[H\x1b[2J" if sys.stdout.isatty() else "\n") + text + "\n")
                sys.stdout.flush()
                before = text
            time.sleep(REPAINT_SECONDS)
            site.look()
    except KeyboardInterrupt:
        return code


def _code(objects: Iterable[Served]) -> int:
    return 0 if all(each.state == SERVED for each in objects) else NOT_ALL


# -- the site itself -------------------------------------------------------------------------------------------------


def summary(site: Site) -> dict[str, Any]:
    """The site in a few fields, as `--output json` has them."""
    meta, settings, facts = site.meta, site.settings, site.known_facts()
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
        "leads": _time(int(float(meta.get("leads_since", 0)))),
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


def _as_json(served: Served) -> dict[str, Any]:
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


def _text(site: Site, objects: Sequence[Served]) -> str:
    parts = ["\n".join(_head(site))]
    if objects:
        parts.append(_table(site, objects))
    elif site.known_facts() is not None:
        parts.append("No Ingress or Service of ours is here.")
    if attention := list(_attention(site, objects)):
        parts.append("\n".join(["What needs attention:", *attention]))
    return "\n\n".join(parts)


def _head(site: Site) -> Iterator[str]:
    said = summary(site)
    yield f"cluster     {said['cluster']} on {said['controller']}, cloud {said['cloud']} {said['cloudType']}".rstrip()
    since = int(float(site.meta.get("leads_since", 0)))
    yield f"watcher     {said['leader'] or '?'} leads since {age(site.now, since)}, epoch {said['epoch']}"
    yield f"workers     {said['workers']} with {said['slots']} slots"
    oldest = f", the oldest for {said['oldestDueSeconds']:.0f} s" if said["due"] else ""
    now = f"{said['running']} running, {said['failing']} failing, {said['held']} held"
    yield f"work        {said['due']} due{oldest}, {now}"
    if census := site.meta.get("census"):
        found = orjson.loads(census)
        counts = f"{found['objects']} objects, {found['drifted']} keys differed, {found['orphans']} of nobody"
        yield f"census      {age(site.now, found['ended'])} ago: {counts}"
    if not site.complete:
        yield "not ready   cluster and controller are being read; until then nothing is written"
    if not said["controllerAnswers"]:
        yield f"breaker     the controller does not answer; tried again every {age(0, 30_000_000)} at most"
    if said["settings"] != said["settingsHere"]:
        here = f"this command has {said['settingsHere']}"
        yield f"settings    the pipeline works by {said['settings']}, {here}: look at --values and the environment"
    if said["refused"]:
        yield f"census      refused: {said['refused']}"


def _table(site: Site, objects: Sequence[Served]) -> str:
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
    return columns(rows)


def _attention(site: Site, objects: Sequence[Served]) -> Iterator[str]:
    """Errors and warnings of these objects, each once, with what to do."""
    for served in objects:
        for line in served.lines:
            if line.error:
                again = f"; next try in {age(site.now, line.next_try)}" if line.next_try > site.now else ""
                yield f"  {served.id}: {line.error}{again}"
        for problem in served.problems:
            yield f"  {served.id}: {problem.reason}: {problem.message}"
    for key in site.keys.values():
        if key.held:
            yield f"  {key.key}: held until a second census agrees (MassDeleteHeld); `ako explain {key.key}`"
