"""What one sees: a live table of every stage, plain lines where there is no terminal, and the figures at the end."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from demo.api import Api
from demo.player import Play
from demo.watch import Watch

DRAW_EVERY_S = 0.5
LINE_EVERY_S = 4.0
BAR_WIDTH = 40
STAGE_WORDS = {
    "received": "已接单 received",
    "held": "挂起 held",
    "short": "缺货 short",
    "blocked": "待调拨 blocked",
    "assigned": "待拣货 assigned",
    "picking": "拣货中 picking",
    "packed": "已复核 packed",
    "shipped": "已发货 shipped",
    "cancelled": "已取消 cancelled",
    "rejected": "已拒绝 rejected",
}


async def show(play: Play, api: Api, console: Console) -> None:
    """Draw until cancelled."""
    began_s = time.monotonic()
    if not console.is_terminal:
        while True:
            await asyncio.sleep(LINE_EVERY_S)
            console.print(line(play, api, time.monotonic() - began_s), markup=False, highlight=False, soft_wrap=True)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            live.update(drawing(play, api, time.monotonic() - began_s), refresh=True)
            await asyncio.sleep(DRAW_EVERY_S)


CHANNEL_COLUMNS = {
    "orders_in": "orders in",
    "cancelled": "cancelled",
    "shipped": "shipped",
    "uploaded": "uploaded back",
}


def line(play: Play, api: Api, seconds: float) -> str:
    """Return everything in one line."""
    stages = " ".join(f"{stage} {play.watch.stages.get(stage, 0)}" for stage in STAGE_WORDS)
    sent = f"{len(play.outcome.accepted)} orders in"
    channels = " ".join(
        f"{name} {each.orders_in}/{each.shipped}/{each.uploaded}" for name, each in play.channels.standings.items()
    )
    return (
        f"{seconds:5.0f} s  {play.act}: {sent} | {stages} | in/shipped/uploaded: {channels}"
        f" | repeats {api.traffic.repeats}"
    )


def drawing(play: Play, api: Api, seconds: float) -> RenderableType:
    """Return the table of stages with bars, and what goes on below."""
    table = Table(title=f"Ordo 订单中枢 — {play.act} — {seconds:.0f} s", title_justify="left", box=None)
    table.add_column("stage", min_width=22)
    table.add_column("orders", justify="right", min_width=7)
    table.add_column("", min_width=BAR_WIDTH)
    for stage, words in STAGE_WORDS.items():
        orders = play.watch.stages.get(stage, 0)
        table.add_row(words, str(orders), bar(orders, play.watch))
    counts, done = play.bench.counts, play.outcome
    rest = (
        f"SKUs defined {play.desk.defined} · orders in {len(done.accepted)} · "
        f"held so far {len(done.held)} · released {len(done.released)} · rejected {len(done.rejected)} · "
        f"amended {len(done.amended)}\n"
        f"pickers: claimed {counts['claimed']} · scans {counts['scanned']} · packed {counts['packed']} · "
        f"weighed {counts['weighed']} · shipped {counts['shipped']} · mistakes caught "
        f"{counts['wrong scans'] + counts['weighed wrongly']}\n"
        f"requests {api.traffic.requests} · asked again {api.traffic.repeats}"
        f"{' · ' + api.traffic.last_trouble if api.traffic.last_trouble else ''}"
        f" · parked {play.watch.parked}"
        f"{chr(10) + 'waiting for ' + play.watch.waits_for if play.watch.waits_for else ''}"
    )
    return Group(table, Text(rest), channels(play.channels.figures(), play.channels.lags_s))


def channels(standings: Mapping[str, Mapping[str, int]], lags_s: Mapping[str, float | None]) -> RenderableType:
    """Return how each channel stands: the own one has no uploads and no watermark."""
    table = Table(title="By channel", title_justify="left", box=None)
    table.add_column("channel", min_width=12)
    for words in (*CHANNEL_COLUMNS.values(), "watermark lag, s"):
        table.add_column(words, justify="right")
    for name, standing in standings.items():
        lag_s = lags_s.get(name)
        numbers = [str(standing.get(column, "")) for column in CHANNEL_COLUMNS]
        table.add_row(name, *numbers, "" if lag_s is None else f"{lag_s:.0f}")
    return table


def bar(orders: int, watch: Watch) -> Text:
    """Return a bar as long as the stage is full; any order at all is seen."""
    everything = max(1, sum(watch.stages.values()))
    length = 0 if orders == 0 else max(1, round(BAR_WIDTH * orders / everything))
    return Text("█" * length, style="green")


def summary(figures: Mapping[str, Any], timings: Mapping[str, Any]) -> RenderableType:
    """Return the final figures as tables."""
    table = Table(box=None, show_header=False, title="What became of them", title_justify="left")
    table.add_column(min_width=56)
    table.add_column(justify="right")
    by_channel, lags_s = figures["channels"], timings["watermark lag, s"]
    for name, value in {**figures, **timings}.items():
        if value is by_channel or value is lags_s:
            continue
        if isinstance(value, dict):
            for reason, count in value.items():
                table.add_row(f"{name}: {reason}", str(count))
        else:
            table.add_row(name, str(value))
    return Group(table, channels(by_channel, lags_s))


def where_to_click(urls: Mapping[str, str], doubles_url: str, example: str, env_file: Path) -> str:
    """Return the addresses that a person may open now."""
    pages = "\n".join(f"  {service:<13} {url}/docs" for service, url in urls.items())
    token = f"set -a; . {env_file}; .venv/bin/python -m libs.runtime token --subject me --role operator"
    return (
        f"Where to click:\n{pages}\n"
        f"  the platforms' doubles, their status page: {doubles_url}/ (control API: {doubles_url}/docs)\n"
        f"  how complete each shop is: GET {urls['ingestion']}/shops; what platforms were told: …/uploads\n"
        f"  one order's whole timeline: GET {urls['tower']}/orders/{example}\n"
        f"  a token for the Authorize button: {token}"
    )
