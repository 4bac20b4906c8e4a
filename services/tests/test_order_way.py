"""The whole way of an order through seven processes, as a platform, a picker, a reviewer and an operator see it."""

import asyncio
from typing import Any

import pytest

from libs.testkit.client import Merchant, order_body
from libs.testkit.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]
WAIT_LIMIT_S = 30.0
POLL_S = 0.1


async def stage_of(merchant: Merchant, order_id: str) -> str:
    found = await merchant.http.get(merchant.url("tower", f"/orders/{order_id}"), headers=merchant.bearer("operator"))
    order = found.json()["order"] if found.status_code == 200 else None
    return str(order["stage"]) if order else "unknown"


async def reaches(merchant: Merchant, order_id: str, stage: str) -> dict[str, Any]:
    """Wait until the tower shows the order in `stage`, and return its page."""
    seen = ""

    async def there() -> bool:
        nonlocal seen
        seen = await stage_of(merchant, order_id)
        return seen == stage

    await until(there, WAIT_LIMIT_S, POLL_S, missing=lambda: f"{order_id} stands in {seen}, not in {stage}")
    return await merchant.read("tower", f"/orders/{order_id}")


def types(page: dict[str, Any]) -> list[str]:
    return [entry["type"] for entry in page.get("timeline", [])]


async def hears(merchant: Merchant, order_id: str, *wanted: str) -> dict[str, Any]:
    """Wait until the tower has heard all these event types of an order, and return its page."""
    page: dict[str, Any] = {}

    def lacking() -> set[str]:
        return set(wanted) - set(types(page))

    async def all_heard() -> bool:
        if await stage_of(merchant, order_id) != "unknown":
            page.update(await merchant.read("tower", f"/orders/{order_id}"))
        return not lacking()

    await until(all_heard, WAIT_LIMIT_S, POLL_S, missing=lambda: f"{order_id} lacks {lacking()}")
    return page


async def test_an_order_is_placed_picked_shipped_and_told(merchant: Merchant) -> None:
    await merchant.define_stock("WAY-1", {"CD": 10}, weight_grams=200, barcode="6900000000001", cost=900)
    body = order_body("way-1", {"WAY-1": 2})
    answer = await merchant.webhook("msg_way_1", body)
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    again = await merchant.webhook("msg_way_1", body)
    assert (again.status_code, again.json()["order_id"]) == (202, "own.demo.way-1")
    await reaches(merchant, "own.demo.way-1", "assigned")
    page = await hears(merchant, "own.demo.way-1", "PickTaskCreated")
    task = next(e for e in page["timeline"] if e["type"] == "PickTaskCreated")
    shipped = await merchant.fulfil("pda-1", "CD", task["payload"]["task_id"], "SF-WAY-1")
    assert shipped["state"] == "shipped"
    await reaches(merchant, "own.demo.way-1", "shipped")
    way = ["OrderPlaced", "OrderCleared", "StockReserved", "RoutePlanned", "StockAssigned", "PickTaskCreated"]
    way += ["PickTaskClaimed", "ItemsPicked", "ParcelPacked", "ParcelWeighed", "ParcelShipped", "StockShipped"]
    page = await hears(merchant, "own.demo.way-1", *way, "NoticeSent")
    assert types(page).count("OrderPlaced") == 1
    figures = await merchant.read("inventory", "/atp/WAY-1")
    assert (figures["on_hand"], figures["reserved"], figures["atp"]) == (8, 0, 8)


async def test_a_cancellation_in_time_frees_the_stock_and_a_late_one_says_so(merchant: Merchant) -> None:
    await merchant.define_stock("WAY-2", {"CD": 5}, weight_grams=100)
    await merchant.webhook("msg_c1", order_body("cancel-1", {"WAY-2": 2}))
    await reaches(merchant, "own.demo.cancel-1", "assigned")
    cancel = {"type": "order.cancelled", "platform_order_id": "cancel-1", "reason": "changed my mind"}
    assert (await merchant.webhook("msg_c2", cancel)).status_code == 202
    await reaches(merchant, "own.demo.cancel-1", "cancelled")
    page = await hears(merchant, "own.demo.cancel-1", "FulfillmentCancelled")
    assert types(page).count("FulfillmentCancelled") == 1

    async def nothing_reserved() -> bool:
        return (await merchant.read("inventory", "/atp/WAY-2"))["reserved"] == 0

    await until(nothing_reserved, WAIT_LIMIT_S, POLL_S)
    await merchant.webhook("msg_c3", order_body("cancel-2", {"WAY-2": 1}))
    await hears(merchant, "own.demo.cancel-2", "PickTaskCreated")
    await merchant.fulfil("pda-1", "CD", "own.demo.cancel-2/1", "SF-LATE-1")
    await merchant.webhook("msg_c4", {**cancel, "platform_order_id": "cancel-2"})
    await hears(merchant, "own.demo.cancel-2", "CancelTooLate")
    assert await stage_of(merchant, "own.demo.cancel-2") == "shipped"


async def test_a_risky_order_waits_for_a_reviewer_and_then_goes_its_way(merchant: Merchant) -> None:
    await merchant.define_stock("WAY-3", {"CD": 5}, weight_grams=100)
    body = order_body("risky-1", {"WAY-3": 1}, total=60_000, lines=[
        {"line_id": "1", "sku": "WAY-3", "quantity": 1, "unit_price": 60_000}])  # fmt: skip
    body["recipient"]["address"] = "珞喻路1号菜鸟驿站"
    await merchant.webhook("msg_r1", body)
    await reaches(merchant, "own.demo.risky-1", "held")
    page = await hears(merchant, "own.demo.risky-1", "OrderHeld")
    held = next(e for e in page["timeline"] if e["type"] == "OrderHeld")
    assert [r["rule"] for r in held["payload"]["reasons"]] == ["pickup_high_value"]
    done = await merchant.operate("POST", "risk", "/holds/own.demo.risky-1/release", "rel-1", {"why": "known buyer"})
    assert done.status_code == 200, done.text
    await reaches(merchant, "own.demo.risky-1", "assigned")
    page = await hears(merchant, "own.demo.risky-1", "OrderCleared")
    cleared = next(e for e in page["timeline"] if e["type"] == "OrderCleared")
    assert cleared["payload"]["requirements"] == ["signature_on_delivery"]


async def test_goods_in_the_wrong_warehouse_are_transferred_and_the_order_goes_on(merchant: Merchant) -> None:
    await merchant.define_stock("WAY-4", {"GZ": 5}, weight_grams=100)
    await merchant.webhook("msg_b1", order_body("blocked-1", {"WAY-4": 2}))
    await reaches(merchant, "own.demo.blocked-1", "blocked")
    page = await hears(merchant, "own.demo.blocked-1", "RouteBlocked")
    blocked = next(e for e in page["timeline"] if e["type"] == "RouteBlocked")["payload"]
    advice = {"sku": "WAY-4", "quantity": 2, "from_warehouse": "GZ", "to_warehouse": "CD"}
    assert blocked["transfers"] == [advice]
    body = {
        "from_warehouse": "GZ",
        "to_warehouse": "CD",
        "items": [{"sku": "WAY-4", "quantity": 2}],
        "transfer_id": "T1",
    }
    assert (await merchant.operate("POST", "inventory", "/transfers", "t-1", body)).status_code == 201
    assert (await merchant.operate("POST", "inventory", "/transfers/T1/receive", "t-2", {})).status_code == 200
    await reaches(merchant, "own.demo.blocked-1", "assigned")


async def standing(merchant: Merchant, stage: str, prefix: str) -> int:
    """Count the orders of a stage whose id starts with `prefix`, page by page."""
    count, cursor = 0, None
    while True:
        query = {"state": stage, "limit": 200} | ({"cursor": cursor} if cursor else {})
        page = await merchant.read("tower", "/orders", **query)
        count += sum(1 for order in page["items"] if order["order_id"].startswith(prefix))
        cursor = page["next_cursor"]
        if cursor is None:
            return count


@pytest.mark.parametrize("run", [1, 2, 3])
async def test_four_hundred_buyers_want_one_of_a_hundred(merchant: Merchant, run: int) -> None:
    sku = f"RUSH-{run}"
    await merchant.define_stock(sku, {"CD": 100}, weight_grams=100)
    bodies = [order_body(f"rush-{run}-{n}", {sku: 1}) for n in range(400)]
    answers = await asyncio.gather(*[merchant.webhook(f"msg_rush_{run}_{n}", b) for n, b in enumerate(bodies)])
    assert [a.status_code for a in answers] == [202] * 400

    async def all_stand() -> dict[str, int] | None:
        found = {stage: await standing(merchant, stage, f"own.demo.rush-{run}-") for stage in ("assigned", "short")}
        return found if sum(found.values()) >= 400 else None

    assert await until(all_stand, WAIT_LIMIT_S, 0.2) == {"assigned": 100, "short": 300}
    figures = await merchant.read("inventory", f"/atp/{sku}")
    assert (figures["on_hand"], figures["reserved"], figures["atp"]) == (100, 100, 0)
