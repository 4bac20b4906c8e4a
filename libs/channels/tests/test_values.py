"""Values as platforms write them: what cannot be meant is refused by field name, and nothing is guessed."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from libs.channels import values
from libs.channels.channel import About, Document
from libs.channels.refusals import OrderRefused


def document(raw):
    return Document(About.ORDER, "1", raw)


def test_a_document_is_opened_with_its_integers_whole():
    assert values.opened(document(b'{"tid":90071992547409931}')) == {"tid": 90071992547409931}
    assert values.inside({"a": {"b": {"c": 1}}}, "a", "b") == {"c": 1}
    assert values.inside({"b": {"c": 1}}, "a", "b") == {"c": 1}, "as far as the answer has them"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b'{"a":' + b"[" * 100_000, "JSON"),
        (b'{"a":1' + b"0" * 5_000 + b"}", "JSON"),
        (b"[]", "object"),
        (b"null", "object"),
        (b'"text"', "object"),
    ],
)
def test_what_is_no_document_is_refused_in_our_words(raw, reason):
    with pytest.raises(OrderRefused, match=reason):
        values.opened(document(raw))


@pytest.mark.parametrize(
    ("value", "number"),
    [(7, "7"), ("007", "007"), (True, None), ("", None), ("7.0", None), ("٧", None), ("7" * 41, None), (None, None)],
)
def test_an_id_is_a_whole_number_however_it_came(value, number):
    assert values.number_or_none(value) == number
    if number is None:
        with pytest.raises(OrderRefused, match="oid"):
            values.number_of("oid", value)


def test_texts_hold_no_control_characters_and_only_notes_hold_lines():
    row = {"a": " x\ny\x00 ", "n": 5, "b": True, "c": ["x"], "memo": "say\nthis\x07"}
    assert [values.text_of(row, name) for name in "anbcz"] == ["x y", "5", "", "", ""]
    assert [values.written(row, name) for name in "nbcz"] == ["5", "", "", ""]
    assert values.plain("one\r\n\ttwo\x00") == "one two"
    assert values.note_of(row, (("", "a"), ("卖家: ", "memo"), ("", "z"))) == "x\ny\n卖家: say\nthis"
    assert len(values.note_of({"a": "x" * 5_000}, (("", "a"),))) == values.NOTE_LIMIT_CHARACTERS
    assert (values.fitting("abc", 3), values.fitting("abcd", 3)) == ("abc", "")


def test_wall_clocks_are_shanghais():
    moment = datetime(2026, 11, 10, 16, 0, 3, tzinfo=UTC)
    assert values.wall_clock(moment) == "2026-11-11 00:00:03"
    assert values.moment_or_none(" 2026-11-11 00:00:03 ") == moment
    for wrong in ("0001-01-01 00:00:00", "2026-02-30 00:00:00", "2026-11-11", "", 1_762_790_403, None):
        assert values.moment_or_none(wrong) is None


@pytest.mark.parametrize(
    ("field", "value", "fen"), [("price", "12.3", 1230), ("price", Decimal("0.01"), 1), ("sum", 5, 5), ("sum", "5", 5)]
)
def test_an_amount_is_read_by_its_unit(field, value, fen):
    assert values.amount_of({"price": "yuan", "sum": "fen"}, field, value) == fen


@pytest.mark.parametrize("value", ["1e9", "", None, "1.234", True, "1,00"])
def test_what_is_no_amount_is_refused(value):
    with pytest.raises(OrderRefused, match="price"):
        values.amount_of({"price": "yuan"}, "price", value)
