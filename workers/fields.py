"""How one field of an Avi object compares, and how it is written back: the kinds that the tables in `owned.py` use.

A controller answers with another spelling of what was sent: references resolved to uuids, IPv6 text in its own style,
defaults filled in, empty lists left out, sets in any order. Each kind therefore reduces a value to one *canonical*
form, in which two spellings of the same thing are equal; None is the canonical form of absence, for a missing value as
well as for one that means the same (an empty list, a default). What is kept in the ledger is the canonical form, so
comparing costs one reduction of what is wanted and one `==`.

A reference is reduced to the name of what it refers to. The uuids of an object's references are learned on the way
(`Context.names`), which makes a reference that is wanted by uuid equal to one that was answered with its name.

Nothing here knows which fields exist; that is data, in `owned.py`.
"""

# ruff: noqa: D102, ARG002 - every kind implements the one interface that `Kind` documents.

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import orjson

from shared.addresses import AddressError, parse_address, parse_network
from shared.avi.references import parse

OWNED: Final = "owned"  # ours: compared, and gone from the controller when it is not wanted
GIVEN: Final = "given"  # compared when it is wanted; else the controller's choice (or the user's) stands
ALONG: Final = "along"  # written with every PUT, never compared and never kept: checksums, secrets, derived text

DIGEST_PREFIX: Final = "sha256:"
AKO_SCRIPT: Final = "ako"  # canonical form of a datascript that AKO itself wrote
# SHA-256 of AKO's script for insecure hosts, with the pool group's name replaced by %s.
AKO_SCRIPT_DIGESTS: Final = frozenset({"ba7738a2c05a2ca103cfb45ef68a70ae470878cf3ad66599e0a3698e8f4c4ea0"})


@dataclass(slots=True)
class Context:
    """What a reduction knows of the whole object: uuid → name of its references, and the object itself.

    `ours` is set for a body that we made: an unknown field is then a defect of ours (ValueError), not the controller's.
    """

    names: dict[str, str]
    whole: Mapping[str, Any]
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A field: its canonical form, its differences, its merge into an object as read. Base: the value as it is."""

    mode: str = field(default=OWNED, kw_only=True)
    absent: tuple[Any, ...] = field(default=("",), kw_only=True)

    def canon(self, value: Any, context: Context) -> Any:
        """The canonical form of a value; None when it means absence."""
        return None if value in self.absent else value

    def differences(self, path: str, wanted: Any, actual: Any) -> list[str]:
        """The paths at which two canonical forms differ."""
        return [] if wanted == actual else [path]

    def merge(self, actual: Any, wanted: Any) -> Any:
        """The value to write where `actual` was read and `wanted` differs from it."""
        return wanted

    def refers(self, value: Any, context: Context) -> Iterator[tuple[str, str]]:
        """(type, name) of everything that the value refers to."""
        return iter(())


@dataclass(frozen=True, slots=True)
class Ref(Kind):
    """A reference to an object of one type, in any spelling: `?name=`, uuid, uuid with `#name`."""

    type: str

    def canon(self, value: Any, context: Context) -> Any:
        name, uuid = split_reference(value)
        if not uuid:
            return name or None
        if name:
            if not context.ours:
                context.names[uuid] = name
            return name
        return context.names.get(uuid, uuid)

    def refers(self, value: Any, context: Context) -> Iterator[tuple[str, str]]:
        name = self.canon(value, context)
        if name:
            yield self.type, name


@dataclass(frozen=True, slots=True)
class OurRef(Ref):
    """A reference that is ours while it leads to the object `name`; to any other it is the user's, and no matter."""

    name: str

    def canon(self, value: Any, context: Context) -> Any:
        return self.name if Ref.canon(self, value, context) == self.name else None


@dataclass(frozen=True, slots=True)
class Address(Kind):
    """`{"addr", "type"}`, by value."""

    def canon(self, value: Any, context: Context) -> Any:
        return address_text(value.get("addr", "")) or None


@dataclass(frozen=True, slots=True)
class Subnet(Kind):
    """`{"ip_addr": {"addr", "type"}, "mask"}`, by value: the network that it lies in, host bits ignored."""

    def canon(self, value: Any, context: Context) -> Any:
        return subnet_text(value)


@dataclass(frozen=True, slots=True)
class Struct(Kind):
    """An object of its own table; fields outside the table are not ours and travel through a PUT."""

    table: Mapping[str, Kind]
    tidy: Callable[[dict[str, Any]], None] | None = None  # drops what follows from a sibling field

    def canon(self, value: Any, context: Context) -> Any:
        result: dict[str, Any] = {}
        table = self.table
        for name, part in value.items():
            kind = table.get(name)
            if kind is None:
                if context.ours:
                    raise ValueError(f"field {name!r} is sent, but no table in workers/owned.py holds it")
            elif kind.mode is not ALONG and part is not None:
                form = kind.canon(part, context)
                if form is not None:
                    result[name] = form
        if self.tidy is not None:
            self.tidy(result)
        return result or None

    def differences(self, path: str, wanted: Any, actual: Any) -> list[str]:
        wanted, actual = wanted or {}, actual or {}
        if wanted == actual:
            return []
        found: list[str] = []
        for name, form in wanted.items():
            if form != (there := actual.get(name)):
                found += self.table[name].differences(f"{path}.{name}" if path else name, form, there)
        for name in actual:
            if name not in wanted and (kind := self.table.get(name)) is not None and kind.mode is OWNED:
                found.append(f"{path}.{name}" if path else name)
        return found

    def merge(self, actual: Any, wanted: Any) -> Any:
        actual = actual or {}
        result = dict(actual)
        names: dict[str, str] = {}
        for name, kind in self.table.items():
            part = wanted.get(name)
            if part is None:
                there = actual.get(name)
                if kind.mode is OWNED and (there is None or kind.canon(there, Context(names, actual)) is not None):
                    result.pop(name, None)
            elif kind.mode is ALONG or name not in actual:
                result[name] = part
            else:
                before = kind.canon(actual[name], Context(names, actual))
                after = kind.canon(part, Context(names, wanted, ours=True))
                if kind.differences(name, after, before):
                    result[name] = kind.merge(actual[name], part)
        return result

    def refers(self, value: Any, context: Context) -> Iterator[tuple[str, str]]:
        for name, part in value.items():
            kind = self.table.get(name)
            if kind is not None and part:
                yield from kind.refers(part, context)


@dataclass(frozen=True, slots=True)
class Listed(Kind):
    """A list in which the order means something."""

    item: Kind

    def canon(self, value: Any, context: Context) -> Any:
        canon = self.item.canon
        return [canon(part, context) for part in value] or None

    def differences(self, path: str, wanted: Any, actual: Any) -> list[str]:
        wanted, actual = wanted or [], actual or []
        same = len(wanted) == len(actual) and not any(
            self.item.differences(path, one, other) for one, other in zip(wanted, actual, strict=True)
        )
        return [] if same else [path]

    def refers(self, value: Any, context: Context) -> Iterator[tuple[str, str]]:
        for part in value:
            yield from self.item.refers(part, context)


@dataclass(frozen=True, slots=True)
class Unordered(Listed):
    """A list that means a set of scalars or references."""

    def canon(self, value: Any, context: Context) -> Any:
        canon = self.item.canon
        if len(value) == 1:
            return [canon(value[0], context)]
        return sorted({canon(part, context) for part in value}) or None


@dataclass(frozen=True, slots=True)
class Keyed(Listed):
    """A list of structs that means a set, told apart by the fields `by`.

    With `keep`, an element that stays is merged into the one that was read, so that what others added to it (a
    server's ratio) lives through a PUT; without, the elements are replaced whole.
    """

    by: tuple[str, ...]
    keep: bool = False

    def canon(self, value: Any, context: Context) -> Any:
        canon = self.item.canon
        forms = [canon(part, context) or {} for part in value]
        if len(forms) > 1:
            forms.sort(key=self._key)
        return forms or None

    def merge(self, actual: Any, wanted: Any) -> Any:
        if not self.keep:
            return wanted
        there = {self._key(self.item.canon(part, Context({}, {})) or {}): part for part in actual or ()}
        result = []
        for part in wanted:
            before = there.get(self._key(self.item.canon(part, Context({}, {}, ours=True)) or {}))
            result.append(part if before is None else self.item.merge(before, part))
        return result

    def _key(self, form: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple([str(form.get(name, "")) for name in self.by])


@dataclass(frozen=True, slots=True)
class Fqdns(Kind):
    """`dns_info`: a set of FQDNs; the rest of an entry (TTL, algorithm) is the user's."""

    def canon(self, value: Any, context: Context) -> Any:
        return sorted({part["fqdn"] for part in value if part.get("fqdn")}) or None

    def merge(self, actual: Any, wanted: Any) -> Any:
        there = {part.get("fqdn"): part for part in actual or ()}
        return [there.get(part["fqdn"], part) for part in wanted]


@dataclass(frozen=True, slots=True)
class Markers(Kind):
    """A list of `{"key", "values"}`: a map from key to a set of values."""

    def canon(self, value: Any, context: Context) -> Any:
        return {part["key"]: sorted(part.get("values") or ()) for part in value} or None


@dataclass(frozen=True, slots=True)
class JsonText(Kind):
    """JSON in a string, as its parts that are not zero: AKO writes each key, with null for an empty list.

    Lists of texts in it mean sets. A text that is not JSON is its own canonical form.
    """

    def canon(self, value: Any, context: Context) -> Any:
        parsed: Any = value
        if isinstance(value, str):
            try:
                parsed = orjson.loads(value)
            except orjson.JSONDecodeError:
                return value or None
        return nonzero(parsed)


@dataclass(frozen=True, slots=True)
class Digest(Kind):
    """A PEM text, or its digest already: `sha256:` and the SHA-256 of the stripped text."""

    def canon(self, value: Any, context: Context) -> Any:
        text = str(value)
        return text if text.startswith(DIGEST_PREFIX) else digest_of(text.strip())


@dataclass(frozen=True, slots=True)
class Script(Kind):
    """A datascript's text by its digest; AKO's own script does the same as ours and is equal to whatever is wanted.

    A dump that masks texts holds `sha256:…` in their place; that, too, stands for AKO's script.
    """

    def canon(self, value: Any, context: Context) -> Any:
        text = str(value)
        if text.startswith(DIGEST_PREFIX):
            return AKO_SCRIPT
        for name in self._groups(context):
            bare = digest_of(text.replace(name, "%s"))
            if bare.removeprefix(DIGEST_PREFIX) in AKO_SCRIPT_DIGESTS:
                return AKO_SCRIPT
        return digest_of(text)

    def differences(self, path: str, wanted: Any, actual: Any) -> list[str]:
        return [] if actual in (wanted, AKO_SCRIPT) else [path]

    @staticmethod
    def _groups(context: Context) -> list[str]:
        references = context.whole.get("pool_group_refs") or ()
        names = [split_reference(reference)[0] for reference in references]
        return sorted({name for name in (*names, context.whole.get("name", "")) if name})


def split_reference(text: str) -> tuple[str, str]:
    """(name, uuid) of a reference in any spelling, each empty when the spelling does not hold it."""
    # Almost every body of ours is spelled like this; the general parser costs ten times as much.
    head, _, name = text.partition("?name=")
    if name and head.startswith("/api/") and "%" not in name and "&" not in name and "#" not in name:
        return name, ""
    reference = parse(text)
    return ("", "") if reference is None else (reference.name or "", reference.uuid or "")


def learned(sent: Any, answer: Any) -> Iterator[tuple[str, str]]:
    """(uuid, name) of every reference that was sent with its name and answered without, at the same place."""
    if isinstance(sent, Mapping) and isinstance(answer, Mapping):
        for name, part in sent.items():
            yield from learned(part, answer.get(name))
    elif isinstance(sent, list) and isinstance(answer, list) and len(sent) == len(answer):
        for one, other in zip(sent, answer, strict=True):
            yield from learned(one, other)
    elif isinstance(sent, str) and isinstance(answer, str) and "/api/" in sent and "/api/" in answer:
        name, (known, uuid) = split_reference(sent)[0], split_reference(answer)
        if name and uuid and not known:
            yield uuid, name


@lru_cache(maxsize=4_096)
def address_text(text: str) -> str:
    """The canonical text of an address; a text that is none is returned as it is."""
    try:
        return str(parse_address(text))
    except AddressError:
        return text


def subnet_text(value: Mapping[str, Any]) -> str:
    """The canonical `network/mask` of an Avi prefix; an unusable one as it is written."""
    return _network_text(value.get("ip_addr", {}).get("addr", ""), value.get("mask", ""))


@lru_cache(maxsize=4_096)
def _network_text(address: str, mask: int | str) -> str:
    try:
        return str(parse_network(f"{address}/{mask}"))
    except AddressError:
        return f"{address}/{mask}"


@lru_cache(maxsize=4_096)
def digest_of(text: str) -> str:
    """`sha256:` and the SHA-256 of a text in UTF-8."""
    return DIGEST_PREFIX + hashlib.sha256(text.encode()).hexdigest()


def nonzero(value: Any) -> Any:
    """A JSON value without its zero parts (null, "", 0, false, empty); lists of texts sorted. None when all is zero."""
    if isinstance(value, dict):
        return {name: form for name, part in value.items() if part and (form := nonzero(part)) is not None} or None
    if isinstance(value, list):
        if all(isinstance(part, str) for part in value):
            return sorted(value) or None
        return value or None
    return value or None
