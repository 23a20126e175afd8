"""Messages as workers read them, whoever wrote them."""

from __future__ import annotations

from typing import Any

import pytest

from workers.wakeup import LONGEST_KEY, MOST_KEYS, WakeUp


def test_a_message_of_ours_is_read() -> None:
    """Keys, cause and wake id; what a later release adds is left alone."""
    assert WakeUp.read({"keys": ["host:a"], "cause": "Node n1", "wake": "w", "more": 1}) == WakeUp(
        ["host:a"], "Node n1", "w"
    )
    assert WakeUp.read({"keys": []}) == WakeUp()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"keys": "host:a"},
        {"keys": [1]},
        {"keys": [{}]},
        {"keys": None},
        {"keys": [""]},
        {"keys": ["x" * (LONGEST_KEY + 1)]},
        {"keys": ["x"] * (MOST_KEYS + 1)},
        {"keys": ["host:a"], "wake": ["w"]},
        {"keys": ["host:a"], "cause": "x" * 1001},
    ],
    ids=range(10),
)
def test_a_malformed_message_is_a_bare_wake_up(arguments: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """It names nothing, and the log says what was wrong with it."""
    assert WakeUp.read(arguments) == WakeUp(cause="a malformed message")
    assert "malformed arguments" in caplog.text
