"""Decides what is asked of a platform after a hint: each document once at a time, again when it changed meanwhile."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from contracts.orders import OrderPlaced, RefundRequested
from libs.decide import Delivered, Output, Reply, Send, State, problem
from services.ingestion.domain.orders import PlaceOrder, Verdict, deliver
from services.ingestion.domain.refunds import ENDED_FOR_NOTHING, WAITS, WHAT_TO_DO, RequestRefund, refund, take_back
from services.ingestion.domain.subjects import (
    FETCH,
    ORDER,
    DocumentHeard,
    HearPage,
    ParkedDocument,
    Push,
    RetryParked,
    Said,
    Subject,
    TakeDocument,
    TakeHints,
    order_numbers,
)
from services.ingestion.domain.watermark import Progress, opened, resolved

# A platform tells times in seconds: what is read this long after a change was told of is surely the changed document,
# and several pushes about one order in a row cost one call.
FETCH_DELAY = timedelta(seconds=1)
# A list without times of change names mostly what is here already: orders that are not go first.
CONFIRM_DELAY = timedelta(seconds=10)
SETTLED_AFTER = timedelta(seconds=1)
CLOCKS_DIFFER = timedelta(seconds=6)  # a platform's clock and ours, and the second in which a change may be told
PATIENCE = timedelta(seconds=5)
ORDER_WAITS_LIMIT = 60
# A platform's documents may come from a copy that runs behind its lists. Half a minute is patience enough for a copy,
# and few calls for a platform whose documents never show the change.
CHANGE_WAITS_LIMIT = 6
MESSAGE_IDS_KEPT_LIMIT = 16
REASON_LIMIT_CHARACTERS = 300
# Stands in a parked document's `field` where no field is at fault, but a person has to act.
REFUND_WITHDRAWN = "refund withdrawn"


def take_hints(command: TakeHints, state: State, now: datetime) -> list[Output]:
    """Keep the push, take its documents, and ask for what it hints at; a message heard before changes nothing."""
    outputs: list[Output] = []
    fresh = 0
    for hint in command.hints:
        subject = _subject(state, command.shop_id, command.channel, hint.about, hint.subject_id)
        if hint.message_id and hint.message_id in subject.message_ids:
            continue
        fresh += 1
        if hint.message_id:
            subject.message_ids = [*subject.message_ids, hint.message_id][-MESSAGE_IDS_KEPT_LIMIT:]
        outputs += _want(subject, now, now + FETCH_DELAY)
        state.put(subject)
    for document in command.documents:
        subject = _subject(state, command.shop_id, command.channel, document.about, document.subject_id)
        outputs += _whole(subject, document, command.read_at, state, now)
        fresh += 1
    if fresh:
        push = Push(
            push_id=command.push_id,
            shop_id=command.shop_id,
            source=command.source,
            hints=len(command.hints) + len(command.documents),
            received_at=now,
            raw_sealed=command.raw_sealed,
        )
        state.append(push)
    return [*outputs, Reply(status=202, body={"fresh": fresh})]


def hear_page(command: HearPage, state: State, now: datetime) -> list[Output]:
    """Ask for what is not yet known as of the change that is listed; what came whole is taken at once."""
    progress = state.get(Progress, command.shop_id)
    if progress is None:
        return [problem(404, "no such shop on a platform", field="shop_id")]
    whole = {document.subject_id: document for document in command.documents}
    outputs: list[Output] = []
    wanted = 0
    for row in command.listed:
        subject = _subject(state, command.shop_id, command.channel, command.about, row.subject_id)
        if is_known(subject, row.modified_at, row.bound):
            continue
        document = whole.get(row.subject_id)
        if document is not None and not subject.pending:
            outputs += _whole(subject, document, command.read_at, state, now)
            continue
        wanted += 1
        if command.step is not None and subject.open_step is None:
            subject.open_step = opened(progress, command.step)
            state.put(progress)
        if not _is_asked(subject, row.modified_at):
            subject.listed_at = _later(subject.listed_at, row.modified_at)
            if not row.bound:
                subject.change_at = _later(subject.change_at, row.modified_at)
            confirms = row.bound and subject.read_at is not None
            outputs += _want(subject, now, now + CONFIRM_DELAY if confirms else None)
        state.put(subject)
    return [*outputs, Reply(body={"wanted": wanted})]


def take_document(command: TakeDocument, state: State, now: datetime) -> list[Output]:
    """Take what was fetched: decide what it says, or park it; either way nothing else waits for it."""
    document = command.document
    subject = _subject(state, command.shop_id, command.channel, document.about, document.subject_id)
    if command.fetch_no != subject.fetch_no:
        return [Reply(body={"taken": False})]
    waited = subject.waits
    outputs, waits = _take(subject, document, command.read_at, state, now)
    if waits and waited < ORDER_WAITS_LIMIT:
        # Its order is asked for, and then the refund once more; `again` keeps the call from counting as done.
        subject.waits = waited + 1
        subject.again = True
        outputs += _want_order(document, subject, state, now)
    elif waits:
        _park(subject, "order", "its order is not here", document.raw_sealed, state, now)
    elif not subject.again and _runs_behind(subject, document):
        if waited < CHANGE_WAITS_LIMIT:
            subject.waits = waited + 1
            subject.again = True
        elif not subject.parked:
            _park(subject, "modified", "the list tells of a later change", document.raw_sealed, state, now)
    if not subject.again:
        _resolve(subject, state)
    state.put(subject)
    return [*outputs, Reply(body={"taken": True})]


def fetched(delivered: Delivered, state: State, now: datetime) -> list[Output]:
    """A call has ended: ask again if something changed meanwhile; what the platform refuses for good is parked."""
    place = (delivered.body["shop_id"], delivered.body["about"], delivered.body["subject_id"])
    subject = state.get(Subject, *place)
    if subject is None or delivered.body["fetch_no"] != subject.fetch_no:
        return []
    outputs: list[Output] = []
    if subject.again:
        outputs.append(_send(subject, now + (PATIENCE if subject.waits else FETCH_DELAY)))
    else:
        subject.pending = False
        subject.pending_since = None
        if not delivered.ok:
            _park(subject, "", delivered.detail, "", state, now)
            _resolve(subject, state)
    state.put(subject)
    return outputs


def retry_parked(command: RetryParked, state: State, now: datetime) -> list[Output]:
    """Ask for a parked document once more; it stays parked until it could be taken, or was only there to be seen."""
    parked = state.get(ParkedDocument, command.shop_id, command.about, command.subject_id)
    subject = state.get(Subject, command.shop_id, command.about, command.subject_id)
    if parked is None or subject is None:
        return [problem(404, "no such parked document")]
    subject.waits = 0
    if parked.field == REFUND_WITHDRAWN:
        subject.parked = False
        state.delete(parked)
    outputs = _want(subject, now, None)
    state.put(subject)
    return [*outputs, Reply(status=202, body={"shop_id": command.shop_id, "subject_id": command.subject_id})]


def is_known(subject: Subject, modified_at: datetime | None, bound: bool = False) -> bool:
    """Tell whether the document was read as it is since a change: one read in the same second may be older.

    A `bound` is no time of change, only later than it by our clock; what was read well after it holds the change.
    """
    if modified_at is None:
        return subject.read_at is not None
    if bound:
        return subject.read_at is not None and subject.read_at >= modified_at + CLOCKS_DIFFER
    if subject.known_at is None or subject.known_at < modified_at or subject.read_at is None:
        return False
    return subject.known_at > modified_at or subject.read_at >= modified_at + SETTLED_AFTER


def _is_asked(subject: Subject, modified_at: datetime | None) -> bool:
    """Tell whether the call under way was made for this very change, seen before."""
    if not subject.pending or modified_at is None:
        return subject.pending
    return subject.listed_at is not None and subject.listed_at >= modified_at


def _runs_behind(subject: Subject, document: DocumentHeard) -> bool:
    """Tell whether the newest document is older than a change that a list told of, though both are dated."""
    return document.modified_at is not None and _is_older(subject.modified_at, subject.change_at)


def _subject(state: State, shop_id: str, channel: str, about: str, subject_id: str) -> Subject:
    known = state.get(Subject, shop_id, about, subject_id)
    return known or Subject(shop_id=shop_id, about=about, subject_id=subject_id, channel=channel)


def _want(subject: Subject, now: datetime, not_before: datetime | None) -> list[Output]:
    if subject.pending:
        subject.again = True
        return []
    subject.pending = True
    subject.pending_since = now
    return [_send(subject, not_before)]


def _send(subject: Subject, not_before: datetime | None) -> Send:
    subject.again = False
    subject.fetch_no += 1
    place = {"shop_id": subject.shop_id, "about": subject.about, "subject_id": subject.subject_id}
    return Send(
        destination=FETCH + subject.channel,
        send_id=f"{subject.shop_id}/{subject.about}/{subject.subject_id}/{subject.fetch_no}",
        key=subject.subject_id,
        body={**place, "fetch_no": subject.fetch_no},
        not_before=not_before,
    )


def _want_order(
    document: DocumentHeard, subject: Subject, state: State, now: datetime, *, again: bool = False
) -> list[Output]:
    """Ask for the orders that a refund is about: their own pushes may have been lost.

    With `again` also for one that is being asked for: what comes may be older than the refund.
    """
    outputs: list[Output] = []
    for number in order_numbers(document.said):
        order = _subject(state, subject.shop_id, subject.channel, ORDER, number)
        if again or not order.pending:
            outputs += _want(order, now, None)
            state.put(order)
    return outputs


def _whole(subject: Subject, document: DocumentHeard, read_at: datetime, state: State, now: datetime) -> list[Output]:
    """Take a document that came by itself; while a call is under way, that call is repeated and has the last word."""
    outputs, waits = _take(subject, document, read_at, state, now)
    if subject.pending or waits:
        outputs += _want(subject, now, now + FETCH_DELAY)
    else:
        _resolve(subject, state)
    state.put(subject)
    return outputs


def _take(
    subject: Subject, document: DocumentHeard, read_at: datetime, state: State, now: datetime
) -> tuple[list[Output], bool]:
    """Decide what a document says; returns also whether it waits for an order that is not here."""
    if _is_older(document.modified_at, subject.modified_at):
        return [], False
    subject.modified_at = _later(subject.modified_at, document.modified_at)
    subject.read_at = _later(subject.read_at, read_at)
    if document.refused_reason:
        _park(subject, document.refused_field, document.refused_reason, document.raw_sealed, state, now)
        return [], False
    outputs: list[Output] = []
    waits = False
    for each in document.said:
        said, reply = _decide(each, document.raw_sealed, state, now)
        if "field" in reply.body:
            # It can be read but not taken: a person has to look at the field that is named.
            _park(subject, reply.body["field"], reply.body["title"], document.raw_sealed, state, now)
            return outputs, False
        outputs += said
        waits = waits or reply.body.get("status") == WAITS
        if reply.body.get("status") == ENDED_FOR_NOTHING:
            # Such a document says nothing else, and its notice stays.
            _tell(subject, document, reply.body["new"], state, now)
            return outputs, False
    if not waits:
        _unpark(subject, outputs, state)
    if any(isinstance(each, RefundRequested) and each.line_ids for each in outputs):
        # The lines leave the order by its own new content, which may not have been told of.
        outputs += _want_order(document, subject, state, now, again=True)
    return outputs, waits


def _decide(said: Said, raw_sealed: str, state: State, now: datetime) -> Verdict:
    if isinstance(said, RequestRefund):
        return refund(said, state, now)
    whole = replace(said, raw_sealed=raw_sealed)
    if isinstance(whole, PlaceOrder) and whole.asked_back:
        return take_back(whole, state, now)
    return deliver(whole, state, now)


def _tell(subject: Subject, document: DocumentHeard, new: bool, state: State, now: datetime) -> None:
    """Show once, where operators look, that an order ended for a refund that nobody wants any more.

    It is shown again only where the document could not be read in between, and other words took its place.
    """
    parked = state.get(ParkedDocument, subject.shop_id, subject.about, subject.subject_id)
    if new or (parked is not None and parked.field != REFUND_WITHDRAWN):
        _park(subject, REFUND_WITHDRAWN, WHAT_TO_DO, document.raw_sealed, state, now)


def _park(subject: Subject, field: str, reason: str, raw_sealed: str, state: State, now: datetime) -> None:
    known = state.get(ParkedDocument, subject.shop_id, subject.about, subject.subject_id)
    parked = ParkedDocument(
        shop_id=subject.shop_id,
        about=subject.about,
        subject_id=subject.subject_id,
        channel=subject.channel,
        field=field,
        reason=reason[:REASON_LIMIT_CHARACTERS],
        raw_sealed=raw_sealed or (known.raw_sealed if known else ""),
        attempts=known.attempts + 1 if known else 1,
        parked_at=known.parked_at if known else now,
    )
    subject.parked = True
    state.put(parked)


def _unpark(subject: Subject, outputs: Sequence[Output], state: State) -> None:
    """Let a document go that could be taken; count an order that comes after it should have been here."""
    subject.waits = 0
    if subject.parked:
        subject.parked = False
        parked = state.get(ParkedDocument, subject.shop_id, subject.about, subject.subject_id)
        if parked is not None:
            state.delete(parked)
        return
    progress = state.get(Progress, subject.shop_id)
    if progress is None or progress.complete_until is None:
        return
    placed = [each.paid_at for each in outputs if isinstance(each, OrderPlaced) and each.paid_at is not None]
    late = [paid_at for paid_at in placed if progress.since <= paid_at < progress.complete_until]
    if late:
        progress.late_orders += len(late)
        state.put(progress)


def _resolve(subject: Subject, state: State) -> None:
    """The document is here, or parked: the evidence that told of it waits for it no longer."""
    subject.known_at = _later(_later(subject.known_at, subject.modified_at), subject.listed_at)
    if subject.open_step is None:
        return
    progress = state.get(Progress, subject.shop_id)
    if progress is not None:
        resolved(progress, subject.open_step)
        state.put(progress)
    subject.open_step = None


def _is_older(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one < other


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return other if one is None else one if other is None else max(one, other)
