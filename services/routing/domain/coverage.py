"""Who can ship what: what a warehouse lacks, the transfers that would cure it, and the fewest parcels of a split."""

from collections.abc import Iterable, Sequence
from itertools import combinations

from contracts.routes import MissingAt, TransferAdvice
from contracts.stock import StockLine, WarehouseShippable
from services.routing.domain.rows import Shippable

SPLIT_EXACT_LIMIT_WAREHOUSES = 10

Allocation = dict[str, list[StockLine]]


def wanted_units(lines: Iterable[StockLine]) -> dict[str, int]:
    """Return how many units of each SKU the lines ask for, sorted by SKU."""
    wanted: dict[str, int] = {}
    for line in lines:
        wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
    return dict(sorted(wanted.items())) if len(wanted) > 1 else wanted


def shippable_of(numbers: Iterable[WarehouseShippable]) -> Shippable:
    """Return inventory's numbers by warehouse and SKU, without those that can ship nothing."""
    found: Shippable = {}
    for number in numbers:
        items = {item.sku: item.quantity for item in number.items if item.quantity > 0}
        if items:
            found[number.warehouse] = items
    return dict(sorted(found.items())) if len(found) > 1 else found


def missing_at(warehouse: str, wanted: dict[str, int], shippable: Shippable) -> list[MissingAt]:
    """Return what `warehouse` lacks; one that is not in the numbers has nothing."""
    there = shippable.get(warehouse, {})
    return [
        MissingAt(warehouse=warehouse, sku=sku, quantity=quantity - there.get(sku, 0))
        for sku, quantity in wanted.items()
        if there.get(sku, 0) < quantity
    ]


def transfers_for(missing: Sequence[MissingAt], shippable: Shippable) -> list[TransferAdvice]:
    """Return the moves that cure `missing`: from one warehouse where one has enough, else from several in order."""
    advice: list[TransferAdvice] = []
    for lack in missing:
        sources = [
            (warehouse, items[lack.sku])
            for warehouse, items in sorted(shippable.items())
            if warehouse != lack.warehouse and items.get(lack.sku, 0) > 0
        ]
        enough = next((warehouse for warehouse, quantity in sources if quantity >= lack.quantity), None)
        if enough is not None:
            sources = [(enough, lack.quantity)]
        left = lack.quantity
        for warehouse, quantity in sources:
            moved = min(left, quantity)
            if moved == 0:
                break
            advice.append(
                TransferAdvice(sku=lack.sku, quantity=moved, from_warehouse=warehouse, to_warehouse=lack.warehouse)
            )
            left -= moved
    return advice


def missing_everywhere(wanted: dict[str, int], shippable: Shippable, warehouse: str = "") -> list[MissingAt]:
    """Return what all warehouses together lack, said of `warehouse`, where the rest would have to arrive."""
    together: dict[str, int] = {}
    for items in shippable.values():
        for sku, quantity in items.items():
            together[sku] = together.get(sku, 0) + quantity
    return missing_at(warehouse, wanted, {warehouse: together})


def split(lines: Sequence[StockLine], shippable: Shippable, preferred: str | None) -> Allocation | None:
    """Return the lines by warehouse with the fewest parcels, None if all warehouses together cannot ship them.

    Ties go to the choice that holds `preferred`, then to the one that divides fewest lines, then to the first by name.
    Up to SPLIT_EXACT_LIMIT_WAREHOUSES every combination is tried; beyond, warehouses are taken by what they add.
    """
    wanted = wanted_units(lines)
    if missing_everywhere(wanted, shippable):
        return None
    useful = {
        warehouse: {sku: min(items[sku], quantity) for sku, quantity in wanted.items() if items.get(sku, 0) > 0}
        for warehouse, items in sorted(shippable.items())
    }
    names = [warehouse for warehouse, items in useful.items() if items]
    if len(names) > SPLIT_EXACT_LIMIT_WAREHOUSES:
        return _allocate(lines, useful, _by_gain(wanted, useful, preferred), preferred)
    for size in range(1, len(names) + 1):
        found = [
            chosen
            for chosen in combinations(names, size)
            if all(sum([useful[name].get(sku, 0) for name in chosen]) >= quantity for sku, quantity in wanted.items())
        ]
        if found:
            allocations = [_allocate(lines, useful, chosen, preferred) for chosen in found]
            return min(allocations, key=lambda allocation: _rank(allocation, lines, preferred))
    return None


def _rank(allocation: Allocation, lines: Sequence[StockLine], preferred: str | None) -> tuple[bool, int, list[str]]:
    divided = sum(len(part) for part in allocation.values()) - len(lines)
    return preferred not in allocation, divided, sorted(allocation)


def _by_gain(wanted: dict[str, int], useful: Shippable, preferred: str | None) -> list[str]:
    left = dict(wanted)
    chosen: list[str] = []
    while any(left.values()):
        gain, _, name = min(
            (-sum(min(left[sku], quantity) for sku, quantity in items.items()), warehouse != preferred, warehouse)
            for warehouse, items in useful.items()
            if warehouse not in chosen
        )
        assert gain < 0, "all warehouses together can ship the order, so one of them always adds units"
        chosen.append(name)
        for sku, quantity in useful[name].items():
            left[sku] -= min(left[sku], quantity)
    return chosen


def _allocate(
    lines: Sequence[StockLine], useful: Shippable, chosen: Sequence[str], preferred: str | None
) -> Allocation:
    # The preferred warehouse gives all it can; a whole line from one warehouse comes before a divided one.
    order = sorted(chosen, key=lambda name: (name != preferred, name))
    stock = {name: dict(useful[name]) for name in order}
    parts: dict[str, list[tuple[int, StockLine]]] = {name: [] for name in order}
    rest: list[tuple[int, StockLine]] = []
    for place, line in enumerate(lines):
        whole = next((name for name in order if stock[name].get(line.sku, 0) >= line.quantity), None)
        if whole is None:
            rest.append((place, line))
            continue
        stock[whole][line.sku] -= line.quantity
        parts[whole].append((place, line))
    for place, line in rest:
        left = line.quantity
        for name in order:
            taken = min(left, stock[name].get(line.sku, 0))
            if taken:
                stock[name][line.sku] -= taken
                left -= taken
                parts[name].append((place, StockLine(line_id=line.line_id, sku=line.sku, quantity=taken)))
    return {name: [line for _, line in sorted(part, key=lambda item: item[0])] for name, part in parts.items() if part}
