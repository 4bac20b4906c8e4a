"""Reads an order file, ours or a platform's export, as a stream of orders and refused rows in bounded memory."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any

from libs.channels.csv.damage import NumberWatch
from libs.channels.csv.layout import Layout, layout_of
from libs.channels.csv.mapping import Column, clean, value_of
from libs.channels.own.inbound import LINES_LIMIT, Order, convert
from libs.channels.refusals import OrderRefused

READ_BYTES = 256 * 1024
WAITING_ROWS_LIMIT = 20_000
ENCODINGS = ("utf-8-sig", "gb18030")
NUMBER_LIMIT_CHARACTERS = 64

_MAY_BELONG = "line {0} may belong to this order and names none"

Cells = dict[Column, str] | OrderRefused  # by column, or why the row has none
NumberedRow = tuple[int, str, Cells | None]


@dataclass(frozen=True, slots=True)
class RowRefused:
    """One row that keeps its order out: its line in the file, the column at fault, and why."""

    line: int
    field: str
    reason: str
    platform_order_id: str = ""


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """One order, and the lines of the file it was read from."""

    order: Order
    lines: list[int]


@dataclass(slots=True)
class LeftOut:
    """How many rows said nothing: their orders are unpaid, closed, or refunded before shipping."""

    rows: int = 0


@dataclass(slots=True)
class _Open:
    """An order whose last row has not been read yet; once a row is refused the order is, and keeps nothing."""

    head: dict[str, Any] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    refused: bool = False


def encoding_of(file: IO[bytes]) -> str:
    """Return the file's encoding: UTF-8 with or without a mark, else GB18030; any other is refused."""
    file.seek(0)
    if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
        raise OrderRefused("file", "is UTF-16: save it as CSV UTF-8")
    for encoding in ENCODINGS:
        file.seek(0)
        text = _text_of(file, encoding)
        try:
            while text.read(READ_BYTES):
                pass
        except UnicodeDecodeError:
            continue
        return encoding
    raise OrderRefused("file", "is neither UTF-8 nor GB18030")


def read_orders(
    file: IO[bytes], platform: str = "", left_out: LeftOut | None = None
) -> Iterator[ReadOrder | RowRefused]:
    """Yield the file's orders and refused rows. OrderRefused means that the file as a whole cannot be read.

    A platform's export is recognised by its heading row, or read as the named `platform`'s. Rows that say nothing are
    counted in `left_out`.
    """
    encoding = encoding_of(file)
    rows = _Rows(file, encoding, platform)
    counted = _counted(rows)
    rows.check_numbers()
    yield from _Reading(counted, _Rows(file, encoding, platform, left_out)).orders()


@dataclass(slots=True)
class _Counted:
    """What one look through the file tells: each order's rows, and why orders are not whole by them."""

    rows: Counter[str] = field(default_factory=Counter)
    lacking: dict[str, str] = field(default_factory=dict)


def _counted(rows: "_Rows") -> _Counted:
    """Count each order's rows. A spreadsheet's merged cells leave a line without its order's number: it belongs to the
    order above. A row that cannot be read at all may belong to the one above or below."""
    found = _Counted()
    above, unread = "", 0
    for line, number, cells in rows.read():
        if number:
            if cells is not None:
                found.rows[number] += 1
            if unread:
                found.lacking.setdefault(number, _MAY_BELONG.format(unread))
            above, unread = number, 0
        elif isinstance(cells, OrderRefused):
            found.lacking.setdefault(above, _MAY_BELONG.format(line))
            unread = line
        elif cells is not None and _is_of_line(cells):
            found.lacking.setdefault(above, _MAY_BELONG.format(line))
    for number, line in rows.left.items():
        found.lacking.setdefault(number, f"line {line} has left: ship the rest where that was shipped")
    return found


def _is_of_line(cells: dict[Column, str]) -> bool:
    """Tell a line of an order from a row of sums, which names no goods."""
    return all(clean(column, raw) for column, raw in cells.items() if column.of_line and column.required)


class _Reading:
    """Collects rows into orders and hands each order on with its last row."""

    def __init__(self, counted: _Counted, rows: "_Rows") -> None:
        self._left, self._lacking = counted.rows, counted.lacking
        self._rows = rows
        self._open: dict[str, _Open] = {}
        self._waiting_rows = 0

    def orders(self) -> Iterator[ReadOrder | RowRefused]:
        for line, number, cells in self._rows.read():
            if cells is None:
                continue
            if not number:
                error = cells if isinstance(cells, OrderRefused) else OrderRefused("platform_order_id", "is empty")
                yield RowRefused(line, error.field, error.reason)
                continue
            order = self._open.setdefault(number, _Open())
            try:
                if isinstance(cells, OrderRefused):
                    raise cells
                if number in self._lacking:
                    raise OrderRefused("platform_order_id", self._lacking.pop(number))
                self._take(order, line, cells, last=self._left[number] == 1)
            except OrderRefused as error:
                self._give_up(order)
                yield RowRefused(line, error.field, error.reason, _shown(number))
            self._left[number] -= 1
            if not self._left[number]:
                del self._open[number]
                self._waiting_rows -= len(order.lines)
                if not order.refused:
                    yield _finished(number, order, self._rows.layout)

    def _take(self, order: _Open, line: int, cells: dict[Column, str], last: bool) -> None:
        values: dict[str, Any] = {}
        for column, raw in cells.items():
            text = clean(column, raw)
            if not text:
                if column.of_line and column.required:
                    raise OrderRefused(column.name, "is empty")
                continue
            value = value_of(column, text)
            if column.of_line:
                values[column.field] = value
            elif column.may_differ:
                known = order.head.setdefault(column.field, value)
                order.head[column.field] = min(known, value) if isinstance(value, datetime) else known
            elif order.head.setdefault(column.field, value) != value:
                raise OrderRefused(column.name, "differs from another row of the same order")
        if order.refused:
            return
        if len(order.lines) >= LINES_LIMIT:
            raise OrderRefused("lines", f"an order has at most {LINES_LIMIT} lines")
        if not last and self._waiting_rows >= WAITING_ROWS_LIMIT:
            raise OrderRefused("platform_order_id", "the order's rows stand too far apart: sort the file by order")
        order.lines.append(values)
        order.places.append(line)
        self._waiting_rows += 1

    def _give_up(self, order: _Open) -> None:
        self._waiting_rows -= len(order.lines)
        order.refused = True
        order.lines.clear()
        order.head.clear()
        order.places.clear()


def _finished(number: str, order: _Open, layout: Layout) -> ReadOrder | RowRefused:
    try:
        return ReadOrder(convert(layout.fields(order.head, order.lines)), order.places)
    except OrderRefused as error:
        place, name = _column_of(error.field, layout)
        at = order.places[place if place < len(order.places) else 0]
        return RowRefused(at, name, error.reason, _shown(number))


def _column_of(path: str, layout: Layout) -> tuple[int, str]:
    """Return which row of the order, and which column, a field of the message came from."""
    if path.startswith("lines["):
        digits, _, rest = path.removeprefix("lines[").partition("]")
        funder = ".discounts" in rest
        return int(digits), "discount" if funder else layout.name_of(rest.lstrip("."))
    return 0, layout.name_of(path)


class _Rows:
    """The rows of a file under its heading, read from the start each time."""

    def __init__(self, file: IO[bytes], encoding: str, platform: str, left_out: LeftOut | None = None) -> None:
        self._file = file
        self._left_out = left_out if left_out is not None else LeftOut()
        self._encoding = encoding
        self._platform = platform
        self._layout: Layout | None = None
        self._watches: list[tuple[int, Column, NumberWatch]] = []
        self.left: dict[str, int] = {}  # the first row of each order whose goods have left

    @property
    def layout(self) -> Layout:
        assert self._layout is not None
        return self._layout

    def read(self) -> Iterator[NumberedRow]:
        """Yield (line, order number, cells or why there are none) for each row that is not blank; None says nothing."""
        self._file.seek(0)
        reader = csv.reader(_text_of(self._file, self._encoding), strict=True)
        self._layout = None
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                if self._layout is None or reader.line_num > line:
                    # A quote that is left open swallows the rows after it, and nobody could name them.
                    raise OrderRefused("file", f"line {line} is not CSV: {error}") from None
                yield line, "", OrderRefused("", f"is not CSV: {error}")
                continue
            if not any(cell.strip() for cell in row):
                continue
            if self._layout is None:
                self._layout = layout_of(row, self._platform)
                self._watches = [(at, column, NumberWatch(column)) for at, column in self._layout.ids]
                continue
            number, cells = self._cells(row)
            if cells is None:
                self._left_out.rows += 1
                if self._layout.has_left(row):
                    self.left.setdefault(number, line)
            yield line, number, cells
        if self._layout is None:
            raise OrderRefused("file", "is empty")

    def check_numbers(self) -> None:
        """Refuse the file when a spreadsheet spoiled its long numbers; call it after `read` has ended."""
        for _, _, watch in self._watches:
            watch.check()

    def _cells(self, row: list[str]) -> tuple[str, Cells | None]:
        layout = self.layout
        number = ""
        try:
            number = clean(layout.number_column, row[layout.number_at]) if layout.number_at < len(row) else ""
            if any(cell.strip() for cell in row[layout.width :]) or len(row) < layout.width:
                raise OrderRefused("", f"has {len(row)} cells where the heading has {layout.width}")
            cells = layout.cells(row)
            if cells is not None:
                for at, column, watch in self._watches:
                    watch.see(clean(column, row[at]))
        except OrderRefused as error:
            return number, error
        return number, cells


def _shown(number: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in number[:NUMBER_LIMIT_CHARACTERS])


def _text_of(file: IO[bytes], encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedReader(_Borrowed(file), READ_BYTES), encoding=encoding, newline="")


class _Borrowed(io.RawIOBase):
    """Lets a text reader read somebody else's open file without closing it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
