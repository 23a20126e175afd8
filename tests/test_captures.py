"""What README shows is what the program prints."""

from __future__ import annotations

from tests.captures import masked, shown, taken


def test_the_page_shows_what_is_printed() -> None:
    """Table of the demo and `ako status`, but for addresses, ages and names; `python -m tests.captures` writes them."""
    page, now = shown(), taken()
    assert page.keys() == now.keys()
    for name, text in now.items():
        assert masked(page[name]) == masked(text), name


def test_masking_leaves_what_matters() -> None:
    """Another host, state or number of servers is seen; another address or age is not."""
    line = "shop/shop  shop.example.com  10.10.1.12  2001:db8:10::12  v6 3/3  30 s ago  served"
    assert masked(line) == masked(line.replace("1.12", "1.13").replace("30 s", "2 min").replace("  ", "   "))
    for other in (line.replace("shop.ex", "chop.ex"), line.replace("3/3", "2/3"), line.replace("served", "held")):
        assert masked(other) != masked(line)
