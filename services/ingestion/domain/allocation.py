"""Divides what may be sold of a SKU among its listings: fixed first, then shares, then the rest; never more."""

from collections.abc import Sequence
from typing import Literal

import msgspec

Mode = Literal["fixed", "share", "rest"]
PERCENT = 100


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How much a listing gets. `amount`: units for fixed, percent for share, units kept back from it for rest.

    Where goods do not suffice, a lower `priority` number is served first.
    """

    mode: Mode
    amount: int = 0
    priority: int = 100


def fault(policies: Sequence[Policy]) -> str | None:
    """Say what is wrong with the policies of one SKU taken together; None if nothing is."""
    shares = sum(policy.amount for policy in policies if policy.mode == "share")
    if shares > PERCENT:
        return f"the shares of this SKU make {shares} percent, {shares - PERCENT} too many"
    if any(policy.amount < 0 for policy in policies):
        return "an amount is negative"
    return None


def allocate(units: int, listings: Sequence[tuple[str, Policy]]) -> dict[str, int]:
    """Return the units of each listing by name; together they are never more than `units`."""
    left = max(0, units)
    found = dict.fromkeys([name for name, _ in listings], 0)
    served = sorted(listings, key=lambda each: (each[1].priority, each[0]))
    for name, policy in served:
        if policy.mode == "fixed":
            found[name] = min(policy.amount, left)
            left -= found[name]
    shared = left
    for name, policy in served:
        if policy.mode == "share":
            found[name] = min(shared * policy.amount // PERCENT, left)
            left -= found[name]
    for name, policy in served:
        if policy.mode == "rest":
            found[name] = max(0, left - policy.amount)
            left -= found[name]
    return found
