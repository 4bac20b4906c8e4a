"""Reads division names from a text, each inside the one before it, and says when two cannot both be true."""

import re
from typing import Final, Literal, NamedTuple

from libs.regions.divisions import NAMES, Division, Name

Fault = Literal["conflict", "needs city"]
# Which field a text came from: a whole field may be a bare stem, the front of an address may not.
Place = Literal["province", "city", "district", "address"]

NAMES_LIMIT: Final = 8  # names in a row: province, city and district twice over, and one to spare
PLACES_LIMIT: Final = 8  # blanks after which a second place is looked for
LABEL_LIMIT_CHARS: Final = 8  # "收货地址：" and the like in front of the address

_FILLERS: Final = re.compile(r" ?(?:中国(?:大陆)? ?)?(?:市辖区|(?:省|自治区)直辖县级行政(?:区划|单位))? ?")
FILLER_HEADS: Final = frozenset(["中国", "市辖", "省直", "自治"])
# Quarters of many towns carry these names too, so one of them at the front of a street address contradicts nothing.
_QUARTERS: Final = frozenset(
    [
        "新城区",
        "老城区",
        "铁西区",
        "铁东区",
        "新市区",
        "市中区",
        "城中区",
        "城关区",
        "城东区",
        "城西区",
        "城北区",
        "城厢区",
        "港口区",
        "工农区",
        "向阳区",
        "新华区",
        "和平区",
        "桥东区",
        "桥西区",
    ]
)
_STREET: Final = re.compile(r" ?(?:[东南西北中]?[路街巷道弄]|大[道街]|胡同)")


class Reading(NamedTuple):
    """How far the names go, and the deepest division they name."""

    division: Division | None
    end: int
    fault: Fault | None = None


def read(text: str, start: int, known: Division | None, place: Place, depth: int = 0) -> Reading:
    """Read names from `start`, given what is `known` already; reads nothing where nothing certain stands."""
    at = start
    filler = _FILLERS.match(text, at) if text[at : at + 1] in (" ", "中", "市", "省", "自") else None
    if filler is not None:
        at = filler.end()
    if depth >= NAMES_LIMIT:
        return Reading(known, start)
    for name in NAMES.get(text[at : at + 2], ()):
        if text.startswith(name.text, at):
            read_name = _read_stem if name.strength == "stem" else _read_whole
            if (reading := read_name(text, at + len(name.text), name, known, place, depth)) is not None:
                return reading
    return Reading(known, start)


def _read_whole(text: str, end: int, name: Name, known: Division | None, place: Place, depth: int) -> Reading | None:
    if name.text[-1] == "市" and text[end : end + 1] == "场":
        return None  # 北京市场 is a market
    fits = _fitting(name, known)
    if not fits:
        return Reading(known, end, "conflict") if known is not None and _disputes(known, name) else None
    if known is None and name.strength == "customary":
        fits = [division for division in fits if division.level < 3]
    if known is None or (known.level == 1 and not known.is_municipality):
        if fits and all(division.needs_city for division in fits):
            return Reading(known, end, "needs city")
        fits = [division for division in fits if not division.needs_city]
    if len(fits) != 1:
        return None
    target = _deeper(known, fits[0])
    following = read(text, end, target, place, depth + 1)
    if following.end == end and target.level == 2 and name.text[-1] == "市":
        # 青岛市南区 is 青岛 and 市南区: the two names share a character.
        shared = read(text, end - 1, target, place, depth + 1)
        if shared.end > end and shared.fault is None:
            return shared
    return following


def _read_stem(text: str, end: int, name: Name, known: Division | None, place: Place, depth: int) -> Reading | None:
    """A stem counts if a name inside it follows, or if nothing follows it directly."""
    fits = _fitting(name, known)
    if place == "city":
        fits.sort(key=lambda division: (division.level != 2, division.level))
    levels = {division.level for division in fits}
    if known is None and place == "city" and {1, 2} <= levels:
        return None  # 吉林 and 海南 are a province and a city: alone they say neither
    fault: Reading | None = None
    chosen: Division | None = None
    is_free = end == len(text) or (text[end] == " " and _STREET.match(text, end) is None)
    for division in fits:
        if division.level == 3 and not division.towns:
            if is_free and chosen is None and _stem_names_county(division, fits, known):
                chosen = division
            continue
        target = _deeper(known, division)
        following = read(text, end, target, place, depth + 1)
        if following.fault is None and following.end > end:
            return following
        if _town_follows(text, end, division):
            return Reading(target, end)
        if is_free and chosen is None and _stem_names_city(division, known, place, depth):
            chosen, fault = division, following if following.fault else None
    if chosen is None:
        return None
    return fault or read(text, end, _deeper(known, chosen), place, depth + 1)


def _stem_names_city(division: Division, known: Division | None, place: Place, depth: int) -> bool:
    if place != "address":
        return True
    return depth > 0 if division.towns else known is not None


def _stem_names_county(division: Division, fits: list[Division], known: Division | None) -> bool:
    if known is None or sum(each.level == 3 for each in fits) > 1:
        return False
    return known.level > 1 or known.is_municipality or not division.needs_city


def _town_follows(text: str, end: int, division: Division) -> bool:
    """Whether 东莞 is followed by 长安镇: a stem and one of its own towns name the place together."""
    for town in division.towns:
        if text.startswith(town, end) and text[end + len(town) : end + len(town) + 1] in ("镇", "街", "乡", "区"):
            return True
    return False


def _fitting(name: Name, known: Division | None) -> list[Division]:
    if known is None:
        return list(name.divisions)
    return [division for division in name.divisions if division.within(known) or known.within(division)]


def _deeper(known: Division | None, division: Division) -> Division:
    return known if known is not None and known.within(division) else division


def _disputes(known: Division, name: Name) -> bool:
    """Whether a name that does not fit must be a contradiction, not the name of a street, a quarter or a town."""
    if name.text[:-1] in known.towns:
        return False
    for division in name.divisions:
        if division.level < 3 or (known.level == 3 and division.parent is known.parent):
            return True
    return len(name.text) >= 3 and name.strength == "official" and name.text not in _QUARTERS


def read_address(text: str, known: Division | None) -> Reading:
    """Read a free address, at its front or after a label; refuse one that goes on to name a second place."""
    reading = read(text, 0, known, "address")
    if reading.fault:
        return reading
    if known is None and reading.division is None and 0 < (label_end := text.find(" ")) <= LABEL_LIMIT_CHARS:
        reading = read(text, label_end + 1, None, "address")
    if not is_settled(reading.division) and reading.fault is None and " " in text:
        closed = read(text.replace(" ", ""), 0, known, "address")
        if closed.fault is None and is_settled(closed.division):
            return closed
    if reading.fault is None and reading.division is not known and _names_second_place(text, reading):
        return Reading(known, reading.end, "conflict")
    return reading


def _names_second_place(text: str, reading: Reading) -> bool:
    first = reading.division
    around = first.parent if first is not None and first.needs_city else first
    starts = [at + 1 for at in range(reading.end, len(text)) if text[at] == " "][:PLACES_LIMIT]
    for start in starts:
        nearby, afar = read(text, start, around, "address"), read(text, start, None, "address")
        if nearby.fault or (nearby.end > start and _differs(nearby.division, first)):
            return True
        if is_settled(afar.division) and _differs(afar.division, first):
            return True
    return False


def _differs(second: Division | None, first: Division | None) -> bool:
    if first is None or second is None:
        return False
    return not second.within(first) and not first.within(second)


def is_settled(division: Division | None) -> bool:
    """A district, or a city that has none: as deep as the list goes."""
    return division is not None and division.is_leaf
