"""Values by number: equal values get equal numbers, so that a state of the whole system is a short tuple of ints."""

from collections.abc import Hashable
from typing import Generic, TypeVar

V = TypeVar("V", bound=Hashable)


class Book(Generic[V]):
    """Numbers values in the order of their first appearance."""

    __slots__ = ("_numbers", "values")

    def __init__(self) -> None:
        self.values: list[V] = []
        self._numbers: dict[V, int] = {}

    def number(self, value: V) -> int:
        """Return the number of `value`, giving it the next one if it is new."""
        found = self._numbers.get(value)
        if found is None:
            found = self._numbers[value] = len(self.values)
            self.values.append(value)
        return found

    def __getitem__(self, number: int) -> V:
        return self.values[number]

    def __len__(self) -> int:
        return len(self.values)
