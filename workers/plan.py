"""The diff: what one work key wants, against what the ledger says of it, as an ordered list of operations. Pure.

For each object id (`type/tenant/name`)::

    wanted | in the ledger of this key  | otherwise                      | outcome
    -------+----------------------------+--------------------------------+---------------------------------------
    yes    | -                          | nobody's                       | create
    yes    | -                          | another key's                  | left out, problem
    yes    | stands, fields equal       | -                              | nothing
    yes    | stands, fields differ      | -                              | update
    yes    | stands, its VIP differs    | -                              | change of the VIP, on its own
    yes    | uncertain                  | -                              | wait (stands, on itself)
    kept   | stands, whatever its fields| -                              | nothing
    kept   | -                          | -                              | nothing; what refers to it waits
    yes    | to be written              | what it refers to is missing   | wait (stands, on that)
    no     | stands                     | nobody refers to it any more   | delete
    no     | stands                     | somebody still refers to it    | wait (gone, on the referrer)
    no     | uncertain                  | -                              | wait (gone, on itself)

*Missing* is an object of ours that neither stands nor is created earlier in this plan; names that no key of ours makes
(a user's profile) are never waited for, the controller's answer decides. *Somebody* is not an object that this plan
deletes, or updates so that the reference goes.

The order is: what is referred to before what refers to it; deletes last, the other way round. An operation that waits
holds up those that need it and no others. `depends` names the objects of this plan whose operation must have succeeded
first, so that an executor can leave out what a failure made impossible and go on with the rest.

Operations are plain data: a policy (`upsert-only`, dry run) is a filter over them, `to_dict` is what `ako plan` prints.
References among the objects of a key form no cycle; if one were there, its objects would wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson

from workers.model.types import AviObject, Desired, ObjectId, Problem, WorkKey
from workers.owned import TABLES, differs, references

# References first. Within a type (a child and its parent virtual service) the references themselves decide.
_RANKS: Final[Mapping[str, int]] = {type_: rank for rank, type_ in enumerate(TABLES)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One ledger entry as the plan sees it. `owned` is an extract, `references` are object ids.

    `intent` other than "" means uncertain: a write was begun whose end is not known, or a census did not see it.
    """

    id: ObjectId
    owner: WorkKey
    uuid: str
    last_modified: str
    owned: dict[str, Any]
    references: tuple[ObjectId, ...]
    intent: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """What the plan may know of the ledger.

    `own`: this key's entries. `others`: (owner key or "", stands?) of ids outside it. `referrers`: for own ids, the
    ids of any key that refer to them.
    """

    own: Mapping[ObjectId, Entry]
    others: Mapping[ObjectId, tuple[WorkKey, bool]]
    referrers: Mapping[ObjectId, frozenset[ObjectId]]


@dataclass(frozen=True, slots=True)
class Create:
    """POST of an object that does not stand."""

    object: AviObject
    depends: tuple[ObjectId, ...] = ()

    @property
    def id(self) -> ObjectId:
        """The object's id."""
        return self.object.id

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `ako plan`."""
        return {"operation": "create", "id": self.id, "body": self.object.body, "depends": list(self.depends)}


@dataclass(frozen=True, slots=True)
class Update:
    """PUT of an object that stands and differs in `fields` (paths)."""

    object: AviObject
    entry: Entry
    fields: tuple[str, ...]
    depends: tuple[ObjectId, ...] = ()

    @property
    def id(self) -> ObjectId:
        """The object's id."""
        return self.object.id

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `ako plan`: the fields that differ, with their wanted values (None: to be taken away)."""
        tops = sorted({path.partition(".")[0] for path in self.fields})
        return {
            "operation": "change-vip" if isinstance(self, ChangeVip) else "update",
            "id": self.id,
            "uuid": self.entry.uuid,
            "fields": list(self.fields),
            "wanted": {name: self.object.body.get(name) for name in tops},
            "depends": list(self.depends),
        }


@dataclass(frozen=True, slots=True)
class ChangeVip(Update):
    """PUT of a vsvip that changes its VIP and nothing else, so that the controller can refuse it alone."""


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE of an object that stands and is wanted no more."""

    entry: Entry
    depends: tuple[ObjectId, ...] = ()

    @property
    def id(self) -> ObjectId:
        """The object's id."""
        return self.entry.id

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `ako plan`."""
        return {"operation": "delete", "id": self.id, "uuid": self.entry.uuid, "depends": list(self.depends)}


Operation = Create | Update | Delete


def in_words(operation: Operation) -> str:
    """`update pool/admin/x (servers)`."""
    shown = operation.to_dict()
    return f"{shown['operation']} {operation.id}" + (f" ({', '.join(shown['fields'])})" if shown.get("fields") else "")


@dataclass(frozen=True, slots=True)
class Wait:
    """Why the operation on `id` is not in the plan: `on` has to stand, or to be gone, first.

    `need` is the key that can bring it about, "" when it is this key or nobody known.
    """

    id: ObjectId
    on: ObjectId
    reason: Literal["stands", "gone"]
    need: WorkKey = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `ako plan`."""
        return {"id": self.id, "on": self.on, "reason": self.reason, "need": self.need}


@dataclass(frozen=True, slots=True)
class Plan:
    """Operations in the order in which they may run, what waits, and what cannot be.

    A problem's kind, namespace and name are "": the plan knows Avi objects, whoever runs it knows the key's Kubernetes
    objects.
    """

    operations: tuple[Operation, ...] = ()
    waits: tuple[Wait, ...] = ()
    problems: tuple[Problem, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `ako plan`."""
        return {
            "operations": [operation.to_dict() for operation in self.operations],
            "waits": [wait.to_dict() for wait in self.waits],
            "problems": [{"reason": problem.reason, "message": problem.message} for problem in self.problems],
        }


def plan(desired: Desired, view: View) -> Plan:
    """The operations that bring the objects of one key from what `view` says to what `desired` wants."""
    made = _Planner(view)
    made.claim(desired.objects)
    made.write()
    made.remove()
    return Plan(tuple(made.operations), tuple(made.waits), tuple(made.problems))


def by_rank(ids: Iterable[ObjectId]) -> list[ObjectId]:
    """Ids sorted so that types that are referred to come before the types that refer to them."""
    return sorted(ids, key=lambda id_: (_RANKS.get(id_.partition("/")[0], len(_RANKS)), id_))


@dataclass(slots=True)
class _Planner:
    """The working state of one call of `plan`; the three steps run once each, in order."""

    view: View
    wanted: dict[ObjectId, AviObject] = field(default_factory=dict)
    left_out: set[ObjectId] = field(default_factory=set)
    changed: dict[ObjectId, list[str]] = field(default_factory=dict)  # to be written; [] = to be created
    referred: dict[ObjectId, frozenset[ObjectId]] = field(default_factory=dict)
    visited: set[ObjectId] = field(default_factory=set)
    created: set[ObjectId] = field(default_factory=set)
    updated: set[ObjectId] = field(default_factory=set)
    deleted: set[ObjectId] = field(default_factory=set)
    operations: list[Operation] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def claim(self, objects: Iterable[AviObject]) -> None:
        """Settles which objects are this key's: a name has one owner, and one body."""
        own, others = self.view.own, self.view.others
        for object_ in objects:
            id_ = object_.id
            if id_ not in own and (owner := others.get(id_, ("", False))[0]):
                self.left_out.add(id_)
                self._problem("NameTaken", f"{id_} belongs to {owner} already; two names of this cluster are equal")
            elif (twin := self.wanted.get(id_)) is None:
                self.wanted[id_] = object_
            elif twin.body != object_.body:
                self.wanted[id_] = min(twin, object_, key=_text)
                self._problem("NameTaken", f"{id_} is wanted twice with different contents; one of them is left out")
        self.problems.sort(key=lambda problem: problem.message)

    def write(self) -> None:
        """Plans creates and updates, references first."""
        for id_, object_ in self.wanted.items():
            entry = self.view.own.get(id_)
            if object_.kept and entry is None:
                self.left_out.add(id_)
            elif entry is None or entry.intent:
                self.changed[id_] = []
            elif object_.kept:
                continue
            elif fields := differs(object_.type, object_.body, entry.owned):
                self.changed[id_] = fields
        for id_ in by_rank(self.changed):
            self._write(id_)

    def remove(self) -> None:
        """Plans deletes, referrers first."""
        stale = [id_ for id_ in self.view.own if id_ not in self.wanted]
        if not stale:
            return
        referrers: dict[ObjectId, set[ObjectId]] = {id_: set(self.view.referrers.get(id_, ())) for id_ in stale}
        for entry in self.view.own.values():
            for id_ in referrers.keys() & set(entry.references):
                referrers[id_].add(entry.id)
        for writer in self.changed:
            for id_ in referrers.keys() & self._refers(writer):
                referrers[id_].add(writer)
        for id_ in reversed(by_rank(stale)):
            self._remove(id_, referrers)

    def _write(self, id_: ObjectId) -> None:
        if id_ in self.visited:
            return
        self.visited.add(id_)
        targets = by_rank(self._refers(id_))
        for target in targets:
            if target in self.changed:
                self._write(target)
        entry = self.view.own.get(id_)
        if entry is not None and entry.intent:
            self.waits.append(Wait(id_, id_, "stands"))
            return
        missing = [wait for target in targets if (wait := self._missing(id_, target)) is not None]
        if missing:
            self.waits += missing
            return
        depends = tuple(target for target in targets if target in self.created)
        object_ = self.wanted[id_]
        if entry is None:
            self.created.add(id_)
            self.operations.append(Create(object_, depends))
        else:
            self._update(object_, entry, depends)

    def _update(self, object_: AviObject, entry: Entry, depends: tuple[ObjectId, ...]) -> None:
        fields = self.changed[entry.id]
        others = tuple(path for path in fields if object_.type != "vsvip" or path != "vip")
        if others:
            self.updated.add(entry.id)
            self.operations.append(Update(object_, entry, others, depends))
        if len(others) < len(fields) and not object_.vip_held:
            self.operations.append(ChangeVip(object_, entry, ("vip",), depends))

    def _missing(self, id_: ObjectId, target: ObjectId) -> Wait | None:
        """The wait of `id_` for `target`, None when `target` stands by the time it is needed or is not ours to make."""
        owner, stands = self.view.others.get(target, ("", False))
        need = self.wanted[id_].requires.get(target, "")
        if target in self.left_out:
            return Wait(id_, target, "stands")
        if target in self.wanted or target in self.view.own:
            entry = self.view.own.get(target)
            ready = target in self.created or (entry is not None and not entry.intent)
            return None if ready else Wait(id_, target, "stands")
        if stands or not (need or owner):
            return None
        return Wait(id_, target, "stands", need or owner)

    def _remove(self, id_: ObjectId, referrers: Mapping[ObjectId, set[ObjectId]]) -> None:
        if id_ in self.visited:
            return
        self.visited.add(id_)
        entry = self.view.own[id_]
        if entry.intent:
            self.waits.append(Wait(id_, id_, "gone"))
            return
        depends: list[ObjectId] = []
        held: list[Wait] = []
        for referrer in by_rank(referrers[id_] - {id_}):
            if referrer in referrers:
                self._remove(referrer, referrers)
            if self._lets_go(referrer, id_):
                depends.append(referrer)
            elif referrer not in self.created or id_ in self._refers(referrer):
                held.append(Wait(id_, referrer, "gone", self.view.others.get(referrer, ("", False))[0]))
        if held:
            self.waits += held
            return
        self.deleted.add(id_)
        self.operations.append(Delete(entry, tuple(depends)))

    def _lets_go(self, referrer: ObjectId, id_: ObjectId) -> bool:
        """Whether this plan deletes the referrer, or updates it so that it refers to `id_` no more."""
        if referrer in self.deleted:
            return True
        return referrer in self.updated and id_ not in self._refers(referrer)

    def _refers(self, id_: ObjectId) -> frozenset[ObjectId]:
        """Ids that a wanted object refers to or requires."""
        known = self.referred.get(id_)
        if known is None:
            object_ = self.wanted[id_]
            named = references(object_.type, object_.body)
            ids = {f"{type_}/{object_.tenant}/{name}" for type_, name in named}
            known = self.referred[id_] = frozenset(ids | set(object_.requires))
        return known

    def _problem(self, reason: str, message: str) -> None:
        self.problems.append(Problem("", "", "", reason, message))


def _text(object_: AviObject) -> bytes:
    """A text by which two bodies of one name are put in order."""
    return orjson.dumps(object_.body, option=orjson.OPT_SORT_KEYS)
