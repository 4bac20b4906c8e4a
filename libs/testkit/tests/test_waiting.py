"""The waits of the tests end: with the answer, or with words for what did not come."""

import asyncio
import time

import pytest

from libs.testkit.waiting import until, until_now


class Later:
    """Answers with `what` at the third question."""

    def __init__(self, what: str) -> None:
        self.what, self.asked = what, 0

    def now(self) -> str:
        self.asked += 1
        return self.what if self.asked == 3 else ""

    async def soon(self) -> str:
        return self.now()


async def test_the_answer_is_returned_as_soon_as_it_is_true() -> None:
    for later in (Later("plain"), Later("awaited")):
        question = later.now if later.what == "plain" else later.soon
        assert await until(question, 5, 0) == later.what
        assert later.asked == 3
    later = Later("without a loop")
    assert until_now(later.now, 5, 0) == "without a loop"
    assert later.asked == 3


async def test_what_does_not_come_is_told_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(AssertionError, match=r"not within 0\.03 s: the last answer was \[\]"):
        await until(list, 0.03)
    with pytest.raises(AssertionError, match=r"not within 0\.03 s: no parcel"):
        await until(lambda: False, 0.03, missing=lambda: "no parcel")
    with pytest.raises(AssertionError, match=r"not within 0\.03 s: the last answer was 0"):
        until_now(lambda: 0, 0.03)
    assert time.monotonic() - began < 5


async def test_a_question_that_hangs_is_cut_off() -> None:
    with pytest.raises(AssertionError, match="the last answer was None"):
        await until(asyncio.Event().wait, 0.03)


async def test_what_a_question_raises_is_raised() -> None:
    async def breaks() -> bool:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        await until(breaks)
