"""Server-side apply in a simple form: what a manager applied before and does not apply now goes, the rest is merged.

The real server tracks every field of every writer. Here only appliers own fields: each manager's last configuration is
remembered, a leaf on which two of them differ is a conflict unless forced, and what other writers set is overwritten.
Nothing of it shows in `metadata.managedFields`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from simulator.kube.errors import ApiError
from simulator.kube.merge_keys import PRIMITIVE, Keys, merge_keys
from simulator.kube.resources import Obj, Resource

_IDENTITY = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}
Path = tuple[Any, ...]


class Appliers:
    """Who applied what, per object (by uid)."""

    def __init__(self) -> None:
        self._applied: dict[str, dict[str, Obj]] = {}

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self._applied.pop(uid, None)

    def remember(self, uid: str, manager: str, config: Obj) -> None:
        """`manager` has applied this; to be called once it is stored."""
        self._applied.setdefault(uid, {})[manager] = config

    def result(self, resource: Resource, present: Obj, config: Obj, manager: str, *, force: bool) -> Obj:
        """`present` (may be changed) after `manager` applies `config`. Raises ApiError 409 for conflicts."""
        keys = merge_keys(resource.kind) if not resource.custom else {}
        known = self._applied.get(present["metadata"]["uid"], {})
        others = {other: dict(_leaves(applied, keys)) for other, applied in known.items() if other != manager}
        leaves = dict(_leaves(config, keys))
        if not force:
            _check(leaves, others)
        owned = {path[:length] for paths in others.values() for path in paths for length in range(1, len(path) + 1)}
        _Pruning(keys, owned).run(present, known.get(manager, {}), config)
        return _merged(present, copy.deepcopy(config), keys, "")  # type: ignore[no-any-return]


def _check(leaves: dict[Path, Any], others: dict[str, dict[Path, Any]]) -> None:
    for manager, owned in others.items():
        wrong = [path for path, value in leaves.items() if path not in _IDENTITY and owned.get(path, value) != value]
        if wrong:
            fields = [{"reason": "FieldManagerConflict", "message": f'conflict with "{manager}"', "field": _shown(path)}
                      for path in wrong]  # fmt: skip
            text = f'Apply failed with {len(wrong)} conflict(s): conflicts with "{manager}": {_shown(wrong[0])}'
            raise ApiError(409, text, details={"causes": fields})


def _shown(path: Path) -> str:
    return "".join(f".{part}" if isinstance(part, str) else f"[{', '.join(map(str, part))}]" for part in path)


def _leaves(value: Any, keys: Keys, path: Path = (), name: str = "") -> Iterator[tuple[Path, Any]]:
    """(path, value) of everything that is owned: elements of merged lists are named by their keys."""
    if isinstance(value, dict) and value:
        for field, below in value.items():
            yield from _leaves(below, keys, (*path, field), f"{name}.{field}" if name else field)
    elif isinstance(value, list) and name in keys and keys[name] != (PRIMITIVE,):
        for item in value:
            yield from _leaves(item, keys, (*path, _key_of(item, keys[name])), name)
    elif path not in _IDENTITY:
        yield path, value


def _key_of(item: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    """The element's key; a protocol that is not given is TCP, as the server would default it."""
    found = item if isinstance(item, dict) else {}
    values = (found.get(name, "TCP" if name == "protocol" else None) for name in names)
    return tuple(value if isinstance(value, str | int | None) else repr(value) for value in values)


class _Pruning:
    """Takes out of an object what was applied before and not now; `owned` are the paths of other managers."""

    def __init__(self, keys: Keys, owned: set[Path]) -> None:
        self._keys = keys
        self._owned = owned

    def run(self, present: Any, before: Any, config: Any, path: Path = (), name: str = "") -> None:
        if not isinstance(present, dict) or not isinstance(before, dict):
            return
        after = config if isinstance(config, dict) else {}
        for field, value in before.items():
            here, below = (*path, field), f"{name}.{field}" if name else field
            if field not in present or here in _IDENTITY:
                continue
            if isinstance(value, dict):
                self.run(present[field], value, after.get(field), here, below)
                if present[field] == {} and field not in after:
                    del present[field]
            elif self._is_merged(below) and isinstance(value, list) and isinstance(present[field], list):
                present[field] = self._elements(present[field], value, after.get(field) or [], here, below)
            elif field not in after and here not in self._owned:
                del present[field]

    def _is_merged(self, name: str) -> bool:
        return self._keys.get(name, (PRIMITIVE,)) != (PRIMITIVE,)

    def _elements(self, present: list[Any], before: list[Any], config: list[Any], path: Path, name: str) -> list[Any]:
        keys = self._keys[name]
        old = {_key_of(item, keys): item for item in before}
        new = {_key_of(item, keys): item for item in config}
        kept = []
        for item in present:
            key = _key_of(item, keys)
            if key in old and key not in new and (*path, key) not in self._owned:
                continue
            if key in old and key in new:
                self.run(item, old[key], new[key], (*path, key), name)
            kept.append(item)
        return kept


def _merged(target: Any, config: Any, keys: Keys, name: str) -> Any:
    if isinstance(config, dict) and isinstance(target, dict):
        for field, value in config.items():
            target[field] = _merged(target.get(field), value, keys, f"{name}.{field}" if name else field)
        return target
    if isinstance(config, list) and isinstance(target, list) and name in keys:
        if keys[name] == (PRIMITIVE,):
            return target + [value for value in config if value not in target]
        at = {_key_of(item, keys[name]): number for number, item in enumerate(target)}
        for item in config:
            number = at.get(_key_of(item, keys[name]))
            if number is None:
                target.append(item)
            else:
                target[number] = _merged(target[number], item, keys, name)
        return target
    return config
