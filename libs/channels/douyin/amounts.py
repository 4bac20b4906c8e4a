"""Douyin's amounts: the unit of each field as data, and an order's sum explained field by field; pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from libs.channels.goods import Charges, Goods, spread
from libs.channels.money import fen
from libs.channels.refusals import OrderRefused

FUNDERS = ("merchant", "platform", "influencer")


_NEEDED = frozenset({"pay_amount", "origin_amount", "refund_amount"})


def _in_fen(name: str) -> Callable[[Mapping[str, Any]], int]:
    def read(record: Mapping[str, Any]) -> int:
        if record.get(name) in (None, "") and name not in _NEEDED:
            return 0
        return fen(name, record.get(name))

    return read


AMOUNTS: Mapping[str, Callable[[Mapping[str, Any]], int]] = {
    # The whole platform counts in fen; a field that is not here is not read.
    path: _in_fen(path.partition(".")[2])
    for path in (
        "order.pay_amount",
        "order.post_amount",
        "order.promotion_shop_amount",
        "order.promotion_platform_amount",
        "order.promotion_talent_amount",
        "order.promotion_pay_amount",
        "order.promotion_redpack_platform_amount",
        "order.promotion_redpack_talent_amount",
        "order.modify_amount",
        "order.modify_post_amount",
        "order.post_insurance_amount",
        "order.packing_amount",
        "order.tax_amount",
        "sku.origin_amount",
        "sku.promotion_shop_amount",
        "sku.promotion_platform_amount",
        "sku.promotion_talent_amount",
        "aftersale_info.refund_amount",
    )
}

# What may have made an order cheaper than its lines, in the order it is believed. The first three repeat what stands in
# the lines, mostly; whether the others are part of them differs from order to order. So each is used only as far as
# the sum asks for it. Sign -1: the field is a change, and a cheaper order has it below zero.
_REDUCTIONS = (
    ("order.promotion_shop_amount", 1, "merchant"),
    ("order.promotion_platform_amount", 1, "platform"),
    ("order.promotion_talent_amount", 1, "influencer"),
    ("order.promotion_pay_amount", 1, "platform"),
    ("order.promotion_redpack_platform_amount", 1, "platform"),
    ("order.promotion_redpack_talent_amount", 1, "influencer"),
    ("order.modify_amount", -1, "merchant"),
    ("order.modify_post_amount", -1, "merchant"),
)
_IN_LINES = frozenset(path for path, _, _ in _REDUCTIONS[:3])
_SURCHARGES = ("order.post_insurance_amount", "order.packing_amount", "order.tax_amount")


def settle(detail: Mapping[str, Any], lines: Sequence[Goods]) -> Charges:
    """Bring the lines' discounts in line with the order's, so that what is paid is explained.

    What no field explains stays a difference, which the order's own check then refuses with its amount.
    """
    for line in lines:
        if line.quantity < 1 or line.unit_price < 0 or min(line.discounts.values()) < 0:
            raise OrderRefused("sku_order_list", "a line has no quantity, or an amount below zero")
    shipping_fee, total = AMOUNTS["order.post_amount"](detail), AMOUNTS["order.pay_amount"](detail)
    if shipping_fee < 0 or total < 0:
        raise OrderRefused("pay_amount", "an amount is below zero")
    too_much = sum(line.net for line in lines) + shipping_fee - total
    in_lines = {funder: sum(line.discounts[funder] for line in lines) for funder in FUNDERS}
    for path, sign, funder in _REDUCTIONS:
        named = sign * AMOUNTS[path](detail) - (in_lines[funder] if path in _IN_LINES else 0)
        used = min(too_much, named)
        if used > 0:
            too_much -= spread(lines, funder, used)
    for path in _SURCHARGES:
        used = min(-too_much, AMOUNTS[path](detail))
        if used > 0:
            shipping_fee += used
            too_much += used
    return Charges(shipping_fee, total)
