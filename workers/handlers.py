"""What a run of a key does: `host`, `shard`, `lb`, `lbshared`, `certificate`, `routes`, `segroup`, `change`.

The handlers of `status` and `resync` have files of their own.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from shared import telemetry
from shared.avi.client import AviClient
from shared.errors import AviNotFound, AviRefused, AviStale, ClaimLost
from shared.settings.model import Settings
from shared.state import Claim, Ledger, LedgerView, Mirror, State, Work, keys
from shared.state.connection import bounded
from shared.state.figures import note_left_out
from workers.contact import ANY
from workers.execute import Executor, entry_of
from workers.facts import name_of
from workers.model.certificates import desired_default_certificates
from workers.model.families import of_network
from workers.model.hosts import desired_host
from workers.model.l4 import desired_services
from workers.model.layout import layout_of
from workers.model.routes import desired_routes, left_out
from workers.model.segroup import desired_segroup
from workers.model.shards import desired_shard
from workers.model.types import AviObject, Desired, Problem, SharedPart, object_id
from workers.model.vips import VSVIP, families_allocated
from workers.outcome import Result, backoff
from workers.parts import merge_shared
from workers.reconcile import Handler, ObjectRuns, row_of
from workers.scope import expand
from workers.services import KINDS, lacks_preferred, read_snapshot, row_of_services
from workers.snapshot import Snapshots
from workers.unserved import unserved

SHARED_TRIES = 8
LONGEST_ADDRESS_WAIT = 60.0


class Handlers:
    """The handlers of one process, over the parts that they share."""

    def __init__(
        self, settings: Settings, state: State, work: Work, snapshots: Snapshots, executor: Executor, avi: AviClient
    ) -> None:
        self.settings = settings
        self.layout = layout_of(settings)
        self.state = state
        self.work = work
        self.mirror = Mirror(state)
        self.ledger = Ledger(state)
        self.snapshots = snapshots
        self.avi = avi
        self.objects = ObjectRuns(settings, self.ledger, work, executor)

    def table(self) -> Mapping[str, Handler]:
        """Handler by kind of key."""
        return {
            "host": self.host,
            "shard": self.shard,
            "certificate": self.certificate,
            **dict.fromkeys(KINDS, self.services),
            "routes": self.routes,
            "segroup": self.segroup,
            "change": self.change,
        }

    def host(self, claim: Claim) -> Result:
        """Everything of one FQDN; its row tells its shards what stands."""
        _, fqdn = keys.split(claim.key)

        def compute() -> Desired:
            snapshot, facts = self.snapshots.host(fqdn)
            return desired_host(snapshot, self.settings, facts)

        result, desired, view = self.objects.run(claim, compute)
        lacking, view = self._addresses(claim, desired, view)
        problems = (*result.problems, *unserved(desired, fqdn, of_network(self.settings)))
        return replace(_until_addressed(result, claim, lacking), row=row_of(desired, view), problems=problems)

    def shard(self, claim: Claim) -> Result:
        """A shared parent, its vsvip and what hangs on it."""
        tenant, _, parent = keys.split(claim.key)[1].partition("/")

        def compute() -> Desired:
            snapshot, facts = self.snapshots.shard(tenant, parent, self.layout, self.ledger.standing_of)
            return desired_shard(snapshot, self.settings, facts)

        result, desired, view = self.objects.run(claim, compute)
        lacking, _ = self._addresses(claim, desired, view)
        self._tell_statuses(claim, tenant, parent)
        return _until_addressed(result, claim, lacking)

    def certificate(self, claim: Claim) -> Result:
        """The certificates that all Ingresses share which ask for TLS without a Secret of their own."""

        def compute() -> Desired:
            snapshot, facts = self.snapshots.default_certificate()
            return desired_default_certificates(snapshot, self.settings, facts)

        return self.objects.run(claim, compute)[0]

    def services(self, claim: Claim) -> Result:
        """Everything of a Service of type LoadBalancer, or of those that share a VIP; its row tells their statuses."""

        def compute() -> Desired:
            snapshot, facts = read_snapshot(self.snapshots, claim.key)
            return desired_services(snapshot, self.settings, facts)

        result, desired, view = self.objects.run(claim, compute)
        lacking, view = self._addresses(claim, desired, view)
        found = [
            unserved(desired, each.name, families_allocated(each))
            for each in desired.objects
            if each.type == VSVIP and each.id in view.own and view.own[each.id].stands
        ]
        problems = (*result.problems, *itertools.chain(*found))
        result = _until_addressed(result, claim, lacking)
        result = replace(result, row=row_of_services(desired, view), problems=problems)
        if isinstance(result.error, AviRefused) and lacks_preferred(desired, view):
            # Another key may be letting go of the address just now: a Service that has come to share it, or renamed.
            result = replace(result, delay=backoff(claim.failures))
        return result

    def routes(self, claim: Claim) -> Result:
        """Our static routes in a VRF."""
        snapshot, facts = self.snapshots.routes()
        desired = desired_routes(snapshot, self.settings, facts)
        note_left_out(self.state, left_out(desired, self.settings))
        return self._shared(claim, desired)

    def segroup(self, claim: Claim) -> Result:
        """Our label on the service engine group."""
        return self._shared(claim, desired_segroup(self.settings, self.snapshots.facts()))

    def change(self, claim: Claim) -> Result:
        """Marks the keys that a wide change concerns; this worker goes on with them."""
        kind, _, name = keys.split(claim.key)[1].partition("/")
        found = expand(self.mirror, self.settings, self.snapshots.facts(), kind, name)
        self.work.mark(found, "change", claim.cause or f"{kind} {name}", bulk=claim.bulk)
        return Result()

    def _addresses(self, claim: Claim, desired: Desired, view: LedgerView) -> tuple[bool, LedgerView]:
        """Reads the vsvips again that lack an address of a wanted family; True while one still does."""
        lacking = False
        for wanted in desired.objects:
            entry = view.own.get(wanted.id) if wanted.type == VSVIP else None
            if entry is None or entry.intent or wanted.vip_held or not _lacks(wanted, entry.extra):
                continue
            try:
                fresh = entry_of(VSVIP, wanted.tenant, self.avi.get(VSVIP, entry.uuid, tenant=wanted.tenant))
            except AviNotFound:
                self.ledger.doubt(f"{wanted.id} is gone", [wanted.id], "gone")
                lacking = True
                continue
            self.ledger.step(claim, record=(wanted.id, fresh))
            lacking = lacking or _lacks(wanted, fresh.extra)
            view = LedgerView({**view.own, wanted.id: fresh}, view.referrers, view.others)
        return lacking, view

    def _tell_statuses(self, claim: Claim, tenant: str, parent: str) -> None:
        """Marks the statuses of the shard's Ingresses when its addresses or its virtual service changed."""
        ids = [object_id(type_, tenant, parent) for type_ in (VSVIP, "virtualservice")]
        # As the statuses see them: in the ledger, where what does not stand for certain is as good as absent.
        vsvip, parent_vs = map(self.ledger.entries([(claim.key, id_) for id_ in ids]).get, ids)
        addresses = vsvip.extra if vsvip and vsvip.stands else None
        face = orjson.dumps([addresses, parent_vs.uuid if parent_vs and parent_vs.stands else None]).decode()
        if self.state.fields("faces", [claim.key]) == [face]:
            return
        found = {
            keys.status_key("Ingress", member.partition(" ")[2].partition("/")[2])
            for member in self.snapshots.on_parent(self.layout, parent)
        }
        self.work.mark(sorted(found), "change", f"{parent} has new addresses", bulk=claim.bulk)
        with bounded():
            self.state.client.hset(self.state.key("faces"), claim.key, face)

    def _shared(self, claim: Claim, desired: Desired) -> Result:
        problems: list[Problem] = list(desired.problems)
        written: list[str] = []
        for part in desired.shared:
            problems += self._write_part(claim, part, written)
        return Result(problems=tuple(problems), contact=True, operations=tuple(written))

    def _write_part(self, claim: Claim, part: SharedPart, written: list[str]) -> list[Problem]:
        """Read, change our entries, write; again when somebody else wrote in between. Raises AviStale after 8 times."""
        id_ = object_id(part.type, part.tenant, part.name)
        for attempt in range(1, SHARED_TRIES + 1):
            actual = self.avi.find(part.type, part.name, tenant=ANY, cloud=self.settings.controller.cloud)
            if actual is None:
                raise AviNotFound(f"{part.type} {part.name!r} does not exist on the controller", where=claim.key)
            merged = merge_shared(actual, part, self.settings.cluster_name)
            if merged is None:
                return []
            if isinstance(merged, Problem):
                return [merged]
            self.ledger.step(claim, permit=(id_, ""))
            claim.progress = time.monotonic()
            if not claim.may_write(self.settings.pipeline.lease_ttl):
                raise ClaimLost("less than half of the lease is left", where=claim.key)
            try:
                tenant = name_of(str(actual["tenant_ref"])) or part.tenant
                self.avi.update(part.type, str(actual["uuid"]), merged, tenant=tenant)
            except AviStale:
                if attempt == SHARED_TRIES:
                    raise
                time.sleep(random.uniform(0, min(1.0, 0.1 * 2**attempt)))  # noqa: S311 - jitter
            else:
                telemetry.operated("update", part.type, claim.cause)
                written.append(f"update {id_} ({part.field})")
                return []
        return []


def _lacks(wanted: AviObject, addresses: Mapping[str, Any]) -> bool:
    """Whether a vsvip still has no address of a family that it allocates."""
    return any(not addresses.get(family.value.lower()) for family in families_allocated(wanted))


def _until_addressed(result: Result, claim: Claim, lacking: bool) -> Result:
    """A run that is done but for an address is done again, at growing distances."""
    if not lacking or result.outcome != "done":
        return result
    return replace(result, outcome="again", delay=min(LONGEST_ADDRESS_WAIT, 2.0**claim.waited), contact=True)
