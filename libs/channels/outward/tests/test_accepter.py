"""An order is accepted in one call; refusals keep the platform's words, without whom the order is for."""

import pytest

from libs.channels.channel import Cure, PlatformRefused
from libs.channels.outward.accepter import Accepter
from libs.channels.outward.tests.doubles import FakeClient, FakeLines, line
from libs.decide import Send
from libs.stream.egress import Refused, Retry

BODY = {"shop_id": "s1", "platform_order_id": "27"}
SEND = Send(destination="accept:meituan", send_id="meituan.s1.27", key="meituan.s1.27", body=BODY)


async def test_an_order_is_accepted_by_its_platforms_number():
    client = FakeClient(accept=["ok\x00"])
    assert await Accepter(FakeLines(line(client=client))).send(SEND, 1) == "ok "
    assert client.calls == [("accept", "27")]


@pytest.mark.parametrize(
    ("cure", "fate", "asked"), [(Cure.GIVE_UP, Refused, 0), (Cure.RETRY, Retry, 0), (Cure.ASK, Retry, 1)]
)
async def test_a_refusal_keeps_the_platforms_words_and_nobodys_number(cure, fate, asked):
    lines = FakeLines(line(client=FakeClient(accept=[PlatformRefused(cure, "808", "收件人 139 1234 5678 已取消")])))
    with pytest.raises(fate, match="收件人 … 已取消"):
        await Accepter(lines).send(SEND, 1)
    assert len(lines.asked) == asked


async def test_a_refused_token_is_told_to_whoever_refreshes():
    lines = FakeLines(line(client=FakeClient(accept=[PlatformRefused(Cure.REFRESH, "4001", "expired")])))
    with pytest.raises(Retry):
        await Accepter(lines).send(SEND, 1)
    assert lines.refused == ["s1"]


async def test_a_paused_shop_waits_and_one_that_is_gone_does_not():
    with pytest.raises(Retry):
        await Accepter(FakeLines(line(paused=True))).send(SEND, 1)
    with pytest.raises(Refused):
        await Accepter(FakeLines()).send(SEND, 1)
