"""A batch, from raw inputs to everything it saves: pure, so that a worker, a simulator and a replay share it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from contracts import envelope
from contracts.envelope import Event
from contracts.parked import MessageParked
from contracts.topics import BY_NAME, EVENT_TYPES, POSITION, topic_of
from libs.decide import Command, Delivered, Due, Handlers, Needs, Output, Reply, Send, State, Unwake, Wake, merge_needs
from libs.stream.journal import Answered, Changes, Head, Parked
from libs.stream.log import Headers, Outgoing, Place, Record
from libs.stream.partition import partition_of

ERROR_TEXT_LIMIT = 300
KEY_LIMIT_BYTES = 1_000
SOURCE_LIMIT_CHARACTERS = 100
_OWN_MESSAGES: dict[str, type[Due] | type[Delivered]] = {"Due": Due, "Delivered": Delivered}
_encode = msgspec.json.Encoder().encode
_decoders = {name: msgspec.json.Decoder(event) for name, event in EVENT_TYPES.items()}


class Poisoned(Exception):
    """The message at `place` of the batch cannot be decided; it is to be parked and the batch decided again."""

    def __init__(self, place: int, error: str) -> None:
        super().__init__(error)
        self.place = place
        self.error = error[:ERROR_TEXT_LIMIT]


@dataclass(slots=True)
class Input:
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


@dataclass
class Acceptance:
    """Counts of what the sequence rule did with the records of a fetch."""

    accepted: int = 0
    repeated: int = 0
    gaps: int = 0
    unknown: int = 0
    refused: int = 0


def accept(
    handlers: Handlers,
    records: Sequence[Record],
    seqs: dict[tuple[str, int, str], int],
    base: Callable[[Place], int],
    counts: Acceptance,
) -> list[Input]:
    """Apply the sequence rule: a record counts iff its number is the last of its source plus one.

    A repeated number is dropped, a number after a gap is dropped and counted (its writer resends from its cursor).
    `base` gives the log's first offset: where the log dropped older records, what begins there is the reader's base.
    `seqs` is advanced in place. Records come back in decision order: topic, partition, offset.
    """
    inputs: list[Input] = []
    for record in sorted(records, key=lambda r: (POSITION[r.topic], r.partition, r.offset)):
        headers = {name: value or b"" for name, value in record.headers}  # a header may be there without a value
        source = headers.get(envelope.HEADER_SOURCE, b"").decode("ascii", "replace")
        seq_text = headers.get(envelope.HEADER_ID, b"")
        kind = headers.get(envelope.HEADER_TYPE, b"").decode("ascii", "replace")
        key = (record.key or b"").decode("utf-8", "replace")
        writer = BY_NAME[record.topic].writer
        # No database text holds a NUL, and no index a long key.
        short = len(key.encode()) <= KEY_LIMIT_BYTES and len(source) <= SOURCE_LIMIT_CHARACTERS
        whole = short and kind.isprintable() and source.isprintable() and "\x00" not in key
        if not (
            whole and seq_text.isdigit() and len(seq_text) < 19 and kind and key and source.startswith(f"{writer}/")
        ):
            counts.refused += 1
            place = f"?{record.topic}/{record.partition}/{record.offset}"
            reason = f"not an event of {writer}: ce_type, ce_source, ce_id or key is missing or wrong"
            inputs.append(Input(key=place, cause=place, record=record, type="?", park=reason))
            continue
        seq = int(seq_text)
        stream = (record.topic, record.partition, source)
        last = seqs.get(stream)
        if last is None:
            # Only a log that dropped its beginning begins with another number than 1: in a whole one, a first record
            # with a higher number comes from a publish that tore, and those before it are still to be sent again.
            first = base((record.topic, record.partition))
            last = seq - 1 if record.offset == first > 0 else 0
        if seq != last + 1:
            if seq <= last:
                counts.repeated += 1
            else:
                counts.gaps += 1
            inputs.append(Input(key=key, cause="", record=record))
            continue
        seqs[stream] = seq
        counts.accepted += 1
        inputs.append(_decoded(handlers, record, kind, key, source, seq, counts))
    return inputs


def _decoded(
    handlers: Handlers, record: Record, kind: str, key: str, source: str, seq: int, counts: Acceptance
) -> Input:
    cause = f"{source}#{record.topic}/{record.partition}/{seq}"
    found = Input(key=key, cause=cause, record=record, source=source, seq=seq, type=kind)
    event_type = EVENT_TYPES.get(kind)
    if event_type not in BY_NAME[record.topic].events:
        counts.unknown += 1  # a newer writer's event: readers ignore what they do not know
        return found
    if event_type not in handlers.on:
        return found
    try:
        found.message = _decoders[kind].decode(record.value or b"")
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        found.park = f"{type(error).__name__}: {error}"[:ERROR_TEXT_LIMIT]
        return found
    if found.message.key != key:
        found.message = None
        found.park = "the record's key is not the event's key"
    return found


def cause_of(message: Due | Delivered) -> str:
    """Return how an event names the timer or outward call it followed from."""
    if isinstance(message, Due):
        return f"timer:{message.kind}/{message.key}"
    return f"sent:{message.destination}/{message.send_id}"


def own_input(message: Due | Delivered) -> Input:
    """Return a timer that came, or what became of an outward call, as an input."""
    return Input(key=message.key, cause=cause_of(message), message=message, type=type(message).__name__)


def redriven(handlers: Handlers, parked: Parked) -> Input:
    """Return a parked message as an input again."""
    if parked.type in _OWN_MESSAGES:
        message = msgspec.json.decode(parked.value or b"", type=_OWN_MESSAGES[parked.type])
        return Input(key=parked.key, cause=cause_of(message), message=message, type=parked.type, redriven=parked)
    record = Record(parked.topic, parked.partition, parked.offset, 0, parked.key.encode(), parked.value, ())
    found = _decoded(handlers, record, parked.type, parked.key, parked.source, parked.seq, Acceptance())
    found.record = None
    found.redriven = parked
    return found


def needs_of(handlers: Handlers, inputs: Sequence[Input]) -> Needs:
    """Return every row the messages name by themselves; raises Poisoned for one that cannot say."""
    found = []
    for place, item in enumerate(inputs):
        on = None if item.message is None or item.park else handlers.find(item.message)
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
        on = None if item.message is None or item.park else handlers.find(item.message)
        if on is not None and on.then is not None:
            try:
                found.append(on.then(item.message, state))
            except Exception as error:
                raise Poisoned(place, f"then: {type(error).__name__}: {error}") from error
    return merge_needs(found)


@dataclass
class Decided:
    """The outputs of a batch, in order, each with the cause it followed from."""

    outputs: list[tuple[Output, str]] = field(default_factory=list)
    replies: dict[int, Reply] = field(default_factory=dict)


def decide(handlers: Handlers, inputs: Sequence[Input], state: State, now: datetime) -> Decided:
    """Decide every message in order; raises Poisoned for the first that its function cannot take."""
    decided = Decided()
    for place, item in enumerate(inputs):
        if item.message is None or item.park:
            continue
        on = handlers.find(item.message)
        if on is None:
            continue
        try:
            outputs = on.decide(item.message, state, now)
            for output in outputs:
                if isinstance(output, Reply):
                    decided.replies[place] = output
                else:
                    decided.outputs.append((output, item.cause))
            if isinstance(item.message, Command) and place not in decided.replies:
                raise TypeError(f"{type(item.message).__name__} was decided without a reply")
        except Exception as error:
            raise Poisoned(place, f"{type(error).__name__}: {error}") from error
    if handlers.settle is not None:
        last = next((item.cause for item in reversed(inputs) if item.cause), "settle")
        decided.outputs.extend((output, last) for output in handlers.settle(state, now))
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
        self._source = envelope.source_name(self.service, self.stream, self.stream_epoch).encode()

    def headers(self, seq: int, kind: str, cause: str) -> Headers:
        """Return the CloudEvents headers of one record."""
        return (
            (envelope.HEADER_SPEC_VERSION, envelope.SPEC_VERSION),
            (envelope.HEADER_TYPE, kind.encode()),
            (envelope.HEADER_SOURCE, self._source),
            (envelope.HEADER_ID, str(seq).encode()),
            (envelope.HEADER_CAUSE, cause.encode("ascii", "replace")),
        )

    def event(self, event: Event, cause: str, now_ms: int, heads: dict[Place, Head]) -> tuple[Outgoing, str, str]:
        """Give an event its place in the sequence (`heads` is advanced) and its bytes."""
        kind = type(event).__name__
        key = event.key.encode()
        place = (topic_of(type(event), self.service).name, partition_of(key, self.partitions))
        head = heads.get(place)
        if head is None:
            known = self.heads.get(place)
            head = heads[place] = Head(known.next_seq, known.cursor) if known else Head(1, 0)
        seq = head.next_seq
        head.next_seq += 1
        headers = self.headers(seq, kind, cause)
        return Outgoing(place[0], place[1], seq, now_ms, key, _encode(event), headers), kind, cause


def changes_of(
    inputs: Sequence[Input], decided: Decided, state: State, writer: Writer, batch_no: int, now: datetime
) -> Changes:
    """Fold a decided batch into everything it saves."""
    changes = Changes(batch_no=batch_no, decided_at=now, state=state)
    now_ms = int(now.timestamp() * 1000)
    _take_inputs(inputs, decided, changes)
    for output, cause in decided.outputs:
        if isinstance(output, Event):
            changes.outbox.append(writer.event(output, cause, now_ms, changes.heads))
        elif isinstance(output, Send):
            changes.sends.append(output)
        elif isinstance(output, Wake):
            changes.timers_set[(output.kind, output.key)] = output.at
            changes.timers_gone.discard((output.kind, output.key))
        elif isinstance(output, Unwake):
            changes.timers_set.pop((output.kind, output.key), None)
            changes.timers_gone.add((output.kind, output.key))
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


def _take_inputs(inputs: Sequence[Input], decided: Decided, changes: Changes) -> None:
    ranges: dict[Place, list[int]] = {}
    log: dict[str, Any] = {}
    for place, item in enumerate(inputs):
        record = item.record
        if record is not None:
            span = ranges.setdefault((record.topic, record.partition), [record.offset, record.offset])
            span[1] = record.offset
            if item.seq:
                changes.seqs[(record.topic, record.partition, item.source)] = item.seq
        if item.park:
            changes.parked.append(_parked(item))
            log.setdefault("parked", []).append([place, item.park, item.behind])
        if item.redriven is not None:
            changes.unparked.append((item.redriven.key, item.redriven.n))
            log.setdefault("redriven", []).append([item.redriven.key, item.redriven.n])
        if isinstance(item.message, Command):
            kind = type(item.message).__name__
            reply = decided.replies[place]
            changes.answered.append(Answered(item.idempotency_key, kind, item.fingerprint, item.body, reply))
        elif isinstance(item.message, Due):
            changes.timers_gone.add((item.message.kind, item.message.key))
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
