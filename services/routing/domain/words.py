"""Says every decision in one Chinese and one English sentence, with the region, the warehouse and the figures."""

from collections.abc import Sequence
from typing import NamedTuple

from contracts.routes import MissingAt, TransferAdvice
from contracts.stock import ParcelPlan, StockLine

ITEMS_LIMIT_SKUS = 3
REGIONS_EN = {
    "华北": "North China",
    "东北": "Northeast China",
    "华东": "East China",
    "华中": "Central China",
    "华南": "South China",
    "西南": "Southwest China",
    "西北": "Northwest China",
}


class Why(NamedTuple):
    """One sentence, or the beginning of one, in Chinese and English."""

    zh: str
    en: str


def plain(text: str) -> str:
    """Return `text` without what ends a sentence, so that it can be continued."""
    return text.strip().rstrip("。.；;，,！!").strip()


def region_words(region: str | None) -> Why:
    """Return the region's name in both languages; an unresolved one is said to be so."""
    if region is None:
        return Why("未知", "an unresolved region")
    return Why(region, REGIONS_EN.get(region, region))


def one_parcel(reason: Why, region: str | None, warehouse: str, lines: Sequence[StockLine]) -> Why:
    """Say that one warehouse ships everything."""
    place, units = region_words(region), sum([line.quantity for line in lines])
    return Why(
        f"{reason.zh}：收货地区{place.zh}，{warehouse} 仓可发齐全部 {len(lines)} 行共 {units} 件。",
        f"{reason.en}: the order goes to {place.en} and warehouse {warehouse} can ship everything "
        f"({_count(len(lines), 'line')}, {_count(units, 'unit')}).",
    )


def several_parcels(reason: Why, region: str | None, parcels: Sequence[ParcelPlan]) -> Why:
    """Say how an order is divided among warehouses."""
    place = region_words(region)
    shares = [(parcel.warehouse, sum(line.quantity for line in parcel.lines)) for parcel in parcels]
    zh = "、".join(f"{warehouse} 仓 {units} 件" for warehouse, units in shares)
    en = ", ".join(f"{units} from {warehouse}" for warehouse, units in shares)
    return Why(
        f"{reason.zh}：收货地区{place.zh}，最少需 {len(shares)} 个包裹，{zh}。",
        f"{reason.en}: the order goes to {place.en} in the fewest possible parcels, {len(shares)} (units: {en}).",
    )


def blocked(
    reason: Why, region: str | None, warehouse: str, missing: Sequence[MissingAt], transfers: Sequence[TransferAdvice]
) -> Why:
    """Say what the chosen warehouse lacks and what would cure it."""
    place, left = region_words(region), sum(lack.quantity for lack in missing) - sum(t.quantity for t in transfers)
    lack_zh = _zh([(lack.sku, lack.quantity) for lack in missing])
    lack_en = _en([(lack.sku, lack.quantity) for lack in missing])
    zh = f"{reason.zh}：收货地区{place.zh}，{warehouse} 仓缺 {lack_zh}"
    en = f"{reason.en}: the order goes to {place.en}, but warehouse {warehouse} lacks {lack_en}"
    if transfers:
        zh += f"，可{_moves_zh(transfers)}"
        en += f"; {_moves_en(transfers)} would cure it" if not left else f"; {_moves_en(transfers)} would help"
    if left:
        zh += f"，{'另' if transfers else '各仓合计'}缺 {left} 件需等到货"
        en += f", {'the other ' if transfers else ''}{_count(left, 'unit')} must arrive first"
    return Why(f"{zh}。", f"{en}.")


def missing_together(reason: Why, region: str | None, missing: Sequence[MissingAt]) -> Why:
    """Say that all warehouses together lack something."""
    place = region_words(region)
    return Why(
        f"{reason.zh}：收货地区{place.zh}，各仓合计仍缺 {_zh([(lack.sku, lack.quantity) for lack in missing])}。",
        f"{reason.en}: the order goes to {place.en}, but all warehouses together lack "
        f"{_en([(lack.sku, lack.quantity) for lack in missing])}.",
    )


def refused_too_often(region: str | None, warehouses: Sequence[str], refusals: int) -> Why:
    """Say that planning pauses because the stock was gone each time."""
    place = region_words(region)
    zh, en = "、".join(warehouses), " and ".join(warehouses)
    times = "once" if refusals == 1 else f"{refusals} times in a row"
    return Why(
        f"库存连续 {refusals} 次未能按方案分配，暂停自动重试：收货地区{place.zh}，"
        f"拟由 {zh} 仓发货，待库存变化或人工处理。",
        f"The stock was gone {times} when a plan arrived, so planning pauses: the order goes to "
        f"{place.en}, meant for {en}, and waits for new stock figures or an operator.",
    )


def rule_failed(version: int, region: str | None, error: str) -> Why:
    """Say that the rules gave no warehouse."""
    place, detail = region_words(region), plain(error)
    return Why(
        f"分仓规则第 {version} 版未能给出仓库（{detail}）：收货地区{place.zh}，待人工处理或更换规则。",
        f"Version {version} of the routing rules gave no warehouse ({detail}): the order goes to {place.en} and "
        "waits for an operator or for new rules.",
    )


def _moves_zh(transfers: Sequence[TransferAdvice]) -> str:
    return "、".join(f"从 {source} 仓调拨 {_zh(items)}" for source, items in _by_source(transfers))


def _moves_en(transfers: Sequence[TransferAdvice]) -> str:
    return "moving " + " and ".join(f"{_en(items)} from {source}" for source, items in _by_source(transfers))


def _by_source(transfers: Sequence[TransferAdvice]) -> list[tuple[str, list[tuple[str, int]]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for transfer in transfers:
        found.setdefault(transfer.from_warehouse, []).append((transfer.sku, transfer.quantity))
    return sorted(found.items())


def _zh(items: Sequence[tuple[str, int]]) -> str:
    text = "、".join(f"{sku} {quantity} 件" for sku, quantity in items[:ITEMS_LIMIT_SKUS])
    return text if len(items) <= ITEMS_LIMIT_SKUS else f"{text}等 {len(items)} 种"


def _en(items: Sequence[tuple[str, int]]) -> str:
    texts = [f"{quantity} of {sku}" for sku, quantity in items[:ITEMS_LIMIT_SKUS]]
    if len(items) > ITEMS_LIMIT_SKUS:
        texts.append(_count(len(items) - ITEMS_LIMIT_SKUS, "more SKU"))
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
