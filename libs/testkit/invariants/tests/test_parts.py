"""What is allowed is not called wrong; and what no topic tells: policies, healed logs, late work, rebuilds."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from msgspec.structs import replace

from contracts import orders, stock
from libs.testkit.invariants.__main__ import addresses, ids, lines
from libs.testkit.invariants.findings import EXAMPLES_LIMIT, Finding, Seen, Wrong
from libs.testkit.invariants.ledger import Documents, LedgerFold, Policy
from libs.testkit.invariants.rebuild import compare, tower_fold
from libs.testkit.invariants.run import CHECKS, judge
from libs.testkit.invariants.stories import Stories, goods_of
from libs.testkit.invariants.tests.world import good, line

NOON = datetime(2026, 11, 11, 12, tzinfo=UTC)


def wrong(facts) -> dict[str, str]:
    return {finding.id: finding.detail for finding in judge(facts, wanted=True, behind=[]) if not finding.ok}


def ledger(*entries, documents: Documents | None = None) -> dict[str, int]:
    seen = Seen()
    stories = Stories()
    for order_id in ("o.1", "o.2"):
        stories.of(order_id).contents = [0, 0, 0]
    fold = LedgerFold(stories, documents or Documents(receipts={"r": "in1"}, inbound_yields={"in1": 50}), seen)
    for cause, warehouse, kind, delta, *minutes in entries:
        fold.take(cause, "a", warehouse, kind, delta, NOON + timedelta(minutes=sum(minutes)))
    return {invariant: found.count for invariant, found in seen.items() if found.count}


def test_an_amended_order_may_take_again_what_a_count_took_away() -> None:
    before = (
        ("receipt/r", "GZ", "on_hand", 5),
        ("o.1@1/reserved", "", "reserved", 5),
        ("receipt/r", "GZ", "on_hand", -3),
        ("o.1@1/released", "", "reserved", -5),
    )
    assert "I-2" not in ledger(*before, ("o.1@2/reserved", "", "reserved", 5))
    assert ledger(*before, ("o.1@2/reserved", "", "reserved", 6))["I-2"] == 1
    assert ledger(*before, ("o.2@1/reserved", "", "reserved", 5))["I-2"] == 1


@pytest.mark.parametrize(("promised", "minute", "is_wrong"), [(2, 0, True), (2, 9, False), (3, 9, True), (2, 99, True)])
def test_promises_may_lean_on_policy_while_it_is_in_force(promised: int, minute: int, is_wrong: bool) -> None:
    """An allowance of 1, and half of 4 inbound units at half their yield, from minute 5 until minute 50."""
    policies = [(NOON + timedelta(minutes=5), Policy(1, 50)), (NOON + timedelta(minutes=50), Policy(0, 0))]
    documents = Documents(inbound_yields={"in1": 50}, policies={"a": policies})
    found = ledger(
        ("inbound/in1", "GZ", "inbound", 4),
        ("o.1@1/reserved", "", "reserved", promised, minute),
        documents=documents,
    )
    assert ("I-2" in found) == is_wrong


def test_goods_add_up_however_they_are_split() -> None:
    assert goods_of([line(3)]) == goods_of([line(1), line(2)]) != goods_of([line(4)])


def test_resent_records_and_a_gap_that_was_closed_are_allowed() -> None:
    world = good()
    world.publish()
    topic = "ordo.orders.v1"
    said = [record for record in world.records if record.topic == topic]
    first, second, third = said[0], said[1], said[2]
    resent = [first, first, third, second, third, *said[3:], second]
    others = [record for record in world.records if record.topic != topic]
    world.records = others + [replace(record, offset=offset) for offset, record in enumerate(resent)]
    facts = world.facts()
    for protocol in facts.protocols.values():
        protocol.seqs = {key: len(said) if key[0] == topic else seq for key, seq in protocol.seqs.items()}
    found = wrong(facts)
    assert found == {}
    assert facts.sequences.repeats == 2


def test_a_reader_whose_numbers_do_not_fit_its_offsets_is_seen() -> None:
    facts = good().facts()
    facts.protocols["risk"].seqs[("ordo.orders.v1", 0, "ingestion/0/1")] -= 1
    assert set(wrong(facts)) == {"I-11", "I-20"}
    facts = good().facts()
    facts.protocols["risk"].offsets[("ordo.orders.v1", 0)] += 1
    assert set(wrong(facts)) == {"I-11"}


def test_late_parked_and_unexplained_work_is_seen() -> None:
    for field, value, invariant in (
        ("parked", ["OrderPlaced of own.demo.1: ValueError"], "I-18"),
        ("due_timers", 1, "I-18"),
        ("waiting_sends", 1, "I-18"),
        ("egress_unknown", 1, "I-17"),
        ("unexplained_causes", ["risk: number 1"], "I-20"),
    ):
        facts = good().facts()
        protocol = facts.protocols["risk"]
        protocol.due_timer_age_s = protocol.waiting_send_age_s = 61.0
        setattr(protocol, field, value)
        assert set(wrong(facts)) == {invariant}, field
    facts = good().facts()
    facts.copied.notices_without_egress = ["own.demo.1 shipped"]
    assert set(wrong(facts)) == {"I-17"}


def test_copies_beside_orders_are_compared() -> None:
    for change, invariant in (
        (lambda copied: copied.items.update(a=("other", 100)), "I-20"),
        (lambda copied: copied.costs.update(a=None), "I-20"),
        (lambda copied: copied.skus.clear(), "I-20"),
        (lambda copied: copied.levels.update(a=(1, 1, 1)), "I-20"),
        (lambda copied: copied.stage_counts.update(held=1), "I-19"),
    ):
        facts = good().facts()
        change(facts.copied)
        assert set(wrong(facts)) == {invariant}
    facts = good().facts()
    facts.stock.ledger_key = ("n",)
    assert set(wrong(facts)) == {"I-4"}
    facts = good().facts()
    facts.stock.lost_units = 1
    assert set(wrong(facts)) == {"I-3"}


def test_acknowledged_orders_are_there_and_nobody_else() -> None:
    everybody = {f"own.demo.{n}" for n in range(1, 5)}
    facts = good().facts()
    facts.acked, facts.sent = set(everybody), set(everybody)
    assert wrong(facts) == {}
    facts.acked.add("own.demo.7")
    assert wrong(facts) == {"I-5": "own.demo.7 was acknowledged and is lost"}
    facts.acked, facts.sent = None, everybody - {"own.demo.2"}
    assert wrong(facts) == {"I-5": "own.demo.2 is there, but nobody sent it"}


def test_a_system_that_did_not_come_to_rest_fails_what_needs_rest() -> None:
    world = good()
    world.drained = False
    facts = world.facts()
    findings = judge(facts, wanted=True, behind=["risk has 3 records to read"])
    assert {f.id for f in findings if not f.ok} == {check.id for check in CHECKS if not check.safety}
    assert all("risk has 3 records" in finding.detail for finding in findings if not finding.ok)
    assert [f.id for f in judge(facts, wanted=False, behind=[])] == [check.id for check in CHECKS if check.safety]


def test_the_towers_own_handlers_rebuild_its_rows_in_any_order_of_topics() -> None:
    told, backwards = tower_fold(4, NOON), tower_fold(4, NOON + timedelta(hours=1))
    for said in good().said:
        told.take("ordo.orders.v1", said.event)
    by_topic = sorted(good().said, key=lambda said: said.service, reverse=True)
    for said in by_topic:
        backwards.take("ordo.orders.v1", said.event)
    for fold in (told, backwards):
        fold.flush()
    assert {order_id: row.stage for order_id, row in told.orders.items()} == {
        "own.demo.1": "shipped",
        "own.demo.2": "cancelled",
        "own.demo.3": "short",
        "own.demo.4": "picking",
    }
    for order_id, row in told.orders.items():
        assert compare(backwards.orders[order_id], row) == ""
        other = msgspec.structs.replace(row, stage="held")
        assert "stage is 'held'" in compare(row, other)
        assert compare(row, None)
        assert compare(None, row)


def test_a_sample_of_many_orders_is_folded() -> None:
    fold = tower_fold(50_000, NOON)
    share = sum(fold.samples(f"own.demo.{n}") for n in range(10_000))
    assert 800 < share < 1_200


def test_wrong_things_are_counted_and_the_first_are_told() -> None:
    found = Wrong()
    for n in range(EXAMPLES_LIMIT + 2):
        found.add(f"thing {n}")
    assert found.count == 7
    assert found.text().endswith("thing 4; and 2 more")


def test_the_command_line_finds_the_stack_and_prints_a_line_each(tmp_path) -> None:
    local_env = tmp_path / "local.env"
    local_env.write_text("ORDO_KAFKA=k:1\nORDO_POSTGRES=postgresql://u:p=@h/d\n")
    assert addresses({}, local_env) == ("postgresql://u:p=@h/d", "k:1")
    assert addresses({"ORDO_KAFKA": "other:2"}, local_env) == ("postgresql://u:p=@h/d", "other:2")
    with pytest.raises(SystemExit, match="ORDO_POSTGRES and ORDO_KAFKA"):
        addresses({}, tmp_path / "nothing")
    acked = tmp_path / "acked"
    acked.write_text("own.demo.1\n\n own.demo.2\n")
    assert ids(acked) == ["own.demo.1", "own.demo.2"]
    good_one = Finding(id="I-1", title="t", ok=True, looked_at="3 rows")
    bad_one = Finding(id="I-10", title="t", ok=False, detail="d", looked_at="3 rows")
    assert lines([good_one, bad_one]) == ["I-1   ok    t [3 rows]", "I-10  WRONG t [3 rows]: d"]


def test_events_that_no_order_makes_are_told_apart() -> None:
    world = good()
    world.say("inventory", stock.StockShort(order_id="own.demo.1", version=1, missing=[]))
    assert set(wrong(world.facts())) >= {"I-6"}
    world = good()
    world.said.remove(world.find(orders.OrderCancelRequested, "own.demo.2"))
    world.find(stock.StockReleased, "own.demo.2").cause = "command:x"
    assert {"I-4", "I-20"} <= set(wrong(world.facts()))
