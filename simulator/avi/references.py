"""How a reference is spelt by clients, and how it is kept.

Kept form: `MARK/api/<type>/<uuid>`. MARK stands for `https://CTRL` of whoever asks: an answer is made of stored bytes
with MARK replaced, so objects need no walk when they are read. It is a character that no client sends.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

MARK = "\ue000"
MARK_BYTES = MARK.encode()
STORED = re.compile(MARK_BYTES + rb'/api/[a-z0-9]+/([^"/?#\\]+)"')

_SPELLING = re.compile(
    rf"(?:https?://[^/?#]+|{MARK})?/+api/+([a-z0-9]+)/*(?:\?([^#]*)|(?<=/)([^/?#]+)/?)(?:#.*)?",
    re.DOTALL,
)


class Reference(NamedTuple):
    """What a text refers to: a type and either a uuid or a name."""

    type: str
    uuid: str
    name: str


def stored(rest_type: str, uuid: str) -> str:
    """The form in which a reference is kept."""
    return f"{MARK}/api/{rest_type}/{uuid}"


@lru_cache(maxsize=16384)
def parse(text: str) -> Reference | None:
    """`/api/pool/?name=N`, `/api/pool?name=N`, `/api/pool/<uuid>`, each also as a full URL and with `#name` after a
    uuid. A name may be percent-encoded or raw. None when the text is no reference.
    """
    found = _SPELLING.fullmatch(text)
    if found is None:
        return None
    rest_type, query, uuid = found.groups()
    if uuid:
        return Reference(rest_type, uuid, "")
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if key == "name" and value:
            return Reference(rest_type, "", unquote(value))
    return None
