"""Where settings come from: the values file and the environment, merged into one document; the later one wins.

`shared.settings.flat` adds the ConfigMap between the two. A document remembers which of its values came from elsewhere
than the file, so that a message can name the place where
the mistake was made. Reading is defensive, because the file is written by hand and may hold passwords: its size, depth
and YAML features are bounded, and no message repeats a piece of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from shared.errors import SettingsError
from shared.settings.fields import Key, Rows

Path_ = tuple[str, ...]

_MOST_BYTES = 262_144  # AKO's own file has 12 kB with its comments
_MOST_DEPTH = 24  # the deepest key of the chart lies 6 levels down
_MOST_NODES = 5_000  # the chart has some 200


@dataclass(slots=True)
class Document:
    """Raw values by section, and for those that another source than the file gave: path → variable or other place."""

    values: dict[Any, Any]
    origins: dict[Path_, str] = field(default_factory=dict)

    def place(self, path: tuple[Any, ...]) -> str:
        """The path as the reader knows it: `NetworkSettings.vipNetworkList[0].cidr` or `VIP_NETWORK_LIST[0].cidr`."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.origins:
                return self.origins[path[:length]] + dotted(path[length:], start=False)
        return dotted(path, start=True)


def read_values(path: str | None) -> dict[Any, Any]:
    """The values file as plain mappings; {} without a path or for an empty file. Raises SettingsError."""
    if path is None:
        return {}
    try:
        with Path(path).open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable path"
        raise SettingsError([(path, f"cannot be read ({reason}); give the path of a readable values.yaml")]) from None
    if len(raw) > _MOST_BYTES:
        raise SettingsError([(path, f"is larger than {_MOST_BYTES // 1024} KiB; give a values.yaml")])
    try:
        values = yaml.load(raw.decode("utf-8-sig"), _Loader)  # noqa: S506 - derives from SafeLoader
    except UnicodeDecodeError:
        raise SettingsError([(path, "is not UTF-8 text; save it as UTF-8")]) from None
    except yaml.YAMLError as error:
        raise SettingsError([(path, _yaml_problem(error))]) from None
    except ValueError:
        # PyYAML's own conversions of what looks like a number or a date: 2026-99-99, 0x_
        problem = "holds something that looks like a number or a date and is none; put it in quotes"
        raise SettingsError([(path, problem)]) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError([(path, "is not a mapping of sections; write `AKOSettings:` and so on at the left margin")])
    return values


def overlay(document: Document, keys: Iterable[tuple[Path_, Key[Any] | Rows]], environ: Mapping[str, str]) -> None:
    """Put what the environment says over the document. A variable that is empty counts as not set."""
    for path, key in keys:
        variable = key.metadata["env"]
        text = environ.get(variable, "") if variable else ""
        if not text.strip():
            continue
        value = from_json(text) if isinstance(key, Rows) else text
        if value is None:  # AKO's chart writes `null` for a list that is not given
            continue
        if put(document.values, path, value):
            document.origins[path] = variable


def from_json(text: str) -> Any:
    """What a JSON text means; the text itself when it is none: the schema then says that a list belongs there."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def put(values: dict[Any, Any], path: Path_, value: Any) -> bool:
    """Set one value; False when a section on the way is no mapping (the schema will say so)."""
    for name in path[:-1]:
        below = values.get(name)
        if below is not None and not isinstance(below, dict):
            return False
        values[name] = dict(below or {})  # a copy: two sections may be one object, by a YAML alias
        values = values[name]
    values[path[-1]] = value
    return True


class _Unwanted(yaml.YAMLError):
    """Correct YAML that a values file has no use for."""

    def __init__(self, problem: str, at: yaml.Event | yaml.Node) -> None:
        super().__init__(problem)
        self.problem = problem
        self.problem_mark = at.start_mark


class _Loader(yaml.SafeLoader):
    """YAML within bounds: no tags, no doubled keys, and of limited depth and size even with its aliases written out."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.depth = 0
        self.nodes = 0
        self.weights: dict[str, int] = {}  # anchor → nodes below it, once all are read

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """One node and all below it."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        before = self.nodes
        if isinstance(event, yaml.AliasEvent) and event.anchor not in self.weights:
            raise _Unwanted(
                "an alias (*name) without its anchor before it; a text that begins with `*` needs quotes", event
            )
        if getattr(event, "tag", None) is not None:
            raise _Unwanted("tags (!name) are not read; a text that begins with `!` needs quotes", event)
        self.nodes += self.weights[str(event.anchor)] if isinstance(event, yaml.AliasEvent) else 1
        if self.depth >= _MOST_DEPTH or self.nodes > _MOST_NODES:
            raise _Unwanted("nested too deeply or too large", event)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if event.anchor:
            self.weights[event.anchor] = self.nodes - before
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping; a key written twice is refused, where PyYAML would silently take the last."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _Unwanted("a key is written twice, keep one", key)
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _yaml_problem(error: yaml.YAMLError) -> str:
    """The place and the cause; a parser's cause is cut before anything that it quotes from the file."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return "is not YAML (a character that YAML forbids); save it as plain text"
    place = f"line {mark.line + 1}, column {mark.column + 1}"
    if isinstance(error, _Unwanted):
        return f"{place}: {error.problem}"
    cause = re.split(r"['\"<]", getattr(error, "problem", None) or "", maxsplit=1)[0].strip()
    cause = re.sub(r",? but (found|got)$", "", cause)
    return f"{place}: {cause}; text that ends in `:`, holds `: ` or ` #` or begins with a sign needs quotes"


def dotted(path: tuple[Any, ...], *, start: bool) -> str:
    """A path as text; one that does not `start` the text begins with a dot or a bracket."""
    text = ""
    for part in path:
        if isinstance(part, int) and not isinstance(part, bool):
            text += f"[{part}]"
        else:
            text += ("" if start and not text else ".") + _plain(part)
    return text


def _plain(key: Any) -> str:
    """A key as the file has it when it is a plain word, else quoted and cut.

    It ends at its first colon at the latest: `{password:abc}` has a key with the password in it.
    """
    text = str(key) if isinstance(key, str | bool | float) or key is None else type(key).__name__
    return text if re.fullmatch(r"[\w/-]{1,60}", text) else repr(text.partition(":")[0][:60])
