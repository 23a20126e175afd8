"""What a census or new settings would take away, and whether that is believed at once.

Only the plans of owner keys delete; a census writes nothing. So it is keys that are held. Before a census concludes,
this computes what every key with something standing would want from now on: by the same model, from the same mirror,
under the settings and facts that are about to count. What stands and is not wanted any more would be taken away. If
that is a mass (`shared.guard`) of one type of object, of the pools of one parent, of the VIP addresses or of our
routes, then every key that would lose something is held: it writes nothing, and the statuses of its host stay too. A
census a minute later lets go what it finds again. `ako watcher --allow-mass-delete` holds nothing, `deleteConfig`
neither: that is asked for in words.

Nothing new enters a plan before this has looked at it. At a new incarnation and under new settings no key is handed out
before a census. The facts of a later census are stored after the hold. An object that nobody knew of holds its owner
from the moment that it is merged, and the script that permits each write refuses a held key, also to a run that began
before.

What the watch says is not held: a host that an Ingress names no more (the list guard has let that pass) does not count
while it is on its way. Everything else that happens to be on its way when a census ends, such as routes of nodes that
were just deleted, counts with it, and at worst waits that minute.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from shared.avi.client import AviClient
from shared.guard import CONFIRM_AFTER, mass
from shared.settings.model import Settings
from shared.state import Claim, Ledger, State, keys
from shared.state.work import MILLION
from workers import owned
from workers.compute import wanted_by
from workers.contact import ANY
from workers.model.routes import desired_routes
from workers.model.types import AviObject, Facts, Problem, object_id
from workers.parts import routes_taken
from workers.services import KINDS, services_of
from workers.snapshot import Snapshots

log = logging.getLogger(__name__)

POOL_GROUP, VSVIP = "poolgroup", "vsvip"
ADDRESSES = "VIP addresses"


@dataclass(slots=True)
class Losses:
    """What would be taken away: by key the texts (object ids, or things inside of objects), each text's group.

    `known` says how much of a group there is.
    """

    by_key: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    group: dict[str, str] = field(default_factory=dict)
    known: Counter[str] = field(default_factory=Counter)

    def add(self, key: str, group: str, text: str) -> None:
        """`text`, of `group`, would be taken away by `key`."""
        self.by_key[key].add(text)
        self.group[text] = group


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a key is held: what it would take away, and since when (Redis time, us) a census says so."""

    since: int
    lost: frozenset[str]

    def to_json(self) -> str:
        """As it is kept in Redis."""
        return orjson.dumps([self.since, sorted(self.lost)]).decode()

    @classmethod
    def from_json(cls, text: str) -> Hold:
        """Reads a stored text; "" is the hold of an object just found, by a census that has not ended."""
        since, lost = orjson.loads(text) if text else (0, ())
        return cls(since, frozenset(lost))


def decide(losses: Losses, earlier: Mapping[str, Hold], now: int) -> tuple[dict[str, Hold], list[str]]:
    """Which keys to hold, and in words of what it is too much. What was held for a minute counts as confirmed."""
    counts: Counter[str] = Counter()
    holds: dict[str, Hold] = {}
    for key, lost in losses.by_key.items():
        before = earlier.get(key, Hold(now, frozenset()))
        confirmed = before.lost if now - before.since >= CONFIRM_AFTER * MILLION else frozenset()
        if unconfirmed := lost - confirmed:
            holds[key] = Hold(before.since if lost <= before.lost else now, frozenset(lost))
            counts.update(losses.group[text] for text in unconfirmed)
    too_much = [f"{n} of {losses.known[group]} {group}" for group, n in counts.items() if mass(n, losses.known[group])]
    return (holds, sorted(too_much)) if too_much else ({}, [])


class Guard:
    """One per process; `look` is called by the census."""

    def __init__(self, settings: Settings, state: State, ledger: Ledger, snapshots: Snapshots, avi: AviClient) -> None:
        self.settings = settings
        self.state = state
        self.ledger = ledger
        self.snapshots = snapshots
        self.avi = avi

    def look(self, claim: Claim, facts: Facts) -> tuple[list[str], tuple[Problem, ...]]:
        """Holds what has to be held under these facts; returns the keys that are held no more, and what to say.

        Raises ClaimLost, and AviError when the routes can't be read.
        """
        allowed = self.state.fields("meta", ["allow_mass_delete"]) == ["1"]
        holds: dict[str, Hold] = {}
        too_much: list[str] = []
        if not self.settings.delete_config and not allowed:
            earlier = {key: Hold.from_json(text) for key, text in self.ledger.held().items()}
            holds, too_much = decide(self.losses(claim, facts), earlier, self.ledger.now())
        reasons = {key: hold.to_json() for key, hold in holds.items()}
        for key in holds:
            reasons.update(dict.fromkeys(self._statuses(key), Hold(0, frozenset()).to_json()))
        released = self.ledger.hold(claim, reasons)
        if not holds:
            return released, ()
        text = (
            f"a census would take away {', '.join(too_much)}; {len(holds)} keys are left as they are until a second "
            f"census, in {CONFIRM_AFTER:.0f} s, says the same. If this is not wanted, put right what changed: "
            "settings, cluster, or the controller; if it is, wait, or start the watcher with --allow-mass-delete"
        )
        log.error("%s. Keys: %s", text, ", ".join(sorted(holds)[:20]))
        home = self.settings.pod_namespace
        return released, (Problem("Namespace", home, home, "MassDeleteHeld", text),)

    def losses(self, claim: Claim, facts: Facts) -> Losses:
        """What every key would take away under these facts, routes included."""
        losses = Losses()
        standing, leaving = self.state.members("stands"), self.state.members("leaving")
        own: dict[str, set[str]] = defaultdict(set)
        owners = self.ledger.owners()
        for id_ in standing & owners.keys():
            own[owners[id_]].add(id_)
            losses.known[f"objects of type {_type(id_)}"] += 1
        gone = {id_ for id_, owner in owners.items() if owner in leaving}
        emptied = self._emptied(leaving, own)
        for key, ids in own.items():
            claim.progress = time.monotonic()
            if key in leaving and keys.split(key)[0] in {"host", *KINDS}:
                continue
            desired = wanted_by(key, facts, self.settings, self.snapshots, self.ledger)
            if desired is None or desired.frozen:
                continue
            wanted = {each.id: each for each in desired.objects}
            for id_ in set() if key in emptied else ids - wanted.keys():
                losses.add(key, f"objects of type {_type(id_)}", id_)
            self._inside(key, ids, wanted, gone, losses)
        self._routes(facts, losses)
        return losses

    def _emptied(self, leaving: set[str], standing: Iterable[str]) -> set[str]:
        """The shards that are on their way because all their hosts are, by the rows that the hosts have left."""
        rows = {keys.host_key(host): orjson.loads(text)["shards"] for host, text in self.state.hash("rows").items()}

        def shards_of(owners: Iterable[str]) -> set[str]:
            return {shard for owner in owners for shard in rows.get(owner, ())}

        return (shards_of(leaving) | leaving) - shards_of(set(standing) - leaving)

    def _inside(
        self, key: str, ids: Iterable[str], wanted: Mapping[str, AviObject], gone: set[str], losses: Losses
    ) -> None:
        """The pools that a parent's pool group would lose, and the addresses of a vsvip that goes."""
        inside = {POOL_GROUP, VSVIP} if key.startswith("shard:") else {VSVIP}
        lists = [(key, id_) for id_ in ids if _type(id_) in inside]
        for id_, entry in self.ledger.entries(lists).items():
            object_ = wanted.get(id_)
            if _type(id_) == POOL_GROUP:
                named = owned.references(POOL_GROUP, object_.body) if object_ is not None else []
                kept = {object_id(type_, entry.id.split("/", 2)[1], name) for type_, name in named}
                group = f"members of {id_}"
                losses.known[group] = len(entry.references)
                for pool in set(entry.references) - kept - gone:
                    losses.add(key, group, f"{pool} in {id_}")
            else:
                # What a VIP that stays would lose is held by `workers.vipchange`, however little it is.
                addresses = [address for found in entry.extra.values() for address in found]
                losses.known[ADDRESSES] += len(addresses)
                for address in addresses if object_ is None else ():
                    losses.add(key, ADDRESSES, f"{address} of {id_}")

    def _routes(self, facts: Facts, losses: Losses) -> None:
        snapshot, _ = self.snapshots.routes(facts)
        for part in desired_routes(snapshot, self.settings, facts).shared:
            actual = self.avi.find(part.type, part.name, tenant=ANY, cloud=self.settings.controller.cloud) or {}
            lost, known = routes_taken(actual, part, self.settings.cluster_name)
            group = f"static routes in {part.type} {part.name}"
            losses.known[group] = known
            for text in lost:
                losses.add(keys.routes_key(part.tenant, part.name), group, f"{text} in {part.name}")

    def _statuses(self, key: str) -> list[str]:
        """The status keys of the Ingresses that name the host of a key, or of its Services."""
        kind, host = keys.split(key)
        if kind in KINDS:
            return [keys.status_key("Service", id_) for id_ in services_of(self.snapshots.mirror, key)]
        if kind != "host":
            return []
        members = self.snapshots.mirror.naming(host)
        return [keys.status_key("Ingress", member.partition(" ")[2].partition("/")[2]) for member in members]


def _type(id_: str) -> str:
    return id_.partition("/")[0]
