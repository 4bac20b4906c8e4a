"""Calls to Douyin for one shop: signed, bounded, each refusal with its cure; repeats are safe."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
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
from libs.channels.douyin import mapping
from libs.channels.douyin.capabilities import DAY_S
from libs.channels.douyin.cures import check, is_repeated_stock, is_shipped_already
from libs.channels.douyin.signing import HMAC_SHA256, VERSION, canonical, method_of, sign_call
from libs.channels.walking import counted_rows, from_last_to_first
from libs.channels.wire import Carried, signed_call

GATEWAY = "https://openapi-fxg.jinritemai.com"
SIGN_IN = "https://fuwu.jinritemai.com"
PAGE_LIMIT_ROWS = 100
REFRESH_LIVES = timedelta(days=14)
PROVES_LIMIT_PACKS = 100

_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True)
class _List:
    """How one of the platform's lists is asked, and where its rows and their marks stand."""

    path: str
    since: str
    until: str
    order: Mapping[str, Any]
    rows: str


LISTS: Mapping[About, _List] = {
    About.ORDER: _List(
        "/order/searchList",
        "update_time_start",
        "update_time_end",
        {"order_by": "update_time", "order_asc": True},
        "shop_order_list",
    ),
    About.REFUND: _List(
        "/afterSale/List", "update_start_time", "update_end_time", {"order_by": ["update_time asc"]}, "items"
    ),
}


class DouyinClient:
    """Speaks for one shop."""

    def __init__(self, access: Access, http: httpx.AsyncClient, clock: Callable[[], datetime]) -> None:
        self._access = access
        self._http = http
        self._clock = clock

    def authorize_url(self, redirect_uri: str, state: str) -> str:
        """Return the service market's page; where it calls back is set there, `redirect_uri` only repeats it."""
        service_id = self._access.secrets.get("service_id") or self._access.app_key
        query = urlencode({"service_id": service_id, "state": state, "redirect_uri": redirect_uri})
        return f"{(self._access.sign_in or SIGN_IN).rstrip('/')}/authorize?{query}"

    async def exchange(self, code: str, redirect_uri: str) -> Token:
        """Trade the callback's code for tokens; without a code the shop's own app asks by its shop id."""
        params = (
            {"grant_type": "authorization_code", "code": code}
            if code
            else {"grant_type": "authorization_self", "code": "", "shop_id": self._access.seller_id}
        )
        return self._token(await self._call("/token/create", params, signed_in=False))

    async def refresh(self) -> Token:
        """Return the token that holds now: the same one, with its end, more than an hour before it ends."""
        params = {"grant_type": "refresh_token", "refresh_token": self._access.refresh_token}
        return self._token(await self._call("/token/refresh", params, signed_in=False))

    async def pages(self, about: About, window: Window) -> AsyncIterator[Page]:
        """Yield all that changed in the window, from the last page to the first, oldest changes first in a page."""
        _check_window(window)
        async for rows in from_last_to_first(lambda place: self._rows(about, window, place), PAGE_LIMIT_ROWS):
            yield _page(about, rows)

    async def document(self, about: About, subject_id: str) -> Document:
        """Return an order's detail (/order/orderDetail), or a refund as /afterSale/List has it."""
        if about is About.ORDER:
            detail = await self._order(subject_id)
            return Document(about, subject_id, _encode(detail), _moment(detail.get("update_time")))
        data = await self._call("/afterSale/List", {"aftersale_id": subject_id, "page": 0, "size": 1})
        items = data.get("items")
        if not isinstance(items, list) or not items or not isinstance(items[0], dict):
            raise PlatformRefused(Cure.RETRY, "refund", "is not in the platform's list (yet)")
        return _document(about, items[0])

    async def count(self, window: Window) -> int | None:
        """Return how many orders of the window the platform counts, rows that left it since not included."""
        _check_window(window)
        _, total = await self._rows(About.ORDER, window, 0, size=1)
        return total

    async def day_numbers(self, day: date) -> Sequence[tuple[int, str]] | None:
        """Return None: Douyin does not number a day's orders."""
        return None

    async def messages(self) -> AsyncIterator[Message]:
        """Yield nothing: Douyin pushes."""
        nothing: tuple[Message, ...] = ()
        for message in nothing:
            yield message

    async def confirm(self, receipts: Sequence[str]) -> None:
        """Refuse: there is no queue whose messages could be confirmed."""
        if receipts:
            raise ValueError("douyin has no message queue")

    async def accept(self, platform_order_id: str) -> str:
        """Return nothing: Douyin's orders need no acceptance."""
        return ""

    async def upload(self, parcel: Parcel) -> str:
        """Report a shipment. A parcel that the platform already has under this waybill counts as done."""
        company = parcel.company or mapping.carrier(parcel.carrier)
        if company is None:
            raise PlatformRefused(Cure.ASK, "carrier", f"{parcel.carrier} has no company code at douyin")
        try:
            if parcel.again:
                await self._correct(parcel, company)
            elif parcel.split:
                await self._call("/order/logisticsAddMultiPack", mapping.pack(parcel, company))
            else:
                await self._call("/order/logisticsAdd", mapping.shipment(parcel, company))
        except PlatformRefused as refusal:
            if not is_shipped_already(refusal) or not await self._has_waybill(parcel):
                raise
            return refusal.text
        return "success"

    async def push_stock(self, orders: Sequence[StockOrder]) -> str:
        """Tell how much may be sold, one SKU a call; a repeat that the platform knows counts as done."""
        for order in orders:
            try:
                await self._call("/sku/syncStock", mapping.stock(order))
            except PlatformRefused as refusal:
                if not is_repeated_stock(refusal):
                    raise
        return "success"

    async def read_stock(self, listing_id: str, listing_sku: str) -> int | None:
        """Return the SKU's sellable stock."""
        named = mapping.sku_named("", listing_sku)
        value = (await self._call("/sku/stockNum", named)).get("stock_num")
        return value if isinstance(value, int) else None

    async def _correct(self, parcel: Parcel, company: str) -> None:
        params = mapping.shipment(parcel, company)
        if not parcel.split:
            await self._call("/order/logisticsEdit", params)
            return
        lines = {line_id for line_id, _, _ in parcel.lines}
        for pack in _packs(await self._order(parcel.platform_order_id)):
            if {str(each.get("sku_order_id")) for each in pack.get("product_info") or ()} == lines:
                await self._call("/order/logisticsEditByPack", params | {"pack_id": str(pack.get("delivery_id", ""))})
                return
        raise PlatformRefused(Cure.ASK, "pack", "no parcel of the order holds just these lines")

    async def _has_waybill(self, parcel: Parcel) -> bool:
        packs = _packs(await self._order(parcel.platform_order_id))
        return any(str(pack.get("tracking_no")) == parcel.waybill for pack in packs)

    async def _order(self, order_id: str) -> dict[str, Any]:
        data = await self._call("/order/orderDetail", {"shop_order_id": order_id})
        detail = data.get("shop_order_detail")
        if not isinstance(detail, dict):
            raise PlatformRefused(Cure.RETRY, "answer", "holds no shop_order_detail")
        return detail

    async def _rows(
        self, about: About, window: Window, page: int, size: int = PAGE_LIMIT_ROWS
    ) -> tuple[list[dict[str, Any]], int]:
        asked = LISTS[about]
        params = {
            asked.since: int(window.since.timestamp()),
            asked.until: -int(-window.until.timestamp() // 1),
            "page": page,
            "size": size,
            **asked.order,
        }
        data = await self._call(asked.path, params)
        return counted_rows(data, asked.rows, "total")

    async def _call(self, path: str, params: Mapping[str, Any], *, signed_in: bool = True) -> dict[str, Any]:
        url = (self._access.gateway or GATEWAY).rstrip("/") + path
        answer, _ = await signed_call(self._http, "POST", url, lambda: self._signed(path, params, signed_in))
        data = check(answer)
        return data if isinstance(data, dict) else {}

    def _signed(self, path: str, params: Mapping[str, Any], signed_in: bool) -> Carried:
        access = self._access
        param_json, timestamp, method = canonical(params), str(int(self._clock().timestamp())), method_of(path)
        query = {
            "app_key": access.app_key,
            "method": method,
            "timestamp": timestamp,
            "v": VERSION,
            "sign_method": HMAC_SHA256,
            "sign": sign_call(access.app_secret, access.app_key, method, param_json, timestamp),
        }
        if signed_in:
            query["access_token"] = access.access_token
        return Carried(params=query, content=param_json.encode(), headers={"content-type": "application/json"})

    def _token(self, data: Mapping[str, Any]) -> Token:
        token, lives_s = data.get("access_token"), data.get("expires_in")
        if not isinstance(token, str) or not token:
            raise PlatformRefused(Cure.ASK, "answer", "holds no access token")
        now = self._clock()
        return Token(
            access_token=token,
            expires_at=now + timedelta(seconds=lives_s if isinstance(lives_s, int) else 7 * DAY_S),
            refresh_token=str(data.get("refresh_token") or ""),
            refresh_expires_at=now + REFRESH_LIVES,
            scopes=tuple(each for each in str(data.get("scope") or "").split(",") if each),
            seller_id=str(data.get("shop_id") or ""),
        )


def _check_window(window: Window) -> None:
    if window.since >= window.until:
        raise ValueError("a window ends after it begins")


def _packs(detail: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = detail.get("logistics_info")
    packs = found[:PROVES_LIMIT_PACKS] if isinstance(found, list) else []
    return [each for each in packs if isinstance(each, dict)]


def _page(about: About, rows: Sequence[dict[str, Any]]) -> Page:
    documents = [_document(about, row) for row in rows]
    return Page(
        subjects=tuple((each.subject_id, each.modified_at or datetime.fromtimestamp(0, UTC)) for each in documents),
        # A row with its lines is the whole order; a bare one is asked for by its id.
        documents=tuple(
            each
            for each, row in zip(documents, rows, strict=True)
            if about is About.REFUND or (row.get("sku_order_list") and "order_status" in row)
        ),
    )


def _document(about: About, row: dict[str, Any]) -> Document:
    info = row.get("aftersale_info") if about is About.REFUND else row
    if not isinstance(info, dict):
        info = {}
    subject_id = info.get("aftersale_id" if about is About.REFUND else "order_id")
    if not isinstance(subject_id, str | int) or subject_id == "":
        raise PlatformRefused(Cure.RETRY, "answer", "holds a row without an id")
    return Document(about, str(subject_id), _encode(row), _moment(info.get("update_time")))


def _moment(value: Any) -> datetime | None:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int) and 0 < value <= mapping.MOMENT_LAST_S else None
