"""The figures of a run as a file, a table, and a judgement: which goals were met, and what became worse."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

# What a run may cost more than the last one that was kept, CPU per order against the floor's in the same run.
WORSE_LIMIT = 1.15
PEER_ORDERS_PER_S = 8.0
GOALS: tuple[tuple[str, str, float, bool], ...] = (
    # figure, what it is, goal, whether more is better
    ("end_to_end.orders_per_s", "orders a second, in by batches until the pick task", 3_000, True),
    ("ratio.cpu", "CPU per order against the floor's", 2.0, False),
    ("pulled.against_batches", "rate through a connector against batches, its double on the same cores", 0.9, True),
    ("webhook.held_per_s", "single signed webhooks a second, p99 of the answer within 50 ms", 1_000, True),
    ("webhook.at_500_per_s.answer_ms.p99", "p99 of the answer at 500/s, ms", 30, False),
    ("webhook.at_500_per_s.accepted_to_task_ms.p99", "p99 from order to pick task at 500/s, ms", 300, False),
    ("hot_sku.ratio", "hot SKU against uniform", 0.8, True),
    ("hot_sku.oversold", "units oversold", 0, False),
    ("rebuild.events_per_s", "events folded a second by a rebuild", 20_000, True),
    ("end_to_end.memory_mib", "memory of everything at full rate, MiB", 1_229, False),
    ("idle.percent_of_one_core", "CPU of the idle stack, % of one core", 10, False),
    ("start.warm_s", "warm start to ready, s", 8, False),
    ("growth.ratio", "CPU per order with the most stored against the fewest", 1.1, False),
    ("growth.ratio_against_floor", "the same, each counted in orders of the bare chain beside it", 1.1, False),
)


def figure(found: Mapping[str, Any], path: str) -> float | None:
    """Return a figure by its dotted path; None where the run did not take it."""
    at: Any = found
    for name in path.split("."):
        if not isinstance(at, Mapping) or name not in at:
            return None
        at = at[name]
    return float(at)


def met(value: float, goal: float, *, more_is_better: bool) -> bool:
    """Tell whether a figure reaches its goal."""
    return value >= goal if more_is_better else value <= goal


def worse(found: Mapping[str, Any], kept: Mapping[str, Any]) -> str:
    """Say whether the cost against the floor rose by more than is allowed since the kept run; empty if not."""
    now, before = figure(found, "ratio.cpu"), figure(kept, "ratio.cpu")
    if now is None or before is None or now <= before * WORSE_LIMIT:
        return ""
    return f"an order costs {now:.2f} times the floor, it was {before:.2f}: more than {WORSE_LIMIT - 1:.0%} worse"


def show(found: Mapping[str, Any], console: Console) -> None:
    """Print every goal with what was found."""
    table = Table(title=f"bench at {found['machine']['commit']}, {found['machine']['cores']} cores")
    for column in ("figure", "found", "goal", ""):
        table.add_column(column, justify="right" if column in ("found", "goal") else "left")
    for path, words, goal, more in GOALS:
        value = figure(found, path)
        if value is not None:
            sign = "≥" if more else "≤"
            table.add_row(
                words, f"{value:g}", f"{sign} {goal:g}", "met" if met(value, goal, more_is_better=more) else "NOT met"
            )
    console.print(table)
    if "end_to_end" in found:
        _show_costs(found, console)
    if "growth" in found:
        _show_growth(found["growth"], console)


def _show_costs(found: Mapping[str, Any], console: Console) -> None:
    costs = Table(title="CPU of an order, ms")
    for column in ("program", "end to end", "floor"):
        costs.add_column(column, justify="left" if column == "program" else "right")
    real, bare = found["end_to_end"]["cpu_ms_per_order"], found.get("floor", {}).get("cpu_ms_per_order", {})
    for program in (*real, *[name for name in bare if name not in real]):
        costs.add_row(program, f"{real.get(program, 0):.3f}", f"{bare[program]:.3f}" if program in bare else "")
    console.print(costs)


def _show_growth(growth: Mapping[str, Any], console: Console) -> None:
    table = Table(title="an order among stored ones")
    for column in ("stored", "MiB", "orders/s", "CPU, ms", "of it Postgres", "ratio", "bare ones", "ratio"):
        table.add_column(column, justify="right")
    for taken in growth["sizes"]:
        cost, mib = taken["cpu_ms_per_order"], taken["postgres"]["database_mib"]
        row = (mib, taken["orders_per_s"], cost["stack"], cost["postgres"], taken["ratio"])
        against = (taken["against_floor"], taken["ratio_against_floor"])
        table.add_row(f"{taken['stored']:,}", *map(str, row + against))
    console.print(table)
    for why in growth["refused"]:
        console.print(why)


def write(found: Mapping[str, Any], path: Path) -> None:
    """Write the figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
