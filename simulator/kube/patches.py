"""The three ways to patch: JSON patch (RFC 6902), JSON merge patch (RFC 7386) and the strategic merge patch.

All take an object that may be changed in place and return the patched one; what is patched in may share parts with the
patch. The strategic merge follows `merge_keys`, with the directives that kubectl writes: `$patch`, `$retainKeys`,
`$setElementOrder/…` and `$deleteFromPrimitiveList/…`.
"""

from __future__ import annotations

import copy
from typing import Any

from simulator.kube.errors import ApiError, bad_request
from simulator.kube.merge_keys import PRIMITIVE, Keys, merge_keys

_ORDER, _DELETED, _RETAIN, _HOW = "$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys", "$patch"


def merge(target: Any, patch: Any) -> Any:
    """JSON merge patch: null removes, objects are merged, everything else is replaced."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict):
            target[name] = merge(target.get(name), value)
        else:
            target[name] = value
    return target


# -- JSON patch ----------------------------------------------------------------------------------------------------


def json_patch(target: Any, operations: Any) -> Any:
    """Applies the operations in order. Raises ApiError 400 for what is no patch, 422 for one that cannot be applied."""
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise bad_request("error decoding patch: a JSON patch is a list of operations")
    for operation in operations:
        try:
            target = _operate(target, operation)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            shown = f"{operation.get('op')} operation on {operation.get('path')!r}"
            raise ApiError(422, f"the patch cannot be applied: {shown}: {error or type(error).__name__}") from None
    return target


def _operate(target: Any, operation: dict[str, Any]) -> Any:
    what, path = operation["op"], _pointer(operation["path"])
    if what in {"add", "replace", "test"}:
        value = operation["value"]
    elif what in {"move", "copy"}:
        source = _pointer(operation["from"])
        value = copy.deepcopy(_at(target, source))
        if what == "move":
            _remove(target, source)
    elif what != "remove":
        raise ValueError(f"unknown operation {what!r}")
    if what == "test":
        if _at(target, path) != value:
            raise ValueError("the value is another one")
        return target
    if what == "remove":
        _remove(target, path)
        return target
    if not path:
        return value
    if what == "replace":
        _at(target, path)
    _put(target, path, value, insert=what != "replace")
    return target


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(f"not a JSON pointer: {text!r}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _at(target: Any, path: list[str]) -> Any:
    for part in path:
        target = target[_index(target, part)] if isinstance(target, list) else target[part]
    return target


def _put(target: Any, path: list[str], value: Any, *, insert: bool) -> None:
    parent = _at(target, path[:-1])
    if not isinstance(parent, list):
        parent[path[-1]] = value
    elif path[-1] == "-":
        parent.append(value)
    elif insert:
        parent.insert(_index(parent, path[-1], beyond=1), value)
    else:
        parent[_index(parent, path[-1])] = value


def _remove(target: Any, path: list[str]) -> None:
    parent = _at(target, path[:-1])
    del parent[_index(parent, path[-1]) if isinstance(parent, list) else path[-1]]


def _index(items: list[Any], text: str, beyond: int = 0) -> int:
    number = int(text)
    if not 0 <= number < len(items) + beyond:
        raise IndexError(f"index {number} is out of range")
    return number


# -- strategic merge patch -----------------------------------------------------------------------------------------


def strategic(target: Any, patch: Any, kind: str) -> Any:
    """Strategic merge patch for an object of a built-in `kind`."""
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: an object is expected")
    return _Strategic(merge_keys(kind)).objects(target, patch, "")


class _Strategic:
    """One merge; `path` is the dotted path of field names, without list elements, at which the keys are looked up."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def objects(self, target: Any, patch: dict[str, Any], path: str) -> Any:
        how = patch.get(_HOW)
        if how == "delete":
            return {}
        if how == "replace" or not isinstance(target, dict):
            target = {}
        retain = patch.get(_RETAIN)
        if isinstance(retain, list):
            target = {name: value for name, value in target.items() if name in retain}
        for name, value in patch.items():
            if not name.startswith("$"):
                self._field(target, name, value, f"{path}.{name}" if path else name)
        self._lists(target, patch, path)
        return target

    def _field(self, target: dict[str, Any], name: str, value: Any, path: str) -> None:
        if value is None:
            target.pop(name, None)
        elif isinstance(value, dict):
            target[name] = self.objects(target.get(name), value, path)
        elif isinstance(value, list) and (key := self._keys.get(path)):
            present = target.get(name)
            target[name] = self._merged(present if isinstance(present, list) else [], value, key[0], path)
        else:
            target[name] = value

    def _merged(self, present: list[Any], patch: list[Any], key: str, path: str) -> list[Any]:
        if key == PRIMITIVE:
            return present + [value for value in patch if value not in present]
        if any(isinstance(item, dict) and item.get(_HOW) == "replace" for item in patch):
            return [item for item in patch if isinstance(item, dict) and _HOW not in item]
        for item in patch:
            if not isinstance(item, dict) or key not in item:
                raise bad_request(f"error when applying patch: an element of {path} has no merge key {key}")
            at = next((n for n, old in enumerate(present) if isinstance(old, dict) and old.get(key) == item[key]), None)
            if item.get(_HOW) == "delete":
                if at is not None:
                    del present[at]
            elif at is None:
                present.append(self.objects({}, item, path))
            else:
                present[at] = self.objects(present[at], item, path)
        return present

    def _lists(self, target: dict[str, Any], patch: dict[str, Any], path: str) -> None:
        """The directives that concern lists beside them: what to delete, and the order in the end."""
        for directive, wanted in patch.items():
            for prefix in (_DELETED, _ORDER):
                name = directive.removeprefix(prefix)
                items = target.get(name)
                if name == directive or not isinstance(items, list) or not isinstance(wanted, list):
                    continue
                key = self._keys.get(f"{path}.{name}" if path else name, (PRIMITIVE,))[0]
                if prefix == _DELETED:
                    target[name] = [item for item in items if item not in wanted]
                else:
                    target[name] = _ordered(items, wanted, key)


def _ordered(items: list[Any], wanted: list[Any], key: str) -> list[Any]:
    """`items` in the order of `wanted`; those it does not name stay behind the one they stood behind."""

    def name(item: Any) -> Any:
        return item.get(key) if key != PRIMITIVE and isinstance(item, dict) else item

    order = [name(item) for item in wanted]
    rank, ranks = -1, []
    for number, item in enumerate(items):
        if name(item) in order:
            rank = order.index(name(item))
        ranks.append((rank, number))
    return [items[number] for _, number in sorted(ranks)]
