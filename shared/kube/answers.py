"""What an answer of the API server means: one mapping from HTTP status to the errors of `shared.errors`.

Used for ordinary answers, for the head of a watch and for the ERROR events inside one, so that 410 is 410 wherever it
is said. Texts carry the server's own sentence, cut to a readable length; nothing that we sent is ever quoted.
"""

from __future__ import annotations

from typing import Any

import orjson

from shared.errors import (
    KubeAuthError,
    KubeBusy,
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeGone,
    KubeNotFound,
    KubeRefused,
    KubeUnreachable,
)

_BY_STATUS: dict[int, tuple[type[KubeError], str]] = {
    401: (KubeAuthError, "Check the token or certificate that the API server is given"),
    403: (KubeForbidden, "Grant the permission to the service account (see the chart's ClusterRole)"),
    404: (KubeNotFound, ""),
    409: (KubeConflict, ""),
    410: (KubeGone, ""),
}
_LONGEST = 300


def error_of(status: int, payload: bytes | dict[str, Any], *, where: str, retry_after: str | None = None) -> KubeError:
    """The typed error for an answer of HTTP `status` (not 2xx); `payload` is its body or an ERROR event's Status."""
    text = _sentence(payload) or f"HTTP {status}"
    if status == 429:
        return KubeBusy(text, retry_after=_seconds(retry_after), where=where)
    if kind := _BY_STATUS.get(status):
        return kind[0](text, status=status, where=where, action=kind[1])
    if 400 <= status < 500:
        return KubeRefused(text, status=status, where=where)
    return KubeUnreachable(text, status=status, where=where)


def parse(body: bytes, *, where: str) -> dict[str, Any]:
    """The JSON object in `body`. Raises KubeUnreachable when it is something else: then no API server spoke."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise KubeUnreachable("the answer is not a JSON object", where=where)
    return document


def _sentence(payload: bytes | dict[str, Any]) -> str:
    if isinstance(payload, bytes):
        try:
            document = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return payload[:_LONGEST].decode(errors="replace").strip()
    else:
        document = payload
    message = document.get("message") if isinstance(document, dict) else None
    return str(message or "")[:_LONGEST]


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:  # the other legal form is a date, which API servers do not send
        return None
