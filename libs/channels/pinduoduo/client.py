"""Calls to Pinduoduo for one shop: signed, bounded, each refusal with its cure."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

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
from libs.channels.pinduoduo import mapping
from libs.channels.pinduoduo.capabilities import LAG_S, WINDOW_LIMIT_S
from libs.channels.pinduoduo.cures import check, is_shipped_already
from libs.channels.pinduoduo.inbound import parts_of_refund, refund_subject
from libs.channels.pinduoduo.messages import MessageSocket
from libs.channels.pinduoduo.signing import parameters, sign_call
from libs.channels.refusals import OrderRefused
from libs.channels.walking import counted_rows, from_last_to_first
from libs.channels.wire import Carried, call, signed_call

GATEWAY = "https://gw-api.pinduoduo.com"
SIGN_IN = "https://mms.pinduoduo.com"
TOKENS = "https://open-api.pinduoduo.com"
PAGE_LIMIT_ROWS = 100
SKUS_LIMIT = 2_000
ALL = 5  # order_status and refund_status
EVERY_REFUND = 1  # after_sales_status and after_sales_type

TOPICS = (
    "pdd_trade_TradeConfirmed",
    "pdd_trade_TradeRiskChanged",
    "pdd_trade_TradeLogisticsAddressChanged",
    "pdd_trade_TradeSellerShip",
    "pdd_trade_TradeSuccess",
    "pdd_refund_RefundCreated",
    "pdd_refund_RefundAgreeAgreement",
    "pdd_refund_RefundBuyerReturnGoods",
    "pdd_refund_RefundClosed",
)

_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True)
class _List:
    """How one of the platform's lists is asked, and where its rows stand."""

    method: str
    answer: str
    rows: str
    asked: Mapping[str, Any]
    of: str = "updated_at"


LISTS: Mapping[About, _List] = {
    About.ORDER: _List(
        "pdd.order.number.list.increment.get",
        "order_sn_increment_get_response",
        "order_sn_list",
        {"order_status": ALL, "refund_status": ALL, "is_lucky_flag": 0, "use_has_next": False},
    ),
    About.REFUND: _List(
        "pdd.refund.list.increment.get",
        "refund_increment_get_response",
        "refund_list",
        {"after_sales_status": EVERY_REFUND, "after_sales_type": EVERY_REFUND},
    ),
}
NEWEST = _List(
    "pdd.order.list.get",
    "order_list_get_response",
    "order_list",
    {"order_status": ALL, "refund_status": ALL, "use_has_next": False},
    "confirm_at",
)
"""Orders by the time at which they became certain: without the lag, and without what changes later."""


class PinduoduoClient:
    """Speaks for one shop."""

    def __init__(self, access: Access, http: httpx.AsyncClient, clock: Callable[[], datetime]) -> None:
        self._access = access
        self._http = http
        self._clock = clock
        self._socket = MessageSocket(access, clock)

    def authorize_url(self, redirect_uri: str, state: str) -> str:
        """Return the page where a shop's owner signs in."""
        query = {
            "response_type": "code",
            "client_id": self._access.app_key,
            "redirect_uri": redirect_uri,
            "state": state,
        }
        return f"{(self._access.sign_in or SIGN_IN).rstrip('/')}/open.html?{urlencode(query)}"

    async def exchange(self, code: str, redirect_uri: str) -> Token:
        """Trade the callback's code for tokens."""
        return await self._token({"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri})

    async def refresh(self) -> Token:
        """Return newer tokens."""
        return await self._token({"grant_type": "refresh_token", "refresh_token": self._access.refresh_token})

    async def pages(self, about: About, window: Window) -> AsyncIterator[Page]:
        """Yield all that changed in the window, from the last page to the first."""
        self._check_window(window)
        async for page in self._pages(about, LISTS[about], window):
            yield page

    async def newest(self, window: Window) -> AsyncIterator[Page]:
        """Yield the orders that became certain in the window; this list has no lag."""
        async for page in self._pages(About.ORDER, NEWEST, window):
            yield page

    async def document(self, about: About, subject_id: str) -> Document:
        """Return an order's detail, with its refunds while one is open; or a refund's detail."""
        if about is About.REFUND:
            parts = parts_of_refund(subject_id)
            if parts is None:
                raise PlatformRefused(Cure.GIVE_UP, "refund", "is not named by its order and its own number")
            row = await self._call(
                "pdd.refund.information.get",
                "refund_information_get_response",
                {"order_sn": parts[0], "after_sales_id": parts[1]},
            )
            if (row.get("order_sn"), str(row.get("id"))) != parts:
                raise PlatformRefused(Cure.RETRY, "answer", "holds another refund, or none")
            return _document(about, row)
        info = await self._order(subject_id)
        if _is_open_refund(info):
            # Told together, so that no moment passes in which the order could leave without its refund being known.
            info = {**info, mapping.REFUNDS_KEY: await self._refunds_of(subject_id)}
        return _document(about, info)

    async def count(self, window: Window) -> int | None:
        """Return how many orders of the window the platform counts, rows that left it since not included."""
        self._check_window(window)
        _, total = await self._rows(LISTS[About.ORDER], window, 1, size=1)
        return total

    async def day_numbers(self, day: date) -> Sequence[tuple[int, str]] | None:
        """Return None: Pinduoduo does not number a day's orders."""
        return None

    async def messages(self) -> AsyncIterator[Message]:
        """Subscribe this shop, then yield what the socket delivers until it ends or fails."""
        await self._call("pdd.pmc.user.permit", "pmc_user_permit_response", {"topics": ",".join(TOPICS)})
        async with aclosing(self._socket.messages()) as delivered:
            async for message in delivered:
                yield message

    async def confirm(self, receipts: Sequence[str]) -> None:
        """Acknowledge messages on the open socket."""
        await self._socket.confirm(receipts)

    async def accept(self, platform_order_id: str) -> str:
        """Return nothing: Pinduoduo's orders need no acceptance."""
        return ""

    async def upload(self, parcel: Parcel) -> str:
        """Report a shipment. An order that the platform already has under this waybill counts as done."""
        company = mapping.carrier(parcel.company or parcel.carrier)
        if company is None:
            raise PlatformRefused(Cure.ASK, "carrier", f"{parcel.carrier} has no company number at pinduoduo")
        try:
            answer = await self._call(
                "pdd.logistics.online.send", "logistics_online_send_response", mapping.shipment(parcel, company)
            )
        except PlatformRefused as refusal:
            if not is_shipped_already(refusal):
                raise
            if str((await self._order(parcel.platform_order_id)).get("tracking_number")) != parcel.waybill:
                raise
            return refusal.text
        return _done(answer)

    async def push_stock(self, orders: Sequence[StockOrder]) -> str:
        """Tell how much may be sold, one SKU a call. Repeating a whole value is harmless, repeating a delta is not."""
        for order in orders:
            _done(await self._call("pdd.goods.quantity.update", "goods_quantity_update_response", mapping.stock(order)))
        return "success"

    async def read_stock(self, listing_id: str, listing_sku: str) -> int | None:
        """Return the SKU's stock from the goods' detail."""
        answer = await self._call("pdd.goods.information.get", "goods_info_get_response", {"goods_id": listing_id})
        detail = answer.get("goods_info")
        skus = detail.get("sku_list") if isinstance(detail, dict) else None
        for sku in skus[:SKUS_LIMIT] if isinstance(skus, list) else []:
            if isinstance(sku, dict) and listing_sku in (str(sku.get("sku_id")), sku.get("outer_id")):
                quantity = sku.get("sku_quantity")
                return quantity if isinstance(quantity, int) else None
        return None

    async def _order(self, order_sn: str) -> dict[str, Any]:
        answer = await self._call("pdd.order.information.get", "order_info_get_response", {"order_sn": order_sn})
        info = answer.get("order_info")
        if not isinstance(info, dict):
            raise PlatformRefused(Cure.RETRY, "answer", "holds no order_info")
        return info

    async def _refunds_of(self, order_sn: str) -> list[dict[str, Any]]:
        """An order's number lifts the window, but its fields stay obligatory; it reaches to now for what is new."""
        until = self._clock()
        window = Window(until - timedelta(seconds=WINDOW_LIMIT_S), until)
        rows, _ = await self._rows(LISTS[About.REFUND], window, 1, order_sn=order_sn)
        return [row for row in rows if row.get("order_sn") == order_sn]

    async def _pages(self, about: About, asked: _List, window: Window) -> AsyncIterator[Page]:
        async for rows in from_last_to_first(lambda place: self._rows(asked, window, place + 1), PAGE_LIMIT_ROWS):
            yield _page(about, rows)

    async def _rows(
        self, asked: _List, window: Window, page: int, size: int = PAGE_LIMIT_ROWS, order_sn: str | None = None
    ) -> tuple[list[dict[str, Any]], int]:
        params = {
            **asked.asked,
            f"start_{asked.of}": int(window.since.timestamp()),
            f"end_{asked.of}": int(window.until.timestamp()),
            "page": page,
            "page_size": size,
            "order_sn": order_sn,
        }
        answer = await self._call(asked.method, asked.answer, params)
        return counted_rows(answer, asked.rows, "total_count")

    def _check_window(self, window: Window) -> None:
        if not timedelta(0) < window.until - window.since <= timedelta(seconds=WINDOW_LIMIT_S):
            raise ValueError(f"a window is longer than nothing and at most {WINDOW_LIMIT_S} seconds long")
        if self._clock() - window.until < timedelta(seconds=LAG_S):
            raise ValueError(f"a window ends at least {LAG_S} seconds ago")

    async def _call(self, method: str, response_key: str, params: Mapping[str, Any]) -> dict[str, Any]:
        url = (self._access.gateway or GATEWAY).rstrip("/") + "/api/router"
        answer, _ = await signed_call(self._http, "POST", url, lambda: Carried(form=self._signed(method, params)))
        return check(answer, response_key)

    def _signed(self, method: str, params: Mapping[str, Any]) -> dict[str, str]:
        access = self._access
        form = parameters(
            {
                **params,
                "type": method,
                "client_id": access.app_key,
                "access_token": access.access_token,
                "timestamp": int(self._clock().timestamp()),
                "data_type": "JSON",
                "version": "V1",
            }
        )
        return form | {"sign": sign_call(access.app_secret, form)}

    async def _token(self, params: Mapping[str, str]) -> Token:
        access = self._access
        body = {"client_id": access.app_key, "client_secret": access.app_secret, **params}
        answer, _ = await call(
            self._http,
            "POST",
            (access.sign_in or TOKENS).rstrip("/") + "/oauth/token",
            content=_encode(body),
            headers={"content-type": "application/json"},
        )
        try:
            data = check(answer, "pop_auth_token_response")
        except PlatformRefused as refused:
            if refused.cure is not Cure.GIVE_UP:
                raise
            # A code or refresh token that is used up or unknown: only signing in again helps.
            raise PlatformRefused(Cure.ASK, refused.code, refused.text) from None
        token = data.get("access_token")
        if not isinstance(token, str) or not token:
            raise PlatformRefused(Cure.ASK, "answer", "holds no access token")
        scopes = data.get("scope")
        return Token(
            access_token=token,
            expires_at=self._end(data.get("expires_in")),
            refresh_token=str(data.get("refresh_token") or ""),
            refresh_expires_at=self._end(data.get("refresh_token_expires_in")),
            scopes=tuple(str(each) for each in scopes) if isinstance(scopes, list) else (),
            seller_id=str(data.get("owner_id") or ""),
        )

    def _end(self, lives_s: Any) -> datetime | None:
        return self._clock() + timedelta(seconds=lives_s) if isinstance(lives_s, int) else None


def _done(answer: Mapping[str, Any]) -> str:
    if answer.get("is_success") is not True:
        raise PlatformRefused(Cure.RETRY, "is_success", "the platform did not say that it was done, nor why not")
    return "success"


def _page(about: About, rows: Sequence[dict[str, Any]]) -> Page:
    documents = [_document(about, row) for row in rows]
    return Page(
        subjects=tuple((each.subject_id, each.modified_at or datetime.fromtimestamp(0, UTC)) for each in documents),
        # A row with its goods is the whole order. One with an open refund is asked for again, to have both together.
        documents=tuple(
            each
            for each, row in zip(documents, rows, strict=True)
            if about is About.REFUND or (row.get("item_list") and "pay_amount" in row and not _is_open_refund(row))
        ),
    )


def _document(about: About, row: dict[str, Any]) -> Document:
    order_sn, refund_id = row.get("order_sn"), row.get("id")
    if not isinstance(order_sn, str) or not order_sn:
        raise PlatformRefused(Cure.RETRY, "answer", "holds a row without order_sn")
    if about is About.REFUND and not isinstance(refund_id, str | int):
        raise PlatformRefused(Cure.RETRY, "answer", "holds a refund without a number")
    subject_id = order_sn if about is About.ORDER else refund_subject(order_sn, str(refund_id))
    return Document(about, subject_id, _encode(row), _modified_at(row))


def _modified_at(row: Mapping[str, Any]) -> datetime | None:
    """Return when the row changed; a time nobody can read is no reason to lose the row."""
    try:
        return mapping.moment(row, "updated_at") or mapping.moment(row, "updated_time")
    except OrderRefused:
        return None


def _is_open_refund(row: Mapping[str, Any]) -> bool:
    """Tell whether the row must be asked for again; so must one whose status cannot be read."""
    try:
        return mapping.is_open_refund(row)
    except OrderRefused:
        return True
