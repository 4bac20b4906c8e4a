"""Every district of the list resolves to itself, however its names are spread over the fields."""

from collections import Counter
from collections.abc import Iterator

import pytest

from libs.regions import resolve
from libs.regions.divisions import DIVISIONS, Division, spellings

LEAVES = [division for division in DIVISIONS.values() if division.is_leaf]


def stem(division: Division) -> str:
    return next(
        (text for text, strength in spellings(division.name, division.level) if strength == "stem"), division.name
    )


def city_of(leaf: Division) -> Division:
    code = leaf.city_code
    assert code is not None
    return DIVISIONS[code]


def layouts(leaf: Division) -> Iterator[tuple[str, str, str, str]]:
    province, city = leaf.province.name, city_of(leaf).name
    district = leaf.name if leaf.level == 3 else ""
    whole = province + city + district
    road = "解放路1号"
    yield province, city, district, road
    yield province, city, district, ""
    yield province, city, district, whole + road
    yield province, city, "", leaf.name + road
    yield province, "", "", city + district + road
    yield "", city, district, road
    yield "", city + district, "", road
    yield whole, "", "", road
    yield "", "", whole, road
    yield "", "", "", whole + road
    yield "", "", "", city + district + road
    yield "", "", "", " ".join([province, city, district, road])
    yield "", "", "", stem(city_of(leaf)) + (leaf.name if district else "市") + road
    yield stem(leaf.province), stem(city_of(leaf)), district, road
    for text, strength in spellings(leaf.name, leaf.level):
        if strength == "customary":
            yield province, city, text, road


def test_the_list_is_whole() -> None:
    levels = Counter(division.level for division in DIVISIONS.values())
    assert levels == {1: 34, 2: 333, 3: 2845}
    assert len(LEAVES) == 2845 + 4
    assert all(division.region for division in DIVISIONS.values())


@pytest.mark.parametrize("province", [d for d in DIVISIONS.values() if d.level == 1], ids=lambda d: d.code)
def test_every_district_resolves_to_itself(province: Division) -> None:
    wrong = []
    for leaf in LEAVES:
        if leaf.province is not province:
            continue
        for fields in layouts(leaf):
            done = resolve(*fields)
            if not done.resolved or (done.district_code or done.city_code) != leaf.code:
                wrong.append((fields, done.why))
    assert wrong == []


def test_every_short_form_resolves_to_itself_unless_it_is_ambiguous() -> None:
    ambiguous = 0
    for leaf in LEAVES:
        if leaf.level != 3:
            continue
        city = city_of(leaf)
        done = resolve(stem(leaf.province), stem(city), stem(leaf), "解放路1号")
        rivals = [each for each in LEAVES if each.parent is leaf.parent and stem(each) == stem(leaf)]
        if leaf is not city and (len(rivals) > 1 or stem(city) == stem(leaf)):
            ambiguous += 1
            assert not done.resolved, leaf.code
            assert done.district_code is None
        else:
            assert done.district_code == leaf.code, (leaf.code, done.why)
    assert ambiguous == 45


def test_a_district_name_alone_never_picks_a_city() -> None:
    for leaf in LEAVES:
        done = resolve("", "", "", leaf.name + "解放路1号")
        assert done.resolved is (not leaf.needs_city and len(leaf.name) > 1), leaf.code
        if done.resolved:
            assert (done.district_code or done.city_code) == leaf.code


def test_a_district_of_another_city_is_refused() -> None:
    cities = [division for division in DIVISIONS.values() if division.level == 2 and not division.is_leaf]
    for index, city in enumerate(cities):
        other = cities[(index + 7) % len(cities)]
        theirs = next(leaf for leaf in LEAVES if leaf.parent is other)
        if any(leaf.name == theirs.name for leaf in LEAVES if leaf.parent is city):
            continue
        assert not resolve(city.province.name, city.name, theirs.name, "").resolved
        assert not resolve(city.province.name, other.name, theirs.name, "").resolved or other.province is city.province
