"""What a PATCH makes of an object: `add` extends lists and sets the rest, `replace` sets, `delete` takes away.

An item of a list is deleted when it has all that is given of it (*assumed*): `{"servers": [{"ip": …}]}` deletes the
servers of that address, whatever their ports.
"""

from __future__ import annotations

from typing import Any


def patched(body: dict[str, Any], parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A new body; `parts` are the checked `add`, `replace` and `delete`, each may be missing."""
    out = body | parts.get("replace", {})
    for name, value in parts.get("delete", {}).items():
        left = (
            [item for item in out.get(name, []) if not any(_has(item, gone) for gone in value)] if _list(value) else []
        )
        if left:
            out[name] = left
        else:
            out.pop(name, None)
    for name, value in parts.get("add", {}).items():
        out[name] = [*out.get(name, []), *value] if _list(value) else value
    return out


def _list(value: Any) -> bool:
    return isinstance(value, list)


def _has(item: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict) and isinstance(item, dict):
        return all(name in item and _has(item[name], value) for name, value in wanted.items())
    return bool(item == wanted)
