"""Every exception that ako-celery raises on purpose, in one tree.

::

    AkoError
    ├── SettingsError            a values.yaml that cannot be used; carries every problem at once
    ├── AviError                 the Avi Controller
    │   ├── AviUnreachable       no answer; `sent` tells whether the request may have taken effect
    │   ├── AviAuthError         credentials refused, also after one new login
    │   ├── AviUnavailable       "Configuration is disallowed during upgrade": like unreachable
    │   ├── AviBusy              429 or 503; `retry_after` seconds when the controller named them
    │   ├── AviNotFound          the object asked for is not there
    │   ├── AviMissingReference  an object that the body refers to is not there
    │   ├── AviConflict          409: the name is taken
    │   ├── AviStale             412: somebody else wrote since `_last_modified`
    │   ├── AviReferenced        delete refused: others still refer to it
    │   └── AviRefused           any other 4xx: the controller does not accept the body
    │       └── AviNoFreeAddress the VIP network is exhausted
    ├── KubeError                the Kubernetes API server
    │   ├── KubeUnreachable      no answer, or 5xx
    │   ├── KubeAuthError        401
    │   ├── KubeForbidden        403
    │   ├── KubeNotFound         404
    │   ├── KubeConflict         409
    │   ├── KubeGone             410: the resourceVersion is too old, list again
    │   ├── KubeBusy             429; `retry_after`
    │   └── KubeRefused          any other 4xx
    └── StateError               Redis
        ├── StateUnavailable     no answer from Redis
        ├── ClaimLost            the claim, its incarnation or the Redis run is no longer ours
        ├── KeyHeld              a census keeps the key from writing until another one agrees
        └── StaleEpoch           another watcher has taken over

Messages say what was wrong and where; `expected` and `action` say what would have been right and what to do next.
"""

from __future__ import annotations


class AkoError(Exception):
    """Base of all. `where` is a file, field or object; `action` is one imperative sentence for the operator."""

    def __init__(self, message: str, *, where: str = "", expected: str = "", action: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.expected = expected
        self.action = action

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        if self.expected:
            text += f"; expected {self.expected}"
        if self.action:
            text += f". {self.action}"
        return text


class SettingsError(AkoError):
    """Settings that cannot be used. `problems` are (path, message) pairs, all that were found."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        self.problems = problems
        super().__init__("\n".join(f"{path}: {text}" for path, text in problems))


class AviError(AkoError):
    """An answer (or none) of the Avi Controller. `status` is the HTTP status, 0 without an answer."""

    def __init__(self, message: str, *, status: int = 0, where: str = "", expected: str = "", action: str = "") -> None:
        super().__init__(message, where=where, expected=expected, action=action)
        self.status = status


class AviUnreachable(AviError):
    """No usable answer. `sent` is True when the request may have taken effect all the same."""

    def __init__(self, message: str, *, sent: bool, where: str = "", action: str = "") -> None:
        super().__init__(message, where=where, action=action)
        self.sent = sent


class AviAuthError(AviError):
    """The controller refuses our credentials."""


class AviUnavailable(AviError):
    """The controller takes no configuration now (upgrade)."""


class AviBusy(AviError):
    """The controller asks for fewer requests; `retry_after` in seconds, None when it did not say."""

    def __init__(self, message: str, *, status: int, retry_after: float | None = None, where: str = "") -> None:
        super().__init__(message, status=status, where=where)
        self.retry_after = retry_after


class AviNotFound(AviError):
    """The object asked for does not exist."""


class AviMissingReference(AviError):
    """The body refers to an object that does not exist."""


class AviConflict(AviError):
    """An object of that name exists already."""


class AviStale(AviError):
    """The object was written by somebody since we read it."""


class AviReferenced(AviError):
    """The object cannot be deleted, others refer to it."""


class AviRefused(AviError):
    """The controller does not accept what we sent."""


class AviNoFreeAddress(AviRefused):
    """The VIP network has no free address of the wanted family."""


class KubeError(AkoError):
    """An answer (or none) of the Kubernetes API server. `status` is the HTTP status, 0 without an answer."""

    def __init__(self, message: str, *, status: int = 0, where: str = "", expected: str = "", action: str = "") -> None:
        super().__init__(message, where=where, expected=expected, action=action)
        self.status = status


class KubeUnreachable(KubeError):
    """No usable answer, or a 5xx."""


class KubeAuthError(KubeError):
    """401: our credentials are not (or no longer) accepted. Never a sign of an empty cluster."""


class KubeForbidden(KubeError):
    """403: a permission is missing. Never a sign of an empty cluster."""


class KubeNotFound(KubeError):
    """404."""


class KubeConflict(KubeError):
    """409: the object changed since it was read, or exists already."""


class KubeGone(KubeError):
    """410: the resourceVersion is too old; list again."""


class KubeBusy(KubeError):
    """429; `retry_after` in seconds, None when the server did not say."""

    def __init__(self, message: str, *, status: int = 429, retry_after: float | None = None, where: str = "") -> None:
        super().__init__(message, status=status, where=where)
        self.retry_after = retry_after


class KubeRefused(KubeError):
    """Any other 4xx."""


class StateError(AkoError):
    """Redis."""


class StateUnavailable(StateError):
    """Redis does not answer."""


class ClaimLost(StateError):
    """The claim, its incarnation or the Redis run is no longer ours: stop writing at once."""


class KeyHeld(StateError):
    """A census found that too much would be taken away: this key writes nothing until another one agrees."""


class StaleEpoch(StateError):
    """A newer watcher has taken over: stop writing at once."""
