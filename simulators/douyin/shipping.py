"""Calls that report shipments: whole orders, several parcels at once, and a corrected waybill."""

from collections import Counter
from typing import Any

from simulators.douyin.answers import BusinessFailed, Failed
from simulators.douyin.dials import dials_of
from simulators.douyin.documents import pack_id, parcels
from simulators.douyin.gate import Call
from simulators.douyin.orders import order_of
from simulators.model import PlatformOrder, RefundStatus, Status
from simulators.registry import Refused

REQUESTS = "douyin_requests"
PACKS_LIMIT = 20
NOT_SHIPPABLE, ALREADY_SHIPPED, OPEN_REFUND, WRONG_LINES = 2001041, 2001043, 2001051, 2001045


def logistics_add(call: Call) -> dict[str, Any]:
    """order.logisticsAdd: the whole rest of an order in one parcel; it knows no idempotency key."""
    order = order_of(call, "order_id")
    company, waybill = call.text("company_code"), call.text("logistics_code")
    _check_refunds(call, order)
    known = any(upload.waybill == waybill and upload.kind != "forgotten" for upload in order.uploads)
    if known and dials_of(call.market).repeat_of_shipment_is_error:
        order.uploads_refused += 1
        raise BusinessFailed(ALREADY_SHIPPED, "订单已发货，请勿重复操作")
    _upload(call, order, company, waybill, ())
    return {"pack_id": pack_id(order, max(len(parcels(order)) - 1, 0))}


def logistics_add_multi_pack(call: Call) -> dict[str, Any]:
    """order.logisticsAddMultiPack: all or nothing; the same request_id again answers as the first time."""
    order = order_of(call, "order_id")
    request_id = call.text("request_id")
    known: dict[str, Any] = order.extra.setdefault(REQUESTS, {})
    if request_id in known:
        answer: dict[str, Any] = known[request_id]
        return answer
    packs = _packs(call, order)
    _check_refunds(call, order)
    said, forgotten = [], False
    for company, waybill, lines in packs:
        upload_kind = _upload(call, order, company, waybill, tuple(lines))
        forgotten = forgotten or upload_kind == "forgotten"
        said.append(
            {
                "pack_id": pack_id(order, max(len(parcels(order)) - 1, 0)),
                "logistics_code": waybill,
                "company_code": company,
                "shipped_order_info": [{"shipped_order_id": name, "shipped_num": count} for name, count in lines],
            }
        )
    if not forgotten:
        known[request_id] = {"pack_list": said}
    return {"pack_list": said}


def logistics_edit(call: Call) -> dict[str, Any]:
    """order.logisticsEdit: another waybill for what is shipped already."""
    order = order_of(call, "order_id")
    if order.shipped_at is None or order.status is Status.CLOSED:
        raise BusinessFailed(NOT_SHIPPABLE, "订单未发货，不能修改物流信息")
    call.market.upload(call.shop, order, call.text("company_code"), call.text("logistics_code"), corrects=True)
    return {}


def logistics_edit_by_pack(call: Call) -> dict[str, Any]:
    """order.logisticsEditByPack: another waybill for one parcel of an order."""
    order = order_of(call, "order_id")
    asked = call.text("pack_id")
    packs = parcels(order)
    found = next((pack for place, pack in enumerate(packs) if pack_id(order, place) == asked), None)
    if found is None or order.status is Status.CLOSED:
        order.uploads_refused += 1
        raise BusinessFailed(NOT_SHIPPABLE, "包裹不存在，不能修改物流信息")
    company, waybill = call.text("company_code"), call.text("logistics_code")
    if any(pack.waybill == waybill for pack in packs if pack is not found):
        order.uploads_refused += 1
        raise BusinessFailed(WRONG_LINES, "运单号已用于其他包裹")
    call.market.upload(call.shop, order, company, waybill, found.lines, corrects=True)
    return {}


def _packs(call: Call, order: PlatformOrder) -> list[tuple[str, str, list[tuple[str, int]]]]:
    asked = call.params.get("pack_list")
    if not isinstance(asked, list) or not 1 <= len(asked) <= PACKS_LIMIT:
        raise Failed(40004, "isv.parameter-invalid", "参数pack_list不合法")
    packs, wanted = [], Counter[str]()
    for pack in asked:
        lines = _pack_lines(pack)
        if not pack.get("logistics_code") or not pack.get("company_code"):
            raise Failed(40002, "isv.parameter-missing", "缺少必选参数logistics_code或company_code")
        for name, count in lines:
            wanted[name] += count
        packs.append((str(pack["company_code"]), str(pack["logistics_code"]), lines))
    left = {line.line_id: line.quantity - line.shipped for line in order.lines}
    if order.status in (Status.PAID, Status.PART_SHIPPED) and any(n > left.get(name, 0) for name, n in wanted.items()):
        order.uploads_refused += 1
        raise BusinessFailed(WRONG_LINES, "子订单待发货数量不足")
    return packs


def _pack_lines(pack: Any) -> list[tuple[str, int]]:
    asked = pack.get("shipped_order_info") if isinstance(pack, dict) else None
    if not isinstance(asked, list) or not asked:
        raise Failed(40004, "isv.parameter-invalid", "参数shipped_order_info不合法")
    lines = []
    for each in asked:
        name, count = (each.get("shipped_order_id"), each.get("shipped_num")) if isinstance(each, dict) else (0, 0)
        if not name or not isinstance(count, int) or count < 1:
            raise Failed(40004, "isv.parameter-invalid", "参数shipped_order_info不合法")
        lines.append((str(name), count))
    return lines


def _check_refunds(call: Call, order: PlatformOrder) -> None:
    unsettled = [r for r in order.refunds if r.status in (RefundStatus.APPLIED, RefundStatus.AGREED)]
    waiting = [refund for refund in unsettled if not refund.after_shipping]
    if not waiting or not dials_of(call.market).refund_blocks_shipment:
        return
    if not any(call.params.get(name) in (True, "true") for name in ("is_reject_refund", "is_refund_reject")):
        order.uploads_refused += 1
        raise BusinessFailed(OPEN_REFUND, "订单有退款需要处理，拒绝发货")
    for refund in waiting:
        call.market.settle_refund(call.shop, refund, RefundStatus.CLOSED)


def _upload(call: Call, order: PlatformOrder, company: str, waybill: str, lines: tuple[tuple[str, int], ...]) -> str:
    try:
        return call.market.upload(call.shop, order, company, waybill, lines).kind
    except Refused as refused:
        if refused.reason == "wrong lines":
            raise BusinessFailed(WRONG_LINES, "子订单待发货数量不足") from None
        if refused.reason == "already shipped":
            raise BusinessFailed(ALREADY_SHIPPED, "订单已发货，请勿重复操作") from None
        raise BusinessFailed(NOT_SHIPPABLE, "订单状态不允许发货") from None
