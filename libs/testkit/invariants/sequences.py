"""Every writer's sequence in every topic and partition, kept as hashes: gaps, unequal repeats, and who read how far."""

from array import array
from collections.abc import Iterable, Mapping

from contracts import envelope
from contracts.topics import BY_NAME
from libs.stream.log import Place, Record
from libs.stream.partition import partition_of
from libs.testkit.invariants.findings import Seen

OWN_CAUSES = ("command", "timer", "sent", "settle")


class Sequence:
    """The records of one writer in one topic and partition: number `first` and those after it, each as a hash.

    `ahead` holds records behind a gap: readers drop them, and the writer sends them again after what closes the gap.
    """

    __slots__ = ("ahead", "first", "hashes")

    def __init__(self, first: int) -> None:
        self.first = first
        self.hashes = array("q")
        self.ahead: dict[int, int] = {}

    @property
    def last(self) -> int:
        """The highest number seen."""
        return self.first + len(self.hashes) - 1


class Cause:
    """The latest record of one stream that somebody names as a cause, and one record that names it."""

    __slots__ = ("named_by", "seq")

    def __init__(self) -> None:
        self.seq = 0
        self.named_by = ""


def digest(key: bytes | None, value: bytes | None, kind: bytes, cause: bytes) -> int:
    """Return what makes two records with one sequence number the same: key, value and what the headers say."""
    return hash((key, value, kind, cause))


class Sequences:
    """Takes every record in offset order and keeps eight bytes of each.

    `positions` are the next offsets of each service: when a partition passes one, what that reader has read of each
    writer is noted in `read_by`.
    """

    def __init__(
        self,
        partitions: Mapping[str, int],
        beginnings: Mapping[Place, int],
        positions: Mapping[str, Mapping[Place, int]],
        seen: Seen,
    ) -> None:
        self.of: dict[tuple[str, str, int], Sequence] = {}
        self.causes: dict[tuple[str, str], Cause] = {}
        self.read_by: dict[tuple[str, Place], dict[str, int]] = {}
        self.records = 0
        self.repeats = 0
        self._partitions = partitions
        self._beginnings = beginnings
        self._seen = seen
        self._homes: dict[tuple[bytes, int], int] = {}
        self._at: dict[Place, dict[str, Sequence]] = {}
        self._stops: dict[Place, list[tuple[int, str]]] = {}
        for service, places in positions.items():
            for place, offset in places.items():
                self._stops.setdefault(place, []).append((offset, service))
        for stops in self._stops.values():
            stops.sort(reverse=True)

    def take(self, record: Record) -> str | None:
        """Take in one record; returns its event type if this is the first time it is seen."""
        self.records += 1
        place = (record.topic, record.partition)
        stops = self._stops.get(place)
        while stops and record.offset >= stops[-1][0]:
            self._note_reader(place, stops.pop()[1])
        headers = {name: value or b"" for name, value in record.headers}
        source = headers.get(envelope.HEADER_SOURCE, b"").decode("ascii", "replace")
        number = headers.get(envelope.HEADER_ID, b"")
        kind = headers.get(envelope.HEADER_TYPE, b"")
        cause = headers.get(envelope.HEADER_CAUSE, b"")
        writer = BY_NAME[record.topic].writer
        if (
            not number.isdigit()
            or not kind
            or not record.key
            or not source.startswith(f"{writer}/")
            or headers.get(envelope.HEADER_SPEC_VERSION) != envelope.SPEC_VERSION
        ):
            self._seen["I-8"].add(f"{self._where(record)} is not an event of {writer}")
            return None
        if not self._next(record, source, int(number), digest(record.key, record.value, kind, cause)):
            return None
        self._note_cause(record, writer, cause.decode("ascii"))
        self._check_home(record)
        return kind.decode("ascii", "replace")

    def expired(self, place: Place) -> bool:
        """Tell whether the log has dropped its first records there."""
        return self._beginnings.get(place, 0) > 0

    def finish(self) -> None:
        """Note the readers who have read everything, and the gaps that nothing closed."""
        for place, stops in self._stops.items():
            for _, service in stops:
                self._note_reader(place, service)
            stops.clear()
        for (source, topic, part), sequence in self.of.items():
            if sequence.ahead:
                ahead = min(sequence.ahead)
                self._seen["I-8"].add(f"{topic}/{part}: {source} ends with {sequence.last}, yet {ahead} is there")

    def _next(self, record: Record, source: str, seq: int, hashed: int) -> bool:
        place = (record.topic, record.partition)
        sources = self._at.setdefault(place, {})
        sequence = sources.get(source)
        if sequence is None:
            # In a whole log numbers begin with 1; a higher one that comes first waits for what a torn publish left out.
            first = seq if self.expired(place) else 1
            sequence = sources[source] = self.of[(source, record.topic, record.partition)] = Sequence(first)
        last = sequence.last
        before = sequence.ahead.pop(seq, hashed) if sequence.ahead else hashed
        if seq == last + 1:
            sequence.hashes.append(hashed)
        elif seq > last:
            sequence.ahead[seq] = hashed
        else:
            self.repeats += 1
            if seq >= sequence.first:
                before = sequence.hashes[seq - sequence.first]
        if before != hashed:
            self._seen["I-9"].add(f"{self._where(record)}: {source} number {seq} was something else before")
        return seq == last + 1

    def _note_reader(self, place: Place, service: str) -> None:
        self.read_by[(service, place)] = {source: found.last for source, found in self._at.get(place, {}).items()}

    def _note_cause(self, record: Record, writer: str, cause: str) -> None:
        stream, _, number = cause.rpartition("/")
        if "#" in stream and number.isdigit() and not cause.startswith(OWN_CAUSES):
            found = self.causes.get((writer, stream))
            if found is None:
                found = self.causes[(writer, stream)] = Cause()
            if int(number) > found.seq:
                found.seq, found.named_by = int(number), self._where(record)
        elif cause.partition(":")[0] not in OWN_CAUSES and not record.topic.startswith("ordo.parked-"):
            self._seen["I-20"].add(f"{self._where(record)} names no cause that could be looked up: {cause[:60]!r}")

    def _check_home(self, record: Record) -> None:
        key, count = record.key or b"", self._partitions[record.topic]
        home = self._homes.get((key, count))
        if home is None:
            home = self._homes[(key, count)] = partition_of(key, count)
        if home != record.partition:
            self._seen["I-8"].add(f"{self._where(record)}: its key belongs into partition {home}")

    @staticmethod
    def _where(record: Record) -> str:
        return f"{record.topic}/{record.partition} offset {record.offset}"


def read_wrong(seqs: Mapping[tuple[str, int, str], int], service: str, sequences: Sequences) -> Iterable[str]:
    """Yield where a reader's last numbers are not those of the last records before its offsets."""
    known: dict[Place, dict[str, int]] = {}
    for (topic, part, source), last in seqs.items():
        known.setdefault((topic, part), {})[source] = last
    for (reader, place), found in sequences.read_by.items():
        if reader != service:
            continue
        noted = known.get(place, {})
        for source in sorted(found.keys() | noted.keys()):
            if found.get(source, 0) != noted.get(source, 0):
                yield (
                    f"{service} noted number {noted.get(source, 0)} of {source} in {place[0]}/{place[1]}, "
                    f"its offset says {found.get(source, 0)}"
                )


class OutboxFold:
    """Compares the outbox rows of one service, in order of their sequences, with what the topics hold."""

    def __init__(self, service: str, sequences: Sequences, seen: Seen) -> None:
        self.service = service
        self.rows = 0
        self.last: dict[tuple[int, str, int], int] = {}
        self._sequences = sequences
        self._seen = seen

    def take(
        self, stream: int, topic: str, part: int, seq: int, key: bytes, kind: str, cause: str, value: bytes
    ) -> None:
        """Compare one row."""
        self.rows += 1
        place = (stream, topic, part)
        last = self.last.get(place, 0)
        if seq != last + 1:
            self._seen["I-10"].add(f"{self.service}: outbox {topic}/{part} number {seq} follows {last}")
        self.last[place] = seq
        sequence = self._sequences.of.get((envelope.source_name(self.service, stream, 1), topic, part))
        if sequence is None or seq > sequence.last:
            self._seen["I-10"].add(f"{self.service}: number {seq} of the outbox is not in {topic}/{part}")
        elif seq >= sequence.first:
            hashed = digest(key, value, kind.encode(), cause.encode("ascii", "replace"))
            if hashed != sequence.hashes[seq - sequence.first]:
                self._seen["I-10"].add(f"{self.service}: number {seq} is something else in {topic}/{part}")

    def finish(self, heads: Mapping[tuple[int, str, int], tuple[int, int]]) -> None:
        """Compare ends: the outbox with its head, its cursor, and the topic."""
        wrong = self._seen["I-10"]
        for place in sorted(heads.keys() | self.last.keys()):
            stream, topic, part = place
            next_seq, cursor = heads.get(place, (1, 0))
            last = self.last.get(place, 0)
            sequence = self._sequences.of.get((envelope.source_name(self.service, stream, 1), topic, part))
            held = 0 if sequence is None else sequence.last
            if not last == next_seq - 1 == cursor == held and not (held == 0 and self._expired(topic, part, cursor)):
                wrong.add(
                    f"{self.service}: {topic}/{part} ends with {last} in the outbox, {next_seq - 1} by its head, "
                    f"{cursor} by its cursor and {held} in the topic"
                )
        for source, topic, part in self._sequences.of:
            if source.startswith(f"{self.service}/") and (int(source.split("/")[1]), topic, part) not in heads:
                wrong.add(f"{self.service}: {topic}/{part} holds records of {source}, the outbox has no head for them")

    def _expired(self, topic: str, part: int, cursor: int) -> bool:
        return self._sequences.expired((topic, part)) and self.last.get((0, topic, part), 0) == cursor


class BatchFold:
    """Follows the log of batches of one service: numbered without gap, each reading on where the last one stopped."""

    def __init__(self, service: str, seen: Seen) -> None:
        self.service = service
        self.batches: dict[int, int] = {}
        self.positions: dict[Place, int] = {}
        self._wrong = seen["I-11"]

    def take(self, shard: int, batch_no: int, read: Iterable[tuple[str, int, int, int]]) -> None:
        """Take in one batch with the ranges it read: topic, partition, first and last offset."""
        last = self.batches.get(shard, 0)
        if batch_no != last + 1:
            self._wrong.add(f"{self.service}: batch {batch_no} follows batch {last}")
        self.batches[shard] = batch_no
        for topic, part, first, end in read:
            expected = self.positions.get((topic, part))
            if end < first or (expected is not None and first != expected):
                self._wrong.add(f"{self.service}: batch {batch_no} reads {topic}/{part} from {first}, not {expected}")
            self.positions[(topic, part)] = end + 1

    def finish(self, batch_nos: Mapping[int, int], offsets: Mapping[Place, int]) -> None:
        """Compare with where the service says that it stands."""
        for shard, batch_no in batch_nos.items():
            if self.batches.get(shard, 0) != batch_no:
                self._wrong.add(f"{self.service}: its lease counts {batch_no} batches, {self.batches} are logged")
        for place, position in self.positions.items():
            if offsets.get(place) != position:
                where = f"{place[0]}/{place[1]}"
                self._wrong.add(f"{self.service}: {where} stands at {offsets.get(place)}, its batches say {position}")
