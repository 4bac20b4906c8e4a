"""Each handler of notification: happy, twice, out of order, refused."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations
from typing import Any

import msgspec
import pytest

from contracts.notices import NoticeFailed, NoticeSent
from contracts.orders import Destination, OrderAmended, OrderLine, OrderPlaced
from contracts.risk import HoldReason, OrderHeld
from contracts.routes import MissingAt, RouteBlocked, TransferAdvice
from contracts.shipments import AmendTooLate, CancelTooLate, ParcelShipped
from contracts.stock import StockLine
from contracts.stock_levels import SafetyLineCrossed
from libs.decide import Delivered, Reply, Send, Wake
from libs.testkit.bench import Bench
from services.notification import domain
from services.notification.domain import Digest, DigestLimits, Notice, Recipient
from services.notification.handlers import handlers

NOW = datetime(2026, 11, 11, 2, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
ORDER = "own.demo.536365"


@pytest.fixture
def bench() -> Bench:
    return Bench(handlers(DigestLimits(lines_limit=3)))


def placed(
    order_id: str = ORDER, *, sealed: str = "k1:sealed", buyer_key: str | None = "b1", **more: Any
) -> OrderPlaced:
    content: dict[str, Any] = {
        "order_id": order_id,
        "version": 1,
        "channel": "own",
        "shop_id": "demo",
        "platform_order_id": order_id.split(".", 2)[2],
        "placed_at": NOW,
        "currency": "CNY",
        "buyer_key": buyer_key,
        "destination": Destination(resolved=True),
        "lines": [OrderLine(line_id="1", sku="A", quantity=1, unit_price=100)],
        "total": 100,
        "sealed": sealed,
    }
    kind = OrderAmended if "changed" in more else OrderPlaced
    return kind(**{**content, **more})


def shipped(order_id: str = ORDER, n: int = 1, sealed: str = "") -> ParcelShipped:
    return ParcelShipped(
        order_id=order_id,
        task_id=f"{order_id}/{n}",
        warehouse="CD",
        lines=[StockLine(line_id="1", sku="A", quantity=1)],
        carrier="SF",
        waybill=f"SF{n}",
        sealed=sealed,
    )


def held(order_id: str = ORDER, rule: str = "pickup_point", message: str = "代收点且金额超过 500") -> OrderHeld:
    return OrderHeld(order_id=order_id, version=1, reasons=[HoldReason(rule=rule, rule_version=1, message_zh=message)])


def low() -> SafetyLineCrossed:
    return SafetyLineCrossed(sku="22423", atp=8, safety_stock=30, daily_sales_milli=20_000, suggested_purchase=22)


def delivered(send: Send, *, ok: bool = True, detail: str = "biz-1", attempts: int = 1) -> Delivered:
    return Delivered(
        destination=send.destination,
        send_id=send.send_id,
        key=send.key,
        ok=ok,
        detail=detail,
        attempts=attempts,
        body=send.body,
    )


def test_a_shipped_parcel_is_told_once_with_carrier_and_waybill(bench: Bench) -> None:
    assert bench.handle(placed(), NOW) == []
    [send] = bench.handle(shipped(), NOW)
    assert send == Send(
        destination="sms",
        send_id=f"shipped:{ORDER}/1",
        key=ORDER,
        body={
            "sealed": "k1:sealed",
            "template": "parcel_shipped",
            "template_version": 0,
            "provider_code": "",
            "variables": {"carrier": "SF", "order_no": "536365", "waybill": "SF1"},
        },
    )
    assert bench.handle(shipped(), NOW) == []
    [again] = bench.handle(shipped(n=2), NOW)
    assert again.send_id == f"shipped:{ORDER}/2"
    said = bench.handle(delivered(send), NOW)
    assert said == [
        NoticeSent(order_id=ORDER, notice_id=send.send_id, audience="buyer", medium="sms", template="parcel_shipped")
    ]
    assert bench.handle(delivered(send), NOW) == []
    notice = bench.row(Notice, ORDER, send.send_id)
    assert notice is not None
    assert (notice.state, notice.detail, notice.attempts) == ("sent", "biz-1", 1)


def test_a_parcel_seen_before_its_order_waits_for_it(bench: Bench) -> None:
    assert bench.handle(shipped(), NOW) == []
    assert bench.handle(shipped(), NOW) == []
    assert bench.handle(shipped(n=2), NOW) == []
    sends = bench.handle(placed(), NOW)
    assert [send.send_id for send in sends] == [f"shipped:{ORDER}/1", f"shipped:{ORDER}/2"]
    assert bench.row(Recipient, ORDER).waiting == []
    assert bench.handle(placed(), NOW) == []
    assert bench.handle(shipped(), NOW) == []


def test_any_order_within_one_batch_tells_the_same(bench: Bench) -> None:
    for events in permutations([placed(), shipped(), shipped(n=2)]):
        fresh = Bench(bench.handlers)
        assert sorted(send.send_id for send in fresh.batch(events, NOW)) == [
            f"shipped:{ORDER}/1",
            f"shipped:{ORDER}/2",
        ]


def test_an_amendment_changes_whom_the_next_parcel_goes_to(bench: Bench) -> None:
    bench.handle(placed(), NOW)
    bench.handle(placed(sealed="k1:other", version=2, changed=["recipient"]), NOW)
    [send] = bench.handle(shipped(), NOW)
    assert send.body["sealed"] == "k1:other"


@pytest.mark.parametrize("known_first", [True, False])
def test_a_parcel_is_told_to_whom_its_label_names(bench: Bench, known_first: bool) -> None:
    late = placed(sealed="k1:too late", version=2, changed=["recipient"])
    told = [placed(), late, shipped(sealed="k1:sealed")] if known_first else [shipped(sealed="k1:sealed"), late]
    [send] = [output for message in told for output in bench.handle(message, NOW)]
    assert send.body["sealed"] == "k1:sealed"


def test_an_order_without_recipient_fails_its_notice_at_once(bench: Bench) -> None:
    bench.handle(placed(sealed=""), NOW)
    [failed] = bench.handle(shipped(), NOW)
    assert isinstance(failed, NoticeFailed)
    assert (failed.reason, failed.attempts) == ("the order names no recipient", 0)
    assert bench.handle(shipped(), NOW) == []


def test_a_given_up_message_is_published_with_the_carriers_word(bench: Bench) -> None:
    bench.handle(placed(), NOW)
    [send] = bench.handle(shipped(), NOW)
    [failed] = bench.handle(delivered(send, ok=False, detail="isv.MOBILE_NUMBER_ILLEGAL", attempts=3), NOW)
    assert isinstance(failed, NoticeFailed)
    assert (failed.reason, failed.attempts) == ("isv.MOBILE_NUMBER_ILLEGAL", 3)


def test_the_result_of_an_unknown_message_changes_nothing(bench: Bench) -> None:
    stray = Delivered(destination="sms", send_id="shipped:x/1", key="x", ok=True)
    assert bench.handle(stray, NOW) == []


def test_a_buyer_who_opted_out_is_told_nothing_until_opting_in(bench: Bench) -> None:
    out = domain.OptOutBuyer(buyer_key="b1", by="ops")
    assert bench.handle(out, NOW) == [Reply(body={"buyer_key": "b1", "opted_out": True})]
    assert bench.handle(out, NOW) == [Reply(body={"buyer_key": "b1", "opted_out": True})]
    assert bench.batch([placed(), shipped()], NOW) == []
    assert bench.row(Notice, ORDER, f"shipped:{ORDER}/1").state == "opted_out"
    bench.handle(domain.OptInBuyer(buyer_key="b1", by="ops"), NOW)
    assert bench.handle(shipped(), NOW) == []
    assert len(bench.handle(shipped(n=2), NOW)) == 1
    assert bench.handle(domain.OptInBuyer(buyer_key="never", by="ops"), NOW) == [
        Reply(body={"buyer_key": "never", "opted_out": False})
    ]


def test_an_opted_out_buyer_of_a_waiting_parcel_is_told_nothing(bench: Bench) -> None:
    bench.handle(domain.OptOutBuyer(buyer_key="b1", by="ops"), NOW)
    bench.handle(shipped(), NOW)
    assert bench.handle(placed(), NOW) == []


def test_a_new_wording_reaches_the_next_parcel(bench: Bench) -> None:
    bench.handle(placed(), NOW)
    [reply] = bench.handle(
        domain.SetTemplate(name="parcel_shipped", text="运单${waybill}", provider_code="SMS_1", by="ops"), NOW
    )
    assert reply.body["version"] == 1
    [send] = bench.handle(shipped(), NOW)
    assert (send.body["provider_code"], send.body["template_version"]) == ("SMS_1", 1)
    assert send.body["variables"] == {"waybill": "SF1"}
    [refused] = bench.handle(
        domain.SetTemplate(name="parcel_shipped", text="${phone}", provider_code="", by="ops"), NOW
    )
    assert refused.status == 422


def test_the_first_line_goes_at_once_and_the_next_ones_together(bench: Bench) -> None:
    [first] = bench.handle(held(), NOW)
    assert first.destination == "dingtalk"
    assert first.send_id == "digest:dingtalk:1"
    assert "代收点且金额超过 500" in first.body["text"]
    assert bench.handle(held("own.demo.2"), NOW + SECOND) == []  # one digest at a time
    [said, wake] = bench.handle(delivered(first), NOW + 2 * SECOND)
    assert isinstance(said, NoticeSent)
    assert (said.order_id, said.audience, said.medium) == ("operations", "operations", "dingtalk")
    assert wake == Wake(kind="digest", key="dingtalk", at=NOW + 5 * SECOND)
    assert bench.handle(held("own.demo.3"), NOW + 3 * SECOND) == []
    assert bench.tick(NOW + 4 * SECOND) == []
    [second] = bench.tick(NOW + 5 * SECOND)
    assert second.send_id == "digest:dingtalk:2"
    assert "own.demo.2" in second.body["text"]
    assert "own.demo.3" in second.body["text"]
    assert ORDER not in second.body["text"]


def test_a_storm_of_holds_stays_under_the_limit_and_loses_no_count(bench: Bench) -> None:
    sent: list[tuple[datetime, Send]] = []
    total = 0
    now = NOW
    for n in range(600):
        now = NOW + n * SECOND / 10
        outputs = bench.tick(now) + bench.handle(held(f"own.demo.{n}"), now)
        for send in [output for output in outputs if isinstance(output, Send)]:
            sent.append((now, send))
            total += send.body["count"]
            bench.handle(delivered(send), now)
    digest = bench.row(Digest, "dingtalk")
    total += sum(lines.count for lines in digest.pending.values())
    assert total == 600
    assert len(sent) <= 13
    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(sent)]
    assert min(gaps) >= 5 * SECOND


def test_an_outage_ends_with_one_digest(bench: Bench) -> None:
    [first] = bench.handle(held(), NOW)
    for n in range(50):
        assert bench.handle(held(f"own.demo.{n}"), NOW + n * timedelta(minutes=1)) == []
    later = NOW + timedelta(hours=1)
    failed, wake = bench.handle(delivered(first, ok=False, detail="timeout", attempts=9), later)
    assert isinstance(failed, NoticeFailed)
    assert wake == Wake(kind="digest", key="dingtalk", at=later + 10 * MINUTE)
    assert bench.handle(held("own.demo.50"), later + 9 * MINUTE) == [], "the pause holds"
    [send] = bench.tick(later + 10 * MINUTE)
    assert (send.send_id, send.body["count"]) == ("digest:dingtalk:2", 52)
    assert ORDER in send.body["text"], "what was refused comes first"
    assert "另有 49 条" in send.body["text"]


def test_words_that_are_refused_twice_keep_nobody_from_hearing_more(bench: Bench) -> None:
    [first] = bench.handle(held(message="不宜之词"), NOW)
    bench.handle(delivered(first, ok=False, detail="dingtalk errcode 430102"), NOW)
    bench.handle(low(), NOW)
    [second] = bench.tick(NOW + 10 * MINUTE)
    assert "不宜之词" in second.body["text"]
    bench.handle(delivered(second, ok=False, detail="dingtalk errcode 430102"), NOW + 10 * MINUTE)
    bench.handle(held("own.demo.2"), NOW + 11 * MINUTE)
    [third] = bench.tick(NOW + 20 * MINUTE)
    assert "不宜之词" not in third.body["text"]
    assert "#### 订单挂起：2\n- own.demo.2" in third.body["text"], "told once, the other one counted"
    assert "22423 可用 8" in third.body["text"], "this section was refused once only"
    assert third.body["count"] == 3
    bench.handle(delivered(third), NOW + 20 * MINUTE)
    assert bench.row(Digest, "dingtalk").pending == {}


def test_a_refusal_recorded_before_digests_carried_their_lines_is_decided_as_it_was(bench: Bench) -> None:
    [first] = bench.handle(held(), NOW)
    bench.handle(held("own.demo.2"), NOW)
    old = msgspec.structs.replace(delivered(first, ok=False, detail="timeout"), body={})
    failed, send = bench.handle(old, NOW + timedelta(hours=1))
    assert isinstance(failed, NoticeFailed)
    assert isinstance(send, Send)
    assert send.body["count"] == 1


def test_below_cost_holds_come_first(bench: Bench) -> None:
    bench.handle(held(), NOW)
    batch = [held("own.demo.2"), held("own.demo.3", "below_cost", "实收低于成本 15% 以上")]
    bench.batch(batch, NOW)
    digest = bench.row(Digest, "dingtalk")
    assert sorted(digest.pending) == ["below_cost", "held"]
    text = domain.digest_text(digest.pending, 18_000)
    assert text.index("own.demo.3") < text.index("own.demo.2")


def test_blocked_routes_and_safety_lines_name_what_to_do(bench: Bench) -> None:
    blocked = RouteBlocked(
        order_id=ORDER,
        version=1,
        plan=1,
        warehouse="CD",
        missing=[MissingAt(warehouse="CD", sku="85123A", quantity=2)],
        transfers=[TransferAdvice(sku="85123A", quantity=2, from_warehouse="GZ", to_warehouse="CD")],
        rule="west",
        rule_version=1,
        why_zh="",
        why_en="",
    )
    [send] = bench.batch([blocked, low()], NOW)
    assert "85123A×2 GZ→CD" in send.body["text"]
    assert "22423 可用 8，安全水位 30，建议采购 22" in send.body["text"]
    assert send.body["count"] == 2


def test_what_the_warehouse_could_not_honour_is_told_once_and_first(bench: Bench) -> None:
    amended = AmendTooLate(order_id=ORDER, version=2, changed=["lines", "recipient"])
    parcels = ["own.demo.2/1", "own.demo.2/2"]
    cancelled = CancelTooLate(order_id="own.demo.2", request_id="c1", shipped_parcels=parcels)
    [send] = bench.batch([held("own.demo.3"), amended, cancelled], NOW)
    section, _ = send.body["text"].split("\n\n")
    heading, first, second = section.split("\n")
    assert heading == "#### 仓库来不及照办：2"
    assert first.startswith(f"- {ORDER} 第 2 版改了商品、收件人，")
    assert second.startswith("- own.demo.2 的取消 c1 来晚了，包裹 own.demo.2/1、own.demo.2/2 已发出")
    assert bench.handle(delivered(send), NOW + MINUTE)[0].notice_id == send.send_id
    assert bench.tick(NOW + 10 * MINUTE) == []


def test_operators_word_what_came_too_late(bench: Bench) -> None:
    command = domain.SetTemplate(name="amend_too_late", text="${order_id}：${changed}", provider_code="", by="boss")
    bench.handle(command, NOW)
    [send] = bench.handle(AmendTooLate(order_id=ORDER, version=2, changed=["price"]), NOW)
    assert f"- {ORDER}：price" in send.body["text"], "a field without a word here is told by its name"


def test_text_from_platforms_cannot_become_markup(bench: Bench) -> None:
    [send] = bench.handle(held(message="[点我](http://evil)\n# 大标题"), NOW)
    assert "[点我]" not in send.body["text"]
    assert "\n# " not in send.body["text"]
