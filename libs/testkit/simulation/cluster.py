"""The simulated broker and its clients: late, torn, doubled and lost records, as a real one makes them."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from contracts import envelope
from libs.stream.log import FetchFailed, Outgoing, Place, PositionLost, PublishFailed, Record
from libs.stream.memory import MemoryCluster, MemoryLog

if TYPE_CHECKING:
    from libs.testkit.simulation.process import Process
    from libs.testkit.simulation.world import World

Stream = tuple[str, str, int]
"""A source, and the topic and partition that it writes to."""


def stream_of(record: Outgoing | Record) -> tuple[Stream, int]:
    """Return the stream a record belongs to and its number there."""
    source = seq = b""
    for name, value in record.headers:
        if name == envelope.HEADER_SOURCE:
            source = value
        elif name == envelope.HEADER_ID:
            seq = value
    return (source.decode(), record.topic, record.partition), int(seq)


class SimCluster(MemoryCluster):
    """The broker. `prefix` is how far a reader that follows the sequence rule gets in each stream."""

    def __init__(self, world: "World", partitions: int) -> None:
        super().__init__(partitions=partitions)
        self.world = world
        self.down = False
        self.lost: set[Place] = set()
        self.gap_shown = False
        self.prefix: dict[Stream, int] = {}
        self.readers: dict[Place, dict[SimLog, None]] = {}

    def append(self, record: Outgoing) -> None:
        """Add one record; it must have been committed by its writer, exactly as it is."""
        place = (record.topic, record.partition)
        held = self.at(place)
        held.append(Record(*place, len(held), record.timestamp_ms, record.key, record.value, record.headers))
        stream, seq = stream_of(record)
        if self.prefix.get(stream, 0) + 1 == seq:
            self.prefix[stream] = seq
        committed = self.world.committed.get((stream, seq))
        if committed is None:
            self.world.fail(f"{stream[0]} published number {seq} of {stream[1]}/{stream[2]} before it was committed")
        elif committed != record:
            self.world.fail(f"{stream[0]} published number {seq} of {stream[1]}/{stream[2]} twice, not the same bytes")
        for reader in self.readers.get(place, ()):
            reader.news.set()

    def lose_tail(self, place: Place, records: int) -> None:
        """Forget the last records of a partition, as a broker does that loses power with them in memory."""
        held = self.at(place)
        gone = held[len(held) - records :]
        del held[len(held) - records :]
        self.lost.add(place)
        for record in gone:
            stream, seq = stream_of(record)
            self.prefix[stream] = min(self.prefix.get(stream, 0), seq - 1)


class SimLog(MemoryLog):
    """One process's client of the broker."""

    cluster: SimCluster

    def __init__(self, process: "Process") -> None:
        super().__init__(process.world.cluster)
        self.process = process
        self.news = asyncio.Event()
        self._world = process.world
        self._handed: dict[Stream, int] = {}

    async def _ask(self) -> None:
        await self.process.gate()
        await asyncio.sleep(self._world.short())
        await self.process.gate()
        if self.cluster.down or self._world.faults.happens("log: fetch fails"):
            raise FetchFailed("the broker does not answer")

    async def partitions(self, topic: str) -> int:
        """Return how many partitions every topic has."""
        if self.cluster.down:
            raise FetchFailed("the broker does not answer")
        return await super().partitions(topic)

    async def ends(self, places: Sequence[Place]) -> dict[Place, int]:
        """Return the ends."""
        await self._ask()
        return await super().ends(places)

    async def read_from(self, positions: Mapping[Place, int]) -> None:
        """Read from these offsets on."""
        await self._ask()
        for place in self._positions:
            self.cluster.readers[place].pop(self, None)
        try:
            await super().read_from(positions)
        except PositionLost:
            self._world.faults.hit("met: a lost position")
            raise
        self._handed.clear()
        for place in positions:
            self.cluster.readers.setdefault(place, {})[self] = None
        self.news.set()

    async def fetch(self, max_records: int, timeout_ms: int) -> list[Record]:
        """Return some of what is new: any places, any number of records of each, sometimes later than they came."""
        await self.process.gate()
        world = self._world
        if world.faults.happens("log: fetch fails"):
            raise FetchFailed("the fetch failed")
        found = self._some(max_records)
        if not found and timeout_ms:
            self.news.clear()
            if not self._behind():
                with suppress(TimeoutError):
                    async with asyncio.timeout(timeout_ms / 1000):
                        await self.news.wait()
            await asyncio.sleep(world.short())
            await self.process.gate()
            found = self._some(max_records)
        return found

    def _behind(self) -> bool:
        return not self.cluster.down and any(
            len(self.cluster.records.get(place, ())) > offset for place, offset in self._positions.items()
        )

    def _some(self, max_records: int) -> list[Record]:
        if self.cluster.down:
            return []
        dice, records = self._world.dice, self.cluster.records
        found: list[Record] = []
        ready = []
        for place, offset in self._positions.items():
            end = len(records.get(place, ()))
            if end > offset:
                ready.append(place)
            elif end < offset:
                self._world.faults.hit("met: a lost position")
                raise PositionLost(f"{place} ends at {end}, before {offset}")
        if len(ready) > 1:
            dice.shuffle(ready)
        for place in ready:
            if self._world.faults.happens("log: records delayed"):
                continue
            offset = self._positions[place]
            limit = max_records - len(found)
            if dice.random() < 0.3:
                limit = min(limit, dice.randint(1, 4))
            some = records[place][offset : offset + limit]
            self._positions[place] = offset + len(some)
            if place in self.cluster.lost:
                self._look_for_gaps(some)
            found.extend(some)
        return found

    def _look_for_gaps(self, records: Sequence[Record]) -> None:
        """Note when a reader is handed what comes after something it misses: from then on it must have said so."""
        saved = self.process.journal.stored.seqs
        for record in records:
            stream, seq = stream_of(record)
            source, topic, part = stream
            last = max(self._handed.get(stream, 0), saved.get((topic, part, source), 0))
            if seq > last + 1:
                self.cluster.gap_shown = True
            else:
                self._handed[stream] = max(last, seq)

    async def publish(self, records: Sequence[Outgoing]) -> None:
        """Append in chunks, one place after the other; how far it gets, and whether anybody hears of it, is chance."""
        faults, process, world = self._world.faults, self.process, self._world
        await process.gate()
        if faults.happens("frozen: before publish"):
            world.freeze(process)
        await asyncio.sleep(world.short())
        await process.gate()
        if self.cluster.down or faults.happens("log: publish refused"):
            raise PublishFailed("the broker did not take it")
        if faults.happens("log: publish lands late"):
            world.later(records)
            raise PublishFailed("no acknowledgement in time")
        torn = faults.happens("log: publish torn")
        dies = process.may_crash("in the middle of a publish")
        for chunk in self._chunks(records):
            if (torn or dies) and world.dice.random() < 0.5:
                continue
            for record in chunk:
                self.cluster.append(record)
            if world.dice.random() < 0.3:
                await asyncio.sleep(world.short())
                if process.dead or self.cluster.down:
                    torn = True
                    break
        world.note(f"{process.name} published {len(records)}{' torn' if torn or dies else ''}")
        if dies:
            process.kill("in the middle of a publish")
        process.crash_point("after publish, before its acknowledgement")
        await process.gate()
        if torn or faults.happens("log: acknowledgement lost"):
            raise PublishFailed("not everything was acknowledged")

    def _chunks(self, records: Sequence[Outgoing]) -> list[list[Outgoing]]:
        """Cut what each partition gets into requests; partitions in any order, the requests of one in theirs."""
        dice = self._world.dice
        by_place: dict[Place, list[Outgoing]] = {}
        for record in records:
            by_place.setdefault((record.topic, record.partition), []).append(record)
        places = list(by_place)
        dice.shuffle(places)
        chunks = []
        for place in places:
            rest = by_place[place]
            while rest:
                size = dice.randint(1, len(rest))
                chunks.append(rest[:size])
                rest = rest[size:]
        return chunks
