"""`ako explain`: why a host, an Ingress, a Service or a work key is as it is. It writes nothing and asks Redis alone.

For each key: what it is doing and why, what went wrong, what it is computed from, each object that it wants or has on
the controller with what would be done to it now, and what it waits for. The model and the plan are those of the
workers, so what is shown is what a run would do, had it begun at this moment. Certificates are named by the digest of
their text; a key or a password is nowhere.

Exit code 0: nothing is left to do; 3: something is; 1: it can't be told. `--output json` is a list with an object for
each key; docs/commands.md lists the fields.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cli.screen import Screen
from cli.served import chosen, read
from cli.site import IDLE, KeyState, Site, age
from cli.table import wrapped
from cli.work import as_json, in_words, known_keys
from shared.errors import AkoError
from shared.state import LedgerView, keys
from workers.compute import wanted_by
from workers.model.layout import layout_of
from workers.model.types import Desired
from workers.plan import Plan, plan
from workers.reconcile import outside, plan_view
from workers.services import KINDS, read_snapshot
from workers.vipchange import hold

LEFT = 3  # exit code
MOST_INPUTS = 20  # of a kind, in the text


def run(options: argparse.Namespace) -> int:
    """The command. Raises AkoError for a name that is neither a key, nor a host, nor an object of ours."""
    site = Site.of(options)
    found = [_explained(site, key) for key in _keys(site, options.what)]
    if options.output == "json":
        print(json.dumps(found, indent=2, default=str))
    else:
        width = Screen(sys.stdout).width
        print("\n\n".join("\n".join(wrapped(line, width, 15) for line in _text(site, each)) for each in found))
    return LEFT if any(_is_left(each) for each in found) else 0


def _keys(site: Site, what: str) -> list[str]:
    """The keys that a name on the command line means, those that decide first."""
    if ":" in what or what == keys.RESYNC:
        known_keys([what])
        return [what]
    if site.known_facts() is None:
        raise AkoError("the controller has not been read yet", action="`ako status` shows what is missing for that")
    found: list[str] = []
    for served in chosen(site, read(site), [what]):
        for line in served.lines:
            if what.lower() == line.host or what == served.id:
                found += [line.key, *_shards_of(site, line.key)]
        found.append(keys.status_key(served.kind, served.id))
    return list(dict.fromkeys(found))


def _shards_of(site: Site, key: str) -> list[str]:
    facts = site.known_facts()
    desired = wanted_by(key, facts, site.settings, site.snapshots, site.ledger) if facts else None
    return list(desired.shards) if desired else []


def _explained(site: Site, key: str) -> dict[str, Any]:
    facts = site.known_facts()
    found: dict[str, Any] = {
        **as_json(site.key(key), site.now),
        "waitsFor": site.waits(key),
        "inputs": _inputs(site, key) if facts else {},
    }
    desired = wanted_by(key, facts, site.settings, site.snapshots, site.ledger) if facts else None
    if desired is None:
        return {**found, "frozen": False, "objects": [], "plan": None}
    view = site.ledger.view(key, outside(desired))
    if not site.ledger.allows_vip_change(site.meta.get("digest", "")):
        desired = hold(desired, view.own)
    made = Plan() if desired.frozen else plan(desired, plan_view(key, view))
    return {**found, "frozen": desired.frozen, "objects": list(_objects(desired, view, made)), "plan": made.to_dict()}


def _inputs(site: Site, key: str) -> dict[str, list[str]]:
    """The Kubernetes objects that a key is computed from, by kind."""
    kind, rest = keys.split(key)
    found: dict[str, set[str]] = {}
    if kind == "host":
        host, _ = site.snapshots.host(rest)
        found = {
            "Ingress": _ids(host.ingresses),
            "Service": set(host.services),
            "EndpointSlice": _ids(itertools.chain(*host.slices.values())),
            "Secret": set(host.secrets),
        }
    elif kind == "shard":
        tenant, _, parent = rest.partition("/")
        shard, _ = site.snapshots.shard(tenant, parent, layout_of(site.settings), site.ledger.standing_of)
        found = {"Ingress": _ids(shard.ingresses)}
    elif kind in KINDS:
        services, _ = read_snapshot(site.snapshots, key)
        found = {"Service": set(services.services), "EndpointSlice": _ids(itertools.chain(*services.slices.values()))}
    elif kind == "routes":
        routes, _ = site.snapshots.routes()
        found = {"Node": _ids(routes.nodes), **{name: _ids(each) for name, each in routes.networks.items()}}
    elif kind == "status":
        found = {rest.partition("/")[0]: {rest.partition("/")[2]}}
    return {name: sorted(ids) for name, ids in found.items() if ids}


def _ids(projections: Iterable[Mapping[str, Any]]) -> set[str]:
    return {f"{each['ns']}/{each['name']}" if each.get("ns") else str(each["name"]) for each in projections}


def _objects(desired: Desired, view: LedgerView, made: Plan) -> Iterator[dict[str, Any]]:
    """Each object that is wanted or stands, with what would be done to it now."""
    todo = {operation.id: operation.to_dict() for operation in made.operations}
    waits = {wait.id: wait for wait in made.waits}
    wanted = {each.id: each for each in desired.objects}
    for id_ in sorted({*wanted, *view.own}):
        entry = view.own.get(id_)
        stands = "no" if entry is None else "uncertain" if entry.intent else "yes"
        if id_ in todo:
            action = todo[id_]["operation"]
        elif id_ in waits:
            action = f"waits until {waits[id_].on} {'stands' if waits[id_].reason == 'stands' else 'is gone'}"
        else:
            action = "none" if id_ in wanted else "left alone"
        yield {
            "id": id_,
            "wanted": id_ in wanted,
            "stands": stands,
            "action": action,
            "fields": todo.get(id_, {}).get("fields", []),
            "uuid": entry.uuid if entry else "",
            "addresses": [text for texts in entry.extra.values() for text in texts] if entry else [],
            "vipHeld": id_ in wanted and wanted[id_].vip_held,
        }


def _is_left(found: dict[str, Any]) -> bool:
    acting = any(each["action"] != "none" or each["vipHeld"] for each in found["objects"])
    return acting or bool(found["error"]) or found["state"] not in (IDLE, "later")


def _text(site: Site, found: dict[str, Any]) -> Iterator[str]:
    yield found["key"]
    yield from _state(site.key(found["key"]), site.now)
    for on in found["waitsFor"]:
        yield f"  waits for    {on}"
    for kind, ids in found["inputs"].items():
        more = f" and {len(ids) - MOST_INPUTS} more" if len(ids) > MOST_INPUTS else ""
        yield f"  computed of  {kind}: {', '.join(ids[:MOST_INPUTS])}{more}"
    if site.known_facts() is None:
        yield "  not known    what it wants: the controller has not been read yet (`ako status`)"
    elif keys.split(found["key"])[0] in ("routes", "segroup"):
        yield "  writes into  an object shared with others, which is read when it runs; `ako resync` compares it now"
    elif not found["inputs"] and not found["objects"] and found["state"] == IDLE:
        yield "  unknown      nothing in the cluster asks for it, and nothing of it stands on the controller"
    if found["frozen"]:
        yield "  frozen       it uses what this release does not serve; what stands is left as it is"
    for each in found["objects"]:
        what = each["action"] + (f" ({', '.join(each['fields'])})" if each["fields"] else "")
        if each["vipHeld"]:
            what += ", its VIP is held: `ako resync --allow-vip-change`"
        stands = {"yes": "stands", "no": "is missing", "uncertain": "is uncertain"}[each["stands"]]
        addresses = f" with {', '.join(each['addresses'])}" if each["addresses"] else ""
        yield f"  {each['id']}: {'wanted' if each['wanted'] else 'not wanted'}, {stands}{addresses}; to do: {what}"


def _state(state: KeyState, now: int) -> Iterator[str]:
    """What the key is doing, who has it, and what went wrong."""
    yield f"  is           {in_words(state, now)}" + (f", because of {state.cause}" if state.cause else "")
    if state.worker:
        left = f"its lease ends in {age(now, state.lease_until)}" if state.lease_until > now else "its lease is over"
        yield f"  worker       {state.worker}; {left} unless it is renewed"
    if state.error:
        since = f" {age(now, state.error_at)} ago" if state.error_at else ""
        yield f"  last error   {state.error} ({state.failures} failures in a row, the last{since})"
    if state.lost:
        yield f"  lost leases  {state.lost} in a row: its workers die or hang"
    if state.held:
        yield "  held         a census would take much away; a second one has to agree (MassDeleteHeld)"
    for problem in state.problems:
        yield f"  told         {problem.kind} {problem.namespace}/{problem.name}: {problem.reason}: {problem.message}"
