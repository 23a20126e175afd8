"""What Services of type LoadBalancer are served with: the one reading of them, on which objects and statuses rest.

One Service has a virtual service of its own; those of a namespace that bear one key share one (`loadbalancer.py`). They
are read oldest first (creation time, then `ns/name`), so that every conflict has the same answer at all times: the
oldest decides on families and address of a shared VIP, and the Service that can't agree is left out and told why. One
that asks for an address that can't be had decides nothing while another one can.

A Service that is refused (`families`; an address that can't be had; ports that another one has) has nothing on the
controller. But the VIP of one that stands is never moved or made smaller for what the controller would refuse anyway:
a preferred address that changed, or a dual-stack VIP from before the feature gate was off. It is kept as it is, and the
Service is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shared.addresses import Address, AddressError, Family, Network, family_of, parse_address, parse_network
from shared.loadbalancer import ADDRESS, EXTERNAL_DNS, SHARED_KEY, SHARED_VIP, is_shared_key, shared_key
from shared.settings.matrix import Known, refusals
from workers.model import families, names
from workers.model.accept import in_domains
from workers.model.context import Context
from workers.model.families import Families, in_words
from workers.model.service_accept import age_of, holder_of, names_wanted, service_acceptance, tenant_for
from workers.model.types import Problem, ServiceSnapshot, StandingVip, object_id
from workers.model.vips import VIP_CHANGE_HELD, VSVIP, WantedVip, vip_change_held

_FAMILIES = {"IPv4": Family.V4, "IPv6": Family.V6}
PROTOCOLS = ("TCP", "UDP", "SCTP")


class Listener(NamedTuple):
    """One port of one Service; `backend` is how its endpoints are found: by the port's name, or by number."""

    port: int
    protocol: str
    backend: int | str
    pool: str


@dataclass(slots=True)
class Member:
    """One Service that is served. `ranges` are the networks of its clients, () for any."""

    service: dict[str, Any]
    listeners: list[Listener] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    ranges: tuple[Network, ...] = ()

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return _id(self.service)


@dataclass(slots=True)
class Group:
    """The Services of one key: what their virtual service is called, whose it is, and the members that are served.

    `shared` is the key of a shared VIP, "" for a virtual service of one Service. `vip_held`: the VIP stays as it
    stands, since the network in the settings has one of its families no more. `frozen`: one of them uses what this
    release does not serve. `accepted` are the ids of all that are ours, the refused ones too.
    """

    name: str
    namespace: str
    shared: str
    tenant: str
    members: list[Member] = field(default_factory=list)
    vip: WantedVip = field(default_factory=lambda: WantedVip(families.NONE, {}))
    vip_held: bool = False
    frozen: bool = False
    accepted: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def say(self, service: Mapping[str, Any], reason: str, message: str, *, warning: bool = True) -> None:
        """Notes what the Service has to be told."""
        self.problems.append(Problem("Service", service["ns"], service["name"], reason, message, warning))


def families_asked(service: Mapping[str, Any]) -> tuple[Family, ...]:
    """The families of a Service in its order; one that names none counts as IPv4."""
    known = (_FAMILIES.get(name) for name in service["families"])
    return tuple(dict.fromkeys(family for family in known if family is not None)) or (Family.V4,)


def read_services(snapshot: ServiceSnapshot, context: Context) -> Group | None:
    """What the Services of a key are served with; None when none of them is ours."""
    accepted = [
        (service, answer)
        for service in sorted(snapshot.services.values(), key=age_of)
        if (answer := service_acceptance(service, snapshot.namespaces, context)).ours
    ]
    if not accepted:
        return None
    namespace, _, name = snapshot.key.partition(":")[2].partition("/")
    shared = name if snapshot.key.startswith(f"{SHARED_KEY}:") else ""
    tenant = tenant_for(accepted[0][0], snapshot.namespaces, context)
    group = Group(context.layout.load_balancer(namespace, name), namespace, shared, tenant)
    group.accepted = [_id(service) for service, _ in accepted]
    if context.settings.layer7_only:
        group.frozen = True
        return group
    for service, answer in accepted:
        if answer.unserved:
            group.frozen = True
            text = f"{answer.unserved} is not served by this release; what stands on the controller is left as it is."
            group.say(service, "FeatureNotServed", text)
    if not group.frozen:
        _Reading(group, snapshot, context).take([service for service, _ in accepted])
    return group


class _Reading:
    """The working state of `read_services`."""

    def __init__(self, group: Group, snapshot: ServiceSnapshot, context: Context) -> None:
        self.group = group
        self.snapshot = snapshot
        self.context = context
        self.standing = snapshot.vips.get(object_id(VSVIP, group.tenant, group.name))
        stands = self.standing.families if self.standing is not None else families.NONE
        self.held = stands if families.GATE not in context.settings.gates and Family.V6 in stands else families.NONE
        self.taken: dict[tuple[str, int], str] = {}

    def take(self, services: Iterable[dict[str, Any]]) -> None:
        """Takes the Services in, oldest first; those whose address can't be had come last.

        Else such a one would be let in or not by whether the VIP stands, and so the ports of the others.
        """
        for service in sorted(services, key=lambda each: bool(self._wished(each, self._given(each))[1])):
            member = self._member(service)
            if member is None or not self._agrees(member):
                continue
            self.taken.update({(each.protocol, each.port): member.id for each in member.listeners})
            member.names = self._names(service)
            self.group.members.append(member)

    def _member(self, service: dict[str, Any]) -> Member | None:
        """The Service by itself; None when it can't be served."""
        member = Member(service, self._listeners(service))
        if (fault := self._fault(member)) is not None:
            self.group.say(service, *fault)
            return None
        return self._with_ranges(member)

    def _fault(self, member: Member) -> tuple[str, str] | None:
        """What is wrong with its key and names, and with ports that can't be read: reason and message."""
        wanted = shared_key(member.service)
        if wanted and not is_shared_key(wanted):
            text = f"The key {wanted[:60]!r} of {SHARED_VIP} has characters that no name can have"
            return "SharedVipKeyMalformed", f"{text}. Write letters, digits, dots and hyphens."
        if not member.listeners:
            text = "The Service has no port with a number and the protocol TCP, UDP or SCTP, so nothing is served"
            return "NoPorts", f"{text}. Give it one."
        if not names.fits(self.group.name, *(each.pool for each in member.listeners)):
            text = f"The Service needs names longer than {names.MAX_NAME} characters, which the controller refuses"
            return "NameTooLong", f"{text}. Shorten its name, or the key of the VIP that it shares."
        return None

    def _listeners(self, service: dict[str, Any]) -> list[Listener]:
        found: dict[tuple[str, int], Listener] = {}
        for port in service["ports"]:
            number, protocol = port["port"], port["protocol"]
            if isinstance(number, int) and not isinstance(number, bool) and protocol in PROTOCOLS:
                pool = self.context.layout.load_balancer_pool(
                    service["ns"], service["name"], self.group.shared, protocol, number
                )
                found.setdefault((protocol, number), Listener(number, protocol, port["name"] or number, pool))
        return list(found.values())

    def _with_ranges(self, member: Member) -> Member | None:
        """Adds the networks of `loadBalancerSourceRanges`; without one usable network nobody could be let in."""
        service = member.service
        found: list[Network] = []
        for text in service["lb"]["ranges"]:
            try:
                found.append(parse_network(text.strip()))
            except AddressError as error:
                self.group.say(service, "SourceRangeMalformed", f"{error}; it is left out of loadBalancerSourceRanges.")
        if service["lb"]["ranges"] and not found:
            text = "loadBalancerSourceRanges holds no network that can be read, so no client may be let in"
            self.group.say(service, "NoSourceRange", f"{text}. Correct it or remove it.")
            return None
        member.ranges = tuple(dict.fromkeys(found))
        if found:
            text = (
                "loadBalancerSourceRanges is written into the match of the L4 rules. What the controller does with a "
                "connection that matches no rule is not known here; try it from outside before you rely on it."
            )
            self.group.say(service, "SourceRangesMatched", text, warning=False)
        return member

    def _agrees(self, member: Member) -> bool:
        """Families and address: the first member decides, the others have to agree."""
        group, service = self.group, member.service
        given = self._families(service)
        if not given:
            return False
        if not group.members:
            addresses = self._addresses(service, given)
            if addresses is not None:
                group.vip = WantedVip(given, addresses)
            return addresses is not None
        if (dissent := self._dissent(member, given)) is not None:
            group.say(service, *dissent)
        return dissent is None

    def _dissent(self, member: Member, given: Families) -> tuple[str, str] | None:
        """Why a Service can't share the VIP as those before it have it: reason and message."""
        vip, first = f"the VIP {self.group.shared}", self.group.members[0]
        if given != self.group.vip.families:
            has = f"{first.id} has {vip} as {in_words(self.group.vip.families)}"
            text = f"{has}, and this Service asks for {in_words(given)}. Give both the same ipFamilies, or another key."
            return "SharedVipFamilies", text
        wished, faults = self._wished(member.service, given)
        others, _ = preferred(first.service)
        wrong = [str(address) for family, address in wished.items() if others.get(family) != address]
        if wrong or faults:
            reason = "; ".join(faults) or f"this Service asks for {', '.join(wrong)}, which that one does not"
            text = f"{first.id} chooses the address of {vip}: {reason}"
            return "SharedVipAddress", f"{text}. Write the same address into both, or none here."
        for each in member.listeners:
            if (other := self.taken.get((each.protocol, each.port))) is not None:
                what = f"Port {each.port}/{each.protocol} of {vip} is served for {other}, which comes first"
                return "SharedVipPortTaken", f"{what}. Change the port or the key."
        return None

    def _families(self, service: dict[str, Any]) -> Families:
        """The families of the VIP for this Service; none when it is refused."""
        settings = self.context.settings
        if self.held:
            text = (
                f"The VIP stands with {in_words(self.held)}, which is served with the feature gate "
                f"{families.GATE} only. It is left as it is; set the gate to true, or create the Service anew."
            )
            self.group.say(service, "VipHeld", text)
            return self.held
        asked, row = frozenset(families_asked(service)), self._row(service)
        if kept := self._kept(service) & row.given:
            addresses = self.standing.addresses if self.standing is not None else {}
            lost = [addresses[family] for family in Family if family in kept]
            self.group.say(service, VIP_CHANGE_HELD, vip_change_held(self.group.name, lost))
            self.group.vip_held = True
            return row.given
        if row.outcome == "documented":
            warning = not row.given or asked != families.V4
            for path, text in refusals("object", settings, Known(service=_id(service))):
                self.group.say(service, "IPv6NotServed", f"{path}: {text}.", warning=warning)
        elif row.outcome != "as asked":
            reason = "FewerFamilies" if row.given else "FamiliesRefused"
            self.group.say(service, reason, self._lacking(asked, row.network, row.given))
        servers = asked & frozenset(self.context.families)
        if servers and row.given - servers:
            text = (
                f"The VIP has {in_words(row.given)} and its servers {in_words(servers)} only, by AKOSettings.ipFamily "
                f"{settings.ip_family.value}, so clients of the other family are served by way of these."
            )
            self.group.say(service, "ServersOfOtherFamily", text, warning=False)
        return row.given

    def _given(self, service: dict[str, Any]) -> Families:
        """The families of a VIP of this Service alone."""
        return self.held or self._row(service).given

    def _row(self, service: dict[str, Any]) -> families.Row:
        """What the table of families says of the Service."""
        settings, asked = self.context.settings, frozenset(families_asked(service))
        policy = families.policy_of(service["lb"]["policy"], asked)
        network = families.of_network(self.context.settings) | self._kept(service)
        return families.decide(families.GATE in settings.gates, policy, asked, network)

    def _kept(self, service: dict[str, Any]) -> Families:
        """What the VIP has and the Service asks for, while the network in the settings has it no more."""
        if self.standing is None or self.snapshot.vip_change:
            return families.NONE
        has = frozenset(self.standing.addresses) & frozenset(families_asked(service))
        return has - families.of_network(self.context.settings)

    def _lacking(self, asked: Families, network: Families, given: Families) -> str:
        """Why a Service gets less than it asks for, or nothing."""
        vips = self.context.settings.vip_networks
        gets = f"gets a VIP with {in_words(given)} only" if given else "gets no VIP"
        if asked - network:
            name = vips[0].name or vips[0].uuid if vips else ""
            why = f"the VIP network {name!r} has no {in_words(asked - network)}. Add its subnet to vipNetworkList"
        else:
            why = "RequireDualStack needs two, and the cluster has given it one. Change its ipFamilyPolicy"
        return f"The Service asks for {in_words(asked)} and {gets}: {why}, or ask for less."

    def _addresses(self, service: dict[str, Any], given: Families) -> dict[Family, Address] | None:
        """The preferred addresses that are to be written; None when the Service is refused for them.

        What can't be had is no reason to take away a VIP that stands.
        """
        wished, faults = self._wished(service, given)
        standing = self.standing.addresses if self.standing is not None else {}
        if faults:
            what = "The VIP keeps the address that it has" if standing else "The Service gets no VIP"
            text = f"{what}: {'; '.join(faults)}. Correct loadBalancerIP or {ADDRESS}."
            self.group.say(service, "PreferredAddress", text)
            return {} if standing else None
        there = {family: standing.get(family, str(address)) for family, address in wished.items()}
        moved = [f"{there[family]} and not at {at}" for family, at in wished.items() if there[family] != str(at)]
        if moved:
            text = f"The VIP stands at {', '.join(moved)}, and a controller does not change the address of a VIP"
            self.group.say(service, "AddressNotChanged", f"{text}. Delete the Service and create it again to move it.")
            return {family: address for family, address in wished.items() if family not in standing}
        return wished

    def _wished(self, service: dict[str, Any], given: Families) -> tuple[dict[Family, Address], list[str]]:
        """The preferred addresses of a Service, and why they can't be had in a VIP of these families."""
        wished, faults = preferred(service)
        for family, address in wished.items():
            subnet = self._subnet(family)
            if family not in given:
                faults.append(f"{address} can't be had, since the VIP has {in_words(given)} only")
            elif subnet is not None and address not in subnet:
                faults.append(f"{address} is not in {subnet}, from which VIPs are allocated")
        return wished, faults

    def _subnet(self, family: Family) -> Network | None:
        """Where addresses of a family are allocated, as far as the settings say."""
        if not self.context.settings.vip_networks:
            return None
        network = self.context.settings.vip_networks[0]
        return network.cidr if family is Family.V4 else network.v6cidr

    def _names(self, service: dict[str, Any]) -> list[str]:
        """The DNS names of the Service that are its own to have."""
        wanted, bad = names_wanted(service, self.context)
        for text in bad:
            what = f"{text[:60]!r} in the annotation {EXTERNAL_DNS} is not a DNS name; it is left out. Correct it."
            self.group.say(service, "MalformedName", what)
        found = []
        for name in wanted:
            if not in_domains(name, self.context):
                cloud, domains = self.context.settings.controller.cloud, ", ".join(self.context.domains)
                text = f"{name} is left out, since it is in none of the DNS domains of cloud {cloud} ({domains})"
                self.group.say(service, "HostOutsideDomains", f"{text}. Use a name in one of them.")
            elif other := holder_of(name, service, self.snapshot, self.context):
                text = f"{name} belongs to {other}, so this Service is served without the name"
                self.group.say(service, "NameTaken", f"{text}. Take it out of one of the two.")
            else:
                found.append(name)
        return found


def preferred(service: Mapping[str, Any]) -> tuple[dict[Family, Address], list[str]]:
    """The addresses that a Service asks for by family, and what is wrong with them.

    `spec.loadBalancerIP` comes before the annotation; each holds an address, or one of each family with a comma.
    """
    found: dict[Family, Address] = {}
    faults: list[str] = []
    part = service["lb"]
    for source in (part["address"], part["annotations"].get(ADDRESS, "")):
        here: dict[Family, Address] = {}
        for text in filter(None, (each.strip() for each in source.split(","))):
            try:
                address = parse_address(text)
            except AddressError as error:
                faults.append(str(error))
                continue
            if here.setdefault(family_of(address), address) != address:
                faults.append(f"{here[family_of(address)]} and {address} are of one family")
        found = {**here, **found}
    return found, faults


def _id(service: Mapping[str, Any]) -> str:
    return f"{service['ns']}/{service['name']}"


def standing_vip(owned: Mapping[str, Any]) -> StandingVip | None:
    """The VIP in a ledger extract of a vsvip; None when it has none."""
    vip = (owned.get("vip") or [{}])[0]
    kind = vip.get("auto_allocate_ip_type", "V4_ONLY")
    by_kind = {"V6_ONLY": families.V6, "V4_V6": families.BOTH}
    addresses = {Family.V4: vip.get("ip_address"), Family.V6: vip.get("ip6_address")}
    found = {family: str(text) for family, text in addresses.items() if text}
    return StandingVip(by_kind.get(kind, families.V4) | frozenset(found), found) if vip else None
