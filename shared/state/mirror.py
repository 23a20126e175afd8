"""The cluster as last seen: one projection per object, and reverse indexes. Written by the leading watcher only.

A batch is one script: it compares with what is there, writes, maintains the indexes and marks the keys of the old
and of the new projection, so that neither a crash nor an overwritten value loses a side. An epoch fences it: a
watcher that was overtaken, or a Redis that is not the one it began on, is refused.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from shared.errors import StaleEpoch
from shared.projection import Projection
from shared.state import keys
from shared.state.connection import State, bounded
from shared.state.work import BULK, LIVE

# More changes than this in one batch are no live change but a list being caught up with.
BULK_BATCH = 50


@dataclass(frozen=True, slots=True)
class Epoch:
    """The right to write the mirror, until another watcher takes it or Redis is not the same any more."""

    number: int
    incarnation: str
    run_id: str
    complete: bool


class Mirror:
    """Reads and writes the mirror."""

    def __init__(self, state: State) -> None:
        self.state = state

    def begin(self, digest: str, *, allow_mass_delete: bool = False, name: str = "") -> Epoch:
        """Becomes the leader: a new epoch, a new incarnation if Redis is empty or was restarted.

        `name` is the watcher's, for people. With `allow_mass_delete` no census holds anything back (`workers.guard`).
        """
        number, incarnation, run_id, mirror, ledger = self.state.script(
            "begin", uuid.uuid4().hex[:12], digest, "1" if allow_mass_delete else "0", name
        )
        return Epoch(int(number), incarnation, run_id, mirror == "1" and ledger == "1")

    def check(self, epoch: Epoch) -> bool:
        """True while Redis is the one that the epoch began on and nobody has taken over; says that the leader lives."""
        return bool(self.state.script("check", epoch.number, epoch.incarnation, epoch.run_id))

    def apply(
        self, epoch: Epoch, kind: str, changed: Sequence[Projection], deleted: Sequence[str], cause: str
    ) -> list[str]:
        """Writes one batch; returns the work keys that it marked. Raises StaleEpoch when overtaken."""
        bulk = not epoch.complete or len(changed) > BULK_BATCH
        batch = {
            "epoch": epoch.number,
            "incarnation": epoch.incarnation,
            "kind": kind,
            "class": BULK if bulk else LIVE,
            "cause": cause,
            "changed": [_item(projection) for projection in changed],
            "deleted": list(deleted),
        }
        answer = self.state.script("apply", orjson.dumps(batch))
        if answer[0] == "stale":
            raise StaleEpoch(
                "another watcher has taken over, or Redis was restarted or flushed", where=f"epoch {epoch.number}"
            )
        return list(answer[1:])

    def ids(self, kind: str) -> set[str]:
        """The ids of all objects of a kind that the mirror holds."""
        with bounded():
            return set(self.state.client.hkeys(self.state.key(f"mirror:{kind}")))  # type: ignore[arg-type]

    def complete(self, epoch: Epoch) -> list[str]:
        """Every kind has been listed: work may be handed out. Returns keys to wake workers for."""
        if not self.check(epoch):
            raise StaleEpoch("the epoch ended before its first list was complete", where=f"epoch {epoch.number}")
        with bounded():
            self.state.client.hset(self.state.key("meta"), "mirror_complete", "1")
        if self.state.fields("meta", ["ledger_complete"]) == ["1"]:
            return []
        self.state.script("mark", "change", LIVE, "the mirror is complete", keys.RESYNC)
        return [keys.RESYNC]

    def get(self, kind: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The projections of some objects, by id; those that are not there are left out."""
        found = self.state.fields(f"mirror:{kind}", ids)
        return {id_: orjson.loads(text) for id_, text in zip(ids, found, strict=True) if text is not None}

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """The projections of all objects of a kind, by id."""
        return {id_: orjson.loads(text) for id_, text in self.state.hash(f"mirror:{kind}").items()}

    def version(self, kinds: Iterable[str]) -> list[str | None]:
        """A text per kind that is another whenever an object of it has changed, also after a flush; for caches."""
        return self.state.fields("versions", list(kinds))

    def dependents(self, *refs: str) -> set[str]:
        """Members of the reverse indexes `refs`: texts `<work key> <Kind>/<id>`, the key "-" when it has none.

        The hosts of rules without one are complete (`lib.lua`); those members are left out while there is no domain.
        """
        found: set[str] = set()
        for start in range(0, len(refs), 500):
            found |= self.state.members(*(f"ix:{ref}" for ref in refs[start : start + 500]))
        open_ = {member for member in found if ". " in member}
        domain = self._domain() if open_ else ""
        return (found - open_) | ({member.replace(". ", f".{domain} ", 1) for member in open_} if domain else set())

    def naming(self, *hosts: str) -> set[str]:
        """The members of all Ingresses that name one of these hosts, or mean it by a rule without host."""
        refs = [f"Host/{host}" for host in hosts]
        if domain := self._domain():
            refs += [f"Host/{host.removesuffix(domain)}" for host in hosts if host.endswith(f".{domain}")]
        return self.dependents(*refs)

    def _domain(self) -> str:
        return self.state.fields("meta", ["domain"])[0] or ""


def _item(projection: Projection) -> Mapping[str, Any]:
    links = {"marks": projection.marks, "touches": projection.touches, "index": projection.index}
    status = None if projection.status is None else orjson.dumps(projection.status, option=orjson.OPT_SORT_KEYS)
    return {
        "id": projection.id,
        "body": orjson.dumps(projection.body, option=orjson.OPT_SORT_KEYS).decode(),
        "status": False if status is None else status.decode(),
        "links": orjson.dumps(links).decode(),
        **links,
    }
