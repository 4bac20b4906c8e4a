"""What must be true of the protocol once a run is over, whatever the services decide."""

from libs.stream.log import Place, Record
from libs.testkit.simulation.cluster import Stream, stream_of
from libs.testkit.simulation.database import SimDatabase
from libs.testkit.simulation.replay import replay
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
    for (service, key), reply in world.answers.items():
        stored = [s.database.told.get(key) for n, s in world.shards.items() if n.startswith(f"{service}/")]
        if not any(answered is not None and answered.reply == reply for answered in stored):
            world.fail(f"{service} answered {key} with {reply.status}, and has no such answer in its log of commands")


def check_replay(world: World) -> None:
    """Decide everything again from what was recorded, and compare byte for byte."""
    for shard in world.shards.values():
        if shard.unit.shards == 1:
            for text in replay(shard.unit.handlers, shard.database.stored, world.cluster):
                world.fail(text)


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
