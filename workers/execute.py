"""Runs the operations of a plan against the controller, one after the other, fenced step by step.

Each operation is permitted by a script that checks the claim, the incarnation and the Redis run, and that writes the
intent of a POST or DELETE into the ledger before the effect. The same script records what the operation before did,
so that n operations cost n + 1 round trips. An operation that fails is noted and those that depend on it are left
out; the others go on. What an operation learns about the world (a stale object, a name that exists, a reference
that does not) is written into the ledger, and `replan` says that the plan should be made again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from shared import telemetry
from shared.avi.client import AviClient
from shared.errors import (
    AkoError,
    AviConflict,
    AviError,
    AviMissingReference,
    AviNotFound,
    AviReferenced,
    AviRefused,
    AviStale,
    AviUnreachable,
    ClaimLost,
)
from shared.settings.model import Settings
from shared.state import Claim, Ledger, LedgerEntry
from shared.state.work import MILLION
from workers import owned
from workers.model.owners import is_ours
from workers.model.types import AviObject, SecretRef, object_id, split_object_id
from workers.plan import ChangeVip, Create, Delete, Operation, Update

# The two PEM texts of the certificate with a digest, read from Kubernetes when it is written and kept nowhere.
ReadSecret = Callable[[SecretRef, str], tuple[str, str]]
Record = tuple[str, LedgerEntry | None]


@dataclass(slots=True)
class Execution:
    """What came of a plan: the ids written or deleted, the errors by object id, and whether to plan again."""

    done: set[str] = field(default_factory=set)
    errors: dict[str, AkoError] = field(default_factory=dict)
    replan: bool = False
    contact: bool = False


def entry_of(
    type_: str, tenant: str, obj: Mapping[str, Any], *, sent: Mapping[str, Any] | None = None, at: int = 0
) -> LedgerEntry:
    """The ledger entry of an object as read from the controller; `sent` is the body that `obj` answers, if it does."""
    named = owned.references(type_, obj if sent is None else sent)
    references = tuple(sorted({object_id(kind, tenant, name) for kind, name in named}))
    return LedgerEntry(
        id=object_id(type_, tenant, str(obj["name"])),
        uuid=str(obj["uuid"]),
        last_modified=str(obj.get("_last_modified", "")),
        owned=owned.extract(type_, obj, sent),
        references=references,
        extra=owned.vips(obj) if type_ == "vsvip" else {},
        at=at,
    )


class Executor:
    """Runs plans for one process. Thread-safe: it keeps nothing between calls."""

    def __init__(self, settings: Settings, ledger: Ledger, avi: AviClient, read_secret: ReadSecret) -> None:
        self.settings = settings
        self.ledger = ledger
        self.avi = avi
        self.read_secret = read_secret

    def run(self, claim: Claim, operations: tuple[Operation, ...]) -> Execution:
        """Runs the operations in order. Raises ClaimLost when the claim is gone: nothing was written after that."""
        execution = Execution()
        pending: Record | None = None
        try:
            for operation in operations:
                if any(id_ in execution.errors for id_ in operation.depends):
                    execution.errors[operation.id] = AviError("left out: what it depends on failed", where=operation.id)
                    continue
                try:
                    # Before the intent: a Secret that can't be used leaves nothing uncertain and holds up no other.
                    body = self._body(operation)
                except AkoError as error:
                    execution.errors[operation.id] = error
                    continue
                record, pending = pending, None
                if self._step(claim, record, (operation.id, _intent(operation))):
                    # Another key took the name since the plan was made; the next plan reports it.
                    execution.replan = True
                    continue
                self._may_write(claim)
                pending = self._attempt(claim, operation, body, execution)
        finally:
            if pending is not None:
                self._step(claim, pending)
        return execution

    def _step(self, claim: Claim, record: Record | None, permit: tuple[str, str] | None = None) -> str:
        """The ledger's step; what was done under a claim that is lost by now is doubted, so that its holder looks."""
        try:
            return self.ledger.step(claim, record=record, permit=permit)
        except ClaimLost:
            if record is not None:
                cause = f"{record[0]} was written by a run that had lost its claim"
                self.ledger.doubt(cause, [record[0]], owner=claim.key)
            raise

    def _attempt(self, claim: Claim, operation: Operation, body: dict[str, Any], execution: Execution) -> Record | None:
        """Does one operation; returns what is to be recorded of it."""
        try:
            record = operation.id, self._effect(claim, operation, body)
        except AviError as error:
            execution.contact = execution.contact or error.status > 0
            return self._learn(operation, error, execution)
        execution.done.add(operation.id)
        execution.contact = True
        telemetry.operated(_verb(operation), operation.id.partition("/")[0], claim.cause)
        return record

    def settle(self, claim: Claim, entry: LedgerEntry, *, wanted: bool) -> tuple[LedgerEntry | None, float]:
        """Reads an uncertain object by name: what is there, and in how many seconds to look once more (0: settled).

        A call whose answer was lost may still take effect: until an answer would have been given up (`readTimeout`
        after the intent), an absent object is not believed absent (a wanted one may be made all the same), a wanted
        one not believed present for good, and what a lost PUT changes not believed to stay. Others may use the object
        all the same: it is there.
        """
        type_, tenant, name = split_object_id(entry.id)
        found = self.avi.find(type_, name, tenant=tenant)
        claim.progress = time.monotonic()
        known = None if found is None or not is_ours(type_, found, self.settings) else entry_of(type_, tenant, found)
        late_post = entry.intent == "create" and found is None
        late_delete = entry.intent == "delete" and known is not None and wanted
        late_put = entry.intent == "update" and known is not None
        if late_post or late_delete or late_put:
            left = self.settings.pipeline.read_timeout - (self.ledger.now() - entry.at) / MILLION
            if left > 0:
                if known is not None:
                    self.ledger.step(
                        claim, record=(entry.id, replace(known, intent=entry.intent, at=entry.at)), looked=entry.at
                    )
                return known, left
        self.ledger.step(claim, record=(entry.id, known), looked=entry.at)
        return known, 0.0

    def _may_write(self, claim: Claim) -> None:
        claim.progress = time.monotonic()
        if not claim.may_write(self.settings.pipeline.lease_ttl):
            raise ClaimLost("less than half of the lease is left", where=claim.key)

    def _effect(self, claim: Claim, operation: Operation, body: dict[str, Any]) -> LedgerEntry | None:
        type_, tenant, _ = split_object_id(operation.id)
        if isinstance(operation, Delete):
            self._delete(claim, type_, tenant, operation.entry.uuid)
            return None
        if isinstance(operation, Update):
            uuid = operation.entry.uuid
            actual = self.avi.get(type_, uuid, tenant=tenant)
            if not is_ours(type_, actual, self.settings):
                raise AviRefused("the object no longer carries our marks, so it is left alone", where=operation.id)
            body = owned.overlay(type_, actual, body, vip=isinstance(operation, ChangeVip))
            # A process that was suspended before the GET has read what the next holder wrote: 412 would not stop it.
            self._may_write(claim)
            return entry_of(type_, tenant, self.avi.update(type_, uuid, body, tenant=tenant), sent=body)
        return entry_of(type_, tenant, self.avi.create(type_, body, tenant=tenant), sent=body)

    def _delete(self, claim: Claim, type_: str, tenant: str, uuid: str) -> None:
        """Ownership is read again right before: what is not ours any more is not ours to delete."""
        try:
            actual = self.avi.get(type_, uuid, tenant=tenant)
            if is_ours(type_, actual, self.settings):
                self._may_write(claim)
                self.avi.delete(type_, uuid, tenant=tenant)
        except AviNotFound:
            return

    def _body(self, operation: Operation) -> dict[str, Any]:
        """The body as it goes on the wire, {} for a delete: a certificate gets its two texts only here."""
        if isinstance(operation, Delete):
            return {}
        wanted = operation.object
        if wanted.secret is None:
            return wanted.body
        certificate, key = self.read_secret(wanted.secret, wanted.body["certificate"]["certificate"])
        return {**wanted.body, "certificate": {"certificate": certificate}, "key": key}

    def _learn(self, operation: Operation, error: AviError, execution: Execution) -> Record | None:
        """Notes a failed operation. Raises what concerns the controller as a whole: no further call is worth making."""
        id_ = operation.id
        execution.errors[id_] = error
        match error:
            case AviStale() | AviNotFound() if isinstance(operation, Update):
                how: Literal["gone", "changed"] = "gone" if isinstance(error, AviNotFound) else "changed"
                self.ledger.doubt(f"{id_} changed behind our back", [id_], how)
                execution.replan = True
            case AviConflict():
                execution.replan = True
            case AviMissingReference() if not isinstance(operation, Delete):
                self.ledger.doubt(f"{id_} met a missing reference", _referred(operation.object), "gone")
                execution.replan = True
                return (id_, None) if isinstance(operation, Create) else None
            case AviRefused() | AviReferenced():
                # A refused POST had no effect: its intent is closed.
                return (id_, None) if isinstance(operation, Create) else None
            case AviUnreachable(sent=True) if isinstance(operation, Update):
                self.ledger.doubt(f"no answer for {id_}", [id_], "open")
                raise error
            case _:
                raise error
        return None


def _intent(operation: Operation) -> str:
    verb = _verb(operation)
    return "" if verb == "update" else verb


def _verb(operation: Operation) -> str:
    if isinstance(operation, Create):
        return "create"
    return "delete" if isinstance(operation, Delete) else "update"


def _referred(wanted: AviObject) -> list[str]:
    return [object_id(kind, wanted.tenant, name) for kind, name in owned.references(wanted.type, wanted.body)]
