"""Lines in the making: discounts spread over them in proportion, so that no fen is lost or made; pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Goods:
    """A line in the making: what the platform took off it, by who pays."""

    line_id: str
    sku: str
    quantity: int
    unit_price: int
    discounts: dict[str, int] = field(default_factory=dict)

    @property
    def net(self) -> int:
        """Return what the line still costs."""
        return self.quantity * self.unit_price - sum(self.discounts.values())

    @property
    def as_line(self) -> dict[str, Any]:
        """Return the line as an order has it, without discounts of nothing."""
        return {
            "line_id": self.line_id,
            "sku": self.sku,
            "quantity": self.quantity,
            "unit_price": self.unit_price,
            "discounts": [{"funder": funder, "amount": amount} for funder, amount in self.discounts.items() if amount],
        }


@dataclass(frozen=True)
class Charges:
    """What the order costs besides its lines, and in all."""

    shipping_fee: int
    total: int


def spread(lines: Sequence[Goods], funder: str, amount: int) -> int:
    """Take an amount off the lines in proportion to what they cost; returns how much of it found room."""
    room = sum(max(line.net, 0) for line in lines)
    left = taken = min(amount, room)
    for line in lines:
        net = max(line.net, 0)
        share = left * net // room if room else 0
        # What rounding leaves over goes to the last line that still costs something.
        line.discounts[funder] = line.discounts.get(funder, 0) + share
        left -= share
        room -= net
    return taken
