"""GET of a collection: which objects, which page, in which form.

Filters that are known to be used by clients are honoured; a filter on any other top-level field compares texts, and
what is no field at all is ignored, as parameters of other releases are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlencode

import orjson

from simulator.avi.errors import ApiError
from simulator.avi.schema import Schema
from simulator.avi.scope import Scopes
from simulator.avi.store import Record, Store

PAGE_SIZE = 25
LARGEST_PAGE = 200
ALWAYS_SHOWN = ("uuid", "url", "name", "_last_modified")

Query = dict[str, list[str]]
Test = Callable[[Record], bool]


class Reader:
    """Answers reads of one store as JSON bytes with references in their stored form."""

    def __init__(self, schema: Schema, store: Store, scopes: Scopes) -> None:
        self._schema, self._store, self._scopes = schema, store, scopes

    def get(self, rest_type: str, uuid: str, tenant: str, query: Query) -> bytes:
        """One object. Raises ApiError 404."""
        record = self._store.records.get(uuid)
        if record is None or record.type != rest_type or not self._scopes.visible(record, tenant):
            raise self._scopes.missing(rest_type)
        return self.show(record, query)

    def show(self, record: Record, query: Query) -> bytes:
        """One object in the form that the query asks for (`include_name`, `fields`)."""
        if "fields" in query:
            return _only_fields(self._store.text(record, include_name=_include_name(query)), query["fields"])
        return self._store.text(record, include_name=_include_name(query))

    def page(self, rest_type: str, tenant: str, query: Query) -> bytes:
        """One page of a collection. Raises ApiError: 404 beyond the last page, 400 for a page that is no number."""
        tests = self._tests(rest_type, query)
        found = [
            record
            for record in self._candidates(rest_type, query)
            if self._scopes.visible(record, tenant) and all(test(record) for test in tests)
        ]
        page, size = _number(query, "page", 1), min(_number(query, "page_size", PAGE_SIZE), LARGEST_PAGE)
        start = (page - 1) * size
        if start and start >= len(found):
            raise ApiError(404, "That page contains no results")
        texts = b",".join([self.show(record, query) for record in found[start : start + size]])
        more = self._next(rest_type, query, page) if start + size < len(found) else b""
        return b'{"count":%d,"results":[%b]%b}' % (len(found), texts, more)

    def _candidates(self, rest_type: str, query: Query) -> Iterable[Record]:
        """The fewest objects that an index can give."""
        names = query.get("name") or [name for text in query.get("name.in", ()) for name in text.split(",")]
        if names:
            return [record for name in dict.fromkeys(names) for record in self._store.named(rest_type, name)]
        if "created_by" in query:
            return self._store.created_by(rest_type, query["created_by"][0])
        return self._store.of_type(rest_type)

    def _tests(self, rest_type: str, query: Query) -> list[Test]:
        fields = self._schema.roots[rest_type].fields
        tests: list[Test] = []
        for key, values in query.items():
            value = values[0]
            if key == "name.contains":
                tests.append(_containing(value))
            elif key in {"cloud_uuid", "cloud_ref.uuid", "cloud_ref.name"} and rest_type in self._scopes.cloud_types:
                tests.append(self._in_cloud(value, by_name=key.endswith("name")))
            elif key == "label_key":
                tests.append(_labelled(value, query.get("label_value", [""])[0]))
            elif key in fields and key not in {"name", "cloud_ref", "tenant_ref"}:
                tests.append(_having(key, value))
        return tests

    def _in_cloud(self, value: str, *, by_name: bool) -> Test:
        if not by_name:
            return lambda record: record.cloud == value
        clouds = {record.uuid for record in self._store.named("cloud", value)}
        return lambda record: record.cloud in clouds

    def _next(self, rest_type: str, query: Query, page: int) -> bytes:
        rest = sorted((key, value) for key, values in query.items() if key != "page" for value in values)
        pairs = sorted([*rest, ("page", str(page + 1))])
        return b',"next":' + orjson.dumps(f"\ue000/api/{rest_type}?{urlencode(pairs)}")


def _include_name(query: Query) -> bool:
    return query.get("include_name", ["false"])[0].lower() != "false"


def _only_fields(text: bytes, wanted: list[str]) -> bytes:
    body = orjson.loads(text)
    names = {*ALWAYS_SHOWN, *(name for part in wanted for name in part.split(","))}
    return orjson.dumps({name: value for name, value in body.items() if name in names})


def _number(query: Query, key: str, default: int) -> int:
    text = query.get(key, [""])[0]
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise ApiError(400, f"{key}: {text!r} is not a number from 1")
    return int(text)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _containing(part: str) -> Test:
    return lambda record: part in record.name


def _having(field: str, text: str) -> Test:
    return lambda record: _text(record.body.get(field)) == text


def _labelled(key: str, value: str) -> Test:
    """Labels are `{key, value}` pairs (stringgroup, SE group), markers `{key, values}`."""

    def test(record: Record) -> bool:
        labels = [*record.body.get("labels", ()), *record.body.get("markers", ())]
        return any(one.get("key") == key and value in (one.get("value"), *one.get("values", ())) for one in labels)

    return test
