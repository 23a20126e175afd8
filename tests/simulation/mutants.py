"""The program with one thing taken out: the simulation must notice each of them, else it proves nothing.

Each is a small function that takes the thing out of this process. Names say what is missing then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from unittest import mock

from shared import certificates
from shared.state import Claim, Ledger, Work, connection
from workers import handlers, reconcile
from workers import plan as planning
from workers.execute import Executor
from workers.guard import Guard
from workers.outcome import Result
from workers.plan import _Planner
from workers.reconcile import ObjectRuns
from workers.resync import Census


def _script(name: str, old: str, new: str) -> None:
    """Replaces a text of a script."""
    source = connection._source

    def replaced(asked: str) -> tuple[str, str]:
        text, digest = source(asked)
        if asked != name:
            return text, digest
        assert old in text, f"{name}.lua has no {old!r}"
        text = text.replace(old, new)
        return text, hashlib.sha1(text.encode()).hexdigest()

    connection._source = replaced  # type: ignore[assignment]


def deletes() -> None:
    """A plan takes nothing away."""
    _Planner.remove = lambda self: None  # type: ignore[method-assign]


def updates() -> None:
    """A plan sees no difference."""
    planning.differs = lambda *args: []  # type: ignore[attr-defined]


def the_look_at_what_is_uncertain() -> None:
    """An open intent is taken for done."""
    ObjectRuns._settle = lambda self, claim, desired, view: ({}, {})  # type: ignore[method-assign]


def the_second_look() -> None:
    """What a lost call may still do is not waited for."""
    real = Executor.settle

    def once(self: Executor, *args: Any, **kwargs: Any) -> Any:
        return real(self, *args, **kwargs)[0], 0.0

    Executor.settle = once  # type: ignore[method-assign]


def failures() -> None:
    """What failed counts as done."""
    reconcile.of_error = lambda error, count: ("done", 0.0)  # type: ignore[attr-defined]
    real = ObjectRuns._result

    def content(self: ObjectRuns, *args: Any) -> Result:
        result = real(self, *args)
        return Result(problems=result.problems, contact=result.contact)

    ObjectRuns._result = content  # type: ignore[method-assign]


def the_run_after_a_mark() -> None:
    """A key that is marked while it runs is done when the run is."""
    _script("finish", "if again then", "if false then")


def the_tick() -> None:
    """Nobody notices claims that have ended and delays that are over."""
    Work.tick = lambda self: None  # type: ignore[method-assign]


def the_check_of_the_claim() -> None:
    """A run writes whoever holds its key and however old its claim is."""
    _script("step", "if not holds(key, args.token, args.incarnation, now) then return { 'lost', '' } end", "")
    Work.renew = lambda self, claims: []  # type: ignore[method-assign]
    Claim.may_write = lambda self, lease_ttl: True  # type: ignore[method-assign]


def the_row() -> None:
    """A host does not tell its shard what stands."""
    _script("finish", "mark(shard, 'change'", "(function() end)(shard, 'change'")


def the_intent() -> None:
    """A POST or DELETE leaves no trace before its effect."""
    _script("step", "if args.permit.intent ~= '' then", "if false then")


def what_a_census_does_not_see() -> None:
    """What a census does not find is believed to stand."""
    Ledger.close_census = lambda self, *args: []  # type: ignore[method-assign]


def what_a_census_finds() -> None:
    """What a census finds is not noted."""
    Ledger.merge = lambda self, *args: []  # type: ignore[method-assign]


def the_marks_of_a_census() -> None:
    """After a census only what differs is looked at, not what the mirror asks for."""
    Census._all_keys = lambda self, vrf: set()  # type: ignore[method-assign]


def the_incarnation() -> None:
    """A Redis that lost everything is taken for the one that it was."""
    _script("begin", "if not meta[1] or meta[2] ~= run then", "if not meta[1] then")
    _script("begin", "local run = server_run()", "local run = call('HGET', META, 'run_id') or server_run()")


def the_wait_for_the_mirror() -> None:
    """Keys are handed out before everything was listed, and no census holds what would go."""
    Guard.look = lambda self, claim, facts: ([], ())  # type: ignore[method-assign]
    _script("claim", "local open_gate = meta[1] == '1' and meta[2] == '1'", "local open_gate = meta[2] == '1'")
    _script(
        "claim",
        "if key == 'resync' then return meta[1] == '1' and probing end",
        "if key == 'resync' then return probing end",
    )


def the_wake_of_who_waits() -> None:
    """An object that comes or goes wakes nobody, and nobody looks again by himself."""
    _script("step", "wake_waiting(id, now)", "(function() end)()")
    reconcile.waiting_delay = lambda waited, **_: 1e6  # type: ignore[attr-defined]


def the_faces() -> None:
    """A shard whose address changes tells no status."""
    handlers.Handlers._tell_statuses = lambda self, *args: None  # type: ignore[method-assign]


def the_look_at_a_key() -> None:
    """Every key belongs to every certificate."""
    certificates._public_key = lambda key: mock.ANY  # type: ignore[assignment]


# By name: how it is taken out, and the seed to look at first, since it is known to notice.
MUTANTS: dict[str, tuple[Callable[[], None], int]] = {
    each.__name__.replace("_", "-"): (each, seed)
    for each, seed in (
        (deletes, 1),
        (updates, 1),
        (the_look_at_what_is_uncertain, 2),
        (the_second_look, 131),
        (failures, 1),
        (the_run_after_a_mark, 1),
        (the_tick, 1),
        (the_check_of_the_claim, 7),
        (the_row, 1),
        (the_intent, 3),
        (what_a_census_does_not_see, 1),
        (what_a_census_finds, 7),
        (the_marks_of_a_census, 204),
        (the_incarnation, 5),
        (the_wait_for_the_mirror, 30),
        (the_wake_of_who_waits, 1),
        (the_faces, 2),
        (the_look_at_a_key, 5),
    )
}
