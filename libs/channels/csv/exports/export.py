"""What has to be known of a platform's export: its headings, its units, and how to make it so that it can be read."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Export:
    """One platform's order export, a row an order line. Headings are compared as `normal` writes them.

    Besides the columns of an order file there are: `status` (rows of orders that are not to be placed), `goods_total`
    (price times quantity of the row), `due` (what the row's goods cost after every discount), `row_total` (what the
    row costs with freight) and `row_freight` (the order's freight, on one row or on each).
    """

    platform: str
    signs: tuple[frozenset[str], ...]  # the file is this platform's when it has all headings of one of them
    headings: Mapping[str, tuple[str, ...]]  # our column: its headings, the first that holds something counts
    sums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # our column: headings that are added up
    left_out: tuple[str, ...] = ()  # words in the status of rows that say nothing: unpaid, closed, refunded
    shipped: tuple[str, ...] = ()  # words in the status of rows whose goods have left: they say nothing either
    money: Literal["yuan", "fen"] = "yuan"
    times: Literal["clock", "seconds"] = "clock"
    address_holds_divisions: bool = False  # "province city district street" in one cell, divided by blanks
    advice: str = ""  # how to export so that nothing is missing


def normal(heading: str) -> str:
    """Return a heading without what exports vary: widths of brackets, blanks, tabs, quotes, capitals."""
    plain = unicodedata.normalize("NFKC", heading).casefold()
    return "".join(plain.split()).lstrip("\ufeff").strip("=\"'")


def signs(*groups: tuple[str, ...]) -> tuple[frozenset[str], ...]:
    """Return groups of headings as they are compared."""
    return tuple(frozenset(normal(heading) for heading in group) for group in groups)
