"""Turns the rows of a file into our columns: our own order file's, or a platform's export's."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from libs.channels.csv.exports import named, recognised
from libs.channels.csv.exports.export import Export, normal
from libs.channels.csv.mapping import BY_FIELD, BY_HEADING, COLUMNS, Column, clean, columns_of, order_fields, value_of
from libs.channels.refusals import OrderRefused

Cells = dict[Column, str]
ROW_COLUMNS = (
    Column("goods_total", "商品总价", "goods_total", "money", of_line=True),
    Column("due", "应付货款", "due", "money", of_line=True),
    Column("row_total", "实付", "row_total", "money", of_line=True),
    Column("row_freight", "运费", "row_freight", "money", of_line=True),
)
STATUS = Column("status", "订单状态", "status")
BY_NAME: Mapping[str, Column] = {column.name: column for column in (*COLUMNS, *ROW_COLUMNS, STATUS)}
BLANKS = ("-", "--", "—", "无", "null", "NULL")
DIVISION_ENDS = ("市", "州", "区", "盟", "县")
MAY_DIFFER = ("ship_by", "note")  # platforms write them per row: the earliest promise and the first note count
DIVISIONS = ("province", "city", "district")


@dataclass(frozen=True)
class Place:
    """A column of ours in a platform's file: the cells it is read from, each with the file's own heading."""

    name: str  # ours
    column: Column
    cells: tuple[tuple[int, Column], ...]
    adds: bool = False


class OwnLayout:
    """Our own order file: each heading is a column."""

    def __init__(self, headings: list[str]) -> None:
        self.width = len(headings)
        self._columns = columns_of(headings)
        self.number_at = [column.field for column in self._columns].index("platform_order_id")
        self.number_column = self._columns[self.number_at]
        lines = [place for place, column in enumerate(self._columns) if column.field == "line_id"]
        self.ids = [(place, self._columns[place]) for place in (self.number_at, *lines)]

    def cells(self, row: list[str]) -> Cells | None:
        """Return the row's cells by column."""
        return dict(zip(self._columns, row, strict=False))

    def has_left(self, row: list[str]) -> bool:
        """Our own file knows no status."""
        return False

    def name_of(self, field: str) -> str:
        """Return what the file calls a field of the order."""
        column = BY_FIELD.get(field)
        return column.name if column else field

    def fields(self, head: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the order's message."""
        return order_fields(head, lines)


class ExportLayout:
    """A platform's export: columns by the platform's headings, all others ignored, amounts made whole."""

    def __init__(self, export: Export, headings: list[str]) -> None:
        self.width = len(headings)
        self._export = export
        self._places = _places(export, headings)
        found = {place.name: place for place in self._places}
        for column in COLUMNS:
            stands_in = column.name == "unit_price" and "goods_total" in found
            if column.required and column.name not in found and not stands_in:
                wanted = export.headings.get(column.name, (column.heading,))[0]
                raise OrderRefused(wanted, f"the file lacks this column: {export.advice}")
        self.number_at, self.number_column = found["platform_order_id"].cells[0]
        self.ids = [cell for name in ("platform_order_id", "line_id") if name in found for cell in found[name].cells]
        self._names = {place.column.field: place.column.name for place in self._places}

    def cells(self, row: list[str]) -> Cells | None:
        """Return the row's cells by column; None for a row that says nothing (unpaid, closed)."""
        cells: Cells = {}
        if self._says(row, (*self._export.left_out, *self._export.shipped)):
            return None
        for place in self._places:
            if place.column.field == STATUS.field:
                continue
            text = self._sum(place, row) if place.column.reads == "fen" else _first(place, row)
            cells[place.column] = text
        if self._export.address_holds_divisions:
            _divide_address(cells)
        return cells

    def has_left(self, row: list[str]) -> bool:
        """Tell whether the row's goods have left."""
        return self._says(row, self._export.shipped)

    def _says(self, row: list[str], words: tuple[str, ...]) -> bool:
        status = next((normal(_first(each, row)) for each in self._places if each.column.field == STATUS.field), "")
        return any(normal(word) in status for word in words)

    def name_of(self, field: str) -> str:
        """Return what the file calls a field of the order."""
        return self._names.get(field, field)

    def fields(self, head: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the order's message; what the platform took off without saying who paid for it is the merchant's."""
        for line in lines:
            _price(line)
        head = {**head, "shipping_fee": max(line.pop("row_freight", 0) for line in lines)}
        rows = [line.pop("row_total") for line in lines if "row_total" in line]
        if len(rows) == len(lines):
            head["total"] = sum(rows)
        if "total" in head:
            _reduce(lines, sum(_costs(line) for line in lines) + head["shipping_fee"] - head["total"])
        return order_fields(head, lines)

    def _sum(self, place: Place, row: list[str]) -> str:
        """Return an amount in fen: of the first cell that holds one, or of all of them together."""
        reads = replace(place.column, reads="fen" if self._export.money == "fen" else "money")
        found = []
        for at, named_column in place.cells:
            text = _cell(named_column, row[at])
            if text:
                found.append(int(value_of(replace(reads, name=named_column.name), text)))
        if not found:
            return ""
        return str(sum(found) if place.adds else found[0])


Layout = OwnLayout | ExportLayout


def layout_of(headings: list[str], platform: str) -> Layout:
    """Return how to read the file: as the named platform's, as ours, or as whose signs the heading carries."""
    if platform:
        return ExportLayout(named(platform), headings)
    if all(heading.strip() in BY_HEADING for heading in headings):
        return OwnLayout(headings)
    export = recognised(headings)
    return ExportLayout(export, headings) if export else OwnLayout(headings)


def _places(export: Export, headings: list[str]) -> list[Place]:
    at: dict[str, int] = {}
    for place, heading in enumerate(headings):
        name = normal(heading)
        if name and name in at and any(name == normal(each) for each in _wanted(export)):
            raise OrderRefused(heading.strip()[:40], "the file has this column twice")
        at.setdefault(name, place)
    places = []
    for adds, mapped in ((False, export.headings), (True, export.sums)):
        for name, wanted in mapped.items():
            column = _column(export, name)
            cells = tuple((at[normal(each)], replace(column, name=each)) for each in wanted if normal(each) in at)
            if cells:
                # The first heading names the column in what is said about it.
                places.append(Place(name, replace(column, name=cells[0][1].name), cells, adds))
    return places


def _wanted(export: Export) -> list[str]:
    return [each for mapped in (export.headings, export.sums) for wanted in mapped.values() for each in wanted]


def _column(export: Export, name: str) -> Column:
    column = replace(BY_NAME[name], may_differ=name in MAY_DIFFER)
    if column.reads == "money":
        return replace(column, reads="fen")
    if column.reads == "time" and export.times == "seconds":
        return replace(column, reads="seconds")
    return column


def _first(place: Place, row: list[str]) -> str:
    return next((text for at, column in place.cells if (text := _cell(column, row[at]))), "")


def _cell(column: Column, raw: str) -> str:
    text = clean(column, raw)
    return "" if text in BLANKS else text


def _divide_address(cells: Cells) -> None:
    column = next(column for column in cells if column.field == "recipient.address")
    if any(cells.get(each) for each in cells if each.field == "recipient.province"):
        return
    parts = cells[column].split(maxsplit=len(DIVISIONS))
    if len(parts) == len(DIVISIONS) + 1 and parts[1].endswith(DIVISION_ENDS):
        for name, part in zip(DIVISIONS, parts, strict=False):
            cells[replace(BY_NAME[name], name=column.name)] = part
        cells[column] = parts[-1]


def _price(line: dict[str, Any]) -> None:
    """Give the line a price from the row's amount, and what the row says it cost in the end."""
    goods, due, quantity = line.pop("goods_total", None), line.pop("due", None), line["quantity"]
    if "unit_price" not in line:
        if goods is None:
            raise OrderRefused("lines[0].unit_price", "is empty")
        # A total that the quantity does not divide is kept to the fen: dearer by a fen, and less by what is too much.
        line["unit_price"] = -(-goods // max(quantity, 1))
        _take_off(line, line["unit_price"] * quantity - goods)
    if due is not None:
        _take_off(line, _costs(line) - due)


def _reduce(lines: list[dict[str, Any]], amount: int) -> None:
    for line in lines:
        share = min(amount, _costs(line))
        _take_off(line, share)
        amount -= max(share, 0)


def _take_off(line: dict[str, Any], amount: int) -> None:
    if amount > 0:
        line["merchant"] = line.get("merchant", 0) + amount


def _costs(line: Mapping[str, Any]) -> int:
    off = sum(line.get(funder, 0) for funder in ("merchant", "platform", "influencer"))
    whole: int = line["quantity"] * line["unit_price"] - off
    return whole
