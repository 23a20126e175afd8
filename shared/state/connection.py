"""One way into Redis: bounded calls, typed errors, scripts loaded once.

Every Redis call of the program passes through `State`, so that no call can hang (socket timeouts) and every
failure is a `StateUnavailable` or an error of our own, never a bare `redis` exception.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import redis

from shared.errors import StateUnavailable

_HERE = Path(__file__).parent


@functools.cache
def _source(name: str) -> str:
    """The text of a script: the common ground first, the script itself below it."""
    return (_HERE / "lib.lua").read_text() + (_HERE / f"{name}.lua").read_text()


@contextmanager
def bounded() -> Iterator[None]:
    """Turns every failure of the Redis client into `StateUnavailable`."""
    try:
        yield
    except redis.RedisError as error:
        raise StateUnavailable(
            f"Redis does not answer as it should: {type(error).__name__}: {error}",
            where="Redis",
            action="Look at the Redis server; work continues by itself when it is back",
        ) from error


class State:
    """A connection pool to Redis, the prefix of our keys, and the scripts.

    `cluster` is the cluster name: several clusters may share one Redis. `timeout` (seconds) bounds every call.
    """

    def __init__(self, url: str, cluster: str, *, timeout: float = 5.0) -> None:
        self.prefix = f"ako:{cluster}:"
        # RESP2 answers are simple lists, which is all that our scripts return; and cheaper to parse.
        self.redis = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout,
            socket_connect_timeout=min(timeout, 3.0),
            socket_keepalive=True,
            health_check_interval=30,
            protocol=2,
        )
        self._scripts: dict[str, Callable[..., Any]] = {}

    def script(self, name: str, *args: str | float | bytes) -> Any:
        """Runs the script `name` with our prefix as its only key."""
        run = self._scripts.get(name)
        if run is None:
            run = self._scripts[name] = self.redis.register_script(_source(name))
        with bounded():
            return run(keys=[self.prefix], args=args)

    def key(self, name: str) -> str:
        """The full name of one of our Redis keys."""
        return self.prefix + name

    def hash(self, name: str) -> dict[str, str]:
        """A whole hash."""
        with bounded():
            return cast("dict[str, str]", self.redis.hgetall(self.key(name)))

    def fields(self, name: str, fields: Sequence[str]) -> list[str | None]:
        """Some fields of a hash, in the order asked for; None where there is none."""
        if not fields:
            return []
        with bounded():
            return cast("list[str | None]", self.redis.hmget(self.key(name), list(fields)))

    def members(self, name: str) -> set[str]:
        """A whole set."""
        with bounded():
            return cast("set[str]", self.redis.smembers(self.key(name)))

    def close(self) -> None:
        """Closes the connections."""
        self.redis.close()
