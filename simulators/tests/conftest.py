"""A program with three platforms on a free port, and callers that sign as the documents say."""

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from simulators.app import create_app, known_platforms
from simulators.clock import wall
from simulators.server import serving

Call = Callable[..., Awaitable[Any]]


@pytest.fixture
async def program() -> AsyncIterator[SimpleNamespace]:
    """Serve; `.http` is a client of it, `.market` its market, `.url` where it is."""
    app = create_app(seed=7, platforms=known_platforms(("taobao", "pinduoduo", "jd")))
    async with serving(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        yield SimpleNamespace(app=app, market=app.state.market, url=url, http=http)


@pytest.fixture
def control(program: SimpleNamespace) -> Call:
    """Call the control API: `await control("POST", "/shops", {...})`."""

    async def call(method: str, path: str, body: Any = None, status: int | None = None) -> Any:
        response = await program.http.request(method, f"/control{path}", json=body)
        assert response.status_code == (status or response.status_code)
        assert status is not None or response.status_code < 300, response.text
        return response.json()

    return call


def md5_sign(params: dict[str, str], secret: str, leave_out: tuple[str, ...] = ()) -> str:
    """Sign the way three platforms share."""
    text = "".join(name + params[name] for name in sorted(params) if params[name] and name not in leave_out)
    return hashlib.md5(f"{secret}{text}{secret}".encode()).hexdigest().upper()


@pytest.fixture
def taobao(program: SimpleNamespace) -> Call:
    """Call a method of TOP."""

    async def call(shop: dict[str, Any], method: str, **business: str) -> Any:
        params = {
            "method": method,
            "app_key": shop["app_key"],
            "session": shop["access_token"],
            "timestamp": wall(program.market.now()),
            "v": "2.0",
            "format": "json",
            "sign_method": "md5",
            **business,
        }
        params = {name: value for name, value in params.items() if value}
        params["sign"] = business.get("sign") or md5_sign(params, shop["app_secret"])
        answer = (await program.http.post("/taobao/router/rest", data=params)).json()
        return answer.get(f"{method.removeprefix('taobao.').replace('.', '_')}_response") or answer["error_response"]

    return call


@pytest.fixture
def pinduoduo(program: SimpleNamespace) -> Call:
    """Call a method of POP, as JSON."""

    async def call(shop: dict[str, Any], method: str, **business: Any) -> Any:
        params = {
            "type": method,
            "client_id": shop["app_key"],
            "access_token": shop["access_token"],
            "timestamp": str(int(program.market.clock.now_s())),
            "data_type": "JSON",
            **business,
        }
        texts = {k: v if isinstance(v, str) else json.dumps(v, separators=(",", ":")) for k, v in params.items()}
        params["sign"] = md5_sign(texts, shop["app_secret"])
        answer = (await program.http.post("/pinduoduo/api/router", json=params)).json()
        return next(iter(answer.values()))

    return call


@pytest.fixture
def jd(program: SimpleNamespace) -> Call:
    """Call a method of JOS."""

    async def call(shop: dict[str, Any], method: str, at: str = "", **business: Any) -> Any:
        params = {
            "method": method,
            "app_key": shop["app_key"],
            "access_token": shop["access_token"],
            "timestamp": at or wall(program.market.now()),
            "v": "2.0",
            "format": "json",
            "sign_method": "md5",
            "360buy_param_json": json.dumps(business, ensure_ascii=False),
        }
        params["sign"] = md5_sign(params, shop["app_secret"], ("format", "sign_method"))
        answer = (await program.http.post("/jd/routerjson", data=params)).json()
        return next(iter(answer.values()))

    return call


@pytest.fixture
def new_shop(control: Call) -> Call:
    """Open a shop with three SKUs."""

    async def call(platform: str, **more: Any) -> Any:
        skus = [{"outer_id": f"SKU{n}", "price_fen": 1_000 * n, "stock": 100} for n in (1, 2, 3)]
        return await control("POST", "/shops", {"platform": platform, "shop_id": "s1", "skus": skus, **more})

    return call


@pytest.fixture
def order(control: Call) -> Call:
    """Place an order of SKU1 (two) and SKU2 (one)."""

    async def call(platform: str, **more: Any) -> Any:
        lines = [{"outer_id": "SKU1", "quantity": 2}, {"outer_id": "SKU2", "quantity": 1}]
        return await control("POST", "/orders", {"platform": platform, "shop_id": "s1", "lines": lines, **more})

    return call
