"""Six channels sell one scarce SKU while calls, answers and orders are lost, doubled and late; nobody may oversell.

`python -m services.ingestion.tests.exposure_game --runs 10000` plays all of them; a failing seed is printed.
"""

import argparse
import heapq
import random
import sys
from dataclasses import dataclass, field

from services.ingestion.domain import exposure
from services.ingestion.domain.allocation import Policy
from services.ingestion.domain.exposure import DELTA, READ, SET
from services.ingestion.domain.ledger import Channels, Exposure, Listing, Patience

PATIENCE = Patience()
CHANNELS = Channels(
    takes=frozenset({"a", "b", "c", "d", "e", "f"}), delta=frozenset({"d", "e", "f"}), reads=frozenset({"a", "d", "f"})
)
TIMEOUT_MS = 8_000
LAG_LIMIT_MS = PATIENCE.figures_late_ms - 1_000
SKEW_MS = PATIENCE.clock_skew_ms // 2
LENGTH_MS = 400_000
EVENTS_LIMIT = 4_000


class Oversold(AssertionError):
    """The ledger was wrong: more was sold, or may be, than it said."""


@dataclass
class Platform:
    """One platform's truth. Its clock is off by `skew_ms`; while `away_until` nobody reaches it and nobody hears it."""

    channel: str
    offers: int
    skew_ms: int
    lossy: float
    deaf: tuple[int, int]
    sold: int = 0
    unheard: dict[int, int] = field(default_factory=dict)

    def is_away(self, now: int) -> bool:
        return self.deaf[0] <= now < self.deaf[1]


class Game:
    """One seeded run; `play` raises Oversold when the invariant breaks."""

    def __init__(self, seed: int, module=exposure, budget=None) -> None:
        self.dice = random.Random(seed)
        self.ledger = module
        dice = self.dice
        self.budget = dice.choice([0, 0, 0, 2, 10]) if budget is None else budget
        self.supply = self.reserved = 0
        self.waiting: dict[int, int] = {}
        self.gone: set[int] = set()
        # Orders that were short once: they are oversold already, and take what comes in as an own order would.
        self.late: dict[int, int] = {}
        self.late_reserved = 0
        self.heard_reserved = 0
        self.now = 0
        self.queue: list = []
        self.ticket = 0
        self.figures_free_ms = 0
        self.displayed: list[int] = []
        self.began_empty = False
        self.platforms = {}
        listings = []
        shares = [dice.randrange(1, 17) for _ in range(6)]
        for place, channel in enumerate("abcdef"):
            began = dice.randrange(LENGTH_MS)
            away = (began, began + dice.choice([0, 0, 20_000, 90_000]))
            offers = dice.choice([0, 0, 0, 3])
            self.platforms[channel] = Platform(
                channel, offers, dice.randint(-SKEW_MS, SKEW_MS), dice.random() / 3, away
            )
            mode = dice.choice(["share", "share", "fixed", "rest"])
            amount = {"share": shares[place], "fixed": dice.randrange(1, 8), "rest": dice.randrange(3)}[mode]
            policy = Policy(mode=mode, amount=amount, priority=dice.randrange(3))
            listings.append(
                Listing(shop_id=channel, channel=channel, listing_id="L" + channel, listing_sku="S", policy=policy)
            )
        self.row = Exposure(sku="A", budget=self.budget, listings=listings)

    def later(self, delay_ms: int, act, *arguments) -> None:
        self.ticket += 1
        heapq.heappush(self.queue, (self.now + delay_ms, self.ticket, act, arguments))

    def play(self) -> None:
        dice = self.dice
        self.later(0, self.receipt, dice.randrange(5, 40))
        for _ in range(dice.randrange(3)):
            self.later(dice.randrange(LENGTH_MS), self.receipt, dice.randrange(1, 20))
        for _ in range(dice.randrange(30, 120)):
            self.later(dice.randrange(LENGTH_MS), self.buy, dice.choice("abcdef"), dice.randint(1, 3))
        for _ in range(8):
            self.later(dice.randrange(LENGTH_MS), self.change_policy, dice.choice("abcdef"), dice.randrange(0, 10))
        for at in range(0, LENGTH_MS, 4_000):
            self.later(at, self.think)
        for _ in range(EVENTS_LIMIT):
            if not self.queue:
                return
            self.now, _, act, arguments = heapq.heappop(self.queue)
            act(*arguments)
            self.check()
        raise AssertionError("the game does not end")

    # The world

    def receipt(self, units: int) -> None:
        self.supply += units
        self.serve()

    def buy(self, channel: str, units: int) -> None:
        platform = self.platforms[channel]
        if platform.offers < units:
            return
        platform.offers -= units
        platform.sold += units
        self.ticket += 1
        platform.unheard[self.ticket] = self.now
        delay = self.dice.choice([50, 500, 3_000, 20_000])
        if platform.is_away(self.now + delay):
            delay = platform.deaf[1] - self.now + delay
        self.later(delay, self.hear_order, platform, units, self.ticket)
        if self.dice.random() < 0.15:
            after = self.dice.randrange(1_000, 120_000)
            self.later(after, self.cancel, platform, units, self.ticket, self.now + delay + LAG_LIMIT_MS)

    def cancel(self, platform: Platform, units: int, ticket: int, heard_ms: int) -> None:
        """The buyer cancels: most platforms offer the goods again at once."""
        platform.sold -= units
        if self.dice.random() < 0.8:
            platform.offers += units
        at = max(self.now + self.dice.choice([50, 500, 3_000]), heard_ms)
        if platform.is_away(at):
            at = platform.deaf[1] + 50
        self.later(at - self.now, self.hear_cancel, platform, units, ticket)

    def hear_cancel(self, platform: Platform, units: int, ticket: int) -> None:
        self.ledger.restore(self.row, platform.channel, units, self.now)
        self.later(self.dice.randrange(50, LAG_LIMIT_MS // 2), self.release, ticket, units)
        self.think()

    def release(self, ticket: int, units: int) -> None:
        self.gone.add(ticket)
        was_late = self.late.pop(ticket, 0)
        if self.waiting.pop(ticket, None) is None:
            self.reserved -= units
            self.late_reserved -= was_late
            self.serve()

    def hear_order(self, platform: Platform, units: int, ticket: int) -> None:
        sold_ms = platform.unheard.pop(ticket) + platform.skew_ms
        self.ledger.sell(self.row, platform.channel, units, sold_ms, self.now, PATIENCE)
        self.later(self.dice.randrange(50, LAG_LIMIT_MS // 2), self.reserve, ticket, units)
        self.think()

    def reserve(self, ticket: int, units: int) -> None:
        if ticket in self.gone:
            return
        # One that does not fit waits in inventory's own line, is shown there as short, and is in no figure.
        self.waiting[ticket] = units
        self.serve(changed=False)
        if ticket in self.waiting:
            self.late[ticket] = units

    def serve(self, changed: bool = True) -> None:
        """Reserve what fits, and say the new figures once, as inventory does at the end of a batch."""
        for ticket, units in list(self.waiting.items()):
            if self.supply - self.reserved >= units:
                del self.waiting[ticket]
                self.reserved += units
                self.late_reserved += units if ticket in self.late else 0
                changed = True
        if changed:
            self.publish()

    def publish(self) -> None:
        at = max(self.figures_free_ms, self.now + self.dice.randrange(20, LAG_LIMIT_MS // 2 - 100))
        self.figures_free_ms = at
        self.later(at - self.now, self.hear_figures, self.supply, self.reserved, self.late_reserved)

    def hear_figures(self, supply: int, reserved: int, late: int) -> None:
        self.heard_reserved = reserved - late
        self.ledger.hear_figures(self.row, supply - reserved, supply - reserved, self.now)
        self.think()

    def change_policy(self, channel: str, amount: int) -> None:
        for listing in self.row.listings:
            if listing.shop_id == channel:
                listing.policy = Policy(mode="fixed", amount=amount, priority=self.dice.randrange(3))
        self.think()

    # The calls

    def think(self) -> None:
        heard = {}
        for name, platform in self.platforms.items():
            if platform.is_away(self.now):
                oldest = min(platform.unheard.values(), default=platform.deaf[0])
                heard[name] = min(oldest, platform.deaf[0]) + platform.skew_ms
            else:
                heard[name] = min(platform.unheard.values(), default=self.now) + platform.skew_ms
        for push in self.ledger.plan(self.row, heard, self.now, CHANNELS, PATIENCE):
            self.later(self.dice.randrange(1, 200), self.call, push.listing.shop_id, push.flight)

    def call(self, channel: str, flight) -> None:
        dice, platform = self.dice, self.platforms[channel]
        change = (flight.change_id, flight.kind, flight.value)
        if platform.is_away(self.now):
            if dice.random() < 0.5:
                self.later(100, self.answer, change[0], "not done", None)
            else:
                self.later(TIMEOUT_MS, self.answer, change[0], "unknown", None)
            return
        if dice.random() >= platform.lossy:
            took = dice.randrange(1, 3_000)
            self.later(took, self.apply, platform, change, True)
            return
        fate = dice.choice(["request lost", "answer lost", "refused", "late"])
        if fate == "refused":
            self.later(200, self.answer, change[0], "not done", None)
            return
        if fate == "answer lost":
            self.later(dice.randrange(1, TIMEOUT_MS - 1), self.apply, platform, change, False)
        if fate == "late":  # applied at once, answered after we gave up waiting
            self.apply(platform, change, False)
            self.later(TIMEOUT_MS + 5_000, self.answer, change[0], "done", change[2])
        self.later(TIMEOUT_MS, self.answer, change[0], "unknown", None)

    def apply(self, platform: Platform, change, answers: bool) -> None:
        change_id, kind, value = change
        if kind == SET:
            platform.offers = value
        elif kind == DELTA:
            platform.offers = max(0, platform.offers + value)
        read = platform.offers if kind == READ else None
        if answers:
            delay = self.dice.randrange(1, 1_000)
            self.later(delay, self.answer, change_id, "done", read)
            if self.dice.random() < platform.lossy:
                self.later(delay + self.dice.choice([1, 40_000]), self.answer, change_id, "done", read)

    def answer(self, change_id: str, outcome: str, read: int | None) -> None:
        self.ledger.answered(self.row, change_id, outcome, read, self.now, PATIENCE)
        self.think()

    # What must hold

    def check(self) -> None:
        sold = sum(platform.sold for platform in self.platforms.values())
        offers = sum(platform.offers for platform in self.platforms.values())
        shown = self.ledger.bound(self.row)
        if shown is None:
            return
        unaccounted = sold - self.heard_reserved - sum(self.late.values())
        actual, at_worst = unaccounted - self.row.atp, unaccounted + offers - self.row.atp
        self.displayed.append(shown)
        if max(0, actual, at_worst) > shown:
            raise Oversold(f"sold {actual} beyond the figures, {at_worst} at worst, {shown} displayed")
        if self.began_empty and at_worst > self.budget:
            raise Oversold(f"{at_worst} may be oversold, the budget is {self.budget}")


def play(seed: int, module=exposure, budget=None, offers=None) -> Game:
    """Play one run; with `offers` every platform begins with that number."""
    game = Game(seed, module, budget)
    game.began_empty = offers == 0
    if offers is not None:
        for platform in game.platforms.values():
            platform.offers = offers
    game.play()
    if game.budget == 0 and offers == 0:
        sold = sum(platform.sold for platform in game.platforms.values())
        if sold > game.supply or game.waiting:
            raise Oversold(f"sold {sold} of {game.supply}")
    return game


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int)
    asked = parser.parse_args()
    sold = supply = 0
    for seed in [asked.seed] if asked.seed is not None else range(asked.runs):
        try:
            games = [play(seed), play(seed, budget=0, offers=0), play(seed, budget=5, offers=0)]
        except Oversold as wrong:
            sys.stdout.write(f"seed {seed}: {wrong}\n")
            return 1
        sold += sum(platform.sold for platform in games[1].platforms.values())
        supply += games[1].supply
    words = "never more than displayed, none oversold at budget 0"
    sys.stdout.write(f"{asked.runs} runs with three budgets each: {words}, {sold} of {supply} units sold\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
