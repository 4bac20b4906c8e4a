"""What the demo's warehouses hold: enough of most SKUs, nothing of a few, and some in the wrong place."""

import functools
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, replace

from demo.orders import Order, Slice, load, share

CD, GZ = "CD", "GZ"
WAREHOUSES = {
    CD: {"name": "成都仓", "region": "西南", "province_code": "51"},
    GZ: {"name": "广州仓", "region": "华南", "province_code": "44"},
}
# A unit costs the shop so much of the price it asks most often; a line sold far cheaper is sold below cost.
COST_PERCENT = 70
# Numbers that begin with 20 are for a shop's own use, so they can never be anybody's registered barcode.
OWN_USE_PREFIX = "20"
LIGHTEST_GRAMS, GRAMS_LIMIT, FEN_PER_GRAM = 10, 400, 60
# What the platforms' shops sell: neither rare nor so common that every own order moves what all of them offer.
LISTED_SKUS, LISTED_ORDERS_MIN, LISTED_ORDERS_MAX, LISTED_UNITS = 8, 8, 20, 3_000
GONE_SKUS, GONE_ORDERS_MIN, GONE_ORDERS_MAX = 14, 3, 9
MISPLACED_SKUS, MISPLACED_ORDERS_MIN, MISPLACED_ORDERS_MAX = 24, 5, 12


@dataclass(frozen=True)
class Sku:
    """One SKU. `gone`: nothing is there at first. `only_in`: all of it is in this warehouse, else each has enough.

    `cured`: the missing goods come in while the demo plays, as a receipt or as a transfer; otherwise orders stay short
    or blocked to the end. `listed`: the platforms' shops sell it too, and each warehouse has so much more of it.
    """

    sku: str
    title: str
    cost_fen: int
    weight_grams: int
    barcode: str
    demand_units: int
    gone: bool = False
    only_in: str = ""
    cured: bool = False
    listed: bool = False

    @property
    def on_hand(self) -> dict[str, int]:
        """Units at the start, by warehouse."""
        if self.gone:
            return {}
        units = self.demand_units + LISTED_UNITS * self.listed
        return {name: units for name in WAREHOUSES if self.only_in in ("", name)}


@functools.cache
def plan() -> dict[str, Sku]:
    """Return every SKU of the demo.

    Who gets the last unit depends on who asks first, and who asks first depends on the machine. So no SKU has a last
    unit: each has either nothing, or at least what all orders together want. Whichever way the orders run, the same
    ones are short, and the same ones are blocked.
    """
    data = load()
    orders_of: dict[str, list[Order]] = {}
    for order in data.orders:
        for sku in order.units:
            orders_of.setdefault(sku, []).append(order)
    ordinary = sorted(
        (sku for sku, orders in orders_of.items() if not any(order.brushing_day for order in orders)),
        key=lambda sku: (share("scarce", sku, 2**32), sku),
    )
    gone = _pick(ordinary, orders_of, GONE_SKUS, GONE_ORDERS_MIN, GONE_ORDERS_MAX)
    rest = [sku for sku in ordinary if sku not in gone]
    misplaced = _pick(rest, orders_of, MISPLACED_SKUS, MISPLACED_ORDERS_MIN, MISPLACED_ORDERS_MAX)
    rest = [sku for sku in rest if sku not in misplaced]
    listed = _pick(rest, orders_of, LISTED_SKUS, LISTED_ORDERS_MIN, LISTED_ORDERS_MAX)
    return {
        sku: replace(_sku(sku, orders, data, gone, misplaced), listed=sku in listed)
        for sku, orders in sorted(orders_of.items())
    }


def _pick(skus: Iterable[str], orders_of: dict[str, list[Order]], count: int, least: int, most: int) -> list[str]:
    return [sku for sku in skus if least <= len(orders_of[sku]) <= most][:count]


def _sku(sku: str, orders: list[Order], data: Slice, gone: list[str], misplaced: list[str]) -> Sku:
    price = statistics.mode(line.unit_price_fen for order in orders for line in order.lines if line.sku == sku)
    place = (gone if sku in gone else misplaced).index(sku) if sku in gone or sku in misplaced else 0
    # Three of four misplaced SKUs lie in the smaller warehouse: most orders come from the larger one's area.
    only_in = (GZ if place % 4 == 3 else CD) if sku in misplaced else ""
    return Sku(
        sku=sku,
        title=data.titles[sku],
        cost_fen=max(1, price * COST_PERCENT // 100),
        weight_grams=min(GRAMS_LIMIT, LIGHTEST_GRAMS + price // FEN_PER_GRAM),
        barcode=barcode_of(sku),
        demand_units=sum(order.units[sku] for order in orders),
        gone=sku in gone,
        only_in=only_in,
        cured=(sku in gone or sku in misplaced) and place % 3 != 2,
    )


def barcode_of(sku: str) -> str:
    """Return the SKU's EAN-13: five digits of the stock code, then its letters as a number."""
    letters = 0
    for letter in sku[5:]:
        letters = letters * 27 + ord(letter) - ord("A") + 1
    digits = f"{OWN_USE_PREFIX}{sku[:5]}{letters:05d}"
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-weighted % 10}"
