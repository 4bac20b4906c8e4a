"""Plays buyers: real orders at a rate, some unpaid, cancelled, refunded or sent elsewhere, as the mix says."""

import asyncio
import heapq
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from simulators.goods import real_orders, receiver_of
from simulators.market import Market, Want
from simulators.model import PlatformOrder, RefundStatus, Shop
from simulators.quirks import Percent, Seconds
from simulators.registry import Refused

STEP_S = 0.01
BURST_LIMIT_ORDERS = 500


@dataclass(frozen=True)
class Mix:
    """How buyers behave, in per cent of orders; times in simulated seconds after payment."""

    unpaid_percent: Percent = 0
    pay_after_s: Seconds = 0
    cancel_percent: Percent = 0  # closes the paid order
    refund_percent: Percent = 0  # asks for all of it back, before or after shipping
    refund_granted: bool = True  # the platform pays soon after
    part_refund_percent: Percent = 0  # asks for one line's money
    address_percent: Percent = 0
    risky_percent: Percent = 0  # the platform checks the order itself for a while (Pinduoduo)
    act_after_s: Seconds = 5
    discount_percent: Percent = 20  # orders with a discount of the merchant's or of the platform's
    note_percent: Percent = 5


@dataclass(order=True)
class _Act:
    due_s: float
    number: int
    do: Callable[[], None] = field(compare=False)


class Buyers:
    """One crowd of buyers. `play` runs until `count` orders are placed and all they do afterwards is done."""

    def __init__(self, market: Market, shops: Sequence[Shop], mix: Mix, seed: int) -> None:
        if not shops:
            raise Refused("no shops")
        self.market = market
        self.shops = list(shops)
        self.mix = mix
        self.dice = random.Random(seed)
        self.placed = 0
        self.done: Counter[str] = Counter()
        self._acts: list[_Act] = []
        self._number = 0
        self._first = self.dice.randrange(len(real_orders()))

    async def play(self, rate_per_s: float, count: int) -> None:
        """Place `count` orders at a rate of orders in a real second; 0 orders: until cancelled."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while not count or self.placed < count or self._acts:
            due = int((loop.time() - began_s) * rate_per_s) - self.placed
            if count:
                due = min(due, count - self.placed)
            for _order in range(min(due, BURST_LIMIT_ORDERS)):
                self.place_one()
            self.act()
            await asyncio.sleep(STEP_S)

    def place_one(self) -> PlatformOrder | None:
        """Place the next real order in the next shop; None: it was sold out."""
        shop = self.shops[self.placed % len(self.shops)]
        real = real_orders()[(self._first + self.placed) % len(real_orders())]
        self.placed += 1
        by_sku = {listing.outer_id: listing for listing in shop.listings.values()}
        wants = [Want(by_sku[line.sku], line.quantity) for line in real.lines if line.sku in by_sku]
        if not wants:
            wants = [Want(self.dice.choice(list(shop.listings.values())), 1)]
        wants[0] = self._discounted(wants[0])
        risky = self._falls(self.mix.risky_percent)
        note = "请周末送货，谢谢" if self._falls(self.mix.note_percent) else ""
        buyer_id = f"b{real.buyer or real.number}"
        receiver = receiver_of(self.placed if not real.buyer else int(real.buyer))
        try:
            order = self.market.place(shop, wants, receiver, buyer_id=buyer_id, note=note, risky=risky)
        except Refused:
            self.done["sold out"] += 1
            return None
        self.done["placed"] += 1
        if not self._falls(self.mix.unpaid_percent):
            self._after(self.mix.pay_after_s, "paid", lambda: self._pay(shop, order))
        return order

    def act(self) -> None:
        """Do what buyers meant to do by now."""
        now_s = self.market.clock.now_s()
        while self._acts and self._acts[0].due_s <= now_s:
            heapq.heappop(self._acts).do()

    def _pay(self, shop: Shop, order: PlatformOrder) -> None:
        self.market.pay(shop, order)
        mix, market = self.mix, self.market
        if order.risky:
            self._after(mix.act_after_s, "risk cleared", lambda: market.clear_risk(shop, order))
        if self._falls(mix.address_percent):
            other = receiver_of(self.placed + 31)
            self._after(mix.act_after_s, "address", lambda: market.change_address(shop, order, other))
        if self._falls(mix.cancel_percent):
            self._after(mix.act_after_s, "cancelled", lambda: market.cancel(shop, order))
        elif self._falls(mix.refund_percent):
            self._after(mix.act_after_s, "refund asked", lambda: self._refund(shop, order, ""))
        elif self._falls(mix.part_refund_percent):
            line_id = order.lines[0].line_id if len(order.lines) > 1 else ""
            self._after(mix.act_after_s, "part refund asked", lambda: self._refund(shop, order, line_id))

    def _refund(self, shop: Shop, order: PlatformOrder, line_id: str) -> None:
        refund = self.market.ask_refund(shop, order, line_id=line_id)
        if self.mix.refund_granted:
            done = RefundStatus.SUCCEEDED
            self._after(self.mix.act_after_s, "refunded", lambda: self.market.settle_refund(shop, refund, done))

    def _discounted(self, want: Want) -> Want:
        if not self._falls(self.mix.discount_percent):
            return want
        most_fen = want.listing.price_fen * want.quantity // 5
        amount_fen = self.dice.randint(0, most_fen)
        if self.dice.random() < 0.5:
            return Want(want.listing, want.quantity, merchant_discount_fen=amount_fen)
        return Want(want.listing, want.quantity, platform_discount_fen=amount_fen)

    def _falls(self, percent: float) -> bool:
        return percent > 0 and self.dice.random() * 100 < percent

    def _after(self, seconds: float, what: str, do: Callable[[], None]) -> None:
        def counted() -> None:
            try:
                do()
            except Refused:
                self.done[f"not {what}"] += 1
            else:
                self.done[what] += 1

        self._number += 1
        due_s = self.market.clock.now_s() + seconds
        if seconds <= 0:
            counted()
        else:
            heapq.heappush(self._acts, _Act(due_s, self._number, counted))
