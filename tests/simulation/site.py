"""One simulated site: a watcher, some workers, the cluster, Redis and the controller, and all that can go wrong.

The workers are the real ones, put together by `workers.assembly`; what is replaced are the connection to Redis, the
HTTP session with the controller, the calls to Kubernetes, threads (tasks here) and the clock. Celery is a bag of
messages that may get lost, come twice, late and out of order. The watcher writes through the real session and mirror;
its lists and watches are played.
"""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from collections.abc import Iterator
from functools import partial
from unittest import mock

from shared.errors import StaleEpoch, StateUnavailable
from shared.settings import load
from shared.settings.model import Credentials, Settings
from shared.state import Claim, Mirror, State
from tests.simulation.cluster import Cluster, Kube
from tests.simulation.controller import READ_TIMEOUT, Controller, Session
from tests.simulation.redis_wire import Server, connect, seeded_uuids
from tests.simulation.scheduler import Process, Scheduler, VirtualEvent
from watcher.session import Session as Door
from workers.app import LEAVE_SECONDS
from workers.assembly import Worker, build

SLOTS = 2
LEASE = 12.0
NAME = "bench"
FORMS = (
    {"ENABLE_EVH": "true"},
    {"SHARD_VS_SIZE": "DEDICATED"},
    {"ENABLE_EVH": "true", "VIP_PER_NAMESPACE": "true"},
    {"ENABLE_EVH": "true", "SHARD_VS_SIZE": "DEDICATED"},
)
SETS = """
local function known(key)
  return redis.call('ZSCORE', P .. 'claims', key) or redis.call('ZSCORE', P .. 'later', key)
    or redis.call('ZSCORE', P .. 'ready:0', key) or redis.call('ZSCORE', P .. 'ready:1', key)
end
for _, hash in ipairs({ 'class', 'failures', 'waited', 'cause', 'again', 'claim' }) do
  for _, key in ipairs(redis.call('HKEYS', P .. hash)) do
    if not known(key) then return hash .. ' has ' .. key .. ', which is in no set' end
  end
end
for _, key in ipairs(redis.call('ZRANGE', P .. 'claims', 0, -1)) do
  if redis.call('HEXISTS', P .. 'claim', key) == 0 then return key .. ' is claimed by nobody' end
  for _, set in ipairs({ 'later', 'ready:0', 'ready:1' }) do
    if redis.call('ZSCORE', P .. set, key) then return key .. ' is claimed and in ' .. set end
  end
end
for _, key in ipairs(redis.call('ZRANGE', P .. 'later', 0, -1)) do
  if redis.call('ZSCORE', P .. 'ready:0', key) or redis.call('ZSCORE', P .. 'ready:1', key) then
    return key .. ' is in later and in ready'
  end
end
return ''
"""


def settings(**environ: str) -> Settings:
    """The site's settings."""
    return load(
        None,
        {
            "CLUSTER_NAME": NAME,
            "CTRL_IPADDRESS": "http://10.0.0.1",
            "CNI_PLUGIN": "flannel",
            "NODE_NETWORK_LIST": '[{"networkName":"node-net","cidrs":["10.50.0.0/24"]}]',
            "VIP_NETWORK_LIST": '[{"networkName":"net1","cidr":"10.10.0.0/16"}]',
            "IP_FAMILY": "V4",
            "SHARD_VS_SIZE": "MEDIUM",
            "AKO_REDIS_URL": "redis://127.0.0.1:1/0",
            "AKO_LEASE_TTL": str(LEASE),
            "AKO_READ_TIMEOUT": str(READ_TIMEOUT),
            "AKO_RESYNC_INTERVAL": "90",
            "AKO_CONCURRENCY": str(SLOTS),
            **environ,
        },
    ).settings


class WorkerProcess(Process):
    """A worker process: the real parts, and how many of its slots are busy."""

    worker: Worker

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.busy = 0
        self.leaving = False


class Site:
    """Everything. Time goes on only in `scheduler.run`."""

    def __init__(self, redis_url: str, seed: int, scheduler: Scheduler) -> None:
        # Every fifth site has its hosts in one of the other forms than shared SNI.
        form = FORMS[seed // 5 % len(FORMS)] if seed % 5 == 4 else {}
        self.scheduler = scheduler
        self.draw = random.Random(seed)
        self.settings = settings(**form)
        self.redis = Server(redis_url, scheduler)
        self.controller = Controller(scheduler, NAME)
        self.cluster = Cluster(self.settings)
        self.message_rate = self.watch_rate = 0.0
        self.workers: list[WorkerProcess] = []
        self.watcher = Process("no watcher yet")
        self._seen: dict[str, int] = {}  # by kind, how much of the cluster's log is in the mirror
        self._state = State("redis://127.0.0.1:1/0", NAME)
        connect(self._state, self.redis, Process("the checks"), reliable=True)
        self._born = 0
        self.checks = 0
        self._tokens: dict[str, tuple[WorkerProcess, Claim, int]] = {}
        scheduler.after_step = self._check
        self._sets_script = self.redis.client.register_script("local P = KEYS[1]\n" + SETS)

    # -- workers -------------------------------------------------------------------------------------------------

    def start_worker(self) -> None:
        """A new worker process."""
        self._born += 1
        process = WorkerProcess(f"worker-{self._born}")
        kube = Kube(self.cluster, self.scheduler)
        worker = build(self.settings, Credentials("admin", "not-used-here"), kube, self.publish)  # type: ignore[arg-type]
        process.worker = worker
        connect(worker.reconciler.work.state, self.redis, process)
        worker.avi._session = Session(self.controller, process)  # type: ignore[assignment]
        worker.keeper._stop = VirtualEvent(self.scheduler)  # type: ignore[assignment]
        self.workers.append(process)
        self.scheduler.spawn(process, partial(self._keep, process))

    @staticmethod
    def _keep(process: WorkerProcess) -> None:
        process.worker.keeper._announce()
        process.worker.keeper._run()

    def kill(self, process: Process) -> None:
        """SIGKILL."""
        self.scheduler.say(f"{process.name} is killed")
        process.dead = True
        self.workers = [each for each in self.workers if each is not process]

    def terminate(self, process: WorkerProcess) -> None:
        """SIGTERM: it takes no new message, hands back what it does not finish in time, and ends."""

        def leave() -> None:
            process.worker.keeper.leave(LEAVE_SECONDS)
            self.kill(process)

        self.scheduler.say(f"{process.name} is told to end")
        process.leaving = True
        self.scheduler.spawn(process, leave)

    def publish(self, keys: list[str], cause: str, wake: str) -> None:
        """A Celery message: lost, doubled, late as the dice fall."""
        for _ in range(self.draw.choice((0, 2)) if self.draw.random() < self.message_rate else 1):
            late = 5.0 if self.draw.random() < self.message_rate else 0.02
            self.scheduler.spawn(None, partial(self._deliver, keys, wake), after=self.draw.uniform(0.0, late))

    def _deliver(self, keys: list[str], wake: str) -> None:
        while True:
            free = [each for each in self.workers if each.busy < SLOTS and not each.leaving]
            if free:
                process = self.draw.choice(free)
                process.busy += 1
                self.scheduler.spawn(process, partial(self._serve, process, keys, wake))
                return
            self.scheduler.pause(0.05, 0.5)

    def _serve(self, process: WorkerProcess, keys: list[str], wake: str) -> None:
        """What the Celery task does."""
        try:
            process.worker.reconciler.work.woken(wake)
            if process.worker.reconciler.run(keys):
                self.publish([], "more is ready", wake)
        except StateUnavailable:
            pass  # the keys stay marked
        finally:
            process.busy -= 1

    # -- the watcher -------------------------------------------------------------------------------------------

    def start_watcher(self) -> None:
        """A new watcher, which leads at once. One that was there is dead or does not know yet that it is overtaken."""
        self._born += 1
        self.watcher = process = Process(f"watcher-{self._born}")
        state = State("redis://127.0.0.1:1/0", NAME)
        connect(state, self.redis, process)
        self.scheduler.spawn(process, partial(self._lead, process, Mirror(state)))

    def _lead(self, process: Process, mirror: Mirror) -> None:
        door: Door | None = None
        while self.watcher is process:
            try:
                if door is not None and (door.over.is_set() or not mirror.check(door.epoch)):
                    door.end()
                    door = None
                elif door is None:
                    epoch = mirror.begin(self.settings.digest())
                    door = Door(mirror, epoch, self._wake_for, self.cluster.kinds, clock=time.monotonic)
                    self._seen = {}
                    for kind in self.cluster.kinds:
                        self.scheduler.spawn(process, partial(self._follow, kind, door))
                elif not door.complete and not door.unlisted:
                    door.finish()
            except StaleEpoch:
                door = None
            except StateUnavailable:
                pass  # looked at again in a second
            self.scheduler.pause(0.5, 1.0)
        if door is not None:
            door.end()

    def _wake_for(self, keys: list[str], cause: str) -> None:
        self.publish(keys, cause, uuid.uuid4().hex[:8])

    def _follow(self, kind: str, door: Door) -> None:
        """Lists the kind and compares, then follows its changes, and again from the list when something fails."""
        while not door.over.is_set():
            try:
                self._list_and_watch(kind, door)
            except StateUnavailable:
                self.scheduler.pause(0.5, 3.0)
            except StaleEpoch:
                door.end(stale=True)

    def _list_and_watch(self, kind: str, door: Door) -> None:
        self.scheduler.pause(0.01, 0.3)
        if self.draw.random() < self.watch_rate:
            self.scheduler.pause(1.0, 5.0)
            return  # the list failed: nothing is known
        seen, listed = len(self.cluster.log), self.cluster.projections(kind)
        self.scheduler.pause(0.0, 0.2)
        gone = sorted(door.ids(kind) - {projection.id for projection in listed})
        door.apply(kind, sorted(listed, key=lambda projection: projection.id), gone)
        door.listed(kind)
        while not door.over.is_set():
            self.scheduler.pause(0.02, 0.6)
            if self.draw.random() < self.watch_rate / 10:
                return  # the watch broke: what happens now is seen by the next list
            now = len(self.cluster.log)
            for of, id_, obj in self.cluster.log[seen:now]:
                if of == kind:
                    door.apply(
                        kind,
                        [] if obj is None else [self.cluster.kinds[kind].project(obj)],
                        [id_] if obj is None else [],
                    )
            seen = self._seen[kind] = now

    # -- what must hold at every step ------------------------------------------------------------------------------

    def _check(self) -> None:
        self.checks += 1
        self._one_holder()
        if self.checks % 25 == 0:
            wrong = self._sets_script(keys=[self._state.prefix])
            assert not wrong, wrong

    def _one_holder(self) -> None:
        """No two claims of a key are good for writing, as long as Redis was the same all the time."""
        holders: dict[str, str] = {}
        for process in self.workers:
            for key, claim in process.worker.keeper._claims.items():
                if claim.token not in self._tokens:
                    self._tokens[claim.token] = (process, claim, self.redis.life)
                same_life = self._tokens[claim.token][2] == self.redis.life
                if same_life and not claim.finishing and claim.may_write(LEASE):
                    assert key not in holders, f"{key} is held by {holders[key]} and by {process.name}"
                    holders[key] = process.name

    # -- looking from outside ----------------------------------------------------------------------------------

    def quiet(self) -> bool:
        """Nothing to do but the next census."""
        client, key = self.redis.client, self._state.key
        unseen = {kind for kind in self.cluster.kinds if self._seen.get(kind) != len(self.cluster.log)}
        if unseen or any(client.zcard(key(name)) for name in ("ready:0", "ready:1", "claims")):
            return False
        meta = client.hmget(key("meta"), "mirror_complete", "ledger_complete")
        return meta == ["1", "1"] and set(client.zrange(key("later"), 0, -1)) <= {"resync"}

    def census(self) -> None:
        """Asks for a census now."""
        self._state.script("mark", "wake", "0", "asked for", "resync")

    def describe(self) -> str:
        """What is still to be done, for a failure's message."""
        client, key = self.redis.client, self._state.key
        names = ("ready:0", "ready:1", "claims", "later")
        sets = {name: client.zrange(key(name), 0, -1, withscores=True) for name in names}
        return f"{sets} {client.hgetall(key('meta'))} failures {client.hgetall(key('failures'))}"


@contextlib.contextmanager
def virtual_time(scheduler: Scheduler, seed: int) -> Iterator[None]:
    """Clock, sleep and chance are the scheduler's while the block runs."""
    random.seed(seed)
    with (
        mock.patch("time.monotonic", scheduler.time),
        mock.patch("time.time", scheduler.time),
        mock.patch("time.time_ns", scheduler.time_ns),
        mock.patch("time.sleep", scheduler.sleep),
        mock.patch("uuid.uuid4", seeded_uuids(random.Random(seed))),
    ):
        yield
