"""The platform's own truth about a shop, as plain JSON: orders, refunds, shipments, stock, calls."""

from datetime import UTC, datetime
from typing import Any

from simulators.model import Listing, PlatformOrder, Refund, Shop


def moment(at: datetime | None) -> str | None:
    """Write a moment as RFC 3339, UTC, with microseconds."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def order_entry(order: PlatformOrder) -> dict[str, Any]:
    """Return what is true about an order."""
    kinds = [upload.kind for upload in order.uploads]
    return {
        "order_id": order.order_id,
        "status": order.status.value,
        "created_at": moment(order.created_at),
        "paid_at": moment(order.paid_at),
        "modified_at": moment(order.modified_at),
        "accepted_at": moment(order.accepted_at),
        "shipped_at": moment(order.shipped_at),
        "close_reason": order.close_reason,
        "total_fen": order.total_fen,
        "shipping_fee_fen": order.shipping_fee_fen,
        "day_number": order.day_number,
        "risky": order.risky,
        "lines": [
            {
                "line_id": line.line_id,
                "listing_id": line.listing_id,
                "sku_id": line.sku_id,
                "outer_id": line.outer_id,
                "quantity": line.quantity,
                "unit_price_fen": line.unit_price_fen,
                "shipped": line.shipped,
            }
            for line in order.lines
        ],
        "refunds": [refund_entry(refund) for refund in order.refunds],
        "uploads": [
            {"at": moment(u.at), "carrier": u.carrier, "waybill": u.waybill, "kind": u.kind, "lines": u.lines}
            for u in order.uploads
        ],
        "uploads_first": kinds.count("first"),
        "uploads_repeated": kinds.count("repeated"),
        "uploads_refused": order.uploads_refused,
        "change_no": order.change_no,
    }


def refund_entry(refund: Refund) -> dict[str, Any]:
    """Return what is true about a refund."""
    return {
        "refund_id": refund.refund_id,
        "order_id": refund.order_id,
        "line_id": refund.line_id,
        "amount_fen": refund.amount_fen,
        "status": refund.status.value,
        "created_at": moment(refund.created_at),
        "modified_at": moment(refund.modified_at),
        "after_shipping": refund.after_shipping,
        "cancels": refund.cancels,
    }


def stock_entry(listing: Listing, history: bool) -> dict[str, Any]:
    """Return what the platform believes about a listing, and (with `history`) all that it was told."""
    entry: dict[str, Any] = {
        "listing_id": listing.listing_id,
        "sku_id": listing.sku_id,
        "outer_id": listing.outer_id,
        "price_fen": listing.price_fen,
        "stock": listing.stock,
        "sold": listing.sold,
        "sold_out": listing.sold_out,
        "told_count": len(listing.told),
        "forgotten_count": sum(told.forgotten for told in listing.told),
    }
    if history:
        entry["told"] = [
            {
                "at": moment(told.at),
                "kind": told.kind,
                "quantity": told.quantity,
                "before": told.before,
                "after": told.after,
                "key": told.key,
                "forgotten": told.forgotten,
                "repeated": told.repeated,
            }
            for told in listing.told
        ]
    return entry


def books(shop: Shop, now: datetime, after: int = 0, stock: bool = True) -> dict[str, Any]:
    """Return the shop's books; `after` leaves out orders that have not changed since that `cursor`."""
    changed: list[PlatformOrder] = []
    for order in reversed(shop.by_change.values()):
        if order.change_no <= after:
            break
        changed.append(order)
    changed.reverse()
    return {
        "platform": shop.platform,
        "shop_id": shop.shop_id,
        "now": moment(now),
        "cursor": changed[-1].change_no if changed else after,
        "counts": {
            "orders": len(shop.orders),
            "paid": sum(order.is_paid for order in shop.orders.values()),
            "shipped": sum(order.shipped_at is not None for order in shop.orders.values()),
            "refunds": len(shop.refunds),
        },
        "orders": [order_entry(order) for order in changed],
        "stock": [stock_entry(listing, True) for listing in shop.listings.values() if listing.told] if stock else [],
        "calls": dict(sorted(shop.calls.items())),
        "token_refreshes": shop.grant.refreshes,
    }
