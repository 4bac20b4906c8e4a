"""One program of all platforms: theirs under `/{platform}`, ours under `/control`, a status page at `/`."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from httpx_aiohttp import AiohttpTransport
from starlette.applications import Starlette
from starlette.routing import Mount

from simulators import control, status
from simulators.clock import Clock
from simulators.control.found import on_unfit
from simulators.docs import install_docs
from simulators.gate import Gate
from simulators.market import Market
from simulators.platform import Platform

NAMES = ("taobao", "douyin", "pinduoduo", "jd", "meituan", "wechat")
TICK_S = 1.0
CONNECTIONS_LIMIT = 128
CONNECT_TIMEOUT_S = 3.0


def known_platforms(names: Sequence[str] = NAMES) -> dict[str, Platform]:
    """Return the platforms' doubles by name, all of them unless some are named."""
    return {name: importlib.import_module(f"simulators.{name}").PLATFORM for name in names}


def create_app(seed: int = 1, platforms: Mapping[str, Platform] | None = None, clock: Clock | None = None) -> FastAPI:
    """Return the program; its `state.market` is what a test in this process may use instead of the control API."""
    market = Market(known_platforms() if platforms is None else platforms, seed, clock)
    app = FastAPI(title="The platforms' doubles", lifespan=_lifespan, docs_url=None, redoc_url=None)
    install_docs(app)
    app.add_exception_handler(RequestValidationError, on_unfit)
    app.state.market = market
    app.state.crowds = {}
    app.include_router(control.router)
    app.include_router(status.router)
    for name, platform in market.platforms.items():
        mounted = Starlette(routes=list(platform.routes(market)))
        app.router.routes.append(Mount(f"/{name}", app=Gate(mounted, market, name), name=name))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    market: Market = app.state.market
    limits = httpx.Limits(max_connections=CONNECTIONS_LIMIT, max_keepalive_connections=CONNECTIONS_LIMIT)
    timeout = httpx.Timeout(5.0, connect=CONNECT_TIMEOUT_S)
    transport = AiohttpTransport(limits=limits, trust_env=False)
    async with httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as http:
        market.pushes.http = http
        tasks = [asyncio.create_task(market.pushes.run()), asyncio.create_task(_tick(market))]
        try:
            yield
        finally:
            tasks.extend(crowd.task for crowd in app.state.crowds.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            market.pushes.http = None


async def _tick(market: Market) -> None:
    while True:
        for platform in market.platforms.values():
            platform.tick(market)
        await asyncio.sleep(TICK_S)
