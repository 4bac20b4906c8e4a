"""A platform, its client and its lines in memory, for tests of what speaks to platforms."""

import asyncio
from datetime import UTC, datetime, timedelta

from libs.channels.capabilities import Capabilities
from libs.channels.channel import Access, Channel, Page, Token
from libs.channels.outward.lines import Line
from libs.channels.outward.pulling import Reached

NOW = datetime(2026, 11, 11, 4, 0, tzinfo=UTC)
ABLE = {"channel": "fake", "pushes_orders": True, "pushes_cancellations": False, "supplies_buyer_token": False}


def at(seconds):
    return NOW + timedelta(seconds=seconds)


class FakeClient:
    """Answers from lists; an exception in a list is raised."""

    def __init__(self, **answers):
        self.answers = answers
        self.calls = []

    def _next(self, name, *asked):
        self.calls.append((name, *asked))
        found = self.answers.get(name, [])
        answer = found.pop(0) if found else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def refresh(self):
        return self._next("refresh") or Token("new")

    async def document(self, about, subject_id):
        return self._next("document", about, subject_id)

    async def pages(self, about, window):
        for page in self._next("pages", about, window) or []:
            yield Page(subjects=tuple(page))

    async def count(self, window):
        return self._next("count", window)

    async def day_numbers(self, day):
        return self._next("day_numbers", day)

    async def messages(self):
        for message in self._next("messages") or []:
            yield message

    async def accept(self, platform_order_id):
        return self._next("accept", platform_order_id)

    async def confirm(self, receipts):
        self._next("confirm", tuple(receipts))


class FakeLines:
    """Knows lines by shop and notes what is said of them."""

    def __init__(self, *lines):
        self.lines = {line.shop_id: line for line in lines}
        self.refused = []
        self.asked = []

    async def find(self, shop_id):
        return self.lines.get(shop_id)

    async def all(self):
        return list(self.lines.values())

    async def token_refused(self, line):
        self.refused.append(line.shop_id)

    async def person_needed(self, line, why):
        self.asked.append((line.shop_id, why))


def line(shop_id="s1", client=None, *, token="old", refresh_token="r", able=(), **more):
    capabilities = Capabilities(**ABLE | dict(able))
    channel = Channel(capabilities=capabilities, client=None, receive=None, heard=lambda document: [])
    access = Access(shop_id=shop_id, access_token=token, refresh_token=refresh_token)
    return Line(shop_id, "fake", channel, access, client or FakeClient(), **more)


async def ended(task):
    """End a task that would run for ever."""
    task.cancel()
    await asyncio.wait([task])


class Kept:
    """Evidence in memory."""

    def __init__(self):
        self.covered, self.number, self.days, self.said = at(0), 0, {}, []
        self.refuse = 0
        self.since, self.gaps, self.closed = at(0), frozenset(), []
        self.waived = frozenset()

    async def reached(self, line):
        return Reached(self.covered, self.number, self.days, self.since, self.gaps, self.waived)

    async def page(self, line, about, step, page, asked_at):
        self.said.append(("page", about.value, step, [each for each, _ in page.subjects]))

    async def numbers(self, line, step, ids, asked_at):
        self.said.append(("numbers", step, list(ids)))

    async def close_pull(self, line, step, window, ended, listed, counted):
        self.said.append(("close", step, listed, counted))
        if self.refuse:
            self.refuse -= 1
            return False
        self.covered, self.number = window.until, step
        return True

    async def close_days(self, line, step, until, ended, counted, gaps):
        self.said.append(("days", step, dict(counted), list(gaps)))
        self.closed.append((until, sorted(counted), list(gaps)))
        self.gaps |= {gap.partition(" #")[0] for gap in gaps}
        return not gaps

    async def trouble(self, line, why):
        self.said.append(("trouble", why))
