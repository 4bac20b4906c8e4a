"""Once a batch, per SKU: its newest numbers if they changed, and one warning when it falls under its safety line."""

from datetime import datetime

from contracts.stock_levels import SafetyLineCrossed, StockLevelChanged, WarehouseLevel
from libs.decide import Output, State
from services.inventory.domain import figures
from services.inventory.domain.figures import PERCENT, Policy
from services.inventory.domain.rows import Pool

MILLI = 1000


def settle(state: State, now: datetime, policy: Policy) -> list[Output]:
    """Publish every pool whose published figures changed in this batch, in the order of its first change."""
    outputs: list[Output] = []
    day = figures.sales_day_of(now)
    for pool in state.changed(Pool):
        if not pool.defined:
            continue
        figures_now = fingerprint(pool)
        if figures_now != pool.published:
            pool.published = figures_now
            outputs.append(_level(pool))
        line = safety_stock(pool, day, policy)
        below = figures.atp(pool) < line
        if below and not pool.crossed:
            outputs.append(_crossing(pool, line, day, policy))
        pool.crossed = below
    return outputs


def safety_stock(pool: Pool, day: int, policy: Policy) -> int:
    """Return the safety line in units, rounded up: safety percent x average daily sales."""
    percent = policy.safety_percent if pool.safety_percent is None else pool.safety_percent
    return _ceil(percent * figures.daily_sales_milli(pool, day, policy.sales_window_days), PERCENT * MILLI)


def fingerprint(pool: Pool) -> str:
    """Return every published figure as one short text, to tell whether any changed."""
    levels = ",".join(
        [f"{name}:{pool.warehouses[name].on_hand}:{pool.warehouses[name].assigned}" for name in sorted(pool.warehouses)]
    )
    units = figures.inbound_units(pool)
    return f"{pool.on_hand}|{pool.reserved}|{units}|{figures.atp(pool)}|{figures.sellable(pool)}|{levels}"


def _level(pool: Pool) -> StockLevelChanged:
    warehouses = [
        WarehouseLevel(warehouse=name, on_hand=pool.warehouses[name].on_hand, assigned=pool.warehouses[name].assigned)
        for name in sorted(pool.warehouses)
    ]
    return StockLevelChanged(
        sku=pool.sku,
        on_hand=pool.on_hand,
        reserved=pool.reserved,
        inbound=figures.inbound_units(pool),
        atp=figures.atp(pool),
        sellable=figures.sellable(pool),
        warehouses=warehouses,
    )


def _crossing(pool: Pool, line: int, day: int, policy: Policy) -> SafetyLineCrossed:
    """Suggest what brings ATP back to the line and covers the sales until the purchase arrives."""
    daily = figures.daily_sales_milli(pool, day, policy.sales_window_days)
    available = figures.atp(pool)
    return SafetyLineCrossed(
        sku=pool.sku,
        atp=available,
        safety_stock=line,
        daily_sales_milli=daily,
        suggested_purchase=line - available + _ceil(daily * policy.lead_cover_days, MILLI),
    )


def _ceil(amount: int, unit: int) -> int:
    return -(-amount // unit)
