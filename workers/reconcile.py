"""Where a run of a key is assembled: claim, snapshot, model, plan, execute, finish. This is the concurrency contract.

- One key is run by one worker at a time: the claim says so, and every write to the controller is preceded by a script
  that checks the claim, the incarnation and the Redis run. Different keys run side by side, in any order.
- A run computes from the mirror as it is when it runs. A key that is marked during its run runs again afterwards.
- A run may end at any point and be repeated at any time: what it had done is in the ledger or, where an answer was
  lost, behind an open intent that makes the next run look first.
- A key that fails goes to `later` with a growing delay and holds up nobody; a controller that does not answer opens
  the shared breaker instead, and no key's count grows.
- A claim that is lost ends the run without another write; whoever holds the key now starts from the ledger.
- A key that lost three leases in a row may be what kills or hangs its workers: it runs in a process that claims nothing
  else meanwhile, and says so before it runs.
- A key that a census holds (see `workers.guard`) is left as it is until another census agrees or lets it go.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from shared import telemetry
from shared.correlation import run_of
from shared.errors import AkoError, AviConflict, ClaimLost, KeyHeld, StateUnavailable
from shared.settings.model import Settings
from shared.state import Claim, Ledger, LedgerEntry, LedgerView, Work, keys
from shared.tracing import span
from workers.execute import Execution, Executor
from workers.keeper import Keeper
from workers.model.types import Desired, Problem
from workers.outcome import Result, Wait, how_it_ended, of_error, waiting_delay
from workers.plan import Entry, Plan, View, in_words, plan
from workers.vipchange import hold

log = logging.getLogger(__name__)

BUDGET_SECONDS = 1.0
REPLANS = 3
# The census that lets a held key go wakes it; this is for a census that never comes.
HELD = Result("again", 300.0)

Handler = Callable[[Claim], Result]
Report = Callable[[Claim, Result], None]


class Reconciler:
    """Runs keys. `handlers`: the function for each kind of key; `report` takes the problems of a run.

    `controller` is the controller's address, for messages.
    """

    def __init__(
        self, work: Work, keeper: Keeper, handlers: Mapping[str, Handler], report: Report, *, controller: str
    ) -> None:
        self.controller = controller
        self.work = work
        self.keeper = keeper
        self.handlers = handlers
        self.report = report

    def run(self, named: Sequence[str], ended: list[str] | None = None) -> bool:
        """Works on the `named` keys, then on whatever is ready, for about a second; True when more is left.

        `ended` is told each key with how its run ended.
        """
        end = time.monotonic() + BUDGET_SECONDS
        while True:
            claim = None if self.keeper.retired else self.work.claim(named)
            if claim is None:
                return False
            with self.keeper.holding(claim):
                how = self.one(claim)
            if ended is not None:
                ended.append(f"{claim.key} {how}")
            if time.monotonic() > end:
                return True

    def one(self, claim: Claim) -> str:
        """One run of one key, from the claim to the finish; returns how it ended."""
        began = time.monotonic()
        kind, about = keys.split(claim.key)[0], {"ako.key": claim.key, "ako.cause": claim.cause, "ako.run": claim.token}
        with run_of(claim.key, claim.token), span(f"run {kind}", about) as traced, telemetry.running(kind) as run:
            try:
                self._say_alone(claim)
                result = HELD if claim.held else self._guarded(claim)
                if result is not HELD:
                    self.report(claim, result)
                stands = self.work.finish(
                    claim,
                    result.outcome,
                    delay=result.delay,
                    row=result.row,
                    contact=result.contact,
                    waits=result.waits,
                )
                how = "held" if result is HELD else how_it_ended(result)
                _say(claim, result, "lost" if stands == "lost" else how, time.monotonic() - began)
                traced["ako.outcome"] = how
                if stands != "lost":
                    run.ended(how, result.error)
                    return how
            except ClaimLost as lost:
                log.warning("run of %s ended: %s", claim.key, lost.message)
            except StateUnavailable as error:
                log.warning("run of %s ended without a finish, its lease will end: %s", claim.key, error.message)
        return "lost"

    def _say_alone(self, claim: Claim) -> None:
        """Before the run, since it may be the last thing that this process does."""
        if not claim.alone:
            return
        text = (
            f"{claim.key} lost its worker or its lease {claim.lost} times in a row, so it runs alone in a worker "
            "process until it finishes once; look at what the workers that ran it logged last"
        )
        self.report(claim, Result(problems=(Problem("", "", "", "RunsAlone", text),)))

    def _guarded(self, claim: Claim) -> Result:
        """The handler's result; any error becomes a result, so that no key can stop a worker."""
        try:
            return self.handlers[keys.split(claim.key)[0]](claim)
        except (ClaimLost, StateUnavailable):
            raise
        except KeyHeld:
            return HELD
        except AkoError as error:
            outcome, delay = of_error(error, claim.failures)
            if outcome == "unreachable":
                log.warning("the Avi Controller %s can't be used, one key at a time tries: %s", self.controller, error)
            else:
                log.warning("%s failed, next try in %.1f s: %s", claim.key, delay, error)
            return Result(outcome, delay, error=error, contact=getattr(error, "status", 0) > 0)
        except Exception as error:  # a defect of ours in one key must not end the worker
            log.exception("run of %s failed on a defect", claim.key)
            telemetry.defect("run")
            wrapped = AkoError(f"{type(error).__name__} while computing {claim.key}", where=claim.key)
            return Result("failed", of_error(wrapped, claim.failures)[1], error=wrapped)


class ObjectRuns:
    """The run of a key that owns Avi objects: model, plan, execute, and again when the world turned out different."""

    def __init__(self, settings: Settings, ledger: Ledger, work: Work, executor: Executor) -> None:
        self.settings = settings
        self.ledger = ledger
        self.work = work
        self.executor = executor

    def run(self, claim: Claim, compute: Callable[[], Desired]) -> tuple[Result, Desired, LedgerView]:
        """Brings the objects of a key to what `compute` wants.

        Returns the result (without a row), what was wanted, and the ledger's view afterwards.
        """
        contact = False
        written: list[str] = []
        for attempt in range(REPLANS + 1):
            desired = compute()
            view = self.ledger.view(claim.key, outside(desired))
            settled, rechecks = self._settle(claim, desired, view)
            if settled:
                contact = True
                desired = compute()  # what stands is known only now
                view = self._view(claim, desired, settled)
            if desired.frozen:
                return Result(problems=desired.problems), desired, view
            desired = self._held(desired, view)
            made = plan(desired, plan_view(claim.key, view))
            execution = self.executor.run(claim, made.operations)
            contact = contact or execution.contact
            written += [in_words(each) for each in made.operations if each.id in execution.done]
            if not execution.replan or attempt == REPLANS:
                break
        recheck = max((left for id_, left in rechecks.items() if id_ not in execution.done), default=0.0)
        if execution.done or execution.errors:
            view = self.ledger.view(claim.key, outside(desired))
        result = self._result(claim, desired, made, execution, recheck, contact)
        return replace(result, operations=tuple(written)), desired, view

    def _held(self, desired: Desired, view: LedgerView) -> Desired:
        """What is wanted, with VIPs as they stand that would lose an address, unless that was asked for."""
        held = hold(desired, view.own)
        if held is desired or self.ledger.allows_vip_change(self.settings.digest()):
            return desired
        return held

    def _settle(
        self, claim: Claim, desired: Desired, view: LedgerView
    ) -> tuple[dict[str, LedgerEntry | None], dict[str, float]]:
        """Reads the uncertain entries of the key: what each is (None: gone), and when some need a second look (s)."""
        wanted = {wanted.id for wanted in desired.objects}
        settled: dict[str, LedgerEntry | None] = {}
        rechecks: dict[str, float] = {}
        if desired.frozen:
            return settled, rechecks
        for entry in view.own.values():
            if entry.intent:
                settled[entry.id], left = self.executor.settle(claim, entry, wanted=entry.id in wanted)
                if left:
                    rechecks[entry.id] = left
        return settled, rechecks

    def _view(self, claim: Claim, desired: Desired, settled: Mapping[str, LedgerEntry | None]) -> LedgerView:
        """The ledger as the plan may see it; of what was just read, that counts."""
        view = self.ledger.view(claim.key, outside(desired))
        own = {id_: entry for id_, entry in view.own.items() if id_ not in settled}
        own.update({id_: entry for id_, entry in settled.items() if entry is not None})
        others = {id_: known for id_, known in view.others.items() if known[0] != claim.key}
        return LedgerView(own, view.referrers, others)

    def _result(
        self, claim: Claim, desired: Desired, made: Plan, execution: Execution, recheck: float, contact: bool
    ) -> Result:
        problems = desired.problems + made.problems
        if execution.errors:
            first = next(iter(execution.errors.values()))
            outcome, delay = of_error(first, claim.failures)
            if isinstance(first, AviConflict):
                delay = max(delay, 60.0)
            for id_, error in execution.errors.items():
                log.warning("%s: %s: %s", claim.key, id_, error)
            return Result(outcome, delay, problems=problems, contact=contact, error=first)
        if made.waits or desired.waits:
            needed = sorted({wait.need for wait in made.waits if wait.need})
            self.work.mark(needed, "need", f"{claim.key} waits for it", bulk=claim.bulk)
            delay = waiting_delay(claim.waited, for_lists=not made.waits)
            return Result("waiting", delay, waits=_waits(desired, made), problems=problems, contact=contact)
        if recheck:
            return Result("again", recheck, problems=problems, contact=contact)
        return Result(problems=problems, contact=contact)


def _say(claim: Claim, result: Result, how: str, seconds: float) -> None:
    """The one line of a run: what it is about, why, what was written, how it ended. Quiet where nothing came of it."""
    level = logging.INFO if result.operations or how not in ("done", "lost") else logging.DEBUG
    wrote = "; ".join(result.operations) or "nothing written"
    log.log(
        level,
        "%s: %s in %.0f ms: %s; because of %s",
        claim.key,
        how,
        seconds * 1000,
        wrote,
        claim.cause or "a wake-up",
        extra={"outcome": how, "operations": result.operations, "cause": claim.cause, "seconds": round(seconds, 4)},
    )


def row_of(desired: Desired, view: LedgerView) -> str:
    """The stored row of a host: what its shards and statuses depend on, with what stands of it; "" for nothing."""
    standing = {id_: entry.uuid for id_, entry in sorted(view.own.items()) if entry.stands and _matters(id_)}
    if desired.row is None and not standing:
        return ""
    row: dict[str, Any] = {"shards": desired.shards, "row": desired.row, "faces": desired.faces, "standing": standing}
    if desired.refused:
        row["refused"] = desired.refused
    if addresses := {id_: entry.extra for id_, entry in sorted(view.own.items()) if entry.stands and entry.extra}:
        row["addresses"] = addresses  # of dedicated virtual services
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS).decode()


def _waits(desired: Desired, made: Plan) -> tuple[Wait, ...]:
    """What to be woken by. What waits for its referrers to go is woken when the last of them has gone."""
    appearing: list[Wait] = [("stands", id_) for id_ in desired.waits]
    return (*appearing, *(("gone", wait.id) if wait.reason == "gone" else ("stands", wait.on) for wait in made.waits))


def _matters(id_: str) -> bool:
    return id_.startswith(("pool/", "virtualservice/"))


def outside(desired: Desired) -> list[str]:
    """Ids whose owner the plan must know: what is wanted, and what must stand first."""
    ids: dict[str, None] = {}
    for wanted in desired.objects:
        ids[wanted.id] = None
        ids.update(dict.fromkeys(wanted.requires))
    return list(ids)


def plan_view(key: str, view: LedgerView) -> View:
    """The ledger's view of a key as its plan sees it, everything uncertain settled."""
    own = {
        id_: Entry(id_, key, entry.uuid, entry.last_modified, dict(entry.owned), entry.references, "")
        for id_, entry in view.own.items()
    }
    return View(own, view.others, view.referrers)
