"""The outcome of a lossy run as a table to read and a file to compare."""

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from loadtests.lossy.platforms import PLATFORMS, shop_of
from loadtests.lossy.run import Lossy
from loadtests.lossy.truth import percentile

SHOWN_LIMIT = 10


def faults_of(run: Lossy) -> dict[str, list[str]]:
    """Return what speaks against the run, by what was promised."""
    truth, happened = run.truth, run.happened
    late = [name for name, shop in happened.shops.items() if shop["completeness"]["late_orders"]]
    return {
        "missing": truth.missing,
        "doubled": truth.doubled,
        "never paid, and here": truth.invented,
        "T passed a missing order": truth.violations,
        "late orders by our own count": late,
        "not uploaded exactly once": truth.not_uploaded_once,
        "parked": happened.parked,
        "unwell": happened.unwell,
        "nothing happened": []
        if truth.booked and truth.checks and (happened.kills or run.wish.calm)
        else ["no orders, checks or kills"],
    }


def as_json(run: Lossy) -> dict[str, Any]:
    """Return the figures."""
    truth, happened, wish = run.truth, run.happened, run.wish
    rows = {platform: _row(run, platform) for platform in PLATFORMS}
    return {
        "orders": wish.orders,
        "rate_per_s": wish.rate,
        "seed": wish.seed,
        "calm": wish.calm,
        "outage_of": wish.outage_of if wish.outage_hours else "",
        "outage_hours": wish.outage_hours,
        "kills": happened.kills,
        "paid": len(truth.booked),
        "placed": len(truth.placed),
        "shipped": len(truth.shipped_at),
        "closed_before_the_upload": truth.closed_first,
        "uploaded": sum(1 for order in truth.to_upload if order.firsts),
        "checks_of_T": truth.checks,
        "checks_unanswered": happened.unanswered_checks,
        "faults": {name: {"count": len(found), "first": found[:SHOWN_LIMIT]} for name, found in faults_of(run).items()},
        "all_channels": _row(run, ""),
        "channels": rows,
        "token_refreshes": happened.refreshes,
        "pushes": happened.sent,
        "buyers": happened.buyers.get("done", {}),
        "red_for": sorted(happened.reds),
        "seconds": {name: round(seconds, 1) for name, seconds in happened.took.items()},
        "passed": passed(run),
    }


def passed(run: Lossy) -> bool:
    """Tell whether every promise held."""
    return not any(faults_of(run).values())


def write_json(path: Path, run: Lossy) -> None:
    """Write the figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(as_json(run)), indent=2) + b"\n")


ARRIVAL = ("arrival_p50_s", "arrival_p99_s", "arrival_p99_with_outage_s")


def show(run: Lossy, console: Console) -> None:
    """Print the figures."""
    figures = as_json(run)
    table = Table(title=f"lossy run, seed {run.wish.seed}: {figures['paid']} paid orders, {figures['kills']} kills")
    for heading in (
        "channel",
        "paid",
        "here",
        "shipped",
        "uploaded",
        "again",
        "arrival p50 / p99 / with outage s",
        "upload p99 s",
        "T",
    ):
        table.add_column(heading)
    for name, row in [*figures["channels"].items(), ("all", figures["all_channels"])]:
        shop = run.happened.shops.get(shop_of(name), {})
        cells = [row[key] for key in ("paid", "here", "shipped", "uploaded", "uploaded_again")]
        times = " / ".join(_text(row[key]) for key in ARRIVAL)
        table.add_row(
            name + (" (away)" if name == figures["outage_of"] else ""),
            *[str(cell) for cell in cells],
            times,
            _text(row["upload_p99_s"]),
            str(shop.get("colour", "")),
        )
    console.print(table)
    for name, found in faults_of(run).items():
        console.print(f"{name}: {len(found)}", *[f"\n    {each}" for each in found[:SHOWN_LIMIT]], highlight=False)
    checks = f"{figures['checks_of_T']} readings of every T, {figures['checks_unanswered']} while nobody answered"
    console.print(
        f"{checks}; tokens refreshed: {figures['token_refreshes']}; took {figures['seconds']}", highlight=False
    )
    console.print("passed" if figures["passed"] else "FAILED")


def _row(run: Lossy, platform: str) -> dict[str, Any]:
    truth = run.truth
    booked = [order for order in truth.booked.values() if platform in ("", order.platform)]
    away = run.wish.outage_of if run.wish.outage_hours else ""
    arrival, upload = truth.arrival_s(run.timeline, platform, away), truth.upload_s(run.timeline, platform)
    return {
        "paid": len(booked),
        "here": sum(1 for order in booked if order.order_id in truth.placed),
        "shipped": sum(1 for order in booked if order.order_id in truth.shipped_at),
        "uploaded": sum(1 for order in booked if order.firsts),
        "uploaded_again": sum(order.repeats for order in booked),
        "measured": len(arrival),
        "arrival_p50_s": _rounded(percentile(arrival, 0.5)),
        "arrival_p99_s": _rounded(percentile(arrival)),
        "arrival_most_s": _rounded(arrival[-1] if arrival else None),
        "arrival_p99_with_outage_s": _rounded(percentile(truth.arrival_s(run.timeline, platform))),
        "upload_p50_s": _rounded(percentile(upload, 0.5)),
        "upload_p99_s": _rounded(percentile(upload)),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
