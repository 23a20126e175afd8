"""The kinds of value that values.yaml holds, as marshmallow fields that say what they found and what to write instead.

A file written for AKO was read by helm and Go, which are lenient (`"true"`, `"1800"`), and is read here as YAML 1.1,
which is surprising (`no` is false, `1:20` is 80, `30.2` is a number). So text is never made from anything but text: the
message asks for quotes. A value is quoted back in a message unless its field is marked as secret.
"""

from __future__ import annotations

import abc
import datetime
import enum
import math
import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any, TypeVar
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields, missing

from shared.addresses import AddressError, Family, parse_network, vip_network

T = TypeVar("T")
Network = IPv4Network | IPv6Network

_SHOWN = 60  # characters of a wrong value that a message repeats


class Use(enum.Enum):
    """What this release does with a key."""

    SERVED = "read and obeyed"
    PENDING = "accepted at its default; any other value is named in a warning"
    DECISIVE = "refused except at its default: without it other objects would be built than the site has asked for"
    DEPRECATED = "accepted, without effect, named in a warning when it is set"
    CHART = "concerns only how containers are deployed: AKO's own, and by our chart ours"


class Key(fields.Field[T], abc.ABC):
    """One key: its spelling in the file, the environment variable that sets it too, its default and its use.

    Without a `default` the key is required; `example` is then what the message tells to write.
    """

    def __init__(
        self,
        key: str,
        *,
        default: Any = missing,
        env: str = "",
        use: Use = Use.SERVED,
        example: str = "",
        secret: bool = False,
    ) -> None:
        super().__init__(
            data_key=key,
            required=default is missing,
            load_default=default,
            error_messages=_missing(key, env, example),
            metadata={"env": env, "use": use, "secret": secret},
        )

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> T:  # noqa: ARG002 - marshmallow's signature
        return self.parse(value)

    @abc.abstractmethod
    def parse(self, value: Any) -> T:
        """The value meant by what the file or the environment holds. Raises ValidationError."""

    def refuse(self, value: Any, instead: str) -> ValidationError:
        """The error for a wrong value; `instead` completes "write ..."."""
        return ValidationError(f"found {found(value, secret=self.metadata['secret'])}; write {instead}")


class Text(Key[str]):
    """Text; with `pattern` the whole of it must match, `shape` says so in words. Empty text counts as not given."""

    def __init__(self, key: str, *, pattern: str = "", shape: str = "", **more: Any) -> None:
        super().__init__(key, **more)
        self.pattern = re.compile(pattern) if pattern else None
        self.shape = shape

    def parse(self, value: Any) -> str:
        """The text itself, without blanks around it unless it is a secret."""
        if not isinstance(value, str):
            raise self.refuse(value, "text in quotes")
        text = value if self.metadata["secret"] else value.strip()
        if self.required and not text:
            raise self.refuse(value, self.shape or "a name")
        if text and self.pattern and not self.pattern.fullmatch(text):
            raise self.refuse(value, self.shape)
        return text or ("" if self.required else self.load_default)


class Flag(Key[bool]):
    """true or false, also as text, since helm's quoting makes text of it."""

    def parse(self, value: Any) -> bool:
        """The truth value meant."""
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in {"true", "false"}:
            return value.strip().lower() == "true"
        raise self.refuse(value, "true or false")


class Number(Key[float]):
    """A number between two bounds, also as text; `whole` refuses fractions. `unit` is for the messages."""

    def __init__(self, key: str, low: float, high: float, *, whole: bool = False, unit: str = "", **more: Any) -> None:
        super().__init__(key, **more)
        self.low, self.high, self.whole, self.unit = low, high, whole, unit

    def parse(self, value: Any) -> float:
        """The number meant, as int when `whole`."""
        kind = "a whole number" if self.whole else "a number"
        instead = f"{kind} from {self.low:g} to {self.high:g}{f' ({self.unit})' if self.unit else ''}"
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self.refuse(value, instead)
        if isinstance(value, str) and not re.fullmatch(r"\s*[0-9]{1,9}(\.[0-9]{1,9})?\s*", value):
            raise self.refuse(value, instead)
        number = float(value) if isinstance(value, str) else value
        if not math.isfinite(number) or not self.low <= number <= self.high or (self.whole and number != int(number)):
            raise self.refuse(value, instead)
        return int(number) if self.whole else float(number)


class Choice(Key[T]):
    """One of a few words; case matters unless `fold`."""

    def __init__(self, key: str, words: Mapping[str, T], *, fold: bool = False, **more: Any) -> None:
        super().__init__(key, **more)
        self.words, self.fold = words, fold

    def parse(self, value: Any) -> T:
        """What the word stands for."""
        names = [str(meant) if self.fold else word for word, meant in self.words.items() if word]
        instead = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
        word = value.strip() if isinstance(value, str) else value
        if isinstance(word, str) and self.fold:
            word = word.lower()
        if isinstance(word, str) and word in self.words:
            return self.words[word]
        raise self.refuse(value, instead)


class VipCidr(Key[Network | None]):
    """A network of one family from which VIPs are allocated; empty text means none."""

    def __init__(self, key: str, family: Family, *, example: str) -> None:
        super().__init__(key, default=None)
        self.family, self.example = family, example

    def parse(self, value: Any) -> Network | None:
        """The network, host bits cleared."""
        return _network(self, value, lambda text: vip_network(text, self.family), self.example)


class Cidr(Key[Network | None]):
    """A network of either family."""

    def parse(self, value: Any) -> Network | None:
        """The network, host bits cleared."""
        return _network(self, value, parse_network, "a network such as 10.50.0.0/24 or 2001:db8:50::/64")


class Host(Text):
    """Where the controller answers: a name or an address, `:port` after it or `https://` before it if need be."""

    def parse(self, value: Any) -> str:
        """The text as written; a path or user information is refused without being repeated."""
        instead = "a name or an address, with or without :port, such as 10.1.1.5 or avi.example.com:443"
        rest = re.sub(r"^https?://", "", value.strip()) if isinstance(value, str) else ""
        if re.search(r"[@/\s]", rest):
            raise ValidationError(f"found text that is not a host; write {instead}")
        if rest and not re.fullmatch(r"[A-Za-z0-9.:\[\]_-]+", rest):
            raise self.refuse(value, instead)
        return super().parse(value)


class Url(Text):
    """An address of a Redis; never repeated in a message, since it may carry a password."""

    def parse(self, value: Any) -> str:
        """The text as written."""
        text = super().parse(value)
        try:
            parts = urlsplit(text)
            usable = (parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0) or (
                parts.scheme == "unix" and bool(parts.path)
            )
        except ValueError:
            usable = False
        if not usable:
            raise self.refuse(value, "redis://host:6379/0, rediss://... for TLS or unix:///path")
        return text


class Anything(Key[Any]):
    """A key whose value does not concern us."""

    def parse(self, value: Any) -> Any:
        """The value as it is."""
        return value


class Rows(fields.List[Any]):
    """A list, in the environment as JSON; `item` is a field or a section. `fewest` and `most` bound its length."""

    def __init__(
        self,
        key: str,
        item: fields.Field[Any],
        *,
        default: Any = (),
        env: str = "",
        use: Use = Use.SERVED,
        example: str = "",
        fewest: int = 0,
        most: int = 0,
    ) -> None:
        super().__init__(
            item,
            data_key=key,
            required=default is missing,
            load_default=default,
            error_messages=_missing(key, env, example)
            | {"invalid": "is not a list; write one `- ` per row below the key, or a JSON list in a variable"},
            metadata={"env": env, "use": use, "secret": False},
        )
        self.fewest, self.most, self.example = fewest, most, example

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[Any]:
        problems: dict[Any, Any] = {}
        rows: list[Any] = []
        try:
            rows = super()._deserialize(value, attr, data, **kwargs)
        except ValidationError as error:
            if not isinstance(error.messages, dict):
                raise
            problems = error.messages
        if len(value) < self.fewest:
            problems["_schema"] = [f"found no row; write {self.data_key}: {self.example}"]
        if self.most and len(value) > self.most:
            problems["_schema"] = [f"found {len(value)} rows; write at most {self.most}"]
        if problems:
            raise ValidationError(problems)
        return rows


def found(value: Any, *, secret: bool = False) -> str:
    """What stands there, in words that fit after "found"."""
    if isinstance(value, str) and not secret:
        return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}..."
    if isinstance(value, bool) and not secret:
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int | float) and not secret:
        return f"the number {value}" if abs(value) < 1e15 else "a huge number"
    for kind, words in _KINDS:
        if isinstance(value, kind):
            return words
    return "a value of another type"


_KINDS: Sequence[tuple[type | tuple[type, ...], str]] = (
    (str, "text"),
    (bool, "a boolean"),
    ((int, float), "a number"),
    (Mapping, "a mapping"),
    (list, "a list"),
    (datetime.date, "a date"),
    (type(None), "nothing"),
)


def _missing(key: str, env: str, example: str) -> dict[str, Any]:
    """Marshmallow's texts for a key that is absent or null; it formats them, so braces are doubled."""
    hint = f" or set {env}" if env else ""
    text = f"missing; write {key}: {example}{hint}"
    return {
        "required": text.replace("{", "{{").replace("}", "}}"),
        "null": "is empty; give it a value or remove it",
    }


def _network(key: Key[Any], value: Any, parse: Callable[[str], Network], example: str) -> Network | None:
    if isinstance(value, str) and not value.strip():
        return None
    if not isinstance(value, str):
        raise key.refuse(value, f"{example} in quotes")
    try:
        return parse(value.strip())
    except AddressError as error:
        raise ValidationError(f"{error}; write {example}") from error
