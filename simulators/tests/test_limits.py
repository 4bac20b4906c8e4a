"""A control call that no platform could play is refused with its reason, and the doubles go on as before."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from simulators.clock import END_S, Clock

Call = Callable[..., Awaitable[Any]]
ASK = {"Content-Type": "application/json"}


async def refused(program: SimpleNamespace, method: str, path: str, body: str) -> httpx.Response:
    """Send a body as it stands: a program's JSON may hold NaN and Infinity."""
    answer = await program.http.request(method, f"/control{path}", content=body, headers=ASK)
    assert answer.status_code == 422, answer.text
    assert (await program.http.get("/")).status_code == 200
    assert (await program.http.get("/control/clock")).status_code == 200
    return answer


@pytest.mark.parametrize("given", ["1e300", "1e10", "1e999", "NaN", "Infinity", "-1"])
async def test_a_clock_is_not_shifted_out_of_the_calendar(program: SimpleNamespace, given: str) -> None:
    before = program.market.now()
    await refused(program, "POST", "/clock", f'{{"advance_s": {given}, "rate": 60}}')
    assert (program.market.now() - before).total_seconds() < 60
    assert program.market.clock.rate == 1


async def test_a_rate_is_a_number(program: SimpleNamespace) -> None:
    for given in ("NaN", "Infinity", "0", "1e6"):
        await refused(program, "POST", "/clock", f'{{"rate": {given}}}')
    assert program.market.clock.rate == 1


def test_a_fast_clock_stands_still_at_its_end() -> None:
    real = [1_700_000_000.0]
    clock = Clock(lambda: real[0])
    clock.run_at(100_000)
    real[0] += 10_000_000
    assert clock.now_s() == END_S
    assert clock.now().year == 2100
    clock.run_at(1)
    real[0] += 1
    assert clock.now_s() == END_S


async def test_buyers_are_played_by_numbers(program: SimpleNamespace, new_shop: Call) -> None:
    await new_shop("taobao")
    for body in (
        '{"rate_per_s": NaN}',
        '{"rate_per_s": Infinity}',
        '{"rate_per_s": 1, "mix": {"cancel_percent": 101}}',
        '{"rate_per_s": 1, "mix": {"cancel_percent": NaN}}',
        '{"rate_per_s": 1, "mix": {"act_after_s": 1e300}}',
    ):
        await refused(program, "POST", "/buyers", body)
    assert program.app.state.crowds == {}


@pytest.mark.parametrize(
    "turned",
    [
        '"pushes_lost_percent": 500',
        '"busy_percent": -3',
        '"busy_percent": NaN',
        '"list_lag_s": 1e300',
        '"list_lag_s": Infinity',
        '"push_late_s": -1',
        '"page_shift_rows": -1',
        '"calls_per_s": -1',
        '"outage_until_s": NaN',
        '"answer_delay_ms": 1e18',
    ],
)
async def test_dials_have_ends(program: SimpleNamespace, turned: str) -> None:
    before = await program.http.get("/control/dials")
    await refused(program, "PATCH", "/dials/all", f"{{{turned}}}")
    assert (await program.http.get("/control/dials")).text == before.text


async def test_a_discount_is_not_above_its_line(new_shop: Call, control: Call) -> None:
    await new_shop("taobao")

    def wanted(fen: int, status: int | None) -> Awaitable[Any]:
        line = {"outer_id": "SKU1", "merchant_discount_fen": fen, "platform_discount_fen": 500}
        return control("POST", "/orders", {"platform": "taobao", "shop_id": "s1", "lines": [line]}, status=status)

    assert "discount" in (await wanted(501, 409))["detail"]
    assert (await control("GET", "/shops/taobao/s1/listings"))[0]["stock"] == 100
    assert (await wanted(500, None))["total_fen"] == 0


async def test_no_more_is_refunded_than_was_paid(new_shop: Call, order: Call, control: Call) -> None:
    await new_shop("taobao")
    placed = await order("taobao")
    path = f"/orders/taobao/s1/{placed['order_id']}/refund"
    line = placed["lines"][0]["line_id"]
    assert "no such line" in (await control("POST", path, {"line_id": "nobody's"}, status=409))["detail"]
    for wanted in ({"amount_fen": 4_001}, {"line_id": line, "amount_fen": 2_001}):
        assert "left" in (await control("POST", path, wanted, status=409))["detail"]
    part = await control("POST", path, {"line_id": line, "amount_fen": 1_500})
    await control("POST", path, {"line_id": line, "amount_fen": 501}, status=409)
    await control("POST", path, {"amount_fen": 2_501}, status=409)
    # What the merchant does not grant is free to be asked for again.
    await control("POST", f"/refunds/taobao/s1/{part['refund_id']}/applied", status=409)
    await control("POST", f"/refunds/taobao/s1/{part['refund_id']}/closed")
    first = await control("POST", path, {"line_id": line})
    rest = await control("POST", path)
    assert (first["amount_fen"], rest["amount_fen"]) == (2_000, 2_000)
    await control("POST", path, status=409)
    for refund, status in ((first, "paid"), (rest, "closed")):
        await control("POST", f"/refunds/taobao/s1/{refund['refund_id']}/succeeded")
        now = await control("GET", f"/orders/taobao/s1/{placed['order_id']}")
        assert now["status"] == status
