"""Speaks to JOS for one shop: signed calls, pages from the last to the first, shipments, stock, supplier orders."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import Enum
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
from libs.channels.jd.answers import content, is_true, refusal, result, rows
from libs.channels.jd.capabilities import PAGE_LIMIT_ORDERS, PAGE_LIMIT_SERVICES, WINDOW_LIMIT_S
from libs.channels.jd.inbound import SUBJECT_SEPARATOR, order_page, refund_document, refund_page
from libs.channels.jd.mapping import (
    moment_or_none,
    shipment_parameters,
    stock_parameters,
    whole_number,
)
from libs.channels.jd.signing import sign
from libs.channels.jd.supplier import Promised, SupplierOrder, acknowledgement_parameters, supplier_order
from libs.channels.values import number_or_none, text_of, wall_clock
from libs.channels.wire import Carried, call, shown, signed_call

GATEWAY = "https://api.jd.com"
SIGN_IN = "https://open-oauth.jd.com"
SOURCE = "JOS"
PAGES_LIMIT = 100  # what lies deeper comes back empty, whatever the total says
SUPPLIER_WINDOW_LIMIT_S = 90 * 86_400
SUPPLIER_PAGE_ORDERS = 50
STOCK_LIMIT_SKUS = 1  # how many go together is not documented

# All states: a list of some misses the orders of the others.
STATES = (
    "WAIT_SELLER_STOCK_OUT,WAIT_GOODS_RECEIVE_CONFIRM,WAIT_SELLER_DELIVERY,PAUSE,FINISHED_L,TRADE_CANCELED,LOCKED,"
    "POP_ORDER_PAUSE"
)
ORDER_FIELDS = (
    "orderId,orderState,orderStateRemark,orderStartTime,orderEndTime,paymentConfirmTime,modified,payType,"
    "orderTotalPrice,orderSellerPrice,orderPayment,freightPrice,sellerDiscount,balanceUsed,pin,open_id_buyer,"
    "xid_buyer,consigneeInfo,itemInfoList,couponDetailList,orderRemark,venderRemark,waybill,logisticsId"
)


class Listed(Enum):
    """What JD lists by time."""

    ORDERS = "orders"
    SERVICES = "after-sales services"
    APPLICATIONS = "applications to cancel before shipping"


class JdClient:
    """Calls to JD for one shop."""

    def __init__(self, access: Access, http: httpx.AsyncClient, now: Callable[[], datetime]) -> None:
        self._access, self._http, self._now = access, http, now
        self._gateway = (access.gateway or GATEWAY).rstrip("/") + "/routerjson"
        self._sign_in = (access.sign_in or SIGN_IN).rstrip("/") + "/oauth2"

    # ---- Access

    def authorize_url(self, redirect_uri: str, state: str) -> str | None:
        """Return where an operator signs in."""
        query = {
            "app_key": self._access.app_key,
            "response_type": "code",
            "redirect_uri": redirect_uri,
            "state": state,
            "scope": "snsapi_base",
        }
        return f"{self._sign_in}/to_login?{urlencode(query)}"

    async def exchange(self, code: str, redirect_uri: str) -> Token:
        """Trade the callback's code for tokens; JD does not ask for the address again."""
        return await self._token("access_token", {"grant_type": "authorization_code", "code": code})

    async def refresh(self) -> Token:
        """Return newer tokens; a person is asked when there is nothing to refresh with."""
        if not self._access.refresh_token:
            raise PlatformRefused(Cure.ASK, "refresh_token", "is missing: somebody has to sign in again")
        asked = {"grant_type": "refresh_token", "refresh_token": self._access.refresh_token}
        return await self._token("refresh_token", asked)

    async def _token(self, path: str, asked: Mapping[str, str]) -> Token:
        query = {"app_key": self._access.app_key, "app_secret": self._access.app_secret, **asked}
        try:
            answer, _ = await call(self._http, "GET", f"{self._sign_in}/{path}", params=query)
        except PlatformRefused as refused:
            if refused.cure is not Cure.GIVE_UP:
                raise
            raise PlatformRefused(Cure.ASK, refused.code, refused.text) from None
        if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
            said = answer if isinstance(answer, dict) else {}
            told = refusal(str(said.get("code") or "answer"), said.get("msg") or "holds no access token")
            raise PlatformRefused(Cure.ASK, told.code, told.text)
        lives_s = number_or_none(answer.get("expires_in"))
        return Token(
            access_token=answer["access_token"],
            expires_at=None if lives_s is None else self._now() + timedelta(seconds=min(int(lives_s), 10**9)),
            refresh_token=str(answer.get("refresh_token") or ""),
            scopes=tuple(scope for scope in str(answer.get("scope") or "").split(",") if scope),
        )

    # ---- In

    async def pages(self, about: About, window: Window) -> AsyncIterator[Page]:
        """Yield a window's pages from the last to the first.

        Orders are sorted oldest change first. One that changes again moves to the end, or out of the window, and all
        behind it move towards the first page: read backwards, they are seen twice, but none is skipped.
        """
        _check(window, WINDOW_LIMIT_S)
        # Before shipping a buyer applies to cancel; afterwards there are services. They are two lists.
        for listed in (Listed.SERVICES, Listed.APPLICATIONS) if about is About.REFUND else (Listed.ORDERS,):
            async for found in self._walk(listed, window):
                yield order_page(found, window.until) if listed is Listed.ORDERS else refund_page(found, window.until)

    async def _walk(self, listed: Listed, window: Window) -> AsyncIterator[list[dict[str, Any]]]:
        size = PAGE_LIMIT_ORDERS if listed is Listed.ORDERS else PAGE_LIMIT_SERVICES
        total, _ = await self._list(listed, window, 1, 1)
        number, seen_last = max(-(-total // size), 1), False
        for _ in range(2 * PAGES_LIMIT):
            if number > PAGES_LIMIT:
                raise PlatformRefused(Cure.SHORTEN, "pages", f"more than {PAGES_LIMIT} pages: ask for a shorter window")
            _, found = await self._list(listed, window, number, size)
            yield found
            # A full last page may have another behind it, of rows that came since the count.
            seen_last = seen_last or len(found) < size
            number += -1 if seen_last else 1
            if number == 0:
                return

    async def count(self, window: Window) -> int | None:
        """Return how many orders JD counts as changed in the window and not changed again since."""
        _check(window, WINDOW_LIMIT_S)
        total, _ = await self._list(Listed.ORDERS, window, 1, 1)
        return total

    async def day_numbers(self, day: date) -> Sequence[tuple[int, str]] | None:
        """Return None: JD numbers no days."""
        return None

    async def document(self, about: About, subject_id: str) -> Document:
        """Return an order's detail as it came, or a row: a service ("order-service") or an application."""
        if about is About.REFUND:
            return await self._refund(subject_id)
        inner, raw = await self._order(subject_id, ORDER_FIELDS)
        return Document(about, subject_id, raw, moment_or_none(inner.get("modified")))

    async def messages(self) -> AsyncIterator[Message]:
        """Yield nothing: no queue of JD is documented well enough to be relied on."""
        held: tuple[Message, ...] = ()
        for message in held:
            yield message

    async def confirm(self, receipts: Sequence[str]) -> None:
        """Do nothing: there is no queue."""

    # ---- Back

    async def accept(self, platform_order_id: str) -> str:
        """Return nothing: JD's orders need no acceptance."""
        return ""

    async def upload(self, parcel: Parcel) -> str:
        """Report a shipment, which ships the whole order; the second report of a waybill counts as done."""
        if parcel.again:
            raise PlatformRefused(
                Cure.ASK, "reship", "JD has no call that corrects a waybill: do it in its back office"
            )
        try:
            asked = shipment_parameters(parcel)
            inner, raw = await self._call("jingdong.pop.order.shipment", asked)
            if "sopjosshipment_result" in inner:
                result(inner, "sopjosshipment_result")
        except PlatformRefused as refused:
            if refused.cure is Cure.GIVE_UP and await self._has(parcel):
                return refused.text
            raise
        return shown(raw.decode())

    async def push_stock(self, orders: Sequence[StockOrder]) -> str:
        """Tell JD how much it may sell, in full values."""
        words = ""
        for start in range(0, len(orders), STOCK_LIMIT_SKUS):
            asked = stock_parameters(orders[start : start + STOCK_LIMIT_SKUS])
            inner, raw = await self._call("jingdong.ware.stock.sku.set", asked)
            if isinstance(inner.get("returnType"), dict):
                _each_taken(result(inner, "returnType"))
            words = shown(raw.decode())
        return words

    async def read_stock(self, listing_id: str, listing_sku: str) -> int | None:
        """Return what JD believes it may sell, of its default store."""
        asked = {"skuId": whole_number(listing_sku or listing_id)}
        inner, _ = await self._call("jingdong.stock.read.findSkuStock", asked)
        stores = rows(next((value for value in inner.values() if isinstance(value, list)), None))
        for store in stores:
            if number_or_none(store.get("storeId") or 0) == "0":
                known = number_or_none(store.get("stockNum"))
                return None if known is None else int(known)
        return None

    # ---- Supplier orders (自营)

    async def supplier_orders(self, window: Window) -> AsyncIterator[SupplierOrder]:
        """Yield JD's purchase orders that were placed in the window, with their lines."""
        _check(window, SUPPLIER_WINDOW_LIMIT_S)
        for number in range(1, PAGES_LIMIT + 1):
            asked = {
                "created_date_start": wall_clock(window.since),
                "created_date_end": wall_clock(_whole(window.until)),
                "page_index": number,
                "page_size": SUPPLIER_PAGE_ORDERS,
            }
            inner, _ = await self._call("jingdong.vc.getpurchaseorderlist", asked)
            heads = rows(result(inner, "jos_order_result_dto").get("purchase_order_list"))
            for head in heads:
                yield supplier_order(head, await self._supplier_lines(head.get("order_id")))
            if len(heads) < SUPPLIER_PAGE_ORDERS:
                return
        raise PlatformRefused(Cure.SHORTEN, "pages", f"more than {PAGES_LIMIT} pages: ask for a shorter window")

    async def acknowledge(
        self, order: SupplierOrder, promised: Sequence[Promised], delivery_at: datetime | None = None
    ) -> str:
        """Tell JD how much of a purchase order will come (回告)."""
        asked = acknowledgement_parameters(order, promised, delivery_at)
        inner, raw = await self._call("jingdong.vc.confirmpurchaseorder", asked)
        for name, value in inner.items():
            if isinstance(value, dict) and "success" in value:
                result(inner, name)
        return shown(raw.decode())

    async def _supplier_lines(self, order_id: Any) -> list[dict[str, Any]]:
        inner, _ = await self._call("jingdong.vc.getdetailbyorderid", {"order_id": order_id, "is_page": False})
        return rows(result(inner, "jos_detail_result_dto").get("purchase_allocation_detail_list"))

    # ---- Calls

    async def _call(self, method: str, asked: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        answer, raw = await signed_call(
            self._http, "POST", self._gateway, lambda: Carried(form=self._signed(method, asked))
        )
        return content(answer, method), raw

    def _signed(self, method: str, asked: Mapping[str, Any]) -> dict[str, str]:
        form = {
            "method": method,
            "app_key": self._access.app_key,
            "access_token": self._access.access_token,
            "timestamp": wall_clock(self._now()),
            "v": "2.0",
            # Written once: these very bytes are signed and sent.
            "360buy_param_json": msgspec.json.encode(asked, order="deterministic").decode(),
        }
        return form | {"sign": sign(form, self._access.app_secret)}

    async def _list(self, listed: Listed, window: Window, number: int, size: int) -> tuple[int, list[dict[str, Any]]]:
        since, until = wall_clock(window.since), wall_clock(_whole(window.until))
        if listed is Listed.APPLICATIONS:
            asked = {"applyTimeStart": since, "applyTimeEnd": until, "pageIndex": number, "pageSize": size}
            inner, _ = await self._call("jingdong.pop.afs.soa.refundapply.queryPageList", asked)
            found = result(inner, "queryResult")
            return _total(found.get("totalCount")), rows(found.get("result"))
        if listed is Listed.SERVICES:
            asked = {"applyTimeBegin": since, "applyTimeEnd": until, "pageNumber": number, "pageSize": size}
            inner, _ = await self._call("jingdong.asc.serviceAndRefund.view", asked)
            found = result(inner, "pageResult")
            return _total(found.get("totalCount")), rows(found.get("data"))
        asked = {
            "start_date": since,
            "end_date": until,
            "order_state": STATES,
            "optional_fields": "orderId,modified",
            "page": str(number),
            "page_size": str(size),
            "dateType": 0,  # by the time of change
            "sortType": 0,  # ascending
            "source_id": SOURCE,
        }
        inner, _ = await self._call("jingdong.pop.order.search", asked)
        found = result(inner, "searchorderinfo_result")
        return _total(found.get("orderTotal")), rows(found.get("orderInfoList"))

    async def _order(self, order_id: str, fields: str) -> tuple[dict[str, Any], bytes]:
        asked = {"order_id": whole_number(order_id), "optional_fields": fields, "source_id": SOURCE}
        inner, raw = await self._call("jingdong.pop.order.get", asked)
        detail = result(inner, "orderDetailInfo").get("orderInfo")
        if not isinstance(detail, dict) or number_or_none(detail.get("orderId")) != order_id:
            raise PlatformRefused(Cure.RETRY, "answer", "is not the order that was asked for")
        return detail, raw

    async def _refund(self, subject_id: str) -> Document:
        order_id, separator, _ = subject_id.partition(SUBJECT_SEPARATOR)
        if separator:
            asked = {"orderId": whole_number(order_id), "pageNumber": 1, "pageSize": PAGE_LIMIT_SERVICES}
            inner, _ = await self._call("jingdong.asc.serviceAndRefund.view", asked)
            found = rows(result(inner, "pageResult").get("data"))
        else:
            asked = {"id": whole_number(subject_id)}
            inner, _ = await self._call("jingdong.pop.afs.soa.refundapply.queryById", asked)
            found = rows(result(inner, "queryResult").get("result"))
        for row in found:
            document = refund_document(row)
            if document is not None and document.subject_id == subject_id:
                return document
        raise PlatformRefused(Cure.GIVE_UP, "refund", "is not what JD answered")

    async def _has(self, parcel: Parcel) -> bool:
        """Tell whether JD already has this waybill for the order; several stand side by side."""
        detail, _ = await self._order(parcel.platform_order_id, "orderId,waybill")
        return parcel.waybill in text_of(detail, "waybill").replace("|", ",").split(",")


def _check(window: Window, limit_s: int) -> None:
    if not timedelta(0) < window.until - window.since <= timedelta(seconds=limit_s):
        raise ValueError(f"a window of JD holds more than 0 and at most {limit_s} seconds")


def _whole(moment: datetime) -> datetime:
    """Return the next whole second, so that a part of one at the window's end is asked for as well."""
    return moment if not moment.microsecond else moment.replace(microsecond=0) + timedelta(seconds=1)


def _total(value: Any) -> int:
    total = number_or_none(value)
    if total is None:
        raise PlatformRefused(Cure.RETRY, "answer", "holds no total")
    return int(total)


def _each_taken(told: Mapping[str, Any]) -> None:
    """Refuse a stock update that JD took as a whole but not for each SKU."""
    inner = told.get("obj")
    for each in rows(inner.get("updateStockResult") if isinstance(inner, dict) else None):
        if not is_true(each.get("success")):
            raise refusal("stock", each.get("message") or "was not taken")
