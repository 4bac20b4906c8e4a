"""Walking a list backwards: rows that move while it is read are seen, and a window that grows is read again."""

import pytest

from libs.channels.channel import Cure, PlatformRefused
from libs.channels.walking import WALKS_LIMIT, WINDOW_LIMIT_PAGES, counted_rows, from_last_to_first


class Platform:
    """A list of rows, two a page; before each answer `moves` may change it."""

    def __init__(self, rows, *moves):
        self.rows = list(rows)
        self.moves = list(moves)
        self.asked = []

    async def page(self, place):
        self.asked.append(place)
        if self.moves:
            self.moves.pop(0)(self.rows)
        return [{"id": each} for each in self.rows[place * 2 : place * 2 + 2]], len(self.rows)


async def walked(platform):
    return [row["id"] async for rows in from_last_to_first(platform.page, 2) for row in rows]


def stay(rows):
    return


async def test_pages_are_read_from_the_last_to_the_first():
    platform = Platform("abcde")
    assert await walked(platform) == ["e", "c", "d", "a", "b"]
    assert platform.asked == [0, 2, 1, 0]


async def test_one_page_is_asked_for_once():
    platform = Platform("ab")
    assert await walked(platform) == ["a", "b"]
    assert platform.asked == [0]
    assert await walked(Platform("")) == []


async def test_a_row_that_leaves_hides_no_other():
    platform = Platform("abcdef", stay, stay, lambda rows: rows.remove("a"))
    assert set("bcdef") <= set(await walked(platform))


async def test_a_window_that_grew_is_read_again_and_not_for_ever():
    platform = Platform("abcd", stay, stay, lambda rows: rows.insert(0, "z"))
    assert set(await walked(platform)) == set("zabcd")
    endless = Platform("abcd", *[lambda rows: rows.insert(0, "z")] * 20)
    with pytest.raises(PlatformRefused, match=f"read {WALKS_LIMIT} times") as refused:
        await walked(endless)
    assert refused.value.cure is Cure.RETRY


async def test_a_window_with_too_many_pages_is_to_be_asked_for_in_pieces():
    with pytest.raises(PlatformRefused, match="shorter") as refused:
        await walked(Platform(range(WINDOW_LIMIT_PAGES * 2 + 1)))
    assert refused.value.cure is Cure.SHORTEN
    assert len(await walked(Platform(range(WINDOW_LIMIT_PAGES * 2)))) == WINDOW_LIMIT_PAGES * 2


@pytest.mark.parametrize(
    "answer", [{}, {"rows": [], "total": "1"}, {"rows": {"a": 1}, "total": 1}, {"rows": [1], "total": 1}]
)
def test_an_answer_without_rows_and_total_is_no_empty_page(answer):
    with pytest.raises(PlatformRefused, match="holds no rows with a total"):
        counted_rows(answer, "rows", "total")
