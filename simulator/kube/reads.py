"""Reading: one object, and lists with selectors and pages.

A list that is read in pages is one snapshot: its later pages come from what was there at the first one, under that
version, however much has changed since. Snapshots are few and go with a compaction; then the token has expired.
"""

from __future__ import annotations

import base64
import binascii
import itertools
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import orjson

from simulator.kube.errors import ApiError, bad_request, expired, not_found
from simulator.kube.resources import Resource
from simulator.kube.selectors import compiled
from simulator.kube.store import Record, Store
from simulator.kube.writes import Target
from simulator.server import Request

_MOST_SNAPSHOTS = 100


@dataclass(frozen=True, slots=True)
class Listing:
    """One page: its records, and the list's metadata."""

    records: list[Record]
    metadata: dict[str, Any]


class Reader:
    """Answers reads from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: OrderedDict[int, tuple[int, list[Record]]] = OrderedDict()
        self._numbers = itertools.count(1)

    def get(self, target: Target) -> Record:
        """One object. Raises ApiError 404."""
        record = self._store.get(target.resource.key, target.namespace or "", target.name)
        if record is None:
            raise not_found(target.resource, target.name)
        return record

    def page(self, target: Target, request: Request) -> Listing:
        """One page of a list. Raises ApiError 400, 410 (token or exact version too old) or 504 (version not there)."""
        limit = _number(request, "limit")
        token = request.first("continue")
        if token:
            version, rest, start = self._continued(token)
        else:
            self._check_version(request)
            version, rest, start = self._store.version, self._selected(target, request), 0
        if not limit or start + limit >= len(rest):
            return Listing(rest[start:], {"resourceVersion": str(version)})
        number = _token_number(token) if token else self._keep(version, rest)
        metadata = {
            "resourceVersion": str(version),
            "continue": _token(number, start + limit),
            "remainingItemCount": len(rest) - start - limit,
        }
        if request.first("labelSelector") or request.first("fieldSelector"):
            del metadata["remainingItemCount"]
        return Listing(rest[start : start + limit], metadata)

    def forget_snapshots(self) -> None:
        """Lets every continue token expire."""
        self._snapshots.clear()

    def _selected(self, target: Target, request: Request) -> list[Record]:
        records = self._store.records(target.resource.key, target.namespace)
        test = compiled(target.resource, request.first("labelSelector"), request.first("fieldSelector"))
        return records if test is None else [record for record in records if test(record.obj)]

    def _check_version(self, request: Request) -> None:
        version = _number(request, "resourceVersion")
        check_not_ahead(version, self._store)
        match = request.first("resourceVersionMatch")
        if match and not request.first("resourceVersion"):
            raise bad_request("resourceVersionMatch is forbidden unless resourceVersion is provided")
        if match == "Exact" and version != self._store.version:
            raise expired("The resourceVersion for the provided list is too old.")

    def _keep(self, version: int, records: list[Record]) -> int:
        number = next(self._numbers)
        self._snapshots[number] = version, records
        if len(self._snapshots) > _MOST_SNAPSHOTS:
            self._snapshots.popitem(last=False)
        return number

    def _continued(self, token: str) -> tuple[int, list[Record], int]:
        try:
            number, start = orjson.loads(base64.urlsafe_b64decode(token))
        except (ValueError, binascii.Error):
            raise bad_request("continue key is not valid") from None
        if number not in self._snapshots:
            raise expired("The provided continue parameter is too old to display a consistent list result. You must "
                          "start a new list without the continue parameter.")  # fmt: skip
        version, records = self._snapshots[number]
        return version, records, start


def check_not_ahead(version: int, store: Store) -> None:
    """Raises ApiError 504 for a version that this server has not reached."""
    if version > store.version:
        details = {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                   "retryAfterSeconds": 1}  # fmt: skip
        text = f"Too large resource version: {version}, current: {store.version}"
        raise ApiError(504, text, details=details)


def list_body(resource: Resource, listing: Listing) -> bytes:
    """The list as JSON; stored objects are not serialised again."""
    head = {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": listing.metadata}
    items = b",".join(raw_of(resource, record) for record in listing.records)
    return orjson.dumps(head)[:-1] + b',"items":[' + items + b"]}"


def raw_of(resource: Resource, record: Record) -> bytes:
    """An object's JSON as this resource shows it."""
    return record.raw if resource.storage else orjson.dumps(resource.shown(record.obj))


def _number(request: Request, name: str) -> int:
    text = request.first(name) or "0"
    if not text.isdigit():
        raise bad_request(f'{name}: Invalid value: "{text}": must be a number')
    return int(text)


def _token(number: int, start: int) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([number, start])).decode()


def _token_number(token: str) -> int:
    return int(orjson.loads(base64.urlsafe_b64decode(token))[0])
