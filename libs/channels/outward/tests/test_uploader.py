"""A parcel is reported in the platform's terms; refusals keep its words, without whom the parcel is for."""

from types import SimpleNamespace

import pytest

from libs.channels.channel import Cure, Parcel, PlatformRefused
from libs.channels.outward.lines import PERSON_RETRY_S
from libs.channels.outward.uploader import Uploader
from libs.decide import Send
from libs.stream import egress
from libs.stream.egress import Refused, Retry

BODY = {
    "shop_id": "s1",
    "platform_order_id": "77",
    "parcel_id": "wechat.s1.77/1",
    "carrier": "SF",
    "waybill": "SF1",
    "lines": [["1", "A", 2]],
    "split": True,
    "again": False,
    "round": 1,
}
SEND = Send(destination="upload:wechat", send_id="wechat.s1.77/1", key="wechat.s1.77", body=BODY)


class Shop:
    """A line whose platform answers as told."""

    def __init__(self, answer="ok", paused=False):
        self.parcels, self.answer, self.paused, self.shop_id, self.asked = [], answer, paused, "s1", []
        self.client = SimpleNamespace(upload=self.upload)
        self.carriers = {"JD": "JDKD"}

    async def find(self, shop_id):
        return self if shop_id == "s1" else None

    async def person_needed(self, line, why):
        self.asked.append(why)

    async def upload(self, parcel):
        self.parcels.append(parcel)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_a_parcel_is_reported_whole():
    shop = Shop("ok\x00 13912345678")
    assert await Uploader(shop).send(SEND, 1) == "ok  …"
    assert shop.parcels == [
        Parcel(
            platform_order_id="77",
            parcel_id="wechat.s1.77/1",
            carrier="SF",
            waybill="SF1",
            lines=(("1", "A", 2),),
            split=True,
            remaining=1,
        )
    ]
    last = Send(destination="upload:wechat", send_id="x", key="x", body=BODY | {"remaining": 0})
    await Uploader(shop).send(last, 1)
    assert shop.parcels[-1].remaining == 0


async def test_a_shops_own_code_of_a_carrier_goes_with_the_parcel():
    shop = Shop()
    for carrier in ("JD", "jd", "SF"):
        await Uploader(shop).send(Send(destination="x", send_id="x", key="x", body=BODY | {"carrier": carrier}), 1)
    assert [(each.carrier, each.company) for each in shop.parcels] == [("JD", "JDKD"), ("jd", "JDKD"), ("SF", "")]


@pytest.mark.parametrize(("cure", "fate"), [(Cure.GIVE_UP, Refused), (Cure.RETRY, Retry), (Cure.ASK, Retry)])
async def test_a_refusal_keeps_the_platforms_words_and_nobodys_number(cure, fate):
    shop = Shop(PlatformRefused(cure, "10020112", "收件人 139 1234 5678 不存在"))
    with pytest.raises(fate, match=r"10020112: 收件人 … 不存在|收件人 … 不存在"):
        await Uploader(shop).send(SEND, 1)
    assert len(shop.asked) == (cure is Cure.ASK)


async def test_a_paused_shop_waits_and_one_that_is_gone_does_not():
    with pytest.raises(Retry):
        await Uploader(Shop(paused=True)).send(SEND, 1)
    with pytest.raises(Refused):
        await Uploader(Shop()).send(Send(destination="x", send_id="x", key="x", body=BODY | {"shop_id": "s2"}), 1)


def test_four_hours_without_the_platform_fit_and_end_fast():
    """A call that fails every time as soon as it may is still being made after four hours, at least once a minute."""
    waits_ms = [
        min(egress.RETRY_FIRST_MS * 2 ** min(attempt - 1, 10), egress.RETRY_LAST_MS) * 0.5
        for attempt in range(1, egress.ATTEMPTS_LIMIT)
    ]
    assert sum(waits_ms) >= 4 * 3_600_000
    assert egress.RETRY_LAST_MS + 1_000 * egress.BREAKER_OPEN_S <= 90_000
    assert PERSON_RETRY_S * egress.ATTEMPTS_LIMIT >= 8 * 3_600
