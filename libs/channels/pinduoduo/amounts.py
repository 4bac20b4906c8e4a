"""Pinduoduo's amounts: the unit of each field as data, and an order's sum explained field by field; pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from libs.channels.goods import Charges, Goods, spread
from libs.channels.money import fen, fen_of_yuan
from libs.channels.refusals import OrderRefused

_NEEDED = frozenset({"pay_amount", "goods_price"})


def _in_yuan(name: str) -> Callable[[Mapping[str, Any]], int]:
    def read(record: Mapping[str, Any]) -> int:
        if record.get(name) in (None, "") and name not in _NEEDED:
            return 0
        return fen_of_yuan(name, record.get(name))

    return read


def _refunded(row: Mapping[str, Any]) -> int:
    """The list writes yuan as text, a refund's detail whole fen as a number."""
    value = row.get("refund_amount")
    read = fen if isinstance(value, int) else fen_of_yuan
    return read("refund_amount", value)


AMOUNTS: Mapping[str, Callable[[Mapping[str, Any]], int]] = {
    # The API counts in yuan. Only messages count in fen (refund_fee), and no amount is ever taken from a message.
    path: _in_yuan(path.partition(".")[2])
    for path in (
        "order.pay_amount",
        "order.goods_amount",
        "order.postage",
        "order.seller_discount",
        "order.platform_discount",
        "order.capital_free_discount",
        "order.delivery_install_value",
        "order.delivery_home_value",
        "order.home_install_value",
        "step.step_discount_amount",
        "item.goods_price",
    )
} | {"refund.refund_amount": _refunded}

# What made the order cheaper than its goods: what is paid is the goods less these plus postage, as documented.
_REDUCTIONS = (
    ("order.seller_discount", "merchant"),
    ("order.platform_discount", "platform"),
    ("order.capital_free_discount", "merchant"),
)
_SURCHARGES = ("order.delivery_install_value", "order.delivery_home_value", "order.home_install_value")


def settle(info: Mapping[str, Any], lines: Sequence[Goods]) -> Charges:
    """Spread the order's discounts over its lines, so that what is paid is explained.

    What no field explains stays a difference, which the order's own check then refuses with its amount.
    """
    shipping_fee, total = AMOUNTS["order.postage"](info), AMOUNTS["order.pay_amount"](info)
    if shipping_fee < 0 or total < 0:
        raise OrderRefused("pay_amount", "an amount is below zero")
    gross = sum(line.net for line in lines)
    for path, funder in _REDUCTIONS:
        spread(lines, funder, max(AMOUNTS[path](info), 0))
    too_much = sum(line.net for line in lines) + shipping_fee - total
    # These two are used only as far as the sum asks for them: a price the merchant changed, which has no field of its
    # own but makes the goods' amount lower, and what a deposit was worth more.
    step = info.get("step_order_info")
    further = [AMOUNTS["step.step_discount_amount"](step)] if isinstance(step, dict) else []
    if info.get("goods_amount") not in (None, ""):
        further.append(gross - AMOUNTS["order.goods_amount"](info))
    for amount in further:
        used = min(too_much, amount)
        if used > 0:
            too_much -= spread(lines, "merchant", used)
    for path in _SURCHARGES:
        used = min(-too_much, AMOUNTS[path](info))
        if used > 0:
            shipping_fee += used
            too_much += used
    return Charges(shipping_fee, total)
