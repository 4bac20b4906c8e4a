"""A batch, from raw inputs to everything it saves: pure, so that a worker, a simulator and a replay share it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from contracts import envelope
from contracts.envelope import Event
from contracts.parked import MessageParked
from contracts.topics import topic_of
from libs.decide import (
    Command,
    Delivered,
    Due,
    Handlers,
    Needs,
    On,
    Output,
    Reply,
    Send,
    State,
    Unwake,
    Wake,
    merge_needs,
)
from libs.stream.journal import Answered, Changes, Head, Parked, Unsaveable
from libs.stream.log import Headers, Outgoing, Place, Record
from libs.stream.partition import partition_of

ERROR_TEXT_LIMIT = 300
# A record may claim any time, and not every number is one that a calendar holds: this is the year 3000.
TIMES_END_MS = 32_503_680_000_000
_SPEC_VERSION = (envelope.HEADER_SPEC_VERSION, envelope.SPEC_VERSION)
_encode = msgspec.json.Encoder().encode


class Poisoned(Exception):
    """The message at `place` of the batch cannot be decided; it is to be parked and the batch decided again."""

    def __init__(self, place: int, error: str) -> None:
        super().__init__(error)
        self.place = place
        self.error = error[:ERROR_TEXT_LIMIT]


class Input(msgspec.Struct):
    """One thing to decide. Without a `message` it only moves positions; with a `park` reason it is set aside."""

    key: str
    cause: str
    message: Event | Command | Due | Delivered | None = None
    record: Record | None = None
    source: str = ""
    seq: int = 0
    type: str = ""
    park: str | None = None
    behind: bool = False
    redriven: Parked | None = None
    idempotency_key: str = ""
    fingerprint: bytes = b""
    body: bytes = b""
    on: On[Any] | None = None  # what decides `message`, where it is known beforehand
    last_offset: int = -1  # the last of several records that only move positions
    passed: dict[str, int] | None = None  # the last number of each source among them


def cause_of(message: Due | Delivered) -> str:
    """Return how an event names the timer or outward call it followed from."""
    if isinstance(message, Due):
        return f"timer:{message.kind}/{message.key}"
    return f"sent:{message.destination}/{message.send_id}"


def own_input(message: Due | Delivered) -> Input:
    """Return a timer that came, or what became of an outward call, as an input."""
    return Input(key=message.key, cause=cause_of(message), message=message, type=type(message).__name__)


def put_behind(inputs: Sequence[Input], keys: Collection[str]) -> None:
    """Set aside the messages that must wait for an earlier one of their key, which waits for an operator.

    `keys` are those of earlier batches; what nobody could read of this one holds back what comes after it as well.
    """
    if not keys and not any(item.park for item in inputs):
        return
    unread: set[str] = set()
    for item in inputs:
        if item.park:
            unread.add(item.key)
        elif (item.key in keys or item.key in unread) and item.record is not None and item.on and item.on.waits:
            item.park, item.behind = "waits behind an earlier message of this key", True


def _on(handlers: Handlers, item: Input) -> On[Any] | None:
    """Return what decides an input; None for one that only moves positions or is set aside."""
    if item.park or item.message is None:
        return None
    return item.on or handlers.find(item.message)


def needs_of(handlers: Handlers, inputs: Sequence[Input]) -> Needs:
    """Return every row the messages name by themselves; raises Poisoned for one that cannot say."""
    found = []
    for place, item in enumerate(inputs):
        on = _on(handlers, item)
        if on is not None:
            try:
                found.append(on.needs(item.message))
            except Exception as error:
                raise Poisoned(place, f"needs: {type(error).__name__}: {error}") from error
    return merge_needs(found)


def more_needs_of(handlers: Handlers, inputs: Sequence[Input], state: State) -> Needs:
    """Return the rows that only the first ones tell."""
    found = []
    for place, item in enumerate(inputs):
        on = _on(handlers, item)
        if on is not None and on.then is not None:
            try:
                found.append(on.then(item.message, state))
            except Exception as error:
                raise Poisoned(place, f"then: {type(error).__name__}: {error}") from error
    return merge_needs(found)


def time_of(item: Input, now: datetime) -> datetime:
    """Return when an event was decided by its writer, or else parked here; `now` where neither is known."""
    record = item.record
    if record is not None and 0 < record.timestamp_ms < TIMES_END_MS:
        return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    if item.redriven is not None and item.redriven.parked_at is not None:
        return item.redriven.parked_at
    return now


@dataclass
class Decided:
    """The outputs of a batch, in order, each with the input it answers (if it answers one) and its cause."""

    outputs: list[tuple[Output, Input | None, str]] = field(default_factory=list)
    replies: dict[int, Reply] = field(default_factory=dict)


def decide(handlers: Handlers, inputs: Sequence[Input], state: State, now: datetime) -> Decided:
    """Decide every message in order; raises Poisoned for the first that its function cannot take."""
    decided = Decided()
    for place, item in enumerate(inputs):
        on = _on(handlers, item)
        if on is None:
            continue
        try:
            outputs = on.decide(item.message, state, time_of(item, now) if on.own_time else now)
            for output in outputs:
                if type(output) is Reply:
                    decided.replies[place] = output
                else:
                    decided.outputs.append((output, item, item.cause))
            if item.record is None and isinstance(item.message, Command) and place not in decided.replies:
                raise TypeError(f"{type(item.message).__name__} was decided without a reply")
        except Exception as error:
            raise Poisoned(place, f"{type(error).__name__}: {error}") from error
    if handlers.settle is not None:
        last = next((item.cause for item in reversed(inputs) if item.cause), "settle")
        try:
            decided.outputs.extend((output, None, last) for output in handlers.settle(state, now))
        except Exception as error:  # by whose message, halving the batch tells
            raise Unsaveable(f"settle: {type(error).__name__}: {error}") from error
    return decided


@dataclass
class Writer:
    """Who writes: names the stream, knows the partition count, and keeps the heads of its sequences."""

    service: str
    stream: int
    stream_epoch: int
    partitions: int
    heads: dict[Place, Head]

    def __post_init__(self) -> None:
        source = envelope.source_name(self.service, self.stream, self.stream_epoch).encode()
        self._source = (envelope.HEADER_SOURCE, source)
        self._kinds: dict[str, tuple[str, bytes]] = {}
        self._topics: dict[type[Event], str] = {}

    def headers(self, seq: int, kind: str, cause: str) -> Headers:
        """Return the CloudEvents headers of one record."""
        return (
            _SPEC_VERSION,
            self._kinds.get(kind) or self._kinds.setdefault(kind, (envelope.HEADER_TYPE, kind.encode())),
            self._source,
            (envelope.HEADER_ID, b"%d" % seq),
            (envelope.HEADER_CAUSE, cause.encode("ascii", "replace")),
        )

    def event(
        self, event: Event, cause: str, now_ms: int, heads: dict[Place, Head], item: "Input | None" = None
    ) -> tuple[Outgoing, str, str]:
        """Give an event its place in the sequence (`heads` is advanced) and its bytes.

        An event that keeps the key of the `item` it answers keeps its partition: all topics have as many.
        """
        event_type = type(event)
        kind = event_type.__name__
        key = event.key
        raw_key = key.encode()
        if item is not None and item.record is not None and item.key == key and not item.park:
            partition = item.record.partition
        else:
            partition = partition_of(raw_key, self.partitions)
        topic = self._topics.get(event_type)
        if topic is None:
            topic = self._topics[event_type] = topic_of(event_type, self.service).name
        place = (topic, partition)
        head = heads.get(place)
        if head is None:
            known = self.heads.get(place)
            head = heads[place] = Head(known.next_seq, known.cursor) if known else Head(1, 0)
        seq = head.next_seq
        head.next_seq += 1
        headers = self.headers(seq, kind, cause)
        return Outgoing(topic, partition, seq, now_ms, raw_key, _encode(event), headers), kind, cause


def changes_of(
    inputs: Sequence[Input], decided: Decided, state: State, writer: Writer, batch_no: int, now: datetime
) -> Changes:
    """Fold a decided batch into everything it saves; raises Poisoned for an event that cannot be written."""
    changes = Changes(batch_no=batch_no, decided_at=now, state=state)
    now_ms = int(now.timestamp() * 1000)
    _take_inputs(inputs, decided, changes)
    for output, item, cause in decided.outputs:
        # Asking an event for its ancestors costs more than writing it, so the types that are no events are named.
        if type(output) in _ASIDE:
            _take_aside(output, changes)
            continue
        try:
            changes.outbox.append(writer.event(cast("Event", output), cause, now_ms, changes.heads, item))
        except Exception as error:
            reason = f"{type(output).__name__}: {type(error).__name__}: {error}"
            place = next((place for place, each in enumerate(inputs) if each is item), None)
            raise (Unsaveable(reason) if place is None else Poisoned(place, reason)) from error
    for parked in changes.parked:
        event = MessageParked(
            message_key=parked.key,
            service=writer.service,
            origin_topic=parked.topic,
            origin_partition=parked.partition,
            origin_offset=parked.offset,
            origin_source=parked.source,
            origin_seq=parked.seq,
            message_type=parked.type,
            error=parked.error,
            behind=parked.behind,
        )
        changes.outbox.append(writer.event(event, parked.cause, now_ms, changes.heads))
    return changes


_ASIDE = frozenset({Send, Wake, Unwake, Reply})


def _take_aside(output: Output, changes: Changes) -> None:
    if isinstance(output, Send):
        changes.sends.append(output)
    elif isinstance(output, Wake):
        changes.timers_set[(output.kind, output.key)] = output.at
        changes.timers_gone.pop((output.kind, output.key), None)
    elif isinstance(output, Unwake):
        changes.timers_set.pop((output.kind, output.key), None)
        changes.timers_gone[(output.kind, output.key)] = None


def _take_inputs(inputs: Sequence[Input], decided: Decided, changes: Changes) -> None:
    ranges: dict[Place, list[int]] = {}
    log: dict[str, Any] = {}
    for place, item in enumerate(inputs):
        record = item.record
        if record is not None:
            span = ranges.setdefault((record.topic, record.partition), [record.offset, record.offset])
            span[1] = max(record.offset, item.last_offset)
            if item.seq:
                changes.seqs[(record.topic, record.partition, item.source)] = item.seq
            elif item.passed:
                for source, seq in item.passed.items():
                    changes.seqs[(record.topic, record.partition, source)] = seq
        if item.park:
            changes.parked.append(_parked(item))
            log.setdefault("parked", []).append([place, item.park, item.behind])
        if item.redriven is not None:
            changes.unparked.append((item.redriven.key, item.redriven.n))
            log.setdefault("redriven", []).append([item.redriven.key, item.redriven.n])
        if record is not None or item.redriven is not None:
            continue  # a record's message is an event, and what is decided again ended when it was set aside
        if isinstance(item.message, Command):
            kind = type(item.message).__name__
            reply = decided.replies[place]
            changes.answered.append(Answered(item.idempotency_key, kind, item.fingerprint, item.body, reply))
        elif isinstance(item.message, Due):
            changes.timers_gone[(item.message.kind, item.message.key)] = item.message.at
            log.setdefault("timers", []).append([item.message.kind, item.message.key, item.message.at])
        elif isinstance(item.message, Delivered):
            changes.delivered.append(item.message)
            log.setdefault("delivered", []).append(item.message)
    for (topic, partition), (first, last) in ranges.items():
        changes.offsets[(topic, partition)] = (first, last + 1)
    if ranges:
        log["read"] = [[topic, part, first, last] for (topic, part), (first, last) in ranges.items()]
    if changes.answered:
        log["commands"] = len(changes.answered)
    changes.inputs = log


def _parked(item: Input) -> Parked:
    record = item.record
    value = record.value if record else None
    if isinstance(item.message, (Due, Delivered)):
        value = _encode(item.message)
    return Parked(
        key=item.key,
        topic=record.topic if record else "",
        partition=record.partition if record else -1,
        offset=record.offset if record else -1,
        source=item.source,
        seq=item.seq,
        type=item.type,
        value=value,
        error=(item.park or "")[:ERROR_TEXT_LIMIT],
        behind=item.behind,
        cause=item.cause or item.key,
    )
