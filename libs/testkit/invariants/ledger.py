"""Folds the ledger entry by entry, as they were written: sums, prefixes, causes and what each order still holds."""

from bisect import bisect_left, bisect_right
from datetime import datetime
from typing import NamedTuple

import msgspec

from libs.testkit.invariants.findings import Seen
from libs.testkit.invariants.stories import CANCELLED, MASK, SHIPPED, ParcelStory, Stories, Story, order_of

ON_HAND, PROMISED, OWED, INBOUND = "on_hand", "reserved", "assigned", "inbound"
PERCENT = 100
# Ledger causes by their last word, for orders and parcels.
ORDER_CAUSES = ("reserved", "released")
PARCEL_CAUSES = ("assigned", "shipped", "found", "cancelled")
DOCUMENT_CAUSES = ("receipt", "count", "inbound", "transfer")


class Policy(NamedTuple):
    """What a SKU's promises may lean on beyond what is there, from a time on."""

    allowance: int
    sellable_inbound_percent: int


class Documents(msgspec.Struct):
    """The accepted commands that may change stock: what operators wrote down.

    `policies` are by SKU, in order of time. `receipts` maps a receipt to the announced shipment it belongs to.
    """

    receipts: dict[str, str | None] = {}
    received_units: int = 0
    counts: set[str] = set()
    inbound_yields: dict[str, int] = {}
    transfers: set[str] = set()
    policies: dict[str, list[tuple[datetime, Policy]]] = {}


class Book(msgspec.Struct, gc=False):
    """One SKU's figures so far."""

    reserved: int = 0
    total: int = 0
    in_transit: int = 0
    inbound: int = 0
    points: int = 0
    released_by: str = ""
    before_release: int = 0
    on_hand: dict[str, int] = {}
    assigned: dict[str, int] = {}


class LedgerFold:
    """Takes entries in the order of their numbers; what is wrong goes to `seen` under the invariant it breaks."""

    def __init__(self, stories: Stories, documents: Documents, seen: Seen) -> None:
        self.rows = 0
        self.promises = 0
        self.books: dict[str, Book] = {}
        self.on_hand_by_cause: dict[str, int] = {}
        self.legs: dict[tuple[str, str], int] = {}
        self.causes = 0
        self._stories = stories
        self._documents = documents
        self._seen = seen
        self._cause = ""
        self._word = ""
        self._id = ""
        self._story: Story | None = None
        self._parcel: ParcelStory | None = None

    def take(self, cause: str, sku: str, warehouse: str, kind: str, delta: int, at: datetime) -> None:
        """Take in one entry."""
        self.rows += 1
        if cause != self._cause:
            self._open(cause)
        book = self.books.get(sku)
        if book is None:
            book = self.books[sku] = Book()
        if kind == PROMISED:
            self._promised(book, sku, delta, at)
        elif kind == OWED:
            self._owed(book, sku, warehouse, delta)
        elif kind == ON_HAND:
            self._moved(book, sku, warehouse, delta)
        elif kind == INBOUND:
            self._expected(book, sku, delta)
        else:
            self._seen["I-1"].add(f"{cause}: an entry of kind {kind!r}, which no figure has")

    # -- figures -----------------------------------------------------------------------------------------------------

    def _promised(self, book: Book, sku: str, delta: int, at: datetime) -> None:
        after = book.reserved + delta
        if delta > 0:
            self.promises += 1
            again = book.before_release if book.released_by == self._id else 0
            if after > max(self._backing(book, sku, at), again):
                self._seen["I-2"].add(
                    f"{self._cause}: {after} of {sku} are promised, {self._backing(book, sku, at)} are there to promise"
                )
            book.released_by = ""
        elif self._word == "released":
            # An amended order gives back and takes again in one decision: what it had may not be there any more.
            book.released_by, book.before_release = self._id, book.reserved
        if after < 0:
            self._seen["I-2"].add(f"{self._cause}: reserved units of {sku} fall to {after}")
        book.reserved = after
        self._hold(sku, delta)

    def _owed(self, book: Book, sku: str, warehouse: str, delta: int) -> None:
        after = book.assigned[warehouse] = book.assigned.get(warehouse, 0) + delta
        there = book.on_hand.get(warehouse, 0)
        if after < 0 or (delta > 0 and after > there):
            self._seen["I-2"].add(f"{self._cause}: {warehouse} owes {after} of {sku} and has {there}")

    def _moved(self, book: Book, sku: str, warehouse: str, delta: int) -> None:
        after = book.on_hand[warehouse] = book.on_hand.get(warehouse, 0) + delta
        book.total += delta
        book.released_by = ""
        word = self._word
        self.on_hand_by_cause[word] = self.on_hand_by_cause.get(word, 0) + delta
        if after < 0:
            self._seen["I-2"].add(f"{self._cause}: {warehouse} has {after} of {sku}")
        if (delta < 0 and word in ("receipt", "found", "received")) or (delta > 0 and word in (SHIPPED, "sent")):
            self._seen["I-3"].add(f"{self._cause}: {delta} of {sku} is the wrong way round")
        if word in ("sent", "received"):
            self._leg(sku, delta)
        elif word == SHIPPED and self._parcel is not None:
            self._parcel.taken_units -= delta

    def _expected(self, book: Book, sku: str, delta: int) -> None:
        book.inbound += delta
        if book.inbound < 0:
            self._seen["I-2"].add(f"{self._cause}: inbound units of {sku} fall to {book.inbound}")
        word = self._word
        if word in ("sent", "received", "lost"):
            book.in_transit += delta
            if word != "lost":
                self._leg(sku, delta)
            elif delta > 0:
                self._seen["I-3"].add(f"{self._cause}: {delta} of {sku} is the wrong way round")
            return
        inbound_id = self._id if word == "inbound" else self._documents.receipts.get(self._id) or ""
        book.points += delta * self._documents.inbound_yields.get(inbound_id, 0)

    def _leg(self, sku: str, delta: int) -> None:
        key = (self._cause, sku)
        left = self.legs.pop(key, 0) + delta
        if left:
            self.legs[key] = left

    def _backing(self, book: Book, sku: str, at: datetime) -> int:
        """Return what promises may lean on; of policies that changed in the same batch the widest counts."""
        found = book.total + book.in_transit
        changes = self._documents.policies.get(sku)
        if not changes:
            return found
        first = max(0, bisect_left(changes, at, key=lambda change: change[0]) - 1)
        end = bisect_right(changes, at, key=lambda change: change[0])
        return found + max(
            (
                policy.allowance + book.points * policy.sellable_inbound_percent // (PERCENT * PERCENT)
                for _, policy in changes[first:end]
            ),
            default=0,
        )

    def _hold(self, sku: str, delta: int) -> None:
        story = self._story
        if story is None:
            return
        story.held_units += delta
        story.held_skus = (story.held_skus + hash(sku) * delta) & MASK
        if story.held_units < 0:
            self._seen["I-12"].add(f"{self._cause}: {story.order_id} gives back more than it holds")

    # -- causes ------------------------------------------------------------------------------------------------------

    def _open(self, cause: str) -> None:
        """Look up what the next entries follow from."""
        self._cause = cause
        self._story = self._parcel = None
        self.causes += 1
        subject, _, word = cause.rpartition("/")
        head, _, rest = cause.partition("/")
        if head in DOCUMENT_CAUSES and rest:
            known = self._document(head, rest, word)
        elif word in ORDER_CAUSES:
            known = self._order(subject, word)
        elif word in PARCEL_CAUSES:
            known = self._of_parcel(subject, word)
        else:
            known, self._word, self._id = False, word, subject
        if not known:
            self._seen["I-4"].add(f"{cause}: nothing that any service heard or was asked explains this entry")

    def _document(self, head: str, rest: str, word: str) -> bool:
        documents = self._documents
        if head == "transfer":
            self._id, _, self._word = rest.rpartition("/")
            return self._word in ("sent", "received", "lost") and self._id in documents.transfers
        self._word = head
        self._id = rest.removesuffix("/closed") if head == "receipt" else rest
        known = {"receipt": documents.receipts, "count": documents.counts, "inbound": documents.inbound_yields}[head]
        return self._id in known

    def _order(self, subject: str, word: str) -> bool:
        order_id, _, number = subject.rpartition("@")
        self._word, self._id = word, order_id
        story = self._story = self._stories.get(order_id)
        if story is None or not number.isdigit():
            return False
        version = int(number)
        if word == "reserved":
            return 1 <= version <= story.version
        return story.requests > 0 or story.risk == "rejected" or story.version > version

    def _of_parcel(self, parcel_id: str, word: str) -> bool:
        order_id = order_of(parcel_id)
        self._word, self._id = word, order_id
        story = self._story = self._stories.get(order_id)
        parcel = None if story is None else story.parcels.get(parcel_id)
        if parcel is None:
            return False
        self._parcel = parcel
        if word in (SHIPPED, CANCELLED):
            if parcel.booked not in ("", word):
                self._seen["I-15"].add(f"{parcel_id} is booked as {word} after it was booked as {parcel.booked}")
            parcel.booked = word
            return parcel.task == word
        return parcel.planned if word == "assigned" else parcel.task == SHIPPED
