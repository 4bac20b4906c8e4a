"""What must be true of the protocol once a run is over, whatever the services decide."""

from collections.abc import Sequence
from itertools import islice

from libs.decide import Handlers
from libs.stream.log import Outgoing, Place, Record
from libs.stream.memory import MemoryJournal, MemoryLog, Stored
from libs.stream.replay import RecordedBatch, RecordedCommand, Replay
from libs.testkit.simulation.cluster import Stream, stream_of
from libs.testkit.simulation.database import SimDatabase
from libs.testkit.simulation.world import World


def check_protocol(world: World) -> None:
    """Compare logs, outboxes, positions, answers and outward calls of a run that came to rest."""
    first = _first_records(world)
    for (stream, seq), outgoing in world.committed.items():
        record = first.get((stream, seq))
        if record is None:
            world.fail(f"number {seq} of {stream} was committed and is nowhere in the log")
        elif (record.key, record.value) != (outgoing.key, outgoing.value):
            world.fail(f"number {seq} of {stream} is something else in the log")
    for name, shard in world.shards.items():
        _check_database(world, name, shard.database)
        for destination in shard.unit.handlers.in_order:
            _check_turns(world, name, destination, shard.database.stored)
    for (service, key), reply in world.answers.items():
        stored = [s.database.told.get(key) for n, s in world.shards.items() if n.startswith(f"{service}/")]
        if not any(answered is not None and answered.reply == reply for answered in stored):
            world.fail(f"{service} answered {key} with {reply.status}, and has no such answer in its log of commands")


def _check_turns(world: World, name: str, destination: str, stored: Stored) -> None:
    """Compare the order in which calls of a key arrived first with the one in which they were written."""
    written = {call: row["send"].key for call, row in stored.egress.items() if call[0] == destination}
    came = [call for call in world.outside.calls if call in written]
    for key in set(written.values()):
        first, then = ([call for call in calls if written[call] == key] for calls in (written, came))
        if then != [call for call in first if call in world.outside.calls]:
            world.fail(f"{name}: calls of {key} to {destination} came as {[send_id for _, send_id in then]}")


async def check_replay(world: World) -> None:
    """Decide everything again from what was recorded, and compare byte for byte."""
    for name, shard in world.shards.items():
        if shard.unit.shards == 1:
            difference = await _replay(world, shard.unit.handlers, shard.database.stored)
            if difference:
                world.fail(f"{name}: {difference}")


async def _replay(world: World, handlers: Handlers, stored: Stored) -> str:
    again = Stored()
    replay = Replay(handlers, MemoryJournal(again, world.now), MemoryLog(world.cluster), world.cluster.partitions)
    await replay.start(dict.fromkeys(stored.offsets, 0))
    commands = iter(stored.commands.values())
    for batch_no, decided_at, inputs in stored.batches:
        some = [
            RecordedCommand(asked.idempotency_key, asked.kind, asked.fingerprint, asked.body)
            for asked in islice(commands, inputs.get("commands", 0))
        ]
        said = len(again.outbox)
        await replay.decide(RecordedBatch(batch_no, decided_at, inputs, some))
        new, old = again.outbox[said:], stored.outbox[said : len(again.outbox)]
        if new != old:
            return f"batch {batch_no} said {_words(old)}, its replay says {_words(new)}"
    if len(again.outbox) != len(stored.outbox):
        return f"{len(stored.outbox)} events were published, the replay has {len(again.outbox)}"
    for key, answered in stored.commands.items():
        if again.commands[key].reply != answered.reply:
            return f"command {key} was answered {answered.reply}, its replay answers {again.commands[key].reply}"
    for table, rows in stored.rows.items():
        if again.rows.get(table, {}) != rows:
            return f"the replay makes other rows of {table.__name__}"
    return ""


def _words(events: Sequence[tuple[Outgoing, str, str]]) -> str:
    return "; ".join(f"{kind} {outgoing.value.decode()}" for outgoing, kind, _ in events) or "nothing"


def _first_records(world: World) -> dict[tuple[Stream, int], Record]:
    """Return what a reader accepts, by the sequence rule applied from the beginning of each partition."""
    found: dict[tuple[Stream, int], Record] = {}
    last: dict[Stream, int] = {}
    for records in world.cluster.records.values():
        for record in records:
            stream, seq = stream_of(record)
            if seq == last.get(stream, 0) + 1:
                last[stream] = seq
                found[(stream, seq)] = record
    return found


def _check_database(world: World, name: str, database: SimDatabase) -> None:
    stored = database.stored
    positions: dict[Place, int] = {}
    for number, (batch_no, _, inputs) in enumerate(stored.batches, 1):
        if batch_no != number:
            world.fail(f"{name}: batch {batch_no} is number {number} of the log of batches")
        for topic, part, first, end in inputs.get("read", ()):
            if first != positions.get((topic, part), 0):
                world.fail(f"{name}: batch {batch_no} reads {topic}/{part} from {first} on")
            positions[(topic, part)] = end + 1
    if stored.batch_no != len(stored.batches):
        world.fail(f"{name}: {len(stored.batches)} batches are logged, the lease counts {stored.batch_no}")
    for place, position in positions.items():
        if stored.offsets[place] != position:
            world.fail(f"{name} stands at {stored.offsets[place]} of {place}, its batches say {position}")
    for place, head in stored.heads.items():
        if head.cursor != head.next_seq - 1:
            world.fail(f"{name}: the cursor of {place} ends at {head.cursor}, the sequence at {head.next_seq - 1}")
    for call, row in stored.egress.items():
        arrived, outcome = world.outside.calls.get(call, 0), row["outcome"]
        if database.outcomes.get(call, 0) != 1:
            world.fail(f"{name}: call {call} has {database.outcomes.get(call, 0)} outcomes")
        if outcome == "sent" and not arrived:
            world.fail(f"{name}: call {call} is recorded as sent and never arrived")
        if outcome == "refused" and call not in world.outside.refused:
            world.fail(f"{name}: call {call} is recorded as refused, and nobody did")
    if stored.expires_at > world.now():
        world.fail(f"{name}: the lease was not given back")
