"""Every number derived from a pool: ATP, what may be sold, what may be shipped, what sells a day; integers only."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from contracts.stock import SkuQuantity, StockLine, WarehouseShippable
from libs.decide import State
from services.inventory.domain.rows import ANYWHERE, Level, Pool

PERCENT = 100
# A merchant's day ends at midnight in China, whatever the server's clock is set to.
SALES_DAY_UTC_OFFSET_S = 8 * 3600
DAY_S = 86_400


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The service's knobs, as the decisions see them. `levels_every_ms` 0: levels are told with every batch."""

    safety_percent: int = 150
    sales_window_days: int = 7
    lead_cover_days: int = 7
    retry_limit_orders: int = 100
    recheck_after_ms: int = 5_000
    elsewhere_every_ms: int = 300_000
    levels_every_ms: int = 0


def inbound_units(pool: Pool) -> int:
    """Return all units on their way, whether bought or moved between our own warehouses."""
    return pool.inbound + pool.in_transit


def effective_points(pool: Pool) -> int:
    """Return inbound units x yield percent, exactly; a transfer counts whole."""
    return pool.inbound_points + pool.in_transit * PERCENT


def effective_inbound(pool: Pool) -> int:
    """Return inbound x yield in units: the floor of the sum, not the sum of floors."""
    return effective_points(pool) // PERCENT


def atp(pool: Pool) -> int:
    """Return on hand - reserved + inbound x yield."""
    return pool.on_hand - pool.reserved + effective_inbound(pool)


def sellable_inbound(pool: Pool) -> int:
    """Return the part of inbound that policy lets us promise before it arrives."""
    return effective_points(pool) * pool.sellable_inbound_percent // (PERCENT * PERCENT)


def sellable(pool: Pool) -> int:
    """Return what a new order may be promised now."""
    free = pool.on_hand - pool.reserved + pool.allowance
    if pool.sellable_inbound_percent:
        free += sellable_inbound(pool)
    return free if free > 0 else 0


def backing(pool: Pool) -> int:
    """Return what promises already made may lean on: a transfer keeps backing them while it is on the road."""
    bought = pool.inbound_points * pool.sellable_inbound_percent // (PERCENT * PERCENT)
    return pool.on_hand + pool.in_transit + pool.allowance + bought


def face_deficit(pool: Pool) -> None:
    """Say what is owed but absent after a correction. Only operators' decisions call this: no reservation may."""
    pool.deficit = max(0, pool.reserved - backing(pool))


def ease_deficit(pool: Pool) -> None:
    """Let the deficit fall, never rise: what reserving may call without blunting the constraint behind it."""
    if pool.deficit:
        pool.deficit = min(pool.deficit, max(0, pool.reserved - backing(pool)))


def free_at(level: Level | None) -> int:
    """Return what a warehouse could still give to a new parcel."""
    if level is None or level.on_hand <= level.assigned:
        return 0
    return level.on_hand - level.assigned


def free_in(pool: Pool, warehouse: str) -> int:
    """Return what a warehouse, or all of them together, could still give to new parcels."""
    if warehouse == ANYWHERE:
        return sum([free_at(level) for level in pool.warehouses.values()])
    return free_at(pool.warehouses.get(warehouse))


def level_at(pool: Pool, warehouse: str) -> Level:
    """Return the warehouse's share of the pool, beginning it if there was none."""
    level = pool.warehouses.get(warehouse)
    if level is None:
        level = pool.warehouses[warehouse] = Level()
    return level


def quantities(lines: Iterable[StockLine | SkuQuantity]) -> dict[str, int]:
    """Return units by SKU, the same SKU on several lines summed, in the lines' order."""
    wanted: dict[str, int] = {}
    for line in lines:
        wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
    return wanted


def shippable(wanted: dict[str, int], state: State) -> list[WarehouseShippable]:
    """Return what each warehouse could ship of `wanted` now; warehouses with nothing are left out."""
    by_warehouse: dict[str, list[SkuQuantity]] = {}
    for sku, quantity in wanted.items():
        pool = state.get(Pool, sku)
        if pool is None:
            continue
        for warehouse, level in pool.warehouses.items():
            free = level.on_hand - level.assigned
            if free > 0:
                item = SkuQuantity(sku=sku, quantity=quantity if quantity < free else free)
                by_warehouse.setdefault(warehouse, []).append(item)
    return [WarehouseShippable(warehouse=name, items=by_warehouse[name]) for name in sorted(by_warehouse)]


def sales_day_of(now: datetime) -> int:
    """Return the number of the merchant's day that `now` falls in."""
    return int(now.timestamp() + SALES_DAY_UTC_OFFSET_S) // DAY_S


def roll_sales(pool: Pool, day: int, window_days: int) -> None:
    """Move the sales window on to `day`: newest day first, days without a sale count as zero."""
    if not pool.sales:
        pool.sales_since_day = pool.sales_day = day
        pool.sales = [0]
    elapsed_days = day - pool.sales_day
    if elapsed_days > 0:
        pool.sales = ([0] * min(elapsed_days, window_days) + pool.sales)[:window_days]
        pool.sales_day = day


def note_sale(pool: Pool, units: int, day: int, window_days: int) -> None:
    """Count units promised (or, negative, given back) on `day`."""
    if pool.sales_day != day or not pool.sales:
        roll_sales(pool, day, window_days)
    pool.sales[0] += units


def daily_sales_milli(pool: Pool, day: int, window_days: int) -> int:
    """Return thousandths of a unit a day: net units promised in the window / days seen in it (at least one)."""
    if not pool.sales:
        return 0
    roll_sales(pool, day, window_days)
    days = max(1, min(window_days, day - pool.sales_since_day + 1))
    return max(0, sum(pool.sales)) * 1000 // days


def explain(pool: Pool) -> dict[str, object]:
    """Return every term of a SKU's figures, as an operator reads them."""
    inbound = effective_inbound(pool)
    return {
        "sku": pool.sku,
        "on_hand": pool.on_hand,
        "reserved": pool.reserved,
        "inbound": inbound_units(pool),
        "inbound_effective": inbound,
        "atp": atp(pool),
        "formula": f"{pool.on_hand} on hand - {pool.reserved} reserved + {inbound} inbound x yield = {atp(pool)}",
        "sellable": sellable(pool),
        "sellable_inbound": sellable_inbound(pool),
        "deficit": pool.deficit,
        "policy": {
            "sellable_inbound_percent": pool.sellable_inbound_percent,
            "allowance": pool.allowance,
            "safety_percent": pool.safety_percent,
        },
        "below_safety_line": pool.crossed,
        "warehouses": [
            {
                "warehouse": name,
                "on_hand": level.on_hand,
                "assigned": level.assigned,
                "shippable": free_at(level),
                "deficit": level.deficit,
            }
            for name, level in sorted(pool.warehouses.items())
        ],
        "waiting_orders": {name or "pool": queue.length for name, queue in sorted(pool.waiting.items())},
    }
