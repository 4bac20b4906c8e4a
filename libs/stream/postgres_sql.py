"""The statements of the Postgres journal that carry the protocol's guards, in one place to be read together."""

ACQUIRE = """
INSERT INTO stream_lease AS l (shard, owner, epoch, expires_at, batch_no, decided_at)
VALUES ($1, $2, 1, clock_timestamp() + $3::bigint * interval '1 ms', 0, 'epoch')
ON CONFLICT (shard) DO UPDATE
SET owner = excluded.owner, epoch = l.epoch + 1, expires_at = excluded.expires_at
WHERE l.owner = excluded.owner OR l.expires_at <= clock_timestamp()
RETURNING epoch, batch_no, decided_at
"""

RENEW = """
WITH held AS (
    UPDATE stream_lease SET expires_at = clock_timestamp() + $3::bigint * interval '1 ms'
    WHERE shard = $1 AND epoch = $2 RETURNING 1
), heads AS (
    UPDATE outbox_head h SET cursor_seq = greatest(h.cursor_seq, u.cursor_seq)
    FROM unnest($4::text[], $5::int[], $6::bigint[]) AS u(topic, part, cursor_seq)
    WHERE h.stream = $1 AND h.topic = u.topic AND h.part = u.part AND h.cursor_seq < u.cursor_seq
      AND EXISTS (SELECT 1 FROM held)
)
SELECT count(*) FROM held
"""

# Lease, offsets, sequences, heads and the log of inputs move together, or (counts differ) the batch is rolled back.
ADVANCE = """
WITH held AS (
    UPDATE stream_lease
    SET expires_at = clock_timestamp() + $3::bigint * interval '1 ms', batch_no = $4, decided_at = $5
    WHERE shard = $1 AND epoch = $2 AND batch_no = $4 - 1 RETURNING 1
), moved AS (
    UPDATE consumer_offset c SET next_offset = u.new_offset
    FROM unnest($7::text[], $8::int[], $9::bigint[], $10::bigint[]) AS u(topic, part, old_offset, new_offset)
    WHERE c.topic = u.topic AND c.part = u.part AND c.next_offset = u.old_offset RETURNING 1
), seqs AS (
    INSERT INTO source_seq AS s (topic, part, src, last_seq)
    SELECT * FROM unnest($11::text[], $12::int[], $13::text[], $14::bigint[])
    ON CONFLICT (topic, part, src) DO UPDATE SET last_seq = excluded.last_seq
), heads AS (
    INSERT INTO outbox_head AS h (stream, topic, part, next_seq, cursor_seq)
    SELECT $1, * FROM unnest($15::text[], $16::int[], $17::bigint[], $18::bigint[])
    ON CONFLICT (stream, topic, part) DO UPDATE
    SET next_seq = excluded.next_seq, cursor_seq = greatest(h.cursor_seq, excluded.cursor_seq)
), logged AS (
    INSERT INTO batch_log (shard, batch_no, decided_at, inputs) VALUES ($1, $4, $5, $6)
)
SELECT (SELECT count(*) FROM held) AS leases, (SELECT count(*) FROM moved) AS offsets
"""

UPSERT_EGRESS_DONE = """
UPDATE egress SET attempts = $3, next_try_at = NULL, outcome = left($4, 300)
WHERE destination = $1 AND send_id = $2
"""

SELECT_PARKED = """
SELECT key, n, topic, part AS partition, at_offset AS "offset", src AS source, seq, type, value, error, behind
FROM parked WHERE key = $1 ORDER BY n
"""

# Each destination has its own queue: one that is away, or behind, keeps nobody else waiting.
SELECT_SENDS = """
SELECT s.destination, s.send_id, s.key, s.body, s.attempts
FROM unnest($2::text[]) AS d(destination)
CROSS JOIN LATERAL (
    SELECT * FROM egress e
    WHERE e.destination = d.destination AND e.next_try_at IS NOT NULL AND e.next_try_at <= $1
    ORDER BY e.next_try_at LIMIT $3
) s
"""
