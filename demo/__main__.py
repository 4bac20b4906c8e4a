"""`python -m demo`: starts a fresh stack, plays real orders through it, shows every stage and the final figures."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console

from demo import figures, orders, stock
from demo.api import Api, Unanswered, Unexpected, api_of
from demo.doubles import Declined, Doubles, doubles
from demo.player import Play, Unfit
from demo.stack import (
    StackFailed,
    check_invariants,
    exits,
    read_env_file,
    stack_environment,
    start,
    stop,
)
from demo.table import show, summary, where_to_click
from demo.watch import Stuck
from deploy.local.layout import layout_from
from deploy.local.measure import measure
from deploy.local.status import take_status

FAILED, INTERRUPTED = 1, 130
# What these say is meant for a person; anything else is a mistake in the demo and shows its traceback.
TOLD = (StackFailed, Stuck, Unanswered, Unexpected, Unfit, Declined)
ORDERS_PER_SECOND = 80.0
MONTHS = 9
WIDTH = 140


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--figures", type=Path, help="write the final figures to this file as JSON")
    parser.add_argument("--rate", type=float, default=ORDERS_PER_SECOND, help="orders a second (default: %(default)s)")
    parser.add_argument("--attach", action="store_true", help="play on the running, still empty stack of `make up`")
    parser.add_argument("--months", type=int, default=MONTHS, help="play only so many months of orders")
    chosen = parser.parse_args(arguments)
    if not 1 <= chosen.rate <= 1_000:
        parser.error("--rate must lie between 1 and 1000")
    if not 1 <= chosen.months <= MONTHS:
        parser.error(f"--months must lie between 1 and {MONTHS}")
    file: Path | None = chosen.figures
    if file is not None and (file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK)):
        parser.error(f"--figures: {file} cannot be written; its folder must exist")
    chosen.started_s = time.monotonic()
    return chosen


async def play(
    api: Api, market: Doubles, chosen: argparse.Namespace, environment: Mapping[str, str], console: Console
) -> bool:
    """Play the orders, print what became of them, and tell whether everything held."""
    data = orders.load().first_months(chosen.months)
    console.print(
        f"{len(data.orders)} real orders of UCI Online Retail (CC BY 4.0), {len(data.titles)} SKUs; "
        f"{data.matched} of {data.cancellations} cancellations take back a whole order",
        highlight=False,
    )
    run = Play(api, market, data, stock.plan(), chosen.rate)
    drawing = asyncio.create_task(show(run, api, console))
    try:
        await run.run()
    finally:
        drawing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await drawing
    return await _conclude(run, api, market, chosen, environment, console)


async def _conclude(
    run: Play,
    api: Api,
    market: Doubles,
    chosen: argparse.Namespace,
    environment: Mapping[str, str],
    console: Console,
) -> bool:
    found = figures.figures_of(run)
    timings: dict[str, Any] = figures.measured(run, await run.watch.latency(), chosen.started_s, time.monotonic())
    status = await asyncio.to_thread(take_status, layout_from(environment))
    if status.rows:
        timings["memory of the whole stack, MiB"] = round(status.total.memory_mib)
    costs = await asyncio.to_thread(measure, [market.pid], [], 0.1)
    timings["memory of the platforms' doubles, MiB"] = round(costs[market.pid].memory_mib)
    console.print(summary(found, timings))
    for lost in [*run.bench.lost[:10], *run.channels.differing[:10]]:
        console.print(f"  {lost}", markup=False)
    code, printed = await check_invariants(environment)
    console.print(printed.rstrip(), markup=False, highlight=False, soft_wrap=True)
    wrong = figures.complete(found, min(figures.LEAST_ORDERS, len(run.data.orders)))
    console.print(f"invariants: {'all hold' if code == 0 else f'VIOLATED (exit code {code})'}")
    for each in wrong:
        console.print(f"wrong: {each}", markup=False)
    if chosen.figures is not None:
        figures.write(chosen.figures, found, timings, code == 0)
    shipped = figures.shipped_rows(run.outcome.rows)
    example = shipped[0] if shipped else "…"
    env_file = layout_from(environment).env_file
    console.print(where_to_click(api.urls, market.url, example, env_file), markup=False, soft_wrap=True)
    return code == 0 and not wrong


async def run(chosen: argparse.Namespace, console: Console) -> int:
    """Run the whole demo; whatever happens, the stack that it started is stopped."""
    environment = dict(os.environ) if chosen.attach else stack_environment(os.environ)
    layout = layout_from(environment)
    held = False
    try:
        stack = read_env_file(layout.env_file) if chosen.attach else await start(environment)
        api = api_of(stack)
        try:
            async with doubles(layout.logs / "simulators.log") as market:
                held = await play(api, market, chosen, {**environment, **stack}, console)
                if not exits() and not chosen.attach:
                    console.print("The stack stays up; Ctrl-C stops it.")
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.Event().wait()
        finally:
            await api.close()
    except* TOLD as failed:
        for told in each_of(failed):
            console.print(f"demo: {told}", markup=False, soft_wrap=True)
    finally:
        if not chosen.attach:
            interrupted = asyncio.current_task().cancelling() > 0  # type: ignore[union-attr]
            keep_data = not held and not interrupted
            if keep_data:
                console.print(f"its logs stay for you to read: {layout.logs}", markup=False, soft_wrap=True)
            await asyncio.shield(stop(environment, keep_data=keep_data))
    return 0 if held else FAILED


def each_of(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    """Yield the exceptions of a group and of the groups within it."""
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from each_of(each)
        else:
            yield each


async def _until_interrupted(chosen: argparse.Namespace, console: Console) -> int:
    """Turn the first Ctrl-C or SIGTERM into an orderly end."""
    task = asyncio.ensure_future(run(chosen, console))
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return INTERRUPTED


def main() -> int:
    """Run from the command line."""
    chosen = parse(sys.argv[1:])
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    return uvloop.run(_until_interrupted(chosen, console))


if __name__ == "__main__":
    sys.exit(main())
