"""What the API server refuses, in its own words: every failure becomes a `Status` object.

Clients tell failures apart by code and `reason`, people by the message; both follow the real server's texts, because
programs (kubectl, client-go) look into them too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulator.kube.resources import Resource

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class ApiError(Exception):
    """An answer that is not a success. `code` is the HTTP status, `details` goes into the Status as it is."""

    def __init__(self, code: int, message: str, *, reason: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason or REASONS.get(code, "")
        self.details = details

    def status(self) -> dict[str, Any]:
        """The `Status` object."""
        status: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        status["message"] = self.message
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        return {**status, "code": self.code}


@dataclass(frozen=True, slots=True)
class Cause:
    """One field that is wrong, as `Status.details.causes` carries it."""

    field: str
    reason: str
    message: str


def required(field: str, text: str = "") -> Cause:
    """The field is missing."""
    return Cause(field, "FieldValueRequired", "Required value" + (f": {text}" if text else ""))


def invalid(field: str, value: Any, text: str) -> Cause:
    """The field has a value that cannot be."""
    return Cause(field, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {text}")


def unsupported(field: str, value: Any, allowed: Iterable[str]) -> Cause:
    """The field's value is none of those that are known."""
    values = ", ".join(f'"{text}"' for text in allowed)
    return Cause(field, "FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {values}")


def duplicate(field: str, value: Any) -> Cause:
    """The value stands there twice."""
    return Cause(field, "FieldValueDuplicate", f"Duplicate value: {_shown(value)}")


def _shown(value: Any) -> str:
    return json.dumps(value)


def refused(resource: Resource, name: str, causes: list[Cause]) -> ApiError:
    """422: the object's content is wrong; `causes` are all that was found."""
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    shown = [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
    details = {"name": name, "group": resource.group, "kind": resource.kind, "causes": shown}
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return ApiError(422, f'{kind} "{name}" is invalid: {text}', details=details)


def not_found(resource: Resource, name: str) -> ApiError:
    """404: no such object."""
    return ApiError(404, f'{resource.key} "{name}" not found', details=_details(resource, name))


def already_exists(resource: Resource, name: str) -> ApiError:
    """409: the name is taken."""
    text = f'{resource.key} "{name}" already exists'
    return ApiError(409, text, reason="AlreadyExists", details=_details(resource, name))


def conflict(resource: Resource, name: str, text: str = "") -> ApiError:
    """409: somebody wrote since the object was read, or a precondition does not hold."""
    text = text or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {resource.key} "{name}": {text}'
    return ApiError(409, message, details=_details(resource, name))


def forbidden(resource: Resource, name: str, text: str) -> ApiError:
    """403 for something that is not a matter of permissions alone."""
    shown = f' "{name}"' if name else ""
    return ApiError(403, f"{resource.key}{shown} is forbidden: {text}", details=_details(resource, name))


def expired(text: str) -> ApiError:
    """410: the history that this call needs is no longer there."""
    return ApiError(410, text, reason="Expired")


def bad_request(text: str) -> ApiError:
    """400: the call cannot be understood."""
    return ApiError(400, text)


def no_such_path() -> ApiError:
    """404: nothing is served there."""
    return ApiError(404, "the server could not find the requested resource", details={})


def _details(resource: Resource, name: str) -> dict[str, Any]:
    return {"name": name, "group": resource.group, "kind": resource.plural}
