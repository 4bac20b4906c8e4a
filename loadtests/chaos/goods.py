"""Which real orders are sent, and what the warehouses hold for them: plenty of most SKUs, too little of a few."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from demo.orders import Order, load
from demo.stock import barcode_of
from libs.runtime.clock import utc_now

CD, GZ = "CD", "GZ"
WAREHOUSES = {
    CD: {"name": "成都仓", "region": "西南", "province_code": "51"},
    GZ: {"name": "广州仓", "region": "华南", "province_code": "44"},
}
SKUS_LIMIT = 240
# The SKUs that most orders want are the ones that run out and come in again.
SCARCE_SKUS = 24
SCARCE_FIRST_PERCENT = 30
PLENTY_TIMES = 20
PROBE_SKU = "PROBE"
PROBE_UNITS = 1_000_000
# Counted and moved between warehouses, and in no order: so a count never takes away what an order was promised.
MOVED_SKUS = tuple(f"MOVED-{n}" for n in range(12))
MOVED_UNITS = 10_000


@dataclass(frozen=True)
class Assortment:
    """The orders that are sent in turn, and the units of each SKU that they want together."""

    orders: tuple[Order, ...]
    demand_units: dict[str, int]

    @property
    def scarce(self) -> list[str]:
        """The SKUs there is too little of, the most wanted first."""
        return list(self.demand_units)[:SCARCE_SKUS]

    def first_units(self, sku: str, expected_orders: int) -> dict[str, int]:
        """Return what each warehouse holds of a SKU at first."""
        wanted = max(1, self.demand_units[sku] * expected_orders // len(self.orders))
        if sku in self.scarce:
            return {CD: max(1, wanted * SCARCE_FIRST_PERCENT // 100)}
        return {CD: wanted * PLENTY_TIMES, GZ: wanted * PLENTY_TIMES}

    def units_of_a_receipt(self, sku: str, receipts_per_order: float) -> int:
        """Return so many units that receipts nearly keep up with demand."""
        each = self.demand_units[sku] / len(self.orders)
        return max(1, round(each * SCARCE_SKUS * 0.8 / receipts_per_order))


def assortment() -> Assortment:
    """Choose those of the demo's orders that hold only the SKUs which most orders hold."""
    orders = load().orders
    popular = Counter(sku for order in orders for sku in order.units)
    chosen = {sku for sku, _ in popular.most_common(SKUS_LIMIT)}
    kept = tuple(order for order in orders if order.units.keys() <= chosen)
    demand: Counter[str] = Counter()
    for order in kept:
        demand.update(order.units)
    ranked = sorted(demand, key=lambda sku: (-popular[sku], sku))
    return Assortment(kept, {sku: demand[sku] for sku in ranked})


def messages(goods: Assortment, prefix: str, dice: random.Random) -> Iterator[dict[str, Any]]:
    """Yield real orders for ever, each under a new id and with a buyer of its own round."""
    for number in range(1_000_000_000):
        order = goods.orders[dice.randrange(len(goods.orders))]
        now = utc_now().strftime("%Y-%m-%dT%H:%M:%SZ")
        message = order.message()
        message |= {"platform_order_id": f"{prefix}-{number}", "placed_at": now, "paid_at": now}
        if order.buyer:
            message["buyer"] = {"id": f"{order.buyer}-{number // len(goods.orders)}"}
        yield message


def probe_message(number: str) -> dict[str, Any]:
    """Return an order that nothing holds up: its way shows that the whole system works."""
    now = utc_now().strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "platform_order_id": number,
        "placed_at": now,
        "paid_at": now,
        "currency": "CNY",
        "buyer": {},
        "recipient": {
            "name": "演示收货人",
            "phone": "00000000000",
            "province": "湖北省",
            "city": "武汉市",
            "district": "洪山区",
            "address": "珞喻路1号",
        },
        "lines": [{"line_id": "1", "sku": PROBE_SKU, "quantity": 1, "unit_price": 2000}],
        "total": 2000,
    }


def facts_of(sku: str) -> dict[str, Any]:
    """Return what the catalogue says of a SKU."""
    barcode = barcode_of(sku) if sku[:5].isdigit() else sku
    return {"title": sku, "barcode": barcode, "cost": 1, "weight_grams": 100}
