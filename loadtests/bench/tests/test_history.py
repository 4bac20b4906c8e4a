"""History looks like what came before it, is numbered before it, and is not begun where there is no room for it."""

import re
from datetime import timedelta

import asyncpg
import pytest

from libs.runtime.migrate import migrate
from loadtests.bench.growth import SHOWN, compared, connected, count, rows_since
from loadtests.bench.history import LOAD_LIMIT_S, NUMBERS_A_COPY, SEED, Pace, Rows, name_of, refusal

BUYER = "0123456789abcdef0123456789abcdef"
COLUMNS = [("order_id", "text"), ("buyer_key", "text"), ("seq", "bigint"), ("at", "timestamp with time zone")]
LINE = f"own.demo.{SEED}-7\t{BUYER}\t41\t2026-11-22 12:00:00.25+00\n"


def rows(text: str = LINE) -> Rows:
    return Rows("tower", "t", COLUMNS, text.encode(), timedelta(seconds=10))


def test_a_copy_is_the_same_order_of_another_buyer_under_another_id_at_another_time() -> None:
    order_id, buyer, seq, at = rows().copy(3).decode().strip().split("\t")
    assert (order_id, at) == ("own.demo.h0000003-7", "2026-11-22 11:59:30.250000+00:00")
    assert re.fullmatch("[0-9a-f]{32}", buyer)
    assert buyer != BUYER
    assert int(seq) == 41 - 3 * NUMBERS_A_COPY


def test_a_buyer_is_the_same_in_every_row_of_a_copy_and_another_in_the_next() -> None:
    inside = f'{{"order_id":"own.demo.{SEED}-7","buyer_key":"{BUYER}"}}'
    both = Rows("tower", "t", [("a", "text"), ("b", "bytea")], f"{BUYER}\t{inside}\n".encode(), timedelta())
    key, event = both.copy(1).split()
    assert b'"order_id":"own.demo.h0000001-7","buyer_key":"%b"' % key in event
    assert both.copy(2).split()[0] != key


def test_what_is_null_stays_so_and_lines_stay_lines() -> None:
    two = rows(f"{SEED}\t\\N\t\\N\t\\N\n{SEED}\t\t1\t\\N\n").copy(1).decode().split("\n")
    assert two == ["h0000001\t\\N\t\\N\t\\N", f"h0000001\t\t{1 - NUMBERS_A_COPY}\t\\N", ""]


def test_names_of_copies_are_as_long_as_the_seeds_and_rise() -> None:
    assert name_of(0).decode() == SEED
    assert name_of(9) < name_of(10) < name_of(9_999_999)
    assert len(name_of(9_999_999)) == len(SEED)


def test_a_size_without_room_or_time_is_refused_with_both_figures() -> None:
    pace = Pace(bytes_per_order=20_000, seconds_per_order=0.0005)
    assert refusal(1_000_000, 100_000, pace, 70 * 2**30) == ""
    told = refusal(10_000_000, 1_000_000, pace, 50 * 2**30)
    assert "10,000,000" in told
    assert "167.6 GiB" in told
    assert "30.0 GiB" in told
    assert "75.0 minutes" in told
    assert refusal(2_000, 1_000, Pace(1, LOAD_LIMIT_S), 2**40)


def test_growth_is_the_worst_size_against_the_smallest() -> None:
    sizes = [
        {"cpu_ms_per_order": {"stack": cost}, "against_floor": bare_ones}
        for cost, bare_ones in ((1.0, 4.0), (1.2, 4.2), (1.1, 3.9))
    ]
    assert compared(sizes) == {"ratio": 1.2, "ratio_against_floor": 1.05}
    assert [taken["ratio"] for taken in sizes] == [1.0, 1.2, 1.1]
    assert compared(sizes[:1]) == {}


@pytest.mark.postgres
async def test_copies_fill_the_real_tables_before_everything_there_is(database: str) -> None:
    await migrate(database, "tower")
    tables = [("tower", "timeline_entry"), ("tower", "outbox")]
    async with connected(database, **SHOWN) as connection:
        await connection.execute("INSERT INTO tower.outbox VALUES (0, 'o', 0, 1, 1, 5, 'k', 't', 'c', 'old')")
        since = await connection.fetchval("SELECT pg_current_xact_id()::text::bigint")
        order_id = f"own.demo.{SEED}-1"
        await connection.execute(
            "INSERT INTO tower.timeline_entry (order_id, at, type, payload) VALUES ($1, now(), 't', $2)",
            order_id,
            order_id.encode() + b"\x00\\\xff\t\n",
        )
        sql = "INSERT INTO tower.outbox VALUES (0, 'o', 0, 2, 2, 5, convert_to($1, 'UTF8'), 't', 'c', 'new')"
        await connection.execute(sql, order_id)
        for table in tables:
            found = await rows_since(connection, table, since, timedelta(seconds=1))
            await connection.copy_to_table(
                table[1], schema_name=table[0], columns=found.columns, source=found.copies(range(1, 4)), format="text"
            )
        assert [await count(connection, table) for table in tables] == [4, 5]
        payloads = await connection.fetch("SELECT payload FROM tower.timeline_entry ORDER BY order_id")
        assert payloads[-1][0] == b"own.demo.h0000003-1\x00\\\xff\t\n"
        above = await connection.fetch("SELECT key FROM tower.outbox WHERE seq > 0 ORDER BY seq")
        assert [row["key"] for row in above] == [b"k", order_id.encode()]
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.copy_to_table(
                "outbox", schema_name="tower", columns=found.columns, source=found.copies([3]), format="text"
            )
