"""Where commands talk to people: lines that stay, and one line of progress that is rewritten on a terminal.

Where the output is no terminal (a log of a CI run), progress is an ordinary line, at most every few seconds and only
when it says something new.
"""

from __future__ import annotations

import os
import shutil
import time
from typing import TextIO

_QUIET_SECONDS = 2.0
_UNLIMITED = 10_000
_CLEAR = "\r\x1b[2K"
_HOME = "\x1b[H\x1b[2J"


class Screen:
    """Writes to one stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._tty = stream.isatty()
        self._showing = False
        self._last = ""
        self._last_at = -_QUIET_SECONDS

    @property
    def width(self) -> int:
        """How many characters fit into a line; more than enough where there is no terminal."""
        return shutil.get_terminal_size().columns if self._tty else _UNLIMITED

    @property
    def coloured(self) -> bool:
        """Whether colours may be used: on a terminal that has them, unless NO_COLOR is set."""
        return self._tty and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    @property
    def rewrites(self) -> bool:
        """Whether what was shown can be replaced: on a terminal."""
        return self._tty

    def replace(self, text: str) -> None:
        """A text in place of all that the terminal shows; elsewhere one more, with an empty line before it."""
        self._write((_HOME if self._tty else "\n") + text + "\n")

    def say(self, text: str) -> None:
        """A text that stays."""
        self._write((_CLEAR if self._showing else "") + text + "\n")
        self._showing = False

    def progress(self, text: str) -> None:
        """What goes on right now."""
        if self._tty:
            self._write(_CLEAR + text[: self.width - 1])  # a line that wraps could not be taken back
            self._showing = True
        elif text != self._last and time.monotonic() >= self._last_at + _QUIET_SECONDS:
            self._write(text + "\n")
            self._last, self._last_at = text, time.monotonic()

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
