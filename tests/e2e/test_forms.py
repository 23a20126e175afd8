"""Other forms of a host over real processes: built, reported, changed into while running, and taken away.

Three of them: `tests/workers/test_layouts.py` has every form, and every change from one into another, and `make chaos`
lets Ingresses come and go in each of them (`churn-forms`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import world as cluster
from cli import readback
from cli.wanted import read_cluster, wanted
from shared.settings.model import ShardSize
from shared.state import keys
from tests.e2e.conftest import FOREIGN
from tests.e2e.scene import Scene
from tests.support import wait_for
from workers.model import names

FORMS: dict[str, dict[str, dict[str, Any]]] = {
    "EVH": {"AKOSettings": {"enableEVH": True}},
    "EVH, an address per namespace": {"AKOSettings": {"enableEVH": True, "vipPerNamespace": True}},
    "dedicated": {"L7Settings": {"shardVSSize": "DEDICATED"}},
}
INGRESS = f"/apis/networking.k8s.io/v1/namespaces/{cluster.NAMESPACE}/ingresses"
FIFTH = cluster.host(4)
OWN_TYPES = ("virtualservice", "pool", "poolgroup", "httppolicyset", "vsdatascriptset", "sslkeyandcertificate")


def write(scene: Scene, sections: dict[str, dict[str, Any]]) -> None:
    """Writes the values file anew, as the bench has it but for these sections."""
    values = cluster.values(leaseTTL=3)
    for name, changes in sections.items():
        values[name] = {**values.get(name, {}), **changes}
    Path(scene.stack.environ["AKO_VALUES"]).write_text(yaml.safe_dump(values))


def wrong(scene: Scene) -> list[str]:
    """What is not on the controller as Kubernetes and the settings promise it, read by an independent client."""
    settings = scene.stack.settings
    avi = scene.stack.avi_client()
    try:
        found = readback.missing(
            readback.read(avi, settings), wanted(read_cluster(scene.kube, settings), settings), settings
        )
    finally:
        avi.close()
    return [str(each) for each in found]


def settled(scene: Scene) -> None:
    """Waits until the settings of the file are in force, everything promised stands, and nothing is left to do."""
    digest = scene.stack.settings.digest()

    def done() -> bool:
        meta = scene.state.fields("meta", ["digest", "ledger_complete"])
        # A census marks what it found after it is complete; until then the form of before still serves everybody.
        under_way = scene.state.client.zscore(scene.state.key("claims"), keys.RESYNC) is not None
        return meta == [digest, "1"] and not under_way and scene.quiet() and not wrong(scene)

    wait_for(done, seconds=60, what="everything that is promised")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The processes of all these tests, beside objects of others, over a cluster without hosts."""
    values = cluster.values(leaseTTL=3)
    with Scene(tmp_path_factory.mktemp("forms"), values, foreign=FOREIGN, watcher=False) as made:
        # Else a census would hold so great a change until another one, a minute later, says the same.
        made.stack.start_watcher("--allow-mass-delete")
        made.load(cluster.base())
        yield made


@pytest.fixture
def scene(running: Scene) -> Iterator[Scene]:
    """Four hosts in the shared SNI form; at the end the processes and the objects of others are those of before."""
    write(running, {})
    running.load(cluster.world(4))
    settled(running)
    foreign, pids = running.foreign(), running.pids()
    assert len(foreign) >= FOREIGN
    yield running
    assert running.foreign() == foreign
    assert running.pids() == pids


def ours(scene: Scene, *types: str) -> dict[str, set[str]]:
    return {type_: set(scene.ours(type_)) for type_ in (*OWN_TYPES, *types)}


def run_again(scene: Scene) -> None:
    """Lets every key run once more: nothing is written."""
    scene.forget_audit()
    scene.work().mark(scene.all_keys(), "change", "run again")
    wait_for(scene.quiet, what="quiet")
    assert scene.writes() == []


@pytest.mark.parametrize("form", FORMS)
def test_a_site_changes_its_form_and_back(form: str, scene: Scene) -> None:
    """Hosts change from shared SNI to the form while running, go, come and change back; nothing is left over.

    When every Ingress is gone, only the vsvips of shared parents are there.
    """
    before = ours(scene, "vsvip")
    write(scene, FORMS[form])
    settled(scene)
    if form == "without pool groups":
        assert all("--Shared-" in name for name in scene.ours("poolgroup"))
    else:
        assert not any(obj.get("vh_domain_name") for obj in scene.ours("virtualservice").values())
        assert scene.ours("vsdatascriptset") == {}
    scene.load([cluster.endpoint_slice(0, change=3), *cluster.objects_of(4)])
    settled(scene)
    run_again(scene)
    shared = {name for name in scene.ours("vsvip") if "--Shared-" in name}
    for number in range(5):
        scene.kube.delete(f"{INGRESS}/i{number:05d}")
    for type_ in OWN_TYPES:
        wait_for(lambda type_=type_: not scene.ours(type_), seconds=30, what=f"the end of every {type_}")  # type: ignore[misc]
    wait_for(scene.quiet, what="quiet")
    assert set(scene.ours("vsvip")) == shared
    scene.load(cluster.world(4))
    settled(scene)
    write(scene, {})
    settled(scene)
    after = ours(scene, "vsvip")
    # The parents without pool groups are those of SNI: the fifth host's keeps its vsvip.
    fifth = names.Parent.of_shard(False, names.shard_number(FIFTH, ShardSize.LARGE)).name("bench--")
    if form == "without pool groups":
        assert after["vsvip"] - before["vsvip"] <= {fifth}
        after["vsvip"] &= before["vsvip"]
    assert after == before


def passed_through(number: int, on: str) -> dict[str, Any]:
    """The Ingress of a host, with or without the annotation that passes its TLS through."""
    (found,) = [each for each in cluster.objects_of(number) if each["kind"] == "Ingress"]
    found["metadata"].setdefault("annotations", {})["passthrough.ako.vmware.com/enabled"] = on
    return found


@pytest.mark.parametrize("evh", [False, True])
def test_tls_is_passed_through_and_no_longer(evh: bool, scene: Scene) -> None:
    """A TLS host and a plain one move to passthrough, to a parent for each, and back; then all is as before."""
    base = {"AKOSettings": {"enableEVH": evh}}
    write(scene, base)
    settled(scene)
    before = ours(scene)
    scene.load([passed_through(number, "true") for number in (0, 1)])
    settled(scene)
    assert {"bench--Shared-Passthrough-0", "bench--Shared-Passthrough-0-insecure"} <= set(scene.ours("virtualservice"))
    run_again(scene)
    write(scene, {**base, "L7Settings": {"passthroughShardSize": "DEDICATED"}})
    settled(scene)
    parents = [name for name in scene.ours("vsvip") if "--Shared-Passthrough-" in name]
    assert len(parents) == 2
    write(scene, base)
    scene.load([passed_through(number, "false") for number in (0, 1)])
    settled(scene)
    wait_for(lambda: ours(scene) == before, what="the objects of before")
