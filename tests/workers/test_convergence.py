"""The pure core as a whole: model and plan of every key over one controller, without Redis, HTTP or time.

Any cluster after any other one, in any form, with the keys run in any order, comes to rest where a computation without
history would be, and nothing dangles on the way (the controller here refuses that). History counts in three places: the
vsvips of empty parents stay, so does what serves a host without TLS while the Secret that it moves to is missing, and
so does the VIP of a Service that asks for an address that can't be had.
"""

from __future__ import annotations

import operator
import random
from typing import Any

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from shared.projection import DEFAULT_CERTIFICATE, DEFAULT_SECRET, DEFAULT_TLS_ANNOTATION
from shared.settings.model import Settings
from tests import pems
from tests.workers.model.service_worlds import GATES, SERVICES
from tests.workers.model.test_model_layout import CHOICES
from tests.workers.model.world import (
    AVI_CLASS,
    PASSTHROUGH,
    World,
    endpoint_slice,
    ingress,
    secret,
    service,
    settings,
)
from tests.workers.pure_controller import PureController
from workers import owned
from workers.model.layout import layout_of
from workers.model.owners import Owners
from workers.model.services import standing_vip
from workers.model.types import Desired, split_object_id
from workers.plan import ChangeVip, Create, Delete, Entry, View, plan

ROUNDS = 12


class Core:
    """A controller and the ledger of all keys."""

    def __init__(self) -> None:
        self.controller = PureController()
        self.ledger: dict[str, Entry] = {}

    def settle(self, world: World, seed: int) -> None:
        """Runs every key, in a new order each time, until nothing is written; fails when that doesn't come about."""
        shuffled = random.Random(seed)
        for _ in range(ROUNDS):
            before = len(self.controller.writes)
            keys = {f"host:{host}" for host in world.hosts()} | {entry.owner for entry in self.ledger.values()}
            keys |= {DEFAULT_CERTIFICATE} | {shard for host in world.hosts() for shard in world.host(host).shards}
            keys |= set(world.service_keys())
            for key in shuffled.sample(sorted(keys), len(keys)):
                self.run(key, world)
            if len(self.controller.writes) == before:
                return
        raise AssertionError("the keys keep writing")

    def run(self, key: str, world: World) -> None:
        """One run of a key."""
        world.standing = set(self.ledger)
        vips = {id_: standing_vip(entry.owned) for id_, entry in self.ledger.items() if id_.startswith("vsvip/")}
        world.vips = {id_: vip for id_, vip in vips.items() if vip is not None}
        desired = computed(key, world)
        made = plan(desired, self.view(key, desired))
        assert made.problems == ()
        for operation in made.operations:
            type_, tenant, _ = split_object_id(operation.id)
            if isinstance(operation, Delete):
                self.controller.delete(operation.id)
                del self.ledger[operation.id]
                continue
            if isinstance(operation, Create):
                read = self.controller.post(type_, tenant, operation.object.body)
            else:
                vip = isinstance(operation, ChangeVip)
                there = self.controller.objects[operation.id]
                body = owned.overlay(type_, there, operation.object.body, vip=vip)
                read = self.controller.put(operation.id, body)
            references = tuple(f"{kind}/{tenant}/{name}" for kind, name in owned.references(type_, read))
            entry = Entry(
                operation.id, key, read["uuid"], read["_last_modified"], owned.extract(type_, read), references
            )
            self.ledger[operation.id] = entry

    def view(self, key: str, desired: Desired) -> View:
        """What the plan of a key may know."""
        own = {id_: entry for id_, entry in self.ledger.items() if entry.owner == key}
        ids = {id_ for each in desired.objects for id_ in (each.id, *each.requires)} - own.keys()
        others = {id_: (self.ledger[id_].owner, True) if id_ in self.ledger else ("", False) for id_ in ids}
        referrers = {id_: frozenset(each.id for each in self.ledger.values() if id_ in each.references) for id_ in own}
        return View(own, others, referrers)


def computed(key: str, world: World) -> Desired:
    """What a key wants."""
    kind, _, rest = key.partition(":")
    if kind == "certificate":
        return world.certificates()
    if kind in ("lb", "lbshared"):
        return world.services(key)
    return world.host(rest) if kind == "host" else world.shard(key)


HOSTS = ["", "one.red.avi.internal", "foo.example.com", "bar.example.com", "baz.example.com", "*.example.com"]
INGRESSES = st.lists(
    st.builds(
        ingress,
        st.sampled_from(["one", "two", "three"]),
        host=st.sampled_from(HOSTS),
        paths=st.lists(st.sampled_from(["/", "/a", "/a/b", "/a_b", ""]), min_size=1, max_size=3),
        tls=st.sampled_from([None, "foo-tls", "two-tls", "missing"]),
        namespace=st.sampled_from(["red", "blue"]),
        created=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
        annotations=st.sampled_from([None, None, PASSTHROUGH, {DEFAULT_TLS_ANNOTATION: "true"}]),
        defaultBackend=st.sampled_from([None, {"service": {"name": "web", "port": {"number": 80}}}]),
    ),
    max_size=4,
)
TWO = pems.two()


FORMS = st.builds(
    lambda form, strict, paths: {**form, "strict_hosts": strict and form.get("evh", False), "kubernetes_paths": paths},
    st.sampled_from(CHOICES),
    st.booleans(),
    st.booleans(),
)
DEFAULT = st.sampled_from([[], [secret(DEFAULT_SECRET, namespace="avi-system")]])
STEPS = st.lists(st.tuples(FORMS, st.builds(operator.add, INGRESSES, DEFAULT), SERVICES), min_size=1, max_size=3)


def world(chosen: Settings, manifests: list[Any]) -> World:
    made = World(chosen).apply(AVI_CLASS, service(), endpoint_slice(["10.244.1.1"]))
    for namespace in ("red", "blue"):
        made.apply(secret(namespace=namespace), secret("two-tls", namespace=namespace, **TWO))
    return made.apply(*manifests)


def waiting(made: World) -> set[str]:
    """What serves hosts without TLS until there is a certificate: their plain pools and all of their shards."""
    hosts = [made.host(host) for host in made.hosts()]
    lone = [each for each in hosts if {wanted.type for wanted in each.objects} == {"pool"}]
    shards = [made.shard(key) for each in lone for key in each.shards]
    return {wanted.id for each in (*lone, *shards) for wanted in each.objects}


def lacking(made: World) -> set[str]:
    """What is wanted for Services that get an address of their choice, or nothing, by what stands already."""
    answers = [made.services(key) for key in made.service_keys()]
    lacks = [each for each in answers if any(problem.reason == "PreferredAddress" for problem in each.problems)]
    return {wanted.id for each in lacks for wanted in each.objects}


@examples(deadline=None, max_examples=200)
@given(steps=STEPS, gates=GATES, seed=st.integers())
def test_any_cluster_in_any_form_comes_to_rest(
    steps: list[tuple[dict[str, Any], list[Any], list[Any]]], gates: frozenset[str], seed: int
) -> None:
    """What stands is what is wanted and the kept vsvips, every object is owned by who made it, and nothing dangles."""
    core = Core()
    for changes, ingresses, services in [*steps, (steps[-1][0], [], [])]:
        manifests = [*ingresses, *services]
        chosen = settings(**changes, gates=gates)
        made = world(chosen, manifests)
        core.settle(made, seed)
        wanted = {each.id for each in world(chosen, manifests).everything()[0]}
        kept = core.ledger.keys() - wanted - waiting(made) - lacking(made)
        assert wanted <= core.ledger.keys()
        assert all(id_.startswith("vsvip/") and layout_of(chosen).keeps(split_object_id(id_)[2]) for id_ in kept)
        owners = Owners(chosen, made.service_keys(), [])
        for id_, entry in sorted(core.ledger.items(), key=lambda pair: pair[0].startswith("vsvip/")):
            type_, obj = id_.partition("/")[0], core.controller.objects[id_]
            assert (owners.of(type_, obj) or owners.late(obj)) == entry.owner
