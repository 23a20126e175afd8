"""The owned-field tables: what they cover, how fields compare, and what a PUT carries."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.pure_controller import answer, uuid_of
from workers import fields, owned
from workers.fields import ALONG, GIVEN, Digest, Kind, Listed, Ref, Script, Struct, Subnet

GOLDEN = Path(__file__).parent.parent / "golden"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


def golden_bodies() -> list[Any]:
    found = []
    for case in sorted(GOLDEN.glob("*/requests.jsonl")):
        for line in case.read_text().splitlines():
            call = json.loads(line)
            if call["method"] == "POST" and call["path"].startswith("/api/"):
                type_ = call["path"].split("/")[2]
                found.append(pytest.param(type_, call["body"], id=f"{case.parent.name}-{type_}-{call['body']['name']}"))
    return found


def reference(type_: str, name: str) -> str:
    return f"/api/{type_}/?name={name}"


def address(text: str) -> dict[str, Any]:
    return {"addr": text, "type": "V6" if ":" in text else "V4"}


def subnet(text: str) -> dict[str, Any]:
    addr, _, mask = text.partition("/")
    return {"ip_addr": address(addr), "mask": int(mask)}


MATCH: dict[str, Any] = {
    "path": {
        "match_criteria": "BEGINS_WITH",
        "match_case": "SENSITIVE",
        "match_str": ["/", "/api"],
        "match_decoded_string": False,
        "string_group_refs": [reference("stringgroup", "s")],
    },
    "host_hdr": {"match_criteria": "HDR_EQUALS", "match_case": "SENSITIVE", "value": ["foo.com", "bar.com"]},
    "vs_port": {"match_criteria": "IS_IN", "ports": [80, 8080]},
    "bot_detection_result": {"match_operation": "IS_IN"},
    "client_ip": {"match_criteria": "IS_IN"},
    "cookie": {"name": "c"},
    "geo_matches": [{"attribute": "a"}],
    "hdrs": [{"hdr": "x"}],
    "ip_reputation_type": {"match_operation": "IS_IN"},
    "method": {"methods": ["HTTP_METHOD_GET"]},
    "protocol": {"protocols": "HTTPS"},
    "query": {"match_criteria": "QUERY_MATCH_CONTAINS"},
    "source_ip": {"match_criteria": "IS_IN"},
    "tls_fingerprint_match": {"match_operation": "IS_IN"},
    "version": {"match_criteria": "IS_IN"},
}
RULE: dict[str, Any] = {"name": "r-0", "index": 7, "enable": False, "match": MATCH}
MADE: dict[str, Any] = {
    "name": "c1--x",
    "tenant_ref": reference("tenant", "admin"),
    "cloud_ref": "/api/cloud?name=Default-Cloud",
    "created_by": "ako-c1",
    "markers": [{"key": "clustername", "values": ["c1"]}, {"key": "Host", "values": ["b.com", "a.com"]}],
}
METADATA = json.dumps({"namespace_ingress_name": ["red/b", "red/a"], "ingress_name": "", "pool_ratio": 100, "x": None})

# One body per type in which every owned field, at any depth, has a value that does not mean absence.
FULL: dict[str, dict[str, Any]] = {
    "virtualservice": {
        **MADE,
        "type": "VS_TYPE_VH_PARENT",
        "cloud_config_cksum": "1",
        "service_metadata": METADATA,
        "application_profile_ref": reference("applicationprofile", "System-HTTP"),
        "network_profile_ref": reference("networkprofile", "System-TCP-Proxy"),
        "error_page_profile_ref": reference("errorpageprofile", "e"),
        "se_group_ref": reference("serviceenginegroup", "Default-Group"),
        "vrf_context_ref": reference("vrfcontext", "global"),
        "vsvip_ref": reference("vsvip", "v"),
        "services": [
            {
                "port": 80,
                "port_range_end": 90,
                "enable_ssl": True,
                "enable_http2": True,
                "override_network_profile_ref": reference("networkprofile", "System-UDP-Fast-Path"),
            }
        ],
        "enable_rhi": True,
        "traffic_enabled": False,
        "east_west_placement": True,
        "ign_pool_net_reach": True,
        "remove_listening_port_on_vs_down": True,
        "min_pools_up": 1,
        "vh_type": "VS_TYPE_VH_ENHANCED",
        "vh_parent_vs_ref": reference("virtualservice", "parent"),
        "vh_domain_name": ["foo.com"],
        "vh_matches": [{"host": "foo.com", "rules": [{"name": "r", "matches": MATCH}]}],
        "pool_ref": reference("pool", "p"),
        "pool_group_ref": reference("poolgroup", "g"),
        "ssl_key_and_certificate_refs": [
            reference("sslkeyandcertificate", "c"),
            reference("sslkeyandcertificate", "b"),
        ],
        "http_policies": [{"index": 11, "http_policy_set_ref": reference("httppolicyset", "h")}],
        "l4_policies": [{"index": 1, "l4_policy_set_ref": reference("l4policyset", "l")}],
        "vs_datascripts": [{"index": 1, "vs_datascript_set_ref": reference("vsdatascriptset", "d")}],
    },
    "vsvip": {
        **{name: part for name, part in MADE.items() if name != "created_by"},
        "vsvip_cloud_config_cksum": "1",
        "vrf_context_ref": reference("vrfcontext", "global"),
        "tier1_lr": "/infra/tier-1s/x",
        "east_west_placement": True,
        "dns_info": [{"fqdn": "b.com"}, {"fqdn": "a.com"}],
        "bgp_peer_labels": ["l1", "l2"],
        "vip": [
            {
                "vip_id": "0",
                "auto_allocate_ip": True,
                "auto_allocate_ip_type": "V4_V6",
                "auto_allocate_floating_ip": True,
                "ipam_network_subnet": {
                    "network_ref": reference("network", "net1"),
                    "subnet": subnet("10.10.0.0/16"),
                    "subnet6": subnet("2002::1234:abcd:ffff:c0a8:101/64"),
                },
                "subnet_uuid": "subnet-1",
                "ip_address": address("10.10.77.7"),
                "ip6_address": address("2001:db8::7"),
            }
        ],
    },
    "pool": {
        **MADE,
        "cloud_config_cksum": "1",
        "service_metadata": METADATA,
        "vrf_ref": reference("vrfcontext", "global"),
        "tier1_lr": "/infra/tier-1s/x",
        "sni_enabled": True,
        "graceful_disable_timeout": 5,
        "health_monitor_refs": [reference("healthmonitor", "System-TCP")],
        "application_persistence_profile_ref": reference(
            "applicationpersistenceprofile", "System-Persistence-Client-IP"
        ),
        "placement_networks": [
            {"network_ref": reference("network", "n1"), "subnet": subnet("2001:db8:50::/64")},
            {"network_ref": reference("network", "n1"), "subnet": subnet("10.50.0.0/24")},
        ],
        "servers": [
            {
                "ip": address(text),
                "port": 8080,
                "enabled": False,
                "server_node": "n1",
                "external_uuid": f"{text}:8080",
            }
            for text in ("2001:db8:244::a", "10.244.1.11")
        ],
    },
    "poolgroup": {
        **MADE,
        "cloud_config_cksum": "1",
        "implicit_priority_labels": True,
        "members": [
            {"pool_ref": "/api/pool?name=p2", "priority_label": "foo.com/", "ratio": 100},
            {"pool_ref": "/api/pool?name=p1", "priority_label": "foo.com/a", "ratio": 100},
        ],
    },
    "httppolicyset": {
        **MADE,
        "cloud_config_cksum": "1",
        "http_request_policy": {
            "rules": [
                {
                    **RULE,
                    "switching_action": {
                        "action": "HTTP_SWITCHING_SELECT_POOLGROUP",
                        "pool_group_ref": reference("poolgroup", "g"),
                        "pool_ref": reference("pool", "p"),
                        "server": {"hostname": "h"},
                        "file": {"content_type": "t"},
                        "status_code": "HTTP_LOCAL_RESPONSE_STATUS_CODE_404",
                    },
                    "redirect_action": {
                        "port": 443,
                        "protocol": "HTTPS",
                        "status_code": "HTTP_REDIRECT_STATUS_CODE_301",
                        "keep_query": False,
                        "host": {"type": "URI_PARAM_TYPE_TOKENIZED"},
                        "path": {"type": "URI_PARAM_TYPE_TOKENIZED"},
                        "add_string": "x",
                    },
                    "hdr_action": [{"action": "HTTP_REPLACE_HDR"}],
                    "rewrite_url_action": {"query": {"keep_query": True}},
                }
            ]
        },
        "http_security_policy": {"rules": [{**RULE, "action": {"action": "HTTP_SECURITY_ACTION_CLOSE_CONN"}}]},
    },
    "l4policyset": {
        **MADE,
        "l4_connection_policy": {
            "rules": [
                {
                    "name": "/api/pool?name=p",
                    "index": 3,
                    "enable": False,
                    "match": {
                        "port": {"match_criteria": "IS_IN", "ports": [80]},
                        "protocol": {"match_criteria": "IS_IN", "protocol": "PROTOCOL_TCP"},
                        "client_ip": {
                            "match_criteria": "IS_IN",
                            "prefixes": [subnet("10.0.0.0/8"), subnet("2001:db8::/32")],
                            "addrs": [{"n": 3}],
                            "ranges": [{"n": 2}],
                            "group_refs": [reference("ipaddrgroup", "g")],
                        },
                    },
                    "action": {
                        "select_pool": {
                            "action_type": "L4_RULE_ACTION_SELECT_POOL",
                            "pool_ref": "/api/pool?name=p",
                            "pool_group_ref": reference("poolgroup", "g"),
                        }
                    },
                }
            ]
        },
    },
    "vsdatascriptset": {
        **MADE,
        "datascript": [{"evt": "VS_DATASCRIPT_EVT_HTTP_REQ", "script": "avi.poolgroup.select('c1--x')"}],
        "pool_group_refs": [reference("poolgroup", "c1--x")],
        "protocol_parser_refs": [reference("protocolparser", "Default-TLS")],
    },
    "sslkeyandcertificate": {
        **MADE,
        "type": "SSL_CERTIFICATE_TYPE_CA",
        "certificate": {"certificate": PEM},
        "key": "KEY-TEXT",
        "ca_certs": [{"name": "ca", "ca_ref": reference("sslkeyandcertificate", "ca")}],
    },
}

Path_ = tuple[str, ...]


def fresh(body: dict[str, Any]) -> Any:
    """A copy in which no two fields share a part."""
    return json.loads(json.dumps(body))


def leaves(kind: Kind, path: Path_ = ()) -> Iterator[tuple[Path_, Kind, str]]:
    """(path, kind, mode) of every field that has no table of its own; ALONG holds for all below."""
    inner = kind.item if isinstance(kind, Listed) else kind
    if not isinstance(inner, Struct):
        yield path, kind, kind.mode
        return
    for name, part in inner.table.items():
        for below, leaf, mode in leaves(part, (*path, name)):
            yield below, leaf, ALONG if part.mode == ALONG else mode


def all_leaves() -> list[Any]:
    found = []
    for type_, table in owned.TABLES.items():
        for path, kind, mode in leaves(table):
            found.append(pytest.param(type_, path, kind, mode, id=f"{type_}-{'.'.join(path)}"))
    return found


def holder(body: Any, path: Path_) -> dict[str, Any]:
    """The structure that holds the last field of a path; of a list, its first element."""
    for name in path[:-1]:
        body = body[name]
        body = body[0] if isinstance(body, list) else body
    return body


def other(kind: Kind, value: Any) -> Any:
    """Another value of the same kind that does not mean absence."""
    if isinstance(kind, Listed) and not isinstance(value[0], dict):
        return [*value[1:], other(kind.item, value[0])]
    if isinstance(kind, Subnet):
        return subnet("10.99.0.0/16")
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1000
    if isinstance(value, str):
        return json.dumps({"pool_ratio": 1}) if value.startswith("{") else value + "x"
    if isinstance(value, dict) and "addr" in value:
        return address("10.99.0.9")
    if isinstance(value, list) and "fqdn" in value[0]:
        return [{"fqdn": "z.com"}]
    if isinstance(value, list) and "values" in value[0]:
        return [{**value[0], "values": ["other"]}]
    return {**value, "n": 1} if isinstance(value, dict) else [*value, {"n": 1}]


def put(type_: str, actual: dict[str, Any], wanted: dict[str, Any], differing: list[str]) -> dict[str, Any]:
    """The object after the PUTs that those differences need: the VIP of a vsvip has one of its own."""
    vip = "vip" in differing
    if differing != ["vip"]:
        actual = answer(type_, owned.overlay(type_, actual, wanted))
    return answer(type_, owned.overlay(type_, actual, wanted, vip=True)) if vip else actual


@pytest.mark.parametrize(("type_", "body"), golden_bodies())
def test_what_ako_sends_equals_what_a_controller_makes_of_it(type_: str, body: dict[str, Any]) -> None:
    """Expects no difference between a recorded body and the answer to it, whatever the controller does to spellings."""
    extract = owned.extract(type_, answer(type_, body))
    assert owned.differs(type_, body, json.loads(json.dumps(extract))) == []


@pytest.mark.parametrize(("type_", "body"), golden_bodies())
def test_every_field_that_ako_sends_is_in_a_table(type_: str, body: dict[str, Any]) -> None:
    """Expects that each recorded field, at any depth, is known; an unknown one would raise."""
    assert owned.differs(type_, body, {})


@pytest.mark.parametrize("type_", sorted(owned.TABLES))
def test_the_full_bodies_hold_exactly_the_fields_of_the_tables(type_: str) -> None:
    """Expects a sample for each owned field and a field for each sample, so that neither can be lost unnoticed."""
    owned.differs(type_, FULL[type_], {})
    for path, _, _ in leaves(owned.TABLES[type_]):
        assert path[-1] in holder(FULL[type_], path), path
    assert sorted(FULL) == sorted(owned.TABLES)


@pytest.mark.parametrize("type_", sorted(owned.TABLES))
def test_a_full_body_equals_its_answer(type_: str) -> None:
    """Expects no difference when every owned field is set."""
    assert owned.differs(type_, FULL[type_], owned.extract(type_, answer(type_, FULL[type_]))) == []


@pytest.mark.parametrize(("type_", "path", "kind", "mode"), all_leaves())
def test_a_changed_field_is_seen_and_written(type_: str, path: Path_, kind: Kind, mode: str) -> None:
    """Expects that another value of any compared field is a difference, and that the PUT ends it."""
    wanted = fresh(FULL[type_])
    holder(wanted, path)[path[-1]] = other(kind, holder(wanted, path)[path[-1]])
    actual = answer(type_, FULL[type_])
    found = owned.differs(type_, wanted, owned.extract(type_, actual))
    if mode == ALONG:
        assert found == []
        return
    assert found
    assert all(".".join(path).startswith(part) for part in found)
    after = put(type_, actual, wanted, found)
    assert owned.differs(type_, wanted, owned.extract(type_, after)) == []


@pytest.mark.parametrize(("type_", "path", "kind", "mode"), all_leaves())
def test_a_field_that_was_set_and_is_unset_is_gone(type_: str, path: Path_, kind: Kind, mode: str) -> None:
    """Expects that an owned field which is wanted no more is a difference, and that the PUT takes it away."""
    wanted = fresh(FULL[type_])
    del holder(wanted, path)[path[-1]]
    actual = answer(type_, FULL[type_])
    found = owned.differs(type_, wanted, owned.extract(type_, actual))
    if mode in (ALONG, GIVEN):
        assert found == []
        return
    assert found
    after = put(type_, actual, wanted, found)
    assert owned.differs(type_, wanted, owned.extract(type_, after)) == []


@pytest.mark.parametrize(("type_", "path", "kind", "mode"), all_leaves())
def test_a_field_set_behind_our_back_is_seen(type_: str, path: Path_, kind: Kind, mode: str) -> None:
    """Expects that a compared field edited on the controller is a difference although no checksum changed."""
    edited = fresh(FULL[type_])
    holder(edited, path)[path[-1]] = other(kind, holder(edited, path)[path[-1]])
    found = owned.differs(type_, FULL[type_], owned.extract(type_, answer(type_, edited)))
    assert bool(found) == (mode != ALONG)


@pytest.mark.parametrize("type_", sorted(owned.TABLES))
def test_what_is_not_ours_travels_through_a_put(type_: str) -> None:
    """Expects identity, stamp and a user's own fields in the PUT as they were read, and the read object unchanged."""
    read = {**answer(type_, FULL[type_]), "uuid": "u-1", "url": "https://x", "_last_modified": "7", "description": "hi"}
    before = copy.deepcopy(read)
    wanted = {"name": "c1--x", "markers": [{"key": "clustername", "values": ["other"]}]}
    body = owned.overlay(type_, read, wanted)
    assert {name: body[name] for name in ("uuid", "url", "_last_modified", "description")} == {
        name: read[name] for name in ("uuid", "url", "_last_modified", "description")
    }
    assert body["tenant_ref"] == read["tenant_ref"]
    assert body["markers"] == wanted["markers"]
    assert read == before


def test_an_unknown_field_is_a_defect_of_ours() -> None:
    """Expects ValueError for a field of a body that no table holds, at the top and inside."""
    with pytest.raises(ValueError, match="bogus"):
        owned.differs("pool", {"name": "p", "bogus": 1}, {})
    with pytest.raises(ValueError, match="nested"):
        owned.differs("pool", {"name": "p", "servers": [{"nested": 1}]}, {})


def test_a_type_that_we_do_not_make_is_refused() -> None:
    """Expects KeyError for a type without a table."""
    with pytest.raises(KeyError):
        owned.extract("network", {"name": "n"})


def test_a_server_keeps_what_others_added_to_it() -> None:
    """Expects a server's ratio, set by a user, to live through a PUT that adds and disables servers."""
    body = {"name": "p", "servers": [{"ip": address("2001:db8::a"), "port": 80}]}
    actual = answer("pool", body)
    actual["servers"][0]["ratio"] = 7
    wanted = {
        "name": "p",
        "servers": [
            {"ip": address("2001:db8::b"), "port": 80},
            {"ip": address("2001:db8::a"), "port": 80, "enabled": False},
        ],
    }
    assert owned.differs("pool", wanted, owned.extract("pool", actual)) == ["servers"]
    first, second = owned.overlay("pool", actual, wanted)["servers"]
    assert "ratio" not in first
    assert (second["ratio"], second["enabled"]) == (7, False)


def test_an_equal_field_keeps_the_spelling_that_was_read() -> None:
    """Expects a PUT for another field to carry the VIP network, references and order as the controller has them."""
    actual = answer("pool", FULL["pool"])
    actual["servers"].reverse()
    body = owned.overlay("pool", actual, {**FULL["pool"], "sni_enabled": False})
    assert body["servers"] == actual["servers"]
    assert body["placement_networks"] == actual["placement_networks"]
    assert body["vrf_ref"] == actual["vrf_ref"]


@given(st.randoms(use_true_random=False), st.sampled_from(sorted(owned.TABLES)))
@settings(max_examples=60, deadline=None)
def test_order_means_nothing_where_lists_are_sets(random: Any, type_: str) -> None:
    """Expects no difference however the lists of an answer are ordered."""
    obj = answer(type_, FULL[type_])

    def shuffle(value: Any) -> None:
        if isinstance(value, list):
            random.shuffle(value)
        for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            shuffle(part)

    shuffle(obj)
    assert owned.differs(type_, FULL[type_], owned.extract(type_, obj)) == []


@pytest.mark.parametrize(
    "spelling",
    [
        "https://10.0.0.1/api/network/{uuid}#net1",
        "https://10.0.0.1/api/network/{uuid}/#net1",
        "/api/network/{uuid}#net1",
    ],
)
def test_references_are_equal_by_object(spelling: str) -> None:
    """Expects a reference wanted by name or by uuid to equal the answered one, and another uuid not to."""
    uuid = uuid_of("network", "net1")
    read = {"placement_networks": [{"network_ref": spelling.format(uuid=uuid), "subnet": subnet("10.0.0.0/8")}]}
    extract = owned.extract("pool", read)
    for text, equal in (
        ("/api/network/?name=net1", True),
        ("/api/network?name=net1", True),
        (f"/api/network/{uuid}", True),
        ("/api/network/network-other", False),
        ("/api/network/?name=net2", False),
    ):
        wanted = {"placement_networks": [{"network_ref": text, "subnet": subnet("10.0.0.0/8")}]}
        assert (owned.differs("pool", wanted, extract) == []) is equal, text


def test_names_that_an_answer_lacks_are_learned_from_what_was_sent() -> None:
    """Expects an answer without `include_name` to compare equal once the sent body supplies the names."""
    sent = {"name": "g", "members": [{"pool_ref": "/api/pool?name=p1", "ratio": 100}]}
    bare = {"name": "g", "members": [{"pool_ref": "https://10.0.0.1/api/pool/pool-1", "ratio": 100}]}
    assert owned.differs("poolgroup", sent, owned.extract("poolgroup", bare)) == ["members"]
    full = {"name": "g", "members": [{"pool_ref": "https://10.0.0.1/api/pool/pool-1#p1", "ratio": 100}]}
    assert owned.extract("poolgroup", bare, full) == owned.extract("poolgroup", bare, sent)
    extract = owned.extract("poolgroup", bare, sent)
    assert owned.differs("poolgroup", sent, extract) == []
    assert extract[owned.NAMES] == {"pool-1": "p1"}


@pytest.mark.parametrize(
    ("read", "wanted", "equal"),
    [
        (subnet("2001:DB8:0:0:0:0:0:0/64"), subnet("2001:db8::/64"), True),
        (subnet("2001:db8::/64"), subnet("2001:db8::1:2/64"), True),
        (subnet("2001:db8::/64"), subnet("2001:db8::/65"), False),
        (subnet("10.1.0.0/16"), subnet("10.1.2.3/16"), True),
        (subnet("10.1.0.0/16"), subnet("10.2.0.0/16"), False),
    ],
)
def test_networks_are_equal_by_value(read: dict[str, Any], wanted: dict[str, Any], equal: bool) -> None:
    """Expects host bits and the style of IPv6 text to mean nothing, the mask and the network everything."""
    extract = owned.extract("pool", {"placement_networks": [{"subnet": read}]})
    found = owned.differs("pool", {"placement_networks": [{"subnet": wanted}]}, extract)
    assert (found == []) is equal


def test_metadata_compares_as_json() -> None:
    """Expects key order, blanks, null for an empty list and the order of hosts to mean nothing."""
    read = {
        "service_metadata": '{ "hostnames": ["b", "a"], "pool_ratio": 100, "gateway": "", "namespace_svc_name": [] }'
    }
    extract = owned.extract("pool", read)
    same = '{"namespace_svc_name":null,"pool_ratio":100,"hostnames":["a","b"],"crd_status":{"type":""}}'
    assert owned.differs("pool", {"service_metadata": same}, extract) == []
    assert owned.differs("pool", {"service_metadata": same.replace("100", "99")}, extract) == ["service_metadata"]
    broken = owned.extract("pool", {"service_metadata": "edited by hand"})
    assert owned.differs("pool", {"service_metadata": same}, broken) == ["service_metadata"]


def test_a_script_of_ako_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expects AKO's script, or a digest in its place, to equal ours and to stay in a PUT; an edited one not."""
    known = fields.digest_of("select('%s')").removeprefix("sha256:")
    monkeypatch.setattr(fields, "AKO_SCRIPT_DIGESTS", frozenset({known}))
    wanted = FULL["vsdatascriptset"]
    for text, equal in (("select('c1--x')", True), ("sha256:12ab", True), ("select('c1--y')", False)):
        read = answer("vsdatascriptset", wanted)
        read["datascript"][0]["script"] = text
        found = owned.differs("vsdatascriptset", wanted, owned.extract("vsdatascriptset", read))
        assert (found == []) is equal, text
        if equal:
            other_groups = {**wanted, "pool_group_refs": [reference("poolgroup", "more")]}
            assert owned.overlay("vsdatascriptset", read, other_groups)["datascript"] == read["datascript"]


def test_the_known_script_digest_is_the_published_one() -> None:
    """Expects the digest of AKO's shared insecure script, to the last digit."""
    assert frozenset({"ba7738a2c05a2ca103cfb45ef68a70ae470878cf3ad66599e0a3698e8f4c4ea0"}) == fields.AKO_SCRIPT_DIGESTS


def test_an_extract_holds_no_key_and_no_certificate_text() -> None:
    """Expects only digests of certificates in what the ledger keeps, and the key nowhere."""
    text = json.dumps(
        owned.extract("sslkeyandcertificate", answer("sslkeyandcertificate", FULL["sslkeyandcertificate"]))
    )
    assert "KEY-TEXT" not in text
    assert "BEGIN" not in text
    assert "sha256:" in text


def test_a_certificate_equals_its_digest_whatever_surrounds_it() -> None:
    """Expects a body with a digest to equal a PEM text with other blanks around it."""
    digest = Digest().canon(PEM.strip(), fields.Context({}, {}))
    wanted = {"certificate": {"certificate": digest}}
    extract = owned.extract("sslkeyandcertificate", {"certificate": {"certificate": f"\n{PEM}\n\n", "issuer": {}}})
    assert owned.differs("sslkeyandcertificate", wanted, extract) == []
    assert owned.differs("sslkeyandcertificate", {"certificate": {"certificate": "sha256:00"}}, extract) == [
        "certificate.certificate"
    ]


def vsvip(*families: str, network: str = "net1", fqdns: tuple[str, ...] = ("a.com",)) -> dict[str, Any]:
    place: dict[str, Any] = {"network_ref": reference("network", network)}
    vip: dict[str, Any] = {"vip_id": "0", "auto_allocate_ip": True, "ipam_network_subnet": place}
    if "4" in families:
        place["subnet"] = subnet("10.10.0.0/16")
    if "6" in families:
        place["subnet6"] = subnet("2001:db8:10::/64")
        vip["auto_allocate_ip_type"] = "V4_V6" if "4" in families else "V6_ONLY"
    return {"name": "v", "dns_info": [{"fqdn": fqdn} for fqdn in fqdns], "vip": [vip]}


def test_a_dns_put_carries_the_vip_as_read() -> None:
    """Expects allocated addresses untouched, entries of dns_info that stay as they were, even if the VIP differs."""
    actual = answer("vsvip", vsvip("4"))
    actual["dns_info"][0]["ttl"] = 30
    body = owned.overlay("vsvip", actual, vsvip("4", "6", fqdns=("a.com", "b.com")))
    assert body["vip"] == actual["vip"]
    assert body["dns_info"] == [{"fqdn": "a.com", "ttl": 30}, {"fqdn": "b.com"}]


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (vsvip("4"), vsvip("4", "6"), {"ip_address"}),
        (vsvip("6"), vsvip("4", "6"), {"ip6_address"}),
        (vsvip("4", "6"), vsvip("6"), {"ip6_address"}),
        (vsvip("4", "6"), vsvip("4"), {"ip_address"}),
        (vsvip("4"), vsvip("6"), set()),
        (vsvip("4", "6"), vsvip("4", "6", network="net2"), set()),
    ],
)
def test_a_change_of_the_vip_keeps_the_address_of_a_family_that_stays(
    before: dict[str, Any], after: dict[str, Any], kept: set[str]
) -> None:
    """Expects one difference, `vip`, and a PUT that gives up only addresses whose family or network goes."""
    actual = answer("vsvip", before)
    assert owned.differs("vsvip", after, owned.extract("vsvip", actual)) == ["vip"]
    body = owned.overlay("vsvip", actual, {**after, "dns_info": []}, vip=True)
    assert body["dns_info"] == actual["dns_info"]
    vip = body["vip"][0]
    assert {name for name in ("ip_address", "ip6_address") if name in vip} == kept
    assert owned.differs("vsvip", after, owned.extract("vsvip", answer("vsvip", body))) == []


def test_allocated_addresses_are_no_difference_and_asked_ones_are() -> None:
    """Expects an allocated address to be the controller's, and a wanted static one to be compared by value."""
    extract = owned.extract("vsvip", answer("vsvip", vsvip("4", "6")))
    wanted = vsvip("4", "6")
    assert owned.differs("vsvip", wanted, extract) == []
    wanted["vip"][0]["ip6_address"] = address("2001:db8:10::10")
    assert owned.differs("vsvip", wanted, extract) == []
    wanted["vip"][0]["ip6_address"] = address("2001:db8:10::99")
    assert owned.differs("vsvip", wanted, extract) == ["vip"]


def test_vips_are_read_by_family() -> None:
    """Expects canonical addresses by family, and floating ones alone where there are any."""
    obj = answer("vsvip", vsvip("4", "6"))
    assert owned.vips(obj) == {"v4": ["10.10.1.10"], "v6": ["2001:db8:10::10"]}
    obj["vip"][0]["floating_ip"] = address("192.0.2.1")
    assert owned.vips(obj) == {"v4": ["192.0.2.1"], "v6": []}
    assert owned.vips({"name": "empty"}) == {"v4": [], "v6": []}


def test_references_name_what_we_make_and_nothing_else() -> None:
    """Expects the same references of a body and of its answer: our types only, each once."""
    expected = [("poolgroup", "g"), ("pool", "p"), ("sslkeyandcertificate", "b"), ("sslkeyandcertificate", "c")]
    expected += [("httppolicyset", "h"), ("l4policyset", "l"), ("vsdatascriptset", "d"), ("virtualservice", "parent")]
    expected += [("vsvip", "v")]
    body = FULL["virtualservice"]
    assert owned.references("virtualservice", body) == sorted(expected)
    assert owned.references("virtualservice", answer("virtualservice", body)) == sorted(expected)
    assert owned.references("httppolicyset", FULL["httppolicyset"]) == [("pool", "p"), ("poolgroup", "g")]


def test_scripts_are_compared_in_the_order_they_run() -> None:
    """Expects datascripts, alone among the lists, to mean a sequence."""
    first, second = {"evt": "A", "script": "1"}, {"evt": "B", "script": "2"}
    extract = owned.extract("vsdatascriptset", {"datascript": [first, second]})
    assert owned.differs("vsdatascriptset", {"datascript": [second, first]}, extract) == ["datascript"]
    assert isinstance(owned.VSDATASCRIPTSET["datascript"].item.table["script"], Script)
    assert isinstance(owned.POOLGROUP["members"].item.table["pool_ref"], Ref)


PERSISTENCE = "application_persistence_profile_ref"


def test_a_persistence_profile_is_ours_only_while_it_is_the_one_that_we_write() -> None:
    """Expects that ours goes when it is no longer wanted, and that a user's stays through a PUT of something else."""
    ours = answer("pool", {**FULL["pool"], PERSISTENCE: FULL["pool"][PERSISTENCE]})
    plain = {name: part for name, part in FULL["pool"].items() if name != PERSISTENCE}
    assert owned.differs("pool", plain, owned.extract("pool", ours)) == [PERSISTENCE]
    assert PERSISTENCE not in owned.overlay("pool", ours, plain)
    theirs = answer("pool", {**plain, PERSISTENCE: "/api/applicationpersistenceprofile/?name=mine"})
    assert owned.differs("pool", plain, owned.extract("pool", theirs)) == []
    assert owned.overlay("pool", theirs, {**plain, "sni_enabled": False})[PERSISTENCE] == theirs[PERSISTENCE]
