"""Finds long numbers that a spreadsheet kept as floats: from the sixteenth digit on they are all zeros."""

from libs.channels.csv.mapping import Column
from libs.channels.refusals import OrderRefused

EXACT_DIGITS = 15
SURE_ZEROS = 3
REMEMBERED_NUMBERS = 64


class NumberWatch:
    """Looks at one column of ids, number by number. A spreadsheet spoils a column whole, chance does not."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self._spoiled: set[str] = set()
        self._sound = False

    def see(self, number: str) -> None:
        """Take one cleaned cell into account."""
        if len(number) <= EXACT_DIGITS or not (number.isascii() and number.isdigit()):
            return
        if number[EXACT_DIGITS:].strip("0"):
            self._sound = True
        elif len(self._spoiled) < REMEMBERED_NUMBERS:
            self._spoiled.add(number)

    def check(self) -> None:
        """Refuse the file by its column when every long number ends in zeros, and more zeros than chance makes."""
        zeros = sum(len(number) - EXACT_DIGITS for number in self._spoiled)
        if not self._sound and zeros >= SURE_ZEROS:
            raise OrderRefused(
                self._column.name,
                f"a spreadsheet kept these numbers as floats: after {EXACT_DIGITS} digits there are only zeros and the "
                "true digits are gone. Export the file again and import it without opening it in a spreadsheet, or "
                "format the column as text before the file is saved",
            )
