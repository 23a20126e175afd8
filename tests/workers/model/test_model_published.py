"""Everything that the model builds, in every form, against the published Avi models: fields, types, enums, refs."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.avi_models import faults
from tests.workers.model.test_model_layout import CHOICES
from tests.workers.model.test_model_worlds import WORLD
from tests.workers.model.world import GOLDEN, World, golden_bodies, ingress, secret, settings
from workers.owned import TABLES

CASES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())
EXACT = {"path": "/exact", "pathType": "Exact"}
MORE = [
    secret("two", **{"tls.crt": "Y2VydA==", "tls.key": "a2V5", "alt.crt": "Y2VydDI=", "alt.key": "a2V5Mg=="}),
    ingress("two", host="two.example.com", tls="two", paths=["", EXACT], defaultBackend={"service": {"name": "web"}}),
]


def everything(**changes: Any) -> list[tuple[str, dict[str, Any]]]:
    objects, _, shared = World(settings(**changes)).apply(*copy.deepcopy([*WORLD, *MORE])).everything()
    found = [(each.type, each.body) for each in objects]
    return found + [
        (part.type, {"name": "x", part.field: list(part.entries)}) for each in shared for part in each.shared
    ]


@pytest.mark.parametrize("changes", [{"cni_plugin": "calico"}, {"kubernetes_paths": True}, *CHOICES])
def test_every_body_fits_the_published_models(changes: dict[str, Any]) -> None:
    """No field, value or reference that the controller's own model does not have."""
    found = everything(**changes)
    assert {"vsvip", "pool", "virtualservice", "sslkeyandcertificate", "vrfcontext"} <= {type_ for type_, _ in found}
    assert [text for type_, body in found for text in faults(type_, body)] == []


@pytest.mark.parametrize("case", CASES)
def test_what_ako_sent_fits_them_too(case: str) -> None:
    """The check itself is right: it finds nothing wrong with any body that AKO was recorded to send."""
    bodies = golden_bodies(case)
    assert bodies
    assert [text for (type_, _), body in bodies.items() for text in faults(type_, body)] == []


def test_all_types_that_are_made_are_known() -> None:
    """A type that is added is checked as well."""
    assert [type_ for type_ in TABLES if faults(type_, {}) == []] == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"nmae": "x"}, "pool.nmae: Pool has no such field"),
        ({"servers": [{"ip": {"addr": "10.0.0.1", "type": "V5"}}]}, "pool.servers[0].ip.type: 'V5' is none of"),
        ({"servers": [{"ip": {"addr": "10.0.0.1"}}]}, "pool.servers[0].ip.type: missing"),
        ({"servers": {}}, "pool.servers: {} is no list"),
        ({"sni_enabled": "no"}, "pool.sni_enabled: 'no' is no bool"),
        ({"graceful_disable_timeout": True}, "pool.graceful_disable_timeout: True is no int32"),
        ({"vrf_ref": "/api/network/?name=x"}, "pool.vrf_ref: '/api/network/?name=x' is no reference to a vrfcontext"),
        ({"markers": ["x"]}, "pool.markers[0]: 'x' is no RoleFilterMatchLabel"),
    ],
)
def test_a_wrong_body_is_named(change: dict[str, Any], said: str) -> None:
    """Each kind of mistake is found, and where it stands."""
    (found,) = faults("pool", {"name": "p", **change})
    assert found.startswith(said)
