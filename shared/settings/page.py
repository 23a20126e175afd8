"""`docs/ipv6.md`, made from the support matrix."""

from __future__ import annotations

from collections.abc import Iterator

from shared.settings.matrix import GATES, MATRIX, Row

_INTRODUCTION = """\
# IPv6

<!-- Made from shared/settings/matrix.py by `python -m shared.settings.generate`; a test keeps the two equal. -->

VIPs and servers are two questions. `NetworkSettings.vipNetworkList[0].cidr` and `.v6cidr` give the families of every
VIP; `AKOSettings.ipFamily` gives the family of pool servers, node addresses and static routes. Any combination works: a
dual-stack VIP before IPv6 pods, an IPv6 VIP before IPv4 pods.

```yaml
AKOSettings:
  ipFamily: V6 # V4 (the default) or V6
  cniPlugin: calico
NetworkSettings:
  vipNetworkList:
    - networkName: net1
      cidr: 100.1.1.0/24
      v6cidr: 2002::1234:abcd:ffff:c0a8:101/64 # host bits are allowed: 2002:0:0:1234::/64
```

`ako validate values.yaml` says what a file will do, or everything that is wrong with it.

## What is refused

AKO documents IPv6 for Ingresses on vCenter clouds, with Calico or Antrea, in ClusterIP or NodePort mode, with one
family of servers at a time. What goes beyond is refused, unless the feature gate in the last column is on.

| rule | what is refused | asked by | feature gate |
|---|---|---|---|
"""

_GATES = """
## Feature gates

All are off by default and stand below `featureGates` of values.yaml:

```yaml
featureGates:
"""

_MESSAGES = """```

With `DualStackBackends`, `ipFamily` may be V4_V6: a Service of both families gets servers of both in its pool, and each
pod network is routed by way of the node's address of its family.

## What is said

Each message has its place, what was found, why it is refused, and what to write instead.

"""

_PHASES = {
    "load": "settings alone",
    "contact": "once controller and cluster have answered",
    "object": "per object",
}


def page() -> str:
    """The whole page."""
    rows = "".join(_row(row) for row in MATRIX)
    gates = "".join(f"  {gate}: false # {', '.join(_rules(gate))}\n" for gate in GATES)
    return _INTRODUCTION + rows + _GATES + gates + _MESSAGES + "".join(_messages())


def _row(row: Row) -> str:
    gate = f"`{row.gate}`" if row.gate else "none"
    asked = row.asked_by or f"nothing yet ({_PHASES[row.phase]})"
    return f"| {row.id} | {row.refused} | {asked} | {gate} |\n"


def _rules(gate: str) -> Iterator[str]:
    yield from dict.fromkeys(row.id for row in MATRIX if row.gate == gate)


def _messages() -> Iterator[str]:
    for row in MATRIX:
        yield f"- {row.message('…')}\n"
