"""The status page: every platform's calls are counted, and every dial that is turned is named."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from simulators.app import create_app
from simulators.model import Listing


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app()
    for name in app.state.market.platforms:
        app.state.market.create_shop(name, "s1", listings=[Listing("1", "2", "A1", "茶", 100, 5)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://double") as client:
        yield client


async def test_it_names_a_platforms_own_dials_too(http: httpx.AsyncClient) -> None:
    assert "class=bad></tr>" in (await http.get("/")).text
    turned: list[tuple[str, dict[str, Any]]] = [
        ("/control/dials/jd", {"busy_percent": 7}),
        ("/douyin/dials", {"probes": False}),
        ("/meituan/dials", {"accept_limit_s": 60}),
        ("/wechat/dials", {"push_mode": "plain"}),
    ]
    for path, dials in turned:
        assert (await http.patch(path, json=dials)).status_code == 200
    page = (await http.get("/")).text
    for text in ("busy_percent=7.0", "probes=False", "accept_limit_s=60.0", "push_mode=plain"):
        assert page.count(text) == 1


async def test_it_fits_a_telephone(http: httpx.AsyncClient) -> None:
    assert "<meta name=viewport " in (await http.get("/")).text
