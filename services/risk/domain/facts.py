"""What risk's rules may know of an order: computed here once, documented here once."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from contracts.orders import Destination, OrderContent, OrderLine

# These kinds are sent free of charge or in exchange: their receipt says nothing about a price.
EXEMPT_FROM_MARGIN = ("exchange", "reissue")
FUNDED_BY_PLATFORM = "platform"


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One name that rules may use. Amounts are in minor units (分), percentages plain numbers (15 is 15 %)."""

    name: str
    type: str
    unit: str = ""
    zh: str
    en: str


def _fact(name: str, kind: str, unit: str, zh: str, en: str) -> Fact:
    return Fact(name=name, type=kind, unit=unit, zh=zh, en=en)


FACTS: tuple[Fact, ...] = (
    _fact("order.channel", "text", "", "渠道", "the channel it was placed on"),
    _fact("order.shop_id", "text", "", "店铺", "the shop it was placed in"),
    _fact("order.currency", "text", "ISO 4217", "币种", "the currency of all amounts"),
    _fact(
        "order.kind", "text", "", "订单类型：normal、presale、exchange、reissue", "normal, presale, exchange or reissue"
    ),
    _fact("order.total", "integer", "minor unit", "应付总额", "what the buyer owes, shipping included"),
    _fact(
        "order.total_text",
        "text",
        "major unit",
        "应付总额（两位小数，供文案用）",
        "the total with two decimals, for messages",
    ),
    _fact("order.shipping_fee", "integer", "minor unit", "运费", "the shipping fee"),
    _fact("order.is_paid", "boolean", "", "是否已付款", "whether a payment time is known"),
    _fact("order.has_note", "boolean", "", "是否有买家留言", "whether the buyer left a note"),
    _fact("order.line_count", "integer", "lines", "行数", "how many lines it has"),
    _fact("order.unit_count", "integer", "units", "件数", "how many units it has"),
    _fact(
        "order.max_unit_price", "integer", "minor unit", "最高单价（优惠前）", "its highest unit price before discounts"
    ),
    _fact("order.is_pickup_point", "boolean", "", "是否自提点", "whether it goes to a pick-up point"),
    _fact("order.resolved", "boolean", "", "地址是否已识别", "whether the address was resolved to codes"),
    _fact("order.why_unresolved", "text", "", "地址未识别的原因", "why the address was not resolved"),
    _fact("order.province_code", "text or null", "GB/T 2260", "省级代码", "code of the province"),
    _fact("order.city_code", "text or null", "GB/T 2260", "市级代码", "code of the city"),
    _fact("order.district_code", "text or null", "GB/T 2260", "区县代码", "code of the district"),
    _fact("order.region", "text or null", "", "大区", "one of the seven regions"),
    _fact(
        "order.buyer_orders_today",
        "integer",
        "orders",
        "该单是同一买家当日第几单，买家未知为 0",
        "which order of its buyer on that local day it is, 0 when the buyer is not known",
    ),
    _fact("order.available_from", "text or null", "RFC 3339, UTC", "预售可发货时间", "when a presale may ship"),
    _fact("order.opens_later", "boolean", "", "可发货时间未到", "whether that time is still to come"),
    _fact(
        "order.is_exempt_from_margin",
        "boolean",
        "",
        "换货与补发不看毛利",
        "exchanges and reissues: their receipt says nothing about a price",
    ),
    _fact(
        "order.worst_margin_percent",
        "number or null",
        "% of cost, signed",
        "最差一行的（商家实收 − 成本）÷ 成本 × 100；成本未知为 null",
        "(net receipt − cost) / cost × 100 of the line where it is lowest; null when no cost is known",
    ),
    _fact(
        "order.worst_margin_of_receipt_percent",
        "number or null",
        "% of receipt, signed",
        "同一行的（商家实收 − 成本）÷ 实收 × 100（实收不足 1 分按 1 分）",
        "the same line's (net receipt − cost) / net receipt × 100, a receipt under 1 counted as 1",
    ),
    _fact("order.worst_margin_sku", "text or null", "", "最差一行的商品", "the SKU of that line"),
    _fact("order.worst_net_receipt", "integer or null", "minor unit", "最差一行的商家实收", "that line's net receipt"),
    _fact("order.worst_cost_total", "integer or null", "minor unit", "最差一行的成本", "that line's cost"),
    _fact("buyer.known", "boolean", "", "买家是否可识别", "whether there is a buyer key"),
    _fact("buyer.vip", "boolean", "", "平台标记的 VIP", "whether the platform calls the buyer a VIP"),
    _fact("buyer.allowed", "boolean", "", "是否在白名单", "whether the buyer is on the allow list"),
    _fact("lines[].line_id", "text", "", "行号", "the line"),
    _fact("lines[].sku", "text", "", "商品", "its SKU"),
    _fact("lines[].quantity", "integer", "units", "数量", "its quantity"),
    _fact("lines[].unit_price", "integer", "minor unit", "单价（优惠前）", "its unit price before discounts"),
    _fact(
        "lines[].net_receipt",
        "integer",
        "minor unit",
        "商家实收：单价 × 数量 − 商家与达人承担的优惠（平台承担的会返还）",
        "unit price × quantity less discounts that merchant or influencer fund; the platform pays its own back",
    ),
    _fact("lines[].cost_total", "integer or null", "minor unit", "成本 × 数量", "cost × quantity, null when not known"),
)


# What the rules know of the address: each field of it is a fact of the same name.
ADDRESS_FACTS = frozenset(f"order.{field}" for field in Destination.__struct_fields__)


def utc(at: datetime) -> datetime:
    """Return `at` in UTC; a time without a zone means UTC, whatever the machine's own zone is."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def net_receipt(line: OrderLine) -> int:
    """Return what the merchant keeps of a line: discounts that the platform funds are paid back."""
    gross = line.unit_price * line.quantity
    return gross - sum([discount.amount for discount in line.discounts if discount.funder != FUNDED_BY_PLATFORM])


def text_of(amount: int) -> str:
    """Return an amount of minor units as a decimal text of major units."""
    sign, size = ("-", -amount) if amount < 0 else ("", amount)
    return f"{sign}{size // 100}.{size % 100:02d}"


def facts_of(
    order: OrderContent, costs: Mapping[str, int | None], nth_of_day: int, allowed: bool, now: datetime
) -> dict[str, Any]:
    """Return every fact of `order`, under the names that FACTS documents."""
    lines = []
    max_unit_price = unit_count = 0
    worst: tuple[float, int, int, str] | None = None
    for line in order.lines:
        receipt = net_receipt(line)
        cost = costs.get(line.sku)
        cost_total = None if cost is None else cost * line.quantity
        unit_count += line.quantity
        max_unit_price = max(max_unit_price, line.unit_price)
        lines.append(
            {
                "line_id": line.line_id,
                "sku": line.sku,
                "quantity": line.quantity,
                "unit_price": line.unit_price,
                "net_receipt": receipt,
                "cost_total": cost_total,
            }
        )
        if cost_total:
            margin = (receipt - cost_total) * 100 / cost_total
            if worst is None or margin < worst[0]:
                worst = (margin, receipt, cost_total, line.sku)
    to = order.destination
    opens = None if order.available_from is None else utc(order.available_from)
    facts: dict[str, Any] = {
        "channel": order.channel,
        "shop_id": order.shop_id,
        "currency": order.currency,
        "kind": order.kind,
        "total": order.total,
        "total_text": text_of(order.total),
        "shipping_fee": order.shipping_fee,
        "is_paid": order.paid_at is not None,
        "has_note": order.has_note,
        "line_count": len(lines),
        "unit_count": unit_count,
        "max_unit_price": max_unit_price,
        "is_pickup_point": to.is_pickup_point,
        "resolved": to.resolved,
        "why_unresolved": to.why_unresolved,
        "province_code": to.province_code,
        "city_code": to.city_code,
        "district_code": to.district_code,
        "region": to.region,
        "buyer_orders_today": nth_of_day,
        "available_from": None if opens is None else opens.isoformat().replace("+00:00", "Z"),
        "opens_later": opens is not None and opens > now,
        "is_exempt_from_margin": order.kind in EXEMPT_FROM_MARGIN,
        **_worst(worst),
    }
    buyer = {"known": bool(order.buyer_key), "vip": order.buyer_vip, "allowed": allowed}
    return {"order": facts, "buyer": buyer, "lines": lines}


def _worst(worst: tuple[float, int, int, str] | None) -> dict[str, Any]:
    margin, receipt, cost_total, sku = worst or (None, None, None, None)
    of_receipt = None if receipt is None or cost_total is None else (receipt - cost_total) * 100 / max(receipt, 1)
    return {
        "worst_margin_percent": margin,
        "worst_margin_of_receipt_percent": of_receipt,
        "worst_margin_sku": sku,
        "worst_net_receipt": receipt,
        "worst_cost_total": cost_total,
    }
