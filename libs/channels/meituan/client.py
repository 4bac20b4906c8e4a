"""Calls Meituan for one shop: signed, bounded, its error codes turned into what helps against them."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
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
from libs.channels.meituan.mapping import CANCELLED, STOCK_BATCH_LIMIT_SKUS, UNPAID, shipment_params, stock_params
from libs.channels.meituan.signing import SIGNATURE_FIELD, sign
from libs.channels.wire import Carried, decode, shown, signed_call

GATEWAY = "https://waimaiopen.meituan.com"
CHINA = timezone(timedelta(hours=8))
CLOCKS_MAY_DIFFER = timedelta(minutes=1)
DAY_NUMBERS_LIMIT = 5000
NUMBERS_AFTER_MISS_LIMIT = 10
SPAN_NUMBERS = 50
REMEMBERED_DAYS_LIMIT = 3
WRONG_FIELD = "705"
NO_SUCH_ORDER = "806"
STATE_CHANGED = "808"

CURES: Mapping[str, tuple[Cure, float]] = {
    "700": (Cure.RETRY, 1.0),
    "701": (Cure.GIVE_UP, 0.0),
    "702": (Cure.ASK, 0.0),
    "703": (Cure.ASK, 0.0),
    "704": (Cure.ASK, 0.0),
    WRONG_FIELD: (Cure.GIVE_UP, 0.0),
    "708": (Cure.ASK, 0.0),
    "711": (Cure.RETRY, 1.0),
    "803": (Cure.ASK, 0.0),
    NO_SUCH_ORDER: (Cure.GIVE_UP, 0.0),
    STATE_CHANGED: (Cure.GIVE_UP, 0.0),
    "1020": (Cure.RETRY, 1.0),
    "4001": (Cure.REFRESH, 0.0),
}
"""What helps against an error code, and after how many seconds; a code that is not here helps nobody."""


class MeituanClient:
    """One shop (app_poi_code) of one application; a self-built application needs no token."""

    def __init__(self, access: Access, http: httpx.AsyncClient, now: Callable[[], datetime]) -> None:
        self._access = access
        self._http = http
        self._now = now
        self._numbers: dict[date, dict[int, str]] = {}

    def authorize_url(self, redirect_uri: str, state: str) -> str | None:
        """Meituan gives an ISV the token by a signed call: nobody signs in on a page."""
        return None

    async def exchange(self, code: str, redirect_uri: str) -> Token:
        """Ask for the shop's first token; `code` may name the shop when it is not known yet."""
        shop = self._access.seller_id or code
        fields = await self._call("GET", "oauth/authorize", {"app_poi_code": shop, "response_type": "token"})
        return self._token(fields, shop)

    async def refresh(self) -> Token:
        """Trade the refresh token for a new pair; without one the shop's application signs alone."""
        if not self._access.refresh_token:
            raise PlatformRefused(Cure.ASK, "token", "this shop has no refresh token: authorise it anew")
        params = {"grant_type": "refresh_token", "refresh_token": self._access.refresh_token}
        return self._token(await self._call("POST", "oauth/token", params), self._access.seller_id)

    async def pages(self, about: About, window: Window) -> AsyncIterator[Page]:
        """Refuse: Meituan lists no orders by time; `day_numbers` finds what is missing."""
        raise PlatformRefused(Cure.GIVE_UP, "pages", "Meituan lists nothing by time: ask for the day's numbers")
        yield Page(())

    async def document(self, about: About, subject_id: str) -> Document:
        """Return an order's detail, or a refund (`order:refund`, or `order:` for the newest) out of its order's."""
        if about is About.REFUND:
            return await self._refund(subject_id)
        data = _data(await self._call("GET", "order/getOrderDetail", {"order_id": subject_id}))
        if not isinstance(data, dict):
            raise PlatformRefused(Cure.RETRY, "answer", "holds no order")
        shop = str(data.get("app_poi_code") or self._access.seller_id)
        if self._access.seller_id and shop != self._access.seller_id:
            raise PlatformRefused(Cure.GIVE_UP, "app_poi_code", "the order belongs to another shop")
        return Document(about, subject_id, _encode(data), _moment(data.get("utime")))

    async def count(self, window: Window) -> int | None:
        """Meituan counts by the day only: see `day_numbers`."""
        return None

    async def day_numbers(self, day: date) -> Sequence[tuple[int, str]]:
        """Return the shop's running numbers of the day and their orders; what was asked once is not asked again.

        Today's newest number tells where to stop. Nothing tells it of another day: a number that is missing may be one
        that is not shown yet, so the day ends only where several in a row are.
        """
        known = self._numbers.setdefault(day, {})
        for old in sorted(self._numbers)[:-REMEMBERED_DAYS_LIMIT]:
            if old != day:
                del self._numbers[old]
        newest = await self._newest_number_of(day, known)
        last = DAY_NUMBERS_LIMIT if newest is None else min(newest, DAY_NUMBERS_LIMIT)
        await self._ask_in_spans(day, last, known)
        missed = 0
        for number in range(1, last + 1):
            order_id = known.get(number) or await self._order_of(day, number)
            if order_id is not None:
                known[number] = order_id
                missed = 0
                continue
            missed += 1
            if newest is None and missed >= NUMBERS_AFTER_MISS_LIMIT and number > max(known, default=0):
                break
        else:
            if newest is None:
                raise PlatformRefused(Cure.GIVE_UP, "day_seq", f"more than {DAY_NUMBERS_LIMIT} orders on one day")
        given = {newest: ""} if newest else {}
        return sorted((given | known).items())

    async def messages(self) -> AsyncIterator[Message]:
        """Yield nothing: Meituan pushes over HTTP only."""
        nothing: tuple[Message, ...] = ()
        for message in nothing:
            yield message

    async def confirm(self, receipts: Sequence[str]) -> None:
        """There is no queue, so there is nothing to confirm."""

    async def accept(self, platform_order_id: str) -> str:
        """Accept the order (order/confirm), due within `accept_limit_s`; one accepted before counts as done."""
        try:
            await self._call("GET", "order/confirm", {"order_id": platform_order_id})
        except PlatformRefused as refused:
            if refused.code != STATE_CHANGED or not await self._accepted(platform_order_id):
                raise
            return "already accepted"
        return "ok"

    async def upload(self, parcel: Parcel) -> str:
        """Tell the waybill; a repeat or a correction replaces what Meituan has."""
        if parcel.split:
            raise PlatformRefused(Cure.GIVE_UP, "split", "Meituan knows one delivery an order")
        await self._call("POST", "ecommerce/order/logistics/sync", shipment_params(parcel))
        return "ok"

    async def push_stock(self, orders: Sequence[StockOrder]) -> str:
        """Set the stock of the listings, in calls of at most 200 SKUs."""
        for start in range(0, len(orders), STOCK_BATCH_LIMIT_SKUS):
            batch = orders[start : start + STOCK_BATCH_LIMIT_SKUS]
            answer = await self._call("POST", "retail/sku/stock", stock_params(self._access.seller_id, batch))
            # A batch that failed in part is answered with "ok" and a list of what failed.
            if answer.get("msg") not in (None, "", "ok", "success", [], "[]"):
                raise PlatformRefused(Cure.GIVE_UP, "stock", shown(str(answer["msg"])))
        return "ok"

    async def read_stock(self, listing_id: str, listing_sku: str) -> int | None:
        """Return the SKU's stock out of retail/get; None when the answer does not hold it."""
        params = {"app_poi_code": self._access.seller_id, "app_food_code": listing_id}
        data = _data(await self._call("GET", "retail/get", params))
        skus = _data({"data": data.get("skus")}, many=True) if isinstance(data, dict) else None
        for sku in skus if isinstance(skus, list) else []:
            if isinstance(sku, dict) and str(sku.get("sku_id")) == listing_sku:
                stock = str(sku.get("stock"))
                return int(stock) if stock.isdigit() else None
        return None

    async def _newest_number_of(self, day: date, known: Mapping[int, str]) -> int | None:
        """Return today's newest number; None for a day that has ended, be it by Meituan's clock, which begins anew."""
        if not self._is_today(day):
            return None
        newest = await self._newest_number()
        return newest if self._is_today(day) and newest >= max(known, default=0) else None

    def _is_today(self, day: date) -> bool:
        """Tell whether the newest number given out is this day's: just after midnight it may still be yesterday's."""
        return day == (self._now() - CLOCKS_MAY_DIFFER).astimezone(CHINA).date()

    async def _newest_number(self) -> int:
        data = _data(await self._call("GET", "order/getOrderDaySeq", {"app_poi_code": self._access.seller_id}))
        number = data.get("day_seq") if isinstance(data, dict) else data
        if not str(number).isdigit():
            raise PlatformRefused(Cure.RETRY, "answer", "holds no day_seq")
        return int(str(number))

    async def _ask_in_spans(self, day: date, last: int, known: dict[int, str]) -> None:
        """Learn many numbers by one call each span; an answer that leaves a number out is not counted upon."""
        for first in range(1, last + 1, SPAN_NUMBERS):
            span = range(first, min(first + SPAN_NUMBERS, last + 1))
            if len(span) == 1 or all(number in known for number in span):
                continue
            params = {
                "app_poi_code": self._access.seller_id,
                "date_time": f"{day:%Y%m%d}",
                "day_seq_start": str(span[0]),
                "day_seq_end": str(span[-1]),
            }
            try:
                data = _data(await self._call("GET", "ecommerce/order/getOrderIdByDaySeq", params))
            except PlatformRefused as refused:
                if refused.cure in (Cure.RETRY, Cure.REFRESH):
                    raise
                return  # the shop may not ask so: each number is asked for by itself
            found = data.get("order_ids") if isinstance(data, dict) else None
            if not isinstance(found, list) or len(found) != len(span):
                return
            # What is no id is not counted upon either: such a number is asked for by itself.
            known.update({n: order_id for n, each in zip(span, found, strict=True) if (order_id := _order_id(each))})

    async def _order_of(self, day: date, number: int) -> str | None:
        params = {"app_poi_code": self._access.seller_id, "date_time": f"{day:%Y%m%d}", "day_seq": str(number)}
        try:
            data = _data(await self._call("GET", "order/getOrderIdByDaySeq", params))
        except PlatformRefused as refused:
            if refused.code == NO_SUCH_ORDER:
                return None
            raise
        return _order_id(data.get("order_id") if isinstance(data, dict) else data)

    async def _refund(self, subject_id: str) -> Document:
        order_id, _, refund_id = subject_id.partition(":")
        answer = await self._call("GET", "ecommerce/order/getOrderRefundDetail", {"wm_order_id_view": order_id})
        data = _data(answer, many=True)
        records = [each for each in data if isinstance(each, dict)] if isinstance(data, list) else []
        fitting = [each for each in records if not refund_id or str(each.get("refund_id")) == refund_id]
        if not fitting:
            raise PlatformRefused(Cure.RETRY, "answer", "does not hold this refund yet", 5.0)
        newest = max(fitting, key=lambda each: int(each.get("ctime") or 0))
        newest.setdefault("order_id", order_id)
        return Document(About.REFUND, subject_id, _encode(newest), _moment(newest.get("utime")))

    async def _accepted(self, platform_order_id: str) -> bool:
        data = _data(await self._call("GET", "order/viewstatus", {"order_id": platform_order_id}))
        status = data.get("status") if isinstance(data, dict) else data
        return str(status) not in (str(UNPAID), "2", str(CANCELLED), "None", "")

    async def _call(self, method: str, path: str, params: Mapping[str, str]) -> dict[str, Any]:
        url = f"{(self._access.gateway or GATEWAY).rstrip('/')}/api/v1/{path}"
        answer, _ = await signed_call(self._http, method, url, lambda: self._signed(method, url, path, params))
        if not isinstance(answer, dict):
            raise PlatformRefused(Cure.RETRY, "answer", "is not an object")
        _raise_refusal(answer)
        return answer

    def _signed(self, method: str, url: str, path: str, params: Mapping[str, str]) -> Carried:
        whole = {"app_id": self._access.app_key, "timestamp": str(int(self._now().timestamp())), **params}
        if self._access.access_token and not path.startswith("oauth/"):
            whole["access_token"] = self._access.access_token
        whole[SIGNATURE_FIELD] = sign(url, whole, self._access.app_secret)
        if method == "GET":
            return Carried(params=whole)
        system = {name: whole[name] for name in ("app_id", "timestamp", SIGNATURE_FIELD)}
        return Carried(params=system, form={name: each for name, each in whole.items() if name not in system})

    def _token(self, fields: Mapping[str, Any], shop: str) -> Token:
        if str(fields.get("status", 0)) not in ("0", "200") or not fields.get("access_token"):
            raise PlatformRefused(Cure.ASK, str(fields.get("status", "")), shown(str(fields.get("message", ""))))
        now = self._now()
        return Token(
            access_token=str(fields["access_token"]),
            expires_at=now + timedelta(seconds=int(fields.get("expires_in") or 0)),
            refresh_token=str(fields.get("refresh_token") or ""),
            refresh_expires_at=now + timedelta(seconds=int(fields.get("re_expires_in") or 0)),
            seller_id=shop,
        )


def _raise_refusal(answer: Mapping[str, Any]) -> None:
    error = answer.get("error")
    if not isinstance(error, dict) and answer.get("data") != "ng":
        return
    error = error if isinstance(error, dict) else {}
    code = str(error.get("code", "ng"))
    words = str(error.get("msg", ""))
    cure, after_s = CURES.get(code, (Cure.GIVE_UP, 0.0))
    if code == WRONG_FIELD and "timestamp" in words.lower():
        # The call was made too long ago, or our clock is wrong for a while: the same call made later is another one.
        cure, after_s = Cure.RETRY, 1.0
    raise PlatformRefused(cure, code, shown(words), after_s)


def _order_id(value: Any) -> str | None:
    text = str(value or "")
    return text if text.isdigit() and text != "0" else None


def _data(answer: Mapping[str, Any], many: bool = False) -> Any:
    """Return `data`, which comes as an object, as a list of one, or as JSON in a text."""
    data = answer.get("data")
    if isinstance(data, str) and data[:1] in ("{", "["):
        try:
            data = decode(data.encode())
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise PlatformRefused(Cure.RETRY, "answer", "holds data that is not JSON") from None
    return data[0] if isinstance(data, list) and data and not many else data


def _encode(data: Any) -> bytes:
    return msgspec.json.encode(data)


def _moment(value: Any) -> datetime | None:
    text = str(value or "")
    return datetime.fromtimestamp(int(text), CHINA) if text.isdigit() and len(text) <= 10 and text != "0" else None
