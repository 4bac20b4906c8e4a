"""The demo's final figures: those that are the same in every run, and those that were measured in this one."""

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from demo.player import Outcome, Play, parcels_shipped, stages_of
from demo.watch import Row

LEAST_ORDERS = 2_000


def figures_of(play: Play) -> dict[str, Any]:
    """Return what does not depend on timing: equal in every run, whatever was killed meanwhile."""
    done = play.outcome
    stages = stages_of(done.rows)
    return {
        "orders in": len(done.accepted),
        "held by reason": dict(sorted(Counter(rule for rules in done.held.values() for rule in rules).items())),
        "held orders": len(done.held),
        "released by a reviewer": len(done.released),
        "rejected by a reviewer": len(done.rejected),
        "amended by the shop": len(done.amended),
        "refused for stock": len(done.short),
        "refused for stock, goods came since": len(done.short) - stages["short"] - _cancelled_short(done),
        "refused for stock, still short": stages["short"],
        "awaiting transfer": len(done.blocked),
        "awaiting transfer, freed by a transfer": len(done.transferred),
        "awaiting transfer, shipped from the other warehouse": len(done.overridden),
        "awaiting transfer, split into two parcels": len(done.split),
        "awaiting transfer, still blocked": stages["blocked"],
        "parcels picked": play.bench.counts["picked"],
        "parcels shipped": parcels_shipped(done.rows),
        "orders shipped": stages["shipped"],
        "orders still held": stages["held"],
        "orders cancelled": stages["cancelled"],
        "orders rejected": stages["rejected"],
        "cancellations too late": len(done.too_late),
        "wrong scans refused": play.bench.counts["wrong scans"],
        "wrong weights rechecked": play.bench.counts["weighed wrongly"],
        "tasks lost by pickers": len(play.bench.lost),
        "notices to buyers sent": done.notices["buyer/sent"],
        "messages parked": play.watch.parked,
        "channels": done.channels,
    }


def _cancelled_short(done: Outcome) -> int:
    """Return how many orders were cancelled or rejected that had been refused for stock."""
    return sum(done.rows[order_id]["stage"] in ("cancelled", "rejected") for order_id in done.short)


def straight_through_ms(outcome: Outcome) -> list[float]:
    """Return, sorted, how long the orders took from accepted to pick task that nothing and nobody held up."""
    waited = outcome.held.keys() | outcome.short | outcome.blocked
    found = [
        (_moment(row["pick_task_at"]) - _moment(row["accepted_at"])).total_seconds() * 1000
        for order_id, row in outcome.rows.items()
        if order_id not in waited and row["pick_task_at"] and row["accepted_at"]
    ]
    return sorted(max(0.0, each) for each in found)


def percentile(sorted_values: Sequence[float], percent: int) -> float:
    """Return the smallest value that at least `percent` of them do not exceed; 0 where there are none."""
    if not sorted_values:
        return 0.0
    place = -(-len(sorted_values) * percent // 100) - 1
    return sorted_values[max(0, place)]


def measured(play: Play, all_orders: Mapping[str, Any], started_s: float, now_s: float) -> dict[str, Any]:
    """Return what this run took."""
    straight = straight_through_ms(play.outcome)
    return {
        "accepted to pick task, median ms": round(statistics.median(straight)) if straight else 0,
        "accepted to pick task, p99 ms": round(percentile(straight, 99)),
        "the same with held, short and blocked orders, median ms": all_orders["p50_ms"],
        "the same with held, short and blocked orders, p99 ms": all_orders["p99_ms"],
        "watermark lag, s": {name: lag if lag is None else round(lag) for name, lag in play.channels.lags_s.items()},
        "stock updates told to platforms": play.channels.stock_told,
        "digests to operations sent": play.outcome.notices["operations/sent"],
        "seconds from the start to the first parcel shipped": round(
            (play.bench.first_shipped_s or now_s) - started_s, 1
        ),
        "seconds from the start to the end": round(now_s - started_s, 1),
    }


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def complete(figures: Mapping[str, Any], least_orders: int = LEAST_ORDERS) -> list[str]:
    """Return what speaks against calling the run a success; the invariants are judged elsewhere."""
    wrong = []
    if figures["orders in"] < least_orders:
        wrong.append(f"only {figures['orders in']} orders were accepted")
    if figures["tasks lost by pickers"]:
        wrong.append(f"pickers lost {figures['tasks lost by pickers']} tasks")
    if figures["messages parked"]:
        wrong.append(f"{figures['messages parked']} messages were parked")
    if figures["parcels picked"] != figures["parcels shipped"]:
        wrong.append(f"{figures['parcels picked']} parcels were picked, {figures['parcels shipped']} shipped")
    for channel, standing in figures["channels"].items():
        if standing.get("amiss"):
            wrong.append(f"{standing['amiss']} orders of {channel} are not here, or not uploaded exactly once")
        if standing["orders_in"] != standing.get("paid", standing["orders_in"]):
            wrong.append(f"{channel} has {standing['paid']} paid orders, {standing['orders_in']} of them are here")
    return wrong


def write(path: Path, figures: Mapping[str, Any], timings: Mapping[str, Any], invariants_held: bool) -> None:
    """Write the figures for a program to compare."""
    content = {"figures": figures, "measured": timings, "invariants held": invariants_held}
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", "utf-8")


def shipped_rows(rows: Mapping[str, Row]) -> list[str]:
    """Return the ids of shipped orders, for somebody to look at."""
    return sorted(order_id for order_id, row in rows.items() if row["stage"] == "shipped")
