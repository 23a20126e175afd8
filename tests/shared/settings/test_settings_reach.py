"""The API server's address and the settings: refused before anything is listed, asked again until it is clear."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.settings import Settings, early_gates, load
from shared.settings.follow import Sources
from shared.settings.reach import API_SERVER_GATE, refuse_api_server
from tests.shared.settings.table import BASE, gated, over

PROBLEM = ("kubeconfig.server", "found it")


def settings_of(*gates: str) -> Settings:
    return load(None, {"CLUSTER_NAME": "c", "CTRL_IPADDRESS": "h", "VIP_NETWORK_LIST": '[{"networkName":"n"}]'} | {
        "AKO_GATE_IPV6_KUBERNETES_API": str(API_SERVER_GATE in gates).lower()
    }).settings  # fmt: skip


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("https://10.0.0.1:6443", False),
        ("https://[2001:db8::1]:6443/k8s/c1", True),
        ("http://[::1]", True),
    ],
)
def test_the_address_of_the_api_server(url: str, refused: bool) -> None:
    """An IPv6 address is refused unless the gate is on; an IPv4 one never is."""
    found = refuse_api_server(url, settings_of())
    assert [place for place, _ in found] == ["kubeconfig.server"] * refused
    assert all("(V6-API)" in text for _, text in found)
    assert refuse_api_server(url, settings_of(API_SERVER_GATE)) == []


def test_a_name_that_nobody_knows_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that can't be resolved is neither refused nor passed: the resolver's error goes on."""

    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(socket.gaierror):
        refuse_api_server("https://k8s.example.com", settings_of())


def test_what_stands_against_good_settings_is_a_problem_of_theirs(tmp_path: Path) -> None:
    """A refusal makes a reading unusable until it is gone; unknown counts as neither and is asked again; once clear it
    is asked again only for other settings.
    """
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(BASE))
    answers: list[Any] = [OSError("later"), [PROBLEM], [PROBLEM], [], [PROBLEM]]

    def refuse(_: Settings) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    sources = Sources({"AKO_VALUES": str(path)}, credentials=False, refuse=refuse)
    first = sources.read()
    assert first.settings is not None
    assert sources.read().problems == (PROBLEM,)
    assert sources.read().settings is None
    assert sources.read() is first
    assert sources.read() is first
    assert answers == [[PROBLEM]]
    path.write_text(yaml.safe_dump(over(BASE, {"AKOSettings": {"cniPlugin": "calico"}})))
    assert sources.read().problems == (PROBLEM,)
    path.write_text("AKOSettings: {ipFamly: V6}")
    assert "ipFamly" in str(sources.read().problems)


def test_gates_before_the_settings_are_whole(tmp_path: Path) -> None:
    """File and environment turn gates on although the rest of them is wrong; what can't be read turns none on."""
    path = tmp_path / "values.yaml"
    path.write_text(yaml.safe_dump(gated({"AKOSettings": {"ipFamly": 7}}, API_SERVER_GATE)))
    assert early_gates({"AKO_VALUES": str(path)}) == {API_SERVER_GATE}
    assert early_gates({"AKO_VALUES": str(path), "AKO_GATE_IPV6_KUBERNETES_API": "false"}) == frozenset()
    assert early_gates({"AKO_GATE_IPV6_KUBERNETES_API": "true"}) == {API_SERVER_GATE}
    path.write_text("a: [")
    assert early_gates({"AKO_VALUES": str(path)}) == frozenset()
    assert early_gates({"AKO_VALUES": str(tmp_path / "none")}) == frozenset()
