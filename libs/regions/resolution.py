"""Resolves an address to division codes: complete and consistent, or unresolved with a reason free of its text."""

import re
from typing import Final, Literal

import msgspec

from libs.regions.divisions import DIVISIONS, GREATER, NAMES, Division
from libs.regions.normal import TRADITIONAL, compact, spaced
from libs.regions.reading import FILLER_HEADS, Place, is_settled, read, read_address

Why = Literal[
    "ok",
    "nothing recognised",
    "province not recognised",
    "city not recognised",
    "district not recognised",
    "city missing",
    "district missing",
    "district name alone does not tell the city",
    "development zone is not a division",
    "province contradicts itself",
    "city not in province",
    "district not in city",
    "address contradicts the fields",
    "address contradicts itself",
    "outside the mainland",
]


class Resolved(msgspec.Struct, frozen=True, gc=False):
    """The codes that are certain; `resolved` only if they go all the way down and nothing contradicts them."""

    province_code: str | None
    city_code: str | None
    district_code: str | None
    region: str | None
    resolved: bool
    why: Why


_PLACEHOLDERS: Final = frozenset(
    [
        "市辖区",
        "县",
        "郊县",
        "市区",
        "省直辖",
        "省直辖县",
        "省直辖县级",
        "直辖县级",
        "直辖县",
        "直辖区",
        "省直辖县级行政区划",
        "省直辖县级行政单位",
        "自治区直辖县级行政区划",
        "自治区直辖县级行政单位",
        "其他",
        "其它",
        "其他区",
        "其它区",
        "其他市",
        "其它市",
        "其他县",
        "其它县",
        "全境",
        "全区",
        "无",
        "暂无",
        "未知",
        "中国",
    ]
)
_ZONE: Final = re.compile(r" ?\w{0,12}?(?:开发区|高新区|园区|示范区|试验区|经开区|保税区|管理区|新区|科技城)")
_COUNTY_LIKE: Final = ("区", "县", "市", "旗", "省", "州", "盟")
_NOT_RECOGNISED: Final[dict[Place, Why]] = {
    "province": "province not recognised",
    "city": "city not recognised",
    "district": "district not recognised",
}
_CONTRADICTION: Final[dict[Place, Why]] = {
    "province": "province contradicts itself",
    "city": "city not in province",
    "district": "district not in city",
}


def _outcome(division: Division | None, why: Why) -> Resolved:
    if division is None:
        return Resolved(None, None, None, None, False, why)
    district_code = division.code if division.level == 3 else None
    return Resolved(division.province.code, division.city_code, district_code, division.region, why == "ok", why)


def _exact_triples() -> dict[tuple[str, str, str], Resolved]:
    """The official names in their three fields, as most platforms send them."""
    triples: dict[tuple[str, str, str], Resolved] = {}
    for division in DIVISIONS.values():
        if division.level == 1 or not division.is_leaf or division.region == GREATER:
            continue
        done = _outcome(division, "ok")
        province = division.province.name
        city = DIVISIONS[done.city_code or division.code].name
        triples[(province, city, division.name if division.level == 3 else "")] = done
    return triples


_EXACT: Final = _exact_triples()


def resolve(province: str, city: str, district: str, address: str) -> Resolved:
    """Division codes of an address whose fields may be missing, misplaced or spelt in any customary way."""
    exact = _EXACT.get((province, city, district))
    if exact is not None:
        head = address[:2]
        if (
            head not in NAMES
            and head not in FILLER_HEADS
            and all("\u4e00" <= each <= "\u9fff" and ord(each) not in TRADITIONAL for each in head)
        ):
            return exact
    return resolve_messy(province, city, district, address)


def resolve_messy(province: str, city: str, district: str, address: str) -> Resolved:
    """The whole reading; `resolve` only skips it where it could not come out otherwise."""
    known: Division | None = None
    waiting: list[tuple[Place, str]] = []
    fields: tuple[tuple[Place, str], ...] = (("province", province), ("city", city), ("district", district))
    for place, raw in fields:
        text = compact(raw)
        if not text or text in _PLACEHOLDERS:
            continue
        if known is not None and known.region == GREATER:
            # The list ends at the border: only the name of an inland province or city tells against 台湾, 香港 or 澳门.
            if (inland := read(text, 0, None, place).division) and inland.level < 3 and inland.region != GREATER:
                return _outcome(None, _CONTRADICTION[place])
            continue
        found, why = _read_field(text, known, place)
        if why == "district name alone does not tell the city":
            waiting.append((place, text))
        elif why != "ok":
            return _outcome(found, why)
        else:
            known = found
    if known is not None and known.region == GREATER:
        return _outcome(known, "outside the mainland")
    return _with_address(known, waiting, spaced(address))


def _with_address(known: Division | None, waiting: list[tuple[Place, str]], text: str) -> Resolved:
    reading = read_address(text, known)
    if reading.fault == "conflict":
        return _outcome(None, "address contradicts itself" if known is None else "address contradicts the fields")
    if reading.fault == "needs city":
        return _outcome(known, "district name alone does not tell the city")
    found = reading.division
    for place, field in waiting:
        found, why = _read_field(field, found, place)
        if why != "ok":
            return _outcome(found, why)
    if found is None:
        return _outcome(None, "nothing recognised")
    if found.region == GREATER:
        return _outcome(found, "outside the mainland")
    if is_settled(found):
        return _outcome(found, "ok")
    if found.level == 1 and not found.is_municipality:
        return _outcome(found, "city missing")
    is_zone = _ZONE.match(text, reading.end if found is not known else 0)
    return _outcome(found, "development zone is not a division" if is_zone else "district missing")


def _read_field(text: str, known: Division | None, place: Place) -> tuple[Division | None, Why]:
    """What the field adds to what is known; on a contradiction nothing is known any more."""
    reading = read(text, 0, known, place)
    if reading.fault == "conflict":
        return None, _CONTRADICTION[place]
    if reading.fault == "needs city":
        return known, "district name alone does not tell the city"
    found, rest = reading.division, text[reading.end :]
    if not rest or (found is not None and _may_follow(found, rest)):
        return found, "ok"
    if known is not None and _names_elsewhere(text, known, place):
        return None, _CONTRADICTION[place]
    if found is not None and place == "district" and _ZONE.fullmatch(rest):
        return found, "development zone is not a division"
    return known, _NOT_RECOGNISED[place]


def _names_elsewhere(text: str, known: Division, place: Place) -> bool:
    """Whether the field as a whole is another place's short name, such as 广州 in a province known to be 湖北."""
    alone = read(text, 0, None, place)
    return alone.division is not None and alone.end == len(text) and not alone.division.within(known)


def _may_follow(found: Division, rest: str) -> bool:
    """Below a district platforms write towns, streets and rings; an unknown county is another matter."""
    if not is_settled(found):
        return False
    if not rest.endswith(_COUNTY_LIKE):
        return True
    return bool(found.towns) and (rest in found.towns or rest[:-1] in found.towns or _ZONE.fullmatch(rest) is not None)
