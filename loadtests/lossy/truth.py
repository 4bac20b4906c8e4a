"""Compares what the platforms' books say with what arrived: missing, doubled, too early a promise, uploads."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

PERCENTILE = 0.99


def moment(text: str | None) -> datetime | None:
    """Read a moment of the books or of an answer."""
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))


def order_id_of(platform: str, shop_id: str, platform_order_id: str) -> str:
    """Return the order's name in our words."""
    return f"{platform}.{shop_id}.{platform_order_id}"


@dataclass
class Booked:
    """An order as its platform's books have it."""

    order_id: str
    platform: str
    shop_id: str
    paid_at: datetime
    status: str = ""
    firsts: int = 0
    repeats: int = 0
    corrections: int = 0
    first_upload_at: datetime | None = None


@dataclass
class Timeline:
    """Which simulated moment was which real one: every step of the clock, and the time in which it was hurried."""

    steps: list[tuple[datetime, float]] = field(default_factory=list)
    hurries: list[tuple[datetime, datetime]] = field(default_factory=list)

    def step(self, at: datetime, seconds: float) -> None:
        """Note that the clock was moved ahead at this simulated moment."""
        self.steps.append((at, seconds))

    def real(self, moment: datetime) -> datetime:
        """Return the real moment."""
        return moment - timedelta(seconds=sum(seconds for at, seconds in self.steps if at < moment))

    def hurried(self, moment: datetime) -> bool:
        """Tell whether the clock was being moved about then."""
        return any(began <= moment <= ended for began, ended in self.hurries)

    def touches(self, since: datetime, until: datetime) -> bool:
        """Tell whether the clock was being moved, and so a platform was away, anywhere in between."""
        return any(began <= until and since <= ended for began, ended in self.hurries)


@dataclass
class Truth:
    """All that the books ever told, and all that was heard on our side."""

    booked: dict[str, Booked] = field(default_factory=dict)
    durable: set[str] = field(default_factory=set)
    placed: Counter[str] = field(default_factory=Counter)
    cancelled: set[str] = field(default_factory=set)
    seen_at: dict[str, datetime] = field(default_factory=dict)
    shipped_at: dict[str, datetime] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    checks: int = 0

    def book(self, platform: str, shop_id: str, entries: Iterable[Mapping[str, Any]]) -> None:
        """Take in changed orders of a shop's books; orders that nobody has paid say nothing."""
        for entry in entries:
            paid_at = moment(entry["paid_at"])
            if paid_at is None:
                continue
            order_id = order_id_of(platform, shop_id, entry["order_id"])
            kinds = Counter(upload["kind"] for upload in entry["uploads"])
            firsts = [upload["at"] for upload in entry["uploads"] if upload["kind"] == "first"]
            self.booked[order_id] = Booked(
                order_id=order_id,
                platform=platform,
                shop_id=shop_id,
                paid_at=paid_at,
                status=entry["status"],
                firsts=kinds["first"],
                repeats=kinds["repeated"],
                corrections=kinds["corrected"],
                first_upload_at=moment(firsts[0]) if firsts else None,
            )

    def hear(self, order_id: str, at: datetime) -> None:
        """Note one OrderPlaced, each number of each writer once."""
        self.placed[order_id] += 1
        self.durable.add(order_id)
        self.seen_at.setdefault(order_id, at)

    def suspects(self, complete: Mapping[str, datetime]) -> list[Booked]:
        """Return the orders paid before their shop's T that are not known to be durable."""
        return [
            order
            for order in self.booked.values()
            if order.order_id not in self.durable
            and order.shop_id in complete
            and order.paid_at < complete[order.shop_id]
        ]

    def check(self, complete: Mapping[str, datetime], stored: Iterable[str]) -> None:
        """Judge one reading of every shop's T; `stored`: which suspects the database holds after all."""
        self.durable.update(stored)
        self.checks += 1
        for order in self.suspects(complete):
            known = f"{order.order_id} paid {order.paid_at.isoformat()}, T {complete[order.shop_id].isoformat()}"
            self.violations.append(known)

    @property
    def missing(self) -> list[str]:
        """Paid orders that no OrderPlaced tells of."""
        return sorted(set(self.booked) - set(self.placed))

    @property
    def doubled(self) -> list[str]:
        """Orders that were placed more than once."""
        return sorted(order_id for order_id, times in self.placed.items() if times > 1)

    @property
    def invented(self) -> list[str]:
        """Orders here that no platform's books know as paid."""
        return sorted(set(self.placed) - set(self.booked))

    @property
    def to_upload(self) -> list[Booked]:
        """Shipped orders that the platform was to hear of: those that it closed before it heard count as told."""
        return [
            self.booked[order_id]
            for order_id in self.shipped_at
            if order_id in self.booked and not self._closed_first(self.booked[order_id])
        ]

    @property
    def not_uploaded_once(self) -> list[str]:
        """Shipped orders whose first upload the books do not have exactly once, or have under another waybill."""
        return sorted(o.order_id for o in self.to_upload if o.firsts != 1 or o.corrections)

    @property
    def closed_first(self) -> int:
        """Shipped orders that the buyer's cancellation or refund closed on the platform before it was told."""
        return sum(1 for o in self.shipped_at if o in self.booked and self._closed_first(self.booked[o]))

    @staticmethod
    def _closed_first(order: Booked) -> bool:
        return order.status == "closed" and order.firsts == 0

    def arrival_s(self, timeline: Timeline, platform: str = "", away: str = "") -> list[float]:
        """Return the real seconds from payment to when the placed order could be read, of orders paid while the
        simulated clock ran as fast as the real one; those of `away` only if it was there all that time."""
        return sorted(
            (timeline.real(self.seen_at[o.order_id]) - timeline.real(o.paid_at)).total_seconds()
            for o in self.booked.values()
            if o.order_id in self.seen_at
            and platform in ("", o.platform)
            and not timeline.hurried(o.paid_at)
            and not (o.platform == away and timeline.touches(o.paid_at, self.seen_at[o.order_id]))
        )

    def upload_s(self, timeline: Timeline, platform: str = "") -> list[float]:
        """Return the real seconds from shipping to the platform's own note of it, the hurried time left out."""
        return sorted(
            (timeline.real(o.first_upload_at) - timeline.real(self.shipped_at[o.order_id])).total_seconds()
            for o in self.to_upload
            if o.first_upload_at is not None
            and platform in ("", o.platform)
            and not timeline.hurried(self.shipped_at[o.order_id])
        )


def percentile(ordered: list[float], share: float = PERCENTILE) -> float | None:
    """Return the value that this share of a sorted list does not exceed."""
    return None if not ordered else ordered[min(len(ordered) - 1, int(len(ordered) * share))]
