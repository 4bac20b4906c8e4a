"""Streams: sequences without gap, repeats without difference, outbox and topics alike, positions that never go back."""

from libs.testkit.invariants.facts import Facts
from libs.testkit.invariants.findings import Check, Wrong
from libs.testkit.invariants.sequences import read_wrong


def gapless(facts: Facts, wrong: Wrong) -> str:
    """Report what reading the topics saw."""
    return f"{facts.sequences.records} records in {len(facts.sequences.of)} sequences"


def repeats(facts: Facts, wrong: Wrong) -> str:
    """Report what reading the topics saw."""
    return f"{facts.sequences.records} records, {facts.sequences.repeats} of them repeats"


def outboxes(facts: Facts, wrong: Wrong) -> str:
    """Report what comparing the outboxes saw."""
    return f"{sum(outbox.rows for outbox in facts.outboxes)} outbox rows of {len(facts.outboxes)} services"


def positions(facts: Facts, wrong: Wrong) -> str:
    """Compare each reader's offsets with the log's ends, and its last numbers with the records before its offsets."""
    count = 0
    for service, protocol in facts.protocols.items():
        for (topic, part), offset in protocol.offsets.items():
            count += 1
            end = facts.ends.get((topic, part), 0)
            wrong.expect(0 <= offset <= end, f"{service} stands at {offset} of {topic}/{part}, which ends at {end}")
        for text in read_wrong(protocol.seqs, service, facts.sequences):
            wrong.add(text)
        for (_, topic, part), (next_seq, cursor) in protocol.heads.items():
            wrong.expect(cursor < next_seq, f"{service}: cursor {cursor} of {topic}/{part} is past its sequence")
    batches = sum(sum(fold.batches.values()) for fold in facts.batches)
    return f"{count} positions, {batches} batches"


CHECKS = (
    Check(
        "I-8", "each writer's numbers are 1 to n in every topic and partition, keys in their partition", True, gapless
    ),
    Check("I-9", "a number that is repeated has the same key, value and headers", True, repeats),
    Check("I-10", "outbox and topics hold the same, and the cursor is their end", False, outboxes),
    Check("I-11", "positions lie within the log, never went back, and fit the numbers read", True, positions),
)
