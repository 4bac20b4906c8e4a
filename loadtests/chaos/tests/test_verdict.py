"""The verdict can fail: an order that is gone, an answer that is another one, a fact that was said twice."""

from pathlib import Path

import msgspec
import pytest

from contracts.orders import OrderCancelRequested
from libs.stream.log import Record
from libs.testkit.invariants import Finding
from loadtests.chaos.told import Notebook, NotebookTaken, Told, read_told
from loadtests.chaos.verdict import Found, Published, Verdict, compare

ORDER = Told(
    what="order", service="ingestion", log_key="own:demo:m1", status=202, answer={"status": "accepted"}, order_id="o1"
)
CANCEL = msgspec.structs.replace(ORDER, what="cancellation", log_key="own:demo:m2")
COUNT = Told(what="count", service="inventory", log_key="count-1", status=201, answer={"on_hand": 5})


def system() -> tuple[Found, Published]:
    """A system that holds everything that was told."""
    held = Found(placed={"o1"}, cancelled={"o1"})
    for told in (ORDER, CANCEL, COUNT):
        held.answers[(told.service, told.log_key)] = (told.status, told.answer)
    published = Published()
    for kind in ("OrderPlaced", "OrderCancelRequested"):
        published.said[(kind, "o1")].add(("ordo.orders.v1", 0, "ingestion/0/1", 1))
    return held, published


def lost(told: Told, held: Found, published: Published) -> list[str]:
    verdict = Verdict()
    compare([told], held, published, verdict)
    assert verdict.told[told.what] == 1
    assert verdict.found[told.what] == (0 if verdict.lost else 1)
    return verdict.lost


@pytest.mark.parametrize("told", [ORDER, CANCEL, COUNT])
def test_what_is_there_is_found(told: Told) -> None:
    assert lost(told, *system()) == []


@pytest.mark.parametrize("told", [ORDER, CANCEL, COUNT])
def test_an_answer_nobody_remembers_is_a_loss(told: Told) -> None:
    held, published = system()
    del held.answers[(told.service, told.log_key)]
    assert lost(told, held, published) == [f"{told.what} {told.log_key}: the service has no record of it"]


def test_another_answer_than_the_one_given_is_a_loss() -> None:
    held, published = system()
    held.answers[("inventory", "count-1")] = (201, {"on_hand": 6})
    assert "is kept" in lost(COUNT, held, published)[0]


def test_an_order_without_its_row_or_its_event_is_lost() -> None:
    held, published = system()
    del published.said[("OrderPlaced", "o1")]
    assert "never published" in lost(ORDER, held, published)[0]
    held.placed.clear()
    assert "no such order" in lost(ORDER, held, published)[0]


def test_a_cancellation_that_was_forgotten_is_lost() -> None:
    held, published = system()
    del published.said[("OrderCancelRequested", "o1")]
    assert "never published" in lost(CANCEL, held, published)[0]
    held.cancelled.clear()
    assert "not its cancellation" in lost(CANCEL, held, published)[0]


def record(seq: int, offset: int) -> Record:
    event = OrderCancelRequested(order_id="o1", request_id="r", requested_at="2026-11-11T00:00:00Z")  # type: ignore[arg-type]
    headers = [
        ("ce_type", b"OrderCancelRequested"),
        ("ce_source", b"ingestion/0/1"),
        ("ce_id", str(seq).encode()),
    ]
    return Record("ordo.orders.v1", 0, offset, 0, b"o1", msgspec.json.encode(event), headers)


def test_a_resend_is_no_duplicate_and_a_second_number_is() -> None:
    published = Published()
    published.take(record(1, 0))
    published.take(record(1, 1))
    assert published.twice == []
    published.take(record(2, 2))
    assert published.twice == ["OrderCancelRequested o1"]


def test_a_verdict_is_clean_only_if_everything_is() -> None:
    fine = Finding(id="I-1", title="", ok=True)
    assert not Verdict().clean, "nothing was looked at"
    assert Verdict(findings=[fine]).clean
    assert not Verdict(findings=[fine, Finding(id="I-2", title="", ok=False)]).clean
    for wrong in ({"lost": ["x"]}, {"duplicated": ["x"]}, {"oversold": ["x"]}, {"stuck_count": 1}):
        assert not Verdict(findings=[fine], **wrong).clean  # type: ignore[arg-type]


def test_the_notebook_keeps_what_was_told(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path / "told.jsonl")
    for told in (ORDER, COUNT):
        notebook.write(told)
    assert list(read_told(notebook.path)) == [ORDER, COUNT], "readable before it is closed: every line is out at once"
    notebook.close()


def test_a_notebook_belongs_to_one_run(tmp_path: Path) -> None:
    path = tmp_path / "told.jsonl"
    first = Notebook(path)
    first.write(Told(what="order", service="ingestion", log_key="a", status=202))
    with pytest.raises(NotebookTaken, match=r"told\.jsonl"):
        Notebook(path)
    first.close()
    assert [told.log_key for told in read_told(path)] == ["a"]
    Notebook(path).close()
    assert list(read_told(path)) == []
