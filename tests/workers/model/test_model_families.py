"""The families of a Service's VIP: every combination of gate, policy, families and network, and the page that tells."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from itertools import product
from pathlib import Path

import pytest

from shared.settings.model import VipNetwork
from workers.model import families
from workers.model.families import BOTH, NONE, TABLE, V4, V6, Row

PAGE = Path(__file__).parents[3] / "docs" / "load-balancer.md"
POLICIES = (families.SINGLE, families.PREFER, families.REQUIRE)
WORDS = {V4: "IPv4", V6: "IPv6", BOTH: "both", NONE: "none"}


def line(row: Row) -> str:
    """A row as the page writes it."""
    cells = [
        "on" if row.gate else "off",
        "; ".join(row.policies) or "any",
        "; ".join(WORDS[asked] for asked in row.asked) or "any",
        WORDS[row.network],
        WORDS[row.given],
        row.outcome,
    ]
    return f"| {' | '.join(cells)} |"


def test_the_page_shows_the_table() -> None:
    """docs/load-balancer.md has the rows that decide, in their order, and no other."""
    assert re.findall(r"^\| o(?:n|ff) \|.*$", PAGE.read_text(), re.MULTILINE) == [line(row) for row in TABLE]


@pytest.mark.parametrize(
    ("gate", "policy", "asked", "network"), list(product((False, True), POLICIES, (V4, V6, BOTH), (V4, V6, BOTH)))
)
def test_every_combination_has_one_row(
    gate: bool, policy: str, asked: families.Families, network: families.Families
) -> None:
    """No combination is undecided and none is decided twice; nothing is given that the network hasn't."""
    if policy == families.SINGLE and asked == BOTH:
        assert families.policy_of(policy, asked) == families.PREFER
        return
    rows = [
        row
        for row in TABLE
        if (row.gate, row.network) == (gate, network)
        and policy in (row.policies or POLICIES)
        and asked in (row.asked or (V4, V6, BOTH))
    ]
    assert rows == [families.decide(gate, policy, asked, network)]
    (row,) = rows
    assert row.given <= network
    if gate:
        assert row.given <= asked
        assert policy != families.REQUIRE or row.given in (NONE, BOTH)
    else:
        assert row.given <= V4


@pytest.mark.parametrize(
    ("written", "asked", "policy"),
    [
        ("", V4, families.SINGLE),
        ("", BOTH, families.PREFER),
        ("Odd", V6, families.SINGLE),
        ("PreferDualStack", V4, families.PREFER),
        ("RequireDualStack", V4, families.REQUIRE),
    ],
)
def test_a_missing_policy_is_told_by_the_families(written: str, asked: families.Families, policy: str) -> None:
    """An API server fills both in; without a policy two families are a wish and not a demand."""
    assert families.policy_of(written, asked) == policy


@pytest.mark.parametrize(
    ("network", "given"),
    [
        (VipNetwork("n"), V4),
        (VipNetwork("n", cidr=IPv4Network("10.0.0.0/8")), V4),
        (VipNetwork("n", v6cidr=IPv6Network("2001:db8::/32")), V6),
        (VipNetwork("n", cidr=IPv4Network("10.0.0.0/8"), v6cidr=IPv6Network("2001:db8::/32")), BOTH),
    ],
)
def test_a_network_gives_what_it_has(network: VipNetwork, given: families.Families) -> None:
    """Without any subnet the controller allocates IPv4."""
    assert families.families_of(network) == given
