"""Cutting the log of a Redis server, as if its machine had lost power before the last commands reached the disk."""

from __future__ import annotations

from pathlib import Path


def cut_log(folder: Path, commands: int) -> None:
    """Takes the last `commands` commands off the append-only log in `folder`; a transaction counts as one.

    Raises ValueError when there are fewer.
    """
    (path,) = folder.glob("*.incr.aof")
    content = path.read_bytes()
    ends = _ends(content)
    if len(ends) <= commands:
        raise ValueError(f"{path} holds {len(ends)} commands, so the last {commands} cannot be taken off")
    path.write_bytes(content[: ends[-1 - commands]])


def _ends(content: bytes) -> list[int]:
    """Where each command ends; a transaction ends where its EXEC does."""
    ends, at, inside = [], 0, False
    while at < len(content):
        words, at = _command(content, at)
        name = words[0].upper()
        inside = name == b"MULTI" or (inside and name != b"EXEC")
        if not inside:
            ends.append(at)
    return ends


def _command(content: bytes, at: int) -> tuple[list[bytes], int]:
    """The words of the command at a place, and where it ends. `#` lines, the server's notes, are passed over."""
    while content[at : at + 1] == b"#":
        at = content.index(b"\r\n", at) + 2
    count, at = _number(content, at, b"*")
    words = []
    for _ in range(count):
        size, at = _number(content, at, b"$")
        words.append(content[at : at + size])
        at += size + 2
    return words, at


def _number(content: bytes, at: int, mark: bytes) -> tuple[int, int]:
    end = content.index(b"\r\n", at)
    if content[at : at + 1] != mark:
        raise ValueError(f"byte {at} of the log is {content[at : at + 1]!r}, not {mark!r}")
    return int(content[at + 1 : end]), end + 2
