"""The JSON Schema against the marshmallow schemas: it accepts all that they accept, and refuses every wrong type."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.settings.build import understand
from shared.settings.fields import Choice
from shared.settings.jsonschema import json_schema
from shared.settings.schema import SCHEMA, NodeNetworkRow, VipNetworkRow, keys
from shared.settings.sources import Document
from tests.shared.settings.table import BASE, at, file_of_ako, inner_types, over, wrong_types

VALIDATOR = jsonschema.Draft7Validator(json_schema())
WRONG = [*wrong_types(), *inner_types()]


def errors(values: Any) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(values)]


@pytest.mark.parametrize("line", WRONG, ids=[line.name for line in WRONG])
def test_each_wrong_type_is_refused_by_both(line: Any) -> None:
    """What the table has as a wrong type, the marshmallow schema refuses, and the JSON Schema does too."""
    assert understand(SCHEMA, Document(over(BASE, line.values)))[1]
    assert errors(over(BASE, line.values))


def test_the_file_of_ako_passes() -> None:
    """AKO's own file passes once the list that a site must fill in is filled in."""
    values = file_of_ako()
    assert [error.absolute_path[-1] for error in VALIDATOR.iter_errors(values)] == ["vipNetworkList"]
    assert errors(over(values, {"NetworkSettings": BASE["NetworkSettings"]})) == []


# Every key, and how a file with this value for it looks.
PLACES = {".".join(path): path for path, _ in keys(SCHEMA)}
for name, row in (("vipNetworkList", VipNetworkRow()), ("nodeNetworkList", NodeNetworkRow())):
    PLACES |= {f"{name}[0].{key.data_key}": (name, str(key.data_key)) for key in row.fields.values()}


def file_with(place: str, value: Any) -> Any:
    path = PLACES[place]
    if "[0]" in place:
        return over(BASE, {"NetworkSettings": {path[0]: [{"networkName": "net1", path[1]: value}]}})
    return over(BASE, at(path, value))


WORDS = sorted({word for _, key in keys(SCHEMA) if isinstance(key, Choice) for word in key.words} | {"true", "false"})
PLAUSIBLE = [
    "10.10.0.0/16", "10.10.3.4/16", "2001:DB8::/64", "2002::1234:abcd:ffff:c0a8:101/64", "example.com", ".example.com",
    "avi:443", "[::1]:443", "https://avi", "22.1.4", "30.2", "redis://h", "REDISS://:p@h:1/0", "unix:///s", "redis://",
    "a-b_C9", "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n",
]  # fmt: skip


def spelt(seed: int) -> str:
    """A word that some key knows, or a number, in some spelling and with blanks around it."""
    draw = random.Random(seed)
    number = draw.choice([str(draw.randrange(70_000)), f"{draw.random() * 400:.3f}", "007", "1.0"])
    word = draw.choice([number, *draw.sample(WORDS, 3), draw.choice(PLAUSIBLE)])
    word = draw.choice([word, word, word.upper(), word.lower(), word.title()])
    return draw.choice(["", "", " ", "\t", "\n"]) + word + draw.choice(["", "", " ", "\n", "\u00a0"])


SCALARS = (
    st.integers(0, 2**32).map(spelt)
    | st.integers(-2, 700_000)
    | st.floats(0, 700, width=32)
    | st.integers(0, 700).map(float)
    | st.booleans()
    | st.none()
    | st.text(max_size=8)
)
VALUES = SCALARS | SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=1)


def test_what_the_settings_accept_the_json_schema_accepts() -> None:
    """Of 4,000 values for any key, each that the marshmallow schema accepts is accepted by the JSON Schema as well."""
    seen: Counter[str] = Counter()

    @given(st.sampled_from(sorted(PLACES)), VALUES)
    @settings(max_examples=4_000, deadline=None)
    def check(place: str, value: Any) -> None:
        values = file_with(place, value)
        accepted = not understand(SCHEMA, Document(values))[1]
        if accepted:
            assert errors(values) == []
        seen["accepted" if accepted else "refused"] += 1

    check()
    print(dict(seen))
    assert seen["accepted"] >= 500
    assert seen["refused"] >= 1_000
