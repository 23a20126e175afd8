"""The census: reads every object of every type that we make and compares the ledger with it.

It runs at a new incarnation, when the settings change, every `resync_interval` seconds and on demand; one holder at a
time (it is a key like any other). It deletes nothing and writes nothing to the controller: what it finds is merged
into the ledger, what it does not find becomes uncertain, and the keys that own either are marked. Deletes happen
only in the plan of the owner, and not at once where they are many (`workers.guard`). A page that fails ends the census
without any conclusion; until one has succeeded every worker says so and is not ready.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

from shared.avi.client import AviClient
from shared.guard import CONFIRM_AFTER
from shared.kube import KubeClient
from shared.settings.model import Settings
from shared.state import Claim, Ledger, LedgerEntry, State, Work, keys
from shared.state.figures import note_left_out
from workers.execute import entry_of
from workers.facts import name_of, read_facts
from workers.guard import Guard
from workers.model.owners import MADE_TYPES, Owners, is_ours
from workers.model.routes import looks_at_nodes, routes_active
from workers.model.types import Facts
from workers.model.vips import VSVIP
from workers.outcome import Result
from workers.services import service_keys
from workers.snapshot import Snapshots, store_facts

log = logging.getLogger(__name__)

LOOK_AGAIN = 10.0  # seconds between two censuses while deleteConfig takes everything away


class Census:
    """One per process; `run` is the handler of the key `resync`."""

    def __init__(
        self,
        settings: Settings,
        state: State,
        ledger: Ledger,
        work: Work,
        snapshots: Snapshots,
        avi: AviClient,
        kube: KubeClient,
    ) -> None:
        self.settings = settings
        self.state = state
        self.ledger = ledger
        self.work = work
        self.snapshots = snapshots
        self.avi = avi
        self.kube = kube
        self.guard = Guard(settings, state, ledger, snapshots, avi)

    def run(self, claim: Claim) -> Result:
        """Reads the facts and every object of ours, then marks what has to be looked at."""
        facts = read_facts(self.avi, self.kube, self.settings)
        began = self.ledger.now()
        known = self.state.fields("meta", ["ledger_complete"]) == ["1"]
        drifted: set[str] = set()
        count = 0
        owners = Owners(self.settings, service_keys(self.snapshots.mirror), self.snapshots.namespaces())
        left: list[tuple[int, dict[str, Any]]] = []
        orphans: list[str] = []
        for type_ in MADE_TYPES:
            count += self._read_type(claim, type_, owners, left, drifted, orphans)
        count += self._read_late(claim, owners, left, drifted, orphans)
        released, held = self.guard.look(claim, facts)
        self._store(facts)
        drifted.update(self.ledger.close_census(claim, began, MADE_TYPES))
        log.info("census: %d objects of ours, %d keys to look at for them", count, len(drifted))
        self.ledger.note_census(began, count, len(drifted), len(orphans), known=known, interval=self._interval())
        if not routes_active(self.settings):
            note_left_out(self.state, {})  # nobody looks at them any more
        self.work.mark(released, "wake", "a census holds it no more", bulk=True)
        self.work.mark(sorted(drifted | self._all_keys(facts.vrf)), "need", "census", bulk=True)
        if self.settings.delete_config:
            return _deleting(count)
        interval = self._interval()
        if held:
            interval = min(interval or CONFIRM_AFTER, CONFIRM_AFTER)
        return Result("again" if interval else "done", interval, problems=held, contact=True)

    def _interval(self) -> float:
        """Seconds until the next census, if nothing brings it forward; 0: none follows."""
        return 0.0 if self.settings.delete_config else self.settings.pipeline.resync_interval

    def _store(self, facts: Facts) -> None:
        if store_facts(self.state, facts):
            log.info(
                "controller facts: cloud %s, VRF %s, DNS domains %s", facts.cloud_type, facts.vrf, facts.dns_domains
            )

    def _read_type(
        self,
        claim: Claim,
        type_: str,
        owners: Owners,
        left: list[tuple[int, dict[str, Any]]],
        drifted: set[str],
        orphans: list[str],
    ) -> int:
        """Merges all pages of a type; returns how many objects of ours there are that a key owns.

        A vsvip that doesn't tell its owner goes to `left`, with the time at which it was asked for.
        """
        count = 0
        for asked, objects in self._pages(type_):
            claim.progress = time.monotonic()
            ours = [obj for obj in objects if is_ours(type_, obj, self.settings)]
            page: list[tuple[str, LedgerEntry]] = []
            for obj in ours:
                owner = owners.of(type_, obj)
                if owner is not None:
                    page.append((owner, self._entry(type_, obj, asked)))
                elif type_ == VSVIP:
                    left.append((asked, obj))
                else:
                    _leave_alone(type_, obj, orphans)
            drifted.update(self.ledger.merge(claim, asked, page))
            count += len(page)
        return count

    def _read_late(
        self,
        claim: Claim,
        owners: Owners,
        left: list[tuple[int, dict[str, Any]]],
        drifted: set[str],
        orphans: list[str],
    ) -> int:
        """Merges the vsvips whose owners only the virtual services tell; returns how many a key owns."""
        pages: dict[int, list[tuple[str, LedgerEntry]]] = {}
        for asked, obj in left:
            owner = owners.late(obj)
            if owner is None:
                _leave_alone(VSVIP, obj, orphans)
            else:
                pages.setdefault(asked, []).append((owner, self._entry(VSVIP, obj, asked)))
        for asked, page in pages.items():
            drifted.update(self.ledger.merge(claim, asked, page))
        return sum(map(len, pages.values()))

    def _entry(self, type_: str, obj: dict[str, Any], asked: int) -> LedgerEntry:
        tenant = name_of(str(obj["tenant_ref"])) or self.settings.controller.tenant
        return entry_of(type_, tenant, obj, at=asked)

    def _pages(self, type_: str) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """Each page with the Redis time from before it was asked for."""
        # A vsvip carries no created_by; of the others the controller can leave out what is not ours.
        mark: dict[str, Any] = {"name.contains": self.settings.prefix}
        if type_ != VSVIP:
            mark = {"created_by": self.settings.created_by}
        pages = self.avi.pages(type_, tenant="*", **mark)
        while True:
            asked = self.ledger.now()
            page = next(pages, None)
            if page is None:
                return
            yield asked, page.objects

    def _all_keys(self, vrf: str) -> set[str]:
        """Every key that the mirror yields or the ledger knows."""
        found = self.snapshots.asked_for() | service_keys(self.snapshots.mirror) | set(self.ledger.owners().values())
        if not self.settings.disable_static_routes or looks_at_nodes(self.settings):
            found.add(keys.routes_key(self.settings.controller.tenant, vrf))
            found.add(keys.segroup_key(self.settings.controller.se_group))
        return found


def _leave_alone(type_: str, obj: dict[str, Any], orphans: list[str]) -> None:
    log.warning("%s %s is ours but no key of this release owns it; left alone", type_, obj["name"])
    orphans.append(str(obj["name"]))


def _deleting(left: int) -> Result:
    """Says how far `deleteConfig` has come, until nothing is left; then there is nothing more to do."""
    if left:
        log.warning("deleteConfig: %d objects of this cluster are left on the controller", left)
        return Result("again", LOOK_AGAIN, contact=True)
    log.warning("deleteConfig: nothing of this cluster is left on the controller; idle until it is false")
    return Result(contact=True)
