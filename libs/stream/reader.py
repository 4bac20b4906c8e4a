"""Records in, inputs out: the sequence rule, by which a record counts once and a gap is never passed over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from contracts import envelope
from contracts.topics import BY_NAME, EVENT_TYPES, POSITION
from libs.decide import Delivered, Due, Handlers, On
from libs.stream.batch import ERROR_TEXT_LIMIT, Input, cause_of
from libs.stream.journal import Parked
from libs.stream.log import Place, Record

KEY_LIMIT_BYTES = 1_000
SOURCE_LIMIT_CHARACTERS = 100
NAMES_LIMIT = 10_000
_HEADERS = 5
_OWN_MESSAGES: dict[str, type[Due] | type[Delivered]] = {"Due": Due, "Delivered": Delivered}
_decoders = {name: msgspec.json.Decoder(event) for name, event in EVENT_TYPES.items()}


@dataclass
class Acceptance:
    """Counts of what the sequence rule did with the records of a fetch."""

    accepted: int = 0
    repeated: int = 0
    gaps: int = 0
    unknown: int = 0
    refused: int = 0


@dataclass(slots=True)
class _Kind:
    """What is known of one event type on one topic, found once; `on` None: nobody here decides it."""

    name: str
    known: bool
    on: On[Any] | None


class Reader:
    """Turns records into inputs by the sequence rule; one for each reader of the log, because it remembers names."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._kinds: dict[tuple[str, bytes], _Kind] = {}
        self._sources: dict[tuple[str, bytes], str] = {}

    def accept(
        self,
        records: Sequence[Record],
        seqs: dict[tuple[str, int, str], int],
        base: Callable[[Place], int],
        counts: Acceptance,
    ) -> list[Input]:
        """Apply the sequence rule: a record counts iff its number is the last of its source plus one.

        A repeated number is dropped, a number after a gap is dropped and counted (its writer resends from its cursor).
        `base` gives the log's first offset: where the log dropped older records, what begins there is the reader's
        base. `seqs` is advanced in place. Inputs come in decision order: topic, partition, offset; neighbours that
        only move positions are one input.
        """
        by_place: dict[Place, list[Record]] = {}
        for record in records:
            place = (record.topic, record.partition)
            found = by_place.get(place)
            if found is None:
                by_place[place] = [record]
            else:
                found.append(record)
        inputs: list[Input] = []
        for place in sorted(by_place, key=lambda each: (POSITION[each[0]], each[1])):
            some = sorted(by_place[place], key=_offset_of)
            self._accept_place(place, some, seqs, base, counts, inputs)
        return inputs

    def _accept_place(
        self,
        place: Place,
        records: Sequence[Record],
        seqs: dict[tuple[str, int, str], int],
        base: Callable[[Place], int],
        counts: Acceptance,
        inputs: list[Input],
    ) -> None:
        topic, partition = place
        passing: Input | None = None
        for record in records:
            kind_name, source_name, seq_text = _identity(record.headers)
            source = self._sources.get((topic, source_name)) or self._source(topic, source_name)
            if not (source and seq_text.isdigit() and len(seq_text) < 19 and (key := _key_of(record.key))):
                inputs.append(_refused(record))
                passing = None
                counts.refused += 1
                continue
            kind = self._kinds.get((topic, kind_name)) or self._kind(topic, kind_name)
            if not kind.name:
                inputs.append(_refused(record))
                passing = None
                counts.refused += 1
                continue
            seq = int(seq_text)
            stream = (topic, partition, source)
            last = seqs.get(stream)
            if last is None:
                # Only a log that dropped its beginning begins with another number than 1: in a whole one, a first
                # record with a higher number comes from a publish that tore, and those before it are to be sent again.
                first = base(place)
                last = seq - 1 if record.offset == first > 0 else 0
            if seq == last + 1:
                seqs[stream] = seq
                counts.accepted += 1
                if kind.on is not None:
                    cause = f"{source}#{topic}/{partition}/{seq}"
                    inputs.append(_decoded(kind, record, key, cause, source, seq))
                    passing = None
                    continue
                counts.unknown += not kind.known  # a newer writer's event: readers ignore what they do not know
            elif seq <= last:
                counts.repeated += 1
                source = ""
            else:
                counts.gaps += 1
                source = ""
            if passing is None:
                passed: dict[str, int] = {}
                passing = Input(key=key, cause="", record=record, passed=passed)
                inputs.append(passing)
            passing.last_offset = record.offset
            if source:
                passed[source] = seq

    def decoded(self, record: Record, kind_name: str, key: str, source: str, seq: int) -> Input:
        """Return one record as an input, whatever the sequence rule would say of it."""
        kind = self._kind(record.topic, kind_name.encode())
        cause = f"{source}#{record.topic}/{record.partition}/{seq}"
        if kind.on is None:
            return Input(key=key, cause=cause, record=record, source=source, seq=seq, type=kind_name)
        return _decoded(kind, record, key, cause, source, seq)

    def _source(self, topic: str, name: bytes) -> str:
        source = name.decode("ascii", "replace")
        genuine = source.startswith(f"{BY_NAME[topic].writer}/") and source.isprintable()
        if not genuine or len(source) > SOURCE_LIMIT_CHARACTERS:
            return ""
        if len(self._sources) >= NAMES_LIMIT:
            self._sources.clear()
        self._sources[(topic, name)] = source
        return source

    def _kind(self, topic: str, name: bytes) -> _Kind:
        text = name.decode("ascii", "replace")
        event_type = EVENT_TYPES.get(text)
        known = event_type in BY_NAME[topic].events
        on = self._handlers.on.get(event_type) if known and event_type is not None else None
        kind = _Kind(text if text.isprintable() else "", known, on)
        if len(self._kinds) >= NAMES_LIMIT:
            self._kinds.clear()
        self._kinds[(topic, name)] = kind
        return kind


def _offset_of(record: Record) -> int:
    return record.offset


def _identity(headers: Sequence[tuple[str, bytes]]) -> tuple[bytes, bytes, bytes]:
    """Return type, source and number. Our writers put headers in one order; anybody else's are looked for."""
    if len(headers) == _HEADERS:
        _, (a, kind), (b, source), (c, seq), _ = headers
        if a == envelope.HEADER_TYPE and b == envelope.HEADER_SOURCE and c == envelope.HEADER_ID:
            return kind or b"", source or b"", seq or b""
    found = {name: value or b"" for name, value in headers}  # a header may be there without a value
    return (
        found.get(envelope.HEADER_TYPE, b""),
        found.get(envelope.HEADER_SOURCE, b""),
        found.get(envelope.HEADER_ID, b""),
    )


def _key_of(raw: bytes | None) -> str:
    """Return a record's key; nothing for one that no database text could hold, or no index."""
    if not raw or len(raw) > KEY_LIMIT_BYTES or b"\x00" in raw:
        return ""
    key = raw.decode("utf-8", "replace")
    return key if len(key) == len(raw) or len(key.encode()) <= KEY_LIMIT_BYTES else ""


def _refused(record: Record) -> Input:
    place = f"?{record.topic}/{record.partition}/{record.offset}"
    reason = f"not an event of {BY_NAME[record.topic].writer}: ce_type, ce_source, ce_id or key is missing or wrong"
    return Input(key=place, cause=place, record=record, type="?", park=reason)


def _decoded(kind: _Kind, record: Record, key: str, cause: str, source: str, seq: int) -> Input:
    name = kind.name
    try:
        message = _decoders[name].decode(record.value or b"")
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        park = f"{type(error).__name__}: {error}"[:ERROR_TEXT_LIMIT]
        return Input(key=key, cause=cause, record=record, source=source, seq=seq, type=name, park=park)
    if message.key != key:
        park = "the record's key is not the event's key"
        return Input(key=key, cause=cause, record=record, source=source, seq=seq, type=name, park=park)
    return Input(key, cause, message, record, source, seq, name, on=kind.on)


def redriven(handlers: Handlers, parked: Parked) -> Input:
    """Return a parked message as an input again."""
    if parked.type in _OWN_MESSAGES:
        message = msgspec.json.decode(parked.value or b"", type=_OWN_MESSAGES[parked.type])
        return Input(key=parked.key, cause=cause_of(message), message=message, type=parked.type, redriven=parked)
    record = Record(parked.topic, parked.partition, parked.offset, 0, parked.key.encode(), parked.value, ())
    found = Reader(handlers).decoded(record, parked.type, parked.key, parked.source, parked.seq)
    found.record = None
    found.redriven = parked
    return found
