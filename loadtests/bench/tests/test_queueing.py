"""The model conserves work, and says what stands in the way."""

import math

import pytest

from loadtests.bench.queueing import Measured, predict, time_ms

AT = Measured({"ingestion": 0.2, "inventory": 0.3, "tower": 0.2, "postgres": 0.4, "generator": 0.1}, 0.9)


def test_more_cores_help_until_one_worker_has_a_core_for_itself() -> None:
    one_each = {"ingestion": 1, "inventory": 1, "tower": 1}
    assert predict(AT, 2, one_each).orders_per_s == pytest.approx(0.9 * 2 / 1.2 * 1000)
    wide = predict(AT, 16, one_each)
    assert (wide.limit, round(wide.orders_per_s)) == ("inventory", 3333)


def test_with_as_many_workers_as_it_takes_it_grows_with_the_cores() -> None:
    few, many = predict(AT, 8), predict(AT, 16)
    assert many.orders_per_s == pytest.approx(2 * few.orders_per_s)
    assert many.workers["inventory"] >= 2


def test_time_grows_without_end_as_the_cores_fill_up() -> None:
    assert time_ms(AT, 2, 100, 5, 4) < time_ms(AT, 2, 1_000, 5, 4)
    assert math.isinf(time_ms(AT, 2, 2_000, 5, 4))
