"""`ako conformance --yes`: whether a controller does what our guarantees rest on.

That nothing is overwritten, doubled or torn away rests on answers of the controller that no document of ours can
promise: 412 for an outdated write, 409 for a name that is taken, a refusal to delete what others refer to, an address
that stays, lists that keep their order. Each is tried here on objects that this command creates for it, under names
with a random suffix, and takes away again, also when it fails or is interrupted. Nothing else is written, and nothing
serves traffic: the one virtual service is created disabled.

An answer is *pass*, *fail*, or *unknown* when the probe could not be made (a right or a licence is missing). Unknown
means: count on it as little as on a fail. Exit code 1 when a probe fails or something could not be taken away.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from cli import conformance_bodies as bodies
from cli.table import columns
from shared.avi.client import AviClient
from shared.errors import AkoError, AviConflict, AviError, AviReferenced, AviStale
from shared.settings import load, load_credentials
from shared.settings.model import Settings
from shared.settings.reach import CONTROLLER_GATE

Verdict = Literal["pass", "fail", "unknown"]
Body = dict[str, Any]

PREFIX: Final = "ako-conformance-"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found; `means` says what follows for whoever relies on us."""

    probe: str
    verdict: Verdict
    means: str


@dataclass(frozen=True, slots=True)
class Promise:
    """What holds when a probe passes, and what to expect when it does not."""

    kept: str
    broken: str


_STALE = Promise(
    "an outdated write is refused: two writers cannot undo each other",
    "an outdated write is taken: keep other tools off objects of this type, the last writer wins",
)
_NAME = Promise(
    "a lost answer to a create cannot lead to a second object",
    "the same name twice: an object may be doubled when the answer to its create is lost",
)
_REFERENCE = Promise(
    "what is in use cannot be deleted",
    "an object in use was deleted: an outsider's delete can break a virtual service at once",
)
_ADDRESS = Promise(
    "a VIP keeps its address when its FQDNs change",
    "the address of a VIP changes with its FQDNs: clients lose it at every new host",
)
_ORDER = Promise(
    "lists come back as written: entries of others keep their place in lists that we share",
    "lists come back in another order: entries of others may change their place when we write",
)
_CLIENTS = Promise(
    "loadBalancerSourceRanges of a Service are taken for both families; try from outside what becomes of other clients",
    "the networks of loadBalancerSourceRanges do not come back as written: do not rely on them",
)


class Lab:
    """The objects of one trial, and the way to get rid of them. `suffix` makes their names ours alone."""

    def __init__(self, avi: AviClient, settings: Settings, suffix: str) -> None:
        self.avi = avi
        self.name = PREFIX + suffix
        self.bodies = bodies.of(self.name, settings)
        self._made: dict[str, None] = {}  # types in the order of creation
        self._objects: dict[str, Body | AviError] = {}

    def object(self, type_: str) -> Body:
        """The object of that type, created when it is first asked for. Raises AviError, the same one every time."""
        if type_ not in self._objects:
            try:
                self._objects[type_] = self.create(type_)
            except AviError as error:
                self._objects[type_] = error
        found = self._objects[type_]
        if isinstance(found, AviError):
            raise found
        return found

    def create(self, type_: str) -> Body:
        """POSTs the body of that type. Raises AviError."""
        body = self.bodies[type_]()
        self._made[type_] = None  # before the answer, which may get lost
        return self.avi.create(type_, body)

    def update(self, type_: str, obj: Body, **changes: Any) -> Body:
        """PUTs the object with changes; it is remembered as it then stands. Raises AviError."""
        self._objects[type_] = changed = self.avi.update(type_, str(obj["uuid"]), {**obj, **changes})
        return changed

    def clean(self) -> list[str]:
        """Deletes everything that bears our name, last made first; says what could not be deleted, and why."""
        left: list[str] = []
        for type_ in reversed(self._made):
            try:
                found = [obj for page in self.avi.pages(type_, tenant=None, name=self.name) for obj in page.objects]
                for obj in found:
                    if obj.get("name") == self.name:  # whatever the filter let through
                        self.avi.delete(type_, str(obj["uuid"]))
            except AviError as error:
                left.append(f"{type_} {self.name}: {error}")
        return left


def run(options: argparse.Namespace) -> int:
    """The command. Raises AkoError without --yes, and for settings that cannot be used."""
    if not options.yes:
        raise AkoError(
            f"this creates objects named {PREFIX}... on the controller (one of each type that we write, the virtual "
            "service disabled, one VIP address) and deletes them again",
            action="Say --yes if that is all right",
        )
    if options.values is not None:
        os.environ["AKO_VALUES"] = options.values
    path = os.environ.get("AKO_VALUES")
    settings = load(path, os.environ).settings
    avi = AviClient(
        settings.controller.host,
        load_credentials(os.environ, path),
        version=settings.controller.version,
        tenant=settings.controller.tenant,
        ipv6=CONTROLLER_GATE in settings.gates,
    )
    try:
        return report(*trial(avi, settings))
    finally:
        avi.close()


def trial(avi: AviClient, settings: Settings) -> tuple[list[Finding], list[str]]:
    """All findings, and what could not be taken away. Whatever happens, everything is tried to be taken away."""
    avi.read("cluster")  # who cannot get this far has found out nothing
    lab = Lab(avi, settings, secrets.token_hex(6))
    findings: list[Finding] = []
    left: list[str] = []
    try:
        findings += probes(lab)
    finally:
        left = lab.clean()
        if left and sys.exc_info()[0] is not None:
            print("\n".join(("these could not be deleted:", *left)), file=sys.stderr)
    return findings, left


def report(findings: list[Finding], left: list[str]) -> int:
    """Prints the table; returns the exit code."""
    rows = [(finding.probe, finding.verdict, finding.means) for finding in findings]
    print(columns([("probe", "answer", "what it means"), *rows]))
    count = {verdict: sum(row[1] == verdict for row in rows) for verdict in ("pass", "fail", "unknown")}
    print("\n" + ", ".join(f"{number} {verdict}" for verdict, number in count.items()))
    for text in left:
        print(f"could not be deleted, please do it by hand: {text}")
    return 1 if left or count["fail"] else 0


def probes(lab: Lab) -> Iterator[Finding]:
    """Every probe, one finding each."""
    for type_ in lab.bodies:
        yield _probe(f"409 for a name that is taken: {type_}", _NAME, partial(_refuses_twin, lab, type_))
    for type_, change in bodies.CHANGES.items():
        yield _probe(f"412 for an outdated write: {type_}", _STALE, partial(_refuses_stale, lab, type_, change))
    for type_, field, show in bodies.LISTS:
        yield _probe(f"order of {type_}.{field}", _ORDER, partial(_keeps_order, lab, type_, show))
    yield _probe("address of a VIP when it is written", _ADDRESS, partial(_keeps_address, lab))
    yield _probe("client networks of an L4 policy set", _CLIENTS, partial(_keeps_clients, lab))
    for type_, referrer in bodies.REFERRERS.items():
        held = partial(_refuses_delete, lab, type_, referrer)
        yield _probe(f"delete of a {type_} in use by a {referrer}", _REFERENCE, held)


def _probe(name: str, promise: Promise, holds: Callable[[], bool]) -> Finding:
    try:
        kept = holds()
    except AviError as error:
        return Finding(name, "unknown", f"could not be tried: {error}")
    return Finding(name, "pass", promise.kept) if kept else Finding(name, "fail", promise.broken)


def _refuses_twin(lab: Lab, type_: str) -> bool:
    obj = lab.object(type_)
    try:
        twin = lab.create(type_)
    except AviConflict:
        return True
    if twin["uuid"] != obj["uuid"]:
        lab.avi.delete(type_, str(twin["uuid"]))  # so that a name means one object in the probes to come
    return False


def _refuses_stale(lab: Lab, type_: str, change: Mapping[str, Any]) -> bool:
    """Two writes on the same reading, each with a change of its own: the second must be refused."""
    read = lab.object(type_)
    first = lab.update(type_, read, **change)
    if first.get("_last_modified") == read.get("_last_modified"):
        return False  # nothing tells an outdated reading
    try:
        lab.update(type_, read)
    except AviStale:
        return True
    return False


def _keeps_order(lab: Lab, type_: str, show: Callable[[Any], list[str]]) -> bool:
    """As written, and as read again."""
    wanted = show(lab.bodies[type_]())
    obj = lab.object(type_)
    return show(lab.avi.get(type_, str(obj["uuid"]))) == wanted


def _keeps_address(lab: Lab) -> bool:
    """Written as we do it: what was read goes back with other FQDNs."""
    obj = lab.object("vsvip")
    before = bodies.addresses(obj)
    if not before:
        raise AviError("the controller gave the VIP no address", where=lab.name)
    after = lab.update("vsvip", obj, dns_info=[*obj.get("dns_info", []), bodies.fqdn(lab.name, "late")])
    again = lab.avi.get("vsvip", str(after["uuid"]))
    return bodies.addresses(again) == before


def _keeps_clients(lab: Lab) -> bool:
    """IPv4 and IPv6 networks, as written and as read again."""
    lab.object("pool")
    wanted = bodies.clients(lab.bodies["l4policyset"]())
    obj = lab.object("l4policyset")
    return bodies.clients(lab.avi.get("l4policyset", str(obj["uuid"]))) == wanted


def _refuses_delete(lab: Lab, type_: str, referrer: str) -> bool:
    lab.object(referrer)
    obj = lab.object(type_)
    try:
        lab.avi.delete(type_, str(obj["uuid"]))
    except AviReferenced:
        return True
    return False
