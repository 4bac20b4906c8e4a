"""The official divisions in memory: every name that may stand for one, found by its first two characters."""

import gzip
import re
from pathlib import Path
from typing import Final, Literal, NamedTuple

DATA: Final = Path(__file__).parent / "data"
GREATER: Final = "港澳台"

# How much a name says by itself: the official name stands alone, a customary one ("恩施州", "长阳县") nearly does,
# and a bare stem ("武汉") may as well be part of a street or a company.
Strength = Literal["official", "customary", "stem"]
_RANK: Final[dict[Strength, int]] = {"official": 0, "customary": 1, "stem": 2}

_PEOPLES: Final = (
    "蒙古族|回族|藏族|维吾尔族|苗族|彝族|壮族|布依族|朝鲜族|满族|侗族|瑶族|白族|土家族|哈尼族|哈萨克族|傣族|黎族|傈僳族|佤族|畲族|"
    "拉祜族|水族|东乡族|纳西族|景颇族|柯尔克孜族|土族|达斡尔族|仫佬族|羌族|布朗族|撒拉族|毛南族|仡佬族|锡伯族|普米族|塔吉克族|怒族|"
    "保安族|裕固族|独龙族|各族|蒙古|哈萨克|柯尔克孜|塔吉克|锡伯|维吾尔"
)
# The name keeps at least two characters in front: 东乡族自治县 is 东乡, never nothing.
_AUTONOMOUS: Final = re.compile(rf"^(.{{2,}}?)(?:{_PEOPLES})*(自治区|自治州|自治县|自治旗)$")
_PEOPLES_DISTRICT: Final = re.compile(rf"^(.{{2,}}?)(?:{_PEOPLES})+区$")
_ALONE: Final = {"东乡族": "东乡", "鄂温克族": "鄂温克"}
_PLAIN_SUFFIXES: Final = ("特别行政区", "地区", "省", "市", "盟", "区", "县", "旗")
_EXTRA: Final[dict[str, tuple[tuple[str, Strength], ...]]] = {
    "150000": (("内蒙", "stem"), ("内蒙古省", "customary")),
    "450000": (("广西省", "customary"),),
    "540000": (("西藏省", "customary"),),
    "640000": (("宁夏省", "customary"),),
    "650000": (("新疆省", "customary"),),
    "710000": (("台湾地区", "customary"),),
    "810000": (("香港特区", "customary"),),
    "820000": (("澳门特区", "customary"),),
    "652700": (("博州", "stem"),),
    "652800": (("巴州", "stem"),),
    "653000": (("克州", "stem"),),
}


class Division:
    """One division of level 1 to 3; identity is equality, for there is one object a code."""

    __slots__ = ("code", "is_leaf", "level", "name", "needs_city", "parent", "region", "towns")

    def __init__(self, code: str, name: str, level: int, parent: "Division | None", region: str) -> None:
        self.code = code
        self.name = name
        self.level = level
        self.parent = parent
        self.region = region
        self.is_leaf = level > 1
        self.towns: tuple[str, ...] = ()
        # Names of 区 recur and move between cities; a 县, 市 or 旗 stands by itself, as does a 区 without a city.
        answers_to_city = parent is not None and (parent.level == 2 or parent.is_municipality)
        self.needs_city = level == 3 and name.endswith("区") and answers_to_city

    @property
    def province(self) -> "Division":
        top = self
        while top.parent is not None:
            top = top.parent
        return top

    @property
    def city_code(self) -> str | None:
        """The city's code; a municipality is its own city, and so is a county that answers to the province directly."""
        if self.level == 1:
            return self.code if self.is_municipality else None
        if self.level == 2 or self.parent is None:
            return self.code
        return self.parent.code if self.parent.level == 2 or self.parent.is_municipality else self.code

    @property
    def is_municipality(self) -> bool:
        return self.level == 1 and self.name.endswith("市")

    def within(self, other: "Division") -> bool:
        here: Division | None = self
        while here is not None:
            if here is other:
                return True
            here = here.parent
        return False


class Name(NamedTuple):
    """One spelling and every division it may stand for, provinces first."""

    text: str
    strength: Strength
    divisions: tuple[Division, ...]


def spellings(name: str, level: int) -> list[tuple[str, Strength]]:
    """The official name, then what people write instead of it."""
    found: list[tuple[str, Strength]] = [(name, "official")]
    if len(name) <= 2:
        return found
    if "自治" in name and (match := _AUTONOMOUS.match(name)):
        stem, kind = match[1], match[2]
        stem = _ALONE.get(stem, stem)
        if stem + kind != name:
            found.append((stem + kind, "customary"))
        if level > 1:
            found.append((stem + kind[-1], "customary"))
        return [*found, (stem, "stem")]
    if name.endswith("族区") and (match := _PEOPLES_DISTRICT.match(name)):
        return [*found, (match[1] + "区", "customary"), (match[1], "stem")]
    for suffix in _PLAIN_SUFFIXES:
        if name.endswith(suffix):
            stem = name.removesuffix(suffix)
            return [*found, (stem, "stem")] if len(stem) >= 2 else found
    return found


def _read_divisions() -> dict[str, Division]:
    regions = dict(line.split("\t") for line in (DATA / "regions.tsv").read_text("utf-8").splitlines())
    text = gzip.decompress((DATA / "divisions.tsv.gz").read_bytes()).decode()
    found: dict[str, Division] = {}
    towns: dict[str, list[str]] = {}
    for line in text.splitlines():
        level, code, name = line.split("\t")
        if level == "4":
            towns.setdefault(code[:6], []).append(name)
            continue
        parent = None if level == "1" else found.get(code[:4] + "00") or found[code[:2] + "0000"]
        found[code] = Division(code, name, int(level), parent, regions[code[:2] + "0000"])
        if parent is not None:
            parent.is_leaf = False
    for code, names in towns.items():
        found[code].towns = tuple(name.removesuffix("街道").removesuffix("镇").removesuffix("乡") for name in names)
    return found


def _index_names(divisions: dict[str, Division]) -> dict[str, tuple[Name, ...]]:
    owners: dict[tuple[str, Strength], list[Division]] = {}
    for division in divisions.values():
        names = spellings(division.name, division.level)
        if extra := _EXTRA.get(division.code):
            names += extra
        for name in names:
            owners.setdefault(name, []).append(division)
    heads: dict[str, list[Name]] = {}
    for (text, strength), held in owners.items():
        heads.setdefault(text[:2], []).append(Name(text, strength, tuple(held)))
    return {head: tuple(sorted(names, key=_longest_first)) for head, names in heads.items()}


def _longest_first(name: Name) -> tuple[int, int]:
    return -len(name.text), _RANK[name.strength]


DIVISIONS: Final = _read_divisions()
NAMES: Final = _index_names(DIVISIONS)
