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

# What a batch moves, as the first parts of the statement that saves it: lease, positions, sequences, heads, the log of
# its inputs. `FENCE` is what that statement selects: unless the lease is held and every position was where the batch
# began, all of it is undone.
ADVANCE = """held AS (
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
)"""
FENCE = (
    "SELECT pg_temp.fence((SELECT count(*) FROM held) = 1 AND (SELECT count(*) FROM moved) = cardinality($7::text[]))"
)
FENCED_STATE = "OR001"
MAKE_FENCE = f"""
CREATE FUNCTION pg_temp.fence(ours boolean) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT ours THEN
        RAISE EXCEPTION 'the lease or a position is no longer ours' USING ERRCODE = '{FENCED_STATE}';
    END IF;
    RETURN ours;
END $$
"""

# -- what a batch says, each a statement by itself --------------------------------------------------------------------

DELETE_TIMERS = """
DELETE FROM timer t USING unnest($1::text[], $2::text[], $3::timestamptz[]) AS u(kind, key, came)
WHERE t.kind = u.kind AND t.key = u.key AND (u.came IS NULL OR t.due_at = u.came)
"""
UPSERT_TIMERS = """
INSERT INTO timer (kind, key, due_at) SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])
ON CONFLICT (kind, key) DO UPDATE SET due_at = excluded.due_at
"""

UNTOUCHED = "waiting"
INSERT_EGRESS = f"""
INSERT INTO egress (destination, send_id, key, body, written_at, attempts, next_try_at, outcome)
SELECT u.destination, u.send_id, u.key, u.body, u.written_at, 0, u.due_at, '{UNTOUCHED}'
FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::timestamptz[], $6::timestamptz[])
    AS u(destination, send_id, key, body, written_at, due_at)
ON CONFLICT DO NOTHING
"""
END_EGRESS = """
UPDATE egress e SET attempts = u.attempts, next_try_at = NULL, outcome = left(u.outcome, 300)
FROM unnest($1::text[], $2::text[], $3::int[], $4::text[]) AS u(destination, send_id, attempts, outcome)
WHERE e.destination = u.destination AND e.send_id = u.send_id
"""

# `n` of the rows given counts from 1; it goes on from the highest there is.
INSERT_PARKED = """
INSERT INTO parked
SELECT u.key, u.n + (SELECT coalesce(max(n), 0) FROM parked), u.topic, u.part, u.at_offset, u.src, u.seq, u.type,
       u.value, u.error, u.behind, u.attempts, u.parked_at
FROM unnest($1::pg_temp.parked_row[]) u
"""
DELETE_PARKED = (
    "DELETE FROM parked p USING unnest($1::text[], $2::bigint[]) AS u(key, n) WHERE p.key = u.key AND p.n = u.n"
)

SELECT_PARKED = """
SELECT key, n, topic, part AS partition, at_offset AS "offset", src AS source, seq, type, value, error, behind,
       parked_at
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

# What was never tried nor put off needs no mention: it is due when it was written, so it is found in its order.
SELECT_DELAYED = f"""
SELECT destination, key, send_id, next_try_at FROM egress
WHERE destination = ANY($1::text[]) AND next_try_at IS NOT NULL AND outcome <> '{UNTOUCHED}'
ORDER BY written_at
"""
