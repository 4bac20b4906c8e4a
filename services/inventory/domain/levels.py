"""Per SKU: its newest numbers when they changed, not too often, and one warning when it falls under its safety line."""

from datetime import datetime, timedelta

from contracts.stock_levels import SafetyLineCrossed, StockLevelChanged, WarehouseLevel
from libs.decide import Due, Output, State, Wake
from services.inventory.domain import figures
from services.inventory.domain.figures import PERCENT, Policy
from services.inventory.domain.rows import Pool, Telling

MILLI = 1000
# The timer of levels to tell, its key, and the name of the one row about them.
LEVELS = "levels"
WAITING_LIMIT_SKUS = 5_000


def settle(state: State, now: datetime, policy: Policy) -> list[Output]:
    """Tell the levels that changed, now or together a little later, and warn of every safety line that was crossed."""
    changed = [pool for pool in state.changed(Pool) if pool.defined]
    if not changed:
        return []
    outputs = _tell(changed, state, now, timedelta(milliseconds=policy.levels_every_ms))
    day = figures.sales_day_of(now)
    for pool in changed:
        line = safety_stock(pool, day, policy)
        below = figures.atp(pool) < line
        if below and not pool.crossed:
            outputs.append(_crossing(pool, line, day, policy))
        pool.crossed = below
    return outputs


def tell(due: Due, state: State, now: datetime) -> list[Output]:
    """The time has come to tell what changed: `settle` does it at the end of this batch."""
    telling = state.get(Telling, LEVELS)
    if telling is not None:
        for sku in telling.skus:
            pool = state.get(Pool, sku)
            if pool is not None:
                state.put(pool)
        telling.skus = []
        telling.told_at = None
        state.put(telling)
    return []


def _tell(changed: list[Pool], state: State, now: datetime, every: timedelta) -> list[Output]:
    telling = state.get(Telling, LEVELS) or Telling(name=LEVELS)
    if telling.told_at is None or now - telling.told_at >= every or len(telling.skus) >= WAITING_LIMIT_SKUS:
        outputs: list[Output] = []
        for pool in changed:
            figures_now = fingerprint(pool)
            if figures_now != pool.published:
                pool.published = figures_now
                outputs.append(_level(pool))
        if outputs and every:
            telling.told_at = now
            state.put(telling)
        return outputs
    waiting = set(telling.skus)
    new = [pool.sku for pool in changed if pool.sku not in waiting and fingerprint(pool) != pool.published]
    if not new:
        return []
    wake = [] if telling.skus else [Wake(kind=LEVELS, key=LEVELS, at=telling.told_at + every)]
    telling.skus = [*telling.skus, *new]
    state.put(telling)
    return list(wake)


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
