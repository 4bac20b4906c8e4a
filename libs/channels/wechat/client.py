"""Calls WeChat for one shop or mini-program: tokens, lists by cursor, shipments, stock in differences."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from math import ceil
from typing import Any

import httpx
import msgspec

from libs.channels.channel import (
    About,
    Access,
    Cure,
    Document,
    Message,
    Page,
    Parcel,
    PlatformRefused,
    StockOrder,
    Token,
    Window,
)
from libs.channels.wechat.calls import ask
from libs.channels.wechat.capabilities import CAPABILITIES
from libs.channels.wechat.mapping import delivery, stock_body
from libs.channels.wechat.shipping import report

PAGES_LIMIT = 2000
ROUTINE_SPAN_S, ROUTINE_LIMIT_S = 15, 3600
SPAN_LIMIT_S = {About.ORDER: 7 * 24 * 3600, About.REFUND: 24 * 3600}
MINI_PROGRAM = "mini-program"
DETAILS = {
    About.ORDER: ("/channels/ec/order/get", "order_id", "order"),
    About.REFUND: ("/channels/ec/aftersale/getaftersaleorder", "after_sale_order_id", "after_sale_order"),
}


class WechatClient:
    """One AppID. `secrets["kind"]` is "mini-program" for one that only ships; anything else is a shop."""

    def __init__(self, access: Access, http: httpx.AsyncClient, now: Callable[[], datetime]) -> None:
        self._access = access
        self._http = http
        self._now = now
        self._refused = False

    def authorize_url(self, redirect_uri: str, state: str) -> str | None:
        """A shop run by its owner has AppID and secret: nobody signs in on a page."""
        return None

    async def exchange(self, code: str, redirect_uri: str) -> Token:
        """Fetch a token; WeChat needs no code for it."""
        return await self.refresh()

    async def refresh(self) -> Token:
        """Fetch a stable token. When WeChat refused the one we have and names it again, a new one is forced.

        Forcing ends the old token at once and is allowed 20 times a day, so only one refresher a shop may call this.
        """
        token = await self._stable_token(force=False)
        if self._refused and token.access_token == self._access.access_token:
            token = await self._stable_token(force=True)
        self._refused = False
        return token

    async def pages(self, about: About, window: Window) -> AsyncIterator[Page]:
        """Yield the ids that changed in the window; the cursor is WeChat's, so no page shift can hide a row.

        A list tells no time of change, so each id carries the end of its span, which no change of it is later than:
        what was read after that need not be read again. In a routine pull spans are therefore short, and cut at the
        same moments each time, so that what an earlier pull had read stays read however far this one looks back.
        """
        if window.until - window.since > timedelta(seconds=CAPABILITIES.pull_window_limit_s or 0):
            raise ValueError("WeChat lists at most 7 days at once")
        self._need_shop()
        # WeChat counts whole seconds, and rounding outwards may make a span a second too long: spans are cut here.
        begin, end = int(window.since.timestamp()), ceil(window.until.timestamp())
        step, left = SPAN_LIMIT_S[about], PAGES_LIMIT
        cuts = {*range(begin, end, step), end}
        if end - begin <= ROUTINE_LIMIT_S:
            cuts.update(range(begin - begin % ROUTINE_SPAN_S + ROUTINE_SPAN_S, end, ROUTINE_SPAN_S))
        for start, stop in pairwise(sorted(cuts)):
            span_end = min(window.until, datetime.fromtimestamp(stop, window.until.tzinfo))
            async for ids in self._lists(about, start, stop):
                left -= 1
                if left < 0:
                    raise PlatformRefused(Cure.SHORTEN, "pages", f"more than {PAGES_LIMIT} pages: ask for less at once")
                yield Page(tuple((each, span_end) for each in ids), bounds=True)

    async def document(self, about: About, subject_id: str) -> Document:
        """Return an order's or an after-sale's detail, as it came."""
        self._need_shop()
        path, name, key = DETAILS[about]
        answer, raw = await self._ask(path, {name: subject_id})
        fields = answer.get(key)
        if not isinstance(fields, dict):
            raise PlatformRefused(Cure.RETRY, "answer", f"holds no {key}")
        return Document(about, subject_id, raw, _moment(fields.get("update_time")))

    async def count(self, window: Window) -> int | None:
        """WeChat counts nothing."""
        return None

    async def day_numbers(self, day: date) -> Sequence[tuple[int, str]] | None:
        """WeChat numbers no days."""
        return None

    async def messages(self) -> AsyncIterator[Message]:
        """Yield nothing: WeChat pushes over HTTP only."""
        nothing: tuple[Message, ...] = ()
        for message in nothing:
            yield message

    async def confirm(self, receipts: Sequence[str]) -> None:
        """There is no queue, so there is nothing to confirm."""

    async def accept(self, platform_order_id: str) -> str:
        """Return nothing: WeChat's orders need no acceptance."""
        return ""

    async def upload(self, parcel: Parcel) -> str:
        """Report a shipment; a waybill that WeChat has already counts as done."""
        if self._access.secrets.get("kind") == MINI_PROGRAM:
            try:
                return await report(self._http, self._access, parcel, self._now())
            except PlatformRefused as refused:
                self._note(refused)
                raise
        path = "/channels/ec/order/deliveryinfo/update" if parcel.again else "/channels/ec/order/delivery/send"
        body = {"order_id": parcel.platform_order_id, "delivery_list": [delivery(parcel)]}
        try:
            await self._ask(path, body)
        except PlatformRefused as refused:
            # Several codes say "shipped already", not all of them documented: the order itself knows better.
            if refused.cure is not Cure.GIVE_UP or not await self._has(parcel):
                raise
            return "already there"
        return "ok"

    async def push_stock(self, orders: Sequence[StockOrder]) -> str:
        """Add to or subtract from what WeChat has, one call a SKU; a plain value is set, which WeChat advises against.

        WeChat knows no idempotency key: after a call without an answer read the stock before telling it again.
        """
        self._need_shop()
        for order in orders:
            body = stock_body(order)
            if body is not None:
                await self._ask("/channels/ec/product/stock/update", body)
        return "ok"

    async def read_stock(self, listing_id: str, listing_sku: str) -> int | None:
        """Return the listing's ordinary stock, which is what `push_stock` changes."""
        self._need_shop()
        body = {"product_id": listing_id, "sku_id": listing_sku}
        answer, _ = await self._ask("/channels/ec/product/stock/get", body)
        data = answer.get("data")
        number = data.get("normal_stock_num", data.get("total_stock_num")) if isinstance(data, dict) else None
        return number if isinstance(number, int) else None

    async def _lists(self, about: About, begin: int, end: int) -> AsyncIterator[list[str]]:
        if about is About.REFUND:
            path, key = "/channels/ec/aftersale/getaftersalelist", "after_sale_order_id_list"
            body: dict[str, Any] = {"begin_update_time": begin, "end_update_time": end}
        else:
            path, key = "/channels/ec/order/list/get", "order_id_list"
            body = {"update_time_range": {"start_time": begin, "end_time": end}, "page_size": 100}
        for _ in range(PAGES_LIMIT):
            answer, _raw = await self._ask(path, body)
            ids = answer.get(key) or []
            if not isinstance(ids, list):
                raise PlatformRefused(Cure.RETRY, "answer", f"holds no {key}")
            yield [str(each) for each in ids]
            following = str(answer.get("next_key") or "")
            if not answer.get("has_more"):
                return
            if not following or following == body.get("next_key"):
                raise PlatformRefused(Cure.RETRY, "next_key", "the list goes on and says not where")
            body["next_key"] = following
        raise PlatformRefused(Cure.SHORTEN, "pages", f"more than {PAGES_LIMIT} pages: ask for less at once")

    async def _has(self, parcel: Parcel) -> bool:
        """Tell whether the order already carries this waybill."""
        answer, _ = await self._ask("/channels/ec/order/get", {"order_id": parcel.platform_order_id})
        try:
            sent = answer["order"]["order_detail"]["delivery_info"]["delivery_product_info"] or []
            return any(each["waybill_id"] == parcel.waybill for each in sent)
        except (KeyError, TypeError):
            return False

    async def _ask(self, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        try:
            return await ask(self._http, self._access, path, body)
        except PlatformRefused as refused:
            self._note(refused)
            raise

    def _note(self, refused: PlatformRefused) -> None:
        self._refused = self._refused or refused.cure is Cure.REFRESH

    async def _stable_token(self, force: bool) -> Token:
        body = {
            "grant_type": "client_credential",
            "appid": self._access.app_key,
            "secret": self._access.app_secret,
            "force_refresh": force,
        }
        answer, _ = await ask(self._http, self._access, "/cgi-bin/stable_token", body, signed_in=False)
        token, lives_s = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not token or not isinstance(lives_s, int):
            raise PlatformRefused(Cure.RETRY, "answer", "holds no token")
        return Token(token, self._now() + timedelta(seconds=lives_s), seller_id=self._access.app_key)

    def _need_shop(self) -> None:
        if self._access.secrets.get("kind") == MINI_PROGRAM:
            raise PlatformRefused(Cure.GIVE_UP, "kind", "a mini-program has no orders, refunds or stock at WeChat")


def _moment(value: object) -> datetime | None:
    text = str(value or "")
    if not text.isdigit() or len(text) > 10 or text == "0":
        return None
    return msgspec.convert(int(text), datetime, strict=False)
