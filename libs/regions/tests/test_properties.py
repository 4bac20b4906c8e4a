"""Whatever comes in: no exception, the same answer every time, codes that agree, and no text in the reason."""

from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from libs.regions import Why, is_pickup_point, resolve
from libs.regions.divisions import DIVISIONS, NAMES, Division
from libs.regions.resolution import resolve_messy

SPELLINGS = sorted({name.text for names in NAMES.values() for name in names})
OFFICIAL = sorted({division.name for division in DIVISIONS.values()})
PIECES = st.one_of(
    st.sampled_from(SPELLINGS),
    st.sampled_from(OFFICIAL),
    st.sampled_from(
        [
            "市辖区",
            "县",
            "其它区",
            "中国",
            " ",
            "/",
            "　",
            "路",
            "1号",
            "开发区",
            "镇",
            "场",
            "\x00",
            "\u200b",
            "驿站",
            "顺丰",
        ]
    ),
    st.text(max_size=4),
)
TEXTS = st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=6).map("".join))
LEAVES = [division for division in DIVISIONS.values() if division.is_leaf]


@settings(max_examples=600, deadline=None)
@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_answers_are_total_repeatable_and_consistent(province: str, city: str, district: str, address: str) -> None:
    done = resolve(province, city, district, address)
    assert done == resolve(province, city, district, address)
    assert done.why in get_args(Why)
    assert done.resolved is (done.why == "ok")
    codes = [code for code in (done.province_code, done.city_code, done.district_code) if code]
    assert all(code in DIVISIONS and code[:2] == codes[0][:2] for code in codes)
    if not codes:
        assert done.region is None
    else:
        assert done.region == DIVISIONS[codes[0]].region
    if done.city_code:
        assert done.province_code == DIVISIONS[done.city_code].province.code
    if done.district_code:
        district_found = DIVISIONS[done.district_code]
        assert done.city_code == district_found.city_code
        assert done.city_code == district_found.code or DIVISIONS[done.city_code or ""] is district_found.parent
    if done.resolved:
        assert DIVISIONS[codes[-1]].is_leaf


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(LEAVES), TEXTS)
def test_the_short_way_answers_as_the_long_way(leaf: Division, address: str) -> None:
    fields = (leaf.province.name, DIVISIONS[leaf.city_code or ""].name, leaf.name if leaf.level == 3 else "")
    assert resolve(*fields, address) == resolve_messy(*fields, address)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_pickup_is_total_and_repeatable(address: str) -> None:
    assert is_pickup_point(address) is is_pickup_point(address)
