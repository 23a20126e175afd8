"""How a run of a key ended, as data: what `reconcile` tells the work protocol."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from shared.errors import (
    AkoError,
    AviAuthError,
    AviBusy,
    AviConflict,
    AviNoFreeAddress,
    AviRefused,
    AviUnavailable,
    AviUnreachable,
    KubeAuthError,
    KubeBusy,
    KubeForbidden,
    SettingsError,
)
from shared.state.work import Outcome
from workers.model.types import Problem

REFUSED_SECONDS = 300.0
NO_ADDRESS_SECONDS = 90.0
FIRST_WAIT, LONGEST_WAIT = 30.0, 300.0
FIRST_LOOK = 2.0
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 60.0

Wait = tuple[Literal["stands", "gone"], str]


@dataclass(frozen=True, slots=True)
class Result:
    """`delay` in seconds. `contact`: the controller answered. `row`: see `Work.finish`.

    `operations`: what was written, for the log: `update pool/admin/x (servers)`.
    """

    outcome: Outcome = "done"
    delay: float = 0.0
    row: str | None = None
    waits: tuple[Wait, ...] = ()
    problems: tuple[Problem, ...] = ()
    contact: bool = False
    error: AkoError | None = None
    operations: tuple[str, ...] = ()


def backoff(failures: int) -> float:
    """Exponential from 0.5 s to 60 s with full jitter, never less than 50 ms."""
    ceiling = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures, 10))
    return max(0.05, random.uniform(0, ceiling))  # noqa: S311 - jitter, not cryptography


def waiting_delay(waited: int, *, for_lists: bool = False) -> float:
    """How long a waiting key sleeps at most if nobody wakes it: 30 s, doubling to 5 min.

    One that waits only to list what others make (`for_lists`) looks after 2 s: what it waits for may come to be wanted
    by nobody before it was ever made, and then nobody says so.
    """
    return min(LONGEST_WAIT, (FIRST_LOOK if for_lists else FIRST_WAIT) * 2.0 ** min(waited, 8))


def how_it_ended(result: Result) -> str:
    """The outcome for people and metrics: what was refused is told from what failed otherwise."""
    refused = isinstance(result.error, AviRefused | AviConflict | KubeForbidden | KubeAuthError | SettingsError)
    return "refused" if refused else result.outcome


def of_error(error: AkoError, failures: int) -> tuple[Outcome, float]:
    """The outcome and delay that an error asks for."""
    match error:
        case AviUnreachable(status=500, sent=True):
            # The controller is there and stumbles over this object; a breaker for it would hold up all the others.
            return "failed", backoff(failures)
        case AviUnreachable() | AviUnavailable() | AviAuthError():
            return "unreachable", random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        case AviBusy(retry_after=wait) | KubeBusy(retry_after=wait):
            return "failed", max(wait or 0.0, backoff(failures))
        case AviNoFreeAddress():
            return "failed", NO_ADDRESS_SECONDS
        case AviRefused() | KubeForbidden() | KubeAuthError():
            return "failed", REFUSED_SECONDS
        # AviReferenced too: what refers to the object may be another key's write of this moment.
        case _:
            return "failed", backoff(failures)
