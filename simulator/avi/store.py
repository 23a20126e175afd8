"""All objects with their indexes: by uuid, type, name, creator, and who refers to whom.

Every question that a call asks is a dict lookup; only a list without a filter walks the objects of its type. Bodies
hold references in their stored form (see `references`); the JSON text of an object is kept until it changes, once
without and once with the names of the objects it refers to.
"""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from simulator.avi.references import STORED

ADMIN = "admin"  # the uuid of the tenant `admin`, as on a real controller


@dataclass(slots=True, eq=False)
class Record:
    """One object. `tenant` and `cloud` are uuids, empty for types that have none; `refs` the uuids it refers to."""

    type: str
    uuid: str
    tenant: str
    cloud: str
    body: dict[str, Any]
    refs: dict[str, None]
    plain: bytes | None = field(default=None, repr=False)
    named: bytes | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The name, empty for the few types that have none."""
        return str(self.body.get("name", ""))

    def forget_text(self) -> None:
        """To be called after the body changed."""
        self.plain = self.named = None


class Store:
    """The objects of one controller. Nothing here checks anything: that is `writes`."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311  uuids of a development world, repeatable on purpose
        self._clock = 0
        self.records: dict[str, Record] = {}
        self.by_type: dict[str, dict[str, Record]] = {}
        self._by_name: dict[tuple[str, str], dict[tuple[str, str], Record]] = {}
        self._by_creator: dict[tuple[str, str], dict[str, Record]] = {}
        self._referrers: dict[str, dict[str, None]] = {}

    def new_uuid(self, rest_type: str) -> str:
        """`pool-<uuid4>`, the same sequence in every run."""
        return f"{rest_type}-{uuid.UUID(int=self._random.getrandbits(128), version=4)}"

    def now(self) -> str:
        """A `_last_modified`: microseconds, never the same or smaller than one given before."""
        self._clock = max(self._clock + 1, time.time_ns() // 1000)
        return str(self._clock)

    def put(self, record: Record) -> None:
        """Adds an object."""
        self.records[record.uuid] = record
        self.by_type.setdefault(record.type, {})[record.uuid] = record
        self._add_name(record)
        self._add_creator(record)
        for target in record.refs:
            self._referrers.setdefault(target, {})[record.uuid] = None

    def replace(self, record: Record, body: dict[str, Any], refs: dict[str, None]) -> None:
        """Gives an object a new body; its tenant and cloud stay, and so does its place in every list."""
        old_name, old_creator, old_refs = record.name, record.body.get("created_by"), record.refs
        record.body, record.refs = body, refs
        record.forget_text()
        if record.name != old_name:
            self._drop_name(record, old_name)
            self._add_name(record)
            for referrer in self.referrers(record.uuid):
                referrer.named = None
        if body.get("created_by") != old_creator:
            self._drop_creator(record, old_creator)
            self._add_creator(record)
        for gone in old_refs.keys() - refs.keys():
            del self._referrers[gone][record.uuid]
        for new in refs.keys() - old_refs.keys():
            self._referrers.setdefault(new, {})[record.uuid] = None

    def remove(self, record: Record) -> None:
        """Takes an object away."""
        self._drop_name(record, record.name)
        self._drop_creator(record, record.body.get("created_by"))
        for target in record.refs:
            del self._referrers[target][record.uuid]
        self._referrers.pop(record.uuid, None)
        del self.records[record.uuid]
        del self.by_type[record.type][record.uuid]

    def find(self, rest_type: str, name: str, tenant: str, cloud: str) -> Record | None:
        """The object of that name in exactly that tenant and cloud."""
        return self._by_name.get((rest_type, name), {}).get((tenant, cloud))

    def named(self, rest_type: str, name: str) -> Iterable[Record]:
        """The objects of that name in all tenants and clouds."""
        return self._by_name.get((rest_type, name), {}).values()

    def created_by(self, rest_type: str, creator: str) -> Iterable[Record]:
        """The objects with that `created_by`."""
        return self._by_creator.get((rest_type, creator), {}).values()

    def of_type(self, rest_type: str) -> Iterable[Record]:
        """All objects of a type, in the order of their creation."""
        return self.by_type.get(rest_type, {}).values()

    def referrers(self, uuid_: str) -> list[Record]:
        """The objects that refer to this one."""
        return [self.records[referrer] for referrer in self._referrers.get(uuid_, ())]

    def text(self, record: Record, *, include_name: bool) -> bytes:
        """The object as JSON with references in their stored form, with `#name` at their end if asked for."""
        if record.plain is None:
            record.plain = orjson.dumps(record.body)
        if not include_name:
            return record.plain
        if record.named is None:
            record.named = STORED.sub(self._with_name, record.plain)
        return record.named

    def _with_name(self, match: re.Match[bytes]) -> bytes:
        target = self.records.get(match[1].decode())
        return match[0] if target is None else match[0][:-1] + b"#" + orjson.dumps(target.name)[1:]

    def _add_name(self, record: Record) -> None:
        self._by_name.setdefault((record.type, record.name), {})[(record.tenant, record.cloud)] = record

    def _drop_name(self, record: Record, name: str) -> None:
        del self._by_name[(record.type, name)][(record.tenant, record.cloud)]

    def _add_creator(self, record: Record) -> None:
        creator = record.body.get("created_by")
        if creator:
            self._by_creator.setdefault((record.type, creator), {})[record.uuid] = record

    def _drop_creator(self, record: Record, creator: str | None) -> None:
        if creator:
            del self._by_creator[(record.type, creator)][record.uuid]
