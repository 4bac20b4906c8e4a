"""Amounts as text and numbers: plain decimals become fen, everything else is refused by the field's name."""

from decimal import Decimal

import pytest

from libs.channels.money import fen, fen_of_yuan
from libs.channels.refusals import OrderRefused


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("12.30", 1230),
        (" 0.05 ", 5),
        ("-1", -100),
        (12, 1200),
        (Decimal("9.9"), 990),
        ("1.5000", 150),
        ("90071992547409.93", 9007199254740993),
    ],
)
def test_yuan_become_fen(value, expected):
    assert fen_of_yuan("pay", value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "1e9999999", "1e99999", "1E2", "-1e-2", Decimal("1E+9999999"), 10**4_000, "nan", "Infinity", "0x10", "1_000",
        "1,000", "", ".", "1.", ".5", "１２", "12.345", "1" * 21, 1.5, True, None, [],
    ],
)  # fmt: skip
def test_what_is_no_plain_amount_is_refused(value):
    with pytest.raises(OrderRefused) as caught:
        fen_of_yuan("pay", value)
    assert caught.value.field == "pay"


def test_a_number_of_a_million_digits_is_refused_at_once():
    with pytest.raises(OrderRefused):
        fen_of_yuan("pay", 10**1_000_000)


@pytest.mark.parametrize("value", ["1e5", "1.0", 1.0, True, None, "1" * 21])
def test_fen_are_whole(value):
    with pytest.raises(OrderRefused):
        fen("pay", value)
