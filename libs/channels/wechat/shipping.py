"""Reports a mini-program's shipment (发货信息管理): asks what WeChat has first, because one re-ship is all there is."""

from datetime import datetime, timedelta, timezone
from typing import Any

import httpx

from libs.channels.channel import Access, Cure, Parcel, PlatformRefused
from libs.channels.wechat.calls import UNCHANGED_CODE, ask
from libs.channels.wechat.capabilities import CAPABILITIES
from libs.channels.wechat.mapping import carrier_code, shipping_entry

CHINA = timezone(timedelta(hours=8))
BY_MERCHANT_NUMBER, BY_TRANSACTION = 1, 2
UNIFIED, SPLIT = 1, 2
EXPRESS = 1
NEEDS_CONTACT = ("SF",)


async def report(http: httpx.AsyncClient, access: Access, parcel: Parcel, now: datetime) -> str:
    """Report the parcel once; what WeChat already has counts as done and spends nothing."""
    known = await _known(http, access, parcel)
    shipping = known.get("shipping") if isinstance(known.get("shipping"), dict) else {}
    assert isinstance(shipping, dict)
    entries = [each for each in shipping.get("shipping_list") or [] if isinstance(each, dict)]
    if any(each.get("tracking_no") == parcel.waybill for each in entries):
        return "already there"
    sender = access.secrets.get("sender_contact", "")
    if carrier_code(parcel) in NEEDS_CONTACT and not sender:
        raise PlatformRefused(Cure.ASK, "sender_contact", "this carrier needs the sender's masked telephone")
    entry = shipping_entry(parcel, str(known.get("description") or ""), sender)
    kept = [_entry(each) for each in entries] if parcel.split and not parcel.again else []
    limit = CAPABILITIES.parcels_limit or 1
    if len(kept) >= limit:
        raise PlatformRefused(Cure.ASK, "shipping_list", f"a payment has at most {limit} parcels")
    body: dict[str, Any] = {
        "order_key": _key(access, parcel),
        "logistics_type": EXPRESS,
        "delivery_mode": SPLIT if parcel.split else UNIFIED,
        "shipping_list": [*kept, entry],
        "upload_time": now.astimezone(CHINA).isoformat(timespec="milliseconds"),
        "payer": {"openid": str(known.get("openid") or "")},
    }
    if parcel.split:
        body["is_all_delivered"] = parcel.remaining == 0
    try:
        await ask(http, access, "/wxa/sec/order/upload_shipping_info", body)
    except PlatformRefused as refused:
        if refused.code != UNCHANGED_CODE:
            raise
        return "already there"
    return "ok"


async def _known(http: httpx.AsyncClient, access: Access, parcel: Parcel) -> dict[str, Any]:
    """Return what WeChat knows of the payment: payer, description, parcels."""
    if access.secrets.get("mchid"):
        body = {"merchant_id": access.secrets["mchid"], "merchant_trade_no": parcel.platform_order_id}
    else:
        body = {"transaction_id": parcel.platform_order_id}
    answer, _ = await ask(http, access, "/wxa/sec/order/get_order", body)
    order = answer.get("order")
    if not isinstance(order, dict) or not order.get("openid"):
        raise PlatformRefused(Cure.RETRY, "answer", "holds no payer yet", 60.0)
    return order


def _key(access: Access, parcel: Parcel) -> dict[str, Any]:
    if access.secrets.get("mchid"):
        return {
            "order_number_type": BY_MERCHANT_NUMBER,
            "mchid": access.secrets["mchid"],
            "out_trade_no": parcel.platform_order_id,
        }
    return {"order_number_type": BY_TRANSACTION, "transaction_id": parcel.platform_order_id}


def _entry(known: dict[str, Any]) -> dict[str, Any]:
    entry = {
        "tracking_no": known.get("tracking_no"),
        "express_company": known.get("express_company"),
        "item_desc": known.get("goods_desc") or known.get("item_desc") or "商品",
    }
    if isinstance(known.get("contact"), dict):
        entry["contact"] = known["contact"]
    return entry
