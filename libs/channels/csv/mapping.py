"""Which column of an order file is which field of an order, and how its text becomes a value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from libs.channels.refusals import OrderRefused

CHINA = timezone(timedelta(hours=8))


@dataclass(frozen=True)
class Column:
    """A column: its name, its Chinese heading, where its value goes, and whether a file must have it."""

    name: str
    heading: str
    field: str
    reads: str = "text"
    required: bool = False
    of_line: bool = False
    may_differ: bool = False  # rows of one order may disagree: the earliest time or the first text counts


COLUMNS: tuple[Column, ...] = (
    Column("platform_order_id", "订单号", "platform_order_id", required=True),
    Column("placed_at", "下单时间", "placed_at", "time", required=True),
    Column("paid_at", "付款时间", "paid_at", "time"),
    Column("currency", "币种", "currency"),
    Column("buyer_id", "买家ID", "buyer.id"),
    Column("buyer_identity", "买家标识", "buyer.identity"),
    Column("vip", "VIP", "buyer.vip", "flag"),
    Column("name", "收货人", "recipient.name", required=True),
    Column("phone", "手机号", "recipient.phone", required=True),
    Column("province", "省", "recipient.province"),
    Column("city", "市", "recipient.city"),
    Column("district", "区", "recipient.district"),
    Column("address", "详细地址", "recipient.address", required=True),
    Column("postcode", "邮编", "recipient.postcode"),
    Column("line_id", "行号", "line_id", of_line=True),
    Column("sku", "商品编码", "sku", required=True, of_line=True),
    Column("quantity", "数量", "quantity", "whole", required=True, of_line=True),
    Column("unit_price", "单价", "unit_price", "money", required=True, of_line=True),
    Column("discount_merchant", "商家优惠", "merchant", "money", of_line=True),
    Column("discount_platform", "平台优惠", "platform", "money", of_line=True),
    Column("discount_influencer", "达人优惠", "influencer", "money", of_line=True),
    Column("shipping_fee", "运费", "shipping_fee", "money"),
    Column("total", "订单金额", "total", "money"),
    Column("kind", "订单类型", "kind"),
    Column("available_from", "预售发货时间", "available_from", "time"),
    Column("ship_by", "承诺发货时间", "promise.ship_by", "time"),
    Column("note", "备注", "note"),
)
BY_HEADING: dict[str, Column] = {key: column for column in COLUMNS for key in (column.name, column.heading)}
BY_FIELD: dict[str, Column] = {column.field: column for column in COLUMNS}
FUNDERS = ("merchant", "platform", "influencer")

# A spreadsheet that took an order number for a quantity shows and saves 5.36365E+17: the digits are gone for good.
_SCIENTIFIC = re.compile(r"\d(?:\.\d+)?[Ee]\+\d{1,3}")
_FLOAT = re.compile(r"\d{16,}\.0+|\d(?:\.\d+)?[Ee]\d{2}")  # how other tools write a long number they took for a float
_IDS = ("platform_order_id", "line_id")
_FREE_TEXT = ("recipient.address", "note", "recipient.name")
_FORMULA_TEXT = re.compile(r'="(.*)"', re.DOTALL)
_WHOLE = re.compile(r"\d{1,9}")
_FEN = re.compile(r"\d{1,13}")
_SECONDS = re.compile(r"\d{1,10}")
_MONEY = re.compile(r"(\d{1,11})(?:\.(\d{1,2})0*)?")
_TIME = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?[ T]+"
    r"(\d{1,2}):(\d{2})(?::(\d{2}))?(?:\.\d{1,9})?\s*(Z|[+-]\d{2}:?\d{2})?"
)
_YES, _NO = ("1", "true", "yes", "y", "是"), ("", "0", "false", "no", "n", "否")


def columns_of(headings: list[str]) -> list[Column]:
    """Return the file's columns in order; a heading that is unknown, doubled or missing is refused by name."""
    columns = []
    for place, heading in enumerate(headings):
        column = BY_HEADING.get(heading.strip())
        if column is None:
            shown = "".join(letter if letter.isprintable() else "?" for letter in heading.strip()[:40])
            raise OrderRefused(shown or f"column {place + 1}", "is not a column of an order file")
        if column in columns:
            raise OrderRefused(column.name, "the file has this column twice")
        columns.append(column)
    for column in COLUMNS:
        if column.required and column not in columns:
            raise OrderRefused(column.name, "the file lacks this column")
    return columns


def clean(column: Column, text: str) -> str:
    """Return the cell's text without what spreadsheets and exports put around it; refuse what they destroyed."""
    text = text.strip()
    if text.startswith("=") and (formula := _FORMULA_TEXT.fullmatch(text)):
        text = formula[1].strip()
    if column.field not in _FREE_TEXT:
        text = text.lstrip("'").strip()
        if _SCIENTIFIC.fullmatch(text) or (column.field in _IDS and _FLOAT.fullmatch(text)):
            raise OrderRefused(
                column.name,
                "a spreadsheet turned this number into scientific notation (like 5.36365E+17) and lost its digits: "
                "format the column as text and export again",
            )
    return text


def value_of(column: Column, text: str) -> Any:
    """Return a cell's value: minor units for money, aware times (China's, when the file names no offset)."""
    if column.reads == "text":
        return text
    if column.reads == "whole":
        if not _WHOLE.fullmatch(text):
            raise OrderRefused(column.name, "must be a whole number")
        return int(text)
    if column.reads == "money":
        return _money(column, text)
    if column.reads == "fen":
        if not _FEN.fullmatch(text):
            raise OrderRefused(column.name, "must be an amount in whole fen")
        return int(text)
    if column.reads == "seconds":
        if not _SECONDS.fullmatch(text):
            raise OrderRefused(column.name, "must be seconds since 1970")
        return datetime.fromtimestamp(int(text), CHINA)
    if column.reads == "flag":
        lowered = text.lower()
        if lowered not in _YES and lowered not in _NO:
            raise OrderRefused(column.name, "must be 1 or 0, true or false, 是 or 否")
        return lowered in _YES
    return _time(column, text)


def order_fields(head: Mapping[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the own-channel message of one order: `head` by field name, `lines` by line field.

    Without a total in the file the lines less discounts plus shipping are taken as the total.
    """
    fields: dict[str, Any] = {"currency": "CNY", "recipient": {}}
    for name, value in head.items():
        group, _, inner = name.partition(".")
        if inner:
            fields.setdefault(group, {})[inner] = value
        else:
            fields[name] = value
    fields["lines"] = [_line(place, line) for place, line in enumerate(lines)]
    if "total" not in fields:
        net = sum(
            line["quantity"] * line["unit_price"] - sum(each["amount"] for each in line["discounts"])
            for line in fields["lines"]
        )
        fields["total"] = net + fields.get("shipping_fee", 0)
    return fields


def _line(place: int, line: dict[str, Any]) -> dict[str, Any]:
    return {
        "line_id": line.get("line_id") or str(place + 1),
        "sku": line.get("sku", ""),
        "quantity": line["quantity"],
        "unit_price": line["unit_price"],
        "discounts": [{"funder": name, "amount": line[name]} for name in FUNDERS if line.get(name)],
    }


def _money(column: Column, text: str) -> int:
    matched = _MONEY.fullmatch(text.removeprefix("¥").removeprefix("￥").strip())
    if matched is None:
        raise OrderRefused(column.name, "must be an amount in yuan with at most two decimals, like 25.50")
    return int(matched[1]) * 100 + int((matched[2] or "").ljust(2, "0"))


def _time(column: Column, text: str) -> datetime:
    matched = _TIME.fullmatch(text)
    if matched is None:
        raise OrderRefused(column.name, "must be a time like 2026-11-11 08:00:03")
    year, month, day, hour, minute, second, offset = matched.groups()
    try:
        zone = CHINA if offset is None else _zone(offset)
        return datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=zone)
    except ValueError:
        raise OrderRefused(column.name, "is not a time that exists") from None


def _zone(offset: str) -> timezone:
    if offset == "Z":
        return timezone(timedelta(0))
    sign = -1 if offset[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:])))
