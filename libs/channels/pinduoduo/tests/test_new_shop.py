"""A new shop's first minutes: no window is asked for before the lists can hold it, and then one after the other."""

from datetime import UTC, datetime, timedelta

import httpx

from libs.channels.channel import Access
from libs.channels.outward.lines import Line
from libs.channels.outward.pulling import SKEW_S, Puller, Reached
from libs.channels.pinduoduo import CHANNEL
from libs.channels.pinduoduo.capabilities import LAG_S

OPENED = datetime(2026, 11, 11, 0, 0, 0, 500_000, tzinfo=UTC)


def nothing_changed(request):
    if b"refund.list" in request.content:
        return httpx.Response(200, json={"refund_increment_get_response": {"refund_list": [], "total_count": 0}})
    if b"pdd.order.list.get" in request.content:
        return httpx.Response(200, json={"order_list_get_response": {"order_list": [], "total_count": 0}})
    return httpx.Response(200, json={"order_sn_increment_get_response": {"order_sn_list": [], "total_count": 0}})


class Kept:
    """Evidence in memory: the windows that were closed."""

    def __init__(self):
        self.covered, self.closed = OPENED, []

    async def reached(self, line):
        return Reached(self.covered, len(self.closed), {}, OPENED)

    async def close_pull(self, line, step, window, ended, listed, counted):
        self.covered = window.until
        self.closed.append((ended - OPENED, window.until - OPENED))
        return True


async def test_the_first_window_closes_when_the_lists_may_hold_it():
    clock = [OPENED]
    access = Access(shop_id="s1", app_key="key", app_secret="secret", access_token="token")
    evidence = Kept()
    async with httpx.AsyncClient(transport=httpx.MockTransport(nothing_changed)) as http:
        line = Line("s1", "pinduoduo", CHANNEL, access, CHANNEL.client(access, http, lambda: clock[0]))
        puller = Puller(None, evidence, lambda: clock[0], 1.0)
        for second in range(LAG_S + 60):
            clock[0] = OPENED + timedelta(seconds=second)
            await puller.round(line)
    first, *later = evidence.closed
    assert timedelta(seconds=LAG_S + SKEW_S) < first[0] <= timedelta(seconds=LAG_S + SKEW_S + 2)
    assert len(later) > 40
    assert all(ended - until >= timedelta(seconds=LAG_S) for ended, until in evidence.closed)
