"""Progress: one rewritten line on a terminal, few plain lines in a file."""

from __future__ import annotations

import io

import pytest

from cli.screen import Screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_progress_is_rewritten() -> None:
    """Each progress replaces the one before; what is said replaces it too, and stays."""
    stream = Terminal()
    screen = Screen(stream)
    screen.progress("1")
    screen.progress("2")
    screen.say("done")
    screen.say("more")
    assert stream.getvalue() == "\r\x1b[2K1\r\x1b[2K2\r\x1b[2Kdone\nmore\n"


def test_progress_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is longer than a line of the terminal is cut, so that it can be taken back."""
    monkeypatch.setenv("COLUMNS", "20")
    stream = Terminal()
    Screen(stream).progress("x" * 100)
    assert stream.getvalue() == "\r\x1b[2K" + "x" * 19


def test_in_a_file_progress_is_a_line_now_and_then() -> None:
    """Without a terminal the first progress is a line and those right after it are left out; no control characters."""
    stream = io.StringIO()
    screen = Screen(stream)
    for number in range(10):
        screen.progress(f"step {number}")
    screen.say("done")
    assert stream.getvalue() == "step 0\ndone\n"
