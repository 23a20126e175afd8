"""The ledger: what we believe stands on the controller, one entry per Avi object, under the key that owns it.

An entry with an open intent is uncertain: its owner reads the object by name before it believes in presence or absence.
"create" and "delete" are written before the call, so the object stands for nobody meanwhile; "update" (a PUT whose end
nobody told) and "unseen" (by a census, or changed behind our back) take nothing away: for others it stands as before,
until its owner has looked. An entry is written by the step that checks the claim, so
a worker that has lost its claim can change nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from shared.errors import ClaimLost, KeyHeld
from shared.state import keys
from shared.state.connection import State, bounded
from shared.state.work import MILLION, Claim


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One Avi object as we know it. `at`: Redis time (us) of the last touch; `extra`: a vsvip's addresses."""

    id: str
    uuid: str
    last_modified: str
    owned: Mapping[str, Any]
    references: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    intent: str = ""
    at: int = 0

    @property
    def stands(self) -> bool:
        """Whether the last evidence is that the object is there: no POST or DELETE of it is open."""
        return self.intent not in {"create", "delete"}

    def to_json(self) -> str:
        """The stored text. `intent` and `at` come first, adjacent: the scripts replace them by pattern."""
        return orjson.dumps(
            {
                "intent": self.intent,
                "at": self.at,
                "id": self.id,
                "uuid": self.uuid,
                "last_modified": self.last_modified,
                "owned": self.owned,
                "references": self.references,
                "extra": self.extra,
            }
        ).decode()

    @classmethod
    def from_json(cls, text: str) -> LedgerEntry:
        """Reads a stored text."""
        fields = orjson.loads(text)
        fields["references"] = tuple(fields["references"])
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What one key may know: its own entries, who refers to them, and (owner, stands) of objects of other keys."""

    own: dict[str, LedgerEntry]
    referrers: dict[str, frozenset[str]]
    others: dict[str, tuple[str, bool]]


class Ledger:
    """Reads and writes the ledger."""

    def __init__(self, state: State) -> None:
        self.state = state

    def view(self, key: str, others: Iterable[str]) -> LedgerView:
        """The entries of `key` and what is known of `others` (object ids)."""
        own, referrers, rest = self.state.script("view", key, *others)
        entries = {own[i]: LedgerEntry.from_json(own[i + 1]) for i in range(0, len(own), 2)}
        return LedgerView(
            entries,
            {referrers[i]: frozenset(referrers[i + 1]) for i in range(0, len(referrers), 2)},
            {rest[i]: (rest[i + 1], rest[i + 2] == 1) for i in range(0, len(rest), 3)},
        )

    def step(
        self,
        claim: Claim,
        *,
        record: tuple[str, LedgerEntry | None] | None = None,
        permit: tuple[str, str] | None = None,
        looked: int | None = None,
    ) -> str:
        """Records what the last call did and permits the next one, in one script.

        `record`: object id and its entry (None: gone). `looked`: the record is a look at an uncertain entry of that
        `at`, and counts only if nobody has doubted the object since.
        `permit`: object id and intent ("create", "delete", "").
        Returns "" when permitted, else the key that owns the name. Raises ClaimLost: write nothing more; KeyHeld:
        write nothing now.
        """
        args: dict[str, Any] = {"key": claim.key, "token": claim.token, "incarnation": claim.incarnation}
        args["record"] = args["permit"] = False
        if record is not None:
            id_, entry = record
            args["record"] = {
                "id": id_,
                "entry": entry.to_json() if entry else False,
                "references": entry.references if entry else (),
                "looked": looked or False,
            }
        if permit is not None:
            args["permit"] = {"id": permit[0], "intent": permit[1]}
        verdict, owner = self.state.script("step", orjson.dumps(args))
        if verdict == "lost":
            raise ClaimLost("the claim is no longer ours", where=claim.key)
        if verdict == "held":
            raise KeyHeld("a census keeps this key from writing until another one agrees", where=claim.key)
        return str(owner)

    def doubt(
        self,
        cause: str,
        ids: Iterable[str],
        how: Literal["changed", "gone", "open"] = "changed",
        *,
        owner: str = "",
    ) -> None:
        """Makes the entries of `ids` uncertain and wakes the keys that own them.

        Unknown ids are left alone, or belong to the key `owner` from now on.

        "gone": the controller said that they are not there, so others wait for them until their owners have looked.
        "open": a PUT was sent and not answered.
        """
        self.state.script("doubt", cause, how, owner, *ids)

    def standing_of(self, owners: Sequence[str]) -> frozenset[str]:
        """What stands for certain of some owner keys: pools, pool groups, certificates, vsvips, virtual services."""
        standing: set[str] = set()
        for start in range(0, len(owners), 500):
            standing.update(self.state.script("standing", *owners[start : start + 500]))
        return frozenset(standing)

    def entries(self, owners: Sequence[tuple[str, str]]) -> dict[str, LedgerEntry]:
        """Single entries, asked for as (owner key, object id)."""
        if not owners:
            return {}
        with bounded(), self.state.client.pipeline(transaction=False) as pipe:
            for owner, id_ in owners:
                pipe.hget(self.state.key(f"ledger:{owner}"), id_)
            found = pipe.execute()
        return {id_: LedgerEntry.from_json(text) for (_, id_), text in zip(owners, found, strict=True) if text}

    def owners(self) -> dict[str, str]:
        """Every object id in the ledger and the key that owns it."""
        return self.state.hash("owner")

    def now(self) -> int:
        """Redis time in microseconds: asked for before a census page is requested."""
        with bounded():
            seconds, micros = self.state.client.time()
        return int(seconds) * MILLION + int(micros)

    def merge(self, claim: Claim, asked: int, page: Sequence[tuple[str, LedgerEntry]]) -> list[str]:
        """Merges a census page of (owner key, entry), asked for at `asked`; returns owners whose objects differ."""
        flat = [text for owner, entry in page for text in (entry.id, owner, entry.to_json())]
        return self._census("census", claim, asked, flat)

    def held(self) -> dict[str, str]:
        """The keys that a census keeps from writing, with the reasons that `hold` was given."""
        return self.state.hash("held")

    def hold(self, claim: Claim, reasons: Mapping[str, str]) -> list[str]:
        """Keeps these keys, and no others, from writing; returns those that are held no more."""
        flat = [text for pair in reasons.items() for text in pair]
        answer = self.state.script("hold", claim.key, claim.token, claim.incarnation, *flat)
        return self._answered(answer)

    def note_census(
        self, began: int, objects: int, drifted: int, orphans: int, *, known: bool = True, interval: float = 0.0
    ) -> None:
        """Keeps what a census that has ended found: objects of ours, keys to look at for them, objects of no key.

        `known`: the ledger was complete before, so that what differs has changed since. `interval`: seconds until the
        next census, 0 when none follows.
        """
        found = {"objects": objects, "drifted": drifted, "orphans": orphans, "known": known, "interval": interval}
        text = orjson.dumps({"began": began, "ended": self.now(), **found}).decode()
        with bounded():
            self.state.client.hset(self.state.key("meta"), "census", text)

    def last_census(self) -> dict[str, Any] | None:
        """What `note_census` kept; `began` and `ended` are Redis time in microseconds. None before the first one."""
        (text,) = self.state.fields("meta", ["census"])
        return orjson.loads(text) if text else None

    def allow_vip_change(self, digest: str, seconds: int) -> None:
        """Lets VIPs lose addresses under the settings with this digest, for so long."""
        with bounded():
            self.state.client.set(self.state.key("vip_change"), digest, ex=seconds)

    def allows_vip_change(self, digest: str) -> bool:
        """Whether VIPs may lose addresses under the settings with this digest."""
        with bounded():
            return self.state.client.get(self.state.key("vip_change")) == digest

    def close_census(self, claim: Claim, began: int, types: Sequence[str]) -> list[str]:
        """Ends a census of `types`: what it did not see becomes uncertain; returns the owners of that."""
        return self._census("census_end", claim, began, types)

    def _census(self, script: str, claim: Claim, at: int, rest: Sequence[str]) -> list[str]:
        return self._answered(self.state.script(script, claim.key, claim.token, claim.incarnation, str(at), *rest))

    @staticmethod
    def _answered(answer: Sequence[str]) -> list[str]:
        if answer[0] == "lost":
            raise ClaimLost("the census lost its claim", where=keys.RESYNC)
        return list(answer[1:])
