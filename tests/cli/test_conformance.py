"""`ako conformance` against a controller that is as it should be, and against ones with one defect each."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cli import conformance
from cli.conformance import PREFIX, Finding, trial
from cli.conformance_bodies import CHANGES, LISTS, REFERRERS
from shared.avi.client import AviClient
from shared.errors import AkoError
from shared.settings import load
from shared.settings.model import Credentials
from simulator.avi.app import AviSimulator
from simulator.avi.foreign import foreign_objects
from simulator.server import running

PASSWORD = "only-for-this-test"
VIPS = '[{"networkName":"net1","cidr":"10.10.0.0/16","v6cidr":"2001:db8:10::/64"}]'


class Lab:
    """A controller in this process, and a client of it."""

    def __init__(self, simulator: AviSimulator, url: str) -> None:
        self.simulator = simulator
        self.environ = {
            "CLUSTER_NAME": "bench",
            "CTRL_IPADDRESS": url,
            "CTRL_USERNAME": "admin",
            "CTRL_PASSWORD": PASSWORD,
            "VIP_NETWORK_LIST": VIPS,
        }
        self.settings = load(None, self.environ).settings
        self.avi = AviClient(url, Credentials("admin", PASSWORD))

    def dump(self) -> Any:
        return self.simulator.loader.dump(set(), volatile=True)

    def trial(self) -> tuple[dict[str, Finding], list[str]]:
        findings, left = trial(self.avi, self.settings)
        return {finding.probe: finding for finding in findings}, left

    def failed(self) -> set[str]:
        findings, _ = self.trial()
        return {name for name, finding in findings.items() if finding.verdict == "fail"}


@contextmanager
def laboratory() -> Iterator[Lab]:
    simulator = AviSimulator(password=PASSWORD)
    simulator.loader.load(foreign_objects(50))
    with running(simulator.handle) as server:
        made = Lab(simulator, server.url)
        try:
            yield made
        finally:
            made.avi.close()


@pytest.fixture
def lab() -> Iterator[Lab]:
    with laboratory() as made:
        yield made


def test_a_good_controller_passes_and_is_as_before(lab: Lab) -> None:
    """Every probe passes, there is one of each kind for each type, and afterwards not a byte is different."""
    before = lab.dump()
    findings, left = lab.trial()
    assert {finding.verdict for finding in findings.values()} == {"pass"}
    assert left == []
    assert len(findings) == 2 * len(CHANGES) + len(LISTS) + len(REFERRERS) + 2
    assert lab.dump() == before


def test_only_objects_of_its_own_are_written(lab: Lab) -> None:
    """Every write names an object with the random name of this trial, or one that was created under it."""
    lab.trial()
    created = {call["name"] for call in lab.simulator.audit.shown(0) if call["method"] == "POST" and call.get("name")}
    assert len(created) == 1
    (name,) = created
    assert name.startswith(PREFIX)
    puts = [call for call in lab.simulator.audit.shown(0) if call["method"] == "PUT"]
    assert {call["name"] for call in puts} == {name}


# -- defects ---------------------------------------------------------------------------------------------------------


def no_412(simulator: AviSimulator, type_: str) -> None:
    update = simulator.writer.update

    def careless(rest_type: str, uuid: str, body: Any, tenant: str) -> Any:
        if rest_type == type_:
            body = {name: value for name, value in body.items() if name != "_last_modified"}
        return update(rest_type, uuid, body, tenant)

    simulator.writer.update = careless  # type: ignore[method-assign]


def no_409(simulator: AviSimulator, type_: str) -> None:
    create = simulator.writer.create

    def careless(rest_type: str, body: Any, tenant: str) -> Any:
        taken = list(simulator.store.named(rest_type, body["name"]))
        return taken[0] if taken and rest_type == type_ else create(rest_type, body, tenant)

    simulator.writer.create = careless  # type: ignore[method-assign]


def no_reference_check(simulator: AviSimulator, type_: str) -> None:
    referrers = simulator.store.referrers

    def careless(uuid: str) -> Any:
        return [] if simulator.store.records[uuid].type == type_ else referrers(uuid)

    simulator.store.referrers = careless  # type: ignore[method-assign]


def other_order(simulator: AviSimulator, place: str) -> None:
    type_, _, field = place.partition(".")
    ingest = simulator.schema.ingest

    def careless(rest_type: str, *args: Any, **kwargs: Any) -> Any:
        body = ingest(rest_type, *args, **kwargs)
        holder = body.get("http_request_policy", body)
        if rest_type == type_ and holder.get(field):
            holder[field] = sorted(holder[field], key=str)
        return body

    simulator.schema.ingest = careless  # type: ignore[method-assign]


def moving_address(simulator: AviSimulator, _: str) -> None:
    settle = simulator.allocator.settle

    def careless(uuid: str, vrf: str, vips: list[Any], old: list[Any]) -> None:
        for vip in (*vips, *old):
            vip.pop("ip_address", None)
        settle(uuid, vrf, vips, old)

    simulator.allocator.settle = careless  # type: ignore[method-assign]


Defect = Callable[[AviSimulator, str], None]
DEFECTS: list[tuple[Defect, str, str]] = [
    *((no_412, type_, f"412 for an outdated write: {type_}") for type_ in CHANGES),
    *((no_409, type_, f"409 for a name that is taken: {type_}") for type_ in CHANGES),
    *((no_reference_check, type_, f"delete of a {type_} in use by a {user}") for type_, user in REFERRERS.items()),
    *((other_order, f"{type_}.{field}", f"order of {type_}.{field}") for type_, field, _ in LISTS),
    (moving_address, "", "address of a VIP when it is written"),
]


@pytest.mark.parametrize(("defect", "where", "probe"), DEFECTS, ids=[row[2].replace(" ", "-") for row in DEFECTS])
def test_each_defect_is_found_by_its_probe(lab: Lab, defect: Defect, where: str, probe: str) -> None:
    """A controller with one defect fails exactly the probe that is there for it."""
    defect(lab.simulator, where)
    assert lab.failed() == {probe}


# -- what goes wrong meanwhile ---------------------------------------------------------------------------------------


def test_what_cannot_be_created_is_unknown_and_the_rest_is_tried(lab: Lab) -> None:
    """Without the right to create VRFs the probes of that type are unknown, in the controller's words; others pass."""
    lab.simulator.faults.add({"method": "POST", "path": "/api/vrfcontext", "status": 403, "count": -1})
    findings, left = lab.trial()
    unknown = {name for name, finding in findings.items() if finding.verdict == "unknown"}
    assert unknown == {name for name in findings if "vrfcontext" in name}
    assert "made by the simulator" in findings["412 for an outdated write: vrfcontext"].means
    assert left == []


def test_a_create_whose_answer_is_lost_is_cleaned_up(lab: Lab) -> None:
    """The connection is cut after the effect of a POST: the object is found by its name and deleted."""
    before = lab.dump()
    lab.simulator.faults.add({"method": "POST", "path": "/api/pool", "reset": "after", "count": 1})
    findings, left = lab.trial()
    assert "unknown" in {finding.verdict for finding in findings.values()}
    assert left == []
    assert lab.dump() == before


def test_an_interruption_leaves_nothing_behind(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle: what was created is deleted before the command ends."""
    before = lab.dump()

    def interrupt(*_: Any) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(conformance, "_keeps_address", interrupt)
    with pytest.raises(KeyboardInterrupt):
        lab.trial()
    assert lab.dump() == before


def run(lab: Lab, monkeypatch: pytest.MonkeyPatch, *, yes: bool) -> int:
    for name, value in lab.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AKO_VALUES", raising=False)
    return conformance.run(Namespace(yes=yes, values=None))


def test_it_refuses_to_run_without_yes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --yes it says what it would do and calls nobody."""
    with pytest.raises(AkoError, match="--yes"):
        run(lab, monkeypatch, yes=False)
    assert lab.simulator.audit.shown(0) == []


def test_the_table_and_the_exit_code(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line per probe with its meaning, and counts; 0 when nothing fails, 1 with a failing probe; no secret shown."""
    assert run(lab, monkeypatch, yes=True) == 0
    out = capsys.readouterr().out
    assert "31 pass, 0 fail, 0 unknown" in out
    no_412(lab.simulator, "pool")
    assert run(lab, monkeypatch, yes=True) == 1
    out = capsys.readouterr().out
    assert "30 pass, 1 fail, 0 unknown" in out
    (line,) = [line for line in out.splitlines() if "  fail  " in line]
    assert line.startswith("412 for an outdated write: pool ")
    assert "the last writer wins" in line
    assert PASSWORD not in out


def test_what_cannot_be_deleted_is_named(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A delete that is refused is reported with type, name and reason, and makes the exit code 1."""
    lab.simulator.faults.add({"method": "DELETE", "path": "/api/serviceenginegroup", "status": 403, "count": -1})
    assert run(lab, monkeypatch, yes=True) == 1
    out = capsys.readouterr().out
    assert f"please do it by hand: serviceenginegroup {PREFIX}" in out
