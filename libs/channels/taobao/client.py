"""Speaks to TOP for one shop: signed calls, pages from the last to the first, the message queue, shipments, stock."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx

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
from libs.channels.taobao.answers import ALREADY_SHIPPED, LIMITED_WAIT_S, content, rows
from libs.channels.taobao.capabilities import PAGE_LIMIT_ORDERS, WINDOW_LIMIT_S
from libs.channels.taobao.inbound import message_of
from libs.channels.taobao.mapping import (
    shipment_parameters,
    stock_calls,
)
from libs.channels.taobao.signing import SignMethod, sign
from libs.channels.values import moment_or_none, number_or_none, wall_clock
from libs.channels.wire import Carried, call, shown, signed_call

GATEWAY = "https://eco.taobao.com"
SIGN_IN = "https://oauth.taobao.com"
SIGN_METHOD: SignMethod = "hmac"
PAGES_LIMIT = 1000
QUEUE_BATCH_MESSAGES = 100
CONFIRM_LIMIT_MESSAGES = 200
EMPTY_PAUSE_S = 0.1  # the shortest that the documents allow after an empty answer
EMPTY_PAUSE_LIMIT_S = 2.0
EMPTY_POLLS_LIMIT = 200
TMC_GROUP = "tmc_group"  # the name in `Access.secrets` under which a shop's own message group stands

# The documents' whole list: without it only five types come, and the orders of the others are missed.
TRADE_TYPES = (
    "fixed,auction,guarantee_trade,auto_delivery,independent_simple_trade,independent_shop_trade,ec,cod,fenxiao,"
    "game_equipment,shopex_trade,netcn_trade,external_trade,o2o_offlinetrade,step,nopaid,pre_auth_type"
)
TOPICS = (
    "taobao_trade_TradeCreate,taobao_trade_TradeBuyerPay,taobao_trade_TradeClose,taobao_trade_TradeSellerShip,"
    "taobao_trade_TradePartlySellerShip,taobao_trade_TradeSuccess,taobao_trade_TradeChanged,"
    "taobao_trade_TradeMemoModified,taobao_trade_TradeLogisticsAddressChanged,taobao_trade_TradePartlyRefund,"
    "taobao_refund_RefundCreated,taobao_refund_RefundSellerAgreeAgreement,taobao_refund_RefundBuyerReturnGoods,"
    "taobao_refund_RefundSuccess,taobao_refund_RefundClosed"
)
TRADE_FIELDS = (
    "tid,type,status,created,modified,pay_time,consign_time,end_time,send_time,delivery_time,payment,post_fee,"
    "step_trade_status,buyer_nick,buyer_open_uid,ouid,oaid,buyer_message,seller_memo,"
    "receiver_name,receiver_mobile,receiver_phone,receiver_state,receiver_city,receiver_district,receiver_town,"
    "receiver_address,receiver_zip,"
    "orders.oid,orders.oid_str,orders.status,orders.num,orders.price,orders.payment,orders.divide_order_fee,"
    "orders.part_mjz_discount,orders.outer_sku_id,orders.outer_iid,orders.sku_id,orders.num_iid,orders.refund_status,"
    "orders.refund_id,orders.invoice_no,orders.logistics_company"
)
REFUND_FIELDS = (
    "refund_id,tid,oid,status,order_status,refund_phase,refund_fee,reason,created,modified,num,outer_id,has_good_return"
)


class TaobaoClient:
    """Calls to Taobao for one shop."""

    def __init__(self, access: Access, http: httpx.AsyncClient, now: Callable[[], datetime]) -> None:
        self._access, self._http, self._now = access, http, now
        self._gateway = (access.gateway or GATEWAY).rstrip("/") + "/router/rest"
        self._sign_in = (access.sign_in or SIGN_IN).rstrip("/")

    # ---- Access

    def authorize_url(self, redirect_uri: str, state: str) -> str | None:
        """Return where an operator signs in."""
        query = {
            "response_type": "code",
            "client_id": self._access.app_key,
            "redirect_uri": redirect_uri,
            "state": state,
            "view": "web",
        }
        return f"{self._sign_in}/authorize?{urlencode(query)}"

    async def exchange(self, code: str, redirect_uri: str) -> Token:
        """Trade the callback's code for tokens."""
        return await self._token({"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri})

    async def refresh(self) -> Token:
        """Return newer tokens; a person is asked when there is nothing to refresh with."""
        if not self._access.refresh_token:
            raise PlatformRefused(Cure.ASK, "refresh_token", "is missing: somebody has to sign in again")
        return await self._token({"grant_type": "refresh_token", "refresh_token": self._access.refresh_token})

    async def _token(self, asked: Mapping[str, str]) -> Token:
        form = {"client_id": self._access.app_key, "client_secret": self._access.app_secret, "view": "web", **asked}
        try:
            answer, _ = await call(self._http, "POST", f"{self._sign_in}/token", form=form)
        except PlatformRefused as refused:
            if refused.cure is not Cure.GIVE_UP:
                raise
            raise PlatformRefused(Cure.ASK, refused.code, refused.text) from None
        if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
            said = answer if isinstance(answer, dict) else {}
            code = shown(str(said.get("error") or "answer"))
            raise PlatformRefused(Cure.ASK, code, shown(str(said.get("error_description") or "holds no access token")))
        now = self._now()
        return Token(
            access_token=answer["access_token"],
            expires_at=_end(now, answer.get("expires_in")),
            refresh_token=str(answer.get("refresh_token") or ""),
            refresh_expires_at=_end(now, answer.get("re_expires_in")),
            seller_id=number_or_none(answer.get("taobao_user_id")) or "",
        )

    # ---- In

    async def pages(self, about: About, window: Window) -> AsyncIterator[Page]:
        """Yield a window's pages from the last to the first.

        The list is sorted newest first. A row that changes again while it is read leaves a closed window, and all
        behind it move towards the first page: read backwards, they are seen twice, but none is skipped.
        """
        _check(window)
        last = -(-await self._total(about, window) // PAGE_LIMIT_ORDERS)
        too_much = PlatformRefused(Cure.SHORTEN, "pages", f"more than {PAGES_LIMIT} pages: ask for a shorter window")
        if last > PAGES_LIMIT:
            raise too_much
        number, seen_last = max(last, 1), False
        for _ in range(PAGES_LIMIT):
            found, more = await self._page(about, window, number)
            yield Page(subjects=found)
            if more and not seen_last:
                # Rows came in since the count: begin behind them.
                number += 1
                continue
            seen_last = True
            if number == 1:
                return
            number -= 1
        raise too_much

    async def count(self, window: Window) -> int | None:
        """Return how many trades the platform counts as changed in the window and not changed again since."""
        _check(window)
        return await self._total(About.ORDER, window)

    async def day_numbers(self, day: date) -> Sequence[tuple[int, str]] | None:
        """Return None: Taobao numbers no days."""
        return None

    async def document(self, about: About, subject_id: str) -> Document:
        """Return a trade's or refund's detail as it came."""
        if about is About.REFUND:
            method, name, key, asked = "taobao.refund.get", "refund", "refund_id", {"fields": REFUND_FIELDS}
        else:
            method, name, key = "taobao.trade.fullinfo.get", "trade", "tid"
            asked = {"fields": TRADE_FIELDS, "include_oaid": "include_oaid"}
        inner, raw = await self._call(method, {key: subject_id, **asked})
        detail = inner.get(name)
        if not isinstance(detail, dict) or number_or_none(detail.get(key)) != subject_id:
            raise PlatformRefused(Cure.RETRY, "answer", f"is not the {name} that was asked for")
        return Document(about, subject_id, raw, moment_or_none(detail.get("modified")))

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what TMC holds for this shop; ends after a long silence. Other shops' messages are left alone."""
        # Nothing comes for a seller who has not permitted it; to permit again changes nothing.
        inner, _ = await self._call("taobao.tmc.user.permit", {"topics": TOPICS})
        if not _is_true(inner.get("is_success")):
            raise PlatformRefused(Cure.RETRY, "permit", "was not taken", LIMITED_WAIT_S)
        pause_s, empty_polls = EMPTY_PAUSE_S, 0
        asked = {"quantity": str(QUEUE_BATCH_MESSAGES), **self._group()}
        while empty_polls < EMPTY_POLLS_LIMIT:
            inner, _ = await self._call("taobao.tmc.messages.consume", asked, session=False)
            found = [message_of(row) for row in rows(inner.get("messages"), "tmc_message") if self._is_ours(row)]
            for message in found:
                if message is not None:
                    yield message
            if found:
                pause_s, empty_polls = EMPTY_PAUSE_S, 0
                continue
            empty_polls += 1
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, EMPTY_PAUSE_LIMIT_S)

    async def confirm(self, receipts: Sequence[str]) -> None:
        """Tell TMC that these messages are safe here."""
        for start in range(0, len(receipts), CONFIRM_LIMIT_MESSAGES):
            ids = ",".join(receipts[start : start + CONFIRM_LIMIT_MESSAGES])
            asked = {"s_message_ids": ids, **self._group()}
            inner, _ = await self._call("taobao.tmc.messages.confirm", asked, session=False)
            if not _is_true(inner.get("is_success")):
                raise PlatformRefused(Cure.RETRY, "confirm", "was not taken", LIMITED_WAIT_S)

    # ---- Back

    async def accept(self, platform_order_id: str) -> str:
        """Return nothing: Taobao's orders need no acceptance."""
        return ""

    async def upload(self, parcel: Parcel) -> str:
        """Report a shipment; the second report of a waybill counts as done."""
        method = "taobao.logistics.consign.resend" if parcel.again else "taobao.logistics.offline.send"
        try:
            inner, raw = await self._call(method, shipment_parameters(parcel))
        except PlatformRefused as refused:
            if refused.code == ALREADY_SHIPPED and await self._has(parcel):
                return refused.text
            raise
        shipping = inner.get("shipping")
        if not isinstance(shipping, dict) or not _is_true(shipping.get("is_success")):
            raise PlatformRefused(Cure.RETRY, "shipping", "was not taken", LIMITED_WAIT_S)
        return shown(raw.decode())

    async def push_stock(self, orders: Sequence[StockOrder]) -> str:
        """Tell Taobao how much it may sell. A difference has no key against repetition here: prefer full values."""
        words = ""
        for method, asked in stock_calls(orders):
            _, raw = await self._call(method, asked)
            words = shown(raw.decode())
        return words

    async def read_stock(self, listing_id: str, listing_sku: str) -> int | None:
        """Return what Taobao believes it may sell."""
        if listing_sku:
            asked = {"fields": "sku_id,quantity", "num_iid": listing_id, "sku_id": listing_sku}
            inner, _ = await self._call("taobao.item.sku.get", asked)
            value = inner["sku"].get("quantity") if isinstance(inner.get("sku"), dict) else None
        else:
            inner, _ = await self._call("taobao.item.seller.get", {"fields": "num_iid,num", "num_iid": listing_id})
            value = inner["item"].get("num") if isinstance(inner.get("item"), dict) else None
        known = number_or_none(value)
        return None if known is None else int(known)

    # ---- Calls

    async def _call(self, method: str, asked: Mapping[str, str], session: bool = True) -> tuple[dict[str, Any], bytes]:
        answer, raw = await signed_call(
            self._http, "POST", self._gateway, lambda: Carried(form=self._signed(method, asked, session))
        )
        return content(answer, method), raw

    def _signed(self, method: str, asked: Mapping[str, str], session: bool) -> dict[str, str]:
        parameters = {
            "method": method,
            "app_key": self._access.app_key,
            "timestamp": wall_clock(self._now()),
            "v": "2.0",
            "format": "json",
            "sign_method": SIGN_METHOD,
            **asked,
        }
        if session:
            parameters["session"] = self._access.access_token
        form = {name: value for name, value in parameters.items() if value}
        return form | {"sign": sign(form, self._access.app_secret, SIGN_METHOD)}

    async def _total(self, about: About, window: Window) -> int:
        inner, _ = await self._list(about, window, {"page_no": "1", "page_size": "1", "use_has_next": "false"})
        total = number_or_none(inner.get("total_results"))
        if total is None:
            raise PlatformRefused(Cure.RETRY, "answer", "holds no total_results")
        return int(total)

    async def _page(self, about: About, window: Window, number: int) -> tuple[tuple[tuple[str, datetime], ...], bool]:
        asked = {"page_no": str(number), "page_size": str(PAGE_LIMIT_ORDERS), "use_has_next": "true"}
        inner, name = await self._list(about, window, asked)
        key = "refund_id" if about is About.REFUND else "tid"
        found = []
        for row in rows(inner.get(f"{name}s"), name):
            subject_id = number_or_none(row.get(key))
            if subject_id is None:
                # A row without an id must not pass as a window without that row.
                raise PlatformRefused(Cure.RETRY, "answer", f"has a {name} without {key}")
            found.append((subject_id, moment_or_none(row.get("modified")) or window.until))
        return tuple(found), _is_true(inner.get("has_next"))

    async def _list(self, about: About, window: Window, asked: dict[str, str]) -> tuple[dict[str, Any], str]:
        named = {"start_modified": wall_clock(window.since), "end_modified": wall_clock(_whole(window.until)), **asked}
        if about is About.REFUND:
            inner, _ = await self._call("taobao.refunds.receive.get", {"fields": "refund_id,tid,modified", **named})
            return inner, "refund"
        named |= {"fields": "tid,modified,status", "type": TRADE_TYPES}
        inner, _ = await self._call("taobao.trades.sold.increment.get", named)
        return inner, "trade"

    async def _has(self, parcel: Parcel) -> bool:
        """Tell whether the platform already has this waybill for the parcel's lines."""
        asked = {"fields": "tid,orders.oid,orders.invoice_no", "tid": parcel.platform_order_id}
        inner, _ = await self._call("taobao.trade.fullinfo.get", asked)
        trade = inner.get("trade")
        lines = rows(trade.get("orders"), "order") if isinstance(trade, dict) else []
        sent = {number_or_none(line.get("oid")) for line in lines if line.get("invoice_no") == parcel.waybill}
        if not parcel.split:
            return bool(sent)
        return {line_id for line_id, _, _ in parcel.lines} <= sent

    def _group(self) -> dict[str, str]:
        return {"group_name": self._access.secrets.get(TMC_GROUP, "")}

    def _is_ours(self, row: Mapping[str, Any]) -> bool:
        owner = number_or_none(row.get("user_id"))
        return not owner or not self._access.seller_id or owner == self._access.seller_id


def _check(window: Window) -> None:
    if not timedelta(0) < window.until - window.since <= timedelta(seconds=WINDOW_LIMIT_S):
        raise ValueError(f"a window of Taobao holds more than 0 and at most {WINDOW_LIMIT_S} seconds")


def _whole(moment: datetime) -> datetime:
    """Return the next whole second, so that a part of one at the window's end is asked for as well."""
    return moment if not moment.microsecond else moment.replace(microsecond=0) + timedelta(seconds=1)


def _end(now: datetime, lives_s: Any) -> datetime | None:
    seconds = number_or_none(lives_s)
    return None if seconds is None else now + timedelta(seconds=min(int(seconds), 10**9))


def _is_true(value: Any) -> bool:
    return value is True or value == "true"
