"""Redis is gone, comes back with less than it had or with nothing, answers no more, or is replaced by an old copy.

What the cluster wants changes meanwhile, but nothing is taken away: so every DELETE that reaches the controller would
be one that a lost memory has caused.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import redis

from shared.celeryapp import make_app, publish
from shared.errors import StateUnavailable
from shared.state import State
from tests.chaos.figures import Figure, Scale, scenario
from tests.chaos.ground import own_redis
from tests.chaos.site import Site
from tests.proxy import Proxy
from tests.support import wait_for

CUTS = (1, 10, 100, 500)


@scenario("redis-gone", "Redis is killed for a minute and comes back as it was")
def redis_gone(folder: Path, scale: Scale) -> Iterator[Figure]:
    with Site(folder, 20) as site:
        site.rescale(*range(5))
        site.stop_redis()
        site.rescale(*range(10))
        site.add(*range(20, 25))
        time.sleep(scale.of(1, 60))
        site.restart_redis()
        yield from _aftermath(site, time.monotonic(), "the return of Redis")


@scenario("redis-emptied", "Redis forgets everything: FLUSHALL at work, then a restart without its data")
def redis_emptied(folder: Path, scale: Scale) -> Iterator[Figure]:
    times = scale.of(1, 5)
    with Site(folder, 20) as site:
        for turn in range(times):
            before = site.incarnation()
            site.rescale(*range(10))
            site.add(20 + turn)
            site.scene.state.client.flushall()
            began = time.monotonic()
            site.rescale(*range(5, 15))
            site.rebuilt(before, seconds=60)
            yield from _aftermath(site, began, "the flush")
        for turn in range(times):
            before = site.incarnation()
            site.add(40 + turn)
            site.stop_redis()
            site.rescale(*range(10))
            site.restart_redis(empty=True)
            began = time.monotonic()
            site.rebuilt(before, seconds=60)
            yield from _aftermath(site, began, "the restart without data")
        site.stop_redis()
        site.remove(0)
        site.restart_redis(empty=True)
        site.settled(seconds=60)
        yield Figure("orphans of an Ingress that was deleted while Redis was gone", len(site.orphans()), "==", 0)


@scenario("redis-rewound", "Redis is killed and comes back without its last commands")
def redis_rewound(folder: Path, scale: Scale) -> Iterator[Figure]:
    with Site(folder, 20, latency=5) as site:
        for cut in CUTS[2:3] if scale.size == "small" else CUTS * 3:
            before = site.incarnation()
            site.rescale(*range(10))
            site.add(max(site.ingresses) + 1, max(site.ingresses) + 2)
            time.sleep(site.draw.uniform(0, 0.3))
            site.stop_redis()
            site.rescale(*range(5))
            site.restart_redis(without=cut)
            began = time.monotonic()
            site.rebuilt(before, seconds=60)
            yield from _aftermath(site, began, f"the return without {cut} commands")


@scenario("redis-silent", "no byte passes to or from Redis for two minutes, and no connection ends")
def redis_silent(folder: Path, scale: Scale) -> Iterator[Figure]:
    with (
        own_redis(folder / "own") as direct,
        Proxy(_place(direct)) as proxy,
        Site(folder / "site", 20, redis_url=_through(proxy.place, direct)) as site,
    ):
        app = make_app(site.scene.stack.settings)
        publish(app, [], "opens a connection")
        proxy.silence()
        until = time.monotonic() + scale.of(5, 120)
        site.rescale(*range(10))
        site.add(20, 21)
        longest = max(_time_of_publishing(app) for _ in range(scale.of(1, 3)))
        time.sleep(max(0.0, until - time.monotonic()))
        proxy.speak()
        began = time.monotonic()
        site.scene.state = State(direct, site.scene.cluster)
        yield Figure("longest publishing of a message meanwhile", longest, "<=", 5, "s")
        yield from _aftermath(site, began, "the end of the silence", seconds=60)


@scenario("redis-promoted", "a replica that lags behind takes the place of Redis")
def redis_promoted(folder: Path, scale: Scale) -> Iterator[Figure]:
    with (
        own_redis(folder / "first") as first,
        own_redis(folder / "second") as second,
        Proxy(_place(first)) as proxy,
        Proxy(_place(first)) as copying,
        Site(folder / "site", 20, redis_url=_through(proxy.place, first)) as site,
    ):
        primary, replica = redis.Redis.from_url(first), _copy(first, second, copying)
        copying.silence()
        behind = int(primary.info("replication")["master_repl_offset"])
        site.rescale(*range(10))
        site.add(*range(20, 30))
        site.settled(seconds=30)
        behind = int(primary.info("replication")["master_repl_offset"]) - behind
        before = site.incarnation()
        site.rescale(*range(5, 15))
        proxy.target = _place(second)
        proxy.cut()
        replica.replicaof("NO", "ONE")
        began = time.monotonic()
        site.scene.state = State(_through(_place(second), first), site.scene.cluster)
        site.rebuilt(before, seconds=60)
        yield Figure("bytes of commands that the replica lacked", behind, ">=", 1)
        yield from _aftermath(site, began, "the promotion")


def _aftermath(site: Site, began: float, what: str, *, seconds: float = 30) -> Iterator[Figure]:
    """Waits for calm and tells how long it took since `began`, and that nothing was deleted or made twice."""
    site.settled(seconds=120)
    yield Figure(f"from {what} to calm", time.monotonic() - began, "<=", seconds, "s")
    made = Counter((call["path"], call["name"]) for call in site.writes() if call["status"] == 201)
    yield Figure("deletes", site.deletes(), "==", 0)
    yield Figure("objects made twice", sum(count - 1 for count in made.values()), "==", 0)
    yield from site.aftermath()


def _time_of_publishing(app: object) -> float:
    began = time.monotonic()
    try:
        publish(app, [], "while Redis is silent")  # type: ignore[arg-type]
    except StateUnavailable:
        return time.monotonic() - began
    raise AssertionError("a message was published through a link that passes nothing")


def _copy(first: str, second: str, copying: Proxy) -> redis.Redis:
    """Makes the server `second` a copy of `first`, password included, that it reads through `copying`."""
    redis.Redis.from_url(first).config_set("repl-diskless-sync-delay", 0)
    password = str(urlsplit(first).password)
    replica = redis.Redis.from_url(second)
    replica.config_set("masterauth", password)
    replica.config_set("requirepass", password)
    replica = redis.Redis.from_url(_through(_place(second), first))
    replica.replicaof("127.0.0.1", copying.port)
    wait_for(lambda: replica.info("replication")["master_link_status"] == "up", seconds=30, what="the replica's copy")
    return replica


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 0)


def _through(place: tuple[str, int], url: str) -> str:
    """The same URL with another place's port."""
    return url.replace(f":{_place(url)[1]}/", f":{place[1]}/")
