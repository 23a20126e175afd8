"""What an error means for the key that met it."""

from __future__ import annotations

import pytest

from shared.errors import (
    AkoError,
    AviAuthError,
    AviBusy,
    AviConflict,
    AviNoFreeAddress,
    AviRefused,
    AviUnavailable,
    AviUnreachable,
    KubeBusy,
    KubeForbidden,
    KubeUnreachable,
)
from workers.outcome import backoff, of_error, waiting_delay


def stumbles() -> AviUnreachable:
    """The controller answers 500 for one object."""
    error = AviUnreachable("internal server error", sent=True)
    error.status = 500
    return error


@pytest.mark.parametrize(
    ("error", "outcome", "least", "most"),
    [
        (AviUnreachable("gone", sent=True), "unreachable", 0.5, 1),
        (stumbles(), "failed", 0.05, 0.5),
        (AviUnavailable("upgrade"), "unreachable", 0.5, 1),
        (AviAuthError("refused"), "unreachable", 0.5, 1),
        (AviBusy("slow down", status=429, retry_after=7), "failed", 7, 7),
        (AviBusy("slow down", status=503), "failed", 0.05, 0.5),
        (KubeBusy("slow down", retry_after=3), "failed", 3, 3),
        (AviNoFreeAddress("full"), "failed", 90, 90),
        (AviRefused("bad"), "failed", 300, 300),
        (KubeForbidden("no"), "failed", 300, 300),
        (AviConflict("taken"), "failed", 0.05, 0.5),
        (KubeUnreachable("gone"), "failed", 0.05, 0.5),
        (AkoError("other"), "failed", 0.05, 0.5),
    ],
)
def test_each_error_has_its_outcome(error: AkoError, outcome: str, least: float, most: float) -> None:
    """An unreachable controller opens the breaker, a refusal is slow, everything else backs off."""
    got, delay = of_error(error, failures=0)
    assert got == outcome
    assert least <= delay <= most


def test_backoff_grows_to_a_minute_and_no_further() -> None:
    """The delay is jittered over the whole range, never zero and never over 60 s."""
    for failures in range(30):
        delays = [backoff(failures) for _ in range(200)]
        assert min(delays) >= 0.05
        assert max(delays) <= min(60.0, 0.5 * 2**failures)
    assert max(backoff(20) for _ in range(200)) > 30


def test_a_wait_grows_to_five_minutes() -> None:
    """A key that waits is looked at after 30 s, then twice as long each time, at most 5 min."""
    assert [waiting_delay(n) for n in range(6)] == [30, 60, 120, 240, 300, 300]
    assert [waiting_delay(n, for_lists=True) for n in range(9)] == [2, 4, 8, 16, 32, 64, 128, 256, 300]
