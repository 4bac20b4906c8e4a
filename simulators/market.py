"""One market of all platforms: what happens to orders, refunds and stock, and what is true about them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from simulators.clock import SHANGHAI, Clock
from simulators.model import (
    App,
    Change,
    ChangeKind,
    Line,
    Listing,
    Payment,
    PlatformOrder,
    Receiver,
    Refund,
    RefundStatus,
    Shop,
    Status,
    StockTold,
    Upload,
)
from simulators.platform import Platform
from simulators.registry import Refused, Registry


class SoldOut(Refused):
    """The platform has not enough stock of a listing to sell it."""


@dataclass(frozen=True)
class Want:
    """What a buyer wants: so many of a listing's SKU, less discounts of the whole line."""

    listing: Listing
    quantity: int
    merchant_discount_fen: int = 0
    platform_discount_fen: int = 0

    @property
    def total_fen(self) -> int:
        """Return what the line will cost."""
        return self.listing.price_fen * self.quantity - self.merchant_discount_fen - self.platform_discount_fen


class Market(Registry):
    """A registry of shops in which things happen. `platforms` are modules' `PLATFORM`s by name."""

    def __init__(self, platforms: Mapping[str, Platform], seed: int = 1, clock: Clock | None = None) -> None:
        super().__init__(platforms, seed, clock)
        self.counts: Counter[tuple[str, str]] = Counter()
        self.change_no = 0

    def create_shop(
        self,
        platform: str,
        shop_id: str = "",
        *,
        name: str = "",
        push_url: str = "",
        app_key: str = "",
        listings: Sequence[Listing] = (),
    ) -> Shop:
        """Open a shop with its own application, or with that of `app_key`."""
        rules = self.platforms[platform]
        shop_id = shop_id or f"{platform}-{len(self.shops) + 1}"
        if (platform, shop_id) in self.shops:
            raise Refused("the shop exists")
        app_key = app_key or self.digits(8)
        app = self.apps.setdefault((platform, app_key), App(app_key, self.secret()))
        shop = Shop(shop_id, platform, name or shop_id, rules.seller_id(self), app, self.new_grant(platform), push_url)
        shop.settings = rules.settings(self)
        shop.listings = {(listing.listing_id, listing.sku_id): listing for listing in listings}
        self.shops[platform, shop_id] = shop
        return shop

    # ---- What buyers do

    def place(
        self,
        shop: Shop,
        wants: Sequence[Want],
        receiver: Receiver,
        *,
        buyer_id: str = "",
        buyer_nick: str = "",
        shipping_fee_fen: int = 0,
        note: str = "",
        risky: bool = False,
    ) -> PlatformOrder:
        """Place an unpaid order; takes its goods from the listings. Raises Refused (SoldOut) and changes nothing."""
        if any(want.total_fen < 0 for want in wants):
            raise Refused("the discounts are above the line's price")
        needed: Counter[tuple[str, str]] = Counter()
        for want in wants:
            needed[want.listing.listing_id, want.listing.sku_id] += want.quantity
        for key, quantity in needed.items():
            if shop.listings[key].stock < quantity:
                shop.listings[key].sold_out += 1
                raise SoldOut("sold out")
        for key, quantity in needed.items():
            shop.listings[key].stock -= quantity
            shop.listings[key].sold += quantity
        platform, now = self.platforms[shop.platform], self.now()
        order_id = platform.order_id(self)
        while order_id in shop.orders:
            order_id = platform.order_id(self)
        lines = [self._line(platform, order_id, index, want) for index, want in enumerate(wants)]
        buyer_id = buyer_id or self.secret()
        order = PlatformOrder(
            order_id, shop.shop_id, buyer_id, buyer_nick or f"{buyer_id[:2]}**", now, now, lines, receiver
        )
        order.shipping_fee_fen, order.note, order.risky = shipping_fee_fen, note, risky
        shop.orders[order_id] = order
        self.changed(shop, order, ChangeKind.CREATED)
        return order

    def _line(self, platform: Platform, order_id: str, index: int, want: Want) -> Line:
        listing = want.listing
        return Line(
            platform.line_id(self, order_id, index),
            listing.listing_id,
            listing.sku_id,
            listing.outer_id,
            listing.title,
            want.quantity,
            listing.price_fen,
            want.merchant_discount_fen,
            want.platform_discount_fen,
        )

    def pay(self, shop: Shop, order: PlatformOrder, method: str = "alipay") -> None:
        """Pay an unpaid order, whole."""
        if order.status is not Status.UNPAID:
            raise Refused("the order is not unpaid")
        now = self.now()
        order.payments.append(Payment(now, order.total_fen, method))
        order.paid_at, order.status = now, Status.PAID
        day = now.astimezone(SHANGHAI).date().isoformat()
        order.day_number = shop.day_counts[day] = shop.day_counts.get(day, 0) + 1
        self.changed(shop, order, ChangeKind.PAID)

    def cancel(self, shop: Shop, order: PlatformOrder, reason: str = "buyer") -> None:
        """Close an order that has not been shipped."""
        if order.status not in (Status.UNPAID, Status.PAID):
            raise Refused("the order can not be cancelled any more")
        if order.status is Status.UNPAID or self.dials[shop.platform].returns_stock_of_cancelled:
            for line in order.lines:
                listing = shop.listings[line.listing_id, line.sku_id]
                listing.stock += line.quantity
                listing.sold -= line.quantity
        order.status, order.close_reason, order.ended_at = Status.CLOSED, reason, self.now()
        self.changed(shop, order, ChangeKind.CLOSED)

    def change_address(self, shop: Shop, order: PlatformOrder, receiver: Receiver) -> None:
        """Send an unshipped order somewhere else."""
        if order.status not in (Status.UNPAID, Status.PAID):
            raise Refused("the address can not be changed any more")
        order.receiver = receiver
        self.changed(shop, order, ChangeKind.ADDRESS_CHANGED)

    def remark(self, shop: Shop, order: PlatformOrder, memo: str) -> None:
        """Write the seller's memo."""
        order.memo = memo
        self.changed(shop, order, ChangeKind.MEMO_CHANGED)

    def clear_risk(self, shop: Shop, order: PlatformOrder) -> None:
        """End the platform's own check of an order."""
        order.risky = False
        self.changed(shop, order, ChangeKind.MEMO_CHANGED)

    def accept(self, shop: Shop, order: PlatformOrder) -> None:
        """The merchant takes the order (where the platform asks for that)."""
        if order.status is not Status.PAID:
            raise Refused("the order can not be accepted")
        if order.accepted_at is None:
            order.accepted_at = self.now()
            self.changed(shop, order, ChangeKind.ACCEPTED)

    def finish(self, shop: Shop, order: PlatformOrder) -> None:
        """The buyer has the goods."""
        if order.status is not Status.SHIPPED:
            raise Refused("the order is not shipped")
        order.status, order.ended_at = Status.DONE, self.now()
        self.changed(shop, order, ChangeKind.DONE)

    def ask_refund(
        self, shop: Shop, order: PlatformOrder, *, amount_fen: int = 0, line_id: str = "", reason: str = "不想要了"
    ) -> Refund:
        """Ask for money back: all that is left of it, unless an amount or a line is named."""
        if not order.is_paid or order.status is Status.CLOSED:
            raise Refused("the order can not be refunded")
        line = next((line for line in order.lines if line.line_id == line_id), None)
        if line is None and line_id:
            raise Refused("the order has no such line")
        left_fen = order.left_fen(line)
        amount_fen = amount_fen or left_fen
        if amount_fen > left_fen or (not amount_fen and (line or order).total_fen):
            raise Refused(f"only {left_fen} fen are left to refund")
        now = self.now()
        after = order.status in (Status.SHIPPED, Status.DONE)
        refund = Refund(self.digits(18), order.order_id, amount_fen, reason, now, now, line_id=line_id)
        refund.after_shipping, refund.cancels = after, not after and amount_fen >= order.total_fen
        order.refunds.append(refund)
        shop.refunds[refund.refund_id] = refund
        self.changed(shop, order, ChangeKind.REFUND_CREATED, refund)
        return refund

    def refund_closed_order(self, shop: Shop, order: PlatformOrder) -> Refund:
        """Give back what is left of a paid order that closes without anybody having asked (Pinduoduo shows it so)."""
        now = self.now()
        refund = Refund(self.digits(18), order.order_id, order.left_fen(), order.close_reason, now, now)
        refund.status, refund.cancels = RefundStatus.SUCCEEDED, True
        order.refunds.append(refund)
        shop.refunds[refund.refund_id] = shop.refunds_by_change[refund.refund_id] = refund
        return refund

    def settle_refund(self, shop: Shop, refund: Refund, status: RefundStatus) -> None:
        """Agree to, pay, or close a refund; the order closes when all its money is back before it was shipped."""
        if status is RefundStatus.APPLIED:
            raise Refused("a refund is agreed to, succeeds or is closed")
        if refund.status in (RefundStatus.SUCCEEDED, RefundStatus.CLOSED):
            raise Refused("the refund is settled")
        order = shop.orders[refund.order_id]
        refund.status = status
        self.changed(shop, order, ChangeKind(f"refund_{status.value}"), refund)
        back_fen = sum(each.amount_fen for each in order.refunds if each.status is RefundStatus.SUCCEEDED)
        all_gone = back_fen >= order.total_fen or all(order.is_refunded(line) for line in order.lines)
        if status is RefundStatus.SUCCEEDED and all_gone and order.status is Status.PAID:
            self.cancel(shop, order, "refunded")

    def changed(self, shop: Shop, order: PlatformOrder, kind: ChangeKind, refund: Refund | None = None) -> None:
        """Note a change in the books, move the order to the end of the lists, and tell the merchant."""
        now = self.now()
        self.touch(shop, order)
        order.history.append((now, kind.value))
        if refund is not None:
            refund.modified_at = now
            shop.refunds_by_change.pop(refund.refund_id, None)
            shop.refunds_by_change[refund.refund_id] = refund
        self.counts[shop.platform, kind.value] += 1
        for push in self.platforms[shop.platform].push(self, shop, Change(kind, order, now, refund)):
            self.pushes.schedule(shop.platform, shop.shop_id, push)

    def touch(self, shop: Shop, order: PlatformOrder) -> None:
        """Change nothing but the time of change."""
        order.modified_at = self.now()
        self.change_no += 1
        order.change_no = self.change_no
        shop.by_change.pop(order.order_id, None)
        shop.by_change[order.order_id] = order

    # ---- What the merchant does

    def upload(
        self,
        shop: Shop,
        order: PlatformOrder,
        carrier: str,
        waybill: str,
        lines: Sequence[tuple[str, int]] = (),
        *,
        more: bool = False,
        corrects: bool = False,
    ) -> Upload:
        """Take a shipment: of these lines, or of all that is left. `more`: other parcels of these lines follow.

        The same waybill again changes nothing (`repeated`). Raises Refused; a platform maps its reason to a code.
        """
        dials = self.dials[shop.platform]
        upload = Upload(self.now(), carrier, waybill, tuple(lines))
        if any(known.waybill == waybill and known.kind != "forgotten" for known in order.uploads):
            order.uploads.append(Upload(upload.at, carrier, waybill, upload.lines, "repeated"))
            return order.uploads[-1]
        if corrects and order.shipped_at is not None:
            order.uploads.append(Upload(upload.at, carrier, waybill, upload.lines, "corrected"))
            return order.uploads[-1]
        if order.status not in (Status.PAID, Status.PART_SHIPPED):
            order.uploads_refused += 1
            raise Refused("unpaid" if order.status is Status.UNPAID else f"already {order.status.value}")
        if self.falls(dials.uploads_forgotten_percent):
            order.uploads.append(Upload(upload.at, carrier, waybill, upload.lines, "forgotten"))
            return order.uploads[-1]
        whole = self._ship(order, lines, more)
        order.uploads.append(upload)
        self.changed(shop, order, ChangeKind.SHIPPED if whole else ChangeKind.PART_SHIPPED)
        return upload

    def _ship(self, order: PlatformOrder, lines: Sequence[tuple[str, int]], more: bool) -> bool:
        by_id = {line.line_id: line for line in order.lines}
        for line_id, quantity in lines:
            line = by_id.get(line_id)
            if line is None or quantity < 1 or line.shipped + quantity > line.quantity:
                order.uploads_refused += 1
                raise Refused("wrong lines")
        left = [(line.line_id, line.quantity - line.shipped) for line in order.lines if not order.is_refunded(line)]
        for line_id, quantity in lines or left:
            by_id[line_id].shipped += quantity
        whole = not more and all(line.shipped >= line.quantity or order.is_refunded(line) for line in order.lines)
        order.status = Status.SHIPPED if whole else Status.PART_SHIPPED
        order.shipped_at = order.shipped_at or self.now()
        return whole

    def find_listing(self, shop: Shop, listing_id: str = "", sku_id: str = "", outer_id: str = "") -> Listing | None:
        """Return the listing that has all the ids that were given."""
        if listing_id and sku_id:
            return shop.listings.get((listing_id, sku_id))
        for listing in shop.listings.values():
            wrong = (listing_id and listing.listing_id != listing_id) or (sku_id and listing.sku_id != sku_id)
            if not wrong and (not outer_id or listing.outer_id == outer_id):
                return listing
        return None

    def tell_stock(
        self, shop: Shop, listing: Listing, quantity: int, *, delta: bool = False, key: str = ""
    ) -> StockTold:
        """Take a stock update. The same non-empty `key` again changes nothing; what is forgotten changes nothing."""
        before = listing.stock
        after = before + quantity if delta else quantity
        if after < 0:
            raise Refused("stock below zero")
        repeated = bool(key) and any(told.key == key and not told.forgotten for told in listing.told)
        forgotten = not repeated and self.falls(self.dials[shop.platform].stock_forgotten_percent)
        if repeated or forgotten:
            after = before
        told = StockTold(self.now(), "delta" if delta else "set", quantity, before, after, key, forgotten, repeated)
        listing.stock = after
        listing.told.append(told)
        return told

    # ---- What lists show

    def orders_changed(self, shop: Shop, since: datetime, until: datetime) -> list[PlatformOrder]:
        """Return what changed in [since, until), newest change first, as far as lists show it already."""
        until = self.shown_until(shop.platform, until)
        return list(_between(reversed(shop.by_change.values()), since, until))

    def refunds_changed(self, shop: Shop, since: datetime, until: datetime) -> list[Refund]:
        """Return the refunds that changed in [since, until), newest change first."""
        until = self.shown_until(shop.platform, until)
        found: list[Refund] = []
        for refund in reversed(shop.refunds_by_change.values()):
            if refund.modified_at < since:
                break
            if refund.modified_at < until:
                found.append(refund)
        return found

    def shown_until(self, platform: str, until: datetime) -> datetime:
        """Return where lists end at the moment (`list_lag_s`)."""
        return min(until, self.now() - timedelta(seconds=self.dials[platform].list_lag_s) + timedelta(microseconds=1))

    def shift_page(self, shop: Shop, rows: Sequence[PlatformOrder]) -> None:
        """Play the page shift: after a page was read, the newest rows of its window change, and so leave the window."""
        dials = self.dials[shop.platform]
        left = dials.page_shift_rows
        for order in rows:
            if left < 1:
                return
            if order.page_shifts < dials.page_shift_limit_per_order:
                order.page_shifts += 1
                self.touch(shop, order)
                left -= 1

    def shift_refund_page(self, shop: Shop, rows: Sequence[Refund]) -> None:
        """Play the page shift on a list of refunds."""
        dials = self.dials[shop.platform]
        left = dials.page_shift_rows
        for refund in rows:
            if left < 1:
                return
            if refund.page_shifts < dials.page_shift_limit_per_order:
                refund.page_shifts += 1
                left -= 1
                refund.modified_at = self.now()
                shop.refunds_by_change.pop(refund.refund_id, None)
                shop.refunds_by_change[refund.refund_id] = refund


def _between(newest_first: Iterator[PlatformOrder], since: datetime, until: datetime) -> Iterator[PlatformOrder]:
    for order in newest_first:
        if order.modified_at < since:
            return
        if order.modified_at < until:
            yield order
