"""A call is paced once, and signed when its turn has come: a platform refuses a timestamp that waited too long."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import pytest

from libs.channels.channel import Access, PlatformRefused
from libs.channels.pacing import Bucket, PacedClient
from libs.channels.registry import CHANNELS
from libs.channels.values import wall_clock
from libs.channels.wire import call

NOW = datetime(2026, 11, 11, 4, 0, tzinfo=UTC)
WAIT = timedelta(minutes=20)  # Taobao and Pinduoduo refuse what is ten minutes old
ACCESS = Access(
    shop_id="s1", app_key="1234567", app_secret="secret", access_token="token", refresh_token="r", seller_id="9"
)


class SlowBucket(Bucket):
    """A turn comes after twenty minutes, of which no test waits one."""

    def __init__(self):
        super().__init__(1)
        self.now, self.turns = NOW, 0

    async def take(self):
        self.now += WAIT
        self.turns += 1


def timestamp_of(request):
    fields = parse_qs(request.url.query.decode()) | parse_qs(request.content.decode())
    return fields["timestamp"][0]


@pytest.mark.parametrize("name", ["taobao", "jd", "douyin", "pinduoduo", "meituan"])
async def test_a_call_is_signed_when_its_turn_has_come(name):
    bucket, sent = SlowBucket(), []

    def answer(request):
        sent.append(request)
        return httpx.Response(503)

    async with PacedClient(bucket, httpx.MockTransport(answer)) as http:
        with pytest.raises(PlatformRefused):
            await CHANNELS[name].client(ACCESS, http, lambda: bucket.now).read_stock("1", "2")
    assert bucket.turns == len(sent) == 1
    at = NOW + WAIT
    assert timestamp_of(sent[0]) in (wall_clock(at), str(int(at.timestamp())))


async def test_a_request_that_took_no_turn_is_made_to_wait_for_one():
    bucket = SlowBucket()
    async with PacedClient(bucket, httpx.MockTransport(lambda request: httpx.Response(200, json={}))) as http:
        await http.get("http://platform.example/")
        assert bucket.turns == 1
        await call(http, "GET", "http://platform.example/")
        assert bucket.turns == 2
