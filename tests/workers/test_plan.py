"""The plan: each row of its truth table, and what holds for any two worlds."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.model.world import golden_bodies, golden_world
from tests.workers.pure_controller import PureController
from workers import owned
from workers.model.types import AviObject, Desired
from workers.plan import ChangeVip, Create, Delete, Entry, Plan, Update, View, Wait, by_rank, plan

KEY = "host:foo.com"
SHARD = "shard:admin/shared"
PARENT = "virtualservice/admin/shared"


def obj(type_: str, name: str, requires: dict[str, str] | None = None, **body: Any) -> AviObject:
    return AviObject(type_, "admin", name, {"name": name, **body}, requires or {})


def pool(name: str, sni: bool = False) -> AviObject:
    return obj("pool", name, sni_enabled=sni)


def group(name: str, *pools: str) -> AviObject:
    return obj("poolgroup", name, members=[{"pool_ref": f"/api/pool?name={each}", "ratio": 100} for each in pools])


def policy(name: str, target: str) -> AviObject:
    action = {"action": "HTTP_SWITCHING_SELECT_POOLGROUP", "pool_group_ref": f"/api/poolgroup/?name={target}"}
    return obj("httppolicyset", name, http_request_policy={"rules": [{"name": name, "switching_action": action}]})


def child(name: str, *policies: str, certificates: tuple[str, ...] = ()) -> AviObject:
    return obj(
        "virtualservice",
        name,
        {PARENT: SHARD},
        vh_parent_vs_ref="/api/virtualservice/?name=shared",
        http_policies=[
            {"index": 11 + number, "http_policy_set_ref": f"/api/httppolicyset/?name={each}"}
            for number, each in enumerate(policies)
        ],
        ssl_key_and_certificate_refs=[f"/api/sslkeyandcertificate/?name={each}" for each in certificates],
    )


def vsvip(name: str, *fqdns: str, network: str = "net1") -> AviObject:
    place = {"network_ref": f"/api/network/?name={network}"}
    vip = [{"vip_id": "0", "auto_allocate_ip": True, "ipam_network_subnet": place}]
    return obj("vsvip", name, dns_info=[{"fqdn": each} for each in fqdns], vip=vip)


class World:
    """A controller, and the ledger that one key has of it."""

    def __init__(self, *objects: AviObject, parent: bool = True) -> None:
        self.controller = PureController()
        self.ledger: dict[str, Entry] = {}
        self.foreign: dict[str, frozenset[str]] = {}
        self.others: dict[str, tuple[str, bool]] = {PARENT: (SHARD, parent)}
        if parent:
            self.controller.post("virtualservice", "admin", {"name": "shared"})
        for each in objects:
            self.note(each.id, self.controller.post(each.type, "admin", each.body))

    def note(self, id_: str, read: dict[str, Any]) -> None:
        type_ = id_.partition("/")[0]
        refers = tuple(f"{kind}/admin/{name}" for kind, name in owned.references(type_, read))
        extract = json.loads(json.dumps(owned.extract(type_, read)))
        self.ledger[id_] = Entry(id_, KEY, read["uuid"], read["_last_modified"], extract, refers)

    def held_by(self, id_: str, holder: AviObject, owner: str) -> None:
        """An object of another key that refers to one of ours."""
        self.controller.post(holder.type, "admin", holder.body)
        self.foreign[id_] = frozenset({holder.id})
        self.others[holder.id] = (owner, True)

    def doubt(self, id_: str) -> None:
        self.ledger[id_] = replace(self.ledger[id_], intent="create")

    @property
    def view(self) -> View:
        referrers = dict(self.foreign)
        for entry in self.ledger.values():
            for id_ in entry.references:
                referrers[id_] = referrers.get(id_, frozenset()) | {entry.id}
        return View(self.ledger, self.others, {id_: referrers[id_] for id_ in self.ledger if id_ in referrers})

    def plan(self, *objects: AviObject) -> Plan:
        return plan(Desired(objects), self.view)

    def apply(self, made: Plan, fails: frozenset[int] = frozenset()) -> None:
        """Runs the operations in order; those whose number is in `fails` fail, and what depends on them is left out."""
        failed: set[str] = set()
        for number, operation in enumerate(made.operations):
            if number in fails or failed & set(operation.depends):
                failed.add(operation.id)
            elif isinstance(operation, Delete):
                self.controller.delete(operation.id)
                del self.ledger[operation.id]
            elif isinstance(operation, Create):
                self.note(operation.id, self.controller.post(operation.object.type, "admin", operation.object.body))
            else:
                there = self.controller.objects[operation.id]
                vip = isinstance(operation, ChangeVip)
                body = owned.overlay(operation.object.type, there, operation.object.body, vip=vip)
                self.note(operation.id, self.controller.put(operation.id, body))


def steps(made: Plan) -> list[tuple[str, str]]:
    names = {Create: "create", Update: "update", ChangeVip: "change-vip", Delete: "delete"}
    return [(names[type(operation)], operation.id) for operation in made.operations]


def test_wanted_and_unknown_is_created() -> None:
    """Expects a create of what nobody has."""
    made = World().plan(pool("p"))
    assert steps(made) == [("create", "pool/admin/p")]
    assert made.waits == made.problems == ()


def test_wanted_and_another_keys_is_left_out() -> None:
    """Expects a problem that names the owner, no operation, and a wait of what refers to the name."""
    world = World()
    world.others["pool/admin/p"] = ("host:bar.com", True)
    made = world.plan(pool("p"), pool("q"), group("g", "p"), group("h", "q"))
    assert steps(made) == [("create", "pool/admin/q"), ("create", "poolgroup/admin/h")]
    assert [(problem.reason, "host:bar.com" in problem.message) for problem in made.problems] == [("NameTaken", True)]
    assert made.waits == (Wait("poolgroup/admin/g", "pool/admin/p", "stands"),)


def test_an_entry_of_ours_is_ours_although_others_know_it() -> None:
    """Expects no problem for an own object that is also among the ids asked about."""
    world = World(pool("p"))
    world.others["pool/admin/p"] = (KEY, True)
    assert world.plan(pool("p")) == Plan()


def test_wanted_and_equal_is_left_alone() -> None:
    """Expects an empty plan for a world that is as it should be, and no wait for a parent that nobody needs now."""
    objects = (pool("p"), group("g", "p"), policy("h", "g"), child("v", "h"))
    world = World(*objects)
    world.others[PARENT] = (SHARD, False)
    assert world.plan(*objects) == Plan()


def test_wanted_and_different_is_updated() -> None:
    """Expects an update that names the fields."""
    made = World(pool("p")).plan(pool("p", sni=True))
    assert steps(made) == [("update", "pool/admin/p")]
    assert isinstance(made.operations[0], Update)
    assert made.operations[0].fields == ("sni_enabled",)


def test_a_change_of_the_vip_is_an_operation_of_its_own() -> None:
    """Expects dns_info and VIP of one vsvip in two operations that do not depend on each other."""
    world = World(vsvip("x", "a.com"))
    made = world.plan(vsvip("x", "a.com", "b.com", network="net2"))
    assert steps(made) == [("update", "vsvip/admin/x"), ("change-vip", "vsvip/admin/x")]
    assert [operation.fields for operation in made.operations] == [("dns_info",), ("vip",)]
    assert [operation.depends for operation in made.operations] == [(), ()]
    assert steps(world.plan(vsvip("x", "a.com", network="net2"))) == [("change-vip", "vsvip/admin/x")]
    world.apply(made)
    assert world.plan(vsvip("x", "a.com", "b.com", network="net2")) == Plan()


@pytest.mark.parametrize(("wanted", "reason"), [((pool("p"),), "stands"), ((), "gone")])
def test_an_uncertain_object_is_waited_for(wanted: tuple[AviObject, ...], reason: str) -> None:
    """Expects neither a create nor a delete of an object whose presence is not known."""
    world = World(pool("p"))
    world.doubt("pool/admin/p")
    made = world.plan(*wanted)
    assert made.operations == ()
    assert made.waits == (Wait("pool/admin/p", "pool/admin/p", reason),)


def test_what_refers_to_an_uncertain_object_waits_too() -> None:
    """Expects a chain of waits above an uncertain object, and the rest to go on."""
    world = World(pool("p"))
    world.doubt("pool/admin/p")
    made = world.plan(pool("p"), group("g", "p"), policy("h", "g"), pool("q"))
    assert steps(made) == [("create", "pool/admin/q")]
    assert [(wait.id, wait.on) for wait in made.waits] == [
        ("pool/admin/p", "pool/admin/p"),
        ("poolgroup/admin/g", "pool/admin/p"),
        ("httppolicyset/admin/h", "poolgroup/admin/g"),
    ]


def test_a_missing_object_of_another_key_is_waited_for_and_asked_for() -> None:
    """Expects only the child to wait for its parent, with the parent's key to mark."""
    world = World(parent=False)
    objects = (pool("p"), group("g", "p"), policy("h", "g"), child("v", "h"))
    made = world.plan(*objects)
    assert [name for name, _ in steps(made)] == ["create"] * 3
    assert made.waits == (Wait("virtualservice/admin/v", PARENT, "stands", SHARD),)
    del world.others[PARENT]
    assert world.plan(*objects).waits == made.waits


def test_an_update_waits_for_what_it_requires() -> None:
    """Expects an update of a child whose parent does not stand to wait, not only a create."""
    world = World(child("v"))
    world.others[PARENT] = (SHARD, False)
    made = world.plan(replace(child("v"), body={**child("v").body, "enable_rhi": True}))
    assert made.operations == ()
    assert made.waits == (Wait("virtualservice/admin/v", PARENT, "stands", SHARD),)


def test_names_that_nobody_makes_are_not_waited_for() -> None:
    """Expects a reference to an unknown object of a type of ours to be the controller's to judge."""
    made = World().plan(group("g", "users-own-pool"))
    assert steps(made) == [("create", "poolgroup/admin/g")]
    assert made.waits == ()


def test_references_come_first_and_are_depended_on() -> None:
    """Expects creates from the pool up, whatever the order of the model, each depending on what it refers to."""
    objects = [child("v", "h"), policy("h", "g"), group("g", "p2", "p1"), pool("p2"), pool("p1")]
    made = World().plan(*objects)
    assert [id_ for _, id_ in steps(made)] == [
        "pool/admin/p1",
        "pool/admin/p2",
        "poolgroup/admin/g",
        "httppolicyset/admin/h",
        "virtualservice/admin/v",
    ]
    assert made.operations[2].depends == ("pool/admin/p1", "pool/admin/p2")
    assert made.operations[4].depends == ("httppolicyset/admin/h",)


def test_a_parent_of_the_same_key_comes_before_its_child() -> None:
    """Expects references to order two objects of one type against the order of their names."""
    parent = obj("virtualservice", "zz", type="VS_TYPE_VH_PARENT")
    inner = obj("virtualservice", "aa", vh_parent_vs_ref="/api/virtualservice/?name=zz")
    world = World()
    made = world.plan(inner, parent)
    assert [id_ for _, id_ in steps(made)] == ["virtualservice/admin/zz", "virtualservice/admin/aa"]
    world.apply(made)
    gone = world.plan()
    assert [id_ for _, id_ in steps(gone)] == ["virtualservice/admin/aa", "virtualservice/admin/zz"]


def test_unwanted_and_free_is_deleted_referrers_first() -> None:
    """Expects deletes last and from the top down, each depending on its referrer's."""
    world = World(pool("p"), group("g", "p"), policy("h", "g"), child("v", "h"))
    made = world.plan(pool("q"))
    assert steps(made) == [
        ("create", "pool/admin/q"),
        ("delete", "virtualservice/admin/v"),
        ("delete", "httppolicyset/admin/h"),
        ("delete", "poolgroup/admin/g"),
        ("delete", "pool/admin/p"),
    ]
    assert made.operations[-1].depends == ("poolgroup/admin/g",)


def test_an_update_that_drops_a_reference_comes_before_the_delete() -> None:
    """Expects the group to let the old pool go, in favour of the new one, before the old one is deleted."""
    world = World(pool("old"), group("g", "old"))
    made = world.plan(pool("new"), group("g", "new"))
    assert steps(made) == [
        ("create", "pool/admin/new"),
        ("update", "poolgroup/admin/g"),
        ("delete", "pool/admin/old"),
    ]
    assert made.operations[2].depends == ("poolgroup/admin/g",)


def test_a_delete_waits_for_a_referrer_of_another_key() -> None:
    """Expects the pool that a shared group still holds to stay, and the group's key to be asked."""
    world = World(pool("p"), pool("q"))
    world.held_by("pool/admin/p", group("shared", "p"), SHARD)
    made = world.plan()
    assert steps(made) == [("delete", "pool/admin/q")]
    assert made.waits == (Wait("pool/admin/p", "poolgroup/admin/shared", "gone", SHARD),)


def test_a_delete_waits_for_a_referrer_whose_update_waits() -> None:
    """Expects nothing to be taken from under an object whose update cannot happen yet."""
    world = World(pool("p"), group("g", "p"), policy("h", "g"), child("v", "h"))
    world.others[PARENT] = (SHARD, False)
    made = world.plan(child("v"))
    assert made.operations == ()
    assert [(wait.id, wait.on, wait.reason) for wait in made.waits] == [
        ("virtualservice/admin/v", PARENT, "stands"),
        ("httppolicyset/admin/h", "virtualservice/admin/v", "gone"),
        ("poolgroup/admin/g", "httppolicyset/admin/h", "gone"),
        ("pool/admin/p", "poolgroup/admin/g", "gone"),
    ]


def test_what_a_wanted_object_refers_to_is_not_deleted() -> None:
    """Expects an unwanted pool to stay while a wanted group, new or standing, refers to it."""
    for world in (World(pool("p")), World(pool("p"), group("g", "p"))):
        made = world.plan(group("g", "p"))
        assert ("delete", "pool/admin/p") not in steps(made)
        assert made.waits == (Wait("pool/admin/p", "poolgroup/admin/g", "gone"),)


def test_two_contents_of_one_name_are_one_object_and_a_problem() -> None:
    """Expects one of two equal names to be made, the same whatever the order, and a problem."""
    one, other = pool("p"), pool("p", sni=True)
    made = World().plan(one, other)
    assert made == World().plan(other, one)
    assert steps(made) == [("create", "pool/admin/p")]
    assert [problem.reason for problem in made.problems] == ["NameTaken"]
    assert World().plan(one, one).problems == ()


def test_names_may_hold_slashes() -> None:
    """Expects a name with a slash and a number sign to be found again behind its reference."""
    name = "c1--red-foo.com_a/b#c-ing"
    escaped = name.replace("#", "%23")
    made = World().plan(obj("poolgroup", "g", members=[{"pool_ref": f"/api/pool/?name={escaped}"}]), pool(name))
    assert [id_ for _, id_ in steps(made)] == [f"pool/admin/{name}", "poolgroup/admin/g"]


def test_a_plan_is_plain_data() -> None:
    """Expects a plan with every kind of operation to survive JSON and to name values, uuids and reasons."""
    world = World(pool("p"), pool("q"), vsvip("x", "a.com"))
    world.held_by("pool/admin/q", group("shared", "q"), SHARD)
    made = world.plan(pool("r"), vsvip("x", "b.com", network="net2"), child("v"))
    printed = json.loads(json.dumps(made.to_dict()))
    kinds = [operation["operation"] for operation in printed["operations"]]
    assert kinds == ["update", "change-vip", "create", "create", "delete"]
    assert printed["operations"][0]["wanted"] == {"dns_info": [{"fqdn": "b.com"}]}
    assert printed["operations"][4]["uuid"] == world.ledger["pool/admin/p"].uuid
    assert printed["waits"] == [
        {"id": "pool/admin/q", "on": "poolgroup/admin/shared", "reason": "gone", "need": SHARD},
    ]


def test_ranks_cover_every_type_that_we_make() -> None:
    """Expects that no table's type is missing from the order."""
    ids = [f"{type_}/admin/x" for type_ in owned.TABLES]
    assert by_rank([*ids, "unknown/admin/x"])[-1] == "unknown/admin/x"
    assert by_rank(ids)[-1] == "virtualservice/admin/x"


@st.composite
def desired_objects(draw: st.DrawFn) -> list[AviObject]:
    """A consistent set of objects of one host: references only to what is in it, or to the parent."""
    certificates = draw(st.sets(st.sampled_from(["c0", "c1"])))
    pools = draw(st.sets(st.sampled_from(["p0", "p1", "p2", "p3"])))
    objects = [obj("sslkeyandcertificate", each, created_by="ako-c1") for each in sorted(certificates)]
    objects += [pool(each, draw(st.booleans())) for each in sorted(pools)]
    groups = {
        name: sorted(draw(st.sets(st.sampled_from(sorted(pools))))) if pools else []
        for name in sorted(draw(st.sets(st.sampled_from(["g0", "g1"]))))
    }
    objects += [group(name, *members) for name, members in groups.items()]
    policies = {
        name: draw(st.sampled_from(sorted(groups)))
        for name in sorted(draw(st.sets(st.sampled_from(["h0", "h1"]))))
        if groups
    }
    objects += [policy(name, target) for name, target in policies.items()]
    for name in sorted(draw(st.sets(st.sampled_from(["v0", "v1"])))):
        held = sorted(draw(st.sets(st.sampled_from(sorted(policies))))) if policies else []
        shown = sorted(draw(st.sets(st.sampled_from(sorted(certificates))))) if certificates else []
        objects.append(child(name, *held, certificates=tuple(shown)))
    if draw(st.booleans()):
        network = draw(st.sampled_from(["net1", "net2"]))
        objects.append(vsvip("x", *draw(st.sets(st.sampled_from(["a", "b"]))), network=network))
    return objects


@given(st.lists(desired_objects(), min_size=1, max_size=4), st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_second_plan_over_the_applied_world_is_empty(worlds: list[list[AviObject]], parent: bool) -> None:
    """Expects any sequence of worlds to be reached without a dangling reference at any step, each in one plan."""
    world = World(parent=parent)
    for objects in worlds:
        world.apply(world.plan(*objects))
        again = world.plan(*objects)
        assert again.operations == ()
        assert all(wait.on == PARENT or wait.reason == "stands" for wait in again.waits)
    wanted = {each.id for each in worlds[-1] if parent or each.type != "virtualservice"}
    assert set(world.ledger) == wanted


@given(desired_objects(), desired_objects(), st.integers())
@settings(max_examples=100, deadline=None)
def test_the_order_of_the_model_means_nothing(before: list[AviObject], after: list[AviObject], seed: int) -> None:
    """Expects the same plan for any order of the wanted objects and of the ledger's entries."""
    world = World()
    world.apply(world.plan(*before))
    first = world.plan(*after)
    shuffled = random.Random(seed).sample(after, len(after))
    world.ledger = dict(random.Random(seed).sample(sorted(world.ledger.items()), len(world.ledger)))
    assert world.plan(*shuffled) == first


@given(desired_objects(), desired_objects(), st.sets(st.integers(0, 12)))
@settings(max_examples=150, deadline=None)
def test_a_failed_operation_leaves_nothing_dangling(
    before: list[AviObject], after: list[AviObject], fails: set[int]
) -> None:
    """Expects that leaving out what depends on a failure keeps every reference whole, and the next plan to finish."""
    world = World()
    world.apply(world.plan(*before))
    world.apply(world.plan(*after), frozenset(fails))
    world.apply(world.plan(*after))
    assert world.plan(*after) == Plan()


@pytest.mark.parametrize("case", ["01-insecure-v4-sni", "02-secure-sni", "03-dual-vip", "05-v6-calico", "08-evh"])
def test_what_ako_made_is_taken_over_without_a_write(case: str) -> None:
    """Expects an empty plan for the model's objects over a controller that holds what AKO sent for the same cluster."""
    world = World(parent=False)
    sent = golden_bodies(case)
    bodies = {f"{type_}/admin/{name}": body for (type_, name), body in sent.items() if type_ in owned.TABLES}
    for id_ in sorted(by_rank(bodies), key=lambda each: "vh_parent_vs_ref" in bodies[each]):
        world.note(id_, world.controller.post(id_.partition("/")[0], "admin", bodies[id_]))
    objects, _, _ = golden_world(case).everything()
    assert {each.id for each in objects} == set(world.ledger)
    assert world.plan(*objects) == Plan()


def test_a_kept_object_is_neither_written_nor_deleted_nor_made() -> None:
    """Whatever it holds; what refers to one that does not stand waits for it."""
    kept = AviObject("sslkeyandcertificate", "admin", "c", {"name": "c"}, kept=True)
    entry = Entry(kept.id, "host:x", "u", "1", {"certificate": "other"}, ())
    assert plan(Desired((kept,)), View({kept.id: entry}, {}, {})) == Plan()
    service = AviObject(
        "virtualservice",
        "admin",
        "v",
        {"name": "v", "ssl_key_and_certificate_refs": ["/api/sslkeyandcertificate/?name=c"]},
    )
    made = plan(Desired((kept, service)), View({}, {}, {}))
    assert made.operations == ()
    assert [(wait.id, wait.on) for wait in made.waits] == [(service.id, kept.id)]
