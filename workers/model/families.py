"""Which address families the VIP of a Service of type LoadBalancer has: the decision, as a table.

What is asked are `ipFamilyPolicy` and `ipFamilies`, which the API server fills in; what can be given is what the first
VIP network has (`cidr`, `v6cidr`). Without the feature gate `IPv6LoadBalancer` the documented behaviour counts: an IPv4
VIP whatever the Service asks for, and none at all where there is only a `v6cidr`. With it the Service decides; what it
requires and the network has not is refused (fail closed), what it prefers is given as far as it goes.

`docs/load-balancer.md` shows this table, and a test keeps the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.addresses import Family
from shared.settings.model import Settings, VipNetwork

GATE = "IPv6LoadBalancer"

SINGLE, PREFER, REQUIRE = "SingleStack", "PreferDualStack", "RequireDualStack"

Families = frozenset[Family]
Outcome = Literal["as asked", "documented", "less", "refused"]

V4: Families = frozenset({Family.V4})
V6: Families = frozenset({Family.V6})
BOTH: Families = V4 | V6
NONE: Families = frozenset()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; an empty `policies` or `asked` means any.

    `outcome`: "as asked"; "documented", the IPv4 VIP (or refusal) of AKO's documentation, with the Event of V6-LB;
    "less" than what was asked for, with an Event; "refused", with an Event and without anything on the controller.
    """

    gate: bool
    policies: tuple[str, ...]
    asked: tuple[Families, ...]
    network: Families
    given: Families
    outcome: Outcome


TABLE: tuple[Row, ...] = (
    Row(False, (), (V4,), V4, V4, "as asked"),
    Row(False, (), (V6, BOTH), V4, V4, "less"),
    Row(False, (), (), BOTH, V4, "documented"),
    Row(False, (), (), V6, NONE, "documented"),
    Row(True, (REQUIRE,), (BOTH,), BOTH, BOTH, "as asked"),
    Row(True, (REQUIRE,), (BOTH,), V4, NONE, "refused"),
    Row(True, (REQUIRE,), (BOTH,), V6, NONE, "refused"),
    Row(True, (REQUIRE,), (V4, V6), V4, NONE, "refused"),
    Row(True, (REQUIRE,), (V4, V6), V6, NONE, "refused"),
    Row(True, (REQUIRE,), (V4, V6), BOTH, NONE, "refused"),
    Row(True, (PREFER,), (BOTH,), BOTH, BOTH, "as asked"),
    Row(True, (PREFER,), (BOTH,), V4, V4, "less"),
    Row(True, (PREFER,), (BOTH,), V6, V6, "less"),
    Row(True, (SINGLE, PREFER), (V4,), V4, V4, "as asked"),
    Row(True, (SINGLE, PREFER), (V4,), BOTH, V4, "as asked"),
    Row(True, (SINGLE, PREFER), (V4,), V6, NONE, "refused"),
    Row(True, (SINGLE, PREFER), (V6,), V6, V6, "as asked"),
    Row(True, (SINGLE, PREFER), (V6,), BOTH, V6, "as asked"),
    Row(True, (SINGLE, PREFER), (V6,), V4, NONE, "refused"),
)
"""Every combination has exactly one row; a test asks for each."""


def decide(gate: bool, policy: str, asked: Families, network: Families) -> Row:
    """The row for a Service; `policy` as `policy_of` gives it."""
    for row in TABLE:
        fits = row.gate is gate and row.network == network
        if fits and policy in (row.policies or (policy,)) and asked in (row.asked or (asked,)):
            return row
    raise ValueError(f"no row for {gate}, {policy}, {asked}, {network}")


def policy_of(written: str, asked: Families) -> str:
    """The policy that counts: as written; without a known one, what the families themselves say."""
    if written in (PREFER, REQUIRE):
        return written
    return PREFER if asked == BOTH else SINGLE


def of_network(settings: Settings) -> Families:
    """What the VIP network in the settings can give; without one IPv4, as the controller does."""
    return families_of(settings.vip_networks[0]) if settings.vip_networks else V4


def families_of(network: VipNetwork) -> Families:
    """What a VIP network can give; one that names no subnet gives IPv4, as the controller does."""
    found = (V4 if network.cidr is not None else NONE) | (V6 if network.v6cidr is not None else NONE)
    return found or V4


def in_words(families: Families) -> str:
    """`IPv4`, `IPv6` or `IPv4 and IPv6`."""
    return " and ".join(name for family, name in ((Family.V4, "IPv4"), (Family.V6, "IPv6")) if family in families)
