"""Which of a task's goods a barcode means, and what is still to be fetched."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from contracts.stock import StockLine
from services.fulfillment.domain.rows import PickLine

Barcode = Callable[[str], str]
Goods = dict[tuple[str, str], int]


def meant_by(code: str, skus: Iterable[str], barcode: Barcode) -> list[str]:
    """Return the SKUs that `code` names: the SKU of that very name, else those that carry it as their barcode."""
    distinct = list(dict.fromkeys(skus))
    if code in distinct:
        return [code]
    return [sku for sku in distinct if code and barcode(sku) == code]


def take(lines: Sequence[PickLine], skus: Sequence[str], quantity: int) -> list[PickLine] | None:
    """Return the lines with `quantity` more units of `skus` scanned, in order; None if so many are not wanted."""
    taken: list[PickLine] = []
    left = quantity
    for line in lines:
        units = min(left, line.quantity - line.scanned) if line.sku in skus else 0
        left -= units
        taken.append(msgspec.structs.replace(line, scanned=line.scanned + units) if units else line)
    return taken if left == 0 else None


def unscanned(lines: Iterable[PickLine]) -> list[PickLine]:
    """Return the lines as they were before the first scan."""
    return [msgspec.structs.replace(line, scanned=0) for line in lines]


def expected(lines: Iterable[PickLine], barcode: Barcode) -> list[dict[str, Any]]:
    """Return what is still to be scanned, SKU by SKU."""
    left: dict[str, int] = {}
    for line in lines:
        if line.scanned < line.quantity:
            left[line.sku] = left.get(line.sku, 0) + line.quantity - line.scanned
    return [{"sku": sku, "barcode": barcode(sku), "remaining": units} for sku, units in left.items()]


def goods_of(lines: Iterable[StockLine | PickLine]) -> Goods:
    """Return the units asked for by line and SKU, however they are spread over parcels."""
    goods: Goods = {}
    for line in lines:
        goods[(line.line_id, line.sku)] = goods.get((line.line_id, line.sku), 0) + line.quantity
    return goods


def stock_lines(lines: Iterable[PickLine]) -> list[StockLine]:
    """Return a task's lines as other services know them."""
    return [StockLine(line_id=line.line_id, sku=line.sku, quantity=line.quantity) for line in lines]
