"""One way into Redis: bounded calls, typed errors, scripts loaded once.

Every Redis call of the program passes through `State`, so that no call can hang (socket timeouts) and every
failure is a `StateUnavailable` or an error of our own, never a bare `redis` exception.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.errors import StateUnavailable

_HERE = Path(__file__).parent


@functools.cache
def _source(name: str) -> tuple[str, str]:
    """The text of a script, the common ground first and the script itself below it; and its SHA-1 for EVALSHA."""
    text = (_HERE / "lib.lua").read_text() + (_HERE / f"{name}.lua").read_text()
    return text, hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - Redis names scripts so


@contextmanager
def bounded() -> Iterator[None]:
    """Turns every failure of the Redis client into `StateUnavailable`."""
    try:
        yield
    except redis.RedisError as error:
        denied = isinstance(error, redis.AuthenticationError | redis.exceptions.NoPermissionError)
        action = (
            "Look at user and password in pipeline.redisURL or AKO_REDIS_URL, and at the rights of that user"
            if denied
            else "Look at the Redis server, and at pipeline.redisURL or AKO_REDIS_URL; work goes on when it is back"
        )
        raise StateUnavailable(
            f"Redis does not answer as it should: {type(error).__name__}: {str(error).rstrip('.')}",
            where="Redis",
            action=action,
        ) from error


class State:
    """Our connection to Redis, the prefix of our keys, and the scripts. Thread-safe: each thread has a connection.

    `cluster` is the cluster name: several clusters may share one Redis. `timeout` (seconds) bounds every call; a call
    on a connection that the server has closed is repeated once, which every script of ours allows.
    """

    def __init__(self, url: str, cluster: str, *, timeout: float = 2.5) -> None:
        self.prefix = f"ako:{cluster}:"
        self._url = url
        self._timeout = timeout
        self._local = threading.local()

    @property
    def client(self) -> redis.Redis:
        """The client of the calling thread."""
        client: redis.Redis | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self._connect()
        return client

    def _connect(self) -> redis.Redis:
        # A socket in the file system knows no keepalive: the client refuses the word.
        tcp = {} if self._url.startswith("unix:") else {"socket_keepalive": True}
        # RESP2 answers are simple lists, which is all that our scripts return; and cheaper to parse.
        return redis.Redis.from_url(
            self._url,
            decode_responses=True,
            single_connection_client=True,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
            protocol=2,
            **tcp,
        )

    def script(self, name: str, *args: str | float | bytes) -> Any:
        """Runs the script `name` with our prefix as its only key."""
        source, digest = _source(name)
        with bounded():
            client = self.client
            try:
                return client.evalsha(digest, 1, self.prefix, *args)
            except redis.exceptions.NoScriptError:
                return client.eval(source, 1, self.prefix, *args)

    def key(self, name: str) -> str:
        """The full name of one of our Redis keys."""
        return self.prefix + name

    def hash(self, name: str) -> dict[str, str]:
        """A whole hash."""
        with bounded():
            return cast("dict[str, str]", self.client.hgetall(self.key(name)))

    def fields(self, name: str, fields: Sequence[str]) -> list[str | None]:
        """Some fields of a hash, in the order asked for; None where there is none."""
        if not fields:
            return []
        with bounded():
            return cast("list[str | None]", self.client.hmget(self.key(name), list(fields)))

    def members(self, *names: str) -> set[str]:
        """The members of some sets (at least one)."""
        with bounded():
            return cast("set[str]", self.client.sunion([self.key(name) for name in names]))

    def close(self) -> None:
        """Closes this thread's connection; the others end with their threads."""
        client: redis.Redis | None = getattr(self._local, "client", None)
        if client is not None:
            client.close()
